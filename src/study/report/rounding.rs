//! Whether an attack outlives being saved: the adversarial image is written at its stored depth, read back and judged
//! again. An ε below half a grey level, for one, is gone in 8 bits; one of half a level may come back as a whole one.

use super::ReportError;
use crate::data::{self, Bounds, Case, DataError, FileFormat, Image, Made, StoredType};
use crate::study::{Measure, Subject};
use crate::tensor;
use burn::tensor::Tensor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// An adversarial image that was saved, and what is left of the attack in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saved {
    /// The type that the file stores.
    pub stored: StoredType,
    /// Measures of the clean image.
    pub clean: Measure,
    /// Measures of the adversarial image before it was saved.
    pub before: Measure,
    /// Measures of the file's image.
    pub after: Measure,
}

/// What became of an attack in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// It changed the score (Dice, P(true class)) by less than a hundredth before it was saved: there was nothing to keep.
    NoEffect,
    /// At least half of its effect on the score is left.
    Survives,
    /// At least a tenth is left.
    Weakened,
    /// Less than that.
    Gone,
}

impl Survival {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEffect => "no effect to keep",
            Self::Survives => "survives",
            Self::Weakened => "weakened",
            Self::Gone => "gone",
        }
    }
}

impl Saved {
    /// The share of the change of the score that is left, for better or worse; `None` where there was no change worth the
    /// name (a hundredth).
    pub fn kept(&self) -> Option<f64> {
        let effect = self.clean.score() - self.before.score();
        (effect.abs() >= 0.01).then(|| (self.clean.score() - self.after.score()) / effect)
    }

    /// In a word.
    pub fn survival(&self) -> Survival {
        match self.kept() {
            None => Survival::NoEffect,
            Some(kept) if kept >= 0.5 => Survival::Survives,
            Some(kept) if kept >= 0.1 => Survival::Weakened,
            Some(_) => Survival::Gone,
        }
    }

    /// Whether rounding made the perturbation larger: what is judged in the file is then a stronger attack.
    pub fn grew(&self) -> bool {
        self.after.distortion.linf > self.before.distortion.linf * 1.001 + 1e-6
    }
}

/// Whether a file of `format` holds what `case` stores only as 8 bits over its bounds: PNG has no signed numbers and no
/// floats.
fn needs_eight_bits(case: &Case, format: FileFormat) -> bool {
    format == FileFormat::Png && matches!(case.stored, StoredType::I16 | StoredType::F32)
}

/// Saves `adversarial`, `[1, channels, height, width]` in [0, 1], as `path` (PNG, TIFF, NumPy, NIfTI or DICOM by its ending;
/// integers at the depth of the case with its rescale, spacing and orientation; what PNG cannot hold as 8 bits over the
/// bounds), reads it back and judges it; if `flow`, `[1, 2, height, width]`, has moved its pixels, against the label moved along
/// too. `before` are its measures now.
///
/// # Errors
/// If the file cannot be written or read, or the device fails.
pub fn save_and_judge(
    subject: &Subject,
    adversarial: &Tensor<4>,
    flow: Option<&Tensor<4>>,
    before: Measure,
    path: &Path,
) -> Result<Saved, ReportError> {
    let case = &subject.case;
    let format = FileFormat::of(path)?;
    let eight_bits = needs_eight_bits(case, format);
    let (stored, bounds) = if eight_bits { (StoredType::U8, Bounds::EIGHT_BIT) } else { (case.stored, case.bounds) };
    let image = tensor::unit_to_image(adversarial.clone(), bounds)?;
    if eight_bits {
        data::write_image(path, &image, stored)?;
    } else {
        let linf = before.distortion.linf;
        let made = Made {
            title: "adversarial image".to_owned(),
            description: format!(
                "Adversarial example made by Epsiloscope: pixels changed by up to {linf:.5} of the width of the bounds {} to {}",
                bounds.lower, bounds.upper
            ),
            synthetic: true,
            ..Made::default()
        };
        data::write_stack(path, &case.as_stack(&image)?, &made)?;
    }
    let stack = data::open(path, &AtomicBool::new(false))?;
    // A NumPy array of colours comes back as so many slices, and greys that are stored turned round are so there.
    let about = case.about.of_slice(case.provenance.slice);
    let back = |v: f32| if format == FileFormat::Npy { about.stored_value(0, v) } else { v };
    let pixels = (0..stack.slices).filter_map(|slice| stack.slice(slice));
    let pixels = pixels.flat_map(|slice| slice.pixels.iter().map(|&v| back(v)).collect::<Vec<_>>());
    let pixels: Vec<f32> = pixels.collect();
    let channels = pixels.len() / (image.height * image.width);
    let read = Image::new(channels, image.height, image.width, pixels)
        .ok_or_else(|| DataError::new(path, "holds no image", ""))?;
    let x = tensor::image_to_unit(&read, bounds, &subject.model.device());
    // A colour image whose channels came out equal is read back as grey.
    let x = if channels == image.channels { x } else { x.expand([1, image.channels, image.height, image.width]) };
    let after = subject.judge_moved(&x, flow)?.measure;
    Ok(Saved { stored, clean: subject.clean.measure, before, after })
}

/// [`save_and_judge`] with a file that does not outlive it, at the stored depth (floats: 8 bits, since nothing else
/// would round them).
///
/// # Errors
/// As [`save_and_judge`].
pub fn round_and_judge(
    subject: &Subject,
    adversarial: &Tensor<4>,
    flow: Option<&Tensor<4>>,
    before: Measure,
) -> Result<Saved, ReportError> {
    let temporary = std::env::temp_dir();
    let folder = tempfile::tempdir().map_err(|e| DataError::new(&temporary, e.to_string(), ""))?;
    let ending = match subject.case.stored {
        StoredType::F32 => "png",
        stored => data::file_ending(stored),
    };
    save_and_judge(subject, adversarial, flow, before, &folder.path().join(format!("adversarial.{ending}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Distortion, Overlap, PixelError};
    use crate::study::Seen;

    fn measure(dice: f64, linf: f64) -> Measure {
        Measure {
            error: PixelError { l2: 0.0, rmse: 0.0, wrong: 0.0, pixels: 1 },
            overlap: Overlap { dice, iou: dice / (2.0 - dice) },
            distortion: Distortion { linf, l2: linf, ..Distortion::default() },
            seen: Seen::default(),
            decision: None,
            flipped: None,
            wished: None,
            clipped: None,
            displacement: None,
        }
    }

    fn saved(clean: f64, before: f64, after: f64) -> Saved {
        let stored = StoredType::U8;
        Saved { stored, clean: measure(clean, 0.0), before: measure(before, 0.01), after: measure(after, 0.01) }
    }

    #[test]
    fn what_is_left_is_told_in_both_directions() {
        let harm = saved(0.9, 0.5, 0.6);
        assert!((harm.kept().unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(harm.survival(), Survival::Survives);
        assert_eq!(saved(0.9, 0.5, 0.8).survival(), Survival::Weakened);
        assert_eq!(saved(0.9, 0.5, 0.9).survival(), Survival::Gone);
        // Inverse FGSM raises Dice.
        let help = saved(0.8, 0.9, 0.87);
        assert!((help.kept().unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(help.survival(), Survival::Survives);
        assert_eq!(saved(0.9, 0.895, 0.9).survival(), Survival::NoEffect);
    }

    #[test]
    fn a_perturbation_that_grew_is_noticed() {
        let mut saved = saved(0.9, 0.5, 0.5);
        assert!(!saved.grew());
        saved.after.distortion.linf = 0.02;
        assert!(saved.grew());
    }
}
