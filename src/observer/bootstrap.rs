//! The parametric bootstrap, to compare the posterior's interval with.

use super::fit::refit;
use super::{Block, Fit, Task};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

/// The interval of 95 % of the threshold by the parametric bootstrap: answers are drawn from `fit`'s mode at the same ε, fitted again,
/// `resamples` times; percentiles. A threshold that does not exist counts as infinite.
///
/// Wichmann & Hill, "The psychometric function: II. Bootstrap-based confidence intervals and sampling", Perception &
/// Psychophysics 2001. It holds ε for fixed, though they followed from the answers, and trusts the fitted
/// function; `epsiloscope observer simulate --bootstrap` counts how well it covers all the same.
pub fn bootstrap(fit: &Fit, blocks: &[Block], task: Task, range: [f64; 2], resamples: usize, seed: u64) -> [f64; 2] {
    let draw = |i: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(i as u64);
        let again: Vec<Block> = blocks
            .iter()
            .map(|b| {
                let p = fit.mode.probability(b.epsilon);
                Block { positive: (0..b.total).map(|_| u32::from(uniform(&mut rng) < p)).sum(), ..*b }
            })
            .collect();
        refit(&again, task, range, &fit.mode).threshold().unwrap_or(f64::INFINITY)
    };
    let mut thresholds: Vec<f64> = (0..resamples.max(1)).into_par_iter().map(draw).collect();
    thresholds.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| thresholds[((thresholds.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

/// In [0, 1).
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
