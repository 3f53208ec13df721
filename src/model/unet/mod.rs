//! U-Net (Ronneberger, Fischer, Brox, MICCAI 2015), configurable, with the presets that the papers use.

mod config;
mod network;

pub use config::{Downsampling, Padding, UNetConfig, Upsampling};
pub use network::{ConvUnit, DoubleConv, UNet, UpBlock};
pub(super) use network::{cropped, interpolated};
