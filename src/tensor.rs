//! The few helpers between host arrays and tensors that burn lacks.

use crate::data::{Bounds, Image};
use crate::model::ModelError;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// An image as `[1, channels, height, width]`, scaled so that `bounds` are `[0, 1]`.
pub fn image_to_unit(image: &Image, bounds: Bounds, device: &Device) -> Tensor<4> {
    let scale = 1.0 / bounds.width();
    let values: Vec<f32> = image.pixels.iter().map(|&v| (v - bounds.lower) * scale).collect();
    Tensor::from_data(TensorData::new(values, [1, image.channels, image.height, image.width]), device)
}

/// The first image of `[batch, channels, height, width]` in pixel units, on the host.
///
/// # Errors
/// If the device fails.
pub fn unit_to_image(x: Tensor<4>, bounds: Bounds) -> Result<Image, ModelError> {
    let [_, channels, height, width] = x.dims();
    let mut values = to_host(x.narrow(0, 0, 1))?;
    for v in &mut values {
        *v = *v * bounds.width() + bounds.lower;
    }
    Ok(Image { channels, height, width, pixels: values.into() })
}

/// A tensor's values on the host, row-major. Errors of the device surface here.
///
/// # Errors
/// If the device ran out of memory or was lost.
pub fn to_host<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>, ModelError> {
    x.without_autodiff().try_into_vec_as::<f32>().map_err(ModelError::device)
}

/// A gradient whose strides are those of its shape. On a GPU that of a convolution of one channel may come with the channel as what
/// varies fastest; burn 0.22 then takes this for the order of all that a fused operation reads, and x + ε·sign(g) comes out as
/// if x were 0. Two other shapes give it the plain order; on the CPU they cost nothing.
pub fn in_order(gradient: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = gradient.dims();
    let rows: Tensor<2> = gradient.reshape([batch, channels * height * width]);
    rows.reshape([batch, channels, height, width])
}

/// The rows `index` of `x`, which nobody tracks, along its first axis, in that order, any of them any number of times.
pub fn rows<const D: usize>(x: Tensor<D>, index: &[usize]) -> Tensor<D> {
    let count = x.dims()[0];
    if index.len() == count && index.iter().enumerate().all(|(place, &row)| place == row) {
        return x;
    }
    let chosen = Tensor::<1, Int>::from_data(
        TensorData::new(index.iter().map(|&row| row as i64).collect(), [index.len()]),
        &x.device(),
    );
    x.select(0, chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_were_asked_for() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data(TensorData::new((0..8).map(|v| v as f32).collect(), [4, 2]), &device);
        for index in [vec![0, 1, 2, 3], vec![2, 3, 0], vec![1, 1, 1], vec![3], vec![0, 0, 1, 1]] {
            let expected: Vec<f32> = index.iter().flat_map(|&row| [2.0 * row as f32, 2.0 * row as f32 + 1.0]).collect();
            assert_eq!(to_host(rows(x.clone(), &index)).unwrap(), expected, "{index:?}");
        }
    }
}
