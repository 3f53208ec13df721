//! One plot over ε. Its horizontal axis is the slider's scale, 0 to 1, with the slider's marks.

use super::quantity::{Quantity, nearest};
use super::several::{self, Series};
use super::{colour, read_out};
use crate::attack::{EpsilonMeaning, Norm};
use crate::study::{Measure, SeenMetric};
use crate::workbench::epsilon::{EpsilonRuler, EpsilonUnit};
use crate::workbench::epsilon_bar::{self, ticks};
use crate::workbench::several::Compared;
use crate::workbench::state::LiveCurve;
use crate::workbench::{Command, CommandSender, State, seen, theme};
use eframe::egui::{self, Align2, FontId, Rect, Role, Shape, Stroke, TextStyle, Ui, Vec2, WidgetInfo, pos2, vec2};
use egui_plot::{GridMark, HLine, Line, LineStyle, MarkerShape, Plot, PlotResponse, PlotUi, Points};

/// Ends every plot's accessible name.
pub const MARKER_LABEL: &str = "over ε; drag to choose ε";

/// Room for half of the last number under the axis, in points.
const LAST_NUMBER: f32 = 10.0;

/// Free space beside the first and last position, as a share of the axis.
const MARGIN: f64 = 0.015;

/// Draws a plot of `quantities`, which share an axis, `size` points large.
pub fn plot_ui(
    ui: &mut Ui,
    state: &State,
    curve: &LiveCurve,
    quantities: &[Quantity],
    size: Vec2,
    dragging: &mut bool,
    commands: &CommandSender,
) {
    let position = |epsilon: f64| state.axis().position(epsilon);
    let all = curve.points.iter().chain(&curve.control).map(|p| &p.measure).chain(std::iter::once(&curve.clean));
    let ends = ends(all, quantities);
    let names: Vec<&str> = quantities.iter().map(|q| q.title()).collect();
    let ruler = state.ruler();
    let plot =
        over_epsilon(ui, &ruler, ("curve", vertical(quantities)), vertical(quantities), found(state), ends, size);
    let palette = *theme::of(ui);
    let colours: Vec<(Quantity, egui::Color32)> = quantities.iter().map(|&q| (q, colour(ui, q))).collect();
    let shades = seen::epsilon_window::colours(ui);
    let response = plot.show(ui, |plot| {
        plot.set_plot_bounds_y(ends[0]..=ends[1]);
        seen::epsilon_window::shade(plot, state, ends, shades);
        for &(quantity, colour) in &colours {
            clean(plot, quantity, curve, colour);
        }
        for &(quantity, _) in &colours {
            control(plot, quantity, curve, palette.control, position);
        }
        for &(quantity, colour) in &colours {
            attack(plot, quantity, curve, colour, position);
        }
    });

    let name = format!("{} {MARKER_LABEL}", names.join(", "));
    drag(ui, state, &response, dragging, commands);
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, ui.is_enabled(), &name));
    super::flips::flips_ui(ui, state, curve, &response);
    seen::epsilon_window::strips(ui, state, &response, shades);
    marker(ui, state, &response, quantities, state.epsilon_text(state.epsilon));
    let hovered = response.response.hovered() && !*dragging;
    if hovered && let Some(pointer) = response.response.hover_pos() {
        let x = response.transform.value_from_position(pointer).x;
        if let Some(point) = nearest(&curve.points, x, position) {
            let at = response.transform.position_from_point_x(position(point.epsilon));
            let frame = *response.transform.frame();
            let line = Stroke::new(1.0, palette.weak.gamma_multiply(0.6));
            ui.painter().with_clip_rect(frame).vline(at, frame.y_range(), line);
            let control = curve.control.iter().find(|c| (c.epsilon - point.epsilon).abs() < 1e-12);
            response.response.show_tooltip_ui(|ui| read_out::read_out_ui(ui, state, curve, point, control));
        }
    }
    response.response.on_hover_cursor(egui::CursorIcon::ResizeHorizontal);
}

/// Whether the present attack finds its own ε, and stands at the L∞ norm of what it found.
fn found(state: &State) -> bool {
    state.attack().epsilon == EpsilonMeaning::Found
}

/// An empty plot over ε, `size` points large, whose vertical axis has these `ends`.
fn over_epsilon<'a>(
    ui: &Ui,
    ruler: &EpsilonRuler,
    id: (&'static str, &'static str),
    vertical: &'a str,
    found: bool,
    ends: [f64; 2],
    size: Vec2,
) -> Plot<'a> {
    let marks = ticks::ticks(ruler);
    let font = TextStyle::Small.resolve(ui.style());
    let axis_label = |text: &str| egui::RichText::new(text).font(font.clone()).color(theme::of(ui).weak);
    let unit = match ruler.unit {
        EpsilonUnit::GreyLevels => format!("ε in grey levels /{:.0}", ruler.levels),
        EpsilonUnit::Fraction => "ε as a fraction of the range".to_owned(),
        EpsilonUnit::Hounsfield => "ε in Hounsfield units".to_owned(),
    };
    let unit = if ruler.axis.is_l2() { unit.replacen('ε', "ε, an L2 norm,", 1) } else { unit };
    let unit = if found { unit.replacen('ε', "L∞ of what was found,", 1) } else { unit };
    let labels = labelled_marks(ui, &marks, size.x - 60.0, &font);

    Plot::new(id)
        // The last number of the axis reaches beyond it.
        .width(size.x - LAST_NUMBER)
        .height(size.y)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .label_formatter(|_| None)
        .show_crosshair(false)
        .default_x_bounds(-MARGIN, 1.0 + MARGIN)
        .default_y_bounds(ends[0], ends[1])
        .grid_spacing(16.0..=60.0)
        .grid_color(theme::of(ui).line)
        .x_grid_spacer(move |_| labels.clone())
        .y_grid_spacer(even_marks)
        .custom_x_axes(vec![
            egui_plot::AxisHints::new_x()
                .label(axis_label(&unit))
                .tick_label_font(font.clone())
                .tick_label_color(theme::of(ui).weak)
                .label_spacing(1.0..=2.0)
                .min_thickness(34.0)
                .formatter(move |mark, _| mark_label(&marks, mark.value)),
        ])
        .custom_y_axes(vec![
            egui_plot::AxisHints::new_y()
                .label(axis_label(vertical))
                .tick_label_font(font.clone())
                .tick_label_color(theme::of(ui).weak)
                .min_thickness(28.0)
                .formatter(|mark, _| number(mark)),
        ])
}

/// What stands beside the vertical axis.
fn vertical(quantities: &[Quantity]) -> &'static str {
    match quantities {
        [Quantity::Seen(SeenMetric::Psnr), ..] => "dB",
        [Quantity::Seen(SeenMetric::Butteraugli), ..] => "Butteraugli",
        [Quantity::Seen(SeenMetric::Ciede2000), ..] => "ΔE00",
        [Quantity::Seen(_), ..] => "as displayed",
        _ if quantities.iter().all(|q| q.is_share()) => "share, 0 to 1",
        [Quantity::Margin] => "margin in logits",
        _ => "‖y − p‖₂",
    }
}

/// The ends of the vertical axis, with a little room beyond what is shown.
fn ends<'a>(all: impl Iterator<Item = &'a Measure>, quantities: &[Quantity]) -> [f64; 2] {
    let all: Vec<f64> = all.flat_map(|m| quantities.iter().map(move |q| q.of(m))).collect();
    let shares = quantities.iter().all(|q| q.is_share());
    let [lowest, highest] = if shares { [0.0, 1.0] } else { [-furthest(&all, -1.0), furthest(&all, 1.0)] };
    [lowest - 0.03 * (highest - lowest), highest + 0.04 * (highest - lowest)]
}

/// Draws the curves of several attacks in one plot.
pub fn several_ui(
    ui: &mut Ui,
    state: &State,
    compared: &Compared,
    size: Vec2,
    dragging: &mut bool,
    commands: &CommandSender,
) {
    let quantity = several::quantity(state, compared.start.clean.decision.is_some());
    let ruler = state.shared_ruler(&compared.start.case);
    let position = |epsilon: f64| ruler.axis.position(epsilon);
    let clean_measure = &compared.start.clean;
    let all = compared.curves.iter().flat_map(|c| &c.points).chain(&compared.control).map(|p| &p.measure);
    let ends = ends(all.chain(std::iter::once(clean_measure)), &[quantity]);
    let plot = over_epsilon(ui, &ruler, ("several", vertical(&[quantity])), vertical(&[quantity]), false, ends, size);
    let palette = *theme::of(ui);
    let looks: Vec<Series> = (0..compared.curves.len()).map(|i| several::series(ui, i)).collect();
    let response = plot.show(ui, |plot| {
        plot.set_plot_bounds_y(ends[0]..=ends[1]);
        let line = HLine::new("clean", quantity.of(clean_measure)).color(palette.baseline).width(1.0);
        plot.hline(line.style(LineStyle::dotted_loose()).allow_hover(false));
        let control = quantity.series(clean_measure, &compared.control, position);
        let line = Line::new("control", control.clone()).color(palette.control).width(1.5);
        plot.line(line.style(LineStyle::dashed_dense()).allow_hover(false));
        let marks = Points::new("control", control).color(palette.control).shape(MarkerShape::Square).filled(false);
        plot.points(marks.radius(3.0).allow_hover(false));
        for (curve, look) in compared.curves.iter().zip(&looks) {
            let name = curve.attack.title();
            let points: Vec<[f64; 2]> = if curve.is_point() {
                curve.points.iter().map(|p| [position(p.epsilon), quantity.of(&p.measure)]).collect()
            } else {
                quantity.series(clean_measure, &curve.points, position)
            };
            if !curve.is_point() {
                let style = if look.whole { LineStyle::Solid } else { LineStyle::dashed_loose() };
                let line = Line::new(name, points.clone()).color(look.colour).width(2.0).style(style);
                plot.line(line.allow_hover(false));
            }
            let radius = if curve.is_point() { 6.5 } else { 4.0 };
            let marks = Points::new(name, points).color(look.colour).shape(look.shape).filled(look.whole);
            plot.points(marks.radius(radius).allow_hover(false));
        }
    });
    let name = format!("{} of several attacks {MARKER_LABEL}", quantity.title());
    drag(ui, state, &response, dragging, commands);
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, ui.is_enabled(), &name));
    let of_l2 = state.method.norm() == Some(Norm::L2);
    let shared = ruler.text(state.epsilon / state.axis().largest) + if of_l2 { " · √n" } else { "" };
    marker(ui, state, &response, &[], shared);
    response.response.on_hover_cursor(egui::CursorIcon::ResizeHorizontal);
}

/// ε follows the pointer on the plot, as on the slider.
fn drag<R>(ui: &Ui, state: &State, response: &PlotResponse<R>, dragging: &mut bool, commands: &CommandSender) {
    let plot = &response.response;
    if plot.drag_started() {
        *dragging = true;
        commands.send(Command::DragEpsilon(true));
    }
    let primary = ui.input(|i| i.pointer.primary_down()) && plot.is_pointer_button_down_on();
    if (primary || plot.clicked())
        && let Some(pointer) = plot.interact_pointer_pos()
    {
        let position = response.transform.value_from_position(pointer).x;
        let length = response.transform.frame().width();
        let fine = ui.input(|i| i.modifiers.shift);
        let epsilon = epsilon_bar::epsilon_at(state, position.clamp(0.0, 1.0), length, fine);
        if epsilon != state.epsilon {
            commands.send(Command::Epsilon(epsilon));
        }
    }
    if plot.drag_stopped() {
        *dragging = false;
        commands.send(Command::DragEpsilon(false));
    }
    if plot.hovered() {
        let steps = epsilon_bar::wheel_steps(ui);
        if steps != 0.0 {
            commands.send(Command::StepEpsilon(steps));
        }
    }
}

/// The marker at the present ε, which `text` says, with a handle, and the values of the pictures shown as points on it.
fn marker<R>(ui: &Ui, state: &State, response: &PlotResponse<R>, quantities: &[Quantity], text: String) {
    let palette = theme::of(ui);
    let frame = *response.transform.frame();
    let x = response.transform.position_from_point_x(state.axis().position(state.epsilon));
    let painter = ui.painter();
    painter.vline(x, frame.y_range(), Stroke::new(2.0, palette.accent));
    let handle = [pos2(x - 6.0, frame.top()), pos2(x + 6.0, frame.top()), pos2(x, frame.top() + 8.0)];
    painter.add(Shape::convex_polygon(handle.to_vec(), palette.accent, Stroke::NONE));
    if let Some(shown) = state.frame.as_ref().filter(|f| f.method == state.method) {
        // What an attack found stands at the ε that it found.
        let found = shown.method.entry().epsilon == EpsilonMeaning::Found;
        let epsilon = if found { shown.adversarial_measure.distortion.linf } else { shown.epsilon };
        let at = response.transform.position_from_point_x(state.axis().position(epsilon));
        for &quantity in quantities {
            let value = quantity.of(&shown.adversarial_measure);
            if !value.is_finite() {
                continue;
            }
            let y = response.transform.position_from_point_y(value);
            let colour = colour(ui, quantity);
            painter.with_clip_rect(frame.expand(5.0)).circle(pos2(at, y), 5.0, palette.panel, Stroke::new(2.0, colour));
        }
    }
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let galley = painter.layout_no_wrap(text, font, palette.text);
    let size = galley.size() + vec2(8.0, 2.0);
    let right = x + 8.0 + size.x <= frame.right();
    let corner = if right { pos2(x + 8.0, frame.top() + 2.0) } else { pos2(x - 8.0 - size.x, frame.top() + 2.0) };
    let tag = Rect::from_min_size(corner, size);
    painter.rect_filled(tag, 3.0, palette.accent_wash);
    painter.galley(Align2::CENTER_CENTER.anchor_size(tag.center(), galley.size()).min, galley, palette.text);
}

fn clean(plot: &mut PlotUi<'_>, quantity: Quantity, curve: &LiveCurve, colour: egui::Color32) {
    if !quantity.of(&curve.clean).is_finite() {
        return;
    }
    let line = HLine::new(format!("{}, clean", quantity.title()), quantity.of(&curve.clean));
    plot.hline(line.color(colour.gamma_multiply(0.8)).width(1.0).style(LineStyle::dotted_loose()).allow_hover(false));
}

fn control(
    plot: &mut PlotUi<'_>,
    quantity: Quantity,
    curve: &LiveCurve,
    grey: egui::Color32,
    position: impl Fn(f64) -> f64,
) {
    let name = format!("{}, random sign", quantity.title());
    let points = quantity.series(&curve.clean, &curve.control, position);
    let line = Line::new(name.clone(), points.clone()).color(grey).width(1.5).style(LineStyle::dashed_dense());
    plot.line(line.allow_hover(false));
    let marks = Points::new(name, points).color(grey).shape(MarkerShape::Square).filled(false).radius(3.0);
    plot.points(marks.allow_hover(false));
}

fn attack(
    plot: &mut PlotUi<'_>,
    quantity: Quantity,
    curve: &LiveCurve,
    colour: egui::Color32,
    position: impl Fn(f64) -> f64,
) {
    let points = quantity.series(&curve.clean, &curve.points, position);
    // An attack that finds its own ε has a point and no curve.
    if curve.method.entry().epsilon == EpsilonMeaning::Found {
        let found = points.into_iter().skip(1).collect::<Vec<_>>();
        plot.points(Points::new(quantity.title(), found).color(colour).radius(5.0).allow_hover(false));
        return;
    }
    plot.line(Line::new(quantity.title(), points.clone()).color(colour).width(2.0).allow_hover(false));
    plot.points(Points::new(quantity.title(), points).color(colour).radius(3.5).allow_hover(false));
}

/// The end of an axis that is not a share, on the side of `sign`: a round number beyond everything that it shows, 0 where
/// nothing lies below 0.
fn furthest(all: &[f64], sign: f64) -> f64 {
    let highest = all.iter().map(|v| sign * v).fold(0.0, f64::max);
    if highest <= 0.0 || !highest.is_finite() {
        return if sign > 0.0 { 1.0 } else { 0.0 };
    }
    let power = 10f64.powf(highest.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .map(|f| f * power)
        .into_iter()
        .find(|&v| v >= highest)
        .unwrap_or(highest)
}

/// The marks whose labels have room on an axis `width` points long. All of them have one weight: a mark's spacing on
/// this axis says nothing about its worth.
fn labelled_marks(ui: &Ui, marks: &[ticks::Tick], width: f32, font: &FontId) -> Vec<GridMark> {
    let half_width = |tick: &ticks::Tick| {
        ui.painter().layout_no_wrap(tick.label.clone(), font.clone(), egui::Color32::WHITE).size().x * 0.5 + 5.0
    };
    let shown = ticks::without_collisions(marks, |t| t.position as f32 * width, half_width);
    marks
        .iter()
        .zip(shown)
        .filter(|(_, shown)| *shown)
        .map(|(t, _)| GridMark { value: t.position, step_size: 0.25 })
        .collect()
}

/// Marks at a round step, at least as far apart as their numbers need.
fn even_marks(input: egui_plot::GridInput) -> Vec<GridMark> {
    let least = input.base_step_size * 1.6;
    if !least.is_finite() || least <= 0.0 {
        return Vec::new();
    }
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|f| f * power).into_iter().find(|&s| s >= least).unwrap_or(least);
    let (first, last) = ((input.bounds.0 / step).ceil() as i64, (input.bounds.1 / step).floor() as i64);
    (first..=last).map(|i| GridMark { value: i as f64 * step, step_size: step }).collect()
}

fn mark_label(marks: &[ticks::Tick], position: f64) -> String {
    marks.iter().find(|t| (t.position - position).abs() < 1e-9).map_or_else(String::new, |t| t.label.clone())
}

fn number(mark: GridMark) -> String {
    let decimals = (-mark.step_size.log10()).ceil().clamp(0.0, 4.0) as usize;
    format!("{:.*}", decimals, mark.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_apart() {
        let input = egui_plot::GridInput { bounds: (-0.03, 1.04), base_step_size: 0.1 };
        let values: Vec<f64> = even_marks(input).iter().map(|m| m.value).collect();
        assert_eq!(values, [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(number(GridMark { value: 0.6000000000000001, step_size: 0.2 }), "0.6");
    }

    #[test]
    fn axis_numbers_have_the_digits_of_their_step() {
        assert_eq!(number(GridMark { value: 0.5, step_size: 0.1 }), "0.5");
        assert_eq!(number(GridMark { value: 20.0, step_size: 10.0 }), "20");
        assert_eq!(number(GridMark { value: 0.05, step_size: 0.01 }), "0.05");
    }
}
