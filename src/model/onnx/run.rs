//! Running a [`Program`]: each node once, each tensor freed at its last use.

use super::budget;
use super::op::Call;
use super::program::{Constant, Node, Program, Slot};
use super::value::Value;
use super::weight::Weights;
use burn::tensor::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Sees each node after it ran.
pub trait Observer {
    /// Called with what went in (shapes) and what came out, and the bytes that live on edges now.
    fn ran(&mut self, node: &Node, inputs: &[Option<Vec<usize>>], outputs: &[Value], live: u64);
}

/// What some nodes do in a run in place of what they are there for.
#[derive(Clone, Debug, Default)]
pub struct Swap {
    /// These pass their first input on as it is.
    pub pass: Vec<usize>,
    /// This one, a softmax, gives numbers that tell where each element stands: see `op::softmax_places`.
    pub places: Option<usize>,
}

impl Swap {
    /// `node` passes on what it gets.
    pub fn pass(node: usize) -> Self {
        Self { pass: vec![node], places: None }
    }
}

/// All that a run needs.
pub struct Run<'a> {
    /// What to compute.
    pub program: &'a Program,
    /// Its weights.
    pub weights: &'a Weights,
    /// Where to compute.
    pub device: &'a Device,
    /// What is done otherwise.
    pub swap: Swap,
    /// Bytes that may lie on edges at one time.
    pub budget: u64,
    /// Who watches.
    pub observer: Option<&'a mut dyn Observer>,
}

/// The values on edges, and how many times each is still read.
struct Edges {
    values: Vec<Option<Value>>,
    reads: Vec<u32>,
    live: u64,
}

impl Edges {
    fn set(&mut self, slot: Slot, value: Value) {
        if self.reads[slot] > 0 {
            self.live += value.bytes();
            self.values[slot] = Some(value);
        }
    }

    /// The value for one read: moved at the last.
    fn read(&mut self, slot: Slot) -> Option<Value> {
        self.reads[slot] = self.reads[slot].saturating_sub(1);
        if self.reads[slot] > 0 {
            return self.values[slot].clone();
        }
        let value = self.values[slot].take();
        self.live -= value.as_ref().map_or(0, Value::bytes);
        value
    }
}

impl Run<'_> {
    /// The values of `targets` for these `feeds`.
    ///
    /// # Errors
    /// One line naming the node that failed, with the shapes of its inputs.
    pub fn run(mut self, feeds: Vec<(Slot, Value)>, targets: &[Slot]) -> Result<Vec<Value>, String> {
        let program = self.program;
        let needed = program.needed(targets);
        let mut reads = vec![0; program.names.len()];
        for (node, _) in program.nodes.iter().zip(&needed).filter(|(_, needed)| **needed) {
            node.reads(&mut |slot| reads[slot] += 1);
        }
        for &slot in targets {
            reads[slot] += 1;
        }
        let mut edges = Edges { values: vec![None; reads.len()], reads, live: 0 };
        for (slot, value) in feeds {
            edges.set(slot, value);
        }
        for (i, node) in program.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
            crate::model::check_wanted().map_err(|error| error.to_string())?;
            self.node(node, Some(i), &mut edges)?;
        }
        targets
            .iter()
            .map(|&slot| {
                self.read(slot, &mut edges).ok_or_else(|| format!("{:?} was not computed", program.names[slot]))
            })
            .collect()
    }

    fn read(&self, slot: Slot, edges: &mut Edges) -> Option<Value> {
        match &self.program.constants[slot] {
            Some(Constant::Host(host)) => Some(Value::Host(host.clone())),
            Some(Constant::Weight(number)) => Some(Value::Float(self.weights.tensors.get(*number)?.value())),
            None => edges.read(slot),
        }
    }

    fn node(&mut self, node: &Node, number: Option<usize>, edges: &mut Edges) -> Result<(), String> {
        let inputs = node
            .inputs
            .iter()
            .map(|slot| match slot {
                None => Ok(None),
                Some(slot) => self.read(*slot, edges).map(Some).ok_or_else(|| {
                    format!("{} needs {:?}, which was not given", node.label(), self.program.names[*slot])
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<Option<Vec<usize>>> = inputs.iter().map(|v| v.as_ref().map(Value::shape)).collect();
        let outputs = if number.is_some_and(|i| self.swap.pass.contains(&i)) {
            inputs.into_iter().flatten().take(1).collect()
        } else if number.is_some() && number == self.swap.places {
            vec![Value::Host(super::op::softmax_places(node, shapes.first().cloned().flatten().unwrap_or_default())?)]
        } else if node.branches.is_empty() {
            budget::within(self.budget.saturating_sub(edges.live), || call(node, inputs, self.device))
                .map_err(|cause| format!("{} on {} failed: {cause}", node.label(), words(&shapes)))?
        } else {
            self.branch(node, inputs, edges)?
        };
        if let Some(observer) = self.observer.as_mut() {
            observer.ran(node, &shapes, &outputs, edges.live);
        }
        for (slot, value) in node.outputs.iter().zip(outputs) {
            if let Some(slot) = slot {
                edges.set(*slot, value);
            }
        }
        Ok(())
    }

    /// If: one of two graphs, by a condition that is read back.
    fn branch(&mut self, node: &Node, inputs: Vec<Option<Value>>, edges: &mut Edges) -> Result<Vec<Value>, String> {
        let fail = |cause: &str| format!("{} failed: {cause}", node.label());
        let condition = inputs.into_iter().flatten().next().ok_or_else(|| fail("it has no condition"))?;
        let condition = condition.into_host().map_err(|e| fail(&e))?.to_bools();
        let [condition] = condition[..] else { return Err(fail("its condition is not a single value")) };
        let block = node.branches.get(usize::from(!condition)).ok_or_else(|| fail("it lacks a branch"))?;
        for inner in &block.nodes {
            self.node(inner, None, edges)?;
        }
        let outputs = block
            .outputs
            .iter()
            .map(|&slot| self.read(slot, edges).ok_or_else(|| fail("a branch does not make its output")))
            .collect::<Result<Vec<_>, _>>()?;
        // What only the other branch would have read.
        for (i, other) in node.branches.iter().enumerate() {
            if i != usize::from(!condition) {
                let unread = Node { branches: vec![other.clone()], inputs: Vec::new(), ..node.clone() };
                unread.reads(&mut |slot| drop(self.read(slot, edges)));
            }
        }
        Ok(outputs)
    }
}

/// One operation. What it should have refused and did not, it still does not take down the program with.
pub fn call(node: &Node, inputs: Vec<Option<Value>>, device: &Device) -> Result<Vec<Value>, String> {
    let mut call = Call { node, inputs, device };
    catch_unwind(AssertUnwindSafe(|| (node.operator.run)(&mut call))).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it does not say why");
        Err(format!("the tensor library gave up ({})", message.lines().next().unwrap_or_default()))
    })
}

/// `[1, 3, 8, 8] and [4, 3, 3, 3]`.
fn words(shapes: &[Option<Vec<usize>>]) -> String {
    let shapes: Vec<String> = shapes.iter().flatten().map(|s| format!("{s:?}")).collect();
    if shapes.is_empty() { "no input".to_owned() } else { shapes.join(" and ") }
}
