//! Which trial is next, by the plan and the answers so far and nothing else: a resumed session goes on with the same trial.

use super::{Block, Kind, Plan, PlanError, QuestPlus, Slot, Task};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Where the altered image is in a forced choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// On the left.
    Left,
    /// On the right.
    Right,
}

/// What an observer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The left image is altered.
    Left,
    /// The right image is altered.
    Right,
    /// The image is altered.
    Altered,
    /// It is not.
    Unaltered,
}

impl Answer {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Altered => "altered",
            Self::Unaltered => "unaltered",
        }
    }
}

/// One trial, before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the trial, from 0.
    pub index: usize,
    /// What it is for.
    pub kind: Kind,
    /// Index of its condition in the plan.
    pub condition: usize,
    /// ε of the altered image; 0 where none is.
    pub epsilon: f64,
    /// Where the altered image is; none in yes/no.
    pub side: Option<Side>,
}

impl Trial {
    /// Whether `answer` fits the question, and is right.
    fn correct(&self, answer: Answer) -> Option<bool> {
        match (self.side, answer) {
            (Some(side), Answer::Left) => Some(side == Side::Left),
            (Some(side), Answer::Right) => Some(side == Side::Right),
            (None, Answer::Altered) => Some(self.epsilon > 0.0),
            (None, Answer::Unaltered) => Some(self.epsilon == 0.0),
            _ => None,
        }
    }
}

/// A trial with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The trial.
    pub trial: Trial,
    /// The answer.
    pub answer: Answer,
    /// Whether it is right.
    pub correct: bool,
    /// Seconds from the images to the answer.
    pub seconds: f64,
    /// How the images really were shown, if somebody looked at the clock.
    #[serde(default)]
    pub presented: Option<Presented>,
}

/// How the images of a trial really were shown, by the times at which frames were begun.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presented {
    /// From the first frame with the images to the first one without, or to the answer, in ms.
    pub shown_ms: f64,
    /// Frames with the images.
    pub frames: u32,
    /// Refreshes of the screen among them that no frame was ready for.
    pub dropped: u32,
    /// The ε that the screen showed: the trial's, times what rounding to the screen's levels makes of the perturbation's
    /// contrast ([`Presentation::rounding`](crate::view::Presentation::rounding)).
    #[serde(default)]
    pub epsilon: Option<f64>,
}

/// Nobody answers sooner than this after the images, in seconds, to what they have seen: simple reactions to light take longer (Luce,
/// "Response Times", 1986, chapter 2).
pub const SOONEST_SECS: f64 = 0.15;

impl Answered {
    /// Whether it came too soon to be an answer to the images.
    pub fn is_too_soon(&self) -> bool {
        self.seconds < SOONEST_SECS
    }

    /// The ε that was seen: as the screen showed it, where that is known.
    pub fn epsilon_shown(&self) -> f64 {
        self.presented.and_then(|p| p.epsilon).unwrap_or(self.trial.epsilon)
    }

    /// What ψ is the probability of: a correct answer in a forced choice, "altered" in yes/no.
    pub fn positive(&self) -> bool {
        if self.trial.side.is_some() { self.correct } else { self.answer == Answer::Altered }
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A trial.
    Trial(Trial),
    /// A break, after which [`Procedure::rested`] is to be called.
    Break {
        /// Trials done, practice left out.
        done: usize,
        /// Trials in all, practice left out.
        total: usize,
    },
    /// Nothing.
    Done,
}

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcedureError {
    /// No trial waits for one.
    #[error("no trial waits for an answer")]
    NoTrial,
    /// It answers another question.
    #[error("“{0}” does not answer the question of this study")]
    OtherQuestion(&'static str),
}

/// A study under way.
#[derive(Clone)]
pub struct Procedure {
    plan: Plan,
    schedule: Vec<Slot>,
    quests: Vec<QuestPlus>,
    answered: Vec<Answered>,
    breaks: usize,
}

impl Procedure {
    /// Before the first trial.
    ///
    /// # Errors
    /// If the plan cannot be carried out.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        plan.check()?;
        let quests = vec![QuestPlus::new(&plan.domain()); plan.conditions.len()];
        Ok(Self { schedule: plan.schedule(), quests, plan, answered: Vec::new(), breaks: 0 })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All answers, in order.
    pub fn answered(&self) -> &[Answered] {
        &self.answered
    }

    /// Trials done and in all, practice left out.
    pub fn progress(&self) -> (usize, usize) {
        let practice = self.plan.practice;
        (self.answered.len().saturating_sub(practice), self.schedule.len() - practice)
    }

    /// What comes next: the same until an answer or a break is over.
    pub fn next(&self) -> Next {
        let index = self.answered.len();
        let Some(&slot) = self.schedule.get(index) else { return Next::Done };
        let (done, total) = self.progress();
        if self.plan.break_every > 0 && done / self.plan.break_every > self.breaks {
            return Next::Break { done, total };
        }
        Next::Trial(self.trial(index, slot))
    }

    fn trial(&self, index: usize, slot: Slot) -> Trial {
        // Each trial has randomness of its own, so that a resumed session need not draw again what came before.
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed);
        rng.set_stream(index as u64 + 1);
        let side = match self.plan.task {
            Task::TwoAlternative if rng.next_u32() >> 31 == 0 => Some(Side::Left),
            Task::TwoAlternative => Some(Side::Right),
            Task::YesNo => None,
        };
        let last = self.plan.largest();
        let epsilon = match (slot.kind, self.plan.task) {
            (Kind::Main, _) => self.quests[slot.condition].next_stimulus(),
            (Kind::Catch, Task::TwoAlternative) => last,
            (Kind::Catch, Task::YesNo) => 0.0,
            // Easy ones, getting harder; every second one unaltered where that is an answer.
            (Kind::Practice, Task::YesNo) if index % 2 == 1 => 0.0,
            (Kind::Practice, _) => self.plan.practice_epsilon(index),
        };
        Trial { index, kind: slot.kind, condition: slot.condition, epsilon, side }
    }

    /// Takes the answer to the trial that is next.
    ///
    /// # Errors
    /// If none is, or the answer is to another question.
    pub fn answer(&mut self, answer: Answer, seconds: f64) -> Result<Answered, ProcedureError> {
        self.answer_presented(answer, seconds, None)
    }

    /// [`Self::answer`] with how the images really were shown.
    ///
    /// # Errors
    /// As there.
    pub fn answer_presented(
        &mut self,
        answer: Answer,
        seconds: f64,
        presented: Option<Presented>,
    ) -> Result<Answered, ProcedureError> {
        let Next::Trial(trial) = self.next() else { return Err(ProcedureError::NoTrial) };
        self.take(trial, answer, seconds, presented)
    }

    fn take(
        &mut self,
        trial: Trial,
        answer: Answer,
        seconds: f64,
        presented: Option<Presented>,
    ) -> Result<Answered, ProcedureError> {
        let correct = trial.correct(answer).ok_or(ProcedureError::OtherQuestion(answer.name()))?;
        let answered = Answered { trial, answer, correct, seconds, presented };
        if trial.kind != Kind::Practice {
            self.quests[trial.condition].update(answered.epsilon_shown(), answered.positive());
        }
        self.answered.push(answered);
        Ok(answered)
    }

    /// The break is over.
    pub fn rested(&mut self) {
        if matches!(self.next(), Next::Break { .. }) {
            self.breaks += 1;
        }
    }

    /// Takes a recorded answer again if it is to the trial that this plan gives next, of the same ε but for what
    /// rounding a file does.
    pub(super) fn replay(&mut self, recorded: &Answered) -> bool {
        let Next::Trial(trial) = self.next() else { return false };
        let near = (trial.epsilon - recorded.trial.epsilon).abs() <= 1e-9 * trial.epsilon.abs();
        let same = near && Trial { epsilon: recorded.trial.epsilon, ..trial } == recorded.trial;
        same && self
            .take(trial, recorded.answer, recorded.seconds, recorded.presented)
            .is_ok_and(|a| a.correct == recorded.correct)
    }

    /// What is believed of the observer in `condition` so far.
    pub fn quest(&self, condition: usize) -> Option<&QuestPlus> {
        self.quests.get(condition)
    }

    /// The answers that count, of one condition, by the ε that was shown.
    pub fn blocks(&self, condition: usize) -> Vec<Block> {
        let counts = |a: &&Answered| a.trial.kind != Kind::Practice && a.trial.condition == condition;
        Block::gather(self.answered.iter().filter(counts).map(|a| (a.epsilon_shown(), a.positive())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::*;

    fn plan(task: Task) -> Plan {
        let conditions = vec![
            Condition { image: "a".to_owned(), attack: "fgsm".to_owned() },
            Condition { image: "b".to_owned(), attack: "fgsm".to_owned() },
        ];
        Plan { catches: 5, break_every: 20, ..Plan::new(task, conditions, 30, 3) }
    }

    /// Sees everything from ε = 0.02 on.
    fn sharp(trial: &Trial) -> Answer {
        let seen = trial.epsilon >= 0.02;
        match (trial.side, seen) {
            (Some(Side::Left), true) | (Some(Side::Right), false) => Answer::Left,
            (Some(_), _) => Answer::Right,
            (None, true) => Answer::Altered,
            (None, false) => Answer::Unaltered,
        }
    }

    #[test]
    fn a_whole_study() {
        for task in [Task::TwoAlternative, Task::YesNo] {
            let mut study = Procedure::new(plan(task)).unwrap();
            let (mut breaks, mut left) = (0, 0);
            loop {
                match study.next() {
                    Next::Trial(trial) => {
                        assert_eq!(Next::Trial(trial), study.next(), "asked twice, the same trial");
                        left += usize::from(trial.side == Some(Side::Left));
                        study.answer(sharp(&trial), 0.5).unwrap();
                    }
                    Next::Break { done, total } => {
                        breaks += 1;
                        assert_eq!((done, total), (20 * breaks, 70));
                        assert_eq!(study.answer(Answer::Left, 0.1), Err(ProcedureError::NoTrial));
                        study.rested();
                    }
                    Next::Done => break,
                }
            }
            assert_eq!((study.answered().len(), breaks), (74, 3));
            assert_eq!(study.answer(Answer::Left, 0.1), Err(ProcedureError::NoTrial));
            if task == Task::TwoAlternative {
                assert!((20..55).contains(&left), "{left} of 74 on the left");
            }
            for condition in 0..2 {
                let blocks = study.blocks(condition);
                assert_eq!(blocks.iter().map(|b| b.total).sum::<u32>(), 35);
                assert_eq!(blocks[0].epsilon == 0.0, task == Task::YesNo);
                let alpha = study.quest(condition).unwrap().mode().alpha;
                assert!((0.01..0.04).contains(&alpha), "{task:?}: {alpha}");
            }
        }
    }

    #[test]
    fn answers_to_other_questions_are_not_taken() {
        let mut study = Procedure::new(plan(Task::TwoAlternative)).unwrap();
        assert_eq!(study.answer(Answer::Altered, 0.1), Err(ProcedureError::OtherQuestion("altered")));
        assert!(study.answered().is_empty());
    }
}
