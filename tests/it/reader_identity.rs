//! A session and its threshold are of one perturbation: another image of the same name, another label or another region is another one.

use super::command_line::sample;
use super::looking::{app, wait};
use super::reader_images::click;
use super::reader_study::{Chance, answers, form};
use eframe::egui::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::data::Region;
use epsiloscope::engine::{ReaderRequest, Request};
use epsiloscope::observer::Task;
use epsiloscope::workbench::{App, Command, Mode};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Two images that are called alike and have one size, and a mask.
fn files(folder: &Path) -> [PathBuf; 3] {
    let put = |name: &str, from: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(sample(from), &path).unwrap();
        path
    };
    [
        put("a/slice.png", "membranes.png"),
        put("b/slice.png", "membranes-2.png"),
        put("a/mask.png", "membranes-mask.png"),
    ]
}

fn open(harness: &mut Harness<'static, App>, image: &Path, label: Option<&Path>) {
    let (image, label) = (image.to_owned(), label.map(Path::to_owned));
    harness.state().send(Command::Engine(Request::Open { image: image.clone(), label: label.clone(), slice: None }));
    wait(harness, "the image", move |app| {
        let case = app.state.case.as_ref();
        let there = case.is_some_and(|case| case.path.as_ref() == Some(&image) && case.label_path == label);
        there && app.state.is_current() && !app.state.computing
    });
}

/// Waits for words that hold `text`.
fn said(harness: &mut Harness<'static, App>, text: &str) {
    let start = Instant::now();
    while harness.query_all_by_label_contains(text).next().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "it is not said: {text}");
        harness.step();
    }
}

/// Wishes to go on with the session, which is refused in words that hold `differs`.
fn refused(harness: &mut Harness<'static, App>, differs: &str) {
    harness.state().send(Command::Enter(Mode::Reader));
    click(harness, "Resume");
    said(harness, differs);
    assert!(harness.state().reader().unwrap().session().is_none());
    harness.state().send(Command::Leave);
    wait(harness, "the workbench", |app| app.reader().is_none());
}

#[test]
fn a_session_goes_on_with_what_it_began_with_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, mask] = files(folder.path());
    let mut harness = app(Some(folder.path()));
    open(&mut harness, &a, Some(&mask));
    form(&mut harness, Task::TwoAlternative, [8, 0, 0, 0], None);
    harness.get_by_role_and_label(Role::Button, "Prepare").click();
    assert_eq!(answers(&mut harness, &mut Chance(1), 2), 2);
    drop(harness);

    let mut harness = app(Some(folder.path()));
    open(&mut harness, &b, Some(&mask));
    refused(&mut harness, "what differs: image content");
    open(&mut harness, &a, None);
    refused(&mut harness, "what differs: label or prediction)");
    open(&mut harness, &a, Some(&mask));
    let part = Region::new(256, 256, |x, y| x < 90 && y < 70);
    harness.state().send(Command::Engine(Request::Region(Some(part))));
    wait(&mut harness, "the region", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|case| case.region.is_some())
    });
    refused(&mut harness, "what differs: region)");
    harness.state().send(Command::Engine(Request::Region(None)));
    wait(&mut harness, "the whole image", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|case| case.region.is_none())
    });
    harness.state().send(Command::Enter(Mode::Reader));
    click(&mut harness, "Resume");
    wait(&mut harness, "the instructions", |app| app.reader().is_some_and(|r| r.instructs()));
    assert_eq!(answers(&mut harness, &mut Chance(2), usize::MAX), 6);
    // Its threshold tells what it is of.
    let setting = {
        let session = harness.state().reader().unwrap().session().unwrap();
        epsiloscope::observer::Setting::of(&session.header, 0)
    };
    let told = |column: &str| setting.get(column).map(str::to_owned);
    assert_eq!((told("region"), told("target")), (Some("whole image".to_owned()), Some("none".to_owned())));
    assert!(told("pixels").is_some() && told("reference").is_some_and(|label| label.starts_with("label ")));
}

#[test]
fn a_threshold_does_not_hold_for_another_image_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, _] = files(folder.path());
    let mut harness = app(Some(folder.path()));
    open(&mut harness, &a, None);
    let pixels = harness.state().state.case.as_ref().unwrap().identity.pixels.clone().unwrap();
    let table = folder.path().join("thresholds.csv");
    let text = format!(
        "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,pixels\n\
         Ada,slice,fgsm,2afc,157,0.02,0.01,0.04,{pixels}\n"
    );
    std::fs::write(&table, text).unwrap();
    harness.state().send(Command::Engine(Request::Reader(ReaderRequest::Thresholds(table))));
    wait(&mut harness, "the threshold", |app| !app.state.seen.thresholds.is_empty());
    assert!(harness.state().state.threshold().is_some());
    open(&mut harness, &b, None);
    let state = &harness.state().state;
    assert_eq!(state.differs_from(&state.seen.thresholds[0]), ["image content"]);
    assert!(state.threshold().is_none());
}
