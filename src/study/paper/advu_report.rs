//! The report of the AdvU-Net study.

use super::advu_net::{Images, MEASURES, Network, Of};
use super::advu_ratio::{Ratio, beside, headline};
use super::chart::{Line, chart};
use super::facts;
use super::folds::Setup;
use super::interval::Basis;
use super::networks::{ERRORS, Networks};
use super::noticed::{NoticedBy, Shares, disagreement};
use super::page::{Page, Section, Table, plus_minus};
use super::{StudyError, StudyFile, counted, spread};
use crate::attack::Attack;
use crate::study::SeenMetric;
use crate::train::Recipe;
use std::collections::BTreeMap;

fn mean(values: &[f64]) -> f64 {
    spread(values).0
}

pub(super) fn report(
    study: &StudyFile,
    all: &[Network],
    constants: &BTreeMap<usize, f64>,
    pictures: Vec<Section>,
    price: &str,
    setup: &Setup,
) -> Result<Page, StudyError> {
    let images = Images::new(all);
    let mark = study.marked;
    let networks = Networks { all, epsilon: mark, constants };
    let paper = study.paper_errors[1] / study.paper_errors[0].max(1e-12);
    let ratios = [0, 1, 2].map(|i| Ratio::new(&images, &networks, i));
    let [soft, _, wrong] = &ratios;
    let shares: Vec<Shares> =
        NoticedBy::all(study).map(|by| Shares::new(by, &study.epsilons, |e| images.seen(e, by.metric))).into();
    let person = match &setup.observers {
        Some(asked) => asked.statements(&study.attack, mark),
        None => vec![
            "A person: not asked: no observer was measured (epsiloscope observer; --unseen thresholds.csv).".to_owned(),
        ],
    };
    let counted = format!(
        "{} ({} of {})",
        counted(all.len(), "network", "networks"),
        counted(setup.seeds.len(), "seed", "seeds"),
        counted(setup.shown_folds, "fold", "folds")
    );
    let mut sections = vec![figure(study, &images), Section::Table(compared(study, &ratios, paper, &counted))];
    sections.extend([networks.figure(paper, soft.found, soft.ceiling), networks.table(), shown(study, &images)]);
    sections.extend(setup.observers.as_ref().map(|asked| Section::Table(asked.table())));
    sections.extend(pictures);
    let epochs = facts::epochs(
        "Training",
        "training.csv",
        "The weights after the last epoch are attacked; the validation chooses nothing.",
        &["seed", "fold"],
        all.iter().map(|n| (vec![n.seed.to_string(), (n.fold + 1).to_string()], &n.history[..])),
    );
    sections.push(along(study, &images, &shares));
    sections.extend([each(all), epochs].map(Section::Table));
    let past = shares.iter().map(|s| format!("{} on {} images", s.by.words(), s.share(mark)));
    let [ssim, vif, butteraugli] =
        NoticedBy::all(study).map(|by| format!("{:.3}", mean(&images.seen(mark, by.metric))));
    let recipe = &setup.recipe;
    Ok(Page {
        headline: headline(mark, soft, all.len(), paper),
        lead: format!(
            "{} At ε {mark} {}. {}",
            beside(soft, setup.recipe.epochs),
            past.collect::<Vec<_>>().join(", "),
            person.join(" ")
        ),
        tiles: vec![
            [
                format!("Soft L2 ratio at ε {mark}"),
                soft.told(),
                format!("95 %: {}; paper {paper:.1}", soft.beside_ceiling()),
            ],
            [format!("Wrong-pixel ratio at ε {mark}"), wrong.told(), format!("95 %: {}", wrong.beside_ceiling())],
            ["Clean wrong pixels".to_owned(), format!("{:.2} %", 100.0 * wrong.clean), format!("held out; {counted}")],
            [
                format!("SSIM, VIF, Butteraugli at ε {mark}"),
                format!("{ssim}, {vif}, {butteraugli}"),
                "means over images".to_owned(),
            ],
        ],
        notes: notes(study, setup, &shares, (!soft.is_untold()).then(|| networks.basis()), person),
        sections,
        facts: [
            ("Data", format!("{} (of fold 1)", facts::data(&setup.first, setup.first_split(), &recipe.classes))),
            ("Network", format!("{:?}", recipe.network)),
            ("Training", facts::training(recipe, "crops")),
            ("Augmentation", format!("{:?}", recipe.augmentation)),
            ("Adversarial samples in training", "none".to_owned()),
            ("Attack", facts::attack(Attack::named(&study.attack)?)),
            (
                "Seeds",
                format!(
                    "{:?}, of weights, order and augmentation; of the folds {}; control {}",
                    setup.seeds,
                    recipe.seed,
                    crate::study::CONTROL_SEED
                ),
            ),
            ("Cost", price.to_owned()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .to_vec(),
    })
}

/// What a reader must know.
fn notes(
    study: &StudyFile,
    setup: &Setup,
    shares: &[Shares],
    basis: Option<Basis>,
    person: Vec<String>,
) -> Vec<String> {
    let Recipe { network, crop, batch, epochs, .. } = &setup.recipe;
    let train = facts::trained_on(&setup.first);
    let crops = setup.first.data.train.crops(*crop);
    let steps = crops.div_ceil(*batch);
    let size = train.first().map_or([0, 0], crate::data::Case::size);
    let base = network.base;
    let width = if base == 64 { " (the paper’s table 1)" } else { ": smaller than the paper’s 64" };
    let paper_epochs = study.recipe.training.epochs.unwrap_or(100);
    let paper_steps = paper_epochs * train.len().div_ceil(4);
    let mut notes = vec![
        format!(
            "{} of {} folds were trained, with {} each, on networks of base {base}{width}. The folds are the same for every seed; a seed changes weights, order and augmentation.",
            setup.shown_folds,
            setup.folds,
            counted(setup.seeds.len(), "seed", "seeds")
        ),
        format!(
            "An epoch (ours) is {crops} crops of {crop}², as many as cover the pixels of {} images of {}×{} once: {:.1} an image, {steps} steps. The paper’s {paper_epochs} epochs of whole images in batches of 4 would be {paper_steps} steps here, {:.0} of these epochs; {epochs} were done.",
            train.len(),
            size[0],
            size[1],
            crops as f64 / train.len().max(1) as f64,
            paper_steps as f64 / steps.max(1) as f64
        ),
        format!(
            "Crops are cut at {}×{}, and whole images are attacked and judged at that size (ours); the paper’s table 1 has inputs of 224²×3 and does not say how images of 512² become these.",
            size[0], size[1]
        ),
        "Slices of one volume are in different folds, as in the paper: neighbours are alike, and the clean error is lower than on a new volume. The held-out images are both the validation curve and the final test; they choose nothing: the network after its last epoch is attacked.".to_owned(),
        format!(
            "Of an image the numbers are means over the seeds, over images mean and standard deviation.{} The ceiling of a ratio is that of the clean errors found here{}.",
            basis.map_or_else(String::new, |basis| format!(" {}", basis.statement())),
            basis.map_or("", |_| "; the interval is not cut at it, as it holds what it says only whole, but values above the ceiling cannot be")
        ),
    ];
    notes.extend(shares.iter().map(|s| s.statement() + "."));
    notes.push(format!(
        "{} Of SSIM and VIF there is no accepted limit of what is noticed; 1 of Butteraugli is its authors’ just noticeable difference. Images are compared as an 8-bit screen shows them under the full window.",
        disagreement(shares)
    ));
    notes.extend(person);
    notes
}

fn grid(study: &StudyFile) -> impl Iterator<Item = f64> {
    std::iter::once(0.0).chain(study.epsilons.iter().copied())
}

fn figure(study: &StudyFile, images: &Images<'_>) -> Section {
    let soft = MEASURES[0].1;
    let line = |name: &str, control: bool| Line {
        name: name.to_owned(),
        points: of_grid(grid(study), |e| images.values(e, control, soft)),
        control,
        band: true,
    };
    Section::Chart {
        title: "Figure 2: pixel error along ε".to_owned(),
        svg: chart(
            &[line("FGSM", false), line("random sign", true)],
            "ε, a fraction of the bounds’ width",
            "pixel error ‖y − p‖₂",
        ),
        caption: format!(
            "Mean over {} images, of each the mean over seeds; the bands are one standard deviation.",
            images.len()
        ),
    }
}

fn of_grid(epsilons: impl Iterator<Item = f64>, of: impl Fn(f64) -> Vec<f64>) -> Vec<(f64, f64, f64)> {
    epsilons
        .map(|e| {
            let (mean, deviation) = spread(&of(e));
            (e, mean, deviation)
        })
        .collect()
}

fn shown(study: &StudyFile, images: &Images<'_>) -> Section {
    let line = |metric: SeenMetric| Line {
        name: metric.title().to_owned(),
        points: of_grid(study.epsilons.iter().copied(), |e| images.seen(e, metric)),
        control: false,
        band: true,
    };
    Section::Chart {
        title: "What a screen shows of it".to_owned(),
        svg: chart(
            &[line(SeenMetric::Ssim), line(SeenMetric::Vif)],
            "ε, a fraction of the bounds’ width",
            "SSIM and VIF of the shown image",
        ),
        caption: "1 is the same image. Metrics stand for a person until one was asked.".to_owned(),
    }
}

fn compared(study: &StudyFile, ratios: &[Ratio], paper: f64, counted: &str) -> Table {
    let looks = ratios.first().map_or(0, |r| r.trained_on.1);
    let interval = if ratios.iter().any(Ratio::is_untold) {
        "No ratio is told: not every network learned anything.".to_owned()
    } else {
        format!("The interval of 95 % is over {counted} and is not cut at the ceiling, above which nothing can be.")
    };
    let row = |(ratio, (name, _)): (&Ratio, &(&str, Of))| {
        let mut row = vec![(*name).to_owned()];
        row.extend([ratio.clean, ratio.attacked, ratio.control].map(|v| format!("{v:.4}")));
        row.extend([ratio.told(), ratio.interval(), format!("{:.2}", ratio.ceiling)]);
        row.extend([format!("{paper:.1}"), ratio.told_trained_on()]);
        row
    };
    Table {
        title: format!("Adversarial over clean error at ε {}", study.marked),
        file: "ratio.csv",
        caption: format!(
            "The paper prints {} and {} on no stated scale, so only their ratio can be compared, and it does not say whether its error is soft or hard, or of images that were trained on. The ceiling is that of a model which gets every pixel of every image wrong, over the same clean error. {interval} The last column is of {} at images that the same networks were trained on.",
            study.paper_errors[0],
            study.paper_errors[1],
            super::counted(looks, "look", "looks")
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
        rows: ratios.iter().zip(&MEASURES[..ERRORS]).map(row).collect(),
    }
}

fn along(study: &StudyFile, images: &Images<'_>, shares: &[Shares]) -> Section {
    let metrics = || std::iter::once(SeenMetric::Psnr).chain(shares.iter().map(|s| s.by.metric));
    let mut columns = vec!["ε".to_owned()];
    for (name, _) in MEASURES {
        columns.extend([format!("{name}, FGSM"), format!("{name}, random sign")]);
    }
    // What is found wrong and what is seen of it: together they are wider than a page.
    let errors = columns.len();
    columns.extend(metrics().map(|metric| metric.title().to_owned()));
    columns.extend(shares.iter().map(|s| format!("images with {}", s.by.words())));
    let row = |epsilon: f64| {
        let mut row = vec![format!("{epsilon:.4}")];
        for (index, (_, of)) in MEASURES.into_iter().enumerate() {
            let decimals = if index < 2 { 2 } else { 4 };
            let cell = |control| plus_minus(spread(&images.values(epsilon, control, of)), decimals);
            row.extend([false, true].map(cell));
        }
        row.extend(metrics().map(|metric| {
            let values = images.seen(epsilon, metric);
            if values.is_empty() { "–".to_owned() } else { plus_minus(spread(&values), 3) }
        }));
        row.extend(shares.iter().map(|s| s.share(epsilon)));
        row
    };
    let visible = std::iter::once(0).chain(errors..columns.len()).collect();
    let table = Table {
        title: "Along ε".to_owned(),
        file: "along.csv",
        caption: format!(
            "Mean ± standard deviation over {} images, of each the mean over the seeds, attacked on models that never saw it. Soft L2 is ‖y − p‖₂, hard L2 ‖y − ŷ‖₂; PSNR, SSIM, VIF and Butteraugli are of the image as a screen shows it. The limits of SSIM and VIF past which a change counts as noticed are ours, that of Butteraugli is {}.",
            images.len(),
            shares.iter().find(|s| s.by.metric == SeenMetric::Butteraugli).map_or("none", |s| s.by.source())
        ),
        columns,
        rows: grid(study).map(row).collect(),
    };
    let parts = vec![
        ("Pixel error and Dice".to_owned(), (0..errors).collect()),
        ("What a screen shows of it".to_owned(), visible),
    ];
    Section::Parts { table, parts }
}

fn each(all: &[Network]) -> Table {
    let rows = all.iter().flat_map(|network| {
        let found = network.held.iter().map(|f| (f, false)).chain(network.trained_on.iter().map(|f| (f, true)));
        found.flat_map(move |(found, trained_on)| {
            let clean = std::iter::once((0.0, &found.curve.clean));
            let points = clean.chain(found.curve.points.iter().map(|p| (p.epsilon, &p.measure)));
            points.map(move |(epsilon, measure)| {
                let (seed, fold) = (network.seed.to_string(), (network.fold + 1).to_string());
                let mut row = vec![found.image.clone(), seed, fold, trained_on.to_string(), format!("{epsilon:.6}")];
                row.extend(MEASURES.iter().map(|(_, of)| format!("{:.6}", of(measure))));
                row
            })
        })
    });
    Table {
        title: "Each image".to_owned(),
        file: "images.csv",
        caption: "Attacked by FGSM; ε 0 is the original.".to_owned(),
        columns: ["image", "seed", "fold", "trained on", "ε", "soft L2", "hard L2", "wrong", "Dice"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}
