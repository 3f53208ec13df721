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
    /// The model classifies whole images where a segmentation is needed.
    #[error("the model classifies whole images; choose a segmentation model")]
    NotSegmentation,
    /// The device failed: out of memory, lost, or a kernel did not run.
    #[error("the device failed: {0}. Choose another device, or a smaller image")]
    Device(String),
}

impl ModelError {
    /// An error about a file.
    pub fn file(path: impl AsRef<Path>, cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::File { path: path.as_ref().to_owned(), cause: cause.into(), hint: hint.into() }
    }

    /// An error of the device.
    pub fn device(error: impl std::fmt::Display) -> Self {
        Self::Device(error.to_string())
    }
}
