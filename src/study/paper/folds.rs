//! The folds of the AdvU-Net study: their data, and what they cost.

use super::work::cost;
use super::{StudyError, StudyFile, StudyOptions};
use crate::train::{DataTable, Recipe, Split, TrainingData};

/// What is trained, on what.
pub(super) struct Setup {
    pub recipe: Recipe,
    pub table: DataTable,
    pub folds: usize,
    /// How many of them are done at this scale, and how many images of each.
    pub shown_folds: usize,
    pub most: usize,
    pub first: TrainingData,
}

impl Setup {
    pub fn new(study: &StudyFile, options: &StudyOptions) -> Result<Self, StudyError> {
        let [asked] = options.data.as_slice() else {
            return Err(StudyError::Asked("this study is of one data set: name one".to_owned()));
        };
        let (file, recipe) = study.recipe(options)?;
        let changes = study.changes(options.scale);
        let seed = study.seeds.first().copied().unwrap_or(0);
        let recipe = Recipe { seed, ..recipe };
        let table = study.table(&file, asked, options.by);
        let folds = study.folds;
        Ok(Self {
            first: fold_data(&table, &recipe, folds, 0)?,
            shown_folds: changes.folds.unwrap_or(folds).min(folds),
            most: changes.images.unwrap_or(usize::MAX),
            recipe,
            table,
            folds,
        })
    }

    pub fn price(&self, study: &StudyFile, options: &StudyOptions) -> Result<String, StudyError> {
        let Self { recipe, first, .. } = self;
        let attacked: usize = self.shown_folds * first.validate.len().min(self.most);
        let pixels = first.validate.first().map_or(0, |c| c.image.height * c.image.width);
        let forward = recipe.network.flops([recipe.input(), recipe.input()]) as f64 * pixels as f64
            / (recipe.input() * recipe.input()) as f64;
        let passes = attacked as f64 * (2.0 * study.epsilons.len() as f64 + 4.0);
        cost(&vec![recipe.clone(); self.shown_folds], first, forward * passes, options)
    }
}

/// The data with the images of one fold held out.
pub(super) fn fold_data(
    table: &DataTable,
    recipe: &Recipe,
    folds: usize,
    fold: usize,
) -> Result<TrainingData, StudyError> {
    let split = match table.split {
        Some(Split::KFold { by, .. }) => Some(Split::KFold { folds, fold, seed: recipe.seed, by }),
        other => other,
    };
    Ok(DataTable { split, ..table.clone() }.open(&recipe.classes)?)
}
