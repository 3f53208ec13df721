//! The AdvU-Net study: each image attacked on the fold models that never saw it, one of each seed.

use super::advu_report::report;
use super::folds::{SEEN_IN_TRAINING, Setup};
use super::learned::best_constant;
use super::noticed::NoticedBy;
use super::work::{MadeWith, begin, keep, kept, place, train};
use super::{StudyError, StudyFile, StudyOptions, Told, facts, gallery};
use crate::attack::Attack;
use crate::data::Case;
use crate::model::Model;
use crate::study::{Adversary, Curve, Measure, SeenMetric, SeenPlan, Subject, SweepPlan, sweep};
use crate::train::EpochRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The share of a network's work that is its training, about.
const TRAINING: f64 = 0.8;

/// A number of a measure.
pub(super) type Of = fn(&Measure) -> f64;

/// The columns of the table along ε, each with what is averaged.
pub(super) const MEASURES: [(&str, Of); 4] = [
    ("soft L2", |m| m.error.l2),
    ("hard L2", |m| (m.error.wrong * m.error.pixels as f64).sqrt()),
    ("wrong pixels", |m| m.error.wrong),
    ("Dice", |m| m.overlap.dice),
];

/// What was found on one image.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Found {
    pub image: String,
    pub curve: Curve,
}

/// A network, and what was found with it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Network {
    pub seed: u64,
    pub fold: usize,
    pub history: Vec<EpochRecord>,
    /// On held-out images, along all ε.
    pub held: Vec<Found>,
    /// On images that it was trained on, at the marked ε alone.
    pub trained_on: Vec<Found>,
}

pub(super) fn run(study: &StudyFile, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    let setup = Setup::new(study, options)?;
    let price = setup.price(study, options)?;
    begin(options)?;
    price.tell(told);
    let price = price.text();
    let attack = Attack::named(&study.attack)?;
    let metrics: Vec<SeenMetric> =
        std::iter::once(SeenMetric::Psnr).chain(NoticedBy::all(study).map(|by| by.metric)).collect();
    let count = setup.networks().count().max(1);
    let (mut all, mut pictures) = (Vec::new(), None);
    let mut constants = BTreeMap::new();
    for (at, (seed, fold)) in setup.networks().enumerate() {
        // As the cost counts them; of the folds not all may be done.
        let which = format!("training {} of {count} (fold {}, seed {seed})", at + 1, fold + 1);
        let mut told = |line: &str, part: f64| told(&format!("{which}: {line}"), (at as f64 + part) / count as f64);
        let recipe = crate::train::Recipe { seed, ..setup.recipe.clone() };
        let read = setup.data(fold)?;
        let held = &read.data.validate;
        constants.entry(fold).or_insert_with(|| best_constant(held, recipe.classes.len()));
        let name = setup.name(seed, fold);
        let more = [
            ("split", format!("{:?}, fold {fold} of {}", setup.table.split, setup.folds)),
            ("attack", attack.to_string()),
            ("ε", format!("{:?}, of training images {}", study.epsilons, study.marked)),
            ("image limit", format!("{}, of training images {SEEN_IN_TRAINING}", setup.most)),
            ("metrics", format!("{metrics:?}")),
        ];
        let made_with = MadeWith::new(&recipe, &read.data, &more);
        let trained = train(&name, &recipe, read.data.clone(), options, &mut |line, part| told(line, part * TRAINING))?;
        let model: Arc<dyn Model> = Arc::new(trained.model);
        if pictures.is_none() {
            pictures = Some(gallery::pictures(study, attack, &model, held)?);
        }
        let results = place(options, &name, "json");
        if let Some(done) = kept::<Network>(&results, &made_with)? {
            all.push(done);
            continue;
        }
        let looked: Vec<&Case> = held.iter().take(setup.most).collect();
        let mut done = Network { seed, fold, history: trained.history, held: Vec::new(), trained_on: Vec::new() };
        for (place, case) in looked.iter().enumerate() {
            if options.control.is_cancelled() {
                return Err(StudyError::Cancelled);
            }
            done.held.push(measure(&study.epsilons, &metrics, attack, &model, case)?);
            let part = (place + 1) as f64 / looked.len() as f64;
            told(&format!("{} attacked", case.name), TRAINING + (1.0 - TRAINING) * part);
        }
        for case in spaced(facts::trained_on(&read), SEEN_IN_TRAINING.min(setup.most)) {
            done.trained_on.push(measure(&[study.marked], &[], attack, &model, case)?);
        }
        keep(&results, &made_with, &done)?;
        all.push(done);
    }
    report(study, &all, &constants, pictures.unwrap_or_default(), &price, &setup)?.write(study, options)
}

/// `most` of `cases`, at equal distances.
fn spaced(cases: &[Case], most: usize) -> impl Iterator<Item = &Case> {
    let count = most.min(cases.len());
    (0..count).map(move |i| &cases[i * cases.len() / count])
}

/// One image along ε, with its control.
fn measure(
    epsilons: &[f64],
    metrics: &[SeenMetric],
    attack: Attack,
    model: &Arc<dyn Model>,
    case: &Case,
) -> Result<Found, StudyError> {
    let subject = Arc::new(Subject::new(Arc::new(case.clone()), model.clone())?);
    let adversary = Arc::new(Adversary::new(subject, attack)?);
    let seen = SeenPlan { metrics: metrics.to_vec(), ..SeenPlan::default() };
    let plan = SweepPlan { seen, ..SweepPlan::exactly(epsilons.to_vec()) };
    Ok(Found { image: case.name.clone(), curve: sweep(adversary, &plan, |_, _| ())? })
}

/// The held-out images, each with what was found of it with every seed.
pub(super) struct Images<'a>(Vec<Vec<&'a Found>>);

impl<'a> Images<'a> {
    /// Of networks whose folds are the same for every seed.
    pub fn new(all: &'a [Network]) -> Self {
        let mut folds: Vec<usize> = all.iter().map(|network| network.fold).collect();
        folds.sort_unstable();
        folds.dedup();
        let of_fold = |fold: usize| {
            let networks: Vec<&Network> = all.iter().filter(|network| network.fold == fold).collect();
            let most = networks.iter().map(|network| network.held.len()).max().unwrap_or(0);
            (0..most)
                .map(|i| networks.iter().filter_map(|network| network.held.get(i)).collect())
                .collect::<Vec<Vec<&Found>>>()
        };
        Self(folds.into_iter().flat_map(of_fold).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Of each image the mean over the seeds of `of`, where any has it.
    fn each(&self, of: impl Fn(&Found) -> Option<f64>) -> Vec<f64> {
        let mean = |image: &Vec<&Found>| {
            let values: Vec<f64> = image.iter().filter_map(|found| of(found)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        self.0.iter().filter_map(mean).collect()
    }

    /// A measure of each image at `epsilon`, attacked or (control) with random signs; at 0 the clean one.
    pub fn values(&self, epsilon: f64, control: bool, of: Of) -> Vec<f64> {
        self.each(|found| {
            if epsilon == 0.0 {
                return Some(of(&found.curve.clean));
            }
            let points = if control { &found.curve.control } else { &found.curve.points };
            points.iter().find(|p| p.epsilon == epsilon).map(|p| of(&p.measure))
        })
    }

    /// A metric of what a screen shows of each attacked image.
    pub fn seen(&self, epsilon: f64, metric: SeenMetric) -> Vec<f64> {
        self.each(|f| f.curve.points.iter().find(|p| p.epsilon == epsilon).and_then(|p| p.measure.seen.get(metric)))
    }
}
