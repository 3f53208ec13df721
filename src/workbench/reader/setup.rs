//! The form: what is asked, of whom, and the sessions that there are.

use super::draft::drawn;
use super::{Draft, Reader, Screen, calibration, images};
use crate::engine::{ReaderRequest, Request, StudyImage};
use crate::observer::{Display, Plan, Task, drawn as drawn_by_lot};
use crate::view::Sampling;
use crate::workbench::compare::viewport::Geometry;
use crate::workbench::{Command, CommandSender, State, epsilon, theme};
use eframe::egui::{self, Align, DragValue, Grid, Layout, RichText, TextEdit, Ui, Vec2, vec2};

/// Noise after images that are shown for a time, until another duration is chosen.
const USUAL_MASK_MS: u32 = 200;
/// Most images of a study: each has its own threshold, and so its own trials.
const MOST_IMAGES: usize = 50;

/// Whole screen pixels for an image pixel, as many as leave room for `count` images beside each other.
fn zoom(shown: Vec2, room: Vec2, count: f32) -> f64 {
    let times = free(room, count) / shown.max(Vec2::splat(1.0));
    f64::from(times.min_elem().floor().max(1.0))
}

/// What `room` leaves for each of `count` images, in screen pixels.
fn free(room: Vec2, count: f32) -> Vec2 {
    vec2(room.x / count - 48.0, room.y - 120.0)
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
            name(ui, "Images", "The image on the screen under its present window, or several of the open data set, drawn by lot of those that its filter leaves. Each has its own threshold; their trials are mixed.");
            ui.horizontal(|ui| {
                let most = state.browse.shown.len().min(MOST_IMAGES);
                draft.images = draft.images.clamp(1, most.max(1));
                if most > 1 {
                    ui.add(DragValue::new(&mut draft.images).range(1..=most).speed(0.05)).accessible_name("Images");
                }
                let set = state.browse.set.as_ref().filter(|_| draft.images > 1);
                ui.label(set.map_or_else(|| image.to_owned(), |set| format!("of {} in {}", state.browse.shown.len(), set.name)));
            });
            ui.end_row();
            name(ui, "Attack", "With its present parameters.");
            ui.vertical(|ui| {
                ui.label(state.attack().title);
                let tip = "A second threshold, of noise that knows nothing of the model; trials of both are mixed. The signs are drawn once: the same at every ε \
                           and in every trial, as those of an attack are. Another draw may have another threshold.";
                ui.checkbox(&mut draft.control, "and random signs of the same ε, one draw").on_hover_text(tip);
                let others: Vec<&str> = draft.others(state).iter().map(|attack| attack.title()).collect();
                if !others.is_empty() {
                    let tip = "A threshold for each: those that “Several” above the curves compares, with their usual parameters.";
                    ui.checkbox(&mut draft.several, format!("and {}", others.join(", "))).on_hover_text(tip);
                }
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
                ("Trials", "For each image and attack. After 150 the upper end of the interval is about twice its lower one, after 60 eight times (observer simulate).", 1..=2000),
                ("Catch trials", "Of the largest ε (which of two) or unaltered (altered or not), strewn among the others.", 0..=500),
                ("Practice trials", "First, with feedback; they do not count.", 0..=50),
                ("Break after", "So many trials; 0: none.", 0..=1000),
            ]
            .into_iter()
            .enumerate()
            {
                name(ui, text, tip);
                let drag = DragValue::new(&mut draft.counts[i]).range(range).speed(0.3);
                let drag = if text == "Break after" { drag.suffix(" trials") } else { drag };
                ui.add(drag).accessible_name(text).on_hover_text(tip);
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
                    let text = if timed { "images for" } else { "images for a time" };
                    if ui.checkbox(&mut timed, text).on_hover_text("Off: until the answer.").changed() {
                        (timing.shown_ms, timing.mask_ms) = if timed { (Some(1000), USUAL_MASK_MS) } else { (None, 0) };
                    }
                    if let Some(ms) = &mut timing.shown_ms {
                        ui.add(DragValue::new(ms).range(30..=60_000).speed(10.0).suffix(" ms")).accessible_name("Images");
                        ui.label("mask");
                        ui.add(DragValue::new(&mut timing.mask_ms).range(0..=5000).speed(10.0).suffix(" ms")).accessible_name("Mask");
                    } else {
                        timing.mask_ms = 0;
                        ui.label(theme::weak(ui, "they stay until the answer"));
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
        let refused = Draft::refused(state);
        let conditions = draft.images * draft.attacks(state).len();
        if conditions > 1 {
            let all = (draft.counts[0] + draft.counts[1]) * conditions;
            ui.label(theme::weak(ui, format!("{conditions} thresholds, {all} trials in all, mixed in random order.")));
        }
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
            let tip = "Makes the images, then tells the observer what to do.";
            begin = ui.add_enabled(refused.is_none(), button).on_hover_text(tip).clicked();
        });
        if let Some(why) = refused {
            ui.add(egui::Label::new(RichText::new(why).color(theme::of(ui).warning)).wrap());
        }
        if self.reading.is_some() {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(theme::weak(ui, "The images are being read…"));
            });
        }
        self.problem_ui(ui);
        if calibrate {
            self.screen = Screen::Calibration(calibration::Card::new(state));
        } else if begin {
            self.begin(ui, state, commands);
        }
    }

    /// Begins a session, after its images are read where there are several.
    fn begin(&mut self, ui: &Ui, state: &State, commands: &CommandSender) {
        self.problem = None;
        let seed = self.draft.seed.unwrap_or_else(|| images::number() >> 16);
        let room = ui.ctx().content_rect().size() * ui.pixels_per_point();
        self.images.clear();
        if self.draft.images < 2 {
            return self.begin_with(seed, room, state, commands);
        }
        let entries = drawn_by_lot(self.draft.images, &state.browse.shown, seed);
        if let Err(why) = self.read_images(entries, (seed, room), state, commands) {
            self.problem = Some(why);
        }
    }

    /// Begins a session of the images that were read; the engine answers with it. `room` is the window's, in screen pixels.
    pub(super) fn begin_with(&mut self, seed: u64, room: Vec2, state: &State, commands: &CommandSender) {
        let frame = state.frame.as_ref().filter(|_| state.case_shown);
        let Some((frame, (plan, stimuli))) = frame.zip(self.draft.plan(state, seed, &self.images)) else {
            self.problem = Some(images::NOTHING_SHOWN.to_owned());
            return;
        };
        if let Err(error) = plan.check() {
            self.problem = Some(error.to_string());
            return;
        }
        // The window is told in fractions of the bounds: with others the same fractions would be other grey values.
        if let Some(other) = self.images.iter().find(|image| image.bounds != frame.case.bounds) {
            self.problem = Some(format!(
                "{} has other bounds than the image on the screen, so that one window is not the same for both. Choose images of one kind",
                other.name
            ));
            return;
        }
        let size = |[_, height, width]: [usize; 3]| vec2(width as f32, height as f32);
        let shown: Vec<Vec2> = match self.images.as_slice() {
            [] => vec![state.geometry(crate::workbench::compare::image_size(frame)).shown()],
            several => {
                let one = |i: &StudyImage| Geometry::new(size(i.shape), i.spacing, state.view.orientation).shown();
                several.iter().map(one).collect()
            }
        };
        let largest = shown.iter().fold(Vec2::ZERO, |a, b| a.max(*b));
        let count = if plan.task == Task::TwoAlternative { 2.0 } else { 1.0 };
        let zoom = zoom(largest, room, count);
        let part = (free(room, count) / zoom as f32).min(largest).floor().max(Vec2::splat(1.0));
        let settings = &state.seen.settings;
        let display = Display {
            zoom,
            presentation: drawn(state),
            calibration: settings.calibration,
            distance_mm: settings.calibration.map(|_| settings.distance_mm),
            part: Some([part.x as u32, part.y as u32]),
            sampling: Some(Sampling::Nearest),
            screen_bits: Some(settings.bits),
        };
        let typed = self.draft.observer.trim();
        commands.request(Request::Reader(ReaderRequest::Begin {
            folder: self.draft.folder(),
            plan: Box::new(plan),
            display,
            observer: (!typed.is_empty()).then(|| typed.to_owned()),
            stimuli: Box::new(stimuli),
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
            ui.horizontal_wrapped(|ui| {
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
