//! Host planes on the GPU: each is uploaded once and kept for as long as it is shown.

use crate::engine::Plane;
use eframe::egui_wgpu::wgpu;
use std::collections::HashMap;

/// Uploaded planes that were not shown for this many frames are dropped.
const FRAMES_KEPT: u64 = 120;

struct Upload {
    buffer: wgpu::Buffer,
    bytes: u64,
    last_frame: u64,
}

/// Uploaded planes by [`Plane::id`].
#[derive(Default)]
pub(super) struct Uploads {
    kept: HashMap<u64, Upload>,
    /// How many bytes were uploaded in all: what tests count.
    pub uploaded_bytes: u64,
}

impl Uploads {
    /// The buffer that holds `values`, the host values of `plane`.
    pub fn buffer(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        plane: &Plane,
        values: &[f32],
        frame: u64,
    ) -> wgpu::Buffer {
        let bytes = bytemuck::cast_slice::<f32, u8>(values);
        let uploaded_bytes = &mut self.uploaded_bytes;
        let upload = self.kept.entry(plane.id).or_insert_with(|| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("plane"),
                size: bytes.len() as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            queue.write_buffer(&buffer, 0, bytes);
            *uploaded_bytes += bytes.len() as u64;
            Upload { buffer, bytes: bytes.len() as u64, last_frame: frame }
        });
        upload.last_frame = frame;
        upload.buffer.clone()
    }

    /// Forgets a plane whose upload failed.
    pub fn forget(&mut self, id: u64) {
        self.kept.remove(&id);
    }

    /// Drops what was not shown for a while, then the longest unused until at most `most_bytes` are left; what was used
    /// in `frame` stays.
    pub fn tidy(&mut self, frame: u64, most_bytes: u64) {
        self.kept.retain(|_, upload| upload.last_frame + FRAMES_KEPT >= frame);
        let mut bytes = self.bytes();
        if bytes <= most_bytes {
            return;
        }
        let mut old: Vec<(u64, u64)> = self.kept.iter().map(|(&id, upload)| (upload.last_frame, id)).collect();
        old.sort_unstable();
        for (last_frame, id) in old {
            if bytes <= most_bytes || last_frame >= frame {
                break;
            }
            bytes -= self.kept.remove(&id).map_or(0, |upload| upload.bytes);
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> u64 {
        self.kept.values().map(|upload| upload.bytes).sum()
    }
}
