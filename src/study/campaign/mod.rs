//! A campaign: attacks × images × models × data sets × seeds. What is made on one model is judged on all of them, so that each
//! attack gives a matrix of white box (the diagonal) and black box (transfer). Every result is a row of one table, appended as
//! soon as it is known and keyed by all that it depends on, so that a campaign that was cut off goes on where it was.

mod along;
mod chunk;
mod html;
mod images;
mod interval;
mod judge;
mod make;
mod notes;
mod one_step;
mod plan;
mod row;
mod run;
mod summary;
mod table;
mod windows;
mod windows_html;

pub use along::{AttackAlong, NormAlong};
pub use html::{campaign_html, counted};
pub use images::{CampaignSet, Fingerprint, Opened};
pub use interval::{share_interval, without_interval};
pub use one_step::OneStep;
pub use plan::{CampaignModel, CampaignPlan, Wish};
pub use row::{Row, RowKey};
pub use run::{CampaignError, Headway, one_task, run, run_watched};
pub use summary::{Cell, Least, Summary, summary_csv};
pub use table::{Table, TableError};
pub use windows::{ImageWindow, SetWindows, ShareAlong, window_words, windows, windows_csv};
