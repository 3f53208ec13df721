//! The layers of frozen networks, on any device.

use super::extension::Frozen;
use super::geometry::{Activation, Geometry};
use super::linear::Product;
use super::mix::Mix;
use super::plan::{Plan, Pool, Scale, on_cpu};
use super::strided::Strided;
use burn::backend::Dispatch;
use burn::backend::flex::FlexTensor;
use burn::tensor::module::{conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Whether `device` is the CPU, with autodiff or without.
pub(super) fn is_cpu(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// `constant`, tracked by nobody, on the device of `x`.
fn like(constant: Tensor<4>, x: &Tensor<4>) -> Tensor<4> {
    match (x.is_autodiff(), constant.is_autodiff()) {
        (true, false) => Tensor::from_inner(constant),
        _ => constant,
    }
}

/// With `bias`, one for each channel, added.
fn biased(y: Tensor<4>, bias: Option<&Tensor<1>>) -> Tensor<4> {
    match bias {
        Some(bias) => {
            let [channels] = bias.dims();
            let bias = like(bias.clone().reshape([1, channels, 1, 1]), &y);
            y + bias
        }
        None => y,
    }
}

/// A convolution with frozen weights, and an activation.
#[derive(Clone, Debug)]
pub struct Convolution {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    activation: Activation,
    plan: Option<Arc<Plan>>,
}

/// On GPUs burn's convolutions give one channel with strides that its fused kernels take for others where a tensor in the usual
/// order stands beside it: the gradient of a sigmoid after such a convolution was noise. By way of a vector the strides are the
/// usual ones; the values stay where they are.
fn in_order(x: Tensor<4>) -> Tensor<4> {
    let shape = x.dims();
    if shape[1] == 1 { x.flatten::<1>(0, 3).reshape(shape) } else { x }
}

impl Convolution {
    /// `weight` is `[outputs, channels / groups, kernel rows, kernel columns]`, `bias` `[outputs]`. On the CPU a kernel of
    /// its own computes it, with the weights where they are; `parts` are then the channels of each tensor that it reads
    /// side by side, one or two. Weights that are tracked by autodiff are left to burn.
    pub fn new(
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        options: ConvOptions<2>,
        parts: &[usize],
        activation: Activation,
    ) -> Self {
        let [_, _, rows, columns] = weight.dims();
        let geometry = Geometry {
            kernel: [rows, columns],
            stride: options.stride,
            dilation: options.dilation,
            padding: options.padding.map(|(before, after)| [before, after]),
        };
        let tracked = weight.is_tracked() || bias.as_ref().is_some_and(Tensor::is_tracked);
        let own = is_cpu(&weight.device()) && !tracked && parts.len() <= 2;
        let plan = || Plan::new(geometry, options.groups, weight.clone(), bias.clone(), parts, activation);
        let plan = if own { plan().map(Arc::new) } else { None };
        Self { weight, bias, options, activation, plan }
    }

    /// The plan, if it reads one tensor; that of a pair has gradients for two.
    fn single(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref().filter(|plan| plan.parts.len() == 1)
    }

    /// `[batch, outputs, h, w]` from `x`, `[batch, channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self.single() {
            Some(plan) => Tensor::from_dispatch(Dispatch::frozen_conv(x.into_dispatch(), plan.clone())),
            None => self.activation.apply(self.sums(x)),
        }
    }

    /// The same of the channels of `a` followed by those of `b`.
    pub fn forward_pair(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
        match &self.plan {
            Some(plan) if plan.parts.len() == 2 && a.device() == b.device() => {
                Tensor::from_dispatch(Dispatch::frozen_conv_pair(a.into_dispatch(), b.into_dispatch(), plan.clone()))
            }
            _ => self.forward(Tensor::cat(vec![a, b], 1)),
        }
    }

    /// The same with `summand`, `[batch, outputs, h, w]`, added before the activation.
    pub fn forward_sum(&self, x: Tensor<4>, summand: Tensor<4>) -> Tensor<4> {
        match self.single() {
            // One of them tracked and not the other: burn knows what to do.
            Some(plan) if x.device() == summand.device() => Tensor::from_dispatch(Dispatch::frozen_conv_sum(
                x.into_dispatch(),
                summand.into_dispatch(),
                plan.clone(),
            )),
            _ => self.activation.apply(self.sums(x) + summand),
        }
    }

    fn sums(&self, x: Tensor<4>) -> Tensor<4> {
        if is_cpu(&x.device()) {
            return conv2d(x, self.weight.clone(), self.bias.clone(), self.options.clone());
        }
        // What comes out, and the gradient that goes back in.
        let x = in_order(x);
        let tracked = self.weight.is_tracked() || self.bias.as_ref().is_some_and(Tensor::is_tracked);
        in_order(if self.options.stride != [1, 1] && x.is_tracked() && !tracked {
            let options = Arc::new(self.options.clone());
            let weight = like(self.weight.clone(), &x);
            let y = Dispatch::strided_conv(x.into_dispatch(), weight.into_dispatch(), options);
            biased(Tensor::from_dispatch(y), self.bias.as_ref())
        } else {
            conv2d(x, self.weight.clone(), self.bias.clone(), self.options.clone())
        })
    }

    /// The same function by the definition's multiplications only: to measure what Winograd's way changes.
    #[must_use]
    pub fn without_winograd(&self) -> Self {
        Self { plan: self.plan.as_ref().map(|plan| Arc::new(plan.without_winograd())), ..self.clone() }
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.weight.shape().num_elements() + self.bias.as_ref().map_or(0, |bias| bias.shape().num_elements())
    }

    /// The same layer on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        let channels = self.weight.dims()[1] * self.options.groups;
        let parts = self.plan.as_ref().map_or_else(|| vec![channels], |plan| plan.parts.clone());
        let bias = self.bias.clone().map(|bias| bias.to_device(device));
        Self::new(self.weight.clone().to_device(device), bias, self.options.clone(), &parts, self.activation)
    }
}

/// What a transposed convolution does with its weights.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Pixels between those that neighbouring pixels of the input are spread around.
    pub stride: [usize; 2],
    /// Pixels between elements of the kernel.
    pub dilation: [usize; 2],
    /// Rows above, and columns to the left, that are cut off.
    pub before: [usize; 2],
    /// How channels are divided.
    pub groups: usize,
}

impl UpOptions {
    /// The convolution that takes `to` pixels to `from`, if there is one.
    fn geometry(&self, kernel: [usize; 2], from: [usize; 2], to: [usize; 2]) -> Option<Geometry> {
        let Self { stride, dilation, before, .. } = *self;
        let mut geometry = Geometry { kernel, stride, dilation, padding: before.map(|p| [p, 0]) };
        for axis in 0..2 {
            let needed = from[axis].checked_sub(1)? * stride[axis] + geometry.reach(axis) + 1;
            geometry.padding[axis][1] = needed.saturating_sub(to[axis] + before[axis]);
            if geometry.output(axis, to[axis]) != from[axis] {
                return None;
            }
        }
        Some(geometry)
    }

    /// The plan that takes `from` pixels to `to` pixels; `None` where no kernel does.
    fn plan(
        &self,
        weight: &Tensor<4>,
        bias: Option<&Tensor<1>>,
        from: [usize; 2],
        to: [usize; 2],
    ) -> Option<Arc<Plan>> {
        let [_, outputs, rows, columns] = weight.dims();
        let tracked = weight.is_tracked() || bias.is_some_and(Tensor::is_tracked);
        if !is_cpu(&weight.device()) || tracked {
            return None;
        }
        let geometry = self.geometry([rows, columns], from, to)?;
        let groups = self.groups;
        let parts = [outputs * groups];
        Plan::new(geometry, groups, weight.clone(), bias.cloned(), &parts, Activation::None).map(Arc::new)
    }

    /// The transposed convolution of `x`, `[batch, channels, h, w]`, cut or filled with the bias to `size`; `x` itself
    /// where no kernel of its own computes it. `weight` is `[channels, outputs / groups, kernel rows, kernel columns]`,
    /// `bias` `[outputs]`.
    ///
    /// # Errors
    /// `x`, for burn's own operation.
    #[expect(clippy::result_large_err, reason = "not an error: the tensor handed back for the other way")]
    pub fn apply(
        &self,
        x: Tensor<4>,
        weight: &Tensor<4>,
        bias: Option<&Tensor<1>>,
        size: [usize; 2],
    ) -> Result<Tensor<4>, Tensor<4>> {
        let [_, _, height, width] = x.dims();
        if let Some(plan) = self.plan(weight, bias, [height, width], size) {
            return Ok(Tensor::from_dispatch(Dispatch::frozen_up(x.into_dispatch(), plan, size)));
        }
        let tracked = weight.is_tracked() || bias.is_some_and(Tensor::is_tracked);
        let kernel = [weight.dims()[2], weight.dims()[3]];
        match self.geometry(kernel, [height, width], size) {
            Some(geometry) if self.stride != [1, 1] && !tracked && !is_cpu(&x.device()) => {
                let padding = geometry.padding.map(|[before, after]| (before, after));
                let options = ConvOptions::new_with_padding(self.stride, padding, self.dilation, self.groups);
                let weight = like(weight.clone(), &x).into_dispatch();
                let y = Dispatch::strided_up(x.into_dispatch(), weight, Arc::new(options), size);
                Ok(in_order(biased(Tensor::from_dispatch(y), bias)))
            }
            _ => Err(x),
        }
    }
}

/// A transposed convolution with frozen weights whose kernel is as large as its stride: the up-sampling of a U-Net.
#[derive(Clone, Debug)]
pub struct UpConvolution {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

impl UpConvolution {
    /// `weight` is `[channels, outputs, factor, factor]`, `bias` `[outputs]`.
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>) -> Self {
        Self { weight, bias }
    }

    /// `[batch, outputs, factor·h, factor·w]` from `x`, `[batch, channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, factor, _] = self.weight.dims();
        let [_, _, height, width] = x.dims();
        let options = UpOptions { stride: [factor; 2], dilation: [1; 2], before: [0; 2], groups: 1 };
        options.apply(x, &self.weight, self.bias.as_ref(), [height * factor, width * factor]).unwrap_or_else(|x| {
            let options = ConvTransposeOptions::new([factor; 2], [0; 2], [0; 2], [1; 2], 1);
            conv_transpose2d(x, self.weight.clone(), self.bias.clone(), options)
        })
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

/// Rows times a frozen matrix, and a bias.
#[derive(Clone, Debug)]
pub struct Linear(Arc<Product>);

impl Linear {
    /// The layer of `weight`, `[inputs, outputs]` or, if it is `turned`, `[outputs, inputs]`, and `bias`, `[outputs]`. `None` where
    /// no kernel of its own computes it: burn's product does.
    pub fn new(weight: Tensor<2>, turned: bool, bias: Option<Tensor<1>>) -> Option<Self> {
        let tracked = weight.is_tracked() || bias.as_ref().is_some_and(Tensor::is_tracked);
        let own = is_cpu(&weight.device()) && !tracked;
        let product = || Product::new(weight, turned, bias);
        if own { product().map(|product| Self(Arc::new(product))) } else { None }
    }

    /// Whether it was made of these very tensors.
    pub fn is_of(&self, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> bool {
        !weight.is_tracked() && !bias.is_some_and(Tensor::is_tracked) && self.0.is_of(weight, bias)
    }

    /// `[rows, outputs]` from `x`, `[rows, inputs]`, on the CPU.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::frozen_linear(x.into_dispatch(), self.0.clone()))
    }
}

impl Pool {
    /// The largest of each window of `x`, `[batch, channels, h, w]`, padded with −∞; `x` itself where no kernel of its own
    /// computes it.
    ///
    /// # Errors
    /// `x`, for burn's own operation.
    #[expect(clippy::result_large_err, reason = "not an error: the tensor handed back for the other way")]
    pub fn apply(self, x: Tensor<4>) -> Result<Tensor<4>, Tensor<4>> {
        let empty = x.shape().num_elements() == 0 || self.output.contains(&0);
        if empty || !is_cpu(&x.device()) {
            return Err(x);
        }
        Ok(Tensor::from_dispatch(Dispatch::frozen_pool(x.into_dispatch(), self)))
    }
}

impl Mix {
    /// `x`, `[batch, channels, h, w]`, resampled; `x` itself where no kernel of its own computes it.
    ///
    /// # Errors
    /// `x`, for burn's own operations.
    #[expect(clippy::result_large_err, reason = "not an error: the tensor handed back for the other way")]
    pub fn apply(self, x: Tensor<4>) -> Result<Tensor<4>, Tensor<4>> {
        let [_, _, height, width] = x.dims();
        let [from, to] = self.sizes();
        if from != [height, width] || to.contains(&0) || x.shape().num_elements() == 0 || !is_cpu(&x.device()) {
            return Err(x);
        }
        Ok(Tensor::from_dispatch(Dispatch::frozen_mix(x.into_dispatch(), Arc::new(self))))
    }
}

/// 2×2 max pooling with stride 2; an odd last row or column is left out.
pub fn max_pool_2x2(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let pool = Pool { kernel: [2, 2], stride: [2, 2], before: [0, 0], output: [height / 2, width / 2] };
    pool.apply(x).unwrap_or_else(|x| max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2])))
}

/// activation(factor · x + summand) of `x`, `[batch, channels, h, w]`, with one factor and summand for each channel.
pub fn scaled(x: Tensor<4>, factor: Tensor<1>, summand: Tensor<1>, activation: Activation) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    let tracked = factor.is_tracked() || summand.is_tracked();
    if is_cpu(&x.device())
        && !tracked
        && height * width > 0
        && factor.dims() == [channels]
        && summand.dims() == [channels]
        && let (Some(factor), Some(summand)) = (on_cpu(factor.clone()), on_cpu(summand.clone()))
    {
        let values = |t: FlexTensor| t.storage::<f32>()[..channels].to_vec();
        let scale = Scale { factor: values(factor), summand: values(summand), activation };
        return Tensor::from_dispatch(Dispatch::frozen_scale(x.into_dispatch(), Arc::new(scale)));
    }
    activation.apply(x * factor.reshape([1, channels, 1, 1]) + summand.reshape([1, channels, 1, 1]))
}

impl Activation {
    /// Of each value.
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Relu => burn::tensor::activation::relu(x),
            Self::Clip(lower, upper) => x.clamp(lower, upper),
        }
    }
}
