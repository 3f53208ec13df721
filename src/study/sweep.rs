//! The sweep: case × attack × ε → curve, in steps that a job can pause and cancel, with its control, adaptive in ε.

use super::adversary::Attempt;
use super::{Adversary, Curve, CurvePoint, Judged, Measure, SeenPlan, Subject, same_epsilon};
use crate::attack::{AttackError, Control, EpsilonMeaning, random_flow, warped};
use burn::tensor::Tensor;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// The seed of the control where nothing else is asked for.
pub const CONTROL_SEED: u64 = 0;

/// Which ε a curve is measured at.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPlan {
    /// ε as fractions of the bounds' width, all measured; then the plan refines where the curve bends most.
    pub epsilons: Vec<f64>,
    /// ε are multiples of the attack's [`axis_unit`](crate::attack::Attack::axis_unit): of an L2 norm √(number of values).
    pub relative: bool,
    /// At most this many points in all: no refinement unless it exceeds the number of `epsilons`.
    pub most_points: usize,
    /// Seed of the random-sign control.
    pub control_seed: u64,
    /// What is measured of the shown image.
    pub seen: SeenPlan,
    /// The same is measured of the image as its file's type holds it: twice the time.
    pub stored: bool,
}

impl Default for SweepPlan {
    /// The default grid of `methods`, 0.25…32 /255, with 64 and 128 so that the axis has an end; coarse points come
    /// first, so that the curve's shape shows at once.
    fn default() -> Self {
        let levels = [0.0, 4.0, 16.0, 1.0, 64.0, 0.25, 8.0, 32.0, 2.0, 128.0, 0.5];
        Self {
            epsilons: levels.map(|l| l / 255.0).to_vec(),
            relative: true,
            most_points: 20,
            control_seed: CONTROL_SEED,
            seen: SeenPlan::default(),
            stored: false,
        }
    }
}

impl SweepPlan {
    /// Exactly these ε.
    pub fn exactly(epsilons: Vec<f64>) -> Self {
        Self { most_points: epsilons.len(), epsilons, relative: false, ..Self::default() }
    }
}

/// Two measured points of one ε: the attack's and the control's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The attack's point.
    pub attack: CurvePoint,
    /// The point of random sign noise of the same norm (see [`Control`]); for an attack that moves pixels, of a smooth random flow.
    pub control: CurvePoint,
}

/// A sweep that is under way.
pub struct Sweep {
    adversary: Arc<Adversary>,
    control: Control,
    control_seed: u64,
    pending: VecDeque<f64>,
    most_points: usize,
    seen: SeenPlan,
    stored: bool,
    curve: Curve,
}

/// Measures of what was judged, with those of visibility.
fn measured(judged: &Judged, subject: &Subject, plan: &SeenPlan, stored: bool) -> Measure {
    let measure = judged.measure_seen(subject, plan);
    if !stored {
        return measure;
    }
    Measure { seen: measure.seen.with_stored(&judged.seen_in_a_file(subject, plan)), ..measure }
}

/// Stands among ε for the one that the attack itself finds.
const FOUND: f64 = -1.0;
/// Two neighbouring points whose score (Dice, P(true class)) differs by less than this need no point between them.
const FLAT: f64 = 0.02;
/// Two points nearer than this factor in ε need no point between them.
const CLOSE: f64 = 1.1;

impl Sweep {
    /// Prepares a sweep of an attack over its subject. One that looks for the smallest perturbation is run once, whatever
    /// the plan says, and its point stands at the L∞ norm that it found.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(adversary: Arc<Adversary>, plan: &SweepPlan) -> Result<Self, AttackError> {
        let subject = adversary.subject();
        let model = subject.model.as_ref();
        let control = Control::new(model, &subject.x, &subject.objective(), plan.control_seed, &subject.options())?;
        let curve = Curve {
            attack: adversary.attack().name().to_owned(),
            clean: measured(&subject.clean, subject, &plan.seen, plan.stored),
            points: Vec::new(),
            control: Vec::new(),
        };
        let mut pending = VecDeque::new();
        let unit = if plan.relative { adversary.attack().axis_unit(&subject.x) } else { 1.0 };
        for epsilon in plan.epsilons.iter().map(|epsilon| epsilon * unit) {
            if !pending.contains(&epsilon) {
                pending.push_back(epsilon);
            }
        }
        let mut most_points = plan.most_points;
        if adversary.attack().entry().epsilon == EpsilonMeaning::Found {
            pending = [0.0, FOUND].into();
            most_points = 2;
        }
        let control_seed = plan.control_seed;
        Ok(Self {
            adversary,
            control,
            control_seed,
            pending,
            most_points,
            seen: plan.seen.clone(),
            stored: plan.stored,
            curve,
        })
    }

    /// Puts `epsilon` before all that is still to be measured, if it is not measured yet; whether it was not.
    pub fn measure_next(&mut self, epsilon: f64) -> bool {
        let lacks = !self.has(epsilon);
        if lacks {
            self.pending.retain(|pending| !same_epsilon(*pending, epsilon));
            self.pending.push_front(epsilon);
        }
        lacks
    }

    /// Puts those of `epsilons` that the plan lacks behind what it has, before any refinement.
    pub fn measure_also(&mut self, epsilons: &[f64]) {
        // An attack that finds its ε finds it again.
        if self.adversary.attack().entry().epsilon == EpsilonMeaning::Found {
            return;
        }
        for &epsilon in epsilons {
            if !self.has(epsilon) && !self.pending.iter().any(|pending| same_epsilon(*pending, epsilon)) {
                self.pending.push_back(epsilon);
            }
        }
    }

    fn has(&self, epsilon: f64) -> bool {
        self.curve.points.iter().any(|point| same_epsilon(point.epsilon, epsilon))
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
    pub fn step(&mut self) -> Result<Option<Step>, AttackError> {
        self.step_while(&|| true)
    }

    /// [`Sweep::step`], given up between two steps of the attack once `go_on` says no: then `None`, and the point is still
    /// to be measured.
    ///
    /// # Errors
    /// As there.
    pub fn step_while(&mut self, go_on: &dyn Fn() -> bool) -> Result<Option<Step>, AttackError> {
        self.step_watched(&mut |_| if go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// [`Sweep::step_while`] `observer`, which hears each step of the attack, goes on.
    ///
    /// # Errors
    /// As there.
    pub fn step_watched(&mut self, observer: &mut crate::attack::Observer<'_>) -> Result<Option<Step>, AttackError> {
        let Some(epsilon) = self.pending.pop_front().or_else(|| self.refine()) else { return Ok(None) };
        let start = Instant::now();
        let Some((mut attack, found)) = self.measure(epsilon, observer)? else {
            self.pending.push_front(epsilon);
            return Ok(None);
        };
        attack.seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let measure = match found {
            Some(found) if attack.epsilon > 0.0 => self.measure_control(attack.epsilon, &found)?,
            _ => self.curve.clean,
        };
        let control = CurvePoint { epsilon: attack.epsilon, measure, seconds: start.elapsed().as_secs_f64() };
        Curve::insert(&mut self.curve.points, attack);
        Curve::insert(&mut self.curve.control, control);
        Ok(Some(Step { attack, control }))
    }

    fn measure(
        &self,
        epsilon: f64,
        observer: &mut crate::attack::Observer<'_>,
    ) -> Result<Option<(CurvePoint, Option<Attempt>)>, AttackError> {
        if epsilon == 0.0 {
            let measure = self.curve.clean;
            return Ok(Some((CurvePoint { epsilon, measure, seconds: 0.0 }, None)));
        }
        let found = self.adversary.attempt(epsilon.max(0.0), observer)?;
        if found.stopped {
            return Ok(None);
        }
        let measure = self.judged(&found.image, found.flow.as_ref())?;
        let measure = measure.with_facts(found.clipped, found.displacement);
        let epsilon = if epsilon < 0.0 { measure.distortion.linf } else { epsilon };
        Ok(Some((CurvePoint { epsilon, measure, seconds: 0.0 }, Some(found))))
    }

    /// The control of what the attack has `found` at `epsilon`.
    fn measure_control(&self, epsilon: f64, found: &Attempt) -> Result<Measure, AttackError> {
        let subject = self.adversary.subject();
        let Some(pixels) = found.displacement else {
            return self
                .judged(&self.control.beside(self.adversary.attack(), &subject.x, epsilon, &found.image)?, None);
        };
        // Moved pixels are compared with pixels that are moved as far.
        let flow = random_flow(&subject.x, &[pixels], self.control_seed, subject.options().region.as_ref())?;
        self.judged(&warped(&subject.x, flow.clone()), Some(&flow))
    }

    fn judged(&self, image: &Tensor<4>, flow: Option<&Tensor<4>>) -> Result<Measure, AttackError> {
        let subject = self.adversary.subject();
        Ok(measured(&subject.judge_moved(image, flow)?, subject, &self.seen, self.stored))
    }

    /// The ε that halves (on a logarithmic axis) the gap over which the score changes most.
    fn refine(&self) -> Option<f64> {
        if self.curve.points.len() >= self.most_points {
            return None;
        }
        self.curve
            .points
            .windows(2)
            .filter(|w| w[0].epsilon > 0.0 && w[1].epsilon / w[0].epsilon > CLOSE)
            .map(|w| {
                let change = (w[0].measure.score() - w[1].measure.score()).abs();
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
    adversary: Arc<Adversary>,
    plan: &SweepPlan,
    mut told: impl FnMut(usize, usize),
) -> Result<Curve, AttackError> {
    sweep_watched(adversary, plan, &mut |done, total, running| {
        if running.is_none() {
            told(done, total);
        }
    })
}

/// [`sweep`]; while an attack runs, `told` hears its own steps, done and in all, too.
///
/// # Errors
/// As there.
pub fn sweep_watched(
    adversary: Arc<Adversary>,
    plan: &SweepPlan,
    told: &mut dyn FnMut(usize, usize, Option<[usize; 2]>),
) -> Result<Curve, AttackError> {
    let mut sweep = Sweep::new(adversary, plan)?;
    loop {
        let (done, total) = sweep.progress();
        let step = sweep.step_watched(&mut |step| {
            told(done, total, Some([step.index, step.of]));
            ControlFlow::Continue(())
        })?;
        if step.is_none() {
            return Ok(sweep.curve);
        }
        let (done, total) = sweep.progress();
        told(done, total, None);
    }
}
