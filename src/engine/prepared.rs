//! What is on the screen as far as it does not depend on ε, and the frames that it gives.

use super::early::{class_plane, several};
use super::interactive::text;
use super::watch::{Seen, Watch, Wish};
use super::{CaseInfo, ClassDice, ClassScores, Event, Frame, Pictures, Plane, Publish, RunEnd, Unfinished, scene};
use crate::attack::{Attack, Step, input_gradient, largest_displacement};
use crate::model::{Logits, on_device};
use crate::study::{Adversary, Attempt, Judged, Subject};
use crate::tensor;
use burn::tensor::Tensor;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// What does not depend on ε.
pub(super) struct Prepared {
    pub(super) subject: Arc<Subject>,
    pub(super) method: Attack,
    pub(super) adversary: Arc<Adversary>,
    pub(super) generation: u64,
    original: Plane,
    gradient: Option<Plane>,
    gradient_peak: f32,
    /// Where it does not depend on ε.
    direction: Option<Plane>,
    clean_probability: Plane,
    /// The predicted classes of the original, where there are more than two.
    clean_classes: Option<Plane>,
    reference: Plane,
    /// A person wants the attack to run, however long it takes.
    granted: Cell<bool>,
}

/// An attack that takes more gradients than this begins once a person says so.
const GRADIENTS_UNASKED: f64 = 1000.0;

/// What a frame is asked for.
pub(super) struct Tick<'a> {
    /// The case that it is of.
    pub case: &'a Arc<CaseInfo>,
    pub epsilon: f64,
    /// When it was wished for.
    pub start: Instant,
    pub publish: &'a Publish,
    /// The pictures are told before their numbers are read from the device.
    pub ahead: bool,
}

impl Prepared {
    /// Computes what `method` needs on `subject`, whatever ε will be.
    pub(super) fn new(
        subject: Arc<Subject>,
        method: Attack,
        generation: u64,
        publish: &Publish,
    ) -> Result<Self, String> {
        let adversary = Adversary::new(subject.clone(), method).map_err(text)?;
        let gradient = adversary.clean_gradient().map(|(_, gradient)| gradient.clone());
        Ok(Self {
            original: publish(subject.x.clone())?.with_values(&subject.original),
            gradient: gradient.clone().map(|g| publish(g)).transpose()?,
            gradient_peak: gradient.map_or(Ok(0.0), peak)?,
            direction: adversary.direction().map(|d| publish(d.direction.clone())).transpose()?,
            clean_probability: publish(subject.clean.probability.clone())?.with_values(&subject.clean.on_host),
            clean_classes: several(&subject).then(|| class_plane(&subject.clean.predicted)),
            reference: scene::reference_plane(&subject),
            granted: Cell::new(false),
            method,
            generation,
            adversary: Arc::new(adversary),
            subject,
        })
    }

    /// The frame at `epsilon`, the adversarial image and what the model sees in it. An attack of many steps asks `wish` after each, and `tell` hears of it; once it is given up: `None`.
    pub(super) fn frame(
        &self,
        tick: &Tick<'_>,
        wish: &dyn Fn() -> Wish,
        tell: &dyn Fn(Event),
    ) -> Result<Option<(Frame, Attempt, Judged)>, String> {
        let (attempt, unfinished) = match self.adversary.stopped_at(tick.epsilon) {
            Some((attempt, [done, of])) => (attempt, Some(Unfinished { done, of, stopped: true })),
            None => match self.attempt(tick, wish, tell)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let mut pictures = None;
        let judged = if self.is_original(tick.epsilon) {
            self.subject.clean.clone()
        } else {
            let logits = self.subject.model.logits(attempt.image.clone()).map_err(text)?;
            if tick.ahead {
                let ahead = Arc::new(self.pictures(tick, &attempt.image, &logits)?);
                tell(Event::Pictures(ahead.clone()));
                pictures = Some(ahead);
            }
            let judged =
                self.subject.judge_moved_logits(&attempt.image, logits, attempt.flow.as_ref()).map_err(text)?;
            Judged { measure: judged.measure.with_facts(attempt.clipped, attempt.displacement), ..judged }
        };
        let frame = self.frame_of(tick, &attempt.image, &judged, pictures.as_deref())?;
        let frame = Frame { unfinished, displacement: attempt.displacement, ..frame };
        Ok(Some((frame, attempt, judged)))
    }

    /// Lets the attack run, anew if it was stopped.
    pub(super) fn run(&self) {
        self.granted.set(true);
        self.adversary.forget_stopped();
    }

    /// Runs the attack; `None` once it is given up. One that takes very long only waits, until [`Prepared::run`].
    fn attempt(
        &self,
        tick: &Tick<'_>,
        wish: &dyn Fn() -> Wish,
        tell: &dyn Fn(Event),
    ) -> Result<Option<(Attempt, Option<Unfinished>)>, String> {
        let mut watch = Watch::new(next_run(), self.method, tick.epsilon, self.adversary.objective(), tell);
        let gradients = self.method.most_gradients();
        if gradients > GRADIENTS_UNASKED && !self.granted.get() {
            let start = Instant::now();
            let (model, x) = (self.subject.model.as_ref(), &self.subject.x);
            let (_, gradient) = input_gradient(model, x, self.adversary.objective()).map_err(text)?;
            tensor::to_host(gradient).map_err(text)?;
            watch.wait(gradients as usize, gradients * start.elapsed().as_secs_f64());
            let attempt = Attempt::none(&self.subject);
            let steps = [0, gradients as usize];
            self.adversary.keep_stopped(tick.epsilon, attempt.clone(), steps);
            return Ok(Some((attempt, Some(Unfinished { done: steps[0], of: steps[1], stopped: true }))));
        }
        let wished = Cell::new(Wish::GoOn);
        let mut observer = |step: &Step<'_>| {
            watch.hear(step, |seen, steps| {
                // A picture that cannot be made is no reason to end the attack.
                self.under_way(tick, seen, steps).ok().map(Event::Frame)
            });
            // What was wished for once holds for all that is left.
            if wished.get() == Wish::GoOn {
                wished.set(wish());
            }
            if wished.get() == Wish::GoOn { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let attempt = self.adversary.attempt(tick.epsilon, &mut observer).map_err(text)?;
        if !attempt.stopped {
            watch.end(RunEnd::Complete);
            return Ok(Some((attempt, None)));
        }
        if wished.get() == Wish::GiveUp {
            watch.end(RunEnd::GivenUp);
            return Ok(None);
        }
        watch.end(RunEnd::Stopped);
        let (done, of) = watch.steps();
        self.adversary.keep_stopped(tick.epsilon, attempt.clone(), [done, of]);
        Ok(Some((attempt, Some(Unfinished { done, of, stopped: true }))))
    }

    /// A picture of an attack under way.
    fn under_way(
        &self,
        tick: &Tick<'_>,
        Seen { image, logits, flow }: Seen,
        (done, of): (usize, usize),
    ) -> Result<Arc<Frame>, String> {
        let judged = self.subject.judge_moved_logits(&image, logits, flow.as_ref()).map_err(text)?;
        let far = flow.as_ref().map(largest_displacement).transpose().map_err(text)?;
        let displacement = far.and_then(|all| all.first().copied());
        let frame = self.frame_of(tick, &image, &judged, None)?;
        Ok(Arc::new(Frame { unfinished: Some(Unfinished { done, of, stopped: false }), displacement, ..frame }))
    }

    /// The pictures of `adversarial` and of what the model sees in it, none of whose values is read.
    fn pictures(&self, tick: &Tick<'_>, adversarial: &Tensor<4>, logits: &Logits) -> Result<Pictures, String> {
        let (mut probability, mut classes) = (None, None);
        if let Logits::Dense(logits) = logits {
            let (positive, winner) = on_device(self.subject.model.card(), logits.clone());
            probability = Some((tick.publish)(positive)?);
            classes = winner.filter(|_| several(&self.subject)).map(|w| (tick.publish)(w.float())).transpose()?;
        }
        Ok(Pictures {
            epsilon: tick.epsilon,
            generation: self.generation,
            noise: (tick.publish)(adversarial.clone() - self.subject.x.clone())?,
            adversarial: (tick.publish)(adversarial.clone())?,
            probability,
            classes,
        })
    }

    /// What is on the screen when the adversarial image is `adversarial`, some of which may be shown already.
    fn frame_of(
        &self,
        &Tick { case, epsilon, start, publish, .. }: &Tick<'_>,
        adversarial: &Tensor<4>,
        judged: &Judged,
        shown: Option<&Pictures>,
    ) -> Result<Frame, String> {
        let published = |plane: Option<&Plane>, values: &Tensor<4>| match plane {
            Some(plane) => Ok(plane.clone()),
            None => publish(values.clone()),
        };
        let subject = &self.subject;
        let noise = adversarial.clone() - subject.x.clone();
        let direction = match &self.direction {
            Some(direction) => direction.clone(),
            // The way that all steps together went.
            None => {
                let longest = noise.clone().abs().max().reshape([1, 1, 1, 1]).clamp_min(f32::MIN_POSITIVE);
                publish(noise.clone() / longest)?
            }
        };
        Ok(Frame {
            case: case.clone(),
            epsilon,
            ahead: None,
            method: self.method,
            generation: self.generation,
            original: self.original.clone(),
            gradient: self.gradient.clone(),
            gradient_peak: self.gradient_peak,
            direction,
            adversarial: published(shown.map(|p| &p.adversarial), adversarial)?.with_values(&judged.image),
            noise: published(shown.map(|p| &p.noise), &noise)?,
            classes: self.clean_classes.clone().map(|clean| [clean, class_plane(&judged.predicted)]),
            clean_probability: self.clean_probability.clone(),
            adversarial_probability: published(shown.and_then(|p| p.probability.as_ref()), &judged.probability)?
                .with_values(&judged.on_host),
            scores: ClassScores::of(subject, judged),
            class_dice: ClassDice::of(subject, judged),
            reference: self.reference.clone(),
            clean: subject.clean.measure,
            adversarial_measure: judged.measure,
            loss: self.adversary.clean_gradient().map(|(loss, _)| *loss),
            tick_secs: start.elapsed().as_secs_f64(),
            unfinished: None,
            displacement: None,
        })
    }

    /// Whether nothing is changed at `epsilon`. An attack that looks for the smallest perturbation does not ask ε.
    fn is_original(&self, epsilon: f64) -> bool {
        epsilon == 0.0 && !self.adversary.finds_epsilon()
    }
}

/// Counts runs of attacks.
fn next_run() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The largest magnitude.
fn peak(values: Tensor<4>) -> Result<f32, String> {
    Ok(tensor::to_host(values.abs().max()).map_err(text)?.first().copied().unwrap_or(0.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::{Bounds, Case, Image, Provenance, StoredType};
    use crate::engine::{TruthChoice, host_plane};
    use crate::model::{BuiltIn, Model, ModelCard, ModelError};
    use burn::tensor::Device;
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The bundled model, whose outputs are no numbers once it is broken.
    struct Breakable {
        model: BuiltIn,
        broken: AtomicBool,
    }

    impl Model for Breakable {
        fn card(&self) -> &ModelCard {
            self.model.card()
        }

        fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
            let logits = self.model.logits(x)?;
            Ok(match logits {
                Logits::Dense(z) if self.broken.load(Ordering::Relaxed) => Logits::Dense(z * f32::NAN),
                logits => logits,
            })
        }

        fn working_bytes(&self, height: usize, width: usize) -> u64 {
            self.model.working_bytes(height, width)
        }

        fn device(&self) -> Device {
            self.model.device()
        }

        fn to_device(&self, device: &Device) -> Arc<dyn Model> {
            self.model.to_device(device)
        }
    }

    const SIDE: usize = 32;

    fn case() -> Case {
        let pixels = (0..SIDE * SIDE).map(|i| ((i * 37) % 256) as f32).collect::<Vec<f32>>();
        Case {
            name: "pixels".into(),
            image: Image::new(1, SIDE, SIDE, pixels).unwrap(),
            bounds: Bounds::EIGHT_BIT,
            shown: Bounds::EIGHT_BIT,
            stored: StoredType::U8,
            label: None,
            class: None,
            about: Arc::default(),
            provenance: Provenance::default(),
        }
    }

    fn info(case: &Case) -> CaseInfo {
        CaseInfo {
            name: case.name.clone(),
            path: None,
            label_path: None,
            slice: 0,
            slices: 1,
            class: None,
            shape: [1, SIDE, SIDE],
            stored: case.stored,
            bounds: case.bounds,
            shown: case.shown,
            percentiles: case.bounds,
            about: case.about.clone(),
            axis: crate::data::Axis::default(),
            planes: Vec::new(),
            region: None,
            reference: crate::attack::Reference::CleanPrediction,
            truth_by: TruthChoice::default(),
            target: None,
            label_map: None,
            label_map_guessed: false,
            label_is_empty: false,
            label_values: Vec::new(),
            tiles: None,
            image: case.image.clone(),
            identity: crate::observer::Identity::default(),
        }
    }

    /// The frame at ε = 4/255, and what was told before it, of a model that breaks just before.
    fn tick(ahead: bool, breaks: bool) -> (Result<Frame, String>, Vec<Event>) {
        let model = BuiltIn::bundled(&Device::flex()).unwrap();
        let model = Arc::new(Breakable { model, broken: AtomicBool::new(false) });
        let case = Arc::new(case());
        let subject = Arc::new(Subject::new(case.clone(), model.clone()).unwrap());
        let publish: Publish = Arc::new(host_plane);
        let prepared = Prepared::new(subject, Attack::FGSM, 1, &publish).unwrap();
        model.broken.store(breaks, Ordering::Relaxed);
        let told = RefCell::new(Vec::new());
        let info = Arc::new(info(&case));
        let tick = Tick { case: &info, epsilon: 4.0 / 255.0, start: Instant::now(), publish: &publish, ahead };
        let found = prepared.frame(&tick, &|| Wish::GoOn, &|event| told.borrow_mut().push(event));
        (found.map(|found| found.unwrap().0), told.into_inner())
    }

    pub(in crate::engine) fn frame() -> Frame {
        tick(false, false).0.unwrap()
    }

    fn told_pictures(events: &[Event]) -> Vec<&Arc<Pictures>> {
        events.iter().filter_map(|event| if let Event::Pictures(p) = event { Some(p) } else { None }).collect()
    }

    #[test]
    fn pictures_ahead_are_those_of_their_frame() {
        let (frame, told) = tick(true, false);
        let (frame, pictures) = (frame.unwrap(), told_pictures(&told));
        assert_eq!(pictures.len(), 1);
        let Pictures { epsilon, generation, noise, adversarial, probability, .. } = &**pictures[0];
        assert_eq!((*epsilon, *generation), (frame.epsilon, frame.generation));
        assert_eq!([noise.id, adversarial.id], [frame.noise.id, frame.adversarial.id]);
        assert_eq!(probability.as_ref().map(|p| p.id), Some(frame.adversarial_probability.id));
        let apart = tick(false, false);
        assert!(told_pictures(&apart.1).is_empty());
        assert_eq!(apart.0.unwrap().adversarial_probability.values(), frame.adversarial_probability.values());
    }

    /// What the numbers say is found out by reading them: the pictures are there before.
    #[test]
    fn pictures_do_not_wait_for_their_numbers() {
        let (frame, told) = tick(true, true);
        assert!(frame.is_err());
        assert_eq!(told_pictures(&told).len(), 1);
    }
}
