//! A factor, a summand and an activation for each channel, in one pass.

use super::geometry::Activation;
use super::plan::Scale;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// `[batch · channels, pixels]`: activation(factor · x + summand).
pub(super) fn forward(scale: &Scale, x: &[f32], pixels: usize, out: &mut [MaybeUninit<f32>]) {
    let channels = scale.factor.len();
    out.par_chunks_mut(pixels).zip(x.par_chunks(pixels)).enumerate().for_each(|(i, (out, x))| {
        let (factor, summand) = (scale.factor[i % channels], scale.summand[i % channels]);
        match scale.activation {
            Activation::None => out.iter_mut().zip(x).for_each(|(out, &x)| {
                out.write(factor * x + summand);
            }),
            Activation::Relu => out.iter_mut().zip(x).for_each(|(out, &x)| {
                let y = factor * x + summand;
                out.write(if 0.0 > y { 0.0 } else { y });
            }),
            clip @ Activation::Clip(..) => out.iter_mut().zip(x).for_each(|(out, &x)| {
                out.write(clip.of(factor * x + summand));
            }),
        }
    });
}

/// The gradient of the input from that of the output `y`.
pub(super) fn backward(scale: &Scale, gradient: &[f32], y: &[f32], pixels: usize, out: &mut [MaybeUninit<f32>]) {
    let channels = scale.factor.len();
    let planes = out.par_chunks_mut(pixels).zip(gradient.par_chunks(pixels)).zip(y.par_chunks(pixels));
    planes.enumerate().for_each(|(i, ((out, gradient), y))| {
        let factor = scale.factor[i % channels];
        let [lower, upper] = scale.activation.bounds().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let all = scale.activation == Activation::None;
        for ((out, &g), &y) in out.iter_mut().zip(gradient).zip(y) {
            out.write(if all || y > lower && y < upper { factor * g } else { 0.0 });
        }
    });
}

/// `gradient` where the output `y` is within the bounds of the activation, else 0.
pub(super) fn masked(activation: Activation, gradient: &[f32], y: &[f32], out: &mut [MaybeUninit<f32>]) {
    const PART: usize = 1 << 14;
    let [lower, upper] = activation.bounds().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
    let parts = out.par_chunks_mut(PART).zip(gradient.par_chunks(PART)).zip(y.par_chunks(PART));
    parts.for_each(|((out, gradient), y)| {
        for ((out, &g), &y) in out.iter_mut().zip(gradient).zip(y) {
            out.write(if y > lower && y < upper { g } else { 0.0 });
        }
    });
}
