//! The card of an ONNX graph that came without one, guessed from its shapes and activations.

use super::extent::{Extent, extent};
use super::layout::{laid, untold};
use super::onnx::{Dim, FinalActivation, Graph, Port};
use super::{
    Activation, ClassInfo, Head, InputRule, Layout, ModelCard, ModelError, OutputRule, SizeRule, Task, card_file,
};
use std::path::Path;

/// Dense networks that go down and up again seldom halve more than five times.
pub(super) const USUAL_MULTIPLE: usize = 32;

/// Heights and widths that are tried on a graph that does not say which it takes.
const PROBED: [usize; 9] = [128, 224, 256, 299, 512, 384, 64, 32, 28];
/// What sizes may have to be multiples of.
const MULTIPLES: [usize; 4] = [USUAL_MULTIPLE, 64, 128, 256];

/// Dimension `axis` of `port`, if the graph fixes it.
pub(super) fn fixed(port: &Port, axis: usize) -> Option<usize> {
    match port.dims.as_ref()?.get(axis)? {
        Dim::Fixed(size) => Some(*size),
        _ => None,
    }
}

/// Whether the graph takes square images of this side.
fn takes(graph: &Graph, channels: usize, side: usize) -> bool {
    graph.summary([1, channels, side, side]).is_ok()
}

/// Whether the graph takes images of odd sides, and its map then lies on the image as it does for a `side` whose output it is.
fn takes_any(graph: &Graph, channels: usize, side: usize, output: &[usize]) -> bool {
    const ODD: [usize; 2] = [97, 83];
    let Ok(odd) = graph.summary([1, channels, ODD[0], ODD[1]]) else { return false };
    let lost = |input: usize, output: &[usize], from_end: usize| {
        Some(input as i64 - *output.get(output.len().checked_sub(from_end)?)? as i64)
    };
    let (rows, columns) = (lost(side, output, 2), lost(side, output, 1));
    rows.is_some() && [rows, columns] == [lost(ODD[0], &odd.output, 2), lost(ODD[1], &odd.output, 1)]
}

/// The first of the usual sides that a graph takes, and the shape of its output then.
///
/// # Errors
/// That of the first side, if it takes none.
fn probed(graph: &Graph, channels: usize) -> Result<(usize, Vec<usize>), ModelError> {
    let mut refused = None;
    for side in PROBED {
        match graph.summary([1, channels, side, side]) {
            Ok(summary) => return Ok((side, summary.output)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(ModelError::NotSegmentation))
}

/// The card of a graph that came without one, with a line for each thing that the graph does not say.
pub(super) fn guessed(path: &Path, graph: &Graph, lines: &mut Vec<String>) -> Result<ModelCard, ModelError> {
    let output = graph.preferred_output();
    if let Some(port) = graph.outputs().nth(output).filter(|_| graph.outputs().len() > 1) {
        let why = if output == 0 { "" } else { ": those before it cannot be computed or have no gradient" };
        lines.push(format!("the output {}{why}", port.name));
    }
    if untold(graph) {
        lines.push(
            "the channels are axis 1 of the input: nothing in the graph says so; if they are last, a card does with layout = \"nhwc\" \
             under [input]"
                .to_owned(),
        );
    }
    let graph = &laid(graph, output, None).map_err(|cause| ModelError::File {
        path: path.to_owned(),
        cause,
        hint: "Or export it with the channels second, as tf2onnx does with --inputs-as-nchw and --outputs-as-nchw"
            .to_owned(),
    })?;
    let last = |port: Option<&Port>| port.is_some_and(|port| port.layout == Layout::Nhwc).then_some(Layout::Nhwc);
    let layouts = [last(graph.inputs().next()), last(graph.outputs().nth(output))];
    for (layout, words) in layouts
        .iter()
        .zip(["the channels are the last axis of the input", "the classes are the last axis of the output"])
    {
        if layout.is_some() {
            lines.push(words.to_owned());
        }
    }
    let input = graph.inputs().next();
    let channels = input.and_then(|port| fixed(port, 1)).unwrap_or_else(|| graph.channels());
    let sides = input.and_then(|port| Some([fixed(port, 2)?, fixed(port, 3)?]));
    let (side, output_shape) = match sides {
        Some([height, width]) => (0, graph.summary([1, channels, height, width])?.output),
        None => probed(graph, channels)?,
    };
    let (task, outputs) = match output_shape[..] {
        [_, classes, 1, 1] | [_, classes] => (Task::Classification, classes),
        [_, classes, _, _] => (Task::Segmentation, classes),
        [_, _, _] => (Task::Segmentation, 1),
        _ => (Task::Classification, 1),
    };
    let size_rule = match (sides, task) {
        (Some(sides), Task::Classification) => {
            lines.push(format!("images are resized to the {}×{} that it takes", sides[0], sides[1]));
            SizeRule::Resize(sides)
        }
        (Some(sides), Task::Segmentation) => {
            lines.push(format!("images are cut into tiles of the {}×{} that it takes", sides[0], sides[1]));
            SizeRule::Tile(sides)
        }
        // It does not say that it takes one size only, and does.
        (None, Task::Classification) if !takes(graph, channels, side + USUAL_MULTIPLE) => {
            lines.push(format!("images are resized to {side}×{side}, the only size of those tried that it takes"));
            SizeRule::Resize([side; 2])
        }
        (None, Task::Classification) => SizeRule::Any,
        (None, Task::Segmentation) if takes_any(graph, channels, side, &output_shape) => SizeRule::Any,
        // An odd number of times a multiple shows that nothing more is needed.
        (None, Task::Segmentation) => match MULTIPLES.into_iter().find(|n| takes(graph, channels, 3 * n)) {
            Some(n) => {
                lines.push(format!("images are padded to a multiple of {n}"));
                SizeRule::MultipleOf(n)
            }
            None => {
                lines.push(format!("images are cut into tiles of {side}×{side}, a size that it takes"));
                SizeRule::tile(side)
            }
        },
    };
    if let ([_, _, height, width], Task::Segmentation) = (&output_shape[..], task) {
        let input = sides.unwrap_or([side; 2]);
        let other = input.map(|side| side + USUAL_MULTIPLE);
        let larger = || {
            let summary = graph.summary([1, channels, other[0], other[1]]).ok()?;
            Some([other, [*summary.output.get(2)?, *summary.output.get(3)?]])
        };
        let one = [input, [*height, *width]];
        if one[0] != one[1] {
            match extent(one, if sides.is_none() { larger() } else { None }) {
                Ok(Extent::Inner(lost)) => lines.push(format!(
                    "the output is the middle of the image, {lost} rows and columns smaller: images are padded by reflection"
                )),
                Ok(Extent::Whole) => lines.push(format!(
                    "the output, {height}×{width} for {}×{}, is the whole image at another resolution",
                    input[0], input[1]
                )),
                Err(cause) => lines.push(cause),
            }
        }
    }
    let activation = match graph.final_activation(output) {
        Some(FinalActivation::Sigmoid) => Activation::Sigmoid,
        Some(FinalActivation::Softmax) => Activation::Softmax,
        // Log-probabilities are logits, too.
        Some(FinalActivation::LogSoftmax) | None => Activation::None,
    };
    lines.push("input in [0, 1], with no mean and deviation".to_owned());
    if channels == 3 {
        lines.push("three channels: red, green, blue".to_owned());
    }
    let (head, channel) = match (outputs, activation) {
        (1, _) => (Head::Sigmoid, None),
        (_, Activation::Sigmoid) => {
            lines.push(format!("{outputs} independent outputs: the first one is used"));
            (Head::Sigmoid, Some(0))
        }
        _ => (Head::Softmax, None),
    };
    let classes = match (head, task) {
        (Head::Sigmoid, _) => vec![ClassInfo::new("background"), ClassInfo::new("foreground")],
        (Head::Softmax, Task::Segmentation) => (0..outputs)
            .map(|i| if i == 0 { ClassInfo::new("background") } else { ClassInfo::new(format!("class {i}")) })
            .collect(),
        (Head::Softmax, Task::Classification) => (0..outputs).map(|i| ClassInfo::new(format!("class {i}"))).collect(),
    };
    lines.push("the names of the classes".to_owned());
    Ok(ModelCard {
        name: card_file::telling_name(path),
        task,
        channels,
        head,
        size_rule,
        input: InputRule { layout: layouts[0], ..InputRule::default() },
        output: OutputRule { activation, channel, layout: layouts[1], ..OutputRule::default() },
        classes,
        ..ModelCard::default()
    })
}
