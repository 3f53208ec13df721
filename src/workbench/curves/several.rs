//! Several attacks over one grid of ε: their curves in one plot, each in a colour and with a mark of its own, or as a table.

use super::plot;
use super::quantity::Quantity;
use crate::attack::{CATALOG, EpsilonMeaning, Norm};
use crate::engine::JobState;
use crate::workbench::several::{Compared, ComparedCurve, Several, grids};
use crate::workbench::{Command, CommandSender, ExportKind, State, theme, tuning};
use eframe::egui::{self, Button, Color32, ComboBox, Grid, RichText, ScrollArea, Sense, Shape, Stroke, Ui, pos2, vec2};
use egui_plot::MarkerShape;

/// The marks of curves, so that nothing is told by colour alone.
const SHAPES: [MarkerShape; 7] = [
    MarkerShape::Circle,
    MarkerShape::Diamond,
    MarkerShape::Up,
    MarkerShape::Square,
    MarkerShape::Down,
    MarkerShape::Cross,
    MarkerShape::Asterisk,
];

/// How the curve of the attack at place `index` is drawn. Beyond seven colours lines are dashed and marks hollow.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Its colour.
    pub colour: Color32,
    /// Its mark.
    pub shape: MarkerShape,
    /// Whether line and marks are whole.
    pub whole: bool,
}

/// The look of the curve at place `index`.
pub fn series(ui: &Ui, index: usize) -> Series {
    let colours = theme::series(ui.visuals().dark_mode);
    Series {
        colour: colours[index % colours.len()],
        shape: SHAPES[(index + index / colours.len()) % SHAPES.len()],
        whole: index < colours.len(),
    }
}

/// Draws the comparison into all of `ui`.
pub fn several_ui(ui: &mut Ui, state: &State, commands: &CommandSender, dragging: &mut bool) {
    controls_ui(ui, state, commands);
    let Some(compared) = &state.compared else {
        ui.centered_and_justified(|ui| {
            ui.label(theme::weak(ui, "Choose attacks, then Measure: their curves appear here one by one"));
        });
        return;
    };
    if !is_present(state, compared) {
        let start = &compared.start;
        let slice = if start.case.slices > 1 { format!(", slice {}", start.case.slice) } else { String::new() };
        let text =
            format!("Measured on {}{slice} with {}. Measure again for what is shown.", start.case.name, start.model);
        ui.label(RichText::new(text).small().color(theme::of(ui).warning));
    }
    legend_ui(ui, state, compared);
    if state.several.table {
        table_ui(ui, state, compared);
    } else {
        let size = ui.available_size();
        plot::several_ui(ui, state, compared, size, dragging, commands);
    }
}

/// What is compared: of models that classify, what is offered of these.
pub(super) fn quantity(state: &State, of_classes: bool) -> Quantity {
    Quantity::shown(&[state.several.quantity], of_classes)[0]
}

/// Whether the comparison is of the image and model on the screen.
fn is_present(state: &State, compared: &Compared) -> bool {
    state.case.as_ref().is_some_and(|case| std::sync::Arc::ptr_eq(case, &compared.start.case))
        && state.model.as_ref().is_some_and(|model| model.name == compared.start.model)
}

/// The switch between the present attack and several.
pub fn switch_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let several = &state.several;
    for (on, name, tip) in [
        (false, "One", "The chosen attack over ε."),
        (true, "Several", "Several attacks over one grid of ε, in one plot or table."),
    ] {
        if ui.add(Button::selectable(several.on == on, name)).on_hover_text(tip).clicked() {
            change(state, commands, |several| several.on = on);
        }
    }
    ui.add_space(4.0);
}

fn change(state: &State, commands: &CommandSender, change: impl FnOnce(&mut Several)) {
    let mut several = state.several.clone();
    change(&mut several);
    commands.send(Command::Several(Box::new(several)));
}

fn controls_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let several = &state.several;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        switch_ui(ui, state, commands);
        let name = format!("Attacks ({})", several.attacks.len());
        let config =
            egui::containers::menu::MenuConfig::new().close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside);
        let (menu, _) = egui::containers::menu::MenuButton::new(name).config(config).ui(ui, |ui| {
            let most = ui.ctx().content_rect().height() * 0.8;
            ScrollArea::vertical().max_height(most).show(ui, |ui| {
                for entry in CATALOG {
                    let mut chosen = several.attacks.iter().any(|n| n == entry.name);
                    let row = ui.checkbox(&mut chosen, entry.title);
                    let attack = state.tuned.get(entry);
                    if row
                        .on_hover_text(format!("{}\n\nε: {}", attack.summary(), tuning::epsilon_short(&attack)))
                        .changed()
                    {
                        change(state, commands, |several| several.choose(entry, chosen));
                    }
                }
            });
        });
        menu.on_hover_text("Which attacks are measured, each with its parameters as last set.");
        let all = grids();
        let grid = all.iter().find(|(_, e)| *e == several.epsilons).map_or("own grid", |(name, _)| name.as_str());
        let combo = ComboBox::from_id_salt("several grid").selected_text(grid).width(132.0).show_ui(ui, |ui| {
            for (name, epsilons) in &all {
                if ui.selectable_label(several.epsilons == *epsilons, name).clicked() {
                    change(state, commands, |several| several.epsilons.clone_from(epsilons));
                }
            }
        });
        combo.response.accessible_name("Grid of epsilon").on_hover_text("The ε at which every attack is measured.");
        let running = state.job.as_ref().is_some_and(|job| {
            matches!(job.state, JobState::Running | JobState::Paused) && job.name.starts_with("comparison")
        });
        let ready = state.frame.is_some() && !several.attacks.is_empty();
        if running {
            if ui.button("Cancel").on_hover_text("What was measured stays.").clicked() {
                commands.request(crate::engine::Request::CancelJob);
            }
        } else if ui.add_enabled(ready, Button::new("Measure")).on_hover_text(cost_text(state)).clicked() {
            commands.send(Command::MeasureSeveral);
        }
        ui.add_space(4.0);
        let of_classes = state.model.as_ref().is_some_and(|m| m.task == crate::model::Task::Classification);
        let chosen = quantity(state, of_classes);
        let quantity = ComboBox::from_id_salt("several quantity").selected_text(chosen.title()).width(96.0);
        let quantity = quantity.show_ui(ui, |ui| {
            for &quantity in Quantity::offered(of_classes) {
                let row = ui.selectable_label(chosen == quantity, quantity.title());
                if row.on_hover_text(quantity.definition(&state.positive_class_name())).clicked() {
                    change(state, commands, |several| several.quantity = quantity);
                }
            }
        });
        quantity.response.accessible_name("Compared quantity").on_hover_text("What is compared.");
        let table = ui.add(Button::selectable(several.table, "Table"));
        if table.on_hover_text("Values in place of the plot.").clicked() {
            change(state, commands, |several| several.table = !several.table);
        }
        let some = state.compared.as_ref().is_some_and(|c| c.curves.iter().any(|c| !c.points.is_empty()));
        let csv = ui.add_enabled(some, Button::new("CSV…"));
        if csv.on_hover_text("Write all quantities of all attacks, with their parameters.").clicked() {
            commands.send(Command::ChooseExport(ExportKind::ComparisonCsv));
        }
    });
}

/// How many gradients a comparison takes, about.
fn cost_text(state: &State) -> String {
    let gradients: f64 = state
        .several
        .attacks(&state.tuned)
        .iter()
        .filter(|attack| attack.entry().gradient)
        .map(|attack| {
            let each = attack.most_gradients();
            let stepped = attack.get("steps").is_some() && attack.entry().epsilon != EpsilonMeaning::Found;
            if stepped { each * state.several.epsilons.len() as f64 } else { each }
        })
        .sum();
    format!("Measure them one after the other in the background. They take up to {gradients} gradients.")
}

/// Every attack with its line and mark.
fn legend_ui(ui: &mut Ui, state: &State, compared: &Compared) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 2.0);
        for (i, curve) in compared.curves.iter().enumerate() {
            let look = series(ui, i);
            let mut tip = format!("{}\n\nε: {}", curve.attack.summary(), tuning::epsilon_short(&curve.attack));
            let mut name = curve.attack.title().to_owned();
            if let Some(why) = &curve.refused {
                name += " (not here)";
                tip = format!("{why}\n\n{tip}");
            } else if let (true, Some(point)) = (curve.is_point(), curve.points.first()) {
                let moved = point.measure.displacement.map_or_else(String::new, |by| format!(", moved by {by:.2} px"));
                name += &format!(" (found L∞ {}{moved})", state.shared_ruler(&compared.start.case).text(point.epsilon));
            }
            if curve.attack.norm() == Some(Norm::L2) {
                name += " (L2, ε·√n)";
                tip = format!("Its L2 norm is ε times the square root of the number of values.\n\n{tip}");
            }
            key_ui(ui, &name, look, curve.is_point()).on_hover_text(tip);
        }
        let control = theme::of(ui).control;
        let look = Series { colour: control, shape: MarkerShape::Square, whole: false };
        let tip = "Random signs of the same ε. Attacks whose ε bounds another norm have a control of their own.";
        key_ui(ui, "Random sign (control)", look, false).on_hover_text(tip);
    });
}

fn key_ui(ui: &mut Ui, name: &str, look: Series, point: bool) -> egui::Response {
    let font = egui::TextStyle::Small.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(name.to_owned(), font, theme::of(ui).weak);
    let (rect, response) = ui.allocate_exact_size(vec2(28.0 + galley.size().x, 18.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name));
    let (left, y) = (rect.left() + 2.0, rect.center().y);
    let line = [pos2(left, y), pos2(left + 22.0, y)];
    let stroke = Stroke::new(2.0, look.colour);
    if look.whole && !point {
        ui.painter().line_segment(line, stroke);
    } else if !point {
        ui.painter().extend(Shape::dashed_line(&line, stroke, 4.0, 3.0));
    }
    mark(ui.painter(), pos2(left + 11.0, y), look);
    ui.painter().galley(pos2(rect.left() + 28.0, y - galley.size().y * 0.5), galley, theme::of(ui).weak);
    response
}

/// A mark as the plot draws it.
fn mark(painter: &egui::Painter, at: egui::Pos2, look: Series) {
    let point = |x: f32, y: f32| at + vec2(x, y);
    let stroke = Stroke::new(1.5, look.colour);
    let polygon = |points: Vec<egui::Pos2>| {
        let fill = if look.whole { look.colour } else { Color32::TRANSPARENT };
        painter.add(Shape::convex_polygon(points, fill, stroke));
    };
    match look.shape {
        MarkerShape::Diamond => polygon(vec![point(0.0, -4.5), point(4.5, 0.0), point(0.0, 4.5), point(-4.5, 0.0)]),
        MarkerShape::Up => polygon(vec![point(0.0, -4.0), point(4.0, 3.5), point(-4.0, 3.5)]),
        MarkerShape::Down => polygon(vec![point(0.0, 4.0), point(4.0, -3.5), point(-4.0, -3.5)]),
        MarkerShape::Square => polygon(vec![point(-3.5, -3.5), point(3.5, -3.5), point(3.5, 3.5), point(-3.5, 3.5)]),
        MarkerShape::Cross | MarkerShape::Asterisk => {
            painter.line_segment([point(-3.5, -3.5), point(3.5, 3.5)], stroke);
            painter.line_segment([point(-3.5, 3.5), point(3.5, -3.5)], stroke);
            if look.shape == MarkerShape::Asterisk {
                painter.line_segment([point(0.0, -4.5), point(0.0, 4.5)], stroke);
            }
        }
        _ if look.whole => {
            painter.circle_filled(at, 3.5, look.colour);
        }
        _ => {
            painter.circle_stroke(at, 3.5, stroke);
        }
    }
}

/// A row for each attack, a column for each ε.
fn table_ui(ui: &mut Ui, state: &State, compared: &Compared) {
    let quantity = quantity(state, compared.start.clean.decision.is_some());
    let at = |curve: &ComparedCurve, epsilon: f64| {
        curve.points.iter().find(|p| (p.epsilon - epsilon).abs() < 1e-12).map(|p| quantity.text(&p.measure))
    };
    let ruler = state.shared_ruler(&compared.start.case);
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        Grid::new("several").striped(true).spacing([16.0, 4.0]).show(ui, |ui| {
            ui.label(theme::weak(ui, format!("{} at ε", quantity.title())));
            ui.label(theme::weak(ui, "clean"));
            for &epsilon in &compared.start.epsilons {
                ui.label(theme::weak(ui, ruler.text(epsilon)));
            }
            ui.label(theme::weak(ui, "found"));
            ui.end_row();
            let clean = quantity.text(&compared.start.clean);
            for (i, curve) in compared.curves.iter().enumerate() {
                ui.label(RichText::new(curve.attack.title()).color(series(ui, i).colour));
                ui.label(&clean);
                for &epsilon in &compared.start.epsilons {
                    let none = if curve.is_point() || curve.refused.is_some() { "–" } else { "…" };
                    ui.label(at(curve, epsilon).unwrap_or_else(|| none.to_owned()));
                }
                let found = curve.points.first().filter(|_| curve.is_point());
                let text = found.map(|p| format!("{} at L∞ {}", quantity.text(&p.measure), ruler.text(p.epsilon)));
                ui.label(text.unwrap_or_default());
                ui.end_row();
            }
            ui.label(theme::weak(ui, "Random sign (control)"));
            ui.label(&clean);
            for &epsilon in &compared.start.epsilons {
                let point = compared.control.iter().find(|p| (p.epsilon - epsilon).abs() < 1e-12);
                ui.label(point.map_or_else(|| "…".to_owned(), |p| quantity.text(&p.measure)));
            }
            ui.end_row();
        });
    });
}
