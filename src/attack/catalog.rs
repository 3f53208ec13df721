//! The attacks by name, with what a person needs to choose one.

use super::Method;

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
    /// The method itself.
    pub method: Method,
}

/// The name of the control.
pub const RANDOM_SIGN: &str = "random-sign";

/// Every attack, in the order of the menu. The control, random sign, is last.
pub const CATALOG: &[Entry] = &[
    Entry {
        name: "fgsm",
        title: "FGSM",
        description: "Fast gradient sign method: one step of ε in the direction that raises the loss, x + ε·sign(∇J).",
        source: "Goodfellow et al. 2015; Kwon and Jeong, AdvU-Net 2022, equation 2",
        method: Method::GradientSign { ascend: true },
    },
    Entry {
        name: "inverse-fgsm",
        title: "Inverse FGSM",
        description: "One step of ε in the direction that lowers the loss, x − ε·sign(∇J): made for augmentation on \
                      training images, since it uses the true label.",
        source: "Inverse FGSM (adversarial augmentation), equation 3",
        method: Method::GradientSign { ascend: false },
    },
    Entry {
        name: RANDOM_SIGN,
        title: "Random sign",
        description: "The control of every curve: x + ε·random signs, clipped to the bounds. It has the ε of FGSM and \
                      knows nothing of the model.",
        source: "control",
        method: Method::RandomSign { seed: 0 },
    },
];

/// The entry called `name`, if there is one.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOG.iter().find(|e| e.name == name)
}
