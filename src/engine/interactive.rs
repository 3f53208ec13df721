//! The interactive lane: keeps the scene (device, model, case, attack, ε) and answers every change of it with a frame.
//! It reads all wishes that wait, applies them, and computes once: the last ε wins.

use super::files::{self, Content, Files, Opened};
use super::job::{CurveJob, JobLane};
use super::mailbox::{Letter, Mailbox};
use super::scene::{self, Scene};
use super::{Backend, Backends, DeviceChoice, Event, Frame, Outbox, Plane, Problem, Request, export, panic_text};
use crate::attack::{Direction, Method};
use crate::model::{BuiltIn, Model};
use crate::study::{Judged, Subject, Sweep, SweepPlan};
use crate::tensor;
use burn::tensor::Tensor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What is on the screen, as far as it does not depend on ε.
struct Prepared {
    subject: Arc<Subject>,
    method: Method,
    direction: Direction,
    generation: u64,
    original: Plane,
    gradient: Option<Plane>,
    gradient_peak: f32,
    direction_plane: Plane,
    clean_probability: Plane,
    reference: Plane,
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
    outbox: Outbox,
    jobs: JobLane,
    files: Files,
    backend: Option<Backend>,
    model: Option<Arc<dyn Model>>,
    scene: Option<Scene>,
    method: Method,
    epsilon: f64,
    plan: SweepPlan,
    generation: u64,
    subject: Option<Arc<Subject>>,
    prepared: Option<Prepared>,
    /// The present adversarial image, for exports.
    shown: Option<(f64, Tensor<4>, Judged)>,
    stale: Stale,
    /// The present generation still needs its curve.
    curve_due: bool,
}

impl Worker {
    pub(super) fn new(
        choice: DeviceChoice,
        backends: Backends,
        mailbox: Arc<Mailbox>,
        outbox: Outbox,
    ) -> std::io::Result<Self> {
        mailbox.push(Letter::Request(Request::Device(choice)));
        mailbox.push(Letter::Request(Request::OpenBundledModel));
        Ok(Self {
            backends,
            mailbox,
            jobs: JobLane::start(outbox.clone())?,
            outbox,
            files: Files::default(),
            backend: None,
            model: None,
            scene: None,
            method: Method::GradientSign { ascend: true },
            epsilon: 4.0 / 255.0,
            plan: SweepPlan::default(),
            generation: 0,
            subject: None,
            prepared: None,
            shown: None,
            stale: Stale::Nothing,
            curve_due: false,
        })
    }

    pub(super) fn run(mut self) {
        while let Some(letters) = self.mailbox.take() {
            for letter in letters {
                let what = title(&letter);
                self.guarded(what, |worker| worker.apply(letter));
            }
            if self.stale != Stale::Nothing && self.model.is_some() && self.scene.is_some() {
                self.outbox.send(Event::Computing(true));
                self.guarded("Compute", Self::compute);
                // What failed once would fail again: wait for the next wish.
                self.stale = Stale::Nothing;
                self.outbox.send(Event::Computing(false));
            }
            // A curve is started only when nobody is waiting, so that leafing through slices stays quick.
            if self.curve_due && !self.mailbox.is_waiting() {
                self.curve_due = false;
                self.start_curve();
            }
        }
    }

    /// Runs `work`; an error or a panic (a kernel out of memory) becomes a message, and the last good state stays.
    fn guarded(&mut self, what: &str, work: impl FnOnce(&mut Self) -> Result<(), String>) {
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(panic) => format!("the device failed: {}", panic_text(panic.as_ref())),
        };
        self.outbox.send(Event::Failed(Problem { what: what.to_owned(), why }));
    }

    fn apply(&mut self, letter: Letter) -> Result<(), String> {
        match letter {
            Letter::Request(request) => self.serve(request),
            Letter::Opened(opened) => self.opened(opened),
        }
    }

    fn serve(&mut self, request: Request) -> Result<(), String> {
        match request {
            Request::OpenSample => self.read(PathBuf::from("sample"), |_| files::read_sample()),
            Request::Open { image, label, slice } => {
                self.read(image.clone(), move |c| files::read_image(&image, label.as_deref(), slice, c))
            }
            Request::OpenLabel(path) => {
                let stack = self.scene.as_ref().ok_or("open an image first, then its label")?.stack.clone();
                self.read(path.clone(), move |c| files::read_label(&path, &stack, c))
            }
            Request::CancelOpen => {
                self.files.cancel();
                Ok(())
            }
            Request::CloseLabel => self.rescene(Stale::Label, |scene| {
                scene.label = None;
                scene.label_map = None;
                scene.guess = None;
            }),
            Request::LabelMap(map) => self.rescene(Stale::Label, |scene| {
                scene.label_map = map;
                scene.guess = None;
            }),
            Request::Bounds(bounds) => {
                let scene = self.scene.as_ref().ok_or("no image is open")?;
                let stack = Arc::new(scene.stack.with_bounds(bounds).map_err(text)?);
                self.rescene(Stale::Case, |scene| scene.stack = stack)
            }
            Request::Slice(slice) => {
                self.rescene(Stale::Case, |scene| scene.slice = slice.min(scene.stack.slices.saturating_sub(1)))
            }
            Request::OpenBundledModel => {
                let model = BuiltIn::bundled(&self.device()?).map_err(text)?;
                self.use_model(Arc::new(model))
            }
            Request::OpenModel(path) => {
                let model = BuiltIn::load(&path, &self.device()?).map_err(text)?;
                self.use_model(Arc::new(model))
            }
            Request::Attack(method) => {
                if method != self.method || self.prepared.is_none() {
                    self.method = method;
                    self.stale = self.stale.max(Stale::Attack);
                }
                Ok(())
            }
            Request::Epsilon(epsilon) => {
                if !(0.0..=1.0).contains(&epsilon) {
                    return Err(format!("ε = {epsilon} is not between 0 and 1 (a fraction of the grey range)"));
                }
                self.epsilon = epsilon;
                self.stale = self.stale.max(Stale::Epsilon);
                Ok(())
            }
            Request::Device(choice) => self.use_device(choice),
            Request::Sweep(plan) => {
                self.plan = plan;
                self.start_curve();
                Ok(())
            }
            Request::PauseJob(paused) => {
                self.jobs.pause(paused);
                Ok(())
            }
            Request::CancelJob => {
                self.jobs.cancel();
                Ok(())
            }
            Request::Export(wish) => self.export(wish),
        }
    }

    fn read(
        &mut self,
        path: PathBuf,
        read: impl FnOnce(&std::sync::atomic::AtomicBool) -> Result<Content, crate::data::DataError> + Send + 'static,
    ) -> Result<(), String> {
        self.outbox.send(Event::Opening(path.clone()));
        self.files.start(&self.mailbox, &path, read).map_err(text)
    }

    fn opened(&mut self, opened: Opened) -> Result<(), String> {
        if !self.files.is_current(opened.ticket) {
            return Ok(());
        }
        let content = match opened.content {
            Err(error) if error.is_cancelled() => return Ok(()),
            content => content.map_err(text)?,
        };
        match content {
            Content::Image { stack, label, slice, name } => {
                self.replace_scene(Scene { stack, name, label, slice, label_map: None, guess: None }, Stale::Case)
            }
            Content::Label(label, path) => self.rescene(Stale::Label, |scene| {
                scene.label = Some((label, Some(path)));
                scene.label_map = None;
                scene.guess = None;
            }),
        }
    }

    fn device(&self) -> Result<burn::tensor::Device, String> {
        Ok(self.backend.as_ref().ok_or("no device is chosen")?.device.clone())
    }

    fn use_device(&mut self, choice: DeviceChoice) -> Result<(), String> {
        let backend = (self.backends)(choice)?;
        self.jobs.cancel();
        if let Some(model) = &self.model {
            self.model = Some(model.to_device(&backend.device));
        }
        self.outbox.send(Event::Device(backend.info.clone()));
        self.backend = Some(backend);
        self.forget_results();
        self.rebuild()
    }

    fn use_model(&mut self, model: Arc<dyn Model>) -> Result<(), String> {
        let previous = self.model.replace(model.clone());
        // Another model, other classes.
        if let Some(scene) = &mut self.scene {
            scene.guess = None;
        }
        if let Err(why) = self.rebuild() {
            // The new model does not fit the image that is open: keep the old one.
            if previous.is_some() {
                self.model = previous;
            }
            return Err(why);
        }
        self.outbox.send(Event::Model(Arc::new(model.card().clone())));
        Ok(())
    }

    /// Tensors of a device that is no longer used.
    fn forget_results(&mut self) {
        self.subject = None;
        self.prepared = None;
        self.shown = None;
    }

    /// The subject anew, for a new model or device.
    fn rebuild(&mut self) -> Result<(), String> {
        match self.scene.clone() {
            Some(scene) => self.replace_scene(scene, Stale::Case),
            None => Ok(()),
        }
    }

    fn rescene(&mut self, stale: Stale, change: impl FnOnce(&mut Scene)) -> Result<(), String> {
        let mut scene = self.scene.clone().ok_or("no image is open")?;
        change(&mut scene);
        self.replace_scene(scene, stale)
    }

    /// Takes `scene` if model and image fit together; otherwise the present one stays.
    fn replace_scene(&mut self, scene: Scene, stale: Stale) -> Result<(), String> {
        let Some(model) = self.model.clone() else {
            // The bundled model failed to load (a device without memory): remember the image for the next model.
            self.scene = Some(scene);
            return Ok(());
        };
        self.outbox.send(Event::Computing(true));
        let previous = self.subject.as_deref().filter(|_| stale < Stale::Case);
        let built = scene.subject(model, previous);
        self.outbox.send(Event::Computing(false));
        let (subject, info) = built?;
        // One guess holds for all slices: a slice on which the model is wrong would turn the classes round.
        let guess = if info.label_map_guessed { info.label_map.clone() } else { None };
        self.scene = Some(Scene { guess, ..scene });
        self.subject = Some(Arc::new(subject));
        self.outbox.send(Event::Case(Arc::new(info)));
        self.stale = self.stale.max(stale);
        Ok(())
    }

    fn compute(&mut self) -> Result<(), String> {
        let start = Instant::now();
        let subject = self.subject.clone().ok_or("no image is open")?;
        let publish = self.backend.as_ref().ok_or("no device is chosen")?.publish.clone();
        if self.stale > Stale::Epsilon || self.prepared.is_none() {
            self.jobs.cancel();
            self.generation += 1;
            let direction = subject.direction(self.method).map_err(text)?;
            self.prepared = Some(Prepared {
                original: publish(subject.x.clone())?,
                gradient: direction.gradient.clone().map(|g| publish(g)).transpose()?,
                gradient_peak: direction.gradient.clone().map_or(Ok(0.0), peak)?,
                direction_plane: publish(direction.direction.clone())?,
                clean_probability: publish(subject.clean.probability.clone())?,
                reference: scene::reference_plane(&subject),
                method: self.method,
                generation: self.generation,
                direction,
                subject,
            });
            self.curve_due = true;
        }
        let prepared = self.prepared.as_ref().ok_or("nothing is prepared")?;
        let subject = &prepared.subject;
        let adversarial = prepared.direction.adversarial(&subject.x, self.epsilon);
        let judged =
            if self.epsilon == 0.0 { subject.clean.clone() } else { subject.judge(&adversarial).map_err(text)? };
        let frame = Frame {
            epsilon: self.epsilon,
            method: prepared.method,
            generation: prepared.generation,
            original: prepared.original.clone(),
            gradient: prepared.gradient.clone(),
            gradient_peak: prepared.gradient_peak,
            direction: prepared.direction_plane.clone(),
            noise: publish(adversarial.clone() - subject.x.clone())?,
            adversarial: publish(adversarial.clone())?,
            clean_probability: prepared.clean_probability.clone(),
            adversarial_probability: publish(judged.probability.clone())?,
            reference: prepared.reference.clone(),
            clean: subject.clean.measure,
            adversarial_measure: judged.measure,
            loss: prepared.direction.loss,
            tick_secs: start.elapsed().as_secs_f64(),
        };
        self.shown = Some((self.epsilon, adversarial, judged));
        self.outbox.send(Event::Frame(Arc::new(frame)));
        Ok(())
    }

    fn start_curve(&mut self) {
        let Some(prepared) = &self.prepared else { return };
        let (subject, method, generation) = (prepared.subject.clone(), prepared.method, prepared.generation);
        let (direction, plan) = (prepared.direction.clone(), self.plan.clone());
        self.outbox.send(Event::CurveStarted { generation, method, clean: subject.clean.measure });
        let name = method.name();
        let prepare = move || Sweep::new(subject, name, method, Some(direction), &plan).map_err(text);
        self.jobs.replace(CurveJob { generation, prepare: Box::new(prepare) });
    }

    fn export(&self, wish: super::Export) -> Result<(), String> {
        let prepared = self.prepared.as_ref().ok_or("there is no picture yet")?;
        let (epsilon, adversarial, judged) = self.shown.as_ref().ok_or("there is no picture yet")?;
        let shown = export::Shown {
            subject: &prepared.subject,
            method: prepared.method,
            epsilon: *epsilon,
            adversarial,
            judged,
            curve: self.jobs.curve(prepared.generation),
        };
        let report = export::write(&wish, &shown)?;
        self.outbox.send(Event::Exported(report));
        Ok(())
    }
}

/// What a letter asks for, for people.
fn title(letter: &Letter) -> &'static str {
    match letter {
        Letter::Opened(_) => "Open",
        Letter::Request(request) => match request {
            Request::OpenSample | Request::Open { .. } | Request::CancelOpen => "Open image",
            Request::OpenLabel(_) | Request::CloseLabel | Request::LabelMap(_) => "Label",
            Request::Bounds(_) => "Set bounds",
            Request::Slice(_) => "Show slice",
            Request::OpenBundledModel | Request::OpenModel(_) => "Open model",
            Request::Attack(_) => "Choose attack",
            Request::Epsilon(_) => "Set ε",
            Request::Device(_) => "Change device",
            Request::Sweep(_) | Request::PauseJob(_) | Request::CancelJob => "Measure the curve",
            Request::Export(_) => "Export",
        },
    }
}

/// The largest magnitude.
fn peak(values: Tensor<4>) -> Result<f32, String> {
    Ok(tensor::to_host(values.abs().max()).map_err(text)?.first().copied().unwrap_or(0.0))
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
