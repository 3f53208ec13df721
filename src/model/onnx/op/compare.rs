//! Comparisons and logic: masks on the device where floats are compared, on the host otherwise; and the choice by mask.

use super::arithmetic::{expand, to_rank};
use super::call::Call;
use super::{Operator, Outcome};
use crate::model::onnx::host::{ElementType, HostTensor, Values, broadcast_shapes};
use crate::model::onnx::value::{Value, check_size, reshape, reshape_mask};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Bool, Device, Shape, Tensor};
use std::cmp::Ordering;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Equal", |call| compare(call, |a, b| a.equal(b), |o| o == Some(Ordering::Equal))),
    Operator::new("Greater", |call| compare(call, |a, b| a.greater(b), |o| o == Some(Ordering::Greater))),
    Operator::new("Less", |call| compare(call, |a, b| a.lower(b), |o| o == Some(Ordering::Less))),
    Operator::new("GreaterOrEqual", |call| {
        compare(call, |a, b| a.greater_equal(b), |o| o.is_some_and(Ordering::is_ge))
    }),
    Operator::new("LessOrEqual", |call| compare(call, |a, b| a.lower_equal(b), |o| o.is_some_and(Ordering::is_le))),
    Operator::new("And", |call| logic(call, Dispatch::bool_and, |a, b| a && b)),
    Operator::new("Or", |call| logic(call, Dispatch::bool_or, |a, b| a || b)),
    Operator::new("Xor", |call| logic(call, Dispatch::bool_xor, |a, b| a != b)),
    Operator::new("Not", not),
    Operator::new("IsNaN", |call| {
        let x = call.host(0)?;
        let values = x.to_floats().into_iter().map(f32::is_nan).collect();
        Ok(vec![Value::Host(HostTensor::bools(x.shape, values))])
    }),
    Operator::new("IsInf", |call| {
        let (positive, negative) = (call.int("detect_positive", 1) != 0, call.int("detect_negative", 1) != 0);
        let x = call.host(0)?;
        let found = |v: f32| v.is_infinite() && if v > 0.0 { positive } else { negative };
        let values = x.to_floats().into_iter().map(found).collect();
        Ok(vec![Value::Host(HostTensor::bools(x.shape, values))])
    }),
    Operator::new("Where", choose),
];

fn compare(
    call: &mut Call<'_>,
    device: fn(Tensor<1>, Tensor<1>) -> Tensor<1, Bool>,
    host: fn(Option<Ordering>) -> bool,
) -> Outcome {
    let (a, b) = (call.take(0)?, call.take(1)?);
    let shape = broadcast_shapes(&a.shape(), &b.shape())?;
    let count = check_size(&shape)?;
    if let (Value::Host(a), Value::Host(b)) = (&a, &b) {
        let unsigned = a.element == ElementType::U64;
        let (a, b) = (a.broadcast(&shape), b.broadcast(&shape));
        let values = match (&a.values, &b.values) {
            (Values::Float(a), Values::Float(b)) => a.iter().zip(b).map(|(a, b)| host(a.partial_cmp(b))).collect(),
            (Values::Int(a), Values::Int(b)) => {
                let order = |(a, b): (&i64, &i64)| if unsigned { (*a as u64).cmp(&(*b as u64)) } else { a.cmp(b) };
                a.iter().zip(b).map(|pair| host(Some(order(pair)))).collect()
            }
            (Values::Bool(a), Values::Bool(b)) => a.iter().zip(b).map(|(a, b)| host(Some(a.cmp(b)))).collect(),
            _ => return Err(format!("its operands are {} and {}", a.element.name(), b.element.name())),
        };
        return Ok(vec![Value::Host(HostTensor::bools(shape, values))]);
    }
    let flat =
        |v: Value| Tensor::<1>::from_dispatch(reshape(expand(v.into_float(call.device), &shape), [count].into()));
    let mask = device(flat(a), flat(b)).into_dispatch();
    Ok(vec![Value::Mask(reshape_mask(mask, shape.as_slice().into()))])
}

/// A mask repeated to `shape`.
fn expand_mask(v: Value, shape: &[usize], device: &Device) -> DispatchTensor {
    let mask = v.into_mask(device);
    let own: Vec<usize> = mask.shape().iter().copied().collect();
    let mut longer = vec![1; shape.len() - own.len()];
    longer.extend(own);
    let mask = reshape_mask(mask, Shape::from(longer));
    if mask.shape().iter().eq(shape.iter()) { mask } else { Dispatch::bool_expand(mask, shape.into()) }
}

fn logic(
    call: &mut Call<'_>,
    device: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
    host: fn(bool, bool) -> bool,
) -> Outcome {
    let (a, b) = (call.take(0)?, call.take(1)?);
    let shape = broadcast_shapes(&a.shape(), &b.shape())?;
    check_size(&shape)?;
    if let (Value::Host(a), Value::Host(b)) = (&a, &b) {
        let (a, b) = (a.broadcast(&shape).to_bools(), b.broadcast(&shape).to_bools());
        let values = a.into_iter().zip(b).map(|(a, b)| host(a, b)).collect();
        return Ok(vec![Value::Host(HostTensor::bools(shape, values))]);
    }
    let (a, b) = (expand_mask(a, &shape, call.device), expand_mask(b, &shape, call.device));
    Ok(vec![Value::Mask(device(a, b))])
}

fn not(call: &mut Call<'_>) -> Outcome {
    Ok(vec![match call.take(0)? {
        Value::Host(x) => {
            let values = x.to_bools().into_iter().map(|v| !v).collect();
            Value::Host(HostTensor::bools(x.shape, values))
        }
        x => Value::Mask(Dispatch::bool_not(x.into_mask(call.device))),
    }])
}

fn choose(call: &mut Call<'_>) -> Outcome {
    let (mask, a, b) = (call.take(0)?, call.take(1)?, call.take(2)?);
    let shape = broadcast_shapes(&broadcast_shapes(&mask.shape(), &a.shape())?, &b.shape())?;
    check_size(&shape)?;
    if let (Value::Host(mask), Value::Host(a), Value::Host(b)) = (&mask, &a, &b) {
        let element = a.element;
        let (mask, a, b) = (mask.broadcast(&shape).to_bools(), a.broadcast(&shape), b.broadcast(&shape));
        fn pick<T: Copy>(mask: &[bool], a: &[T], b: &[T]) -> Vec<T> {
            mask.iter().zip(a.iter().zip(b)).map(|(&m, (&a, &b))| if m { a } else { b }).collect()
        }
        let values = match (&a.values, &b.values) {
            (Values::Float(a), Values::Float(b)) => Values::Float(pick(&mask, a, b)),
            (Values::Int(a), Values::Int(b)) => Values::Int(pick(&mask, a, b)),
            (Values::Bool(a), Values::Bool(b)) => Values::Bool(pick(&mask, a, b)),
            _ => return Err(format!("its choices are {} and {}", a.element.name(), b.element.name())),
        };
        return Ok(vec![Value::Host(HostTensor { element, shape, values })]);
    }
    if !a.is_float() || !b.is_float() {
        // Whole numbers chosen by what the device computed.
        let read = |v: Value| v.into_host().map(|h| Some(Value::Host(h)));
        call.inputs = vec![read(mask)?, read(a)?, read(b)?];
        return choose(call);
    }
    let mask = expand_mask(mask, &shape, call.device);
    if let Some(a) = a.scalar() {
        let b = expand(b.into_float(call.device), &shape);
        return Ok(vec![Value::Float(Dispatch::float_mask_fill(b, mask, a.into()))]);
    }
    let (a, b) = (a.into_float(call.device), to_rank(b.into_float(call.device), shape.len()));
    Ok(vec![Value::Float(Dispatch::float_mask_where(expand(b, &shape), mask, expand(a, &shape)))])
}
