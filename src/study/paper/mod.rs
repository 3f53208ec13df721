//! The papers' experiments as declarative files (`advu-net.toml`, `inverse-fgsm.toml`), run fold after fold or row after row.
//!
//! `work` trains and goes on where it was, `price` says what that costs, `advu_net` (with `folds`) and `inverse_fgsm` measure,
//! `advu_report` (with `advu_ratio`, `networks` and `noticed`) and `inverse_report` (with `claims`) write what the papers' tables and figures show,
//! `interval` says how sure, `learned` whether a network tells anything, `facts` what it was made with, `gallery` makes the tables of
//! pictures, `page`, `chart` and `dots` the report of it: one HTML file, with each table as CSV beside it. `made` generates data sets
//! that a study can name.

mod advu_net;
mod advu_ratio;
mod advu_report;
mod chart;
mod claims;
mod dots;
mod facts;
mod folds;
mod gallery;
mod interval;
mod inverse_fgsm;
mod inverse_report;
mod learned;
mod made;
mod networks;
mod noticed;
mod page;
mod price;
#[cfg(test)]
mod tests;
mod work;

use super::report::ReportError;
use crate::attack::AttackError;
use crate::data::DataError;
use crate::model::ModelError;
use crate::train::{
    Adversarial, Augmentation, Control, DataRead, DataTable, Recipe, RecipeFile, Split, TrainError, Unit,
};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The files, by name.
const FILES: [(&str, &str); 2] =
    [("advu-net", include_str!("advu-net.toml")), ("inverse-fgsm", include_str!("inverse-fgsm.toml"))];

/// A study as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StudyFile {
    /// On the command line.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it follows.
    pub paper: String,
    kind: Kind,
    #[serde(default)]
    folds: usize,
    attack: String,
    epsilons: Vec<f64>,
    #[serde(default)]
    marked: f64,
    #[serde(default)]
    paper_errors: [f64; 2],
    #[serde(default)]
    epochs_shown: Vec<usize>,
    seeds: Vec<u64>,
    #[serde(default)]
    unseen: Unseen,
    recipe: RecipeFile,
    #[serde(default)]
    rows: Vec<Row>,
    scales: Scales,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Folds,
    Augmentations,
}

/// On the other side of these a change counts as noticed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unseen {
    ssim: f64,
    vif: f64,
    butteraugli: f64,
}

/// A training that differs from the plain one in one thing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    augmentation: Option<Augmentation>,
    #[serde(default)]
    adversarial: Option<Adversarial>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scales {
    quick: Changes,
    cpu: Changes,
    paper: Changes,
}

/// What a scale changes.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Changes {
    base: Option<usize>,
    epochs: Option<usize>,
    resize: Option<usize>,
    crop: Option<usize>,
    batch: Option<usize>,
    folds: Option<usize>,
    images: Option<usize>,
    seeds: Option<usize>,
}

/// How much of a study is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Minutes: to see that it runs. Its numbers say little.
    Quick,
    /// What a CPU can do in hours to days.
    #[default]
    Cpu,
    /// As the paper says, for a GPU.
    Paper,
}

impl Scale {
    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick: a check that everything runs and is written; its numbers say little of the paper",
            Self::Cpu => "smaller than the paper’s, for a CPU",
            Self::Paper => "the paper’s",
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The data sets, each with a name; what a table leaves out is as the study says.
    pub data: Vec<DataTable>,
    /// What is never parted, in place of what the study says: for all data sets, or for each.
    pub by: Vec<Unit>,
    /// Where everything is written.
    pub out: PathBuf,
    /// How much.
    pub scale: Scale,
    /// Epochs in place of the scale's.
    pub epochs: Option<usize>,
    /// Seeds, each a training of its own, in place of the scale's.
    pub seeds: Option<usize>,
    /// Thresholds of observers, as `epsiloscope observer fit --out` writes them.
    pub unseen: Option<PathBuf>,
    /// Go on with what `out` holds.
    pub resume: bool,
    /// Where it computes.
    pub device: Device,
    /// The same for people.
    pub device_name: String,
    /// The command that does the same again.
    pub command: String,
    /// Pauses and cancels it, from another thread.
    pub control: Control,
}

/// Hears lines of progress, each with the share of the study that is done.
pub type Told<'a> = &'a mut dyn FnMut(&str, f64);

/// Why a study ended.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Asked(String),
    /// It was cancelled.
    #[error("the study was cancelled. What is done stays, and it can be resumed")]
    Cancelled,
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model or its device.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An attack.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// The studies' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

impl StudyFile {
    /// The study called `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self, StudyError> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            StudyError::Asked(format!("there is no study ‘{name}’. Use {}", names().collect::<Vec<_>>().join(" or ")))
        })?;
        toml::from_str(text).map_err(|e| StudyError::Asked(format!("the study’s own file is wrong: {e}")))
    }

    /// What is never parted unless somebody asks for another.
    pub fn unit(&self) -> Unit {
        match self.recipe.data.split {
            Some(Split::HoldOut { by, .. } | Split::KFold { by, .. }) => by,
            _ => Unit::default(),
        }
    }

    fn changes(&self, scale: Scale) -> Changes {
        match scale {
            Scale::Quick => self.scales.quick,
            Scale::Cpu => self.scales.cpu,
            Scale::Paper => self.scales.paper,
        }
    }

    /// The plain recipe at this scale.
    fn recipe(&self, options: &StudyOptions) -> Result<(RecipeFile, Recipe), StudyError> {
        let changes = self.changes(options.scale);
        let mut file = self.recipe.clone();
        file.network.base = changes.base.or(file.network.base);
        file.training.epochs = options.epochs.or(changes.epochs).or(file.training.epochs);
        file.training.crop = changes.crop.or(file.training.crop);
        file.training.batch = changes.batch.or(file.training.batch);
        file.data.resize = changes.resize.map(|side| [side, side]).or(file.data.resize);
        if file.network.preset.is_some() && changes.base.is_some() && file.training.crop.is_none() {
            // Table 1's input; a smaller network has no size of its own.
            file.training.crop = Some(224);
        }
        let recipe = file.recipe()?;
        recipe.check()?;
        Ok((file, recipe))
    }

    /// The seeds of the trainings: as many as are asked for, else as many as the scale has.
    fn seeds(&self, options: &StudyOptions) -> Vec<u64> {
        let count = options.seeds.or(self.changes(options.scale).seeds).unwrap_or(self.seeds.len()).max(1);
        let next = self.seeds.last().map_or(1, |last| last + 1);
        self.seeds.iter().copied().chain(next..).take(count).collect()
    }

    /// The data table of a data set by its place: what is asked for, and for the rest what the study says.
    fn table(&self, file: &RecipeFile, options: &StudyOptions, place: usize) -> DataTable {
        let mut split = file.data.split;
        let by = options.by.get(place).or(options.by.first());
        if let (Some(by), Some(Split::HoldOut { by: unit, .. } | Split::KFold { by: unit, .. })) = (by, &mut split) {
            *unit = *by;
        }
        let asked = &options.data[place];
        DataTable {
            label_map: asked.label_map.clone().or_else(|| file.data.label_map.clone()),
            classes: asked.classes.clone().or_else(|| file.data.classes.clone()),
            resize: asked.resize.or(file.data.resize),
            split,
            ..asked.clone()
        }
    }
}

/// Runs a study; `told` hears lines of progress. Returns the report's path.
///
/// # Errors
/// If the data cannot be used, a training diverges, the device fails or a file cannot be written; what is done stays, and
/// `resume` goes on with it.
pub fn run(name: &str, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    let study = asked(name, options)?;
    if options.scale == Scale::Quick {
        told(
            "note: a quick study checks that everything runs and is written; its numbers say little of the paper",
            0.0,
        );
    }
    if work::holds_something(options) && !options.resume {
        let cause = "holds a study already";
        let hint = "Go on with it by --resume, or choose another folder";
        return Err(DataError::new(&options.out, cause, hint).into());
    }
    run_study(&study, &made::with_data(options, &options.out.join("data"))?, told)
}

fn run_study(study: &StudyFile, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    match study.kind {
        Kind::Folds => advu_net::run(study, options, told),
        Kind::Augmentations => inverse_fgsm::run(study, options, told),
    }
}

/// What a study will cost, after a trial of a few steps on its data. Nothing is left behind.
///
/// # Errors
/// If the data cannot be used, or the device fails.
pub fn price(name: &str, options: &StudyOptions) -> Result<String, StudyError> {
    let study = asked(name, options)?;
    let folder = std::env::temp_dir().join(format!("epsiloscope-price-{}", std::process::id()));
    let found = made::with_data(options, &folder).and_then(|options| match study.kind {
        Kind::Folds => Ok(folds::Setup::new(&study, &options)?.price(&study, &options)?.text()),
        Kind::Augmentations => {
            let sets = inverse_fgsm::sets(&study, &options)?;
            Ok(inverse_fgsm::prices(&sets, &study, &options)?.text())
        }
    });
    if folder.exists()
        && let Err(error) = std::fs::remove_dir_all(&folder)
    {
        log::warn!("{}: cannot be removed ({error})", folder.display());
    }
    found
}

fn asked(name: &str, options: &StudyOptions) -> Result<StudyFile, StudyError> {
    let study = StudyFile::named(name)?;
    if options.data.is_empty() {
        return Err(StudyError::Asked("name the data: --data FOLDER, or --image with --label".to_owned()));
    }
    if options.by.len() > 1 && options.by.len() != options.data.len() {
        let (by, data) = (options.by.len(), options.data.len());
        return Err(StudyError::Asked(format!(
            "--by is given {by} times for {data} data sets: once, or once for each"
        )));
    }
    if options.unseen.is_some() && study.kind != Kind::Folds {
        return Err(StudyError::Asked(format!("{name} does not ask what is seen: leave the thresholds out")));
    }
    Ok(study)
}

/// A short name of a data set.
fn data_name(table: &DataTable) -> String {
    let path = table.path.as_deref().or(table.image.as_deref()).unwrap_or(Path::new("data"));
    path.file_stem()
        .or_else(|| path.file_name())
        .map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// What was read of the data set `asked`; what its split says of too few images, in words of the study: its split is not a
/// setting of whoever runs it.
fn enough(study: &StudyFile, asked: &DataTable, read: Result<DataRead, TrainError>) -> Result<DataRead, StudyError> {
    read.map_err(|error| match error {
        TrainError::TooFew { found, needed, by, .. } => {
            let (what, parted) = match by {
                Unit::Group => (
                    "patients or volumes",
                    ". If slices of one volume may be parted, use --by slice (in the window, kept together: slices)",
                ),
                Unit::Slice => ("images", ""),
            };
            let data = data_name(asked);
            StudyError::Asked(format!("{} needs at least {needed} {what}; {data} has {found}{parted}", study.name))
        }
        other => other.into(),
    })
}

/// `1 seed`, `3 seeds`.
fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Mean and standard deviation (of the sample).
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}
