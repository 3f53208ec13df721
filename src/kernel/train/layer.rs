//! The layers of networks in training, on any device.

use super::super::geometry::{Activation, Geometry};
use super::super::layer::is_cpu;
use super::operation::{Kind, Trained};
use burn::backend::Dispatch;
use burn::module::Param;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

/// The layer's kind, if its kernels are here.
fn kind(layer: &Conv2d, x: &Tensor<4>, second: Option<&Tensor<4>>, activation: Activation) -> Option<Kind> {
    let padding = match layer.padding {
        PaddingConfig2d::Valid => [[0; 2]; 2],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [[top, bottom], [left, right]],
        PaddingConfig2d::Same => return None,
    };
    let Conv2d { stride, dilation, groups, .. } = *layer;
    let [_, _, rows, columns] = layer.weight.lazy_shape().dims();
    let geometry = Geometry { kernel: [rows, columns], stride, dilation, padding };
    let [_, _, height, width] = x.dims();
    let fits = geometry.output(0, height) > 0 && geometry.output(1, width) > 0;
    let devices = second.is_none_or(|second| second.device() == x.device());
    let own = groups == 1 && fits && devices && x.shape().num_elements() > 0 && is_cpu(&x.device());
    own.then_some(Kind { geometry, activation, pair: second.is_some(), biased: layer.bias.is_some() })
}

/// The bias, or something in its place.
fn bias_of(bias: Option<&Param<Tensor<1>>>, x: &Tensor<4>) -> Tensor<1> {
    match bias {
        Some(bias) => bias.val(),
        None => Tensor::from_data(TensorData::new(vec![0f32], [1]), &x.device()),
    }
}

/// `layer` of the channels of `x`, `[batch, channels, h, w]`, followed by those of `second`, and a ReLU if `rectified`.
pub fn convolution(layer: &Conv2d, x: Tensor<4>, second: Option<Tensor<4>>, rectified: bool) -> Tensor<4> {
    let activation = if rectified { Activation::Relu } else { Activation::None };
    let Some(kind) = kind(layer, &x, second.as_ref(), activation) else {
        let x = match second {
            Some(second) => Tensor::cat(vec![x, second], 1),
            None => x,
        };
        return activation.apply(layer.forward(x));
    };
    let bias = bias_of(layer.bias.as_ref(), &x).into_dispatch();
    let weight = layer.weight.val();
    let second = second.unwrap_or_else(|| weight.clone().detach()).into_dispatch();
    Tensor::from_dispatch(Dispatch::trained_conv(x.into_dispatch(), second, weight.into_dispatch(), bias, kind))
}

/// `layer` of `x`, `[batch, channels, h, w]`, where its kernel is as large as its stride.
pub fn up_convolution(layer: &ConvTranspose2d, x: Tensor<4>) -> Tensor<4> {
    let ConvTranspose2d { stride, kernel_size, dilation, groups, padding, padding_out, .. } = *layer;
    let plain =
        kernel_size == stride && dilation == [1; 2] && groups == 1 && padding == [0; 2] && padding_out == [0; 2];
    if !plain || x.shape().num_elements() == 0 || !is_cpu(&x.device()) {
        return layer.forward(x);
    }
    let [_, _, height, width] = x.dims();
    let geometry = Geometry { kernel: kernel_size, stride, dilation, padding: [[0; 2]; 2] };
    let kind = Kind { geometry, activation: Activation::None, pair: false, biased: layer.bias.is_some() };
    let bias = bias_of(layer.bias.as_ref(), &x).into_dispatch();
    let size = [height * stride[0], width * stride[1]];
    let weight = layer.weight.val().into_dispatch();
    Tensor::from_dispatch(Dispatch::trained_up(x.into_dispatch(), weight, bias, kind, size))
}

/// A ReLU of `layer` of `x`, `[batch, channels, h, w]`. In training the running statistics learn from it.
pub fn normalisation(layer: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    let training = device.is_autodiff() && layer.training.is_enabled();
    if !training || x.shape().num_elements() == 0 || !is_cpu(&device) {
        return relu(layer.forward(x));
    }
    let (gamma, beta) = (layer.gamma.val().into_dispatch(), layer.beta.val().into_dispatch());
    let (y, mean, variance) = Dispatch::trained_norm(x.into_dispatch(), gamma, beta, layer.epsilon);
    // As burn's own layer learns.
    for (running, found) in [(&layer.running_mean, mean), (&layer.running_var, variance)] {
        let before = running.value_sync().to_device(&device);
        let found = Tensor::<1>::from_dispatch(found).detach();
        running.update((before * (1.0 - layer.momentum) + found * layer.momentum).detach());
    }
    Tensor::from_dispatch(y)
}
