//! What each help to the layers of a frozen U-Net gains by itself: `cargo bench --bench ticks -- --helps [BASE [SIZE]]`.
//!
//! Every layer is timed as it is and with one help taken away, forward and back to its input; a row is the sum over the layers
//! that have the help.

use super::layers::{convolutions, random, times};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, MaxPoolOptions};
use epsiloscope::kernel::{Activation, Convolution, UpConvolution, max_pool_2x2};

/// `constant` where `x` is tracked.
fn beside<const D: usize>(constant: &Tensor<D>, x: &Tensor<4>) -> Tensor<D> {
    if x.is_autodiff() { Tensor::from_inner(constant.clone()) } else { constant.clone() }
}

/// Seconds forward and back, with a help and without it, summed.
struct Row {
    title: &'static str,
    with: [f64; 2],
    without: [f64; 2],
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, title: &'static str, with: [f64; 2], without: [f64; 2]) {
        let at = self.0.iter().position(|row| row.title == title).unwrap_or_else(|| {
            self.0.push(Row { title, with: [0.0; 2], without: [0.0; 2] });
            self.0.len() - 1
        });
        for way in 0..2 {
            self.0[at].with[way] += with[way];
            self.0[at].without[way] += without[way];
        }
    }
}

/// A 3×3 convolution with bias and ReLU.
fn of_convolution(table: &mut Table, [channels, outputs, side]: [usize; 3]) {
    let options = || ConvOptions::new([1; 2], [1; 2], [1; 2], 1);
    let (weight, bias) = (random::<4>([outputs, channels, 3, 3]), random::<1>([outputs]));
    let layer = |activation| Convolution::new(weight.clone(), Some(bias.clone()), options(), &[channels], activation);
    let (fused, plain) = (layer(Activation::Relu), layer(Activation::None));
    let direct = fused.without_winograd();
    let x = random([1, channels, side, side]);
    let whole = times(&x, &|x| fused.forward(x));
    let by_definition = times(&x, &|x| direct.forward(x));
    table.add("Winograd where it pays", whole, by_definition);
    let burns = times(&x, &|x| {
        let (weight, bias) = (beside(&weight, &x), beside(&bias, &x));
        relu(conv2d(x, weight, Some(bias), options()))
    });
    table.add("a direct kernel with bias and ReLU, without Winograd", by_definition, burns);
    table.add("ReLU while the sums are in registers", whole, times(&x, &|x| relu(plain.forward(x))));
    let [factor, summand] = [(); 2].map(|()| random::<4>([1, outputs, 1, 1]));
    let normalised = times(&x, &|x| {
        let (factor, summand) = (beside(&factor, &x), beside(&summand, &x));
        relu(plain.forward(x) * factor + summand)
    });
    table.add("batch normalisation folded into the weights, and that ReLU", whole, normalised);
    let constant = times(&x, &|x| {
        let weight = beside(&weight, &x);
        conv2d(x, weight, None, options())
    });
    let tracked = times(&x, &|x| {
        let weight = if x.is_autodiff() { weight.clone().autodiff().require_grad() } else { weight.clone() };
        conv2d(x, weight, None, options())
    });
    table.add("no gradients of weights (burn's kernels both times)", constant, tracked);
}

/// What a level of the way up does, and the pool of the way down, to `width` channels of `side` pixels.
fn of_level(table: &mut Table, width: usize, side: usize) {
    let pooled = random([1, width, side, side]);
    let halves = MaxPoolOptions::new([2, 2]).with_stride([2, 2]);
    let with = times(&pooled, &max_pool_2x2);
    table.add("max pool without a copy", with, times(&pooled, &|x| max_pool2d(x, halves.clone())));

    let (weight, bias) = (random::<4>([2 * width, width, 2, 2]), random::<1>([width]));
    let up = UpConvolution::new(weight.clone(), Some(bias.clone()));
    let x = random([1, 2 * width, side / 2, side / 2]);
    let with = times(&x, &|x| up.forward(x));
    let without = times(&x, &|x| {
        let (weight, bias) = (beside(&weight, &x), beside(&bias, &x));
        conv_transpose2d(x, weight, Some(bias), ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1))
    });
    table.add("a direct transposed convolution 2×2", with, without);

    let options = || ConvOptions::new([1; 2], [1; 2], [1; 2], 1);
    let weight = random::<4>([width, 2 * width, 3, 3]);
    let layer = |parts: &[usize]| Convolution::new(weight.clone(), None, options(), parts, Activation::Relu);
    let (pair, joined) = (layer(&[width, width]), layer(&[2 * width]));
    let skip = random::<4>([1, width, side, side]);
    let x = random([1, width, side, side]);
    let with = times(&x, &|x| pair.forward_pair(beside(&skip, &x), x));
    let without = times(&x, &|x| joined.forward(Tensor::cat(vec![beside(&skip, &x), x], 1)));
    table.add("skip connections read where they are", with, without);
}

/// Prints the table.
pub fn print(base: usize, size: usize) {
    let mut table = Table::default();
    for shape in convolutions(base, size) {
        of_convolution(&mut table, shape);
    }
    for level in 0..super::layers::DEPTH {
        of_level(&mut table, base << level, size >> level);
    }
    println!("U-Net, base {base}, {size}²; {} threads\n", rayon::current_num_threads());
    println!("| help | forward | without it | | back | without it | |\n|---|---|---|---|---|---|---|");
    for Row { title, with, without } in table.0 {
        let cells = [0, 1].map(|way| {
            let (with, without) = (with[way], without[way]);
            format!("{:.1} ms | {:.1} ms | {:.2} ×", with * 1e3, without * 1e3, without / with)
        });
        println!("| {title} | {} |", cells.join(" | "));
    }
}
