//! Carlini and Wagner's L2 attack: the smallest perturbation found by a search over how much success counts.

use super::adam::Adam;
use crate::attack::live::{Live, chosen, kept};
use crate::attack::objective::{Judgement, gradient_of};
use crate::attack::rows::{Found, Method, Observer, Rows, Step, untaken};
use crate::attack::{Attack, AttackError, Weighting};
use crate::model::{Logits, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Bool, Tensor, TensorData};

/// min ‖δ‖₂² + c·max(margin + κ, 0) in tanh space (Carlini and Wagner 2017, section VI.A), by Adam, with a binary search over c
/// and an early abort for each image. A success is wrong by a margin of κ. Masks: the hinge over the wished share of pixels,
/// those that are nearest to being flipped; success is that this share is wrong by κ.
///
/// On masks two things differ from the authors' code unless `fall` is 1 (on classes if `fall-classes` is not: at the constant rate and
/// 9 searches norms of linear classifiers whose nearest boundary lies beyond a bound stay up to a tenth above the optimum), with which it finds norms of 1.1 times the optimum of a 1×1
/// segmenter. Adam's rate falls in the second half of a run, sooner where the loss stands still: many pixels that each swing about
/// the boundary are hardly ever all beyond it. And a c is enough if its run succeeds in its last tenth: what only a swing at the
/// beginning has reached says that the next c can be smaller, and then none is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct CarliniWagner {
    steps: usize,
    searches: usize,
    rate: f64,
    c: f64,
    kappa: f64,
    share: f32,
    /// What is left of the rate at the end of a run on masks, and on classes.
    fall: f64,
    fall_classes: f64,
}

impl CarliniWagner {
    pub fn l2(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self {
            steps: attack.count("steps").max(1),
            searches: attack.count("searches").max(1),
            rate: attack.number("rate"),
            c: attack.number("c"),
            kappa: attack.number("kappa"),
            share: attack.number("share") as f32,
            fall: attack.number("fall"),
            fall_classes: attack.number("fall-classes"),
        })
    }
}

/// Tanh space ends so far before the ends of the interval, or its slope there would be 0.
const INSIDE: f64 = 0.999_999;

/// The share of a run by which a loss that stands still brings its end nearer, where the rate falls.
const SKIP: f64 = 0.3;

/// One value for each row.
fn column(values: &[f32], like: &Tensor<4>) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1, 1, 1]), &like.device())
}

fn mask_of(yes: &[bool], like: &Tensor<4>) -> Tensor<4, Bool> {
    let values: Vec<f32> = yes.iter().map(|&y| f32::from(u8::from(y))).collect();
    column(&values, like).expand(like.dims()).greater_elem(0.5)
}

/// The interval of c that is still open for one row.
#[derive(Clone, Copy)]
struct Search {
    c: f64,
    lower: f64,
    upper: f64,
}

impl Search {
    /// Narrows the interval after a run that did or did not succeed.
    fn next(self, success: bool) -> Self {
        let (lower, upper) =
            if success { (self.lower, self.upper.min(self.c)) } else { (self.lower.max(self.c), self.upper) };
        let c = if upper.is_finite() { f64::midpoint(lower, upper) } else { self.c * 10.0 };
        Self { c, lower, upper }
    }
}

/// What does not change during the search, for the rows that are still in it: tanh space, and the weight of success.
struct Space {
    half: Tensor<4>,
    middle: Tensor<4>,
    c: Tensor<4>,
}

impl Space {
    fn select(&self, places: &[usize]) -> Self {
        let [half, middle, c] = [&self.half, &self.middle, &self.c].map(|t| chosen(t, places));
        Self { half, middle, c }
    }
}

/// How the rows stand at one step.
struct Standing {
    /// ∂loss/∂w.
    gradient: Tensor<4>,
    image: Tensor<4>,
    logits: Logits,
    /// ‖δ‖₂², the share that is wrong by κ, J, the share that is wrong, and the whole loss: one of each a row.
    distance: Vec<f32>,
    confident: Vec<f32>,
    judged: Vec<Judgement>,
    loss: Vec<f32>,
}

impl CarliniWagner {
    /// The rates of rows that are `clock` steps into their runs: constant for half of it, then falling to `fall` of that.
    fn rates(&self, clock: &[f64], fall: f64) -> Vec<f32> {
        let late = |at: f64| (2.0 * at / self.steps as f64 - 1.0).max(0.0);
        clock.iter().map(|&at| (self.rate * fall.powf(late(at))) as f32).collect()
    }

    /// ‖δ‖² + c·hinge at `w`, and its gradient.
    fn stand(&self, rows: &Rows<'_>, space: &Space, w: &Tensor<4>, share: f32) -> Result<Standing, ModelError> {
        let count = rows.len();
        let tracked = w.clone().autodiff().require_grad();
        let image = tracked.clone().tanh() * space.half.clone() + space.middle.clone();
        let logits = rows.model.logits(image.clone())?;
        let plain = logits.clone().without_autodiff();
        let confident = rows.objective.hits_by(plain.clone(), self.kappa)?;
        let margins = rows.objective.margins(logits)?;
        let wanted = rows.objective.nearest(margins.clone().inner(), confident.clone(), share)?;
        let hinge = (margins + self.kappa).clamp_min(0.0) * (wanted * rows.objective.asked());
        let squares = (image.clone() - rows.x.clone()).square().sum_dims(&[1, 2, 3]);
        let loss = squares.clone() + hinge.sum_dims(&[1, 2, 3]) * space.c.clone();
        let gradient = gradient_of(&tracked, &loss.clone().sum());
        let hits = rows.objective.hits(plain.clone())?;
        let losses = rows.objective.losses(plain.clone(), Weighting::Plain)?;
        let (squares, loss) = (squares.inner().reshape([count]), loss.inner().reshape([count]));
        let read = to_host(Tensor::cat(vec![squares, confident, losses, hits, loss], 0))?;
        let part = |i: usize| read[i * count..(i + 1) * count].to_vec();
        let judged = part(2).into_iter().zip(part(3)).map(|(loss, hits)| Judgement { loss, hits }).collect();
        Ok(Standing {
            gradient,
            image: image.inner(),
            logits: plain,
            distance: part(0),
            confident: part(1),
            judged,
            loss: part(4),
        })
    }
}

impl Method for CarliniWagner {
    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let masks = rows.objective.task() == Task::Segmentation;
        let (share, fall) = if masks { (self.share, self.fall) } else { (1.0, self.fall_classes) };
        let (falls, tenth) = (fall < 1.0, (self.steps / 10).max(1));
        let (lower, upper) = rows.ball.box_of();
        let half = (upper.clone() - lower.clone()) * 0.5;
        let middle = (upper + lower) * 0.5;
        let closed = half.clone().lower_equal_elem(0.0);
        let place = (rows.x.clone() - middle.clone()) / half.clone().mask_fill(closed, 1.0);
        let origin = (place.clamp(-1.0, 1.0) * INSIDE).atanh();
        let count = rows.len();
        let mut search = vec![Search { c: self.c, lower: 0.0, upper: f64::INFINITY }; count];
        let mut best = vec![f32::INFINITY; count];
        let mut best_image = rows.x.clone();
        // The attempt that came nearest, for images on which nothing succeeds.
        let mut nearest = vec![f32::NEG_INFINITY; count];
        let (mut zeros, mut gradients) = (None, 0);
        let of = self.searches * self.steps;
        for number in 0..self.searches {
            let c: Vec<f32> = search.iter().map(|s| s.c as f32).collect();
            let mut space = Space { half: half.clone(), middle: middle.clone(), c: column(&c, &rows.x) };
            let (mut w, mut adam) = (origin.clone(), Adam::new(self.rate));
            let (mut live, mut subset) = (Live::new(count), None::<Rows<'_>>);
            let mut succeeded = vec![false; count];
            let mut last = vec![f32::INFINITY; count];
            // How far into its run each row is, in steps.
            let mut clock = vec![0.0; count];
            for t in 0..self.steps {
                if falls && t % tenth == 0 {
                    live.index.iter().for_each(|&row| succeeded[row] = false);
                }
                let here = subset.as_ref().unwrap_or(rows);
                let now = self.stand(here, &space, &w, share)?;
                gradients += 1;
                if zeros.is_none() {
                    zeros = Some(untaken(here.clean_zero_share()?, now.confident.iter().map(|&hits| hits >= share)));
                }
                w = if falls {
                    w - adam.way(now.gradient) * column(&self.rates(&clock, fall), &rows.x)
                } else {
                    adam.step(w, now.gradient)
                };
                clock.iter_mut().for_each(|at| *at += 1.0);
                let mut better = Vec::with_capacity(live.index.len());
                for (i, &row) in live.index.iter().enumerate() {
                    let (success, distance) = (now.confident[i] >= share, now.distance[i]);
                    succeeded[row] |= success;
                    let nearer = best[row].is_infinite() && now.confident[i] > nearest[row];
                    better.push(if success { distance < best[row] } else { nearer });
                    if success {
                        best[row] = best[row].min(distance);
                    } else if nearer {
                        nearest[row] = now.confident[i];
                    }
                }
                if better.contains(&true) {
                    best_image = best_image.mask_where(mask_of(&better, &now.image), now.image.clone());
                }
                let index = number * self.steps + t + 1;
                let told = Step {
                    index,
                    of,
                    judged: &now.judged,
                    seen: &now.image,
                    logits: &now.logits,
                    adversarial: &best_image,
                    flow: None,
                };
                if observer(&told).is_break() {
                    let (stopped, adversarial) = (index < of, live.whole(best_image));
                    return Ok(Found { adversarial, gradients, zero_share: zeros, stopped, flow: None, clipped: None });
                }
                // Early abort, as in the authors' code ten times a run, but of each image by itself; where the rate falls it falls
                // sooner instead.
                let looks_at = if falls { tenth - 1 } else { 0 };
                if t % tenth == looks_at {
                    let stuck = now.loss.iter().zip(&last).map(|(loss, last)| *loss > last * 0.9999);
                    let skipped = if falls { SKIP } else { 1.0 } * self.steps as f64;
                    clock.iter_mut().zip(stuck).filter(|(_, stuck)| *stuck).for_each(|(at, _)| *at += skipped);
                    let done: Vec<bool> = clock.iter().map(|at| *at >= self.steps as f64).collect();
                    last = now.loss;
                    if let Some(left) = live.retire(&done, &best_image) {
                        if left.is_empty() {
                            break;
                        }
                        (w, best_image) = (chosen(&w, &left), chosen(&best_image, &left));
                        (last, clock) = (kept(&last, &left), kept(&clock, &left));
                        adam.select(&left);
                        space = space.select(&left);
                        subset = Some(here.select(&left));
                    }
                }
            }
            best_image = live.whole(best_image);
            for (search, &success) in search.iter_mut().zip(&succeeded) {
                *search = search.next(success);
            }
        }
        Ok(Found { adversarial: best_image, gradients, zero_share: zeros, stopped: false, flow: None, clipped: None })
    }
}
