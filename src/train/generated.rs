//! Synthetic sections as training data: a fresh one for every crop.

use super::{Source, TrainError, TrainingData};
use crate::data::Case;
use crate::data::synthetic::MembranesConfig;
use serde::{Deserialize, Serialize};

/// Seeds from here on are for validation and never trained on by a training of the same data seed.
const VALIDATION: u64 = 1 << 40;

/// The table `data.synthetic`: membranes that are generated while they are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct SyntheticTable {
    /// Of the first section.
    pub seed: u64,
    /// Sections an epoch.
    pub sections: usize,
    /// Sections that are never trained on; 0 for none.
    pub validate: usize,
    /// Their height and width in pixels.
    pub size: usize,
}

impl Default for SyntheticTable {
    fn default() -> Self {
        Self { seed: 1, sections: 512, validate: 16, size: 256 }
    }
}

impl SyntheticTable {
    /// Says what is out of range.
    ///
    /// # Errors
    /// If a number is.
    pub fn check(&self) -> Result<(), TrainError> {
        let Self { sections, validate, size, .. } = *self;
        for (name, value, least, most) in
            [("sections", sections, 1, 10_000_000), ("validate", validate, 0, 10_000), ("size", size, 32, 2048)]
        {
            if !(least..=most).contains(&value) {
                let field = format!("data.synthetic.{name}");
                return Err(TrainError::field(field, format!("{value}: use {least} to {most}")));
            }
        }
        Ok(())
    }

    /// The source, and the sections that are held out.
    pub fn open(&self) -> TrainingData {
        let train =
            Source::Synthetic { config: Box::new(MembranesConfig::default()), seed: self.seed, count: self.sections };
        let mut held = synthetic_cases(self.seed.wrapping_add(VALIDATION), self.validate, self.size);
        // Their seeds are numbers of thirteen digits, which tell nobody anything.
        held.iter_mut().enumerate().for_each(|(i, case)| case.name = format!("synthetic held-out {}", i + 1));
        TrainingData { train, validate: held.into() }
    }
}

/// Sections of `size`² from `seed` on, as cases.
pub fn synthetic_cases(seed: u64, count: usize, size: usize) -> Vec<Case> {
    let config = MembranesConfig::sized(size);
    let seeds = (0..count as u64).map(|i| seed.wrapping_add(i));
    seeds.map(|seed| config.section(seed).case(format!("synthetic {seed}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_sections_have_short_names_and_seeds_of_their_own() {
        let open = |seed| SyntheticTable { seed, sections: 4, validate: 2, size: 32 }.open().validate;
        let names: Vec<String> = open(1).iter().map(|case| case.name.clone()).collect();
        assert_eq!(names, ["synthetic held-out 1", "synthetic held-out 2"]);
        assert!(open(1)[0].image.pixels != open(2)[0].image.pixels, "the names are the same, the sections are not");
        assert!(
            open(1)[0].image.pixels != synthetic_cases(1, 1, 32)[0].image.pixels,
            "no section is trained on as well"
        );
    }
}
