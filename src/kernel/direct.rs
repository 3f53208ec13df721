//! Direct convolution, and its transpose, over tiles and threads.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

use super::cut::Cut;
use super::geometry::{Activation, Geometry};
use super::lanes::Instructions;
use super::place::{Place, write, write_pair};
use super::rows::{Sums, Tap};
use super::source::{Frame, Part};
use super::team;
use super::winograd::{self, Filters};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

thread_local! {
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A convolution with its weights.
#[derive(Clone, Copy)]
pub(super) struct Conv<'a> {
    pub geometry: Geometry,
    /// `[outputs, channels / groups, kernel rows, kernel columns]`.
    pub weights: &'a [f32],
    pub outputs: usize,
    /// Input channels, of all groups.
    pub channels: usize,
    pub groups: usize,
    pub with: Instructions,
    /// Winograd's way may be taken where it pays.
    pub winograd: bool,
}

/// Images whose channels are summed.
pub(super) struct Images<F> {
    pub batch: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// The parts of an image.
    pub parts: F,
}

/// What happens to sums on their way out.
#[derive(Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// One for each result, or none.
    pub bias: &'a [f32],
    /// Added, if it is given: as large as the result.
    pub add: Option<&'a [f32]>,
    pub activation: Activation,
}

/// A float slice that threads write to, each to its own part.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    pub first: *mut f32,
    pub add: Option<&'a [f32]>,
}
// SAFETY: see `convolve` and `transpose`: no two threads write to the same float, and nobody reads until all are done.
unsafe impl Send for Output<'_> {}
// SAFETY: the same.
unsafe impl Sync for Output<'_> {}

impl Output<'_> {
    /// The place `offset` floats on, and that of what is added to it.
    ///
    /// # Safety
    /// It must be within the slice.
    pub unsafe fn at(&self, offset: usize) -> (*mut f32, *const f32) {
        let add = self.add.map_or(std::ptr::null(), |add| add[offset..].as_ptr());
        (unsafe { self.first.add(offset) }, add)
    }
}

/// Convolves images; the result, `[batch, outputs, height, width]`, is written to `out`.
pub(super) fn convolve<'p>(
    conv: &Conv<'_>,
    images: Images<impl Fn(usize) -> Vec<Part<'p>> + Sync>,
    finish: Finish<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let Conv { geometry, outputs, channels, groups, with, .. } = *conv;
    let full = [0, 1].map(|axis| geometry.output(axis, images.size[axis]));
    assert_eq!(out.len(), images.batch * outputs * full[0] * full[1]);
    assert!(finish.add.is_none_or(|add| add.len() == out.len()));
    if out.is_empty() {
        return;
    }
    if conv.winograd && groups == 1 && winograd::pays(&geometry, [channels, outputs], full) {
        let (across, along) = (9 * channels, 9);
        let filters =
            Filters { weights: conv.weights, across, along, results: outputs, summed: channels, turned: false };
        let origin = geometry.padding.map(|[before, _]| -(before as isize));
        return winograd::convolve(&filters, images, (origin, full), with, finish, out);
    }
    // A 1×1 convolution knows no rows: one long row has fewer ends.
    let pointwise = geometry.kernel == [1, 1] && geometry.stride == [1, 1] && geometry.padding == [[0; 2]; 2];
    let (size, [height, width]) =
        if pointwise { ([1, full[0] * full[1]], [1, full[0] * full[1]]) } else { (images.size, full) };
    let (channels, results) = (channels / groups, outputs / groups);
    let floats = |tile| Frame::forward(&geometry, tile).0.floats(channels);
    let cut = Cut::new([height, width], images.batch * groups, [results, geometry.taps(), channels], with, floats);
    let (frame, taps) = Frame::forward(&geometry, [cut.rows, cut.width]);
    let output = Output { first: out.as_mut_ptr().cast(), add: finish.add };
    team::for_each(cut.jobs(), cut.least(), |job| {
        let (image, tile, part) = cut.job(job);
        let (n, group) = (image / groups, image % groups);
        let origin =
            [0, 1].map(|axis| (tile.at[axis] * geometry.stride[axis]) as isize - geometry.padding[axis][0] as isize);
        SCRATCH.with_borrow_mut(|[source, gathered]| {
            source.resize(source.len().max(frame.floats(channels)), 0.0);
            let of_group = group * channels..(group + 1) * channels;
            frame.fill(with, source, &(images.parts)(n), of_group, size, origin);
            let sums = Sums {
                source,
                plane: frame.plane,
                channels,
                taps: &taps,
                weights: &conv.weights[group * results * channels * geometry.taps()..],
                across: channels * geometry.taps(),
                along: geometry.taps(),
                bias: finish.bias.get(group * results..).unwrap_or_default(),
            };
            let first = (n * groups + group) * results;
            let place = Place { plane: height * width, row: width, stride: [1, 1], first: first * height * width };
            // SAFETY: tiles and channels of jobs do not overlap, and lie within the output, whose length was checked.
            unsafe { write(&sums, with, &frame, tile, part, (output, place, finish.activation), gathered) };
        });
    });
}

/// The transposed convolution: from the gradient of a convolution's output (or from what a transposed convolution takes) to
/// that of `range` of its input's channels (all of them if there are groups), `[batch, channels, height, width]` with
/// `[height, width]` = `size`.
pub(super) fn transpose<'p>(
    conv: &Conv<'_>,
    range: Range<usize>,
    images: Images<impl Fn(usize) -> Vec<Part<'p>> + Sync>,
    size: [usize; 2],
    finish: Finish<'_>,
    out: &mut [MaybeUninit<f32>],
) {
    let Conv { geometry, outputs, channels, groups, with, .. } = *conv;
    assert!(groups == 1 || range == (0..channels));
    assert_eq!(out.len(), images.batch * range.len() * size[0] * size[1]);
    if out.is_empty() {
        return;
    }
    if conv.winograd && groups == 1 && winograd::pays(&geometry, [outputs, range.len()], size) {
        let weights = &conv.weights[9 * range.start..];
        let (across, along, results) = (9, 9 * channels, range.len());
        let filters = Filters { weights, across, along, results, summed: outputs, turned: true };
        let origin = geometry.padding.map(|[before, _]| before as isize - 2);
        return winograd::convolve(&filters, images, (origin, size), with, finish, out);
    }
    let taps = geometry.taps();
    let (of_group, summed, results) = (channels / groups, outputs / groups, range.len() / groups);
    let axes = [Shifts::new(&geometry, 0), Shifts::new(&geometry, 1)];
    let pointwise = geometry.kernel == [1, 1] && geometry.stride == [1, 1] && geometry.padding == [[0; 2]; 2];
    let (given, size) =
        if pointwise { ([1, images.size[0] * images.size[1]], [1, size[0] * size[1]]) } else { (images.size, size) };
    // Of each phase of a stride as many rows and columns as the first has.
    let most = [0, 1].map(|axis| size[axis].div_ceil(geometry.stride[axis]));
    let reach = [axes[0].reach, axes[1].reach];
    let floats = |tile| Frame::plain(tile, reach).floats(summed);
    let phases = geometry.stride[0] * geometry.stride[1];
    let cut = Cut::new(most, images.batch * groups, [results, taps.div_ceil(phases), summed], with, floats);
    let frame = Frame::plain([cut.rows, cut.width], reach);
    let taps_of = |phase: [usize; 2]| -> Vec<Tap> {
        let row = |(ky, y): (usize, usize)| {
            let weight = ky * geometry.kernel[1];
            axes[1].of(phase[1]).map(move |(kx, x)| Tap { at: y * frame.pitch + x, weight: weight + kx })
        };
        axes[0].of(phase[0]).flat_map(row).collect()
    };
    let phase = |phase: usize| [phase / geometry.stride[1], phase % geometry.stride[1]];
    let phases: Vec<([usize; 2], Vec<Tap>)> = (0..phases).map(phase).map(|phase| (phase, taps_of(phase))).collect();
    let output = Output { first: out.as_mut_ptr().cast(), add: finish.add };
    team::for_each(cut.jobs(), cut.least(), |job| {
        let (image, tile, part) = cut.job(job);
        let (n, group) = (image / groups, image % groups);
        let origin = [0, 1].map(|axis| tile.at[axis] as isize + axes[axis].least);
        SCRATCH.with_borrow_mut(|[source, gathered]| {
            source.resize(source.len().max(frame.floats(summed)), 0.0);
            frame.fill(with, source, &(images.parts)(n), group * summed..(group + 1) * summed, given, origin);
            // Both of a stride of two are interleaved before they are written.
            for some in phases.chunks(if geometry.stride[1] == 2 { 2 } else { 1 }) {
                // The last rows and columns may be of the first phases only.
                let end = |axis: usize, phase: usize| {
                    let all = size[axis].saturating_sub(phase).div_ceil(geometry.stride[axis]);
                    all.saturating_sub(tile.at[axis]).min(tile.size[axis])
                };
                let sums = |taps| Sums {
                    source,
                    plane: frame.plane,
                    channels: summed,
                    taps,
                    weights: &conv.weights[(group * summed * of_group + range.start) * geometry.taps()..],
                    across: geometry.taps(),
                    along: of_group * geometry.taps(),
                    bias: finish.bias.get(group * results..).unwrap_or_default(),
                };
                let ([y, x], taps) = &some[0];
                let tile = Tile { at: tile.at, size: [end(0, *y), end(1, *x)] };
                let first = (n * groups + group) * results * size[0] * size[1] + y * size[1] + x;
                let place = Place { plane: size[0] * size[1], row: size[1], stride: geometry.stride, first };
                let to = (output, place, finish.activation);
                // SAFETY: as in `convolve`; phases write to different pixels.
                unsafe {
                    match some {
                        [_, (_, others)] => {
                            let width = tile.size[1] + end(1, 1);
                            let both = [sums(taps), sums(others)];
                            write_pair(both, with, &frame, (tile, width), part.clone(), to, gathered);
                        }
                        _ => write(&sums(taps), with, &frame, tile, part.clone(), to, gathered),
                    }
                }
            }
        });
    });
}

/// Where the rows (or columns) of a transposed convolution come from.
struct Shifts {
    /// For each phase: taps, and how far on they read.
    phases: Vec<Vec<(usize, usize)>>,
    /// The least shift, which is that of the source's first row.
    least: isize,
    /// From the least to the greatest.
    reach: usize,
}

impl Shifts {
    fn new(geometry: &Geometry, axis: usize) -> Self {
        let (stride, dilation) = (geometry.stride[axis] as isize, geometry.dilation[axis] as isize);
        let padding = geometry.padding[axis][0] as isize;
        // Pixel phase + stride·j is reached by tap k from row j + (phase + padding − k·dilation)/stride.
        let found: Vec<Vec<(usize, isize)>> = (0..stride)
            .map(|phase| {
                let shift = |k: usize| phase + padding - k as isize * dilation;
                let taps = (0..geometry.kernel[axis]).filter(|&k| shift(k).rem_euclid(stride) == 0);
                taps.map(|k| (k, shift(k) / stride)).collect()
            })
            .collect();
        let all = || found.iter().flatten().map(|&(_, shift)| shift);
        let (least, most) = (all().min().unwrap_or(0), all().max().unwrap_or(0));
        let from_least = |taps: Vec<(usize, isize)>| taps.into_iter().map(|(k, s)| (k, (s - least) as usize)).collect();
        Self { phases: found.into_iter().map(from_least).collect(), least, reach: (most - least) as usize }
    }

    fn of(&self, phase: usize) -> impl Iterator<Item = (usize, usize)> + Clone + '_ {
        self.phases[phase].iter().copied()
    }
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub at: [usize; 2],
    pub size: [usize; 2],
}
