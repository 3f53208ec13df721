//! Small pictures beside one another: sample predictions, and the crops of a preview.

use crate::engine::Plane;
use crate::gpu::Planes;
use crate::view::{Content, MaskKind, Transform};
use crate::view::{Orientation, palette};
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::paint;
use crate::workbench::compare::picture::{Look, Shot};
use crate::workbench::compare::viewport::Geometry;
use crate::workbench::state::Navigation;
use crate::workbench::{PaneContext, State, theme};
use eframe::egui::{Id, Label, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

/// A picture with a mask over it.
pub struct Tile<'a> {
    /// Under it.
    pub caption: String,
    /// What it is, for whoever cannot see it.
    pub name: String,
    /// While the pointer is over it.
    pub tip: String,
    /// The image.
    pub image: &'a Plane,
    /// What lies over it: 1 where positive, −1 where it does not count.
    pub mask: &'a Plane,
    /// What it is compared with: then only where they differ is in colour.
    pub second: Option<&'a Plane>,
}

/// How far a mask covers what is under it.
const FILL: f32 = 0.35;

/// Draws pictures of `side` points, as many in a row as there is room for.
pub fn tiles_ui(ui: &mut Ui, id: &str, side: f32, tiles: &[Tile<'_>], state: &State, context: &mut PaneContext<'_>) {
    let classes = palette::class_colours(|_| None, 1);
    let look = Look::new(&state.view, state.look.theme, classes);
    let window = crate::view::Window::FULL;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
        for (place, tile) in tiles.iter().enumerate() {
            ui.allocate_ui(vec2(side, side + 20.0), |ui| {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    ui.spacing_mut().item_spacing.y = 2.0;
                    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
                    let name = tile.name.clone();
                    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
                    let size = vec2(tile.image.width as f32, tile.image.height as f32);
                    let canvas =
                        Canvas::new(ui, rect, Geometry::new(size, None, Orientation::default()), Navigation::default());
                    let transform: Transform = canvas.viewport.transform();
                    let planes = Planes {
                        image: Some(tile.image.clone()),
                        mask: Some((tile.mask.clone(), MaskKind::Reference)),
                        second: tile.second.map(|plane| (plane.clone(), MaskKind::Reference)),
                    };
                    let contour = transform.zoom() >= 1.5;
                    let content = match tile.second {
                        Some(_) => Content::Difference { window },
                        None => Content::Overlay { window, fill: FILL, contour },
                    };
                    let spec = look.spec(content, transform);
                    paint(ui, context, Id::unique(id).with(place), &Shot { spec, planes }, &canvas, rect);
                    response.on_hover_text(&tile.tip);
                    ui.add(Label::new(theme::weak(ui, &tile.caption).small()).truncate());
                });
            });
        }
    });
}

/// A part of the panel that scrolls.
pub fn scrolled(ui: &mut Ui, id: &str, add: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical().id_salt(id).auto_shrink(false).show(ui, |ui| {
        // The scroll bar floats over what is under it.
        ui.set_max_width(ui.available_width() - 12.0);
        add(ui);
    });
}
