//! The whole window with its engine: what a person does reaches the model and comes back as pictures, numbers and curves.

use super::app::*;
use eframe::egui::{Key, Modifiers, Role, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::{Attack, Reference};
use epsiloscope::engine::JobState;
use epsiloscope::study::CurvePoint;
use epsiloscope::workbench::epsilon_bar::{ENTRY_LABEL, SLIDER_LABEL};
use epsiloscope::workbench::state::Theme;
use epsiloscope::workbench::{App, Command, Options, PanelKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The window with the bundled sample on the screen.
fn with_sample() -> Harness<'static, App> {
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    harness
}

#[test]
fn window_starts_with_the_sample_and_the_bundled_model() {
    let mut harness = with_sample();
    harness.run_steps(3);
    let state = &harness.state().state;
    let case = state.case.clone().unwrap();
    assert_eq!(case.reference, Reference::Label);
    assert!(state.model.is_some() && state.device.is_some() && state.problem.is_none());
    assert!(state.hint, "a first start shows the hint");
    let frame = state.frame.clone().unwrap();
    assert_eq!([frame.original.channels, frame.original.height, frame.original.width], case.shape);
    assert!((frame.epsilon - 4.0 / 255.0).abs() < 1e-12);
    harness.check_accessibility();
    // Where the pictures are, the window is not one colour.
    let picture = harness.render().unwrap();
    assert!(harness.query_all_by_label_contains("Adversarial: ε 4.00 /255, FGSM").count() == 1);
    let colours: std::collections::HashSet<[u8; 4]> = (300..900)
        .step_by(7)
        .flat_map(|x| (150..450).step_by(7).map(move |y| (x, y)))
        .map(|(x, y)| picture.get_pixel(x, y).0)
        .collect();
    assert!(colours.len() > 50, "only {} colours where pictures should be", colours.len());
}

#[test]
fn window_drag_of_the_slider_brings_pictures_of_that_epsilon() {
    let mut harness = with_sample();
    let rect = harness.get_by_role_and_label(Role::Slider, SLIDER_LABEL).rect();
    let at = |share: f32| pos2(rect.left() + share * rect.width(), rect.top() + 15.0);
    let before = harness.state().state.epsilon;
    harness.hover_at(at(0.5));
    harness.drag_at(at(0.5));
    harness.step();
    for i in 1..=24 {
        harness.hover_at(at(0.5 + 0.01 * i as f32));
        harness.step();
    }
    assert!(harness.state().state.dragging);
    harness.drop_at(at(0.74));
    harness.step();
    wait_current(&mut harness);
    let state = &harness.state().state;
    assert!(!state.dragging);
    assert!(state.epsilon > 2.0 * before, "{before} became {}", state.epsilon);
    let frame = state.frame.as_ref().unwrap();
    assert_eq!(frame.epsilon, state.epsilon);
    assert!((frame.adversarial_measure.distortion.linf - state.epsilon).abs() < 1e-6);
    assert!(state.frame_times.len() >= 10 && state.frame_times.p99_secs().is_some());
    // One undo takes the whole drag back.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.step();
    assert_eq!(harness.state().state.epsilon, before);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    harness.step();
    assert!(harness.state().state.epsilon > 2.0 * before);
    wait_current(&mut harness);
}

#[test]
fn window_takes_a_typed_epsilon() {
    let mut harness = with_sample();
    harness.get_by_label(ENTRY_LABEL).focus();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.get_by_label(ENTRY_LABEL).type_text("8/255");
    harness.step();
    harness.key_press(Key::Enter);
    harness.step();
    wait(&mut harness, "ε = 8/255", |app| app.state.frame.as_ref().is_some_and(|f| f.epsilon == 8.0 / 255.0));
    assert_eq!(harness.state().state.epsilon_text(8.0 / 255.0), "8.00 /255");
}

#[test]
fn window_arrow_keys_change_epsilon_and_shift_makes_them_fine() {
    let mut harness = with_sample();
    let epsilon = |harness: &Harness<'static, App>| harness.state().state.epsilon;
    let start = epsilon(&harness);
    harness.key_press(Key::ArrowRight);
    harness.step();
    let coarse = epsilon(&harness) / start;
    harness.key_press(Key::ArrowLeft);
    harness.step();
    assert!((epsilon(&harness) / start - 1.0).abs() < 1e-9);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowUp);
    harness.step();
    let fine = epsilon(&harness) / start;
    assert!(coarse > fine && fine > 1.0, "coarse ×{coarse}, fine ×{fine}");
    wait_current(&mut harness);
}

#[test]
fn window_switches_the_attack_and_its_curve() {
    let mut harness = with_sample();
    wait(&mut harness, "a curve", |app| app.state.curve.as_ref().is_some_and(|c| !c.points.is_empty()));
    let before = harness.state().state.curve.as_ref().unwrap().generation;
    harness.get_by_role_and_label(Role::ComboBox, "Attack").click();
    harness.step();
    harness.step();
    harness.get_by_label("Inverse FGSM").click();
    harness.step();
    wait_current(&mut harness);
    assert_eq!(harness.state().state.method, Attack::INVERSE_FGSM);
    wait(&mut harness, "the curve of the other attack", move |app| {
        app.state.curve.as_ref().is_some_and(|c| c.generation > before && !c.points.is_empty())
    });
    let frame = harness.state().state.frame.clone().unwrap();
    assert!(frame.adversarial_measure.overlap.dice >= frame.clean.overlap.dice, "inverse FGSM lowers the loss");
}

#[test]
fn window_adds_curve_points_and_takes_none_away_while_epsilon_moves() {
    let mut harness = with_sample();
    let mut known: Vec<CurvePoint> = Vec::new();
    let mut generation = None;
    let start = Instant::now();
    for i in 0.. {
        let epsilon = (1.0 + f64::from(i % 40)) / 255.0;
        harness.state().send(Command::Epsilon(epsilon));
        harness.step();
        std::thread::sleep(Duration::from_millis(10));
        let state = &harness.state().state;
        if let Some(curve) = &state.curve {
            assert_eq!(*generation.get_or_insert(curve.generation), curve.generation, "moving ε starts no new curve");
            for point in &known {
                assert!(curve.points.contains(point), "ε = {} was taken away", point.epsilon);
            }
            assert!(curve.points.is_sorted_by(|a, b| a.epsilon < b.epsilon));
            known = curve.points.clone();
        }
        if state.job.as_ref().is_some_and(|j| j.state == JobState::Finished) && known.len() > 5 {
            break;
        }
        assert!(start.elapsed() < LIMIT, "the curve has {} points after {LIMIT:?}", known.len());
    }
    let curve = harness.state().state.curve.clone().unwrap();
    assert_eq!(curve.control.len(), curve.points.len(), "the control is measured at the same ε");
    wait_current(&mut harness);
}

#[test]
fn window_keeps_the_picture_when_a_file_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("notes.png");
    std::fs::write(&bad, "these are not pixels").unwrap();
    let mut harness = with_sample();
    let before = harness.state().state.frame.clone().unwrap();
    let case = harness.state().state.case.clone().unwrap();
    harness.state().send(Command::OpenFiles(vec![bad]));
    wait(&mut harness, "a message", |app| app.state.problem.is_some());
    harness.run_steps(2);
    let state = &harness.state().state;
    let problem = state.problem.clone().unwrap();
    assert!(problem.why.contains("notes.png"), "{problem:?}");
    assert_eq!(state.case.as_ref().unwrap().name, case.name);
    assert_eq!(state.frame.as_ref().unwrap().original.id, before.original.id, "the last picture stays");
    assert!(state.opening.is_none());
    assert_eq!(harness.query_all_by_label_contains("notes.png").count(), 1, "the message is on the screen, once");
    harness.get_by_label("Dismiss message").click();
    harness.step();
    harness.step();
    assert!(harness.state().state.problem.is_none());
}

#[test]
fn window_says_that_the_clean_prediction_is_the_reference_where_there_is_no_label() {
    let options = Options { image: Some(sample_file("membranes.png")), ..Options::default() };
    let mut harness = open(options, None);
    wait_current(&mut harness);
    harness.run_steps(2);
    assert_eq!(harness.state().state.case.as_ref().unwrap().reference, Reference::CleanPrediction);
    assert!(harness.query_by_label("No label: the clean prediction is the reference.").is_some());
    assert_eq!(harness.state().state.frame.as_ref().unwrap().clean.overlap.dice, 1.0);
    assert!(!harness.state().state.hint, "who names an image needs no hint");
}

#[test]
fn window_label_map_is_shown_and_can_be_set() {
    let mut harness = with_sample();
    harness.run_steps(2);
    let case = harness.state().state.case.clone().unwrap();
    assert!(case.label_map_guessed);
    let clean = harness.state().state.frame.as_ref().unwrap().clean.overlap.dice;
    let value = case.label_values[0];
    let map = case.label_map.clone().unwrap();
    let other = 1 - map.class_of(value);
    let name = harness.state().state.class_name(other);
    let choice = format!("Class of value {value}");
    harness.get_by_label(&choice).scroll_to_me();
    harness.run_steps(4);
    harness.get_by_label(&choice).click();
    harness.step();
    harness.step();
    harness.get_by_role_and_label(Role::Button, &name).click();
    wait(&mut harness, "the set map", |app| app.state.case.as_ref().is_some_and(|c| !c.label_map_guessed));
    wait_current(&mut harness);
    let case = harness.state().state.case.clone().unwrap();
    assert_eq!(case.label_map.clone().unwrap().class_of(value), other);
    assert!(harness.state().state.frame.as_ref().unwrap().clean.overlap.dice < clean, "a wrong map agrees less");
    harness.step();
    harness.get_by_label("Guess").scroll_to_me();
    harness.run_steps(4);
    harness.get_by_label("Guess").click();
    wait(&mut harness, "the guessed map", |app| app.state.case.as_ref().is_some_and(|c| c.label_map_guessed));
}

#[test]
fn window_has_no_unnamed_control_in_any_state() {
    let mut harness = with_sample();
    for command in [
        Command::Shortcuts(true),
        Command::About(true),
        Command::ChooseImage,
        Command::Panel(PanelKind::Steps, true),
        Command::ImagesOnly(true),
    ] {
        harness.state().send(command.clone());
        harness.run_steps(3);
        assert_eq!(harness.unnamed_widgets(), Vec::<String>::new(), "after {command:?}");
    }
}

#[test]
fn window_tab_hides_all_but_the_pictures() {
    let mut harness = with_sample();
    harness.run_steps(2);
    assert!(harness.query_by_label("File").is_some());
    harness.key_press(Key::Tab);
    harness.run_steps(2);
    assert!(harness.query_by_label("File").is_none());
    assert!(harness.query_by_role_and_label(Role::Slider, SLIDER_LABEL).is_some(), "ε is always there");
    harness.key_press(Key::Tab);
    harness.run_steps(2);
    assert!(harness.query_by_label("File").is_some());
    assert!(!harness.state().state.images_only);
}

#[test]
fn window_keys_reach_every_control() {
    let mut harness = with_sample();
    harness.key_press(Key::F6);
    harness.run_steps(2);
    let first = harness.ctx.memory(|m| m.focused());
    assert!(first.is_some(), "F6 goes to the controls");
    let mut seen = std::collections::HashSet::new();
    for _ in 0..80 {
        seen.insert(harness.ctx.memory(|m| m.focused()));
        harness.key_press(Key::Tab);
        harness.step();
    }
    assert!(seen.len() > 25, "Tab walked over {} controls", seen.len());
    assert!(!harness.state().state.images_only, "with a focus, Tab moves it");
}

#[test]
fn window_opens_a_stack_with_its_labels_and_leafs_through_it() {
    let (Some(image), Some(label)) = (shared("isbi2012/train-volume.tif"), shared("isbi2012/train-labels.tif")) else {
        return;
    };
    let mut harness = with_sample();
    // Dropped together, in either order.
    harness.state().send(Command::OpenFiles(vec![label.clone(), image.clone()]));
    wait(&mut harness, "the stack", |app| app.state.case.as_ref().is_some_and(|c| c.slices == 30));
    wait_current(&mut harness);
    let case = harness.state().state.case.clone().unwrap();
    assert_eq!(case.shape, [1, 512, 512]);
    assert_eq!((&case.path, &case.label_path), (&Some(image), &Some(label)));
    let map = case.label_map.clone().unwrap();
    assert_eq!(harness.state().state.class_name(map.class_of(0)), "membrane", "0 is membrane there");
    for _ in 0..3 {
        harness.key_press(Key::PageDown);
        harness.step();
    }
    wait(&mut harness, "slice 3", |app| app.state.case.as_ref().is_some_and(|c| c.slice == 3));
    wait_current(&mut harness);
    assert_eq!(harness.state().state.slice, 3);
    let shown = harness.query_all_by_label("3 of 0–29").count();
    assert!(shown > 0, "slices count from 0, as on the command line");
}

#[test]
fn window_exports_and_says_whether_the_attack_survives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adversarial.png");
    let mut harness = with_sample();
    harness.state().send(Command::ChooseExport(epsiloscope::workbench::ExportKind::Adversarial));
    harness.run_steps(3);
    harness.get_by_label("Path").focus();
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.get_by_label("Path").type_text(&path.display().to_string());
    harness.step();
    harness.key_press(Key::Enter);
    wait(&mut harness, "the export", |app| app.state.exported.is_some() || app.state.problem.is_some());
    let exported = harness.state().state.exported.clone().expect("an export");
    assert_eq!(exported.path, path);
    assert!(path.exists() && exported.saved.is_some());
    harness.run_steps(2);
    assert!(harness.query_all_by_label_contains("rounding").count() >= 1, "the window says what became of the attack");
}

/// Writes pictures of the window, for people to look at: `EPSILOSCOPE_PICTURES=folder`.
#[test]
fn window_pictures_for_people() {
    let Some(folder) = std::env::var_os("EPSILOSCOPE_PICTURES").map(PathBuf::from) else {
        println!("skipped: EPSILOSCOPE_PICTURES names no folder");
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    for (name, size) in [("1280x800", [1280.0, 800.0]), ("1920x1080", [1920.0, 1080.0])] {
        let mut harness = open_sized(Options::default(), None, size);
        wait(&mut harness, "the curve", |app| app.state.job.as_ref().is_some_and(|j| j.state == JobState::Finished));
        let take = |harness: &mut Harness<'static, App>, state: &str| {
            harness.run_steps(4);
            harness.render().unwrap().save(folder.join(format!("{name}-{state}.png"))).unwrap();
        };
        take(&mut harness, "first");
        harness.state().send(Command::Panel(PanelKind::Steps, true));
        take(&mut harness, "steps");
        harness.state().send(Command::Shortcuts(true));
        take(&mut harness, "keys");
        harness.state().send(Command::Shortcuts(false));
        harness.state().send(Command::ChooseImage);
        take(&mut harness, "prompt");
        harness.key_press(Key::Escape);
        harness.state().send(Command::OpenFiles(vec![PathBuf::from("/nowhere/missing.png")]));
        wait(&mut harness, "a message", |app| app.state.problem.is_some());
        take(&mut harness, "problem");
        harness.state().send(Command::DismissProblem);
        let mut look = harness.state().state.look;
        look.theme = Theme::Light;
        harness.state().send(Command::Look(look));
        harness.state().send(Command::Panel(PanelKind::Curves, true));
        take(&mut harness, "light");
        look.theme = Theme::Dark;
        look.presenter = true;
        harness.state().send(Command::Look(look));
        take(&mut harness, "presenter");
    }
}
