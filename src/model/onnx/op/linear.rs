//! Products of matrices.

use super::arithmetic::{expand, to_rank};
use super::call::Call;
use super::{Operator, Outcome};
use crate::model::onnx::host::broadcast_shapes;
use crate::model::onnx::value::{Value, check_size, reshape};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Tensor;

type Float = DispatchTensor;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("MatMul", |call| {
        let (shape_a, shape_b) = (call.shape(0)?, call.shape(1)?);
        let (a, b) = (call.take(0)?, call.take(1)?);
        let (a, b) = match kept(call, a, b, &shape_a) {
            Ok(product) => return Ok(vec![product]),
            Err(both) => both,
        };
        let whole = !a.is_float();
        let product = matmul(a.into_float(call.device), b.into_float(call.device))
            .map_err(|e| format!("{e} ({shape_a:?} times {shape_b:?})"))?;
        let element = crate::model::onnx::host::ElementType::I64;
        Ok(vec![if whole {
            Value::Host(Value::Float(product).into_host()?.cast(element))
        } else {
            Value::Float(product)
        }])
    }),
    Operator::new("Gemm", gemm),
];

/// As NumPy's `matmul`: vectors become matrices, leading dimensions broadcast.
pub(super) fn matmul(a: Float, b: Float) -> Result<Float, String> {
    let (mut sa, mut sb): (Vec<usize>, Vec<usize>) =
        (a.shape().iter().copied().collect(), b.shape().iter().copied().collect());
    let (row, column) = (sa.len() == 1, sb.len() == 1);
    if sa.is_empty() || sb.is_empty() {
        return Err("a scalar is no matrix".to_owned());
    }
    if row {
        sa.insert(0, 1);
    }
    if column {
        sb.push(1);
    }
    let (m, k) = (sa[sa.len() - 2], sa[sa.len() - 1]);
    let (k_b, n) = (sb[sb.len() - 2], sb[sb.len() - 1]);
    if k != k_b {
        return Err(format!("inner dimensions {k} and {k_b} differ"));
    }
    let lead = broadcast_shapes(&sa[..sa.len() - 2], &sb[..sb.len() - 2])?;
    let mut shape = lead.clone();
    shape.extend([m, n]);
    check_size(&shape)?;
    let (a, b) = (reshape(a, sa.as_slice().into()), reshape(b, sb.as_slice().into()));
    let product = if sb.len() == 2 && sa.len() > 2 {
        // One matrix for all: the rows of all as one.
        let rows = sa[..sa.len() - 1].iter().product::<usize>();
        Dispatch::float_matmul(reshape(a, [rows, k].into()), b)
    } else {
        let full = |t: Float, rows: usize, columns: usize| {
            let mut shape = lead.clone();
            shape.extend([rows, columns]);
            expand(t, &shape)
        };
        Dispatch::float_matmul(full(a, m, k), full(b, k, n))
    };
    if row {
        shape.remove(shape.len() - 2);
    }
    if column {
        shape.pop();
    }
    Ok(reshape(product, shape.as_slice().into()))
}

/// A·B, if `b` is a constant matrix for which there is a kernel; else both.
#[expect(clippy::result_large_err, reason = "not an error: the values handed back for the other way")]
fn kept(call: &Call<'_>, a: Value, b: Value, shape: &[usize]) -> Result<Value, (Value, Value)> {
    let (Some(kept), Value::Float(weight), Some((&k, rows))) = (&call.node.fused.linear, &b, shape.split_last()) else {
        return Err((a, b));
    };
    let weight = Tensor::<2>::from_dispatch(weight.clone());
    let [inputs, outputs] = weight.dims();
    match kept.linear(&weight, false, None) {
        Some(layer) if a.is_float() && !rows.is_empty() && k == inputs => {
            let count = rows.iter().product::<usize>();
            let x = Tensor::<2>::from_dispatch(reshape(a.into_float(call.device), [count, k].into()));
            let shape: Vec<usize> = rows.iter().copied().chain([outputs]).collect();
            Ok(Value::Float(reshape(layer.forward(x).into_dispatch(), shape.as_slice().into())))
        }
        _ => Err((a, b)),
    }
}

/// α·A·B + β·C.
fn gemm(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.dims::<2>(0)?, call.dims::<2>(1)?);
    let (alpha, beta) = (call.attribute("alpha", 1.0), call.attribute("beta", 1.0));
    let attributes = &call.node.attributes;
    let (transpose_a, transpose_b) = (attributes.flag("transA"), attributes.flag("transB"));
    let (m, k) = if transpose_a { (a[1], a[0]) } else { (a[0], a[1]) };
    let (k_b, n) = if transpose_b { (b[1], b[0]) } else { (b[0], b[1]) };
    if k != k_b {
        return Err(format!("inner dimensions {k} and {k_b} differ"));
    }
    if call.has(2) && broadcast_shapes(&call.shape(2)?, &[m, n])? != [m, n] {
        return Err(format!("what it adds does not broadcast to [{m}, {n}]"));
    }
    check_size(&[m, n])?;
    let plain = (alpha, beta) == (1.0, 1.0) && !transpose_a && (!call.has(2) || call.shape(2)? == [n]);
    let kept = call.node.fused.linear.clone().filter(|_| plain);
    let (a, b, c) = (call.float(0)?, call.float(1)?, call.optional_float(2)?);
    if let Some(kept) = kept {
        let (weight, bias) = (Tensor::from_dispatch(b.clone()), c.clone().map(Tensor::from_dispatch));
        if let Some(layer) = kept.linear(&weight, transpose_b, bias.as_ref()) {
            return Ok(vec![Value::Float(layer.forward(Tensor::from_dispatch(a)).into_dispatch())]);
        }
    }
    let turned = |t: Float, turn: bool| if turn { Dispatch::float_swap_dims(t, 0, 1) } else { t };
    let scaled = |t: Float, by: f32| if by == 1.0 { t } else { Dispatch::float_mul_scalar(t, by.into()) };
    let product = scaled(Dispatch::float_matmul(turned(a, transpose_a), turned(b, transpose_b)), alpha);
    let y = match c {
        Some(c) => Dispatch::float_add(product, to_rank(scaled(c, beta), 2)),
        None => product,
    };
    Ok(vec![Value::Float(y)])
}
