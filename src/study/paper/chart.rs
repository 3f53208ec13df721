//! A line chart as SVG: means with their spread as bands.

use std::fmt::Write;

pub(super) const WIDTH: f64 = 860.0;
/// What the axes enclose.
const PLOT: f64 = 328.0;
pub(super) const LEFT: f64 = 76.0;
pub(super) const RIGHT: f64 = WIDTH - 20.0;
/// Okabe and Ito's colours and a brown with a dash each, so that lines differ without colour too.
const LOOKS: [Look; 7] = [
    ("#0072b2", ""),
    ("#d55e00", "9 5"),
    ("#009e73", "2 4"),
    ("#a8538a", "12 4 2 4"),
    ("#9c6644", "1 3"),
    ("#56b4e9", "14 3"),
    ("#b58900", "4 2"),
];
/// A control is grey in every figure.
const CONTROL: Look = ("#7a7a7a", "6 6");
/// Where the legend's first row is, how high a row is, and how wide a letter is at most, about.
const LEGEND: f64 = 31.0;
const ROW: f64 = 20.0;
const LETTER: f64 = 7.6;

/// A colour and a dash.
type Look = (&'static str, &'static str);

/// A line: (x, mean, deviation), ascending in x.
pub(super) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64, f64)>,
    /// What the others are compared with.
    pub control: bool,
    /// Whether its deviation is drawn: more than a few bands cannot be told apart.
    pub band: bool,
}

/// What each of `lines` looks like.
fn looks(lines: &[Line]) -> Vec<Look> {
    let mut free = LOOKS.iter().copied().cycle();
    lines.iter().map(|line| if line.control { CONTROL } else { free.next().unwrap_or(CONTROL) }).collect()
}

/// Where the legend's entries begin, in as many rows as they need.
fn legend(lines: &[Line]) -> Vec<[f64; 2]> {
    let [mut x, mut y] = [LEFT, LEGEND];
    let place = |line: &Line| {
        let width = 31.0 + LETTER * line.name.chars().count() as f64;
        if x > LEFT && x + width > RIGHT {
            [x, y] = [LEFT, y + ROW];
        }
        let at = [x, y];
        x += width + 18.0;
        at
    };
    lines.iter().map(place).collect()
}

/// Draws `lines`; the vertical axis begins at 0.
pub(super) fn chart(lines: &[Line], x_name: &str, y_name: &str) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let largest_x = all().map(|p| p.0).fold(0.0, f64::max).max(1e-9);
    let largest_y = all().map(|p| p.1 + p.2).filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9) * 1.05;
    let legend = legend(lines);
    let top = legend.last().map_or(LEGEND, |[_, y]| *y) + 13.0;
    let bottom = top + PLOT;
    let height = bottom + 58.0;
    let x = |v: f64| LEFT + (RIGHT - LEFT) * v / largest_x;
    let y = |v: f64| bottom - PLOT * (v / largest_y).clamp(0.0, 1.0);
    let mut svg = format!(
        "<svg class=\"fig\" role=\"img\" aria-label=\"{y_name} over {x_name}\" viewBox=\"0 0 {WIDTH} {height}\" \
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
    svg += &x_axis(largest_x, bottom, x_name);
    let _ = write!(svg, "<text x=\"{LEFT}\" y=\"16\" {text}>{y_name}</text>");
    for ((line, (colour, dash)), [key, row]) in lines.iter().zip(looks(lines)).zip(legend) {
        let points: Vec<_> = line.points.iter().filter(|p| p.1.is_finite() && p.2.is_finite()).collect();
        let path = |of: &dyn Fn(&(f64, f64, f64)) -> f64| -> Vec<String> {
            points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(of(p)))).collect()
        };
        if line.band && points.iter().any(|p| p.2 > 0.0) {
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
            "<line x1=\"{key:.1}\" x2=\"{:.1}\" y1=\"{row}\" y2=\"{row}\" stroke=\"{colour}\" stroke-width=\"2.4\" stroke-dasharray=\"{dash}\"/>\
             <text class=\"key\" x=\"{:.1}\" y=\"{}\" {text}>{name}</text>",
            key + 26.0,
            key + 31.0,
            row + 5.0
        );
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

    fn line(name: &str) -> Line {
        let points = vec![(0.0, 0.1, 0.0), (0.3, 0.5, 0.2), (0.9, f64::NAN, 0.0)];
        Line { name: name.to_owned(), points, control: false, band: true }
    }

    #[test]
    fn a_chart_is_an_svg_that_can_be_drawn() {
        let svg = chart(&[line("FGSM"), line("a < b")], "ε", "error");
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
        let standalone = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" color=\"#000\" ", 1);
        assert!(crate::study::report::rasterise(&standalone, 1.0).unwrap().width() as f64 == WIDTH);
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    }

    #[test]
    fn eight_lines_differ_and_their_legend_is_inside() {
        let study = crate::study::paper::StudyFile::named("inverse-fgsm").unwrap();
        let mut lines: Vec<Line> = study.rows.iter().map(|row| line(&row.name)).collect();
        assert_eq!(lines.len(), 8);
        for line in &mut lines[4..] {
            (line.control, line.band) = (line.name.contains("random"), false);
        }
        let mut looks = looks(&lines);
        assert_eq!(looks[7], CONTROL, "a control is grey");
        looks.sort_unstable();
        looks.dedup();
        assert_eq!(looks.len(), 8, "two lines look alike");
        let svg = chart(&lines, "epochs", "mean IoU");
        assert_eq!(svg.matches("<polygon").count(), 4, "the bands that are asked for");
        // Attributes of the legend's texts, and where each ends at a width of letters that few fonts exceed.
        let number = |text: &str, name: &str| -> f64 {
            text.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let keys: Vec<[f64; 3]> = svg
            .split("<text class=\"key\"")
            .skip(1)
            .zip(&lines)
            .map(|(text, line)| {
                let x = number(text, "x");
                [x, x + 7.3 * line.name.chars().count() as f64, number(text, "y")]
            })
            .collect();
        assert_eq!(keys.len(), 8);
        for (place, [start, end, y]) in keys.iter().enumerate() {
            assert!(*start > 0.0 && *end < WIDTH, "{}: {start} to {end}", lines[place].name);
            if let Some([next, _, row]) = keys.get(place + 1) {
                assert!(row > y || next - 31.0 > *end, "{} touches the next", lines[place].name);
            }
        }
        // No row of the legend lies in the axes: the grid begins under it.
        let lowest = keys.iter().map(|key| key[2]).fold(0.0, f64::max);
        let highest =
            svg.split("<polyline points=\"").skip(1).flat_map(|part| part.split('"').next().unwrap().split(' '));
        let highest =
            highest.map(|point| point.split(',').nth(1).unwrap().parse::<f64>().unwrap()).fold(f64::MAX, f64::min);
        assert!(highest > lowest, "{highest} and {lowest}");
    }
}
