//! What the window (or any other front) and the engine say to each other. Messages are facts and wishes; the engine
//! never asks back.

use super::{
    AttackRun, ClassDice, ClassScores, ComparisonNews, ComparisonStart, DeviceChoice, Early, Plane, ReaderEvent,
    ReaderRequest, SeenFound, SeenWish, StimuliWish, Stimulus, StudyImages, StudyImagesWish, TargetWish, TrainNews,
    TrainRequest, TruthChoice, Unfinished,
};
use crate::attack::{Attack, Reference};
use crate::data::{About, Axis, Bounds, ClassLabel, Dataset, LabelMap, Region, Sample, StoredType, Thumbnail, Unit};
use crate::model::{self, ModelCard, Tiles};
use crate::study::report::ThresholdLine;
use crate::study::report::{ComparisonTable, Saved, SavedVolume};
use crate::study::{CurvePoint, Measure, SeenPlan, SweepPlan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A wish. Later wishes of the same kind replace earlier ones that were not yet served where only the last one
/// matters ([`Request::Epsilon`], [`Request::Slice`], [`Request::Attack`]).
#[derive(Clone, Debug)]
pub enum Request {
    /// Show the bundled sample with its label.
    OpenSample,
    /// Generate a sample and show it.
    Generate(Sample),
    /// Open an image or stack, at a slice, with a label file if given; or a folder as a data set, at an entry. The
    /// present case stays until it is read.
    Open {
        /// The image.
        image: PathBuf,
        /// The label, an image of the same size and number of slices (or one slice).
        label: Option<PathBuf>,
        /// Slice of the image, or entry of the data set, from 0; `None` is the middle of a stack without a label, else the
        /// first.
        slice: Option<usize>,
    },
    /// Show an entry of a data set with its label. The present case stays until it is read.
    OpenEntry {
        /// The data set.
        set: Arc<Dataset>,
        /// Which of its entries.
        index: usize,
    },
    /// Make thumbnails of these entries, the first ones first; what was wished for before and is not among them is
    /// dropped. Each is answered by an [`Event::Thumbnail`].
    Thumbnails {
        /// The data set.
        set: Arc<Dataset>,
        /// Which of its entries.
        indices: Vec<usize>,
    },
    /// Read a label for the present image.
    OpenLabel(PathBuf),
    /// Forget the label: the clean prediction becomes the reference.
    CloseLabel,
    /// Show another slice of the present stack.
    Slice(usize),
    /// Slice the volume along another axis, where it was seen last along it, at first in its middle.
    Axis(Axis),
    /// Change only the pixels of this region, as far as it fits the image; everywhere if `None`.
    Region(Option<Region>),
    /// Take this for the true class of the present image, of a model that classifies whole images.
    Truth(TruthChoice),
    /// Attacks are to reach this; only to leave the truth if `None`.
    Target(Option<TargetWish>),
    /// Read a mask of the present image's size that attacks are to reach, its values mapped as the label's, or guessed.
    OpenTarget(PathBuf),
    /// Map label values to classes; `None` guesses by agreement with the clean prediction of the present slice.
    LabelMap(Option<LabelMap>),
    /// Scale these pixel values to 0 and 1; the image is clipped to them.
    Bounds(Bounds),
    /// Read the pixel values as of this unit, which the file does not tell; bounds follow.
    Unit(Unit),
    /// Use the bundled model.
    OpenBundledModel,
    /// Read a model: an ONNX graph, or the weights of a U-Net, with the card (`.toml`) beside it if there is one.
    OpenModel(PathBuf),
    /// Forget the model that is being read; the present one stays.
    CancelModel,
    /// Use the model that was read from this file (`None`: the bundled one) as this card says, if it is still the present
    /// one. Nothing is written.
    Card {
        /// The model's file.
        of: Option<PathBuf>,
        /// The card.
        card: Box<ModelCard>,
    },
    /// Write the card in use beside the model's file, as TOML of the same name. Answered by an [`Event::CardSaved`].
    SaveCard,
    /// Choose the attack.
    Attack(Attack),
    /// Choose ε, as a fraction of the bounds' width. Answered by an [`Event::Frame`].
    Epsilon(f64),
    /// Stop the attack of the present frame between two of its steps; the best until then is shown and kept.
    StopAttack,
    /// Run an attack that was stopped anew.
    RunAttack,
    /// Compute somewhere else. The case and model stay.
    Device(DeviceChoice),
    /// Fill the curve of the present case, model and attack. Started by the engine itself whenever one of these
    /// changes; a request starts it anew with another plan.
    Sweep(SweepPlan),
    /// Measure these attacks over one grid of ε on the present case, one after the other. A job.
    Compare {
        /// The attacks.
        attacks: Vec<Attack>,
        /// ε as fractions of the bounds' width.
        epsilons: Vec<f64>,
    },
    /// Measure this of what a screen shows along the curve; the present curve's points are measured again.
    MeasureSeen(SeenPlan),
    /// Measure how visible the perturbation of two planes is; a newer wish replaces an older one. Answered by an [`Event::Seen`].
    Seen(Box<SeenWish>),
    /// Begin, go on with or end a reader study. Answered by an [`Event::Reader`].
    Reader(ReaderRequest),
    /// Read entries of a data set for a reader study. Answered by an [`Event::StudyImages`].
    StudyImages(StudyImagesWish),
    /// Make images ahead of a reader study; none any more if `None`. Each is an [`Event::Stimulus`]; where none can be made that is
    /// an [`Event::NoStimuli`].
    Stimuli(Option<StimuliWish>),
    /// Train, or do what belongs to it. Answered by [`Event::Train`].
    Train(TrainRequest),
    /// Pause or go on with the running job.
    PauseJob(bool),
    /// Cancel the running job; what it found stays.
    CancelJob,
    /// Cancel the file that is being read, if any.
    CancelOpen,
    /// Write something to disk.
    Export(Export),
}

impl Request {
    /// Whether a model that is being read, or tried, is wanted no longer.
    pub(super) fn outdates_model(&self) -> bool {
        matches!(self, Self::OpenBundledModel | Self::OpenModel(_) | Self::CancelModel)
    }

    /// What it asks for, for people; it names the [`Problem`] if it fails.
    pub fn title(&self) -> &'static str {
        match self {
            Request::OpenSample | Request::Generate(_) | Request::Open { .. } | Request::CancelOpen => "Open image",
            Request::OpenEntry { .. } => "Open image",
            Request::Thumbnails { .. } => "Thumbnails",
            Request::OpenLabel(_) | Request::CloseLabel | Request::LabelMap(_) => "Label",
            Request::Truth(_) => "Set the true class",
            Request::Target(_) | Request::OpenTarget(_) => "Set the target",
            Request::Bounds(_) | Request::Unit(_) => "Set bounds",
            Request::Slice(_) | Request::Axis(_) => "Show slice",
            Request::Region(_) => "Confine the attack",
            Request::OpenBundledModel | Request::OpenModel(_) | Request::CancelModel => "Open model",
            Request::Card { .. } => "Use card",
            Request::SaveCard => "Save card",
            Request::Attack(_) => "Choose attack",
            Request::Epsilon(_) => "Set ε",
            Request::StopAttack | Request::RunAttack => "Attack",
            Request::Device(_) => "Change device",
            Request::Seen(_) => "Measure what is seen",
            Request::Reader(_) | Request::Stimuli(_) | Request::StudyImages(_) => "Reader study",
            Request::Sweep(_) | Request::MeasureSeen(_) | Request::PauseJob(_) | Request::CancelJob => {
                "Measure the curve"
            }
            Request::Train(_) => "Train",
            Request::Compare { .. } => "Compare attacks",
            Request::Export(_) => "Export",
        }
    }
}

/// What to write to disk. Every file is written whole or not at all.
#[derive(Clone, Debug)]
pub enum Export {
    /// The adversarial image at the present ε, quantised to the stored depth, with spacing and orientation (PNG, TIFF, NumPy,
    /// NIfTI or DICOM by the ending), read back and judged again.
    Adversarial(PathBuf),
    /// All slices, each attacked as the present one, as one volume with spacing and orientation (TIFF, NumPy, NIfTI, or a folder
    /// with a DICOM series). A job: it tells its progress, pauses and cancels.
    AdversarialVolume(PathBuf),
    /// What the model sees in it, as class indices (as PNG and TIFF two classes are 0 and 255), in the same formats.
    PredictedMask(PathBuf),
    /// The present curve with its control (CSV, columns as `epsiloscope sweep`).
    CurveCsv(PathBuf),
    /// The present curve as a figure (SVG, or PNG by the file's ending).
    CurveFigure(PathBuf, Option<ThresholdLine>),
    /// Several attacks over one grid of ε, with their parameters (CSV).
    ComparisonCsv(PathBuf, Arc<ComparisonTable>),
    /// All views at the present ε, labelled, side by side, as one PNG.
    Views(PathBuf),
}

impl Export {
    /// The file to write.
    pub fn path(&self) -> &Path {
        match self {
            Self::Adversarial(path)
            | Self::AdversarialVolume(path)
            | Self::PredictedMask(path)
            | Self::CurveCsv(path)
            | Self::CurveFigure(path, _)
            | Self::ComparisonCsv(path, _)
            | Self::Views(path) => path,
        }
    }
}

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
    Model(Arc<ModelCard>, Arc<model::About>),
    /// The model was read, and looks at the image for the first time: this takes as long as the model is large.
    TryingModel,
    /// The attack changed without a wish: the model has no gradient.
    Attack(Attack),
    /// The device changed.
    Device(DeviceInfo),
    /// New pictures and numbers.
    Frame(Arc<Frame>),
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

/// What a person should know about the case that is shown.
#[derive(Clone, Debug)]
pub struct CaseInfo {
    /// Short name.
    pub name: String,
    /// The image file, if any.
    pub path: Option<PathBuf>,
    /// The label file, if any.
    pub label_path: Option<PathBuf>,
    /// Slice index, from 0 as everywhere.
    pub slice: usize,
    /// Number of slices.
    pub slices: usize,
    /// The class of the whole image, if it is known.
    pub class: Option<ClassLabel>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// How the file stores pixels.
    pub stored: StoredType,
    /// Scaled to [0, 1].
    pub bounds: Bounds,
    /// Between these it is shown at first, in pixel units.
    pub shown: Bounds,
    /// The 0.5 and 99.5 percentile of this slice, in pixel units.
    pub percentiles: Bounds,
    /// What the file says of the pixels: unit, spacing and orientation of the slice, the window that it wishes.
    pub about: Arc<About>,
    /// The axis along which the volume is sliced.
    pub axis: Axis,
    /// The names of the planes in which it can be sliced; empty where it is no volume.
    pub planes: Vec<(Axis, &'static str)>,
    /// The attack changes this part of the image only.
    pub region: Option<Region>,
    /// What the loss and the measures compare with.
    pub reference: Reference,
    /// Whose word the true class is, of a model that classifies whole images.
    pub truth_by: TruthChoice,
    /// What attacks wish in place of the truth.
    pub target: Option<TargetWish>,
    /// The map in force if there is a label.
    pub label_map: Option<LabelMap>,
    /// Whether the map was guessed.
    pub label_map_guessed: bool,
    /// There is a label, but every pixel of it is ignored on this slice: the clean prediction is the reference.
    pub label_is_empty: bool,
    /// The values that the label file stores, ascending.
    pub label_values: Vec<u32>,
    /// The tiles that the model computes it in, where its gradient would not fit into memory.
    pub tiles: Option<Tiles>,
    /// The slice in pixel units, for the pixel probe.
    pub image: crate::data::Image,
}

impl CaseInfo {
    /// Whether `other` is the same slice of the same image within the same bounds, whatever is chosen of it.
    pub fn shows_same(&self, other: &Self) -> bool {
        let place = |case: &Self| (case.axis, case.slice, case.shape, case.bounds);
        place(self) == place(other) && self.path == other.path && self.name == other.name
    }

    /// How the file stores a pixel, for people.
    pub fn stored_text(&self) -> &'static str {
        match self.about.numbers {
            "uint8" => "8-bit",
            "int8" => "signed 8-bit",
            "uint16" => "16-bit",
            "int16" => "signed 16-bit",
            "uint32" => "32-bit",
            "int32" => "signed 32-bit",
            "uint64" => "64-bit",
            "int64" => "signed 64-bit",
            "float16" => "16-bit float",
            "float32" => "32-bit float",
            "float64" => "64-bit float",
            _ => self.stored.name(),
        }
    }

    /// The part of the bounds that is shown at first, as shares of their width, lower < upper.
    pub fn shown_window(&self) -> [f32; 2] {
        self.window_of(self.shown)
    }

    /// A window in pixel units as shares of the bounds' width, cut to the bounds, lower < upper.
    pub fn window_of(&self, window: Bounds) -> [f32; 2] {
        let [lower, upper] = [window.lower, window.upper].map(|v| self.share(v).clamp(0.0, 1.0));
        if lower < upper { [lower, upper] } else { [0.0, 1.0] }
    }

    /// A value in pixel units as a share of the bounds' width.
    pub fn share(&self, value: f32) -> f32 {
        (value - self.bounds.lower) / self.bounds.width()
    }
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
}

/// Everything that the window shows at one ε. Planes that do not depend on ε are the same (same id) from frame to frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is of.
    pub case: Arc<CaseInfo>,
    /// ε of this frame, a fraction of the bounds' width.
    pub epsilon: f64,
    /// The attack of this frame.
    pub method: Attack,
    /// Counts cases, models and attacks: frames of one generation differ in ε only.
    pub generation: u64,
    /// The image in [0, 1], `[channels, h, w]`.
    pub original: Plane,
    /// ∇J where the attack has one, `[channels, h, w]`, in units of the loss per bounds' width.
    pub gradient: Option<Plane>,
    /// The largest magnitude in the gradient; 0 where there is none.
    pub gradient_peak: f32,
    /// The direction, entries in [−1, 1], `[channels, h, w]`.
    pub direction: Plane,
    /// adversarial − original, after clipping, `[channels, h, w]`.
    pub noise: Plane,
    /// The adversarial image in [0, 1], `[channels, h, w]`.
    pub adversarial: Plane,
    /// The predicted class of each pixel of the original and of the adversarial image, `[1, h, w]`, where the model has more
    /// than two.
    pub classes: Option<[Plane; 2]>,
    /// P(positive class) on the original, `[1, h, w]`.
    pub clean_probability: Plane,
    /// P(positive class) on the adversarial image, `[1, h, w]`.
    pub adversarial_probability: Plane,
    /// What a model that classifies whole images says. Planes of probabilities and classes are of one pixel then: the true class.
    pub scores: Option<ClassScores>,
    /// Dice of each class, of masks of more than two.
    pub class_dice: Option<ClassDice>,
    /// 1 where the reference (label or clean prediction) is the positive class, 0 elsewhere, −1 where ignored; `[1, h, w]`.
    pub reference: Plane,
    /// Measures of the clean image against the reference.
    pub clean: Measure,
    /// Measures of the adversarial image against the reference.
    pub adversarial_measure: Measure,
    /// The loss J of the clean image, where the attack computed it.
    pub loss: Option<f32>,
    /// Seconds from the wish to the planes.
    pub tick_secs: f64,
    /// Where the attack stands, if this is not its result.
    pub unfinished: Option<Unfinished>,
    /// For attacks that move pixels: the largest displacement, in pixels.
    pub displacement: Option<f32>,
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
