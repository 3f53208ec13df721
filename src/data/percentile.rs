//! Exact percentiles without a copy of the volume: radix selection over order-preserving integer keys.

use super::{Bounds, Pixels};

/// The lower and upper percentile between which a stack is shown at first, as shares.
pub(super) const PERCENTILES: [f64; 2] = [0.005, 0.995];

/// The 0.5 and 99.5 percentile of all values, exact by nearest rank (numpy's `method="nearest"` up to ties of
/// rank): no sampling, no sorting, two passes at most and 1 MiB of counters. `None` without values.
pub(super) fn percentile_bounds(pixels: &Pixels) -> Option<Bounds> {
    let [lower, upper] = match pixels {
        Pixels::U8(p) => narrow(p.len(), p.iter().map(|&v| u16::from(v)))?,
        Pixels::U16(p) => narrow(p.len(), p.iter().copied())?,
        Pixels::F32(p) => wide(p)?,
    };
    Some(Bounds { lower, upper })
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

fn narrow(len: usize, values: impl Iterator<Item = u16>) -> Option<[f32; 2]> {
    let ranks = ranks(len)?;
    let mut counts = vec![0u64; 1 << 16];
    values.for_each(|v| counts[usize::from(v)] += 1);
    Some(ranks.map(|rank| f32::from(bucket(&counts, rank).0)))
}

fn wide(values: &[f32]) -> Option<[f32; 2]> {
    let ranks = ranks(values.len())?;
    let mut high = vec![0u64; 1 << 16];
    values.iter().for_each(|&v| high[(key(v) >> 16) as usize] += 1);
    let found = ranks.map(|rank| bucket(&high, rank));
    let mut low = [vec![0u64; 1 << 16], vec![0u64; 1 << 16]];
    for &v in values {
        let key = key(v);
        for (counts, (prefix, _)) in low.iter_mut().zip(found) {
            if key >> 16 == u32::from(prefix) {
                counts[(key & 0xffff) as usize] += 1;
            }
        }
    }
    let select = |which: usize| {
        let (prefix, before) = found[which];
        let (suffix, _) = bucket(&low[which], ranks[which] - before);
        from_key(u32::from(prefix) << 16 | u32::from(suffix))
    };
    Some([select(0), select(1)])
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

    fn by_sorting(mut values: Vec<f32>) -> Option<[f32; 2]> {
        values.sort_by(f32::total_cmp);
        Some(ranks(values.len())?.map(|rank| values[rank as usize]))
    }

    proptest! {
        #[test]
        fn floats_agree_with_sorting(values in proptest::collection::vec(-1e9f32..1e9, 1..3000)) {
            prop_assert_eq!(wide(&values), by_sorting(values));
        }

        #[test]
        fn integers_agree_with_sorting(values in proptest::collection::vec(any::<u16>(), 1..3000)) {
            let floats = values.iter().map(|&v| f32::from(v)).collect();
            prop_assert_eq!(narrow(values.len(), values.iter().copied()), by_sorting(floats));
        }
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(wide(&[]), None);
    }
}
