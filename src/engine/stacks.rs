//! Stacks that were read, shared by what is shown and by thumbnails, so that a file of many slices is decoded once.

use crate::data::{self, DataError, FirstWish, Stack, StoredType};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Stacks are kept up to so many bytes of pixels, the one that was used last whatever its size.
pub(super) const MOST_BYTES: usize = 256 << 20;

struct Kept {
    path: PathBuf,
    /// When the file was changed last: a changed file is read anew.
    changed: Option<SystemTime>,
    stack: Arc<Stack>,
}

#[derive(Default)]
struct State {
    /// The last used is last.
    kept: Vec<Kept>,
    /// What is being read.
    reading: Vec<PathBuf>,
}

/// The stacks.
#[derive(Default)]
pub(super) struct Stacks {
    state: Mutex<State>,
    read: Condvar,
}

impl Stacks {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stack in the file at `path`: a kept one, one that another thread is reading, or read here; then `first` is shown a
    /// slice of a large one before all of it is read.
    ///
    /// # Errors
    /// As [`data::open`].
    pub(super) fn open(
        &self,
        path: &Path,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(f32),
        first: Option<FirstWish<'_>>,
    ) -> Result<Arc<Stack>, DataError> {
        let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let mut state = self.lock();
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Err(DataError::cancelled(path));
            }
            if let Some(place) = state.kept.iter().position(|kept| kept.path == path) {
                let kept = state.kept.remove(place);
                if kept.changed == changed {
                    let stack = kept.stack.clone();
                    state.kept.push(kept);
                    return Ok(stack);
                }
            }
            if !state.reading.iter().any(|reading| reading == path) {
                break;
            }
            let waited = self.read.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.reading.push(path.to_owned());
        drop(state);
        let read = data::open_showing_first(path, cancel, progress, first).map(Arc::new);
        let mut state = self.lock();
        state.reading.retain(|reading| reading != path);
        self.read.notify_all();
        let stack = read?;
        // A single image is read as quickly as it is found.
        if stack.slices > 1 {
            state.kept.push(Kept { path: path.to_owned(), changed, stack: stack.clone() });
            let mut total: usize = state.kept.iter().map(|kept| bytes(&kept.stack)).sum();
            while total > MOST_BYTES && state.kept.len() > 1 {
                total -= bytes(&state.kept.remove(0).stack);
            }
        }
        Ok(stack)
    }
}

fn bytes(stack: &Stack) -> usize {
    stack.pixels.len()
        * match stack.stored() {
            StoredType::U8 => 1,
            StoredType::U16 | StoredType::I16 => 2,
            StoredType::F32 => 4,
        }
}
