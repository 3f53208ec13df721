//! Messages: short notes that go by themselves, and the line of the last failure, which stays until it is dismissed.
//! Notes are ordinary widgets, so that they wrap and screen readers meet them.

use super::command::{Command, CommandSender};
use super::icons::{Icon, icon_button};
use super::state::State;
use super::theme;
use crate::engine::Problem;
use eframe::egui::{self, Align, Align2, Frame, Label, Layout, Rect, RichText, Sense, Ui, vec2};

/// A note stays this many seconds after nobody points at it.
const NOTE_SECS: f64 = 6.0;

/// A message of a failure is at most this high, in points.
const MOST_PROBLEM: f32 = 64.0;
/// A note has at most so many letters; the whole message stands in its line.
const MOST_LETTERS: usize = 320;

struct Note {
    title: String,
    text: String,
    good: bool,
    until: f64,
}

/// The notes that are on the screen.
#[derive(Default)]
pub struct Notes {
    notes: Vec<Note>,
}

impl Notes {
    /// Says that something worked.
    pub fn good(&mut self, title: impl Into<String>, text: impl Into<String>, now: f64) {
        self.add(title.into(), text.into(), true, now);
    }

    /// Says that something failed.
    pub fn bad(&mut self, problem: &Problem, now: f64) {
        let mut why: String = problem.why.chars().take(MOST_LETTERS).collect();
        if why.len() < problem.why.len() {
            why.push('…');
        }
        self.add(problem.what.clone(), why, false, now);
    }

    fn add(&mut self, title: String, text: String, good: bool, now: f64) {
        self.notes.retain(|n| n.title != title || n.text != text);
        self.notes.push(Note { title, text, good, until: now + NOTE_SECS });
        if self.notes.len() > 4 {
            self.notes.remove(0);
        }
    }

    /// Nothing but its images may be on the screen: notes wait, and have their time afterwards.
    pub fn wait(&mut self, now: f64) {
        self.notes.iter_mut().for_each(|note| note.until = now + NOTE_SECS);
    }

    /// Draws them in the corner above `bottom`, the height of the bars there.
    pub fn ui(&mut self, context: &egui::Context, bottom: f32) {
        let now = context.input(|i| i.time);
        self.notes.retain(|n| n.until > now);
        let Some(next) = self.notes.iter().map(|n| n.until).reduce(f64::min) else { return };
        context.request_repaint_after_secs((next - now).clamp(0.05, 60.0) as f32);
        let mut dismissed = None;
        egui::Area::new(egui::Id::unique("notes"))
            .anchor(Align2::RIGHT_BOTTOM, vec2(-12.0, -bottom - 12.0))
            .order(egui::Order::Foreground)
            .show(context, |ui| {
                for (i, note) in self.notes.iter_mut().enumerate() {
                    let response = note_ui(ui, note, i, &mut dismissed);
                    if response.contains_pointer() {
                        note.until = now + NOTE_SECS;
                    }
                    ui.add_space(4.0);
                }
            });
        if let Some(index) = dismissed {
            self.notes.remove(index);
        }
    }
}

fn note_ui(ui: &mut Ui, note: &Note, index: usize, dismissed: &mut Option<usize>) -> egui::Response {
    let palette = theme::of(ui);
    let color = if note.good { palette.good } else { palette.bad };
    let frame = Frame::popup(ui.style()).inner_margin(12).stroke(egui::Stroke::new(1.0, color));
    frame
        .show(ui, |ui| {
            ui.set_width(340.0);
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(300.0);
                    ui.label(theme::semibold(&note.title).color(color));
                    ui.add(Label::new(&note.text).wrap());
                });
                if icon_button(ui, Icon::Close, "Dismiss note", "", true).clicked() {
                    *dismissed = Some(index);
                }
            });
        })
        .response
}

/// The line of the last failure: what, why, what to do.
pub fn problem_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(problem) = &state.problem else { return };
    let palette = theme::of(ui);
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
        Icon::Warning.paint(ui.painter(), Rect::from_center_size(rect.center(), vec2(16.0, 16.0)), palette.bad);
        ui.label(theme::semibold(&problem.what).color(palette.bad));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if icon_button(ui, Icon::Close, "Dismiss message", "Esc", true).clicked() {
                commands.send(Command::DismissProblem);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let why = Label::new(RichText::new(&problem.why).color(palette.text)).wrap();
                if problem.why.len() <= MOST_LETTERS {
                    ui.add(why).on_hover_text("The last good state stays on the screen.");
                    return;
                }
                // A long list (of operators, of tensors) is scrolled: it must not push the pictures away.
                egui::ScrollArea::vertical().id_salt("problem").max_height(MOST_PROBLEM).show(ui, |ui| {
                    ui.add(why).on_hover_text("The last good state stays on the screen.");
                });
            });
        });
    });
}
