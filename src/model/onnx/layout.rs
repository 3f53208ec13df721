//! Where the channels lie. ONNX's operators of images have them on axis 1 (NCHW); graphs of TensorFlow and Keras often take and give
//! images with the channels last (NHWC) and transpose in between. The axes are followed from the input to the first such operator, and
//! from those to the output; what lies otherwise gets a transposition at its end, so that nobody else needs to know.

use super::attribute::{Attribute, Attributes};
use super::graph::Graph;
use super::locality::POINTWISE;
use super::op;
use super::program::{Dim, Fused, Node, Port, Program, Slot};
use crate::model::Layout;
use std::collections::HashMap;
use std::sync::Arc;

/// What the axes of an edge are.
type Axes = [usize; 4];

/// Images, channels, rows, columns, as the operators of images have them.
const IMAGES: Axes = [0, 1, 2, 3];

/// Operators whose first input is of images, and whose output is.
const OF_IMAGES: &[&str] = &[
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GridSample",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LpPool",
    "MaxPool",
    "SpaceToDepth",
];

/// Operators, beside those that compute each value by itself, that leave the axes where they are.
const LEAVES: &[&str] = &["Concat", "LogSoftmax", "Pad", "Resize", "Slice", "Softmax", "Upsample", "Where"];

/// The transposition from NCHW to NHWC, and back.
pub(super) const TO_LAST: [i64; 4] = [0, 2, 3, 1];
pub(super) const TO_SECOND: [i64; 4] = [0, 3, 1, 2];

/// A graph whose ends were changed.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    /// As the file has it.
    pub file: Arc<Program>,
    input: Layout,
    output: (usize, Layout),
}

/// The setting of a transposition of four axes.
fn perm(node: &Node) -> Option<Axes> {
    let perm: [i64; 4] = node.attributes.ints("perm")?.try_into().ok()?;
    perm.map(|axis| usize::try_from(axis).ok().filter(|&axis| axis < 4))
        .iter()
        .copied()
        .collect::<Option<Vec<_>>>()?
        .try_into()
        .ok()
}

/// What the axes of `node`'s output are, if those of what it reads are `read`.
fn moved(node: &Node, read: Axes) -> Option<Axes> {
    match node.op_type.as_str() {
        "Transpose" => Some(perm(node)?.map(|axis| read[axis])),
        name if name.starts_with("Reduce") => (node.attributes.int("keepdims").unwrap_or(1) != 0).then_some(read),
        name if POINTWISE.contains(&name) || LEAVES.contains(&name) => Some(read),
        _ => None,
    }
}

/// Follows axes through the graph. `images` hears what the axes are of what an operator of images reads; where they are not known,
/// what it gives is of images if `makes`.
fn follow(
    program: &Program,
    seed: Option<(Slot, Axes)>,
    makes: bool,
    mut images: impl FnMut(Axes),
) -> HashMap<Slot, Axes> {
    let mut known: HashMap<Slot, Axes> = seed.into_iter().collect();
    for node in &program.nodes {
        let axes = |slot: &Slot| known.get(slot).copied();
        let made = if OF_IMAGES.contains(&node.op_type.as_str()) {
            let read = node.inputs.first().and_then(|slot| axes(&(*slot)?));
            read.into_iter().for_each(&mut images);
            read.or(makes.then_some(IMAGES))
        } else {
            let mut read = node.inputs.iter().flatten().filter_map(axes);
            let first = read.next();
            let agree = read.all(|other| Some(other) == first);
            first.filter(|_| agree).and_then(|read| moved(node, read))
        };
        if let (Some(made), Some(slot)) = (made, node.outputs.first().copied().flatten()) {
            known.insert(slot, made);
        }
    }
    known
}

/// A transposition that no file has.
fn transposition(name: &str, perm: &[i64], from: Slot, to: Slot, opset: i64) -> Option<Node> {
    let mut attributes = Attributes::default();
    attributes.insert("perm", Attribute::Ints(perm.to_vec()));
    Some(Node {
        name: name.to_owned(),
        operator: op::find("", "Transpose")?,
        op_type: "Transpose".to_owned(),
        attributes,
        inputs: vec![Some(from)],
        outputs: vec![Some(to)],
        opset,
        branches: Vec::new(),
        fused: Fused::default(),
    })
}

/// What `node` becomes if it undoes a transposition of `slot`: it passes on what that reads, `from`.
fn undone(node: &Node, from: Slot) -> Option<Node> {
    let operator = op::find("", "Identity")?;
    Some(Node {
        operator,
        op_type: "Identity".to_owned(),
        inputs: vec![Some(from)],
        attributes: Attributes::default(),
        ..node.clone()
    })
}

/// `port` with dimensions that are those of the file in other places.
fn turned(port: &Port, layout: Layout) -> Port {
    let turned = |dims: &Vec<Dim>| match dims.len() {
        4 => layout.places().map(|place| dims[place].clone()).to_vec(),
        _ => dims.clone(),
    };
    Port { dims: port.dims.as_ref().map(turned), layout, ..port.clone() }
}

impl Graph {
    /// The program as the file has it.
    fn file_program(&self) -> &Arc<Program> {
        self.ends().map_or_else(|| self.shared_program(), |laid| &laid.file)
    }

    /// How the image that is its only input lies in the file, if an operator of images tells.
    ///
    /// # Errors
    /// If it is neither of both; in words that go on from the file's name.
    pub(in crate::model) fn input_layout(&self) -> Result<Option<Layout>, String> {
        let program = self.file_program();
        let [(slot, _)] = &program.inputs[..] else { return Ok(None) };
        let mut found = None;
        follow(program, Some((*slot, IMAGES)), false, |axes| found = found.or(Some(axes)));
        match found {
            None => Ok(None),
            Some([0, 1, _, _]) => Ok(Some(Layout::Nchw)),
            Some([0, 3, _, _]) => Ok(Some(Layout::Nhwc)),
            Some([0, axis, _, _]) => {
                Err(format!("takes the channels from axis {axis} of its input, and neither from 1 nor from 3"))
            }
            Some([axis, ..]) => Err(format!("takes axis {axis} of its input for the images, and not the first")),
        }
    }

    /// How output number `output` lies in the file, if an operator of images tells, for an input that lies as `input`.
    ///
    /// # Errors
    /// If it is neither of both; in words that go on from the file's name.
    pub(in crate::model) fn output_layout(&self, output: usize, input: Layout) -> Result<Option<Layout>, String> {
        let program = self.file_program();
        let Some((slot, port)) = program.outputs.get(output) else { return Ok(None) };
        if port.dims.as_ref().is_some_and(|dims| dims.len() != 4) {
            return Ok(None);
        }
        let axes = match input {
            Layout::Nchw => IMAGES,
            Layout::Nhwc => [0, 2, 3, 1],
        };
        let seed = program.inputs.first().map(|(slot, _)| (*slot, axes));
        match follow(program, seed, true, |_| {}).get(slot) {
            None => Ok(None),
            Some([0, 1, ..]) => Ok(Some(Layout::Nchw)),
            Some([0, _, _, 1]) => Ok(Some(Layout::Nhwc)),
            Some(other) => {
                let names = other.map(|axis| ["images", "channels", "rows", "columns"][axis]);
                Err(format!("has an output whose axes are {}: neither nchw nor nhwc", names.join(", ")))
            }
        }
    }

    /// The same graph whose input and whose output number `output` are NCHW, if they lie in the file as said.
    #[must_use]
    pub(in crate::model) fn laid(&self, input: Layout, output: usize, layout: Layout) -> Self {
        let plain = input == Layout::Nchw && layout == Layout::Nchw;
        let same = match self.ends() {
            None => plain,
            Some(laid) => laid.input == input && laid.output == (output, layout),
        };
        if same {
            return self.clone();
        }
        let file = self.file_program().clone();
        if plain {
            return self.of_program(file, None);
        }
        let mut program = (*file).clone();
        if input == Layout::Nhwc {
            enter(&mut program);
        }
        if layout == Layout::Nhwc {
            leave(&mut program, output);
        }
        self.of_program(Arc::new(program), Some(Laid { file, input, output: (output, layout) }))
    }
}

/// Lets the program take NCHW where it takes NHWC.
fn enter(program: &mut Program) {
    let Some((old, port)) = program.inputs.first().cloned() else { return };
    let new = program.slot(&port.name);
    let Some(node) = transposition("channels last", &TO_LAST, new, old, program.opset) else { return };
    for node in &mut program.nodes {
        let undoes = node.op_type == "Transpose" && node.inputs.first() == Some(&Some(old));
        if undoes && node.attributes.ints("perm") == Some(&TO_SECOND[..]) {
            *node = undone(node, new).unwrap_or_else(|| node.clone());
        }
    }
    program.nodes.insert(0, node);
    program.inputs[0] = (new, turned(&port, Layout::Nhwc));
}

/// Lets the program give NCHW where it gives NHWC.
fn leave(program: &mut Program, output: usize) {
    let Some((old, port)) = program.outputs.get(output).cloned() else { return };
    let new = program.slot(&port.name);
    let maker = program.nodes.iter().find(|node| node.outputs.first() == Some(&Some(old)));
    let before = maker.filter(|node| node.op_type == "Transpose" && node.attributes.ints("perm") == Some(&TO_LAST[..]));
    let before = before.and_then(|node| node.inputs.first().copied().flatten());
    let Some(mut node) = transposition("channels second", &TO_SECOND, old, new, program.opset) else { return };
    if let Some(before) = before {
        node = undone(&node, before).unwrap_or(node);
    }
    program.nodes.push(node);
    program.outputs[output] = (new, turned(&port, Layout::Nhwc));
}
