//! The ε windows of a data set in the report.

use super::windows::{SetWindows, reach, window_words};
use crate::study::Spread;
use crate::study::report::{campaign_chart, epsilon};
use maud::{Markup, html};

/// So many images are listed; `windows.csv` has all.
const LISTED: usize = 200;

/// The section, nothing where no limit was said.
pub(super) fn section(sets: &[SetWindows], limit: &str) -> Markup {
    html! {
        section {
            h2 { "Broken and not seen" }
            p { "Not seen: " (limit) "." }
            (overview(sets))
            @for set in sets {
                p { (window_words(set)) "." }
                (chart(set))
                (images(set))
            }
        }
    }
}

fn overview(sets: &[SetWindows]) -> Markup {
    let spread = |set: &SetWindows, s: Option<Spread>| match s {
        Some(Spread { median, quartiles: [first, third] }) => {
            format!("{} ({} to {})", reach(median, set), reach(first, set), reach(third, set))
        }
        None => "–".to_owned(),
    };
    html! {
        .scroll { table {
            thead { tr {
                th.word { "data" } th.word { "attack" } th.word { "model" } th { "pass" } th { "no window" } th { "lower end" } th { "upper end" }
                th { "suggested" } th { "in most windows" }
            } }
            tbody {
                @for set in sets {
                    @let found = &set.summary;
                    tr {
                        td.word { (set.data) } td.word { (crate::attack::find(&set.attack).map_or(set.attack.as_str(), |e| e.title)) } td.word { (set.model) }
                        td { (found.cases) } td { (found.empty) } td { (spread(set, found.lower)) } td { (spread(set, found.upper)) } td { (spread(set, found.suggested)) }
                        td { (found.best.map_or("–".to_owned(), |(at, cases)| format!("{} ({cases})", epsilon::short(at)))) }
                    }
                }
            }
        } }
        p.caption { "Medians with first and third quartile, over the images (times seeds) that pass: of the lower end over all of them, where one without a window counts as beyond every measured ε; of the upper end and the suggestion over those that have a window. Of measured ε only: a window is a union of intervals, its ends are its smallest and its largest ε, and “or more” an end that is the largest ε measured. Random signs: one draw for each seed. Broken: the attack breaks the model and random signs of the same size do not." }
    }
}

fn chart(set: &SetWindows) -> Markup {
    if set.along.len() < 2 {
        return html! {};
    }
    let line = |of: fn(&super::ShareAlong) -> f64| set.along.iter().map(|s| (s.epsilon, of(s))).collect::<Vec<_>>();
    let lines = vec![
        ("broken and not seen".to_owned(), line(|s| s.both)),
        ("broken".to_owned(), line(|s| s.broken)),
        ("not seen".to_owned(), line(|s| s.unseen)),
    ];
    let title = format!("Share of the images that pass: {} on {}", set.model, set.data);
    let is_l2 = set.parameters.split_whitespace().any(|parameter| parameter == "norm=l2");
    html! { .figure { (campaign_chart(&title, is_l2, &lines, &[("random signs".to_owned(), line(|s| s.control))])) } }
}

fn images(set: &SetWindows) -> Markup {
    html! {
        details {
            summary { "Each image" }
            .scroll { table {
                thead { tr { th.word { "image" } th { "seed" } th { "broken and not seen" } th { "suggested" } th { "points not measured" } } }
                tbody {
                    @for w in set.windows.iter().take(LISTED) {
                        tr {
                            td.word { (w.image) } td { (w.seed) }
                            td { (w.window.intervals(epsilon::short, " to ").unwrap_or_else(|| "none".to_owned())) }
                            td { (w.window.suggest().epsilon.map_or_else(|| "–".to_owned(), epsilon::short)) }
                            td { (w.window.unknown) }
                        }
                    }
                }
            } }
            @if set.windows.len() > LISTED { p.caption { "The first " (LISTED) " of " (set.windows.len()) "; windows.csv has all, with reasons." } }
        }
    }
}
