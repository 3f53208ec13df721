//! Observers whose threshold is known go through the whole chain, many times: does the interval hold what it promises?

use super::bootstrap::uniform;
use super::{
    Answer, Condition, FitError, Next, Plan, PlanError, Procedure, Psychometric, Side, Trial, bootstrap, fit, wilson,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The observer; lapsing if λ is above 0.
    pub observer: Psychometric,
    /// The study that every run goes through; its seed is that of the first run.
    pub plan: Plan,
    /// Runs.
    pub runs: usize,
    /// Resamples of the bootstrap beside the posterior; 0: none.
    pub resamples: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Runs.
    pub runs: usize,
    /// Runs whose interval of 95 % holds the true threshold.
    pub covered: usize,
    /// The same of the bootstrap's interval, if asked for.
    pub bootstrap_covered: Option<usize>,
    /// Wilson's interval of the share covered.
    pub interval: [f64; 2],
    /// Median of estimate/truth − 1.
    pub median_bias: f64,
    /// Mean of log(estimate/truth), as a factor less 1.
    pub mean_bias: f64,
    /// Median of the interval's upper end over its lower one.
    pub median_width: f64,
    /// Runs whose interval has no upper end: lapses may be too many for ψ to reach ¾.
    pub unbounded: usize,
    /// The threshold that was to be found.
    pub truth: f64,
}

impl Coverage {
    /// Share of the runs whose interval holds the truth.
    pub fn share(&self) -> f64 {
        self.covered as f64 / self.runs as f64
    }
}

/// Why nothing can be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// The study.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The observer's ψ does not reach its threshold.
    #[error("the observer has no threshold: α and β above 0 and a lapse rate below 0.25 have one")]
    NoThreshold,
    /// Its answers.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// There is nothing to count.
    #[error("there are no runs")]
    NoRuns,
}

/// One run's estimate, its interval, and that of the bootstrap.
struct Run {
    estimate: f64,
    interval: [f64; 2],
    bootstrap: Option<[f64; 2]>,
}

/// Runs `simulation`; `told` hears after each run.
///
/// # Errors
/// [`SimulationError`].
pub fn simulate(simulation: &Simulation, told: impl Fn() + Sync) -> Result<Coverage, SimulationError> {
    let Simulation { observer, plan, runs, .. } = simulation;
    let sane = observer.alpha > 0.0 && observer.beta > 0.0 && observer.lambda >= 0.0 && observer.gamma >= 0.0;
    let truth = observer.threshold().filter(|t| sane && t.is_finite()).ok_or(SimulationError::NoThreshold)?;
    let blank = Condition { image: "simulated".to_owned(), attack: "simulated".to_owned() };
    let plan = Plan { conditions: vec![blank], ..plan.clone() };
    plan.check()?;
    if *runs == 0 {
        return Err(SimulationError::NoRuns);
    }
    let of = |i: usize| {
        let found = run(simulation, Plan { seed: plan.seed.wrapping_add(i as u64), ..plan.clone() });
        told();
        found
    };
    let found: Vec<Run> = (0..*runs).into_par_iter().map(of).collect::<Result<_, _>>()?;
    let holds = |[low, high]: [f64; 2]| low <= truth && truth <= high;
    let covered = found.iter().filter(|r| holds(r.interval)).count();
    let bootstraps: Vec<[f64; 2]> = found.iter().filter_map(|r| r.bootstrap).collect();
    let logs: Vec<f64> = found.iter().map(|r| (r.estimate / truth).ln()).collect();
    Ok(Coverage {
        runs: *runs,
        covered,
        bootstrap_covered: (!bootstraps.is_empty()).then(|| bootstraps.iter().filter(|b| holds(**b)).count()),
        interval: wilson(covered as u64, *runs as u64),
        median_bias: median(found.iter().map(|r| r.estimate / truth - 1.0).collect()),
        mean_bias: (logs.iter().sum::<f64>() / logs.len() as f64).exp_m1(),
        median_width: median(found.iter().map(|r| r.interval[1] / r.interval[0]).collect()),
        unbounded: found.iter().filter(|r| r.interval[1].is_infinite()).count(),
        truth,
    })
}

fn run(simulation: &Simulation, plan: Plan) -> Result<Run, SimulationError> {
    // It answers to the ε that are asked for.
    let (task, range, seed) = (plan.task, [plan.smallest(), plan.largest()], plan.seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The procedure's own streams begin at 0.
    rng.set_stream(u64::MAX);
    let mut study = Procedure::new(plan)?;
    loop {
        match study.next() {
            Next::Trial(trial) => {
                let answer = answer(&simulation.observer, &trial, &mut rng);
                // It answers the question that it was asked.
                if study.answer(answer, 0.0).is_err() {
                    break;
                }
            }
            Next::Break { .. } => study.rested(),
            Next::Done => break,
        }
    }
    let blocks = study.blocks(0);
    let found = fit(&blocks, task, range)?;
    let resampled = simulation.resamples > 0;
    Ok(Run {
        estimate: found.threshold.median,
        interval: found.threshold.interval,
        bootstrap: resampled.then(|| bootstrap(&found, &blocks, task, range, simulation.resamples, seed)),
    })
}

fn answer(observer: &Psychometric, trial: &Trial, rng: &mut ChaCha8Rng) -> Answer {
    let positive = uniform(rng) < observer.probability(trial.epsilon);
    match (trial.side, positive) {
        (Some(Side::Left), true) | (Some(Side::Right), false) => Answer::Left,
        (Some(_), _) => Answer::Right,
        (None, true) => Answer::Altered,
        (None, false) => Answer::Unaltered,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
