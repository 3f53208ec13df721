//! On every processor the convolution and its transpose are what they are defined as, in double precision.

use super::direct::{Conv, Finish, convolve, transpose};
use super::geometry::{Activation, Geometry};
use super::lanes::Instructions;
use super::source::whole_images;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Two images, all that goes in, and what comes out: of the convolution of `x` with bias and `add`, and of the transpose of
/// `gradient` with `back_bias`.
struct Defined {
    geometry: Geometry,
    /// Channels, outputs, groups.
    sizes: [usize; 3],
    size: [usize; 2],
    x: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    add: Vec<f32>,
    gradient: Vec<f32>,
    back_bias: Vec<f32>,
    y: Vec<f64>,
    dx: Vec<f64>,
}

impl Defined {
    fn new(geometry: Geometry, [channels, outputs, groups, height, width]: [usize; 5], rng: &mut ChaCha8Rng) -> Self {
        let mut random = |n: usize| (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<_>>();
        let (of_group, results) = (channels / groups, outputs / groups);
        let [rows, columns] = [geometry.output(0, height), geometry.output(1, width)];
        let mut it = Self {
            geometry,
            sizes: [channels, outputs, groups],
            size: [height, width],
            x: random(2 * channels * height * width),
            weights: random(outputs * of_group * geometry.taps()),
            bias: random(outputs),
            add: random(2 * outputs * rows * columns),
            gradient: random(2 * outputs * rows * columns),
            back_bias: random(channels),
            y: Vec::new(),
            dx: Vec::new(),
        };
        it.dx = (0..it.x.len()).map(|i| f64::from(it.back_bias[i / (height * width) % channels])).collect();
        for at in 0..2 * outputs * rows * columns {
            let (image, o) = (at / (outputs * rows * columns), at / (rows * columns) % outputs);
            let mut sum = f64::from(it.bias[o]) + f64::from(it.add[at]);
            for from in 0..of_group * geometry.taps() {
                let (c, tap) = (from / geometry.taps(), from % geometry.taps());
                let place = |axis: usize, out: usize, k: usize| {
                    (out * geometry.stride[axis] + k * geometry.dilation[axis]).checked_sub(geometry.padding[axis][0])
                };
                let y = place(0, at / columns % rows, tap / geometry.kernel[1]).filter(|&y| y < height);
                let x = place(1, at % columns, tap % geometry.kernel[1]).filter(|&x| x < width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                let pixel = ((image * channels + o / results * of_group + c) * height + y) * width + x;
                let weight = f64::from(it.weights[o * of_group * geometry.taps() + from]);
                sum += weight * f64::from(it.x[pixel]);
                it.dx[pixel] += weight * f64::from(it.gradient[at]);
            }
            it.y.push(sum.max(0.0));
        }
        it
    }

    fn conv(&self, with: Instructions) -> Conv<'_> {
        let [channels, outputs, groups] = self.sizes;
        Conv { geometry: self.geometry, weights: &self.weights, outputs, channels, groups, with, winograd: true }
    }

    #[track_caller]
    fn check(&self, with: Instructions, what: &str, expected: &[f64], fill: impl FnOnce(&mut [MaybeUninit<f32>])) {
        let mut out = vec![MaybeUninit::new(f32::NAN); expected.len()];
        fill(&mut out);
        let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for (found, expected) in out.iter().zip(expected) {
            // SAFETY: initialised above.
            #[allow(unsafe_code)]
            let found = f64::from(unsafe { found.assume_init() });
            let off = (found - expected).abs();
            let of = (self.geometry, self.sizes, self.size);
            assert!(off <= 1e-5 * largest, "{what} {with:?} {of:?}: {found} for {expected}");
        }
    }

    fn check_all(&self, with: Instructions) {
        let (conv, [channels, outputs, groups]) = (self.conv(with), self.sizes);
        self.check(with, "forward", &self.y, |out| {
            let finish = Finish { bias: &self.bias, add: Some(&self.add), activation: Activation::Relu };
            convolve(&conv, whole_images(&self.x, channels, self.size), finish, out);
        });
        let of_output = [self.geometry.output(0, self.size[0]), self.geometry.output(1, self.size[1])];
        let back = |range: Range<usize>, out: &mut [MaybeUninit<f32>]| {
            let finish = Finish { bias: &self.back_bias[range.clone()], ..Finish::default() };
            transpose(&conv, range, whole_images(&self.gradient, outputs, of_output), self.size, finish, out);
        };
        self.check(with, "transposed", &self.dx, |out| back(0..channels, out));
        if groups == 1 && channels > 2 {
            let plane = self.size[0] * self.size[1];
            let middle: Vec<f64> =
                self.dx.chunks(channels * plane).flat_map(|dx| dx[plane..(channels - 1) * plane].to_vec()).collect();
            self.check(with, "part", &middle, |out| back(1..channels - 1, out));
        }
    }
}

#[test]
fn every_processor_computes_the_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let geometries = [
        ([3, 3], [1, 1], [1, 1], [[1, 1], [1, 1]]),
        ([3, 3], [2, 2], [1, 1], [[1, 1], [1, 1]]),
        ([7, 5], [2, 3], [1, 2], [[3, 2], [0, 4]]),
        ([1, 1], [1, 1], [1, 1], [[0, 0], [0, 0]]),
        ([3, 3], [1, 1], [4, 4], [[4, 4], [4, 4]]),
        ([2, 2], [2, 2], [1, 1], [[0, 0], [0, 0]]),
        ([1, 1], [2, 2], [1, 1], [[0, 0], [0, 0]]),
        ([3, 3], [2, 1], [1, 1], [[0, 1], [1, 1]]),
        // More padding than the kernel reaches, and a stride that leaves pixels out.
        ([3, 3], [1, 1], [1, 1], [[3, 3], [4, 2]]),
        ([2, 2], [3, 3], [2, 2], [[0, 0], [1, 1]]),
    ];
    let sizes = [
        [1, 1, 1, 9, 11],
        [3, 8, 1, 17, 16],
        [5, 13, 1, 12, 100],
        [16, 4, 4, 33, 31],
        [300, 9, 1, 11, 49],
        [6, 6, 6, 10, 70],
        [64, 70, 1, 14, 14],
        [16, 24, 1, 7, 70],
    ];
    for (kernel, stride, dilation, padding) in geometries {
        for size in sizes {
            let defined = Defined::new(Geometry { kernel, stride, dilation, padding }, size, &mut rng);
            Instructions::available().into_iter().for_each(|with| defined.check_all(with));
        }
    }
}

#[test]
fn a_pixel_has_no_part_in_results_beyond_its_kernel() {
    let geometry = Geometry { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [[1, 1], [1, 1]] };
    let (sizes, size, at) = ([9, 10, 1], [11, 39], [4, 17]);
    let weights = vec![0.7f32; sizes[0] * sizes[1] * 9];
    for with in Instructions::available() {
        let [channels, outputs, groups] = sizes;
        let conv = Conv { geometry, weights: &weights, outputs, channels, groups, with, winograd: true };
        let near = |i: usize| (i / size[1] % size[0]).abs_diff(at[0]) <= 1 && (i % size[1]).abs_diff(at[1]) <= 1;
        let check = |out: &[MaybeUninit<f32>]| {
            // SAFETY: initialised below.
            #[allow(unsafe_code)]
            let apart = out.iter().enumerate().all(|(i, v)| near(i) == (unsafe { v.assume_init() } != 0.0));
            assert!(apart, "{with:?}");
        };
        let one = |channels: usize| {
            let mut x = vec![0.0f32; 2 * channels * size[0] * size[1]];
            x.chunks_mut(size[0] * size[1]).for_each(|plane| plane[at[0] * size[1] + at[1]] = 0.3);
            x
        };
        let zeros = |channels: usize| vec![MaybeUninit::new(f32::NAN); 2 * channels * size[0] * size[1]];
        let (x, mut y) = (one(channels), zeros(outputs));
        convolve(&conv, whole_images(&x, channels, size), Finish::default(), &mut y);
        check(&y);
        let (gradient, mut dx) = (one(outputs), zeros(channels));
        let images = whole_images(&gradient, outputs, size);
        transpose(&conv, 0..channels, images, size, Finish::default(), &mut dx);
        check(&dx);
    }
}
