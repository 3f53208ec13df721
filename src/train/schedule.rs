//! The learning rate along a training, by burn's schedulers. It depends on the step alone, so a resumed training has the same.

use super::TrainError;
use burn::lr_scheduler::constant::ConstantLr;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::lr_scheduler::step::StepLrSchedulerConfig;
use serde::{Deserialize, Serialize};

/// How the learning rate goes from its highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// A linear rise over the first hundredth (at most 100 steps), then half a cosine (Loshchilov and Hutter, SGDR, ICLR
    /// 2017, without restarts).
    Cosine {
        /// Where it ends, as a share of the highest.
        #[serde(default = "hundredth")]
        floor: f64,
    },
    /// A straight line.
    Linear {
        /// Where it ends, as a share of the highest.
        #[serde(default)]
        floor: f64,
    },
    /// Multiplied by `factor` every epoch, smoothly.
    Exponential {
        /// Above 0, at most 1.
        #[serde(default = "nine_tenths")]
        factor: f64,
    },
    /// Multiplied by `factor` after every so many epochs.
    Step {
        /// How many, at least 1.
        epochs: usize,
        /// Above 0, at most 1.
        #[serde(default = "tenth")]
        factor: f64,
    },
}

fn hundredth() -> f64 {
    0.01
}

fn nine_tenths() -> f64 {
    0.9
}

fn tenth() -> f64 {
    0.1
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { floor: 0.01 }
    }
}

impl Schedule {
    /// One of each kind, with its defaults.
    pub const KINDS: [Self; 5] = [
        Self::Cosine { floor: 0.01 },
        Self::Constant,
        Self::Linear { floor: 0.0 },
        Self::Exponential { factor: 0.9 },
        Self::Step { epochs: 10, factor: 0.1 },
    ];

    /// Says what is out of range.
    ///
    /// # Errors
    /// If a number is.
    pub fn check(&self) -> Result<(), TrainError> {
        match *self {
            Self::Cosine { floor } | Self::Linear { floor } if !(0.0..=1.0).contains(&floor) => {
                Err(TrainError::field("schedule.floor", format!("{floor}: use 0 to 1")))
            }
            Self::Exponential { factor } | Self::Step { factor, .. } if !(factor > 0.0 && factor <= 1.0) => {
                Err(TrainError::field("schedule.factor", format!("{factor}: use one above 0, at most 1")))
            }
            Self::Step { epochs: 0, .. } => Err(TrainError::field("schedule.epochs", "0: use at least 1")),
            _ => Ok(()),
        }
    }

    /// The rates of a training of `steps` steps from `highest`, the next one being that of step `from`.
    ///
    /// # Errors
    /// If burn refuses a number.
    pub(super) fn rates(
        &self,
        highest: f64,
        steps: usize,
        steps_per_epoch: usize,
        from: usize,
    ) -> Result<Rates, TrainError> {
        let (steps, per_epoch) = (steps.max(1), steps_per_epoch.max(1));
        let made = match *self {
            Self::Constant => Ok(ModuleLrScheduler::new(ConstantLr::new(highest))),
            Self::Cosine { floor } => {
                let rise = (steps / 100).clamp(1, 100);
                let up = LinearLrSchedulerConfig::new(highest / (rise + 1) as f64, highest, rise);
                let left = steps.saturating_sub(rise).max(1);
                let down = CosineAnnealingLrSchedulerConfig::new(highest, left).with_min_lr(highest * floor);
                SequentialLrSchedulerConfig::new(vec![up.into(), down.into()], vec![rise]).init()
            }
            Self::Linear { floor } => LinearLrSchedulerConfig::new(highest, highest * floor, steps).init(),
            Self::Exponential { factor } => {
                ExponentialLrSchedulerConfig::new(highest, factor.powf(1.0 / per_epoch as f64)).init()
            }
            Self::Step { epochs, factor } => {
                StepLrSchedulerConfig::new(highest, epochs.saturating_mul(per_epoch)).with_gamma(factor).init()
            }
        };
        let scheduler = made.map_err(|cause| TrainError::field("schedule", cause))?;
        let mut rates = Rates(scheduler);
        for _ in 0..from {
            rates.next();
        }
        Ok(rates)
    }
}

/// Learning rates, step after step.
pub(super) struct Rates(ModuleLrScheduler);

impl Rates {
    pub fn next(&mut self) -> f64 {
        self.0.step().base()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: Schedule, steps: usize) -> Vec<f64> {
        let mut rates = schedule.rates(1e-3, steps, 100, 0).unwrap();
        (0..steps).map(|_| rates.next()).collect()
    }

    #[test]
    fn the_cosine_rises_then_falls_to_its_floor() {
        let rates = all(Schedule::default(), 1000);
        let top = rates.iter().copied().fold(0.0, f64::max);
        assert!((top - 1e-3).abs() < 1e-9 && rates[0] < 2e-4 && rates[999] < 1.1e-5 && rates[999] >= 1e-5);
        assert!(rates[10..].windows(2).all(|w| w[1] <= w[0]));
        // Half a cosine: half way down it is half way between.
        assert!((rates[10 + 495] - (0.5 * 1e-3 + 0.5 * 1e-5)).abs() < 2e-6);
    }

    #[test]
    fn others_by_hand_and_resumed() {
        assert!(all(Schedule::Constant, 50).iter().all(|&r| r == 1e-3));
        let step = all(Schedule::Step { epochs: 2, factor: 0.5 }, 500);
        assert!(
            (step[199] - 1e-3).abs() < 1e-12 && (step[200] - 5e-4).abs() < 1e-12 && (step[400] - 2.5e-4).abs() < 1e-12
        );
        let exponential = all(Schedule::Exponential { factor: 0.5 }, 201);
        assert!((exponential[100] - 5e-4).abs() < 1e-8 && (exponential[200] - 2.5e-4).abs() < 1e-8);
        let line = all(Schedule::Linear { floor: 0.0 }, 100);
        assert!((line[50] - 5e-4).abs() < 1e-9);
        for schedule in
            [Schedule::default(), Schedule::Step { epochs: 1, factor: 0.1 }, Schedule::Linear { floor: 0.1 }]
        {
            let mut resumed = schedule.rates(1e-3, 1000, 100, 437).unwrap();
            assert_eq!(resumed.next().to_bits(), all(schedule, 1000)[437].to_bits());
        }
    }
}
