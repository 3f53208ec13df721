//! Judging many cases: each is attacked inside its own ball or box, and a success counts only if the very array that is
//! kept still fools the model from within both.

mod room;

pub use room::kept_in_pixels;

use crate::attack::{
    Attack, AttackError, Control, DEFAULT_BUDGET_BYTES, EpsilonMeaning, Judgement, Norm, Objective, Observer, Options,
    Outcome,
};
use crate::data::{Bounds, Mask};
use crate::model::{Model, Task};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};
use room::Room;
use std::ops::ControlFlow;
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

/// What a batch is held to beside its cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLimits {
    /// So many cases are attacked at once as fit into these bytes.
    pub budget_bytes: u64,
    /// The share of a mask's counted pixels that must be wrong for a success.
    pub mask_share: f32,
}

impl BatchLimits {
    /// Those of `attack` where nothing else is asked for: its own share of a mask, if it has one, else [`MASK_SHARE`].
    pub fn of(attack: Attack) -> Self {
        let mask_share = attack.get("share").map_or(MASK_SHARE, |share| share as f32);
        Self { budget_bytes: DEFAULT_BUDGET_BYTES, mask_share }
    }
}

/// How many of `cases` are attacked at once, of which rows can be kept as soon as they are done.
///
/// # Errors
/// As [`attack_cases`].
pub fn cases_at_once(
    model: &dyn Model,
    attack: Attack,
    cases: &[BatchCase],
    limits: BatchLimits,
) -> Result<usize, AttackError> {
    let Some(first) = cases.first() else { return Ok(1) };
    let all = objective(model, attack, cases)?;
    Ok(attack.at_once(model, &all, [first.shape[1], first.shape[2]], limits.budget_bytes).max(1))
}

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
    attack_cases_within(model, as_kept, attack, cases, BatchLimits::of(attack))
}

/// [`attack_cases`], held to `held_to`.
///
/// # Errors
/// As there.
pub fn attack_cases_within(
    model: &dyn Model,
    as_kept: Option<&dyn Model>,
    attack: Attack,
    cases: &[BatchCase],
    held_to: BatchLimits,
) -> Result<Vec<BatchResult>, AttackError> {
    attack_cases_watched(model, as_kept, attack, cases, held_to, &mut |_| ControlFlow::Continue(()))
}

/// [`attack_cases_within`]; `observer` hears each step of the attack.
///
/// # Errors
/// As there.
pub fn attack_cases_watched(
    model: &dyn Model,
    as_kept: Option<&dyn Model>,
    attack: Attack,
    cases: &[BatchCase],
    held_to: BatchLimits,
    observer: &mut Observer<'_>,
) -> Result<Vec<BatchResult>, AttackError> {
    let start = Instant::now();
    let Some(first) = cases.first() else { return Ok(Vec::new()) };
    let all = objective(model, attack, cases)?;
    let at_once = attack.at_once(model, &all, [first.shape[1], first.shape[2]], held_to.budget_bytes);
    if cases.len() > at_once {
        let mut results = Vec::with_capacity(cases.len());
        for some in cases.chunks(at_once) {
            results.extend(attack_cases_watched(model, as_kept, attack, some, held_to, observer)?);
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
        Task::Segmentation => held_to.mask_share,
    };
    let rooms: Vec<Room<'_>> = cases.iter().map(|case| Room::new(case, norm)).collect();
    let regions: Vec<Option<Vec<f32>>> = rooms.iter().map(Room::region).collect();
    let region = regions.iter().any(Option::is_some).then(|| {
        let whole = vec![1.0; height * width];
        let values: Vec<f32> = regions.iter().flat_map(|region| region.as_ref().unwrap_or(&whole).clone()).collect();
        Tensor::from_data(TensorData::new(values, [cases.len(), 1, height, width]), &device)
    });
    let options =
        Options { limits, region, stop_at: Some(share), budget_bytes: held_to.budget_bytes, ..Options::default() };
    let outcome = attack.run(model, &x, &objective, &epsilons, &options, observer)?;
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
