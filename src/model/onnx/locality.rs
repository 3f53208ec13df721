//! How far a graph sees: how many pixels from where an image was cut its output differs from that of the whole. Found by running it
//! on two small images and asking each node what it reads; what may look at the whole image (pooling or a norm over all of it,
//! a matrix product, attention), or computes with its size, has no answer.

use super::budget::Purpose;
use super::fuse::{SECOND, SUMMAND};
use super::graph::Graph;
use super::layout::{TO_LAST, TO_SECOND};
use super::op::{kernel, windows};
use super::program::{Node, Slot};
use super::run::{Observer, Swap};
use super::value::Value;
use burn::tensor::Tensor;
use std::collections::{HashMap, HashSet};

/// The image that is tried is at least so large.
const SIDE: usize = 256;

/// How far an output sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Cuts must be at multiples of so many pixels.
    pub step: usize,
    /// Fewer than so many pixels from a cut the output may differ from that of the whole.
    pub differ: usize,
}

/// A map at one edge of the graph.
#[derive(Clone, Copy, Debug)]
struct Map {
    /// Pixels of the image for one of the map, along an axis.
    scale: usize,
    /// Pixels of the map that may differ, from a cut on.
    differ: usize,
    /// Whether its channels are the last axis.
    last: bool,
}

/// Maps that depend on the image, and why the rest cannot be followed.
struct Walk {
    maps: HashMap<Slot, Map>,
    /// What follows from the size of a map: other numbers in a tile than in the whole image.
    sized: HashSet<Slot>,
    step: usize,
    refused: Option<String>,
}

/// Operators that compute each pixel by itself, whatever lies around it.
pub(super) const POINTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "FastGelu",
    "QuickGelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
];

impl Walk {
    /// Whether a `Shape` reads only the first dimensions of a map, those that are the same in a tile: images and channels, or, where
    /// the channels are last and the rows follow the images, images alone.
    fn reads_same(&self, node: &Node) -> bool {
        let map = node.inputs.first().and_then(|slot| self.maps.get(&(*slot)?));
        let same = if map.is_some_and(|map| map.last) { 1 } else { 2 };
        node.attributes.int("end").is_some_and(|end| (0..=same).contains(&end))
    }

    /// What `node` makes of maps that depend on the image; `None` if that depends on the whole.
    fn made(&self, node: &Node, inputs: &[Option<Vec<usize>>], output: &[usize]) -> Option<Map> {
        let maps: Vec<(usize, Map)> =
            node.inputs.iter().enumerate().filter_map(|(i, slot)| Some((i, *self.maps.get(&(*slot)?)?))).collect();
        let (first, map) = *maps.first()?;
        if maps.iter().any(|(_, other)| other.last) {
            return made_of_last(node, &maps, inputs, output);
        }
        let shape = inputs.get(first)?.as_deref()?;
        let ([_, _, height, width], [_, _, rows, columns]) = (shape, output) else { return None };
        let differ = maps.iter().map(|(_, map)| map.differ).max()?;
        let same = maps.iter().all(|(_, other)| other.scale == map.scale);
        let is_map = |i: usize| maps.iter().any(|(at, _)| *at == i);
        let given = |i: usize| inputs.get(i).is_some_and(Option::is_some);
        // The same everywhere; what has a place (a grid of coordinates) would be another in a tile.
        let placeless = |i: usize| {
            let shape = inputs.get(i).and_then(Option::as_deref).unwrap_or_default();
            is_map(i) || shape.iter().rev().take(2).all(|&side| side == 1)
        };
        let attributes = &node.attributes;
        match node.op_type.as_str() {
            "BatchNormalization" => (first == 0 && maps.len() == 1).then_some(map),
            name if POINTWISE.contains(&name) => {
                let stays = same && [rows, columns] == [height, width];
                (stays && (0..inputs.len()).all(placeless)).then_some(Map { differ, ..map })
            }
            "Transpose" => (attributes.ints("perm") == Some(&TO_LAST[..])).then_some(Map { last: true, ..map }),
            "Concat" => {
                let channels = matches!(attributes.int("axis"), Some(1 | -3));
                (same && channels && (0..inputs.len()).all(is_map)).then_some(Map { differ, ..map })
            }
            // Before version 13 all axes from the given one on are normalised together.
            "Softmax" | "LogSoftmax" => {
                (node.opset >= 13 && matches!(attributes.int("axis"), Some(1 | -3))).then_some(map)
            }
            "Conv" | "MaxPool" | "AveragePool" | "LpPool" => {
                let conv = node.op_type == "Conv";
                let taps =
                    if conv { inputs.get(1)?.as_ref()?.get(2..)?.to_vec() } else { kernel(attributes, 2).ok()? };
                let (summand, second) = (given(SUMMAND), given(SECOND));
                let usual = first == 0 && !is_map(1) && !is_map(2) && (!second || is_map(SECOND));
                if !usual || attributes.flag("ceil_mode") || summand && !placeless(SUMMAND) {
                    return None;
                }
                let windows = windows(attributes, &[*height, *width], &taps, false).ok()?;
                let read = maps.iter().filter(|(i, _)| *i != SUMMAND);
                let coarse = read.clone().all(|(_, other)| other.scale == map.scale);
                let read = read.map(|(_, map)| map.differ).max()?;
                let stride = windows.first()?.stride;
                let mut differ = 0;
                for (window, (length, made)) in windows.iter().zip([(height, rows), (width, columns)]) {
                    if made * stride != *length || window.stride != stride {
                        return None;
                    }
                    // From the left, and from the right.
                    differ = differ.max((read + window.before).div_ceil(stride));
                    differ = differ.max((read + window.extent() - 1).saturating_sub(window.before) / stride);
                }
                let scale = map.scale * stride;
                let added = maps.iter().find(|(i, _)| *i == SUMMAND).map(|(_, map)| *map);
                let fits = coarse && added.is_none_or(|added| added.scale == scale);
                fits.then(|| Map { scale, last: false, differ: differ.max(added.map_or(0, |added| added.differ)) })
            }
            "ConvTranspose" => {
                let taps = inputs.get(1)?.as_ref()?.get(2..)?;
                let strides = attributes.ints("strides").map_or_else(|| vec![1, 1], <[i64]>::to_vec);
                let dilations = attributes.ints("dilations").map_or_else(|| vec![1, 1], <[i64]>::to_vec);
                let [stride, other] = strides[..] else { return None };
                let stride = usize::try_from(stride).ok().filter(|&s| s > 0 && i64::try_from(s) == Ok(other))?;
                if maps.len() != 1 || first != 0 || rows / stride != *height || columns / stride != *width {
                    return None;
                }
                // Wherever its padding puts it, a pixel spreads no farther than the kernel.
                let reach = taps.iter().zip(dilations).map(|(taps, d)| (taps - 1) * d.max(1) as usize).max()?;
                self.finer(map, stride, [rows, columns], [height, width], differ * stride + reach)
            }
            "Resize" | "Upsample" => {
                let factor = rows / height;
                let coordinates = attributes.text("coordinate_transformation_mode").unwrap_or("half_pixel");
                let known = matches!(coordinates, "half_pixel" | "pytorch_half_pixel" | "asymmetric");
                let around = match attributes.text("mode").unwrap_or("nearest") {
                    "nearest" | "linear" | "bilinear" => 1,
                    _ => 2,
                };
                if factor == 0 || !known || attributes.flag("antialias") || maps.len() != 1 {
                    return None;
                }
                self.finer(map, factor, [rows, columns], [height, width], (differ + around) * factor)
            }
            "DepthToSpace" => {
                let block = usize::try_from(attributes.int("blocksize")?).ok()?;
                self.finer(map, block, [rows, columns], [height, width], differ * block)
            }
            _ => None,
        }
    }

    /// A map `factor` times as fine.
    fn finer(
        &self,
        map: Map,
        factor: usize,
        [rows, columns]: [&usize; 2],
        [height, width]: [&usize; 2],
        differ: usize,
    ) -> Option<Map> {
        let whole = factor > 0 && map.scale.is_multiple_of(factor);
        let fits = *rows == height * factor && *columns == width * factor;
        (whole && fits).then(|| Map { scale: map.scale / factor, differ, last: false })
    }
}

/// What `node` makes of `maps` whose channels are last; `None` if that depends on the whole.
fn made_of_last(node: &Node, maps: &[(usize, Map)], inputs: &[Option<Vec<usize>>], output: &[usize]) -> Option<Map> {
    let (first, map) = *maps.first()?;
    let ([_, height, width, _], [_, rows, columns, _]) = (inputs.get(first)?.as_deref()?, output) else { return None };
    if maps.iter().any(|(_, other)| !other.last || other.scale != map.scale) {
        return None;
    }
    let placeless = |i: usize| {
        let shape = inputs.get(i).and_then(Option::as_deref).unwrap_or_default();
        maps.iter().any(|(at, _)| *at == i) || shape.iter().rev().skip(1).take(2).all(|&side| side == 1)
    };
    match node.op_type.as_str() {
        "Transpose" => (node.attributes.ints("perm") == Some(&TO_SECOND[..])).then_some(Map { last: false, ..map }),
        "Softmax" | "LogSoftmax" => {
            (node.opset >= 13 && matches!(node.attributes.int("axis"), None | Some(3 | -1))).then_some(map)
        }
        name if POINTWISE.contains(&name) => {
            let stays = [rows, columns] == [height, width] && (0..inputs.len()).all(placeless);
            let differ = maps.iter().map(|(_, map)| map.differ).max()?;
            stays.then_some(Map { differ, ..map })
        }
        _ => None,
    }
}

impl Observer for Walk {
    fn ran(&mut self, node: &Node, inputs: &[Option<Vec<usize>>], outputs: &[Value], _: u64) {
        let reads_map = node.inputs.iter().flatten().any(|slot| self.maps.contains_key(slot));
        let reads_size = node.inputs.iter().flatten().any(|slot| self.sized.contains(slot));
        let is_size = match node.op_type.as_str() {
            "Size" => reads_map,
            "Shape" => reads_map && !self.reads_same(node),
            _ => false,
        };
        if is_size || reads_size && !reads_map {
            self.sized.extend(node.outputs.iter().flatten());
        }
        let depends = reads_map || !node.branches.is_empty();
        if self.refused.is_some() || !depends || matches!(node.op_type.as_str(), "Shape" | "Size") {
            return;
        }
        // Resizing to a size that follows from the image's is judged by what comes out; all others read a size as data.
        if reads_size && !matches!(node.op_type.as_str(), "Resize" | "Upsample") {
            self.refused = Some(format!("{} computes with the size of the whole image, or may", node.label()));
            return;
        }
        let shape = outputs.first().map(Value::shape).unwrap_or_default();
        match (self.made(node, inputs, &shape), node.outputs.first().copied().flatten()) {
            (Some(map), Some(slot)) => {
                self.step = self.step.max(map.scale);
                self.maps.insert(slot, map);
            }
            _ => self.refused = Some(format!("{} looks at the whole image, or may", node.label())),
        }
    }
}

impl Graph {
    /// How far output number `output` sees, for images of so many channels whose sides are multiples of `multiple`.
    ///
    /// # Errors
    /// If that cannot be known; the text says what looks at the whole image, or may.
    pub fn locality(&self, output: usize, channels: usize, multiple: usize) -> Result<Locality, String> {
        let multiple = multiple.max(1);
        let side = SIDE.next_multiple_of(multiple);
        let found = self.walked(output, channels, side)?;
        // What fits one size by chance (a map resized to a fixed size) does not fit the other.
        let more = (1..).map(|n| n * found.step).find(|n| n.is_multiple_of(multiple)).unwrap_or(multiple);
        if self.walked(output, channels, side + more)? != found {
            return Err("what it looks at changes with the size of the image".to_owned());
        }
        Ok(found)
    }

    /// How far output number `output` sees of a square image.
    fn walked(&self, output: usize, channels: usize, side: usize) -> Result<Locality, String> {
        let image = Map { scale: 1, differ: 0, last: false };
        let [(input, _)] = &self.program().inputs[..] else { return Err("it takes more than an image".to_owned()) };
        let maps = HashMap::from([(*input, image)]);
        let mut walk = Walk { maps, sized: HashSet::new(), step: 1, refused: None };
        let x = Tensor::zeros([1, channels, side, side], &self.device().clone().without_autodiff());
        let feeds = self.image_feeds(x).map_err(|error| error.to_string())?;
        let slot = self.output_slot(output);
        self.execute(feeds, &[slot], Swap::default(), Purpose::Probe, Some(&mut walk))
            .map_err(|error| error.to_string())?;
        if let Some(why) = walk.refused {
            return Err(why);
        }
        match walk.maps.get(&slot) {
            Some(map) if map.scale == 1 && !map.last => Ok(Locality { step: walk.step, differ: map.differ }),
            Some(_) => Err("its output is at another resolution than the image".to_owned()),
            None => Err("its output does not depend on the image".to_owned()),
        }
    }
}
