//! The ε window: where an attack breaks the model and is not seen. Measured points only, a union of intervals, never assumed to be one.

use super::report::{Criterion, Verdict, epsilon, verdicts};
use super::{Curve, Limit};

/// Neighbouring measured ε at all of which something holds. Between them nothing was measured, and along ε there may
/// be several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredInterval {
    /// The smallest measured ε of the interval.
    pub first: f64,
    /// The largest.
    pub last: f64,
    /// How many were measured in it.
    pub points: usize,
    /// The measured ε just below, where it does not hold.
    pub below: Option<f64>,
    /// The measured ε just above, where it does not hold.
    pub above: Option<f64>,
}

/// The intervals of ε at which something holds, of points `(ε, whether it holds)` ascending in ε.
pub fn measured_intervals(points: impl IntoIterator<Item = (f64, bool)>) -> Vec<MeasuredInterval> {
    let mut intervals: Vec<MeasuredInterval> = Vec::new();
    let mut open = false;
    let mut previous = None;
    for (epsilon, holds) in points {
        match (holds, intervals.last_mut()) {
            (true, Some(interval)) if open => {
                interval.last = epsilon;
                interval.points += 1;
            }
            (true, _) => intervals.push(MeasuredInterval {
                first: epsilon,
                last: epsilon,
                points: 1,
                below: previous,
                above: None,
            }),
            (false, Some(interval)) if open => interval.above = Some(epsilon),
            (false, _) => {}
        }
        open = holds;
        previous = Some(epsilon);
    }
    intervals
}

/// What was measured at one ε above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredPoint {
    /// ε.
    pub epsilon: f64,
    /// The attack breaks the model, and random signs of the same ε do not.
    pub broken: bool,
    /// Whether the perturbation is seen; none if that was not measured.
    pub seen: Option<bool>,
}

/// Where a curve is broken, where it is not seen, and where both.
#[derive(Clone, Debug, PartialEq)]
pub struct EpsilonWindow {
    /// The attack breaks the model, and random signs of the same ε do not.
    pub broken: Vec<MeasuredInterval>,
    /// The perturbation is not seen. ε = 0 is left out: there is none.
    pub unseen: Vec<MeasuredInterval>,
    /// Both.
    pub both: Vec<MeasuredInterval>,
    /// Points whose visibility was not measured, which therefore count as seen.
    pub unknown: usize,
    criterion: Criterion,
    limit: Limit,
    /// Every measured ε above 0 at which both hold.
    inside: Vec<f64>,
}

/// An ε to choose, with the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The measured ε; none if there is none that would do.
    pub epsilon: Option<f64>,
    /// Why, in a sentence or two.
    pub explanation: String,
}

impl EpsilonWindow {
    /// Of the attack's points of `curve`.
    pub fn new(curve: &Curve, criterion: Criterion, limit: Limit) -> Self {
        let points: Vec<MeasuredPoint> = curve
            .points
            .iter()
            .zip(verdicts(curve, criterion))
            .map(|(point, verdict)| MeasuredPoint {
                epsilon: point.epsilon,
                broken: verdict == Verdict::Broken,
                seen: limit.is_seen(point.epsilon, &point.measure.seen),
            })
            .collect();
        Self::of_points(&points, criterion, limit)
    }

    /// Of points ascending in ε; `criterion` and `limit` are what they were judged by.
    pub fn of_points(points: &[MeasuredPoint], criterion: Criterion, limit: Limit) -> Self {
        let measured = points.iter().filter(|p| p.epsilon > 0.0);
        let unknown = measured.clone().filter(|p| p.seen.is_none()).count();
        let points: Vec<(f64, bool, bool)> = measured.map(|p| (p.epsilon, p.broken, p.seen == Some(false))).collect();
        let of = |holds: fn(bool, bool) -> bool| measured_intervals(points.iter().map(|&(e, b, u)| (e, holds(b, u))));
        Self {
            broken: of(|broken, _| broken),
            unseen: of(|_, unseen| unseen),
            both: of(|broken, unseen| broken && unseen),
            inside: points.iter().filter(|(_, broken, unseen)| *broken && *unseen).map(|p| p.0).collect(),
            unknown,
            criterion,
            limit,
        }
    }

    /// The smallest and the largest ε at which both hold; between them there may be others at which they do not.
    pub fn ends(&self) -> Option<[f64; 2]> {
        Some([self.both.first()?.first, self.both.last()?.last])
    }

    /// The measured ε in the middle of the widest interval (on a logarithmic axis): farthest from both ends, at one of which the
    /// model holds or the perturbation is seen.
    pub fn suggest(&self) -> Suggestion {
        let width = |i: &&MeasuredInterval| i.last / i.first;
        let Some(widest) = self.both.iter().max_by(|a, b| width(a).total_cmp(&width(b))) else {
            return Suggestion { epsilon: None, explanation: self.why_empty() };
        };
        let middle = (widest.first * widest.last).sqrt();
        let far = |e: &f64| (e / middle).ln().abs();
        let inside = self.inside.iter().copied().filter(|e| (widest.first..=widest.last).contains(e));
        let epsilon = inside.min_by(|a, b| far(a).total_cmp(&far(b)));
        let reason = match widest.points {
            1 => "the only measured ε of its interval".to_owned(),
            n => format!(
                "nearest the middle of {n} measured ε from {} to {}",
                epsilon::short(widest.first),
                epsilon::short(widest.last)
            ),
        };
        let mut explanation = format!(
            "ε = {}: {reason}, at all of which the model is broken ({}; random signs do not break it) and the perturbation \
             is not seen ({}).",
            epsilon::both(epsilon.unwrap_or(middle)),
            self.criterion,
            self.limit
        );
        if let Some(below) = widest.below {
            explanation += &format!(" Not at {} below", epsilon::short(below));
            explanation +=
                &widest.above.map_or(".".to_owned(), |above| format!(", nor at {} above.", epsilon::short(above)));
        } else if let Some(above) = widest.above {
            explanation += &format!(" Not at {} above.", epsilon::short(above));
        }
        if self.both.len() > 1 {
            explanation += &format!(" There are {} such intervals; this is the widest.", self.both.len());
        }
        Suggestion { epsilon, explanation }
    }

    fn why_empty(&self) -> String {
        let none = "There is no ε that breaks the model and is not seen";
        let (broken, unseen) = (spans(&self.broken), spans(&self.unseen));
        let why = match (broken, unseen) {
            (None, _) => {
                format!("at none of the measured ε is it broken ({}; random signs do not break it)", self.criterion)
            }
            (_, None) if self.unknown > 0 => "visibility was not measured".to_owned(),
            (_, None) => format!("at every measured ε the perturbation is seen (not seen would be {})", self.limit),
            (Some(broken), Some(unseen)) => {
                format!("it is broken at {broken} ({}), and not seen at {unseen} ({})", self.criterion, self.limit)
            }
        };
        format!("{none}: {why}.")
    }
}

/// All intervals in words: `2/255, 4/255 to 8/255`; none if there are none.
fn spans(intervals: &[MeasuredInterval]) -> Option<String> {
    let span = |i: &MeasuredInterval| match i.points {
        1 => epsilon::short(i.first),
        _ => format!("{} to {}", epsilon::short(i.first), epsilon::short(i.last)),
    };
    let all: Vec<String> = intervals.iter().map(span).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// A quantity over a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// First and third quartile.
    pub quartiles: [f64; 2],
}

/// The windows of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSummary {
    /// Cases.
    pub cases: usize,
    /// Cases without any window.
    pub empty: usize,
    /// Of all the smallest ε of the window, infinite where there is none: no measured ε will do.
    pub lower: Option<Spread>,
    /// Of the others the largest ε.
    pub upper: Option<Spread>,
    /// Of the others the suggested ε.
    pub suggested: Option<Spread>,
    /// The ε that lies in the windows of the most cases, the smallest of several, with their number.
    pub best: Option<(f64, usize)>,
}

/// Summarises windows whose curves were measured at the same ε.
pub fn summarise(windows: &[EpsilonWindow]) -> WindowSummary {
    let ends: Vec<[f64; 2]> = windows.iter().filter_map(EpsilonWindow::ends).collect();
    let lower = windows.iter().map(|w| w.ends().map_or(f64::INFINITY, |e| e[0])).collect();
    let mut all: Vec<f64> = windows.iter().flat_map(|w| w.inside.iter().copied()).collect();
    all.sort_unstable_by(f64::total_cmp);
    let mut best: Option<(f64, usize)> = None;
    for same in all.chunk_by(|a, b| (a - b).abs() < epsilon::SAME) {
        if best.is_none_or(|(_, count)| same.len() > count) {
            best = Some((same[0], same.len()));
        }
    }
    WindowSummary {
        cases: windows.len(),
        empty: windows.len() - ends.len(),
        lower: spread(lower),
        upper: spread(ends.iter().map(|e| e[1]).collect()),
        suggested: spread(windows.iter().filter_map(|w| w.suggest().epsilon).collect()),
        best,
    }
}

/// Quantiles by linear interpolation, as NumPy's default.
fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)? as f64;
    let at = |share: f64| {
        let place = share * last;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        match place - place.floor() {
            // Of an infinite neighbour nothing is taken.
            0.0 => values[low],
            share => values[low] * (1.0 - share) + values[high] * share,
        }
    };
    Some(Spread { median: at(0.5), quartiles: [at(0.25), at(0.75)] })
}

#[cfg(test)]
mod tests {
    use super::super::{CurvePoint, Measure, Seen, SeenMetric};
    use super::*;
    use crate::metric::{Distortion, Overlap, PixelError};

    fn measure(dice: f64, ssim: f64) -> Measure {
        Measure {
            error: PixelError { l2: 0.0, rmse: 0.0, wrong: 0.0, pixels: 1 },
            overlap: Overlap { dice, iou: dice / (2.0 - dice) },
            distortion: Distortion::default(),
            seen: Seen::default().with(SeenMetric::Ssim, ssim),
            decision: None,
            wished: None,
            clipped: None,
            displacement: None,
        }
    }

    /// Points of (grey levels, Dice, control's Dice, SSIM).
    fn curve(points: &[(f64, f64, f64, f64)]) -> Curve {
        let point =
            |level: f64, dice, ssim| CurvePoint { epsilon: level / 255.0, measure: measure(dice, ssim), seconds: 0.0 };
        Curve {
            attack: "fgsm".to_owned(),
            clean: measure(0.9, 1.0),
            points: points.iter().map(|&(e, dice, _, ssim)| point(e, dice, ssim)).collect(),
            control: points.iter().map(|&(e, _, dice, ssim)| point(e, dice, ssim)).collect(),
        }
    }

    fn window(points: &[(f64, f64, f64, f64)]) -> EpsilonWindow {
        EpsilonWindow::new(&curve(points), Criterion::Dice(0.7), "ssim:0.9".parse().unwrap())
    }

    #[test]
    fn broken_and_unseen_are_unions_and_the_window_is_where_both_hold() {
        let found = window(&[
            (0.0, 0.9, 0.9, 1.0),
            (1.0, 0.8, 0.9, 0.99),
            (2.0, 0.6, 0.9, 0.98),
            (3.0, 0.8, 0.9, 0.97),
            (4.0, 0.6, 0.9, 0.96),
            (5.0, 0.5, 0.9, 0.95),
            (6.0, 0.4, 0.9, 0.91),
            (8.0, 0.3, 0.9, 0.80),
            (16.0, 0.1, 0.5, 0.70),
        ]);
        let spans = |intervals: &[MeasuredInterval]| {
            intervals.iter().map(|i| [i.first, i.last].map(|e| (e * 255.0).round())).collect::<Vec<_>>()
        };
        assert_eq!(spans(&found.broken), [[2.0, 2.0], [4.0, 8.0]], "at 16 random signs break it too");
        assert_eq!(spans(&found.unseen), [[1.0, 6.0]]);
        assert_eq!(spans(&found.both), [[2.0, 2.0], [4.0, 6.0]]);
        assert_eq!(found.ends(), Some([2.0 / 255.0, 6.0 / 255.0]));
        let suggestion = found.suggest();
        assert_eq!(suggestion.epsilon, Some(5.0 / 255.0));
        for said in
            ["5/255", "4/255 to 6/255", "Dice below 0.7", "SSIM at least 0.9", "nor at 8/255", "2 such intervals"]
        {
            assert!(suggestion.explanation.contains(said), "{said}: {}", suggestion.explanation);
        }
    }

    #[test]
    fn an_empty_window_says_why() {
        let late = window(&[(1.0, 0.9, 0.9, 0.99), (4.0, 0.8, 0.9, 0.95), (8.0, 0.5, 0.9, 0.8)]);
        assert_eq!((late.ends(), late.suggest().epsilon), (None, None));
        let words = late.suggest().explanation;
        assert!(words.contains("broken at 8/255") && words.contains("not seen at 1/255 to 4/255"), "{words}");
        let never = window(&[(1.0, 0.9, 0.9, 0.99)]).suggest().explanation;
        assert!(never.contains("none of the measured"), "{never}");
        let seen = window(&[(1.0, 0.5, 0.9, 0.5)]).suggest().explanation;
        assert!(seen.contains("every measured ε the perturbation is seen"), "{seen}");
        let unknown =
            EpsilonWindow::new(&curve(&[(1.0, 0.5, 0.9, 0.5)]), Criterion::Dice(0.7), "flip:0.1".parse().unwrap());
        assert_eq!(unknown.unknown, 1);
        assert!(unknown.suggest().explanation.contains("not measured"));
    }

    #[test]
    fn an_observers_threshold_is_a_limit() {
        let limit = Limit::Threshold { epsilon: 4.5 / 255.0, interval: [3.0 / 255.0, 6.0 / 255.0] };
        let points = [(2.0, 0.6, 0.9, 0.1), (4.0, 0.5, 0.9, 0.1), (8.0, 0.3, 0.9, 0.1)];
        let found = EpsilonWindow::new(&curve(&points), Criterion::Dice(0.7), limit);
        assert_eq!(found.ends(), Some([2.0 / 255.0; 2]), "4 lies in the threshold's interval");
    }

    #[test]
    fn over_a_set() {
        let broken_from = |first: f64| {
            let levels = [1.0, 2.0, 4.0, 8.0];
            window(&levels.map(|e| (e, if e >= first { 0.5 } else { 0.9 }, 0.9, if e > 4.0 { 0.5 } else { 0.95 })))
        };
        let found = summarise(&[broken_from(1.0), broken_from(2.0), broken_from(4.0), broken_from(8.0)]);
        assert_eq!((found.cases, found.empty), (4, 1));
        let lower = found.lower.unwrap();
        assert!((lower.median * 255.0 - 3.0).abs() < 1e-9 && (lower.quartiles[0] * 255.0 - 1.75).abs() < 1e-9);
        assert_eq!(lower.quartiles[1], f64::INFINITY, "one in four has none");
        let upper = found.upper.unwrap();
        assert!((upper.median * 255.0 - 4.0).abs() < 1e-9, "of those that have one");
        let odd = summarise(&[broken_from(1.0), broken_from(8.0), broken_from(8.0)]).lower.unwrap();
        assert_eq!((odd.median, odd.quartiles[1]), (f64::INFINITY, f64::INFINITY));
        let (best, cases) = found.best.unwrap();
        assert!((best * 255.0 - 4.0).abs() < 1e-9 && cases == 3);
        assert_eq!(summarise(&[]).lower, None);
    }
}
