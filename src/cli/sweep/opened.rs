//! An image with its label, and the subject that they make with a model.

use super::SweepOptions;
use crate::data::{self, Axis, Bounds, Case, ClassLabel, LabelMap, LabelStack, Mask, Region, Stack};
use crate::model::{Model, ModelCard, Task};
use crate::study::campaign::Wish;
use crate::study::{Subject, Truth};
use anyhow::{Context, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// An image with its label, before a model has seen them.
pub(super) struct Opened {
    stack: Stack,
    label: Option<LabelStack>,
    /// `class:N` or `class:NAME`, in place of what the file says.
    class: Option<String>,
    name: String,
}

/// What became of the label.
#[derive(Default)]
pub(super) struct LabelUse {
    /// The map in force, as text.
    pub(super) map: Option<String>,
    pub(super) guessed: bool,
}

impl LabelUse {
    pub(super) fn notes(&self) -> Vec<String> {
        match &self.map {
            Some(map) if self.guessed => vec![format!(
                "What the label’s values mean was guessed by agreement with the clean prediction: {map}. If that is \
                 wrong, all numbers are: say it with --label-map."
            )],
            _ => Vec::new(),
        }
    }
}

impl Opened {
    pub(super) fn read(options: &SweepOptions) -> anyhow::Result<Self> {
        let never = AtomicBool::new(false);
        let (stack, mut label) = match options.image() {
            Some(path) => (data::open(path, &never)?, None),
            None => {
                let (stack, label) = data::bundled_sample()?;
                (stack, Some(label))
            }
        };
        let mut class = None;
        if let Some(path) = &options.case.label {
            class = path.to_str().and_then(|text| text.strip_prefix("class:")).map(str::to_owned);
            label = if class.is_none() { Some(LabelStack::open(path, &never)?) } else { None };
        }
        if let Some(label) = &label {
            label.check_fits(&stack)?;
        }
        let axis = axis(options.plane.as_deref(), &stack)?;
        let (stack, label) = (stack.along(axis), label.map(|label| label.along(axis)));
        let stack = match options.case.bounds {
            Some(bounds) => stack.with_bounds(bounds)?,
            None => stack,
        };
        let name = match options.image() {
            Some(path) => path.file_stem().map_or("image".to_owned(), |n| n.to_string_lossy().into_owned()),
            None => data::BUNDLED_SAMPLE_NAME.to_owned(),
        };
        let name = if stack.slices > 1 { format!("{name}, slice {}", options.case.slice()) } else { name };
        Ok(Self { stack, label, class, name })
    }

    /// The case on the model, with the label's values matched to the model's classes.
    pub(super) fn subject(&self, options: &SweepOptions, model: Arc<dyn Model>) -> anyhow::Result<(Subject, LabelUse)> {
        let needed = model.card().input.needed_bounds().filter(|_| options.case.bounds.is_none());
        let bounded = match needed.map(|[lower, upper]| Bounds { lower, upper }) {
            Some(bounds) if bounds != self.stack.bounds => Some(self.stack.with_bounds(bounds)?),
            _ => None,
        };
        let stack = bounded.as_ref().unwrap_or(&self.stack);
        let mut case = Case::from_slice(stack, options.case.slice(), self.name.clone())?;
        if let Some(text) = &self.class {
            ensure!(model.card().task == Task::Classification, "--label class:{text}: the model segments; give a mask");
            let index = u16::try_from(class_index(model.card(), text).context("--label")?)?;
            case.class = Some(ClassLabel { index, name: None });
        }
        let case = Arc::new(case);
        let on = || options.image().as_ref().map_or(self.name.clone(), |path| path.display().to_string());
        let plain = Subject::new(case, model).with_context(on)?;
        let [height, width] = plain.case.size();
        let region = options.region.as_ref().map(|text| Region::parse(text, height, width));
        let region = region.transpose().context("--region")?;
        let (subject, used) = match &self.label {
            Some(label) if plain.class.is_none() => {
                let (mask, used) = matched(label, options, &plain)?;
                (plain.relabel(Some(mask)).with_context(on)?, used)
            }
            _ => (plain, LabelUse::default()),
        };
        let target = target(options, &subject)?;
        Ok((subject.with_target(target).context("--target")?.confined(region), used))
    }
}

/// The axis of `stack` along which the slices of the wished plane follow one another.
fn axis(plane: Option<&str>, stack: &Stack) -> anyhow::Result<Axis> {
    let Some(plane) = plane else { return Ok(stack.axis) };
    anyhow::ensure!(stack.is_volume(), "--plane {plane}: the image is no volume, so that it has one plane only");
    let axes = stack.about.axes();
    let numbered = plane.parse::<usize>().ok().and_then(|number| Axis::ALL.get(number.checked_sub(1)?).copied());
    let named = || Axis::ALL.into_iter().find(|axis| axis.title(axes).eq_ignore_ascii_case(plane));
    let unknown = || format!("--plane {plane}: the file does not tell the sides of the patient. Give 1, 2 or 3");
    numbered.or_else(named).with_context(unknown)
}

/// The class that `text` means: its number or its name.
pub(in crate::cli) fn class_index(card: &ModelCard, text: &str) -> anyhow::Result<usize> {
    let known = card.classes.len();
    let named = card.classes.iter().position(|class| class.name.eq_ignore_ascii_case(text));
    let class = named.or_else(|| text.parse().ok().filter(|class| *class < known));
    class.with_context(|| {
        let names: Vec<&str> = card.classes.iter().take(20).map(|c| c.name.as_str()).collect();
        format!("there is no class {text}; the model has {known}, the first is 0: {}", names.join(", "))
    })
}

/// What attacks wish of any image, where it is no mask.
pub(in crate::cli) fn wish(options: &SweepOptions, card: &ModelCard) -> anyhow::Result<Option<Wish>> {
    let Some(text) = &options.target else {
        return Ok(Some(if options.targeted { Wish::Nearest } else { Wish::Untargeted }));
    };
    if let Some(class) = text.strip_prefix("class:") {
        return Ok(Some(Wish::Class(class_index(card, class).context("--target")?)));
    }
    if let Some(class) = text.strip_prefix("erase:") {
        ensure!(card.task == Task::Segmentation, "--target {text}: only a model that segments has a class to erase");
        return Ok(Some(Wish::Erase(u8::try_from(class_index(card, class).context("--target")?)?)));
    }
    Ok(None)
}

/// The target of one image.
fn target(options: &SweepOptions, subject: &Subject) -> anyhow::Result<Option<Truth>> {
    if let Some(wish) = wish(options, subject.model.card())? {
        return Ok(wish.target(subject));
    }
    let path = options.target.as_deref().unwrap_or_default();
    ensure!(subject.class.is_none(), "--target {path}: the model classifies; write class:N");
    let label = LabelStack::open(Path::new(path), &AtomicBool::new(false)).context("--target")?;
    let (mask, _) = matched(&label, options, subject).context("--target")?;
    Ok(Some(Truth::Mask(mask)))
}

/// The label's mask in the model's classes.
fn matched(label: &LabelStack, options: &SweepOptions, plain: &Subject) -> anyhow::Result<(Mask, LabelUse)> {
    let classes: Vec<&str> = plain.model.card().classes.iter().map(|c| c.name.as_str()).collect();
    let slice = options.case.slice();
    let few = "the label has fewer slices than the image, or another size";
    let map = match &options.case.label_map {
        Some(text) => LabelMap::parse(text, &classes).context("--label-map")?,
        None => label.guess(slice, classes.len(), &plain.clean.predicted).context(few)?,
    };
    let mask = label.mask(slice, &map).context(few)?;
    let used = LabelUse { map: Some(map.to_text(&classes)), guessed: options.case.label_map.is_none() };
    anyhow::ensure!(
        !mask.is_all_ignored(),
        "no pixel of the label is of a class: the map {} leaves out every value of slice {slice}",
        map.to_text(&classes)
    );
    Ok((mask, used))
}
