//! Bringing an image of any size to the sizes that a network takes, and its logits back: padding by reflection and
//! overlap-tiles (Ronneberger et al. 2015, figure 2). Differentiable, exact in size.

use super::resize::{Corners, resize};
use super::unet::UNetConfig;
use super::{ModelError, SizeRule};
use burn::tensor::{Int, Tensor, TensorData};

/// A network whose dense output is as large as its input, or as large as that less the margins of unpadded convolutions.
pub(super) type Dense<'a> = &'a dyn Fn(Tensor<4>) -> Result<Tensor<4>, ModelError>;

/// Dense logits of the size of `x`, `[batch, channels, h, w]`, from a `network` that takes only certain sizes. `unet`
/// knows the margins, if it is one; else `lost` is by how many rows and columns the output is smaller than the input,
/// because convolutions did not pad: half of them before the first pixel.
///
/// # Errors
/// Those of the network.
pub(super) fn any_size(
    x: Tensor<4>,
    rule: SizeRule,
    unet: Option<&UNetConfig>,
    lost: usize,
    network: Dense,
) -> Result<Tensor<4>, ModelError> {
    let [_, _, height, width] = x.dims();
    match rule {
        SizeRule::Any | SizeRule::MultipleOf(_) => {
            let margin = unet.map_or(lost / 2, UNetConfig::margin);
            let size = |size: usize| unet.map_or_else(|| rounded_up(size + lost, rule), |unet| unet.input_size(size));
            let x = pad_axis(x, 2, margin, size(height) - margin - height);
            let x = pad_axis(x, 3, margin, size(width) - margin - width);
            Ok(cut(network(x)?, height, width))
        }
        SizeRule::Tile(size) => tiles(x, size, lost, network),
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
fn tiles(x: Tensor<4>, [tall, wide]: [usize; 2], lost: usize, network: Dense) -> Result<Tensor<4>, ModelError> {
    let [_, _, height, width] = x.dims();
    // (start of each tile, its kept part) along one axis; the axis is padded to hold them all.
    let plan = |length: usize, size: usize| {
        let overlap = if length <= size { 0 } else { size / 8 };
        let (overlap, stride) = if lost > 0 { (lost / 2, size - lost) } else { (overlap, size - 2 * overlap) };
        (length.div_ceil(stride), stride, overlap)
    };
    let (rows, down, above) = plan(height, tall);
    let (columns, right, left) = plan(width, wide);
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
            let y = any_size(x.clone(), rule, None, 5, &inner).unwrap();
            assert_eq!(y.dims(), [1, 1, 37, 61]);
            assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), values, "{rule:?}");
        }
    }
}
