//! Menus open at the first click, and what they and the sheet of keys hold fits a window of 1280 × 800.

use super::app::*;
use eframe::egui::{Event, Modifiers, PointerButton, Rect, Role};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::workbench::{App, Command, Options};

/// The pointer goes to the title of a menu, presses there, and lets go that many frames later, of a quarter of a second each.
fn click_menu(harness: &mut Harness<'static, App>, title: &str, frames: usize) {
    let pos = harness.get_by_role_and_label(Role::Button, title).rect().center();
    harness.hover_at(pos);
    harness.run_steps(2);
    for pressed in [true, false] {
        let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
        harness.event(Event::PointerButton { pos, button, pressed, modifiers });
        harness.run_steps(if pressed { frames } else { 2 });
    }
}

#[test]
fn menus_open_at_the_first_click() {
    let mut harness = open(Options::default(), None);
    harness.run_steps(2);
    let shows =
        |harness: &Harness<'static, App>, item: &str| harness.query_all_by_label_contains(item).next().is_some();
    assert!(!shows(&harness, "Reset layout") && !shows(&harness, "SegPGD"));
    click_menu(&mut harness, "View", 5);
    assert!(shows(&harness, "Reset layout"), "a press that frames make long is a click");
    // While one is open, pointing is enough for the next; a click at its title closes it.
    let attack = harness.get_by_role_and_label(Role::Button, "Attack").rect().center();
    harness.hover_at(attack);
    harness.run_steps(4);
    assert!(shows(&harness, "SegPGD") && !shows(&harness, "Reset layout"));
    click_menu(&mut harness, "Attack", 1);
    assert!(!shows(&harness, "SegPGD"));
}

fn rect_of(harness: &Harness<'static, App>, label: &str) -> Rect {
    harness.query_all_by_label(label).last().unwrap_or_else(|| panic!("no {label}")).rect()
}

#[test]
fn the_sheet_of_keys_and_the_list_of_attacks_fit_a_small_window() {
    let mut harness = open(Options::default(), None);
    harness.run_steps(2);
    harness.state().send(Command::Shortcuts(true));
    harness.run_steps(4);
    for (first, last) in
        [("Larger / smaller", "Back to the hand"), ("First / last slice", "Close, leave; stop the attack")]
    {
        let (first, last) = (rect_of(&harness, first), rect_of(&harness, last));
        assert!(first.top() > 20.0 && last.bottom() < 780.0, "{first:?} {last:?}");
    }
    harness.state().send(Command::Shortcuts(false));
    harness.run_steps(2);
    harness.get_by_label("Several").click();
    harness.run_steps(2);
    let several = harness.state().state.several.clone();
    assert!(several.on);
    click_menu(&mut harness, &format!("Attacks ({})", several.attacks.len()), 1);
    harness.run_steps(2);
    let last = rect_of(&harness, "Low contrast");
    assert!(last.bottom() < 790.0, "{last:?}");
}
