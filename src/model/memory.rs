//! Whether an image is small enough for a model, before memory is asked for: an allocation that fails ends the program.

use super::{Model, ModelError};
use std::sync::{Arc, OnceLock};

/// What is assumed to be free where the system does not tell.
const ASSUMED_FREE_BYTES: u64 = 8 << 30;

/// Bytes that are free for this process, where the system tells (Linux, in a container too); else
/// [`ASSUMED_FREE_BYTES`].
pub(super) fn free_bytes() -> u64 {
    let machine = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    let container = || {
        let number = |name: &str| -> Option<u64> {
            std::fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?.trim().parse().ok()
        };
        Some(number("max")?.saturating_sub(number("current")?))
    };
    machine().into_iter().chain(container()).min().unwrap_or(ASSUMED_FREE_BYTES)
}

static USUAL: OnceLock<u64> = OnceLock::new();

/// Bytes that a gradient may take where nobody says otherwise of a model: three quarters of what was free when it was first asked
/// for, so that an image is computed in the same tiles for as long as the program runs.
pub(super) fn usual_bytes() -> u64 {
    *USUAL.get_or_init(|| free_bytes() / 4 * 3)
}

/// Says at the start of the program what gradients may take; later it has no effect.
pub fn set_usual_memory(bytes: u64) {
    // Once it was asked for, images were computed with it.
    USUAL.set(bytes).ok();
}

/// `model` with gradients that take at most so many bytes, in tiles where they would take more; as it is, if it knows no tiles.
pub fn within(model: Arc<dyn Model>, bytes: u64) -> Arc<dyn Model> {
    model.within(bytes).unwrap_or(model)
}

/// Refuses an image of `height` × `width` whose gradient by `model` takes more memory than there is.
///
/// # Errors
/// If it does.
pub fn check_room(model: &dyn Model, height: usize, width: usize) -> Result<(), ModelError> {
    let needed = model.working_bytes(height, width);
    let free = model.memory().map_or_else(free_bytes, |memory| memory.min(free_bytes()));
    if needed <= free {
        return Ok(());
    }
    let refused = model.tiles(height, width).err();
    let why = refused.map_or_else(String::new, |why| format!(" Tiles do not help: {why}."));
    Err(ModelError::TooLarge { image: [height, width], needed, free, why })
}

/// Bytes for people: `1.5 GiB`.
pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1u32 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(gibibytes(3 << 29), "1.5 GiB");
        assert!(free_bytes() > 0 && usual_bytes() == usual_bytes());
    }
}
