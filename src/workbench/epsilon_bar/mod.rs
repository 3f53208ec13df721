//! ε, the hero: a slider across the window, its number, its unit and scale, and the button that fills the curve. Always
//! there, under everything else. It draws [`State`] and sends [`Command`]s.

mod entry;
mod slider;
pub mod ticks;

pub use entry::LABEL as ENTRY_LABEL;
pub use slider::{LABEL as SLIDER_LABEL, epsilon_at, wheel_steps};

use super::epsilon::{self, EpsilonScale, EpsilonUnit};
use super::{Command, CommandSender, PaneContext, State, theme, tuning};
use crate::engine::{JobState, Request};
use crate::study::SweepPlan;
use eframe::egui::{self, Align, Button, ComboBox, FontId, Label, Layout, RichText, Sense, Ui, vec2};
use entry::Entry;

/// Below this width, in points, the scale and the curve's button give their room to the slider.
const NARROW: f32 = 560.0;

/// The bar of ε.
#[derive(Default)]
pub struct EpsilonBar {
    entry: Entry,
}

impl EpsilonBar {
    /// What is wrong with the typed ε, if anything.
    pub fn error(&self) -> Option<&str> {
        self.entry.error()
    }

    /// Draws it over the whole width of `ui`.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, _context: &mut PaneContext<'_>) {
        let large = if state.look.presenter { 30.0 } else { 20.0 };
        let narrow = ui.available_width() < if state.look.presenter { 2.0 * NARROW } else { NARROW };
        ui.spacing_mut().item_spacing = vec2(8.0, 2.0);
        ui.horizontal(|ui| {
            ui.set_min_height(large + 26.0);
            symbol_ui(ui, state, large);
            let controls = if narrow { 0.0 } else { 168.0 * theme::type_size(&state.look) };
            let number = large * 4.6 + 8.0;
            let room = ui.available_width() - number - unit_width(state) - controls - 4.0 * 8.0;
            ui.vertical(|ui| {
                if state.hint {
                    hint_ui(ui, room);
                } else if let Some(text) = tuning::epsilon_note(state) {
                    note_ui(ui, room, &text).on_hover_text(tuning::epsilon_long(&state.method));
                }
                let slider = slider::slider_ui(ui, state, commands, room.max(120.0));
                slider.on_hover_ui(|ui| tooltip_ui(ui, state));
            });
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    self.entry.ui(ui, state, commands, large, number);
                    unit_ui(ui, state, commands);
                });
                self.entry.line_ui(ui, state);
            });
            if !narrow {
                ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                    sweep_ui(ui, state, commands);
                    scale_ui(ui, state, commands);
                });
            }
        });
    }
}

fn symbol_ui(ui: &mut Ui, state: &State, large: f32) {
    let text = RichText::new("ε").font(FontId::proportional(large * 1.5)).strong();
    ui.add(Label::new(text).selectable(false).sense(Sense::hover())).on_hover_ui(|ui| tooltip_ui(ui, state));
}

fn tooltip_ui(ui: &mut Ui, state: &State) {
    ui.set_max_width(340.0);
    ui.label(tuning::epsilon_long(&state.method));
    ui.add_space(4.0);
    ui.weak("Drag or turn the wheel; arrow keys step, with Shift finely; Home is 0; a double click is 4 /255.");
}

fn hint_ui(ui: &mut Ui, room: f32) {
    ui.scope(|ui| {
        ui.set_max_width(room);
        let text = RichText::new("Drag ε and watch the segmentation break").small();
        ui.add(Label::new(text.color(theme::of(ui).accent)).truncate());
    });
}

/// What ε is to the chosen attack, where that is not the common meaning.
fn note_ui(ui: &mut Ui, room: f32, text: &str) -> egui::Response {
    ui.scope(|ui| {
        ui.set_max_width(room);
        ui.add(Label::new(theme::weak(ui, text).small()).truncate())
    })
    .inner
}

fn unit_title(unit: EpsilonUnit, levels: f64) -> String {
    match unit {
        EpsilonUnit::GreyLevels => format!("/{levels:.0}"),
        EpsilonUnit::Fraction => "of range".to_owned(),
        EpsilonUnit::Hounsfield => "HU".to_owned(),
    }
}

fn unit_width(state: &State) -> f32 {
    let levels = if state.grey_levels() >= 1000.0 { 92.0 } else { 80.0 };
    levels * theme::type_size(&state.look)
}

fn unit_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let levels = epsilon::grey_levels(state.case.as_deref());
    let combo = ComboBox::from_id_salt("epsilon-unit")
        .width(unit_width(state) - 8.0)
        .selected_text(unit_title(state.epsilon_unit(), levels))
        .show_ui(ui, |ui| {
            for unit in state.epsilon_units() {
                let meaning = match unit {
                    EpsilonUnit::GreyLevels => "grey levels of the stored depth",
                    EpsilonUnit::Fraction => "fraction of the range of grey values",
                    EpsilonUnit::Hounsfield => "Hounsfield units",
                };
                let text = format!("{}   {meaning}", unit_title(unit, levels));
                if ui.selectable_label(state.epsilon_unit() == unit, text).clicked() {
                    commands.send(Command::Unit(unit));
                }
            }
        });
    combo.response.accessible_name("Unit of epsilon").on_hover_text("The unit in which ε is shown and typed.");
}

fn scale_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let entries = [
        (EpsilonScale::Linear, "Lin", "Linear: from 0 to the whole range."),
        (
            EpsilonScale::Logarithmic,
            "Log",
            "Logarithmic: from a tenth of a grey level to the whole range, with 0 at the left end.",
        ),
    ];
    ui.spacing_mut().item_spacing.x = 2.0;
    for (scale, name, meaning) in entries {
        let button = Button::selectable(state.scale == scale, name).min_size(vec2(34.0, 26.0));
        if ui.add(button).on_hover_text(meaning).clicked() {
            commands.send(Command::Scale(scale));
        }
    }
}

fn sweep_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let ready = state.case.is_some() && state.model.is_some();
    let job = state.job.as_ref().filter(|_| state.job_active());
    let (text, meaning, request) = match job.map(|job| job.state) {
        Some(JobState::Running) => ("Pause", "Pause the curve; its points stay.", Request::PauseJob(true)),
        Some(JobState::Paused) => ("Resume", "Go on with the curve.", Request::PauseJob(false)),
        _ => (
            "Measure",
            "Measure the attack and its random control at a grid of ε, again.",
            Request::Sweep(SweepPlan::default()),
        ),
    };
    let button = Button::new(text).min_size(vec2(86.0, 26.0));
    if ui.add_enabled(ready, button).on_hover_text(meaning).clicked() {
        commands.request(request);
    }
}
