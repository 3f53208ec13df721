//! The papers' experiments as declarative files (`advu-net.toml`, `inverse-fgsm.toml`), run fold after fold or row after row.
//!
//! `work` trains and goes on where it was, `advu_net` (with `folds`) and `inverse_fgsm` measure and write what the papers' tables and
//! figures show, `interval` says how sure, `claims` what the paper claims and what was found, `gallery` makes the tables of pictures, `page` and `chart` the
//! report of it: one HTML file, with each table as CSV beside it.

mod advu_net;
mod chart;
mod claims;
mod folds;
mod gallery;
mod interval;
mod inverse_fgsm;
mod inverse_report;
mod page;
mod work;

use super::report::ReportError;
use crate::attack::AttackError;
use crate::data::DataError;
use crate::model::ModelError;
use crate::train::{Adversarial, Augmentation, Control, DataTable, Recipe, RecipeFile, Split, TrainError, Unit};
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

/// Below these a change shows.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unseen {
    ssim: f64,
    vif: f64,
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
            Self::Quick => "quick: only to see that it runs; its numbers say little",
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
    /// What is never parted, in place of what the study says.
    pub by: Option<Unit>,
    /// Where everything is written.
    pub out: PathBuf,
    /// How much.
    pub scale: Scale,
    /// Epochs in place of the scale's.
    pub epochs: Option<usize>,
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

    /// The data table of one data set: what is asked for, and for the rest what the study says.
    fn table(&self, file: &RecipeFile, asked: &DataTable, by: Option<Unit>) -> DataTable {
        let mut split = file.data.split;
        if let (Some(by), Some(Split::HoldOut { by: unit, .. } | Split::KFold { by: unit, .. })) = (by, &mut split) {
            *unit = by;
        }
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
    let work = options.out.join("work");
    if work.exists() && !options.resume {
        let cause = "holds a study already";
        let hint = "Go on with it by --resume, or choose another folder";
        return Err(DataError::new(&options.out, cause, hint).into());
    }
    std::fs::create_dir_all(&work)
        .map_err(|e| DataError::new(&work, format!("cannot be made ({e})"), "Choose a folder that you may write to"))?;
    match study.kind {
        Kind::Folds => advu_net::run(&study, options, told),
        Kind::Augmentations => inverse_fgsm::run(&study, options, told),
    }
}

/// What a study will cost, after a trial of a step on its data. Nothing is written.
///
/// # Errors
/// If the data cannot be used, or the device fails.
pub fn price(name: &str, options: &StudyOptions) -> Result<String, StudyError> {
    let study = asked(name, options)?;
    match study.kind {
        Kind::Folds => folds::Setup::new(&study, options)?.price(&study, options),
        Kind::Augmentations => {
            let sets = inverse_fgsm::sets(&study, options)?;
            let prices = sets.iter().map(|set| set.price(&study, options)).collect::<Result<Vec<String>, _>>()?;
            Ok(prices.join("; "))
        }
    }
}

fn asked(name: &str, options: &StudyOptions) -> Result<StudyFile, StudyError> {
    let study = StudyFile::named(name)?;
    if options.data.is_empty() {
        return Err(StudyError::Asked("name the data: --data FOLDER, or --image with --label".to_owned()));
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

/// Mean and standard deviation (of the sample).
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_right_at_every_scale() {
        for name in names() {
            let study = StudyFile::named(name).unwrap();
            for scale in [Scale::Quick, Scale::Cpu, Scale::Paper] {
                let options = StudyOptions {
                    data: Vec::new(),
                    by: None,
                    out: PathBuf::new(),
                    scale,
                    epochs: None,
                    resume: false,
                    device: Device::flex(),
                    device_name: String::new(),
                    command: String::new(),
                    control: Control::default(),
                };
                let (_, recipe) = study.recipe(&options).unwrap();
                assert!(scale == Scale::Quick || recipe.epochs >= 30, "{name}");
                if (name, scale) == ("advu-net", Scale::Paper) {
                    assert_eq!(recipe.network, crate::model::unet::UNetConfig::advu_net());
                    assert_eq!((recipe.crop, recipe.batch, recipe.learning_rate), (224, 4, 1e-3));
                }
            }
            assert!(crate::attack::find(&study.attack).is_some());
        }
        assert!(StudyFile::named("magic").unwrap_err().to_string().contains("advu-net or inverse-fgsm"));
    }

    #[test]
    fn spread_by_hand() {
        assert_eq!(spread(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
        assert_eq!(spread(&[5.0]), (5.0, 0.0));
    }
}
