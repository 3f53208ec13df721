//! The input of one tile in the order that the loop reads it: padded with zeros, the columns of a stride side by side.

use super::plan::Geometry;
use super::rows::SLACK;

/// One of the tensors whose channels are read side by side: one image of it, `[channels, height, width]`.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub values: &'a [f32],
    /// Values count only where this is above 0: the output of a ReLU whose gradient `values` are.
    pub mask: Option<&'a [f32]>,
    pub channels: usize,
}

/// A rectangle of output pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub y: usize,
    pub x: usize,
    pub rows: usize,
    pub width: usize,
}

/// Where things are in a tile's source.
pub(super) struct Order {
    /// Floats of one phase of one row.
    phase: usize,
    /// Floats of a source row: the phases of a stride, one after the other.
    row: usize,
    /// Source rows of a channel.
    rows: usize,
    geometry: Geometry,
}

impl Order {
    /// The order for tiles of `rows` × `width` output pixels.
    pub fn new(geometry: Geometry, rows: usize, width: usize) -> Self {
        let phase = width + geometry.reach(1) / geometry.stride[1] + SLACK;
        let source_rows = (rows - 1) * geometry.stride[0] + geometry.reach(0) + 1;
        Self { phase, row: phase * geometry.stride[1], rows: source_rows, geometry }
    }

    /// Floats of a channel.
    pub fn plane(&self) -> usize {
        self.row * self.rows
    }

    /// Floats between source rows of neighbouring output rows.
    pub fn step(&self) -> usize {
        self.row * self.geometry.stride[0]
    }

    /// Where each tap of the kernel is.
    pub fn taps(&self) -> Vec<usize> {
        let Geometry { kernel, stride, dilation, .. } = self.geometry;
        (0..kernel[0] * kernel[1])
            .map(|tap| {
                let [y, x] = [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]];
                y * self.row + x % stride[1] * self.phase + x / stride[1]
            })
            .collect()
    }

    /// Fills `source`, one plane a channel, for `tile` of images of `height` × `width` pixels.
    pub fn fill(&self, source: &mut [f32], parts: &[Part<'_>], [height, width]: [usize; 2], tile: Tile) {
        let Geometry { stride, padding, .. } = self.geometry;
        let mut planes = source.chunks_exact_mut(self.plane());
        for part in parts {
            for (channel, plane) in (0..part.channels).zip(&mut planes) {
                let image = &part.values[channel * height * width..][..height * width];
                let mask = part.mask.map(|mask| &mask[channel * height * width..][..height * width]);
                for (i, row) in plane.chunks_exact_mut(self.row).enumerate() {
                    let y = (tile.y * stride[0] + i).checked_sub(padding[0][0]).filter(|&y| y < height);
                    let Some(y) = y else {
                        row.fill(0.0);
                        continue;
                    };
                    let from = &image[y * width..][..width];
                    let mask = mask.map(|mask| &mask[y * width..][..width]);
                    for (phase, to) in row.chunks_exact_mut(self.phase).enumerate() {
                        self.fill_phase(to, from, mask, (tile.x * stride[1] + phase, padding[1][0]));
                    }
                }
            }
        }
    }

    /// One row of one phase: column j is input column `start + j·stride − padding`.
    fn fill_phase(&self, to: &mut [f32], from: &[f32], mask: Option<&[f32]>, (start, padding): (usize, usize)) {
        let stride = self.geometry.stride[1];
        // The first j whose column is inside, and the first whose column is past the end.
        let inside = padding.saturating_sub(start).div_ceil(stride).min(to.len());
        let end = (from.len() + padding).saturating_sub(start).div_ceil(stride).clamp(inside, to.len());
        to[..inside].fill(0.0);
        to[end..].fill(0.0);
        if end == inside {
            return;
        }
        let first = start + inside * stride - padding;
        let to = &mut to[inside..end];
        let count = to.len();
        match (mask, stride) {
            (None, 1) => to.copy_from_slice(&from[first..first + count]),
            (Some(mask), 1) => {
                for ((to, &value), &mask) in to.iter_mut().zip(&from[first..]).zip(&mask[first..]) {
                    *to = if mask > 0.0 { value } else { 0.0 };
                }
            }
            (mask, _) => {
                for (j, to) in to.iter_mut().enumerate() {
                    let at = first + j * stride;
                    *to = if mask.is_none_or(|mask| mask[at] > 0.0) { from[at] } else { 0.0 };
                }
            }
        }
    }
}
