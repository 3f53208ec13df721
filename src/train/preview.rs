//! What the network will see: the crops of a step, adversarial ones included.

use super::adversarial::parts;
use super::batch::Batch;
use super::{Recipe, Source, TrainError, Trainer};
use crate::data::{DataError, Image, StoredType, write_png};
use crate::tensor::to_host;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// Room between the image and its target, in pixels.
const GAP: usize = 4;

/// Where a crop comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewKind {
    /// The data, augmented.
    Crop,
    /// An adversarial sample in the place of its crop.
    Replaced,
    /// An adversarial sample that is added to the batch.
    Appended,
    /// An adversarial sample with a term of its own in the loss.
    Adversarial,
}

impl PreviewKind {
    /// For files and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Replaced => "replaced",
            Self::Appended => "appended",
            Self::Adversarial => "adversarial",
        }
    }
}

/// A crop as the network gets it.
#[derive(Clone, Debug)]
pub struct PreviewCrop {
    /// Where it comes from.
    pub kind: PreviewKind,
    /// Its place among those of the step.
    pub row: usize,
    /// The crop of the step that it is, or was made of.
    pub crop: usize,
    /// That crop, for an adversarial sample, as [`Self::image`].
    pub clean: Option<Vec<f32>>,
    /// Channels, and height and width of the square.
    pub channels: usize,
    /// Height and width in pixels.
    pub input: usize,
    /// `[channels, input, input]`, in [0, 1].
    pub image: Vec<f32>,
    /// Height and width of what is predicted, in the middle.
    pub output: usize,
    /// `[output, output]`: the class, −1 where it does not count.
    pub target: Vec<f32>,
}

/// The crops of the first step, adversarial samples against the present network after them.
///
/// # Errors
/// If a sample cannot be made.
pub fn preview(
    trainer: &Trainer,
    recipe: &Recipe,
    source: &Source,
    device: &Device,
) -> Result<Vec<PreviewCrop>, TrainError> {
    let batch = Batch::assemble(recipe, source, 0);
    let (channels, input, output, count) = (batch.channels, batch.input, batch.output, batch.count);
    let originals = batch.images.clone();
    let parts = parts(recipe, &trainer.card("preview", ""), trainer.current(), batch, 0, device)?;
    let mut crops = Vec::new();
    for (which, part) in parts.iter().enumerate() {
        let (x, target, weight) =
            (to_host(part.x.clone())?, to_host(part.target.clone())?, to_host(part.weight.clone())?);
        let rows =
            x.chunks(channels * input * input).zip(target.chunks(output * output)).zip(weight.chunks(output * output));
        for (row, ((image, target), weight)) in rows.enumerate() {
            let Some(&crop) = part.crops.get(row) else { continue };
            let original = &originals[crop * image.len()..][..image.len()];
            let kind = match (which, row < count) {
                (0, true) if image == original => PreviewKind::Crop,
                (0, true) => PreviewKind::Replaced,
                (0, false) => PreviewKind::Appended,
                _ => PreviewKind::Adversarial,
            };
            let target = target.iter().zip(weight).map(|(&class, &counts)| if counts > 0.0 { class } else { -1.0 });
            crops.push(PreviewCrop {
                kind,
                row,
                crop,
                clean: (kind != PreviewKind::Crop).then(|| original.to_vec()),
                channels,
                input,
                image: image.to_vec(),
                output,
                target: target.collect(),
            });
        }
    }
    Ok(crops)
}

/// Writes what [`preview`] finds as PNG files into `folder`, each with its target beside it (positive class white, ignored
/// pixels grey). Returns the files.
///
/// # Errors
/// If a sample cannot be made, or a file cannot be written.
pub fn write_preview(
    trainer: &Trainer,
    recipe: &Recipe,
    source: &Source,
    device: &Device,
    folder: &Path,
) -> Result<Vec<PathBuf>, TrainError> {
    std::fs::create_dir_all(folder).map_err(|e| {
        DataError::new(folder, format!("cannot be made ({e})"), "Choose a folder that you may write to")
    })?;
    let classes = recipe.network.outputs.max(2);
    let mut files = Vec::new();
    for crop in preview(trainer, recipe, source, device)? {
        let PreviewCrop { channels, input, output, .. } = crop;
        let path = folder.join(format!("{}-{:02}.png", crop.kind.name(), crop.row));
        let wide = input + GAP + output;
        let mut pixels = vec![255.0; channels * input * wide];
        let margin = (input - output) / 2;
        for channel in 0..channels {
            for y in 0..input {
                let line = &mut pixels[(channel * input + y) * wide..][..wide];
                let from = &crop.image[(channel * input + y) * input..][..input];
                line.iter_mut().zip(from).for_each(|(to, v)| *to = (v * 255.0).round());
                if let Some(y) = y.checked_sub(margin).filter(|&y| y < output) {
                    for x in 0..output {
                        let class = crop.target[y * output + x];
                        let grey = (class / (classes - 1) as f32 * 255.0).round();
                        line[input + GAP + x] = if class < 0.0 { 128.0 } else { grey };
                    }
                }
            }
        }
        let shown = if channels == 2 { 1 } else { channels };
        let pixels = pixels[..shown * input * wide].to_vec();
        let Some(picture) = Image::new(shown, input, wide, pixels) else { continue };
        write_png(&path, &picture, StoredType::U8)?;
        files.push(path);
    }
    Ok(files)
}
