//! What events change.
//!
//! Pictures and what stands around them (letters, scale, window, captions, verdict) are always of one case: a
//! [`Frame`] brings its own, and nothing of a coming case is shown before one of them, or an [`Early`] one, is there.

use super::app::App;
use super::numbers;
use super::settings::MOST_RECENT;
use super::state::{Compared, LiveCurve, LiveRun, Navigation, Recent};
use super::theme;
use crate::attack::Attack;
use crate::data::LabelMap;
use crate::engine::{CaseInfo, Early, Event, ExportReport, Frame, JobState, Problem, Request, RunEnd};
use crate::view::Orientation;
use eframe::egui;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An image whose frame is not there after this time is shown without it.
const EARLY_AFTER: Duration = Duration::from_millis(200);

impl App {
    pub(super) fn failed(&mut self, mut problem: Problem, context: &egui::Context) {
        let known = self.state.problem.as_ref() == Some(&problem);
        // The line of the last failure tells it; what fills the window has no such line. A card that is being typed is often wrong
        // for a moment: the panel says so.
        if !known && problem.what != "Use card" && self.is_staged() {
            self.notes.bad(&problem, context.input(|i| i.time));
        }
        self.state.playing = false;
        self.state.browse.pending = false;
        if problem.what == "Open image" {
            self.forget_part();
        }
        if problem.what == "Open image" && self.state.case.is_none() && self.remembered.take().is_some() {
            // The data set of the last session is gone: begin as at the first start.
            self.engine.send(Request::OpenSample);
            // That the sample opens does not take this message away.
            problem.what = "Open the last data set".to_owned();
            self.state.opening = None;
        }
        match problem.what.as_str() {
            "Open image" | "Label" => self.state.opening = None,
            "Open model" => self.state.opening_model = None,
            _ => {}
        }
        if let Some(case) = &self.state.case {
            (self.state.slice, self.state.slice_wished) = (case.slice, false);
        }
        let computing = self.state.computing && problem.what != "Compute";
        if matches!(problem.what.as_str(), "Open image" | "Compute" | "Open model" | "Change device") && !computing {
            // The first image came no further.
            self.state.early = None;
        }
        self.state.problem = Some(problem);
    }

    /// Takes the message of a failure away once the same thing has worked.
    pub(super) fn worked(&mut self, whats: &[&str]) {
        self.state.problem.take_if(|p| whats.contains(&p.what.as_str()));
    }

    pub(super) fn hear(&mut self, event: Event, context: &egui::Context) {
        self.state.first_run.hear(&event, Instant::now());
        match event {
            Event::Opening(path) => {
                self.state.opening = Some(path);
                self.state.read_share = None;
            }
            Event::Read(share) => self.state.read_share = Some(share),
            Event::Dataset(set) => {
                self.new_set(set);
                self.worked(&["Open", "Open image"]);
            }
            Event::Thumbnail { set, index, made } => self.take_thumbnail(&set, index, made),
            Event::Case(info) => self.new_case(info),
            Event::Model(card, about) => {
                self.new_model(card, about);
                self.take_label_map();
            }
            Event::TryingModel => self.state.trying_model = true,
            Event::Attack(method) => self.take_attack(method),
            Event::OpeningModel(path) => {
                self.state.opening_model = Some(path);
                (self.state.model_share, self.state.trying_model) = (None, false);
            }
            Event::ModelRead(share) => self.state.model_share = Some(share),
            Event::CardSaved(path) => self.card_saved(&path, context),
            Event::Device(device) => {
                self.device = device.choice;
                self.state.device = Some(device);
                self.worked(&["Change device"]);
            }
            Event::Early(early) => self.new_early(early, context),
            Event::Frame(frame) => self.new_frame(frame),
            Event::Pictures(pictures) => {
                if let Some(frame) = self.state.frame.as_ref().and_then(|frame| frame.with_pictures(&pictures)) {
                    self.state.frame = Some(Arc::new(frame));
                }
            }
            Event::Attacking(news) => LiveRun::hear(&mut self.state.run, news),
            Event::Computing(computing) => {
                self.state.computing = computing;
                // An attack that failed says nothing more.
                if let Some(run) = self.state.run.as_mut().filter(|run| !computing && run.is_active()) {
                    run.news.end = Some(RunEnd::GivenUp);
                }
            }
            Event::CurveStarted { generation, method, clean } => {
                let curve = LiveCurve { generation, method, clean, points: Vec::new(), control: Vec::new() };
                // The same curve goes on where another plan adds to it.
                if self.state.curve.as_ref().is_none_or(|c| c.generation != generation) {
                    self.state.curve = Some(curve);
                }
            }
            Event::CurvePoint { generation, series, point } => {
                if let Some(curve) = self.state.curve.as_mut().filter(|c| c.generation == generation) {
                    curve.add(series, point);
                }
            }
            Event::ComparisonStarted(start) => self.state.compared = Some(Compared::new(start)),
            Event::Compared(news) => {
                if let Some(compared) = &mut self.state.compared {
                    compared.hear(news);
                }
            }
            Event::Job(job) => {
                if matches!(job.state, JobState::Running | JobState::Finished) {
                    self.worked(&["Measure the curve"]);
                }
                self.state.job = Some(job);
            }
            Event::Seen(found) => self.hear_seen(found),
            Event::Reader(event) => self.hear_reader(event, context),
            Event::Stimulus(stimulus) => self.hear_stimulus(stimulus),
            Event::NoStimuli { id, why } => self.hear_no_stimuli(id, why),
            Event::StudyImages(images) => self.hear_study_images(images),
            Event::Train(news) => self.hear_training(*news, context),
            Event::Exported(report) => self.exported(report, context),
            Event::Failed(problem) => self.failed(problem, context),
        }
    }

    /// A case will be shown: whatever belongs to the pictures of the one before stays with them until then.
    fn new_case(&mut self, info: Arc<CaseInfo>) {
        self.follow_case(&info);
        let is_entry = self.is_entry(&info);
        let state = &mut self.state;
        state.outdated |= state.case.as_ref().is_some_and(|shown| {
            is_other(shown, &info) || shown.slice != info.slice || shown.label_path != info.label_path
        });
        state.case_shown = false;
        state.opening = None;
        if let Some(image) = info.path.as_ref().filter(|_| !is_entry) {
            let recent = Recent { image: image.clone(), label: info.label_path.clone() };
            state.recent.retain(|r| r.image != *image);
            state.recent.insert(0, recent);
            state.recent.truncate(MOST_RECENT);
            if let Some(folder) = image.parent().filter(|f| !f.as_os_str().is_empty()) {
                self.folder = folder.to_owned();
            }
        }
        self.worked(&["Open", "Open image", "Open label", "Label", "Show slice", "Set bounds"]);
        if let Some(bounds) = self.wished_bounds.take() {
            self.engine.send(Request::Bounds(bounds));
        }
    }

    /// The pictures of a case are there: what is around them follows.
    fn show_case(&mut self, info: &Arc<CaseInfo>) {
        if self.state.case.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, info)) {
            return;
        }
        let other = self.state.case.as_ref().is_none_or(|shown| is_other(shown, info));
        let same_file = self.state.case.as_ref().is_some_and(|c| c.path == info.path && c.name == info.name);
        if other {
            self.keep_marks(info);
            let state = &mut self.state;
            state.view.orientation = info.about.axes().map(Orientation::radiological).unwrap_or_default();
            state.navigation = Navigation::default();
            state.probe = None;
            state.playing = false;
        }
        let state = &mut self.state;
        // Another plane of a volume is looked at as the one before.
        if (other && !same_file) || state.case.as_ref().is_some_and(|c| c.bounds != info.bounds) {
            state.view.window = info.shown_window();
        }
        // While slices are leafed through, answers to earlier wishes come late.
        if other || !state.slice_wished || state.slice == info.slice {
            (state.slice, state.slice_wished) = (info.slice, false);
        }
        state.case = Some(info.clone());
        self.take_label_map();
    }

    fn new_frame(&mut self, frame: Arc<Frame>) {
        // What was under way may have failed, or been given up: then the last result is shown again.
        let whole = |f: &Arc<Frame>| f.unfinished.is_none_or(|u| u.stopped);
        if self.state.frame.as_ref().is_some_and(|f| whole(f) && f.generation > frame.generation) {
            return;
        }
        self.waiting_early = None;
        self.show_case(&frame.case);
        let state = &mut self.state;
        // A curve of another case, model or attack would stand under pictures that it does not belong to.
        state.curve.take_if(|c| c.generation != frame.generation);
        (state.frame, state.early) = (Some(frame), None);
        state.case_shown = true;
        state.outdated = false;
        self.worked(&["Compute", "Set ε", "Choose attack", "Show slice"]);
    }

    /// What there is of the coming case waits a moment: mostly its frame is there by then.
    fn new_early(&mut self, early: Arc<Early>, context: &egui::Context) {
        if !early.part {
            self.state.opening = None;
        }
        let since = self.waiting_early.take().map_or_else(Instant::now, |(_, since)| since);
        self.waiting_early = Some((early, since));
        self.show_early(context);
    }

    /// Shows what there is of the coming case once its frame is not there in time, in place of the pictures before.
    pub(super) fn show_early(&mut self, context: &egui::Context) {
        // A stack that plays goes from frame to frame.
        let Some((_, since)) = self.waiting_early.as_ref().filter(|_| !self.state.playing) else { return };
        let left = EARLY_AFTER.saturating_sub(since.elapsed());
        if self.state.frame.is_some() && !left.is_zero() {
            context.request_repaint_after(left);
            return;
        }
        let Some((early, _)) = self.waiting_early.take() else { return };
        self.show_case(&early.case);
        let state = &mut self.state;
        (state.frame, state.curve) = (None, None);
        state.early = Some(early);
        state.case_shown = false;
        state.outdated = false;
    }

    /// Takes a slice off the screen whose file is not read on. An image before it comes back by its frame.
    pub(super) fn forget_part(&mut self) {
        self.waiting_early.take_if(|(early, _)| early.part);
        if self.state.early.take_if(|early| early.part).is_some() {
            self.state.case = None;
        }
    }

    /// The engine took another attack: random signs in place of one that needs a gradient which the model has not, or that one
    /// again.
    fn take_attack(&mut self, method: Attack) {
        let stands_in = !method.entry().gradient && self.state.method.entry().gradient;
        self.put_aside = stands_in.then_some(self.put_aside.unwrap_or(self.state.method));
        self.state.method = method;
        // An L2 radius may be larger than any ε of L∞.
        let largest = self.state.largest_epsilon(method);
        if self.state.epsilon > largest {
            self.state.epsilon = largest;
            self.engine.send(Request::Epsilon(largest));
        }
    }

    /// Puts what was drawn on the case before aside, and brings back what was drawn on this one.
    fn keep_marks(&mut self, info: &CaseInfo) {
        let marks = std::mem::take(&mut self.state.marks);
        if let Some(case) = &self.state.case {
            self.marks_of.keep(case.path.as_deref(), case.axis, marks);
        }
        let [_, height, width] = info.shape;
        let mut marks = self.marks_of.get(info.path.as_deref(), info.axis);
        marks.region = marks.region.filter(|region| region.size() == [height, width]);
        self.state.marks = marks;
        // The engine forgets it with the image.
        self.confined = info.region.clone();
    }

    /// Uses the label map of the command line as soon as label and classes are known.
    fn take_label_map(&mut self) {
        let (Some(case), Some(model)) = (&self.state.case, &self.state.model) else { return };
        if case.label_map.is_none() {
            return;
        }
        let Some(text) = self.label_map_text.take() else { return };
        let classes: Vec<&str> = model.classes.iter().map(|c| c.name.as_str()).collect();
        match LabelMap::parse(&text, &classes) {
            Ok(map) => self.engine.send(Request::LabelMap(Some(map))),
            Err(error) => self.fail("Label map", &error.to_string()),
        }
    }

    fn exported(&mut self, report: ExportReport, context: &egui::Context) {
        let name = report.path.display().to_string();
        let text = match &report.saved {
            Some(saved) => {
                format!("{name}\n{}", numbers::saved_text(saved, theme::palette(self.state.look.theme)).0)
            }
            None => match report.volume {
                Some(v) => format!(
                    "{name}\n{} slices; mean Dice {:.3} → {:.3}, in the file {:.3}",
                    v.slices, v.clean_dice, v.before_dice, v.after_dice
                ),
                None => name,
            },
        };
        self.notes.good("Exported", text, context.input(|i| i.time));
        self.worked(&["Export"]);
        self.state.exported = Some(report);
    }
}

/// Whether it is another image, or another plane of a volume.
fn is_other(shown: &CaseInfo, info: &CaseInfo) -> bool {
    shown.path != info.path || shown.name != info.name || shown.shape != info.shape || shown.axis != info.axis
}
