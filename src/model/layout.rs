//! In which order images, channels, rows and columns lie in what a graph takes and gives.

use super::extent::extent;
use super::guess::{USUAL_MULTIPLE, fixed};
use super::onnx::{Graph, Port, SIDES, Seen};
use super::{Logits, ModelCard};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The order of the axes of images and maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Images, channels, rows, columns: that of ONNX and PyTorch.
    #[default]
    Nchw,
    /// Images, rows, columns, channels: that of TensorFlow and Keras.
    Nhwc,
}

impl Layout {
    /// As cards write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        }
    }

    /// For the axes images, channels, rows and columns the places where they lie.
    pub(in crate::model) fn places(self) -> [usize; 4] {
        match self {
            Self::Nchw => [0, 1, 2, 3],
            Self::Nhwc => [0, 3, 1, 2],
        }
    }
}

/// `graph` with its input and its output number `output` as nchw, whatever they are in the file: that follows from what `card` says,
/// else from the operators, else from the shapes.
///
/// # Errors
/// If the card says otherwise than the operators, or that the channels are last of what is no image and no map, or if operators and
/// shapes leave it open; in words that go on from the file's or the card's name.
pub(super) fn laid(graph: &Graph, output: usize, card: Option<&ModelCard>) -> Result<Graph, String> {
    // Shapes are read as the file has them.
    let file = graph.laid(Layout::Nchw, output, Layout::Nchw);
    let said = card.map_or((None, None), |card| (card.input.layout, card.output.layout));
    let port = file.inputs().next();
    let shape = || port.map_or(Ok(None), of_shape);
    let name = || port.map_or_else(String::new, Port::to_string);
    let input = decided("input", graph.input_layout(), said.0, shape, name, || port.and_then(other_axes))?;
    let with_input = || file.laid(input, output, Layout::Nchw);
    let map = || of_map(&with_input(), output, input);
    let port = file.outputs().nth(output);
    let name = || port.map_or_else(String::new, Port::to_string);
    let lacks = || match port.filter(|port| port.dims.is_some()) {
        Some(port) => other_axes(port),
        None => matches!(tried(&with_input(), output), Some((_, Logits::Class(_)))).then(|| "is no map".to_owned()),
    };
    let output_layout = decided("output", graph.output_layout(output, input), said.1, map, name, lacks)?;
    Ok(graph.laid(input, output, output_layout))
}

/// Whether `graph`, as the file has it, takes an image and neither operators nor its shape tell where the channels of that are.
pub(super) fn untold(graph: &Graph) -> bool {
    let open = |port: &Port| other_axes(port).is_none() && matches!(of_shape(port), Ok(None));
    matches!(graph.input_layout(), Seen::Nothing) && graph.inputs().next().is_some_and(open)
}

/// The layout of an end of the graph, `what`, that `shape` may tell where neither operators nor a card do; `lacks` says why it has no
/// channels that could be last.
fn decided(
    what: &str,
    seen: Seen,
    said: Option<Layout>,
    shape: impl FnOnce() -> Result<Option<Layout>, String>,
    name: impl FnOnce() -> String,
    lacks: impl FnOnce() -> Option<String>,
) -> Result<Layout, String> {
    match (seen, said) {
        (Seen::Layout(seen), Some(said)) if seen != said => Err(contradiction(what, said, seen)),
        (Seen::Layout(seen), _) => Ok(seen),
        (_, Some(Layout::Nhwc)) => match lacks() {
            Some(why) => Err(format!("it says that the graph's {what} is nhwc, and that {why}")),
            None => Ok(Layout::Nhwc),
        },
        (_, Some(said)) => Ok(said),
        // What is written nowhere is as ONNX has it.
        (Seen::Nothing, None) => Ok(shape()?.unwrap_or_default()),
        (Seen::Unclear(why), None) => {
            let refused = || format!("{why}, and {}", unknown(what, &name()));
            shape().ok().flatten().ok_or_else(refused)
        }
    }
}

fn contradiction(what: &str, said: Layout, seen: Layout) -> String {
    format!("it says that the graph's {what} is {}, and the operators take it for {}", said.name(), seen.name())
}

/// That `port` has other axes than images and maps, if it has.
fn other_axes(port: &Port) -> Option<String> {
    let axes = port.dims.as_ref().map(Vec::len).filter(|&axes| axes != 4)?;
    Some(if axes == 1 { "has 1 axis".to_owned() } else { format!("has {axes} axes") })
}

/// What nobody can tell.
fn unknown(what: &str, shape: &str) -> String {
    format!(
        "does not tell whether the channels of its {what}, {shape}, come second or last: a card beside it does, with layout = \"nchw\" \
         or layout = \"nhwc\" under [{what}]"
    )
}

/// Whether `port` is fixed to fewer values along `axis` than along each of `others`.
fn fewest(port: &Port, axis: usize, others: [usize; 2]) -> bool {
    let more = |other| fixed(port, axis).zip(fixed(port, other)).is_some_and(|(few, many)| few < many);
    others.into_iter().all(more)
}

/// The layout of an input that no operator tells: channels are 1, 3 or 4, and images are square where both readings are possible;
/// of other numbers of channels, there are fewer than rows and than columns. `None` if the shape tells nothing.
fn of_shape(port: &Port) -> Result<Option<Layout>, String> {
    if port.dims.as_ref().is_none_or(|dims| dims.len() != 4) {
        return Ok(None);
    }
    let image = |axis: usize| matches!(fixed(port, axis), Some(1 | 3 | 4));
    let square = |a: usize, b: usize| fixed(port, a).is_some() && fixed(port, a) == fixed(port, b);
    match (image(1), image(3)) {
        // One channel, and no image of one row.
        (true, true) if fixed(port, 1) == Some(1) => Ok(Some(Layout::Nchw)),
        (true, true) => match (square(2, 3), square(1, 2)) {
            (true, false) => Ok(Some(Layout::Nchw)),
            (false, true) => Ok(Some(Layout::Nhwc)),
            _ => Err(unknown("input", &port.to_string())),
        },
        (true, false) => Ok(Some(Layout::Nchw)),
        // A network of other channels whose images are as narrow has their height fixed too.
        (false, true) if !(fixed(port, 1).is_some() && square(2, 3)) => Ok(Some(Layout::Nhwc)),
        // The width varies, and the channels do not.
        (false, false) if fixed(port, 1).is_some() && fixed(port, 3).is_none() => Ok(Some(Layout::Nchw)),
        // Images have more rows and columns than channels.
        _ => Ok(match (fewest(port, 1, [2, 3]), fewest(port, 3, [1, 2])) {
            (true, false) => Some(Layout::Nchw),
            (false, true) => Some(Layout::Nhwc),
            _ => None,
        }),
    }
}

/// What output number `output` is of an empty image, with the sides of this; `None` if none that is tried can be run.
fn tried(graph: &Graph, output: usize) -> Option<([usize; 2], Logits)> {
    // Not square where that is possible: a map of a square lies on it in more ways.
    let free = graph.inputs().next().is_some_and(|port| fixed(port, 3).is_none());
    let shape = |side: usize, more: usize| {
        let [batch, channels, height, width] = graph.input_near(side);
        [batch, channels, height, if free { width + more } else { width }]
    };
    let mut shapes: Vec<[usize; 4]> =
        SIDES.iter().flat_map(|&side| [USUAL_MULTIPLE, 0].map(|more| shape(side, more))).collect();
    shapes.dedup();
    shapes.into_iter().find_map(|shape| {
        let x = Tensor::zeros(shape, &graph.device().clone().without_autodiff());
        Some(([shape[2], shape[3]], graph.probe(x, output).ok()?))
    })
}

/// The layout of a map that no operator tells: its rows and columns are those of the image, the image's at another resolution, or
/// its middle. `None` if they tell nothing.
fn of_map(graph: &Graph, output: usize, input: Layout) -> Result<Option<Layout>, String> {
    let port = graph.outputs().nth(output);
    if port.and_then(|port| port.dims.as_ref()).is_some_and(|dims| dims.len() != 4) {
        return Ok(None);
    }
    // What cannot be run says why where it is meant to run.
    let Some((image, Logits::Dense(z))) = tried(graph, output) else { return Ok(None) };
    let map = z.dims();
    let fits = |rows: usize, columns: usize| extent([image, [map[rows], map[columns]]], None).is_ok();
    match (fits(2, 3), fits(1, 2)) {
        (false, true) => Ok(Some(Layout::Nhwc)),
        (true, false) => Ok(Some(Layout::Nchw)),
        // A graph that takes its image with the channels last may give what it likes.
        (true, true) if input == Layout::Nhwc => {
            Err(unknown("output", &format!("{map:?} for {}×{}", image[0], image[1])))
        }
        _ => Ok(None),
    }
}
