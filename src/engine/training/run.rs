//! One training, from its data to its weights.

use super::{Shared, TrainNews, TrainSample, TrainStart, TrainSteps};
use crate::data::{IGNORE, Mask};
use crate::engine::{DeviceChoice, Plane};
use crate::train::{
    Control, DataRead, Ending, Header, RecipeFile, SamplePrediction, StepReport, TrainError, TrainEvent, Trainer,
    TrainingJob, operations, save_weights,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Held-out images whose predictions are told after each epoch.
const SAMPLES: usize = 4;
/// Steps are told no more often.
const BETWEEN_NEWS: Duration = Duration::from_millis(50);

/// The file beside weights that a training keeps its state in.
pub(super) fn checkpoint_of(out: &Path) -> PathBuf {
    out.with_extension("checkpoint")
}

/// And that which keeps its recipe.
pub(super) fn recipe_of(out: &Path) -> PathBuf {
    out.with_extension("recipe.toml")
}

pub(super) fn start(
    shared: &Shared,
    control: &Control,
    recipe: RecipeFile,
    out: PathBuf,
    device: DeviceChoice,
) -> Result<(), String> {
    if out.extension().is_none_or(|e| e != "safetensors") {
        return Err(format!("{}: weights are written as safetensors. Let the name end in .safetensors", out.display()));
    }
    if checkpoint_of(&out).exists() {
        return Err(format!(
            "{}: a training has left its checkpoint there. Resume it, or choose another name",
            out.display()
        ));
    }
    if out.exists() {
        return Err(format!("{}: this file is there already. Choose another name", out.display()));
    }
    shared.tell(TrainNews::Preparing { out: out.clone() });
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| format!("{}: cannot be made ({e}). Choose another folder", folder.display()))?;
    }
    let settings = recipe.recipe().and_then(|r| r.check().map(|()| r)).map_err(text)?;
    let DataRead { data, note, .. } = recipe.data.read(&settings.classes).map_err(text)?;
    let backend = (shared.backends)(device)?;
    let trainer = Trainer::new(settings, data, &backend.device).map_err(text)?;
    recipe.write(&recipe_of(&out)).map_err(text)?;
    let ended = train(shared, control, trainer, recipe, note, out.clone());
    let nothing = || Header::read(&checkpoint_of(&out)).is_ok_and(|header| header.history.is_empty());
    if ended.is_err() && nothing() {
        // There is nothing to go on with, and the same name is to be free for another try.
        for left in [checkpoint_of(&out), recipe_of(&out)] {
            let _ = std::fs::remove_file(left);
        }
    }
    ended
}

pub(super) fn resume(shared: &Shared, control: &Control, out: PathBuf, device: DeviceChoice) -> Result<(), String> {
    shared.tell(TrainNews::Preparing { out: out.clone() });
    let recipe = RecipeFile::read(&recipe_of(&out)).map_err(text)?;
    let checkpoint = checkpoint_of(&out);
    let header = Header::read(&checkpoint).map_err(text)?;
    let DataRead { data, note, .. } = recipe.data.read(&header.recipe.classes).map_err(text)?;
    let backend = (shared.backends)(device)?;
    let trainer = Trainer::resume(&checkpoint, data, &backend.device).map_err(text)?;
    train(shared, control, trainer, recipe, note, out)
}

fn train(
    shared: &Shared,
    control: &Control,
    mut trainer: Trainer,
    recipe: RecipeFile,
    note: Option<String>,
    out: PathBuf,
) -> Result<(), String> {
    trainer.keep_samples(SAMPLES);
    let steps = trainer.progress();
    shared.tell(TrainNews::Started(Box::new(TrainStart {
        out: out.clone(),
        recipe,
        data: trainer.data().to_owned(),
        note,
        held_out: trainer.held_out(),
        steps,
        epochs: trainer.recipe().epochs,
        cost: operations(trainer.recipe().step_flops() * (steps.1 - steps.0) as f64),
        history: trainer.history().to_vec(),
    })));
    // What a training leaves before its first epoch is done can be gone on with, too.
    trainer.save_checkpoint(&checkpoint_of(&out)).map_err(text)?;
    let mut job = TrainingJob::new(trainer, &checkpoint_of(&out));
    let mut told = Told { losses: Vec::new(), last: None, at: Instant::now() };
    let ending = job
        .run(control, &mut |trainer, event| {
            match event {
                TrainEvent::Step(report) => {
                    told.step(report, shared);
                }
                TrainEvent::Epoch { record, samples } => {
                    told.flush(shared);
                    if record.improved {
                        save_weights(trainer, &out)?;
                    }
                    shared.tell(TrainNews::Epoch { record, samples: samples.iter().map(sample).collect() });
                }
                TrainEvent::Paused(paused) => {
                    told.flush(shared);
                    shared.tell(TrainNews::Paused(paused));
                }
                TrainEvent::Saved(_) | TrainEvent::Ended(_) => {}
            }
            Ok::<(), TrainError>(())
        })
        .map_err(text)?;
    told.flush(shared);
    if ending != Ending::Cancelled || !job.trainer().history().is_empty() {
        save_weights(job.trainer(), &out).map_err(text)?;
    }
    shared.end(control);
    shared.tell(TrainNews::Ended { ending, out });
    Ok(())
}

/// Gathers steps, so that fast ones do not flood the window.
struct Told {
    losses: Vec<(usize, f32)>,
    last: Option<StepReport>,
    at: Instant,
}

impl Told {
    fn step(&mut self, report: StepReport, shared: &Shared) {
        self.losses.push((report.step, report.loss));
        self.last = Some(report);
        if self.at.elapsed() >= BETWEEN_NEWS {
            self.flush(shared);
        }
    }

    fn flush(&mut self, shared: &Shared) {
        let Some(report) = self.last.take() else { return };
        self.at = Instant::now();
        shared.tell(TrainNews::Steps(TrainSteps {
            losses: std::mem::take(&mut self.losses),
            epoch: report.epoch,
            learning_rate: report.learning_rate,
            crops_per_second: report.crops_per_second,
            remaining_secs: report.remaining.as_secs_f64(),
        }));
    }
}

fn sample(found: &SamplePrediction) -> TrainSample {
    let [channels, height, width] = found.shape;
    let plane = |mask: &Mask| {
        let values: Vec<f32> = mask.classes.iter().map(|&class| reference(class)).collect();
        Plane::from_host(1, mask.height, mask.width, values)
    };
    TrainSample {
        name: found.name.clone(),
        image: Plane::from_host(channels, height, width, found.image.clone()),
        label: plane(&found.label),
        predicted: plane(&found.predicted),
    }
}

/// A class as pictures show a reference.
fn reference(class: u8) -> f32 {
    match class {
        IGNORE => -1.0,
        0 => 0.0,
        _ => 1.0,
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
