//! ONNX graphs as [`Model`]s: a card around an [`onnx::Graph`], read from beside it or guessed from it.

use super::about::{About, Facts};
use super::extent::{Extent, extent};
use super::fit::{Course, Fit, any_size, whole};
use super::guess::{USUAL_MULTIPLE, fixed, guessed};
use super::layout::laid;
use super::memory::usual_bytes;
use super::onnx::{GradientFlow, Graph, Locality, Port};
use super::prepare::{finish, prepare};
use super::recompute::Function;
use super::resize::{Corners, resize};
use super::tiles::Reach;
use super::{Activation, CardFrom, Logits, Model, ModelCard, ModelError, SizeRule, Task, Tiles, Watch};
use burn::tensor::{Device, Tensor};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Networks are run at most at this size to learn what they put out.
const PROBED_AT_MOST: usize = 256;

/// What a person should know of an activation that stays.
const CLAMPED: &str = "the final activation cannot be taken off: logits are log-odds of clamped probabilities, and gradients \
                       vanish where the model is certain";

/// How a note on an output without gradient begins, and one on a gradient that misses something.
const NO_GRADIENT: &str = "forward works, gradient does not: ";
const LESS_GRADIENT: &str = "the gradient is not all of it: ";

/// Why an output called `name` has no gradient, if it has none; or what its gradient misses.
fn gradient_words(flow: &GradientFlow, name: &str) -> (Option<String>, Option<String>) {
    let cuts = flow.words();
    match (flow.reaches, flow.depends) {
        (true, _) if flow.cuts.is_empty() => (None, None),
        (true, _) => (
            None,
            Some(format!("{LESS_GRADIENT}on some ways from the input to {name} it ends, which counts as 0, at {cuts}")),
        ),
        (false, true) => (Some(format!("{NO_GRADIENT}on every way from the input to {name} it ends at {cuts}")), None),
        (false, false) => (Some(format!("{NO_GRADIENT}{name} does not depend on the values of the input")), None),
    }
}

/// An ONNX graph with its card.
#[derive(Clone)]
pub struct OnnxModel {
    card: ModelCard,
    graph: Arc<Graph>,
    /// The number of the output that the card names.
    output: usize,
    /// Why that has no gradient, if it has none.
    no_gradient: Option<String>,
    facts: Arc<Facts>,
    /// Rows and columns that the output of a dense network lacks, once known.
    lost: OnceLock<usize>,
    /// Bytes that a gradient may take, if somebody said so.
    memory: Option<u64>,
}

impl OnnxModel {
    /// Reads the graph at `path` and the card that `card` says; without one, the card is guessed from the graph.
    ///
    /// # Errors
    /// Those of [`Graph::open`], and if the card is unusable or does not fit the graph.
    pub fn open(path: &Path, device: &Device, card: CardFrom<'_>, watch: Watch<'_>) -> Result<Self, ModelError> {
        let graph = Graph::open_watched(path, device, watch)?;
        let mut facts = Facts {
            path: Some(path.to_owned()),
            beside: graph.beside(),
            format: format!("ONNX, opset {}", graph.opset()),
            ..Facts::default()
        };
        let lacking: Vec<String> = graph.unsupported().iter().map(|u| format!("{} ({})", u.node, u.operator)).collect();
        if !lacking.is_empty() {
            facts.notes.push(format!("outputs that need these nodes cannot be computed: {}", lacking.join(", ")));
        }
        let graph = Arc::new(graph);
        let (model, refused) = card.used(path, |card| Self::new(card, graph.clone(), facts.clone()))?;
        if let Some(model) = model {
            return Ok(model);
        }
        facts.refused_card = refused;
        let card = guessed(path, &graph, &mut facts.guessed)?;
        Self::new(card, graph, facts)
    }

    fn new(card: ModelCard, graph: Arc<Graph>, mut facts: Facts) -> Result<Self, ModelError> {
        let fault = |cause: String| ModelError::Card { name: card.name.clone(), cause };
        card.check().map_err(fault)?;
        if card.network.is_some() {
            return Err(fault("it describes a U-Net of this program, and the file is an ONNX graph".to_owned()));
        }
        let output = match &card.output.name {
            Some(name) => graph.outputs().position(|port| port.name == *name).ok_or_else(|| {
                let names: Vec<&str> = graph.outputs().map(|port| port.name.as_str()).collect();
                fault(format!("it names the output {name}, and the graph has {}", names.join(", ")))
            })?,
            None => graph.preferred_output(),
        };
        if !graph.is_supported(output) {
            return Err(fault("the output that it names needs operators that are not supported".to_owned()));
        }
        let graph = Arc::new(laid(&graph, output, Some(&card)).map_err(fault)?);
        if let Some(channels) = graph.inputs().next().and_then(|port| fixed(port, 1))
            && channels != card.channels
        {
            return Err(fault(format!("it says {} channels and the graph takes {channels}", card.channels)));
        }
        // They depend on the card: another one may have said them before.
        facts
            .notes
            .retain(|note| note != CLAMPED && !note.starts_with(NO_GRADIENT) && !note.starts_with(LESS_GRADIENT));
        let port = graph.outputs().nth(output).map_or_else(String::new, |port| port.name.clone());
        let (no_gradient, note) = gradient_words(&graph.gradient_flow(output), &port);
        facts.notes.extend(no_gradient.clone().or(note));
        if card.output.activation != Activation::None && graph.final_activation(output).is_none() {
            facts.notes.push(CLAMPED.to_owned());
        }
        Ok(Self { card, graph, output, no_gradient, facts: facts.into(), lost: OnceLock::new(), memory: None })
    }

    /// Whether the final activation is one that is taken off.
    fn strips(&self) -> bool {
        self.card.output.activation != Activation::None && self.graph.final_activation(self.output).is_some()
    }

    /// How many rows and columns the output lacks of an input (see [`Extent::Inner`]), found by running the network on
    /// empty images the first time.
    fn lost(&self, image: [usize; 2]) -> Result<usize, ModelError> {
        if let Some(lost) = self.lost.get() {
            return Ok(*lost);
        }
        let multiple = match self.card.size_rule {
            SizeRule::MultipleOf(n) => n,
            _ => 1,
        };
        let size = match self.card.size_rule {
            SizeRule::Tile(size) | SizeRule::Resize(size) => size,
            _ => image.map(|side| side.min(PROBED_AT_MOST).div_ceil(multiple) * multiple),
        };
        let run = |size: [usize; 2]| {
            let x = Tensor::zeros([1, self.card.channels, size[0], size[1]], &self.device().without_autodiff());
            match self.graph.probe(x, self.output) {
                Ok(Logits::Dense(z)) => Some([size, [z.dims()[2], z.dims()[3]]]),
                _ => None,
            }
        };
        // What cannot be run says why where it is meant to run.
        let Some(one) = run(size) else { return Ok(0) };
        let step = if multiple > 1 { multiple } else { USUAL_MULTIPLE };
        let other = if one[0] == one[1] { None } else { run(size.map(|side| side + step)) };
        let found = extent(one, other).map_err(|cause| ModelError::Card { name: self.card.name.clone(), cause })?;
        Ok(*self.lost.get_or_init(|| match found {
            Extent::Whole => 0,
            Extent::Inner(lost) => lost,
        }))
    }

    fn network(&self) -> impl Fn(Tensor<4>) -> Result<Logits, ModelError> + Send + Sync + 'static {
        let (graph, output, strips) = (self.graph.clone(), self.output, self.strips());
        move |x| if strips { graph.logits(x, output) } else { graph.forward(x, output) }
    }

    /// The network of a segmentation model, whose map is brought to the size of the image if it is at another resolution (a stride
    /// that was not undone), unless its margins are `lost`.
    fn dense(&self, lost: usize) -> Function {
        let network = self.network();
        Arc::new(move |x: Tensor<4>| {
            let [_, _, height, width] = x.dims();
            match network(x)? {
                Logits::Dense(z) if lost > 0 => Ok(z),
                Logits::Dense(z) => Ok(resize(z, [height, width], Corners::Edges)),
                Logits::Class(_) => Err(ModelError::NotSegmentation),
            }
        })
    }

    fn fit(&self, lost: usize) -> Fit<'_> {
        Fit { rule: self.card.size_rule, unet: None, lost }
    }

    /// Bytes of the gradient at so many pixels.
    fn bytes(&self, pixels: u64) -> u64 {
        self.graph.working_bytes(1, usize::try_from(pixels).unwrap_or(usize::MAX))
    }

    /// As a whole.
    fn whole_bytes(&self, size: [usize; 2]) -> u64 {
        match self.card.size_rule {
            SizeRule::Tile(own) => {
                let tiles = |side: usize, own: usize| side.div_ceil(own).max(1);
                let count = (tiles(size[0], own[0]) * tiles(size[1], own[1])) as u64;
                self.graph.working_bytes(own[0], own[1]).saturating_mul(count)
            }
            SizeRule::Resize([height, width]) => self.graph.working_bytes(height, width),
            SizeRule::Any | SizeRule::MultipleOf(_) => self.graph.working_bytes(size[0], size[1]),
        }
    }

    fn try_course(&self, size: [usize; 2]) -> Result<(Course, Option<Tiles>), String> {
        let (whole, memory) = (self.whole_bytes(size), self.memory.unwrap_or_else(usual_bytes));
        // Most images fit, and nobody asks how they would be cut.
        if whole <= memory {
            return Ok((Course::Whole, None));
        }
        if self.card.task == Task::Classification {
            return Err("the model looks at whole images".to_owned());
        }
        let lost = self.lost(size).map_err(|error| error.to_string())?;
        let multiple = match self.card.size_rule {
            SizeRule::MultipleOf(n) => n,
            _ => 1,
        };
        let reach = || {
            if lost > 0 {
                return Err("its convolutions do not pad".to_owned());
            }
            let Locality { step, differ } = self.graph.locality(self.output, self.card.channels, multiple)?;
            // The least common multiple: tiles are of sizes that the network takes.
            let step = (1..).map(|n| n * step).find(|n| n % multiple == 0).unwrap_or(step);
            Ok(Reach::Padded { step, halo: differ.next_multiple_of(step) })
        };
        self.fit(lost).course(size, self.card.channels, (whole, memory), reach, |pixels| self.bytes(pixels))
    }

    /// How an image is computed with; whole, if it is refused anyway.
    fn course(&self, size: [usize; 2]) -> Course {
        self.try_course(size).map_or(Course::Whole, |(course, _)| course)
    }
}

impl Model for OnnxModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let x = prepare(x, &self.card)?;
        let put_out = match self.card.task {
            Task::Classification => self.network()(whole(x, self.card.size_rule))?,
            Task::Segmentation => {
                let [_, _, height, width] = x.dims();
                let lost = self.lost([height, width])?;
                let course = self.course([height, width]);
                Logits::Dense(any_size(x, self.fit(lost), &course, &self.dense(lost))?)
            }
        };
        finish(put_out, &self.card, self.strips())
    }

    fn raw(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let [_, _, height, width] = x.dims();
        let (graph, output) = (self.graph.clone(), self.output);
        let Course::Tiles(plan) = self.course([height, width]) else { return graph.forward(x, output) };
        let network: Function = Arc::new(move |x| match graph.forward(x, output)? {
            Logits::Dense(z) => Ok(z),
            Logits::Class(_) => Err(ModelError::NotSegmentation),
        });
        Ok(Logits::Dense(plan.run(&x, &network)?))
    }

    fn lacks_gradient(&self) -> Option<&str> {
        self.no_gradient.as_deref()
    }

    fn facts(&self) -> Facts {
        (*self.facts).clone()
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        match self.tiles(height, width) {
            Ok(Some(tiles)) => tiles.needed,
            _ => self.whole_bytes([height, width]),
        }
    }

    fn tiles(&self, height: usize, width: usize) -> Result<Option<Tiles>, String> {
        Ok(self.try_course([height, width])?.1)
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn within(&self, bytes: u64) -> Option<Arc<dyn Model>> {
        let graph = Arc::new(self.graph.within(bytes));
        Some(Arc::new(Self { memory: Some(bytes), graph, ..self.clone() }))
    }

    fn about(&self, size: [usize; 2]) -> About {
        let [height, width] = match self.card.size_rule {
            SizeRule::Tile(size) | SizeRule::Resize(size) => size,
            SizeRule::MultipleOf(n) => size.map(|side| side.max(1).div_ceil(n) * n),
            SizeRule::Any => size,
        };
        let words = |port: &Port| port.to_string();
        let summary = self.graph.summary([1, self.card.channels, height, width]).ok();
        let parameters = summary.as_ref().map_or(0, |summary| summary.parameters as u64);
        About {
            facts: self.facts(),
            inputs: self.graph.inputs().map(words).collect(),
            outputs: self.graph.outputs().map(words).collect(),
            output_names: self.graph.outputs().map(|port| port.name.clone()).collect(),
            operators: summary.as_ref().map_or_else(Vec::new, |summary| summary.operators.clone()),
            parameters,
            weight_bytes: 4 * parameters,
            size: [height, width],
            flops: summary.map(|summary| summary.flops),
            gradient_bytes: self.working_bytes(height, width),
        }
    }

    fn with_card(&self, card: ModelCard) -> Result<Arc<dyn Model>, ModelError> {
        let facts = Facts { guessed: Vec::new(), refused_card: None, ..(*self.facts).clone() };
        Ok(Arc::new(Self { memory: self.memory, ..Self::new(card, self.graph.clone(), facts)? }))
    }

    fn device(&self) -> Device {
        self.graph.device().clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { graph: Arc::new(self.graph.to_device(device)), ..self.clone() })
    }
}
