//! What the pictures and plots look like: a person's choices, which can be undone and are remembered.

use super::curves::Quantity;
use crate::view::Orientation;
use serde::{Deserialize, Serialize};

/// How a segmentation is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskStyle {
    /// The mask over its image, half transparent.
    #[default]
    Overlay,
    /// Only its outline over the image.
    Contour,
    /// The mask alone.
    Mask,
    /// The probability alone, as grey.
    Probability,
}

impl MaskStyle {
    /// All of them with their names in the window.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Overlay, "Overlay"),
        (Self::Contour, "Contour"),
        (Self::Mask, "Mask"),
        (Self::Probability, "Probability"),
    ];
}

/// How original and adversarial pictures are compared in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Side by side only.
    #[default]
    SideBySide,
    /// The adversarial pictures alternate with the originals.
    Blink,
    /// A key exchanges the adversarial pictures for the originals.
    Toggle,
    /// Left of a line that is dragged the original, right of it the adversarial picture.
    Swipe,
}

/// What the picture of the difference compares the adversarial segmentation with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceFrom {
    /// What the model sees in the original.
    #[default]
    CleanPrediction,
    /// The label, where there is one.
    Reference,
}

/// One of the six pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Picture {
    /// The image.
    Original,
    /// adversarial − original, times the gain.
    Noise,
    /// The attacked image.
    Adversarial,
    /// What the model sees in the image.
    CleanSegmentation,
    /// What the model sees in the attacked image.
    AdversarialSegmentation,
    /// Where the two segmentations differ.
    Difference,
}

impl Picture {
    /// All of them, in reading order.
    pub const ALL: [Self; 6] = [
        Self::Original,
        Self::Noise,
        Self::Adversarial,
        Self::CleanSegmentation,
        Self::AdversarialSegmentation,
        Self::Difference,
    ];

    /// Whether it shows masks, which a model that classifies whole images has none of.
    pub fn is_of_masks(self) -> bool {
        matches!(self, Self::CleanSegmentation | Self::AdversarialSegmentation | Self::Difference)
    }

    /// The caption.
    pub fn title(self) -> &'static str {
        match self {
            Self::Original => "Original",
            Self::Noise => "Noise",
            Self::Adversarial => "Adversarial",
            Self::CleanSegmentation => "Segmentation of the original",
            Self::AdversarialSegmentation => "Segmentation of the adversarial",
            Self::Difference => "What changed",
        }
    }
}

/// What the pictures look like. Changes can be undone and are remembered from one start to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// The grey value, a fraction of the bounds, that is shown as black; and the one shown as white. Lower < upper.
    pub window: [f32; 2],
    /// The noise is multiplied by this before it is shown, if the gain is not automatic.
    pub gain: f32,
    /// The gain follows ε so that the noise always uses the whole colour range.
    pub auto_gain: bool,
    /// How segmentations are drawn.
    pub mask_style: MaskStyle,
    /// Opacity of overlays in [0, 1].
    pub opacity: f32,
    /// Pixels whose class the attack changed are marked on the adversarial segmentation.
    pub mark_difference: bool,
    /// The reference's outline is drawn on the segmentations.
    pub show_reference: bool,
    /// How original and adversarial are compared.
    pub comparison: Comparison,
    /// Seconds for which one picture stays while two of them blink.
    pub blink_secs: f32,
    /// What the difference is taken from.
    pub difference_from: DifferenceFrom,
    /// Which picture is shown alone, if one is. Not remembered: the next start would hide the others without a word.
    #[serde(skip)]
    pub focus: Option<Picture>,
    /// Which pictures are shown.
    pub pictures: Vec<Picture>,
    /// A cross-hair marks the probed pixel in every picture.
    pub crosshair: bool,
    /// Enlarged pixels are shown smooth instead of as squares.
    pub smooth: bool,
    /// Lines between the pixels where these are large.
    pub grid: bool,
    /// The sides of the patient and a bar of known length stand on the pictures.
    pub annotations: bool,
    /// Every picture shows its value at the probed pixel.
    pub values: bool,
    /// Flips and turns of the pictures; of the view only.
    pub orientation: Orientation,
    /// What the plots show over ε.
    pub quantities: Vec<Quantity>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            window: [0.0, 1.0],
            gain: 20.0,
            auto_gain: true,
            mask_style: MaskStyle::Overlay,
            opacity: 0.5,
            mark_difference: true,
            show_reference: false,
            comparison: Comparison::SideBySide,
            blink_secs: 0.5,
            difference_from: DifferenceFrom::CleanPrediction,
            focus: None,
            pictures: Picture::ALL.to_vec(),
            crosshair: true,
            smooth: false,
            grid: true,
            annotations: true,
            values: true,
            orientation: Orientation::default(),
            quantities: vec![Quantity::Dice, Quantity::Wrong, Quantity::PixelError],
        }
    }
}

/// The largest gain: a tenth of an 8-bit grey level fills the colour range.
pub const MOST_GAIN: f32 = 2550.0;

/// The nearest number of four digits.
fn four_digits(value: f64) -> f32 {
    let unit = 10f64.powf(value.log10().floor() - 3.0);
    ((value / unit).round() * unit) as f32
}

impl View {
    /// The factor that noise which reaches up to `reach`, a fraction of the bounds' width, is multiplied by: a number of four
    /// digits, so that what the caption says is what is drawn.
    pub fn gain_at(&self, reach: f64) -> f32 {
        let gain = if self.auto_gain && reach > 0.0 { 1.0 / reach } else { f64::from(self.gain) };
        four_digits(gain.clamp(1.0, f64::from(MOST_GAIN)))
    }

    /// Mends values that a settings file of another hand may hold.
    pub fn sanitised(mut self) -> Self {
        let [lower, upper] = self.window;
        if !(lower.is_finite() && upper.is_finite() && lower < upper) {
            self.window = [0.0, 1.0];
        }
        if !self.gain.is_finite() {
            self.gain = 20.0;
        }
        self.gain = self.gain.clamp(1.0, MOST_GAIN);
        self.opacity = if self.opacity.is_finite() { self.opacity.clamp(0.0, 1.0) } else { 0.5 };
        self.blink_secs = if self.blink_secs.is_finite() { self.blink_secs.clamp(0.05, 3.0) } else { 0.5 };
        if self.pictures.is_empty() {
            self.pictures = Picture::ALL.to_vec();
        }
        if self.quantities.is_empty() {
            self.quantities = Self::default().quantities;
        }
        self
    }
}
