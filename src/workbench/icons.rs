//! The window's icons, drawn as strokes, and the button that bears one. Drawn, so that no icon font is needed and
//! they are sharp at every scale.

use super::theme;
use eframe::egui::{self, Color32, Pos2, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

/// A drawing on a square of 16 by 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// An arrow that bends back.
    Undo,
    /// An arrow that bends forth.
    Redo,
    /// A triangle.
    Play,
    /// Two bars.
    Pause,
    /// A cross.
    Close,
    /// A chevron to the left.
    Previous,
    /// A chevron to the right.
    Next,
    /// A folder.
    Open,
    /// An arrow out of a tray.
    Export,
    /// A sheet with a corner.
    File,
    /// A triangle with a mark.
    Warning,
    /// Four corners.
    Fit,
    /// A clockwise circle.
    Reset,
    /// A cross of arrows.
    Hand,
    /// A bar with marks.
    Ruler,
    /// A dashed rectangle.
    Rectangle,
    /// A dashed ellipse.
    Ellipse,
    /// A brush.
    Brush,
    /// An eraser.
    Eraser,
}

impl Icon {
    /// Draws it into `rect`.
    pub fn paint(self, painter: &egui::Painter, rect: Rect, color: Color32) {
        let side = rect.width().min(rect.height());
        let origin = rect.center() - vec2(side, side) * 0.5;
        let at = |x: f32, y: f32| origin + vec2(x, y) * (side / 16.0);
        let stroke = Stroke::new((side / 16.0 * 1.5).max(1.0), color);
        let line = |points: &[(f32, f32)]| {
            painter.add(Shape::line(points.iter().map(|&(x, y)| at(x, y)).collect(), stroke));
        };
        let solid = |points: &[(f32, f32)]| {
            let points = points.iter().map(|&(x, y)| at(x, y)).collect();
            painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
        };
        match self {
            Self::Undo => {
                line(&[(5.5, 3.0), (2.5, 6.0), (5.5, 9.0)]);
                painter.add(Shape::line(arc(at(9.5, 9.5), 3.5 * side / 16.0, -90.0, 90.0), stroke));
                line(&[(2.5, 6.0), (9.5, 6.0)]);
                line(&[(9.5, 13.0), (6.0, 13.0)]);
            }
            Self::Redo => {
                line(&[(10.5, 3.0), (13.5, 6.0), (10.5, 9.0)]);
                painter.add(Shape::line(arc(at(6.5, 9.5), 3.5 * side / 16.0, 90.0, 270.0), stroke));
                line(&[(13.5, 6.0), (6.5, 6.0)]);
                line(&[(6.5, 13.0), (10.0, 13.0)]);
            }
            Self::Play => solid(&[(5.0, 3.0), (13.0, 8.0), (5.0, 13.0)]),
            Self::Pause => {
                solid(&[(4.0, 3.0), (7.0, 3.0), (7.0, 13.0), (4.0, 13.0)]);
                solid(&[(9.0, 3.0), (12.0, 3.0), (12.0, 13.0), (9.0, 13.0)]);
            }
            Self::Close => {
                line(&[(4.0, 4.0), (12.0, 12.0)]);
                line(&[(12.0, 4.0), (4.0, 12.0)]);
            }
            Self::Previous => line(&[(10.0, 3.5), (5.5, 8.0), (10.0, 12.5)]),
            Self::Next => line(&[(6.0, 3.5), (10.5, 8.0), (6.0, 12.5)]),
            Self::Open => {
                line(&[(2.0, 12.5), (2.0, 3.5), (6.0, 3.5), (7.5, 5.5), (14.0, 5.5), (14.0, 12.5), (2.0, 12.5)])
            }
            Self::Export => {
                line(&[(8.0, 10.0), (8.0, 2.5)]);
                line(&[(5.0, 5.5), (8.0, 2.5), (11.0, 5.5)]);
                line(&[(2.5, 9.5), (2.5, 13.5), (13.5, 13.5), (13.5, 9.5)]);
            }
            Self::File => {
                line(&[(9.0, 2.0), (3.5, 2.0), (3.5, 14.0), (12.5, 14.0), (12.5, 5.5), (9.0, 2.0)]);
                line(&[(9.0, 2.0), (9.0, 5.5), (12.5, 5.5)]);
            }
            Self::Warning => {
                line(&[(8.0, 2.5), (14.5, 13.5), (1.5, 13.5), (8.0, 2.5), (14.5, 13.5)]);
                line(&[(8.0, 6.5), (8.0, 9.8)]);
                painter.circle_filled(at(8.0, 11.6), side / 16.0, color);
            }
            Self::Fit => {
                line(&[(2.5, 6.0), (2.5, 2.5), (6.0, 2.5)]);
                line(&[(10.0, 2.5), (13.5, 2.5), (13.5, 6.0)]);
                line(&[(13.5, 10.0), (13.5, 13.5), (10.0, 13.5)]);
                line(&[(6.0, 13.5), (2.5, 13.5), (2.5, 10.0)]);
            }
            Self::Hand => {
                line(&[(8.0, 1.8), (8.0, 14.2)]);
                line(&[(1.8, 8.0), (14.2, 8.0)]);
                line(&[(6.2, 3.6), (8.0, 1.8), (9.8, 3.6)]);
                line(&[(6.2, 12.4), (8.0, 14.2), (9.8, 12.4)]);
                line(&[(3.6, 6.2), (1.8, 8.0), (3.6, 9.8)]);
                line(&[(12.4, 6.2), (14.2, 8.0), (12.4, 9.8)]);
            }
            Self::Ruler => {
                line(&[(1.5, 11.5), (11.5, 1.5), (14.5, 4.5), (4.5, 14.5), (1.5, 11.5)]);
                for i in 1..4 {
                    let at = 2.5 * i as f32;
                    line(&[(1.5 + at, 11.5 - at), (3.0 + at, 13.0 - at)]);
                }
            }
            Self::Rectangle => {
                let corners = [at(2.0, 3.5), at(14.0, 3.5), at(14.0, 12.5), at(2.0, 12.5), at(2.0, 3.5)];
                painter.extend(Shape::dashed_line(&corners, stroke, side * 0.2, side * 0.13));
            }
            Self::Ellipse => {
                let round: Vec<Pos2> = (0..=40)
                    .map(|i| (i as f32 / 40.0 * std::f32::consts::TAU).sin_cos())
                    .map(|(sin, cos)| at(8.0 + 6.2 * cos, 8.0 + 4.8 * sin))
                    .collect();
                painter.extend(Shape::dashed_line(&round, stroke, side * 0.2, side * 0.13));
            }
            Self::Brush => {
                line(&[(14.0, 2.0), (7.5, 8.5)]);
                solid(&[(6.3, 8.0), (8.2, 9.9), (6.8, 12.6), (4.4, 13.4), (2.2, 13.6), (3.0, 11.4), (4.0, 9.2)]);
            }
            Self::Eraser => {
                line(&[(5.0, 13.5), (1.8, 10.3), (9.5, 2.6), (14.2, 7.3), (8.0, 13.5), (5.0, 13.5)]);
                line(&[(5.6, 6.5), (10.3, 11.2)]);
                line(&[(8.0, 13.5), (14.2, 13.5)]);
            }
            Self::Reset => {
                painter.add(Shape::line(arc(at(8.0, 8.5), 5.0 * side / 16.0, -60.0, 240.0), stroke));
                line(&[(10.5, 1.5), (10.5, 4.5), (13.5, 4.5)]);
            }
        }
    }
}

/// Points of an arc around `center`, from one angle to another in degrees, 0 to the right, clockwise on the screen.
fn arc(center: Pos2, radius: f32, from: f32, to: f32) -> Vec<Pos2> {
    (0..=16)
        .map(|i| {
            let angle = (from + (to - from) * i as f32 / 16.0).to_radians();
            pos2(center.x + radius * angle.cos(), center.y + radius * angle.sin())
        })
        .collect()
}

/// A square button that bears an icon and is on or off.
pub fn icon_toggle(ui: &mut Ui, icon: Icon, name: &str, tip: &str, on: bool) -> Response {
    let side = ui.spacing().interact_size.y;
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
    if ui.is_rect_visible(rect) {
        let visuals = ui.style().interact_selectable(&response, on);
        if on || response.hovered() || response.has_focus() || response.is_pointer_button_down_on() {
            let radius = visuals.corner_radius;
            ui.painter().rect(rect, radius, visuals.weak_bg_fill, visuals.bg_stroke, StrokeKind::Inside);
        }
        let color = if on { visuals.fg_stroke.color } else { theme::of(ui).text };
        icon.paint(ui.painter(), Rect::from_center_size(rect.center(), vec2(side, side) * 0.66), color);
    }
    response.widget_info(|| WidgetInfo::selected(egui::Role::Button, true, on, name));
    response.on_hover_text(format!("{name}\n{tip}"))
}

/// A square button that bears an icon. `name` is its accessible name, and its tooltip together with `tip`.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str, tip: &str, enabled: bool) -> Response {
    let side = ui.spacing().interact_size.y;
    let response = ui
        .add_enabled_ui(enabled, |ui| {
            let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::click());
            if ui.is_rect_visible(rect) {
                let visuals = *ui.style().interact(&response);
                let touched = response.hovered() || response.has_focus() || response.is_pointer_button_down_on();
                if touched {
                    let radius = visuals.corner_radius;
                    ui.painter().rect(rect, radius, visuals.weak_bg_fill, visuals.bg_stroke, StrokeKind::Inside);
                }
                let color = if touched { visuals.fg_stroke.color } else { theme::of(ui).text };
                let color = if enabled { color } else { ui.visuals().disable(color) };
                icon.paint(ui.painter(), Rect::from_center_size(rect.center(), vec2(side, side) * 0.66), color);
            }
            response
        })
        .inner;
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, enabled, name));
    let text = if tip.is_empty() { name.to_owned() } else { format!("{name}\n{tip}") };
    response.on_hover_text(text.clone()).on_disabled_hover_text(text)
}

/// The window's own icon, for the task bar.
pub fn window_icon() -> egui::IconData {
    const SIZE: usize = 64;
    let mut rgba = vec![0u8; SIZE * SIZE * 4];
    for (i, pixel) in rgba.chunks_exact_mut(4).enumerate() {
        let (x, y) = ((i % SIZE) as f32 + 0.5, (i / SIZE) as f32 + 0.5);
        let (u, v) = (x / SIZE as f32 * 2.0 - 1.0, y / SIZE as f32 * 2.0 - 1.0);
        // A rounded square; in it two bowls, one above the other, that open to the right: an ε.
        let inside = u.abs().max(v.abs()) < 0.98 && (u.abs() - 0.78).max(0.0).hypot((v.abs() - 0.78).max(0.0)) < 0.2;
        let bowl = |center: f32| {
            let (a, b) = ((u - 0.08) / 0.52, (v - center) / 0.31);
            let radius = a.hypot(b);
            (0.62..1.0).contains(&radius) && (a < 0.35 || b.abs() > 0.75)
        };
        let letter = bowl(-0.27) || bowl(0.27);
        let color = if letter { theme::palette(super::state::Theme::Dark).accent } else { Color32::from_gray(26) };
        if inside {
            pixel.copy_from_slice(&color.to_array());
        }
    }
    egui::IconData { rgba, width: SIZE as u32, height: SIZE as u32 }
}
