//! Files in, host arrays out: images, stacks, labels and the [`Case`] that binds them. One file a format.
//!
//! Everything here is plain host memory in the file's own (pixel) units; no tensor, no burn, no egui. Every reader
//! returns a [`DataError`] that names the file, the cause and what would work, and caps what it allocates.

mod case;
mod error;
mod image;
mod label;
mod stack;
pub mod synthetic;
mod write;

pub use case::{Case, Provenance};
pub use error::DataError;
pub use image::{Bounds, Image, StoredType};
pub use label::{IGNORE, LabelMap, Mask};
pub use stack::{Pixels, Stack};
pub use write::{write_atomic, write_bytes_atomic};
