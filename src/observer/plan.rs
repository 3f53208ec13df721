//! What a reader study asks: images, attacks, trials, and the order in which they come.

use super::{Domain, Level, logarithmic};
use crate::study::report::epsilon::short;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// What an observer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Two images side by side: which of them is altered? Guessing is right half of the time.
    TwoAlternative,
    /// One image: is it altered? Catch trials without a perturbation tell how often "yes" is said to nothing.
    YesNo,
}

impl Task {
    /// For tables: `2afc`, `yes-no`.
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoAlternative => "2afc",
            Self::YesNo => "yes-no",
        }
    }
}

/// An image and an attack: a threshold of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The image's name.
    pub image: String,
    /// The attack's name in the catalogue.
    pub attack: String,
}

/// How a trial runs, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// A mark to look at, before.
    pub fixation_ms: u32,
    /// The images; none: until the answer.
    pub shown_ms: Option<u32>,
    /// Noise after the images, which ends what the eye still holds of them.
    pub mask_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { fixation_ms: 500, shown_ms: None, mask_ms: 0 }
    }
}

/// A study of one observer. The same plan gives the same trials to the same answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The question.
    pub task: Task,
    /// What is shown; each has its own QUEST+, and they are interleaved.
    pub conditions: Vec<Condition>,
    /// Trials of each condition, catch and practice trials not counted.
    pub trials: usize,
    /// Catch trials of each condition: without a perturbation in yes/no; of the largest ε in a forced choice, which tell
    /// whether the observer still looks.
    pub catches: usize,
    /// Trials before the first that counts.
    pub practice: usize,
    /// A break after every so many trials; 0: none.
    pub break_every: usize,
    /// Smallest and largest ε that can be shown, fractions of the bounds' width.
    pub range: [f64; 2],
    /// Number of ε between them, equally far apart on a logarithmic axis.
    pub steps: usize,
    /// The ε that can be shown, ascending, where those of `steps` are not all different pictures on the screen
    /// ([`distinguishable`](super::distinguishable)); none: those of `steps`.
    #[serde(default)]
    pub levels: Option<Vec<f64>>,
    /// What the screen makes of the smallest and the largest of `levels`: under a window that is not the full one it is not what was asked
    /// for. Not told in older plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<[f64; 2]>,
    /// How a trial runs.
    pub timing: Timing,
    /// Decides order and sides.
    pub seed: u64,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the study cannot be done: {0}")]
pub struct PlanError(String);

/// Most trials of a study, all conditions together: more than any person bears.
const MOST_TRIALS: usize = 100_000;
/// Most ε that QUEST+ chooses from.
const MOST_STEPS: usize = 200;

impl Plan {
    /// A forced choice over the range in which ε is seen or not on most images, 0.1/255 to 64/255.
    pub fn new(task: Task, conditions: Vec<Condition>, trials: usize, seed: u64) -> Self {
        Self {
            task,
            conditions,
            trials,
            catches: match task {
                Task::TwoAlternative => trials / 20,
                Task::YesNo => trials / 4,
            },
            practice: 4,
            break_every: 60,
            range: [0.1 / 255.0, 64.0 / 255.0],
            steps: 40,
            levels: None,
            shown: None,
            timing: Timing::default(),
            seed,
        }
    }

    /// The same with these ε alone.
    #[must_use]
    pub fn with_levels(self, levels: &[Level]) -> Self {
        let shown = || levels.iter().map(|level| level.shown).filter(|shown| *shown > 0.0);
        let ends = [shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max)];
        Self {
            levels: Some(levels.iter().map(|level| level.asked).collect()),
            shown: Some(ends).filter(|[low, high]| low < high),
            ..self
        }
    }

    /// # Errors
    /// If there is nothing to show, or too much, or ε are no range.
    pub fn check(&self) -> Result<(), PlanError> {
        let [first, last] = self.range;
        let total = self.trials.checked_add(self.catches).and_then(|n| n.checked_mul(self.conditions.len()));
        let fault = if self.conditions.is_empty() || self.trials == 0 {
            "it has no trials. Give at least one image, one attack and one trial".to_owned()
        } else if total.and_then(|n| n.checked_add(self.practice)).is_none_or(|n| n > MOST_TRIALS) {
            format!("it has more than {MOST_TRIALS} trials")
        } else if !(first > 0.0 && first < last && last <= 1.0) {
            format!("ε must range from above 0 to at most 1, not from {first} to {last}")
        } else if !(2..=MOST_STEPS).contains(&self.steps) {
            format!("{} steps of ε; 2 to {MOST_STEPS} can be chosen from", self.steps)
        } else if let Some(levels) = self.levels.as_ref().filter(|levels| !(2..=MOST_STEPS).contains(&levels.len())) {
            format!(
                "from {} to {} the screen shows {} different pictures of this image, and a study needs two. Choose larger ε, a narrower \
                 window, or say how many bits the screen has",
                short(first),
                short(last),
                levels.len()
            )
        } else if self
            .levels
            .as_ref()
            .is_some_and(|levels| !levels.is_sorted_by(|a, b| a < b) || !within(levels, self.range))
        {
            "the ε to be shown do not ascend within their range".to_owned()
        } else if self.shown.is_some_and(|[low, high]| !(low > 0.0 && low < high && high.is_finite())) {
            "the ends of the ε that are shown do not ascend from above 0".to_owned()
        } else {
            return Ok(());
        };
        Err(PlanError(fault))
    }

    /// The grids of QUEST+: α over all ε that can be shown and a little beyond, β from shallow to steep.
    pub fn domain(&self) -> Domain {
        let [first, last] = self.range;
        Domain {
            stimuli: self.levels.clone().unwrap_or_else(|| logarithmic(first, last, self.steps)),
            alpha: logarithmic(first, last, self.steps),
            beta: logarithmic(0.7, 6.0, 6),
            gamma: match self.task {
                Task::TwoAlternative => vec![0.5],
                Task::YesNo => vec![0.01, 0.05, 0.15, 0.3],
            },
            lambda: vec![0.005, 0.02, 0.06, 0.12],
        }
    }

    /// ε of the practice trial `index` where it shows a perturbation: easy ones, getting harder.
    pub fn practice_epsilon(&self, index: usize) -> f64 {
        let [first, _] = self.range;
        let last = self.largest();
        let way = 0.5 * index as f64 / self.practice.max(1) as f64;
        let wished = last * (first / last).powf(way);
        let far = |e: &f64| (e / wished).ln().abs();
        let nearest = self.levels.iter().flatten().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.unwrap_or(wished)
    }

    /// The largest ε that is asked for.
    pub fn largest(&self) -> f64 {
        self.levels.as_ref().and_then(|levels| levels.last().copied()).unwrap_or(self.range[1])
    }

    /// The smallest ε that is asked for and is another picture than the original, as far as that is known.
    pub fn smallest(&self) -> f64 {
        self.levels.as_ref().and_then(|levels| levels.first().copied()).unwrap_or(self.range[0])
    }

    /// The smallest and the largest ε that are shown, as the screen shows them where that is known: what a fit takes the range of the study
    /// for.
    pub fn shown_range(&self) -> [f64; 2] {
        self.shown.unwrap_or_else(|| [self.smallest(), self.largest()])
    }

    /// Every ε above 0 that can be shown: those of the first trials first, so that images can be made while a study runs.
    pub fn epsilons(&self) -> Vec<f64> {
        let mut all: Vec<f64> = (0..self.practice).map(|i| self.practice_epsilon(i)).collect();
        let mut grid = self.domain().stimuli;
        let middle = (grid.len() as f64 - 1.0) / 2.0;
        let mut order: Vec<usize> = (0..grid.len()).collect();
        // QUEST+ begins in the middle and needs its ends last.
        order.sort_by(|a, b| (*a as f64 - middle).abs().total_cmp(&(*b as f64 - middle).abs()));
        grid = order.into_iter().map(|i| grid[i]).collect();
        all.extend(grid);
        all.push(self.largest());
        let mut seen: Vec<u64> = Vec::new();
        all.retain(|e| {
            let new = !seen.contains(&e.to_bits());
            seen.push(e.to_bits());
            new
        });
        all
    }

    /// Every trial's kind and condition, in order: practice first; then rounds, each with every condition once in random
    /// order, catch trials strewn among them.
    pub fn schedule(&self) -> Vec<Slot> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let count = self.conditions.len();
        let mut slots = Vec::with_capacity(self.trials * count);
        let mut round: Vec<usize> = (0..count).collect();
        for _ in 0..self.trials {
            round.shuffle(&mut rng);
            slots.extend(round.iter().map(|&condition| Slot { kind: Kind::Main, condition }));
        }
        let mut catches: Vec<usize> = (0..self.catches * count).map(|i| i % count).collect();
        catches.shuffle(&mut rng);
        // Each catch trial gets a place among all trials by lot; the order of the others stays.
        let mut is_catch = vec![false; slots.len() + catches.len()];
        is_catch[..catches.len()].fill(true);
        is_catch.shuffle(&mut rng);
        let (mut main, mut catch) = (slots.into_iter(), catches.into_iter());
        let practice = (0..self.practice)
            .map(|_| Slot { kind: Kind::Practice, condition: (rng.next_u64() % count.max(1) as u64) as usize });
        let mut all: Vec<Slot> = practice.collect();
        all.extend(is_catch.into_iter().filter_map(|is_catch| match is_catch {
            true => catch.next().map(|condition| Slot { kind: Kind::Catch, condition }),
            false => main.next(),
        }));
        all
    }
}

/// `count` of `from` by lot, in their order: the images of a study.
pub fn drawn(count: usize, from: &[usize], seed: u64) -> Vec<usize> {
    let mut all = from.to_vec();
    all.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    all.truncate(count);
    all.sort_by_key(|chosen| from.iter().position(|entry| entry == chosen));
    all
}

fn within(levels: &[f64], [first, last]: [f64; 2]) -> bool {
    levels.iter().all(|e| (first * (1.0 - 1e-9)..=last * (1.0 + 1e-9)).contains(e))
}

/// What a trial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// To learn the task; not counted.
    Practice,
    /// ε by QUEST+.
    Main,
    /// ε is 0 in yes/no, the largest in a forced choice.
    Catch,
}

impl Kind {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Practice => "practice",
            Self::Main => "main",
            Self::Catch => "catch",
        }
    }
}

/// A place in the order of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is for.
    pub kind: Kind,
    /// Index of its condition.
    pub condition: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let condition = |image: &str| Condition { image: image.to_owned(), attack: "fgsm".to_owned() };
        Plan { catches: 3, ..Plan::new(Task::YesNo, vec![condition("a"), condition("b"), condition("c")], 20, 7) }
    }

    #[test]
    fn every_condition_gets_its_trials_in_rounds() {
        let slots = plan().schedule();
        assert_eq!(slots.len(), 4 + 3 * 23);
        assert!(slots[..4].iter().all(|s| s.kind == Kind::Practice));
        let main: Vec<usize> = slots.iter().filter(|s| s.kind == Kind::Main).map(|s| s.condition).collect();
        for round in main.chunks(3) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        assert!(main.chunks(3).any(|round| round != &main[..3]), "rounds are in random order");
        for condition in 0..3 {
            let catches = slots.iter().filter(|s| s.kind == Kind::Catch && s.condition == condition).count();
            assert_eq!(catches, 3);
        }
        assert_eq!(slots, plan().schedule());
        assert_ne!(slots, Plan { seed: 8, ..plan() }.schedule());
    }

    #[test]
    fn only_levels_are_shown_where_they_are_given() {
        let levels = [1.0, 2.0, 3.0, 8.0, 30.0].map(|l| l / 255.0).to_vec();
        let plan = Plan { levels: Some(levels.clone()), ..plan() };
        assert_eq!(plan.check(), Ok(()));
        assert_eq!(plan.domain().stimuli, levels);
        assert!(plan.epsilons().iter().all(|e| levels.contains(e)), "practice too: {:?}", plan.epsilons());
        assert_eq!(plan.shown_range(), [levels[0], levels[4]]);
        assert_eq!(Plan { levels: None, ..plan.clone() }.shown_range(), plan.range);
        let level = |asked: f64, shown: f64| Level { asked: asked / 255.0, shown: shown / 255.0 };
        let plan = plan.with_levels(&[level(0.1, 0.3), level(1.0, 1.1), level(2.0, 2.03)]);
        assert_eq!(plan.check(), Ok(()));
        assert_eq!([plan.smallest(), plan.largest()], [0.1 / 255.0, 2.0 / 255.0], "asked for");
        assert_eq!(plan.shown_range(), [0.3 / 255.0, 2.03 / 255.0]);
        // A plan of before has none.
        let mut text = serde_json::to_value(&plan).unwrap();
        text.as_object_mut().unwrap().remove("shown");
        assert_eq!(serde_json::from_value::<Plan>(text).unwrap().shown_range(), [0.1 / 255.0, 2.0 / 255.0]);
    }

    #[test]
    fn images_are_drawn_by_lot() {
        let from = [9, 4, 7, 2, 5];
        let chosen = drawn(3, &from, 1);
        assert_eq!((chosen.len(), &chosen), (3, &drawn(3, &from, 1)));
        let places: Vec<usize> = chosen.iter().map(|c| from.iter().position(|f| f == c).unwrap()).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{chosen:?}");
        assert!((2..40).any(|seed| drawn(3, &from, seed) != chosen));
        assert_eq!(drawn(8, &from, 1), from);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert_eq!(plan().check(), Ok(()));
        for broken in [
            Plan { conditions: Vec::new(), ..plan() },
            Plan { trials: 0, ..plan() },
            Plan { trials: usize::MAX, ..plan() },
            Plan { range: [0.0, 0.1], ..plan() },
            Plan { range: [0.1, f64::NAN], ..plan() },
            Plan { steps: 1, ..plan() },
            Plan { levels: Some(vec![0.1]), ..plan() },
            Plan { levels: Some(vec![0.1, 0.05]), ..plan() },
            Plan { levels: Some(vec![0.1, 0.9]), ..plan() },
            Plan { shown: Some([0.1, 0.1]), ..plan() },
            Plan { shown: Some([0.0, f64::NAN]), ..plan() },
        ] {
            assert!(broken.check().is_err(), "{broken:?}");
        }
    }
}
