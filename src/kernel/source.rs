//! The input of one tile in the order that the loop reads it: padded with zeros, the rows and columns that a stride
//! takes side by side.

// Vector instructions and their pointers; rows are slices whose lengths they keep to.
#![allow(unsafe_code)]

use super::geometry::{Activation, Geometry};
#[cfg(target_arch = "x86_64")]
use super::lanes::x86;
use super::lanes::{Instructions, Lanes, Portable};
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
        size: [usize; 2],
        origin: [isize; 2],
    ) {
        let image = Image { parts, channels, size, origin };
        match with {
            // SAFETY: the processor has the instructions (`Instructions::available`).
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { fill_avx512(self, source, &image) },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { fill_avx2(self, source, &image) },
            // SAFETY: needs no instructions of its own.
            Instructions::Portable => unsafe { fill::<Portable>(self, source, &image) },
        }
    }

    /// The phase after number `phase` too, if both lie in the same rows and take turns in them.
    fn pair(&self, phase: usize) -> bool {
        let [y, x] = self.phases[phase];
        self.stride[1] == 2 && x == 0 && self.phases.get(phase + 1) == Some(&[y, 1])
    }
}

/// What a source is filled from.
struct Image<'a> {
    parts: &'a [Part<'a>],
    channels: Range<usize>,
    size: [usize; 2],
    origin: [isize; 2],
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn fill_avx512(frame: &Frame, source: &mut [f32], image: &Image<'_>) {
    unsafe { fill::<x86::Avx512>(frame, source, image) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn fill_avx2(frame: &Frame, source: &mut [f32], image: &Image<'_>) {
    unsafe { fill::<x86::Avx2>(frame, source, image) }
}

/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn fill<L: Lanes>(frame: &Frame, source: &mut [f32], image: &Image<'_>) {
    let Image { parts, ref channels, size: [height, width], origin } = *image;
    let mut planes = source.chunks_exact_mut(frame.plane);
    let mut first = 0;
    for part in parts {
        let of_part = channels.start.max(first)..channels.end.min(first + part.channels);
        for (channel, plane) in of_part.zip(&mut planes) {
            let at = (channel - first) * height * width..(channel - first + 1) * height * width;
            let values = &part.values[at.clone()];
            let mask = part.mask.and_then(|(mask, activation)| Some((&mask[at], activation.bounds()?)));
            let mut phase = 0;
            while phase < frame.phases.len() {
                let count = 1 + usize::from(frame.pair(phase));
                let [down, across] = frame.phases[phase];
                for i in 0..frame.rows {
                    let y = origin[0] + (i * frame.stride[0] + down) as isize;
                    let row = |phase: usize| (phase * frame.rows + i) * frame.pitch;
                    let Some(y) = usize::try_from(y).ok().filter(|&y| y < height) else {
                        (phase..phase + count).for_each(|phase| plane[row(phase)..][..frame.pitch].fill(0.0));
                        continue;
                    };
                    let from = &values[y * width..][..width];
                    let mask = mask.map(|(mask, bounds)| (&mask[y * width..][..width], bounds));
                    let start = origin[1] + across as isize;
                    let (one, rest) = plane[row(phase)..].split_at_mut(frame.pitch);
                    let other =
                        if count == 2 { &mut rest[row(1) - row(0) - frame.pitch..][..frame.pitch] } else { &mut [] };
                    // SAFETY: the caller's.
                    unsafe { fill_row::<L>([one, other], from, mask, start, frame.stride[1]) };
                }
                phase += count;
            }
        }
        first += part.channels;
    }
}

/// One row of one phase, or of two that take turns: column j of the first is input column `start + j·stride`.
///
/// # Safety
/// The processor must have the instructions; `mask` is as long as `from`.
#[inline(always)]
unsafe fn fill_row<L: Lanes>(
    to: [&mut [f32]; 2],
    from: &[f32],
    mask: Option<(&[f32], [f32; 2])>,
    start: isize,
    stride: usize,
) {
    let [one, other] = to;
    if stride > 2 {
        for (j, to) in one.iter_mut().enumerate() {
            let at = usize::try_from(start + (j * stride) as isize).ok().filter(|&at| at < from.len());
            let counts = |at: &usize| mask.is_none_or(|(mask, [lower, upper])| mask[*at] > lower && mask[*at] < upper);
            *to = at.filter(counts).map_or(0.0, |at| from[at]);
        }
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        for x in (0..one.len()).step_by(L::COUNT) {
            let at = start + (x * stride) as isize;
            if stride == 1 {
                store::<L>(one, x, load::<L>(from, mask, at));
            } else {
                let next = load::<L>(from, mask, at + L::COUNT as isize);
                let [even, odd] = L::apart(load::<L>(from, mask, at), next);
                store::<L>(one, x, even);
                store::<L>(other, x, odd);
            }
        }
    }
}

/// Floats from `at` of the row on, zeros where there are none.
#[inline(always)]
unsafe fn span<L: Lanes>(row: &[f32], at: isize) -> L::Register {
    let inside = at >= 0 && at as usize + L::COUNT <= row.len();
    // SAFETY: all of it is inside, or what is not is not read.
    unsafe { if inside { L::load(row.as_ptr().add(at as usize)) } else { L::load_span(row.as_ptr(), at, row.len()) } }
}

/// The same, zeros also where the mask is not within its bounds.
#[inline(always)]
unsafe fn load<L: Lanes>(from: &[f32], mask: Option<(&[f32], [f32; 2])>, at: isize) -> L::Register {
    unsafe {
        match mask {
            None => span::<L>(from, at),
            Some((mask, [lower, upper])) => {
                L::within(span::<L>(from, at), span::<L>(mask, at), L::splat(lower), L::splat(upper))
            }
        }
    }
}

/// Writes to `to` from `x` on, as far as it goes.
#[inline(always)]
unsafe fn store<L: Lanes>(to: &mut [f32], x: usize, value: L::Register) {
    let left = to.len().saturating_sub(x);
    let to = to.as_mut_ptr().wrapping_add(x);
    // SAFETY: so many are left.
    unsafe {
        if left >= L::COUNT {
            L::store(to, value);
        } else if left > 0 {
            L::store_first(to, left, value);
        }
    }
}

/// Images of `channels` one after the other, whose number `values` tell: what tests convolve.
#[cfg(test)]
pub(super) fn whole_images<'a>(
    values: &'a [f32],
    channels: usize,
    size: [usize; 2],
) -> super::direct::Images<impl Fn(usize) -> Vec<Part<'a>> + Sync> {
    let len = channels * size[0] * size[1];
    let parts = move |n: usize| vec![Part { values: &values[n * len..][..len], mask: None, channels }];
    super::direct::Images { batch: values.len() / len, size, parts }
}
