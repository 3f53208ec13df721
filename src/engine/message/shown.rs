//! What is shown: the case, and the pictures and numbers at one ε.

use crate::attack::{Attack, Reference};
use crate::data::{About, Axis, Bounds, ClassLabel, Image, LabelMap, Region, StoredType};
use crate::engine::{ClassDice, ClassScores, Plane, TargetWish, TruthChoice, Unfinished};
use crate::model::Tiles;
use crate::observer::Identity;
use crate::study::Measure;
use std::path::PathBuf;
use std::sync::Arc;

/// What a person should know about the case that is shown.
#[derive(Clone, Debug)]
pub struct CaseInfo {
    /// Short name.
    pub name: String,
    /// The image file, if any.
    pub path: Option<PathBuf>,
    /// The label file, if any.
    pub label_path: Option<PathBuf>,
    /// Slice index, from 0 as everywhere.
    pub slice: usize,
    /// Number of slices.
    pub slices: usize,
    /// The class of the whole image, if it is known.
    pub class: Option<ClassLabel>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// How the file stores pixels.
    pub stored: StoredType,
    /// Scaled to [0, 1].
    pub bounds: Bounds,
    /// Between these it is shown at first, in pixel units.
    pub shown: Bounds,
    /// The 0.5 and 99.5 percentile of this slice, in pixel units.
    pub percentiles: Bounds,
    /// What the file says of the pixels: unit, spacing and orientation of the slice, the window that it wishes.
    pub about: Arc<About>,
    /// The axis along which the volume is sliced.
    pub axis: Axis,
    /// The names of the planes in which it can be sliced; empty where it is no volume.
    pub planes: Vec<(Axis, &'static str)>,
    /// The attack changes this part of the image only.
    pub region: Option<Region>,
    /// What the loss and the measures compare with.
    pub reference: Reference,
    /// Whose word the true class is, of a model that classifies whole images.
    pub truth_by: TruthChoice,
    /// What attacks wish in place of the truth.
    pub target: Option<TargetWish>,
    /// The map in force if there is a label.
    pub label_map: Option<LabelMap>,
    /// Whether the map was guessed.
    pub label_map_guessed: bool,
    /// There is a label, but every pixel of it is ignored on this slice: the clean prediction is the reference.
    pub label_is_empty: bool,
    /// The values that the label file stores, ascending.
    pub label_values: Vec<u32>,
    /// The tiles that the model computes it in, where its gradient would not fit into memory.
    pub tiles: Option<Tiles>,
    /// The slice in pixel units, for the pixel probe.
    pub image: Image,
    /// What tells it from others of its name; nothing is told before a model has looked at it.
    pub identity: Identity,
}

impl CaseInfo {
    /// Whether `other` is the same slice of the same image within the same bounds, whatever is chosen of it.
    pub fn shows_same(&self, other: &Self) -> bool {
        let place = |case: &Self| (case.axis, case.slice, case.shape, case.bounds);
        place(self) == place(other) && self.path == other.path && self.name == other.name
    }

    /// In what it differs from `other`, as far as both are told.
    pub fn differs(&self, other: &Identity) -> Vec<&'static str> {
        self.identity.differs(|column| other.get(column))
    }

    /// Whether attacks on any image wish the same as with `other`.
    pub fn shares_target(&self, other: &Self) -> bool {
        let wish = |case: &Self| case.target.clone().filter(TargetWish::is_of_any_image);
        wish(self) == wish(other)
    }

    /// How the file stores a pixel, for people.
    pub fn stored_text(&self) -> &'static str {
        match self.about.numbers {
            "uint8" => "8-bit",
            "int8" => "signed 8-bit",
            "uint16" => "16-bit",
            "int16" => "signed 16-bit",
            "uint32" => "32-bit",
            "int32" => "signed 32-bit",
            "uint64" => "64-bit",
            "int64" => "signed 64-bit",
            "float16" => "16-bit float",
            "float32" => "32-bit float",
            "float64" => "64-bit float",
            _ => self.stored.name(),
        }
    }

    /// What one of the slices is, for people: an image of its own where the file has a class for each.
    pub fn slice_word(&self) -> &'static str {
        if self.about.classes.is_some() { "Image" } else { "Slice" }
    }

    /// The part of the bounds that is shown at first, as shares of their width, lower < upper.
    pub fn shown_window(&self) -> [f32; 2] {
        self.window_of(self.shown)
    }

    /// A window in pixel units as shares of the bounds' width, cut to the bounds, lower < upper.
    pub fn window_of(&self, window: Bounds) -> [f32; 2] {
        let [lower, upper] = [window.lower, window.upper].map(|v| self.share(v).clamp(0.0, 1.0));
        if lower < upper { [lower, upper] } else { [0.0, 1.0] }
    }

    /// A value in pixel units as a share of the bounds' width.
    pub fn share(&self, value: f32) -> f32 {
        (value - self.bounds.lower) / self.bounds.width()
    }
}

/// Everything that the window shows at one ε. Planes that do not depend on ε are the same (same id) from frame to frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is of.
    pub case: Arc<CaseInfo>,
    /// ε of this frame, a fraction of the bounds' width.
    pub epsilon: f64,
    /// ε of noise, adversarial image and what is predicted of it, where they are newer than the rest.
    pub ahead: Option<f64>,
    /// The attack of this frame.
    pub method: Attack,
    /// Counts cases, models and attacks: frames of one generation differ in ε only.
    pub generation: u64,
    /// The image in [0, 1], `[channels, h, w]`.
    pub original: Plane,
    /// ∇J where the attack has one, `[channels, h, w]`, in units of the loss per bounds' width.
    pub gradient: Option<Plane>,
    /// The largest magnitude in the gradient; 0 where there is none.
    pub gradient_peak: f32,
    /// The direction, entries in [−1, 1], `[channels, h, w]`.
    pub direction: Plane,
    /// adversarial − original, after clipping, `[channels, h, w]`.
    pub noise: Plane,
    /// The adversarial image in [0, 1], `[channels, h, w]`.
    pub adversarial: Plane,
    /// The predicted class of each pixel of the original and of the adversarial image, `[1, h, w]`, where the model has more
    /// than two.
    pub classes: Option<[Plane; 2]>,
    /// P(positive class) on the original, `[1, h, w]`.
    pub clean_probability: Plane,
    /// P(positive class) on the adversarial image, `[1, h, w]`.
    pub adversarial_probability: Plane,
    /// What a model that classifies whole images says. Planes of probabilities and classes are of one pixel then: the true class.
    pub scores: Option<ClassScores>,
    /// Dice of each class, of masks of more than two.
    pub class_dice: Option<ClassDice>,
    /// 1 where the reference (label or clean prediction) is the positive class, 0 elsewhere, −1 where ignored; `[1, h, w]`.
    pub reference: Plane,
    /// Measures of the clean image against the reference.
    pub clean: Measure,
    /// Measures of the adversarial image against the reference.
    pub adversarial_measure: Measure,
    /// The loss J of the clean image, where the attack computed it.
    pub loss: Option<f32>,
    /// Seconds from the wish to the planes.
    pub tick_secs: f64,
    /// Where the attack stands, if this is not its result.
    pub unfinished: Option<Unfinished>,
    /// For attacks that move pixels: the largest displacement, in pixels.
    pub displacement: Option<f32>,
}
