//! What a threshold holds for besides observer, image and attack: what was attacked and how it was shown. Trials of different settings are
//! never fitted together.

use super::session::Header;
use crate::view::Sampling;
use std::collections::BTreeMap;

/// Column of a table, what it is called, and its unit.
const ASKED: [(&str, &str, &str); 24] = [
    ("slice", "slice, from 0", ""),
    ("pixels", "fingerprint of the image", ""),
    ("bounds", "0 and 1 stand for", ""),
    ("axis", "sliced along", ""),
    ("reference", "the loss compares with", ""),
    ("region", "the attack changes", ""),
    ("target", "the attack’s target", ""),
    ("model", "model", ""),
    ("parameters", "attack", ""),
    ("zoom", "zoom", " screen pixels to one of the image"),
    ("part", "middle part that is shown of a larger image", ""),
    ("sampling", "enlarged pixels", ""),
    ("window_lower", "shown black", " of the bounds’ width"),
    ("window_upper", "shown white", " of the bounds’ width"),
    ("inverted", "inverted", ""),
    ("bit_depth", "bits of grey that were drawn", ""),
    ("screen_bits", "bits of grey that the screen is said to have", ""),
    ("pixels_per_degree", "image pixels in a degree of visual angle", ""),
    ("distance_mm", "from the eye to the screen", " mm"),
    ("fixation_ms", "fixation mark", " ms"),
    ("duration_ms", "images shown for", " ms"),
    ("mask_ms", "mask of noise", " ms"),
    ("epsilon_min", "smallest ε that could be shown", ""),
    ("epsilon_max", "largest ε that could be shown", ""),
];
/// Instead of a number of milliseconds.
const UNTIL_ANSWER: &str = "until the answer";

/// The setting of trials; what a table does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// By column.
    values: BTreeMap<&'static str, String>,
}

impl Setting {
    /// The columns of a table that hold it.
    pub fn columns() -> impl Iterator<Item = &'static str> {
        ASKED.iter().map(|asked| asked.0)
    }

    /// Of a session's condition.
    pub fn of(header: &Header, condition: usize) -> Self {
        let (plan, display, stimuli) = (&header.plan, &header.display, header.stimuli.as_ref());
        let shown = &display.presentation;
        let value = |column: &str| match column {
            "slice" => stimuli.map(|s| s.image(condition).0.to_string()),
            "model" => stimuli.map(|s| s.model.clone()),
            "parameters" => stimuli.and_then(|s| s.attacks.get(condition)).map(|a| a.summary()),
            "zoom" => Some(display.zoom.to_string()),
            "part" => {
                let whole = stimuli.map_or([0, 0], |s| [s.image(condition).1[2], s.image(condition).1[1]]);
                display.part.filter(|part| is_cut(whole, *part)).map(|[w, h]| format!("{w} × {h} pixels"))
            }
            "sampling" => {
                display.sampling.map(|s| if s == Sampling::Nearest { "squares" } else { "smooth" }.to_owned())
            }
            "window_lower" => Some(shown.window.lower.to_string()),
            "window_upper" => Some(shown.window.upper.to_string()),
            "inverted" => Some(shown.inverted.to_string()),
            "bit_depth" => Some(shown.bits.to_string()),
            "screen_bits" => display.screen_bits.map(|bits| bits.to_string()),
            "pixels_per_degree" => display.pixels_per_degree().map(|v| format!("{v:.3}")),
            "distance_mm" => display.distance_mm.map(|v| v.to_string()),
            "fixation_ms" => Some(plan.timing.fixation_ms.to_string()),
            "duration_ms" => Some(plan.timing.shown_ms.map_or(UNTIL_ANSWER.to_owned(), |ms| ms.to_string())),
            "mask_ms" => Some(plan.timing.mask_ms.to_string()),
            "epsilon_min" => Some(plan.shown_range()[0].to_string()),
            "epsilon_max" => Some(plan.shown_range()[1].to_string()),
            _ => stimuli.and_then(|s| s.identity(condition).get(column)).map(str::to_owned),
        };
        Self { values: Self::columns().filter_map(|c| Some((c, value(c)?))).collect() }
    }

    /// From a row of a table: `cell` gives the text of a column.
    pub fn read<'a>(cell: impl Fn(&str) -> Option<&'a str>) -> Self {
        let told = |c: &'static str| cell(c).filter(|text| !text.is_empty()).map(|text| (c, text.to_owned()));
        Self { values: Self::columns().filter_map(told).collect() }
    }

    /// The text of a column, if it was told.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.values.get(column).map(String::as_str)
    }

    /// The number of a column, if it was told.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.get(column)?.parse().ok()
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Name and value with its unit of all that was told.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let fact = |&(column, title, unit): &(&str, &'static str, &str)| {
            let value = self.get(column)?;
            let unit = if value == UNTIL_ANSWER { "" } else { unit };
            let number = value.parse::<f64>().ok().filter(|_| column.starts_with("epsilon"));
            let value = number.map_or_else(|| value.to_owned(), crate::study::report::epsilon::both);
            Some((title, format!("{value}{unit}")))
        };
        ASKED.iter().filter_map(fact).collect()
    }

    /// How it was shown, in a line.
    pub fn words(&self) -> String {
        if self.is_empty() {
            return "how it was shown is not told".to_owned();
        }
        let mut parts = Vec::new();
        parts.extend(self.get("slice").map(|v| format!("slice {v}")));
        // A line has room for the beginning of a fingerprint, which tells two images or labels apart.
        parts.extend(self.get("pixels").map(|v| format!("image {}", v.get(..8).unwrap_or(v))));
        let label = self.get("reference").filter(|v| v.starts_with("label "));
        parts.extend(label.map(|v| v.get(..14).unwrap_or(v).to_owned()));
        parts.extend(self.get("region").filter(|v| *v != "whole image").map(|v| format!("changed: {v}")));
        parts.extend(self.get("target").filter(|v| *v != "none").map(|v| format!("target: {v}")));
        parts.extend(self.get("zoom").map(|v| format!("zoom {v}")));
        let window = self.get("window_lower").zip(self.get("window_upper"));
        parts.extend(window.map(|(low, high)| format!("window {low} to {high}")));
        parts.extend(self.get("bit_depth").map(|v| format!("{v} bits")));
        parts.push(
            self.get("pixels_per_degree")
                .map_or("screen not calibrated".to_owned(), |v| format!("{v} pixels a degree")),
        );
        parts.extend(self.get("duration_ms").map(|v| if v == UNTIL_ANSWER { v.to_owned() } else { format!("{v} ms") }));
        parts.join(", ")
    }
}

/// Whether not all of an image is shown, upright or lying.
fn is_cut([width, height]: [usize; 2], part: [u32; 2]) -> bool {
    let [across, down] = part.map(|n| n as usize);
    let holds = |w: usize, h: usize| across >= w && down >= h;
    !holds(width, height) && !holds(height, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_does_not_say_is_left_out() {
        let told = [("zoom", "2"), ("bit_depth", "8"), ("duration_ms", UNTIL_ANSWER), ("model", "")];
        let setting = Setting::read(|column| told.iter().find(|t| t.0 == column).map(|t| t.1));
        assert_eq!(
            (setting.get("zoom"), setting.number("bit_depth"), setting.get("model")),
            (Some("2"), Some(8.0), None)
        );
        assert_eq!(setting.facts().len(), 3);
        assert_eq!(setting.facts()[2], ("images shown for", "until the answer".to_owned()));
        assert_eq!(setting.words(), "zoom 2, 8 bits, screen not calibrated, until the answer");
        assert!(Setting::default().words().contains("not told"));
        let words =
            |told: [(&str, &str); 4]| Setting::read(|column| told.iter().find(|t| t.0 == column).map(|t| t.1)).words();
        let [pixels, reference] = [("pixels", "0123456789abcdef"), ("reference", "label fedcba9876543210")];
        assert_eq!(
            words([pixels, reference, ("region", "whole image"), ("target", "none")]),
            "image 01234567, label fedcba98, screen not calibrated"
        );
        assert_eq!(
            words([pixels, ("reference", "clean prediction"), ("region", "90 pixels"), ("target", "class 1")]),
            "image 01234567, changed: 90 pixels, target: class 1, screen not calibrated"
        );
    }
}
