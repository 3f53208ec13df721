//! Devices: listed, chosen, shared; and what happens where there is none or its memory runs out.

use crate::command_line::{program, sample, text};
use crate::display::render_state;
use burn::tensor::Tensor;
use eframe::egui_wgpu::wgpu;
use epsiloscope::gpu::{Compute, DeviceChoice, GpuError, list_devices, take_gpu_errors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

#[test]
fn the_list_has_the_cpu_and_one_choice_of_auto() {
    let rows = list_devices();
    println!("{rows:#?}");
    assert_eq!(rows.iter().filter(|row| row.auto).count(), 1);
    assert_eq!(rows.last().unwrap().kind, "CPU");
    assert!(rows.iter().any(|row| row.gpu), "no adapter at all: install lavapipe");
    for row in rows.iter().filter(|row| row.kind != "CPU" && row.usable) {
        assert!(row.largest_tensor_bytes.unwrap() >= 1 << 20, "{row:?}");
    }
}

#[test]
fn auto_shares_a_real_gpu_only() {
    let state = render_state();
    let software = state.adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let auto = Compute::for_window(state, DeviceChoice::Auto).unwrap();
    assert_eq!(auto.info.shared, !software, "{:?}", auto.info);
    let cpu = Compute::for_window(state, DeviceChoice::Cpu).unwrap();
    assert!(!cpu.info.shared);
    let values = (Tensor::<1>::ones([4], &cpu.device) * 3.0).try_into_vec_as::<f32>().unwrap();
    assert_eq!(values, [3.0; 4]);
}

#[test]
fn the_windows_device_is_registered_once() {
    let state = render_state();
    let first = Compute::for_window(state, DeviceChoice::Gpu).unwrap();
    let second = Compute::for_window(state, DeviceChoice::Gpu).unwrap();
    assert!(first.info.shared);
    assert_eq!(first.device, second.device);
    let values = Tensor::<1>::ones([5], &second.device).add_scalar(1.0).try_into_vec_as::<f32>().unwrap();
    assert_eq!(values, [2.0; 5]);
}

#[test]
fn a_headless_gpu_computes() {
    let compute = Compute::headless(DeviceChoice::Gpu).unwrap();
    assert!(!compute.info.shared);
    let plane = (compute.publish)(Tensor::<4>::ones([2, 1, 3, 4], &compute.device) * 0.5).unwrap();
    assert_eq!((plane.channels, plane.height, plane.width), (1, 3, 4));
}

/// Larger than any tensor that the device can bind, and smaller than would hurt.
#[test]
fn too_little_gpu_memory_is_an_error_and_the_device_goes_on() {
    let compute = Compute::for_window(render_state(), DeviceChoice::Gpu).unwrap();
    let most = render_state().device.limits().max_storage_buffer_binding_size;
    if most > 1 << 30 {
        println!("skipped: this GPU binds {most} bytes at once, more than a test should take");
        return;
    }
    let elements = most as usize / 4 + 1024;
    let read = catch_unwind(AssertUnwindSafe(|| {
        let large = Tensor::<1>::zeros([elements], &compute.device) + 1.0;
        large.narrow(0, 0, 4).try_into_vec_as::<f32>().map_err(|e| e.to_string())
    }));
    match read {
        Ok(Ok(values)) => panic!("read {values:?} from a tensor that cannot exist"),
        Ok(Err(error)) => println!("error: {error}"),
        Err(_) => println!("a panic, which a worker catches"),
    }
    let published = (compute.publish)(Tensor::<4>::zeros([1, 1, 2, elements / 2], &compute.device) + 1.0);
    assert!(published.is_err(), "published {published:?}");
    let alive = (Tensor::<1>::ones([8], &compute.device) * 2.0).sum().try_into_vec_as::<f32>().unwrap();
    assert_eq!(alive, [16.0]);
}

/// Runs an ignored test alone in a process of its own, with `environment`; fails unless it passes.
fn alone(test: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("devices::{test}"), "--ignored", "--nocapture"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn an_error_that_nobody_asked_about_is_recorded() {
    // Beside other tests, a window of theirs might take the error.
    alone("child_with_an_error", &[]);
}

#[test]
#[ignore = "run by the test above, alone"]
fn child_with_an_error() {
    let state = render_state();
    // Makes the display's handler the device's.
    let _display = epsiloscope::gpu::Display::new(state).unwrap();
    let _buffer = state.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("a buffer that nobody can make"),
        size: u64::MAX / 2,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let errors = take_gpu_errors();
    assert!(errors.iter().any(|error| error.contains("a buffer that nobody can make")), "{errors:?}");
}

#[test]
fn without_an_adapter_the_cpu_is_there_and_a_gpu_is_a_clear_error() {
    let nowhere = "/nonexistent/driver.json";
    let environment = [("WGPU_BACKEND", "vulkan"), ("VK_DRIVER_FILES", nowhere), ("VK_ICD_FILENAMES", nowhere)];
    alone("child_without_adapters", &environment);
}

#[test]
#[ignore = "run by the test above, without drivers"]
fn child_without_adapters() {
    let rows = list_devices();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].auto && rows[0].kind == "CPU");
    let error = Compute::headless(DeviceChoice::Gpu).err().unwrap();
    assert!(matches!(error, GpuError::NoAdapter(_)), "{error}");
    assert!(error.to_string().contains("--device cpu"), "{error}");
    let auto = Compute::headless(DeviceChoice::Auto).unwrap();
    assert_eq!(auto.info.description, "CPU (Flex)");
}

#[test]
fn without_a_gpu_the_graphics_libraries_are_not_asked() {
    let has = |name: &str| std::path::Path::new("/dev").join(name).exists();
    if ["dri", "nvidia0", "nvidiactl", "dxg"].into_iter().any(has) {
        println!("skipped: this machine may have a GPU");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/membranes-unet.safetensors");
    let run = |device: &[&str]| {
        let mut command = program(folder.path());
        command.env_remove("XDG_RUNTIME_DIR").args(["predict", "--out", "z.npy", "--model"]).arg(&model);
        let output = command.args(device).arg(sample("membranes.png")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    for device in [&[][..], &["--device", "auto"], &["--device", "cpu"]] {
        let said = run(device);
        assert!(!said.contains("error"), "{device:?}: {said}");
    }
}
