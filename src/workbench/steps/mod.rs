//! Step by step, for teaching: gradient → sign → ×ε → sum. Four linked pictures, each with its formula and a sentence
//! in plain words; they can be revealed one after the other. All of it is live: ε and the attack change it at once.

mod words;

use super::compare::canvas::Canvas;
use super::compare::picture::{Look, Shot};
use super::compare::{image_size, paint};
use super::icons::{Icon, icon_button};
use super::{Command, CommandSender, Pane, PaneContext, State, theme};
use crate::engine::{Frame, Plane};
use crate::view::Content;
use eframe::egui::{self, Align2, FontFamily, FontId, Id, Rect, RichText, TextStyle, Ui, UiBuilder, pos2, vec2};
use std::time::Duration;
pub use words::{Words, words};

/// How many steps there are.
pub const STEPS: usize = 4;
/// A step stays this long while they play.
const STEP_SECS: f64 = 1.6;
/// The smallest side of a picture beside others, in points.
const READABLE: f32 = 120.0;

/// The panel of the steps.
pub struct Steps {
    /// How many are revealed, 1 to [`STEPS`].
    revealed: usize,
    /// When the next one appears, while they play.
    next_at: Option<f64>,
    probing: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { revealed: STEPS, next_at: None, probing: false }
    }
}

impl Pane for Steps {
    fn title(&self) -> &str {
        "Step by step"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        let Some(frame) = state.frame.clone() else {
            ui.centered_and_justified(|ui| {
                ui.label(theme::weak(ui, "Open an image and a model: the attack is taken apart here"));
            });
            return;
        };
        self.play(ui, context);
        self.controls_ui(ui, state, &frame);
        let area = ui.available_rect_before_wrap();
        let mut hovered = false;
        for (step, cell) in cells(ui, area, state.geometry(image_size(&frame)).aspect()).into_iter().enumerate() {
            hovered |= self.step_ui(ui, step, cell, state, &frame, commands, context);
        }
        if !hovered && self.probing && state.probe.is_some() {
            commands.send(Command::Probe(None));
        }
        self.probing = hovered;
        ui.advance_cursor_after_rect(area);
    }
}

impl Steps {
    /// How many steps are revealed.
    pub fn revealed(&self) -> usize {
        self.revealed
    }

    fn play(&mut self, ui: &Ui, context: &PaneContext<'_>) {
        let Some(next_at) = self.next_at else { return };
        let now = ui.input(|i| i.time);
        if context.still {
            // Pictures of the window show the end of a play, not its middle.
            self.revealed = STEPS;
            self.next_at = None;
        } else if now >= next_at {
            self.revealed = (self.revealed + 1).min(STEPS);
            self.next_at = (self.revealed < STEPS).then_some(now + STEP_SECS);
        }
        if let Some(next_at) = self.next_at {
            ui.ctx().request_repaint_after(Duration::from_secs_f64((next_at - now).max(0.0) + 0.005));
        }
    }

    fn controls_ui(&mut self, ui: &mut Ui, state: &State, frame: &Frame) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let playing = self.next_at.is_some();
            let back = icon_button(ui, Icon::Previous, "Previous step", "", self.revealed > 1);
            let (icon, name) = if playing { (Icon::Pause, "Pause the steps") } else { (Icon::Play, "Play the steps") };
            let play = icon_button(ui, icon, name, "One after the other, from the first.", true);
            let forth = icon_button(ui, Icon::Next, "Next step", "", self.revealed < STEPS);
            if back.clicked() {
                self.revealed = (self.revealed - 1).max(1);
                self.next_at = None;
            }
            if forth.clicked() {
                self.revealed = (self.revealed + 1).min(STEPS);
                self.next_at = None;
            }
            if play.clicked() {
                self.next_at = if playing {
                    None
                } else {
                    if self.revealed >= STEPS {
                        self.revealed = 1;
                    }
                    Some(ui.input(|i| i.time) + STEP_SECS)
                };
            }
            ui.add_space(8.0);
            ui.label(theme::weak(ui, format!("Step {} of {STEPS}", self.revealed)));
            ui.add_space(12.0);
            ui.label(RichText::new(words::loss_line(state, frame)));
        });
    }

    /// One step in its cell. Whether the pointer is on its picture.
    #[expect(clippy::too_many_arguments, reason = "what every panel gets, and the step's place")]
    fn step_ui(
        &mut self,
        ui: &mut Ui,
        step: usize,
        cell: StepCell,
        state: &State,
        frame: &Frame,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) -> bool {
        let words = words(step, state, frame);
        let canvas = Canvas::new(ui, cell.picture, state.geometry(image_size(frame)), state.navigation);
        let revealed = step < self.revealed;
        let name = format!("Step {}, {}: {}", step + 1, words.title, words.formula);
        let id = Id::unique("step").with(step);
        let response = canvas.interact(ui, id, &name, state, commands, true);
        let look = Look::new(&state.view, state.look.theme, state.class_colours());
        let shot = self.shot(step, state, frame, &canvas, &look).filter(|_| revealed);
        match shot {
            Some(shot) => {
                paint(ui, context, id, &shot, &canvas, canvas.rect);
                if state.view.crosshair
                    && let Some(pixel) = state.probe
                {
                    canvas.crosshair(ui.painter(), pixel);
                }
            }
            None => blank_ui(ui, canvas.rect, if revealed { words.missing } else { "" }, step),
        }
        text_ui(ui, &cell, &words, step, revealed);
        response.contains_pointer()
    }

    fn shot(&self, step: usize, state: &State, frame: &Frame, canvas: &Canvas, look: &Look) -> Option<Shot> {
        let transform = canvas.viewport.transform();
        let shot = |content, plane: &Plane| Shot::of_image(content, plane, transform, look);
        Some(match step {
            0 => {
                let gradient = frame.gradient.as_ref()?;
                shot(Content::Noise { gain: gradient_gain(frame.gradient_peak) }, gradient)
            }
            1 => shot(Content::Noise { gain: 1.0 }, &frame.direction),
            2 => shot(Content::Noise { gain: state.view.gain_at(super::tuning::reach(frame)) }, &frame.noise),
            _ => shot(Content::Image { window: look.window }, &frame.adversarial),
        })
    }
}

/// The factor that brings a gradient to the colour range: most of it is far smaller than its largest value, so a fifth
/// of that one is already shown in the end colours.
fn gradient_gain(peak: f32) -> f32 {
    if peak > 0.0 && peak.is_finite() { 5.0 / peak } else { 1.0 }
}

/// A step's place.
#[derive(Clone, Copy, Debug)]
struct StepCell {
    picture: Rect,
    text: Rect,
}

/// Four columns, two by two, or one column with the words beside the pictures.
fn cells(ui: &Ui, area: Rect, aspect: f32) -> Vec<StepCell> {
    let body = TextStyle::Body.resolve(ui.style()).size;
    let gap = 12.0;
    let words = body * 7.4;
    let grid = |columns: usize| {
        let rows = STEPS.div_ceil(columns);
        let width = (area.width() - gap * (columns as f32 - 1.0)) / columns as f32;
        let height = (area.height() - gap * (rows as f32 - 1.0)) / rows as f32;
        let side = width.min((height - words) * aspect);
        (columns, vec2(width.floor(), height.floor()), side)
    };
    let best = [grid(4), grid(2), grid(1)].into_iter().max_by(|a, b| a.2.total_cmp(&b.2));
    let Some((columns, size, side)) = best else { return Vec::new() };
    let place = |i: usize| {
        let at = area.min + vec2((i % columns) as f32 * (size.x + gap), (i / columns) as f32 * (size.y + gap));
        Rect::from_min_size(at, size)
    };
    (0..STEPS)
        .map(|i| {
            let cell = place(i);
            if columns == 1 && side < READABLE * 2.0 && cell.width() > cell.height() * 1.6 {
                let split = cell.left() + cell.height() * aspect;
                return StepCell {
                    picture: Rect::from_min_max(cell.min, pos2(split, cell.bottom())),
                    text: Rect::from_min_max(pos2(split + gap, cell.top()), cell.max),
                };
            }
            let split = (cell.bottom() - words).max(cell.top());
            StepCell {
                picture: Rect::from_min_max(cell.min, pos2(cell.right(), split)),
                text: Rect::from_min_max(pos2(cell.left(), split + 4.0), cell.max),
            }
        })
        .collect()
}

fn blank_ui(ui: &Ui, rect: Rect, words: &str, step: usize) {
    let palette = theme::of(ui);
    ui.painter().rect_filled(rect, 4.0, palette.picture_background);
    if words.is_empty() {
        let font = FontId::new(28.0, FontFamily::Proportional);
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, format!("{}", step + 1), font, palette.line);
        return;
    }
    let font = TextStyle::Body.resolve(ui.style());
    let galley = ui.painter().layout(words.to_owned(), font, palette.weak, rect.width() - 24.0);
    let at = rect.center() - galley.size() * 0.5;
    ui.painter().galley(at, galley, palette.weak);
}

fn text_ui(ui: &mut Ui, cell: &StepCell, words: &Words, step: usize, revealed: bool) {
    ui.scope_builder(UiBuilder::new().id_salt(("words", step)).max_rect(cell.text), |ui| {
        ui.set_clip_rect(cell.text.intersect(ui.clip_rect()));
        ui.spacing_mut().item_spacing.y = 2.0;
        if !revealed {
            ui.multiply_opacity(0.35);
        }
        ui.horizontal(|ui| {
            ui.label(theme::semibold(format!("{} {}", step + 1, words.title)));
            let formula = RichText::new(&words.formula).color(theme::of(ui).accent);
            ui.add(egui::Label::new(formula).truncate()).on_hover_text(words.source);
        });
        ui.label(RichText::new(&words.plain).small());
        ui.label(theme::weak(ui, words.source).small());
    });
}
