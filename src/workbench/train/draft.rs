//! What is going to be trained, or studied. Remembered from one start to the next.

use crate::engine::{DeviceChoice, StudyWish};
use crate::study::paper::{Scale, StudyFile};
use crate::train::{DataTable, RecipeFile, SyntheticTable, Unit};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is going to be trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainDraft {
    /// How: the same file as `epsiloscope train --recipe` takes.
    pub recipe: RecipeFile,
    /// The weights to write.
    pub out: PathBuf,
    /// Which page of the panel is shown.
    pub page: TrainPage,
    /// The study that is going to be run.
    pub study: StudyDraft,
}

/// A page of the panel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrainPage {
    /// A training.
    #[default]
    Training,
    /// A paper's study.
    Study,
}

/// What a study never parts between training and held-out images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parted {
    /// What its file says.
    #[default]
    AsTheStudy,
    /// Patients or volumes.
    Groups,
    /// Nothing beyond slices.
    Slices,
}

impl Parted {
    /// None where the study says it.
    fn unit(self) -> Option<Unit> {
        match self {
            Self::AsTheStudy => None,
            Self::Groups => Some(Unit::Group),
            Self::Slices => Some(Unit::Slice),
        }
    }
}

/// One more data set of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StudySet {
    /// A folder with images and masks, or a stack with its mask beside it.
    pub data: PathBuf,
    /// What is never parted in it.
    pub parted: Parted,
}

/// A study that is going to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StudyDraft {
    /// Which.
    pub name: String,
    /// A folder with images and masks, or a stack with its mask beside it.
    pub data: PathBuf,
    /// What is never parted in it.
    pub parted: Parted,
    /// Further data sets, where the study takes several.
    pub more: Vec<StudySet>,
    /// What the values of all masks mean; none as the study says.
    pub label_map: Option<String>,
    /// How much of it.
    pub scale: Scale,
    /// Epochs of each training in place of the scale's.
    pub epochs: Option<usize>,
    /// Seeds in place of the scale's.
    pub seeds: Option<usize>,
    /// The folder for the report.
    pub out: PathBuf,
    /// Thresholds of observers; none if empty.
    pub unseen: PathBuf,
}

impl Default for StudyDraft {
    fn default() -> Self {
        Self {
            name: "advu-net".to_owned(),
            data: PathBuf::new(),
            parted: Parted::default(),
            more: Vec::new(),
            label_map: None,
            epochs: None,
            seeds: None,
            scale: Scale::Quick,
            out: PathBuf::from("study"),
            unseen: PathBuf::new(),
        }
    }
}

impl StudyDraft {
    /// The same as a wish.
    pub fn wish(&self, resume: bool, device: DeviceChoice) -> StudyWish {
        let more: &[StudySet] = if self.takes_several() { &self.more } else { &[] };
        let sets: Vec<(&PathBuf, Parted)> = std::iter::once((&self.data, self.parted))
            .chain(more.iter().map(|set| (&set.data, set.parted)))
            .filter(|(path, _)| !path.as_os_str().is_empty())
            .collect();
        let table = |(path, _): &(&PathBuf, Parted)| DataTable {
            path: Some((*path).clone()),
            label_map: self.label_map.clone(),
            ..DataTable::default()
        };
        let data = sets.iter().map(table).collect();
        // Said of one set it has to be said of each.
        let own = StudyFile::named(&self.name).map(|study| study.unit()).unwrap_or_default();
        let by = if sets.iter().all(|(_, parted)| *parted == Parted::AsTheStudy) {
            Vec::new()
        } else {
            sets.iter().map(|(_, parted)| parted.unit().unwrap_or(own)).collect()
        };
        let unseen = (self.asks_people() && !self.unseen.as_os_str().is_empty()).then(|| self.unseen.clone());
        let (name, out, scale) = (self.name.clone(), self.out.clone(), self.scale);
        let Self { epochs, seeds, .. } = *self;
        StudyWish { name, data, by, scale, epochs, seeds, unseen, resume, out, device }
    }

    /// Whether the study compares data sets.
    pub fn takes_several(&self) -> bool {
        self.name == "inverse-fgsm"
    }

    /// The path of a data set by its place.
    pub(super) fn path_mut(&mut self, place: usize) -> Option<&mut PathBuf> {
        match place {
            0 => Some(&mut self.data),
            _ => self.more.get_mut(place - 1).map(|set| &mut set.data),
        }
    }

    /// Whether the study tells what people see.
    pub fn asks_people(&self) -> bool {
        self.name == "advu-net"
    }
}

/// The synthetic sections of a first start: fewer than a recipe that says nothing has, so that an epoch is soon over.
pub fn first_sections() -> SyntheticTable {
    SyntheticTable { sections: 128, validate: 8, ..SyntheticTable::default() }
}

impl Default for TrainDraft {
    fn default() -> Self {
        let data = DataTable { synthetic: Some(first_sections()), ..DataTable::default() };
        Self {
            recipe: RecipeFile { data, ..RecipeFile::default() },
            out: PathBuf::from("trained.safetensors"),
            page: TrainPage::default(),
            study: StudyDraft::default(),
        }
    }
}

/// The same path with a number after its name, or the next number: `trained.safetensors`, `trained-2.safetensors`.
pub(super) fn next_name(out: &Path) -> PathBuf {
    let stem = out.file_stem().map_or_else(|| "trained".into(), |stem| stem.to_string_lossy().into_owned());
    let parted = stem.rsplit_once('-').and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    let (name, number) = parted.unwrap_or((&stem, 1));
    out.with_file_name(format!("{name}-{}.safetensors", number.saturating_add(1)))
}

/// The folder of a file that is to be written.
pub fn folder_of(out: &Path) -> PathBuf {
    out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_on() {
        for (name, next) in [("a.safetensors", "a-2.safetensors"), ("a-b-9.safetensors", "a-b-10.safetensors")] {
            assert_eq!(next_name(&Path::new("/x").join(name)), Path::new("/x").join(next));
        }
    }

    #[test]
    fn a_study_wishes_for_all_that_its_command_can() {
        let set = |data: &str, parted| StudySet { data: data.into(), parted };
        let mut draft = StudyDraft {
            name: "inverse-fgsm".to_owned(),
            data: "cells".into(),
            more: vec![set("", Parted::Slices), set("ct", Parted::Groups)],
            label_map: Some("0=foreground,255=background".to_owned()),
            epochs: Some(7),
            seeds: Some(5),
            ..StudyDraft::default()
        };
        let wish = draft.wish(true, DeviceChoice::default());
        let paths: Vec<_> = wish.data.iter().filter_map(|table| table.path.as_deref()).collect();
        assert_eq!(paths, [Path::new("cells"), Path::new("ct")], "a line without a path is none");
        assert!(wish.data.iter().all(|table| table.label_map == draft.label_map));
        // The first is as the study says, which has to be said once another is not.
        assert_eq!(wish.by, [Unit::Group, Unit::Group]);
        assert_eq!((wish.epochs, wish.seeds, wish.resume), (Some(7), Some(5), true));
        draft.more.clear();
        assert!(draft.wish(false, DeviceChoice::default()).by.is_empty());
        // The other study is of one data set, and its slices may be parted.
        draft.name = "advu-net".to_owned();
        draft.more = vec![set("ct", Parted::Groups)];
        assert_eq!(draft.wish(false, DeviceChoice::default()).data.len(), 1);
        assert_eq!(StudyFile::named("advu-net").unwrap().unit(), Unit::Slice);
        *draft.path_mut(1).unwrap() = "b".into();
        assert_eq!(draft.more[0].data, Path::new("b"));
        assert!(draft.path_mut(2).is_none());
    }

    #[test]
    fn a_draft_of_one_data_set_is_still_read() {
        let text = r#"{"name":"advu-net","data":"isbi","parted":"Slices","scale":"Quick","out":"study","unseen":""}"#;
        let draft: StudyDraft = serde_json::from_str(text).unwrap();
        let data = PathBuf::from("isbi");
        assert_eq!(draft, StudyDraft { data, parted: Parted::Slices, ..StudyDraft::default() });
    }

    #[test]
    fn a_draft_survives_settings() {
        let draft = TrainDraft::default();
        let text = serde_json::to_string(&draft).unwrap();
        assert_eq!(serde_json::from_str::<TrainDraft>(&text).unwrap(), draft);
    }
}
