//! An attack of many steps under way: how far it is, its loss at each step, and the button that stops it.

use super::command::CommandSender;
use super::state::State;
use super::status::secs_text;
use super::theme;
use crate::attack::{Attack, Judgement, Reference};
use crate::engine::{AttackRun, Request, RunEnd};
use eframe::egui::{self, Button, ProgressBar, RichText, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

/// The accessible name of the button that stops an attack.
pub const STOP_LABEL: &str = "Stop";
/// The accessible name of the button that begins an attack which takes long.
pub const RUN_LABEL: &str = "Run";
/// The height of the plot of the loss, in points.
const PLOT: f32 = 56.0;

/// An attack of many steps with all that was heard of it.
#[derive(Clone, Debug)]
pub struct LiveRun {
    /// The newest news.
    pub news: AttackRun,
    /// How the image stood at each step.
    pub judged: Vec<Judgement>,
}

impl LiveRun {
    /// Takes news; those of another run begin anew.
    pub fn hear(run: &mut Option<Self>, news: AttackRun) {
        match run {
            Some(run) if run.news.number == news.number => {
                run.judged.extend_from_slice(&news.judged);
                run.news = news;
            }
            // An older run has nothing to say any more.
            Some(run) if run.news.number > news.number => {}
            _ => *run = Some(Self { judged: news.judged.clone(), news }),
        }
    }

    /// Whether it is under way.
    pub fn is_active(&self) -> bool {
        self.news.end.is_none()
    }

    /// Seconds left, if every step takes as long as those before and all are taken.
    pub fn remaining_secs(&self) -> f64 {
        let AttackRun { done, of, secs, .. } = self.news;
        secs / done.max(1) as f64 * of.saturating_sub(done) as f64
    }

    /// `step 12 of 40`, and how long is left.
    pub fn text(&self) -> String {
        let AttackRun { done, of, secs, end, .. } = self.news;
        match end {
            None => format!("step {done} of {of}, {} left", secs_text(self.remaining_secs().max(0.1))),
            Some(RunEnd::Complete) => format!("{done} steps in {}", secs_text(secs)),
            Some(RunEnd::Stopped) if done == 0 => format!("not begun: takes about {}", secs_text(secs)),
            Some(RunEnd::Stopped) => format!("stopped at step {done} of {of}"),
            Some(RunEnd::GivenUp) => format!("given up at step {done} of {of}"),
        }
    }
}

impl State {
    /// The run of the wished attack, if one was heard of.
    pub fn present_run(&self) -> Option<&LiveRun> {
        self.run.as_ref().filter(|run| {
            let found = run.news.method.entry().epsilon == crate::attack::EpsilonMeaning::Found;
            run.news.method == self.method && (found || run.news.epsilon == self.epsilon || run.is_active())
        })
    }

    /// Whether an attack of many steps is under way.
    pub fn is_attacking(&self) -> bool {
        self.run.as_ref().is_some_and(LiveRun::is_active)
    }
}

/// What the attack raises or lowers, in words.
pub fn objective_text(state: &State, attack: &Attack) -> String {
    let target = state.case.as_ref().is_some_and(|case| case.target.is_some());
    let lowers = attack.entry().lowers_the_loss || target;
    let loss = match state.model.as_ref().map(|m| m.head) {
        Some(crate::model::Head::Softmax) => "Cross-entropy",
        _ => "Binary cross-entropy",
    };
    let of = match state.case.as_ref().map(|c| c.reference) {
        _ if target => "of the target",
        Some(Reference::Label) => "against the label",
        _ => "against the clean prediction",
    };
    format!("{loss} {of}, {}", if lowers { "lowered" } else { "raised" })
}

/// Draws the run of the wished attack: its steps, its loss, and the button that stops it.
pub fn run_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(run) = state.present_run() else { return };
    let palette = theme::of(ui);
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        let color = if run.news.end == Some(RunEnd::Stopped) { palette.warning } else { palette.text };
        let mut text = run.text();
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        ui.label(RichText::new(text).color(color)).on_hover_text(match run.news.end {
            Some(RunEnd::Stopped) if run.news.done == 0 => {
                "It takes thousands of gradients, so that it begins when you say so."
            }
            Some(RunEnd::Stopped) => {
                "The best image until then is shown and kept. The curve does not take it for the attack."
            }
            _ => "Each step takes a gradient. Moving ε or changing the attack begins anew.",
        });
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| match run.news.end {
            None => {
                let button = ui.add(Button::new(STOP_LABEL));
                if button.on_hover_text("Stop here and keep the best so far. Esc").clicked() {
                    commands.request(Request::StopAttack);
                }
            }
            Some(RunEnd::Stopped) => {
                let name = if run.news.done == 0 { RUN_LABEL } else { "Run again" };
                if ui.button(name).on_hover_text("From the first step, to the end.").clicked() {
                    commands.request(Request::RunAttack);
                }
            }
            Some(_) => {}
        });
    });
    if run.is_active() {
        let share = run.news.done as f32 / run.news.of.max(1) as f32;
        ui.add(ProgressBar::new(share).desired_height(4.0).fill(palette.accent));
    }
    loss_ui(ui, state, run);
}

/// The loss at each step, from the first to the last that there may be.
fn loss_ui(ui: &mut Ui, state: &State, run: &LiveRun) {
    let losses: Vec<f32> = run.judged.iter().map(|j| j.loss).filter(|l| l.is_finite()).collect();
    let (Some(first), Some(last)) = (losses.first(), losses.last()) else { return };
    let palette = theme::of(ui);
    let objective = objective_text(state, &run.news.method);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), PLOT), Sense::hover());
    let name = format!("Loss at each step, from {first:.3} to {last:.3}");
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    let painter = ui.painter();
    painter.rect_filled(rect, 3.0, palette.picture_background);
    let (low, high) = losses.iter().fold((f32::MAX, f32::MIN), |(low, high), &l| (low.min(l), high.max(l)));
    let span = (high - low).max(1e-6);
    // Beside the numbers of the axis.
    let inner = egui::Rect::from_min_max(rect.min + vec2(44.0, 8.0), rect.max - vec2(8.0, 8.0));
    // An attack that ended early fills the plot too.
    let steps = if run.is_active() { run.news.of.max(losses.len()) } else { losses.len() };
    let at = |i: usize, loss: f32| {
        let x = inner.left() + inner.width() * i as f32 / steps.saturating_sub(1).max(1) as f32;
        pos2(x, inner.bottom() - inner.height() * (loss - low) / span)
    };
    // No more points than the plot has pixels.
    let stride = losses.len().div_ceil(inner.width().max(1.0) as usize).max(1);
    let points: Vec<_> = losses.iter().enumerate().step_by(stride).map(|(i, &l)| at(i, l)).collect();
    painter.add(Shape::line(points, Stroke::new(1.5, palette.attack)));
    painter.circle_filled(at(losses.len() - 1, *last), 3.0, palette.attack);
    let small = egui::TextStyle::Small.resolve(ui.style());
    let corner = |text: String, anchor: egui::Align2, at: egui::Pos2| {
        painter.text(at, anchor, text, small.clone(), palette.weak);
    };
    corner(format!("{high:.3}"), egui::Align2::LEFT_TOP, rect.left_top() + vec2(4.0, 1.0));
    corner(format!("{low:.3}"), egui::Align2::LEFT_BOTTOM, rect.left_bottom() + vec2(4.0, -1.0));
    let hits = run.judged.last().map_or(0.0, |j| j.hits) * 100.0;
    let classes = state.model.as_ref().is_some_and(|m| m.task == crate::model::Task::Classification);
    let reached = match (classes, hits > 0.0) {
        (true, true) => "the decision is as the attack wants it".to_owned(),
        (true, false) => "the decision holds".to_owned(),
        _ => format!("{hits:.1} % of pixels as the attack wants them, at its last step"),
    };
    response.on_hover_text(format!(
        "{objective}: {first:.4} at the first step, {last:.4} at the last one told; {reached}."
    ));
    ui.label(theme::weak(ui, format!("{objective}; {reached}")).small());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(number: u64, done: usize, losses: &[f32], end: Option<RunEnd>) -> AttackRun {
        let judged = losses.iter().map(|&loss| Judgement { loss, hits: 0.5 }).collect();
        AttackRun {
            number,
            method: Attack::FGSM,
            epsilon: 0.1,
            done,
            of: 40,
            secs: done as f64,
            telling_secs: 0.0,
            judged,
            end,
        }
    }

    #[test]
    fn news_add_up_and_another_run_begins_anew() {
        let mut run = None;
        LiveRun::hear(&mut run, news(3, 2, &[0.1, 0.2], None));
        LiveRun::hear(&mut run, news(3, 4, &[0.3, 0.4], None));
        let live = run.clone().unwrap();
        assert_eq!(live.judged.iter().map(|j| j.loss).collect::<Vec<_>>(), [0.1, 0.2, 0.3, 0.4]);
        assert_eq!(live.text(), "step 4 of 40, 36 s left");
        LiveRun::hear(&mut run, news(2, 9, &[9.0], None));
        assert_eq!(run.as_ref().unwrap().news.number, 3, "an older run is not heard");
        LiveRun::hear(&mut run, news(3, 5, &[], Some(RunEnd::Stopped)));
        assert_eq!(run.as_ref().unwrap().text(), "stopped at step 5 of 40");
        assert!(!run.as_ref().unwrap().is_active());
        LiveRun::hear(&mut run, news(4, 1, &[0.7], None));
        assert_eq!(run.unwrap().judged.len(), 1);
    }
}
