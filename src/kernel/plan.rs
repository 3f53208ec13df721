//! What a frozen convolution is, with its weights in the order that the loop reads them.

use super::lanes::Instructions;
use std::sync::OnceLock;

/// Kernel, stride, dilation and zero padding of a convolution, rows before columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Before the first and after the last row, and column.
    pub padding: [[usize; 2]; 2],
}

impl Geometry {
    /// Pixels between the first and the last that a kernel reads, on `axis`.
    pub fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1)
    }

    /// Output pixels of an input of `size` pixels on `axis`; 0 if the kernel does not fit.
    pub fn output(&self, axis: usize, size: usize) -> usize {
        let [before, after] = self.padding[axis];
        let room = (size + before + after).checked_sub(self.reach(axis) + 1);
        room.map_or(0, |room| room / self.stride[axis] + 1)
    }

    /// Whether the gradient of the input is a convolution, too.
    pub fn has_gradient(&self) -> bool {
        self.transposed().is_some()
    }

    /// The convolution that takes an output's gradient to the input's; `None` with a stride, or with more padding than
    /// the kernel reaches.
    fn transposed(&self) -> Option<Self> {
        let mut padding = [[0; 2]; 2];
        for (axis, padding) in padding.iter_mut().enumerate() {
            for (to, &from) in padding.iter_mut().zip(&self.padding[axis]) {
                *to = self.reach(axis).checked_sub(from)?;
            }
        }
        (self.stride == [1, 1]).then_some(Self { padding, ..*self })
    }
}

/// Weights `[blocks][channels][taps][block]`, and biases up to whole blocks.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub outputs: usize,
    pub channels: usize,
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    pub with: Instructions,
}

impl Packed {
    /// Packs `weight(output, channel, tap)`.
    pub fn new(
        [outputs, channels, taps]: [usize; 3],
        with: Instructions,
        bias: &[f32],
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let block = with.block();
        let blocks = outputs.div_ceil(block);
        let mut weights = Vec::with_capacity(blocks * channels * taps * block);
        for b in 0..blocks {
            for channel in 0..channels {
                for tap in 0..taps {
                    weights.extend((0..block).map(|i| {
                        let output = b * block + i;
                        if output < outputs { weight(output, channel, tap) } else { 0.0 }
                    }));
                }
            }
        }
        let mut padded = vec![0.0; blocks * block];
        padded[..bias.len()].copy_from_slice(bias);
        Self { outputs, channels, weights, bias: padded, with }
    }
}

/// A convolution with its weights, for the CPU.
#[derive(Debug)]
pub struct Plan {
    pub(super) geometry: Geometry,
    /// Input channels of each tensor that is read side by side.
    pub(super) parts: Vec<usize>,
    pub(super) relu: bool,
    pub(super) forward: Packed,
    /// Weights `[outputs, channels, kernel rows, kernel columns]` as they came; the transposed packing is made of
    /// them when the first gradient is asked for.
    weights: Vec<f32>,
    backward: OnceLock<Option<Vec<(Geometry, Packed)>>>,
}

impl Plan {
    /// A convolution of `weights`, `[outputs, channels, kernel rows, kernel columns]`, with one bias per output or none.
    pub(super) fn new(
        geometry: Geometry,
        parts: Vec<usize>,
        weights: Vec<f32>,
        bias: &[f32],
        relu: bool,
        with: Instructions,
    ) -> Self {
        let channels: usize = parts.iter().sum();
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let outputs = weights.len() / (channels * taps);
        let at = |output: usize, channel: usize, tap: usize| weights[(output * channels + channel) * taps + tap];
        let forward = Packed::new([outputs, channels, taps], with, bias, at);
        Self { geometry, parts, relu, forward, weights, backward: OnceLock::new() }
    }

    /// For each part the convolution that takes the gradient of the output to that of the part; `None` where that is no
    /// convolution.
    pub(super) fn backward(&self) -> Option<&[(Geometry, Packed)]> {
        let made = self.backward.get_or_init(|| {
            let geometry = self.geometry.transposed()?;
            let Packed { outputs, channels, with, .. } = self.forward;
            let taps = geometry.kernel[0] * geometry.kernel[1];
            let mut first = 0;
            let part = |&count: &usize| {
                let start = first;
                first += count;
                let at =
                    |c: usize, o: usize, tap: usize| self.weights[(o * channels + start + c) * taps + taps - 1 - tap];
                (geometry, Packed::new([count, outputs, taps], with, &[], at))
            };
            Some(self.parts.iter().map(part).collect())
        });
        made.as_deref()
    }
}

/// A transposed convolution whose kernel is as large as its stride, so that each output pixel has one source: the
/// up-sampling of a U-Net.
#[derive(Debug)]
pub struct UpPlan {
    pub(super) factor: usize,
    /// A 1×1 convolution to `outputs · factor²` channels `(output, row, column)`.
    pub(super) forward: Packed,
    /// A convolution of that stride from the output's gradient to the input's.
    pub(super) backward: (Geometry, Packed),
}

impl UpPlan {
    /// A transposed convolution of `weights`, `[channels, outputs, factor, factor]`.
    pub(super) fn new(channels: usize, factor: usize, weights: &[f32], bias: &[f32], with: Instructions) -> Self {
        let taps = factor * factor;
        let outputs = weights.len() / (channels * taps);
        let spread: Vec<f32> = bias.iter().flat_map(|&b| std::iter::repeat_n(b, taps)).collect();
        let forward =
            Packed::new([outputs * taps, channels, 1], with, &spread, |o, c, _| weights[c * outputs * taps + o]);
        let geometry = Geometry { kernel: [factor; 2], stride: [factor; 2], dilation: [1; 2], padding: [[0; 2]; 2] };
        let back =
            Packed::new([channels, outputs, taps], with, &[], |c, o, tap| weights[(c * outputs + o) * taps + tap]);
        Self { factor, forward, backward: (geometry, back) }
    }
}
