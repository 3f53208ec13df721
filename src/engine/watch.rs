//! An attack under way, as the window sees it: its steps with their losses, and now and then the image as it is.

use super::Event;
use crate::attack::{Attack, Judgement, Objective, Step};
use crate::model::Logits;
use burn::tensor::Tensor;
use std::time::{Duration, Instant};

/// News of an attack come at most this often.
const PERIOD: Duration = Duration::from_millis(100);
/// What telling may take of the time of the attack.
const MOST_SHARE: f64 = 0.04;

/// News of an attack of many steps.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackRun {
    /// Counts runs.
    pub number: u64,
    /// The attack.
    pub method: Attack,
    /// ε of it.
    pub epsilon: f64,
    /// Steps done.
    pub done: usize,
    /// Steps in all, as far as known.
    pub of: usize,
    /// Seconds since its start.
    pub secs: f64,
    /// Seconds of them that telling took.
    pub telling_secs: f64,
    /// How the image stood at each step since the last news: of several restarts the best.
    pub judged: Vec<Judgement>,
    /// How it ended, if it has.
    pub end: Option<RunEnd>,
}

/// How an attack of many steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// It took all its steps, or needs no more.
    Complete,
    /// It was stopped; the best until then is kept. With no step done it takes long and waits to be begun: its seconds are then
    /// those that it would take, about.
    Stopped,
    /// Something else is wished for.
    GivenUp,
}

/// Where the attack of a frame stands, if the frame is not its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Steps done.
    pub done: usize,
    /// Steps in all, as far as known.
    pub of: usize,
    /// It was stopped here, and this is the best until then; else it is under way, and this the image of this step.
    pub stopped: bool,
}

/// What an attack of many steps is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    /// End, with the best until now.
    Stop,
    /// End: something else is wished for.
    GiveUp,
}

/// What a step looked at, of one row.
pub(super) struct Seen {
    pub image: Tensor<4>,
    /// What the model makes of it.
    pub logits: Logits,
    /// Where an attack that moves pixels took them from.
    pub flow: Option<Tensor<4>>,
}

/// Listens to one run.
pub(super) struct Watch<'a> {
    run: AttackRun,
    /// +1 where the loss is raised, −1 where it is lowered.
    sign: f32,
    start: Instant,
    told: Option<Instant>,
    /// What telling took so far.
    spent: Duration,
    tell: &'a dyn Fn(Event),
}

impl<'a> Watch<'a> {
    pub fn new(number: u64, method: Attack, epsilon: f64, objective: &Objective, tell: &'a dyn Fn(Event)) -> Self {
        let run = AttackRun {
            number,
            method,
            epsilon,
            done: 0,
            of: 0,
            secs: 0.0,
            telling_secs: 0.0,
            judged: Vec::new(),
            end: None,
        };
        Self { run, sign: objective.sign(), start: Instant::now(), told: None, spent: Duration::ZERO, tell }
    }

    /// Hears a step. `picture` makes the news of what it looked at, where it is time for them.
    pub fn hear(&mut self, step: &Step<'_>, picture: impl FnOnce(Seen, (usize, usize)) -> Option<Event>) {
        let gain = |j: &Judgement| self.sign * j.loss;
        let best = step.judged.iter().enumerate().max_by(|a, b| gain(a.1).total_cmp(&gain(b.1)));
        let Some((row, judged)) = best else { return };
        self.run.judged.push(*judged);
        (self.run.done, self.run.of) = (step.index, step.of);
        let now = Instant::now();
        let elapsed = now - self.start;
        self.run.secs = elapsed.as_secs_f64();
        let since = self.told.map_or(elapsed, |told| now - told);
        if since < PERIOD || self.spent.as_secs_f64() > MOST_SHARE * elapsed.as_secs_f64() {
            return;
        }
        self.told = Some(now);
        let one = |t: &Tensor<4>| t.clone().narrow(0, row, 1);
        let seen = Seen { image: one(step.seen), logits: row_of(step.logits, row), flow: step.flow.map(one) };
        if let Some(event) = picture(seen, (step.index, step.of)) {
            (self.tell)(event);
        }
        self.send(None);
        self.spent += now.elapsed();
        self.run.telling_secs = self.spent.as_secs_f64();
    }

    /// Tells that the attack waits to be begun, takes up to `of` steps, and would take about `secs`.
    pub fn wait(&mut self, of: usize, secs: f64) {
        (self.run.of, self.run.secs) = (of, secs);
        self.send(Some(RunEnd::Stopped));
    }

    /// Tells how it ended. A run of no steps has nothing to tell.
    pub fn end(&mut self, end: RunEnd) {
        if self.run.done > 0 {
            self.run.secs = self.start.elapsed().as_secs_f64();
            self.send(Some(end));
        }
    }

    /// Steps done, and in all.
    pub fn steps(&self) -> (usize, usize) {
        (self.run.done, self.run.of)
    }

    fn send(&mut self, end: Option<RunEnd>) {
        let judged = std::mem::take(&mut self.run.judged);
        (self.tell)(Event::Attacking(AttackRun { judged, end, ..self.run.clone() }));
    }
}

/// The logits of one row.
fn row_of(logits: &Logits, row: usize) -> Logits {
    match logits {
        Logits::Dense(z) => Logits::Dense(z.clone().narrow(0, row, 1)),
        Logits::Class(z) => Logits::Class(z.clone().narrow(0, row, 1)),
    }
}
