//! Measured experiments: a case on a model, judged along ε, and the reports that say what was found.

mod curve;
pub mod report;
mod subject;
mod sweep;

pub use curve::{Curve, CurvePoint, Measure};
pub use subject::{Judged, Subject};
pub use sweep::{CONTROL_SEED, Step, Sweep, SweepPlan, sweep};
