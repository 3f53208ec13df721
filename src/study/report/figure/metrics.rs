//! Small plots of what was measured of the perturbation on the screen, over ε, each metric with its own axis and its limit.

use super::window::Shading;
use super::words::ThresholdLine;
use super::{LEFT, RIGHT};
use crate::attack;
use crate::study::report::plot::{EpsilonScale, Marker, at, value_name, value_ticks};
use crate::study::{Curve, CurvePoint, Limit, SeenMetric};
use maud::{Markup, html};

/// Plots side by side.
const COLUMNS: usize = 3;
/// Room between two plots, for the numbers of the right one.
const GAP: f64 = 62.0;
/// Height of a plot, and of all that stands above and below it.
const PLOT: f64 = 118.0;
const ROW: f64 = PLOT + 94.0;
/// Names of ticks that a plot has room for.
const TICKS: usize = 6;

/// The metrics that were measured along a curve.
pub(super) struct Metrics<'a> {
    pub curve: &'a Curve,
    pub limit: Option<Limit>,
    pub threshold: Option<&'a ThresholdLine>,
    pub shading: &'a Shading,
    pub measured: Vec<SeenMetric>,
}

impl<'a> Metrics<'a> {
    pub fn new(
        curve: &'a Curve,
        limit: Option<Limit>,
        threshold: Option<&'a ThresholdLine>,
        shading: &'a Shading,
    ) -> Self {
        let has = |m: &SeenMetric| curve.points.iter().any(|p| p.epsilon > 0.0 && p.measure.seen.get(*m).is_some());
        let measured = SeenMetric::ALL.into_iter().filter(has).collect();
        Self { curve, limit, threshold, shading, measured }
    }

    /// The height of all plots; 0 if nothing was measured.
    pub fn height(&self) -> f64 {
        self.measured.len().div_ceil(COLUMNS) as f64 * ROW
    }

    /// The plots from `top` down.
    pub fn draw(&self, top: f64) -> Markup {
        let width = (RIGHT - LEFT - GAP * (COLUMNS - 1) as f64) / COLUMNS as f64;
        html! {
            @for (i, metric) in self.measured.iter().enumerate() {
                @let left = LEFT + (i % COLUMNS) as f64 * (width + GAP);
                @let top = top + (i / COLUMNS) as f64 * ROW + 24.0;
                (self.plot(*metric, left, left + width, top))
            }
        }
    }

    fn plot(&self, metric: SeenMetric, left: f64, right: f64, top: f64) -> Markup {
        let bottom = top + PLOT;
        let epsilons = self.curve.points.iter().chain(&self.curve.control).map(|p| p.epsilon);
        let all = epsilons.chain(self.threshold.iter().map(|t| t.epsilon));
        let scale = EpsilonScale::fitting(all, left + 12.0, right - 12.0);
        let limit = match self.limit {
            Some(Limit::Metric { metric: of, value }) if of == metric => (value, "limit"),
            _ => (metric.usual_limit(), "usual limit"),
        };
        let values = self.curve.points.iter().chain(&self.curve.control).filter_map(|p| p.measure.seen.get(metric));
        let [low, high] = values
            .chain([limit.0])
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
        // What grows with visibility begins at 0; similarities and decibels where they are.
        let low = if metric.grows_with_visibility() { 0.0 } else { low - 0.08 * (high - low).max(1e-3) };
        let high = high + 0.08 * (high - low).max(1e-3);
        let y = |value: f64| bottom - PLOT * ((value - low) / (high - low)).clamp(0.0, 1.0);
        let ticks = ticks(low, high);
        let step = if ticks.len() > 1 { ticks[1] - ticks[0] } else { 1.0 };
        let path = |points: &[CurvePoint]| {
            let of =
                |p: &CurvePoint| Some(format!("{},{}", at(scale.x(p.epsilon)), at(y(p.measure.seen.get(metric)?))));
            points.iter().filter_map(of).collect::<Vec<_>>().join(" ")
        };
        let dots = |points: &[CurvePoint]| -> Vec<[f64; 2]> {
            let of = |p: &CurvePoint| Some([scale.x(p.epsilon), y(p.measure.seen.get(metric)?)]);
            points.iter().filter_map(of).collect()
        };
        let has_control = self.curve.attack != attack::RANDOM_SIGN;
        let names = scale.ticks();
        let every = names.len().div_ceil(TICKS).max(1);
        let better = if metric.grows_with_visibility() { "larger: more visible" } else { "smaller: more visible" };
        html! {
            text class="fig-strong" x=(at(left)) y=(at(top - 8.0)) { (metric.title()) }
            (self.shading.bands(scale, top, bottom))
            @for &tick in &ticks {
                line class="fig-grid" x1=(at(left)) x2=(at(right)) y1=(at(y(tick))) y2=(at(y(tick))) {}
                text class="fig-soft" x=(at(left - 7.0)) y=(at(y(tick) + 5.0)) text-anchor="end" { (value_name(tick, step)) }
            }
            rect class="fig-frame" x=(at(left)) y=(at(top)) width=(at(right - left)) height=(at(PLOT)) {}
            @if let Some(t) = self.threshold {
                @let x = at(scale.x(t.epsilon).clamp(left, right));
                line class="fig-seenline" x1=(x) x2=(x) y1=(at(top)) y2=(at(bottom)) {}
            }
            line class="fig-limit" x1=(at(left)) x2=(at(right)) y1=(at(y(limit.0))) y2=(at(y(limit.0))) {
                title { (metric.title()) ", " (limit.1) " " (limit.0) }
            }
            @if has_control {
                polyline class="fig-control" points=(path(&self.curve.control)) {}
                @for [x, y] in dots(&self.curve.control) { (Marker::Circle.draw("fig-mcontrol", x, y)) }
            }
            polyline class="fig-line fig-seenmetric" points=(path(&self.curve.points)) {}
            @for [x, y] in dots(&self.curve.points) { (Marker::Square.draw("fig-mseenmetric", x, y)) }
            @for tick in names.iter().rev().step_by(every) {
                @let x = at(scale.x(*tick));
                line class="fig-tick" x1=(x) x2=(x) y1=(at(bottom)) y2=(at(bottom + 4.0)) {}
                text class="fig-soft" x=(x) y=(at(bottom + 18.0)) text-anchor="middle" { (scale.tick_names(*tick)[0]) }
            }
            text class="fig-soft" x=(at((left + right) / 2.0)) y=(at(bottom + 37.0)) text-anchor="middle" {
                "dashed: " (limit.1) " " (limit.0)
            }
            // A line of its own: beside the title there is no room for it.
            text class="fig-soft" x=(at((left + right) / 2.0)) y=(at(bottom + 55.0)) text-anchor="middle" { (better) }
        }
    }
}

/// Three or more round numbers from `low` to `high`, about four.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let of = |most: usize| -> Vec<f64> {
        let steps = value_ticks(high - low, most);
        let step = steps.get(1).copied().unwrap_or(high - low);
        if step.is_nan() || step <= 0.0 {
            return vec![low];
        }
        let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
        (first..=last).map(|i| i as f64 * step).collect()
    };
    // Where a step is too wide for the place that the values have between its multiples, the next one.
    [4, 8].map(of).into_iter().find(|found| found.len() >= 3).unwrap_or_else(|| of(8))
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_round_and_within() {
        let found = ticks(0.913, 1.004);
        assert!(found.len() >= 3 && found.iter().all(|t| (0.913..=1.004).contains(t)), "{found:?}");
        assert_eq!(ticks(0.0, 0.0), [0.0]);
    }
}
