//! The labelled images of a data set, read for a training: what their masks' values mean, which belong together, and how
//! large they are to be.

use super::split::Member;
use crate::data::dataset::MaskSource;
use crate::data::{Bounds, Case, DataError, Dataset, Image, LabelMap, LabelStack, Mask, Stack, open};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Images of a data set that have masks; nothing of it is decoded yet.
pub struct Collection {
    set: Dataset,
    entries: Vec<usize>,
}

impl Collection {
    /// The labelled images of a folder, or the slices of a file that has a mask beside it.
    ///
    /// # Errors
    /// If there are none.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let never = AtomicBool::new(false);
        let set = Dataset::find(path, &never, &|_| ())?;
        Self::of(set, path)
    }

    /// The slices of `image`, with those of `label`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of_files(image: &Path, label: &Path) -> Result<Self, DataError> {
        let never = AtomicBool::new(false);
        let (stack, mask) = (open(image, &never)?, LabelStack::open(label, &never)?);
        mask.check_fits(&stack)?;
        let set = Dataset::of_stack(&stack, Some(label))
            .ok_or_else(|| DataError::new(image, "is not a file", "Name an image or a stack"))?;
        Self::of(set, image)
    }

    fn of(set: Dataset, path: &Path) -> Result<Self, DataError> {
        let entries: Vec<usize> = (0..set.entries.len()).filter(|&i| set.entries[i].mask.is_some()).collect();
        if entries.is_empty() {
            let cause = format!("has {} images and none has a mask", set.entries.len());
            let hint = "Put masks beside the images, for example in images/ and masks/ under the same names; `epsiloscope dataset` says what it finds";
            return Err(DataError::new(path, cause, hint));
        }
        Ok(Self { set, entries })
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The data set's name.
    pub fn name(&self) -> &str {
        &self.set.name
    }

    /// Reads all of them, each with what a split needs to know.
    ///
    /// # Errors
    /// If one cannot be read or does not fit its mask, or no mask has a value of class 0, or of class 1.
    pub fn cases(&self, map: &LabelMap) -> Result<Vec<(Case, Member)>, DataError> {
        let opened = self.read()?;
        let values: BTreeSet<u32> = opened.iter().flat_map(|opened| opened.mask.values.iter().copied()).collect();
        for class in [0, 1] {
            if !values.iter().any(|&value| map.class_of(value) == class) {
                let found: Vec<String> = values.iter().map(u32::to_string).collect();
                let cause = format!("has no mask with a value of class {class}; its values are {}", found.join(", "));
                let hint = "Say what they mean, e.g. --label-map 0=membrane,255=cell";
                return Err(DataError::new(&self.set.path, cause, hint));
            }
        }
        opened.into_iter().map(|opened| opened.case(map)).collect()
    }

    /// The same where nobody says what the masks' values mean: of two classes 0 is the first and anything else the second; of
    /// more, values in ascending order are the classes. With what was guessed.
    ///
    /// # Errors
    /// As [`Self::cases`], or if there are more values than classes.
    pub fn guessed(&self, classes: usize) -> Result<(Vec<(Case, Member)>, LabelMap), DataError> {
        let opened = self.read()?;
        let values: BTreeSet<u32> = opened.iter().flat_map(|opened| opened.mask.values.iter().copied()).collect();
        if classes > 2 && values.len() > classes {
            let found: Vec<String> = values.iter().map(u32::to_string).collect();
            let cause = format!("has masks with the values {} for {classes} classes", found.join(", "));
            return Err(DataError::new(&self.set.path, cause, "Say what they mean with a label map"));
        }
        let class = |(place, &value): (usize, &u32)| match classes {
            0..=2 => (value, u8::from(value != 0)),
            _ => (value, u8::try_from(place).unwrap_or(u8::MAX)),
        };
        let map = LabelMap { entries: values.iter().enumerate().map(class).collect() };
        let cases = opened.into_iter().map(|opened| opened.case(&map)).collect::<Result<_, _>>()?;
        Ok((cases, map))
    }

    /// Every file once: slices of one volume follow one another.
    fn read(&self) -> Result<Vec<Opened>, DataError> {
        let never = AtomicBool::new(false);
        let mut stack: Option<(Arc<Path>, Arc<Stack>)> = None;
        let mut label: Option<(Arc<Path>, Arc<LabelStack>)> = None;
        let mut found = Vec::with_capacity(self.entries.len());
        for &index in &self.entries {
            let entry = &self.set.entries[index];
            let file = &entry.image.file;
            let image = match stack.take().filter(|(path, _)| path == file) {
                Some((_, image)) => image,
                None => Arc::new(open(file, &never)?),
            };
            stack = Some((file.clone(), image.clone()));
            let mask = match &entry.mask {
                Some(MaskSource::File(place)) => {
                    let mask = match label.take().filter(|(path, _)| *path == place.file) {
                        Some((_, mask)) => mask,
                        None => Arc::new(LabelStack::open(&place.file, &never)?),
                    };
                    label = Some((place.file.clone(), mask.clone()));
                    mask.check_fits(&image)?;
                    mask
                }
                _ => {
                    let opened = self.set.open_entry(index, &never)?;
                    match (opened.mask, opened.mask_error) {
                        (Some(mask), _) => mask,
                        (None, Some(error)) => return Err(error),
                        (None, None) => continue,
                    }
                }
            };
            let group = entry.group.as_ref().map_or_else(|| file.display().to_string(), ToString::to_string);
            let member = Member { group, split: entry.split.as_ref().map(ToString::to_string) };
            found.push(Opened { name: entry.name.to_string(), stack: image, slice: entry.image.slice, mask, member });
        }
        Ok(found)
    }
}

/// An image with its mask, before it is known what the mask's values mean.
struct Opened {
    name: String,
    stack: Arc<Stack>,
    slice: usize,
    mask: Arc<LabelStack>,
    member: Member,
}

impl Opened {
    fn case(self, map: &LabelMap) -> Result<(Case, Member), DataError> {
        let mut case = Case::from_slice(&self.stack, self.slice, self.name)?;
        case.label = self.mask.mask(self.slice, map);
        Ok((case, self.member))
    }
}

/// The case with its image and mask of another size: the image by averaging over what a pixel covers (triangle filter), the
/// mask by its nearest pixel.
///
/// # Errors
/// If the image holds fewer values than it says.
pub fn resized(case: &Case, [height, width]: [usize; 2]) -> Result<Case, DataError> {
    let [old_height, old_width] = case.size();
    if [old_height, old_width] == [height, width] {
        return Ok(case.clone());
    }
    let fault = || DataError::new(&case.name, "cannot be resized", "Choose a smaller size");
    let side = |n: usize| u32::try_from(n).map_err(|_| fault());
    let (old, new) = ([side(old_height)?, side(old_width)?], [side(height)?, side(width)?]);
    let mut pixels = Vec::with_capacity(case.image.channels * height * width);
    let Bounds { lower, upper } = case.bounds;
    for plane in case.image.pixels.chunks(old_height * old_width) {
        // The filter works on [0, 1].
        let unit: Vec<f32> = plane.iter().map(|v| (v - lower) / (upper - lower)).collect();
        let picture: ImageBuffer<Luma<f32>, Vec<f32>> =
            ImageBuffer::from_raw(old[1], old[0], unit).ok_or_else(fault)?;
        let small = resize(&picture, new[1], new[0], FilterType::Triangle);
        pixels.extend(small.into_raw().into_iter().map(|v| (v * (upper - lower) + lower).clamp(lower, upper)));
    }
    let label = case.label.as_ref().map(|mask| {
        let near = |i: usize, new: usize, old: usize| ((2 * i + 1) * old / (2 * new)).min(old - 1);
        let class = |i: usize| {
            let (row, column) = (near(i / width, height, old_height), near(i % width, width, old_width));
            mask.classes[row * old_width + column]
        };
        Mask { height, width, classes: (0..height * width).map(class).collect() }
    });
    let image = Image::new(case.image.channels, height, width, pixels).ok_or_else(fault)?;
    Ok(Case { image, label, ..case.clone() })
}
