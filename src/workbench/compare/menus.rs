//! The menus of the toolbar and of a picture: tools and region, turns, planes, what is shown.

use super::{change, copy};
use crate::data::Region;
use crate::engine::Request;
use crate::workbench::icons::{Icon, icon_toggle};
use crate::workbench::marks::{Marks, Tool};
use crate::workbench::state::{Picture, View};
use crate::workbench::{Command, CommandSender, PaneContext, State, theme};
use eframe::egui::containers::menu::MenuButton;
use eframe::egui::{Button, DragValue, Id, Popup, Response, Ui};

/// The tools of the toolbar.
pub fn tools_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    use crate::data::Shape;
    for (tool, name, tip) in Tool::ALL {
        let icon = match tool {
            Tool::Pan => Icon::Hand,
            Tool::Ruler => Icon::Ruler,
            Tool::Draw(Shape::Rectangle) => Icon::Rectangle,
            Tool::Draw(Shape::Ellipse) => Icon::Ellipse,
            Tool::Brush => Icon::Brush,
            Tool::Eraser => Icon::Eraser,
        };
        if icon_toggle(ui, icon, name, tip, state.tool == tool).clicked() {
            commands.send(Command::Tool(if state.tool == tool { Tool::Pan } else { tool }));
        }
    }
}

fn brush_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.horizontal(|ui| {
        ui.label(theme::weak(ui, "Brush"));
        let mut brush = state.brush;
        let drag = DragValue::new(&mut brush).range(1.0..=200.0).speed(0.3).max_decimals(0).suffix(" px");
        let response = ui.add(drag).accessible_name("Brush size");
        if response.on_hover_text("The brush's diameter, in image pixels. [ and ]").changed() {
            commands.send(Command::Brush(brush));
        }
    });
}

/// The menu of the region of interest and of the ruler; nothing where there is neither.
pub fn region_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let marks = &state.marks;
    let region = state.region();
    if region.is_none() && marks.ruler.is_none() && !state.tool.paints() {
        return;
    }
    let confined = region.is_some() && marks.confined_to().is_some();
    let mark = |change: &dyn Fn(&mut Marks)| {
        let mut marks = marks.clone();
        change(&mut marks);
        commands.send(Command::Mark(Box::new(marks)));
    };
    let button = MenuButton::from_button(Button::new("Region").selected(confined));
    let (response, _) = button.ui(ui, |ui| {
        if state.tool.paints() {
            brush_ui(ui, state, commands);
        }
        if let Some(region) = region {
            ui.label(theme::weak(ui, share_text(region)));
            let mut confine = marks.confine;
            let tip = "Noise and adversarial image change inside of the region only; its control too.";
            if ui.checkbox(&mut confine, "Confine the attack to the region").on_hover_text(tip).changed() {
                mark(&|marks| marks.confine = confine);
            }
            if ui.button("Invert region").clicked() {
                mark(&|marks| marks.region = Some(region.inverted()));
            }
            if ui.button("Clear region").clicked() {
                mark(&|marks| marks.region = None);
                ui.close();
            }
        }
        if marks.ruler.is_some() && ui.button("Clear ruler").clicked() {
            mark(&|marks| marks.ruler = None);
            ui.close();
        }
    });
    let tip = if confined { "The region of interest: it confines the attack." } else { "The region of interest." };
    response.on_hover_text(tip);
}

/// How much of the image a region is.
pub fn share_text(region: &Region) -> String {
    let count = region.count();
    let share = 100.0 * count as f64 / (region.height * region.width).max(1) as f64;
    format!("{count} px, {share:.1} % of the image")
}

/// The plane in which a volume is sliced, flips and turns.
pub fn plane_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let planes = state.case.as_ref().map_or(&[][..], |case| &case.planes);
    let axis = state.case.as_ref().map(|case| case.axis);
    let orientation = state.view.orientation;
    let expected = state
        .case
        .as_ref()
        .and_then(|c| c.about.axes())
        .map(crate::view::Orientation::radiological)
        .unwrap_or_default();
    let entries = [
        ("Flip left to right", "H", orientation.mirrored()),
        ("Flip upside down", "U", orientation.upended()),
        ("Turn by 90° clockwise", "T", orientation.turned()),
    ];
    let name = planes.iter().find(|(of, _)| Some(*of) == axis).map_or("Turn", |(_, name)| name);
    let button = MenuButton::from_button(Button::new(name).selected(orientation != expected));
    let (response, _) = button.ui(ui, |ui| {
        for &(of, name) in planes {
            let chosen = ui.add(Button::selectable(Some(of) == axis, name));
            if chosen.on_hover_text("Slices the volume in this plane. The attack works on its slices.").clicked() {
                commands.request(Request::Axis(of));
            }
        }
        if !planes.is_empty() {
            ui.separator();
        }
        for (name, key, to) in entries {
            if ui.add(Button::new(name).shortcut_text(key)).clicked() {
                change(state, commands, |view| view.orientation = to);
            }
        }
        let reset = ui.add_enabled(orientation != expected, Button::new("As at first"));
        if reset.on_hover_text("As clinicians expect it where the sides of the patient are known.").clicked() {
            change(state, commands, |view| view.orientation = expected);
        }
    });
    response.on_hover_text(
        "The plane in which a volume is sliced; flips and turns of the pictures, not of the data: the letters of the \
         sides follow.",
    );
}

/// What is shown on the pictures.
pub fn shown_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    type Field = fn(&mut View) -> &mut bool;
    let entries: [(&str, &str, Field); 5] = [
        ("Cross-hair in every picture", "At the pixel under the pointer.", |view| &mut view.crosshair),
        ("Value in every picture", "In stored units, at the pixel under the pointer.", |view| &mut view.values),
        ("Sides and scale bar", "R, L, A, P, S, I where the file tells them; mm where it tells the spacing.", |view| {
            &mut view.annotations
        }),
        ("Pixel grid", "Lines between pixels, from 12 times on.", |view| &mut view.grid),
        ("Smooth enlarged pixels", "Off, each pixel is a square: what the model sees.", |view| &mut view.smooth),
    ];
    for (name, tip, field) in entries {
        let mut on = *field(&mut state.view.clone());
        if ui.checkbox(&mut on, name).on_hover_text(tip).changed() {
            change(state, commands, |view| *field(view) = on);
        }
    }
    let mut magnifier = state.magnifier;
    if ui.checkbox(&mut magnifier, "Magnifying glass").on_hover_text("Or hold Z.").changed() {
        commands.send(Command::Magnifier(magnifier));
    }
}

/// The menu of a picture: a right click, not a drag.
pub fn picture_menu(
    response: &Response,
    picture: Picture,
    state: &State,
    commands: &CommandSender,
    context: &PaneContext<'_>,
    id: Id,
) {
    Popup::context_menu(response).show(|ui| {
        if ui.add(Button::new("Copy picture").shortcut_text("Ctrl+C")).clicked() {
            copy(context, id, commands);
            ui.close();
        }
        let alone = state.view.focus == Some(picture);
        if ui.button(if alone { "Show all pictures" } else { "Show alone" }).clicked() {
            change(state, commands, |view| view.focus = if alone { None } else { Some(picture) });
            ui.close();
        }
        ui.separator();
        shown_ui(ui, state, commands);
    });
}
