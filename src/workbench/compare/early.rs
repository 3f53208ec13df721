//! The pictures while the first frame of an image is being computed: the image at once, what the model sees in it as soon
//! as it has looked, and of the others that they are being computed. Never a picture of the image before.

use super::{Compare, annotations, caption, layout, menus, most_telling, paint, picture, shown_of};
use crate::engine::Early;
use crate::model::Task;
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::picture::Look;
use crate::workbench::state::Picture;
use crate::workbench::{Command, CommandSender, PaneContext, State, theme};
use eframe::egui::{Align2, Id, Rect, Sense, TextStyle, Ui, vec2};
use std::time::Instant;

/// What stands in place of a picture that is not there yet.
const COMPUTING: &str = "computing…";

impl Compare {
    pub(super) fn early_ui(
        &mut self,
        ui: &mut Ui,
        area: Rect,
        state: &State,
        early: &Early,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) {
        let size = vec2(early.original.width as f32, early.original.height as f32);
        let geometry = state.geometry(size);
        // A model that classifies has no masks.
        let of_masks = state.model.as_ref().is_none_or(|card| card.task == Task::Segmentation);
        let there = |picture: &Picture| of_masks || !picture.is_of_masks();
        let chosen = match state.view.focus.filter(there) {
            Some(picture) => vec![picture],
            None => shown_of(&state.view.pictures, there),
        };
        let lines = layout::Lines::scaled(theme::type_size(&state.look));
        let cells = layout::cells(area, geometry.aspect(), chosen.len(), lines);
        let shown = most_telling(&chosen, cells.len());
        let waits = match (early.part, state.read_share) {
            (false, _) => state.first_run.text(Instant::now()).unwrap_or_else(|| COMPUTING.to_owned()),
            (true, None) => "reading…".to_owned(),
            (true, Some(share)) => format!("reading… {:.0} %", share * 100.0),
        };
        let mut hovered = false;
        for (picture, cell) in shown.into_iter().zip(&cells) {
            let id = Id::unique("picture").with(picture);
            let canvas = Canvas::new(ui, cell.picture, geometry, state.navigation);
            self.scale = Some(canvas.viewport.scale());
            let look = Look::new(&state.view, state.look.theme, state.class_colours());
            let shot = picture::early_shot(picture, early, &state.view, canvas.viewport.transform(), &look);
            let numbers = match (&shot, picture, &early.clean) {
                (Some(_), Picture::Original, _) => caption::image_numbers(&early.case),
                (Some(_), _, Some(clean)) => caption::overlap(&clean.measure, None),
                _ => vec![waits.clone()],
            };
            let name = format!("{}: {}", picture.title(), numbers.join(", "));
            let response = canvas.interact(ui, id, &name, state, commands, true);
            menus::picture_menu(&response, picture, state, commands, context, id);
            hovered |= response.contains_pointer();
            match shot {
                Some(shot) => {
                    paint(ui, context, id, &shot, &canvas, canvas.rect);
                    marks(ui, &canvas, state);
                }
                None => waiting(ui, canvas.rect, &waits),
            }
            let title = ui.painter().with_clip_rect(cell.title);
            let font = eframe::egui::FontId::new(TextStyle::Body.resolve(ui.style()).size, theme::semibold_family());
            let at = cell.title.left_center() + vec2(2.0, 0.0);
            let words = caption::fitting_title(ui, picture, picture.title(), state, cell.title.width() - 4.0);
            title.text(at, Align2::LEFT_CENTER, words, font, theme::of(ui).text);
            let caption = ui.interact(cell.caption, id.with("caption"), Sense::hover());
            caption::caption_ui(ui, cell.caption, &numbers, 0, &[], &caption);
        }
        if !hovered && self.probing && state.probe.is_some() {
            commands.send(Command::Probe(None));
        }
        self.probing = hovered;
    }
}

fn marks(ui: &Ui, canvas: &Canvas, state: &State) {
    if state.view.annotations {
        if let Some(edges) = state.edges() {
            annotations::letters(ui, canvas, edges);
        }
        annotations::scale_bar(ui, canvas, state.spacing());
    }
    if let (true, Some(pixel)) = (state.view.crosshair, state.probe) {
        canvas.crosshair(ui.painter(), pixel);
    }
}

fn waiting(ui: &Ui, rect: Rect, text: &str) {
    let palette = theme::of(ui);
    ui.painter().rect_filled(rect, 0.0, palette.picture_background);
    let font = TextStyle::Body.resolve(ui.style());
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, text, font, palette.weak);
}
