//! The curve as a table.

use super::ReportError;
use crate::attack;
use crate::data::write_bytes_atomic;
use crate::study::{Curve, CurvePoint, Measure, SeenMetric};
use std::path::Path;

/// The columns of `curve.csv`, in order. ε, L∞ and L2 are fractions of the bounds' width; Dice and IoU are of the
/// model's positive class; seconds are of one point (perturb, forward, judge, visibility), empty where nothing was timed. What
/// begins with `shown` compares the images as a screen shows them, empty where it was not measured or is infinite; `shown_same` is 1
/// where both are shown alike, level by level.
///
/// The six after those are of a model that classifies (which has no masks, so that pixel error and overlap are empty): the classes by
/// their index, P(true class), the margin of its logit; whether another class is chosen than for the original, or of a mask the share of the pixels that are
/// predicted otherwise than in it; and, of an attack
/// with a target, the share of what is to change that is as wished. Then what only the attack
/// knows: of steps along the gradient itself (FGNM and its kin) the share of values that ε or the bounds cut, and of attacks that
/// move pixels the largest displacement in pixels. Then the norms L0 (values that changed) and L1, and the metrics again, of the image
/// as its file's type holds it (`stored`), empty where that was not measured.
pub const COLUMNS: [&str; 40] = [
    "attack",
    "epsilon",
    "pixel_error_l2",
    "rmse",
    "wrong_pixels",
    "dice",
    "iou",
    "linf",
    "l2",
    "seconds",
    "shown_psnr",
    "shown_ssim",
    "shown_gmsd",
    "shown_haarpsi",
    "shown_ms_ssim",
    "shown_vif",
    "shown_flip",
    "shown_butteraugli",
    "shown_ciede2000",
    "shown_same",
    "true_class",
    "chosen_class",
    "true_probability",
    "margin",
    "flipped",
    "as_wished",
    "clipped",
    "displacement",
    "l0",
    "l1",
    "stored_psnr",
    "stored_ssim",
    "stored_gmsd",
    "stored_haarpsi",
    "stored_ms_ssim",
    "stored_vif",
    "stored_flip",
    "stored_butteraugli",
    "stored_ciede2000",
    "stored_same",
];

/// The curve as CSV: first the attack, then the control (unless the attack is the control itself), each ascending in
/// ε from the clean image at ε = 0.
pub fn curve_csv(curve: &Curve) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    series(&mut text, &curve.attack, &curve.clean, &curve.points);
    if curve.attack != attack::RANDOM_SIGN && !curve.control.is_empty() {
        series(&mut text, attack::RANDOM_SIGN, &curve.clean, &curve.control);
    }
    text
}

fn series(text: &mut String, attack: &str, clean: &Measure, points: &[CurvePoint]) {
    if points.first().is_none_or(|p| p.epsilon != 0.0) {
        row(text, attack, 0.0, clean, None);
    }
    for point in points {
        row(text, attack, point.epsilon, &point.measure, Some(point.seconds));
    }
}

/// Attack names come from the catalogue and numbers have no comma: nothing needs quotes.
fn row(text: &mut String, attack: &str, epsilon: f64, measure: &Measure, seconds: Option<f64>) {
    text.push_str(&format!("{attack},{}\n", values(epsilon, measure, seconds)));
}

/// The columns after the attack.
pub(super) fn values(epsilon: f64, measure: &Measure, seconds: Option<f64>) -> String {
    let seconds = seconds.map(|s| format!("{s:.6}")).unwrap_or_default();
    let cells = measure_cells(measure);
    let (before, after) = cells.split_at(MEASURED_BEFORE_SECONDS);
    format!("{epsilon},{},{seconds},{},{}", before.join(","), after.join(","), more_cells(measure).join(","))
}

/// How many of [`COLUMNS`] tables of many images have too.
const SHARED: usize = 28;

/// The cells of the columns beyond those.
fn more_cells(measure: &Measure) -> Vec<String> {
    let Measure { distortion, seen, .. } = measure;
    let mut cells = vec![distortion.l0.to_string(), distortion.l1.to_string()];
    cells.extend(SeenMetric::ALL.map(|metric| seen.stored(metric).map(|v| v.to_string()).unwrap_or_default()));
    cells.push(seen.stored_same.map(|same| u8::from(same).to_string()).unwrap_or_default());
    cells
}

/// The columns of [`measure_cells`]: of the first [`COLUMNS`] all but attack, ε and seconds.
pub const MEASURE_COLUMNS: [&str; 25] = {
    let (mut columns, mut from, mut to) = ([""; 25], 2, 0);
    while from < SHARED {
        // Seconds differ from run to run: they are no part of a measure.
        if from != 9 {
            columns[to] = COLUMNS[from];
            to += 1;
        }
        from += 1;
    }
    columns
};

/// How many of [`measure_cells`] stand before the seconds.
const MEASURED_BEFORE_SECONDS: usize = 7;

/// The cells of a measure: those of [`MEASURE_COLUMNS`].
pub fn measure_cells(measure: &Measure) -> Vec<String> {
    let Measure { error, overlap, distortion, seen, decision, flipped, wished, clipped, displacement } = measure;
    let mask = decision.is_none();
    let of_mask = |value: f64| if mask { value.to_string() } else { String::new() };
    let mut cells = [error.l2, error.rmse, error.wrong, overlap.dice, overlap.iou].map(of_mask).to_vec();
    cells.extend([distortion.linf, distortion.l2].map(|v| v.to_string()));
    cells.extend(SeenMetric::ALL.map(|metric| seen.get(metric).map(|v| v.to_string()).unwrap_or_default()));
    let measured = seen.same || SeenMetric::ALL.iter().any(|metric| seen.get(*metric).is_some());
    cells.push(if measured { u8::from(seen.same).to_string() } else { String::new() });
    cells.extend(match decision {
        Some(d) => [d.truth.to_string(), d.predicted.to_string(), d.probability.to_string(), d.margin.to_string()],
        None => Default::default(),
    });
    cells
        .extend([flipped, wished, clipped, displacement].map(|share| share.map(|v| v.to_string()).unwrap_or_default()));
    cells
}

/// Writes [`curve_csv`] to `path`, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_curve_csv(curve: &Curve, path: &Path) -> Result<(), ReportError> {
    Ok(write_bytes_atomic(path, curve_csv(curve).as_bytes())?)
}
