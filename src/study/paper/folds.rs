//! The networks of the AdvU-Net study, each of a seed and a fold: their data, and what they cost.

use super::noticed::Asked;
use super::price::{Planned, Price, Prices, forward};
use super::{StudyError, StudyFile, StudyOptions, enough};
use crate::train::{DataRead, DataTable, Recipe, Split, TrainError};

/// Training images of each network that are attacked too, for comparison.
pub(super) const SEEN_IN_TRAINING: usize = 6;

/// What is trained, on what.
pub(super) struct Setup {
    /// With the first seed.
    pub recipe: Recipe,
    pub seeds: Vec<u64>,
    pub table: DataTable,
    pub folds: usize,
    /// How many of them are done at this scale, and how many images of each.
    pub shown_folds: usize,
    pub most: usize,
    /// The first fold.
    pub first: DataRead,
    /// Thresholds of observers, if some were given.
    pub observers: Option<Asked>,
}

impl Setup {
    pub fn new(study: &StudyFile, options: &StudyOptions) -> Result<Self, StudyError> {
        let [_] = options.data.as_slice() else {
            return Err(StudyError::Asked("this study is of one data set: name one".to_owned()));
        };
        let observers = options.unseen.as_deref().map(Asked::read).transpose()?;
        let (file, recipe) = study.recipe(options)?;
        let changes = study.changes(options.scale);
        let seeds = study.seeds(options);
        let recipe = Recipe { seed: seeds.first().copied().unwrap_or(0), ..recipe };
        let table = study.table(&file, options, 0);
        let folds = study.folds;
        Ok(Self {
            first: enough(study, &options.data[0], fold_data(&table, &recipe, folds, 0))?,
            shown_folds: changes.folds.unwrap_or(folds).min(folds),
            most: changes.images.unwrap_or(usize::MAX),
            recipe,
            seeds,
            table,
            folds,
            observers,
        })
    }

    /// All networks, seed after seed.
    pub fn networks(&self) -> impl Iterator<Item = (u64, usize)> {
        self.seeds.iter().flat_map(|&seed| (0..self.shown_folds).map(move |fold| (seed, fold)))
    }

    /// How a network's files are called.
    pub fn name(&self, seed: u64, fold: usize) -> String {
        let name = format!("fold {} of {}", fold + 1, self.folds);
        if seed == self.recipe.seed { name } else { format!("seed {seed}, {name}") }
    }

    /// The data of a fold: the same for every seed.
    pub fn data(&self, fold: usize) -> Result<DataRead, StudyError> {
        Ok(fold_data(&self.table, &self.recipe, self.folds, fold)?)
    }

    /// How the first fold is held out.
    pub fn first_split(&self) -> Option<Split> {
        split(&self.table, &self.recipe, self.folds, 0)
    }

    pub fn price(&self, study: &StudyFile, options: &StudyOptions) -> Result<Prices, StudyError> {
        let Self { recipe, first, .. } = self;
        let held = &first.data.validate;
        let looked = held.len().min(self.most);
        let one = forward(recipe, held) / held.len().max(1) as f64;
        // An image along ε: its gradient once, then the attacked image and its control at each.
        let along = looked as f64 * (2.0 * study.epsilons.len() as f64 + 4.0);
        let trained_on = SEEN_IN_TRAINING.min(self.most) as f64 * 6.0;
        let planned = |(seed, fold)| Planned {
            name: self.name(seed, fold),
            recipe: recipe.clone(),
            measuring: one * (along + trained_on),
        };
        let planned: Vec<Planned> = self.networks().map(planned).collect();
        Ok(Prices(vec![Price::new(None, &planned, &first.data, options)?]))
    }
}

/// Holds out one fold; who is in which follows from the first seed.
fn split(table: &DataTable, recipe: &Recipe, folds: usize, fold: usize) -> Option<Split> {
    match table.split {
        Some(Split::KFold { by, .. }) => Some(Split::KFold { folds, fold, seed: recipe.seed, by }),
        other => other,
    }
}

fn fold_data(table: &DataTable, recipe: &Recipe, folds: usize, fold: usize) -> Result<DataRead, TrainError> {
    let split = split(table, recipe, folds, fold);
    DataTable { split, ..table.clone() }.read(&recipe.classes)
}
