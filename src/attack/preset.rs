//! Presets: the parameters, and the ε, with which a paper or a library ran an attack.

use super::{Attack, Entry};

/// The values that differ from the defaults, and the ε of the experiments.
#[derive(Debug)]
pub struct Preset {
    /// Whose it is: `Madry et al. 2018, CIFAR-10`.
    pub name: &'static str,
    /// Where that stands: a section, a table, a file of the authors' code.
    pub source: &'static str,
    /// Parameters that are not at their defaults, by name.
    pub values: &'static [(&'static str, f64)],
    /// ε of its experiments as fractions of the bounds' width, ascending; empty where it has none.
    pub epsilons: &'static [f64],
}

impl Preset {
    /// One of these values at these ε, as `source` has them.
    pub const fn new(
        name: &'static str,
        source: &'static str,
        values: &'static [(&'static str, f64)],
        epsilons: &'static [f64],
    ) -> Self {
        Self { name, source, values, epsilons }
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

pub(super) const ADV_U_NET: Preset = Preset::new(
    "Kwon and Jeong 2022 (AdvU-Net)",
    "section 4.3: ε from 0.1 to 0.9",
    &[],
    &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
);
pub(super) const INVERSE_FGSM: Preset =
    Preset::new("Inverse FGSM paper, table 2", "table 2", &[], &[0.0012, 0.0118, 0.1176]);
pub(super) const NO_SIGN: Preset = Preset::new(
    "No-sign study, table II",
    "table II, which runs from 0.0005 to 0.03",
    &[],
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03],
);
/// Ten steps of 0.0005 to 0.003, so that ε is ten of them.
pub(super) const NO_SIGN_STEPS: Preset = Preset::new(
    "No-sign study, table III",
    "table III: T = 10, steps from 0.0005 to 0.003, of which ε is ten",
    &[("steps", 10.0), ("step", 0.1)],
    &[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
);
pub(super) const CHENG: Preset = Preset::new(
    "Cheng et al. 2021 (box)",
    "the authors’ attack.py: max_epsilon 16, clipped to x_min and x_max after each step",
    &[("clip", 1.0)],
    &[16.0 / 255.0],
);
/// The authors' evaluation of segmentation networks runs both attacks alike.
pub(super) const AGNIHOTRI: Preset = Preset::new(
    "Agnihotri et al. 2024, code",
    "the scripts of the authors’ evaluation: 20 iterations, alpha 0.01, ε 8 of 255",
    &[("steps", 20.0), ("step", 0.01 * 255.0 / 8.0)],
    &[8.0 / 255.0],
);
