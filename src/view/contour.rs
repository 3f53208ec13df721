//! Distances to a mask's contour, in output pixels: marching squares (Lorensen and Cline, 1987) over the field at the
//! output pixels' centres, and the distance from each centre to the nearest piece. The shader does the same.

/// Pieces of contour further away than this many output pixels are not looked for: half the line's two pixels, one
/// pixel of dark edge, and half a pixel of smoothing, rounded up.
pub(super) const REACH: usize = 3;

/// Farther than any contour that is drawn.
pub(super) const FAR: f32 = 4.0;

/// Where the contour crosses the sides of the square between four neighbouring centres: top, right, bottom, left, as
/// fractions from the left or the top; negative where it does not.
type Crossings = [f32; 4];

/// The crossings of the square with the fields `a b` above `c d`; if they are classes, midway between two that differ.
fn crossings([a, b, c, d]: [f32; 4], classes: bool) -> Crossings {
    let cross = |from: f32, to: f32| {
        if classes {
            return if from == to { -1.0 } else { 0.5 };
        }
        let (from, to) = (from - 0.5, to - 0.5);
        if (from >= 0.0) == (to >= 0.0) { -1.0 } else { from / (from - to) }
    };
    [cross(a, b), cross(b, d), cross(c, d), cross(a, c)]
}

/// Distance from the origin to the segment from `p` to `q`.
fn to_segment(p: [f32; 2], q: [f32; 2]) -> f32 {
    let along = [q[0] - p[0], q[1] - p[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let t = (-(p[0] * along[0] + p[1] * along[1]) / length.max(1e-12)).clamp(0.0, 1.0);
    let nearest = [p[0] + along[0] * t, p[1] + along[1] * t];
    (nearest[0] * nearest[0] + nearest[1] * nearest[1]).sqrt()
}

/// Distance from the origin to the contour within the square whose top-left centre is at `at`.
fn to_square(at: [f32; 2], [top, right, bottom, left]: Crossings) -> f32 {
    let top_point = [at[0] + top, at[1]];
    let right_point = [at[0] + 1.0, at[1] + right];
    let bottom_point = [at[0] + bottom, at[1] + 1.0];
    let left_point = [at[0], at[1] + left];
    match (top >= 0.0, right >= 0.0, bottom >= 0.0, left >= 0.0) {
        // A saddle: which way it is cut makes a difference of less than a pixel.
        (true, true, true, true) => to_segment(top_point, right_point).min(to_segment(left_point, bottom_point)),
        (true, true, ..) => to_segment(top_point, right_point),
        (true, _, true, _) => to_segment(top_point, bottom_point),
        (true, _, _, true) => to_segment(top_point, left_point),
        (_, true, true, _) => to_segment(right_point, bottom_point),
        (_, true, _, true) => to_segment(right_point, left_point),
        (_, _, true, true) => to_segment(bottom_point, left_point),
        _ => FAR,
    }
}

/// A field at output pixels' centres, with [`REACH`] more on every side, and what follows from it.
pub(super) struct Contour {
    /// Squares per row: the output's width and twice the reach, less one.
    stride: usize,
    squares: Vec<Crossings>,
}

impl Contour {
    /// Of `field(index)`, `[height + 2 × REACH, width + 2 × REACH]`, which holds `classes` or is cut at ½.
    pub fn new(field: impl Fn(usize) -> f32 + Sync, classes: bool, width: usize, height: usize) -> Self {
        use rayon::prelude::*;
        let nodes = width + 2 * REACH;
        let stride = nodes - 1;
        let rows = height + 2 * REACH - 1;
        let mut squares = vec![[-1.0; 4]; stride * rows];
        squares.par_chunks_mut(stride).enumerate().for_each(|(j, row)| {
            for (i, square) in row.iter_mut().enumerate() {
                let at = j * nodes + i;
                let corners = [at, at + 1, at + nodes, at + nodes + 1].map(&field);
                *square = crossings(corners, classes);
            }
        });
        Self { stride, squares }
    }

    /// Distances along output row `y`, at most [`FAR`].
    pub fn distances(&self, y: usize, out: &mut [f32]) {
        out.fill(FAR);
        for j in 0..2 * REACH {
            let row = &self.squares[(y + j) * self.stride..][..self.stride];
            for (i, &square) in row.iter().enumerate() {
                if square == [-1.0; 4] {
                    continue;
                }
                // The square between the centres i and i + 1, counted from REACH left of the output.
                let (from, to) = ((i + 1).saturating_sub(2 * REACH), (i + 1).min(out.len()));
                for (x, distance) in out.iter_mut().enumerate().take(to).skip(from) {
                    let at = [i as f32 - (x + REACH) as f32, j as f32 - REACH as f32];
                    *distance = distance.min(to_square(at, square));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_to_a_slanted_line_is_its_true_distance() {
        let (width, height) = (40, 30);
        // Positive where 0.6 x + 0.8 y > 20, softened as bilinear sampling would.
        let signed = |x: f32, y: f32| 0.6 * x + 0.8 * y - 20.0;
        let nodes = width + 2 * REACH;
        let field: Vec<f32> = (0..nodes * (height + 2 * REACH))
            .map(|n| ((n % nodes) as f32 - REACH as f32, (n / nodes) as f32 - REACH as f32))
            .map(|(x, y)| (0.5 + 0.1 * signed(x, y)).clamp(0.0, 1.0))
            .collect();
        let contour = Contour::new(|i| field[i], false, width, height);
        let mut row = vec![0.0; width];
        for y in 0..height {
            contour.distances(y, &mut row);
            for (x, &found) in row.iter().enumerate() {
                let truth = signed(x as f32, y as f32).abs();
                if truth < 2.5 {
                    assert!((found - truth).abs() < 0.02, "{x} {y}: {found} for {truth}");
                } else {
                    assert!(found > 2.45, "{x} {y}: {found} for {truth}");
                }
            }
        }
    }
}
