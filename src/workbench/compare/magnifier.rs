//! A magnifying glass that follows the probed pixel in every picture.

use super::canvas::Canvas;
use super::picture::Shot;
use super::{PaneContext, paint, theme};
use eframe::egui::{Id, Painter, Rect, Stroke, StrokeKind, Ui, Vec2, pos2, vec2};

/// How much larger than the picture.
const FACTOR: f32 = 4.0;
/// Side of the glass, in points, and as a share of the picture's smaller side at most.
const SIDE: f32 = 150.0;
const LARGEST_SHARE: f32 = 0.55;

/// Draws `shot`, magnified around the middle of `pixel`, over the picture in `canvas`. `id` names the glass from frame to
/// frame.
pub fn magnifier(ui: &Ui, context: &mut PaneContext<'_>, id: Id, shot: &Shot, canvas: &Canvas, pixel: [usize; 2]) {
    let point = pos2(pixel[0] as f32 + 0.5, pixel[1] as f32 + 0.5);
    let middle = canvas.position(point);
    if !canvas.rect.contains(middle) {
        return;
    }
    let side = SIDE.min(canvas.rect.size().min_elem() * LARGEST_SHARE).round();
    // Beside the pointer, on the side where there is room, so that the place itself stays in sight.
    let shift = |at: f32, low: f32, high: f32| {
        let beyond = at + 14.0;
        if beyond + side <= high { beyond } else { (at - 14.0 - side).max(low) }
    };
    let corner = pos2(
        shift(middle.x, canvas.rect.left(), canvas.rect.right()),
        shift(middle.y, canvas.rect.top(), canvas.rect.bottom()),
    );
    let glass = canvas.part(Rect::from_min_size(corner, Vec2::splat(side)));
    let size = glass.size();
    let centre = vec2(size[0] as f32, size[1] as f32) * 0.5;
    let mut shot = shot.clone();
    shot.spec.transform = canvas.viewport.magnified(point, centre.to_pos2(), FACTOR);
    shot.spec.grid = true;
    paint(ui, context, id, &shot, &glass, glass.rect);
    frame(ui.painter(), glass.rect, Stroke::new(1.5, theme::of(ui).accent));
    let scales = canvas.points_per_pixel() * FACTOR;
    let scales = Vec2::from(canvas.viewport.geometry.orientation.arranged(scales.into()));
    let pixel = Rect::from_center_size(glass.rect.center(), scales.max(Vec2::splat(3.0)));
    frame(&ui.painter().with_clip_rect(glass.rect), pixel, Stroke::new(1.0, theme::of(ui).accent));
}

fn frame(painter: &Painter, rect: Rect, stroke: Stroke) {
    painter.rect_stroke(rect, 2.0, Stroke::new(stroke.width + 2.0, theme::SHADOW), StrokeKind::Outside);
    painter.rect_stroke(rect, 2.0, stroke, StrokeKind::Outside);
}
