//! How visible a perturbation is on a screen, by metrics: values that stand for an observer until one was asked.

use crate::data::Bounds;
use crate::metric::{ImagePair, MetricError, butteraugli, ciede2000, flip, gmsd, haarpsi, ms_ssim, ssim, vif};
use crate::view::{Presentation, Window};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A metric of visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenMetric {
    /// Peak signal-to-noise ratio, dB.
    Psnr,
    /// Structural similarity.
    Ssim,
    /// Structural similarity over five scales.
    MsSsim,
    /// Visual information fidelity.
    Vif,
    /// Haar wavelet-based perceptual similarity.
    HaarPsi,
    /// Gradient magnitude similarity deviation.
    Gmsd,
    /// FLIP's mean.
    Flip,
    /// Butteraugli's distance.
    Butteraugli,
    /// Mean difference of colours, ΔE₀₀.
    Ciede2000,
}

impl SeenMetric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Psnr,
        Self::Ssim,
        Self::Gmsd,
        Self::HaarPsi,
        Self::MsSsim,
        Self::Vif,
        Self::Flip,
        Self::Butteraugli,
        Self::Ciede2000,
    ];
    /// Those that every curve carries.
    pub const ALWAYS: [Self; 2] = [Self::Psnr, Self::Ssim];

    /// For commands and tables: `ssim`, `ms-ssim`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Psnr => "psnr",
            Self::Ssim => "ssim",
            Self::MsSsim => "ms-ssim",
            Self::Vif => "vif",
            Self::HaarPsi => "haarpsi",
            Self::Gmsd => "gmsd",
            Self::Flip => "flip",
            Self::Butteraugli => "butteraugli",
            Self::Ciede2000 => "ciede2000",
        }
    }

    /// For people, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR in dB",
            Self::Ssim => "SSIM",
            Self::MsSsim => "MS-SSIM",
            Self::Vif => "VIF",
            Self::HaarPsi => "HaarPSI",
            Self::Gmsd => "GMSD",
            Self::Flip => "FLIP",
            Self::Butteraugli => "Butteraugli",
            Self::Ciede2000 => "ΔE00",
        }
    }

    /// Whether a larger value means that more is seen.
    pub fn grows_with_visibility(self) -> bool {
        matches!(self, Self::Gmsd | Self::Flip | Self::Butteraugli | Self::Ciede2000)
    }

    /// Up to this value it is taken for not seen unless a person says otherwise. Only an observer can say where something is seen.
    pub fn usual_limit(self) -> f64 {
        match self {
            Self::Psnr => 40.0,
            Self::Ssim => 0.98,
            Self::MsSsim => 0.99,
            Self::Vif => 0.9,
            Self::HaarPsi => 0.95,
            Self::Gmsd => 0.02,
            Self::Flip => 0.05,
            Self::Butteraugli | Self::Ciede2000 => 1.0,
        }
    }

    /// Whose [`Self::usual_limit`] it is.
    pub fn limit_source(self) -> &'static str {
        match self {
            Self::Butteraugli => {
                "its authors take a distance of 1 for just noticeable (Alakuijala et al., “Users prefer Guetzli JPEG”, 2017)"
            }
            Self::Ciede2000 => {
                "a just noticeable difference of large patches is put at about 1 (Sharma et al. 2005); of fine noise nobody has measured it"
            }
            _ => "a convention of this program: its authors name no such value",
        }
    }

    fn of(self, pair: &ImagePair<'_>, pixels_per_degree: f64) -> Result<f64, MetricError> {
        match self {
            Self::Psnr => Ok(pair.psnr()),
            Self::Ssim => ssim(pair).map(|map| map.value),
            Self::MsSsim => ms_ssim(pair),
            Self::Vif => vif(pair).map(|map| map.value),
            Self::HaarPsi => haarpsi(pair).map(|map| map.value),
            Self::Gmsd => gmsd(pair).map(|map| map.value),
            Self::Flip => flip(pair, pixels_per_degree).map(|map| map.value),
            Self::Butteraugli => butteraugli(pair).map(|map| map.value),
            Self::Ciede2000 => ciede2000(pair).map(|map| map.value),
        }
    }
}

impl FromStr for SeenMetric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|m| m.name() == text.trim())
            .ok_or_else(|| format!("there is no metric `{}`: choose from {}", text.trim(), names()))
    }
}

/// What is measured of the shown image, and how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenPlan {
    /// The metrics.
    pub metrics: Vec<SeenMetric>,
    /// Window, inversion and bits of the screen.
    pub presentation: Presentation,
    /// Image pixels in a degree of visual angle, for FLIP: its evaluator's default is 67, a 24″ screen of 4K at 0.7 m.
    pub pixels_per_degree: f64,
}

impl Default for SeenPlan {
    fn default() -> Self {
        let metrics = SeenMetric::ALWAYS.to_vec();
        Self { metrics, presentation: Presentation::default(), pixels_per_degree: 67.0 }
    }
}

impl SeenPlan {
    /// Whether both show images the same, so that a metric's value under one is that under the other.
    pub fn shows_as(&self, other: &Self) -> bool {
        self.presentation == other.presentation && self.pixels_per_degree == other.pixels_per_degree
    }
}

/// What is to be measured of many images, whose bounds may differ: the same pixel values are shown black and white in each.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenWanted {
    /// The metrics.
    pub metrics: Vec<SeenMetric>,
    /// The pixel values that are shown black and white; the bounds if none.
    pub window: Option<Bounds>,
    /// Large values are shown dark.
    pub inverted: bool,
    /// Bits of the screen.
    pub bits: u8,
    /// As of [`SeenPlan`].
    pub pixels_per_degree: f64,
}

impl SeenWanted {
    /// What is to be measured of an image with `bounds`.
    pub fn plan(&self, bounds: Bounds) -> SeenPlan {
        let fraction = |value: f32| (value - bounds.lower) / bounds.width();
        let window =
            self.window.map_or(Window::FULL, |w| Window { lower: fraction(w.lower), upper: fraction(w.upper) });
        let presentation = Presentation { window, inverted: self.inverted, bits: self.bits };
        SeenPlan { metrics: self.metrics.clone(), presentation, pixels_per_degree: self.pixels_per_degree }
    }

    /// How images are shown, in words.
    pub fn shown(&self) -> String {
        let window = self.window.map_or("the bounds".to_owned(), |b| format!("{} to {}", b.lower, b.upper));
        let inverted = if self.inverted { ", inverted" } else { "" };
        format!("{window}{inverted}, {} bits, {} pixels a degree", self.bits, self.pixels_per_degree)
    }
}

impl fmt::Display for SeenWanted {
    /// All that values depend on, for keys of tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.metrics.iter().map(|m| m.name()).collect();
        write!(f, "{}; {}", names.join(" "), self.shown())
    }
}

/// Values of the metrics on the shown images; none where a metric was not asked for, or has no finite value (PSNR of images that look
/// the same).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    pub(super) values: [Option<f64>; SeenMetric::ALL.len()],
    /// Whether both images are shown the same, level by level.
    pub same: bool,
    /// What rounding to the screen's levels makes of the perturbation's contrast ([`Presentation::rounding`]), where that was measured.
    pub rounding: Option<f64>,
    /// The same metrics of the image as its file's type holds it, over all of its bounds.
    pub(super) stored: [Option<f64>; SeenMetric::ALL.len()],
    /// Whether a file holds both as the same numbers, where that was measured.
    pub stored_same: Option<bool>,
}

impl Seen {
    /// Measures two images of one shape (channels, height, width) in fractions of the bounds, as `plan` shows them. A metric
    /// that is not defined for images of this size or number of channels is left out.
    ///
    /// # Errors
    /// [`MetricError`] where the images themselves are at fault.
    pub fn measure(
        original: &[f32],
        adversarial: &[f32],
        shape: [usize; 3],
        plan: &SeenPlan,
    ) -> Result<Self, MetricError> {
        let [a, b] = [original, adversarial].map(|image| plan.presentation.shown(image));
        let pair = ImagePair::new(&a, &b, shape)?;
        let rounding = plan.presentation.rounding(original, adversarial);
        let mut seen = Self { same: a == b, rounding: Some(rounding), ..Self::default() };
        for &metric in &plan.metrics {
            seen.values[metric as usize] = match metric.of(&pair, plan.pixels_per_degree) {
                Ok(value) => value.is_finite().then_some(value),
                Err(MetricError::TooSmall { .. } | MetricError::Channels { .. }) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(seen)
    }

    /// The value of `metric`.
    pub fn get(&self, metric: SeenMetric) -> Option<f64> {
        self.values[metric as usize]
    }

    /// The value of `metric` on the image as its file's type holds it.
    pub fn stored(&self, metric: SeenMetric) -> Option<f64> {
        self.stored[metric as usize]
    }

    /// The same with what was measured of the images that a file holds.
    #[must_use]
    pub fn with_stored(self, in_a_file: &Self) -> Self {
        Self { stored: in_a_file.values, stored_same: Some(in_a_file.same), ..self }
    }

    /// The same with `metric` at `value`.
    pub fn with(mut self, metric: SeenMetric, value: f64) -> Self {
        self.values[metric as usize] = Some(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp under waves, and the same with random signs of 2/255.
    fn images() -> ([usize; 3], Vec<f32>, Vec<f32>) {
        let size = 48;
        let original: Vec<f32> = (0..size * size)
            .map(|i| 0.5 + 0.04 * ((i % size) as f32 * 0.4).sin() * ((i / size) as f32 * 0.3).cos())
            .collect();
        let sign = |i: usize| if (i as u32).wrapping_mul(0x9E37_79B1) >> 31 == 0 { 1.0 } else { -1.0 };
        let changed = original.iter().enumerate().map(|(i, v)| v + sign(i) * 2.0 / 255.0).collect();
        ([1, size, size], original, changed)
    }

    fn plan(lower: f32, upper: f32, inverted: bool) -> SeenPlan {
        let presentation = Presentation { window: Window { lower, upper }, inverted, bits: 8 };
        SeenPlan { metrics: SeenMetric::ALL.to_vec(), presentation, pixels_per_degree: 30.0 }
    }

    #[test]
    fn a_narrow_window_raises_visibility_in_every_metric() {
        let (shape, original, changed) = images();
        let measure = |plan: SeenPlan| Seen::measure(&original, &changed, shape, &plan).unwrap();
        let steps = [(0.0, 1.0), (0.25, 0.75), (0.45, 0.55)].map(|(lower, upper)| measure(plan(lower, upper, false)));
        for metric in SeenMetric::ALL {
            if metric == SeenMetric::MsSsim {
                assert_eq!(steps[0].get(metric), None, "five scales need 161 pixels");
                continue;
            }
            let values = steps.map(|s| s.get(metric).unwrap());
            println!("{}: {values:?}", metric.name());
            // PSNR falls by the gain. Of structure a narrow window shows more too: what similarity there is can stay.
            let more = |a: f64, b: f64| if metric.grows_with_visibility() { b > a } else { b < a };
            assert!(more(values[0], values[2]), "{}: {values:?}", metric.name());
        }
        let gain = steps[0].get(SeenMetric::Psnr).unwrap() - steps[1].get(SeenMetric::Psnr).unwrap();
        assert!((gain - 20.0 * 2f64.log10()).abs() < 0.5, "half the window, twice the contrast: {gain} dB");
    }

    #[test]
    fn inversion_changes_what_depends_on_brightness_and_nothing_else() {
        let (shape, original, changed) = images();
        let measure = |inverted| Seen::measure(&original, &changed, shape, &plan(0.3, 0.9, inverted)).unwrap();
        let (plain, inverted) = (measure(false), measure(true));
        let difference = |metric| (plain.get(metric).unwrap() - inverted.get(metric).unwrap()).abs();
        assert!(difference(SeenMetric::Psnr) < 1e-3, "{}", difference(SeenMetric::Psnr));
        assert!(difference(SeenMetric::Flip) > 1e-4, "the eye sees steps of dark and of bright greys differently");
    }

    #[test]
    fn what_looks_the_same_is_not_seen() {
        let (shape, original, _) = images();
        let shown = Seen::measure(&original, &original, shape, &SeenPlan::default()).unwrap();
        assert_eq!((shown.same, shown.get(SeenMetric::Psnr), shown.get(SeenMetric::Ssim)), (true, None, Some(1.0)));
    }
}
