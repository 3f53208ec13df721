//! From an image in `[0, 1]` to what a network takes, as its card says, and from what it puts out to logits. All of
//! it is made of tensors, so that the gradient flows through.

use super::{Activation, ChannelOrder, Head, InputRule, Logits, ModelCard, ModelError, Task, ZScore};
use burn::tensor::Tensor;

/// Added to a standard deviation before dividing by it.
const Z_SCORE_EPSILON: f64 = 1e-6;
/// Probabilities are kept this far from 0 and 1 before their log-odds are taken.
const CLOSEST_TO_CERTAIN: f64 = 1e-7;

/// The network's input, `[batch, card.channels, h, w]`, of images `[batch, 1 or card.channels, h, w]` whose bounds are
/// `[0, 1]`.
///
/// # Errors
/// If the images have another number of channels.
pub(super) fn prepare(x: Tensor<4>, card: &ModelCard) -> Result<Tensor<4>, ModelError> {
    let [batch, channels, height, width] = x.dims();
    let x = match channels {
        n if n == card.channels => x,
        1 => x.expand([batch, card.channels, height, width]),
        _ => return Err(ModelError::Channels { image: channels, model: card.channels }),
    };
    let InputRule { range, window, order, mean, std, z_score, .. } = &card.input;
    let x = match (window, card.input.needed_bounds()) {
        (Some([low, high]), Some([lower, upper])) => {
            let (scale, width) = (f64::from(upper - lower), f64::from(high - low));
            let shift = f64::from(lower - low) / width;
            (x * (scale / width) + shift).clamp(0.0, 1.0)
        }
        _ => x,
    };
    let [lower, upper] = range.map(f64::from);
    let x = if *range == [0.0, 1.0] { x } else { x * (upper - lower) + lower };
    let x = if *order == ChannelOrder::Bgr { x.flip([1]) } else { x };
    let x = if mean.is_empty() { x } else { (x.clone() - constant(mean, &x)) / constant(std, &x) };
    Ok(match z_score {
        None => x,
        Some(ZScore::Channel) => {
            z_scored(x.reshape([batch * card.channels, height * width])).reshape([batch, card.channels, height, width])
        }
        Some(ZScore::Image) => {
            z_scored(x.reshape([batch, card.channels * height * width])).reshape([batch, card.channels, height, width])
        }
    })
}

/// `[1, n, 1, 1]`, on the device of `like`.
fn constant(values: &[f32], like: &Tensor<4>) -> Tensor<4> {
    Tensor::<1>::from_floats(values, &like.device()).reshape([1, values.len(), 1, 1])
}

/// Each row less its mean, divided by its (population) standard deviation.
fn z_scored(rows: Tensor<2>) -> Tensor<2> {
    let centred = rows.clone() - rows.mean_dim(1);
    // The root of a constant image's variance has no gradient at 0: a floor far below `Z_SCORE_EPSILON`² gives it one.
    let deviation = (centred.clone().powi_scalar(2).mean_dim(1) + 1e-20).sqrt();
    centred / (deviation + Z_SCORE_EPSILON)
}

/// What the head reads, of what the network put out: the channel that the card names, logits of probabilities, whole
/// images' logits as `[batch, classes]` (a sigmoid's as the two logits 0 and z, whose softmax is the sigmoid).
/// `stripped` says that the final activation is already off.
///
/// # Errors
/// If the network's output has another form than the card says.
pub(super) fn finish(logits: Logits, card: &ModelCard, stripped: bool) -> Result<Logits, ModelError> {
    let wrong = |shape: &[usize], wanted: String| {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        ModelError::Card {
            name: card.name.clone(),
            cause: format!("the network puts out [{}], and the card says {wanted}", shape.join(", ")),
        }
    };
    let z = match logits {
        Logits::Dense(z) => z,
        Logits::Class(z) => {
            let [batch, outputs] = z.dims();
            if card.task == Task::Segmentation {
                return Err(wrong(&[batch, outputs], "segmentation".to_owned()));
            }
            z.reshape([batch, outputs, 1, 1])
        }
    };
    let shape = z.dims();
    let [batch, outputs, height, width] = shape;
    let z = match card.output.channel {
        Some(channel) if channel < outputs => z.narrow(1, channel, 1),
        Some(channel) => return Err(wrong(&shape, format!("output channel {channel} (from 0)"))),
        None if outputs == card.outputs() => z,
        None => return Err(wrong(&shape, format!("{} outputs", card.outputs()))),
    };
    let z = match card.output.activation {
        _ if stripped => z,
        Activation::None => z,
        Activation::Sigmoid => {
            let p = z.clamp(CLOSEST_TO_CERTAIN, 1.0 - CLOSEST_TO_CERTAIN);
            p.clone().log() - (p.neg() + 1.0).log()
        }
        Activation::Softmax => z.clamp_min(CLOSEST_TO_CERTAIN).log(),
    };
    if card.task == Task::Segmentation {
        return Ok(Logits::Dense(z));
    }
    if height * width != 1 {
        return Err(wrong(&shape, "classification".to_owned()));
    }
    let z: Tensor<2> = z.reshape([batch, card.outputs()]);
    Ok(Logits::Class(match card.head {
        Head::Softmax => z,
        Head::Sigmoid if card.positive_class == 0 => Tensor::cat(vec![z.clone(), z.zeros_like()], 1),
        Head::Sigmoid => Tensor::cat(vec![z.zeros_like(), z], 1),
    }))
}
