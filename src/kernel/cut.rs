//! How the work of a convolution is cut into jobs.

use super::direct::Tile;
use super::lanes::Instructions;
use std::ops::Range;

/// A tile's source stays within this many floats where it can, so that it is still in the second-level cache when the
/// last block of channels reads it.
const SOURCE_FLOATS: usize = 96 * 1024;
/// A tile is at least this wide, if the image is: some registers.
const LEAST_WIDTH: usize = 64;
/// A thread's share of small jobs is at least this many multiply-adds: some microseconds, as long as it takes to wake one.
const LEAST_WORK: usize = 1 << 19;

/// Tiles of some rows × some columns, and ranges of results.
#[derive(Debug)]
pub(super) struct Cut {
    /// Height and width of what is cut.
    size: [usize; 2],
    images: usize,
    results: usize,
    /// Multiply-adds of each result.
    work: usize,
    pub rows: usize,
    pub width: usize,
    /// Results of one job.
    share: usize,
}

impl Cut {
    /// Cuts `images` of `size` pixels with `results` channels each, of `taps` multiply-adds for each `summed` channel.
    /// `floats` tells how large the source of a tile is.
    pub fn new(
        size: [usize; 2],
        images: usize,
        [results, taps, summed]: [usize; 3],
        with: Instructions,
        floats: impl Fn([usize; 2]) -> usize,
    ) -> Self {
        let [height, width] = size;
        let mut tile = width;
        let mut parts = 1;
        while tile > LEAST_WIDTH && floats([1, tile]) > SOURCE_FLOATS {
            parts += 1;
            tile = width.div_ceil(parts).next_multiple_of(16).max(LEAST_WIDTH);
        }
        let mut rows = 1;
        while rows < height && floats([rows + 1, tile]) <= SOURCE_FLOATS {
            rows += 1;
        }
        let threads = rayon::current_num_threads();
        let across = images * width.div_ceil(tile);
        let blocks = results.div_ceil(with.block());
        let mut bands = height.div_ceil(rows);
        // Enough jobs for all threads: of channels where the weights are more than the pixels, else of rows.
        let heavy = results * taps > height * width;
        if across * bands < 2 * threads && !(heavy && blocks >= 2 * threads) {
            bands = bands.max((2 * threads).div_ceil(across)).min(height);
        }
        // Even shares, and no last tile of one row.
        let bands =
            if (across * bands).is_multiple_of(threads) { bands } else { bands.next_multiple_of(threads).min(height) };
        rows = height.div_ceil(bands);
        let tiles = across * height.div_ceil(rows);
        let shares = if tiles >= threads && !(heavy && tiles < 2 * threads) {
            1
        } else {
            (2 * threads).div_ceil(tiles).min(blocks)
        };
        Self {
            size,
            images,
            results,
            work: taps * summed,
            rows,
            width: tile,
            share: blocks.div_ceil(shares) * with.block(),
        }
    }

    fn counts(&self) -> [usize; 3] {
        [self.size[0].div_ceil(self.rows), self.size[1].div_ceil(self.width), self.results.div_ceil(self.share)]
    }

    /// How many jobs there are.
    pub fn jobs(&self) -> usize {
        self.images * self.counts().iter().product::<usize>()
    }

    /// How many jobs one thread takes at least.
    pub fn least(&self) -> usize {
        LEAST_WORK / (self.rows * self.width * self.share * self.work).max(1) + 1
    }

    /// The image, the tile and the results of job number `job`.
    pub fn job(&self, job: usize) -> (usize, Tile, Range<usize>) {
        let [down, across, shares] = self.counts();
        // All tiles of a share follow each other, so that threads that divide the jobs divide the weights.
        let (rest, tile) = (job / (down * across), job % (down * across));
        let (image, share) = (rest / shares, rest % shares);
        let at = [tile / across * self.rows, tile % across * self.width];
        let size = [self.rows.min(self.size[0] - at[0]), self.width.min(self.size[1] - at[1])];
        (image, Tile { at, size }, share * self.share..((share + 1) * self.share).min(self.results))
    }
}
