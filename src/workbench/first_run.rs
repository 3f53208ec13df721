//! The first frame on a GPU: burn tries variants of each kernel that it needs, which takes seconds to minutes, once in a process.

use crate::engine::{Event, Problem};
use std::time::{Duration, Instant};

/// Whether kernels are being tuned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstRun {
    /// It is over, or nothing is tuned.
    #[default]
    Over,
    /// The next work on the device is the first.
    Due,
    /// It runs since then.
    Since(Instant),
}

impl FirstRun {
    /// What `event`, heard `now`, changes.
    pub fn hear(&mut self, event: &Event, now: Instant) {
        *self = match (event, *self) {
            (Event::Device(device), _) => {
                if device.tunes {
                    Self::Due
                } else {
                    Self::Over
                }
            }
            (Event::Frame(_), _) => Self::Over,
            // Nothing is computed of a slice whose file is still being read.
            (Event::Early(early), Self::Due) if !early.part => Self::Since(now),
            (Event::Case(_) | Event::Computing(true), Self::Due) => Self::Since(now),
            (Event::Computing(false), Self::Since(_)) => Self::Due,
            (Event::Failed(problem), Self::Since(_)) if is_of_the_frame(problem) => Self::Due,
            (_, before) => before,
        };
    }

    /// What is said of it `now`. How many kernels there are nobody knows before.
    pub fn text(&self, now: Instant) -> Option<String> {
        let Self::Since(since) = self else { return None };
        let seconds = now.saturating_duration_since(*since).as_secs();
        Some(match seconds {
            // Where all is tuned already it is over by then.
            0 => return None,
            _ => format!("tuning kernels for this GPU (first run): {seconds} s…"),
        })
    }

    /// When to look again.
    pub fn again(&self) -> Option<Duration> {
        matches!(self, Self::Since(_)).then_some(Duration::from_millis(500))
    }
}

/// Whether what failed was to give a frame: an export or a curve fails on another lane, while kernels are still being tuned.
fn is_of_the_frame(problem: &Problem) -> bool {
    matches!(problem.what.as_str(), "Compute" | "Open image" | "Open model" | "Change device")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DeviceChoice, DeviceInfo};

    fn device(tunes: bool) -> Event {
        let description = "a device".to_owned();
        Event::Device(DeviceInfo { choice: DeviceChoice::Gpu, description, shared: true, tunes })
    }

    #[test]
    fn the_first_run_on_a_gpu_is_told_with_its_seconds() {
        let (start, mut run) = (Instant::now(), FirstRun::default());
        let after = |secs| start + Duration::from_secs(secs);
        run.hear(&Event::Computing(true), start);
        assert_eq!((run, run.again()), (FirstRun::Over, None));
        run.hear(&device(true), start);
        assert_eq!((run.text(after(9)), run.again()), (None, None));
        run.hear(&Event::Computing(true), after(1));
        // Its beginning is that of the work, not of the last word of it.
        run.hear(&Event::Computing(true), after(2));
        assert_eq!(run.text(after(1)), None);
        assert_eq!(run.text(after(8)).as_deref(), Some("tuning kernels for this GPU (first run): 7 s…"));
        assert!(run.again().is_some());
        let failed = |what: &str| Event::Failed(Problem { what: what.to_owned(), why: String::new() });
        // Other lanes fail beside it.
        for what in ["Export", "Measure the curve", "Compare attacks"] {
            run.hear(&failed(what), after(8));
            assert_eq!(run.text(after(8)).as_deref(), Some("tuning kernels for this GPU (first run): 7 s…"), "{what}");
        }
        // What failed begins anew.
        run.hear(&failed("Compute"), after(9));
        assert_eq!((run, run.text(after(20))), (FirstRun::Due, None));
        run.hear(&Event::Computing(true), after(20));
        run.hear(&device(false), after(21));
        assert_eq!(run, FirstRun::Over);
    }
}
