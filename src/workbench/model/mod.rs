//! The model: what its file holds and costs, what of its card was guessed, and an editor of the card (`editor`, over the
//! `draft`). A card that makes sense is used at once, so that the clean prediction tells whether it is right; saving it is a
//! step of its own.

mod draft;
mod editor;
mod hear;

use super::command::{Command, CommandSender};
use super::icons::{Icon, icon_button};
use super::layout::section;
use super::library::file_name;
use super::state::State;
use super::{Pane, PaneContext, theme};
use crate::engine::Request;
use crate::model::{About, ModelCard, shortened};
use draft::Draft;
use eframe::egui::{self, Align, Button, CollapsingHeader, Frame, Grid, Layout, ProgressBar, RichText, ScrollArea, Ui};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the window knows of the card in use beside the card itself.
#[derive(Clone, Debug, Default)]
pub struct CardState {
    /// The model's file; the bundled model has none.
    pub file: Option<PathBuf>,
    /// The card with which the model was opened.
    pub opened: Option<Arc<ModelCard>>,
    /// The card that lies beside the file.
    pub saved: Option<Arc<ModelCard>>,
    /// What was guessed, a line each, until it is saved.
    pub guessed: Vec<String>,
    /// Why the card that lies beside the file was not used, if so.
    pub refused: Option<String>,
}

impl CardState {
    /// Of a model that was just opened.
    pub fn opened(card: &Arc<ModelCard>, about: &About) -> Self {
        let guessed = about.facts.guessed.clone();
        let saved = guessed.is_empty().then(|| card.clone());
        let refused = about.facts.refused_card.clone();
        Self { file: about.facts.path.clone(), opened: Some(card.clone()), saved, guessed, refused }
    }
}

/// The panel.
#[derive(Default)]
pub struct ModelPanel {
    draft: Option<Draft>,
}

impl Pane for ModelPanel {
    fn title(&self) -> &str {
        "Model"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, _: &mut PaneContext<'_>) {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The bar that scrolls lies over the right edge.
            ui.set_max_width(ui.available_width() - 8.0);
            reading_ui(ui, state, commands);
            let (Some(card), Some(about)) = (&state.model, &state.model_about) else {
                ui.label(theme::weak(ui, "No model is open."));
                if ui.button("Open model…").clicked() {
                    commands.send(Command::ChooseModel);
                }
                return;
            };
            ui.add(egui::Label::new(theme::semibold(&card.name)).truncate());
            for note in &about.facts.notes {
                ui.label(RichText::new(sentence(&shortened(note))).color(theme::of(ui).warning));
            }
            if !card.description.is_empty() {
                ui.label(theme::weak(ui, &card.description));
            }
            if about.facts.path.is_some() {
                self.card_ui(ui, card, about, state, commands);
            } else {
                section(ui, "Card");
                lines_ui(ui, "card lines", card.description_lines().into_iter().skip(1));
            }
            section(ui, "File");
            lines_ui(ui, "model facts", about.description());
            ui.add_space(8.0);
        });
    }
}

impl ModelPanel {
    fn card_ui(&mut self, ui: &mut Ui, card: &ModelCard, about: &About, state: &State, commands: &CommandSender) {
        if state.card.guessed.is_empty() {
            section(ui, "Card");
        } else {
            ui.add_space(8.0);
            guessed_ui(ui, &state.card);
        }
        let draft = self.draft.get_or_insert_with(|| Draft::new(card));
        draft.follow(card);
        let refusal = state.problem.as_ref().filter(|problem| problem.what == "Use card");
        if refusal.is_some() {
            draft.refuse();
        }
        let wrong = match draft.read() {
            Err(why) => Some(why),
            Ok(wished) => refusal.filter(|_| wished != *card).map(|problem| problem.why.clone()),
        };
        self.buttons_ui(ui, card, state, commands);
        // Beside the buttons, which are seen: the form is longer than most windows are high.
        if let Some(why) = wrong {
            ui.label(RichText::new(format!("Not used: {why}")).color(theme::of(ui).warning));
        }
        ui.add_space(4.0);
        let Some(draft) = &mut self.draft else { return };
        editor::ui(ui, draft, about);
        if let Some(wished) = draft.news() {
            commands.send(Command::Card(Box::new(wished)));
        }
    }

    fn buttons_ui(&mut self, ui: &mut Ui, card: &ModelCard, state: &State, commands: &CommandSender) {
        let Some(draft) = &self.draft else { return };
        let in_use = draft.read().is_ok_and(|wished| wished == *card) && !draft.waits();
        let saved = state.card.saved.as_deref() == Some(card);
        let target = state.card.file.as_deref().map(|file| file.with_extension("toml"));
        let name = target.as_deref().map_or_else(String::new, file_name);
        let mut revert = false;
        ui.horizontal(|ui| {
            let text = if state.card.guessed.is_empty() { "Save card" } else { "Confirm and save" };
            let save = ui.add_enabled(in_use && !saved, Button::new(text));
            let place = target.as_deref().map_or_else(String::new, |path| path.display().to_string());
            if save.on_hover_text(format!("Writes the card beside the model: {place}")).clicked() {
                commands.request(Request::SaveCard);
            }
            let opened = state.card.opened.as_deref();
            let changed = !in_use || opened.is_some_and(|opened| opened != card);
            let back = ui.add_enabled(changed, Button::new("As opened"));
            revert = back.on_hover_text("Takes every change since the model was opened back.").clicked();
            if let Some(opened) = opened.filter(|_| revert) {
                commands.send(Command::Card(Box::new(opened.clone())));
            }
        });
        let words = match (in_use, saved) {
            (false, _) => "What is typed is not in use yet".to_owned(),
            (true, true) => format!("Saved in {name}"),
            (true, false) => format!("In use, not saved; would be {name}"),
        };
        ui.label(theme::weak(ui, words));
        if revert {
            self.draft = None;
        }
    }
}

/// What nobody has said of the model: to be looked at.
fn guessed_ui(ui: &mut Ui, card: &CardState) {
    let palette = theme::of(ui);
    Frame::NONE.stroke((1.0, palette.warning)).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let title = match card.refused {
            Some(_) => "The card beside this model is not used",
            None => "No card lies beside this model",
        };
        ui.label(theme::semibold(title).color(palette.warning));
        if let Some(why) = &card.refused {
            ui.label(why);
        }
        ui.label("Guessed. Look at the clean prediction, then confirm or correct:");
        for guess in &card.guessed {
            ui.label(format!("•  {guess}"));
        }
    });
    ui.add_space(4.0);
}

/// The model that is being read, with its progress and a way to cancel it.
pub fn reading_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(path) = &state.opening_model else { return };
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if icon_button(ui, Icon::Close, "Cancel reading the model", "The present one stays", true).clicked() {
                commands.request(Request::CancelModel);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Spinner::new().size(14.0));
                ui.add(egui::Label::new(reading_text(state, path)).truncate());
            });
        });
    });
    if let Some(share) = state.model_share {
        let width = ui.available_width();
        ui.add(ProgressBar::new(share).desired_width(width).desired_height(4.0).fill(theme::of(ui).accent));
    }
}

/// `Reading resnet.onnx 43 %`.
pub fn reading_text(state: &State, path: &Path) -> String {
    match state.model_share {
        _ if state.trying_model => format!("First prediction of {}", file_name(path)),
        Some(share) if share < 0.995 => format!("Reading {} {:.0} %", file_name(path), share * 100.0),
        Some(_) => format!("Building {}", file_name(path)),
        None => format!("Reading {}", file_name(path)),
    }
}

/// With a capital letter, as what stands alone.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn lines_ui(ui: &mut Ui, id: &str, lines: impl IntoIterator<Item = (&'static str, String)>) {
    /// A longer line is folded away.
    const LONG: usize = 160;
    Grid::new(id).num_columns(2).spacing([12.0, 4.0]).min_col_width(72.0).show(ui, |ui| {
        for (name, value) in lines {
            // A count stays with what it counts.
            let value = value.replace(" ×", "\u{a0}×").replace("× ", "×\u{a0}");
            let mut title = name.to_owned();
            title[..1].make_ascii_uppercase();
            let name = ui.label(theme::weak(ui, title.as_str()));
            if value.len() > LONG {
                let count = value.split(", ").count();
                CollapsingHeader::new(format!("{count} kinds")).id_salt((id, &title)).show(ui, |ui| {
                    ui.add(egui::Label::new(&value).wrap());
                });
            } else {
                ui.add(egui::Label::new(&value).wrap()).labelled_by(name.id);
            }
            ui.end_row();
        }
    });
}
