//! The part of the form that says what is trained on and who is held out.

use super::draft::first_sections;
use super::rows::{PATH, grid, kind, line, measured, number, optional, path, row, switched, text};
use super::{TrainCommand, TrainPath};
use crate::train::{DataTable, RecipeFile, Split, SyntheticTable, Unit};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{Button, ComboBox, Ui};
use std::path::PathBuf;

/// Where crops come from.
#[derive(Clone, Copy, PartialEq)]
enum DataKind {
    Synthetic,
    Folder,
    Image,
}

impl DataKind {
    const ALL: [Self; 3] = [Self::Synthetic, Self::Folder, Self::Image];

    fn of(data: &DataTable) -> Self {
        match data {
            DataTable { synthetic: Some(_), .. } => Self::Synthetic,
            DataTable { image: Some(_), .. } | DataTable { label: Some(_), .. } => Self::Image,
            _ => Self::Folder,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Synthetic => {
                ("Synthetic membranes", "Sections that are generated while they are trained on: no file is needed.")
            }
            Self::Folder => (
                "Folder or stack",
                "Images with masks beside them (x.png with x_mask.png, or images/ with masks/), or a stack with its label stack.",
            ),
            Self::Image => ("Image and mask", "An image or a stack, and its mask."),
        }
    }

    /// A table of this kind with what others of `before` still hold.
    fn table(self, before: &DataTable) -> DataTable {
        let split = before.split.or(Some(Split::KINDS[0]));
        let kept = DataTable { classes: before.classes.clone(), ..DataTable::default() };
        let files = DataTable { label_map: before.label_map.clone(), resize: before.resize, split, ..kept.clone() };
        match self {
            Self::Synthetic => DataTable { synthetic: Some(first_sections()), ..kept },
            Self::Folder => DataTable { path: Some(PathBuf::new()), ..files },
            Self::Image => DataTable { image: Some(PathBuf::new()), label: Some(PathBuf::new()), ..files },
        }
    }
}

/// Draws it; changes `recipe`.
pub fn data_ui(ui: &mut Ui, recipe: &mut RecipeFile, state: &State, commands: &CommandSender) {
    let choose = |path: TrainPath| commands.send(Command::Train(TrainCommand::Choose(path)));
    grid(ui, "train data", |ui| {
        let what = line("Data", "What is trained on.");
        let mut from = DataKind::of(&recipe.data);
        let before = from;
        kind(ui, what, &DataKind::ALL, |f| f.words(), &mut from, DataKind::Synthetic);
        if from != before {
            recipe.data = from.table(&recipe.data);
        }
        let data = &mut recipe.data;
        if let Some(synthetic) = &mut data.synthetic {
            synthetic_ui(ui, synthetic);
        }
        if let Some(place) = &mut data.path
            && path(
                ui,
                line("Folder", "A folder of images with masks, or a stack with its mask beside it."),
                place,
                "Browse for data",
                PATH,
            )
        {
            choose(TrainPath::Data);
        }
        if let Some(place) = &mut data.image
            && path(ui, line("Image", "An image or a stack."), place, "Browse for the image", PATH)
        {
            choose(TrainPath::Image);
        }
        if let Some(place) = &mut data.label
            && path(ui, line("Mask", "Of the same size and number of slices."), place, "Browse for the mask", PATH)
        {
            choose(TrainPath::Label);
        }
    });
    open_ui(ui, recipe, state);
    if recipe.data.synthetic.is_none() {
        grid(ui, "train split", |ui| {
            meaning_ui(ui, recipe);
            split_ui(ui, &mut recipe.data.split);
        });
    }
}

fn synthetic_ui(ui: &mut Ui, table: &mut SyntheticTable) {
    let first = first_sections();
    number(
        ui,
        measured("Sections", "an epoch", "Fresh sections for every epoch."),
        1..=1_000_000,
        &mut table.sections,
        first.sections,
    );
    let held = measured("Held out", "sections", "Sections that are never trained on and tell how good the network is.");
    number(ui, held, 0..=1000, &mut table.validate, first.validate);
    let size = measured("Their size", "px", "Height and width of the sections that are held out.");
    number(ui, size, 32..=1024, &mut table.size, first.size);
    number(ui, line("Data seed", "Of the first section."), 0..=1 << 30, &mut table.seed, first.seed);
}

/// The button that takes what is open in the window.
fn open_ui(ui: &mut Ui, recipe: &mut RecipeFile, state: &State) {
    let open = open_data(state);
    let tip =
        "Train on the data set (or the image and its mask) that is open in the window, with its classes and label map.";
    let button = ui.add_enabled(open.is_some(), Button::new("Use what is open"));
    let response = button.on_hover_text(tip).on_disabled_hover_text(format!(
        "{tip}\n\nNothing with masks is open. The bundled sample is no file; open a folder or an image with its mask."
    ));
    if let Some(data) = open.filter(|_| response.clicked()) {
        let split = recipe.data.split.or(Some(Split::KINDS[0]));
        let outputs = data.classes.as_ref().map_or(0, Vec::len);
        recipe.network.outputs = (outputs > 2).then_some(outputs);
        recipe.data = DataTable { split, resize: recipe.data.resize, ..data };
    }
}

/// What is open in the window, if it has masks.
fn open_data(state: &State) -> Option<DataTable> {
    let mut data = DataTable::default();
    let names: Vec<String> =
        state.model.as_ref().map(|m| m.classes.iter().map(|c| c.name.clone()).collect()).unwrap_or_default();
    let case = state.case.as_ref();
    let map = case.and_then(|case| case.label_map.as_ref());
    if let Some(map) = map.filter(|_| names.len() > 1) {
        let words: Vec<&str> = names.iter().map(String::as_str).collect();
        data.label_map = Some(map.to_text(&words));
        data.classes = Some(names);
    }
    if let Some(set) = state.browse.set.as_ref().filter(|set| set.masks() > 0) {
        return Some(DataTable { path: Some(set.path.clone()), ..data });
    }
    let (image, label) = case.and_then(|case| case.path.clone().zip(case.label_path.clone()))?;
    Some(DataTable { image: Some(image), label: Some(label), ..data })
}

fn meaning_ui(ui: &mut Ui, recipe: &mut RecipeFile) {
    let mut classes = recipe.data.classes.as_ref().map(|names| names.join(", "));
    let before = classes.clone();
    let tip = "The names of the classes, in order, with commas. The second is the positive one.";
    text(ui, line("Classes", tip), &mut classes, "cell, membrane");
    if classes != before {
        let names = classes.map(|text| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<String>>());
        let count = names.as_ref().map_or(0, Vec::len);
        recipe.network.outputs = (count > 2).then_some(count);
        recipe.data.classes = names;
    }
    let tip = "What the masks’ values mean: 0=membrane,255=cell. Left empty, 0 is the first class and anything else the second.";
    text(ui, line("Label map", tip), &mut recipe.data.label_map, "0=cell,255=membrane");
    let mut side = recipe.data.resize.map(|[height, _]| height);
    let before = side;
    let resize = measured("Resize to", "px", "Height and width that images are brought to before anything else.");
    switched(ui, resize, 8..=4096, &mut side, 256);
    if side != before {
        recipe.data.resize = side.map(|side| [side, side]);
    }
}

fn split_ui(ui: &mut Ui, split: &mut Option<Split>) {
    let tip = "Which images are held out: never trained on, they choose the best epoch.";
    let mut now = *split;
    let words = |split: &Option<Split>| match split {
        None => ("None", "Everything is trained on; nothing tells how good the network is on other images."),
        Some(Split::HoldOut { .. }) => ("Hold-out", "A share is held out, drawn with a seed."),
        Some(Split::KFold { .. }) => ("k-fold", "One of several equal parts is held out."),
        Some(Split::Given) => {
            ("As the data say", "val or validation is held out, or else a fifth of train; test stays for the end.")
        }
    };
    let default = Some(Split::KINDS[0]);
    let reset = row(ui, line("Split", tip), now != default, |ui| {
        let combo = ComboBox::from_id_salt("split").selected_text(words(&now).0).width(super::rows::SELECTOR);
        let combo = combo.show_ui(ui, |ui| {
            for kind in Split::KINDS.into_iter().map(Some).chain([None]) {
                let same = words(&kind).0 == words(&now).0;
                if ui.selectable_label(same, words(&kind).0).on_hover_text(words(&kind).1).clicked() && !same {
                    now = kind;
                }
            }
        });
        combo.response.accessible_name("Split").on_hover_text(tip);
    });
    if reset {
        now = default;
    }
    match &mut now {
        Some(Split::HoldOut { share, seed, by }) => {
            number(ui, line("Held-out share", "Of the groups or slices, between 0 and 1."), 0.01..=0.99, share, 0.25);
            of_split_ui(ui, seed, by);
        }
        Some(Split::KFold { folds, fold, seed, by }) => {
            number(ui, line("Folds", "How many parts."), 2..=100, folds, 5);
            let last = folds.saturating_sub(1);
            *fold = (*fold).min(last);
            number(ui, line("Held-out fold", "Which of them is held out, from 0."), 0..=last, fold, 0);
            of_split_ui(ui, seed, by);
        }
        Some(Split::Given) | None => {}
    }
    *split = now;
}

fn of_split_ui(ui: &mut Ui, seed: &mut u64, by: &mut Unit) {
    number(ui, line("Split seed", "Who is held out."), 0..=1 << 30, seed, 0);
    let words = |unit: &Unit| match unit {
        Unit::Group => (
            "patient or volume",
            "A patient where the data set names one, else a file: slices of a volume stay together.",
        ),
        Unit::Slice => {
            ("single slices", "Neighbours in a volume are alike: what is found is too good for new volumes.")
        }
    };
    kind(
        ui,
        line("Never parted", "What the split keeps together."),
        &[Unit::Group, Unit::Slice],
        words,
        by,
        Unit::Group,
    );
}

/// Weak words under a form.
pub fn note(ui: &mut Ui, text: &str) {
    ui.label(theme::weak(ui, text));
}

/// The seed of all that is random.
pub fn seed_ui(ui: &mut Ui, seed: &mut u64) {
    let tip =
        "Of the weights, the order of the data, augmentation and dropout. The same recipe gives the same weights.";
    number(ui, line("Seed", tip), 0..=1 << 30, seed, 0);
}

/// Memory that a step may take.
pub fn memory_ui(ui: &mut Ui, memory: &mut Option<u64>) {
    let tip =
        "Memory that a step may take, about. The batch goes through the network in as many parts as that asks for.";
    switched(ui, measured("Memory budget", "MiB", tip), 1..=1 << 20, memory, 2000);
}

/// Early stop.
pub fn patience_ui(ui: &mut Ui, patience: &mut Option<usize>) {
    let tip = "Ends after so many epochs without a better validation Dice. Needs held-out images.";
    switched(ui, measured("Early stop", "epochs", tip), 1..=100_000, patience, 10);
}

/// Height and width of a crop.
pub fn crop_ui(ui: &mut Ui, crop: &mut Option<usize>, default: usize) {
    let tip = "Height and width of what the network predicts in a crop; a multiple of 2 to the depth.";
    optional(ui, measured("Crop", "px", tip), 8..=2048, crop, default);
}
