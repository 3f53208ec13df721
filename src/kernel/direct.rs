//! Direct convolution, and its transpose, over tiles and threads.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

use super::cut::Cut;
use super::geometry::{Activation, Geometry};
use super::lanes::{Instructions, Lanes};
use super::rows::{Lines, Sums, Tap};
use super::source::{Frame, Part};
use super::team;
use super::winograd::{self, Filters};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats of results that are gathered before they are written to their places.
const GATHERED: usize = 512;

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
    if groups == 1 && winograd::pays(&geometry, [channels, outputs], full) {
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
    if groups == 1 && winograd::pays(&geometry, [outputs, range.len()], size) {
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
    let output = Output { first: out.as_mut_ptr().cast(), add: finish.add };
    team::for_each(cut.jobs(), cut.least(), |job| {
        let (image, tile, part) = cut.job(job);
        let (n, group) = (image / groups, image % groups);
        let origin = [0, 1].map(|axis| tile.at[axis] as isize + axes[axis].least);
        SCRATCH.with_borrow_mut(|[source, gathered]| {
            source.resize(source.len().max(frame.floats(summed)), 0.0);
            frame.fill(with, source, &(images.parts)(n), group * summed..(group + 1) * summed, given, origin);
            for phase in 0..phases {
                let phase = [phase / geometry.stride[1], phase % geometry.stride[1]];
                // The last rows and columns may be of the first phases only.
                let ends = [0, 1].map(|axis| {
                    let all = size[axis].saturating_sub(phase[axis]).div_ceil(geometry.stride[axis]);
                    all.saturating_sub(tile.at[axis]).min(tile.size[axis])
                });
                let tile = Tile { at: tile.at, size: ends };
                let taps: Vec<Tap> = axes[0]
                    .of(phase[0])
                    .flat_map(|(ky, y)| {
                        let weight = ky * geometry.kernel[1];
                        axes[1].of(phase[1]).map(move |(kx, x)| Tap { at: y * frame.pitch + x, weight: weight + kx })
                    })
                    .collect();
                let sums = Sums {
                    source,
                    plane: frame.plane,
                    channels: summed,
                    taps: &taps,
                    weights: &conv.weights[(group * summed * of_group + range.start) * taps_of(&geometry)..],
                    across: taps_of(&geometry),
                    along: of_group * taps_of(&geometry),
                    bias: finish.bias.get(group * results..).unwrap_or_default(),
                };
                let first = (n * groups + group) * results * size[0] * size[1] + phase[0] * size[1] + phase[1];
                let place = Place { plane: size[0] * size[1], row: size[1], stride: geometry.stride, first };
                // SAFETY: as in `convolve`; phases write to different pixels.
                unsafe {
                    write(&sums, with, &frame, tile, part.clone(), (output, place, finish.activation), gathered);
                }
            }
        });
    });
}

fn taps_of(geometry: &Geometry) -> usize {
    geometry.taps()
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

/// Where a tile's results lie in the output.
struct Place {
    /// Floats between results, and between rows of the output.
    plane: usize,
    row: usize,
    /// Rows and columns of the output from one of the tile's to the next.
    stride: [usize; 2],
    /// The first pixel of the first result, of the tile at [0, 0].
    first: usize,
}

/// Computes a tile of `results` and writes it to its place.
///
/// # Safety
/// The place must be within the output, and this thread's alone.
unsafe fn write(
    sums: &Sums<'_>,
    with: Instructions,
    frame: &Frame,
    tile: Tile,
    results: Range<usize>,
    (output, place, activation): (Output<'_>, Place, Activation),
    gathered: &mut Vec<f32>,
) {
    let [rows, width] = tile.size;
    if rows == 0 || width == 0 || results.is_empty() {
        return;
    }
    let first = place.first
        + results.start * place.plane
        + tile.at[0] * place.stride[0] * place.row
        + tile.at[1] * place.stride[1];
    let plain = place.stride == [1, 1];
    // Where rows follow each other in source and output alike, they are one.
    let joined = plain && (rows == 1 || frame.pitch == width && place.row == width);
    if joined || plain && !is_better_joined(with, rows, width, frame.pitch) {
        let (count, length) = if joined { (1, rows * width) } else { (rows, width) };
        unsafe {
            let (first, add) = output.at(first);
            let lines = Lines {
                count,
                length,
                step: frame.pitch,
                first,
                add,
                plane: place.plane,
                row: place.row,
                bounds: activation.bounds(),
            };
            sums.run(with, results, lines);
        }
        return;
    }
    // Rows as one long line, the ends between them computed and thrown away; then each pixel to its place.
    let most = (GATHERED / frame.pitch).clamp(1, rows);
    let block = with.block();
    let mut sums = *sums;
    let source = sums.source;
    for top in (0..rows).step_by(most) {
        let rows = most.min(rows - top);
        let length = (rows - 1) * frame.pitch + width;
        gathered.resize(gathered.len().max(block * length), 0.0);
        sums.source = &source[top * frame.pitch..];
        for start in results.clone().step_by(block) {
            let block = start..results.end.min(start + block);
            let lines = Lines {
                count: 1,
                length,
                step: 0,
                first: gathered.as_mut_ptr(),
                add: std::ptr::null(),
                plane: length,
                row: 0,
                bounds: None,
            };
            // SAFETY: `gathered` is this thread's and long enough; the output's rows are the caller's promise.
            unsafe {
                sums.run(with, block.clone(), lines);
                for (i, result) in block.enumerate() {
                    let first = first + (result - results.start) * place.plane;
                    for y in 0..rows {
                        let from = &gathered[i * length + y * frame.pitch..][..width];
                        let (to, add) = output.at(first + (top + y) * place.stride[0] * place.row);
                        spread(with, from, to, add, place.stride[1], activation);
                    }
                }
            }
        }
    }
}

/// Whether rows are computed faster as one long line with `pitch` floats between them, and copied.
fn is_better_joined(with: Instructions, rows: usize, width: usize, pitch: usize) -> bool {
    let lanes = with.lanes();
    let apart = rows * width.div_ceil(lanes);
    let joined = ((rows - 1) * pitch + width).div_ceil(lanes);
    width <= 2 * lanes && 20 * joined <= 19 * apart || width <= lanes && joined <= apart
}

/// `to[x·stride] = activation(from[x] + add[x·stride])`.
///
/// # Safety
/// `to` must be writable, and `add` null or readable, at those places.
unsafe fn spread(
    with: Instructions,
    from: &[f32],
    to: *mut f32,
    add: *const f32,
    stride: usize,
    activation: Activation,
) {
    let apply = |x: usize, sum: f32| unsafe {
        let sum = if add.is_null() { sum } else { sum + *add.add(x * stride) };
        *to.add(x * stride) = activation.of(sum);
    };
    match (stride, add.is_null(), activation) {
        #[cfg(target_arch = "x86_64")]
        (2, true, _) if with == Instructions::Avx512 => unsafe { apart_avx512(from, to, activation.bounds()) },
        (1, true, Activation::None) => unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) },
        (1, ..) => from.iter().enumerate().for_each(|(x, &sum)| apply(x, sum)),
        _ => from.iter().enumerate().for_each(|(x, &sum)| apply(x, sum)),
    }
}

/// `to[2·x] = from[x]` within bounds.
///
/// # Safety
/// `to` must be writable at those places.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn apart_avx512(from: &[f32], to: *mut f32, bounds: Option<[f32; 2]>) {
    unsafe { apart::<super::lanes::x86::Avx512>(from, to, bounds) }
}

#[inline(always)]
unsafe fn apart<L: Lanes>(from: &[f32], to: *mut f32, bounds: Option<[f32; 2]>) {
    for (i, some) in from.chunks(L::COUNT).enumerate() {
        unsafe {
            let whole = some.len() == L::COUNT;
            let mut value = if whole { L::load(some.as_ptr()) } else { L::load_first(some.as_ptr(), some.len()) };
            if let Some([lower, upper]) = bounds {
                value = L::min(L::splat(upper), L::max(L::splat(lower), value));
            }
            let to = to.add(2 * i * L::COUNT);
            if whole {
                L::store_apart(to, value);
            } else {
                let mut last = [0.0f32; 16];
                L::store(last.as_mut_ptr(), value);
                last[..some.len()].iter().enumerate().for_each(|(x, &value)| *to.add(2 * x) = value);
            }
        }
    }
}
