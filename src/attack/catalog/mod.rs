//! The attacks by name: what a person needs to choose one, and all that panels, flags, files and tests need to use it.

mod entries;

pub use entries::{CATALOG, RANDOM_SIGN};

use super::parameter::Parameter;
use super::preset::Preset;
use super::rows::Method;
use super::{Attack, AttackError};

/// What ε means to an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsilonMeaning {
    /// The radius of the ball that the perturbation stays in.
    Radius,
    /// How strong it is, from 0 to 1, without a bound on the change of a pixel.
    Strength,
    /// Nothing: the attack looks for the smallest perturbation that succeeds, and its norm is part of the result.
    Found,
}

/// One line of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// The name on the command line and in CSV files: `fgsm`.
    pub name: &'static str,
    /// The name in the window: `FGSM`.
    pub title: &'static str,
    /// One or two sentences: what it does.
    pub description: &'static str,
    /// Where it is defined.
    pub source: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Its parameters as papers and libraries set them.
    pub presets: &'static [Preset],
    /// What ε means to it.
    pub epsilon: EpsilonMeaning,
    /// Whether it is defined for models that segment.
    pub masks: bool,
    /// Whether it is defined for models that classify whole images.
    pub classes: bool,
    /// Whether it can have a target.
    pub targeted: bool,
    /// It lowers the loss of what is true, and so uses the answer: for augmentation of training images.
    pub lowers_the_loss: bool,
    /// Whether it looks at the model's gradient.
    pub gradient: bool,
    /// Makes the method.
    pub(in crate::attack) method: fn(&Attack) -> Box<dyn Method>,
}

impl Attack {
    /// FGSM.
    pub const FGSM: Self = Self::new(&CATALOG[0]);
    /// Inverse FGSM.
    pub const INVERSE_FGSM: Self = Self::new(&CATALOG[1]);

    /// The control, with the signs of `seed`.
    ///
    /// # Errors
    /// If the seed does not fit into 32 bits.
    pub fn random_sign(seed: u64) -> Result<Self, AttackError> {
        Self::named(RANDOM_SIGN)?.with("seed", seed as f64)
    }
}

/// The entry called `name`, if there is one.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|e| e.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_constants_are_what_they_say() {
        assert_eq!((Attack::FGSM.name(), Attack::INVERSE_FGSM.name()), ("fgsm", "inverse-fgsm"));
        for entry in CATALOG {
            assert_eq!(CATALOG.iter().filter(|e| e.name == entry.name || e.title == entry.title).count(), 1);
            assert!(!entry.description.is_empty() && !entry.source.is_empty(), "{}", entry.name);
            for preset in entry.presets {
                for (name, value) in preset.values {
                    let parameter = entry.parameters.iter().find(|p| p.name == *name);
                    assert!(
                        parameter.is_some_and(|p| p.check(*value).is_ok()),
                        "{}: {}: {name}",
                        entry.name,
                        preset.name
                    );
                    assert_eq!(preset.attack(entry).get(name), Some(*value));
                }
                assert!(!preset.source.is_empty(), "{}", preset.name);
                assert!(preset.epsilons.is_sorted() && preset.epsilons.iter().all(|e| (0.0..=1.0).contains(e)));
            }
        }
    }
}
