//! The prompt that asks for a path. The system's own dialog opens beside it on a thread of its own, so that a path can be
//! typed where there is none.

use super::command::{Command, CommandSender, ExportKind};
use super::files::{IMAGE_ENDINGS, MODEL_ENDINGS};
use super::state::State;
use super::theme;
use super::train::{TrainCommand, TrainPath};
use crate::engine::{Export, ReaderRequest, Request};
use eframe::egui::{self, Align2, Key, TextEdit, Ui, vec2};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An image to open.
    Image,
    /// A folder to open as a data set.
    Folder,
    /// A label of the image that is open.
    Label,
    /// A model.
    Model,
    /// A mask that attacks are to reach.
    Target,
    /// Thresholds that observers were measured to have.
    Thresholds,
    /// A path that a training asks for.
    Training(TrainPath),
    /// Where to export to.
    Export(ExportKind),
}

impl Wanted {
    fn title(self) -> String {
        match self {
            Self::Image => "Open image".to_owned(),
            Self::Folder => "Open folder".to_owned(),
            Self::Label => "Open label".to_owned(),
            Self::Model => "Open model".to_owned(),
            Self::Target => "Mask to reach".to_owned(),
            Self::Thresholds => "Thresholds of observers".to_owned(),
            Self::Training(path) => path.title().to_owned(),
            Self::Export(_) => "Export".to_owned(),
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Image => {
                "PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy, idx, CIFAR-10"
            }
            Self::Folder => {
                "Images with masks, a folder for each class, stacks, idx, CIFAR-10 or NumPy files, a DICOM series"
            }
            Self::Label => "An image of the same size whose pixel values are classes",
            Self::Model => {
                "ONNX, or a U-Net’s .safetensors, .bpk, .pt or .pth; a card (.toml) beside it is read, else guessed"
            }
            Self::Target => "A mask of the image’s size: what the attack is to make the model see",
            Self::Thresholds => "thresholds.csv of `epsiloscope observer fit`, or a table of trials",
            Self::Training(path) => path.hint(),
            Self::Export(ExportKind::Adversarial) => {
                "PNG, TIFF, .npy, .nii, .nii.gz or .dcm by its ending; rounded to the depth of the original, read back and judged again"
            }
            Self::Export(ExportKind::AdversarialVolume) => {
                "Every slice attacked at the present ε; .nii.gz, .nii, .tif or .npy, or a name that ends in / for a DICOM series"
            }
            Self::Export(ExportKind::PredictedMask) => {
                "What the model sees at the present ε; PNG, TIFF, .npy, .nii, .nii.gz or .dcm by the ending of the name"
            }
            Self::Export(ExportKind::Views) => "All six pictures at the present ε, labelled, as one PNG",
            Self::Export(ExportKind::CurveCsv) => "One row per ε, attack and control, in the columns of the sweep",
            Self::Export(ExportKind::ComparisonCsv) => {
                "One row per attack and ε, with its parameters, model and device"
            }
            Self::Export(ExportKind::CurveFigure) => "SVG, or PNG by the ending of the name",
        }
    }
}

/// The question that is on the screen.
pub struct Prompt {
    wanted: Wanted,
    text: String,
    /// The name that was proposed, to follow a change of what is exported while nobody has changed it.
    proposed: String,
    folder: PathBuf,
    native: Option<mpsc::Receiver<Option<PathBuf>>>,
    native_since: Instant,
    /// The system has no file dialog: the path must be typed.
    no_native: bool,
    focus: bool,
}

impl Prompt {
    /// Asks for `wanted`, beginning in `folder`; `native` also opens the system's dialog.
    pub fn new(wanted: Wanted, folder: PathBuf, state: &State, native: bool, context: &egui::Context) -> Self {
        let text = match wanted {
            Wanted::Export(kind) => folder.join(export_name(kind, state)).display().to_string(),
            _ => String::new(),
        };
        let mut prompt = Self {
            wanted,
            proposed: text.clone(),
            text,
            folder,
            native: None,
            native_since: Instant::now(),
            no_native: false,
            focus: true,
        };
        if native {
            prompt.open_native(context);
        }
        prompt
    }

    /// Opens the system's dialog on a thread of its own.
    fn open_native(&mut self, context: &egui::Context) {
        let (sender, receiver) = mpsc::channel();
        let (wanted, context) = (self.wanted, context.clone());
        let mut dialog = rfd::FileDialog::new().set_title(wanted.title()).set_directory(&self.folder);
        dialog = match wanted {
            Wanted::Image | Wanted::Label | Wanted::Target => {
                dialog.add_filter("Images", &IMAGE_ENDINGS).add_filter("All files", &["*"])
            }
            Wanted::Folder => dialog,
            Wanted::Thresholds => dialog.add_filter("Tables", &["csv"]),
            Wanted::Training(path) => match path {
                TrainPath::Image | TrainPath::Label => dialog.add_filter("Images", &IMAGE_ENDINGS),
                TrainPath::OpenRecipe | TrainPath::SaveRecipe => dialog.add_filter("Recipes", &["toml"]),
                TrainPath::StudyUnseen => dialog.add_filter("Tables", &["csv"]),
                _ => dialog,
            },
            Wanted::Model => dialog.add_filter("Models", &MODEL_ENDINGS).add_filter("All files", &["*"]),
            Wanted::Export(_) => {
                let name = Path::new(&self.text).file_name().map(|n| n.to_string_lossy().into_owned());
                dialog.set_file_name(name.unwrap_or_default())
            }
        };
        let ask = move || {
            let chosen = match wanted {
                Wanted::Export(_) | Wanted::Training(TrainPath::SaveRecipe | TrainPath::Weights) => dialog.save_file(),
                Wanted::Folder | Wanted::Training(TrainPath::Data | TrainPath::StudyData(_) | TrainPath::StudyOut) => {
                    dialog.pick_folder()
                }
                _ => dialog.pick_file(),
            };
            // The prompt may have been closed meanwhile.
            let _ = sender.send(chosen);
            context.request_repaint();
        };
        self.native_since = Instant::now();
        match std::thread::Builder::new().name("dialog".to_owned()).spawn(ask) {
            Ok(_) => self.native = Some(receiver),
            Err(error) => {
                log::warn!("no thread for a file dialog: {error}");
                self.no_native = true;
            }
        }
    }

    /// What the system's dialog said: `Some(true)` if a path was chosen, `Some(false)` if the dialog was cancelled.
    fn take_native(&mut self) -> Option<bool> {
        let answer = self.native.as_ref()?.try_recv().ok()?;
        self.native = None;
        match answer {
            Some(path) => {
                self.text = path.display().to_string();
                Some(true)
            }
            // Nobody cancels a dialog that fast: there is none on this system.
            None if self.native_since.elapsed() < Duration::from_millis(400) => {
                self.no_native = true;
                None
            }
            None => Some(false),
        }
    }

    /// Draws it; `false` once it was answered or cancelled.
    pub fn ui(&mut self, context: &egui::Context, state: &State, commands: &CommandSender, native: bool) -> bool {
        match self.take_native() {
            Some(true) => {
                self.answer(state, commands);
                return false;
            }
            Some(false) => return false,
            None => {}
        }
        let (mut done, mut answered) = (false, false);
        let title = self.wanted.title();
        egui::Window::new(title.as_str())
            .collapsible(false)
            .resizable(false)
            .anchor(Align2::CENTER_CENTER, vec2(0.0, -40.0))
            .show(context, |ui| {
                ui.set_width(520.0);
                if let Wanted::Export(kind) = self.wanted {
                    self.kinds_ui(ui, kind, state);
                }
                ui.label(theme::weak(ui, self.wanted.hint()));
                ui.add_space(4.0);
                ui.horizontal(|ui| {
                    let label = ui.label("Path");
                    let width = ui.available_width() - if native { 96.0 } else { 0.0 };
                    let edit = TextEdit::singleline(&mut self.text).desired_width(width).hint_text("/folder/file");
                    let response = ui.add(edit).labelled_by(label.id);
                    if std::mem::take(&mut self.focus) {
                        response.request_focus();
                    }
                    if response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
                        answered = !self.text.trim().is_empty();
                    }
                    if native && ui.add_enabled(self.native.is_none(), egui::Button::new("Browse…")).clicked() {
                        self.open_native(ui.ctx());
                    }
                });
                if self.no_native {
                    ui.label(theme::weak(ui, "This system has no file dialog; type the path or drop the file."));
                }
                ui.add_space(8.0);
                egui::Sides::new().show(
                    ui,
                    |_| {},
                    |ui| {
                        let verb = match self.wanted {
                            Wanted::Export(_) => "Export",
                            Wanted::Training(path) => path.verb(),
                            _ => "Open",
                        };
                        let enabled = !self.text.trim().is_empty();
                        answered |= ui.add_enabled(enabled, egui::Button::new(verb)).clicked();
                        done |= ui.button("Cancel").clicked();
                    },
                );
            });
        if context.input(|i| i.key_pressed(Key::Escape)) {
            done = true;
        }
        if answered {
            self.answer(state, commands);
        }
        !(done || answered)
    }

    fn kinds_ui(&mut self, ui: &mut Ui, kind: ExportKind, state: &State) {
        ui.horizontal_wrapped(|ui| {
            for other in ExportKind::ALL {
                if ui.selectable_label(kind == other, other.title()).clicked() && kind != other {
                    self.wanted = Wanted::Export(other);
                    if self.text == self.proposed {
                        self.text = self.folder.join(export_name(other, state)).display().to_string();
                        self.proposed.clone_from(&self.text);
                    }
                }
            }
        });
        ui.add_space(4.0);
    }

    fn answer(&self, state: &State, commands: &CommandSender) {
        let path = expanded(self.text.trim());
        commands.send(match self.wanted {
            // Asked for as an image: whatever its name says.
            Wanted::Image | Wanted::Folder => Command::Engine(Request::Open { image: path, label: None, slice: None }),
            Wanted::Label => Command::Engine(Request::OpenLabel(path)),
            Wanted::Model => Command::Engine(Request::OpenModel(path)),
            Wanted::Target => Command::Engine(Request::OpenTarget(path)),
            Wanted::Thresholds => Command::Engine(Request::Reader(ReaderRequest::Thresholds(path))),
            Wanted::Training(wanted) => Command::Train(TrainCommand::Given(wanted, path)),
            Wanted::Export(kind) => Command::Engine(Request::Export(match kind {
                ExportKind::Adversarial => Export::Adversarial(path),
                ExportKind::AdversarialVolume => Export::AdversarialVolume(path),
                ExportKind::PredictedMask => Export::PredictedMask(path),
                ExportKind::Views => Export::Views(path),
                ExportKind::CurveCsv => Export::CurveCsv(path),
                ExportKind::CurveFigure => Export::CurveFigure(path, Box::new(state.figure_wish())),
                ExportKind::ComparisonCsv => return commands.send(Command::ExportComparison(path)),
            })),
        });
    }
}

/// A typed path with a leading `~` replaced and quotes taken off, as people paste it.
fn expanded(text: &str) -> PathBuf {
    let text = text.trim_matches(['"', '\'']);
    let home = || directories::UserDirs::new().map(|d| d.home_dir().to_owned());
    match text.strip_prefix("~/") {
        Some(rest) => home().map_or_else(|| PathBuf::from(text), |home| home.join(rest)),
        None => PathBuf::from(text),
    }
}

/// The name that an export is proposed under: case, attack and ε, so that two exports do not fall together.
pub fn export_name(kind: ExportKind, state: &State) -> String {
    let name = state.case.as_ref().map_or("case", |c| c.name.trim_end_matches(".nii"));
    let slice = match &state.case {
        Some(case) if case.slices > 1 => format!("-slice{}", case.slice),
        _ => String::new(),
    };
    let clean: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let attack = state.attack().name;
    let epsilon = format!("eps{:.4}", state.epsilon);
    let format = state.case.as_ref().map_or("", |c| c.about.format.as_str());
    let wide = state.case.as_ref().is_some_and(|c| c.stored != crate::data::StoredType::U8);
    // As the image came, so that whoever opened it can open what was made of it.
    let (image, mask, volume) = match format {
        f if f.starts_with("DICOM") => (".dcm", ".dcm", "/"),
        f if f.starts_with("NIfTI") => (".nii.gz", ".nii.gz", ".nii.gz"),
        f if f.contains("TIFF") => (".tif", ".tif", ".tif"),
        f if f.starts_with("NumPy") => (".npy", ".npy", ".npy"),
        _ if wide => (".tif", ".png", ".nii.gz"),
        _ => (".png", ".png", ".nii.gz"),
    };
    match kind {
        ExportKind::Adversarial => format!("{clean}{slice}-{attack}-{epsilon}{image}"),
        ExportKind::AdversarialVolume => format!("{clean}-{attack}-{epsilon}{volume}"),
        ExportKind::PredictedMask => format!("{clean}{slice}-{attack}-{epsilon}-mask{mask}"),
        ExportKind::Views => format!("{clean}{slice}-{attack}-{epsilon}-views.png"),
        ExportKind::ComparisonCsv => format!("{clean}{slice}-attacks.csv"),
        ExportKind::CurveCsv => format!("{clean}{slice}-{attack}-curve.csv"),
        ExportKind::CurveFigure => format!("{clean}{slice}-{attack}-curve.svg"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_names_are_safe_for_files() {
        let name = export_name(ExportKind::CurveCsv, &State::default());
        assert_eq!(name, "case-fgsm-curve.csv");
        assert!(export_name(ExportKind::Views, &State::default()).starts_with("case-fgsm-eps0.0157"));
    }
}
