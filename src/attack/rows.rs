//! What a method works on: the rows of a batch, each an image with its ε and its restart.

use super::ball::Ball;
use super::objective::{Judged, Judgement, Weighting, judged_gradient};
use super::random::{Random, Use};
use super::{AttackError, Direction, Norm, Objective};
use crate::model::{Logits, Model, ModelError, Task};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::ControlFlow;

/// What an iterative attack says after each step. What it holds was computed for the step itself, so that listening costs
/// nothing and changes nothing.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// Steps done.
    pub index: usize,
    /// Steps in all, as far as known.
    pub of: usize,
    /// How the images of `seen` stand, one for each row (an image and its restart). Rows that were stopped early are left out.
    pub judged: &'a [Judgement],
    /// The images that this step looked at, in the order of `judged`, `[rows, channels, height, width]`.
    pub seen: &'a Tensor<4>,
    /// What the model makes of them.
    pub logits: &'a Logits,
    /// The images after the step (of attacks that keep their best, the best so far), in the same order.
    pub adversarial: &'a Tensor<4>,
    /// Of attacks that move pixels: the flow that made `seen`, `[rows, 2, height, width]`.
    pub flow: Option<&'a Tensor<4>>,
}

/// Hears each step, and may stop the attack; what was found until then is kept.
pub type Observer<'a> = dyn FnMut(&Step<'_>) -> ControlFlow<()> + 'a;

/// The rows of a batch.
pub(super) struct Rows<'a> {
    pub model: &'a dyn Model,
    /// The originals, `[rows, channels, height, width]` in [0, 1].
    pub x: Tensor<4>,
    pub objective: Objective,
    /// Where each row may go.
    pub ball: Ball,
    /// ε of each row.
    pub epsilons: Vec<f64>,
    /// 1 where a perturbation may touch, `[1 or rows, 1, height, width]`.
    pub region: Option<Tensor<4>>,
    /// Random numbers of each row.
    pub random: Vec<Random>,
    /// Where to start instead of at a place of the method's own.
    pub start: Option<Tensor<4>>,
    /// A row is done once this share of it is as the attack wants it.
    pub stop_at: Option<f32>,
}

impl Rows<'_> {
    pub fn len(&self) -> usize {
        self.x.dims()[0]
    }

    pub fn device(&self) -> Device {
        self.x.device()
    }

    /// How each row stands at `x`, and the gradient of the loss there, zero outside the region.
    pub fn gradient(&self, x: &Tensor<4>, objective: &Objective, weighting: Weighting) -> Result<Judged, ModelError> {
        let found = judged_gradient(self.model, x, objective, weighting)?;
        Ok(Judged { gradient: self.inside(found.gradient), ..found })
    }

    /// The share of exactly zero entries of each row of `gradient`, among those that may be changed.
    pub fn zero_share(&self, gradient: &Tensor<4>) -> Result<Vec<f32>, ModelError> {
        zero_share(gradient, Some(&self.ball.free()))
    }

    /// [`Rows::zero_share`] of the plain loss at the originals: of methods whose own first gradient is zero in many places for
    /// reasons of their own (a hinge over few pixels, a flow where the image is flat) this is what tells of the model. One
    /// gradient more.
    pub fn clean_zero_share(&self) -> Result<Vec<f32>, ModelError> {
        self.plain_zero_share(&self.x)
    }

    /// [`Rows::zero_share`] of the plain loss at `x`, of methods that start elsewhere.
    pub fn plain_zero_share(&self, x: &Tensor<4>) -> Result<Vec<f32>, ModelError> {
        self.zero_share(&judged_gradient(self.model, x, &self.objective, Weighting::Plain)?.gradient)
    }

    /// A number for each value of `x`, each row from its own random numbers.
    pub fn noise(&mut self, draw: impl Fn(&mut Random) -> f32) -> Tensor<4> {
        let shape = self.x.dims();
        let size: usize = shape[1..].iter().product();
        let values: Vec<f32> =
            self.random.iter_mut().flat_map(|random| (0..size).map(|_| draw(random)).collect::<Vec<_>>()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device())
    }

    /// `values`, zero where nothing may be touched.
    pub fn inside(&self, values: Tensor<4>) -> Tensor<4> {
        match &self.region {
            Some(region) => values * region.clone(),
            None => values,
        }
    }

    /// The rows `keep`, without their random numbers.
    pub fn select(&self, keep: &[usize]) -> Self {
        Self {
            model: self.model,
            x: crate::tensor::rows(self.x.clone(), keep),
            objective: self.objective.select(keep),
            ball: self.ball.select(keep),
            epsilons: keep.iter().map(|&i| self.epsilons[i]).collect(),
            region: self.region.as_ref().map(|region| region_of(region, keep)),
            random: Vec::new(),
            start: None,
            stop_at: self.stop_at,
        }
    }

    /// Whether a row that stands so is done.
    pub fn is_done(&self, judged: &Judgement) -> bool {
        self.stop_at.is_some_and(|share| judged.hits >= share)
    }

    /// Whether a row that stands so is a success, where it is known what that is.
    pub fn succeeds(&self, judged: &Judgement) -> bool {
        goal(&self.objective, self.stop_at).is_some_and(|goal| judged.hits >= goal)
    }
}

/// The regions of the rows `index`: one for all serves any choice of them.
pub(super) fn region_of(region: &Tensor<4>, index: &[usize]) -> Tensor<4> {
    if region.dims()[0] == 1 { region.clone() } else { crate::tensor::rows(region.clone(), index) }
}

/// What a method found, and how.
pub(super) struct Found {
    /// `[rows, channels, height, width]`, wherever the method went; the base projects and clips it.
    pub adversarial: Tensor<4>,
    /// Gradients (or their like) taken for each row.
    pub gradients: usize,
    /// The share of exactly zero entries in the first gradient of each row, among those that may be changed; NaN for rows that
    /// were done before a step was taken ([`untaken`]).
    pub zero_share: Option<Vec<f32>>,
    /// The observer stopped it.
    pub stopped: bool,
    /// For attacks that move pixels: `[rows, 2, height, width]`, displacement down and to the right in pixels.
    pub flow: Option<Tensor<4>>,
    /// For steps along the gradient itself: the share of each row's values that ball or bounds cut at its last step.
    pub clipped: Option<Vec<f32>>,
}

/// The share of hits that makes a success: all of a class's one, of a mask what is asked for; `None` where nothing is.
pub(super) fn goal(objective: &Objective, stop_at: Option<f32>) -> Option<f32> {
    match objective.task() {
        Task::Classification => Some(1.0),
        Task::Segmentation => stop_at,
    }
}

impl Found {
    /// Without gradients.
    pub fn without_gradient(adversarial: Tensor<4>) -> Self {
        Self { adversarial, gradients: 0, zero_share: None, stopped: false, flow: None, clipped: None }
    }
}

/// Shares of zeros without those of rows that were `done` before their first step: where the goal is reached nothing is left for a
/// gradient to tell.
pub(super) fn untaken(zeros: Vec<f32>, done: impl IntoIterator<Item = bool>) -> Vec<f32> {
    zeros.into_iter().zip(done).map(|(share, done)| if done { f32::NAN } else { share }).collect()
}

/// How a method finds an adversarial image. A new one is a file with this, and an entry of the catalogue.
pub(super) trait Method {
    /// The norm whose ball of radius ε the result lies in, or `None` where only the bounds hold it.
    fn norm(&self) -> Option<Norm> {
        None
    }

    /// What its random numbers are for.
    fn draws(&self) -> Use {
        Use::Start
    }

    /// How many rows of the model's batch each row of its own takes at most: what memory is counted by.
    fn copies(&self, _objective: &Objective, _classes: usize) -> usize {
        1
    }

    /// Runs on all rows at once.
    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError>;

    /// δ/ε where it does not depend on ε: then x + ε·direction, clipped, is what [`Method::run`] finds at any ε.
    fn direction(&self, _rows: &mut Rows<'_>) -> Result<Option<Direction>, AttackError> {
        Ok(None)
    }
}

/// The share of exactly zero entries of each image of `gradient`, `[batch, channels, height, width]`, among those at which `free`
/// (1 or 0, of a shape that expands to that) is 1; 0 where none is.
///
/// # Errors
/// If the device fails.
pub fn zero_share(gradient: &Tensor<4>, free: Option<&Tensor<4>>) -> Result<Vec<f32>, ModelError> {
    let zeros = gradient.clone().equal_elem(0.0).float();
    let free = match free {
        Some(free) => free.clone().expand(gradient.dims()),
        None => zeros.ones_like(),
    };
    let count = free.clone().sum_dims(&[1, 2, 3]);
    let none = count.clone().lower_equal_elem(0.0);
    crate::tensor::to_host((zeros * free).sum_dims(&[1, 2, 3]) / count.mask_fill(none, 1.0))
}
