//! The model card: all that a program or a person needs to know to use a model. Stored as TOML beside the weights.

use super::unet::UNetConfig;
use serde::{Deserialize, Serialize};

/// How logits become classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// One logit per pixel; its sigmoid is the probability of the positive class.
    Sigmoid,
    /// One logit per class and pixel.
    Softmax,
}

/// Which image sizes the network itself takes; other sizes are brought to it inside the model and cut back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeRule {
    /// Height and width are padded (by reflection) to a multiple of this.
    MultipleOf(usize),
    /// The network takes this square size only: larger images are tiled with overlap, smaller ones padded.
    Tile(usize),
}

/// A class that a model knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassInfo {
    /// Its name, in lower case: `membrane`.
    pub name: String,
}

/// What a model is: read from `<weights>.toml` beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// A short name: `membranes-unet`.
    pub name: String,
    /// One paragraph for people: what it does, what it was trained on, how good it is.
    pub description: String,
    /// Channels that the network takes: 1 or 3. A grey image feeds all three channels of a 3-channel network.
    pub channels: usize,
    /// How logits become classes.
    pub head: Head,
    /// Which sizes it takes.
    pub size_rule: SizeRule,
    /// Index into `classes` of the class that Dice, IoU and area speak of (ISBI: membrane). For a sigmoid head it
    /// is the class of a positive logit.
    pub positive_class: u8,
    /// The classes by index. A sigmoid head has two.
    pub classes: Vec<ClassInfo>,
    /// The network that the weights belong to.
    pub network: UNetConfig,
}

impl ModelCard {
    /// The index of the class called `name`, if there is one.
    pub fn class_index(&self, name: &str) -> Option<u8> {
        self.classes.iter().position(|c| c.name == name).and_then(|i| u8::try_from(i).ok())
    }
}
