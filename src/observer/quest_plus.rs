//! QUEST+: the next ε is the one whose answer is expected to teach most about the observer.

use super::Psychometric;
use std::sync::Arc;

/// The grids that QUEST+ works on: stimuli that can be shown, and the parameters that an observer may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// ε, ascending, fractions of the bounds' width, above 0.
    pub stimuli: Vec<f64>,
    /// Values of α.
    pub alpha: Vec<f64>,
    /// Values of β.
    pub beta: Vec<f64>,
    /// Values of γ: only ½ in a forced choice of two.
    pub gamma: Vec<f64>,
    /// Values of λ.
    pub lambda: Vec<f64>,
}

/// `count` values from `first` to `last`, equally far apart on a logarithmic axis.
pub fn logarithmic(first: f64, last: f64, count: usize) -> Vec<f64> {
    let step = (last / first).ln() / (count.max(2) - 1) as f64;
    (0..count).map(|i| if i + 1 == count && i > 0 { last } else { first * (step * i as f64).exp() }).collect()
}

impl Domain {
    /// Every combination of parameters; λ runs fastest, α slowest.
    fn observers(&self) -> Vec<Psychometric> {
        let mut all = Vec::with_capacity(self.alpha.len() * self.beta.len() * self.gamma.len() * self.lambda.len());
        for &alpha in &self.alpha {
            for &beta in &self.beta {
                for &gamma in &self.gamma {
                    all.extend(self.lambda.iter().map(|&lambda| Psychometric { alpha, beta, gamma, lambda }));
                }
            }
        }
        all
    }
}

/// What does not change from trial to trial, shared by all conditions of a study.
struct Tables {
    stimuli: Vec<f64>,
    observers: Vec<Psychometric>,
    /// ψ of every stimulus and observer, `[stimuli][observers]`.
    positive: Vec<Vec<f64>>,
    /// Entropy of the answer, likewise.
    entropy: Vec<Vec<f64>>,
}

/// A Bayesian adaptive procedure over (α, β, γ, λ) with a uniform prior on the grid.
///
/// Watson, "QUEST+", Journal of Vision 2017. As the Python package `questplus` with `func="weibull"`, `stim_scale="linear"`,
/// `stim_selection_method="min_entropy"`.
#[derive(Clone)]
pub struct QuestPlus {
    tables: Arc<Tables>,
    posterior: Vec<f64>,
}

impl QuestPlus {
    /// Before the first trial. `domain` has at least one value of each.
    pub fn new(domain: &Domain) -> Self {
        let observers = domain.observers();
        let table = |f: &dyn Fn(f64) -> f64| -> Vec<Vec<f64>> {
            let row = |&epsilon: &f64| observers.iter().map(|o| f(o.probability(epsilon))).collect();
            domain.stimuli.iter().map(row).collect()
        };
        let (positive, entropy) = (table(&|p| p), table(&entropy));
        let posterior = vec![1.0 / observers.len() as f64; observers.len()];
        Self { tables: Arc::new(Tables { stimuli: domain.stimuli.clone(), observers, positive, entropy }), posterior }
    }

    /// Expected entropy of the posterior, in nats, after a trial at each stimulus. The posterior's entropy less that of the
    /// answer, plus the answer's mean entropy if the observer were known (their difference is the information that the
    /// answer holds about the observer).
    pub fn expected_entropies(&self) -> Vec<f64> {
        let own: f64 = self.posterior.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        let tables = self.tables.positive.iter().zip(&self.tables.entropy);
        tables.map(|(psi, noise)| own - entropy(dot(&self.posterior, psi)) + dot(&self.posterior, noise)).collect()
    }

    /// The stimulus with the smallest expected entropy, the smaller one of two alike.
    pub fn next_stimulus(&self) -> f64 {
        let entropies = self.expected_entropies();
        let best = entropies.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0.0, |(at, _)| self.tables.stimuli[at])
    }

    /// Learns from a trial at `epsilon`, which need not be on the grid: a catch trial is at 0.
    pub fn update(&mut self, epsilon: f64, positive: bool) {
        let row = self.tables.stimuli.iter().position(|&s| s == epsilon);
        for (i, p) in self.posterior.iter_mut().enumerate() {
            let psi = match row {
                Some(row) => self.tables.positive[row][i],
                None => self.tables.observers[i].probability(epsilon),
            };
            *p *= if positive { psi } else { 1.0 - psi };
        }
        let sum: f64 = self.posterior.iter().sum();
        // An answer that no observer of the grid could give (γ or λ of 0) teaches nothing that the grid can hold.
        let share = 1.0 / self.posterior.len() as f64;
        self.posterior.iter_mut().for_each(|p| *p = if sum > 0.0 { *p / sum } else { share });
    }

    /// Probability of each observer of the grid; λ runs fastest, then γ, β, α.
    pub fn posterior(&self) -> &[f64] {
        &self.posterior
    }

    /// The posterior mean of each parameter.
    pub fn mean(&self) -> Psychometric {
        let mean = |of: fn(&Psychometric) -> f64| {
            self.tables.observers.iter().zip(&self.posterior).map(|(o, p)| of(o) * p).sum()
        };
        Psychometric {
            alpha: mean(|o| o.alpha),
            beta: mean(|o| o.beta),
            gamma: mean(|o| o.gamma),
            lambda: mean(|o| o.lambda),
        }
    }

    /// The most probable observer of the grid, the first of several.
    pub fn mode(&self) -> Psychometric {
        let best = self.posterior.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(self.mean(), |(at, _)| self.tables.observers[at])
    }
}

/// Entropy of an answer that is positive with probability `p`, in nats.
fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(p) + part(1.0 - p)
}

/// Four sums side by side, which the processor can add at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        for i in 0..4 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids() {
        let grid = logarithmic(0.001, 0.1, 3);
        assert_eq!((grid[0], grid[2]), (0.001, 0.1));
        assert!((grid[1] - 0.01).abs() < 1e-15);
        assert_eq!(logarithmic(0.5, 0.5, 1), [0.5]);
    }

    #[test]
    fn answers_move_the_posterior() {
        let domain = Domain {
            stimuli: logarithmic(0.001, 0.5, 20),
            alpha: logarithmic(0.001, 0.5, 20),
            beta: vec![2.0, 4.0],
            gamma: vec![0.5],
            lambda: vec![0.02],
        };
        let before = QuestPlus::new(&domain);
        let (mut seen, mut missed) = (before.clone(), before.clone());
        seen.update(0.02, true);
        missed.update(0.02, false);
        assert!(seen.mean().alpha < before.mean().alpha && before.mean().alpha < missed.mean().alpha);
        assert!((missed.posterior().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(missed.next_stimulus() > seen.next_stimulus());
    }
}
