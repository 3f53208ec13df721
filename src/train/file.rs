//! Recipes as files: TOML with the tables `data`, `network`, `training`, `optimizer`, `schedule`, `augmentation` and
//! `adversarial`. What is refused is named with its line.

use super::{Adversarial, Augmentation, DataTable, Loss, OptimizerSettings, Recipe, Schedule, TrainError};
use crate::data::{DataError, write_bytes_atomic};
use crate::model::SizeRule;
use crate::model::unet::{Downsampling, Padding, UNetConfig, Upsampling};
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A recipe's file. What it leaves out is the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecipeFile {
    /// What is trained on.
    pub data: DataTable,
    /// What is trained.
    pub network: NetworkTable,
    /// For how long, and by what.
    pub training: TrainingTable,
    /// How a gradient becomes a step.
    pub optimizer: OptimizerSettings,
    /// How the learning rate goes.
    pub schedule: Schedule,
    /// Changes to crops; the usual ones if there is no such table, and none but those named if there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
    /// Adversarial samples.
    pub adversarial: Vec<Adversarial>,
}

/// The table `network`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkTable {
    /// `ronneberger` or `advu-net` (table 1 of its paper); the other entries change it.
    pub preset: Option<String>,
    /// Input channels; a grey image feeds them all.
    pub channels: Option<usize>,
    /// 1 for a sigmoid, else one for each class.
    pub outputs: Option<usize>,
    /// How often the resolution is halved.
    pub depth: Option<usize>,
    /// Feature maps of the first level.
    pub base: Option<usize>,
    /// Batch normalisation.
    pub batch_norm: Option<bool>,
    /// How the resolution is halved.
    pub downsampling: Option<Downsampling>,
    /// How it is doubled.
    pub upsampling: Option<Upsampling>,
    /// Border rule of convolutions.
    pub padding: Option<Padding>,
    /// Dropout probability at the end of the contracting path.
    pub dropout: Option<f64>,
}

/// The table `training`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrainingTable {
    /// How often the data are gone through.
    pub epochs: Option<usize>,
    /// Crops a step.
    pub batch: Option<usize>,
    /// Height and width of a crop in pixels.
    pub crop: Option<usize>,
    /// The learning rate at its highest.
    pub learning_rate: Option<f64>,
    /// What is lowered.
    pub loss: Option<Loss>,
    /// Epochs to wait for a better validation.
    pub patience: Option<usize>,
    /// Memory that a step may take, in MiB.
    pub memory_mib: Option<u64>,
    /// Of all that is random.
    pub seed: u64,
}

/// Epochs where nothing is said.
const EPOCHS: usize = 20;

impl RecipeFile {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or has something that is unknown or out of range: with line and field.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let fail = |cause: String| DataError::new(path, cause, "");
        let text = std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let mut file = Self::parse(&text).map_err(fail)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for place in [&mut file.data.path, &mut file.data.image, &mut file.data.label].into_iter().flatten() {
            *place = folder.join(&*place);
        }
        Ok(file)
    }

    /// Writes it, whole or not at all; [`Self::read`] reads it back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        // A recipe's paths are relative to its own folder, not to that of the process.
        let mut file = self.clone();
        for place in [&mut file.data.path, &mut file.data.image, &mut file.data.label].into_iter().flatten() {
            *place = std::path::absolute(&*place).unwrap_or_else(|_| place.clone());
        }
        let text = toml::to_string(&file)
            .map_err(|e| DataError::new(path, format!("cannot be encoded ({e})"), "Reset what was changed last"))?;
        write_bytes_atomic(path, text.as_bytes())
    }

    /// Reads text and checks it; the error names line and field.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            format!("{place}{}", error.message())
        })?;
        let check = || -> Result<(), TrainError> {
            file.data.check()?;
            file.recipe()?.check()
        };
        check().map_err(|error| match &error {
            TrainError::Field { field, .. } => match place(text, field) {
                Some(line) => format!("line {line}: {error}"),
                None => error.to_string(),
            },
            _ => error.to_string(),
        })?;
        Ok(file)
    }

    /// The settings of the training, not yet checked.
    ///
    /// # Errors
    /// If there is no such preset.
    pub fn recipe(&self) -> Result<Recipe, TrainError> {
        let (n, t) = (&self.network, &self.training);
        let preset = match &n.preset {
            Some(name) => UNetConfig::preset(name).ok_or_else(|| {
                TrainError::field("network.preset", format!("there is no preset ‘{name}’. Use ronneberger or advu-net"))
            })?,
            None => UNetConfig::new(16, 4),
        };
        let network = UNetConfig {
            channels: n.channels.unwrap_or(preset.channels),
            outputs: n.outputs.unwrap_or(preset.outputs),
            depth: n.depth.unwrap_or(preset.depth),
            base: n.base.unwrap_or(preset.base),
            batch_norm: n.batch_norm.unwrap_or(preset.batch_norm),
            downsampling: n.downsampling.unwrap_or(preset.downsampling),
            upsampling: n.upsampling.unwrap_or(preset.upsampling),
            padding: n.padding.unwrap_or(preset.padding),
            dropout: n.dropout.unwrap_or(preset.dropout),
        };
        let plain = Recipe::new(network, t.epochs.unwrap_or(EPOCHS));
        let crop = match (plain.network.size_rule(), self.data.resize) {
            (SizeRule::Tile([size, _]), _) => size,
            (_, Some([height, width])) => height.min(width),
            _ => plain.crop,
        };
        Ok(Recipe {
            classes: self.data.classes.clone().unwrap_or_else(|| plain.classes.clone()),
            batch: t.batch.unwrap_or(plain.batch),
            crop: t.crop.unwrap_or(crop),
            loss: t.loss.unwrap_or(plain.loss),
            optimizer: self.optimizer,
            learning_rate: t.learning_rate.unwrap_or(plain.learning_rate),
            schedule: self.schedule,
            patience: t.patience,
            memory_mib: t.memory_mib,
            seed: t.seed,
            augmentation: self.augmentation.clone().unwrap_or_else(|| plain.augmentation.clone()),
            adversarial: self.adversarial.clone(),
            ..plain
        })
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() + 1
}

/// The line where `field` (`training.loss.gamma`, `adversarial.0.share`) or the nearest thing around it is written.
fn place(text: &str, field: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let mut offset = None;
    let mut here: Option<&DeValue<'_>> = None;
    let mut names = field.split('.');
    if let Some(first) = names.next() {
        let (key, value) = table.get_ref().iter().find(|(key, _)| key.get_ref() == first)?;
        (offset, here) = (Some(key.span().start), Some(value.get_ref()));
    }
    for name in names {
        let next = match here {
            Some(DeValue::Table(table)) => {
                table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, value)| (key.span(), value.get_ref()))
            }
            Some(DeValue::Array(array)) => {
                name.parse().ok().and_then(|i: usize| array.get(i)).map(|value| (value.span(), value.get_ref()))
            }
            _ => None,
        };
        let Some((span, value)) = next else { break };
        (offset, here) = (Some(span.start), Some(value));
    }
    offset.map(|offset| line_of(text, offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Role, Split, SyntheticTable, Unit};

    const FULL: &str = r#"
[data]
path = "cells"
classes = ["background", "nucleus"]
resize = [128, 128]
split = { kind = "k-fold", folds = 5, fold = 1, seed = 3, by = "slice" }

[network]
preset = "advu-net"
base = 16

[training]
epochs = 30
batch = 16
learning-rate = 0.1
loss = { kind = "focal", gamma = 2.0 }
patience = 5

[optimizer]
kind = "sgd"
momentum = 0.99

[schedule]
kind = "constant"

[augmentation]
flips = true
rotation = 10

[[adversarial]]
attack = { method = "inverse-fgsm" }
epsilon = 0.1
draw = true
share = 0.5

[[adversarial]]
attack = { method = "pgd", parameters = { steps = 7 } }
epsilon = 0.03
role = { kind = "mix", alpha = 0.5 }
"#;

    #[test]
    fn a_file_says_everything() {
        let file = RecipeFile::parse(FULL).unwrap();
        let recipe = file.recipe().unwrap();
        assert_eq!((recipe.network.base, recipe.network.channels, recipe.crop), (16, 3, 128));
        assert_eq!(recipe.optimizer, OptimizerSettings::Sgd { momentum: 0.99, weight_decay: 0.0 });
        assert_eq!(recipe.augmentation, Augmentation { flips: true, rotation: 10.0, ..Augmentation::NONE });
        assert_eq!(recipe.adversarial[1].role, Role::Mix { alpha: 0.5 });
        assert_eq!(file.data.split, Some(Split::KFold { folds: 5, fold: 1, seed: 3, by: Unit::Slice }));
        // And comes back from its own text.
        assert_eq!(RecipeFile::parse(&toml::to_string(&file).unwrap()).unwrap(), file);
        let plain = RecipeFile::parse("").unwrap().recipe().unwrap();
        assert_eq!(plain, Recipe::new(UNetConfig::new(16, 4), 20));
        let table_1 = RecipeFile::parse("network = { preset = 'advu-net' }").unwrap().recipe().unwrap();
        assert_eq!((table_1.network, table_1.crop), (UNetConfig::advu_net(), 224));
    }

    #[test]
    fn kinds_have_the_defaults_of_files() {
        fn same<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(kinds: &[T], given: &[&str]) {
            for kind in kinds {
                let mut table = toml::Table::try_from(kind).unwrap();
                table.retain(|key, _| key == "kind" || given.contains(&key));
                assert_eq!(&table.try_into::<T>().unwrap(), kind);
            }
        }
        same(&crate::train::Loss::KINDS, &[]);
        same(&OptimizerSettings::KINDS, &[]);
        same(&Schedule::KINDS, &["epochs"]);
        same(&Role::KINDS, &[]);
        // What a file must say of a split.
        same(&Split::KINDS, &["share", "folds"]);
        let generated = RecipeFile::parse("data = { synthetic = { sections = 8 } }").unwrap();
        assert_eq!(generated.data.synthetic, Some(SyntheticTable { sections: 8, ..SyntheticTable::default() }));
        for (data, says) in [
            ("synthetic = {}, path = 'x'", "name files"),
            ("synthetic = { sections = 0 }", "1 to 10000000"),
            ("synthetic = {}, resize = [64, 64]", "seed of their own"),
        ] {
            let error = RecipeFile::parse(&format!("data = {{ {data} }}")).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_sample_recipe_is_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data/recipe.toml");
        let file = RecipeFile::read(&path).unwrap();
        assert!(file.data.image.as_ref().is_some_and(|image| image.is_file()));
        assert!(file.recipe().unwrap().adversarial[0].draw);
    }

    #[test]
    fn what_is_refused_is_named_with_its_line() {
        for (from, to, says) in [
            ("epochs = 30", "epochs = 0", "line 13: training.epochs: 0 epochs"),
            ("epochs = 30", "epochs = 'many'", "line 13: invalid type"),
            ("epochs = 30", "epoch = 30", "line 13: unknown field `epoch`"),
            ("gamma = 2.0", "gamma = 20.0", "line 16: training.loss.gamma"),
            ("momentum = 0.99", "momentum = 1.5", "line 21: optimizer.momentum"),
            ("preset = \"advu-net\"", "preset = \"unet++\"", "line 9: network.preset: there is no preset"),
            ("rotation = 10", "rotation = 1000", "line 28: augmentation.rotation"),
            ("share = 0.5", "share = 1.5", "line 34: adversarial.0.share"),
            ("epsilon = 0.03", "epsilon = 3.0", "line 38: adversarial.1.epsilon"),
            ("steps = 7", "steps = 0", "whole number from 1"),
            ("inverse-fgsm", "magic", "no attack magic"),
            ("kind = \"constant\"", "kind = \"wavy\"", "wavy"),
            ("[network]", "[network", "line 8"),
        ] {
            let text = FULL.replace(from, to);
            assert_ne!(text, FULL);
            let error = RecipeFile::parse(&text).unwrap_err();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
