//! Convolutions, over images and, as images of height 1, over sequences.

use super::activation::clamped;
use super::arithmetic::sum;
use super::call::Call;
use super::window::{Window, pads, strides_and_dilations, windows};
use super::{Operator, Outcome};
use crate::kernel::{Activation, Convolution, UpOptions};
use crate::model::onnx::fuse::{SECOND, SUMMAND};
use crate::model::onnx::value::{Value, check_size, reshape};
use burn::backend::ops::{ConvOptions, ConvTransposeOptions, DeformConvOptions, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Slice, Tensor};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Conv", conv),
    Operator::new("ConvTranspose", conv_transpose),
    Operator::new("DeformConv", deform_conv),
];

/// The shapes of a convolution's input and weight, sequences as images of height 1.
fn shapes(call: &Call<'_>) -> Result<(Vec<usize>, Vec<usize>, usize), String> {
    let (x, w) = (call.shape(0)?, call.shape(1)?);
    let axes = x.len().saturating_sub(2);
    if !(1..=2).contains(&axes) || w.len() != x.len() {
        return Err("it is computed for images (4 dimensions) and sequences (3) with a weight of as many".to_owned());
    }
    if let Some(kernel) = call.node.attributes.ints("kernel_shape")
        && kernel.iter().zip(&w[2..]).any(|(&k, &w)| k != w as i64)
    {
        return Err(format!("kernel_shape is {kernel:?} and the weight has shape {w:?}"));
    }
    Ok((x, w, axes))
}

/// `group`, which must divide the channels.
fn groups(call: &Call<'_>, channels: usize) -> Result<usize, String> {
    let groups = call.int("group", 1);
    usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0 && channels.is_multiple_of(g))
        .ok_or_else(|| format!("{groups} groups do not divide {channels} channels"))
}

fn check_bias(call: &Call<'_>, i: usize, outputs: usize) -> Result<(), String> {
    match call.inputs.get(i).and_then(Option::as_ref).map(Value::shape) {
        Some(shape) if shape != [outputs] => Err(format!("its bias has shape {shape:?} and not [{outputs}]")),
        _ => Ok(()),
    }
}

/// Puts in a height of 1.
fn as_image(t: DispatchTensor) -> DispatchTensor {
    let s = t.shape();
    if s.num_dims() == 4 { t } else { reshape(t, [s[0], s[1], 1, s[2]].into()) }
}

/// Takes it out again, if the input had none.
fn as_given(t: DispatchTensor, axes: usize) -> DispatchTensor {
    let s = t.shape();
    if axes == 2 { t } else { reshape(t, [s[0], s[1], s[3]].into()) }
}

fn conv(call: &mut Call<'_>) -> Outcome {
    let (mut x, w, axes) = shapes(call)?;
    if call.has(SECOND) {
        let second = call.shape(SECOND)?;
        if second.len() != 4 || [second[0], second[2], second[3]] != [x[0], x[2], x[3]] {
            return Err(format!("a concatenation of {x:?} and {second:?} does not fit"));
        }
        x[1] += second[1];
    }
    let groups = groups(call, x[1])?;
    if w[1] * groups != x[1] || w[0] % groups != 0 {
        return Err(format!("{} channels in {groups} groups do not match a weight of shape {w:?}", x[1]));
    }
    check_bias(call, 2, w[0])?;
    let windows = windows(&call.node.attributes, &x[2..], &w[2..], false)?;
    let mut output = vec![x[0], w[0]];
    output.extend(windows.iter().map(|w| w.output));
    check_size(&output)?;
    let unit = Window { kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: 1 };
    let (h, w) = if axes == 2 { (windows[0], windows[1]) } else { (unit, windows[0]) };
    let options = ConvOptions::new_with_padding(
        [h.stride, w.stride],
        [(h.before, h.after), (w.before, w.after)],
        [h.dilation, w.dilation],
        groups,
    );
    let (x, weight, bias) = (image(call, 0)?, image(call, 1)?, vector(call, 2)?);
    let activation = call.node.fused.activation;
    let second = if call.has(SECOND) { Some(image(call, SECOND)?) } else { None };
    let summand = if call.has(SUMMAND) { Some(call.float(SUMMAND)?) } else { None };
    // No kernel does both: a pair that is summed to is put together first.
    let (x, second) = match (second, &summand) {
        (Some(second), Some(_)) => (Tensor::cat(vec![x, second], 1), None),
        (second, _) => (x, second),
    };
    let parts: Vec<usize> = [Some(&x), second.as_ref()].into_iter().flatten().map(|t| t.dims()[1]).collect();
    // A summand of another shape is broadcast, and the activation comes after it.
    let equal = summand.as_ref().is_none_or(|summand| summand.shape().iter().copied().eq(output.iter().copied()));
    let layer = Convolution::new(weight, bias, options, &parts, if equal { activation } else { Activation::None });
    let y = match (second, summand) {
        (Some(second), _) => layer.forward_pair(x, second),
        (None, None) => layer.forward(x),
        (None, Some(summand)) if equal => layer.forward_sum(x, Tensor::from_dispatch(summand)),
        (None, Some(summand)) => {
            let y = Value::Float(layer.forward(x).into_dispatch());
            let sum = sum(call, y, Value::Float(summand))?.into_float(call.device);
            return Ok(vec![Value::Float(clamped(sum, activation))]);
        }
    };
    Ok(vec![Value::Float(as_given(y.into_dispatch(), axes))])
}

/// Input `i` as an image.
fn image(call: &mut Call<'_>, i: usize) -> Result<Tensor<4>, String> {
    Ok(Tensor::from_dispatch(as_image(call.float(i)?)))
}

/// Input `i` as a vector, if it is given.
fn vector(call: &mut Call<'_>, i: usize) -> Result<Option<Tensor<1>>, String> {
    Ok(call.optional_float(i)?.map(Tensor::from_dispatch))
}

fn conv_transpose(call: &mut Call<'_>) -> Outcome {
    let (x, w, axes) = shapes(call)?;
    let groups = groups(call, x[1])?;
    if w[0] != x[1] {
        return Err(format!("{} channels do not match a weight of shape {w:?}", x[1]));
    }
    let channels = w[1] * groups;
    check_bias(call, 2, channels)?;
    let attributes = &call.node.attributes;
    let (strides, dilations) = strides_and_dilations(attributes, axes)?;
    let mut pads: Vec<(i64, i64)> = pads(attributes, axes)?.iter().map(|&(b, a)| (b as i64, a as i64)).collect();
    let extra = attributes.ints("output_padding").map_or_else(|| vec![0; axes], <[i64]>::to_vec);
    if extra.len() != axes || extra.iter().any(|&v| !(0..1 << 20).contains(&v)) {
        return Err(format!("output_padding is {extra:?}"));
    }
    // The length without any padding, and what is to be left of it.
    let full: Vec<i64> =
        (0..axes).map(|i| ((x[i + 2].max(1) - 1) * strides[i] + (w[i + 2] - 1) * dilations[i] + 1) as i64).collect();
    let auto = attributes.text("auto_pad").unwrap_or("NOTSET");
    let wanted = attributes.ints("output_shape").map(|s| s[s.len().saturating_sub(axes)..].to_vec());
    for i in 0..axes {
        let length = match (&wanted, auto) {
            (Some(wanted), _) => *wanted.get(i).ok_or("output_shape is too short")?,
            (None, "SAME_UPPER" | "SAME_LOWER") => (x[i + 2] * strides[i]) as i64,
            (None, "VALID") => full[i] + extra[i],
            (None, "NOTSET") => full[i] + extra[i] - pads[i].0 - pads[i].1,
            (None, other) => return Err(format!("auto_pad is {other:?}")),
        };
        if wanted.is_some() || auto.starts_with("SAME") {
            let total = full[i] + extra[i] - length;
            // ONNX puts the odd one behind for SAME_UPPER, and in front otherwise.
            let (small, large) = (total.div_euclid(2), total - total.div_euclid(2));
            pads[i] = if auto == "SAME_UPPER" { (small, large) } else { (large, small) };
        } else if auto == "VALID" {
            pads[i] = (0, 0);
        }
        if length <= 0 {
            return Err(format!("its output would have a length of {length}"));
        }
    }
    let mut output = vec![x[0], channels];
    output.extend((0..axes).map(|i| (full[i] + extra[i] - pads[i].0 - pads[i].1) as usize));
    check_size(&output)?;
    let pair = |v: &[usize], unit: usize| if axes == 2 { [v[0], v[1]] } else { [unit, v[0]] };
    let (x, weight, bias) = (image(call, 0)?, image(call, 1)?, vector(call, 2)?);
    let before: Option<Vec<usize>> = pads.iter().map(|&(before, _)| usize::try_from(before).ok()).collect();
    let x = match before {
        Some(before) => {
            let (stride, dilation) = (pair(&strides, 1), pair(&dilations, 1));
            let up = UpOptions { stride, dilation, before: pair(&before, 0), groups };
            match up.apply(x, &weight, bias.as_ref(), pair(&output[2..], 1)) {
                Ok(y) => return Ok(vec![Value::Float(as_given(y.into_dispatch(), axes))]),
                Err(x) => x,
            }
        }
        None => x,
    };
    // The library pads both sides alike: what both lose is its padding, the rest is cut off or added afterwards.
    let mut native = Vec::new();
    for i in 0..axes {
        let both = pads[i].0.min(pads[i].1 - extra[i]).max(0) as usize;
        native.push(both);
    }
    let mut whole = vec![x.dims()[0], channels];
    whole.extend((0..axes).map(|i| (full[i] - 2 * native[i] as i64).max(0) as usize));
    check_size(&whole)?;
    let options = ConvTransposeOptions::new(pair(&strides, 1), pair(&native, 0), [0, 0], pair(&dilations, 1), groups);
    let y = Dispatch::conv_transpose2d(x.into_dispatch(), weight.into_dispatch(), None, options);
    let mut y = fit(y, &pads, &extra, &native, axes);
    if let Some(bias) = bias {
        y = Dispatch::float_add(y, reshape(bias.into_dispatch(), [1, channels, 1, 1].into()));
    }
    Ok(vec![Value::Float(as_given(y, axes))])
}

/// Cuts off, or fills with zeros, what the library's equal padding left too much or too little of.
fn fit(y: DispatchTensor, pads: &[(i64, i64)], extra: &[i64], native: &[usize], axes: usize) -> DispatchTensor {
    let shape = y.shape();
    let mut cut: Vec<Slice> = shape.iter().map(|&n| Slice::from(0..n)).collect();
    let mut fill = vec![(0, 0); 4];
    let mut cuts = false;
    for i in 0..axes {
        let axis = 4 - axes + i;
        let length = shape[axis] as i64;
        let before = pads[i].0 - native[i] as i64;
        let after = pads[i].1 - extra[i] - native[i] as i64;
        cut[axis] = Slice::from(before.max(0) as usize..(length - after.max(0)) as usize);
        cuts |= before > 0 || after > 0;
        fill[axis] = ((-before).max(0) as usize, (-after).max(0) as usize);
    }
    let y = if cuts { Dispatch::float_slice(y, &cut) } else { y };
    if fill.iter().any(|&f| f != (0, 0)) {
        Dispatch::float_pad(y, &fill, burn::tensor::ops::PadMode::Constant(0.0))
    } else {
        y
    }
}

fn deform_conv(call: &mut Call<'_>) -> Outcome {
    let (x, w, axes) = shapes(call)?;
    if axes != 2 {
        return Err("it is computed for images".to_owned());
    }
    let groups = groups(call, x[1])?;
    let offset_groups = usize::try_from(call.int("offset_group", 1)).ok().filter(|&g| g > 0 && x[1].is_multiple_of(g));
    let offset_groups = offset_groups.ok_or("offset_group does not divide the channels")?;
    let windows = windows(&call.node.attributes, &x[2..], &w[2..], false)?;
    let (h, v) = (windows[0], windows[1]);
    let offsets = [x[0], offset_groups * 2 * w[2] * w[3], h.output, v.output];
    if w[1] * groups != x[1] || call.shape(2)? != offsets {
        return Err(format!("its weight or offsets have the wrong shape; offsets of shape {offsets:?} would fit"));
    }
    check_bias(call, 3, w[0])?;
    if call.has(4) && call.shape(4)? != [x[0], offset_groups * w[2] * w[3], h.output, v.output] {
        return Err("its mask has the wrong shape".to_owned());
    }
    if (h.before, v.before) != (h.after, v.after) {
        return Err("padding that differs before and after is not supported here".to_owned());
    }
    let options = DeformConvOptions::new(
        [h.stride, v.stride],
        [h.before, v.before],
        [h.dilation, v.dilation],
        groups,
        offset_groups,
    );
    let (x, weight, offset) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let (bias, mask) = (call.optional_float(3)?, call.optional_float(4)?);
    Ok(vec![Value::Float(Dispatch::deform_conv2d(x, offset, weight, mask, bias, options))])
}
