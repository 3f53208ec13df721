//! Products with a frozen matrix: the last layers of a classifier, by the loop that computes convolutions. What is read again and
//! again, the matrix, is laid out for it once, each way; a row of the input is what the weights of one result are there.

// Threads write to disjoint rectangles of one output.
#![allow(unsafe_code)]

use super::direct::Output;
use super::lanes::Instructions;
use super::plan::on_cpu;
use super::rows::{Lines, SLACK, Sums, Tap};
use super::team;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::mem::MaybeUninit;

/// Larger matrices are left to burn: a copy for each way is too much of them.
const MOST: usize = 1 << 22;
/// A job's columns of the matrix stay within this many floats: the second-level cache.
const COLUMN_FLOATS: usize = 128 * 1024;
/// Columns that the loop takes at once, on the widest registers.
const COLUMNS: usize = 48;
/// A thread takes at least this many multiply-adds.
const LEAST_WORK: usize = 1 << 17;

/// A matrix, rows at a distance that shares few places in the cache.
#[derive(Clone, Debug)]
struct Matrix {
    rows: usize,
    columns: usize,
    /// Floats between rows.
    plane: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn new([rows, columns]: [usize; 2], value: impl Fn(usize, usize) -> f32) -> Self {
        let plane = columns.next_multiple_of(SLACK);
        let plane = if plane.is_multiple_of(8 * SLACK) { plane + SLACK } else { plane };
        let mut values = vec![0.0; rows * plane + SLACK];
        for (row, of_row) in values.chunks_exact_mut(plane).take(rows).enumerate() {
            of_row[..columns].iter_mut().enumerate().for_each(|(column, to)| *to = value(row, column));
        }
        Self { rows, columns, plane, values }
    }
}

/// What a linear layer multiplies by and adds.
#[derive(Clone, Debug)]
pub struct Product {
    /// `[inputs, outputs]` and `[outputs, inputs]`.
    there: Matrix,
    back: Matrix,
    bias: Vec<f32>,
    /// What these were made of: as long as it is held, nothing else has its place in memory.
    made_of: [Option<FlexTensor>; 2],
    with: Instructions,
}

impl Product {
    /// x·W + bias, where W is `weight`, or `weight` transposed if it is `turned`; `None` where it is not on the CPU, or large.
    pub(super) fn new(weight: Tensor<2>, turned: bool, bias: Option<Tensor<1>>) -> Option<Self> {
        let dims = weight.dims();
        let [inputs, outputs] = if turned { [dims[1], dims[0]] } else { dims };
        let fits = bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]);
        if inputs * outputs == 0 || inputs * outputs > MOST || !fits {
            return None;
        }
        let bias = match bias {
            Some(bias) => Some(on_cpu(bias)?),
            None => None,
        };
        let weight = on_cpu(weight)?;
        let values: &[f32] = weight.storage();
        let at = |input: usize, output: usize| {
            if turned { values[output * inputs + input] } else { values[input * outputs + output] }
        };
        Some(Self {
            there: Matrix::new([inputs, outputs], at),
            back: Matrix::new([outputs, inputs], |output, input| at(input, output)),
            bias: bias.as_ref().map_or_else(Vec::new, |bias| bias.storage::<f32>()[..outputs].to_vec()),
            made_of: [Some(weight), bias],
            with: Instructions::best(),
        })
    }

    /// Whether it was made of these very tensors.
    pub(super) fn is_of(&self, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> bool {
        let weight = on_cpu(weight.clone());
        let bias = bias.map(|bias| on_cpu(bias.clone()));
        let same = |held: &Option<FlexTensor>, given: &Option<FlexTensor>| match (held, given) {
            (Some(held), Some(given)) => {
                held.shape() == given.shape() && held.storage::<f32>().as_ptr() == given.storage::<f32>().as_ptr()
            }
            (None, None) => true,
            _ => false,
        };
        same(&self.made_of[0], &weight) && same(&self.made_of[1], &bias.flatten())
    }

    /// Values in and out of one row.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.there.rows, self.there.columns]
    }

    /// Of rows of inputs.
    pub(super) fn forward(&self, x: &[f32], out: &mut [MaybeUninit<f32>]) {
        multiply(&self.there, x, &self.bias, self.with, out);
    }

    /// The gradients of rows of inputs from those of their outputs.
    pub(super) fn backward(&self, gradient: &[f32], out: &mut [MaybeUninit<f32>]) {
        multiply(&self.back, gradient, &[], self.with, out);
    }
}

/// `out[r] = x[r] · matrix + bias` for all rows r.
fn multiply(matrix: &Matrix, x: &[f32], bias: &[f32], with: Instructions, out: &mut [MaybeUninit<f32>]) {
    let Matrix { rows: summed, columns, plane, .. } = *matrix;
    let count = out.len() / columns;
    assert!(out.len() == count * columns && x.len() == count * summed && (bias.is_empty() || bias.len() == columns));
    if out.is_empty() {
        return;
    }
    let parts = 2 * rayon::current_num_threads();
    // Rows for each thread if there are enough, else columns.
    let rows = count.div_ceil(parts).next_multiple_of(with.block());
    let most = (COLUMN_FLOATS / summed).max(COLUMNS);
    let wide = if count > rows { most } else { columns.div_ceil(parts).min(most) };
    let wide = wide.next_multiple_of(COLUMNS).min(columns.next_multiple_of(SLACK));
    let (down, across) = (count.div_ceil(rows), columns.div_ceil(wide));
    let output = Output { first: out.as_mut_ptr().cast(), add: None };
    let least = LEAST_WORK / (rows * wide * summed).max(1) + 1;
    team::for_each(down * across, least, |job| {
        // All rows of some columns follow each other.
        let (row, column) = (job % down * rows, job / down * wide);
        let (rows, length) = (row..(row + rows).min(count), wide.min(columns - column));
        let sums = Sums {
            source: &matrix.values[column..],
            plane,
            channels: summed,
            taps: &[Tap { at: 0, weight: 0 }],
            weights: x,
            across: summed,
            along: 1,
            bias: &[],
        };
        // SAFETY: rectangles of jobs do not overlap, and lie within the output.
        unsafe {
            let (first, add) = output.at(row * columns + column);
            let lines = Lines { count: 1, length, step: 0, first, add, plane: columns, row: 0, bounds: None };
            sums.run(with, rows.clone(), lines);
            if let Some(bias) = bias.get(column..column + length) {
                for row in 0..rows.len() {
                    let sums = std::slice::from_raw_parts_mut(first.add(row * columns), length);
                    with.run(|| sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_what_they_are_defined_as_on_every_processor() {
        let value = |i: usize, seed: usize| ((i * 2_654_435_761 + seed * 40_503) >> 7 & 0x3ff) as f32 / 512.0 - 1.0;
        for with in Instructions::available() {
            for [count, inputs, outputs] in [[1, 7, 3], [1, 200, 130], [5, 1, 17], [33, 128, 10], [100, 300, 100]] {
                let matrix = Matrix::new([inputs, outputs], |i, o| value(i * outputs + o, 1));
                let x: Vec<f32> = (0..count * inputs).map(|i| value(i, 2)).collect();
                let bias: Vec<f32> = (0..outputs).map(|i| value(i, 3)).collect();
                let mut out = vec![MaybeUninit::new(f32::NAN); count * outputs];
                multiply(&matrix, &x, &bias, with, &mut out);
                for (i, found) in out.iter().enumerate() {
                    let (row, o) = (i / outputs, i % outputs);
                    let terms =
                        (0..inputs).map(|k| f64::from(x[row * inputs + k]) * f64::from(value(k * outputs + o, 1)));
                    let expected = f64::from(bias[o]) + terms.sum::<f64>();
                    // SAFETY: initialised above.
                    let found = f64::from(unsafe { found.assume_init() });
                    assert!(
                        (found - expected).abs() < 1e-4,
                        "{with:?} {count}×{inputs}×{outputs}: {found} for {expected}"
                    );
                }
            }
        }
    }
}
