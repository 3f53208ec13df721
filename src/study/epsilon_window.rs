//! The ε window: where an attack breaks the model and is not seen. Measured points only, a union of intervals, never assumed to be one.

use super::report::{Criterion, Verdict, epsilon, verdicts};
use super::{Curve, Limit, SeenMetric};

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
    limit: Option<Limit>,
    /// How many ε above 0 were measured.
    measured: usize,
    /// Every measured ε above 0 at which both hold.
    pub(super) inside: Vec<f64>,
    /// Of these those whose control, one draw of random signs, nearly fails: another draw may decide otherwise.
    doubtful: Vec<f64>,
}

/// A control whose Dice is so near the criterion may fail with other random signs: at 4/255 draws on the bundled sample differ by
/// 0.002, and at larger ε by more.
const NEAR: f64 = 0.01;

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
        let window = Self::of_points(&points, criterion, Some(limit));
        let Some(least) = criterion.dice(&curve.clean) else { return window };
        let near = |e: &f64| {
            let control = curve.control.iter().find(|p| (p.epsilon - e).abs() < epsilon::SAME);
            control.is_some_and(|p| (p.measure.overlap.dice - least).abs() < NEAR)
        };
        Self { doubtful: window.inside.iter().copied().filter(near).collect(), ..window }
    }

    /// Of points ascending in ε; `criterion` and `limit` are what they were judged by, none where no observer was asked.
    pub fn of_points(points: &[MeasuredPoint], criterion: Criterion, limit: Option<Limit>) -> Self {
        let measured = points.iter().filter(|p| p.epsilon > 0.0);
        let unknown = measured.clone().filter(|p| p.seen.is_none()).count();
        let points: Vec<(f64, bool, bool)> = measured.map(|p| (p.epsilon, p.broken, p.seen == Some(false))).collect();
        let of = |holds: fn(bool, bool) -> bool| measured_intervals(points.iter().map(|&(e, b, u)| (e, holds(b, u))));
        Self {
            broken: of(|broken, _| broken),
            unseen: of(|_, unseen| unseen),
            both: of(|broken, unseen| broken && unseen),
            inside: points.iter().filter(|(_, broken, unseen)| *broken && *unseen).map(|p| p.0).collect(),
            measured: points.len(),
            doubtful: Vec::new(),
            unknown,
            criterion,
            limit,
        }
    }

    /// Whether an interval begins with the smallest measured ε, or ends with the largest: it may go on beyond.
    pub fn goes_on(&self, interval: &MeasuredInterval) -> [bool; 2] {
        // Of a single ε, which the attack itself found, there is no grid.
        [interval.below, interval.above].map(|end| self.measured > 1 && end.is_none())
    }

    /// All intervals at which both hold, with those that go on beyond what was measured: `2/255, 4/255 to 8/255 or more`.
    pub fn intervals(&self, number: impl Fn(f64) -> String, to: &str) -> Option<String> {
        self.words_of(&self.both, number, to)
    }

    /// The same of others of its intervals.
    pub fn words_of(
        &self,
        intervals: &[MeasuredInterval],
        number: impl Fn(f64) -> String,
        to: &str,
    ) -> Option<String> {
        let span = |i: &MeasuredInterval| {
            let [less, more] = self.goes_on(i);
            let (first, last) = (number(i.first), number(i.last));
            let less = if less { " or less" } else { "" };
            let more = if more { " or more" } else { "" };
            if i.points == 1 { format!("{first}{less}{more}") } else { format!("{first}{less}{to}{last}{more}") }
        };
        intervals.iter().map(span).reduce(|all, next| all + ", " + &next)
    }

    /// The smallest and the largest ε at which both hold: the hull of all intervals, between which there may be ε at which they do not.
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
            "ε = {}: {reason}, at all of which the model is broken ({}; random signs do not break it, one draw at each ε) \
             and the perturbation is not seen ({}).",
            epsilon::both(epsilon.unwrap_or(middle)),
            self.criterion,
            self.limit_words()
        );
        if let Some(below) = widest.below {
            explanation += &format!(" Not at {} below", epsilon::short(below));
            explanation +=
                &widest.above.map_or(".".to_owned(), |above| format!(", nor at {} above.", epsilon::short(above)));
        } else if let Some(above) = widest.above {
            explanation += &format!(" Not at {} above.", epsilon::short(above));
        }
        let [less, more] = self.goes_on(widest);
        if less {
            explanation += " No smaller ε was measured: it may begin below.";
        }
        if more {
            explanation += " No larger ε was measured: it may go on above.";
        }
        if epsilon.is_some_and(|e| self.doubtful.contains(&e)) {
            explanation +=
                " Its control nearly fails as well: with another draw of random signs it may not count as broken.";
        }
        if self.both.len() > 1 {
            explanation += &format!(" There are {} such intervals; this is the widest.", self.both.len());
        }
        Suggestion { epsilon, explanation }
    }

    fn limit_words(&self) -> String {
        self.limit.map_or_else(|| "not measured".to_owned(), |limit| limit.to_string())
    }

    fn why_empty(&self) -> String {
        let none = "There is no ε that breaks the model and is not seen";
        let (broken, unseen) = (spans(&self.broken), spans(&self.unseen));
        let why = match (broken, unseen) {
            (None, _) => {
                format!("at none of the measured ε is it broken ({}; random signs do not break it)", self.criterion)
            }
            _ if self.limit.is_none() => "no observer was measured on this image under this attack".to_owned(),
            (_, None) if self.unknown > 0 => "visibility was not measured".to_owned(),
            (_, None) => {
                format!("at every measured ε the perturbation is seen (not seen would be {})", self.limit_words())
            }
            (Some(broken), Some(unseen)) => {
                format!(
                    "it is broken at {broken} ({}), and not seen at {unseen} ({})",
                    self.criterion,
                    self.limit_words()
                )
            }
        };
        format!("{none}: {why}.")
    }
}

/// The window by the usual limit of every metric that was measured along `curve`: by which one goes decides where it is.
pub fn windows_by_metric(curve: &Curve, criterion: Criterion) -> Vec<(SeenMetric, EpsilonWindow)> {
    let measured = |m: &SeenMetric| curve.points.iter().any(|p| p.measure.seen.get(*m).is_some());
    let window = |metric: SeenMetric| {
        let limit = Limit::Metric { metric, value: metric.usual_limit() };
        (metric, EpsilonWindow::new(curve, criterion, limit))
    };
    SeenMetric::ALL.into_iter().filter(measured).map(window).collect()
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

#[cfg(test)]
mod tests {
    use super::super::{CurvePoint, Measure, Seen, SeenMetric, summarise};
    use super::*;
    use crate::metric::{Distortion, Overlap, PixelError};

    fn measure(dice: f64, ssim: f64) -> Measure {
        Measure {
            error: PixelError { l2: 0.0, rmse: 0.0, wrong: 0.0, pixels: 1 },
            overlap: Overlap { dice, iou: dice / (2.0 - dice) },
            distortion: Distortion::default(),
            seen: Seen::default().with(SeenMetric::Ssim, ssim),
            decision: None,
            flipped: None,
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
        let limit = Limit::Threshold { epsilon: 4.5 / 255.0, interval: Some([3.0 / 255.0, 6.0 / 255.0]) };
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
        assert_eq!((found.open, found.gaps), (0, 0), "above 4 it is seen");
        let open = window(&[(1.0, 0.5, 0.9, 0.99), (2.0, 0.9, 0.9, 0.99), (4.0, 0.5, 0.9, 0.99)]);
        let found = summarise(std::slice::from_ref(&open));
        assert_eq!((found.open, found.gaps), (1, 1), "broken at 1 and at 4, the largest that was measured");
        let words = open.intervals(epsilon::short, " to ").unwrap();
        assert_eq!(words, "1/255 or less, 4/255 or more");
        assert!(open.suggest().explanation.contains("was measured: it may"), "{}", open.suggest().explanation);
    }

    #[test]
    fn a_control_that_nearly_fails_is_told() {
        let points = [(1.0, 0.9, 0.9, 0.99), (2.0, 0.6, 0.705, 0.99), (4.0, 0.5, 0.3, 0.99)];
        let words = window(&points).suggest().explanation;
        assert!(words.contains("one draw at each ε") && words.contains("another draw of random signs"), "{words}");
    }

    #[test]
    fn every_metric_has_a_window_by_its_usual_limit() {
        let points = [(1.0, 0.6, 0.9, 0.985), (4.0, 0.5, 0.9, 0.97)];
        let found = windows_by_metric(&curve(&points), Criterion::Dice(0.7));
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [SeenMetric::Ssim], "of those that were measured");
        assert_eq!(found[0].1.ends(), Some([1.0 / 255.0; 2]));
        assert!(SeenMetric::Butteraugli.limit_source().contains("authors"));
        assert!(SeenMetric::Ssim.limit_source().contains("convention"));
    }
}
