//! The figure of a psychometric function: answers, what was fitted to them, and the threshold with its interval.

use super::ReportError;
use super::epsilon;
use super::figure::{LEFT, PNG_SCALE, STYLE, WIDTH};
use super::plot::{EpsilonScale, Marker, at, value_name, value_ticks};
use super::raster::{FONT_FAMILY, encode_png, rasterise};
use crate::observer::threshold_probability;
use maud::{Markup, PreEscaped, html};

/// All answers at one ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnsweredShare {
    /// ε.
    pub epsilon: f64,
    /// Trials.
    pub trials: u32,
    /// The share of positive answers.
    pub share: f64,
    /// Its interval of 95 %.
    pub interval: [f64; 2],
}

/// What is drawn. All ε are fractions of the bounds' width.
#[derive(Clone, Debug, PartialEq)]
pub struct PsychometricFigure {
    /// In the first line: who, what.
    pub title: String,
    /// In the second line: how it was shown.
    pub subtitle: String,
    /// What is counted: `correct`, `“altered”`.
    pub side: &'static str,
    /// The share that guessing gives.
    pub chance: f64,
    /// The answers; at ε = 0 those of catch trials without a perturbation.
    pub answers: Vec<AnsweredShare>,
    /// Points (ε, probability) of the fitted function, ascending in ε.
    pub curve: Vec<[f64; 2]>,
    /// The threshold; none if it is never reached.
    pub threshold: Option<f64>,
    /// Its interval of 95 %; the upper end may be infinite.
    pub interval: [f64; 2],
}

const RIGHT: f64 = 1000.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 470.0;
const HEIGHT: f64 = 590.0;
/// Ends of an interval stretch the axis by this factor at most: an end beyond is where the axis ends.
const STRETCH: f64 = 8.0;

impl PsychometricFigure {
    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        self.markup(false).into_string()
    }

    /// As part of an HTML document.
    pub fn inline(&self) -> Markup {
        self.markup(true)
    }

    /// The figure as pixels.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        encode_png(&rasterise(&self.svg(), PNG_SCALE)?)
    }

    fn markup(&self, inline: bool) -> Markup {
        let known: Vec<f64> = self.epsilons().chain(self.threshold).filter(|e| *e > 0.0).collect();
        let smallest = known.iter().copied().fold(f64::INFINITY, f64::min) / STRETCH;
        let largest = known.iter().copied().fold(0.0, f64::max) * STRETCH;
        let ends = self.interval.map(|end| if end.is_finite() { end.max(smallest).min(largest) } else { end });
        let drawn = ends.into_iter().filter(|end| self.threshold.is_some() && end.is_finite());
        let scale = EpsilonScale::fitting(known.iter().copied().chain(drawn), LEFT + 26.0, RIGHT - 26.0);
        let y = |share: f64| BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0);
        let x = |epsilon: f64| scale.x(epsilon).clamp(LEFT, RIGHT);
        let path: Vec<String> = self.curve.iter().map(|p| format!("{},{}", at(x(p[0])), at(y(p[1])))).collect();
        let most = self.answers.iter().map(|a| a.trials).max().unwrap_or(1).max(1);
        let [unit, other] = scale.units();
        let half_way = threshold_probability(self.chance);
        let [low, high] = ends.map(|e| if e.is_finite() { x(e) } else { RIGHT });
        html! {
            svg xmlns=[(!inline).then_some("http://www.w3.org/2000/svg")] class="fig" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) }
                width=(WIDTH) height=(HEIGHT) role="img" aria-label={ (self.title) ". " (self.words()) } font-family=(FONT_FAMILY) {
                style { (PreEscaped(STYLE)) }
                rect class="fig-back" width=(WIDTH) height=(HEIGHT) {}
                text class="fig-title" x=(LEFT) y="34" { (self.title) }
                text class="fig-soft" x=(LEFT) y="56" { (self.subtitle) }
                text class="fig-strong" x=(LEFT) y="80" { (self.words()) }
                @for tick in value_ticks(1.0, 5) {
                    line class="fig-grid" x1=(LEFT) x2=(RIGHT) y1=(at(y(tick))) y2=(at(y(tick))) {}
                    text class="fig-text" x=(at(LEFT - 12.0)) y=(at(y(tick) + 5.5)) text-anchor="end" { (value_name(tick, 0.2)) }
                }
                @for tick in scale.ticks() {
                    @let [name, second] = scale.tick_names(tick);
                    @let x = at(scale.x(tick));
                    line class="fig-tick" x1=(x) x2=(x) y1=(at(BOTTOM)) y2=(at(BOTTOM + 6.0)) {}
                    text class="fig-text" x=(x) y=(at(BOTTOM + 25.0)) text-anchor="middle" { (name) }
                    @if tick > 0.0 { text class="fig-soft" x=(x) y=(at(BOTTOM + 44.0)) text-anchor="middle" { (second) } }
                }
                rect class="fig-frame" x=(LEFT) y=(TOP) width=(RIGHT - LEFT) height=(BOTTOM - TOP) {}
                text class="fig-soft" text-anchor="middle" transform={ "translate(34 " (at((TOP + BOTTOM) / 2.0)) ") rotate(-90)" } { "share " (self.side) }
                text class="fig-strong" x=(at((LEFT + RIGHT) / 2.0)) y=(at(BOTTOM + 74.0)) text-anchor="middle" { (unit) }
                text class="fig-soft" x=(at((LEFT + RIGHT) / 2.0)) y=(at(BOTTOM + 94.0)) text-anchor="middle" { "second row: " (other.trim_start_matches("as ")) "; circles: answers, larger for more trials, with their 95 % interval" }
                line class="fig-control" x1=(LEFT) x2=(RIGHT) y1=(at(y(self.chance))) y2=(at(y(self.chance))) {}
                text class="fig-soft" x=(at(RIGHT - 8.0)) y=(at(y(self.chance) - 6.0)) text-anchor="end" { "guessing" }
                @if let Some(threshold) = self.threshold {
                    rect class="fig-band" x=(at(low)) y=(TOP) width=(at((high - low).max(1.0))) height=(BOTTOM - TOP) {}
                    line class="fig-edge" x1=(at(x(threshold))) x2=(at(x(threshold))) y1=(TOP) y2=(BOTTOM) {}
                    line class="fig-edge" x1=(LEFT) x2=(at(x(threshold))) y1=(at(y(half_way))) y2=(at(y(half_way))) {}
                }
                polyline class="fig-line fig-a" points=(path.join(" ")) {}
                @for a in &self.answers {
                    @let size = 3.0 + 6.0 * (f64::from(a.trials) / f64::from(most)).sqrt();
                    line class="fig-tick" x1=(at(x(a.epsilon))) x2=(at(x(a.epsilon))) y1=(at(y(a.interval[0]))) y2=(at(y(a.interval[1]))) {}
                    @if a.epsilon > 0.0 { circle class="fig-ma" cx=(at(x(a.epsilon))) cy=(at(y(a.share))) r=(at(size)) {} }
                    @else { (Marker::Square.draw("fig-mcontrol", x(a.epsilon), y(a.share))) }
                }
            }
        }
    }

    /// All ε that were shown, or of which the function is drawn.
    fn epsilons(&self) -> impl Iterator<Item = f64> {
        self.curve.iter().map(|p| p[0]).chain(self.answers.iter().map(|a| a.epsilon))
    }

    /// The threshold in words.
    fn words(&self) -> String {
        let [low, high] = self.interval;
        let end =
            if high.is_finite() { format!("to {}", epsilon::levels(high)) } else { "without an upper end".to_owned() };
        match self.threshold {
            Some(threshold) => {
                let shown = self.answers.iter().map(|a| a.epsilon).filter(|e| *e > 0.0);
                let below = threshold < shown.fold(f64::INFINITY, f64::min);
                format!(
                    "threshold ε = {} (95 %: {} {end}){}",
                    epsilon::both(threshold),
                    epsilon::levels(low),
                    if below { ", below every ε that was shown" } else { "" }
                )
            }
            None => "the threshold is never reached".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(epsilon: f64, share: f64) -> AnsweredShare {
        AnsweredShare { epsilon, trials: 10, share, interval: [share - 0.1, share + 0.1] }
    }

    #[test]
    fn the_threshold_and_the_answers_are_drawn() {
        let figure = PsychometricFigure {
            title: "Ada, sample <1>".to_owned(),
            subtitle: "2afc".to_owned(),
            side: "correct",
            chance: 0.5,
            answers: vec![answer(0.0, 0.2), answer(0.004, 0.5), answer(0.016, 0.8)],
            curve: (0..50).map(|i| [0.0004 * 1.12f64.powi(i), 0.5 + 0.01 * f64::from(i)]).collect(),
            threshold: Some(4.0 / 255.0),
            interval: [2.0 / 255.0, f64::INFINITY],
        };
        let svg = figure.svg();
        for part in
            ["4/255", "2/255 without an upper end", "Ada, sample &lt;1&gt;", "xmlns", "share correct", "fig-band"]
        {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<circle").count(), 2, "catch trials are squares");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let picture = image::load_from_memory(&figure.png().unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (2080, 1180));
        let never = PsychometricFigure { threshold: None, ..figure };
        assert!(never.svg().contains("never reached") && !never.svg().contains("class=\"fig-band\""));
    }
    #[test]
    fn a_threshold_below_every_shown_epsilon_stands_where_it_belongs() {
        let levels = |levels: [f64; 3]| levels.map(|level| level / 255.0);
        let [first, middle, last] = levels([4.0, 16.0, 64.0]);
        let figure = PsychometricFigure {
            title: "Ada".to_owned(),
            subtitle: "yes-no".to_owned(),
            side: "“altered”",
            chance: 0.3,
            answers: vec![answer(0.0, 0.3), answer(first, 0.9), answer(middle, 0.9), answer(last, 0.9)],
            curve: vec![[first, 0.9], [last, 0.95]],
            threshold: Some(1.0 / 255.0),
            interval: [0.5 / 255.0, 2.0 / 255.0],
        };
        // The smallest ε of the axis: right of ε = 0 and of the interruption beside it.
        let start = format!("class=\"fig-band\" x=\"{}\"", at(LEFT + 26.0 + 46.0));
        let svg = figure.svg();
        assert!(svg.contains(&start) && svg.contains("below every ε that was shown"), "{svg}");
        // Half-way from guessing to certainty, at 0.65.
        let guide = |share: f64| format!("y1=\"{}\"", at(BOTTOM - (BOTTOM - TOP) * share));
        assert!(svg.contains(&guide(0.65)) && !svg.contains(&guide(0.75)), "{svg}");
        // Ends that nobody measured leave room for what was shown.
        let wide = PsychometricFigure { interval: [1e-12, 1e6], ..figure.clone() }.svg();
        let end = format!("cx=\"{}\"", at(RIGHT - 26.0));
        assert!(wide.contains(&start) && !wide.contains(&end) && !wide.contains("NaN"), "{wide}");
        let x = |svg: &str| -> Vec<f64> {
            let cells = svg.split("cx=\"").skip(1).filter_map(|rest| rest.split('"').next());
            cells.map(|cell| cell.parse().unwrap()).collect()
        };
        let (narrow, wide) = (x(&svg), x(&wide));
        assert!(wide[2] - wide[0] > 0.4 * (narrow[2] - narrow[0]), "{narrow:?}, {wide:?}");
        let shown = PsychometricFigure { threshold: Some(middle), ..figure };
        assert!(!shown.svg().contains("below every"));
    }
}
