//! From which ε on people see the perturbation, as reader studies found it, and how it was shown to them.

use super::epsilon;
use super::figure::ThresholdLine;
use maud::{Markup, html};

/// A measured threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// As it is drawn.
    pub line: ThresholdLine,
    /// The image that was shown, the attack, and the question.
    pub what: [String; 3],
    /// Trials.
    pub trials: u32,
    /// How it was shown: name, and value with its unit.
    pub setting: Vec<(String, String)>,
    /// In what this differs from what the report is of.
    pub differs: Vec<String>,
}

/// The thresholds with the conditions that they hold under; nothing where there are none.
pub(super) fn section(observed: &[Observed]) -> Markup {
    let upper = |e: f64| if e.is_finite() { epsilon::both(e) } else { "none".to_owned() };
    html! {
        @if !observed.is_empty() {
            section {
                h2 { "What people see" }
                .scroll { table {
                    thead { tr {
                        th.word { "observer" } th.word { "image" } th.word { "attack" } th.word { "question" } th { "trials" }
                        th { "threshold ε" } th { "lower" } th { "upper" } th.word { "" }
                    } }
                    tbody {
                        @for (at, o) in observed.iter().enumerate() {
                            tr {
                                td.word { (o.line.name) } @for word in &o.what { td.word { (word) } } td { (o.trials) }
                                th scope="row" { (upper(o.line.epsilon)) } td { (epsilon::both(o.line.interval[0])) } td { (upper(o.line.interval[1])) }
                                td.word { (if at == 0 { "drawn in the figure" } else { "" }) }
                            }
                        }
                    }
                } }
                p.caption {
                    "At the threshold the observer detects the perturbation in half of all looks ((ψ − γ)/(1 − γ) = ½; in a forced choice of two 75 % correct), \
                     ε as the screen showed it, with 95 % of the posterior. Not seen is what lies below the whole interval. The observer knew \
                     the image and saw its perturbation often: one who does not may see less. Luminance and gamma of the screen and the light in the room \
                     were not measured."
                }
                @for o in observed {
                    @if !o.differs.is_empty() {
                        p { (o.line.name) ": measured under another " (o.differs.join(", ")) " than this report is of." }
                    }
                    h3 { "How it was shown to " (o.line.name) }
                    @if o.setting.is_empty() { p { "The table does not say. Without zoom, window, screen and distance a threshold holds for nobody else." } }
                    dl { @for (name, value) in &o.setting { dt { (name) } dd { (value) } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_come_with_their_conditions() {
        let line =
            ThresholdLine { name: "Ada".to_owned(), epsilon: 4.0 / 255.0, interval: [3.0 / 255.0, f64::INFINITY] };
        let one = Observed {
            line,
            what: ["a <b>", "fgsm", "2afc"].map(str::to_owned),
            trials: 157,
            setting: vec![("bits of grey".to_owned(), "8".to_owned())],
            differs: vec!["window".to_owned()],
        };
        let text = section(&[one]).into_string();
        for part in ["Ada", "4/255", "3/255", "none", "a &lt;b&gt;", "157", "bits of grey", "another window"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(section(&[]).into_string().is_empty());
    }
}
