//! APGD on the cross-entropy: steps with momentum whose length is halved where the loss stops rising.

use crate::attack::objective::Judged;
use crate::attack::rows::{Found, Method, Observer, Rows, Step, zero_share};
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

    /// x ± ε·t/max|t| (L∞) or x + ε·t/‖t‖₂ (L2): starts on the sphere.
    fn start(&self, rows: &mut Rows<'_>) -> Tensor<4> {
        if let Some(start) = rows.start.clone() {
            return rows.ball.project(start);
        }
        let noise = match self.norm {
            Norm::Linf => rows.noise(crate::attack::random::Random::signed),
            Norm::L2 => rows.noise(crate::attack::random::Random::normal),
        };
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

impl Method for Apgd {
    fn norm(&self) -> Option<Norm> {
        Some(self.norm)
    }

    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let sign = rows.objective.sign();
        let mut x = self.start(rows);
        let mut before = x.clone();
        let Judged { judged, mut gradient, .. } = rows.gradient(&x, &rows.objective, Weighting::Plain)?;
        let zeros = zero_share(&gradient)?;
        let gain = |loss: f32| sign * loss;
        let mut best: Vec<f32> = judged.iter().map(|j| gain(j.loss)).collect();
        let (mut best_x, mut best_gradient) = (x.clone(), gradient.clone());
        let count = best.len();
        let mut length = to_host(rows.ball.epsilon.clone())?;
        length.iter_mut().for_each(|l| *l *= 2.0);
        let mut history: Vec<Vec<f32>> = Vec::with_capacity(self.steps);
        let mut at_check = best.clone();
        let mut halved = vec![true; count];
        let mut checkpoints = Checkpoints::new(self.steps);
        let (mut gradients, mut stopped) = (1, false);
        for t in 0..self.steps {
            let momentum = x.clone() - before;
            before = x.clone();
            let mix = if t > 0 { MIX } else { 1.0 };
            let step: Tensor<4> = Tensor::from_data(TensorData::new(length.clone(), [count, 1, 1, 1]), &x.device());
            let ahead = rows.ball.project(x.clone() + self.norm.steepest(gradient.clone() * sign) * step);
            x = rows.ball.project(x.clone() + (ahead - x) * mix + momentum * (1.0 - mix));
            let here = rows.gradient(&x, &rows.objective, Weighting::Plain)?;
            let (seen, judged, logits) = (x.clone(), here.judged, here.logits);
            gradient = here.gradient;
            gradients += 1;
            let now: Vec<f32> = judged.iter().map(|j| gain(j.loss)).collect();
            let risen: Vec<bool> = now.iter().zip(&best).map(|(now, best)| now > best).collect();
            if risen.contains(&true) {
                let chosen = choose(&risen, &x);
                best_x = best_x.mask_where(chosen.clone(), x.clone());
                best_gradient = best_gradient.mask_where(chosen, gradient.clone());
                for (best, &now) in best.iter_mut().zip(&now).filter(|(best, now)| **now > **best) {
                    *best = now;
                }
            }
            history.push(now);
            if let Some(window) = checkpoints.reached() {
                let reduce: Vec<bool> = (0..count)
                    .map(|i| {
                        // The authors' code compares the first step with the last of the array, which is 0 until then.
                        let loss = |step: usize| history[step][i];
                        let rises = (0..window)
                            .filter(|back| {
                                let step = t - back;
                                loss(step) > if step > 0 { loss(step - 1) } else { 0.0 }
                            })
                            .count();
                        let oscillates = rises as f64 <= window as f64 * self.rho;
                        oscillates || (!halved[i] && at_check[i] >= best[i])
                    })
                    .collect();
                at_check.clone_from(&best);
                if reduce.contains(&true) {
                    let chosen = choose(&reduce, &x);
                    x = x.mask_where(chosen.clone(), best_x.clone());
                    gradient = gradient.mask_where(chosen, best_gradient.clone());
                    for (length, _) in length.iter_mut().zip(&reduce).filter(|(_, reduce)| **reduce) {
                        *length /= 2.0;
                    }
                }
                halved = reduce;
            }
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &seen,
                logits: &logits,
                adversarial: &best_x,
            };
            let all_done = rows.stop_at.is_some() && judged.iter().all(|j| rows.is_done(j));
            if observer(&told).is_break() || all_done {
                stopped = !all_done && t + 1 < self.steps;
                if all_done {
                    best_x = x;
                }
                break;
            }
        }
        Ok(Found { adversarial: best_x, gradients, zero_share: Some(zeros), stopped, flow: None })
    }
}
