//! One entry of a data set, and how it is opened.

use super::Dataset;
use crate::data::{Case, DataError, IGNORE, LabelMap, LabelStack, Pixels, Stack, open};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A slice of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// A file, a folder with a DICOM series, or `ARCHIVE.npz/ARRAY`.
    pub file: Arc<Path>,
    /// The slice, from 0.
    pub slice: usize,
}

/// Where the mask of an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskSource {
    /// A slice of a file.
    File(Place),
    /// One file for each object; their union is the mask.
    Instances(Arc<[Arc<Path>]>),
}

/// One image of a data set with what is known of it. Nothing of it is decoded.
#[derive(Clone, Debug)]
pub struct Entry {
    /// A short name.
    pub name: Box<str>,
    /// The image.
    pub image: Place,
    /// Its mask.
    pub mask: Option<MaskSource>,
    /// Its class, an index into [`Dataset::classes`].
    pub class: Option<u16>,
    /// The part of the data set that it belongs to: `train`, `test`.
    pub split: Option<Arc<str>>,
    /// What it must not be parted from when a data set is divided: its patient, lesion or case.
    pub group: Option<Arc<str>>,
    /// `[channels, height, width]`, if the header says so.
    pub shape: Option<[usize; 3]>,
}

impl Entry {
    /// The file of the mask that a window names; of instances the first.
    pub fn mask_file(&self) -> Option<&Path> {
        match self.mask.as_ref()? {
            MaskSource::File(place) => Some(&place.file),
            MaskSource::Instances(files) => files.first().map(|file| &**file),
        }
    }
}

/// An entry that was read. Its stack knows the classes of its slices with their names.
#[derive(Clone, Debug)]
pub struct OpenedEntry {
    /// A short name.
    pub name: String,
    /// All slices of its file.
    pub stack: Arc<Stack>,
    /// The slice that is this entry.
    pub slice: usize,
    /// Its mask, of all slices of its file.
    pub mask: Option<Arc<LabelStack>>,
    /// Why there is no mask although the data set names one. The image is worth showing without it.
    pub mask_error: Option<DataError>,
}

impl OpenedEntry {
    /// The case that this entry is, with its class, and with its mask as `map` reads it.
    ///
    /// # Errors
    /// If its mask could not be read.
    pub fn case(self, map: &LabelMap) -> Result<Case, DataError> {
        if let Some(error) = self.mask_error {
            return Err(error);
        }
        let mut case = Case::from_slice(&self.stack, self.slice, self.name)?;
        case.label = self.mask.and_then(|mask| mask.mask(self.slice, map));
        Ok(case)
    }
}

impl Dataset {
    /// Opens entry `index`: its image, its mask and its class.
    ///
    /// # Errors
    /// If there is no such entry, or its image cannot be read, or `cancel` was set.
    pub fn open_entry(&self, index: usize, cancel: &AtomicBool) -> Result<OpenedEntry, DataError> {
        self.open_entry_with(index, cancel, &mut |path| open(path, cancel).map(Arc::new))
    }

    /// As [`Self::open_entry`]; `read` opens image files, and may know some that are open already.
    ///
    /// # Errors
    /// As [`Self::open_entry`].
    pub fn open_entry_with(
        &self,
        index: usize,
        cancel: &AtomicBool,
        read: &mut dyn FnMut(&Path) -> Result<Arc<Stack>, DataError>,
    ) -> Result<OpenedEntry, DataError> {
        let entry = self.entries.get(index).ok_or_else(|| {
            let count = self.entries.len();
            DataError::new(
                &self.path,
                format!("has {count} entries, and entry {index} was asked for"),
                "Entries count from 0",
            )
        })?;
        let stack = read(&entry.image.file)?;
        if entry.image.slice >= stack.slices {
            let cause = format!("has {} slices now, and slice {} was asked for", stack.slices, entry.image.slice);
            return Err(DataError::new(&entry.image.file, cause, "Open the data set again: the file has changed"));
        }
        let stack = self.with_classes(index, entry, stack);
        let (mask, mask_error) = match entry.mask.as_ref().map(|source| open_mask(source, &stack, cancel)) {
            Some(Err(error)) if error.is_cancelled() => return Err(error),
            Some(Err(error)) => (None, Some(error)),
            Some(Ok(mask)) => (Some(Arc::new(mask)), None),
            None => (None, None),
        };
        Ok(OpenedEntry { name: entry.name.to_string(), stack, slice: entry.image.slice, mask, mask_error })
    }

    /// The stack with the classes that the data set gives its slices.
    fn with_classes(&self, index: usize, entry: &Entry, stack: Arc<Stack>) -> Arc<Stack> {
        let first = index - entry.image.slice.min(index);
        let slices = self.entries.get(first..first + stack.slices).unwrap_or_default();
        let classes: Option<Arc<[u16]>> = slices.iter().map(|slice| slice.class).collect();
        let Some(classes) = classes.filter(|classes| !classes.is_empty()) else { return stack };
        let mut about = (*stack.about).clone();
        (about.classes, about.class_names) = (Some(classes), Some(self.classes.clone()));
        Arc::new(Stack { about: about.into(), ..(*stack).clone() })
    }
}

fn open_mask(source: &MaskSource, stack: &Stack, cancel: &AtomicBool) -> Result<LabelStack, DataError> {
    let mask = match source {
        MaskSource::File(place) => LabelStack::open(&place.file, cancel)?,
        MaskSource::Instances(files) => LabelStack::from_stack(&union(files, cancel)?)?,
    };
    mask.check_fits(stack)?;
    Ok(mask)
}

/// The union of the masks of single objects: 255 where any of them is not 0.
fn union(files: &[Arc<Path>], cancel: &AtomicBool) -> Result<Stack, DataError> {
    let mut whole: Option<(Stack, Vec<u8>)> = None;
    for file in files {
        let stack = open(file, cancel)?;
        let mask = LabelStack::from_stack(&stack)?;
        let values = mask.slice_values(0).unwrap_or_default();
        let (first, pixels) = whole.get_or_insert_with(|| (stack, vec![0; values.len()]));
        mask.check_fits(first)?;
        for (pixel, value) in pixels.iter_mut().zip(values) {
            if value != 0 {
                *pixel = IGNORE;
            }
        }
    }
    let Some((first, pixels)) = whole else { return Err(DataError::new("mask", "has no files", "")) };
    let stack = Stack::new([1, 1, first.height, first.width], Pixels::U8(pixels.into()))?;
    Ok(Stack { path: first.path, ..stack })
}
