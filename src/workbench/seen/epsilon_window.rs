//! The ε window on the plots: where the attack breaks the model, where it is not seen, and both; read off, and an ε suggested.

use super::inspector::set;
use super::{curve_of, window_of};
use crate::study::report::Criterion;
use crate::study::{EpsilonWindow, Limit, MeasuredInterval, SeenMetric, windows_by_metric};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{
    Align2, Color32, ComboBox, DragValue, FontId, Grid, Rect, RichText, Stroke, StrokeKind, TextStyle, Ui, pos2, vec2,
};
use egui_plot::{PlotPoints, PlotResponse, PlotUi, Polygon, VLine};

/// An interval of a single point is drawn this wide on either side, as a share of the axis.
const PAD: f64 = 0.006;
/// Height of the strips that name the intervals, in points.
const STRIP: f32 = 13.0;
/// How far the names of strips keep from the line of the present ε, on which markers stand.
const CLEAR: f32 = 8.0;

/// The line over the plots: the window in numbers, what it means, and a suggestion.
pub fn window_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(window) = window_of(state) else { return };
    let settings = &state.seen.settings;
    let palette = theme::of(ui);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 2.0);
        let mut shade = settings.shade;
        let tip = "Shade where the attack breaks the model (random signs of the same ε do not) and where it is not seen. Measured ε \
                   only: between and beyond them nothing is claimed.";
        if ui.checkbox(&mut shade, "ε window").on_hover_text(tip).changed() {
            set(state, commands, |s| s.shade = shade);
        }
        let measured = state.curve.as_ref().is_some_and(|c| !c.points.is_empty());
        let suggestion = window.suggest();
        let (text, colour) = match (window.both.as_slice(), measured) {
            (_, false) => ("measuring…".to_owned(), palette.weak),
            ([], _) if state.job_active() => ("none so far".to_owned(), palette.weak),
            ([], _) => ("empty".to_owned(), palette.warning),
            _ => (spans(state, &window), palette.good),
        };
        ui.label(RichText::new(text).color(colour).strong()).on_hover_text(&suggestion.explanation);
        let menu = ui.menu_button("Suggest ε", |ui| {
            ui.set_max_width(340.0);
            ui.label(&suggestion.explanation);
            if let Some(epsilon) = suggestion.epsilon {
                ui.add_space(4.0);
                if ui.button(format!("Use ε = {}", state.epsilon_text(epsilon))).clicked() {
                    commands.send(Command::Epsilon(epsilon));
                    ui.close();
                }
            }
        });
        menu.response.on_hover_text("A measured ε in the middle of the widest interval, and why.");
        let limits = ui.menu_button("Limits", |ui| {
            ui.set_min_width(300.0);
            limits_ui(ui, state, commands);
        });
        limits.response.on_hover_text(format!("Broken: {}.\nNot seen: {}.", state.criterion(), state.limit()));
    });
}

/// `2.00–5.66, 8.00 or more /255`: both ends of every interval in the chosen unit; none where there is no interval.
pub fn spans(state: &State, window: &EpsilonWindow) -> String {
    let (unit, levels) = (state.epsilon_unit(), state.grey_levels());
    let number = |e| crate::workbench::epsilon::number_text(e, unit, levels);
    let all = window.intervals(number, "–");
    all.map_or_else(|| "none".to_owned(), |all| all + &crate::workbench::epsilon::suffix(unit, levels))
}

fn limits_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.label(theme::semibold("Breaks the model"));
    if matches!(state.criterion(), Criterion::Misclassified | Criterion::Target(_)) {
        ui.label(state.criterion().to_string());
    } else {
        broken_ui(ui, state, commands);
    }
    ui.label(theme::weak(
        ui,
        "The original passes, the adversarial image fails, random signs of the same ε (one draw) do not.",
    ));
    ui.separator();
    unseen_ui(ui, state, commands);
}

/// What decides, and its limit.
fn broken_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let now = state.seen.settings.criterion;
    ui.horizontal(|ui| {
        for (name, choice, tip) in [
            ("Dice", Criterion::default(), "The overlap with the label has fallen."),
            (
                "Wrong pixels",
                Criterion::PixelError(0.2),
                "More than this share of the pixels is wrong; the original must have fewer.",
            ),
            (
                "Flipped",
                Criterion::Flipped(0.1),
                "At least this share of the pixels is predicted otherwise than in the original, right or wrong.",
            ),
        ] {
            let dice = |c| matches!(c, Criterion::ShareOfCleanDice(_) | Criterion::Dice(_));
            let chosen = std::mem::discriminant(&now) == std::mem::discriminant(&choice) || (dice(now) && dice(choice));
            if ui.selectable_label(chosen, name).on_hover_text(tip).clicked() && !chosen {
                set(state, commands, |s| s.criterion = choice);
            }
        }
    });
    let (share, make, words): (f64, fn(f64) -> Criterion, &str) = match now {
        Criterion::PixelError(share) => (share, Criterion::PixelError, "more than"),
        Criterion::Flipped(share) => (share, Criterion::Flipped, "at least"),
        _ => return dice_ui(ui, state, commands),
    };
    ui.horizontal(|ui| {
        ui.label(words);
        let mut percent = share * 100.0;
        let drag =
            DragValue::new(&mut percent).range(0.1..=100.0).speed(0.2).max_decimals(1).suffix(" % of the pixels");
        if ui.add(drag).accessible_name("Share of pixels that counts as broken").changed() {
            set(state, commands, |s| s.criterion = make(percent / 100.0));
        }
    });
}

/// The limits of Dice.
fn dice_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let settings = &state.seen.settings;
    ui.horizontal(|ui| {
        let relative = matches!(settings.criterion, Criterion::ShareOfCleanDice(_));
        let clean = state.curve.as_ref().map_or(1.0, |c| c.clean.overlap.dice);
        let (mut value, suffix, range) = match settings.criterion {
            Criterion::ShareOfCleanDice(share) => (share * 100.0, " %", 1.0..=100.0),
            Criterion::Dice(dice) => (dice, "", 0.01..=1.0),
            _ => return,
        };
        ui.label("Dice below");
        let drag = DragValue::new(&mut value).range(range).speed(if relative { 0.5 } else { 0.005 }).suffix(suffix);
        if ui.add(drag).accessible_name("Dice that counts as broken").changed() {
            let criterion = if relative { Criterion::ShareOfCleanDice(value / 100.0) } else { Criterion::Dice(value) };
            set(state, commands, |s| s.criterion = criterion);
        }
        for (is_relative, name) in [(true, "of the clean Dice"), (false, "absolute")] {
            if ui.selectable_label(relative == is_relative, name).clicked() && relative != is_relative {
                let criterion = match settings.criterion {
                    Criterion::ShareOfCleanDice(share) => Criterion::Dice((share * clean * 100.0).round() / 100.0),
                    Criterion::Dice(dice) if clean > 0.0 => {
                        Criterion::ShareOfCleanDice(((dice / clean) * 100.0).round().clamp(1.0, 100.0) / 100.0)
                    }
                    other => other,
                };
                set(state, commands, |s| s.criterion = criterion);
            }
        }
    });
}

fn unseen_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let settings = &state.seen.settings;
    ui.label(theme::semibold("Is not seen"));
    let threshold = state.threshold();
    if let Some(found) = threshold {
        let mut by_observer = settings.by_observer;
        let [threshold, low, high] = [found.epsilon, found.interval[0], found.interval[1].min(1.0)];
        let [threshold, low, high] = [threshold, low, high].map(|e| state.epsilon_text(e));
        let text = format!("below {}’s threshold", found.observer);
        let tip = format!(
            "Threshold {threshold}, 95 %: {low} to {high}, of {} trials. At the threshold the perturbation is detected in half of all looks: \
             what lies below the whole interval counts as not seen. {}.",
            found.trials,
            found.setting.words()
        );
        if ui.checkbox(&mut by_observer, text).on_hover_text(tip).changed() {
            set(state, commands, |s| s.by_observer = by_observer);
        }
    }
    for other in state.seen.thresholds.iter().filter(|t| threshold.is_none() && !state.differs_from(t).is_empty()) {
        let text = format!("{}’s threshold is of another {}", other.observer, state.differs_from(other).join(", "));
        ui.label(theme::weak(ui, text)).on_hover_text(format!(
            "{}, {}: {}",
            other.image,
            other.attack,
            other.setting.words()
        ));
    }
    if ui
        .button("Thresholds from a file…")
        .on_hover_text("thresholds.csv of `epsiloscope observer fit`, or a table of trials.")
        .clicked()
    {
        commands.send(Command::ChooseThresholds);
        ui.close();
    }
    ui.add_enabled_ui(threshold.is_none() || !settings.by_observer, |ui| {
        ui.horizontal(|ui| {
            let mut metric = settings.metric;
            ComboBox::from_id_salt("limit metric")
                .selected_text(metric.title())
                .width(96.0)
                .show_ui(ui, |ui| {
                    for other in SeenMetric::ALL {
                        ui.selectable_value(&mut metric, other, other.title())
                            .on_hover_text(super::inspector::definition(other));
                    }
                })
                .response
                .accessible_name("Metric of what is not seen");
            if metric != settings.metric {
                set(state, commands, |s| (s.metric, s.value) = (metric, metric.usual_limit()));
            }
            ui.label(if metric.grows_with_visibility() { "at most" } else { "at least" });
            let mut value = settings.value;
            let (range, speed) = match metric {
                SeenMetric::Psnr => (10.0..=90.0, 0.2),
                SeenMetric::Butteraugli => (0.0..=100.0, 0.02),
                _ => (0.0..=1.0, 0.002),
            };
            let drag = DragValue::new(&mut value).range(range).speed(speed).max_decimals(4);
            if ui.add(drag).accessible_name("Limit of what is not seen").changed() {
                set(state, commands, |s| s.value = value);
            }
        });
    });
    if settings.value == settings.metric.usual_limit() {
        ui.label(theme::weak(ui, format!("{}: {}.", settings.metric.usual_limit(), settings.metric.limit_source())));
    }
    ui.label(theme::weak(
        ui,
        "A metric’s limit is a convention. What a person sees is measured by a reader study (Study menu).",
    ));
    let mut all = settings.all_metrics;
    let tip = "The ε window by the usual limit of each: they do not agree. Takes a while along the curve.";
    if ui.checkbox(&mut all, "By every metric").on_hover_text(tip).changed() {
        set(state, commands, |s| s.all_metrics = all);
    }
    if all && let Some(curve) = &state.curve {
        Grid::new("windows by metric").num_columns(2).spacing([12.0, 2.0]).show(ui, |ui| {
            for (metric, window) in windows_by_metric(&curve_of(curve), state.criterion()) {
                let limit = Limit::Metric { metric, value: metric.usual_limit() };
                ui.label(limit.to_string()).on_hover_text(metric.limit_source());
                ui.label(spans(state, &window));
                ui.end_row();
            }
        });
    }
}

/// Shades the intervals behind the curves.
pub fn shade(plot: &mut PlotUi<'_>, state: &State, [low, high]: [f64; 2], colours: [Color32; 3]) {
    let Some(window) = window_of(state).filter(|_| state.seen.settings.shade) else { return };
    let [broken, unseen, both] = colours;
    for (intervals, colour, name) in [
        (&window.broken, broken.gamma_multiply(0.14), "breaks the model"),
        (&window.unseen, unseen.gamma_multiply(0.14), "not seen"),
        (&window.both, both.gamma_multiply(0.16), "ε window"),
    ] {
        for interval in intervals {
            let [left, right] = ends(state, interval);
            let corners = vec![[left, low], [right, low], [right, high], [left, high]];
            let area = Polygon::new(name, PlotPoints::from(corners)).fill_color(colour).stroke(Stroke::NONE);
            plot.polygon(area.allow_hover(false));
        }
    }
    if let Limit::Threshold { epsilon, interval } = state.limit() {
        let [left, right] = interval.unwrap_or([epsilon; 2]).map(|e| state.axis().position(e));
        let corners = vec![[left, low], [right, low], [right, high], [left, high]];
        let area = Polygon::new("threshold’s interval", PlotPoints::from(corners));
        plot.polygon(
            area.fill_color(unseen.gamma_multiply(0.12))
                .stroke(Stroke::new(1.0, unseen.gamma_multiply(0.5)))
                .allow_hover(false),
        );
        let line = VLine::new("observer’s threshold", state.axis().position(epsilon)).color(unseen).width(2.0);
        plot.vline(line.allow_hover(false));
    }
}

/// Where an interval lies on the axis.
fn ends(state: &State, interval: &MeasuredInterval) -> [f64; 2] {
    [state.axis().position(interval.first) - PAD, state.axis().position(interval.last) + PAD]
}

/// Names the intervals in strips at the bottom of the plot: colour alone tells nothing.
pub fn strips<R>(ui: &Ui, state: &State, response: &PlotResponse<R>, colours: [Color32; 3]) {
    let Some(window) = window_of(state).filter(|_| state.seen.settings.shade) else { return };
    let frame = *response.transform.frame();
    if frame.height() < 5.0 * STRIP {
        return;
    }
    let painter = ui.painter().with_clip_rect(frame);
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size - 1.0);
    let rows = rows(&window);
    let marker = response.transform.position_from_point_x(state.axis().position(state.epsilon));
    let behind = ui.visuals().extreme_bg_color.gamma_multiply(0.85);
    for (row, ((intervals, name), colour)) in rows.iter().zip(colours).enumerate() {
        let bottom = frame.bottom() - STRIP * (rows.len() - 1 - row) as f32;
        let places: Vec<[f32; 2]> = intervals
            .iter()
            .map(|interval| ends(state, interval).map(|x| response.transform.position_from_point_x(x)))
            .collect();
        for &[left, right] in &places {
            let rect = Rect::from_min_max(pos2(left, bottom - STRIP + 2.0), pos2(right, bottom - 1.0));
            painter.rect_filled(rect, 2.0, colour.gamma_multiply(0.35));
            painter.rect_stroke(rect, 2.0, Stroke::new(1.0, colour), StrokeKind::Inside);
        }
        let colour = theme::of(ui).text;
        let galley = painter.layout_no_wrap((*name).to_owned(), font.clone(), colour);
        for Name { x, beside } in names(&places, galley.size().x, [frame.left(), frame.right()], marker) {
            let middle = pos2(x, bottom - STRIP / 2.0 + 0.5);
            let at = Align2::CENTER_CENTER.anchor_size(middle, galley.size());
            if beside {
                // Here the curves would run through it.
                painter.rect_filled(at.expand2(vec2(2.0, 0.0)), 2.0, behind);
            }
            painter.galley(at.min, galley.clone(), colour);
        }
    }
}

/// Where a strip has its name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Name {
    /// Its middle.
    x: f32,
    /// It stands beside the strip, not in it.
    beside: bool,
}

/// The names of strips, `width` wide: in each that is wide enough; where none is, beside the last or the first one. Off the
/// `marker` of the present ε where there is room.
fn names(strips: &[[f32; 2]], width: f32, [low, high]: [f32; 2], marker: f32) -> Vec<Name> {
    let half = width / 2.0;
    let is_clear = |x: &f32| (x - marker).abs() >= half + CLEAR - 0.01;
    let inside: Vec<Name> = strips
        .iter()
        .filter(|[left, right]| width + 6.0 <= right - left)
        .map(|[left, right]| {
            let middle = (left + right) / 2.0;
            let fits = |x: &f32| left + 3.0 <= x - half && x + half <= right - 3.0;
            let places = [middle, marker - half - CLEAR, marker + half + CLEAR];
            let x = places.into_iter().find(|x| is_clear(x) && fits(x)).unwrap_or(middle);
            Name { x, beside: false }
        })
        .collect();
    let (Some([first, _]), Some([_, last]), true) = (strips.first(), strips.last(), inside.is_empty()) else {
        return inside;
    };
    let fits = |x: &f32| low <= x - half && x + half <= high;
    let places = [last + 4.0 + half, first - 4.0 - half];
    let place = places.into_iter().find(|x| is_clear(x) && fits(x)).or_else(|| places.into_iter().find(fits));
    place.map(|x| Name { x, beside: true }).into_iter().collect()
}

/// What the strips name, from top to bottom.
fn rows(window: &EpsilonWindow) -> [(&[MeasuredInterval], &'static str); 3] {
    [(&window.broken, "breaks"), (&window.unseen, "not seen"), (&window.both, "ε window")]
}

/// The colours of broken, unseen and both.
pub fn colours(ui: &Ui) -> [Color32; 3] {
    let dark = ui.visuals().dark_mode;
    let unseen = if dark { theme::okabe_ito::SKY_BLUE } else { theme::okabe_ito::BLUE };
    [theme::okabe_ito::VERMILLION, unseen, theme::okabe_ito::GREEN]
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_narrow_strip_has_its_name_beside_it() {
        let found = |strips: &[[f32; 2]], ends: [f32; 2]| -> Vec<(f32, bool)> {
            names(strips, 40.0, ends, -100.0).into_iter().map(|name| (name.x, name.beside)).collect()
        };
        let ends = [0.0, 300.0];
        assert_eq!(found(&[[100.0, 150.0], [200.0, 260.0]], ends), [(125.0, false), (230.0, false)]);
        assert_eq!(found(&[[100.0, 110.0], [200.0, 260.0]], ends), [(230.0, false)]);
        assert_eq!(found(&[[100.0, 110.0]], ends), [(134.0, true)]);
        assert_eq!(found(&[[280.0, 290.0]], ends), [(256.0, true)]);
        assert!(found(&[], ends).is_empty() && found(&[[5.0, 15.0]], [0.0, 50.0]).is_empty());
    }

    #[test]
    fn a_name_keeps_off_the_present_epsilon() {
        let x = |strips: &[[f32; 2]], marker: f32| -> Vec<f32> {
            names(strips, 40.0, [0.0, 300.0], marker).into_iter().map(|name| name.x).collect()
        };
        // Beside: to the left of the strip where the marker stands to its right.
        assert_eq!([x(&[[100.0, 110.0]], 120.0), x(&[[100.0, 110.0]], 90.0)], [[76.0], [134.0]]);
        // Where it need not move, or there is no room on the other side, it stands to the right.
        assert_eq!([x(&[[100.0, 110.0]], 105.0), x(&[[20.0, 30.0]], 40.0)], [[134.0], [54.0]]);
        // Inside: beside the marker, as near to the middle as there is room.
        assert_eq!([x(&[[100.0, 200.0]], 150.0), x(&[[100.0, 200.0]], 135.0)], [[150.0], [163.0]]);
        assert_eq!([x(&[[100.0, 220.0]], 160.0), x(&[[100.0, 150.0]], 120.0)], [[132.0], [125.0]]);
    }
}
