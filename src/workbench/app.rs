//! The application: owns the state, applies commands, listens to the engine, lays out the bars and the panels.

use super::browse::Remembered;
use super::command::{Command, CommandSender, PanelKind};
use super::epsilon_bar::EpsilonBar;
use super::layout::{self, Panels};
use super::marks::MarksOf;
use super::notices::Notes;
use super::prompt::Prompt;
use super::seen::SeenState;
use super::settings::{self, Settings, Writer};
use super::stages::Stages;
use super::state::{State, Tuned};
use super::status::MemoryWatch;
use super::{Options, Setup, keys, screenshot, theme};
use crate::attack::Attack;
use crate::data::{Bounds, Region};
use crate::engine::{Backend, Early, Engine, Problem, Request};
use crate::gpu::{Compute, DeviceChoice, Display, take_gpu_errors};
use anyhow::Context as _;
use eframe::egui::{self, Ui};
use egui_tiles::Tree;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Settings are compared and written at most this often, in seconds.
pub(super) const SAVE_SECS: f64 = 1.0;
/// A press that is let go within so many seconds is a click. They pass from frame to frame: on a busy machine, where egui's 0.8 s are
/// two frames, clicks would be lost.
const CLICK_SECS: f64 = 2.0;
/// A stack plays this many slices a second, if the device keeps up.
const PLAY_PER_SEC: f64 = 5.0;

/// The window's program.
pub struct App {
    /// What the window shows.
    pub state: State,
    pub(super) engine: Engine,
    pub(super) commands: CommandSender,
    pub(super) inbox: mpsc::Receiver<Command>,
    pub(super) display: Display,
    pub(super) panels: Panels,
    pub(super) epsilon_bar: EpsilonBar,
    pub(super) tree: Tree<PanelKind>,
    /// The panels were arranged for the size of this window, or by a person.
    pub(super) arranged: bool,
    pub(super) notes: Notes,
    pub(super) prompt: Option<Prompt>,
    pub(super) question: Option<[PathBuf; 2]>,
    pub(super) shortcuts: bool,
    pub(super) about: bool,
    /// Whether to close the window is being asked, and was agreed to.
    pub(super) closing: bool,
    pub(super) closing_agreed: bool,
    /// The attack that a person chose, where the model has no gradient for it and random signs stand in.
    pub(super) put_aside: Option<Attack>,
    /// What the engine was told to confine the attack to.
    pub(super) confined: Option<Region>,
    /// What was drawn on cases that were open before, by file and axis.
    pub(super) marks_of: MarksOf,
    pub(super) recent_models: Vec<PathBuf>,
    pub(super) device: DeviceChoice,
    /// The label map of the command line, until the first label is there.
    pub(super) label_map_text: Option<String>,
    /// The bounds of the command line, until the first image is there.
    pub(super) wished_bounds: Option<Bounds>,
    pub(super) folder: PathBuf,
    pub(super) setup: Setup,
    pub(super) writer: Option<Writer>,
    pub(super) saved: Settings,
    pub(super) next_save: f64,
    pub(super) next_slice: f64,
    pub(super) stages: Stages,
    pub(super) memory: MemoryWatch,
    /// The data set of the last session, until it is open.
    pub(super) remembered: Option<Remembered>,
    /// What there is of the coming case, and since when.
    pub(super) waiting_early: Option<(Arc<Early>, Instant)>,
    pub(super) shot: Option<screenshot::Shot>,
    pub(super) title: String,
    pub(super) last_cpu_secs: Option<f32>,
    pub(super) hint_seen: bool,
    /// ε was changed: the hint goes when the pointer is let go.
    pub(super) hint_done: bool,
    /// The height of the bars at the bottom, in points.
    pub(super) bottom: f32,
    pub(super) window_size: Option<[f32; 2]>,
    pub(super) maximized: bool,
    /// The window filled the screen when it was closed.
    pub(super) maximized_before: bool,
    /// Told of the first frame.
    pub(super) drawn: Option<Arc<AtomicBool>>,
}

impl App {
    /// Starts the workers and reads the settings of `setup`.
    ///
    /// # Errors
    /// If the window has no GPU device, the display cannot be made, or a thread cannot be started.
    pub fn new(creation: &eframe::CreationContext<'_>, options: Options, setup: Setup) -> anyhow::Result<Self> {
        let context = creation.egui_ctx.clone();
        let render_state = creation.wgpu_render_state.clone().context("the window has no GPU device")?;
        let display = Display::new(&render_state)?;
        let (commands, inbox) = CommandSender::new(context.clone());
        let (settings, problem) = setup.config_folder.as_deref().map_or_else(Default::default, settings::load);
        let device = if options.device == DeviceChoice::Auto { settings.device } else { options.device };
        let backends = Arc::new(move |choice| {
            let Compute { device, info, publish } =
                Compute::for_window(&render_state, choice).map_err(|e| e.to_string())?;
            Ok(Backend { device, info, publish })
        });
        let waker = context.clone();
        let engine = Engine::start(device, backends, Arc::new(move || waker.request_repaint()))?;
        let writer = match &setup.config_folder {
            Some(folder) => {
                let commands = commands.clone();
                Some(Writer::start(folder.clone(), move |problem| commands.send(Command::Failed(problem)))?)
            }
            None => None,
        };
        let first = State::default();
        let mut state = State {
            epsilon: settings.epsilon.unwrap_or(first.epsilon),
            method: settings.attack.unwrap_or(first.method),
            several: settings.several.clone(),
            tuned: Tuned::from(settings.attacks.as_slice()),
            look: settings.look,
            view: settings.view.clone(),
            unit: settings.unit,
            scale: settings.scale,
            brush: settings.brush.unwrap_or(first.brush),
            recent: settings.recent.clone(),
            seen: SeenState::new(settings.seen.clone()),
            hint: !settings.hint_seen && options.screenshot.is_none(),
            ..first
        };
        let training = &mut state.training.draft;
        match &settings.training {
            Some(draft) => training.clone_from(draft),
            // Where the program was started, in full: a relative path says little in a window.
            None => {
                let folder = std::env::current_dir().unwrap_or_default();
                training.out = folder.join(&training.out);
                training.study.out = folder.join(&training.study.out);
            }
        }
        if let Some(side) = settings.thumbnail_side {
            state.browse.side = side;
        }
        if let Some(Problem { what, why }) = problem {
            commands.send(Command::Failed(Problem { what, why }));
        }
        theme::install_fonts(&context);
        theme::apply(&context, &state.look, setup.still);
        context.set_zoom_factor(state.look.ui_scale);
        context.options_mut(|o| {
            o.zoom_with_keyboard = false;
            o.input_options.max_click_duration = CLICK_SECS;
        });
        let remembered = settings.data_set.clone().filter(|_| options.screenshot.is_none() && options.image.is_none());
        let model = options.model.clone().or_else(|| remembered.as_ref().and(settings.model.clone()));
        if let Some(model) = model {
            // Told before anything else, so that the image waits for it.
            state.opening_model = Some(model.clone());
            commands.request(Request::OpenModel(model));
        }
        match options.image {
            Some(image) => {
                state.hint = false;
                commands.request(Request::Open { image, label: options.label, slice: options.slice });
            }
            None if options.label.is_none() && remembered.is_some() => {
                state.hint = false;
                if let Some(Remembered { path, entry, .. }) = &remembered {
                    commands.request(Request::Open { image: path.clone(), label: None, slice: Some(*entry) });
                }
            }
            None => {
                commands.request(Request::OpenSample);
                // Waits for the sample.
                if let Some(label) = options.label {
                    commands.request(Request::OpenLabel(label));
                }
            }
        }
        engine.send(Request::Attack(state.method));
        engine.send(Request::Epsilon(state.epsilon));
        let mut setup = setup;
        setup.still |= options.screenshot.is_some();
        Ok(Self {
            state,
            engine,
            commands,
            inbox,
            display,
            panels: Panels::default(),
            epsilon_bar: EpsilonBar::default(),
            tree: layout::mended(settings.layout.clone(), egui::vec2(1280.0, 800.0)),
            arranged: settings.layout.is_some(),
            notes: Notes::default(),
            prompt: None,
            question: None,
            shortcuts: false,
            about: false,
            closing: false,
            closing_agreed: false,
            put_aside: None,
            confined: None,
            marks_of: MarksOf::new(settings.marks.clone()),
            recent_models: settings.recent_models.clone(),
            device,
            label_map_text: options.label_map,
            wished_bounds: options.bounds,
            folder: std::env::current_dir().unwrap_or_default(),
            setup,
            writer,
            next_save: SAVE_SECS,
            next_slice: 0.0,
            stages: Stages::default(),
            memory: MemoryWatch::start(),
            remembered,
            waiting_early: None,
            shot: options.screenshot.map(screenshot::Shot::new),
            title: String::new(),
            last_cpu_secs: None,
            hint_seen: settings.hint_seen,
            hint_done: false,
            bottom: 0.0,
            window_size: settings.window_size,
            maximized: settings.maximized,
            drawn: None,
            maximized_before: settings.maximized,
            saved: settings,
        })
    }

    /// How the picture that was asked for at the start ends.
    pub(super) fn picture_outcome(&self) -> Option<screenshot::Outcome> {
        self.shot.as_ref().map(|shot| shot.outcome.clone())
    }

    /// Sends a command, as a panel would.
    pub fn send(&self, command: Command) {
        self.commands.send(command);
    }

    fn apply_commands(&mut self, context: &egui::Context) {
        while let Ok(command) = self.inbox.try_recv() {
            self.apply(command, context);
            context.request_repaint_after_secs(SAVE_SECS as f32 * 1.5);
        }
    }

    /// Shows the next slice when it is time and the last one is on the screen.
    fn play(&mut self, context: &egui::Context, now: f64) {
        if !self.state.playing {
            return;
        }
        let Some(slices) = self.state.case.as_ref().map(|c| c.slices).filter(|&n| n > 1) else {
            self.state.playing = false;
            return;
        };
        if self.state.case_shown && !self.state.computing && now >= self.next_slice {
            self.next_slice = now + 1.0 / PLAY_PER_SEC;
            let next = (self.state.slice + 1) % slices;
            self.apply(Command::Slice(next), context);
        }
        context.request_repaint_after_secs(0.02);
    }
}

impl eframe::App for App {
    fn logic(&mut self, context: &egui::Context, _: &mut eframe::Frame) {
        let events: Vec<_> = self.engine.events().collect();
        for event in events {
            self.hear(event, context);
        }
        self.show_early(context);
        for why in take_gpu_errors() {
            self.apply(Command::Failed(Problem { what: "Draw".to_owned(), why: why.to_string() }), context);
        }
        self.upload_thumbnails(context);
        self.state.memory_bytes = self.memory.bytes();
        self.apply_commands(context);
        self.retitle(context);
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let start = Instant::now();
        let context = ui.ctx().clone();
        let now = context.input(|i| i.time);
        if self.state.dragging
            && let Some(secs) = frame.info().cpu_usage.or(self.last_cpu_secs)
        {
            self.state.frame_times.add(secs);
        }
        let dropped: Vec<PathBuf> =
            context.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_owned()).collect());
        if !dropped.is_empty() {
            self.commands.send(Command::OpenFiles(dropped));
        }
        let open = keys::Open {
            sheet: self.shortcuts || self.about,
            prompt: self.prompt.is_some() || self.question.is_some(),
        };
        let staged = self.stages_ui(ui);
        if !staged {
            keys::handle(&context, &self.state, &self.commands, &open);
        }
        self.apply_commands(&context);
        if self.hint_done && !context.input(|i| i.pointer.any_down()) {
            self.state.hint = false;
        }
        self.limit_scale(&context);
        if !staged {
            self.bars_ui(ui);
            self.tour_ui(ui);
            self.center_ui(ui);
        }
        self.sheets_ui(&context);
        self.apply_commands(&context);
        self.confine(&context);
        self.watch_seen(&context, now);
        self.play(&context, now);
        self.display.end_frame();
        if let Some(drawn) = self.drawn.take() {
            drawn.store(true, Ordering::Relaxed);
            // Some window managers forget what the window was opened as; and one larger than its screen loses its bars.
            let native = context.content_rect().size() * context.zoom_factor();
            let monitor = context.input(|i| i.viewport().monitor_size);
            let too_large = monitor.is_some_and(|m| native.x > m.x - 40.0 || native.y > m.y - 60.0);
            if (self.maximized_before || too_large) && self.shot.is_none() {
                context.send_viewport_cmd(egui::ViewportCommand::Maximized(true));
            }
        }
        let fills = |v: &egui::ViewportInfo| (v.maximized.unwrap_or(false), v.fullscreen.unwrap_or(false));
        let (maximized, full_screen) = context.input(|i| fills(i.viewport()));
        if !full_screen {
            self.maximized = maximized;
        }
        if !maximized && !full_screen {
            let size = context.content_rect().size() * context.zoom_factor();
            self.window_size = Some([size.x.round(), size.y.round()]);
        }
        self.save(now);
        if let Some(shot) = &mut self.shot {
            shot.step(&context, &self.state);
        }
        self.last_cpu_secs = Some(start.elapsed().as_secs_f32());
    }

    fn on_exit(&mut self) {
        self.next_save = 0.0;
        self.save(0.0);
        // Waits for the last write.
        self.writer = None;
    }

    fn clear_color(&self, _: &egui::Visuals) -> [f32; 4] {
        theme::palette(self.state.look.theme).picture_background.to_normalized_gamma_f32()
    }
}
