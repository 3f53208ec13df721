//! stAdv: pixels are moved, not changed.

use super::adam::Adam;
use crate::attack::objective::{Judgement, gradient_of};
use crate::attack::rows::{Found, Method, Observer, Rows, Step, zero_share};
use crate::attack::{Attack, AttackError, Weighting};
use crate::model::Task;
use crate::tensor::to_host;
use burn::tensor::{Int, Tensor, TensorData};

/// min over flows f of max(margin + κ, 0) + τ·Σ √(Δu² + Δv² + 1e-8) over neighbours (Xiao et al. 2018, equations 2 to 4), by
/// Adam in place of their L-BFGS. Masks: the mean hinge over pixels.
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

/// `x` sampled at every pixel's place moved by `flow` (`[rows, 2, height, width]`, down and to the right in pixels), bilinear,
/// the border repeated. Differentiable in the flow.
pub(in crate::attack) fn warped(x: &Tensor<4>, flow: Tensor<4>) -> Tensor<4> {
    let [count, channels, height, width] = x.dims();
    let device = x.device();
    let axis = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &device).float();
    // The place, the pixel before it and how far the place is beyond that.
    let along = |component: usize, n: usize, grid: Tensor<4>| {
        let place = (flow.clone().narrow(1, component, 1) + grid).clamp(0.0, n as f32 - 1.0);
        let before = place.clone().without_autodiff().floor().clamp(0.0, n.saturating_sub(2) as f32);
        (place - before.clone(), before)
    };
    let (down, top) = along(0, height, axis(height).reshape([1, 1, height, 1]));
    let (right, left) = along(1, width, axis(width).reshape([1, 1, 1, width]));
    let flat: Tensor<3> = x.clone().reshape([count, channels, height * width]);
    let at = |below: f32, beside: f32| {
        let row = (top.clone() + below).clamp_max(height as f32 - 1.0);
        let column = (left.clone() + beside).clamp_max(width as f32 - 1.0);
        let index = (row * width as f32 + column).int().reshape([count, 1, height * width]);
        let index = index.expand([count, channels, height * width]);
        flat.clone().gather(2, index).reshape([count, channels, height, width])
    };
    let (up, back) = (down.clone().neg() + 1.0, right.clone().neg() + 1.0);
    at(0.0, 0.0) * (up.clone() * back.clone())
        + at(0.0, 1.0) * (up * right.clone())
        + at(1.0, 0.0) * (down.clone() * back)
        + at(1.0, 1.0) * (down * right)
}

/// Σ over pixels and their four neighbours of √(Δu² + Δv² + 1e-8), one number a row, `[rows, 1, 1, 1]`.
fn roughness(flow: &Tensor<4>) -> Tensor<4> {
    let [count, _, height, width] = flow.dims();
    let of = |axis: usize, n: usize| {
        if n < 2 {
            return Tensor::zeros([count, 1, 1, 1], &flow.device());
        }
        let step = flow.clone().narrow(axis, 1, n - 1) - flow.clone().narrow(axis, 0, n - 1);
        // Every pair of neighbours is met from both sides.
        (step.square().sum_dim(1) + 1e-8).sqrt().sum_dims(&[1, 2, 3]) * 2.0
    };
    of(2, height) + of(3, width)
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
        let (mut zeros, mut gradients, mut stopped) = (None, 0, false);
        for t in 0..self.steps {
            let tracked = flow.clone().autodiff().require_grad();
            let image = warped(&rows.x, rows.inside(tracked.clone()));
            let logits = rows.model.logits(image.clone())?;
            let hinge = rows.objective.margins(logits.clone())?.clamp_min(0.0) * rows.objective.weights();
            let rough = roughness(&tracked);
            let loss = hinge.sum_dims(&[1, 2, 3]).sum() + rough.clone().sum() * self.tau;
            let g = gradient_of(&tracked, &loss);
            gradients += 1;
            if zeros.is_none() {
                zeros = Some(zero_share(&g)?);
            }
            let logits = logits.without_autodiff();
            let hits = rows.objective.hits(logits.clone())?;
            let losses = rows.objective.losses(logits.clone(), Weighting::Plain)?;
            let read = to_host(Tensor::cat(vec![rough.inner().reshape([count]), hits, losses], 0))?;
            let (rough, hits, losses) = (&read[..count], &read[count..2 * count], &read[2 * count..]);
            // The smoothest flow that succeeds; until one does, the last.
            let better: Vec<f32> = (0..count)
                .map(|i| {
                    let success = hits[i] >= share;
                    let yes = if success { rough[i] < best[i] } else { best[i].is_infinite() };
                    if success && yes {
                        best[i] = rough[i];
                    }
                    f32::from(u8::from(yes))
                })
                .collect();
            let chosen = Tensor::<4>::from_data(TensorData::new(better, [count, 1, 1, 1]), &device);
            best_flow = best_flow.mask_where(chosen.expand([count, 2, height, width]).greater_elem(0.5), flow.clone());
            flow = adam.step(flow, g);
            let judged: Vec<Judgement> = (0..count).map(|i| Judgement { loss: losses[i], hits: hits[i] }).collect();
            let image = image.inner();
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &image,
                logits: &logits,
                adversarial: &image,
            };
            let done = rows.stop_at.is_some() && best.iter().all(|b| b.is_finite());
            if observer(&told).is_break() || done {
                stopped = !done && t + 1 < self.steps;
                break;
            }
        }
        let best_flow = rows.inside(best_flow);
        let adversarial = warped(&rows.x, best_flow.clone());
        Ok(Found { adversarial, gradients, zero_share: zeros, stopped, flow: Some(best_flow) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn image() -> Tensor<4> {
        let values: Vec<f32> = (0..2 * 4 * 5).map(|i| ((i * 7) % 11) as f32 / 11.0).collect();
        Tensor::from_data(TensorData::new(values, [1, 2, 4, 5]), &Device::flex())
    }

    fn constant(down: f32, right: f32) -> Tensor<4> {
        let values = [vec![down; 20], vec![right; 20]].concat();
        Tensor::from_data(TensorData::new(values, [1, 2, 4, 5]), &Device::flex())
    }

    #[test]
    fn a_flow_of_whole_pixels_moves_the_image_and_repeats_its_border() {
        let x = to_host(image()).unwrap();
        for (down, right) in [(0, 0), (1, 0), (0, -2), (-1, 1), (9, 9)] {
            let moved = to_host(warped(&image(), constant(down as f32, right as f32))).unwrap();
            for (i, v) in moved.iter().enumerate() {
                let (c, y, z) = (i / 20, i / 5 % 4, i % 5);
                let (y, z) = ((y as i32 + down).clamp(0, 3) as usize, (z as i32 + right).clamp(0, 4) as usize);
                assert!((v - x[c * 20 + y * 5 + z]).abs() < 1e-6, "{down}, {right}");
            }
        }
    }

    #[test]
    fn half_a_pixel_is_the_mean_of_two() {
        let x = to_host(image()).unwrap();
        let moved = to_host(warped(&image(), constant(0.0, 0.5))).unwrap();
        assert!((moved[0] - f32::midpoint(x[0], x[1])).abs() < 1e-6);
        assert!((to_host(roughness(&constant(0.3, -2.0))).unwrap()[0] - 62.0 * 1e-4).abs() < 1e-6, "31 pairs, twice");
    }
}
