//! Opening an image while another one is shown: pictures and what stands around them are always of one image, and an image
//! is shown before a slow attack on it is done.

use super::app::*;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::Attack;
use epsiloscope::data::{Axis, Made, Unit, synthetic::lumbar_ct, write_stack};
use epsiloscope::engine::{CaseInfo, Plane, Request};
use epsiloscope::workbench::epsilon::EpsilonUnit;
use epsiloscope::workbench::state::State;
use epsiloscope::workbench::{App, Command, Options};
use std::path::Path;

/// PGD of so many steps that its frame takes seconds.
fn slow() -> Attack {
    Attack::named("pgd").unwrap().with("steps", 200.0).unwrap()
}

/// Whether `plane` holds the pixels of `case`.
fn is_of(plane: &Plane, case: &CaseInfo) -> bool {
    let scale = 1.0 / case.bounds.width();
    let wanted = case.image.pixels.iter().map(|v| (v - case.bounds.lower) * scale);
    [plane.channels, plane.height, plane.width] == case.shape
        && plane.values().unwrap().iter().zip(wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-5)
}

/// The pixels that are on the screen are those of the case whose letters, scale and numbers are.
fn assert_consistent(state: &State) {
    let Some(case) = &state.case else { return };
    assert!(!(state.frame.is_some() && state.early.is_some()));
    if let Some(frame) = &state.frame {
        assert!(std::sync::Arc::ptr_eq(&frame.case, case), "{} stands over {}", case.name, frame.case.name);
        assert!(is_of(&frame.original, case), "the pixels of another image than {}", case.name);
    }
    if let Some(early) = &state.early {
        assert!(is_of(&early.original, case), "the pixels of another image than {}", case.name);
        assert!(state.curve.is_none(), "the curve of the image before");
    }
}

#[test]
fn a_new_image_is_shown_before_its_attack_is_done_and_never_under_the_name_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume.nii.gz");
    write_stack(&volume, &lumbar_ct(2, 64, 3).unwrap(), &Made::default()).unwrap();
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    let sample = harness.state().state.case.clone().unwrap();
    harness.state().send(Command::Attack(slow()));
    harness.state().send(Command::Engine(Request::Open { image: volume.clone(), label: None, slice: None }));
    // The image alone, what the model sees in it, or a picture of the attack under way: which of them comes first depends on
    // how fast the machine is, but not all of them may come after the attack.
    let (mut shown, mut seen) = (false, false);
    let start = std::time::Instant::now();
    loop {
        harness.step();
        let state = &harness.state().state;
        assert_consistent(state);
        if state.case.as_ref().is_some_and(|case| case.path.as_ref() == Some(&volume)) {
            if current(harness.state()) {
                break;
            }
            shown |= state.early.is_some() || state.frame.is_some();
            seen |= state.frame.is_some() || state.early.as_ref().is_some_and(|early| early.clean.is_some());
            if state.early.is_some() {
                let coming = harness.query_all_by_label_contains("computing…").count();
                assert!(coming >= 3, "the others are on their way");
            }
        }
        assert!(start.elapsed() < LIMIT);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(shown && seen, "the image, and what the model sees in it, come before the attack is done");
    let state = &harness.state().state;
    let case = state.case.clone().unwrap();
    assert_eq!((case.slice, state.slice), (1, 1), "a volume opens in its middle");
    assert!(state.edges().is_some() && sample.about.axes().is_none());
}

#[test]
fn images_back_and_forth_after_a_slow_attack() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume.nii.gz");
    write_stack(&volume, &lumbar_ct(2, 64, 3).unwrap(), &Made::default()).unwrap();
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    harness.state().send(Command::Attack(slow()));
    harness.state().send(Command::Engine(Request::Open { image: volume.clone(), label: None, slice: None }));
    wait(&mut harness, "the volume", |app| {
        current(app) && app.state.case.as_ref().is_some_and(|case| case.path.as_ref() == Some(&volume))
    });
    harness.state().send(Command::Attack(Attack::FGSM));
    for request in [Request::OpenSample, Request::Open { image: volume, label: None, slice: Some(2) }] {
        harness.state().send(Command::Engine(request));
        let before = harness.state().state.case.as_ref().unwrap().path.clone();
        wait(&mut harness, "the other one", |app| {
            assert_consistent(&app.state);
            current(app) && app.state.case.as_ref().is_some_and(|case| case.path != before)
        });
    }
    assert_eq!(harness.state().state.slice, 2);
}

#[test]
fn an_image_that_cannot_be_opened_leaves_everything_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let colour = folder.path().join("colour.png");
    image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8, y as u8, 9])).save(&colour).unwrap();
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    let case = harness.state().state.case.clone().unwrap();
    // The bundled model takes one channel.
    harness.state().send(Command::OpenFiles(vec![colour]));
    wait(&mut harness, "a message", |app| {
        assert_consistent(&app.state);
        app.state.problem.is_some()
    });
    wait_current(&mut harness);
    assert_consistent(&harness.state().state);
    assert_eq!(harness.state().state.case.as_ref().unwrap().name, case.name);
}

fn nifti(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("ct.nii.gz");
    write_stack(&path, &lumbar_ct(2, 48, 4).unwrap(), &Made::default()).unwrap();
    path
}

#[test]
fn hounsfield_units_are_guessed_said_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = nifti(folder.path());
    let mut harness = open(Options { image: Some(image), ..Options::default() }, None);
    wait_current(&mut harness);
    let state = &harness.state().state;
    let about = state.case.as_ref().unwrap().about.clone();
    assert_eq!((about.unit, about.unit_guessed), (Unit::Hounsfield, true));
    harness.state().send(Command::Unit(EpsilonUnit::Hounsfield));
    harness.run_steps(2);
    let state = &harness.state().state;
    let width = f64::from(state.case.as_ref().unwrap().bounds.width());
    assert_eq!(state.epsilon_text(40.0 / width), "40.0 HU");
    harness.state().send(Command::Engine(Request::Unit(Unit::Unknown)));
    let no = |app: &App| app.state.case.as_ref().is_some_and(|case| case.about.unit == Unit::Unknown);
    wait(&mut harness, "no unit", |app| no(app) && current(app));
    let state = &harness.state().state;
    assert_eq!(state.epsilon_unit(), EpsilonUnit::GreyLevels, "ε has no unit that the image does not have");
    harness.state().send(Command::Engine(Request::Unit(Unit::Hounsfield)));
    wait(&mut harness, "the unit", |app| !no(app) && current(app));
    let case = harness.state().state.case.clone().unwrap();
    assert!(!case.about.unit_guessed && case.about.modality.as_deref() == Some("CT"));
}

#[test]
fn a_plane_is_left_and_found_again_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let image = nifti(folder.path());
    let mut harness = open(Options { image: Some(image), ..Options::default() }, None);
    wait_current(&mut harness);
    assert_eq!(harness.state().state.slice, 2, "the middle of four");
    harness.state().send(Command::Slice(3));
    wait(&mut harness, "slice 3", |app| current(app) && app.state.case.as_ref().is_some_and(|c| c.slice == 3));
    for (axis, slice) in [(Axis::Rows, 24), (Axis::Slices, 3)] {
        harness.state().send(Command::Engine(Request::Axis(axis)));
        wait(&mut harness, "the plane", |app| current(app) && app.state.case.as_ref().is_some_and(|c| c.axis == axis));
        assert_eq!(harness.state().state.slice, slice);
    }
}

#[test]
fn reading_stops_soon_after_it_is_cancelled() {
    use epsiloscope::data::{Pixels, Stack, open};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    let shape = [96, 1, 256, 256];
    // Noise, so that compression has something to do.
    let mut state = 1u32;
    let values: Vec<i16> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 20) as i16
        })
        .collect();
    let stack = Stack::new(shape, Pixels::I16(values.into())).unwrap();
    for name in ["a.nii.gz", "a.nii", "a.tif", "a/"] {
        let path = folder.path().join(name);
        let made = Made { compressed: true, ..Made::default() };
        write_stack(&path, &stack, &made).unwrap();
        let cancel = AtomicBool::new(false);
        let (took, done) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| open(&path, &cancel));
            std::thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            cancel.store(true, Ordering::Relaxed);
            let done = reader.join().unwrap().is_ok();
            (start.elapsed(), done)
        });
        println!(
            "{name}: {:.1} ms after it was cancelled, {}",
            took.as_secs_f64() * 1e3,
            if done { "read" } else { "given up" }
        );
        assert!(took < Duration::from_secs(2), "{name}: {took:?}");
    }
}
