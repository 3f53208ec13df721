//! What is on the screen as far as it does not depend on ε, and the frames that it gives.

use super::early::{class_plane, several};
use super::interactive::text;
use super::watch::{Seen, Watch, Wish};
use super::{CaseInfo, ClassDice, ClassScores, Event, Frame, Plane, Publish, RunEnd, Unfinished, scene};
use crate::attack::{Attack, Step, input_gradient, largest_displacement};
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
        let judged = if self.is_original(tick.epsilon) {
            self.subject.clean.clone()
        } else {
            let judged = self.subject.judge_moved(&attempt.image, attempt.flow.as_ref()).map_err(text)?;
            Judged { measure: judged.measure.with_facts(attempt.clipped, attempt.displacement), ..judged }
        };
        let frame = self.frame_of(tick, &attempt.image, &judged)?;
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
        let frame = self.frame_of(tick, &image, &judged)?;
        Ok(Arc::new(Frame { unfinished: Some(Unfinished { done, of, stopped: false }), displacement, ..frame }))
    }

    /// What is on the screen when the adversarial image is `adversarial`.
    fn frame_of(
        &self,
        &Tick { case, epsilon, start, publish }: &Tick<'_>,
        adversarial: &Tensor<4>,
        judged: &Judged,
    ) -> Result<Frame, String> {
        let subject = &self.subject;
        let noise = adversarial.clone() - subject.x.clone();
        let direction = match &self.direction {
            Some(direction) => direction.clone(),
            // The way that all steps together went.
            None => publish(noise.clone() / peak(noise.clone())?.max(f32::MIN_POSITIVE))?,
        };
        Ok(Frame {
            case: case.clone(),
            epsilon,
            method: self.method,
            generation: self.generation,
            original: self.original.clone(),
            gradient: self.gradient.clone(),
            gradient_peak: self.gradient_peak,
            direction,
            noise: publish(noise)?,
            adversarial: publish(adversarial.clone())?.with_values(&judged.image),
            classes: self.clean_classes.clone().map(|clean| [clean, class_plane(&judged.predicted)]),
            clean_probability: self.clean_probability.clone(),
            adversarial_probability: publish(judged.probability.clone())?.with_values(&judged.on_host),
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
