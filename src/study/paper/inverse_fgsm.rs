//! The inverse-FGSM study: what augmentation by FGSM and by its inverse does to accuracy and robustness, beside flips, turns,
//! crops and colour jitter.

use super::chart::{Line, chart};
use super::page::{Page, Section, Table, plus_minus};
use super::verdict::{unlearned, verdict};
use super::work::{MadeWith, cost, keep, kept, place, train};
use super::{StudyError, StudyFile, StudyOptions, Told, data_name, spread};
use crate::attack::{Attack, Objective, Options};
use crate::data::Case;
use crate::model::Model;
use crate::tensor::{image_to_unit, unit_to_image};
use crate::train::{DataRead, EpochRecord, Recipe, Source, TrainingData, Validation, validate};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The rows whose robustness table 2 compares: before, and after augmentation by each attack.
pub(super) const PLAIN: &str = "U-Net";
const ATTACKS: [(&str, &str); 3] =
    [("fgsm", "U-Net + FGSM"), ("inverse-fgsm", "U-Net + inverse FGSM"), ("random-sign", PLAIN)];
/// Table 1 and 3 of the paper for its two data sets, after 30 epochs.
const PAPER: [(&str, f64, f64); 7] = [
    ("U-Net", 0.8084, 0.9829),
    ("U-Net + flipping", 0.8127, 0.8055),
    ("U-Net + rotating", 0.8135, 0.8131),
    ("U-Net + cropping", 0.8215, 0.8753),
    ("U-Net + colour jitter", 0.7989, 0.8069),
    ("U-Net + FGSM", 0.8394, 0.9387),
    ("U-Net + inverse FGSM", 0.8986, 0.9774),
];

/// What one training leaves.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub data: String,
    pub row: String,
    pub seed: u64,
    pub before: Option<Validation>,
    pub history: Vec<EpochRecord>,
    /// The mean IoU of each held-out image after the last epoch.
    pub images: Vec<f64>,
    /// The patient or volume of each; none where that is not known.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Attack, ε and mean IoU, for the rows of table 2.
    pub attacked: Vec<(String, f64, f64)>,
}

impl Outcome {
    /// The mean IoU (mean over images) after `epoch` epochs.
    fn miou(&self, epoch: usize) -> Option<f64> {
        if epoch == 0 {
            return self.before.as_ref().map(|v| v.miou_image);
        }
        let record = self.history.iter().find(|record| record.epoch == epoch)?;
        record.validation.as_ref().map(|v| v.miou_image)
    }
}

/// A data set of the study.
pub(super) struct Set {
    name: String,
    recipe: Recipe,
    data: TrainingData,
    /// The patient or volume of each held-out image.
    groups: Vec<String>,
    seeds: Vec<u64>,
}

impl Set {
    pub fn price(&self, study: &StudyFile, options: &StudyOptions) -> Result<String, StudyError> {
        let price = cost(study.rows.len() * self.seeds.len(), &self.recipe, &self.data, 0.0, options)?;
        Ok(format!("{}: {price}", self.name))
    }
}

/// The data sets that are asked for.
pub(super) fn sets(study: &StudyFile, options: &StudyOptions) -> Result<Vec<Set>, StudyError> {
    let (file, recipe) = study.recipe(options)?;
    let changes = study.changes(options.scale);
    let seeds: Vec<u64> = study.seeds.iter().copied().take(changes.seeds.unwrap_or(usize::MAX)).collect();
    let mut sets: Vec<Set> = Vec::new();
    for (index, asked) in options.data.iter().enumerate() {
        let table = study.table(&file, asked, options.by);
        let classes = table.classes.clone().unwrap_or_else(|| recipe.classes.clone());
        let outputs = classes.len().max(2);
        let network = crate::model::unet::UNetConfig { outputs, ..recipe.network.clone() };
        let recipe = Recipe { classes, network, ..recipe.clone() };
        recipe.check()?;
        let DataRead { data, mut groups, .. } = table.read(&recipe.classes)?;
        let data = few(data, changes.images);
        groups.truncate(data.validate.len());
        let mut name = data_name(asked);
        if sets.iter().any(|set| set.name == name) {
            name = format!("{name} {}", index + 1);
        }
        sets.push(Set { name, recipe, data, groups, seeds: seeds.clone() });
    }
    Ok(sets)
}

pub(super) fn run(study: &StudyFile, options: &StudyOptions, told: Told<'_>) -> Result<PathBuf, StudyError> {
    let sets = sets(study, options)?;
    let of: usize = sets.iter().map(|set| study.rows.len() * set.seeds.len()).sum();
    let mut outcomes = Vec::new();
    let mut prices = Vec::new();
    for Set { name: data_name, recipe, data, groups, seeds } in &sets {
        let price = cost(study.rows.len() * seeds.len(), recipe, data, 0.0, options)?;
        told(&format!("cost: {price}"), outcomes.len() as f64 / of.max(1) as f64);
        prices.push(format!("{data_name}: {price}"));
        for row in &study.rows {
            for &seed in seeds {
                let recipe = Recipe {
                    seed,
                    augmentation: row.augmentation.clone().unwrap_or_else(|| recipe.augmentation.clone()),
                    adversarial: row.adversarial.clone().into_iter().collect(),
                    ..recipe.clone()
                };
                let name = format!("{data_name}, {}, seed {seed}", row.name);
                let results = place(options, &name, "json");
                let more = [
                    ("split", format!("{:?}, by {:?}", study.recipe.data.split, options.by)),
                    ("attacks", format!("{ATTACKS:?}")),
                    ("ε", format!("{:?}", study.epsilons)),
                    ("image limit", format!("{:?}", study.changes(options.scale).images)),
                ];
                let made_with = MadeWith::new(&recipe, data, &more);
                if let Some(done) = kept(&results, &made_with)? {
                    outcomes.push(done);
                    continue;
                }
                let before = outcomes.len();
                let mut told = |line: &str, part: f64| told(line, (before as f64 + part) / of as f64);
                let trained = train(&name, &recipe, data.clone(), options, &mut told)?;
                let images = each(&trained.model, &data.validate)?;
                let mut attacked = Vec::new();
                for (attack, after) in ATTACKS {
                    if row.name == PLAIN || row.name == after {
                        for &epsilon in &study.epsilons {
                            if options.control.is_cancelled() {
                                return Err(StudyError::Cancelled);
                            }
                            let miou = under(&trained.model, &data.validate, attack, epsilon)?;
                            attacked.push((attack.to_owned(), epsilon, miou));
                        }
                    }
                }
                let done = Outcome {
                    data: data_name.clone(),
                    row: row.name.clone(),
                    seed,
                    before: trained.before,
                    history: trained.history,
                    images,
                    groups: groups.clone(),
                    attacked,
                };
                keep(&results, &made_with, &done)?;
                outcomes.push(done);
            }
        }
    }
    let names: Vec<String> = sets.iter().map(|set| set.name.clone()).collect();
    let Some(Set { recipe, seeds, .. }) = sets.first() else {
        return Err(StudyError::Asked("name the data".to_owned()));
    };
    report(study, &outcomes, &names, &prices.join("; "), recipe, seeds).write(study, options)
}

/// At most so many images on either side.
fn few(data: TrainingData, most: Option<usize>) -> TrainingData {
    let Some(most) = most else { return data };
    let train = match data.train {
        Source::Cases(cases) => Source::Cases(cases.iter().take(most).cloned().collect()),
        other => other,
    };
    TrainingData { train, validate: data.validate.iter().take(most).cloned().collect() }
}

/// The mean IoU of each of `cases`.
fn each(model: &dyn Model, cases: &[Case]) -> Result<Vec<f64>, StudyError> {
    cases.iter().map(|case| Ok(validate(model, std::slice::from_ref(case), 0)?.0.miou_image)).collect()
}

/// The mean IoU on `cases`, each changed by `attack` against its true label.
fn under(model: &dyn Model, cases: &[Case], attack: &str, epsilon: f64) -> Result<f64, StudyError> {
    let (attack, device, card) = (Attack::named(attack)?, model.device(), model.card());
    let mut changed = Vec::with_capacity(cases.len());
    for case in cases {
        let Some(label) = &case.label else { continue };
        let x = image_to_unit(&case.image, case.bounds, &device);
        let objective = Objective::segmentation(card.head, card.positive_class, label, &device);
        let outcome = attack.run_through(model, &x, &objective, &[epsilon], &Options::default())?;
        changed.push(Case { image: unit_to_image(outcome.adversarial, case.bounds)?, ..case.clone() });
    }
    Ok(validate(model, &changed, 0)?.0.miou_image)
}

fn report(
    study: &StudyFile,
    outcomes: &[Outcome],
    names: &[String],
    price: &str,
    recipe: &Recipe,
    seeds: &[u64],
) -> Page {
    let of = |data: &str, row: &str| -> Vec<&Outcome> {
        outcomes.iter().filter(|o| o.data == data && o.row == row).collect()
    };
    let at = |data: &str, row: &str, epoch: usize| -> Vec<f64> {
        of(data, row).iter().filter_map(|o| o.miou(epoch)).collect()
    };
    let last = recipe.epochs;
    let mut epochs: Vec<usize> = study.epochs_shown.iter().copied().filter(|&e| e <= last).collect();
    if !epochs.contains(&last) {
        epochs.push(last);
    }
    let cell = |values: Vec<f64>| if values.is_empty() { "–".to_owned() } else { plus_minus(spread(&values), 4) };
    let adversarial = [PLAIN, "U-Net + FGSM", "U-Net + inverse FGSM"];
    let one = Table {
        title: "Table 1: mean IoU along the epochs".to_owned(),
        file: "table-1.csv",
        caption: format!(
            "On held-out images; mean ± standard deviation over {} seeds. The mean over images of the mean IoU over all classes, background included.",
            seeds.len()
        ),
        columns: ["data", "model"]
            .map(str::to_owned)
            .into_iter()
            .chain(epochs.iter().map(|e| format!("epoch {e}")))
            .collect(),
        rows: names
            .iter()
            .flat_map(|data| {
                adversarial.map(|row| {
                    let cells = epochs.iter().map(|&epoch| cell(at(data, row, epoch)));
                    [data.clone(), row.to_owned()].into_iter().chain(cells).collect()
                })
            })
            .collect(),
    };
    let robust = |data: &str, row: &str, attack: &str, epsilon: f64| -> Vec<f64> {
        let found = |o: &&Outcome| o.attacked.iter().find(|(a, e, _)| a == attack && *e == epsilon).map(|(_, _, m)| *m);
        of(data, row).iter().filter_map(found).collect()
    };
    let mut rows = Vec::new();
    for data in names {
        for (attack, after) in ATTACKS {
            for (when, row) in [("before", PLAIN), ("after", after)] {
                if when == "after" && after == PLAIN {
                    continue;
                }
                let cells = study.epsilons.iter().map(|&e| cell(robust(data, row, attack, e)));
                rows.push([data.clone(), attack.to_owned(), when.to_owned()].into_iter().chain(cells).collect());
            }
        }
    }
    let two = Table {
        title: "Table 2: mean IoU under attack, before and after augmentation by it".to_owned(),
        file: "table-2.csv",
        caption: "Attacks read the true label. Inverse FGSM lowers the loss and so helps the model; the paper’s table lists it as an attack that harms. Random signs are the control.".to_owned(),
        columns: ["data", "attack", "augmentation"].map(str::to_owned).into_iter().chain(study.epsilons.iter().map(|e| format!("ε {e}"))).collect(),
        rows,
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for data in names {
        for row in &study.rows {
            let paper = PAPER.iter().find(|(name, ..)| *name == row.name);
            let paper = paper.map_or(["–".to_owned(), "–".to_owned()], |(_, colon, lumbar)| {
                [colon, lumbar].map(|v| format!("{v:.4}"))
            });
            rows.push(
                [data.clone(), row.name.clone(), cell(at(data, &row.name, last))].into_iter().chain(paper).collect(),
            );
        }
        rows.push([data.as_str(), "U-Net + GAN", "not reproduced", "0.8455", "0.8210"].map(str::to_owned).to_vec());
    }
    let three = Table {
        title: format!("Table 3: mean IoU after {last} epochs, beside other augmentations"),
        file: "table-3.csv",
        caption: "The paper’s columns are of its own colon and lumbar data, on one run each. Its GAN is not described well enough to be made and is not reproduced yet.".to_owned(),
        columns: ["data", "model", "here", "paper, colon", "paper, lumbar"].map(str::to_owned).to_vec(),
        rows,
    };
    let all = Table {
        title: "Each training".to_owned(),
        file: "trainings.csv",
        caption: "Every epoch of every seed.".to_owned(),
        columns: ["data", "model", "seed", "epoch", "loss", "mean IoU of images", "mean IoU of pixels", "Dice"]
            .map(str::to_owned)
            .to_vec(),
        rows: outcomes
            .iter()
            .flat_map(|o| {
                o.history.iter().filter_map(move |r| {
                    let v = r.validation.as_ref()?;
                    let numbers = [r.loss, v.miou_image, v.miou_dataset, v.dice].map(|v| format!("{v:.5}"));
                    let start = [o.data.clone(), o.row.clone(), o.seed.to_string(), r.epoch.to_string()];
                    Some(start.into_iter().chain(numbers).collect())
                })
            })
            .collect(),
    };
    let mut sections = Vec::new();
    for data in names {
        let lines: Vec<Line> = study
            .rows
            .iter()
            .map(|row| Line {
                name: row.name.replace("U-Net + ", ""),
                points: (0..=last)
                    .filter_map(|epoch| {
                        let values = at(data, &row.name, epoch);
                        let (mean, deviation) = spread(&values);
                        (!values.is_empty()).then_some((epoch as f64, mean, deviation))
                    })
                    .collect(),
            })
            .collect();
        sections.push(Section::Chart {
            title: format!("Mean IoU along the epochs, {data}"),
            svg: chart(&lines, "epochs", "mean IoU on held-out images"),
            caption: format!("Mean over {} seeds; the bands are one standard deviation.", seeds.len()),
        });
    }
    sections.extend([one, two, three, all].map(Section::Table));
    let verdicts: Vec<String> = names.iter().map(|data| verdict(data, &|row| of(data, row))).collect();
    let of_data = |data: &String| outcomes.iter().filter(|o| o.data == *data).collect::<Vec<_>>();
    let failed: Vec<String> = names.iter().filter_map(|data| unlearned(data, &of_data(data))).collect();
    Page {
        headline: verdicts.first().cloned().unwrap_or_default(),
        lead: failed.into_iter().chain(verdicts.into_iter().skip(1)).collect::<Vec<_>>().join(" "),
        tiles: names
            .iter()
            .flat_map(|data| adversarial.map(|row| [format!("{row}, {data}"), cell(at(data, row, last)), format!("mean IoU after {last} epochs")]))
            .collect(),
        notes: vec![
            "The paper’s own tables contradict its text: table 2 lists inverse FGSM as an attack that lowers mean IoU to .55, and in table 1 the plain U-Net is best on lumbar CT (.9829 against .9774). Both are reproduced as written, and what was found is what stands here.".to_owned(),
            "Samples are made against the network as it is at each step, with σ drawn from (0, 0.1], and appended to the batch; the paper attacks a trained model once. Batch normalisation is ours.".to_owned(),
            "Differences between two rows are paired: the same held-out images and the same seeds. Their intervals of 95 % are a bootstrap that draws seeds and patients (or volumes, where the data tell them; else images) both, a patient with all its images; of few of either it is too narrow rather than too wide.".to_owned(),
            format!("{} seeds change weights, order and augmentation; the held-out images are the same for all.", seeds.len()),
        ],
        sections,
        facts: [
            ("Data", names.join(", ")),
            ("Network", format!("{:?}", recipe.network)),
            ("Training", format!("{} epochs, batches of {} images of {}², {}, {}, learning rate {}", recipe.epochs, recipe.batch, recipe.crop, recipe.loss.describe(), recipe.optimizer.describe(), recipe.learning_rate)),
            ("Seeds", format!("{seeds:?}")),
            ("Cost", price.to_owned()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .to_vec(),
    }
}
