//! Textures of thumbnails: a few are uploaded a frame, and the ones that were not looked at for longest go when there are
//! too many.

use crate::data::{Dataset, Thumbnail};
use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Textures are kept up to so many bytes: 900 thumbnails of 160 pixels, or 30 000 of 28.
pub const MOST_TEXTURE_BYTES: usize = 96 << 20;
/// Uploads of one frame take no longer than this, about.
const UPLOAD: Duration = Duration::from_millis(2);
/// Uploads of one frame.
const MOST_UPLOADS: usize = 16;

/// A thumbnail, or why there is none.
pub enum Slot {
    /// It is on the device.
    Made(TextureHandle),
    /// It cannot be made.
    Failed(String),
}

/// The thumbnails of one data set.
#[derive(Default)]
pub struct Thumbnails {
    slots: HashMap<usize, (Slot, u64)>,
    arrived: VecDeque<(usize, Result<Thumbnail, String>)>,
    bytes: usize,
    /// Counts wishes: a slot knows the last one that it was part of.
    wish: u64,
}

impl Thumbnails {
    /// The thumbnail of an entry, if it was made.
    pub fn get(&self, index: usize) -> Option<&Slot> {
        self.slots.get(&index).map(|(slot, _)| slot)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Notes that `indices` are looked at, and returns those that are still to be made.
    pub(super) fn look_at(&mut self, indices: &[usize]) -> Vec<usize> {
        self.wish += 1;
        let wish = self.wish;
        let mut missing = Vec::new();
        for index in indices {
            match self.slots.get_mut(index) {
                Some((_, seen)) => *seen = wish,
                None if self.arrived.iter().any(|(arrived, _)| arrived == index) => {}
                None => missing.push(*index),
            }
        }
        missing
    }

    /// A thumbnail has come; it is uploaded by and by.
    pub fn arrive(&mut self, index: usize, made: Result<Thumbnail, String>) {
        self.arrived.push_back((index, made));
    }

    /// Uploads some of those that have come; whether more wait.
    pub fn upload(&mut self, set: &Dataset, context: &Context) -> bool {
        let start = Instant::now();
        for _ in 0..MOST_UPLOADS {
            let Some((index, made)) = self.arrived.pop_front() else { break };
            let slot = match made {
                Ok(thumbnail) => {
                    self.bytes += thumbnail.rgba.len();
                    Slot::Made(texture(set, index, &thumbnail, context))
                }
                Err(why) => Slot::Failed(why),
            };
            if let Some((Slot::Made(old), _)) = self.slots.insert(index, (slot, self.wish)) {
                self.bytes = self.bytes.saturating_sub(old.byte_size());
            }
            if start.elapsed() > UPLOAD {
                break;
            }
        }
        self.shrink();
        !self.arrived.is_empty()
    }

    /// Drops what was not looked at for longest.
    fn shrink(&mut self) {
        if self.bytes <= MOST_TEXTURE_BYTES {
            return;
        }
        let mut oldest: Vec<(u64, usize)> = self.slots.iter().map(|(index, (_, seen))| (*seen, *index)).collect();
        oldest.sort_unstable();
        for (seen, index) in oldest {
            // A little more than needed, so that it is not done again for each that comes.
            if self.bytes <= MOST_TEXTURE_BYTES / 8 * 7 || seen == self.wish {
                break;
            }
            if let Some((Slot::Made(texture), _)) = self.slots.remove(&index) {
                self.bytes = self.bytes.saturating_sub(texture.byte_size());
            }
        }
    }
}

fn texture(set: &Dataset, index: usize, thumbnail: &Thumbnail, context: &Context) -> TextureHandle {
    let image = ColorImage::from_rgba_unmultiplied([thumbnail.width, thumbnail.height], &thumbnail.rgba);
    // Small images keep their pixels.
    let small = thumbnail.width.max(thumbnail.height) < 48;
    let options = if small { TextureOptions::NEAREST } else { TextureOptions::LINEAR };
    context.load_texture(format!("{} {index}", set.name), image, options)
}
