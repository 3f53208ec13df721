//! Images and stacks back to files, one file a format: PNG, TIFF, NumPy, NIfTI and DICOM, each whole or not at all. What is
//! known of spacing, orientation and stored numbers goes with the pixels; what tells who the patient is does not.

mod atomic;
mod dicom;
mod nifti;
mod npy;
mod raster;
mod tiff;

pub use atomic::{write_atomic, write_bytes_atomic};
pub use npy::write_npy;
pub use raster::{file_ending, quantise, write_image, write_png, write_tiff};

use super::{About, Axis, Bounds, DataError, Grid, IdentifyingElement, Image, Mask, Pixels, Stack, StoredType};
use std::path::Path;
use std::sync::Arc;

/// A format that is written, by the ending of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// `.png`: one slice, integers.
    Png,
    /// `.tif`, `.tiff`: integers at their depth, all else as 32-bit floats; the spacing as resolution.
    Tiff,
    /// `.npy`: 32-bit floats.
    Npy,
    /// `.nii`, `.nii.gz`: stored numbers with their scale, spacing, affine.
    Nifti {
        /// Whether it is compressed.
        gzip: bool,
    },
    /// `.dcm`: one slice.
    Dicom,
    /// A folder, or a name that ends in `/`: a file for each slice.
    DicomSeries,
}

impl FileFormat {
    /// The endings, for people.
    pub const ENDINGS: &str = ".png, .tif, .npy, .nii, .nii.gz or .dcm, or in / for a folder with a DICOM series";

    /// Those that hold a volume, for people.
    pub const VOLUME_ENDINGS: &str = ".tif, .npy, .nii or .nii.gz, or in / for a folder with a DICOM series";

    /// The format that the name of `path` asks for.
    ///
    /// # Errors
    /// If its ending is none of [`Self::ENDINGS`].
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let name = path.to_string_lossy().to_lowercase();
        Ok(match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            _ if name.ends_with(['/', std::path::MAIN_SEPARATOR]) || path.is_dir() => Self::DicomSeries,
            "png" => Self::Png,
            "tif" | "tiff" => Self::Tiff,
            "npy" => Self::Npy,
            "nii" => Self::Nifti { gzip: false },
            "gz" if name.ends_with(".nii.gz") => Self::Nifti { gzip: true },
            "dcm" | "dicom" => Self::Dicom,
            _ => {
                let hint = format!("Let the name end in {}", Self::ENDINGS);
                return Err(DataError::new(path, "has no ending of an image file that is written", hint));
            }
        })
    }
}

/// How an image that is written came to be: what files say that have room for it.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// In a few words of ASCII: `Adversarial image`.
    pub title: String,
    /// In a sentence of ASCII.
    pub description: String,
    /// Whether its pixels are no measurement: made up, or changed by an attack.
    pub synthetic: bool,
    /// What a person asked to be kept that tells who the patient is. Only DICOM has room for it.
    pub identifying: Vec<IdentifyingElement>,
    /// Whether DICOM's pixels are compressed, without loss (JPEG-LS). Fewer programs read such files.
    pub compressed: bool,
    /// Identifiers of DICOM follow from this; without it they are new each time.
    pub seed: Option<u64>,
}

/// Writes all slices of `stack` in the format that `path` asks for; whole or not at all.
///
/// # Errors
/// If the format cannot hold the stack (PNG and `.dcm` hold one slice, PNG no floats), or as [`write_atomic`].
pub fn write_stack(path: &Path, stack: &Stack, made: &Made) -> Result<(), DataError> {
    match FileFormat::of(path)? {
        FileFormat::Png => {
            let image = only_slice(path, stack, "a PNG")?;
            raster::write_png(path, &image, stack.stored())
        }
        FileFormat::Tiff => tiff::write(path, stack, made),
        FileFormat::Npy => npy::write(path, stack),
        FileFormat::Nifti { gzip } => nifti::write(path, stack, made, gzip),
        FileFormat::Dicom => {
            only_slice(path, stack, "a .dcm file")?;
            dicom::write(path, stack, made)
        }
        FileFormat::DicomSeries => dicom::write_series(path, stack, made),
    }
}

fn only_slice(path: &Path, stack: &Stack, what: &str) -> Result<Image, DataError> {
    match stack.slice(0) {
        Some(image) if stack.slices == 1 => Ok(image),
        _ => {
            let cause = format!("holds one slice as {what}, and there are {}", stack.slices);
            let hint = format!("Choose a slice, or let the name end in {}", FileFormat::VOLUME_ENDINGS);
            Err(DataError::new(path, cause, hint))
        }
    }
}

/// The numbers that a file of `stored` values, of which it says `about`, holds; `None` for floats.
pub fn grid_of(stored: StoredType, about: &About) -> Option<Grid> {
    let plain = |least, most| Grid { slope: 1.0, intercept: 0.0, least, most };
    match stored {
        _ if about.grid.is_some() => about.grid,
        StoredType::U8 => Some(plain(0.0, 255.0)),
        StoredType::U16 => Some(plain(0.0, 65_535.0)),
        StoredType::I16 => Some(plain(-32_768.0, 32_767.0)),
        StoredType::F32 => None,
    }
}

/// The number that a 32-bit float is printed as: 2.4 and not 2.400000095.
fn printed(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Values in the type that a file stores, which must hold them.
pub(super) fn stored_pixels(stored: StoredType, values: impl Iterator<Item = f32>) -> Pixels {
    match stored {
        StoredType::U8 => Pixels::U8(values.map(|v| v as u8).collect()),
        StoredType::U16 => Pixels::U16(values.map(|v| v as u16).collect()),
        StoredType::I16 => Pixels::I16(values.map(|v| v as i16).collect()),
        StoredType::F32 => Pixels::F32(values.collect()),
    }
}

impl Stack {
    /// Slice `index` alone, where it lies in the patient; `None` past the last slice.
    pub fn only(&self, index: usize) -> Option<Self> {
        let pixels = stored_pixels(self.stored(), self.slice(index)?.pixels.iter().copied());
        Some(Self {
            slices: 1,
            axis: Axis::Slices,
            about: Arc::new(self.about.of_slice(index)),
            pixels,
            ..self.clone()
        })
    }

    /// Slices like those of this stack with other values, `[slices, channels, height, width]` in pixel units, rounded to what
    /// its file can store.
    ///
    /// # Errors
    /// If there are more or fewer values than pixels, or some are not finite.
    pub fn with_values(&self, mut values: Vec<f32>) -> Result<Self, DataError> {
        let grid = grid_of(self.stored(), &self.about);
        if let Some(grid) = grid {
            values.iter_mut().for_each(|v| *v = grid.round(*v));
        }
        let pixels = stored_pixels(self.stored(), values.into_iter());
        if pixels.len() != self.pixels.len() {
            return Err(DataError::new(self.name(), format!("has {} pixels", self.pixels.len()), ""));
        }
        if let Pixels::F32(values) = &pixels
            && values.iter().any(|v| !v.is_finite())
        {
            return Err(DataError::new(self.name(), "got values that are not finite", ""));
        }
        Ok(Self { pixels, path: None, axis: Axis::Slices, ..self.clone() })
    }

    /// Class indices of all slices as a stack that lies where this one does. With `spread`, two classes are 0 and 255, so that
    /// a picture shows them.
    ///
    /// # Errors
    /// If a mask is of another size, or there is not one for each slice.
    pub fn with_masks(&self, masks: &[Mask], spread: bool) -> Result<Self, DataError> {
        let fits = |mask: &Mask| [mask.height, mask.width] == [self.height, self.width];
        if masks.len() != self.slices || !masks.iter().all(fits) {
            return Err(DataError::new(self.name(), "has masks of another size or number", ""));
        }
        let most = masks.iter().flat_map(|mask| mask.classes.iter()).copied().max();
        let factor = if spread && most == Some(1) { 255 } else { 1 };
        let pixels: Arc<[u8]> = masks.iter().flat_map(|mask| mask.classes.iter().map(|&c| c * factor)).collect();
        let About { spacing, affine, .. } = *self.about;
        let about = About { spacing, affine, numbers: "uint8", ..About::default() };
        let stack = Self::new([self.slices, 1, self.height, self.width], Pixels::U8(pixels))?;
        Ok(Self { about: about.into(), ..stack })
    }

    /// Slice `index` as it is displayed at first, under the window that its file wishes: 8 bits, `[channels, height, width]`
    /// in 0–255; `None` past the last slice.
    pub fn displayed(&self, index: usize) -> Option<Image> {
        let image = self.slice(index)?;
        let Bounds { lower, .. } = self.shown;
        let (lower, width) = (f64::from(lower), f64::from(self.shown.width()));
        let show = |&v: &f32| (255.0 * (f64::from(v) - lower) / width).round().clamp(0.0, 255.0) as f32;
        Some(Image { pixels: image.pixels.iter().map(show).collect(), ..image })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_decide() {
        let of = |name: &str| FileFormat::of(Path::new(name)).ok();
        assert_eq!(of("a.b/c.NII.gz"), Some(FileFormat::Nifti { gzip: true }));
        assert_eq!(of("c.nii"), Some(FileFormat::Nifti { gzip: false }));
        assert_eq!(of("series/"), Some(FileFormat::DicomSeries));
        assert_eq!((of("c.gz"), of("c"), of("c.jpg")), (None, None, None));
    }

    #[test]
    fn what_is_displayed_is_windowed() {
        let stack = Stack::new([1, 1, 1, 4], Pixels::F32([-500.0, -100.0, 0.0, 900.0].into())).unwrap();
        let stack = Stack { shown: Bounds { lower: -100.0, upper: 100.0 }, ..stack };
        assert_eq!(&stack.displayed(0).unwrap().pixels[..], [0.0, 0.0, 128.0, 255.0]);
        assert!(stack.displayed(1).is_none());
    }
}
