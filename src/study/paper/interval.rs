//! Of what a study compares: bootstrap intervals, what a ratio cannot exceed, and the ε at which something shows.

use super::spread;
use crate::study::measured_intervals;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::collections::BTreeMap;

/// Resamples, and their seed.
const RESAMPLES: usize = 2000;
const SEED: u64 = 0xB007;

/// The percentile interval of 95 % of what `of` makes of a resample of 0…`n`.
fn percentile(n: usize, of: &mut dyn FnMut(&[usize], &mut ChaCha8Rng) -> f64) -> Option<[f64; 2]> {
    if n < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = draw(n, &mut rng);
            of(&drawn, &mut rng)
        })
        .filter(|value| value.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64).round() as usize).copied();
    Some([at(0.025)?, at(0.975)?])
}

/// `n` of 0…`n`, with repetition.
fn draw(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    (0..n).map(|_| ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize).collect()
}

/// Of the ratio of the means of `above` and `below`, which are of the same images: images are drawn.
pub(super) fn ratio_of_means(above: &[f64], below: &[f64]) -> Option<[f64; 2]> {
    let sum = |values: &[f64], drawn: &[usize]| drawn.iter().filter_map(|&i| values.get(i)).sum::<f64>();
    percentile(above.len().min(below.len()), &mut |drawn, _| sum(above, drawn) / sum(below, drawn))
}

/// What images are drawn with: those of one patient or volume, by their places. Where that is not known, or all are of one, each
/// image is drawn by itself.
pub(super) struct Units {
    members: Vec<Vec<usize>>,
    /// What a unit is, for people.
    pub name: &'static str,
}

impl Units {
    /// Of `images` images, whose patients or volumes are `groups`.
    pub fn new(images: usize, groups: &[String]) -> Self {
        let mut places: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
        for (image, group) in groups.iter().enumerate().take(images) {
            places.entry(group).or_default().push(image);
        }
        let apart = groups.len() < images || places.len() < 2 || places.len() == images;
        if apart {
            return Self { members: (0..images).map(|image| vec![image]).collect(), name: "images" };
        }
        Self { members: places.into_values().collect(), name: "patients or volumes" }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.members.len()
    }
}

/// Of the mean of paired differences, `[seed][image]`: seeds and `units` of images are both drawn, a unit with all its images. The
/// held-out images are the same for all seeds, so one draw of them goes for all (Owen 2007, "The pigeonhole bootstrap"): wider
/// than drawing them apart.
pub(super) fn paired(differences: &[Vec<f64>], units: &Units) -> Option<[f64; 2]> {
    let images = differences.iter().map(Vec::len).min()?;
    if units.members.iter().flatten().any(|&image| image >= images) {
        return None;
    }
    percentile(units.len(), &mut |drawn, rng| {
        let seeds = draw(differences.len(), rng);
        let drawn: Vec<usize> = drawn.iter().flat_map(|&unit| units.members[unit].iter().copied()).collect();
        let sum: f64 = seeds.iter().flat_map(|&s| drawn.iter().map(move |&i| differences[s][i])).sum();
        sum / (seeds.len() * drawn.len()) as f64
    })
}

/// What the ratio of a measure cannot exceed, as a mean over images with all pixels wrong (‖y − p‖₂ = ‖y − ŷ‖₂ = √N for a norm,
/// else a share of 1) over the mean of what is found clean.
pub(super) fn ceiling(sizes: &[f64], clean: &[f64], norm: bool) -> f64 {
    let wrong: Vec<f64> = sizes.iter().map(|n| if norm { n.sqrt() } else { 1.0 }).collect();
    spread(&wrong).0 / spread(clean).0.max(1e-12)
}

/// The measured ε at which a change shows: a union of runs, as no metric need be monotone in ε.
pub(super) fn shown_at(points: impl Iterator<Item = (f64, bool)>) -> String {
    let name = |e: f64| format!("{e:.4} ({:.3}/255)", e * 255.0);
    let texts: Vec<String> = measured_intervals(points)
        .iter()
        .map(|run| match run.points {
            1 => name(run.first),
            _ => format!("{} to {}", name(run.first), name(run.last)),
        })
        .collect();
    if texts.is_empty() {
        "at no measured ε".to_owned()
    } else {
        format!("at the measured ε {}", texts.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of twelve uniforms less six: variance 1.
    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut unit = move || rng.next_u32() as f64 / 4_294_967_296.0;
        (0..n).map(|_| (0..12).map(|_| unit()).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn intervals_are_as_wide_as_theory_says() {
        let alone = Units::new(100, &[]);
        // The mean of 100 differences of deviation 1: ± 1.96/√100.
        let [low, high] = paired(&[noise(100, 1)], &alone).unwrap();
        assert!((high - low - 2.0 * 0.196).abs() < 0.06, "{low} {high}");
        // Seeds that disagree widen it: ± about 1 whatever the number of images.
        let of = |shift: f64| noise(100, 2).iter().map(|v| v * 0.01 + shift).collect::<Vec<f64>>();
        let [low, high] = paired(&[of(-1.0), of(0.0), of(1.0)], &alone).unwrap();
        assert!(low < -0.6 && high > 0.6, "{low} {high}");
        // Images that are hard for both fall out of a paired difference: a small shift is seen.
        let [low, high] = paired(&[of(0.02), of(0.03)], &alone).unwrap();
        assert!(low > 0.01 && high < 0.04, "{low} {high}");
        assert!(paired(&[vec![1.0]], &Units::new(1, &[])).is_none() && paired(&[], &alone).is_none());
        assert!(paired(&[vec![1.0; 3]], &alone).is_none(), "fewer images than are to be drawn");
    }

    #[test]
    fn images_of_one_patient_are_drawn_together() {
        // 25 patients of 4 images that are nearly the same: as much as 25 images say, ± 1.96/√25, and not ± 1.96/√100.
        let patients = noise(25, 5);
        let jitter = noise(100, 6);
        let images: Vec<f64> = (0..100).map(|i| patients[i / 4] + 0.05 * jitter[i]).collect();
        let groups: Vec<String> = (0..100).map(|i| format!("patient {}", i / 4)).collect();
        let width = |units: &Units| paired(std::slice::from_ref(&images), units).map(|[low, high]| high - low).unwrap();
        let (together, apart) = (Units::new(100, &groups), Units::new(100, &[]));
        assert_eq!((together.len(), together.name, apart.len(), apart.name), (25, "patients or volumes", 100, "images"));
        assert!((width(&together) - 2.0 * 0.392).abs() < 0.16, "{}", width(&together));
        assert!(width(&together) > 1.6 * width(&apart), "{} {}", width(&together), width(&apart));
        // One volume only: there is nothing else to draw than its slices.
        assert_eq!(Units::new(3, &["a", "a", "a"].map(str::to_owned)).name, "images");
        // Unequal groups: a unit comes with all of its images.
        let uneven = Units::new(3, &["a", "b", "b"].map(str::to_owned));
        let [low, high] = paired(&[vec![0.0, 1.0, 1.0]], &uneven).unwrap();
        assert_eq!((low, high), (0.0, 1.0));
    }

    #[test]
    fn a_ratio_is_of_the_same_images() {
        let below: Vec<f64> = noise(50, 3).iter().map(|v| 10.0 + v).collect();
        let twice: Vec<f64> = below.iter().map(|v| 2.0 * v).collect();
        let [low, high] = ratio_of_means(&twice, &below).unwrap();
        assert!((low - 2.0).abs() < 1e-12 && (high - 2.0).abs() < 1e-12, "{low} {high}");
        let above: Vec<f64> = noise(50, 4).iter().map(|v| 20.0 + 4.0 * v).collect();
        let [low, high] = ratio_of_means(&above, &below).unwrap();
        // Deviation of the ratio: √(4² + 2²)/(10·√50) = .063.
        assert!((low + high - 4.0).abs() < 0.5 && (high - low - 4.0 * 0.063).abs() < 0.09, "{low} {high}");
    }

    #[test]
    fn no_ratio_exceeds_its_ceiling() {
        // Shares .01, .05 and .2 of images of 10⁴ pixels, and all of them wrong under attack.
        let shares = [0.01, 0.05, 0.2];
        let hard: Vec<f64> = shares.iter().map(|w: &f64| (w * 1e4).sqrt()).collect();
        let top = ceiling(&[1e4; 3], &hard, true);
        assert!((top - 3.8924).abs() < 1e-3, "{top}");
        assert!((ceiling(&[1e4; 3], &shares, false) - 1.0 / spread(&shares).0).abs() < 1e-12);
        assert!(100.0 / spread(&hard).0 <= top * (1.0 + 1e-12));
    }

    #[test]
    fn what_shows_is_a_union_of_measured_runs() {
        let of = |shown: &[f64]| shown_at([0.1, 0.2, 0.3, 0.4, 0.5].into_iter().map(|e| (e, shown.contains(&e))));
        assert_eq!(of(&[]), "at no measured ε");
        assert_eq!(of(&[0.5]), "at the measured ε 0.5000 (127.500/255)");
        assert_eq!(
            of(&[0.1, 0.3, 0.4]),
            "at the measured ε 0.1000 (25.500/255) and 0.3000 (76.500/255) to 0.4000 (102.000/255)"
        );
    }
}
