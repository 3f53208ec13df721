//! `shaders/view` and the pipelines that are made of it.

use eframe::egui_wgpu::wgpu;

/// The source.
const VIEW_SHADER: &str = concat!(
    include_str!("../../shaders/view/parameters.wgsl"),
    include_str!("../../shaders/view/sample.wgsl"),
    include_str!("../../shaders/view/contour.wgsl"),
    include_str!("../../shaders/view/picture.wgsl"),
);

/// The shader and what all of its variants share.
pub(super) struct Shader {
    module: wgpu::ShaderModule,
    /// Uniform, image, mask, second mask, picture.
    pub bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
}

impl Shader {
    pub fn new(device: &wgpu::Device) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("view shader"),
            source: wgpu::ShaderSource::Wgsl(VIEW_SHADER.into()),
        });
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let plane = buffer(wgpu::BufferBindingType::Storage { read_only: true });
        let picture = wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::WriteOnly,
            format: wgpu::TextureFormat::Rgba8Unorm,
            view_dimension: wgpu::TextureViewDimension::D2,
        };
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("view"),
            entries: &[
                entry(0, buffer(wgpu::BufferBindingType::Uniform)),
                entry(1, plane),
                entry(2, plane),
                entry(3, plane),
                entry(4, picture),
            ],
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("view"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { module, bindings, layout }
    }

    /// The pipeline of a [`crate::view::Parameters::variant`].
    pub fn pipeline(&self, device: &wgpu::Device, [mode, regime, channels]: [u32; 3]) -> wgpu::ComputePipeline {
        let constants = [("MODE", f64::from(mode)), ("REGIME", f64::from(regime)), ("CHANNELS", f64::from(channels))];
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("view"),
            layout: Some(&self.layout),
            module: &self.module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
            cache: None,
        })
    }
}
