//! Data sets: a named list of images with what is known of each (mask, class, split, patient), found in a folder or a file
//! without decoding a pixel.
//!
//! `scan` walks a folder, `peek` (beside this folder) reads headers, `names` knows what words in names mean, `pair` finds the
//! mask of each image, `table` reads `index.csv`, `find` puts it all together by rules that the data set states, and
//! `entry` opens one entry. What is ambiguous or left over is noted, never guessed in silence.

mod entry;
mod find;
mod names;
mod pair;
mod scan;
mod table;

pub use entry::{Entry, MaskSource, OpenedEntry, Place};
pub use names::is_named_mask;

use super::Stack;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No data set has more entries.
pub const MOST_ENTRIES: usize = 2_000_000;

/// A named list of images with their labels.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The folder or file.
    pub path: PathBuf,
    /// A short name for people.
    pub name: String,
    /// In natural order of their paths; slices of one file follow one another.
    pub entries: Vec<Entry>,
    /// The names of the classes, by index. Of files that number their classes, the numbers.
    pub classes: Arc<[Arc<str>]>,
    /// By which rules labels were found, for people: `Masks: the file of the same name in masks/`.
    pub rules: Vec<String>,
    /// What is ambiguous or left over, for people: `3 masks without an image: a.png, b.png, c.png`.
    pub notes: Vec<String>,
    /// The first entry of each file.
    firsts: HashMap<Arc<Path>, usize>,
}

impl Dataset {
    fn new(path: PathBuf, entries: Vec<Entry>) -> Self {
        let mut firsts = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.image.slice == 0 {
                firsts.insert(entry.image.file.clone(), index);
            }
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Self { path, name, entries, firsts, ..Self::default() }
    }

    /// The slices of a stack that is open, with the file of its masks if there is one.
    pub fn of_stack(stack: &Stack, mask: Option<&Path>) -> Option<Self> {
        let path = stack.path.clone()?;
        let (file, mask) = (Arc::<Path>::from(path.as_path()), mask.map(Arc::<Path>::from));
        let classes = stack.about.classes.as_ref();
        let stem = names::stem(&path);
        let digits = stack.slices.to_string().len();
        let entries = (0..stack.slices).map(|slice| Entry {
            name: names::slice_name(&stem, slice, stack.slices, digits).into(),
            image: Place { file: file.clone(), slice },
            mask: mask.clone().map(|file| MaskSource::File(Place { file, slice })),
            class: classes.and_then(|classes| classes.get(slice).copied()),
            split: None,
            group: None,
            shape: Some([stack.channels, stack.height, stack.width]),
        });
        let mut set = Self::new(path.clone(), entries.collect());
        if let Some(last) = classes.and_then(|classes| classes.iter().max()) {
            set.classes = match &stack.about.class_names {
                Some(names) => names.clone(),
                None => (0..=*last).map(|class| class.to_string().into()).collect(),
            };
        }
        Some(set)
    }

    /// The entry that is slice `slice` of `file`.
    pub fn position(&self, file: &Path, slice: usize) -> Option<usize> {
        let index = self.firsts.get(file)?.checked_add(slice)?;
        let place = &self.entries.get(index)?.image;
        (place.slice == slice && *place.file == *file).then_some(index)
    }

    /// The name of a class.
    pub fn class_name(&self, class: u16) -> Option<&Arc<str>> {
        self.classes.get(usize::from(class))
    }

    /// How many entries each class has, by index.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.entries.iter().filter_map(|entry| entry.class) {
            if let Some(count) = counts.get_mut(usize::from(class)) {
                *count += 1;
            }
        }
        counts
    }

    /// The names of the splits with how many entries each has, in order of their first entry.
    pub fn splits(&self) -> Vec<(Arc<str>, usize)> {
        let mut splits: Vec<(Arc<str>, usize)> = Vec::new();
        for split in self.entries.iter().filter_map(|entry| entry.split.as_ref()) {
            match splits.iter_mut().find(|(name, _)| name == split) {
                Some((_, count)) => *count += 1,
                None => splits.push((split.clone(), 1)),
            }
        }
        splits
    }

    /// How many different patients, lesions or cases the entries are of, where groups are known.
    pub fn groups(&self) -> usize {
        self.entries.iter().filter_map(|e| e.group.as_ref()).collect::<std::collections::HashSet<_>>().len()
    }

    /// The sizes that entries have, `[channels, height, width]`, the most frequent first.
    pub fn shapes(&self) -> Vec<([usize; 3], usize)> {
        let mut shapes: HashMap<[usize; 3], usize> = HashMap::new();
        for shape in self.entries.iter().filter_map(|entry| entry.shape) {
            *shapes.entry(shape).or_default() += 1;
        }
        let mut shapes: Vec<_> = shapes.into_iter().collect();
        shapes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        shapes
    }

    /// Number of image files.
    pub fn files(&self) -> usize {
        self.firsts.len()
    }

    /// How many entries have a mask.
    pub fn masks(&self) -> usize {
        self.entries.iter().filter(|entry| entry.mask.is_some()).count()
    }

    /// What it is, for people: `images with masks and classes`, `slices, some with masks`.
    pub fn kind(&self) -> String {
        let what = if self.entries.len() > self.files() { "slices" } else { "images" };
        let classes = self.entries.iter().any(|entry| entry.class.is_some());
        match (self.masks(), classes) {
            (0, false) => format!("{what} without labels"),
            (0, true) => format!("{what} with classes"),
            (masks, false) if masks < self.entries.len() => format!("{what}, some with masks"),
            (masks, true) if masks < self.entries.len() => format!("{what} with classes, some with masks"),
            (_, false) => format!("{what} with masks"),
            (_, true) => format!("{what} with masks and classes"),
        }
    }
}
