//! The input of one tile in the order that the loop reads it: padded with zeros, the rows and columns that a stride
//! takes side by side.

use super::geometry::{Activation, Geometry};
use super::lanes::Instructions;
use super::rows::{SLACK, Tap};
use std::ops::Range;

/// One of the tensors whose channels are read side by side: one image of it, `[channels, height, width]`.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub values: &'a [f32],
    /// Values count only where this is strictly within the bounds: the output whose gradient `values` are.
    pub mask: Option<(&'a [f32], Activation)>,
    pub channels: usize,
}

/// Where things are in a tile's source: `[channel][phase][row][column]`.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    stride: [usize; 2],
    /// Rows and columns of the image are dealt out to phases, as the stride says; those that are read.
    phases: Vec<[usize; 2]>,
    rows: usize,
    /// Floats between rows of a phase.
    pub pitch: usize,
    /// Floats between channels.
    pub plane: usize,
}

impl Frame {
    fn new(stride: [usize; 2], phases: Vec<[usize; 2]>, [rows, pitch]: [usize; 2]) -> Self {
        // Whole cache lines, and no power of two between channels, which would share few places in the cache.
        let plane = (phases.len() * rows * pitch).next_multiple_of(SLACK);
        let plane = if plane.is_multiple_of(8 * SLACK) { plane + SLACK } else { plane };
        Self { stride, phases, rows, pitch, plane }
    }

    /// For a convolution's tiles of `rows` × `width` output pixels, and where its taps are.
    pub fn forward(geometry: &Geometry, [rows, width]: [usize; 2]) -> (Self, Vec<Tap>) {
        let Geometry { kernel, stride, dilation, .. } = *geometry;
        let taps: Vec<[usize; 2]> =
            (0..geometry.taps()).map(|tap| [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]]).collect();
        let phase = |[y, x]: [usize; 2]| [y % stride[0], x % stride[1]];
        let mut phases: Vec<[usize; 2]> = taps.iter().copied().map(phase).collect();
        phases.sort_unstable();
        phases.dedup();
        let size = [rows + geometry.reach(0) / stride[0], width + geometry.reach(1) / stride[1]];
        let frame = Self::new(stride, phases, size);
        let taps = taps.into_iter().enumerate().map(|(weight, tap)| {
            let phase = frame.phases.iter().position(|p| *p == phase(tap)).unwrap_or(0);
            let at = (phase * frame.rows + tap[0] / stride[0]) * frame.pitch + tap[1] / stride[1];
            Tap { at, weight }
        });
        let taps = taps.collect();
        (frame, taps)
    }

    /// For tiles of which `rows` × `width` pixels and `reach` more are read, side by side.
    pub fn plain([rows, width]: [usize; 2], reach: [usize; 2]) -> Self {
        Self::new([1, 1], vec![[0, 0]], [rows + reach[0], width + reach[1]])
    }

    /// Floats of a source of `channels`.
    pub fn floats(&self, channels: usize) -> usize {
        self.plane * channels + 2 * SLACK
    }

    /// Fills `source`, one plane a channel, from `channels` of images of `size` pixels; the first pixel of the source is
    /// `origin` of the image.
    pub fn fill(
        &self,
        with: Instructions,
        source: &mut [f32],
        parts: &[Part<'_>],
        channels: Range<usize>,
        [height, width]: [usize; 2],
        origin: [isize; 2],
    ) {
        let mut planes = source.chunks_exact_mut(self.plane);
        let mut first = 0;
        for part in parts {
            let of_part = channels.start.max(first)..channels.end.min(first + part.channels);
            for (channel, plane) in of_part.zip(&mut planes) {
                let at = (channel - first) * height * width..(channel - first + 1) * height * width;
                let image = &part.values[at.clone()];
                let mask = part.mask.and_then(|(mask, activation)| Some((&mask[at], activation.bounds()?)));
                for (rows, phase) in plane.chunks_exact_mut(self.rows * self.pitch).zip(&self.phases) {
                    for (i, row) in rows.chunks_exact_mut(self.pitch).enumerate() {
                        let y = origin[0] + (i * self.stride[0] + phase[0]) as isize;
                        let y = usize::try_from(y).ok().filter(|&y| y < height);
                        let Some(y) = y else {
                            row.fill(0.0);
                            continue;
                        };
                        let from = &image[y * width..][..width];
                        let mask = mask.map(|(mask, bounds)| (&mask[y * width..][..width], bounds));
                        self.fill_row(with, row, from, mask, origin[1] + phase[1] as isize);
                    }
                }
            }
            first += part.channels;
        }
    }

    /// One row of one phase: column j is input column `start + j·stride`.
    fn fill_row(
        &self,
        with: Instructions,
        to: &mut [f32],
        from: &[f32],
        mask: Option<(&[f32], [f32; 2])>,
        start: isize,
    ) {
        let stride = self.stride[1];
        // The first j whose column is inside, and the first whose column is past the end.
        let inside = ((-start).max(0) as usize).div_ceil(stride).min(to.len());
        let end = ((from.len() as isize - start).max(0) as usize).div_ceil(stride).clamp(inside, to.len());
        to[..inside].fill(0.0);
        to[end..].fill(0.0);
        if end == inside {
            return;
        }
        let first = (start + (inside * stride) as isize) as usize;
        let to = &mut to[inside..end];
        let count = to.len();
        match (mask, stride) {
            (None, 1) => to.copy_from_slice(&from[first..first + count]),
            (Some((mask, bounds)), 1) => {
                let [lower, upper] = bounds;
                with.run(|| {
                    for ((to, &value), &mask) in to.iter_mut().zip(&from[first..]).zip(&mask[first..]) {
                        *to = if (mask > lower) & (mask < upper) { value } else { 0.0 };
                    }
                });
            }
            (None, 2) => {
                let last = from[first + 2 * (count - 1)];
                with.run(|| {
                    for (to, pair) in to.iter_mut().zip(from[first..].chunks_exact(2)) {
                        *to = pair[0];
                    }
                });
                to[count - 1] = last;
            }
            (mask, _) => {
                for (j, to) in to.iter_mut().enumerate() {
                    let at = first + j * stride;
                    let counts = mask.is_none_or(|(mask, [lower, upper])| mask[at] > lower && mask[at] < upper);
                    *to = if counts { from[at] } else { 0.0 };
                }
            }
        }
    }
}
