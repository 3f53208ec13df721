//! Which grey values are shown black and white: presets, and what ε is in these terms.

use super::state::State;
use super::{Command, CommandSender, theme};
use crate::attack::{EpsilonMeaning, Norm};
use crate::data::{StoredType, Unit};
use crate::engine::{CaseInfo, Request};
use eframe::egui::{Button, DragValue, Grid, Ui};

/// Windows for Hounsfield units as radiologists use them: name, centre, width.
const HOUNSFIELD: [(&str, f32, f32); 4] =
    [("Lung", -600.0, 1500.0), ("Bone", 400.0, 1800.0), ("Soft tissue", 40.0, 400.0), ("Brain", 40.0, 80.0)];

/// A window with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name, with width and level where they do not depend on the image.
    pub name: String,
    /// What it is made for.
    pub tip: &'static str,
    /// Shares of the bounds' width, as [`super::state::View::window`].
    pub window: [f32; 2],
}

/// The presets that make sense for a case.
pub fn presets(case: &CaseInfo) -> Vec<Preset> {
    let mut all = Vec::new();
    let known = case.about.unit == Unit::Hounsfield;
    if known || may_be_hounsfield(case) {
        all.extend(HOUNSFIELD.map(|(name, centre, width)| Preset {
            name: format!("{name}   W {width:.0} L {centre:.0}").replace('-', "−"),
            tip: if known {
                "Width (W) and level (L) in Hounsfield units."
            } else {
                "Width (W) and level (L) in Hounsfield units. The file does not say that its values are, but they look like it."
            },
            window: [centre - width / 2.0, centre + width / 2.0].map(|v| case.share(v)),
        }));
    }
    if let Some(window) = case.about.window {
        let tip = "The window that the file asks for.";
        all.push(Preset { name: "As the file says".to_owned(), tip, window: case.window_of(window) });
    }
    let tip = "The 0.5 to 99.5 percentile of this slice: a few very bright pixels do not matter.";
    all.push(Preset { name: "Auto".to_owned(), tip, window: case.window_of(case.percentiles) });
    let tip = "All of the bounds: nothing is clipped.";
    all.push(Preset { name: "Full range".to_owned(), tip, window: [0.0, 1.0] });
    all
}

/// Whether values look like Hounsfield units in a file that cannot say so, as NIfTI: air and tissue, or bone.
fn may_be_hounsfield(case: &CaseInfo) -> bool {
    case.stored != StoredType::U8 && (-4096.0..=-500.0).contains(&case.bounds.lower) && case.bounds.upper > 100.0
}

/// Centre and width of a window in stored units.
pub fn centre_and_width(case: &CaseInfo, [lower, upper]: [f32; 2]) -> [f32; 2] {
    let span = case.bounds.width();
    [case.bounds.lower + (lower + upper) / 2.0 * span, (upper - lower) * span]
}

/// The window of a centre and a width in stored units.
pub fn window(case: &CaseInfo, [centre, width]: [f32; 2]) -> [f32; 2] {
    let half = width.max(case.bounds.width() * 1e-4) / 2.0;
    [case.share(centre - half), case.share(centre + half)]
}

/// A number in stored units with as many digits as the bounds make sensible.
pub fn number_text(case: &CaseInfo, value: f32) -> String {
    let decimals = decimals(case);
    format!("{value:.decimals$}").replace('-', "−")
}

fn decimals(case: &CaseInfo) -> usize {
    let span = case.bounds.width();
    if span >= 100.0 { 0 } else { (2.0 - span.log10().floor()).clamp(0.0, 9.0) as usize }
}

/// The button of the toolbar, which shows width and level, and its menu.
pub fn menu_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(case) = state.case.as_deref() else { return };
    let [centre, width] = centre_and_width(case, state.view.window);
    let text = format!("W {} L {}", number_text(case, width), number_text(case, centre));
    let send = |window: [f32; 2]| super::compare::change(state, commands, |view| view.window = window);
    let response = ui.menu_button(text, |ui| {
        ui.set_min_width(176.0);
        for preset in presets(case) {
            let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
            let on = near(preset.window[0], state.view.window[0]) && near(preset.window[1], state.view.window[1]);
            if ui.add(Button::selectable(on, &preset.name)).on_hover_text(preset.tip).clicked() {
                send(preset.window);
                ui.close();
            }
        }
        ui.separator();
        unit_ui(ui, case, commands);
        Grid::new("typed window").num_columns(2).show(ui, |ui| {
            let (mut centre, mut width) = (centre, width);
            let speed = f64::from(case.bounds.width()) / 500.0;
            let unit = match case.about.unit.symbol() {
                "" => String::new(),
                symbol => format!(" {symbol}"),
            };
            let drag = |value| DragValue::new(value).speed(speed).max_decimals(decimals(case)).suffix(unit.clone());
            ui.label(theme::weak(ui, "Width"));
            let width_changed = ui.add(drag(&mut width)).accessible_name("Typed window width").changed();
            ui.end_row();
            ui.label(theme::weak(ui, "Level"));
            let level_changed = ui.add(drag(&mut centre)).accessible_name("Typed window level").changed();
            ui.end_row();
            if level_changed || width_changed {
                send(window(case, [centre, width]));
            }
        });
    });
    response.response.on_hover_text(
        "Window: how many grey values are spread over black to white (W), around which level (L), in stored units. A \
         right drag on a picture sets both: sideways the width, up and down the level.",
    );
}

/// Says whether the values are Hounsfield units, where the file does not tell; nothing where it does, or where they cannot be.
pub fn unit_ui(ui: &mut Ui, case: &CaseInfo, commands: &CommandSender) {
    let told = case.about.unit == Unit::Hounsfield && case.about.format.starts_with("DICOM");
    if told || case.shape[0] != 1 || case.stored == StoredType::U8 {
        return;
    }
    let mut on = case.about.unit == Unit::Hounsfield;
    let name = if case.about.unit_guessed { "Hounsfield units (guessed)" } else { "Hounsfield units" };
    let tip = "The values are Hounsfield units: −1000 is air, 0 is water. The file does not say so. Bounds become those of CT, \
               ε has a unit, and exports as DICOM are CT.";
    if ui.checkbox(&mut on, name).on_hover_text(tip).changed() {
        commands.request(Request::Unit(if on { Unit::Hounsfield } else { Unit::Unknown }));
    }
}

/// What ε is outside of the computer: in Hounsfield units where they are known, and in the 255 grey levels of the screen
/// under the present window. Of attacks whose ε bounds no pixel but an L2 norm this is the root mean square over all values.
/// `None` without a case, and where ε is no amount of grey.
pub fn physical_text(state: &State, epsilon: f64) -> Option<String> {
    let case = state.case.as_deref()?;
    let (mean, epsilon) = match (state.method.entry().epsilon, state.method.norm()) {
        (EpsilonMeaning::Found | EpsilonMeaning::Strength, _) => return None,
        (EpsilonMeaning::Radius, Some(Norm::Linf)) => ("", epsilon),
        // ‖δ‖₂ = ε·√N.
        (EpsilonMeaning::Radius, None) => ("RMS ", epsilon),
        (EpsilonMeaning::Radius, Some(Norm::L2)) => ("RMS ", epsilon / state.largest_epsilon(state.method)),
    };
    let stored = epsilon * f64::from(case.bounds.width());
    let [lower, upper] = state.view.window;
    let levels = 255.0 * epsilon / f64::from(upper - lower).max(1e-6);
    let unit = match case.about.unit {
        Unit::Hounsfield => format!("{} HU = ", short(stored)),
        Unit::Unknown => String::new(),
    };
    let [_, width] = centre_and_width(case, state.view.window);
    let most = match levels {
        levels if levels > 255.0 => "more than 255".to_owned(),
        // A tenth of a grey level is none to the eye.
        levels if levels >= 9.95 => format!("{levels:.0}"),
        levels => short(levels),
    };
    let plural = if most == "1" { "" } else { "s" };
    Some(format!("{mean}{unit}{most} grey level{plural} at W {}", number_text(case, width)))
}

/// A number with three digits that matter.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.5 => 0,
        v if v >= 9.95 => 1,
        0.0 => 0,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Chooses the next preset, as a key does.
pub fn next_preset(state: &State, commands: &CommandSender) {
    let Some(case) = state.case.as_deref() else { return };
    let all = presets(case);
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4;
    let next = all.iter().position(|preset| near(preset.window, state.view.window)).map_or(0, |i| i + 1);
    let mut view = state.view.clone();
    view.window = all[next % all.len()].window;
    commands.send(Command::View(Box::new(view)));
}
