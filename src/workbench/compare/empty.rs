//! What the pane says while there is no picture: nothing loaded, reading, no model, computing the first picture.

use super::canvas;
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{self, Align, Button, Layout, ProgressBar, Rect, RichText, Stroke, Ui, UiBuilder, vec2};
use std::time::Instant;

/// Draws it over all of `ui`.
pub fn empty_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let rect = ui.available_rect_before_wrap();
    ui.painter().rect_filled(rect, 6.0, theme::of(ui).picture_background);
    let target = rect.shrink(16.0);
    if state.case.is_none() && state.opening.is_none() {
        let dashes =
            [target.left_top(), target.right_top(), target.right_bottom(), target.left_bottom(), target.left_top()];
        ui.painter().extend(egui::Shape::dashed_line(&dashes, Stroke::new(1.0, theme::of(ui).line), 6.0, 5.0));
    }
    let middle = Rect::from_center_size(rect.center(), vec2(rect.width().min(460.0), rect.height().min(150.0)));
    ui.scope_builder(UiBuilder::new().max_rect(middle).layout(Layout::top_down(Align::Center)), |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        contents_ui(ui, state, commands);
    });
    ui.advance_cursor_after_rect(rect);
}

fn contents_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    if let Some(path) = &state.opening {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        ui.label(theme::semibold(format!("Reading {name}…")));
        if let Some(share) = state.read_share {
            ui.add(ProgressBar::new(share).desired_width(200.0).desired_height(6.0));
        }
        if ui.button("Cancel").clicked() {
            canvas::cancel_open(commands);
        }
    } else if state.case.is_none() {
        ui.label(theme::semibold("Drop an image or a folder here").size(16.0));
        ui.label(theme::weak(ui, "PNG, JPEG, BMP, WebP, TIFF, DICOM, NIfTI, NumPy, idx or CIFAR-10; a label with it"));
        ui.label(theme::weak(ui, "or a folder: a DICOM series, images with masks, a folder for each class"));
        button_row(ui, commands, "Open image…", Command::ChooseImage);
    } else if let (None, Some(path)) = (&state.model, &state.opening_model) {
        ui.label(theme::semibold(crate::workbench::model::reading_text(state, path)));
        if let Some(share) = state.model_share {
            ui.add(ProgressBar::new(share).desired_width(200.0).desired_height(6.0));
        }
    } else if state.model.is_none() {
        ui.label(theme::semibold("No model").size(16.0));
        ui.label(theme::weak(ui, "The image is open. A model shows what it sees in it, and how ε breaks that."));
        button_row(ui, commands, "Open model…", Command::ChooseModel);
    } else if let Some(problem) = &state.problem {
        ui.label(theme::semibold(&problem.what));
        ui.label(RichText::new(&problem.why).color(theme::of(ui).bad));
    } else {
        ui.label(theme::semibold("Computing the first picture…"));
        let usual = || "The model looks at the image; then its gradient is taken, once.".to_owned();
        ui.label(theme::weak(ui, state.first_run.text(Instant::now()).unwrap_or_else(usual)));
    }
}

fn button_row(ui: &mut Ui, commands: &CommandSender, text: &str, command: Command) {
    if ui.add(Button::new(text).min_size(vec2(140.0, 30.0))).clicked() {
        commands.send(command);
    }
}
