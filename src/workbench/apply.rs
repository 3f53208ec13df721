//! What commands and events change.

use super::app::App;
use super::command::Command;
use super::files::{self, Meaning, Prompt, Wanted};
use super::history::{Change, Held, Snapshot};
use super::settings::MOST_RECENT;
use super::state::{LiveCurve, Navigation, Recent, State};
use super::{browse, layout, numbers, theme};
use crate::data::LabelMap;
use crate::engine::{CaseInfo, Event, ExportReport, JobState, Problem, Request};
use crate::view::Orientation;
use eframe::egui::{self, ViewportCommand};
use std::path::PathBuf;
use std::sync::Arc;

impl App {
    pub(super) fn apply(&mut self, command: Command, context: &egui::Context) {
        let state = &mut self.state;
        match command {
            Command::Epsilon(epsilon) => self.set_epsilon(epsilon, context),
            Command::StepEpsilon(steps) => {
                let epsilon = state.scale.step(state.epsilon, steps);
                self.set_epsilon(epsilon, context);
            }
            Command::DragEpsilon(dragging) => {
                match (state.dragging, dragging) {
                    (false, true) => state.history.begin_drag(context.input(|i| i.time)),
                    (true, false) => state.history.separate(),
                    _ => {}
                }
                state.dragging = dragging;
            }
            Command::Unit(unit) => state.unit = unit,
            Command::Scale(scale) => state.scale = scale,
            Command::Attack(method) => {
                if method != state.method {
                    self.record(Change::Attack, context);
                    self.state.method = method;
                    self.engine.send(Request::Attack(method));
                }
            }
            Command::View(view) => {
                if *view != state.view {
                    self.record(Change::View, context);
                    self.state.view = *view;
                }
            }
            Command::Mark(marks) => {
                if *marks != state.marks {
                    self.record(Change::Marks, context);
                    self.state.marks = *marks;
                }
            }
            Command::Tool(tool) => state.tool = tool,
            Command::Brush(diameter) => {
                state.brush = if diameter.is_finite() { diameter.clamp(1.0, 200.0) } else { 12.0 }
            }
            Command::Magnifier(stays) => state.magnifier = stays,
            Command::Copy(picture) => {
                let [width, height] = picture.size;
                context.copy_image(Arc::unwrap_or_clone(picture));
                let now = context.input(|i| i.time);
                self.notes.good("Copied", format!("{width} × {height} pixels are on the clipboard."), now);
            }
            Command::Navigate(navigation) => state.navigation = navigation,
            // Whatever is under the pointer is no part of a picture of the window.
            Command::Probe(pixel) => state.probe = pixel.filter(|_| self.shot.is_none()),
            Command::Slice(slice) => {
                let last = state.case.as_ref().map_or(0, |c| c.slices.saturating_sub(1));
                let slice = slice.min(last);
                if slice != state.slice {
                    state.slice = slice;
                    self.state.case_shown = false;
                    self.engine.send(Request::Slice(slice));
                }
            }
            Command::ShowEntry(index) => self.show_entry(index),
            Command::StepEntry(steps) => {
                if let Some(index) = state.browse.stepped(steps) {
                    self.show_entry(index);
                }
            }
            Command::Filter(filter) => {
                state.browse.filter = *filter;
                state.browse.refilter();
            }
            Command::LookAt(indices) => self.look_at(&indices),
            Command::ThumbnailSide(side) => {
                state.browse.side = side.clamp(*browse::SIDES.start(), *browse::SIDES.end());
            }
            Command::EnlargeLibrary(enlarged) => state.browse.enlarged = enlarged,
            Command::CloseSet => self.close_set(),
            Command::Play(playing) => state.playing = playing,
            Command::Look(look) => {
                if look.presenter && !state.look.presenter {
                    let now = context.input(|i| i.time);
                    self.notes.good("Presenter mode", "P or Esc brings everything back.", now);
                }
                state.look = look;
                theme::apply(context, &state.look, self.setup.still);
                context.set_zoom_factor(look.ui_scale);
            }
            Command::ImagesOnly(only) => {
                state.images_only = only;
                if only {
                    let now = context.input(|i| i.time);
                    self.notes.good("Only pictures and ε", "Tab or Esc brings everything back.", now);
                }
            }
            Command::ResetLayout => self.tree = layout::first(context.content_rect().size()),
            Command::Panel(kind, shown) => layout::show(&mut self.tree, kind, shown),
            Command::Undo => self.go(false),
            Command::Redo => self.go(true),
            Command::ChooseImage => self.ask(Wanted::Image, context),
            Command::ChooseFolder => self.ask(Wanted::Folder, context),
            Command::ChooseLabel => {
                if state.case.is_some() {
                    self.ask(Wanted::Label, context);
                } else {
                    self.fail("Open label", "A label belongs to an image. Open the image first");
                }
            }
            Command::ChooseModel => self.ask(Wanted::Model, context),
            Command::ChooseExport(kind) => {
                if state.frame.is_some() {
                    self.ask(Wanted::Export(kind), context);
                } else {
                    self.fail("Export", "There is no picture yet. Open an image first");
                }
            }
            Command::OpenFiles(files) => self.open(&files),
            Command::ForgetRecent(path) => state.recent.retain(|r| r.image != path),
            Command::Shortcuts(shown) => self.shortcuts = shown,
            Command::About(shown) => self.about = shown,
            Command::FullScreen => {
                let full = context.input(|i| i.viewport().fullscreen).unwrap_or(false);
                context.send_viewport_cmd(ViewportCommand::Fullscreen(!full));
            }
            Command::Failed(problem) => self.failed(problem, context),
            Command::DismissProblem => state.problem = None,
            Command::Engine(request) => self.request(request),
            Command::Quit => context.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let State { epsilon, method, view, marks, .. } = &self.state;
        Snapshot { epsilon: *epsilon, method: *method, view: view.clone(), marks: marks.clone() }
    }

    fn record(&mut self, change: Change, context: &egui::Context) {
        let (before, now) = (self.snapshot(), context.input(|i| i.time));
        let press = context.input(|i| i.pointer.press_start_time().filter(|_| i.pointer.any_down()));
        let held = match (change, press) {
            (Change::View | Change::Marks, Some(press)) => Held::Since(press),
            _ if self.state.dragging => Held::Yes,
            _ => Held::No,
        };
        self.state.history.record(before, change, now, held);
    }

    fn set_epsilon(&mut self, epsilon: f64, context: &egui::Context) {
        let epsilon = epsilon.clamp(0.0, 1.0);
        if epsilon.is_nan() || epsilon == self.state.epsilon {
            return;
        }
        self.record(Change::Epsilon, context);
        self.state.epsilon = epsilon;
        self.hint_done = true;
        self.engine.send(Request::Epsilon(epsilon));
    }

    /// Undo or redo.
    fn go(&mut self, forward: bool) {
        let now = self.snapshot();
        let history = &mut self.state.history;
        let Some(to) = (if forward { history.redo(now) } else { history.undo(now) }) else { return };
        if to.method != self.state.method {
            self.engine.send(Request::Attack(to.method));
        }
        if to.epsilon != self.state.epsilon {
            self.engine.send(Request::Epsilon(to.epsilon));
        }
        (self.state.epsilon, self.state.method, self.state.view) = (to.epsilon, to.method, to.view);
        self.state.marks = to.marks;
    }

    /// Tells the engine what the attack is confined to, once it is drawn.
    pub(super) fn confine(&mut self, context: &egui::Context) {
        let drawing = context.input(|i| i.pointer.any_down());
        let Some(case) = self.state.case.as_ref().filter(|_| !drawing) else { return };
        let [_, height, width] = case.shape;
        let wished = self.state.marks.confined_to().filter(|region| region.size() == [height, width]);
        let same = match (wished, &self.confined) {
            (Some(wished), Some(told)) => wished.is(told),
            (wished, told) => wished.is_none() && told.is_none(),
        };
        if !same {
            self.confined = wished.cloned();
            self.engine.send(Request::Region(self.confined.clone()));
        }
    }

    fn ask(&mut self, wanted: Wanted, context: &egui::Context) {
        let folder = self.folder.clone();
        self.prompt = Some(Prompt::new(wanted, folder, &self.state, self.setup.native_dialogs, context));
    }

    fn open(&mut self, files: &[PathBuf]) {
        if let Some(folder) = files.first().and_then(|f| f.parent()).filter(|f| !f.as_os_str().is_empty()) {
            self.folder = folder.to_owned();
        }
        match files::meaning(files, self.state.case.is_some()) {
            Meaning::Image { image, label } => self.request(Request::Open { image, label, slice: 0 }),
            Meaning::Label(label) => self.request(Request::OpenLabel(label)),
            Meaning::Model(model) => self.request(Request::OpenModel(model)),
            Meaning::Ask(two) => self.question = Some(two),
            Meaning::Nothing(why) => self.fail("Open", &why),
        }
    }

    /// Forwards a request, noting what the window must know about it.
    fn request(&mut self, request: Request) {
        match &request {
            Request::OpenModel(path) => self.pending_model = Some(Some(path.clone())),
            Request::OpenBundledModel => self.pending_model = Some(None),
            Request::CancelOpen => self.state.opening = None,
            _ => {}
        }
        self.engine.send(request);
    }

    fn fail(&mut self, what: &str, why: &str) {
        self.state.problem = Some(Problem { what: what.to_owned(), why: why.to_owned() });
    }

    fn failed(&mut self, mut problem: Problem, context: &egui::Context) {
        let known = self.state.problem.as_ref() == Some(&problem);
        if !known {
            self.notes.bad(&problem, context.input(|i| i.time));
        }
        self.state.playing = false;
        self.state.browse.pending = false;
        if problem.what == "Open image" && self.state.case.is_none() && self.remembered.take().is_some() {
            // The data set of the last session is gone: begin as at the first start.
            self.engine.send(Request::OpenSample);
            // That the sample opens does not take this message away.
            problem.what = "Open the last data set".to_owned();
            self.state.opening = None;
        }
        match problem.what.as_str() {
            "Open image" | "Label" => self.state.opening = None,
            "Open model" => self.pending_model = None,
            _ => {}
        }
        if let Some(case) = &self.state.case {
            self.state.slice = case.slice;
        }
        self.state.problem = Some(problem);
    }

    /// Takes the message of a failure away once the same thing has worked.
    fn worked(&mut self, whats: &[&str]) {
        self.state.problem.take_if(|p| whats.contains(&p.what.as_str()));
    }

    pub(super) fn hear(&mut self, event: Event, context: &egui::Context) {
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
                self.state.model = Some(card);
                self.state.model_about = Some(about);
                self.worked(&["Open model", "Save card"]);
                if let Some(file) = self.pending_model.take() {
                    if let Some(file) = &file {
                        self.recent_models.retain(|m| m != file);
                        self.recent_models.insert(0, file.clone());
                        self.recent_models.truncate(MOST_RECENT);
                    }
                    self.model_file = file;
                }
                self.take_label_map();
            }
            Event::Device(device) => {
                self.device = device.choice;
                self.state.device = Some(device);
                self.worked(&["Change device"]);
            }
            Event::Frame(frame) => {
                let older = self.state.frame.as_ref().is_some_and(|f| f.generation > frame.generation);
                if !older {
                    // A curve of another case, model or attack would stand under pictures that it does not belong to.
                    self.state.curve.take_if(|c| c.generation != frame.generation);
                    self.state.frame = Some(frame);
                    self.state.case_shown = true;
                    self.state.outdated = false;
                    self.worked(&["Compute", "Set ε", "Choose attack", "Show slice"]);
                }
            }
            Event::Computing(computing) => self.state.computing = computing,
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
            Event::Job(job) => {
                if matches!(job.state, JobState::Running | JobState::Finished) {
                    self.worked(&["Measure the curve"]);
                }
                self.state.job = Some(job);
            }
            Event::Exported(report) => self.exported(report, context),
            Event::Failed(problem) => self.failed(problem, context),
        }
    }

    fn new_case(&mut self, info: Arc<CaseInfo>) {
        self.follow_case(&info);
        let is_entry = self.is_entry(&info);
        let state = &mut self.state;
        let other = state
            .case
            .as_ref()
            .is_none_or(|c| c.path != info.path || c.name != info.name || c.shape != info.shape || c.axis != info.axis);
        let same_file = state.case.as_ref().is_some_and(|c| c.path == info.path && c.name == info.name);
        let other_slice = state.case.as_ref().is_none_or(|c| c.slice != info.slice || c.label_path != info.label_path);
        if other {
            self.keep_marks(&info);
            let state = &mut self.state;
            state.view.orientation = info.about.axes().map(Orientation::radiological).unwrap_or_default();
            state.navigation = Navigation::default();
            state.probe = None;
            state.slice = info.slice;
            state.playing = false;
        }
        let state = &mut self.state;
        // Another plane of a volume is looked at as the one before.
        if (other && !same_file) || state.case.as_ref().is_some_and(|c| c.bounds != info.bounds) {
            state.view.window = info.shown_window();
        }
        // While slices are leafed through, answers to earlier wishes come late.
        if state.case_shown || other {
            state.slice = info.slice;
        }
        state.opening = None;
        state.case_shown = false;
        state.outdated |= other || other_slice;
        if let Some(image) = info.path.as_ref().filter(|_| !is_entry) {
            let recent = Recent { image: image.clone(), label: info.label_path.clone() };
            state.recent.retain(|r| r.image != *image);
            state.recent.insert(0, recent);
            state.recent.truncate(MOST_RECENT);
            if let Some(folder) = image.parent().filter(|f| !f.as_os_str().is_empty()) {
                self.folder = folder.to_owned();
            }
        }
        state.case = Some(info);
        self.worked(&["Open", "Open image", "Open label", "Label", "Show slice", "Set bounds"]);
        self.take_label_map();
        if let Some(bounds) = self.wished_bounds.take() {
            self.engine.send(Request::Bounds(bounds));
        }
    }

    /// Puts what was drawn on the case before aside, and brings back what was drawn on this one.
    fn keep_marks(&mut self, info: &CaseInfo) {
        let key = |case: &CaseInfo| (case.path.clone(), case.axis);
        let marks = std::mem::take(&mut self.state.marks);
        if let Some(case) = &self.state.case {
            self.marks_of.insert(key(case), marks);
        }
        let [_, height, width] = info.shape;
        let mut marks = self.marks_of.get(&key(info)).cloned().unwrap_or_default();
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
