//! What every attack has in common: what is asked is checked, images and restarts share forward passes as far as memory
//! allows, every result is brought into its ball and bounds and judged.

use super::ball::Ball;
use super::objective::{Aim, Judgement, Objective};
use super::random::{Random, stream_of};
use super::rows::{Found, Method, Observer, Rows, Step, goal, region_of};
use super::{Attack, AttackError, Direction};
use crate::model::{Model, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::Tensor;
use std::ops::ControlFlow;

/// Memory that a batch may take where nothing else is said.
pub const DEFAULT_BUDGET_BYTES: u64 = 2 << 30;

/// What is asked of an attack beside its parameters.
#[derive(Clone, Debug)]
pub struct Options {
    /// The region that may be touched: 1 there and 0 elsewhere, `[1, 1, height, width]`, or `[batch, 1, height, width]` where each
    /// image has its own. The whole image if `None`. The region that the loss looks at is [`Objective::within`].
    pub region: Option<Tensor<4>>,
    /// The smallest and largest value of each pixel, of the shape of the images.
    pub limits: Option<(Tensor<4>, Tensor<4>)>,
    /// Images to start from, of the shape of the images, in place of the method's own start.
    pub start: Option<Tensor<4>>,
    /// An image is done once this share of its counted pixels is as the attack wants it (1 for a class), and of restarts one
    /// that gets so far is better than any that does not. `None`: every step is taken, as the papers do.
    pub stop_at: Option<f32>,
    /// Memory that the gradients of one batch may take, in bytes: what picks how many images are attacked at once.
    pub budget_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { region: None, limits: None, start: None, stop_at: None, budget_bytes: DEFAULT_BUDGET_BYTES }
    }
}

/// What an attack found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `[batch, channels, height, width]`, in bounds; in the ball, where the attack has one.
    pub adversarial: Tensor<4>,
    /// How each image stands.
    pub judged: Vec<Judgement>,
    /// Gradients taken for each image and restart.
    pub gradients: usize,
    /// The share of entries of each image's first gradient that are exactly zero, among those that may be changed; NaN for
    /// an image that was as the attack wants it before the first step.
    pub zero_share: Option<Vec<f32>>,
    /// The observer stopped it: this is the best until then.
    pub stopped: bool,
    /// For attacks that move pixels: displacement down and to the right in pixels, `[batch, 2, height, width]`.
    pub flow: Option<Tensor<4>>,
    /// For steps along the gradient itself (FGNM and its kin): the share of each image's values that ball or bounds cut at its
    /// last step.
    pub clipped: Option<Vec<f32>>,
}

impl Outcome {
    /// For attacks that move pixels: the largest displacement of each image, in pixels.
    ///
    /// # Errors
    /// If the device fails.
    pub fn largest_displacement(&self) -> Result<Option<Vec<f32>>, ModelError> {
        self.flow.as_ref().map(super::largest_displacement).transpose()
    }
}

impl Attack {
    /// Attacks the images `x`, `[batch, channels, height, width]` in [0, 1], each within its own ε of `epsilons` (in the
    /// attack's own norm; minimum-norm attacks do not look at it). `observer` hears each step.
    ///
    /// # Errors
    /// If the attack is not defined for the objective, something does not fit together, or the device fails.
    pub fn run(
        &self,
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        epsilons: &[f64],
        options: &Options,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, AttackError> {
        self.check(objective)?;
        self.check_model(model)?;
        self.check_input(x, epsilons)?;
        let [batch, _, height, width] = x.dims();
        let restarts = self.count("restarts").max(1);
        let all: Vec<(usize, usize)> = (0..batch).flat_map(|image| (0..restarts).map(move |r| (image, r))).collect();
        let at_once = self.at_once(model, objective, [height, width], options.budget_bytes);
        let streams = self.streams(x)?;
        let mut best: Vec<Option<Best>> = (0..batch).map(|_| None).collect();
        let (mut gradients, mut stopped) = (0, false);
        let chunks = all.len().div_ceil(at_once);
        for (number, chunk) in all.chunks(at_once).enumerate() {
            // Steps are counted over all batches.
            let mut counted = |step: &Step<'_>| {
                observer(&Step { index: number * step.of + step.index, of: chunks * step.of, ..*step })
            };
            let found = self.chunk(model, x, objective, epsilons, options, (chunk, &streams), &mut counted)?;
            gradients = gradients.max(found.gradients);
            let chunk_objective = objective.select(&images(chunk));
            let judged = chunk_objective.judge(model, found.adversarial.clone())?;
            for (row, &(image, _)) in chunk.iter().enumerate() {
                let one = |t: &Tensor<4>| t.clone().narrow(0, row, 1);
                if best[image].as_ref().is_none_or(|b| better(&judged[row], &b.judged, objective, options.stop_at)) {
                    best[image] = Some(Best {
                        adversarial: one(&found.adversarial),
                        judged: judged[row],
                        zero_share: found.zero_share.as_ref().and_then(|z| z.get(row).copied()),
                        flow: found.flow.as_ref().map(one),
                        clipped: found.clipped.as_ref().and_then(|c| c.get(row).copied()),
                    });
                }
            }
            if found.stopped {
                stopped = true;
                break;
            }
        }
        let mut outcome = Vec::with_capacity(batch);
        for (image, found) in best.into_iter().enumerate() {
            outcome.push(match found {
                Some(found) => found,
                // Stopped before this image's turn: it is as it was.
                None => {
                    let adversarial = x.clone().narrow(0, image, 1);
                    let of_image = objective.select(&[image]);
                    let judged = of_image.judge(model, adversarial.clone())?;
                    let judged = judged.first().copied().unwrap_or(Judgement { loss: 0.0, hits: 0.0 });
                    Best { adversarial, judged, zero_share: None, flow: None, clipped: None }
                }
            });
        }
        Ok(Outcome {
            adversarial: Tensor::cat(outcome.iter().map(|b| b.adversarial.clone()).collect(), 0),
            judged: outcome.iter().map(|b| b.judged).collect(),
            gradients,
            zero_share: outcome.iter().map(|b| b.zero_share).collect(),
            flow: outcome.iter().map(|b| b.flow.clone()).collect::<Option<Vec<_>>>().map(|flows| Tensor::cat(flows, 0)),
            clipped: outcome.iter().map(|b| b.clipped).collect(),
            stopped,
        })
    }

    /// How many images of a size run together within `budget_bytes`.
    pub fn at_once(
        &self,
        model: &dyn Model,
        objective: &Objective,
        [height, width]: [usize; 2],
        budget_bytes: u64,
    ) -> usize {
        let copies = self.method().copies(objective, model.card().classes.len()) as u64;
        let each = model.working_bytes(height, width).max(1).saturating_mul(copies.max(1));
        (budget_bytes / each).clamp(1, 4096) as usize
    }

    /// [`Attack::run`] that nobody watches.
    ///
    /// # Errors
    /// As there.
    pub fn run_through(
        &self,
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        epsilons: &[f64],
        options: &Options,
    ) -> Result<Outcome, AttackError> {
        self.run(model, x, objective, epsilons, options, &mut |_| ControlFlow::Continue(()))
    }

    /// The direction of the attack on `x` if it does not depend on ε: then every ε costs one pointwise operation.
    ///
    /// # Errors
    /// As [`Attack::run`].
    pub fn direction(
        &self,
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        options: &Options,
    ) -> Result<Option<Direction>, AttackError> {
        self.check(objective)?;
        self.check_model(model)?;
        if options.limits.is_some() || options.start.is_some() {
            return Ok(None);
        }
        let ones = vec![1.0; x.dims()[0]];
        let rows: Vec<(usize, usize)> = (0..ones.len()).map(|image| (image, 0)).collect();
        let method = self.method();
        method.direction(&mut self.rows(
            method.as_ref(),
            model,
            x,
            objective,
            &ones,
            options,
            (&rows, &self.streams(x)?),
        )?)
    }

    /// The norm whose ball of radius ε the result lies in, or `None` where ε is no such radius.
    pub fn norm(&self) -> Option<super::Norm> {
        self.method().norm()
    }

    fn method(&self) -> Box<dyn Method> {
        (self.entry().method)(self)
    }

    /// Whether the method is defined for what is asked of it.
    ///
    /// # Errors
    /// Why it is not, and what would work.
    pub fn check(&self, objective: &Objective) -> Result<(), AttackError> {
        let entry = self.entry();
        let cause = match (objective.task(), objective.aim()) {
            (Task::Classification, _) if !entry.classes => {
                "it is a loss over pixels; choose a model that segments, or PGD"
            }
            (Task::Segmentation, _) if !entry.masks => {
                "it needs one class for the whole image; choose a model that classifies"
            }
            (_, Aim::Targeted) if !entry.targeted => "it has no target; leave the target away",
            _ => return Ok(()),
        };
        Err(AttackError::Undefined { attack: entry.title, cause: cause.to_owned() })
    }

    /// Whether `model` has the gradient that the attack needs.
    ///
    /// # Errors
    /// Why it has none.
    pub fn check_model(&self, model: &dyn Model) -> Result<(), ModelError> {
        if self.entry().gradient { ModelError::check_gradient(model) } else { Ok(()) }
    }

    /// The stream of random numbers of each image, where the attack draws any.
    fn streams(&self, x: &Tensor<4>) -> Result<Vec<u64>, ModelError> {
        let count = x.dims()[0];
        if self.get("seed").is_none() {
            return Ok(vec![0; count]);
        }
        let values = to_host(x.clone())?;
        Ok(values.chunks((values.len() / count.max(1)).max(1)).map(stream_of).collect())
    }

    fn check_input(&self, x: &Tensor<4>, epsilons: &[f64]) -> Result<(), AttackError> {
        let fault = |cause: String| Err(AttackError::Parameter { attack: self.name().to_owned(), cause });
        if epsilons.len() != x.dims()[0] {
            return fault(format!("{} images with {} ε; give one ε for each image", x.dims()[0], epsilons.len()));
        }
        if let Some(bad) = epsilons.iter().find(|e| !e.is_finite() || **e < 0.0) {
            return fault(format!("ε = {bad} is not a finite number from 0 up"));
        }
        let ends = to_host(Tensor::cat(vec![x.clone().min(), x.clone().max()], 0))?;
        if !ends.iter().all(|v| (0.0..=1.0).contains(v)) {
            return fault(
                "the image has values outside its bounds, or that are no numbers; set bounds that hold it".to_owned(),
            );
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one run, passed on whole")]
    fn chunk(
        &self,
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        epsilons: &[f64],
        options: &Options,
        chunk: (&[(usize, usize)], &[u64]),
        observer: &mut Observer<'_>,
    ) -> Result<Found, AttackError> {
        let method = self.method();
        let mut rows = self.rows(method.as_ref(), model, x, objective, epsilons, options, chunk)?;
        let found = method.run(&mut rows, observer)?;
        let settled = rows.ball.settle(rows.ball.project(found.adversarial), &rows.epsilons)?;
        Ok(Found { adversarial: settled, ..found })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one run, passed on whole")]
    fn rows<'a>(
        &self,
        method: &dyn Method,
        model: &'a dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        epsilons: &[f64],
        options: &Options,
        (chunk, streams): (&[(usize, usize)], &[u64]),
    ) -> Result<Rows<'a>, ModelError> {
        let index = images(chunk);
        let of = |t: &Tensor<4>| crate::tensor::rows(t.clone(), &index);
        let x = of(x);
        let limits = options.limits.as_ref().map(|(lower, upper)| (of(lower), of(upper)));
        let region = options.region.as_ref().map(|region| region_of(region, &index));
        let epsilons: Vec<f64> = chunk.iter().map(|&(image, _)| epsilons[image]).collect();
        let (seed, draws) = (self.number("seed") as u64, method.draws());
        Ok(Rows {
            model,
            ball: Ball::new(method.norm(), &x, &epsilons, limits.as_ref(), region.as_ref())?,
            objective: objective.select(&index),
            epsilons,
            region,
            random: chunk.iter().map(|&(image, restart)| Random::new(draws, seed, streams[image], restart)).collect(),
            start: options.start.as_ref().map(of),
            stop_at: options.stop_at,
            x,
        })
    }
}

/// The best of an image's restarts.
struct Best {
    adversarial: Tensor<4>,
    judged: Judgement,
    zero_share: Option<f32>,
    flow: Option<Tensor<4>>,
    clipped: Option<f32>,
}

/// Whether `a` is a better result of an attack than `b`: first whether it succeeds (a class, or the share `stop_at` of a mask),
/// then its loss.
pub(super) fn better(a: &Judgement, b: &Judgement, objective: &Objective, stop_at: Option<f32>) -> bool {
    let goal = goal(objective, stop_at);
    let reached = |j: &Judgement| goal.is_some_and(|goal| j.hits >= goal);
    // A loss that is no number is no gain.
    let gain = |j: &Judgement| if j.loss.is_nan() { f32::NEG_INFINITY } else { objective.sign() * j.loss };
    reached(a).cmp(&reached(b)).then(gain(a).total_cmp(&gain(b))).is_gt()
}

fn images(rows: &[(usize, usize)]) -> Vec<usize> {
    rows.iter().map(|&(image, _)| image).collect()
}
