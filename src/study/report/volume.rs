//! A whole volume attacked slice by slice, as a file that lies where the original does, judged as it is stored.

use super::ReportError;
use crate::attack::Attack;
use crate::data::{Case, LabelMap, LabelStack, Made, Region, Stack, write_stack};
use crate::model::Model;
use crate::study::{Adversary, Subject};
use crate::tensor;
use std::path::Path;
use std::sync::Arc;

/// What is done to each slice.
#[derive(Clone)]
pub struct VolumeAttack {
    /// The volume.
    pub stack: Arc<Stack>,
    /// Its label and what the values mean, if there is one; the clean prediction is the reference where there is none.
    pub label: Option<(Arc<LabelStack>, LabelMap)>,
    /// Only these pixels of each slice are changed; all if `None`.
    pub region: Option<Region>,
    /// The model.
    pub model: Arc<dyn Model>,
    /// The attack.
    pub method: Attack,
    /// ε, a fraction of the bounds' width.
    pub epsilon: f64,
}

/// A volume on its way.
pub struct VolumeRun {
    attack: VolumeAttack,
    values: Vec<f32>,
    saved: SavedVolume,
}

/// What is left of the attack in a file of all slices: means over the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SavedVolume {
    /// Slices.
    pub slices: usize,
    /// Dice of the clean slices.
    pub clean_dice: f64,
    /// Dice of the adversarial slices before they were rounded.
    pub before_dice: f64,
    /// Dice of what the file holds.
    pub after_dice: f64,
}

impl VolumeRun {
    /// Nothing is attacked yet.
    pub fn new(attack: VolumeAttack) -> Self {
        Self { attack, values: Vec::new(), saved: SavedVolume::default() }
    }

    /// Slices done, and in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.saved.slices, self.attack.stack.slices)
    }

    /// Attacks the next slice, rounds it to what the file stores, and judges both. `false` if none is left.
    ///
    /// # Errors
    /// If a slice does not fit the model, or the device fails.
    pub fn step(&mut self) -> Result<bool, ReportError> {
        let VolumeAttack { stack, label, region, model, method, epsilon } = &self.attack;
        let slice = self.saved.slices;
        if slice >= stack.slices {
            return Ok(false);
        }
        let mut case = Case::from_slice(stack, slice, stack.name())?;
        let mask = label.as_ref().and_then(|(label, map)| label.mask(slice, map));
        case.label = mask.filter(|mask| !mask.is_all_ignored());
        let subject = Arc::new(Subject::new(Arc::new(case), model.clone())?.confined(region.clone()));
        let found = Adversary::new(subject.clone(), *method)?.attempt_last(*epsilon)?;
        let before = subject.judge_moved(&found.image, found.flow.as_ref())?.measure;
        let image = tensor::unit_to_image(found.image, subject.case.bounds)?;
        let stored = subject.case.as_stack(&image)?;
        let rounded = stored.slice(0).filter(|rounded| rounded.channels == image.channels).unwrap_or(image);
        let x = tensor::image_to_unit(&rounded, subject.case.bounds, &model.device());
        let after = subject.judge_moved(&x, found.flow.as_ref())?.measure;
        self.values.extend_from_slice(&rounded.pixels);
        let saved = &mut self.saved;
        saved.slices += 1;
        let mix = |mean: &mut f64, value: f64| *mean += (value - *mean) / saved.slices as f64;
        mix(&mut saved.clean_dice, subject.clean.measure.overlap.dice);
        mix(&mut saved.before_dice, before.overlap.dice);
        mix(&mut saved.after_dice, after.overlap.dice);
        Ok(true)
    }

    /// Writes the volume, whole or not at all.
    ///
    /// # Errors
    /// If slices are missing, or the file cannot be written.
    pub fn write(self, path: &Path) -> Result<SavedVolume, ReportError> {
        let VolumeAttack { stack, method, epsilon, .. } = &self.attack;
        let made = Made {
            title: "adversarial volume".to_owned(),
            description: format!(
                "Adversarial example made by Epsiloscope, every slice attacked: {}, epsilon {epsilon:.5} of the width of the bounds {} to {}",
                method.name(),
                stack.bounds.lower,
                stack.bounds.upper
            ),
            synthetic: true,
            ..Made::default()
        };
        write_stack(path, &stack.with_values(self.values)?, &made)?;
        Ok(self.saved)
    }
}
