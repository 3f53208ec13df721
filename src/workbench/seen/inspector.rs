//! The section of the inspector: every metric on the displayed and on the stored image.

use super::{SeenCommand, SeenSettings};
use crate::study::{Seen, SeenMetric};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{Align, CollapsingHeader, DragValue, Grid, Layout, RichText, TextStyle, Ui, vec2};

/// What a metric means.
pub fn definition(metric: SeenMetric) -> &'static str {
    match metric {
        SeenMetric::Psnr => {
            "Peak signal-to-noise ratio, −10·log₁₀ of the mean squared change, in dB. Larger is less visible; a dash: shown the same."
        }
        SeenMetric::Ssim => {
            "Structural similarity (Wang et al. 2004), Gaussian window of σ 1.5. 1: identical; smaller is more visible."
        }
        SeenMetric::MsSsim => "Structural similarity over five scales (Wang et al. 2003). Needs 161 pixels a side.",
        SeenMetric::Vif => "Visual information fidelity (Sheikh and Bovik 2006), pixel domain. 1: identical.",
        SeenMetric::HaarPsi => "Haar wavelet perceptual similarity (Reisenhofer et al. 2018). 1: identical.",
        SeenMetric::Gmsd => {
            "Gradient magnitude similarity deviation (Xue et al. 2014). 0: identical; larger is more visible."
        }
        SeenMetric::Flip => {
            "FLIP (Andersson et al. 2020): what is seen when the two images alternate, by viewing distance. 0: nothing."
        }
        SeenMetric::Butteraugli => {
            "Butteraugli's distance, as in libjxl, where the images differ most. 0: identical; about 1 is just noticeable, above 2 plain."
        }
        SeenMetric::Ciede2000 => {
            "Mean CIEDE2000 difference of colours (Sharma et al. 2005). 0: identical; about 1 is just noticeable between large patches."
        }
    }
}

/// Draws the section.
pub fn inspector_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    ui.add_space(8.0);
    let settings = &state.seen.settings;
    let header = CollapsingHeader::new(theme::semibold("Can it be seen?"))
        .id_salt("seen")
        .default_open(settings.open)
        .show_unindented(ui, |ui| body_ui(ui, state, commands));
    // Nobody looks at a closed table: it is not measured.
    let open = header.openness > 0.5;
    if open != settings.open && (header.openness == 0.0 || header.openness == 1.0) {
        set(state, commands, |s| s.open = open);
    }
}

/// Sends a changed copy of what was chosen.
pub fn set(state: &State, commands: &CommandSender, change: impl FnOnce(&mut SeenSettings)) {
    let mut settings = state.seen.settings.clone();
    change(&mut settings);
    commands.send(Command::Seen(SeenCommand::Set(Box::new(settings))));
}

fn body_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(frame) = &state.frame else { return };
    let found = state.seen.of(frame);
    let column = ((ui.available_width() - 92.0) / 2.0 - 8.0).clamp(48.0, 84.0);
    let palette = theme::of(ui);
    Grid::new("seen metrics").num_columns(3).spacing([8.0, 3.0]).show(ui, |ui| {
        ui.label("");
        for (name, tip) in [
            (
                "displayed",
                "Of the adversarial image as this screen shows it now, before it is saved: under the present window, rounded to the screen's bits.",
            ),
            (
                "stored",
                "Of the adversarial image as a file of the original's type holds it, rounded to that, over the whole range of the bounds.",
            ),
        ] {
            right(ui, RichText::new(name).color(palette.weak), column).on_hover_text(tip);
        }
        ui.end_row();
        for metric in SeenMetric::ALL {
            ui.label(metric.title()).on_hover_text(definition(metric));
            let current = found.filter(|f| f.wish.plan.metrics.contains(&metric));
            for seen in [current.map(|f| f.shown), current.map(|f| f.stored)] {
                let text = seen.map_or_else(|| "…".to_owned(), |s| value_text(metric, &s));
                right(ui, RichText::new(text), column);
            }
            ui.end_row();
        }
    });
    let norms = frame.adversarial_measure.distortion;
    let text =
        format!("L∞ {}, L2 {:.3}, L1 {:.1}, L0 {}", state.epsilon_text(norms.linf), norms.l2, norms.l1, norms.l0);
    ui.label(theme::weak(ui, text)).on_hover_text(
        "Norms of the perturbation in fractions of the bounds’ width: the largest change, the root of the sum of squares, the sum, and how many \
         values changed.",
    );
    if found.is_some_and(|f| f.shown.same) {
        ui.label(theme::weak(ui, "Displayed the same, level by level: nobody can see it here."));
    }
    if found.is_some_and(|f| f.stored.same && frame.epsilon > 0.0) {
        ui.label(theme::weak(
            ui,
            "Saved as the original's type, this perturbation is gone: the file holds the original.",
        ));
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(theme::weak(ui, "Screen"));
        let mut bits = settings_bits(state);
        let drag = DragValue::new(&mut bits).range(1..=16).speed(0.05).suffix(" bits");
        let tip = "Bits of grey that the screen shows: 8 on most, 10 on many diagnostic displays.";
        if ui.add(drag).accessible_name("Bits of the screen").on_hover_text(tip).changed() {
            set(state, commands, |s| s.bits = bits);
        }
        let mut pixels = state.pixels_per_degree();
        if state.seen.settings.calibration.is_some() {
            let tip = "Image pixels in a degree of visual angle, by the calibrated screen, the distance and the magnification.";
            ui.label(format!("{pixels:.0} px/°")).on_hover_text(tip);
        } else {
            let drag = DragValue::new(&mut pixels).range(1.0..=1000.0).speed(0.5).max_decimals(0).suffix(" px/°");
            let tip = "Image pixels in a degree of visual angle, for FLIP. 67: a 24″ screen of 4K at 0.7 m. The reader study measures \
                       it with a bank card.";
            if ui.add(drag).accessible_name("Pixels per degree").on_hover_text(tip).changed() {
                set(state, commands, |s| s.pixels_per_degree = pixels);
            }
        }
    });
}

fn settings_bits(state: &State) -> u8 {
    state.seen.settings.bits
}

/// A value with its digits; a dash where there is none.
pub fn value_text(metric: SeenMetric, seen: &Seen) -> String {
    match seen.get(metric) {
        Some(value) if metric == SeenMetric::Psnr => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
        None => "–".to_owned(),
    }
}

fn right(ui: &mut Ui, text: RichText, width: f32) -> eframe::egui::Response {
    let size = vec2(width, ui.text_style_height(&TextStyle::Body));
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        ui.set_min_width(width);
        ui.label(text)
    })
    .inner
}
