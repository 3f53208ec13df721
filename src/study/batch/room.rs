//! Where the pixels of a case may be: its ball, its limits and the bounds, in exact arithmetic.

use super::BatchCase;
use crate::attack::{Norm, within_l2};
use crate::data::Bounds;

/// `found`, shares of the bounds, in the pixels of `case`: rounded so that they stay within its ball of `norm`, its limits and the
/// bounds. What is as in `clean` stays bit for bit.
pub fn kept_in_pixels(case: &BatchCase, norm: Norm, found: &[f32], clean: &[f32]) -> Vec<f32> {
    Room::new(case, norm).in_pixels(found, clean)
}

/// Where the pixels of a case may be.
pub(super) struct Room<'a> {
    case: &'a BatchCase,
    norm: Norm,
    /// Values of pixels that lie outside the bounds, in some channel. The model gets those clipped; they stay as they are, or they
    /// would have moved by more than the model has seen. A box that leaves their value out has the last word.
    frozen: Vec<bool>,
}

impl<'a> Room<'a> {
    pub fn new(case: &'a BatchCase, norm: Norm) -> Self {
        let ([channels, height, width], Bounds { lower, upper }) = (case.shape, case.bounds);
        let plane = height * width;
        let values = |pixel: usize| (0..channels).map(move |c| c * plane + pixel);
        let outside = |i: usize| !(lower..=upper).contains(&case.values[i]);
        let boxed = |i: usize| case.limits.as_ref().is_none_or(|(l, u)| (l[i]..=u[i]).contains(&case.values[i]));
        let frozen: Vec<bool> =
            (0..plane).map(|pixel| values(pixel).any(outside) && values(pixel).all(boxed)).collect();
        Self { case, norm, frozen: (0..channels).flat_map(|_| frozen.iter().copied()).collect() }
    }

    /// 1 where a pixel may be changed, 0 elsewhere, one for each pixel; `None` if all may.
    pub fn region(&self) -> Option<Vec<f32>> {
        let plane = self.frozen.len() / self.case.shape[0].max(1);
        let of_plane = self.frozen.iter().take(plane);
        self.frozen.contains(&true).then(|| of_plane.map(|&frozen| f32::from(u8::from(!frozen))).collect())
    }

    /// The least and the most that a value may be, in exact arithmetic.
    fn ends(&self, i: usize) -> (f64, f64) {
        let case = self.case;
        let v = f64::from(case.values[i]);
        if self.frozen[i] {
            return (v, v);
        }
        let (mut least, mut most) = (f64::from(case.bounds.lower), f64::from(case.bounds.upper));
        if let Some((lower, upper)) = &case.limits {
            (least, most) = (least.max(f64::from(lower[i])), most.min(f64::from(upper[i])));
        }
        if let (Norm::Linf, Some(epsilon)) = (self.norm, case.epsilon) {
            let radius = epsilon * f64::from(case.bounds.width());
            (least, most) = (least.max(v - radius), most.min(v + radius));
        }
        (least, most)
    }

    /// From shares of the bounds to pixel values, rounded so that they stay where they may be. What is as in `clean` stays bit for
    /// bit, as does a value that may be nowhere.
    pub fn in_pixels(&self, unit: &[f32], clean: &[f32]) -> Vec<f32> {
        let case = self.case;
        let (lower, width) = (f64::from(case.bounds.lower), f64::from(case.bounds.width()));
        let value = |(i, (&v, &clean)): (usize, (&f32, &f32))| {
            let (least, most) = self.ends(i);
            if least > most {
                return case.values[i];
            }
            let wished = if v == clean { f64::from(case.values[i]) } else { f64::from(v) * width + lower };
            let near = wished.clamp(least, most) as f32;
            match f64::from(near) {
                v if v > most => near.next_down(),
                v if v < least => near.next_up(),
                _ => near,
            }
        };
        let mut values: Vec<f32> = unit.iter().zip(clean).enumerate().map(value).collect();
        if let (Norm::L2, Some(epsilon)) = (self.norm, case.epsilon) {
            within_l2(&mut values, &case.values, epsilon * width * (1.0 - 1e-12));
        }
        values
    }

    /// The norm of the perturbation, as a fraction of the bounds' width.
    pub fn size_of(&self, values: &[f32]) -> f64 {
        let change = values.iter().zip(&self.case.values).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        let size = match self.norm {
            // A value that is no number has no size.
            Norm::Linf => {
                change.fold(0.0, |most: f64, d: f64| if d.is_nan() || most.is_nan() { f64::NAN } else { d.max(most) })
            }
            Norm::L2 => change.map(|d| d * d).sum::<f64>().sqrt(),
        };
        size / f64::from(self.case.bounds.width())
    }

    /// Whether the array is inside its ball, its limits and the bounds: in exact arithmetic, as far as 64 bits have it.
    pub fn holds(&self, values: &[f32]) -> bool {
        let in_ends = values.iter().enumerate().all(|(i, &v)| {
            let (least, most) = self.ends(i);
            (least..=most).contains(&f64::from(v))
        });
        let radius = self.case.epsilon.filter(|_| self.norm == Norm::L2);
        in_ends && radius.is_none_or(|epsilon| self.size_of(values) <= epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Truth;
    use super::*;

    fn case(epsilon: Option<f64>, limits: Option<(Vec<f32>, Vec<f32>)>) -> BatchCase {
        let bounds = Bounds { lower: -1024.0, upper: 3071.0 };
        BatchCase {
            shape: [1, 1, 3],
            values: vec![-1024.0, 7.0, 3000.3],
            bounds,
            truth: Truth::Class(0),
            epsilon,
            limits,
        }
    }

    /// The values of [`case`] as shares of its bounds.
    const CLEAN: [f32; 3] = [0.0, 0.2517, 0.9827];

    #[test]
    fn what_is_kept_is_inside_whatever_was_found() {
        for epsilon in [0.0, 1e-7, 1.0 / 255.0, 0.3, 1.0] {
            for unit in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.3, 0.25171, 0.99]] {
                for norm in [Norm::Linf, Norm::L2] {
                    let case = case(Some(epsilon), None);
                    let room = Room::new(&case, norm);
                    let kept = room.in_pixels(&unit, &CLEAN);
                    assert!(room.holds(&kept), "{norm:?}, {epsilon}: {kept:?}");
                }
            }
        }
        let boxed = case(None, Some((vec![-1000.0, 7.0, 2990.0], vec![-1000.0, 9.5, 3000.0])));
        let room = Room::new(&boxed, Norm::Linf);
        assert_eq!(room.in_pixels(&[0.0, 1.0, 1.0], &CLEAN), [-1000.0, 9.5, 3000.0]);
        assert!(!room.holds(&boxed.values), "the original itself is outside its box");
        let nowhere = case(Some(0.001), Some((vec![0.0; 3], vec![0.1; 3])));
        let room = Room::new(&nowhere, Norm::Linf);
        assert!(!room.holds(&room.in_pixels(&[0.5; 3], &CLEAN)), "ball and box do not meet");
    }

    #[test]
    fn pixels_outside_the_bounds_stay_bit_for_bit() {
        // Two channels of two pixels; the first pixel is outside in its second channel.
        let of = |limits| BatchCase {
            shape: [2, 1, 2],
            values: vec![0.1, 0.2, 300.7, 0.3],
            bounds: Bounds { lower: 0.0, upper: 255.0 },
            truth: Truth::Class(0),
            epsilon: Some(0.1),
            limits,
        };
        let case = of(None);
        let room = Room::new(&case, Norm::Linf);
        assert_eq!(room.region(), Some(vec![0.0, 1.0]));
        let kept = room.in_pixels(&[0.5; 4], &[0.0, 0.0, 1.0, 0.0]);
        assert_eq!((kept[0].to_bits(), kept[2].to_bits()), (0.1f32.to_bits(), 300.7f32.to_bits()));
        assert!(kept[1] > 25.0 && room.holds(&kept) && room.size_of(&kept) <= 0.1);
        assert!(!room.holds(&[0.1, 0.2, 255.0, 0.3]), "clipping is a change");
        // A box that the pixel is outside of moves it there.
        let boxed = of(Some((vec![0.0; 4], vec![255.0, 255.0, 290.0, 255.0])));
        assert_eq!(Room::new(&boxed, Norm::Linf).region(), None);
        let boxed = BatchCase { epsilon: Some(0.2), ..boxed };
        assert_eq!(Room::new(&boxed, Norm::Linf).in_pixels(&[0.0, 0.0, 1.0, 0.0], &[0.0; 4])[2], 255.0);
    }

    #[test]
    fn what_was_not_changed_is_the_original_and_a_lost_number_no_success() {
        let case = case(Some(0.1), None);
        for norm in [Norm::Linf, Norm::L2] {
            let room = Room::new(&case, norm);
            assert_eq!(room.in_pixels(&CLEAN, &CLEAN), case.values);
            let lost = room.in_pixels(&[f32::NAN, 0.3, 0.5], &CLEAN);
            assert!(!room.holds(&lost) && room.size_of(&lost).is_nan());
        }
    }
}
