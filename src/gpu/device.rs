//! Which device computes, and how what it computed leaves it.

use super::adapter::{DeviceIdentity, Headless, is_software, may_have_gpu, open_headless};
use super::error::{GpuError, watch};
use super::share::publish_shared;
pub use crate::engine::Backend as Compute;
use crate::engine::{DeviceChoice, DeviceInfo, host_plane};
use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;
use eframe::egui_wgpu::{RenderState, wgpu};
use std::sync::{Arc, Mutex, PoisonError};

impl Compute {
    /// The CPU: values are on the host already.
    pub fn cpu(choice: DeviceChoice) -> Self {
        Self {
            device: Device::flex(),
            info: DeviceInfo { choice, description: "CPU (Flex)".into(), shared: false, tunes: false },
            publish: Arc::new(host_plane),
        }
    }

    /// For a window that `render_state` draws. A real GPU is shared, so that tensors are shown without a read-back; a
    /// software one is shared only if it is asked for, since the CPU backend is some twenty times faster.
    ///
    /// # Errors
    /// If burn cannot use the renderer's device.
    pub fn for_window(render_state: &RenderState, choice: DeviceChoice) -> Result<Self, GpuError> {
        let info = render_state.adapter.get_info();
        let share = match choice {
            DeviceChoice::Cpu => false,
            DeviceChoice::Gpu => true,
            DeviceChoice::Auto => !is_software(&info),
        };
        if !share {
            return Ok(Self::cpu(choice));
        }
        let device = register(&Headless {
            instance: render_state.instance.clone(),
            adapter: render_state.adapter.clone(),
            device: render_state.device.clone(),
            queue: render_state.queue.clone(),
        })?;
        Ok(Self {
            device,
            info: DeviceInfo { choice, description: describe(&info), shared: true, tunes: tunes() },
            publish: publish_shared(render_state),
        })
    }

    /// For work without a window. `Auto` takes a real GPU if there is one, else the CPU.
    ///
    /// # Errors
    /// If a GPU is asked for and there is none, or burn cannot use it.
    pub fn headless(choice: DeviceChoice) -> Result<Self, GpuError> {
        let opened = match choice {
            DeviceChoice::Cpu => return Ok(Self::cpu(choice)),
            DeviceChoice::Gpu => headless_adapter(|_| true)?,
            DeviceChoice::Auto if !may_have_gpu() => return Ok(Self::cpu(choice)),
            DeviceChoice::Auto => match headless_adapter(|info| !is_software(info)) {
                Ok(opened) => opened,
                Err(GpuError::NoAdapter(_)) => return Ok(Self::cpu(choice)),
                Err(error) => {
                    log::warn!("{error}");
                    return Ok(Self::cpu(choice));
                }
            },
        };
        let description = describe(&opened.adapter.get_info());
        let device = register(&opened)?;
        let info = DeviceInfo { choice, description, shared: false, tunes: tunes() };
        Ok(Self { device, info, publish: Arc::new(host_plane) })
    }
}

/// The adapter's name and API, for people.
fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({:?}{})", info.name, info.backend, if is_software(info) { ", software" } else { "" })
}

/// One device without a window per process: burn never lets go of one, so that opening another each time would leak.
fn headless_adapter(wanted: impl Fn(&wgpu::AdapterInfo) -> bool) -> Result<Headless, GpuError> {
    static OPENED: Mutex<Option<Headless>> = Mutex::new(None);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = opened.as_ref().filter(|open| wanted(&open.adapter.get_info())) {
        return Ok(open.clone());
    }
    let open = open_headless(wanted)?;
    *opened = Some(open.clone());
    Ok(open)
}

/// burn's device on these handles. burn does not notice when the same ones are registered twice, so that is done here;
/// a process has one pair for its window (tests have several windows).
fn register(handles: &Headless) -> Result<Device, GpuError> {
    static REGISTERED: Mutex<Vec<(DeviceIdentity, Device)>> = Mutex::new(Vec::new());
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let identity = DeviceIdentity::new(&handles.instance, &handles.device);
    if let Some((_, device)) = registered.iter().find(|(known, _)| *known == identity) {
        return Ok(device.clone());
    }
    let info = handles.adapter.get_info();
    if is_software(&info) {
        tune_minimally();
    }
    let setup = WgpuSetup {
        instance: handles.instance.clone(),
        adapter: handles.adapter.clone(),
        device: handles.device.clone(),
        queue: handles.queue.clone(),
        backend: info.backend,
    };
    let device = Device::wgpu_options()
        .setup(setup)
        .init()
        .map_err(|e| GpuError::NoDevice { adapter: info.name, cause: super::error::one_line(&e) })?;
    watch(&handles.device);
    registered.push((identity, device.clone()));
    Ok(device)
}

/// Whether autotuning does more than the least.
fn tunes() -> bool {
    use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};
    !matches!(CubeClRuntimeConfig::get().autotune.level, AutotuneLevel::Minimal)
}

/// Autotuning tries every variant of a kernel, which on a software adapter takes longer than it ever saves. Has no
/// effect if `CUBECL_AUTOTUNE_LEVEL` is set, or once cubecl has read its configuration.
fn tune_minimally() {
    use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};
    if std::env::var_os("CUBECL_AUTOTUNE_LEVEL").is_some() {
        return;
    }
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.autotune.level = AutotuneLevel::Minimal;
    if !CubeClRuntimeConfig::try_set(config) {
        log::debug!("cubecl was configured before; autotuning stays as it is");
    }
}
