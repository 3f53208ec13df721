//! `epsiloscope train`: trains a U-Net on a folder, a stack or synthetic sections, and tells how good a model is.

mod data;
mod recipe;

pub use recipe::RecipeOptions;

use crate::model::{BuiltIn, Model};
use crate::study::report::check_writable;
use crate::train::{Evaluation, StepReport, Trainer, evaluate};
use anyhow::bail;
use burn::tensor::{Device, DeviceKind};
use data::{SECTIONS, sections, synthetic};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Slices of --image (or images of a folder) that choose the best epoch; never trained on.
    #[arg(long)]
    pub validate: Option<String>,
    /// How to train.
    #[command(flatten)]
    pub recipe: RecipeOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: TrainingDevice,
    /// Weights to write (.safetensors), with a card (.toml) and a checkpoint (.checkpoint) beside them.
    #[arg(long, required_unless_present = "evaluate")]
    pub out: Option<PathBuf>,
    /// Go on from the checkpoint beside --out, with the same data. Options that are given must be those of then.
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
            (None, Some(out)) => {
                // Before anything is computed: a mistake should not cost an epoch.
                check_writable(out.parent().unwrap_or(Path::new(".")))?;
                self.train(out, &device)
            }
            (None, None) => bail!("say where to write the weights: --out weights.safetensors"),
        }
    }

    fn print_figures(&self, weights: &Path, device: &Device) -> anyhow::Result<()> {
        let model = BuiltIn::load(weights, device)?;
        let cases = match synthetic(self.data.as_deref())? {
            Some((seed, count)) => sections(seed, count.unwrap_or(SECTIONS as usize) as u64),
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
        let checkpoint = out.with_extension("checkpoint");
        let mut trainer = if self.resume {
            let trainer = Trainer::resume(&checkpoint, self.training_data()?, device)?;
            self.recipe.check_resumed(&checkpoint, trainer.recipe())?;
            trainer
        } else {
            let recipe = self.recipe.recipe()?;
            Trainer::new(recipe, self.training_data()?, device)?
        };
        let about = trainer.data().to_owned();
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
                        "; validation (chooses the epoch): Dice {:.4}, wrong {:.2} %, V_rand {:.4}{best}",
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
        let rand = match last {
            Some(v) if Some(v.dice) == trainer.best_dice() => format!(", V_rand {:.4} at threshold ½", v.rand.score),
            _ => String::new(),
        };
        // Not held out: the epoch is the one that does best there.
        let validation = trainer
            .best_dice()
            .map_or_else(String::new, |d| format!(" Validation (chose the epoch): membrane Dice {d:.4}{rand}."));
        let recipe = trainer.recipe();
        let description = format!(
            "U-Net of base {} and depth {} for cell membranes, trained on {about} (seed {}, {}² crops in batches of {}, at most {} epochs).{validation}",
            recipe.network.base, recipe.network.depth, recipe.seed, recipe.crop, recipe.batch, recipe.epochs,
        );
        BuiltIn::save(out, &trainer.card(&name, &description), &network)?;
        Ok(())
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
