//! Tensors by name, from any of the files that hold such.

use crate::model::{ModelError, Watch};
use burn::tensor::{Bytes, DType, TensorData};
use burn_store::burn_pack;
use burn_store::pytorch_reader::{DType as TorchType, PickleValue, PytorchReader};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Weights that take more than this as 32-bit floats are refused.
const MOST_WEIGHT_BYTES: u64 = 2 << 30;

/// Modules whose functions have no place beside weights. (Nothing in a pickle is ever called; this is for the message.)
const HARMFUL: [&str; 14] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "builtins",
    "__builtin__",
    "importlib",
    "runpy",
    "shutil",
    "socket",
    "pty",
    "ctypes",
    "webbrowser",
];

/// Kinds of files that hold weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Format {
    Safetensors,
    Burnpack,
    Pytorch,
}

impl Format {
    /// By a file's first bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        let length = head.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        if head.starts_with(&burn_pack::MAGIC_NUMBER.to_le_bytes()) {
            Some(Self::Burnpack)
        } else if head.get(8) == Some(&b'{') && length.is_some_and(|n| n < 1 << 40) {
            Some(Self::Safetensors)
        } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"\x80") || head.get(257..262) == Some(b"ustar") {
            Some(Self::Pytorch)
        } else {
            None
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Burnpack => "burnpack",
            Self::Pytorch => "PyTorch",
        }
    }
}

/// One tensor.
#[derive(Clone, Debug)]
pub(in crate::model) struct Entry {
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// The floats of a file, by name.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct StateDict {
    pub tensors: BTreeMap<String, Entry>,
    /// What else the file holds: integers, and objects of Python that are no tensors.
    pub others: Vec<String>,
}

impl StateDict {
    /// Reads `path`, whose first bytes told `format`.
    ///
    /// # Errors
    /// If it is damaged, too large, holds values that are not finite, or a pickle that wants to call functions.
    pub fn read(path: &Path, format: Format, watch: Watch<'_>) -> Result<Self, ModelError> {
        let unreadable = |e: std::io::Error| ModelError::file(path, format!("cannot be read ({e})"), "");
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MOST_WEIGHT_BYTES {
            return Err(ModelError::file(path, "is larger than 2 GiB", "Open a smaller model"));
        }
        match format {
            Format::Safetensors => Self::from_safetensors(path, &watch.read_file(path).map_err(unreadable)?),
            Format::Burnpack => Self::from_burnpack(path, watch.read_file(path).map_err(unreadable)?),
            // Another program's parser on hostile input: a panic in it is a damaged file to us.
            Format::Pytorch => catch_unwind(AssertUnwindSafe(|| Self::from_pytorch(path)))
                .unwrap_or_else(|_| Err(ModelError::file(path, "is damaged: its parser failed", "Save it again"))),
        }
    }

    /// Of the bytes of a safetensors file; `path` stands for it in messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_safetensors(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| {
            ModelError::file(path, format!("is not a whole safetensors file ({e})"), "Copy or export it again")
        })?;
        let mut state = Self::default();
        for (name, view) in file.iter() {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::F64 => DType::F64,
                Dtype::F16 => DType::F16,
                Dtype::BF16 => DType::BF16,
                other => {
                    state.others.push(format!("{name} ({other})"));
                    continue;
                }
            };
            state.insert(path, name, view.shape().to_vec(), dtype, || Ok(view.data().to_vec()))?;
        }
        Ok(state)
    }

    fn from_burnpack(path: &Path, bytes: Vec<u8>) -> Result<Self, ModelError> {
        let fail = |e: burn_pack::Error| {
            ModelError::file(path, format!("is not a whole burnpack file ({e})"), "Copy or export it again")
        };
        let reader = burn_pack::Reader::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(fail)?;
        let mut state = Self::default();
        for tensor in reader.into_tensors().map_err(fail)? {
            let (name, shape, dtype) = (tensor.name.clone(), tensor.shape.to_vec(), tensor.dtype);
            if !matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
                state.others.push(format!("{name} ({dtype:?})"));
                continue;
            }
            let bytes = || tensor.to_bytes().map(|bytes| bytes.to_vec()).map_err(|e| e.to_string());
            state.insert(path, &name, shape, dtype, bytes)?;
        }
        Ok(state)
    }

    fn from_pytorch(path: &Path) -> Result<Self, ModelError> {
        // What the pickle is, apart from tensors. The reader builds data only: what the pickle wants to call it
        // writes down as a name.
        let mut foreign = Vec::new();
        if let Ok(root) = PytorchReader::read_pickle_data(path, None) {
            collect_foreign(&root, "", &mut foreign);
        }
        let harmful = |object: &str| HARMFUL.contains(&object.split('.').next().unwrap_or_default());
        if let Some((_, object)) = foreign.iter().find(|(_, object)| harmful(object)) {
            let cause = format!("is a pickle that wants to call {object}, which weights never need; nothing was run");
            return Err(ModelError::file(path, cause, "Do not open it in Python; get the weights from another source"));
        }
        let reader = PytorchReader::new(path).map_err(|e| {
            let hint = "Save the state dict: torch.save(model.state_dict(), FILE)";
            ModelError::file(path, format!("is damaged or no PyTorch checkpoint ({e})"), hint)
        })?;
        let mut state = Self::default();
        state.others.extend(foreign.into_iter().map(|(name, object)| format!("{name} ({object})")));
        let mut tensors: Vec<_> = reader.into_tensors().into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, tensor) in tensors {
            let dtype = match tensor.dtype() {
                TorchType::F32 => DType::F32,
                TorchType::F64 => DType::F64,
                TorchType::F16 => DType::F16,
                TorchType::BF16 => DType::BF16,
                other => {
                    state.others.push(format!("{name} ({other:?})"));
                    continue;
                }
            };
            let bytes = || tensor.read().map_err(|e| e.to_string());
            state.insert(path, &name, tensor.shape().to_vec(), dtype, bytes)?;
        }
        Ok(state)
    }

    /// Adds a tensor, checked before its bytes are asked for and after.
    fn insert(
        &mut self,
        path: &Path,
        name: &str,
        shape: Vec<usize>,
        dtype: DType,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<(), ModelError> {
        let held: u64 = self.tensors.values().map(|t| 4 * t.values.len() as u64).sum();
        let len = shape.iter().try_fold(1u64, |n, &side| n.checked_mul(side as u64));
        let total = len.and_then(|n| n.checked_mul(4)?.checked_add(held));
        if total.is_none_or(|total| total > MOST_WEIGHT_BYTES) {
            let cause = format!("promises a tensor {name} of {shape:?}, more than 2 GiB of weights in all");
            return Err(ModelError::file(path, cause, "Open a smaller model"));
        }
        let damaged =
            |e: String| ModelError::file(path, format!("is damaged at {name} ({e})"), "Copy or export it again");
        let bytes = bytes().map_err(damaged)?;
        if Some(bytes.len() as u64) != len.and_then(|n| n.checked_mul(dtype.size() as u64)) {
            return Err(damaged(format!("{} bytes for {shape:?}", bytes.len())));
        }
        let data = TensorData::from_bytes_vec(bytes, shape.clone(), dtype).convert::<f32>();
        let values: Vec<f32> = data.try_into_vec().map_err(|e| damaged(format!("{e:?}")))?;
        let broken = values.iter().filter(|v| !v.is_finite()).count();
        if broken > 0 {
            let cause = format!("{broken} of the {} values of {name} are not finite (NaN or infinite)", values.len());
            return Err(ModelError::file(path, cause, "Open weights of a training that went well"));
        }
        self.tensors.insert(name.to_owned(), Entry { shape, values });
        Ok(())
    }
}

/// The objects of a pickle that are neither data nor of PyTorch, with their place.
fn collect_foreign(value: &PickleValue, place: &str, found: &mut Vec<(String, String)>) {
    let inner = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match value {
        PickleValue::Unsupported(object) if !object.starts_with("torch.") => {
            found.push((place.to_owned(), object.clone()));
        }
        PickleValue::List(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect_foreign(item, &inner(&i.to_string()), found));
        }
        PickleValue::Dict(items) => {
            let mut items: Vec<_> = items.iter().collect();
            items.sort_by_key(|(key, _)| *key);
            items.into_iter().for_each(|(key, item)| collect_foreign(item, &inner(key), found));
        }
        _ => {}
    }
}
