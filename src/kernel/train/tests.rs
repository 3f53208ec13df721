//! Layers in training are burn's own, in values and all gradients, and do not depend on the number of threads.

use super::*;
use crate::tensor::to_host;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn device() -> Device {
    Device::flex().autodiff()
}

fn random<const D: usize>(rng: &mut ChaCha8Rng, shape: [usize; D]) -> Tensor<D> {
    let values = (0..shape.iter().product()).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// The output's values, then the gradients of all `tracked` where the output's gradient is `direction`.
fn gradients(y: Tensor<4>, direction: &Tensor<4>, tracked: &[Tensor<4>], vectors: &[Tensor<1>]) -> Vec<Vec<f32>> {
    let found = (y.clone() * direction.clone()).sum().backward();
    let mut all = vec![to_host(y.inner()).unwrap()];
    all.extend(tracked.iter().map(|t| to_host(t.grad(&found).unwrap()).unwrap()));
    all.extend(vectors.iter().map(|t| t.grad(&found).unwrap().into_data().try_into_vec::<f32>().unwrap()));
    all
}

#[track_caller]
fn assert_same(what: &str, found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let largest = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        assert_eq!(found.len(), expected.len(), "{what}, part {i}");
        for (found, expected) in found.iter().zip(expected) {
            let off = (found - expected).abs();
            assert!(off <= tolerance * largest, "{what}, part {i}: {found}, burn {expected}, of {largest}");
        }
    }
}

/// Kernel, stride, dilation, padding, bias.
fn layer(
    rng: &mut ChaCha8Rng,
    [channels, outputs]: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    pad: usize,
) -> Conv2d {
    let mut layer = Conv2dConfig::new([channels, outputs], kernel)
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(&device());
    layer.weight = Param::from_tensor(random(rng, [outputs, channels, kernel[0], kernel[1]]));
    layer.bias = layer.bias.map(|_| Param::from_tensor(random(rng, [outputs])));
    layer
}

#[test]
fn convolutions_are_burns() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Channels of the two inputs, outputs, kernel, stride, padding, height and width.
    let cases = [
        ([1, 0], 16, [3, 3], 1, 1, [16, 16]),
        ([3, 0], 5, [3, 3], 1, 1, [13, 21]),
        ([8, 8], 8, [3, 3], 1, 1, [24, 36]),
        ([3, 2], 7, [3, 3], 1, 0, [11, 40]),
        ([3, 0], 8, [3, 3], 2, 1, [14, 17]),
        ([16, 0], 1, [1, 1], 1, 0, [20, 20]),
        ([16, 0], 3, [1, 1], 1, 0, [9, 7]),
        ([70, 0], 66, [3, 3], 1, 1, [6, 6]),
        ([2, 3], 6, [5, 3], 2, 2, [19, 12]),
        ([4, 0], 4, [3, 3], 1, 1, [1, 1]),
        ([2, 0], 3, [3, 3], 1, 1, [3, 300]),
    ];
    for (channels, outputs, kernel, stride, pad, [height, width]) in cases {
        for rectified in [false, true] {
            let layer = layer(&mut rng, [channels[0] + channels[1], outputs], kernel, stride, pad);
            let x = random(&mut rng, [3, channels[0], height, width]).require_grad();
            let second = (channels[1] > 0).then(|| random(&mut rng, [3, channels[1], height, width]).require_grad());
            let expected = layer.forward(match &second {
                Some(second) => Tensor::cat(vec![x.clone(), second.clone()], 1),
                None => x.clone(),
            });
            let expected = if rectified { relu(expected) } else { expected };
            let direction = random(&mut rng, expected.dims());
            let mut tracked = vec![x.clone(), layer.weight.val()];
            tracked.extend(second.clone());
            let bias = [layer.bias.as_ref().unwrap().val()];
            let expected = gradients(expected, &direction, &tracked, &bias);
            let found = convolution(&layer, x, second, rectified);
            let found = gradients(found, &direction, &tracked, &bias);
            let what = format!("{channels:?} to {outputs}, {kernel:?}, stride {stride}, {height}×{width}");
            assert_same(&what, &found, &expected, 1e-5);
        }
    }
}

#[test]
fn transposed_convolutions_are_burns() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for ([channels, outputs], factor, [height, width]) in
        [([8, 4], 2, [6, 10]), ([3, 5], 2, [7, 5]), ([5, 1], 3, [4, 4]), ([70, 33], 2, [3, 3])]
    {
        let config = ConvTranspose2dConfig::new([channels, outputs], [factor; 2]).with_stride([factor; 2]);
        let mut layer = config.init(&device());
        layer.weight = Param::from_tensor(random(&mut rng, [channels, outputs, factor, factor]));
        layer.bias = layer.bias.map(|_| Param::from_tensor(random(&mut rng, [outputs])));
        let x = random(&mut rng, [2, channels, height, width]).require_grad();
        let direction = random(&mut rng, [2, outputs, factor * height, factor * width]);
        let (tracked, bias) = ([x.clone(), layer.weight.val()], [layer.bias.as_ref().unwrap().val()]);
        let expected = gradients(layer.forward(x.clone()), &direction, &tracked, &bias);
        let found = gradients(up_convolution(&layer, x), &direction, &tracked, &bias);
        assert_same(&format!("{channels} to {outputs}, ×{factor}"), &found, &expected, 1e-5);
    }
}

fn norm(rng: &mut ChaCha8Rng, channels: usize) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(&device());
    norm.gamma = Param::from_tensor(random(rng, [channels]) + 0.5);
    norm.beta = Param::from_tensor(random(rng, [channels]));
    norm
}

#[test]
fn normalisation_is_burns_and_learns_the_same_statistics() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for [batch, channels, height, width] in
        [[2, 3, 5, 7], [1, 1, 9, 33], [4, 6, 40, 41], [3, 2, 100, 100], [2, 4, 1, 1]]
    {
        let norm = norm(&mut rng, channels);
        let other = norm.valid().train();
        let x = (random(&mut rng, [batch, channels, height, width]) * 3.0 + 5.0).detach().require_grad();
        let direction = random(&mut rng, x.dims());
        let of = |norm: &BatchNorm| [norm.gamma.val(), norm.beta.val()];
        let expected = gradients(relu(other.forward(x.clone())), &direction, std::slice::from_ref(&x), &of(&other));
        let found = gradients(normalisation(&norm, x.clone()), &direction, std::slice::from_ref(&x), &of(&norm));
        // Gradients of few pixels are small differences of large numbers.
        let tolerance = if batch * height * width < 8 { 2e-2 } else { 1e-4 };
        assert_same(&format!("{batch}×{channels}×{height}×{width}"), &found, &expected, tolerance);
        let learned = |norm: &BatchNorm| {
            let norm = norm.valid();
            [norm.running_mean.value(), norm.running_var.value()].map(|t| t.into_data().try_into_vec::<f32>().unwrap())
        };
        assert_same("running statistics", &learned(&norm), &learned(&other), 1e-5);
    }
}

#[test]
fn a_frozen_normalisation_keeps_its_statistics() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let norm = norm(&mut rng, 3).valid();
    let x = random(&mut rng, [2, 3, 4, 4]).inner();
    let expected = to_host(relu(norm.forward(x.clone()))).unwrap();
    assert_eq!(to_host(normalisation(&norm, x)).unwrap(), expected);
    assert_eq!(norm.running_mean.value().into_data().try_into_vec::<f32>().unwrap(), [0.0; 3]);
}

#[test]
fn gradients_are_finite_differences() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (conv, norm) = (layer(&mut rng, [2, 3], [3, 3], 1, 1), norm(&mut rng, 3));
    let x = random(&mut rng, [2, 2, 6, 7]);
    let direction = random(&mut rng, [2, 3, 6, 7]);
    let value = |conv: &Conv2d| {
        let y = normalisation(&norm, convolution(conv, x.clone(), None, false));
        (y * direction.clone()).sum()
    };
    let weight = conv.weight.val();
    let gradient = weight.grad(&value(&conv).backward()).unwrap();
    for _ in 0..5 {
        let way = random(&mut rng, weight.dims());
        let step = 1e-3;
        let at = |sign: f64| {
            let moved = weight.clone().inner() + way.clone().inner() * (sign * step);
            let moved = Conv2d { weight: Param::from_tensor(Tensor::from_inner(moved)), ..conv.clone() };
            f64::from(value(&moved).into_scalar::<f32>())
        };
        let expected = (at(1.0) - at(-1.0)) / (2.0 * step);
        let found = f64::from((gradient.clone() * way.inner()).sum().into_scalar::<f32>());
        assert!((found - expected).abs() < 2e-2 * expected.abs().max(1.0), "{found}, differences {expected}");
    }
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (conv, norm) = (layer(&mut rng, [9, 10], [3, 3], 1, 1), norm(&mut rng, 10));
    let (x, second) =
        (random(&mut rng, [3, 4, 70, 61]).require_grad(), random(&mut rng, [3, 5, 70, 61]).require_grad());
    let direction = random(&mut rng, [3, 10, 70, 61]);
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = normalisation(&norm, convolution(&conv, x.clone(), Some(second.clone()), false));
            let tracked = [x.clone(), second.clone(), conv.weight.val()];
            let vectors = [conv.bias.as_ref().unwrap().val(), norm.gamma.val(), norm.beta.val()];
            gradients(y, &direction, &tracked, &vectors)
        })
    };
    let expected = all(1);
    for threads in [2, 3, 7] {
        for (i, (found, expected)) in all(threads).iter().zip(&expected).enumerate() {
            assert!(found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads, part {i}");
        }
    }
}
