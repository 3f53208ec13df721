//! `epsiloscope observer`: reader studies without a window.

mod fit;
mod fit_report;
mod simulate;

use super::options::print;
use crate::data::write_bytes_atomic;
use crate::observer::{Session, export_csv};
use clap::Subcommand;
use std::path::PathBuf;

/// Reader studies: can a person see it?
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Observer {
    /// Send simulated observers, whose threshold is known, through a whole study, and count how often the interval holds it.
    Simulate(simulate::Simulate),
    /// Thresholds of every observer, image and attack from a table of trials, with their intervals.
    Fit(fit::FitTrials),
    /// Write the trials of sessions as one table (CSV).
    Export(Export),
}

/// Sessions to a table.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Export {
    /// The sessions' files, one observer each.
    #[arg(required = true)]
    sessions: Vec<PathBuf>,
    /// Where to write; without it, to the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Observer {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Simulate(options) => options.run(),
            Self::Fit(options) => options.run(),
            Self::Export(options) => options.run(),
        }
    }
}

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for path in &self.sessions {
            let (header, answered, note) = Session::read(path)?;
            if let Some(note) = note {
                eprintln!("{}: {note}", path.display());
            }
            all.push((header, answered));
        }
        let table = export_csv(&all)?;
        match &self.out {
            Some(path) => Ok(write_bytes_atomic(path, table.as_bytes())?),
            None => print(&table),
        }
    }
}
