//! Looking closely: how fast pictures blink, the key that exchanges them, and a comparison in which nobody is told which is which.

use super::SeenCommand;
use crate::engine::Frame;
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::layout::{Lines, cells};
use crate::workbench::compare::picture::{Look, shot};
use crate::workbench::compare::{image_size, magnifier, paint};
use crate::workbench::state::{Comparison, Picture};
use crate::workbench::{Command, CommandSender, PaneContext, State, theme};
use eframe::egui::{self, Align, Button, DragValue, Id, Layout, RichText, Ui, UiBuilder};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Nothing blinks faster unless a person allows it: more than three flashes a second can set off seizures (WCAG 2.2, success
/// criterion 2.3.1).
pub const MOST_HZ: f32 = 3.0;
/// The fastest that can be allowed.
const ALLOWED_HZ: f32 = 10.0;

/// How often a second the original comes back while pictures blink.
pub fn blink_hz(state: &State) -> f32 {
    let most = if state.seen.settings.fast_blink { ALLOWED_HZ } else { MOST_HZ };
    (0.5 / state.view.blink_secs.max(1e-3)).min(most)
}

/// Whether adversarial pictures show their originals now. Asks for the repaint that changes it.
pub fn shows_original(ui: &Ui, state: &State) -> bool {
    match state.view.comparison {
        Comparison::Blink => {
            let period = f64::from(0.5 / blink_hz(state));
            let time = ui.input(|i| i.time);
            ui.ctx().request_repaint_after(Duration::from_secs_f64(period - time % period + 0.001));
            (time / period) as u64 % 2 == 1
        }
        Comparison::Toggle => state.seen.toggled,
        _ => false,
    }
}

/// The rate at which pictures blink.
pub fn rate_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let mut hz = blink_hz(state);
    let fast = state.seen.settings.fast_blink;
    let most = if fast { ALLOWED_HZ } else { MOST_HZ };
    let drag = DragValue::new(&mut hz).range(0.15..=most).speed(0.01).fixed_decimals(1).suffix(" Hz");
    let tip = "How often a second the original comes back. At most 3 Hz: faster flicker can set off seizures in people with \
               photosensitive epilepsy. A right click allows more.";
    let response = ui.add(drag).accessible_name("Blink rate").on_hover_text(tip);
    if response.changed() {
        super::super::compare::change(state, commands, |view| view.blink_secs = 0.5 / hz.max(0.15));
    }
    response.context_menu(|ui| {
        let mut allowed = fast;
        let tip = "Only where nobody who looks is photosensitive.";
        if ui.checkbox(&mut allowed, "Allow up to 10 Hz").on_hover_text(tip).changed() {
            let settings = super::SeenSettings { fast_blink: allowed, ..state.seen.settings.clone() };
            commands.send(Command::Seen(SeenCommand::Set(Box::new(settings))));
        }
    });
}

/// What a person does in the blind comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlindStep {
    /// Begin.
    Begin,
    /// Say that the first (`true`) or the second picture is the attacked one.
    Answer(bool),
    /// Show which it is.
    Reveal,
    /// Deal anew.
    Next,
    /// Back to all pictures.
    End,
}

/// Original and adversarial image as A and B, in an order that chance decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// The adversarial image is the first one.
    adversarial_first: bool,
    /// What was answered, if it was.
    answered: Option<bool>,
    /// Which is which is shown.
    revealed: bool,
    /// Answers given, and how many of them were right.
    pub score: [usize; 2],
}

impl Blind {
    /// Dealt by chance.
    pub fn new() -> Self {
        Self { adversarial_first: toss(), ..Self::default() }
    }

    /// Whether the first picture is the attacked one; `None` while nobody may know.
    pub fn adversarial_first(&self) -> Option<bool> {
        self.revealed.then_some(self.adversarial_first)
    }

    pub(super) fn answer(&mut self, first: bool) {
        if self.revealed {
            return;
        }
        self.answered = Some(first);
        self.score[0] += 1;
        self.score[1] += usize::from(first == self.adversarial_first);
        self.revealed = true;
    }

    pub(super) fn reveal(&mut self) {
        self.revealed = true;
    }

    pub(super) fn next(&mut self) {
        *self = Self { score: self.score, ..Self::new() };
    }

    fn picture(&self, second: bool) -> Picture {
        if self.adversarial_first == second { Picture::Original } else { Picture::Adversarial }
    }
}

/// A coin. The standard library seeds its hashers from the system's randomness.
fn toss() -> bool {
    RandomState::new().build_hasher().finish() & 1 == 1
}

/// The comparison, in place of all pictures: side by side, or in one place if pictures blink or are exchanged.
pub fn blind_ui(
    ui: &mut Ui,
    state: &State,
    frame: &Frame,
    blind: &Blind,
    commands: &CommandSender,
    context: &mut PaneContext<'_>,
) {
    let step = |step| commands.send(Command::Seen(SeenCommand::Blind(step)));
    ui.horizontal_wrapped(|ui| {
        ui.label(theme::semibold("Blind comparison"));
        match (blind.revealed, blind.answered) {
            (false, _) => {
                ui.label("Which one was attacked?");
                for (name, first) in [("A", true), ("B", false)] {
                    if ui.button(name).on_hover_text(format!("Picture {name} is the adversarial image.")).clicked() {
                        step(BlindStep::Answer(first));
                    }
                }
                if ui.button("Reveal").on_hover_text("Show which is which without an answer.").clicked() {
                    step(BlindStep::Reveal);
                }
            }
            (true, answered) => {
                let palette = theme::of(ui);
                let name = if blind.adversarial_first { "A" } else { "B" };
                let (words, colour) = match answered {
                    Some(first) if first == blind.adversarial_first => ("Right: ", palette.good),
                    Some(_) => ("Wrong: ", palette.bad),
                    None => ("", palette.text),
                };
                ui.label(RichText::new(format!("{words}{name} was attacked")).color(colour));
                if ui.button("Deal again").clicked() {
                    step(BlindStep::Next);
                }
            }
        }
        let [answers, right] = blind.score;
        if answers > 0 {
            ui.label(theme::weak(ui, format!("{right} of {answers} right; guessing gives half")));
        }
        if ui.button("End").on_hover_text("Back to all pictures. Esc").clicked() {
            step(BlindStep::End);
        }
    });
    let area = ui.available_rect_before_wrap();
    let geometry = state.geometry(image_size(frame));
    let one = matches!(state.view.comparison, Comparison::Blink | Comparison::Toggle);
    let second_now = shows_original(ui, state);
    let shown: &[bool] = if one { &[second_now] } else { &[false, true] };
    let places = cells(area, geometry.aspect(), shown.len(), Lines::scaled(theme::type_size(&state.look)));
    for (&second, cell) in shown.iter().zip(&places) {
        let id = Id::unique("blind").with(if one { 2 } else { usize::from(second) });
        let canvas = Canvas::new(ui, cell.picture, geometry, state.navigation);
        let picture = blind.picture(second);
        let letter = if second { "B" } else { "A" };
        let title = if blind.revealed { format!("{letter}: {}", picture.title()) } else { format!("Picture {letter}") };
        canvas.interact(ui, id, &title, state, commands, true);
        let look = Look::new(&state.view, state.look.theme, state.class_colours());
        let shot = shot(picture, frame, &state.view, canvas.viewport.transform(), &look);
        paint(ui, context, id, &shot, &canvas, canvas.rect);
        if let Some(pixel) = state.probe {
            canvas.crosshair(ui.painter(), pixel);
            if state.magnifier || ui.input(|i| i.key_down(egui::Key::Z) && i.modifiers.is_none()) {
                magnifier::magnifier(ui, context, id.with("magnifier"), &shot, &canvas, pixel);
            }
        }
        let builder = UiBuilder::new().max_rect(cell.title).layout(Layout::left_to_right(Align::Center));
        ui.scope_builder(builder, |ui| ui.add(egui::Label::new(theme::semibold(title)).selectable(false)));
    }
    ui.advance_cursor_after_rect(area);
}

/// The button that begins the blind comparison.
pub fn blind_button(ui: &mut Ui, commands: &CommandSender) {
    let tip = "Original and adversarial image as A and B, and nobody is told which is which.";
    if ui.add(Button::new("Blind")).on_hover_text(tip).clicked() {
        commands.send(Command::Seen(SeenCommand::Blind(BlindStep::Begin)));
        ui.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blind_comparison_tells_nothing_before_its_answer() {
        let mut blind = Blind { adversarial_first: true, ..Blind::default() };
        assert_eq!(blind.adversarial_first(), None);
        assert_eq!([blind.picture(false), blind.picture(true)], [Picture::Adversarial, Picture::Original]);
        blind.answer(true);
        blind.answer(false);
        assert_eq!((blind.adversarial_first(), blind.score), (Some(true), [1, 1]), "one answer a deal");
        let mut seen = [false; 2];
        for _ in 0..200 {
            blind.next();
            assert_eq!((blind.adversarial_first(), blind.score), (None, [1, 1]));
            seen[usize::from(blind.adversarial_first)] = true;
        }
        assert_eq!(seen, [true; 2], "chance decides");
    }
}
