//! What the plot can show over ε.

use crate::study::{CurvePoint, Measure, SeenMetric};
use serde::{Deserialize, Serialize};

/// One measure as a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Dice of the positive class.
    Dice,
    /// Intersection over union of the positive class.
    Iou,
    /// Share of pixels whose predicted class is not the reference's.
    Wrong,
    /// Root mean square of reference minus probability.
    Rmse,
    /// Euclidean norm of reference minus probability.
    PixelError,
    /// The probability of the true class, of a model that classifies.
    TrueClass,
    /// The probability of the class that such a model chooses.
    Confidence,
    /// The logit of the true class less the largest of the others.
    Margin,
    /// How visible the perturbation is on the screen.
    Seen(SeenMetric),
}

impl Quantity {
    /// Those of masks, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Dice, Self::Iou, Self::Wrong, Self::Rmse, Self::PixelError];
    /// Those of decisions.
    pub const CLASSES: [Self; 3] = [Self::TrueClass, Self::Confidence, Self::Margin];

    /// Those of masks, or of decisions.
    pub fn offered(of_classes: bool) -> &'static [Self] {
        if of_classes { &Self::CLASSES } else { &Self::ALL }
    }

    /// Those of `chosen` that are offered; the first ones where none is.
    pub fn shown(chosen: &[Self], of_classes: bool) -> Vec<Self> {
        let offered = Self::offered(of_classes);
        let shown: Vec<Self> = chosen.iter().copied().filter(|q| offered.contains(q)).collect();
        if shown.is_empty() { offered[..1].to_vec() } else { shown }
    }

    /// The name in the legend.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dice => "Dice",
            Self::Iou => "IoU",
            Self::Wrong => "Wrong pixels",
            Self::Rmse => "RMSE",
            Self::PixelError => "Pixel error",
            Self::TrueClass => "P(true class)",
            Self::Confidence => "P(chosen class)",
            Self::Margin => "Margin",
            Self::Seen(metric) => metric.title(),
        }
    }

    /// The definition, for the tooltip. `positive` is the class that Dice and IoU speak of.
    pub fn definition(self, positive: &str) -> String {
        match self {
            Self::Dice => format!("Dice of {positive}: 2·TP / (2·TP + FP + FN). 1 is a perfect match."),
            Self::Iou => format!("Intersection over union of {positive}: TP / (TP + FP + FN). 1 is a perfect match."),
            Self::Wrong => "Share of pixels whose predicted class is not the reference's.".to_owned(),
            Self::Rmse => "Root mean square error ‖y − p‖₂ / √N: y is the reference, p the probability, N the number \
                           of pixels."
                .to_owned(),
            Self::PixelError => "Pixel error as in AdvU-Net (Kwon and Jeong 2022): the Euclidean norm ‖y − p‖₂ of \
                                 reference minus probability over all pixels. Its axis is its own."
                .to_owned(),
            Self::TrueClass => {
                "The probability of the true class (the reference). It falls as the attack works.".to_owned()
            }
            Self::Confidence => {
                "The probability of the class that the model chooses, right or wrong: how sure it is.".to_owned()
            }
            Self::Margin => {
                "The logit of the true class less the largest of the others: below 0 the decision is wrong. Its axis \
                             is its own."
                    .to_owned()
            }
            Self::Seen(metric) => crate::workbench::seen::definition(metric).to_owned(),
        }
    }

    /// Whether it lies in [0, 1] and shares that axis.
    pub fn is_share(self) -> bool {
        !matches!(
            self,
            Self::PixelError
                | Self::Margin
                | Self::Seen(SeenMetric::Psnr | SeenMetric::Butteraugli | SeenMetric::Ciede2000)
        )
    }

    /// The metric of visibility that it is, if it is one.
    pub fn seen(self) -> Option<SeenMetric> {
        match self {
            Self::Seen(metric) => Some(metric),
            _ => None,
        }
    }

    /// Its value; not a number where it was not measured.
    pub fn of(self, measure: &Measure) -> f64 {
        match self {
            Self::Dice => measure.overlap.dice,
            Self::Iou => measure.overlap.iou,
            Self::Wrong => measure.error.wrong,
            Self::Rmse => measure.error.rmse,
            Self::PixelError => measure.error.l2,
            Self::TrueClass => measure.decision.map_or(f64::NAN, |d| d.probability),
            Self::Confidence => measure.decision.map_or(f64::NAN, |d| d.confidence),
            Self::Margin => measure.decision.map_or(f64::NAN, |d| d.margin),
            Self::Seen(metric) => measure.seen.get(metric).unwrap_or(f64::NAN),
        }
    }

    /// Its value for people.
    pub fn text(self, measure: &Measure) -> String {
        let value = self.of(measure);
        match self {
            Self::Wrong => format!("{:.2} %", value * 100.0),
            Self::PixelError => format!("{value:.1}"),
            Self::TrueClass | Self::Confidence => format!("{:.1} %", value * 100.0),
            Self::Margin => format!("{value:+.2}"),
            Self::Seen(metric) => crate::workbench::seen::value_text(metric, &measure.seen),
            Self::Dice | Self::Iou | Self::Rmse => format!("{value:.3}"),
        }
    }

    /// Its points for the plot: the clean value at ε = 0, then `points` in ascending ε, at `position(ε)`.
    pub fn series(self, clean: &Measure, points: &[CurvePoint], position: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
        let start = points.first().is_none_or(|p| p.epsilon > 0.0).then(|| [position(0.0), self.of(clean)]);
        let all = start.into_iter().chain(points.iter().map(|p| [position(p.epsilon), self.of(&p.measure)]));
        all.filter(|[_, value]| value.is_finite()).collect()
    }
}

/// The point measured nearest to `x` along the plot, where points lie at `position(ε)`.
pub fn nearest(points: &[CurvePoint], x: f64, position: impl Fn(f64) -> f64) -> Option<&CurvePoint> {
    points.iter().min_by(|a, b| (position(a.epsilon) - x).abs().total_cmp(&(position(b.epsilon) - x).abs()))
}
