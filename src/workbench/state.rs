//! Everything that the panels read. Nothing here is changed by a panel: panels send [`Command`](super::Command)s and
//! [`App`](super::App) applies them.

use super::curves::Quantity;
use super::epsilon::{self, EpsilonScale, EpsilonUnit};
use super::history::History;
use super::timing::FrameTimes;
use crate::attack::{CATALOG, Entry, Method};
use crate::engine::{CaseInfo, DeviceInfo, ExportReport, Frame, JobState, JobStatus, Problem, Series};
use crate::model::ModelCard;
use crate::study::{Curve, CurvePoint, Measure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// What the window shows and why.
pub struct State {
    /// The case, once one was read.
    pub case: Option<Arc<CaseInfo>>,
    /// The model, once one was read.
    pub model: Option<Arc<ModelCard>>,
    /// Where tensors are computed, once known.
    pub device: Option<DeviceInfo>,
    /// The newest pictures and numbers. They stay until newer ones are complete: compare [`Frame::epsilon`] with
    /// [`State::epsilon`] to know whether they are behind.
    pub frame: Option<Arc<Frame>>,
    /// The curve that fills in.
    pub curve: Option<LiveCurve>,
    /// The job lane.
    pub job: Option<JobStatus>,
    /// The engine works on a frame.
    pub computing: bool,
    /// The file that is being read.
    pub opening: Option<PathBuf>,
    /// The share of it that is read, where the reader tells.
    pub read_share: Option<f32>,
    /// The newest failure, until it is dismissed or the same thing works.
    pub problem: Option<Problem>,
    /// The newest export.
    pub exported: Option<ExportReport>,

    /// The wished ε, a fraction of the bounds' width. The frame follows.
    pub epsilon: f64,
    /// How ε is shown and typed.
    pub unit: EpsilonUnit,
    /// How the slider is divided.
    pub scale: EpsilonScale,
    /// ε is being dragged (slider or marker): frame times are measured, and undo takes it as one step.
    pub dragging: bool,
    /// The wished attack.
    pub method: Method,
    /// What the pictures look like.
    pub view: View,
    /// Zoom and pan, the same for all pictures.
    pub navigation: Navigation,
    /// The pixel under the pointer (column, row), the same for all pictures.
    pub probe: Option<[usize; 2]>,
    /// A frame of the present case has come.
    pub case_shown: bool,
    /// The wished slice, from 0. The case follows.
    pub slice: usize,
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
}

/// A curve that grows. Points are only ever added.
#[derive(Clone, Debug)]
pub struct LiveCurve {
    /// Counts curves.
    pub generation: u64,
    /// The attack.
    pub method: Method,
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

/// How a segmentation is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskStyle {
    /// The mask over its image, half transparent.
    #[default]
    Overlay,
    /// Only its outline over the image.
    Contour,
    /// The mask alone.
    Mask,
    /// The probability alone, as grey.
    Probability,
}

impl MaskStyle {
    /// All of them with their names in the window.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Overlay, "Overlay"),
        (Self::Contour, "Contour"),
        (Self::Mask, "Mask"),
        (Self::Probability, "Probability"),
    ];
}

/// How original and adversarial pictures are compared in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Side by side only.
    #[default]
    SideBySide,
    /// The adversarial pictures alternate with the originals.
    Blink,
    /// Left of a line that is dragged the original, right of it the adversarial picture.
    Swipe,
}

/// What the picture of the difference compares the adversarial segmentation with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceFrom {
    /// What the model sees in the original.
    #[default]
    CleanPrediction,
    /// The label, where there is one.
    Reference,
}

/// One of the six pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Picture {
    /// The image.
    Original,
    /// adversarial − original, times the gain.
    Noise,
    /// The attacked image.
    Adversarial,
    /// What the model sees in the image.
    CleanSegmentation,
    /// What the model sees in the attacked image.
    AdversarialSegmentation,
    /// Where the two segmentations differ.
    Difference,
}

impl Picture {
    /// All of them, in reading order.
    pub const ALL: [Self; 6] = [
        Self::Original,
        Self::Noise,
        Self::Adversarial,
        Self::CleanSegmentation,
        Self::AdversarialSegmentation,
        Self::Difference,
    ];

    /// The caption.
    pub fn title(self) -> &'static str {
        match self {
            Self::Original => "Original",
            Self::Noise => "Noise",
            Self::Adversarial => "Adversarial",
            Self::CleanSegmentation => "Segmentation of the original",
            Self::AdversarialSegmentation => "Segmentation of the adversarial",
            Self::Difference => "What changed",
        }
    }
}

/// What the pictures look like. Changes can be undone and are remembered from one start to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// The grey value, a fraction of the bounds, that is shown as black; and the one shown as white. Lower < upper.
    pub window: [f32; 2],
    /// The noise is multiplied by this before it is shown, if the gain is not automatic.
    pub gain: f32,
    /// The gain follows ε so that the noise always uses the whole colour range.
    pub auto_gain: bool,
    /// How segmentations are drawn.
    pub mask_style: MaskStyle,
    /// Opacity of overlays in [0, 1].
    pub opacity: f32,
    /// Pixels whose class the attack changed are marked on the adversarial segmentation.
    pub mark_difference: bool,
    /// The reference's outline is drawn on the segmentations.
    pub show_reference: bool,
    /// How original and adversarial are compared.
    pub comparison: Comparison,
    /// Seconds for which one picture stays while two of them blink.
    pub blink_secs: f32,
    /// What the difference is taken from.
    pub difference_from: DifferenceFrom,
    /// Which picture is shown alone, if one is.
    pub focus: Option<Picture>,
    /// Which pictures are shown.
    pub pictures: Vec<Picture>,
    /// A cross-hair marks the probed pixel in every picture.
    pub crosshair: bool,
    /// Enlarged pixels are shown smooth instead of as squares.
    pub smooth: bool,
    /// What the plots show over ε.
    pub quantities: Vec<Quantity>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            window: [0.0, 1.0],
            gain: 20.0,
            auto_gain: true,
            mask_style: MaskStyle::Overlay,
            opacity: 0.5,
            mark_difference: true,
            show_reference: false,
            comparison: Comparison::SideBySide,
            blink_secs: 0.5,
            difference_from: DifferenceFrom::CleanPrediction,
            focus: None,
            pictures: Picture::ALL.to_vec(),
            crosshair: true,
            smooth: false,
            quantities: vec![Quantity::Dice, Quantity::Wrong, Quantity::PixelError],
        }
    }
}

impl View {
    /// The factor that the noise is multiplied by at `epsilon`.
    pub fn gain_at(&self, epsilon: f64) -> f32 {
        if self.auto_gain && epsilon > 0.0 { (1.0 / epsilon).clamp(1.0, 2550.0) as f32 } else { self.gain }
    }

    /// Mends values that a settings file of another hand may hold.
    pub fn sanitised(mut self) -> Self {
        let [lower, upper] = self.window;
        if !(lower.is_finite() && upper.is_finite() && lower < upper) {
            self.window = [0.0, 1.0];
        }
        if !self.gain.is_finite() {
            self.gain = 20.0;
        }
        self.gain = self.gain.clamp(1.0, 2550.0);
        self.opacity = if self.opacity.is_finite() { self.opacity.clamp(0.0, 1.0) } else { 0.5 };
        self.blink_secs = if self.blink_secs.is_finite() { self.blink_secs.clamp(0.1, 3.0) } else { 0.5 };
        if self.pictures.is_empty() {
            self.pictures = Picture::ALL.to_vec();
        }
        if self.quantities.is_empty() {
            self.quantities = Self::default().quantities;
        }
        self
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

/// Dark or light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// Neutral grey, pictures on near-black.
    #[default]
    Dark,
    /// For bright rooms and print.
    Light,
}

/// How the window itself looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Look {
    /// Dark or light.
    pub theme: Theme,
    /// Everything is this much larger, 0.75 to 2.
    pub ui_scale: f32,
    /// Large type, only pictures and ε: for the lecture hall.
    #[serde(skip)]
    pub presenter: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { theme: Theme::Dark, ui_scale: 1.0, presenter: false }
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
            device: None,
            frame: None,
            curve: None,
            job: None,
            computing: false,
            opening: None,
            read_share: None,
            problem: None,
            exported: None,
            epsilon: 4.0 / 255.0,
            unit: EpsilonUnit::default(),
            scale: EpsilonScale::default(),
            dragging: false,
            method: CATALOG[0].method,
            view: View::default(),
            navigation: Navigation::default(),
            probe: None,
            case_shown: false,
            slice: 0,
            playing: false,
            look: Look::default(),
            images_only: false,
            hint: false,
            history: History::default(),
            frame_times: FrameTimes::default(),
            memory_bytes: None,
            recent: Vec::new(),
        }
    }
}

impl State {
    /// The grey levels that the bounds of the case span.
    pub fn grey_levels(&self) -> f64 {
        epsilon::grey_levels(self.case.as_deref())
    }

    /// An ε with its unit, as chosen.
    pub fn epsilon_text(&self, epsilon: f64) -> String {
        epsilon::text(epsilon, self.unit, self.grey_levels())
    }

    /// The catalogue's entry of the wished attack.
    pub fn attack(&self) -> &'static Entry {
        entry(self.method)
    }

    /// Whether the pictures are of the present case and the wished ε and attack.
    pub fn is_current(&self) -> bool {
        self.case_shown
            && self.frame.as_ref().is_some_and(|f| f.method == self.method && (f.epsilon - self.epsilon).abs() < 1e-12)
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

    /// The name of the class that Dice and IoU speak of.
    pub fn positive_class_name(&self) -> String {
        self.model.as_ref().map_or_else(|| "positive class".to_owned(), |m| self.class_name(m.positive_class))
    }
}

/// The catalogue's entry of a method; the same kind of method with another seed is the same entry.
pub fn entry(method: Method) -> &'static Entry {
    let same = |e: &&Entry| std::mem::discriminant(&e.method) == std::mem::discriminant(&method);
    CATALOG.iter().find(|e| e.method == method).or_else(|| CATALOG.iter().find(same)).unwrap_or(&CATALOG[0])
}
