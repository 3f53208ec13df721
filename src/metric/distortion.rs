//! Norms of a perturbation: how far an adversarial image is from its original.

/// Norms of a perturbation in units of the bounds (a fraction), over all channels and pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Distortion {
    /// Number of values that changed; a pixel of three channels can count three times.
    pub l0: u64,
    /// Sum of the absolute changes.
    pub l1: f64,
    /// Euclidean norm.
    pub l2: f64,
    /// Largest absolute change.
    pub linf: f64,
}

/// The norms of `adversarial − original`, two arrays of one length. Of a NaN all norms but L0 are NaN.
pub fn distortion(original: &[f32], adversarial: &[f32]) -> Distortion {
    let mut found = Distortion::default();
    let mut squares = 0f64;
    for (&a, &b) in original.iter().zip(adversarial) {
        let d = (f64::from(b) - f64::from(a)).abs();
        found.l0 += u64::from(d != 0.0);
        found.l1 += d;
        squares += d * d;
        // `f64::max` would pass over a NaN, and a broken image would look unchanged.
        if d > found.linf || d.is_nan() {
            found.linf = d;
        }
    }
    found.l2 = squares.sqrt();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let found = distortion(&[0.5, 0.2, 0.9, 0.0], &[0.5, 0.5, 0.5, 0.1]);
        // Changes of 0, .3, −.4 and .1.
        assert_eq!(found.l0, 3);
        assert!((found.l1 - 0.8).abs() < 1e-6, "{found:?}");
        assert!((found.linf - 0.4).abs() < 1e-6 && (found.l2 - 0.26f64.sqrt()).abs() < 1e-6, "{found:?}");
        let signs = distortion(&[0.5; 192], &[0.5 + 4.0 / 256.0; 192]);
        assert_eq!((signs.l0, signs.l1, signs.linf), (192, 3.0, 4.0 / 256.0));
        assert!((signs.l2 - signs.linf * 192f64.sqrt()).abs() < 1e-12, "{signs:?}");
        assert_eq!(distortion(&[0.1, 0.7], &[0.1, 0.7]), Distortion::default());
    }

    #[test]
    fn a_nan_is_never_small() {
        for at in 0..3 {
            let mut broken = [0.5f32; 3];
            broken[at] = f32::NAN;
            let found = distortion(&[0.5, 0.4, 0.5], &broken);
            assert!(found.l1.is_nan() && found.l2.is_nan() && found.linf.is_nan(), "{found:?}");
        }
    }
}
