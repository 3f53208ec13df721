//! Reductions.

use super::activation::root;
use super::call::{Call, axis};
use super::gather::arg_extreme;
use super::{Operator, Outcome};
use crate::model::onnx::host::{HostTensor, Values, positions, strides};
use crate::model::onnx::value::{Value, reshape};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};

type Float = DispatchTensor;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("ReduceSum", |call| reduce(call, &SUM)).with_settings(&[1]),
    Operator::new("ReduceMean", |call| reduce(call, &MEAN)).with_settings(&[1]),
    Operator::new("ReduceMax", |call| reduce(call, &MAX)).with_settings(&[1]),
    Operator::new("ReduceMin", |call| reduce(call, &MIN)).with_settings(&[1]),
    Operator::new("ReduceProd", |call| reduce(call, &PROD)).with_settings(&[1]),
    Operator::new("ReduceL1", |call| reduce(call, &L1)).with_settings(&[1]),
    Operator::new("ReduceL2", |call| reduce(call, &L2)).with_settings(&[1]),
    Operator::new("ReduceSumSquare", |call| reduce(call, &SUM_SQUARE)).with_settings(&[1]),
    Operator::new("ReduceLogSum", |call| reduce(call, &LOG_SUM)).with_settings(&[1]),
    Operator::new("ReduceLogSumExp", |call| reduce(call, &LOG_SUM_EXP)).with_settings(&[1]),
    Operator::new("ArgMax", |call| arg(call, false)),
    Operator::new("ArgMin", |call| arg(call, true)),
];

/// One reduction: over dimension 1 of a matrix on the device, over a run of numbers on the host.
struct Reduction {
    device: fn(Float) -> Float,
    host: fn(&mut dyn Iterator<Item = f64>) -> f64,
}

const SUM: Reduction = Reduction { device: |x| Dispatch::float_sum_dim(x, 1), host: |v| v.sum() };
const MEAN: Reduction = Reduction {
    device: |x| Dispatch::float_mean_dim(x, 1),
    host: |v| {
        let (sum, count) = v.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
        sum / count
    },
};
// One that is no number is the result.
const MAX: Reduction = Reduction {
    device: |x| Dispatch::float_max_dim(x, 1),
    host: |v| v.fold(f64::NEG_INFINITY, |a, b| if a.is_nan() || a > b { a } else { b }),
};
const MIN: Reduction = Reduction {
    device: |x| Dispatch::float_min_dim(x, 1),
    host: |v| v.fold(f64::INFINITY, |a, b| if a.is_nan() || a < b { a } else { b }),
};
const PROD: Reduction = Reduction { device: |x| Dispatch::float_prod_dim(x, 1), host: |v| v.product() };
const L1: Reduction =
    Reduction { device: |x| Dispatch::float_sum_dim(Dispatch::float_abs(x), 1), host: |v| v.map(f64::abs).sum() };
const L2: Reduction =
    Reduction { device: |x| root((SUM_SQUARE.device)(x), 2.0), host: |v| v.map(|v| v * v).sum::<f64>().sqrt() };
const SUM_SQUARE: Reduction = Reduction {
    device: |x| Dispatch::float_sum_dim(Dispatch::float_mul(x.clone(), x), 1),
    host: |v| v.map(|v| v * v).sum(),
};
const LOG_SUM: Reduction =
    Reduction { device: |x| Dispatch::float_log(Dispatch::float_sum_dim(x, 1)), host: |v| v.sum::<f64>().ln() };
const LOG_SUM_EXP: Reduction = Reduction {
    device: |x| {
        // Without overflow; the largest is a constant, which changes neither value nor gradient.
        let largest = Dispatch::float_detach(Dispatch::float_max_dim(x.clone(), 1));
        let rest = Dispatch::float_exp(Dispatch::float_sub(x, largest.clone()));
        Dispatch::float_add(Dispatch::float_log(Dispatch::float_sum_dim(rest, 1)), largest)
    },
    host: |v| {
        let values: Vec<f64> = v.collect();
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !largest.is_finite() {
            return largest;
        }
        values.iter().map(|v| (v - largest).exp()).sum::<f64>().ln() + largest
    },
};

fn reduce(call: &mut Call<'_>, op: &Reduction) -> Outcome {
    let shape = call.shape(0)?;
    let rank = shape.len();
    let given = call.ints_of("axes", 1)?.filter(|axes| !axes.is_empty());
    if given.is_none() && call.node.attributes.flag("noop_with_empty_axes") {
        // Nothing is summed, but each element goes through what surrounds the sum.
        return elementwise(call, op);
    }
    let mut reduced = vec![given.is_none(); rank];
    for a in given.into_iter().flatten() {
        reduced[axis(a, rank)?] = true;
    }
    let keep = call.int("keepdims", 1) != 0;
    let output: Vec<usize> =
        (0..rank).filter(|&i| keep || !reduced[i]).map(|i| if reduced[i] { 1 } else { shape[i] }).collect();
    let (kept, gone): (Vec<usize>, Vec<usize>) = (0..rank).partition(|&i| !reduced[i]);
    let rows: usize = kept.iter().map(|&i| shape[i]).product();
    let columns: usize = gone.iter().map(|&i| shape[i]).product();
    match call.take(0)? {
        value @ (Value::Float(_) | Value::Mask(_)) if columns > 0 && rows > 0 => {
            let order: Vec<usize> = kept.iter().chain(&gone).copied().collect();
            let in_order = order.iter().enumerate().all(|(i, &a)| i == a);
            let mut x = value.into_float(call.device);
            if !in_order {
                x = Dispatch::float_permute(x, &order);
            }
            let y = (op.device)(reshape(x, [rows, columns].into()));
            Ok(vec![Value::Float(reshape(y, output.as_slice().into()))])
        }
        value => {
            let x = value.into_host()?;
            let own = strides(&shape);
            let pick = |axes: &[usize]| -> (Vec<usize>, Vec<usize>) {
                (axes.iter().map(|&i| shape[i]).collect(), axes.iter().map(|&i| own[i]).collect())
            };
            let ((outer, outer_steps), (inner, inner_steps)) = (pick(&kept), pick(&gone));
            let offsets: Vec<usize> = positions(&inner, &inner_steps, 0).collect();
            let number = |i: usize| match &x.values {
                Values::Float(v) => f64::from(v[i]),
                Values::Int(v) => v[i] as f64,
                Values::Bool(v) => f64::from(u8::from(v[i])),
            };
            let run = |start: usize| (op.host)(&mut offsets.iter().map(|o| number(start + o)));
            let values: Vec<f64> = positions(&outer, &outer_steps, 0).map(run).collect();
            Ok(vec![Value::Host(like(&x, output, values))])
        }
    }
}

/// Values of the type of `x`.
fn like(x: &HostTensor, shape: Vec<usize>, values: Vec<f64>) -> HostTensor {
    let values = match &x.values {
        Values::Float(_) => Values::Float(values.into_iter().map(|v| v as f32).collect()),
        Values::Int(_) => Values::Int(values.into_iter().map(|v| x.element.wrap(v as i64)).collect()),
        // The largest of none is −∞, and false.
        Values::Bool(_) => Values::Bool(values.into_iter().map(|v| v > 0.0).collect()),
    };
    HostTensor { element: x.element, shape, values }
}

fn elementwise(call: &mut Call<'_>, op: &Reduction) -> Outcome {
    let shape = call.shape(0)?;
    Ok(vec![match call.take(0)? {
        Value::Host(x) => {
            let values = x.to_floats().into_iter().map(|v| (op.host)(&mut std::iter::once(f64::from(v)))).collect();
            Value::Host(like(&x, shape, values))
        }
        value => {
            let x = value.into_float(call.device);
            let y = (op.device)(reshape(x, [shape.iter().product(), 1].into()));
            Value::Float(reshape(y, shape.as_slice().into()))
        }
    }])
}

fn arg(call: &mut Call<'_>, smallest: bool) -> Outcome {
    let shape = call.shape(0)?;
    let dim = axis(call.int("axis", 0), shape.len())?;
    if shape.contains(&0) {
        return Err("its input is empty".to_owned());
    }
    let last = call.node.attributes.flag("select_last_index");
    let mut x = call.float(0)?;
    if last {
        x = Dispatch::float_flip(x, &[dim]);
    }
    let mut index = arg_extreme(x, dim, smallest)?;
    if last {
        index.iter_mut().for_each(|i| *i = shape[dim] as i64 - 1 - *i);
    }
    let mut output = shape;
    if call.int("keepdims", 1) != 0 {
        output[dim] = 1;
    } else {
        output.remove(dim);
    }
    Ok(vec![Value::Host(HostTensor::ints(output, index))])
}
