//! The kernels as burn operations: a backend extension for the CPU, with the input's gradient.

use super::direct::{convolve, up};
use super::plan::{Plan, UpPlan};
use super::pool;
use super::source::Part;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Flex, TensorData, TensorMetadata, backend_extension};
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Operations of frozen networks, on the CPU only: [`super::Convolution`] and its like choose burn's own elsewhere.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Frozen: Backend {
    /// A convolution with bias, and a ReLU if the plan has one.
    fn frozen_conv(x: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// The same of two tensors whose channels follow each other.
    fn frozen_conv_pair(a: FloatTensor<Self>, b: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self>;
    /// The gradient of part `part` of the input from that of the output `y`.
    fn frozen_conv_gradient(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        plan: Arc<Plan>,
        part: usize,
    ) -> FloatTensor<Self>;
    /// A transposed convolution whose kernel is its stride.
    fn frozen_up(x: FloatTensor<Self>, plan: Arc<UpPlan>) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output.
    fn frozen_up_gradient(gradient: FloatTensor<Self>, plan: Arc<UpPlan>) -> FloatTensor<Self>;
    /// 2×2 max pooling with stride 2 of even sizes.
    fn frozen_pool(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradient of its input from that of its output.
    fn frozen_pool_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn shape(x: &FlexTensor) -> [usize; 4] {
    x.shape().dims()
}

/// A contiguous tensor that starts at its storage's start.
fn plain(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() && x.layout().start_offset() == 0 { x } else { x.to_contiguous() }
}

/// A new tensor whose values `fill` writes, every one of them.
#[allow(unsafe_code)]
fn filled(shape: [usize; 4], fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> FlexTensor {
    let len = shape.iter().product();
    let mut values: Vec<f32> = Vec::with_capacity(len);
    fill(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: `fill` wrote them all.
    unsafe { values.set_len(len) };
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Values of image `n` of a tensor whose images have `len` values.
fn image(x: &FlexTensor, n: usize, len: usize) -> &[f32] {
    &x.storage::<f32>()[n * len..][..len]
}

fn conv(inputs: &[FlexTensor], plan: &Plan) -> FlexTensor {
    let [batch, _, height, width] = shape(&inputs[0]);
    let size = [plan.geometry.output(0, height), plan.geometry.output(1, width)];
    filled([batch, plan.forward.outputs, size[0], size[1]], |out| {
        let parts = |n| {
            let part = |x| {
                let [_, channels, ..] = shape(x);
                Part { values: image(x, n, channels * height * width), mask: None, channels }
            };
            inputs.iter().map(part).collect()
        };
        convolve(plan.geometry, &plan.forward, plan.relu, (batch, [height, width]), parts, out);
    })
}

impl Frozen for Flex {
    fn frozen_conv(x: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        conv(&[plain(x)], &plan)
    }

    fn frozen_conv_pair(a: FlexTensor, b: FlexTensor, plan: Arc<Plan>) -> FlexTensor {
        conv(&[plain(a), plain(b)], &plan)
    }

    fn frozen_conv_gradient(gradient: FlexTensor, y: FlexTensor, plan: Arc<Plan>, part: usize) -> FlexTensor {
        let (gradient, y) = (plain(gradient), plain(y));
        let [batch, channels, height, width] = shape(&gradient);
        let (geometry, packed) = match plan.backward() {
            Some(parts) => &parts[part],
            None => unreachable!("layers with such a plan are not made"),
        };
        let size = [geometry.output(0, height), geometry.output(1, width)];
        filled([batch, packed.outputs, size[0], size[1]], |out| {
            let len = channels * height * width;
            let parts = |n| {
                let mask = plan.relu.then(|| image(&y, n, len));
                vec![Part { values: image(&gradient, n, len), mask, channels }]
            };
            convolve(*geometry, packed, false, (batch, [height, width]), parts, out);
        })
    }

    fn frozen_up(x: FlexTensor, plan: Arc<UpPlan>) -> FlexTensor {
        let x = plain(x);
        let [batch, _, height, width] = shape(&x);
        let outputs = plan.forward.outputs / (plan.factor * plan.factor);
        filled([batch, outputs, height * plan.factor, width * plan.factor], |out| {
            up(&plan, x.storage(), batch, [height, width], out);
        })
    }

    fn frozen_up_gradient(gradient: FlexTensor, plan: Arc<UpPlan>) -> FlexTensor {
        let gradient = plain(gradient);
        let [batch, channels, height, width] = shape(&gradient);
        let (geometry, packed) = &plan.backward;
        filled([batch, packed.outputs, height / plan.factor, width / plan.factor], |out| {
            let len = channels * height * width;
            let parts = |n| vec![Part { values: image(&gradient, n, len), mask: None, channels }];
            convolve(*geometry, packed, false, (batch, [height, width]), parts, out);
        })
    }

    fn frozen_pool(x: FlexTensor) -> FlexTensor {
        let x = plain(x);
        let [batch, channels, height, width] = shape(&x);
        filled([batch, channels, height / 2, width / 2], |out| pool::forward(x.storage(), [height, width], out))
    }

    fn frozen_pool_gradient(gradient: FlexTensor, x: FlexTensor) -> FlexTensor {
        let (gradient, x) = (plain(gradient), plain(x));
        let [_, _, height, width] = shape(&x);
        filled(shape(&x), |out| pool::backward(x.storage(), gradient.storage(), [height, width], out))
    }
}

/// d convolution / d its one or two inputs.
#[derive(Debug)]
struct ConvBackward;

impl<B: Frozen> Backward<B, 1> for ConvBackward {
    type State = (B::FloatTensorPrimitive, Arc<Plan>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x], (y, plan)) = (ops.parents, ops.state);
        if let Some(node) = x {
            grads.register::<B>(node.id, B::frozen_conv_gradient(gradient, y, plan, 0));
        }
    }
}

impl<B: Frozen> Backward<B, 2> for ConvBackward {
    type State = (B::FloatTensorPrimitive, Arc<Plan>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (parents, (y, plan)) = (ops.parents, ops.state);
        for (part, node) in parents.into_iter().enumerate() {
            if let Some(node) = node {
                let of_part = B::frozen_conv_gradient(gradient.clone(), y.clone(), plan.clone(), part);
                grads.register::<B>(node.id, of_part);
            }
        }
    }
}

/// d transposed convolution / d its input.
#[derive(Debug)]
struct UpBackward;

impl<B: Frozen> Backward<B, 1> for UpBackward {
    type State = Arc<UpPlan>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::frozen_up_gradient(gradient, ops.state));
        }
    }
}

/// d max pooling / d its input.
#[derive(Debug)]
struct PoolBackward;

impl<B: Frozen> Backward<B, 1> for PoolBackward {
    type State = B::FloatTensorPrimitive;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::frozen_pool_gradient(gradient, ops.state));
        }
    }
}

impl<B: Frozen, C: CheckpointStrategy> Frozen for Autodiff<B, C> {
    fn frozen_conv(x: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_conv(x.into_primitive(), plan.clone());
        match ConvBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((y.clone(), plan), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_conv_pair(a: FloatTensor<Self>, b: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        let nodes = [a.node(), b.node()];
        let y = B::frozen_conv_pair(a.into_primitive(), b.into_primitive(), plan.clone());
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((y.clone(), plan), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_up(x: FloatTensor<Self>, plan: Arc<UpPlan>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_up(x.into_primitive(), plan.clone());
        match UpBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(plan, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        let y = B::frozen_pool(x.clone());
        match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    // A gradient of a gradient is not asked for: an attack differentiates once.
    fn frozen_conv_gradient(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        plan: Arc<Plan>,
        part: usize,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_conv_gradient(gradient.into_primitive(), y.into_primitive(), plan, part))
    }

    fn frozen_up_gradient(gradient: FloatTensor<Self>, plan: Arc<UpPlan>) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_up_gradient(gradient.into_primitive(), plan))
    }

    fn frozen_pool_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_pool_gradient(gradient.into_primitive(), x.into_primitive()))
    }
}
