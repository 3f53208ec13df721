//! stAdv: pixels are moved, not changed.

use super::adam::Adam;
use crate::attack::flow::{flow_loss, warped};
use crate::attack::live::{Live, chosen, kept};
use crate::attack::objective::gradient_of;
use crate::attack::rows::{Found, Method, Observer, Rows, Step, untaken};
use crate::attack::{Attack, AttackError};
use crate::model::Task;
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};

/// min over flows f of max(margin + κ, 0) + τ·Σ √(Δu² + Δv² + 1e-8) over neighbours (Xiao et al. 2018, equations 2 to 4), by
/// Adam in place of their L-BFGS. Masks: every counted pixel is a class of its own, and their hinges are summed as the roughness
/// is; their mean, a few millionths a pixel, would leave a flow of 0 the best. The hinges are those of the masks as they are; whether a flow succeeds is
/// judged as its result is, against the masks moved along too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct StAdv {
    steps: usize,
    rate: f64,
    tau: f64,
    share: f32,
}

impl StAdv {
    pub fn flow(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self {
            steps: attack.count("steps").max(1),
            rate: attack.number("rate"),
            tau: attack.number("tau"),
            share: attack.number("share") as f32,
        })
    }
}

impl Method for StAdv {
    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let [count, _, height, width] = rows.x.dims();
        let share = if rows.objective.task() == Task::Classification { 1.0 } else { self.share };
        let device = rows.device();
        let mut flow = Tensor::<4>::zeros([count, 2, height, width], &device);
        let mut adam = Adam::new(self.rate);
        let mut best = vec![f32::INFINITY; count];
        let mut best_flow = flow.clone();
        let (mut live, mut subset) = (Live::new(count), None::<Rows<'_>>);
        let (mut zeros, mut gradients, mut stopped) = (None, 0, false);
        for t in 0..self.steps {
            let here = subset.as_ref().unwrap_or(rows);
            let count = here.len();
            let tracked = flow.clone().autodiff().require_grad();
            let image = warped(&here.x, here.inside(tracked.clone()));
            let moved = here.inside(flow.clone());
            let logits = here.model.logits(image.clone())?;
            let counted = here.objective.weights().greater_elem(0.0).float();
            let hinge = here.objective.margins(logits.clone())?.clamp_min(0.0) * counted;
            let rough = flow_loss(&tracked);
            let loss = hinge.sum_dims(&[1, 2, 3]).sum() + rough.clone().sum() * self.tau;
            let g = gradient_of(&tracked, &loss);
            gradients += 1;
            let logits = logits.without_autodiff();
            let rough = to_host(rough.inner())?;
            // A model that follows what has moved is not fooled.
            let judged = here.objective.judge_moved_logits(logits.clone(), Some(&moved))?;
            if zeros.is_none() {
                zeros = Some(untaken(here.clean_zero_share()?, judged.iter().map(|j| j.hits >= share)));
            }
            // The smoothest flow that succeeds; until one does, the last.
            let better: Vec<f32> = (0..count)
                .map(|i| {
                    let success = judged[i].hits >= share;
                    let yes = if success { rough[i] < best[i] } else { best[i].is_infinite() };
                    if success && yes {
                        best[i] = rough[i];
                    }
                    f32::from(u8::from(yes))
                })
                .collect();
            let better = Tensor::<4>::from_data(TensorData::new(better, [count, 1, 1, 1]), &device);
            best_flow = best_flow.mask_where(better.expand([count, 2, height, width]).greater_elem(0.5), flow.clone());
            flow = adam.step(flow, g);
            let image = image.inner();
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &image,
                logits: &logits,
                adversarial: &image,
                flow: Some(&moved),
            };
            if observer(&told).is_break() {
                stopped = t + 1 < self.steps;
                break;
            }
            let done: Vec<bool> = best.iter().map(|b| here.stop_at.is_some() && b.is_finite()).collect();
            if let Some(left) = live.retire(&done, &best_flow) {
                if left.is_empty() {
                    break;
                }
                (flow, best_flow, best) = (chosen(&flow, &left), chosen(&best_flow, &left), kept(&best, &left));
                adam.select(&left);
                subset = Some(here.select(&left));
            }
        }
        let best_flow = rows.inside(live.whole(best_flow));
        let adversarial = warped(&rows.x, best_flow.clone());
        Ok(Found { adversarial, gradients, zero_share: zeros, stopped, flow: Some(best_flow), clipped: None })
    }
}
