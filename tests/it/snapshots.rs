//! What the panels look like, compared with pictures that were looked at. `UPDATE_SNAPSHOTS=1 cargo test --release
//! snapshots` makes them anew; look at every one of them before it is kept.

use super::stage::*;
use egui_kittest::SnapshotOptions;
use epsiloscope::workbench::state::{Comparison, MaskStyle};
use epsiloscope::workbench::steps::Steps;

/// One threshold for all: text and curves may differ by what another processor makes of antialiasing.
fn options() -> SnapshotOptions {
    SnapshotOptions::new().threshold(0.8).max_failed_pixels(8_usize)
}

#[test]
fn the_pictures_look_as_they_did() {
    compare([760.0, 520.0], state(FGSM, FOUR)).snapshot_options("pictures", &options());
}

#[test]
fn the_pictures_swiped_and_outlined_look_as_they_did() {
    let mut state = state(FGSM, FOUR);
    state.view.comparison = Comparison::Swipe;
    state.view.mask_style = MaskStyle::Contour;
    compare([760.0, 520.0], state).snapshot_options("pictures-swiped", &options());
}

#[test]
fn the_curves_look_as_they_did() {
    curves().snapshot_options("curves", &options());
}

#[test]
fn the_curves_with_what_is_seen_look_as_they_did() {
    crate::looking::seen_curves().snapshot_options("curves-seen", &options());
}

#[test]
fn the_bar_of_epsilon_looks_as_it_did() {
    bar(FOUR).snapshot_options("epsilon", &options());
}

#[test]
fn the_steps_look_as_they_did() {
    let state = state(FGSM, FOUR);
    stage([760.0, 560.0], state, Panel::Pane(Box::new(Steps::default()))).snapshot_options("steps", &options());
}

#[test]
fn the_panel_of_trainings_looks_as_it_did() {
    crate::train_panel::panel([880.0, 620.0]).snapshot_options("train", &options());
}

#[test]
fn the_library_looks_as_it_did() {
    crate::library::with_thumbnails().snapshot_options("library", &options());
}
