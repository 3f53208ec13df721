//! From a tensor on the renderer's own device to a plane that the display binds as it is.

use super::adapter::DeviceIdentity;
use crate::engine::{Plane, Publish};
use burn::backend::Wgpu;
use burn::backend::wgpu::{AutoCompiler, CubeBackend, CubeTensor};
use burn::cubecl::wgpu::WgpuServer;
use burn::tensor::{DType, FloatDType, Tensor};
use eframe::egui_wgpu::{RenderState, wgpu};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The values of a plane in burn's own buffer, contiguous `[channels, height, width]` f32.
pub(super) struct SharedPlane {
    /// The device that the buffer belongs to.
    pub device: DeviceIdentity,
    /// The buffer, which holds other tensors too.
    pub buffer: wgpu::Buffer,
    /// Where the plane begins, in bytes.
    pub offset: u64,
    /// Bytes of the plane.
    pub size: u64,
    /// Held so that burn neither reuses the memory nor computes in place (it does where a tensor has one owner; the
    /// buffer alone would not tell it).
    _tensor: CubeTensor,
}

/// The [`Publish`] for tensors on the renderer's device: no read-back. Runs on the worker's thread.
///
/// Its errors are burn's: out of memory, a failed kernel, a lost device.
pub fn publish_shared(render_state: &RenderState) -> Publish {
    let device = DeviceIdentity::new(&render_state.instance, &render_state.device);
    Arc::new(move |tensor| {
        // Resolving runs what fusion has put off, which may fail in ways that burn reports by a panic.
        catch_unwind(AssertUnwindSafe(|| share(tensor, &device))).unwrap_or_else(|panic| {
            let cause = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("the GPU's worker stopped");
            Err(format!("the GPU could not compute the picture: {cause}"))
        })
    })
}

fn share(tensor: Tensor<4>, device: &DeviceIdentity) -> Result<Plane, String> {
    let [batch, channels, height, width] = tensor.dims();
    let elements = channels * height * width;
    if batch == 0 || elements == 0 {
        return Err("a picture without pixels cannot be shown".into());
    }
    // Flat, so that values in another order are put in order first.
    let mut flat = tensor.without_autodiff().narrow(0, 0, 1).reshape([elements]);
    if flat.dtype() != DType::F32 {
        flat = flat.cast(FloatDType::F32);
    }
    let mut cube = resolve(flat.clone())?;
    if cube.meta.strides().iter().any(|&stride| stride != 1) {
        // A view that skips elements: an operation writes a new tensor without gaps.
        cube = resolve(flat * 1.0)?;
    }
    if elements > 1 && cube.meta.strides().iter().any(|&stride| stride != 1) {
        return Err("the GPU's tensor has gaps between its values".into());
    }
    let resource = cube
        .client
        .get_resource::<WgpuServer<AutoCompiler>>(cube.handle.clone())
        .map_err(|e| format!("the GPU could not compute the picture: {e}"))?;
    // The display's pass is submitted to the same queue from another thread: everything that writes the tensor must be
    // there first. Burn flushes the stream of the calling thread, so this is done as the tensor's own.
    cube.handle
        .stream
        .executes(|| cube.client.flush())
        .map_err(|e| format!("the GPU could not compute the picture: {e}"))?;
    let resource = resource.resource();
    let size = elements as u64 * 4;
    if resource.size < size {
        return Err(format!("the GPU's tensor has {} bytes where {size} were expected", resource.size));
    }
    let shared = SharedPlane {
        device: device.clone(),
        buffer: resource.buffer.clone(),
        offset: resource.offset,
        size,
        _tensor: cube,
    };
    Ok(Plane::from_shared(channels, height, width, Arc::new(shared)))
}

fn resolve(tensor: Tensor<1>) -> Result<CubeTensor, String> {
    let primitive = tensor
        .try_into_primitive::<Wgpu>()
        .map_err(|e| format!("the tensor is not on the GPU that draws the window: {e:?}"))?;
    Ok(primitive.client.clone().resolve_tensor_float::<CubeBackend>(primitive))
}
