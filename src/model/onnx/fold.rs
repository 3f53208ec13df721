//! What is known when the file is read is computed then: constant subgraphs, and batch normalisation into the
//! convolution before it.

use super::budget;
use super::host::{HostTensor, Values};
use super::program::{Constant, Node, Program, Slot};
use super::run::call;
use super::value::Value;
use burn::tensor::Device;

/// A folded constant larger than this, where its inputs were smaller, is computed at each run instead: expanding a
/// small constant costs less than keeping it.
const MOST_GROWN_BYTES: u64 = 1 << 20;

/// Folds all that can be. Constants must still be on the host.
pub fn fold(program: &mut Program) {
    constants(program);
    batch_norms(program);
    drop_unread(program);
}

fn host(program: &Program, slot: Slot) -> Option<&HostTensor> {
    match program.constants.get(slot)? {
        Some(Constant::Host(host)) => Some(host),
        _ => None,
    }
}

/// Runs every node whose inputs are all known, and forgets it.
fn constants(program: &mut Program) {
    let device = Device::flex();
    let nodes = std::mem::take(&mut program.nodes);
    let mut left = Vec::with_capacity(nodes.len());
    for node in nodes {
        match folded(program, &node, &device) {
            Some(outputs) => {
                for (slot, value) in node.outputs.iter().zip(outputs) {
                    if let Some(slot) = slot {
                        program.constants[*slot] = Some(Constant::Host(value));
                    }
                }
            }
            None => left.push(node),
        }
    }
    program.nodes = left;
}

fn folded(program: &Program, node: &Node, device: &Device) -> Option<Vec<HostTensor>> {
    if !node.operator.pure || !node.branches.is_empty() {
        return None;
    }
    let inputs: Vec<Option<&HostTensor>> = node
        .inputs
        .iter()
        .map(|slot| slot.map_or(Some(None), |s| host(program, s).map(Some)))
        .collect::<Option<_>>()?;
    let bytes_in: u64 = inputs.iter().flatten().map(|h| (h.len() * h.element.bytes()) as u64).sum();
    let inputs = inputs.into_iter().map(|h| h.cloned().map(Value::Host)).collect();
    // One that fails is left where it is: it fails when it is run, if it ever is.
    let most = if node.op_type == "Constant" { u64::MAX } else { bytes_in.max(MOST_GROWN_BYTES) };
    let outputs = budget::within(most, || call(node, inputs, device)).ok()?;
    if outputs.iter().map(Value::bytes).sum::<u64>() > most {
        return None;
    }
    outputs.into_iter().map(|v| v.into_host().ok()).collect()
}

/// y = γ·(W∗x + b − μ)/√(σ² + ε) + β is a convolution with the weight γ/√(σ² + ε)·W.
fn batch_norms(program: &mut Program) {
    let mut readers = vec![0usize; program.names.len()];
    program.nodes.iter().for_each(|node| node.reads(&mut |slot| readers[slot] += 1));
    program.outputs.iter().for_each(|(slot, _)| readers[*slot] += 1);
    let mut maker = vec![None; program.names.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        node.outputs.iter().flatten().for_each(|&slot| maker[slot] = Some(i));
    }
    let mut gone = vec![false; program.nodes.len()];
    for (i, gone) in gone.iter_mut().enumerate() {
        let norm = &program.nodes[i];
        if norm.op_type != "BatchNormalization" || norm.attributes.flag("training_mode") {
            continue;
        }
        let Some(input) = norm.inputs.first().copied().flatten() else { continue };
        let Some(before) = maker[input].filter(|_| readers[input] == 1) else { continue };
        let conv = &program.nodes[before];
        // The second dimension of a transposed convolution's weight is of one group only.
        let plain =
            conv.op_type == "Conv" || conv.op_type == "ConvTranspose" && conv.attributes.int("group").unwrap_or(1) == 1;
        if !plain {
            continue;
        }
        let Some((weight, bias)) = merged(program, conv, norm) else { continue };
        let weight_slot = program.slot("folded weight");
        let bias_slot = program.slot("folded bias");
        program.constants[weight_slot] = Some(Constant::Host(weight));
        program.constants[bias_slot] = Some(Constant::Host(bias));
        let output = program.nodes[i].outputs[0];
        // The weights that were read here only are freed at once: a large network would be held twice.
        for slot in program.nodes[before].inputs[1..].iter().flatten().copied().collect::<Vec<_>>() {
            // A weight that was folded before has this one reader.
            if readers.get(slot).is_none_or(|&count| count == 1) {
                program.constants[slot] = None;
            }
        }
        let conv = &mut program.nodes[before];
        conv.inputs = vec![conv.inputs[0], Some(weight_slot), Some(bias_slot)];
        conv.outputs = vec![output];
        if let Some(output) = output {
            maker[output] = Some(before);
        }
        *gone = true;
    }
    let mut at = 0;
    program.nodes.retain(|_| {
        at += 1;
        !gone[at - 1]
    });
}

/// The weight and bias of convolution and normalisation as one.
fn merged(program: &Program, conv: &Node, norm: &Node) -> Option<(HostTensor, HostTensor)> {
    let constant = |node: &Node, i: usize| node.inputs.get(i).copied().flatten().and_then(|slot| host(program, slot));
    let floats = |node: &Node, i: usize| match &constant(node, i)?.values {
        Values::Float(v) => Some(v.clone()),
        _ => None,
    };
    let weight = constant(conv, 1)?;
    let dim = usize::from(conv.op_type == "ConvTranspose");
    let channels = *weight.shape.get(dim)?;
    let given_bias = conv.inputs.get(2).is_some_and(Option::is_some);
    let bias = if given_bias { floats(conv, 2)? } else { vec![0.0; channels] };
    let [gamma, beta, mean, variance] = [floats(norm, 1)?, floats(norm, 2)?, floats(norm, 3)?, floats(norm, 4)?];
    if [&bias, &gamma, &beta, &mean, &variance].iter().any(|v| v.len() != channels) {
        return None;
    }
    let epsilon = f64::from(norm.attributes.float("epsilon").unwrap_or(1e-5));
    let scale: Vec<f64> =
        gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + epsilon).sqrt()).collect();
    if scale.iter().any(|s| !s.is_finite()) {
        return None;
    }
    let inner: usize = weight.shape[dim + 1..].iter().product();
    let Values::Float(values) = &weight.values else { return None };
    let values =
        values.iter().enumerate().map(|(i, &w)| (f64::from(w) * scale[i / inner.max(1) % channels]) as f32).collect();
    let bias = (0..channels)
        .map(|c| ((f64::from(bias[c]) - f64::from(mean[c])) * scale[c] + f64::from(beta[c])) as f32)
        .collect();
    Some((HostTensor { values: Values::Float(values), ..weight.clone() }, HostTensor::floats([channels], bias)))
}

/// Constants that no node reads any more are freed.
fn drop_unread(program: &mut Program) {
    let mut read = vec![false; program.names.len()];
    program.nodes.iter().for_each(|node| node.reads(&mut |slot| read[slot] = true));
    program.outputs.iter().for_each(|(slot, _)| read[*slot] = true);
    for (constant, read) in program.constants.iter_mut().zip(read) {
        if !read {
            *constant = None;
        }
    }
}
