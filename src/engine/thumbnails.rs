//! Thumbnails of a data set, made by a small pool of threads: only those that are wished for, the first wishes first.
//! What is no longer wished for (scrolled away) is dropped, or cancelled where its file is being read.

use super::stacks::Stacks;
use super::{Event, Outbox, panic_text};
use crate::data::{DataError, Dataset, Placing, Thumbnail};
use crate::view::{Orientation, pixel_shape};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Thumbnails have no more pixels than this on a side.
pub const THUMBNAIL_SIDE: usize = 160;

#[derive(Default)]
struct State {
    set: Option<Arc<Dataset>>,
    wanted: VecDeque<usize>,
    running: Vec<(Arc<Dataset>, usize, Arc<AtomicBool>)>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    stacks: Arc<Stacks>,
    outbox: Outbox,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool. Dropping it ends its threads.
pub(super) struct Thumbnails {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Thumbnails {
    pub(super) fn start(stacks: Arc<Stacks>, outbox: Outbox) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), arrived: Condvar::new(), stacks, outbox });
        // The model needs the processor more.
        let count = std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 4));
        let threads = (0..count)
            .map(|_| {
                let shared = shared.clone();
                std::thread::Builder::new().name("thumbnails".to_owned()).spawn(move || run(&shared))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Makes these of `set`, and no others any more.
    pub(super) fn wish(&self, set: Arc<Dataset>, indices: Vec<usize>) {
        let mut state = self.shared.lock();
        let mut wanted = VecDeque::from(indices);
        for (other, index, cancel) in &state.running {
            if Arc::ptr_eq(other, &set) && wanted.contains(index) {
                wanted.retain(|wanted| wanted != index);
            } else {
                cancel.store(true, Ordering::Relaxed);
            }
        }
        (state.set, state.wanted) = (Some(set), wanted);
        self.shared.arrived.notify_all();
    }
}

impl Drop for Thumbnails {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        for (_, _, cancel) in &state.running {
            cancel.store(true, Ordering::Relaxed);
        }
        drop(state);
        self.shared.arrived.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        let (set, index) = loop {
            if state.closed {
                return;
            }
            let next = state.wanted.pop_front();
            if let (Some(set), Some(index)) = (state.set.clone(), next) {
                break (set, index);
            }
            state = shared.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let cancel = Arc::new(AtomicBool::new(false));
        state.running.push((set.clone(), index, cancel.clone()));
        drop(state);
        let made = catch_unwind(AssertUnwindSafe(|| make(&set, index, &shared.stacks, &cancel)))
            .unwrap_or_else(|panic| Err(DataError::new(&set.path, panic_text(panic.as_ref()), "")));
        shared.lock().running.retain(|(_, _, other)| !Arc::ptr_eq(other, &cancel));
        match made {
            Err(error) if error.is_cancelled() => {}
            made => {
                let made = made.map_err(|error| error.to_string());
                shared.outbox.send(Event::Thumbnail { set, index, made });
            }
        }
    }
}

fn make(set: &Dataset, index: usize, stacks: &Stacks, cancel: &AtomicBool) -> Result<Thumbnail, DataError> {
    let entry = set.entries.get(index).ok_or_else(|| DataError::new(&set.path, "has no such entry", ""))?;
    let (file, slice) = (&entry.image.file, entry.image.slice);
    let stack = stacks.open(file, cancel, &mut |_| {}, None)?;
    let missing = || DataError::new(file, format!("has {} slices, and not slice {slice}", stack.slices), "");
    // As the window shows it at first.
    let Orientation { transposed, flipped } = stack.about.axes().map(Orientation::radiological).unwrap_or_default();
    let spacing = stack.about.spacing.map(|[_, rows, columns]| [rows, columns]);
    let placing = Placing { pixel: pixel_shape(spacing), transposed, flipped };
    Thumbnail::new(&stack, slice, THUMBNAIL_SIDE, placing).ok_or_else(missing)
}
