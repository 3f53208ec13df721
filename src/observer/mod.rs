//! Can a person see it? Reader studies: what is asked of an observer, where ε is placed next, what the answers say.
//!
//! [`Plan`] says what is shown, [`Procedure`] which trial is next, [`Session`] keeps every answer on disk, [`fit`] finds the
//! threshold, [`simulate`] proves the chain on observers whose threshold is known. No window and no picture here.

mod bootstrap;
mod detection;
mod display;
mod fit;
mod identity;
mod levels;
mod plan;
mod prior;
mod procedure;
mod psychometric;
mod quest_plus;
mod session;
mod setting;
mod simulate;
mod table;
mod threshold;

pub use bootstrap::bootstrap;
pub use detection::{d_prime_two_alternatives, d_prime_yes_no, normal_quantile, wilson};
pub use display::{CARD_WIDTH_MM, Calibration, CalibrationError, Display};
pub use fit::{Estimate, Fit, FitError, fit};
pub use identity::Identity;
pub use levels::{Level, distinguishable};
pub use plan::{Condition, Kind, Plan, PlanError, Slot, Task, Timing, drawn};
pub use procedure::{Answer, Answered, Next, Presented, Procedure, ProcedureError, SOONEST_SECS, Side, Trial};
pub use psychometric::{Block, Psychometric, threshold_probability};
pub use quest_plus::{Domain, QuestPlus, logarithmic};
pub use session::{Header, Session, SessionError, Stimuli, StimulusImage};
pub use setting::Setting;
pub use simulate::{Coverage, Simulation, SimulationError, simulate};
pub use table::{Row, export_csv, read_csv, rows_of};
pub use threshold::{
    AtEpsilon, Measured, ONE_DRAW, TableError, Thresholds, read_thresholds, thresholds, thresholds_csv,
};
