//! The thumbnails. Only those on the screen are drawn, and they and the ones near them are wished for.

use super::tools;
use crate::data::Dataset;
use crate::data::dataset::Entry;
use crate::workbench::browse::Slot;
use crate::workbench::command::{Command, CommandSender};
use crate::workbench::icons::Icon;
use crate::workbench::state::State;
use crate::workbench::theme;
use eframe::egui::{
    self, Align2, Color32, FontId, Pos2, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use std::ops::Range;
use std::sync::Arc;

/// Between cells, and around a picture in its cell, in points.
const GAP: f32 = 4.0;
/// Of captions.
const FONT: FontId = FontId::proportional(11.0);
/// The height of a line of a caption.
const LINE: f32 = 14.0;

/// The grid of thumbnails.
#[derive(Default)]
pub struct Entries {
    /// What was wished for last: the data set and the entries.
    wished: Option<(Arc<Dataset>, Vec<usize>)>,
    /// The entry that was scrolled to last.
    followed: Option<usize>,
    /// How far it is scrolled, in points.
    offset: f32,
    /// The cells and the height that they lay in.
    laid: Option<(Grid, f32)>,
    /// The chosen entry was on the screen.
    in_view: bool,
}

/// How cells lie.
#[derive(Clone, Copy, PartialEq)]
struct Grid {
    columns: usize,
    cell: egui::Vec2,
    side: f32,
}

impl Grid {
    fn new(width: f32, side: f32, lines: usize) -> Self {
        let columns = ((width + GAP) / (side + 3.0 * GAP)).floor().max(1.0) as usize;
        let cell_width = ((width + GAP) / columns as f32 - GAP).max(20.0);
        // Pictures fill the width that they get.
        let side = (cell_width - 2.0 * GAP).min(side * 1.6);
        Self { columns, cell: vec2(cell_width, side + 2.0 * GAP + lines as f32 * LINE), side }
    }

    fn row_height(self) -> f32 {
        self.cell.y + GAP
    }
}

impl Entries {
    /// Draws them into what is left of the panel.
    pub fn ui(&mut self, ui: &mut Ui, state: &State, set: &Arc<Dataset>, commands: &CommandSender) {
        let browse = &state.browse;
        tools_below(ui, state, commands);
        let lines = if set.classes.is_empty() { 1 } else { 2 };
        let width = ui.available_width() - ui.spacing().scroll.allocated_width();
        let grid = Grid::new(width, browse.side, lines);
        let rows = browse.shown.len().div_ceil(grid.columns);
        let height = ui.available_height();
        let mut area = ScrollArea::vertical().auto_shrink(false).id_salt("entries");
        let fresh = self.wished.as_ref().is_none_or(|(old, _)| !Arc::ptr_eq(old, set));
        if fresh {
            area = area.vertical_scroll_offset(0.0);
        }
        // A panel that gets wider or narrower has other entries in its rows.
        let regrouped = self.laid.is_some_and(|(old, _)| old.columns != grid.columns);
        let resized = self.in_view && self.laid != Some((grid, height));
        self.laid = Some((grid, height));
        if fresh || regrouped || resized || self.followed != browse.chosen {
            self.followed = browse.chosen;
            if let Some(place) = browse.place() {
                let top = (place / grid.columns) as f32 * grid.row_height();
                let offset = Some(self.offset).filter(|_| !fresh && !regrouped);
                // Only as far as needed; where it is not known yet, into the middle.
                let wanted = match offset {
                    Some(offset) if top < offset => Some(top),
                    Some(offset) if top + grid.cell.y > offset + height => Some(top + grid.cell.y - height),
                    Some(_) => None,
                    None => Some(top - height / 2.0),
                };
                if let Some(wanted) = wanted {
                    area = area.vertical_scroll_offset(wanted.max(0.0));
                }
            }
        }
        let output = area.show_viewport(ui, |ui, viewport| {
            ui.set_width(width);
            ui.set_height(rows as f32 * grid.row_height() - GAP);
            let first = (viewport.top() / grid.row_height()).floor().max(0.0) as usize;
            let last = (viewport.bottom() / grid.row_height()).ceil().max(0.0) as usize;
            let visible = first.min(rows)..last.min(rows);
            let corner = ui.max_rect().min;
            for row in visible.clone() {
                for column in 0..grid.columns {
                    let Some(&index) = browse.shown.get(row * grid.columns + column) else { break };
                    let x = column as f32 * (grid.cell.x + GAP);
                    let at = corner + vec2(x, row as f32 * grid.row_height());
                    entry_ui(ui, state, set, index, Rect::from_min_size(at, grid.cell), grid, commands);
                }
            }
            visible
        });
        self.offset = output.state.clamped_offset().y;
        self.in_view = browse.place().is_some_and(|place| {
            let top = (place / grid.columns) as f32 * grid.row_height();
            top >= self.offset - 1.0 && top + grid.cell.y <= self.offset + height + 1.0
        });
        self.wish(set, &wanted(&browse.shown, output.inner, grid.columns), commands);
    }

    /// Tells what is looked at, when it is something else.
    fn wish(&mut self, set: &Arc<Dataset>, wanted: &[usize], commands: &CommandSender) {
        let same = self.wished.as_ref().is_some_and(|(old, indices)| Arc::ptr_eq(old, set) && indices == wanted);
        if !same {
            self.wished = Some((set.clone(), wanted.to_vec()));
            commands.send(Command::LookAt(wanted.to_vec()));
        }
    }
}

fn tools_below(ui: &mut Ui, state: &State, commands: &CommandSender) {
    if state.browse.enlarged {
        tools::side_ui(ui, state.browse.side, commands);
        ui.add_space(4.0);
    }
}

/// The entries on these rows, then those of a screen below and above.
fn wanted(shown: &[usize], rows: Range<usize>, columns: usize) -> Vec<usize> {
    let screen = rows.len();
    let take = |rows: Range<usize>| {
        let end = (rows.end * columns).min(shown.len());
        shown[(rows.start * columns).min(end)..end].iter().copied()
    };
    let above = rows.start.saturating_sub(screen)..rows.start;
    take(rows.clone()).chain(take(rows.end..rows.end + screen)).chain(take(above)).collect()
}

fn entry_ui(ui: &mut Ui, state: &State, set: &Dataset, index: usize, rect: Rect, grid: Grid, commands: &CommandSender) {
    let entry = &set.entries[index];
    let chosen = state.browse.chosen == Some(index);
    let response = ui.interact(rect, ui.scope_id().with(index), Sense::click());
    let slot = state.browse.thumbnails.get(index);
    let text = description(set, entry, slot);
    response.widget_info(|| WidgetInfo::selected(egui::Role::Button, true, chosen, &text));
    let palette = theme::of(ui);
    let painter = ui.painter();
    let fill = match (chosen, response.hovered() || response.has_focus()) {
        (true, _) => palette.accent_wash,
        (false, true) => ui.visuals().widgets.hovered.weak_bg_fill,
        _ => Color32::TRANSPARENT,
    };
    let stroke = if chosen { Stroke::new(1.5, palette.accent) } else { Stroke::NONE };
    painter.rect(rect, 4.0, fill, stroke, StrokeKind::Inside);
    let box_left = rect.center().x - grid.side / 2.0;
    let picture = Rect::from_min_size(pos2(box_left, rect.top() + GAP), vec2(grid.side, grid.side));
    match slot {
        Some(Slot::Made(texture)) => {
            let size = texture.size_vec2();
            let size = size * (grid.side / size.max_elem());
            let uv = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
            painter.image(texture.id(), Rect::from_center_size(picture.center(), size), uv, Color32::WHITE);
        }
        Some(Slot::Failed(_)) => {
            painter.rect_filled(picture, 2.0, palette.picture_background);
            Icon::Warning.paint(painter, Rect::from_center_size(picture.center(), vec2(20.0, 20.0)), palette.bad);
        }
        None => {
            painter.rect_filled(picture, 2.0, palette.picture_background);
            painter.text(picture.center(), Align2::CENTER_CENTER, "…", FontId::proportional(16.0), palette.weak);
        }
    }
    let room = rect.width() - 2.0 * GAP;
    let line = |at: f32, text: &str, color: Color32| {
        let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), FONT, color);
        job.wrap = egui::text::TextWrapping::truncate_at_width(room);
        let galley = painter.layout_job(job);
        let left = rect.center().x - galley.size().x / 2.0;
        painter.galley(pos2(left, at), galley, color);
    };
    let below = picture.bottom() + 1.0;
    let fits = |name: &str| painter.layout_no_wrap(name.to_owned(), FONT, palette.text).size().x <= room;
    line(below, &shortened(&entry.name, fits), palette.text);
    if let Some(class) = entry.class.and_then(|class| set.class_name(class)) {
        line(below + LINE, class, palette.weak);
    }
    let response = response.on_hover_text_at_pointer(text);
    if response.clicked() {
        commands.send(Command::ShowEntry(index));
    }
}

/// As much of a name as `fits`: what stands in its middle is left out, since slices of a stack differ in their last digits only.
fn shortened(name: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(name) {
        return name.to_owned();
    }
    let characters: Vec<char> = name.chars().collect();
    let cut = |kept: usize| {
        // The end says more than the beginning.
        let (begin, end) = (kept / 3, kept - kept / 3);
        let (begin, end) = (&characters[..begin], &characters[characters.len() - end..]);
        format!("{}…{}", String::from_iter(begin).trim_end(), String::from_iter(end).trim_start())
    };
    let (mut fitting, mut too_long) = (0, characters.len());
    while too_long - fitting > 1 {
        let middle = usize::midpoint(fitting, too_long);
        if fits(&cut(middle)) {
            fitting = middle;
        } else {
            too_long = middle;
        }
    }
    cut(fitting)
}

/// Everything that is known of an entry: its name, class, split, size, mask, and why it has no picture.
fn description(set: &Dataset, entry: &Entry, slot: Option<&Slot>) -> String {
    let mut text = entry.name.to_string();
    if let Some(class) = entry.class.and_then(|class| set.class_name(class)) {
        text += &format!(", {class}");
    }
    if let Some(split) = &entry.split {
        text += &format!(", {split}");
    }
    if let Some([_, height, width]) = entry.shape {
        text += &format!(", {width} × {height} px");
    }
    if entry.mask.is_some() {
        text += ", with mask";
    }
    if let Some(Slot::Failed(why)) = slot {
        text += &format!(", cannot be shown: {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_names_keep_what_tells_them_apart() {
        let within = |most: usize| move |name: &str| name.chars().count() <= most;
        assert_eq!(shortened("a 3", within(8)), "a 3");
        let [one, other] = ["train-volume 15", "train-volume 16"].map(|name| shortened(name, within(10)));
        assert_eq!((&*one, &*other), ("tra…ume 15", "tra…ume 16"));
        assert_eq!(shortened("größer als alles", within(5)), "g…les");
        assert_eq!(shortened("ab", within(0)), "…");
    }
}
