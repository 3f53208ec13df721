//! Elements that are written by index.

use super::call::{Call, axis};
use super::gather::{element_places, slice_places, wrapped};
use super::shape::sizes;
use super::window::{kernel, pads, strides_and_dilations};
use super::{Operator, Outcome};
use crate::model::onnx::host::{Values, strides};
use crate::model::onnx::value::{Value, check_size, reshape, upload, upload_index};
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("ScatterElements", scatter_elements).with_settings(&[1]),
    Operator::new("Scatter", scatter_elements).with_settings(&[1]),
    Operator::new("ScatterND", scatter_nd).with_settings(&[1]),
    Operator::new("MaxUnpool", max_unpool).with_settings(&[1, 2]),
];

/// Writes `updates` to flat places of `data`, or combines them with what is there.
fn scatter(call: &mut Call<'_>, places: Vec<usize>, shape: &[usize]) -> Outcome {
    let how = call.node.attributes.text("reduction").unwrap_or("none").to_owned();
    let (data, updates) = (call.take(0)?, call.take(2)?);
    if updates.shape().iter().product::<usize>() != places.len() {
        return Err(format!("{} updates for {} places", updates.shape().iter().product::<usize>(), places.len()));
    }
    if data.is_float() && matches!(how.as_str(), "none" | "add") && !places.is_empty() {
        return Ok(vec![scatter_floats(call, data, updates, places, shape, how == "add")]);
    }
    let (mut data, updates) = (data.into_host()?, updates.into_host()?);
    fn write<T: Copy>(data: &mut [T], updates: &[T], places: &[usize], combine: impl Fn(T, T) -> T) {
        for (&place, &update) in places.iter().zip(updates) {
            data[place] = combine(data[place], update);
        }
    }
    match (&mut data.values, &updates.values) {
        (Values::Float(d), Values::Float(u)) => match how.as_str() {
            "none" => write(d, u, &places, |_, b| b),
            "add" => write(d, u, &places, |a, b| a + b),
            "mul" => write(d, u, &places, |a, b| a * b),
            "max" => write(d, u, &places, f32::max),
            "min" => write(d, u, &places, f32::min),
            other => return Err(format!("reduction is {other:?}")),
        },
        (Values::Int(d), Values::Int(u)) => match how.as_str() {
            "none" => write(d, u, &places, |_, b| b),
            "add" => write(d, u, &places, i64::wrapping_add),
            "mul" => write(d, u, &places, i64::wrapping_mul),
            "max" => write(d, u, &places, i64::max),
            "min" => write(d, u, &places, i64::min),
            other => return Err(format!("reduction is {other:?}")),
        },
        (Values::Bool(d), Values::Bool(u)) => write(d, u, &places, |_, b| b),
        _ => return Err("its data and updates differ in type".to_owned()),
    }
    Ok(vec![Value::Host(data)])
}

/// Differentiable in both: what is overwritten is set to zero, then the updates are added.
fn scatter_floats(
    call: &Call<'_>,
    data: Value,
    updates: Value,
    places: Vec<usize>,
    shape: &[usize],
    add: bool,
) -> Value {
    use burn::tensor::IndexingUpdateOp;
    let (mut places, mut updates) = (places, updates.into_float(call.device));
    let count = shape.iter().product::<usize>();
    updates = reshape(updates, [places.len()].into());
    let mut data = reshape(data.into_float(call.device), [count].into());
    if !add {
        // Of several updates of one place, the last counts.
        let mut last = std::collections::HashMap::new();
        for (i, &place) in places.iter().enumerate() {
            last.insert(place, i);
        }
        if last.len() < places.len() {
            let mut kept: Vec<(usize, usize)> = last.into_iter().collect();
            kept.sort_unstable();
            let which = upload_index(kept.iter().map(|&(_, i)| i as i64).collect(), call.device);
            updates = Dispatch::float_select(updates, 0, which);
            places = kept.into_iter().map(|(p, _)| p).collect();
        }
        let mut keep = vec![1.0; count];
        places.iter().for_each(|&p| keep[p] = 0.0);
        data = Dispatch::float_mul(data, upload(keep, &[count], call.device));
    }
    let index = upload_index(places.into_iter().map(|p| p as i64).collect(), call.device);
    let data = Dispatch::float_select_assign(data, 0, index, updates, IndexingUpdateOp::Add);
    Value::Float(reshape(data, shape.into()))
}

fn scatter_elements(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", 0), shape.len())?;
    let indices = call.host(1)?;
    let places = element_places(&shape, dim, &indices)?;
    scatter(call, places, &shape)
}

fn scatter_nd(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let indices = call.host(1)?;
    let (starts, length, _) = slice_places(&shape, 0, &indices)?;
    let places = starts.into_iter().flat_map(|s| s..s + length).collect();
    scatter(call, places, &shape)
}

/// Whether each index, flat in `output`, lies in the window from which a MaxPool made its value.
fn in_windows(indices: &[i64], shape: &[usize], output: &[usize], [kernel, steps, before]: [&[usize]; 3]) -> bool {
    let (own, out) = (strides(shape), strides(output));
    let at = |i: usize, of: &[usize], sides: &[usize], axis: usize| i / of[axis] % sides[axis];
    shape[..2] == output[..2]
        && indices.iter().enumerate().all(|(i, &index)| {
            let Ok(index) = usize::try_from(index) else { return false };
            let same_plane = index / out[1] == i / own[1];
            same_plane
                && (0..kernel.len()).all(|k| {
                    let place = at(index, &out, output, k + 2) + before[k];
                    let start = at(i, &own, shape, k + 2) * steps[k];
                    (start..start + kernel[k]).contains(&place)
                })
        })
}

/// Each value where a MaxPool took it from, zeros elsewhere. Indices are of the output that is asked for, as a MaxPool in the same
/// graph gives them, if they can be; else of the smallest one, and a larger output is filled up behind, as ONNX's own test has it.
fn max_unpool(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let axes = shape.len().saturating_sub(2);
    let attributes = &call.node.attributes;
    let (kernel, pads) = (kernel(attributes, axes)?, pads(attributes, axes)?);
    let (strides, _) = strides_and_dilations(attributes, axes)?;
    let mut pooled = shape.clone();
    for i in 0..axes {
        let length = (shape[i + 2].max(1) - 1) * strides[i] + kernel[i];
        pooled[i + 2] = length.checked_sub(pads[i].0 + pads[i].1).ok_or("its pads leave nothing")?;
    }
    let indices = call.ints(1)?;
    let output = if call.has(2) { sizes(&call.ints(2)?)? } else { pooled.clone() };
    let before: Vec<usize> = pads.iter().map(|&(before, _)| before).collect();
    if output.len() == shape.len()
        && indices.len() == shape.iter().product::<usize>()
        && axes > 0
        && !shape.contains(&0)
    {
        check_size(&output)?;
        if !output.contains(&0) && in_windows(&indices, &shape, &output, [&kernel, &strides, &before]) {
            pooled.clone_from(&output);
        }
    }
    let count = check_size(&pooled)?;
    let places = wrapped(&indices, count)?;
    if output.len() != pooled.len() || output.iter().zip(&pooled).any(|(o, p)| o < p) || places.is_empty() {
        return Err(format!("it fills {pooled:?} and should make {output:?}"));
    }
    check_size(&output)?;
    let updates = call.take(0)?;
    if updates.shape().iter().product::<usize>() != places.len() {
        return Err("its values and indices differ in number".to_owned());
    }
    let zeros = Value::Float(upload(vec![0.0; count], &[count], call.device));
    let filled = scatter_floats(call, zeros, updates, places, &pooled, false);
    let fill: Vec<(usize, usize)> = output.iter().zip(&pooled).map(|(o, p)| (0, o - p)).collect();
    if fill.iter().all(|&f| f == (0, 0)) {
        return Ok(vec![filled]);
    }
    let y = filled.into_float(call.device);
    Ok(vec![Value::Float(Dispatch::float_pad(y, &fill, burn::tensor::ops::PadMode::Constant(0.0)))])
}
