//! The panels of the window, each alone, over a fabricated state: what a person does to them becomes the right command,
//! and what they show follows the state.

use super::stage::*;
use eframe::egui::{self, Event, Modifiers, MouseWheelUnit, Rect, Role, TouchPhase, Vec2, pos2, vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, Node};
use epsiloscope::attack::Attack;
use epsiloscope::engine::Pictures;
use epsiloscope::workbench::state::{Comparison, MaskStyle, Picture};
use epsiloscope::workbench::steps::Steps;
use std::collections::BTreeSet;
use std::sync::Arc;

pub fn wheel(harness: &Harness<'_, Stage>, notches: f32, modifiers: Modifiers) {
    harness.event(Event::MouseWheel {
        unit: MouseWheelUnit::Line,
        delta: vec2(0.0, notches),
        phase: TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers,
    });
}

#[test]
fn dragging_the_marker_on_a_plot_changes_epsilon() {
    let mut harness = curves();
    let rect = picture_rect(&harness, "Dice");
    let scale = harness.state().state.scale;
    // The axis runs from −0.015 to 1.015.
    let at = |epsilon: f64| {
        let share = (scale.position(epsilon) + 0.015) / 1.03;
        pos2(rect.left() + rect.width() * share as f32, rect.center().y)
    };
    drag(&mut harness, at(FOUR), at(24.0 / 255.0));
    let epsilon = harness.state().state.epsilon;
    assert!((epsilon * 255.0 - 24.0).abs() < 1.5, "ε is {}/255", epsilon * 255.0);
    assert!(!harness.state().state.dragging);

    drag(&mut harness, at(24.0 / 255.0), at(8.0 / 255.0));
    assert!(
        (harness.state().state.epsilon - 8.0 / 255.0).abs() < 1e-12,
        "the marker snaps to a mark as the slider does"
    );
}

#[test]
fn a_plot_says_all_values_at_the_point_under_the_pointer() {
    let mut harness = curves();
    let rect = picture_rect(&harness, "Dice");
    let scale = harness.state().state.scale;
    let share = (scale.position(8.0 / 255.0) + 0.015) / 1.03;
    harness.hover_at(pos2(rect.left() + rect.width() * share as f32 + 3.0, rect.center().y));
    settle(&mut harness);
    for text in ["ε 8.00 /255", "0.450", "0.900", "0.950"] {
        assert!(shows(&harness, text), "the read-out has {text}: attack, control and clean Dice at 8/255");
    }
}

#[test]
fn the_control_is_drawn_and_named() {
    let mut harness = curves();
    assert!(shows(&harness, "Random sign (control)"));
    let rect = picture_rect(&harness, "Dice");
    let with = picture_of(&mut harness, rect);
    if let Some(curve) = &mut harness.state_mut().state.curve {
        curve.control.clear();
    }
    settle(&mut harness);
    let without = picture_of(&mut harness, rect);
    let changed = different(&with, &without);
    assert!(changed > 200, "taking the control away changed {changed} pixels");
}

fn picture_of(harness: &mut Harness<'_, Stage>, rect: Rect) -> image::RgbaImage {
    let all = harness.render().expect("the window is drawn");
    let corner = rect.min.max(pos2(0.0, 0.0));
    image::imageops::crop_imm(&all, corner.x as u32, corner.y as u32, rect.width() as u32, rect.height() as u32)
        .to_image()
}

fn different(a: &image::RgbaImage, b: &image::RgbaImage) -> usize {
    a.pixels().zip(b.pixels()).filter(|(a, b)| a != b).count()
}

#[test]
fn points_are_only_ever_added() {
    let mut harness = curves();
    let all = harness.state().state.curve.clone().expect("there is a curve");
    if let Some(curve) = &mut harness.state_mut().state.curve {
        curve.points.clear();
        curve.control.clear();
    }
    settle(&mut harness);
    let rect = picture_rect(&harness, "Dice");
    let mut before = picture_of(&mut harness, rect);
    let mut known: BTreeSet<u64> = BTreeSet::new();
    for i in [3usize, 0, 6, 1, 5, 2, 4] {
        if let Some(curve) = &mut harness.state_mut().state.curve {
            curve.add(epsiloscope::engine::Series::Attack, all.points[i]);
            curve.add(epsiloscope::engine::Series::Control, all.control[i]);
            let now: BTreeSet<u64> = curve.points.iter().map(|p| p.epsilon.to_bits()).collect();
            assert!(now.is_superset(&known) && now.len() == known.len() + 1);
            assert!(curve.points.windows(2).all(|pair| pair[0].epsilon < pair[1].epsilon));
            known = now;
        }
        settle(&mut harness);
        let after = picture_of(&mut harness, rect);
        assert!(different(&before, &after) > 10, "point {i} appears on the plot");
        before = after;
    }
    assert_eq!(harness.state().state.curve.as_ref().map(|c| c.points.clone()), Some(all.points));
}

#[test]
fn six_pictures_have_names_and_numbers() {
    let harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let names: Vec<String> = pictures(&harness).iter().filter_map(|n| n.accesskit_node().label()).collect();
    for picture in Picture::ALL {
        assert!(names.iter().any(|n| n.starts_with(picture.title())), "{} among {names:?}", picture.title());
    }
    assert!(names.iter().any(|n| n.contains("Dice 0.600")), "{names:?}");
    assert!(names.iter().any(|n| n.starts_with("Noise ×63.75")), "{names:?}");
}

#[test]
fn the_wheel_zooms_at_the_pointer_and_the_probe_follows() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let rect = picture_rect(&harness, "Adversarial:");
    let at = rect.center() + vec2(rect.width() * 0.11, -rect.height() * 0.07);
    harness.hover_at(at);
    settle(&mut harness);
    let before = harness.state().state.probe.expect("the pointer is on the image");
    for _ in 0..7 {
        wheel(&harness, 1.0, Modifiers::NONE);
        settle(&mut harness);
    }
    let zoom = harness.state().state.navigation.zoom.expect("the image is magnified");
    assert!(zoom > 8.0, "{zoom}");
    let after = harness.state().state.probe.expect("the pointer is on the image");
    assert!(before[0].abs_diff(after[0]) <= 1 && before[1].abs_diff(after[1]) <= 1, "{before:?} became {after:?}");
    assert!(shows(&harness, "Pixel probe x"), "the probe's line is there");
    assert!(shows(&harness, "adversarial"));

    drag(&mut harness, at, at + vec2(40.0, 10.0));
    assert_ne!(harness.state().state.navigation.center, [0.5, 0.5]);
}

#[test]
fn a_double_click_shows_one_picture_and_another_all_again() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    double_click(&mut harness, "Noise");
    assert_eq!(harness.state().state.view.focus, Some(Picture::Noise));
    assert_eq!(pictures(&harness).len(), 1);
    let alone = picture_rect(&harness, "Noise");
    assert!(alone.width() > 900.0, "it fills the pane: {alone:?}");
    double_click(&mut harness, "Noise");
    assert_eq!(harness.state().state.view.focus, None);
    assert_eq!(pictures(&harness).len(), 6);
}

fn double_click(harness: &mut Harness<'_, Stage>, name: &str) {
    let at = picture_rect(harness, name).center();
    harness.hover_at(at);
    harness.step();
    for _ in 0..2 {
        for pressed in [true, false] {
            let button = egui::PointerButton::Primary;
            harness.event(Event::PointerButton { pos: at, button, pressed, modifiers: Modifiers::NONE });
            harness.step();
        }
    }
    // Longer than what makes a triple click of the next one.
    for _ in 0..40 {
        harness.step();
    }
}

#[test]
fn fewer_pictures_on_a_smaller_pane_but_never_unreadable_ones() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let mut counts = Vec::new();
    for size in [[1100.0, 760.0], [560.0, 460.0], [420.0, 330.0], [240.0, 320.0]] {
        harness.set_size(Vec2::from(size));
        settle(&mut harness);
        let rects: Vec<Rect> = pictures(&harness).iter().map(Node::rect).collect();
        for rect in &rects {
            assert!(rect.width() >= 130.0 && rect.height() >= 95.0, "{size:?} shows {rect:?}");
            assert!(rect.right() <= size[0] && rect.bottom() <= size[1], "{rect:?} lies in {size:?}");
        }
        counts.push(rects.len());
    }
    assert_eq!(counts.first(), Some(&6));
    assert!(counts.windows(2).all(|pair| pair[0] >= pair[1]) && counts.last() < Some(&4), "{counts:?}");
}

#[test]
fn right_drag_is_window_and_level() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let at = picture_rect(&harness, "Original").center();
    harness.hover_at(at);
    harness.step();
    let button = |pressed, pos| Event::PointerButton {
        pos,
        button: egui::PointerButton::Secondary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    harness.event(button(true, at));
    harness.step();
    for i in 1..=4 {
        harness.hover_at(at - vec2(20.0 * i as f32, 0.0));
        harness.step();
    }
    harness.event(button(false, at - vec2(80.0, 0.0)));
    settle(&mut harness);
    let [lower, upper] = harness.state().state.view.window;
    assert!(upper - lower < 0.85, "the window became narrower: {lower}…{upper}");
    assert_eq!(harness.state().state.navigation, Default::default(), "nothing was panned");
}

#[test]
fn pictures_differ_and_every_style_draws() {
    let mut harness = compare([1100.0, 760.0], state(FGSM, FOUR));
    let rect = picture_rect(&harness, "Segmentation of the adversarial");
    let mut seen: Vec<image::RgbaImage> = Vec::new();
    for (style, name) in MaskStyle::ALL {
        harness.state_mut().state.view.mask_style = style;
        settle(&mut harness);
        let picture = picture_of(&mut harness, rect);
        for (other, before) in seen.iter().enumerate() {
            let changed = different(&picture, before);
            assert!(changed > 500, "{name} differs from {} in {changed} pixels only", MaskStyle::ALL[other].1);
        }
        seen.push(picture);
    }
}

#[test]
fn blinking_alternates_original_and_adversarial_in_place() {
    let mut state = state(FGSM, FOUR);
    state.view.comparison = Comparison::Blink;
    state.view.blink_secs = 0.2;
    let mut harness = compare([1100.0, 760.0], state);
    let mut counts = BTreeSet::new();
    for _ in 0..60 {
        harness.step();
        counts.insert(
            pictures(&harness)
                .iter()
                .filter_map(|n| n.accesskit_node().label())
                .filter(|l| l.starts_with("Original"))
                .count(),
        );
    }
    assert_eq!(counts, BTreeSet::from([1, 2]), "the adversarial picture's place shows the original at times");
}

#[test]
fn the_swipe_line_moves_without_panning() {
    let mut state = state(FGSM, FOUR);
    state.view.comparison = Comparison::Swipe;
    state.navigation.zoom = Some(10.0);
    let mut harness = compare([1100.0, 760.0], state);
    assert!(shows(&harness, "Segmented: original | adversarial"), "what is on both sides of the line");
    let rect = picture_rect(&harness, "Segmentation of the adversarial");
    let before = picture_of(&mut harness, rect);
    let navigation = harness.state().state.navigation;
    drag(&mut harness, rect.center(), rect.center() - vec2(rect.width() * 0.3, 0.0));
    assert_eq!(harness.state().state.navigation, navigation);
    let after = picture_of(&mut harness, rect);
    assert!(different(&before, &after) > 500);
}

#[test]
fn the_steps_of_fgsm_show_gradient_loss_and_sign() {
    let harness = stage([1200.0, 480.0], state(FGSM, FOUR), Panel::Pane(Box::new(Steps::default())));
    for text in ["J = 0.1234", "Gradient", "s = sign(g)", "δ = ε·s, ε = 4.00 /255", "x′ = clip(x + δ)", "Goodfellow"]
    {
        assert!(shows(&harness, text), "{text}");
    }
    let inverse = Attack::INVERSE_FGSM;
    let harness = stage([1200.0, 480.0], state(inverse, FOUR), Panel::Pane(Box::new(Steps::default())));
    assert!(shows(&harness, "s = −sign(g)"));
}

#[test]
fn the_steps_of_random_sign_say_that_there_is_no_gradient() {
    let random = Attack::random_sign(0).unwrap();
    let harness = stage([1200.0, 480.0], state(random, FOUR), Panel::Pane(Box::new(Steps::default())));
    assert!(shows(&harness, "there is no gradient"));
    assert!(shows(&harness, "at random"));
    assert!(!shows(&harness, "J = "));
}

#[test]
fn steps_are_revealed_one_by_one() {
    let mut harness = stage([1200.0, 480.0], state(FGSM, FOUR), Panel::Pane(Box::new(Steps::default())));
    assert!(shows(&harness, "Step 4 of 4"));
    for left in ["Step 3 of 4", "Step 2 of 4", "Step 1 of 4", "Step 1 of 4"] {
        if let Some(button) = harness.query_by_role_and_label(Role::Button, "Previous step") {
            button.click();
        }
        settle(&mut harness);
        assert!(shows(&harness, left), "{left}");
    }
    harness.get_by_role_and_label(Role::Button, "Next step").click();
    settle(&mut harness);
    assert!(shows(&harness, "Step 2 of 4"));
    harness.get_by_role_and_label(Role::Button, "Play the steps").click();
    settle(&mut harness);
    assert!(shows(&harness, "Step 4 of 4"), "with animations off, a play shows its end");
}

#[test]
fn pictures_ahead_of_their_numbers_do_not_stand_beside_old_ones() {
    let mut plain = state(FGSM, FOUR);
    (plain.case_shown, plain.view.auto_gain) = (true, true);
    assert!(plain.is_current());
    let frame = plain.frame.clone().unwrap();
    let mut harness = compare([1100.0, 760.0], plain);
    for text in ["Noise ×63.7", "L∞ 4.00 /255", "Dice 0.600"] {
        assert!(shows(&harness, text), "{text}");
    }
    // ε went to 8/255, whose pictures came, and back.
    let pictures = Pictures {
        epsilon: 2.0 * FOUR,
        generation: frame.generation,
        noise: frame.noise.clone(),
        adversarial: frame.adversarial.clone(),
        probability: None,
        classes: None,
    };
    harness.state_mut().state.frame = Some(Arc::new(frame.with_pictures(&pictures).unwrap()));
    let state = &harness.state().state;
    assert!(!state.is_current(), "the planes are of 8/255, which nobody wishes any more");
    assert!((state.noise_reach() - 2.0 * FOUR).abs() < 1e-12);
    settle(&mut harness);
    for text in ["Noise ×31.8", "Adversarial: ε 8.00 /255"] {
        assert!(shows(&harness, text), "{text}");
    }
    for text in ["L∞ 4.00 /255", "Dice 0.600"] {
        assert!(!shows(&harness, text), "{text} is of the pictures before");
    }
}
