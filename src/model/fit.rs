//! Bringing an image of any size to the sizes that a network takes, and its logits back: padding by reflection and
//! overlap-tiles (Ronneberger et al. 2015, figure 2). Differentiable, exact in size.

use super::SizeRule;
use super::unet::UNetConfig;
use burn::tensor::{Int, Tensor, TensorData};

/// Dense logits of the size of `x`, `[batch, channels, h, w]`, from a `network` that takes only certain sizes.
pub(super) fn any_size(
    x: Tensor<4>,
    rule: SizeRule,
    config: &UNetConfig,
    network: &impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    match rule {
        SizeRule::MultipleOf(_) => {
            let margin = config.margin();
            let x = pad_axis(x, 2, margin, config.input_size(height) - margin - height);
            let x = pad_axis(x, 3, margin, config.input_size(width) - margin - width);
            cut(network(x), height, width)
        }
        SizeRule::Tile(size) => tiles(x, size, network),
    }
}

/// The first `height × width` logits.
fn cut(logits: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, _, h, w] = logits.dims();
    if (h, w) == (height, width) { logits } else { logits.narrow(2, 0, height).narrow(3, 0, width) }
}

/// Runs a network that takes only `size`×`size` over tiles that overlap by an eighth of it on each side, and keeps
/// the middle of each.
fn tiles(x: Tensor<4>, size: usize, network: &impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if height <= size && width <= size {
        let x = pad_axis(pad_axis(x, 2, 0, size - height), 3, 0, size - width);
        return cut(network(x), height, width);
    }
    let overlap = size / 8;
    let stride = size - 2 * overlap;
    let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
    let x = pad_axis(x, 2, overlap, rows * stride + overlap - height);
    let x = pad_axis(x, 3, overlap, columns * stride + overlap - width);
    let bands = (0..rows)
        .map(|row| {
            let band = x.clone().narrow(2, row * stride, size);
            let tiles = (0..columns)
                .map(|column| {
                    let tile = network(band.clone().narrow(3, column * stride, size));
                    tile.narrow(2, overlap, stride).narrow(3, overlap, stride)
                })
                .collect();
            Tensor::cat(tiles, 3)
        })
        .collect();
    cut(Tensor::cat(bands, 2), height, width)
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
        let y = tiles(x, 16, &|t: Tensor<4>| {
            assert_eq!(t.dims(), [1, 1, 16, 16]);
            t
        });
        assert_eq!(y.dims(), [1, 1, 37, 61]);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), values);
    }
}
