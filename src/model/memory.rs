//! Whether an image is small enough for a model, before memory is asked for: an allocation that fails ends the program.

use super::ModelError;

/// What is assumed to be free where the system does not tell.
const ASSUMED_FREE_BYTES: u64 = 8 << 30;

/// Bytes that are free for this process, where the system tells (Linux, in a container too); else
/// [`ASSUMED_FREE_BYTES`].
fn free_bytes() -> u64 {
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

/// Refuses an image of `height` × `width` whose gradient takes `needed` bytes if they are not free.
///
/// # Errors
/// If they are not.
pub fn check_room(height: usize, width: usize, needed: u64) -> Result<(), ModelError> {
    let free = free_bytes();
    if needed <= free {
        return Ok(());
    }
    Err(ModelError::TooLarge { image: [height, width], needed, free })
}

/// Bytes for people: `1.5 GiB`.
pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1u32 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_refused_with_both_amounts() {
        assert!(check_room(10, 10, 1 << 20).is_ok());
        let error = check_room(20_000, 30_000, 1 << 60).unwrap_err().to_string();
        assert!(error.contains("30000×20000") && error.contains("1073741824.0 GiB"), "{error}");
    }
}
