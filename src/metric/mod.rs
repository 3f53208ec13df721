//! Measures: of masks against masks, of an adversarial image against its original. On host arrays.

mod distortion;
mod segmentation;

pub use distortion::{Distortion, distortion};
pub use segmentation::{Confusion, Overlap, PixelError, segmentation};
