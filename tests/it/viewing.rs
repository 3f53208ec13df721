//! The tools of the pictures: window, planes, turns, ruler, magnifier, clipboard; and ε in physical terms.

use crate::app::{current, open, shared, wait};
use crate::stage::{FGSM, FOUR, HEIGHT, Stage, WIDTH, compare, drag, picture_rect, settle, shows, state};
use eframe::egui::{Event, Key, Pos2, Role, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::Attack;
use epsiloscope::data::{About, Bounds, StoredType, Unit};
use epsiloscope::engine::{CaseInfo, Plane};
use epsiloscope::view::Orientation;
use epsiloscope::workbench::marks::Tool;
use epsiloscope::workbench::{App, Command, Options, State, window_level};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A slice of a CT in Hounsfield units, of which the file knows everything.
fn ct() -> State {
    let mut state = state(FGSM, FOUR);
    let case = state.case.as_ref().unwrap();
    let about = About {
        unit: Unit::Hounsfield,
        spacing: Some([5.0, 1.0, 1.0]),
        affine: Some([[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]]),
        ..About::default()
    };
    let bounds = Bounds { lower: -1024.0, upper: 3071.0 };
    let case = CaseInfo {
        bounds,
        shown: bounds,
        percentiles: Bounds { lower: -900.0, upper: 700.0 },
        about: about.into(),
        stored: StoredType::U16,
        ..CaseInfo::clone(case)
    };
    state.case = Some(Arc::new(case));
    state
}

#[test]
fn epsilon_is_said_in_hounsfield_units_and_grey_levels_of_the_screen() {
    let mut state = ct();
    let case = state.case.clone().unwrap();
    state.view.window = window_level::window(&case, [40.0, 400.0]);
    assert_eq!(window_level::physical_text(&state, FOUR).unwrap(), "64.2 HU = 41 grey levels at W 400");
    state.view.window = window_level::window(&case, [-600.0, 1500.0]);
    assert_eq!(window_level::physical_text(&state, FOUR).unwrap(), "64.2 HU = 11 grey levels at W 1500");
    state.view.window = window_level::window(&case, [40.0, 40.0]);
    assert!(window_level::physical_text(&state, FOUR).unwrap().contains("more than 255 grey levels at W 40"));
    let plain = crate::stage::state(FGSM, FOUR);
    assert_eq!(window_level::physical_text(&plain, FOUR).unwrap(), "4 grey levels at W 255");
}

#[test]
fn epsilon_that_bounds_no_pixel_is_not_called_grey_levels() {
    let text = |name: &str, settings: &[&str], epsilon: f64| {
        let state = state(Attack::parse(name, settings).unwrap(), epsilon);
        let values = state.case.as_ref().unwrap().shape.iter().product::<usize>() as f64;
        (window_level::physical_text(&state, epsilon), window_level::physical_text(&state, epsilon * values.sqrt()))
    };
    // An L2 norm of ε·√N is ε for each of N values, in the mean of squares.
    assert_eq!(text("pgd", &["norm=l2"], FOUR).1.unwrap(), "RMS 4 grey levels at W 255");
    assert_eq!(text("fgnm", &[], FOUR).0.unwrap(), "RMS 4 grey levels at W 255");
    for strength in ["contrast", "jpeg", "deepfool", "stadv"] {
        assert_eq!(text(strength, &[], FOUR).0, None, "{strength}");
    }
}

#[test]
fn epsilon_is_in_hounsfield_units_where_these_are_known_until_another_unit_is_chosen() {
    use epsiloscope::workbench::epsilon::EpsilonUnit::{Fraction, GreyLevels, Hounsfield};
    let mut ct = ct();
    assert_eq!((ct.epsilon_unit(), ct.epsilon_text(FOUR)), (Hounsfield, "64.2 HU".to_owned()));
    ct.unit = Some(GreyLevels);
    assert_eq!(ct.epsilon_unit(), GreyLevels);
    let mut plain = crate::stage::state(FGSM, FOUR);
    assert_eq!(plain.epsilon_unit(), GreyLevels);
    plain.unit = Some(Hounsfield);
    assert_eq!(plain.epsilon_unit(), GreyLevels, "what the image has not");
    plain.unit = Some(Fraction);
    assert_eq!(plain.epsilon_unit(), Fraction);
}

#[test]
fn presets_are_those_of_the_modality() {
    let names = |state: &State| -> Vec<String> {
        window_level::presets(state.case.as_deref().unwrap()).into_iter().map(|preset| preset.name).collect()
    };
    let ct = ct();
    assert_eq!(
        names(&ct),
        [
            "Lung   W 1500 L −600",
            "Bone   W 1800 L 400",
            "Soft tissue   W 400 L 40",
            "Brain   W 80 L 40",
            "Auto",
            "Full range"
        ]
    );
    assert_eq!(names(&state(FGSM, FOUR)), ["Auto", "Full range"]);
    let case = ct.case.as_deref().unwrap();
    for preset in window_level::presets(case).iter().take(4) {
        let [centre, width] = window_level::centre_and_width(case, preset.window);
        let numbers: Vec<f32> = preset.name.replace('−', "-").split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(
            (width - numbers[0]).abs() < 0.1 && (centre - numbers[1]).abs() < 0.1,
            "{} {centre} {width}",
            preset.name
        );
    }
    let auto = window_level::presets(case).into_iter().find(|preset| preset.name == "Auto").unwrap();
    assert_eq!(window_level::centre_and_width(case, auto.window).map(f32::round), [-100.0, 1600.0]);
}

#[test]
fn the_menu_of_the_window_sets_a_preset() {
    let mut harness = compare([1100.0, 760.0], ct());
    harness.get_by_label("W 4095 L 1024").click();
    settle(&mut harness);
    harness.get_by_label("Soft tissue   W 400 L 40").click();
    settle(&mut harness);
    let state = &harness.state().state;
    let [centre, width] = window_level::centre_and_width(state.case.as_deref().unwrap(), state.view.window);
    assert!((centre - 40.0).abs() < 0.1 && (width - 400.0).abs() < 0.1, "{centre} {width}");
    assert!(harness.query_by_label("W 400 L 40").is_some());
}

/// Where an image pixel's corner is on the picture called `name`.
fn at(harness: &Harness<'_, Stage>, name: &str, x: f32, y: f32) -> Pos2 {
    let rect = picture_rect(harness, name);
    let scale = (rect.width() / WIDTH as f32).min(rect.height() / HEIGHT as f32);
    let size = eframe::egui::vec2(WIDTH as f32, HEIGHT as f32) * scale;
    rect.center() - size * 0.5 + eframe::egui::vec2(x, y) * scale
}

pub fn choose(harness: &mut Harness<'_, Stage>, name: &str) {
    harness.get_by_role_and_label(Role::Button, name).click();
    settle(harness);
}

pub fn stroke(harness: &mut Harness<'_, Stage>, from: [f32; 2], to: [f32; 2]) {
    let [from, to] = [from, to].map(|[x, y]| at(harness, "Original", x, y));
    drag(harness, from, to);
    settle(harness);
}

#[test]
fn the_ruler_measures_and_the_tool_is_let_go() {
    let mut harness = compare([1100.0, 760.0], ct());
    choose(&mut harness, "Ruler");
    stroke(&mut harness, [20.0, 20.0], [60.0, 50.0]);
    let ends = harness.state().state.marks.ruler.unwrap();
    let length = (ends[1][0] - ends[0][0]).hypot(ends[1][1] - ends[0][1]);
    assert!((length - 50.0).abs() < 1.0, "{ends:?}");
    choose(&mut harness, "Ruler");
    assert_eq!(harness.state().state.tool, Tool::Pan);
}

#[test]
fn pictures_turn_and_letters_and_probe_follow() {
    let mut state = ct();
    assert_eq!(state.edges(), Some(['R', 'L', 'A', 'P']));
    state.view.orientation = Orientation::default().mirrored();
    assert_eq!(state.edges(), Some(['L', 'R', 'A', 'P']));
    let mut harness = compare([1100.0, 760.0], state);
    // What is left in the picture is right in the image.
    harness.hover_at(at(&harness, "Original", 10.5, 20.5));
    settle(&mut harness);
    let [x, y] = harness.state().state.probe.unwrap();
    assert!(x.abs_diff(WIDTH - 11) <= 1 && y.abs_diff(20) <= 1, "{x} {y}");
}

#[test]
fn pixels_that_are_not_square_are_not_shown_square() {
    let mut state = state(FGSM, FOUR);
    let case = CaseInfo::clone(state.case.as_ref().unwrap());
    let about = About { spacing: Some([1.0, 3.0, 1.0]), ..About::default() };
    state.case = Some(Arc::new(CaseInfo { about: about.into(), ..case }));
    let mut harness = compare([1100.0, 760.0], state);
    let rect = picture_rect(&harness, "Original");
    let (across, down) = (WIDTH as f32, HEIGHT as f32 * 3.0);
    let scale = (rect.width() / across).min(rect.height() / down);
    for (x, y) in [(0.25, 0.1), (0.5, 0.5), (0.9, 0.95)] {
        let corner = rect.center() - eframe::egui::vec2(across, down) * scale * 0.5;
        harness.hover_at(pos2(corner.x + x * across * scale, corner.y + y * down * scale));
        settle(&mut harness);
        let [column, row] = harness.state().state.probe.unwrap();
        assert!(column.abs_diff((x * WIDTH as f32) as usize) <= 1 && row.abs_diff((y * HEIGHT as f32) as usize) <= 1);
    }
}

#[test]
fn the_magnifier_and_the_values_appear_in_every_picture() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    harness.state_mut().state.probe = Some([40, 30]);
    harness.state_mut().state.view.crosshair = false;
    let plain = harness.render().unwrap();
    harness.state_mut().state.magnifier = true;
    harness.step();
    harness.state_mut().state.probe = Some([40, 30]);
    harness.step();
    let glass = harness.render().unwrap();
    let rect = picture_rect(&harness, "Adversarial");
    let changed = (rect.left() as u32..rect.right() as u32)
        .flat_map(|x| (rect.top() as u32..rect.bottom() as u32).map(move |y| (x, y)))
        .filter(|&(x, y)| plain.get_pixel(x, y) != glass.get_pixel(x, y))
        .count();
    assert!(changed > 3000, "{changed} pixels");
}

#[test]
fn copying_puts_the_picture_under_the_pointer_on_the_clipboard() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let rect = picture_rect(&harness, "Noise");
    harness.hover_at(rect.center());
    harness.step();
    harness.event(Event::Copy);
    let start = Instant::now();
    loop {
        harness.step();
        let copied = harness.state().log.iter().find_map(|command| match command {
            Command::Copy(picture) => Some(picture.clone()),
            _ => None,
        });
        if let Some(picture) = copied {
            assert!(picture.size[0].abs_diff(rect.width() as usize) <= 1);
            let colours: std::collections::HashSet<_> = picture.pixels.iter().map(|pixel| pixel.to_array()).collect();
            assert!(colours.len() > 2);
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no picture was copied");
    }
}

#[test]
fn slices_with_classes_of_their_own_are_called_images() {
    for (classes, says) in [(None, "Slice 7 of 0–999"), (Some([3; 1000].into()), "Image 7 of 0–999")] {
        let mut state = state(FGSM, FOUR);
        let case = CaseInfo::clone(state.case.as_ref().unwrap());
        let about = About { classes, ..About::clone(&case.about) };
        state.case = Some(Arc::new(CaseInfo { slice: 7, slices: 1000, about: about.into(), ..case }));
        assert!(shows(&compare([1100.0, 760.0], state), says), "{says}");
    }
}

#[test]
fn several_classes_have_their_colours_and_names() {
    let mut state = state(FGSM, FOUR);
    let mut frame = epsiloscope::engine::Frame::clone(state.frame.as_ref().unwrap());
    let classes = |shift: usize| -> Plane {
        let values: Vec<f32> = (0..WIDTH * HEIGHT).map(|i| ((i % WIDTH + shift) / 16 % 4) as f32).collect();
        Plane::from_host(1, HEIGHT, WIDTH, values)
    };
    let before = {
        let mut harness = compare([1100.0, 760.0], crate::stage::state(FGSM, FOUR));
        harness.render().unwrap()
    };
    frame.classes = Some([classes(0), classes(5)]);
    state.frame = Some(Arc::new(frame));
    let mut harness = compare([1100.0, 760.0], state);
    let after = harness.render().unwrap();
    for name in ["Segmentation of the original", "Segmentation of the adversarial", "What changed"] {
        let rect = picture_rect(&harness, name);
        let changed = (rect.left() as u32..rect.right() as u32)
            .flat_map(|x| (rect.top() as u32..rect.bottom() as u32).map(move |y| (x, y)))
            .filter(|&(x, y)| before.get_pixel(x, y) != after.get_pixel(x, y))
            .count();
        assert!(changed > 1000, "{name}: {changed} pixels");
    }
    harness.hover_at(at(&harness, "Original", 20.5, 20.5));
    settle(&mut harness);
    assert!(shows(&harness, "Pixel probe"));
}

// ---- the whole window ----

fn window(options: Options) -> Harness<'static, App> {
    open(options, None)
}

#[test]
fn keys_turn_the_view_and_the_toolbar_fits_a_small_window() {
    let mut harness = window(Options::default());
    wait(&mut harness, "the sample", current);
    harness.key_press(Key::T);
    harness.step();
    harness.key_press(Key::H);
    harness.step();
    assert_eq!(harness.state().state.view.orientation, Orientation::default().turned().mirrored());
    harness.step();
    // One row: the first and the last control of the toolbar are on one line.
    let first = harness.get_by_role_and_label(Role::Button, "Fit").rect();
    let last = harness.get_by_label("Pictures").rect();
    assert!((first.center().y - last.center().y).abs() < 4.0, "{first:?} {last:?}");
}

#[test]
fn a_volume_is_sliced_in_three_planes() {
    let Some(folder) = shared("totalsegmentator_samples") else { return };
    let Some(image) = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("ct") && path.to_string_lossy().ends_with(".nii.gz"))
    else {
        println!("skipped: no CT is there");
        return;
    };
    let mut harness = window(Options { image: Some(image), ..Options::default() });
    wait(&mut harness, "the volume", |app| current(app) && app.state.case.as_ref().is_some_and(|c| c.path.is_some()));
    let case = harness.state().state.case.clone().unwrap();
    let names: Vec<&str> = case.planes.iter().map(|(_, name)| *name).collect();
    for name in ["Axial", "Coronal", "Sagittal"] {
        assert!(names.contains(&name), "{names:?}");
        let axis = case.planes.iter().find(|(_, n)| *n == name).unwrap().0;
        harness.state().send(Command::Engine(epsiloscope::engine::Request::Axis(axis)));
        wait(&mut harness, name, |app| current(app) && app.state.case.as_ref().is_some_and(|c| c.axis == axis));
        let edges = harness.state().state.edges().unwrap();
        let expected = if name == "Sagittal" { ['A', 'P'] } else { ['R', 'L'] };
        assert_eq!(edges[..2], expected, "{name}");
        let expected = if name == "Axial" { ['A', 'P'] } else { ['S', 'I'] };
        assert_eq!(edges[2..], expected, "{name}");
        if axis != case.axis {
            assert_eq!(harness.state().state.slice, harness.state().state.case.as_ref().unwrap().slices / 2);
        }
    }
}
