//! The form: what is asked, of whom, and the sessions that there are.

use super::{Reader, Screen, calibration};
use crate::attack::Attack;
use crate::engine::{ReaderRequest, Request};
use crate::observer::{Condition, Display, Plan, Stimuli, Task, Timing, distinguishable};
use crate::view::Presentation;
use crate::workbench::{Command, CommandSender, State, epsilon, theme};
use eframe::egui::{self, Align, DragValue, Grid, Layout, RichText, TextEdit, Ui, Vec2};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

/// Images of a study that are kept in memory take at most this many bytes; a coarser grid of ε takes fewer.
const MOST_BYTES: usize = 1 << 30;
/// No coarser than this many ε.
const FEWEST_STEPS: usize = 12;

/// What is going to be asked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The observer's name or pseudonym; nothing is kept if it is empty.
    pub observer: String,
    /// The question.
    pub task: Task,
    /// Trials, catch trials, practice trials and trials between breaks.
    pub counts: [usize; 4],
    /// How a trial runs.
    pub timing: Timing,
    /// Smallest and largest ε.
    pub range: [f64; 2],
    /// Random signs of the same ε are a condition of their own.
    pub control: bool,
    /// Decides order and sides; drawn by chance where none is set.
    pub seed: Option<u64>,
    folder: String,
}

impl Draft {
    pub(super) fn new(folder: PathBuf) -> Self {
        let plan = Plan::new(Task::TwoAlternative, Vec::new(), 150, 0);
        Self {
            observer: String::new(),
            task: plan.task,
            counts: [plan.trials, plan.catches, plan.practice, plan.break_every],
            timing: plan.timing,
            range: plan.range,
            control: false,
            seed: None,
            folder: folder.display().to_string(),
        }
    }

    /// Where sessions are kept.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(self.folder.trim())
    }

    fn attacks(&self, state: &State) -> Vec<Attack> {
        let mut attacks = vec![state.method];
        if self.control
            && let Ok(random) = Attack::random_sign(crate::study::CONTROL_SEED)
            && random != state.method
        {
            attacks.push(random);
        }
        attacks
    }

    /// The plan, of the present image; of its ε only those that are different pictures on the screen.
    fn plan(&self, state: &State) -> Option<(Plan, Stimuli)> {
        let case = state.case.as_ref()?;
        let attacks = self.attacks(state);
        let condition = |a: &Attack| Condition { image: case.name.clone(), attack: a.name().to_owned() };
        let seed = self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 16);
        let [trials, catches, practice, break_every] = self.counts;
        let plan = Plan::new(self.task, attacks.iter().map(condition).collect(), trials, seed);
        let bytes = case.shape.iter().product::<usize>() * 4 * attacks.len();
        let most = (MOST_BYTES / bytes.max(1)).saturating_sub(practice + 1).max(FEWEST_STEPS);
        let plan = Plan {
            catches,
            practice,
            break_every,
            range: self.range,
            steps: plan.steps.min(most),
            timing: self.timing,
            ..plan
        };
        let original = state.frame.as_ref().and_then(|frame| frame.original.values());
        let levels = original.map(|values| distinguishable(values, plan.range, plan.steps, &drawn(state)));
        let plan = Plan { levels, ..plan };
        let model = state.model.as_ref().map_or_else(String::new, |m| m.name.clone());
        Some((plan, Stimuli { slice: case.slice, shape: case.shape, model, attacks }))
    }
}

/// How a study's images are drawn: the window has 8 bits of grey, however many the screen has.
fn drawn(state: &State) -> Presentation {
    let presentation = state.presentation();
    Presentation { bits: presentation.bits.min(8), ..presentation }
}

/// Whole screen pixels for an image pixel, as many as leave room for `count` images beside each other.
fn zoom(shown: Vec2, room: Vec2, count: f32) -> f64 {
    let across = (room.x / count - 48.0) / shown.x.max(1.0);
    let down = (room.y - 120.0) / shown.y.max(1.0);
    f64::from(across.min(down).floor().max(1.0))
}

impl Reader {
    pub(super) fn setup_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) {
        ui.horizontal(|ui| {
            ui.label(theme::semibold("Reader study").size(20.0));
            if ui.button("Back to the workbench").on_hover_text("Esc").clicked() {
                commands.send(Command::Leave);
            }
        });
        ui.label(theme::weak(ui, "At which ε does a person see the perturbation? QUEST+ places ε where an answer tells most; ψ is fitted with its interval."));
        ui.add_space(8.0);
        let Some(case) = state.case.clone().filter(|_| state.case_shown) else {
            ui.label("Open an image first.");
            return;
        };
        let wide = ui.available_width() > 860.0;
        let left = if wide { 440.0 } else { ui.available_width() };
        ui.with_layout(if wide { Layout::left_to_right(Align::Min) } else { Layout::top_down(Align::Min) }, |ui| {
            ui.allocate_ui_with_layout(egui::vec2(left, 0.0), Layout::top_down(Align::Min), |ui| {
                ui.set_max_width(left);
                ui.label(theme::semibold("A new session"));
                ui.add_space(4.0);
                self.form_ui(ui, state, commands, &case.name);
            });
            ui.add_space(32.0);
            ui.vertical(|ui| self.sessions_ui(ui, commands));
        });
    }

    fn form_ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, image: &str) {
        let draft = &mut self.draft;
        Grid::new("study").num_columns(2).spacing([12.0, 6.0]).min_col_width(120.0).show(ui, |ui| {
            let name = |ui: &mut Ui, text: &str, tip: &str| {
                ui.label(theme::weak(ui, text)).on_hover_text(tip);
            };
            name(ui, "Image", "The image on the screen, under its present window.");
            ui.label(image);
            ui.end_row();
            name(ui, "Attack", "With its present parameters.");
            ui.vertical(|ui| {
                ui.label(state.attack().title);
                let tip = "A second threshold, of noise that knows nothing of the model; trials of both are mixed.";
                ui.checkbox(&mut draft.control, "and random signs of the same ε").on_hover_text(tip);
            });
            ui.end_row();
            name(ui, "Observer", "A pseudonym. Left empty, no name is kept.");
            ui.add(TextEdit::singleline(&mut draft.observer).hint_text("none").desired_width(180.0))
                .on_hover_text("A pseudonym. Left empty, no name is kept.");
            ui.end_row();
            name(ui, "Question", "");
            ui.horizontal(|ui| {
                for (task, text, tip) in [
                    (Task::TwoAlternative, "Which of two?", "Two images side by side, one of them altered (2AFC). Guessing is right half of the time."),
                    (Task::YesNo, "Altered or not?", "One image; catch trials are unaltered."),
                ] {
                    if ui.selectable_label(draft.task == task, text).on_hover_text(tip).clicked() && draft.task != task {
                        draft.task = task;
                        draft.counts[1] = Plan::new(task, Vec::new(), draft.counts[0], 0).catches;
                    }
                }
            });
            ui.end_row();
            for (i, (text, tip, range)) in [
                ("Trials", "For each attack. After 150 the upper end of the interval is about twice its lower one, after 60 eight times (observer simulate).", 1..=2000),
                ("Catch trials", "Of the largest ε (which of two) or unaltered (altered or not), strewn among the others.", 0..=500),
                ("Practice trials", "First, with feedback; they do not count.", 0..=50),
                ("Break after", "So many trials; 0: none.", 0..=1000),
            ]
            .into_iter()
            .enumerate()
            {
                name(ui, text, tip);
                ui.add(DragValue::new(&mut draft.counts[i]).range(range).speed(0.3)).accessible_name(text).on_hover_text(tip);
                ui.end_row();
            }
            name(ui, "ε from, to", "Of the ε between them only those are shown that are different pictures on the screen: of an 8-bit image under the full window whole grey levels. A narrower window tells more of them apart.");
            ui.horizontal(|ui| {
                let (unit, levels) = (state.epsilon_unit(), state.grey_levels());
                for (end, text) in ["Smallest ε", "Largest ε"].into_iter().enumerate() {
                    let mut value = epsilon::number(draft.range[end], unit, levels);
                    let speed = value * 0.01;
                    let drag = DragValue::new(&mut value).speed(speed).max_decimals(4).suffix(epsilon::suffix(unit, levels));
                    if ui.add(drag).accessible_name(text).changed() {
                        draft.range[end] = epsilon::from_number(value, unit, levels).max(1e-6);
                    }
                }
            });
            ui.end_row();
            name(ui, "Timing", "Fixation mark, images, mask of noise.");
            ui.vertical(|ui| {
                let timing = &mut draft.timing;
                ui.horizontal(|ui| {
                    ui.label("fixation");
                    ui.add(DragValue::new(&mut timing.fixation_ms).range(0..=5000).speed(10.0).suffix(" ms")).accessible_name("Fixation");
                });
                ui.horizontal(|ui| {
                    let mut timed = timing.shown_ms.is_some();
                    if ui.checkbox(&mut timed, "images for").on_hover_text("Off: until the answer.").changed() {
                        timing.shown_ms = timed.then_some(1000);
                    }
                    if let Some(ms) = &mut timing.shown_ms {
                        ui.add(DragValue::new(ms).range(30..=60_000).speed(10.0).suffix(" ms")).accessible_name("Images");
                        ui.label("mask");
                        ui.add(DragValue::new(&mut timing.mask_ms).range(0..=5000).speed(10.0).suffix(" ms")).accessible_name("Mask");
                    } else {
                        timing.mask_ms = 0;
                        ui.label(theme::weak(ui, "until the answer"));
                    }
                });
            });
            ui.end_row();
            name(ui, "Folder", "Each session is a file of its own; every answer is in it before the next trial.");
            if ui.add(TextEdit::singleline(&mut draft.folder).desired_width(260.0)).lost_focus() {
                commands.request(Request::Reader(ReaderRequest::List(draft.folder())));
            }
            ui.end_row();
        });
        ui.add_space(8.0);
        let settings = &state.seen.settings;
        ui.horizontal(|ui| {
            let text = match settings.calibration {
                Some(c) => format!(
                    "Screen: {:.0} pixels in a degree at {:.0} mm, {} bits",
                    c.pixels_per_degree(settings.distance_mm),
                    settings.distance_mm,
                    settings.bits
                ),
                None => {
                    "The screen is not calibrated: the threshold will not say at which visual angle it was measured"
                        .to_owned()
                }
            };
            let colour = if settings.calibration.is_some() { theme::of(ui).text } else { theme::of(ui).warning };
            ui.add(egui::Label::new(RichText::new(text).color(colour)).wrap());
        });
        ui.add_space(4.0);
        let mut calibrate = false;
        let mut begin = false;
        ui.horizontal(|ui| {
            calibrate = ui.button("Calibrate the screen…").clicked();
            let button = egui::Button::new(RichText::new("Prepare").strong()).fill(theme::of(ui).accent_wash);
            begin = ui.add(button).on_hover_text("Makes the images, then tells the observer what to do.").clicked();
        });
        self.problem_ui(ui);
        if calibrate {
            self.screen = Screen::Calibration(calibration::Card::new(state));
        } else if begin {
            self.begin(ui, state, commands);
        }
    }

    /// Begins a session; the engine answers with it.
    fn begin(&mut self, ui: &Ui, state: &State, commands: &CommandSender) {
        let Some((plan, stimuli)) = self.draft.plan(state) else { return };
        if let Err(error) = plan.check() {
            self.problem = Some(error.to_string());
            return;
        }
        let Some(frame) = &state.frame else { return };
        let shown = state.geometry(crate::workbench::compare::image_size(frame)).shown();
        let room = ui.ctx().content_rect().size() * ui.pixels_per_point();
        let count = if plan.task == Task::TwoAlternative { 2.0 } else { 1.0 };
        let settings = &state.seen.settings;
        let display = Display {
            zoom: zoom(shown, room, count),
            presentation: drawn(state),
            calibration: settings.calibration,
            distance_mm: settings.calibration.map(|_| settings.distance_mm),
        };
        let typed = self.draft.observer.trim();
        commands.request(Request::Reader(ReaderRequest::Begin {
            folder: self.draft.folder(),
            plan: Box::new(plan),
            display,
            observer: (!typed.is_empty()).then(|| typed.to_owned()),
            stimuli,
        }));
    }

    fn sessions_ui(&mut self, ui: &mut Ui, commands: &CommandSender) {
        ui.label(theme::semibold("Earlier sessions"));
        ui.add_space(4.0);
        if self.sessions.is_empty() {
            ui.label(theme::weak(ui, "None in this folder yet."));
        }
        let palette = theme::of(ui);
        for entry in &self.sessions {
            let (done, total) = entry.progress;
            ui.horizontal(|ui| {
                let finished = done >= total;
                let text = if finished { "Results" } else { "Resume" };
                if ui.button(text).clicked() {
                    commands.request(Request::Reader(ReaderRequest::Resume(entry.path.clone())));
                }
                let who = entry.observer.as_deref().unwrap_or("no name");
                ui.label(format!("{who}: {}", entry.what));
                let colour = if finished { palette.good } else { palette.weak };
                let state = if finished { "finished".to_owned() } else { format!("{done} of {total}") };
                ui.label(RichText::new(state).color(colour)).on_hover_text(&entry.started);
            });
        }
        if !self.sessions.is_empty() {
            ui.add_space(4.0);
            let folder = self.draft.folder();
            let table = folder.join("trials.csv");
            let tip = "Every trial of every session, as a table that `epsiloscope observer fit` reads.";
            if ui.button("Export all trials (CSV)").on_hover_text(tip).clicked() {
                commands.request(Request::Reader(ReaderRequest::Export { folder, table }));
            }
        }
        if let Some(note) = &self.note {
            ui.label(theme::weak(ui, note));
        }
    }
}
