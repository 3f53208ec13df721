//! Shares with their uncertainty, and sensitivity d′.

use std::f64::consts::SQRT_2;

/// Two-sided 95 % of a normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// Wilson's score interval of 95 % of a share, `count` of `total`; all of [0, 1] for no trials.
///
/// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. Brown, Cai & DasGupta,
/// "Interval estimation for a binomial proportion", Statistical Science 2001, recommend it for small numbers.
pub fn wilson(count: u64, total: u64) -> [f64; 2] {
    if total == 0 {
        return [0.0, 1.0];
    }
    let n = total as f64;
    let share = count as f64 / n;
    let (z2, scale) = (Z95 * Z95, 1.0 + Z95 * Z95 / n);
    let middle = (share + z2 / (2.0 * n)) / scale;
    let half = Z95 / scale * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// d′ = z(hit rate) − z(false-alarm rate) of a yes/no task: how many standard deviations the altered images are from the
/// originals. Rates are (count + ½)/(total + 1), so that none is 0 or 1.
///
/// Hautus, "Corrections for extreme proportions and their biasing effects on estimated values of d′", Behavior Research
/// Methods, Instruments & Computers 1995: the log-linear correction.
pub fn d_prime_yes_no(hits: u64, altered: u64, false_alarms: u64, originals: u64) -> f64 {
    normal_quantile(log_linear(hits, altered)) - normal_quantile(log_linear(false_alarms, originals))
}

/// d′ = √2·z(share correct) of a forced choice of two, corrected likewise. Macmillan & Creelman, "Detection Theory", 2005,
/// eq. 7.2: a choice between two looks is easier by √2.
pub fn d_prime_two_alternatives(correct: u64, total: u64) -> f64 {
    SQRT_2 * normal_quantile(log_linear(correct, total))
}

fn log_linear(count: u64, total: u64) -> f64 {
    (count as f64 + 0.5) / (total as f64 + 1.0)
}

/// The value below which a standard normal variable is with probability `p`; infinite at 0 and 1.
///
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 1988 (PPND16),
/// relative error about 1e-16.
pub fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let value = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &FAR) };
    value.copysign(q)
}

/// Numerator over denominator, coefficients from the constant one on.
fn ratio(r: f64, [above, below]: &[[f64; 8]; 2]) -> f64 {
    let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * r + c);
    polynomial(above) / polynomial(below)
}

const CENTRE: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_545,
    ],
];
const MIDDLE: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const FAR: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        // scipy.stats.norm.ppf.
        for (p, z) in [
            (0.5, 0.0),
            (0.75, 0.674_489_750_196_081_7),
            (0.975, 1.959_963_984_540_054),
            (0.001, -3.090_232_306_167_813_5),
            (1e-12, -7.034_483_825_301_131),
            (1.0 - 1e-6, 4.753_424_308_817_087),
        ] {
            let found = normal_quantile(p);
            assert!((found - z).abs() < 1e-9, "{p}: {found}, not {z}");
        }
        assert_eq!([normal_quantile(0.0), normal_quantile(1.0)], [f64::NEG_INFINITY, f64::INFINITY]);
    }

    #[test]
    fn intervals_of_shares() {
        // statsmodels.stats.proportion.proportion_confint(method="wilson").
        let [low, high] = wilson(8, 10);
        assert!((low - 0.490_162_5).abs() < 1e-6 && (high - 0.943_317_8).abs() < 1e-6, "{low} {high}");
        assert_eq!(wilson(0, 10)[0], 0.0);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn sensitivity() {
        // z(20.5/26) − z(10.5/26).
        assert!((d_prime_yes_no(20, 25, 10, 25) - 1.044_7).abs() < 1e-3, "{}", d_prime_yes_no(20, 25, 10, 25));
        assert_eq!(d_prime_yes_no(7, 10, 7, 10), 0.0);
        assert_eq!(d_prime_two_alternatives(5, 10), 0.0);
        let three_quarters = d_prime_two_alternatives(7_500_000, 10_000_000);
        assert!((three_quarters - SQRT_2 * 0.674_489_75).abs() < 1e-6);
        assert!(d_prime_two_alternatives(10, 10).is_finite() && d_prime_yes_no(10, 10, 0, 10).is_finite());
    }
}
