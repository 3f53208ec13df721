//! The challenge: ε is hidden, a class guesses it from the pictures, and the guess is scored.

use crate::attack::Attack;
use crate::engine::{Frame, Request};
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::layout::{Lines, cells};
use crate::workbench::compare::picture::{Look, shot};
use crate::workbench::compare::{image_size, paint};
use crate::workbench::state::Picture;
use crate::workbench::tuning::is_of_levels;
use crate::workbench::{Command, CommandSender, PaneContext, State, theme};
use eframe::egui::{self, Id, Key, Margin, Modifiers, Panel, RichText, Slider, Ui};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Rounds of a game.
pub const ROUNDS: usize = 5;
/// Smallest and largest hidden ε, in grey levels of 8 bits.
const RANGE: [f64; 2] = [0.5, 48.0];
/// A guess that is off by this many doublings scores nothing.
const DOUBLINGS: f64 = 4.0;

/// A game.
pub struct Challenge {
    hidden: f64,
    /// The guess, log₂ of grey levels of 8 bits.
    guess: f64,
    revealed: bool,
    scores: Vec<u32>,
    /// The attack that was chosen, where another is played with: one that finds its own ε hides none.
    before: Option<Attack>,
}

/// Points of a guess: 100 where it is right, none from a factor of 16 on, evenly in doublings between.
pub fn score(guess: f64, truth: f64) -> u32 {
    let off = (guess / truth).log2().abs();
    if off.is_finite() { ((1.0 - off / DOUBLINGS).max(0.0) * 100.0).round() as u32 } else { 0 }
}

/// An ε by chance, evenly in its logarithm.
fn draw() -> f64 {
    let share = (RandomState::new().build_hasher().finish() >> 11) as f64 / (1u64 << 53) as f64;
    RANGE[0] * (RANGE[1] / RANGE[0]).powf(share) / 255.0
}

impl Challenge {
    /// Hides an ε.
    pub fn new(state: &State, commands: &CommandSender) -> Self {
        let before = Some(state.method).filter(|attack| !is_of_levels(attack));
        if before.is_some() {
            commands.send(Command::Attack(Attack::FGSM));
        }
        let new = Self { hidden: draw(), guess: 2.0, revealed: false, scores: Vec::new(), before };
        commands.request(Request::Epsilon(new.hidden));
        new
    }

    /// Puts ε and the attack back.
    pub(in crate::workbench) fn end(&self, state: &State, commands: &CommandSender) {
        if let Some(attack) = self.before {
            commands.send(Command::Attack(attack));
        }
        commands.request(Request::Epsilon(state.epsilon));
    }

    /// The hidden ε, once it was revealed.
    pub fn revealed(&self) -> Option<f64> {
        self.revealed.then_some(self.hidden)
    }

    /// The points of the rounds so far.
    pub fn scores(&self) -> &[u32] {
        &self.scores
    }

    fn guessed(&self) -> f64 {
        self.guess.exp2() / 255.0
    }

    fn reveal(&mut self) {
        if !self.revealed {
            self.revealed = true;
            self.scores.push(score(self.guessed(), self.hidden));
        }
    }

    fn next(&mut self, commands: &CommandSender) {
        if self.scores.len() >= ROUNDS {
            self.scores.clear();
        }
        (self.hidden, self.revealed) = (draw(), false);
        commands.request(Request::Epsilon(self.hidden));
    }

    /// Whether the pictures are of the hidden ε.
    pub fn is_ready(&self, state: &State) -> bool {
        let is_hidden =
            |frame: &Frame| (frame.shown_epsilon() - self.hidden).abs() < 1e-12 && is_of_levels(&frame.method);
        state.frame.as_deref().is_some_and(is_hidden)
    }

    /// Draws it into all of `ui`.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        let palette = theme::of(ui);
        if ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
            commands.send(Command::Leave);
        }
        let enter = ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Enter));
        let bar = egui::Frame::NONE.fill(palette.bar).inner_margin(Margin::symmetric(16, 10));
        Panel::top("challenge").frame(bar).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(theme::semibold("Guess the ε").size(18.0));
                let round = self.scores.len() + usize::from(!self.revealed);
                ui.label(theme::weak(ui, format!("Round {round} of {ROUNDS}")));
                let total: u32 = self.scores.iter().sum();
                if !self.scores.is_empty() {
                    let most = 100 * self.scores.len();
                    ui.label(RichText::new(format!("{total} of {most} points")).color(palette.accent).size(16.0));
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.button("End").on_hover_text("Esc").clicked() {
                        commands.send(Command::Leave);
                    }
                });
            });
        });
        let ready = self.is_ready(state);
        Panel::bottom("guess").frame(bar).show(ui, |ui| self.guess_ui(ui, state, commands, ready, enter));
        let fill = egui::Frame::NONE.fill(palette.picture_background).inner_margin(8);
        egui::CentralPanel::default().frame(fill).show(ui, |ui| {
            if ready {
                self.pictures_ui(ui, state, commands, context);
            } else {
                ui.centered_and_justified(|ui| ui.label("The pictures are being computed…"));
            }
        });
    }

    fn guess_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, ready: bool, enter: bool) {
        let palette = theme::of(ui);
        let text = |epsilon: f64| state.epsilon_text(epsilon);
        ui.horizontal(|ui| {
            ui.label(RichText::new("ε").size(20.0));
            ui.spacing_mut().slider_width = (ui.available_width() - 330.0).clamp(160.0, 760.0);
            let [low, high] = RANGE.map(f64::log2);
            let slider = Slider::new(&mut self.guess, low..=high).show_value(false);
            ui.add_enabled(!self.revealed, slider).accessible_name("Guess of ε");
            ui.label(RichText::new(text(self.guessed())).size(18.0));
            if self.revealed {
                let name = if self.scores.len() >= ROUNDS { "Play again" } else { "Next" };
                if ui.button(RichText::new(name).size(16.0)).on_hover_text("Enter").clicked() || enter {
                    self.next(commands);
                }
            } else {
                let button = egui::Button::new(RichText::new("That is it").size(16.0));
                if ui.add_enabled(ready, button).on_hover_text("Enter").clicked() || (enter && ready) {
                    self.reveal();
                }
            }
        });
        ui.horizontal_wrapped(|ui| match (self.revealed, self.scores.last(), &state.frame) {
            (true, Some(points), Some(frame)) => {
                let colour = if *points >= 50 { palette.good } else { palette.warning };
                ui.label(RichText::new(format!("ε was {}: {points} points.", text(self.hidden))).color(colour).size(16.0));
                let (clean, attacked) = (&frame.clean, &frame.adversarial_measure);
                ui.label(format!("{} went from {:.3} to {:.3}.", clean.score_name(), clean.score(), attacked.score()));
                if self.scores.len() >= ROUNDS {
                    let total: u32 = self.scores.iter().sum();
                    ui.label(theme::semibold(format!("{total} of {} points in all.", 100 * ROUNDS)));
                }
            }
            _ => {
                ui.label(theme::weak(
                    ui,
                    "How much was the image on the right changed? 100 points for the exact ε, 25 fewer for every factor of two.",
                ));
            }
        });
    }

    fn pictures_ui(&self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        let Some(frame) = state.frame.clone() else { return };
        let geometry = state.geometry(image_size(&frame));
        let pictures: &[Picture] = if self.revealed && frame.scores.is_some() {
            &[Picture::Original, Picture::Noise, Picture::Adversarial]
        } else if self.revealed {
            &[Picture::Original, Picture::Noise, Picture::Adversarial, Picture::AdversarialSegmentation]
        } else {
            &[Picture::Original, Picture::Adversarial]
        };
        let area = ui.available_rect_before_wrap();
        let places = cells(area, geometry.aspect(), pictures.len(), Lines::scaled(1.2));
        for (&picture, cell) in pictures.iter().zip(&places) {
            let id = Id::unique("challenge").with(picture);
            let canvas = Canvas::new(ui, cell.picture, geometry, state.navigation);
            let title = match picture {
                Picture::Adversarial => "Changed by an unknown ε",
                other => other.title(),
            };
            let title = if self.revealed { picture.title() } else { title };
            canvas.interact(ui, id, title, state, commands, true);
            let look = Look::new(&state.view, state.look.theme, state.class_colours());
            let shot = shot(picture, &frame, &state.view, canvas.viewport.transform(), &look);
            paint(ui, context, id, &shot, &canvas, canvas.rect);
            let builder =
                egui::UiBuilder::new().max_rect(cell.title).layout(egui::Layout::left_to_right(egui::Align::Center));
            ui.scope_builder(builder, |ui| ui.add(egui::Label::new(theme::semibold(title)).selectable(false)));
        }
        ui.advance_cursor_after_rect(area);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_fall_with_the_factor() {
        assert_eq!(score(0.01, 0.01), 100);
        assert_eq!(score(0.02, 0.01), 75);
        assert_eq!(score(0.005, 0.01), 75);
        assert_eq!(score(0.5, 0.01), 0);
        assert_eq!(score(0.0, 0.01), 0);
    }

    #[test]
    fn chance_stays_in_its_range() {
        let drawn: Vec<f64> = (0..500).map(|_| draw() * 255.0).collect();
        assert!(drawn.iter().all(|level| (RANGE[0] - 1e-9..=RANGE[1] + 1e-9).contains(level)));
        // Half of them below the middle of the logarithm, 4.9 levels.
        let low = drawn.iter().filter(|level| **level < (RANGE[0] * RANGE[1]).sqrt()).count();
        assert!((180..320).contains(&low), "{low} of 500");
    }
}
