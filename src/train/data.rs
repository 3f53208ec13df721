//! What is trained on: cases read from files, or sections generated as they are needed.

use super::{Collection, TrainError};
use crate::data::synthetic::MembranesConfig;
use crate::data::{Case, DataError, LabelMap, LabelStack, Stack};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where crops come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Labelled cases; crops are cut at random.
    Cases(Arc<[Case]>),
    /// Synthetic sections, a fresh one for every crop.
    Synthetic {
        /// How they vary; the size is set by the recipe.
        config: Box<MembranesConfig>,
        /// Of the first section.
        seed: u64,
        /// Sections an epoch.
        count: usize,
    },
}

/// What is trained on and what tells how well.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// Trained on.
    pub train: Source,
    /// Never trained on; may be empty.
    pub validate: Arc<[Case]>,
}

impl Source {
    /// Crops of `crop`² pixels an epoch: for cases as many as show each pixel once on average.
    pub fn crops(&self, crop: usize) -> usize {
        match self {
            Self::Cases(cases) => {
                let pixels: usize = cases.iter().map(|c| c.image.height * c.image.width).sum();
                pixels.div_ceil(crop.max(1) * crop.max(1)).max(1)
            }
            Self::Synthetic { count, .. } => (*count).max(1),
        }
    }

    /// A line for people and for checkpoints: what it is, not where.
    pub fn describe(&self) -> String {
        match self {
            Self::Cases(cases) => {
                let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
                match names.as_slice() {
                    [only] => format!("1 labelled image ({only})"),
                    [first, .., last] => format!("{} labelled images ({first} … {last})", names.len()),
                    [] => "no images".to_owned(),
                }
            }
            Self::Synthetic { seed, count, .. } => {
                format!("synthetic membranes, {count} fresh sections an epoch from seed {seed}")
            }
        }
    }

    /// Says what cannot be trained on.
    ///
    /// # Errors
    /// If there is nothing, a case has no label, or its channels do not fit the network.
    pub fn check(&self, channels: usize) -> Result<(), TrainError> {
        let Self::Cases(cases) = self else { return Ok(()) };
        if cases.is_empty() {
            return Err(TrainError::Recipe("there are no images to train on".to_owned()));
        }
        for case in cases.iter() {
            let Some(label) = &case.label else {
                return Err(TrainError::Recipe(format!("{} has no label to train on", case.name)));
            };
            if [label.height, label.width] != case.size() {
                return Err(TrainError::Recipe(format!("the label of {} is of another size", case.name)));
            }
            if case.image.channels != 1 && case.image.channels != channels {
                let found = case.image.channels;
                return Err(TrainError::Recipe(format!(
                    "{} has {found} channels and the network takes {channels}",
                    case.name
                )));
            }
        }
        Ok(())
    }
}

/// The slices `range` of an image stack with those of its label stack, as cases.
///
/// # Errors
/// If the stacks differ in size or number of slices, the range is outside of them, or no pixel is of class 1 (the
/// positive class) or none of class 0.
pub fn stack_cases(
    image: &Stack,
    label: &LabelStack,
    map: &LabelMap,
    range: Range<usize>,
) -> Result<Vec<Case>, DataError> {
    label.check_fits(image)?;
    let path = |p: &Option<PathBuf>| p.clone().unwrap_or_else(|| PathBuf::from(image.name()));
    let image_path = path(&image.path);
    if range.end > image.slices || range.is_empty() {
        let last = image.slices - 1;
        let cause = match range.end.saturating_sub(1) {
            end if end < range.start => "no slices are chosen".to_owned(),
            end => format!("has slices 0 to {last}, so not {} to {end}", range.start),
        };
        return Err(DataError::new(image_path, cause, "Choose slices that it has, e.g. 0-5"));
    }
    let name = image_path.file_stem().map_or_else(|| "image".to_owned(), |s| s.to_string_lossy().into_owned());
    let cases = range
        .map(|slice| {
            let name = if image.slices > 1 { format!("{name} slice {slice}") } else { name.clone() };
            let mut case = Case::from_slice(image, slice, name)?;
            case.label = label.mask(slice, map);
            Ok(case)
        })
        .collect::<Result<Vec<Case>, DataError>>()?;
    for class in [0, 1] {
        if !cases.iter().flat_map(|c| &c.label).any(|l| l.classes.contains(&class)) {
            let values: Vec<String> = label.values.iter().map(u32::to_string).collect();
            return Err(DataError::new(
                path(&label.path),
                format!(
                    "has no pixel of {}; its values are {}",
                    ["class 0 (cell)", "class 1 (membrane)"][usize::from(class)],
                    values.join(", ")
                ),
                "Say what they mean, e.g. --label-map 0=membrane,255=cell",
            ));
        }
    }
    Ok(cases)
}

/// The labelled images of a folder, as [`crate::data::Dataset`] finds them: in order of their paths, volumes slice by slice.
///
/// # Errors
/// If there are none, or one cannot be read or does not fit its mask.
pub fn folder_cases(folder: &Path, map: &LabelMap) -> Result<Vec<Case>, DataError> {
    Ok(Collection::open(folder)?.cases(map)?.into_iter().map(|(case, _)| case).collect())
}
