//! The workers: [`Request`] in, [`Event`] out. One thread serves the interactive lane (latest wins), one runs jobs
//! in steps; files are read and written on threads of their own. No egui, no cubecl here: what the window shows
//! leaves as [`Plane`]s made by a [`Publish`] that the window hands in.

mod message;
mod plane;

pub use message::{
    CaseInfo, DeviceInfo, Event, Export, ExportReport, Frame, JobState, JobStatus, Problem, Request, Series, Survival,
    SweepPlan,
};
pub use plane::{Plane, Publish, Storage, host_plane};
