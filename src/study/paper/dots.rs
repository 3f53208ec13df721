//! Numbers of single networks as points on one axis, a row for each seed, as SVG.

use super::chart::{LEFT, RIGHT, WIDTH, x_axis};
use std::fmt::Write;

const ROW: f64 = 34.0;
const TOP: f64 = 56.0;
/// Filled circles and rings.
const COLOURS: [&str; 2] = ["#0072b2", "#d55e00"];

/// A row: what is drawn filled, and what as rings beside it.
pub(super) struct Dots {
    pub name: String,
    pub filled: Vec<f64>,
    pub rings: Vec<f64>,
}

/// A value for all rows, with an interval if it has one.
pub(super) struct Mark {
    pub name: String,
    pub value: f64,
    pub interval: Option<[f64; 2]>,
}

/// Draws `rows` from 0 on; `names` are of filled circles and rings.
pub(super) fn dots(rows: &[Dots], marks: &[Mark], names: [&str; 2], x_name: &str) -> String {
    let ends = marks.iter().flat_map(|m| [m.value, m.interval.map_or(m.value, |[_, high]| high)]);
    let all = rows.iter().flat_map(|row| row.filled.iter().chain(&row.rings)).copied().chain(ends);
    let largest = all.filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9) * 1.05;
    let x = |v: f64| LEFT + (RIGHT - LEFT) * (v / largest).clamp(0.0, 1.0);
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 58.0;
    let text = "fill=\"currentColor\"";
    let safe = |name: &str| name.replace('&', "&amp;").replace('<', "&lt;");
    let mut svg = format!(
        "<svg class=\"fig\" role=\"img\" aria-label=\"{x_name} of each network\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"Inter, system-ui, sans-serif\" font-size=\"14\">"
    );
    for (place, mark) in marks.iter().enumerate() {
        let at = x(mark.value);
        if let Some([low, high]) = mark.interval.filter(|[low, high]| low.is_finite() && high.is_finite()) {
            let (low, high) = (x(low), x(high));
            // Writing to a string cannot fail.
            let _ = write!(
                svg,
                "<rect x=\"{low:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"currentColor\" fill-opacity=\"0.1\"/>",
                (high - low).max(1.0),
                bottom - TOP
            );
        }
        let dash = if place == 0 { "" } else { "5 4" };
        let anchor = if at > 0.7 * RIGHT { "end" } else { "start" };
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom}\" stroke=\"currentColor\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" {text}>{}</text>",
            TOP - 4.0,
            TOP - 8.0,
            safe(&mark.name)
        );
    }
    for (place, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (place as f64 + 0.5);
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" {text}>{}</text>",
            LEFT - 8.0,
            y + 5.0,
            safe(&row.name)
        );
        for v in row.filled.iter().filter(|v| v.is_finite()) {
            let _ = write!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{}\" fill-opacity=\"0.75\"/>",
                x(*v),
                y - 5.0,
                COLOURS[0]
            );
        }
        for v in row.rings.iter().filter(|v| v.is_finite()) {
            let _ = write!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>",
                x(*v),
                y + 7.0,
                COLOURS[1]
            );
        }
    }
    svg += &x_axis(largest, bottom, x_name);
    let _ = write!(
        svg,
        "<circle cx=\"{LEFT}\" cy=\"14\" r=\"5\" fill=\"{}\"/><text x=\"{:.1}\" y=\"19\" {text}>{}</text>\
         <circle cx=\"{:.1}\" cy=\"14\" r=\"4.5\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/><text x=\"{:.1}\" y=\"19\" {text}>{}</text></svg>",
        COLOURS[0],
        LEFT + 10.0,
        safe(names[0]),
        LEFT + 260.0,
        COLOURS[1],
        LEFT + 270.0,
        safe(names[1])
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_drawn_where_their_values_are() {
        let row = Dots { name: "seed <1>".to_owned(), filled: vec![2.0, 4.0, f64::NAN], rings: vec![3.0] };
        let marks = [
            Mark { name: "pooled".to_owned(), value: 3.0, interval: Some([2.5, 3.5]) },
            Mark { name: "paper".to_owned(), value: 20.0, interval: None },
        ];
        let svg = dots(&[row], &marks, ["held out", "trained on"], "ratio");
        assert!(svg.contains("seed &lt;1>") && !svg.contains("NaN"));
        // 2 filled, 1 ring, 2 in the legend.
        assert_eq!(svg.matches("<circle").count(), 5, "{svg}");
        let x = LEFT + (RIGHT - LEFT) * 4.0 / 21.0;
        assert!(svg.contains(&format!("cx=\"{x:.1}\"")), "{svg}");
        let standalone = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" color=\"#000\" ", 1);
        assert!(crate::study::report::rasterise(&standalone, 1.0).unwrap().width() as f64 == WIDTH);
    }
}
