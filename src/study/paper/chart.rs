//! A line chart as SVG: means with their spread as bands.

use std::fmt::Write;

pub(super) const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 430.0;
pub(super) const LEFT: f64 = 76.0;
pub(super) const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = HEIGHT - 58.0;
/// Okabe and Ito's colours with a dash each, so that lines differ without colour too.
const LOOKS: [(&str, &str); 7] = [
    ("#0072b2", ""),
    ("#d55e00", "9 5"),
    ("#009e73", "2 4"),
    ("#a8538a", "12 4 2 4"),
    ("#7a7a7a", "6 6"),
    ("#56b4e9", "14 3"),
    ("#b58900", "4 2"),
];

/// A line: (x, mean, deviation), ascending in x.
pub(super) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64, f64)>,
}

/// Draws `lines`; the vertical axis begins at 0.
pub(super) fn chart(lines: &[Line], x_name: &str, y_name: &str) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let largest_x = all().map(|p| p.0).fold(0.0, f64::max).max(1e-9);
    let largest_y = all().map(|p| p.1 + p.2).filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9) * 1.05;
    let x = |v: f64| LEFT + (RIGHT - LEFT) * v / largest_x;
    let y = |v: f64| BOTTOM - (BOTTOM - TOP) * (v / largest_y).clamp(0.0, 1.0);
    let mut svg = format!(
        "<svg class=\"fig\" role=\"img\" aria-label=\"{y_name} over {x_name}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"Inter, system-ui, sans-serif\" font-size=\"14\">"
    );
    let text = "fill=\"currentColor\"";
    for tick in ticks(largest_y) {
        let at = y(tick);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8886\" stroke-width=\"0.7\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" {text}>{}</text>",
            LEFT - 8.0,
            at + 5.0,
            short(tick)
        );
    }
    svg += &x_axis(largest_x, BOTTOM, x_name);
    let _ = write!(svg, "<text x=\"{LEFT}\" y=\"16\" {text}>{y_name}</text>");
    let mut legend = LEFT;
    for (line, (colour, dash)) in lines.iter().zip(LOOKS.iter().cycle()) {
        let points: Vec<_> = line.points.iter().filter(|p| p.1.is_finite() && p.2.is_finite()).collect();
        let path = |of: &dyn Fn(&(f64, f64, f64)) -> f64| -> Vec<String> {
            points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(of(p)))).collect()
        };
        if points.iter().any(|p| p.2 > 0.0) {
            let (mut band, mut back) = (path(&|p| p.1 + p.2), path(&|p| p.1 - p.2));
            back.reverse();
            band.append(&mut back);
            let _ = write!(svg, "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>", band.join(" "));
        }
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.4\" stroke-dasharray=\"{dash}\"/>",
            path(&|p| p.1).join(" ")
        );
        for p in &points {
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.4\" fill=\"{colour}\"/>", x(p.0), y(p.1));
        }
        let name = line.name.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(
            svg,
            "<line x1=\"{legend:.1}\" x2=\"{:.1}\" y1=\"31\" y2=\"31\" stroke=\"{colour}\" stroke-width=\"2.4\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{:.1}\" y=\"36\" {text}>{name}</text>",
            legend + 26.0,
            legend + 31.0
        );
        legend += 52.0 + 7.3 * line.name.chars().count() as f64;
    }
    svg + "</svg>"
}

/// Ticks and name of a horizontal axis from 0 to `largest` under `bottom`.
pub(super) fn x_axis(largest: f64, bottom: f64, name: &str) -> String {
    let text = "text-anchor=\"middle\" fill=\"currentColor\"";
    let mut svg = String::new();
    for tick in ticks(largest) {
        let x = LEFT + (RIGHT - LEFT) * tick / largest;
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\" stroke=\"currentColor\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" {text}>{}</text>",
            bottom + 5.0,
            bottom + 22.0,
            short(tick)
        );
    }
    let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" {text}>{name}</text>", (LEFT + RIGHT) / 2.0, bottom + 46.0);
    svg
}

/// Round numbers from 0.
fn ticks(largest: f64) -> Vec<f64> {
    let rough = largest / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    (0..=(largest / step + 1e-6) as usize).map(|i| i as f64 * step).collect()
}

/// A tick's number without the noise of binary fractions.
fn short(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_an_svg_that_can_be_drawn() {
        let line = |name: &str| Line {
            name: name.to_owned(),
            points: vec![(0.0, 0.1, 0.0), (0.3, 0.5, 0.2), (0.9, f64::NAN, 0.0)],
        };
        let svg = chart(&[line("FGSM"), line("a < b")], "ε", "error");
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
        let standalone = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" color=\"#000\" ", 1);
        assert!(crate::study::report::rasterise(&standalone, 1.0).unwrap().width() as f64 == WIDTH);
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    }
}
