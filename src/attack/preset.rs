//! Presets: the parameters, and the ε, with which a paper or a library ran an attack.

use super::{Attack, Entry};

/// The values that differ from the defaults, and the ε of the experiments.
#[derive(Debug)]
pub struct Preset {
    /// Whose it is: `Madry et al. 2018, CIFAR-10`.
    pub name: &'static str,
    /// Parameters that are not at their defaults, by name.
    pub values: &'static [(&'static str, f64)],
    /// ε of its experiments as fractions of the bounds' width, ascending; empty where it has none.
    pub epsilons: &'static [f64],
}

impl Preset {
    /// One of these values at these ε.
    pub const fn new(name: &'static str, values: &'static [(&'static str, f64)], epsilons: &'static [f64]) -> Self {
        Self { name, values, epsilons }
    }

    /// The attack of `entry` as this preset has it; a value that the attack cannot take stays at its default.
    pub fn attack(&self, entry: &'static Entry) -> Attack {
        let start = Attack::new(entry);
        self.values.iter().fold(start, |attack, (name, value)| attack.with(name, *value).unwrap_or(attack))
    }

    /// The ε to begin with: the middle one of its experiments.
    pub fn epsilon(&self) -> Option<f64> {
        self.epsilons.get(self.epsilons.len() / 2).copied()
    }
}

/// AdvU-Net: 0.1 to 0.9, section 4.3.
pub(super) const ADV_U_NET: Preset =
    Preset::new("Kwon and Jeong 2022 (AdvU-Net)", &[], &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
/// Inverse FGSM, table 2.
pub(super) const INVERSE_FGSM: Preset = Preset::new("Inverse FGSM paper, table 2", &[], &[0.0012, 0.0118, 0.1176]);
/// The no-sign study, table II: one step.
pub(super) const NO_SIGN: Preset =
    Preset::new("No-sign study, table II", &[], &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03]);
/// The same, table III: ten steps of 0.0005 to 0.003, so that ε is ten of them.
pub(super) const NO_SIGN_STEPS: Preset = Preset::new(
    "No-sign study, table III",
    &[("steps", 10.0), ("step", 0.1)],
    &[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
);
/// Cheng et al.'s code clips to the box.
pub(super) const CHENG: Preset = Preset::new("Cheng et al. 2021 (box)", &[("clip", 1.0)], &[]);
