//! Parameters that several attacks of the catalogue have.

use super::parameter::Parameter;

const MANY: (f64, f64) = (1.0, 100_000.0);
const STEP: &str = "Length of a step; 0 stands for ε/steps";

pub(super) const fn steps(default: f64) -> Parameter {
    Parameter::count("steps", MANY, default, "Steps, each with a gradient of its own")
}

pub(super) const fn step(default: f64) -> Parameter {
    Parameter::number("step", "× ε", (0.0, 10.0), default, STEP)
}

pub(super) const CLIP: Parameter = Parameter::choice(
    "clip",
    &["none", "box"],
    0,
    "Whether pixels stay within ε (box, as Cheng et al.’s code) or only within the bounds (none, as the no-sign study)",
);
pub(super) const NORM: Parameter = Parameter::choice("norm", &["linf", "l2"], 0, "The norm that ε bounds");
pub(super) const RESTARTS: Parameter =
    Parameter::count("restarts", (1.0, 1000.0), 1.0, "Runs from other random starts, of which the best is kept");

/// Of none of the pixels everything would be a success.
pub(super) const SHARE: Parameter = Parameter::number(
    "share",
    "",
    (1e-6, 1.0),
    0.5,
    "For masks: the share of counted pixels that must be as the attack wants them",
);

pub(super) const fn random_start(default: usize) -> Parameter {
    Parameter::choice("random-start", &["no", "yes"], default, "Start at a uniform random place in the ball")
}
