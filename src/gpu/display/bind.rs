//! Where the shader finds the values of a plane.

use super::Display;
use crate::engine::{Plane, Storage};
use crate::gpu::error::GpuError;
use crate::gpu::share::SharedPlane;
use eframe::egui_wgpu::wgpu;

/// A part of a buffer as it is bound.
pub(super) struct Bound {
    pub buffer: wgpu::Buffer,
    /// In bytes, a multiple of the device's alignment.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// The element at which the values begin, from the offset on.
    pub first: u32,
}

impl Bound {
    /// `size` bytes from `offset` on: bound from the last aligned byte before.
    fn within(buffer: &wgpu::Buffer, offset: u64, size: u64, alignment: u64) -> Self {
        let before = offset % alignment;
        Self { buffer: buffer.clone(), offset: offset - before, size: before + size, first: (before / 4) as u32 }
    }
}

impl Display {
    /// Where the shader finds a plane.
    pub(super) fn bind(&mut self, plane: &Plane) -> Result<Bound, GpuError> {
        let limits = self.device.limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment.max(4));
        let bound = match &plane.storage {
            Storage::Host(values) => {
                let size = values.len() as u64 * 4;
                if values.len() != plane.channels * plane.height * plane.width {
                    return Err(crate::view::ViewError::Empty("a plane").into());
                }
                too_large(size, limits.max_storage_buffer_binding_size.min(limits.max_buffer_size))?;
                let buffer = self.uploads.buffer(&self.device, &self.queue, plane, values, self.frame);
                Bound { buffer, offset: 0, size, first: 0 }
            }
            Storage::Shared(handle) => {
                let shared = handle.downcast_ref::<SharedPlane>().ok_or(GpuError::ForeignPlane)?;
                if shared.device != self.identity {
                    return Err(GpuError::ForeignPlane);
                }
                Bound::within(&shared.buffer, shared.offset, shared.size, alignment)
            }
        };
        too_large(bound.size, limits.max_storage_buffer_binding_size)?;
        Ok(bound)
    }
}

fn too_large(size: u64, limit: u64) -> Result<(), GpuError> {
    if size <= limit {
        return Ok(());
    }
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    Err(GpuError::TooLarge { what: "the image", needed: mebibytes(size), limit: mebibytes(limit) })
}
