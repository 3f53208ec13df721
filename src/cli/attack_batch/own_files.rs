//! A batch does not write over what it reads: a later row would attack what an earlier one has made.

use super::cases::Row;
use crate::cli::images::InputOptions;
use anyhow::ensure;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What a batch reads: its table, what the rows name, the model with its other files, and the cards it may have.
pub(super) fn read_by(cases: &Path, rows: &[Row], input: &InputOptions, beside: &[PathBuf]) -> Vec<PathBuf> {
    let model = &input.model;
    let cards = [model.with_extension("toml"), model.with_file_name("model.toml")];
    let mut all = vec![cases.to_owned(), model.clone()];
    all.extend(cards.into_iter().chain(input.card.clone()).chain(beside.iter().cloned()));
    for row in rows {
        all.extend([row.input.clone(), PathBuf::from(&row.label)]);
        all.extend(row.limits.iter().flat_map(|(lower, upper)| [lower.clone(), upper.clone()]));
    }
    all
}

/// Refuses to write, as `option` says, a file that is one of `reads` by whatever name.
pub(super) fn check_apart(
    reads: &[PathBuf],
    writes: impl IntoIterator<Item = (&'static str, PathBuf)>,
) -> anyhow::Result<()> {
    // What is not there yet is none of them.
    let reads: HashSet<PathBuf> = reads.iter().filter_map(|path| path.canonicalize().ok()).collect();
    for (option, path) in writes {
        let is_read = path.canonicalize().is_ok_and(|path| reads.contains(&path));
        ensure!(
            !is_read,
            "{option}: {} is what this batch reads, and would be overwritten. Write to another place",
            path.display()
        );
    }
    Ok(())
}
