//! What can be wished for.

use crate::attack::Attack;
use crate::data::{Axis, Bounds, Dataset, LabelMap, Region, Sample, Unit};
use crate::engine::{
    DeviceChoice, ReaderRequest, SeenWish, StimuliWish, StudyImagesWish, TargetWish, TrainRequest, TruthChoice,
};
use crate::model::ModelCard;
use crate::study::report::{ComparisonTable, Criterion, ThresholdLine};
use crate::study::{Limit, SeenPlan, SweepPlan};
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
    /// dropped. Each is answered by an [`Event::Thumbnail`](super::Event::Thumbnail).
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
    /// Write the card in use beside the model's file, as TOML of the same name. Answered by an
    /// [`Event::CardSaved`](super::Event::CardSaved).
    SaveCard,
    /// Choose the attack.
    Attack(Attack),
    /// Choose ε, as a fraction of the bounds' width. Answered by an [`Event::Frame`](super::Event::Frame).
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
    /// Measure how visible the perturbation of two planes is; a newer wish replaces an older one. Answered by an
    /// [`Event::Seen`](super::Event::Seen).
    Seen(Box<SeenWish>),
    /// Begin, go on with or end a reader study. Answered by an [`Event::Reader`](super::Event::Reader).
    Reader(ReaderRequest),
    /// Read entries of a data set for a reader study. Answered by an [`Event::StudyImages`](super::Event::StudyImages).
    StudyImages(StudyImagesWish),
    /// Make images ahead of a reader study; none any more if `None`. Each is an [`Event::Stimulus`](super::Event::Stimulus);
    /// where none can be made that is an [`Event::NoStimuli`](super::Event::NoStimuli).
    Stimuli(Option<StimuliWish>),
    /// Train, or do what belongs to it. Answered by [`Event::Train`](super::Event::Train).
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
    pub(in crate::engine) fn outdates_model(&self) -> bool {
        matches!(self, Self::OpenBundledModel | Self::OpenModel(_) | Self::CancelModel)
    }

    /// What it asks for, for people; it names the [`Problem`](super::Problem) if it fails.
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
    /// The present curve as a figure (SVG, or PNG by the file's ending), judged as told.
    CurveFigure(PathBuf, Box<FigureWish>),
    /// Several attacks over one grid of ε, with their parameters (CSV).
    ComparisonCsv(PathBuf, Arc<ComparisonTable>),
    /// All views at the present ε, labelled, side by side, as one PNG.
    Views(PathBuf),
}

/// By what the figure of a curve is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FigureWish {
    /// What counts as broken.
    pub criterion: Criterion,
    /// From where on it is seen.
    pub limit: Option<Limit>,
    /// An observer's threshold.
    pub threshold: Option<ThresholdLine>,
    /// From the eye to the screen in mm, where it was measured.
    pub distance_mm: Option<f64>,
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
