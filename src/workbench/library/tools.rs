//! What is above the thumbnails: the count, the filter, the order, the size.

use super::files;
use crate::data::Dataset;
use crate::workbench::browse::{Filter, SIDES, Sort};
use crate::workbench::command::{Command, CommandSender};
use crate::workbench::icons::{Icon, icon_button};
use crate::workbench::state::State;
use crate::workbench::theme;
use eframe::egui::{Align, ComboBox, Label, Layout, Slider, TextEdit, Ui};
use std::sync::Arc;

/// The filter as it is being typed, and what counting has found.
#[derive(Default)]
pub struct Tools {
    text: String,
    summary: Option<Summary>,
}

/// What takes a look at every entry, done once for a data set.
struct Summary {
    set: Arc<Dataset>,
    /// `chest: images with classes`.
    title: String,
    /// Everything that is known, in lines.
    about: String,
    classes: Vec<(String, usize)>,
    splits: Vec<(String, usize)>,
}

impl Summary {
    fn of(set: &Arc<Dataset>) -> Self {
        let kind = set.kind();
        let mut lines = vec![set.path.display().to_string(), format!("{} {kind}", set.entries.len())];
        lines.extend(set.rules.iter().cloned());
        lines.extend(set.notes.iter().cloned());
        let classes = set.classes.iter().zip(set.class_counts()).map(|(name, count)| (name.to_string(), count));
        let splits = set.splits().into_iter().map(|(name, count)| (name.to_string(), count));
        Self {
            set: set.clone(),
            title: format!("{}: {kind}", set.name),
            about: lines.join("\n"),
            classes: classes.collect(),
            splits: splits.collect(),
        }
    }
}

/// What [`window_ui`] needs, in points.
pub const WINDOW_WIDTH: f32 = 60.0;

/// Buttons at the right end of the panel's first line.
pub fn window_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        if icon_button(ui, Icon::Close, "Close data set", "The image that is open stays", true).clicked() {
            commands.send(Command::CloseSet);
        }
        let (name, tip) = if state.browse.enlarged {
            ("Make the library small", "G, or Esc")
        } else {
            ("Enlarge the library", "Beside the pictures, in half of the window (G)")
        };
        if icon_button(ui, Icon::Fit, name, tip, true).clicked() {
            commands.send(Command::EnlargeLibrary(!state.browse.enlarged));
        }
    });
}

impl Tools {
    /// Draws them.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, set: &Arc<Dataset>, commands: &CommandSender) {
        let browse = &state.browse;
        let known = self.summary.take().filter(|summary| Arc::ptr_eq(&summary.set, set));
        let summary = known.unwrap_or_else(|| Summary::of(set));
        // One stepper for both: the entries of a stack are its slices.
        let stack = state.case.as_ref().filter(|case| case.slices > 1 && browse.has_slices_of(case));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let can = |steps| browse.stepped(steps).is_some();
            if icon_button(ui, Icon::Previous, "Previous entry", "Page Up, or Shift + N", can(-1)).clicked() {
                commands.send(Command::StepEntry(-1));
            }
            if icon_button(ui, Icon::Next, "Next entry", "Page Down, or N", can(1)).clicked() {
                commands.send(Command::StepEntry(1));
            }
            if stack.is_some() {
                files::play_ui(ui, state, commands);
            }
            let count = Label::new(theme::semibold(browse.count_text())).truncate();
            ui.add(count).on_hover_text(&summary.about);
        });
        if let Some(case) = stack {
            ui.scope(|ui| files::slice_slider(ui, case.slices - 1, state, commands));
        }
        ui.add(Label::new(theme::weak(ui, &summary.title)).truncate()).on_hover_text(&summary.about);
        self.filter_ui(ui, &browse.filter, &summary, commands);
        self.summary = Some(summary);
    }

    fn filter_ui(&mut self, ui: &mut Ui, filter: &Filter, summary: &Summary, commands: &CommandSender) {
        let change = |filter: Filter| commands.send(Command::Filter(Box::new(filter)));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let clear = if filter.is_on() { ui.spacing().interact_size.y + 4.0 } else { 0.0 };
            let width = (ui.available_width() - clear).clamp(40.0, 320.0);
            let field = TextEdit::singleline(&mut self.text).hint_text("Filter by name").desired_width(width);
            let response = ui.add(field).accessible_name("Filter by name");
            if response.changed() {
                change(Filter { text: self.text.clone(), ..filter.clone() });
            } else if !response.has_focus() && self.text != filter.text {
                self.text.clone_from(&filter.text);
            }
            if filter.is_on() && icon_button(ui, Icon::Close, "Clear filter", "Show all entries", true).clicked() {
                change(filter.cleared());
            }
        });
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            if !summary.classes.is_empty()
                && let Some(class) = choice(ui, "Class", "All classes", filter.class.as_deref(), &summary.classes)
            {
                change(Filter { class, ..filter.clone() });
            }
            if summary.splits.len() > 1
                && let Some(split) = choice(ui, "Split", "All splits", filter.split.as_deref(), &summary.splits)
            {
                change(Filter { split, ..filter.clone() });
            }
            let name = |sort| Sort::ALL.iter().find(|(one, _)| *one == sort).map_or("", |(_, name)| *name);
            let combo = ComboBox::from_id_salt("sort")
                .width(56.0)
                .selected_text(format!("By {}", name(filter.sort).to_lowercase()));
            let response = combo.show_ui(ui, |ui| {
                for (sort, name) in Sort::ALL {
                    let useful = match sort {
                        Sort::Name | Sort::Size => true,
                        Sort::Class => !summary.classes.is_empty(),
                        Sort::Split => summary.splits.len() > 1,
                    };
                    if useful && ui.selectable_label(filter.sort == sort, name).clicked() {
                        change(Filter { sort, ..filter.clone() });
                    }
                }
            });
            response.response.on_hover_text("The order of the entries").accessible_name("Order");
        });
    }
}

/// A list of names with how many entries each has; `Some` once another one, or none, was chosen.
fn choice(
    ui: &mut Ui,
    name: &str,
    all: &str,
    chosen: Option<&str>,
    names: &[(String, usize)],
) -> Option<Option<String>> {
    let mut changed = None;
    let combo = ComboBox::from_id_salt(name).width(72.0).selected_text(chosen.unwrap_or(all)).truncate();
    let response = combo.show_ui(ui, |ui| {
        if ui.selectable_label(chosen.is_none(), all).clicked() {
            changed = Some(None);
        }
        for (name, count) in names {
            if ui.selectable_label(chosen == Some(name), format!("{name}  {count}")).clicked() {
                changed = Some(Some(name.clone()));
            }
        }
    });
    response.response.on_hover_text(format!("{name}: only entries of one")).accessible_name(name);
    changed
}

/// A slider for the size of the thumbnails.
pub fn side_ui(ui: &mut Ui, side: f32, commands: &CommandSender) {
    let mut wished = side;
    ui.spacing_mut().slider_width = 80.0;
    let slider = ui.add(Slider::new(&mut wished, SIDES).show_value(false));
    if slider.accessible_name("Size of thumbnails").on_hover_text("Size of thumbnails").changed() {
        commands.send(Command::ThumbnailSide(wished));
    }
}
