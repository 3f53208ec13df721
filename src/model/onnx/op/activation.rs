//! Activations.

use super::arithmetic::{to_rank, unary};
use super::call::{Call, axis};
use super::{Operator, Outcome};
use crate::kernel::Activation;
use crate::model::onnx::host::{HostTensor, broadcast_shapes};
use crate::model::onnx::program::Node;
use crate::model::onnx::value::{Value, reshape};
use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Bool, Tensor};

type Float = DispatchTensor;

/// `x` after an activation that was put into the node before it.
pub(super) fn clamped(x: DispatchTensor, activation: Activation) -> DispatchTensor {
    match activation {
        Activation::None => x,
        Activation::Relu => Dispatch::relu(x),
        Activation::Clip(lower, upper) => Dispatch::float_clamp(x, lower.into(), upper.into()),
    }
}

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Relu", |call| unary(call, Dispatch::relu, |v| if v < 0.0 { 0.0 } else { v })),
    Operator::new("Sigmoid", |call| on_device(call, |_, x| Dispatch::sigmoid(x))),
    Operator::new("LeakyRelu", |call| {
        on_device(call, |call, x| Dispatch::leaky_relu(x, call.attribute("alpha", 0.01).into()))
    }),
    Operator::new("PRelu", prelu),
    Operator::new("Elu", |call| on_device(call, |call, x| elu(x, call.attribute("alpha", 1.0), 1.0))),
    Operator::new("Celu", |call| {
        on_device(call, |call, x| {
            let alpha = call.attribute("alpha", 1.0);
            // max(0, x) + min(0, α·(exp(x/α) − 1)) is α times Elu of x/α.
            let x = Dispatch::float_mul_scalar(x, (1.0 / alpha).into());
            Dispatch::float_mul_scalar(elu(x, 1.0, 1.0), alpha.into())
        })
    }),
    Operator::new("Selu", |call| {
        // The definition's constants, with the digits that it gives.
        on_device(call, |call, x| elu(x, call.attribute("alpha", 1.673_263_2), call.attribute("gamma", 1.050_701)))
    }),
    Operator::new("Gelu", |call| {
        let tanh = call.node.attributes.text("approximate") == Some("tanh");
        on_device(call, if tanh { |_, x| gelu_tanh(x) } else { |_, x| Dispatch::gelu(x) })
    }),
    Operator::new("FastGelu", fast_gelu),
    Operator::new("QuickGelu", |call| on_device(call, |call, x| swish(x, call.attribute("alpha", 1.702)))),
    Operator::new("Swish", |call| on_device(call, |call, x| swish(x, call.attribute("alpha", 1.0)))),
    Operator::new("HardSigmoid", |call| {
        on_device(call, |call, x| hard_sigmoid(x, call.attribute("alpha", 0.2), call.attribute("beta", 0.5)))
    }),
    Operator::new("HardSwish", |call| {
        on_device(call, |_, x| Dispatch::float_mul(x.clone(), hard_sigmoid(x, 1.0 / 6.0, 0.5)))
    }),
    Operator::new("Softplus", |call| on_device(call, |_, x| softplus(x))),
    Operator::new("Softsign", |call| {
        on_device(call, |_, x| {
            let scale = Dispatch::float_add_scalar(Dispatch::float_abs(x.clone()), 1.0.into());
            Dispatch::float_div(x, scale)
        })
    }),
    Operator::new("Mish", |call| {
        on_device(call, |_, x| Dispatch::float_mul(x.clone(), Dispatch::float_tanh(softplus(x))))
    }),
    Operator::new("ThresholdedRelu", |call| {
        on_device(call, |call, x| {
            let alpha = call.attribute("alpha", 1.0);
            masked(x.clone(), |flat| flat.lower_equal_elem(alpha), x, 0.0)
        })
    }),
    Operator::new("Shrink", |call| {
        on_device(call, |call, x| {
            let (lambda, bias) = (call.attribute("lambd", 0.5), call.attribute("bias", 0.0));
            let above = Dispatch::float_sub_scalar(x.clone(), bias.into());
            let above = masked(x.clone(), |flat| flat.lower_equal_elem(lambda), above, 0.0);
            let below = Dispatch::float_add_scalar(x.clone(), bias.into());
            let below = masked(x, |flat| flat.greater_equal_elem(-lambda), below, 0.0);
            Dispatch::float_add(above, below)
        })
    }),
    Operator::new("Softmax", |call| along_axis(call, Dispatch::softmax)),
    Operator::new("LogSoftmax", |call| along_axis(call, Dispatch::log_softmax)),
    Operator::new("Hardmax", |call| along_axis(call, hardmax)),
];

/// The `p`-th root. Its gradient at 0 is 0, as that of a norm is taken to be there; the derivative is infinite, and infinity times
/// the 0 that goes on from there would be no number.
pub(super) fn root(x: Float, p: f32) -> Float {
    let safe = masked(x.clone(), |flat| flat.equal_elem(0.0), x.clone(), 1.0);
    let root = if p == 2.0 { Dispatch::float_sqrt(safe) } else { Dispatch::float_powf_scalar(safe, (1.0 / p).into()) };
    masked(x, |flat| flat.equal_elem(0.0), root, 0.0)
}

/// An activation of one input.
fn on_device(call: &mut Call<'_>, f: fn(&Call<'_>, Float) -> Float) -> Outcome {
    let x = call.float(0)?;
    Ok(vec![Value::Float(f(call, x))])
}

/// `value`, and `fill` where `test` holds of `x`.
pub(super) fn masked(x: Float, test: impl Fn(Tensor<1>) -> Tensor<1, Bool>, value: Float, fill: f32) -> Float {
    let shape = value.shape();
    let flat = |t: Float| Tensor::<1>::from_dispatch(reshape(t, [shape.num_elements()].into()));
    let mask = test(flat(x).detach());
    reshape(flat(value).mask_fill(mask, fill).into_dispatch(), shape)
}

/// γ·x above 0, γ·α·(eˣ − 1) below.
fn elu(x: Float, alpha: f32, gamma: f32) -> Float {
    // eˣ of what is above 0 would overflow, and make the gradient there NaN.
    let below = Dispatch::float_exp(Dispatch::float_clamp_max(x.clone(), 0.0.into()));
    let below = Dispatch::float_mul_scalar(Dispatch::float_sub_scalar(below, 1.0.into()), (alpha * gamma).into());
    let above = Dispatch::float_mul_scalar(Dispatch::relu(x), gamma.into());
    Dispatch::float_add(above, below)
}

/// max(0, min(1, α·x + β)).
fn hard_sigmoid(x: Float, alpha: f32, beta: f32) -> Float {
    let line = Dispatch::float_add_scalar(Dispatch::float_mul_scalar(x, alpha.into()), beta.into());
    Dispatch::float_clamp(line, 0.0.into(), 1.0.into())
}

/// log(1 + eˣ) without overflow: max(x, 0) + log(1 + e^(−|x|)).
fn softplus(x: Float) -> Float {
    let tail = Dispatch::float_log1p(Dispatch::float_exp(Dispatch::float_neg(Dispatch::float_abs(x.clone()))));
    Dispatch::float_add(Dispatch::relu(x), tail)
}

/// x·σ(α·x).
fn swish(x: Float, alpha: f32) -> Float {
    Dispatch::float_mul(x.clone(), Dispatch::sigmoid(Dispatch::float_mul_scalar(x, alpha.into())))
}

/// ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
fn gelu_tanh(x: Float) -> Float {
    let cube = Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x.clone());
    let inner = Dispatch::float_add(x.clone(), Dispatch::float_mul_scalar(cube, 0.044_715.into()));
    let tanh = Dispatch::float_tanh(Dispatch::float_mul_scalar(inner, (2.0 / std::f64::consts::PI).sqrt().into()));
    Dispatch::float_mul_scalar(Dispatch::float_mul(x, Dispatch::float_add_scalar(tanh, 1.0.into())), 0.5.into())
}

fn fast_gelu(call: &mut Call<'_>) -> Outcome {
    let (x, bias) = (call.float(0)?, call.optional_float(1)?);
    let x = match bias {
        Some(bias) => {
            let rank = x.shape().num_dims();
            Dispatch::float_add(x, to_rank(bias, rank))
        }
        None => x,
    };
    Ok(vec![Value::Float(gelu_tanh(x))])
}

/// x above 0, slope·x below. The slope broadcasts to x; before version 7 one of a channel each was given without
/// the dimensions behind it.
fn prelu(call: &mut Call<'_>) -> Outcome {
    let (shape, mut slope) = (call.shape(0)?, call.shape(1)?);
    if slope.len() == 1
        && shape.len() > 2
        && slope[0] == shape[1]
        && broadcast_shapes(&shape, &slope) != Ok(shape.clone())
        || slope.len() == 1 && shape.len() > 2 && call.node.opset < 7
    {
        slope.extend(std::iter::repeat_n(1, shape.len() - 2));
    }
    if broadcast_shapes(&shape, &slope)? != shape {
        return Err("its slope does not broadcast to its input".to_owned());
    }
    let (x, w) = (call.float(0)?, call.float(1)?);
    let w = to_rank(reshape(w, slope.as_slice().into()), shape.len());
    let below = Dispatch::float_mul(Dispatch::float_neg(Dispatch::relu(Dispatch::float_neg(x.clone()))), w);
    Ok(vec![Value::Float(Dispatch::float_add(Dispatch::relu(x), below))])
}

/// The dimension that a softmax of `node` begins at, and whether all behind it are one with it, as before version 13.
fn softmax_axis(node: &Node, rank: usize) -> Result<(usize, bool), String> {
    let old = node.opset < 13;
    let given = node.attributes.int("axis").unwrap_or(if old { 1 } else { -1 });
    Ok((axis(given, rank.max(1))?, old))
}

/// How far apart [`softmax_places`] are from sum to sum.
pub const APART: i64 = 1 << 24;

/// For each element of a softmax of `shape`: the number of the sum that it is divided by, times [`APART`], plus its own number
/// in it.
///
/// # Errors
/// If there is no such axis, or the sums are longer than that.
pub fn softmax_places(node: &Node, shape: Vec<usize>) -> Result<HostTensor, String> {
    let (dim, old) = softmax_axis(node, shape.len())?;
    let inner: usize = if old { 1 } else { shape[dim + 1..].iter().product() };
    let count: usize = shape.iter().product();
    let length = count / (shape[..dim].iter().product::<usize>() * inner).max(1);
    if length as i64 >= APART {
        return Err(format!("it normalises over {length} elements"));
    }
    let place = |i: usize| (i / (inner * length) * inner + i % inner) as i64 * APART + (i / inner % length) as i64;
    let places = (0..count).map(place).collect();
    Ok(HostTensor::ints(shape, places))
}

/// Along `axis`; before version 13 along all from it on, as one.
fn along_axis(call: &mut Call<'_>, f: fn(Float, usize) -> Float) -> Outcome {
    let shape = call.shape(0)?;
    let (dim, old) = softmax_axis(call.node, shape.len())?;
    let x = call.float(0)?;
    if !old || shape.len() == dim + 1 || shape[dim + 1..].iter().all(|&d| d == 1) {
        return Ok(vec![Value::Float(f(x, dim))]);
    }
    let rows = shape[..dim].iter().product();
    let flat = reshape(x, [rows, shape[dim..].iter().product::<usize>()].into());
    Ok(vec![Value::Float(reshape(f(flat, 1), shape.as_slice().into()))])
}

/// 1 at the first of the largest, 0 elsewhere.
fn hardmax(x: Float, dim: usize) -> Float {
    let shape = x.shape();
    let (rows, length) = (shape[..dim].iter().product::<usize>(), shape[dim]);
    let flat = reshape(x, [rows, length, shape[dim + 1..].iter().product::<usize>()].into());
    let flat = Tensor::<3>::from_dispatch(flat).detach();
    let winner = flat.clone().argmax(1);
    let hot =
        flat.zeros_like().scatter(1, winner.clone(), winner.float().ones_like(), burn::tensor::IndexingUpdateOp::Add);
    reshape(hot.into_dispatch(), shape)
}
