//! Adapters: which there are, which one is taken, and how a device is asked of it.

use super::error::{GpuError, one_line, wait};
use eframe::egui_wgpu::{self, wgpu};
use std::path::Path;
use std::sync::Arc;

/// The features and limits that burn and the window need from one device: cubecl reads what it may use from the adapter,
/// so the device must have all of it. Mappable storage buffers slow real GPUs down and are not used.
pub(super) fn device_descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
    wgpu::DeviceDescriptor {
        label: Some("Epsiloscope"),
        required_features: adapter.features().difference(unwanted),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        ..Default::default()
    }
}

/// The setup to hand to eframe (`NativeOptions::wgpu_options.wgpu_setup`) or to a test harness: one device for the
/// window and, if it is to be shared, for burn. Takes the best adapter: a real GPU before a software one, Vulkan, Metal
/// and DirectX before OpenGL. `WGPU_BACKEND` narrows the choice.
pub fn wgpu_setup() -> egui_wgpu::WgpuSetup {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.device_descriptor = Arc::new(device_descriptor);
    setup.native_adapter_selector = Some(Arc::new(|adapters, surface| {
        let usable = |adapter: &&wgpu::Adapter| {
            can_compute(adapter) && surface.is_none_or(|surface| adapter.is_surface_supported(surface))
        };
        adapters.iter().filter(usable).min_by_key(|adapter| rank(&adapter.get_info())).cloned().ok_or_else(|| {
            let seen: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
            if seen.is_empty() {
                "no graphics adapter was found, not even a software one; install a Vulkan driver (lavapipe will do), \
                 or use the command line, which needs none"
                    .to_owned()
            } else {
                format!("none of the graphics adapters ({}) can both draw this window and compute", seen.join(", "))
            }
        })
    }));
    egui_wgpu::WgpuSetup::CreateNew(setup)
}

fn can_compute(adapter: &wgpu::Adapter) -> bool {
    adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        && adapter.limits().max_storage_buffers_per_shader_stage >= 4
        && adapter.limits().max_compute_invocations_per_workgroup >= 256
}

/// Lower is better.
fn rank(info: &wgpu::AdapterInfo) -> (u8, u8) {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (kind, if info.backend == wgpu::Backend::Gl { 1 } else { 0 })
}

/// Whether the adapter only pretends to be a GPU.
pub(super) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Whether there may be a real GPU: on Linux its driver has files in `/dev`. To ask the graphics libraries takes time, and where there
/// is no session they complain on the error stream.
pub(super) fn may_have_gpu() -> bool {
    !cfg!(target_os = "linux") || has_gpu_files(Path::new("/dev"))
}

/// Whether `dev` has a file of a GPU's driver: the kernel's own (`dri`), those of NVIDIA (on its boards too), of WSL, and of phones and
/// boards. What cannot be read may have one.
fn has_gpu_files(dev: &Path) -> bool {
    const BEGINNINGS: [&str; 9] = ["nvidia", "nvhost", "nvgpu", "nvmap", "dxg", "kgsl", "mali", "pvr", "galcore"];
    let Ok(entries) = dev.read_dir() else { return true };
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.iter().any(|name| BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)))
        || names.iter().any(|name| name == "dri")
            && dev.join("dri").read_dir().is_ok_and(|mut dri| dri.next().is_some())
}

/// An instance without a window, and its adapters, best first.
fn adapters() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::PRIMARY | wgpu::Backends::GL);
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = wait(instance.enumerate_adapters(backends));
    adapters.sort_by_key(|adapter| rank(&adapter.get_info()));
    (instance, adapters)
}

/// Tells devices apart. wgpu numbers the devices of each instance from the start and compares those numbers only, so
/// that the first devices of two instances would be equal, and a buffer of the one be looked up in the other.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DeviceIdentity {
    instance: wgpu::Instance,
    device: wgpu::Device,
}

impl DeviceIdentity {
    /// Of a `device` that an adapter of `instance` gave.
    pub fn new(instance: &wgpu::Instance, device: &wgpu::Device) -> Self {
        Self { instance: instance.clone(), device: device.clone() }
    }
}

/// An instance, adapter, device and queue of their own, for work without a window.
#[derive(Clone)]
pub(super) struct Headless {
    pub instance: wgpu::Instance,
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

/// Opens the best adapter that `wanted` accepts.
///
/// # Errors
/// If there is none, or it gives no device.
pub(super) fn open_headless(wanted: impl Fn(&wgpu::AdapterInfo) -> bool) -> Result<Headless, GpuError> {
    let (instance, adapters) = adapters();
    let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let Some(adapter) = adapters.into_iter().find(|adapter| can_compute(adapter) && wanted(&adapter.get_info())) else {
        let found =
            if names.is_empty() { "no adapter was found".into() } else { format!("found {}", names.join(", ")) };
        return Err(GpuError::NoAdapter(found));
    };
    let (device, queue) = wait(adapter.request_device(&device_descriptor(&adapter)))
        .map_err(|e| GpuError::NoDevice { adapter: adapter.get_info().name, cause: one_line(&e) })?;
    Ok(Headless { instance, adapter, device, queue })
}

/// One row of `epsiloscope devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDescription {
    /// The adapter's name, or the CPU's.
    pub name: String,
    /// The graphics API: `Vulkan`; or `Flex`, burn's CPU backend.
    pub backend: String,
    /// `discrete GPU`, `integrated GPU`, `software GPU`, `CPU`, …
    pub kind: &'static str,
    /// Driver and version, as it says itself; may be empty.
    pub driver: String,
    /// The largest single buffer in bytes; `None` for the CPU.
    pub largest_buffer_bytes: Option<u64>,
    /// The largest tensor in bytes: what a kernel can bind at once; `None` for the CPU.
    pub largest_tensor_bytes: Option<u64>,
    /// Whether it can compute at all.
    pub usable: bool,
    /// Whether `--device auto` takes it.
    pub auto: bool,
    /// Whether `--device gpu` takes it.
    pub gpu: bool,
}

/// Everything that can compute: the adapters, best first, then the CPU. Works with no adapter at all.
pub fn list_devices() -> Vec<DeviceDescription> {
    let (_instance, adapters) = adapters();
    let best = adapters.iter().position(can_compute);
    let best_is_real = best.is_some_and(|at| !is_software(&adapters[at].get_info()));
    let mut rows: Vec<DeviceDescription> = adapters
        .iter()
        .enumerate()
        .map(|(at, adapter)| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            DeviceDescription {
                backend: format!("{:?}", info.backend),
                kind: match info.device_type {
                    wgpu::DeviceType::DiscreteGpu => "discrete GPU",
                    wgpu::DeviceType::IntegratedGpu => "integrated GPU",
                    wgpu::DeviceType::VirtualGpu => "virtual GPU",
                    wgpu::DeviceType::Cpu => "software GPU",
                    wgpu::DeviceType::Other => "GPU of unknown kind",
                },
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                largest_buffer_bytes: Some(limits.max_buffer_size),
                largest_tensor_bytes: Some(limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)),
                usable: can_compute(adapter),
                auto: best == Some(at) && best_is_real,
                gpu: best == Some(at),
                name: info.name,
            }
        })
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    rows.push(DeviceDescription {
        name: format!("CPU, {threads} {}", if threads == 1 { "thread" } else { "threads" }),
        backend: "Flex".into(),
        kind: "CPU",
        driver: String::new(),
        largest_buffer_bytes: None,
        largest_tensor_bytes: None,
        usable: true,
        auto: !best_is_real,
        gpu: false,
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_told_by_the_files_of_its_driver() {
        let dev = tempfile::tempdir().unwrap();
        for file in ["null", "nvme0", "random"] {
            std::fs::write(dev.path().join(file), "").unwrap();
        }
        std::fs::create_dir(dev.path().join("dri")).unwrap();
        assert!(!has_gpu_files(dev.path()), "an empty folder is no GPU");
        std::fs::write(dev.path().join("dri/renderD128"), "").unwrap();
        assert!(has_gpu_files(dev.path()));
        std::fs::remove_file(dev.path().join("dri/renderD128")).unwrap();
        std::fs::write(dev.path().join("nvidia0"), "").unwrap();
        assert!(has_gpu_files(dev.path()));
        assert!(has_gpu_files(&dev.path().join("not there")), "what cannot be looked at may have one");
    }
}
