//! Judging many cases: each is attacked inside its own ball or box, and a success counts only if the very array that is
//! kept still fools the model from within both.

use crate::attack::{Attack, AttackError, EpsilonMeaning, Norm, Objective, Options, within_l2};
use crate::data::{Bounds, Mask};
use crate::model::{Model, Task};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};
use std::time::Instant;

/// What is true of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// The class of the whole image, by its index in the model.
    Class(usize),
    /// The class of every pixel.
    Mask(Mask),
}

/// One image to be attacked, in pixel units.
#[derive(Clone, Debug)]
pub struct BatchCase {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// `[channels, height, width]`.
    pub values: Vec<f32>,
    /// Scaled to [0, 1].
    pub bounds: Bounds,
    /// What is true of it.
    pub truth: Truth,
    /// The radius as a fraction of the bounds' width, in the attack's norm; `None` where only the limits hold it.
    pub epsilon: Option<f64>,
    /// The smallest and largest value of each pixel, of the shape of `values`.
    pub limits: Option<(Vec<f32>, Vec<f32>)>,
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// The array below fools the model, and is inside its ball, its limits and the bounds.
    pub success: bool,
    /// The model is wrong on the original already: a success here is none of the attack.
    pub wrong_before: bool,
    /// The perturbation's norm as a fraction of the bounds' width, in the norm that ε is in.
    pub norm: f64,
    /// The loss J of the array below.
    pub loss: f32,
    /// Seconds, its share of those of the cases that ran with it.
    pub seconds: f64,
    /// In pixel units, `[channels, height, width]`.
    pub adversarial: Vec<f32>,
}

/// The norm in which `attack` is measured: its own; L2 where it looks for the smallest, L∞ where nothing else is said.
pub fn measured_norm(attack: Attack) -> Norm {
    let smallest = attack.entry().epsilon == EpsilonMeaning::Found;
    attack.norm().unwrap_or(if smallest { Norm::L2 } else { Norm::Linf })
}

/// The share of a mask's pixels that must be wrong for a success, where the attack does not say.
const SHARE: f32 = 0.5;

/// Attacks `cases`, all of one shape and of the model's task, together. What is kept is judged by `as_kept`, the model that takes
/// pixel values as they are, where it is given; else by `model` on the values scaled to the bounds.
///
/// # Errors
/// If the attack is not defined for the model, a mask has another size than its image, or the device fails.
pub fn attack_cases(
    model: &dyn Model,
    as_kept: Option<&dyn Model>,
    attack: Attack,
    cases: &[BatchCase],
) -> Result<Vec<BatchResult>, AttackError> {
    let start = Instant::now();
    let Some(first) = cases.first() else { return Ok(Vec::new()) };
    let (device, [channels, height, width]) = (model.device(), first.shape);
    let shape = [cases.len(), channels, height, width];
    let tensor = |of: &dyn Fn(&BatchCase) -> Vec<f32>| -> Tensor<4> {
        Tensor::from_data(TensorData::new(cases.iter().flat_map(of).collect::<Vec<f32>>(), shape), &device)
    };
    let x = tensor(&|case| scaled(&case.values, case.bounds));
    let edge = |case: &BatchCase, upper: bool| match &case.limits {
        Some((least, most)) => scaled(if upper { most } else { least }, case.bounds),
        None => vec![if upper { 1.0 } else { 0.0 }; case.values.len()],
    };
    let limits = cases
        .iter()
        .any(|case| case.limits.is_some())
        .then(|| (tensor(&|case| edge(case, false)), tensor(&|case| edge(case, true))));
    if attack.norm().is_none()
        && attack.entry().epsilon != EpsilonMeaning::Found
        && cases.iter().any(|case| case.epsilon.is_some())
    {
        let cause = "its ε bounds no pixel, so that it cannot be judged inside a ball of ε; choose clip=box where it has that, \
                     or give the cases a box in place of an epsilon";
        return Err(AttackError::Undefined { attack: attack.title(), cause: cause.to_owned() });
    }
    let objective = objective(model, attack, cases)?;
    let clean = objective.judge(model, x.clone())?;
    // A ball as wide as the bounds holds nothing back.
    let norm = measured_norm(attack);
    let whole = if norm == Norm::L2 { (first.values.len() as f64).sqrt() } else { 1.0 };
    let epsilons: Vec<f64> = cases.iter().map(|case| case.epsilon.unwrap_or(whole)).collect();
    let share = match objective.task() {
        Task::Classification => 1.0,
        Task::Segmentation => attack.get("share").map_or(SHARE, |share| share as f32),
    };
    let options = Options { limits, stop_at: Some(share), ..Options::default() };
    let outcome = attack.run_through(model, &x, &objective, &epsilons, &options)?;
    let found = to_host(outcome.adversarial)?;
    let size = first.values.len().max(1);
    let kept: Vec<Vec<f32>> = found.chunks(size).zip(cases).map(|(unit, case)| in_pixels(unit, case, norm)).collect();
    let again: Vec<f32> = match as_kept {
        Some(_) => kept.concat(),
        None => kept.iter().zip(cases).flat_map(|(kept, case)| scaled(kept, case.bounds)).collect(),
    };
    let again = Tensor::from_data(TensorData::new(again, shape), &device);
    let judged = objective.judge(as_kept.unwrap_or(model), again)?;
    let seconds = start.elapsed().as_secs_f64() / cases.len() as f64;
    Ok(kept
        .into_iter()
        .zip(cases)
        .zip(judged.into_iter().zip(clean))
        .map(|((adversarial, case), (judged, clean))| BatchResult {
            wrong_before: clean.hits >= share,
            success: judged.hits >= share && is_inside(&adversarial, case, norm),
            norm: size_of(&adversarial, case, norm),
            loss: judged.loss,
            seconds,
            adversarial,
        })
        .collect())
}

/// The loss of each case's truth.
fn objective(model: &dyn Model, attack: Attack, cases: &[BatchCase]) -> Result<Objective, AttackError> {
    let (card, device) = (model.card(), model.device());
    let undefined = |cause: &str| AttackError::Undefined { attack: attack.title(), cause: cause.to_owned() };
    match card.task {
        Task::Classification => {
            let classes: Option<Vec<usize>> = cases
                .iter()
                .map(|case| match case.truth {
                    Truth::Class(class) => Some(class),
                    Truth::Mask(_) => None,
                })
                .collect();
            let classes =
                classes.ok_or_else(|| undefined("the model classifies images; give a class for each label"))?;
            if let Some(class) = classes.iter().find(|&&class| class >= card.classes.len().max(1)) {
                let count = card.classes.len();
                return Err(undefined(&format!(
                    "class {class} is beyond the {count} classes of the model, counted from 0"
                )));
            }
            Ok(Objective::classes(card.head, card.positive_class, &classes, &device))
        }
        Task::Segmentation => {
            let masks: Option<Vec<Mask>> = cases
                .iter()
                .map(|case| match &case.truth {
                    Truth::Mask(mask) if [mask.height, mask.width] == case.shape[1..] => Some(mask.clone()),
                    _ => None,
                })
                .collect();
            let masks =
                masks.ok_or_else(|| undefined("the model segments; give a mask of the image’s size for each label"))?;
            Ok(Objective::masks(card.head, card.positive_class, &masks, &device))
        }
    }
}

/// Pixel values as shares of the bounds, clipped to them.
fn scaled(values: &[f32], bounds: Bounds) -> Vec<f32> {
    values.iter().map(|&v| ((v - bounds.lower) / bounds.width()).clamp(0.0, 1.0)).collect()
}

/// The least and the most that a pixel of `case` may be, in exact arithmetic.
fn ends(case: &BatchCase, i: usize, norm: Norm) -> (f64, f64) {
    let (mut least, mut most) = (f64::from(case.bounds.lower), f64::from(case.bounds.upper));
    if let Some((lower, upper)) = &case.limits {
        (least, most) = (least.max(f64::from(lower[i])), most.min(f64::from(upper[i])));
    }
    if let (Norm::Linf, Some(epsilon)) = (norm, case.epsilon) {
        let (v, radius) = (f64::from(case.values[i]), epsilon * f64::from(case.bounds.width()));
        (least, most) = (least.max(v - radius), most.min(v + radius));
    }
    (least, most)
}

/// From shares of the bounds to pixel values, rounded so that they stay where they may be. A pixel that may be nowhere stays
/// as it was.
fn in_pixels(unit: &[f32], case: &BatchCase, norm: Norm) -> Vec<f32> {
    let (lower, width) = (f64::from(case.bounds.lower), f64::from(case.bounds.width()));
    let mut values: Vec<f32> = unit
        .iter()
        .enumerate()
        .map(|(i, &v)| {
            let (least, most) = ends(case, i, norm);
            if least > most {
                return case.values[i];
            }
            let near = (f64::from(v) * width + lower).clamp(least, most) as f32;
            match f64::from(near) {
                v if v > most => near.next_down(),
                v if v < least => near.next_up(),
                _ => near,
            }
        })
        .collect();
    if let (Norm::L2, Some(epsilon)) = (norm, case.epsilon) {
        within_l2(&mut values, &case.values, epsilon * width * (1.0 - 1e-12));
    }
    values
}

/// The norm of the perturbation, as a fraction of the bounds' width.
fn size_of(values: &[f32], case: &BatchCase, norm: Norm) -> f64 {
    let change = values.iter().zip(&case.values).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let size = match norm {
        Norm::Linf => change.fold(0.0, f64::max),
        Norm::L2 => change.map(|d| d * d).sum::<f64>().sqrt(),
    };
    size / f64::from(case.bounds.width())
}

/// Whether the array is inside its ball, its limits and the bounds: in exact arithmetic, as far as 64 bits have it.
fn is_inside(values: &[f32], case: &BatchCase, norm: Norm) -> bool {
    let in_ends = values.iter().enumerate().all(|(i, &v)| {
        let (least, most) = ends(case, i, norm);
        (least..=most).contains(&f64::from(v))
    });
    let in_ball = norm == Norm::Linf || case.epsilon.is_none_or(|epsilon| size_of(values, case, norm) <= epsilon);
    in_ends && in_ball
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(epsilon: Option<f64>, limits: Option<(Vec<f32>, Vec<f32>)>) -> BatchCase {
        let bounds = Bounds { lower: -1024.0, upper: 3071.0 };
        BatchCase {
            shape: [1, 1, 3],
            values: vec![-1024.0, 7.0, 3000.3],
            bounds,
            truth: Truth::Class(0),
            epsilon,
            limits,
        }
    }

    #[test]
    fn what_is_kept_is_inside_whatever_was_found() {
        for epsilon in [0.0, 1e-7, 1.0 / 255.0, 0.3, 1.0] {
            for unit in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.3, 0.25171, 0.99]] {
                for norm in [Norm::Linf, Norm::L2] {
                    let case = case(Some(epsilon), None);
                    let kept = in_pixels(&unit, &case, norm);
                    assert!(is_inside(&kept, &case, norm), "{norm:?}, {epsilon}: {kept:?}");
                }
            }
        }
        let boxed = case(None, Some((vec![-1000.0, 7.0, 2990.0], vec![-1000.0, 9.5, 3000.0])));
        assert_eq!(in_pixels(&[0.0, 1.0, 1.0], &boxed, Norm::Linf), [-1000.0, 9.5, 3000.0]);
        assert!(!is_inside(&boxed.values, &boxed, Norm::Linf), "the original itself is outside its box");
        let nowhere = case(Some(0.001), Some((vec![0.0; 3], vec![0.1; 3])));
        let kept = in_pixels(&[0.5; 3], &nowhere, Norm::Linf);
        assert!(!is_inside(&kept, &nowhere, Norm::Linf), "ball and box do not meet");
    }
}
