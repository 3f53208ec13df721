//! Measured experiments: a case on a model, judged along ε, and the reports that say what was found.

mod adversary;
mod batch;
pub mod campaign;
mod curve;
mod decision;
mod epsilon_window;
mod judged;
mod limit;
mod masking;
mod moved;
pub mod paper;
pub mod report;
mod seen;
mod subject;
mod sweep;
mod window_summary;

pub use adversary::{Adversary, Attempt};
pub use batch::{
    BatchCase, BatchLimits, BatchResult, MASK_SHARE, Truth, attack_cases, attack_cases_watched, attack_cases_within,
    cases_at_once, kept_in_pixels, measured_norm,
};
pub(crate) use curve::same_epsilon;
pub use curve::{Curve, CurvePoint, Measure};
pub use decision::Decision;
pub use epsilon_window::{
    EpsilonWindow, MeasuredInterval, MeasuredPoint, Suggestion, measured_intervals, windows_by_metric,
};
pub use judged::Judged;
pub use limit::Limit;
pub use masking::{ZERO_SHARE, does_more, masking_notes, one_step_note, random_note, zeros_note};
pub use seen::{Seen, SeenMetric, SeenPlan, SeenWanted};
pub use subject::Subject;
pub use sweep::{CONTROL_SEED, Step, Sweep, SweepPlan, sweep, sweep_watched};
pub use window_summary::{Spread, WindowSummary, summarise};
