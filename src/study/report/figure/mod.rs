//! The curve as a figure: overlap above, errors below, over ε, each with the clean baseline and the control; for a model that
//! classifies, probabilities above and the loss below.
//!
//! Drawn as SVG with classes, so that a report can recolour it for dark screens; colours are Okabe–Ito, and every line
//! also differs in dash and marker.

mod axes;
mod words;

pub use words::{ThresholdLine, finds, size_words};
pub(super) use words::{found_axis, title};

use super::ReportError;
use super::criterion::{Criterion, broken_intervals};
use super::plot::{EpsilonScale, Marker, at};
use super::raster::{FONT_FAMILY, encode_png, rasterise};
use crate::attack;
use crate::data::write_bytes_atomic;
use crate::study::{Curve, Measure};
use axes::{Axes, DECISION, ERRORS, LOSS, Line, OVERLAP};
use maud::{Markup, PreEscaped, html};
use std::path::Path;

const WIDTH: f64 = 1040.0;
const HEIGHT: f64 = 860.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = WIDTH - 92.0;
/// Room between the frame and the first and last point.
const INSET: f64 = 26.0;
/// Pixels of the PNG per unit of the SVG.
const PNG_SCALE: f32 = 2.0;

/// Presentation of the SVG's classes; the report overrides colours for dark screens.
pub(super) const STYLE: &str = "
.fig-back{fill:#ffffff}.fig-text{fill:#1a1a1a;font-size:16px}.fig-title{fill:#1a1a1a;font-size:22px;font-weight:600}
.fig-soft{fill:#5f6368;font-size:14px}.fig-strong{fill:#1a1a1a;font-size:16px;font-weight:600}
.fig-frame{fill:none;stroke:#5f6368;stroke-width:1}.fig-grid{stroke:#e3e5e8;stroke-width:1}
.fig-tick{stroke:#5f6368;stroke-width:1}.fig-band{fill:#d55e00;fill-opacity:0.11}.fig-edge{stroke:#a64700;stroke-width:1.2;stroke-dasharray:3 3}
.fig-bandtext{fill:#a64700;font-size:14px;font-weight:600}
.fig-line{fill:none;stroke-width:2.6;stroke-linejoin:round;stroke-linecap:round}
.fig-a{stroke:#0072b2}.fig-b{stroke:#d55e00;stroke-dasharray:11 5}.fig-c{stroke:#008a64}.fig-d{stroke:#a8538a;stroke-dasharray:11 4 2.5 4}
.fig-base{fill:none;stroke-width:1.6;stroke-dasharray:1.5 5;stroke-linecap:round}
.fig-ma{fill:#0072b2}.fig-mb{fill:#d55e00}.fig-mc{fill:#008a64}.fig-md{fill:#a8538a}
.fig-control{fill:none;stroke:#80868b;stroke-width:1.8;stroke-dasharray:6 4.5}
.fig-mcontrol{fill:#ffffff;stroke:#80868b;stroke-width:1.6}
.fig-cut{stroke:#ffffff;stroke-width:4}
.fig-seen{fill:#005c8f;font-size:14px;font-weight:600}.fig-seenband{fill:#0072b2;fill-opacity:0.10}.fig-seenline{stroke:#005c8f;stroke-width:2;stroke-dasharray:9 3 2 3}
";

/// A curve with what is said above it.
#[derive(Debug)]
pub struct Figure<'a> {
    /// What is drawn.
    pub curve: &'a Curve,
    /// Where the attack breaks the model is shaded.
    pub criterion: Criterion,
    /// In the first line.
    pub title: String,
    /// In the second line.
    pub subtitle: String,
    /// An observer's threshold, drawn with its interval.
    pub threshold: Option<ThresholdLine>,
    /// Part of an HTML document: without what only a file of its own needs, and with a line at each ε (class
    /// `fig-here`, hidden) for the document to show.
    pub inline: bool,
}

impl<'a> Figure<'a> {
    /// The figure of a curve on its own, with the default criterion.
    pub fn of(curve: &'a Curve) -> Self {
        Self {
            curve,
            criterion: Criterion::default(),
            title: title(&curve.attack),
            subtitle: String::new(),
            threshold: None,
            inline: false,
        }
    }

    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        self.markup().into_string()
    }

    /// The figure as pixels.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        encode_png(&rasterise(&self.svg(), PNG_SCALE)?)
    }

    fn markup(&self) -> Markup {
        let points = self.curve.points.iter().chain(&self.curve.control).map(|p| p.epsilon);
        // A threshold beyond the measured ε would not be in the picture.
        let scale =
            EpsilonScale::fitting(points.chain(self.threshold.iter().map(|t| t.epsilon)), LEFT + INSET, RIGHT - INSET);
        let bands = broken_intervals(self.curve, self.criterion);
        let classes = self.curve.clean.decision.is_some();
        let [upper, lower]: [&[Line]; 2] = if classes { [&DECISION, &LOSS] } else { [&OVERLAP, &ERRORS] };
        let [upper_title, lower_title] =
            if classes { ["Decision", "Loss"] } else { ["Overlap with the reference", "Errors"] };
        let [upper_side, lower_side] =
            if classes { ["probability", "cross-entropy in nats"] } else { ["Dice, IoU", "RMSE, share of wrong"] };
        let errors_top = self
            .measures()
            .flat_map(|m| lower.iter().map(|line| (line.value)(m)).collect::<Vec<_>>())
            .filter(|v| v.is_finite())
            .fold(0.05, f64::max);
        let root_n = (!classes).then_some((self.curve.clean.error.pixels as f64).sqrt());
        let overlap = Axes {
            scale,
            top: 146.0,
            bottom: 420.0,
            largest: 1.0,
            bands: &bands,
            curve: self.curve,
            side: upper_side,
            threshold: self.threshold.as_ref(),
        };
        let errors = Axes {
            scale,
            top: 508.0,
            bottom: 750.0,
            largest: (errors_top * 1.06).min(if classes { f64::INFINITY } else { 1.02 }),
            bands: &bands,
            curve: self.curve,
            side: lower_side,
            threshold: self.threshold.as_ref(),
        };
        let description = format!("{}. {}", self.title, self.subtitle);
        html! {
            svg xmlns=[(!self.inline).then_some("http://www.w3.org/2000/svg")] class="fig" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                width=(WIDTH) height=(HEIGHT) role="img" aria-label=(description) font-family=(FONT_FAMILY) {
                style { (PreEscaped(STYLE)) }
                rect class="fig-back" width=(WIDTH) height=(HEIGHT) {}
                text class="fig-title" x=(LEFT) y="40" { (self.title) }
                text class="fig-soft" x=(LEFT) y="64" { (self.subtitle) }
                @match &self.threshold {
                    Some(threshold) => text class="fig-seen" x=(RIGHT) y="40" text-anchor="end" { (threshold.words()) },
                    None => {}
                }
                text class="fig-soft" x=(RIGHT) y="64" text-anchor="end" { "dotted: clean image" }
                (legend(upper, 104.0, upper_title, self.has_control()))
                (overlap.draw(upper, None))
                (legend(lower, 466.0, lower_title, self.has_control()))
                (errors.draw(lower, root_n))
                (epsilon_names(scale, errors.bottom, self.curve))
                @if self.inline {
                    @for point in &self.curve.points {
                        @let x = at(scale.x(point.epsilon));
                        line class="fig-here" x1=(x) x2=(x) y1=(at(overlap.top)) y2=(at(errors.bottom)) {}
                    }
                }
            }
        }
    }

    fn has_control(&self) -> bool {
        !self.curve.control.is_empty() && self.curve.attack != attack::RANDOM_SIGN
    }

    fn measures(&self) -> impl Iterator<Item = &Measure> {
        let points = self.curve.points.iter().chain(&self.curve.control);
        points.map(|p| &p.measure).chain(std::iter::once(&self.curve.clean))
    }
}

/// Line samples with their names, above a plot.
fn legend(lines: &[Line], y: f64, heading: &str, control: bool) -> Markup {
    // Text is not measured here: half the font size is a fair width of a character.
    let mut x = LEFT;
    let mut place = |name: &str, sample: bool| {
        let start = x;
        let (character, room) = if sample { (8.1, 44.0 + 22.0) } else { (9.6, 22.0) };
        x += name.chars().count() as f64 * character + room;
        start
    };
    html! {
        text class="fig-strong" x=(at(place(heading, false))) y=(at(y + 5.0)) { (heading) }
        @for line in lines {
            @let start = place(line.name, true);
            line class={ "fig-line fig-" (line.class) } x1=(at(start)) x2=(at(start + 36.0)) y1=(at(y)) y2=(at(y)) {}
            (line.marker.draw(&format!("fig-m{}", line.class), start + 18.0, y))
            text class="fig-text" x=(at(start + 44.0)) y=(at(y + 5.5)) { (line.name) }
        }
        @if control {
            @let start = place("random sign", true);
            line class="fig-control" x1=(at(start)) x2=(at(start + 36.0)) y1=(at(y)) y2=(at(y)) {}
            (Marker::Circle.draw("fig-mcontrol", start + 18.0, y))
            text class="fig-text" x=(at(start + 44.0)) y=(at(y + 5.5)) { "random sign" }
        }
    }
}

/// Ticks of ε in both units, under the lower plot.
fn epsilon_names(scale: EpsilonScale, bottom: f64, curve: &Curve) -> Markup {
    let [unit, other] = scale.units();
    let unit = found_axis(curve).map_or_else(|| unit.to_owned(), |what| unit.replacen('ε', &what, 1));
    html! {
        @for tick in scale.ticks() {
            @let [name, second] = scale.tick_names(tick);
            text class="fig-text" x=(at(scale.x(tick))) y=(at(bottom + 25.0)) text-anchor="middle" { (name) }
            @if tick > 0.0 {
                text class="fig-soft" x=(at(scale.x(tick))) y=(at(bottom + 44.0)) text-anchor="middle" { (second) }
            }
        }
        text class="fig-strong" x=(at((LEFT + RIGHT) / 2.0)) y=(at(bottom + 74.0)) text-anchor="middle" { (unit) }
        text class="fig-soft" x=(at((LEFT + RIGHT) / 2.0)) y=(at(bottom + 94.0)) text-anchor="middle" {
            "second row: " (other.trim_start_matches("as "))
        }
    }
}

/// Writes the figure of `curve` to `path`, as SVG or PNG by its ending, whole or not at all.
///
/// # Errors
/// If the ending is another one, or the file cannot be written.
pub fn write_figure(
    curve: &Curve,
    subtitle: &str,
    threshold: Option<ThresholdLine>,
    path: &Path,
) -> Result<(), ReportError> {
    let figure = Figure { subtitle: subtitle.to_owned(), threshold, ..Figure::of(curve) };
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let bytes = match ending.as_str() {
        "svg" => figure.svg().into_bytes(),
        "png" => figure.png()?,
        _ => return Err(ReportError::FigureFormat(path.display().to_string())),
    };
    Ok(write_bytes_atomic(path, &bytes)?)
}
