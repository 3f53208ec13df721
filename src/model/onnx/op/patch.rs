//! Images cut out of others and put together of patches.

use super::call::{Call, axis};
use super::shape::sizes;
use super::slice::narrow;
use super::window::{pads, strides_and_dilations};
use super::{Operator, Outcome};
use crate::model::onnx::value::{Value, check_size, reshape, upload};
use burn::backend::ops::{ConvTransposeOptions, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::Slice;
use burn::tensor::ops::PadMode;

pub(super) static OPERATORS: &[Operator] = &[
    Operator::new("CenterCropPad", center_crop_pad).with_settings(&[1]),
    Operator::new("Col2Im", col2im).with_settings(&[1, 2]),
];

/// Cut, or filled with zeros, to lengths about the middle; the odd one is cut or filled behind.
fn center_crop_pad(call: &mut Call<'_>) -> Outcome {
    let from = call.shape(0)?;
    let lengths = sizes(&call.ints(1)?)?;
    let axes = match call.node.attributes.ints("axes") {
        Some(axes) => axes.iter().map(|&a| axis(a, from.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..from.len()).collect(),
    };
    if axes.len() != lengths.len() {
        return Err(format!("{} lengths for {} axes", lengths.len(), axes.len()));
    }
    let mut value = Value::Float(call.float(0)?);
    let mut fill = vec![(0, 0); from.len()];
    let mut output = from.clone();
    for (&a, &length) in axes.iter().zip(&lengths) {
        output[a] = length;
        match from[a].checked_sub(length) {
            Some(cut) => value = narrow(value, a, cut / 2, length)?,
            None => {
                let missing = length - from[a];
                fill[a] = (missing / 2, missing - missing / 2);
            }
        }
    }
    check_size(&output)?;
    let x = value.into_float(call.device);
    Ok(vec![Value::Float(padded(x, &fill))])
}

fn padded(x: DispatchTensor, fill: &[(usize, usize)]) -> DispatchTensor {
    if fill.iter().all(|&f| f == (0, 0)) { x } else { Dispatch::float_pad(x, fill, PadMode::Constant(0.0)) }
}

/// The image of which `[batch, channels · taps, blocks]` are the patches; where they overlap, their sum: a transposed convolution
/// that puts each tap where it belongs.
fn col2im(call: &mut Call<'_>) -> Outcome {
    let [batch, rows, blocks] = call.dims::<3>(0)?;
    let (image, kernel) = (sizes(&call.ints(1)?)?, sizes(&call.ints(2)?)?);
    let (&[height, width], &[kernel_h, kernel_w]) = (&image[..], &kernel[..]) else {
        return Err("it is computed for images of two dimensions".to_owned());
    };
    let attributes = &call.node.attributes;
    let pads = pads(attributes, 2)?;
    let (strides, dilations) = strides_and_dilations(attributes, 2)?;
    let taps = check_size(&[kernel_h, kernel_w])?;
    if taps == 0 || rows % taps != 0 {
        return Err(format!("{rows} rows do not divide into patches of {kernel_h}×{kernel_w}"));
    }
    let mut across = [0; 2];
    for (i, (length, kernel)) in [(height, kernel_h), (width, kernel_w)].into_iter().enumerate() {
        let extent = dilations[i] * (kernel - 1) + 1;
        let room =
            (length + pads[i].0 + pads[i].1).checked_sub(extent).ok_or("its patches are larger than its image")?;
        across[i] = room / strides[i] + 1;
    }
    if across[0] * across[1] != blocks || blocks == 0 {
        return Err(format!("{blocks} patches where {}×{} fit", across[0], across[1]));
    }
    let channels = rows / taps;
    check_size(&[batch, channels, height + pads[0].0 + pads[0].1, width + pads[1].0 + pads[1].1])?;
    let identity = (0..check_size(&[taps, taps])?).map(|i| f32::from(u8::from(i / taps == i % taps))).collect();
    let weight = upload(identity, &[taps, 1, kernel_h, kernel_w], call.device);
    let x = reshape(call.float(0)?, [batch * channels, taps, across[0], across[1]].into());
    let options = ConvTransposeOptions::new([strides[0], strides[1]], [0, 0], [0, 0], [dilations[0], dilations[1]], 1);
    let y = Dispatch::conv_transpose2d(x, weight, None, options);
    // What no patch reaches is 0; what lies in the padding is cut off.
    let full = y.shape();
    let mut fill = [(0, 0); 4];
    let mut cut = [0..full[0], 0..full[1], 0..0, 0..0];
    for (i, length) in [height, width].into_iter().enumerate() {
        fill[i + 2].1 = (pads[i].0 + length).saturating_sub(full[i + 2]);
        cut[i + 2] = pads[i].0..pads[i].0 + length;
    }
    let y = Dispatch::float_slice(padded(y, &fill), &cut.map(Slice::from));
    Ok(vec![Value::Float(reshape(y, [batch, channels, height, width].into()))])
}
