//! Where the perturbation is seen: a metric's map in place of the picture of the noise, with its colour bar.

use super::{SeenCommand, SeenSettings};
use crate::engine::{Frame, SeenMap};
use crate::view::{Content, Theme, Transform, palette};
use crate::workbench::compare::canvas::Canvas;
use crate::workbench::compare::picture::{Look, Shot};
use crate::workbench::state::Picture;
use crate::workbench::{Command, CommandSender, State, theme};
use eframe::egui::{Align2, Color32, FontId, Rect, RichText, Stroke, StrokeKind, TextStyle, Ui, pos2, vec2};

/// The map that stands in place of `picture`, if one was chosen.
pub fn chosen(picture: Picture, state: &State) -> Option<SeenMap> {
    state.seen.settings.map.filter(|_| picture == Picture::Noise)
}

/// The title of the map in place of `picture`.
pub fn title(picture: Picture, state: &State) -> Option<String> {
    chosen(picture, state).map(|map| format!("Seen: {}", map.title()))
}

/// The line under the map.
pub fn numbers(picture: Picture, state: &State, frame: &Frame) -> Option<Vec<String>> {
    let map = chosen(picture, state)?;
    let found = state.seen.of(frame).filter(|f| f.wish.map == Some(map));
    Some(match found {
        None => vec!["measuring…".to_owned()],
        Some(found) => match (&found.map, &found.no_map) {
            (Some((plane, _)), _) => {
                let values = plane.values().unwrap_or_default();
                let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64;
                vec![format!("mean {mean:.4}"), "as shown".to_owned()]
            }
            (None, why) => vec![why.clone().unwrap_or_else(|| "no map".to_owned())],
        },
    })
}

/// The map as a picture; nothing where there is none yet.
pub fn shot(picture: Picture, state: &State, frame: &Frame, transform: Transform, look: &Look) -> Option<Shot> {
    let map = chosen(picture, state)?;
    let found = state.seen.of(frame).filter(|f| f.wish.map == Some(map))?;
    let (plane, top) = found.map.as_ref().filter(|(p, _)| [p.height, p.width] == size(frame))?;
    Some(Shot::of_image(Content::Noise { gain: 1.0 / top }, plane, transform, look))
}

fn size(frame: &Frame) -> [usize; 2] {
    [frame.original.height, frame.original.width]
}

/// The colour bar, at the right edge of the map.
pub fn bar(ui: &Ui, picture: Picture, state: &State, frame: &Frame, canvas: &Canvas) {
    let Some(map) = chosen(picture, state) else { return };
    let Some((_, top)) = state.seen.of(frame).filter(|f| f.wish.map == Some(map)).and_then(|f| f.map.as_ref()) else {
        return;
    };
    let scheme = if ui.visuals().dark_mode { Theme::Dark } else { Theme::Light };
    let place = canvas.image_rect().intersect(canvas.rect);
    let height = (place.height() - 24.0).min(140.0);
    if height < 40.0 {
        return;
    }
    let right = place.right() - 8.0;
    let bar =
        Rect::from_min_max(pos2(right - 10.0, place.bottom() - 12.0 - height), pos2(right, place.bottom() - 12.0));
    let painter = ui.painter().with_clip_rect(canvas.rect);
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    painter.rect_filled(bar.expand2(vec2(4.0, 8.0)).with_min_x(bar.left() - 40.0), 3.0, theme::SHADOW);
    let steps = 32;
    for i in 0..steps {
        let share = (i as f32 + 0.5) / steps as f32;
        let [r, g, b] = palette::diverging(scheme, share);
        let y = |at: usize| bar.bottom() - bar.height() * at as f32 / steps as f32;
        let part = Rect::from_min_max(pos2(bar.left(), y(i + 1)), pos2(bar.right(), y(i)));
        painter.rect_filled(part, 0.0, Color32::from_rgb(r, g, b));
    }
    painter.rect_stroke(bar, 0.0, Stroke::new(1.0, theme::MARK), StrokeKind::Outside);
    for (share, value) in [(0.0, 0.0), (0.5, top / 2.0), (1.0, *top)] {
        let at = pos2(bar.left() - 4.0, bar.bottom() - bar.height() * share);
        painter.text(at, Align2::RIGHT_CENTER, number(value), font.clone(), theme::MARK);
    }
}

/// At most three digits after the point, and no zeros at the end.
fn number(value: f32) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The menu in the title of the noise: noise, or a map.
pub fn menu_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let now = state.seen.settings.map;
    let response = ui.menu_button(RichText::new("Map").small(), |ui| {
        let choices = [None].into_iter().chain(SeenMap::ALL.map(Some));
        let colour = state.case.as_ref().is_some_and(|c| c.shape[0] == 3);
        for map in choices.filter(|m| colour || *m != Some(SeenMap::DeltaE)) {
            let name = map.map_or("Noise", SeenMap::title);
            if ui.selectable_label(now == map, name).clicked() {
                let settings = SeenSettings { map, ..state.seen.settings.clone() };
                commands.send(Command::Seen(SeenCommand::Set(Box::new(settings))));
                ui.close();
            }
        }
        for (name, why) in [
            ("PSNR", "PSNR is a mean of squares: where it comes from is the noise itself."),
            ("MS-SSIM", "MS-SSIM multiplies the means of five scales: it has no value at a pixel. Choose 1 − SSIM, its finest scale."),
        ] {
            ui.add_enabled_ui(false, |ui| ui.selectable_label(false, format!("{name}: no map")))
                .inner
                .on_disabled_hover_text(why);
        }
    });
    response
        .response
        .on_hover_text("The noise itself, or where a metric says that it is seen under the present window.");
}
