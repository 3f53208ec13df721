//! `epsiloscope predict`: the logits of a model, as a NumPy array.

use super::images::{Images, InputOptions, check_array_name};
use super::options::print;
use crate::data::write_npy;
use crate::model::{Logits, Model, class_probabilities};
use crate::tensor::to_host;
use anyhow::ensure;
use std::path::PathBuf;

/// Arguments of `epsiloscope predict`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Predict {
    /// An image file, or a NumPy array (.npy) of numbers in pixel units with the axes (channels, rows, columns) or
    /// (images, channels, rows, columns).
    image: PathBuf,
    #[command(flatten)]
    input: InputOptions,
    /// Where the logits go: a NumPy array of 32-bit floats, (images, outputs, rows, columns) or (images, classes). With --raw
    /// what the network puts out: of an ONNX graph its final activation included, of weights alone (.pt, .safetensors, .bpk) logits.
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
}

impl Predict {
    /// Predicts, and writes the array.
    pub fn run(&self) -> anyhow::Result<()> {
        check_array_name(&self.out)?;
        let model = self.input.open_model()?;
        let images = Images::read(&self.image, &self.input, model.as_ref())?;
        let count = images.shape[0];
        let (mut values, mut axes, mut first) = (Vec::new(), Vec::new(), 0);
        while first < count {
            let batch = images.at_once(model.as_ref()).min(count - first);
            let device = model.device();
            let logits = if self.input.raw {
                model.raw(images.tensor(first, batch, &device))?
            } else {
                model.logits(images.unit_tensor(first, batch, &device))?
            };
            let (shape, part) = match logits {
                Logits::Dense(z) => (z.dims()[1..].to_vec(), to_host(z)?),
                Logits::Class(z) => (z.dims()[1..].to_vec(), to_host(z)?),
            };
            ensure!(
                part.len() == batch * shape.iter().product::<usize>(),
                "the model gives {} values for {batch} images",
                part.len()
            );
            axes = shape;
            values.extend(part);
            first += batch;
        }
        let broken = values.iter().filter(|v| !v.is_finite()).count();
        ensure!(
            broken == 0,
            "{}: predicts values that are not numbers, {broken} of {}; nothing was written. Check its card, or the image",
            self.input.model.display(),
            values.len()
        );
        axes.insert(0, count);
        write_npy(&self.out, &axes, &values)?;
        let words = self.words(model.as_ref(), &axes, &values);
        print(&format!("{}: {axes:?}{words}\n{}", self.out.display(), images.slice_words()))
    }

    /// What one image is taken for.
    fn words(&self, model: &dyn Model, axes: &[usize], values: &[f32]) -> String {
        let card = model.card();
        let (&[1, outputs], false) = (axes, self.input.raw) else { return String::new() };
        let probabilities = class_probabilities(card, &values[..outputs]);
        let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(String::new(), |(class, p)| format!("; {} (probability {p:.4})", card.class_name(class)))
    }
}
