//! How the work is cut into jobs.

use super::super::direct::Tile;
use super::PATCH;
use std::ops::Range;

/// Transformed patches of a job: within this many floats where they can be, so that they stay in the second-level cache,
/// and at least and at most so many for each channel.
const PATCH_FLOATS: usize = 112 * 1024;
const LEAST: usize = 48;
const MOST: usize = 384;

/// How work is cut: patches of some rows × some columns of some images, and ranges of blocks of results.
pub(super) struct Cut {
    /// Patches down and across an image.
    grid: [usize; 2],
    batch: usize,
    pub images: usize,
    pub rows: usize,
    pub width: usize,
    blocks: usize,
    /// Blocks of one job.
    share: usize,
}

impl Cut {
    pub fn new(grid: [usize; 2], batch: usize, summed: usize, blocks: usize) -> Self {
        let threads = rayon::current_num_threads();
        let most = (PATCH_FLOATS / (PATCH * summed)).clamp(LEAST, MOST);
        let across = grid[1].div_ceil(most);
        let width = grid[1].div_ceil(across);
        let (mut rows, mut images) = ((most / width).clamp(1, grid[0]), 1);
        if rows == grid[0] && across == 1 {
            images = (most / (rows * width)).clamp(1, batch);
            // Even shares for all threads, if there are enough images.
            let parts = batch.div_ceil(images);
            images = batch.div_ceil(parts.next_multiple_of(threads).min(batch));
        }
        let parts = batch.div_ceil(images) * across;
        let mut bands = grid[0].div_ceil(rows);
        // Of few pixels with many weights threads share the results, else the rows.
        let light = grid[0] * grid[1] * batch > 16 * threads * blocks;
        if parts * bands > threads || light {
            let even = |bands: &usize| (parts * bands).is_multiple_of(threads);
            bands = (bands..=grid[0]).find(even).unwrap_or(bands);
        }
        rows = grid[0].div_ceil(bands);
        let jobs = parts * grid[0].div_ceil(rows);
        let shares = if jobs >= threads { 1 } else { threads.div_ceil(jobs).min(blocks) };
        Self { grid, batch, images, rows, width, blocks, share: blocks.div_ceil(shares) }
    }

    fn counts(&self) -> [usize; 4] {
        let of = |whole: usize, part: usize| whole.div_ceil(part);
        [
            of(self.blocks, self.share),
            of(self.batch, self.images),
            of(self.grid[0], self.rows),
            of(self.grid[1], self.width),
        ]
    }

    pub fn jobs(&self) -> usize {
        self.counts().iter().product()
    }

    /// Images, patches and blocks of job number `job`.
    pub fn job(&self, job: usize) -> (Range<usize>, Tile, Range<usize>) {
        let [_, batches, down, across] = self.counts();
        let at = [job / across % down * self.rows, job % across * self.width];
        let (batch, share) = (job / (across * down) % batches, job / (across * down * batches));
        let range = |i: usize, step: usize, end: usize| i * step..((i + 1) * step).min(end);
        let size = [self.rows.min(self.grid[0] - at[0]), self.width.min(self.grid[1] - at[1])];
        (range(batch, self.images, self.batch), Tile { at, size }, range(share, self.share, self.blocks))
    }
}
