//! All values at one measured ε, in a small table beside the pointer.

use super::quantity::Quantity;
use crate::study::CurvePoint;
use crate::workbench::decision::is_of_classes;
use crate::workbench::state::{LiveCurve, entry};
use crate::workbench::{State, theme};
use eframe::egui::{Align, Grid, Layout, RichText, Ui};

/// The widest the table may be, in points.
const WIDTH: f32 = 300.0;

/// Draws the values of `point`, of the control at the same ε if it was measured, and of the clean image.
pub fn read_out_ui(ui: &mut Ui, state: &State, curve: &LiveCurve, point: &CurvePoint, control: Option<&CurvePoint>) {
    // The last column takes all the width there is.
    ui.set_max_width(WIDTH);
    ui.label(theme::semibold(format!("ε {}", state.epsilon_text(point.epsilon))));
    Grid::new("read-out").num_columns(4).spacing([16.0, 2.0]).show(ui, |ui| {
        ui.label("");
        for name in [entry(curve.method).title, "Random sign", "Clean"] {
            cell(ui, theme::weak(ui, name).small());
        }
        ui.end_row();
        let seen = state.view.quantities.iter().copied().filter(|q| q.seen().is_some());
        for quantity in Quantity::offered(is_of_classes(curve)).iter().copied().chain(seen) {
            ui.label(theme::weak(ui, quantity.title()));
            cell(ui, theme::semibold(quantity.text(&point.measure)));
            cell(ui, RichText::new(control.map_or_else(|| "…".to_owned(), |c| quantity.text(&c.measure))));
            cell(ui, RichText::new(quantity.text(&curve.clean)));
            ui.end_row();
        }
    });
    let distortion = point.measure.distortion;
    let text = format!(
        "L∞ {}, L2 {:.3}, L1 {:.1} of the range; L0 {} values",
        state.epsilon_text(distortion.linf),
        distortion.l2,
        distortion.l1,
        distortion.l0
    );
    ui.label(theme::weak(ui, text).small());
}

fn cell(ui: &mut Ui, text: RichText) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.label(text));
}
