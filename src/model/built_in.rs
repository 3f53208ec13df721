//! The project's own networks as [`Model`]s: loaded with their card, frozen, folded, fitted to any image size.

use super::fit::any_size;
use super::frozen::FrozenUNet;
use super::prepare::{finish, prepare};
use super::unet::{UNet, UNetConfig};
use super::{Activation, Logits, Model, ModelCard, ModelError, SizeRule, Task};
use crate::data::DataError;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use std::sync::Arc;

/// Weights of the bundled model.
const BUNDLED_WEIGHTS: &[u8] = include_bytes!("../../assets/membranes-unet.safetensors");
/// Card of the bundled model.
const BUNDLED_CARD: &str = include_str!("../../assets/membranes-unet.toml");
/// A weights file larger than this is refused before it is read.
const MOST_WEIGHT_BYTES: u64 = 2 << 30;

/// A [`UNet`] with its card, in evaluation mode.
pub struct BuiltIn {
    card: ModelCard,
    network: FrozenUNet,
    device: Device,
}

impl BuiltIn {
    /// Wraps a network: freezes it and folds its batch normalisation.
    ///
    /// # Errors
    /// If the card does not describe a network that can work.
    pub fn new(card: ModelCard, network: &UNet, device: &Device) -> Result<Self, ModelError> {
        check(&card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
        let network = FrozenUNet::new(network.valid().to_device(device));
        Ok(Self { card, network, device: device.clone() })
    }

    /// The model that comes with the program: cell membranes in serial-section electron micrographs.
    ///
    /// # Errors
    /// If the device fails.
    pub fn bundled(device: &Device) -> Result<Self, ModelError> {
        let path = Path::new("bundled membranes-unet.safetensors");
        let card = parse_card(path, BUNDLED_CARD)?;
        Self::from_bytes(path, card, BUNDLED_WEIGHTS.to_vec(), device)
    }

    /// Reads `weights` (safetensors) and the card beside it (`.toml`, same name).
    ///
    /// # Errors
    /// If a file is missing or malformed, or the weights are those of another network or not finite.
    pub fn load(weights: &Path, device: &Device) -> Result<Self, ModelError> {
        let hint = "A model is a .safetensors file with its card, a .toml of the same name, beside it";
        let size =
            std::fs::metadata(weights).map_err(|e| ModelError::file(weights, format!("cannot be read ({e})"), hint))?;
        if !size.is_file() {
            return Err(ModelError::file(weights, "is not a file", hint));
        }
        if size.len() > MOST_WEIGHT_BYTES {
            return Err(ModelError::file(weights, "is larger than 2 GiB", hint));
        }
        let card_path = weights.with_extension("toml");
        let text = std::fs::read_to_string(&card_path)
            .map_err(|e| ModelError::file(&card_path, format!("the model card cannot be read ({e})"), hint))?;
        let card = parse_card(&card_path, &text)?;
        let bytes =
            std::fs::read(weights).map_err(|e| ModelError::file(weights, format!("cannot be read ({e})"), hint))?;
        Self::from_bytes(weights, card, bytes, device)
    }

    fn from_bytes(path: &Path, card: ModelCard, bytes: Vec<u8>, device: &Device) -> Result<Self, ModelError> {
        let network = read_network(path, &card, bytes, device)?;
        Self::new(card, &network, device)
    }

    /// Writes `network`'s weights to `weights` and the card beside it, each whole or not at all.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(weights: &Path, card: &ModelCard, network: &UNet) -> Result<(), ModelError> {
        let fail = |cause: String| ModelError::file(weights, cause, "Choose a folder that can be written to");
        let mut store = SafetensorsStore::from_bytes(None);
        network.valid().save_into(&mut store).map_err(|e| fail(format!("cannot be encoded ({e})")))?;
        let bytes = store.get_bytes().map_err(|e| fail(format!("cannot be encoded ({e})")))?;
        let text = toml::to_string_pretty(card).map_err(|e| fail(format!("the card cannot be encoded ({e})")))?;
        write(weights, &bytes)?;
        write(&weights.with_extension("toml"), text.as_bytes())
    }
}

/// The unfolded network of a weights file, for training on.
///
/// # Errors
/// If the weights are malformed, not finite, or of another network than the card says.
pub fn read_network(path: &Path, card: &ModelCard, bytes: Vec<u8>, device: &Device) -> Result<UNet, ModelError> {
    check(card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?;
    // Parsed once on its own: the store trusts the header's offsets.
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| {
        ModelError::file(path, format!("is not a safetensors file ({e})"), "Open a .safetensors file made by train")
    })?;
    check_values(&tensors)
        .map_err(|cause| ModelError::file(path, cause, "Open weights of a training that went well"))?;
    let mut network =
        network_of(card).map_err(|cause| ModelError::Card { name: card.name.clone(), cause })?.init(device);
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).validate(false).allow_partial(true);
    let hint = "The card beside the weights must describe the network that they were trained in";
    let result =
        network.load_from(&mut store).map_err(|e| ModelError::file(path, format!("cannot be loaded ({e})"), hint))?;
    let mut problems: Vec<String> = result.errors.iter().map(ToString::to_string).collect();
    problems.extend(result.missing.iter().map(|(name, _)| format!("{name} is missing")));
    problems.extend(result.unused.iter().map(|name| format!("{name} is not part of the network")));
    if let Some(first) = problems.first() {
        let more = match problems.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        return Err(ModelError::file(path, format!("holds the weights of another network: {first}{more}"), hint));
    }
    Ok(network)
}

/// Every weight is a finite 32-bit float: the network would take other types as they are and fail on the first image,
/// and one value that is no number spoils every pixel that it reaches.
fn check_values(tensors: &SafeTensors<'_>) -> Result<(), String> {
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("holds {name} as {}, and weights are read as F32", view.dtype()));
        }
        let (values, _) = view.data().as_chunks::<4>();
        let broken = values.iter().filter(|bytes| !f32::from_le_bytes(**bytes).is_finite()).count();
        if broken > 0 {
            return Err(format!("{broken} of the {} values of {name} are not finite (NaN or infinite)", values.len()));
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    crate::data::write_bytes_atomic(path, bytes).map_err(|DataError { path, cause, hint }| ModelError::File {
        path,
        cause,
        hint,
    })
}

fn parse_card(path: &Path, text: &str) -> Result<ModelCard, ModelError> {
    toml::from_str(text).map_err(|e| {
        let line = e.message().to_owned();
        ModelError::file(path, format!("the model card cannot be understood ({line})"), "Write it anew with train")
    })
}

/// The network that a card describes.
fn network_of(card: &ModelCard) -> Result<&UNetConfig, String> {
    card.network.as_ref().ok_or_else(|| "it does not describe the network that the weights belong to".to_owned())
}

/// What must hold of a card before memory is asked for.
fn check(card: &ModelCard) -> Result<(), String> {
    card.check()?;
    let n = network_of(card)?;
    let sizes_fit = (1..=4).contains(&n.channels)
        && (1..=64).contains(&n.outputs)
        && (1..=7).contains(&n.depth)
        && (1..=256).contains(&n.base)
        && (n.base << n.depth) <= 4096
        && (0.0..1.0).contains(&n.dropout);
    if !sizes_fit {
        return Err(format!("its network has impossible sizes: {n:?}"));
    }
    n.check().map_err(|cause| format!("its network cannot work: {cause}"))?;
    if card.channels != n.channels {
        return Err(format!("it says {} channels and its network takes {}", card.channels, n.channels));
    }
    if card.task != Task::Segmentation {
        return Err("a U-Net segments: its task must be segmentation".to_owned());
    }
    if card.output.activation != Activation::None || card.output.name.is_some() {
        return Err("a U-Net puts out logits under no name".to_owned());
    }
    let channel = card.output.channel;
    if channel.is_none() && card.outputs() != n.outputs || channel.is_some_and(|channel| channel >= n.outputs) {
        let classes = card.classes.len();
        return Err(format!("its network has {} outputs, which do not fit its head and {classes} classes", n.outputs));
    }
    let multiple = 1 << n.depth;
    match card.size_rule {
        SizeRule::Any if multiple > 1 => Err(format!("its size rule must be a multiple of {multiple}")),
        SizeRule::MultipleOf(m) if m != multiple => Err(format!("its size rule must be a multiple of {multiple}")),
        SizeRule::Tile(sides) | SizeRule::Resize(sides)
            if sides.iter().any(|&s| s < multiple || s % multiple != 0 || s > 4096) || n.margin() > 0 =>
        {
            Err(format!("its tile size must be a multiple of {multiple}, with same padding"))
        }
        _ => Ok(()),
    }
}

impl Model for BuiltIn {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let x = prepare(x, &self.card)?;
        let network = |x: Tensor<4>| Ok(self.network.forward(x));
        let z = any_size(x, self.card.size_rule, self.card.network.as_ref(), &network)?;
        finish(Logits::Dense(z), &self.card, true)
    }

    /// Measured on the CPU at 512², 1024² and 1536² with base 16 and depth 4: 1265 bytes a pixel. The finest level
    /// dominates, and its share grows with the base.
    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        const BYTES_PER_PIXEL_AND_BASE: u64 = 80;
        let pixels = (height as u64).saturating_mul(width as u64);
        let base = self.card.network.as_ref().map_or(64, |network| network.base as u64);
        pixels.saturating_mul(base * BYTES_PER_PIXEL_AND_BASE)
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { card: self.card.clone(), network: self.network.to_device(device), device: device.clone() })
    }
}
