//! The job lane: one thread, one job at a time, in steps between which it can be paused, cancelled or replaced.

use super::comparison::{self, ComparisonJob};
use super::kept::KeptCurve;
use super::{Event, ExportReport, JobState, JobStatus, Outbox, Problem, Series};
use crate::study::report::{VolumeAttack, VolumeRun};
use crate::study::{Curve, SeenPlan, Sweep, same_epsilon};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Makes the sweep, on the job's thread.
type Prepare = Box<dyn FnOnce() -> Result<Sweep, String> + Send>;

/// A curve to be measured.
pub(super) struct CurveJob {
    /// The curve's generation.
    pub generation: u64,
    /// What it measures of the shown image.
    pub seen: SeenPlan,
    /// Makes the sweep (which may compute).
    pub prepare: Prepare,
    /// It adds a point to a curve that is done, and is no news as a job.
    pub single: bool,
}

/// A volume to be attacked and written.
pub(super) struct VolumeJob {
    /// What is done to each slice.
    pub attack: VolumeAttack,
    /// The file.
    pub path: PathBuf,
}

/// What the lane does.
pub(super) enum Job {
    /// Measures a curve.
    Curve(CurveJob),
    /// Writes an adversarial volume.
    Volume(VolumeJob),
    /// Measures several attacks.
    Comparison(Box<ComparisonJob>),
}

impl Job {
    /// Whether a person asked for it, so that what starts on its own waits for it.
    fn is_asked_for(&self) -> bool {
        !matches!(self, Self::Curve(_))
    }
}

#[derive(Default)]
struct State {
    next: Option<Job>,
    /// A curve that waits for what a person asked for.
    later: Option<Job>,
    /// A person asked for the running job.
    asked_for: bool,
    /// The running job writes a volume.
    writes_volume: bool,
    paused: bool,
    /// The running job is to stop; it clears this.
    cancel: bool,
    closed: bool,
    curve: KeptCurve,
    /// The generation of the curve that is being measured.
    measuring: Option<u64>,
    /// An ε that is looked at and is to be measured next, on the curve of this generation. It stays until it is measured.
    looked_at: Option<(u64, f64)>,
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the running job is still wanted.
    pub(super) fn goes_on(&self) -> bool {
        let state = self.lock();
        !state.cancel && state.next.is_none() && !state.closed
    }
}

/// The lane's handle; dropping it ends the thread after its present step.
pub(super) struct JobLane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl JobLane {
    pub(super) fn start(outbox: Outbox) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = shared.clone();
        let thread = std::thread::Builder::new().name("jobs".to_owned()).spawn(move || run(&worker, &outbox))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Cancels what runs and starts `job`. A curve, which starts on its own, waits for what a person asked for.
    pub(super) fn replace(&self, job: Job) {
        let mut state = self.shared.lock();
        if let Job::Curve(job) = &job {
            state.curve.begin(job.generation, &job.seen);
        }
        let asked_for = state.asked_for || state.next.as_ref().is_some_and(Job::is_asked_for);
        if asked_for && !job.is_asked_for() {
            state.later = Some(job);
            return;
        }
        state.next = Some(job);
        state.paused = false;
        self.shared.changed.notify_all();
    }

    pub(super) fn control(&self) -> JobControl {
        JobControl(self.shared.clone())
    }

    pub(super) fn cancel(&self) {
        self.control().cancel();
    }

    /// Whether a volume is being written or waits to be.
    pub(super) fn writes_volume(&self) -> bool {
        let state = self.shared.lock();
        state.writes_volume || matches!(state.next, Some(Job::Volume(_)))
    }

    /// As [`Self::cancel`], of curves: what is shown has changed. The other jobs are of what was shown when they were asked
    /// for.
    pub(super) fn cancel_curve(&self) {
        let mut state = self.shared.lock();
        state.later = None;
        state.next.take_if(|job| matches!(job, Job::Curve(_)));
        if !state.asked_for {
            state.cancel = true;
            self.shared.changed.notify_all();
        }
    }

    /// Wishes for a point at `epsilon` on the curve of `generation` if that has none and is being measured; whether somebody
    /// else has to see to it.
    pub(super) fn look_at(&self, generation: u64, epsilon: f64) -> bool {
        let mut state = self.shared.lock();
        if state.curve.has(generation, epsilon) {
            return false;
        }
        let waits = matches!(&state.next, Some(Job::Curve(job)) if job.generation == generation);
        if waits || state.measuring == Some(generation) {
            state.looked_at = Some((generation, epsilon));
            return false;
        }
        // A curve that was never begun, or is to wait, is not begun for one point.
        let begun = state.curve.of(generation).is_some();
        let free = begun && state.next.is_none() && state.later.is_none() && !state.asked_for;
        if free {
            // Should the job for it be replaced by that of the whole curve, that measures it.
            state.looked_at = Some((generation, epsilon));
        }
        free
    }

    /// The curve of `generation`, as far as it is measured.
    pub(super) fn curve(&self, generation: u64) -> Option<Curve> {
        self.shared.lock().curve.of(generation).cloned()
    }
}

/// Pauses and cancels what the lane does, from any thread.
#[derive(Clone)]
pub(super) struct JobControl(Arc<Shared>);

impl JobControl {
    pub(super) fn pause(&self, paused: bool) {
        self.0.lock().paused = paused;
        self.0.changed.notify_all();
    }

    pub(super) fn cancel(&self) {
        let mut state = self.0.lock();
        state.cancel = true;
        state.next = None;
        state.later = None;
        self.0.changed.notify_all();
    }
}

impl Drop for JobLane {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.cancel = true;
            self.shared.changed.notify_all();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, outbox: &Outbox) {
    loop {
        let job = {
            let mut state = shared.lock();
            (state.writes_volume, state.asked_for, state.measuring) = (false, false, None);
            loop {
                if state.closed {
                    return;
                }
                if let Some(job) = state.next.take().or_else(|| state.later.take()) {
                    state.cancel = false;
                    state.writes_volume = matches!(job, Job::Volume(_));
                    state.asked_for = job.is_asked_for();
                    if let Job::Curve(job) = &job {
                        state.measuring = Some(job.generation);
                    }
                    break job;
                }
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // A kernel that panics (out of memory on a GPU) must not take the lane with it.
        let (name, what) = match &job {
            Job::Curve(_) => (CURVE, "Measure the curve"),
            Job::Volume(_) => (VOLUME, "Export"),
            Job::Comparison(_) => (COMPARISON, "Compare attacks"),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Curve(job) => curve(shared, outbox, job),
            Job::Volume(job) => volume(shared, outbox, job),
            Job::Comparison(job) => {
                comparison::measure(shared, outbox, &job);
                Ok(())
            }
        }))
        .unwrap_or_else(|panic| Err(super::panic_text(panic.as_ref())));
        if let Err(why) = outcome {
            outbox.send(Event::Failed(Problem { what: what.to_owned(), why }));
            outbox.send(Event::Job(status(name, 0, 0, None, JobState::Failed)));
        }
    }
}

/// The names of the jobs.
const CURVE: &str = "curve";
const VOLUME: &str = "volume";
pub(super) const COMPARISON: &str = "comparison";

pub(super) fn status(name: &str, done: usize, total: usize, remaining_secs: Option<f64>, state: JobState) -> JobStatus {
    JobStatus { name: name.to_owned(), done, total, remaining_secs, state }
}

/// Waits while the lane is paused and tells how far it is; `false` if the job is to stop, which has been told then.
pub(super) fn may_go_on(
    shared: &Shared,
    outbox: &Outbox,
    name: &str,
    (done, total): (usize, usize),
    busy_secs: f64,
) -> bool {
    let remaining = (done > 0).then(|| busy_secs / done as f64 * total.saturating_sub(done) as f64);
    let mut told_pause = false;
    let mut state = shared.lock();
    loop {
        if state.cancel || state.next.is_some() || state.closed {
            state.cancel = false;
            drop(state);
            outbox.send(Event::Job(status(name, done, total, None, JobState::Cancelled)));
            return false;
        }
        if !state.paused {
            drop(state);
            outbox.send(Event::Job(status(name, done, total, remaining, JobState::Running)));
            return true;
        }
        if !told_pause {
            outbox.send(Event::Job(status(name, done, total, remaining, JobState::Paused)));
            told_pause = true;
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Attacks slice after slice, and writes the volume when all are done.
fn volume(shared: &Shared, outbox: &Outbox, job: VolumeJob) -> Result<(), String> {
    let mut run = VolumeRun::new(job.attack);
    let mut busy_secs = 0.0;
    loop {
        if !may_go_on(shared, outbox, VOLUME, run.progress(), busy_secs) {
            return Ok(());
        }
        let start = Instant::now();
        if !run.step().map_err(|e| e.to_string())? {
            break;
        }
        busy_secs += start.elapsed().as_secs_f64();
    }
    let (done, total) = run.progress();
    let saved = run.write(&job.path).map_err(|e| e.to_string())?;
    outbox.send(Event::Exported(ExportReport { path: job.path, saved: None, volume: Some(saved) }));
    outbox.send(Event::Job(status(VOLUME, done, total, None, JobState::Finished)));
    Ok(())
}

fn curve(shared: &Shared, outbox: &Outbox, job: CurveJob) -> Result<(), String> {
    let mut sweep = (job.prepare)()?;
    let is_of_this = |looked_at: &(u64, f64)| looked_at.0 == job.generation;
    if !job.single {
        sweep.measure_also(shared.lock().curve.again());
    }
    let mut busy_secs = 0.0;
    loop {
        let looked_at = shared.lock().looked_at.filter(is_of_this);
        if let Some((_, epsilon)) = looked_at
            && !sweep.measure_next(epsilon)
        {
            shared.lock().looked_at.take_if(|now| Some(*now) == looked_at);
        }
        let (done, total) = sweep.progress();
        let wanted = || shared.goes_on();
        if job.single && !wanted() || !job.single && !may_go_on(shared, outbox, CURVE, (done, total), busy_secs) {
            return Ok(());
        }
        let start = Instant::now();
        let Some(step) = sweep.step_while(&wanted).map_err(|e| e.to_string())? else {
            if !wanted() {
                // Given up between two steps of the attack.
                continue;
            }
            let mut state = shared.lock();
            if state.looked_at.as_ref().is_some_and(is_of_this) {
                continue;
            }
            state.measuring = None;
            drop(state);
            if !job.single {
                outbox.send(Event::Job(status(CURVE, done, done, None, JobState::Finished)));
            }
            return Ok(());
        };
        busy_secs += start.elapsed().as_secs_f64();
        let mut state = shared.lock();
        if !state.curve.keep(job.generation, &job.seen, sweep.curve()) {
            continue;
        }
        let here = step.attack.epsilon;
        state.looked_at.take_if(|looked_at| is_of_this(looked_at) && same_epsilon(looked_at.1, here));
        drop(state);
        for (series, point) in [(Series::Attack, step.attack), (Series::Control, step.control)] {
            outbox.send(Event::CurvePoint { generation: job.generation, series, point });
        }
    }
}
