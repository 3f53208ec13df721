//! What an attack makes of the images of a chunk: at all ε, in shared passes.

use super::chunk::Chunk;
use super::run::CampaignError;
use crate::attack::{Attack, EpsilonMeaning, Objective, Observer, Options, zero_share};
use crate::data::Mask;
use crate::study::report::ReportError;
use crate::study::{Subject, Truth};
use burn::tensor::Tensor;

/// One ε of an attack.
pub(super) struct AtEpsilon {
    /// As the plan has it; empty where the attack finds its own.
    pub grid: String,
    /// As the key has it; empty as well.
    pub cell: String,
    pub epsilon: f64,
}

/// What an attack made of the images of a chunk at one ε.
pub(super) struct Made {
    /// The cell of the key; empty where the attack finds its own.
    pub epsilon: String,
    /// The ε of the plan that this is, or is a multiple of.
    pub grid: String,
    pub adversarial: Tensor<4>,
    /// For attacks that move pixels.
    pub flow: Option<Tensor<4>>,
    pub gradients: usize,
    pub zero_share: Option<Vec<f32>>,
    /// Of steps along the gradient itself: the share of values that were cut.
    pub clipped: Option<Vec<f32>>,
}

impl Chunk<'_> {
    /// The ε of the grid and the attack's own: one where it finds that itself.
    pub fn epsilons(&self, attack: Attack) -> Vec<AtEpsilon> {
        let values = self.images.first().map_or(1, |image| image.case.image.pixels.len());
        let unit = if self.plan.relative { attack.axis_unit_of(values) } else { 1.0 };
        match attack.entry().epsilon {
            EpsilonMeaning::Found => vec![AtEpsilon { grid: String::new(), cell: String::new(), epsilon: 0.0 }],
            _ => {
                let at = |&e: &f64| AtEpsilon { grid: e.to_string(), cell: (e * unit).to_string(), epsilon: e * unit };
                self.plan.epsilons.iter().map(at).collect()
            }
        }
    }

    /// Attacks all images at all ε; those that need it share passes. `observer` hears each step of what takes several.
    pub fn attack(
        &self,
        attack: Attack,
        subjects: &[Subject],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<Made>, CampaignError> {
        let Some(first) = subjects.first() else { return Ok(Vec::new()) };
        let failed = |error: crate::attack::AttackError| CampaignError::from(ReportError::from(error));
        let x = Tensor::cat(subjects.iter().map(|s| s.x.clone()).collect(), 0);
        let share = if first.class.is_some() { 1.0 } else { 0.5 };
        let options = Options {
            stop_at: self.plan.stop_early.then(|| attack.get("share").map_or(share, |s| s as f32)),
            budget_bytes: self.plan.budget_bytes,
            ..first.options()
        };
        let epsilons = self.epsilons(attack);
        let model = first.model.as_ref();
        if attack.entry().lowers_the_loss {
            attack.check_reference(first.reference_kind).map_err(failed)?;
        }
        if attack.entry().epsilon != EpsilonMeaning::Found
            && let Some(direction) = attack.direction(model, &x, &objective(subjects, 1), &options).map_err(failed)?
        {
            let zero_share = match &direction.gradient {
                Some(gradient) => Some(zero_share(gradient, options.region.as_ref()).map_err(ReportError::from)?),
                None => None,
            };
            let made = |AtEpsilon { grid, cell, epsilon }: AtEpsilon| {
                Ok(Made {
                    epsilon: cell,
                    grid,
                    adversarial: direction.adversarial(&x, epsilon),
                    flow: None,
                    gradients: usize::from(direction.gradient.is_some()),
                    zero_share: zero_share.clone(),
                    clipped: direction.clipped(&x, epsilon).map_err(ReportError::from)?,
                })
            };
            return epsilons.into_iter().map(made).collect();
        }
        let many = epsilons.len();
        let all: Vec<f64> = epsilons.iter().flat_map(|e| vec![e.epsilon; subjects.len()]).collect();
        let repeated = Tensor::cat(vec![x; many], 0);
        let outcome =
            attack.run(model, &repeated, &objective(subjects, many), &all, &options, observer).map_err(failed)?;
        let n = subjects.len();
        Ok(epsilons
            .into_iter()
            .enumerate()
            .map(|(i, AtEpsilon { grid, cell, .. })| Made {
                epsilon: cell,
                grid,
                adversarial: outcome.adversarial.clone().narrow(0, i * n, n),
                flow: outcome.flow.as_ref().map(|flow| flow.clone().narrow(0, i * n, n)),
                gradients: outcome.gradients,
                zero_share: outcome.zero_share.as_ref().map(|all| all[i * n..(i + 1) * n].to_vec()),
                clipped: outcome.clipped.as_ref().map(|all| all[i * n..(i + 1) * n].to_vec()),
            })
            .collect())
    }
}

/// The loss of all subjects, `times` over.
pub(super) fn objective(subjects: &[Subject], times: usize) -> Objective {
    let Some(first) = subjects.first() else {
        return Objective::classes(crate::model::Head::Softmax, 0, &[], &burn::tensor::Device::flex());
    };
    let (card, device) = (first.model.card(), first.model.device());
    let repeated = || (0..times).flat_map(|_| subjects.iter());
    if first.class.is_some() {
        let class = |s: &Subject| match &s.target {
            Some(Truth::Class(class)) => *class,
            _ => s.class.unwrap_or(0),
        };
        let classes: Vec<usize> = repeated().map(class).collect();
        let objective = Objective::classes(card.head, card.positive_class, &classes, &device);
        if first.target.is_some() { objective.targeted() } else { objective }
    } else {
        let mask = |s: &Subject| match &s.target {
            Some(Truth::Mask(mask)) => mask.clone(),
            _ => s.reference.clone(),
        };
        let masks: Vec<Mask> = repeated().map(mask).collect();
        if first.target.is_none() {
            return Objective::masks(card.head, card.positive_class, &masks, &device);
        }
        let truths: Vec<Mask> = repeated().map(|s| s.reference.clone()).collect();
        Objective::targeted_masks(card.head, card.positive_class, &masks, &truths, &device)
    }
}
