//! DeepFool: steps to the nearest boundary of the model as if it were linear.

use crate::attack::objective::gradient_of;
use crate::attack::rows::{Found, Method, Observer, Rows, Step, zero_share};
use crate::attack::{Attack, AttackError, Norm, Objective};
use crate::model::{Head, Logits, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Int, Tensor, TensorData};

/// Classes (Moosavi-Dezfooli et al. 2016, algorithm 2): r = |f_k − f_0|/‖w‖²·w to the nearest boundary k. Masks
/// ("DeepFool-style"): F = Σ margins of the unflipped pixels, r = −F·∇F/‖∇F‖², until the wished share has flipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct DeepFool {
    steps: usize,
    overshoot: f64,
    /// The share of a mask's pixels that must flip.
    share: f32,
}

/// At most so many of the likeliest classes are looked at, as in the authors' code.
const MOST_CLASSES: usize = 10;

impl DeepFool {
    pub fn l2(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self {
            steps: attack.count("steps").max(1),
            overshoot: attack.number("overshoot"),
            share: attack.number("share") as f32,
        })
    }
}

/// Margins of each row with the gradient of one number of them.
struct Boundary {
    /// How far each row's boundary is, in units of the logits; 0 once it is crossed.
    distance: Vec<f32>,
    /// The gradient of that, `[rows, channels, height, width]`.
    gradient: Tensor<4>,
    /// The share of counted elements that are as wished.
    hits: Vec<f32>,
}

impl DeepFool {
    /// The margins of a mask summed over its unflipped pixels, or the one margin of a model with a single class logit.
    fn of_margins(rows: &Rows<'_>, x: &Tensor<4>) -> Result<Boundary, ModelError> {
        let x = x.clone().autodiff().require_grad();
        let logits = rows.model.logits(x.clone())?;
        let hits = to_host(rows.objective.hits(logits.clone().without_autodiff())?)?;
        let count = x.dims()[0];
        // Pixels that do not count have no boundary to cross.
        let counted = rows.objective.weights().greater_elem(0.0).float();
        let sum = (rows.objective.margins(logits)?.clamp_min(0.0) * counted).sum_dims(&[1, 2, 3]).reshape([count]);
        let distance = to_host(sum.clone().inner())?;
        Ok(Boundary { distance, gradient: rows.inside(gradient_of(&x, &sum.sum())), hits })
    }

    /// The nearest of the boundaries to other classes (or that to the target), every class a row of its own batch.
    fn of_classes(rows: &Rows<'_>, x: &Tensor<4>, classes: &[Vec<usize>]) -> Result<Boundary, ModelError> {
        let (count, device) = (x.dims()[0], x.device());
        let candidates = classes.first().map_or(0, Vec::len);
        // Row by row: its own class, then each of the others.
        let repeated = |times: usize| {
            let index: Vec<i64> = (0..count).flat_map(|row| std::iter::repeat_n(row as i64, times)).collect();
            Tensor::<1, Int>::from_data(TensorData::new(index, [count * times]), &device)
        };
        let many = x.clone().select(0, repeated(candidates)).autodiff().require_grad();
        let Logits::Class(z) = rows.model.logits(many.clone())? else { return Err(ModelError::NotClassification) };
        let chosen: Vec<i64> = classes.iter().flatten().map(|&c| c as i64).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [count * candidates, 1]), &device);
        let at = z.clone().gather(1, chosen);
        let of_each = gradient_of(&many, &at.clone().sum());
        let hits = {
            let first: Vec<i64> = (0..count).map(|row| (row * candidates) as i64).collect();
            let first = Tensor::<1, Int>::from_data(TensorData::new(first, [count]), &device);
            to_host(rows.objective.hits(Logits::Class(z.inner().select(0, first)))?)?
        };
        let of_each = rows.inside(of_each);
        let values = to_host(at.inner())?;
        let own: Vec<i64> =
            (0..count).flat_map(|row| std::iter::repeat_n((row * candidates) as i64, candidates)).collect();
        let own = Tensor::<1, Int>::from_data(TensorData::new(own, [count * candidates]), &device);
        // w = ∇z_own − ∇z_k and f = z_own − z_k: the margin, and its gradient.
        let w = of_each.clone().select(0, own) - of_each;
        let norms = to_host(Norm::L2.of(w.clone()))?;
        let (mut nearest, mut distance) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for row in 0..count {
            let margin = |k: usize| values[row * candidates] - values[row * candidates + k];
            let far = |k: usize| margin(k).abs() / norms[row * candidates + k].max(1e-20);
            let best = (1..candidates).min_by(|&a, &b| far(a).total_cmp(&far(b))).unwrap_or(0);
            nearest.push((row * candidates + best) as i64);
            distance.push(margin(best).max(0.0));
        }
        let nearest = Tensor::<1, Int>::from_data(TensorData::new(nearest, [count]), &device);
        Ok(Boundary { distance, gradient: w.select(0, nearest), hits })
    }

    /// The classes whose boundaries are looked at, the row's own first.
    fn candidates(rows: &Rows<'_>) -> Result<Vec<Vec<usize>>, ModelError> {
        let Logits::Class(z) = rows.model.logits(rows.x.clone())? else { return Err(ModelError::NotClassification) };
        let [count, classes] = z.dims();
        let values = to_host(z)?;
        let wished = to_host(rows.objective.targets(count))?;
        Ok(values
            .chunks(classes.max(1))
            .zip(wished)
            .map(|(z, label)| {
                let label = label as usize;
                let mut order: Vec<usize> = (0..classes).collect();
                order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
                if rows.objective.sign() < 0.0 {
                    // From the best of the others to the target.
                    let rival = order.iter().copied().find(|&c| c != label).unwrap_or(label);
                    return vec![rival, label];
                }
                let others = order.into_iter().filter(|&c| c != label).take(MOST_CLASSES - 1);
                std::iter::once(label).chain(others).collect()
            })
            .collect())
    }

    fn boundary(&self, rows: &Rows<'_>, x: &Tensor<4>, classes: Option<&[Vec<usize>]>) -> Result<Boundary, ModelError> {
        match classes {
            Some(classes) => Self::of_classes(rows, x, classes),
            None => Self::of_margins(rows, x),
        }
    }
}

impl Method for DeepFool {
    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let whole = rows.objective.task() == Task::Classification;
        let classes =
            if whole && rows.objective.head() == Head::Softmax { Some(Self::candidates(rows)?) } else { None };
        let share = if whole { 1.0 } else { self.share };
        let count = rows.len();
        let mut total = rows.x.zeros_like();
        let mut image = rows.x.clone();
        let (mut zeros, mut gradients, mut stopped) = (None, 0, false);
        for t in 0..self.steps {
            let here = self.boundary(rows, &image, classes.as_deref())?;
            gradients += 1;
            if zeros.is_none() {
                zeros = Some(zero_share(&here.gradient)?);
            }
            let open: Vec<f32> = here.hits.iter().map(|&hits| f32::from(u8::from(hits < share))).collect();
            if !open.contains(&1.0) {
                break;
            }
            // r = −f·w/‖w‖², a little more than f, so that a boundary on which the image lies already is left too.
            let norm = Norm::L2.of(here.gradient.clone());
            let none = norm.clone().lower_equal_elem(0.0);
            let ahead: Vec<f32> = here.distance.iter().zip(&open).map(|(f, open)| (f + 1e-4) * open).collect();
            let ahead: Tensor<4> = Tensor::from_data(TensorData::new(ahead, [count, 1, 1, 1]), &image.device());
            total = total - here.gradient * ahead / norm.square().mask_fill(none, 1.0);
            image = rows.ball.project(rows.x.clone() + total.clone() * (1.0 + self.overshoot));
            let logits = rows.model.logits(image.clone())?;
            let judged = rows.objective.judge_logits(logits.clone())?;
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &image,
                logits: &logits,
                adversarial: &image,
            };
            if observer(&told).is_break() {
                stopped = t + 1 < self.steps;
                break;
            }
        }
        Ok(Found { adversarial: image, gradients, zero_share: zeros, stopped, flow: None })
    }
}

impl Objective {
    /// The class of each of `count` images.
    fn targets(&self, count: usize) -> Tensor<1> {
        self.target().expand([count, 1, 1, 1]).reshape([count])
    }
}
