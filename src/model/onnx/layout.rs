//! Where the channels lie. ONNX's operators of images have them on axis 1 (NCHW); graphs of TensorFlow and Keras often take and give
//! images with the channels last (NHWC) and transpose in between. The axes are followed from the input to the first such operator, and
//! from those to the output; what lies otherwise gets a transposition at its end, so that nobody else needs to know.

use super::attribute::{Attribute, Attributes};
use super::graph::Graph;
use super::locality::POINTWISE;
use super::op;
use super::program::{Constant, Dim, Fused, Node, Port, Program, Slot};
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
const LEAVES: &[&str] = &[
    "Concat",
    "Expand",
    "LayerNormalization",
    "LogSoftmax",
    "Pad",
    "Resize",
    "Slice",
    "Softmax",
    "Split",
    "Tile",
    "Upsample",
    "Where",
];

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

/// What is known of the axes of what depends on the image.
#[derive(Clone, Copy)]
enum Way {
    /// All of them.
    Known(Axes),
    /// Nothing, because an operator on the way is not followed; whether a transposition lies on it, too.
    Lost { turned: bool },
}

/// What operators tell of how an end of a graph lies in the file.
pub(in crate::model) enum Seen {
    /// That it is one of the two.
    Layout(Layout),
    /// Neither; why, in words that go on from the file's name.
    Unclear(String),
    /// They have nothing to say.
    Nothing,
}

/// What the axes of `node`'s output are, if those of what it reads are `read`; `alone` if it reads nothing else of the image.
fn moved(program: &Program, node: &Node, read: Axes, alone: bool) -> Option<Axes> {
    let leaves = match node.op_type.as_str() {
        "Transpose" => return Some(perm(node)?.map(|axis| read[axis])),
        // One number would take the axis away.
        "Gather" => {
            let index = node.inputs.get(1).copied().flatten().and_then(|slot| program.constants.get(slot)?.as_ref());
            matches!(index, Some(Constant::Host(index)) if index.shape.len() == 1)
        }
        // A layer along the last axis, or rows that are mixed.
        "MatMul" => alone,
        name if name.starts_with("Reduce") => node.attributes.int("keepdims").unwrap_or(1) != 0,
        name => POINTWISE.contains(&name) || LEAVES.contains(&name),
    };
    leaves.then_some(read)
}

/// What an operator that is not of images makes of what it reads, if that depends on the image.
fn passed(program: &Program, node: &Node, ways: &HashMap<Slot, Way>) -> Option<Way> {
    // The size of an image is none.
    if matches!(node.op_type.as_str(), "Shape" | "Size") {
        return None;
    }
    let read: Vec<Way> = node.inputs.iter().flatten().filter_map(|slot| ways.get(slot).copied()).collect();
    let mut known = read.iter().filter_map(|way| match way {
        Way::Known(axes) => Some(*axes),
        Way::Lost { .. } => None,
    });
    let first = known.next();
    let agree = known.all(|other| Some(other) == first);
    let made = first.filter(|_| agree).and_then(|axes| moved(program, node, axes, read.len() == 1));
    let turned = |way: &Way| match way {
        Way::Known(axes) => *axes != IMAGES,
        Way::Lost { turned } => *turned,
    };
    let lost = Way::Lost { turned: node.op_type == "Transpose" || read.iter().any(turned) };
    made.map(Way::Known).or_else(|| (!read.is_empty()).then_some(lost))
}

/// Follows axes through the graph. `images` hears what is known of what an operator of images reads; where the axes are not known,
/// what it gives is of images if `makes`.
fn follow(
    program: &Program,
    seed: Option<(Slot, Axes)>,
    makes: bool,
    mut images: impl FnMut(Way),
) -> HashMap<Slot, Way> {
    let mut ways: HashMap<Slot, Way> = seed.into_iter().map(|(slot, axes)| (slot, Way::Known(axes))).collect();
    for node in &program.nodes {
        let made = if OF_IMAGES.contains(&node.op_type.as_str()) {
            let read = node.inputs.first().and_then(|slot| ways.get(&(*slot)?).copied());
            read.into_iter().for_each(&mut images);
            match read {
                Some(Way::Known(_)) => read,
                _ if makes => Some(Way::Known(IMAGES)),
                _ => read,
            }
        } else {
            passed(program, node, &ways)
        };
        let outputs = if node.op_type == "Split" { node.outputs.len() } else { 1 };
        if let Some(made) = made {
            ways.extend(node.outputs.iter().take(outputs).flatten().map(|slot| (*slot, made)));
        }
    }
    ways
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

    /// How the image that is its only input lies in the file, as operators of images take it.
    pub(in crate::model) fn input_layout(&self) -> Seen {
        let program = self.file_program();
        let [(slot, _)] = &program.inputs[..] else { return Seen::Nothing };
        let mut heard = Vec::new();
        follow(program, Some((*slot, IMAGES)), false, |way| heard.push(way));
        let known = || {
            heard.iter().filter_map(|way| match way {
                Way::Known(axes) => Some(*axes),
                Way::Lost { .. } => None,
            })
        };
        // Those that take rows and columns as such go before; some graphs mix rows as if they were channels.
        let upright = |axes: Axes| known().any(|other| other == axes);
        let layout = match (upright(IMAGES), upright([0, 3, 1, 2])) {
            // One of them mixes columns as if they were channels, and nobody knows which.
            (true, true) => {
                return Seen::Unclear(
                    "takes the channels from axis 1 of its input, and from axis 3 elsewhere".to_owned(),
                );
            }
            (true, false) => Some(Layout::Nchw),
            (false, true) => Some(Layout::Nhwc),
            (false, false) => known().find_map(|axes| match axes {
                [0, 1, ..] => Some(Layout::Nchw),
                [0, 3, ..] => Some(Layout::Nhwc),
                _ => None,
            }),
        };
        let turned = heard.iter().any(|way| matches!(way, Way::Lost { turned: true }));
        match (layout, known().next()) {
            (Some(layout), _) => Seen::Layout(layout),
            (None, Some([0, axis, ..])) => Seen::Unclear(format!(
                "takes the channels from axis {axis} of its input, and neither from 1 nor from 3"
            )),
            (None, Some([axis, ..])) => {
                Seen::Unclear(format!("takes axis {axis} of its input for the images, and not the first"))
            }
            (None, None) if turned => {
                Seen::Unclear("transposes its input behind an operator whose axes are not followed".to_owned())
            }
            (None, None) => Seen::Nothing,
        }
    }

    /// How output number `output` lies in the file, as operators of images give it, for an input that lies as `input`.
    pub(in crate::model) fn output_layout(&self, output: usize, input: Layout) -> Seen {
        let program = self.file_program();
        let Some((slot, port)) = program.outputs.get(output) else { return Seen::Nothing };
        if port.dims.as_ref().is_some_and(|dims| dims.len() != 4) {
            return Seen::Nothing;
        }
        let axes = match input {
            Layout::Nchw => IMAGES,
            Layout::Nhwc => [0, 2, 3, 1],
        };
        let seed = program.inputs.first().map(|(slot, _)| (*slot, axes));
        match follow(program, seed, true, |_| {}).get(slot) {
            None | Some(Way::Lost { .. }) => Seen::Nothing,
            Some(Way::Known([0, 1, ..])) => Seen::Layout(Layout::Nchw),
            Some(Way::Known([0, _, _, 1])) => Seen::Layout(Layout::Nhwc),
            Some(Way::Known(other)) => {
                let names = other.map(|axis| ["images", "channels", "rows", "columns"][axis]);
                Seen::Unclear(format!("has an output whose axes are {}: neither nchw nor nhwc", names.join(", ")))
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
