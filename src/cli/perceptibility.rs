//! Arguments on what is seen: how the image is shown, which metrics compare it, and from where on it counts as seen.

use super::options::parse_bounds;
use crate::data::Bounds;
use crate::study::report::{Criterion, epsilon};
use crate::study::{Curve, EpsilonWindow, Limit, SeenMetric, SeenPlan, SeenWanted};

/// What is seen.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "What is seen")]
pub(super) struct SeenOptions {
    /// Up to where a perturbation is not seen, to find the ε that break the model unseen (of several images: of each, with
    /// median and quartiles over all): a metric with its limit (ssim:0.98,
    /// flip:0.05, butteraugli:1) or an observer's threshold (epsilon:4/255), as `epsiloscope observer fit` finds it.
    #[arg(long, value_name = "METRIC:LIMIT")]
    unseen: Option<Limit>,
    /// Metrics to measure beside PSNR and SSIM: gmsd, haarpsi, ms-ssim, vif, flip, butteraugli.
    #[arg(long, value_name = "METRIC,…", value_delimiter = ',')]
    metrics: Vec<SeenMetric>,
    /// The pixel values that the screen shows black and white. Without it, the bounds.
    #[arg(long, value_name = "LOWER,UPPER", value_parser = parse_bounds, allow_hyphen_values = true)]
    shown_window: Option<Bounds>,
    /// Large values are shown dark (DICOM's MONOCHROME1).
    #[arg(long)]
    shown_inverted: bool,
    /// Bits of the screen.
    #[arg(long, value_name = "BITS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=16))]
    shown_bits: u8,
    /// Image pixels in a degree of visual angle, for FLIP.
    #[arg(long, value_name = "PIXELS", default_value_t = 67.0)]
    pixels_per_degree: f64,
}

impl Default for SeenOptions {
    fn default() -> Self {
        Self {
            unseen: None,
            metrics: Vec::new(),
            shown_window: None,
            shown_inverted: false,
            shown_bits: 8,
            pixels_per_degree: 67.0,
        }
    }
}

impl SeenOptions {
    /// What is to be measured of a case with `bounds`.
    ///
    /// # Errors
    /// If the window is empty, or nobody sits at such a distance.
    pub fn plan(&self, bounds: Bounds) -> anyhow::Result<SeenPlan> {
        Ok(self.wanted()?.plan(bounds))
    }

    /// Whether anything is to be measured of many images: it takes time, so that it has to be asked for.
    pub fn is_asked_for(&self) -> bool {
        self.unseen.is_some() || !self.metrics.is_empty()
    }

    /// Up to where nothing is seen, if that was said.
    pub fn limit(&self) -> Option<Limit> {
        self.unseen
    }

    /// What is to be measured of images with any bounds.
    ///
    /// # Errors
    /// As of [`Self::plan`].
    pub fn wanted(&self) -> anyhow::Result<SeenWanted> {
        if let Some(Bounds { lower, upper }) = self.shown_window {
            anyhow::ensure!(lower < upper, "--shown-window: {lower} is not below {upper}");
        }
        let distance = (1.0..=1000.0).contains(&self.pixels_per_degree);
        anyhow::ensure!(distance, "--pixels-per-degree: {} is not from 1 to 1000", self.pixels_per_degree);
        let mut metrics = SeenMetric::ALWAYS.to_vec();
        let limit = match self.unseen {
            Some(Limit::Metric { metric, .. }) => Some(metric),
            _ => None,
        };
        for &metric in self.metrics.iter().chain(&limit) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        Ok(self.wanted_of(metrics))
    }

    /// The options that were given, with their values.
    pub fn words(&self) -> Vec<(&'static str, Option<String>)> {
        let metrics: Vec<&str> = self.metrics.iter().map(|m| m.name()).collect();
        let unseen = self.unseen.map(|limit| match limit {
            Limit::Metric { metric, value } => format!("{}:{value}", metric.name()),
            Limit::Threshold { epsilon, .. } => format!("epsilon:{epsilon}"),
        });
        let default = Self::default();
        vec![
            ("--unseen", unseen),
            ("--metrics", (!metrics.is_empty()).then(|| metrics.join(","))),
            ("--shown-window", self.shown_window.map(|b| format!("{},{}", b.lower, b.upper))),
            ("--shown-bits", (self.shown_bits != default.shown_bits).then(|| self.shown_bits.to_string())),
            (
                "--pixels-per-degree",
                (self.pixels_per_degree != default.pixels_per_degree).then(|| self.pixels_per_degree.to_string()),
            ),
            // Last: it has no value.
            ("", self.shown_inverted.then(|| "--shown-inverted".to_owned())),
        ]
    }

    fn wanted_of(&self, metrics: Vec<SeenMetric>) -> SeenWanted {
        SeenWanted {
            metrics,
            window: self.shown_window,
            inverted: self.shown_inverted,
            bits: self.shown_bits,
            pixels_per_degree: self.pixels_per_degree,
        }
    }

    /// How the image was shown, in words.
    pub fn shown(&self) -> String {
        self.wanted_of(Vec::new()).shown()
    }

    /// The ε window in words, if it was asked for.
    pub fn window(&self, curve: &Curve, criterion: Criterion) -> Option<String> {
        let window = EpsilonWindow::new(curve, criterion, self.unseen?);
        let ends = window.ends().map(|[first, last]| {
            format!("Breaks the model unseen from ε = {} to {}. ", epsilon::both(first), epsilon::both(last))
        });
        let explanation = window.suggest().explanation;
        Some(match ends {
            Some(ends) => format!("{ends}Suggested: {explanation}"),
            None => explanation,
        })
    }
}
