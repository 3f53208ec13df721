//! What was made is judged on every model, beside random noise of the same size, and on its own model beside one step alone.

use super::chunk::Chunk;
use super::make::{Made, objective};
use super::row::{Found, RowKey};
use super::run::CampaignError;
use crate::attack::{Attack, Control, Reference, largest_displacement, random_flow, warped};
use crate::study::report::ReportError;
use crate::study::{Judged, Measure, Seen, Subject};
use burn::tensor::Tensor;
use std::ops::ControlFlow;

/// How rows name the reference of an image without label.
pub(super) const CLEAN_PREDICTION: &str = "clean prediction";

/// What is judged together: an attack that was made on one of the models.
pub(super) struct Unit<'a> {
    pub attack: Attack,
    pub seed: u64,
    /// The model that it was made on.
    pub source: usize,
    /// The one step that it repeats, on the same model.
    pub first: Option<&'a FirstStep>,
}

/// What one step alone does to the images of a chunk, on the model that it was made on.
pub(super) struct FirstStep {
    attack: Attack,
    source: usize,
    /// By ε, then by image.
    measures: Vec<Vec<Measure>>,
}

impl Chunk<'_> {
    /// What `one` does on model `source`: of those that are `known`, or measured and added to them. It takes one gradient of an image
    /// for all ε, or, where it is cut into a ball of L2, for each.
    pub fn first_step<'f>(
        &self,
        one: Attack,
        source: usize,
        subjects: &[Subject],
        known: &'f mut Vec<FirstStep>,
    ) -> Result<&'f FirstStep, CampaignError> {
        let is_it = |first: &FirstStep| first.attack == one && first.source == source;
        let at = match known.iter().position(is_it) {
            Some(at) => at,
            None => {
                let judged = |made: Made| {
                    let judged = Subject::judge_all(subjects, &made.adversarial).map_err(ReportError::from)?;
                    Ok(judged.into_iter().map(|judged| judged.measure).collect())
                };
                let measures: Result<_, CampaignError> =
                    self.attack(one, subjects, &mut |_| ControlFlow::Continue(()))?.into_iter().map(judged).collect();
                known.push(FirstStep { attack: one, source, measures: measures? });
                known.len() - 1
            }
        };
        Ok(&known[at])
    }

    /// Judges what was made, and its control (random signs of the same norm; a random flow, where pixels were moved), on every model.
    pub fn judge(
        &self,
        &Unit { attack, seed, source, first: first_step }: &Unit<'_>,
        made: &[Made],
        ready: &[&[Subject]],
        keys: &[RowKey],
    ) -> Result<Vec<super::Row>, CampaignError> {
        let failed = |error: crate::attack::AttackError| CampaignError::from(ReportError::from(error));
        let model_failed = |error: crate::model::ModelError| CampaignError::from(ReportError::from(error));
        let Some(subjects) = ready.first() else { return Ok(Vec::new()) };
        let Some(first) = subjects.first() else { return Ok(Vec::new()) };
        let x = Tensor::cat(subjects.iter().map(|s| s.x.clone()).collect(), 0);
        let signs = Control::new(first.model.as_ref(), &x, &objective(subjects, 1), seed, &first.options());
        let signs = signs.map_err(failed)?;
        let region = first.options().region;
        let mut rows = Vec::with_capacity(keys.len());
        let mut keys = keys.iter();
        for (number, made) in made.iter().enumerate() {
            let pixels = made.flow.as_ref().map(largest_displacement).transpose().map_err(model_failed)?;
            let (control, moved) = match &pixels {
                Some(pixels) => {
                    let flow = random_flow(&x, pixels, seed, region.as_ref()).map_err(model_failed)?;
                    (warped(&x, flow.clone()), Some(flow))
                }
                None => {
                    let epsilon = made.epsilon.parse().unwrap_or(0.0);
                    (signs.beside(attack, &x, epsilon, &made.adversarial).map_err(model_failed)?, None)
                }
            };
            let mut shown: Option<Vec<Seen>> = None;
            for (judge, judges) in ready.iter().enumerate() {
                let attacked =
                    Subject::judge_all_moved(judges, &made.adversarial, made.flow.as_ref()).map_err(model_failed)?;
                let controls = Subject::judge_all_moved(judges, &control, moved.as_ref()).map_err(model_failed)?;
                // Every model judges the same images.
                let shown = shown.get_or_insert_with(|| self.seen(judges, &attacked));
                for (i, ((subject, attacked), control)) in judges.iter().zip(&attacked).zip(&controls).enumerate() {
                    let Some(key) = keys.next() else { continue };
                    let seen = shown.get(i).copied().unwrap_or_default();
                    let of = |all: &Option<Vec<f32>>| {
                        all.as_ref().and_then(|all| all.get(i).copied()).filter(|v| !v.is_nan())
                    };
                    let measure = Measure { seen, ..attacked.measure }.with_facts(of(&made.clipped), of(&pixels));
                    let group = self.images.get(i).map_or("", |image| image.group.as_str());
                    let judged = (&subject.clean.measure, measure, &control.measure);
                    let zeros = of(&made.zero_share);
                    let found = self.found(subject.reference_kind, (&made.grid, group), judged, made.gradients, zeros);
                    let one = first_step.filter(|_| judge == source);
                    let one = one.and_then(|one| Some((one.attack, one.measures.get(number)?.get(i)?)));
                    rows.push(found.beside_one_step(attack, one, self.plan.criterion).row(key.clone()));
                }
            }
        }
        Ok(rows)
    }

    /// How visible the perturbation of each image is, if that is asked for.
    fn seen(&self, subjects: &[Subject], attacked: &[Judged]) -> Vec<Seen> {
        let Some(wanted) = &self.plan.seen else { return Vec::new() };
        let of = |(subject, judged): (&Subject, &Judged)| {
            judged.measure_seen(subject, &wanted.plan(subject.case.bounds)).seen
        };
        subjects.iter().zip(attacked).map(of).collect()
    }

    /// What a row says of the original, the adversarial image and its control.
    fn found<'b>(
        &self,
        reference: Reference,
        (grid, group): (&'b str, &'b str),
        (clean, measure, control): (&'b Measure, Measure, &'b Measure),
        gradients: usize,
        zero_share: Option<f32>,
    ) -> Found<'b> {
        let criterion = self.plan.criterion;
        Found {
            grid,
            group,
            reference: match reference {
                Reference::Label => "label",
                Reference::CleanPrediction => CLEAN_PREDICTION,
            },
            clean,
            clean_passes: !criterion.clean_fails(clean),
            fails: criterion.fails(clean, &measure),
            control_fails: criterion.fails(clean, control),
            measure,
            control,
            gradients,
            zero_share,
            one_step: Default::default(),
        }
    }
}
