//! Pictures back from the GPU: for copies, screenshots and tests.

use super::{Display, Slot};
use crate::gpu::error::checked;
use eframe::egui::ColorImage;
use eframe::egui_wgpu::wgpu;

impl Display {
    /// The texture of a slot (rgba8unorm, may be copied from): for screenshots and tests.
    pub fn texture(&self, slot: Slot) -> Option<&wgpu::Texture> {
        self.pictures.get(&slot).map(|picture| &picture.texture)
    }

    /// Reads the picture of a slot back and hands it to `done`, on another thread; an error is a message for people.
    pub fn read_back(&self, slot: Slot, done: impl FnOnce(Result<ColorImage, String>) + Send + 'static) {
        let Some(picture) = self.pictures.get(&slot) else { return done(Err("there is no such picture".to_owned())) };
        let (device, [width, height]) = (self.device.clone(), picture.size);
        let row = (width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let copied = checked(&device, "copying a view", || {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("view to copy"),
                size: u64::from(row) * u64::from(height),
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            });
            let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("copy") });
            encoder.copy_texture_to_buffer(
                picture.texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
                picture.texture.size(),
            );
            self.queue.submit([encoder.finish()]);
            Ok(buffer)
        });
        let buffer = match copied {
            Ok(buffer) => buffer,
            Err(error) => return done(Err(error.to_string())),
        };
        let size = [width as usize, height as usize];
        let read = move || done(read_rows(&device, &buffer, size, row as usize));
        // A thread that cannot be started drops `done` with what it holds: nothing was copied, nothing is claimed.
        let _ = std::thread::Builder::new().name("copy".to_owned()).spawn(read);
    }
}

/// Waits for a buffer of rows of `row` bytes and makes a picture of it.
fn read_rows(device: &wgpu::Device, buffer: &wgpu::Buffer, size: [usize; 2], row: usize) -> Result<ColorImage, String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    buffer.slice(..).map_async(wgpu::MapMode::Read, move |mapped| {
        let _ = sender.send(mapped);
    });
    device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| e.to_string())?;
    receiver.recv().map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let bytes = buffer.slice(..).get_mapped_range().map_err(|e| e.to_string())?;
    let rgba: Vec<u8> = bytes.chunks_exact(row).flat_map(|line| &line[..size[0] * 4]).copied().collect();
    Ok(ColorImage::from_rgba_unmultiplied(size, &rgba))
}
