//! What the report of a campaign shares with that of a single sweep: the page and the chart.

use super::epsilon;
use super::figure::STYLE;
use super::plot::{EpsilonScale, Marker, at, value_name, value_ticks};
use super::raster::FONT_FAMILY;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const CSS: &str = include_str!("report.css");

/// A page of its own with `body`: nothing is fetched.
pub fn page(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(CSS)) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}

const WIDTH: f64 = 1040.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 760.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 330.0;

/// A line and a marker for each of up to eight attacks; more begin again.
const LINES: [(&str, Marker); 8] = [
    ("a", Marker::Circle),
    ("b", Marker::Square),
    ("c", Marker::Triangle),
    ("d", Marker::Diamond),
    ("a", Marker::Square),
    ("b", Marker::Triangle),
    ("c", Marker::Diamond),
    ("d", Marker::Circle),
];

/// A line with its name: points (ε, share).
pub type NamedLine = (String, Vec<(f64, f64)>);

/// Shares in [0, 1] along ε (an L2 norm, if `is_l2`): named lines, and those of their controls.
pub fn campaign_chart(title: &str, is_l2: bool, lines: &[NamedLine], controls: &[NamedLine]) -> Markup {
    let all = lines.iter().chain(controls).flat_map(|(_, points)| points).map(|p| p.0);
    let scale = EpsilonScale::fitting(all, LEFT + 26.0, RIGHT - 26.0);
    let y = |share: f64| BOTTOM - (BOTTOM - TOP) * share.clamp(0.0, 1.0);
    let path = |points: &[(f64, f64)]| {
        points.iter().map(|p| format!("{},{}", at(scale.x(p.0)), at(y(p.1)))).collect::<Vec<_>>().join(" ")
    };
    // Nobody thinks of the grey levels of an L2 norm.
    let [unit, other] = if is_l2 { ["ε, an L2 norm; 1 is the bounds’ width", ""] } else { scale.units() };
    let names = |tick| if is_l2 { [epsilon::fraction(tick), String::new()] } else { scale.tick_names(tick) };
    let height = (BOTTOM + 110.0).max(TOP + 14.0 + 26.0 * (lines.len() + controls.len()) as f64);
    html! {
        svg class="fig" viewBox={ "0 0 " (WIDTH) " " (at(height)) } role="img" aria-label=(title) font-family=(FONT_FAMILY) {
            style { (PreEscaped(STYLE)) }
            rect class="fig-back" width=(WIDTH) height=(at(height)) {}
            text class="fig-strong" x=(LEFT) y="38" { (title) }
            @for tick in value_ticks(1.0, 5) {
                line class="fig-grid" x1=(LEFT) x2=(RIGHT) y1=(at(y(tick))) y2=(at(y(tick))) {}
                text class="fig-text" x=(at(LEFT - 12.0)) y=(at(y(tick) + 5.5)) text-anchor="end" { (value_name(tick, 0.2)) }
            }
            @for tick in scale.ticks() {
                @let [name, second] = names(tick);
                @let x = at(scale.x(tick));
                line class="fig-tick" x1=(x) x2=(x) y1=(at(BOTTOM)) y2=(at(BOTTOM + 6.0)) {}
                text class="fig-text" x=(x) y=(at(BOTTOM + 25.0)) text-anchor="middle" { (name) }
                @if tick > 0.0 { text class="fig-soft" x=(x) y=(at(BOTTOM + 44.0)) text-anchor="middle" { (second) } }
            }
            rect class="fig-frame" x=(LEFT) y=(TOP) width=(RIGHT - LEFT) height=(BOTTOM - TOP) {}
            text class="fig-strong" x=(at((LEFT + RIGHT) / 2.0)) y=(at(BOTTOM + 74.0)) text-anchor="middle" { (unit) }
            @if !other.is_empty() { text class="fig-soft" x=(at((LEFT + RIGHT) / 2.0)) y=(at(BOTTOM + 94.0)) text-anchor="middle" { "second row: " (other.trim_start_matches("as ")) } }
            @for (i, (_, points)) in controls.iter().enumerate() {
                polyline class="fig-control" points=(path(points)) {}
                @for &(e, share) in points { (LINES[i % LINES.len()].1.draw("fig-mcontrol", scale.x(e), y(share))) }
            }
            @for (i, (name, points)) in lines.iter().enumerate() {
                @let (class, marker) = LINES[i % LINES.len()];
                @let line_y = TOP + 12.0 + 26.0 * i as f64;
                polyline class={ "fig-line fig-" (class) } points=(path(points)) {}
                @for &(e, share) in points { (marker.draw(&format!("fig-m{class}"), scale.x(e), y(share))) }
                line class={ "fig-line fig-" (class) } x1=(at(RIGHT + 20.0)) x2=(at(RIGHT + 50.0)) y1=(at(line_y)) y2=(at(line_y)) {}
                (marker.draw(&format!("fig-m{class}"), RIGHT + 35.0, line_y))
                text class="fig-text" x=(at(RIGHT + 58.0)) y=(at(line_y + 5.5)) { (super::panel::shortened(name, 24)) }
            }
            @for (i, (name, _)) in controls.iter().enumerate() {
                @let line_y = TOP + 12.0 + 26.0 * (lines.len() + i) as f64;
                line class="fig-control" x1=(at(RIGHT + 20.0)) x2=(at(RIGHT + 50.0)) y1=(at(line_y)) y2=(at(line_y)) {}
                (LINES[i % LINES.len()].1.draw("fig-mcontrol", RIGHT + 35.0, line_y))
                text class="fig-text" x=(at(RIGHT + 58.0)) y=(at(line_y + 5.5)) { (super::panel::shortened(name, 24)) }
            }
        }
    }
}
