//! The GPU: choosing and sharing a device, and the way from a tensor to a texture. The only room that names cubecl.

mod device;

pub use device::DeviceChoice;
