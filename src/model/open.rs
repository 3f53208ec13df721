//! Opening a model, whatever it is stored as.

use super::card_file::CardFrom;
use super::weights::Format;
use super::{BuiltIn, Model, ModelError, OnnxModel, Watch, card_file};
use burn::tensor::Device;
use std::path::Path;
use std::sync::Arc;

/// Opens the model at `path`: an ONNX graph, or the weights of a U-Net as safetensors, burnpack or a PyTorch state dict. What
/// the file is follows from its content. The card is `<path>.toml` (its ending replaced), else `model.toml` in the folder, else
/// guessed ([`Model::about`] says what was).
///
/// # Errors
/// If the file or its card is missing, damaged or of something else; the message names the file and what would work.
pub fn open(path: &Path, device: &Device) -> Result<Arc<dyn Model>, ModelError> {
    open_watched(path, device, CardFrom::Beside, Watch::nobody())
}

/// [`open`] with the card in the file `card`, whatever lies beside the model.
///
/// # Errors
/// As there.
pub fn open_with(path: &Path, card: &Path, device: &Device) -> Result<Arc<dyn Model>, ModelError> {
    open_watched(path, device, CardFrom::File(card), Watch::nobody())
}

/// [`open`] with a card from where `card` says, while `watch` hears how much of the file is read, and may cancel it.
///
/// # Errors
/// As there, and if it was cancelled.
pub fn open_watched(
    path: &Path,
    device: &Device,
    card: CardFrom<'_>,
    watch: Watch<'_>,
) -> Result<Arc<dyn Model>, ModelError> {
    let head = card_file::head(path)?;
    match Format::of(&head) {
        Some(_) => Ok(Arc::new(BuiltIn::load_watched(path, device, card, watch)?)),
        None if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) => {
            Ok(Arc::new(OnnxModel::open(path, device, card, watch)?))
        }
        None => {
            let hint = "Open an .onnx, .safetensors, .bpk, .pt or .pth file";
            Err(ModelError::file(path, "is no model of a kind known here", hint))
        }
    }
}
