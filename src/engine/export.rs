//! Writing what is shown to disk, each file whole or not at all, and judging again what was written.

use super::{Export, ExportReport, Survival};
use crate::attack::Method;
use crate::data;
use crate::study::{Curve, Judged, Measure, Subject};
use crate::tensor;
use burn::tensor::Tensor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What is on the screen.
pub(super) struct Shown<'a> {
    pub subject: &'a Subject,
    pub method: Method,
    pub epsilon: f64,
    pub adversarial: &'a Tensor<4>,
    pub judged: &'a Judged,
    pub curve: Option<Curve>,
}

pub(super) fn write(wish: &Export, shown: &Shown<'_>) -> Result<ExportReport, String> {
    let (path, survival) = match wish {
        Export::Adversarial(path) => (path, Some(adversarial(path, shown)?)),
        Export::CurveCsv(_) | Export::CurveFigure(_) | Export::Views(_) => return Err("not wired yet".to_owned()),
    };
    Ok(ExportReport { path: path.clone(), survival })
}

/// Writes the adversarial image at its stored depth, reads the file back and judges what it holds.
fn adversarial(path: &Path, shown: &Shown<'_>) -> Result<Survival, String> {
    let case = &shown.subject.case;
    let image = tensor::unit_to_image(shown.adversarial.clone(), case.bounds).map_err(|e| e.to_string())?;
    data::write_image(path, &image, case.stored).map_err(|e| e.to_string())?;
    let read = data::open(path, &AtomicBool::new(false)).map_err(|e| e.to_string())?;
    let read = read.slice(0).ok_or("the file that was written holds no image")?;
    let x = tensor::image_to_unit(&read, case.bounds, &shown.subject.model.device());
    let after = shown.subject.judge(&x).map_err(|e| e.to_string())?.measure;
    Ok(survival(shown.subject.clean.measure, shown.judged.measure, after))
}

/// How much of the clean image's loss of Dice is left after saving.
fn survival(clean: Measure, before: Measure, after: Measure) -> Survival {
    let lost = clean.overlap.dice - before.overlap.dice;
    let kept = (lost > 1e-6).then(|| (clean.overlap.dice - after.overlap.dice) / lost);
    Survival { before, after, kept }
}
