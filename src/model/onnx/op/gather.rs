//! Elements by index, and indices of elements.

use super::call::{Call, axis};
use super::slice::pick;
use super::{Operator, Outcome};
use crate::model::onnx::host::{HostTensor, Values, strides};
use crate::model::onnx::value::{Value, check_size, reshape, upload_index};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Int, Slice, Tensor};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Gather", gather).with_settings(&[1]),
    Operator::new("GatherElements", gather_elements).with_settings(&[1]),
    Operator::new("GatherND", gather_nd).with_settings(&[1]),
    Operator::new("NonZero", non_zero),
    Operator::new("Compress", compress),
    Operator::new("TopK", top_k).with_settings(&[1]),
    Operator::new("CumSum", |call| cumulate(call, false)).with_settings(&[1]),
    Operator::new("CumProd", |call| cumulate(call, true)).with_settings(&[1]),
];

/// Indices counted from the end if negative, refused if they leave `length`.
pub(super) fn wrapped(indices: &[i64], length: usize) -> Result<Vec<usize>, String> {
    indices
        .iter()
        .map(|&i| {
            let from_start = if i < 0 { i.saturating_add(length as i64) } else { i };
            usize::try_from(from_start).ok().filter(|&i| i < length)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| format!("an index leaves {length} elements"))
}

fn gather(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", 0), shape.len())?;
    let indices = call.host(1)?;
    let index = wrapped(&indices.to_ints(), shape[dim])?;
    let value = call.take(0)?;
    let picked = pick(value, dim, &index, call)?;
    let mut output = shape[..dim].to_vec();
    output.extend(&indices.shape);
    output.extend(&shape[dim + 1..]);
    Ok(vec![match picked {
        Value::Host(h) => Value::Host(h.reshaped(output)),
        other => Value::Float(reshape(other.into_float(call.device), output.as_slice().into())),
    }])
}

/// Elements at flat places, in a new shape.
fn at(value: Value, places: Vec<usize>, shape: Vec<usize>, call: &Call<'_>) -> Result<Value, String> {
    check_size(&shape)?;
    Ok(match value {
        Value::Float(t) => {
            let count = t.shape().num_elements();
            let index = upload_index(places.into_iter().map(|i| i as i64).collect(), call.device);
            let picked = Dispatch::float_select(reshape(t, [count].into()), 0, index);
            Value::Float(reshape(picked, shape.as_slice().into()))
        }
        other => Value::Host(other.into_host()?.take(shape, places.into_iter().map(Some))),
    })
}

/// The flat places, in a tensor of `shape`, of elements that lie where `indices` has them but for dimension `dim`.
pub(super) fn element_places(shape: &[usize], dim: usize, indices: &HostTensor) -> Result<Vec<usize>, String> {
    if indices.shape.len() != shape.len() {
        return Err(format!("its indices have shape {:?}, and {} dimensions are needed", indices.shape, shape.len()));
    }
    if (0..shape.len()).any(|a| a != dim && indices.shape[a] > shape[a]) {
        return Err(format!("its indices of shape {:?} leave {shape:?}", indices.shape));
    }
    let (own, theirs) = (strides(shape), strides(&indices.shape));
    let index = wrapped(&indices.to_ints(), shape[dim])?;
    let place = |(i, &at): (usize, &usize)| {
        let coordinate = |a: usize| if a == dim { at } else { i / theirs[a] % indices.shape[a] };
        (0..shape.len()).map(|a| coordinate(a) * own[a]).sum()
    };
    Ok(index.iter().enumerate().map(place).collect())
}

fn gather_elements(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", 0), shape.len())?;
    let indices = call.host(1)?;
    let places = element_places(&shape, dim, &indices)?;
    let value = call.take(0)?;
    Ok(vec![at(value, places, indices.shape, call)?])
}

/// Where the slices begin that GatherND and ScatterND speak of, and how long they are.
pub(super) fn slice_places(
    shape: &[usize],
    batch: usize,
    indices: &HostTensor,
) -> Result<(Vec<usize>, usize, Vec<usize>), String> {
    let depth = *indices.shape.last().ok_or("its indices are a scalar")?;
    if batch + depth > shape.len() || batch + 1 > indices.shape.len() || indices.shape[..batch] != shape[..batch] {
        return Err(format!("its indices of shape {:?} do not fit {shape:?}", indices.shape));
    }
    let own = strides(shape);
    let tuples = &indices.shape[batch..indices.shape.len() - 1];
    let per_batch: usize = tuples.iter().product();
    let values = indices.to_ints();
    let mut places = Vec::with_capacity(values.len() / depth.max(1));
    let count: usize = indices.shape[..indices.shape.len() - 1].iter().product();
    let batch_length: usize = shape[batch..].iter().product();
    for i in 0..count {
        let mut place = i / per_batch.max(1) * batch_length;
        for d in 0..depth {
            place += wrapped(&values[i * depth + d..=i * depth + d], shape[batch + d])?[0] * own[batch + d];
        }
        places.push(place);
    }
    let rest = shape[batch + depth..].to_vec();
    Ok((places, rest.iter().product(), rest))
}

fn gather_nd(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let batch = usize::try_from(call.int("batch_dims", 0)).map_err(|_| "batch_dims is negative")?;
    let indices = call.host(1)?;
    let (starts, length, rest) = slice_places(&shape, batch, &indices)?;
    let places = starts.into_iter().flat_map(|s| s..s + length).collect();
    let mut output = indices.shape[..indices.shape.len() - 1].to_vec();
    output.extend(rest);
    let value = call.take(0)?;
    Ok(vec![at(value, places, output, call)?])
}

fn non_zero(call: &mut Call<'_>) -> Outcome {
    let x = call.host(0)?;
    let found: Vec<usize> = x.to_bools().iter().enumerate().filter(|(_, v)| **v).map(|(i, _)| i).collect();
    let own = strides(&x.shape);
    let coordinates = (0..x.shape.len()).flat_map(|a| found.iter().map(move |i| (a, *i)));
    let values = coordinates.map(|(a, i)| (i / own[a] % x.shape[a]) as i64).collect();
    Ok(vec![Value::Host(HostTensor::ints([x.shape.len(), found.len()], values))])
}

fn compress(call: &mut Call<'_>) -> Outcome {
    let kept: Vec<usize> =
        call.host(1)?.to_bools().into_iter().enumerate().filter(|(_, keep)| *keep).map(|(i, _)| i).collect();
    let shape = call.shape(0)?;
    let dim = call.node.attributes.int("axis").map(|a| axis(a, shape.len())).transpose()?;
    let length = dim.map_or_else(|| shape.iter().product(), |d| shape[d]);
    if kept.iter().any(|&i| i >= length) {
        return Err(format!("its condition is longer than {length}"));
    }
    let value = call.take(0)?;
    match dim {
        Some(dim) => Ok(vec![pick(value, dim, &kept, call)?]),
        None => {
            let count = kept.len();
            Ok(vec![at(value, kept, vec![count], call)?])
        }
    }
}

/// The order of each run along the middle dimension, equal elements as they stood.
fn sorted_places(values: &[f64], [outer, length, inner]: [usize; 3], k: usize, largest: bool) -> Vec<usize> {
    let mut places = vec![0; outer * k * inner];
    for o in 0..outer {
        for i in 0..inner {
            let value = |at: usize| values[(o * length + at) * inner + i];
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by(|&a, &b| {
                let by_value = value(a).total_cmp(&value(b));
                if largest { by_value.reverse() } else { by_value }
            });
            for (rank, &at) in order[..k].iter().enumerate() {
                places[(o * k + rank) * inner + i] = at;
            }
        }
    }
    places
}

fn top_k(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", -1), shape.len())?;
    let k = match call.node.attributes.int("k") {
        Some(k) => k,
        None => *call.ints(1)?.first().ok_or("it has no k")?,
    };
    let k =
        usize::try_from(k).ok().filter(|&k| k <= shape[dim]).ok_or_else(|| format!("k is {k} of {}", shape[dim]))?;
    let value = call.take(0)?;
    let host = value.clone().into_host()?;
    let values: Vec<f64> = match &host.values {
        Values::Int(v) => v.iter().map(|&v| v as f64).collect(),
        _ => host.to_floats().into_iter().map(f64::from).collect(),
    };
    let sizes = [shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product()];
    let order = sorted_places(&values, sizes, k, call.int("largest", 1) != 0);
    let mut output = shape.clone();
    output[dim] = k;
    let [_, length, inner] = sizes;
    let flat = order.iter().enumerate().map(|(i, &at)| (i / (k * inner).max(1) * length + at) * inner + i % inner);
    let picked = at(value, flat.collect(), output.clone(), call)?;
    let indices = HostTensor::ints(output, order.into_iter().map(|i| i as i64).collect());
    Ok(vec![picked, Value::Host(indices)])
}

/// Sums, or products, of all up to each element along an axis.
fn cumulate(call: &mut Call<'_>, product: bool) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(*call.ints(1)?.first().ok_or("it has no axis")?, shape.len())?;
    let (exclusive, reverse) = (call.node.attributes.flag("exclusive"), call.node.attributes.flag("reverse"));
    match call.take(0)? {
        Value::Host(mut h) => {
            let own = strides(&shape);
            let lines = (0..h.len()).filter(|i| (i / own[dim]).is_multiple_of(shape[dim]));
            fn run<T: Copy>(v: &mut [T], line: &[usize], exclusive: bool, first: T, op: impl Fn(T, T) -> T) {
                let mut total = first;
                for &i in line {
                    let next = op(total, v[i]);
                    v[i] = if exclusive { total } else { next };
                    total = next;
                }
            }
            for start in lines {
                let mut line: Vec<usize> = (0..shape[dim]).map(|k| start + k * own[dim]).collect();
                if reverse {
                    line.reverse();
                }
                match &mut h.values {
                    Values::Float(v) if product => run(v, &line, exclusive, 1.0, |a, b| a * b),
                    Values::Float(v) => run(v, &line, exclusive, 0.0, |a, b| a + b),
                    Values::Int(v) if product => run(v, &line, exclusive, 1, i64::wrapping_mul),
                    Values::Int(v) => run(v, &line, exclusive, 0, i64::wrapping_add),
                    Values::Bool(_) => return Err("its input is bool".to_owned()),
                }
            }
            Ok(vec![Value::Host(h)])
        }
        value => {
            let x = value.into_float(call.device);
            let flipped = |t: DispatchTensor| if reverse { Dispatch::float_flip(t, &[dim]) } else { t };
            let mut x = flipped(x);
            if exclusive {
                // One step behind: the neutral element in front, the last left out.
                let mut fill = vec![(0, 0); shape.len()];
                fill[dim] = (1, 0);
                let neutral = if product { 1.0 } else { 0.0 };
                x = Dispatch::float_pad(x, &fill, burn::tensor::ops::PadMode::Constant(neutral));
                let slices: Vec<Slice> = shape.iter().map(|&n| Slice::from(0..n)).collect();
                x = Dispatch::float_slice(x, &slices);
            }
            let y = if product { Dispatch::float_cumprod(x, dim) } else { Dispatch::float_cumsum(x, dim) };
            Ok(vec![Value::Float(flipped(y))])
        }
    }
}

/// Index of the largest or smallest along `dim`, the first or last of equals, read to the host.
pub(super) fn arg_extreme(t: DispatchTensor, dim: usize, smallest: bool) -> Result<Vec<i64>, String> {
    let shape: Vec<usize> = t.shape().iter().copied().collect();
    let sizes = [shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product::<usize>()];
    let flat = Tensor::<3>::from_dispatch(reshape(t, sizes.into())).without_autodiff();
    let index: Tensor<3, Int> = if smallest { flat.argmin(1) } else { flat.argmax(1) };
    index.try_into_vec_as::<i64>().map_err(|e| e.to_string())
}
