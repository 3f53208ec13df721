//! Which sizes a network takes.

use super::Task;
use serde::{Deserialize, Serialize};

/// Which image sizes the network itself takes; other sizes are brought to it inside the model and cut back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeRule {
    /// All.
    Any,
    /// Height and width are padded (by reflection) to a multiple of this.
    MultipleOf(usize),
    /// The network takes this height and width only: larger images are tiled with overlap, smaller ones padded. One
    /// number in the card is a square. For segmentation.
    #[serde(deserialize_with = "side_or_sides")]
    Tile([usize; 2]),
    /// The network takes this height and width only: images are resized to it (bilinear, antialiased), and dense
    /// logits back. One number in the card is a square.
    #[serde(deserialize_with = "side_or_sides")]
    Resize([usize; 2]),
}

impl SizeRule {
    /// Square tiles.
    pub fn tile(side: usize) -> Self {
        Self::Tile([side, side])
    }

    /// What is wrong with it for `task`, in the words of [`super::ModelCard::check`].
    pub(super) fn check(self, task: Task) -> Result<(), String> {
        match (self, task) {
            (Self::Any, _) => Ok(()),
            (Self::MultipleOf(n), _) if (1..=4096).contains(&n) => Ok(()),
            (Self::MultipleOf(n), _) => Err(format!("its size rule is a multiple of {n}")),
            (Self::Tile(_), Task::Classification) => {
                Err("a whole image cannot be classified in tiles: resize".to_owned())
            }
            (Self::Tile([h, w]) | Self::Resize([h, w]), _)
                if (1..=16_384).contains(&h.min(w)) && h.max(w) <= 16_384 =>
            {
                Ok(())
            }
            (Self::Tile([h, w]) | Self::Resize([h, w]), _) => Err(format!("its size is {h}×{w}")),
        }
    }
}

fn side_or_sides<'de, D: serde::Deserializer<'de>>(from: D) -> Result<[usize; 2], D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a size is one number, or [height, width]")]
    enum Sides {
        One(usize),
        Two([usize; 2]),
    }
    Ok(match Sides::deserialize(from)? {
        Sides::One(side) => [side, side],
        Sides::Two(sides) => sides,
    })
}
