//! What a training is made with and judged by: the files or the synthetic sections that the command line names.

use super::Train;
use crate::cli::progress::note;
use crate::data::{Case, LabelMap, LabelStack, open};
use crate::model::{ClassInfo, ModelCard};
use crate::train::{Recipe, RecipeFile, Source, SyntheticTable, TrainingData, folder_cases, stack_cases};
use anyhow::{Context, bail};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What the masks' values mean where nothing is said.
const MEMBRANES: &str = "0=membrane,255=cell";

impl Train {
    /// What is trained on: what a recipe names, unless other data are named on the command line.
    pub(super) fn training_data(&self, file: Option<&RecipeFile>, recipe: &Recipe) -> anyhow::Result<TrainingData> {
        if let Some((seed, count)) = synthetic(self.data.as_deref())? {
            if self.slices.is_some() || self.validate.is_some() {
                bail!("--slices and --validate choose among files; synthetic data validate on seeds of their own");
            }
            let table = SyntheticTable::default();
            return Ok(SyntheticTable { seed, sections: count.unwrap_or(table.sections), ..table }.open());
        }
        if let Some(file) = file {
            if self.slices.is_some() || self.validate.is_some() {
                bail!("--slices and --validate are for trainings without a recipe: its split says who is held out");
            }
            let mut table = file.data.clone();
            if let Some(folder) = &self.data {
                (table.path, table.image, table.label, table.synthetic) = (Some(folder.into()), None, None, None);
            } else if self.image.is_some() {
                (table.path, table.synthetic) = (None, None);
                (table.image, table.label) = (self.image.clone(), self.label.clone());
            }
            table.label_map = self.label_map.clone().or(table.label_map);
            let read = table.read(&recipe.classes)?;
            if let Some(said) = read.note {
                note(&format!("note: {said}\n"));
            }
            return Ok(read.data);
        }
        let card = membrane_card();
        let train = self.cases(&card, self.slices.as_deref())?;
        let validate = match &self.validate {
            Some(range) => self.cases(&card, Some(range))?,
            None => Vec::new(),
        };
        let places = |cases: &[Case]| -> Vec<_> { cases.iter().map(|c| c.provenance.clone()).collect() };
        let trained_on = places(&train);
        if places(&validate).iter().any(|p| trained_on.contains(p)) {
            bail!("--validate names images that are also trained on. Use --slices to leave them out");
        }
        Ok(TrainingData { train: Source::Cases(train.into()), validate: validate.into() })
    }

    /// The cases of the files named on the command line.
    pub(super) fn cases(&self, card: &ModelCard, slices: Option<&str>) -> anyhow::Result<Vec<Case>> {
        let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
        let map = self.label_map.as_deref().unwrap_or(MEMBRANES);
        let map = LabelMap::parse(map, &names).context("--label-map")?;
        let range = |count: usize| slices.map_or(Ok(0..count), parse_range);
        match (&self.data, &self.image, &self.label) {
            (Some(folder), ..) => {
                let mut cases = folder_cases(Path::new(folder), &map)?;
                let range = range(cases.len())?;
                if range.end > cases.len() {
                    bail!("{folder}: has images 0 to {}, so not up to {}", cases.len() - 1, range.end - 1);
                }
                Ok(cases.drain(range).collect())
            }
            (None, Some(image), Some(label)) => {
                let never = AtomicBool::new(false);
                let (image, label) = (open(image, &never)?, LabelStack::open(label, &never)?);
                let range = range(image.slices)?;
                Ok(stack_cases(&image, &label, &map, range)?)
            }
            _ => bail!("name the data: --data FOLDER, --data synthetic:SEED, or --image with --label"),
        }
    }
}

/// The classes that a training of this program tells apart.
fn membrane_card() -> ModelCard {
    ModelCard { classes: vec![ClassInfo::new("cell"), ClassInfo::new("membrane")], ..ModelCard::default() }
}

/// Seed and number of sections of `synthetic:SEED[:SECTIONS]`; `None` for anything else.
pub(super) fn synthetic(data: Option<&str>) -> anyhow::Result<Option<(u64, Option<usize>)>> {
    let Some(rest) = data.and_then(|d| d.strip_prefix("synthetic")) else { return Ok(None) };
    let wrong = || format!("‘synthetic{rest}’: write synthetic:SEED or synthetic:SEED:SECTIONS with whole numbers");
    let mut parts = rest.strip_prefix(':').with_context(wrong)?.split(':');
    let seed = parts.next().and_then(|s| s.parse().ok()).with_context(wrong)?;
    let count =
        parts.next().map(|s| s.parse::<usize>().ok().filter(|n| (1..=10_000_000).contains(n)).with_context(wrong));
    if parts.next().is_some() {
        bail!(wrong());
    }
    Ok(Some((seed, count.transpose()?)))
}

/// `3-7` as 3..8, `3` as 3..4.
fn parse_range(text: &str) -> anyhow::Result<Range<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |s: &str| s.trim().parse::<usize>().ok().filter(|n| *n < usize::MAX);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..last + 1),
        _ => bail!("‘{text}’ is not a range of slices. Write for example 0-23, or 7"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_synthetic_sources_are_parsed_or_refused() {
        assert_eq!(parse_range("0-23").ok(), Some(0..24));
        assert_eq!(parse_range("7").ok(), Some(7..8));
        for bad in ["", "a", "5-3", "-1", "1-", "0-18446744073709551615"] {
            assert!(parse_range(bad).is_err(), "{bad}");
        }
        assert_eq!(synthetic(Some("synthetic:5")).ok(), Some(Some((5, None))));
        assert_eq!(synthetic(Some("synthetic:5:64")).ok(), Some(Some((5, Some(64)))));
        assert_eq!(synthetic(Some("folder")).ok(), Some(None));
        for bad in ["synthetic", "synthetic:", "synthetic:x", "synthetic:1:0", "synthetic:1:2:3"] {
            assert!(synthetic(Some(bad)).is_err(), "{bad}");
        }
    }
}
