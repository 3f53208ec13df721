//! A loaded graph, and running it.

use super::budget::{Purpose, is_refusal};
use super::build::{Unsupported, build};
use super::ending::Ending;
use super::fold::fold;
use super::fuse::fuse;
use super::host::ElementType;
use super::layout::Laid;
use super::program::{Constant, Dim, Node, Port, Program, Slot};
use super::proto::Reader;
use super::run::{Observer, Run, Swap};
use super::summary::{Growth, Stored};
use super::value::Value;
use super::weight::{Weights, upload_weights};
use crate::model::{Logits, ModelError, Watch};
use burn::backend::TensorMetadata;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A file larger than this is refused: Protocol Buffers end at 2 GiB, larger models keep their weights beside them.
const MOST_FILE_BYTES: u64 = 2 << 30;

/// What would help with a file that is not understood.
const HINT: &str = "Open an ONNX model of a network for 2-D images, exported in evaluation mode";

/// What would help with a file that ends too early, or was no model.
const WHOLE: &str = "Copy or export it again";

/// What would help with an input that a graph does not take.
const OTHER_INPUT: &str =
    "Give it an image that fits, or a card that says to which size and channels images are brought";

/// An ONNX model, ready to run on one device.
#[derive(Clone, Debug)]
pub struct Graph {
    path: PathBuf,
    program: Arc<Program>,
    weights: Weights,
    device: Device,
    unsupported: Vec<Unsupported>,
    stored: Arc<Stored>,
    /// If its ends are not those of the file.
    laid: Option<Laid>,
    /// Bytes that an image may take, if somebody said so.
    memory: Option<u64>,
    /// Measured when it is first asked for.
    growth: Arc<OnceLock<Option<Growth>>>,
    /// For each output, found when it is first asked for.
    endings: Arc<[OnceLock<Option<Ending>>]>,
}

impl Graph {
    /// Reads the model at `path`, with the weights that lie in other files of its folder, onto `device`.
    ///
    /// # Errors
    /// If the file is missing, cut short or no ONNX model, is damaged in itself, needs operators that are not
    /// supported for every one of its outputs, or takes volumes.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::open_watched(path, device, Watch::nobody())
    }

    /// [`Graph::open`] while `watch` hears how much of the file is read, and may cancel it.
    ///
    /// # Errors
    /// As there, and if it was cancelled.
    pub fn open_watched(path: &Path, device: &Device, watch: Watch<'_>) -> Result<Self, ModelError> {
        let fail = |cause: String| ModelError::file(path, cause, "Check the name, and who may read it");
        let file = File::open(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let about = file.metadata().map_err(|e| fail(format!("cannot be read ({e})")))?;
        if !about.is_file() || about.len() > MOST_FILE_BYTES {
            return Err(fail("is not a file of at most 2 GiB".to_owned()));
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::new(path, Reader::new(watch.reader(file, about.len()), about.len()), Some(folder), device)
    }

    /// Reads a model from memory. `name` stands for the file in messages; weights in other files are refused.
    ///
    /// # Errors
    /// As [`Graph::open`].
    pub fn from_bytes(name: &str, bytes: &[u8], device: &Device) -> Result<Self, ModelError> {
        Self::new(Path::new(name), Reader::of(bytes), None, device)
    }

    fn new(path: &Path, reader: Reader<'_>, folder: Option<&Path>, device: &Device) -> Result<Self, ModelError> {
        let fail = |cause: String| {
            let hint = if cause.starts_with("is damaged") { WHOLE } else { HINT };
            ModelError::file(path, cause, hint)
        };
        let (mut program, unsupported) = build(reader, folder).map_err(fail)?;
        for (_, port) in &program.inputs {
            if port.element.is_none_or(ElementType::is_float) && port.dims.as_ref().is_some_and(|d| d.len() == 5) {
                return Err(fail(format!("takes volumes ({port}), and 2-D images only are supported")));
            }
        }
        let stored = Arc::new(Stored::of(&program));
        fold(&mut program);
        fuse(&mut program);
        let weights = upload_weights(&mut program, device);
        let endings = unknown_endings(&program);
        let graph = Self {
            path: path.to_owned(),
            program: Arc::new(program),
            weights,
            device: device.clone(),
            unsupported,
            stored,
            laid: None,
            memory: None,
            growth: Arc::default(),
            endings,
        };
        if (0..graph.program.outputs.len()).all(|output| !graph.is_supported(output)) {
            return Err(ModelError::file(path, graph.unsupported_words(), super::supported_words()));
        }
        Ok(graph)
    }

    /// What it takes, weights excluded.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &Port> {
        self.program.inputs.iter().map(|(_, port)| port)
    }

    /// What it gives.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &Port> {
        self.program.outputs.iter().map(|(_, port)| port)
    }

    /// The version of ONNX's operators that it is written in.
    pub fn opset(&self) -> i64 {
        self.program.opset
    }

    /// The other files that hold weights of it.
    pub fn beside(&self) -> Vec<PathBuf> {
        self.program.beside.iter().map(|name| self.path.with_file_name(name)).collect()
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Its weights, after folding.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same graph with other weights, of the same shapes: trained, or loaded.
    #[must_use]
    pub fn with_weights(self, weights: Weights) -> Self {
        Self { weights, ..self }
    }

    /// The same graph on another device.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        Self { weights: self.weights.clone().fork(device), device: device.clone(), ..self.clone() }
    }

    /// The same graph, in which no image takes more than so many bytes between its nodes.
    #[must_use]
    pub fn within(&self, bytes: u64) -> Self {
        Self { memory: Some(bytes), ..self.clone() }
    }

    /// The same weights in another program, which `laid` tells if it is not the file's.
    pub(super) fn of_program(&self, program: Arc<Program>, laid: Option<Laid>) -> Self {
        Self { laid, endings: unknown_endings(&program), growth: Arc::default(), program, ..self.clone() }
    }

    /// Nodes that cannot be computed. Outputs that need one are not supported; others are.
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// Whether output number `output` can be computed.
    pub fn is_supported(&self, output: usize) -> bool {
        let Some((slot, _)) = self.program.outputs.get(output) else { return false };
        let needed = self.program.needed(&[*slot]);
        let lacking = |node: &Node| std::ptr::eq(node.operator, &super::op::UNSUPPORTED);
        !self.program.nodes.iter().zip(needed).any(|(node, needed)| needed && lacking(node))
    }

    /// The output that is taken where nobody says which: the first that can be computed and differentiated, else the first
    /// that can be computed.
    pub fn preferred_output(&self) -> usize {
        let supported = || (0..self.outputs().len()).filter(|&output| self.is_supported(output));
        supported().find(|&output| self.gradient_flow(output).reaches).or_else(|| supported().next()).unwrap_or(0)
    }

    /// All operators that are missing, with the nodes that want them.
    fn unsupported_words(&self) -> String {
        let mut operators: Vec<&str> = self.unsupported.iter().map(|u| u.operator.as_str()).collect();
        operators.sort_unstable();
        operators.dedup();
        let words: Vec<String> = operators
            .into_iter()
            .map(|operator| {
                let nodes = self.unsupported.iter().filter(|u| u.operator == operator).map(|u| u.node.as_str());
                super::with_nodes(operator, &nodes.collect::<Vec<_>>())
            })
            .collect();
        format!("needs operators that are not supported: {}", words.join("; "))
    }

    /// The float output number `output` for images `x`, `[batch, channels, height, width]`, tracked by autodiff if `x` is.
    /// The only input without a default takes `x`.
    ///
    /// # Errors
    /// If `x` does not fit the graph, or the output is neither a map, `[batch, classes, height, width]` (or without the
    /// dimension of classes), nor `[batch, classes]`.
    pub fn forward(&self, x: Tensor<4>, output: usize) -> Result<Logits, ModelError> {
        self.forward_to(x, output, Swap::default(), Purpose::Result)
    }

    /// [`Graph::forward`] to find something out.
    pub(in crate::model) fn probe(&self, x: Tensor<4>, output: usize) -> Result<Logits, ModelError> {
        self.forward_to(x, output, Swap::default(), Purpose::Probe)
    }

    /// As [`Graph::forward`], without the final activation, if there is one: logits.
    ///
    /// # Errors
    /// As [`Graph::forward`].
    pub fn logits(&self, x: Tensor<4>, output: usize) -> Result<Logits, ModelError> {
        let swap = self.ending(output).map_or_else(Swap::default, |ending| Swap::pass(ending.node));
        self.forward_to(x, output, swap, Purpose::Result)
    }

    fn forward_to(&self, x: Tensor<4>, output: usize, swap: Swap, why: Purpose) -> Result<Logits, ModelError> {
        let (slot, _) =
            self.program.outputs.get(output).ok_or_else(|| self.error(format!("has no output {output}")))?;
        // A graph for so many images at once takes more of them in turns.
        let [batch, ..] = x.dims();
        let fixed = self.program.inputs.first().and_then(|(_, port)| port.dims.as_ref()?.first());
        if let Some(&Dim::Fixed(size)) = fixed
            && batch > size
            && batch.is_multiple_of(size)
        {
            let part = |first: usize| self.forward_to(x.clone().narrow(0, first, size), output, swap.clone(), why);
            return self.joined((0..batch).step_by(size).map(part).collect::<Result<_, _>>()?);
        }
        let feeds = self.image_feeds(x)?;
        let mut values = self.execute(feeds, &[*slot], swap, why, None)?;
        let value = values.pop().ok_or_else(|| self.error("gave no output".to_owned()))?;
        self.as_logits(value)
    }

    /// The logits of some images after each other.
    fn joined(&self, parts: Vec<Logits>) -> Result<Logits, ModelError> {
        let (mut dense, mut class) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Logits::Dense(z) => dense.push(z),
                Logits::Class(z) => class.push(z),
            }
        }
        match (dense.is_empty(), class.is_empty()) {
            (false, true) => Ok(Logits::Dense(Tensor::cat(dense, 0))),
            (true, false) => Ok(Logits::Class(Tensor::cat(class, 0))),
            _ => Err(self.error("gives maps of some images and classes of others".to_owned())),
        }
    }

    /// The image as the graph's input, checked against what it says of it.
    pub(super) fn image_feeds(&self, x: Tensor<4>) -> Result<Vec<(Slot, Value)>, ModelError> {
        let [(slot, port)] = &self.program.inputs[..] else {
            let names: Vec<String> = self.inputs().map(ToString::to_string).collect();
            return Err(self.error(format!("takes {} inputs ({}) and not one image", names.len(), names.join(", "))));
        };
        let dims = x.dims();
        if let Some(expected) = &port.dims {
            let fits = expected.len() == 4
                && expected.iter().zip(dims).all(|(expected, given)| match expected {
                    Dim::Fixed(n) => *n == given,
                    _ => true,
                });
            if !fits {
                let given = port.in_file(dims);
                return Err(ModelError::file(&self.path, format!("takes {port} and was given {given:?}"), OTHER_INPUT));
            }
        }
        Ok(vec![(*slot, Value::Float(x.into_dispatch()))])
    }

    fn as_logits(&self, value: Value) -> Result<Logits, ModelError> {
        let shape = value.shape();
        if !value.is_float() {
            return Err(self.error(format!("gives {} where floats are needed", value.element().name())));
        }
        if shape.contains(&0) {
            return Err(self.error(format!("gives an empty output of shape {shape:?}")));
        }
        let tensor = value.into_float(&self.device);
        Ok(match shape[..] {
            // Global pooling without a Flatten behind it.
            [batch, classes, 1, 1] => Logits::Class(Tensor::<4>::from_dispatch(tensor).reshape([batch, classes])),
            [_, _, _, _] => Logits::Dense(Tensor::from_dispatch(tensor)),
            [batch, height, width] => {
                Logits::Dense(Tensor::<3>::from_dispatch(tensor).reshape([batch, 1, height, width]))
            }
            [_, _] => Logits::Class(Tensor::from_dispatch(tensor)),
            [batch] => Logits::Class(Tensor::<1>::from_dispatch(tensor).reshape([batch, 1])),
            _ => return Err(self.error(format!("gives an output of shape {shape:?}, which is no map and no class"))),
        })
    }

    /// The outputs called `outputs` for the inputs given by name. Floats live on the device, all else on the host.
    ///
    /// # Errors
    /// If a name is unknown, an input is missing, or a node fails.
    pub fn run(&self, inputs: Vec<(&str, Value)>, outputs: &[&str]) -> Result<Vec<Value>, ModelError> {
        let mut feeds = Vec::with_capacity(inputs.len());
        for (name, value) in inputs {
            let input = self.program.inputs.iter().find(|(_, port)| port.name == name);
            let (slot, _) = input.ok_or_else(|| self.error(format!("has no input {name:?}")))?;
            feeds.push((*slot, value));
        }
        let targets = outputs
            .iter()
            .map(|name| {
                let output = self.program.outputs.iter().find(|(_, port)| port.name == *name);
                output.map(|(slot, _)| *slot).ok_or_else(|| self.error(format!("has no output {name:?}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.execute(feeds, &targets, Swap::default(), Purpose::Result, None)
    }

    pub(super) fn execute<'a>(
        &'a self,
        feeds: Vec<(Slot, Value)>,
        targets: &[Slot],
        swap: Swap,
        why: Purpose,
        observer: Option<&'a mut (dyn Observer + 'a)>,
    ) -> Result<Vec<Value>, ModelError> {
        let images = feeds.first().and_then(|(_, value)| value.shape().first().copied()).unwrap_or(1);
        let budget = why.bytes(self.memory, images, feeds.iter().map(|(_, value)| value.bytes()).sum());
        let run = Run { program: &self.program, weights: &self.weights, device: &self.device, swap, budget, observer };
        run.run(feeds, targets).map_err(|cause| {
            let hint = if is_refusal(&cause) { why.remedy() } else { OTHER_INPUT };
            ModelError::file(&self.path, format!("cannot be run: {cause}"), hint)
        })
    }

    pub(super) fn stored(&self) -> &Stored {
        &self.stored
    }

    pub(super) fn growth(&self) -> &OnceLock<Option<Growth>> {
        &self.growth
    }

    pub(super) fn endings(&self) -> &[OnceLock<Option<Ending>>] {
        &self.endings
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn shared_program(&self) -> &Arc<Program> {
        &self.program
    }

    /// How its ends were changed, if they were.
    pub(super) fn ends(&self) -> Option<&Laid> {
        self.laid.as_ref()
    }

    pub(super) fn output_slot(&self, output: usize) -> Slot {
        self.program.outputs[output].0
    }

    /// Channels that the first convolution takes, for a graph whose input does not say.
    pub(in crate::model) fn channels(&self) -> usize {
        let conv = self.program.nodes.iter().find(|node| node.op_type == "Conv");
        let weight = conv.and_then(|node| match &self.program.constants[(*node.inputs.get(1)?)?] {
            Some(Constant::Weight(number)) => self.weights.tensors.get(*number),
            _ => None,
        });
        weight.map_or(3, |w| w.value().shape()[1])
    }

    pub(super) fn error(&self, cause: String) -> ModelError {
        ModelError::file(&self.path, cause, HINT)
    }
}

fn unknown_endings(program: &Program) -> Arc<[OnceLock<Option<Ending>>]> {
    program.outputs.iter().map(|_| OnceLock::new()).collect()
}
