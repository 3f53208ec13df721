//! What is on the screen as far as it does not depend on ε, and the frames that it gives.

use super::early::{class_plane, several};
use super::interactive::text;
use super::{CaseInfo, ClassDice, ClassScores, Frame, Plane, Publish, scene};
use crate::attack::{Attack, EpsilonMeaning, Step};
use crate::study::{Adversary, Judged, Subject};
use crate::tensor;
use burn::tensor::Tensor;
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
            method,
            generation,
            adversary: Arc::new(adversary),
            subject,
        })
    }

    /// The frame at `epsilon`, the adversarial image and what the model sees in it. `start` is when it was wished for. An
    /// attack of many steps is given up once `go_on` says no: then `None`.
    pub(super) fn frame(
        &self,
        case: &Arc<CaseInfo>,
        epsilon: f64,
        start: Instant,
        publish: &Publish,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<(Frame, Tensor<4>, Judged)>, String> {
        let subject = &self.subject;
        let mut observer = |_: &Step<'_>| if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let Some(adversarial) = self.adversary.at(epsilon, &mut observer).map_err(text)? else { return Ok(None) };
        let judged = if self.is_original(epsilon) {
            subject.clean.clone()
        } else {
            subject.judge(&adversarial).map_err(text)?
        };
        let noise = adversarial.clone() - subject.x.clone();
        let direction = match &self.direction {
            Some(direction) => direction.clone(),
            // The way that all steps together went.
            None => publish(noise.clone() / peak(noise.clone())?.max(f32::MIN_POSITIVE))?,
        };
        let frame = Frame {
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
            scores: ClassScores::of(subject, &judged),
            class_dice: ClassDice::of(subject, &judged),
            reference: self.reference.clone(),
            clean: subject.clean.measure,
            adversarial_measure: judged.measure,
            loss: self.adversary.clean_gradient().map(|(loss, _)| *loss),
            tick_secs: start.elapsed().as_secs_f64(),
        };
        Ok(Some((frame, adversarial, judged)))
    }

    /// Whether nothing is changed at `epsilon`. An attack that looks for the smallest perturbation does not ask ε.
    fn is_original(&self, epsilon: f64) -> bool {
        epsilon == 0.0 && self.method.entry().epsilon != EpsilonMeaning::Found
    }
}

/// The largest magnitude.
fn peak(values: Tensor<4>) -> Result<f32, String> {
    Ok(tensor::to_host(values.abs().max()).map_err(text)?.first().copied().unwrap_or(0.0))
}
