//! The files that are open and what is chosen in them, and the subject that they make with a model.

use super::interactive::text;
use super::{CaseInfo, Plane, TargetWish, TruthChoice, decision};
use crate::attack::Reference;
use crate::data::{Axis, Bounds, Case, Fnv, IGNORE, LabelMap, LabelStack, Mask, Region, Stack};
use crate::model::{Model, ModelCard, Task};
use crate::observer::Identity;
use crate::study::Subject;
use std::path::PathBuf;
use std::sync::Arc;

/// The files that are open, and what is chosen in them.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) stack: Arc<Stack>,
    pub(super) name: String,
    pub(super) label: Option<(Arc<LabelStack>, Option<PathBuf>)>,
    /// The axis along which the volume is sliced.
    pub(super) axis: Axis,
    /// Along the axis.
    pub(super) slice: usize,
    /// The slices that were seen last along each of [`Axis::ALL`].
    pub(super) visited: [Option<usize>; 3],
    /// The attack changes this part of the image only, where it has the image's size.
    pub(super) region: Option<Region>,
    /// The choice of the true class, for the slice along the axis that it was made for; the data set's elsewhere.
    pub(super) truth: Option<(Axis, usize, TruthChoice)>,
    /// What attacks wish, where the model knows it.
    pub(super) target: Option<TargetWish>,
    /// The map that a person set; guessed where `None`.
    pub(super) label_map: Option<LabelMap>,
    /// The map that was guessed before, on any slice of this label with the present model.
    pub(super) guess: Option<LabelMap>,
}

impl Scene {
    /// The chosen slice, in the bounds that `model` needs, if it needs any.
    pub(super) fn case(&self, model: &dyn Model) -> Result<Arc<Case>, String> {
        let stack = self.stack.along(self.axis);
        let needed = model.card().input.needed_bounds().map(|[lower, upper]| Bounds { lower, upper });
        let other = needed.filter(|needed| *needed != stack.bounds);
        let bounded = other.map(|bounds| stack.with_bounds(bounds)).transpose().map_err(text)?;
        let stack = bounded.as_ref().unwrap_or(&stack);
        let case = Case::from_slice(stack, self.slice, self.name.as_str()).map_err(text)?;
        Ok(Arc::new(decision::known_class(case, model.card())))
    }

    /// What is known of the chosen slice before a model has looked at it.
    pub(super) fn info(&self, case: &Case) -> CaseInfo {
        let stack = self.stack.along(self.axis);
        let axes = self.stack.about.axes();
        let planes = Axis::ALL.map(|axis| (axis, axis.title(axes)));
        CaseInfo {
            name: case.name.clone(),
            path: self.stack.path.clone(),
            label_path: self.label.as_ref().and_then(|(_, path)| path.clone()),
            slice: self.slice,
            slices: stack.slices,
            class: stack.about.class(self.slice),
            shape: [case.image.channels, case.image.height, case.image.width],
            stored: case.stored,
            bounds: case.bounds,
            shown: self.stack.shown,
            percentiles: case.image.percentiles().unwrap_or(case.bounds),
            about: case.about.clone(),
            axis: stack.axis,
            planes: if stack.is_volume() { planes.to_vec() } else { Vec::new() },
            region: self.region.clone().filter(|region| region.size() == case.size()),
            reference: if self.label.is_some() { Reference::Label } else { Reference::CleanPrediction },
            truth_by: TruthChoice::default(),
            target: None,
            label_map: self.label_map.clone().or_else(|| self.guess.clone()),
            label_map_guessed: self.label_map.is_none() && self.guess.is_some(),
            label_is_empty: false,
            label_values: self.label.as_ref().map(|(l, _)| l.values.clone()).unwrap_or_default(),
            tiles: None,
            image: case.image.clone(),
            identity: Identity::default(),
        }
    }

    /// `case`, the chosen slice, of which `info` is known, on `model`, with its label if there is one. `previous`, a subject
    /// of the same slice and model, saves the forward pass.
    pub(super) fn subject(
        &self,
        case: Arc<Case>,
        info: CaseInfo,
        model: Arc<dyn Model>,
        previous: Option<&Subject>,
    ) -> Result<(Subject, CaseInfo), String> {
        let plain = match previous {
            Some(subject) => subject.relabel(None),
            None => Subject::new(case, model),
        }
        .map_err(text)?;
        let (map, guessed, mask) = self.label(&plain)?;
        // A sparsely labelled stack has slices that say nothing; a measure over no pixel would look perfect.
        let label_is_empty = mask.as_ref().is_some_and(Mask::is_all_ignored);
        let info = CaseInfo { label_map: map, label_map_guessed: guessed, label_is_empty, ..info };
        let subject = match mask.filter(|_| !label_is_empty) {
            Some(mask) => plain.relabel(Some(mask)).map_err(text)?,
            None => plain,
        };
        let subject = decision::with_truth(subject, self.truth_choice(), info.class.clone()).map_err(text)?;
        let truth_by = decision::given_by(&subject, self.truth_choice());
        let target = self.target.clone().filter(|wish| wish.fits(subject.model.card()));
        let wished = target.as_ref().map(|wish| wish.truth(&subject)).transpose()?;
        let subject = subject.with_target(wished).map_err(text)?.confined(info.region.clone());
        let reference = subject.reference_kind;
        let [height, width] = subject.case.size();
        let tiles = subject.model.tiles(height, width).ok().flatten();
        let identity = self.identity(&info, subject.model.card());
        Ok((subject, CaseInfo { reference, truth_by, target, tiles, identity, ..info }))
    }

    /// What tells the chosen slice, of which `info` is known, from others of its name, with what is chosen of it for a model with `card`.
    pub(super) fn identity(&self, info: &CaseInfo, card: &ModelCard) -> Identity {
        let Bounds { lower, upper } = info.bounds;
        let region = |region: &Region| {
            let [height, width] = region.size();
            let inside = (0..height * width).map(|i| u32::from(region.contains([i % width, i / width])));
            format!("{}, {}", region.describe(), Fnv::of_bits(inside).text())
        };
        let target = |wish: TargetWish| match wish {
            TargetWish::Class(class) => format!("class {class}"),
            TargetWish::Erase(class) => format!("no class {class}"),
            TargetWish::Mask(mask) => format!("mask {}", of_mask(&mask)),
        };
        Identity {
            pixels: Some(Fnv::of_bits(info.image.pixels.iter().map(|v| v.to_bits())).text()),
            bounds: Some(format!("{lower} to {upper}")),
            axis: Some(format!("{:?}", info.axis).to_lowercase()),
            reference: self.compared_with(info, card),
            region: Some(info.region.as_ref().map_or_else(|| "whole image".to_owned(), region)),
            target: Some(self.target.clone().filter(|wish| wish.fits(card)).map_or_else(|| "none".to_owned(), target)),
        }
    }

    /// What the loss compares with; none where a label has no map yet.
    fn compared_with(&self, info: &CaseInfo, card: &ModelCard) -> Option<String> {
        const OWN: &str = "clean prediction";
        if card.task == Task::Classification {
            let class = match self.truth_choice() {
                TruthChoice::Given => info.class.as_ref().and_then(|label| card.class_of(label).ok()),
                TruthChoice::Chosen(class) => Some(class),
                TruthChoice::CleanDecision => None,
            };
            return Some(class.map_or_else(|| OWN.to_owned(), |class| format!("class {class}")));
        }
        let Some((label, _)) = &self.label else { return Some(OWN.to_owned()) };
        let label = label.along(self.stack.along(self.axis).axis);
        let mask = label.mask(self.slice, info.label_map.as_ref()?)?;
        Some(if mask.is_all_ignored() { OWN.to_owned() } else { format!("label {}", of_mask(&mask)) })
    }

    /// Whose word the truth of the present slice is to be.
    fn truth_choice(&self) -> TruthChoice {
        let made = self.truth.filter(|(axis, slice, _)| (*axis, *slice) == (self.axis, self.slice));
        made.map_or_else(TruthChoice::default, |(_, _, choice)| choice)
    }

    /// The label map in force, whether it was guessed, and the mask that it gives.
    fn label(&self, plain: &Subject) -> Result<(Option<LabelMap>, bool, Option<Mask>), String> {
        let Some((label, _)) = &self.label else { return Ok((None, false, None)) };
        // A decision on the whole image has nothing to compare with a mask.
        if plain.class.is_some() {
            return Ok((None, false, None));
        }
        let label = label.along(self.stack.along(self.axis).axis);
        let lacking = "the label has no such slice";
        let classes = plain.model.card().classes.len();
        let (map, guessed) = match (&self.label_map, &self.guess) {
            (Some(map), _) => (map.clone(), false),
            (None, Some(guess)) => (guess.clone(), true),
            (None, None) => (label.guess(self.slice, classes, &plain.clean.predicted).ok_or(lacking)?, true),
        };
        let mask = label.mask(self.slice, &map).ok_or(lacking)?;
        Ok((Some(map), guessed, Some(mask)))
    }
}

fn of_mask(mask: &Mask) -> String {
    Fnv::of_bits(mask.classes.iter().copied().map(u32::from)).text()
}

/// 1 on the positive class, 0 elsewhere, −1 where ignored.
pub(super) fn reference_plane(subject: &Subject) -> Plane {
    let positive = subject.model.card().positive_class;
    let mask = &subject.reference;
    let value = |&c: &u8| match c {
        IGNORE => -1.0,
        c if c == positive => 1.0,
        _ => 0.0,
    };
    Plane::from_host(1, mask.height, mask.width, mask.classes.iter().map(value).collect::<Vec<f32>>())
}
