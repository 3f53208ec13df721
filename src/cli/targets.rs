//! What an attack takes for the truth, or wishes: a mask, numbers in an array, one class, or the model's own prediction.

use super::images::Images;
use crate::attack::Objective;
use crate::data::{IGNORE, LabelMap, LabelStack, Mask, read_npy};
use crate::model::{Head, Logits, Model, ModelCard, Task, predict};
use crate::study::Truth;
use anyhow::{Context, bail, ensure};
use burn::tensor::Tensor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// As read, before a model has said what it means.
pub(super) enum Targets {
    /// The model's own prediction.
    Prediction,
    /// One class for all.
    Class(usize),
    /// A whole number for each image, or for each of its pixels.
    Numbers { name: String, values: Vec<f32>, each: usize },
    /// A mask file.
    Mask { label: LabelStack, map: Option<String>, slice: usize },
}

impl Targets {
    /// Reads `text`, a path or `class:N`, for `images`.
    pub fn read(text: Option<&str>, map: Option<&str>, slice: usize, images: &Images) -> anyhow::Result<Self> {
        let Some(text) = text else { return Ok(Self::Prediction) };
        if let Some(class) = text.strip_prefix("class:") {
            return Ok(Self::Class(
                class.parse().with_context(|| format!("{text}: write class:N with a number from 0"))?,
            ));
        }
        let [count, _, height, width] = images.shape;
        if !text.to_ascii_lowercase().ends_with(".npy") {
            ensure!(
                count == 1,
                "{text}: a mask is for one image, and the array has {count}; give an array of masks (.npy)"
            );
            let label = LabelStack::open(Path::new(text), &AtomicBool::new(false))?;
            return Ok(Self::Mask { label, map: map.map(str::to_owned), slice });
        }
        let array = read_npy(Path::new(text))?;
        let pixels = height * width;
        let each = match array.values.len() {
            n if n == count => 1,
            n if n == count * pixels && array.shape.ends_with(&[height, width]) => pixels,
            _ => bail!(
                "{text}: has the axes {:?}; give a class for each of the {count} images, or for each of their {height} × {width} \
                 pixels",
                array.shape
            ),
        };
        Ok(Self::Numbers { name: text.to_owned(), values: array.values, each })
    }

    /// Whether a pixel of each mask counts at all, as far as that can be told without a model's prediction.
    pub fn check_counted(&self, card: &ModelCard) -> anyhow::Result<()> {
        let counted = match self {
            Self::Numbers { values, each, .. } if *each > 1 => {
                values.chunks(*each).all(|mask| mask.iter().any(|&v| v != f32::from(IGNORE)))
            }
            Self::Mask { label, map: Some(map), slice } => {
                let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
                let map = LabelMap::parse(map, &names).context("--label-map")?;
                let slice = if label.slices == 1 { 0 } else { *slice };
                label.mask(slice, &map).is_none_or(|mask| !mask.is_all_ignored())
            }
            _ => true,
        };
        ensure!(counted, "no pixel of the mask counts: all are left out (255), so that nothing can be judged");
        Ok(())
    }

    /// What is true of the one image `x`.
    pub fn truth(&self, model: &dyn Model, x: &Tensor<4>) -> anyhow::Result<Truth> {
        let [_, _, height, width] = x.dims();
        Ok(match model.card().task {
            Task::Classification => Truth::Class(self.classes(0, 1, model, x)?.first().copied().unwrap_or(0)),
            Task::Segmentation => Truth::Mask(self.mask(0, [height, width], model, x.clone())?),
        })
    }

    /// The loss for images `first` and on, which are `x`.
    pub fn objective(&self, first: usize, count: usize, model: &dyn Model, x: &Tensor<4>) -> anyhow::Result<Objective> {
        let (card, device) = (model.card(), model.device());
        let (head, positive) = (card.head, card.positive_class);
        if card.task == Task::Classification {
            let classes = self.classes(first, count, model, x)?;
            return Ok(Objective::classes(head, positive, &classes, &device));
        }
        Ok(Objective::masks(head, positive, &self.masks(first, count, model, x)?, &device))
    }

    /// The same, wished in place of what the model predicts.
    pub fn wished(&self, first: usize, count: usize, model: &dyn Model, x: &Tensor<4>) -> anyhow::Result<Objective> {
        let card = model.card();
        if card.task == Task::Classification {
            return Ok(self.objective(first, count, model, x)?.targeted());
        }
        let (masks, truths) = (self.masks(first, count, model, x)?, Self::Prediction.masks(first, count, model, x)?);
        Ok(Objective::targeted_masks(card.head, card.positive_class, &masks, &truths, &model.device()))
    }

    fn masks(&self, first: usize, count: usize, model: &dyn Model, x: &Tensor<4>) -> anyhow::Result<Vec<Mask>> {
        let [_, _, height, width] = x.dims();
        (0..count).map(|i| self.mask(first + i, [height, width], model, x.clone().narrow(0, i, 1))).collect()
    }

    fn classes(&self, first: usize, count: usize, model: &dyn Model, x: &Tensor<4>) -> anyhow::Result<Vec<usize>> {
        let card = model.card();
        let known = card.classes.len();
        let classes = match self {
            Self::Class(class) => vec![*class; count],
            Self::Numbers { name, values, each: 1 } => whole(name, &values[first..first + count], known)?,
            Self::Prediction => {
                let Logits::Class(z) = model.logits(x.clone())? else { bail!("the model gives a map, not classes") };
                let outputs = z.dims()[1];
                let values = crate::tensor::to_host(z)?;
                let best = |row: &[f32]| match card.head {
                    Head::Sigmoid => usize::from((row[0] >= 0.0) == (card.positive_class == 1)),
                    Head::Softmax => {
                        row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
                    }
                };
                values.chunks_exact(outputs).map(best).collect()
            }
            _ => bail!("the model classifies whole images: give class:N, or an array with one class for each image"),
        };
        match classes.iter().find(|&&class| class >= known) {
            Some(class) => bail!("there is no class {class}: the model has {known}, the first is 0"),
            None => Ok(classes),
        }
    }

    fn mask(&self, image: usize, [height, width]: [usize; 2], model: &dyn Model, x: Tensor<4>) -> anyhow::Result<Mask> {
        let card = model.card();
        let known = card.classes.len();
        let names: Vec<&str> = card.classes.iter().map(|c| c.name.as_str()).collect();
        let mask = |classes: Vec<u8>| Mask { height, width, classes: classes.into() };
        Ok(match self {
            Self::Prediction => predict(model, x)?.predicted,
            Self::Class(class) => {
                ensure!(*class < known, "there is no class {class}: the model has {known}, the first is 0");
                mask(vec![u8::try_from(*class)?; height * width])
            }
            Self::Numbers { name, values, each } => {
                ensure!(*each == height * width, "{name}: the model segments: give a class for each pixel");
                let values = &values[image * each..(image + 1) * each];
                // 255 is left out.
                let bad =
                    values.iter().find(|&&v| v != 255.0 && !(v.fract() == 0.0 && (0.0..known as f32).contains(&v)));
                ensure!(bad.is_none(), "{name}: holds {}, which is no class of {known}", bad.unwrap_or(&0.0));
                mask(values.iter().map(|&v| v as u8).collect())
            }
            Self::Mask { label, map, slice } => {
                let given = map.is_some();
                let slice = if label.slices == 1 { 0 } else { *slice };
                let few = || format!("the label is not of the image’s {width} × {height} pixels, or has fewer slices");
                let map = match map {
                    Some(text) => LabelMap::parse(text, &names).context("--label-map")?,
                    None => label.guess(slice, known, &predict(model, x)?.predicted).with_context(few)?,
                };
                let guessed =
                    if given { "" } else { " (guessed by agreement with the prediction; say it with --label-map)" };
                eprintln!("label: {}{guessed}", map.to_text(&names));
                let mask = label.mask(slice, &map).with_context(few)?;
                ensure!([mask.height, mask.width] == [height, width], "{}", few());
                ensure!(!mask.is_all_ignored(), "no pixel of the label is of a class: {}", map.to_text(&names));
                mask
            }
        })
    }
}

fn whole(name: &str, values: &[f32], known: usize) -> anyhow::Result<Vec<usize>> {
    let class = |&v: &f32| {
        ensure!(
            v.fract() == 0.0 && (0.0..known as f32).contains(&v),
            "{name}: holds {v}, which is no class of {known}"
        );
        Ok(v as usize)
    };
    values.iter().map(class).collect()
}
