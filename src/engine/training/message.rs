//! What the window and the training lane say to each other.

use crate::engine::{DeviceChoice, Plane, Problem};
use crate::study::paper::Scale;
use crate::train::{DataTable, Ending, EpochRecord, PreviewKind, RecipeFile, Unit};
use std::path::PathBuf;

/// A wish about trainings.
#[derive(Clone, Debug)]
pub enum TrainRequest {
    /// Begin one.
    Start {
        /// How.
        recipe: Box<RecipeFile>,
        /// The weights to write (.safetensors); card, checkpoint and recipe lie beside them.
        out: PathBuf,
        /// Where it computes.
        device: DeviceChoice,
    },
    /// Go on with the one whose weights these are to be.
    Resume {
        /// The weights to write.
        out: PathBuf,
        /// Where it computes.
        device: DeviceChoice,
    },
    /// Pause before the next step, or go on. Also of a study.
    Pause(bool),
    /// End before the next step; the checkpoint stays. Also of a study.
    Cancel,
    /// Say what a recipe's data are, and show the crops of its first step.
    Preview(Box<RecipeFile>),
    /// Tell the unfinished trainings of a folder.
    Find(PathBuf),
    /// Read a recipe.
    Load(PathBuf),
    /// Write a recipe.
    Save(Box<RecipeFile>, PathBuf),
    /// Say what a study will cost.
    Price(Box<StudyWish>),
    /// Run a study.
    Study(Box<StudyWish>),
}

/// A paper's study as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyWish {
    /// `advu-net` or `inverse-fgsm`.
    pub name: String,
    /// The data sets.
    pub data: Vec<DataTable>,
    /// What is never parted, in place of what the study says: in each data set.
    pub by: Vec<Unit>,
    /// How much of it.
    pub scale: Scale,
    /// Epochs of each training in place of the scale's.
    pub epochs: Option<usize>,
    /// Seeds in place of the scale's.
    pub seeds: Option<usize>,
    /// Thresholds of observers.
    pub unseen: Option<PathBuf>,
    /// Go on with what the folder holds.
    pub resume: bool,
    /// Where everything is written.
    pub out: PathBuf,
    /// Where it computes.
    pub device: DeviceChoice,
}

/// A fact about trainings.
#[derive(Clone, Debug)]
pub enum TrainNews {
    /// Data are being read, and the network is being made.
    Preparing {
        /// The weights that will be written.
        out: PathBuf,
    },
    /// A training begins, or goes on.
    Started(Box<TrainStart>),
    /// Steps were taken.
    Steps(TrainSteps),
    /// An epoch ended.
    Epoch {
        /// Loss, learning rate and validation.
        record: EpochRecord,
        /// What the network makes of the same held-out images after each epoch.
        samples: Vec<TrainSample>,
    },
    /// Paused, or going on.
    Paused(bool),
    /// The training ended. The weights that did best are written.
    Ended {
        /// How.
        ending: Ending,
        /// The weights.
        out: PathBuf,
    },
    /// It failed; a checkpoint that was written stays.
    Failed(Problem),
    /// What the network will see of a recipe's data.
    Preview(Box<Preview>),
    /// A preview cannot be made, or a recipe not read or written.
    Refused(Problem),
    /// The unfinished trainings of a folder, the newest first.
    Found {
        /// Where.
        folder: PathBuf,
        /// Which.
        unfinished: Vec<Unfinished>,
    },
    /// A recipe was read.
    Loaded(Box<RecipeFile>, PathBuf),
    /// A recipe was written.
    Saved(PathBuf),
    /// What a study will cost.
    Priced(Box<StudyWish>, String),
    /// A study begins.
    StudyStarted(Box<StudyWish>),
    /// It tells how far it is.
    StudyLine {
        /// For people.
        line: String,
        /// Done, in [0, 1].
        share: f64,
    },
    /// It ended.
    StudyEnded(Result<PathBuf, StudyStop>),
}

/// Why a study has no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StudyStop {
    /// It was cancelled; what is done stays.
    Cancelled,
    /// It failed.
    Failed(Problem),
}

/// What is known of a training as it begins.
#[derive(Clone, Debug)]
pub struct TrainStart {
    /// The weights that will be written.
    pub out: PathBuf,
    /// How it is trained.
    pub recipe: RecipeFile,
    /// On what, in words.
    pub data: String,
    /// What people should know of who is held out.
    pub note: Option<String>,
    /// Held-out images.
    pub held_out: usize,
    /// Steps done and in all.
    pub steps: (usize, usize),
    /// Epochs in all.
    pub epochs: usize,
    /// Arithmetic that is left, in words.
    pub cost: String,
    /// Epochs that are done.
    pub history: Vec<EpochRecord>,
}

/// Steps that were taken since the last news.
#[derive(Clone, Debug)]
pub struct TrainSteps {
    /// Step and loss of each.
    pub losses: Vec<(usize, f32)>,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The learning rate of the last one.
    pub learning_rate: f64,
    /// Crops a second over the newest steps, validation included, pauses left out.
    pub crops_per_second: f64,
    /// Until the end, at that speed.
    pub remaining_secs: f64,
}

/// What the network makes of a held-out image.
#[derive(Clone, Debug)]
pub struct TrainSample {
    /// The image's name.
    pub name: String,
    /// The image in [0, 1].
    pub image: Plane,
    /// 1 where the label is positive (of several classes: not the first), 0 elsewhere, −1 where it does not count.
    pub label: Plane,
    /// The prediction, likewise.
    pub predicted: Plane,
}

/// What the network will see.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Of which recipe.
    pub recipe: RecipeFile,
    /// What is trained on, in words.
    pub data: String,
    /// What people should know of who is held out.
    pub note: Option<String>,
    /// Images that are held out.
    pub held_out: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: usize,
    /// Arithmetic in all, in words.
    pub cost: String,
    /// Weights of the network.
    pub parameters: usize,
    /// Crops of the first step.
    pub crops: Vec<PreviewPicture>,
}

/// A crop of a preview.
#[derive(Clone, Debug)]
pub struct PreviewPicture {
    /// Where it comes from.
    pub kind: PreviewKind,
    /// The crop of the step that it is, or was made of, from 0.
    pub crop: usize,
    /// That crop in [0, 1], of an adversarial sample.
    pub clean: Option<Plane>,
    /// The crop in [0, 1].
    pub image: Plane,
    /// Its target, as [`TrainSample::label`], of the crop's size.
    pub target: Plane,
}

/// A training that can be gone on with.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// The weights that it is to write.
    pub out: PathBuf,
    /// On what.
    pub data: String,
    /// Epochs done and in all.
    pub epochs: (usize, usize),
}
