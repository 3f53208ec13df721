//! What dropped, typed or chosen paths mean, and the question which of two is the label.

use super::command::CommandSender;
use super::theme;
use crate::data::dataset::is_named_mask;
use crate::engine::Request;
use eframe::egui::{self, Align2, Key, vec2};
use std::path::{Path, PathBuf};

/// Image files that can be opened.
pub const IMAGE_ENDINGS: [&str; 17] = [
    "png",
    "jpg",
    "jpeg",
    "tif",
    "tiff",
    "bmp",
    "webp",
    "dcm",
    "dicom",
    "ima",
    "nii",
    "hdr",
    "gz",
    "npy",
    "npz",
    "idx3-ubyte",
    "bin",
];
/// Model files that can be opened.
pub const MODEL_ENDINGS: [&str; 5] = ["onnx", "safetensors", "bpk", "pt", "pth"];
/// What a set of files means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// An image, with its label if one was among them.
    Image {
        /// The image.
        image: PathBuf,
        /// The label.
        label: Option<PathBuf>,
    },
    /// A label for the image that is open.
    Label(PathBuf),
    /// A model.
    Model(PathBuf),
    /// Two images, neither of which is named as a label: ask which is which.
    Ask([PathBuf; 2]),
    /// Nothing that can be opened, and why.
    Nothing(String),
}

/// Whether a file holds a model, by its name.
pub fn is_model(path: &Path) -> bool {
    MODEL_ENDINGS.contains(&ending(path).as_str())
}

/// Whether a file is a model's card, by its name.
pub fn is_card(path: &Path) -> bool {
    ending(path) == "toml"
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// What `files` mean; `has_image` says whether an image is open that a lone label could belong to.
pub fn meaning(files: &[PathBuf], has_image: bool) -> Meaning {
    // A model's card beside its weights is found by the reader.
    let model = files.iter().find(|f| MODEL_ENDINGS.contains(&ending(f).as_str()));
    let rest: Vec<&PathBuf> =
        files.iter().filter(|f| !MODEL_ENDINGS.contains(&ending(f).as_str()) && ending(f) != "toml").collect();
    match (model, rest.as_slice()) {
        (Some(model), []) => Meaning::Model(model.clone()),
        (_, []) => {
            let given = files.first().map(|f| f.display().to_string()).unwrap_or_default();
            Meaning::Nothing(format!("{given}: a card needs its model. Give the file beside it"))
        }
        (_, [one]) if is_named_mask(one) && has_image => Meaning::Label((*one).clone()),
        (_, [one]) => Meaning::Image { image: (*one).clone(), label: None },
        (_, [first, second]) => match (is_named_mask(first), is_named_mask(second)) {
            (false, true) => Meaning::Image { image: (*first).clone(), label: Some((*second).clone()) },
            (true, false) => Meaning::Image { image: (*second).clone(), label: Some((*first).clone()) },
            _ => Meaning::Ask([(*first).clone(), (*second).clone()]),
        },
        (_, many) => {
            Meaning::Nothing(format!("{} files at once. Give one image, or one image and its label", many.len()))
        }
    }
}

/// Asks which of two files is the label; `false` once it was answered.
pub fn which_is_label_ui(context: &egui::Context, files: &[PathBuf; 2], commands: &CommandSender) -> bool {
    let mut open = true;
    let mut chosen = None;
    egui::Window::new("Which one is the label?")
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, -40.0))
        .show(context, |ui| {
            ui.set_width(420.0);
            ui.label(theme::weak(ui, "Neither name says so. The other file is opened as the image."));
            ui.add_space(4.0);
            for (i, file) in files.iter().enumerate() {
                let name = file.file_name().map_or_else(|| file.display().to_string(), |n| n.to_string_lossy().into());
                if ui.add(egui::Button::new(format!("{name} is the label")).min_size(vec2(404.0, 28.0))).clicked() {
                    chosen = Some(i);
                }
            }
            ui.add_space(4.0);
            open &= !ui.button("Cancel").clicked();
        });
    if let Some(label) = chosen {
        let (image, label) = (files[1 - label].clone(), Some(files[label].clone()));
        commands.request(Request::Open { image, label, slice: None });
    }
    open && chosen.is_none() && !context.input(|i| i.key_pressed(Key::Escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn names_tell_labels_from_images() {
        for name in ["train-labels.tif", "a_mask.png", "Case3 GT.png", "x.seg.tif", "MASK-004.png"] {
            assert!(is_named_mask(Path::new(name)), "{name}");
        }
        for name in ["train-volume.tif", "unmasked.png", "target1x/a.png", "segovia.png", "gtx.tif"] {
            assert!(!is_named_mask(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn files_are_told_apart() {
        let image =
            |image: &str, label: Option<&str>| Meaning::Image { image: image.into(), label: label.map(Into::into) };
        assert_eq!(meaning(&paths(&["a.png"]), true), image("a.png", None));
        assert_eq!(meaning(&paths(&["a-mask.png"]), true), Meaning::Label("a-mask.png".into()));
        assert_eq!(meaning(&paths(&["a-mask.png"]), false), image("a-mask.png", None));
        assert_eq!(meaning(&paths(&["a-mask.png", "a.png"]), true), image("a.png", Some("a-mask.png")));
        assert_eq!(meaning(&paths(&["a.png", "a-mask.png"]), false), image("a.png", Some("a-mask.png")));
        assert_eq!(meaning(&paths(&["a.png", "b.png"]), false), Meaning::Ask(["a.png".into(), "b.png".into()]));
        assert_eq!(meaning(&paths(&["m.toml", "m.SAFETENSORS"]), false), Meaning::Model("m.SAFETENSORS".into()));
        for name in ["m.onnx", "m.bpk", "m.pt", "m.pth"] {
            assert_eq!(meaning(&paths(&[name]), true), Meaning::Model(name.into()));
        }
        assert!(matches!(meaning(&paths(&["m.toml"]), false), Meaning::Nothing(_)));
        assert!(matches!(meaning(&paths(&["a.png", "b.png", "c.png"]), false), Meaning::Nothing(_)));
        assert!(matches!(meaning(&[], false), Meaning::Nothing(_)));
    }
}
