//! The shape of a network, and what follows from it: sizes, reach, costs.

use super::network::{ConvUnit, DoubleConv, UNet, UpBlock};
use crate::model::SizeRule;
use crate::model::tiles::Reach;
use burn::nn::DropoutConfig;
use burn::nn::conv::{Conv2dConfig, ConvTranspose2dConfig};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// How a U-Net halves its resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Downsampling {
    /// 2×2 max pooling (Ronneberger et al.).
    MaxPool,
    /// The first convolution of each level has stride 2 (AdvU-Net, table 1).
    Strided,
}

/// How a U-Net doubles its resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsampling {
    /// 2×2 transposed convolutions that halve the feature maps.
    #[default]
    Transposed,
    /// Bilinear, the corner pixels' centres kept, without weights; the expansive path's convolutions halve the feature
    /// maps instead, and the bottleneck has no more of them than the level above (milesial's Pytorch-UNet).
    Bilinear,
}

impl Upsampling {
    fn is_transposed(&self) -> bool {
        *self == Self::Transposed
    }
}

/// What happens at the border of a 3×3 convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Zeros: the output is as large as the input.
    Same,
    /// None: each convolution loses a pixel on each side, skip connections are cropped (Ronneberger et al.). With max
    /// pooling only.
    Valid,
}

/// The shape of a [`UNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UNetConfig {
    /// Input channels.
    pub channels: usize,
    /// Output channels (logits).
    pub outputs: usize,
    /// How many times the resolution is halved.
    pub depth: usize,
    /// Feature maps of the first level; doubled at every level below.
    pub base: usize,
    /// Batch normalisation after each 3×3 convolution.
    pub batch_norm: bool,
    /// How the resolution is halved.
    pub downsampling: Downsampling,
    /// How the resolution is doubled.
    #[serde(default, skip_serializing_if = "Upsampling::is_transposed")]
    pub upsampling: Upsampling,
    /// Border rule of the 3×3 convolutions.
    pub padding: Padding,
    /// Dropout probability at the end of the contracting path, in training only.
    pub dropout: f64,
}

impl UNetConfig {
    /// The default network of this project: batch norm, max pooling, same padding.
    pub fn new(base: usize, depth: usize) -> Self {
        Self {
            channels: 1,
            outputs: 1,
            depth,
            base,
            batch_norm: true,
            downsampling: Downsampling::MaxPool,
            upsampling: Upsampling::Transposed,
            padding: Padding::Same,
            dropout: 0.0,
        }
    }

    /// The network of Ronneberger et al. 2015, figure 1, with one sigmoid output instead of two softmax outputs:
    /// 64…1024 feature maps, unpadded convolutions, max pooling, dropout at the end of the contracting path.
    pub fn ronneberger() -> Self {
        Self { base: 64, batch_norm: false, padding: Padding::Valid, dropout: 0.5, ..Self::new(64, 4) }
    }

    /// AdvU-Net, table 1: 3 input channels, 64…1024 feature maps, strided, made for 224×224; dropout from table 2.
    /// (The table prints 244 once for 224. It has nine levels with 19 convolutions; the up-sampling between them is
    /// not stated and is a 2×2 transposed convolution here.)
    pub fn advu_net() -> Self {
        Self { channels: 3, batch_norm: false, downsampling: Downsampling::Strided, dropout: 0.5, ..Self::new(64, 4) }
    }

    /// A preset by its name on the command line: `ronneberger` or `advu-net`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "ronneberger" => Some(Self::ronneberger()),
            "advu-net" => Some(Self::advu_net()),
            _ => None,
        }
    }

    /// Says which of the settings cannot work together. (Their ranges are for whoever makes the network to limit.)
    pub fn check(&self) -> Result<(), String> {
        // An unpadded convolution of stride 2 reads other pixels than pooling does: sizes and margins below are those
        // of pooling, and the segmentation would be shifted against the image.
        if self.padding == Padding::Valid && self.downsampling == Downsampling::Strided {
            return Err("valid padding goes with max-pool downsampling only; for strided use same padding".to_owned());
        }
        if self.upsampling == Upsampling::Bilinear && (self.padding == Padding::Valid || self.depth == 0) {
            return Err("bilinear upsampling goes with same padding only".to_owned());
        }
        Ok(())
    }

    /// Which image sizes a model of this network takes: AdvU-Net its 224×224, others multiples of 2^depth.
    pub fn size_rule(&self) -> SizeRule {
        if *self == Self::advu_net() { SizeRule::tile(224) } else { SizeRule::MultipleOf(1 << self.depth) }
    }

    /// Feature maps of level `level`, 0 at full resolution.
    fn width(&self, level: usize) -> usize {
        self.base << level
    }

    /// Pixels that an input loses on each side on its way through unpadded convolutions; 0 with same padding.
    pub fn margin(&self) -> usize {
        match self.padding {
            Padding::Same => 0,
            Padding::Valid => 6 * (1 << self.depth) - 4,
        }
    }

    /// The smallest input size that the network takes and whose output covers `size` pixels.
    pub fn input_size(&self, size: usize) -> usize {
        let step = 1 << self.depth;
        let size = size.max(1);
        match self.padding {
            Padding::Same => size.div_ceil(step) * step,
            // The size at the bottleneck is b; each level up it is 2·s + 4, so s₀ = 2ᵈ·b + 4·(2ᵈ − 1).
            Padding::Valid => {
                let offset = 4 * (step - 1);
                let bottleneck = (size + 2 * self.margin()).saturating_sub(offset).div_ceil(step).max(5);
                step * bottleneck + offset
            }
        }
    }

    /// How far it sees.
    ///
    /// # Errors
    /// If that depends on the size of the image; the text says why.
    pub(in crate::model) fn reach(&self) -> Result<Reach, String> {
        if self.upsampling == Upsampling::Bilinear {
            return Err("its bilinear up-sampling keeps the corners and so stretches with the image".to_owned());
        }
        if self.padding == Padding::Valid {
            return Ok(Reach::Valid(self.clone()));
        }
        let strided = self.downsampling == Downsampling::Strided;
        // How many pixels from where a tile was cut differ from those of the whole, level by level.
        let (mut differ, mut skips) = (0usize, Vec::new());
        for level in 0..=self.depth {
            differ = match (level, strided) {
                (0, _) => 2,
                (_, false) => differ.div_ceil(2) + 2,
                (_, true) => (differ + 1).div_ceil(2) + 1,
            };
            skips.push(differ);
        }
        for level in (0..self.depth).rev() {
            differ = (2 * differ).max(skips[level]) + 2;
        }
        let step = 1 << self.depth;
        Ok(Reach::Padded { step, halo: differ.next_multiple_of(step) })
    }

    /// What it is made of, with how often each occurs.
    pub fn operators(&self) -> Vec<(String, usize)> {
        let convolutions = 2 * (2 * self.depth + 1);
        let up = match self.upsampling {
            Upsampling::Transposed => "ConvTranspose 2×2",
            Upsampling::Bilinear => "Resize ×2, bilinear",
        };
        let mut all = vec![("Conv 3×3".to_owned(), convolutions), ("Relu".to_owned(), convolutions)];
        all.extend(self.batch_norm.then(|| ("BatchNorm, folded".to_owned(), convolutions)));
        all.extend((self.downsampling == Downsampling::MaxPool).then(|| ("MaxPool 2×2".to_owned(), self.depth)));
        all.extend([(up.to_owned(), self.depth), ("Concat".to_owned(), self.depth), ("Conv 1×1".to_owned(), 1)]);
        all
    }

    /// Floating-point operations of the convolutions for an input of `[height, width]` (one that fits), counting a
    /// multiplication and an addition as two. Unpadded convolutions are counted as if padded.
    pub fn flops(&self, [height, width]: [usize; 2]) -> u64 {
        let area = |level: usize| ((height >> level) * (width >> level)) as u64;
        let conv = |size: u64, input: usize, output: usize, area: u64| 2 * size * (input * output) as u64 * area;
        let bilinear = self.upsampling == Upsampling::Bilinear;
        let lowest = if bilinear { self.width(self.depth.max(1) - 1) } else { self.width(self.depth) };
        let mut sum = conv(1, self.base, self.outputs, area(0));
        for level in 0..=self.depth {
            let input = if level == 0 { self.channels } else { self.width(level - 1) };
            let output = if level == self.depth { lowest } else { self.width(level) };
            sum += conv(9, input, output, area(level)) + conv(9, output, output, area(level));
        }
        for level in 0..self.depth {
            let width = self.width(level);
            let narrow = if bilinear { self.width(level.max(1) - 1) } else { width };
            sum += conv(9, 2 * width, width, area(level)) + conv(9, width, narrow, area(level));
            if !bilinear {
                sum += conv(4, self.width(level + 1), width, area(level + 1));
            }
        }
        sum
    }

    /// A network with random weights on `device`. Seed the device first for reproducible weights.
    pub fn init(&self, device: &Device) -> UNet {
        let wide = |input: usize, between: usize, output: usize, stride: usize| DoubleConv {
            first: ConvUnit::new(input, between, stride, self, device),
            second: ConvUnit::new(between, output, 1, self, device),
        };
        let block = |input: usize, output: usize, stride: usize| wide(input, output, output, stride);
        let bilinear = self.upsampling == Upsampling::Bilinear;
        let strided = self.downsampling == Downsampling::Strided;
        let input = |level: usize| if level == 0 { self.channels } else { self.width(level - 1) };
        let stride = |level: usize| if strided && level > 0 { 2 } else { 1 };
        let down = (0..self.depth).map(|l| block(input(l), self.width(l), stride(l))).collect();
        let lowest = if bilinear { self.width(self.depth - 1) } else { self.width(self.depth) };
        let bottleneck = block(input(self.depth), lowest, stride(self.depth));
        let transposed = |l: usize| UpBlock {
            transpose: Some(
                ConvTranspose2dConfig::new([self.width(l + 1), self.width(l)], [2, 2]).with_stride([2, 2]).init(device),
            ),
            block: block(2 * self.width(l), self.width(l), 1),
        };
        let interpolated = |l: usize| UpBlock {
            transpose: None,
            block: wide(2 * self.width(l), self.width(l), self.width(l.saturating_sub(1)), 1),
        };
        let up = (0..self.depth).rev().map(|l| if bilinear { interpolated(l) } else { transposed(l) }).collect();
        UNet {
            down,
            bottleneck,
            dropout: DropoutConfig::new(self.dropout).init(),
            up,
            head: Conv2dConfig::new([self.base, self.outputs], [1, 1]).init(device),
            pool: self.downsampling == Downsampling::MaxPool,
        }
    }
}
