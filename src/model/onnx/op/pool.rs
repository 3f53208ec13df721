//! Pools over images and, as images of height 1, over sequences.

use super::activation::root;
use super::call::Call;
use super::window::{Window, kernel, windows};
use super::{Operator, Outcome};
use crate::kernel::Pool;
use crate::model::onnx::host::HostTensor;
use crate::model::onnx::value::{Value, check_size, reshape, upload};
use burn::backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::module::max_pool2d_with_indices;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Slice, Tensor};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("MaxPool", max_pool),
    Operator::new("AveragePool", average_pool),
    Operator::new("LpPool", lp_pool),
    Operator::new("GlobalAveragePool", |call| global(call, Dispatch::float_mean_dim)),
    Operator::new("GlobalMaxPool", |call| global(call, Dispatch::float_max_dim)),
    Operator::new("GlobalLpPool", global_lp_pool),
];

/// The windows of a pool, its input as an image.
fn prepare(call: &mut Call<'_>) -> Result<(DispatchTensor, Window, Window, usize), String> {
    let shape = call.shape(0)?;
    let axes = shape.len().saturating_sub(2);
    if !(1..=2).contains(&axes) || shape.contains(&0) {
        return Err("it is computed for images (4 dimensions) and sequences (3)".to_owned());
    }
    let attributes = &call.node.attributes;
    let windows = windows(attributes, &shape[2..], &kernel(attributes, axes)?, attributes.flag("ceil_mode"))?;
    let mut padded = shape.clone();
    for (length, window) in padded[2..].iter_mut().zip(&windows) {
        *length = (*length + window.before + window.reached(*length)).max(window.output);
    }
    check_size(&padded)?;
    let x = call.float(0)?;
    let unit = Window { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: 1 };
    if axes == 2 {
        return Ok((x, windows[0], windows[1], axes));
    }
    Ok((reshape(x, [shape[0], shape[1], 1, shape[2]].into()), unit, windows[0], axes))
}

/// Takes the height out again, if the input had none.
fn as_given(t: DispatchTensor, axes: usize) -> Value {
    let s = t.shape();
    Value::Float(if axes == 2 { t } else { reshape(t, [s[0], s[1], s[3]].into()) })
}

/// Pads an image so that all windows lie in it, and cuts off what none reaches.
fn padded(x: DispatchTensor, h: Window, w: Window, value: f32) -> DispatchTensor {
    let shape = x.shape();
    let fill = [(0, 0), (0, 0), (h.before, h.reached(shape[2])), (w.before, w.reached(shape[3]))];
    let x = if fill.iter().any(|&f| f != (0, 0)) { Dispatch::float_pad(x, &fill, PadMode::Constant(value)) } else { x };
    let reach = |w: Window| (w.output - 1) * w.stride + w.extent();
    let shape = x.shape();
    if reach(h) < shape[2] || reach(w) < shape[3] {
        let slices = [0..shape[0], 0..shape[1], 0..reach(h), 0..reach(w)].map(Slice::from);
        return Dispatch::float_slice(x, &slices);
    }
    x
}

/// Whether the library pads the same way: alike on both sides, by less than half a window, floors only.
fn is_plain(h: Window, w: Window, size: [usize; 2]) -> bool {
    [(h, size[0]), (w, size[1])].into_iter().all(|(w, length)| {
        let floor = (length + w.before + w.after).checked_sub(w.extent()).map(|room| room / w.stride + 1);
        w.before == w.after && 2 * w.before <= w.kernel && floor == Some(w.output)
    })
}

fn max_pool(call: &mut Call<'_>) -> Outcome {
    let wants_indices = call.node.outputs.get(1).is_some_and(Option::is_some);
    let column_major = call.int("storage_order", 0) != 0;
    let (x, h, w, axes) = prepare(call)?;
    let s = x.shape();
    let (kernel, stride, dilation) = ([h.kernel, w.kernel], [h.stride, w.stride], [h.dilation, w.dilation]);
    if !wants_indices {
        let pool = Pool { kernel, stride, before: [h.before, w.before], output: [h.output, w.output] };
        let x = match dilation {
            [1, 1] => match pool.apply(Tensor::from_dispatch(x)) {
                Ok(y) => return Ok(vec![as_given(y.into_dispatch(), axes)]),
                Err(x) => x.into_dispatch(),
            },
            _ => x,
        };
        let plain = is_plain(h, w, [s[2], s[3]]);
        let (x, padding) = if plain { (x, [h.before, w.before]) } else { (padded(x, h, w, f32::NEG_INFINITY), [0, 0]) };
        return Ok(vec![as_given(Dispatch::max_pool2d(x, kernel, stride, padding, dilation, false), axes)]);
    }
    let options = MaxPoolOptions::new(kernel)
        .with_stride(stride)
        .with_dilation(dilation)
        .with_padding_pairs([(h.before, h.reached(s[2])), (w.before, w.reached(s[3]))]);
    let (y, indices) = max_pool2d_with_indices(Tensor::from_dispatch(x), options);
    let y = y.into_dispatch();
    let plane = h.output * w.output;
    let indices = indices.try_into_vec_as::<i64>().map_err(|e| e.to_string())?;
    // From a place in one plane to one in the whole input.
    let indices = indices.into_iter().enumerate().map(|(i, at)| {
        let (row, column) = (at as usize / s[3], at as usize % s[3]);
        let within = if column_major { column * s[2] + row } else { at as usize };
        (i / plane * s[2] * s[3] + within) as i64
    });
    let y = as_given(y, axes);
    let indices = HostTensor::ints(y.shape(), indices.collect());
    Ok(vec![y, Value::Host(indices)])
}

fn average_pool(call: &mut Call<'_>) -> Outcome {
    let include_pad = call.node.attributes.flag("count_include_pad");
    let (x, h, w, axes) = prepare(call)?;
    let s = x.shape();
    let (kernel, stride) = ([h.kernel, w.kernel], [h.stride, w.stride]);
    if h.dilation == 1 && w.dilation == 1 && is_plain(h, w, [s[2], s[3]]) {
        let y = Dispatch::avg_pool2d(x, kernel, stride, [h.before, w.before], include_pad, false);
        return Ok(vec![as_given(y, axes)]);
    }
    let x = padded(x, h, w, 0.0);
    let y = window_means(x, h, w, call)?;
    // The mean over all taps becomes the mean over those that count.
    let counted = |window: Window, length: usize| -> Vec<f32> {
        let end = length + window.before + if include_pad { window.after } else { 0 };
        let start = if include_pad { 0 } else { window.before };
        let taps = |o: usize| (0..window.kernel).map(move |k| o * window.stride + k * window.dilation);
        (0..window.output).map(|o| taps(o).filter(|&at| at >= start && at < end).count().max(1) as f32).collect()
    };
    let (rows, columns) = (counted(h, s[2]), counted(w, s[3]));
    let all = (h.kernel * w.kernel) as f32;
    let factor: Vec<f32> = rows.iter().flat_map(|r| columns.iter().map(move |c| all / (r * c))).collect();
    let factor = upload(factor, &[1, 1, h.output, w.output], call.device);
    Ok(vec![as_given(Dispatch::float_mul(y, factor), axes)])
}

/// The mean of all taps of each window, the input being padded.
fn window_means(x: DispatchTensor, h: Window, w: Window, call: &Call<'_>) -> Result<DispatchTensor, String> {
    if h.dilation == 1 && w.dilation == 1 {
        return Ok(Dispatch::avg_pool2d(x, [h.kernel, w.kernel], [h.stride, w.stride], [0, 0], true, false));
    }
    let channels = x.shape()[1];
    let taps = h.kernel * w.kernel;
    let shape = [channels, 1, h.kernel, w.kernel];
    let weight = upload(vec![1.0 / taps as f32; check_size(&shape)?], &shape, call.device);
    let options = ConvOptions::new([h.stride, w.stride], [0, 0], [h.dilation, w.dilation], channels);
    Ok(Dispatch::conv2d(x, weight, None, options))
}

fn lp_pool(call: &mut Call<'_>) -> Outcome {
    let p = call.int("p", 2) as f32;
    let (x, h, w, axes) = prepare(call)?;
    let x = padded(x, h, w, 0.0);
    let powers = Dispatch::float_powf_scalar(Dispatch::float_abs(x), p.into());
    let sums = Dispatch::float_mul_scalar(window_means(powers, h, w, call)?, ((h.kernel * w.kernel) as f32).into());
    Ok(vec![as_given(root(sums, p), axes)])
}

fn global(call: &mut Call<'_>, reduce: fn(DispatchTensor, usize) -> DispatchTensor) -> Outcome {
    let shape = call.shape(0)?;
    if shape.len() < 3 || shape.contains(&0) {
        return Err("it needs an image".to_owned());
    }
    let x = call.float(0)?;
    let flat = reshape(x, [shape[0], shape[1], shape[2..].iter().product()].into());
    let mut output = vec![1; shape.len()];
    output[..2].copy_from_slice(&shape[..2]);
    Ok(vec![Value::Float(reshape(reduce(flat, 2), output.as_slice().into()))])
}

fn global_lp_pool(call: &mut Call<'_>) -> Outcome {
    let p = call.int("p", 2) as f32;
    let x = call.float(0)?;
    let powers = Dispatch::float_powf_scalar(Dispatch::float_abs(x), p.into());
    call.inputs[0] = Some(Value::Float(powers));
    let sums = global(call, Dispatch::float_sum_dim)?;
    let root = |v: Value| match v {
        Value::Float(t) => Value::Float(root(t, p)),
        other => other,
    };
    Ok(sums.into_iter().map(root).collect())
}
