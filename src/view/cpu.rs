//! The CPU renderer: reports, exports, and what the shader is compared with.

use super::contour::{Contour, FAR, REACH};
use super::parameters::{Colours, Mode};
use super::sample::{self, MaskSample};
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
    let [_, reads_mask, reads_second] = parameters.reads();
    let first = reads_mask.then_some(layers.mask).flatten().map(|(p, kind)| MaskLayer::new(&parameters, p, kind));
    let second = reads_second.then_some(layers.second).flatten().map(|(p, kind)| MaskLayer::new(&parameters, p, kind));
    let mut pixels = vec![0; width * height * 4];
    pixels.par_chunks_mut(width * 4).enumerate().for_each(|(y, row)| {
        let mut first_distances = vec![FAR; width];
        let mut second_distances = vec![FAR; width];
        if let Some(contour) = first.as_ref().and_then(|layer| layer.contour.as_ref()) {
            contour.distances(y, &mut first_distances);
        }
        if let Some(contour) = second.as_ref().and_then(|layer| layer.contour.as_ref()) {
            contour.distances(y, &mut second_distances);
        }
        for (x, out) in row.chunks_exact_mut(4).enumerate() {
            let pixel = Pixel {
                parameters: &parameters,
                image: layers.image.as_ref(),
                first: first.as_ref().map(|layer| (layer, first_distances[x])),
                second: second.as_ref().map(|layer| (layer, second_distances[x])),
                x,
                y,
            };
            for (to, value) in out.iter_mut().zip(pixel.colour()) {
                *to = (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
            }
            out[3] = 255;
        }
    });
    RgbaImage::from_raw(width as u32, height as u32, pixels).ok_or(ViewError::Size(width, height))
}

/// The image position of the centre of the output pixel `x`, `y`.
fn position(p: &Parameters, x: f32, y: f32) -> [f32; 2] {
    [(x + 0.5) * p.scale + p.offset[0], (y + 0.5) * p.scale + p.offset[1]]
}

/// A mask and, where needed, its contour.
struct MaskLayer<'a> {
    plane: PlaneView<'a>,
    kind: MaskKind,
    contour: Option<Contour>,
}

impl<'a> MaskLayer<'a> {
    fn new(p: &Parameters, plane: PlaneView<'a>, kind: MaskKind) -> Self {
        // Smooth borders of fills need distances too.
        let needed = p.contour || (p.scale < 1.0 && kind == MaskKind::Probability) || p.second.is_some();
        let contour = needed.then(|| {
            let [width, height] = p.size.map(|n| n as usize);
            let nodes = width + 2 * REACH;
            let mut field = vec![0.0; nodes * (height + 2 * REACH)];
            field.par_chunks_mut(nodes).enumerate().for_each(|(j, row)| {
                for (i, value) in row.iter_mut().enumerate() {
                    let at = position(p, i as f32 - REACH as f32, j as f32 - REACH as f32);
                    *value = sample::mask(at, p.scale, &plane, kind).field;
                }
            });
            Contour::new(&field, width, height)
        });
        Self { plane, kind, contour }
    }

    /// The sample, with the share smoothed over the border's output pixel where the mask is magnified.
    fn sample(&self, p: &Parameters, at: [f32; 2], distance: f32) -> MaskSample {
        let mut sample = sample::mask(at, p.scale, &self.plane, self.kind);
        if p.scale < 1.0 && self.kind == MaskKind::Probability {
            let signed = if sample.field >= 0.5 { distance } else { -distance };
            sample.share = (0.5 + signed).clamp(0.0, 1.0);
        }
        sample
    }
}

/// One output pixel.
struct Pixel<'a> {
    parameters: &'a Parameters,
    image: Option<&'a PlaneView<'a>>,
    first: Option<(&'a MaskLayer<'a>, f32)>,
    second: Option<(&'a MaskLayer<'a>, f32)>,
    x: usize,
    y: usize,
}

impl Pixel<'_> {
    fn colour(&self) -> [f32; 3] {
        let p = self.parameters;
        let at = position(p, self.x as f32, self.y as f32);
        let inside = |v: f32, length: u32| v >= 0.0 && v < length as f32;
        if !inside(at[0], p.image[0]) || !inside(at[1], p.image[1]) {
            return p.colours.background;
        }
        let colour = self.inside(at).unwrap_or(p.colours.not_finite);
        if !p.grid {
            return colour;
        }
        let before = position(p, self.x as f32 - 1.0, self.y as f32 - 1.0);
        let on_line = at[0].floor() != before[0].floor() || at[1].floor() != before[1].floor();
        if on_line { mix(colour, [0.5; 3], 0.35) } else { colour }
    }

    /// `None` where a value is not finite.
    fn inside(&self, at: [f32; 2]) -> Option<[f32; 3]> {
        let p = self.parameters;
        match p.mode {
            Mode::Image => self.grey(at),
            Mode::Noise => self.noise(at),
            Mode::Mask => {
                let (layer, distance) = self.first?;
                let mask = finite(layer.sample(p, at, distance))?;
                let c = &p.colours;
                let colour = mix(c.negative, c.positive, mask.share);
                Some(mix(colour, self.ignored_stripe(c.negative), mask.ignored))
            }
            Mode::Overlay => self.overlay(at),
            Mode::Difference => self.difference(at),
        }
    }

    fn grey(&self, at: [f32; 2]) -> Option<[f32; 3]> {
        let p = self.parameters;
        let plane = self.image?;
        let size = plane.width * plane.height;
        let colour = if plane.channels >= 3 {
            let value = |i: usize| [plane.values[i], plane.values[i + size], plane.values[i + 2 * size]];
            sample::image(at, p.scale, p.linear, plane, value)
        } else {
            sample::image(at, p.scale, p.linear, plane, |i| [plane.values[i]; 3])
        };
        colour.iter().all(|v| v.is_finite()).then_some(())?;
        Some(colour.map(|v| ((v - p.window_lower) * p.window_slope).clamp(0.0, 1.0)))
    }

    fn noise(&self, at: [f32; 2]) -> Option<[f32; 3]> {
        let p = self.parameters;
        let plane = self.image?;
        let size = plane.width * plane.height;
        let mean = |i: usize| {
            let sum = (0..plane.channels).fold(0.0, |sum, channel| sum + plane.values[channel * size + i]);
            [sum / plane.channels as f32]
        };
        let [value] = sample::image(at, p.scale, p.linear, plane, mean);
        value.is_finite().then_some(())?;
        let t = (value * p.gain).clamp(-1.0, 1.0);
        Some(mix(p.colours.zero, if t < 0.0 { p.colours.low } else { p.colours.high }, t.abs()))
    }

    fn overlay(&self, at: [f32; 2]) -> Option<[f32; 3]> {
        let p = self.parameters;
        let c = &p.colours;
        let (layer, distance) = self.first?;
        let mask = finite(layer.sample(p, at, distance))?;
        let mut colour = mix(self.grey(at)?, c.positive, p.fill * mask.share);
        colour = mix(colour, self.ignored_stripe(colour), 0.6 * mask.ignored);
        if let Some((second, second_distance)) = self.second {
            finite(second.sample(p, at, second_distance))?;
            colour = line(colour, c, if self.dash() { c.second } else { c.edge }, second_distance);
        }
        Some(if p.contour { line(colour, c, c.positive, distance) } else { colour })
    }

    fn difference(&self, at: [f32; 2]) -> Option<[f32; 3]> {
        let p = self.parameters;
        let c = &p.colours;
        let (first, first_distance) = self.first?;
        let (second, second_distance) = self.second?;
        let (a, b) = (finite(first.sample(p, at, first_distance))?, finite(second.sample(p, at, second_distance))?);
        let ignored = a.ignored.max(b.ignored);
        let mut colour = mix(self.grey(at)?, c.zero, 0.45);
        colour = mix(colour, c.agreed, 0.3 * a.share.min(b.share));
        // Differences of shares, so that two equal borders leave nothing between them.
        let appeared = (a.share - b.share).max(0.0) * (1.0 - ignored);
        let vanished = (b.share - a.share).max(0.0) * (1.0 - ignored);
        let outline = (1.75 - first_distance.min(second_distance)).clamp(0.0, 1.0);
        let stripe = if self.stripe() { 0.95 } else { 0.2 };
        colour = mix(colour, c.appeared, 0.9 * appeared);
        colour = mix(colour, c.vanished, vanished * (stripe + (0.95 - stripe) * outline));
        Some(mix(colour, self.ignored_stripe(colour), 0.6 * ignored))
    }

    /// Stripes rising to the right with a period of eight output pixels, fixed to the image.
    fn stripe(&self) -> bool {
        let [px, py] = self.parameters.phase;
        (self.x + self.y + 16 - px as usize - py as usize) % 8 < 3
    }

    /// Stripes falling to the right: grey, and `between`.
    fn ignored_stripe(&self, between: [f32; 3]) -> [f32; 3] {
        let [px, py] = self.parameters.phase;
        let x = self.x + 8 - px as usize;
        let y = (self.y + 8 - py as usize) % 8;
        if (x + 8 - y) % 8 < 3 { self.parameters.colours.ignored } else { between }
    }

    fn dash(&self) -> bool {
        let [px, py] = self.parameters.phase;
        (self.x + 8 - px as usize + 2 * (self.y + 8 - py as usize)) % 8 < 5
    }
}

/// The sample if its field is a number.
fn finite(sample: MaskSample) -> Option<MaskSample> {
    sample.field.is_finite().then_some(sample)
}

/// A line two output pixels wide with one pixel of dark edge on both sides.
fn line(under: [f32; 3], colours: &Colours, colour: [f32; 3], distance: f32) -> [f32; 3] {
    let edged = mix(under, colours.edge, 0.8 * (2.5 - distance).clamp(0.0, 1.0));
    mix(edged, colour, (1.5 - distance).clamp(0.0, 1.0))
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}
