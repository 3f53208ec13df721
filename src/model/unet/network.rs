//! The network itself, block by block.

use super::config::{Padding, UNetConfig};
use crate::kernel::max_pool_2x2;
use crate::kernel::train::{convolution, normalisation, up_convolution};
use crate::model::resize::{Corners, resize};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// A 3×3 convolution, batch normalisation if the network has it, and a ReLU.
#[derive(Module, Debug)]
pub struct ConvUnit {
    pub(in crate::model) conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl ConvUnit {
    pub(super) fn new(input: usize, output: usize, stride: usize, config: &UNetConfig, device: &Device) -> Self {
        let padding = match config.padding {
            Padding::Same => PaddingConfig2d::Explicit(1, 1, 1, 1),
            Padding::Valid => PaddingConfig2d::Valid,
        };
        Self {
            conv: Conv2dConfig::new([input, output], [3, 3])
                .with_stride([stride, stride])
                .with_padding(padding)
                .with_bias(!config.batch_norm)
                .init(device),
            norm: config.batch_norm.then(|| BatchNormConfig::new(output).init(device)),
        }
    }

    /// Of the channels of `x` followed by those of `second`.
    fn forward(&self, x: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        match &self.norm {
            Some(norm) => normalisation(norm, convolution(&self.conv, x, second, false)),
            None => convolution(&self.conv, x, second, true),
        }
    }

    /// The same function in evaluation mode as one convolution with a bias.
    fn folded(self) -> Self {
        let Self { mut conv, norm } = self;
        let Some(norm) = norm else { return Self { conv, norm: None } };
        // y = γ·(w∗x + b − μ)/√(σ² + ε) + β  =  (s·w)∗x + (s·(b − μ) + β),  s = γ/√(σ² + ε)
        let scale = norm.gamma.val() / (norm.running_var.value() + norm.epsilon).sqrt();
        let [outputs] = scale.dims();
        let shift = match &conv.bias {
            Some(bias) => bias.val() - norm.running_mean.value(),
            None => norm.running_mean.value().neg(),
        };
        conv.bias = Some(Param::from_tensor(scale.clone() * shift + norm.beta.val()));
        conv.weight = Param::from_tensor(conv.weight.val() * scale.reshape([outputs, 1, 1, 1]));
        Self { conv, norm: None }
    }
}

/// Two [`ConvUnit`]s.
#[derive(Module, Debug)]
pub struct DoubleConv {
    pub(in crate::model) first: ConvUnit,
    pub(in crate::model) second: ConvUnit,
}

impl DoubleConv {
    /// Of the channels of `x` followed by those of `second`.
    fn forward(&self, x: Tensor<4>, second: Option<Tensor<4>>) -> Tensor<4> {
        self.second.forward(self.first.forward(x, second), None)
    }

    fn folded(self) -> Self {
        Self { first: self.first.folded(), second: self.second.folded() }
    }
}

/// A 2×2 transposed convolution (or bilinear interpolation), the skip connection, and a [`DoubleConv`].
#[derive(Module, Debug)]
pub struct UpBlock {
    pub(in crate::model) transpose: Option<ConvTranspose2d>,
    pub(in crate::model) block: DoubleConv,
}

impl UpBlock {
    fn forward(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        let x = match &self.transpose {
            Some(transpose) => up_convolution(transpose, x),
            None => interpolated(x),
        };
        self.block.forward(cropped(skip, &x), Some(x))
    }
}

/// Twice as large, by bilinear interpolation.
pub(in crate::model) fn interpolated(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    resize(x, [2 * height, 2 * width], Corners::Centres)
}

/// The middle of `skip`, of the size of `x`.
pub(in crate::model) fn cropped(skip: Tensor<4>, x: &Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let [_, _, skip_height, skip_width] = skip.dims();
    let (top, left) = ((skip_height - height) / 2, (skip_width - width) / 2);
    if top == 0 && left == 0 { skip } else { skip.narrow(2, top, height).narrow(3, left, width) }
}

/// The network: logits `[batch, outputs, h, w]` from images `[batch, channels, h + 2m, w + 2m]`, where m is
/// [`UNetConfig::margin`] and the input size is one that [`UNetConfig::input_size`] gives.
#[derive(Module, Debug)]
pub struct UNet {
    pub(in crate::model) down: Vec<DoubleConv>,
    pub(in crate::model) bottleneck: DoubleConv,
    pub(super) dropout: Dropout,
    pub(in crate::model) up: Vec<UpBlock>,
    pub(in crate::model) head: Conv2d,
    pub(in crate::model) pool: bool,
}

impl UNet {
    /// Logits for `x`; see [`UNet`] for shapes.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_seen(x, |_| ())
    }

    /// [`Self::forward`], showing the feature maps `[batch, channels, h, w]` of every level to `see` on the way:
    /// down the contracting path, the bottleneck, and up the expansive path.
    pub fn forward_seen(&self, x: Tensor<4>, mut see: impl FnMut(&Tensor<4>)) -> Tensor<4> {
        let mut skips = Vec::with_capacity(self.down.len());
        let mut x = x;
        for level in &self.down {
            let features = level.forward(x, None);
            see(&features);
            x = if self.pool { max_pool_2x2(features.clone()) } else { features.clone() };
            skips.push(features);
        }
        x = self.bottleneck.forward(x, None);
        see(&x);
        x = self.dropout.forward(x);
        for (level, skip) in self.up.iter().zip(skips.into_iter().rev()) {
            x = level.forward(x, skip);
            see(&x);
        }
        convolution(&self.head, x, None, false)
    }

    /// The same function in evaluation mode with batch normalisation folded into the convolutions: exact up to
    /// rounding, and one pass over the activations less. For frozen models only.
    pub fn folded(self) -> Self {
        Self {
            down: self.down.into_iter().map(DoubleConv::folded).collect(),
            bottleneck: self.bottleneck.folded(),
            up: self.up.into_iter().map(|u| UpBlock { transpose: u.transpose, block: u.block.folded() }).collect(),
            ..self
        }
    }
}
