//! Flows: where each pixel of an image is taken from. What they do to images and labels, and random ones as a control.

use super::method::blur;
use super::random::{Random, Use, stream_of};
use crate::data::Mask;
use crate::model::ModelError;
use crate::tensor::to_host;
use burn::tensor::{Int, Tensor, TensorData};

/// `x` (`[batch, channels, height, width]`) sampled at every pixel's place moved by `flow` (`[batch, 2, height, width]`, down and
/// to the right in pixels), bilinear, the border repeated. Differentiable in the flow.
pub fn warped(x: &Tensor<4>, flow: Tensor<4>) -> Tensor<4> {
    let [count, channels, height, width] = x.dims();
    let device = x.device();
    let axis = |n: usize| Tensor::<1, Int>::arange(0..n as i64, &device).float();
    // The place, the pixel before it and how far the place is beyond that.
    let along = |component: usize, n: usize, grid: Tensor<4>| {
        let place = (flow.clone().narrow(1, component, 1) + grid).clamp(0.0, n as f32 - 1.0);
        let before = place.clone().without_autodiff().floor().clamp(0.0, n.saturating_sub(2) as f32);
        (place - before.clone(), before)
    };
    let (down, top) = along(0, height, axis(height).reshape([1, 1, height, 1]));
    let (right, left) = along(1, width, axis(width).reshape([1, 1, 1, width]));
    let flat: Tensor<3> = x.clone().reshape([count, channels, height * width]);
    let at = |below: f32, beside: f32| {
        let row = (top.clone() + below).clamp_max(height as f32 - 1.0);
        let column = (left.clone() + beside).clamp_max(width as f32 - 1.0);
        let index = (row * width as f32 + column).int().reshape([count, 1, height * width]);
        let index = index.expand([count, channels, height * width]);
        flat.clone().gather(2, index).reshape([count, channels, height, width])
    };
    let (up, back) = (down.clone().neg() + 1.0, right.clone().neg() + 1.0);
    at(0.0, 0.0) * (up.clone() * back.clone())
        + at(0.0, 1.0) * (up * right.clone())
        + at(1.0, 0.0) * (down.clone() * back)
        + at(1.0, 1.0) * (down * right)
}

/// How rough a flow is (Xiao et al. 2018, equation 4): Σ over pixels and their four neighbours of √(Δu² + Δv² + 1e-8), one number for
/// each of `flow`, `[batch, 2, height, width]` → `[batch, 1, 1, 1]`. Differentiable.
pub fn flow_loss(flow: &Tensor<4>) -> Tensor<4> {
    let [count, _, height, width] = flow.dims();
    let of = |axis: usize, n: usize| {
        if n < 2 {
            return Tensor::zeros([count, 1, 1, 1], &flow.device());
        }
        let step = flow.clone().narrow(axis, 1, n - 1) - flow.clone().narrow(axis, 0, n - 1);
        // Every pair of neighbours is met from both sides.
        (step.square().sum_dim(1) + 1e-8).sqrt().sum_dims(&[1, 2, 3]) * 2.0
    };
    of(2, height) + of(3, width)
}

/// The largest displacement of each image of `flow`, in pixels.
///
/// # Errors
/// If the device fails.
pub fn largest_displacement(flow: &Tensor<4>) -> Result<Vec<f32>, ModelError> {
    to_host(flow.clone().square().sum_dim(1).sqrt().max_dims(&[1, 2, 3]))
}

/// Where `label` has gone under `flow`, `[1, 2, height, width]`: the class of the pixel that is nearest to where each is taken
/// from. Anatomy that has moved is no error of a model that follows it.
///
/// # Errors
/// If the device fails.
pub fn moved_label(flow: &Tensor<4>, label: &Mask) -> Result<Mask, ModelError> {
    let places = places(&to_host(flow.clone())?, [label.height, label.width]);
    let classes = places.into_iter().map(|place| label.classes[place]).collect();
    Ok(Mask { height: label.height, width: label.width, classes })
}

/// The pixel that is nearest to where each pixel is taken from by `flow`, displacements down and then to the right.
pub(super) fn places(flow: &[f32], [height, width]: [usize; 2]) -> Vec<usize> {
    let near = |i: usize, by: f32, n: usize| (i as f32 + by).round().clamp(0.0, n as f32 - 1.0) as usize;
    let place = |i: usize| near(i / width, flow[i], height) * width + near(i % width, flow[height * width + i], width);
    (0..height * width).map(place).collect()
}

/// How smooth random flows are: the deviation in pixels of the Gaussian that they are blurred with.
const SMOOTH: f64 = 2.0;

/// The control of attacks that move pixels: a smooth random flow of `x` that is 0 where `region` (`[1, 1, height, width]`) is, and
/// whose largest displacement in each image is `pixels`.
///
/// # Errors
/// If the device fails.
pub fn random_flow(
    x: &Tensor<4>,
    pixels: &[f32],
    seed: u64,
    region: Option<&Tensor<4>>,
) -> Result<Tensor<4>, ModelError> {
    let [count, channels, height, width] = x.dims();
    let (images, area) = (to_host(x.clone())?, height * width);
    let inside = region.map(|region| to_host(region.clone())).transpose()?;
    let mut flow = Vec::with_capacity(count * 2 * area);
    for (image, &pixels) in images.chunks((channels * area).max(1)).zip(pixels) {
        let mut random = Random::new(Use::Flow, seed, stream_of(image), 0);
        let mut field: Vec<f32> = (0..2 * area).map(|_| random.normal()).collect();
        blur(&mut field, [height, width], SMOOTH);
        if let Some(inside) = &inside {
            field.iter_mut().enumerate().filter(|(i, _)| inside[i % area] < 0.5).for_each(|(_, v)| *v = 0.0);
        }
        let length = |i: usize| f64::from(field[i]).hypot(f64::from(field[area + i]));
        let largest = (0..area).map(length).fold(0.0, f64::max);
        let scale = if largest > 0.0 { f64::from(pixels) / largest } else { 0.0 };
        flow.extend(field.into_iter().map(|v| (f64::from(v) * scale) as f32));
    }
    Ok(Tensor::from_data(TensorData::new(flow, [count, 2, height, width]), &x.device()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn image() -> Tensor<4> {
        let values: Vec<f32> = (0..2 * 4 * 5).map(|i| ((i * 7) % 11) as f32 / 11.0).collect();
        Tensor::from_data(TensorData::new(values, [1, 2, 4, 5]), &Device::flex())
    }

    fn constant(down: f32, right: f32) -> Tensor<4> {
        let values = [vec![down; 20], vec![right; 20]].concat();
        Tensor::from_data(TensorData::new(values, [1, 2, 4, 5]), &Device::flex())
    }

    #[test]
    fn a_flow_of_whole_pixels_moves_the_image_and_repeats_its_border() {
        let x = to_host(image()).unwrap();
        for (down, right) in [(0, 0), (1, 0), (0, -2), (-1, 1), (9, 9)] {
            let moved = to_host(warped(&image(), constant(down as f32, right as f32))).unwrap();
            for (i, v) in moved.iter().enumerate() {
                let (c, y, z) = (i / 20, i / 5 % 4, i % 5);
                let (y, z) = ((y as i32 + down).clamp(0, 3) as usize, (z as i32 + right).clamp(0, 4) as usize);
                assert!((v - x[c * 20 + y * 5 + z]).abs() < 1e-6, "{down}, {right}");
            }
        }
    }

    #[test]
    fn a_constant_flow_is_smooth() {
        let found = to_host(flow_loss(&constant(0.3, -2.0))).unwrap()[0];
        assert!((found - 62.0 * 1e-4).abs() < 1e-6, "31 pairs, twice: {found}");
    }

    #[test]
    fn half_a_pixel_is_the_mean_of_two() {
        let x = to_host(image()).unwrap();
        let moved = to_host(warped(&image(), constant(0.0, 0.5))).unwrap();
        assert!((moved[0] - f32::midpoint(x[0], x[1])).abs() < 1e-6);
    }

    #[test]
    fn random_flows_are_as_large_as_asked_and_stay_in_their_region() {
        let x = Tensor::cat(vec![image(), image() * 0.5], 0);
        let inside: Vec<f32> = (0..20).map(|i| f32::from(u8::from(i % 5 < 3))).collect();
        let region = Tensor::<4>::from_data(TensorData::new(inside.clone(), [1, 1, 4, 5]), &Device::flex());
        let flow = random_flow(&x, &[0.7, 0.7], 4, Some(&region)).unwrap();
        assert!(largest_displacement(&flow).unwrap().iter().all(|d| (d - 0.7).abs() < 1e-6));
        let values = to_host(flow).unwrap();
        assert!(values.iter().enumerate().all(|(i, v)| inside[i % 20] > 0.0 || *v == 0.0));
        assert_ne!(values[..40], values[40..], "every image has its own");
    }
}
