//! What is drawn in a trial: the images beside each other, the mask, the mark to look at.

use super::Phase;
use super::images::Lie;
use crate::engine::{Plane, SessionView};
use crate::gpu;
use crate::observer::{Side, Task, Trial};
use crate::view::{Content, Sampling, Transform, Window};
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::paint;
use crate::workbench::compare::picture::{Look, Shot};
use crate::workbench::compare::viewport::Geometry;
use crate::workbench::state::Navigation;
use crate::workbench::{PaneContext, State, theme};
use eframe::egui::{self, Id, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2};

/// Between the two images, in points.
const GAP: f32 = 40.0;

/// Where the images are.
pub(super) struct Stage {
    canvases: Vec<Canvas>,
    look: Look,
    window: Window,
    centre: egui::Pos2,
}

impl Stage {
    /// For the images of `condition`; says so if the window is too small for the part of them that the session shows.
    pub(super) fn new(
        ui: &Ui,
        area: Rect,
        state: &State,
        session: &SessionView,
        condition: usize,
        lie: Lie,
    ) -> Result<Self, String> {
        let (display, task) = (&session.header.display, session.header.plan.task);
        let shape = session.header.stimuli.as_ref().map_or([1; 3], |stimuli| stimuli.image(condition).1);
        let size = vec2(shape[2] as f32, shape[1] as f32);
        let geometry = Geometry::new(size, lie.spacing, lie.orientation);
        let area = Rect::from_min_max(area.min, pos2(area.right(), area.bottom() - 44.0));
        let count = if task == Task::TwoAlternative { 2 } else { 1 };
        let part = display.part.map_or(Vec2::INFINITY, |[width, height]| vec2(width as f32, height as f32));
        let wished = geometry.shown().min(part) * display.zoom as f32 / ui.pixels_per_point();
        let room = vec2((area.width() - GAP * (count as f32 - 1.0)) / count as f32, area.height());
        if display.part.is_some() && (wished - room).max_elem() > 0.5 {
            let [width, height] = [wished.x * count as f32 + GAP, wished.y].map(|points| points.ceil());
            return Err(format!(
                "This window is too small for the session, which shows its images at {}:1. Make it larger: {width:.0} × {height:.0} points \
                 are needed here.",
                display.zoom
            ));
        }
        let size = wished.min(room);
        let all = size.x * count as f32 + GAP * (count as f32 - 1.0);
        let left = area.center().x - all / 2.0;
        let navigation = Navigation { zoom: Some(display.zoom as f32), center: [0.5; 2] };
        let canvases = (0..count)
            .map(|i| {
                let corner = pos2(left + i as f32 * (size.x + GAP), area.center().y - size.y / 2.0);
                Canvas::new(ui, Rect::from_min_size(corner, size), geometry, navigation)
            })
            .collect();
        // The zoom is recorded, so that it must not depend on how the workbench shows its pictures.
        let look = Look {
            grid: false,
            sampling: display.sampling.unwrap_or(Sampling::Nearest),
            ..Look::new(&state.view, state.look.theme, state.class_colours())
        };
        Ok(Self { canvases, look, window: display.presentation.window, centre: area.center() })
    }

    fn shot(&self, plane: &Plane, window: Window, transform: Transform) -> Shot {
        Shot::of_image(Content::Image { window }, plane, transform, &self.look)
    }

    #[expect(clippy::too_many_arguments, reason = "what every panel gets, and the images")]
    pub(super) fn draw(
        &self,
        ui: &Ui,
        context: &mut PaneContext<'_>,
        phase: Phase,
        trial: &Trial,
        original: Option<&Plane>,
        altered: Option<&Plane>,
        noise: Option<&Plane>,
    ) {
        for (i, canvas) in self.canvases.iter().enumerate() {
            let is_altered = trial.side.is_none_or(|side| (side == Side::Left) == (i == 0));
            let plane = if is_altered { altered } else { original };
            let id = Id::unique("stimulus").with(i);
            let transform = canvas.viewport.transform();
            match phase {
                // Drawn ahead, and not shown: the first frame with the images costs no more than the others.
                Phase::Fixation => {
                    if let (Some(plane), Some(display)) = (plane, context.display.as_deref_mut()) {
                        let shot = self.shot(plane, self.window, transform);
                        let _ = display.show(gpu::Slot(id.value()), &shot.spec, &shot.planes, canvas.size());
                    }
                    if let (Some(noise), Some(display)) = (noise, context.display.as_deref_mut()) {
                        let shot = self.shot(noise, Window::FULL, transform);
                        let _ =
                            display.show(gpu::Slot(id.with("mask").value()), &shot.spec, &shot.planes, canvas.size());
                    }
                }
                Phase::Shown => {
                    if let Some(plane) = plane {
                        let shot = self.shot(plane, self.window, transform);
                        paint(ui, context, id, &shot, canvas, canvas.rect);
                        let name =
                            if self.canvases.len() == 1 { "Image" } else { ["Left image", "Right image"][i.min(1)] };
                        let response = ui.interact(canvas.rect, id, Sense::hover());
                        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
                    }
                }
                Phase::Mask => {
                    if let Some(noise) = noise {
                        let shot = self.shot(noise, Window::FULL, transform);
                        paint(ui, context, id.with("mask"), &shot, canvas, canvas.rect);
                    }
                }
                _ => {}
            }
        }
        if matches!(phase, Phase::Fixation | Phase::Waiting | Phase::Saving) {
            let stroke = Stroke::new(2.0, theme::ON_SURROUND);
            let painter = ui.painter();
            painter.hline(self.centre.x - 10.0..=self.centre.x + 10.0, self.centre.y, stroke);
            painter.vline(self.centre.x, self.centre.y - 10.0..=self.centre.y + 10.0, stroke);
        }
    }
}
