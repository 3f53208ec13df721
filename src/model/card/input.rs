//! From an image to what a network takes.

use crate::model::Layout;
use serde::{Deserialize, Serialize};

/// The order in which a network takes colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV reads files.
    Bgr,
}

/// Over what a z-score takes mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZScore {
    /// Over all values of an image.
    Image,
    /// Over each channel of an image by itself.
    Channel,
}

/// How a network's input is made of an image that is scaled so that its bounds are `[0, 1]`. In this order: window,
/// range, order of the channels, mean and standard deviation, z-score. The gradient flows through all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputRule {
    /// What the lower and the upper end of the bounds (or of the window) become: `[0, 1]`, `[-1, 1]`, `[0, 255]`.
    pub range: [f32; 2],
    /// The ends of a window in pixel units (Hounsfield units), to which values are clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<[f32; 2]>,
    /// The bounds in pixel units that an image must have; with a window, −1024 to 3071 (Hounsfield units) where the card
    /// says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f32; 2]>,
    /// The order of the colours.
    pub order: ChannelOrder,
    /// Subtracted from the range's values: one for each channel as the network takes them, one for all, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f32>,
    /// Divided by; as many as there are means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub std: Vec<f32>,
    /// (x − mean) / (standard deviation + 10⁻⁶), of the image itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z_score: Option<ZScore>,
    /// The order of the axes that an ONNX graph takes; found out where the card says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl Default for InputRule {
    fn default() -> Self {
        Self {
            range: [0.0, 1.0],
            window: None,
            bounds: None,
            order: ChannelOrder::Rgb,
            mean: Vec::new(),
            std: Vec::new(),
            z_score: None,
            layout: None,
        }
    }
}

impl InputRule {
    /// What images get whose pixels are Hounsfield units.
    const HOUNSFIELD: [f32; 2] = [-1024.0, 3071.0];

    /// Whether it changes nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The bounds in pixel units that an image must have, if any will not do.
    pub fn needed_bounds(&self) -> Option<[f32; 2]> {
        self.bounds.or(self.window.map(|_| Self::HOUNSFIELD))
    }

    /// What is wrong with it for a network of `channels`, in the words of [`super::ModelCard::check`].
    pub(super) fn check(&self, channels: usize) -> Result<(), String> {
        let Self { range, window, bounds, mean, std, order, .. } = self;
        for (name, ends) in [("range", Some(*range)), ("window", *window), ("bounds", *bounds)] {
            if let Some([lower, upper]) = ends
                && !(lower.is_finite() && upper.is_finite() && lower < upper)
            {
                return Err(format!("its {name} is {lower} to {upper}, and the first must be below the second"));
            }
        }
        if mean.len() != std.len() || ![0, 1, channels].contains(&mean.len()) {
            return Err(format!(
                "it has {} means and {} standard deviations for {} channels",
                mean.len(),
                std.len(),
                channels
            ));
        }
        if let Some(bad) = std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(format!("a standard deviation is {bad}, and must be above 0"));
        }
        if mean.iter().any(|m| !m.is_finite()) {
            return Err("a mean is not a finite number".to_owned());
        }
        if *order == ChannelOrder::Bgr && channels != 3 {
            return Err(format!("the order BGR needs 3 channels, and it takes {channels}"));
        }
        Ok(())
    }
}
