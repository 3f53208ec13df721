//! What is going to be trained, or studied. Remembered from one start to the next.

use crate::engine::{DeviceChoice, StudyWish};
use crate::study::paper::Scale;
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
    /// How much of it.
    pub scale: Scale,
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
            scale: Scale::Quick,
            out: PathBuf::from("study"),
            unseen: PathBuf::new(),
        }
    }
}

impl StudyDraft {
    /// The same as a wish.
    pub fn wish(&self, resume: bool, device: DeviceChoice) -> StudyWish {
        let table = DataTable { path: Some(self.data.clone()), ..DataTable::default() };
        let data = if self.data.as_os_str().is_empty() { Vec::new() } else { vec![table] };
        let unseen = (self.asks_people() && !self.unseen.as_os_str().is_empty()).then(|| self.unseen.clone());
        let (name, out) = (self.name.clone(), self.out.clone());
        let by = match self.parted {
            Parted::AsTheStudy => None,
            Parted::Groups => Some(Unit::Group),
            Parted::Slices => Some(Unit::Slice),
        };
        StudyWish { name, data, by, scale: self.scale, unseen, resume, out, device }
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
    fn a_draft_survives_settings() {
        let draft = TrainDraft::default();
        let text = serde_json::to_string(&draft).unwrap();
        assert_eq!(serde_json::from_str::<TrainDraft>(&text).unwrap(), draft);
    }
}
