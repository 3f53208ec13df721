//! Attacks: how an image is changed, within ε, so that a model fails. Each is a value that names its method; the
//! code here that all of them share validates bounds, scales by ε and clips. Images are `[batch, channels, height,
//! width]`, scaled so that the case's bounds are `[0, 1]`; ε is in the same unit, a fraction of the bounds' width.

mod catalog;
mod gradient;
mod objective;

pub use catalog::{CATALOG, Entry, RANDOM_SIGN, find};
pub use gradient::{Direction, Method};
pub use objective::{Objective, Reference, input_gradient};
