//! One picture on the screen: what the pointer does on it (the same on every picture, so that all stay linked) and the
//! marks over it.

use super::viewport::{self, Geometry, Viewport};
use crate::engine::Request;
use crate::workbench::state::{Navigation, View};
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{
    self, CursorIcon, Event, Id, Key, MouseWheelUnit, Painter, PointerButton, Rect, Response, Role, Sense, Stroke, Ui,
    Vec2, WidgetInfo, emath::GuiRounding as _, pos2,
};

/// The factor of one notch of the wheel.
const ZOOM_A_NOTCH: f32 = 1.2;
/// The width of the window of grey values changes by a factor of e over this many points of a right drag.
const WINDOW_POINTS: f32 = 220.0;
/// From this magnification on the probed pixel is framed, in screen pixels.
const FRAMED_FROM: f32 = 6.0;

/// A picture's place and how the image lies in it.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// Where it is, in points, on whole screen pixels.
    pub rect: Rect,
    /// The image in it.
    pub viewport: Viewport,
    pixels_per_point: f32,
}

impl Canvas {
    /// A canvas in `rect` for an image that is laid out as `geometry` says.
    pub fn new(ui: &Ui, rect: Rect, geometry: Geometry, navigation: Navigation) -> Self {
        let pixels_per_point = ui.pixels_per_point();
        let rect = rect.round_to_pixels(pixels_per_point);
        let view = (rect.size() * pixels_per_point).round().max(Vec2::splat(1.0));
        Self { rect, viewport: Viewport { geometry, view, navigation }, pixels_per_point }
    }

    /// Its size in screen pixels, width and height.
    pub fn size(&self) -> [usize; 2] {
        [self.viewport.view.x as usize, self.viewport.view.y as usize]
    }

    fn screen(&self, position: egui::Pos2) -> egui::Pos2 {
        viewport::to_screen_pixels(self.rect, position, self.pixels_per_point)
    }

    /// The place in points of an image coordinate.
    pub fn position(&self, point: egui::Pos2) -> egui::Pos2 {
        viewport::from_screen_pixels(self.rect, self.viewport.screen_from_image(point), self.pixels_per_point)
    }

    /// The image coordinate under a position in points, inside of the image or not.
    pub fn image_point(&self, position: egui::Pos2) -> egui::Pos2 {
        self.viewport.image_from_screen(self.screen(position))
    }

    /// Where the whole image lies, in points.
    pub fn image_rect(&self) -> Rect {
        let corner = |screen| viewport::from_screen_pixels(self.rect, screen, self.pixels_per_point);
        let image = self.viewport.image_rect();
        Rect::from_min_max(corner(image.min), corner(image.max))
    }

    /// The size of an image pixel in points, along columns and rows of the image.
    pub fn points_per_pixel(&self) -> Vec2 {
        self.viewport.scales() / self.pixels_per_point
    }

    /// The same image in another rectangle of the screen.
    pub fn part(&self, rect: Rect) -> Self {
        let rect = rect.round_to_pixels(self.pixels_per_point);
        let view = (rect.size() * self.pixels_per_point).round().max(Vec2::splat(1.0));
        Self { rect, viewport: Viewport { view, ..self.viewport }, ..*self }
    }

    /// The image pixel (column, row) under a position in points.
    pub fn pixel_at(&self, position: egui::Pos2) -> Option<[usize; 2]> {
        self.viewport.pixel_at(self.screen(position))
    }

    /// The rectangle of an image pixel, in points.
    pub fn pixel_rect(&self, [x, y]: [usize; 2]) -> Rect {
        let corner = |x: usize, y: usize| self.position(pos2(x as f32, y as f32));
        Rect::from_two_pos(corner(x, y), corner(x + 1, y + 1))
    }

    /// Handles pointer and wheel: zoom, pan, window and level, probe. `grab_primary` is false where a plain drag
    /// means something else.
    pub fn interact(
        &self,
        ui: &Ui,
        id: Id,
        name: &str,
        state: &State,
        commands: &CommandSender,
        grab_primary: bool,
    ) -> Response {
        let response = ui.interact(self.rect, id, Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, ui.is_enabled(), name));
        self.wheel(ui, &response, commands);
        self.drags(ui, &response, state, commands, grab_primary);
        if response.contains_pointer()
            && let Some(pointer) = ui.input(|i| i.pointer.hover_pos())
        {
            let pixel = self.pixel_at(pointer);
            if pixel != state.probe {
                commands.send(Command::Probe(pixel));
            }
        }
        let cropped = self.viewport.is_cropped();
        let icon = match (response.dragged(), cropped) {
            (true, true) => CursorIcon::Grabbing,
            (false, true) => CursorIcon::Grab,
            _ => CursorIcon::Crosshair,
        };
        if grab_primary { response.on_hover_cursor(icon) } else { response }
    }

    fn wheel(&self, ui: &Ui, response: &Response, commands: &CommandSender) {
        if !response.contains_pointer() {
            return;
        }
        let Some(pointer) = ui.input(|i| i.pointer.hover_pos()) else { return };
        let mut factor = 1.0f32;
        ui.input(|i| {
            for event in &i.events {
                match event {
                    // With Ctrl the wheel changes the slice, wherever the pointer is: that is the window's business.
                    Event::MouseWheel { unit, delta, modifiers, .. } if !modifiers.ctrl && !modifiers.command => {
                        let notches = match unit {
                            MouseWheelUnit::Point => delta.y / 40.0,
                            MouseWheelUnit::Line | MouseWheelUnit::Page => delta.y,
                        };
                        factor *= ZOOM_A_NOTCH.powf(notches);
                    }
                    Event::Zoom(pinch) => factor *= pinch,
                    _ => {}
                }
            }
        });
        if factor != 1.0 {
            commands.send(Command::Navigate(self.viewport.zoomed_about(self.screen(pointer), factor)));
        }
    }

    fn drags(&self, ui: &Ui, response: &Response, state: &State, commands: &CommandSender, grab_primary: bool) {
        let delta = response.drag_delta();
        if delta == Vec2::ZERO {
            return;
        }
        let space = ui.input(|i| i.key_down(Key::Space));
        let primary = response.dragged_by(PointerButton::Primary) && (grab_primary || space);
        if response.dragged_by(PointerButton::Middle) || primary {
            let navigation = self.viewport.panned(delta * self.pixels_per_point);
            if navigation != state.navigation {
                commands.send(Command::Navigate(navigation));
            }
        } else if response.dragged_by(PointerButton::Secondary) {
            let window = windowed(state.view.window, delta);
            commands.send(Command::View(Box::new(View { window, ..state.view.clone() })));
        }
    }

    /// Marks the probed pixel, over the whole image.
    pub fn crosshair(&self, painter: &Painter, pixel: [usize; 2]) {
        let pixel = self.pixel_rect(pixel);
        let centre = pixel.center();
        if !self.rect.contains(centre) {
            return;
        }
        let painter = painter.with_clip_rect(self.image_rect().intersect(self.rect));
        let gap = (pixel.size().max_elem() * 0.5).max(4.0) + 2.0;
        let dark = Stroke::new(3.0, theme::SHADOW.gamma_multiply(0.7));
        let bright = Stroke::new(1.0, theme::MARK.gamma_multiply(0.85));
        for stroke in [dark, bright] {
            painter.hline(self.rect.left()..=centre.x - gap, centre.y, stroke);
            painter.hline(centre.x + gap..=self.rect.right(), centre.y, stroke);
            painter.vline(centre.x, self.rect.top()..=centre.y - gap, stroke);
            painter.vline(centre.x, centre.y + gap..=self.rect.bottom(), stroke);
            if self.viewport.scale() >= FRAMED_FROM {
                painter.rect_stroke(pixel, 0.0, stroke, egui::StrokeKind::Outside);
            }
        }
    }

    /// The line between the two halves of a swiped picture, and its handle.
    pub fn divider(&self, ui: &Ui, x: f32, held: bool) {
        let painter = ui.painter().with_clip_rect(self.rect);
        let accent = theme::of(ui).accent;
        painter.vline(x, self.rect.y_range(), Stroke::new(3.0, theme::SHADOW));
        painter.vline(x, self.rect.y_range(), Stroke::new(if held { 2.0 } else { 1.5 }, accent));
        let grip = Rect::from_center_size(pos2(x, self.rect.center().y), egui::vec2(8.0, 28.0));
        painter.rect(grip, 4.0, accent, Stroke::new(1.0, theme::SHADOW), egui::StrokeKind::Outside);
    }
}

/// The window of grey values after a right drag: sideways changes its width (contrast), downwards its level.
pub fn windowed([lower, upper]: [f32; 2], delta: Vec2) -> [f32; 2] {
    let width = ((upper - lower) * (delta.x / WINDOW_POINTS).exp()).clamp(0.01, 8.0);
    let level = ((lower + upper) * 0.5 + delta.y / WINDOW_POINTS * 0.5 * width.min(1.0)).clamp(-1.0, 2.0);
    [level - width * 0.5, level + width * 0.5]
}

/// Zooms and pans the way that buttons ask for: the whole image, or one screen pixel per image pixel.
pub fn zoom_to(state: &State, commands: &CommandSender, scale: Option<f32>) {
    let center = state.navigation.center;
    commands.send(Command::Navigate(match scale {
        None => Navigation::default(),
        Some(zoom) => Navigation { zoom: Some(zoom), center },
    }));
}

/// Stops the file that is being read.
pub fn cancel_open(commands: &CommandSender) {
    commands.request(Request::CancelOpen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::vec2;

    #[test]
    fn a_right_drag_sideways_widens_and_keeps_the_level() {
        let [lower, upper] = windowed([0.2, 0.6], vec2(50.0, 0.0));
        assert!(upper - lower > 0.4 && ((lower + upper) * 0.5 - 0.4).abs() < 1e-5);
        let [lower, upper] = windowed([0.2, 0.6], vec2(0.0, 30.0));
        assert!((upper - lower - 0.4).abs() < 1e-5 && (lower + upper) * 0.5 > 0.4);
    }

    #[test]
    fn a_window_never_closes() {
        let mut window = [0.0, 1.0];
        for _ in 0..100 {
            window = windowed(window, vec2(-100.0, 0.0));
        }
        assert!(window[1] - window[0] >= 0.0099);
    }
}
