//! What a graph is made of and what it costs: operators, weights, floating-point operations, memory.

use super::budget::Purpose;
use super::graph::Graph;
use super::program::{Constant, Dim, Node, Program};
use super::run::{Observer, Swap};
use super::value::Value;
use crate::model::ModelError;
use burn::tensor::Tensor;
use std::collections::BTreeMap;
use std::time::Instant;

/// Sides of the images on which a graph is tried.
pub(in crate::model) const SIDES: [usize; 5] = [64, 128, 224, 256, 299];

/// What a graph is made of, and what one forward pass of an input costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Operators of the file by name, and how many nodes have each.
    pub operators: Vec<(String, usize)>,
    /// Floats that the file stores as weights.
    pub parameters: usize,
    /// The input, `[batch, channels, height, width]`.
    pub input: [usize; 4],
    /// The preferred output.
    pub output: Vec<usize>,
    /// Floating-point operations of a forward pass; a multiplication with an addition counts as two.
    pub flops: u64,
    /// The most bytes that lie on edges at one time, weights excluded.
    pub peak_live_bytes: u64,
}

/// What a file holds, before anything of it is folded or put together.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    operators: Vec<(String, usize)>,
    parameters: usize,
}

impl Stored {
    /// Of a program as it was built.
    pub fn of(program: &Program) -> Self {
        let mut operators = BTreeMap::new();
        for node in &program.nodes {
            *operators.entry(node.op_type.clone()).or_insert(0) += 1;
        }
        let floats = |constant: &Constant| match constant {
            Constant::Host(host) if host.element.is_float() => host.len(),
            _ => 0,
        };
        let parameters = program.constants.iter().flatten().map(floats).sum();
        Self { operators: operators.into_iter().collect(), parameters }
    }
}

/// What was seen of a run.
#[derive(Default)]
struct Trace {
    flops: u64,
    peak: u64,
    /// For each node in order: bytes that a gradient keeps of it.
    kept: Vec<u64>,
    largest: u64,
}

impl Observer for Trace {
    fn ran(&mut self, node: &Node, inputs: &[Option<Vec<usize>>], outputs: &[Value], live: u64) {
        let floats: u64 = outputs.iter().filter(|v| !matches!(v, Value::Host(_))).map(Value::bytes).sum();
        let read: u64 = inputs.first().into_iter().flatten().map(|s| s.iter().product::<usize>() as u64 * 4).sum();
        self.peak = self.peak.max(live + floats + if floats > 0 { read } else { 0 });
        let pointwise = outputs.first().map_or(0, |v| v.shape().iter().map(|&d| d as u64).product());
        self.flops += flops(node, inputs, outputs) + pointwise * node.fused.operators.len() as u64;
        self.kept.push(floats.saturating_mul(kept(node)));
        self.largest = self.largest.max(floats);
    }
}

/// Sees how long nodes take, on a device that computes at once.
struct Clock {
    last: Instant,
    found: BTreeMap<String, (f64, usize)>,
}

impl Observer for Clock {
    fn ran(&mut self, node: &Node, inputs: &[Option<Vec<usize>>], _: &[Value], _: u64) {
        let now = Instant::now();
        let operators: Vec<&str> =
            [node.op_type.as_str()].into_iter().chain(node.fused.operators.iter().map(String::as_str)).collect();
        let kernel = match (node.op_type.as_str(), inputs.get(1)) {
            ("Conv" | "ConvTranspose", Some(Some(weight))) => format!(" {:?}", weight.get(2..).unwrap_or_default()),
            _ => String::new(),
        };
        let (seconds, nodes) = self.found.entry(operators.join("+") + &kernel).or_default();
        *seconds += (now - self.last).as_secs_f64();
        *nodes += 1;
        self.last = now;
    }
}

/// How many tensors of the size of its output a gradient keeps of a node that is several operations.
fn kept(node: &Node) -> u64 {
    match node.op_type.as_str() {
        "Resize" | "Upsample" if node.attributes.text("mode").is_some_and(|m| m != "nearest") => 4,
        "InstanceNormalization" | "GroupNormalization" | "LayerNormalization" | "LRN" => 4,
        "Mish" | "Softplus" | "Elu" | "Selu" | "HardSwish" | "PRelu" | "GridSample" => 3,
        _ => 1,
    }
}

/// Floating-point operations of a node.
fn flops(node: &Node, inputs: &[Option<Vec<usize>>], outputs: &[Value]) -> u64 {
    let count = |shape: &[usize]| shape.iter().map(|&d| d as u64).product::<u64>();
    let Some(Value::Float(_)) = outputs.first() else { return 0 };
    let output = count(&outputs[0].shape());
    let shape = |i: usize| inputs.get(i).and_then(Option::as_ref).map(Vec::as_slice).unwrap_or_default();
    match node.op_type.as_str() {
        // The weight is [outputs, inputs of a group, kernel…], or [inputs, outputs of a group, kernel…].
        "Conv" | "DeformConv" => 2 * output * shape(1).get(1..).map_or(0, count),
        "ConvTranspose" => 2 * count(shape(0)) * shape(1).get(1..).map_or(0, count),
        "MatMul" => 2 * output * shape(0).last().map_or(0, |&k| k as u64),
        "Gemm" => 2 * output * (count(shape(0)) / outputs[0].shape().first().map_or(1, |&m| m.max(1) as u64)),
        "MaxPool" | "AveragePool" | "LpPool" => {
            output * node.attributes.ints("kernel_shape").map_or(1, |k| k.iter().product::<i64>().unsigned_abs())
        }
        name if name.starts_with("Reduce") || name.starts_with("Global") => count(shape(0)),
        // These only move.
        "Identity" | "Reshape" | "Transpose" | "Concat" | "Slice" | "Split" | "Gather" | "Pad" | "Flatten"
        | "Squeeze" | "Unsqueeze" | "Expand" | "Tile" | "Dropout" | "Cast" | "DepthToSpace" | "SpaceToDepth" => 0,
        _ => output * kept(node),
    }
}

/// Two runs of different sizes, from which others are estimated.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    /// Pixels of each run.
    pixels: [f64; 2],
    /// Bytes that a gradient keeps, node by node.
    kept: [Vec<u64>; 2],
    /// Bytes of the largest tensor.
    largest: [u64; 2],
}

impl Graph {
    /// What the graph is made of, and what a forward pass of `input`, `[batch, channels, height, width]`, costs; found by
    /// running it once.
    ///
    /// # Errors
    /// If it does not take such an input.
    pub fn summary(&self, input: [usize; 4]) -> Result<Summary, ModelError> {
        let (trace, output) = self.trace(input)?;
        let Stored { operators, parameters } = self.stored().clone();
        Ok(Summary { operators, parameters, input, output, flops: trace.flops, peak_live_bytes: trace.peak })
    }

    /// The seconds that each kind of operator takes in a forward pass of `x`, with the number of its nodes, the longest first:
    /// the second of two runs.
    ///
    /// # Errors
    /// If the graph does not take `x`.
    pub fn times(&self, x: Tensor<4>) -> Result<Vec<(String, f64, usize)>, ModelError> {
        let target = self.output_slot(self.preferred_output());
        let mut found = BTreeMap::new();
        for _ in 0..2 {
            let mut clock = Clock { last: Instant::now(), found: BTreeMap::new() };
            self.execute(self.image_feeds(x.clone())?, &[target], Swap::default(), Purpose::Result, Some(&mut clock))?;
            found = clock.found;
        }
        let mut times: Vec<_> = found.into_iter().map(|(name, (seconds, nodes))| (name, seconds, nodes)).collect();
        times.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(times)
    }

    fn trace(&self, input: [usize; 4]) -> Result<(Trace, Vec<usize>), ModelError> {
        let mut trace = Trace::default();
        let feeds = self.image_feeds(Tensor::zeros(input, self.device()))?;
        let target = self.output_slot(self.preferred_output());
        let values = self.execute(feeds, &[target], Swap::default(), Purpose::Probe, Some(&mut trace))?;
        Ok((trace, values.first().map(Value::shape).unwrap_or_default()))
    }

    /// A size that the graph takes, as near to `side`² as it allows.
    pub fn input_near(&self, side: usize) -> [usize; 4] {
        let dims = self.inputs().next().and_then(|port| port.dims.clone()).unwrap_or_default();
        let at = |i: usize, default: usize| match dims.get(i) {
            Some(Dim::Fixed(n)) => *n,
            _ => default,
        };
        [at(0, 1), at(1, self.channels()), at(2, side), at(3, side)]
    }

    /// Bytes that the gradient of one image of `height` × `width` takes at its peak, about: what autodiff keeps of each
    /// node, measured at two small sizes and carried on along its own power of the number of pixels, and the largest tensor
    /// three times more, for what comes back. 0 if the graph cannot be run at any size that was tried.
    pub fn working_bytes(&self, height: usize, width: usize) -> u64 {
        let growth = self.growth().get_or_init(|| {
            SIDES.iter().find_map(|&side| {
                let (a, b) = (self.input_near(side), self.input_near(2 * side));
                let (first, _) = self.trace(a).ok()?;
                let second = if a == b { None } else { Some(self.trace(b).ok()?.0) };
                let (kept, largest) = (first.kept, first.largest);
                let (kept_b, largest_b) = second.map_or_else(|| (kept.clone(), largest), |s| (s.kept, s.largest));
                let pixels = [a, b].map(|s| (s[2] * s[3]) as f64);
                Some(Growth { pixels, kept: [kept, kept_b], largest: [largest, largest_b] })
            })
        });
        let Some(growth) = growth else { return 0 };
        let pixels = height as f64 * width as f64;
        let carried = |a: u64, b: u64| {
            let (a, b) = (a as f64, b as f64);
            let ratio = growth.pixels[1] / growth.pixels[0];
            let power = if a > 0.0 && b > 0.0 && ratio > 1.0 { (b / a).ln() / ratio.ln() } else { 0.0 };
            b * (pixels / growth.pixels[1]).powf(power)
        };
        let kept: f64 = growth.kept[0].iter().zip(&growth.kept[1]).map(|(&a, &b)| carried(a, b)).sum();
        (kept + 3.0 * carried(growth.largest[0], growth.largest[1])) as u64
    }
}
