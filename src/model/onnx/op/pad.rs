//! Padding, and cutting by negative padding.

use super::call::{Call, axis};
use super::slice::{narrow, pick};
use super::{Operator, Outcome};
use crate::model::onnx::host::strides;
use crate::model::onnx::value::{Value, check_size};
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::ops::PadMode;

pub(super) static OPERATORS: &[Operator] = &[Operator::new("Pad", pad).with_settings(&[1, 2, 3])];

/// Elements before and after, for each dimension; negative ones are cut off.
fn amounts(call: &mut Call<'_>, rank: usize) -> Result<Vec<(i64, i64)>, String> {
    let given = match call.node.attributes.ints("paddings") {
        Some(given) => given.to_vec(),
        None => call.ints_of("pads", 1)?.ok_or("it has no pads")?,
    };
    let axes = if call.has(3) {
        call.ints(3)?.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?
    } else {
        (0..rank).collect()
    };
    if given.len() != 2 * axes.len() || given.iter().any(|v| v.unsigned_abs() > 1 << 24) {
        return Err(format!("its pads are {given:?} for {} dimensions", axes.len()));
    }
    let mut amounts = vec![(0, 0); rank];
    for (i, &a) in axes.iter().enumerate() {
        amounts[a] = (given[i], given[i + axes.len()]);
    }
    Ok(amounts)
}

fn pad(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let amounts = amounts(call, shape.len())?;
    let mode = call.node.attributes.text("mode").unwrap_or("constant").to_owned();
    let fill = match call.node.attributes.float("value") {
        Some(value) => value,
        None => call.optional_scalar(2)?.unwrap_or(0.0),
    };
    let mut value = call.take(0)?;
    for (dim, &(before, after)) in amounts.iter().enumerate() {
        let length = shape[dim] as i64;
        let (cut_before, cut_after) = ((-before).max(0), (-after).max(0));
        let left = length - cut_before - cut_after;
        if left < 0 {
            return Err(format!("{length} elements cannot lose {cut_before} and {cut_after}"));
        }
        value = narrow(value, dim, cut_before as usize, left as usize)?;
        let (before, after) = (before.max(0) as usize, after.max(0) as usize);
        if before + after > 0 && mode != "constant" {
            let index = mirrored(&mode, left as usize, before, after)?;
            value = pick(value, dim, &index, call)?;
        }
    }
    if mode != "constant" {
        return Ok(vec![value]);
    }
    let fills: Vec<(usize, usize)> = amounts.iter().map(|&(b, a)| (b.max(0) as usize, a.max(0) as usize)).collect();
    if fills.iter().all(|&f| f == (0, 0)) {
        return Ok(vec![value]);
    }
    let from = value.shape();
    let output: Vec<usize> = from.iter().zip(&fills).map(|(n, (b, a))| n + b + a).collect();
    let count = check_size(&output)?;
    Ok(vec![match value {
        Value::Float(t) => Value::Float(Dispatch::float_pad(t, &fills, PadMode::Constant(fill))),
        other => {
            let host = other.into_host()?;
            let (own, out) = (strides(&from), strides(&output));
            let place = |i: usize| {
                (0..from.len()).try_fold(0, |at, a| {
                    let coordinate = (i / out[a] % output[a]).checked_sub(fills[a].0).filter(|&c| c < from[a])?;
                    Some(at + coordinate * own[a])
                })
            };
            let padded = host.take(output.clone(), (0..count).map(place));
            // The type's zero is what was taken outside; another filler is put over it.
            let filler = crate::model::onnx::host::HostTensor::floats([1], vec![fill]).cast(padded.element);
            Value::Host(if fill == 0.0 { padded } else { filled(padded, &filler, (0..count).map(place)) })
        }
    }])
}

/// `padded` with the single value of `filler` wherever there is no place.
fn filled(
    padded: crate::model::onnx::host::HostTensor,
    filler: &crate::model::onnx::host::HostTensor,
    places: impl Iterator<Item = Option<usize>>,
) -> crate::model::onnx::host::HostTensor {
    use crate::model::onnx::host::Values;
    fn fill<T: Copy>(to: &mut [T], with: T, places: impl Iterator<Item = Option<usize>>) {
        to.iter_mut().zip(places).filter(|(_, place)| place.is_none()).for_each(|(to, _)| *to = with);
    }
    let mut padded = padded;
    match (&mut padded.values, &filler.values) {
        (Values::Float(to), Values::Float(with)) => fill(to, with[0], places),
        (Values::Int(to), Values::Int(with)) => fill(to, with[0], places),
        (Values::Bool(to), Values::Bool(with)) => fill(to, with[0], places),
        _ => {}
    }
    padded
}

/// Which element stands at each place of a padded dimension.
fn mirrored(mode: &str, length: usize, before: usize, after: usize) -> Result<Vec<usize>, String> {
    if length == 0 {
        return Err(format!("an empty dimension cannot be padded by {mode}"));
    }
    let (length, before, after) = (length as i64, before as i64, after as i64);
    let at = |i: i64| match mode {
        "edge" => Ok(i.clamp(0, length - 1)),
        "wrap" => Ok(i.rem_euclid(length)),
        "reflect" => {
            let phase = i.rem_euclid((2 * length - 2).max(1));
            Ok(phase.min(2 * length - 2 - phase).max(0))
        }
        other => Err(format!("mode is {other:?}")),
    };
    (-before..length + after).map(|i| at(i).map(|i| i as usize)).collect()
}
