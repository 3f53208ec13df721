//! What the keys do. One table serves the keys themselves and the sheet that lists them.

use super::command::{Command, CommandSender, ExportKind};
use super::epsilon::FINE_STEP;
use super::seen::SeenCommand;
use super::seen::closely::BlindStep;
use super::state::{Comparison, Look, Navigation, Picture, State, Tool, View};
use super::{theme, window_level};
use crate::data::Axis;
use crate::engine::Request;
use eframe::egui::{self, Align2, Context, Event, Key, Modifiers, vec2};

/// The sheet: keys, and what they do.
pub const SHEET: &[(&str, &[(&str, &str)])] = &[
    (
        "ε",
        &[
            ("→ ↑ / ← ↓", "Larger / smaller"),
            ("Shift + arrow", "The same, five times finer"),
            ("Ctrl + Z / Ctrl + Y", "Undo / redo (ε, attack, view, region)"),
        ],
    ),
    (
        "Pictures",
        &[
            ("Wheel", "Zoom at the pointer"),
            ("Middle drag", "Pan"),
            ("Right drag", "Window: width sideways, level up and down"),
            ("Right click", "Menu of the picture"),
            ("V", "Next preset of the window"),
            ("Double click", "One picture alone, or all"),
            ("F / 1", "Fit / one to one"),
            ("H / U / T", "Flip left-right / upside down / turn by 90°"),
            ("Z", "Magnifying glass, while it is held"),
            ("Ctrl + C", "Copy the picture under the pointer"),
            ("B / W", "Blink / swipe"),
            ("A", "Original or adversarial, in one place"),
            ("D", "Only what changed, or all"),
            ("R", "Outline of the reference"),
        ],
    ),
    (
        "Ruler and region (toolbar)",
        &[
            ("Drag", "Measure, draw or paint"),
            ("Shift + drag / Alt + drag", "Add to the region / take away"),
            ("[ / ]", "Smaller / larger brush"),
            ("Esc", "Back to the hand"),
        ],
    ),
    (
        "Slices",
        &[
            ("Page Up / Page Down", "Previous / next slice, or entry of the data set"),
            ("Ctrl + wheel", "Previous / next slice"),
            ("Home / End", "First / last slice"),
            ("Space", "Play or stop the stack"),
        ],
    ),
    ("Data set", &[("N / Shift + N", "Next / previous entry"), ("G", "Large library, or small")]),
    (
        "Files",
        &[("O", "Open image"), ("Shift + O", "Open folder"), ("L", "Open label"), ("M", "Open model"), ("S", "Export")],
    ),
    (
        "Window",
        &[
            ("Tab", "Only pictures and ε, or everything"),
            ("F6", "Go to the controls; then Tab moves on"),
            ("P", "Presenter mode"),
            ("Ctrl + plus / minus / 0", "Larger / smaller / normal"),
            ("F11", "Full screen"),
            ("?", "This sheet"),
            ("Esc", "Close, leave; stop the attack"),
        ],
    ),
];

/// The part of the sheet that begins its second column.
const SECOND_COLUMN: usize = 3;

/// What the keys act on that the state does not hold.
pub struct Open {
    /// The sheet of keys, or what this program is, is shown.
    pub sheet: bool,
    /// A prompt is shown: keys belong to it.
    pub prompt: bool,
}

/// Reads this frame's keys.
pub fn handle(context: &Context, state: &State, commands: &CommandSender, open: &Open) {
    let pressed = |modifiers, key| context.input_mut(|i| i.consume_key(modifiers, key));
    if context.input(|i| i.key_down(Key::Space) && i.pointer.any_down()) {
        context.data_mut(|d| d.insert_temp(panned_id(), true));
    }
    if pressed(Modifiers::NONE, Key::F11) {
        commands.send(Command::FullScreen);
    }
    scale_keys(context, state, commands);
    if open.prompt || context.text_edit_focused() {
        return;
    }
    // An open menu or list closes itself.
    if !egui::Popup::is_any_open(context) && pressed(Modifiers::NONE, Key::Escape) {
        escape(context, state, commands, open);
    }
    // What is typed into an open list or menu is not meant for the window.
    if egui::Popup::is_any_open(context) {
        return;
    }
    if pressed(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z) || pressed(Modifiers::COMMAND, Key::Y) {
        commands.send(Command::Redo);
    }
    if pressed(Modifiers::COMMAND, Key::Z) {
        commands.send(Command::Undo);
    }
    if pressed(Modifiers::COMMAND, Key::Q) {
        commands.send(Command::Quit);
    }
    if pressed(Modifiers::SHIFT, Key::O) {
        commands.send(Command::ChooseFolder);
    }
    for modifiers in [Modifiers::NONE, Modifiers::COMMAND] {
        if pressed(modifiers, Key::O) {
            commands.send(Command::ChooseImage);
        }
        if pressed(modifiers, Key::L) {
            commands.send(Command::ChooseLabel);
        }
        if pressed(modifiers, Key::M) {
            commands.send(Command::ChooseModel);
        }
        if pressed(modifiers, Key::S) {
            commands.send(Command::ChooseExport(ExportKind::Views));
        }
    }
    let questioned = context.input(|i| i.events.iter().any(|e| matches!(e, Event::Text(t) if t == "?")));
    if questioned || pressed(Modifiers::SHIFT, Key::Questionmark) {
        commands.send(Command::Shortcuts(!open.sheet));
    }
    entry_keys(context, state, commands);
    slice_keys(context, state, commands);
    view_keys(context, state, commands);
    if context.memory(|m| m.focused()).is_none() {
        unfocused_keys(context, state, commands);
    }
}

fn escape(context: &Context, state: &State, commands: &CommandSender, open: &Open) {
    if open.sheet {
        commands.send(Command::Shortcuts(false));
        commands.send(Command::About(false));
    } else if state.look.presenter {
        commands.send(Command::Look(Look { presenter: false, ..state.look }));
    } else if let Some(focused) = context.memory(|m| m.focused()) {
        context.memory_mut(|m| m.surrender_focus(focused));
    } else if state.is_attacking() {
        commands.request(Request::StopAttack);
    } else if state.seen.blind.is_some() {
        commands.send(Command::Seen(SeenCommand::Blind(BlindStep::End)));
    } else if state.tool != Tool::Pan {
        commands.send(Command::Tool(Tool::Pan));
    } else if state.view.focus.is_some() {
        commands.send(Command::View(Box::new(View { focus: None, ..state.view.clone() })));
    } else if state.browse.enlarged {
        commands.send(Command::EnlargeLibrary(false));
    } else if state.images_only {
        commands.send(Command::ImagesOnly(false));
    } else if state.opening.is_some() {
        commands.request(Request::CancelOpen);
    } else if state.opening_model.is_some() {
        commands.request(Request::CancelModel);
    } else if state.problem.is_some() {
        commands.send(Command::DismissProblem);
    }
}

/// Larger and smaller, as in a browser.
fn scale_keys(context: &Context, state: &State, commands: &CommandSender) {
    let pressed = |key| context.input_mut(|i| i.consume_key(Modifiers::COMMAND, key));
    let scale = state.look.ui_scale;
    let wished = if pressed(Key::Plus) || pressed(Key::Equals) {
        scale + 0.125
    } else if pressed(Key::Minus) {
        scale - 0.125
    } else if pressed(Key::Num0) {
        1.0
    } else {
        return;
    };
    commands.send(Command::Look(Look { ui_scale: wished.clamp(0.75, 2.0), ..state.look }));
}

/// Next and previous among the entries that are shown; with a data set open these are the keys of slices too.
fn entry_keys(context: &Context, state: &State, commands: &CommandSender) {
    if state.browse.set.is_none() {
        return;
    }
    // Slices along another axis are no entries: their keys are those of slices.
    let along = state.case.as_ref().is_none_or(|case| case.axis == Axis::Slices);
    let (steps, large) = context.input_mut(|i| {
        let mut count = |modifiers, key| i.count_and_consume_key(modifiers, key) as isize;
        let mut steps = -count(Modifiers::SHIFT, Key::N);
        steps += count(Modifiers::NONE, Key::N);
        if along {
            steps += count(Modifiers::NONE, Key::PageDown) - count(Modifiers::NONE, Key::PageUp);
        }
        (steps, i.consume_key(Modifiers::NONE, Key::G))
    });
    if steps != 0 {
        commands.send(Command::StepEntry(steps));
    }
    if large {
        commands.send(Command::EnlargeLibrary(!state.browse.enlarged));
    }
}

fn slice_keys(context: &Context, state: &State, commands: &CommandSender) {
    let Some(case) = state.case.as_ref().filter(|c| c.slices > 1) else { return };
    let last = case.slices - 1;
    let mut slice = state.slice;
    let focused = context.memory(|m| m.focused()).is_some();
    context.input_mut(|i| {
        slice = slice.saturating_sub(i.count_and_consume_key(Modifiers::NONE, Key::PageUp));
        slice = (slice + i.count_and_consume_key(Modifiers::NONE, Key::PageDown)).min(last);
        // Ctrl + wheel: one notch, one slice.
        for event in &i.events {
            if let Event::MouseWheel { delta, modifiers, .. } = event
                && modifiers.command
                && delta.y != 0.0
            {
                slice = if delta.y > 0.0 { slice.saturating_sub(1) } else { (slice + 1).min(last) };
            }
        }
        // A slider that has the focus knows these keys too.
        if !focused && i.consume_key(Modifiers::NONE, Key::Home) {
            slice = 0;
        }
        if !focused && i.consume_key(Modifiers::NONE, Key::End) {
            slice = last;
        }
    });
    if slice != state.slice {
        commands.send(Command::Slice(slice));
    }
}

fn view_keys(context: &Context, state: &State, commands: &CommandSender) {
    let pressed = |key| context.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let view = |change: &dyn Fn(&mut View)| {
        let mut view = state.view.clone();
        change(&mut view);
        commands.send(Command::View(Box::new(view)));
    };
    let toggled = |comparison| {
        if state.view.comparison == comparison { Comparison::SideBySide } else { comparison }
    };
    if pressed(Key::B) {
        view(&|v| v.comparison = toggled(Comparison::Blink));
    }
    if pressed(Key::A) {
        commands.send(Command::Seen(SeenCommand::Toggle));
    }
    if pressed(Key::W) {
        view(&|v| v.comparison = toggled(Comparison::Swipe));
    }
    if pressed(Key::D) {
        view(&|v| v.focus = if v.focus == Some(Picture::Difference) { None } else { Some(Picture::Difference) });
    }
    if pressed(Key::R) {
        view(&|v| v.show_reference = !v.show_reference);
    }
    if pressed(Key::H) {
        view(&|v| v.orientation = v.orientation.mirrored());
    }
    if pressed(Key::U) {
        view(&|v| v.orientation = v.orientation.upended());
    }
    if pressed(Key::T) {
        view(&|v| v.orientation = v.orientation.turned());
    }
    if pressed(Key::V) {
        window_level::next_preset(state, commands);
    }
    if pressed(Key::OpenBracket) {
        commands.send(Command::Brush((state.brush / 1.25).floor()));
    }
    if pressed(Key::CloseBracket) {
        commands.send(Command::Brush((state.brush * 1.25).ceil()));
    }
    if pressed(Key::F) {
        commands.send(Command::Navigate(Navigation::default()));
    }
    if pressed(Key::Num1) {
        commands.send(Command::Navigate(Navigation { zoom: Some(1.0), ..state.navigation }));
    }
    if pressed(Key::P) {
        commands.send(Command::Look(Look { presenter: !state.look.presenter, ..state.look }));
    }
}

/// Whether the space bar was let go.
fn space_ends(input: &egui::InputState) -> bool {
    input.events.iter().any(|e| matches!(e, Event::Key { key: Key::Space, pressed: false, .. }))
}

/// Where it is noted that the space bar, while it was down, moved the pictures: it does not play them then.
fn panned_id() -> egui::Id {
    egui::Id::unique("space pans")
}

/// Keys that a focused control uses itself.
fn unfocused_keys(context: &Context, state: &State, commands: &CommandSender) {
    // Nothing is sent while the input is locked: sending wakes the window, which locks it too.
    let (steps, play) = context.input_mut(|i| {
        let arrows = [(Key::ArrowRight, 1.0), (Key::ArrowUp, 1.0), (Key::ArrowLeft, -1.0), (Key::ArrowDown, -1.0)];
        let mut steps = 0.0;
        for (key, sign) in arrows {
            let fine = i.count_and_consume_key(Modifiers::SHIFT, key);
            let coarse = i.count_and_consume_key(Modifiers::NONE, key);
            steps += sign * (coarse as f64 + fine as f64 * FINE_STEP);
        }
        i.consume_key(Modifiers::NONE, Key::Space);
        (steps, space_ends(i))
    });
    let panned = play && context.data_mut(|d| d.remove_temp::<bool>(panned_id())).unwrap_or(false);

    if steps != 0.0 {
        commands.send(Command::StepEpsilon(steps));
    }
    if play && !panned && state.case.as_ref().is_some_and(|c| c.slices > 1) {
        commands.send(Command::Play(!state.playing));
    }
    let tab = context.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Tab));
    if tab {
        // egui has read the key already, as a wish to move the focus.
        context.memory_mut(|m| m.move_focus(egui::FocusDirection::None));
        commands.send(Command::ImagesOnly(!state.images_only));
    }
    if context.input_mut(|i| i.consume_key(Modifiers::NONE, Key::F6)) {
        context.memory_mut(|m| m.move_focus(egui::FocusDirection::Next));
    }
}

/// The sheet of keys; `false` once it was closed.
pub fn sheet_ui(context: &Context) -> bool {
    let mut open = true;
    // In a small window it scrolls.
    let most = context.content_rect().height() - 80.0;
    egui::Window::new("Keys")
        .open(&mut open)
        .default_height(most)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0))
        .show(context, |ui| {
            egui::ScrollArea::vertical().max_height(most).show(ui, |ui| {
                ui.columns(2, |columns| {
                    for (i, (title, keys)) in SHEET.iter().enumerate() {
                        let ui = &mut columns[usize::from(i >= SECOND_COLUMN)];
                        ui.add_space(if i == 0 || i == SECOND_COLUMN { 0.0 } else { 12.0 });
                        ui.label(theme::semibold(*title));
                        let grid =
                            egui::Grid::new(("keys", i)).num_columns(2).min_col_width(140.0).min_row_height(18.0);
                        grid.spacing(vec2(16.0, 4.0)).show(ui, |ui| {
                            for (key, what) in *keys {
                                ui.label(*key);
                                ui.label(theme::weak(ui, *what));
                                ui.end_row();
                            }
                        });
                    }
                });
            });
        });
    open
}
