//! The GPU: choosing and sharing a device, and the way from a tensor to a texture. The only room that names cubecl.
//!
//! [`wgpu_setup`] opens the window's device so that burn can live on it too; [`Compute`] is where tensors live and how
//! their values leave; [`Display`] draws [`crate::view`]'s pictures into textures that egui shows, without a read-back.

mod adapter;
mod device;
mod display;
mod error;
mod shader;
mod share;
mod upload;

pub use crate::engine::DeviceChoice;
pub use adapter::{DeviceDescription, list_devices, wgpu_setup};
pub use device::Compute;
pub use display::{Display, Planes, Slot};
pub use error::{GpuError, take_gpu_errors};
pub use share::publish_shared;
