//! The panel of choices and numbers: attack, reference, numbers at ε, view.

use super::command::{Command, CommandSender, ExportKind};
use super::compare::gain_slider;
use super::epsilon::{self, EpsilonUnit};
use super::layout::section;
use super::parameters::ParameterPanel;
use super::state::{MaskStyle, State, View};
use super::{Pane, PaneContext, numbers, progress, seen, theme, truth, window_level};
use crate::attack::{CATALOG, Reference};
use crate::data::{Bounds, IGNORE, LabelMap};
use crate::engine::{CaseInfo, Request};
use eframe::egui::{self, Button, ComboBox, Grid, ScrollArea, Slider, Ui};

/// The panel.
#[derive(Default)]
pub struct Inspector {
    /// The map that is being set, until it is complete.
    map_draft: Option<LabelMap>,
    parameters: ParameterPanel,
}

impl Pane for Inspector {
    fn title(&self) -> &str {
        "Inspector"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, _: &mut PaneContext<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The bar that scrolls lies over the right edge.
            ui.set_max_width(ui.available_width() - 8.0);
            // Whoever misses this misreads all that follows.
            ui.scope(|ui| made_for_ui(ui, state));
            self.attack_ui(ui, state, commands);
            numbers::numbers_ui(ui, state);
            seen::inspector_ui(ui, state, commands);
            if let Some(case) = &state.case {
                let truth = state.frame.as_ref().and_then(|frame| frame.scores.as_ref()).map(|scores| scores.truth);
                match truth {
                    Some(class) => truth::truth_ui(ui, case, class, state, commands),
                    None => self.reference_ui(ui, case, state, commands),
                }
                truth::target_ui(ui, case, state, commands);
            }
            view_ui(ui, state, commands);
            export_ui(ui, state, commands);
            ui.add_space(8.0);
        });
    }
}

/// A row of a grid: a label of lesser weight, and what `value` draws.
fn row<R>(ui: &mut Ui, label: &str, tip: &str, value: impl FnOnce(&mut Ui) -> R) -> R {
    let name = ui.label(theme::weak(ui, label));
    if !tip.is_empty() {
        name.on_hover_text(tip);
    }
    let result = value(ui);
    ui.end_row();
    result
}

fn grid(name: &str) -> Grid {
    Grid::new(name).num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0)
}

/// A model finds what it knows in everything: what it was made for is said where the image is of another kind, or may be.
fn made_for_ui(ui: &mut Ui, state: &State) {
    let Some(doubt) = state.doubt() else { return };
    ui.label(theme::weak(ui, format!("{doubt}.")))
        .on_hover_text("What it finds in other images means little. Open a model that was made for such images: M.");
}

impl Inspector {
    fn attack_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        ui.label(theme::semibold("Attack"));
        let chosen = state.attack();
        let width = ui.available_width();
        // A list that is taller than the room below and above its button has no place to open in.
        let (screen, button) = (ui.ctx().content_rect(), ui.cursor().top());
        let room = (screen.bottom() - button - ui.spacing().interact_size.y).max(button - screen.top());
        let response = ComboBox::from_id_salt("attack")
            .selected_text(chosen.title)
            .width(width)
            .height((room - 32.0).clamp(96.0, 560.0))
            .show_ui(ui, |ui| {
                for entry in CATALOG {
                    let row = ui.selectable_label(entry.name == chosen.name, entry.title);
                    if row.on_hover_text(format!("{}\n\n{}", entry.description, entry.source)).clicked() {
                        commands.send(Command::Attack(state.tuned.get(entry)));
                    }
                }
            })
            .response
            .accessible_name("Attack");
        response.on_hover_text(format!("{}\n\n{}", chosen.description, chosen.source));
        // In a room of its own: what comes and goes here must not renumber the fields below, of which one may be typed in.
        ui.scope(|ui| progress::run_ui(ui, state, commands));
        ui.label(theme::weak(ui, chosen.description));
        if chosen.lowers_the_loss && state.case.as_ref().is_some_and(|c| c.reference == Reference::Label) {
            let text = "It uses the true label: right for augmenting training images, misleading on test images.";
            ui.label(egui::RichText::new(text).color(theme::of(ui).warning));
        }
        self.parameters.ui(ui, state, commands);
        ui.add_space(4.0);
        if let Some(physical) = window_level::physical_text(state, state.epsilon) {
            let tip = "ε in the unit of the image where it is known, and in the 255 grey levels of the screen under the present window: what the eye gets to see of it.";
            // A line of its own, that wraps: the numbers of wide windows are long.
            ui.horizontal_wrapped(|ui| {
                ui.label(theme::weak(ui, "ε is")).on_hover_text(tip);
                ui.label(physical).on_hover_text(tip);
            });
        }
        grid("epsilon unit").show(ui, |ui| {
            row(
                ui,
                "ε in",
                "The unit in which ε is shown and typed. A typed ratio such as 4/255 is always a ratio.",
                |ui| {
                    ui.horizontal(|ui| {
                        let levels = epsilon::grey_levels(state.case.as_deref());
                        for unit in state.epsilon_units() {
                            let name = match unit {
                                EpsilonUnit::GreyLevels => format!("/{levels:.0}"),
                                EpsilonUnit::Fraction => "fraction".to_owned(),
                                EpsilonUnit::Hounsfield => "HU".to_owned(),
                            };
                            if ui.selectable_label(state.epsilon_unit() == unit, name).clicked() {
                                commands.send(Command::Unit(unit));
                            }
                        }
                    });
                },
            );
        });
    }
}

impl Inspector {
    fn reference_ui(&mut self, ui: &mut Ui, case: &CaseInfo, state: &State, commands: &CommandSender) {
        section(ui, "Reference");
        match case.reference {
            Reference::Label => {
                ui.label(theme::weak(ui, "The label: loss and measures compare with it."));
            }
            Reference::CleanPrediction if case.label_is_empty => {
                ui.label("The label has no class on this slice: the clean prediction is the reference.");
            }
            Reference::CleanPrediction => {
                ui.label("No label: the clean prediction is the reference.").on_hover_text(
                    "The loss and every measure compare with what the model itself sees in the unchanged image. Dice at ε = 0 is 1 by definition.",
                );
            }
        }
        let Some(map) = &case.label_map else {
            self.map_draft = None;
            return;
        };
        let classes = state.model.as_ref().map_or(0, |m| m.classes.len());
        let mut wished = map.clone();
        grid("label map").show(ui, |ui| {
            for &value in &case.label_values {
                let class = map.entries.iter().find(|(v, _)| *v == value).map_or(IGNORE, |(_, c)| *c);
                let mut chosen = class;
                row(ui, &format!("Value {value}"), "A value stored in the label file.", |ui| {
                    let name = |class: u8| if class == IGNORE { "ignored".to_owned() } else { state.class_name(class) };
                    ComboBox::from_id_salt(("class", value))
                        .selected_text(name(class))
                        .width(120.0)
                        .show_ui(ui, |ui| {
                            for other in (0..classes).filter_map(|c| u8::try_from(c).ok()).chain([IGNORE]) {
                                ui.selectable_value(&mut chosen, other, name(other));
                            }
                        })
                        .response
                        .accessible_name(format!("Class of value {value}"))
                        .on_hover_text("The class that this value means. Ignored pixels count nowhere.");
                });
                if chosen != class {
                    wished.entries.retain(|(v, _)| *v != value);
                    if chosen != IGNORE {
                        wished.entries.push((value, chosen));
                    }
                    wished.entries.sort_unstable();
                }
            }
        });
        if wished != *map {
            commands.request(Request::LabelMap(Some(wished)));
        }
        if case.label_map_guessed {
            ui.label(theme::weak(ui, "Guessed by agreement with the clean prediction."));
        } else if ui
            .button("Guess")
            .on_hover_text("Match values to classes by agreement with the clean prediction.")
            .clicked()
        {
            commands.request(Request::LabelMap(None));
        }
    }
}

fn view_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    section(ui, "View");
    let mut view = state.view.clone();
    // In pixel units: what the file says, not shares of the bounds.
    let bounds = state.case.as_ref().map_or(Bounds::EIGHT_BIT, |case| case.bounds);
    let (least, span) = (bounds.lower, bounds.width());
    ui.spacing_mut().slider_width = (ui.available_width() - 160.0).clamp(60.0, 160.0);
    grid("view").show(ui, |ui| {
        let [lower, upper] = view.window;
        let (mut level, mut width) = (least + (lower + upper) / 2.0 * span, (upper - lower) * span);
        let decimals = if span >= 100.0 { 0 } else { (2.0 - span.log10().floor()).clamp(0.0, 9.0) as usize };
        let shown = move |v: f64, _: std::ops::RangeInclusive<usize>| format!("{v:.decimals$}");
        let tip = "The grey value in the middle of the shown range. Right-drag on a picture sets level and width.";
        let level_changed = row(ui, "Level", tip, |ui| {
            let slider = Slider::new(&mut level, least..=bounds.upper).custom_formatter(shown);
            ui.add(slider).accessible_name("Window level").changed()
        });
        let width_changed = row(ui, "Width", "How many grey values are spread over black to white.", |ui| {
            let slider = Slider::new(&mut width, span / 255.0..=span).custom_formatter(shown);
            ui.add(slider).accessible_name("Window width").changed()
        });
        if level_changed || width_changed {
            view.window = [level - width / 2.0, level + width / 2.0].map(|v| (v - least) / span);
        }
        gain_ui(ui, state, &mut view);
        row(ui, "Segments", "How segmentations are drawn.", |ui| {
            ComboBox::from_id_salt("mask style")
                .selected_text(MaskStyle::ALL.iter().find(|(s, _)| *s == view.mask_style).map_or("", |(_, n)| n))
                .width(120.0)
                .show_ui(ui, |ui| {
                    for (style, name) in MaskStyle::ALL {
                        ui.selectable_value(&mut view.mask_style, style, name);
                    }
                })
                .response
                .accessible_name("Segmentations as");
        });
        row(ui, "Opacity", "Of overlays on their image.", |ui| {
            ui.add_enabled_ui(view.mask_style == MaskStyle::Overlay, |ui| {
                let slider = Slider::new(&mut view.opacity, 0.0..=1.0)
                    .custom_formatter(|v, _| format!("{:.0} %", v * 100.0))
                    .custom_parser(|t| t.trim_end_matches('%').trim().parse::<f64>().ok().map(|v| v / 100.0));
                ui.add(slider).accessible_name("Overlay opacity");
            });
        });
    });
    ui.checkbox(&mut view.mark_difference, "Mark what the attack changed")
        .on_hover_text("Pixels whose class differs from the clean prediction, on the adversarial segmentation.");
    ui.checkbox(&mut view.show_reference, "Outline of the reference").on_hover_text("Key R.");
    ui.checkbox(&mut view.crosshair, "Cross-hair at the same pixel everywhere");
    ui.checkbox(&mut view.smooth, "Smooth when enlarged")
        .on_hover_text("Off, each pixel is a square: what the model sees.");
    if view != state.view {
        commands.send(Command::View(Box::new(view.sanitised())));
    }
}

fn gain_ui(ui: &mut Ui, state: &State, view: &mut View) {
    let tip =
        "The noise is multiplied by this before it is shown. Automatic: its largest value fills the colour range.";
    let mut gain = view.gain_at(state.noise_reach());
    row(ui, "Noise gain", tip, |ui| {
        if gain_slider(ui, &mut gain) {
            (view.gain, view.auto_gain) = (gain, false);
        }
    });
    row(ui, "", "", |ui| {
        if ui.checkbox(&mut view.auto_gain, "automatic gain").changed() && !view.auto_gain {
            view.gain = gain;
        }
    });
}

fn export_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    section(ui, "Export");
    let width = (ui.available_width() - 8.0) / 2.0;
    for pair in ExportKind::ALL.chunks(2) {
        ui.horizontal(|ui| {
            for &kind in pair {
                let enabled = match kind {
                    ExportKind::Views | ExportKind::Adversarial => state.frame.is_some(),
                    ExportKind::PredictedMask => state.frame.as_ref().is_some_and(|frame| frame.scores.is_none()),
                    ExportKind::AdversarialVolume => state.case.as_ref().is_some_and(|c| c.slices > 1),
                    ExportKind::ComparisonCsv => state.compared.is_some(),
                    ExportKind::CurveCsv | ExportKind::CurveFigure => {
                        state.curve.as_ref().is_some_and(|c| !c.points.is_empty())
                    }
                };
                let button = Button::new(format!("{}…", kind.title())).min_size(egui::vec2(width, 0.0)).truncate();
                if ui.add_enabled(enabled, button).clicked() {
                    commands.send(Command::ChooseExport(kind));
                }
            }
        });
    }
    if let Some(report) = &state.exported
        && let Some(saved) = &report.saved
    {
        let (text, color) = numbers::saved_text(saved, theme::of(ui));
        ui.label(egui::RichText::new(text).color(color)).on_hover_text(report.path.display().to_string());
    }
}
