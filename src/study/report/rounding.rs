//! Whether an attack outlives being saved: the adversarial image is written at its stored depth, read back and judged
//! again. An ε below half a grey level, for one, is gone in 8 bits.

use super::ReportError;
use crate::data::{self, Bounds, Case, DataError, Image, StoredType};
use crate::study::{Measure, Subject};
use crate::tensor;
use burn::tensor::Tensor;
use std::sync::atomic::AtomicBool;

/// What is left of an attack in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded {
    /// The depth of the file, for people: `8-bit`.
    pub depth: &'static str,
    /// Measures of the file's image.
    pub measure: Measure,
}

impl Rounded {
    /// The share of the loss of Dice that is left, or `None` where there was no loss worth the name (a hundredth).
    pub fn kept(&self, clean: &Measure, before: &Measure) -> Option<f64> {
        let lost = clean.overlap.dice - before.overlap.dice;
        (lost >= 0.01).then(|| (clean.overlap.dice - self.measure.overlap.dice) / lost)
    }
}

/// The depth that images of `case` are saved at here: their own, or 8 bits over the bounds for floats, which would
/// round nothing.
fn depth(case: &Case) -> (StoredType, Bounds) {
    match case.stored {
        StoredType::F32 => (StoredType::U8, Bounds::EIGHT_BIT),
        integer => (integer, case.bounds),
    }
}

/// Saves `adversarial`, `[1, channels, height, width]` in [0, 1], at the stored depth (floats: 8 bits), reads it back and
/// judges it.
///
/// # Errors
/// If the file cannot be written or read, or the device fails.
pub fn round_to_stored(subject: &Subject, adversarial: &Tensor<4>) -> Result<Rounded, ReportError> {
    let (stored, bounds) = depth(&subject.case);
    let image = tensor::unit_to_image(adversarial.clone(), bounds)?;
    let read = through_a_file(&image, stored)?;
    let x = tensor::image_to_unit(&read, bounds, &subject.model.device());
    // A colour image whose channels came out equal is read back as grey.
    let x = if read.channels == image.channels { x } else { x.expand([1, image.channels, image.height, image.width]) };
    let judged = subject.judge(&x)?;
    Ok(Rounded { depth: stored.name(), measure: judged.measure })
}

fn through_a_file(image: &Image, stored: StoredType) -> Result<Image, DataError> {
    let temporary = std::env::temp_dir();
    let folder = tempfile::tempdir().map_err(|e| DataError::new(&temporary, e.to_string(), ""))?;
    let path = folder.path().join(format!("adversarial.{}", data::file_ending(stored)));
    data::write_image(&path, image, stored)?;
    let stack = data::open(&path, &AtomicBool::new(false))?;
    stack.slice(0).ok_or_else(|| DataError::new(&path, "holds no image", ""))
}
