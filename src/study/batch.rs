//! Judging many cases: each is attacked inside its own ball or box, and a success counts only if the very array that is
//! kept still fools the model from within both.

use crate::attack::{
    Attack, AttackError, Control, DEFAULT_BUDGET_BYTES, EpsilonMeaning, Judgement, Norm, Objective, Options, Outcome,
    within_l2,
};
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
    /// The share of its first gradient that is exactly zero, where it may be changed; `None` where there is no gradient, or the original
    /// is wrong already.
    pub zero_share: Option<f32>,
    /// Random signs of the same norm succeed too; `None` where the attack looks at no gradient, so that they are no match for it.
    pub random_succeeds: Option<bool>,
    /// The one step that the attack repeats succeeds, where it repeats one.
    pub one_step_succeeds: Option<bool>,
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
pub const MASK_SHARE: f32 = 0.5;

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
    attack_cases_within(model, as_kept, attack, cases, DEFAULT_BUDGET_BYTES)
}

/// [`attack_cases`] of so many at once as fit into `budget_bytes`.
///
/// # Errors
/// As there.
pub fn attack_cases_within(
    model: &dyn Model,
    as_kept: Option<&dyn Model>,
    attack: Attack,
    cases: &[BatchCase],
    budget_bytes: u64,
) -> Result<Vec<BatchResult>, AttackError> {
    let start = Instant::now();
    let Some(first) = cases.first() else { return Ok(Vec::new()) };
    let all = objective(model, attack, cases)?;
    let at_once = attack.at_once(model, &all, [first.shape[1], first.shape[2]], budget_bytes);
    if cases.len() > at_once {
        let mut results = Vec::with_capacity(cases.len());
        for some in cases.chunks(at_once) {
            results.extend(attack_cases_within(model, as_kept, attack, some, budget_bytes)?);
        }
        return Ok(results);
    }
    if attack.moves_pixels() {
        let cause = "it moves pixels: its ε is the largest displacement in pixels, no radius of a ball, and a box for each pixel would \
                     blend what has moved with what has not; `attack` without --batch and `sweep` have it";
        return Err(AttackError::Undefined { attack: attack.title(), cause: cause.to_owned() });
    }
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
    let objective = all;
    let clean = objective.judge(model, x.clone())?;
    // A ball as wide as the bounds holds nothing back.
    let norm = measured_norm(attack);
    let whole = if norm == Norm::L2 { (first.values.len() as f64).sqrt() } else { 1.0 };
    let epsilons: Vec<f64> = cases.iter().map(|case| case.epsilon.unwrap_or(whole)).collect();
    let share = match objective.task() {
        Task::Classification => 1.0,
        Task::Segmentation => attack.get("share").map_or(MASK_SHARE, |share| share as f32),
    };
    let rooms: Vec<Room<'_>> = cases.iter().map(|case| Room::new(case, norm)).collect();
    let regions: Vec<Option<Vec<f32>>> = rooms.iter().map(Room::region).collect();
    let region = regions.iter().any(Option::is_some).then(|| {
        let whole = vec![1.0; height * width];
        let values: Vec<f32> = regions.iter().flat_map(|region| region.as_ref().unwrap_or(&whole).clone()).collect();
        Tensor::from_data(TensorData::new(values, [cases.len(), 1, height, width]), &device)
    });
    let options = Options { limits, region, stop_at: Some(share), budget_bytes, ..Options::default() };
    let outcome = attack.run_through(model, &x, &objective, &epsilons, &options)?;
    let [random, first_step] = beside(model, attack, &objective, &x, &epsilons, &options, &outcome)?;
    let succeeds =
        |of: &Option<Vec<Judgement>>, i: usize| of.as_ref().and_then(|all| all.get(i)).map(|j| j.hits >= share);
    let zeros = outcome.zero_share;
    let zeros = |i: usize| zeros.as_ref().and_then(|all| all.get(i)).copied().filter(|v| !v.is_nan());
    let (found, clean_units) = (to_host(outcome.adversarial)?, to_host(x)?);
    let size = first.values.len().max(1);
    let units = found.chunks(size).zip(clean_units.chunks(size));
    let kept: Vec<Vec<f32>> = units.zip(&rooms).map(|((unit, clean), room)| room.in_pixels(unit, clean)).collect();
    let again: Vec<f32> = match as_kept {
        Some(_) => kept.concat(),
        None => kept.iter().zip(cases).flat_map(|(kept, case)| scaled(kept, case.bounds)).collect(),
    };
    let again = Tensor::from_data(TensorData::new(again, shape), &device);
    let judged = objective.judge(as_kept.unwrap_or(model), again)?;
    let seconds = start.elapsed().as_secs_f64() / cases.len() as f64;
    Ok(kept
        .into_iter()
        .zip(&rooms)
        .zip(judged.into_iter().zip(clean))
        .enumerate()
        .map(|(i, ((adversarial, room), (judged, clean)))| BatchResult {
            zero_share: zeros(i),
            random_succeeds: succeeds(&random, i),
            one_step_succeeds: succeeds(&first_step, i),
            wrong_before: clean.hits >= share,
            success: judged.hits >= share && room.holds(&adversarial),
            norm: room.size_of(&adversarial),
            loss: judged.loss,
            seconds,
            adversarial,
        })
        .collect())
}

/// How random signs of the same norm stand, and the one step that `attack` repeats, in the same room: what tells of masked gradients.
/// Nothing of an attack that looks at no gradient.
fn beside(
    model: &dyn Model,
    attack: Attack,
    objective: &Objective,
    x: &Tensor<4>,
    epsilons: &[f64],
    options: &Options,
    found: &Outcome,
) -> Result<[Option<Vec<Judgement>>; 2], AttackError> {
    if !attack.entry().gradient || attack.entry().lowers_the_loss {
        return Ok([None, None]);
    }
    let seed = attack.get("seed").unwrap_or(0.0) as u64;
    let random = if attack.control_norm() == Norm::Linf {
        Attack::random_sign(seed)?.run_through(model, x, objective, epsilons, options)?.judged
    } else {
        let anywhere = Options { limits: None, ..options.clone() };
        let control = Control::new(model, x, objective, seed, &anywhere)?;
        let mut image = control.beside(attack, x, 0.0, &found.adversarial)?;
        if let Some((least, most)) = &options.limits {
            image = image.max_pair(least.clone()).min_pair(most.clone());
        }
        objective.judge(model, image)?
    };
    let first = match attack.one_step() {
        Some(one) => Some(one.run_through(model, x, objective, epsilons, options)?.judged),
        None => None,
    };
    Ok([Some(random), first])
}

/// `found`, shares of the bounds, in the pixels of `case`: rounded so that they stay within its ball of `norm`, its limits and the
/// bounds. What is as in `clean` stays bit for bit.
pub fn kept_in_pixels(case: &BatchCase, norm: Norm, found: &[f32], clean: &[f32]) -> Vec<f32> {
    Room::new(case, norm).in_pixels(found, clean)
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

/// Where the pixels of a case may be.
struct Room<'a> {
    case: &'a BatchCase,
    norm: Norm,
    /// Values of pixels that lie outside the bounds, in some channel. The model gets those clipped; they stay as they are, or they
    /// would have moved by more than the model has seen. A box that leaves their value out has the last word.
    frozen: Vec<bool>,
}

impl<'a> Room<'a> {
    fn new(case: &'a BatchCase, norm: Norm) -> Self {
        let ([channels, height, width], Bounds { lower, upper }) = (case.shape, case.bounds);
        let plane = height * width;
        let values = |pixel: usize| (0..channels).map(move |c| c * plane + pixel);
        let outside = |i: usize| !(lower..=upper).contains(&case.values[i]);
        let boxed = |i: usize| case.limits.as_ref().is_none_or(|(l, u)| (l[i]..=u[i]).contains(&case.values[i]));
        let frozen: Vec<bool> =
            (0..plane).map(|pixel| values(pixel).any(outside) && values(pixel).all(boxed)).collect();
        Self { case, norm, frozen: (0..channels).flat_map(|_| frozen.iter().copied()).collect() }
    }

    /// 1 where a pixel may be changed, 0 elsewhere, one for each pixel; `None` if all may.
    fn region(&self) -> Option<Vec<f32>> {
        let plane = self.frozen.len() / self.case.shape[0].max(1);
        let of_plane = self.frozen.iter().take(plane);
        self.frozen.contains(&true).then(|| of_plane.map(|&frozen| f32::from(u8::from(!frozen))).collect())
    }

    /// The least and the most that a value may be, in exact arithmetic.
    fn ends(&self, i: usize) -> (f64, f64) {
        let case = self.case;
        let v = f64::from(case.values[i]);
        if self.frozen[i] {
            return (v, v);
        }
        let (mut least, mut most) = (f64::from(case.bounds.lower), f64::from(case.bounds.upper));
        if let Some((lower, upper)) = &case.limits {
            (least, most) = (least.max(f64::from(lower[i])), most.min(f64::from(upper[i])));
        }
        if let (Norm::Linf, Some(epsilon)) = (self.norm, case.epsilon) {
            let radius = epsilon * f64::from(case.bounds.width());
            (least, most) = (least.max(v - radius), most.min(v + radius));
        }
        (least, most)
    }

    /// From shares of the bounds to pixel values, rounded so that they stay where they may be. What is as in `clean` stays bit for
    /// bit, as does a value that may be nowhere.
    fn in_pixels(&self, unit: &[f32], clean: &[f32]) -> Vec<f32> {
        let case = self.case;
        let (lower, width) = (f64::from(case.bounds.lower), f64::from(case.bounds.width()));
        let value = |(i, (&v, &clean)): (usize, (&f32, &f32))| {
            let (least, most) = self.ends(i);
            if least > most {
                return case.values[i];
            }
            let wished = if v == clean { f64::from(case.values[i]) } else { f64::from(v) * width + lower };
            let near = wished.clamp(least, most) as f32;
            match f64::from(near) {
                v if v > most => near.next_down(),
                v if v < least => near.next_up(),
                _ => near,
            }
        };
        let mut values: Vec<f32> = unit.iter().zip(clean).enumerate().map(value).collect();
        if let (Norm::L2, Some(epsilon)) = (self.norm, case.epsilon) {
            within_l2(&mut values, &case.values, epsilon * width * (1.0 - 1e-12));
        }
        values
    }

    /// The norm of the perturbation, as a fraction of the bounds' width.
    fn size_of(&self, values: &[f32]) -> f64 {
        let change = values.iter().zip(&self.case.values).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        let size = match self.norm {
            // A value that is no number has no size.
            Norm::Linf => {
                change.fold(0.0, |most: f64, d: f64| if d.is_nan() || most.is_nan() { f64::NAN } else { d.max(most) })
            }
            Norm::L2 => change.map(|d| d * d).sum::<f64>().sqrt(),
        };
        size / f64::from(self.case.bounds.width())
    }

    /// Whether the array is inside its ball, its limits and the bounds: in exact arithmetic, as far as 64 bits have it.
    fn holds(&self, values: &[f32]) -> bool {
        let in_ends = values.iter().enumerate().all(|(i, &v)| {
            let (least, most) = self.ends(i);
            (least..=most).contains(&f64::from(v))
        });
        let radius = self.case.epsilon.filter(|_| self.norm == Norm::L2);
        in_ends && radius.is_none_or(|epsilon| self.size_of(values) <= epsilon)
    }
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

    /// The values of [`case`] as shares of its bounds.
    const CLEAN: [f32; 3] = [0.0, 0.2517, 0.9827];

    #[test]
    fn what_is_kept_is_inside_whatever_was_found() {
        for epsilon in [0.0, 1e-7, 1.0 / 255.0, 0.3, 1.0] {
            for unit in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.3, 0.25171, 0.99]] {
                for norm in [Norm::Linf, Norm::L2] {
                    let case = case(Some(epsilon), None);
                    let room = Room::new(&case, norm);
                    let kept = room.in_pixels(&unit, &CLEAN);
                    assert!(room.holds(&kept), "{norm:?}, {epsilon}: {kept:?}");
                }
            }
        }
        let boxed = case(None, Some((vec![-1000.0, 7.0, 2990.0], vec![-1000.0, 9.5, 3000.0])));
        let room = Room::new(&boxed, Norm::Linf);
        assert_eq!(room.in_pixels(&[0.0, 1.0, 1.0], &CLEAN), [-1000.0, 9.5, 3000.0]);
        assert!(!room.holds(&boxed.values), "the original itself is outside its box");
        let nowhere = case(Some(0.001), Some((vec![0.0; 3], vec![0.1; 3])));
        let room = Room::new(&nowhere, Norm::Linf);
        assert!(!room.holds(&room.in_pixels(&[0.5; 3], &CLEAN)), "ball and box do not meet");
    }

    #[test]
    fn pixels_outside_the_bounds_stay_bit_for_bit() {
        // Two channels of two pixels; the first pixel is outside in its second channel.
        let of = |limits| BatchCase {
            shape: [2, 1, 2],
            values: vec![0.1, 0.2, 300.7, 0.3],
            bounds: Bounds { lower: 0.0, upper: 255.0 },
            truth: Truth::Class(0),
            epsilon: Some(0.1),
            limits,
        };
        let case = of(None);
        let room = Room::new(&case, Norm::Linf);
        assert_eq!(room.region(), Some(vec![0.0, 1.0]));
        let kept = room.in_pixels(&[0.5; 4], &[0.0, 0.0, 1.0, 0.0]);
        assert_eq!((kept[0].to_bits(), kept[2].to_bits()), (0.1f32.to_bits(), 300.7f32.to_bits()));
        assert!(kept[1] > 25.0 && room.holds(&kept) && room.size_of(&kept) <= 0.1);
        assert!(!room.holds(&[0.1, 0.2, 255.0, 0.3]), "clipping is a change");
        // A box that the pixel is outside of moves it there.
        let boxed = of(Some((vec![0.0; 4], vec![255.0, 255.0, 290.0, 255.0])));
        assert_eq!(Room::new(&boxed, Norm::Linf).region(), None);
        let boxed = BatchCase { epsilon: Some(0.2), ..boxed };
        assert_eq!(Room::new(&boxed, Norm::Linf).in_pixels(&[0.0, 0.0, 1.0, 0.0], &[0.0; 4])[2], 255.0);
    }

    #[test]
    fn what_was_not_changed_is_the_original_and_a_lost_number_no_success() {
        let case = case(Some(0.1), None);
        for norm in [Norm::Linf, Norm::L2] {
            let room = Room::new(&case, norm);
            assert_eq!(room.in_pixels(&CLEAN, &CLEAN), case.values);
            let lost = room.in_pixels(&[f32::NAN, 0.3, 0.5], &CLEAN);
            assert!(!room.holds(&lost) && room.size_of(&lost).is_nan());
        }
    }
}
