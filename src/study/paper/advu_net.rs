//! The AdvU-Net study: each image attacked on the fold model that never saw it.

use super::chart::{Line, chart};
use super::folds::{Setup, fold_data};
use super::gallery;
use super::interval::{ceiling, ratio_of_means, shown_at};
use super::page::{Page, Section, Table, plus_minus};
use super::work::{MadeWith, keep, kept, place, train};
use super::{StudyError, StudyFile, StudyOptions, Told, data_name, spread};
use crate::attack::Attack;
use crate::data::Case;
use crate::model::Model;
use crate::study::{Adversary, Curve, Measure, SeenMetric, SeenPlan, Subject, SweepPlan, sweep};
use crate::train::{EpochRecord, Source};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Training slices that are attacked too, for the table apart.
const SEEN_IN_TRAINING: usize = 6;

/// The share of a fold's work that is its training, about.
const TRAINING: f64 = 0.8;

/// What was found on one image.
#[derive(Clone, Serialize, Deserialize)]
struct Found {
    image: String,
    fold: usize,
    /// Whether the model was trained on it.
    trained_on: bool,
    curve: Curve,
}

/// What a fold leaves.
#[derive(Serialize, Deserialize)]
struct Fold {
    history: Vec<EpochRecord>,
    found: Vec<Found>,
}

pub(super) fn run(study: &StudyFile, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    let setup = Setup::new(study, options)?;
    let price = setup.price(study, options)?;
    told(&format!("cost: {price}"), 0.0);
    let Setup { recipe, table, folds, shown_folds, most, .. } = setup;
    let attack = Attack::named(&study.attack)?;
    let mut all = Vec::new();
    let mut pictures = None;
    for fold in 0..shown_folds {
        let mut told = |line: &str, part: f64| told(line, (fold as f64 + part) / shown_folds as f64);
        let data = fold_data(&table, &recipe, folds, fold)?;
        let trained_on: Vec<Case> = match &data.train {
            Source::Cases(cases) => cases.to_vec(),
            Source::Synthetic { .. } => Vec::new(),
        };
        let held = data.validate.clone();
        let name = format!("fold {} of {folds}", fold + 1);
        let more = [
            ("split", format!("{:?}, fold {fold} of {folds}", table.split)),
            ("attack", attack.to_string()),
            ("ε", format!("{:?}", study.epsilons)),
            ("image limit", most.to_string()),
        ];
        let made_with = MadeWith::new(&recipe, &data, &more);
        let trained = train(&name, &recipe, data, options, &mut |line, part| told(line, part * TRAINING))?;
        let model: Arc<dyn Model> = Arc::new(trained.model);
        if pictures.is_none() {
            pictures = Some(gallery::pictures(study, attack, &model, &held)?);
        }
        let results = place(options, &name, "json");
        let done: Option<Fold> = kept(&results, &made_with)?;
        if let Some(done) = done {
            all.push(done);
            continue;
        }
        let mut found = Vec::new();
        for (place, case) in held.iter().take(most).enumerate() {
            if options.control.is_cancelled() {
                return Err(StudyError::Cancelled);
            }
            found.push(measure(study, attack, &model, case, fold, false)?);
            let part = (place + 1) as f64 / held.len().min(most) as f64;
            told(&format!("{name}: {} attacked", case.name), TRAINING + (1.0 - TRAINING) * part);
        }
        if fold == 0 {
            for case in trained_on.iter().take(SEEN_IN_TRAINING.min(most)) {
                found.push(measure(study, attack, &model, case, fold, true)?);
            }
        }
        let done = Fold { history: trained.history, found };
        keep(&results, &made_with, &done)?;
        all.push(done);
    }
    let page =
        report(study, &all, pictures.unwrap_or_default(), &price, &recipe, &data_name(&table), [shown_folds, folds]);
    page.write(study, options)
}

/// One image along ε, with its control.
fn measure(
    study: &StudyFile,
    attack: Attack,
    model: &Arc<dyn Model>,
    case: &Case,
    fold: usize,
    trained_on: bool,
) -> Result<Found, StudyError> {
    let subject = Arc::new(Subject::new(Arc::new(case.clone()), model.clone())?);
    let adversary = Arc::new(Adversary::new(subject, attack)?);
    let metrics = vec![SeenMetric::Psnr, SeenMetric::Ssim, SeenMetric::Vif];
    let plan =
        SweepPlan { seen: SeenPlan { metrics, ..SeenPlan::default() }, ..SweepPlan::exactly(study.epsilons.clone()) };
    let curve = sweep(adversary, &plan, |_, _| ())?;
    Ok(Found { image: case.name.clone(), fold, trained_on, curve })
}

/// A number of a measure.
type Of = fn(&Measure) -> f64;

/// The columns of the table along ε, each with what is averaged.
const MEASURES: [(&str, Of); 4] = [
    ("soft L2", |m| m.error.l2),
    ("hard L2", |m| (m.error.wrong * m.error.pixels as f64).sqrt()),
    ("wrong pixels", |m| m.error.wrong),
    ("Dice", |m| m.overlap.dice),
];

/// The values of one measure on all images at `epsilon`, attacked or (control) with random signs; at 0 the clean ones.
fn values(found: &[&Found], epsilon: f64, control: bool, of: fn(&Measure) -> f64) -> Vec<f64> {
    let of_curve = |f: &&Found| {
        if epsilon == 0.0 {
            return Some(of(&f.curve.clean));
        }
        let points = if control { &f.curve.control } else { &f.curve.points };
        points.iter().find(|p| p.epsilon == epsilon).map(|p| of(&p.measure))
    };
    found.iter().filter_map(of_curve).collect()
}

fn seen(found: &[&Found], epsilon: f64, metric: SeenMetric) -> Vec<f64> {
    let of = |f: &&Found| f.curve.points.iter().find(|p| p.epsilon == epsilon).and_then(|p| p.measure.seen.get(metric));
    found.iter().filter_map(of).collect()
}

fn mean(values: &[f64]) -> f64 {
    spread(values).0
}

fn report(
    study: &StudyFile,
    folds: &[Fold],
    pictures: Vec<Section>,
    price: &str,
    recipe: &crate::train::Recipe,
    data: &str,
    [trained, of]: [usize; 2],
) -> Page {
    let all: Vec<&Found> = folds.iter().flat_map(|f| &f.found).collect();
    let (apart, found): (Vec<&Found>, Vec<&Found>) = all.into_iter().partition(|f| f.trained_on);
    let mark = study.marked;
    let ratio = |found: &[&Found], of: fn(&Measure) -> f64| {
        mean(&values(found, mark, false, of)) / mean(&values(found, 0.0, false, of))
    };
    let [(_, soft), (_, hard), (_, wrong), _] = MEASURES;
    let clean_wrong = mean(&values(&found, 0.0, false, wrong));
    let paper = study.paper_errors[1] / study.paper_errors[0].max(1e-12);
    let [clean, marked] = [0.0, mark].map(|e| MEASURES.map(|(_, of)| values(&found, e, false, of)));
    let sizes: Vec<f64> = found.iter().map(|f| f.curve.clean.error.pixels as f64).collect();
    let ceilings = [0, 1, 2].map(|i| ceiling(&sizes, &clean[i], i < 2));
    let interval = |i: usize| {
        let found = ratio_of_means(&marked[i], &clean[i]);
        found.map_or_else(|| "–".to_owned(), |[low, high]| format!("{low:.2} to {high:.2}"))
    };
    let ratios = [ratio(&found, soft), ratio(&found, hard), ratio(&found, wrong)];
    let shows = |metric: SeenMetric, limit: f64| {
        shown_at(study.epsilons.iter().map(|&e| {
            let values = seen(&found, e, metric);
            (e, !values.is_empty() && mean(&values) < limit)
        }))
    };
    let ssim_at = mean(&seen(&found, mark, SeenMetric::Ssim));
    let vif_at = mean(&seen(&found, mark, SeenMetric::Vif));
    let control = mean(&values(&found, mark, true, soft)) / mean(&values(&found, 0.0, false, soft));

    let mut columns = vec!["ε".to_owned()];
    for (name, _) in MEASURES {
        columns.extend([format!("{name}, FGSM"), format!("{name}, random sign")]);
    }
    columns.extend(["PSNR", "SSIM", "VIF"].map(str::to_owned));
    let row = |epsilon: f64| {
        let mut row = vec![format!("{epsilon:.4}")];
        for (index, (_, of)) in MEASURES.into_iter().enumerate() {
            let decimals = if index < 2 { 2 } else { 4 };
            row.extend(
                [false, true].map(|control| plus_minus(spread(&values(&found, epsilon, control, of)), decimals)),
            );
        }
        for metric in [SeenMetric::Psnr, SeenMetric::Ssim, SeenMetric::Vif] {
            let values = seen(&found, epsilon, metric);
            row.push(if values.is_empty() { "–".to_owned() } else { plus_minus(spread(&values), 3) });
        }
        row
    };
    let grid = || std::iter::once(0.0).chain(study.epsilons.iter().copied());
    let along = Table {
        title: "Along ε".to_owned(),
        file: "along.csv",
        caption: format!(
            "Mean ± standard deviation over {} images, each attacked on the model that never saw it. Soft L2 is ‖y − p‖₂, hard L2 ‖y − ŷ‖₂; PSNR, SSIM and VIF are of the image as a screen shows it.",
            found.len()
        ),
        columns,
        rows: grid().map(row).collect(),
    };
    let image_rows = found.iter().chain(&apart).flat_map(|f| {
        let points =
            std::iter::once((0.0, &f.curve.clean)).chain(f.curve.points.iter().map(|p| (p.epsilon, &p.measure)));
        points.map(move |(epsilon, m)| {
            let fold = (f.fold + 1).to_string();
            let mut row = vec![f.image.clone(), fold, f.trained_on.to_string(), format!("{epsilon:.6}")];
            row.extend(MEASURES.iter().map(|(_, of)| format!("{:.6}", of(m))));
            row
        })
    });
    let images = Table {
        title: "Each image".to_owned(),
        file: "images.csv",
        caption: "Attacked by FGSM; ε 0 is the original.".to_owned(),
        columns: ["image", "fold", "trained on", "ε", "soft L2", "hard L2", "wrong", "Dice"]
            .map(str::to_owned)
            .to_vec(),
        rows: image_rows.collect(),
    };
    let training = Table {
        title: "Training".to_owned(),
        file: "training.csv",
        caption: "The weights after the last epoch are attacked; the validation chooses nothing.".to_owned(),
        columns: ["fold", "epoch", "loss", "validation Dice", "IoU", "wrong"].map(str::to_owned).to_vec(),
        rows: folds
            .iter()
            .enumerate()
            .flat_map(|(fold, f)| {
                f.history.iter().map(move |r| {
                    let v = r.validation.as_ref();
                    let of = |get: fn(&crate::train::Validation) -> f64| {
                        v.map_or_else(|| "–".to_owned(), |v| format!("{:.4}", get(v)))
                    };
                    vec![
                        (fold + 1).to_string(),
                        r.epoch.to_string(),
                        format!("{:.4}", r.loss),
                        of(|v| v.dice),
                        of(|v| v.iou),
                        of(|v| v.wrong),
                    ]
                })
            })
            .collect(),
    };
    let compared = Table {
        title: format!("Adversarial over clean error at ε {mark}"),
        file: "ratio.csv",
        caption: format!(
            "The paper prints {} and {} on no stated scale, so only their ratio can be compared, and it does not say whether its error is soft or hard, or of images that were trained on. The ceiling is that of a model which gets every pixel of every image wrong, over the same clean error. The interval of 95 % is a bootstrap over images.",
            study.paper_errors[0], study.paper_errors[1]
        ),
        columns: [
            "error",
            "clean",
            "FGSM",
            "random sign",
            "ratio",
            "its interval",
            "its ceiling",
            "the paper’s",
            "ratio on training images",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: MEASURES
            .iter()
            .take(3)
            .enumerate()
            .map(|(i, (name, of))| {
                let number = |values: Vec<f64>| format!("{:.4}", mean(&values));
                vec![
                    (*name).to_owned(),
                    number(values(&found, 0.0, false, *of)),
                    number(values(&found, mark, false, *of)),
                    number(values(&found, mark, true, *of)),
                    format!("{:.2}", ratios[i]),
                    interval(i),
                    format!("{:.2}", ceilings[i]),
                    format!("{paper:.1}"),
                    if apart.is_empty() { "–".to_owned() } else { format!("{:.2}", ratio(&apart, *of)) },
                ]
            })
            .collect(),
    };
    let line = |name: &str, control: bool| Line {
        name: name.to_owned(),
        points: grid()
            .map(|e| {
                let (m, d) = spread(&values(&found, e, control, soft));
                (e, m, d)
            })
            .collect(),
    };
    let shown = |name: &str, metric: SeenMetric| Line {
        name: name.to_owned(),
        points: study
            .epsilons
            .iter()
            .map(|&e| {
                let (m, d) = spread(&seen(&found, e, metric));
                (e, m, d)
            })
            .collect(),
    };
    let mut sections = vec![
        Section::Chart {
            title: "Figure 2: pixel error along ε".to_owned(),
            svg: chart(
                &[line("FGSM", false), line("random sign", true)],
                "ε, a fraction of the bounds’ width",
                "pixel error ‖y − p‖₂",
            ),
            caption: format!("Mean over {} images; the bands are one standard deviation.", found.len()),
        },
        Section::Table(compared),
        Section::Chart {
            title: "What a screen shows of it".to_owned(),
            svg: chart(
                &[shown("SSIM", SeenMetric::Ssim), shown("VIF", SeenMetric::Vif)],
                "ε, a fraction of the bounds’ width",
                "SSIM and VIF of the shown image",
            ),
            caption: "1 is the same image. Metrics stand for a person until one was asked (epsiloscope observer)."
                .to_owned(),
        },
    ];
    sections.extend(pictures);
    sections.extend([Section::Table(along), Section::Table(images), Section::Table(training)]);
    let noticed = [shows(SeenMetric::Ssim, study.unseen.ssim), shows(SeenMetric::Vif, study.unseen.vif)];
    Page {
        headline: format!("At ε {mark} FGSM makes the pixel error {:.1} times the clean one; the paper says {paper:.1}", ratios[0]),
        lead: format!(
            "Random signs of the same ε make it {control:.1} times. SSIM of the shown image is {ssim_at:.3} and VIF {vif_at:.3} there: by these, the change is {}.",
            if ssim_at < study.unseen.ssim { "not hard to see, as the paper claims, but plain" } else { "hard to see, as the paper claims" }
        ),
        tiles: vec![
            [format!("Soft L2 ratio at ε {mark}"), format!("{:.2}", ratios[0]), format!("{} over images; ceiling {:.2}; paper {paper:.1}", interval(0), ceilings[0])],
            [format!("Wrong-pixel ratio at ε {mark}"), format!("{:.2}", ratios[2]), format!("{} over images; ceiling {:.2}", interval(2), ceilings[2])],
            ["Clean wrong pixels".to_owned(), format!("{:.2} %", 100.0 * clean_wrong), "held out".to_owned()],
            [format!("SSIM at ε {mark}"), format!("{ssim_at:.3}"), format!("below {} {}", study.unseen.ssim, noticed[0])],
        ],
        notes: vec![
            format!("{} of {of} folds were trained, on a network of base {}{}.", trained, recipe.network.base, if recipe.network.base == 64 { " (the paper’s table 1)" } else { ": smaller than the paper’s 64" }),
            format!("A change shows, by SSIM below {}, {}; by VIF below {}, {}. Whether a person notices has not been asked here.", study.unseen.ssim, noticed[0], study.unseen.vif, noticed[1]),
            "Slices of one volume are in different folds, as in the paper: neighbours are alike, and the clean error is lower than on a new volume.".to_owned(),
        ],
        sections,
        facts: [
            ("Data", data.to_owned()),
            ("Network", format!("{:?}", recipe.network)),
            ("Training", format!("{} epochs, batches of {} crops of {}², {}, {}, learning rate {}", recipe.epochs, recipe.batch, recipe.crop, recipe.loss.describe(), recipe.optimizer.describe(), recipe.learning_rate)),
            ("Augmentation", format!("{:?}", recipe.augmentation)),
            ("Seeds", format!("{:?}, of weights, order, folds; control {}", study.seeds, crate::study::CONTROL_SEED)),
            ("Cost", price.to_owned()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .to_vec(),
    }
}
