//! How trials were shown, as their table says.

use crate::data::DataError;
use std::path::Path;

/// The conditions of one observer's trials. Where they changed between sessions all values are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Who.
    pub observer: String,
    /// Name and value, with its unit; what the table does not say is left out.
    pub facts: Vec<(&'static str, String)>,
}

/// Column, name, unit.
const ASKED: [(&str, &str, &str); 9] = [
    ("zoom", "zoom", " screen pixels to one of the image"),
    ("window_lower", "shown black", " of the bounds’ width"),
    ("window_upper", "shown white", " of the bounds’ width"),
    ("inverted", "inverted", ""),
    ("bit_depth", "bits of grey", ""),
    ("pixels_per_degree", "image pixels in a degree of visual angle", ""),
    ("epsilon_min", "smallest ε that could be shown", ""),
    ("epsilon_max", "largest ε that could be shown", ""),
    ("seed", "seed of order and sides", ""),
];

impl Shown {
    /// In a few words.
    pub fn words(&self) -> String {
        let of = |name: &str| self.facts.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let mut parts = Vec::new();
        parts.extend(of("zoom").map(|v| format!("zoom {}", first(v))));
        let window = of("shown black").zip(of("shown white"));
        parts.extend(window.map(|(low, high)| format!("window {} to {}", first(low), first(high))));
        parts.extend(of("bits of grey").map(|v| format!("{v} bits")));
        let degree = of("image pixels in a degree of visual angle");
        parts.push(degree.map_or("screen not calibrated".to_owned(), |v| format!("{v} pixels a degree")));
        parts.join(", ")
    }
}

/// The conditions of every observer in the table at `path`, in the order in which they first come; nothing where it has none of these
/// columns.
///
/// # Errors
/// If the file cannot be read.
pub fn read_shown(path: &Path) -> Result<Vec<Shown>, DataError> {
    const HINT: &str = "Give a table of trials";
    let fault = |error: csv::Error| DataError::new(path, error.to_string(), HINT);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(fault)?;
    let names = reader.headers().map_err(fault)?.clone();
    let column = |name: &str| names.iter().position(|n| n.trim_start_matches('\u{feff}') == name);
    let Some(observer) = column("observer") else { return Ok(Vec::new()) };
    let columns: Vec<_> = ASKED.iter().filter_map(|&(name, title, unit)| Some((column(name)?, title, unit))).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let name = record.get(observer).unwrap_or_default();
        let at = found.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
            found.push((name.to_owned(), vec![Vec::new(); columns.len()]));
            found.len() - 1
        });
        for (values, (column, ..)) in found[at].1.iter_mut().zip(&columns) {
            let value = record.get(*column).unwrap_or_default();
            if !value.is_empty() && !values.iter().any(|v| v == value) {
                values.push(value.to_owned());
            }
        }
    }
    let of = |(observer, all): (String, Vec<Vec<String>>)| {
        let told = columns.iter().zip(all).filter(|(_, values)| !values.is_empty());
        let facts = told.map(|(&(_, title, unit), values)| (title, values.join(" and ") + unit)).collect();
        Shown { observer, facts }
    };
    Ok(found.into_iter().map(of).collect())
}
