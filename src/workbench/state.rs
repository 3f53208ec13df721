//! Everything that the panels read. Nothing here is changed by a panel: panels send [`Command`](super::Command)s and
//! [`App`](super::App) applies them.

use super::browse::Browse;
use super::compare::viewport::Geometry;
use super::epsilon::{self, EpsilonAxis, EpsilonRuler, EpsilonScale, EpsilonUnit};
use super::first_run::FirstRun;
use super::history::History;
pub use super::look::{Look, Theme};
pub use super::marks::{Marks, Tool};
pub use super::model::CardState;
pub use super::progress::LiveRun;
use super::seen::SeenState;
pub use super::several::{Compared, Several};
use super::timing::FrameTimes;
pub use super::train::Training;
pub use super::tuning::Tuned;
pub use super::view::{Comparison, DifferenceFrom, MaskStyle, Picture, View};
use crate::attack::{Attack, Entry, EpsilonMeaning, Norm};
use crate::data::Region;
use crate::engine::{CaseInfo, DeviceInfo, Early, ExportReport, Frame, JobState, JobStatus, Problem, Series};
use crate::model::{About, ImageKind, ModelCard};
use crate::study::{Curve, CurvePoint, Measure};
use crate::view::palette;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// What the window shows and why.
pub struct State {
    /// The case that is on the screen, that of [`State::frame`] or [`State::early`].
    pub case: Option<Arc<CaseInfo>>,
    /// The model, once one was read.
    pub model: Option<Arc<ModelCard>>,
    /// What there is to know of it.
    pub model_about: Option<Arc<About>>,
    /// Where tensors are computed, once known.
    pub device: Option<DeviceInfo>,
    /// Whether kernels are being tuned for it.
    pub first_run: FirstRun,
    /// The newest pictures and numbers. They stay until newer ones are complete: compare [`Frame::epsilon`] with
    /// [`State::epsilon`] to know whether they are behind.
    pub frame: Option<Arc<Frame>>,
    /// What there is of the case while its first frame is being computed; then there is no frame.
    pub early: Option<Arc<Early>>,
    /// The curve that fills in.
    pub curve: Option<LiveCurve>,
    /// What is compared.
    pub several: Several,
    /// The attacks that were compared last, with their curves.
    pub compared: Option<Compared>,
    /// The newest attack of many steps.
    pub run: Option<LiveRun>,
    /// The job lane.
    pub job: Option<JobStatus>,
    /// The engine works on a frame.
    pub computing: bool,
    /// The file that is being read.
    pub opening: Option<PathBuf>,
    /// The share of it that is read, where the reader tells.
    pub read_share: Option<f32>,
    /// The model that is being read.
    pub opening_model: Option<PathBuf>,
    /// The share of it that is read, where the reader tells.
    pub model_share: Option<f32>,
    /// It is read, and looks at the image for the first time.
    pub trying_model: bool,
    /// The card in use beside its model: saved, or guessed.
    pub card: CardState,
    /// The newest failure, until it is dismissed or the same thing works.
    pub problem: Option<Problem>,
    /// The newest export.
    pub exported: Option<ExportReport>,

    /// The wished ε, a fraction of the bounds' width. The frame follows.
    pub epsilon: f64,
    /// How ε is shown and typed.
    pub unit: Option<EpsilonUnit>,
    /// How the slider is divided.
    pub scale: EpsilonScale,
    /// ε is being dragged (slider or marker): frame times are measured, and undo takes it as one step.
    pub dragging: bool,
    /// The wished attack.
    pub method: Attack,
    /// The parameters of every attack as last set.
    pub tuned: Tuned,
    /// What the pictures look like.
    pub view: View,
    /// Zoom and pan, the same for all pictures.
    pub navigation: Navigation,
    /// The pixel under the pointer (column, row), the same for all pictures.
    pub probe: Option<[usize; 2]>,
    /// What is drawn on the pictures.
    pub marks: Marks,
    /// What dragging on a picture does.
    pub tool: Tool,
    /// The diameter of the brush, in image pixels.
    pub brush: f32,
    /// The magnifying glass stays.
    pub magnifier: bool,
    /// A frame of the newest case has come.
    pub case_shown: bool,
    /// What is on the screen is another slice, image or label than the newest one, whose pictures are being computed.
    pub outdated: bool,
    /// The wished slice, from 0. The case follows.
    pub slice: usize,
    /// It is not on the screen yet.
    pub slice_wished: bool,
    /// The stack is playing.
    pub playing: bool,
    /// How the window itself looks.
    pub look: Look,
    /// Only the pictures and ε are shown.
    pub images_only: bool,
    /// The bundled sample is shown for the first time: a hint belongs to the slider.
    pub hint: bool,
    /// What can be undone.
    pub history: History,
    /// Frame times while ε is dragged.
    pub frame_times: FrameTimes,
    /// Resident memory of the process in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Files opened before, newest first.
    pub recent: Vec<Recent>,
    /// The data set that is open.
    pub browse: Browse,
    /// What is seen of the perturbation.
    pub seen: SeenState,
    /// Trainings.
    pub training: Training,
}

/// A curve that grows. Points are only ever added.
#[derive(Clone, Debug)]
pub struct LiveCurve {
    /// Counts curves.
    pub generation: u64,
    /// The attack.
    pub method: Attack,
    /// The clean image's measures.
    pub clean: Measure,
    /// The attack's points, ascending in ε.
    pub points: Vec<CurvePoint>,
    /// Random sign noise, ascending in ε.
    pub control: Vec<CurvePoint>,
}

impl LiveCurve {
    /// Adds a point to its series.
    pub fn add(&mut self, series: Series, point: CurvePoint) {
        match series {
            Series::Attack => Curve::insert(&mut self.points, point),
            Series::Control => Curve::insert(&mut self.control, point),
        }
    }
}

/// Zoom and pan, the same for all pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Navigation {
    /// Physical screen pixels per image pixel; `None` fits the whole image.
    pub zoom: Option<f32>,
    /// The point of the image in the middle of every picture, as fractions of its width and height.
    pub center: [f32; 2],
}

impl Default for Navigation {
    fn default() -> Self {
        Self { zoom: None, center: [0.5, 0.5] }
    }
}

/// A file that was opened before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// The image.
    pub image: PathBuf,
    /// The label that was opened with it.
    pub label: Option<PathBuf>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            case: None,
            model: None,
            model_about: None,
            device: None,
            first_run: FirstRun::default(),
            frame: None,
            early: None,
            curve: None,
            several: Several::default(),
            compared: None,
            run: None,
            job: None,
            computing: false,
            opening: None,
            read_share: None,
            opening_model: None,
            model_share: None,
            trying_model: false,
            card: CardState::default(),
            problem: None,
            exported: None,
            epsilon: 4.0 / 255.0,
            unit: None,
            scale: EpsilonScale::default(),
            dragging: false,
            method: Attack::FGSM,
            tuned: Tuned::default(),
            view: View::default(),
            navigation: Navigation::default(),
            probe: None,
            marks: Marks::default(),
            tool: Tool::default(),
            brush: 12.0,
            magnifier: false,
            case_shown: false,
            outdated: false,
            slice: 0,
            slice_wished: false,
            playing: false,
            look: Look::default(),
            images_only: false,
            hint: false,
            history: History::default(),
            frame_times: FrameTimes::default(),
            memory_bytes: None,
            recent: Vec::new(),
            browse: Browse::default(),
            seen: SeenState::default(),
            training: Training::default(),
        }
    }
}

impl State {
    /// The unit in which ε is shown and typed: the chosen one, where the case has it; else what its values are in.
    pub fn epsilon_unit(&self) -> EpsilonUnit {
        self.ruler().unit
    }

    /// The axis of ε of the present attack with its unit.
    pub fn ruler(&self) -> EpsilonRuler {
        EpsilonRuler::new(self.axis(), self.case.as_deref(), self.unit, self.is_amount())
    }

    /// The ruler of several attacks on `case`, which share the axis of L∞: an L2 radius of ε·√N stands at ε.
    pub fn shared_ruler(&self, case: &CaseInfo) -> EpsilonRuler {
        let axis = EpsilonAxis { scale: self.scale, largest: epsilon::LARGEST };
        EpsilonRuler::new(axis, Some(case), self.unit, true)
    }

    /// Whether ε is an amount of something: the strength of a corruption is not.
    fn is_amount(&self) -> bool {
        self.method.entry().epsilon != EpsilonMeaning::Strength
    }

    /// The axis of ε of the present attack.
    pub fn axis(&self) -> EpsilonAxis {
        EpsilonAxis { scale: self.scale, largest: self.largest_epsilon(self.method) }
    }

    /// The ε at which the axis of `method` ends.
    pub fn largest_epsilon(&self, method: Attack) -> f64 {
        let values = self.case.as_ref().map_or(1, |case| case.shape.iter().product::<usize>());
        if method.norm() == Some(Norm::L2) { (values as f64).sqrt() } else { epsilon::LARGEST }
    }

    /// The units that ε has on the case.
    pub fn epsilon_units(&self) -> Vec<EpsilonUnit> {
        epsilon::units(self.case.as_deref(), self.is_amount())
    }

    /// What the bounds of the case span, in the unit of ε: Hounsfield units, else grey levels.
    pub fn grey_levels(&self) -> f64 {
        self.ruler().levels
    }

    /// An ε with its unit, as chosen.
    pub fn epsilon_text(&self, epsilon: f64) -> String {
        self.ruler().text(epsilon)
    }

    /// Distance in mm between rows and between columns of the shown image, where known.
    pub fn spacing(&self) -> Option<[f32; 2]> {
        self.case.as_ref()?.about.spacing.map(|[_, rows, columns]| [rows, columns])
    }

    /// How an image of `size` columns and rows, that of the case, is laid out on the screen.
    pub fn geometry(&self, size: eframe::egui::Vec2) -> Geometry {
        Geometry::new(size, self.spacing(), self.view.orientation)
    }

    /// The sides of the patient at the left, right, top and bottom edge of the pictures, where known.
    pub fn edges(&self) -> Option<[char; 4]> {
        Some(self.view.orientation.edges(self.case.as_ref()?.about.axes()?))
    }

    /// The region of interest, if it is of the image's size.
    pub fn region(&self) -> Option<&Region> {
        let [_, height, width] = self.case.as_ref()?.shape;
        self.marks.region.as_ref().filter(|region| region.size() == [height, width])
    }

    /// The catalogue's entry of the wished attack.
    pub fn attack(&self) -> &'static Entry {
        entry(self.method)
    }

    /// Why what the model finds in the present image may mean little, if its card says what it was made for.
    pub fn doubt(&self) -> Option<String> {
        let (model, case) = (self.model.as_ref()?, self.case.as_ref().filter(|case| case.path.is_some())?);
        let of_patient = case.about.axes().is_some();
        model.doubt(ImageKind { modality: case.about.modality.as_deref(), of_patient })
    }

    /// Whether pictures and numbers are of the present case and the wished ε and attack.
    pub fn is_current(&self) -> bool {
        self.case_shown
            && self.frame.as_ref().is_some_and(|f| {
                let whole = f.unfinished.is_none_or(|u| u.stopped);
                whole && f.ahead.is_none() && f.method == self.method && (f.epsilon - self.epsilon).abs() < 1e-12
            })
    }

    /// Whether a job runs or waits.
    pub fn job_active(&self) -> bool {
        self.job.as_ref().is_some_and(|j| matches!(j.state, JobState::Running | JobState::Paused))
    }

    /// The name of a class of the model, or its number.
    pub fn class_name(&self, class: u8) -> String {
        let name = self.model.as_ref().and_then(|m| m.classes.get(usize::from(class)).map(|c| c.name.clone()));
        name.unwrap_or_else(|| format!("class {class}"))
    }

    /// The name of a class of the model by its index, which may be above 255.
    pub fn class_title(&self, class: usize) -> String {
        let known = self.case.as_ref().and_then(|case| case.about.class_names.clone());
        match &self.model {
            // A data set knows the names that its model does not.
            Some(card)
                if known.as_ref().is_some_and(|names| names.len() == card.classes.len() && card.is_nameless()) =>
            {
                known.and_then(|names| names.get(class).map(ToString::to_string)).unwrap_or_default()
            }
            Some(card) => card.class_name(class).into_owned(),
            None => format!("class {class}"),
        }
    }

    /// The colours of classes in pictures, as the card wishes them.
    pub fn class_colours(&self) -> palette::ClassColours {
        let wished = |class: usize| Some(self.model.as_ref()?.classes.get(class)?.colour?.0);
        palette::class_colours(wished, self.model.as_ref().map_or(1, |card| usize::from(card.positive_class)))
    }

    /// The colour in which pictures show a class above 0 of more than two.
    pub fn class_colour(&self, class: usize) -> palette::Rgb {
        let [_, several @ ..] = self.class_colours();
        several[class.saturating_sub(1) % several.len()]
    }

    /// The name of the class that Dice and IoU speak of.
    pub fn positive_class_name(&self) -> String {
        self.model.as_ref().map_or_else(|| "positive class".to_owned(), |m| self.class_name(m.positive_class))
    }
}

/// The catalogue's entry of an attack.
pub fn entry(method: Attack) -> &'static Entry {
    method.entry()
}
