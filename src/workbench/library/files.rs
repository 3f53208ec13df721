//! Files: what is open, its slices, what was open before, and ways to open more.

use crate::data::{BUNDLED_SAMPLE_NAME, Sample};
use crate::engine::{CaseInfo, Request};
use crate::workbench::command::{Command, CommandSender};
use crate::workbench::icons::{Icon, icon_button};
use crate::workbench::layout::section;
use crate::workbench::state::{Recent, State};
use crate::workbench::{theme, window_level};
use eframe::egui::{self, Button, DragValue, ScrollArea, Slider, TextEdit, Ui};
use std::path::{Path, PathBuf};

/// The page.
#[derive(Default)]
pub struct Files {
    /// The path that is being typed.
    typed: String,
}

impl Files {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The bar that scrolls lies over the right edge.
            ui.set_max_width(ui.available_width() - 8.0);
            opening_ui(ui, state, commands);
            if let Some(case) = &state.case {
                case_ui(ui, case, state, commands);
            }
            section(ui, "Open");
            let wide = egui::vec2(ui.available_width(), ui.spacing().interact_size.y);
            let button = |ui: &mut Ui, text: &str, key: &str, tip: &str, enabled: bool| {
                let button = Button::new(text).shortcut_text(key).min_size(wide);
                ui.add_enabled(enabled, button).on_hover_text(tip).clicked()
            };
            let formats = "PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy, idx, CIFAR-10. Dropping files on the window does the same.";
            if button(ui, "Image…", "O", formats, true) {
                commands.send(Command::ChooseImage);
            }
            let label = "A mask of the same size: its values are matched to the model's classes.";
            let folder = "A data set: images with masks, a folder for each class, stacks, MNIST's or CIFAR-10's files; or a DICOM series.";
            if button(ui, "Folder…", "Shift+O", folder, true) {
                commands.send(Command::ChooseFolder);
            }
            if button(ui, "Label…", "L", label, state.case.is_some()) {
                commands.send(Command::ChooseLabel);
            }
            if button(ui, "Model…", "M", "ONNX, or the weights of a U-Net, with a card (.toml) beside it if there is one.", true) {
                commands.send(Command::ChooseModel);
            }
            self.typed_ui(ui, commands);
            samples_ui(ui, state, commands);
            recent_ui(ui, state, commands);
        });
    }
}

impl Files {
    fn typed_ui(&mut self, ui: &mut Ui, commands: &CommandSender) {
        let edit = TextEdit::singleline(&mut self.typed).hint_text("or type a path").desired_width(f32::INFINITY);
        let response = ui.add(edit).accessible_name("Path to open");
        if response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter)) && !self.typed.trim().is_empty() {
            let path = PathBuf::from(std::mem::take(&mut self.typed).trim().trim_matches(['"', '\'']));
            commands.send(Command::OpenFiles(vec![path]));
        }
    }
}

/// A file's name, for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// What is being read.
pub fn opening_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(path) = &state.opening else { return };
    ui.horizontal(|ui| {
        ui.add(egui::Spinner::new().size(14.0));
        let share = state.read_share.map_or_else(String::new, |share| format!(" {:.0} %", share * 100.0));
        // The name takes what is left of the width.
        if icon_button(ui, Icon::Close, "Cancel reading", "", true).clicked() {
            commands.request(Request::CancelOpen);
        }
        ui.add(egui::Label::new(format!("Reading{share} {}", file_name(path))).truncate());
    });
}

fn case_ui(ui: &mut Ui, case: &CaseInfo, state: &State, commands: &CommandSender) {
    ui.add(egui::Label::new(theme::semibold(&case.name)).truncate())
        .on_hover_text(case.path.as_ref().map_or_else(|| case.name.clone(), |path| path.display().to_string()));
    let [channels, height, width] = case.shape;
    let colour = if channels == 1 { "grey" } else { "colour" };
    ui.label(theme::weak(ui, format!("{width} × {height} px, {}, {colour}", case.stored_text())));
    bounds_ui(ui, case, commands);
    window_level::unit_ui(ui, case, commands);
    if let Some(class) = &case.class {
        ui.add(egui::Label::new(theme::weak(ui, format!("Class {class}"))).truncate());
    }
    let label = match (&case.label_path, &case.label_map) {
        (Some(path), _) => format!("Label {}", file_name(path)),
        (None, Some(_)) => "Label of the sample".to_owned(),
        (None, None) => "No label".to_owned(),
    };
    ui.add(egui::Label::new(theme::weak(ui, label)).truncate());
    if case.slices > 1 {
        slices_ui(ui, case, state, commands);
    }
}

/// The bounds, to be changed by dragging or typing.
fn bounds_ui(ui: &mut Ui, case: &CaseInfo, commands: &CommandSender) {
    let mut bounds = case.bounds;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(theme::weak(ui, "Bounds")).on_hover_text(
            "The pixel values that are scaled to 0 and 1: those of the type for 8-bit images, else the range of the whole stack. ε is a fraction of their distance; image and adversarial image are clipped to them.",
        );
        let speed = f64::from(bounds.width()) / 200.0;
        let drag = |value| DragValue::new(value).speed(speed).max_decimals(4).update_while_editing(false);
        let lower = ui.add(drag(&mut bounds.lower)).accessible_name("Lower bound");
        ui.label(theme::weak(ui, "…"));
        let upper = ui.add(drag(&mut bounds.upper)).accessible_name("Upper bound");
        if (lower.changed() || upper.changed()) && bounds.lower < bounds.upper {
            commands.request(Request::Bounds(bounds));
        }
    });
}

pub(super) fn slices_ui(ui: &mut Ui, case: &CaseInfo, state: &State, commands: &CommandSender) {
    section(ui, case.slice_word());
    let last = case.slices - 1;
    ui.horizontal(|ui| {
        let previous = icon_button(ui, Icon::Previous, "Previous slice", "Page Up, or Ctrl + wheel", state.slice > 0);
        if previous.clicked() {
            commands.send(Command::Slice(state.slice.saturating_sub(1)));
        }
        if icon_button(ui, Icon::Next, "Next slice", "Page Down, or Ctrl + wheel", state.slice < last).clicked() {
            commands.send(Command::Slice(state.slice + 1));
        }
        play_ui(ui, state, commands);
        ui.label(format!("{} of 0–{last}", state.slice));
    });
    slice_slider(ui, last, state, commands);
}

/// The button that runs through the slices.
pub(super) fn play_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let (icon, name) = if state.playing { (Icon::Pause, "Stop") } else { (Icon::Play, "Play the stack") };
    if icon_button(ui, icon, name, "Space", true).clicked() {
        commands.send(Command::Play(!state.playing));
    }
}

/// A slider over the slices 0 to `last`.
pub(super) fn slice_slider(ui: &mut Ui, last: usize, state: &State, commands: &CommandSender) {
    let mut number = state.slice;
    ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(60.0);
    let slider = ui.add(Slider::new(&mut number, 0..=last).show_value(false));
    if slider.accessible_name("Slice").on_hover_text("The slice that is shown and attacked").changed() {
        commands.send(Command::Slice(number));
    }
}

fn samples_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    section(ui, "Samples");
    let tip = "Membranes in a made-up electron micrograph, with their exact mask. The bundled model has never seen it.";
    let bundled = (BUNDLED_SAMPLE_NAME, "Membranes, bundled", tip, Request::OpenSample);
    let made = Sample::ALL.map(|sample| {
        let tip = match sample {
            Sample::LumbarCt => "A made-up CT in Hounsfield units, 24 slices, without a mask.",
            Sample::LumbarMr => "A made-up MR, 16 sagittal slices, with the vertebrae as mask.",
            Sample::ChestXray => "A made-up radiograph, with an opacity as mask.",
        };
        (sample.name(), sample.name(), tip, Request::Generate(sample))
    });
    for (case, name, tip, request) in std::iter::once(bundled).chain(made) {
        let open = state.case.as_ref().is_some_and(|c| c.path.is_none() && c.name == case);
        let wide = egui::vec2(ui.available_width(), ui.spacing().interact_size.y);
        let row = ui.add(Button::selectable(open, name).truncate().right_text("").min_size(wide));
        if row.on_hover_text(tip).clicked() && !open {
            commands.request(request);
        }
    }
}

fn recent_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    if state.recent.is_empty() {
        return;
    }
    section(ui, "Recent");
    let all: Vec<String> = state.recent.iter().map(|r| file_name(&r.image)).collect();
    // Two files of one name are told apart by their folders.
    let names = state.recent.iter().zip(&all).map(|(recent, name)| {
        let folder = recent.image.parent().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned());
        match folder {
            Some(folder) if all.iter().filter(|other| *other == name).count() > 1 => format!("{folder}/{name}"),
            _ => name.clone(),
        }
    });
    for (recent, name) in state.recent.iter().zip(names) {
        recent_row(ui, recent, &name, state, commands);
    }
}

fn recent_row(ui: &mut Ui, recent: &Recent, name: &str, state: &State, commands: &CommandSender) {
    let case = state.case.as_ref().and_then(|c| c.path.as_deref());
    let set = state.browse.set.as_ref().filter(|set| case.is_some_and(|case| set.position(case, 0).is_some()));
    let open = [case, set.map(|set| &*set.path)].contains(&Some(recent.image.as_path()));
    ui.horizontal(|ui| {
        let side = ui.spacing().interact_size.y;
        let width = ui.available_width() - side - 8.0;
        let button = Button::selectable(open, name).right_text("").truncate().min_size(egui::vec2(width, 0.0));
        let tip = match &recent.label {
            Some(label) => format!("{}\nLabel {}", recent.image.display(), label.display()),
            None => recent.image.display().to_string(),
        };
        let response = ui.add_sized([width, side], button);
        if response.on_hover_text(tip).clicked() && !open {
            let (image, label) = (recent.image.clone(), recent.label.clone());
            commands.request(Request::Open { image, label, slice: None });
        }
        if icon_button(ui, Icon::Close, &format!("Forget {name}"), "", true).clicked() {
            commands.send(Command::ForgetRecent(recent.image.clone()));
        }
    });
}
