//! The kernels of training as burn operations: a backend extension for the CPU.

use super::super::direct::{Conv, Finish, convolve, transpose};
use super::super::extension::{filled, images, shape};
use super::super::geometry::{Activation, Geometry};
use super::super::lanes::Instructions;
use super::super::plan::plain;
use super::norm::{self, Sizes, Statistics};
use super::weights::weight_gradient;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorData, backend_extension};
use std::ops::Range;

/// What a layer is besides its weights, which are `[outputs, channels, kernel rows, kernel columns]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub geometry: Geometry,
    /// None or a ReLU.
    pub activation: Activation,
    /// Whether there is a second input, whose channels follow those of the first.
    pub pair: bool,
    /// Whether there is a bias.
    pub biased: bool,
}

/// Layers in training, on the CPU only. A tensor that `kind` says is not there is any constant.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Trained: Backend {
    /// A convolution with bias and activation.
    fn trained_conv(
        x: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self>;
    /// The transpose of a convolution, to `size` pixels, with a bias.
    fn trained_up(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kind: Kind,
        size: [usize; 2],
    ) -> FloatTensor<Self>;
    /// Batch normalisation with the statistics of the batch, and a ReLU; mean and biased variance with it.
    fn trained_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The gradients of [`Trained`]'s operations, on a backend without autodiff.
pub(super) trait TrainedGradients: Trained {
    /// Of the input's `channels`, `size` pixels, of a convolution whose output was `y`.
    fn conv_input(
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        kind: Kind,
        channels: Range<usize>,
        size: [usize; 2],
    ) -> FloatTensor<Self>;
    /// Of its weights, whose shape is `weight`. For a transposed convolution what went in and the gradient change places.
    fn conv_weight(
        inputs: Vec<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        y: FloatTensor<Self>,
        kind: Kind,
        weight: [usize; 4],
    ) -> FloatTensor<Self>;
    /// Of a bias.
    fn bias(gradient: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
    /// Of the input of a transposed convolution.
    fn up_input(gradient: FloatTensor<Self>, weight: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self>;
    /// Of a normalisation's input, γ and β; `statistics` are its mean and variance.
    fn norm(
        gradient: FloatTensor<Self>,
        x: FloatTensor<Self>,
        parameters: [FloatTensor<Self>; 2],
        statistics: [FloatTensor<Self>; 2],
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3];
}

/// The convolution of these weights.
fn conv(weight: &FlexTensor, geometry: Geometry) -> Conv<'_> {
    let [outputs, channels, ..] = shape(weight);
    Conv {
        geometry,
        weights: weight.storage(),
        outputs,
        channels,
        groups: 1,
        with: Instructions::best(),
        winograd: true,
    }
}

fn sizes(x: &FlexTensor) -> Sizes {
    let [batch, channels, height, width] = shape(x);
    Sizes { batch, channels, pixels: height * width }
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let length = values.len();
    FlexTensor::from_data(TensorData::new(values, [length]))
}

/// Values of a vector.
fn values(x: &FlexTensor) -> &[f32] {
    x.storage()
}

impl Trained for Flex {
    fn trained_conv(x: FlexTensor, second: FlexTensor, weight: FlexTensor, bias: FlexTensor, kind: Kind) -> FlexTensor {
        let mut inputs = vec![plain(x)];
        if kind.pair {
            inputs.push(plain(second));
        }
        let (weight, bias) = (plain(weight), plain(bias));
        let [batch, _, height, width] = shape(&inputs[0]);
        let [outputs, ..] = shape(&weight);
        let size = [kind.geometry.output(0, height), kind.geometry.output(1, width)];
        filled([batch, outputs, size[0], size[1]], |out| {
            let bias = if kind.biased { values(&bias) } else { &[] };
            let finish = Finish { bias, add: None, activation: kind.activation };
            convolve(&conv(&weight, kind.geometry), images(&inputs, None), finish, out);
        })
    }

    fn trained_up(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, kind: Kind, size: [usize; 2]) -> FlexTensor {
        let (x, weight, bias) = ([plain(x)], plain(weight), plain(bias));
        let [batch, ..] = shape(&x[0]);
        let [_, channels, ..] = shape(&weight);
        filled([batch, channels, size[0], size[1]], |out| {
            let finish = Finish { bias: if kind.biased { values(&bias) } else { &[] }, ..Finish::default() };
            transpose(&conv(&weight, kind.geometry), 0..channels, images(&x, None), size, finish, out);
        })
    }

    fn trained_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, gamma, beta) = (plain(x), plain(gamma), plain(beta));
        let mut statistics = Statistics::default();
        let y = filled(shape(&x), |out| {
            let parameters = [values(&gamma), values(&beta)];
            statistics = norm::forward(Instructions::best(), sizes(&x), x.storage(), parameters, epsilon, out);
        });
        (y, vector(statistics.mean), vector(statistics.variance))
    }
}

impl TrainedGradients for Flex {
    fn conv_input(
        gradient: FlexTensor,
        y: FlexTensor,
        weight: FlexTensor,
        kind: Kind,
        channels: Range<usize>,
        size: [usize; 2],
    ) -> FlexTensor {
        let (gradient, y, weight) = ([plain(gradient)], plain(y), plain(weight));
        let [batch, ..] = shape(&gradient[0]);
        filled([batch, channels.len(), size[0], size[1]], |out| {
            let images = images(&gradient, Some((&y, kind.activation)));
            transpose(&conv(&weight, kind.geometry), channels, images, size, Finish::default(), out);
        })
    }

    fn conv_weight(
        inputs: Vec<FlexTensor>,
        gradient: FlexTensor,
        y: FlexTensor,
        kind: Kind,
        weight: [usize; 4],
    ) -> FlexTensor {
        let inputs: Vec<FlexTensor> = inputs.into_iter().map(plain).collect();
        let (gradient, y) = ([plain(gradient)], plain(y));
        let gradient = images(&gradient, Some((&y, kind.activation)));
        filled(weight, |out| {
            let [outputs, channels, ..] = weight;
            let size = [outputs, channels];
            weight_gradient(kind.geometry, size, Instructions::best(), &images(&inputs, None), &gradient, out);
        })
    }

    fn bias(gradient: FlexTensor, y: FlexTensor, activation: Activation) -> FlexTensor {
        let (gradient, y) = (plain(gradient), plain(y));
        let mask = (activation == Activation::Relu).then(|| y.storage());
        vector(norm::channel_sums(Instructions::best(), sizes(&gradient), gradient.storage(), mask))
    }

    fn up_input(gradient: FlexTensor, weight: FlexTensor, kind: Kind) -> FlexTensor {
        let (gradient, weight) = ([plain(gradient)], plain(weight));
        let [batch, _, height, width] = shape(&gradient[0]);
        let [channels, ..] = shape(&weight);
        let size = [kind.geometry.output(0, height), kind.geometry.output(1, width)];
        filled([batch, channels, size[0], size[1]], |out| {
            convolve(&conv(&weight, kind.geometry), images(&gradient, None), Finish::default(), out);
        })
    }

    fn norm(
        gradient: FlexTensor,
        x: FlexTensor,
        parameters: [FlexTensor; 2],
        statistics: [FlexTensor; 2],
        epsilon: f64,
    ) -> [FlexTensor; 3] {
        let (gradient, x) = (plain(gradient), plain(x));
        let ([gamma, beta], [mean, variance]) = (parameters.map(plain), statistics.map(plain));
        let statistics = Statistics { mean: values(&mean).to_vec(), variance: values(&variance).to_vec() };
        let mut of_parameters = [Vec::new(), Vec::new()];
        let of_input = filled(shape(&x), |out| {
            let both = [x.storage(), gradient.storage()];
            let parameters = [values(&gamma), values(&beta)];
            of_parameters =
                norm::backward(Instructions::best(), sizes(&x), both, parameters, &statistics, epsilon, out);
        });
        let [of_gamma, of_beta] = of_parameters.map(vector);
        [of_input, of_gamma, of_beta]
    }
}
