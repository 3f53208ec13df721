//! The layers of frozen networks, on any device.

use super::extension::Frozen;
use super::lanes::Instructions;
use super::plan::{Geometry, Plan, UpPlan};
use burn::backend::Dispatch;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Whether `device` is the CPU, with autodiff or without.
fn is_cpu(device: Device) -> bool {
    device.without_autodiff() == Device::flex()
}

/// Values of a tensor on the CPU; `None` only if burn cannot read them, and then its own operations may try.
fn host<const D: usize>(tensor: Tensor<D>) -> Option<Vec<f32>> {
    Some(tensor.try_into_data().ok()?.iter::<f32>().collect())
}

/// A convolution with frozen weights, and a ReLU if wanted.
#[derive(Clone, Debug)]
pub struct Convolution {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    relu: bool,
    plan: Option<Arc<Plan>>,
}

impl Convolution {
    /// `weight` is `[outputs, channels / groups, kernel rows, kernel columns]`, `bias` `[outputs]`. On the CPU a kernel of its
    /// own computes it, unless it has groups, a stride, or more padding than the kernel reaches; `parts` are then the
    /// channels of each tensor that it reads side by side, one or two.
    pub fn new(
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        options: ConvOptions<2>,
        parts: &[usize],
        relu: bool,
    ) -> Self {
        let own = is_cpu(weight.device()) && options.groups == 1 && parts.len() <= 2;
        let plan = if own { Self::plan(&weight, bias.as_ref(), &options, parts, relu) } else { None };
        Self { weight, bias, options, relu, plan }
    }

    fn plan(
        weight: &Tensor<4>,
        bias: Option<&Tensor<1>>,
        options: &ConvOptions<2>,
        parts: &[usize],
        relu: bool,
    ) -> Option<Arc<Plan>> {
        let [outputs, channels, rows, columns] = weight.dims();
        let geometry = Geometry {
            kernel: [rows, columns],
            stride: options.stride,
            dilation: options.dilation,
            padding: options.padding.map(|(before, after)| [before, after]),
        };
        if parts.iter().sum::<usize>() != channels || outputs == 0 || !geometry.has_gradient() {
            return None;
        }
        let bias = bias.map_or_else(|| Some(vec![0.0; outputs]), |bias| host(bias.clone()))?;
        let weights = host(weight.clone())?;
        Some(Arc::new(Plan::new(geometry, parts.to_vec(), weights, &bias, relu, Instructions::best())))
    }

    /// `[batch, outputs, h, w]` from `x`, `[batch, channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.plan {
            Some(plan) => Tensor::from_dispatch(Dispatch::frozen_conv(x.into_dispatch(), plan.clone())),
            None => self.elsewhere(x),
        }
    }

    /// The same of the channels of `a` followed by those of `b`.
    pub fn forward_pair(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
        match &self.plan {
            Some(plan) if plan.parts.len() == 2 => {
                Tensor::from_dispatch(Dispatch::frozen_conv_pair(a.into_dispatch(), b.into_dispatch(), plan.clone()))
            }
            _ => self.forward(Tensor::cat(vec![a, b], 1)),
        }
    }

    fn elsewhere(&self, x: Tensor<4>) -> Tensor<4> {
        let y = conv2d(x, self.weight.clone(), self.bias.clone(), self.options.clone());
        if self.relu { relu(y) } else { y }
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.weight.shape().num_elements() + self.bias.as_ref().map_or(0, |bias| bias.shape().num_elements())
    }

    /// The same layer on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        let parts = self.plan.as_ref().map_or_else(|| vec![self.weight.dims()[1]], |plan| plan.parts.clone());
        let bias = self.bias.clone().map(|bias| bias.to_device(device));
        Self::new(self.weight.clone().to_device(device), bias, self.options.clone(), &parts, self.relu)
    }
}

/// A transposed convolution with frozen weights whose kernel is as large as its stride.
#[derive(Clone, Debug)]
pub struct UpConvolution {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    plan: Option<Arc<UpPlan>>,
}

impl UpConvolution {
    /// `weight` is `[channels, outputs, factor, factor]`, `bias` `[outputs]`.
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>) -> Self {
        let [channels, outputs, factor, _] = weight.dims();
        let plan = || {
            let bias = bias.clone().map_or_else(|| Some(vec![0.0; outputs]), host)?;
            Some(Arc::new(UpPlan::new(channels, factor, &host(weight.clone())?, &bias, Instructions::best())))
        };
        let plan = if is_cpu(weight.device()) { plan() } else { None };
        Self { weight, bias, plan }
    }

    /// `[batch, outputs, factor·h, factor·w]` from `x`, `[batch, channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.plan {
            Some(plan) => Tensor::from_dispatch(Dispatch::frozen_up(x.into_dispatch(), plan.clone())),
            None => {
                let [_, _, factor, _] = self.weight.dims();
                let options = ConvTransposeOptions::new([factor; 2], [0; 2], [0; 2], [1; 2], 1);
                conv_transpose2d(x, self.weight.clone(), self.bias.clone(), options)
            }
        }
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.weight.shape().num_elements() + self.bias.as_ref().map_or(0, |bias| bias.shape().num_elements())
    }

    /// The same layer on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        Self::new(self.weight.clone().to_device(device), self.bias.clone().map(|bias| bias.to_device(device)))
    }
}

/// 2×2 max pooling with stride 2; an odd last row or column is left out.
pub fn max_pool_2x2(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if is_cpu(x.device()) && height % 2 == 0 && width % 2 == 0 {
        return Tensor::from_dispatch(Dispatch::frozen_pool(x.into_dispatch()));
    }
    max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]))
}
