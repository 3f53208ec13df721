//! What makes tensors from settings.

use super::call::{Call, axis};
use super::shape::{sizes, tensor};
use super::{Operator, Outcome};
use crate::model::onnx::attribute::Attribute;
use crate::model::onnx::host::{ElementType, HostTensor, Values};
use crate::model::onnx::value::{Value, check_host_size};

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Constant", constant),
    Operator::new("ConstantOfShape", |call| {
        let shape = sizes(&call.ints(0)?)?;
        let count = check_host_size(&shape)?;
        let value = tensor(call.node.attributes.get("value")).cloned();
        let value = value.unwrap_or_else(|| HostTensor::floats([1], vec![0.0]));
        Ok(vec![Value::Host(value.take(shape, std::iter::repeat_n(Some(0), count)))])
    }),
    Operator::new("Range", range).with_settings(&[0, 1, 2]),
    Operator::new("EyeLike", |call| {
        let [rows, columns] = call.dims::<2>(0)?;
        let k = call.int("k", 0);
        let element = match call.node.attributes.int("dtype") {
            Some(number) => i32::try_from(number).ok().and_then(ElementType::from_onnx).ok_or("dtype is unknown")?,
            None => call.input(0)?.element(),
        };
        check_host_size(&[rows, columns])?;
        let on = |i: usize| (i % columns) as i64 - (i / columns) as i64 == k;
        let values = (0..rows * columns).map(|i| f32::from(u8::from(on(i)))).collect();
        Ok(vec![Value::Host(HostTensor::floats([rows, columns], values).cast(element))])
    }),
    Operator::new("OneHot", one_hot).with_settings(&[1, 2]),
];

fn constant(call: &mut Call<'_>) -> Outcome {
    let attributes = &call.node.attributes;
    let value = ["value", "value_float", "value_floats", "value_int", "value_ints"]
        .iter()
        .find_map(|name| attributes.get(name))
        .ok_or("it has no value that is a tensor, float or integer")?;
    Ok(vec![Value::Host(match value {
        Attribute::Tensor(t) => t.clone(),
        Attribute::Float(v) => HostTensor::floats([], vec![*v]),
        Attribute::Floats(v) => HostTensor::floats([v.len()], v.clone()),
        Attribute::Int(v) => HostTensor::ints([], vec![*v]),
        Attribute::Ints(v) => HostTensor::ints([v.len()], v.clone()),
        _ => return Err("its value is neither tensor, float nor integer".to_owned()),
    })])
}

fn range(call: &mut Call<'_>) -> Outcome {
    let ends = [call.host(0)?, call.host(1)?, call.host(2)?];
    let element = ends[0].element;
    if ends.iter().any(|e| e.len() != 1) {
        return Err("its start, limit and delta must be single values".to_owned());
    }
    if element.is_float() {
        let [start, limit, delta] = ends.map(|e| f64::from(e.to_floats()[0]));
        let count = ((limit - start) / delta).ceil().max(0.0);
        if !count.is_finite() {
            return Err(format!("it has no end from {start} to {limit} by {delta}"));
        }
        let count = check_host_size(&[count as usize])?;
        let values = (0..count).map(|i| (start + i as f64 * delta) as f32).collect();
        return Ok(vec![Value::Host(HostTensor { element, shape: vec![count], values: Values::Float(values) })]);
    }
    let [start, limit, delta] = ends.map(|e| i128::from(e.to_ints()[0]));
    if delta == 0 {
        return Err("its delta is 0".to_owned());
    }
    let count = (limit - start + delta - delta.signum()) / delta;
    let count = check_host_size(&[usize::try_from(count.max(0)).unwrap_or(usize::MAX)])?;
    let values = (0..count as i128).map(|i| (start + i * delta) as i64).collect();
    Ok(vec![Value::Host(HostTensor { element, shape: vec![count], values: Values::Int(values) })])
}

fn one_hot(call: &mut Call<'_>) -> Outcome {
    let (indices, depth, values) = (call.host(0)?, call.ints(1)?, call.host(2)?);
    let depth = sizes(&depth)?.first().copied().unwrap_or(0);
    if values.len() != 2 {
        return Err("its values must be two: off and on".to_owned());
    }
    let rank = indices.shape.len() + 1;
    let dim = axis(call.int("axis", -1), rank)?;
    let mut shape = indices.shape.clone();
    shape.insert(dim, depth);
    let count = check_host_size(&shape)?;
    let inner: usize = shape[dim + 1..].iter().product();
    let classes = indices.to_ints();
    let on = |i: usize| {
        let (outer, class, within) = (i / (inner * depth), i / inner % depth, i % inner);
        let wanted = classes[outer * inner + within];
        let wanted = if wanted < 0 { wanted + depth as i64 } else { wanted };
        wanted == class as i64
    };
    Ok(vec![Value::Host(values.take(shape, (0..count).map(|i| Some(usize::from(on(i))))))])
}
