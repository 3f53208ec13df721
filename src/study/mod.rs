//! Measured experiments: a case on a model, judged along ε, and the reports that say what was found.

mod adversary;
mod batch;
mod curve;
mod decision;
mod epsilon_window;
pub mod paper;
pub mod report;
mod seen;
mod subject;
mod sweep;

pub use adversary::{Adversary, Attempt};
pub use batch::{BatchCase, BatchResult, Truth, attack_cases, measured_norm};
pub use curve::{Curve, CurvePoint, Measure};
pub use decision::Decision;
pub use epsilon_window::{
    EpsilonWindow, MeasuredInterval, Spread, Suggestion, WindowSummary, measured_intervals, summarise,
};
pub use seen::{Limit, Seen, SeenMetric, SeenPlan};
pub use subject::{Judged, Subject};
pub use sweep::{CONTROL_SEED, Step, Sweep, SweepPlan, sweep};
