//! How fast it goes now: the time of steps and validations alone. Between two steps a training may be paused, wait for whoever
//! is to go first, or write a checkpoint; none of that says anything of what is left.

use std::collections::VecDeque;
use std::time::Duration;

/// Steps that the present speed is the mean of.
const WINDOW: usize = 32;

/// The time of the newest steps, and of the newest validation.
#[derive(Debug, Default)]
pub(super) struct Pace {
    steps: VecDeque<Duration>,
    validation: Duration,
}

impl Pace {
    /// A step took so long.
    pub fn stepped(&mut self, time: Duration) {
        if self.steps.len() == WINDOW {
            self.steps.pop_front();
        }
        self.steps.push_back(time);
    }

    /// So did the validation at the end of an epoch.
    pub fn validated(&mut self, time: Duration) {
        self.validation = time;
    }

    /// Seconds of a step with its part of the validation, which comes once in `steps_per_epoch`; 0 before the first step.
    pub fn secs_per_step(&self, steps_per_epoch: usize) -> f64 {
        let steps = self.steps.iter().sum::<Duration>().as_secs_f64() / self.steps.len().max(1) as f64;
        steps + self.validation.as_secs_f64() / steps_per_epoch.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_steps_count_and_the_validation_is_spread() {
        let mut pace = Pace::default();
        assert_eq!(pace.secs_per_step(4), 0.0);
        // The first steps are slow: pages are touched for the first time, shaders are compiled.
        (0..3).for_each(|_| pace.stepped(Duration::from_secs(9)));
        assert_eq!(pace.secs_per_step(4), 9.0);
        (0..WINDOW).for_each(|_| pace.stepped(Duration::from_millis(500)));
        assert!((pace.secs_per_step(4) - 0.5).abs() < 1e-9, "{}", pace.secs_per_step(4));
        pace.validated(Duration::from_secs(6));
        pace.validated(Duration::from_secs(2));
        assert!((pace.secs_per_step(4) - 1.0).abs() < 1e-9, "{}", pace.secs_per_step(4));
    }
}
