//! Adam on tensors of rows, for attacks that minimise.

use crate::attack::live::chosen;
use burn::tensor::Tensor;

/// Adam (Kingma and Ba 2015) with β₁ .9, β₂ .999.
pub(super) struct Adam {
    rate: f64,
    first: Option<Tensor<4>>,
    second: Option<Tensor<4>>,
    steps: i32,
}

impl Adam {
    pub fn new(rate: f64) -> Self {
        Self { rate, first: None, second: None, steps: 0 }
    }

    /// Goes on with the rows `places` only.
    pub fn select(&mut self, places: &[usize]) {
        for moment in [&mut self.first, &mut self.second] {
            *moment = moment.take().map(|m| chosen(&m, places));
        }
    }

    /// `x` after a step against `gradient`.
    pub fn step(&mut self, x: Tensor<4>, gradient: Tensor<4>) -> Tensor<4> {
        let way = self.way(gradient);
        x - way * self.rate
    }

    /// What a step against `gradient` subtracts at a rate of 1, for rows with rates of their own.
    pub fn way(&mut self, gradient: Tensor<4>) -> Tensor<4> {
        const BETA: (f64, f64) = (0.9, 0.999);
        self.steps += 1;
        let (g, squares) = (gradient.clone() * (1.0 - BETA.0), gradient.square() * (1.0 - BETA.1));
        let first = self.first.take().map_or(g.clone(), |m| m * BETA.0 + g);
        let second = self.second.take().map_or(squares.clone(), |v| v * BETA.1 + squares);
        let unbiased = (1.0 - BETA.1.powi(self.steps)).sqrt() / (1.0 - BETA.0.powi(self.steps));
        let way = first.clone() / (second.clone().sqrt() + 1e-8) * unbiased;
        (self.first, self.second) = (Some(first), Some(second));
        way
    }
}
