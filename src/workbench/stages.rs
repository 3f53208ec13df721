//! What takes the window over for a while: a reader study, the challenge, the guided tour.

use super::app::App;
use super::reader::Reader;
use super::tour::{Challenge, Tour};
use super::train::{TrainCommand, TrainPage};
use super::{Command, CommandSender, PaneContext, settings};
use crate::engine::{ReaderEvent, Request, Stimulus, StudyImages};
use crate::observer::Measured;
use eframe::egui::{self, Ui};

/// What can take the window over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The reader study.
    Reader,
    /// Guess the ε.
    Challenge,
    /// What ε is, in a few steps.
    Tour,
}

/// What has taken the window over.
#[derive(Default)]
pub struct Stages {
    pub(super) reader: Option<Reader>,
    pub(super) challenge: Option<Challenge>,
    pub(super) tour: Option<Tour>,
}

impl Stages {
    /// Whether files that are given are not opened: their pictures would cost a study frames.
    pub(super) fn takes_no_files(&self) -> bool {
        self.reader.as_ref().is_some_and(Reader::is_busy)
    }

    /// Whether an observer looks at a trial, which nothing may cover.
    pub(super) fn shows_a_trial(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.clock().is_some())
    }
}

impl App {
    /// The reader study, if one is open.
    pub fn reader(&self) -> Option<&Reader> {
        self.stages.reader.as_ref()
    }

    /// The same, to set what is going to be asked.
    pub fn reader_mut(&mut self) -> Option<&mut Reader> {
        self.stages.reader.as_mut()
    }

    /// The challenge, if it is open.
    pub fn challenge(&self) -> Option<&Challenge> {
        self.stages.challenge.as_ref()
    }

    /// The tour, if one is being made.
    pub fn tour(&self) -> Option<&Tour> {
        self.stages.tour.as_ref()
    }

    /// Whether something else than the panels fills the window.
    pub(super) fn is_staged(&self) -> bool {
        self.stages.reader.is_some() || self.stages.challenge.is_some()
    }

    pub(super) fn enter(&mut self, mode: Mode) {
        self.leave();
        match mode {
            Mode::Reader => {
                let folder = self.setup.config_folder.clone().or_else(settings::folder).unwrap_or_default();
                self.stages.reader = Some(Reader::new(folder.join("reader-studies"), &self.commands));
            }
            Mode::Challenge => self.stages.challenge = Some(Challenge::new(&self.state, &self.commands)),
            Mode::Tour => self.stages.tour = Some(Tour::new(&self.state, &self.commands)),
        }
    }

    pub(super) fn leave(&mut self) {
        if self.stages.reader.take().is_some() {
            self.engine.send(Request::Reader(crate::engine::ReaderRequest::Close));
            self.engine.send(Request::Stimuli(None));
        }
        if let Some(challenge) = self.stages.challenge.take() {
            challenge.end(&self.state, &self.commands);
        }
        if let Some(tour) = self.stages.tour.take() {
            tour.end(&self.state, &self.commands);
        }
    }

    pub(super) fn hear_reader(&mut self, event: ReaderEvent, context: &egui::Context) {
        let event = match event {
            ReaderEvent::Thresholds { path, found, unreached } => {
                let now = context.input(|i| i.time);
                return self.hear_thresholds(&path, found, unreached, now);
            }
            ReaderEvent::Failed(problem) if self.stages.reader.is_none() => {
                return self.failed(problem, context);
            }
            event => event,
        };
        if let Some(reader) = &mut self.stages.reader {
            reader.hear(event, &self.state, &self.commands);
        }
    }

    /// Thresholds of a file: which of them hold for what is on the screen.
    fn hear_thresholds(&mut self, path: &std::path::Path, found: Vec<Measured>, unreached: usize, now: f64) {
        let name = path.display();
        let differ: Vec<String> = found.iter().map(|t| self.state.differs_from(t).join(", ")).collect();
        let fit = differ.iter().filter(|d| d.is_empty()).count();
        let none =
            if unreached > 0 { format!("; {unreached} were not reached in their studies") } else { String::new() };
        let text = match (found.len(), fit) {
            (0, _) => return self.fail("Thresholds", &format!("{name} holds none that was reached{none}")),
            (all, 0) => format!("{all} of {name}, of another {}{none}", differ[0]),
            (all, fit) => format!("{fit} of {all} of {name} hold for this image, attack and window{none}"),
        };
        self.notes.good("Thresholds", text, now);
        self.commands.send(Command::Seen(super::seen::SeenCommand::Thresholds(found)));
    }

    pub(super) fn hear_stimulus(&mut self, stimulus: Stimulus) {
        if let Some(reader) = &mut self.stages.reader {
            reader.take(stimulus);
        }
    }

    pub(super) fn hear_no_stimuli(&mut self, id: u64, why: String) {
        if let Some(reader) = &mut self.stages.reader {
            reader.refused(id, why, &self.commands);
        }
    }

    pub(super) fn hear_study_images(&mut self, images: StudyImages) {
        if let Some(reader) = &mut self.stages.reader {
            reader.take_images(images, &self.state, &self.commands);
        }
    }

    /// Draws what fills the window in place of the panels; whether there is such. Reads the keys of the tour.
    pub(super) fn stages_ui(&mut self, ui: &mut Ui) -> bool {
        let mut context = PaneContext { display: Some(&mut self.display), still: self.setup.still };
        if let Some(reader) = &mut self.stages.reader {
            reader.ui(ui, &self.state, &self.commands, &mut context);
            return true;
        }
        if let Some(challenge) = &mut self.stages.challenge {
            challenge.ui(ui, &self.state, &self.commands, &mut context);
            return true;
        }
        if let Some(tour) = &mut self.stages.tour {
            tour.keys(ui.ctx(), &self.state, &self.commands);
        }
        false
    }

    /// The words of the tour, under the panels: they cover nothing of what they speak of.
    pub(super) fn tour_ui(&mut self, ui: &mut Ui) {
        if let Some(tour) = &mut self.stages.tour {
            tour.ui(ui, &self.state, &self.commands);
        }
    }
}

/// The menu of studies.
pub(super) fn menu_ui(ui: &mut Ui, ready: bool, commands: &CommandSender) {
    ui.set_min_width(220.0);
    let mut item = |text: &str, tip: &str, command: &dyn Fn() -> Command| {
        if ui.add_enabled(ready, egui::Button::new(text)).on_hover_text(tip).clicked() {
            commands.send(command());
            ui.close();
        }
    };
    item("Reader study…", "At which ε does a person see it? Trials, threshold, interval.", &|| {
        Command::Enter(Mode::Reader)
    });
    item("Blind comparison", "Original and adversarial image, and nobody is told which is which.", &|| {
        Command::Seen(super::seen::SeenCommand::Blind(super::seen::closely::BlindStep::Begin))
    });
    item("Guided tour", "What ε is, what the noise is, why the mask breaks, and whether you can see it.", &|| {
        Command::Enter(Mode::Tour)
    });
    item("Challenge: guess the ε", "A hidden ε, a guess, a score: for a class.", &|| Command::Enter(Mode::Challenge));
    ui.separator();
    for (text, tip, page) in [
        (
            "Train a model…",
            "A U-Net on your data or on synthetic membranes, with adversarial samples if wished.",
            TrainPage::Training,
        ),
        ("Paper’s study…", "AdvU-Net or inverse FGSM on your data: tables, figures and one report.", TrainPage::Study),
    ] {
        if ui.button(text).on_hover_text(tip).clicked() {
            commands.send(Command::Train(TrainCommand::Show(page)));
            ui.close();
        }
    }
}
