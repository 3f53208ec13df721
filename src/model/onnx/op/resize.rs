//! Resize and Upsample: along each axis taps and weights, then a selection of rows, so that every
//! mode and coordinate rule is differentiable on every device.

use super::call::{Call, axis};
use super::{Operator, Outcome};
use crate::kernel::{Axis, Mix};
use crate::model::onnx::attribute::Attributes;
use crate::model::onnx::value::{Value, check_size, upload, upload_index};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Device, Tensor};

pub(super) static OPERATORS: &[Operator] =
    &[Operator::new("Resize", resize).with_settings(&[1, 2, 3]), Operator::new("Upsample", resize).with_settings(&[1])];

/// The rules by which an output coordinate becomes an input coordinate.
const COORDINATES: [&str; 7] = [
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
];
/// The rules by which a coordinate becomes that of the nearest pixel.
const ROUNDINGS: [&str; 4] = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];

/// How an output coordinate becomes an input coordinate.
struct Rule<'a> {
    mode: &'a str,
    coordinates: &'a str,
    rounding: &'a str,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
    /// What lies outside, for `tf_crop_and_resize`.
    extrapolation: f64,
}

/// For each output row: the input rows that it mixes and their weights; a weight for the constant outside.
struct Taps {
    /// `[tap][row]`.
    index: Vec<Vec<i64>>,
    weight: Vec<Vec<f32>>,
    /// Rows that take the constant instead.
    outside: Vec<bool>,
}

/// The cubic convolution kernel (Keys 1981).
fn cubic(a: f64, x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

impl Rule<'_> {
    /// The input coordinate of output `o`, computed in 32 bits as onnxruntime does: where it lies between two pixels, rounding
    /// decides which of them is the nearest.
    fn source(&self, o: usize, input: usize, output: usize, scale: f32, roi: (f32, f32)) -> f64 {
        let (o, input, output) = (o as f32, input as f32, output as f32);
        f64::from(match self.coordinates {
            "asymmetric" => o / scale,
            "pytorch_half_pixel" if output <= 1.0 => 0.0,
            "align_corners" if output <= 1.0 => 0.0,
            "align_corners" => o * (input - 1.0) / (output - 1.0),
            "tf_half_pixel_for_nn" => (o + 0.5) / scale,
            "tf_crop_and_resize" if output <= 1.0 => 0.5 * (roi.0 + roi.1) * (input - 1.0),
            "tf_crop_and_resize" => roi.0 * (input - 1.0) + o * (roi.1 - roi.0) * (input - 1.0) / (output - 1.0),
            "half_pixel_symmetric" => {
                let adjustment = output / (scale * input);
                let centre = input / 2.0;
                centre * (1.0 - adjustment) + (o + 0.5) / scale - 0.5
            }
            _ => (o + 0.5) / scale - 0.5,
        })
    }

    fn nearest(&self, x: f64) -> f64 {
        match self.rounding {
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            "round_prefer_ceil" => (x + 0.5).floor(),
            _ => (x - 0.5).ceil(),
        }
    }

    fn taps(&self, input: usize, output: usize, scale: f32, roi: (f32, f32)) -> Taps {
        let last = input as i64 - 1;
        // Antialiasing widens the kernel where the image shrinks.
        let shrink = if self.antialias && self.mode != "nearest" { f64::from(scale).min(1.0) } else { 1.0 };
        let radius = match self.mode {
            "linear" => (1.0 / shrink).ceil() as i64,
            "cubic" => (2.0 / shrink).ceil() as i64,
            _ => 0,
        };
        let count = if radius == 0 { 1 } else { 2 * radius as usize };
        let mut taps = Taps {
            index: vec![vec![0; output]; count],
            weight: vec![vec![0.0; output]; count],
            outside: vec![false; output],
        };
        for o in 0..output {
            let x = self.source(o, input, output, scale, roi);
            taps.outside[o] = self.coordinates == "tf_crop_and_resize" && (x < 0.0 || x > last as f64);
            if radius == 0 {
                taps.index[0][o] = (self.nearest(x) as i64).clamp(0, last);
                taps.weight[0][o] = 1.0;
                continue;
            }
            let base = x.floor() as i64;
            let mut weights = vec![0.0; count];
            for (t, weight) in weights.iter_mut().enumerate() {
                let at = base - radius + 1 + t as i64;
                let distance = (x - at as f64) * shrink;
                *weight =
                    if self.mode == "linear" { (1.0 - distance.abs()).max(0.0) } else { cubic(self.cubic, distance) };
                if self.exclude_outside && !(0..=last).contains(&at) {
                    *weight = 0.0;
                }
                taps.index[t][o] = at.clamp(0, last);
            }
            if self.exclude_outside || self.antialias {
                let sum: f64 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
            }
            for (t, weight) in weights.into_iter().enumerate() {
                taps.weight[t][o] = weight as f32;
            }
        }
        taps
    }
}

/// One axis resampled.
fn resample(x: DispatchTensor, dim: usize, taps: &Taps, extrapolation: f64, device: &Device) -> DispatchTensor {
    let mut lead = vec![1; x.shape().num_dims()];
    lead[dim] = taps.outside.len();
    let mut sum: Option<DispatchTensor> = None;
    for (index, weight) in taps.index.iter().zip(&taps.weight) {
        if weight.iter().all(|&w| w == 0.0) {
            continue;
        }
        let identity = index.len() == x.shape()[dim] && index.iter().enumerate().all(|(i, &at)| i as i64 == at);
        let picked = if identity {
            x.clone()
        } else {
            Dispatch::float_select(x.clone(), dim, upload_index(index.clone(), device))
        };
        let part = if weight.iter().all(|&w| w == 1.0) {
            picked
        } else {
            Dispatch::float_mul(picked, upload(weight.clone(), &lead, device))
        };
        sum = Some(match sum {
            Some(sum) => Dispatch::float_add(sum, part),
            None => part,
        });
    }
    let sum = sum.unwrap_or_else(|| Dispatch::float_mul_scalar(x, 0.0.into()));
    if !taps.outside.contains(&true) {
        return sum;
    }
    let keep = taps.outside.iter().map(|&out| if out { 0.0 } else { 1.0 }).collect();
    let fill = taps.outside.iter().map(|&out| if out { extrapolation as f32 } else { 0.0 }).collect();
    Dispatch::float_add(Dispatch::float_mul(sum, upload(keep, &lead, device)), upload(fill, &lead, device))
}

/// Rows and columns of images in one pass, if nothing else is resampled and nothing lies outside.
fn mix(shape: &[usize], taps: &[(usize, Taps)]) -> Option<Mix> {
    let [_, _, height, width] = *shape else { return None };
    let fits = |(dim, taps): &(usize, Taps)| matches!(dim, 2 | 3) && !taps.outside.contains(&true);
    if taps.is_empty() || taps.len() > 2 || !taps.iter().all(fits) {
        return None;
    }
    let axis = |dim: usize, length: usize| match taps.iter().find(|(of, _)| *of == dim) {
        Some((_, taps)) => {
            let output = |o: usize| {
                let pairs = taps.index.iter().zip(&taps.weight).map(|(index, weight)| (index[o] as usize, weight[o]));
                pairs.collect::<Vec<_>>()
            };
            Axis::new(length, (0..taps.outside.len()).map(output))
        }
        None => Axis::identity(length),
    };
    Some(Mix::new(axis(2, height), axis(3, width)))
}

/// What is asked of the axes: lengths, scales, and which axes.
struct Request {
    axes: Vec<usize>,
    scales: Vec<f32>,
    lengths: Vec<usize>,
    roi: Vec<(f32, f32)>,
}

fn request(call: &mut Call<'_>, shape: &[usize]) -> Result<Request, String> {
    let rank = shape.len();
    let attributes = &call.node.attributes;
    let axes = match attributes.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let old = call.node.op_type == "Upsample" || call.node.opset < 11;
    let scale_attribute = attributes.floats("scales").map(<[f32]>::to_vec);
    let (scales_at, roi_at) = if old { (1, None) } else { (2, Some(1)) };
    let floats = |call: &mut Call<'_>, i: usize| -> Result<Option<Vec<f32>>, String> {
        if !call.has(i) {
            return Ok(None);
        }
        Ok(Some(call.host(i)?.to_floats()).filter(|v| !v.is_empty()))
    };
    let roi = match roi_at {
        Some(i) => floats(call, i)?,
        None => None,
    };
    let scales = match scale_attribute {
        Some(scales) => Some(scales),
        None => floats(call, scales_at)?,
    };
    let sizes = if !old && call.has(3) { Some(call.ints(3)?).filter(|s| !s.is_empty()) } else { None };
    let wrong = |n: usize| format!("{n} numbers for {} axes", axes.len());
    let crop = call.node.attributes.text("coordinate_transformation_mode") == Some("tf_crop_and_resize");
    let roi = match roi {
        Some(roi) if roi.len() == 2 * axes.len() => (0..axes.len()).map(|i| (roi[i], roi[i + axes.len()])).collect(),
        Some(roi) if crop => return Err(wrong(roi.len())),
        None if crop => return Err("it crops, and has no roi".to_owned()),
        _ => vec![(0.0, 1.0); axes.len()],
    };
    if let Some(sizes) = sizes {
        if sizes.len() != axes.len() {
            return Err(wrong(sizes.len()));
        }
        let mut lengths = super::shape::sizes(&sizes)?;
        let mut scales: Vec<f32> =
            axes.iter().zip(&lengths).map(|(&a, &n)| n as f32 / shape[a].max(1) as f32).collect();
        let policy = call.node.attributes.text("keep_aspect_ratio_policy").unwrap_or("stretch");
        if policy != "stretch" {
            let pick = if policy == "not_larger" { f32::min } else { f32::max };
            let scale = scales.iter().copied().reduce(pick).unwrap_or(1.0);
            scales.fill(scale);
            lengths = axes.iter().map(|&a| (scale * shape[a] as f32).round() as usize).collect();
        }
        return Ok(Request { axes, scales, lengths, roi });
    }
    let scales: Vec<f32> = scales.ok_or("it has neither scales nor sizes")?;
    if scales.len() != axes.len() {
        return Err(wrong(scales.len()));
    }
    if scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(format!("its scales are {scales:?}"));
    }
    let length = |i: usize| {
        let part = if crop { roi[i].1 - roi[i].0 } else { 1.0 };
        // In 32 bits: 10 pixels at a scale of 0.7 are 7.
        (shape[axes[i]] as f32 * part * scales[i]).floor().max(0.0) as usize
    };
    let lengths = (0..axes.len()).map(length).collect();
    Ok(Request { axes, scales, lengths, roi })
}

fn resize(call: &mut Call<'_>) -> Outcome {
    let shape = call.shape(0)?;
    let request = request(call, &shape)?;
    let mut output = shape.clone();
    request.axes.iter().zip(&request.lengths).for_each(|(&a, &n)| output[a] = n);
    if check_size(&output)? == 0 || shape.contains(&0) {
        return Err(format!("from {shape:?} to {output:?}"));
    }
    let attributes: &Attributes = &call.node.attributes;
    let old = call.node.op_type == "Upsample" || call.node.opset < 11;
    let text = |name: &str, default: &'static str| attributes.text(name).unwrap_or(default).to_owned();
    // Before version 11 coordinates were asymmetric and the nearest was the one below.
    let coordinates = text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
    let rounding = text("nearest_mode", if old { "floor" } else { "round_prefer_floor" });
    let mode = text("mode", "nearest");
    let mode = if mode == "bilinear" { "linear" } else { mode.as_str() };
    if !matches!(mode, "nearest" | "linear" | "cubic") {
        return Err(format!("mode is {mode:?}"));
    }
    if !COORDINATES.contains(&coordinates.as_str()) || !ROUNDINGS.contains(&rounding.as_str()) {
        return Err(format!("coordinate_transformation_mode is {coordinates:?} and nearest_mode {rounding:?}"));
    }
    let rule = Rule {
        mode,
        coordinates: &coordinates,
        rounding: &rounding,
        cubic: f64::from(attributes.float("cubic_coeff_a").unwrap_or(-0.75)),
        exclude_outside: attributes.flag("exclude_outside"),
        antialias: attributes.flag("antialias"),
        extrapolation: f64::from(attributes.float("extrapolation_value").unwrap_or(0.0)),
    };
    let whole = (!call.input(0)?.is_float()).then(|| call.input(0).map(Value::element)).transpose()?;
    let mut x = call.float(0)?;
    let mut taps = Vec::new();
    for (i, &dim) in request.axes.iter().enumerate() {
        let (scale, length) = (request.scales[i], request.lengths[i]);
        if length != shape[dim] || scale != 1.0 || rule.coordinates == "tf_crop_and_resize" {
            taps.push((dim, rule.taps(shape[dim], length, scale, request.roi[i])));
        }
    }
    // One axis after the other: what lies between may be larger than what comes out.
    let mut between = shape.clone();
    for (dim, _) in &taps {
        between[*dim] = output[*dim];
        check_size(&between)?;
    }
    let mixed = match mix(&shape, &taps) {
        Some(mix) => match mix.apply(Tensor::from_dispatch(x)) {
            Ok(y) => {
                taps.clear();
                y.into_dispatch()
            }
            Err(x) => x.into_dispatch(),
        },
        None => x,
    };
    x = taps.iter().fold(mixed, |x, (dim, taps)| resample(x, *dim, taps, rule.extrapolation, call.device));
    Ok(vec![match whole {
        Some(element) => Value::Host(Value::Float(x).into_host()?.cast(element)),
        None => Value::Float(x),
    }])
}
