//! The table `data` of a recipe: what is trained on, and who is held out.

use super::{Collection, Source, Split, SyntheticTable, TrainError, TrainingData, resized};
use crate::data::{Case, LabelMap};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The table `data`. Paths are relative to the recipe's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataTable {
    /// A folder, or a stack with its mask beside it.
    pub path: Option<PathBuf>,
    /// An image or stack, in place of a folder.
    pub image: Option<PathBuf>,
    /// Its mask.
    pub label: Option<PathBuf>,
    /// Membranes that are generated, in place of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<SyntheticTable>,
    /// What the masks' values mean: `0=membrane,255=cell`.
    pub label_map: Option<String>,
    /// The names of the classes; the second is the positive one.
    pub classes: Option<Vec<String>>,
    /// Height and width that images are brought to.
    pub resize: Option<[usize; 2]>,
    /// Who is held out.
    pub split: Option<Split>,
}

/// What a table names, read.
#[derive(Clone, Debug)]
pub struct DataRead {
    /// What is trained on, and what is held out.
    pub data: TrainingData,
    /// What people should know of the split ([`Split::note`]).
    pub note: Option<String>,
    /// The patient or volume of each held-out image; empty where sections are generated, each by itself.
    pub groups: Vec<String>,
    /// The same of the images that are trained on.
    pub train_groups: Vec<String>,
    /// What the masks' values were taken for: `0=membrane,255=cell`; empty where sections are generated.
    pub labels: String,
    /// Whether that was guessed.
    pub guessed: bool,
}

impl DataTable {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let fault = |field: &str, cause: &str| Err(TrainError::field(format!("data.{field}"), cause));
        if self.path.is_some() && (self.image.is_some() || self.label.is_some()) {
            return fault("path", "name a folder, or an image with its label, not both");
        }
        if let Some(synthetic) = &self.synthetic {
            if self.path.is_some() || self.image.is_some() {
                return fault("synthetic", "name files, or generate sections, not both");
            }
            if self.split.is_some() || self.resize.is_some() {
                return fault("synthetic", "sections are held out by a seed of their own, and have the crop's size");
            }
            synthetic.check()?;
        }
        if self.image.is_some() != self.label.is_some() {
            return fault(if self.image.is_some() { "image" } else { "label" }, "an image and its label go together");
        }
        if let Some(sides) = self.resize
            && sides.iter().any(|side| !(8..=4096).contains(side))
        {
            return fault("resize", "use sides of 8 to 4096 pixels");
        }
        if let (Some(map), Some(classes)) = (&self.label_map, &self.classes) {
            let names: Vec<&str> = classes.iter().map(String::as_str).collect();
            LabelMap::parse(map, &names).map_err(|e| TrainError::field("data.label-map", e.to_string()))?;
        }
        Ok(())
    }

    /// Reads the labelled images, resized where that is asked for, and divides them.
    ///
    /// # Errors
    /// If nothing is named, a file cannot be read, or the split cannot be made.
    pub fn open(&self, classes: &[String]) -> Result<TrainingData, TrainError> {
        Ok(self.read(classes)?.data)
    }

    /// The same, with what else is known of it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(&self, classes: &[String]) -> Result<DataRead, TrainError> {
        self.check()?;
        if let Some(synthetic) = &self.synthetic {
            let (groups, train_groups) = (Vec::new(), Vec::new());
            let (data, labels) = (synthetic.open(), String::new());
            return Ok(DataRead { data, note: None, groups, train_groups, labels, guessed: false });
        }
        let collection = match (&self.path, &self.image, &self.label) {
            (Some(path), ..) => Collection::open(path)?,
            (None, Some(image), Some(label)) => Collection::of_files(image, label)?,
            _ => return Err(TrainError::field("data", "name the data: a path, or an image with its label")),
        };
        let names: Vec<&str> = classes.iter().map(String::as_str).collect();
        let guessed = self.label_map.is_none();
        let (all, map) = match &self.label_map {
            Some(text) => {
                let map =
                    LabelMap::parse(text, &names).map_err(|e| TrainError::field("data.label-map", e.to_string()))?;
                (collection.cases(&map)?, map)
            }
            None => collection.guessed(classes.len())?,
        };
        let (mut cases, mut members) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
        for (case, member) in all {
            cases.push(match self.resize {
                Some(size) => resized(&case, size)?,
                None => case,
            });
            members.push(member);
        }
        let (train, held) = match &self.split {
            Some(split) => split.divide(&members)?,
            None => ((0..cases.len()).collect(), Vec::new()),
        };
        let of = |chosen: &[usize]| -> Vec<Case> { chosen.iter().map(|&i| cases[i].clone()).collect() };
        let note = self.split.as_ref().and_then(|split| split.note(&members));
        let groups_of =
            |chosen: &[usize]| -> Vec<String> { chosen.iter().map(|&i| members[i].group.clone()).collect() };
        let data = TrainingData { train: Source::Cases(of(&train).into()), validate: of(&held).into() };
        let (groups, train_groups, labels) = (groups_of(&held), groups_of(&train), map.to_text(&names));
        Ok(DataRead { data, note, groups, train_groups, labels, guessed })
    }
}
