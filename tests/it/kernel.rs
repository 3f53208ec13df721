//! The kernels of frozen networks compute what burn's own operations compute, and so do their gradients.

use crate::fixture::{cosine, host, max_difference};
use burn::tensor::activation::relu;
use burn::tensor::module::{conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor};
use epsiloscope::kernel::{Convolution, UpConvolution, max_pool_2x2};

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// The values of `f(x)` and the gradient of a weighted sum of them.
fn both(x: &Tensor<4>, f: impl Fn(Tensor<4>) -> Tensor<4>) -> [Vec<f32>; 2] {
    let x = x.clone().autodiff().require_grad();
    let y = f(x.clone());
    // Another weight for each value, so that no two errors cancel.
    let [n, c, h, w] = y.dims();
    let weights = Tensor::arange(0..(n * c * h * w) as i64, &x.device()).float().reshape([n, c, h, w]).sin();
    let gradients = (y.clone() * weights).sum().backward();
    [host(y.inner()), host(x.grad(&gradients).unwrap())]
}

#[track_caller]
fn assert_close(what: &str, ours: &[Vec<f32>; 2], theirs: &[Vec<f32>; 2]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        let largest = theirs.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let difference = max_difference(ours, theirs);
        assert!(difference <= 1e-5 * largest, "{what}: {difference} of {largest}");
        assert!(cosine(ours, theirs) > 0.999_999, "{what}");
    }
}

#[test]
fn convolutions_equal_burns() {
    Device::flex().seed(1);
    // Batch, channels, outputs, height, width, kernel, padding, dilation.
    for [n, c, o, h, w, k, p, d] in [
        [1, 1, 16, 40, 56, 3, 1, 1],
        [2, 16, 8, 33, 47, 3, 1, 1],
        [1, 24, 1, 20, 20, 1, 0, 1],
        [3, 7, 11, 16, 16, 3, 0, 1],
        [1, 64, 32, 8, 8, 3, 1, 1],
        [1, 5, 6, 30, 50, 5, 2, 1],
        [1, 5, 6, 30, 50, 3, 2, 2],
        // No kernel of its own: more padding than it reaches.
        [1, 2, 2, 9, 9, 1, 1, 1],
    ] {
        for activation in [false, true] {
            let (x, weight, bias) = (random([n, c, h, w]), random([o, c, k, k]), random([o]));
            let options = ConvOptions::new([1, 1], [p, p], [d, d], 1);
            let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[c], activation);
            let theirs = both(&x, |x| {
                let y = conv2d(x, weight.clone(), Some(bias.clone()), options.clone());
                if activation { relu(y) } else { y }
            });
            assert_close(&format!("{n} {c}→{o} {h}×{w} {k} {p} {d}"), &both(&x, |x| layer.forward(x)), &theirs);
        }
    }
}

#[test]
fn strides_and_groups_fall_back() {
    for (stride, groups) in [(2, 1), (1, 2)] {
        let (x, weight) = (random([1, 4, 20, 24]), random([6, 4 / groups, 3, 3]));
        let options = ConvOptions::new([stride, stride], [1, 1], [1, 1], groups);
        let layer = Convolution::new(weight.clone(), None, options.clone(), &[4], true);
        let theirs = both(&x, |x| relu(conv2d(x, weight.clone(), None, options.clone())));
        assert_close("strided or grouped", &both(&x, |x| layer.forward(x)), &theirs);
    }
}

#[test]
fn a_pair_is_a_concatenation() {
    let (a, b, weight, bias) = (random([2, 5, 24, 40]), random([2, 11, 24, 40]), random([9, 16, 3, 3]), random([9]));
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[5, 11], true);
    let joined = |a: Tensor<4>, b: Tensor<4>| {
        relu(conv2d(Tensor::cat(vec![a, b], 1), weight.clone(), Some(bias.clone()), options.clone()))
    };
    let theirs = [both(&a, |a| joined(a, b.clone())), both(&b, |b| joined(a.clone(), b))];
    let ours = [both(&a, |a| layer.forward_pair(a, b.clone())), both(&b, |b| layer.forward_pair(a.clone(), b))];
    assert_close("first", &ours[0], &theirs[0]);
    assert_close("second", &ours[1], &theirs[1]);
    // Both at once, and one of them a view of something larger.
    let cut = |x: Tensor<4>| x.narrow(2, 2, 20).narrow(3, 1, 32);
    let theirs =
        both(&a, |a| joined(cut(a.clone()), cut(Tensor::cat(vec![a.clone(), a.clone(), a.narrow(1, 0, 1)], 1))));
    let ours = both(&a, |a| {
        layer.forward_pair(cut(a.clone()), cut(Tensor::cat(vec![a.clone(), a.clone(), a.narrow(1, 0, 1)], 1)))
    });
    assert_close("both", &ours, &theirs);
}

#[test]
fn transposed_convolutions_equal_burns() {
    for [n, c, o, h, w, factor] in [[1, 32, 16, 16, 16, 2], [2, 3, 5, 7, 33, 2], [1, 4, 3, 10, 9, 3]] {
        let (x, weight, bias) = (random([n, c, h, w]), random([c, o, factor, factor]), random([o]));
        let layer = UpConvolution::new(weight.clone(), Some(bias.clone()));
        let options = ConvTransposeOptions::new([factor; 2], [0; 2], [0; 2], [1; 2], 1);
        let theirs = both(&x, |x| conv_transpose2d(x, weight.clone(), Some(bias.clone()), options.clone()));
        assert_close("up", &both(&x, |x| layer.forward(x)), &theirs);
    }
}

#[test]
fn pooling_equals_burns() {
    for [n, c, h, w] in [[1, 3, 16, 20], [2, 5, 6, 2], [1, 2, 7, 9]] {
        let x = random([n, c, h, w]);
        let theirs = both(&x, |x| max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2])));
        assert_close("pool", &both(&x, max_pool_2x2), &theirs);
    }
    // Of equal values the first gets the gradient, as in PyTorch.
    let flat = Tensor::<4>::ones([1, 1, 2, 2], &Device::flex());
    assert_eq!(both(&flat, |x| max_pool_2x2(x) + 1.0)[1], [0.0; 4], "sin(0) = 0");
    let pooled = flat.autodiff().require_grad();
    let gradients = max_pool_2x2(pooled.clone()).sum().backward();
    assert_eq!(host(pooled.grad(&gradients).unwrap()), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn what_is_no_number_stays_so() {
    let mut values = vec![1.0f32; 64];
    values[20] = f32::NAN;
    let x = Tensor::<4>::from_data(burn::tensor::TensorData::new(values, [1, 1, 8, 8]), &Device::flex());
    let weight = Tensor::<4>::ones([1, 1, 3, 3], &Device::flex());
    let layer = Convolution::new(weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1), &[1], true);
    assert_eq!(host(layer.forward(x.clone())).iter().filter(|v| v.is_nan()).count(), 9);
    assert_eq!(host(max_pool_2x2(x)).iter().filter(|v| v.is_nan()).count(), 1);
}
