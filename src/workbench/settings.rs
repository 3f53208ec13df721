//! What survives a restart: look, view, layout, recent files, window size. One JSON file, read once at the start,
//! written whole on a thread of its own.

use super::PanelKind;
use super::browse::{Remembered, SIDES};
use super::epsilon::{EpsilonScale, EpsilonUnit};
use super::marks::KeptMarks;
use super::seen::SeenSettings;
use super::state::{Look, Recent, Several, View};
use super::train::TrainDraft;
use crate::attack::Attack;
use crate::data;
use crate::engine::Problem;
use crate::gpu::DeviceChoice;
use egui_tiles::Tree;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The environment variable that names another folder for the settings.
pub const FOLDER_VARIABLE: &str = "EPSILOSCOPE_CONFIG_DIR";
const FILE: &str = "settings.json";
/// How many recent files are remembered.
pub const MOST_RECENT: usize = 12;
/// A settings file is a few kilobytes: anything larger is another file.
const MOST_BYTES: u64 = 1 << 20;

/// The value, or the default where another version of the program wrote something else: one field that is not
/// understood is no reason to forget the others.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(from)?).unwrap_or_default())
}

/// As [`lenient`], one by one: what is not understood is left out.
fn lenient_each<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let all = serde_json::Value::deserialize(from)?;
    let each = all.as_array().cloned().unwrap_or_default();
    Ok(each.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect())
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How the window looks.
    #[serde(deserialize_with = "lenient")]
    pub look: Look,
    /// What the pictures look like.
    #[serde(deserialize_with = "lenient")]
    pub view: View,
    /// The unit of ε.
    #[serde(deserialize_with = "lenient")]
    pub unit: Option<EpsilonUnit>,
    /// The division of the slider.
    #[serde(deserialize_with = "lenient")]
    pub scale: EpsilonScale,
    /// The diameter of the brush, in image pixels.
    pub brush: Option<f32>,
    /// What counts as broken and as seen, and on which screen.
    #[serde(deserialize_with = "lenient")]
    pub seen: SeenSettings,
    /// Where to compute.
    #[serde(deserialize_with = "lenient")]
    pub device: DeviceChoice,
    /// Files opened before, newest first.
    pub recent: Vec<Recent>,
    /// Models opened before, newest first.
    pub recent_models: Vec<PathBuf>,
    /// The window's inner size in points, when it is not maximized.
    pub window_size: Option<[f32; 2]>,
    /// The window fills the screen.
    pub maximized: bool,
    /// ε, a fraction of the bounds' width.
    pub epsilon: Option<f64>,
    /// The attack.
    #[serde(deserialize_with = "lenient")]
    pub attack: Option<Attack>,
    /// Attacks whose parameters are not at their defaults.
    #[serde(deserialize_with = "lenient_each")]
    pub attacks: Vec<Attack>,
    /// What is compared.
    #[serde(deserialize_with = "lenient")]
    pub several: Several,
    /// Where the panels are; the first arrangement where `None`.
    #[serde(deserialize_with = "lenient")]
    pub layout: Option<Tree<PanelKind>>,
    /// The data set that was open.
    #[serde(deserialize_with = "lenient")]
    pub data_set: Option<Remembered>,
    /// The model that was used with it, if it came from a file.
    pub model: Option<PathBuf>,
    /// What was drawn on images, the last one first.
    #[serde(deserialize_with = "lenient_each")]
    pub marks: Vec<KeptMarks>,
    /// The side of thumbnails, in points.
    pub thumbnail_side: Option<f32>,
    /// What is going to be trained.
    #[serde(deserialize_with = "lenient")]
    pub training: Option<TrainDraft>,
    /// The hint for first-time users was seen.
    pub hint_seen: bool,
}

impl Settings {
    /// Mends values that a file of another hand may hold.
    fn sanitised(mut self) -> Self {
        self.view = self.view.sanitised();
        self.seen = self.seen.sanitised();
        if !self.look.ui_scale.is_finite() {
            self.look.ui_scale = 1.0;
        }
        self.look.ui_scale = self.look.ui_scale.clamp(0.75, 2.0);
        self.epsilon = self.epsilon.filter(|e| (0.0..=1.0).contains(e));
        self.brush = self.brush.filter(|b| (1.0..=200.0).contains(b));
        self.thumbnail_side = self.thumbnail_side.filter(|side| SIDES.contains(side));
        self.several = self.several.sanitised();
        self.recent.truncate(MOST_RECENT);
        self.recent_models.truncate(MOST_RECENT);
        self.marks.retain(|kept| kept.marks.ruler.is_none_or(|ends| ends.as_flattened().iter().all(|v| v.is_finite())));
        self.window_size = self.window_size.filter(|s| s.iter().all(|v| (200.0..=16_384.0).contains(v)));
        self
    }
}

/// The folder of the settings: what [`FOLDER_VARIABLE`] names, else the system's place for a program's settings.
pub fn folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if !folder.is_empty() => Some(PathBuf::from(folder)),
        _ => directories::ProjectDirs::from("", "", "epsiloscope").map(|d| d.config_dir().to_owned()),
    }
}

/// The settings in the file at `path`; none if there is no file. The error is the cause.
fn read(path: &Path) -> Result<Option<Settings>, String> {
    if std::fs::metadata(path).is_ok_and(|m| m.len() > MOST_BYTES) {
        return Err("it is too large to be a settings file".to_owned());
    }
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str::<Settings>(&text).map(|s| Some(s.sanitised())).map_err(|e| e.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The settings in `folder` as [`load`] will find them; whatever is wrong with them is left for it to tell.
pub fn peek(folder: &Path) -> Settings {
    read(&folder.join(FILE)).ok().flatten().unwrap_or_default()
}

/// The settings in `folder`, or the first ones if there are none. A file that cannot be used is renamed aside, and
/// the problem says so.
pub fn load(folder: &Path) -> (Settings, Option<Problem>) {
    let path = folder.join(FILE);
    match read(&path) {
        Ok(settings) => (settings.unwrap_or_default(), None),
        Err(cause) => {
            let aside = folder.join("settings.unreadable.json");
            let kept = match std::fs::rename(&path, &aside) {
                Ok(()) => format!("It was kept as {}.", aside.display()),
                Err(error) => format!("It could not be moved aside: {error}."),
            };
            let problem = Problem {
                what: "Read settings".to_owned(),
                why: format!("{}: {cause}. {kept} Epsiloscope starts with its first settings", path.display()),
            };
            (Settings::default(), Some(problem))
        }
    }
}

/// Writes settings into `folder`, whole or not at all.
fn save(folder: &Path, settings: &Settings) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let text = serde_json::to_string_pretty(settings).map_err(|e| e.to_string())?;
    data::write_bytes_atomic(&folder.join(FILE), text.as_bytes()).map_err(|e| e.to_string())
}

/// Writes settings on a thread of its own; the newest win. Dropping it waits for the last write.
pub struct Writer {
    sender: Option<mpsc::Sender<Settings>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `failed` is told of writes that fail, once for each cause in a row.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(folder: PathBuf, failed: impl Fn(Problem) + Send + 'static) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Settings>();
        let write = move || {
            let mut told = None;
            while let Ok(mut settings) = receiver.recv() {
                while let Ok(newer) = receiver.try_recv() {
                    settings = newer;
                }
                let cause = save(&folder, &settings).err();
                if let Some(cause) = &cause
                    && told.as_ref() != Some(cause)
                {
                    let why = format!(
                        "{cause}. Settings of this session will be forgotten; name a writable folder with {FOLDER_VARIABLE}"
                    );
                    failed(Problem { what: "Save settings".to_owned(), why });
                }
                told = cause;
            }
        };
        let thread = std::thread::Builder::new().name("settings".to_owned()).spawn(write)?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Writes soon.
    pub fn save(&self, settings: Settings) {
        if let Some(sender) = &self.sender {
            // The thread lives as long as this sender.
            let _ = sender.send(settings);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Axis, Region, Shape};
    use crate::workbench::state::{Marks, Theme};

    #[test]
    fn settings_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let region = Region::shape(12, 9, Shape::Ellipse, [[2.0, 1.0], [9.0, 12.0]]);
        let settings = Settings {
            look: Look { theme: Theme::Light, ui_scale: 1.25, presenter: false },
            view: View { opacity: 0.3, ..View::default() },
            recent: vec![Recent { image: "a.tif".into(), label: Some("b.tif".into()) }],
            window_size: Some([1280.0, 800.0]),
            maximized: true,
            epsilon: Some(0.25),
            attack: Some(Attack::INVERSE_FGSM),
            attacks: vec![Attack::parse("pgd", &["steps=7"]).unwrap()],
            marks: vec![KeptMarks {
                path: Some("/a.nii".into()),
                axis: Axis::Rows,
                marks: Marks { region: Some(region), confine: true, ruler: Some([[1.0, 2.5], [3.0, 4.0]]) },
            }],
            layout: Some(crate::workbench::layout::first(eframe::egui::vec2(1280.0, 800.0))),
            ..Settings::default()
        };
        let writer = Writer::start(folder.clone(), |p| panic!("{p:?}")).unwrap();
        writer.save(Settings::default());
        writer.save(settings.clone());
        drop(writer);
        assert_eq!(load(&folder), (settings, None));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_field_of_another_version_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"attack": {"gradient-sign": true}, "attacks": [{"method": "magic"}, {"method": "bim"}], "layout": 7, "epsilon": 0.25, "hint_seen": true}"#;
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let bim = vec![Attack::named("bim").unwrap()];
        let kept = Settings { epsilon: Some(0.25), hint_seen: true, attacks: bim, ..Settings::default() };
        assert_eq!(load(folder.path()), (kept, None));
    }

    #[test]
    fn no_file_is_no_problem() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), (Settings::default(), None));
    }

    #[test]
    fn a_corrupt_file_is_kept_aside_with_a_message() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"look\": 7").unwrap();
        assert_eq!(peek(folder.path()), Settings::default());
        let (settings, problem) = load(folder.path());
        assert_eq!(settings, Settings::default());
        assert!(problem.unwrap().why.contains("settings.json"));
        assert_eq!(std::fs::read_to_string(folder.path().join("settings.unreadable.json")).unwrap(), "{\"look\": 7");
        assert_eq!(load(folder.path()), (Settings::default(), None));
    }

    #[test]
    fn wild_values_are_mended() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"look": {"theme": "light", "ui_scale": 900.0}, "window_size": [-4.0, 1e30], "epsilon": 7.5,
            "view": {"window": [0.9, 0.1], "opacity": 12.0, "gain": -3.0, "pictures": []}}"#;
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let (settings, problem) = load(folder.path());
        assert_eq!(problem, None);
        assert_eq!((settings.look.ui_scale, settings.window_size, settings.epsilon), (2.0, None, None));
        assert_eq!((settings.view.window, settings.view.opacity, settings.view.gain), ([0.0, 1.0], 1.0, 1.0));
        assert_eq!(settings.view.pictures.len(), 6);
    }

    #[test]
    fn an_unwritable_folder_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let (sender, receiver) = mpsc::channel();
        let writer = Writer::start(blocked.join("inside"), move |p| sender.send(p).unwrap()).unwrap();
        writer.save(Settings::default());
        writer.save(Settings { hint_seen: true, ..Settings::default() });
        drop(writer);
        let told: Vec<Problem> = receiver.iter().collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].why.contains("inside") && told[0].why.contains(FOLDER_VARIABLE));
    }
}
