//! What metrics of colour share: sRGB to light, and 3×3 matrices.

/// Linear light of one value of sRGB (IEC 61966-2-1).
pub(super) fn linear(value: f64) -> f64 {
    if value > 0.04045 { ((value + 0.055) / 1.055).powf(2.4) } else { value / 12.92 }
}

/// The product of a matrix and a vector.
pub(super) fn through(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}
