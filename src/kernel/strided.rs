//! Convolutions with a stride, and transposed ones, on GPUs: burn's own convolution forwards, and back a plain convolution of
//! the gradient with zeros between its pixels. Burn's transposed convolution is not used: of its two kernels tuning takes
//! one that, on a GPU in software, gives zeros where there is a stride.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata, Wgpu, backend_extension};
use burn::tensor::Slice;
use burn::tensor::ops::{ConvOptions, PadMode};
use std::sync::Arc;

/// Kernel positions and groups; the weight is `[outputs, channels / groups, kernel rows, kernel columns]`.
type Options = Arc<ConvOptions<2>>;

/// Operations of frozen networks on GPUs.
#[backend_extension(Cube, Autodiff)]
pub(super) trait Strided: Backend {
    /// A convolution.
    fn strided_conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: Options) -> FloatTensor<Self>;
    /// Its transpose, to `size` pixels.
    fn strided_up(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Options,
        size: [usize; 2],
    ) -> FloatTensor<Self>;
}

impl Strided for Wgpu {
    fn strided_conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: Options) -> FloatTensor<Self> {
        Self::conv2d(x, weight, None, (*options).clone())
    }

    fn strided_up(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Options,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        spread::<Self>(x, weight, &options, size)
    }
}

/// `[n, c, h, w]` to `[n, c, stride·h, stride·w]`, zeros between the pixels.
fn with_zeros<B: Backend>(x: FloatTensor<B>, stride: [usize; 2]) -> FloatTensor<B> {
    let [batch, channels, height, width] = x.shape().dims();
    if stride == [1, 1] {
        return x;
    }
    let zeros = PadMode::Constant(0.0);
    let x = B::float_reshape(x, [batch * channels, height, width, 1].into());
    let x = B::float_pad(x, &[(0, 0), (0, 0), (0, 0), (0, stride[1] - 1)], zeros);
    let x = B::float_reshape(x, [batch * channels, height, 1, width * stride[1]].into());
    let x = B::float_pad(x, &[(0, 0), (0, 0), (0, stride[0] - 1), (0, 0)], zeros);
    B::float_reshape(x, [batch, channels, height * stride[0], width * stride[1]].into())
}

/// The transposed convolution as a plain one: `x` with zeros between its pixels, the kernel turned by half a turn, channels
/// and outputs exchanged.
fn spread<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    options: &ConvOptions<2>,
    size: [usize; 2],
) -> FloatTensor<B> {
    let ConvOptions { stride, dilation, groups, padding } = options.clone();
    let [outputs, channels, rows, columns] = weight.shape().dims();
    let mut x = with_zeros::<B>(x, stride);
    let shape: [usize; 4] = x.shape().dims();
    let mut fill = vec![(0, 0); 4];
    let mut cut: Vec<Slice> = shape.iter().map(|&n| Slice::from(0..n)).collect();
    for (axis, kernel) in [rows, columns].into_iter().enumerate() {
        // Pixel y of the result reads pixels y − before … y − before + reach.
        let reach = ((kernel - 1) * dilation[axis]) as isize;
        let before = reach - padding[axis].0 as isize;
        let length = shape[axis + 2] as isize;
        let after = (size[axis] + padding[axis].0) as isize - length;
        fill[axis + 2] = (before.max(0) as usize, after.max(0) as usize);
        let start = (-before).max(0).min(length);
        cut[axis + 2] = Slice::from(start as usize..(length - (-after).max(0)).max(start) as usize);
    }
    x = B::float_slice(x, &cut);
    x = B::float_pad(x, &fill, PadMode::Constant(0.0));
    let weight = B::float_flip(weight, &[2, 3]);
    let weight = B::float_reshape(weight, [groups, outputs / groups, channels, rows * columns].into());
    let weight = B::float_swap_dims(weight, 1, 2);
    let weight = B::float_reshape(weight, [groups * channels, outputs / groups, rows, columns].into());
    B::conv2d(x, weight, None, ConvOptions::new([1, 1], [0, 0], dilation, groups))
}

/// d convolution / d its input, or d transposed convolution / d its input.
#[derive(Debug)]
struct StridedBackward<const UP: bool>;

impl<B: Strided, const UP: bool> Backward<B, 1> for StridedBackward<UP> {
    type State = (B::FloatTensorPrimitive, Options, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x], (weight, options, size)) = (ops.parents, ops.state);
        if let Some(node) = x {
            let of_input = if UP {
                B::strided_conv(gradient, weight, options)
            } else {
                B::strided_up(gradient, weight, options, size)
            };
            grads.register::<B>(node.id, of_input);
        }
    }
}

impl<B: Strided, C: CheckpointStrategy> Strided for Autodiff<B, C> {
    fn strided_conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, options: Options) -> FloatTensor<Self> {
        let node = x.node();
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let [_, _, height, width] = x.shape().dims();
        let y = B::strided_conv(x, weight.clone(), options.clone());
        match StridedBackward::<false>.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((weight, options, [height, width]), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn strided_up(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Options,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        let node = x.node();
        let weight = weight.into_primitive();
        let y = B::strided_up(x.into_primitive(), weight.clone(), options.clone(), size);
        match StridedBackward::<true>.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((weight, options, size), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
