//! Arithmetic element by element, with broadcasting: on the host where all inputs are there.

use super::call::Call;
use super::{Operator, Outcome};
use crate::model::onnx::host::{ElementType, HostTensor, Values, broadcast_shapes};
use crate::model::onnx::value::{Value, check_size, reshape};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Shape;

type Float = DispatchTensor;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("Add", |call| binary(call, &ADD)),
    Operator::new("Sub", |call| binary(call, &SUB)),
    Operator::new("Mul", |call| binary(call, &MUL)),
    Operator::new("Div", |call| binary(call, &DIV)),
    Operator::new("Pow", pow),
    Operator::new("Mod", modulo),
    Operator::new("Sum", |call| variadic(call, &ADD)),
    Operator::new("Mean", mean),
    Operator::new("Max", |call| variadic(call, &MAX)),
    Operator::new("Min", |call| variadic(call, &MIN)),
    Operator::new("Abs", |call| unary(call, Dispatch::float_abs, f64::abs)),
    Operator::new("Neg", |call| unary(call, Dispatch::float_neg, |v| -v)),
    Operator::new("Exp", |call| unary(call, Dispatch::float_exp, f64::exp)),
    Operator::new("Log", |call| unary(call, Dispatch::float_log, f64::ln)),
    Operator::new("Sqrt", |call| unary(call, Dispatch::float_sqrt, f64::sqrt)),
    Operator::new("Reciprocal", |call| unary(call, Dispatch::float_recip, f64::recip)),
    Operator::new("Floor", |call| unary(call, Dispatch::float_floor, f64::floor)),
    Operator::new("Ceil", |call| unary(call, Dispatch::float_ceil, f64::ceil)),
    Operator::new("Round", |call| unary(call, Dispatch::float_round, f64::round_ties_even)),
    Operator::new("Sign", |call| unary(call, Dispatch::float_sign, |v| if v == 0.0 { 0.0 } else { v.signum() })),
    Operator::new("Sin", |call| unary(call, Dispatch::float_sin, f64::sin)),
    Operator::new("Cos", |call| unary(call, Dispatch::float_cos, f64::cos)),
    Operator::new("Tan", |call| unary(call, Dispatch::float_tan, f64::tan)),
    Operator::new("Asin", |call| unary(call, Dispatch::float_asin, f64::asin)),
    Operator::new("Acos", |call| unary(call, Dispatch::float_acos, f64::acos)),
    Operator::new("Atan", |call| unary(call, Dispatch::float_atan, f64::atan)),
    Operator::new("Sinh", |call| unary(call, Dispatch::float_sinh, f64::sinh)),
    Operator::new("Cosh", |call| unary(call, Dispatch::float_cosh, f64::cosh)),
    Operator::new("Tanh", |call| unary(call, Dispatch::float_tanh, f64::tanh)),
    Operator::new("Asinh", |call| unary(call, Dispatch::float_asinh, f64::asinh)),
    Operator::new("Acosh", |call| unary(call, Dispatch::float_acosh, f64::acosh)),
    Operator::new("Atanh", |call| unary(call, Dispatch::float_atanh, f64::atanh)),
    Operator::new("Erf", |call| {
        let x = call.float(0)?;
        Ok(vec![Value::Float(Dispatch::float_erf(x))])
    }),
    Operator::new("Clip", clip).with_settings(&[1, 2]),
    Operator::new("BitwiseAnd", |call| bits(call, |a, b| a & b)),
    Operator::new("BitwiseOr", |call| bits(call, |a, b| a | b)),
    Operator::new("BitwiseXor", |call| bits(call, |a, b| a ^ b)),
    Operator::new("BitwiseNot", |call| {
        let x = call.host(0)?;
        let values = x.to_ints().into_iter().map(|v| x.element.wrap(!v)).collect();
        Ok(vec![Value::Host(HostTensor { values: Values::Int(values), ..x })])
    }),
    Operator::new("BitShift", |call| {
        let left = call.node.attributes.text("direction") == Some("LEFT");
        let signed = call.input(0)?.element().is_signed();
        bits(
            call,
            match (left, signed) {
                (true, _) => |a, b| a.checked_shl(b as u32).unwrap_or(0),
                // The sign moves in.
                (false, true) => |a, b| a >> if (0..64).contains(&b) { b } else { 63 },
                (false, false) => |a, b| (a as u64).checked_shr(b as u32).unwrap_or(0) as i64,
            },
        )
    }),
];

/// A tensor and a number.
type WithScalar = fn(Float, f32) -> Float;

/// One operation of two operands.
struct Binary {
    device: fn(Float, Float) -> Float,
    /// With a scalar on the right, and on the left.
    scalar: Option<[WithScalar; 2]>,
    float: fn(f32, f32) -> f32,
    /// `None`: the division by zero.
    int: fn(i64, i64) -> Option<i64>,
    unsigned: fn(u64, u64) -> Option<u64>,
}

const ADD: Binary = Binary {
    device: Dispatch::float_add,
    scalar: Some([|x, s| Dispatch::float_add_scalar(x, s.into()), |x, s| Dispatch::float_add_scalar(x, s.into())]),
    float: |a, b| a + b,
    int: |a, b| Some(a.wrapping_add(b)),
    unsigned: |a, b| Some(a.wrapping_add(b)),
};
const SUB: Binary = Binary {
    device: Dispatch::float_sub,
    scalar: Some([
        |x, s| Dispatch::float_sub_scalar(x, s.into()),
        |x, s| Dispatch::float_add_scalar(Dispatch::float_neg(x), s.into()),
    ]),
    float: |a, b| a - b,
    int: |a, b| Some(a.wrapping_sub(b)),
    unsigned: |a, b| Some(a.wrapping_sub(b)),
};
const MUL: Binary = Binary {
    device: Dispatch::float_mul,
    scalar: Some([|x, s| Dispatch::float_mul_scalar(x, s.into()), |x, s| Dispatch::float_mul_scalar(x, s.into())]),
    float: |a, b| a * b,
    int: |a, b| Some(a.wrapping_mul(b)),
    unsigned: |a, b| Some(a.wrapping_mul(b)),
};
const DIV: Binary = Binary {
    device: Dispatch::float_div,
    scalar: Some([
        |x, s| Dispatch::float_div_scalar(x, s.into()),
        |x, s| Dispatch::float_mul_scalar(Dispatch::float_recip(x), s.into()),
    ]),
    float: |a, b| a / b,
    int: i64::checked_div,
    unsigned: u64::checked_div,
};
const MAX: Binary = Binary {
    device: |a, b| larger(a, b, false),
    scalar: None,
    float: |a, b| {
        if a.is_nan() {
            a
        } else if b.is_nan() || b > a {
            b
        } else {
            a
        }
    },
    int: |a, b| Some(a.max(b)),
    unsigned: |a, b| Some(a.max(b)),
};
const MIN: Binary = Binary {
    device: |a, b| larger(a, b, true),
    scalar: None,
    float: |a, b| {
        if a.is_nan() {
            a
        } else if b.is_nan() || b < a {
            b
        } else {
            a
        }
    },
    int: |a, b| Some(a.min(b)),
    unsigned: |a, b| Some(a.min(b)),
};

/// The larger of each pair, or the smaller, or what is no number; the gradient goes to the one that was taken, to the first of
/// equals.
fn larger(a: Float, b: Float, smaller: bool) -> Float {
    use burn::tensor::Tensor;
    let shape = a.shape();
    let flat = |t: Float| Tensor::<1>::from_dispatch(reshape(t, [shape.num_elements()].into()));
    let (a, b) = (flat(a), flat(b));
    let take_b = if smaller { b.clone().lower(a.clone()) } else { b.clone().greater(a.clone()) };
    let take_b = take_b.bool_or(b.clone().is_nan());
    reshape(a.mask_where(take_b, b).into_dispatch(), shape)
}

/// Gives a tensor leading dimensions of 1 up to `rank`.
pub(super) fn to_rank(t: Float, rank: usize) -> Float {
    let shape: Vec<usize> = t.shape().iter().copied().collect();
    if shape.len() >= rank {
        return t;
    }
    let mut longer = vec![1; rank - shape.len()];
    longer.extend(shape);
    reshape(t, Shape::from(longer))
}

/// Repeats a tensor to `shape`, which it broadcasts to.
pub(super) fn expand(t: Float, shape: &[usize]) -> Float {
    let t = to_rank(t, shape.len());
    if t.shape().iter().eq(shape.iter()) { t } else { Dispatch::float_expand(t, shape.into()) }
}

fn binary(call: &mut Call<'_>, op: &Binary) -> Outcome {
    let (a, b) = (call.take(0)?, call.take(1)?);
    let (a, b) = old_broadcast(call, a, b)?;
    combine(call, op, a, b).map(|v| vec![v])
}

/// Before version 7 the second operand was placed along an axis of the first.
fn old_broadcast(call: &Call<'_>, a: Value, b: Value) -> Result<(Value, Value), String> {
    let (rank, own) = (a.shape().len(), b.shape());
    let Some(axis) = call.node.attributes.int("axis").filter(|_| call.node.opset < 7 && own.len() < rank) else {
        return Ok((a, b));
    };
    let axis = super::call::axis(axis, rank)?;
    let trailing = (rank - axis).checked_sub(own.len()).ok_or("its operands do not broadcast along axis")?;
    let shape: Vec<usize> = own.into_iter().chain(std::iter::repeat_n(1, trailing)).collect();
    let b = match b {
        Value::Host(h) => Value::Host(h.reshaped(shape)),
        other => Value::Float(reshape(other.into_float(call.device), shape.as_slice().into())),
    };
    Ok((a, b))
}

/// The sum of two values, with broadcasting.
pub(super) fn sum(call: &Call<'_>, a: Value, b: Value) -> Result<Value, String> {
    combine(call, &ADD, a, b)
}

fn combine(call: &Call<'_>, op: &Binary, a: Value, b: Value) -> Result<Value, String> {
    let shape = broadcast_shapes(&a.shape(), &b.shape())?;
    check_size(&shape)?;
    if let (Value::Host(a), Value::Host(b)) = (&a, &b) {
        return combine_on_host(op, a, b, &shape).map(Value::Host);
    }
    if let Some([right, left]) = op.scalar {
        // A scalar of a higher rank changes the shape.
        if let (Value::Float(x), Some(s)) = (&a, b.scalar())
            && a.shape() == shape
        {
            return Ok(Value::Float(right(x.clone(), s)));
        }
        if let (Some(s), Value::Float(x)) = (a.scalar(), &b)
            && b.shape() == shape
        {
            return Ok(Value::Float(left(x.clone(), s)));
        }
    }
    let (a, b) = (a.into_float(call.device), b.into_float(call.device));
    let (mut a, mut b) = (to_rank(a, shape.len()), to_rank(b, shape.len()));
    if op.scalar.is_none() {
        (a, b) = (expand(a, &shape), expand(b, &shape));
    }
    Ok(Value::Float((op.device)(a, b)))
}

fn combine_on_host(op: &Binary, a: &HostTensor, b: &HostTensor, shape: &[usize]) -> Result<HostTensor, String> {
    let element = a.element;
    let (a, b) = (a.broadcast(shape), b.broadcast(shape));
    let values = match (&a.values, &b.values) {
        (Values::Float(a), Values::Float(b)) => {
            Values::Float(a.iter().zip(b).map(|(&a, &b)| (op.float)(a, b)).collect())
        }
        (Values::Int(a), Values::Int(b)) => {
            let compute = |(&a, &b): (&i64, &i64)| match element {
                ElementType::U64 => (op.unsigned)(a as u64, b as u64).map(|v| v as i64),
                _ => (op.int)(a, b).map(|v| element.wrap(v)),
            };
            Values::Int(a.iter().zip(b).map(compute).collect::<Option<_>>().ok_or("division by zero")?)
        }
        _ => return Err(format!("its operands are {} and {}", a.element.name(), b.element.name())),
    };
    Ok(HostTensor { element, shape: shape.to_vec(), values })
}

fn variadic(call: &mut Call<'_>, op: &Binary) -> Outcome {
    let mut sum = call.take(0)?;
    for i in 1..call.inputs.len() {
        let next = call.take(i)?;
        sum = combine(call, op, sum, next)?;
    }
    Ok(vec![sum])
}

fn mean(call: &mut Call<'_>) -> Outcome {
    let count = call.inputs.len() as f32;
    let sum = variadic(call, &ADD)?;
    let sum = sum.into_iter().next().map(|v| v.into_float(call.device)).ok_or("it has no input")?;
    Ok(vec![Value::Float(Dispatch::float_div_scalar(sum, count.into()))])
}

pub(super) fn unary(call: &mut Call<'_>, device: fn(Float) -> Float, host: fn(f64) -> f64) -> Outcome {
    match call.take(0)? {
        Value::Host(x) => {
            let values = match &x.values {
                Values::Float(v) => Values::Float(v.iter().map(|&v| host(f64::from(v)) as f32).collect()),
                Values::Int(v) => Values::Int(v.iter().map(|&v| x.element.wrap(host(v as f64) as i64)).collect()),
                Values::Bool(_) => return Err("its input is bool".to_owned()),
            };
            Ok(vec![Value::Host(HostTensor { values, ..x })])
        }
        x => Ok(vec![Value::Float(device(x.into_float(call.device)))]),
    }
}

fn pow(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.take(0)?, call.take(1)?);
    let element = a.element();
    let shape = broadcast_shapes(&a.shape(), &b.shape())?;
    check_size(&shape)?;
    match (a, b) {
        (Value::Host(a), Value::Host(b)) => {
            let (a, b) = (a.broadcast(&shape), b.broadcast(&shape));
            let both = a.to_floats().into_iter().map(f64::from).zip(b.to_floats().into_iter().map(f64::from));
            let values: Vec<f64> = both.map(|(a, b)| a.powf(b)).collect();
            let values = if element.is_float() {
                Values::Float(values.into_iter().map(|v| v as f32).collect())
            } else {
                Values::Int(values.into_iter().map(|v| v as i64).collect())
            };
            Ok(vec![Value::Host(HostTensor { element, shape, values })])
        }
        (a, Value::Host(b)) if b.len() == 1 && a.shape() == shape => {
            let exponent = b.to_floats()[0];
            let x = a.into_float(call.device);
            // Exact, and differentiable where the base is negative or zero.
            Ok(vec![Value::Float(match exponent {
                1.0 => x,
                2.0 => Dispatch::float_mul(x.clone(), x),
                3.0 => Dispatch::float_mul(Dispatch::float_mul(x.clone(), x.clone()), x),
                0.5 => Dispatch::float_sqrt(x),
                -1.0 => Dispatch::float_recip(x),
                _ => Dispatch::float_powf_scalar(x, exponent.into()),
            })])
        }
        (a, b) => {
            let (a, b) = (expand(a.into_float(call.device), &shape), expand(b.into_float(call.device), &shape));
            Ok(vec![Value::Float(Dispatch::float_powf(a, b))])
        }
    }
}

fn modulo(call: &mut Call<'_>) -> Outcome {
    let fmod = call.node.attributes.flag("fmod");
    let (a, b) = (call.take(0)?, call.take(1)?);
    let shape = broadcast_shapes(&a.shape(), &b.shape())?;
    check_size(&shape)?;
    if let (Value::Host(a), Value::Host(b)) = (&a, &b) {
        const FMOD: Binary = Binary { int: i64::checked_rem, unsigned: u64::checked_rem, float: |a, b| a % b, ..ADD };
        // The sign of the divisor, as in Python.
        const FLOORED: Binary = Binary {
            int: |a, b| a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
            float: |a, b| a - b * (a / b).floor(),
            ..FMOD
        };
        return combine_on_host(if fmod { &FMOD } else { &FLOORED }, a, b, &shape).map(|v| vec![Value::Host(v)]);
    }
    let (a, b) = (expand(a.into_float(call.device), &shape), expand(b.into_float(call.device), &shape));
    let quotient = Dispatch::float_div(a.clone(), b.clone());
    let whole = if fmod { Dispatch::float_trunc(quotient) } else { Dispatch::float_floor(quotient) };
    Ok(vec![Value::Float(Dispatch::float_sub(a, Dispatch::float_mul(b, whole)))])
}

/// The upper bound wins over the lower one; what is no number stays so.
fn clipped(v: f32, low: f32, high: f32) -> f32 {
    let v = if v < low { low } else { v };
    if v > high { high } else { v }
}

fn clip(call: &mut Call<'_>) -> Outcome {
    let bound = |call: &mut Call<'_>, name: &str, i: usize| match call.node.attributes.float(name) {
        Some(value) => Ok(Some(value)),
        None => call.optional_scalar(i),
    };
    let (low, high) = (bound(call, "min", 1)?, bound(call, "max", 2)?);
    match call.take(0)? {
        Value::Host(x) => {
            let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
            let values = match &x.values {
                Values::Float(v) => Values::Float(v.iter().map(|&v| clipped(v, low, high)).collect()),
                Values::Int(v) => Values::Int(v.iter().map(|&v| v.max(low as i64).min(high as i64)).collect()),
                Values::Bool(_) => return Err("its input is bool".to_owned()),
            };
            Ok(vec![Value::Host(HostTensor { values, ..x })])
        }
        x => {
            let x = x.into_float(call.device);
            Ok(vec![Value::Float(match (low, high) {
                // The library demands an order; ONNX says that the upper bound wins.
                (Some(low), Some(high)) => Dispatch::float_clamp(x, low.min(high).into(), high.into()),
                (Some(low), None) => Dispatch::float_clamp_min(x, low.into()),
                (None, Some(high)) => Dispatch::float_clamp_max(x, high.into()),
                (None, None) => x,
            })])
        }
    }
}

fn bits(call: &mut Call<'_>, op: fn(i64, i64) -> i64) -> Outcome {
    let (a, b) = (call.host(0)?, call.host(1)?);
    let shape = broadcast_shapes(&a.shape, &b.shape)?;
    check_size(&shape)?;
    let element = a.element;
    let (a, b) = (a.broadcast(&shape).to_ints(), b.broadcast(&shape).to_ints());
    let values = Values::Int(a.into_iter().zip(b).map(|(a, b)| element.wrap(op(a, b))).collect());
    Ok(vec![Value::Host(HostTensor { element, shape, values })])
}
