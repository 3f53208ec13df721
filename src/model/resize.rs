//! Bilinear resizing as two matrix products: the same on every device, and differentiable.

use burn::tensor::{Device, Tensor, TensorData};

/// Where output pixels lie in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corners {
    /// Pixels are areas, and the areas' outer edges coincide. Shrinking averages over a triangle as wide as the factor,
    /// as Pillow and torchvision do (antialiased).
    Edges,
    /// The centres of the corner pixels coincide (PyTorch's `align_corners`).
    Centres,
}

/// `[batch, channels, h, w]` → `[batch, channels, height, width]`.
pub(super) fn resize(x: Tensor<4>, [height, width]: [usize; 2], corners: Corners) -> Tensor<4> {
    let [batch, channels, h, w] = x.dims();
    let x = if w == width {
        x
    } else {
        let weights = matrix(w, width, corners, &x.device());
        let rows: Tensor<2> = x.reshape([batch * channels * h, w]);
        rows.matmul(weights.transpose()).reshape([batch, channels, h, width])
    };
    if h == height {
        return x;
    }
    let weights = matrix(h, height, corners, &x.device()).reshape([1, height, h]);
    let planes: Tensor<3> = x.reshape([batch * channels, h, width]);
    weights.expand([batch * channels, height, h]).matmul(planes).reshape([batch, channels, height, width])
}

/// `[to, from]`: what each output takes of each input. Rows add up to 1.
fn matrix(from: usize, to: usize, corners: Corners, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(weights(from, to, corners), [to, from]), device)
}

fn weights(from: usize, to: usize, corners: Corners) -> Vec<f32> {
    let mut values = vec![0f32; from * to];
    let scale = from as f64 / to as f64;
    let radius = if corners == Corners::Edges { scale.max(1.0) } else { 1.0 };
    for (i, row) in values.chunks_exact_mut(from).enumerate() {
        let centre = match corners {
            Corners::Edges => (i as f64 + 0.5) * scale - 0.5,
            Corners::Centres => i as f64 * (from as f64 - 1.0) / (to as f64 - 1.0).max(1.0),
        };
        let first = (centre - radius).ceil().max(0.0) as usize;
        let last = ((centre + radius).floor().max(0.0) as usize).min(from - 1);
        let taps: Vec<f64> = (first..=last).map(|j| (1.0 - (j as f64 - centre).abs() / radius).max(0.0)).collect();
        let sum: f64 = taps.iter().sum();
        for (weight, tap) in row[first..=last].iter_mut().zip(taps) {
            *weight = (tap / sum) as f32;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_pytorch() {
        // torch.nn.functional.interpolate(torch.eye(n)[None], size=m, mode="linear", align_corners=…)[0].T
        let expect = |from, to, corners, expected: &[f32]| {
            for (value, expected) in weights(from, to, corners).iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{:?}", weights(from, to, corners));
            }
        };
        expect(2, 4, Corners::Edges, &[1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        expect(2, 4, Corners::Centres, &[1.0, 0.0, 2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0, 0.0, 1.0]);
        // Pillow's: Image.fromarray(numpy.eye(4, dtype="f4")).resize((4, 2), BILINEAR), halved: taps 1, 3, 3, 1 cut at the edge.
        expect(4, 2, Corners::Edges, &[3.0 / 7.0, 3.0 / 7.0, 1.0 / 7.0, 0.0, 0.0, 1.0 / 7.0, 3.0 / 7.0, 3.0 / 7.0]);
        expect(1, 3, Corners::Edges, &[1.0, 1.0, 1.0]);
        expect(1, 2, Corners::Centres, &[1.0, 1.0]);
    }

    #[test]
    fn both_axes() {
        let x =
            Tensor::<4>::from_data(TensorData::new((0..12).map(|v| v as f32).collect(), [1, 2, 2, 3]), &Device::flex());
        let y = resize(x, [2, 6], Corners::Edges);
        assert_eq!(y.dims(), [1, 2, 2, 6]);
        let first: Vec<f32> = y.clone().narrow(1, 0, 1).narrow(2, 0, 1).into_data().try_to_vec().unwrap();
        assert_eq!(first, [0.0, 0.25, 0.75, 1.25, 1.75, 2.0]);
        let tall = resize(y, [4, 6], Corners::Edges).narrow(3, 0, 1).narrow(1, 1, 1);
        assert_eq!(tall.into_data().try_to_vec::<f32>().unwrap(), [6.0, 6.75, 8.25, 9.0]);
    }
}
