//! The ε window over a data set: of each image the ε that break its model unseen, and both ends over all.

use super::Row;
use super::summary::{epsilon_of, grouped, is_white, quoted};
use crate::study::report::{Criterion, epsilon};
use crate::study::{EpsilonWindow, Limit, MeasuredPoint, Seen, SeenMetric, WindowSummary, summarise};

/// The window of one image under one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageWindow {
    /// The image's name.
    pub image: String,
    /// The attack's seed, and the control's.
    pub seed: String,
    /// Its window.
    pub window: EpsilonWindow,
}

/// At one ε, shares of the images whose original passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShareAlong {
    /// ε.
    pub epsilon: f64,
    /// The attack breaks the model, and random signs do not.
    pub broken: f64,
    /// The perturbation is not seen.
    pub unseen: f64,
    /// Both.
    pub both: f64,
    /// Random signs alone are enough.
    pub control: f64,
}

/// The windows of a data set under an attack on its own model.
#[derive(Clone, Debug, PartialEq)]
pub struct SetWindows {
    /// The data set.
    pub data: String,
    /// The attack's name.
    pub attack: String,
    /// Its parameters.
    pub parameters: String,
    /// The model.
    pub model: String,
    /// Images times seeds whose original fails before any attack: they have no window, and count nowhere.
    pub failing: usize,
    /// The others.
    pub windows: Vec<ImageWindow>,
    /// Over the others.
    pub summary: WindowSummary,
    /// Along ε over the others; of an attack that finds its own ε nothing.
    pub along: Vec<ShareAlong>,
}

/// The windows of `rows`, of attacks judged on their own model; `limit` says from where on what a row holds is seen, none where nobody
/// measured it.
pub fn windows(rows: &[&Row], criterion: Criterion, limit: &dyn Fn(&Row) -> Option<Limit>) -> Vec<SetWindows> {
    let white: Vec<&Row> = rows.iter().copied().filter(|row| is_white(row)).collect();
    let of = |group: &Vec<&Row>| of_set(group, criterion, limit);
    grouped(&white, &["data", "attack", "parameters", "made_on"]).iter().map(of).collect()
}

/// What a row says of one ε: that of the plan, or the L∞ norm of what the attack found.
fn point(row: &Row, limit: Option<Limit>) -> Option<MeasuredPoint> {
    let epsilon = row.number("epsilon").or_else(|| row.number("linf"))?;
    let mut seen = Seen { same: row.get("shown_same") == "1", ..Seen::default() };
    for metric in SeenMetric::ALL {
        if let Some(value) = row.number(&format!("shown_{}", metric.name().replace('-', "_"))) {
            seen = seen.with(metric, value);
        }
    }
    Some(MeasuredPoint {
        epsilon,
        broken: row.get("broken") == "1",
        seen: limit.and_then(|limit| limit.is_seen(epsilon, &seen)),
    })
}

fn of_set(rows: &[&Row], criterion: Criterion, limit: &dyn Fn(&Row) -> Option<Limit>) -> SetWindows {
    let text = |column: &str| rows.first().map_or_else(String::new, |row| row.get(column).to_owned());
    let passing: Vec<&Row> = rows.iter().copied().filter(|row| row.get("clean_passes") == "1").collect();
    let failing = grouped(rows, &["image", "image_id", "seed"]).len();
    let images = grouped(&passing, &["image", "image_id", "seed"]);
    let windows: Vec<ImageWindow> = images
        .iter()
        .map(|of_image| {
            let limit = of_image.first().and_then(|row| limit(row));
            let mut points: Vec<MeasuredPoint> = of_image.iter().filter_map(|row| point(row, limit)).collect();
            points.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
            let cell = |column: &str| of_image.first().map_or_else(String::new, |row| row.get(column).to_owned());
            let window = EpsilonWindow::of_points(&points, criterion, limit);
            ImageWindow { image: cell("image"), seed: cell("seed"), window }
        })
        .collect();
    let mut along: Vec<ShareAlong> = grouped(&passing, &["grid"])
        .iter()
        .filter_map(|at| {
            let epsilon = epsilon_of(at)?;
            let points: Vec<MeasuredPoint> = at.iter().filter_map(|row| point(row, limit(row))).collect();
            let share = |count: usize| count as f64 / at.len() as f64;
            let of = |holds: fn(&MeasuredPoint) -> bool| share(points.iter().filter(|p| holds(p)).count());
            Some(ShareAlong {
                epsilon,
                broken: of(|p| p.broken),
                unseen: of(|p| p.seen == Some(false)),
                both: of(|p| p.broken && p.seen == Some(false)),
                control: share(at.iter().filter(|row| row.get("control_fails") == "1").count()),
            })
        })
        .collect();
    along.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
    let all: Vec<EpsilonWindow> = windows.iter().map(|w| w.window.clone()).collect();
    SetWindows {
        data: text("data"),
        attack: text("attack"),
        parameters: text("parameters"),
        model: text("made_on"),
        failing: failing - windows.len(),
        summary: summarise(&all),
        windows,
        along,
    }
}

/// A row for each image: both ends of its window, which may have gaps, all of its intervals (`0.004..0.016;0.031..0.031`), beyond which end
/// of what was measured it may go on, the suggested ε, and why. ε are fractions of the bounds' width.
pub fn windows_csv(sets: &[SetWindows]) -> String {
    let mut text =
        "data,attack,parameters,model,image,seed,lower,upper,intervals,goes_on,suggested,not_measured,explanation\n"
            .to_owned();
    for set in sets {
        for ImageWindow { image, seed, window } in &set.windows {
            let suggestion = window.suggest();
            let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            let intervals: Vec<String> = window.both.iter().map(|i| format!("{}..{}", i.first, i.last)).collect();
            let cells = [
                set.data.clone(),
                set.attack.clone(),
                set.parameters.clone(),
                set.model.clone(),
                image.clone(),
                seed.clone(),
                number(window.ends().map(|e| e[0])),
                number(window.ends().map(|e| e[1])),
                intervals.join(";"),
                goes_on(window),
                number(suggestion.epsilon),
                window.unknown.to_string(),
                suggestion.explanation,
            ];
            text += &(cells.map(|cell| quoted(&cell)).join(",") + "\n");
        }
    }
    text
}

/// Beyond which end of what was measured a window may go on: `below`, `above`, both, or nothing.
fn goes_on(window: &EpsilonWindow) -> String {
    let ends = [("below", window.both.first(), 0), ("above", window.both.last(), 1)];
    let open = |(name, interval, end): &(&'static str, Option<&crate::study::MeasuredInterval>, usize)| {
        interval.is_some_and(|i| window.goes_on(i)[*end]).then_some(*name)
    };
    ends.iter().filter_map(open).collect::<Vec<_>>().join(" ")
}

/// The smallest ε that breaks unseen: beyond all that were measured where none does.
pub(super) fn reach(epsilon: f64, set: &SetWindows) -> String {
    match set.along.last() {
        _ if epsilon.is_finite() => epsilon::short(epsilon),
        Some(largest) => format!("> {}", epsilon::short(largest.epsilon)),
        None => "none".to_owned(),
    }
}

/// One line on a data set.
pub fn window_words(set: &SetWindows) -> String {
    let found = &set.summary;
    let title = crate::attack::find(&set.attack).map_or(set.attack.as_str(), |entry| entry.title);
    let left_out =
        if set.failing > 0 { format!(" ({} more fail before any attack)", set.failing) } else { String::new() };
    let passing = if found.cases == 1 { "image that passes" } else { "images that pass" };
    let head = format!("{title} on {}, {}: of {} {passing}{left_out} ", set.model, set.data, found.cases);
    let (Some(lower), Some(upper), Some(suggested)) = (found.lower, found.upper, found.suggested) else {
        return head + "none has an ε that breaks the model and is not seen";
    };
    let spread = |s: crate::study::Spread| {
        let [first, third] = s.quartiles.map(|q| reach(q, set));
        format!("{} (quartiles {first} to {third})", reach(s.median, set))
    };
    let beyond = match (found.open, found.gaps) {
        (0, 0) => String::new(),
        (open, gaps) => format!(
            " ({open} of them at the largest measured ε: they may go on; {gaps} with ε in between at which it does not hold)"
        ),
    };
    let best = found
        .best
        .map_or(String::new(), |(at, cases)| format!("; in the most windows, {cases}: ε = {}", epsilon::both(at)));
    format!(
        "{head}{} have none ({:.0} %); it begins at ε = {}, median of all, and ends at {}, of those that have one{beyond}; suggested {}{best}",
        found.empty,
        100.0 * found.empty as f64 / found.cases.max(1) as f64,
        spread(lower),
        spread(upper),
        spread(suggested)
    )
}

#[cfg(test)]
mod tests {
    use super::super::row::{KEY, RowKey, columns};
    use super::*;

    /// A row with these cells; all others are empty.
    fn row(cells: &[(&str, String)]) -> Row {
        let all: Vec<String> = columns()
            .iter()
            .map(|column| cells.iter().find(|(name, _)| name == column).map_or_else(String::new, |c| c.1.clone()))
            .collect();
        Row { key: RowKey(all[..KEY.len()].to_vec()), found: all[KEY.len()..].to_vec() }
    }

    /// Of one image, points of (grey levels, broken, SSIM).
    fn image(name: &str, passes: bool, points: &[(f64, bool, Option<f64>)]) -> Vec<Row> {
        let flag = |yes: bool| u8::from(yes).to_string();
        let of = |&(level, broken, ssim): &(f64, bool, Option<f64>)| {
            row(&[
                ("data", "set".to_owned()),
                ("image", name.to_owned()),
                ("attack", "fgsm".to_owned()),
                ("made_on", "net".to_owned()),
                ("judged_on", "net".to_owned()),
                ("seed", "0".to_owned()),
                ("epsilon", (level / 255.0).to_string()),
                ("grid", (level / 255.0).to_string()),
                ("clean_passes", flag(passes)),
                ("broken", flag(broken)),
                ("control_fails", flag(level > 10.0)),
                ("shown_ssim", ssim.map(|v| v.to_string()).unwrap_or_default()),
                ("shown_same", flag(ssim == Some(1.0))),
            ])
        };
        points.iter().map(of).collect()
    }

    #[test]
    fn over_images_by_hand() {
        let mut rows = Vec::new();
        // 2 to 4; 1 to 1 and, above a gap, 4 to 4; none, since it is broken only where it is seen; never passes; not measured.
        rows.extend(image(
            "a",
            true,
            &[(4.0, true, Some(0.98)), (1.0, false, Some(1.0)), (2.0, true, Some(0.99)), (16.0, false, Some(0.5))],
        ));
        rows.extend(image(
            "b",
            true,
            &[(1.0, true, Some(1.0)), (2.0, false, Some(0.99)), (4.0, true, Some(0.98)), (16.0, true, Some(0.5))],
        ));
        rows.extend(image(
            "c",
            true,
            &[(1.0, false, Some(1.0)), (2.0, false, Some(0.99)), (4.0, false, Some(0.98)), (16.0, true, Some(0.5))],
        ));
        rows.extend(image(
            "d",
            false,
            &[(1.0, false, Some(1.0)), (2.0, false, Some(0.99)), (4.0, false, Some(0.98)), (16.0, false, Some(0.5))],
        ));
        rows.extend(image("e", true, &[(1.0, true, None), (2.0, true, None), (4.0, true, None), (16.0, true, None)]));
        let all: Vec<&Row> = rows.iter().collect();
        let found = windows(&all, Criterion::Dice(0.5), &|_| "ssim:0.95".parse().ok());
        assert_eq!(found.len(), 1);
        let set = &found[0];
        assert_eq!((set.failing, set.windows.len(), set.summary.cases, set.summary.empty), (1, 4, 4, 2));
        let levels = |epsilon: f64| (epsilon * 255.0).round() as i32;
        let ends = |at: usize| set.windows[at].window.ends().map(|e| e.map(levels));
        assert_eq!([0, 1, 2, 3].map(ends), [Some([2, 4]), Some([1, 4]), None, None]);
        assert_eq!(set.windows[1].window.both.len(), 2, "a union, not one interval");
        assert_eq!(set.windows[3].window.unknown, 4);
        let median = |s: Option<crate::study::Spread>| (s.unwrap().median * 255.0 * 10.0).round() / 10.0;
        assert_eq!([median(set.summary.lower), median(set.summary.upper)], [f64::INFINITY, 4.0]);
        assert!((set.summary.lower.unwrap().quartiles[0] * 255.0 - 1.75).abs() < 1e-9, "1, 2, none, none");
        assert_eq!(set.summary.best.map(|(e, n)| (levels(e), n)), Some((4, 2)));
        let at: Vec<[f64; 5]> =
            set.along.iter().map(|s| [(s.epsilon * 255.0).round(), s.broken, s.unseen, s.both, s.control]).collect();
        assert_eq!(at[0], [1.0, 0.5, 0.75, 0.25, 0.0]);
        assert_eq!(at[2], [4.0, 0.75, 0.75, 0.5, 0.0]);
        assert_eq!(at[3], [16.0, 0.75, 0.0, 0.0, 1.0]);
        let words = window_words(set);
        for said in [
            "4 images that pass (1 more fail",
            "2 have none (50 %)",
            "> 16/255",
            "1.75/255",
            "in the most windows, 2",
            "4/255",
        ] {
            assert!(words.contains(said), "{said}: {words}");
        }
        let table = windows_csv(&found);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!((records.len(), records[1][8].matches("..").count(), &records[2][6]), (4, 2, ""));
        assert!(records[2][12].contains("There is no ε") && records[3][12].contains("not measured"), "{table}");
        let observer = windows(&all, Criterion::Dice(0.5), &|_| "epsilon:1.5/255".parse().ok());
        assert_eq!(observer[0].windows[3].window.ends().map(|e| e.map(levels)), Some([1, 1]), "needs no metric");
        // Of image a alone an observer was asked.
        let asked = |row: &Row| (row.get("image") == "a").then(|| "epsilon:3/255".parse().unwrap());
        let some = windows(&all, Criterion::Dice(0.5), &asked);
        assert_eq!(some[0].windows[0].window.ends().map(|e| e.map(levels)), Some([2, 2]));
        assert_eq!((some[0].windows[1].window.ends(), some[0].windows[1].window.unknown), (None, 4));
        let why = some[0].windows[1].window.suggest().explanation;
        assert!(why.contains("no observer was measured on this image"), "{why}");
    }
}
