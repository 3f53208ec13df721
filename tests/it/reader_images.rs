//! A session over several images of a data set: trials mixed, a threshold for each, resumed in the middle; and a session that an older
//! version began.

use super::command_line::sample;
use super::looking::{app, wait};
use super::reader_pixels::{canvases, mean_difference, places};
use super::reader_study::{Chance, answers, form, session_file};
use eframe::egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::Request;
use epsiloscope::observer::{Next, Session, Side, Task, rows_of, thresholds};
use epsiloscope::workbench::reader::Phase;
use epsiloscope::workbench::{App, Command, Mode};
use std::path::Path;
use std::time::{Duration, Instant};

pub const NAMES: [&str; 3] = ["membranes", "membranes-2", "membranes-3"];

/// A folder of three images with their masks.
pub fn data_set(folder: &Path) -> std::path::PathBuf {
    let set = folder.join("sections");
    std::fs::create_dir(&set).unwrap();
    for name in NAMES {
        std::fs::copy(sample(&format!("{name}.png")), set.join(format!("{name}.png"))).unwrap();
        std::fs::copy(sample(&format!("{name}-mask.png")), set.join(format!("{name}_mask.png"))).unwrap();
    }
    set
}

/// The whole window with the data set open.
pub fn with_set(folder: &Path, set: &Path) -> Harness<'static, App> {
    let mut harness = app(Some(folder));
    let open = Request::Open { image: set.to_owned(), label: None, slice: None };
    harness.state().send(Command::Engine(open));
    wait(&mut harness, "the data set", |app| shows_the_set(app) && !app.state.computing);
    harness
}

/// Whether an image of the data set is on the screen: the set is listed before, while the sample still is.
pub fn shows_the_set(app: &App) -> bool {
    let of_the_set = app.state.case.as_ref().is_some_and(|case| NAMES.contains(&case.name.as_str()));
    of_the_set && app.state.is_current() && app.state.browse.shown.len() == NAMES.len()
}

/// Grey levels of a sample's file.
fn pixels(name: &str) -> Vec<f32> {
    let image = image::open(sample(&format!("{name}.png"))).unwrap().to_luma8();
    image.pixels().map(|p| f32::from(p.0[0])).collect()
}

/// Steps until a button is there, and clicks it.
pub fn click(harness: &mut Harness<'static, App>, name: &str) {
    let start = Instant::now();
    while harness.query_by_role_and_label(Role::Button, name).is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "there is no button {name}");
        harness.step();
    }
    harness.get_by_role_and_label(Role::Button, name).click();
}

#[test]
fn a_session_over_several_images_mixes_them_and_finds_a_threshold_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let set = data_set(folder.path());
    let mut harness = with_set(folder.path(), &set);
    form(&mut harness, Task::TwoAlternative, [24, 2, 2, 0], None);
    {
        let draft = &mut harness.state_mut().reader_mut().unwrap().draft;
        (draft.images, draft.control) = (2, true);
    }
    harness.run_steps(2);
    assert!(harness.query_all_by_label_contains("4 thresholds, 104 trials in all").next().is_some());
    click(&mut harness, "Prepare");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    let header = harness.state().reader().unwrap().session().unwrap().header.clone();
    let conditions = header.plan.conditions.clone();
    let stimuli = header.stimuli.clone().unwrap();
    assert_eq!((conditions.len(), stimuli.images.len()), (4, 4));
    assert!(conditions[0].image == conditions[1].image && conditions[0].image != conditions[2].image);
    assert_eq!([&conditions[0].attack, &conditions[1].attack], ["fgsm", "random-sign"]);
    // Each trial shows the image of its condition, as its file has it, beside one that is altered.
    let mut order = Vec::new();
    while order.len() < 30 {
        let reader = harness.state().reader().unwrap();
        match reader.clock().map(|clock| (clock.phase, clock.trial)) {
            None => {
                std::thread::sleep(Duration::from_millis(2));
                harness.key_press(Key::Enter);
            }
            Some((Phase::Shown, trial)) if order.len() == trial.index => {
                let at = places(&harness, Task::TwoAlternative);
                let seen = canvases(&mut harness, &at, [256, 256]);
                let altered = usize::from(trial.side == Some(Side::Right));
                let far = NAMES.map(|name| mean_difference(&seen[1 - altered].greys, &pixels(name)));
                let own = NAMES.iter().position(|name| *name == conditions[trial.condition].image).unwrap();
                assert!(far[own] < 0.02, "{trial:?}: {far:?}");
                assert!((0..3).all(|other| other == own || far[other] > 5.0), "{far:?}");
                let change = mean_difference(&seen[altered].greys, &pixels(NAMES[own])) / 255.0;
                assert!((change / trial.epsilon - 1.0).abs() < 0.25, "{trial:?}: {change}");
                order.push(trial.condition);
                let right = (trial.epsilon > 4.0 / 255.0) == (altered == 1);
                harness.key_press(if right { Key::ArrowRight } else { Key::ArrowLeft });
            }
            _ => {}
        }
        harness.step();
    }
    assert!((0..4).all(|condition| order[2..14].contains(&condition)), "mixed: {order:?}");
    wait(&mut harness, "the last answer on disk", |app| {
        app.reader().is_none_or(|r| r.clock().is_none_or(|c| c.phase != Phase::Saving))
    });
    drop(harness);

    let file = session_file(folder.path());
    let before = Session::read(&file).unwrap().1;
    assert_eq!(before.len(), 30, "every answer was on disk");
    // With another image open it says what is lacking: in a window that does not reopen the data set.
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("reader-studies")).unwrap();
    std::fs::copy(&file, elsewhere.path().join("reader-studies/copy.session")).unwrap();
    let mut harness = app(Some(elsewhere.path()));
    harness.state().send(Command::Enter(Mode::Reader));
    click(&mut harness, "Resume");
    let start = Instant::now();
    while harness.query_all_by_label_contains("a data set that is not open").next().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "it is not said what to open");
        harness.step();
    }
    drop(harness);
    // The window reopens the data set that it had.
    let mut harness = app(Some(folder.path()));
    wait(&mut harness, "the data set again", shows_the_set);
    harness.state().send(Command::Enter(Mode::Reader));
    click(&mut harness, "Resume");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    assert_eq!(answers(&mut harness, &mut Chance(9), usize::MAX), 106 - 30);
    let (header, after, _) = Session::read(&file).unwrap();
    assert_eq!((after.len(), &after[..30]), (106, &before[..]));
    let found = thresholds(&rows_of(&header, &after), None).unwrap();
    assert_eq!(found.len(), 4, "of each image and attack");
    for condition in &conditions {
        let of = |t: &&epsiloscope::observer::Thresholds| t.image == condition.image && t.attack == condition.attack;
        assert_eq!(found.iter().filter(of).map(|t| t.fit.trials).collect::<Vec<_>>(), [26], "{condition:?}");
    }
    harness.run_steps(3);
    assert!(harness.query_all_by_label_contains(&conditions[2].image).next().is_some(), "results name the images");
    assert!(
        harness.query_all_by_label_contains("Random signs: one draw").next().is_some(),
        "what the control's threshold holds for"
    );
}

/// `tests/fixtures/reader-study-3.session` was begun with the version before several images were possible (format 3), on the bundled sample.
#[test]
fn a_session_of_an_older_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = folder.path().join("reader-studies");
    std::fs::create_dir(&sessions).unwrap();
    let file = sessions.join("old.session");
    std::fs::copy(super::fixture::path("reader-study-3.session"), &file).unwrap();
    let before = Session::read(&file).unwrap().1;
    assert_eq!(before.len(), 6);
    let mut harness = app(Some(folder.path()));
    harness.state().send(Command::Enter(Mode::Reader));
    click(&mut harness, "Resume");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    harness.run_steps(2);
    let untold = "does not tell pixels, bounds, label, region and target";
    assert!(
        harness.query_all_by_label_contains(untold).next().is_some(),
        "older sessions do not tell what they are of"
    );
    assert_eq!(answers(&mut harness, &mut Chance(2), usize::MAX), 14 - 6);
    let session = harness.state().reader().unwrap().session().unwrap();
    assert_eq!(session.next, Next::Done);
    let (header, after, _) = Session::read(&file).unwrap();
    assert_eq!((after.len(), &after[..6]), (14, &before[..]));
    assert_eq!((header.display.part, header.display.sampling, header.display.screen_bits), (None, None, None));
}
