//! What one kernel does in one pass becomes one node: a convolution with the concatenation before it, the sum and the
//! activation behind it, a batch normalisation with its activation; a product with a constant matrix keeps the layer that it is made
//! of. The operators do the parts one by one where there is no
//! such kernel.

use super::host::Values;
use super::program::{Constant, Kept, Node, Program, Slot};
use crate::kernel::Activation;

/// The input of a convolution that is added to it.
pub const SUMMAND: usize = 3;
/// The input of a convolution whose channels follow those of its first.
pub const SECOND: usize = 4;

/// Puts nodes into others where a kernel does both.
pub fn fuse(program: &mut Program) {
    let mut readers = vec![0usize; program.names.len()];
    program.nodes.iter().for_each(|node| node.reads(&mut |slot| readers[slot] += 1));
    program.outputs.iter().for_each(|(slot, _)| readers[*slot] += 1);
    // For each slot with one reader, the node that reads it.
    let mut reader = vec![None; program.names.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        node.inputs.iter().flatten().filter(|&&slot| readers[slot] == 1).for_each(|&slot| reader[slot] = Some(i));
    }
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut program.nodes).into_iter().map(Some).collect();
    for node in nodes.iter_mut().flatten() {
        if matches!(node.op_type.as_str(), "Gemm" | "MatMul") && has_constants(program, node, 2) {
            node.fused.linear = Some(Kept::default());
        }
    }
    for start in 0..nodes.len() {
        let Some(node) = &nodes[start] else { continue };
        let fits = match node.op_type.as_str() {
            "Conv" => is_frozen_convolution(program, node),
            "BatchNormalization" => true,
            _ => false,
        };
        // One that was put farther back is met again there: it has one sum and, after that, one activation, and a kernel does no
        // more.
        if !fits || !node.fused.operators.is_empty() || node.outputs.len() != 1 || !node.branches.is_empty() {
            continue;
        }
        let Some(mut node) = nodes[start].take() else { continue };
        let mut place = start;
        let follows = |node: &Node| node.outputs[0].and_then(|slot| reader[slot].map(|i| (slot, i)));
        if node.op_type == "Conv"
            && let Some((slot, i)) = follows(&node)
            && let Some(summand) = nodes[i].as_ref().and_then(|add| summand(program, add, slot))
            && let Some(add) = nodes[i].take()
        {
            node.inputs.resize(SUMMAND, None);
            node.inputs.push(Some(summand));
            node.outputs = add.outputs;
            node.fused.operators.push(add.op_type);
            place = i;
        }
        if let Some((slot, i)) = follows(&node)
            && let Some(activation) = nodes[i].as_ref().and_then(|next| activation(program, next, slot))
            && let Some(next) = nodes[i].take()
        {
            node.fused.activation = activation;
            node.outputs = next.outputs;
            node.fused.operators.push(next.op_type);
            place = i;
        }
        nodes[place] = Some(node);
    }
    concatenations(program, &mut nodes, &readers);
    program.nodes = nodes.into_iter().flatten().collect();
}

/// Whether the weights of a convolution of images are constants.
fn is_frozen_convolution(program: &Program, node: &Node) -> bool {
    has_constants(program, node, 4)
}

/// Whether input 1 is a constant of `rank` dimensions, and input 2 another, if it is given.
fn has_constants(program: &Program, node: &Node, rank: usize) -> bool {
    let constant = |i: usize| match node.inputs.get(i).copied().flatten() {
        Some(slot) => program.constants[slot].as_ref(),
        None => None,
    };
    let fits = matches!(constant(1), Some(Constant::Host(host)) if host.shape.len() == rank);
    fits && (node.inputs.get(2).copied().flatten().is_none() || constant(2).is_some())
}

/// What the sum `add` adds to `slot`, if it is no constant.
fn summand(program: &Program, add: &Node, slot: Slot) -> Option<Slot> {
    let [Some(a), Some(b)] = add.inputs[..] else { return None };
    // Before version 7 a sum broadcast in a way of its own.
    if add.op_type != "Add" || a == b || add.outputs.len() != 1 || add.opset < 7 {
        return None;
    }
    let other = if a == slot { b } else { a };
    program.constants[other].is_none().then_some(other)
}

/// The activation that `node` applies to `slot`, if it is one of the kernels'.
fn activation(program: &Program, node: &Node, slot: Slot) -> Option<Activation> {
    if node.inputs.first() != Some(&Some(slot)) || node.outputs.len() != 1 {
        return None;
    }
    match node.op_type.as_str() {
        "Relu" => Some(Activation::Relu),
        "Clip" => {
            let bound = |i: usize, name: &str, default: f32| match node.inputs.get(i).copied().flatten() {
                Some(slot) => match &program.constants[slot] {
                    Some(Constant::Host(host)) => match &host.values {
                        Values::Float(values) if values.len() == 1 => values.first().copied(),
                        _ => None,
                    },
                    _ => None,
                },
                None => Some(node.attributes.float(name).unwrap_or(default)),
            };
            let (lower, upper) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
            (lower < upper).then_some(Activation::Clip(lower, upper))
        }
        _ => None,
    }
}

/// A convolution reads both tensors of a concatenation of channels where they are.
fn concatenations(program: &Program, nodes: &mut [Option<Node>], readers: &[usize]) {
    let mut maker = vec![None; readers.len()];
    for (i, node) in nodes.iter().enumerate() {
        for &slot in node.iter().flat_map(|node| node.outputs.iter().flatten()) {
            maker[slot] = Some(i);
        }
    }
    for i in 0..nodes.len() {
        let Some(conv) = &nodes[i] else { continue };
        let plain = conv.op_type == "Conv" && conv.attributes.int("group").unwrap_or(1) == 1;
        if !plain || !is_frozen_convolution(program, conv) {
            continue;
        }
        let Some(before) = conv.inputs[0].filter(|&slot| readers[slot] == 1).and_then(|slot| maker[slot]) else {
            continue;
        };
        let Some(concat) = &nodes[before] else { continue };
        let channels = matches!(concat.attributes.int("axis"), Some(1 | -3));
        let [Some(first), Some(second)] = concat.inputs[..] else { continue };
        if concat.op_type != "Concat" || !channels || first == second {
            continue;
        }
        nodes[before] = None;
        if let Some(conv) = &mut nodes[i] {
            conv.inputs[0] = Some(first);
            conv.inputs.resize(SECOND, None);
            conv.inputs.push(Some(second));
            conv.fused.operators.push("Concat".to_owned());
        }
    }
}
