//! Normalisations.

use super::activation::{clamped, masked, root};
use super::call::{Call, axis};
use super::{Operator, Outcome};
use crate::kernel::scaled as scaled_by_kernel;
use crate::model::onnx::value::{Value, reshape};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::Tensor;

type Float = DispatchTensor;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("BatchNormalization", batch_norm),
    Operator::new("InstanceNormalization", |call| {
        let channels = *call.shape(0)?.get(1).ok_or("it needs channels")?;
        group_norm(call, channels, true)
    }),
    Operator::new("GroupNormalization", |call| {
        let groups = call.int("num_groups", 0);
        let groups = usize::try_from(groups).ok().filter(|&g| g > 0).ok_or("num_groups is not positive")?;
        // Before version 21, scale and bias were of a group each.
        let per_channel = call.node.opset >= 21;
        group_norm(call, groups, per_channel)
    }),
    Operator::new("LayerNormalization", layer_norm),
    Operator::new("RMSNormalization", rms_norm),
    Operator::new("LRN", local_response_norm),
    Operator::new("LpNormalization", lp_norm),
    Operator::new("MeanVarianceNormalization", mean_variance_norm),
];

/// As `[1, channels, 1, …]` for a tensor of `rank`.
fn per_channel(t: Float, channels: usize, rank: usize) -> Float {
    let mut shape = vec![1; rank];
    shape[1] = channels;
    reshape(t, shape.as_slice().into())
}

/// Scale and shift that equal a batch normalisation in inference: γ/√(σ² + ε) and β − μ·γ/√(σ² + ε).
fn batch_norm(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let channels = *shape.get(1).ok_or("it needs channels")?;
    if call.node.attributes.flag("training_mode") {
        return Err("it is in training mode; export the model in evaluation mode".to_owned());
    }
    for i in 1..5 {
        if call.shape(i)? != [channels] {
            return Err(format!("its input {i} has shape {:?} and not [{channels}]", call.shape(i)?));
        }
    }
    let epsilon = call.attribute("epsilon", 1e-5);
    let (x, gamma, beta) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let (mean, variance) = (call.float(3)?, call.float(4)?);
    let deviation = Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, epsilon.into()));
    let scale = Dispatch::float_div(gamma, deviation);
    let shift = Dispatch::float_sub(beta, Dispatch::float_mul(mean, scale.clone()));
    let rank = shape.len();
    let activation = call.node.fused.activation;
    if rank == 4 {
        let (scale, shift) = (Tensor::<1>::from_dispatch(scale), Tensor::<1>::from_dispatch(shift));
        let y = scaled_by_kernel(Tensor::from_dispatch(x), scale, shift, activation);
        return Ok(vec![Value::Float(y.into_dispatch())]);
    }
    let y = Dispatch::float_mul(x, per_channel(scale, channels, rank));
    let y = Dispatch::float_add(y, per_channel(shift, channels, rank));
    Ok(vec![Value::Float(clamped(y, activation))])
}

/// (x − mean)/√(variance + ε) over the last dimension; also the mean and 1/√(variance + ε).
fn normalized(x: Float, last: usize, epsilon: f32) -> (Float, Float, Float) {
    let mean = Dispatch::float_mean_dim(x.clone(), last);
    let centred = Dispatch::float_sub(x, mean.clone());
    let variance = Dispatch::float_mean_dim(Dispatch::float_mul(centred.clone(), centred.clone()), last);
    let inverse = Dispatch::float_recip(Dispatch::float_sqrt(Dispatch::float_add_scalar(variance, epsilon.into())));
    (Dispatch::float_mul(centred, inverse.clone()), mean, inverse)
}

fn group_norm(call: &mut Call<'_>, groups: usize, scale_per_channel: bool) -> Outcome {
    let shape = call.shape(0)?;
    let (channels, rank) = (shape[1], shape.len());
    let expected = if scale_per_channel { channels } else { groups };
    if channels % groups != 0 || call.shape(1)? != [expected] || call.shape(2)? != [expected] {
        return Err(format!("{channels} channels in {groups} groups need scale and bias of [{expected}]"));
    }
    let epsilon = call.attribute("epsilon", 1e-5);
    let (x, scale, bias) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let rest = shape[1..].iter().product::<usize>() / groups;
    let (y, ..) = normalized(reshape(x, [shape[0], groups, rest].into()), 2, epsilon);
    let affine = |y: Float, dims: &[usize], rank: usize| {
        let y = reshape(y, dims.into());
        let y = Dispatch::float_mul(y, per_channel(scale.clone(), expected, rank));
        Dispatch::float_add(y, per_channel(bias.clone(), expected, rank))
    };
    let y = if scale_per_channel { affine(y, &shape, rank) } else { affine(y, &[shape[0], groups, rest], 3) };
    Ok(vec![Value::Float(reshape(y, shape.as_slice().into()))])
}

/// Rows and columns of a tensor that is normalised from `axis` on.
fn rows(call: &Call<'_>) -> Result<(Vec<usize>, usize, [usize; 2]), String> {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", -1), shape.len())?;
    let sizes = [shape[..dim].iter().product(), shape[dim..].iter().product()];
    Ok((shape, dim, sizes))
}

fn layer_norm(call: &mut Call<'_>) -> Outcome {
    let (shape, dim, sizes) = rows(call)?;
    let epsilon = call.attribute("epsilon", 1e-5);
    let x = call.float(0)?;
    let (y, mean, inverse) = normalized(reshape(x, sizes.into()), 1, epsilon);
    let y = scaled(call, reshape(y, shape.as_slice().into()))?;
    let mut statistics = shape;
    statistics[dim..].fill(1);
    let statistic = |t| Value::Float(reshape(t, statistics.as_slice().into()));
    Ok(vec![Value::Float(y), statistic(mean), statistic(inverse)])
}

/// Times input 1, plus input 2 if there is one.
fn scaled(call: &mut Call<'_>, y: Float) -> Result<Float, String> {
    use super::arithmetic::to_rank;
    use crate::model::onnx::host::broadcast_shapes;
    use burn::backend::TensorMetadata;
    let shape: Vec<usize> = y.shape().iter().copied().collect();
    let mut y = y;
    for (i, op) in [(1, Dispatch::float_mul as fn(Float, Float) -> Float), (2, Dispatch::float_add)] {
        if call.has(i) {
            if broadcast_shapes(&call.shape(i)?, &shape)? != shape {
                return Err(format!("its input {i} does not broadcast to {shape:?}"));
            }
            y = op(y, to_rank(call.float(i)?, shape.len()));
        }
    }
    Ok(y)
}

fn rms_norm(call: &mut Call<'_>) -> Outcome {
    let (shape, _, sizes) = rows(call)?;
    let epsilon = call.attribute("epsilon", 1e-5);
    let x = reshape(call.float(0)?, sizes.into());
    let square = Dispatch::float_mean_dim(Dispatch::float_mul(x.clone(), x.clone()), 1);
    let root = Dispatch::float_sqrt(Dispatch::float_add_scalar(square, epsilon.into()));
    let y = reshape(Dispatch::float_div(x, root), shape.as_slice().into());
    Ok(vec![Value::Float(scaled(call, y)?)])
}

/// x / (bias + α/size · Σ x² over `size` neighbouring channels)^β.
fn local_response_norm(call: &mut Call<'_>) -> Outcome {
    use burn::tensor::Slice;
    use burn::tensor::ops::PadMode;
    let shape = call.shape(0)?;
    let size =
        usize::try_from(call.int("size", 0)).ok().filter(|s| (1..=1 << 16).contains(s)).ok_or("size is wrong")?;
    if shape.len() < 2 {
        return Err("it needs channels".to_owned());
    }
    let (alpha, beta, bias) =
        (call.attribute("alpha", 1e-4), call.attribute("beta", 0.75), call.attribute("bias", 1.0));
    let x = call.float(0)?;
    let mut fill = vec![(0, 0); shape.len()];
    fill[1] = ((size - 1) / 2, size / 2);
    let square = Dispatch::float_pad(Dispatch::float_mul(x.clone(), x.clone()), &fill, PadMode::Constant(0.0));
    let window = |start: usize| {
        let mut slices: Vec<Slice> = shape.iter().map(|&n| Slice::from(0..n)).collect();
        slices[1] = Slice::from(start..start + shape[1]);
        Dispatch::float_slice(square.clone(), &slices)
    };
    let sum = (1..size).fold(window(0), |sum, start| Dispatch::float_add(sum, window(start)));
    let base = Dispatch::float_mul_scalar(sum, (alpha / size as f32).into());
    let scale = Dispatch::float_powf_scalar(Dispatch::float_add_scalar(base, bias.into()), (-beta).into());
    Ok(vec![Value::Float(Dispatch::float_mul(x, scale))])
}

fn lp_norm(call: &mut Call<'_>) -> Outcome {
    let dim = axis(call.int("axis", -1), call.shape(0)?.len())?;
    let x = call.float(0)?;
    let norm = match call.int("p", 2) {
        1 => Dispatch::float_sum_dim(Dispatch::float_abs(x.clone()), dim),
        2 => root(Dispatch::float_sum_dim(Dispatch::float_mul(x.clone(), x.clone()), dim), 2.0),
        p => return Err(format!("p is {p}, and 1 and 2 are defined")),
    };
    // 0/0 is 0 here.
    let norm = masked(norm.clone(), |flat| flat.equal_elem(0.0), norm, 1.0);
    Ok(vec![Value::Float(Dispatch::float_div(x, norm))])
}

fn mean_variance_norm(call: &mut Call<'_>) -> Outcome {
    let rank = call.shape(0)?.len();
    let axes = call.node.attributes.ints("axes").unwrap_or(&[0, 2, 3]);
    let axes = axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let x = call.float(0)?;
    let mean = |t: Float| axes.iter().fold(t, |t, &dim| Dispatch::float_mean_dim(t, dim));
    let centred = Dispatch::float_sub(x.clone(), mean(x));
    let variance = mean(Dispatch::float_mul(centred.clone(), centred.clone()));
    // The definition's own guard against division by zero.
    let deviation = Dispatch::float_add_scalar(root(variance, 2.0), 1e-9.into());
    Ok(vec![Value::Float(Dispatch::float_div(centred, deviation))])
}
