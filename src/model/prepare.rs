//! From an image in `[0, 1]` to what a network takes, as its card says, and from what it puts out to logits. All of
//! it is made of tensors, so that the gradient flows through.

use super::{Activation, ChannelOrder, InputRule, Logits, ModelCard, ModelError, Task, ZScore};
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
/// images' logits as `[batch, outputs]`. `stripped` says that the final activation is already off.
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
    Ok(Logits::Class(z.reshape([batch, card.outputs()])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClassInfo, OutputRule};
    use burn::tensor::{Device, TensorData};

    fn tensor(values: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        crate::tensor::to_host(x).unwrap()
    }

    fn card(channels: usize, input: InputRule) -> ModelCard {
        let card = ModelCard { channels, input, ..ModelCard::default() };
        card.check().unwrap();
        card
    }

    #[test]
    fn colours_are_turned_scaled_and_centred_in_that_order() {
        let input = InputRule {
            range: [-1.0, 1.0],
            order: ChannelOrder::Bgr,
            mean: vec![0.1, 0.2, 0.3],
            std: vec![1.0, 2.0, 4.0],
            ..InputRule::default()
        };
        let z = host(prepare(tensor(&[0.0, 0.5, 1.0], [1, 3, 1, 1]), &card(3, input.clone())).unwrap());
        for (z, expected) in z.iter().zip([1.0 - 0.1, (0.0 - 0.2) / 2.0, (-1.0 - 0.3) / 4.0]) {
            assert!((z - expected).abs() < 1e-6, "{z} for {expected}");
        }
        // A grey image feeds all three.
        assert_eq!(prepare(tensor(&[0.5; 4], [1, 1, 2, 2]), &card(3, input.clone())).unwrap().dims(), [1, 3, 2, 2]);
        assert!(prepare(tensor(&[0.5; 4], [1, 2, 2, 1]), &card(3, input)).is_err());
    }

    #[test]
    fn a_window_is_in_pixel_units_and_clips() {
        let input = InputRule { window: Some([-160.0, 240.0]), range: [0.0, 255.0], ..InputRule::default() };
        let unit = |hounsfield: f32| (hounsfield + 1024.0) / 4095.0;
        let x = [-1000.0, -160.0, 40.0, 240.0, 900.0].map(unit);
        let z = host(prepare(tensor(&x, [1, 1, 1, 5]), &card(1, input)).unwrap());
        for (z, expected) in z.iter().zip([0.0, 0.0, 127.5, 255.0, 255.0]) {
            assert!((z - expected).abs() < 1e-3, "{z} for {expected}");
        }
    }

    #[test]
    fn the_gradient_flows_through_the_z_score() {
        let values: Vec<f32> = (0..24).map(|i| ((i * 37 % 24) as f32 / 24.0).powi(2)).collect();
        let weights: Vec<f32> = (0..24).map(|i| ((i * 11 % 24) as f32 - 12.0) / 12.0).collect();
        let along: Vec<f32> = (0..24).map(|i| ((i * 7 % 24) as f32 - 11.5) / 24.0).collect();
        for z_score in [ZScore::Image, ZScore::Channel] {
            let card = card(2, InputRule { z_score: Some(z_score), ..InputRule::default() });
            let value =
                |x: Tensor<4>| (prepare(x, &card).unwrap().powi_scalar(3) * tensor(&weights, [1, 2, 3, 4])).sum();
            let x = tensor(&values, [1, 2, 3, 4]).autodiff().require_grad();
            // The weights are on the same device, tracked or not.
            let z = prepare(x.clone(), &card).unwrap().powi_scalar(3);
            let loss = (z * Tensor::from_inner(tensor(&weights, [1, 2, 3, 4]))).sum();
            let gradient = host(x.grad(&loss.backward()).unwrap());
            let slope: f32 = gradient.iter().zip(&along).map(|(g, a)| g * a).sum();
            let step = 1e-2;
            let moved = |by: f32| -> f32 {
                let values: Vec<f32> = values.iter().zip(&along).map(|(v, a)| v + by * a).collect();
                value(tensor(&values, [1, 2, 3, 4])).into_scalar::<f32>()
            };
            let finite = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((slope - finite).abs() <= 2e-3 * finite.abs().max(1.0), "{z_score:?}: {slope} for {finite}");
            // Moving all values alike changes nothing.
            assert!(gradient.iter().sum::<f32>().abs() < 1e-3, "{gradient:?}");
        }
        // A constant image has a gradient that is finite.
        let card = card(1, InputRule { z_score: Some(ZScore::Image), ..InputRule::default() });
        let x = tensor(&[0.5; 4], [1, 1, 2, 2]).autodiff().require_grad();
        let loss = prepare(x.clone(), &card).unwrap().powi_scalar(2).sum();
        assert!(host(x.grad(&loss.backward()).unwrap()).iter().all(|g| g.is_finite()));
    }

    #[test]
    fn probabilities_become_log_odds_and_channels_are_chosen() {
        let logits = [-3.0f32, 0.5];
        let p = logits.map(|z| 1.0 / (1.0 + (-z).exp()));
        let output = |activation, channel| OutputRule { activation, channel, ..OutputRule::default() };
        let sigmoid = ModelCard { output: output(Activation::Sigmoid, Some(1)), ..ModelCard::default() };
        let Logits::Dense(z) = finish(Logits::Dense(tensor(&p, [1, 2, 1, 1])), &sigmoid, false).unwrap() else {
            panic!()
        };
        assert!((host(z)[0] - 0.5).abs() < 1e-5);
        // Certain, and still finite.
        let Logits::Dense(z) = finish(Logits::Dense(tensor(&[0.0, 1.0], [1, 2, 1, 1])), &sigmoid, false).unwrap()
        else {
            panic!()
        };
        assert!((10.0..20.0).contains(&host(z)[0]));
        let classes = vec![ClassInfo::new("a"), ClassInfo::new("b"), ClassInfo::new("c")];
        let three = ModelCard {
            head: crate::model::Head::Softmax,
            task: Task::Classification,
            classes,
            ..ModelCard::default()
        };
        let error = finish(Logits::Dense(tensor(&p, [1, 2, 1, 1])), &three, true).unwrap_err().to_string();
        assert!(error.contains("[1, 2, 1, 1]") && error.contains("3 outputs"), "{error}");
        let whole = finish(Logits::Dense(tensor(&[1.0, 2.0, 3.0], [1, 3, 1, 1])), &three, true).unwrap();
        assert!(matches!(whole, Logits::Class(z) if z.dims() == [1, 3]));
    }
}
