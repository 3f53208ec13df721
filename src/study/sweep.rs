//! The sweep: case × attack × ε → curve, in steps that a job can pause and cancel, with its control, adaptive in ε.

use super::{Curve, CurvePoint, SeenPlan, Subject};
use crate::attack::{Direction, Method};
use crate::model::ModelError;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The seed of the control where nothing else is asked for.
pub const CONTROL_SEED: u64 = 0;

/// Which ε a curve is measured at.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPlan {
    /// ε as fractions of the bounds' width, all measured; then the plan refines where the curve bends most.
    pub epsilons: Vec<f64>,
    /// At most this many points in all: no refinement unless it exceeds the number of `epsilons`.
    pub most_points: usize,
    /// Seed of the random-sign control.
    pub control_seed: u64,
    /// What is measured of the shown image.
    pub seen: SeenPlan,
}

impl Default for SweepPlan {
    /// The default grid of `methods`, 0.25…32 /255, with 64 and 128 so that the axis has an end; coarse points come
    /// first, so that the curve's shape shows at once.
    fn default() -> Self {
        let levels = [0.0, 4.0, 16.0, 1.0, 64.0, 0.25, 8.0, 32.0, 2.0, 128.0, 0.5];
        Self {
            epsilons: levels.map(|l| l / 255.0).to_vec(),
            most_points: 20,
            control_seed: CONTROL_SEED,
            seen: SeenPlan::default(),
        }
    }
}

impl SweepPlan {
    /// Exactly these ε.
    pub fn exactly(epsilons: Vec<f64>) -> Self {
        Self { most_points: epsilons.len(), epsilons, ..Self::default() }
    }
}

/// Two measured points of one ε: the attack's and the control's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The attack's point.
    pub attack: CurvePoint,
    /// The point of random sign noise.
    pub control: CurvePoint,
}

/// A sweep that is under way.
pub struct Sweep {
    subject: Arc<Subject>,
    direction: Direction,
    control: Direction,
    pending: VecDeque<f64>,
    most_points: usize,
    seen: SeenPlan,
    curve: Curve,
}

/// Two neighbouring points whose Dice differs by less than this need no point between them.
const FLAT: f64 = 0.02;
/// Two points nearer than this factor in ε need no point between them.
const CLOSE: f64 = 1.1;

impl Sweep {
    /// Prepares a sweep of `method` over `subject`. `direction` is the attack's direction if it is known already.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        subject: Arc<Subject>,
        name: &str,
        method: Method,
        direction: Option<Direction>,
        plan: &SweepPlan,
    ) -> Result<Self, ModelError> {
        let direction = match direction {
            Some(direction) => direction,
            None => subject.direction(method)?,
        };
        let control = subject.direction(Method::RandomSign { seed: plan.control_seed })?;
        let clean = subject.clean.measure_seen(&subject, &plan.seen);
        let curve = Curve { attack: name.to_owned(), clean, points: Vec::new(), control: Vec::new() };
        let mut pending = VecDeque::new();
        for &epsilon in &plan.epsilons {
            if !pending.contains(&epsilon) {
                pending.push_back(epsilon);
            }
        }
        Ok(Self { subject, direction, control, pending, most_points: plan.most_points, seen: plan.seen.clone(), curve })
    }

    /// What was found so far.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// Steps done, and in all as far as known.
    pub fn progress(&self) -> (usize, usize) {
        let done = self.curve.points.len();
        (done, (done + self.pending.len()).max(self.most_points))
    }

    /// Measures the next ε, or `None` when the curve is done.
    ///
    /// # Errors
    /// If the device fails; what was found stays.
    pub fn step(&mut self) -> Result<Option<Step>, ModelError> {
        let Some(epsilon) = self.pending.pop_front().or_else(|| self.refine()) else { return Ok(None) };
        let attack = self.measure(&self.direction, epsilon)?;
        let control = self.measure(&self.control, epsilon)?;
        Curve::insert(&mut self.curve.points, attack);
        Curve::insert(&mut self.curve.control, control);
        Ok(Some(Step { attack, control }))
    }

    fn measure(&self, direction: &Direction, epsilon: f64) -> Result<CurvePoint, ModelError> {
        let start = Instant::now();
        let measure = if epsilon == 0.0 {
            self.curve.clean
        } else {
            let judged = self.subject.judge(&direction.adversarial(&self.subject.x, epsilon))?;
            judged.measure_seen(&self.subject, &self.seen)
        };
        Ok(CurvePoint { epsilon, measure, seconds: start.elapsed().as_secs_f64() })
    }

    /// The ε that halves (on a logarithmic axis) the gap over which Dice changes most.
    fn refine(&self) -> Option<f64> {
        if self.curve.points.len() >= self.most_points {
            return None;
        }
        self.curve
            .points
            .windows(2)
            .filter(|w| w[0].epsilon > 0.0 && w[1].epsilon / w[0].epsilon > CLOSE)
            .map(|w| {
                let change = (w[0].measure.overlap.dice - w[1].measure.overlap.dice).abs();
                (change, (w[0].epsilon * w[1].epsilon).sqrt())
            })
            .filter(|(change, _)| *change > FLAT)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, epsilon)| epsilon)
    }
}

/// A whole sweep at once; `told` hears the steps done and in all after each.
///
/// # Errors
/// If the device fails.
pub fn sweep(
    subject: Arc<Subject>,
    method: Method,
    plan: &SweepPlan,
    mut told: impl FnMut(usize, usize),
) -> Result<Curve, ModelError> {
    let mut sweep = Sweep::new(subject, method.name(), method, None, plan)?;
    while sweep.step()?.is_some() {
        let (done, total) = sweep.progress();
        told(done, total);
    }
    Ok(sweep.curve)
}
