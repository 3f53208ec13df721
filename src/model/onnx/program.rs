//! A graph ready to run: nodes in an order in which each finds its inputs, edges as numbered slots.

use super::attribute::Attributes;
use super::host::{ElementType, HostTensor};
use super::op::Operator;
use crate::kernel::{Activation, Linear};
use crate::model::Layout;
use burn::tensor::Tensor;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of an edge.
pub type Slot = usize;

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this.
    Fixed(usize),
    /// Any, and the same wherever this name stands.
    Named(String),
    /// Any.
    Unknown,
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Named(name) => write!(f, "{name}"),
            Self::Unknown => write!(f, "?"),
        }
    }
}

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements, if the file says it.
    pub element: Option<ElementType>,
    /// Its dimensions, if the file says them: of images and maps in the order images, channels, rows, columns.
    pub dims: Option<Vec<Dim>>,
    /// How these lie in the file.
    pub layout: Layout,
}

impl Port {
    /// What belongs to images, channels, rows and columns, in the file's order.
    pub(super) fn in_file<T: Clone>(&self, of_axes: [T; 4]) -> [T; 4] {
        match self.layout {
            Layout::Nchw => of_axes,
            Layout::Nhwc => [0, 2, 3, 1].map(|axis: usize| of_axes[axis].clone()),
        }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.element.map_or("?", ElementType::name))?;
        match &self.dims {
            Some(dims) => {
                let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
                let dims = <[String; 4]>::try_from(dims).map_or_else(|dims| dims, |dims| self.in_file(dims).to_vec());
                write!(f, "[{}]", dims.join(", "))
            }
            None => write!(f, "[…]"),
        }
    }
}

/// A value that does not depend on the inputs.
#[derive(Clone, Debug)]
pub enum Constant {
    /// On the host.
    Host(HostTensor),
    /// The number of a weight.
    Weight(usize),
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the file, or one made of its operator and output.
    pub name: String,
    /// What it does.
    pub operator: &'static Operator,
    /// Its name in the file's words, for messages.
    pub op_type: String,
    /// Its settings.
    pub attributes: Attributes,
    /// Where its inputs come from; an optional one may be absent.
    pub inputs: Vec<Option<Slot>>,
    /// Where its outputs go; nobody may want one.
    pub outputs: Vec<Option<Slot>>,
    /// The version of the operator set that it is written in.
    pub opset: i64,
    /// The branches of If: then, else.
    pub branches: Vec<Block>,
    /// What else it does, once `fuse` has put other nodes into it.
    pub fused: Fused,
}

/// Nodes that were put into one.
#[derive(Clone, Debug, Default)]
pub struct Fused {
    /// Their operators.
    pub operators: Vec<String>,
    /// Clamps the output.
    pub activation: Activation,
    /// Of a product with a matrix that is constant, as what is added is: the layer that computes it, once it is made.
    pub linear: Option<Kept>,
}

/// A layer that is made at its first use, and again when its weights are others.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Option<Linear>>>);

impl Kept {
    /// See [`Linear::new`].
    pub fn linear(&self, weight: &Tensor<2>, turned: bool, bias: Option<&Tensor<1>>) -> Option<Linear> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(|kept| kept.is_of(weight, bias)) {
            *kept = Linear::new(weight.clone(), turned, bias.cloned());
        }
        kept.clone()
    }
}

/// The body of a branch. It sees the edges around it.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// In order.
    pub nodes: Vec<Node>,
    /// What it gives back.
    pub outputs: Vec<Slot>,
}

impl Node {
    /// The slots that it reads, those of its branches included.
    pub fn reads(&self, read: &mut dyn FnMut(Slot)) {
        self.inputs.iter().flatten().copied().for_each(&mut *read);
        for block in &self.branches {
            block.nodes.iter().for_each(|node| node.reads(read));
            block.outputs.iter().copied().for_each(&mut *read);
        }
    }

    /// Its name and operator, for messages.
    pub fn label(&self) -> String {
        format!("{} (node {})", self.op_type, self.name)
    }
}

/// All of a graph but the weights' values.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The version of the operator set that the file is written in.
    pub opset: i64,
    /// In order.
    pub nodes: Vec<Node>,
    /// The name of each slot.
    pub names: Vec<String>,
    /// What each slot holds from the beginning.
    pub constants: Vec<Option<Constant>>,
    /// What is fed.
    pub inputs: Vec<(Slot, Port)>,
    /// What is wanted.
    pub outputs: Vec<(Slot, Port)>,
    /// Other files of the model's folder that hold its weights, by name.
    pub beside: BTreeSet<String>,
}

impl Program {
    /// A new slot.
    pub fn slot(&mut self, name: &str) -> Slot {
        self.names.push(name.to_owned());
        self.constants.push(None);
        self.names.len() - 1
    }

    /// Which nodes must run to fill the `targets`.
    pub fn needed(&self, targets: &[Slot]) -> Vec<bool> {
        let mut wanted = vec![false; self.names.len()];
        for &slot in targets {
            wanted[slot] = true;
        }
        let mut needed = vec![false; self.nodes.len()];
        for (node, needed) in self.nodes.iter().zip(&mut needed).rev() {
            if node.outputs.iter().flatten().any(|&slot| wanted[slot]) {
                *needed = true;
                node.reads(&mut |slot| wanted[slot] = true);
            }
        }
        needed
    }
}
