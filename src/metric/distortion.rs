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
