//! What the studies' reports say of their data and trainings.

use super::counted;
use super::page::Table;
use crate::attack::Attack;
use crate::data::Case;
use crate::train::{DataRead, EpochRecord, Recipe, Source, Split, Validation};

/// The cases that are trained on; none of sections that are generated.
pub(super) fn trained_on(read: &DataRead) -> &[Case] {
    match &read.data.train {
        Source::Cases(cases) => cases,
        Source::Synthetic { .. } => &[],
    }
}

/// Images, patients, split, labels and foreground of a data set.
pub(super) fn data(read: &DataRead, split: Option<Split>, classes: &[String]) -> String {
    let (train, held) = (trained_on(read), &read.data.validate[..]);
    let count = |cases: &[Case], groups: &[String]| {
        let mut groups = groups.to_vec();
        groups.sort();
        groups.dedup();
        let images = counted(cases.len(), "image", "images");
        format!("{images} of {}", counted(groups.len(), "patient or volume", "patients or volumes"))
    };
    let size = train.first().map_or_else(String::new, |case| {
        let [height, width] = case.size();
        let colour = if case.image.channels == 3 { "in colour" } else { "grey" };
        let (lower, upper) = (case.bounds.lower, case.bounds.upper);
        format!("; the first is {height}×{width} {colour}, ε is a fraction of its bounds {lower} to {upper}")
    });
    let guessed =
        if read.guessed { " (guessed: nobody said it; values in ascending order, or 0 and the rest)" } else { "" };
    let note = read.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    format!(
        "trained on: {}; held out: {}{size}; split: {}{note}; classes {}; labels {}{guessed}; pixels that are not {}: {:.1} % of the training images, {:.1} % of those held out",
        count(train, &read.train_groups),
        count(held, &read.groups),
        split.map_or_else(|| "none".to_owned(), |split| split.describe()),
        classes.join(", "),
        read.labels,
        classes.first().map_or("class 0", String::as_str),
        100.0 * foreground(train),
        100.0 * foreground(held),
    )
}

/// The share of pixels that are not of class 0, of those that count.
fn foreground(cases: &[Case]) -> f64 {
    let labels = cases.iter().filter_map(|case| case.label.as_ref());
    let classes = labels.flat_map(|label| label.classes.iter()).filter(|class| **class != crate::data::IGNORE);
    let (found, all) =
        classes.fold((0usize, 0usize), |(found, all), class| (found + usize::from(*class != 0), all + 1));
    found as f64 / all.max(1) as f64
}

/// How a network is trained, but for what rows of a table change.
pub(super) fn training(recipe: &Recipe, crops: &str) -> String {
    format!(
        "{} epochs, batches of {} {crops} of {}², {}, {}, learning rate {}",
        recipe.epochs,
        recipe.batch,
        recipe.crop,
        recipe.loss.describe(),
        recipe.optimizer.describe(),
        recipe.learning_rate
    )
}

/// An attack with its definition and the program's version, as that defines it.
pub(super) fn attack(attack: Attack) -> String {
    let entry = attack.entry();
    format!("{attack}: {} {} (Epsiloscope {})", entry.description, entry.source, env!("CARGO_PKG_VERSION"))
}

/// Who was trained, and its epochs.
pub(super) type History<'a> = (Vec<String>, &'a [EpochRecord]);

/// A column of it.
type Column = (&'static str, fn(&Validation) -> f64);

/// Every epoch of every training; `names` are of the columns that say which.
pub(super) fn epochs<'a>(
    title: &str,
    file: &'static str,
    caption: &str,
    names: &[&str],
    all: impl Iterator<Item = History<'a>>,
) -> Table {
    const OF: [Column; 5] = [
        ("mean IoU of images", |v| v.miou_image),
        ("mean IoU of pixels", |v| v.miou_dataset),
        ("Dice", |v| v.dice),
        ("IoU", |v| v.iou),
        ("wrong", |v| v.wrong),
    ];
    let columns = names.iter().copied().chain(["epoch", "loss"]).chain(OF.map(|(name, _)| name));
    let row = |who: &[String], record: &EpochRecord| {
        let found = record.validation.as_ref();
        let cells = OF.map(|(_, of)| found.map_or_else(|| "–".to_owned(), |v| format!("{:.5}", of(v))));
        let start = who.iter().cloned().chain([record.epoch.to_string(), format!("{:.5}", record.loss)]);
        start.chain(cells).collect::<Vec<String>>()
    };
    Table {
        title: title.to_owned(),
        file,
        caption: caption.to_owned(),
        columns: columns.map(str::to_owned).collect(),
        rows: all.flat_map(|(who, records)| records.iter().map(|r| row(&who, r)).collect::<Vec<_>>()).collect(),
    }
}
