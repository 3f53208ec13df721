//! APGD on the cross-entropy: steps with momentum whose length is halved where the loss stops rising.

use crate::attack::live::{Live, chosen, kept};
use crate::attack::objective::{Judged, Judgement};
use crate::attack::rows::{Found, Method, Observer, Rows, Step, untaken};
use crate::attack::{Attack, AttackError, Norm, Weighting};
use crate::tensor::to_host;
use burn::tensor::{Bool, Tensor, TensorData};

/// Auto-PGD (Croce and Hein 2020, algorithm 1), as in the authors' code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct Apgd {
    norm: Norm,
    steps: usize,
    /// A checkpoint asks for this share of rising steps.
    rho: f64,
}

/// How much of a new step counts beside the last one.
const MIX: f64 = 0.75;

impl Apgd {
    pub fn ce(attack: &Attack) -> Box<dyn Method> {
        let norm = if attack.number("norm") == 0.0 { Norm::Linf } else { Norm::L2 };
        Box::new(Self { norm, steps: attack.count("steps").max(1), rho: attack.number("rho") })
    }

    /// x ± ε·t/max|t| (L∞) or x + ε·t/‖t‖₂ (L2): starts on the sphere, in the pixels that may be changed.
    fn start(&self, rows: &mut Rows<'_>) -> Tensor<4> {
        if let Some(start) = rows.start.clone() {
            return rows.ball.project(start);
        }
        let noise = match self.norm {
            Norm::Linf => rows.noise(crate::attack::random::Random::signed),
            Norm::L2 => rows.noise(crate::attack::random::Random::normal),
        };
        let noise = noise * rows.ball.free();
        let size = self.norm.of(noise.clone()).clamp_min(1e-12);
        rows.ball.project(rows.x.clone() + noise / size * rows.ball.epsilon.clone())
    }
}

/// The checkpoints' distances: 0.22 of the steps, each shorter by 0.03 of them, at least 0.06.
struct Checkpoints {
    distance: usize,
    shorter: usize,
    least: usize,
    since: usize,
}

impl Checkpoints {
    fn new(steps: usize) -> Self {
        let share = |of: f64| ((of * steps as f64) as usize).max(1);
        Self { distance: share(0.22), shorter: share(0.03), least: share(0.06), since: 0 }
    }

    /// The length of the window that ends here, if this step is a checkpoint.
    fn reached(&mut self) -> Option<usize> {
        self.since += 1;
        if self.since < self.distance {
            return None;
        }
        let window = self.distance;
        self.since = 0;
        self.distance = self.distance.saturating_sub(self.shorter).max(self.least);
        Some(window)
    }
}

/// `yes` for the rows where it holds, against `[rows, channels, height, width]`.
fn choose(yes: &[bool], like: &Tensor<4>) -> Tensor<4, Bool> {
    let values: Vec<f32> = yes.iter().map(|&y| f32::from(u8::from(y))).collect();
    let data = TensorData::new(values, [yes.len(), 1, 1, 1]);
    Tensor::<4>::from_data(data, &like.device()).expand(like.dims()).greater_elem(0.5)
}

/// What is known of one row.
#[derive(Clone)]
struct Row {
    length: f32,
    /// The gain (the loss, or less it for a target) of the best place so far, and that at the last checkpoint.
    best: f32,
    at_check: f32,
    halved: bool,
    /// The gain after each step.
    history: Vec<f32>,
    /// Whether the image that is handed back is a success, and its gain.
    found: (bool, f32),
}

impl Row {
    /// Whether its step is to be halved after step `t`, the last of a window of `window`.
    fn is_stuck(&self, t: usize, window: usize, rho: f64) -> bool {
        // The authors' code compares the first step with the last of the array, which is 0 until then.
        let gain = |step: usize| self.history[step];
        let rises = (0..window)
            .filter(|back| {
                let step = t - back;
                gain(step) > if step > 0 { gain(step - 1) } else { 0.0 }
            })
            .count();
        rises as f64 <= window as f64 * rho || (!self.halved && self.at_check >= self.best)
    }
}

/// The rows that are still attacked.
struct Run {
    x: Tensor<4>,
    before: Tensor<4>,
    gradient: Tensor<4>,
    best_x: Tensor<4>,
    best_gradient: Tensor<4>,
    /// What is handed back: successes before others, then by the loss. The authors keep two, `x_best` and `x_best_adv`.
    found: Tensor<4>,
    rows: Vec<Row>,
}

impl Run {
    fn select(&mut self, places: &[usize]) {
        for t in [
            &mut self.x,
            &mut self.before,
            &mut self.gradient,
            &mut self.best_x,
            &mut self.best_gradient,
            &mut self.found,
        ] {
            *t = chosen(t, places);
        }
        self.rows = kept(&self.rows, places);
    }

    /// Notes where `x` is better than what was known.
    fn note(&mut self, gains: &[f32], successes: &[bool]) {
        let risen: Vec<bool> = gains.iter().zip(&self.rows).map(|(gain, row)| *gain > row.best).collect();
        let better = |((&gain, &success), row): ((&f32, &bool), &Row)| (success, gain) > row.found;
        let found: Vec<bool> = gains.iter().zip(successes).zip(&self.rows).map(better).collect();
        if risen.contains(&true) {
            let here = choose(&risen, &self.x);
            self.best_x = self.best_x.clone().mask_where(here.clone(), self.x.clone());
            self.best_gradient = self.best_gradient.clone().mask_where(here, self.gradient.clone());
        }
        if found.contains(&true) {
            self.found = self.found.clone().mask_where(choose(&found, &self.x), self.x.clone());
        }
        for (i, row) in self.rows.iter_mut().enumerate() {
            row.history.push(gains[i]);
            if risen[i] {
                row.best = gains[i];
            }
            if found[i] {
                row.found = (successes[i], gains[i]);
            }
        }
    }

    /// Halves the steps of rows that are stuck, and takes them back to their best place.
    fn check(&mut self, t: usize, window: usize, rho: f64) {
        let stuck: Vec<bool> = self.rows.iter().map(|row| row.is_stuck(t, window, rho)).collect();
        for (row, &stuck) in self.rows.iter_mut().zip(&stuck) {
            row.at_check = row.best;
            row.halved = stuck;
            if stuck {
                row.length /= 2.0;
            }
        }
        if stuck.contains(&true) {
            let back = choose(&stuck, &self.x);
            self.x = self.x.clone().mask_where(back.clone(), self.best_x.clone());
            self.gradient = self.gradient.clone().mask_where(back, self.best_gradient.clone());
        }
    }
}

impl Method for Apgd {
    fn norm(&self) -> Option<Norm> {
        Some(self.norm)
    }

    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let sign = rows.objective.sign();
        let start = self.start(rows);
        let Judged { judged, gradient, .. } = rows.gradient(&start, &rows.objective, Weighting::Plain)?;
        let zeros = untaken(rows.zero_share(&gradient)?, judged.iter().map(|j| rows.is_done(j)));
        let first = |(judged, epsilon): (&Judgement, f32)| {
            let gain = sign * judged.loss;
            let found = (rows.succeeds(judged), gain);
            Row { length: 2.0 * epsilon, best: gain, at_check: gain, halved: true, history: Vec::new(), found }
        };
        let mut run = Run {
            before: start.clone(),
            best_x: start.clone(),
            best_gradient: gradient.clone(),
            found: start.clone(),
            rows: judged.iter().zip(to_host(rows.ball.epsilon.clone())?).map(first).collect(),
            x: start,
            gradient,
        };
        let (mut live, mut subset) = (Live::new(rows.len()), None::<Rows<'_>>);
        let mut checkpoints = Checkpoints::new(self.steps);
        let (mut gradients, mut stopped) = (1, false);
        let mut done: Vec<bool> = judged.iter().map(|j| rows.is_done(j)).collect();
        for t in 0..self.steps {
            if let Some(left) = live.retire(&done, &run.found) {
                if left.is_empty() {
                    break;
                }
                run.select(&left);
                subset = Some(subset.as_ref().unwrap_or(rows).select(&left));
            }
            let here = subset.as_ref().unwrap_or(rows);
            let momentum = run.x.clone() - run.before.clone();
            run.before = run.x.clone();
            let mix = if t > 0 { MIX } else { 1.0 };
            let lengths: Vec<f32> = run.rows.iter().map(|row| row.length).collect();
            let step = Tensor::<4>::from_data(TensorData::new(lengths, [here.len(), 1, 1, 1]), &here.device());
            let uphill = self.norm.steepest(run.gradient.clone() * sign) * step;
            let ahead = here.ball.project(run.x.clone() + uphill);
            run.x = here.ball.project(run.x.clone() + (ahead - run.x.clone()) * mix + momentum * (1.0 - mix));
            let Judged { judged, gradient, logits } = here.gradient(&run.x, &here.objective, Weighting::Plain)?;
            let seen = run.x.clone();
            run.gradient = gradient;
            gradients += 1;
            let gains: Vec<f32> = judged.iter().map(|j| sign * j.loss).collect();
            let successes: Vec<bool> = judged.iter().map(|j| here.succeeds(j)).collect();
            run.note(&gains, &successes);
            if let Some(window) = checkpoints.reached() {
                run.check(t, window, self.rho);
            }
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &seen,
                logits: &logits,
                adversarial: &run.found,
                flow: None,
            };
            if observer(&told).is_break() {
                stopped = t + 1 < self.steps;
                break;
            }
            done = judged.iter().map(|j| here.is_done(j)).collect();
        }
        let adversarial = live.whole(run.found);
        Ok(Found { adversarial, gradients, zero_share: Some(zeros), stopped, flow: None, clipped: None })
    }
}
