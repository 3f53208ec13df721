//! The workers: [`Request`] in, [`Event`] out. One thread serves the interactive lane (latest wins), one runs jobs
//! in steps, one trains; files and models are read, and thumbnails made, on threads of their own. No egui, no cubecl here: what the window shows leaves as
//! [`Plane`]s made by a [`Publish`] that the window hands in with each device.

mod comparison;
mod decision;
mod device;
mod early;
mod export;
mod files;
mod foreground;
mod interactive;
mod job;
mod kept;
mod mailbox;
mod message;
mod models;
mod plane;
mod prepared;
mod reader;
mod scene;
mod seen;
mod stacks;
mod stimuli;
mod thumbnails;
mod training;
mod watch;

pub use comparison::{ComparedWhat, ComparisonNews, ComparisonStart};
pub use decision::{ClassDice, ClassScores, TargetWish, TruthChoice};
pub use device::DeviceChoice;
pub use early::{Clean, Early};
pub use message::{
    CaseInfo, DeviceInfo, Event, Export, ExportReport, FigureWish, Frame, JobState, JobStatus, Pictures, Problem,
    Request, Series,
};
pub use plane::{Plane, Publish, Storage, host_plane};
pub use reader::{ReaderEvent, ReaderRequest, SESSION_ENDING, SessionEntry, SessionResult, SessionView};
pub use seen::{SeenFound, SeenMap, SeenWish};
pub use stimuli::{StimuliWish, Stimulus, StudyImage, StudyImages, StudyImagesWish};
pub use thumbnails::THUMBNAIL_SIDE;
pub use training::{
    Preview, PreviewPicture, StudyStop, StudyWish, TrainNews, TrainRequest, TrainSample, TrainStart, TrainSteps,
    UnfinishedTraining,
};
pub use watch::{AttackRun, RunEnd, Unfinished};

use burn::tensor::Device;
use foreground::Foreground;
use mailbox::{Letter, Mailbox};
use reader::ReaderLane;
use seen::SeenLane;
use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use thumbnails::Thumbnails;
use training::TrainingLane;

/// Where to compute, and how results reach the screen from there.
#[derive(Clone)]
pub struct Backend {
    /// For tensors.
    pub device: Device,
    /// For people.
    pub info: DeviceInfo,
    /// For the display.
    pub publish: Publish,
}

/// Makes the [`Backend`] that a person asks for; an error is a message for people.
pub type Backends = Arc<dyn Fn(DeviceChoice) -> Result<Backend, String> + Send + Sync>;

/// Tells the window that events wait. Called on any thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Where events leave the engine.
#[derive(Clone)]
pub(crate) struct Outbox {
    events: Sender<Event>,
    wake: Wake,
}

impl Outbox {
    fn send(&self, event: Event) {
        // Nobody listens any more while the window closes; the workers end on their own.
        let _ = self.events.send(event);
        (self.wake)();
    }
}

/// The running workers. Dropping it ends them after their present step.
pub struct Engine {
    mailbox: Arc<Mailbox>,
    jobs: job::JobControl,
    thumbnails: Thumbnails,
    seen: SeenLane,
    reader: ReaderLane,
    training: TrainingLane,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the workers on the device `choice` with the bundled model. Nothing is open yet.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(choice: DeviceChoice, backends: Backends, wake: Wake) -> std::io::Result<Self> {
        let (sender, events) = channel();
        let mailbox = Arc::new(Mailbox::default());
        let outbox = Outbox { events: sender, wake };
        let stacks = Arc::default();
        let thumbnails = Thumbnails::start(Arc::clone(&stacks), outbox.clone())?;
        let seen = SeenLane::start(outbox.clone())?;
        let reader = ReaderLane::start(outbox.clone())?;
        let foreground = Arc::new(Foreground::default());
        let training = TrainingLane::start(outbox.clone(), backends.clone(), foreground.clone())?;
        let worker = interactive::Worker::new(choice, backends, mailbox.clone(), stacks, foreground, outbox)?;
        let jobs = worker.job_control();
        let thread = std::thread::Builder::new().name("interactive".to_owned()).spawn(move || worker.run())?;
        Ok(Self { mailbox, jobs, thumbnails, seen, reader, training, events, thread: Some(thread) })
    }

    /// Asks for something; never waits.
    pub fn send(&self, request: Request) {
        match request {
            // They wait for no model.
            Request::Thumbnails { set, indices } => self.thumbnails.wish(set, indices),
            // Nor do these, which would give up the attack that is running.
            Request::StopAttack => self.mailbox.stop_attack(),
            Request::PauseJob(paused) => self.jobs.pause(paused),
            Request::CancelJob => self.jobs.cancel(),
            Request::Seen(wish) => self.seen.wish(*wish),
            Request::Reader(request) => self.reader.send(request),
            Request::Train(request) => self.training.send(request),
            request => self.mailbox.push(Letter::Request(request)),
        }
    }

    /// The events that have arrived since the last call; never waits.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.events.try_iter()
    }

    /// The next event, waiting up to `timeout`: for programs without a window, and tests.
    pub fn wait(&self, timeout: std::time::Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.mailbox.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a caught panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "an internal error".to_owned())
}
