//! What can go wrong while a report is made.

use crate::attack::AttackError;
use crate::data::DataError;
use crate::model::ModelError;
use crate::view::ViewError;

/// Why a figure, panel or report could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model or its device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The attack failed.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// A picture's arrays do not fit.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A figure could not be drawn.
    #[error("could not draw the figure: {0}")]
    Figure(String),
    /// A picture could not be encoded or decoded.
    #[error("could not encode a picture: {0}")]
    Picture(#[from] image::ImageError),
    /// The file's ending is of no known format.
    #[error("{0}: figures are written as .svg or .png. Choose a name with one of these endings")]
    FigureFormat(String),
}
