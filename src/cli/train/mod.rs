//! `epsiloscope train`: trains a U-Net on a folder, a stack or synthetic sections, and tells how good a model is.

mod data;
mod recipe;

pub use recipe::RecipeOptions;

use super::progress::note;
use crate::model::{BuiltIn, Model};
use crate::study::report::check_writable;
use crate::train::{
    Checkpoint, Control, Ending, Evaluation, RecipeFile, StepReport, SyntheticTable, TrainEvent, Trainer, TrainingJob,
    clock, evaluate, operations, save_weights, synthetic_cases, write_preview,
};
use anyhow::bail;
use burn::tensor::{Device, DeviceKind};
use data::synthetic;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Where a training computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TrainingDevice {
    /// burn's CPU backend.
    #[default]
    Cpu,
    /// The default GPU adapter.
    Gpu,
}

/// Train a U-Net, or with --evaluate print how good a model is.
#[derive(Clone, Debug, clap::Args)]
pub struct Train {
    /// A recipe (TOML): data, split, network, loss, optimiser, schedule, augmentation, adversarial samples. Options that are
    /// given besides replace what it says.
    #[arg(long = "recipe", value_name = "FILE", conflicts_with = "evaluate")]
    pub recipe_file: Option<PathBuf>,
    /// What to train on: a folder with images and masks (`epsiloscope dataset` says what is found in it), or
    /// synthetic:SEED[:SECTIONS], fresh sections every epoch.
    #[arg(long, value_name = "FOLDER|synthetic:SEED[:N]", conflicts_with = "image")]
    pub data: Option<String>,
    /// An image or stack to train on.
    #[arg(long, requires = "label")]
    pub image: Option<PathBuf>,
    /// Its labels.
    #[arg(long, requires = "image")]
    pub label: Option<PathBuf>,
    /// What the labels' values mean; unlisted values count nowhere [default: 0=membrane,255=cell, or what the recipe says]
    #[arg(long)]
    pub label_map: Option<String>,
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
    #[arg(long, required_unless_present_any = ["evaluate", "preview"])]
    pub out: Option<PathBuf>,
    /// Do not train: write the crops of the first step, adversarial ones included, as PNG files into this folder, each with its
    /// target beside it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["evaluate", "out", "resume"])]
    pub preview: Option<PathBuf>,
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
        if let Some(folder) = &self.preview {
            return self.write_preview(folder, &device);
        }
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
            Some((seed, count)) => {
                let table = SyntheticTable::default();
                synthetic_cases(seed, count.unwrap_or(table.validate), table.size)
            }
            None => self.cases(model.card(), self.slices.as_deref())?,
        };
        let terminal = std::io::stderr().is_terminal();
        let result = evaluate(&model, &cases, &mut |done| {
            if terminal {
                note(&format!("\r{} of {} ", done + 1, cases.len()));
            }
            true
        })?;
        if terminal {
            note("\r");
        }
        print_evaluation(&result);
        Ok(())
    }

    fn train(&self, out: &Path, device: &Device) -> anyhow::Result<()> {
        if out.extension().is_none_or(|e| e != "safetensors") {
            bail!("{}: weights are written as safetensors. Let the name end in .safetensors", out.display());
        }
        // The card would take the recipe's place.
        if self.recipe_file.as_ref().is_some_and(|recipe| *recipe == out.with_extension("toml")) {
            bail!("{}: its card would overwrite the recipe. Choose another name for the weights", out.display());
        }
        let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("{}: the folder is missing. Make it first", folder.display());
        }
        let checkpoint = out.with_extension("checkpoint");
        let file = self.recipe_file.as_deref().map(RecipeFile::read).transpose()?;
        let base = file.as_ref().map(RecipeFile::recipe).transpose()?;
        let trainer = if self.resume {
            let header = Checkpoint::read(&checkpoint)?.header;
            let trainer = Trainer::resume(&checkpoint, self.training_data(file.as_ref(), &header.recipe)?, device)?;
            self.recipe.check_resumed(&checkpoint, base, trainer.recipe())?;
            trainer
        } else {
            let recipe = self.recipe.recipe(base)?;
            let data = self.training_data(file.as_ref(), &recipe)?;
            Trainer::new(recipe, data, device)?
        };
        let flops = trainer.recipe().step_flops() * (trainer.progress().1 - trainer.progress().0) as f64;
        note(&format!(
            "training on {}; {} steps, about {} of arithmetic; checkpoint in {}\n",
            trainer.data(),
            trainer.progress().1 - trainer.progress().0,
            operations(flops),
            checkpoint.display()
        ));
        if let Some(caution) = trainer.recipe().caution() {
            note(&format!("note: {caution}\n"));
        }
        if trainer.finished() {
            note("the training was finished already\n");
            save_weights(&trainer, out)?;
            println!("{}", out.display());
            return Ok(());
        }
        let terminal = std::io::stderr().is_terminal();
        let (mut loss, mut line) = (f32::NAN, String::new());
        let mut job = TrainingJob::new(trainer, &checkpoint);
        let ending = job.run(&Control::default(), &mut |trainer, event| {
            match event {
                TrainEvent::Step(report) => {
                    loss = if loss.is_nan() { report.loss } else { 0.95 * loss + 0.05 * report.loss };
                    line = progress_line(&report, loss);
                    if terminal {
                        note(&format!("\r{line} "));
                    }
                }
                TrainEvent::Epoch { record, .. } => {
                    let best = if record.improved { ", the best so far" } else { "" };
                    let validation = record.validation.as_ref().map_or_else(String::new, |v| {
                        let wrong = 100.0 * v.wrong;
                        format!(
                            "; validation (chooses the epoch): Dice {:.4}, IoU {:.4}, wrong {wrong:.2} %{best}",
                            v.dice, v.iou
                        )
                    });
                    note(&format!("{}{line}{validation}\n", if terminal { "\r" } else { "" }));
                    if record.improved {
                        save_weights(trainer, out)?;
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        if ending == Ending::StoppedEarly {
            note("stopped: the validation did not improve any more\n");
        }
        save_weights(job.trainer(), out)?;
        println!("{}", out.display());
        Ok(())
    }

    fn write_preview(&self, folder: &Path, device: &Device) -> anyhow::Result<()> {
        let file = self.recipe_file.as_deref().map(RecipeFile::read).transpose()?;
        let recipe = self.recipe.recipe(file.as_ref().map(RecipeFile::recipe).transpose()?)?;
        let data = self.training_data(file.as_ref(), &recipe)?;
        let trainer = Trainer::new(recipe.clone(), data.clone(), device)?;
        for path in write_preview(&trainer, &recipe, &data.train, device, folder)? {
            println!("{}", path.display());
        }
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
