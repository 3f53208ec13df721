//! Label masks, and the map from the values stored in a label file to a model's classes.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The class index of a pixel that counts nowhere: not in the loss, not in a measure.
pub const IGNORE: u8 = 255;

/// One mask of class indices, `[height, width]`, row-major. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height × width` class indices of the model card, or [`IGNORE`].
    pub classes: Arc<[u8]>,
}

/// Which stored value of a label file means which class of the model card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMap {
    /// Pairs of stored value and class index; a value that is not listed is ignored.
    pub entries: Vec<(u32, u8)>,
}
