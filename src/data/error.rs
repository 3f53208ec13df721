//! The one error of every reader and writer in [`crate::data`].

use std::path::{Path, PathBuf};

/// Why a file could not be read or written: which file, what is wrong with it, and what would work.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {cause}{}", .path.display(), hint_suffix(.hint))]
pub struct DataError {
    /// The file or folder concerned.
    pub path: PathBuf,
    /// What is wrong, in a few words without a full stop.
    pub cause: String,
    /// What would work instead; empty if there is nothing to say.
    pub hint: String,
}

fn hint_suffix(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(". {hint}") }
}

/// The cause of an error that is none: a person cancelled.
const CANCELLED: &str = "reading was cancelled";

impl DataError {
    /// An error about `path` with a cause and, if it helps, a hint (may be empty).
    pub fn new(path: impl AsRef<Path>, cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_owned(), cause: cause.into(), hint: hint.into() }
    }
    /// Reading `path` was cancelled.
    pub fn cancelled(path: impl AsRef<Path>) -> Self {
        Self::new(path, CANCELLED, "")
    }

    /// Whether this is no failure: a person cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cause == CANCELLED
    }
}
