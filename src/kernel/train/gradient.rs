//! The gradients of layers in training.

use super::super::geometry::Activation;
use super::operation::{Kind, Trained, TrainedGradients};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, BackendTypes, TensorMetadata};

type Primitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// d convolution / d its one or two inputs, its weights and its bias.
#[derive(Debug)]
struct ConvBackward;

/// What went in, the weights, and the output if an activation cut it.
#[derive(Clone, Debug)]
struct ConvState<T> {
    inputs: Vec<T>,
    weight: T,
    y: Option<T>,
    kind: Kind,
}

impl<B: TrainedGradients> Backward<B, 4> for ConvBackward {
    type State = ConvState<Primitive<B>>;

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, second, weight, bias], ConvState { inputs, weight: weights, y, kind }) = (ops.parents, ops.state);
        let y = y.unwrap_or_else(|| gradient.clone());
        if let Some(node) = bias {
            grads.register::<B>(node.id, B::bias(gradient.clone(), y.clone(), kind.activation));
        }
        let mut first = 0;
        for (input, node) in inputs.iter().zip([x, second]) {
            let [_, channels, height, width] = input.shape().dims();
            let range = first..first + channels;
            first = range.end;
            if let Some(node) = node {
                let size = [height, width];
                let of_input = B::conv_input(gradient.clone(), y.clone(), weights.clone(), kind, range, size);
                grads.register::<B>(node.id, of_input);
            }
        }
        if let Some(node) = weight {
            let shape = weights.shape().dims();
            grads.register::<B>(node.id, B::conv_weight(inputs, gradient, y, kind, shape));
        }
    }
}

/// d transposed convolution / d its input, its weights and its bias.
#[derive(Debug)]
struct UpBackward;

impl<B: TrainedGradients> Backward<B, 3> for UpBackward {
    type State = (Primitive<B>, Primitive<B>, Kind);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([of_x, of_weight, of_bias], (x, weight, kind)) = (ops.parents, ops.state);
        if let Some(node) = of_bias {
            grads.register::<B>(node.id, B::bias(gradient.clone(), gradient.clone(), Activation::None));
        }
        if let Some(node) = of_weight {
            let shape = weight.shape().dims();
            grads.register::<B>(node.id, B::conv_weight(vec![gradient.clone()], x.clone(), x, kind, shape));
        }
        if let Some(node) = of_x {
            grads.register::<B>(node.id, B::up_input(gradient, weight, kind));
        }
    }
}

/// d normalisation / d its input, γ and β.
#[derive(Debug)]
struct NormBackward;

impl<B: TrainedGradients> Backward<B, 3> for NormBackward {
    /// Input, γ and β, mean and variance, ε.
    type State = (Primitive<B>, [Primitive<B>; 2], [Primitive<B>; 2], f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, parameters, statistics, epsilon) = ops.state;
        let found = B::norm(gradient, x, parameters, statistics, epsilon);
        for (node, found) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                grads.register::<B>(node.id, found);
            }
        }
    }
}

impl<B: TrainedGradients, C: CheckpointStrategy> Trained for Autodiff<B, C> {
    fn trained_conv(
        x: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), second.node(), weight.node(), bias.node()];
        let (x, second, weight) = (x.into_primitive(), second.into_primitive(), weight.into_primitive());
        let y = B::trained_conv(x.clone(), second.clone(), weight.clone(), bias.into_primitive(), kind);
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = if kind.pair { vec![x, second] } else { vec![x] };
                let kept = (kind.activation != Activation::None).then(|| y.clone());
                prep.finish(ConvState { inputs, weight, y: kept, kind }, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn trained_up(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: Kind,
        size: [usize; 2],
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let y = B::trained_up(x.clone(), weight.clone(), bias.into_primitive(), kind, size);
        match UpBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, kind), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn trained_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let (x, gamma, beta) = (x.into_primitive(), gamma.into_primitive(), beta.into_primitive());
        let (y, mean, variance) = B::trained_norm(x.clone(), gamma.clone(), beta.clone(), epsilon);
        let y = match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, [gamma, beta], [mean.clone(), variance.clone()], epsilon), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (y, Self::from_inner(mean), Self::from_inner(variance))
    }
}
