//! Every shader in `shaders/`, a folder each, compiles on the adapter at hand.

use crate::display::render_state;
use eframe::egui_wgpu::wgpu;
use std::path::Path;

#[test]
fn every_shader_compiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let inside = |folder: &Path| -> Vec<_> {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let modules = inside(&folder);
    assert!(!modules.is_empty(), "no shader in {}", folder.display());
    for module in modules {
        // The order of declarations does not matter.
        let parts = inside(&module).into_iter().map(|path| std::fs::read_to_string(path).unwrap());
        if let Some(error) = compile(&parts.collect::<String>()) {
            panic!("{}: {error}", module.display());
        }
    }
}

#[test]
fn a_broken_shader_would_be_noticed() {
    assert!(compile("@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }").is_some());
}

fn compile(source: &str) -> Option<String> {
    let device = &render_state().device;
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let _pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    crate::display::wait(scope.pop()).map(|error| error.to_string())
}
