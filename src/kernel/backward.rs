//! The gradients of the kernels' inputs.

use super::extension::Frozen;
use super::geometry::Activation;
use super::linear::Product;
use super::mix::Mix;
use super::plan::{Plan, Pool, Scale};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};
use std::sync::Arc;

/// What a gradient keeps of a layer: the output if an activation cut it, the plan, the size of the input.
type Kept<B> = (Option<<B as burn::backend::BackendTypes>::FloatTensorPrimitive>, Arc<Plan>, [usize; 2]);

/// The output if its gradient is asked for it.
fn kept<T: Clone>(y: &T, activation: Activation) -> Option<T> {
    (activation != Activation::None).then(|| y.clone())
}

/// Height and width.
fn size_of<T: TensorMetadata>(x: &T) -> [usize; 2] {
    let [_, _, height, width] = x.shape().dims();
    [height, width]
}

/// d convolution / d its one or two inputs.
#[derive(Debug)]
struct ConvBackward;

impl<B: Frozen> Backward<B, 1> for ConvBackward {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x], (y, plan, size)) = (ops.parents, ops.state);
        if let Some(node) = x {
            let y = y.unwrap_or_else(|| gradient.clone());
            grads.register::<B>(node.id, B::frozen_conv_gradient(gradient, y, plan, 0, size));
        }
    }
}

impl<B: Frozen> Backward<B, 2> for ConvBackward {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (parents, (y, plan, size)) = (ops.parents, ops.state);
        let y = y.unwrap_or_else(|| gradient.clone());
        for (part, node) in parents.into_iter().enumerate() {
            if let Some(node) = node {
                let of_part = B::frozen_conv_gradient(gradient.clone(), y.clone(), plan.clone(), part, size);
                grads.register::<B>(node.id, of_part);
            }
        }
    }
}

/// d activation(convolution + summand) / d the convolution's input and the summand.
#[derive(Debug)]
struct SumBackward;

impl<B: Frozen> Backward<B, 2> for SumBackward {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, summand], (y, plan, size)) = (ops.parents, ops.state);
        let gradient = match y {
            Some(y) => B::frozen_mask(gradient, y, plan.activation),
            None => gradient,
        };
        if let Some(node) = x {
            let plan = Arc::new(plan.without_activation());
            let of_input = B::frozen_conv_gradient(gradient.clone(), gradient.clone(), plan, 0, size);
            grads.register::<B>(node.id, of_input);
        }
        if let Some(node) = summand {
            grads.register::<B>(node.id, gradient);
        }
    }
}

/// d transposed convolution / d its input.
#[derive(Debug)]
struct UpBackward;

impl<B: Frozen> Backward<B, 1> for UpBackward {
    type State = Kept<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x], (y, plan, _)) = (ops.parents, ops.state);
        if let Some(node) = x {
            let y = y.unwrap_or_else(|| gradient.clone());
            grads.register::<B>(node.id, B::frozen_up_gradient(gradient, y, plan));
        }
    }
}

/// d max pooling / d its input.
#[derive(Debug)]
struct PoolBackward;

impl<B: Frozen> Backward<B, 1> for PoolBackward {
    type State = (B::FloatTensorPrimitive, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([node], (x, pool)) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::frozen_pool_gradient(gradient, x, pool));
        }
    }
}

/// d scaled / d its input.
#[derive(Debug)]
struct ScaleBackward;

impl<B: Frozen> Backward<B, 1> for ScaleBackward {
    type State = (Option<B::FloatTensorPrimitive>, Arc<Scale>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x], (y, scale)) = (ops.parents, ops.state);
        if let Some(node) = x {
            let y = y.unwrap_or_else(|| gradient.clone());
            grads.register::<B>(node.id, B::frozen_scale_gradient(gradient, y, scale));
        }
    }
}

/// d resampled / d its input.
#[derive(Debug)]
struct MixBackward;

impl<B: Frozen> Backward<B, 1> for MixBackward {
    type State = Arc<Mix>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x] = ops.parents;
        if let Some(node) = x {
            grads.register::<B>(node.id, B::frozen_mix_gradient(gradient, ops.state));
        }
    }
}

/// d (x·W + bias) / d x.
#[derive(Debug)]
struct LinearBackward;

impl<B: Frozen> Backward<B, 1> for LinearBackward {
    type State = Arc<Product>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::frozen_linear_gradient(gradient, ops.state));
        }
    }
}

impl<B: Frozen, C: CheckpointStrategy> Frozen for Autodiff<B, C> {
    fn frozen_linear(x: FloatTensor<Self>, product: Arc<Product>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_linear(x.into_primitive(), product.clone());
        match LinearBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(product, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_linear_gradient(gradient: FloatTensor<Self>, product: Arc<Product>) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_linear_gradient(gradient.into_primitive(), product))
    }

    fn frozen_mix(x: FloatTensor<Self>, mix: Arc<Mix>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_mix(x.into_primitive(), mix.clone());
        match MixBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mix, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_mix_gradient(gradient: FloatTensor<Self>, mix: Arc<Mix>) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_mix_gradient(gradient.into_primitive(), mix))
    }

    fn frozen_conv(x: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        let size = size_of(&x);
        let y = B::frozen_conv(x, plan.clone());
        match ConvBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept(&y, plan.activation), plan, size), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_conv_pair(a: FloatTensor<Self>, b: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        let nodes = [a.node(), b.node()];
        let a = a.into_primitive();
        let size = size_of(&a);
        let y = B::frozen_conv_pair(a, b.into_primitive(), plan.clone());
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept(&y, plan.activation), plan, size), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_conv_sum(x: FloatTensor<Self>, summand: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        let nodes = [x.node(), summand.node()];
        let x = x.into_primitive();
        let size = size_of(&x);
        let y = B::frozen_conv_sum(x, summand.into_primitive(), plan.clone());
        match SumBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept(&y, plan.activation), plan, size), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_up(x: FloatTensor<Self>, plan: Arc<Plan>, size: [usize; 2]) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_up(x.into_primitive(), plan.clone(), size);
        match UpBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept(&y, plan.activation), plan, size), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_pool(x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        let y = B::frozen_pool(x.clone(), pool);
        match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, pool), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn frozen_scale(x: FloatTensor<Self>, scale: Arc<Scale>) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::frozen_scale(x.into_primitive(), scale.clone());
        match ScaleBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((kept(&y, scale.activation), scale), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    // A gradient of a gradient is not asked for: an attack differentiates once.
    fn frozen_conv_gradient(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        plan: Arc<Plan>,
        part: usize,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_conv_gradient(gradient.into_primitive(), y.into_primitive(), plan, part, size))
    }

    fn frozen_up_gradient(gradient: FloatTensor<Self>, y: FloatTensor<Self>, plan: Arc<Plan>) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_up_gradient(gradient.into_primitive(), y.into_primitive(), plan))
    }

    fn frozen_pool_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_pool_gradient(gradient.into_primitive(), x.into_primitive(), pool))
    }

    fn frozen_scale_gradient(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        scale: Arc<Scale>,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_scale_gradient(gradient.into_primitive(), y.into_primitive(), scale))
    }

    fn frozen_mask(gradient: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        Self::from_inner(B::frozen_mask(gradient.into_primitive(), y.into_primitive(), activation))
    }
}
