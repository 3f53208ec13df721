//! Regions of interest: drawn, shown in every picture, and what confines an attack.

use crate::app::{current, open, wait};
use crate::stage::{FGSM, FOUR, HEIGHT, Stage, WIDTH, compare, picture_rect, settle, state};
use crate::viewing::{choose, stroke};
use eframe::egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::data::{Region, Shape};
use epsiloscope::workbench::state::Marks;
use epsiloscope::workbench::{App, Command, Options};

#[test]
fn rectangle_ellipse_brush_and_eraser_draw_a_region() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let region = |harness: &Harness<'_, Stage>| harness.state().state.marks.region.clone().unwrap();
    choose(&mut harness, "Rectangle");
    let navigation = harness.state().state.navigation;
    stroke(&mut harness, [10.2, 12.1], [40.3, 30.2]);
    let rectangle = region(&harness);
    let [left, top, width, height] = rectangle.rectangle().unwrap();
    assert!(left.abs_diff(10) <= 1 && top.abs_diff(12) <= 1 && width.abs_diff(30) <= 1 && height.abs_diff(18) <= 1);
    assert_eq!(harness.state().state.navigation, navigation, "nothing was panned");
    choose(&mut harness, "Ellipse");
    stroke(&mut harness, [50.0, 20.0], [90.0, 60.0]);
    let ellipse = region(&harness);
    assert!(!ellipse.contains([12, 14]), "another shape takes its place");
    let area = std::f64::consts::PI * 20.0 * 20.0;
    assert!((ellipse.count() as f64 / area - 1.0).abs() < 0.1, "{}", ellipse.count());
    choose(&mut harness, "Brush");
    harness.state_mut().state.brush = 6.0;
    stroke(&mut harness, [5.0, 5.0], [30.0, 5.0]);
    let painted = region(&harness);
    assert!(painted.contains([20, 5]) && painted.contains([70, 40]) && !painted.contains([20, 12]));
    choose(&mut harness, "Eraser");
    stroke(&mut harness, [60.0, 40.0], [80.0, 40.0]);
    assert!(!region(&harness).contains([70, 40]) && region(&harness).contains([70, 50]));
    harness.get_by_label("Region").click();
    settle(&mut harness);
    let before = region(&harness).count();
    harness.get_by_label("Invert region").click();
    settle(&mut harness);
    assert_eq!(region(&harness).count(), WIDTH * HEIGHT - before);
    // A menu closes when something is chosen.
    harness.get_by_label("Region").click();
    settle(&mut harness);
    assert!(harness.state().state.marks.confined_to().is_some(), "a region that is drawn counts");
    harness.get_by_label("Confine the attack to the region").click();
    settle(&mut harness);
    assert!(harness.state().state.marks.confined_to().is_none());
}

#[test]
fn a_region_shows_in_every_picture() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let before = harness.render().unwrap();
    let region = Region::shape(HEIGHT, WIDTH, Shape::Rectangle, [[20.0, 20.0], [70.0, 50.0]]);
    harness.state_mut().state.marks = Marks { region: Some(region), ..Marks::default() };
    settle(&mut harness);
    let after = harness.render().unwrap();
    for name in ["Original", "Noise", "Adversarial", "Segmentation of the original", "What changed"] {
        let rect = picture_rect(&harness, name);
        let changed = (rect.left() as u32..rect.right() as u32)
            .flat_map(|x| (rect.top() as u32..rect.bottom() as u32).map(move |y| (x, y)))
            .filter(|&(x, y)| before.get_pixel(x, y) != after.get_pixel(x, y))
            .count();
        assert!(changed > 200, "{name}: {changed} pixels");
    }
}

/// Whether the noise is 0 outside of `region` and somewhere inside not.
fn is_confined(app: &App, region: &Region) -> bool {
    let frame = app.state.frame.as_ref().unwrap();
    let (original, adversarial) = (frame.original.values().unwrap(), frame.adversarial.values().unwrap());
    let changed = |i: usize| original[i] != adversarial[i];
    let inside = |i: usize| region.contains([i % region.width, i / region.width]);
    (0..original.len()).all(|i| inside(i) || !changed(i)) && (0..original.len()).any(changed)
}

#[test]
fn an_attack_is_confined_to_a_region_and_undo_frees_it() {
    let mut harness = open(Options::default(), None);
    wait(&mut harness, "the sample", current);
    let [_, height, width] = harness.state().state.case.as_ref().unwrap().shape;
    let region = Region::shape(height, width, Shape::Ellipse, [[20.0, 30.0], [120.0, 100.0]]);
    assert!(!is_confined(harness.state(), &region));
    let marks = Marks { region: Some(region.clone()), confine: true, ruler: None };
    harness.state().send(Command::Mark(Box::new(marks)));
    let told = |app: &App| app.state.case.as_ref().is_some_and(|c| c.region.is_some());
    wait(&mut harness, "the region", |app| told(app) && current(app));
    assert!(is_confined(harness.state(), &region));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.step();
    assert_eq!(harness.state().state.marks, Marks::default());
    wait(&mut harness, "no region", |app| !told(app) && current(app));
    assert!(!is_confined(harness.state(), &region));
}

#[test]
fn a_region_is_there_again_when_its_file_is_opened_in_another_session() {
    let folder = tempfile::tempdir().unwrap();
    let [image, other] = ["a.png", "b.png"].map(|name| folder.path().join(name));
    for (path, step) in [(&image, 5), (&other, 7)] {
        image::GrayImage::from_fn(64, 48, |x, y| image::Luma([(x * step + y * 3) as u8])).save(path).unwrap();
    }
    let settings = folder.path().join("settings");
    let session = |image: &std::path::Path| {
        let mut harness = open(Options { image: Some(image.to_owned()), ..Options::default() }, Some(&settings));
        let path = image.to_owned();
        let of_image = move |app: &App| app.state.case.as_ref().is_some_and(|c| c.path.as_ref() == Some(&path));
        wait(&mut harness, "the image", |app| current(app) && of_image(app));
        harness
    };
    let region = Region::shape(48, 64, Shape::Ellipse, [[10.0, 8.0], [40.0, 30.0]]);
    let ruler = Some([[1.0, 2.0], [30.0, 40.0]]);
    let marks = Marks { region: Some(region.clone()), confine: true, ruler };
    let mut harness = session(&image);
    harness.state().send(Command::Mark(Box::new(marks.clone())));
    let told = |app: &App| app.state.case.as_ref().is_some_and(|c| c.region.is_some());
    wait(&mut harness, "the region", |app| told(app) && current(app));
    // At its end the window saves what it has.
    let left = harness.state().settings();
    assert_eq!(left.marks.len(), 1);
    std::fs::create_dir_all(&settings).unwrap();
    drop(harness);
    std::fs::write(settings.join("settings.json"), serde_json::to_string(&left).unwrap()).unwrap();
    let harness = session(&other);
    assert_eq!(harness.state().state.marks, Marks::default(), "another file has none");
    assert_eq!(harness.state().settings().marks, left.marks, "and they are not forgotten over it");
    drop(harness);
    std::fs::write(settings.join("settings.json"), serde_json::to_string(&left).unwrap()).unwrap();
    let mut harness = session(&image);
    wait(&mut harness, "the region again", |app| told(app) && current(app));
    assert_eq!(harness.state().state.marks, marks);
    assert!(is_confined(harness.state(), &region));
}
