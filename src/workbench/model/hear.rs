//! What events of models and cards change.

use super::CardState;
use crate::model::{About, ModelCard};
use crate::workbench::app::App;
use crate::workbench::command::PanelKind;
use crate::workbench::layout;
use crate::workbench::settings::MOST_RECENT;
use eframe::egui::Context;
use std::path::Path;
use std::sync::Arc;

impl App {
    /// A model is in use, or the present one with another card.
    pub(in crate::workbench) fn new_model(&mut self, card: Arc<ModelCard>, about: Arc<About>) {
        let state = &mut self.state;
        let file = &about.facts.path;
        let opened = file.is_some() && *file == state.opening_model;
        if opened || state.model.is_none() || state.card.file != *file {
            state.card = CardState::opened(&card, &about);
            if let Some(file) = file {
                self.recent_models.retain(|m| m != file);
                self.recent_models.insert(0, file.clone());
                self.recent_models.truncate(MOST_RECENT);
            }
            if !state.card.guessed.is_empty() && self.shot.is_none() {
                // What was guessed is to be looked at.
                layout::show(&mut self.tree, PanelKind::Model, true);
            }
        }
        if opened {
            state.opening_model = None;
        }
        state.model = Some(card);
        state.model_about = Some(about);
        self.worked(&["Open model", "Use card"]);
    }

    /// The card in use lies beside its model.
    pub(in crate::workbench) fn card_saved(&mut self, path: &Path, context: &Context) {
        self.state.card.saved.clone_from(&self.state.model);
        self.state.card.guessed.clear();
        self.notes.good("Card saved", path.display().to_string(), context.input(|i| i.time));
        self.worked(&["Save card"]);
    }
}
