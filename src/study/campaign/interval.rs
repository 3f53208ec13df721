//! Intervals of shares over a data set: the bootstrap over what was drawn by itself. Images of one patient, and seeds on one image,
//! say less than as many patients do, so that patients (or volumes, or images) are drawn with all that belongs to them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;
/// What an interval leaves out on either side: it is of 95 %.
const TAIL: f64 = 0.025;
/// The seed of the resampling: the same rows give the same interval.
const SEED: u64 = 0;

/// The interval of 95 % of a share whose counts are those of `units`: how many of its cases have it, and how many cases there are.
/// Units without cases say nothing; `None` for fewer than two that say something.
///
/// The percentile bootstrap over units, each with all of its cases. Where all cases or none have it, resampling knows no doubt; the
/// open end then is that of Clopper and Pearson for as many units, 1 − 0.025^(1/units) away.
pub fn share_interval(units: &[[usize; 2]]) -> Option<[f64; 2]> {
    let units: Vec<[usize; 2]> = units.iter().copied().filter(|[_, of]| *of > 0).collect();
    let count = units.len();
    if count < 2 {
        return None;
    }
    let share = |[have, of]: [usize; 2]| have as f64 / of.max(1) as f64;
    let sum = |a: [usize; 2], b: &[usize; 2]| [a[0] + b[0], a[1] + b[1]];
    let open = 1.0 - TAIL.powf(1.0 / count as f64);
    match share(units.iter().fold([0; 2], sum)) {
        0.0 => return Some([0.0, open]),
        1.0 => return Some([1.0 - open, 1.0]),
        _ => {}
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut shares: Vec<f64> = (0..RESAMPLES)
        .map(|_| share((0..count).fold([0; 2], |all, _| sum(all, &units[random.random_range(0..count)]))))
        .collect();
    shares.sort_by(f64::total_cmp);
    let quantile = |q: f64| shares[((q * RESAMPLES as f64).ceil() as usize).clamp(1, RESAMPLES) - 1];
    Some([quantile(TAIL), quantile(1.0 - TAIL)])
}

/// Why shares over so many units have no interval, if they have none.
pub fn without_interval(units: usize) -> Option<&'static str> {
    match units {
        0 => Some("none passes clean"),
        1 => Some("all that pass are of one patient, volume or image, and one says nothing of others"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest k with P(Binomial(n, p) ≤ k) ≥ q.
    fn binomial_quantile(n: usize, p: f64, q: f64) -> usize {
        let (mut term, mut sum) = ((1.0 - p).powi(n as i32), 0.0);
        for k in 0..=n {
            sum += term;
            if sum >= q {
                return k;
            }
            term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        n
    }

    #[test]
    fn of_independent_images_it_is_the_binomial_one() {
        for (n, hits) in [(40, 12), (100, 50), (25, 2)] {
            let units: Vec<[usize; 2]> = (0..n).map(|i| [usize::from(i < hits), 1]).collect();
            let [lower, upper] = share_interval(&units).unwrap();
            let exact = |q: f64| binomial_quantile(n, hits as f64 / n as f64, q) as f64 / n as f64;
            let near = |a: f64, b: f64| (a - b).abs() < 1.001 / n as f64;
            assert!(near(lower, exact(TAIL)) && near(upper, exact(1.0 - TAIL)), "{hits} of {n}: {lower} to {upper}");
        }
    }

    #[test]
    fn seeds_that_agree_and_images_of_one_patient_add_nothing() {
        let units = |cases: usize| (0..20).map(|i| [if i < 8 { cases } else { 0 }, cases]).collect::<Vec<_>>();
        let patients = share_interval(&units(1));
        assert_eq!(patients, share_interval(&units(5)));
        let apart: Vec<[usize; 2]> = (0..100).map(|i| [usize::from(i < 40), 1]).collect();
        let width = |interval: Option<[f64; 2]>| interval.map(|[a, b]| b - a).unwrap();
        assert!(width(share_interval(&apart)) < 0.6 * width(patients), "a hundred patients say more");
    }

    #[test]
    fn none_or_all_leave_doubt_and_one_unit_says_nothing() {
        let [lower, upper] = share_interval(&[[0, 3]; 10]).unwrap();
        // Clopper and Pearson, 0 of 10: 0 to 0.3085.
        assert!(lower == 0.0 && (upper - 0.3085).abs() < 1e-4);
        let [lower, upper] = share_interval(&[[3, 3]; 10]).unwrap();
        assert!((lower - 0.6915).abs() < 1e-4 && upper == 1.0);
        assert_eq!(share_interval(&[[5, 9], [0, 0]]), None);
    }

    #[test]
    fn it_holds_the_share_that_patients_are_drawn_with() {
        // Patients with a share of their own, uniform in [0.2, 0.8]; the mean is ½.
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let runs = 200;
        let held = (0..runs)
            .filter(|_| {
                let mut patient = || {
                    let own = 0.2 + 0.6 * random.random::<f64>();
                    [(0..6).filter(|_| random.random::<f64>() < own).count(), 6]
                };
                let units: Vec<[usize; 2]> = (0..40).map(|_| patient()).collect();
                share_interval(&units).is_some_and(|[lower, upper]| (lower..=upper).contains(&0.5))
            })
            .count();
        println!("held {held} of {runs}");
        assert!((178..=199).contains(&held), "{held} of {runs}");
    }
}
