//! What stands on every picture beside its pixels: the sides of the patient, a bar of known length, the ruler, the region of
//! interest, the value under the cross-hair.

use super::canvas::Canvas;
use crate::data::Region;
use crate::workbench::marks::length_text;
use crate::workbench::theme::{self, MARK, REGION, SHADOW};
use eframe::egui::{
    Align2, Color32, FontId, Painter, Pos2, Rect, Shape, Stroke, TextStyle, Ui, Vec2, epaint::EllipseShape,
    epaint::PathShape, pos2, vec2,
};

/// A picture narrower than this has no room for a bar, in points.
const NARROWEST: f32 = 90.0;

/// The lines around the region, kept from frame to frame.
#[derive(Default)]
pub struct Outline {
    of: Option<Region>,
    lines: Vec<[[f32; 2]; 2]>,
}

impl Outline {
    /// The lines around `region`, in image pixels.
    pub fn lines(&mut self, region: &Region) -> &[[[f32; 2]; 2]] {
        if self.of.as_ref().is_none_or(|of| !of.is(region)) {
            self.lines = region.outline();
            self.of = Some(region.clone());
        }
        &self.lines
    }
}

/// Draws the lines of a region.
pub fn region(painter: &Painter, canvas: &Canvas, lines: &[[[f32; 2]; 2]]) {
    let painter = painter.with_clip_rect(canvas.rect.intersect(painter.clip_rect()));
    let at = |point: [f32; 2]| canvas.position(point.into());
    for (width, color) in [(3.0, SHADOW), (1.5, REGION)] {
        painter.extend(lines.iter().map(|&[a, b]| Shape::line_segment([at(a), at(b)], Stroke::new(width, color))));
    }
}

/// Draws the letters of the patient's sides (left, right, top, bottom edge).
pub fn letters(ui: &Ui, canvas: &Canvas, [left, right, top, bottom]: [char; 4]) {
    let rect = canvas.image_rect().intersect(canvas.rect);
    let places = [
        (rect.left_center() + vec2(4.0, 0.0), Align2::LEFT_CENTER, left),
        (rect.right_center() - vec2(4.0, 0.0), Align2::RIGHT_CENTER, right),
        (rect.center_top() + vec2(0.0, 2.0), Align2::CENTER_TOP, top),
        (rect.center_bottom() - vec2(0.0, 2.0), Align2::CENTER_BOTTOM, bottom),
    ];
    let font = FontId::new(TextStyle::Body.resolve(ui.style()).size, theme::semibold_family());
    let painter = ui.painter().with_clip_rect(canvas.rect);
    for (at, align, letter) in places {
        shadowed(&painter, at, align, &letter.to_string(), &font, MARK);
    }
}

fn shadowed(painter: &Painter, at: Pos2, align: Align2, text: &str, font: &FontId, color: Color32) -> Rect {
    let galley = painter.layout_no_wrap(text.to_owned(), font.clone(), color);
    let rect = align.anchor_size(at, galley.size());
    painter.rect_filled(rect.expand2(vec2(3.0, 0.0)), 2.0, SHADOW.gamma_multiply(0.6));
    painter.galley(rect.min, galley, color);
    rect
}

/// The length of the bar in mm (or pixels), of which one takes `points` on the screen, that is 1, 2 or 5 times a power of
/// ten and at most `room` points long.
pub fn bar_length(points: f32, room: f32) -> Option<f32> {
    let most = room / points;
    if !(most.is_finite() && most > 0.0) {
        return None;
    }
    let power = 10f32.powf(most.log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|factor| factor * power).find(|length| *length <= most)
}

/// Draws the bar into the lower left corner of the picture.
pub fn scale_bar(ui: &Ui, canvas: &Canvas, spacing: Option<[f32; 2]>) {
    let rect = canvas.rect;
    if rect.width() < NARROWEST || rect.height() < NARROWEST {
        return;
    }
    // Across the screen, whichever of the image's axes that is.
    let across = |v: Vec2| Vec2::from(canvas.viewport.geometry.orientation.arranged(v.into())).x;
    let pixel = across(canvas.points_per_pixel());
    let (points, unit) = match spacing {
        Some([rows, columns]) => (pixel / across(vec2(columns, rows)), "mm"),
        None => (pixel, "px"),
    };
    let Some(length) = bar_length(points, (rect.width() * 0.3).min(120.0)) else { return };
    let (from, width) = (rect.left_bottom() + vec2(8.0, -8.0), length * points);
    let painter = ui.painter().with_clip_rect(rect);
    let ends = [vec2(0.0, -4.0), Vec2::ZERO, vec2(width, 0.0), vec2(width, -4.0)].map(|v| from + v);
    for (thick, color) in [(3.5, SHADOW), (1.5, MARK)] {
        painter.add(Shape::Path(PathShape::line(ends.to_vec(), Stroke::new(thick, color))));
    }
    let number = if length >= 1.0 { format!("{length:.0}") } else { format!("{length}") };
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let at = from + vec2(width * 0.5, -5.0);
    let half = font.size * 0.3 * (number.len() + 3) as f32;
    let at = pos2(at.x.max(rect.left() + 4.0 + half), at.y);
    shadowed(&painter, at, Align2::CENTER_BOTTOM, &format!("{number} {unit}"), &font, MARK);
}

/// Draws the ruler with its length.
pub fn ruler(ui: &Ui, canvas: &Canvas, ends: [[f32; 2]; 2], spacing: Option<[f32; 2]>, color: Color32) {
    let [a, b] = ends.map(|end| canvas.position(end.into()));
    let painter = ui.painter().with_clip_rect(canvas.rect);
    let along = (b - a).normalized();
    let tick = vec2(-along.y, along.x) * 5.0;
    for (width, color) in [(4.0, SHADOW), (1.5, color)] {
        let stroke = Stroke::new(width, color);
        painter.line_segment([a, b], stroke);
        for end in [a, b] {
            painter.line_segment([end - tick, end + tick], stroke);
        }
    }
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let text = length_text(ends, spacing);
    shadowed(&painter, a.lerp(b, 0.5) - vec2(0.0, 8.0), Align2::CENTER_BOTTOM, &text, &font, MARK);
}

/// Draws what the picture holds at the probed pixel into its lower right corner.
pub fn value(ui: &Ui, canvas: &Canvas, text: &str) {
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let painter = ui.painter().with_clip_rect(canvas.rect);
    shadowed(&painter, canvas.rect.right_bottom() - vec2(7.0, 5.0), Align2::RIGHT_BOTTOM, text, &font, MARK);
}

/// Draws the circle that the brush would paint at an image point.
pub fn brush(ui: &Ui, canvas: &Canvas, at: Pos2, diameter: f32) {
    let half = canvas.points_per_pixel() * diameter * 0.5;
    let half = Vec2::from(canvas.viewport.geometry.orientation.arranged(half.into()));
    let painter = ui.painter().with_clip_rect(canvas.rect);
    for (width, color) in [(3.0, SHADOW), (1.0, MARK)] {
        let ellipse = EllipseShape::stroke(canvas.position(at), half, Stroke::new(width, color));
        painter.add(ellipse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    #[test]
    fn the_bar_is_of_a_round_length_that_fits() {
        assert_eq!(bar_length(1.0, 120.0), Some(100.0));
        assert_eq!(bar_length(3.0, 120.0), Some(20.0));
        assert_eq!(bar_length(64.0, 120.0), Some(1.0));
        assert_eq!(bar_length(700.0, 120.0), Some(0.1));
        assert_eq!(bar_length(0.0, 120.0), None);
    }

    #[test]
    fn an_outline_is_made_once() {
        let mut outline = Outline::default();
        let region = Region::shape(30, 30, Shape::Ellipse, [[2.0, 2.0], [20.0, 25.0]]);
        let first = outline.lines(&region).as_ptr();
        assert_eq!(outline.lines(&region.clone()).as_ptr(), first);
        assert_eq!(outline.lines(&Region::none(30, 30)).len(), 0);
    }
}
