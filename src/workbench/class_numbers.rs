//! The numbers at ε that belong to classes: the decision of a model that classifies whole images, and the Dice of each class
//! of one that tells several apart.

use super::decision::{flips_text, percent};
use super::numbers::{control_name, right, target_text, verdict_colour};
use super::state::State;
use super::theme::{self, Palette};
use crate::engine::{ClassDice, Frame};
use crate::model::Task;
use crate::study::report::{Criterion, Verdict, verdict};
use crate::study::{Decision, Measure};
use eframe::egui::{Color32, Grid, RichText, Sense, Ui, vec2};

/// The verdict and the table of a model that classifies whole images.
pub fn decision_ui(ui: &mut Ui, state: &State, frame: &Frame, clean: Decision, control: Option<&Measure>) {
    let Some(adversarial) = frame.adversarial_measure.decision else { return };
    let palette = theme::of(ui);
    verdict_ui(ui, state, frame, control, palette);
    let random = control.and_then(|measure| measure.decision);
    let column = ((ui.available_width() - 92.0) / 3.0 - 10.0).clamp(50.0, 96.0);
    Grid::new("decision numbers").num_columns(4).spacing([8.0, 4.0]).min_col_width(50.0).show(ui, |ui| {
        ui.label("");
        for name in ["clean", "attack", "random"] {
            right(ui, RichText::new(name).color(palette.weak), column);
        }
        ui.end_row();
        let mut row = |name: &str, tip: &str, text: &dyn Fn(&Decision) -> String, worse: bool| {
            ui.label(name).on_hover_text(tip);
            let (before, after) = (text(&clean), text(&adversarial));
            let colour = if before == after {
                palette.text
            } else if worse {
                palette.bad
            } else {
                palette.good
            };
            right(ui, RichText::new(before).color(palette.weak), column);
            right(ui, RichText::new(after).color(colour), column);
            let control = random.as_ref().map_or_else(|| "–".to_owned(), text);
            right(ui, RichText::new(control).color(palette.weak), column);
            ui.end_row();
        };
        row(
            "Decision",
            "The class with the largest logit.",
            &|d| state.class_title(d.predicted),
            !adversarial.is_right(),
        );
        let truth = "The probability of the true class.";
        row("P(true class)", truth, &|d| percent(d.probability), adversarial.probability < clean.probability);
        let chosen = "The probability of the class that the model chooses.";
        row("P(chosen)", chosen, &|d| percent(d.confidence), !adversarial.is_right());
        let margin = "The logit of the true class less the largest of the others: below 0 the decision is wrong.";
        row("Margin", margin, &|d| format!("{:+.2}", d.margin), adversarial.margin < clean.margin);
        let entropy = "−log P(true class), the loss of the decision.";
        let text = |d: &Decision| format!("{:.3}", d.cross_entropy());
        row("Cross-entropy", entropy, &text, adversarial.probability < clean.probability);
    });
    along_ui(ui, state, frame);
}

/// Where the decision changes along ε, of the attack and of its control.
fn along_ui(ui: &mut Ui, state: &State, frame: &Frame) {
    let Some(curve) = state.curve.as_ref().filter(|curve| curve.generation == frame.generation) else { return };
    for (name, points) in [("Along ε", &curve.points), ("Random sign", &curve.control)] {
        if let Some(text) = flips_text(state, &curve.clean, points) {
            ui.horizontal_wrapped(|ui| {
                ui.label(theme::weak(ui, name)).on_hover_text(
                    "Decisions at the measured ε, in order. Between two of them the decision may change more often: the \
                     curve is refined where it bends.",
                );
                ui.label(text);
            });
        }
    }
}

fn verdict_ui(ui: &mut Ui, state: &State, frame: &Frame, control: Option<&Measure>, palette: &Palette) {
    let wished = frame.adversarial_measure.wished;
    let criterion = match wished {
        Some(_) => Criterion::Target(1.0),
        None => Criterion::default().for_task(Task::Classification),
    };
    let found = verdict(criterion, &frame.clean, &frame.adversarial_measure, control);
    let name = |measure: &Measure| measure.decision.map_or_else(String::new, |d| state.class_title(d.predicted));
    let (before, after) = (name(&frame.clean), name(&frame.adversarial_measure));
    let text = match found {
        _ if wished.is_some() => target_text(found, wished.unwrap_or(0.0), frame),
        Verdict::CleanFails => format!("The clean image is decided wrong already ({before}): nothing can break"),
        Verdict::Holds => format!("Holds: the decision stays {after}"),
        Verdict::Broken => format!("Broken: {before} became {after}, with random signs it does not"),
        Verdict::NoiseToo => format!("{} change the decision too", control_name(frame)),
        Verdict::NoControl => format!("{before} became {after}; the control has no point at this ε"),
    };
    ui.label(RichText::new(text).color(verdict_colour(found, palette))).on_hover_text(format!(
        "Broken: the decision on the original is right, that on the adversarial image is wrong, and with {} it is right. The \
         column of random signs is filled at every ε at which the curve was measured.",
        frame.method.control_words()
    ));
}

/// Dice of each class, before and after.
pub fn dice_ui(ui: &mut Ui, state: &State, dice: &ClassDice) {
    let palette = theme::of(ui);
    ui.add_space(4.0);
    ui.label(theme::weak(ui, "Dice by class"))
        .on_hover_text("Of each class against the reference; – where it is in neither.");
    let column = ((ui.available_width() - 110.0) / 2.0 - 10.0).clamp(50.0, 96.0);
    Grid::new("dice by class").num_columns(3).spacing([8.0, 2.0]).min_col_width(50.0).show(ui, |ui| {
        for (class, (before, after)) in dice.clean.iter().zip(&*dice.adversarial).enumerate() {
            // A class that is nowhere says nothing.
            if before.is_none() && after.is_none() {
                continue;
            }
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 6.0;
                let (rect, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
                if class > 0 {
                    let [r, g, b] = state.class_colour(class);
                    ui.painter().rect_filled(rect, 2.0, Color32::from_rgb(r, g, b));
                }
                ui.label(state.class_title(class));
            });
            let text = |dice: &Option<f64>| dice.map_or_else(|| "–".to_owned(), |dice| format!("{dice:.3}"));
            right(ui, RichText::new(text(before)).color(palette.weak), column);
            let worse = after.unwrap_or(0.0) < before.unwrap_or(0.0);
            let colour = if worse && text(before) != text(after) { palette.bad } else { palette.text };
            right(ui, RichText::new(text(after)).color(colour), column);
            ui.end_row();
        }
    });
}
