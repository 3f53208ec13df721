//! Progress with the time that is left, on the error stream: one line that is rewritten on a terminal, a line every
//! few seconds elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Between two lines where the error stream is a file or a pipe.
const QUIET: Duration = Duration::from_secs(5);

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
        self.printed = Instant::now();
        let elapsed = self.started.elapsed();
        let time = match (last, done) {
            (true, _) => format!("{} in all", people_time(elapsed)),
            (_, 0) => String::new(),
            _ => format!("{} left", people_time(elapsed.mul_f64((total - done) as f64 / done as f64))),
        };
        let line = format!("{} {done} of {total}, {time}", self.name);
        // Progress is a courtesy: a closed error stream must not end the work.
        let _ = match (self.terminal, last) {
            (true, false) => write!(stderr(), "\r\x1b[2K{line}").and_then(|()| stderr().flush()),
            (true, true) => writeln!(stderr(), "\r\x1b[2K{line}"),
            (false, _) => writeln!(stderr(), "{line}"),
        };
    }
}

/// `0.4 s`, `12 s`, `3 min 20 s`.
fn people_time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s => format!("{} min {:.0} s", (s / 60.0).floor(), s % 60.0),
    }
}
