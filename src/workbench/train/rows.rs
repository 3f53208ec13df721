//! Lines of a form in a grid of three columns: a name with what it means, a control with its unit, and the way back to the
//! default.

use crate::workbench::icons::{Icon, icon_button};
use crate::workbench::theme;
use eframe::egui::{Align, ComboBox, DragValue, Grid, Label, Layout, TextEdit, Ui, emath::Numeric, vec2};
use std::mem::discriminant;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The width of the column of names, in points.
const NAMES: f32 = 104.0;
/// The width of a field for a path beside its button, in points.
pub const PATH: f32 = SELECTOR - 32.0;
/// The width of a selector, in points.
pub const SELECTOR: f32 = 188.0;

/// What a line is called, what it means, and in which unit it is.
#[derive(Clone, Copy)]
pub struct Line {
    /// On the left.
    pub name: &'static str,
    /// While the pointer is over it.
    pub tip: &'static str,
    /// After the number.
    pub unit: &'static str,
    /// In place of a number that is left out.
    pub unset: &'static str,
}

impl Line {
    /// The same, saying so where its number is left out.
    pub const fn unset(self, unset: &'static str) -> Self {
        Self { unset, ..self }
    }
}

/// A line without a unit.
pub const fn line(name: &'static str, tip: &'static str) -> Line {
    measured(name, "", tip)
}

/// A line with a unit.
pub const fn measured(name: &'static str, unit: &'static str, tip: &'static str) -> Line {
    Line { name, tip, unit, unset: "off" }
}

/// A grid of lines.
pub fn grid(ui: &mut Ui, id: &str, add: impl FnOnce(&mut Ui)) {
    Grid::new(id).num_columns(3).spacing(vec2(8.0, 4.0)).min_col_width(0.0).show(ui, add);
}

/// The name of a line. The first column is as wide in every grid, so that they stand under one another.
pub fn name_ui(ui: &mut Ui, name: &str, tip: &str) {
    let size = vec2(NAMES, ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.set_min_width(NAMES);
        ui.add(Label::new(theme::weak(ui, name)).truncate()).on_hover_text(tip);
    });
}

/// A line around any control. Whether it is to go back to the default.
pub fn row(ui: &mut Ui, line: Line, changed: bool, add: impl FnOnce(&mut Ui)) -> bool {
    name_ui(ui, line.name, line.tip);
    ui.horizontal(add);
    let name = format!("Reset {}", line.name.to_lowercase());
    let reset = icon_button(ui, Icon::Reset, &name, "Back to the default.", changed).clicked();
    ui.end_row();
    reset
}

/// A line for a number.
pub fn number<T: Numeric>(ui: &mut Ui, line: Line, range: RangeInclusive<T>, value: &mut T, default: T) {
    if row(ui, line, *value != default, |ui| drag(ui, line, range, value)) {
        *value = default;
    }
}

/// A line for a number that is the default where nothing is said.
pub fn optional<T: Numeric>(ui: &mut Ui, line: Line, range: RangeInclusive<T>, value: &mut Option<T>, default: T) {
    let mut shown = value.unwrap_or(default);
    let before = shown;
    let reset = row(ui, line, value.is_some_and(|v| v != default), |ui| drag(ui, line, range, &mut shown));
    if reset {
        *value = None;
    } else if shown != before {
        *value = Some(shown);
    }
}

/// A line for a number that may be left out altogether.
pub fn switched<T: Numeric>(ui: &mut Ui, line: Line, range: RangeInclusive<T>, value: &mut Option<T>, first: T) {
    let reset = row(ui, line, value.is_some(), |ui| {
        let mut on = value.is_some();
        let name = format!("Use {}", line.name.to_lowercase());
        if ui.checkbox(&mut on, "").accessible_name(name).on_hover_text(line.tip).changed() {
            *value = on.then_some(first);
        }
        match value {
            Some(value) => drag(ui, line, range, value),
            None => {
                ui.label(theme::weak(ui, line.unset));
            }
        }
    });
    if reset {
        *value = None;
    }
}

/// A number without zeros at its end: what is stored in fewer bits is rounded.
pub fn short(number: f64) -> String {
    format!("{}", (number * 1e7).round() / 1e7)
}

fn drag<T: Numeric>(ui: &mut Ui, line: Line, range: RangeInclusive<T>, value: &mut T) {
    let now = value.to_f64().abs();
    let speed = if T::INTEGRAL { 0.2 } else { (now * 0.01).max(1e-5) };
    let unit = if line.unit.is_empty() { String::new() } else { format!(" {}", line.unit) };
    let drag = DragValue::new(value).range(range).speed(speed).custom_formatter(|n, _| short(n)).suffix(unit);
    ui.add(drag).accessible_name(line.name).on_hover_text(line.tip);
}

/// A line for yes or no.
pub fn check(ui: &mut Ui, line: Line, value: &mut bool, default: bool) {
    let reset = row(ui, line, *value != default, |ui| {
        ui.checkbox(value, "").accessible_name(line.name).on_hover_text(line.tip);
    });
    if reset {
        *value = default;
    }
}

/// A line for one of several kinds; each of `kinds` brings its own defaults.
pub fn kind<T: Copy + PartialEq>(
    ui: &mut Ui,
    line: Line,
    kinds: &[T],
    words: impl Fn(&T) -> (&'static str, &'static str),
    value: &mut T,
    default: T,
) {
    let reset = row(ui, line, *value != default, |ui| {
        let combo = ComboBox::from_id_salt(line.name).selected_text(words(value).0).width(SELECTOR).truncate();
        let combo = combo.show_ui(ui, |ui| {
            for kind in kinds {
                let (name, tip) = words(kind);
                let same = discriminant(kind) == discriminant(value);
                if ui.selectable_label(same, name).on_hover_text(tip).clicked() && !same {
                    *value = *kind;
                }
            }
        });
        let tip = words(value).1;
        combo.response.accessible_name(line.name).on_hover_text(format!("{}\n\n{tip}", line.tip));
    });
    if reset {
        *value = default;
    }
}

/// A line for a path that is typed, `width` points wide. Whether it is to be browsed for.
pub fn path(ui: &mut Ui, line: Line, value: &mut PathBuf, browse: &str, width: f32) -> bool {
    let mut asked = false;
    name_ui(ui, line.name, line.tip);
    ui.horizontal(|ui| {
        asked = place_ui(ui, line, value, browse, width);
    });
    ui.end_row();
    asked
}

/// A field for a path, `width` points wide, and a button to browse. Whether that was pressed.
pub fn place_ui(ui: &mut Ui, line: Line, value: &mut PathBuf, browse: &str, width: f32) -> bool {
    let mut text = value.display().to_string();
    let edit = TextEdit::singleline(&mut text).desired_width(width).hint_text("path");
    let response = ui.add(edit).accessible_name(line.name);
    if response.changed() {
        *value = PathBuf::from(&text);
    }
    response.on_hover_text(if text.is_empty() { line.tip.to_owned() } else { text });
    icon_button(ui, Icon::Open, browse, "Browse…", true).clicked()
}

/// A line for words.
pub fn text(ui: &mut Ui, line: Line, value: &mut Option<String>, hint: &str) {
    let reset = row(ui, line, value.is_some(), |ui| {
        let mut text = value.clone().unwrap_or_default();
        let edit = TextEdit::singleline(&mut text).desired_width(SELECTOR).hint_text(hint);
        if ui.add(edit).accessible_name(line.name).on_hover_text(line.tip).changed() {
            *value = Some(text).filter(|text| !text.trim().is_empty());
        }
    });
    if reset {
        *value = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(128.0, "128"), (0.001, "0.001"), (f64::from(0.1f32), "0.1"), (1e-6, "0.000001")] {
            assert_eq!(short(number), text);
        }
    }
}
