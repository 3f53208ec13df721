//! Where the decision of a model that classifies changes, on a plot over ε: a band between the two measured ε at which it is
//! seen before and after, with the name of what follows.

use crate::workbench::decision::{self, Flip};
use crate::workbench::state::LiveCurve;
use crate::workbench::{State, theme};
use eframe::egui::{Align2, FontId, Rect, Stroke, TextStyle, Ui, pos2, vec2};
use egui_plot::PlotResponse;

/// Draws the bands of the attack's flips, over all of the plot's height.
pub fn flips_ui<R>(ui: &Ui, state: &State, curve: &LiveCurve, response: &PlotResponse<R>) {
    let flips = decision::flips(&curve.clean, &curve.points);
    if flips.is_empty() {
        return;
    }
    let palette = theme::of(ui);
    let frame = *response.transform.frame();
    let painter = ui.painter().with_clip_rect(frame);
    let truth = curve.clean.decision.map(|decision| decision.truth);
    let x_of = |epsilon: f64| response.transform.position_from_point_x(state.axis().position(epsilon));
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let mut taken = f32::NEG_INFINITY;
    for Flip { after, at, to, .. } in flips {
        let colour = if Some(to) == truth { palette.good } else { palette.bad };
        let band = Rect::from_x_y_ranges(x_of(after)..=x_of(at).max(x_of(after) + 1.0), frame.y_range());
        painter.rect_filled(band, 0.0, colour.gamma_multiply(0.13));
        painter.vline(band.right(), frame.y_range(), Stroke::new(1.0, colour.gamma_multiply(0.8)));
        let galley = painter.layout_no_wrap(format!("→ {}", state.class_title(to)), font.clone(), colour);
        let size = galley.size() + vec2(6.0, 2.0);
        // Names that would lie over each other are told by the inspector.
        let left = band.right() + 2.0;
        if left > taken && left + size.x < frame.right() {
            // Below the tag of the present ε; what is broken and not seen is told at the bottom.
            let tag = Rect::from_min_size(pos2(left, frame.top() + 22.0), size);
            painter.rect_filled(tag, 2.0, palette.panel.gamma_multiply(0.85));
            painter.galley(Align2::CENTER_CENTER.anchor_size(tag.center(), galley.size()).min, galley, colour);
            taken = tag.right();
        }
    }
}
