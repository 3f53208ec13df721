//! Carlini and Wagner's L2 attack: the smallest perturbation found by a search over how much success counts.

use super::adam::Adam;
use crate::attack::objective::{Judgement, gradient_of};
use crate::attack::rows::{Found, Method, Observer, Rows, Step, zero_share};
use crate::attack::{Attack, AttackError};
use crate::model::Task;
use crate::tensor::to_host;
use burn::tensor::{Bool, Tensor, TensorData};

/// min ‖δ‖₂² + c·max(margin + κ, 0) in tanh space (Carlini and Wagner 2017, section VI.A), by Adam, with a binary search over c
/// for each image and an early abort. Masks: the mean hinge over pixels; success is that the wished share has flipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct CarliniWagner {
    steps: usize,
    searches: usize,
    rate: f64,
    c: f64,
    kappa: f64,
    share: f32,
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
        })
    }
}

/// Tanh space ends so far before the ends of the interval, or its slope there would be 0.
const INSIDE: f64 = 0.999_999;

/// One value for each row.
fn column(values: &[f32], like: &Tensor<4>) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1, 1, 1]), &like.device())
}

fn chosen(yes: &[bool], like: &Tensor<4>) -> Tensor<4, Bool> {
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

impl Method for CarliniWagner {
    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let share = if rows.objective.task() == Task::Classification { 1.0 } else { self.share };
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
            let c = column(&c, &rows.x);
            let (mut w, mut adam) = (origin.clone(), Adam::new(self.rate));
            let mut succeeded = vec![false; count];
            let mut last = f32::INFINITY;
            for t in 0..self.steps {
                let tracked = w.clone().autodiff().require_grad();
                let image = tracked.clone().tanh() * half.clone() + middle.clone();
                let logits = rows.model.logits(image.clone())?;
                let hinge = (rows.objective.margins(logits.clone())? + self.kappa).clamp_min(0.0);
                let hinge = (hinge * rows.objective.weights()).sum_dims(&[1, 2, 3]);
                let squares = (image.clone() - rows.x.clone()).square().sum_dims(&[1, 2, 3]);
                let loss = (squares.clone() + hinge * c.clone()).sum();
                let g = gradient_of(&tracked, &loss);
                gradients += 1;
                if zeros.is_none() {
                    zeros = Some(zero_share(&g)?);
                }
                w = adam.step(w, g);
                let (image, logits) = (image.inner(), logits.without_autodiff());
                let hits = rows.objective.hits(logits.clone())?;
                let losses = rows.objective.losses(logits.clone(), crate::attack::Weighting::Plain)?;
                let read = to_host(Tensor::cat(vec![squares.inner().reshape([count]), hits, losses, loss.inner()], 0))?;
                let (distance, hits, losses) = (&read[..count], &read[count..2 * count], &read[2 * count..3 * count]);
                let better: Vec<bool> = (0..count)
                    .map(|i| {
                        let success = hits[i] >= share;
                        succeeded[i] |= success;
                        let none_yet = best[i].is_infinite();
                        if success { distance[i] < best[i] } else { none_yet && hits[i] > nearest[i] }
                    })
                    .collect();
                if better.contains(&true) {
                    best_image = best_image.mask_where(chosen(&better, &image), image.clone());
                    for i in (0..count).filter(|&i| better[i]) {
                        if hits[i] >= share {
                            best[i] = distance[i];
                        } else {
                            nearest[i] = hits[i];
                        }
                    }
                }
                let judged: Vec<Judgement> = (0..count).map(|i| Judgement { loss: losses[i], hits: hits[i] }).collect();
                let index = number * self.steps + t + 1;
                let told = Step { index, of, judged: &judged, seen: &image, logits: &logits, adversarial: &best_image };
                if observer(&told).is_break() {
                    let stopped = index < of;
                    return Ok(Found { adversarial: best_image, gradients, zero_share: zeros, stopped, flow: None });
                }
                // Early abort, as in the authors' code: ten times a run.
                if t % (self.steps / 10).max(1) == 0 {
                    let total = read[3 * count];
                    if total > last * 0.9999 {
                        break;
                    }
                    last = total;
                }
            }
            for (search, &success) in search.iter_mut().zip(&succeeded) {
                *search = search.next(success);
            }
        }
        Ok(Found { adversarial: best_image, gradients, zero_share: zeros, stopped: false, flow: None })
    }
}
