//! Measures: of masks against masks, of an adversarial image against its original. On host arrays.

mod distortion;
mod rand_score;
mod segmentation;

pub use distortion::{Distortion, distortion};
pub use rand_score::{RandScore, components, membrane_rand_score, rand_score, thin_borders};
pub use segmentation::{Confusion, Overlap, PixelError, segmentation};
