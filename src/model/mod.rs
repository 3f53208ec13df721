//! Models: anything that turns images into logits, with a card that says how. Built-in networks and loaded graphs are
//! the same thing to everyone else. Nothing here knows attacks, workers or windows.

mod about;
mod built_in;
mod card;
mod card_file;
mod describe;
mod error;
mod extent;
mod fit;
mod frozen;
mod graph;
mod guess;
mod interrupt;
mod layout;
mod memory;
pub mod onnx;
mod open;
mod predict;
mod prepare;
mod recompute;
mod resize;
mod tiles;
pub mod unet;
mod watch;
mod weights;

pub use about::{About, Facts};
pub use built_in::{BuiltIn, UNetFile, read_network};
pub use card::{
    Activation, ChannelOrder, ClassInfo, Colour, Head, ImageKind, InputRule, ModelCard, OutputRule, SizeRule, Task,
    ZScore,
};
pub use card_file::{CardFrom, read as read_card, write as write_card};
pub use describe::shortened;
pub use error::ModelError;
pub use graph::OnnxModel;
pub use interrupt::{check_wanted, interruptible};
pub use layout::Layout;
pub use memory::{check_room, set_usual_memory, within};
pub use open::{open, open_watched, open_with};
pub use predict::{Classified, Prediction, class_probabilities, classified, classify, on_device, predict, prediction};
pub use tiles::Tiles;
pub use watch::Watch;
pub(crate) use weights::safetensors_bytes;

use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What a model puts out before its final activation.
#[derive(Clone, Debug)]
pub enum Logits {
    /// `[batch, outputs, height, width]`: one output (sigmoid) or one per class (softmax).
    Dense(Tensor<4>),
    /// Of whole images, `[batch, outputs]`: one output (sigmoid) or one per class (softmax).
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

    /// Those of the images `index`, in that order.
    #[must_use]
    pub fn select(&self, index: &[usize]) -> Self {
        match self {
            Self::Dense(z) => Self::Dense(crate::tensor::rows(z.clone(), index)),
            Self::Class(z) => Self::Class(crate::tensor::rows(z.clone(), index)),
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

    /// What the network itself puts out for `x` as its input: nothing is scaled, padded or resized, and the final
    /// activation is left on.
    ///
    /// # Errors
    /// As [`Self::logits`].
    fn raw(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        self.logits(x)
    }

    /// Bytes that the gradient at an image of `height` × `width` pixels takes at its peak, about; where it is computed in tiles,
    /// in these.
    fn working_bytes(&self, height: usize, width: usize) -> u64;

    /// In which tiles an image of `height` × `width` pixels is computed; `None` as a whole.
    ///
    /// # Errors
    /// If its gradient takes more than there is, and tiles cannot help; the text says why.
    fn tiles(&self, _height: usize, _width: usize) -> Result<Option<Tiles>, String> {
        Ok(None)
    }

    /// Bytes that a gradient may take, if somebody said so; else what is free.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// The same model, whose gradients take at most so many bytes, in tiles where they would take more; `None` if it knows no
    /// tiles. [`within`] is for callers.
    fn within(&self, _bytes: u64) -> Option<Arc<dyn Model>> {
        None
    }

    /// Why it has no gradient with respect to the image, if it predicts and has none.
    fn lacks_gradient(&self) -> Option<&str> {
        None
    }

    /// Where it came from, and what a person should look at.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// What there is to know of it; figures are for an image of height and width `size`. May run the network.
    fn about(&self, size: [usize; 2]) -> About {
        let [height, width] = size;
        About { facts: self.facts(), size, gradient_bytes: self.working_bytes(height, width), ..About::default() }
    }

    /// The same weights used as another card says.
    ///
    /// # Errors
    /// If the card does not fit the network.
    fn with_card(&self, card: ModelCard) -> Result<Arc<dyn Model>, ModelError> {
        Err(ModelError::Card { name: card.name, cause: "this model’s card is part of it".to_owned() })
    }

    /// Where it computes.
    fn device(&self) -> Device;

    /// The same model on another device.
    fn to_device(&self, device: &Device) -> Arc<dyn Model>;
}
