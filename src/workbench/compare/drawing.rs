//! What a primary drag does on a picture when another tool than the hand is chosen: the ruler, and regions of interest.

use super::canvas::Canvas;
use crate::data::{Region, Shape};
use crate::workbench::marks::{Marks, Tool};
use crate::workbench::{Command, CommandSender, State};
use eframe::egui::{Key, Modifiers, PointerButton, Response, Ui};

/// A drag under way.
struct Stroke {
    /// Where it began and where it is, in image pixels.
    from: [f32; 2],
    to: [f32; 2],
    /// The region before it.
    before: Region,
}

/// Follows a drag from press to release.
#[derive(Default)]
pub struct Drawing {
    stroke: Option<Stroke>,
}

impl Drawing {
    /// Handles the drags of `response`, a picture of `canvas`; sends changed copies of the marks.
    pub fn interact(&mut self, ui: &Ui, canvas: &Canvas, response: &Response, state: &State, commands: &CommandSender) {
        // Whatever the tool, the space bar moves the pictures.
        if state.tool == Tool::Pan || ui.input(|i| i.key_down(Key::Space)) {
            self.stroke = None;
            return;
        }
        let pressed = response.drag_started_by(PointerButton::Primary);
        let click = response.clicked_by(PointerButton::Primary) && state.tool.paints();
        let Some(at) = response.interact_pointer_pos() else { return };
        let at = canvas.image_point(at).into();
        let image = canvas.viewport.geometry.image;
        let (height, width) = (image.y as usize, image.x as usize);
        if pressed || click {
            let origin = ui.input(|i| i.pointer.press_origin());
            let from = origin.map_or(at, |origin| canvas.image_point(origin).into());
            let own = state.marks.region.clone().filter(|region| region.size() == [height, width]);
            let before = own.unwrap_or_else(|| Region::none(height, width));
            self.stroke = Some(Stroke { from, to: from, before });
        }
        let Some(stroke) = &mut self.stroke else { return };
        if !(click || response.dragged_by(PointerButton::Primary)) {
            self.stroke = None;
            return;
        }
        let moved = stroke.to != at || pressed || click;
        let modifiers = ui.input(|i| i.modifiers);
        if moved {
            let from = std::mem::replace(&mut stroke.to, at);
            if let Some(marks) = marked(state, stroke, from, at, modifiers) {
                commands.send(Command::Mark(Box::new(marks)));
            }
        }
        if click {
            self.stroke = None;
        }
    }
}

/// The marks after the pointer moved from `last` to `at` in a stroke.
fn marked(state: &State, stroke: &Stroke, last: [f32; 2], at: [f32; 2], modifiers: Modifiers) -> Option<Marks> {
    let marks = state.marks.clone();
    let region = match state.tool {
        Tool::Pan => return None,
        Tool::Ruler => return Some(Marks { ruler: Some([stroke.from, at]), ..marks }),
        Tool::Draw(shape) => drawn(stroke, shape, at, modifiers),
        Tool::Brush | Tool::Eraser => {
            let [height, width] = stroke.before.size();
            let own = marks.region.clone().filter(|region| region.size() == [height, width]);
            let erase = state.tool == Tool::Eraser || modifiers.alt;
            own.unwrap_or_else(|| Region::none(height, width)).brushed(last, at, state.brush / 2.0, erase)
        }
    };
    // Whoever draws a region wants it to count; the toolbar's menu turns that off.
    let confine = marks.confine || marks.region.is_none();
    Some(Marks { region: Some(region), confine, ..marks })
}

fn drawn(stroke: &Stroke, shape: Shape, at: [f32; 2], modifiers: Modifiers) -> Region {
    let [height, width] = stroke.before.size();
    let region = Region::shape(height, width, shape, [stroke.from, at]);
    if modifiers.shift {
        stroke.before.with(&region)
    } else if modifiers.alt {
        stroke.before.without(&region)
    } else {
        region
    }
}
