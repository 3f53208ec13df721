//! The window. It draws [`State`] and sends [`Command`]s, nothing else: no tensor, no decoding, no disk work on this
//! thread. One file a panel; a panel is a [`Pane`]. What belongs to all of them (ε in units, the theme's colours) has
//! one file each: `epsilon`, `theme`.
//!
//! The panels by file: `compare::Compare`, `curves::Curves`, `steps::Steps` and the bar `epsilon_bar::EpsilonBar`,
//! `library::Library`, `inspector::Inspector`; each is `Default` and keeps only what concerns its own drawing.

mod app;
mod apply;
pub mod browse;
mod class_numbers;
mod command;
pub mod compare;
pub mod curves;
pub mod decision;
pub mod epsilon;
pub mod epsilon_bar;
mod files;
mod first_run;
mod hear;
mod history;
pub mod icons;
mod inspector;
mod keep;
mod keys;
mod layout;
pub mod library;
mod look;
pub mod marks;
mod menu;
mod model;
mod notices;
mod numbers;
pub mod parameters;
pub mod probe;
pub mod progress;
mod prompt;
pub mod reader;
mod run;
mod screenshot;
pub mod seen;
mod settings;
pub mod several;
mod shell;
mod stages;
pub mod state;
pub mod status;
pub mod steps;
pub mod theme;
mod timing;
pub mod tour;
pub mod train;
mod truth;
pub mod tuning;
mod view;
pub mod window_level;

pub use app::App;
pub use command::{Command, CommandSender, ExportKind, PanelKind};
pub use history::History;
pub use run::{Broke, Options, Setup, run};
pub use settings::{FOLDER_VARIABLE, Settings};
pub use stages::Mode;
pub use state::State;
pub use timing::FrameTimes;

use eframe::egui;

/// What panels draw with, beside the state.
pub struct PaneContext<'a> {
    /// Turns planes into textures. `None` where the window has no GPU device of its own (some tests).
    pub display: Option<&'a mut crate::gpu::Display>,
    /// No animation: pictures of the window and tests want stillness.
    pub still: bool,
}

/// A panel: a struct with its own state that draws the common one.
pub trait Pane {
    /// The name on its tab.
    fn title(&self) -> &str;

    /// Draws it into all of `ui`. Changes are asked for with `commands`.
    fn ui(&mut self, ui: &mut egui::Ui, state: &State, commands: &CommandSender, context: &mut PaneContext);
}
