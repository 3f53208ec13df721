//! `epsiloscope attacks`: the catalogue with its sources and parameters.

use super::options::print;
use crate::attack::{CATALOG, Entry, EpsilonMeaning};
use std::fmt::Write as _;

pub(super) fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    for entry in CATALOG {
        describe(&mut text, entry)?;
    }
    print(&text)
}

/// A paragraph about one attack.
fn describe(text: &mut String, entry: &Entry) -> std::fmt::Result {
    writeln!(text, "{}\n  {}. {}\n  source: {}", entry.name, entry.title, entry.description, entry.source)?;
    let of = match (entry.masks, entry.classes) {
        (true, false) => "masks",
        (false, true) => "classes",
        _ => "masks and classes",
    };
    let target = if entry.targeted { "targeted or not" } else { "untargeted" };
    let epsilon = match entry.epsilon {
        EpsilonMeaning::Radius => "ε is the radius",
        EpsilonMeaning::Strength => "ε is the strength, from 0 to 1",
        EpsilonMeaning::Found => "ε is not asked: the norm that it finds is the result",
    };
    writeln!(text, "  for {of}, {target}; {epsilon}")?;
    for p in entry.parameters {
        let unit = if p.unit.is_empty() { String::new() } else { format!(" {}", p.unit) };
        let default = p.text(p.default);
        writeln!(text, "  --set {}={default}{unit}: {}; {}", p.name, p.description, p.allowed())?;
    }
    for preset in entry.presets {
        let set: Vec<String> = entry
            .parameters
            .iter()
            .filter_map(|p| preset.values.iter().find(|(name, _)| *name == p.name).map(|(_, v)| (p, v)))
            .map(|(p, v)| format!("--set {}={}", p.name, p.text(*v)))
            .collect();
        let set = if set.is_empty() { "the defaults".to_owned() } else { set.join(" ") };
        writeln!(text, "  {}: {set} ({})", preset.name, preset.source)?;
    }
    Ok(())
}
