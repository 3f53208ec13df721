//! The six linked pictures: original, noise, adversarial image, the segmentations of both, and what changed. One zoom and
//! one pan for all, a cross-hair at the same pixel in all; any of them alone after a double click; blink and swipe put
//! original and adversarial in one place.

pub mod annotations;
pub mod bars;
pub mod canvas;
pub mod caption;
mod drawing;
mod early;
mod empty;
pub mod layout;
pub mod magnifier;
mod menus;
pub mod picture;
mod title;
mod toolbar;
pub mod viewport;

pub use caption::gain_text;
pub use toolbar::change;
pub(super) use toolbar::gain_slider;

use super::state::{Comparison, Picture, Tool};
use super::{Command, CommandSender, Pane, PaneContext, State, probe, seen, theme};
use crate::engine::{Frame, Problem};
use crate::gpu;
use canvas::Canvas;
use eframe::egui::{self, Id, PointerButton, Rect, Sense, Stroke, Ui, UiBuilder, Vec2, pos2, vec2};
use layout::Cell;
use picture::{Look, Shot};
use std::time::Duration;

/// The bar of a computation appears after this many seconds: shorter ones are not worth a flicker.
const BAR_AFTER_SECS: f64 = 0.15;
/// Which pictures remain when there is no room for all, the most telling first.
const MOST_TELLING: [Picture; 6] = [
    Picture::AdversarialSegmentation,
    Picture::Adversarial,
    Picture::CleanSegmentation,
    Picture::Original,
    Picture::Difference,
    Picture::Noise,
];

/// The panel of the pictures.
pub struct Compare {
    /// Where the swiped pictures are divided, as a share of their width.
    divider: f32,
    holds_divider: bool,
    probing: bool,
    computing_since: Option<f64>,
    scale: Option<f32>,
    drawing: drawing::Drawing,
    outline: annotations::Outline,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            divider: 0.5,
            holds_divider: false,
            probing: false,
            computing_since: None,
            scale: None,
            drawing: drawing::Drawing::default(),
            outline: annotations::Outline::default(),
        }
    }
}

impl Pane for Compare {
    fn title(&self) -> &str {
        "Compare"
    }

    fn ui(&mut self, ui: &mut Ui, state: &State, commands: &CommandSender, context: &mut PaneContext<'_>) {
        if state.frame.is_none() && state.early.is_none() {
            empty::empty_ui(ui, state, commands);
            return;
        }
        if let (Some(blind), Some(frame)) = (&state.seen.blind, state.frame.clone()) {
            seen::closely::blind_ui(ui, state, &frame, blind, commands, context);
            return;
        }
        if !state.images_only && !state.look.presenter {
            toolbar::toolbar_ui(ui, state, commands, self.scale);
        }
        let mut area = ui.available_rect_before_wrap();
        area.max.y -= probe::line_height(ui);
        self.computing_bar(ui, state, area);
        area.min.y += 4.0;
        match (&state.frame, &state.early) {
            (Some(frame), _) => self.pictures_ui(ui, area, state, &frame.clone(), commands, context),
            (None, Some(early)) => self.early_ui(ui, area, state, early, commands, context),
            (None, None) => {}
        }
        ui.advance_cursor_after_rect(area);
        let line = Rect::from_min_max(area.left_bottom(), pos2(area.right(), area.bottom() + probe::line_height(ui)));
        ui.scope_builder(UiBuilder::new().max_rect(line), |ui| probe::probe_ui(ui, state));
    }
}

impl Compare {
    fn pictures_ui(
        &mut self,
        ui: &mut Ui,
        area: Rect,
        state: &State,
        frame: &Frame,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) {
        let geometry = state.geometry(image_size(frame));
        let there = |picture: &Picture| frame.scores.is_none() || !picture.is_of_masks();
        let focus = state.view.focus.filter(there);
        let chosen = match focus {
            Some(picture) => vec![picture],
            None => shown_of(&state.view.pictures, there),
        };
        // A model that classifies has bars in place of masks.
        let bars = frame.scores.as_ref().filter(|_| focus.is_none());
        let large = theme::type_size(&state.look);
        let (area, bars) = match bars
            .map(|scores| (bars::divide(area, scores.clean.len(), chosen.len(), geometry.aspect(), large), scores))
        {
            Some(([pictures, place], scores)) => (pictures, Some((place, scores))),
            None => (area, None),
        };
        let lines = layout::Lines::scaled(theme::type_size(&state.look));
        let cells = layout::cells(area, geometry.aspect(), chosen.len(), lines);
        let shown = most_telling(&chosen, cells.len());
        let mut hovered = false;
        let scale = self.scale;
        for (picture, cell) in shown.into_iter().zip(&cells) {
            let canvas = Canvas::new(ui, cell.picture, geometry, state.navigation);
            self.scale = Some(canvas.viewport.scale());
            hovered |= self.picture_ui(ui, picture, cell, &canvas, state, frame, commands, context);
        }
        if let Some((place, scores)) = bars {
            bars::bars_ui(ui, place, state, scores);
        }
        if scale != self.scale {
            // The toolbar, which is drawn first, has still shown the old magnification.
            ui.ctx().request_repaint();
        }
        if !hovered && self.probing && state.probe.is_some() {
            commands.send(Command::Probe(None));
        }
        self.probing = hovered;
    }

    /// One picture with its title and numbers. Whether the pointer is on it.
    #[expect(clippy::too_many_arguments, reason = "what every panel gets, and the picture's place")]
    fn picture_ui(
        &mut self,
        ui: &mut Ui,
        picture: Picture,
        cell: &Cell,
        canvas: &Canvas,
        state: &State,
        frame: &Frame,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) -> bool {
        let id = Id::unique("picture").with(picture);
        let partner = original_of(picture);
        let swiped = partner.is_some() && state.view.comparison == Comparison::Swipe;
        let blinked = partner.filter(|_| seen::closely::shows_original(ui, state));
        let drawn = blinked.unwrap_or(picture);

        let title = caption::title(drawn, state, frame);
        let numbers = caption::numbers(drawn, state, frame);
        let outdated = caption::outdated(drawn, state, frame);
        let name = format!("{title}: {}", numbers.get(outdated..).unwrap_or_default().join(", "));
        let over_divider = swiped && self.over_divider(ui, canvas);
        let free = !over_divider && !self.holds_divider;
        let response = canvas.interact(ui, id, &name, state, commands, free && state.tool == Tool::Pan);
        if free {
            self.drawing.interact(ui, canvas, &response, state, commands);
        }
        menus::picture_menu(&response, picture, state, commands, context, id);
        if response.contains_pointer() && ui.input(|i| i.events.contains(&egui::Event::Copy)) {
            copy(context, id, commands);
        }
        if response.double_clicked() || (response.has_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter))) {
            let focus = if state.view.focus == Some(picture) { None } else { Some(picture) };
            change(state, commands, |view| view.focus = focus);
        }

        let look = Look::new(&state.view, state.look.theme, state.class_colours());
        let transform = canvas.viewport.transform();
        let mut shot = seen::map::shot(drawn, state, frame, transform, &look)
            .unwrap_or_else(|| picture::shot(drawn, frame, &state.view, transform, &look));
        paint(ui, context, id, &shot, canvas, canvas.rect);
        seen::map::bar(ui, drawn, state, frame, canvas);
        if let Some(partner) = partner.filter(|_| swiped) {
            self.drag_divider(ui, canvas, &response, over_divider);
            let x = canvas.rect.left() + canvas.rect.width() * self.divider;
            let left = Rect::from_min_max(canvas.rect.min, pos2(x, canvas.rect.bottom()));
            let original = picture::shot(partner, frame, &state.view, transform, &look);
            paint(ui, context, id.with("left"), &original, canvas, left);
            // The magnifying glass shows what lies under it.
            if state.probe.is_some_and(|pixel| canvas.pixel_rect(pixel).center().x < x) {
                shot = original;
            }
            canvas.divider(ui, x, self.holds_divider);
        }
        self.marks_ui(ui, picture, id, canvas, &shot, &response, state, frame, context);
        if response.has_focus() {
            let stroke = Stroke::new(2.0, theme::of(ui).accent);
            ui.painter().rect_stroke(canvas.rect, 2.0, stroke, egui::StrokeKind::Inside);
        }
        // While a stack plays, what is shown is always the slice before: it would never be bright.
        if state.outdated && !state.playing {
            // These pictures are of the image, slice or label before: the new ones are being computed.
            ui.painter().rect_filled(canvas.rect, 0.0, theme::of(ui).picture_background.gamma_multiply(0.65));
        }
        title::title_ui(ui, cell.title, picture, &title, swiped, state, frame, commands);
        let legend = caption::legend(drawn, state, ui.visuals().dark_mode);
        let caption = ui.interact(cell.caption, id.with("caption"), Sense::hover());
        caption::caption_ui(ui, cell.caption, &numbers, outdated, &legend, &caption);
        response.contains_pointer()
    }

    /// What stands on a picture beside its pixels.
    #[expect(clippy::too_many_arguments, reason = "what every panel gets, and the picture")]
    fn marks_ui(
        &mut self,
        ui: &Ui,
        picture: Picture,
        id: Id,
        canvas: &Canvas,
        shot: &Shot,
        response: &egui::Response,
        state: &State,
        frame: &Frame,
        context: &mut PaneContext<'_>,
    ) {
        if let Some(region) = state.region() {
            annotations::region(ui.painter(), canvas, self.outline.lines(region));
        }
        if state.view.annotations {
            if let Some(edges) = state.edges() {
                annotations::letters(ui, canvas, edges);
            }
            annotations::scale_bar(ui, canvas, state.spacing());
        }
        if let Some(ends) = state.marks.ruler {
            annotations::ruler(ui, canvas, ends, state.spacing(), theme::of(ui).accent);
        }
        if state.tool.paints()
            && response.contains_pointer()
            && let Some(pointer) = ui.input(|i| i.pointer.hover_pos())
        {
            annotations::brush(ui, canvas, canvas.image_point(pointer), state.brush);
        }
        let Some(pixel) = state.probe else { return };
        if state.view.crosshair {
            canvas.crosshair(ui.painter(), pixel);
        }
        if state.magnifier || ui.input(|i| i.key_down(egui::Key::Z) && i.modifiers.is_none()) {
            magnifier::magnifier(ui, context, id.with("magnifier"), shot, canvas, pixel);
        }
        if state.view.values
            && let Some(text) = probe::picture_value(picture, state, frame, pixel)
        {
            annotations::value(ui, canvas, &text);
        }
    }

    /// Whether the pointer is on the line between the halves, or was when its button went down.
    fn over_divider(&self, ui: &Ui, canvas: &Canvas) -> bool {
        let x = canvas.rect.left() + canvas.rect.width() * self.divider;
        let pointer = ui.input(|i| i.pointer.press_origin().or(i.pointer.hover_pos()));
        pointer.is_some_and(|p| canvas.rect.contains(p) && (p.x - x).abs() < 8.0)
    }

    fn drag_divider(&mut self, ui: &Ui, canvas: &Canvas, response: &egui::Response, over: bool) {
        if over || self.holds_divider {
            ui.set_cursor_icon(egui::CursorIcon::ResizeHorizontal);
        }
        if response.drag_started_by(PointerButton::Primary) && over {
            self.holds_divider = true;
        }
        if self.holds_divider
            && response.dragged_by(PointerButton::Primary)
            && let Some(pointer) = response.interact_pointer_pos()
        {
            self.divider = ((pointer.x - canvas.rect.left()) / canvas.rect.width()).clamp(0.02, 0.98);
        }
        if !ui.input(|i| i.pointer.primary_down()) {
            self.holds_divider = false;
        }
    }

    /// A thin line over the pictures while newer ones are computed; what is shown stays.
    fn computing_bar(&mut self, ui: &Ui, state: &State, area: Rect) {
        if !state.computing {
            self.computing_since = None;
            return;
        }
        let now = ui.input(|i| i.time);
        let since = *self.computing_since.get_or_insert(now);
        if now - since < BAR_AFTER_SECS {
            ui.ctx().request_repaint_after(Duration::from_secs_f64(BAR_AFTER_SECS - (now - since) + 0.01));
            return;
        }
        let bar = Rect::from_min_size(area.min, vec2(area.width(), 2.0));
        ui.painter().rect_filled(bar, 1.0, theme::of(ui).accent);
    }
}

/// What blinks and swipes with a picture of the adversarial image.
fn original_of(picture: Picture) -> Option<Picture> {
    match picture {
        Picture::Adversarial => Some(Picture::Original),
        Picture::AdversarialSegmentation => Some(Picture::CleanSegmentation),
        _ => None,
    }
}

/// Those of `pictures` that there are; all that there are if these are none.
fn shown_of(pictures: &[Picture], there: impl Fn(&Picture) -> bool) -> Vec<Picture> {
    let shown: Vec<Picture> = pictures.iter().copied().filter(&there).collect();
    if shown.is_empty() { Picture::ALL.into_iter().filter(there).collect() } else { shown }
}

/// The `count` most telling of `chosen`, in reading order.
fn most_telling(chosen: &[Picture], count: usize) -> Vec<Picture> {
    let kept: Vec<Picture> = MOST_TELLING.into_iter().filter(|p| chosen.contains(p)).take(count).collect();
    Picture::ALL.into_iter().filter(|p| kept.contains(p)).collect()
}

/// Draws a picture over `canvas`, as far as it lies in `clip`; what went wrong instead, if the GPU could not. `id` names
/// the picture from frame to frame.
pub fn paint(ui: &Ui, context: &mut PaneContext<'_>, id: Id, shot: &Shot, canvas: &Canvas, clip: Rect) {
    let painter = ui.painter().with_clip_rect(clip.intersect(ui.clip_rect()));
    let palette = theme::of(ui);
    painter.rect_filled(canvas.rect, 0.0, palette.picture_background);
    let Some(display) = context.display.as_deref_mut() else { return };
    match display.show(gpu::Slot(id.value()), &shot.spec, &shot.planes, canvas.size()) {
        Ok(texture) => {
            let all = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(texture, canvas.rect, all, egui::Color32::WHITE);
        }
        Err(error) => {
            let font = egui::TextStyle::Body.resolve(ui.style());
            let text = format!("This picture could not be drawn: {error}");
            let galley = painter.layout(text, font, palette.bad, canvas.rect.width() - 24.0);
            painter.galley(canvas.rect.center() - galley.size() * 0.5, galley, palette.bad);
        }
    }
}

/// Puts a picture on the clipboard, once the GPU has given it.
pub fn copy(context: &PaneContext<'_>, id: Id, commands: &CommandSender) {
    let Some(display) = context.display.as_deref() else { return };
    let commands = commands.clone();
    display.read_back(gpu::Slot(id.value()), move |picture| match picture {
        Ok(picture) => commands.send(Command::Copy(picture.into())),
        Err(why) => commands.send(Command::Failed(Problem { what: "Copy".to_owned(), why })),
    });
}

/// The size of a picture that a tool outside this panel wants to know: image pixels, width and height.
pub fn image_size(frame: &Frame) -> Vec2 {
    vec2(frame.original.width as f32, frame.original.height as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_pictures_remain_in_reading_order() {
        assert_eq!(most_telling(&Picture::ALL, 2), [Picture::Adversarial, Picture::AdversarialSegmentation]);
        assert_eq!(most_telling(&Picture::ALL, 6), Picture::ALL);
        assert_eq!(most_telling(&[Picture::Noise, Picture::Original], 1), [Picture::Original]);
    }
}
