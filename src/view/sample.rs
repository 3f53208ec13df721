//! One output pixel's worth of a plane. The shader does the same in the same order.

use super::{MaskKind, PlaneView};

/// Taps along one axis: the first one, how many (at most 8), and their weights.
struct Taps {
    index: [usize; 8],
    weight: [f32; 8],
    count: usize,
}

/// The pixels that the interval of length `scale` around `centre` overlaps, weighted by the overlap; beyond 7 pixels,
/// eight spread over it.
fn taps(centre: f32, scale: f32, length: usize) -> Taps {
    let last = length - 1;
    let low = centre - 0.5 * scale;
    let mut taps = Taps { index: [0; 8], weight: [0.0; 8], count: 8 };
    if scale > 7.0 {
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

/// The index of the pixel at `position`, or the nearest one there is.
fn clamped(position: f32, last: usize) -> usize {
    position.clamp(0.0, last as f32) as usize
}

/// Mean of `value(index)` over the output pixel around `at`.
fn area<const N: usize>(
    at: [f32; 2],
    scale: f32,
    plane: &PlaneView<'_>,
    value: impl Fn(usize) -> [f32; N],
) -> [f32; N] {
    let x = taps(at[0], scale, plane.width);
    let y = taps(at[1], scale, plane.height);
    let mut sum = [0.0; N];
    for j in 0..y.count {
        let mut row = [0.0; N];
        for i in 0..x.count {
            let v = value(y.index[j] * plane.width + x.index[i]);
            for n in 0..N {
                row[n] += v[n] * x.weight[i];
            }
        }
        for n in 0..N {
            sum[n] += row[n] * y.weight[j];
        }
    }
    sum
}

/// The value of the square that `at` lies in.
fn nearest<const N: usize>(at: [f32; 2], plane: &PlaneView<'_>, value: impl Fn(usize) -> [f32; N]) -> [f32; N] {
    value(clamped(at[1].floor(), plane.height - 1) * plane.width + clamped(at[0].floor(), plane.width - 1))
}

/// Bilinear between pixel centres.
fn linear<const N: usize>(at: [f32; 2], plane: &PlaneView<'_>, value: impl Fn(usize) -> [f32; N]) -> [f32; N] {
    let (x, y) = (at[0] - 0.5, at[1] - 0.5);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let columns = [x.floor(), x.floor() + 1.0].map(|x| clamped(x, plane.width - 1));
    let rows = [y.floor(), y.floor() + 1.0].map(|y| clamped(y, plane.height - 1) * plane.width);
    let corner = |j: usize, i: usize| value(rows[j] + columns[i]);
    let (a, b, c, d) = (corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1));
    std::array::from_fn(|n| {
        let top = a[n] + (b[n] - a[n]) * fx;
        let bottom = c[n] + (d[n] - c[n]) * fx;
        top + (bottom - top) * fy
    })
}

/// `value(index)` as the picture shows it around the image position `at`.
pub(super) fn image<const N: usize>(
    at: [f32; 2],
    scale: f32,
    bilinear: bool,
    plane: &PlaneView<'_>,
    value: impl Fn(usize) -> [f32; N],
) -> [f32; N] {
    if scale >= 1.0 {
        area(at, scale, plane, value)
    } else if bilinear {
        linear(at, plane, value)
    } else {
        nearest(at, plane, value)
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
}

/// The mask around the image position `at`.
pub(super) fn mask(at: [f32; 2], scale: f32, plane: &PlaneView<'_>, kind: MaskKind) -> MaskSample {
    let on = |yes: bool| if yes { 1.0 } else { 0.0 };
    match kind {
        MaskKind::Probability => {
            let value = |i: usize| [plane.values[i], on(plane.values[i] >= 0.5)];
            if scale >= 1.0 {
                let [field, share] = area(at, scale, plane, value);
                MaskSample { field, share, ignored: 0.0 }
            } else {
                let [field] = linear(at, plane, |i| [plane.values[i]]);
                MaskSample { field, share: on(field >= 0.5), ignored: 0.0 }
            }
        }
        MaskKind::Reference => {
            let value = |i: usize| [on(plane.values[i] > 0.5), on(plane.values[i] < -0.5)];
            let [share, ignored] = if scale >= 1.0 { area(at, scale, plane, value) } else { nearest(at, plane, value) };
            MaskSample { field: share, share, ignored }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_average_is_exact_at_any_ratio() {
        // A ramp's mean over an interval is its value at the middle.
        let values: Vec<f32> = (0..64).map(|i| i as f32 + 0.5).collect();
        let plane = PlaneView { channels: 1, height: 1, width: 64, values: &values };
        for (at, scale) in [(20.0, 2.0), (20.0, 4.0), (21.5, 5.0), (32.0, 6.0)] {
            let [mean] = area([at, 0.5], scale, &plane, |i| [values[i]]);
            assert!((mean - at).abs() < 1e-3, "{at} {scale} {mean}");
        }
        // Beyond seven pixels eight of them stand for all: right to within half of their distance.
        let [mean] = area([30.0, 0.5], 16.0, &plane, |i| [values[i]]);
        assert!((mean - 30.0).abs() <= 1.0, "{mean}");
    }

    #[test]
    fn area_weights_sum_to_one_for_any_position() {
        for scale in [1.0, 1.28, 2.7, 5.5, 6.999, 7.0, 7.5, 40.0] {
            for step in 0..100 {
                let taps = taps(100.0 + step as f32 * 0.173, scale, 1000);
                let sum: f32 = taps.weight[..taps.count].iter().sum();
                assert!((sum - 1.0).abs() < 1e-3, "{scale} {step} {sum}");
            }
        }
    }

    #[test]
    fn at_one_to_one_every_pixel_is_itself() {
        let values: Vec<f32> = (0..12).map(|i| (i * 7 % 5) as f32).collect();
        let plane = PlaneView { channels: 1, height: 3, width: 4, values: &values };
        for y in 0..3 {
            for x in 0..4 {
                let [v] = image([x as f32 + 0.5, y as f32 + 0.5], 1.0, true, &plane, |i| [values[i]]);
                assert_eq!(v, values[y * 4 + x]);
            }
        }
    }
}
