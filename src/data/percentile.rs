//! Range and percentiles of a volume, exact and without a copy of it: radix selection over order-preserving integer
//! keys, counted by all cores at once. Integers take one pass over the values, floats two.

use super::{Bounds, Pixels};
use rayon::prelude::*;

/// The lower and upper percentile between which a stack is shown at first, as shares.
pub(super) const PERCENTILES: [f64; 2] = [0.005, 0.995];

/// Values that a core counts at a time.
const PIECE: usize = 1 << 22;

/// How the values of a volume are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// The least and the largest value.
    pub range: Bounds,
    /// The 0.5 and 99.5 percentile of all values by nearest rank (numpy's `method="nearest"` up to ties of rank).
    pub percentiles: Bounds,
}

/// The spread of all values: no sampling, no sorting. `None` without values; values that are not finite must not be there.
pub(super) fn spread(pixels: &Pixels) -> Option<Spread> {
    match pixels {
        Pixels::U8(p) => narrow(p, u16::from, f32::from),
        Pixels::U16(p) => narrow(p, |v| v, f32::from),
        // With its sign turned, the least number has the least key.
        Pixels::I16(p) => narrow(p, |v| v.cast_unsigned() ^ 0x8000, |key| f32::from((key ^ 0x8000).cast_signed())),
        Pixels::F32(p) => wide(p),
    }
}

fn ranks(len: usize) -> Option<[u64; 2]> {
    let last = len.checked_sub(1)?;
    Some(PERCENTILES.map(|share| (share * last as f64).round() as u64))
}

/// The bucket that holds `rank`, and how many values lie in the buckets before it.
fn bucket(counts: &[u64], rank: u64) -> (u16, u64) {
    let mut before = 0;
    for (index, &count) in counts.iter().enumerate() {
        if rank < before + count {
            return (index as u16, before);
        }
        before += count;
    }
    (u16::MAX, before)
}

/// How many values have each key, by all cores.
fn count<T: Copy + Sync>(values: &[T], key: impl Fn(T) -> Option<u16> + Sync) -> Vec<u64> {
    let one = |piece: &[T]| {
        // Two counters in turn: neighbours are often equal, and adding twice to one place waits for itself.
        let mut counts = vec![[0u32; 2]; 1 << 16];
        for pair in piece.chunks(2) {
            for (which, &value) in pair.iter().enumerate() {
                if let Some(key) = key(value) {
                    counts[usize::from(key)][which] += 1;
                }
            }
        }
        counts.iter().map(|&[a, b]| u64::from(a) + u64::from(b)).collect::<Vec<_>>()
    };
    let add = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    values.par_chunks(PIECE).map(one).reduce_with(add).unwrap_or_else(|| vec![0; 1 << 16])
}

/// Of numbers of at most 16 bits: their counts say everything.
fn narrow<T: Copy + Sync>(values: &[T], key: impl Fn(T) -> u16 + Sync, value: impl Fn(u16) -> f32) -> Option<Spread> {
    let ranks = ranks(values.len())?;
    let counts = count(values, |v| Some(key(v)));
    let lower = counts.iter().position(|&count| count > 0)?;
    let upper = counts.iter().rposition(|&count| count > 0)?;
    let bounds = |[lower, upper]: [u16; 2]| Bounds { lower: value(lower), upper: value(upper) };
    Some(Spread {
        range: bounds([lower as u16, upper as u16]),
        percentiles: bounds(ranks.map(|rank| bucket(&counts, rank).0)),
    })
}

/// Of floats: the upper halves of their keys first, then the lower halves of those that fall together with a rank.
fn wide(values: &[f32]) -> Option<Spread> {
    let ranks = ranks(values.len())?;
    let high = count(values, |v| Some((key(v) >> 16) as u16));
    let first = high.iter().position(|&count| count > 0)? as u16;
    let last = high.iter().rposition(|&count| count > 0)? as u16;
    let [low, high_rank] = ranks.map(|rank| bucket(&high, rank));
    // The ends of the range and the percentiles: four prefixes, of which some are often the same.
    let mut prefixes = vec![first, low.0, high_rank.0, last];
    prefixes.dedup();
    let suffixes: Vec<(u16, Vec<u64>)> = prefixes
        .into_iter()
        .map(|prefix| {
            let counts = count(values, |v| {
                let key = key(v);
                (key >> 16 == u32::from(prefix)).then_some(key as u16)
            });
            (prefix, counts)
        })
        .collect();
    let select = |(prefix, rank): (u16, u64)| {
        let (_, counts) = suffixes.iter().find(|(p, _)| *p == prefix)?;
        let (suffix, _) = bucket(counts, rank);
        Some(from_key(u32::from(prefix) << 16 | u32::from(suffix)))
    };
    let most = high[usize::from(last)].checked_sub(1)?;
    Some(Spread {
        range: Bounds { lower: select((first, 0))?, upper: select((last, most))? },
        percentiles: Bounds {
            lower: select((low.0, ranks[0] - low.1))?,
            upper: select((high_rank.0, ranks[1] - high_rank.1))?,
        },
    })
}

/// Ascending in the value for finite floats: negative numbers have all bits flipped, others the sign bit.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn from_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_sorting(mut values: Vec<f32>) -> Option<Spread> {
        values.sort_by(f32::total_cmp);
        let [lower, upper] = ranks(values.len())?.map(|rank| values[rank as usize]);
        let range = Bounds { lower: values[0], upper: *values.last()? };
        Some(Spread { range, percentiles: Bounds { lower, upper } })
    }

    proptest! {
        #[test]
        fn floats_agree_with_sorting(values in proptest::collection::vec(-1e9f32..1e9, 1..3000)) {
            prop_assert_eq!(wide(&values), by_sorting(values));
        }

        #[test]
        fn integers_agree_with_sorting(values in proptest::collection::vec(any::<u16>(), 1..3000)) {
            let floats = values.iter().map(|&v| f32::from(v)).collect();
            prop_assert_eq!(spread(&Pixels::U16(values.into())), by_sorting(floats));
        }

        #[test]
        fn signed_integers_agree_with_sorting(values in proptest::collection::vec(any::<i16>(), 1..3000)) {
            let floats = values.iter().map(|&v| f32::from(v)).collect();
            prop_assert_eq!(spread(&Pixels::I16(values.into())), by_sorting(floats));
        }
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(wide(&[]), None);
        assert_eq!(spread(&Pixels::U8([].into())), None);
    }
}
