//! DeepFool: steps to the nearest boundary of the model as if it were linear.

use crate::attack::live::{Live, chosen, kept};
use crate::attack::objective::gradient_of;
use crate::attack::rows::{Found, Method, Observer, Rows, Step, untaken};
use crate::attack::{Attack, AttackError, Norm, Objective};
use crate::model::{Head, Logits, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Int, Tensor, TensorData};

/// Classes (Moosavi-Dezfooli et al. 2016, algorithm 2): r = |f_k − f_0|/‖w‖²·w to the nearest boundary k; with a target, to the
/// boundary between it and the class that leads at that step. Masks ("DeepFool-style"): r = −F·∇F/‖∇F‖² with F = √Σ margin²
/// over the unflipped pixels of the wished share, the cheapest by their margins, until that share has flipped. Where pixels are
/// independent and have gradients of one length this is the smallest perturbation; the plain sum Σ margin is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct DeepFool {
    steps: usize,
    overshoot: f64,
    /// The share of a mask's pixels that must flip.
    share: f32,
}

/// At most so many of the likeliest classes are looked at, as in the authors' code.
const MOST_CLASSES: usize = 10;
/// A step goes so far beyond a boundary, in units of the logits.
const BEYOND: f64 = 1e-4;

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
    /// The root of the summed squares of the unflipped margins of a mask's cheapest pixels, or the one margin of a model with a
    /// single class logit.
    fn of_margins(rows: &Rows<'_>, x: &Tensor<4>, share: f32) -> Result<Boundary, ModelError> {
        let x = x.clone().autodiff().require_grad();
        let logits = rows.model.logits(x.clone())?;
        let hits = rows.objective.hits(logits.clone().without_autodiff())?;
        let margins = rows.objective.margins(logits)?;
        let wanted = rows.objective.nearest(margins.clone().inner(), hits.clone(), share)?;
        let open = wanted * margins.clone().inner().greater_equal_elem(0.0).float();
        // A little more than the margin, so that a boundary on which a pixel lies already is left too.
        let beyond = (margins + BEYOND) * open;
        let half = beyond.square().sum_dims(&[1, 2, 3]) * 0.5;
        let size = (half.clone().inner() * 2.0).sqrt();
        // ∇F = ∇(F²/2)/F.
        let none = size.clone().lower_equal_elem(0.0);
        let gradient = gradient_of(&x, &half.sum()) / size.clone().mask_fill(none, 1.0);
        Ok(Boundary { distance: to_host(size)?, gradient: rows.inside(gradient), hits: to_host(hits)? })
    }

    /// The nearest of the boundaries to other classes (or that to the target), every class a row of its own batch.
    fn of_classes(rows: &Rows<'_>, x: &Tensor<4>, classes: &[Vec<usize>]) -> Result<Boundary, ModelError> {
        let (count, device) = (x.dims()[0], x.device());
        let candidates = classes.first().map_or(0, Vec::len);
        // Row by row: its own class, then each of the others.
        let repeated: Vec<usize> = (0..count).flat_map(|row| std::iter::repeat_n(row, candidates)).collect();
        let many = crate::tensor::rows(x.clone(), &repeated).autodiff().require_grad();
        let Logits::Class(z) = rows.model.logits(many.clone())? else { return Err(ModelError::NotClassification) };
        let chosen: Vec<i64> = classes.iter().flatten().map(|&c| c as i64).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [count * candidates, 1]), &device);
        let at = z.clone().gather(1, chosen);
        let of_each = gradient_of(&many, &at.clone().sum());
        let hits = {
            let first: Vec<usize> = (0..count).map(|row| row * candidates).collect();
            to_host(rows.objective.hits(Logits::Class(crate::tensor::rows(z.inner(), &first)))?)?
        };
        let of_each = rows.inside(of_each);
        let values = to_host(at.inner())?;
        let own: Vec<usize> = repeated.iter().map(|row| row * candidates).collect();
        // w = ∇z_own − ∇z_k and f = z_own − z_k: the margin, and its gradient.
        let w = crate::tensor::rows(of_each.clone(), &own) - of_each;
        let norms = to_host(Norm::L2.of(w.clone()))?;
        let (mut nearest, mut distance) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for row in 0..count {
            let margin = |k: usize| values[row * candidates] - values[row * candidates + k];
            let far = |k: usize| margin(k).abs() / norms[row * candidates + k].max(1e-20);
            let best = (1..candidates).min_by(|&a, &b| far(a).total_cmp(&far(b))).unwrap_or(0);
            nearest.push(row * candidates + best);
            distance.push(margin(best).max(0.0) + BEYOND as f32);
        }
        Ok(Boundary { distance, gradient: crate::tensor::rows(w, &nearest), hits })
    }

    /// The classes whose boundaries are looked at, the row's own at `x` first.
    fn candidates(rows: &Rows<'_>, x: &Tensor<4>) -> Result<Vec<Vec<usize>>, ModelError> {
        let Logits::Class(z) = rows.model.logits(x.clone())? else { return Err(ModelError::NotClassification) };
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
            None => Self::of_margins(rows, x, self.wished(rows)),
        }
    }

    /// The share of elements that must be as wished.
    fn wished(&self, rows: &Rows<'_>) -> f32 {
        if rows.objective.task() == Task::Classification { 1.0 } else { self.share }
    }
}

impl Method for DeepFool {
    /// Every class that is looked at is a row.
    fn copies(&self, objective: &Objective, classes: usize) -> usize {
        let of_classes = objective.task() == Task::Classification && objective.head() == Head::Softmax;
        let looked_at = if objective.sign() < 0.0 { 2 } else { MOST_CLASSES };
        if of_classes { classes.clamp(1, looked_at) } else { 1 }
    }

    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let of_classes = rows.objective.task() == Task::Classification && rows.objective.head() == Head::Softmax;
        let targeted = rows.objective.sign() < 0.0;
        let mut classes = if of_classes { Some(Self::candidates(rows, &rows.x)?) } else { None };
        let share = self.wished(rows);
        let (mut live, mut subset) = (Live::new(rows.len()), None::<Rows<'_>>);
        let mut total = rows.x.zeros_like();
        let mut image = rows.x.clone();
        let (mut zeros, mut gradients, mut stopped) = (None, 0, false);
        for t in 0..self.steps {
            let here = subset.as_ref().unwrap_or(rows);
            if t > 0 && targeted && of_classes {
                // The class that leads changes on the way to the target.
                classes = Some(Self::candidates(here, &image)?);
            }
            let Boundary { mut distance, mut gradient, hits } = self.boundary(here, &image, classes.as_deref())?;
            gradients += 1;
            let done: Vec<bool> = hits.iter().map(|&hits| hits >= share).collect();
            if zeros.is_none() {
                zeros = Some(untaken(here.clean_zero_share()?, done.iter().copied()));
            }
            if let Some(left) = live.retire(&done, &image) {
                if left.is_empty() {
                    break;
                }
                (image, total, gradient) = (chosen(&image, &left), chosen(&total, &left), chosen(&gradient, &left));
                distance = kept(&distance, &left);
                classes = classes.map(|classes| kept(&classes, &left));
                subset = Some(here.select(&left));
            }
            let here = subset.as_ref().unwrap_or(rows);
            let norm = Norm::L2.of(gradient.clone());
            let none = norm.clone().lower_equal_elem(0.0);
            let count = distance.len();
            let ahead: Tensor<4> = Tensor::from_data(TensorData::new(distance, [count, 1, 1, 1]), &image.device());
            total = total - gradient * ahead / norm.square().mask_fill(none, 1.0);
            image = here.ball.project(here.x.clone() + total.clone() * (1.0 + self.overshoot));
            let logits = here.model.logits(image.clone())?;
            let judged = here.objective.judge_logits(logits.clone())?;
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &image,
                logits: &logits,
                adversarial: &image,
                flow: None,
            };
            if observer(&told).is_break() {
                stopped = t + 1 < self.steps;
                break;
            }
        }
        let adversarial = live.whole(image);
        Ok(Found { adversarial, gradients, zero_share: zeros, stopped, flow: None, clipped: None })
    }
}

impl Objective {
    /// The class of each of `count` images.
    fn targets(&self, count: usize) -> Tensor<1> {
        self.target().expand([count, 1, 1, 1]).reshape([count])
    }
}
