//! Several attacks over one grid of ε, measured one after the other on the job lane.

use super::job::{COMPARISON, Shared, may_go_on, status};
use super::{CaseInfo, Event, JobState, Outbox};
use crate::attack::{Attack, EpsilonMeaning, Norm};
use crate::study::{Adversary, CurvePoint, Measure, Subject, Sweep, SweepPlan};
use std::sync::Arc;
use std::time::Instant;

/// What a comparison is of.
#[derive(Clone, Debug)]
pub struct ComparisonStart {
    /// Counts comparisons.
    pub number: u64,
    /// The case that it is measured on; the present one is another once it has changed.
    pub case: Arc<CaseInfo>,
    /// The name of the model.
    pub model: String,
    /// Where it is computed, for people.
    pub device: String,
    /// The attacks, in their order.
    pub attacks: Vec<Attack>,
    /// The grid, fractions of the bounds' width; of an attack that bounds an L2 norm times √(number of values). An attack that finds its
    /// own ε has one point, there.
    pub epsilons: Vec<f64>,
    /// The clean image's measures.
    pub clean: Measure,
}

/// News of a comparison.
#[derive(Clone, Debug)]
pub struct ComparisonNews {
    /// Whose news.
    pub number: u64,
    /// The attack, by its place.
    pub attack: usize,
    /// What is new.
    pub what: ComparedWhat,
}

/// What is new of one attack.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few a second")]
pub enum ComparedWhat {
    /// A point, with the control's at the same ε where ε is its L∞ radius.
    Point(CurvePoint, Option<CurvePoint>),
    /// It cannot be measured, and why; the others go on.
    Refused(String),
}

/// Several attacks to be measured.
pub(super) struct ComparisonJob {
    pub start: ComparisonStart,
    pub subject: Arc<Subject>,
    /// What is prepared already, and remembers its images.
    pub known: Arc<Adversary>,
}

/// Measures attack after attack.
pub(super) fn measure(shared: &Shared, outbox: &Outbox, job: &ComparisonJob) {
    let ComparisonJob { start, subject, known } = job;
    let tell = |attack: usize, what: ComparedWhat| {
        outbox.send(Event::Compared(ComparisonNews { number: start.number, attack, what }));
    };
    let points = |attack: &Attack| match attack.entry().epsilon {
        EpsilonMeaning::Found => 2,
        _ => start.epsilons.len(),
    };
    let total: usize = start.attacks.iter().map(points).sum();
    let (mut done, mut busy_secs) = (0, 0.0);
    for (i, &attack) in start.attacks.iter().enumerate() {
        let of_radius = attack.entry().epsilon == EpsilonMeaning::Radius && attack.norm() == Some(Norm::Linf);
        // On the common grid an attack in L2 stands at its norm over that of a change by ε of every value.
        let unit = attack.axis_unit(&subject.x);
        let name = format!("{COMPARISON}, {}", attack.title());
        let first = done;
        let mut sweep: Option<Sweep> = None;
        loop {
            if !may_go_on(shared, outbox, &name, (done, total), busy_secs) {
                return;
            }
            let begun = Instant::now();
            let stepped = match &mut sweep {
                Some(sweep) => sweep.step_while(&|| shared.goes_on()),
                None => {
                    let adversary = if known.attack() == attack {
                        Ok(known.clone())
                    } else {
                        Adversary::new(subject.clone(), attack).map(Arc::new)
                    };
                    let plan = SweepPlan { relative: true, ..SweepPlan::exactly(start.epsilons.clone()) };
                    match adversary.and_then(|adversary| Sweep::new(adversary, &plan)) {
                        Ok(made) => {
                            sweep = Some(made);
                            continue;
                        }
                        Err(why) => Err(why),
                    }
                }
            };
            busy_secs += begun.elapsed().as_secs_f64();
            match stepped {
                Ok(Some(step)) => {
                    done += 1;
                    let point = CurvePoint { epsilon: step.attack.epsilon / unit, ..step.attack };
                    tell(i, ComparedWhat::Point(point, of_radius.then_some(step.control)));
                }
                // Given up between two steps of the attack: what comes next says why.
                Ok(None) if !shared.goes_on() => {}
                Ok(None) => break,
                Err(why) => {
                    tell(i, ComparedWhat::Refused(why.to_string()));
                    break;
                }
            }
        }
        done = first + points(&attack);
    }
    outbox.send(Event::Job(status(COMPARISON, total, total, None, JobState::Finished)));
}
