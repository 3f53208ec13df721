//! The CPU renderer: reports, exports, and what the shader is compared with.

use super::contour::{Contour, FAR, REACH};
use super::parameters::{Colours, Mode};
use super::sample::{self, Filter, MaskSample, Taps};
use super::{Layers, Layout, MaskKind, Parameters, PlaneView, ViewError, ViewSpec};
use image::RgbaImage;
use rayon::prelude::*;

/// Draws `spec` at `size` `[width, height]` pixels, opaque.
///
/// ```
/// use epsiloscope::view::{Content, Layers, PlaneView, Transform, ViewSpec, Window, render};
/// let ramp: Vec<f32> = (0..64).map(|i| i as f32 / 63.0).collect();
/// let image = PlaneView { channels: 1, height: 8, width: 8, values: &ramp };
/// let spec = ViewSpec::new(Content::Image { window: Window::FULL }, Transform::fit([8, 8], [80, 80]));
/// let picture = render(&spec, &Layers { image: Some(image), ..Layers::default() }, [80, 80])?;
/// assert_eq!(picture.get_pixel(79, 79).0, [255, 255, 255, 255]);
/// # Ok::<(), epsiloscope::view::ViewError>(())
/// ```
///
/// # Errors
/// If a layer that the content needs is missing, empty, or of another size than the others, or `size` has no pixels or
/// too many.
pub fn render(spec: &ViewSpec, layers: &Layers<'_>, size: [usize; 2]) -> Result<RgbaImage, ViewError> {
    let parameters = Parameters::new(spec, &Layout::of(layers)?, size)?;
    let [width, height] = size;
    let grid = Grid::new(&parameters);
    let [reads_image, reads_mask, reads_second] = parameters.reads();
    let image = layers.image.as_ref().filter(|_| reads_image);
    let layer = |mask: Option<(PlaneView<'_>, MaskKind)>| {
        mask.map(|(plane, kind)| MaskLayer::new(&parameters, &grid, &plane, kind))
    };
    let first = layer(layers.mask.filter(|_| reads_mask));
    let second = layer(layers.second.filter(|_| reads_second));
    let mut pixels = vec![0; width * height * 4];
    pixels.par_chunks_mut(width * 4).enumerate().for_each(|(y, row)| {
        let first = first.as_ref().map(|layer| layer.row(&parameters, y));
        let second = second.as_ref().map(|layer| layer.row(&parameters, y));
        for (x, out) in row.chunks_exact_mut(4).enumerate() {
            let at = grid.at(x + REACH, y + REACH);
            let mask = |row: &Option<Vec<(MaskSample, f32)>>| row.as_ref().map(|row| row[x]).unwrap_or_default();
            let pixel = Pixel { parameters: &parameters, image, at, first: mask(&first), second: mask(&second), x, y };
            for (to, value) in out.iter_mut().zip(pixel.colour()) {
                *to = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            }
            out[3] = 255;
        }
    });
    RgbaImage::from_raw(width as u32, height as u32, pixels).ok_or(ViewError::Size(width, height))
}

/// Where every output column and row, and [`REACH`] more on all sides, finds its pixels along an axis of the image.
struct Grid {
    columns: Vec<Taps>,
    rows: Vec<Taps>,
    transposed: bool,
}

impl Grid {
    fn new(p: &Parameters) -> Self {
        let axis = |output: usize| {
            let i = if p.transposed { 1 - output } else { output };
            (0..p.size[output] as usize + 2 * REACH)
                .map(|n| (n as f32 - REACH as f32 + 0.5) * p.scale[i] + p.offset[i])
                .map(|centre| Taps::new(centre, p.scale[i].abs(), p.spreads(), p.image[i] as usize))
                .collect()
        };
        Self { columns: axis(0), rows: axis(1), transposed: p.transposed }
    }

    /// The image's columns and rows under an output column and row.
    fn at(&self, column: usize, row: usize) -> [&Taps; 2] {
        let (across, down) = (&self.columns[column], &self.rows[row]);
        if self.transposed { [down, across] } else { [across, down] }
    }
}

/// A mask at every output pixel and around the output, and, where it is needed, its contour.
struct MaskLayer {
    samples: Vec<MaskSample>,
    contour: Option<Contour>,
    /// Whether fills are smoothed over the border's output pixel.
    smooth: bool,
}

impl MaskLayer {
    fn new(p: &Parameters, grid: &Grid, plane: &PlaneView<'_>, kind: MaskKind) -> Self {
        let [width, height] = p.size.map(|n| n as usize);
        let nodes = width + 2 * REACH;
        let mut samples = vec![MaskSample::default(); nodes * (height + 2 * REACH)];
        samples.par_chunks_mut(nodes).enumerate().for_each(|(j, row)| {
            for (i, sample) in row.iter_mut().enumerate() {
                *sample = sample::mask(grid.at(i, j), p.averages(), plane, kind, &p.colours);
            }
        });
        let smooth = !p.averages() && kind == MaskKind::Probability;
        let needed = smooth || p.contour || p.second.is_some();
        let contour = needed.then(|| Contour::new(|i| samples[i].field, kind == MaskKind::Classes, width, height));
        Self { samples, contour, smooth }
    }

    /// Samples and distances to the contour along output row `y`.
    fn row(&self, p: &Parameters, y: usize) -> Vec<(MaskSample, f32)> {
        let width = p.size[0] as usize;
        let mut distances = vec![FAR; width];
        if let Some(contour) = &self.contour {
            contour.distances(y, &mut distances);
        }
        let samples = &self.samples[(y + REACH) * (width + 2 * REACH) + REACH..][..width];
        let pair = |(&sample, distance): (&MaskSample, f32)| {
            let mut sample = sample;
            if self.smooth {
                let signed = if sample.field >= 0.5 { distance } else { -distance };
                sample.share = (0.5 + signed).clamp(0.0, 1.0);
            }
            (sample, distance)
        };
        samples.iter().zip(distances).map(pair).collect()
    }
}

/// One output pixel.
struct Pixel<'a> {
    parameters: &'a Parameters,
    image: Option<&'a PlaneView<'a>>,
    at: [&'a Taps; 2],
    /// The mask and the distance to its contour.
    first: (MaskSample, f32),
    second: (MaskSample, f32),
    x: usize,
    y: usize,
}

impl Pixel<'_> {
    fn colour(&self) -> [f32; 3] {
        let p = self.parameters;
        let at = self.at.map(|taps| taps.centre);
        let inside = |v: f32, length: u32| v >= 0.0 && v < length as f32;
        if !inside(at[0], p.image[0]) || !inside(at[1], p.image[1]) {
            return p.colours.background;
        }
        let colour = self.inside().unwrap_or(p.colours.not_finite);
        if !p.grid {
            return colour;
        }
        let output = if p.transposed { [self.y, self.x] } else { [self.x, self.y] };
        let before = |i: usize| (output[i] as f32 - 1.0 + 0.5) * p.scale[i] + p.offset[i];
        let on_line = (0..2).any(|i| at[i].floor() != before(i).floor());
        if on_line { mix(colour, [0.5; 3], 0.35) } else { colour }
    }

    /// `None` where a value is not finite.
    fn inside(&self) -> Option<[f32; 3]> {
        let p = self.parameters;
        match p.mode {
            Mode::Image => self.grey(),
            Mode::Noise => self.noise(),
            Mode::Mask => {
                let c = &p.colours;
                let mask = finite(self.first.0)?;
                let colour = self.filled(c.negative, 1.0, mask);
                Some(mix(colour, self.ignored_stripe(c.negative), mask.ignored))
            }
            Mode::Overlay => self.overlay(),
            Mode::Difference => self.difference(),
        }
    }

    fn filter(&self) -> Filter {
        match (self.parameters.averages(), self.parameters.linear) {
            (true, _) => Filter::Area,
            (false, true) => Filter::Linear,
            (false, false) => Filter::Nearest,
        }
    }

    fn grey(&self) -> Option<[f32; 3]> {
        let p = self.parameters;
        let plane = self.image?;
        let size = plane.width * plane.height;
        let colour = if plane.channels >= 3 {
            let value = |i: usize| [plane.values[i], plane.values[i + size], plane.values[i + 2 * size]];
            sample::filtered(self.at, self.filter(), plane.width, value)
        } else {
            let [grey] = sample::filtered(self.at, self.filter(), plane.width, |i| [plane.values[i]]);
            [grey; 3]
        };
        colour.iter().all(|v| v.is_finite()).then_some(())?;
        Some(colour.map(|v| ((v - p.window_lower) * p.window_slope).clamp(0.0, 1.0)))
    }

    fn noise(&self) -> Option<[f32; 3]> {
        let p = self.parameters;
        let plane = self.image?;
        let size = plane.width * plane.height;
        let mean = |i: usize| {
            let sum = (0..plane.channels).fold(0.0, |sum, channel| sum + plane.values[channel * size + i]);
            [sum / plane.channels as f32]
        };
        let [value] = sample::filtered(self.at, self.filter(), plane.width, mean);
        value.is_finite().then_some(())?;
        let t = (value * p.gain).clamp(-1.0, 1.0);
        Some(mix(p.colours.zero, if t < 0.0 { p.colours.low } else { p.colours.high }, t.abs()))
    }

    fn overlay(&self) -> Option<[f32; 3]> {
        let p = self.parameters;
        let c = &p.colours;
        let (mask, distance) = (finite(self.first.0)?, self.first.1);
        let mut colour = self.filled(self.grey()?, p.fill, mask);
        colour = mix(colour, self.ignored_stripe(colour), 0.6 * mask.ignored);
        if let Some(kind) = p.second {
            finite(self.second.0)?;
            // A reference's contour is drawn whole, a prediction's where the mask's border left it.
            let strength = match kind {
                MaskKind::Reference => 1.0,
                _ => ((distance - self.second.1).abs() - 0.5).clamp(0.0, 1.0),
            };
            colour = line(colour, c, if self.dash() { c.second } else { c.edge }, self.second.1, strength);
        }
        if !p.contour {
            return Some(colour);
        }
        let drawn = match p.mask {
            // Beside a class its own colour, outside of all the dark edge.
            Some(MaskKind::Classes) => c.class(mask.field).unwrap_or(c.edge),
            _ => c.positive,
        };
        Some(line(colour, c, drawn, distance, 1.0))
    }

    /// The first mask's colours over what is under it.
    fn filled(&self, under: [f32; 3], opacity: f32, mask: MaskSample) -> [f32; 3] {
        match self.parameters.mask {
            Some(MaskKind::Classes) => {
                std::array::from_fn(|i| under[i] * (1.0 - opacity * mask.share) + opacity * mask.tint[i])
            }
            _ => mix(under, self.parameters.colours.positive, opacity * mask.share),
        }
    }

    fn difference(&self) -> Option<[f32; 3]> {
        let p = self.parameters;
        let c = &p.colours;
        let (a, b) = (finite(self.first.0)?, finite(self.second.0)?);
        let ignored = a.ignored.max(b.ignored);
        let mut colour = mix(self.grey()?, c.zero, 0.45);
        // Differences of shares, so that two equal borders leave nothing between them.
        let mut shares = [a.share.min(b.share), (a.share - b.share).max(0.0), (b.share - a.share).max(0.0)];
        let mut new = c.appeared;
        if p.mask == Some(MaskKind::Classes) {
            // Another class, in its colour; or none any more.
            let differ = if a.field == b.field { 0.0 } else { 1.0 };
            let class = c.class(a.field);
            let some = if class.is_some() { 1.0 } else { 0.0 };
            shares = [(1.0 - differ) * some, differ * some, differ * (1.0 - some)];
            new = class.unwrap_or(new);
        }
        let [agreed, appeared, vanished] = shares;
        let (appeared, vanished) = (appeared * (1.0 - ignored), vanished * (1.0 - ignored));
        colour = mix(colour, c.agreed, 0.2 * agreed);
        let outline = (1.75 - self.first.1.min(self.second.1)).clamp(0.0, 1.0);
        let stripe = if self.stripe() { 0.95 } else { 0.2 };
        colour = mix(colour, new, 0.8 * appeared);
        colour = mix(colour, c.vanished, vanished * (stripe + (0.95 - stripe) * outline));
        Some(mix(colour, self.ignored_stripe(colour), 0.6 * ignored))
    }

    /// Stripes rising to the right with a period of eight output pixels, fixed to the image.
    fn stripe(&self) -> bool {
        let [px, py] = self.parameters.phase;
        (self.x + self.y + 32 - px as usize - py as usize) % 8 < 3
    }

    /// Stripes falling to the right: grey, and `between`.
    fn ignored_stripe(&self, between: [f32; 3]) -> [f32; 3] {
        let [px, py] = self.parameters.phase;
        let x = self.x + 16 - px as usize;
        let y = (self.y + 16 - py as usize) % 8;
        if (x + 8 - y) % 8 < 3 { self.parameters.colours.ignored } else { between }
    }

    fn dash(&self) -> bool {
        let [px, py] = self.parameters.phase;
        (self.x + 16 - px as usize + 2 * (self.y + 16 - py as usize)) % 16 < 10
    }
}

/// The sample if its field is a number.
fn finite(sample: MaskSample) -> Option<MaskSample> {
    sample.field.is_finite().then_some(sample)
}

/// A line two output pixels wide with one pixel of dark edge on both sides.
fn line(under: [f32; 3], colours: &Colours, colour: [f32; 3], distance: f32, strength: f32) -> [f32; 3] {
    let edged = mix(under, colours.edge, 0.8 * strength * (2.5 - distance).clamp(0.0, 1.0));
    mix(edged, colour, strength * (1.5 - distance).clamp(0.0, 1.0))
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}
