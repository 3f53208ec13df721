//! Measures: of masks against masks, of an adversarial image against its original. On host arrays.

mod butteraugli;
mod ciede2000;
mod colour;
mod distortion;
mod flip;
mod gmsd;
mod haarpsi;
mod pair;
mod plane;
mod rand_score;
mod segmentation;
mod ssim;
mod vif;

pub use butteraugli::butteraugli;
pub use ciede2000::ciede2000;
pub use distortion::{Distortion, distortion};
pub use flip::{flip, pixels_per_degree};
pub use gmsd::gmsd;
pub use haarpsi::haarpsi;
pub use pair::{ImagePair, MetricError, MetricMap};
pub use rand_score::{RandScore, components, membrane_rand_score, rand_score, thin_borders};
pub use segmentation::{Confusion, Overlap, PixelError, dice_of_classes, segmentation};
pub use ssim::{ms_ssim, ssim};
pub use vif::vif;
