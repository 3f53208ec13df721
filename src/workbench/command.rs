//! What panels ask for. The interface changes nothing itself: it sends commands, and [`App`](super::App) applies
//! them between frames and forwards what concerns the engine.

use super::browse::Filter;
use super::epsilon::{EpsilonScale, EpsilonUnit};
use super::seen::SeenCommand;
use super::stages::Mode;
use super::state::{Look, Marks, Navigation, Several, Tool, View};
use super::train::TrainCommand;
use crate::attack::Attack;
use crate::engine::{Problem, Request};
use crate::model::ModelCard;
use eframe::egui;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

/// What a person asked for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Choose ε, a fraction of the bounds' width.
    Epsilon(f64),
    /// Change ε by steps of the keys on the present scale; a fine step is [`FINE_STEP`](super::epsilon::FINE_STEP).
    StepEpsilon(f64),
    /// ε is being dragged (`true`) or was let go.
    DragEpsilon(bool),
    /// Show and type ε in another unit.
    Unit(EpsilonUnit),
    /// Divide the slider differently.
    Scale(EpsilonScale),
    /// Choose the attack.
    Attack(Attack),
    /// Choose the attack, and ε with it, as a paper has them.
    Preset(Attack, Option<f64>),
    /// Choose what is compared: a changed copy of the present choice.
    Several(Box<Several>),
    /// Measure the attacks that are chosen to be compared.
    MeasureSeveral,
    /// Write what was measured of them to this file.
    ExportComparison(PathBuf),
    /// Change what the pictures look like: a changed copy of the present view.
    View(Box<View>),
    /// Change what is drawn on the pictures: a changed copy of the present marks.
    Mark(Box<Marks>),
    /// Choose what dragging on a picture does.
    Tool(Tool),
    /// Choose the diameter of the brush, in image pixels.
    Brush(f32),
    /// The magnifying glass stays, or comes only while its key is held.
    Magnifier(bool),
    /// A picture was read back: put it on the clipboard.
    Copy(Arc<egui::ColorImage>),
    /// Zoom or pan.
    Navigate(Navigation),
    /// The pointer is over this pixel (column, row), or over none.
    Probe(Option<[usize; 2]>),
    /// Show another slice.
    Slice(usize),
    /// Show an entry of the data set.
    ShowEntry(usize),
    /// Show the entry so many places further among those that are shown.
    StepEntry(isize),
    /// Show other entries, or in another order.
    Filter(Box<Filter>),
    /// These entries are on the screen or near it: their thumbnails are wished for.
    LookAt(Vec<usize>),
    /// The side of thumbnails, in points.
    ThumbnailSide(f32),
    /// Give the library half of the window, or its panel.
    EnlargeLibrary(bool),
    /// Forget the data set.
    CloseSet,
    /// Play or stop the stack.
    Play(bool),
    /// Change how the window looks.
    Look(Look),
    /// Show only pictures and ε, or everything.
    ImagesOnly(bool),
    /// Put the panels back where they were at first.
    ResetLayout,
    /// Show or hide a panel.
    Panel(PanelKind, bool),
    /// Go back one change.
    Undo,
    /// Go forward one change.
    Redo,
    /// Ask for an image and open it.
    ChooseImage,
    /// Ask for a folder and open it as a data set.
    ChooseFolder,
    /// Ask for a label of the present image.
    ChooseLabel,
    /// Ask for a model.
    ChooseModel,
    /// Ask for a mask that attacks are to reach.
    ChooseTarget,
    /// Ask for a file with thresholds of observers.
    ChooseThresholds,
    /// Use the present model as this card says.
    Card(Box<ModelCard>),
    /// Ask where to export to.
    ChooseExport(ExportKind),
    /// Files were given (dropped, typed, chosen): find out which is the image, the label, the model.
    OpenFiles(Vec<PathBuf>),
    /// Forget a recent file.
    ForgetRecent(PathBuf),
    /// Show or hide the sheet of keys.
    Shortcuts(bool),
    /// Show or hide what this program is.
    About(bool),
    /// Full screen or not.
    FullScreen,
    /// What is seen of the perturbation.
    Seen(SeenCommand),
    /// A training, or what belongs to it.
    Train(TrainCommand),
    /// A reader study, the challenge or the tour takes the window over.
    Enter(Mode),
    /// Back to the workbench.
    Leave,
    /// Something outside the engine failed.
    Failed(Problem),
    /// Take the message of the last failure away.
    DismissProblem,
    /// Anything else that the engine does.
    Engine(Request),
    /// Close the window.
    Quit,
}

/// The panels that can be shown and hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PanelKind {
    /// The pictures.
    Compare,
    /// The plots.
    Curves,
    /// Files.
    Library,
    /// Attack, view, numbers.
    Inspector,
    /// The model and its card.
    Model,
    /// Gradient → sign → ×ε → sum.
    Steps,
    /// Trainings and the papers' studies.
    Train,
}

impl PanelKind {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 7] =
        [Self::Library, Self::Compare, Self::Curves, Self::Steps, Self::Inspector, Self::Model, Self::Train];

    /// The name on its tab and in the menu.
    pub fn title(self) -> &'static str {
        match self {
            Self::Compare => "Compare",
            Self::Curves => "Curves",
            Self::Library => "Library",
            Self::Inspector => "Inspector",
            Self::Model => "Model",
            Self::Steps => "Step by step",
            Self::Train => "Train",
        }
    }
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// The adversarial image, in the stored depth.
    Adversarial,
    /// All slices, each attacked.
    AdversarialVolume,
    /// What the model sees in it.
    PredictedMask,
    /// All views as one picture.
    Views,
    /// The curve as numbers.
    CurveCsv,
    /// The curve as a figure.
    CurveFigure,
    /// The curves of several attacks as numbers. Offered where they are compared.
    ComparisonCsv,
}

impl ExportKind {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 6] = [
        Self::Views,
        Self::Adversarial,
        Self::AdversarialVolume,
        Self::PredictedMask,
        Self::CurveCsv,
        Self::CurveFigure,
    ];

    /// The words of the menu, without the ellipsis.
    pub fn title(self) -> &'static str {
        match self {
            Self::Adversarial => "Adversarial image",
            Self::AdversarialVolume => "Adversarial volume",
            Self::PredictedMask => "Predicted mask",
            Self::Views => "All views",
            Self::CurveCsv => "Curve as CSV",
            Self::CurveFigure => "Curve as figure",
            Self::ComparisonCsv => "Compared attacks as CSV",
        }
    }
}

/// Where commands go. Cheap to clone; panels use it while they draw, file dialogs from their own threads.
#[derive(Clone)]
pub struct CommandSender {
    sender: mpsc::Sender<Command>,
    context: egui::Context,
}

impl CommandSender {
    /// A sender and the end that [`App`](super::App) reads.
    pub fn new(context: egui::Context) -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel();
        (Self { sender, context }, receiver)
    }

    /// Sends a command and wakes the window. Not from within `Context::input` and its like: waking locks the context.
    pub fn send(&self, command: Command) {
        // The receiver is gone only when the window closes: nobody is left to serve the wish.
        if self.sender.send(command).is_ok() {
            self.context.request_repaint();
        }
    }

    /// Sends a request for the engine.
    pub fn request(&self, request: Request) {
        self.send(Command::Engine(request));
    }
}
