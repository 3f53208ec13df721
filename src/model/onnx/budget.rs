//! How much memory an operator may ask for: a few bytes of a file can promise any size, and an allocation that fails ends the
//! program. Operators ask before they make a tensor.

use crate::model::memory::{free_bytes, gibibytes};
use std::cell::Cell;

/// How a refusal begins; what follows depends on the budget.
const REFUSED: &str = "more memory than may be used";

/// A tensor of fewer bytes is made without a look at what is free.
const SMALL_BYTES: u64 = 128 << 20;

/// What finding something out may take at least, however small the image.
const PROBE_BYTES: u64 = 512 << 20;

/// As many values for each of the image may lie on edges while something is found out.
const PROBE_FACTOR: u64 = 256;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Why a graph is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody wants its output.
    Result,
    /// To find out something about it: nobody asked for it, so that it must be cheap.
    Probe,
}

impl Purpose {
    /// Bytes that may lie on edges, for `images` whose input takes `input` bytes in all, where `memory` was said to be enough for
    /// one.
    pub fn bytes(self, memory: Option<u64>, images: usize, input: u64) -> u64 {
        match self {
            Self::Result => memory.map_or(u64::MAX, |bytes| bytes.saturating_mul(images.max(1) as u64)),
            Self::Probe => input.saturating_mul(PROBE_FACTOR).max(PROBE_BYTES).min(free_bytes() / 4 * 3),
        }
    }

    /// What helps where a run was refused its memory.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Result => "Take a smaller image, or allow more memory (--memory)",
            Self::Probe => {
                "That much is not spent on finding out what a model is; a card beside it (or --card), with its task and its sizes, \
                 makes that needless. Check that the file is whole and means this size"
            }
        }
    }
}

/// Takes the budget away again, also where `work` panicked.
struct Until(u64);

impl Drop for Until {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// Runs `work`, in which no tensor of more than `left` bytes may be made.
pub fn within<T>(left: u64, work: impl FnOnce() -> T) -> T {
    let _until = Until(LEFT.replace(left));
    work()
}

/// Refuses a tensor of `shape` that takes more than there is.
///
/// # Errors
/// If it does.
pub fn check(shape: &[usize], bytes: u64) -> Result<(), String> {
    let left = LEFT.get();
    // What is made of it in passing takes as much again.
    let free = if bytes < SMALL_BYTES { u64::MAX } else { free_bytes() / 2 };
    if bytes <= left.min(free) {
        return Ok(());
    }
    let (needed, left) = (gibibytes(bytes), gibibytes(left.min(free)));
    Err(format!("a tensor of shape {shape:?} takes {needed}, {REFUSED}: {left}"))
}

/// Whether `cause` is a refusal of [`check`].
pub fn is_refusal(cause: &str) -> bool {
    cause.contains(REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_inside_only() {
        let said = within(1 << 20, || {
            assert!(check(&[1 << 10], 4 << 10).is_ok());
            check(&[1 << 19], 2 << 20).unwrap_err()
        });
        assert!(is_refusal(&said) && said.contains("[524288]"), "{said}");
        assert!(check(&[1 << 19], 2 << 20).is_ok());
        assert!(check(&[1 << 40], 1 << 60).is_err(), "more than any machine has");
    }

    #[test]
    fn what_is_found_out_is_cheap_for_small_images() {
        let small = Purpose::Probe.bytes(None, 1, 768);
        assert!(small <= PROBE_BYTES && small <= Purpose::Probe.bytes(None, 1, 1 << 22));
        assert_eq!(Purpose::Result.bytes(Some(10), 3, 768), 30);
    }
}
