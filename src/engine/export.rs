//! Writing what is shown to disk, each file whole or not at all, and judging again what was written.

use super::{Export, ExportReport, Survival};
use crate::attack::{Method, Reference};
use crate::data;
use crate::study::report::{PanelCaption, PanelPictures, encode_png, panel, write_curve_csv, write_figure};
use crate::study::{Curve, Judged, Measure, Subject};
use crate::{attack, tensor};
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
        Export::CurveCsv(path) => {
            write_curve_csv(curve(shown)?, path).map_err(text)?;
            (path, None)
        }
        Export::CurveFigure(path) => {
            write_figure(curve(shown)?, path).map_err(text)?;
            (path, None)
        }
        Export::Views(path) => {
            views(path, shown)?;
            (path, None)
        }
    };
    Ok(ExportReport { path: path.clone(), survival })
}

fn curve<'a>(shown: &'a Shown<'_>) -> Result<&'a Curve, String> {
    shown.curve.as_ref().ok_or_else(|| "the curve has no point yet. Let it fill in first".to_owned())
}

/// Writes the adversarial image at its stored depth, reads the file back and judges what it holds.
fn adversarial(path: &Path, shown: &Shown<'_>) -> Result<Survival, String> {
    let case = &shown.subject.case;
    let image = tensor::unit_to_image(shown.adversarial.clone(), case.bounds).map_err(text)?;
    data::write_image(path, &image, case.stored).map_err(text)?;
    let read = data::open(path, &AtomicBool::new(false)).map_err(text)?;
    let read = read.slice(0).ok_or("the file that was written holds no image")?;
    let device = shown.subject.model.device();
    let x = tensor::image_to_unit(&read, case.bounds, &device);
    // A colour image whose channels came out equal is read back as grey.
    let [_, channels, height, width] = x.dims();
    let x = if channels == image.channels { x } else { x.expand([1, image.channels, height, width]) };
    let after = shown.subject.judge(&x).map_err(text)?.measure;
    Ok(survival(shown.subject.clean.measure, shown.judged.measure, after))
}

/// How much of the clean image's loss of Dice is left after saving; a hundredth is no loss worth the name.
fn survival(clean: Measure, before: Measure, after: Measure) -> Survival {
    let lost = clean.overlap.dice - before.overlap.dice;
    let kept = (lost >= 0.01).then(|| (clean.overlap.dice - after.overlap.dice) / lost);
    Survival { before, after, kept }
}

/// The six views with captions, as a panel of the report.
fn views(path: &Path, shown: &Shown<'_>) -> Result<(), String> {
    let subject = shown.subject;
    let card = subject.model.card();
    let image = &subject.case.image;
    let host = |tensor: &Tensor<4>| tensor::to_host(tensor.clone()).map_err(text);
    let original = host(&subject.x)?;
    let adversarial = host(shown.adversarial)?;
    let clean_probability = host(&subject.clean.probability)?;
    let adversarial_probability = host(&shown.judged.probability)?;
    let tiles = PanelPictures {
        channels: image.channels,
        height: image.height,
        width: image.width,
        original: &original,
        adversarial: &adversarial,
        clean_probability: &clean_probability,
        adversarial_probability: &adversarial_probability,
    }
    .tiles(shown.epsilon)
    .map_err(text)?;
    let control = shown
        .curve
        .as_ref()
        .and_then(|curve| curve.control.iter().find(|p| (p.epsilon - shown.epsilon).abs() < 1e-9).map(|p| p.measure));
    let caption = PanelCaption {
        attack: attack::find(shown.method.name()).map_or(shown.method.name(), |entry| entry.title).to_owned(),
        epsilon: shown.epsilon,
        subject: format!("{} on {}", card.name, subject.case.name),
        class: card.classes.get(usize::from(card.positive_class)).map_or_else(String::new, |c| c.name.clone()),
        reference: match subject.reference_kind {
            Reference::Label => "label",
            Reference::CleanPrediction => "clean prediction",
        },
        clean: subject.clean.measure,
        adversarial: shown.judged.measure,
        control,
    };
    let picture = panel(&tiles, &caption).map_err(text)?;
    let bytes = encode_png(&picture).map_err(text)?;
    data::write_bytes_atomic(path, &bytes).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
