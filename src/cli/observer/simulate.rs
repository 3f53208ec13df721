//! `epsiloscope observer simulate`.

use crate::cli::options::print;
use crate::cli::progress::Progress;
use crate::observer::{Coverage, Plan, Psychometric, Simulation, Task, distinguishable, simulate, wilson};
use crate::study::report::epsilon;
use crate::view::Presentation;
use anyhow::Context;
use std::sync::Mutex;

/// What to simulate.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Simulate {
    /// Observers: each goes through a study of its own.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// Trials of each, catch trials not counted.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: u32,
    /// Catch trials of each. Without it, one for 20 trials, in yes/no one for 4.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    catches: Option<u32>,
    /// The question: which of two images is altered, or whether one is.
    #[arg(long, value_enum, default_value = "2afc")]
    task: TaskName,
    /// The ε at which the observer's ψ, lapses included, is half-way between guessing and certainty: ¾ in a forced choice.
    #[arg(long, value_name = "ε", default_value = "4/255", value_parser = epsilon::number)]
    threshold: f64,
    /// β: how steep ψ is.
    #[arg(long, default_value_t = 2.0)]
    slope: f64,
    /// λ: the share of trials that are answered wrongly whatever is shown.
    #[arg(long, default_value_t = 0.02)]
    lapse: f64,
    /// γ in yes/no: how often "altered" is said to what is not.
    #[arg(long, default_value_t = 0.1)]
    false_alarms: f64,
    /// Show only the ε that are different pictures on a screen of so many bits, of an 8-bit image under the full window. Without
    /// it, 40 ε from 0.1/255 to 64/255, whatever a screen can show.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=16))]
    bits: Option<u8>,
    /// Also count the parametric bootstrap's interval, with so many resamples.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    bootstrap: u32,
    /// Seed of the first run; the others follow from it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// [`Task`] as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum TaskName {
    /// Which of two images is altered?
    #[value(name = "2afc")]
    TwoAlternative,
    /// Is the image altered?
    YesNo,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::TwoAlternative => Self::TwoAlternative,
            TaskName::YesNo => Self::YesNo,
        }
    }
}

impl Simulate {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        for (name, value) in [("--lapse", self.lapse), ("--false-alarms", self.false_alarms)] {
            anyhow::ensure!((0.0..0.5).contains(&value), "{name}: {value} is no rate from 0 to below 0.5");
        }
        anyhow::ensure!(self.slope > 0.0 && self.slope.is_finite(), "--slope: {} is not above 0", self.slope);
        let task = Task::from(self.task);
        let gamma = if task == Task::YesNo { self.false_alarms } else { 0.5 };
        let observer = Psychometric { alpha: 1.0, beta: self.slope, gamma, lambda: self.lapse }
            .with_threshold(self.threshold)
            .context("--lapse: ψ never reaches its threshold; in a forced choice it does below a rate of 0.25")?;
        let mut plan =
            Plan { practice: 0, break_every: 0, ..Plan::new(task, Vec::new(), self.trials as usize, self.seed) };
        if let Some(catches) = self.catches {
            plan.catches = catches as usize;
        }
        if let Some(bits) = self.bits {
            let image: Vec<f32> = (64..192).map(|level| level as f32 / 255.0).collect();
            let screen = Presentation { bits, ..Presentation::default() };
            plan = plan.clone().with_levels(&distinguishable(&image, plan.range, plan.steps, &screen));
        }
        let levels = plan.levels.as_ref().map_or(String::new(), |levels| format!(" of {} different ε", levels.len()));
        let (catches, runs) = (plan.catches, self.runs as usize);
        let simulation = Simulation { observer, plan, runs, resamples: self.bootstrap as usize };
        let progress = Mutex::new((0, Progress::new("simulated")));
        let coverage = simulate(&simulation, || {
            if let Ok(mut progress) = progress.lock() {
                progress.0 += 1;
                let done = progress.0;
                progress.1.step(done, runs);
            }
        })?;
        print(&self.summary(&coverage, task, catches, &levels))
    }

    fn summary(&self, coverage: &Coverage, task: Task, catches: usize, levels: &str) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let counted = |covered: usize| {
            let [low, high] = wilson(covered as u64, coverage.runs as u64);
            let share = covered as f64 / coverage.runs as f64;
            format!("{} of {} ({}; {} to {})", covered, coverage.runs, percent(share), percent(low), percent(high))
        };
        let mut text = format!(
            "{} observers, {}, {} trials{levels} and {catches} catch trials each; threshold ε = {}, slope {}, lapse rate {}\n\
             95 % interval holds the threshold: {}\n\
             bias: {:+.1} % (median), {:+.1} % (mean of logarithms)\n\
             median interval: from its lower to its upper end a factor of {:.2}\n",
            coverage.runs,
            task.name(),
            self.trials,
            epsilon::both(coverage.truth),
            self.slope,
            self.lapse,
            counted(coverage.covered),
            coverage.median_bias * 100.0,
            coverage.mean_bias * 100.0,
            coverage.median_width,
        );
        if coverage.unbounded > 0 {
            text += &format!("intervals without an upper end: {}\n", coverage.unbounded);
        }
        if let Some(covered) = coverage.bootstrap_covered {
            text += &format!("bootstrap of {} resamples: {}\n", self.bootstrap, counted(covered));
        }
        text
    }
}
