//! Measured experiments: a case on a model, judged along ε, and the reports that say what was found.

mod curve;
mod subject;

pub use curve::{Curve, CurvePoint, Measure};
pub use subject::{Judged, Subject};
