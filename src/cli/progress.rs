//! Progress with the time that is left, on the error stream: one line that is rewritten on a terminal, a line every
//! few seconds elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Between two lines where the error stream is a file or a pipe.
const QUIET: Duration = Duration::from_secs(5);

/// Between two lines on a terminal, of steps that may be many in a second.
const BLINK: Duration = Duration::from_millis(200);

/// Writes to the error stream. What is said there is a courtesy: a closed stream must not end the work.
pub(super) fn note(text: &str) {
    let _ = write!(stderr(), "{text}").and_then(|()| stderr().flush());
}

/// The progress of one job.
pub(super) struct Progress {
    name: &'static str,
    started: Instant,
    printed: Instant,
    terminal: bool,
    /// A line was begun on a terminal.
    begun: bool,
}

impl Progress {
    /// Starts the clock.
    pub fn new(name: &'static str) -> Self {
        let now = Instant::now();
        Self { name, started: now, printed: now, terminal: stderr().is_terminal(), begun: false }
    }

    /// Tells how far a job is that may be short: nothing in its first seconds.
    pub fn long_step(&mut self, done: usize, total: usize) {
        if done < total && self.started.elapsed() >= QUIET {
            self.step(done, total);
            self.begun = self.terminal;
        }
    }

    /// Ends the line of [`Progress::long_step`]; the clock of the next job.
    pub fn again(self) -> Self {
        let name = self.name;
        self.end();
        Self::new(name)
    }

    /// Ends the line of [`Progress::long_step`].
    pub fn end(self) {
        if self.begun {
            note("\n");
        }
    }

    /// Tells how far it is.
    pub fn step(&mut self, done: usize, total: usize) {
        let last = done >= total;
        if !self.terminal && !last && self.printed.elapsed() < QUIET {
            return;
        }
        let time = match (last, done) {
            (true, _) => format!("{} in all", people_time(self.started.elapsed())),
            (_, 0) => String::new(),
            _ => left(self.started.elapsed(), done as f64, total),
        };
        self.tell(&format!("{} {done} of {total}, {time}", self.name), last);
    }

    /// Tells how far it is within what comes after `done`: on `together` things at once, `step` of `of`. Nothing in the first seconds,
    /// nor where one step is all.
    pub fn within(&mut self, [done, total]: [usize; 2], [together, step, of]: [usize; 3]) {
        let pause = if self.terminal { BLINK } else { QUIET };
        if of < 2 || self.started.elapsed() < QUIET || self.printed.elapsed() < pause {
            return;
        }
        let line = within_words(self.name, [done, total], [together, step, of], self.started.elapsed());
        self.tell(&line, false);
    }

    fn tell(&mut self, line: &str, last: bool) {
        self.printed = Instant::now();
        // Progress is a courtesy: a closed error stream must not end the work.
        let _ = match (self.terminal, last) {
            (true, false) => write!(stderr(), "\r\x1b[2K{line}").and_then(|()| stderr().flush()),
            (true, true) => writeln!(stderr(), "\r\x1b[2K{line}"),
            (false, _) => writeln!(stderr(), "{line}"),
        };
    }
}

/// `attacked 3 of 12, step 120 of 1000 on 4, 2 min 5 s left`.
fn within_words(name: &str, [done, total]: [usize; 2], [together, step, of]: [usize; 3], elapsed: Duration) -> String {
    let share = together as f64 * step as f64 / of.max(1) as f64;
    let on = if together > 1 { format!(" on {together} together") } else { String::new() };
    format!("{name} {done} of {total}, step {step} of {of}{on}, {}", left(elapsed, done as f64 + share, total))
}

/// The time that is left after `done` of `total` took `elapsed`.
fn left(elapsed: Duration, done: f64, total: usize) -> String {
    let rest = (total as f64 - done).max(0.0) / done.max(1e-9);
    format!("{} left", people_time(elapsed.mul_f64(rest.min(1e6))))
}

/// `0.4 s`, `12 s`, `3 min 20 s`.
fn people_time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s => format!("{} min {:.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_within_count_for_what_they_are_of() {
        // A quarter of four of twelve, after none: one of twelve took a minute.
        let words = within_words("attacked", [0, 12], [4, 250, 1000], Duration::from_secs(60));
        assert_eq!(words, "attacked 0 of 12, step 250 of 1000 on 4 together, 11 min 0 s left");
        let words = within_words("measured", [3, 4], [1, 5, 10], Duration::from_secs(35));
        assert_eq!(words, "measured 3 of 4, step 5 of 10, 5.0 s left");
        assert!(within_words("x", [4, 4], [1, 1, 2], Duration::from_secs(9)).ends_with("0.0 s left"));
    }
}
