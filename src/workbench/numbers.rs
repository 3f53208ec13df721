//! The numbers at ε: clean → adversarial, each with its definition and unit.

use super::class_numbers;
use super::layout::section;
use super::state::State;
use super::theme::{self, Palette};
use crate::engine::Frame;
use crate::study::Measure;
use crate::study::report::{Criterion, Saved, Survival, Verdict, verdict};
use eframe::egui::{Align, Color32, Grid, Layout, RichText, TextStyle, Ui, vec2};

/// One line of the table.
struct Line {
    name: &'static str,
    tip: &'static str,
    value: fn(&Measure) -> f64,
    text: fn(f64) -> String,
    /// Whether a larger value is a better segmentation; `None` where it is neither.
    larger_is_better: Option<bool>,
}

fn score(value: f64) -> String {
    format!("{value:.3}")
}

fn percent(value: f64) -> String {
    format!("{:.2} %", value * 100.0)
}

fn norm(value: f64) -> String {
    format!("{value:.2}")
}

const LINES: [Line; 5] = [
    Line {
        name: "Dice",
        tip: "2·TP / (2·TP + FP + FN) of the measured class; 1 is perfect.",
        value: |m| m.overlap.dice,
        text: score,
        larger_is_better: Some(true),
    },
    Line {
        name: "IoU",
        tip: "TP / (TP + FP + FN) of the measured class; 1 is perfect.",
        value: |m| m.overlap.iou,
        text: score,
        larger_is_better: Some(true),
    },
    Line {
        name: "Wrong pixels",
        tip: "The share of pixels whose predicted class is not the reference's.",
        value: |m| m.error.wrong,
        text: percent,
        larger_is_better: Some(false),
    },
    Line {
        name: "Pixel error L2",
        tip: "‖y − p‖₂ over all pixels: y is 1 on the measured class, p its probability (AdvU-Net's pixel error, soft).",
        value: |m| m.error.l2,
        text: norm,
        larger_is_better: Some(false),
    },
    Line {
        name: "RMSE",
        tip: "‖y − p‖₂ / √N over N pixels.",
        value: |m| m.error.rmse,
        text: score,
        larger_is_better: Some(false),
    },
];

/// Draws the table.
pub fn numbers_ui(ui: &mut Ui, state: &State) {
    let Some(frame) = &state.frame else { return };
    let title = format!("At ε = {}", state.epsilon_text(frame.epsilon));
    section(ui, &title);
    let palette = theme::of(ui);
    let (clean, adversarial) = (&frame.clean, &frame.adversarial_measure);
    let curve = state.curve.as_ref().filter(|c| c.generation == frame.generation);
    let control = curve.and_then(|c| c.control.iter().find(|p| (p.epsilon - frame.epsilon).abs() < 1e-9));
    let control = control.map(|p| &p.measure);
    if let Some(decision) = frame.clean.decision {
        class_numbers::decision_ui(ui, state, frame, decision, control);
        distortion_ui(ui, state, frame);
        return;
    }
    verdict_ui(ui, frame, control, palette);
    // Three columns of numbers, no wider than they need.
    let name = 92.0_f32.max(ui.available_width() * 0.3);
    let column = ((ui.available_width() - name) / 3.0 - 10.0).clamp(50.0, 96.0);
    let right = |ui: &mut Ui, text: RichText| right(ui, text, column);
    Grid::new("numbers").num_columns(4).spacing([8.0, 4.0]).min_col_width(50.0).show(ui, |ui| {
        ui.label(theme::weak(ui, state.positive_class_name()));
        for name in ["clean", "attack", "random"] {
            right(ui, RichText::new(name).color(palette.weak));
        }
        ui.end_row();
        for line in &LINES {
            let (before, after) = ((line.value)(clean), (line.value)(adversarial));
            ui.label(line.name).on_hover_text(line.tip);
            right(ui, RichText::new((line.text)(before)).color(palette.weak));
            let worse =
                line.larger_is_better.is_some_and(|better| if better { after < before } else { after > before });
            let same = (line.text)(before) == (line.text)(after);
            let color = if same { palette.text } else { direction(worse, palette) };
            right(ui, RichText::new((line.text)(after)).color(color));
            let random = control.map_or_else(|| "–".to_owned(), |c| (line.text)((line.value)(c)));
            right(ui, RichText::new(random).color(palette.weak));
            ui.end_row();
        }
    });
    if let Some(dice) = &frame.class_dice {
        class_numbers::dice_ui(ui, state, dice);
    }
    distortion_ui(ui, state, frame);
}

/// How large the noise is.
fn distortion_ui(ui: &mut Ui, state: &State, frame: &Frame) {
    let measure = &frame.adversarial_measure;
    Grid::new("distortion").num_columns(2).spacing([8.0, 4.0]).show(ui, |ui| {
        if let Some(wished) = measure.wished {
            ui.label("Target reached").on_hover_text(
                "The share of what is to change that is as the target wishes: of the pixels at which target and reference \
                 differ; of a class all or nothing.",
            );
            ui.label(percent(wished));
            ui.end_row();
        }
        if let Some(clipped) = measure.clipped {
            ui.label("Cut at the last step").on_hover_text(
                "The share of values that ε or the bounds have cut. What is cut no longer goes along the gradient.",
            );
            ui.label(percent(clipped));
            ui.end_row();
        }
        if let Some(pixels) = measure.displacement {
            ui.label("Moved by up to").on_hover_text("The largest displacement of a pixel: what this attack makes small.");
            ui.label(format!("{pixels:.2} px"));
            ui.end_row();
        }
        ui.label("L∞ of the noise")
            .on_hover_text("The largest change of a pixel after clipping to the bounds. At most ε.");
        ui.label(state.epsilon_text(measure.distortion.linf));
        ui.end_row();
        ui.label("L2 of the noise")
            .on_hover_text("The Euclidean norm of the change over all pixels, in units of the bounds' width.");
        ui.label(norm(measure.distortion.l2));
        ui.end_row();
    });
}

/// Whether the model is broken at the frame's ε, by the default criterion of the reports.
fn verdict_ui(ui: &mut Ui, frame: &Frame, control: Option<&Measure>, palette: &Palette) {
    let wished = frame.adversarial_measure.wished;
    let criterion = if wished.is_some() { Criterion::Target(REACHED) } else { Criterion::default() };
    let threshold = criterion.threshold(&frame.clean);
    let found = verdict(criterion, &frame.clean, &frame.adversarial_measure, control);
    if let Some(wished) = wished {
        let text = RichText::new(target_text(found, wished, frame)).color(verdict_colour(found, palette));
        ui.label(text).on_hover_text(format!(
            "Reached: at least half of the pixels at which target and reference differ are as the target wishes, and with \
             {} they are not.",
            frame.method.control_words()
        ));
        return;
    }
    let (text, color) = match found {
        Verdict::CleanFails => ("The clean image fails already: nothing can break".to_owned(), palette.warning),
        Verdict::Holds => (format!("Holds: Dice is not below {threshold:.3}"), palette.text),
        Verdict::Broken => (format!("Broken: Dice is below {threshold:.3}, with random signs it is not"), palette.bad),
        Verdict::NoiseToo => (format!("{} break it too", control_name(frame)), palette.warning),
        Verdict::NoControl => {
            (format!("Fails: Dice is below {threshold:.3}; the control has no point at this ε"), palette.warning)
        }
    };
    ui.label(RichText::new(text).color(color)).on_hover_text(format!(
        "Broken: the original passes, the adversarial image fails, and with {} it does not fail. To \
         fail is to have lost a quarter of the clean Dice; a clean Dice below 0.5 passes nothing. The column of random \
         signs is filled at every ε at which the curve was measured.",
        frame.method.control_words()
    ));
}

/// What the control of a frame's attack is, at the start of a sentence.
pub(super) fn control_name(frame: &Frame) -> String {
    let words = frame.method.control_words();
    words[..1].to_uppercase() + &words[1..]
}

fn direction(worse: bool, palette: &Palette) -> Color32 {
    if worse { palette.bad } else { palette.good }
}

/// A mask's target counts as reached from this share of what is to change on.
const REACHED: f64 = 0.5;

/// The verdict of an attack with a target, in words; `wished` is the share of what is to change that is as wished.
pub(super) fn target_text(verdict: Verdict, wished: f64, frame: &Frame) -> String {
    match verdict {
        Verdict::CleanFails => "The original is as the target wishes already".to_owned(),
        Verdict::Holds => format!("Target not reached: {}", percent(wished)),
        Verdict::Broken => format!("Target reached: {}, with random signs it is not", percent(wished)),
        Verdict::NoiseToo => format!("{} reach the target too", control_name(frame)),
        Verdict::NoControl => format!("Target reached: {}; the control has no point at this ε", percent(wished)),
    }
}

/// The colour of a verdict.
pub(super) fn verdict_colour(verdict: Verdict, palette: &Palette) -> Color32 {
    match verdict {
        Verdict::Holds => palette.text,
        Verdict::Broken => palette.bad,
        Verdict::CleanFails | Verdict::NoiseToo | Verdict::NoControl => palette.warning,
    }
}

/// Text at the right end of a column.
pub(super) fn right(ui: &mut Ui, text: RichText, width: f32) {
    let size = vec2(width, ui.text_style_height(&TextStyle::Body));
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        ui.set_min_width(width);
        ui.label(text);
    });
}

/// Whether an attack outlived being saved, in words.
pub fn saved_text(saved: &Saved, palette: &Palette) -> (String, Color32) {
    let (before, after) = (saved.before.overlap.dice, saved.after.overlap.dice);
    let kept = saved.kept().map_or(0.0, |kept| kept.max(0.0) * 100.0);
    let (mut text, color) = match saved.survival() {
        Survival::NoEffect => ("The attack had no effect worth keeping before it was saved".to_owned(), palette.weak),
        Survival::Survives => {
            (format!("The attack survives the rounding: {kept:.0} % of its effect is left"), palette.text)
        }
        Survival::Weakened => {
            (format!("The rounding weakens the attack: {kept:.0} % of its effect is left"), palette.warning)
        }
        Survival::Gone => {
            (format!("The attack does not survive the rounding: {kept:.0} % of its effect is left"), palette.warning)
        }
    };
    let stored = saved.stored.name();
    text += &match (saved.before.decision, saved.after.decision) {
        (Some(before), Some(after)) if before.predicted == after.predicted => {
            format!(". The decision in the {stored} file is that before saving.")
        }
        (Some(_), Some(_)) => format!(". The decision in the {stored} file is another than before saving."),
        _ => format!(". Dice {before:.3} before saving, {after:.3} in the {stored} file."),
    };
    if saved.grew() {
        let [from, to] = [saved.before, saved.after].map(|m| m.distortion.linf * 255.0);
        text += &format!(" Rounding enlarged the perturbation: L∞ {from:.2}/255 became {to:.2}/255.");
    }
    (text, color)
}
