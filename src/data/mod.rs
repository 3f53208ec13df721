//! Files in, host arrays out: images, stacks, labels and the [`Case`] that binds them. One file a format.
//!
//! [`open()`] reads, [`write_image`] and [`write_atomic`] write, and [`LabelStack`] and [`LabelMap`] make masks of label files.
//! Everything here is plain host memory in the file's own (pixel) units; no tensor, no burn, no egui. Every reader
//! returns a [`DataError`] that names the file, the cause and what would work, and caps what it allocates.

mod about;
mod axis;
mod case;
pub mod dataset;
mod dicom;
mod error;
mod first;
mod fnv;
mod hounsfield;
mod idx;
mod image;
mod label;
mod label_map;
mod nifti;
mod npy;
mod npz;
mod numbers;
mod open;
mod peek;
mod percentile;
mod raster;
mod region;
mod sample;
mod sniff;
mod stack;
pub mod synthetic;
mod thumbnail;
mod tiff;
mod write;

pub use about::{About, Grid, Unit};
pub use axis::Axis;
pub use case::{Case, ClassLabel, Provenance};
pub use dataset::Dataset;
pub use dicom::{IdentifyingElement, read_identifying};
pub use error::DataError;
pub use first::{First, FirstWish};
pub use fnv::Fnv;
pub use image::{Bounds, Image, StoredType};
pub use label::{IGNORE, LabelStack, MOST_LABEL_VALUES, Mask};
pub use label_map::{LabelMap, LabelMapError};
pub use npy::{NumberArray, read_npy};
pub use open::{LARGEST_DECODED_BYTES, open, open_bytes, open_showing_first, open_with_progress};
pub use region::{Region, Shape};
pub use sample::{BUNDLED_SAMPLE_NAME, Sample, bundled_sample};
pub use stack::{Pixels, Stack};
pub use thumbnail::{Placing, Thumbnail};
pub use write::{
    FileFormat, Made, file_ending, grid_of, quantise, write_atomic, write_bytes_atomic, write_image, write_npy,
    write_png, write_stack, write_tiff,
};
