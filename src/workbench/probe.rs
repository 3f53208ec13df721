//! The pixel probe: everything known about the pixel under the pointer, in one line. Values of the image come from the
//! case, those of what was computed from copies on the host.

use super::state::Picture;
use super::{State, theme};
use crate::attack::Reference;
use crate::engine::{CaseInfo, Frame, Plane};
use eframe::egui::{Align2, FontId, Role, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

/// One number of the probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is.
    pub name: String,
    /// Its value with its unit.
    pub value: String,
}

fn reading(name: impl Into<String>, value: impl Into<String>) -> Reading {
    Reading { name: name.into(), value: value.into() }
}

/// The value of a plane; `None` for planes that are on the GPU only and positions outside.
pub fn host_value(plane: &Plane, channel: usize, [x, y]: [usize; 2]) -> Option<f32> {
    let values = plane.values()?;
    if channel >= plane.channels || x >= plane.width || y >= plane.height {
        return None;
    }
    values.get((channel * plane.height + y) * plane.width + x).copied()
}

/// What is known about `pixel` (column, row), in the order in which it is shown. Empty without a case, and outside of it.
pub fn readings(state: &State, pixel: [usize; 2]) -> Vec<Reading> {
    let Some(case) = &state.case else { return Vec::new() };
    let [channels, height, width] = case.shape;
    let [x, y] = pixel;
    if x >= width || y >= height {
        return Vec::new();
    }
    let mut all = vec![reading("x", x.to_string()), reading("y", y.to_string())];
    let stored = values(channels, |c| case.image.pixels.get((c * height + y) * width + x).copied());
    if let Some(stored) = stored {
        all.push(reading("value", number_list(&stored, case, false)));
    }
    // Pictures of another case may still be on screen until those of this one are computed.
    if let Some(frame) = state.frame.as_ref().filter(|f| f.original.height == height && f.original.width == width) {
        frame_readings(&mut all, state, case, frame, pixel);
    }
    all
}

fn frame_readings(all: &mut Vec<Reading>, state: &State, case: &CaseInfo, frame: &Frame, pixel: [usize; 2]) {
    let scale = case.bounds.width();
    let channels = frame.adversarial.channels;
    let difference = |c| Some(host_value(&frame.adversarial, c, pixel)? - host_value(&frame.original, c, pixel)?);
    if let Some(noise) = values(channels, difference) {
        let noise: Vec<f32> = noise.iter().map(|v| v * scale).collect();
        all.push(reading("noise", number_list(&noise, case, true)));
    }
    if let Some(changed) = values(channels, |c| host_value(&frame.adversarial, c, pixel)) {
        let changed: Vec<f32> = changed.iter().map(|v| v * scale + case.bounds.lower).collect();
        let depth = if case.stored.step().is_some() { 1 } else { 3 };
        let text: Vec<String> = changed.iter().map(|v| format!("{v:.depth$}")).collect();
        all.push(reading("adversarial", text.join(" / ")));
    }
    // A decision belongs to no pixel.
    if frame.scores.is_some() {
        return;
    }
    let positive = state.positive_class_name();
    if let Some(p) = host_value(&frame.clean_probability, 0, pixel) {
        all.push(reading(format!("P({positive})"), format!("{p:.3}")));
    }
    if let Some(p) = host_value(&frame.adversarial_probability, 0, pixel) {
        all.push(reading(format!("P({positive}) adversarial"), format!("{p:.3}")));
    }
    if let Some(reference) = host_value(&frame.reference, 0, pixel) {
        let name = match case.reference {
            Reference::Label => "label",
            Reference::CleanPrediction => "reference",
        };
        let class = if reference < 0.0 {
            "ignored".to_owned()
        } else if reference > 0.5 {
            positive
        } else {
            negative_name(state)
        };
        all.push(reading(name, class));
    }
}

/// What a picture holds at `pixel`, in its own unit, short.
pub fn picture_value(picture: Picture, state: &State, frame: &Frame, pixel: [usize; 2]) -> Option<String> {
    let case = state.case.as_deref()?;
    let [channels, height, width] = case.shape;
    let [x, y] = pixel;
    if x >= width || y >= height || [frame.original.height, frame.original.width] != [height, width] {
        return None;
    }
    let scale = case.bounds.width();
    let unit = match case.about.unit.symbol() {
        "" => String::new(),
        symbol => format!(" {symbol}"),
    };
    let adversarial = |c| host_value(&frame.adversarial, c, pixel);
    let seen = |probability: &Plane, classes: Option<&Plane>| match classes {
        Some(classes) => Some(class_text(state, host_value(classes, 0, pixel)?)),
        None => Some(format!("P {:.3}", host_value(probability, 0, pixel)?)),
    };
    let [clean_classes, adversarial_classes] = match &frame.classes {
        Some([clean, adversarial]) => [Some(clean), Some(adversarial)],
        None => [None, None],
    };
    Some(match picture {
        Picture::Original => {
            let stored = values(channels, |c| case.image.pixels.get((c * height + y) * width + x).copied())?;
            number_list(&stored, case, false) + &unit
        }
        Picture::Noise => {
            let difference = |c| Some((adversarial(c)? - host_value(&frame.original, c, pixel)?) * scale);
            number_list(&values(frame.adversarial.channels, difference)?, case, true) + &unit
        }
        Picture::Adversarial => {
            let changed = values(frame.adversarial.channels, |c| Some(adversarial(c)? * scale + case.bounds.lower))?;
            let depth = if case.stored.step().is_some() { 1 } else { 3 };
            changed.iter().map(|v| format!("{v:.depth$}")).collect::<Vec<_>>().join(" / ") + &unit
        }
        Picture::CleanSegmentation => seen(&frame.clean_probability, clean_classes)?,
        Picture::AdversarialSegmentation => seen(&frame.adversarial_probability, adversarial_classes)?,
        Picture::Difference => {
            let clean = seen(&frame.clean_probability, clean_classes)?;
            format!("{clean} → {}", seen(&frame.adversarial_probability, adversarial_classes)?.trim_start_matches("P "))
        }
    })
}

/// The name of a class in a plane of classes.
fn class_text(state: &State, class: f32) -> String {
    if class < -0.5 { "ignored".to_owned() } else { state.class_name(class.round() as u8) }
}

/// The name of what is not the positive class.
pub fn negative_name(state: &State) -> String {
    match &state.model {
        Some(card) if card.classes.len() == 2 => state.class_name(1 - card.positive_class.min(1)),
        _ => format!("not {}", state.positive_class_name()),
    }
}

fn values(channels: usize, value: impl Fn(usize) -> Option<f32>) -> Option<Vec<f32>> {
    (0..channels).map(value).collect()
}

/// Values in pixel units: whole for integer images where they are, signed for differences.
fn number_list(values: &[f32], case: &CaseInfo, signed: bool) -> String {
    let text = |v: &f32| match (case.stored.step(), signed) {
        (Some(_), false) => format!("{v:.0}"),
        (Some(_), true) => format!("{v:+.2}"),
        (None, false) => format!("{v:.4}"),
        (None, true) => format!("{v:+.4}"),
    };
    values.iter().map(text).collect::<Vec<_>>().join(" / ")
}

/// The height of the probe's line, in points.
pub fn line_height(ui: &Ui) -> f32 {
    TextStyle::Small.resolve(ui.style()).size + 8.0
}

/// Draws the line over the whole width: as many numbers as have room, always at the same places.
pub fn probe_ui(ui: &mut Ui, state: &State) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), line_height(ui)), Sense::hover());
    let readings = state.probe.map_or_else(Vec::new, |pixel| readings(state, pixel));
    let whole = readings.iter().map(|r| format!("{} {}", r.name, r.value)).collect::<Vec<_>>().join(", ");
    // Whoever misses it misreads all pictures, so that it stands below them whatever panel is open.
    let doubt = state.doubt().filter(|_| readings.is_empty());
    let name = doubt.as_ref().map_or_else(|| format!("Pixel probe {whole}"), |doubt| format!("{doubt}."));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let palette = theme::of(ui);
    let painter = ui.painter().with_clip_rect(rect);
    if let Some(doubt) = doubt {
        let galley = painter.layout_no_wrap(format!("{doubt}."), font, palette.warning);
        let y = rect.center().y - galley.size().y * 0.5;
        painter.galley(pos2(rect.left(), y), galley, palette.warning);
        response.on_hover_text(format!("{doubt}. What it finds in other images means little."));
        return;
    }
    if readings.is_empty() {
        let hint =
            "Point at a picture: its values appear here. Wheel zooms, drag pans, right drag is window and level.";
        painter.text(rect.left_center(), Align2::LEFT_CENTER, hint, font, palette.weak);
        return;
    }
    let mut x = rect.left();
    for reading in &readings {
        let name = painter.layout_no_wrap(reading.name.clone(), font.clone(), palette.weak);
        let value = painter.layout_no_wrap(reading.value.clone(), font.clone(), palette.text);
        let reserved = value.size().x.max(reserve(&reading.name, font.size));
        let end = x + name.size().x + 5.0 + reserved;
        if end > rect.right() {
            break;
        }
        let y = rect.center().y - name.size().y * 0.5;
        painter.galley(pos2(x, y), name.clone(), palette.weak);
        painter.galley(pos2(x + name.size().x + 5.0, y), value, palette.text);
        x = end + 14.0;
    }
}

/// Room that is kept for a value, so that the line does not dance.
fn reserve(name: &str, size: f32) -> f32 {
    let digits = match name {
        "x" | "y" => 4.0,
        "value" => 5.0,
        "noise" => 6.0,
        "label" | "reference" => 9.0,
        _ => 5.5,
    };
    digits * size * 0.56
}
