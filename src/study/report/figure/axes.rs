//! One of the two plots of a figure: its axes, and what lies on them.

use super::window::Shading;
use super::words::ThresholdLine;
use super::{LEFT, RIGHT, WIDTH};
use crate::attack;
use crate::study::report::epsilon;
use crate::study::report::plot::{EpsilonScale, Marker, at, value_name, value_ticks};
use crate::study::{Curve, CurvePoint, Measure};
use maud::{Markup, html};

/// One line of a plot: what it shows, and how it looks.
pub(super) struct Line {
    pub name: &'static str,
    pub class: &'static str,
    pub marker: Marker,
    pub value: fn(&Measure) -> f64,
}

pub(super) const OVERLAP: [Line; 2] = [
    Line { name: "Dice", class: "a", marker: Marker::Circle, value: |m| m.overlap.dice },
    Line { name: "IoU", class: "b", marker: Marker::Square, value: |m| m.overlap.iou },
];

pub(super) const ERRORS: [Line; 2] = [
    Line {
        name: "pixel error: RMSE (left), L2 (right)",
        class: "c",
        marker: Marker::Triangle,
        value: |m| m.error.rmse,
    },
    Line { name: "share of wrong pixels", class: "d", marker: Marker::Diamond, value: |m| m.error.wrong },
];

pub(super) const DECISION: [Line; 2] = [
    Line {
        name: "P(true class)",
        class: "a",
        marker: Marker::Circle,
        value: |m| m.decision.map_or(0.0, |d| d.probability),
    },
    Line {
        name: "P(chosen class)",
        class: "b",
        marker: Marker::Square,
        value: |m| m.decision.map_or(0.0, |d| d.confidence),
    },
];

pub(super) const LOSS: [Line; 1] = [Line {
    name: "−log P(true class)",
    class: "c",
    marker: Marker::Triangle,
    value: |m| m.decision.map_or(0.0, |d| d.cross_entropy()),
}];

/// One of the two plots.
pub(super) struct Axes<'a> {
    pub scale: EpsilonScale,
    pub top: f64,
    pub bottom: f64,
    /// The value at the top.
    pub largest: f64,
    pub shading: &'a Shading,
    pub curve: &'a Curve,
    /// What the left axis shows.
    pub side: &'static str,
    pub threshold: Option<&'a ThresholdLine>,
}

impl Axes<'_> {
    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value / self.largest).clamp(0.0, 1.0)
    }

    /// The plot; `root_n` adds the axis of the pixel error's L2 norm, which is RMSE·√N.
    pub fn draw(&self, lines: &[Line], root_n: Option<f64>) -> Markup {
        html! {
            (self.shading.bands(self.scale, self.top, self.bottom))
            (self.threshold())
            (self.frame(root_n))
            @for line in lines { (self.baseline(line)) }
            @if self.curve.attack != attack::RANDOM_SIGN {
                @for line in lines { (self.control(line)) }
            }
            @for line in lines { (self.attack(line)) }
        }
    }

    fn threshold(&self) -> Markup {
        let x = |epsilon: f64| self.scale.x(epsilon.max(0.0)).clamp(LEFT, RIGHT);
        html! {
            @if let Some(threshold) = self.threshold {
                @let [low, high] = threshold.interval.map(x);
                rect class="fig-seenband" x=(at(low)) y=(at(self.top)) width=(at((high - low).max(1.0))) height=(at(self.bottom - self.top)) {}
                line class="fig-seenline" x1=(at(x(threshold.epsilon))) x2=(at(x(threshold.epsilon))) y1=(at(self.top)) y2=(at(self.bottom)) {
                    title { (threshold.words()) }
                }
            }
        }
    }

    fn frame(&self, root_n: Option<f64>) -> Markup {
        let ticks = value_ticks(self.largest, 5);
        let step = ticks.get(1).copied().unwrap_or(1.0);
        html! {
            @for &tick in &ticks {
                @let y = at(self.y(tick));
                line class="fig-grid" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                text class="fig-text" x=(at(LEFT - 12.0)) y=(at(self.y(tick) + 5.5)) text-anchor="end" { (value_name(tick, step)) }
            }
            @for tick in self.scale.ticks() {
                @let x = at(self.scale.x(tick));
                line class="fig-tick" x1=(x) x2=(x) y1=(at(self.bottom)) y2=(at(self.bottom + 6.0)) {}
            }
            rect class="fig-frame" x=(LEFT) y=(at(self.top)) width=(at(RIGHT - LEFT)) height=(at(self.bottom - self.top)) {}
            @if let Some(x) = self.scale.interruption() {
                line class="fig-cut" x1=(at(x - 4.0)) x2=(at(x + 4.0)) y1=(at(self.bottom)) y2=(at(self.bottom)) {}
                line class="fig-tick" x1=(at(x - 7.0)) x2=(at(x - 1.0)) y1=(at(self.bottom + 6.0)) y2=(at(self.bottom - 6.0)) {}
                line class="fig-tick" x1=(at(x + 1.0)) x2=(at(x + 7.0)) y1=(at(self.bottom + 6.0)) y2=(at(self.bottom - 6.0)) {}
            }
            @if let Some(root_n) = root_n.filter(|n| *n > 0.0) {
                @let ticks = value_ticks(self.largest * root_n, 5);
                @let step = ticks.get(1).copied().unwrap_or(1.0);
                @for tick in &ticks {
                    @let y = self.y(tick / root_n);
                    line class="fig-tick" x1=(RIGHT) x2=(at(RIGHT + 6.0)) y1=(at(y)) y2=(at(y)) {}
                    text class="fig-text" x=(at(RIGHT + 12.0)) y=(at(y + 5.5)) { (value_name(*tick, step)) }
                }
                (side_name(WIDTH - 16.0, (self.top + self.bottom) / 2.0, "pixel error L2"))
            }
            (side_name(28.0, (self.top + self.bottom) / 2.0, self.side))
        }
    }

    /// The clean value, dotted, across the plot.
    fn baseline(&self, line: &Line) -> Markup {
        let y = at(self.y((line.value)(&self.curve.clean)));
        html! {
            line class={ "fig-" (line.class) " fig-base" } x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {
                title { "clean " (line.name) " " (format!("{:.3}", (line.value)(&self.curve.clean))) }
            }
        }
    }

    fn control(&self, line: &Line) -> Markup {
        html! {
            polyline class="fig-control" points=(self.path(line, &self.curve.control)) {}
            @for point in &self.curve.control { (self.marker(line, point, "fig-mcontrol", "random sign, ")) }
        }
    }

    fn attack(&self, line: &Line) -> Markup {
        let class = format!("fig-m{}", line.class);
        html! {
            polyline class={ "fig-line fig-" (line.class) } points=(self.path(line, &self.curve.points)) {}
            @for point in &self.curve.points { (self.marker(line, point, &class, "")) }
        }
    }

    fn path(&self, line: &Line, points: &[CurvePoint]) -> String {
        let place =
            |p: &CurvePoint| format!("{},{}", at(self.scale.x(p.epsilon)), at(self.y((line.value)(&p.measure))));
        points.iter().map(place).collect::<Vec<_>>().join(" ")
    }

    fn marker(&self, line: &Line, point: &CurvePoint, class: &str, who: &str) -> Markup {
        let value = (line.value)(&point.measure);
        html! {
            g {
                title { (who) (line.name) " " (format!("{value:.3}")) " at ε = " (epsilon::both(point.epsilon)) }
                (line.marker.draw(class, self.scale.x(point.epsilon), self.y(value)))
            }
        }
    }
}

/// The name of a vertical axis.
fn side_name(x: f64, y: f64, name: &str) -> Markup {
    html! {
        text class="fig-soft" text-anchor="middle" transform={ "translate(" (at(x)) " " (at(y)) ") rotate(-90)" } { (name) }
    }
}
