//! What is on the screen as far as it does not depend on ε, and the frames that it gives.

use super::interactive::text;
use super::{Frame, Plane, Publish, scene};
use crate::attack::{Direction, Method};
use crate::data::{IGNORE, Mask};
use crate::study::{Judged, Subject};
use crate::tensor;
use burn::tensor::Tensor;
use std::sync::Arc;
use std::time::Instant;

/// What does not depend on ε.
pub(super) struct Prepared {
    pub(super) subject: Arc<Subject>,
    pub(super) method: Method,
    pub(super) direction: Direction,
    pub(super) generation: u64,
    original: Plane,
    gradient: Option<Plane>,
    gradient_peak: f32,
    direction_plane: Plane,
    clean_probability: Plane,
    /// The predicted classes of the original, where there are more than two.
    clean_classes: Option<Plane>,
    reference: Plane,
}

impl Prepared {
    /// Computes the direction of `method` on `subject`.
    pub(super) fn new(
        subject: Arc<Subject>,
        method: Method,
        generation: u64,
        publish: &Publish,
    ) -> Result<Self, String> {
        let direction = subject.direction(method).map_err(text)?;
        Ok(Self {
            original: publish(subject.x.clone())?.with_values(&subject.original),
            gradient: direction.gradient.clone().map(|g| publish(g)).transpose()?,
            gradient_peak: direction.gradient.clone().map_or(Ok(0.0), peak)?,
            direction_plane: publish(direction.direction.clone())?,
            clean_probability: publish(subject.clean.probability.clone())?.with_values(&subject.clean.on_host),
            clean_classes: several(&subject).then(|| class_plane(&subject.clean.predicted)),
            reference: scene::reference_plane(&subject),
            method,
            generation,
            direction,
            subject,
        })
    }

    /// The frame at `epsilon`, the adversarial image and what the model sees in it. `start` is when it was wished for.
    pub(super) fn frame(
        &self,
        epsilon: f64,
        start: Instant,
        publish: &Publish,
    ) -> Result<(Frame, Tensor<4>, Judged), String> {
        let subject = &self.subject;
        let adversarial = self.direction.adversarial(&subject.x, epsilon);
        let judged = if epsilon == 0.0 { subject.clean.clone() } else { subject.judge(&adversarial).map_err(text)? };
        let frame = Frame {
            epsilon,
            method: self.method,
            generation: self.generation,
            original: self.original.clone(),
            gradient: self.gradient.clone(),
            gradient_peak: self.gradient_peak,
            direction: self.direction_plane.clone(),
            noise: publish(adversarial.clone() - subject.x.clone())?,
            adversarial: publish(adversarial.clone())?.with_values(&judged.image),
            classes: self.clean_classes.clone().map(|clean| [clean, class_plane(&judged.predicted)]),
            clean_probability: self.clean_probability.clone(),
            adversarial_probability: publish(judged.probability.clone())?.with_values(&judged.on_host),
            reference: self.reference.clone(),
            clean: subject.clean.measure,
            adversarial_measure: judged.measure,
            loss: self.direction.loss,
            tick_secs: start.elapsed().as_secs_f64(),
        };
        Ok((frame, adversarial, judged))
    }
}

/// Whether the model tells more than two classes apart: one probability does not say all then.
fn several(subject: &Subject) -> bool {
    subject.model.card().classes.len() > 2
}

/// The class of each pixel, −1 where it is ignored.
fn class_plane(mask: &Mask) -> Plane {
    let value = |&class: &u8| if class == IGNORE { -1.0 } else { f32::from(class) };
    Plane::from_host(1, mask.height, mask.width, mask.classes.iter().map(value).collect::<Vec<f32>>())
}

/// The largest magnitude.
fn peak(values: Tensor<4>) -> Result<f32, String> {
    Ok(tensor::to_host(values.abs().max()).map_err(text)?.first().copied().unwrap_or(0.0))
}
