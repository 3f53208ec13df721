//! A U-Net of a state dict, and back into a file.

use super::naming::Naming;
use super::state::{Entry, StateDict};
use crate::data::{DataError, write_bytes_atomic};
use crate::model::ModelError;
use crate::model::unet::{UNet, UNetConfig, Upsampling};
use burn::module::Module;
use burn::tensor::{Bytes, DType, Device};
use burn_store::{BurnpackStore, ModuleSnapshot, SafetensorsStore, burn_pack};
use std::collections::BTreeMap;
use std::path::Path;

/// What a state dict turned out to hold.
pub(in crate::model) struct Found {
    pub naming: Naming,
    pub config: UNetConfig,
    pub tensors: BTreeMap<String, Entry>,
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
    Ok(Found { naming, config, tensors, unused })
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

/// A network with these weights. Every weight must be there, of its shape; `strict` refuses others beside them.
///
/// # Errors
/// With all that is missing, superfluous or of another shape.
pub(in crate::model) fn fill(
    path: &Path,
    config: &UNetConfig,
    mut tensors: BTreeMap<String, Entry>,
    strict: bool,
    device: &Device,
) -> Result<UNet, ModelError> {
    let mut network = config.init(device);
    let mut problems = Vec::new();
    let mut packed = Vec::new();
    for wanted in network.collect(None, None, true) {
        match tensors.remove(&wanted.name) {
            None => problems.push(format!("{} is missing", wanted.name)),
            Some(entry) if entry.shape != wanted.shape.to_vec() => {
                problems.push(format!("{} is {:?} in place of {:?}", wanted.name, entry.shape, wanted.shape.to_vec()));
            }
            Some(entry) => {
                let bytes = Bytes::from_elems(entry.values);
                packed.push(burn_pack::Tensor::new(wanted.name.clone(), DType::F32, entry.shape, None, bytes));
            }
        }
    }
    if strict {
        problems.extend(tensors.keys().map(|name| format!("{name} is not part of the network")));
    }
    let hint = "The card beside the weights must describe the network that they were trained in";
    if let Some(first) = problems.first() {
        let more = match problems.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        return Err(ModelError::file(path, format!("holds the weights of another network: {first}{more}"), hint));
    }
    let result = network.apply(packed, None, None, true);
    match result.errors.first() {
        Some(error) => Err(ModelError::file(path, format!("cannot be loaded ({error})"), hint)),
        None => Ok(network),
    }
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
        let mut store = SafetensorsStore::from_bytes(None);
        network.save_into(&mut store).map_err(|e| fail(e.to_string()))?;
        store.get_bytes().map_err(|e| fail(e.to_string()))?
    };
    write_bytes_atomic(path, &bytes).map_err(|DataError { path, cause, hint }| ModelError::File { path, cause, hint })
}
