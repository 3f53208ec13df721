//! What the window (or any other front) and the engine say to each other. Messages are facts and wishes; the engine
//! never asks back.

mod event;
mod pictures;
mod request;
mod shown;

pub use event::{DeviceInfo, Event, ExportReport, JobState, JobStatus, Problem, Series};
pub use pictures::Pictures;
pub use request::{Export, FigureWish, Request};
pub use shown::{CaseInfo, Frame};
