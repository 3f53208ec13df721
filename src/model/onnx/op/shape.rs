//! Shapes, and what only moves elements.

use super::arithmetic::expand;
use super::call::{Call, axis};
use super::{Operator, Outcome};
use crate::model::onnx::attribute::Attribute;
use crate::model::onnx::host::{ElementType, HostTensor, broadcast_shapes, positions, strides};
use crate::model::onnx::value::{Value, check_host_size, check_size, count, reshape};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Identity", |call| call.take(0).map(|v| vec![v])),
    Operator::new("Dropout", dropout).with_settings(&[1, 2]),
    Operator::new("Cast", |call| {
        let to = call.int("to", 0);
        let element = i32::try_from(to).ok().and_then(ElementType::from_onnx);
        cast(call, element.ok_or_else(|| format!("it casts to the element type {to}, which is not supported"))?)
    }),
    Operator::new("CastLike", |call| {
        let element = call.take(1)?.element();
        cast(call, element)
    }),
    Operator::new("Shape", |call| {
        let shape: Vec<i64> = call.shape(0)?.into_iter().map(|d| d as i64).collect();
        let clamp = |v: i64| (if v < 0 { v + shape.len() as i64 } else { v }).clamp(0, shape.len() as i64) as usize;
        let (start, end) = (clamp(call.int("start", 0)), clamp(call.int("end", shape.len() as i64)));
        let part = shape.get(start..end.max(start)).unwrap_or_default().to_vec();
        Ok(vec![Value::Host(HostTensor::ints([part.len()], part))])
    }),
    Operator::new("Size", |call| {
        let count = call.shape(0)?.iter().product::<usize>() as i64;
        Ok(vec![Value::Host(HostTensor::ints([], vec![count]))])
    }),
    Operator::new("Reshape", reshaped),
    Operator::new("Flatten", |call| {
        let shape = call.shape(0)?;
        let given = call.int("axis", 1);
        let dim = if given == shape.len() as i64 { shape.len() } else { axis(given, shape.len())? };
        into_shape(call, vec![shape[..dim].iter().product(), shape[dim..].iter().product()])
    }),
    Operator::new("Squeeze", squeeze),
    Operator::new("Unsqueeze", unsqueeze),
    Operator::new("Transpose", |call| {
        let rank = call.shape(0)?.len();
        let order = match call.node.attributes.ints("perm") {
            Some(order) => order.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).rev().collect(),
        };
        let value = call.take(0)?;
        Ok(vec![transpose(value, &order)?])
    }),
    Operator::new("Expand", |call| {
        let wanted: Vec<usize> = sizes(&call.ints(1)?)?;
        let shape = broadcast_shapes(&call.shape(0)?, &wanted)?;
        let value = call.take(0)?;
        check_grown(&value, &shape)?;
        Ok(vec![moved(value, |h| h.broadcast(&shape), |t| expand(t, &shape))?])
    }),
    Operator::new("Tile", tile),
    Operator::new("DepthToSpace", depth_to_space),
    Operator::new("SpaceToDepth", space_to_depth),
    Operator::new("Trilu", trilu),
];

/// What only moves elements, on the host or on the device. Masks are moved on the host.
pub(super) fn moved(
    value: Value,
    host: impl FnOnce(&HostTensor) -> HostTensor,
    device: impl FnOnce(DispatchTensor) -> DispatchTensor,
) -> Result<Value, String> {
    Ok(match value {
        Value::Float(t) => Value::Float(device(t)),
        Value::Host(h) => Value::Host(host(&h)),
        mask @ Value::Mask(_) => Value::Host(host(&mask.into_host()?)),
    })
}

/// Refuses to repeat `value` to a `shape` that is too large for where it lies.
fn check_grown(value: &Value, shape: &[usize]) -> Result<usize, String> {
    if matches!(value, Value::Float(_)) { check_size(shape) } else { check_host_size(shape) }
}

/// Sizes of dimensions.
pub(super) fn sizes(values: &[i64]) -> Result<Vec<usize>, String> {
    values.iter().map(|&v| usize::try_from(v).map_err(|_| format!("a size of {v} in {values:?}"))).collect()
}

/// Input 0 in another shape of as many elements.
fn into_shape(call: &mut Call<'_>, shape: Vec<usize>) -> Outcome {
    let from = call.shape(0)?;
    if count(&shape)? != from.iter().product::<usize>() {
        return Err(format!("shape {from:?} cannot become {shape:?}"));
    }
    Ok(vec![match call.take(0)? {
        Value::Float(t) => Value::Float(reshape(t, shape.as_slice().into())),
        Value::Mask(t) => Value::Mask(crate::model::onnx::value::reshape_mask(t, shape.as_slice().into())),
        Value::Host(h) => Value::Host(h.reshaped(shape)),
    }])
}

fn dropout(call: &mut Call<'_>) -> Outcome {
    let ratio = match call.optional_scalar(1)? {
        Some(ratio) => ratio,
        None => call.attribute("ratio", 0.5),
    };
    if call.has(2) && ratio != 0.0 && call.host(2)?.to_bools().contains(&true) {
        return Err("it is in training mode and drops values at random; export the model in evaluation mode".to_owned());
    }
    let value = call.take(0)?;
    // In inference nothing is dropped, whatever the ratio.
    let mask = HostTensor::bools(value.shape(), vec![true; count(&value.shape())?]);
    let wants_mask = call.node.outputs.get(1).is_some_and(Option::is_some);
    Ok(if wants_mask { vec![value, Value::Host(mask)] } else { vec![value] })
}

fn cast(call: &mut Call<'_>, element: ElementType) -> Outcome {
    Ok(vec![match call.take(0)? {
        Value::Host(h) => Value::Host(h.cast(element)),
        value if element.is_float() => Value::Float(value.into_float(call.device)),
        mask @ Value::Mask(_) if element == ElementType::Bool => mask,
        value if element == ElementType::Bool => Value::Mask(value.into_mask(call.device)),
        value => Value::Host(value.into_host()?.cast(element)),
    }])
}

fn reshaped(call: &mut Call<'_>) -> Outcome {
    let wanted = call.ints_of("shape", 1)?.ok_or("it has no shape")?;
    let from = call.shape(0)?;
    let copy_zeros = !call.node.attributes.flag("allowzero");
    let mut shape = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (i, &d) in wanted.iter().enumerate() {
        shape.push(match d {
            0 if copy_zeros => *from.get(i).ok_or_else(|| format!("shape {from:?} cannot become {wanted:?}"))?,
            -1 if rest.is_none() => {
                rest = Some(i);
                1
            }
            d => usize::try_from(d).map_err(|_| format!("shape {from:?} cannot become {wanted:?}"))?,
        });
    }
    if let Some(i) = rest {
        let (all, known) = (from.iter().product::<usize>(), count(&shape)?);
        if known == 0 || all % known != 0 {
            return Err(format!("shape {from:?} cannot become {wanted:?}"));
        }
        shape[i] = all / known;
    }
    into_shape(call, shape)
}

fn squeeze(call: &mut Call<'_>) -> Outcome {
    let from = call.shape(0)?;
    let dropped = match call.ints_of("axes", 1)? {
        Some(axes) => axes.iter().map(|&a| axis(a, from.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..from.len()).filter(|&i| from[i] == 1).collect(),
    };
    if let Some(&i) = dropped.iter().find(|&&i| from[i] != 1) {
        return Err(format!("dimension {i} of {from:?} is not 1"));
    }
    let shape = (0..from.len()).filter(|i| !dropped.contains(i)).map(|i| from[i]).collect();
    into_shape(call, shape)
}

fn unsqueeze(call: &mut Call<'_>) -> Outcome {
    let from = call.shape(0)?;
    let axes = call.ints_of("axes", 1)?.ok_or("it has no axes")?;
    let rank = from.len() + axes.len();
    let new = axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut old = from.iter().copied();
    let shape: Vec<usize> = (0..rank).map(|i| if new.contains(&i) { 1 } else { old.next().unwrap_or(1) }).collect();
    into_shape(call, shape)
}

/// Dimensions in another order.
pub(super) fn transpose(value: Value, order: &[usize]) -> Result<Value, String> {
    let from = value.shape();
    let mut seen = vec![false; from.len()];
    order.iter().for_each(|&a| seen[a] = true);
    if order.len() != from.len() || seen.contains(&false) {
        return Err(format!("{order:?} is no order of {} dimensions", from.len()));
    }
    if order.iter().enumerate().all(|(i, &a)| i == a) {
        return Ok(value);
    }
    let host = |h: &HostTensor| {
        let own = strides(&from);
        let shape: Vec<usize> = order.iter().map(|&a| from[a]).collect();
        let steps: Vec<usize> = order.iter().map(|&a| own[a]).collect();
        h.take(shape.clone(), positions(&shape, &steps, 0).map(Some))
    };
    moved(value, host, |t| Dispatch::float_permute(t, order))
}

fn tile(call: &mut Call<'_>) -> Outcome {
    let from = call.shape(0)?;
    let repeats = if call.node.opset < 6 { vec![] } else { sizes(&call.ints(1)?)? };
    if repeats.len() != from.len() {
        return Err(format!("{} repeats for {} dimensions", repeats.len(), from.len()));
    }
    let shape: Vec<usize> = from.iter().zip(&repeats).map(|(d, r)| d.saturating_mul(*r)).collect();
    let value = call.take(0)?;
    check_grown(&value, &shape)?;
    let host = |h: &HostTensor| {
        let (own, out) = (strides(&from), strides(&shape));
        let count: usize = shape.iter().product();
        let place = |i: usize| (0..from.len()).map(|a| i / out[a] % shape[a] % from[a] * own[a]).sum();
        h.take(shape.clone(), (0..count).map(|i| Some(place(i))))
    };
    let device = |t| {
        let repeated = repeats.iter().enumerate().filter(|(_, r)| **r != 1);
        repeated.fold(t, |t, (dim, &times)| Dispatch::float_repeat_dim(t, dim, times))
    };
    Ok(vec![moved(value, host, device)?])
}

fn block_size(call: &Call<'_>) -> Result<usize, String> {
    usize::try_from(call.int("blocksize", 0)).ok().filter(|&b| b > 0).ok_or_else(|| "blocksize is not positive".into())
}

fn depth_to_space(call: &mut Call<'_>) -> Outcome {
    let ([n, c, h, w], b) = (call.dims::<4>(0)?, block_size(call)?);
    if c % (b * b) != 0 {
        return Err(format!("{c} channels do not divide into blocks of {b}×{b}"));
    }
    let depth = c / (b * b);
    let column_first = call.node.attributes.text("mode") == Some("CRD");
    let (split, order): ([usize; 6], [usize; 6]) = if column_first {
        ([n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3])
    } else {
        ([n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
    };
    regroup(call, &split, &order, vec![n, depth, h * b, w * b])
}

fn space_to_depth(call: &mut Call<'_>) -> Outcome {
    let ([n, c, h, w], b) = (call.dims::<4>(0)?, block_size(call)?);
    if h % b != 0 || w % b != 0 {
        return Err(format!("an image of {w}×{h} does not divide into blocks of {b}×{b}"));
    }
    let channel_first = call.node.attributes.text("mode") == Some("CRD");
    let order = if channel_first { [0, 1, 3, 5, 2, 4] } else { [0, 3, 5, 1, 2, 4] };
    regroup(call, &[n, c, h / b, b, w / b, b], &order, vec![n, c * b * b, h / b, w / b])
}

/// Reshaped, dimensions reordered, reshaped again.
fn regroup(call: &mut Call<'_>, split: &[usize], order: &[usize], shape: Vec<usize>) -> Outcome {
    let parts = into_shape(call, split.to_vec())?;
    let part = parts.into_iter().next().ok_or("it has no input")?;
    call.inputs[0] = Some(transpose(part, order)?);
    into_shape(call, shape)
}

fn trilu(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let [.., rows, columns] = shape[..] else { return Err("it needs a matrix".to_owned()) };
    let k = if call.has(1) { call.ints(1)?.first().copied().unwrap_or(0) } else { 0 };
    let upper = call.int("upper", 1) != 0;
    let keep = |r: usize, c: usize| {
        let off = c as i64 - r as i64;
        if upper { off >= k } else { off <= k }
    };
    match call.take(0)? {
        Value::Host(h) => {
            let plane = rows * columns;
            let place = |i: usize| keep(i % plane / columns, i % columns).then_some(i);
            Ok(vec![Value::Host(h.take(shape.clone(), (0..h.len()).map(place)))])
        }
        value => {
            let mask = (0..rows * columns).map(|i| f32::from(u8::from(keep(i / columns, i % columns)))).collect();
            let mut lead = vec![1; shape.len() - 2];
            lead.extend([rows, columns]);
            let mask = crate::model::onnx::value::upload(mask, &lead, call.device);
            Ok(vec![Value::Float(Dispatch::float_mul(value.into_float(call.device), mask))])
        }
    }
}

/// Whether an attribute is a tensor, for those who make constants.
pub(super) fn tensor(attribute: Option<&Attribute>) -> Option<&HostTensor> {
    match attribute {
        Some(Attribute::Tensor(t)) => Some(t),
        _ => None,
    }
}
