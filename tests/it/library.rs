//! The library: thumbnails of a data set, only those on the screen, its filter and order, and stepping through it with the
//! pictures following.

use super::app::{open, wait};
use super::stage::*;
use eframe::egui::{Key, Modifiers, Role, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use epsiloscope::data::{Dataset, Image, StoredType, Thumbnail, write_image};
use epsiloscope::workbench::browse::{Browse, Sort};
use epsiloscope::workbench::library::Library;
use epsiloscope::workbench::{App, Command, Options};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const CLASSES: [&str; 3] = ["healthy", "pneumonia", "tumour"];

/// A folder for each class, `each` images in it, without pixels: only their names count.
fn classes(each: usize) -> (tempfile::TempDir, Arc<Dataset>) {
    let folder = tempfile::tempdir().unwrap();
    for (index, class) in CLASSES.iter().enumerate() {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for number in 0..each {
            let name = format!("{class}/{}{number:03}.png", &class[..1]);
            let pixels: Vec<f32> = (0..64).map(|i| (i * (index + 1) + number) as f32).collect();
            let image = Image::new(1, 8, 8, pixels).unwrap();
            write_image(&folder.path().join(name), &image, StoredType::U8).unwrap();
        }
    }
    let set = Dataset::find(folder.path(), &AtomicBool::new(false), &|_| {}).unwrap();
    (folder, set.into())
}

fn library(size: [f32; 2], browse: Browse) -> Harness<'static, Stage> {
    let state = epsiloscope::workbench::State { browse, ..state(FGSM, FOUR) };
    stage(size, state, Panel::Pane(Box::new(Library::default())))
}

/// Names of the thumbnails on the screen.
fn cells(harness: &Harness<'_, Stage>) -> Vec<String> {
    let labels = harness.get_all_by_role(Role::Button).filter_map(|node| node.accesskit_node().label());
    labels.filter(|label| CLASSES.iter().any(|class| label.contains(class))).collect()
}

/// The panel with pictures, one that waits and one that is broken.
pub fn with_thumbnails() -> Harness<'static, Stage> {
    let (_folder, set) = classes(4);
    let mut named = (*set).clone();
    named.name = "chest".to_owned();
    let mut browse = Browse::new(named.into());
    browse.chosen = Some(1);
    let picture = |index: usize| {
        let rgba =
            (0..32 * 24).flat_map(|i| [(i % 32 * 7) as u8, (index * 20) as u8, (i / 32 * 9) as u8, 255]).collect();
        Ok(Thumbnail { width: 32, height: 24, rgba })
    };
    for index in 0..11 {
        let made = if index == 4 { Err("p000.png: is cut short".to_owned()) } else { picture(index) };
        browse.thumbnails.arrive(index, made);
    }
    let mut harness = library([280.0, 460.0], browse);
    let context = harness.ctx.clone();
    while harness.state_mut().state.browse.thumbnails.upload(&set, &context) {}
    settle(&mut harness);
    harness
}

#[test]
fn library_draws_only_what_is_on_the_screen() {
    let (_folder, small) = classes(2);
    // Sixty thousand entries, as MNIST has.
    let mut large = (*small).clone();
    large.entries = (0..60_000).map(|_| small.entries[0].clone()).collect();
    let mut harness = library([300.0, 500.0], Browse::new(large.into()));
    settle(&mut harness);
    let drawn = cells(&harness).len();
    assert!((6..60).contains(&drawn), "{drawn} thumbnails are drawn");
    assert!(shows(&harness, "– of 60000"));
    let wished = harness.state().log.iter().rev().find_map(|command| match command {
        Command::LookAt(indices) => Some(indices.clone()),
        _ => None,
    });
    let wished = wished.expect("thumbnails are wished for");
    assert!(wished.len() < 150 && wished[0] == 0, "{} are wished for", wished.len());
}

#[test]
fn library_stays_at_the_chosen_entry_when_its_panel_grows() {
    let (_folder, set) = classes(20);
    let name = set.entries[31].name.to_string();
    let mut browse = Browse::new(set);
    browse.chosen = Some(31);
    let mut harness = library([300.0, 500.0], browse);
    let shows = |harness: &Harness<'_, Stage>| cells(harness).iter().any(|cell| cell.starts_with(&name));
    assert!(shows(&harness), "{:?}", cells(&harness));
    for size in [vec2(700.0, 500.0), vec2(700.0, 300.0), vec2(240.0, 420.0)] {
        harness.set_size(size);
        settle(&mut harness);
        assert!(shows(&harness), "{size:?}: {:?}", cells(&harness));
    }
}

#[test]
fn buttons_of_files_end_before_the_bar_that_scrolls() {
    let harness = library([320.0, 300.0], Browse::default());
    let edge = 320.0 - 8.0;
    let button = harness.query_all_by_label_contains("Image…").next().unwrap().rect();
    assert!(button.width() > 200.0 && button.right() <= edge - 7.5, "{button:?}");
}

#[test]
fn library_says_what_is_known_of_an_entry_and_why_one_is_broken() {
    let harness = with_thumbnails();
    let names = cells(&harness);
    assert!(names.iter().any(|name| name == "h000, healthy, 8 × 8 px"), "{names:?}");
    assert!(names.iter().any(|name| name.contains("cannot be shown: p000.png: is cut short")), "{names:?}");
    assert!(shows(&harness, "2 of 12"));
    assert!(shows(&harness, "chest: images with classes"));
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
}

#[test]
fn library_shows_the_entry_that_is_clicked() {
    let mut harness = with_thumbnails();
    harness.get_by_label("h002, healthy, 8 × 8 px").click();
    settle(&mut harness);
    assert!(harness.state().log.iter().any(|command| matches!(command, Command::ShowEntry(2))));
    harness.get_by_label("Next entry").click();
    settle(&mut harness);
    assert!(harness.state().log.iter().any(|command| matches!(command, Command::StepEntry(1))));
}

#[test]
fn library_filters_by_name_and_class_and_sorts() {
    let mut harness = with_thumbnails();
    harness.get_by_label("Filter by name").focus();
    harness.step();
    harness.get_by_label("Filter by name").type_text("T00");
    settle(&mut harness);
    assert_eq!(harness.state().state.browse.shown, [8, 9, 10, 11]);
    assert!(shows(&harness, "– of 4, 12 in all"));
    harness.get_by_label("Clear filter").click();
    settle(&mut harness);
    assert_eq!(harness.state().state.browse.shown.len(), 12);
    harness.get_by_role_and_label(Role::ComboBox, "Class").click();
    settle(&mut harness);
    harness.get_by_label("pneumonia  4").click();
    settle(&mut harness);
    assert_eq!(harness.state().state.browse.shown, [4, 5, 6, 7]);

    let (_folder, set) = classes(2);
    let mut browse = Browse::new(set);
    browse.filter.sort = Sort::Class;
    browse.filter.text = "1".to_owned();
    browse.refilter();
    assert_eq!(browse.shown, [1, 3, 5]);
    browse.chosen = Some(1);
    assert_eq!((browse.stepped(1), browse.stepped(-1), browse.stepped(9)), (Some(3), None, Some(5)));
}

#[test]
fn library_steps_through_a_folder_and_remembers_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "d"] {
        let pixels: Vec<f32> = (0..1024).map(|i| ((i % 32) * 7) as f32).collect();
        let mask: Vec<f32> = (0..1024).map(|i| if i % 32 < 16 { 0.0 } else { 255.0 }).collect();
        for (place, pixels) in [("images", pixels), ("masks", mask)] {
            let path = folder.path().join(place).join(format!("{name}.png"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_image(&path, &Image::new(1, 32, 32, pixels).unwrap(), StoredType::U8).unwrap();
        }
    }
    std::fs::write(folder.path().join("images/c.png"), "no pixels").unwrap();
    let settings = tempfile::tempdir().unwrap();
    let options = Options { image: Some(folder.path().to_owned()), ..Options::default() };
    let mut harness = open(options, Some(settings.path()));
    let shown = |name: &'static str| {
        move |app: &App| app.state.case.as_ref().is_some_and(|case| case.name == name) && app.state.is_current()
    };
    wait(&mut harness, "the first entry", shown("a"));
    let case = harness.state().state.case.clone().unwrap();
    assert!(case.label_path.as_ref().is_some_and(|path| path.ends_with("masks/a.png")), "it opens with its mask");
    wait(&mut harness, "thumbnails", |app| app.state.browse.thumbnails.len() == 4);
    harness.run_steps(2);
    assert!(harness.query_all_by_label_contains("c, cannot be shown").next().is_some(), "a broken file says why");
    assert!(harness.query_by_label("1 of 4").is_some());
    harness.key_press(Key::N);
    wait(&mut harness, "the second entry", shown("b"));
    harness.key_press(Key::PageDown);
    wait(&mut harness, "a message", |app| app.state.problem.is_some());
    assert_eq!(harness.state().state.browse.count_text(), "3 of 4");
    assert!(shown("b")(harness.state()), "the last good picture stays");
    harness.key_press(Key::N);
    wait(&mut harness, "the entry behind the broken one", shown("d"));
    harness.key_press_modifiers(Modifiers::SHIFT, Key::N);
    harness.step();
    harness.key_press(Key::PageUp);
    wait(&mut harness, "back again", shown("b"));
    assert_eq!(harness.state().state.recent.len(), 1, "the folder is recent, not each of its files");
    harness.key_press(Key::G);
    harness.run_steps(3);
    assert!(harness.state().state.browse.enlarged && harness.query_by_label("Size of thumbnails").is_some());
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    let mut filter = harness.state().state.browse.filter.clone();
    filter.text = "b".to_owned();
    harness.state().send(Command::Filter(Box::new(filter.clone())));
    harness.run_steps(2);
    let remembered = harness.state().settings().data_set.unwrap();
    assert_eq!((remembered.path.as_path(), remembered.entry, &remembered.filter), (folder.path(), 1, &filter));
    std::thread::sleep(Duration::from_millis(1100));
    harness.run_steps(80);
    drop(harness);

    let mut harness = open(Options::default(), Some(settings.path()));
    wait(&mut harness, "the data set of the last session", shown("b"));
    assert_eq!(harness.state().state.browse.count_text(), "1 of 1, 4 in all");
    drop(harness);

    drop(folder);
    let mut harness = open(Options::default(), Some(settings.path()));
    wait(&mut harness, "the sample where the folder is gone", |app| app.state.is_current());
    assert!(harness.state().state.problem.is_some(), "and why");
}

#[test]
fn library_shows_the_slices_of_a_stack() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/isbi2012");
    if !folder.exists() {
        println!("skipped: {} is not there", folder.display());
        return;
    }
    let options = Options { image: Some(folder.join("train-volume.tif")), ..Options::default() };
    let mut harness = open(options, None);
    wait(&mut harness, "thumbnails of slices", |app| app.state.is_current() && app.state.browse.thumbnails.len() > 3);
    assert_eq!(harness.state().state.browse.count_text(), "15 of 0–29", "a stack opens in its middle");
    harness.run_steps(2);
    let count = |name: &'static str| harness.query_all_by_label(name).count();
    assert_eq!([count("Next entry"), count("Next slice"), count("Slice")], [1, 0, 1], "one stepper, and the slider");
    assert!(count("Play the stack") == 1 && count("15 of 0–29") == 1);
    harness.state().send(Command::ShowEntry(7));
    wait(&mut harness, "slice 7", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|c| c.slice == 7)
    });
    harness.state().send(Command::Slice(9));
    wait(&mut harness, "slice 9", |app| {
        app.state.is_current() && app.state.case.as_ref().is_some_and(|c| c.slice == 9)
    });
    assert_eq!(harness.state().state.browse.chosen, Some(9), "the library follows");
}

#[test]
fn library_filters_ten_thousand_entries_between_two_frames() {
    let (folder, _) = classes(1);
    for class in CLASSES {
        let first = folder.path().join(class).join(format!("{}000.png", &class[..1]));
        for number in 1..3400 {
            std::fs::hard_link(&first, folder.path().join(class).join(format!("x{number}.png"))).unwrap();
        }
    }
    let set = Dataset::find(folder.path(), &AtomicBool::new(false), &|_| {}).unwrap();
    assert_eq!(set.entries.len(), 10_200);
    let mut browse = Browse::new(set.into());
    browse.filter.text = "1".to_owned();
    browse.filter.sort = Sort::Class;
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            browse.refilter();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{} of 10 200 entries are left; median {:.2} ms", browse.shown.len(), times[7]);
    assert!(times[7] < 16.0, "{times:?}");
}
