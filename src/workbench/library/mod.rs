//! The panel of files and data sets. `entries` shows the data set that is open, `tools` its filter and order, `files` what is
//! open else, what was open before, and ways to open more.

mod entries;
mod files;
mod tools;

pub use files::file_name;

use super::command::CommandSender;
use super::state::State;
use super::{Pane, PaneContext, theme};
use crate::data::Dataset;
use eframe::egui::{Button, Ui};
use std::sync::Arc;

/// What the panel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Page {
    #[default]
    Files,
    Entries,
}

/// The panel.
#[derive(Default)]
pub struct Library {
    page: Page,
    /// The data set that it knows: a new one is shown at once.
    known: Option<Arc<Dataset>>,
    files: files::Files,
    entries: entries::Entries,
    tools: tools::Tools,
}

impl Pane for Library {
    fn title(&self) -> &str {
        "Library"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, _: &mut PaneContext<'_>) {
        let browse = &state.browse;
        let same = match (&self.known, &browse.set) {
            (Some(known), Some(set)) => Arc::ptr_eq(known, set),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.known.clone_from(&browse.set);
            self.page = if browse.set.is_some() { Page::Entries } else { Page::Files };
        }
        let Some(set) = &browse.set else {
            self.files.ui(ui, state, commands);
            return;
        };
        let mut fits = true;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (page, name) in [(Page::Entries, "Data set"), (Page::Files, "Files")] {
                if ui.add(Button::selectable(self.page == page, name)).clicked() {
                    self.page = page;
                }
            }
            fits = ui.available_size_before_wrap().x >= tools::WINDOW_WIDTH;
            if fits {
                tools::window_ui(ui, state, commands);
            }
        });
        if !fits {
            ui.horizontal(|ui| tools::window_ui(ui, state, commands));
        }
        match self.page {
            Page::Files => self.files.ui(ui, state, commands),
            Page::Entries => {
                files::opening_ui(ui, state, commands);
                // Slices that are no entries: along another axis, or of another file.
                let case = state.case.as_ref().filter(|case| case.slices > 1);
                if let Some(case) = case.filter(|case| !browse.has_slices_of(case)) {
                    files::slices_ui(ui, case, state, commands);
                }
                self.tools.ui(ui, state, set, commands);
                ui.add_space(4.0);
                if browse.shown.is_empty() {
                    ui.label(theme::weak(ui, "No entry matches the filter."));
                } else {
                    self.entries.ui(ui, state, set, commands);
                }
            }
        }
    }
}
