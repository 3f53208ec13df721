//! Models: anything that turns images into logits, with a card that says how. Built-in networks and loaded graphs are
//! the same thing to everyone else. Nothing here knows attacks, workers or windows.

mod built_in;
mod card;
mod error;
mod fit;
mod frozen;
mod memory;
pub mod onnx;
mod predict;
mod prepare;
mod resize;
pub mod unet;

pub use built_in::{BuiltIn, read_network};
pub use card::{
    Activation, ChannelOrder, ClassInfo, Colour, Head, InputRule, ModelCard, OutputRule, SizeRule, Task, ZScore,
};
pub use error::ModelError;
pub use memory::check_room;
pub use predict::{Prediction, predict};

use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a model puts out before its final activation.
#[derive(Clone, Debug)]
pub enum Logits {
    /// `[batch, outputs, height, width]`: one output (sigmoid) or one per class (softmax).
    Dense(Tensor<4>),
    /// `[batch, classes]`.
    Class(Tensor<2>),
}

impl Logits {
    /// The same values as constants.
    #[must_use]
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Dense(z) => Self::Dense(z.without_autodiff()),
            Self::Class(z) => Self::Class(z.without_autodiff()),
        }
    }
}

/// A network in evaluation mode, frozen, with its preprocessing inside, so that gradients flow through all of it.
pub trait Model: Send + Sync {
    /// What it is and how to use it.
    fn card(&self) -> &ModelCard;

    /// Logits for images `x`, `[batch, channels, height, width]`, scaled so that the case's bounds are `[0, 1]`.
    /// Dense logits have the height and width of `x`, whatever the card's size rule says: padding and tiling
    /// happen inside and are cut back exactly. `x` may be tracked by autodiff; the weights never are.
    ///
    /// # Errors
    /// If `x` has a size or a number of channels that the model cannot take, or the device fails (which may also surface
    /// where the values are read).
    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError>;

    /// Bytes that the gradient at an image of `height` × `width` pixels takes at its peak, about.
    fn working_bytes(&self, height: usize, width: usize) -> u64;

    /// Where it computes.
    fn device(&self) -> Device;

    /// The same model on another device.
    fn to_device(&self, device: &Device) -> Arc<dyn Model>;
}
