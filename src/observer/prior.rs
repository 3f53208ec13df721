//! What is believed of an observer before the first answer: psignifit's defaults on log₁₀ ε, but for the width.
//!
//! The range of ε is that of the pictures that can be shown. An 8-bit image under the full window shows nothing below 1/255: with a range
//! from the 0.1/255 that may be asked for, a decade without any picture counted as much as one with them, and the median of a threshold of
//! 1/255 came out 5 % too low. Now it is 3.6 % lower: half of ψ lies where there is no picture.
//!
//! psignifit's default lets ψ be as shallow as three times the whole range of stimuli. Over decades of ε that is no observer, and
//! the threshold's posterior gets a long tail towards 0: in simulations of a forced choice of 100 trials it doubled the
//! interval and moved its median by −12 %. Here the width is log-normal around a decade (β = 1.8) with a spread of e:
//! 95 % from a seventh of a decade to seven (β from .25 to 12.6).
//!
//! Schütt, Harmeling, Macke & Wichmann, "Painfree and accurate Bayesian estimation of psychometric functions for (potentially)
//! overdispersed data", Vision Research 2016, section 2.2 and psignifit 4's defaults with a given range of stimuli.

use super::{Psychometric, Task};
use std::f64::consts::{LN_2, PI};

/// Decades beyond a range of few ε that the threshold may at least lie.
const LEAST_BEYOND: f64 = 0.5;
/// Lapse and false-alarm rates above this are not considered.
const MOST: f64 = 0.5;
/// Beta(1, 10) of the lapse rate and of the false-alarm rate.
const RARE: f64 = 10.0;
/// Median of the width, in decades, and standard deviation of its natural logarithm.
const TYPICAL_WIDTH: f64 = 1.0;
const WIDTH_SPREAD: f64 = 1.0;
/// Widths from needles to hardly any rise, in decades.
const WIDTHS: [f64; 2] = [0.02, 20.0];

/// The parameters in which the fit works: those of psignifit, whose errors depend least on each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// log₁₀ of the ε at which half of what guessing and lapsing leave is seen.
    pub middle: f64,
    /// Decades of ε from 5 % to 95 % of it.
    pub width: f64,
    /// λ.
    pub lambda: f64,
    /// γ.
    pub gamma: f64,
}

impl Shape {
    /// log₁₀(−ln 0.05) − log₁₀(−ln 0.95): decades from 5 % to 95 % at β = 1.
    fn decades() -> f64 {
        (0.05f64.ln() / 0.95f64.ln()).log10()
    }

    /// β of a width in decades.
    pub fn beta(width: f64) -> f64 {
        Self::decades() / width
    }

    pub fn observer(&self) -> Psychometric {
        let beta = Self::beta(self.width);
        let alpha = 10f64.powf(self.middle - LN_2.log10() / beta);
        Psychometric { alpha, beta, gamma: self.gamma, lambda: self.lambda }
    }

    /// log₁₀ of the ε at which ψ is `probability`, infinite where it never is.
    pub fn log_threshold(&self, probability: f64) -> f64 {
        let seen = (probability - self.gamma) / (1.0 - self.gamma - self.lambda);
        if !(0.0..1.0).contains(&seen) {
            return f64::INFINITY;
        }
        self.middle + (-(-seen).ln_1p() / LN_2).log10() / Self::beta(self.width)
    }
}

/// The prior of a study whose ε lie in a range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    first: f64,
    last: f64,
    task: Task,
}

impl Prior {
    /// `range` are the smallest and largest ε that the study can show, above 0 and different.
    pub fn new(range: [f64; 2], task: Task) -> Self {
        Self { first: range[0].log10(), last: range[1].log10(), task }
    }

    /// How far beyond the range the threshold may lie, in decades.
    fn beyond(&self) -> f64 {
        ((self.last - self.first) / 2.0).max(LEAST_BEYOND)
    }

    /// Bounds of the middle, the natural logarithm of the width, λ and γ.
    pub fn bounds(&self) -> [[f64; 2]; 4] {
        let beyond = self.beyond();
        [
            [self.first - beyond, self.last + beyond],
            WIDTHS.map(f64::ln),
            [0.0, MOST],
            match self.task {
                Task::TwoAlternative => [0.5, 0.5],
                Task::YesNo => [0.0, MOST],
            },
        ]
    }

    /// The logarithm of the prior's density up to a constant: that of parameter `axis` of [`Self::bounds`].
    ///
    /// The middle is anywhere in the range with equal probability, falling as a cosine to 0 half a range, or half a decade, beyond its
    /// ends; the width is log-normal; λ, and γ in yes/no, follow Beta(1, 10).
    pub fn log_density(&self, axis: usize, value: f64) -> f64 {
        let density = match axis {
            0 => {
                let share = (self.first - value).max(value - self.last).max(0.0) / self.beyond();
                if share > 1.0 { 0.0 } else { (1.0 + (PI * share).cos()) / 2.0 }
            }
            1 => (-((value - TYPICAL_WIDTH.ln()) / WIDTH_SPREAD).powi(2) / 2.0).exp(),
            3 if self.task == Task::TwoAlternative => 1.0,
            _ if (0.0..=MOST).contains(&value) => (1.0 - value).powf(RARE - 1.0),
            _ => 0.0,
        };
        density.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_the_same_function() {
        let shape = Shape { middle: -2.0, width: 0.6, lambda: 0.03, gamma: 0.5 };
        let observer = shape.observer();
        let left = 1.0 - 0.5 - 0.03;
        assert!((observer.probability(0.01) - (0.5 + left / 2.0)).abs() < 1e-12);
        let [low, high] = [0.05, 0.95].map(|share| observer.inverse(0.5 + left * share).unwrap().log10());
        assert!((high - low - 0.6).abs() < 1e-12);
        assert!((shape.log_threshold(0.75) - observer.threshold().unwrap().log10()).abs() < 1e-12);
        assert_eq!(Shape { lambda: 0.3, ..shape }.log_threshold(0.75), f64::INFINITY);
    }

    #[test]
    fn flat_in_the_range_and_nothing_far_beyond() {
        let prior = Prior::new([0.001, 0.1], Task::TwoAlternative);
        assert_eq!(prior.log_density(0, -2.0), 0.0);
        assert!((prior.log_density(0, -3.5) - 0.5f64.ln()).abs() < 1e-12);
        assert_eq!(prior.log_density(0, 0.1), f64::NEG_INFINITY);
        // A study of two ε says little of where the threshold is: half a decade beyond them it may be.
        let few = Prior::new([0.01, 0.02], Task::TwoAlternative);
        assert!((few.log_density(0, -2.25) - 0.5f64.ln()).abs() < 1e-12);
        assert_eq!(few.bounds()[0], [-2.5, 0.02f64.log10() + 0.5]);
        assert_eq!([prior.log_density(1, 0.0), prior.log_density(1, -1.0)], [0.0, -0.5]);
        assert!(prior.log_density(2, 0.02) > prior.log_density(2, 0.2));
        assert_eq!(prior.bounds()[3], [0.5, 0.5]);
    }
}
