//! A training as a job: it tells what happens, can be paused and cancelled between steps, and leaves a checkpoint from which
//! it goes on after any end, a killed process included.

use super::{EpochRecord, SamplePrediction, StepReport, TrainError, Trainer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A checkpoint is written at the end of each epoch, and in long epochs after this much time.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(120);

/// What happened.
#[derive(Clone, Debug)]
pub enum TrainEvent {
    /// A batch was learned.
    Step(StepReport),
    /// An epoch ended: its record, and what the network makes of some held-out images now.
    Epoch {
        /// Loss, learning rate and validation.
        record: EpochRecord,
        /// As many as the job keeps.
        samples: Vec<SamplePrediction>,
    },
    /// A checkpoint was written.
    Saved(PathBuf),
    /// Paused, or (false) going on.
    Paused(bool),
    /// It ended.
    Ended(Ending),
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The validation did not improve any more.
    StoppedEarly,
    /// It was cancelled; the checkpoint has it up to the last step.
    Cancelled,
}

/// Pause and cancel, from another thread. Clones are the same control.
#[derive(Clone, Default)]
pub struct Control {
    shared: Arc<(Mutex<Wishes>, Condvar)>,
    courtesy: Option<Courtesy>,
}

/// Waits before a step for whoever is to go first.
pub type Courtesy = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct Wishes {
    paused: bool,
    cancelled: bool,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Control").field(&self.shared.0).finish()
    }
}

impl Control {
    /// Calls `courtesy` before each step, which may wait there.
    pub fn courteous(courtesy: Courtesy) -> Self {
        Self { courtesy: Some(courtesy), ..Self::default() }
    }

    /// Whether both control the same work.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Pauses before the next step, or goes on.
    pub fn pause(&self, paused: bool) {
        self.set(|wishes| wishes.paused = paused);
    }

    /// Ends before the next step.
    pub fn cancel(&self) {
        self.set(|wishes| wishes.cancelled = true);
    }

    /// Whether it is to end.
    pub fn is_cancelled(&self) -> bool {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    fn set(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.shared.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.1.notify_all();
    }

    /// Waits while paused; whether to go on. `told` hears of a pause.
    fn may_go_on(&self, told: &mut dyn FnMut(TrainEvent)) -> bool {
        if let Some(courtesy) = self.courtesy.as_ref().filter(|_| !self.is_cancelled()) {
            courtesy();
        }
        let (lock, changed) = &*self.shared;
        let mut wishes = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waited = false;
        while wishes.paused && !wishes.cancelled {
            if !waited {
                waited = true;
                drop(wishes);
                told(TrainEvent::Paused(true));
                wishes = lock.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            wishes = changed.wait(wishes).unwrap_or_else(PoisonError::into_inner);
        }
        let go_on = !wishes.cancelled;
        drop(wishes);
        if waited {
            told(TrainEvent::Paused(false));
        }
        go_on
    }
}

/// A training with its checkpoint.
pub struct TrainingJob {
    trainer: Trainer,
    checkpoint: PathBuf,
    saved: Instant,
}

impl TrainingJob {
    /// A job that keeps its checkpoint in `checkpoint`.
    pub fn new(trainer: Trainer, checkpoint: &Path) -> Self {
        Self { trainer, checkpoint: checkpoint.to_owned(), saved: Instant::now() }
    }

    /// The training.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// One step with what follows from it: events in order. Nothing once it has finished. For whoever has a loop of their
    /// own; [`Self::run`] is one.
    ///
    /// # Errors
    /// If the loss diverges, the device fails or the checkpoint cannot be written.
    pub fn step(&mut self) -> Result<Vec<TrainEvent>, TrainError> {
        if self.trainer.finished() {
            return Ok(Vec::new());
        }
        let mut report = self.trainer.step()?;
        let samples = std::mem::take(&mut report.samples);
        let ended = report.epoch_ended;
        let mut events = vec![TrainEvent::Step(report)];
        if ended && let Some(record) = self.trainer.history().last() {
            events.push(TrainEvent::Epoch { record: record.clone(), samples });
        }
        if ended || self.saved.elapsed() > BETWEEN_CHECKPOINTS {
            events.push(self.save()?);
        }
        Ok(events)
    }

    fn save(&mut self) -> Result<TrainEvent, TrainError> {
        self.trainer.save_checkpoint(&self.checkpoint)?;
        self.saved = Instant::now();
        Ok(TrainEvent::Saved(self.checkpoint.clone()))
    }

    /// Steps until it has finished, the validation improves no more, or it is cancelled.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn run(
        &mut self,
        control: &Control,
        told: &mut dyn FnMut(&Trainer, TrainEvent) -> Result<(), TrainError>,
    ) -> Result<Ending, TrainError> {
        let ending = loop {
            if self.trainer.finished() {
                break if self.trainer.stopped_early() { Ending::StoppedEarly } else { Ending::Finished };
            }
            let mut failed = Ok(());
            let go_on = control.may_go_on(&mut |event| {
                if failed.is_ok() {
                    failed = told(&self.trainer, event);
                }
            });
            failed?;
            if !go_on {
                let event = self.save()?;
                told(&self.trainer, event)?;
                break Ending::Cancelled;
            }
            for event in self.step()? {
                told(&self.trainer, event)?;
            }
        };
        told(&self.trainer, TrainEvent::Ended(ending))?;
        Ok(ending)
    }
}
