//! From where on a perturbation counts as seen: by a metric, or by an observer's threshold.

use super::{Seen, SeenMetric};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// From where on a perturbation counts as seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// A metric on the other side of a value.
    Metric {
        /// The metric.
        metric: SeenMetric,
        /// Its value at the limit.
        value: f64,
    },
    /// An observer's measured threshold, with its interval of 95 %. There ψ is ¾, so that the perturbation is seen in about half of
    /// all looks: not seen is only what lies below the whole interval.
    Threshold {
        /// ε, as shown, at which ψ is ¾.
        epsilon: f64,
        /// Its interval, where it was measured; of a bare number there is none.
        interval: Option<[f64; 2]>,
    },
}

impl Limit {
    /// Whether a perturbation of `epsilon` is seen; none if its metric was not measured.
    pub fn is_seen(self, epsilon: f64, seen: &Seen) -> Option<bool> {
        match self {
            _ if seen.same => Some(false),
            Self::Threshold { epsilon: threshold, interval } => {
                let low = interval.map_or(threshold, |[low, _]| low);
                Some(epsilon * seen.rounding.unwrap_or(1.0) >= low)
            }
            Self::Metric { metric, value } => {
                let found = seen.get(metric)?;
                Some(if metric.grows_with_visibility() { found > value } else { found < value })
            }
        }
    }
}

impl fmt::Display for Limit {
    /// What "not seen" means: `SSIM at least 0.98`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::report::epsilon::short;
        match *self {
            Self::Metric { metric, value } if metric.grows_with_visibility() => {
                write!(f, "{} at most {value}", metric.title())
            }
            Self::Metric { metric, value } => write!(f, "{} at least {value}", metric.title()),
            Self::Threshold { epsilon, interval: Some([low, high]) } => {
                let [epsilon, low, high] = [epsilon, low, high].map(short);
                write!(
                    f,
                    "ε below {low}, the lower end of the observer’s threshold {epsilon} (detected in half of all looks; 95 %: {low} to {high})"
                )
            }
            Self::Threshold { epsilon, .. } => write!(f, "ε below the given {}", short(epsilon)),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    /// `ssim:0.98`, `flip:0.05`; `epsilon:4/255` for a threshold that was measured elsewhere.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once(':').ok_or_else(|| format!("`{text}`: write a metric and its limit, as in ssim:0.98"))?;
        if name.trim() == "epsilon" {
            let epsilon = super::report::epsilon::number(value).map_err(|e| e.to_string())?;
            return Ok(Self::Threshold { epsilon, interval: None });
        }
        let metric = name.parse()?;
        match value.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Self::Metric { metric, value }),
            _ => Err(format!("`{text}`: {} is no limit, write a number as in ssim:0.98", value.trim())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_in_words() {
        let ssim: Limit = "ssim:0.98".parse().unwrap();
        assert_eq!(ssim.to_string(), "SSIM at least 0.98");
        let seen = Seen::default().with(SeenMetric::Ssim, 0.97).with(SeenMetric::Flip, 0.04);
        assert_eq!(ssim.is_seen(0.1, &seen), Some(true));
        assert_eq!("flip: 0.05".parse::<Limit>().unwrap().is_seen(0.1, &seen), Some(false));
        let threshold: Limit = "epsilon:4/255".parse().unwrap();
        assert_eq!([3.0, 4.0].map(|l| threshold.is_seen(l / 255.0, &seen)), [Some(false), Some(true)]);
        assert_eq!(threshold.to_string(), "ε below the given 4/255", "nobody measured an interval");
        // Rounded to the screen's levels 3.6 is 4, and nothing where both are shown the same.
        let rounded = Seen { rounding: Some(4.0 / 3.6), ..seen };
        assert_eq!(threshold.is_seen(3.6 / 255.0, &rounded), Some(true));
        assert_eq!(threshold.is_seen(5.0 / 255.0, &Seen { same: true, ..seen }), Some(false));
        // At the threshold it is seen half of the time: only below the whole interval it is not.
        let measured = Limit::Threshold { epsilon: 4.0 / 255.0, interval: Some([3.0 / 255.0, 6.0 / 255.0]) };
        assert_eq!([2.9, 3.1].map(|l| measured.is_seen(l / 255.0, &seen)), [Some(false), Some(true)]);
        assert!(measured.to_string().contains("below 3/255, the lower end"), "{measured}");
        let same = Seen { same: true, ..Seen::default() };
        assert_eq!("psnr:40".parse::<Limit>().unwrap().is_seen(0.001, &same), Some(false), "shown the same");
        assert_eq!("flip:0.05".parse::<Limit>().unwrap().is_seen(0.1, &Seen::default()), None, "not measured");
        for wrong in ["ssim", "beauty:1", "ssim:high", "epsilon:2"] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }
}
