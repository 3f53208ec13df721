//! What a screen shows of the perturbation, as a table of the report.

use super::epsilon;
use super::html::Finding;
use crate::study::SeenMetric;
use maud::{Markup, html};

/// Every metric that was measured beside those that the table of numbers has, over ε; nothing where there is none.
pub(super) fn section(findings: &[Finding]) -> Markup {
    let was_measured = |m: &SeenMetric| findings.iter().any(|f| f.measure.seen.get(*m).is_some());
    let measured: Vec<SeenMetric> = SeenMetric::ALL.into_iter().filter(was_measured).collect();
    let saved: Vec<SeenMetric> =
        SeenMetric::ALL.into_iter().filter(|m| findings.iter().any(|f| f.measure.seen.stored(*m).is_some())).collect();
    let in_a_file =
        |f: &Finding, m: SeenMetric| f.measure.seen.stored(m).map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"));
    let text = |f: &Finding, m: SeenMetric| f.measure.seen.get(m).map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"));
    html! {
        @if measured.iter().any(|m| !SeenMetric::ALWAYS.contains(m)) {
            section {
                h2 { "As displayed" }
                .scroll {
                    table {
                        thead { tr { th { "ε" } @for metric in &measured { th { (metric.title()) } } } }
                        tbody {
                            @for finding in findings {
                                tr {
                                    th scope="row" { (epsilon::levels(finding.epsilon)) }
                                    @for metric in &measured { td { (text(finding, *metric)) } }
                                }
                            }
                        }
                    }
                }
                p.caption { "Of the image as the screen shows it: under its window, rounded to its bits. Of GMSD, FLIP and Butteraugli larger values are more visible, of the others smaller ones. They stand for what a person sees; nobody was asked." }
            }
        }
        @if !saved.is_empty() {
            section {
                h2 { "As stored" }
                .scroll {
                    table {
                        thead { tr { th { "ε" } @for metric in &saved { th { (metric.title()) } } th.word { "" } } }
                        tbody {
                            @for finding in findings {
                                tr {
                                    th scope="row" { (epsilon::levels(finding.epsilon)) }
                                    @for metric in &saved { td { (in_a_file(finding, *metric)) } }
                                    td.word { (if finding.measure.seen.stored_same == Some(true) { "the same numbers" } else { "" }) }
                                }
                            }
                        }
                    }
                }
                p.caption { "Of the image as a file of the original’s type holds it: rounded to its numbers, over all of its bounds, whatever window a screen shows it under." }
            }
        }
    }
}
