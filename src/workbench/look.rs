//! How the window itself looks: its theme and the size of its type.

use serde::{Deserialize, Serialize};

/// Dark or light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// Neutral grey, pictures on near-black.
    #[default]
    Dark,
    /// For bright rooms and print.
    Light,
}

/// How the window itself looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Dark or light.
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
