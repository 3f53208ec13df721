//! What the network will see: the crops of a step as pictures, adversarial ones included.

use super::adversarial::parts;
use super::batch::Batch;
use super::{Recipe, Source, TrainError, Trainer};
use crate::data::{DataError, Image, StoredType, write_png};
use crate::tensor::to_host;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// Room between the image and its target, in pixels.
const GAP: usize = 4;

/// Writes the crops of the first step as PNG files into `folder`, each with its target beside it (positive class white,
/// ignored pixels grey), adversarial samples against the present network after them. Returns the files.
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
    let batch = Batch::assemble(recipe, source, 0);
    let (channels, input, output, count) = (batch.channels, batch.input, batch.output, batch.count);
    let parts = parts(recipe, &trainer.card("preview", ""), trainer.current(), batch, 0, device)?;
    let classes = recipe.network.outputs.max(2);
    let mut files = Vec::new();
    for (which, part) in parts.iter().enumerate() {
        let (x, target, weight) =
            (to_host(part.x.clone())?, to_host(part.target.clone())?, to_host(part.weight.clone())?);
        let rows =
            x.chunks(channels * input * input).zip(target.chunks(output * output)).zip(weight.chunks(output * output));
        for (row, ((image, target), weight)) in rows.enumerate() {
            let kind = match (which, row < count) {
                (0, true) => "crop",
                (0, false) => "appended",
                _ => "adversarial",
            };
            let path = folder.join(format!("{kind}-{row:02}.png"));
            let wide = input + GAP + output;
            let mut pixels = vec![255.0; channels * input * wide];
            let margin = (input - output) / 2;
            for channel in 0..channels {
                for y in 0..input {
                    let line = &mut pixels[(channel * input + y) * wide..][..wide];
                    let from = &image[(channel * input + y) * input..][..input];
                    line.iter_mut().zip(from).for_each(|(to, v)| *to = (v * 255.0).round());
                    if let Some(y) = y.checked_sub(margin).filter(|&y| y < output) {
                        for x in 0..output {
                            let (class, counts) = (target[y * output + x], weight[y * output + x] > 0.0);
                            let grey = class / (classes - 1) as f32 * 255.0;
                            line[input + GAP + x] = if counts { grey.round() } else { 128.0 };
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
    }
    Ok(files)
}
