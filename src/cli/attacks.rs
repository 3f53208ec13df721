//! `epsiloscope attacks`: the catalogue.

use super::options::print;
use crate::attack::CATALOG;

pub(super) fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    for entry in CATALOG {
        text += &format!("{}\n  {}. {}\n  source: {}\n", entry.name, entry.title, entry.description, entry.source);
    }
    print(&text)
}
