//! Trainings and studies: `lane` is the thread that trains, one at a time, and gives way to the interactive lane between
//! steps; `desk` reads and writes recipes, finds unfinished trainings and makes previews; `message` is what they hear and say.

mod desk;
mod message;
mod run;
mod study;

pub use message::{
    Preview, PreviewPicture, StudyStop, StudyWish, TrainNews, TrainRequest, TrainSample, TrainStart, TrainSteps,
    Unfinished as UnfinishedTraining,
};

use super::foreground::Foreground;
use super::{Backends, Event, Outbox, Problem, panic_text};
use crate::train::Control;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the threads share.
struct Shared {
    outbox: Outbox,
    backends: Backends,
    foreground: Arc<Foreground>,
    /// Of what runs.
    control: Mutex<Option<Control>>,
}

impl Shared {
    fn tell(&self, news: TrainNews) {
        self.outbox.send(Event::Train(Box::new(news)));
    }

    /// Takes the lane, unless something runs.
    fn begin(&self) -> Option<Control> {
        let mut present = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if present.is_some() {
            return None;
        }
        let foreground = self.foreground.clone();
        let control = Control::courteous(Arc::new(move || foreground.give_way()));
        *present = Some(control.clone());
        Some(control)
    }

    /// What `control` controls has ended, if nothing else has begun since: whoever hears of an end may begin the next at once.
    fn end(&self, control: &Control) {
        let mut present = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        present.take_if(|present| present.is(control));
    }

    fn control(&self) -> Option<Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The threads. Dropping it ends them; what is trained leaves a checkpoint.
pub(super) struct TrainingLane {
    shared: Arc<Shared>,
    work: Option<Sender<(TrainRequest, Control)>>,
    desk: Option<Sender<TrainRequest>>,
    threads: Vec<JoinHandle<()>>,
}

impl TrainingLane {
    pub(super) fn start(outbox: Outbox, backends: Backends, foreground: Arc<Foreground>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { outbox, backends, foreground, control: Mutex::default() });
        let (work, wishes) = channel();
        let (desk, papers) = channel();
        let (trains, reads) = (shared.clone(), shared.clone());
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let threads = vec![
            thread("training").spawn(move || train(&trains, &wishes))?,
            thread("recipes").spawn(move || desk::run(&reads, &papers))?,
        ];
        Ok(Self { shared, work: Some(work), desk: Some(desk), threads })
    }

    pub(super) fn send(&self, request: TrainRequest) {
        match request {
            TrainRequest::Pause(paused) => {
                if let Some(control) = self.shared.control() {
                    control.pause(paused);
                }
            }
            TrainRequest::Cancel => {
                if let Some(control) = self.shared.control() {
                    control.cancel();
                }
            }
            TrainRequest::Start { .. } | TrainRequest::Resume { .. } | TrainRequest::Study(_) => {
                let Some(control) = self.shared.begin() else {
                    let why = "a training or study is running. Wait for it, or cancel it".to_owned();
                    return self.shared.tell(TrainNews::Refused(Problem { what: "Train".to_owned(), why }));
                };
                if let Some(work) = &self.work {
                    // The thread lives as long as this sender.
                    let _ = work.send((request, control));
                }
            }
            request => {
                if let Some(desk) = &self.desk {
                    let _ = desk.send(request);
                }
            }
        }
    }
}

impl Drop for TrainingLane {
    fn drop(&mut self) {
        (self.work, self.desk) = (None, None);
        if let Some(control) = self.shared.control() {
            control.cancel();
        }
        self.shared.foreground.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn train(shared: &Shared, wishes: &Receiver<(TrainRequest, Control)>) {
    while let Ok((request, control)) = wishes.recv() {
        let study = matches!(request, TrainRequest::Study(_));
        // A kernel that panics (out of memory on a GPU) must not take the lane with it.
        let served = catch_unwind(AssertUnwindSafe(|| match request {
            TrainRequest::Study(wish) => study::study(shared, &control, *wish),
            TrainRequest::Start { recipe, out, device } => run::start(shared, &control, *recipe, out, device),
            TrainRequest::Resume { out, device } => run::resume(shared, &control, out, device),
            _ => Ok(()),
        }))
        .unwrap_or_else(|panic| Err(panic_text(panic.as_ref())));
        shared.end(&control);
        if let Err(why) = served {
            let problem = Problem { what: if study { "Study" } else { "Train" }.to_owned(), why };
            shared.tell(if study {
                TrainNews::StudyEnded(Err(StudyStop::Failed(problem)))
            } else {
                TrainNews::Failed(problem)
            });
        }
    }
}
