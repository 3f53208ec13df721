//! Weights from files: PyTorch's `.pt`/`.pth`, safetensors and burnpack, as tensors by name (`state`), the names that public
//! U-Nets give them (`naming`), and a network made of them (`network`). Nothing here knows images or classes.

mod naming;
mod network;
mod state;

pub(super) use naming::Naming;
pub(crate) use network::safetensors_bytes;
pub(super) use network::{Found, compare, fill, find_network, write};
pub(super) use state::{Format, StateDict};
