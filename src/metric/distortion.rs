//! How far an adversarial image is from its original.

/// Norms of a perturbation in units of the bounds (a fraction), over all channels and pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Distortion {
    /// Largest absolute change.
    pub linf: f64,
    /// Euclidean norm.
    pub l2: f64,
}

/// The norms of `adversarial − original`, two arrays of one length.
pub fn distortion(original: &[f32], adversarial: &[f32]) -> Distortion {
    let (mut linf, mut squares) = (0f64, 0f64);
    for (&a, &b) in original.iter().zip(adversarial) {
        let d = f64::from(b) - f64::from(a);
        linf = linf.max(d.abs());
        squares += d * d;
    }
    Distortion { linf, l2: squares.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        let found = distortion(&[0.5, 0.2, 0.9, 0.0], &[0.5, 0.5, 0.5, 0.1]);
        // Changes of 0, .3, −.4 and .1.
        assert!((found.linf - 0.4).abs() < 1e-6 && (found.l2 - 0.26f64.sqrt()).abs() < 1e-6, "{found:?}");
        let signs = distortion(&[0.5; 192], &[0.5 + 4.0 / 256.0; 192]);
        assert_eq!(signs.linf, 4.0 / 256.0);
        assert!((signs.l2 - signs.linf * 192f64.sqrt()).abs() < 1e-12, "{signs:?}");
        assert_eq!(distortion(&[0.1, 0.7], &[0.1, 0.7]), Distortion { linf: 0.0, l2: 0.0 });
    }
}
