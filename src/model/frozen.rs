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
        self.observed(x, &mut |_, _| ())
    }

    /// The same; `seen` sees what comes out of every ReLU, and whether pixels of it are then pooled.
    fn observed(&self, mut x: Tensor<4>, seen: &mut dyn FnMut(&Tensor<4>, bool)) -> Tensor<4> {
        let mut skips = Vec::with_capacity(self.down.len());
        let mut then = |second: &Convolution, features: Tensor<4>, pooled: bool| {
            seen(&features, false);
            let features = second.forward(features);
            seen(&features, pooled);
            features
        };
        for [first, second] in &self.down {
            let features = then(second, first.forward(x), self.pool);
            x = if self.pool { max_pool_2x2(features.clone()) } else { features.clone() };
            skips.push(features);
        }
        x = then(&self.bottleneck[1], self.bottleneck[0].forward(x), false);
        for ((rise, [first, second]), skip) in self.up.iter().zip(skips.into_iter().rev()) {
            x = match rise {
                Some(rise) => rise.forward(x),
                None => interpolated(x),
            };
            x = then(second, first.forward_pair(cropped(skip, &x), x), false);
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

    /// The same function by the definition's multiplications only.
    pub fn without_winograd(&self) -> Self {
        let pair = |[first, second]: &[Convolution; 2]| [first.without_winograd(), second.without_winograd()];
        Self {
            down: self.down.iter().map(pair).collect(),
            bottleneck: pair(&self.bottleneck),
            up: self.up.iter().map(|(rise, block)| (rise.clone(), pair(block))).collect(),
            head: self.head.without_winograd(),
            pool: self.pool,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tiles::Reach;
    use crate::model::unet::UNetConfig;
    use crate::tensor::to_host;
    use burn::tensor::Distribution;

    /// The gradient of the weighted first rows of logits, and what came out of every ReLU.
    fn traced(network: &FrozenUNet, x: Tensor<4>, weight: &Tensor<4>) -> (Tensor<4>, Vec<(Tensor<4>, bool)>) {
        let (x, mut seen) = (x.autodiff().require_grad(), Vec::new());
        let z = network.observed(x.clone(), &mut |y, pooled| seen.push((y.clone().inner(), pooled)));
        let sum = (z.narrow(2, 0, weight.dims()[2]) * weight.clone().autodiff()).sum();
        (x.grad(&sum.backward()).unwrap(), seen)
    }

    /// How many values are 0 in one and just above it in the other, and how many windows of four have their largest, of values
    /// that are nearly the same, in another place.
    fn turned(a: &Tensor<4>, b: &Tensor<4>, pooled: bool) -> usize {
        let [.., width] = a.dims();
        let (a, b) = (to_host(a.clone()).unwrap(), to_host(b.clone()).unwrap());
        let near = 1e-5 * a.iter().fold(0f32, |most, &v| most.max(v));
        let relus = a.iter().zip(&b).filter(|&(&a, &b)| (a > 0.0) != (b > 0.0) && a.max(b) < near).count();
        let largest = |of: &[f32], at: usize| {
            [at, at + 1, at + width, at + width + 1].into_iter().reduce(|i, j| if of[j] > of[i] { j } else { i })
        };
        let windows = (0..a.len() / width / 2).flat_map(|row| (0..width / 2).map(move |x| 2 * row * width + 2 * x));
        let other = |&at: &usize| match (largest(&a, at), largest(&b, at)) {
            (Some(i), Some(j)) => i != j && (a[i] - a[j]).abs() < near,
            _ => false,
        };
        relus + if pooled { windows.filter(other).count() } else { 0 }
    }

    #[test]
    fn the_gradient_of_a_tile_is_another_only_where_rounding_turned_a_relu() {
        let device = Device::flex();
        device.seed(11);
        let config = UNetConfig::new(8, 2);
        let Ok(Reach::Padded { halo, .. }) = config.reach() else { panic!("it pads") };
        let network = FrozenUNet::new(config.init(&device));
        let (kept, width) = (32, 64);
        // What the end of the tile changes reaches `halo` rows up, and what matters to the rows that are kept `halo` rows down.
        let (matters, read) = (kept + halo, kept + 2 * halo);
        let random = |rows: usize| Tensor::<4>::random([1, 1, rows, width], Distribution::Uniform(0.0, 1.0), &device);
        let weight = random(kept) - 0.5;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            let x = random(2 * read);
            let (whole, of_whole) = traced(&network, x.clone(), &weight);
            let (tile, of_tile) = traced(&network, x.narrow(2, 0, read), &weight);
            let beyond = whole.clone().narrow(2, matters, 2 * read - matters).abs().max().into_scalar::<f32>();
            assert_eq!(beyond, 0.0, "nothing beyond the tile has a part in it");
            let whole = whole.narrow(2, 0, read);
            let norm = |t: Tensor<4>| t.square().sum().sqrt().into_scalar::<f32>();
            let off = norm(whole.clone() - tile) / norm(whole);
            let turned: usize = of_whole
                .iter()
                .zip(&of_tile)
                .map(|((a, pooled), (b, _))| {
                    let rows = b.dims()[2] * matters / read;
                    turned(&a.clone().narrow(2, 0, rows), &b.clone().narrow(2, 0, rows), *pooled)
                })
                .sum();
            if turned > 0 { with.push(off) } else { without.push(off) }
        }
        let most = |of: &[f32]| of.iter().fold(0f32, |m, &v| m.max(v));
        println!("{} images, nothing turned: off by at most {:.1e} of the norm", without.len(), most(&without));
        println!("{} images, rounding turned something: at most {:.1e}", with.len(), most(&with));
        assert!(without.len() > 3 && most(&without) < 3e-6, "{without:?}");
        assert!(with.is_empty() || most(&with) < 1e-2, "{with:?}");
    }
}
