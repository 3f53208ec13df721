//! Steps along the gradient: FGSM, BIM, PGD, their relatives without the sign, with momentum, and with the losses made for
//! segmentation are one method with other settings.

use super::best::BestSoFar;
use crate::attack::direction::cut_share;
use crate::attack::live::{Live, chosen, kept};
use crate::attack::norm::rescaled;
use crate::attack::objective::Judged;
use crate::attack::rows::{Found, Method, Observer, Rows, Step, untaken};
use crate::attack::{Attack, AttackError, Direction, Norm, Weighting};
use crate::model::ModelError;
use burn::tensor::Tensor;

/// Where the first step starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) enum Start {
    /// At the original.
    Original,
    /// Uniformly in the ball.
    Uniform,
    /// x + α·ε·sign(N(0, 1)).
    Signs(f64),
}

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attack) enum Way {
    /// sign(g) for L∞, g/‖g‖₂ for L2.
    Steepest,
    /// ζ·g with ζ = ‖sign(g)‖₂/‖g‖₂: the length of the sign, the direction of the gradient.
    Scaled,
}

/// How pixels are weighted, as a function of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attack) enum Scheme {
    Plain,
    SegPgd,
    CosPgd,
}

impl Scheme {
    /// The weighting of step `t` of `steps`, from 0.
    fn at(self, t: usize, steps: usize) -> Weighting {
        match self {
            Self::Plain => Weighting::Plain,
            Self::SegPgd => Weighting::SegPgd { lambda: t as f64 / (2.0 * steps.max(1) as f64) },
            Self::CosPgd => Weighting::CosPgd,
        }
    }
}

/// x ← project(x ± step·ε·way(g)), `steps` times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::attack) struct Descent {
    pub norm: Norm,
    pub steps: usize,
    /// As a share of ε.
    pub step: f64,
    pub start: Start,
    pub way: Way,
    /// Whether the result is held within ε (else by the bounds alone).
    pub held: bool,
    /// μ: the gradient is divided by its mean magnitude and added to μ times the sum of those before.
    pub momentum: Option<f64>,
    pub scheme: Scheme,
    /// Lower the loss of what is true: the inverse of an attack.
    pub inverse: bool,
}

impl Descent {
    /// One step of ε from the original.
    const ONE: Self = Self {
        norm: Norm::Linf,
        steps: 1,
        step: 1.0,
        start: Start::Original,
        way: Way::Steepest,
        held: true,
        momentum: None,
        scheme: Scheme::Plain,
        inverse: false,
    };

    pub fn fgsm(_: &Attack) -> Box<dyn Method> {
        Box::new(Self::ONE)
    }

    pub fn inverse_fgsm(_: &Attack) -> Box<dyn Method> {
        Box::new(Self { inverse: true, ..Self::ONE })
    }

    pub fn r_fgsm(attack: &Attack) -> Box<dyn Method> {
        let alpha = attack.number("alpha");
        Box::new(Self { start: Start::Signs(alpha), step: 1.0 - alpha, ..Self::ONE })
    }

    pub fn bim(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self::iterated(attack))
    }

    pub fn pgd(attack: &Attack) -> Box<dyn Method> {
        let norm = if attack.number("norm") == 0.0 { Norm::Linf } else { Norm::L2 };
        Box::new(Self { norm, start: Self::chosen_start(attack), ..Self::iterated(attack) })
    }

    pub fn fgnm(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self { held: Self::is_boxed(attack), way: Way::Scaled, ..Self::ONE })
    }

    pub fn binm(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self { held: Self::is_boxed(attack), way: Way::Scaled, ..Self::iterated(attack) })
    }

    pub fn pgdnm(attack: &Attack) -> Box<dyn Method> {
        let (held, start) = (Self::is_boxed(attack), Self::chosen_start(attack));
        Box::new(Self { held, start, way: Way::Scaled, ..Self::iterated(attack) })
    }

    pub fn mi_fgsm(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self { momentum: Some(attack.number("momentum")), ..Self::iterated(attack) })
    }

    pub fn seg_pgd(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self { scheme: Scheme::SegPgd, start: Self::chosen_start(attack), ..Self::iterated(attack) })
    }

    pub fn cos_pgd(attack: &Attack) -> Box<dyn Method> {
        Box::new(Self { scheme: Scheme::CosPgd, start: Self::chosen_start(attack), ..Self::iterated(attack) })
    }

    fn iterated(attack: &Attack) -> Self {
        let steps = attack.count("steps").max(1);
        // A step of 0 stands for ε/steps.
        let step = Some(attack.number("step")).filter(|&s| s > 0.0).unwrap_or(1.0 / steps as f64);
        Self { steps, step, ..Self::ONE }
    }

    fn chosen_start(attack: &Attack) -> Start {
        if attack.number("random-start") == 0.0 { Start::Original } else { Start::Uniform }
    }

    fn is_boxed(attack: &Attack) -> bool {
        attack.number("clip") != 0.0
    }

    /// Whether the loss is raised (+1) or lowered (−1).
    fn sign(&self, rows: &Rows<'_>) -> f32 {
        rows.objective.sign() * if self.inverse { -1.0 } else { 1.0 }
    }

    /// The direction of one step for the gradient `g`, of the length of a step of 1.
    fn way(&self, g: Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Steepest => self.norm.steepest(g),
            Way::Scaled => {
                let g = rescaled(g);
                let zeta = Norm::L2.of(g.clone().sign()) / Norm::L2.of(g.clone()).clamp_min(1e-12);
                g * zeta
            }
        }
    }

    fn start(&self, rows: &mut Rows<'_>) -> Result<Tensor<4>, ModelError> {
        if let Some(start) = rows.start.clone() {
            return Ok(rows.ball.project(start));
        }
        Ok(match self.start {
            Start::Original => rows.ball.project(rows.x.clone()),
            Start::Uniform if rows.ball.norm.is_some() => rows.ball.random(&mut rows.random)?,
            // Without a box there is no ball to start in: the start is that of the box.
            Start::Uniform => {
                let start = rows.noise(crate::attack::random::Random::signed);
                rows.ball.project(rows.x.clone() + start * rows.ball.epsilon.clone())
            }
            Start::Signs(alpha) => {
                // sign(N(0, 1)): a fair coin for each value.
                let signs = rows.noise(crate::attack::random::Random::sign);
                rows.ball.project(rows.x.clone() + signs * (rows.ball.epsilon.clone() * alpha))
            }
        })
    }
}

impl Method for Descent {
    fn norm(&self) -> Option<Norm> {
        self.held.then_some(self.norm)
    }

    fn run(&self, rows: &mut Rows<'_>, observer: &mut Observer<'_>) -> Result<Found, AttackError> {
        let mut x = self.start(rows)?;
        let (mut live, mut momentum) = (Live::new(rows.len()), None::<Tensor<4>>);
        let mut best = BestSoFar::default();
        let sign = self.sign(rows);
        let mut subset: Option<Rows<'_>> = None;
        let (mut gradients, mut zeros, mut stopped) = (0, None, false);
        let mut clipped = (self.way == Way::Scaled).then(|| vec![0.0; rows.len()]);
        for t in 0..self.steps {
            let here = subset.as_ref().unwrap_or(rows);
            let Judged { mut judged, gradient: mut g, mut logits } =
                here.gradient(&x, &here.objective, self.scheme.at(t, self.steps))?;
            gradients += 1;
            let done: Vec<bool> = judged.iter().map(|j| here.is_done(j)).collect();
            if t == 0 {
                // Weights of 0 make zeros that tell nothing of the model.
                let share = match self.scheme {
                    Scheme::Plain => here.zero_share(&g)?,
                    Scheme::SegPgd | Scheme::CosPgd => here.plain_zero_share(&x)?,
                };
                zeros = Some(untaken(share, done.iter().copied()));
            }
            if let Some(left) = live.retire(&done, &x) {
                if left.is_empty() {
                    break;
                }
                (x, g, judged) = (chosen(&x, &left), chosen(&g, &left), kept(&judged, &left));
                momentum = momentum.map(|m| chosen(&m, &left));
                logits = logits.select(&left);
                best.select(&left);
                subset = Some(here.select(&left));
            }
            let here = subset.as_ref().unwrap_or(rows);
            let mut g = if sign == 1.0 { g } else { g * sign };
            if let Some(decay) = self.momentum {
                let mean = g.clone().abs().mean_dims(&[1, 2, 3]);
                let none = mean.clone().lower_equal_elem(0.0);
                g = g / mean.mask_fill(none, 1.0);
                if let Some(before) = momentum.take() {
                    g = g + before * decay;
                }
                momentum = Some(g.clone());
            }
            let seen = x;
            best.offer(&judged, &seen, &here.objective, here.stop_at);
            let length = here.ball.epsilon.clone() * self.step;
            if self.way == Way::Steepest && self.norm == Norm::Linf {
                x = here.ball.signed_step(&seen, g, length);
            } else {
                let moved = seen.clone() + self.way(g) * length;
                x = here.ball.project(moved.clone());
                if let Some(clipped) = &mut clipped {
                    let cut = cut_share(moved, x.clone())?;
                    live.index.iter().zip(cut).for_each(|(&row, cut)| clipped[row] = cut);
                }
            }
            let told = Step {
                index: t + 1,
                of: self.steps,
                judged: &judged,
                seen: &seen,
                logits: &logits,
                adversarial: &x,
                flow: None,
            };
            if observer(&told).is_break() {
                stopped = t + 1 < self.steps;
                if stopped {
                    let newest = here.objective.judge(here.model, x.clone())?;
                    best.offer(&newest, &x, &here.objective, here.stop_at);
                    x = best.take().unwrap_or(x);
                }
                break;
            }
        }
        Ok(Found { adversarial: live.whole(x), gradients, zero_share: zeros, stopped, flow: None, clipped })
    }

    fn direction(&self, rows: &mut Rows<'_>) -> Result<Option<Direction>, AttackError> {
        // L2 steps end where the bounds cut them, which moves with ε; so does a momentum or a loss of later steps.
        if self.steps != 1 || self.start != Start::Original || self.norm != Norm::Linf {
            return Ok(None);
        }
        let Judged { judged, gradient: g, .. } = rows.gradient(&rows.x, &rows.objective, self.scheme.at(0, 1))?;
        let direction = self.way(g.clone() * self.sign(rows));
        let wished = (self.way == Way::Scaled).then(|| direction.clone());
        let direction = if self.held { direction.clamp(-1.0, 1.0) } else { direction };
        let loss = judged.iter().map(|j| j.loss).sum();
        // ∇J is that of the plain loss.
        let g = match self.scheme {
            Scheme::Plain => g,
            Scheme::SegPgd | Scheme::CosPgd => rows.gradient(&rows.x, &rows.objective, Weighting::Plain)?.gradient,
        };
        Ok(Some(Direction { direction, held: self.held, wished, gradient: Some(g), loss: Some(loss) }))
    }
}
