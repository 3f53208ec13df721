//! Images of reader studies: what a data set's are, and the attacked ones, made ahead on a thread of their own.

use super::early::unit_plane;
use super::scene::Scene;
use super::stacks::Stacks;
use super::{CaseInfo, Event, Outbox, Plane, host_plane, panic_text};
use crate::attack::Attack;
use crate::data::{Axis, Bounds, Dataset};
use crate::model::{self, Model};
use crate::observer::Identity;
use crate::study::{Adversary, Subject};
use crate::tensor;
use crate::view::Presentation;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Images that a study is going to show.
#[derive(Clone, Debug)]
pub struct StimuliWish {
    /// Comes back with every image.
    pub id: u64,
    /// The present image that is meant, and the model's name: others may have taken their place until the wish is read.
    pub of: (Arc<CaseInfo>, String),
    /// The data set of the entries.
    pub set: Option<Arc<Dataset>>,
    /// Of each condition the entry, the present image where there is none, and its attack.
    pub conditions: Vec<(Option<usize>, Attack)>,
    /// ε, those needed first.
    pub epsilons: Vec<f64>,
    /// How they are going to be shown.
    pub presentation: Presentation,
}

impl StimuliWish {
    /// Whether it can be made of `case`, the present image, on the model called `model`.
    ///
    /// # Errors
    /// What to open, if another image or model has taken its place.
    pub(super) fn check(&self, case: Option<&CaseInfo>, model: &str) -> Result<(), String> {
        let (meant, of) = &self.of;
        if of != model {
            return Err(format!(
                "{model} was opened meanwhile, and the study attacks {of}. Open that again, then resume the session"
            ));
        }
        let of_present = self.conditions.iter().any(|(entry, _)| entry.is_none());
        match case {
            Some(case) if of_present && !case.shows_same(meant) => Err(format!(
                "another image was opened meanwhile, and the study shows {}. Open that again, then resume the session",
                meant.name
            )),
            // What is chosen of it decides the perturbation.
            Some(case) if of_present && !case.differs(&meant.identity).is_empty() => Err(format!(
                "{} was changed meanwhile ({}). Choose what the study began with, then resume the session",
                meant.name,
                case.differs(&meant.identity).join(", ")
            )),
            Some(case) if !case.shares_target(meant) => {
                Err("another target was chosen meanwhile. Choose that of the study again, then resume the session"
                    .to_owned())
            }
            None if of_present => Err("no image is open".to_owned()),
            _ => Ok(()),
        }
    }
}

/// An image that a study is going to show, on the host.
#[derive(Clone, Debug)]
pub struct Stimulus {
    /// Of which wish.
    pub id: u64,
    /// Which of its conditions.
    pub condition: usize,
    /// ε; 0 is the original.
    pub epsilon: f64,
    /// The attacked image with the ε that the screen shows, or why it cannot be made.
    pub image: Result<(Plane, f64), String>,
}

/// Entries of a data set that a study may show.
#[derive(Clone, Debug)]
pub struct StudyImagesWish {
    /// Comes back with them.
    pub id: u64,
    /// The data set.
    pub set: Arc<Dataset>,
    /// Which of its entries.
    pub entries: Vec<usize>,
}

/// Entries of a data set that were read.
#[derive(Clone, Debug)]
pub struct StudyImages {
    /// Of which wish.
    pub id: u64,
    /// Each, or why one cannot be read.
    pub images: Result<Vec<StudyImage>, String>,
}

/// An entry of a data set that was read.
#[derive(Clone, Debug)]
pub struct StudyImage {
    /// Which.
    pub entry: usize,
    /// The image's name, as the window would say it.
    pub name: String,
    /// The slice of its file.
    pub slice: usize,
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// What tells it from others of its name.
    pub identity: Identity,
    /// What 0 and 1 of its values are.
    pub bounds: Bounds,
    /// Distances in mm between rows and between columns, where known.
    pub spacing: Option<[f32; 2]>,
    /// Its values in fractions of the bounds.
    pub values: Arc<[f32]>,
}

/// What the images are made with.
pub(super) struct Source {
    pub(super) model: Arc<dyn Model>,
    /// The present image.
    pub(super) subject: Arc<Subject>,
    /// What is chosen of it.
    pub(super) scene: Scene,
    pub(super) stacks: Arc<Stacks>,
}

impl Source {
    /// Entry `index` of `set`, with what was chosen of the present image where that is no matter of one image.
    fn scene(&self, set: &Dataset, index: usize, cancel: &AtomicBool) -> Result<Scene, String> {
        let mut read = |path: &std::path::Path| self.stacks.open(path, cancel, &mut |_| {}, None);
        let entry = set.open_entry_with(index, cancel, &mut read).map_err(|e| e.to_string())?;
        let file = set.entries[index].mask_file().map(std::path::Path::to_owned);
        let name = if entry.stack.slices == 1 { entry.name } else { entry.stack.name() };
        let target = self.scene.target.clone().filter(super::TargetWish::is_of_any_image);
        Ok(Scene {
            stack: entry.stack,
            name,
            label: entry.mask.map(|mask| (mask, file)),
            axis: Axis::default(),
            slice: entry.slice,
            visited: [None; 3],
            region: None,
            truth: None,
            target,
            label_map: self.scene.label_map.clone(),
            guess: self.scene.guess.clone(),
        })
    }

    fn image(&self, set: &Dataset, index: usize, cancel: &AtomicBool) -> Result<StudyImage, String> {
        let scene = self.scene(set, index, cancel)?;
        let case = scene.case(self.model.as_ref())?;
        let identity = scene.identity(&scene.info(&case), self.model.card());
        let plane = unit_plane(&case.image, case.bounds);
        Ok(StudyImage {
            entry: index,
            name: scene.name,
            slice: scene.slice,
            shape: [case.image.channels, case.image.height, case.image.width],
            identity,
            bounds: case.bounds,
            spacing: case.spacing(),
            values: plane.values().unwrap_or_default().into(),
        })
    }

    /// What an entry makes with the model; the present image where there is none.
    fn subject(
        &self,
        set: Option<&Dataset>,
        entry: Option<usize>,
        cancel: &AtomicBool,
    ) -> Result<Arc<Subject>, String> {
        let (Some(set), Some(index)) = (set, entry) else { return Ok(self.subject.clone()) };
        let scene = self.scene(set, index, cancel)?;
        let case = scene.case(self.model.as_ref())?;
        let info = scene.info(&case);
        Ok(Arc::new(scene.subject(case, info, self.model.clone(), None)?.0))
    }
}

/// Makes images on a thread of its own; a newer wish ends an older one.
#[derive(Default)]
pub(super) struct StimuliLane {
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl StimuliLane {
    /// Makes the images of `wish`.
    pub(super) fn make(&mut self, source: Source, wish: StimuliWish, outbox: Outbox) -> Result<(), String> {
        self.start(move |cancel| make(&source, &wish, cancel, &outbox))
    }

    /// Reads what `wish` names.
    pub(super) fn read(&mut self, source: Source, wish: StudyImagesWish, outbox: Outbox) -> Result<(), String> {
        self.start(move |cancel| {
            let one = |&entry: &usize| guarded(|| source.image(&wish.set, entry, cancel));
            let images = wish.entries.iter().map(one).collect();
            if !cancel.load(Ordering::Relaxed) {
                outbox.send(Event::StudyImages(StudyImages { id: wish.id, images }));
            }
        })
    }

    fn start(&mut self, run: impl FnOnce(&AtomicBool) + Send + 'static) -> Result<(), String> {
        self.stop();
        let cancel = Arc::new(AtomicBool::new(false));
        let (flag, given_up) = (cancel.clone(), cancel.clone());
        // An attack of many steps ends between two nodes of the network.
        let given_up = move || given_up.load(Ordering::Relaxed);
        let run = move || model::interruptible(given_up, || run(&flag));
        let thread = std::thread::Builder::new().name("stimuli".to_owned()).spawn(run);
        self.running = Some((cancel, thread.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// Ends what runs, and waits for that.
    pub(super) fn stop(&mut self) {
        if let Some((cancel, thread)) = self.running.take() {
            cancel.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
    }
}

impl Drop for StimuliLane {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A panic as an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panic_text(panic.as_ref())))
}

/// A condition that is ready: its original on the host, and its attack.
type Ready = (Vec<f32>, Adversary);

fn make(source: &Source, wish: &StimuliWish, cancel: &AtomicBool, outbox: &Outbox) {
    let send = |condition, epsilon, image| {
        outbox.send(Event::Stimulus(Stimulus { id: wish.id, condition, epsilon, image }));
    };
    let mut failed: Vec<Option<String>> = vec![None; wish.conditions.len()];
    let mut ready: Vec<Result<Ready, String>> = Vec::new();
    let mut subjects: Vec<(Option<usize>, Arc<Subject>)> = Vec::new();
    for (condition, &(entry, attack)) in wish.conditions.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        ready.push(guarded(|| {
            let known = subjects.iter().find(|(of, _)| *of == entry).map(|(_, subject)| subject.clone());
            let subject = match known {
                Some(subject) => subject,
                None => source.subject(wish.set.as_deref(), entry, cancel)?,
            };
            subjects.push((entry, subject.clone()));
            let original = host_plane(subject.x.clone())?;
            send(condition, 0.0, Ok((original, 0.0)));
            let values = tensor::to_host(subject.x.clone()).map_err(|e| e.to_string())?;
            Ok((values, Adversary::new(subject, attack).map_err(|e| e.to_string())?))
        }));
    }
    for &epsilon in &wish.epsilons {
        for (condition, ready) in ready.iter().enumerate() {
            if cancel.load(Ordering::Relaxed) {
                return;
            }
            let image = guarded(|| {
                let (original, adversary) = ready.as_ref().map_err(Clone::clone)?;
                let plane = host_plane(adversary.at_last(epsilon).map_err(|e| e.to_string())?)?;
                let rounding = wish.presentation.rounding(original, plane.values().unwrap_or_default());
                Ok((plane, epsilon * rounding))
            });
            if cancel.load(Ordering::Relaxed) {
                return;
            }
            // One message is enough of what fails at every ε.
            if let Err(why) = &image {
                if failed[condition].as_ref() == Some(why) {
                    continue;
                }
                failed[condition] = Some(why.clone());
            }
            send(condition, epsilon, image);
        }
    }
}
