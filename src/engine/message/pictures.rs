//! The pictures of a frame, shown before its numbers are known.

use super::Frame;
use crate::engine::Plane;

/// The pictures at one ε on a device that the display shares: they need no read-back. The [`Frame`] with their numbers follows.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// ε of these pictures.
    pub epsilon: f64,
    /// That of the frame that they follow: they differ from it in ε only.
    pub generation: u64,
    /// adversarial − original, `[channels, h, w]`.
    pub noise: Plane,
    /// The adversarial image in [0, 1], `[channels, h, w]`.
    pub adversarial: Plane,
    /// P(positive class) on it, `[1, h, w]`, of a model that segments.
    pub probability: Option<Plane>,
    /// The predicted class of each pixel of it, where the model has more than two.
    pub classes: Option<Plane>,
}

impl Frame {
    /// The frame with newer `pictures` and its own numbers; `None` if they are of another case, model or attack.
    pub fn with_pictures(&self, pictures: &Pictures) -> Option<Self> {
        let Pictures { epsilon, generation, noise, adversarial, probability, classes } = pictures;
        (*generation == self.generation).then(|| Self {
            ahead: Some(*epsilon),
            noise: noise.clone(),
            adversarial: adversarial.clone(),
            adversarial_probability: probability.as_ref().unwrap_or(&self.adversarial_probability).clone(),
            classes: self.classes.clone().map(|[clean, before]| [clean, classes.clone().unwrap_or(before)]),
            ..self.clone()
        })
    }

    /// ε of the pictures.
    pub fn shown_epsilon(&self) -> f64 {
        self.ahead.unwrap_or(self.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_of_another_attack_are_not_taken() {
        let plane = || Plane::from_host(1, 1, 1, vec![0.0]);
        let mut pictures = Pictures {
            epsilon: 0.5,
            generation: 2,
            noise: plane(),
            adversarial: plane(),
            probability: None,
            classes: None,
        };
        let frame = crate::engine::prepared::tests::frame();
        assert!(frame.with_pictures(&pictures).is_none());
        pictures.generation = frame.generation;
        let ahead = frame.with_pictures(&pictures).unwrap();
        assert_eq!((ahead.epsilon, ahead.shown_epsilon()), (frame.epsilon, 0.5));
        assert_eq!(ahead.adversarial.id, pictures.adversarial.id);
        // What did not come stays.
        assert_eq!(ahead.adversarial_probability.id, frame.adversarial_probability.id);
    }
}
