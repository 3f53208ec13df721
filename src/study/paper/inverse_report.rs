//! The report of the inverse-FGSM study.

use super::chart::{Line, chart};
use super::claims::Judged;
use super::inverse_fgsm::{FGSM, INVERSE, JUDGES, Outcome, PLAIN, RANDOM, Set};
use super::page::{Page, Section, Table, plus_minus};
use super::{StudyFile, counted, facts, spread};
use crate::attack::Attack;
use crate::train::Adversarial;

/// Table 1 (epochs 0 to 30) and 3 of the paper for its two data sets.
const PAPER_EPOCHS: [(&str, [f64; 4], [f64; 4]); 3] = [
    (PLAIN, [0.4955, 0.5586, 0.7311, 0.8084], [0.5004, 0.9535, 0.9781, 0.9829]),
    (FGSM, [0.4987, 0.7839, 0.8129, 0.8394], [0.6161, 0.8186, 0.8938, 0.9387]),
    (INVERSE, [0.6159, 0.8264, 0.8643, 0.8986], [0.6737, 0.9027, 0.9486, 0.9774]),
];
const PAPER: [(&str, f64, f64); 7] = [
    (PLAIN, 0.8084, 0.9829),
    ("U-Net + flipping", 0.8127, 0.8055),
    ("U-Net + rotating", 0.8135, 0.8131),
    ("U-Net + cropping", 0.8215, 0.8753),
    ("U-Net + colour jitter", 0.7989, 0.8069),
    (FGSM, 0.8394, 0.9387),
    (INVERSE, 0.8986, 0.9774),
];
/// Table 2: data, row and attack, mean IoU at ε .0012, .0118, .1176.
const PAPER_ATTACKED: [(&str, &str, &str, [f64; 3]); 8] = [
    ("paper, colon", PLAIN, "fgsm", [0.7860, 0.7246, 0.6028]),
    ("paper, colon", FGSM, "fgsm", [0.9071, 0.8242, 0.7720]),
    ("paper, colon", PLAIN, "inverse-fgsm", [0.7749, 0.5841, 0.5467]),
    ("paper, colon", INVERSE, "inverse-fgsm", [0.8724, 0.8729, 0.8477]),
    ("paper, lumbar", PLAIN, "fgsm", [0.8630, 0.7007, 0.4944]),
    ("paper, lumbar", FGSM, "fgsm", [0.9106, 0.8812, 0.9150]),
    ("paper, lumbar", PLAIN, "inverse-fgsm", [0.9262, 0.8517, 0.4953]),
    ("paper, lumbar", INVERSE, "inverse-fgsm", [0.9806, 0.9624, 0.9169]),
];

pub(super) fn report(study: &StudyFile, outcomes: &[Outcome], sets: &[Set], price: &str) -> Page {
    let names: Vec<String> = sets.iter().map(|set| set.name.clone()).collect();
    let Some(Set { recipe, seeds, .. }) = sets.first() else { return Page::default() };
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
    let adversarial = [PLAIN, FGSM, INVERSE, RANDOM];
    let one = Table {
        title: "Table 1: mean IoU along the epochs".to_owned(),
        file: "table-1.csv",
        caption: format!(
            "On held-out images; mean ± standard deviation over {}. The mean over images of the mean IoU over all classes, background included.",
            counted(seeds.len(), "seed", "seeds")
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
            .chain(PAPER_EPOCHS.iter().flat_map(|(row, colon, lumbar)| {
                [("paper, colon", colon), ("paper, lumbar", lumbar)].map(|(data, values)| {
                    let at = |epoch: &usize| match [0, 10, 20, 30].iter().position(|e| e == epoch) {
                        Some(i) => format!("{:.4}", values[i]),
                        None => "–".to_owned(),
                    };
                    [data.to_owned(), (*row).to_owned()].into_iter().chain(epochs.iter().map(at)).collect()
                })
            }))
            .collect(),
    };
    let robust = |data: &str, row: &str, attack: &str, epsilon: f64| -> Vec<f64> {
        of(data, row).iter().filter_map(|o| Some(spread(o.judged(Some((attack, epsilon)))?).0)).collect()
    };
    let mut rows = Vec::new();
    for data in &names {
        for (attack, _) in JUDGES {
            for row in [PLAIN, FGSM, INVERSE, RANDOM] {
                let cells = study.epsilons.iter().map(|&e| cell(robust(data, row, attack, e)));
                rows.push([data.clone(), attack.to_owned(), row.to_owned()].into_iter().chain(cells).collect());
            }
        }
    }
    if study.epsilons.len() == 3 {
        rows.extend(PAPER_ATTACKED.map(|(data, row, attack, values)| {
            let cells = values.map(|v| format!("{v:.4}"));
            [data, attack, row].map(str::to_owned).into_iter().chain(cells).collect()
        }));
    }
    let two = Table {
        title: "Table 2: mean IoU under attack, before and after augmentation".to_owned(),
        file: "table-2.csv",
        caption: "Attacks read the true label. Inverse FGSM goes down the loss and so helps the model, though the paper’s table lists it as an attack that harms; a network that learned with such samples may read the label out of the signs (Kurakin et al. 2017, label leaking), so that row says little of accuracy. Random signs are the control; PGD of 10 steps tells whether a row withstands attacks or only one step.".to_owned(),
        columns: ["data", "attack", "model"].map(str::to_owned).into_iter().chain(study.epsilons.iter().map(|e| format!("ε {e}"))).collect(),
        rows,
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for data in &names {
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
    let all = facts::epochs(
        "Each training",
        "trainings.csv",
        "Every epoch of every seed.",
        &["data", "model", "seed"],
        outcomes.iter().map(|o| (vec![o.data.clone(), o.row.clone(), o.seed.to_string()], &o.history[..])),
    );
    let mut sections = Vec::new();
    for data in &names {
        let lines: Vec<Line> = study
            .rows
            .iter()
            .map(|row| Line {
                name: row.name.replace("U-Net + ", ""),
                control: row.name == RANDOM,
                // Those of table 1: eight bands cannot be told apart.
                band: adversarial.contains(&row.name.as_str()),
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
            caption: format!(
                "Mean over {}; the bands, of the rows of table 1 alone, are one standard deviation. In full in trainings.csv.",
                counted(seeds.len(), "seed", "seeds")
            ),
        });
    }
    let judged: Vec<Judged<'_>> = sets
        .iter()
        .map(|set| Judged {
            data: &set.name,
            outcomes: outcomes.iter().filter(|o| o.data == set.name).collect(),
            constant: set.constant(),
            level: 1.0 - 0.05 / sets.len().max(1) as f64,
        })
        .collect();
    let largest = study.epsilons.iter().copied().fold(0.0, f64::max);
    let claims = Table {
        title: "What the paper claims, and what was found".to_owned(),
        file: "claims.csv",
        caption: format!(
            "Differences of mean IoU, paired by seed and by held-out image, with intervals of 95 % each by itself: of {} comparisons without any effect about one in twenty would still leave 0 out. Only the first was chosen before, and is what the headline says. The paper’s differences are of one run each on data that are not public.",
            judged.iter().map(|j| j.table(largest).len()).sum::<usize>()
        ),
        columns: ["data", "claim", "paper, colon", "paper, lumbar", "here (95 %)", "agrees"]
            .map(str::to_owned)
            .to_vec(),
        rows: judged.iter().flat_map(|j| j.table(largest)).collect(),
    };
    sections.extend([claims, one, two, three, all].map(Section::Table));
    let verdicts: Vec<String> = judged.iter().map(|j| j.verdict() + ".").collect();
    let failed: Vec<String> = judged.iter().filter_map(Judged::unlearned).collect();
    Page {
        headline: verdicts.first().cloned().unwrap_or_default(),
        lead: failed.into_iter().chain(verdicts.into_iter().skip(1)).collect::<Vec<_>>().join(" "),
        tiles: names
            .iter()
            .flat_map(|data| adversarial.map(|row| [format!("{row}, {data}"), cell(at(data, row, last)), format!("mean IoU after {last} epochs")]))
            .collect(),
        notes: vec![
            "The paper’s own tables contradict its text: table 2 lists inverse FGSM as an attack that lowers mean IoU to .55, and in table 1 the plain U-Net is best on lumbar CT (.9829 against .9774). Both are reproduced as written, and what was found is what stands here.".to_owned(),
            "Samples are made online (ours), against the network as it is at each step, with σ drawn from (0, 0.1], and appended to the batch (twice the images a step, as in the row of random signs, which is their control); the paper attacks a trained model once and then trains again with what that gave. Flips, turns, crops and jitter replace the images. Batch normalisation, the sizes of turns, crops and jitter, and the share that is held out are ours; on grey images hue and saturation change nothing, so that colour jitter is brightness and contrast there.".to_owned(),
            "Intervals: a two-way analysis of variance in which seeds and patients (or volumes, where the data tell them; else images) are both random, with Student’s t. They do not hold what another split of the data would change. With fewer than five seeds they are wide, as they must be.".to_owned(),
            format!("Seeds ({}) change weights, order and augmentation; the held-out images are the same for all. They are both the curve along the epochs and the final test, and choose nothing: the network after the last epoch is judged.", seeds.len()),
            format!(
                "The mean IoU of an image counts a class that is neither in its label nor found as 1: of the terms after the last epoch {}.",
                names.iter().map(|data| format!("{} ({data})", empty_terms(outcomes, data))).collect::<Vec<_>>().join(", ")
            ),
        ],
        sections,
        facts: sets
            .iter()
            .map(|set| {
                let described = facts::data(&set.read, set.split, &set.recipe.classes);
                (format!("Data {}", set.name), format!("{described}; mean IoU of the best constant mask {:.3}", set.constant()))
            })
            .chain(study.rows.iter().map(|row| {
                let samples = row.adversarial.as_ref().map_or("no adversarial samples".to_owned(), Adversarial::describe);
                let changes = row.augmentation.as_ref().map_or("no augmentation".to_owned(), |a| format!("{a:?}"));
                (row.name.clone(), format!("{samples}; {changes}"))
            }))
            .chain(JUDGES.into_iter().map(|(name, settings)| {
                let attack = Attack::parse(name, settings);
                (format!("Attack {name}"), attack.map_or_else(|e| e.to_string(), facts::attack))
            }))
            .chain(
                [
                    ("Network", format!("{:?}", recipe.network)),
                    ("Training", facts::training(recipe, "images")),
                    ("Seeds", format!("{seeds:?}")),
                    ("Cost", price.to_owned()),
                ]
                .map(|(name, text)| (name.to_owned(), text)),
            )
            .collect(),
    }
}

/// The share of the terms of mean IoU that are 1 because a class is nowhere, after the last epoch: the smallest and the largest of all
/// trainings on a data set.
fn empty_terms(outcomes: &[Outcome], data: &str) -> String {
    let of = outcomes.iter().filter(|o| o.data == data);
    let shares: Vec<f64> = of.filter_map(|o| Some(o.history.last()?.validation.as_ref()?.empty)).collect();
    let (least, most) = shares.iter().fold((1.0f64, 0.0f64), |(least, most), v| (least.min(*v), most.max(*v)));
    if shares.is_empty() { "–".to_owned() } else { format!("{:.1} to {:.1} %", 100.0 * least, 100.0 * most) }
}
