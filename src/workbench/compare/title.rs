//! The line above a picture.

use super::{caption, change, toolbar};
use crate::engine::Frame;
use crate::workbench::state::{DifferenceFrom, Picture};
use crate::workbench::{CommandSender, State, seen, theme, tuning};
use eframe::egui::{self, Align, Layout, Rect, Ui, UiBuilder, vec2};

/// The line above a picture: its title, and the controls that belong to it alone.
#[expect(clippy::too_many_arguments, reason = "what every panel gets, and the title's place")]
pub(super) fn title_ui(
    ui: &mut Ui,
    rect: Rect,
    picture: Picture,
    title: &str,
    swiped: bool,
    state: &State,
    frame: &Frame,
    commands: &CommandSender,
) {
    let builder = UiBuilder::new()
        .id_salt(("title", picture))
        .max_rect(rect.shrink2(vec2(2.0, 0.0)))
        .layout(Layout::right_to_left(Align::Center));
    ui.scope_builder(builder, |ui| {
        ui.spacing_mut().interact_size.y = 18.0;
        ui.spacing_mut().button_padding = vec2(6.0, 1.0);
        ui.spacing_mut().item_spacing = vec2(4.0, 0.0);
        if picture == Picture::Noise {
            toolbar::gain_ui(ui, state, commands, tuning::reach(frame));
            seen::map::menu_ui(ui, state, commands);
        }
        if picture == Picture::Difference {
            difference_ui(ui, state, commands);
        }
        // Left of the line is the same of the original: its segmentation, where the picture is one.
        let text = match (swiped, picture) {
            (false, _) => title.to_owned(),
            (true, Picture::AdversarialSegmentation) => "Segmented: original | adversarial".to_owned(),
            (true, _) => format!("Original | {title}"),
        };
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let words = match swiped {
                true => &text,
                false => caption::fitting_title(ui, picture, &text, state, ui.available_width()),
            };
            let response = ui.add(egui::Label::new(theme::semibold(words)).truncate().selectable(false));
            if words != text {
                response.on_hover_text(&text);
            }
        });
    });
}

fn difference_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let labelled = state.case.as_ref().is_some_and(|c| c.reference == crate::attack::Reference::Label);
    if !labelled && state.view.difference_from == DifferenceFrom::CleanPrediction {
        return;
    }
    let entries = [
        (DifferenceFrom::CleanPrediction, "Clean prediction", "What the attack changed."),
        (DifferenceFrom::Reference, "Label", "What is wrong under attack: invented and missed pixels."),
    ];
    let response = ui.menu_button(egui::RichText::new("Against").small(), |ui| {
        for (from, name, tip) in entries {
            let on = state.view.difference_from == from;
            if ui.add(egui::Button::selectable(on, name)).on_hover_text(tip).clicked() {
                change(state, commands, |view| view.difference_from = from);
            }
        }
    });
    response.response.on_hover_text("What the adversarial segmentation is compared with.");
}
