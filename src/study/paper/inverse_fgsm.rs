//! The inverse-FGSM study: what augmentation by FGSM and by its inverse does to accuracy and robustness, beside flips, turns,
//! crops and colour jitter.

use super::inverse_report::report;
use super::learned::best_constant;
use super::price::{Planned, Price, Prices, forward};
use super::work::{MadeWith, begin, keep, kept, place, train};
use super::{Row, StudyError, StudyFile, StudyOptions, Told, data_name, enough, facts};
use crate::attack::{Attack, Objective, Options};
use crate::data::Case;
use crate::model::Model;
use crate::tensor::{image_to_unit, unit_to_image};
use crate::train::{DataRead, EpochRecord, Recipe, Source, Split, TrainingData, Validation, validate};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The rows by their names in the study's file: the plain one, augmentation by each attack, and the control.
pub(super) const PLAIN: &str = "U-Net";
pub(super) const FGSM: &str = "U-Net + FGSM";
pub(super) const INVERSE: &str = "U-Net + inverse FGSM";
pub(super) const RANDOM: &str = "U-Net + random sign";
/// What judges the robustness of these rows, with settings: the paper's two attacks, the control, and PGD, which is not fooled by a
/// network that has merely learned to spoil a single step.
pub(super) const JUDGES: [(&str, &[&str]); 4] =
    [("fgsm", &[]), ("inverse-fgsm", &[]), ("random-sign", &[]), ("pgd", &["steps=10"])];

/// What one training leaves.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub data: String,
    pub row: String,
    pub seed: u64,
    pub before: Option<Validation>,
    pub history: Vec<EpochRecord>,
    /// The mean IoU of each held-out image after the last epoch.
    pub images: Vec<f64>,
    /// The patient or volume of each; none where that is not known.
    #[serde(default)]
    pub groups: Vec<String>,
    /// For the rows of table 2.
    pub attacked: Vec<Attacked>,
}

/// The mean IoU of each held-out image under an attack.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Attacked {
    pub attack: String,
    pub epsilon: f64,
    pub images: Vec<f64>,
}

impl Outcome {
    /// The mean IoU (mean over images) after `epoch` epochs.
    pub fn miou(&self, epoch: usize) -> Option<f64> {
        if epoch == 0 {
            return self.before.as_ref().map(|v| v.miou_image);
        }
        let record = self.history.iter().find(|record| record.epoch == epoch)?;
        record.validation.as_ref().map(|v| v.miou_image)
    }

    /// The mean IoU of each held-out image, under one of [`JUDGES`] at an ε, or clean.
    pub fn judged(&self, judge: Option<(&str, f64)>) -> Option<&[f64]> {
        let Some((attack, epsilon)) = judge else { return Some(&self.images) };
        let found = self.attacked.iter().find(|a| a.attack == attack && a.epsilon == epsilon)?;
        Some(&found.images)
    }
}

/// A data set of the study.
pub(super) struct Set {
    pub name: String,
    pub recipe: Recipe,
    /// Its images, and the patient or volume of each.
    pub read: DataRead,
    pub seeds: Vec<u64>,
    /// How it was parted.
    pub split: Option<Split>,
}

impl Set {
    /// The recipe of a row.
    fn recipe(&self, row: &Row, seed: u64) -> Recipe {
        Recipe {
            seed,
            augmentation: row.augmentation.clone().unwrap_or_else(|| self.recipe.augmentation.clone()),
            adversarial: row.adversarial.clone().into_iter().collect(),
            ..self.recipe.clone()
        }
    }

    /// The mean IoU of a predictor that calls every pixel the same class, the best such: more than that a network must learn.
    pub fn constant(&self) -> f64 {
        best_constant(&self.read.data.validate, self.recipe.classes.len())
    }

    /// How the files of a training are called.
    fn training_name(&self, row: &Row, seed: u64) -> String {
        format!("{}, {}, seed {seed}", self.name, row.name)
    }

    fn price(&self, study: &StudyFile, options: &StudyOptions) -> Result<Price, StudyError> {
        let judging = self.judging(study)?;
        let planned = |row: &Row, seed| Planned {
            name: self.training_name(row, seed),
            recipe: self.recipe(row, seed),
            measuring: if is_attacked(&row.name) { judging } else { 0.0 },
        };
        let all = study.rows.iter().flat_map(|row| self.seeds.iter().map(move |&seed| (row, seed)));
        let planned: Vec<Planned> = all.map(|(row, seed)| planned(row, seed)).collect();
        Price::new(Some(self.name.clone()), &planned, &self.read.data, options)
    }

    /// Operations of judging a network that is attacked: a gradient is three forward passes, and each image is looked at once more.
    fn judging(&self, study: &StudyFile) -> Result<f64, StudyError> {
        let mut passes = 1.0;
        for (name, settings) in JUDGES {
            let attack = Attack::parse(name, settings)?;
            let steps = if attack.entry().gradient { attack.get("steps").unwrap_or(1.0) } else { 0.0 };
            passes += (3.0 * steps + 1.0) * study.epsilons.len() as f64;
        }
        Ok(forward(&self.recipe, &self.read.data.validate) * passes)
    }
}

/// Whether table 2 has the row.
fn is_attacked(row: &str) -> bool {
    [PLAIN, FGSM, INVERSE, RANDOM].contains(&row)
}

/// The data sets that are asked for.
pub(super) fn sets(study: &StudyFile, options: &StudyOptions) -> Result<Vec<Set>, StudyError> {
    let (file, recipe) = study.recipe(options)?;
    let changes = study.changes(options.scale);
    let seeds = study.seeds(options);
    let mut sets: Vec<Set> = Vec::new();
    for (index, asked) in options.data.iter().enumerate() {
        let table = study.table(&file, options, index);
        let classes = table.classes.clone().unwrap_or_else(|| recipe.classes.clone());
        let outputs = classes.len().max(2);
        let network = crate::model::unet::UNetConfig { outputs, ..recipe.network.clone() };
        let recipe = Recipe { classes, network, ..recipe.clone() };
        recipe.check()?;
        let mut read = enough(study, asked, table.read(&recipe.classes))?;
        read.data = few(read.data, changes.images);
        read.groups.truncate(read.data.validate.len());
        read.train_groups.truncate(facts::trained_on(&read).len());
        let mut name = data_name(asked);
        if sets.iter().any(|set| set.name == name) {
            name = format!("{name} {}", index + 1);
        }
        sets.push(Set { name, recipe, read, seeds: seeds.clone(), split: table.split });
    }
    Ok(sets)
}

/// What the study takes on each of `sets`.
pub(super) fn prices(sets: &[Set], study: &StudyFile, options: &StudyOptions) -> Result<Prices, StudyError> {
    Ok(Prices(sets.iter().map(|set| set.price(study, options)).collect::<Result<_, _>>()?))
}

pub(super) fn run(study: &StudyFile, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    let sets = sets(study, options)?;
    let of: usize = sets.iter().map(|set| study.rows.len() * set.seeds.len()).sum();
    let prices = prices(&sets, study, options)?;
    begin(options)?;
    prices.tell(told);
    let mut outcomes = Vec::new();
    for set in &sets {
        let Set { name: data_name, read: DataRead { data, groups, .. }, seeds, .. } = set;
        for row in &study.rows {
            for &seed in seeds {
                let recipe = set.recipe(row, seed);
                let name = set.training_name(row, seed);
                let results = place(options, &name, "json");
                let more = [
                    ("split", format!("{:?}", set.split)),
                    ("attacks", format!("{JUDGES:?}")),
                    ("ε", format!("{:?}", study.epsilons)),
                    ("image limit", format!("{:?}", study.changes(options.scale).images)),
                ];
                let made_with = MadeWith::new(&recipe, data, &more);
                if let Some(done) = kept(&results, &made_with)? {
                    outcomes.push(done);
                    continue;
                }
                let before = outcomes.len();
                let which = format!("training {} of {of} ({name})", before + 1);
                let mut told =
                    |line: &str, part: f64| told(&format!("{which}: {line}"), (before as f64 + part) / of as f64);
                let trained = train(&name, &recipe, data.clone(), options, &mut told)?;
                let images = each(&trained.model, &data.validate)?;
                let mut attacked = Vec::new();
                if is_attacked(&row.name) {
                    for (name, settings) in JUDGES {
                        let attack = Attack::parse(name, settings)?;
                        for &epsilon in &study.epsilons {
                            if options.control.is_cancelled() {
                                return Err(StudyError::Cancelled);
                            }
                            let images = under(&trained.model, &data.validate, attack, epsilon)?;
                            attacked.push(Attacked { attack: name.to_owned(), epsilon, images });
                        }
                    }
                }
                let done = Outcome {
                    data: data_name.clone(),
                    row: row.name.clone(),
                    seed,
                    before: trained.before,
                    history: trained.history,
                    images,
                    groups: groups.clone(),
                    attacked,
                };
                keep(&results, &made_with, &done)?;
                outcomes.push(done);
            }
        }
    }
    report(study, &outcomes, &sets, &prices.text()).write(study, options)
}

/// At most so many images on either side.
fn few(data: TrainingData, most: Option<usize>) -> TrainingData {
    let Some(most) = most else { return data };
    let train = match data.train {
        Source::Cases(cases) => Source::Cases(cases.iter().take(most).cloned().collect()),
        other => other,
    };
    TrainingData { train, validate: data.validate.iter().take(most).cloned().collect() }
}

/// The mean IoU of each of `cases`.
fn each(model: &dyn Model, cases: &[Case]) -> Result<Vec<f64>, StudyError> {
    cases.iter().map(|case| Ok(validate(model, std::slice::from_ref(case), 0)?.0.miou_image)).collect()
}

/// The mean IoU of each of `cases`, changed by `attack` against its true label.
fn under(model: &dyn Model, cases: &[Case], attack: Attack, epsilon: f64) -> Result<Vec<f64>, StudyError> {
    let (device, card) = (model.device(), model.card());
    let mut changed = Vec::with_capacity(cases.len());
    for case in cases {
        let Some(label) = &case.label else { continue };
        let x = image_to_unit(&case.image, case.bounds, &device);
        let objective = Objective::segmentation(card.head, card.positive_class, label, &device);
        let outcome = attack.run_through(model, &x, &objective, &[epsilon], &Options::default())?;
        changed.push(Case { image: unit_to_image(outcome.adversarial, case.bounds)?, ..case.clone() });
    }
    each(model, &changed)
}
