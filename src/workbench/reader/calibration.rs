//! How large the screen's pixels are: a rectangle is made as large as a bank card that is held against the screen.

use crate::observer::{CARD_WIDTH_MM, Calibration};
use crate::workbench::seen::{SeenCommand, SeenSettings};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{self, DragValue, RichText, Sense, Slider, Stroke, StrokeKind, Ui, vec2};

/// Height over width of a bank card (ISO/IEC 7810, ID-1).
const CARD_RATIO: f32 = 53.98 / 85.60;

/// The rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    /// Its width in screen pixels.
    pixels: f64,
    distance_mm: f64,
    bits: u8,
    /// The slider has not had the keyboard yet.
    fresh: bool,
}

impl Card {
    /// As it was measured before, or of a screen of 96 pixels to the inch.
    pub fn new(state: &State) -> Self {
        let settings = &state.seen.settings;
        let per_mm = settings.calibration.map_or(96.0 / 25.4, |c| c.pixels_per_mm);
        Self { pixels: per_mm * CARD_WIDTH_MM, distance_mm: settings.distance_mm, bits: settings.bits, fresh: true }
    }

    /// Draws it; `true` once it is done with.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender) -> bool {
        ui.label(theme::semibold("The screen").size(20.0));
        ui.label("Hold a bank card, or any card of that size, against the screen and make the rectangle as wide as it. The arrow keys change it by one pixel.");
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().slider_width = 320.0;
            let slider = Slider::new(&mut self.pixels, 150.0..=1500.0).fixed_decimals(0).step_by(1.0).suffix(" px");
            let response = ui.add(slider).accessible_name("Width of the card");
            if std::mem::take(&mut self.fresh) {
                response.request_focus();
            }
        });
        let per_point = f64::from(ui.pixels_per_point());
        let width = (self.pixels / per_point) as f32;
        let (rect, _) = ui.allocate_exact_size(vec2(width, width * CARD_RATIO), Sense::hover());
        let palette = theme::of(ui);
        ui.painter().rect(rect, 10.0, palette.accent_wash, Stroke::new(2.0, palette.accent), StrokeKind::Inside);
        let font = egui::TextStyle::Body.resolve(ui.style());
        let text = format!("{CARD_WIDTH_MM:.1} mm");
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, text, font, palette.text);
        ui.add_space(8.0);
        egui::Grid::new("screen").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            ui.label("From the eye to the screen");
            let drag = DragValue::new(&mut self.distance_mm).range(100.0..=10_000.0).speed(5.0).fixed_decimals(0).suffix(" mm");
            ui.add(drag).accessible_name("Viewing distance");
            ui.end_row();
            ui.label("Bits of grey that the screen shows");
            let drag = DragValue::new(&mut self.bits).range(1..=16).speed(0.05).suffix(" bits");
            ui.add(drag).accessible_name("Bits of the screen").on_hover_text(
                "8 on most screens, 10 on many diagnostic ones: metrics are measured as such a screen shows the image. The window, and so a reader study, is drawn with at most 8 bits, and its sessions say so.",
            );
            ui.end_row();
        });
        let calibration = Calibration::from_card(self.pixels);
        match &calibration {
            Ok(c) => {
                let (degree, inch) = (c.pixels_per_degree(self.distance_mm), c.pixels_per_mm * 25.4);
                ui.label(format!(
                    "{degree:.1} screen pixels in a degree of visual angle; {inch:.0} pixels to the inch"
                ));
            }
            Err(error) => {
                ui.label(RichText::new(error.to_string()).color(palette.bad));
            }
        }
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            let mut done = false;
            if ui.add_enabled(calibration.is_ok(), egui::Button::new("Use these").fill(palette.accent_wash)).clicked()
                && let Ok(calibration) = calibration
            {
                let settings = SeenSettings {
                    calibration: Some(calibration),
                    distance_mm: self.distance_mm,
                    bits: self.bits,
                    ..state.seen.settings.clone()
                };
                commands.send(Command::Seen(SeenCommand::Set(Box::new(settings))));
                done = true;
            }
            if ui.button("Forget the calibration").clicked() {
                let settings = SeenSettings { calibration: None, ..state.seen.settings.clone() };
                commands.send(Command::Seen(SeenCommand::Set(Box::new(settings))));
                done = true;
            }
            done | ui.button("Back").clicked()
        })
        .inner
    }
}
