//! The part of the form that says which adversarial samples there are in a batch.

use super::rows::{SELECTOR, check, grid, kind, line, name_ui, number, row, short};
use crate::attack::{Attack, Kind, find};
use crate::train::{Adversarial, Role};
use crate::workbench::theme;
use eframe::egui::{ComboBox, DragValue, Ui};

/// The attacks that can be trained with.
const ATTACKS: [&str; 4] = ["fgsm", "inverse-fgsm", "r-fgsm", "pgd"];
/// What is added first: the largest σ of Pervin et al. 2023.
const EPSILON: f64 = 0.1;

/// Draws it; changes `samples`.
pub fn adversarial_ui(ui: &mut Ui, samples: &mut Vec<Adversarial>) {
    super::data_form::note(ui, "Made against the network as it is at each step.");
    let mut removed = None;
    for (place, sample) in samples.iter_mut().enumerate() {
        ui.push_id(("adversarial", place), |ui| {
            ui.horizontal(|ui| {
                ui.label(theme::semibold(format!("{}. {}", place + 1, sample.attack.title())));
                if ui.small_button("Remove").on_hover_text("No such samples.").clicked() {
                    removed = Some(place);
                }
            });
            sample_ui(ui, sample);
        });
    }
    if let Some(place) = removed {
        samples.remove(place);
    }
    if ui.button("Add samples").on_hover_text("Adversarial versions of a share of each batch.").clicked() {
        let (attack, draw, share, role) = (Attack::FGSM, true, 0.5, Role::Append);
        samples.push(Adversarial { attack, epsilon: EPSILON, draw, share, role });
    }
}

fn sample_ui(ui: &mut Ui, sample: &mut Adversarial) {
    grid(ui, "sample", |ui| {
        let attack = line("Attack", "What makes them.");
        row(ui, attack, false, |ui| {
            let combo =
                ComboBox::from_id_salt("attack").selected_text(sample.attack.title()).width(SELECTOR).truncate();
            let combo = combo.show_ui(ui, |ui| {
                for entry in ATTACKS.iter().filter_map(|name| find(name)) {
                    let same = sample.attack.name() == entry.name;
                    if ui.selectable_label(same, entry.title).on_hover_text(entry.description).clicked() && !same {
                        sample.attack = Attack::new(entry);
                    }
                }
            });
            combo.response.accessible_name("Samples’ attack").on_hover_text(sample.attack.entry().description);
        });
        parameters_ui(ui, &mut sample.attack);
        let tip = "How much a pixel may change, a fraction of the grey range.";
        number(ui, line("ε", tip), 0.0001..=1.0, &mut sample.epsilon, EPSILON);
        let tip = "Each sample’s own σ is drawn from (0, ε] (Pervin et al. 2023); else it is ε.";
        check(ui, line("Draw σ", tip), &mut sample.draw, true);
        let tip = "Of the batch, above 0, at most 1; at least one crop.";
        number(ui, line("Share", tip), 0.01..=1.0, &mut sample.share, 0.5);
        let words = |role: &Role| match role {
            Role::Append => ("appended", "They are added to the batch."),
            Role::Replace => ("replace originals", "They take the place of their originals."),
            Role::Mix { .. } => ("mixed into the loss", "α·J(x) + (1 − α)·J(x′) (cru-net, equation 6)."),
            Role::Trades { .. } => {
                ("TRADES", "J(x) + β·KL(p(x) ‖ p(x′)) (Zhang et al. 2019). The attack must be PGD in L∞.")
            }
        };
        kind(ui, line("Role", "What becomes of them."), &Role::KINDS, words, &mut sample.role, Role::Append);
        match &mut sample.role {
            Role::Mix { alpha } => number(ui, line("α", "Weight of the clean loss."), 0.0..=1.0, alpha, 0.5),
            Role::Trades { beta } => number(ui, line("β", "Weight of the divergence."), 0.01..=100.0, beta, 6.0),
            Role::Append | Role::Replace => {}
        }
    });
}

/// The attack's own parameters, from its line of the catalogue.
fn parameters_ui(ui: &mut Ui, attack: &mut Attack) {
    let all: Vec<_> = attack.parameters().collect();
    for (parameter, value) in all {
        let label = parameter.label();
        let mut wished = value;
        name_ui(ui, &label, parameter.description);
        ui.horizontal(|ui| match parameter.kind {
            Kind::Switch => {
                let mut on = value != 0.0;
                ui.checkbox(&mut on, "").accessible_name(label.clone()).on_hover_text(parameter.description);
                wished = f64::from(u8::from(on));
            }
            Kind::Choice(names) => {
                let combo = ComboBox::from_id_salt(parameter.name).selected_text(parameter.shown(value)).width(84.0);
                let combo = combo.show_ui(ui, |ui| {
                    for i in 0..names.len() {
                        ui.selectable_value(&mut wished, i as f64, parameter.shown(i as f64));
                    }
                });
                combo.response.accessible_name(label.clone()).on_hover_text(parameter.description);
            }
            Kind::Number | Kind::Count => {
                let whole = parameter.kind == Kind::Count;
                let speed = if whole { 0.2 } else { (value.abs() * 0.01).max(1e-4) };
                let unit = if parameter.unit.is_empty() { String::new() } else { format!(" {}", parameter.unit) };
                let drag = DragValue::new(&mut wished).range(parameter.range.0..=parameter.range.1).speed(speed);
                let drag = drag.custom_formatter(|n, _| short(n)).suffix(unit);
                ui.add(drag).accessible_name(label.clone()).on_hover_text(parameter.description);
            }
        });
        let reset = crate::workbench::icons::icon_button(
            ui,
            crate::workbench::icons::Icon::Reset,
            &format!("Reset {}", label.to_lowercase()),
            &format!("Back to {}, the default.", parameter.shown(parameter.default)),
            value != parameter.default,
        );
        if reset.clicked() {
            wished = parameter.default;
        }
        ui.end_row();
        if wished != value
            && let Ok(changed) = attack.with(parameter.name, wished)
        {
            *attack = changed;
        }
    }
}
