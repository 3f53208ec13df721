//! The probabilities of classes as bars, before and after.

use super::panel::shortened;
use super::plot::at;
use maud::{Markup, html};

/// Up to so many classes are all shown.
const ALL: usize = 12;
/// Of more, so many of the most probable ones before, and as many after.
const MOST: usize = 5;
const ROW: f64 = 34.0;
const NAME: f64 = 150.0;

/// The bars of one image.
pub struct Bars<'a> {
    /// The names of the classes.
    pub names: &'a [String],
    /// Their probabilities on the original.
    pub clean: &'a [f32],
    /// Their probabilities on the adversarial image.
    pub attacked: &'a [f32],
    /// The true class.
    pub truth: usize,
}

impl Bars<'_> {
    /// The classes that are shown, by index.
    pub fn shown(&self) -> Vec<usize> {
        if self.clean.len() <= ALL {
            return (0..self.clean.len()).collect();
        }
        let best = |probabilities: &[f32]| {
            let mut order: Vec<usize> = (0..probabilities.len()).collect();
            order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
            order.truncate(MOST);
            order
        };
        let mut shown = [best(self.clean), best(self.attacked), vec![self.truth]].concat();
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// Height of the drawing.
    pub fn height(&self) -> f64 {
        let more = if self.shown().len() < self.clean.len() { 24.0 } else { 0.0 };
        self.shown().len() as f64 * ROW + 34.0 + more
    }

    /// The bars, `width` wide, with the classes of the figure's style.
    pub fn draw(&self, width: f64) -> Markup {
        let shown = self.shown();
        let right = width - 64.0;
        let length = |p: f32| (right - NAME) * f64::from(p.clamp(0.0, 1.0));
        let percent = |p: f32| format!("{:.1} %", 100.0 * p);
        let rest = self.clean.len() - shown.len();
        html! {
            rect class="fig-ma" x=(at(NAME)) y="4" width="14" height="12" {}
            text class="fig-soft" x=(at(NAME + 20.0)) y="15" { "original" }
            rect class="fig-mb" x=(at(NAME + 96.0)) y="4" width="14" height="12" {}
            text class="fig-soft" x=(at(NAME + 116.0)) y="15" { "adversarial" }
            @for (row, &class) in shown.iter().enumerate() {
                @let y = 30.0 + row as f64 * ROW;
                @let (clean, attacked) = (self.clean[class], self.attacked.get(class).copied().unwrap_or(0.0));
                @let name = self.names.get(class).map_or_else(|| class.to_string(), |n| shortened(n, 15));
                text class=(if class == self.truth { "fig-strong" } else { "fig-text" }) x=(at(NAME - 10.0)) y=(at(y + 18.0))
                    text-anchor="end" { (if class == self.truth { "✓ " } else { "" }) (name) }
                line class="fig-grid" x1=(at(NAME)) x2=(at(right)) y1=(at(y + 26.0)) y2=(at(y + 26.0)) {}
                rect class="fig-ma" x=(at(NAME)) y=(at(y)) width=(at(length(clean).max(1.0))) height="11" {}
                rect class="fig-mb" x=(at(NAME)) y=(at(y + 12.0)) width=(at(length(attacked).max(1.0))) height="11" {}
                text class="fig-soft" x=(at(NAME + length(clean) + 6.0)) y=(at(y + 10.0)) font-size="12" { (percent(clean)) }
                text class="fig-soft" x=(at(NAME + length(attacked) + 6.0)) y=(at(y + 23.0)) font-size="12" { (percent(attacked)) }
            }
            @if rest > 0 {
                text class="fig-soft" x=(at(NAME)) y=(at(48.0 + shown.len() as f64 * ROW)) { "and " (rest) " classes more" }
            }
        }
    }
}
