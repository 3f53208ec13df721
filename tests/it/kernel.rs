//! The kernels of frozen networks compute what burn's own operations compute, and so do their gradients.

use crate::fixture::{cosine, devices, host, max_difference};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::module::{conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::kernel::{Activation, Axis, Convolution, Mix, Pool, UpConvolution, UpOptions, max_pool_2x2, scaled};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;

thread_local! {
    /// Each test has a thread, and so numbers, of its own: with others an output may lie so near to a bound that rounding decides
    /// its gradient.
    static NUMBERS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(7));
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> =
        NUMBERS.with_borrow_mut(|numbers| (0..count).map(|_| numbers.random_range(-1.0..1.0)).collect());
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
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
    // Batch, channels, outputs, height, width, kernel, padding, dilation.
    for [n, c, o, h, w, k, p, d] in [
        [1, 1, 16, 40, 56, 3, 1, 1],
        [2, 16, 8, 33, 47, 3, 1, 1],
        [1, 24, 1, 20, 20, 1, 0, 1],
        [3, 7, 11, 16, 16, 3, 0, 1],
        [1, 64, 32, 8, 8, 3, 1, 1],
        [1, 5, 6, 30, 50, 5, 2, 1],
        [1, 5, 6, 30, 50, 3, 2, 2],
        // More padding than it reaches.
        [1, 2, 2, 9, 9, 1, 1, 1],
    ] {
        for activation in [Activation::None, Activation::Relu, Activation::Clip(-3.0, 4.0)] {
            let (x, weight, bias) = (random([n, c, h, w]), random([o, c, k, k]), random([o]));
            let options = ConvOptions::new([1, 1], [p, p], [d, d], 1);
            let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[c], activation);
            let theirs = both(&x, |x| activation.apply(conv2d(x, weight.clone(), Some(bias.clone()), options.clone())));
            assert_close(&format!("{n} {c}→{o} {h}×{w} {k} {p} {d}"), &both(&x, |x| layer.forward(x)), &theirs);
        }
    }
}

#[test]
fn strides_groups_and_uneven_kernels_equal_burns() {
    // Channels, outputs, height, width, kernel, stride, padding, dilation, groups: what networks have.
    for ([c, o, h, w], kernel, stride, padding, dilation, groups) in [
        ([3, 16, 40, 44], [7, 7], [2, 2], [3, 3], [1, 1], 1),
        ([8, 24, 28, 28], [1, 1], [2, 2], [0, 0], [1, 1], 1),
        ([64, 40, 7, 7], [1, 1], [1, 1], [0, 0], [1, 1], 1),
        ([40, 24, 14, 14], [3, 3], [2, 2], [1, 1], [1, 1], 1),
        ([12, 12, 19, 33], [3, 3], [1, 1], [1, 1], [1, 1], 12),
        ([12, 24, 20, 20], [5, 5], [2, 2], [2, 2], [1, 1], 12),
        ([32, 64, 15, 15], [3, 3], [1, 1], [1, 1], [1, 1], 8),
        ([6, 10, 24, 20], [1, 7], [1, 1], [0, 3], [1, 1], 1),
        ([6, 10, 24, 20], [7, 1], [1, 2], [3, 0], [1, 1], 1),
        ([16, 9, 33, 33], [3, 3], [1, 1], [6, 6], [6, 6], 1),
        ([4, 3, 9, 11], [2, 2], [3, 3], [0, 0], [1, 1], 1),
    ] {
        let (x, weight) = (random([2, c, h, w]), random([o, c / groups, kernel[0], kernel[1]]));
        let bias = random([o]);
        let options = ConvOptions::new(stride, padding, dilation, groups);
        let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[c], Activation::Relu);
        let theirs = both(&x, |x| relu(conv2d(x, weight.clone(), Some(bias.clone()), options.clone())));
        let what = format!("{c}→{o} {h}×{w} {kernel:?} {stride:?} {dilation:?} {groups}");
        assert_close(&what, &both(&x, |x| layer.forward(x)), &theirs);
    }
}

/// Of a GPU burn's transposed convolution may give zeros; the gradient of what has a stride does without it.
#[test]
fn strided_gradients_are_the_same_on_every_device() {
    for ([c, o, h, w], kernel, stride, padding, dilation, groups) in [
        ([3, 8, 32, 36], [7, 7], [2, 2], [3, 3], [1, 1], 1),
        ([8, 16, 15, 14], [1, 1], [2, 2], [0, 0], [1, 1], 1),
        ([8, 8, 16, 17], [3, 3], [2, 2], [1, 1], [1, 1], 1),
        ([8, 12, 17, 16], [3, 3], [2, 3], [2, 2], [2, 2], 4),
        ([4, 3, 9, 11], [2, 2], [3, 3], [0, 0], [1, 1], 1),
    ] {
        let (x, weight, bias) = (random([2, c, h, w]), random([o, c / groups, kernel[0], kernel[1]]), random([o]));
        let options = ConvOptions::new(stride, padding, dilation, groups);
        let layer = |device: &Device| {
            let (weight, bias) = (weight.clone().to_device(device), bias.clone().to_device(device));
            Convolution::new(weight, Some(bias), options.clone(), &[c], Activation::Relu)
        };
        let what = format!("{c}→{o} {h}×{w} {kernel:?} {stride:?} {dilation:?} {groups}");
        let expected = both(&x, |x| layer(&Device::flex()).forward(x));
        let up = random([2, o, 7, 8]);
        let before = [padding[0].min(1), padding[1].min(1)];
        let full = |axis: usize, size: usize| (size - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
        let size = [full(0, 7) - before[0], full(1, 8) - before[1]];
        let spread = |device: &Device, x: Tensor<4>| {
            let options = UpOptions { stride, dilation, before, groups };
            options.apply(x, &weight.clone().to_device(device), None, size).unwrap()
        };
        let expected_up = both(&up, |x| spread(&Device::flex(), x));
        for (name, device) in devices() {
            let x = x.clone().to_device(&device);
            assert_close(&format!("{name}, {what}"), &both(&x, |x| layer(&device).forward(x)), &expected);
            let up = up.clone().to_device(&device);
            assert_close(&format!("{name}, transposed {what}"), &both(&up, |x| spread(&device, x)), &expected_up);
        }
    }
}

/// Of a GPU burn's convolution gives one channel with strides that its fused kernels misread beside a tensor in the usual order.
#[test]
fn one_channel_has_the_same_gradient_on_every_device() {
    for [n, c, o, h, w, k] in [[1, 3, 1, 64, 64, 3], [2, 8, 1, 12, 20, 1], [1, 1, 1, 17, 16, 3], [2, 1, 4, 16, 16, 3]] {
        let (x, weight, bias) = (random([n, c, h, w]), random([o, c, k, k]), random([o]));
        let layer = |device: &Device| {
            let options = ConvOptions::new([1, 1], [k / 2, k / 2], [1, 1], 1);
            let (weight, bias) = (weight.clone().to_device(device), bias.clone().to_device(device));
            Convolution::new(weight, Some(bias), options, &[c], Activation::None)
        };
        let expected = both(&x, |x| sigmoid(layer(&Device::flex()).forward(sigmoid(x))));
        for (name, device) in devices() {
            let got = both(&x.clone().to_device(&device), |x| sigmoid(layer(&device).forward(sigmoid(x))));
            assert_close(&format!("{name}, {n} × {c}→{o} {h}×{w}"), &got, &expected);
        }
    }
}

#[test]
fn a_summand_comes_before_the_activation() {
    for (stride, activation) in [(1, Activation::Relu), (2, Activation::Clip(-0.5, 0.7)), (1, Activation::None)] {
        let (x, weight, bias) = (random([2, 12, 14, 14]), random([20, 12, 3, 3]), random([20]));
        let options = ConvOptions::new([stride; 2], [1, 1], [1, 1], 1);
        let summand = random([2, 20, 14 / stride, 14 / stride]);
        let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[12], activation);
        let conv = |x: Tensor<4>| conv2d(x, weight.clone(), Some(bias.clone()), options.clone());
        let fixed = |x: &Tensor<4>| Tensor::from_inner(x.clone());
        let theirs = [
            both(&x, |x| activation.apply(conv(x) + fixed(&summand))),
            both(&summand, |summand| activation.apply(conv(fixed(&x)) + summand)),
            // Not both tracked: burn's way.
            both(&x, |x| activation.apply(conv(x) + fixed(&summand))),
        ];
        let ours = [
            both(&x, |x| layer.forward_sum(x, fixed(&summand))),
            both(&summand, |summand| layer.forward_sum(fixed(&x), summand)),
            both(&x, |x| layer.forward_sum(x, summand.clone())),
        ];
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_close(&format!("{stride} {activation:?}"), ours, theirs);
        }
    }
}

#[test]
fn factors_and_summands_of_channels() {
    let (x, factor, summand) = (random([2, 7, 5, 9]), random([7]), random([7]));
    for activation in [Activation::None, Activation::Relu, Activation::Clip(-0.2, 0.3)] {
        let theirs = both(&x, |x| {
            let channels = |t: &Tensor<1>| t.clone().reshape([1, 7, 1, 1]);
            activation.apply(x * channels(&factor) + channels(&summand))
        });
        let ours = both(&x, |x| scaled(x, factor.clone(), summand.clone(), activation));
        assert_close(&format!("{activation:?}"), &ours, &theirs);
    }
}

#[test]
fn a_pair_is_a_concatenation() {
    let (a, b, weight, bias) = (random([2, 5, 24, 40]), random([2, 11, 24, 40]), random([9, 16, 3, 3]), random([9]));
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let layer = Convolution::new(weight.clone(), Some(bias.clone()), options.clone(), &[5, 11], Activation::Relu);
    let joined = |a: Tensor<4>, b: Tensor<4>| {
        relu(conv2d(Tensor::cat(vec![a, b], 1), weight.clone(), Some(bias.clone()), options.clone()))
    };
    let theirs = [both(&a, |a| joined(a, b.clone())), both(&b, |b| joined(a.clone(), b))];
    let ours = [both(&a, |a| layer.forward_pair(a, b.clone())), both(&b, |b| layer.forward_pair(a.clone(), b))];
    assert_close("first", &ours[0], &theirs[0]);
    // What is concatenated already has the gradient of all its channels.
    let whole = Tensor::cat(vec![a.clone(), b.clone()], 1);
    let conv = |x: Tensor<4>| conv2d(x, weight.clone(), Some(bias.clone()), options.clone());
    assert_close("whole", &both(&whole, |x| layer.forward(x)), &both(&whole, |x| relu(conv(x))));
    let summand = random([2, 9, 24, 40]);
    let plus = |x: &Tensor<4>| if x.is_autodiff() { Tensor::from_inner(summand.clone()) } else { summand.clone() };
    let theirs_sum = both(&whole, |x| relu(conv(x.clone()) + plus(&x)));
    assert_close("whole with summand", &both(&whole, |x| layer.forward_sum(x.clone(), plus(&x))), &theirs_sum);
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
    for [kernel, stride, padding] in [[3, 2, 1], [3, 1, 1], [5, 3, 2], [2, 1, 0]] {
        let x = random([2, 3, 17, 22]);
        let options = MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
        let theirs = both(&x, |x| max_pool2d(x, options.clone()));
        let output = [17, 22].map(|size| (size + 2 * padding - kernel) / stride + 1);
        let pool = Pool { kernel: [kernel; 2], stride: [stride; 2], before: [padding; 2], output };
        assert_close("pool", &both(&x, |x| pool.apply(x).unwrap()), &theirs);
    }
    // Of equal values the first gets the gradient, as in PyTorch.
    let flat = Tensor::<4>::ones([1, 1, 2, 2], &Device::flex());
    assert_eq!(both(&flat, |x| max_pool_2x2(x) + 1.0)[1], [0.0; 4], "sin(0) = 0");
    let pooled = flat.autodiff().require_grad();
    let gradients = max_pool_2x2(pooled.clone()).sum().backward();
    assert_eq!(host(pooled.grad(&gradients).unwrap()), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn resampling_is_the_product_with_its_matrices() {
    // Of each output: the inputs that it reads, and their shares.
    type Taps = Vec<Vec<(usize, f32)>>;
    let (rows, columns): (Taps, Taps) = (
        (0..9).map(|i| vec![(i / 2, 0.75), ((i / 2 + 1).min(4), 0.25)]).collect(),
        (0..4).map(|i| vec![(i, 1.0), (i + 2, -0.5), (i, 0.25)]).collect(),
    );
    let matrix = |axis: &[Vec<(usize, f32)>], input: usize| {
        let mut values = vec![0.0f32; axis.len() * input];
        for (o, taps) in axis.iter().enumerate() {
            taps.iter().for_each(|&(at, weight)| values[o * input + at] += weight);
        }
        Tensor::<2>::from_data(TensorData::new(values, [axis.len(), input]), &Device::flex())
    };
    let (down, across) = (matrix(&rows, 5), matrix(&columns, 7));
    let x = random([2, 3, 5, 7]);
    let theirs = both(&x, |x| {
        let wide = |m: &Tensor<2>| Tensor::from_inner(m.clone().unsqueeze::<4>());
        wide(&down).matmul(x).matmul(wide(&across).transpose())
    });
    let ours = both(&x, |x| Mix::new(Axis::new(5, rows.clone()), Axis::new(7, columns.clone())).apply(x).unwrap());
    assert_close("mix", &ours, &theirs);
}

#[test]
fn what_is_no_number_stays_so() {
    let mut values = vec![1.0f32; 64];
    values[20] = f32::NAN;
    let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 8, 8]), &Device::flex());
    let weight = Tensor::<4>::ones([1, 1, 3, 3], &Device::flex());
    let layer = Convolution::new(weight, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1), &[1], Activation::None);
    assert_eq!(host(layer.forward(x.clone())).iter().filter(|v| v.is_nan()).count(), 9);
    assert_eq!(host(max_pool_2x2(x)).iter().filter(|v| v.is_nan()).count(), 1);
}
