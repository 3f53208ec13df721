//! From planes to textures that egui shows: one compute pass per picture, only where something changed.

mod bind;
mod read;

use super::adapter::DeviceIdentity;
use super::error::{GpuError, checked, watch};
use super::shader::Shader;
use super::upload::Uploads;
use crate::engine::Plane;
use crate::view::{Layout, MaskKind, Parameters, ViewSpec};
use eframe::egui::TextureId;
use eframe::egui::mutex::RwLock;
use eframe::egui_wgpu::{RenderState, Renderer, wgpu};
use std::collections::HashMap;
use std::sync::Arc;

/// Side of a workgroup, as in the shader.
const WORKGROUP_SIDE: u32 = 16;

/// Uploaded planes above this are dropped, the longest unused first.
const MOST_UPLOADED_BYTES: u64 = 512 << 20;

/// Pictures that were not asked for for this many frames give their texture back.
const FRAMES_KEPT: u64 = 600;

/// Which picture on the screen: each has a texture of its own. Any number that stays the same from frame to frame, as
/// `egui::Id::value` of the widget that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u64);

/// What a picture is made of, as [`crate::view::Layers`] but wherever the values are.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    /// The image in fractions of the bounds, or the signed noise.
    pub image: Option<Plane>,
    /// The mask; in a difference the adversarial one.
    pub mask: Option<(Plane, MaskKind)>,
    /// The mask to compare with.
    pub second: Option<(Plane, MaskKind)>,
}

impl Planes {
    fn layout(&self) -> Layout {
        let shape = |plane: &Plane| [plane.channels, plane.height, plane.width];
        let mask = |layer: &Option<(Plane, MaskKind)>| layer.as_ref().map(|(plane, kind)| (shape(plane), *kind));
        Layout { image: self.image.as_ref().map(shape), mask: mask(&self.mask), second: mask(&self.second) }
    }

    fn all(&self) -> [Option<&Plane>; 3] {
        [self.image.as_ref(), self.mask.as_ref().map(|(plane, _)| plane), self.second.as_ref().map(|(plane, _)| plane)]
    }

    /// What tells two of them apart.
    fn key(&self) -> [Option<(u64, Option<MaskKind>)>; 3] {
        [
            self.image.as_ref().map(|plane| (plane.id, None)),
            self.mask.as_ref().map(|(plane, kind)| (plane.id, Some(*kind))),
            self.second.as_ref().map(|(plane, kind)| (plane.id, Some(*kind))),
        ]
    }
}

/// What a texture shows.
#[derive(Clone, Copy, PartialEq)]
struct Shown {
    spec: ViewSpec,
    planes: [Option<(u64, Option<MaskKind>)>; 3],
}

struct Picture {
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    uniform: wgpu::Buffer,
    id: TextureId,
    size: [u32; 2],
    /// `None` until it was drawn without an error.
    shown: Option<Shown>,
    last_frame: u64,
}

/// Draws pictures into textures. One per window; lives on the interface's thread and never waits for the GPU.
pub struct Display {
    device: wgpu::Device,
    identity: DeviceIdentity,
    queue: wgpu::Queue,
    renderer: Arc<RwLock<Renderer>>,
    shader: Shader,
    /// By [`Parameters::variant`], made when first needed.
    pipelines: HashMap<[u32; 3], wgpu::ComputePipeline>,
    /// Bound where a picture has no such layer.
    nothing: wgpu::Buffer,
    pictures: HashMap<Slot, Picture>,
    uploads: Uploads,
    frame: u64,
    passes: u64,
}

impl Display {
    /// For the window that `render_state` draws.
    ///
    /// # Errors
    /// If the GPU does not take the shader.
    pub fn new(render_state: &RenderState) -> Result<Self, GpuError> {
        let device = render_state.device.clone();
        watch(&device);
        let (shader, nothing) = checked(&device, "compiling the display's shader", || {
            let nothing = wgpu::BufferDescriptor {
                label: Some("no plane"),
                size: 16,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            };
            Ok((Shader::new(&device), device.create_buffer(&nothing)))
        })?;
        Ok(Self {
            identity: DeviceIdentity::new(&render_state.instance, &device),
            device,
            queue: render_state.queue.clone(),
            renderer: render_state.renderer.clone(),
            shader,
            pipelines: HashMap::new(),
            nothing,
            pictures: HashMap::new(),
            uploads: Uploads::default(),
            frame: 0,
            passes: 0,
        })
    }

    /// The texture of `slot`, `size` `[width, height]` physical pixels large, showing `spec`. Draws only if the spec, a
    /// plane or the size changed since the last call; submits before egui does, so the frame shows it.
    ///
    /// # Errors
    /// If planes are missing or do not fit, are too large, or the GPU reports an error. The caller shows the message
    /// instead of a picture; the next call tries again.
    pub fn show(
        &mut self,
        slot: Slot,
        spec: &ViewSpec,
        planes: &Planes,
        size: [usize; 2],
    ) -> Result<TextureId, GpuError> {
        let parameters = Parameters::new(spec, &planes.layout(), size)?;
        let size = parameters.size();
        let limit = self.device.limits().max_texture_dimension_2d;
        if size[0].max(size[1]) > limit {
            let (needed, limit) = (format!("{}×{} pixels", size[0], size[1]), format!("{limit} a side"));
            return Err(GpuError::TooLarge { what: "the view", needed, limit });
        }
        let shown = Shown { spec: *spec, planes: planes.key() };
        let frame = self.frame;
        if let Some(picture) = self.pictures.get_mut(&slot).filter(|picture| picture.size == size) {
            picture.last_frame = frame;
            if picture.shown == Some(shown) {
                return Ok(picture.id);
            }
            picture.shown = None;
        }
        let device = self.device.clone();
        let drawn = checked(&device, "drawing a view", || self.draw(slot, &parameters, planes));
        match drawn {
            Ok(id) => {
                if let Some(picture) = self.pictures.get_mut(&slot) {
                    picture.shown = Some(shown);
                }
                Ok(id)
            }
            Err(error) => {
                // What failed may be a buffer, the texture or the pipeline: make them anew next time.
                self.pipelines.remove(&parameters.variant());
                for plane in planes.all().into_iter().flatten() {
                    self.uploads.forget(plane.id);
                }
                self.drop_slot(slot);
                Err(error)
            }
        }
    }

    /// Call once after each frame: drops what has not been shown for a while.
    pub fn end_frame(&mut self) {
        self.frame += 1;
        self.uploads.tidy(self.frame, MOST_UPLOADED_BYTES);
        let frame = self.frame;
        let old = |picture: &Picture| picture.last_frame + FRAMES_KEPT < frame;
        let slots: Vec<Slot> = self.pictures.iter().filter(|(_, p)| old(p)).map(|(&slot, _)| slot).collect();
        for slot in slots {
            self.drop_slot(slot);
        }
    }

    /// How many pictures were drawn so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// How many bytes of planes were uploaded so far; planes on a shared device are not uploaded.
    pub fn uploaded_bytes(&self) -> u64 {
        self.uploads.uploaded_bytes
    }

    /// Bytes of GPU memory that the display holds itself: textures and uploaded planes.
    pub fn held_bytes(&self) -> u64 {
        let pixels = |p: &Picture| u64::from(p.size[0]) * u64::from(p.size[1]) * 4;
        self.uploads.bytes() + self.pictures.values().map(pixels).sum::<u64>()
    }

    fn drop_slot(&mut self, slot: Slot) {
        if let Some(picture) = self.pictures.remove(&slot) {
            self.renderer.write().free_texture(&picture.id);
        }
    }

    fn draw(&mut self, slot: Slot, parameters: &Parameters, planes: &Planes) -> Result<TextureId, GpuError> {
        let mut bindings = [const { None }; 3];
        let mut first = [0; 3];
        for (i, (plane, read)) in planes.all().into_iter().zip(parameters.reads()).enumerate() {
            if let Some(plane) = plane.filter(|_| read) {
                let bound = self.bind(plane)?;
                first[i] = bound.first;
                bindings[i] = Some(bound);
            }
        }
        let size = parameters.size();
        if self.pictures.get(&slot).is_none_or(|picture| picture.size != size) {
            self.resize(slot, size);
        }
        let variant = parameters.variant();
        let pipeline = self.pipelines.entry(variant).or_insert_with(|| self.shader.pipeline(&self.device, variant));
        let Some(picture) = self.pictures.get(&slot) else { return Err(GpuError::ForeignPlane) };
        self.queue.write_buffer(&picture.uniform, 0, bytemuck::cast_slice(&parameters.words(first)));
        let plane = |i: usize| match &bindings[i] {
            Some(bound) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &bound.buffer,
                offset: bound.offset,
                size: std::num::NonZero::new(bound.size),
            }),
            None => self.nothing.as_entire_binding(),
        };
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("view"),
            layout: &self.shader.bindings,
            entries: &[
                entry(0, picture.uniform.as_entire_binding()),
                entry(1, plane(0)),
                entry(2, plane(1)),
                entry(3, plane(2)),
                entry(4, wgpu::BindingResource::TextureView(&picture.view)),
            ],
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("view") });
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(size[0].div_ceil(WORKGROUP_SIDE), size[1].div_ceil(WORKGROUP_SIDE), 1);
        }
        self.queue.submit([encoder.finish()]);
        self.passes += 1;
        Ok(picture.id)
    }

    /// A texture of `size` for `slot`; egui's id stays.
    fn resize(&mut self, slot: Slot, [width, height]: [u32; 2]) {
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("view"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::STORAGE_BINDING
                | wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut renderer = self.renderer.write();
        // One texel per physical pixel: nothing to interpolate, and nothing is blurred if egui rounds otherwise.
        let filter = wgpu::FilterMode::Nearest;
        match self.pictures.get_mut(&slot) {
            Some(picture) => {
                renderer.update_egui_texture_from_wgpu_texture(&self.device, &view, filter, picture.id);
                (picture.texture, picture.view, picture.size) = (texture, view, [width, height]);
                picture.last_frame = self.frame;
            }
            None => {
                let id = renderer.register_native_texture(&self.device, &view, filter);
                let uniform = self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("view parameters"),
                    size: Parameters::WORDS as u64 * 4,
                    usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                let (size, last_frame) = ([width, height], self.frame);
                self.pictures.insert(slot, Picture { texture, view, uniform, id, size, shown: None, last_frame });
            }
        }
    }
}
