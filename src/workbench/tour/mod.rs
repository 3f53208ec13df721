//! Teaching: a tour in a few steps over the bundled sample, and a challenge in which ε is guessed.

mod challenge;
mod steps;

pub use challenge::{Challenge, score};
pub use steps::STEPS;

use super::seen::SeenCommand;
use super::seen::closely::BlindStep;
use super::several::Several;
use super::state::{Look, State};
use super::{Command, CommandSender, PanelKind, theme};
use crate::engine::Request;
use eframe::egui::{self, Context, Frame, Key, Margin, Modifiers, Panel, RichText, Ui};
use steps::Step;

/// A tour under way.
pub struct Tour {
    at: usize,
    /// What the window looked like before.
    before: Box<Before>,
    /// What the present step shows was asked for.
    shown: bool,
}

struct Before {
    epsilon: f64,
    method: crate::attack::Attack,
    view: super::state::View,
    look: Look,
    images_only: bool,
    several: Several,
    /// Opens what was open, if it was not the sample on the bundled model.
    open: Vec<Request>,
}

/// What opens the image that is open, and its model; nothing where it is the bundled one.
fn opens(state: &State, is_sample: bool) -> Vec<Request> {
    let model = state.card.file.clone().map(Request::OpenModel);
    let browse = &state.browse;
    let entry = browse.set.clone().zip(browse.chosen).map(|(set, index)| Request::OpenEntry { set, index });
    let file = state.case.as_ref().and_then(|case| {
        let (label, slice) = (case.label_path.clone(), Some(case.slice));
        case.path.clone().map(|image| Request::Open { image, label, slice })
    });
    let image = if is_sample { None } else { entry.or(file) };
    model.into_iter().chain(image).collect()
}

impl Tour {
    /// Begins at the first step, on the bundled sample and with the bundled model.
    pub fn new(state: &State, commands: &CommandSender) -> Self {
        let is_sample =
            state.case.as_ref().is_some_and(|c| c.path.is_none() && c.name == crate::data::BUNDLED_SAMPLE_NAME);
        let open = opens(state, is_sample);
        if state.card.file.is_some() {
            commands.request(Request::OpenBundledModel);
        }
        if !is_sample {
            commands.request(Request::OpenSample);
        }
        commands.send(Command::Seen(SeenCommand::Blind(BlindStep::End)));
        commands.send(Command::Attack(crate::attack::Attack::FGSM));
        // The last step speaks of the curves of one attack.
        commands.send(Command::Several(Box::new(Several { on: false, ..state.several.clone() })));
        let before = Before {
            epsilon: state.epsilon,
            method: state.method,
            view: state.view.clone(),
            look: state.look,
            images_only: state.images_only,
            several: state.several.clone(),
            open,
        };
        Self { at: 0, before: Box::new(before), shown: false }
    }

    /// The number of the present step, from 0.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether the present step speaks of the curves: they are shown in presenter mode too.
    pub fn shows_curves(&self) -> bool {
        self.at + 1 == STEPS.len()
    }

    fn step(&self) -> &'static Step {
        &STEPS[self.at.min(STEPS.len() - 1)]
    }

    /// Puts model and image, ε, view and look back.
    pub(super) fn end(&self, state: &State, commands: &CommandSender) {
        self.before.open.iter().for_each(|request| commands.request(request.clone()));
        commands.send(Command::Attack(self.before.method));
        commands.send(Command::Epsilon(self.before.epsilon));
        commands.send(Command::View(Box::new(self.before.view.clone())));
        commands.send(Command::Several(Box::new(self.before.several.clone())));
        if state.images_only != self.before.images_only {
            commands.send(Command::ImagesOnly(self.before.images_only));
        }
        if state.look.presenter != self.before.look.presenter {
            commands.send(Command::Look(Look { presenter: self.before.look.presenter, ..state.look }));
        }
    }

    fn go(&mut self, steps: isize, commands: &CommandSender) {
        let last = STEPS.len() - 1;
        match self.at.checked_add_signed(steps) {
            Some(at) if at <= last => (self.at, self.shown) = (at, false),
            Some(_) => commands.send(Command::Leave),
            None => {}
        }
    }

    /// The arrows step through it: they do not change ε meanwhile.
    pub(super) fn keys(&mut self, context: &Context, state: &State, commands: &CommandSender) {
        let pressed = |key| context.input_mut(|i| i.consume_key(Modifiers::NONE, key));
        let forward = pressed(Key::ArrowRight) | pressed(Key::PageDown);
        let back = pressed(Key::ArrowLeft) | pressed(Key::PageUp);
        let leave = state.view.focus.is_none() && pressed(Key::Escape);
        if forward {
            self.go(1, commands);
        } else if back {
            self.go(-1, commands);
        } else if leave && state.look.presenter {
            // As the window's notice says.
            commands.send(Command::Look(Look { presenter: false, ..state.look }));
        } else if leave {
            commands.send(Command::Leave);
        }
        if !self.shown && state.case_shown {
            self.shown = true;
            // Whatever panel lies over them: the words are of the pictures, and at last of the plot.
            commands.send(Command::Panel(PanelKind::Compare, true));
            if self.shows_curves() {
                commands.send(Command::Panel(PanelKind::Curves, true));
            }
            (self.step().show)(state, commands);
        }
    }

    /// The bar with the step's words.
    pub(super) fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        let step = self.step();
        let large = theme::type_size(&state.look);
        let mut go = 0;
        let fill = theme::of(ui).accent_wash;
        let frame = Frame::NONE.fill(fill).inner_margin(Margin::symmetric(16, 8));
        Panel::bottom("guided tour").frame(frame).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(theme::semibold(step.title).size(16.0 * large));
                ui.label(theme::weak(ui, format!("{} of {}", self.at + 1, STEPS.len())));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.button("End").on_hover_text("Esc").clicked() {
                        commands.send(Command::Leave);
                    }
                    if ui.button("Full screen").on_hover_text("F11").clicked() {
                        commands.send(Command::FullScreen);
                    }
                    let presenter = state.look.presenter;
                    let tip = "Large type, only pictures and ε. P";
                    if ui.add(egui::Button::selectable(presenter, "Presenter")).on_hover_text(tip).clicked() {
                        commands.send(Command::Look(Look { presenter: !presenter, ..state.look }));
                    }
                    let name = if self.at + 1 == STEPS.len() { "Finish" } else { "Next →" };
                    if ui.button(name).clicked() {
                        go = 1;
                    }
                    if ui.add_enabled(self.at > 0, egui::Button::new("← Back")).clicked() {
                        go = -1;
                    }
                });
            });
            ui.label(RichText::new((step.words)(state)).size(13.0 * large));
        });
        if go != 0 {
            self.go(go, commands);
        }
    }
}
