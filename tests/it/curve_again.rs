//! A curve whose window changes: nothing that was seen under the old one is left, at whatever ε it was measured.

use crate::engine::{engine, frame_at, wait};
use epsiloscope::engine::{Engine, Event, Export, JobState, Request, Series};
use epsiloscope::study::{SeenMetric, SeenPlan, SweepPlan};
use epsiloscope::view::{Presentation, Window};
use std::path::Path;

/// Of the rows of `attack` in a table ε in levels of 8 bits, and PSNR as it stands there; the original left out.
fn psnr(path: &Path, attack: &str) -> Vec<(f64, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|n| n == name).unwrap();
    let (epsilon, psnr) = (at("epsilon"), at("shown_psnr"));
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[0] == attack);
    let cells = rows.map(|row| (255.0 * row[epsilon].parse::<f64>().unwrap(), row[psnr].to_owned()));
    cells.filter(|(level, _)| *level > 0.0).collect()
}

fn export(engine: &Engine, path: &Path) {
    engine.send(Request::Export(Export::CurveCsv(path.to_owned())));
}

fn exported(event: &Event) -> bool {
    assert!(!matches!(event, Event::Failed(_)), "{event:?}");
    matches!(event, Event::Exported(_))
}

#[test]
fn a_new_window_is_measured_at_every_epsilon_of_the_curve() {
    let engine = engine();
    frame_at(&engine, 4.0 / 255.0);
    engine.send(Request::Sweep(SweepPlan::exactly(vec![0.0, 4.0 / 255.0, 16.0 / 255.0])));
    wait(&engine, |e| matches!(e, Event::Job(s) if s.state == JobState::Finished && s.total == 3).then_some(()));
    // An ε that the plan lacks: it is looked at.
    let typed = 0.7 / 255.0;
    engine.send(Request::Epsilon(typed));
    wait(&engine, |e| match e {
        Event::CurvePoint { series: Series::Control, point, .. } => {
            ((point.epsilon - typed).abs() < 1e-9).then_some(())
        }
        _ => None,
    });
    let folder = tempfile::tempdir().unwrap();
    let [first, between, after] = ["before.csv", "between.csv", "after.csv"].map(|name| folder.path().join(name));
    export(&engine, &first);
    wait(&engine, |e| exported(&e).then_some(()));
    let before = psnr(&first, "fgsm");
    let control: Vec<f64> = psnr(&first, "random-sign").iter().map(|(_, psnr)| psnr.parse().unwrap()).collect();
    let levels = |rows: &[(f64, String)]| rows.iter().map(|(level, _)| (level * 10.0).round()).collect::<Vec<f64>>();
    assert_eq!(levels(&before), [7.0, 40.0, 160.0]);
    assert!(before.iter().all(|(_, psnr)| !psnr.is_empty()), "{before:?}");

    let presentation = Presentation { window: Window { lower: 0.25, upper: 0.75 }, ..Presentation::default() };
    engine.send(Request::MeasureSeen(SeenPlan { presentation, ..SeenPlan::default() }));
    export(&engine, &between);
    let (mut written, mut again) = (false, vec![false; before.len()]);
    wait(&engine, |e| {
        written = written || exported(&e);
        if let Event::CurvePoint { series: Series::Control, point, .. } = &e
            && let Some(at) = before.iter().position(|(level, _)| (level - 255.0 * point.epsilon).abs() < 1e-6)
        {
            again[at] = again[at] || point.measure.seen.get(SeenMetric::Psnr).is_some_and(|psnr| psnr != control[at]);
        }
        (written && again.iter().all(|again| *again)).then_some(())
    });
    export(&engine, &after);
    wait(&engine, |e| exported(&e).then_some(()));
    let (between, after) = (psnr(&between, "fgsm"), psnr(&after, "fgsm"));
    assert_eq!([levels(&between), levels(&after)], [levels(&before), levels(&before)]);
    for (i, (level, psnr)) in before.iter().enumerate() {
        assert!(between[i].1.is_empty() || between[i].1 == after[i].1, "a mixture at {level}: {between:?}, {after:?}");
        assert!(!after[i].1.is_empty() && after[i].1 != *psnr, "{level}/255 has {psnr} dB under either window");
    }
}
