//! What long work on other threads knows of the interactive lane: whether it computes, so that it can be given way to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a frame whoever drags ε wishes for the next one at once: work waits this long for that.
const QUIET: Duration = Duration::from_millis(120);
/// Work waits no longer between two of its steps, so that an attack of an hour does not stop it altogether.
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    busy: bool,
    /// When a frame was done last.
    done: Option<Instant>,
    closed: bool,
}

/// Shared by the interactive lane and those who give way to it.
#[derive(Default)]
pub(super) struct Foreground {
    state: Mutex<State>,
    changed: Condvar,
}

impl Foreground {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interactive lane begins or ends a computation.
    pub fn set_busy(&self, busy: bool) {
        let mut state = self.lock();
        state.busy = busy;
        if !busy {
            state.done = Some(Instant::now());
        }
        self.changed.notify_all();
    }

    /// Nobody waits any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits while the interactive lane computes, and a moment longer.
    pub fn give_way(&self) {
        let deadline = Instant::now() + LONGEST;
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let quiet = state.done.map_or(Duration::ZERO, |done| QUIET.saturating_sub(done.elapsed()));
            if state.closed || left.is_zero() || (!state.busy && quiet.is_zero()) {
                return;
            }
            let wait = if state.busy { left } else { quiet.min(left) };
            (state, _) = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn work_waits_for_the_frame_and_a_moment_longer_but_not_for_ever() {
        let foreground = Arc::new(Foreground::default());
        let time = |foreground: &Foreground| {
            let start = Instant::now();
            foreground.give_way();
            start.elapsed()
        };
        assert!(time(&foreground) < QUIET);
        foreground.set_busy(true);
        let other = foreground.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            other.set_busy(false);
        });
        let waited = time(&foreground);
        thread.join().unwrap();
        assert!(waited >= Duration::from_millis(200) + QUIET.mul_f32(0.9) && waited < LONGEST, "{waited:?}");
        foreground.set_busy(true);
        assert!(time(&foreground) >= LONGEST);
        foreground.close();
        assert!(time(&foreground) < QUIET);
    }
}
