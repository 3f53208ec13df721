//! How the window itself looks: its theme and the size of its type.

pub use crate::view::Theme;

use serde::{Deserialize, Serialize};

/// How the window itself looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Dark, with pictures on near-black, or light, for bright rooms and print.
    pub theme: Theme,
    /// Everything is this much larger, 0.75 to 2.
    pub ui_scale: f32,
    /// Large type, only pictures and ε: for the lecture hall.
    #[serde(skip)]
    pub presenter: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { theme: Theme::Dark, ui_scale: 1.0, presenter: false }
    }
}
