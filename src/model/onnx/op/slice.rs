//! Parts of tensors, and tensors of parts.

use super::call::{Call, axis};
use super::shape::{moved, sizes};
use super::{Operator, Outcome};
use crate::kernel::{Axis, Mix};
use crate::model::onnx::host::{HostTensor, Values, positions, strides};
use crate::model::onnx::value::{Value, check_size, upload_index};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{Slice, Tensor};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Concat", concat),
    Operator::new("Split", split).with_settings(&[1]),
    Operator::new("Slice", slice),
];

fn concat(call: &mut Call<'_>) -> Outcome {
    let count = call.inputs.len();
    let first = call.shape(0)?;
    let dim = axis(call.int("axis", 1), first.len())?;
    let mut length = 0;
    for i in 0..count {
        let shape = call.shape(i)?;
        let fits = shape.len() == first.len() && (0..first.len()).all(|a| a == dim || shape[a] == first[a]);
        if !fits {
            return Err(format!("shapes {first:?} and {shape:?} do not join along dimension {dim}"));
        }
        length += shape[dim];
    }
    let mut shape = first;
    shape[dim] = length;
    check_size(&shape)?;
    if (0..count).all(|i| call.input(i).is_ok_and(Value::is_float)) && !call.on_host() {
        let mut parts = (0..count).map(|i| call.float(i)).collect::<Result<Vec<_>, _>>()?;
        let parts = if count == 1 {
            vec![Value::Float(parts.remove(0))]
        } else {
            vec![Value::Float(Dispatch::float_cat(parts, dim))]
        };
        return Ok(parts);
    }
    let parts = (0..count).map(|i| call.host(i)).collect::<Result<Vec<_>, _>>()?;
    // One after the other as if they were one tensor, and the places in it.
    let inner: usize = shape[dim + 1..].iter().product();
    let outer: usize = shape[..dim].iter().product();
    let mut joined = parts[0].clone();
    for part in &parts[1..] {
        match (&mut joined.values, &part.values) {
            (Values::Float(a), Values::Float(b)) => a.extend(b),
            (Values::Int(a), Values::Int(b)) => a.extend(b),
            (Values::Bool(a), Values::Bool(b)) => a.extend(b),
            _ => return Err(format!("its inputs are {} and {}", joined.element.name(), part.element.name())),
        }
    }
    let mut index = Vec::with_capacity(joined.len());
    for o in 0..outer {
        let mut start = 0;
        for part in &parts {
            let run = part.shape[dim] * inner;
            index.extend((0..run).map(|i| Some(start + o * run + i)));
            start += part.len();
        }
    }
    Ok(vec![Value::Host(joined.take(shape, index.into_iter()))])
}

/// `length` elements of dimension `dim` from `start` on.
pub(super) fn narrow(value: Value, dim: usize, start: usize, length: usize) -> Result<Value, String> {
    let from = value.shape();
    if start == 0 && length == from[dim] {
        return Ok(value);
    }
    let host = |h: &HostTensor| {
        let own = strides(&from);
        let mut shape = from.clone();
        shape[dim] = length;
        let start = start * own[dim];
        h.take(shape.clone(), positions(&shape, &own, start).map(Some))
    };
    let device = |t| {
        let slices: Vec<Slice> = from
            .iter()
            .enumerate()
            .map(|(a, &n)| if a == dim { Slice::from(start..start + length) } else { Slice::from(0..n) })
            .collect();
        Dispatch::float_slice(t, &slices)
    };
    moved(value, host, device)
}

fn split(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", 0), shape.len())?;
    let length = shape[dim];
    let lengths = match call.ints_of("split", 1)? {
        Some(lengths) => sizes(&lengths)?,
        None => {
            let parts = call.int("num_outputs", call.node.outputs.len() as i64);
            let parts = usize::try_from(parts).ok().filter(|&p| p > 0).ok_or("num_outputs is not positive")?;
            let each = length.div_ceil(parts);
            (0..parts).map(|i| each.min(length.saturating_sub(i * each))).collect()
        }
    };
    if lengths.iter().sum::<usize>() != length {
        return Err(format!("parts of {lengths:?} do not make up {length}"));
    }
    let value = call.take(0)?;
    let mut start = 0;
    lengths
        .into_iter()
        .map(|part| {
            let piece = narrow(value.clone(), dim, start, part);
            start += part;
            piece
        })
        .collect()
}

fn slice(call: &mut Call<'_>) -> Outcome {
    let from = call.shape(0)?;
    let starts = call.ints_of("starts", 1)?.ok_or("it has no starts")?;
    let ends = call.ints_of("ends", 2)?.ok_or("it has no ends")?;
    let axes = call.ints_of("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.ints_of("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("its starts, ends, axes and steps differ in number".to_owned());
    }
    let mut value = call.take(0)?;
    let mut picked: Vec<(usize, Vec<usize>)> = Vec::new();
    for i in 0..starts.len() {
        let dim = axis(axes[i], from.len())?;
        let (length, step) = (from[dim] as i64, steps[i]);
        if step == 0 {
            return Err("a step is 0".to_owned());
        }
        let from_end = |v: i64| if v < 0 { v.saturating_add(length) } else { v };
        // Where a walk may begin and must end, forwards or backwards.
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let start = from_end(starts[i]).clamp(low.max(0), high.max(low.max(0)));
        let end = from_end(ends[i]).clamp(low, high);
        let count = if step > 0 { (end - start + step - 1) / step } else { (start - end - step - 1) / -step };
        let count = if length == 0 { 0 } else { count.max(0) as usize };
        value = if step == 1 {
            narrow(value, dim, start as usize, count)?
        } else {
            let index: Vec<usize> = (0..count).map(|k| (start + k as i64 * step) as usize).collect();
            picked.push((dim, index));
            continue;
        };
    }
    // Every other row and column of images, as residual networks take them, in one pass.
    let of_images = from.len() == 4
        && picked.iter().all(|(dim, index)| *dim > 1 && !index.is_empty())
        && (picked.len() == 1 || picked.len() == 2 && picked[0].0 != picked[1].0);
    if let (Value::Float(t), true) = (&value, of_images) {
        let axis = |dim: usize| {
            let length = t.shape()[dim];
            let index = picked.iter().find(|(of, _)| *of == dim).map(|(_, index)| index);
            index.map_or_else(
                || Axis::identity(length),
                |index| Axis::new(length, index.iter().map(|&i| vec![(i, 1.0)])),
            )
        };
        let mix = Mix::new(axis(2), axis(3));
        if let Ok(y) = mix.apply(Tensor::from_dispatch(t.clone())) {
            return Ok(vec![Value::Float(y.into_dispatch())]);
        }
    }
    for (dim, index) in picked {
        value = pick(value, dim, &index, call)?;
    }
    Ok(vec![value])
}

/// The elements `index` of dimension `dim`.
pub(super) fn pick(value: Value, dim: usize, index: &[usize], call: &Call<'_>) -> Result<Value, String> {
    let from = value.shape();
    let mut shape = from.clone();
    shape[dim] = index.len();
    check_size(&shape)?;
    let host = |h: &HostTensor| {
        let inner: usize = from[dim + 1..].iter().product();
        let outer: usize = from[..dim].iter().product();
        let length = from[dim];
        let run = move |o: usize, i: usize| (0..inner).map(move |k| Some((o * length + i) * inner + k));
        let places = (0..outer).flat_map(|o| index.iter().flat_map(move |&i| run(o, i)));
        h.take(shape.clone(), places)
    };
    let device =
        |t| Dispatch::float_select(t, dim, upload_index(index.iter().map(|&i| i as i64).collect(), call.device));
    moved(value, host, device)
}
