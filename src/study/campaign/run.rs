//! Runs a campaign: images of one size are attacked together, at all ε in one batch, and judged on every model.

use super::images::{Opened, Reader};
use super::row::{Found, RowKey};
use super::{CampaignModel, CampaignPlan, CampaignSet, Fingerprint, Table, TableError};
use crate::attack::{
    Attack, Control, EpsilonMeaning, Norm, Objective, Options, Reference, largest_displacement, random_flow, warped,
    zero_share,
};
use crate::data::{LabelMap, Mask, Region};
use crate::model::Task;
use crate::study::report::ReportError;
use crate::study::{Judged, Measure, Seen, Subject, Truth};
use burn::tensor::Tensor;

/// How rows name the reference of an image without label.
pub(super) const CLEAN_PREDICTION: &str = "clean prediction";

/// Images that are attacked together at most: what a run that is cut off may lose.
const MOST_TOGETHER: u64 = 64;

/// Why a campaign ended before it was done.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An attack, a model, the device.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// An image that a model cannot take.
    #[error("{image}: {cause}")]
    Image {
        /// Its name.
        image: String,
        /// Why.
        cause: String,
    },
}

/// An image that was left out, and why.
pub type LeftOut = String;

/// Measures what `plan` asks for and `table` does not know yet. `told` hears the steps done and in all. Images that cannot be
/// read are left out and returned.
///
/// # Errors
/// If a model cannot take an image, an attack is not defined for a model, the table cannot be written, or the device fails.
pub fn run(
    plan: &CampaignPlan,
    table: &mut Table,
    mut told: impl FnMut(usize, usize),
) -> Result<Vec<LeftOut>, CampaignError> {
    let total = plan.steps()?;
    let (mut done, mut left_out) = (0, Vec::new());
    let each = plan.attacks().map_err(ReportError::from)?.len() * plan.models.len();
    for set in &plan.sets {
        let mut reader = Reader::default();
        let mut maps = vec![None; plan.models.len()];
        let mut chunk: Vec<Opened> = Vec::new();
        let mut entries = set.entries.iter().peekable();
        while let Some(&entry) = entries.next() {
            match reader.open(set, entry) {
                Ok(opened) => {
                    let shape = |o: &Opened| (o.case.image.channels, o.case.size());
                    if chunk.first().is_some_and(|first| shape(first) != shape(&opened)) {
                        done += chunk.len() * each;
                        Chunk::new(plan, set, std::mem::take(&mut chunk))?.run(table, &mut maps)?;
                        told(done, total);
                    }
                    chunk.push(opened);
                }
                Err(error) => {
                    left_out.push(error.to_string());
                    done += each;
                }
            }
            let full = chunk.first().is_some_and(|first| chunk.len() as u64 >= together(plan, first));
            if !chunk.is_empty() && (full || entries.peek().is_none()) {
                done += chunk.len() * each;
                Chunk::new(plan, set, std::mem::take(&mut chunk))?.run(table, &mut maps)?;
                told(done, total);
            }
        }
    }
    table.finish()?;
    Ok(left_out)
}

/// How many images like `first` fit into the budget.
fn together(plan: &CampaignPlan, first: &Opened) -> u64 {
    let [height, width] = first.case.size();
    let largest = plan.models.iter().map(|m| m.model.working_bytes(height, width)).max().unwrap_or(1);
    (plan.budget_bytes / largest.max(1)).clamp(1, MOST_TOGETHER)
}

/// Images of one size.
struct Chunk<'a> {
    plan: &'a CampaignPlan,
    set: &'a CampaignSet,
    images: Vec<Opened>,
    /// What may be changed.
    region: Option<Region>,
    /// What the key calls that.
    region_name: String,
}

/// One ε of an attack.
struct AtEpsilon {
    /// As the plan has it; empty where the attack finds its own.
    grid: String,
    /// As the key has it; empty as well.
    cell: String,
    epsilon: f64,
}

/// What an attack made of the images of a chunk at one ε.
struct Made {
    /// The cell of the key; empty where the attack finds its own.
    epsilon: String,
    /// The ε of the plan that this is, or is a multiple of.
    grid: String,
    adversarial: Tensor<4>,
    /// For attacks that move pixels.
    flow: Option<Tensor<4>>,
    gradients: usize,
    zero_share: Option<Vec<f32>>,
    /// Of steps along the gradient itself: the share of values that were cut.
    clipped: Option<Vec<f32>>,
}

impl<'a> Chunk<'a> {
    fn new(plan: &'a CampaignPlan, set: &'a CampaignSet, images: Vec<Opened>) -> Result<Self, CampaignError> {
        let mut chunk = Self { plan, set, images, region: None, region_name: String::new() };
        if let (Some(text), Some(first)) = (&plan.region, chunk.images.first()) {
            let [height, width] = first.case.size();
            let of = |error: crate::data::DataError| CampaignError::Image {
                image: first.case.name.clone(),
                cause: error.to_string(),
            };
            let region = Region::parse(text, height, width).map_err(of)?;
            // Another mask under the same name is another region.
            let typed = text.split(',').all(|part| part.trim().parse::<usize>().is_ok());
            let mut print = Fingerprint::default();
            region.weights().iter().for_each(|w| print.add(&w.to_le_bytes()));
            chunk.region_name = if typed { text.clone() } else { format!("{text} {}", print.text()) };
            chunk.region = Some(region);
        }
        Ok(chunk)
    }
}

impl Chunk<'_> {
    fn run(&self, table: &mut Table, maps: &mut [Option<LabelMap>]) -> Result<(), CampaignError> {
        let models = &self.plan.models;
        let mut subjects: Vec<Option<Vec<Subject>>> = (0..models.len()).map(|_| None).collect();
        // The maps are part of the keys: they are known before anything is skipped.
        for (model, map) in models.iter().zip(maps.iter_mut()) {
            self.find_map(model, map)?;
        }
        for (attack, seed) in self.plan.attacks().map_err(ReportError::from)? {
            for source in 0..models.len() {
                let keys = self.keys(attack, seed, source, maps);
                if table.has(&keys) {
                    continue;
                }
                for (i, model) in models.iter().enumerate() {
                    if subjects[i].is_none() {
                        subjects[i] = Some(self.subjects(model, maps[i].as_ref())?);
                    }
                }
                let ready: Vec<&[Subject]> = subjects.iter().flatten().map(Vec::as_slice).collect();
                let made = self.attack(attack, ready[source])?;
                let rows = self.judge(attack, seed, &made, &ready, &keys)?;
                table.append(rows)?;
            }
        }
        Ok(())
    }

    /// What the masks' values mean to `model`.
    fn find_map(&self, model: &CampaignModel, map: &mut Option<LabelMap>) -> Result<(), CampaignError> {
        let card = model.model.card();
        let masked = self.images.iter().find_map(|image| image.mask.as_ref().map(|mask| (image, mask)));
        let (None, Some((image, (label, slice))), Task::Segmentation) = (&*map, masked, card.task) else {
            return Ok(());
        };
        let of = |cause: String| CampaignError::Image { image: image.case.name.clone(), cause };
        *map = match &self.set.label_map {
            Some(text) => {
                let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
                Some(LabelMap::parse(text, &names).map_err(|error| of(error.to_string()))?)
            }
            None => {
                let plain = Subject::new(image.case.clone(), model.model.clone()).map_err(|e| of(e.to_string()))?;
                label.guess(*slice, card.classes.len(), &plain.clean.predicted)
            }
        };
        Ok(())
    }

    fn subjects(&self, model: &CampaignModel, map: Option<&LabelMap>) -> Result<Vec<Subject>, CampaignError> {
        let first = self.images.first().map_or_else(String::new, |image| image.case.name.clone());
        let failed =
            |error: crate::model::ModelError| CampaignError::Image { image: first.clone(), cause: error.to_string() };
        let cases = self.images.iter().map(|image| image.labelled(map)).collect();
        let subjects = Subject::all(cases, &model.model).map_err(failed)?;
        let aimed = |subject: Subject| {
            let target = self.plan.wish.target(&subject);
            Ok(subject.with_target(target)?.confined(self.region.clone()))
        };
        subjects.into_iter().map(aimed).collect::<Result<_, _>>().map_err(failed)
    }

    /// The ε of the grid and the attack's own: one where it finds that itself.
    fn epsilons(&self, attack: Attack) -> Vec<AtEpsilon> {
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

    /// The keys of a unit: by ε, judging model and image.
    fn keys(&self, attack: Attack, seed: u64, source: usize, maps: &[Option<LabelMap>]) -> Vec<RowKey> {
        let plan = self.plan;
        let made_on = &plan.models[source];
        let parameters: Vec<String> = attack
            .parameters()
            .filter(|(p, _)| p.name != "seed")
            .map(|(p, v)| format!("{}={}", p.name, p.text(v)))
            .collect();
        let mut keys = Vec::new();
        for AtEpsilon { cell: epsilon, .. } in self.epsilons(attack) {
            for (judge, map) in plan.models.iter().zip(maps) {
                for image in &self.images {
                    let names: Vec<&str> = judge.model.card().classes.iter().map(|c| c.name.as_str()).collect();
                    keys.push(RowKey(vec![
                        self.set.name.clone(),
                        image.case.name.clone(),
                        image.id.clone(),
                        attack.name().to_owned(),
                        parameters.join(" "),
                        attack.norm().map_or("", Norm::name).to_owned(),
                        epsilon.clone(),
                        seed.to_string(),
                        plan.wish.name(),
                        self.region_name.clone(),
                        made_on.name.clone(),
                        made_on.id.clone(),
                        judge.name.clone(),
                        judge.id.clone(),
                        map.as_ref().map(|map| map.to_text(&names)).unwrap_or_default(),
                        plan.criterion.to_text(),
                        plan.seen.as_ref().map(ToString::to_string).unwrap_or_default(),
                        u8::from(plan.stop_early).to_string(),
                        plan.budget_bytes.to_string(),
                        plan.device.clone(),
                        env!("CARGO_PKG_VERSION").to_owned(),
                    ]));
                }
            }
        }
        keys
    }

    /// Attacks all images at all ε; those that need it share passes.
    fn attack(&self, attack: Attack, subjects: &[Subject]) -> Result<Vec<Made>, CampaignError> {
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
            attack.run_through(model, &repeated, &objective(subjects, many), &all, &options).map_err(failed)?;
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

    /// Judges what was made, and its control (random signs of the same norm; a random flow, where pixels were moved), on every model.
    fn judge(
        &self,
        attack: Attack,
        seed: u64,
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
        for made in made {
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
            for judges in ready {
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
                    rows.push(found.row(key.clone()));
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
        }
    }
}

/// The loss of all subjects, `times` over.
fn objective(subjects: &[Subject], times: usize) -> Objective {
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

/// Models that answer alike: all of one task.
pub fn one_task(models: &[CampaignModel]) -> bool {
    let task = |m: &CampaignModel| m.model.card().task;
    models.windows(2).all(|pair| task(&pair[0]) == task(&pair[1]))
}
