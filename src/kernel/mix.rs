//! Resampling along rows and columns: each pixel a weighted sum of a few, in one pass over each plane.

use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// One axis: each output is a weighted sum of inputs.
#[derive(Clone, Debug)]
pub struct Axis {
    input: usize,
    /// The taps of output i are those from `starts[i]` to `starts[i + 1]`.
    starts: Vec<usize>,
    taps: Vec<(usize, f32)>,
}

impl Axis {
    /// Of `outputs`, each with its inputs, below `input`, and their weights.
    ///
    /// # Panics
    /// If an input is not below `input`.
    pub fn new(input: usize, outputs: impl IntoIterator<Item = Vec<(usize, f32)>>) -> Self {
        let (mut starts, mut taps) = (vec![0], Vec::new());
        for output in outputs {
            taps.extend(output.into_iter().filter(|&(_, weight)| weight != 0.0));
            starts.push(taps.len());
        }
        assert!(taps.iter().all(|&(at, _)| at < input), "a tap beyond {input} inputs");
        Self { input, starts, taps }
    }

    /// That changes nothing.
    pub fn identity(length: usize) -> Self {
        Self::new(length, (0..length).map(|i| vec![(i, 1.0)]))
    }

    fn outputs(&self) -> usize {
        self.starts.len() - 1
    }

    fn of(&self, output: usize) -> &[(usize, f32)] {
        &self.taps[self.starts[output]..self.starts[output + 1]]
    }

    /// Inputs and outputs exchanged: the gradient's way.
    fn transposed(&self) -> Self {
        let mut outputs = vec![Vec::new(); self.input];
        for i in 0..self.outputs() {
            self.of(i).iter().for_each(|&(at, weight)| outputs[at].push((i, weight)));
        }
        Self::new(self.outputs(), outputs)
    }
}

/// Rows and columns resampled.
#[derive(Debug)]
pub struct Mix {
    rows: Axis,
    columns: Axis,
    back: OnceLock<Box<Mix>>,
}

impl Mix {
    /// Of both axes.
    pub fn new(rows: Axis, columns: Axis) -> Self {
        Self { rows, columns, back: OnceLock::new() }
    }

    /// Height and width of what it takes, and of what it gives.
    pub(super) fn sizes(&self) -> [[usize; 2]; 2] {
        [[self.rows.input, self.columns.input], [self.rows.outputs(), self.columns.outputs()]]
    }

    /// The mix that takes the output's gradient to the input's.
    pub(super) fn transposed(&self) -> &Self {
        self.back.get_or_init(|| Box::new(Self::new(self.rows.transposed(), self.columns.transposed())))
    }

    /// Planes of the input's size to planes of the output's.
    pub(super) fn planes(&self, x: &[f32], out: &mut [MaybeUninit<f32>]) {
        let [[height, width], [rows, columns]] = self.sizes();
        let planes = out.par_chunks_mut(rows * columns).zip(x.par_chunks(height * width));
        planes.for_each_init(
            || vec![0.0f32; width],
            |line, (out, x)| {
                for (y, out) in out.chunks_exact_mut(columns).enumerate() {
                    let taps = self.rows.of(y);
                    let line: &[f32] = match taps {
                        [(at, 1.0)] => &x[at * width..][..width],
                        _ => {
                            line.fill(0.0);
                            for &(at, weight) in taps {
                                let row = &x[at * width..][..width];
                                line.iter_mut().zip(row).for_each(|(sum, &v)| *sum += weight * v);
                            }
                            line
                        }
                    };
                    for (out, ends) in out.iter_mut().zip(self.columns.starts.windows(2)) {
                        let taps = &self.columns.taps[ends[0]..ends[1]];
                        out.write(taps.iter().map(|&(at, weight)| weight * line[at]).sum());
                    }
                }
            },
        );
    }
}
