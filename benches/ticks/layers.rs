//! How far each layer of the U-Net is from what the machine can do: `cargo bench --bench ticks -- --layers [BASE [SIZE]]`.
//!
//! The machine's peak of multiply-adds and its bandwidth are measured first, on as many threads as the layers use. The least
//! time of a layer is that of its operations at that peak, or of its input, output and weights, each moved once, at that
//! bandwidth, whichever is longer. Operations are those of the definition: a layer that computes its sums with fewer
//! multiplications (Winograd) may be faster than that.

#![allow(unsafe_code)]

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use epsiloscope::kernel::{Activation, Convolution, UpConvolution, max_pool_2x2};
use std::hint::black_box;
use std::time::Instant;

/// The least seconds of some runs.
pub fn least(mut run: impl FnMut()) -> f64 {
    run();
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    for round in 0.. {
        let start = Instant::now();
        run();
        least = least.min(start.elapsed().as_secs_f64());
        if round >= 10 && begin.elapsed().as_secs_f64() > 0.3 {
            break;
        }
    }
    least
}

/// 16 sums of 16 floats, multiplied and added `rounds` times.
#[inline(always)]
fn multiply_add(rounds: usize, fused: bool) -> f32 {
    let (factor, summand) = (black_box(0.5f32), black_box(0.25f32));
    let mut sums = [[1.0f32; 16]; 16];
    for _ in 0..rounds {
        for sum in sums.as_flattened_mut() {
            *sum = if fused { sum.mul_add(factor, summand) } else { *sum * factor + summand };
        }
    }
    sums.as_flattened().iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_add_avx512(rounds: usize) -> f32 {
    multiply_add(rounds, true)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_add_avx2(rounds: usize) -> f32 {
    multiply_add(rounds, true)
}

fn multiply_add_best(rounds: usize) -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has it.
            return unsafe { multiply_add_avx512(rounds) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has them.
            return unsafe { multiply_add_avx2(rounds) };
        }
    }
    multiply_add(rounds, cfg!(target_arch = "aarch64"))
}

/// Floating-point operations a second, and bytes a second read and written, on `threads` threads.
fn machine(threads: usize) -> [f64; 2] {
    const ROUNDS: usize = 1 << 21;
    let on_all = |work: &(dyn Fn(usize) + Sync)| {
        least(|| {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    scope.spawn(move || work(thread));
                }
            });
        })
    };
    let operations = (threads * ROUNDS * 2 * 256) as f64;
    let peak = operations / on_all(&|_| _ = black_box(multiply_add_best(black_box(ROUNDS))));
    // Far more than the caches hold.
    let from = vec![1.0f32; threads << 25];
    let to: Vec<std::sync::Mutex<Vec<f32>>> = (0..threads).map(|_| vec![0.0; 1 << 25].into()).collect();
    let bytes = (threads * 2 * 4) as f64 * (1 << 25) as f64;
    let copy = |thread: usize| to[thread].lock().unwrap().copy_from_slice(&from[thread << 25..][..1 << 25]);
    [peak, bytes / on_all(&copy)]
}

struct Layer {
    name: String,
    /// Channels and side of what goes in, and of what comes out.
    from: [usize; 2],
    to: [usize; 2],
    weights: usize,
    operations: usize,
    run: Box<dyn Fn(Tensor<4>) -> Tensor<4>>,
}

/// Seconds that `run` takes on `x`, and then back to its gradient.
pub fn times(x: &Tensor<4>, run: &dyn Fn(Tensor<4>) -> Tensor<4>) -> [f64; 2] {
    let forward = least(|| _ = black_box(run(x.clone()).into_data()));
    let tracked = x.clone().autodiff().require_grad();
    let both = least(|| {
        let y = run(tracked.clone());
        _ = black_box(tracked.grad(&y.backward()).expect("a gradient").into_data());
    });
    [forward, (both - forward).max(0.0)]
}

pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

fn convolution(from: [usize; 2], outputs: usize, kernel: usize) -> Layer {
    let [channels, side] = from;
    let options = ConvOptions::new([1; 2], [kernel / 2; 2], [1; 2], 1);
    let activation = if kernel == 1 { Activation::None } else { Activation::Relu };
    let weight = random([outputs, channels, kernel, kernel]);
    let layer = Convolution::new(weight, Some(random([outputs])), options, &[channels], activation);
    let weights = outputs * channels * kernel * kernel;
    Layer {
        name: format!("{kernel}×{kernel}, {channels} → {outputs}"),
        from,
        to: [outputs, side],
        weights,
        operations: 2 * weights * side * side,
        run: Box::new(move |x| layer.forward(x)),
    }
}

/// Of the U-Nets.
pub const DEPTH: usize = 4;

/// Channels that go in and come out of each 3×3 layer, and its side.
pub fn convolutions(base: usize, size: usize) -> Vec<[usize; 3]> {
    let level = |level: usize| (base << level, size >> level);
    let down = (0..=DEPTH).flat_map(move |at| {
        let (width, side) = level(at);
        [[if at == 0 { 1 } else { width / 2 }, width, side], [width, width, side]]
    });
    let up = (0..DEPTH).rev().flat_map(move |at| {
        let (width, side) = level(at);
        [[2 * width, width, side], [width, width, side]]
    });
    down.chain(up).collect()
}

fn layers(base: usize, size: usize) -> Vec<Layer> {
    let mut all = Vec::new();
    let mut channels = 1;
    for level in 0..=DEPTH {
        let (width, side) = (base << level, size >> level);
        all.push(convolution([channels, side], width, 3));
        all.push(convolution([width, side], width, 3));
        if level < DEPTH {
            all.push(Layer {
                name: format!("max pool, {width}"),
                from: [width, side],
                to: [width, side / 2],
                weights: 0,
                operations: 0,
                run: Box::new(max_pool_2x2),
            });
        }
        channels = width;
    }
    for level in (0..DEPTH).rev() {
        let (width, side) = (base << level, size >> level);
        let up = UpConvolution::new(random([2 * width, width, 2, 2]), Some(random([width])));
        let weights = 8 * width * width;
        all.push(Layer {
            name: format!("up 2×2, {} → {width}", 2 * width),
            from: [2 * width, side / 2],
            to: [width, side],
            weights,
            operations: 2 * weights * side * side / 4,
            run: Box::new(move |x| up.forward(x)),
        });
        all.push(convolution([2 * width, side], width, 3));
        all.push(convolution([width, side], width, 3));
    }
    all.push(convolution([base, size], 1, 1));
    all
}

/// Prints the table.
pub fn print(base: usize, size: usize) {
    let threads = rayon::current_num_threads();
    let [peak, bandwidth] = machine(threads);
    println!(
        "U-Net, base {base}, {size}²; {threads} threads: {:.0} GFLOP/s, {:.0} GB/s\n",
        peak * 1e-9,
        bandwidth * 1e-9
    );
    println!("| layer | side | MFLOP | MB | least | forward | of peak | gradient | of peak |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut sums = [0.0; 5];
    for Layer { name, from, to, weights, operations, run } in layers(base, size) {
        let x: Tensor<4> = random([1, from[0], from[1], from[1]]);
        let [forward, back] = times(&x, &run);
        let bytes = (4 * (from[0] * from[1] * from[1] + to[0] * to[1] * to[1] + weights)) as f64;
        let of_machine = (operations as f64 / peak).max(bytes / bandwidth);
        let share = |seconds: f64| match operations {
            0 => "".to_owned(),
            operations => format!("{:.0} %", operations as f64 / seconds / peak * 100.0),
        };
        println!(
            "| {name} | {} | {:.1} | {:.2} | {:.3} ms | {:.3} ms | {} | {:.3} ms | {} |",
            to[1],
            operations as f64 * 1e-6,
            bytes * 1e-6,
            of_machine * 1e3,
            forward * 1e3,
            share(forward),
            back * 1e3,
            share(back),
        );
        let row = [operations as f64, bytes, of_machine, forward, back];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let [operations, bytes, of_machine, forward, back] = sums;
    println!(
        "| all | | {:.0} | {:.1} | {:.1} ms | {:.1} ms | {:.0} % | {:.1} ms | {:.0} % |",
        operations * 1e-6,
        bytes * 1e-6,
        of_machine * 1e3,
        forward * 1e3,
        operations / forward / peak * 100.0,
        back * 1e3,
        operations / back / peak * 100.0,
    );
}
