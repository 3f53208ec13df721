//! The curve as far as it is measured, and what of it must be measured again: what is seen of an image depends on the window,
//! the screen's bits and the metrics, which change while the rest of a point stays true.

use crate::study::{Curve, CurvePoint, Seen, SeenPlan, same_epsilon};

/// The newest curve.
#[derive(Default)]
pub(super) struct KeptCurve {
    curve: Option<(u64, Curve)>,
    /// The generation that the newest job is of, and what it measures of the shown image.
    wished: Option<(u64, SeenPlan)>,
    /// ε of that generation whose points were measured by another plan than the newest.
    again: Vec<f64>,
}

impl KeptCurve {
    /// A job is to measure `seen` on the curve of `generation`. Values that were measured under another window are taken away at
    /// once, so that nobody takes them for those of this one; the points are to be measured [again](Self::again).
    pub fn begin(&mut self, generation: u64, seen: &SeenPlan) {
        match &self.wished {
            Some((known, before)) if *known == generation => {
                if before == seen {
                    return;
                }
                let shows_as = before.shows_as(seen);
                if let Some((_, curve)) = self.curve.as_mut().filter(|(known, _)| *known == generation) {
                    self.again = curve.points.iter().map(|point| point.epsilon).collect();
                    if !shows_as {
                        curve.clean.seen = Seen::default();
                        forget_seen(&mut curve.points);
                        forget_seen(&mut curve.control);
                    }
                }
            }
            _ => self.again.clear(),
        }
        self.wished = Some((generation, seen.clone()));
    }

    /// Adds the points of `curve`, of which a job has measured `seen`, to those of the same generation; drops those of older ones.
    /// Not so, and `false`, where a newer job shows the image otherwise.
    pub fn keep(&mut self, generation: u64, seen: &SeenPlan, curve: &Curve) -> bool {
        let newer = self.wished.as_ref().filter(|(known, _)| *known == generation);
        if newer.is_some_and(|(_, newer)| !newer.shows_as(seen)) {
            return false;
        }
        if newer.is_none_or(|(_, newer)| newer == seen) {
            self.again.retain(|epsilon| !has(&curve.points, *epsilon));
        }
        match &mut self.curve {
            Some((known, kept)) if *known == generation => {
                kept.clean = curve.clean;
                for &point in &curve.points {
                    Curve::insert(&mut kept.points, point);
                }
                for &point in &curve.control {
                    Curve::insert(&mut kept.control, point);
                }
            }
            other => *other = Some((generation, curve.clone())),
        }
        true
    }

    /// ε that the newest job is to measure again, whether its plan has them or not.
    pub fn again(&self) -> &[f64] {
        &self.again
    }

    /// The curve of `generation`, as far as it is measured.
    pub fn of(&self, generation: u64) -> Option<&Curve> {
        self.curve.as_ref().filter(|(known, _)| *known == generation).map(|(_, curve)| curve)
    }

    /// Whether the curve of `generation` has a point at `epsilon`, with its control, that need not be measured again.
    pub fn has(&self, generation: u64, epsilon: f64) -> bool {
        let again = self.again.iter().any(|again| same_epsilon(*again, epsilon));
        !again && self.of(generation).is_some_and(|curve| has(&curve.control, epsilon))
    }
}

fn has(points: &[CurvePoint], epsilon: f64) -> bool {
    points.iter().any(|point| same_epsilon(point.epsilon, epsilon))
}

/// Takes away what was seen: none is better than what was seen under another window.
fn forget_seen(points: &mut [CurvePoint]) {
    points.iter_mut().for_each(|point| point.measure.seen = Seen::default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Distortion, Overlap, PixelError};
    use crate::study::{Measure, SeenMetric};
    use crate::view::{Presentation, Window};

    fn curve(epsilons: &[f64], psnr: f64) -> Curve {
        let measure = Measure {
            error: PixelError { l2: 0.0, rmse: 0.0, wrong: 0.0, pixels: 1 },
            overlap: Overlap { dice: 1.0, iou: 1.0 },
            distortion: Distortion::default(),
            seen: Seen::default().with(SeenMetric::Psnr, psnr),
            decision: None,
            flipped: None,
            wished: None,
            clipped: None,
            displacement: None,
        };
        let points: Vec<CurvePoint> =
            epsilons.iter().map(|&epsilon| CurvePoint { epsilon, measure, seconds: 0.0 }).collect();
        Curve { attack: "fgsm".to_owned(), clean: measure, control: points.clone(), points }
    }

    fn seen(kept: &KeptCurve) -> Vec<Option<f64>> {
        let curve = kept.of(1).unwrap();
        curve.points.iter().chain(&curve.control).map(|p| p.measure.seen.get(SeenMetric::Psnr)).collect()
    }

    #[test]
    fn a_new_window_takes_values_away_and_has_every_point_measured_again() {
        let wide = SeenPlan::default();
        let presentation = Presentation { window: Window { lower: 0.4, upper: 0.6 }, ..Presentation::default() };
        let narrow = SeenPlan { presentation, ..SeenPlan::default() };
        let mut kept = KeptCurve::default();
        kept.begin(1, &wide);
        assert!(kept.keep(1, &wide, &curve(&[0.1, 0.2], 40.0)) && kept.again().is_empty());
        // As where a single point is added.
        kept.begin(1, &wide);
        assert!(kept.keep(1, &wide, &curve(&[0.15], 40.0)) && kept.again().is_empty());
        kept.begin(1, &narrow);
        assert_eq!((seen(&kept), kept.again()), (vec![None; 6], &[0.1, 0.15, 0.2][..]));
        // A job that was under way has still measured one under the old window.
        assert!(!kept.keep(1, &wide, &curve(&[0.1, 0.3], 40.0)) && seen(&kept) == vec![None; 6]);
        assert!(kept.keep(1, &narrow, &curve(&[0.1], 26.0)));
        assert_eq!(kept.again(), [0.15, 0.2]);
        assert_eq!([kept.has(1, 0.1), kept.has(1, 0.15)], [true, false], "who looks at the second has it measured");
        assert!(kept.keep(1, &narrow, &curve(&[0.1, 0.15, 0.2], 26.0)) && kept.again().is_empty());
        assert_eq!(seen(&kept), vec![Some(26.0); 6]);
        assert!(kept.has(1, 0.15) && !kept.has(1, 0.3) && !kept.has(2, 0.15));
        kept.begin(2, &wide);
        assert!(kept.again().is_empty() && kept.keep(2, &wide, &curve(&[0.5], 40.0)) && kept.of(1).is_none());
    }

    #[test]
    fn another_metric_leaves_the_values_and_has_every_point_measured_again() {
        let few = SeenPlan::default();
        let more = SeenPlan { metrics: SeenMetric::ALL.to_vec(), ..SeenPlan::default() };
        let mut kept = KeptCurve::default();
        kept.begin(1, &few);
        kept.keep(1, &few, &curve(&[0.1], 40.0));
        kept.begin(1, &more);
        assert_eq!((seen(&kept), kept.again()), (vec![Some(40.0); 2], &[0.1][..]));
        // What the older job has found is true, but lacks the new metric.
        assert!(kept.keep(1, &few, &curve(&[0.1], 40.0)));
        assert_eq!(kept.again(), [0.1]);
        // An ε that differs in the last digit is no other point.
        assert!(kept.keep(1, &more, &curve(&[0.1 + 1e-13], 40.0)) && kept.again().is_empty());
        assert_eq!(kept.of(1).unwrap().points.len(), 1);
    }
}
