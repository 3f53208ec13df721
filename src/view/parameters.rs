//! A view as plain numbers: what the CPU renderer and the shader both work from. The word layout of
//! [`Parameters::words`] is that of `struct Parameters` in `shaders/view`.

use super::palette::{self, Rgb};
use super::{Content, GRID_ZOOM, Layers, MOST_PIXELS_A_SIDE, MaskKind, PlaneView, Sampling, ViewError, ViewSpec};

/// Number of colours in [`Parameters`].
pub const COLOURS: usize = 13 + palette::CLASSES.len();

/// The layers' shapes, wherever their values are: `[channels, height, width]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Shape of the image.
    pub image: Option<[usize; 3]>,
    /// Shape and kind of the mask.
    pub mask: Option<([usize; 3], MaskKind)>,
    /// Shape and kind of the mask to compare with.
    pub second: Option<([usize; 3], MaskKind)>,
}

impl Layout {
    /// The shapes of layers on the host.
    ///
    /// # Errors
    /// If a layer has another number of values than its shape says.
    pub fn of(layers: &Layers<'_>) -> Result<Self, ViewError> {
        let shape = |plane: &PlaneView<'_>, what| {
            let shape = [plane.channels, plane.height, plane.width];
            (shape.iter().product::<usize>() == plane.values.len()).then_some(shape).ok_or(ViewError::Empty(what))
        };
        let mask = |layer: &Option<(PlaneView<'_>, MaskKind)>, what| {
            layer.as_ref().map(|(plane, kind)| Ok((shape(plane, what)?, *kind))).transpose()
        };
        Ok(Self {
            image: layers.image.as_ref().map(|plane| shape(plane, "the image")).transpose()?,
            mask: mask(&layers.mask, "the mask")?,
            second: mask(&layers.second, "the second mask")?,
        })
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mode {
    Image = 0,
    Noise = 1,
    Mask = 2,
    Overlay = 3,
    Difference = 4,
}

/// A view as plain numbers. Made once per picture, the same for CPU and GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    pub(super) mode: Mode,
    pub(super) linear: bool,
    pub(super) grid: bool,
    /// Whether the first mask's contour is drawn or, in a difference, its distance is needed.
    pub(super) contour: bool,
    pub(super) mask: Option<MaskKind>,
    pub(super) second: Option<MaskKind>,
    /// Output width, height.
    pub(super) size: [u32; 2],
    /// Image width, height.
    pub(super) image: [u32; 2],
    pub(super) channels: u32,
    /// Moves stripes and dashes with the image, whole output pixels, x then y.
    pub(super) phase: [u32; 2],
    /// Image pixels per output pixel along columns and rows; negative where flipped.
    pub(super) scale: [f32; 2],
    pub(super) offset: [f32; 2],
    /// Columns run down the output.
    pub(super) transposed: bool,
    pub(super) gain: f32,
    pub(super) window_lower: f32,
    /// 1 / (upper − lower).
    pub(super) window_slope: f32,
    pub(super) fill: f32,
    pub(super) colours: Colours,
}

/// Colours in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colours {
    pub background: [f32; 3],
    pub zero: [f32; 3],
    pub low: [f32; 3],
    pub high: [f32; 3],
    pub negative: [f32; 3],
    pub positive: [f32; 3],
    pub second: [f32; 3],
    pub appeared: [f32; 3],
    pub vanished: [f32; 3],
    pub agreed: [f32; 3],
    pub ignored: [f32; 3],
    pub not_finite: [f32; 3],
    pub edge: [f32; 3],
    pub classes: [[f32; 3]; palette::CLASSES.len()],
}

impl Colours {
    fn new(spec: &ViewSpec) -> Self {
        let unit = |colour: Rgb| colour.map(|v| f32::from(v) / 255.0);
        let [low, zero, high] = palette::diverging_stops(spec.theme).map(unit);
        let alone = matches!(spec.content, Content::Mask);
        let usual = palette::class_colours(|_| None, 1);
        let [positive, classes @ ..] = spec.classes.unwrap_or(usual);
        // Yellow on white would be hard to see; what a person wished for is not changed.
        let positive =
            if alone && positive == palette::POSITIVE { palette::positive_alone(spec.theme) } else { positive };
        Self {
            background: unit(spec.background),
            zero,
            low,
            high,
            negative: unit(palette::negative(spec.theme)),
            positive: unit(positive),
            second: unit(palette::SECOND),
            appeared: unit(palette::appeared(spec.theme)),
            vanished: unit(palette::vanished(spec.theme)),
            agreed: unit(palette::AGREED),
            ignored: unit(palette::IGNORED),
            not_finite: unit(palette::NOT_FINITE),
            edge: unit(palette::CONTOUR_EDGE),
            classes: classes.map(unit),
        }
    }

    fn all(&self) -> [[f32; 3]; COLOURS] {
        let c = self;
        let mut all = [[0.0; 3]; COLOURS];
        let (first, classes) = all.split_at_mut(COLOURS - c.classes.len());
        first.copy_from_slice(&[
            c.background,
            c.zero,
            c.low,
            c.high,
            c.negative,
            c.positive,
            c.second,
            c.appeared,
            c.vanished,
            c.agreed,
            c.ignored,
            c.not_finite,
            c.edge,
        ]);
        classes.copy_from_slice(&c.classes);
        all
    }

    /// The colour of a class, 0 or less of which have none.
    pub fn class(&self, class: f32) -> Option<[f32; 3]> {
        (class > 0.5).then(|| self.classes[(class.round() as usize - 1) % self.classes.len()])
    }
}

impl Parameters {
    /// Number of 32-bit words of [`Self::words`].
    pub const WORDS: usize = 24 + 4 * COLOURS;

    /// Checks that the layers that `spec` needs are there and fit, for an output of `size` `[width, height]`.
    ///
    /// # Errors
    /// If a layer is missing, empty or of another size, or the output has no pixels or too many.
    pub fn new(spec: &ViewSpec, layout: &Layout, size: [usize; 2]) -> Result<Self, ViewError> {
        if size.iter().any(|&n| n == 0 || n > MOST_PIXELS_A_SIDE) {
            return Err(ViewError::Size(size[0], size[1]));
        }
        if !spec.transform.is_valid() {
            return Err(ViewError::Transform);
        }
        let image = || layout.image.ok_or(ViewError::Missing("an image"));
        let mask = || layout.mask.ok_or(ViewError::Missing("a mask"));
        let (mode, image, mask, second) = match spec.content {
            Content::Image { .. } => (Mode::Image, Some(image()?), None, None),
            Content::Noise { .. } => (Mode::Noise, Some(image()?), None, None),
            Content::Mask => (Mode::Mask, None, Some(mask()?), None),
            Content::Overlay { .. } => (Mode::Overlay, Some(image()?), Some(mask()?), layout.second),
            Content::Difference { .. } => {
                let second = layout.second.ok_or(ViewError::Missing("a second mask"))?;
                (Mode::Difference, Some(image()?), Some(mask()?), Some(second))
            }
        };
        let layers = [
            image.map(|shape| (shape, "the image")),
            mask.map(|(shape, _)| (shape, "the mask")),
            second.map(|(shape, _)| (shape, "the second mask")),
        ];
        let mut common: Option<[usize; 2]> = None;
        for ([channels, height, width], what) in layers.into_iter().flatten() {
            let elements = channels.checked_mul(height).and_then(|n| n.checked_mul(width));
            if elements.is_none_or(|n| n == 0 || u32::try_from(n).is_err()) {
                return Err(ViewError::Empty(what));
            }
            let [common_height, common_width] = *common.get_or_insert([height, width]);
            if [common_height, common_width] != [height, width] {
                return Err(ViewError::Mismatch {
                    what,
                    found_height: height,
                    found_width: width,
                    height: common_height,
                    width: common_width,
                });
            }
        }
        let [height, width] = common.unwrap_or_default();
        let (window, gain, fill, contour) = match spec.content {
            Content::Image { window } => (window, 0.0, 0.0, false),
            Content::Noise { gain } => (super::Window::FULL, gain, 0.0, false),
            Content::Mask => (super::Window::FULL, 0.0, 0.0, false),
            Content::Overlay { window, fill, contour } => (window, 0.0, fill.clamp(0.0, 1.0), contour),
            Content::Difference { window } => (window, 0.0, 0.0, true),
        };
        let transform = spec.transform;
        // The image's origin in output pixels; any multiple of the patterns' periods (8, 16) may be added.
        let origin = transform.output_from_image([0.0; 2]);
        let phase = |i: usize| origin[i].round().rem_euclid(16.0) as u32 % 16;
        Ok(Self {
            mode,
            linear: spec.sampling == Sampling::Linear,
            grid: spec.grid && transform.zoom() >= GRID_ZOOM * 0.999,
            contour,
            mask: mask.map(|(_, kind)| kind),
            second: second.map(|(_, kind)| kind),
            size: size.map(|n| n as u32),
            image: [width as u32, height as u32],
            channels: image.map_or(0, |[channels, ..]| channels as u32),
            phase: [phase(0), phase(1)],
            scale: transform.scale,
            offset: transform.offset,
            transposed: transform.transposed,
            gain,
            window_lower: window.lower,
            window_slope: window.slope(),
            fill,
            colours: Colours::new(spec),
        })
    }

    /// Whether an output pixel of the image shows the mean of what lies under it, or one image pixel. Noise is of ±ε
    /// almost everywhere: averaged over one pixel here and two there, it would show a pattern that is not in it, so that
    /// it is averaged only where at least two by two pixels fall together.
    pub(super) fn averages(&self) -> bool {
        self.coarsest() >= if self.mode == Mode::Noise { 2.0 } else { 1.0 }
    }

    /// Image pixels per output pixel along the axis on which there are more.
    fn coarsest(&self) -> f32 {
        self.scale[0].abs().max(self.scale[1].abs())
    }

    /// Whether an output pixel covers so many that only some of them are looked at.
    pub(super) fn spreads(&self) -> bool {
        self.coarsest() > 7.0
    }

    /// What the shader is specialised to: its `MODE`, `REGIME` and `CHANNELS`.
    pub fn variant(&self) -> [u32; 3] {
        let regime = if !self.averages() { 0 } else { 1 + u32::from(self.spreads()) };
        let several = self.channels >= if self.mode == Mode::Noise { 2 } else { 3 };
        [self.mode as u32, regime, u32::from(several)]
    }

    /// Output width and height.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Which of the layers image, mask, second are read.
    pub fn reads(&self) -> [bool; 3] {
        [self.mode != Mode::Mask, self.mask.is_some(), self.second.is_some()]
    }

    /// The shader's uniform. `first` are the elements at which the layers' values begin in their buffers.
    pub fn words(&self, first: [u32; 3]) -> [u32; Self::WORDS] {
        let flag = |on: bool, bit: u32| u32::from(on) << bit;
        let flags = flag(self.linear, 0)
            | flag(self.grid, 1)
            | flag(self.contour, 2)
            | flag(self.mask == Some(MaskKind::Reference), 3)
            | flag(self.second == Some(MaskKind::Reference), 4)
            | flag(self.second.is_some(), 5)
            | flag(self.mask == Some(MaskKind::Classes), 6)
            | flag(self.second == Some(MaskKind::Classes), 7)
            | flag(self.transposed, 8);
        let head = [
            self.mode as u32,
            flags,
            self.size[0],
            self.size[1],
            self.image[0],
            self.image[1],
            self.channels,
            0,
            self.scale[0].to_bits(),
            self.offset[0].to_bits(),
            self.offset[1].to_bits(),
            self.gain.to_bits(),
            self.window_lower.to_bits(),
            self.window_slope.to_bits(),
            self.fill.to_bits(),
            self.scale[1].to_bits(),
            first[0],
            first[1],
            first[2],
            0,
            self.phase[0],
            self.phase[1],
            0,
            0,
        ];
        let mut words = [0; Self::WORDS];
        words[..head.len()].copy_from_slice(&head);
        for (to, colour) in words[head.len()..].chunks_exact_mut(4).zip(self.colours.all()) {
            for (to, value) in to.iter_mut().zip(colour) {
                *to = value.to_bits();
            }
        }
        words
    }
}
