//! What can go wrong with a model.

use std::path::{Path, PathBuf};

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model is missing, unreadable or of another network.
    #[error("{}: {cause}. {hint}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
        /// What would work.
        hint: String,
    },
    /// The card contradicts itself.
    #[error("the model card of {name} cannot be used: {cause}")]
    Card {
        /// The model's name.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// The image has a number of channels that the model does not take.
    #[error(
        "the image has {image} channels and the model takes {model}. Open a grey image, or one with {model} channels"
    )]
    Channels {
        /// Of the image.
        image: usize,
        /// Of the model.
        model: usize,
    },
    /// The label is not of the image's size.
    #[error("the label is {}×{} and the image {}×{} (width × height). Open a label of the image's size",
        .label[1], .label[0], .image[1], .image[0])]
    LabelSize {
        /// Height and width of the image.
        image: [usize; 2],
        /// Height and width of the label.
        label: [usize; 2],
    },
    /// The model classifies whole images where a segmentation is needed.
    #[error("the model classifies whole images; choose a segmentation model")]
    NotSegmentation,
    /// The model segments where a classification of whole images is needed.
    #[error(
        "the model segments images; choose a model that classifies whole images, or give a mask in place of a class"
    )]
    NotClassification,
    /// The image is so large that the computation would run out of memory.
    #[error("the image is {}×{} pixels (width × height): this model's gradient needs about {} of memory at that size, and \
             {} may be used.{} Crop the image, or use a smaller model",
        .image[1], .image[0], super::memory::gibibytes(*.needed), super::memory::gibibytes(*.free), .why)]
    TooLarge {
        /// Height and width.
        image: [usize; 2],
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
        /// Why tiles do not help, a sentence, if it is known.
        why: String,
    },
    /// It predicts, and nothing can be differentiated.
    #[error(
        "{model}: {cause}. Choose an attack that needs no gradient, as random signs, or a model whose scores are an output"
    )]
    NoGradient {
        /// The model's name.
        model: String,
        /// Where the gradient ends.
        cause: String,
    },
    /// The prediction is no number somewhere.
    #[error(
        "{model} predicts values that are not numbers at {pixels} of {of} pixels: its weights overflow on this image. \
         Choose another model"
    )]
    NotFinite {
        /// The model's name.
        model: String,
        /// Where the probability is NaN or infinite.
        pixels: usize,
        /// Pixels of the image.
        of: usize,
    },
    /// A class's logit is no number.
    #[error("{model} gives logits that are not numbers: its weights overflow on this image. Choose another model")]
    ClassesNotFinite {
        /// The model's name.
        model: String,
    },
    /// The image has a class that the model does not know.
    #[error("the class of the image is {class}, and the model knows {known}, counted from 0. Its card names them")]
    UnknownClass {
        /// Of the image.
        class: usize,
        /// How many the model knows.
        known: usize,
    },
    /// The image has other bounds than those that the card's window is told in.
    #[error("the model takes images whose bounds are {} to {}, and those of this image are {} to {}. Set the image’s bounds to \
             those",
        .needed[0], .needed[1], .bounds[0], .bounds[1])]
    Bounds {
        /// What the card demands.
        needed: [f32; 2],
        /// Of the image.
        bounds: [f32; 2],
    },
    /// The device failed: out of memory, lost, or a kernel did not run.
    #[error("the device failed: {0}. Choose another device, or a smaller image")]
    Device(String),
}

impl ModelError {
    /// An error about a file.
    pub fn file(path: impl AsRef<Path>, cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::File { path: path.as_ref().to_owned(), cause: cause.into(), hint: hint.into() }
    }

    /// Refuses a model that has no gradient.
    ///
    /// # Errors
    /// That it has none, and why.
    pub fn check_gradient(model: &dyn super::Model) -> Result<(), Self> {
        match model.lacks_gradient() {
            None => Ok(()),
            Some(cause) => Err(Self::NoGradient { model: model.card().name.clone(), cause: cause.to_owned() }),
        }
    }

    /// An error of the device.
    pub fn device(error: impl std::fmt::Display) -> Self {
        Self::Device(error.to_string())
    }
}
