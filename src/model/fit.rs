//! Bringing an image of any size to the sizes that a network takes, and its logits back: padding by reflection and
//! overlap-tiles (Ronneberger et al. 2015, figure 2). Differentiable, exact in size.

use super::recompute::{Function, recomputed};
use super::resize::{Corners, resize};
use super::tiles::{Plan, Reach, Tiles, most_pixels};
use super::unet::UNetConfig;
use super::{ModelError, SizeRule};
use burn::tensor::{Int, Tensor, TensorData};

/// Bytes for each pixel of an image, and each of its channels, that lie beside a network that is computed in tiles: the image, the
/// logits, the steps of an attack, the losses and their gradients.
const BESIDE_TILES: u64 = 96;

/// How an image is computed with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Course {
    /// At once.
    Whole,
    /// In the tiles of the only size that the network takes, which keep nothing for the gradient.
    Own,
    /// In tiles that together see what the whole would.
    Tiles(Plan),
}

/// How a network meets images of any size.
#[derive(Clone, Copy)]
pub(super) struct Fit<'a> {
    /// Which sizes it takes.
    pub rule: SizeRule,
    /// Knows the margins, if the network is one.
    pub unet: Option<&'a UNetConfig>,
    /// Else by how many rows and columns the output is smaller than the input, because convolutions did not pad: half of them
    /// before the first pixel.
    pub lost: usize,
}

impl Fit<'_> {
    /// What the network sees of an image of so many pixels along one axis.
    fn input(&self, side: usize) -> usize {
        self.unet.map_or_else(|| rounded_up(side + self.lost, self.rule), |unet| unet.input_size(side))
    }

    /// Rows and columns of the tiles of a network that takes one size only.
    fn own_tiles(&self, size: [usize; 2], [tall, wide]: [usize; 2]) -> [usize; 2] {
        [strides(size[0], tall, self.lost).0, strides(size[1], wide, self.lost).0]
    }

    /// How an image of height and width `size`, of so many `channels`, is computed with, if its gradient takes `whole` bytes as a
    /// whole, `bytes(n)` at n pixels, and `memory` may be used.
    ///
    /// # Errors
    /// If it cannot be done with so little; the text says why.
    pub fn course(
        &self,
        size: [usize; 2],
        channels: usize,
        (whole, memory): (u64, u64),
        reach: impl FnOnce() -> Result<Reach, String>,
        bytes: impl Fn(u64) -> u64,
    ) -> Result<(Course, Option<Tiles>), String> {
        if whole <= memory {
            return Ok((Course::Whole, None));
        }
        let beside = (size[0] * size[1] * channels) as u64 * BESIDE_TILES;
        let told = |count, largest: [usize; 2], margin| {
            let needed = beside + bytes((largest[0] * largest[1]) as u64);
            Tiles { count, largest, margin, needed, whole, memory }
        };
        match self.rule {
            SizeRule::Any | SizeRule::MultipleOf(_) => {
                let input = size.map(|side| self.input(side));
                let all = (input[0] * input[1]) as u64;
                let most = most_pixels(memory.saturating_sub(beside), all, &bytes);
                let reach = reach()?;
                if let Reach::Padded { step, .. } = reach
                    && input.iter().any(|side| !side.is_multiple_of(step))
                {
                    return Err(format!("its sides would have to be multiples of {step} pixels"));
                }
                let plan = Plan::new(&reach, input, most).ok_or("not even the smallest tiles would fit")?;
                let tiles = told(plan.count(), plan.largest(), plan.margin());
                Ok((Course::Tiles(plan), Some(tiles)))
            }
            SizeRule::Tile(own) => {
                let margin = if self.lost > 0 { self.lost / 2 } else { own[0].max(own[1]) / 8 };
                let tiles = told(self.own_tiles(size, own), own, margin);
                if tiles.needed > memory {
                    Err("not even one of them fits".to_owned())
                } else {
                    Ok((Course::Own, Some(tiles)))
                }
            }
            SizeRule::Resize(_) => Err("it is resized to what the network takes".to_owned()),
        }
    }
}

/// Dense logits of the size of `x`, `[batch, channels, h, w]`, from a network whose dense output is as large as its input, or as
/// large as that less the margins of unpadded convolutions.
///
/// # Errors
/// Those of the network.
pub(super) fn any_size(
    x: Tensor<4>,
    fit: Fit<'_>,
    course: &Course,
    network: &Function,
) -> Result<Tensor<4>, ModelError> {
    let [_, _, height, width] = x.dims();
    let Fit { rule, unet, lost } = fit;
    match rule {
        SizeRule::Any | SizeRule::MultipleOf(_) => {
            let margin = unet.map_or(lost / 2, UNetConfig::margin);
            let x = pad_axis(x, 2, margin, fit.input(height) - margin - height);
            let x = pad_axis(x, 3, margin, fit.input(width) - margin - width);
            let z = match course {
                Course::Tiles(plan) => plan.run(&x, network)?,
                Course::Whole | Course::Own => network(x)?,
            };
            Ok(cut(z, height, width))
        }
        SizeRule::Tile(size) => {
            let again = *course == Course::Own;
            tiles(x, size, lost, &|tile| if again { recomputed(tile, network) } else { network(tile) })
        }
        SizeRule::Resize(size) => {
            let inner = size.map(|side| side.saturating_sub(lost).max(1));
            let x = resize(x, inner, Corners::Edges);
            let x = pad_axis(x, 2, lost / 2, size[0] - inner[0] - lost / 2);
            let x = pad_axis(x, 3, lost / 2, size[1] - inner[1] - lost / 2);
            Ok(resize(network(x)?, [height, width], Corners::Edges))
        }
    }
}

/// Whole images of a size that the network takes.
pub(super) fn whole(x: Tensor<4>, rule: SizeRule) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    match rule {
        SizeRule::Any | SizeRule::MultipleOf(_) => {
            let x = pad_axis(x, 2, 0, rounded_up(height, rule) - height);
            pad_axis(x, 3, 0, rounded_up(width, rule) - width)
        }
        SizeRule::Tile(size) | SizeRule::Resize(size) => resize(x, size, Corners::Edges),
    }
}

/// The size that the network sees, of one side.
fn rounded_up(side: usize, rule: SizeRule) -> usize {
    match rule {
        SizeRule::MultipleOf(n) => side.max(1).div_ceil(n) * n,
        _ => side,
    }
}

/// The first `height × width` logits.
fn cut(logits: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, _, h, w] = logits.dims();
    if (h, w) == (height, width) { logits } else { logits.narrow(2, 0, height).narrow(3, 0, width) }
}

/// Runs a network that takes only `[tall, wide]` over tiles that overlap by an eighth of it on each side, and keeps
/// the middle of each; one that has `lost` its margins is kept whole.
fn tiles(
    x: Tensor<4>,
    [tall, wide]: [usize; 2],
    lost: usize,
    network: &dyn Fn(Tensor<4>) -> Result<Tensor<4>, ModelError>,
) -> Result<Tensor<4>, ModelError> {
    let [_, _, height, width] = x.dims();
    let (rows, down, above) = strides(height, tall, lost);
    let (columns, right, left) = strides(width, wide, lost);
    // The last tile reads as far behind its kept part as the tile goes.
    let x = pad_axis(x, 2, above, (rows - 1) * down + tall - above - height);
    let x = pad_axis(x, 3, left, (columns - 1) * right + wide - left - width);
    let band = |row: usize| -> Result<Tensor<4>, ModelError> {
        let band = x.clone().narrow(2, row * down, tall);
        let tile = |column: usize| -> Result<Tensor<4>, ModelError> {
            let tile = network(band.clone().narrow(3, column * right, wide))?;
            Ok(if lost > 0 { tile } else { tile.narrow(2, above, down).narrow(3, left, right) })
        };
        Ok(Tensor::cat((0..columns).map(tile).collect::<Result<_, _>>()?, 3))
    };
    Ok(cut(Tensor::cat((0..rows).map(band).collect::<Result<_, _>>()?, 2), height, width))
}

/// How many tiles of `size` pixels there are along an axis of `length`, from one to the next, and how far they overlap on each
/// side; the axis is padded to hold them all.
fn strides(length: usize, size: usize, lost: usize) -> (usize, usize, usize) {
    let overlap = if length <= size { 0 } else { size / 8 };
    let (overlap, stride) = if lost > 0 { (lost / 2, size - lost) } else { (overlap, size - 2 * overlap) };
    (length.div_ceil(stride), stride, overlap)
}

/// Adds `before` and `after` rows (`dim` 2) or columns (`dim` 3) by reflection, not repeating the border pixel. Any
/// amount: where it exceeds the image the reflection is reflected again.
fn pad_axis(x: Tensor<4>, dim: usize, before: usize, after: usize) -> Tensor<4> {
    if before + after == 0 {
        return x;
    }
    let length = x.dims()[dim];
    let period = (2 * length).saturating_sub(2).max(1);
    let index: Vec<i64> = (0..before + length + after)
        .map(|i| {
            // The first pixel sits at `before`; shift by whole periods to stay non-negative.
            let phase = (i + period * before.div_ceil(period) - before) % period;
            phase.min(period - phase).min(length - 1) as i64
        })
        .collect();
    let count = index.len();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [count]), &x.device());
    x.select(dim, index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn row(values: &[f32]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex())
    }

    fn padded(values: &[f32], before: usize, after: usize) -> Vec<f32> {
        pad_axis(row(values), 3, before, after).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn reflection_does_not_repeat_the_border() {
        assert_eq!(padded(&[1., 2., 3.], 2, 2), [3., 2., 1., 2., 3., 2., 1.]);
    }

    #[test]
    fn reflection_goes_on_past_the_image() {
        assert_eq!(padded(&[1., 2.], 3, 4), [2., 1., 2., 1., 2., 1., 2., 1., 2.]);
        assert_eq!(padded(&[5.], 1, 2), [5., 5., 5., 5.]);
    }

    #[test]
    fn tiles_of_an_identity_give_the_image_back() {
        let values: Vec<f32> = (0..37 * 61).map(|v| v as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 1, 37, 61]), &Device::flex());
        let y = tiles(x, [16, 24], 0, &|t: Tensor<4>| {
            assert_eq!(t.dims(), [1, 1, 16, 24]);
            Ok(t)
        })
        .unwrap();
        assert_eq!(y.dims(), [1, 1, 37, 61]);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), values);
    }

    #[test]
    fn a_network_that_loses_its_margins_gives_each_pixel_at_its_place() {
        let values: Vec<f32> = (0..37 * 61).map(|v| v as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 1, 37, 61]), &Device::flex());
        // Five rows and columns: two before, three behind.
        let inner = |t: Tensor<4>| {
            let [_, _, h, w] = t.dims();
            Ok(t.narrow(2, 2, h - 5).narrow(3, 2, w - 5))
        };
        for rule in [SizeRule::Any, SizeRule::MultipleOf(16), SizeRule::Tile([16, 24]), SizeRule::Tile([64, 80])] {
            let inner: Function = std::sync::Arc::new(inner);
            let fit = Fit { rule, unet: None, lost: 5 };
            let y = any_size(x.clone(), fit, &Course::Whole, &inner).unwrap();
            assert_eq!(y.dims(), [1, 1, 37, 61]);
            assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), values, "{rule:?}");
        }
    }
}
