//! The options that make a recipe, and whether they fit the one of a checkpoint.

use crate::model::SizeRule;
use crate::model::unet::{Downsampling, UNetConfig};
use crate::train::{Augmentation, Loss, Recipe};
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::Path;

const DOWNSAMPLING: [(&str, Downsampling); 2] =
    [("max-pool", Downsampling::MaxPool), ("strided", Downsampling::Strided)];

/// How to train. What is left out is the default, or with --resume what the checkpoint says.
#[derive(Clone, Debug, clap::Args)]
pub struct RecipeOptions {
    /// Feature maps of the first level [default: 16]
    #[arg(long, conflicts_with = "preset")]
    pub base: Option<usize>,
    /// How often the resolution is halved [default: 4]
    #[arg(long, conflicts_with = "preset")]
    pub depth: Option<usize>,
    /// Channels of the network; a grey image feeds them all [default: 1]
    #[arg(long, conflicts_with = "preset")]
    pub channels: Option<usize>,
    /// Leave out batch normalisation.
    #[arg(long, conflicts_with = "preset")]
    pub no_batch_norm: bool,
    /// How the resolution is halved: by 2×2 max pooling, or by a stride in the first convolution of a level [default:
    /// max-pool]
    #[arg(long, conflicts_with = "preset", value_parser =
        PossibleValuesParser::new(DOWNSAMPLING.map(|(name, _)| name)).map(|name| downsampling(&name)))]
    pub downsampling: Option<Downsampling>,
    /// A published network instead: ronneberger, advu-net.
    #[arg(long)]
    pub preset: Option<String>,
    /// How often the data are gone through [default: 20]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Crops a step; on the CPU 5 and more are faster than fewer (burn's kernels for few channels are slow) [default: 8]
    #[arg(long)]
    pub batch: Option<usize>,
    /// Height and width of a crop in pixels [default: 128, of advu-net its 224]
    #[arg(long)]
    pub crop: Option<usize>,
    /// Learning rate at its highest; without a recipe it falls along a cosine [default: 0.001]
    #[arg(long = "lr")]
    pub learning_rate: Option<f64>,
    /// Weight of the Dice loss beside binary cross-entropy [default: 1]
    #[arg(long)]
    pub dice_weight: Option<f64>,
    /// Stop after so many epochs without a better validation.
    #[arg(long)]
    pub patience: Option<usize>,
    /// Memory in MiB that a step may take, about: the batch goes through the network in parts. The loss stays the batch's; batch
    /// normalisation normalises over a part.
    #[arg(long, value_name = "MIB")]
    pub memory_mib: Option<u64>,
    /// Leave crops as they are: no flips, rotations or changes of grey values.
    #[arg(long)]
    pub no_augmentation: bool,
    /// Largest standard deviation of the noise that is added to crops, a fraction of the bounds' width. The more, the
    /// less a small ε harms the model [default: 0.04]
    #[arg(long, conflicts_with = "no_augmentation")]
    pub noise: Option<f32>,
    /// Of weights, order and augmentation [default: 0]
    #[arg(long)]
    pub seed: Option<u64>,
}

impl RecipeOptions {
    /// The recipe of a new training: that of a file, if there is one, with what was said here.
    ///
    /// # Errors
    /// If there is no such preset, or a setting is out of its range.
    pub fn recipe(&self, file: Option<Recipe>) -> anyhow::Result<Recipe> {
        let mut recipe = match (self.preset()?, file) {
            (None, Some(recipe)) => recipe,
            (network, file) => {
                let network = network.unwrap_or_else(|| UNetConfig::new(16, 4));
                let recipe = file.unwrap_or_else(|| Recipe::new(network.clone(), 20));
                let crop = match network.size_rule() {
                    SizeRule::Tile([size, _]) => size,
                    _ => recipe.crop,
                };
                Recipe { network, crop, ..recipe }
            }
        };
        recipe = self.over(recipe)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Says which options contradict the recipe of a checkpoint: it is gone on with as it was begun.
    ///
    /// # Errors
    /// If one does, naming all that do with what they were.
    pub fn check_resumed(&self, checkpoint: &Path, file: Option<Recipe>, trained: &Recipe) -> anyhow::Result<()> {
        let from_file = file.is_some();
        let wanted = self.over(file.unwrap_or_else(|| trained.clone()))?;
        if wanted == *trained {
            return Ok(());
        }
        let flag = |option: &str, differs: bool| differs.then(|| option.to_owned());
        let value = |option: &str, wanted: String, trained: String| {
            (wanted != trained).then(|| format!("{option} {wanted} (it was {trained})"))
        };
        let (new, old) = (&wanted.network, &trained.network);
        let network = match &self.preset {
            Some(name) => vec![flag(&format!("--preset {name}"), new != old)],
            None => vec![
                value("--base", new.base.to_string(), old.base.to_string()),
                value("--depth", new.depth.to_string(), old.depth.to_string()),
                value("--channels", new.channels.to_string(), old.channels.to_string()),
                value("--downsampling", name_of(new.downsampling), name_of(old.downsampling)),
                flag("--no-batch-norm", new.batch_norm != old.batch_norm),
            ],
        };
        let (new, old) = (&wanted.augmentation, &trained.augmentation);
        let others = [
            value("--epochs", wanted.epochs.to_string(), trained.epochs.to_string()),
            value("--batch", wanted.batch.to_string(), trained.batch.to_string()),
            value("--crop", wanted.crop.to_string(), trained.crop.to_string()),
            value("--lr", wanted.learning_rate.to_string(), trained.learning_rate.to_string()),
            value("--dice-weight", dice_weight(&wanted), dice_weight(trained)),
            value("--patience", of(&wanted.patience), of(&trained.patience)),
            value("--memory-mib", of(&wanted.memory_mib), of(&trained.memory_mib)),
            value("--seed", wanted.seed.to_string(), trained.seed.to_string()),
            if self.no_augmentation {
                flag("--no-augmentation", new != old)
            } else {
                value("--noise", new.noise.to_string(), old.noise.to_string())
            },
        ];
        let differ: Vec<String> = network.into_iter().chain(others).flatten().collect();
        if differ.is_empty() && from_file {
            bail!(
                "{}: was begun with another recipe. Leave --recipe’s changes out, or start anew without --resume",
                checkpoint.display()
            );
        }
        let longer = if wanted.epochs > trained.epochs {
            " More epochs cannot be added: the learning rate falls along one cosine over all of them."
        } else {
            ""
        };
        bail!(
            "{}: was begun with other options: {}.{longer} Leave them out, or start anew without --resume",
            checkpoint.display(),
            differ.join(", ")
        )
    }

    /// The preset's network, if one is asked for.
    fn preset(&self) -> anyhow::Result<Option<UNetConfig>> {
        let network = |name: &String| {
            UNetConfig::preset(name)
                .with_context(|| format!("there is no preset ‘{name}’. Use ronneberger or advu-net"))
        };
        self.preset.as_ref().map(network).transpose()
    }

    /// `recipe` with what was said here.
    fn over(&self, recipe: Recipe) -> anyhow::Result<Recipe> {
        let network = self.preset()?.unwrap_or_else(|| recipe.network.clone());
        Ok(Recipe {
            network: UNetConfig {
                base: self.base.unwrap_or(network.base),
                depth: self.depth.unwrap_or(network.depth),
                channels: self.channels.unwrap_or(network.channels),
                batch_norm: network.batch_norm && !self.no_batch_norm,
                downsampling: self.downsampling.unwrap_or(network.downsampling),
                ..network
            },
            epochs: self.epochs.unwrap_or(recipe.epochs),
            batch: self.batch.unwrap_or(recipe.batch),
            crop: self.crop.unwrap_or(recipe.crop),
            learning_rate: self.learning_rate.unwrap_or(recipe.learning_rate),
            loss: self.dice_weight.map_or(recipe.loss, |dice_weight| Loss::BceDice { dice_weight }),
            patience: self.patience.or(recipe.patience),
            memory_mib: self.memory_mib.or(recipe.memory_mib),
            seed: self.seed.unwrap_or(recipe.seed),
            augmentation: if self.no_augmentation {
                Augmentation::NONE
            } else {
                Augmentation { noise: self.noise.unwrap_or(recipe.augmentation.noise), ..recipe.augmentation }
            },
            ..recipe
        })
    }
}

/// The Dice weight of a recipe's loss; its name where it has none.
fn dice_weight(recipe: &Recipe) -> String {
    match recipe.loss {
        Loss::BceDice { dice_weight } => dice_weight.to_string(),
        other => other.describe(),
    }
}

fn of<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), T::to_string)
}

fn downsampling(name: &str) -> Downsampling {
    DOWNSAMPLING.iter().find(|(n, _)| *n == name).map_or(Downsampling::MaxPool, |(_, d)| *d)
}

fn name_of(downsampling: Downsampling) -> String {
    DOWNSAMPLING.iter().find(|(_, d)| *d == downsampling).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        recipe: RecipeOptions,
    }

    fn options(line: &str) -> RecipeOptions {
        Line::try_parse_from(std::iter::once("train").chain(line.split_whitespace())).expect("valid options").recipe
    }

    #[test]
    fn defaults_and_presets() {
        let plain = options("").recipe(None).expect("a recipe");
        assert_eq!(plain, Recipe::new(UNetConfig::new(16, 4), 20));
        assert_eq!((plain.crop, plain.batch, plain.learning_rate, plain.seed), (128, 8, 1e-3, 0));
        // AdvU-Net is trained at the size that it is tiled by.
        let advu = options("--preset advu-net").recipe(None).expect("a recipe");
        assert_eq!((advu.crop, advu.network.size_rule()), (224, SizeRule::tile(224)));
        assert_eq!(options("--preset advu-net --crop 96").recipe(None).expect("a recipe").crop, 96);
        assert_eq!(options("--preset ronneberger").recipe(None).expect("a recipe").crop, 128);
        assert!(options("--preset unet++").recipe(None).is_err());
        assert!(options("--base 300").recipe(None).is_err());
    }

    #[test]
    fn networks_are_put_together_from_options() {
        let network = options("--base 8 --depth 2 --channels 3 --no-batch-norm --downsampling strided").recipe(None);
        let expected =
            UNetConfig { channels: 3, batch_norm: false, downsampling: Downsampling::Strided, ..UNetConfig::new(8, 2) };
        assert_eq!(network.expect("a recipe").network, expected);
        assert_eq!(options("--downsampling max-pool").downsampling, Some(Downsampling::MaxPool));
        let refused =
            |line: &str| Line::try_parse_from(std::iter::once("train").chain(line.split_whitespace())).is_err();
        assert!(refused("--downsampling average"));
        for option in ["--base 8", "--no-batch-norm", "--downsampling strided"] {
            assert!(refused(&format!("--preset ronneberger {option}")), "{option}");
        }
    }

    #[test]
    fn what_contradicts_a_checkpoint_is_named() {
        let trained = options("--base 8 --depth 3 --lr 0.01 --seed 4 --epochs 6").recipe(None).expect("a recipe");
        let check = |line: &str| options(line).check_resumed("a.checkpoint".as_ref(), None, &trained);
        // Nothing said, the same said, and a part of it.
        for line in ["", "--base 8 --depth 3 --lr 0.01 --seed 4 --epochs 6", "--lr 1e-2", "--noise 0.04"] {
            assert!(check(line).is_ok(), "{line}");
        }
        let refused = |line: &str, says: &[&str]| {
            let error = check(line).expect_err("must be refused").to_string();
            assert!(error.starts_with("a.checkpoint: ") && !error.contains("--depth"), "{error}");
            for words in says {
                assert!(error.contains(words), "{error}");
            }
            error
        };
        let error = refused("--base 16 --depth 3 --lr 0.02", &["--base 16 (it was 8), --lr 0.02 (it was 0.01)"]);
        assert!(!error.contains("cosine"), "{error}");
        refused("--epochs 7", &["--epochs 7 (it was 6)", "cosine"]);
        assert!(!refused("--epochs 5", &["--epochs 5 (it was 6)"]).contains("cosine"));
        refused("--preset ronneberger", &["--preset ronneberger"]);
        refused("--no-batch-norm", &["--no-batch-norm"]);
        refused("--no-augmentation", &["--no-augmentation"]);
        refused("--downsampling strided", &["--downsampling strided (it was max-pool)"]);
        refused("--noise 0.1", &["--noise 0.1 (it was 0.04)"]);
        refused(
            "--channels 3 --batch 2 --crop 64 --dice-weight 0 --seed 1",
            &["--channels 3", "--batch 2", "--crop 64", "--dice-weight 0", "--seed 1 (it was 4)"],
        );
    }
}
