//! One trial: fixation, images, mask, answer. Times are those at which frames are begun.

use super::stage::Stage;
use super::{Reader, Screen};
use crate::engine::{Plane, ReaderRequest, Request, SessionView};
use crate::observer::{Answer, Kind, Presented, Task, Trial};
use crate::workbench::{CommandSender, PaneContext, State, theme};
use eframe::egui::{self, Align2, Event, FontId, Id, Key, Modifiers, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// How long it is said whether a practice answer was right, in seconds.
const FEEDBACK_SECS: f64 = 0.9;
/// A screen whose refresh nobody has seen yet is taken for one of 60 Hz.
const USUAL_FRAME_SECS: f64 = 1.0 / 60.0;

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its images are being made.
    Waiting,
    /// A mark to look at.
    Fixation,
    /// The images.
    Shown,
    /// Noise.
    Mask,
    /// Nothing but the question.
    Question,
    /// The answer is being written.
    Saving,
    /// It is said whether it was right.
    Feedback,
}

/// A trial on the screen.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The trial.
    pub trial: Trial,
    /// How far it is.
    pub phase: Phase,
    since: f64,
    onset: f64,
    /// When the images went, if they did before the answer.
    offset: Option<f64>,
    /// When frames were begun: of the fixation, and of the images.
    fixation_frames: Vec<f64>,
    frames: Vec<f64>,
}

impl Clock {
    pub(super) fn new(trial: Trial) -> Self {
        Self {
            trial,
            phase: Phase::Waiting,
            since: 0.0,
            onset: 0.0,
            offset: None,
            fixation_frames: Vec::new(),
            frames: Vec::new(),
        }
    }

    fn enter(&mut self, phase: Phase, now: f64) {
        (self.phase, self.since) = (phase, now);
    }

    /// Whether it will be said if the newest answer was right: of practice trials only.
    pub(super) fn gives_feedback(&mut self, session: Option<&SessionView>) -> bool {
        let practice = session.and_then(|s| s.last).is_some_and(|l| l.trial.kind == Kind::Practice);
        if practice && self.phase == Phase::Saving {
            self.phase = Phase::Feedback;
            // The next frame says when it began.
            self.since = f64::NAN;
        }
        practice
    }

    /// The answer could not be written: it is asked again.
    pub(super) fn ask_again(&mut self) {
        if self.phase == Phase::Saving {
            self.phase = Phase::Question;
        }
    }

    /// Seconds from one refresh of the screen to the next, as the fixation showed.
    fn frame_secs(&self) -> f64 {
        let mut steps: Vec<f64> = self.fixation_frames.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 1e-4).collect();
        if steps.len() < 5 {
            return USUAL_FRAME_SECS;
        }
        steps.sort_unstable_by(f64::total_cmp);
        steps[steps.len() / 2]
    }

    /// How the images were shown, until `end`.
    fn presented(&self, end: f64) -> Presented {
        presented(&self.frames, end, self.frame_secs())
    }
}

/// How images were shown in the frames that began at `frames`, until `end`, on a screen that refreshes every `frame_secs`.
fn presented(frames: &[f64], end: f64, frame_secs: f64) -> Presented {
    let ends = frames.iter().skip(1).copied().chain([end]);
    let missed = |(from, to): (&f64, f64)| ((to - from) / frame_secs - 0.5).floor().max(0.0) as u32;
    // The last frame ends with the answer, at any time.
    let dropped = frames.iter().zip(ends).take(frames.len().saturating_sub(1)).map(missed).sum();
    let shown_ms = frames.first().map_or(0.0, |first| (end - first) * 1000.0);
    Presented { shown_ms, frames: frames.len() as u32, dropped, epsilon: None }
}

/// What the observer is asked, and the keys.
pub(super) fn words(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::TwoAlternative => {
            ("One of two images is altered. Which one?", "Press ← for the left one, → for the right one.")
        }
        Task::YesNo => ("Is the image altered?", "Press Y if it is, N if it is not."),
    }
}

/// The question once more, where nothing else is on the screen.
fn asked(task: Task) -> &'static str {
    match task {
        Task::TwoAlternative => "Which one was altered?",
        Task::YesNo => "Was it altered?",
    }
}

/// Grey noise without the images' structure, which ends what the eye still holds of them.
pub(super) fn noise(height: usize, width: usize, seed: u64) -> Plane {
    let mut state = seed | 1;
    let mut next = || {
        // Marsaglia's xorshift: any noise will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    Plane::from_host(1, height, width, (0..height * width).map(|_| next()).collect::<Vec<f32>>())
}

impl Reader {
    pub(super) fn trial_ui(
        &mut self,
        ui: &mut Ui,
        state: &State,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) {
        let now = ui.input(|i| i.time);
        let Some(session) = self.session.clone() else { return };
        let plan = &session.header.plan;
        let timing = plan.timing;
        let area = ui.available_rect_before_wrap();
        let Some(condition) = self.clock().map(|clock| clock.trial.condition) else { return };
        let Some(&lie) = self.stock.lies.get(condition) else { return };
        let stage = match Stage::new(ui, area, state, &session, condition, lie) {
            Ok(stage) => stage,
            Err(why) => {
                ui.colored_label(theme::ON_SURROUND, why);
                return;
            }
        };
        let original = self.stock.original(condition).cloned();
        let Screen::Trial(clock) = &mut self.screen else { return };
        let (image, shown) = self.stock.get(&clock.trial).map(|(plane, shown)| (plane.clone(), shown)).unzip();
        let half = clock.frame_secs() * 0.5;
        let over = |since: f64, ms: u32| now - since + half >= f64::from(ms) / 1000.0;
        match clock.phase {
            Phase::Waiting if image.is_some() && original.is_some() => clock.enter(Phase::Fixation, now),
            Phase::Fixation if over(clock.since, timing.fixation_ms) => {
                clock.enter(Phase::Shown, now);
                clock.onset = now;
            }
            Phase::Shown if timing.shown_ms.is_some_and(|ms| over(clock.onset, ms)) => {
                clock.offset = Some(now);
                clock.enter(if timing.mask_ms > 0 { Phase::Mask } else { Phase::Question }, now);
            }
            Phase::Mask if over(clock.since, timing.mask_ms) => clock.enter(Phase::Question, now),
            Phase::Feedback if clock.since.is_nan() => clock.since = now,
            Phase::Feedback if now - clock.since >= FEEDBACK_SECS => {
                self.advance();
                ui.ctx().request_repaint();
                return;
            }
            _ => {}
        }
        match clock.phase {
            Phase::Fixation => clock.fixation_frames.push(now),
            Phase::Shown => clock.frames.push(now),
            _ => {}
        }
        let phase = clock.phase;
        if !matches!(phase, Phase::Question) {
            ui.ctx().request_repaint();
        }
        stage.draw(ui, context, phase, &clock.trial, original.as_ref(), image.as_ref(), self.stock.noise.as_ref());
        let answered = answer(ui, area, plan.task, phase, &session);
        // A key of the frame in which the images come was pressed before anybody saw them.
        let may = match phase {
            Phase::Shown => clock.frames.len() > 1,
            phase => matches!(phase, Phase::Mask | Phase::Question),
        };
        if let Some(answer) = answered.filter(|_| may) {
            let end = clock.offset.unwrap_or(now);
            let presented = Presented { epsilon: shown, ..clock.presented(end) };
            let seconds = now - clock.onset;
            clock.enter(Phase::Saving, now);
            self.saving = true;
            commands.request(Request::Reader(ReaderRequest::Answer { answer, seconds, presented }));
            ui.ctx().request_repaint();
        }
        if phase == Phase::Question {
            let font = FontId::proportional(20.0);
            ui.painter().text(area.center(), Align2::CENTER_CENTER, asked(plan.task), font, theme::ON_SURROUND);
        }
        if self.problem.is_some() {
            let rect = Rect::from_min_max(area.left_top(), pos2(area.right(), area.top() + 40.0));
            ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| self.problem_ui(ui));
        }
    }
}

/// Whether `key` was pressed. One that is held since an earlier trial answers no other.
fn newly_pressed(ui: &Ui, key: Key) -> bool {
    let mut new = false;
    ui.input_mut(|input| {
        input.events.retain(|event| match event {
            Event::Key { key: pressed, pressed: true, repeat, modifiers, .. }
                if *pressed == key && modifiers.matches_logically(Modifiers::NONE) =>
            {
                new |= !repeat;
                false
            }
            _ => true,
        });
    });
    new
}

/// The keys and buttons of the answers, and how far the study is.
fn answer(ui: &mut Ui, area: Rect, task: Task, phase: Phase, session: &SessionView) -> Option<Answer> {
    let choices: [(Answer, &str, &[Key]); 2] = match task {
        Task::TwoAlternative => [
            (Answer::Left, "← Left", &[Key::ArrowLeft, Key::F]),
            (Answer::Right, "Right →", &[Key::ArrowRight, Key::J]),
        ],
        Task::YesNo => [
            (Answer::Unaltered, "Not altered (N)", &[Key::N, Key::F]),
            (Answer::Altered, "Altered (Y)", &[Key::Y, Key::J]),
        ],
    };
    let mut given = None;
    for (answer, _, keys) in &choices {
        if keys.iter().any(|key| newly_pressed(ui, *key)) {
            given = Some(*answer);
        }
    }
    let line = Rect::from_min_max(pos2(area.left(), area.bottom() - 36.0), area.max);
    let font = FontId::proportional(egui::TextStyle::Body.resolve(ui.style()).size);
    let (done, total) = session.progress;
    let practising = matches!(session.next, crate::observer::Next::Trial(t) if t.kind == Kind::Practice);
    let text = if practising { "practice".to_owned() } else { format!("{done} of {total}") };
    ui.painter().text(line.right_center(), Align2::RIGHT_CENTER, text, font.clone(), theme::ON_SURROUND);
    ui.painter().text(
        line.left_center(),
        Align2::LEFT_CENTER,
        "Esc ends; what was answered is kept",
        font.clone(),
        theme::ON_SURROUND,
    );
    match phase {
        Phase::Shown | Phase::Mask | Phase::Question => {
            let width = 150.0;
            for (i, (answer, name, _)) in choices.iter().enumerate() {
                let left = line.center().x - width - 8.0 + i as f32 * (width + 16.0);
                let rect = Rect::from_min_size(pos2(left, line.top() + 2.0), vec2(width, 32.0));
                // A focused button would take the space bar and Enter as answers.
                if ui.put(rect, egui::Button::new(*name)).clicked() {
                    given = Some(*answer);
                }
            }
        }
        Phase::Waiting => {
            ui.painter().text(
                line.center(),
                Align2::CENTER_CENTER,
                "The image is being made…",
                font,
                theme::ON_SURROUND,
            );
        }
        Phase::Feedback => {
            let right = session.last.is_some_and(|l| l.correct);
            let text = if right { "Right" } else { "Wrong" };
            let large = FontId::proportional(26.0);
            ui.painter().text(line.center(), Align2::CENTER_CENTER, text, large, theme::ON_SURROUND);
            let response = ui.interact(line, Id::unique("feedback"), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
        }
        _ => {}
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_frames_are_counted() {
        let frame = 1.0 / 60.0;
        let even: Vec<f64> = (0..30).map(|i| i as f64 * frame).collect();
        let found = presented(&even, 30.0 * frame, frame);
        assert_eq!((found.frames, found.dropped), (30, 0));
        assert!((found.shown_ms - 500.0).abs() < 1e-6);
        // Two refreshes are missed once, one another time.
        let mut late = even.clone();
        late.iter_mut().skip(10).for_each(|t| *t += 2.0 * frame);
        late.iter_mut().skip(20).for_each(|t| *t += frame);
        assert_eq!(presented(&late, 33.0 * frame, frame).dropped, 3);
        assert_eq!(presented(&even, 40.0, frame).dropped, 0, "an answer comes when it comes");
        assert_eq!(presented(&[], 1.0, frame).frames, 0);
    }

    #[test]
    fn noise_is_even() {
        let plane = noise(64, 64, 7);
        let values = plane.values().unwrap();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 0.5).abs() < 0.03 && values.iter().all(|v| (0.0..1.0).contains(v)), "{mean}");
    }
}
