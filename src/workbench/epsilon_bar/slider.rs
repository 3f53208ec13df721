//! The slider itself: a rail as wide as its room, marks with numbers, and a handle. It is a widget of our own because
//! it shares its scale, its marks and its snapping with the marker on the plots.

use super::ticks::{self, Tick};
use crate::workbench::decision;
use crate::workbench::epsilon::{self, FINE_STEP};
use crate::workbench::{Command, CommandSender, State, theme, tuning};
use eframe::egui::{
    self, Align2, Event, EventFilter, FontId, Key, Modifiers, MouseWheelUnit, Pos2, Rect, Response, Sense, Stroke, Ui,
    WidgetInfo, pos2, vec2,
};

/// The accessible name of the slider.
pub const LABEL: &str = "Epsilon";
/// A drag snaps to a mark within this many points; with Shift it does not.
const SNAP_POINTS: f32 = 4.0;
/// Page up and page down, in steps of the arrow keys.
const PAGE_STEPS: f64 = 6.0;

/// ε at a share `position` of a scale `length` points long: snapped to a near mark unless `fine`, else rounded to three
/// digits of the unit, so that what is shown is what is used.
pub fn epsilon_at(state: &State, position: f64, length: f32, fine: bool) -> f64 {
    let marks = ticks::ticks(&state.ruler());
    let reach = f64::from(SNAP_POINTS / length.max(1.0));
    match ticks::snap(&marks, position, reach) {
        Some(tick) if !fine => tick.epsilon,
        _ => rounded(state, state.axis().epsilon(position)),
    }
}

fn rounded(state: &State, epsilon: f64) -> f64 {
    let levels = state.grey_levels();
    let number = epsilon::number(epsilon, state.epsilon_unit(), levels);
    if number <= 0.0 {
        return 0.0;
    }
    let digits = 10f64.powf(2.0 - number.log10().floor());
    epsilon::from_number((number * digits).round() / digits, state.epsilon_unit(), levels)
}

/// Draws the slider `width` points wide and sends what it is asked for.
pub fn slider_ui(ui: &mut Ui, state: &State, commands: &CommandSender, width: f32) -> Response {
    let small = FontId::proportional(egui::TextStyle::Small.resolve(ui.style()).size);
    let height = 30.0 + small.size + 4.0;
    // An id of its own: what is drawn before it may come and go during a drag.
    let (_, rect) = ui.allocate_space(vec2(width, height));
    let response = ui.interact(rect, ui.make_persistent_id("epsilon slider"), Sense::click_and_drag());
    let rail =
        Rect::from_min_max(pos2(rect.left() + 14.0, rect.top() + 12.0), pos2(rect.right() - 14.0, rect.top() + 18.0));

    pointer(ui, state, commands, &response, rail);
    let largest = state.axis().largest;
    keys(ui, commands, &response, largest);
    requests(ui, commands, &response, largest);

    response.widget_info(|| WidgetInfo::slider(ui.is_enabled(), state.epsilon, LABEL));
    ui.ctx().accesskit_node_builder(response.id, |node| {
        use egui::accesskit::Action;
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(state.axis().largest);
        node.set_value(state.epsilon_text(state.epsilon));
        for action in [Action::SetValue, Action::Increment, Action::Decrement] {
            node.add_action(action);
        }
    });

    if ui.is_rect_visible(rect) {
        paint(ui, state, &response, rail, small);
    }
    response.on_hover_cursor(egui::CursorIcon::ResizeHorizontal)
}

fn pointer(ui: &Ui, state: &State, commands: &CommandSender, response: &Response, rail: Rect) {
    if response.double_clicked() {
        commands.send(Command::Epsilon(State::default().epsilon));
        return;
    }
    if response.drag_started() {
        commands.send(Command::DragEpsilon(true));
    }
    let pressed = response.is_pointer_button_down_on() || response.clicked();
    if pressed && let Some(pointer) = response.interact_pointer_pos() {
        let position = f64::from((pointer.x - rail.left()) / rail.width());
        let fine = ui.input(|i| i.modifiers.shift);
        let epsilon = epsilon_at(state, position, rail.width(), fine);
        if epsilon != state.epsilon {
            commands.send(Command::Epsilon(epsilon));
        }
    }
    if response.drag_stopped() {
        commands.send(Command::DragEpsilon(false));
    }
    if response.hovered() {
        let steps = wheel_steps(ui);
        if steps != 0.0 {
            commands.send(Command::StepEpsilon(steps));
        }
    }
}

/// The turn of the wheel since the last frame in steps of ε: one a notch, fine with Shift.
pub fn wheel_steps(ui: &Ui) -> f64 {
    ui.input(|i| {
        i.events
            .iter()
            .filter_map(|event| match event {
                // With Ctrl the wheel changes the slice.
                Event::MouseWheel { unit, delta, modifiers, .. } if !modifiers.command => {
                    // Shift turns a vertical wheel into a horizontal one on some systems.
                    let turn = if delta.y != 0.0 { delta.y } else { delta.x };
                    let notches = match unit {
                        MouseWheelUnit::Point => turn / 40.0,
                        MouseWheelUnit::Line => turn,
                        MouseWheelUnit::Page => turn * PAGE_STEPS as f32,
                    };
                    Some(f64::from(notches) * if modifiers.shift { FINE_STEP } else { 1.0 })
                }
                _ => None,
            })
            .sum()
    })
}

fn keys(ui: &Ui, commands: &CommandSender, response: &Response, largest: f64) {
    if !response.has_focus() {
        return;
    }
    let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|m| m.set_focus_lock_filter(response.id, arrows));
    let mut steps = 0.0;
    let mut set = None;
    ui.input_mut(|i| {
        for (key, sign) in [(Key::ArrowRight, 1.0), (Key::ArrowUp, 1.0), (Key::ArrowLeft, -1.0), (Key::ArrowDown, -1.0)]
        {
            // With Shift first: a pattern without modifiers matches those with Shift, too.
            steps += sign * FINE_STEP * i.count_and_consume_key(Modifiers::SHIFT, key) as f64;
            steps += sign * i.count_and_consume_key(Modifiers::NONE, key) as f64;
        }
        steps += PAGE_STEPS * i.count_and_consume_key(Modifiers::NONE, Key::PageUp) as f64;
        steps -= PAGE_STEPS * i.count_and_consume_key(Modifiers::NONE, Key::PageDown) as f64;
        if i.consume_key(Modifiers::NONE, Key::Home) {
            set = Some(0.0);
        }
        if i.consume_key(Modifiers::NONE, Key::End) {
            set = Some(largest);
        }
    });
    if steps != 0.0 {
        commands.send(Command::StepEpsilon(steps));
    }
    if let Some(epsilon) = set {
        commands.send(Command::Epsilon(epsilon));
    }
}

/// What assistive technology asks for.
fn requests(ui: &Ui, commands: &CommandSender, response: &Response, largest: f64) {
    use egui::accesskit::{Action, ActionData};
    // Commands are sent after the input is let go: sending wakes the window, which locks it.
    let mut set = None;
    let mut steps = 0.0;
    ui.input(|i| {
        for request in i.accesskit_action_requests(response.id, Action::SetValue) {
            if let Some(ActionData::NumericValue(epsilon)) = request.data
                && epsilon.is_finite()
            {
                set = Some(epsilon.clamp(0.0, largest));
            }
        }
        let count = |action| i.num_accesskit_action_requests(response.id, action) as f64;
        steps = count(Action::Increment) - count(Action::Decrement);
    });
    if let Some(epsilon) = set {
        commands.send(Command::Epsilon(epsilon));
    }
    if steps != 0.0 {
        commands.send(Command::StepEpsilon(steps));
    }
}

fn paint(ui: &Ui, state: &State, response: &Response, rail: Rect, font: FontId) {
    let painter = ui.painter();
    let visuals = ui.visuals();
    let look = ui.style().interact(response);
    let accent = theme::of(ui).accent;
    let x_of = |position: f64| rail.left() + rail.width() * position as f32;
    let handle = pos2(x_of(state.axis().position(state.epsilon)), rail.center().y);

    painter.rect_filled(rail, 3.0, visuals.widgets.inactive.bg_fill);
    painter.rect_filled(Rect::from_min_max(rail.min, pos2(handle.x, rail.bottom())), 3.0, accent);

    let marks = ticks::ticks(&state.ruler());
    let half_width = |tick: &Tick| {
        painter.layout_no_wrap(tick.label.clone(), font.clone(), visuals.text_color()).size().x * 0.5 + 5.0
    };
    let labelled = ticks::without_collisions(&marks, |tick| x_of(tick.position), half_width);
    for (tick, labelled) in marks.iter().zip(labelled) {
        let x = x_of(tick.position);
        let top = rail.bottom() + 3.0;
        let length = if labelled { 5.0 } else { 3.0 };
        let colour = if labelled { visuals.weak_text_color() } else { visuals.weak_text_color().gamma_multiply(0.6) };
        painter.line_segment([pos2(x, top), pos2(x, top + length)], Stroke::new(1.0, colour));
        if labelled {
            painter.text(pos2(x, top + 7.0), Align2::CENTER_TOP, &tick.label, font.clone(), colour);
        }
    }

    if let Some(linf) = tuning::found(state) {
        let at = pos2(x_of(state.axis().position(linf)), rail.bottom() - 1.0);
        found_mark(painter, at, theme::of(ui).attack);
    }
    flips(ui, state, rail, &x_of);
    let radius = if response.hovered() || response.dragged() { 10.0 } else { 9.0 };
    painter.circle(handle, radius, visuals.strong_text_color(), Stroke::new(3.0, accent));
    if response.has_focus() {
        painter.circle_stroke(handle, radius + 3.5, Stroke::new(1.5, look.fg_stroke.color));
    }
    if let Some(frame) = state.frame.as_ref().filter(|f| (f.shown_epsilon() - state.epsilon).abs() > 1e-12) {
        // Where the pictures are: a small notch on the rail, until they catch up.
        let x = x_of(state.axis().position(frame.shown_epsilon()));
        ghost(painter, pos2(x, rail.center().y), visuals.strong_text_color());
    }
}

/// A triangle under the rail at the L∞ norm that the attack has found.
fn found_mark(painter: &egui::Painter, at: Pos2, colour: egui::Color32) {
    let points = vec![at, at + vec2(-5.0, 8.0), at + vec2(5.0, 8.0)];
    painter.add(egui::Shape::convex_polygon(points, colour, Stroke::NONE));
}

/// Where the decision of a model that classifies changes: a flag over the rail at the first ε of each decision that follows.
fn flips(ui: &Ui, state: &State, rail: Rect, x_of: &impl Fn(f64) -> f32) {
    let Some(curve) = &state.curve else { return };
    let palette = theme::of(ui);
    let truth = curve.clean.decision.map(|decision| decision.truth);
    for flip in decision::flips(&curve.clean, &curve.points) {
        let colour = if Some(flip.to) == truth { palette.good } else { palette.bad };
        let [left, right] = [flip.after, flip.at].map(|epsilon| x_of(state.axis().position(epsilon)));
        ui.painter().hline(left..=right, rail.top() - 4.0, Stroke::new(2.0, colour));
        let flag = [pos2(right, rail.top() - 9.0), pos2(right + 6.0, rail.top() - 6.5), pos2(right, rail.top() - 4.0)];
        ui.painter().add(egui::Shape::convex_polygon(flag.to_vec(), colour, Stroke::NONE));
        ui.painter().vline(right, rail.top() - 9.0..=rail.bottom(), Stroke::new(1.0, colour));
    }
}

fn ghost(painter: &egui::Painter, at: Pos2, colour: egui::Color32) {
    painter.rect_filled(Rect::from_center_size(at, vec2(2.0, 6.0)), 1.0, colour);
}
