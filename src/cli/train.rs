//! `epsiloscope train`: trains a U-Net on a folder, a stack or synthetic sections, and tells how good a model is.

use crate::data::synthetic::MembranesConfig;
use crate::data::{Case, LabelMap, LabelStack, open};
use crate::model::unet::UNetConfig;
use crate::model::{BuiltIn, Model, ModelCard, SizeRule};
use crate::train::{
    Augmentation, Evaluation, Recipe, Source, StepReport, Trainer, TrainingData, evaluate, folder_cases, stack_cases,
};
use anyhow::{Context, bail};
use burn::tensor::{Device, DeviceKind};
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Seeds from here on are for validation and never trained on by a training of the same data seed.
const HELD_OUT: u64 = 1 << 40;
/// Synthetic sections that a training validates on, and their size.
const HELD_OUT_SECTIONS: u64 = 16;
const HELD_OUT_SIZE: usize = 256;
/// Height and width of the images that AdvU-Net takes (its table 1).
const ADVU_NET_SIZE: usize = 224;

/// Where a training computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TrainingDevice {
    /// burn's CPU backend.
    #[default]
    Cpu,
    /// The default GPU adapter.
    Gpu,
}

/// Train a U-Net that segments membranes, or with --evaluate print how good a model is.
#[derive(Clone, Debug, clap::Args)]
pub struct Train {
    /// What to train on: a folder with images/ and masks/, or synthetic:SEED[:SECTIONS], fresh sections every epoch.
    #[arg(long, value_name = "FOLDER|synthetic:SEED[:N]", conflicts_with = "image")]
    pub data: Option<String>,
    /// An image or stack to train on.
    #[arg(long, requires = "label")]
    pub image: Option<PathBuf>,
    /// Its labels.
    #[arg(long, requires = "image")]
    pub label: Option<PathBuf>,
    /// What the labels' values mean; unlisted values count nowhere.
    #[arg(long, default_value = "0=membrane,255=cell")]
    pub label_map: String,
    /// Slices of --image (or images of a folder) to use, from 0: 0-23 or 7. All by default.
    #[arg(long)]
    pub slices: Option<String>,
    /// Slices of --image (or images of a folder) to validate on, never trained on.
    #[arg(long)]
    pub validate: Option<String>,
    /// Feature maps of the first level.
    #[arg(long, default_value_t = 16, conflicts_with = "preset")]
    pub base: usize,
    /// How often the resolution is halved.
    #[arg(long, default_value_t = 4, conflicts_with = "preset")]
    pub depth: usize,
    /// Channels of the network; a grey image feeds them all.
    #[arg(long, default_value_t = 1, conflicts_with = "preset")]
    pub channels: usize,
    /// A published network instead: ronneberger, advu-net.
    #[arg(long)]
    pub preset: Option<String>,
    /// How often the data are gone through.
    #[arg(long, default_value_t = 20)]
    pub epochs: usize,
    /// Crops a step; on the CPU 5 and more are faster than fewer (burn's kernels for few channels are slow).
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Height and width of a crop in pixels.
    #[arg(long, default_value_t = 128)]
    pub crop: usize,
    /// Learning rate of Adam at its highest; it falls along a cosine.
    #[arg(long = "lr", default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Weight of the Dice loss beside binary cross-entropy.
    #[arg(long, default_value_t = 1.0)]
    pub dice_weight: f64,
    /// Leave crops as they are: no flips, rotations or changes of grey values.
    #[arg(long)]
    pub no_augmentation: bool,
    /// Largest standard deviation of the noise that is added to crops, a fraction of the bounds' width. The more, the
    /// less a small ε harms the model.
    #[arg(long, default_value_t = Augmentation::default().noise, conflicts_with = "no_augmentation")]
    pub noise: f32,
    /// Of weights, order and augmentation.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: TrainingDevice,
    /// Weights to write (.safetensors), with a card (.toml) and a checkpoint (.checkpoint) beside them.
    #[arg(long, required_unless_present = "evaluate")]
    pub out: Option<PathBuf>,
    /// Go on from the checkpoint beside --out.
    #[arg(long)]
    pub resume: bool,
    /// Do not train: print the figures of these weights on the data.
    #[arg(long, value_name = "WEIGHTS", conflicts_with_all = ["out", "resume", "preset"])]
    pub evaluate: Option<PathBuf>,
}

impl Train {
    /// Trains or evaluates.
    ///
    /// # Errors
    /// If arguments, data, checkpoint or weights cannot be used, or the device fails.
    pub fn run(self) -> anyhow::Result<()> {
        let device = match self.device {
            TrainingDevice::Cpu => Device::flex(),
            TrainingDevice::Gpu => Device::wgpu(DeviceKind::DefaultDevice),
        };
        match (&self.evaluate, &self.out) {
            (Some(weights), _) => self.print_figures(weights, &device),
            (None, Some(out)) => self.train(out, &device),
            (None, None) => bail!("say where to write the weights: --out weights.safetensors"),
        }
    }

    fn print_figures(&self, weights: &Path, device: &Device) -> anyhow::Result<()> {
        let model = BuiltIn::load(weights, device)?;
        let cases = match synthetic(self.data.as_deref())? {
            Some((seed, count)) => sections(seed, count.unwrap_or(HELD_OUT_SECTIONS as usize) as u64),
            None => self.cases(model.card(), self.slices.as_deref())?,
        };
        let terminal = std::io::stderr().is_terminal();
        let result = evaluate(&model, &cases, &mut |done| {
            if terminal {
                eprint!("\r{} of {} ", done + 1, cases.len());
            }
            true
        })?;
        if terminal {
            eprint!("\r");
        }
        print_evaluation(&result);
        Ok(())
    }

    fn train(&self, out: &Path, device: &Device) -> anyhow::Result<()> {
        if out.extension().is_none_or(|e| e != "safetensors") {
            bail!("{}: weights are written as safetensors. Let the name end in .safetensors", out.display());
        }
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("{}: the folder is missing. Make it first", folder.display());
        }
        let recipe = self.recipe()?;
        recipe.check()?;
        let data = self.training_data()?;
        let about = data.train.describe();
        let checkpoint = out.with_extension("checkpoint");
        let mut trainer =
            if self.resume { Trainer::resume(&checkpoint, data, device)? } else { Trainer::new(recipe, data, device)? };
        eprintln!("training on {about}; checkpoint in {}", checkpoint.display());
        let terminal = std::io::stderr().is_terminal();
        let (mut loss, mut last) = (0f32, None);
        while !trainer.finished() {
            let report = trainer.step()?;
            loss = if last.is_none() { report.loss } else { 0.95 * loss + 0.05 * report.loss };
            if terminal {
                eprint!("\r{} ", progress_line(&report, loss));
                std::io::stderr().flush().ok();
            }
            if report.epoch_ended {
                let best = if report.improved { ", the best so far" } else { "" };
                let validation = report.validation.as_ref().map_or_else(String::new, |v| {
                    format!(
                        "; held out: Dice {:.4}, wrong {:.2} %, V_rand {:.4}{best}",
                        v.dice,
                        100.0 * v.wrong,
                        v.rand.score
                    )
                });
                eprintln!("{}{}{validation}", if terminal { "\r" } else { "" }, progress_line(&report, loss));
                trainer.save_checkpoint(&checkpoint)?;
                if report.improved || trainer.finished() {
                    self.save(&trainer, out, &about, report.validation.as_ref())?;
                }
            }
            last = Some(report);
        }
        if last.is_none() {
            eprintln!("the training was finished already");
            self.save(&trainer, out, &about, None)?;
        }
        println!("{}", out.display());
        Ok(())
    }

    fn save(&self, trainer: &Trainer, out: &Path, about: &str, last: Option<&Evaluation>) -> anyhow::Result<()> {
        // At the end the best weights need not be the last: what is written is what was measured.
        let network = trainer.network();
        let name = out.file_stem().map_or_else(|| "model".into(), |s| s.to_string_lossy().into_owned());
        let best = trainer.best_dice().map_or_else(String::new, |d| format!(" Held-out membrane Dice {d:.4}."));
        let rand = match last {
            Some(v) if Some(v.dice) == trainer.best_dice() => {
                format!(" Held-out V_rand {:.4} at threshold ½.", v.rand.score)
            }
            _ => String::new(),
        };
        let recipe = trainer.recipe();
        let description = format!(
            "U-Net of base {} and depth {} for cell membranes, trained on {about} (seed {}, {}² crops in batches of {}, at most {} epochs).{best}{rand}",
            recipe.network.base, recipe.network.depth, recipe.seed, recipe.crop, recipe.batch, recipe.epochs,
        );
        let mut card = trainer.card(&name, &description);
        if self.preset.as_deref() == Some("advu-net") {
            card.size_rule = SizeRule::Tile(ADVU_NET_SIZE);
        }
        BuiltIn::save(out, &card, &network)?;
        Ok(())
    }

    fn recipe(&self) -> anyhow::Result<Recipe> {
        let network = match &self.preset {
            Some(name) => UNetConfig::preset(name)
                .with_context(|| format!("there is no preset ‘{name}’. Use ronneberger or advu-net"))?,
            None => {
                if !(1..=128).contains(&self.base) || !(1..=6).contains(&self.depth) {
                    bail!("--base {} --depth {}: use a base of 1 to 128 and a depth of 1 to 6", self.base, self.depth);
                }
                UNetConfig { channels: self.channels, ..UNetConfig::new(self.base, self.depth) }
            }
        };
        Ok(Recipe {
            batch: self.batch,
            crop: self.crop,
            learning_rate: self.learning_rate,
            dice_weight: self.dice_weight,
            seed: self.seed,
            augmentation: if self.no_augmentation {
                Augmentation::NONE
            } else {
                Augmentation { noise: self.noise, ..Augmentation::default() }
            },
            ..Recipe::new(network, self.epochs)
        })
    }

    fn training_data(&self) -> anyhow::Result<TrainingData> {
        if let Some((seed, count)) = synthetic(self.data.as_deref())? {
            if self.slices.is_some() || self.validate.is_some() {
                bail!("--slices and --validate choose among files; synthetic data validate on held-out seeds");
            }
            let source =
                Source::Synthetic { config: Box::new(MembranesConfig::default()), seed, count: count.unwrap_or(512) };
            let validate = sections(seed.wrapping_add(HELD_OUT), HELD_OUT_SECTIONS);
            return Ok(TrainingData { train: source, validate: validate.into() });
        }
        let card = membrane_card();
        let train = self.cases(&card, self.slices.as_deref())?;
        let validate = match &self.validate {
            Some(range) => self.cases(&card, Some(range))?,
            None => Vec::new(),
        };
        let places = |cases: &[Case]| -> Vec<_> { cases.iter().map(|c| c.provenance.clone()).collect() };
        let trained_on = places(&train);
        if places(&validate).iter().any(|p| trained_on.contains(p)) {
            bail!("--validate names images that are also trained on. Use --slices to leave them out");
        }
        Ok(TrainingData { train: Source::Cases(train.into()), validate: validate.into() })
    }

    /// The cases of the files named on the command line.
    fn cases(&self, card: &ModelCard, slices: Option<&str>) -> anyhow::Result<Vec<Case>> {
        let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
        let map = LabelMap::parse(&self.label_map, &names).context("--label-map")?;
        let range = |count: usize| slices.map_or(Ok(0..count), parse_range);
        match (&self.data, &self.image, &self.label) {
            (Some(folder), ..) => {
                let mut cases = folder_cases(Path::new(folder), &map)?;
                let range = range(cases.len())?;
                if range.end > cases.len() {
                    bail!("{folder}: has images 0 to {}, so not up to {}", cases.len() - 1, range.end - 1);
                }
                Ok(cases.drain(range).collect())
            }
            (None, Some(image), Some(label)) => {
                let never = AtomicBool::new(false);
                let (image, label) = (open(image, &never)?, LabelStack::open(label, &never)?);
                let range = range(image.slices)?;
                Ok(stack_cases(&image, &label, &map, range)?)
            }
            _ => bail!("name the data: --data FOLDER, --data synthetic:SEED, or --image with --label"),
        }
    }
}

/// The classes that a training of this program tells apart.
fn membrane_card() -> ModelCard {
    let class = |name: &str| crate::model::ClassInfo { name: name.to_owned() };
    ModelCard {
        name: String::new(),
        description: String::new(),
        channels: 1,
        head: crate::model::Head::Sigmoid,
        size_rule: SizeRule::MultipleOf(1),
        positive_class: 1,
        classes: vec![class("cell"), class("membrane")],
        network: UNetConfig::new(1, 1),
    }
}

/// Seed and number of sections of `synthetic:SEED[:SECTIONS]`; `None` for anything else.
fn synthetic(data: Option<&str>) -> anyhow::Result<Option<(u64, Option<usize>)>> {
    let Some(rest) = data.and_then(|d| d.strip_prefix("synthetic")) else { return Ok(None) };
    let wrong = || format!("‘synthetic{rest}’: write synthetic:SEED or synthetic:SEED:SECTIONS with whole numbers");
    let mut parts = rest.strip_prefix(':').with_context(wrong)?.split(':');
    let seed = parts.next().and_then(|s| s.parse().ok()).with_context(wrong)?;
    let count =
        parts.next().map(|s| s.parse::<usize>().ok().filter(|n| (1..=10_000_000).contains(n)).with_context(wrong));
    if parts.next().is_some() {
        bail!(wrong());
    }
    Ok(Some((seed, count.transpose()?)))
}

/// Sections for validation and evaluation.
fn sections(seed: u64, count: u64) -> Vec<Case> {
    let config = MembranesConfig::sized(HELD_OUT_SIZE);
    (0..count)
        .map(|i| config.section(seed.wrapping_add(i)).case(format!("synthetic {}", seed.wrapping_add(i))))
        .collect()
}

/// `3-7` as 3..8, `3` as 3..4.
fn parse_range(text: &str) -> anyhow::Result<Range<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |s: &str| s.trim().parse::<usize>().ok().filter(|n| *n < usize::MAX);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..last + 1),
        _ => bail!("‘{text}’ is not a range of slices. Write for example 0-23, or 7"),
    }
}

fn progress_line(report: &StepReport, loss: f32) -> String {
    format!(
        "epoch {}/{}, step {}/{}: loss {loss:.4}, {:.1} crops/s, {} left",
        report.epoch,
        report.epochs,
        report.step,
        report.steps,
        report.crops_per_second,
        clock(report.remaining)
    )
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn print_evaluation(e: &Evaluation) {
    let (low, high) = e.dice_of_images.iter().fold((1f64, 0f64), |(l, h), &d| (l.min(d), h.max(d)));
    println!("images {}", e.images);
    println!("dice {:.4} (of all pixels; images {low:.4} to {high:.4})", e.dice);
    println!("iou {:.4}", e.iou);
    println!("pixel error {:.4} (share of wrong pixels), rmse {:.4}", e.wrong, e.rmse);
    println!("v_rand {:.4} at threshold 0.5 (merge {:.4}, split {:.4})", e.rand.score, e.rand.merge, e.rand.split);
    println!(
        "v_rand {:.4} at the best threshold {:.1} (merge {:.4}, split {:.4})",
        e.best_rand.score, e.best_threshold, e.best_rand.merge, e.best_rand.split
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_synthetic_sources_are_parsed_or_refused() {
        assert_eq!(parse_range("0-23").ok(), Some(0..24));
        assert_eq!(parse_range("7").ok(), Some(7..8));
        for bad in ["", "a", "5-3", "-1", "1-", "0-18446744073709551615"] {
            assert!(parse_range(bad).is_err(), "{bad}");
        }
        assert_eq!(synthetic(Some("synthetic:5")).ok(), Some(Some((5, None))));
        assert_eq!(synthetic(Some("synthetic:5:64")).ok(), Some(Some((5, Some(64)))));
        assert_eq!(synthetic(Some("folder")).ok(), Some(None));
        for bad in ["synthetic", "synthetic:", "synthetic:x", "synthetic:1:0", "synthetic:1:2:3"] {
            assert!(synthetic(Some(bad)).is_err(), "{bad}");
        }
    }
}
