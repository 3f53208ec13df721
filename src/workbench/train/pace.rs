//! How long a study has still to run, by the share of it that is done: of the time that it worked, without pauses.

use std::time::{Duration, Instant};

/// Seen from the first share that was told: what was kept of a study that goes on took no time.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    first: Option<(Instant, f64)>,
    last: Option<(Instant, f64)>,
    paused_at: Option<Instant>,
    /// Until the newest share.
    idle: Duration,
    /// Since then.
    idle_since: Duration,
}

impl Pace {
    /// A share was told at `now`.
    pub fn told(&mut self, share: f64, now: Instant) {
        if share <= 0.0 {
            return;
        }
        if self.first.is_none() {
            self.first = Some((now, share));
        }
        if self.last.is_none_or(|(_, before)| share > before) {
            self.last = Some((now, share));
            self.idle += std::mem::take(&mut self.idle_since);
        }
    }

    /// It was paused, or goes on.
    pub fn paused(&mut self, paused: bool, now: Instant) {
        match self.paused_at.take() {
            // Before the first share there is nothing to take it from.
            Some(at) if !paused && self.first.is_some() => self.idle_since += now.saturating_duration_since(at),
            before if paused => self.paused_at = before.or(Some(now)),
            _ => {}
        }
    }

    /// What is left, once two shares are known.
    pub fn left(&self) -> Option<Duration> {
        let ((start, from), (end, to)) = self.first.zip(self.last)?;
        let worked = end.saturating_duration_since(start).saturating_sub(self.idle).as_secs_f64();
        (to > from).then(|| Duration::try_from_secs_f64(worked / (to - from) * (1.0 - to).max(0.0)).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_and_what_was_kept_are_no_work() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.told(0.0, at(0));
        // Half of it was done before: it took this run no time.
        pace.told(0.5, at(10));
        assert_eq!(pace.left(), None);
        pace.told(0.6, at(20));
        assert_eq!(pace.left().unwrap().as_secs(), 40);
        pace.paused(true, at(22));
        pace.paused(true, at(25));
        pace.paused(false, at(1022));
        // The pause counts for nothing, before the next share and after it.
        assert_eq!(pace.left().unwrap().as_secs(), 40);
        pace.told(0.7, at(1030));
        assert_eq!(pace.left().unwrap().as_secs(), 30);
        // A share that does not grow changes nothing.
        pace.told(0.7, at(1100));
        assert_eq!(pace.left().unwrap().as_secs(), 30);
        pace.told(1.0, at(1200));
        assert_eq!(pace.left().unwrap().as_secs(), 0);
    }
}
