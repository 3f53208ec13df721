//! The few helpers between host arrays and tensors that burn lacks.

use crate::data::{Bounds, Image};
use crate::model::ModelError;
use burn::tensor::{Device, Tensor, TensorData};

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
