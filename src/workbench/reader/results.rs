//! What a finished session says: thresholds with their intervals, ψ, and how well the timing held.

use super::Reader;
use crate::engine::{ReaderRequest, Request, SessionView};
use crate::observer::{AtEpsilon, Block, SOONEST_SECS, Task, Thresholds, threshold_probability};
use crate::study::campaign::counted;
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{CollapsingHeader, Color32, Grid, Rect, RichText, Sense, Shape, Stroke, Ui, vec2};
use egui_plot::{GridMark, HLine, Line, LineStyle, MarkerShape, Plot, Points, VLine};

/// Points of a drawn ψ.
const POINTS: usize = 160;
/// Markers of the first four thresholds, of the next four, and so on.
const SHAPES: [MarkerShape; 4] = [MarkerShape::Circle, MarkerShape::Square, MarkerShape::Diamond, MarkerShape::Up];

/// Colour and marker of the threshold at a place in the table.
fn ink(at: usize, dark: bool) -> (Color32, MarkerShape) {
    use theme::okabe_ito::{BLUE, GREEN, ORANGE, SKY_BLUE, VERMILLION, YELLOW};
    let colours = if dark { [SKY_BLUE, ORANGE, GREEN, YELLOW] } else { [BLUE, VERMILLION, GREEN, ORANGE] };
    (colours[at % colours.len()], SHAPES[at / colours.len() % SHAPES.len()])
}

/// The marker that a row has on the plot.
fn key_ui(ui: &mut Ui, at: usize) {
    let (colour, shape) = ink(at, ui.visuals().dark_mode);
    let (rect, _) = ui.allocate_exact_size(vec2(12.0, 12.0), Sense::hover());
    let (centre, r) = (rect.center(), 4.5);
    let corners = |points: &[(f32, f32)]| points.iter().map(|(x, y)| centre + vec2(x * r, y * r)).collect();
    let painter = ui.painter();
    match shape {
        MarkerShape::Circle => painter.circle_filled(centre, r, colour),
        MarkerShape::Square => painter.rect_filled(Rect::from_center_size(centre, vec2(1.8 * r, 1.8 * r)), 0.0, colour),
        _ => {
            let points = match shape {
                MarkerShape::Diamond => corners(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
                _ => corners(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
            };
            painter.add(Shape::convex_polygon(points, colour, Stroke::NONE))
        }
    };
}

impl Reader {
    pub(super) fn results_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        let Some(session) = self.session.clone() else { return };
        let Some(result) = &session.result else { return };
        ui.horizontal(|ui| {
            ui.label(theme::semibold("The threshold").size(20.0));
            if ui.button("Back to the workbench").on_hover_text("The threshold is a line on the plot over ε.").clicked()
            {
                commands.send(Command::Leave);
            }
            if ui.button("Another session").clicked() {
                self.back_to_setup(commands);
            }
            let folder = session.path.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
            let table = folder.join("trials.csv");
            if ui.button("Export all trials (CSV)").clicked() {
                commands.request(Request::Reader(ReaderRequest::Export { folder, table }));
            }
        });
        self.problem_ui(ui);
        if let Some(note) = &self.note {
            ui.label(theme::weak(ui, note));
        }
        ui.add_space(8.0);
        match &result.thresholds {
            Err(why) => {
                ui.label(RichText::new(format!("No threshold: {why}")).color(theme::of(ui).warning));
            }
            Ok(found) => {
                table_ui(ui, state, found);
                if found.iter().any(|t| !t.is_reached()) {
                    let text = "A threshold beyond the largest ε of the study, or without an upper end, is none: no line stands for it on any plot. \
                                More trials, or a larger ε, may find one.";
                    ui.label(RichText::new(text).color(theme::of(ui).warning));
                }
                let [smallest, _] = session.header.plan.shown_range();
                if found.iter().any(|t| t.fit.threshold.median < smallest) {
                    let text = format!(
                        "A threshold below {} was not measured but follows from the fitted ψ: that is the smallest change that the \
                         screen shows under this window.",
                        state.epsilon_text(smallest)
                    );
                    ui.label(RichText::new(text).color(theme::of(ui).warning));
                }
                if found.iter().any(Thresholds::is_of_random_signs) {
                    ui.label(theme::weak(ui, crate::observer::ONE_DRAW));
                }
                ui.add_space(8.0);
                plot_ui(ui, state, &session, found);
                for t in found {
                    answers_ui(ui, state, t, several(found));
                }
            }
        }
        ui.add_space(8.0);
        ui.label(conditions(state, &session));
        let [missed, trials] = result.dropped.map(|n| n as usize);
        let (text, colour) = match missed {
            0 => ("No refresh of the screen was missed while images were shown.".to_owned(), theme::of(ui).weak),
            n => (missed_text(n, trials), theme::of(ui).warning),
        };
        ui.label(RichText::new(text).color(colour));
        if result.too_soon > 0 {
            ui.label(RichText::new(too_soon_text(result.too_soon)).color(theme::of(ui).warning));
        }
        ui.label(theme::weak(ui, format!("Written to {}", session.path.display())));
    }
}

/// That so many answers came too soon.
fn too_soon_text(count: usize) -> String {
    let [they_are, they] =
        if count == 1 { ["an answer to them. It counts", "it"] } else { ["answers to them. They count", "them"] };
    format!(
        "{} came within {:.0} ms after the images, too soon to be {they_are}; the table of trials marks {they}.",
        counted(count, "answer"),
        SOONEST_SECS * 1000.0
    )
}

/// That so many refreshes were missed.
fn missed_text(missed: usize, trials: usize) -> String {
    let refreshes = if missed == 1 {
        "1 refresh of the screen was".to_owned()
    } else {
        format!("{missed} refreshes of the screen were")
    };
    format!("{refreshes} missed while images were shown, in {}: see the table of trials.", counted(trials, "trial"))
}

/// Share and d′ at each ε, folded away.
fn answers_ui(ui: &mut Ui, state: &State, found: &Thresholds, several: bool) {
    let title = crate::attack::find(&found.attack).map_or(found.attack.as_str(), |entry| entry.title);
    let asked = found.answers.iter().filter(|a| a.block.epsilon > 0.0).count();
    let text = format!(
        "Answers at {asked} different ε, {title}{}",
        if several { format!(", {}", name(found)) } else { String::new() }
    );
    CollapsingHeader::new(text).id_salt(("answers", &found.attack, name(found))).show(ui, |ui| {
        Grid::new(("answers", &found.attack, name(found))).num_columns(5).spacing([18.0, 2.0]).show(ui, |ui| {
            let positive = if found.task == Task::TwoAlternative { "Correct" } else { "“Altered”" };
            for (name, tip) in [
                ("ε as shown", "What window and bits of the screen left of it."),
                ("Trials", ""),
                (positive, "Share of the trials."),
                ("Fitted ψ", ""),
                ("d′", "Of the trials at this ε alone, rates as (count + ½)/(total + 1)."),
            ] {
                let label = ui.label(theme::weak(ui, name));
                if !tip.is_empty() {
                    label.on_hover_text(tip);
                }
            }
            ui.end_row();
            for AtEpsilon { block: Block { epsilon, positive, total }, d_prime } in &found.answers {
                ui.label(state.epsilon_text(*epsilon));
                ui.label(total.to_string());
                ui.label(format!("{:.0} %", 100.0 * f64::from(*positive) / f64::from((*total).max(1))));
                ui.label(format!("{:.0} %", 100.0 * found.fit.mode.probability(*epsilon)));
                ui.label(d_prime.map_or_else(|| "–".to_owned(), |d| format!("{d:.2}")));
                ui.end_row();
            }
        });
    });
}

/// Image and slice.
fn name(found: &Thresholds) -> String {
    let slice = found.setting.get("slice").filter(|slice| *slice != "0");
    slice.map_or_else(|| found.image.clone(), |slice| format!("{}, slice {slice}", found.image))
}

/// Whether they are of several images.
fn several(found: &[Thresholds]) -> bool {
    found.iter().any(|t| name(t) != name(&found[0]))
}

fn table_ui(ui: &mut Ui, state: &State, found: &[Thresholds]) {
    let of_several = several(found);
    Grid::new("thresholds").num_columns(8).spacing([18.0, 4.0]).show(ui, |ui| {
        for (name, tip) in [
            ("Observer", ""),
            ("Image", ""),
            ("Attack", ""),
            ("Threshold ε", "Where ψ, lapses included, is half-way between guessing and certainty, in a forced choice ¾: the perturbation is detected in half of all looks. The median of the posterior; ε as the screen showed it."),
            ("95 %", "The threshold's interval, from the posterior. “Beyond” the largest ε of the study nothing was measured."),
            ("Catch trials", "Right answers to trials of the largest ε, or in yes/no of none: whether the observer still looked."),
            ("Lapses", "The share of answers that are wrong however visible the perturbation is."),
            ("Trials", "Practice left out."),
        ] {
            if name == "Image" && !of_several {
                continue;
            }
            let label = ui.label(theme::weak(ui, name));
            if !tip.is_empty() {
                label.on_hover_text(tip);
            }
        }
        ui.end_row();
        for (at, t) in found.iter().enumerate() {
            let fit = &t.fit;
            ui.horizontal(|ui| {
                key_ui(ui, at);
                ui.label(&t.observer);
            });
            if of_several {
                ui.label(self::name(t));
            }
            ui.label(crate::attack::find(&t.attack).map_or(t.attack.as_str(), |entry| entry.title));
            let [threshold, interval] = threshold_text(t, |epsilon| state.epsilon_text(epsilon));
            ui.label(theme::semibold(threshold));
            ui.label(interval);
            let [right, catches] = t.catches;
            ui.label(if catches > 0 { format!("{right} of {catches}") } else { "none".to_owned() });
            ui.label(format!("{:.1} %", fit.lapse.median * 100.0));
            ui.label(fit.trials.to_string());
            ui.end_row();
        }
    });
}

/// The threshold, none where the study did not reach it, and its interval: what lies beyond the ε of the study was not measured.
fn threshold_text(of: &Thresholds, text: impl Fn(f64) -> String) -> [String; 2] {
    let largest = of.range[1];
    let end = |e: f64| if e <= largest { text(e) } else { format!("beyond {}", text(largest)) };
    let threshold = if of.is_reached() { text(of.fit.threshold.median) } else { "none".to_owned() };
    let [low, high] = of.fit.threshold.interval.map(end);
    [threshold, format!("{low} to {high}")]
}

/// ψ over ε with the answers as points, as large as there were many.
fn plot_ui(ui: &mut Ui, state: &State, session: &SessionView, found: &[Thresholds]) {
    let dark = ui.visuals().dark_mode;
    // A little more than there are pictures of: a threshold may lie below the smallest.
    let [first, last] = session.header.plan.shown_range();
    let first = first.min(session.header.plan.range[0].max(first / 4.0));
    let ask = if session.header.plan.task == Task::TwoAlternative { "share correct" } else { "share “altered”" };
    let (unit, levels) = (state.epsilon_unit(), state.grey_levels());
    let name = move |x: f64| crate::workbench::epsilon::number_text(10f64.powf(x), unit, levels);
    // Powers of two of a grey level, each with a number that can be read: their colour fades with the step.
    let marks: Vec<GridMark> = (-4..=8)
        .map(|power| GridMark { value: (2f64.powi(power) / 255.0).log10(), step_size: 1.0 })
        .filter(|mark| (first.log10()..=last.log10() + 1e-9).contains(&mark.value))
        .collect();
    let plot = Plot::new("psi")
        .height(240.0)
        .width(ui.available_width().min(640.0))
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .grid_color(theme::of(ui).line)
        .x_grid_spacer(move |_| marks.clone())
        .y_grid_spacer(|_| (0..=4).map(|i| GridMark { value: f64::from(i) / 4.0, step_size: 0.25 }).collect())
        .show_x(false)
        .show_y(false)
        .default_x_bounds(first.log10() - 0.05, last.log10() + 0.05)
        .default_y_bounds(-0.03, 1.05)
        .x_axis_label(format!("ε{}", crate::workbench::epsilon::suffix(unit, levels)))
        .y_axis_label(ask)
        .x_axis_formatter(move |mark, _| name(mark.value))
        .y_axis_formatter(|mark, _| format!("{:.0} %", mark.value * 100.0));
    let response = plot.show(ui, |plot| {
        plot.hline(
            HLine::new("threshold", found.first().map_or(0.75, |t| threshold_probability(t.fit.mode.gamma)))
                .color(theme::palette(state.look.theme).line)
                .style(LineStyle::dashed_dense())
                .allow_hover(false),
        );
        for (at, t) in found.iter().enumerate() {
            let (colour, shape) = ink(at, dark);
            let curve: Vec<[f64; 2]> = (0..=POINTS)
                .map(|i| first.log10() + (last / first).log10() * i as f64 / POINTS as f64)
                .map(|x| [x, t.fit.mode.probability(10f64.powf(x))])
                .collect();
            plot.line(Line::new(t.attack.clone(), curve).color(colour).width(2.0).allow_hover(false));
            if t.is_reached() {
                plot.vline(
                    VLine::new("threshold", t.fit.threshold.median.log10())
                        .color(colour)
                        .style(LineStyle::dotted_loose())
                        .allow_hover(false),
                );
            }
            for block in t.answers.iter().map(|a| &a.block).filter(|b| b.epsilon > 0.0 && b.total > 0) {
                let share = f64::from(block.positive) / f64::from(block.total);
                let radius = 1.5 + (block.total as f32).sqrt();
                let point = Points::new(t.attack.clone(), vec![[block.epsilon.log10(), share]]);
                plot.points(point.color(colour).shape(shape).radius(radius).allow_hover(false));
            }
        }
    });
    response.response.widget_info(|| {
        eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Image, true, "The psychometric function with the answers")
    });
}

/// The conditions without which a threshold means nothing.
fn conditions(state: &State, session: &SessionView) -> String {
    let display = &session.header.display;
    let shown = &display.presentation;
    let case = state.case.as_ref();
    let value = |v: f32| case.map_or(f64::from(v), |c| f64::from(c.bounds.lower + v * c.bounds.width()));
    let degree = display
        .pixels_per_degree()
        .map_or_else(|| "screen not calibrated".to_owned(), |p| format!("{p:.1} image pixels in a degree"));
    let timing = session.header.plan.timing;
    let masked = if timing.mask_ms > 0 { format!(", then noise for {} ms", timing.mask_ms) } else { String::new() };
    let duration = timing.shown_ms.map_or_else(|| "until the answer".to_owned(), |ms| format!("for {ms} ms{masked},"));
    format!(
        "Shown {duration} at {}:1, window {:.0} to {:.0}, {} bits of grey drawn, {degree}. Seed {}. Luminance and gamma of the screen and the light in \
         the room were not measured.",
        display.zoom,
        value(shown.window.lower),
        value(shown.window.upper),
        shown.bits,
        session.header.plan.seed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::{Row, Setting, thresholds};
    use std::collections::HashSet;

    #[test]
    fn thresholds_are_told_apart_by_colour_or_marker() {
        for dark in [true, false] {
            let inks: HashSet<String> = (0..16).map(|at| format!("{:?}", ink(at, dark))).collect();
            assert_eq!(inks.len(), 16);
        }
    }

    #[test]
    fn one_is_not_several() {
        assert!(too_soon_text(1).starts_with("1 answer came within 150 ms after the images, too soon to be an answer"));
        assert!(too_soon_text(2).starts_with("2 answers came within 150 ms after the images, too soon to be answers"));
        assert!(
            missed_text(1, 1).starts_with("1 refresh of the screen was missed")
                && missed_text(1, 1).contains("in 1 trial:")
        );
        assert!(
            missed_text(3, 2)
                .starts_with("3 refreshes of the screen were missed while images were shown, in 2 trials:")
        );
    }

    #[test]
    fn a_threshold_that_was_not_reached_is_none() {
        let texts = |right: [usize; 3]| {
            let row = |level: f64, correct: bool| Row {
                observer: "Ada".to_owned(),
                image: "a".to_owned(),
                attack: "fgsm".to_owned(),
                setting: Setting::default(),
                task: Task::TwoAlternative,
                epsilon: level / 255.0,
                epsilon_shown: None,
                positive: correct,
                catch: false,
                correct,
                too_soon: false,
                range: Some([1.0 / 255.0, 64.0 / 255.0]),
                seed: None,
            };
            let block = |(level, right): (f64, usize)| (0..40).map(move |i| row(level, i < right));
            let rows: Vec<Row> = [4.0, 16.0, 64.0].into_iter().zip(right).flat_map(block).collect();
            threshold_text(&thresholds(&rows, None).unwrap()[0], |e| format!("{:.1}", e * 255.0))
        };
        let [threshold, interval] = texts([20, 21, 25]);
        assert!(threshold == "none" && interval.ends_with(" to beyond 64.0"), "{threshold}, {interval}");
        let [threshold, interval] = texts([21, 36, 40]);
        assert!(threshold.parse::<f64>().is_ok() && !interval.contains("beyond"), "{threshold}, {interval}");
    }
}
