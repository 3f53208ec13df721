//! Threads for one short task after another. Rayon's go to sleep between the layers of a network and are woken for each,
//! and the thread that asks sleeps meanwhile; here it works itself, and its helpers look out for the next layer for a
//! while before they sleep. A helper that comes too late finds the work done: nobody waits for it.

// A task lives on the stack of the thread that asks, which does not return before all helpers have left it.
#![allow(unsafe_code)]

use rayon::prelude::*;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a helper looks out for the next task before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Does job number 0…`jobs` − 1, in any order, on all threads, at least `least` at a time on each.
pub(super) fn for_each(jobs: usize, least: usize, job: impl Fn(usize) + Sync) {
    let chunks = jobs.div_ceil(least.max(1));
    let least = jobs.div_ceil(chunks.max(1));
    let chunk = |i: usize| (i * least..((i + 1) * least).min(jobs)).for_each(&job);
    if chunks <= 1 {
        return chunk(0);
    }
    // A worker of rayon's has others to share with, and a second thread that asks at the same time shares with them too.
    let team = if rayon::current_thread_index().is_some() { None } else { team() };
    let held = team.and_then(|team| match team.busy.try_lock() {
        Ok(busy) => Some((team, busy)),
        Err(TryLockError::Poisoned(busy)) => Some((team, busy.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    });
    match held {
        Some((team, _busy)) => team.run(chunks, &chunk),
        None => (0..chunks).into_par_iter().for_each(chunk),
    }
}

/// [`for_each`] of the parts of `all` of `length` each, with their numbers.
pub(super) fn for_each_part<T: Send>(
    all: &mut [T],
    length: usize,
    least: usize,
    part: impl Fn(usize, &mut [T]) + Sync,
) {
    struct Start<T>(*mut T);
    // SAFETY: parts do not overlap.
    unsafe impl<T: Send> Sync for Start<T> {}
    let (start, end) = (Start(all.as_mut_ptr()), all.len());
    let start = &start;
    for_each(end.div_ceil(length.max(1)), least, move |i| {
        let range = i * length..((i + 1) * length).min(end);
        // SAFETY: within `all`, and no other job's.
        part(i, unsafe { std::slice::from_raw_parts_mut(start.0.add(range.start), range.len()) });
    });
}

/// What helpers do: a function of a job's number.
type Task = *const (dyn Fn(usize) + Sync);

struct Team {
    /// Held while there is a task.
    busy: Mutex<()>,
    helpers: OnceLock<Vec<Helper>>,
    /// Grows with each task; odd while one is open.
    epoch: AtomicUsize,
    task: UnsafeCell<Option<Task>>,
    jobs: AtomicUsize,
    next: AtomicUsize,
    /// Helpers that may look at the task.
    inside: AtomicUsize,
    failed: AtomicBool,
}
// SAFETY: the task is written by the holder of `busy` only, while no helper is inside.
unsafe impl Sync for Team {}
// SAFETY: what it points to is Sync.
unsafe impl Send for Team {}

struct Helper {
    thread: Thread,
    asleep: AtomicBool,
}

/// The team, if this machine has more than one thread.
fn team() -> Option<&'static Team> {
    static TEAM: Team = Team {
        busy: Mutex::new(()),
        helpers: OnceLock::new(),
        epoch: AtomicUsize::new(0),
        task: UnsafeCell::new(None),
        jobs: AtomicUsize::new(0),
        next: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    };
    let helpers = TEAM.helpers.get_or_init(|| {
        let start = |number: usize| {
            let handle = std::thread::Builder::new().name(format!("kernel {number}")).spawn(move || TEAM.help(number));
            handle.ok().map(|handle| Helper { thread: handle.thread().clone(), asleep: AtomicBool::new(false) })
        };
        (0..rayon::current_num_threads() - 1).map_while(start).collect()
    });
    (!helpers.is_empty()).then_some(&TEAM)
}

impl Team {
    /// Does all jobs. The caller holds `busy`.
    fn run(&self, jobs: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime is forgotten; `Open` waits until nobody is inside any more.
        let task: Task = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Task>(task) };
        // SAFETY: the last task is closed and nobody is inside: this thread alone looks at it.
        unsafe { *self.task.get() = Some(task) };
        self.jobs.store(jobs, SeqCst);
        self.next.store(0, SeqCst);
        self.failed.store(false, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
        let open = Open(self);
        for helper in self.helpers.get().into_iter().flatten().take(jobs - 1) {
            if helper.asleep.swap(false, SeqCst) {
                helper.thread.unpark();
            }
        }
        self.work(task);
        drop(open);
        assert!(!self.failed.load(SeqCst), "a helper panicked; its message is above");
    }

    /// Does jobs until none is left.
    fn work(&self, task: Task) {
        let jobs = self.jobs.load(SeqCst);
        loop {
            let job = self.next.fetch_add(1, SeqCst);
            if job >= jobs {
                return;
            }
            // SAFETY: the task is alive: the caller is the one that asked, or inside.
            unsafe { (*task)(job) };
        }
    }

    /// A helper's life.
    fn help(&self, number: usize) {
        let mut seen = 0;
        loop {
            let epoch = self.next_epoch(seen, number);
            self.inside.fetch_add(1, SeqCst);
            // Whoever closes the task does it before looking who is inside: it is open, or this is seen here.
            if self.epoch.load(SeqCst) == epoch {
                // SAFETY: the task is open, and stays as it is until `inside` is 0.
                if let Some(task) = unsafe { *self.task.get() }
                    && catch_unwind(AssertUnwindSafe(|| self.work(task))).is_err()
                {
                    self.failed.store(true, SeqCst);
                }
            }
            self.inside.fetch_sub(1, SeqCst);
            seen = epoch;
        }
    }

    /// Waits for an open task that is not the one of epoch `seen`.
    fn next_epoch(&self, seen: usize, number: usize) -> usize {
        let is_new = || Some(self.epoch.load(SeqCst)).filter(|&epoch| !epoch.is_multiple_of(2) && epoch != seen);
        loop {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                for _ in 0..64 {
                    if let Some(epoch) = is_new() {
                        return epoch;
                    }
                    std::hint::spin_loop();
                }
            }
            let Some(helper) = self.helpers.get().and_then(|helpers| helpers.get(number)) else {
                std::thread::yield_now();
                continue;
            };
            helper.asleep.store(true, SeqCst);
            // A task that was opened before this helper said that it sleeps wakes nobody.
            if let Some(epoch) = is_new() {
                helper.asleep.store(false, SeqCst);
                return epoch;
            }
            std::thread::park();
            helper.asleep.store(false, SeqCst);
        }
    }
}

/// A task that helpers may enter, until this is dropped: then none of them is inside.
struct Open<'a>(&'a Team);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // What is left is left if this thread panicked.
        self.0.next.store(self.0.jobs.load(SeqCst), SeqCst);
        self.0.epoch.fetch_add(1, SeqCst);
        let start = Instant::now();
        while self.0.inside.load(SeqCst) > 0 {
            // A helper may have lost its processor to another program.
            if start.elapsed() < PATIENCE { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_whoever_asks() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for jobs in (0..200).chain([5000]) {
                        let done: Vec<AtomicUsize> = (0..jobs).map(|_| AtomicUsize::new(0)).collect();
                        for_each(jobs, 1 + thread, |i| {
                            done[i].fetch_add(1, SeqCst);
                        });
                        assert!(done.iter().all(|d| d.load(SeqCst) == 1), "{jobs} jobs");
                        let mut parts = vec![0; jobs];
                        for_each_part(&mut parts, 7, thread, |i, part| part.fill(i + 1));
                        assert!(parts.iter().enumerate().all(|(i, &part)| part == i / 7 + 1), "{jobs} places");
                    }
                });
            }
        });
        // Jobs that ask themselves.
        let count = AtomicUsize::new(0);
        for_each(9, 1, |_| for_each(11, 2, |_| _ = count.fetch_add(1, SeqCst)));
        assert_eq!(count.load(SeqCst), 99);
    }

    #[test]
    fn a_job_that_panics_is_heard_and_the_next_task_is_done() {
        for bad in 0..20 {
            let panics = catch_unwind(|| for_each(20, 1, |i| assert_ne!(i, bad, "on purpose")));
            assert!(panics.is_err());
            let count = AtomicUsize::new(0);
            for_each(50, 1, |_| _ = count.fetch_add(1, SeqCst));
            assert_eq!(count.load(SeqCst), 50);
        }
    }
}
