//! The reader study in the window: an observer of known threshold answers with keys, and the study finds it; a window that is
//! closed in the middle loses nothing.

use super::looking::{app, wait};
use eframe::egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::{Export, ReaderRequest, Request};
use epsiloscope::observer::{Kind, Next, Psychometric, Session, Side, Task, Trial, read_csv};
use epsiloscope::study::Limit;
use epsiloscope::workbench::reader::Phase;
use epsiloscope::workbench::{App, Command, Mode};
use std::path::{Path, PathBuf};

/// ψ of the observer that presses the keys.
fn observer(task: Task) -> Psychometric {
    let gamma = if task == Task::TwoAlternative { 0.5 } else { 0.05 };
    Psychometric { alpha: 1.0, beta: 3.0, gamma, lambda: 0.01 }.with_threshold(4.0 / 255.0).unwrap()
}

/// A fair die, the same in every run.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of the normal distribution of deviation 1: Box & Muller, Annals of Mathematical Statistics 29, 1958.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next()).cos()
    }
}

fn key(trial: &Trial, chance: &mut Chance) -> Key {
    let task = if trial.side.is_some() { Task::TwoAlternative } else { Task::YesNo };
    let positive = chance.next() < observer(task).probability(trial.epsilon);
    match (trial.side, positive) {
        (Some(Side::Left), true) | (Some(Side::Right), false) => Key::ArrowLeft,
        (Some(_), _) => Key::ArrowRight,
        (None, true) => Key::Y,
        (None, false) => Key::N,
    }
}

/// Opens the form and fills it in.
pub fn form(harness: &mut Harness<'static, App>, task: Task, counts: [usize; 4], shown_ms: Option<u32>) {
    harness.state().send(Command::Enter(Mode::Reader));
    wait(harness, "the form", |app| app.reader().is_some());
    let reader = harness.state_mut().reader_mut().unwrap();
    let draft = &mut reader.draft;
    draft.task = task;
    draft.counts = counts;
    draft.seed = Some(11);
    draft.timing.fixation_ms = 100;
    draft.timing.shown_ms = shown_ms;
    draft.timing.mask_ms = if shown_ms.is_some() { 50 } else { 0 };
    harness.run_steps(2);
}

/// Answers until `most` answers are given or the study is done; the answers given.
pub fn answers(harness: &mut Harness<'static, App>, chance: &mut Chance, most: usize) -> usize {
    let mut given = 0;
    let (mut asked, mut steps) = (None::<(usize, usize)>, 0);
    let start = std::time::Instant::now();
    while given < most {
        let reader = harness.state().reader().unwrap();
        assert!(
            start.elapsed() < std::time::Duration::from_secs(240),
            "after {given} answers: {:?}, {:?}",
            reader.clock(),
            reader.session().map(|session| session.next)
        );
        let Some(session) = reader.session() else {
            harness.step();
            continue;
        };
        match (session.next, reader.clock().map(|c| (c.phase, c.trial))) {
            (Next::Done, _) => break,
            (Next::Break { .. }, None) => harness.key_press(Key::Enter),
            (_, None) if reader.instructs() => {
                std::thread::sleep(std::time::Duration::from_millis(2));
                harness.key_press(Key::Enter);
            }
            (_, Some((Phase::Shown | Phase::Question, trial)))
                if asked.is_none_or(|(index, at)| index != trial.index || steps > at + 4) =>
            {
                let timed = session.header.plan.timing.shown_ms.is_some();
                if !timed || reader.clock().unwrap().phase == Phase::Question {
                    // A key of the frame in which the images come answers nothing: it is pressed again.
                    given += usize::from(asked.is_none_or(|(index, _)| index != trial.index));
                    asked = Some((trial.index, steps));
                    harness.key_press(key(&trial, chance));
                }
            }
            _ => {}
        }
        steps += 1;
        harness.step();
    }
    wait(harness, "the last answer on disk", |app| {
        app.reader().is_none_or(|r| r.clock().is_none_or(|c| c.phase != Phase::Saving))
    });
    given
}

pub fn session_file(folder: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder.join("reader-studies"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "session"))
        .collect();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn a_whole_session_finds_the_observers_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    form(&mut harness, Task::TwoAlternative, [80, 4, 2, 50], None);
    harness.get_by_role_and_label(Role::Button, "Prepare").click();
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    let mut chance = Chance(3);
    assert_eq!(answers(&mut harness, &mut chance, usize::MAX), 86);
    harness.run_steps(3);
    let found = harness.state().state.seen.thresholds.clone();
    assert_eq!(found.len(), 1);
    let threshold = found[0].clone();
    let level = threshold.epsilon * 255.0;
    println!("threshold {level:.2}/255, 95 % {:?}", threshold.interval.map(|e| e * 255.0));
    assert!((2.7..6.0).contains(&level), "the observer's is 4/255, found {level}");
    let [low, high] = threshold.interval.map(|e| e * 255.0);
    assert!(low < 4.0 && 4.0 < high && high / low < 4.0, "{low} to {high}");
    assert_eq!(harness.query_all_by_label_contains("The psychometric function").count(), 1);

    let (header, answered, _) = Session::read(&session_file(folder.path())).unwrap();
    assert_eq!(header.observer, None, "no name unless typed");
    assert_eq!(header.plan.seed, 11);
    assert!(header.display.zoom >= 1.0 && header.stimuli.is_some());
    assert_eq!(answered.iter().filter(|a| a.trial.kind == Kind::Practice).count(), 2);
    // An 8-bit image under the full window: every ε that is asked for is a whole grey level, and shown as what it is.
    let levels = header.plan.levels.clone().unwrap();
    assert!(levels.iter().all(|e| (e * 255.0 / (e * 255.0).round() - 1.0).abs() < 2e-3), "{levels:?}");
    for answer in &answered {
        assert!(levels.contains(&answer.trial.epsilon), "{answer:?}");
        assert!((answer.epsilon_shown() / answer.trial.epsilon - 1.0).abs() < 0.02, "{answer:?}");
        let shown = answer.presented.expect("how long it was shown is recorded");
        assert!(shown.frames > 0 && shown.dropped == 0, "{shown:?}");
        assert!((shown.shown_ms / 1000.0 - answer.seconds).abs() < 0.05, "until the answer: {answer:?}");
    }

    harness.get_by_role_and_label(Role::Button, "Export all trials (CSV)").click();
    let table = folder.path().join("reader-studies/trials.csv");
    wait(&mut harness, "the table", |_| table.exists());
    let rows = read_csv(&table).unwrap();
    assert_eq!(rows.len(), 84);
    // What is believed of the threshold begins at the smallest picture, not at the smallest ε that was asked for.
    assert_eq!(rows[0].range, Some(header.plan.shown_range()));
    assert!((header.plan.shown_range()[0] / levels[0] - 1.0).abs() < 2e-3);
    assert!(levels[0] > header.plan.range[0] * 9.0);
    assert!(rows.iter().all(|r| r.epsilon_shown.is_some() && r.setting.get("duration_ms") == Some("until the answer")));

    harness.get_by_role_and_label(Role::Button, "Back to the workbench").click();
    wait(&mut harness, "the workbench", |app| app.reader().is_none());
    let app = harness.state();
    assert!(app.state.differs_from(&threshold).is_empty());
    match app.state.limit() {
        Limit::Threshold { epsilon, .. } => {
            assert_eq!(epsilon, threshold.epsilon, "the plot's limit is the observer's")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_that_closes_in_the_middle_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(5);
    {
        let mut harness = app(Some(folder.path()));
        form(&mut harness, Task::YesNo, [12, 4, 2, 6], Some(150));
        harness.get_by_role_and_label(Role::Button, "Prepare").click();
        assert_eq!(answers(&mut harness, &mut chance, 9), 9);
    }
    let file = session_file(folder.path());
    let before = Session::read(&file).unwrap().1;
    assert_eq!(before.len(), 9, "every answer was on disk");
    // The images stayed for 150 ms: nine frames at 60 a second.
    assert!(before.iter().all(|a| a.presented.is_some_and(|p| (p.shown_ms - 150.0).abs() < 20.0)), "{before:?}");

    let mut harness = app(Some(folder.path()));
    harness.state().send(Command::Enter(Mode::Reader));
    wait(&mut harness, "the form", |app| app.reader().is_some());
    let start = std::time::Instant::now();
    while harness.query_by_role_and_label(Role::Button, "Resume").is_none() {
        assert!(start.elapsed().as_secs() < 60, "the session is not listed");
        harness.step();
    }
    harness.get_by_role_and_label(Role::Button, "Resume").click();
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    assert_eq!(answers(&mut harness, &mut chance, usize::MAX), 9);
    let (header, after, _) = Session::read(&file).unwrap();
    assert_eq!((after.len(), &after[..9]), (18, &before[..]));
    assert_eq!(header.plan.task, Task::YesNo);
    assert!(after.iter().any(|a| a.trial.epsilon == 0.0 && a.trial.kind == Kind::Catch), "catch trials are unaltered");
}

#[test]
fn a_session_of_another_image_says_what_to_open() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut harness = app(Some(folder.path()));
        form(&mut harness, Task::TwoAlternative, [8, 0, 0, 0], None);
        harness.get_by_role_and_label(Role::Button, "Prepare").click();
        assert_eq!(answers(&mut harness, &mut Chance(1), 2), 2);
    }
    let mut harness = app(Some(folder.path()));
    harness.state().send(Command::Engine(epsiloscope::engine::Request::Generate(epsiloscope::data::Sample::ChestXray)));
    wait(&mut harness, "another image", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|c| c.name.contains("chest"))
    });
    harness.state().send(Command::Enter(Mode::Reader));
    wait(&mut harness, "the form", |app| app.reader().is_some());
    let start = std::time::Instant::now();
    while harness.query_by_role_and_label(Role::Button, "Resume").is_none() {
        assert!(start.elapsed().as_secs() < 60, "the session is not listed");
        harness.step();
    }
    harness.get_by_role_and_label(Role::Button, "Resume").click();
    let start = std::time::Instant::now();
    while harness.query_all_by_label_contains("open that first, then resume").next().is_none() {
        assert!(start.elapsed().as_secs() < 60, "it is not said what to open");
        harness.step();
    }
    assert!(harness.state().reader().unwrap().session().is_none());
}

#[test]
fn thresholds_of_a_file_hold_for_what_they_were_measured_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    let name = harness.state().state.case.as_ref().unwrap().name.clone();
    let table = folder.path().join("thresholds.csv");
    let row = |who: &str, attack: &str, window: &str, threshold: f64| {
        format!("{who},{name},{attack},2afc,157,{threshold},{},{},{window}\n", threshold / 2.0, threshold * 2.0)
    };
    let text = "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,window_lower,window_upper\n"
        .to_owned()
        + &row("Ada", "fgsm", "0,1", 0.02)
        + &row("Ben", "fgsm", "0,1", 0.01)
        + &row("Cy", "fgsm", "0.2,0.4", 0.003)
        + &row("Di", "pgd", "0,1", 0.001) + &row("Ed", "fgsm", "0,1", f64::INFINITY);
    std::fs::write(&table, text).unwrap();
    let read = ReaderRequest::Thresholds(table.clone());
    harness.state().send(Command::Engine(Request::Reader(read)));
    wait(&mut harness, "the thresholds", |app| !app.state.seen.thresholds.is_empty());
    let state = &harness.state().state;
    assert_eq!(state.seen.thresholds.len(), 4, "one was never reached");
    let used = state.threshold().unwrap();
    assert_eq!(
        (used.observer.as_str(), used.epsilon),
        ("Ben", 0.01),
        "the one who sees most, of this window and attack"
    );
    let other = |who: &str| state.differs_from(state.seen.thresholds.iter().find(|t| t.observer == who).unwrap());
    assert_eq!((other("Cy"), other("Di")), (vec!["window"], vec!["attack"]));
    let figure = folder.path().join("curve.svg");
    wait(&mut harness, "a curve", |app| app.state.curve.as_ref().is_some_and(|c| !c.points.is_empty()));
    let wish = Box::new(harness.state().state.figure_wish());
    harness.state().send(Command::Engine(Request::Export(Export::CurveFigure(figure.clone(), wish))));
    wait(&mut harness, "the figure", |_| figure.exists());
    let svg = std::fs::read_to_string(&figure).unwrap();
    assert!(svg.contains("Ben’s threshold") && svg.contains("class=\"fig-seenband\""), "drawn with its interval");
}
