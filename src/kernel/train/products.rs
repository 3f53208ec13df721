//! The loop that takes the time of a weight gradient: scalar products of long lines, some gradients × some taps at once.

// Pointers into slices whose lengths `Products::run` has checked.
#![allow(unsafe_code)]

use super::super::lanes::{Instructions, Lanes, Portable};

/// Lines that are multiplied go through the first-level cache in pieces of this many floats.
const PIECE: usize = 2048;

/// Lengths are multiples of this: the widest register.
pub(super) const STEP: usize = 16;

/// `out[o·across + r] += Σ_s Σ_p lines[s·steps[0] + o·plane + p] · source[s·steps[1] + rows[r] + p]`, over `segments` s of
/// `length` places p.
#[derive(Clone, Copy)]
pub(super) struct Products<'a> {
    /// What the gradients are, one line after the other.
    pub lines: &'a [f32],
    /// How many lines, and floats between them.
    pub count: usize,
    pub plane: usize,
    pub source: &'a [f32],
    /// Where in the source each row begins.
    pub rows: &'a [usize],
    /// A multiple of [`STEP`].
    pub length: usize,
    pub segments: usize,
    /// Floats between segments of the lines, and of the source.
    pub steps: [usize; 2],
    /// Floats between the results of neighbouring lines.
    pub across: usize,
}

impl Products<'_> {
    /// Adds the products to `out`.
    ///
    /// # Panics
    /// If a slice is shorter than the other fields say.
    pub fn run(&self, with: Instructions, out: &mut [f32]) {
        let Some(last) = self.count.checked_sub(1).filter(|_| !self.rows.is_empty()) else { return };
        let Some(segments) = self.segments.checked_sub(1) else { return };
        let furthest = self.rows.iter().max().copied().unwrap_or(0);
        assert!(self.length.is_multiple_of(STEP));
        assert!(self.lines.len() >= segments * self.steps[0] + last * self.plane + self.length);
        assert!(self.source.len() >= segments * self.steps[1] + furthest + self.length);
        assert!(out.len() >= last * self.across + self.rows.len());
        match with {
            // SAFETY: the processor has the instructions (`Instructions::available`); lengths were checked above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe {
                all::<4, 6>(self, out, [avx512::<4, 6>, avx512::<4, 3>, avx512::<1, 6>, avx512::<1, 3>]);
            },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe {
                all::<4, 3>(self, out, [avx2::<4, 3>, avx2::<4, 3>, avx2::<1, 3>, avx2::<1, 3>]);
            },
            // SAFETY: the same.
            Instructions::Portable => unsafe {
                let [many, one] = [block::<Portable, 4, 3>, block::<Portable, 1, 3>] as [Block; 2];
                all::<4, 3>(self, out, [many, many, one, one]);
            },
        }
    }
}

/// The sums of one block, lane by lane, row by row of each line.
type LaneSums = [[f32; STEP]; 24];

/// Some lines × up to some rows.
type Block = unsafe fn(&Piece<'_>, &mut LaneSums);

/// What a block multiplies.
struct Piece<'a> {
    of: &'a Products<'a>,
    /// The first place of the first line, and of the source.
    lines: *const f32,
    source: *const f32,
    rows: &'a [usize],
    length: usize,
}

/// Each block is a function by itself, so that its sums are alone in the registers, and leave them as they are: the upper
/// half of the registers knows whole vectors only.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline(never)]
unsafe fn avx512<const LINES: usize, const ROWS: usize>(piece: &Piece<'_>, sums: &mut LaneSums) {
    unsafe { block::<super::super::lanes::x86::Avx512, LINES, ROWS>(piece, sums) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn avx2<const LINES: usize, const ROWS: usize>(piece: &Piece<'_>, sums: &mut LaneSums) {
    unsafe { block::<super::super::lanes::x86::Avx2, LINES, ROWS>(piece, sums) }
}

/// All lines and rows: `blocks` of `LINES` × `ROWS`, of `LINES` × 3 where no more rows are left, and the same of single lines.
unsafe fn all<const LINES: usize, const ROWS: usize>(of: &Products<'_>, out: &mut [f32], blocks: [Block; 4]) {
    let mut sums: LaneSums = [[0.0; STEP]; 24];
    // Some short segments at once, or a piece of a long one.
    let together = (PIECE / of.length).clamp(1, of.segments);
    let pieces = (0..of.segments).step_by(together).flat_map(|s| (0..of.length).step_by(PIECE).map(move |at| (s, at)));
    for (segment, start) in pieces {
        let of = &Products { segments: together.min(of.segments - segment), ..*of };
        let length = PIECE.min(of.length - start);
        let mut line = 0;
        while line < of.count {
            let lines = if of.count - line >= LINES { LINES } else { 1 };
            let mut row = 0;
            while row < of.rows.len() {
                let few = of.rows.len() - row <= 3;
                let block = blocks[2 * usize::from(lines < LINES) + usize::from(few)];
                // SAFETY: the caller's.
                unsafe {
                    let lines = of.lines.as_ptr().add(segment * of.steps[0] + line * of.plane + start);
                    let source = of.source.as_ptr().add(segment * of.steps[1] + start);
                    block(&Piece { of, lines, source, rows: &of.rows[row..], length }, &mut sums);
                }
                let rows = if few { 3 } else { ROWS };
                let left = rows.min(of.rows.len() - row);
                for (i, sums) in sums[..lines * rows].chunks_exact(rows).enumerate() {
                    let out = &mut out[(line + i) * of.across + row..][..left];
                    out.iter_mut().zip(sums).for_each(|(out, lanes)| *out += total(lanes));
                }
                row += rows;
            }
            line += lines;
        }
    }
}

/// `LINES` lines × up to `ROWS` rows.
#[inline(always)]
unsafe fn block<L: Lanes, const LINES: usize, const ROWS: usize>(piece: &Piece<'_>, lanes: &mut LaneSums) {
    let Piece { of, lines, source, rows, length } = *piece;
    // Where fewer rows are left the last one is computed again, and thrown away.
    let count = rows.len().min(ROWS);
    let rows: [*const f32; ROWS] = std::array::from_fn(|r| source.wrapping_add(rows[r.min(count - 1)]));
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::splat(0.0); ROWS]; LINES];
        for segment in 0..of.segments {
            let (lines, shift) = (lines.add(segment * of.steps[0]), segment * of.steps[1]);
            let mut at = 0;
            while at < length {
                let values: [L::Register; LINES] = std::array::from_fn(|o| L::load(lines.add(o * of.plane + at)));
                for (r, &row) in rows.iter().enumerate() {
                    let x = L::load(row.add(shift + at));
                    for (sums, &value) in sums.iter_mut().zip(&values) {
                        sums[r] = L::multiply_add(value, x, sums[r]);
                    }
                }
                at += L::COUNT;
            }
        }
        for (o, sums) in sums.iter().enumerate() {
            for (r, &sum) in sums.iter().enumerate() {
                L::store(lanes[o * ROWS + r].as_mut_ptr(), sum);
            }
        }
    }
}

/// The sum of all lanes.
fn total(lanes: &[f32; STEP]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
