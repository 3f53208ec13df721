//! A [`UNet`] that will not change again: batch normalisation folded, layers in the kernels of [`crate::kernel`].

use super::unet::{DoubleConv, UNet, UpBlock, cropped, interpolated};
use crate::kernel::{Activation, Convolution, UpConvolution, max_pool_2x2};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

/// The function of a [`UNet`] in evaluation mode. Cheap to clone.
#[derive(Clone)]
pub(super) struct FrozenUNet {
    down: Vec<[Convolution; 2]>,
    bottleneck: [Convolution; 2],
    /// Without a transposed convolution, a level is interpolated.
    up: Vec<(Option<UpConvolution>, [Convolution; 2])>,
    head: Convolution,
    pool: bool,
}

impl FrozenUNet {
    /// Freezes `network`, where its weights are.
    pub fn new(network: UNet) -> Self {
        let UNet { down, bottleneck, up, head, pool, .. } = network.folded();
        let rise = |level: &UpBlock| {
            let rise = level.transpose.as_ref().map(|transpose| {
                UpConvolution::new(transpose.weight.val(), transpose.bias.as_ref().map(|bias| bias.val()))
            });
            // The skip connection brings half of the channels.
            let [_, channels, ..] = level.block.first.conv.weight.val().dims();
            (rise, block(&level.block, &[channels / 2, channels - channels / 2]))
        };
        Self {
            down: down.iter().map(|level| block(level, &[])).collect(),
            bottleneck: block(&bottleneck, &[]),
            up: up.iter().map(rise).collect(),
            head: convolution(&head, &[], Activation::None),
            pool,
        }
    }

    /// Logits for `x`; see [`UNet`] for shapes.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut skips = Vec::with_capacity(self.down.len());
        let mut x = x;
        for [first, second] in &self.down {
            let features = second.forward(first.forward(x));
            x = if self.pool { max_pool_2x2(features.clone()) } else { features.clone() };
            skips.push(features);
        }
        x = self.bottleneck[1].forward(self.bottleneck[0].forward(x));
        for ((rise, [first, second]), skip) in self.up.iter().zip(skips.into_iter().rev()) {
            x = match rise {
                Some(rise) => rise.forward(x),
                None => interpolated(x),
            };
            x = second.forward(first.forward_pair(cropped(skip, &x), x));
        }
        self.head.forward(x)
    }

    /// Weights and biases, batch normalisation folded into them.
    pub fn parameters(&self) -> usize {
        let pair = |block: &[Convolution; 2]| block.iter().map(Convolution::parameters).sum::<usize>();
        let rise = |rise: &Option<UpConvolution>| rise.as_ref().map_or(0, UpConvolution::parameters);
        self.down.iter().map(pair).sum::<usize>()
            + pair(&self.bottleneck)
            + self.up.iter().map(|(up, block)| rise(up) + pair(block)).sum::<usize>()
            + self.head.parameters()
    }

    /// The same network on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        let pair = |[first, second]: &[Convolution; 2]| [first.to_device(device), second.to_device(device)];
        Self {
            down: self.down.iter().map(pair).collect(),
            bottleneck: pair(&self.bottleneck),
            up: self
                .up
                .iter()
                .map(|(rise, block)| (rise.as_ref().map(|rise| rise.to_device(device)), pair(block)))
                .collect(),
            head: self.head.to_device(device),
            pool: self.pool,
        }
    }
}

/// `parts`: the channels of each tensor that the first of them reads; empty for a single one.
fn block(block: &DoubleConv, parts: &[usize]) -> [Convolution; 2] {
    [convolution(&block.first.conv, parts, Activation::Relu), convolution(&block.second.conv, &[], Activation::Relu)]
}

fn convolution(conv: &Conv2d, parts: &[usize], activation: Activation) -> Convolution {
    let weight = conv.weight.val();
    let [_, channels, ..] = weight.dims();
    // A U-Net pads by one pixel or not at all.
    let padding = match &conv.padding {
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(*top, *bottom), (*left, *right)],
        _ => [(0, 0), (0, 0)],
    };
    let mut options = ConvOptions::new(conv.stride, [0, 0], conv.dilation, conv.groups);
    options.padding = padding;
    let one = [channels];
    let parts = if parts.is_empty() { &one } else { parts };
    Convolution::new(weight, conv.bias.as_ref().map(|bias| bias.val()), options, parts, activation)
}
