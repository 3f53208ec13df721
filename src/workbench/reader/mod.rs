//! The reader study in the window: what is asked and on which screen, the trials, the threshold.
//!
//! The session is kept by the engine: an answer is on disk before the next trial is known here. Images are made ahead, so that
//! a trial waits for nothing once its fixation mark is shown.

mod calibration;
mod draft;
mod images;
mod results;
mod setup;
mod stage;
mod trial;

pub use draft::Draft;
pub use trial::{Clock, Phase};

use super::{Command, CommandSender, PaneContext, State, theme};
use crate::engine::{Plane, ReaderEvent, ReaderRequest, Request, SessionEntry, SessionView, Stimulus, StudyImage};
use crate::observer::{Measured, Next, Thresholds, Trial};
use eframe::egui::{self, Align, Frame, Key, Layout, Margin, Modifiers, RichText, ScrollArea, Ui};
use std::collections::HashMap;
use std::path::PathBuf;

/// What is shown.
#[derive(Debug)]
enum Screen {
    /// What is asked, and earlier sessions.
    Setup,
    /// How large the screen's pixels are.
    Calibration(calibration::Card),
    /// What the observer has to do.
    Instructions,
    /// A trial.
    Trial(Clock),
    /// A break.
    Break,
    /// The threshold.
    Results,
}

/// A study in the window.
pub struct Reader {
    screen: Screen,
    /// What is going to be asked.
    pub draft: Draft,
    session: Option<Box<SessionView>>,
    sessions: Vec<SessionEntry>,
    stock: Stock,
    /// The images of a study over several.
    images: Vec<StudyImage>,
    /// They are being read.
    reading: Option<images::Reading>,
    problem: Option<String>,
    note: Option<String>,
    /// An answer is being written.
    saving: bool,
}

/// The images that are ready.
#[derive(Default)]
struct Stock {
    id: u64,
    noise: Option<Plane>,
    /// By condition and ε, with the ε that the screen shows; ε is 0 of the originals.
    images: HashMap<(usize, u64), (Plane, f64)>,
    expected: usize,
    /// How the image of each condition lies.
    lies: Vec<images::Lie>,
}

impl Stock {
    /// The attacked image of `trial` with the ε that the screen shows; the original where nothing is to be altered.
    fn get(&self, trial: &Trial) -> Option<(&Plane, f64)> {
        self.images.get(&(trial.condition, trial.epsilon.to_bits())).map(|(plane, shown)| (plane, *shown))
    }

    /// What `condition` alters.
    fn original(&self, condition: usize) -> Option<&Plane> {
        self.images.get(&(condition, 0f64.to_bits())).map(|(plane, _)| plane)
    }
}

impl Reader {
    /// Begins with the form. Sessions are kept in `folder`.
    pub fn new(folder: PathBuf, commands: &CommandSender) -> Self {
        commands.request(Request::Reader(ReaderRequest::List(folder.clone())));
        Self {
            screen: Screen::Setup,
            draft: Draft::new(folder),
            session: None,
            sessions: Vec::new(),
            stock: Stock::default(),
            images: Vec::new(),
            reading: None,
            problem: None,
            note: None,
            saving: false,
        }
    }

    /// The session, once one is open.
    pub fn session(&self) -> Option<&SessionView> {
        self.session.as_deref()
    }

    /// The trial on the screen and how far it is.
    pub fn clock(&self) -> Option<&Clock> {
        match &self.screen {
            Screen::Trial(clock) => Some(clock),
            _ => None,
        }
    }

    /// Whether the observer is told what to do.
    pub fn instructs(&self) -> bool {
        matches!(self.screen, Screen::Instructions)
    }

    /// News of the session.
    pub fn hear(&mut self, event: ReaderEvent, state: &State, commands: &CommandSender) {
        match event {
            ReaderEvent::Listed(sessions) => self.sessions = sessions,
            ReaderEvent::Exported(path) => self.note = Some(format!("Wrote {}", path.display())),
            ReaderEvent::Failed(problem) => {
                self.problem = Some(problem.why);
                self.saving = false;
                if let Screen::Trial(clock) = &mut self.screen {
                    // The answer was not taken: it can be given again.
                    clock.ask_again();
                }
            }
            // The workbench's, which hears them itself.
            ReaderEvent::Thresholds { .. } => {}
            ReaderEvent::Session(view) => self.follow(view, state, commands),
        }
    }

    fn follow(&mut self, view: Box<SessionView>, state: &State, commands: &CommandSender) {
        self.saving = false;
        self.problem = None;
        let first = self.session.as_ref().is_none_or(|old| old.path != view.path);
        if first {
            self.note = view.note.clone();
            match self.prepare(&view, state, commands) {
                Ok(true) => {}
                Ok(false) => {
                    // Once its images are read.
                    if let Some(reading) = &mut self.reading {
                        reading.view = Some(view);
                    }
                    return;
                }
                Err(why) => {
                    commands.request(Request::Reader(ReaderRequest::Close));
                    self.problem = Some(why);
                    return;
                }
            }
        }
        let next = view.next;
        self.session = Some(view);
        let feedback = match &mut self.screen {
            Screen::Trial(clock) => clock.gives_feedback(self.session.as_deref()),
            _ => false,
        };
        match next {
            Next::Done => self.finish(commands),
            _ if first => self.screen = Screen::Instructions,
            _ if feedback => {}
            Next::Break { .. } => self.screen = Screen::Break,
            Next::Trial(trial) => self.begin_trial(trial),
        }
    }

    /// Begins a trial. Each has a mask of its own: the eye would get used to one.
    fn begin_trial(&mut self, trial: Trial) {
        if let (Some(session), Some(original)) = (&self.session, self.stock.original(trial.condition)) {
            let seed =
                session.header.plan.seed.wrapping_add(0x9E37_79B9_7F4A_7C15u64.wrapping_mul(trial.index as u64 + 1));
            let masked = session.header.plan.timing.mask_ms > 0;
            let noise = masked.then(|| trial::noise(original.height, original.width, seed));
            self.stock.noise = noise;
        }
        self.screen = Screen::Trial(Clock::new(trial));
    }

    /// Goes on after feedback.
    fn advance(&mut self) {
        match self.session.as_ref().map(|s| s.next) {
            Some(Next::Trial(trial)) => self.begin_trial(trial),
            Some(Next::Break { .. }) => self.screen = Screen::Break,
            _ => {}
        }
    }

    fn finish(&mut self, commands: &CommandSender) {
        self.screen = Screen::Results;
        commands.request(Request::Stimuli(None));
        let Some(session) = &self.session else { return };
        if let Some(Ok(found)) = session.result.as_ref().map(|r| r.thresholds.clone()) {
            // One that the study did not reach is no limit.
            let reached = found.iter().map(Thresholds::measured).filter(Measured::is_reached).collect();
            commands.send(Command::Seen(super::seen::SeenCommand::Thresholds(reached)));
        }
    }

    /// An image is ready.
    pub fn take(&mut self, stimulus: Stimulus) {
        if stimulus.id != self.stock.id {
            return;
        }
        match stimulus.image {
            Ok(image) => {
                self.stock.images.insert((stimulus.condition, stimulus.epsilon.to_bits()), image);
            }
            Err(why) => self.problem = Some(why),
        }
    }

    /// Draws the study into all of `ui`.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        let palette = theme::of(ui);
        if ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
            self.escape(commands);
        }
        let fill = if self.clock().is_some() { theme::SURROUND } else { palette.panel };
        egui::CentralPanel::default().frame(Frame::NONE.fill(fill).inner_margin(Margin::same(16))).show(ui, |ui| {
            match &mut self.screen {
                Screen::Setup => {
                    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.setup_ui(ui, state, commands));
                }
                Screen::Calibration(card) => {
                    if card.ui(ui, state, commands) {
                        self.screen = Screen::Setup;
                    }
                }
                Screen::Instructions => self.instructions_ui(ui, state, commands),
                Screen::Trial(_) => self.trial_ui(ui, state, commands, context),
                Screen::Break => self.break_ui(ui, commands),
                Screen::Results => {
                    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.results_ui(ui, state, commands));
                }
            }
        });
    }

    fn escape(&mut self, commands: &CommandSender) {
        match self.screen {
            Screen::Calibration(_) => self.screen = Screen::Setup,
            Screen::Setup => commands.send(Command::Leave),
            _ => self.back_to_setup(commands),
        }
    }

    /// Back to the form. What was answered is on disk.
    fn back_to_setup(&mut self, commands: &CommandSender) {
        commands.request(Request::Reader(ReaderRequest::Close));
        commands.request(Request::Stimuli(None));
        commands.request(Request::Reader(ReaderRequest::List(self.draft.folder())));
        self.session = None;
        self.reading = None;
        self.stock = Stock::default();
        self.screen = Screen::Setup;
    }

    fn instructions_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        let Some(session) = self.session.clone() else { return };
        let plan = &session.header.plan;
        let (task, keys) = trial::words(plan.task);
        let ready = self.stock.images.len();
        let needed = (plan.practice.max(1) + plan.conditions.len()).min(self.stock.expected);
        let started = match session.next {
            Next::Trial(trial) => {
                self.stock.get(&trial).is_some() && self.stock.original(trial.condition).is_some() && ready >= needed
            }
            Next::Break { .. } => true,
            Next::Done => false,
        };
        let mut begin = false;
        narrow(ui, 560.0, |ui| {
            ui.label(theme::semibold("Before you begin").size(20.0));
            ui.add_space(8.0);
            ui.label(RichText::new(task).size(16.0));
            ui.label(RichText::new(keys).size(16.0));
            ui.add_space(8.0);
            let timing = plan.timing;
            let shown = match timing.shown_ms {
                Some(ms) => format!("The images stay for {ms} ms"),
                None => "The images stay until you answer".to_owned(),
            };
            let mask =
                if timing.mask_ms > 0 { format!(", then noise for {} ms", timing.mask_ms) } else { String::new() };
            ui.label(format!("Look at the cross. {shown}{mask}. Guess if you are not sure."));
            let practice = plan.practice.saturating_sub(session.last.map_or(0, |l| l.trial.index + 1));
            let (done, total) = session.progress;
            let left = total - done;
            ui.label(match practice {
                0 => format!("{left} trials, without feedback."),
                _ => format!("{practice} practice trials with feedback, then {left} trials without."),
            });
            ui.label(theme::weak(
                ui,
                format!(
                    "Every answer is written to {} before the next trial. Esc ends; the session can be resumed.",
                    session.path.display()
                ),
            ));
            if let Some(levels) = &plan.levels {
                let [first, last] = plan.shown_range().map(|e| state.epsilon_text(e));
                let text = format!(
                    "On this screen {} ε from {first} to {last} are different pictures; no other is shown.",
                    levels.len()
                );
                ui.label(theme::weak(ui, text));
            }
            if let Some(note) = &self.note {
                ui.label(RichText::new(note).color(theme::of(ui).warning));
            }
            self.problem_ui(ui);
            ui.add_space(12.0);
            ui.horizontal(|ui| {
                let button = egui::Button::new(RichText::new("Begin").size(16.0)).fill(theme::of(ui).accent_wash);
                begin = ui.add_enabled(started, button).on_hover_text("Enter").clicked();
                if ready < self.stock.expected && self.problem.is_none() {
                    ui.spinner();
                    let text = format!("{ready} of {} images are ready", self.stock.expected);
                    ui.label(theme::weak(ui, text));
                }
                if ui.button("Back").clicked() {
                    self.back_to_setup(commands);
                }
            });
        });
        if started && (begin || ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter))) {
            self.advance();
        }
    }

    fn break_ui(&mut self, ui: &mut Ui, commands: &CommandSender) {
        let Some(Next::Break { done, total }) = self.session.as_ref().map(|s| s.next) else { return };
        let mut go_on = false;
        narrow(ui, 480.0, |ui| {
            ui.label(theme::semibold("A break").size(20.0));
            ui.add_space(8.0);
            ui.label(format!("{done} of {total} trials are done. Look away from the screen for a while."));
            self.problem_ui(ui);
            ui.add_space(12.0);
            let button = egui::Button::new(RichText::new("Go on").size(16.0)).fill(theme::of(ui).accent_wash);
            go_on = ui.add(button).on_hover_text("Enter").clicked();
        });
        let key = ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter));
        if (go_on || key) && !self.saving {
            self.saving = true;
            commands.request(Request::Reader(ReaderRequest::Rested));
        }
    }

    fn problem_ui(&self, ui: &mut Ui) {
        if let Some(problem) = &self.problem {
            ui.label(RichText::new(problem).color(theme::of(ui).bad));
        }
    }
}

/// A column of text in the middle of the window.
fn narrow(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    let room = ui.available_size();
    let margin = ((room.x - width) / 2.0).max(0.0);
    ui.add_space((room.y * 0.2).min(140.0));
    ui.horizontal(|ui| {
        ui.add_space(margin);
        ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
            ui.set_max_width(width.min(room.x));
            add(ui);
        });
    });
}
