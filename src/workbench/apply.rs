//! What commands change.

use super::app::App;
use super::command::Command;
use super::files::{self, Meaning};
use super::history::{Change, Held, Snapshot};
use super::prompt::{Prompt, Wanted};
use super::state::State;
use super::{browse, layout, theme};
use crate::attack::Attack;
use crate::engine::{Export, Problem, Request};
use eframe::egui::{self, ViewportCommand};
use std::path::PathBuf;
use std::sync::Arc;

impl App {
    pub(super) fn apply(&mut self, command: Command, context: &egui::Context) {
        let state = &mut self.state;
        match command {
            Command::Epsilon(epsilon) => self.set_epsilon(epsilon, context),
            Command::StepEpsilon(steps) => {
                let epsilon = state.axis().step(state.epsilon, steps);
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
            Command::Unit(unit) => state.unit = Some(unit),
            Command::Scale(scale) => state.scale = scale,
            Command::Attack(method) => self.set_attack(method, None, context),
            Command::Preset(method, epsilon) => self.set_attack(method, epsilon, context),
            Command::Several(several) => state.several = several.sanitised(),
            Command::MeasureSeveral => {
                let attacks = state.several.attacks(&state.tuned);
                self.engine.send(Request::Compare { attacks, epsilons: state.several.epsilons.clone() });
            }
            Command::ExportComparison(path) => {
                if let Some(compared) = &state.compared {
                    self.engine.send(Request::Export(Export::ComparisonCsv(path, Arc::new(compared.table()))));
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
                    (state.slice, state.slice_wished) = (slice, true);
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
            Command::ChooseTarget => self.ask(Wanted::Target, context),
            Command::ChooseThresholds => self.ask(Wanted::Thresholds, context),
            Command::ChooseModel => self.ask(Wanted::Model, context),
            Command::Card(card) => {
                self.record(Change::Card, context);
                self.worked(&["Use card"]);
                self.engine.send(Request::Card { of: self.state.card.file.clone(), card });
            }
            Command::ChooseExport(kind) => {
                if state.frame.is_some() {
                    self.ask(Wanted::Export(kind), context);
                } else {
                    self.fail("Export", "There is no picture yet. Open an image first");
                }
            }
            Command::OpenFiles(_) if self.stages.takes_no_files() => {
                let why =
                    "A reader study is under way. Leave it with Esc, then open the file; the session can be resumed";
                self.notes.bad(&Problem { what: "Open".to_owned(), why: why.to_owned() }, context.input(|i| i.time));
            }
            Command::OpenFiles(files) => self.open(&files),
            Command::ForgetRecent(path) => state.recent.retain(|r| r.image != path),
            Command::Shortcuts(shown) => self.shortcuts = shown,
            Command::About(shown) => self.about = shown,
            Command::FullScreen => {
                let full = context.input(|i| i.viewport().fullscreen).unwrap_or(false);
                context.send_viewport_cmd(ViewportCommand::Fullscreen(!full));
            }
            Command::Train(command) => self.apply_train(command, context),
            Command::Enter(mode) => self.enter(mode),
            Command::Leave => self.leave(),
            Command::Seen(command) => self.apply_seen(command),
            Command::Failed(problem) => self.failed(problem, context),
            Command::DismissProblem => state.problem = None,
            Command::Engine(request) => self.request(request),
            Command::Quit => context.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let State { epsilon, method, view, marks, card, model, .. } = &self.state;
        let card = model.clone().map(|model| (card.file.clone(), model));
        let place = self.state.case.as_ref().map(|case| (case.path.clone(), case.axis));
        Snapshot { epsilon: *epsilon, method: *method, view: view.clone(), marks: marks.clone(), place, card }
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
        let epsilon = epsilon.clamp(0.0, self.state.axis().largest);
        if epsilon.is_nan() || epsilon == self.state.epsilon {
            return;
        }
        self.record(Change::Epsilon, context);
        self.state.epsilon = epsilon;
        self.hint_done = true;
        self.engine.send(Request::Epsilon(epsilon));
    }

    /// Takes the attack, and ε with it in one step of undo.
    fn set_attack(&mut self, method: Attack, epsilon: Option<f64>, context: &egui::Context) {
        self.put_aside = None;
        // ε stays at its place of the axis, which for an L2 norm is another.
        let [before, after] = [self.state.method, method].map(|method| self.state.largest_epsilon(method));
        let kept = if before == after { self.state.epsilon } else { self.state.epsilon / before * after };
        let epsilon = epsilon.filter(|e| (0.0..=1.0).contains(e)).map_or(kept.min(after), |e| e * after);
        if method == self.state.method && epsilon == self.state.epsilon {
            return;
        }
        self.record(Change::Attack, context);
        self.state.tuned.remember(method);
        if epsilon != self.state.epsilon {
            self.state.epsilon = epsilon;
            self.engine.send(Request::Epsilon(epsilon));
        }
        if method != self.state.method {
            self.state.method = method;
            self.engine.send(Request::Attack(method));
        }
    }

    /// Undo or redo.
    fn go(&mut self, forward: bool) {
        let now = self.snapshot();
        let history = &mut self.state.history;
        let Some(to) = (if forward { history.redo(now.clone()) } else { history.undo(now.clone()) }) else { return };
        let (view, marks) = to.seen_from(&now);
        self.state.tuned.remember(to.method);
        // A card belongs to its model.
        if let Some((of, card)) = to.card
            && of == self.state.card.file
            && self.state.model.as_ref().is_some_and(|model| *model != card)
        {
            self.engine.send(Request::Card { of, card: Box::new((*card).clone()) });
        }
        if to.method != self.state.method {
            self.engine.send(Request::Attack(to.method));
        }
        if to.epsilon != self.state.epsilon {
            self.engine.send(Request::Epsilon(to.epsilon));
        }
        (self.state.epsilon, self.state.method) = (to.epsilon, to.method);
        (self.state.view, self.state.marks) = (view, marks);
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

    pub(super) fn ask(&mut self, wanted: Wanted, context: &egui::Context) {
        let folder = self.folder.clone();
        self.prompt = Some(Prompt::new(wanted, folder, &self.state, self.setup.native_dialogs, context));
    }

    fn open(&mut self, files: &[PathBuf]) {
        if let Some(folder) = files.first().and_then(|f| f.parent()).filter(|f| !f.as_os_str().is_empty()) {
            self.folder = folder.to_owned();
        }
        let is_model = |file: &&PathBuf| files::is_model(file);
        if let Some(model) = files.iter().find(is_model)
            && files.iter().any(|file| !files::is_model(file) && !files::is_card(file))
        {
            // Both at once: the image waits for the model if it does not fit the present one.
            self.request(Request::OpenModel(model.clone()));
            let rest: Vec<PathBuf> =
                files.iter().filter(|file| !files::is_model(file) && !files::is_card(file)).cloned().collect();
            return self.open(&rest);
        }
        match files::meaning(files, self.state.case.is_some()) {
            Meaning::Image { image, label } => self.request(Request::Open { image, label, slice: None }),
            Meaning::Label(label) => self.request(Request::OpenLabel(label)),
            Meaning::Model(model) => self.request(Request::OpenModel(model)),
            Meaning::Ask(two) => self.question = Some(two),
            Meaning::Nothing(why) => self.fail("Open", &why),
        }
    }

    /// Forwards a request, noting what the window must know about it.
    fn request(&mut self, request: Request) {
        match &request {
            Request::OpenModel(path) => {
                self.state.opening_model = Some(path.clone());
                (self.state.model_share, self.state.trying_model) = (None, false);
            }
            Request::OpenBundledModel | Request::CancelModel => self.state.opening_model = None,
            Request::CancelOpen => {
                self.state.opening = None;
                self.forget_part();
            }
            _ => {}
        }
        self.engine.send(request);
    }

    pub(super) fn fail(&mut self, what: &str, why: &str) {
        self.state.problem = Some(Problem { what: what.to_owned(), why: why.to_owned() });
    }
}
