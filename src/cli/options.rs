//! Arguments that several subcommands share.

use crate::data::Bounds;
use crate::gpu::DeviceChoice;
use crate::model::{Model, within};
use std::path::PathBuf;
use std::sync::Arc;

/// What belongs to an image.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CaseOptions {
    /// Its label mask: an image of the same size and number of slices. Without one, the model's own clean prediction
    /// is the reference.
    #[arg(long, value_name = "MASK")]
    pub label: Option<PathBuf>,
    /// What the mask's values mean, in the classes of the model: `0=membrane,255=cell`; values left out are ignored.
    /// Without it, guessed by agreement with the clean prediction.
    #[arg(long, value_name = "VALUE=CLASS,…", requires = "label")]
    pub label_map: Option<String>,
    /// The pixel values that are scaled to 0 and 1; the image is clipped to them, and ε is a fraction of their distance.
    /// Without it, 0 to 255 for 8-bit images, else the range of the whole stack.
    #[arg(long, value_name = "LOWER,UPPER", value_parser = parse_bounds, allow_hyphen_values = true)]
    pub bounds: Option<Bounds>,
    /// Slice of a stack, from 0. Without it the first; in the window, of a stack without a label, the middle.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub slice: Option<usize>,
}

impl CaseOptions {
    /// The slice that was asked for, else the first.
    pub fn slice(&self) -> usize {
        self.slice.unwrap_or(0)
    }
}

pub(super) fn parse_bounds(text: &str) -> Result<Bounds, String> {
    let [lower, upper] =
        text.split_once(',').map(|(a, b)| [a, b].map(|t| t.trim().parse::<f32>())).ok_or_else(fault)?;
    match (lower, upper) {
        (Ok(lower), Ok(upper)) => Ok(Bounds { lower, upper }),
        _ => Err(fault()),
    }
}

fn fault() -> String {
    "write two numbers with a comma between them, e.g. 0,4095".to_owned()
}

/// Which model.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ModelOptions {
    /// The model: .onnx, .safetensors, .bpk, .pt or .pth, with its card (.toml of the same name, or model.toml) beside it.
    /// Without a card what can be is guessed. Without a model, the bundled membrane model.
    #[arg(long, value_name = "WEIGHTS")]
    pub model: Option<PathBuf>,
}

/// Where to compute.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct DeviceOptions {
    /// Where to compute: a real GPU if there is one (auto), the CPU, or the GPU even if it is emulated.
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t)]
    pub device: DeviceChoice,
}

const GIB: f64 = (1u64 << 30) as f64;

/// Bytes as they are written on the command line: a number of GiB.
pub(super) fn gibibytes_text(bytes: u64) -> String {
    ((bytes as f64 / GIB * 1e6).round() / 1e6).to_string()
}

/// A number of GiB, in bytes.
pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
    let value = text.parse::<f64>().ok().filter(|v| (0.001..=1e6).contains(v));
    let bytes = value.map(|v| (v * GIB).round() as u64);
    bytes.ok_or_else(|| "write a number of GiB, e.g. 2 or 0.5".to_owned())
}

/// `model` with gradients that take no more than `memory`, if that is said.
pub(super) fn keep_to(model: Arc<dyn Model>, memory: Option<u64>) -> Arc<dyn Model> {
    match memory {
        Some(bytes) => within(model, bytes),
        None => model,
    }
}

/// Prints to the standard output; a reader that has heard enough (`| head`) is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
