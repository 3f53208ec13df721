//! What commands about trainings change.

use super::draft::{TrainDraft, TrainPage};
use crate::engine::{DeviceChoice, Request, TrainNews, TrainRequest};
use crate::workbench::app::App;
use crate::workbench::command::PanelKind;
use crate::workbench::prompt::Wanted;
use crate::workbench::{layout, theme};
use eframe::egui::{self, Align2, Button, vec2};
use std::path::PathBuf;

/// A path that a person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainPath {
    /// A folder to train on.
    Data,
    /// An image to train on.
    Image,
    /// Its mask.
    Label,
    /// The weights to write.
    Weights,
    /// A recipe to read.
    OpenRecipe,
    /// A recipe to write.
    SaveRecipe,
    /// The data of a study, by their place.
    StudyData(usize),
    /// The folder of a study's report.
    StudyOut,
    /// The thresholds of observers, for a study.
    StudyUnseen,
}

impl TrainPath {
    /// Over the prompt.
    pub fn title(self) -> &'static str {
        match self {
            Self::Data | Self::StudyData(_) => "Data to train on",
            Self::Image => "Image to train on",
            Self::Label => "Mask of the image",
            Self::Weights => "Weights to write",
            Self::OpenRecipe => "Open recipe",
            Self::SaveRecipe => "Save recipe",
            Self::StudyOut => "Folder for the report",
            Self::StudyUnseen => "Thresholds of observers",
        }
    }

    /// In the prompt.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Data | Self::StudyData(_) => "A folder with images and masks, or a stack with its mask beside it",
            Self::Image => "An image or a stack",
            Self::Label => "An image of the same size whose pixel values are classes",
            Self::Weights => "Ends in .safetensors; card, recipe and checkpoint lie beside it",
            Self::OpenRecipe | Self::SaveRecipe => "TOML, as `epsiloscope train --recipe` takes it",
            Self::StudyOut => "For report.html, its tables as CSV, and checkpoints",
            Self::StudyUnseen => "thresholds.csv of a reader study, or a table of its trials",
        }
    }

    /// On the button of the prompt.
    pub fn verb(self) -> &'static str {
        match self {
            Self::SaveRecipe => "Save",
            Self::OpenRecipe => "Open",
            _ => "Choose",
        }
    }
}

/// What a person asked for.
#[derive(Clone, Debug)]
pub enum TrainCommand {
    /// Change what is going to be trained: a changed copy.
    Draft(Box<TrainDraft>),
    /// Show the panel at a page.
    Show(TrainPage),
    /// Ask for a path.
    Choose(TrainPath),
    /// It was given.
    Given(TrainPath, PathBuf),
    /// Begin the training.
    Start,
    /// Go on with one, by its weights.
    Resume(PathBuf),
    /// Show what the network will see.
    Preview,
    /// Show it no more.
    ClosePreview,
    /// Find what the study costs.
    Price,
    /// Run the study.
    Study {
        /// Go on with what its folder holds.
        resume: bool,
    },
}

impl App {
    fn training_device(&self) -> DeviceChoice {
        self.state.device.as_ref().map_or(self.device, |device| device.choice)
    }

    pub(in crate::workbench) fn apply_train(&mut self, command: TrainCommand, context: &egui::Context) {
        let device = self.training_device();
        let training = &mut self.state.training;
        let request = match command {
            TrainCommand::Draft(draft) => {
                training.edit(*draft);
                return;
            }
            TrainCommand::Show(page) => {
                training.draft.page = page;
                return layout::show(&mut self.tree, PanelKind::Train, true);
            }
            TrainCommand::Choose(path) => return self.ask(Wanted::Training(path), context),
            TrainCommand::Given(wanted, path) => match self.given(wanted, path) {
                Some(request) => request,
                None => return,
            },
            TrainCommand::Start => {
                let (recipe, out) = (Box::new(training.draft.recipe.clone()), training.draft.out.clone());
                TrainRequest::Start { recipe, out, device }
            }
            TrainCommand::Resume(out) => {
                training.draft.page = TrainPage::Training;
                TrainRequest::Resume { out, device }
            }
            TrainCommand::Preview => {
                training.previewing = true;
                TrainRequest::Preview(Box::new(training.draft.recipe.clone()))
            }
            TrainCommand::ClosePreview => {
                training.preview = None;
                return;
            }
            TrainCommand::Price => {
                training.pricing = true;
                training.refused = None;
                TrainRequest::Price(Box::new(training.draft.study.wish(false, device)))
            }
            TrainCommand::Study { resume } => TrainRequest::Study(Box::new(training.draft.study.wish(resume, device))),
        };
        self.engine.send(Request::Train(request));
    }

    /// Takes a path that was asked for; what it asks the engine for.
    fn given(&mut self, wanted: TrainPath, path: PathBuf) -> Option<TrainRequest> {
        let training = &mut self.state.training;
        let mut draft = training.draft.clone();
        match wanted {
            TrainPath::Data => draft.recipe.data.path = Some(path),
            TrainPath::Image => draft.recipe.data.image = Some(path),
            TrainPath::Label => draft.recipe.data.label = Some(path),
            TrainPath::Weights => draft.out = path,
            TrainPath::StudyData(place) => {
                if let Some(data) = draft.study.path_mut(place) {
                    *data = path;
                }
            }
            TrainPath::StudyOut => draft.study.out = path,
            TrainPath::StudyUnseen => draft.study.unseen = path,
            TrainPath::OpenRecipe => return Some(TrainRequest::Load(path)),
            TrainPath::SaveRecipe => return Some(TrainRequest::Save(Box::new(draft.recipe), path)),
        }
        training.edit(draft);
        None
    }

    pub(in crate::workbench) fn hear_training(&mut self, news: TrainNews, context: &egui::Context) {
        let ended = match &news {
            TrainNews::Ended { out, .. } => {
                let now = context.input(|i| i.time);
                self.notes.good("Training ended", out.display().to_string(), now);
                true
            }
            TrainNews::Failed(problem) => {
                self.notes.bad(problem, context.input(|i| i.time));
                true
            }
            TrainNews::Started(_) => true,
            TrainNews::StudyEnded(Ok(report)) => {
                let now = context.input(|i| i.time);
                self.notes.good("Study finished", report.display().to_string(), now);
                false
            }
            _ => false,
        };
        self.state.training.hear(news);
        if ended {
            // What can be gone on with has changed.
            let folder = super::folder_of(&self.state.training.draft.out);
            self.engine.send(Request::Train(TrainRequest::Find(folder)));
        }
    }

    /// Asks before the window is closed while something trains; nothing is lost by closing it.
    pub(in crate::workbench) fn closing_ui(&mut self, context: &egui::Context) {
        if context.input(|i| i.viewport().close_requested()) && self.state.training.is_active() && !self.closing_agreed
        {
            context.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.closing = true;
            context.request_repaint();
        }
        if !self.closing {
            return;
        }
        if !self.state.training.is_active() {
            self.closing = false;
            return;
        }
        egui::Window::new("A training is running")
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, vec2(0.0, -40.0))
            .show(context, |ui| {
                ui.set_width(380.0);
                ui.label(
                    "Its checkpoint is kept when the window is closed, and the training can be resumed from there.",
                );
                ui.label(theme::weak(ui, "The window closes after the present step."));
                ui.add_space(8.0);
                ui.horizontal(|ui| {
                    if ui.add(Button::new("Keep the checkpoint and quit")).clicked() {
                        self.closing_agreed = true;
                        context.send_viewport_cmd(egui::ViewportCommand::Close);
                    }
                    if ui.button("Keep training").clicked() || ui.input(|i| i.key_pressed(egui::Key::Escape)) {
                        self.closing = false;
                    }
                });
            });
    }
}
