//! Where gradients end: nodes that compute from the values of their inputs and let no gradient back to them (a cast to whole numbers,
//! ArgMax, rounding, a comparison used as data). Found by walking the graph, so that a gradient of zero is never a riddle.
//!
//! What depends on the input's shape only (Shape, and what is computed of it) loses nothing. Nor does a choice between two
//! tensors by a comparison (Where, If): its gradient is that of the chosen one.

use super::graph::Graph;
use super::host::ElementType;
use super::program::{Constant, Node, Program, Slot};
use std::collections::BTreeSet;

/// A node where a gradient ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its name.
    pub node: String,
    /// Its operator, with what it casts to.
    pub operator: String,
}

/// How the gradient of an output reaches the inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GradientFlow {
    /// Whether it reaches them on some way.
    pub reaches: bool,
    /// Whether the output depends on the inputs' values at all.
    pub depends: bool,
    /// Where it ends on the others, in the order of the graph.
    pub cuts: Vec<Cut>,
}

impl GradientFlow {
    /// All cuts, by operator: `Cast to int64 (node a); Round (nodes b, c)`.
    pub fn words(&self) -> String {
        let mut operators: Vec<&str> = Vec::new();
        for cut in &self.cuts {
            if !operators.contains(&cut.operator.as_str()) {
                operators.push(&cut.operator);
            }
        }
        let one = |operator: &str| {
            let nodes = self.cuts.iter().filter(|c| c.operator == operator).map(|c| c.node.as_str());
            super::with_nodes(operator, &nodes.collect::<Vec<_>>())
        };
        operators.into_iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// What an output of a node takes from an input of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its values, and the gradient comes back.
    Carries,
    /// Its values, and no gradient comes back.
    Cuts,
    /// Which of the other inputs is taken.
    Chooses,
    /// Its shape or type.
    Shape,
}

/// From input `i` to output `o` of `node`.
fn way(program: &Program, node: &Node, i: usize, o: usize) -> Way {
    let keeps = |float: bool| if float { Way::Carries } else { Way::Cuts };
    match (node.op_type.as_str(), i, o) {
        ("Shape" | "Size" | "EyeLike", ..) | ("CastLike", 1, _) | ("Dropout", _, 1) => Way::Shape,
        ("Where" | "If", 0, _) => Way::Chooses,
        ("Cast", ..) => keeps(cast_to(node).is_none_or(ElementType::is_float)),
        ("CastLike", ..) => keeps(like(program, node).is_none_or(ElementType::is_float)),
        (
            "ArgMax" | "ArgMin" | "NonZero" | "Floor" | "Ceil" | "Round" | "Sign" | "Hardmax" | "OneHot" | "Range"
            | "ConstantOfShape" | "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or"
            | "Xor" | "Not" | "IsNaN" | "IsInf" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "BitwiseNot" | "BitShift",
            ..,
        )
        | ("TopK" | "MaxPool", _, 1) => Way::Cuts,
        // Settings that are inputs.
        ("Reshape" | "Expand" | "Tile" | "Squeeze" | "Unsqueeze" | "Slice" | "Compress" | "Trilu", 1.., _) => Way::Cuts,
        ("Scatter" | "ScatterElements" | "ScatterND", ..) => {
            let adds = node.attributes.text("reduction").is_none_or(|how| matches!(how, "none" | "add"));
            keeps(i != 1 && adds)
        }
        ("GridSample", 1, _) => keeps(node.attributes.text("mode") != Some("nearest")),
        _ => keeps(!node.operator.settings.contains(&i)),
    }
}

/// What a Cast casts to, if it is a type that is computed with.
pub(super) fn cast_to(node: &Node) -> Option<ElementType> {
    node.attributes.int("to").and_then(|to| i32::try_from(to).ok()).and_then(ElementType::from_onnx)
}

/// The type that CastLike casts to, where it is known before a run.
fn like(program: &Program, node: &Node) -> Option<ElementType> {
    let slot = node.inputs.get(1).copied().flatten()?;
    match &program.constants[slot] {
        Some(Constant::Host(host)) => Some(host.element),
        Some(Constant::Weight(_)) => Some(ElementType::F32),
        None => program.inputs.iter().find(|(input, _)| *input == slot).and_then(|(_, port)| port.element),
    }
}

/// A graph seen from its edges.
struct Walk<'a> {
    program: &'a Program,
    /// All nodes, those of branches before the node that chooses between them.
    nodes: Vec<&'a Node>,
    /// For each edge the node that makes it, and as which of its outputs.
    maker: Vec<Option<(usize, usize)>>,
    /// Edges that a gradient can go back from to an input.
    carries: Vec<bool>,
    /// Edges that depend on the values of an input.
    depends: Vec<bool>,
}

impl<'a> Walk<'a> {
    fn new(program: &'a Program) -> Self {
        let count = program.names.len();
        let (carries, depends) = (vec![false; count], vec![false; count]);
        let mut walk = Self { program, nodes: Vec::new(), maker: vec![None; count], carries, depends };
        for (slot, _) in &program.inputs {
            (walk.carries[*slot], walk.depends[*slot]) = (true, true);
        }
        program.nodes.iter().for_each(|node| walk.add(node));
        walk
    }

    fn add(&mut self, node: &'a Node) {
        node.branches.iter().flat_map(|block| &block.nodes).for_each(|inner| self.add(inner));
        for (o, slot) in node.outputs.iter().enumerate() {
            let Some(slot) = *slot else { continue };
            let (mut carries, mut depends) = (false, false);
            for (from, way) in self.ways(node, o) {
                carries |= way == Way::Carries && self.carries[from];
                depends |= way != Way::Shape && self.depends[from];
            }
            (self.carries[slot], self.depends[slot]) = (carries, depends);
            self.maker[slot] = Some((self.nodes.len(), o));
        }
        self.nodes.push(node);
    }

    /// What output `o` of `node` is made of.
    fn ways(&self, node: &Node, o: usize) -> Vec<(Slot, Way)> {
        let inputs = node.inputs.iter().enumerate();
        let mut ways: Vec<_> =
            inputs.filter_map(|(i, slot)| slot.map(|slot| (slot, way(self.program, node, i, o)))).collect();
        ways.extend(node.branches.iter().filter_map(|block| Some((*block.outputs.get(o)?, Way::Carries))));
        ways
    }

    fn flow(&self, output: Slot) -> GradientFlow {
        let reaches = self.carries[output];
        let (mut seen, mut cuts) = (BTreeSet::from([output]), BTreeSet::new());
        let mut open = vec![output];
        while let Some(slot) = open.pop() {
            let Some((i, o)) = self.maker[slot] else { continue };
            for (from, way) in self.ways(self.nodes[i], o) {
                // What only chooses matters where nothing else is left.
                if !self.depends[from] || way == Way::Shape || way == Way::Chooses && reaches {
                    continue;
                }
                if way != Way::Carries && self.carries[from] {
                    cuts.insert(i);
                }
                if seen.insert(from) {
                    open.push(from);
                }
            }
        }
        let cut = |i: usize| {
            let node = self.nodes[i];
            let operator = match cast_to(node).filter(|_| node.op_type == "Cast") {
                Some(element) => format!("Cast to {}", element.name()),
                None => node.op_type.clone(),
            };
            Cut { node: node.name.clone(), operator }
        };
        GradientFlow { reaches, depends: self.depends[output], cuts: cuts.into_iter().map(cut).collect() }
    }
}

impl Graph {
    /// How the gradient of output number `output` reaches the inputs.
    pub fn gradient_flow(&self, output: usize) -> GradientFlow {
        match self.program().outputs.get(output) {
            Some((slot, _)) => Walk::new(self.program()).flow(*slot),
            None => GradientFlow::default(),
        }
    }
}
