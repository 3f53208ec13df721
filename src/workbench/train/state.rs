//! What the window knows of trainings: what runs, and what was heard of it.

use super::draft::{TrainDraft, TrainPage, next_name};
use super::pace::Pace;
use crate::engine::{Preview, Problem, StudyStop, StudyWish, TrainNews, TrainSample, TrainStart, UnfinishedTraining};
use crate::train::{Ending, EpochRecord, clock};
use crate::workbench::status::secs_text;
use std::path::PathBuf;
use std::time::Instant;

/// The plot keeps at most twice as many steps; beyond, neighbours are averaged.
const MOST_LOSSES: usize = 2000;
/// Lines of a study that are kept.
const MOST_LINES: usize = 200;

/// What a training does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainPhase {
    /// Data are read.
    Preparing,
    /// It trains.
    Running,
    /// It waits to go on.
    Paused,
    /// It ended.
    Ended(Ending),
    /// It failed, and why.
    Failed(String),
}

/// A training with all that was heard of it.
#[derive(Clone, Debug)]
pub struct LiveTraining {
    /// The weights that it writes.
    pub out: PathBuf,
    /// What it does.
    pub phase: TrainPhase,
    /// What was known when it began.
    pub start: Option<Box<TrainStart>>,
    /// Steps done.
    pub step: usize,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Crops a second.
    pub crops_per_second: f64,
    /// Until the end.
    pub remaining_secs: f64,
    /// Step and loss; averages over several steps in long trainings.
    pub losses: Vec<[f64; 2]>,
    /// The epochs that are done.
    pub records: Vec<EpochRecord>,
    /// What the network makes of the same held-out images, after the last epoch.
    pub samples: Vec<TrainSample>,
    /// Steps that one of `losses` stands for, and those that wait for the next.
    each: usize,
    waiting: Vec<f64>,
}

impl LiveTraining {
    fn new(out: PathBuf) -> Self {
        Self {
            out,
            phase: TrainPhase::Preparing,
            start: None,
            step: 0,
            epoch: 0,
            learning_rate: 0.0,
            crops_per_second: 0.0,
            remaining_secs: 0.0,
            losses: Vec::new(),
            records: Vec::new(),
            samples: Vec::new(),
            each: 1,
            waiting: Vec::new(),
        }
    }

    /// Whether it is under way.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, TrainPhase::Preparing | TrainPhase::Running | TrainPhase::Paused)
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.start.as_ref().map_or(0, |start| start.steps.1)
    }

    /// Done, in [0, 1].
    pub fn share(&self) -> f32 {
        self.step as f32 / self.steps().max(1) as f32
    }

    fn learned(&mut self, step: usize, loss: f32) {
        self.step = step;
        self.waiting.push(f64::from(loss));
        if self.waiting.len() < self.each {
            return;
        }
        let mean = self.waiting.iter().sum::<f64>() / self.waiting.len() as f64;
        self.waiting.clear();
        self.losses.push([step as f64, mean]);
        if self.losses.len() >= 2 * MOST_LOSSES {
            let pair = |pair: &[[f64; 2]]| {
                let n = pair.len() as f64;
                [pair.last().map_or(0.0, |p| p[0]), pair.iter().map(|p| p[1]).sum::<f64>() / n]
            };
            self.losses = self.losses.chunks(2).map(pair).collect();
            self.each *= 2;
        }
    }
}

/// A study with what was heard of it.
#[derive(Clone, Debug)]
pub struct LiveStudy {
    /// What was asked for.
    pub wish: StudyWish,
    /// What it said, the newest last.
    pub lines: Vec<String>,
    /// Done, in [0, 1].
    pub share: f64,
    /// Whether it waits to go on.
    pub paused: bool,
    /// How fast it goes.
    pub pace: Pace,
    /// How it ended: the report.
    pub ended: Option<Result<PathBuf, StudyStop>>,
}

impl LiveStudy {
    /// `, about 12 min 00 s left`, once that can be told.
    pub fn left_text(&self) -> String {
        self.pace.left().map_or_else(String::new, |left| format!(", about {} left", clock(left)))
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Training {
    /// What is going to be trained.
    pub draft: TrainDraft,
    /// The newest training.
    pub live: Option<LiveTraining>,
    /// What the network will see, and of which recipe.
    pub preview: Option<Box<Preview>>,
    /// A preview is being made.
    pub previewing: bool,
    /// Trainings that can be gone on with.
    pub unfinished: Vec<UnfinishedTraining>,
    /// Where they were looked for.
    pub looked_in: Option<PathBuf>,
    /// The newest refusal.
    pub refused: Option<Problem>,
    /// What worked last.
    pub note: Option<String>,
    /// A cost that was asked for is being found.
    pub pricing: bool,
    /// What a study will cost.
    pub price: Option<(StudyWish, String)>,
    /// The newest study.
    pub study: Option<LiveStudy>,
}

impl Training {
    /// Whether a training or a study is under way.
    pub fn is_active(&self) -> bool {
        self.live.as_ref().is_some_and(LiveTraining::is_active)
            || self.study.as_ref().is_some_and(|study| study.ended.is_none())
    }

    /// What is under way, in a few words, and where it is shown.
    pub fn brief(&self) -> Option<(String, TrainPage)> {
        if let Some(study) = self.study.as_ref().filter(|study| study.ended.is_none()) {
            let state = if study.paused { "paused" } else { "running" };
            let left = study.left_text();
            return Some((
                format!("{} {state}, {:.0} %{left}", study.wish.name, 100.0 * study.share),
                TrainPage::Study,
            ));
        }
        let live = self.live.as_ref().filter(|live| live.is_active())?;
        let text = match live.phase {
            TrainPhase::Preparing => "training: reading the data".to_owned(),
            TrainPhase::Paused => format!("training paused at {:.0} %", 100.0 * live.share()),
            _ => {
                let epochs = live.start.as_ref().map_or(0, |start| start.epochs);
                let left = secs_text(live.remaining_secs.max(0.1));
                format!("training: epoch {} of {epochs}, {left} left", live.epoch.max(1))
            }
        };
        Some((text, TrainPage::Training))
    }

    /// Takes a changed draft. What was refused was another one.
    pub fn edit(&mut self, draft: TrainDraft) {
        if draft != self.draft {
            self.refused = None;
        }
        self.draft = draft;
    }

    /// Takes news.
    pub fn hear(&mut self, news: TrainNews) {
        match news {
            TrainNews::Preparing { out } => {
                self.refused = None;
                self.note = None;
                // What was looked at before a start makes room for what starts.
                self.preview = None;
                self.live = Some(LiveTraining::new(out));
            }
            TrainNews::Started(start) => {
                if self.draft.out == start.out {
                    // The next training writes another file.
                    self.draft.out = next_name(&start.out);
                }
                let live = self.live.get_or_insert_with(|| LiveTraining::new(start.out.clone()));
                live.phase = TrainPhase::Running;
                live.step = start.steps.0;
                live.epoch = start.history.len();
                live.records.clone_from(&start.history);
                live.start = Some(start);
            }
            TrainNews::Steps(steps) => {
                let Some(live) = &mut self.live else { return };
                for (step, loss) in steps.losses {
                    live.learned(step, loss);
                }
                live.epoch = steps.epoch;
                live.learning_rate = steps.learning_rate;
                live.crops_per_second = steps.crops_per_second;
                live.remaining_secs = steps.remaining_secs;
            }
            TrainNews::Epoch { record, samples } => {
                let Some(live) = &mut self.live else { return };
                live.records.push(record);
                live.samples = samples;
            }
            TrainNews::Paused(paused) => {
                if let Some(study) = self.study.as_mut().filter(|study| study.ended.is_none()) {
                    study.paused = paused;
                    study.pace.paused(paused, Instant::now());
                } else if let Some(live) = self.live.as_mut().filter(|live| live.is_active()) {
                    live.phase = if paused { TrainPhase::Paused } else { TrainPhase::Running };
                }
            }
            TrainNews::Ended { ending, .. } => {
                if let Some(live) = &mut self.live {
                    live.phase = TrainPhase::Ended(ending);
                }
            }
            TrainNews::Failed(problem) => {
                let live = self.live.get_or_insert_with(|| LiveTraining::new(PathBuf::new()));
                live.phase = TrainPhase::Failed(problem.why);
            }
            TrainNews::Preview(preview) => {
                self.previewing = false;
                self.refused = None;
                self.preview = Some(preview);
            }
            TrainNews::Refused(problem) => {
                (self.previewing, self.pricing) = (false, false);
                self.refused = Some(problem);
            }
            TrainNews::Found { folder, unfinished } => {
                (self.looked_in, self.unfinished) = (Some(folder), unfinished);
            }
            TrainNews::Loaded(recipe, path) => {
                self.draft.recipe = *recipe;
                self.note = Some(format!("Read {}", path.display()));
                self.refused = None;
            }
            TrainNews::Saved(path) => {
                self.note = Some(format!("Wrote {}", path.display()));
                self.refused = None;
            }
            TrainNews::Priced(wish, price) => {
                self.pricing = false;
                self.price = Some((*wish, price));
            }
            TrainNews::StudyStarted(wish) => {
                self.refused = None;
                let (lines, pace) = (Vec::new(), Pace::default());
                self.study = Some(LiveStudy { wish: *wish, lines, share: 0.0, paused: false, pace, ended: None });
            }
            TrainNews::StudyLine { line, share } => {
                let Some(study) = &mut self.study else { return };
                if study.lines.len() >= MOST_LINES {
                    study.lines.remove(0);
                }
                study.lines.push(line);
                study.share = share;
                study.pace.told(share, Instant::now());
            }
            TrainNews::StudyEnded(ended) => match &mut self.study {
                Some(study) if study.ended.is_none() => study.ended = Some(ended),
                _ => {
                    if let Err(StudyStop::Failed(problem)) = ended {
                        self.refused = Some(problem);
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TrainSteps;

    #[test]
    fn long_trainings_keep_a_plot_of_bounded_size_with_the_right_mean() {
        let mut training = Training::default();
        training.hear(TrainNews::Preparing { out: PathBuf::from("a.safetensors") });
        let steps = 20_000;
        for step in 1..=steps {
            training.hear(TrainNews::Steps(TrainSteps {
                losses: vec![(step, (step % 2) as f32)],
                epoch: 1,
                learning_rate: 0.1,
                crops_per_second: 4.0,
                remaining_secs: 1.0,
            }));
        }
        let live = training.live.unwrap();
        assert!(live.losses.len() < 2 * MOST_LOSSES && live.losses.len() >= MOST_LOSSES / 2, "{}", live.losses.len());
        assert!(live.losses.windows(2).all(|pair| pair[0][0] < pair[1][0]));
        assert!((live.losses.last().unwrap()[1] - 0.5).abs() < 1e-9);
        assert_eq!(live.step, steps);
    }
}
