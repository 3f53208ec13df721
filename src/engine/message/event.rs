//! What has happened.

use super::{CaseInfo, Frame, Pictures};
use crate::attack::Attack;
use crate::data::{Dataset, Thumbnail};
use crate::engine::{
    AttackRun, ComparisonNews, ComparisonStart, DeviceChoice, Early, ReaderEvent, SeenFound, Stimulus, StudyImages,
    TrainNews,
};
use crate::model::{About, ModelCard};
use crate::study::report::{Saved, SavedVolume};
use crate::study::{CurvePoint, Measure};
use std::path::PathBuf;
use std::sync::Arc;

/// A fact.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few events a second; a box would only add a line to every one that is made"
)]
pub enum Event {
    /// A file is being read.
    Opening(PathBuf),
    /// The share of it that is read, in [0, 1].
    Read(f32),
    /// A data set was opened; its first wished entry follows as a case. Also the slices of a stack are one.
    Dataset(Arc<Dataset>),
    /// A thumbnail was made, or why it cannot be.
    Thumbnail {
        /// The data set.
        set: Arc<Dataset>,
        /// Which of its entries.
        index: usize,
        /// The picture.
        made: Result<Thumbnail, String>,
    },
    /// The case will change: the [`Event::Frame`] with its pictures, which says that it is of this case, follows. Until then
    /// what is on the screen is of the case before.
    Case(Arc<CaseInfo>),
    /// What there is of the coming case before its first [`Event::Frame`].
    Early(Arc<Early>),
    /// A model is being read. An [`Event::Model`] or a failure follows, unless it is cancelled.
    OpeningModel(PathBuf),
    /// The share of its file that is read, in [0, 1].
    ModelRead(f32),
    /// The card in use was written to this file.
    CardSaved(PathBuf),
    /// The model changed.
    Model(Arc<ModelCard>, Arc<About>),
    /// The model was read, and looks at the image for the first time: this takes as long as the model is large.
    TryingModel,
    /// The attack changed without a wish: the model has no gradient.
    Attack(Attack),
    /// The device changed.
    Device(DeviceInfo),
    /// New pictures and numbers.
    Frame(Arc<Frame>),
    /// New pictures whose numbers are still being read from a device that the display shares; their [`Event::Frame`] follows.
    Pictures(Arc<Pictures>),
    /// An attack of many steps under way, or its end.
    Attacking(AttackRun),
    /// The engine works on a new frame (`true`) or waits for wishes (`false`).
    Computing(bool),
    /// A new curve begins; points of older generations are of another case, model or attack.
    CurveStarted {
        /// Counts curves.
        generation: u64,
        /// The attack.
        method: Attack,
        /// The clean image's measures: the baseline.
        clean: Measure,
    },
    /// One more point. Points come in any order of ε and are never taken back.
    CurvePoint {
        /// The curve that it belongs to.
        generation: u64,
        /// The attack's curve or the control's.
        series: Series,
        /// The point.
        point: CurvePoint,
    },
    /// Several attacks are measured; what was measured of others before is of another comparison.
    ComparisonStarted(Arc<ComparisonStart>),
    /// One more point of one of them.
    Compared(ComparisonNews),
    /// The job's progress; also its end.
    Job(JobStatus),
    /// How visible the perturbation is.
    Seen(Arc<SeenFound>),
    /// News of a reader study.
    Reader(ReaderEvent),
    /// Images of a data set that a reader study may show.
    StudyImages(StudyImages),
    /// An image for a reader study.
    Stimulus(Stimulus),
    /// No image of a reader study's wish comes.
    NoStimuli {
        /// Of which wish.
        id: u64,
        /// Why.
        why: String,
    },
    /// News of a training or a study.
    Train(Box<TrainNews>),
    /// Something was written.
    Exported(ExportReport),
    /// Something failed; what was there before still is.
    Failed(Problem),
}

/// Which of the two curves a point belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// The chosen attack.
    Attack,
    /// Random sign noise of the same ε.
    Control,
}

/// The state of the job lane.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStatus {
    /// What runs, for people: `curve`.
    pub name: String,
    /// Steps done.
    pub done: usize,
    /// Steps in all, as far as known.
    pub total: usize,
    /// Estimated seconds left, once known.
    pub remaining_secs: Option<f64>,
    /// Whether it runs.
    pub state: JobState,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It computes.
    Running,
    /// It waits to go on.
    Paused,
    /// It is done.
    Finished,
    /// It was cancelled; what it found stays.
    Cancelled,
    /// It failed; what it found stays. An [`Event::Failed`] says why.
    Failed,
}

/// The device in use.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// What was asked for.
    pub choice: DeviceChoice,
    /// What it is, for people: `CPU (Flex)` or the adapter's name.
    pub description: String,
    /// Whether tensors live on the renderer's own device.
    pub shared: bool,
    /// Whether variants of each kernel are tried when it runs first, which takes its time.
    pub tunes: bool,
}

/// Something was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportReport {
    /// The file.
    pub path: PathBuf,
    /// For an adversarial image: what is left of the attack in the file.
    pub saved: Option<Saved>,
    /// For an adversarial volume: the same, of all slices.
    pub volume: Option<SavedVolume>,
}

/// Something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What was being done: `Open image`.
    pub what: String,
    /// Why it failed, and what would work. Names the file.
    pub why: String,
}
