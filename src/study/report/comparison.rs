//! Several attacks over one grid as a table.

use super::ReportError;
use super::csv::{COLUMNS, values};
use crate::attack::Attack;
use crate::data::write_bytes_atomic;
use crate::study::{CurvePoint, Measure};
use std::path::Path;

/// What was measured of several attacks on one image.
#[derive(Clone, Debug)]
pub struct ComparisonTable {
    /// The image.
    pub image: String,
    /// The model.
    pub model: String,
    /// Where it was computed.
    pub device: String,
    /// The clean image's measures.
    pub clean: Measure,
    /// Each attack with its points, ascending in ε.
    pub attacks: Vec<(Attack, Vec<CurvePoint>)>,
    /// Random signs, ascending in ε.
    pub control: Vec<CurvePoint>,
}

/// The table as CSV: a row for each attack and ε, with its parameters, then rows of the control, then the clean image. ε and
/// norms are fractions of the bounds' width; the other columns are those of a curve.
pub fn comparison_csv(table: &ComparisonTable) -> String {
    let mut text = format!("attack,parameters,image,model,device,version,{}\n", COLUMNS[1..].join(","));
    let mut row = |name: &str, parameters: &str, epsilon: f64, measure: &Measure, seconds: Option<f64>| {
        let about = [parameters, &table.image, &table.model, &table.device, env!("CARGO_PKG_VERSION")].map(quoted);
        text.push_str(&format!("{name},{},{}\n", about.join(","), values(epsilon, measure, seconds)));
    };
    row("clean", "", 0.0, &table.clean, None);
    for (attack, points) in &table.attacks {
        let parameters: Vec<String> = attack.parameters().map(|(p, v)| format!("{}={}", p.name, p.text(v))).collect();
        for point in points {
            row(attack.name(), &parameters.join(" "), point.epsilon, &point.measure, Some(point.seconds));
        }
    }
    for point in &table.control {
        row("control", "", point.epsilon, &point.measure, Some(point.seconds));
    }
    text
}

/// `text` as a field of a CSV file.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Writes [`comparison_csv`] to `path`, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_comparison_csv(table: &ComparisonTable, path: &Path) -> Result<(), ReportError> {
    Ok(write_bytes_atomic(path, comparison_csv(table).as_bytes())?)
}
