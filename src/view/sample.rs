//! One output pixel's worth of a plane. The shader does the same in the same order.

use super::parameters::Colours;
use super::{MaskKind, PlaneView};

/// Where one output column or row finds its image columns or rows.
pub(super) struct Taps {
    /// The image position of its centre.
    pub centre: f32,
    nearest: usize,
    /// The two beside the centre, and how far it is from the first one.
    beside: [usize; 2],
    fraction: f32,
    /// Those that it covers (at most 8), and which share of it each is.
    index: [usize; 8],
    weight: [f32; 8],
    count: usize,
}

impl Taps {
    /// The pixels that the interval of length `scale` around `centre` overlaps, weighted by the overlap; if it `spreads`
    /// (over more than 7 pixels along some axis), eight spread over it.
    pub fn new(centre: f32, scale: f32, spreads: bool, length: usize) -> Self {
        let last = length - 1;
        let left = (centre - 0.5).floor();
        let mut taps = Self {
            centre,
            nearest: clamped(centre.floor(), last),
            beside: [clamped(left, last), clamped(left + 1.0, last)],
            fraction: centre - 0.5 - left,
            index: [0; 8],
            weight: [0.0; 8],
            count: 8,
        };
        let low = centre - 0.5 * scale;
        if spreads {
            for k in 0..8 {
                taps.index[k] = clamped((low + (k as f32 + 0.5) * (scale / 8.0)).floor(), last);
                taps.weight[k] = 0.125;
            }
            return taps;
        }
        let high = centre + 0.5 * scale;
        let first = low.floor();
        taps.count = ((high.floor() - first) as usize + 1).min(8);
        for k in 0..taps.count {
            let left = first + k as f32;
            taps.index[k] = clamped(left, last);
            taps.weight[k] = ((left + 1.0).min(high) - left.max(low)).max(0.0) / scale;
        }
        taps
    }
}

/// The index of the pixel at `position`, or the nearest one there is.
fn clamped(position: f32, last: usize) -> usize {
    position.clamp(0.0, last as f32) as usize
}

/// How an output pixel is made of image pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Mean over the output pixel's area: minified, or at 1:1.
    Area,
    /// The square that the centre lies in.
    Nearest,
    /// Between the four pixels' centres around.
    Linear,
}

/// `value(index)` around the output pixel at `[x, y]`.
pub(super) fn filtered<const N: usize>(
    [x, y]: [&Taps; 2],
    filter: Filter,
    width: usize,
    value: impl Fn(usize) -> [f32; N],
) -> [f32; N] {
    match filter {
        Filter::Area => {
            let mut sum = [0.0; N];
            for (&row, &row_weight) in y.index[..y.count].iter().zip(&y.weight) {
                let mut across = [0.0; N];
                for (&column, &weight) in x.index[..x.count].iter().zip(&x.weight) {
                    let v = value(row * width + column);
                    for n in 0..N {
                        across[n] += v[n] * weight;
                    }
                }
                for n in 0..N {
                    sum[n] += across[n] * row_weight;
                }
            }
            sum
        }
        Filter::Nearest => value(y.nearest * width + x.nearest),
        Filter::Linear => {
            let corner = |j: usize, i: usize| value(y.beside[j] * width + x.beside[i]);
            let (a, b, c, d) = (corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1));
            std::array::from_fn(|n| {
                let top = a[n] + (b[n] - a[n]) * x.fraction;
                let bottom = c[n] + (d[n] - c[n]) * x.fraction;
                top + (bottom - top) * y.fraction
            })
        }
    }
}

/// A mask around one output pixel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaskSample {
    /// The field whose ½-contour is drawn.
    pub field: f32,
    /// Share of the output pixel that is positive.
    pub share: f32,
    /// Share of the output pixel that is ignored.
    pub ignored: f32,
    /// The colours of the classes, each times its share; only where there are several.
    pub tint: [f32; 3],
}

/// The mask around the output pixel at `at`.
pub(super) fn mask(
    at: [&Taps; 2],
    minified: bool,
    plane: &PlaneView<'_>,
    kind: MaskKind,
    colours: &Colours,
) -> MaskSample {
    let on = |yes: bool| if yes { 1.0 } else { 0.0 };
    let values = plane.values;
    match (kind, minified) {
        (MaskKind::Probability, true) => {
            let [field, share] = filtered(at, Filter::Area, plane.width, |i| [values[i], on(values[i] >= 0.5)]);
            MaskSample { field, share, ..MaskSample::default() }
        }
        (MaskKind::Probability, false) => {
            let [field] = filtered(at, Filter::Linear, plane.width, |i| [values[i]]);
            MaskSample { field, share: on(field >= 0.5), ..MaskSample::default() }
        }
        (MaskKind::Reference, _) => {
            let filter = if minified { Filter::Area } else { Filter::Nearest };
            let [share, ignored] = filtered(at, filter, plane.width, |i| [on(values[i] > 0.5), on(values[i] < -0.5)]);
            MaskSample { field: share, share, ignored, tint: [0.0; 3] }
        }
        (MaskKind::Classes, _) => {
            let filter = if minified { Filter::Area } else { Filter::Nearest };
            let [field] = filtered(at, Filter::Nearest, plane.width, |i| [values[i]]);
            let [share, ignored] = filtered(at, filter, plane.width, |i| [on(values[i] > 0.5), on(values[i] < -0.5)]);
            let tint = filtered(at, filter, plane.width, |i| colours.class(values[i]).unwrap_or_default());
            MaskSample { field, share, ignored, tint }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp_mean(at: f32, scale: f32) -> f32 {
        let (x, y) = (Taps::new(at, scale, scale > 7.0, 64), Taps::new(0.5, scale, scale > 7.0, 1));
        filtered([&x, &y], Filter::Area, 64, |i| [i as f32 + 0.5])[0]
    }

    #[test]
    fn area_average_is_exact_at_any_ratio() {
        // A ramp's mean over an interval is its value at the middle.
        for (at, scale) in [(20.0, 2.0), (20.0, 4.0), (21.5, 5.0), (32.0, 6.0)] {
            let mean = ramp_mean(at, scale);
            assert!((mean - at).abs() < 1e-3, "{at} {scale} {mean}");
        }
        // Beyond seven pixels eight of them stand for all: right to within half of their distance.
        let mean = ramp_mean(30.0, 16.0);
        assert!((mean - 30.0).abs() <= 1.0, "{mean}");
    }

    #[test]
    fn area_weights_sum_to_one_for_any_position() {
        for scale in [0.3, 0.9, 1.0, 1.28, 2.7, 5.5, 6.999, 7.0, 7.5, 40.0] {
            for step in 0..100 {
                let taps = Taps::new(100.0 + step as f32 * 0.173, scale, scale > 7.0, 1000);
                let sum: f32 = taps.weight[..taps.count].iter().sum();
                assert!((sum - 1.0).abs() < 1e-3, "{scale} {step} {sum}");
            }
        }
    }

    #[test]
    fn at_one_to_one_every_pixel_is_itself() {
        for i in 0..12 {
            let (x, y) =
                (Taps::new((i % 4) as f32 + 0.5, 1.0, false, 4), Taps::new((i / 4) as f32 + 0.5, 1.0, false, 3));
            for filter in [Filter::Area, Filter::Linear, Filter::Nearest] {
                assert_eq!(filtered([&x, &y], filter, 4, |index| [index as f32]), [i as f32], "{filter:?}");
            }
        }
    }
}
