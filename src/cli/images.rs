//! Images for a model as `predict` and `attack` read them: any image file, or a NumPy array of several.

use super::options::{DeviceOptions, keep_to, parse_bounds, parse_memory};
use crate::data::{self, Bounds, read_npy};
use crate::gpu::Compute;
use crate::model::{self, Layout, Model, check_room};
use anyhow::{Context, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Memory that the images computed at once may take.
const BATCH_BYTES: u64 = 1 << 30;

/// Says on the error stream that images are computed in tiles, if they are.
pub(super) fn tell_tiles(model: &dyn Model, height: usize, width: usize) {
    if let Ok(Some(tiles)) = model.tiles(height, width) {
        eprintln!("{width}×{height} pixels: {tiles}");
    }
}

/// Arguments that `predict` and `attack` share, beside the input: an image file, or a NumPy array (.npy) of numbers in pixel
/// units with the axes (channels, rows, columns) or (images, channels, rows, columns).
#[derive(Clone, Debug, clap::Args)]
pub(super) struct InputOptions {
    /// The model: .onnx, .safetensors, .bpk, .pt or .pth, with its card (.toml of the same name, or model.toml) beside it.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// A card to use in place of the one beside the model.
    #[arg(long, value_name = "CARD")]
    pub card: Option<PathBuf>,
    /// Slice of a stack, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub slice: usize,
    /// The pixel values that are scaled to 0 and 1; the image is clipped to them, and ε is a fraction of their distance.
    /// Without it: those that the card demands; 0 to 255 for 8-bit images; of an array of floats 0 to 1 or 0 to 255, whichever
    /// holds it; else the range of the whole stack.
    #[arg(long, value_name = "LOWER,UPPER", value_parser = parse_bounds, allow_hyphen_values = true)]
    pub bounds: Option<Bounds>,
    /// Feed the numbers to the network as they are, without what the card says of its input. Their axes stay those said above: a
    /// graph that takes the channels last (`model inspect` shows how its file has them) gets them turned.
    #[arg(long)]
    pub raw: bool,
    #[command(flatten)]
    pub device: DeviceOptions,
    /// Memory in GiB that a gradient may take; an image that needs more is computed in tiles. Without it, three quarters of what is
    /// free.
    #[arg(long, value_name = "GIB", value_parser = parse_memory)]
    pub memory: Option<u64>,
}

impl InputOptions {
    /// Opens the model on the device that was asked for.
    pub fn open_model(&self) -> anyhow::Result<Arc<dyn Model>> {
        Ok(self.open_on_device()?.0)
    }

    /// The same, with what that device is.
    pub fn open_on_device(&self) -> anyhow::Result<(Arc<dyn Model>, String)> {
        let Compute { device, info, .. } = Compute::headless(self.device.device)?;
        let model = match &self.card {
            Some(card) => model::open_with(&self.model, card, &device)?,
            None => model::open(&self.model, &device)?,
        };
        let model = keep_to(model, self.memory);
        let facts = model.facts();
        if !facts.guessed.is_empty() && self.card.is_none() && !self.raw {
            eprintln!(
                "{}: no card lies beside it, so this was guessed: {}. `epsiloscope model inspect` writes a card to correct",
                self.model.display(),
                facts.guessed.join("; ")
            );
        }
        if self.raw && model.card().input.layout == Some(Layout::Nhwc) {
            eprintln!(
                "{}: takes the channels last; arrays have them before rows and columns all the same, and are turned",
                self.model.display()
            );
        }
        facts.notes.iter().for_each(|note| eprintln!("{}: {note}", self.model.display()));
        Ok((model, info.description))
    }
}

/// Whether an array may be written to `path`: what is written is NumPy, whatever the name says.
pub(super) fn check_array_name(path: &Path) -> anyhow::Result<()> {
    ensure!(
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")),
        "{}: what is written is a NumPy array; give it a name that ends in .npy",
        path.display()
    );
    Ok(())
}

/// Images of one size, on the host.
pub(super) struct Images {
    /// `[images, channels, height, width]`.
    pub shape: [usize; 4],
    /// In pixel units.
    pub values: Vec<f32>,
    /// What becomes 0 and 1.
    pub bounds: Bounds,
    /// The axes that arrays like it are written with: those of the array that was read.
    pub axes: Vec<usize>,
    /// Of a stack of several slices: which this is, from 0, and how many there are.
    pub slice: Option<[usize; 2]>,
}

impl Images {
    /// Reads `path`, an image or an array, as `options` ask, for `model`.
    pub fn read(path: &Path, options: &InputOptions, model: &dyn Model) -> anyhow::Result<Self> {
        let needed = model.card().input.needed_bounds().map(|[lower, upper]| Bounds { lower, upper });
        let is_array = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
        let mut images = if is_array { Self::of_array(path)? } else { Self::of_image(path, options.slice)? };
        match (options.bounds.or(needed.filter(|_| !options.raw)), options.raw) {
            (Some(bounds), _) => {
                ensure!(
                    bounds.width() > 0.0 && bounds.width().is_finite(),
                    "the bounds {} to {} have no width: give the lower one first",
                    bounds.lower,
                    bounds.upper
                );
                images.bounds = bounds;
            }
            (None, false) => ensure!(
                images.bounds.width() > 0.0,
                "{}: holds floats beyond 0 to 255, so that their bounds must be said: add --bounds LOWER,UPPER (Hounsfield \
                 units: --bounds=-1024,3071)",
                path.display()
            ),
            (None, true) => {}
        }
        let [_, channels, height, width] = images.shape;
        let wanted = model.card().channels;
        ensure!(
            channels == wanted || channels == 1,
            "{}: has {channels} channels, and the model takes {wanted}. Give an image or an array with {}{}",
            path.display(),
            if wanted == 1 { "1 channel".to_owned() } else { format!("{wanted} channels, or 1") },
            // As a graph that takes the channels last shows its input.
            if is_array && width == wanted {
                format!(
                    ". Its last axis has {wanted}: the channels of an array come before its rows and columns, whatever order the \
                     graph has, with --raw too"
                )
            } else {
                String::new()
            }
        );
        check_room(model, height, width).with_context(|| path.display().to_string())?;
        tell_tiles(model, height, width);
        Ok(images)
    }

    fn of_array(path: &Path) -> anyhow::Result<Self> {
        let array = read_npy(path)?;
        let shape = match array.shape[..] {
            [channels, height, width] => [1, channels, height, width],
            [images, channels, height, width] => [images, channels, height, width],
            _ => bail!(
                "{}: has the axes {:?}; give (channels, rows, columns) or (images, channels, rows, columns)",
                path.display(),
                array.shape
            ),
        };
        let broken = array.values.iter().filter(|v| !v.is_finite()).count();
        ensure!(broken == 0, "{}: {broken} of its values are not finite (NaN or infinite)", path.display());
        let (lowest, highest) =
            array.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        let bounds = match (array.bytes, lowest >= 0.0) {
            (true, _) => Bounds::EIGHT_BIT,
            (false, true) if highest <= 1.0 => Bounds { lower: 0.0, upper: 1.0 },
            (false, true) if highest <= 255.0 => Bounds::EIGHT_BIT,
            // To be said by a person.
            _ => Bounds { lower: 0.0, upper: 0.0 },
        };
        Ok(Self { shape, values: array.values, bounds, axes: array.shape, slice: None })
    }

    fn of_image(path: &Path, slice: usize) -> anyhow::Result<Self> {
        let stack = data::open(path, &AtomicBool::new(false))?;
        let image = stack.slice(slice).with_context(|| match stack.slices {
            1 => format!("{}: is one image, without a slice {slice}; leave --slice away", path.display()),
            n => format!("{}: has {n} slices, so that the last one is --slice {}", path.display(), n - 1),
        })?;
        let axes = vec![image.channels, image.height, image.width];
        let shape = [1, image.channels, image.height, image.width];
        Ok(Self {
            shape,
            values: image.pixels.to_vec(),
            bounds: stack.bounds,
            axes,
            slice: (stack.slices > 1).then_some([slice, stack.slices]),
        })
    }

    /// Which slice of several this is, a line for people; nothing of an image by itself.
    pub fn slice_words(&self) -> String {
        match self.slice {
            Some([slice, of]) => {
                format!("slice {slice} of the {of}, which count from 0 to {}; another with --slice N\n", of - 1)
            }
            None => String::new(),
        }
    }

    /// How many images are computed at once.
    pub fn at_once(&self, model: &dyn Model) -> usize {
        let [count, _, height, width] = self.shape;
        let each = model.working_bytes(height, width).max(1);
        usize::try_from(BATCH_BYTES / each).unwrap_or(usize::MAX).clamp(1, 64).min(count.max(1))
    }

    /// Images `first` and on, `count` of them, as they are.
    pub fn tensor(&self, first: usize, count: usize, device: &Device) -> Tensor<4> {
        self.scaled(first, count, device, |v| v)
    }

    /// 1 where all channels of a pixel of images `first` and on lie within the bounds, 0 elsewhere: `[count, 1, height, width]`;
    /// `None` if all do. What lies outside is clipped for the model, and must not be changed: back in its own units it would
    /// have moved by more than ε.
    pub fn within(&self, first: usize, count: usize, device: &Device) -> Option<Tensor<4>> {
        let [_, channels, height, width] = self.shape;
        let (plane, each) = (height * width, channels * height * width);
        let values = &self.values[first * each..(first + count) * each];
        if values.iter().all(|&v| self.holds(v)) {
            return None;
        }
        let held = |i: usize| (0..channels).all(|c| self.holds(values[i / plane * each + c * plane + i % plane]));
        let held: Vec<f32> = (0..count * plane).map(|i| f32::from(u8::from(held(i)))).collect();
        Some(Tensor::from_data(TensorData::new(held, [count, 1, height, width]), device))
    }

    /// Whether a value lies within the bounds.
    pub fn holds(&self, value: f32) -> bool {
        (self.bounds.lower..=self.bounds.upper).contains(&value)
    }

    /// The same, scaled so that the bounds are [0, 1], and clipped to them.
    pub fn unit_tensor(&self, first: usize, count: usize, device: &Device) -> Tensor<4> {
        let (lower, width) = (self.bounds.lower, self.bounds.width());
        self.scaled(first, count, device, |v| ((v - lower) / width).clamp(0.0, 1.0))
    }

    fn scaled(&self, first: usize, count: usize, device: &Device, scale: impl Fn(f32) -> f32) -> Tensor<4> {
        let [_, channels, height, width] = self.shape;
        let each = channels * height * width;
        let values = self.values[first * each..(first + count) * each].iter().map(|&v| scale(v)).collect();
        Tensor::from_data(TensorData::new(values, [count, channels, height, width]), device)
    }
}
