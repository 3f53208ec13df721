//! The entropy-coded samples of one scan (A.3–A.7).

use std::num::Wrapping;

/// J of A.2.1: a run code of index i stands for 2^J pixels.
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The parameters of a scan (C.2.4.1.1).
#[derive(Clone, Copy)]
pub(super) struct Parameters {
    most: i32,
    near: i32,
    thresholds: [i32; 3],
    reset: i32,
    range: i32,
    range_bits: u32,
    limit: u32,
}

impl Parameters {
    pub(super) fn new(precision: u32, near: i32, preset: [i32; 5]) -> Option<Self> {
        let [given_most, t1, t2, t3, reset] = preset;
        let most = if given_most > 0 { given_most } else { (1 << precision) - 1 };
        if near > most / 2 {
            return None;
        }
        let clamp = |value: i32, least: i32| if value > most || value < least { least } else { value };
        let [b1, b2, b3] = if most >= 128 {
            let factor = (most.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
        } else {
            let factor = 256 / (most + 1);
            [(3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4)]
        };
        let t1 = if t1 > 0 { t1 } else { clamp(b1, near + 1) };
        let t2 = if t2 > 0 { t2 } else { clamp(b2, t1) };
        let t3 = if t3 > 0 { t3 } else { clamp(b3, t2) };
        let range = (most + 2 * near) / (2 * near + 1) + 1;
        let bits = |count: i32| 32 - (count - 1).max(1).leading_zeros();
        let sample_bits = bits(most + 1).max(2);
        Some(Self {
            most,
            near,
            thresholds: [t1, t2, t3],
            reset: if reset > 2 { reset } else { 64 },
            range,
            range_bits: bits(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
        })
    }

    /// A.3.3.
    fn quantise(&self, difference: i32) -> i32 {
        let size = difference.abs();
        let [t1, t2, t3] = self.thresholds;
        let level = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        if difference < 0 { -level } else { level }
    }

    /// The sample that a prediction and its error make (A.4.5, A.5.2).
    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut sample = Wrapping(predicted) + Wrapping(error) * Wrapping(step);
        if sample.0 < -self.near {
            sample += self.range * step;
        } else if sample.0 > self.most + self.near {
            sample -= self.range * step;
        }
        sample.0.clamp(0, self.most)
    }
}

/// Bits of a scan: a byte behind 0xff has seven (A.1).
struct Bits<'a> {
    bytes: &'a [u8],
    window: u32,
    filled: u32,
    after_ff: bool,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<u32, String> {
        if self.filled == 0 {
            let cut_short = || "it is cut short".to_owned();
            let (&byte, rest) = self.bytes.split_first().ok_or_else(cut_short)?;
            // A marker: nothing follows.
            if byte == 0xff && rest.first().is_none_or(|&next| next >= 0x80) || self.after_ff && byte >= 0x80 {
                return Err(cut_short());
            }
            self.bytes = rest;
            self.filled = if self.after_ff { 7 } else { 8 };
            self.after_ff = byte == 0xff;
            self.window = byte.into();
        }
        self.filled -= 1;
        Ok(self.window >> self.filled & 1)
    }

    fn number(&mut self, count: u32) -> Result<i32, String> {
        (0..count).try_fold(0, |number, _| Ok(number << 1 | self.bit()? as i32))
    }

    /// A Golomb code whose length is limited (A.5.3).
    fn golomb(&mut self, k: u32, limit: u32, range_bits: u32) -> Result<i32, String> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > limit {
                return Err("it has a code that is too long".to_owned());
            }
        }
        if zeros < limit.saturating_sub(range_bits + 1) {
            Ok(((zeros as i32) << k) + self.number(k)?)
        } else {
            Ok(self.number(range_bits)? + 1)
        }
    }
}

/// The counts of a context.
#[derive(Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

/// The least k with N · 2^k ≥ what is counted; codes of more than 16 bits there are none.
fn golomb_bits(n: i32, counted: i32) -> u32 {
    (0..16).find(|&k| n << k >= counted).unwrap_or(16)
}

/// A scan that is being decoded.
pub(super) struct Scan<'a> {
    parameters: Parameters,
    bits: Bits<'a>,
    contexts: Vec<Context>,
    /// Of runs that end; B counts the negative errors.
    run_contexts: [Context; 2],
    /// Of each component, or one for all that lie together.
    run_index: Vec<usize>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(parameters: Parameters, bytes: &'a [u8], components: usize) -> Self {
        let start = Context { a: ((parameters.range + 32) / 64).max(2), b: 0, c: 0, n: 1 };
        let bits = Bits { bytes, window: 0, filled: 0, after_ff: false };
        let run_contexts = [start; 2];
        Self { parameters, bits, contexts: vec![start; 365], run_contexts, run_index: vec![0; components] }
    }

    /// What follows the samples.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bits.bytes
    }

    /// A sample in regular mode (A.4–A.6), with the quantised gradients of its neighbours.
    fn regular(&mut self, [q1, q2, q3]: [i32; 3], [ra, rb, rc]: [i32; 3]) -> Result<i32, String> {
        let p = self.parameters;
        let place = 81 * q1 + 9 * q2 + q3;
        let sign = if place < 0 { -1 } else { 1 };
        let context = &mut self.contexts[place.unsigned_abs() as usize];
        let edge = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let predicted = (edge + sign * context.c).clamp(0, p.most);
        let k = golomb_bits(context.n, context.a);
        let mapped = self.bits.golomb(k, p.limit, p.range_bits)?;
        let error = match (mapped & 1 == 1, p.near == 0 && k == 0 && 2 * context.b <= -context.n) {
            (false, false) => mapped >> 1,
            (true, false) => -((mapped + 1) >> 1),
            (true, true) => (mapped - 1) >> 1,
            (false, true) => -(mapped >> 1) - 1,
        };
        context.b = context.b.saturating_add(error.saturating_mul(2 * p.near + 1));
        context.a = context.a.saturating_add(error.abs());
        if context.n == p.reset {
            context.a >>= 1;
            context.b >>= 1;
            context.n >>= 1;
        }
        context.n += 1;
        if context.b <= -context.n {
            context.b = (context.b + context.n).max(1 - context.n);
            context.c = (context.c - 1).max(-128);
        } else if context.b > 0 {
            context.b = (context.b - context.n).min(0);
            context.c = (context.c + 1).min(127);
        }
        Ok(p.reconstruct(predicted, sign * error))
    }

    /// The error of the sample that ends a run (A.7.2).
    fn run_end(&mut self, same: bool, index: usize) -> Result<i32, String> {
        let p = self.parameters;
        let context = &mut self.run_contexts[usize::from(same)];
        let counted = if same { context.a + (context.n >> 1) } else { context.a };
        let k = golomb_bits(context.n, counted);
        let mapped = self.bits.golomb(k, p.limit - J[index] - 1, p.range_bits)?;
        let whole = mapped + i32::from(same);
        let odd = whole & 1;
        let size = (whole + odd) / 2;
        let error = if (k != 0 || 2 * context.b >= context.n) == (odd == 1) { -size } else { size };
        if error < 0 {
            context.b += 1;
        }
        context.a = context.a.saturating_add((mapped + 1 - i32::from(same)) >> 1);
        if context.n == p.reset {
            context.a >>= 1;
            context.b >>= 1;
            context.n >>= 1;
        }
        context.n += 1;
        Ok(error)
    }

    /// Pixels of a run among at most `rest` (A.7.1).
    fn run(&mut self, rest: usize, which: usize) -> Result<usize, String> {
        let mut count = 0;
        while self.bits.bit()? == 1 {
            let whole = 1 << J[self.run_index[which]];
            if whole > rest - count {
                return Ok(rest);
            }
            count += whole;
            self.run_index[which] = (self.run_index[which] + 1).min(31);
            if count == rest {
                return Ok(rest);
            }
        }
        count += self.bits.number(J[self.run_index[which]])? as usize;
        if count < rest { Ok(count) } else { Err("it has a run that is too long".to_owned()) }
    }

    /// A row of the components that lie together, below the row `above`. Both have a sample before and behind the image.
    pub(super) fn line(&mut self, above: &mut [Vec<i32>], row: &mut [Vec<i32>], which: usize) -> Result<(), String> {
        let p = self.parameters;
        let components = row.len();
        let width = row[0].len() - 2;
        for (above, row) in above.iter_mut().zip(&mut *row) {
            row[0] = above[1];
            above[width + 1] = above[width];
        }
        let mut x = 1;
        while x <= width {
            let mut gradients = [[0; 3]; 4];
            for (c, gradients) in gradients.iter_mut().enumerate().take(components) {
                let [ra, rb, rc, rd] = [row[c][x - 1], above[c][x], above[c][x - 1], above[c][x + 1]];
                *gradients = [rd - rb, rb - rc, rc - ra].map(|difference| p.quantise(difference));
            }
            if gradients != [[0; 3]; 4] {
                for c in 0..components {
                    row[c][x] = self.regular(gradients[c], [row[c][x - 1], above[c][x], above[c][x - 1]])?;
                }
                x += 1;
                continue;
            }
            let count = self.run(width + 1 - x, which)?;
            for row in &mut *row {
                let value = row[x - 1];
                row[x..x + count].fill(value);
            }
            x += count;
            if x > width {
                break;
            }
            for c in 0..components {
                let (ra, rb) = (row[c][x - 1], above[c][x]);
                // Where components lie together, a run never ends by one that is alike.
                let same = components == 1 && (ra - rb).abs() <= p.near;
                let error = self.run_end(same, self.run_index[which])?;
                row[c][x] = match (same, rb < ra) {
                    (true, _) => p.reconstruct(ra, error),
                    (false, true) => p.reconstruct(rb, -error),
                    (false, false) => p.reconstruct(rb, error),
                };
            }
            self.run_index[which] = self.run_index[which].saturating_sub(1);
            x += 1;
        }
        Ok(())
    }
}
