//! What ε does, as curves: the attack, its control (random signs of the same ε) in grey, the clean value as a baseline,
//! and a marker at the present ε that can be dragged. Points appear as they are measured; none is ever taken away.

mod flips;
mod plot;
mod quantity;
mod read_out;
pub mod several;

pub use plot::MARKER_LABEL;
pub use quantity::{Quantity, nearest};

use super::decision::is_of_classes;
use super::state::LiveCurve;
use super::{CommandSender, Pane, PaneContext, State, seen, theme};
use crate::study::SeenMetric;
use eframe::egui::containers::menu::{MenuButton, MenuConfig};
use eframe::egui::{self, Align, Color32, Layout, RichText, ScrollArea, Sense, Stroke, Ui, Vec2, pos2, vec2};

/// Two plots lie side by side from this ratio of width to height on, one over the other below it.
const SIDE_BY_SIDE: f32 = 1.5;

/// A plot is no lower than this, in points.
const LOWEST_PLOT: f32 = 120.0;

/// The panel of the plots.
#[derive(Default)]
pub struct Curves {
    dragging: bool,
}

/// A quantity's colour: Okabe and Ito's, so that every kind of colour vision tells them apart.
fn colour(ui: &Ui, quantity: Quantity) -> Color32 {
    let dark = ui.visuals().dark_mode;
    match quantity {
        Quantity::Dice if dark => theme::okabe_ito::SKY_BLUE,
        Quantity::Dice => theme::okabe_ito::BLUE,
        Quantity::Iou => theme::okabe_ito::GREEN,
        Quantity::Wrong => theme::of(ui).attack,
        Quantity::Rmse => theme::okabe_ito::PURPLE,
        Quantity::PixelError if dark => theme::okabe_ito::YELLOW,
        Quantity::PixelError => theme::of(ui).warning,
        Quantity::TrueClass if dark => theme::okabe_ito::SKY_BLUE,
        Quantity::TrueClass => theme::okabe_ito::BLUE,
        Quantity::Confidence => theme::of(ui).attack,
        Quantity::Margin => theme::okabe_ito::PURPLE,
        Quantity::Seen(metric) => seen_colour(metric, dark),
    }
}

impl Pane for Curves {
    fn title(&self) -> &str {
        "Curves"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, _context: &mut PaneContext<'_>) {
        if state.several.on {
            several::several_ui(ui, state, commands, &mut self.dragging);
            return;
        }
        let Some(curve) = &state.curve else {
            ui.horizontal(|ui| several::switch_ui(ui, state, commands));
            empty_ui(ui, state);
            return;
        };
        let bottom = ui.available_rect_before_wrap().bottom();
        // In a low panel of large type the words take all the room: then the plots are scrolled to.
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            header_ui(ui, state, curve, commands);
            seen::epsilon_window::window_ui(ui, state, commands);
            let below = ui.available_rect_before_wrap();
            let room = vec2(below.width(), (bottom - below.top()).max(LOWEST_PLOT));
            self.plots_ui(ui, state, curve, room, commands);
        });
    }
}

impl Curves {
    fn plots_ui(&mut self, ui: &mut Ui, state: &State, curve: &LiveCurve, room: Vec2, commands: &CommandSender) {
        let groups = groups(&state.view.quantities, is_of_classes(curve));
        let beside = room.x > SIDE_BY_SIDE * room.y;
        let gap = 8.0;
        let count = groups.len().max(1) as f32;
        let size = if beside {
            vec2((room.x - gap * (count - 1.0)) / count, room.y)
        } else {
            vec2(room.x, (room.y - gap * (count - 1.0)) / count)
        };
        let layout = if beside { Layout::left_to_right(Align::TOP) } else { Layout::top_down(Align::LEFT) };
        ui.with_layout(layout, |ui| {
            ui.spacing_mut().item_spacing = vec2(gap, gap);
            for quantities in &groups {
                plot::plot_ui(ui, state, curve, quantities, size, &mut self.dragging, commands);
            }
        });
    }
}

/// The quantities as switches, which are also the legend, and what the line styles mean.
fn header_ui(ui: &mut Ui, state: &State, curve: &LiveCurve, commands: &CommandSender) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        several::switch_ui(ui, state, commands);
        let shown = Quantity::shown(&state.view.quantities, is_of_classes(curve));
        for &quantity in Quantity::offered(is_of_classes(curve)) {
            let on = shown.contains(&quantity);
            if switch_ui(ui, quantity, on, &quantity.definition(&state.positive_class_name())) {
                let mut here = shown.clone();
                here.retain(|q| *q != quantity);
                if !on {
                    here.push(quantity);
                }
                // One always stays: an empty panel explains nothing.
                if !here.is_empty() {
                    // What is shown of models of the other kind stays as it is.
                    let offered = Quantity::offered(is_of_classes(curve));
                    let others = state.view.quantities.iter().copied().filter(|q| !offered.contains(q));
                    let quantities = others.chain(here).collect();
                    super::compare::change(state, commands, |view| view.quantities = quantities);
                }
            }
        }
        seen_ui(ui, state, commands);
        ui.add_space(8.0);
        let attack = super::state::entry(curve.method);
        let palette = theme::of(ui);
        style_ui(ui, palette.text, Style::Attack, attack.title);
        style_ui(ui, palette.control, Style::Control, curve.method.control_title());
        style_ui(ui, palette.baseline, Style::Clean, "Clean");
    });
}

/// What is plotted, by axis: shares, the pixel error, what is seen on a scale of 0 to 1, decibels, Butteraugli's
/// distance, and ΔE₀₀.
fn groups(chosen: &[Quantity], of_classes: bool) -> Vec<Vec<Quantity>> {
    let mut shown = Quantity::shown(chosen, of_classes);
    shown.extend(chosen.iter().filter(|q| q.seen().is_some()));
    let axis = |q: &Quantity| match (q.seen(), q.is_share()) {
        (None, true) => 0,
        (None, false) => 1,
        (Some(_), true) => 2,
        (Some(SeenMetric::Butteraugli), false) => 4,
        (Some(SeenMetric::Ciede2000), false) => 5,
        (Some(_), false) => 3,
    };
    let all: Vec<Quantity> =
        Quantity::offered(of_classes).iter().copied().chain(SeenMetric::ALL.map(Quantity::Seen)).collect();
    let of = |n: usize| all.iter().copied().filter(|q| axis(q) == n && shown.contains(q)).collect::<Vec<_>>();
    (0..6).map(of).filter(|group| !group.is_empty()).collect()
}

/// The metrics of visibility, as switches in a menu.
fn seen_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let count = state.view.quantities.iter().filter(|q| q.seen().is_some()).count();
    let name = if count == 0 { "Seen".to_owned() } else { format!("Seen ({count})") };
    let button = MenuButton::from_button(egui::Button::new(name).selected(count > 0))
        .config(MenuConfig::default().close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside));
    let (response, _) = button.ui(ui, |ui| {
        for quantity in SeenMetric::ALL.map(Quantity::Seen) {
            let on = state.view.quantities.contains(&quantity);
            if switch_ui(ui, quantity, on, &quantity.definition("")) {
                let mut quantities = state.view.quantities.clone();
                quantities.retain(|q| *q != quantity);
                if !on {
                    quantities.push(quantity);
                }
                if !quantities.is_empty() {
                    super::compare::change(state, commands, |view| view.quantities = quantities);
                }
            }
        }
    });
    response.on_hover_text(
        "How visible the perturbation is over ε, on the image as the screen shows it under the present window.",
    );
}

/// Colours of the metrics of visibility; beside each other only among themselves.
fn seen_colour(metric: SeenMetric, dark: bool) -> Color32 {
    match metric {
        SeenMetric::Ssim if dark => theme::okabe_ito::SKY_BLUE,
        SeenMetric::Ssim => theme::okabe_ito::BLUE,
        SeenMetric::MsSsim => theme::okabe_ito::GREEN,
        SeenMetric::Vif => theme::okabe_ito::ORANGE,
        SeenMetric::HaarPsi | SeenMetric::Ciede2000 => theme::okabe_ito::PURPLE,
        SeenMetric::Gmsd if dark => theme::okabe_ito::YELLOW,
        SeenMetric::Gmsd => theme::palette(super::state::Theme::Light).warning,
        SeenMetric::Butteraugli if dark => theme::okabe_ito::SKY_BLUE,
        SeenMetric::Butteraugli => theme::okabe_ito::BLUE,
        SeenMetric::Flip | SeenMetric::Psnr => theme::okabe_ito::VERMILLION,
    }
}

fn switch_ui(ui: &mut Ui, quantity: Quantity, on: bool, definition: &str) -> bool {
    let colour = colour(ui, quantity);
    let text = RichText::new(format!("     {}", quantity.title()));
    let response = ui.add(egui::Button::selectable(on, text)).on_hover_text(definition);
    let y = response.rect.center().y;
    let left = response.rect.left() + 8.0;
    let colour = if on { colour } else { colour.gamma_multiply(0.5) };
    ui.painter().line_segment([pos2(left, y), pos2(left + 14.0, y)], Stroke::new(2.0, colour));
    ui.painter().circle_filled(pos2(left + 7.0, y), 3.0, colour);
    response.clicked()
}

/// How lines are drawn.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Attack,
    Control,
    Clean,
}

fn style_ui(ui: &mut Ui, colour: Color32, style: Style, name: &str) {
    // One widget, so that a line is never parted from its name where the row ends.
    let font = egui::TextStyle::Small.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(name.to_owned(), font, theme::of(ui).weak);
    let size = vec2(28.0 + galley.size().x + 8.0, ui.spacing().interact_size.y);
    let (all, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name));
    let rect = egui::Rect::from_min_size(all.min, vec2(24.0, all.height()));
    let (left, right, y) = (rect.left() + 2.0, rect.right() - 2.0, rect.center().y);
    let points = [pos2(left, y), pos2(right, y)];
    let painter = ui.painter();
    match style {
        Style::Attack => {
            painter.line_segment(points, Stroke::new(2.0, colour));
            painter.circle_filled(rect.center(), 3.0, colour);
        }
        Style::Control => {
            painter.extend(egui::Shape::dashed_line(&points, Stroke::new(1.5, colour), 4.0, 3.0));
            let square = egui::Rect::from_center_size(rect.center(), vec2(5.0, 5.0));
            painter.rect_filled(square, 0.0, theme::of(ui).panel);
            painter.rect_stroke(square, 0.0, Stroke::new(1.2, colour), egui::StrokeKind::Middle);
        }
        Style::Clean => painter.extend(egui::Shape::dotted_line(&points, colour, 4.0, 1.0)),
    }
    ui.painter().galley(pos2(rect.right() + 4.0, y - galley.size().y * 0.5), galley, theme::of(ui).weak);
}

fn empty_ui(ui: &mut Ui, state: &State) {
    let text = match (state.case.is_some(), state.model.is_some()) {
        (false, _) => "Open an image: its curve over ε appears here",
        (true, false) => "Open a model: the curve over ε appears here",
        (true, true) if state.is_attacking() => "The curve follows once the attack has taken its steps",
        (true, true)
            if state.frame.as_ref().is_some_and(|f| f.unfinished.is_some_and(|u| u.done == 0 && u.stopped)) =>
        {
            "The attack takes long and has not begun: Run, in the inspector, begins it"
        }
        (true, true) if state.frame.as_ref().is_some_and(|f| f.unfinished.is_some()) => {
            "The attack was stopped. Measure runs it to its end at a grid of ε"
        }
        (true, true) => "The first point of the curve is being measured…",
    };
    ui.centered_and_justified(|ui| ui.label(theme::weak(ui, text)));
}
