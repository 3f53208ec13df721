//! A case: one image, what is known about it, and its label if there is one.

use super::{Bounds, Image, Mask, StoredType};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a case came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The file, if any.
    pub path: Option<PathBuf>,
    /// Slice index in that file, from 0.
    pub slice: usize,
    /// Number of slices in that file.
    pub slices: usize,
}

/// What is attacked: an image in pixel units with its bounds and, if known, its label.
#[derive(Clone, Debug)]
pub struct Case {
    /// A short name for people and file names.
    pub name: String,
    /// `[channels, height, width]` in pixel units.
    pub image: Image,
    /// Scaled to `[0, 1]`; adversarial images are clipped to them.
    pub bounds: Bounds,
    /// The type the pixels were stored in: what a saved adversarial image is quantised to.
    pub stored: StoredType,
    /// Class indices, of the image's size.
    pub label: Option<Mask>,
    /// Pixel spacing in mm, rows then columns, where known.
    pub spacing: Option<[f32; 2]>,
    /// Where it came from.
    pub provenance: Provenance,
}

impl Case {
    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.image.height, self.image.width]
    }
}
