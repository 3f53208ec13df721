//! What goes wrong on a GPU, as messages. Errors of our own calls are caught by error scopes; those that burn causes
//! surface at the read that needed the result; what nobody asked about is recorded here for the window to show.

use crate::view::ViewError;
use eframe::egui_wgpu::wgpu;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a device cannot be used or a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// The view and its planes do not go together.
    #[error(transparent)]
    View(#[from] ViewError),
    /// There is no adapter that can compute.
    #[error("there is no GPU, real or in software, that can compute: {0}. Use the CPU (--device cpu)")]
    NoAdapter(String),
    /// The adapter gave no device.
    #[error("{adapter} gave no device: {cause}. Use the CPU (--device cpu)")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What it said.
        cause: String,
    },
    /// The picture or a plane is larger than the device takes.
    #[error("{what} needs {needed} where {limit} is the most that this GPU takes; choose a smaller image or view")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size, with a unit.
        needed: String,
        /// The limit, with a unit.
        limit: String,
    },
    /// The plane lives on a device other than the one that draws.
    #[error("a picture of another device was handed to this window; it will be right once the device has changed")]
    ForeignPlane,
    /// The GPU reported an error.
    #[error("the GPU reported an error while {doing}: {cause}")]
    Reported {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        cause: String,
    },
}

/// Errors that no scope caught, oldest first; the newest few are kept.
static UNCAUGHT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// As many as a person would read.
const MOST_KEPT: usize = 8;

/// Hands over what was recorded since the last call, oldest first. Poll it once a frame.
pub fn take_gpu_errors() -> Vec<String> {
    UNCAUGHT.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// Records errors of `device` that no scope catches, instead of wgpu's own handler, which panics. On the threads of
/// cubecl's servers it does panic: cubecl catches that, and the read that waits for the result fails. A handler that only
/// recorded there would leave stale values to be taken for results.
///
/// Set it after burn was registered on the device, since cubecl sets one too. The device-lost callback is cubecl's.
pub(super) fn watch(device: &wgpu::Device) {
    device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
        let message = one_line(&error);
        let of_cubecl = std::thread::current().name().is_some_and(|n| n.starts_with("DSD") || n.starts_with("DSU"));
        if of_cubecl {
            std::panic::panic_any(format!("GPU error: {message}"));
        }
        log::error!("GPU error: {message}");
        let mut kept = UNCAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(message);
    }));
}

/// The error's message on one line, with what lies below it.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        let text = below.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = below.source();
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs `work` and returns what it made, or the first error that `device` reported on this thread meanwhile.
pub(super) fn checked<T>(
    device: &wgpu::Device,
    doing: &'static str,
    work: impl FnOnce() -> Result<T, GpuError>,
) -> Result<T, GpuError> {
    let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let made = work();
    // Scopes are a stack: the last one pushed is popped first.
    let mut reported = None;
    for scope in scopes.into_iter().rev() {
        let error = wait(scope.pop());
        reported = reported.or(error);
    }
    match reported {
        Some(error) => Err(GpuError::Reported { doing, cause: one_line(&error) }),
        None => made,
    }
}

/// Waits for a future of wgpu's, all of which are ready at once outside of browsers.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::yield_now(),
        }
    }
}
