//! The bar at the top: menus, undo and redo, the selectors of model and device.

use super::command::{Command, CommandSender, ExportKind, PanelKind};
use super::icons::{Icon, icon_button};
use super::layout::is_shown;
use super::state::{Comparison, Look, MaskStyle, Navigation, State, Theme, Tool, View};
use super::{model, stages, theme, window_level};
use crate::attack::CATALOG;
use crate::data::{BUNDLED_SAMPLE_NAME, Sample};
use crate::engine::Request;
use crate::gpu::DeviceChoice;
use eframe::egui::{self, Align, Button, ComboBox, Layout, MenuBar, Ui, vec2};
use egui_tiles::Tree;
use std::path::{Path, PathBuf};

/// What the bar shows beside the state.
pub struct Bar<'a> {
    /// Which panels are shown.
    pub tree: &'a Tree<PanelKind>,
    /// The file of the present model, unless it is the bundled one.
    pub model_file: Option<&'a Path>,
    /// Models opened before.
    pub recent_models: &'a [PathBuf],
}

/// Draws the bar.
pub fn bar_ui(ui: &mut Ui, state: &State, commands: &CommandSender, bar: &Bar<'_>) {
    MenuBar::new().ui(ui, |ui| {
        ui.spacing_mut().button_padding = vec2(8.0, 4.0);
        ui.menu_button("File", |ui| file_menu(ui, state, commands));
        ui.menu_button("View", |ui| view_menu(ui, state, commands, bar.tree));
        ui.menu_button("Attack", |ui| attack_menu(ui, state, commands));
        ui.menu_button("Study", |ui| stages::menu_ui(ui, state.frame.is_some(), commands));
        ui.menu_button("Help", |ui| {
            item(ui, "Keys…", "?", true, || commands.send(Command::Shortcuts(true)));
            item(ui, "About Epsiloscope…", "", true, || commands.send(Command::About(true)));
        });
        ui.separator();
        let (undo, redo) = (state.history.can_undo(), state.history.can_redo());
        if icon_button(ui, Icon::Undo, "Undo", "ε, attack or view, as it was before (Ctrl+Z)", undo).clicked() {
            commands.send(Command::Undo);
        }
        if icon_button(ui, Icon::Redo, "Redo", "What was undone (Ctrl+Y)", redo).clicked() {
            commands.send(Command::Redo);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            device_ui(ui, state, commands);
            ui.add_space(8.0);
            model_ui(ui, state, commands, bar);
        });
    });
}

/// One line of a menu; the menu closes when it is chosen.
fn item(ui: &mut Ui, text: &str, key: &str, enabled: bool, chosen: impl FnOnce()) {
    if ui.add_enabled(enabled, Button::new(text).shortcut_text(key)).clicked() {
        chosen();
        ui.close();
    }
}

/// One line of a menu that is on or off.
fn toggle(ui: &mut Ui, on: bool, text: &str, key: &str) -> bool {
    let clicked = ui.add(Button::selectable(on, text).shortcut_text(key)).clicked();
    if clicked {
        ui.close();
    }
    clicked
}

fn file_menu(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.set_min_width(220.0);
    let has_case = state.case.is_some();
    item(ui, "Open image…", "O", true, || commands.send(Command::ChooseImage));
    item(ui, "Open folder…", "Shift+O", true, || commands.send(Command::ChooseFolder));
    item(ui, "Open label…", "L", has_case, || commands.send(Command::ChooseLabel));
    let labelled = state.case.as_ref().is_some_and(|c| c.label_map.is_some());
    item(ui, "Close label", "", labelled, || commands.request(Request::CloseLabel));
    item(ui, "Open model…", "M", true, || commands.send(Command::ChooseModel));
    ui.separator();
    ui.menu_button("Open sample", |ui| {
        ui.set_min_width(220.0);
        item(ui, BUNDLED_SAMPLE_NAME, "", true, || commands.request(Request::OpenSample));
        for sample in Sample::ALL {
            item(ui, sample.name(), "", true, || commands.request(Request::Generate(sample)));
        }
    });
    ui.separator();
    let has_frame = state.frame.is_some();
    for kind in ExportKind::ALL {
        let key = if kind == ExportKind::Views { "S" } else { "" };
        let enabled = match kind {
            ExportKind::Adversarial | ExportKind::Views => has_frame,
            ExportKind::PredictedMask => state.frame.as_ref().is_some_and(|frame| frame.scores.is_none()),
            ExportKind::AdversarialVolume => state.case.as_ref().is_some_and(|c| c.slices > 1),
            ExportKind::ComparisonCsv => state.compared.is_some(),
            ExportKind::CurveCsv | ExportKind::CurveFigure => {
                state.curve.as_ref().is_some_and(|c| !c.points.is_empty())
            }
        };
        item(ui, &format!("Export {}…", kind.title().to_lowercase().replace("csv", "CSV")), key, enabled, || {
            commands.send(Command::ChooseExport(kind));
        });
    }
    ui.separator();
    item(ui, "Quit", "Ctrl+Q", true, || commands.send(Command::Quit));
}

fn view_menu(ui: &mut Ui, state: &State, commands: &CommandSender, tree: &Tree<PanelKind>) {
    ui.set_min_width(220.0);
    let view = |change: &dyn Fn(&mut View)| {
        let mut view = state.view.clone();
        change(&mut view);
        commands.send(Command::View(Box::new(view)));
    };
    item(ui, "Fit", "F", true, || commands.send(Command::Navigate(Navigation::default())));
    item(ui, "One to one", "1", true, || {
        commands.send(Command::Navigate(Navigation { zoom: Some(1.0), ..state.navigation }));
    });
    let comparison = state.view.comparison;
    let toggled = |to| if comparison == to { Comparison::SideBySide } else { to };
    if toggle(ui, comparison == Comparison::Blink, "Blink", "B") {
        view(&|v| v.comparison = toggled(Comparison::Blink));
    }
    if toggle(ui, comparison == Comparison::Swipe, "Swipe", "W") {
        view(&|v| v.comparison = toggled(Comparison::Swipe));
    }
    if let Some(case) = state.case.as_deref() {
        ui.menu_button("Window", |ui| {
            for preset in window_level::presets(case) {
                item(ui, &preset.name, "", true, || view(&|v| v.window = preset.window));
            }
        });
        if !case.planes.is_empty() {
            ui.menu_button("Plane", |ui| {
                for &(axis, name) in &case.planes {
                    if toggle(ui, axis == case.axis, name, "") {
                        commands.request(Request::Axis(axis));
                    }
                }
            });
        }
    }
    ui.menu_button("Turn", |ui| {
        let now = state.view.orientation;
        for (name, key, to) in [
            ("Flip left to right", "H", now.mirrored()),
            ("Flip upside down", "U", now.upended()),
            ("Turn by 90° clockwise", "T", now.turned()),
        ] {
            item(ui, name, key, true, || view(&|v| v.orientation = to));
        }
    });
    ui.menu_button("Tools", |ui| {
        for (tool, name, tip) in Tool::ALL {
            let button = ui.add(Button::selectable(state.tool == tool, name));
            if button.on_hover_text(tip).clicked() {
                commands.send(Command::Tool(tool));
                ui.close();
            }
        }
    });
    ui.menu_button("Segmentations", |ui| {
        for (style, name) in MaskStyle::ALL {
            if toggle(ui, state.view.mask_style == style, name, "") {
                view(&|v| v.mask_style = style);
            }
        }
    });
    ui.separator();
    for kind in PanelKind::ALL {
        let shown = is_shown(tree, kind);
        if kind != PanelKind::Compare && toggle(ui, shown, kind.title(), "") {
            commands.send(Command::Panel(kind, !shown));
        }
    }
    if state.browse.set.is_some() && toggle(ui, state.browse.enlarged, "Large library", "G") {
        commands.send(Command::EnlargeLibrary(!state.browse.enlarged));
    }
    item(ui, "Reset layout", "", true, || commands.send(Command::ResetLayout));
    item(ui, "Reset view", "", true, || commands.send(Command::View(Box::default())));
    ui.separator();
    if toggle(ui, state.images_only, "Only pictures and ε", "Tab") {
        commands.send(Command::ImagesOnly(!state.images_only));
    }
    if toggle(ui, state.look.presenter, "Presenter mode", "P") {
        commands.send(Command::Look(Look { presenter: !state.look.presenter, ..state.look }));
    }
    item(ui, "Full screen", "F11", true, || commands.send(Command::FullScreen));
    ui.separator();
    ui.menu_button("Theme", |ui| {
        for (theme, name) in [(Theme::Dark, "Dark"), (Theme::Light, "Light")] {
            if toggle(ui, state.look.theme == theme, name, "") {
                commands.send(Command::Look(Look { theme, ..state.look }));
            }
        }
    });
    ui.menu_button("Size of the interface", |ui| {
        for percent in [75, 87, 100, 112, 125, 150, 175, 200] {
            // 87 and 112 stand for the eighths between.
            let scale = (percent as f32 / 12.5).round() / 8.0;
            if toggle(ui, (state.look.ui_scale - scale).abs() < 0.01, &format!("{percent} %"), "") {
                commands.send(Command::Look(Look { ui_scale: scale, ..state.look }));
            }
        }
    });
}

fn attack_menu(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.set_min_width(160.0);
    for entry in CATALOG {
        let chosen = state.attack().name == entry.name;
        let button = ui.add(Button::selectable(chosen, entry.title));
        if button.on_hover_text(format!("{}\n\n{}", entry.description, entry.source)).clicked() {
            commands.send(Command::Attack(state.tuned.get(entry)));
            ui.close();
        }
    }
}

fn model_ui(ui: &mut Ui, state: &State, commands: &CommandSender, bar: &Bar<'_>) {
    let name = state.model.as_ref().map_or_else(|| "no model".to_owned(), |m| m.name.clone());
    let response = ComboBox::from_id_salt("model")
        .selected_text(&name)
        .width(176.0)
        .truncate()
        .show_ui(ui, |ui| {
            if ui.selectable_label(state.model.is_some() && bar.model_file.is_none(), "Bundled model").clicked() {
                commands.request(Request::OpenBundledModel);
            }
            for path in bar.recent_models {
                let short = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
                let row = ui.selectable_label(bar.model_file == Some(path), short);
                if row.on_hover_text(path.display().to_string()).clicked() {
                    commands.request(Request::OpenModel(path.clone()));
                }
            }
            ui.separator();
            if ui.selectable_label(false, "Open model…").clicked() {
                commands.send(Command::ChooseModel);
            }
            if ui.selectable_label(false, "Its card and file…").clicked() {
                commands.send(Command::Panel(PanelKind::Model, true));
            }
        })
        .response
        .accessible_name("Model");
    let tip = state.model.as_ref().map_or_else(
        || "The network that is attacked. A model shows what it sees, and how ε breaks that.".to_owned(),
        |m| m.description.clone(),
    );
    response.on_hover_text(tip);
    ui.label(theme::weak(ui, "Model"));
    if let Some(path) = &state.opening_model {
        if icon_button(ui, Icon::Close, "Cancel the model", "Its reading ends; the present model stays", true).clicked()
        {
            commands.request(Request::CancelModel);
        }
        let text = egui::Label::new(theme::weak(ui, model::reading_text(state, path))).truncate();
        let size = vec2(190.0, ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
            ui.add(text).on_hover_text(path.display().to_string());
            ui.add(egui::Spinner::new().size(14.0));
        });
    }
}

fn device_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let choice = state.device.as_ref().map(|d| d.choice);
    let name = state.device.as_ref().map_or_else(|| "starting…".to_owned(), |d| d.description.clone());
    let response = ComboBox::from_id_salt("device")
        .selected_text(name)
        .width(152.0)
        .truncate()
        .show_ui(ui, |ui| {
            for (device, text, tip) in [
                (DeviceChoice::Auto, "Automatic", "The GPU that draws the window if it is a real one, else the CPU."),
                (DeviceChoice::Cpu, "CPU (Flex)", "burn's CPU backend, on all cores."),
                (DeviceChoice::Gpu, "GPU of the window", "Tensors live on the renderer's own device: no read-back."),
            ] {
                if ui.selectable_label(choice == Some(device), text).on_hover_text(tip).clicked() {
                    commands.request(Request::Device(device));
                }
            }
        })
        .response
        .accessible_name("Device");
    let tip = match &state.device {
        Some(device) if device.shared => format!("{}: tensors are shown without a read-back.", device.description),
        Some(device) => format!("{}: results are uploaded to be shown.", device.description),
        None => "Where tensors are computed.".to_owned(),
    };
    response.on_hover_text(tip);
    ui.label(theme::weak(ui, "Device"));
}

/// What this program is; `false` once it was closed.
pub fn about_ui(context: &egui::Context, state: &State) -> bool {
    let mut open = true;
    egui::Window::new("About Epsiloscope")
        .open(&mut open)
        .collapsible(false)
        .resizable(false)
        .anchor(egui::Align2::CENTER_CENTER, vec2(0.0, 0.0))
        .show(context, |ui| {
            ui.set_width(400.0);
            ui.label(theme::semibold(format!("Epsiloscope {}", env!("CARGO_PKG_VERSION"))).size(17.0));
            ui.label("An instrument for looking at ε: how small a change breaks a medical-image model, and whether a person can see it.");
            ui.add_space(8.0);
            ui.label(theme::weak(
                ui,
                "For research and teaching. Not a medical device: nothing that it shows is a diagnosis.",
            ));
            if let Some(device) = &state.device {
                ui.add_space(8.0);
                ui.label(theme::weak(ui, format!("Computes on {}", device.description)));
            }
        });
    open
}
