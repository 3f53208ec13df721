//! An attack on a subject along ε: what does not depend on ε is computed once, and what does is remembered.

use super::Subject;
use crate::attack::{Attack, AttackError, Direction, EpsilonMeaning, Objective, Observer, input_gradient};
use burn::tensor::Tensor;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// Adversarial images that are remembered; as many as a curve has points.
const MOST_KNOWN: usize = 48;

/// An attack on a subject. Shared by the curve, the window and the report, so that none computes what another has.
pub struct Adversary {
    subject: Arc<Subject>,
    attack: Attack,
    objective: Objective,
    direction: Option<Direction>,
    clean: Option<(f32, Tensor<4>)>,
    known: Mutex<VecDeque<(u64, Tensor<4>)>>,
}

impl Adversary {
    /// Prepares `attack` on `subject`: its direction where that does not depend on ε, else the gradient of the original.
    ///
    /// # Errors
    /// If the attack is not defined for the model, or the device fails.
    pub fn new(subject: Arc<Subject>, attack: Attack) -> Result<Self, AttackError> {
        let objective = subject.objective();
        let direction = attack.direction(subject.model.as_ref(), &subject.x, &objective, &subject.options())?;
        let clean = match &direction {
            Some(direction) => direction.loss.zip(direction.gradient.clone()),
            None if attack.entry().gradient => Some(input_gradient(subject.model.as_ref(), &subject.x, &objective)?),
            None => None,
        };
        attack.check(&objective)?;
        Ok(Self { subject, attack, objective, direction, clean, known: Mutex::default() })
    }

    /// What is attacked.
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// The attack.
    pub fn attack(&self) -> Attack {
        self.attack
    }

    /// The direction, where it does not depend on ε.
    pub fn direction(&self) -> Option<&Direction> {
        self.direction.as_ref()
    }

    /// J of the original and its gradient, where the attack looks at it.
    pub fn clean_gradient(&self) -> Option<&(f32, Tensor<4>)> {
        self.clean.as_ref()
    }

    /// The adversarial image at `epsilon`, `[1, channels, h, w]`, or `None` if the observer stopped the attack. An attack that
    /// looks for the smallest perturbation has one for all ε.
    ///
    /// # Errors
    /// If the device fails.
    pub fn at(&self, epsilon: f64, observer: &mut Observer<'_>) -> Result<Option<Tensor<4>>, AttackError> {
        if let Some(direction) = &self.direction {
            return Ok(Some(direction.adversarial(&self.subject.x, epsilon)));
        }
        let found = self.attack.entry().epsilon == EpsilonMeaning::Found;
        if epsilon == 0.0 && !found {
            return Ok(Some(self.subject.x.clone()));
        }
        let key = if found { 0 } else { epsilon.to_bits() };
        if let Some(image) = self.remembered(key) {
            return Ok(Some(image));
        }
        let (model, x) = (self.subject.model.as_ref(), &self.subject.x);
        let outcome = self.attack.run(model, x, &self.objective, &[epsilon], &self.subject.options(), observer)?;
        if outcome.stopped {
            return Ok(None);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MOST_KNOWN {
            known.pop_front();
        }
        known.push_back((key, outcome.adversarial.clone()));
        Ok(Some(outcome.adversarial))
    }

    /// [`Adversary::at`] that nobody stops.
    ///
    /// # Errors
    /// As there.
    pub fn at_last(&self, epsilon: f64) -> Result<Tensor<4>, AttackError> {
        let image = self.at(epsilon, &mut |_| ControlFlow::Continue(()))?;
        Ok(image.unwrap_or_else(|| self.subject.x.clone()))
    }

    fn remembered(&self, key: u64) -> Option<Tensor<4>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(k, _)| *k == key).map(|(_, image)| image.clone())
    }
}
