//! Boxes of cases, and bounds that hold numbers as they are.

use crate::cli::images::Images;
use crate::data::{Bounds, read_npy};
use anyhow::ensure;
use std::path::Path;

/// The smallest and the largest value of each pixel.
pub(super) type Limits = (Vec<f32>, Vec<f32>);

/// `limits`, and the bounds `allowed`, for the pixels of one image. Those that lie outside the bounds stay as they are, unless
/// `limits` leave them out.
pub(super) fn within_bounds(images: &Images, allowed: Bounds, limits: Option<Limits>) -> Limits {
    let (count, plane) = (images.values.len(), (images.shape[2] * images.shape[3]).max(1));
    let (mut least, mut most) = limits.unwrap_or_else(|| (vec![f32::NEG_INFINITY; count], vec![f32::INFINITY; count]));
    let (mut outside, mut boxed) = (vec![false; plane], vec![true; plane]);
    for (i, v) in images.values.iter().enumerate() {
        outside[i % plane] |= !(allowed.lower..=allowed.upper).contains(v);
        boxed[i % plane] &= (least[i]..=most[i]).contains(v);
    }
    for (i, &v) in images.values.iter().enumerate() {
        let frozen = outside[i % plane] && boxed[i % plane];
        let ends = if frozen { [v, v] } else { [allowed.lower, allowed.upper] };
        (least[i], most[i]) = (least[i].max(ends[0]), most[i].min(ends[1]));
    }
    (least, most)
}

/// One side of a box for an input of these axes.
pub(super) fn limit(path: &Path, axes: &[usize]) -> anyhow::Result<Vec<f32>> {
    let array = read_npy(path)?;
    // An axis of one image or one channel may be left away.
    let counted = |axes: &[usize]| axes.iter().copied().skip_while(|&n| n == 1).collect::<Vec<_>>();
    ensure!(
        counted(&array.shape) == counted(axes),
        "{}: has the axes {:?}, and its input {axes:?}",
        path.display(),
        array.shape
    );
    let broken = array.values.iter().filter(|v| !v.is_finite()).count();
    ensure!(broken == 0, "{}: {broken} of its values are not finite (NaN or infinite)", path.display());
    Ok(array.values)
}

/// Bounds that hold the values, the box and the ball.
pub(super) fn around(values: &[f32], limits: Option<&Limits>, epsilon: f64) -> Bounds {
    let ends = |values: &[f32]| {
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lower, upper), &v| (lower.min(v), upper.max(v)))
    };
    let (lower, upper) = ends(values);
    // A little more than ε, so that rounding takes nothing from the ball.
    let room = (epsilon as f32).max(1e-6) * 1.01;
    let (mut lower, mut upper) = (lower - room, upper + room);
    if let Some((least, most)) = limits {
        (lower, upper) = (lower.min(ends(least).0), upper.max(ends(most).1));
    }
    Bounds { lower, upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_raw_numbers_hold_all_that_is_allowed() {
        let limits = (vec![-3.0, 0.0], vec![0.5, 9.0]);
        assert_eq!(around(&[0.0, 1.0], Some(&limits), 0.25), Bounds { lower: -3.0, upper: 9.0 });
        let ball = around(&[0.0, 1.0], None, 0.25);
        assert!(ball.lower < -0.25 && ball.upper > 1.25 && ball.width() < 1.6);
    }
}
