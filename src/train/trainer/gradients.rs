//! The gradient of a step, in as many pieces as the memory budget asks for.

use super::Trainer;
use crate::model::ModelError;
use crate::train::TrainError;
use crate::train::adversarial::Part;
use crate::train::loss::{Sums, divergence};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;

impl Trainer {
    /// Flex's generator is one for the process; seeding it for each piece makes dropout depend on step and piece alone.
    fn seed(&self, piece: usize) {
        if self.recipe.network.dropout > 0.0 {
            let seed = self.recipe.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.step as u64);
            self.device.clone().autodiff().seed(seed.wrapping_add((piece as u64) << 32));
        }
    }

    /// The loss of all parts and its gradient. A part goes through the network in as many pieces as the budget asks for: the
    /// mean over its pixels is the mean over the pieces weighted by theirs, and what is a ratio of sums over the batch goes
    /// through twice, once for the sums, of which nothing is kept for a gradient, and once for the gradient at these. Without
    /// batch normalisation and dropout, pieces and whole are the same loss; batch normalisation normalises over a piece.
    pub(super) fn gradients(&self, parts: &[Part]) -> Result<(f32, GradientsParams), TrainError> {
        let mut pieces: Vec<(&Part, usize, usize)> = Vec::new();
        let mut of_part = Vec::with_capacity(parts.len());
        for part in parts {
            let (first, rows) = (pieces.len(), part.x.dims()[0]);
            let size = self.recipe.piece(rows, part.clean.is_some());
            pieces.extend((0..rows).step_by(size).map(|from| (part, from, size.min(rows - from))));
            of_part.push(first..pieces.len());
        }
        let single = pieces.len() == 1;
        let mut accumulator = GradientsAccumulator::new();
        let mut value = 0f32;
        for range in of_part {
            let part = pieces[range.start].0;
            if part.coefficient == 0.0 {
                continue;
            }
            let of =
                |t: &Tensor<4>, (_, from, count): (&Part, usize, usize)| t.clone().narrow(0, from, count).autodiff();
            let parted = range.len() > 1;
            let whole = if parted { f64::from(total(&part.weight)?).max(1.0) } else { 1.0 };
            let mut sums = Sums::default();
            if parted && part.clean.is_none() && self.recipe.loss.region().is_some() {
                // A copy, so that running statistics are learned once. Batch normalisation and dropout are those of training, but no
                // weight asks for a gradient: else the graphs of all pieces would wait in memory for a backward pass that never comes.
                let network = self.network.valid().train().no_grad();
                for index in range.clone() {
                    let piece = pieces[index];
                    self.seed(index);
                    let logits = network.forward(of(&part.x, piece));
                    sums.add(&logits, &of(&part.target, piece), &of(&part.weight, piece))?;
                }
            }
            for index in range {
                let piece = pieces[index];
                self.seed(index);
                let (target, weight) = (of(&part.target, piece), of(&part.weight, piece));
                let share = if parted { f64::from(total(&weight.clone().inner())?) / whole } else { 1.0 };
                let logits = self.network.forward(of(&part.x, piece));
                let loss = match &part.clean {
                    Some(clean) => divergence(self.network.forward(of(clean, piece)), logits, weight) * share,
                    None if parted => self.recipe.loss.piece(logits, target, weight, share, &sums),
                    None => self.recipe.loss.value(logits, target, weight),
                };
                let loss = loss * part.coefficient;
                value += loss.clone().inner().try_into_scalar::<f32>().map_err(ModelError::device)?;
                let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
                if single {
                    return Ok((value, gradients));
                }
                accumulator.accumulate(&self.network, gradients);
            }
        }
        Ok((value, accumulator.grads()))
    }
}

/// The sum of a part's weights: how many pixels count.
fn total(weight: &Tensor<4>) -> Result<f32, ModelError> {
    weight.clone().sum().try_into_scalar::<f32>().map_err(ModelError::device)
}
