//! The psychometric function: how probable a response is at each ε.

use serde::{Deserialize, Serialize};

/// ψ at the threshold: half-way between guessing and certainty, (ψ − γ)/(1 − γ) = ½. In a forced choice of two that is ¾. In yes/no a fixed
/// ψ would be another stimulus for each rate of false alarms: the observer's caution, not what they see.
pub fn threshold_probability(gamma: f64) -> f64 {
    (1.0 + gamma) / 2.0
}

/// ψ(ε) = γ + (1 − γ − λ)·(1 − exp(−(ε/α)^β)), a Weibull function between guessing and lapsing.
///
/// Watson, "QUEST+: A general multidimensional Bayesian adaptive psychometric method", Journal of Vision 2017, eq. 3. ψ is
/// the probability of a correct answer in a forced choice of two, of "altered" in yes/no.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Psychometric {
    /// The ε at which 1 − 1/e of the way from γ to 1 − λ is done; a fraction of the bounds' width, above 0.
    pub alpha: f64,
    /// Steepness, above 0.
    pub beta: f64,
    /// ψ at ε = 0: ½ in a forced choice of two, the false-alarm rate in yes/no.
    pub gamma: f64,
    /// Lapse rate: the share of trials that are answered wrongly however large ε is.
    pub lambda: f64,
}

impl Psychometric {
    /// ψ at `epsilon`, which is not negative.
    pub fn probability(&self, epsilon: f64) -> f64 {
        let seen = -(-(epsilon / self.alpha).powf(self.beta)).exp_m1();
        self.gamma + (1.0 - self.gamma - self.lambda) * seen
    }

    /// The ε at which ψ is `probability`; none if ψ never is.
    pub fn inverse(&self, probability: f64) -> Option<f64> {
        let seen = (probability - self.gamma) / (1.0 - self.gamma - self.lambda);
        ((0.0..1.0).contains(&seen)).then(|| self.alpha * (-(-seen).ln_1p()).powf(1.0 / self.beta))
    }

    /// The ε at which ψ, lapses included, is [`threshold_probability`]: ¾ in a forced choice of two; none if it never is, since lapses
    /// are too many.
    pub fn threshold(&self) -> Option<f64> {
        self.inverse(threshold_probability(self.gamma))
    }

    /// The function of α with the wished [`Self::threshold`] in place of `alpha`; none if there is none.
    pub fn with_threshold(self, threshold: f64) -> Option<Self> {
        let unit = Self { alpha: 1.0, ..self }.threshold().filter(|&t| t > 0.0)?;
        Some(Self { alpha: threshold / unit, ..self })
    }

    /// The logarithm of the probability of `blocks`, binomial coefficients left out.
    pub fn log_likelihood(&self, blocks: &[Block]) -> f64 {
        blocks.iter().map(|block| block.log_likelihood(self.probability(block.epsilon))).sum()
    }
}

/// All trials at one ε.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// ε as a fraction of the bounds' width; 0 in catch trials without any perturbation.
    pub epsilon: f64,
    /// Correct answers in a forced choice, "altered" in yes/no.
    pub positive: u32,
    /// Trials.
    pub total: u32,
}

impl Block {
    /// The logarithm of its probability if a positive response has `probability`; the binomial coefficient left out.
    pub fn log_likelihood(&self, probability: f64) -> f64 {
        let of = |count: u32, p: f64| if count == 0 { 0.0 } else { f64::from(count) * p.ln() };
        of(self.positive, probability) + of(self.total - self.positive, 1.0 - probability)
    }

    /// Trials `(epsilon, positive)` gathered by ε, ascending.
    pub fn gather(trials: impl IntoIterator<Item = (f64, bool)>) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for (epsilon, positive) in trials {
            let at = blocks.binary_search_by(|b| b.epsilon.total_cmp(&epsilon)).unwrap_or_else(|at| {
                blocks.insert(at, Self { epsilon, positive: 0, total: 0 });
                at
            });
            blocks[at].positive += u32::from(positive);
            blocks[at].total += 1;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORCED_CHOICE: Psychometric = Psychometric { alpha: 0.02, beta: 3.0, gamma: 0.5, lambda: 0.0 };

    #[test]
    fn values_by_hand() {
        assert_eq!(FORCED_CHOICE.probability(0.0), 0.5);
        assert!((FORCED_CHOICE.probability(0.02) - (1.0 - 0.5 * (-1f64).exp())).abs() < 1e-15);
        // Without lapses ¾ is where exp(−(ε/α)^β) is ½.
        let threshold = FORCED_CHOICE.threshold().unwrap();
        assert!((threshold - 0.02 * 2f64.ln().cbrt()).abs() < 1e-15);
        let lapsing = Psychometric { lambda: 0.1, ..FORCED_CHOICE };
        assert!(lapsing.threshold().unwrap() > threshold, "lapses move the raw threshold");
        assert!((lapsing.probability(1.0) - 0.9).abs() < 1e-12);
        assert_eq!(Psychometric { lambda: 0.25, ..FORCED_CHOICE }.threshold(), None);
        assert_eq!(FORCED_CHOICE.inverse(0.4), None);
        // With 20 % of false alarms ψ goes from .2 to 1: half-way is .6.
        let doubting = Psychometric { gamma: 0.2, ..FORCED_CHOICE };
        assert!((doubting.probability(doubting.threshold().unwrap()) - 0.6).abs() < 1e-12);
        assert!((doubting.threshold().unwrap() - threshold).abs() < 1e-15, "caution does not move it");
        let moved = lapsing.with_threshold(0.05).unwrap();
        assert!((moved.threshold().unwrap() - 0.05).abs() < 1e-15 && moved.beta == 3.0);
    }

    #[test]
    fn likelihood_of_gathered_trials() {
        let blocks = Block::gather([(0.02, true), (0.0, false), (0.02, false), (0.02, true)]);
        let expected = [Block { epsilon: 0.0, positive: 0, total: 1 }, Block { epsilon: 0.02, positive: 2, total: 3 }];
        assert_eq!(blocks, expected);
        let p = FORCED_CHOICE.probability(0.02);
        let by_hand = 0.5f64.ln() + 2.0 * p.ln() + (1.0 - p).ln();
        assert!((FORCED_CHOICE.log_likelihood(&blocks) - by_hand).abs() < 1e-12);
        // What never happened costs nothing even where it is impossible.
        assert_eq!(Block { epsilon: 0.1, positive: 0, total: 4 }.log_likelihood(0.0), 0.0);
    }
}
