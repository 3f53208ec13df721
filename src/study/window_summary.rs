//! ε windows over a data set: both ends, medians and quartiles.

use super::EpsilonWindow;
use super::report::epsilon;

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
    /// Of the others the largest ε; where it is the largest that was measured the window may go on.
    pub upper: Option<Spread>,
    /// Of the others those that go on above, as far as is known.
    pub open: usize,
    /// Of the others those that are several intervals, with ε between them at which it does not hold.
    pub gaps: usize,
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
        open: windows.iter().filter(|w| w.both.last().is_some_and(|i| w.goes_on(i)[1])).count(),
        gaps: windows.iter().filter(|w| w.both.len() > 1).count(),
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
