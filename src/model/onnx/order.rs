//! The order of nodes.

use super::build::DEEPEST;
use super::messages::NodeProto;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Names that a node reads: its inputs and, for branches, what they read from outside.
fn reads(node: &NodeProto, names: &mut HashSet<String>, depth: usize) {
    names.extend(node.input.iter().filter(|n| !n.is_empty()).cloned());
    if depth < DEEPEST {
        for graph in node.attribute.iter().filter_map(|a| a.g.as_ref()) {
            graph.node.iter().for_each(|node| reads(node, names, depth + 1));
            names.extend(graph.output.iter().map(|o| o.name.clone()));
        }
    }
}

/// The nodes in an order in which each comes after those that it reads, otherwise as they stood.
pub fn sorted(nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, String> {
    let makers: HashMap<&str, usize> =
        nodes.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i))).collect();
    let mut readers = vec![Vec::new(); nodes.len()];
    let mut waits = vec![0usize; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        let mut names = HashSet::new();
        reads(node, &mut names, 0);
        let from: HashSet<usize> = names.iter().filter_map(|n| makers.get(n.as_str()).copied()).collect();
        waits[i] = from.len();
        for maker in from {
            readers[maker].push(i);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|&i| waits[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &reader in &readers[i] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if order.len() < nodes.len() {
        let stuck = (0..nodes.len()).find(|&i| waits[i] > 0).unwrap_or(0);
        let NodeProto { name, op_type, output, .. } = &nodes[stuck];
        let name = match (name.as_str(), output.first()) {
            ("", Some(output)) => format!("making {output}"),
            ("", None) => "without a name".to_owned(),
            (name, _) => name.to_owned(),
        };
        return Err(format!("goes in a circle through {op_type} (node {name})"));
    }
    drop(makers);
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}
