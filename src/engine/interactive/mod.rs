//! The interactive lane: keeps the scene (device, model, case, attack, ε) and answers every change of it with a frame.
//! It reads all wishes that wait, applies them, and computes once: the last ε wins.

mod first;
mod jobs;
mod model;
mod opening;
mod replace;
mod requests;
mod studies;

use super::files::Files;
use super::foreground::Foreground;
use super::job::{JobControl, JobLane};
use super::mailbox::{Letter, Mailbox};
use super::models::Models;
use super::prepared::{Prepared, Tick};
use super::scene::Scene;
use super::stacks::Stacks;
use super::stimuli::StimuliLane;
use super::watch::Wish;
use super::{Backend, Backends, CaseInfo, DeviceChoice, Event, Frame, Outbox, Problem, Request, export, panic_text};
use crate::attack::Attack;
use crate::data::Dataset;
use crate::model::{About, Model};
use crate::study::{Attempt, Judged, Subject, SweepPlan};
use first::FirstShown;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Height and width that a model's costs are told for.
pub(super) const DESCRIBED_SIZE: [usize; 2] = [256, 256];

/// Everything that a frame depends on but ε.
#[derive(Clone)]
struct Good {
    backend: Backend,
    model: Arc<dyn Model>,
    scene: Scene,
    info: Arc<CaseInfo>,
    frame: Arc<Frame>,
}

/// What has to be computed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    #[default]
    Nothing,
    Epsilon,
    Attack,
    Label,
    Case,
}

/// The interactive worker.
pub(super) struct Worker {
    backends: Backends,
    mailbox: Arc<Mailbox>,
    foreground: Arc<Foreground>,
    outbox: Outbox,
    jobs: JobLane,
    files: Files,
    models: Models,
    /// What was read before.
    stacks: Arc<Stacks>,
    /// The data set that the scene is an entry of.
    set: Option<Arc<Dataset>>,
    backend: Option<Backend>,
    model: Option<Arc<dyn Model>>,
    /// What there is to know of a model: the last one that was told of.
    about: Option<(Arc<dyn Model>, Arc<About>)>,
    scene: Option<Scene>,
    /// An image that does not fit the present model, until the one that is being read is there.
    waiting_scene: Option<Scene>,
    method: Attack,
    /// What was wished for before random signs took its place, for want of a gradient: it waits for a model that has one.
    displaced: Option<Attack>,
    epsilon: f64,
    plan: SweepPlan,
    generation: u64,
    subject: Option<Arc<Subject>>,
    info: Option<Arc<CaseInfo>>,
    prepared: Option<Prepared>,
    /// The present adversarial image, for exports.
    shown: Option<(f64, Attempt, Judged)>,
    /// What the newest frame was made of: what is gone back to where its successor cannot be computed.
    good: Option<Good>,
    /// A label that waits for its image, which is being read.
    waiting_label: Option<PathBuf>,
    stale: Stale,
    /// Something of the next case was shown before its first frame.
    early_shown: bool,
    /// A slice of the file that is being read is shown.
    first: FirstShown,
    /// The frame was given up for a newer wish.
    interrupted: bool,
    /// The present generation still needs its curve.
    curve_due: bool,
    /// The generation whose curve was started last.
    curve_of: u64,
    /// Counts comparisons of attacks.
    comparisons: u64,
    /// Makes images for reader studies.
    stimuli: StimuliLane,
}

impl Worker {
    pub(super) fn new(
        choice: DeviceChoice,
        backends: Backends,
        mailbox: Arc<Mailbox>,
        stacks: Arc<Stacks>,
        foreground: Arc<Foreground>,
        outbox: Outbox,
    ) -> std::io::Result<Self> {
        mailbox.push(Letter::Request(Request::Device(choice)));
        mailbox.push(Letter::Request(Request::OpenBundledModel));
        Ok(Self {
            backends,
            mailbox,
            foreground,
            jobs: JobLane::start(outbox.clone())?,
            outbox,
            files: Files::default(),
            models: Models::default(),
            stacks,
            set: None,
            backend: None,
            model: None,
            about: None,
            scene: None,
            waiting_scene: None,
            method: Attack::FGSM,
            displaced: None,
            epsilon: 4.0 / 255.0,
            plan: SweepPlan::default(),
            generation: 0,
            subject: None,
            prepared: None,
            shown: None,
            good: None,
            info: None,
            waiting_label: None,
            stale: Stale::Nothing,
            early_shown: false,
            first: FirstShown::default(),
            interrupted: false,
            curve_due: false,
            curve_of: 0,
            comparisons: 0,
            stimuli: StimuliLane::default(),
        })
    }

    /// Pauses and cancels jobs, whatever this thread does.
    pub(super) fn job_control(&self) -> JobControl {
        self.jobs.control()
    }

    pub(super) fn run(mut self) {
        while let Some(mut letters) = self.mailbox.take() {
            while let Some(letter) = letters.pop_front() {
                let Some(letter) = self.put_off(letter) else { continue };
                if matches!(letter, Letter::Request(Request::Export(_))) {
                    // An export is of what was wished for before it.
                    self.catch_up(false);
                }
                let what = letter.title();
                self.guarded(what, |worker| worker.apply(letter));
                // What waited came before the rest.
                self.first.due().into_iter().rev().for_each(|letter| letters.push_front(letter));
            }
            self.catch_up(true);
            // A curve is started only when nobody is waiting, so that leafing through slices stays quick.
            if self.curve_due && !self.first.is_shown() && !self.mailbox.is_waiting() {
                self.curve_due = false;
                self.start_curve();
            }
            if !self.mailbox.is_waiting() {
                self.measure_here();
            }
        }
    }

    /// Computes the frame that is wished for. If it cannot be had, everything goes back to what the last one was made of. If
    /// it is `interruptible`, an attack of many steps is given up between two of them when something new is wished for.
    fn catch_up(&mut self, interruptible: bool) {
        if self.stale == Stale::Nothing || self.model.is_none() || self.scene.is_none() || self.first.is_shown() {
            return;
        }
        self.outbox.send(Event::Computing(true));
        self.foreground.set_busy(true);
        let worked = self.guarded("Compute", |worker| worker.compute(interruptible));
        self.foreground.set_busy(false);
        if std::mem::take(&mut self.interrupted) {
            // What is newly wished for is served first; the frame is still due.
            return;
        }
        if !worked && self.stale > Stale::Epsilon {
            self.go_back();
        }
        // What failed once would fail again: wait for the next wish.
        self.stale = Stale::Nothing;
        self.outbox.send(Event::Computing(false));
    }

    /// Shows again what the last frame was made of; `prepared` still belongs to it.
    fn go_back(&mut self) {
        let (Some(good), Some(prepared)) = (self.good.clone(), &self.prepared) else { return };
        let other_device = self.backend.as_ref().is_none_or(|b| b.info != good.backend.info);
        let other_model = self.model.as_ref().is_none_or(|m| !Arc::ptr_eq(m, &good.model));
        self.backend = Some(good.backend.clone());
        self.model = Some(good.model.clone());
        self.scene = Some(good.scene.clone());
        self.subject = Some(prepared.subject.clone());
        self.info = Some(good.info.clone());
        self.method = prepared.method;
        if other_device {
            self.outbox.send(Event::Device(good.backend.info.clone()));
        }
        if other_model {
            let model = good.model.clone();
            self.describe(&model);
        }
        self.show_again();
    }

    /// Tells the last good frame once more, in case something of its successor was shown already.
    fn show_again(&mut self) {
        self.early_shown = false;
        let Some(good) = &self.good else { return };
        self.outbox.send(Event::Case(good.info.clone()));
        self.outbox.send(Event::Frame(good.frame.clone()));
        // Its curve was cancelled.
        self.curve_due = good.frame.unfinished.is_none();
    }

    /// Runs `work`; an error or a panic (a kernel out of memory) becomes a message, and the last good state stays.
    /// Whether it worked.
    fn guarded(&mut self, what: &str, work: impl FnOnce(&mut Self) -> Result<(), String>) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        let why = match result {
            Ok(Ok(())) => return true,
            Ok(Err(why)) => why,
            Err(panic) => format!("the device failed: {}", panic_text(panic.as_ref())),
        };
        if self.early_shown && self.stale < Stale::Case && !self.first.is_shown() {
            // No frame will follow.
            self.show_again();
        }
        self.outbox.send(Event::Failed(Problem { what: what.to_owned(), why }));
        false
    }

    fn apply(&mut self, letter: Letter) -> Result<(), String> {
        match letter {
            Letter::Request(request) => self.serve(request),
            Letter::Opened(opened) => self.opened(opened),
            Letter::First(first) => {
                self.show_first(first);
                Ok(())
            }
            Letter::Model(read) => self.model_read(read),
        }
    }

    fn compute(&mut self, interruptible: bool) -> Result<(), String> {
        let start = Instant::now();
        let subject = self.subject.clone().ok_or("no image is open")?;
        let backend = self.backend.as_ref().ok_or("no device is chosen")?;
        let (publish, shared) = (backend.publish.clone(), backend.info.shared);
        // Kept back until its first frame is there: whatever fails before leaves everything as it was.
        let fresh = if self.stale > Stale::Epsilon || self.prepared.is_none() {
            self.jobs.cancel_curve();
            Some(Prepared::new(subject, self.method, self.generation + 1, &publish)?)
        } else {
            None
        };
        let prepared = fresh.as_ref().or(self.prepared.as_ref()).ok_or("nothing is prepared")?;
        // Whoever stops an attack means one that he has seen running.
        self.mailbox.take_stop();
        let any_epsilon = prepared.adversary.finds_epsilon();
        let matters = |request: &Request| match request {
            Request::Epsilon(_) => !any_epsilon,
            Request::Export(_) | Request::Sweep(_) | Request::Compare { .. } => false,
            _ => true,
        };
        let wish = || {
            if interruptible && self.mailbox.is_waiting_for(matters) {
                Wish::GiveUp
            } else if self.mailbox.take_stop() {
                Wish::Stop
            } else {
                Wish::GoOn
            }
        };
        let info = self.info.clone().ok_or("no image is open")?;
        let told = Cell::new(false);
        let tell = |event| {
            told.set(told.get() || matches!(event, Event::Pictures(_)));
            self.outbox.send(event);
        };
        // The first frame of an attack is more than its pictures.
        let ahead = shared && fresh.is_none();
        let tick = Tick { case: &info, epsilon: self.epsilon, start, publish: &publish, ahead };
        let found = prepared.frame(&tick, &wish, &tell);
        // Pictures whose numbers cannot be had are taken back.
        self.early_shown |= told.get();
        let Some((frame, attempt, judged)) = found? else {
            self.interrupted = true;
            return Ok(());
        };
        let frame = Arc::new(frame);
        if let Some(fresh) = fresh {
            self.generation = fresh.generation;
            self.prepared = Some(fresh);
        }
        // What was stopped would run in full on the curve: it is measured once a person asks for it.
        if frame.unfinished.is_none() && self.curve_of != self.generation {
            self.curve_due = true;
        }
        if let (Some(backend), Some(model), Some(scene)) =
            (self.backend.clone(), self.model.clone(), self.scene.clone())
        {
            self.good = Some(Good { backend, model, scene, info, frame: frame.clone() });
        }
        self.shown = Some((self.epsilon, attempt, judged));
        self.early_shown = false;
        self.outbox.send(Event::Frame(frame));
        Ok(())
    }

    fn export(&self, wish: super::Export) -> Result<(), String> {
        let prepared = self.prepared.as_ref().ok_or("there is no picture yet")?;
        let (epsilon, attempt, judged) = self.shown.as_ref().ok_or("there is no picture yet")?;
        let scene = self.scene.as_ref().ok_or("there is no picture yet")?;
        let label = scene.label.as_ref().and_then(|(_, path)| path.as_deref());
        for open in [scene.stack.path.as_deref(), label].into_iter().flatten() {
            if same_file(open, wish.path()) {
                return Err(format!(
                    "{}: this file is open. Choose another name, so that it is not lost",
                    open.display()
                ));
            }
        }
        if let super::Export::AdversarialVolume(path) = wish {
            return self.start_volume(path);
        }
        let shown = export::Shown {
            subject: &prepared.subject,
            method: prepared.method,
            epsilon: *epsilon,
            adversarial: &attempt.image,
            flow: attempt.flow.as_ref(),
            judged,
            curve: self.jobs.curve(prepared.generation),
            plan: &self.plan,
        };
        let report = export::write(&wish, &shown)?;
        self.outbox.send(Event::Exported(report));
        Ok(())
    }
}

/// Whether both name one file that exists.
fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
