//! The parameters of the chosen attack. What is drawn comes from the catalogue's entry alone: a new attack has its panel
//! without a line here.

use super::command::{Command, CommandSender};
use super::icons::{Icon, icon_button};
use super::state::State;
use super::{theme, tuning};
use crate::attack::{Attack, EpsilonMeaning, Kind, Norm, Parameter, Preset};
use eframe::egui::{self, Align2, ComboBox, Grid, Key, RichText, TextEdit, Ui, vec2};

/// The width of a field for a number, in points.
const FIELD: f32 = 76.0;

/// The panel: what is being typed, and what was refused.
#[derive(Default)]
pub struct ParameterPanel {
    draft: Option<Draft>,
}

/// A text that is no value yet.
struct Draft {
    attack: &'static str,
    parameter: &'static str,
    text: String,
    /// Why it was refused.
    error: Option<String>,
}

impl ParameterPanel {
    /// Why the last text was refused, if it was.
    pub fn error(&self) -> Option<&str> {
        self.draft.as_ref().and_then(|d| d.error.as_deref())
    }

    /// Draws the parameters of the chosen attack with its norm, presets and resets.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        let attack = state.method;
        if self.draft.as_ref().is_some_and(|d| d.attack != attack.name()) {
            self.draft = None;
        }
        ui.add_space(4.0);
        // Columns remember their width: those of another attack may be too narrow for a number.
        Grid::new(("parameters", attack.name())).num_columns(4).spacing([8.0, 4.0]).min_col_width(0.0).show(ui, |ui| {
            for (parameter, value) in attack.parameters() {
                self.row_ui(ui, &attack, parameter, value, commands);
            }
        });
        Grid::new("about attack").num_columns(2).spacing([8.0, 4.0]).min_col_width(0.0).show(ui, |ui| {
            // An attack with a choice of norms says it there.
            if attack.get("norm").is_none() {
                ui.label(theme::weak(ui, "Norm")).on_hover_text(NORM_TIP);
                ui.label(norm_text(&attack)).on_hover_text(NORM_TIP);
                ui.end_row();
            }
            ui.label(theme::weak(ui, "ε is its")).on_hover_text(tuning::epsilon_long(&attack));
            ui.label(tuning::epsilon_short(&attack)).on_hover_text(tuning::epsilon_long(&attack));
            ui.end_row();
            if attack.entry().gradient {
                let tip = "Gradients that one image takes at one ε, and how long they took so far.";
                ui.label(theme::weak(ui, "Cost")).on_hover_text(tip);
                ui.label(cost_text(state, &attack)).on_hover_text(tip);
                ui.end_row();
            }
        });
        if let Some(error) = self.error() {
            ui.label(RichText::new(error).small().color(theme::of(ui).bad));
        }
        self.presets_ui(ui, state, &attack, commands);
    }

    fn row_ui(
        &mut self,
        ui: &mut Ui,
        attack: &Attack,
        parameter: &'static Parameter,
        value: f64,
        commands: &CommandSender,
    ) {
        let label = parameter.label();
        ui.label(theme::weak(ui, &label)).on_hover_ui(|ui| tip_ui(ui, parameter));
        let mut wished = value;
        match parameter.kind {
            Kind::Number | Kind::Count => {
                if let Some(typed) = self.field_ui(ui, attack, parameter, value, &label) {
                    wished = typed;
                }
            }
            Kind::Switch => {
                let mut on = value != 0.0;
                let name = label.clone();
                let response = ui.checkbox(&mut on, "").accessible_name(name);
                response.on_hover_ui(|ui| tip_ui(ui, parameter));
                wished = f64::from(u8::from(on));
            }
            Kind::Choice(names) => {
                let response = ComboBox::from_id_salt(("parameter", parameter.name))
                    .selected_text(parameter.shown(value))
                    .width(84.0)
                    .show_ui(ui, |ui| {
                        for i in 0..names.len() {
                            ui.selectable_value(&mut wished, i as f64, parameter.shown(i as f64));
                        }
                    })
                    .response;
                response.accessible_name(label.clone()).on_hover_ui(|ui| tip_ui(ui, parameter));
            }
        }
        if parameter.name == Parameter::seed().name {
            let next = if value + 1.0 > parameter.range.1 { parameter.range.0 } else { value + 1.0 };
            if ui.small_button("Next").on_hover_text("Other random choices: the seed after this one.").clicked() {
                wished = next;
            }
        } else {
            ui.label(theme::weak(ui, parameter.unit)).on_hover_ui(|ui| tip_ui(ui, parameter));
        }
        let changed = value != parameter.default;
        let name = format!("Reset {label}");
        let tip = format!("Back to {}, the default.", parameter.shown(parameter.default));
        if icon_button(ui, Icon::Reset, &name, &tip, changed).clicked() {
            wished = parameter.default;
            self.draft = None;
        }
        ui.end_row();
        if wished != value
            && let Ok(attack) = attack.with(parameter.name, wished)
        {
            commands.send(Command::Attack(attack));
        }
    }

    /// A field for a number; the number once one was given that the parameter can take.
    fn field_ui(
        &mut self,
        ui: &mut Ui,
        attack: &Attack,
        parameter: &'static Parameter,
        value: f64,
        label: &str,
    ) -> Option<f64> {
        let shown = number_text(value);
        let own = self.draft.as_ref().is_some_and(|d| d.parameter == parameter.name);
        let mut text = self.draft.as_ref().filter(|_| own).map_or_else(|| shown.clone(), |d| d.text.clone());
        let bad = own && self.error().is_some();
        let field = TextEdit::singleline(&mut text)
            .desired_width(FIELD)
            .min_size(vec2(FIELD, 0.0))
            .align(Align2::RIGHT_CENTER)
            .margin(vec2(6.0, 2.0))
            .text_color_opt(bad.then(|| theme::of(ui).bad));
        let response = ui.add(field).accessible_name(label.to_owned());
        let draft = |text: String, error| Draft { attack: attack.name(), parameter: parameter.name, text, error };
        let mut given = None;
        if response.changed() {
            self.draft = Some(draft(text.clone(), None));
        }
        if response.lost_focus() {
            if ui.input(|i| i.key_pressed(Key::Escape)) || text.trim() == shown {
                self.draft = self.draft.take().filter(|d| d.parameter != parameter.name);
            } else if self.draft.as_ref().is_some_and(|d| d.parameter == parameter.name) {
                match parameter.parse(&text.replace(',', ".")) {
                    Ok(value) => {
                        self.draft = None;
                        given = Some(value);
                    }
                    Err(why) => self.draft = Some(draft(text, Some(format!("{why}. It stays at {shown}")))),
                }
            }
        }
        response.on_hover_ui(|ui| tip_ui(ui, parameter));
        given
    }

    fn presets_ui(&mut self, ui: &mut Ui, state: &State, attack: &Attack, commands: &CommandSender) {
        let entry = attack.entry();
        ui.horizontal(|ui| {
            let changed = *attack != Attack::new(entry);
            if !entry.parameters.is_empty() {
                let button = ui.add_enabled(changed, egui::Button::new("Reset all"));
                let tip = format!("All parameters as in {}.", entry.source);
                if button.on_hover_text(tip).clicked() {
                    self.draft = None;
                    commands.send(Command::Attack(Attack::new(entry)));
                }
            }
            if entry.presets.is_empty() {
                return;
            }
            let menu = ui.menu_button("Presets", |ui| {
                for preset in entry.presets {
                    // Some differ in ε alone.
                    let same = |e: f64| (e * state.axis().largest - state.epsilon).abs() < 1e-9;
                    let on = *attack == preset.attack(entry) && preset.epsilon().is_none_or(same);
                    let row = ui.add(egui::Button::selectable(on, preset.name));
                    if row.on_hover_text(preset_text(entry, preset)).clicked() {
                        self.draft = None;
                        commands.send(Command::Preset(preset.attack(entry), preset.epsilon()));
                        ui.close();
                    }
                }
            });
            menu.response.on_hover_text("Parameters and ε as papers and libraries set them.");
        });
    }
}

/// How many gradients the attack takes, and about how long that is where a step was timed.
fn cost_text(state: &State, attack: &Attack) -> String {
    let gradients = attack.most_gradients();
    let timed = state.run.as_ref().filter(|run| run.news.done > 0 && gradients > 1.0);
    let each = timed.map(|run| {
        let restarts = run.news.method.get("restarts").unwrap_or(1.0);
        run.news.secs / (run.news.done as f64 * restarts)
    });
    let count = if gradients == 1.0 { "1 gradient".to_owned() } else { format!("up to {gradients} gradients") };
    each.map_or(count.clone(), |secs| format!("{count}, {}", super::status::secs_text(secs * gradients)))
}

const NORM_TIP: &str = "What bounds the perturbation beside the bounds of the image themselves.";

fn norm_text(attack: &Attack) -> &'static str {
    match (attack.norm(), attack.entry().epsilon) {
        (Some(Norm::Linf), _) => "L∞",
        (Some(Norm::L2), _) => "L2",
        (None, EpsilonMeaning::Found) if attack.name() == "stadv" => "displacement, made small",
        (None, EpsilonMeaning::Found) => "L2, made small",
        (None, _) => "none: bounds only",
    }
}

fn tip_ui(ui: &mut Ui, parameter: &Parameter) {
    ui.set_max_width(320.0);
    ui.label(format!("{}.", parameter.description));
    let unit = if parameter.unit.is_empty() { String::new() } else { format!(" {}", parameter.unit) };
    let default = parameter.shown(parameter.default);
    ui.label(theme::weak(
        ui,
        format!("{} ({}{unit}). Default {default}.", capital(&parameter.allowed()), parameter.name),
    ));
}

fn preset_text(entry: &'static crate::attack::Entry, preset: &Preset) -> String {
    let values: Vec<String> = entry
        .parameters
        .iter()
        .filter_map(|p| preset.attack(entry).get(p.name).map(|v| format!("{} {}", p.label(), p.shown(v))))
        .collect();
    let mut text = if values.is_empty() { String::new() } else { values.join(", ") + ". " };
    let numbers: Vec<String> = preset.epsilons.iter().map(|e| number_text(*e)).collect();
    if !numbers.is_empty() {
        text += &format!("ε {} of the range.", numbers.join(", "));
    }
    format!("{text}\n\nSource: {}.", preset.source)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number with at most six digits that matter: `0.0333333`.
fn number_text(value: f64) -> String {
    if value == 0.0 || value.fract() == 0.0 {
        return value.to_string();
    }
    let decimals = (5.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (40.0, "40"),
            (0.1, "0.1"),
            (1.0 / 30.0, "0.0333333"),
            (1e-3, "0.001"),
            (1e9, "1000000000"),
            (0.31875, "0.31875"),
        ] {
            assert_eq!(number_text(value), text);
        }
    }
}
