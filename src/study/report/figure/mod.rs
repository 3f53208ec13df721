//! The curve as a figure: overlap above, errors below, over ε, each with the clean baseline and the control; for a model that
//! classifies, probabilities above and the loss below. Then what was measured of the perturbation on the screen. Behind them the ε
//! that break the model, those that are not seen, and both.
//!
//! Drawn as SVG with classes, so that a report can recolour it for dark screens; colours are Okabe–Ito, and every line
//! also differs in dash and marker.

mod axes;
mod metrics;
mod window;
mod words;

pub use words::{ThresholdLine, finds, size_words};
pub(super) use words::{found_axis, title};

use super::ReportError;
use super::conditions::Conditions;
use super::criterion::Criterion;
use super::plot::{EpsilonScale, Marker, at};
use super::raster::{FONT_FAMILY, encode_png, rasterise};
use crate::attack;
use crate::data::write_bytes_atomic;
use crate::study::{Curve, Limit, Measure};
use axes::{Axes, DECISION, ERRORS, LOSS, Line, OVERLAP};
use maud::{Markup, PreEscaped, html};
use metrics::Metrics;
use std::path::Path;
use window::{Shading, hatchings};

pub(super) const WIDTH: f64 = 1040.0;
pub(super) const LEFT: f64 = 92.0;
const RIGHT: f64 = WIDTH - 92.0;
/// Room between the frame and the first and last point.
const INSET: f64 = 26.0;
/// Heights of the two plots.
const UPPER: f64 = 274.0;
const LOWER: f64 = 242.0;
/// Room of a line of small text.
const TEXT_LINE: f64 = 20.0;
/// Characters of a line of small text from the left to the right end of the plots.
const TEXT_WIDTH: usize = 116;
/// Pixels of the PNG per unit of the SVG.
pub(super) const PNG_SCALE: f32 = 2.0;

/// Presentation of the SVG's classes; the report overrides colours for dark screens.
pub(super) const STYLE: &str = "
.fig-back{fill:#ffffff}.fig-text{fill:#1a1a1a;font-size:16px}.fig-title{fill:#1a1a1a;font-size:22px;font-weight:600}
.fig-soft{fill:#5f6368;font-size:14px}.fig-strong{fill:#1a1a1a;font-size:16px;font-weight:600}
.fig-frame{fill:none;stroke:#5f6368;stroke-width:1}.fig-grid{stroke:#e3e5e8;stroke-width:1}
.fig-tick{stroke:#5f6368;stroke-width:1}.fig-band{fill:#d55e00;fill-opacity:0.11}.fig-edge{stroke:#a64700;stroke-width:1.2;stroke-dasharray:3 3}
.fig-bandbroken{fill:#d55e00;fill-opacity:0.10}.fig-bandunseen{fill:#0072b2;fill-opacity:0.08}.fig-bandboth{fill:#008a64;fill-opacity:0.10}
.fig-edgebroken{stroke:#a64700;stroke-width:1.2;stroke-dasharray:3 3}.fig-edgeunseen{stroke:#005c8f;stroke-width:1.2;stroke-dasharray:1.5 3.5}
.fig-edgeboth{stroke:#00684c;stroke-width:1.6}
.fig-stripbroken{stroke:#a64700;stroke-width:1.2}.fig-stripunseen{stroke:#005c8f;stroke-width:1.2}.fig-stripboth{stroke:#00684c;stroke-width:1.6}
.fig-hatchbroken{fill:none;stroke:#d55e00;stroke-width:1.6}.fig-hatchunseen{fill:none;stroke:#0072b2;stroke-width:1.6}
.fig-hatchboth{fill:none;stroke:#008a64;stroke-width:1.6}.fig-hatchplot{fill:none;stroke:#008a64;stroke-width:0.7;stroke-opacity:0.45}
.fig-namebroken{fill:#a64700;font-size:14px;font-weight:600}.fig-nameunseen{fill:#005c8f;font-size:14px;font-weight:600}
.fig-nameboth{fill:#00684c;font-size:14px;font-weight:600}
.fig-limit{stroke:#1a1a1a;stroke-width:1.6;stroke-dasharray:8 5}.fig-seenmetric{stroke:#5b4a9e}.fig-mseenmetric{fill:#5b4a9e}
.fig-line{fill:none;stroke-width:2.6;stroke-linejoin:round;stroke-linecap:round}
.fig-a{stroke:#0072b2}.fig-b{stroke:#d55e00;stroke-dasharray:11 5}.fig-c{stroke:#008a64}.fig-d{stroke:#a8538a;stroke-dasharray:11 4 2.5 4}
.fig-base{fill:none;stroke-width:1.6;stroke-dasharray:1.5 5;stroke-linecap:round}
.fig-ma{fill:#0072b2}.fig-mb{fill:#d55e00}.fig-mc{fill:#008a64}.fig-md{fill:#a8538a}
.fig-control{fill:none;stroke:#80868b;stroke-width:1.8;stroke-dasharray:6 4.5}
.fig-mcontrol{fill:#ffffff;stroke:#80868b;stroke-width:1.6}
.fig-cut{stroke:#ffffff;stroke-width:4}
.fig-read{fill:#1a1a1a;font-size:14px}.fig-seenband{fill:#0072b2;fill-opacity:0.10}.fig-seenline{stroke:#005c8f;stroke-width:2;stroke-dasharray:9 3 2 3}
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
    /// Up to where it is not seen: shaded too, with the ε at which both hold. Without it only what breaks the model is.
    pub limit: Option<Limit>,
    /// Under what it was measured, a line each, below the plots.
    pub facts: Vec<String>,
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
            limit: None,
            facts: Vec::new(),
            threshold: None,
            inline: false,
        }
    }

    /// The same as judged and measured under `conditions`, which it prints.
    #[must_use]
    pub fn under(self, conditions: &Conditions) -> Self {
        Self { criterion: conditions.criterion, limit: conditions.limit, facts: conditions.lines(), ..self }
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
        let shading = Shading::new(self.curve, self.criterion, self.limit, self.threshold.as_ref());
        let metrics = Metrics::new(self.curve, self.limit, self.threshold.as_ref(), &shading);
        let subtitle = wrapped(&self.subtitle);
        let facts: Vec<String> = self.facts.iter().flat_map(|fact| wrapped(fact)).collect();
        // From above: what is said, the strips, two plots, the metrics, under what all that was measured.
        let said = 64.0 + TEXT_LINE * subtitle.len().max(1) as f64;
        let strips = said + TEXT_LINE * shading.words.len() as f64;
        let first_legend = strips + shading.height() + 22.0;
        let top = first_legend + 26.0;
        let second_legend = top + UPPER + 46.0;
        let second_top = second_legend + 26.0;
        let second_bottom = second_top + LOWER;
        let third = second_bottom + 132.0;
        let after = if metrics.measured.is_empty() { second_bottom + 118.0 } else { third + metrics.height() + 42.0 };
        let height = after + TEXT_LINE * facts.len() as f64;
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
            top,
            bottom: top + UPPER,
            largest: 1.0,
            shading: &shading,
            curve: self.curve,
            side: upper_side,
            threshold: self.threshold.as_ref(),
        };
        let errors = Axes {
            scale,
            top: second_top,
            bottom: second_bottom,
            largest: (errors_top * 1.06).min(if classes { f64::INFINITY } else { 1.02 }),
            shading: &shading,
            curve: self.curve,
            side: lower_side,
            threshold: self.threshold.as_ref(),
        };
        let description = format!("{}. {}", self.title, self.subtitle);
        html! {
            svg xmlns=[(!self.inline).then_some("http://www.w3.org/2000/svg")] class="fig" viewBox={ "0 0 " (WIDTH) " " (height) }
                width=(WIDTH) height=(height) role="img" aria-label=(description) font-family=(FONT_FAMILY) {
                style { (PreEscaped(STYLE)) }
                rect class="fig-back" width=(WIDTH) height=(height) {}
                (hatchings())
                text class="fig-title" x=(LEFT) y="40" { (self.title) }
                (text_lines(&subtitle, "fig-soft", 64.0))
                (text_lines(&shading.words, "fig-read", said))
                (shading.strips(scale, strips))
                (legend(upper, first_legend, upper_title, self.has_control(), true))
                (overlap.draw(upper, None))
                (legend(lower, second_legend, lower_title, self.has_control(), false))
                (errors.draw(lower, root_n))
                (epsilon_names(scale, errors.bottom, self.curve))
                @if !metrics.measured.is_empty() {
                    text class="fig-strong" x=(LEFT) y=(at(third)) { "As a screen shows it, over ε: metrics that stand for what a person sees" }
                    (metrics.draw(third + 18.0))
                }
                (text_lines(&facts, "fig-soft", after))
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
fn legend(lines: &[Line], y: f64, heading: &str, control: bool, clean: bool) -> Markup {
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
        @if clean {
            @let start = place("clean image", true);
            line class="fig-base fig-a" x1=(at(start)) x2=(at(start + 36.0)) y1=(at(y)) y2=(at(y)) {}
            text class="fig-text" x=(at(start + 44.0)) y=(at(y + 5.5)) { "clean image" }
        }
    }
}

/// `text` in lines that fit between the ends of the plots.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= TEXT_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Lines of small text from `y` down.
fn text_lines(lines: &[String], class: &str, y: f64) -> Markup {
    html! {
        @for (i, line) in lines.iter().enumerate() {
            text class=(class) x=(LEFT) y=(at(y + TEXT_LINE * i as f64)) { (line) }
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

/// Writes the figure of `curve`, judged and measured under `conditions`, to `path`, as SVG or PNG by its ending, whole or not at all.
///
/// # Errors
/// If the ending is another one, or the file cannot be written.
pub fn write_figure(
    curve: &Curve,
    subtitle: &str,
    conditions: &Conditions,
    threshold: Option<ThresholdLine>,
    path: &Path,
) -> Result<(), ReportError> {
    let figure = Figure { subtitle: subtitle.to_owned(), threshold, ..Figure::of(curve).under(conditions) };
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let bytes = match ending.as_str() {
        "svg" => figure.svg().into_bytes(),
        "png" => figure.png()?,
        _ => return Err(ReportError::FigureFormat(path.display().to_string())),
    };
    Ok(write_bytes_atomic(path, &bytes)?)
}
