//! Watching a model being read: how much of its file has come, and whether it is still wanted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Told of progress while a model is read, and asked whether to go on.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    cancelled: &'a AtomicBool,
    /// Hears the share of the file that is read, in [0, 1].
    told: &'a (dyn Fn(f32) + Sync),
}

impl<'a> Watch<'a> {
    /// Reading ends with an error once `cancelled` is set; `told` hears the share that is read, in [0, 1].
    pub fn new(cancelled: &'a AtomicBool, told: &'a (dyn Fn(f32) + Sync)) -> Self {
        Self { cancelled, told }
    }

    /// Nobody watches.
    pub fn nobody() -> Watch<'static> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Watch { cancelled: &NEVER, told: &|_| () }
    }

    /// `source`, of `size` bytes, watched.
    pub(super) fn reader<R: Read + Seek>(self, source: R, size: u64) -> Watched<'a, R> {
        Watched { source, read: 0, size: size.max(1), watch: self }
    }

    /// The whole file at `path`.
    pub(super) fn read_file(self, path: &Path) -> std::io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.reader(file, size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file that tells how much of it was read.
pub(super) struct Watched<'a, R> {
    source: R,
    read: u64,
    size: u64,
    watch: Watch<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.watch.cancelled.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("cancelled"));
        }
        // A step at a time, so that a slow disk can be cancelled and says how far it is.
        const STEP: usize = 1 << 20;
        let most = into.len().min(STEP);
        let count = self.source.read(&mut into[..most])?;
        self.read += count as u64;
        (self.watch.told)((self.read as f64 / self.size as f64).min(1.0) as f32);
        Ok(count)
    }
}

impl<R: Seek> Seek for Watched<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.source.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::sync::Mutex;

    #[test]
    fn reading_tells_its_share_and_stops_when_it_is_cancelled() {
        let bytes = vec![7u8; 3 << 20];
        let (cancelled, shares) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let tell = |share: f32| {
            shares.lock().unwrap().push(share);
            if share > 0.5 {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let mut out = Vec::new();
        let watch = Watch::new(&cancelled, &tell);
        let error = watch.reader(Cursor::new(&bytes), bytes.len() as u64).read_to_end(&mut out).unwrap_err();
        assert_eq!(error.to_string(), "cancelled");
        let shares = shares.lock().unwrap();
        assert!(shares.is_sorted() && shares.len() >= 2 && out.len() < bytes.len(), "{shares:?}");
        let mut all = Vec::new();
        Watch::nobody().reader(Cursor::new(&bytes), bytes.len() as u64).read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes);
    }
}
