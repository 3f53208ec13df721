//! Small pictures beside one another: sample predictions, and the crops of a preview.

use crate::engine::Plane;
use crate::gpu::Planes;
use crate::view::{Content, MaskKind};
use crate::view::{Orientation, palette};
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::paint;
use crate::workbench::compare::picture::{Look, Shot};
use crate::workbench::compare::viewport::Geometry;
use crate::workbench::state::Navigation;
use crate::workbench::{PaneContext, State, theme};
use eframe::egui::{Id, Label, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

/// A picture with its caption.
pub struct Tile<'a> {
    /// Under it.
    pub caption: String,
    /// What it is, for whoever cannot see it.
    pub name: String,
    /// While the pointer is over it.
    pub tip: String,
    /// What it shows.
    pub shown: Shown<'a>,
}

/// What a picture shows.
pub enum Shown<'a> {
    /// An image.
    Image(&'a Plane),
    /// A label alone: 1 where positive, −1 where it does not count.
    Label(&'a Plane),
    /// Over an image, where a prediction and the label differ.
    Difference {
        /// The image.
        image: &'a Plane,
        /// What is predicted, as a label.
        predicted: &'a Plane,
        /// The label.
        label: &'a Plane,
    },
}

/// Room between pictures that stand for themselves, and between those of a group.
pub const GAP: f32 = 8.0;
const WITHIN: f32 = 2.0;

/// Draws pictures of `side` points, as many in a row as there is room for.
pub fn tiles_ui(ui: &mut Ui, id: &str, side: f32, tiles: &[Tile<'_>], state: &State, context: &mut PaneContext<'_>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(GAP, GAP);
        for (place, tile) in tiles.iter().enumerate() {
            tile_ui(ui, Id::unique(id).with(place), side, tile, state, context);
        }
    });
}

/// The same of groups whose pictures stay beside one another.
pub fn groups_ui(
    ui: &mut Ui,
    id: &str,
    side: f32,
    groups: &[Vec<Tile<'_>>],
    state: &State,
    context: &mut PaneContext<'_>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(2.0 * GAP, GAP);
        for (place, tiles) in groups.iter().enumerate() {
            let width = side * tiles.len() as f32 + WITHIN * tiles.len().saturating_sub(1) as f32;
            ui.allocate_ui(vec2(width, side + CAPTION), |ui| {
                ui.horizontal_top(|ui| {
                    ui.spacing_mut().item_spacing.x = WITHIN;
                    for (column, tile) in tiles.iter().enumerate() {
                        tile_ui(ui, Id::unique(id).with((place, column)), side, tile, state, context);
                    }
                });
            });
        }
    });
}

/// The height of a caption, in points.
const CAPTION: f32 = 20.0;

fn tile_ui(ui: &mut Ui, id: Id, side: f32, tile: &Tile<'_>, state: &State, context: &mut PaneContext<'_>) {
    let classes = palette::class_colours(|_| None, 1);
    let look = Look::new(&state.view, state.look.theme, classes);
    let window = crate::view::Window::FULL;
    let reference = |plane: &Plane| Some((plane.clone(), MaskKind::Reference));
    let (plane, content, planes) = match tile.shown {
        Shown::Image(image) => {
            (image, Content::Image { window }, Planes { image: Some(image.clone()), mask: None, second: None })
        }
        Shown::Label(label) => (label, Content::Mask, Planes { image: None, mask: reference(label), second: None }),
        Shown::Difference { image, predicted, label } => {
            let planes = Planes { image: Some(image.clone()), mask: reference(predicted), second: reference(label) };
            (image, Content::Difference { window }, planes)
        }
    };
    ui.allocate_ui(vec2(side, side + CAPTION), |ui| {
        ui.vertical(|ui| {
            ui.set_width(side);
            ui.spacing_mut().item_spacing.y = 2.0;
            let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
            let name = tile.name.clone();
            response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
            let size = vec2(plane.width as f32, plane.height as f32);
            let geometry = Geometry::new(size, None, Orientation::default());
            let canvas = Canvas::new(ui, rect, geometry, Navigation::default());
            let spec = look.spec(content, canvas.viewport.transform());
            paint(ui, context, id, &Shot { spec, planes }, &canvas, rect);
            response.on_hover_text(&tile.tip);
            ui.add(Label::new(theme::weak(ui, &tile.caption).small()).truncate());
        });
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
