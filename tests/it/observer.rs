//! Reader studies: QUEST+ places ε as `questplus` does, thresholds are those of psignifit (`tests/fixtures/observer.py`), intervals
//! hold what they promise, and no answer is ever lost.

use crate::command_line::{complaint, program, text};
use crate::fixture;
use epsiloscope::observer::{
    Answer, Block, Condition, Display, Domain, Kind, Next, Plan, Psychometric, QuestPlus, Session, Side, Simulation,
    Task, Trial, export_csv, fit, read_csv, simulate, thresholds,
};
use epsiloscope::view::{Presentation, Window};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;

fn reference() -> Value {
    serde_json::from_slice(&fs::read(fixture::path("observer.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn near(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs())
}

#[test]
fn quest_plus_places_what_questplus_places() {
    let reference = &reference()["quest_plus"];
    let get = |name: &str| numbers(&reference[name]);
    let domain = Domain {
        stimuli: get("stimuli"),
        alpha: get("alpha"),
        beta: get("beta"),
        gamma: get("gamma"),
        lambda: get("lambda"),
    };
    let mut quest = QuestPlus::new(&domain);
    for (at, trial) in reference["trials"].as_array().unwrap().iter().enumerate() {
        let (stimulus, entropy) = (trial["stimulus"].as_f64().unwrap(), trial["entropy"].as_f64().unwrap());
        assert!(near(quest.next_stimulus(), stimulus, 1e-12), "trial {at}: {} not {stimulus}", quest.next_stimulus());
        let smallest = quest.expected_entropies().into_iter().fold(f64::INFINITY, f64::min);
        assert!(near(smallest, entropy, 1e-9), "trial {at}: {smallest} not {entropy}");
        quest.update(quest.next_stimulus(), trial["positive"].as_bool().unwrap());
    }
    for (at, (&found, expected)) in quest.posterior().iter().zip(get("posterior")).enumerate() {
        assert!((found - expected).abs() < 1e-8 * expected.max(1e-3), "cell {at}: {found} not {expected}");
    }
    for (name, found) in [("mean", quest.mean()), ("mode", quest.mode())] {
        for (found, expected) in [found.alpha, found.beta, found.gamma, found.lambda].into_iter().zip(get(name)) {
            assert!(near(found, expected, 1e-8), "{name}: {found} not {expected}");
        }
    }
}

fn task_of(name: &str) -> Task {
    if name == "2afc" { Task::TwoAlternative } else { Task::YesNo }
}

#[test]
fn fits_are_those_of_psignifit() {
    for case in reference()["psignifit"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let blocks: Vec<Block> = case["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .map(|b| Block { epsilon: b[0], positive: b[1] as u32, total: b[2] as u32 })
            .collect();
        let range = numbers(&case["range"]);
        let found = fit(&blocks, task_of(case["task"].as_str().unwrap()), [range[0], range[1]]).unwrap();
        // Ends of intervals to a hundredth of a decade: both are read off grids.
        for (end, expected) in found.middle.interval.iter().zip(numbers(&case["middle"])) {
            println!("{name}: middle {:.4}, psignifit {expected:.4}", end.log10());
            assert!((end.log10() - expected).abs() < 0.015, "{name}: {} not {expected}", end.log10());
        }
        for (end, expected) in found.lapse.interval.iter().zip(numbers(&case["lapse"])) {
            println!("{name}: λ {end:.4}, psignifit {expected:.4}");
            assert!((end - expected).abs() < 0.01, "{name}: λ {end} not {expected}");
        }
        let [middle, width, lambda, gamma] = numbers(&case["mode"]).try_into().unwrap();
        let mode = found.mode;
        let half = mode.inverse(mode.gamma + (1.0 - mode.gamma - mode.lambda) / 2.0).unwrap();
        let decades = (0.05f64.ln() / 0.95f64.ln()).log10() / mode.beta;
        println!(
            "{name}: mode {:.4} {decades:.4} {:.4} {:.4}, psignifit {middle:.4} {width:.4} {lambda:.4} {gamma:.4}",
            half.log10(),
            mode.lambda,
            mode.gamma
        );
        // Where the top is flat psignifit's simplex stops a little below it.
        assert!((half.log10() - middle).abs() < 5e-3 && near(decades, width, 0.02), "{name}: {mode:?}");
        assert!((mode.lambda - lambda).abs() < 1e-3 && (mode.gamma - gamma).abs() < 1e-3, "{name}: {mode:?}");
    }
}

/// A tenth of what `epsiloscope observer simulate` does: the share covered is known to ± 2 %.
#[test]
fn intervals_hold_what_they_promise() {
    for (task, gamma, lambda) in
        [(Task::TwoAlternative, 0.5, 0.0), (Task::TwoAlternative, 0.5, 0.05), (Task::YesNo, 0.1, 0.02)]
    {
        let observer = Psychometric { alpha: 1.0, beta: 2.0, gamma, lambda }.with_threshold(4.0 / 255.0).unwrap();
        let runs = if task == Task::YesNo { 30 } else { 100 };
        let plan = Plan { practice: 0, break_every: 0, ..Plan::new(task, Vec::new(), 150, 1) };
        let found = simulate(&Simulation { observer, plan, runs, resamples: 0 }, || ()).unwrap();
        println!("{task:?}, λ {lambda}: {found:?}");
        // Three standard deviations below 95 %.
        assert!(found.share() > 0.95 - 3.0 * (0.95 * 0.05 / runs as f64).sqrt(), "{found:?}");
        assert!(found.median_bias.abs() < 0.1, "{found:?}");
        assert!(found.median_width < 3.0, "wide intervals hold everything: {found:?}");
    }
}

fn plan(task: Task) -> Plan {
    let condition = |image: &str, attack: &str| Condition { image: image.to_owned(), attack: attack.to_owned() };
    let conditions = vec![condition("liver, slice 3", "fgsm"), condition("liver, slice 3", "random-sign")];
    Plan { break_every: 25, ..Plan::new(task, conditions, 40, 9) }
}

/// Sees all from ε = 0.02 on; guesses by the trial's number.
fn answer(trial: &Trial) -> Answer {
    let seen = trial.epsilon >= 0.02 || trial.side.is_some() && trial.index.is_multiple_of(2);
    match (trial.side, seen) {
        (Some(Side::Left), true) | (Some(Side::Right), false) => Answer::Left,
        (Some(_), _) => Answer::Right,
        (None, true) => Answer::Altered,
        (None, false) => Answer::Unaltered,
    }
}

/// Goes on for `trials` trials.
fn go_on(session: &mut Session, trials: usize) {
    let mut left = trials;
    while left > 0 {
        match session.next() {
            Next::Trial(trial) => {
                session.answer(answer(&trial), 0.7).unwrap();
                left -= 1;
            }
            Next::Break { .. } => session.rested().unwrap(),
            Next::Done => break,
        }
    }
}

#[test]
fn a_session_that_is_cut_off_goes_on_where_it_was() {
    for task in [Task::TwoAlternative, Task::YesNo] {
        let folder = tempfile::tempdir().unwrap();
        let [whole, cut] = ["whole.session", "cut.session"].map(|name| folder.path().join(name));
        let create = |path: &Path| Session::create(path, plan(task), Display::default(), None).unwrap();
        let mut straight = create(&whole);
        go_on(&mut straight, 1000);
        let mut session = create(&cut);
        let mut at = 0;
        for trials in [1, 3, 20, 7] {
            go_on(&mut session, trials);
            at += trials;
            let before = session.next();
            // Killed while the next line is written.
            let expected = fs::read(&cut).unwrap();
            fs::OpenOptions::new()
                .append(true)
                .open(&cut)
                .unwrap()
                .write_all(b"{\"answer\":{\"trial\":{\"ind")
                .unwrap();
            drop(session);
            let (header, answered, note) = Session::read(&cut).unwrap();
            assert_eq!((header.observer, answered.len()), (None, at));
            assert!(note.unwrap().contains("dropped"));
            let (again, note) = Session::resume(&cut).unwrap();
            assert!(note.unwrap().contains("dropped"));
            assert_eq!(fs::read(&cut).unwrap(), expected, "the torn line is gone");
            assert_eq!(again.next(), before);
            let twice = Session::resume(&cut).err().unwrap().to_string();
            assert!(twice.contains("open already"), "{twice}");
            session = again;
        }
        go_on(&mut session, 1000);
        assert_eq!(session.next(), Next::Done);
        assert_eq!(session.procedure().answered(), straight.procedure().answered());
    }
}

#[test]
fn sessions_are_exported_and_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.session");
    let window = Window { lower: 0.25, upper: 0.75 };
    let presentation = Presentation { window, ..Presentation::default() };
    let display = Display { zoom: 3.0, presentation, ..Display::default() };
    let mut session = Session::create(&path, plan(Task::YesNo), display, Some("  ".to_owned())).unwrap();
    go_on(&mut session, 1000);
    let (header, answered, _) = Session::read(&path).unwrap();
    assert_eq!(header.observer, None, "no name unless typed");
    let table = export_csv(&[(header, answered.clone())]).unwrap();
    assert_eq!(table.lines().count(), 1 + answered.len());
    assert!(table.contains("observer 1,\"liver, slice 3\",fgsm,yes-no"), "{table}");
    let file = folder.path().join("trials.csv");
    fs::write(&file, &table).unwrap();
    let rows = read_csv(&file).unwrap();
    assert_eq!(rows.len(), answered.iter().filter(|a| a.trial.kind != Kind::Practice).count());
    let found = thresholds(&rows, None).unwrap();
    assert_eq!(found.len(), 2);
    for (at, condition) in found.iter().enumerate() {
        // Half-way between what was always seen and what never was.
        assert!((0.01..0.03).contains(&condition.fit.threshold.median), "{condition:?}");
        let clear = condition.answers.iter().filter(|a| a.block.epsilon > 0.03).all(|a| a.d_prime.unwrap() > 1.0);
        assert!(clear && condition.answers[0].d_prime.is_none(), "{condition:?}");
        assert_eq!(condition.answers.iter().map(|a| a.block.total).sum::<u32>(), condition.fit.trials);
        // The file has rounded nothing that matters.
        let direct = fit(&session.procedure().blocks(at), Task::YesNo, plan(Task::YesNo).range).unwrap();
        let same = found.iter().any(|f| near(f.fit.threshold.median, direct.threshold.median, 1e-6));
        assert!(same, "{direct:?}");
    }
}

#[test]
fn what_was_shown_is_fitted_and_settings_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trials.csv");
    // Seen from 3 levels on; .6, 1 and 1.4 of a level are one picture.
    let mut table = "observer,image,attack,epsilon,epsilon_shown,correct,kind,zoom,seed\n".to_owned();
    for (at, asked) in [0.3, 0.6, 1.0, 1.4, 3.0, 6.0, 12.0].into_iter().cycle().take(140).enumerate() {
        let shown = f64::round(asked);
        let correct = shown >= 3.0 || (at / 7).is_multiple_of(2);
        let kind = if asked == 12.0 { "catch" } else { "main" };
        let zoom = if at < 70 { 2 } else { 3 };
        table += &format!("Ada,a,fgsm,{},{},{},{kind},{zoom},4\n", asked / 255.0, shown / 255.0, u8::from(correct));
    }
    fs::write(&file, table).unwrap();
    let rows = read_csv(&file).unwrap();
    let found = thresholds(&rows, None).unwrap();
    assert_eq!(found.len(), 2, "zoom 2 and zoom 3 are not one threshold");
    for t in &found {
        assert!(t.as_shown && t.seeds == ["4"] && t.catches == [10, 10]);
        let levels: Vec<f64> = t.answers.iter().map(|a| (a.block.epsilon * 255.0).round()).collect();
        assert_eq!(levels, [0.0, 1.0, 3.0, 6.0, 12.0]);
        assert_eq!(t.answers[1].block.total, 30, "three ε, one picture");
        // z(15.5/31) = 0, z(10.5/11) = 1.69.
        assert_eq!((t.answers[0].d_prime, t.answers[1].d_prime), (None, Some(0.0)));
        assert!((t.answers[2].d_prime.unwrap() - 1.6906 * 2f64.sqrt()).abs() < 1e-3, "{:?}", t.answers[2]);
        assert!((1.0..3.0).contains(&(t.fit.threshold.median * 255.0)), "{:?}", t.fit.threshold);
    }
    let asked: Vec<_> = rows.into_iter().map(|row| epsiloscope::observer::Row { epsilon_shown: None, ..row }).collect();
    let nominal = thresholds(&asked, None).unwrap();
    assert!(!nominal[0].as_shown && nominal[0].answers.len() == 7);
}

#[test]
fn damaged_sessions_and_tables_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.session");
    let mut session = Session::create(&path, plan(Task::TwoAlternative), Display::default(), None).unwrap();
    go_on(&mut session, 10);
    let again = Session::create(&path, plan(Task::TwoAlternative), Display::default(), None).err().unwrap().to_string();
    assert!(again.contains("a.session") && again.contains("exists"), "{again}");
    drop(session);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let other_side = if lines[5].contains("\"left\"") {
        lines[5].replace("left", "right")
    } else {
        lines[5].replace("right", "left")
    };
    let cases = [
        (String::new(), "holds no session"),
        ("{}\n".to_owned(), "does not begin"),
        (text.replace("\"format\":4", "\"format\":1"), "format 1"),
        (text.replace(lines[5], &other_side), "line 6"),
        (text.replace(lines[5], "{]"), "line 6"),
        (text.replace(&format!("{}\n", lines[5]), ""), "line 6"),
        (text.replace("\"steps\":40", "\"steps\":4000000"), "steps"),
    ];
    for (broken, said) in cases {
        fs::write(&path, &broken).unwrap();
        let error = Session::resume(&path).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(said) && !error.contains('\n'), "{said}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), broken, "what is not understood is left alone");
    }
    let table = folder.path().join("t.csv");
    for (text, said) in [
        ("observer,image,epsilon,correct\n", "no column attack"),
        ("observer,image,attack,epsilon\n", "neither"),
        ("observer,image,attack,epsilon,correct\n", "no trials"),
        ("observer,image,attack,epsilon,correct\na,b,c,2,1\n", "line 2: epsilon"),
        ("observer,image,attack,epsilon,correct\na,b,c,0.1,perhaps\n", "line 2: correct"),
        ("observer,image,attack,epsilon,correct\na,b,c,0.1\n", "line 2 has 4 columns"),
        ("observer,image,attack,epsilon,correct,task\na,b,c,0.1,1,quiz\n", "line 2: task"),
    ] {
        fs::write(&table, text).unwrap();
        let error = read_csv(&table).unwrap_err().to_string();
        assert!(error.contains("t.csv") && error.contains(said), "{said}: {error}");
    }
    assert!(read_csv(&folder.path().join("none.csv")).is_err());
}

#[test]
fn studies_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| program(folder.path()).arg("observer").args(arguments).output().unwrap();
    let output =
        run(&["simulate", "--runs", "6", "--trials", "40", "--lapse", "0.05", "--bootstrap", "20", "--seed", "3"]);
    let said = text(&output.stdout);
    for part in
        ["6 observers, 2afc, 40 trials and 2 catch", "4/255", "interval holds", "bias", "factor of", "bootstrap of 20"]
    {
        assert!(said.contains(part), "{part}: {said}{}", text(&output.stderr));
    }
    let again =
        run(&["simulate", "--runs", "6", "--trials", "40", "--lapse", "0.05", "--bootstrap", "20", "--seed", "3"]);
    assert_eq!(text(&again.stdout), said, "the same seed, the same observers");
    assert!(complaint(&run(&["simulate", "--lapse", "0.3"])).contains("0.25"));

    let session = folder.path().join("a.session");
    let mut study =
        Session::create(&session, plan(Task::TwoAlternative), Display::default(), Some("Ada".to_owned())).unwrap();
    go_on(&mut study, 1000);
    assert!(run(&["export", "a.session", "--out", "trials.csv"]).status.success());
    let said = text(&run(&["fit", "trials.csv"]).stdout);
    for part in ["threshold ε", "Ada", "liver, slice 3", "random-sign", "2afc", "42", "Random signs: one draw"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(run(&["fit", "trials.csv", "--out", "found"]).status.success());
    let found = folder.path().join("found");
    let table = fs::read_to_string(found.join("thresholds.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 2, "one for each attack");
    let report = fs::read_to_string(found.join("report.html")).unwrap();
    for part in [
        "threshold ε = ",
        "Random signs: one draw",
        "zoom",
        "screen pixels to one of the image",
        "seed of order and sides",
        "bits of grey",
        "images shown for",
        "until the answer",
        "Numbers at each ε",
        "d′",
        "as asked for",
    ] {
        assert!(report.contains(part), "{part}");
    }
    assert!(report.contains("fit trials.csv --out found") && !report.contains("NaN"));
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    for (at, record) in reader.records().map(Result::unwrap).enumerate() {
        let [threshold, low, high] = [5, 6, 7].map(|column: usize| record[column].parse::<f64>().unwrap());
        assert!(low < threshold && threshold < high, "{record:?}");
        let name = |ending: &str| found.join(format!("psychometric-{:02}.{ending}", at + 1));
        let svg = fs::read_to_string(name("svg")).unwrap();
        assert!(svg.contains(&format!("liver, slice 3, {}", &record[2])), "{svg}");
        assert!(image::open(name("png")).unwrap().width() > 1000);
    }
    let resampled = run(&["fit", "trials.csv", "--bootstrap", "200", "--out", "again"]);
    assert!(text(&resampled.stdout).contains("bootstrap of 200"), "{}", text(&resampled.stderr));
    let again = fs::read_to_string(folder.path().join("again/thresholds.csv")).unwrap();
    let cells = |table: &str| -> Vec<Vec<String>> {
        let rows = csv::Reader::from_reader(table.as_bytes()).into_records();
        rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    for (posterior, bootstrap) in cells(&table).iter().zip(cells(&again)) {
        assert_ne!(posterior[5], bootstrap[5], "the median, and that of the most probable ψ");
        assert_ne!(posterior[6..8], bootstrap[6..8], "another interval");
        assert_eq!([&posterior[23], &bootstrap[23]], ["posterior", "bootstrap of 200"]);
    }
    let said = text(&resampled.stdout);
    assert!(said.contains("that of the most probable ψ; its interval of 95 %: bootstrap of 200"), "{said}");
    let report = fs::read_to_string(folder.path().join("again/report.html")).unwrap();
    assert!(report.contains("parametric bootstrap, 200 times") && report.contains("--bootstrap 200 --out again"));
    let alone = run(&["fit", "trials.csv", "--seed", "1"]);
    assert!(!alone.status.success() && text(&alone.stderr).contains("--bootstrap"), "{}", text(&alone.stderr));
    assert!(complaint(&run(&["fit", "a.session"])).contains("a.session"));
    assert!(complaint(&run(&["export", "trials.csv"])).contains("trials.csv"));
    fs::write(folder.path().join("blank.csv"), "observer,image,attack,epsilon,correct\na,b,c,0,1\n").unwrap();
    assert!(complaint(&run(&["fit", "blank.csv"])).contains("blank.csv: a, b, c: there are no trials with ε above 0"));
}
