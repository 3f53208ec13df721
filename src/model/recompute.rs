//! A part of a computation that keeps nothing for its gradient but its input: the gradient computes it again (Chen et al.
//! 2016, "Training Deep Nets with Sublinear Memory Cost"). What is computed tile by tile then takes the memory of one tile.

use super::ModelError;
use crate::tensor::in_order;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, Wgpu, backend_extension};
use burn::tensor::Tensor;
use std::sync::Arc;

/// A differentiable function of images.
pub(super) type Function = Arc<dyn Fn(Tensor<4>) -> Result<Tensor<4>, ModelError> + Send + Sync>;

/// `function` of `x`, whose gradient computes it again.
///
/// # Errors
/// Those of `function`.
pub(super) fn recomputed(x: Tensor<4>, function: &Function) -> Result<Tensor<4>, ModelError> {
    if !x.is_tracked() {
        return function(x);
    }
    let y = Tensor::from_inner(function(x.clone().inner())?);
    let again = Again(function.clone());
    Ok(Tensor::from_dispatch(Dispatch::recomputed(x.into_dispatch(), y.into_dispatch(), again)))
}

/// A [`Function`], to be computed again.
#[derive(Clone)]
pub(super) struct Again(Function);

impl std::fmt::Debug for Again {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Again")
    }
}

impl Again {
    /// The gradient at `x`, from that of what the function makes of it.
    fn gradient(&self, gradient: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let x = x.autodiff().require_grad();
        let y = match (self.0)(x.clone()) {
            Ok(y) => y,
            // It did the same a moment ago; a gradient has no other way to say that the device is gone.
            Err(error) => panic!("{error}"),
        };
        if !y.is_tracked() {
            return x.inner().zeros_like();
        }
        let product = (y * Tensor::from_inner(in_order(gradient))).sum();
        x.grad(&product.backward()).map_or_else(|| x.clone().inner().zeros_like(), in_order)
    }
}

/// The backend operation.
#[backend_extension(Cube, Flex, Autodiff)]
pub(super) trait Recompute: Backend {
    /// `y`, which the function made of `x`, as something that depends on `x`.
    fn recomputed(x: FloatTensor<Self>, y: FloatTensor<Self>, again: Again) -> FloatTensor<Self>;
    /// The gradient of `x` from that of `y`.
    fn recomputed_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, again: Again) -> FloatTensor<Self>;
}

impl Recompute for Flex {
    fn recomputed(_: FloatTensor<Self>, y: FloatTensor<Self>, _: Again) -> FloatTensor<Self> {
        y
    }

    fn recomputed_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, again: Again) -> FloatTensor<Self> {
        let of = Tensor::<4>::from_primitive::<Self>;
        let found = again.gradient(of(gradient), of(x)).try_into_primitive::<Self>();
        found.unwrap_or_else(|error| panic!("{error:?}"))
    }
}

impl Recompute for Wgpu {
    fn recomputed(_: FloatTensor<Self>, y: FloatTensor<Self>, _: Again) -> FloatTensor<Self> {
        y
    }

    fn recomputed_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, again: Again) -> FloatTensor<Self> {
        let of = Tensor::<4>::from_primitive::<Self>;
        let found = again.gradient(of(gradient), of(x)).try_into_primitive::<Self>();
        found.unwrap_or_else(|error| panic!("{error:?}"))
    }
}

/// d the function / d its input.
#[derive(Debug)]
struct RecomputeBackward;

impl<B: Recompute> Backward<B, 1> for RecomputeBackward {
    type State = (B::FloatTensorPrimitive, Again);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([node], (x, again)) = (ops.parents, ops.state);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::recomputed_gradient(gradient, x, again));
        }
    }
}

impl<B: Recompute, C: CheckpointStrategy> Recompute for Autodiff<B, C> {
    fn recomputed(x: FloatTensor<Self>, y: FloatTensor<Self>, again: Again) -> FloatTensor<Self> {
        let node = x.node();
        let x = x.into_primitive();
        match RecomputeBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, again), y.into_primitive()),
            OpsKind::UnTracked(prep) => prep.finish(y.into_primitive()),
        }
    }

    // A gradient of a gradient is not asked for: an attack differentiates once.
    fn recomputed_gradient(gradient: FloatTensor<Self>, x: FloatTensor<Self>, again: Again) -> FloatTensor<Self> {
        Self::from_inner(B::recomputed_gradient(gradient.into_primitive(), x.into_primitive(), again))
    }
}
