//! A U-Net of a state dict, and back into a file.

use super::naming::Naming;
use super::state::{Entry, StateDict};
use crate::data::{DataError, write_bytes_atomic};
use crate::model::ModelError;
use crate::model::unet::{UNet, UNetConfig, Upsampling};
use burn::module::Module;
use burn::tensor::{Bytes, DType, Device};
use burn_store::{BurnpackStore, ModuleSnapshot, SafetensorsStore, burn_pack};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a state dict turned out to hold.
pub(in crate::model) struct Found {
    pub naming: Naming,
    pub config: UNetConfig,
    pub tensors: BTreeMap<String, Entry>,
    /// What stands before each name in the file.
    pub prefix: String,
    /// Tensors that mean nothing to the network.
    pub unused: Vec<String>,
}

/// Recognises the U-Net that a state dict is of, from names and shapes.
///
/// # Errors
/// If it is of none that is known here.
pub(in crate::model) fn find_network(path: &Path, state: StateDict) -> Result<Found, ModelError> {
    let Some((naming, prefix)) = Naming::recognise(&state) else {
        let names: Vec<&str> = state.tensors.keys().map(String::as_str).take(3).collect();
        let cause = if names.is_empty() {
            "holds no weights".to_owned()
        } else {
            format!("holds weights of a network that is not known here ({}, …)", names.join(", "))
        };
        let hint =
            "Weights alone open for Epsiloscope’s, milesial’s and mateuszbuda’s U-Nets; export other networks to ONNX";
        return Err(ModelError::file(path, cause, hint));
    };
    let (tensors, unused) = naming.translate(&prefix, state);
    let config = infer(&tensors).ok_or_else(|| {
        let cause = format!("has the names of {}, and shapes that are not a U-Net’s", naming.title());
        ModelError::file(path, cause, "Save the whole state dict")
    })?;
    Ok(Found { naming, config, tensors, prefix, unused })
}

/// The network that has these weights. Whether it strides or pools, and pads or not, its weights do not say.
fn infer(tensors: &BTreeMap<String, Entry>) -> Option<UNetConfig> {
    let &[base, channels, _, _] = &tensors.get("down.0.first.conv.weight")?.shape[..] else { return None };
    let &[outputs, _, _, _] = &tensors.get("head.weight")?.shape[..] else { return None };
    let depth = (0..16).take_while(|l| tensors.contains_key(&format!("down.{l}.first.conv.weight"))).count();
    let transposed = tensors.contains_key("up.0.transpose.weight");
    Some(UNetConfig {
        channels,
        outputs,
        batch_norm: tensors.contains_key("down.0.first.norm.gamma"),
        upsampling: if transposed { Upsampling::Transposed } else { Upsampling::Bilinear },
        ..UNetConfig::new(base, depth)
    })
}

/// All that tells `tensors` from the weights of `network`: what is missing, of another shape, or, if `strict`, superfluous. Names are
/// those of the file.
struct Difference {
    missing: Vec<String>,
    other: Vec<String>,
    superfluous: Vec<String>,
}

impl Difference {
    fn of(network: &UNet, tensors: &BTreeMap<String, Entry>, strict: bool, written: impl Fn(&str) -> String) -> Self {
        let mut found = Self { missing: Vec::new(), other: Vec::new(), superfluous: Vec::new() };
        let mut known = BTreeSet::new();
        for wanted in network.collect(None, None, true) {
            let (name, shape) = (written(&wanted.name), wanted.shape.to_vec());
            match tensors.get(&wanted.name) {
                None => found.missing.push(name),
                Some(entry) if entry.shape != shape => {
                    found.other.push(format!("{name} is {} in place of {}", times(&entry.shape), times(&shape)));
                }
                Some(_) => {}
            }
            known.insert(wanted.name);
        }
        if strict {
            found.superfluous =
                tensors.keys().filter(|name| !known.contains(*name)).map(|name| written(name)).collect();
        }
        found
    }

    /// One line with all of it, if there is anything.
    fn words(&self) -> Option<String> {
        let parts: Vec<String> = [
            (&self.missing, "missing"),
            (&self.other, "of another shape"),
            (&self.superfluous, "not part of the network"),
        ]
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| format!("{} {what} ({})", counted(names.len()), names.join(", ")))
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// What it says of the file.
    fn headline(&self) -> &'static str {
        match (self.other.is_empty(), self.missing.is_empty()) {
            (false, _) => "holds the weights of another network",
            (true, false) => "lacks weights of its network",
            (true, true) => "holds more than the weights of its network",
        }
    }
}

/// `64×3×3×3`.
fn times(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if sides.is_empty() { "a number".to_owned() } else { sides.join("×") }
}

fn counted(n: usize) -> String {
    if n == 1 { "1 tensor is".to_owned() } else { format!("{n} tensors are") }
}

/// Whether the network that a card describes has the shapes of the weights that were found.
///
/// # Errors
/// If not: a line for the card.
pub(in crate::model) fn compare(
    path: &Path,
    config: &UNetConfig,
    found: &Found,
    device: &Device,
) -> Result<(), String> {
    let has_shapes = |config: &UNetConfig| {
        let shapes = config.init(device).collect(None, None, true);
        shapes.into_iter().map(|wanted| (wanted.name, wanted.shape.to_vec())).collect::<BTreeMap<_, _>>()
    };
    if *config == found.config || has_shapes(config) == has_shapes(&found.config) {
        return Ok(());
    }
    let words =
        |n: &UNetConfig| format!("base {}, depth {}, {} channels, {} outputs", n.base, n.depth, n.channels, n.outputs);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (said, is) = (words(config), words(&found.config));
    Err(format!("it describes another network ({said}) than the weights in {name} are of ({is})"))
}

/// A network with these weights, whose names are `written` otherwise in the file. Every weight must be there, of its shape; `strict`
/// refuses others beside them.
///
/// # Errors
/// With all that is missing, superfluous or of another shape.
pub(in crate::model) fn fill(
    path: &Path,
    config: &UNetConfig,
    mut tensors: BTreeMap<String, Entry>,
    strict: bool,
    written: impl Fn(&str) -> String,
    device: &Device,
) -> Result<UNet, ModelError> {
    let mut network = config.init(device);
    let hint = "Save the whole state dict of the network that the card beside the weights describes";
    let difference = Difference::of(&network, &tensors, strict, written);
    if let Some(words) = difference.words() {
        return Err(ModelError::file(path, format!("{}: {words}", difference.headline()), hint));
    }
    let mut packed = Vec::new();
    for wanted in network.collect(None, None, true) {
        if let Some(entry) = tensors.remove(&wanted.name) {
            let bytes = Bytes::from_elems(entry.values);
            packed.push(burn_pack::Tensor::new(wanted.name.clone(), DType::F32, entry.shape, None, bytes));
        }
    }
    let result = network.apply(packed, None, None, true);
    match result.errors.first() {
        Some(error) => Err(ModelError::file(path, format!("cannot be loaded ({error})"), hint)),
        None => Ok(network),
    }
}

/// The weights of a frozen network as a safetensors file, the same bytes for the same weights: its tensors are in the order of
/// their names, and with one entry of metadata a hash has no order of its own to give them.
///
/// # Errors
/// If a tensor cannot be read from its device; the text says why.
pub(crate) fn safetensors_bytes(network: &UNet) -> Result<Vec<u8>, String> {
    let producer = concat!("epsiloscope ", env!("CARGO_PKG_VERSION"));
    let mut store = SafetensorsStore::from_bytes(None).clear_metadata().metadata("producer", producer);
    network.save_into(&mut store).map_err(|e| e.to_string())?;
    store.get_bytes().map_err(|e| e.to_string())
}

/// Writes `network`'s weights: burnpack if the name ends in `.bpk`, else safetensors.
///
/// # Errors
/// If the file cannot be written.
pub(in crate::model) fn write(path: &Path, network: &UNet) -> Result<(), ModelError> {
    let fail = |e: String| ModelError::file(path, format!("cannot be encoded ({e})"), "");
    let network = network.valid();
    let bytes = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bpk")) {
        let mut store = BurnpackStore::from_bytes(None);
        network.save_into(&mut store).map_err(|e| fail(e.to_string()))?;
        store.get_bytes().map_err(|e| fail(e.to_string()))?.to_vec()
    } else {
        safetensors_bytes(&network).map_err(fail)?
    };
    write_bytes_atomic(path, &bytes).map_err(|DataError { path, cause, hint }| ModelError::File { path, cause, hint })
}
