//! What a frozen layer is: its weights, shared with the tensors that they came in, and what is done with them.

use super::direct::Conv;
use super::geometry::{Activation, Geometry};
use super::lanes::Instructions;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

/// The tensor on the CPU, contiguous from its storage's start; `None` if it is elsewhere.
pub(super) fn on_cpu<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    tensor.without_autodiff().try_into_primitive::<Flex>().ok().map(plain)
}

/// A contiguous tensor that starts at its storage's start.
pub(super) fn plain(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() && x.layout().start_offset() == 0 { x } else { x.to_contiguous() }
}

/// A convolution with its weights, for the CPU, or its transpose.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) geometry: Geometry,
    pub(super) groups: usize,
    pub(super) outputs: usize,
    /// Input channels of each tensor that is read side by side.
    pub(super) parts: Vec<usize>,
    pub(super) activation: Activation,
    /// `[outputs, channels / groups, kernel rows, kernel columns]`.
    weights: FlexTensor,
    /// One for each result, or none.
    bias: Option<FlexTensor>,
    with: Instructions,
    winograd: bool,
}

impl Plan {
    /// `weight` is `[outputs, channels / groups, kernel rows, kernel columns]`, `bias` is of the results. `None` if they
    /// are not on the CPU, or the sizes do not fit each other.
    pub(super) fn new(
        geometry: Geometry,
        groups: usize,
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        parts: &[usize],
        activation: Activation,
    ) -> Option<Self> {
        let [outputs, channels, ..] = weight.dims();
        let sizes = [outputs, channels, groups, geometry.taps(), geometry.stride[0], geometry.stride[1]];
        if sizes.contains(&0)
            || parts.iter().sum::<usize>() != channels * groups
            || !outputs.is_multiple_of(groups)
            || groups > 1 && parts.len() > 1
        {
            return None;
        }
        let bias = match bias {
            Some(bias) => Some(on_cpu(bias)?),
            None => None,
        };
        let weights = on_cpu(weight)?;
        let parts = parts.to_vec();
        Some(Self {
            geometry,
            groups,
            outputs,
            parts,
            activation,
            weights,
            bias,
            with: Instructions::best(),
            winograd: true,
        })
    }

    /// The same by the definition's multiplications only.
    pub(super) fn without_winograd(&self) -> Self {
        Self { winograd: false, ..self.clone() }
    }

    /// The same without an activation.
    pub(super) fn without_activation(&self) -> Self {
        Self { activation: Activation::None, ..self.clone() }
    }

    pub(super) fn channels(&self) -> usize {
        self.parts.iter().sum()
    }

    pub(super) fn bias(&self) -> &[f32] {
        self.bias.as_ref().map_or(&[], |bias| bias.storage())
    }

    pub(super) fn conv(&self) -> Conv<'_> {
        Conv {
            geometry: self.geometry,
            weights: self.weights.storage(),
            outputs: self.outputs,
            channels: self.channels(),
            groups: self.groups,
            with: self.with,
            winograd: self.winograd,
        }
    }
}

/// A factor and a summand for each channel, and an activation: batch normalisation that could not be folded.
#[derive(Clone, Debug)]
pub struct Scale {
    pub(super) factor: Vec<f32>,
    pub(super) summand: Vec<f32>,
    pub(super) activation: Activation,
}

/// A max pool: kernel, stride, padding before, output size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Pixels between windows.
    pub stride: [usize; 2],
    /// Rows of padding above, and columns to the left.
    pub before: [usize; 2],
    /// Rows and columns of windows. The last ones may reach beyond the image.
    pub output: [usize; 2],
}

impl Pool {
    /// 2×2 windows side by side.
    pub(super) fn is_halving(&self, [height, width]: [usize; 2]) -> bool {
        self.kernel == [2, 2]
            && self.stride == [2, 2]
            && self.before == [0, 0]
            && self.output == [height / 2, width / 2]
            && height % 2 == 0
            && width % 2 == 0
    }

    /// The pixels of window `at` on `axis`, of an image of `size`.
    pub(super) fn window(&self, axis: usize, at: usize, size: usize) -> std::ops::Range<usize> {
        let start = at * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.before[axis]).min(size);
        start.saturating_sub(self.before[axis]).min(end)..end
    }
}
