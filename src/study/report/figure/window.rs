//! The ε window of a figure: strips that name the intervals, shading behind the plots, and both ends in words. Each kind has a
//! hatching of its own, so that it is told apart in black and white too.

use super::words::ThresholdLine;
use super::{LEFT, RIGHT, wrapped};
use crate::study::report::criterion::{Criterion, broken_intervals};
use crate::study::report::epsilon;
use crate::study::report::plot::{EpsilonScale, at};
use crate::study::{Curve, EpsilonWindow, Limit, MeasuredInterval};
use maud::{Markup, html};

/// Height of a strip with the room below it.
const STRIP: f64 = 21.0;
/// Intervals reach so far beyond their first and last point at most,
const PAD: f64 = 9.0;
/// and no further than this share of the way to the next point: nothing is known between two.
const SHARE: f64 = 0.15;

/// Where a curve is broken, not seen, and both.
pub(super) struct Shading {
    /// Class, name, intervals.
    rows: Vec<(&'static str, &'static str, Vec<MeasuredInterval>)>,
    /// Measured ε.
    epsilons: Vec<f64>,
    /// What is read off.
    pub words: Vec<String>,
}

impl Shading {
    /// Of `curve`; without a limit only where it is broken.
    pub fn new(curve: &Curve, criterion: Criterion, limit: Option<Limit>, threshold: Option<&ThresholdLine>) -> Self {
        let mut words = Vec::new();
        let rows = match limit {
            None => vec![("broken", "broken", broken_intervals(curve, criterion))],
            Some(limit) => {
                let window = EpsilonWindow::new(curve, criterion, limit);
                let read = |intervals: &[MeasuredInterval]| {
                    window.words_of(intervals, epsilon::both, " to ").unwrap_or_else(|| "none".to_owned())
                };
                words.push(format!("Broken ({criterion}; random signs are not): ε = {}", read(&window.broken)));
                words.push(format!("Not seen ({limit}): ε = {}", read(&window.unseen)));
                words.push(match window.both.is_empty() {
                    false => format!("ε window, broken and not seen: ε = {}", read(&window.both)),
                    true => format!("ε window: empty. {}", window.suggest().explanation),
                });
                vec![
                    ("broken", "broken", window.broken.clone()),
                    ("unseen", "not seen", window.unseen.clone()),
                    ("both", "ε window", window.both.clone()),
                ]
            }
        };
        words.extend(threshold.map(ThresholdLine::words));
        let epsilons = curve.points.iter().map(|p| p.epsilon).collect();
        Self { rows, epsilons, words: words.iter().flat_map(|line| wrapped(line)).collect() }
    }

    /// The height of all strips.
    pub fn height(&self) -> f64 {
        self.rows.len() as f64 * STRIP
    }

    /// The strips from `top` down, their names in the margin.
    pub fn strips(&self, scale: EpsilonScale, top: f64) -> Markup {
        html! {
            @for (row, (class, name, intervals)) in self.rows.iter().enumerate() {
                @let y = top + row as f64 * STRIP;
                text class={ "fig-name" (class) } x=(at(LEFT - 12.0)) y=(at(y + 13.0)) text-anchor="end" { (name) }
                line class="fig-grid" x1=(LEFT) x2=(RIGHT) y1=(at(y + 8.5)) y2=(at(y + 8.5)) {}
                @for interval in intervals {
                    @let [left, right] = self.ends(scale, interval);
                    rect class={ "fig-strip" (class) } fill={ "url(#hatch-" (class) ")" } x=(at(left)) y=(at(y)) width=(at(right - left)) height="17" {
                        title { (name) " at ε = " (epsilon::both(interval.first)) " to " (epsilon::both(interval.last)) }
                    }
                }
            }
        }
    }

    /// The shading behind a plot.
    pub fn bands(&self, scale: EpsilonScale, top: f64, bottom: f64) -> Markup {
        html! {
            @for (class, _, intervals) in &self.rows {
                @for interval in intervals {
                    @let [left, right] = self.ends(scale, interval);
                    rect class={ "fig-band" (class) } x=(at(left)) y=(at(top)) width=(at(right - left)) height=(at(bottom - top)) {}
                    @if *class == "both" {
                        rect fill="url(#hatch-plot)" x=(at(left)) y=(at(top)) width=(at(right - left)) height=(at(bottom - top)) {}
                    }
                    line class={ "fig-edge" (class) } x1=(at(left)) x2=(at(left)) y1=(at(top)) y2=(at(bottom)) {}
                    line class={ "fig-edge" (class) } x1=(at(right)) x2=(at(right)) y1=(at(top)) y2=(at(bottom)) {}
                }
            }
        }
    }

    /// Where an interval begins and ends, in units of the figure.
    fn ends(&self, scale: EpsilonScale, interval: &MeasuredInterval) -> [f64; 2] {
        let [left, right] = [interval.first, interval.last].map(|epsilon| scale.x(epsilon));
        let points = || self.epsilons.iter().map(|&epsilon| scale.x(epsilon));
        let below = points().filter(|&x| x < left).fold(f64::NEG_INFINITY, f64::max);
        let above = points().filter(|&x| x > right).fold(f64::INFINITY, f64::min);
        [left - PAD.min((left - below) * SHARE), right + PAD.min((above - right) * SHARE)]
    }
}

/// The hatchings: rising lines where it is broken, level ones where it is not seen, crossed ones where both.
pub(super) fn hatchings() -> Markup {
    html! {
        defs {
            pattern id="hatch-broken" width="8" height="8" patternUnits="userSpaceOnUse" {
                path class="fig-hatchbroken" d="M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4" {}
            }
            pattern id="hatch-unseen" width="8" height="5" patternUnits="userSpaceOnUse" {
                path class="fig-hatchunseen" d="M0,2.5 h8" {}
            }
            pattern id="hatch-both" width="8" height="8" patternUnits="userSpaceOnUse" {
                path class="fig-hatchboth" d="M0,8 l8,-8 M0,0 l8,8" {}
            }
            pattern id="hatch-plot" width="14" height="14" patternUnits="userSpaceOnUse" {
                path class="fig-hatchplot" d="M0,14 l14,-14 M0,0 l14,14" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_well_before_the_next_point() {
        let shading = Shading { rows: Vec::new(), epsilons: vec![0.0, 2.0, 4.0, 8.0, 32.0], words: Vec::new() };
        let interval = MeasuredInterval { below: Some(2.0), first: 4.0, last: 4.0, points: 1, above: Some(8.0) };
        // A small plot: 4 and 8 are 28 apart.
        let small = EpsilonScale::Linear { left: 0.0, right: 224.0, largest: 32.0 };
        let [left, right] = shading.ends(small, &interval);
        assert!((left - (28.0 - 14.0 * SHARE)).abs() < 1e-9 && (right - (28.0 + 28.0 * SHARE)).abs() < 1e-9);
        assert!(right < 34.0);
        // A large one, and the end of an axis.
        let large = EpsilonScale::Linear { left: 0.0, right: 3200.0, largest: 32.0 };
        assert_eq!(shading.ends(large, &interval), [400.0 - PAD, 400.0 + PAD]);
        let last = MeasuredInterval { below: Some(8.0), first: 32.0, last: 32.0, points: 1, above: None };
        assert_eq!(shading.ends(small, &last)[1], 224.0 + PAD);
    }
}
