//! An attack on a subject along ε: what does not depend on ε is computed once, and what does is remembered.

use super::Subject;
use crate::attack::{Attack, AttackError, Direction, EpsilonMeaning, Objective, Observer, input_gradient};
use burn::tensor::Tensor;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// Adversarial images that are remembered; as many as a curve has points.
const MOST_KNOWN: usize = 48;

/// What an attack has found at one ε.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The adversarial image, `[1, channels, h, w]`.
    pub image: Tensor<4>,
    /// The observer stopped the attack: this is the best until then.
    pub stopped: bool,
    /// For attacks that move pixels: the largest displacement, in pixels.
    pub displacement: Option<f32>,
    /// And the flow that moved them, `[1, 2, h, w]`.
    pub flow: Option<Tensor<4>>,
    /// For steps along the gradient itself: the share of the values that ball or bounds cut at the last step.
    pub clipped: Option<f32>,
}

impl Attempt {
    /// What there is of an attack that has not begun: the original.
    pub fn none(subject: &Subject) -> Self {
        Self { image: subject.x.clone(), stopped: true, displacement: None, flow: None, clipped: None }
    }
}

/// What was stopped: what it is remembered by, what it had, and after how many of its steps.
type Stopped = (u64, Attempt, [usize; 2]);

/// An attack on a subject. Shared by the curve, the window and the report, so that none computes what another has.
pub struct Adversary {
    subject: Arc<Subject>,
    attack: Attack,
    objective: Objective,
    direction: Option<Direction>,
    clean: Option<(f32, Tensor<4>)>,
    known: Mutex<VecDeque<(u64, Attempt)>>,
    /// What was stopped last, and where; a curve does not take it for the attack.
    stopped: Mutex<Option<Stopped>>,
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
        Ok(Self { subject, attack, objective, direction, clean, known: Mutex::default(), stopped: Mutex::default() })
    }

    /// What is attacked.
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// The attack.
    pub fn attack(&self) -> Attack {
        self.attack
    }

    /// What it raises or lowers.
    pub fn objective(&self) -> &Objective {
        &self.objective
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
        let attempt = self.attempt(epsilon, observer)?;
        Ok(if attempt.stopped { None } else { Some(attempt.image) })
    }

    /// The adversarial image at `epsilon`; where the observer stopped the attack, the best until then.
    ///
    /// # Errors
    /// If the device fails.
    pub fn attempt(&self, epsilon: f64, observer: &mut Observer<'_>) -> Result<Attempt, AttackError> {
        let plain = |image| Attempt { image, stopped: false, displacement: None, flow: None, clipped: None };
        if let Some(direction) = &self.direction {
            let clipped = direction.clipped(&self.subject.x, epsilon)?.and_then(|all| all.first().copied());
            return Ok(Attempt { clipped, ..plain(direction.adversarial(&self.subject.x, epsilon)) });
        }
        if epsilon == 0.0 && !self.finds_epsilon() {
            return Ok(plain(self.subject.x.clone()));
        }
        let key = self.key(epsilon);
        if let Some(attempt) = self.remembered(key) {
            return Ok(attempt);
        }
        let (model, x) = (self.subject.model.as_ref(), &self.subject.x);
        let outcome = self.attack.run(model, x, &self.objective, &[epsilon], &self.subject.options(), observer)?;
        let displacement = outcome.largest_displacement()?.and_then(|all| all.first().copied());
        let clipped = outcome.clipped.as_ref().and_then(|all| all.first().copied());
        let (image, stopped) = (outcome.adversarial, outcome.stopped);
        let attempt = Attempt { image, stopped, displacement, flow: outcome.flow, clipped };
        if attempt.stopped {
            return Ok(attempt);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == MOST_KNOWN {
            known.pop_front();
        }
        known.push_back((key, attempt.clone()));
        Ok(attempt)
    }

    /// Keeps what a person stopped at `epsilon` after `steps`, done and in all; [`Adversary::stopped_at`] has it until it is
    /// forgotten.
    pub fn keep_stopped(&self, epsilon: f64, attempt: Attempt, steps: [usize; 2]) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.key(epsilon), attempt, steps));
    }

    /// What was stopped at `epsilon`, and after how many steps.
    pub fn stopped_at(&self, epsilon: f64) -> Option<(Attempt, [usize; 2])> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stopped.as_ref().filter(|(key, ..)| *key == self.key(epsilon));
        found.map(|(_, attempt, steps)| (attempt.clone(), *steps))
    }

    /// Forgets what was stopped, so that it runs anew.
    pub fn forget_stopped(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the attack looks for the smallest perturbation, whatever ε.
    pub fn finds_epsilon(&self) -> bool {
        self.attack.entry().epsilon == EpsilonMeaning::Found
    }

    /// What an image is remembered by.
    fn key(&self, epsilon: f64) -> u64 {
        if self.finds_epsilon() { 0 } else { epsilon.to_bits() }
    }

    /// [`Adversary::at`] that nobody stops.
    ///
    /// # Errors
    /// As there.
    pub fn at_last(&self, epsilon: f64) -> Result<Tensor<4>, AttackError> {
        let image = self.at(epsilon, &mut |_| ControlFlow::Continue(()))?;
        Ok(image.unwrap_or_else(|| self.subject.x.clone()))
    }

    /// [`Adversary::attempt`] that nobody stops.
    ///
    /// # Errors
    /// As there.
    pub fn attempt_last(&self, epsilon: f64) -> Result<Attempt, AttackError> {
        self.attempt(epsilon, &mut |_| ControlFlow::Continue(()))
    }

    fn remembered(&self, key: u64) -> Option<Attempt> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(k, _)| *k == key).map(|(_, attempt)| attempt.clone())
    }
}
