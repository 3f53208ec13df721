//! The activation that a network ends in, which is taken off to get logits.

use super::budget::Purpose;
use super::graph::Graph;
use super::op::APART;
use super::program::Node;
use super::run::Swap;
use super::summary::SIDES;
use super::value::Value;
use burn::tensor::Tensor;

/// The activation that a network ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalActivation {
    /// Of each output on its own.
    Sigmoid,
    /// Over the classes.
    Softmax,
    /// Its logarithm; log-probabilities are logits too.
    LogSoftmax,
}

/// The node of a final activation.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub node: usize,
    activation: FinalActivation,
    /// Casts between it and the output.
    casts: Vec<usize>,
    /// Whether anything between it and the output changes dimensions.
    moved: bool,
}

impl Graph {
    /// The activation that output number `output` ends in, if it is one that can be taken off: any sigmoid, and a softmax over
    /// the classes, which are dimension 1 of the output.
    pub fn final_activation(&self, output: usize) -> Option<FinalActivation> {
        self.ending(output).map(|ending| ending.activation)
    }

    pub(super) fn ending(&self, output: usize) -> Option<&Ending> {
        self.endings().get(output)?.get_or_init(|| self.find_ending(output)).as_ref()
    }

    fn find_ending(&self, output: usize) -> Option<Ending> {
        let ending = self.last_activation(output)?;
        if ending.activation == FinalActivation::Sigmoid {
            return Some(ending);
        }
        let rank = self.program().outputs.get(output).and_then(|(_, port)| port.dims.as_ref().map(Vec::len));
        let over_classes = match rank.filter(|_| !ending.moved) {
            Some(rank) => is_over_classes(&self.program().nodes[ending.node], rank),
            None => None,
        };
        over_classes.unwrap_or_else(|| self.tried_over_classes(output, &ending)).then_some(ending)
    }

    /// The last node that does more than move values, if it is an activation that could be taken off.
    fn last_activation(&self, output: usize) -> Option<Ending> {
        let program = self.program();
        let mut slot = program.outputs.get(output)?.0;
        let (mut casts, mut moved) = (Vec::new(), false);
        loop {
            let i = program.nodes.iter().rposition(|node| node.outputs.first() == Some(&Some(slot)))?;
            let node = &program.nodes[i];
            // Whether anything else reads what comes out is no matter: only what this output needs is run.
            let activation = match node.op_type.as_str() {
                "Sigmoid" => Some(FinalActivation::Sigmoid),
                "Softmax" => Some(FinalActivation::Softmax),
                "LogSoftmax" => Some(FinalActivation::LogSoftmax),
                "Identity" | "Dropout" => None,
                // Logits cast to whole numbers would be worth nothing.
                "Cast" if super::gradient::cast_to(node)?.is_float() => {
                    casts.push(i);
                    None
                }
                "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Transpose" => {
                    moved = true;
                    None
                }
                _ => return None,
            };
            if let Some(activation) = activation {
                return Some(Ending { node: i, activation, casts, moved });
            }
            slot = node.inputs.first().copied().flatten()?;
        }
    }

    /// Whether the softmax normalises over dimension 1 of the output, found by running the graph with the softmax giving
    /// the places of its elements in place of probabilities.
    fn tried_over_classes(&self, output: usize, ending: &Ending) -> bool {
        let swap = Swap { pass: ending.casts.clone(), places: Some(ending.node) };
        let found = SIDES.iter().find_map(|&side| {
            let feeds = self.image_feeds(Tensor::zeros(self.input_near(side), self.device())).ok()?;
            let mut values =
                self.execute(feeds, &[self.output_slot(output)], swap.clone(), Purpose::Probe, None).ok()?;
            values.pop()
        });
        let Some(Value::Host(places)) = found else { return false };
        let [_, classes, rest @ ..] = &places.shape[..] else { return false };
        if !matches!(rest.len(), 0 | 2) || places.is_empty() {
            return false;
        }
        let (classes, inner) = (*classes, rest.iter().product::<usize>());
        let values = places.to_ints();
        // The number in its sum is that of the class, and all classes of a place are of one sum.
        values.iter().enumerate().all(|(i, &place)| {
            let (class, first) = (i / inner % classes, i / (inner * classes) * inner * classes + i % inner);
            place % APART == class as i64 && place / APART == values[first] / APART
        })
    }
}

/// Whether a softmax whose output has `rank` dimensions normalises over dimension 1 alone; `None` where that depends on their
/// sizes.
fn is_over_classes(node: &Node, rank: usize) -> Option<bool> {
    let old = node.opset < 13;
    let axis = node.attributes.int("axis").unwrap_or(if old { 1 } else { -1 });
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    match rank {
        2 | 4 if axis != 1 => Some(false),
        2 => Some(true),
        // Before version 13 everything from the axis on was one.
        4 if old => None,
        4 => Some(true),
        _ => Some(false),
    }
}
