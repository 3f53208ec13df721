//! A reader study waits for nothing that never comes: images that are opened while it is prepared, files that are given in the middle of it,
//! images that are not what they were.

use super::command_line::sample;
use super::looking::{app, wait};
use super::reader_images::{NAMES, click, data_set, shows_the_set, with_set};
use super::reader_pixels::{canvases, mean_difference, places};
use super::reader_study::{Chance, answers, form, session_file};
use eframe::egui::{Key, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::Request;
use epsiloscope::observer::{Next, Session, Side, Task};
use epsiloscope::workbench::reader::Phase;
use epsiloscope::workbench::{App, Command, Mode};
use std::time::{Duration, Instant};

fn open(name: &str) -> Request {
    Request::Open { image: sample(name), label: None, slice: None }
}

fn shows(harness: &Harness<'static, App>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

/// Steps until one of `texts` is on the screen.
fn says(harness: &mut Harness<'static, App>, texts: &[&str]) {
    let start = Instant::now();
    while !texts.iter().any(|text| shows(harness, text)) {
        assert!(start.elapsed() < Duration::from_secs(120), "none of {texts:?} is said");
        std::thread::sleep(Duration::from_millis(2));
        harness.step();
    }
}

#[test]
fn an_image_that_is_opened_while_a_study_is_prepared_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    form(&mut harness, Task::TwoAlternative, [8, 0, 0, 0], None);
    // The session begins with what is on the screen; until the window hears of it the engine has another image.
    harness.state().send(Command::Engine(open("membranes-2.png")));
    // Both in one frame, which no click of a pointer is.
    harness.get_by_role_and_label(Role::Button, "Prepare").click_accesskit();
    harness.step();
    std::thread::sleep(Duration::from_secs(2));
    says(&mut harness, &["was opened meanwhile", "not on the screen yet", "open that first, then resume"]);
    assert!(harness.state().reader().unwrap().session().is_none(), "no session of two images");
    wait(&mut harness, "the other image", |app| app.state.is_current() && !app.state.computing);
    // That one can be studied at once.
    click(&mut harness, "Prepare");
    assert_eq!(answers(&mut harness, &mut Chance(4), 3), 3);
    let session = harness.state().reader().unwrap().session().unwrap();
    assert_eq!(session.header.plan.conditions[0].image, "membranes-2");
}

#[test]
fn a_study_goes_on_with_its_image_whatever_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    form(&mut harness, Task::TwoAlternative, [8, 0, 0, 0], None);
    click(&mut harness, "Prepare");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    // Files are not taken any more.
    harness.state().send(Command::OpenFiles(vec![sample("membranes-3.png")]));
    says(&mut harness, &["A reader study is under way"]);
    assert!(harness.state().state.case.as_ref().is_some_and(|case| case.path.is_none()), "the sample is open");
    // One that was being read already is: the engine was told before.
    harness.state().send(Command::Engine(open("membranes-2.png")));
    wait(&mut harness, "another image", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|case| case.name == "membranes-2")
    });
    let pixels = |name: &str| -> Vec<f32> {
        image::open(sample(&format!("{name}.png"))).unwrap().to_luma8().pixels().map(|p| f32::from(p.0[0])).collect()
    };
    let mut seen = 0;
    while seen < 2 {
        // Notes do not cover what is looked at.
        let looks = harness.state().reader().unwrap().clock().is_some();
        assert!(!looks || !shows(&harness, "A reader study is under way"));
        match harness.state().reader().unwrap().clock().map(|clock| (clock.phase, clock.trial)) {
            None => {
                std::thread::sleep(Duration::from_millis(2));
                harness.key_press(Key::Enter);
            }
            Some((Phase::Shown, trial)) if trial.index == seen => {
                let at = places(&harness, Task::TwoAlternative);
                let shown = canvases(&mut harness, &at, [256, 256]);
                let original = &shown[usize::from(trial.side == Some(Side::Left))].greys;
                let far = NAMES.map(|name| mean_difference(original, &pixels(name)));
                assert!(far[0] < 0.02 && far[1] > 5.0, "the study shows what it began with: {far:?}");
                harness.key_press(Key::ArrowLeft);
                seen += 1;
            }
            _ => {}
        }
        harness.step();
    }
}

#[test]
fn images_that_changed_since_are_not_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let set = data_set(folder.path());
    {
        let mut harness = with_set(folder.path(), &set);
        form(&mut harness, Task::TwoAlternative, [8, 0, 0, 0], None);
        harness.state_mut().reader_mut().unwrap().draft.images = 2;
        harness.run_steps(2);
        click(&mut harness, "Prepare");
        assert_eq!(answers(&mut harness, &mut Chance(1), 2), 2);
    }
    for name in NAMES {
        for name in [format!("{name}.png"), format!("{name}_mask.png")] {
            let image = image::open(set.join(&name)).unwrap();
            image.crop_imm(0, 0, 128, 192).save(set.join(&name)).unwrap();
        }
    }
    // The window reopens the data set that it had.
    let mut harness = app(Some(folder.path()));
    wait(&mut harness, "the data set again", shows_the_set);
    harness.state().send(Command::Enter(Mode::Reader));
    click(&mut harness, "Resume");
    says(&mut harness, &["is not the image of the session any more"]);
    assert!(harness.state().reader().unwrap().session().is_none());
    // Nothing is being read.
    harness.run_steps(3);
    assert!(!shows(&harness, "The images are being read"));
}

#[test]
fn a_key_answers_only_what_was_on_the_screen_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = app(Some(folder.path()));
    form(&mut harness, Task::TwoAlternative, [12, 0, 0, 0], None);
    click(&mut harness, "Prepare");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    // Held from before the images on: it answers nothing.
    while harness.state().reader().unwrap().clock().is_none() {
        std::thread::sleep(Duration::from_millis(2));
        harness.key_press(Key::Enter);
        harness.step();
    }
    for _ in 0..120 {
        harness.key_down(Key::ArrowLeft);
        harness.step();
    }
    let reader = harness.state().reader().unwrap();
    assert_eq!((reader.clock().unwrap().phase, reader.session().unwrap().progress.0), (Phase::Shown, 0));
    harness.key_up(Key::ArrowLeft);
    harness.step();
    // Pressed in every second frame, that in which the images come among them: it counts from the next one on.
    let start = Instant::now();
    while harness.state().reader().unwrap().session().unwrap().next != Next::Done {
        assert!(start.elapsed() < Duration::from_secs(120));
        harness.key_press(Key::ArrowLeft);
        harness.step();
    }
    harness.run_steps(3);
    let answered = Session::read(&session_file(folder.path())).unwrap().1;
    assert_eq!(answered.len(), 12);
    assert!(answered.iter().all(|a| a.seconds > 0.0 && a.presented.is_some_and(|p| p.frames > 1)), "{answered:?}");
    // Answers in the next frame are none to what was seen.
    assert!(shows(&harness, "came within 150 ms after the images"));
    click(&mut harness, "Export all trials (CSV)");
    let table = folder.path().join("reader-studies/trials.csv");
    wait(&mut harness, "the table", |_| table.exists());
    let table = std::fs::read_to_string(table).unwrap();
    let column = table.lines().next().unwrap().split(',').position(|name| name == "too_soon").unwrap();
    assert!(table.lines().skip(1).any(|line| line.split(',').nth(column) == Some("1")), "{table}");
    // The next observer without a name is another one.
    click(&mut harness, "Another session");
    click(&mut harness, "Prepare");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    assert_eq!(answers(&mut harness, &mut Chance(6), usize::MAX), 12);
    // Not taken for the one before.
    says(&mut harness, &["observer 2"]);
}
