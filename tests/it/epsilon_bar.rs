//! The bar of ε, over a fabricated state: the slider and the field change ε, by pointer, wheel, keys and typed text.

use super::panels::wheel;
use super::stage::*;
use eframe::egui::{Key, Modifiers, Role, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::workbench::Command;
use epsiloscope::workbench::epsilon_bar::{ENTRY_LABEL, SLIDER_LABEL};

#[test]
fn dragging_the_slider_changes_epsilon() {
    let mut harness = bar(FOUR);
    let rect = harness.get_by_role_and_label(Role::Slider, SLIDER_LABEL).rect();
    let scale = harness.state().state.scale;
    let at = |position: f64| pos2(rect.left() + 14.0 + (rect.width() - 28.0) * position as f32, rect.top() + 15.0);
    drag(&mut harness, at(scale.position(FOUR)), at(scale.position(20.0 / 255.0)));
    let epsilon = harness.state().state.epsilon;
    assert!((epsilon * 255.0 - 20.0).abs() < 0.7, "ε is {}/255", epsilon * 255.0);
    assert!(!harness.state().state.dragging, "the drag ended");
    assert!(harness.state().log.iter().any(|c| matches!(c, Command::DragEpsilon(true))));

    drag(&mut harness, at(scale.position(20.0 / 255.0)), at(-0.1));
    assert_eq!(harness.state().state.epsilon, 0.0, "the slider's left end is exactly 0");
}

#[test]
fn the_slider_snaps_to_its_marks_and_obeys_keys_and_assistive_technology() {
    let mut harness = bar(FOUR);
    let rect = harness.get_by_role_and_label(Role::Slider, SLIDER_LABEL).rect();
    let scale = harness.state().state.scale;
    let x = rect.left() + 14.0 + (rect.width() - 28.0) * scale.position(16.0 / 255.0) as f32;
    let near = pos2(x + 2.0, rect.top() + 15.0);
    drag(&mut harness, near - vec2(60.0, 0.0), near);
    assert!((harness.state().state.epsilon - 16.0 / 255.0).abs() < 1e-12, "{}", harness.state().state.epsilon * 255.0);

    harness.get_by_role(Role::Slider).set_value_accesskit(0.5);
    settle(&mut harness);
    assert_eq!(harness.state().state.epsilon, 0.5);

    harness.get_by_role(Role::Slider).focus();
    harness.step();
    harness.key_press(Key::ArrowLeft);
    settle(&mut harness);
    let coarse = 0.5 - harness.state().state.epsilon;
    harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowRight);
    settle(&mut harness);
    let fine = harness.state().state.epsilon - (0.5 - coarse);
    assert!(coarse > 0.0 && fine > 0.0 && fine < coarse * 0.5, "a step of {coarse}, a fine one of {fine}");

    harness.key_press(Key::Home);
    settle(&mut harness);
    assert_eq!(harness.state().state.epsilon, 0.0);
}

#[test]
fn the_wheel_on_the_slider_steps_epsilon() {
    let mut harness = bar(FOUR);
    let at = harness.get_by_role(Role::Slider).rect().center();
    harness.hover_at(at);
    harness.step();
    wheel(&harness, 1.0, Modifiers::NONE);
    settle(&mut harness);
    assert_eq!(harness.state().state.epsilon, harness.state().state.scale.step(FOUR, 1.0));
}

fn give(harness: &mut Harness<'_, Stage>, text: &str) {
    harness.get_by_role_and_label(Role::TextInput, ENTRY_LABEL).focus();
    settle(harness);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.step();
    harness.get_by_role_and_label(Role::TextInput, ENTRY_LABEL).type_text(text);
    harness.step();
    harness.key_press(Key::Enter);
    settle(harness);
}

#[test]
fn typed_epsilon_is_read_in_any_unit() {
    let mut harness = bar(FOUR);
    for (text, epsilon) in [("8", 8.0 / 255.0), ("2/255", 2.0 / 255.0), ("1.5 %", 0.015), ("0", 0.0)] {
        give(&mut harness, text);
        assert!((harness.state().state.epsilon - epsilon).abs() < 1e-12, "{text}: {}", harness.state().state.epsilon);
    }
    harness.state_mut().state.unit = Some(epsiloscope::workbench::epsilon::EpsilonUnit::Fraction);
    settle(&mut harness);
    give(&mut harness, "0.0157");
    assert!((harness.state().state.epsilon - 0.0157).abs() < 1e-12);
}

#[test]
fn text_that_is_no_epsilon_says_so_and_changes_nothing() {
    let mut harness = bar(FOUR);
    give(&mut harness, "four");
    assert_eq!(harness.state().state.epsilon, FOUR);
    assert!(shows(&harness, "is no ε"), "an error is shown");
    give(&mut harness, "16");
    assert!(!shows(&harness, "is no ε"), "the error is gone");
    assert!((harness.state().state.epsilon - 16.0 / 255.0).abs() < 1e-12);
}
