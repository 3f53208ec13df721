//! The number of ε: large, and a text field when it is clicked.

use crate::workbench::epsilon::{self, EpsilonUnit};
use crate::workbench::{Command, CommandSender, State, window_level};
use eframe::egui::{self, Align2, FontId, Key, Response, RichText, TextEdit, Ui, vec2};

/// The accessible name of the text field.
pub const LABEL: &str = "Epsilon value";

/// What is being typed.
#[derive(Default)]
pub struct Entry {
    /// The text in the field while it is edited; the number of ε otherwise.
    text: String,
    editing: bool,
    /// What is wrong with the text that was last given, and ε at that time: it is forgotten once ε changes.
    error: Option<(String, f64)>,
}

impl Entry {
    /// What is wrong with the text that was last given, if anything.
    pub fn error(&self) -> Option<&str> {
        self.error.as_ref().map(|(error, _)| error.as_str())
    }

    /// Draws the field.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, size: f32, width: f32) -> Response {
        if self.error.as_ref().is_some_and(|(_, epsilon)| *epsilon != state.epsilon) {
            self.error = None;
        }
        if !self.editing && self.error.is_none() {
            self.text = epsilon::number_text(state.epsilon, state.epsilon_unit(), state.grey_levels());
        }
        let field = TextEdit::singleline(&mut self.text)
            .font(FontId::proportional(size))
            .align(Align2::RIGHT_CENTER)
            .margin(vec2(8.0, 2.0))
            .desired_width(width - 16.0)
            .text_color_opt(self.error.as_ref().map(|_| ui.visuals().error_fg_color));
        let response = ui.add(field).accessible_name(LABEL);
        if response.gained_focus() {
            self.editing = true;
            select_all(ui, response.id, self.text.chars().count());
        }
        if response.changed() {
            self.editing = true;
            self.error = None;
        }
        if response.lost_focus() {
            if ui.input(|i| i.key_pressed(Key::Escape)) {
                self.error = None;
            } else {
                self.give(state, commands);
            }
            self.editing = false;
        }
        response.on_hover_text(
            "Type ε and press Enter: a number in the shown unit (4), a ratio (4/255), or a share of the range (1.5 %).",
        )
    }

    /// Draws what the text means, or what is wrong with it; one line that is always there, so that nothing moves.
    pub fn line_ui(&self, ui: &mut Ui, state: &State) {
        if let Some(error) = self.error() {
            ui.colored_label(ui.visuals().error_fg_color, RichText::new(error).small());
            return;
        }
        let typed =
            if self.editing { epsilon::parse(&self.text, state.epsilon_unit(), state.grey_levels()) } else { None };
        let typed = typed.filter(|e| (0.0..=state.axis().largest).contains(e));
        let meaning = RichText::new(other_units(typed.unwrap_or(state.epsilon), state)).small();
        ui.label(if self.editing { meaning } else { meaning.weak() });
    }

    fn give(&mut self, state: &State, commands: &CommandSender) {
        let shown = epsilon::number_text(state.epsilon, state.epsilon_unit(), state.grey_levels());
        if self.text.trim() == shown {
            return;
        }
        match epsilon::parse(&self.text, state.epsilon_unit(), state.grey_levels()) {
            Some(epsilon) if (0.0..=state.axis().largest).contains(&epsilon) => {
                self.error = None;
                commands.send(Command::Epsilon(epsilon));
            }
            Some(_) => {
                let largest = state.epsilon_text(state.axis().largest);
                self.error = Some((format!("ε lies between 0 and {largest}"), state.epsilon));
            }
            None if self.text.trim().is_empty() => self.error = None,
            None => {
                let error = format!("“{}” is no ε. Try 4, 4/255 or 1.5 %", self.text.trim());
                self.error = Some((error, state.epsilon));
            }
        }
    }
}

/// ε in the units that are not shown beside it.
fn other_units(epsilon: f64, state: &State) -> String {
    let levels = state.grey_levels();
    let percent = epsilon * 100.0;
    let physical = window_level::physical_text(state, epsilon);
    match (physical, state.epsilon_unit()) {
        (Some(physical), _) => format!("{percent:.2} % = {physical}"),
        (None, EpsilonUnit::GreyLevels | EpsilonUnit::Hounsfield) => {
            format!("{epsilon:.4} of the range, {percent:.2} %")
        }
        (None, EpsilonUnit::Fraction) => {
            format!("{}, {percent:.2} %", epsilon::text(epsilon, EpsilonUnit::GreyLevels, levels))
        }
    }
}

fn select_all(ui: &Ui, id: egui::Id, characters: usize) {
    use egui::text::{CCursor, CCursorRange};
    if let Some(mut edit) = egui::TextEdit::load_state(ui.ctx(), id) {
        edit.cursor.set_char_range(Some(CCursorRange::two(CCursor::new(0), CCursor::new(characters))));
        edit.store(ui.ctx(), id);
    }
}
