//! What a picture shows, independent of how it is drawn: no GPU, no egui, no tensor. [`render`] draws a [`ViewSpec`] on
//! the CPU (reports, exports, and the reference of the tests); `shaders/view` draws the same in the window.
//!
//! Both start from one [`Parameters`], so colours, widths and rules are written down once. Positions are in pixels with
//! the origin at the top-left corner, so that the first pixel's centre is at ½. Colours are sRGB bytes, blended as they are.

mod contour;
mod cpu;
mod orientation;
pub mod palette;
mod parameters;
mod sample;
mod shown;
mod transform;

pub use cpu::render;
pub use orientation::Orientation;
pub use palette::Rgb;
pub use parameters::{COLOURS, Layout, Parameters};
pub use shown::Presentation;
pub use transform::{MOST_STRETCH, Transform, pixel_shape};

use serde::{Deserialize, Serialize};

/// The interval of values, as fractions of the case's bounds, that is spread over black to white.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Shown black.
    pub lower: f32,
    /// Shown white.
    pub upper: f32,
}

impl Window {
    /// All of the bounds.
    pub const FULL: Self = Self { lower: 0.0, upper: 1.0 };

    /// Grey, from 0 to 1, for each step of the bounds' width: contrast gain.
    pub fn slope(self) -> f32 {
        1.0 / (self.upper - self.lower).max(1e-6)
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::FULL
    }
}

/// What is shown, and which of the [`Layers`] it needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// `image` in grey (one channel) or RGB (three or more; the first three).
    Image {
        /// Brightness and contrast.
        window: Window,
    },
    /// `image` as a signed plane times a gain in a diverging map: negative blue, positive orange, and at zero white in
    /// the light theme, black in the dark one. Of several channels their mean.
    Noise {
        /// 1 shows ±1 (the whole width of the bounds) in the map's end colours.
        gain: f32,
    },
    /// `mask` in the two classes' colours.
    Mask,
    /// `image` under the positive class of `mask`. A `second` mask, if given, adds a dashed contour: all of it if it is
    /// a reference, only where it differs from the contour of `mask` if it is a prediction.
    Overlay {
        /// Brightness and contrast.
        window: Window,
        /// Opacity of the fill in [0, 1]; 0 leaves the contour alone.
        fill: f32,
        /// Whether to draw the contour.
        contour: bool,
    },
    /// `image`, dimmed, with what is positive in `mask` and not in `second` in one colour, and what is positive in
    /// `second` and not in `mask` hatched in another; what is positive in both is tinted faintly.
    Difference {
        /// Brightness and contrast.
        window: Window,
    },
}

/// How an image is magnified. Minified ones are always averaged over the area that an output pixel covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every image pixel is a square: what the model sees.
    #[default]
    Nearest,
    /// Bilinear.
    Linear,
}

/// Dark or light surroundings: the zero of the noise map, the negative class, the colour that dims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// Dark.
    #[default]
    Dark,
    /// Light.
    Light,
}

/// One picture: what it shows, where, and how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewSpec {
    /// What is shown.
    pub content: Content,
    /// Which part of the image, and how large.
    pub transform: Transform,
    /// How the image is magnified.
    #[serde(default)]
    pub sampling: Sampling,
    /// Dark or light.
    #[serde(default)]
    pub theme: Theme,
    /// Shown outside of the image.
    pub background: Rgb,
    /// Whether to draw lines between image pixels from a zoom of [`GRID_ZOOM`] on.
    #[serde(default)]
    pub grid: bool,
    /// The colours of classes, where others than the palette's are wished.
    #[serde(default)]
    pub classes: Option<palette::ClassColours>,
}

/// From this zoom on the pixel grid is drawn, if asked for.
pub const GRID_ZOOM: f32 = 12.0;

impl ViewSpec {
    /// `content` at `transform` with the defaults: nearest, dark, no grid.
    pub fn new(content: Content, transform: Transform) -> Self {
        Self {
            content,
            transform,
            sampling: Sampling::default(),
            theme: Theme::default(),
            background: palette::BACKGROUND_DARK,
            grid: false,
            classes: None,
        }
    }

    /// The same in another theme, with that theme's background.
    pub fn themed(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self.background = match theme {
            Theme::Dark => palette::BACKGROUND_DARK,
            Theme::Light => palette::BACKGROUND_LIGHT,
        };
        self
    }
}

/// How a mask's values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    /// P(positive class), positive from ½ on. Magnified bilinearly, so that its contour is smooth.
    Probability,
    /// 1 where positive, 0 where negative, −1 where ignored (hatched grey). Magnified as squares.
    Reference,
    /// The class of each pixel, 0 the background, which is left as it is; −1 where ignored. Magnified as squares, each class
    /// in its [colour](palette::class).
    Classes,
}

/// Values on the host, `[channels, height, width]`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct PlaneView<'a> {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels × height × width` values.
    pub values: &'a [f32],
}

/// What a picture is made of. Which ones it needs, [`Content`] says; others are ignored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'a> {
    /// The image in fractions of the bounds, or the signed noise.
    pub image: Option<PlaneView<'a>>,
    /// The mask; in a difference the adversarial one.
    pub mask: Option<(PlaneView<'a>, MaskKind)>,
    /// The mask to compare with.
    pub second: Option<(PlaneView<'a>, MaskKind)>,
}

/// Why a picture cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A layer that the content needs is not there.
    #[error("the view needs {0}, which is not there")]
    Missing(&'static str),
    /// Layers differ in size.
    #[error("{what} has {found_height}×{found_width} pixels where {height}×{width} are shown")]
    Mismatch {
        /// The layer.
        what: &'static str,
        /// Rows of that layer.
        found_height: usize,
        /// Columns of that layer.
        found_width: usize,
        /// Rows of the view's first layer.
        height: usize,
        /// Columns of the view's first layer.
        width: usize,
    },
    /// A layer has no pixels, no channel, or another number of values than its shape says.
    #[error("{0} has no pixels, or another number of values than its shape says")]
    Empty(&'static str),
    /// The picture would have no pixels or more than [`MOST_PIXELS_A_SIDE`] a side.
    #[error("a picture of {0}×{1} pixels cannot be drawn; 1 to {MOST_PIXELS_A_SIDE} a side can")]
    Size(usize, usize),
    /// The transform is not finite, or its scale is 0.
    #[error("the view's zoom or position is not a number")]
    Transform,
}

/// The largest picture, in pixels a side.
pub const MOST_PIXELS_A_SIDE: usize = 16_384;
