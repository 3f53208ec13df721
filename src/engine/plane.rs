//! What a tensor becomes on its way to the screen.

use burn::tensor::Tensor;
use std::any::Any;
use std::sync::Arc;

/// Where the values of a [`Plane`] are.
#[derive(Clone)]
pub enum Storage {
    /// On the host, `[channels, height, width]`.
    Host(Arc<[f32]>),
    /// On the renderer's own device: a handle that the display knows how to use without a read-back. It keeps the
    /// tensor's memory from being written to.
    Shared(Arc<dyn Any + Send + Sync>),
}

/// One picture's worth of values, `[channels, height, width]`, ready to be shown. Cheap to clone.
#[derive(Clone)]
pub struct Plane {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The values.
    pub storage: Storage,
    /// The same values on the host, where somebody had them there anyway: for the pixel probe.
    read_back: Option<Arc<[f32]>>,
    /// Differs between any two planes with different contents: what was drawn for it can be kept.
    pub id: u64,
}

impl std::fmt::Debug for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match self.storage {
            Storage::Host(_) => "host",
            Storage::Shared(_) => "shared",
        };
        write!(f, "Plane {}×{}×{} {place} #{}", self.channels, self.height, self.width, self.id)
    }
}

impl Plane {
    /// A plane of host values, `[channels, height, width]`.
    pub fn from_host(channels: usize, height: usize, width: usize, values: impl Into<Arc<[f32]>>) -> Self {
        Self { channels, height, width, storage: Storage::Host(values.into()), read_back: None, id: next_id() }
    }

    /// A plane whose values stay on the renderer's device.
    pub fn from_shared(channels: usize, height: usize, width: usize, handle: Arc<dyn Any + Send + Sync>) -> Self {
        Self { channels, height, width, storage: Storage::Shared(handle), read_back: None, id: next_id() }
    }

    /// The plane with its `values` on the host, if it does not have them there already.
    #[must_use]
    pub fn with_values(mut self, values: &Arc<[f32]>) -> Self {
        if matches!(self.storage, Storage::Shared(_)) {
            self.read_back = Some(values.clone());
        }
        self
    }

    /// The values, `[channels, height, width]`, where they are on the host.
    pub fn values(&self) -> Option<&[f32]> {
        match &self.storage {
            Storage::Host(values) => Some(values),
            Storage::Shared(_) => self.read_back.as_deref(),
        }
    }
}

fn next_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Turns the first image of a tensor `[batch, channels, height, width]` into a [`Plane`], on the worker's thread.
/// The window hands in the one that fits its device; an error is a message for people.
pub type Publish = Arc<dyn Fn(Tensor<4>) -> Result<Plane, String> + Send + Sync>;

/// The [`Publish`] of devices that the renderer does not share: reads the values back to the host.
pub fn host_plane(tensor: Tensor<4>) -> Result<Plane, String> {
    let [_, channels, height, width] = tensor.dims();
    let first = tensor.without_autodiff().narrow(0, 0, 1);
    let values = first.try_into_vec_as::<f32>().map_err(|e| format!("could not read the tensor back: {e}"))?;
    Ok(Plane::from_host(channels, height, width, values))
}
