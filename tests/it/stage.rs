//! One panel of the window on a stage of its own, over a fabricated state.

use eframe::egui::{self, Pos2, Rect, Role};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, Node};
use epsiloscope::attack::{Attack, Reference};
use epsiloscope::data::{Axis, Bounds, Image, StoredType};
use epsiloscope::engine::{CaseInfo, Frame, Plane, TruthChoice};
use epsiloscope::gpu::{Display, wgpu_setup};
use epsiloscope::metric::{Distortion, Overlap, PixelError};
use epsiloscope::study::{CurvePoint, Measure, Seen};
use epsiloscope::workbench::compare::Compare;
use epsiloscope::workbench::curves::Curves;
use epsiloscope::workbench::epsilon_bar::EpsilonBar;
use epsiloscope::workbench::parameters::ParameterPanel;
use epsiloscope::workbench::state::LiveCurve;
use epsiloscope::workbench::{Command, CommandSender, Pane, PaneContext, State, progress, theme};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

pub const WIDTH: usize = 96;
pub const HEIGHT: usize = 72;

pub fn measure(dice: f64, wrong: f64, epsilon: f64) -> Measure {
    Measure {
        error: PixelError { l2: wrong * 200.0, rmse: wrong.sqrt(), wrong, pixels: (WIDTH * HEIGHT) as u64 },
        overlap: Overlap { dice, iou: dice / (2.0 - dice) },
        distortion: Distortion { linf: epsilon, l2: epsilon * 80.0, ..Distortion::default() },
        seen: Seen::default(),
        decision: None,
        flipped: None,
        wished: None,
        clipped: None,
        displacement: None,
    }
}

pub fn point(level: f64, harm: f64) -> CurvePoint {
    let epsilon = level / 255.0;
    CurvePoint { epsilon, measure: measure(0.95 - harm, 0.03 + harm * 0.8, epsilon), seconds: 0.1 }
}

pub fn plane(value: impl Fn(usize, usize) -> f32) -> Plane {
    let values: Vec<f32> =
        (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
    Plane::from_host(1, HEIGHT, WIDTH, values)
}

/// A case with all planes on the host: a ramp with a disc, and a mask that the attack moves to the right.
pub fn state(method: Attack, epsilon: f64) -> State {
    let disc = |x: usize, y: usize, shift: f32| {
        let (u, v) = (x as f32 - 48.0 - shift, y as f32 - 36.0);
        if u.hypot(v) < 20.0 { 0.9 } else { 0.1 }
    };
    let image = move |x: usize, y: usize| 0.2 + 0.5 * x as f32 / WIDTH as f32 + 0.2 * disc(x, y, 0.0);
    let sign = |x: usize, y: usize| if (x * 7 + y * 13) % 5 < 2 { 1.0 } else { -1.0 };
    let step = epsilon as f32;
    let random = !method.entry().gradient;
    let pixels: Vec<f32> = (0..WIDTH * HEIGHT).map(|i| (image(i % WIDTH, i / WIDTH) * 255.0).round()).collect();
    let case = Arc::new(CaseInfo {
        name: "disc".to_owned(),
        path: None,
        label_path: None,
        slice: 0,
        slices: 1,
        class: None,
        shape: [1, HEIGHT, WIDTH],
        stored: StoredType::U8,
        bounds: Bounds::EIGHT_BIT,
        reference: Reference::Label,
        label_map: None,
        label_map_guessed: false,
        label_is_empty: false,
        tiles: None,
        shown: Bounds::EIGHT_BIT,
        percentiles: Bounds { lower: 50.0, upper: 220.0 },
        about: Arc::default(),
        axis: Axis::default(),
        planes: Vec::new(),
        region: None,
        truth_by: TruthChoice::default(),
        target: None,
        label_values: vec![0, 255],
        image: Image::new(1, HEIGHT, WIDTH, pixels).expect("the shape fits"),
        identity: epsiloscope::observer::Identity::default(),
    });
    let frame = Frame {
        case: case.clone(),
        epsilon,
        ahead: None,
        method,
        generation: 1,
        original: plane(image),
        gradient: (!random).then(|| plane(move |x, y| sign(x, y) * 0.01 * (1.0 + x as f32))),
        gradient_peak: if random { 0.0 } else { 0.01 * (WIDTH as f32) },
        loss: (!random).then_some(0.1234),
        direction: plane(sign),
        noise: plane(move |x, y| sign(x, y) * step),
        adversarial: plane(move |x, y| (image(x, y) + sign(x, y) * step).clamp(0.0, 1.0)),
        classes: None,
        scores: None,
        class_dice: None,
        clean_probability: plane(move |x, y| disc(x, y, 0.0)),
        adversarial_probability: plane(move |x, y| disc(x, y, 9.0)),
        reference: plane(move |x, y| if disc(x, y, 1.0) > 0.5 { 1.0 } else { 0.0 }),
        clean: measure(0.95, 0.03, 0.0),
        adversarial_measure: measure(0.6, 0.3, epsilon),
        tick_secs: 0.02,
        unfinished: None,
        displacement: None,
    };
    let levels = [(0.5, 0.02), (1.0, 0.06), (2.0, 0.15), (4.0, 0.35), (8.0, 0.5), (16.0, 0.6), (32.0, 0.66)];
    let curve = LiveCurve {
        generation: 1,
        method,
        clean: measure(0.95, 0.03, 0.0),
        points: levels.iter().map(|&(level, harm)| point(level, harm)).collect(),
        control: levels.iter().map(|&(level, harm)| point(level, harm * 0.1)).collect(),
    };
    State {
        case: Some(case),
        frame: Some(Arc::new(frame)),
        case_shown: true,
        curve: Some(curve),
        epsilon,
        method,
        ..State::default()
    }
}

pub const FGSM: Attack = Attack::FGSM;
pub const FOUR: f64 = 4.0 / 255.0;

/// Whichever panel is tested.
pub enum Panel {
    Pane(Box<dyn Pane>),
    Bar(EpsilonBar),
    Parameters(ParameterPanel),
}

/// A window that holds one panel and does what it asks for, as the workbench does.
pub struct Stage {
    pub state: State,
    panel: Panel,
    display: Option<Display>,
    commands: CommandSender,
    received: Receiver<Command>,
    pub log: Vec<Command>,
}

impl Stage {
    fn new(cc: &eframe::CreationContext<'_>, state: State, panel: Panel) -> Self {
        theme::install_fonts(&cc.egui_ctx);
        theme::apply(&cc.egui_ctx, &state.look, true);
        let display = cc.wgpu_render_state.as_ref().map(|r| Display::new(r).expect("the display starts"));
        let (commands, received) = CommandSender::new(cc.egui_ctx.clone());
        Self { state, panel, display, commands, received, log: Vec::new() }
    }

    fn apply(&mut self, command: Command) {
        match command.clone() {
            Command::Epsilon(epsilon) => self.state.epsilon = epsilon,
            Command::StepEpsilon(steps) => self.state.epsilon = self.state.scale.step(self.state.epsilon, steps),
            Command::DragEpsilon(dragging) => self.state.dragging = dragging,
            Command::Unit(unit) => self.state.unit = Some(unit),
            Command::Scale(scale) => self.state.scale = scale,
            Command::Attack(attack) => self.state.method = attack,
            Command::Preset(attack, epsilon) => {
                (self.state.method, self.state.epsilon) = (attack, epsilon.unwrap_or(self.state.epsilon));
            }
            Command::Several(several) => self.state.several = *several,
            Command::View(view) => self.state.view = *view,
            Command::Navigate(navigation) => self.state.navigation = navigation,
            Command::Probe(pixel) => self.state.probe = pixel,
            Command::Mark(marks) => self.state.marks = *marks,
            Command::Tool(tool) => self.state.tool = tool,
            Command::Brush(diameter) => self.state.brush = diameter,
            Command::Magnifier(stays) => self.state.magnifier = stays,
            Command::Filter(filter) => {
                self.state.browse.filter = *filter;
                self.state.browse.refilter();
            }
            _ => {}
        }
        self.log.push(command);
    }
}

impl eframe::App for Stage {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let waiting: Vec<Command> = self.received.try_iter().collect();
        for command in waiting {
            self.apply(command);
        }
        let mut context = PaneContext { display: self.display.as_mut(), still: true };
        egui::CentralPanel::default().show(ui, |ui| match &mut self.panel {
            Panel::Pane(pane) => pane.ui(ui, &self.state, &self.commands, &mut context),
            Panel::Bar(bar) => bar.ui(ui, &self.state, &self.commands, &mut context),
            Panel::Parameters(panel) => {
                panel.ui(ui, &self.state, &self.commands);
                progress::run_ui(ui, &self.state, &self.commands);
            }
        });
        if let Some(display) = &mut self.display {
            display.end_frame();
        }
    }
}

pub fn stage(size: [f32; 2], state: State, panel: Panel) -> Harness<'static, Stage> {
    let mut harness = Harness::builder()
        .with_size(size)
        .with_step_dt(1.0 / 60.0)
        .wgpu_setup(wgpu_setup())
        .build_eframe(move |cc| Stage::new(cc, state, panel));
    settle(&mut harness);
    harness
}

pub fn settle(harness: &mut Harness<'_, Stage>) {
    for _ in 0..6 {
        harness.step();
    }
}

pub fn drag(harness: &mut Harness<'_, Stage>, from: Pos2, to: Pos2) {
    harness.hover_at(from);
    harness.step();
    harness.drag_at(from);
    harness.step();
    for i in 1..=6 {
        harness.hover_at(from.lerp(to, i as f32 / 6.0));
        harness.step();
    }
    harness.drop_at(to);
    settle(harness);
}

pub fn pictures<'h>(harness: &'h Harness<'_, Stage>) -> Vec<Node<'h>> {
    harness.get_all_by_role(Role::Image).collect()
}

pub fn picture_rect(harness: &Harness<'_, Stage>, name: &str) -> Rect {
    let found = pictures(harness).into_iter().find(|n| n.accesskit_node().label().is_some_and(|l| l.starts_with(name)));
    found.unwrap_or_else(|| panic!("there is no picture called {name}")).rect()
}

pub fn shows(harness: &Harness<'_, Stage>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

pub fn bar(epsilon: f64) -> Harness<'static, Stage> {
    stage([1000.0, 90.0], state(FGSM, epsilon), Panel::Bar(EpsilonBar::default()))
}

pub fn curves() -> Harness<'static, Stage> {
    stage([900.0, 360.0], state(FGSM, FOUR), Panel::Pane(Box::new(Curves::default())))
}

pub fn compare(size: [f32; 2], state: State) -> Harness<'static, Stage> {
    stage(size, state, Panel::Pane(Box::new(Compare::default())))
}
