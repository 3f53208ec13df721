//! The words around a picture: its title, its key numbers, and what its colours mean.

use super::bars;
use crate::attack::{EpsilonMeaning, Reference};
use crate::engine::{CaseInfo, Frame, Unfinished};
use crate::study::Measure;
use crate::view::{Rgb, palette};
use crate::workbench::decision::percent;
use crate::workbench::state::{DifferenceFrom, MaskStyle, Picture};
use crate::workbench::{State, probe, seen, theme, tuning};
use eframe::egui::{Color32, FontId, Painter, Rect, Response, Sense, StrokeKind, TextStyle, Ui, pos2, vec2};

/// The title of a picture, with what belongs to it: the gain of the noise, what the difference is taken from.
pub fn title(picture: Picture, state: &State, frame: &Frame) -> String {
    if let Some(title) = seen::map::title(picture, state) {
        return title;
    }
    match picture {
        Picture::Noise => format!("Noise ×{}", gain_text(state.view.gain_at(tuning::reach(frame)))),
        Picture::Difference => match state.view.difference_from {
            DifferenceFrom::CleanPrediction => "What changed, against the clean prediction".to_owned(),
            DifferenceFrom::Reference => "What is wrong, against the label".to_owned(),
        },
        _ => picture.title().to_owned(),
    }
}

/// `title` of a picture, or a shorter one where it is wider than `room`, in points.
pub fn fitting_title<'a>(ui: &Ui, picture: Picture, title: &'a str, state: &State, room: f32) -> &'a str {
    let font = FontId::new(TextStyle::Body.resolve(ui.style()).size, theme::semibold_family());
    let width = ui.painter().layout_no_wrap(title.to_owned(), font, Color32::WHITE).size().x;
    if width <= room { title } else { short_title(picture, state).unwrap_or(title) }
}

/// What stands in place of a title that has no room.
fn short_title(picture: Picture, state: &State) -> Option<&'static str> {
    match (picture, state.view.difference_from) {
        (Picture::CleanSegmentation, _) => Some("Original, segmented"),
        (Picture::AdversarialSegmentation, _) => Some("Adversarial, segmented"),
        (Picture::Difference, DifferenceFrom::CleanPrediction) => Some("What changed"),
        (Picture::Difference, DifferenceFrom::Reference) => Some("What is wrong"),
        _ => None,
    }
}

/// A gain for people, to the four digits that it has.
pub fn gain_text(gain: f32) -> String {
    let decimals = (3.0 - gain.max(1.0).log10().floor()).max(0.0) as usize;
    let text = format!("{gain:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// How many of the first [`numbers`] are still of the ε before: a picture may be there ahead of what is measured of it.
pub fn outdated(picture: Picture, state: &State, frame: &Frame) -> usize {
    if frame.ahead.is_none() || seen::map::chosen(picture, state).is_some() {
        return 0;
    }
    match picture {
        Picture::Original | Picture::CleanSegmentation => 0,
        // The decision stands before ε, which is that of the picture.
        Picture::Adversarial => usize::from(frame.scores.is_some()),
        Picture::Noise | Picture::AdversarialSegmentation | Picture::Difference => usize::MAX,
    }
}

/// The numbers under a picture, the most important first; as many are shown as have room.
pub fn numbers(picture: Picture, state: &State, frame: &Frame) -> Vec<String> {
    if let Some(numbers) = seen::map::numbers(picture, state, frame) {
        return numbers;
    }
    let distortion = frame.adversarial_measure.distortion;
    match picture {
        Picture::Original => {
            let mut all = state.case.as_deref().map(image_numbers).unwrap_or_default();
            if let Some(scores) = &frame.scores {
                all.insert(0, decision(state, &scores.clean));
            }
            all
        }
        Picture::Noise => {
            vec![format!("L∞ {}", state.epsilon_text(distortion.linf)), format!("L2 {:.2}", distortion.l2)]
        }
        Picture::Adversarial => {
            let attack = crate::workbench::state::entry(frame.method);
            let mut all = vec![format!("ε {}", state.epsilon_text(frame.shown_epsilon())), attack.title.to_owned()];
            if frame.method.entry().epsilon == EpsilonMeaning::Found {
                all.swap(0, 1);
                all.truncate(1);
            }
            if let Some(Unfinished { done, of, stopped }) = frame.unfinished {
                let waits = stopped && done == 0;
                let word = if stopped { "stopped at step" } else { "step" };
                all.insert(1, if waits { "not begun".to_owned() } else { format!("{word} {done} of {of}") });
            }
            if let Some(displacement) = frame.displacement.filter(|_| frame.ahead.is_none()) {
                all.push(format!("moved by up to {displacement:.2} px"));
            }
            if let Some(scores) = &frame.scores {
                all.insert(0, decision(state, &scores.adversarial));
            }
            all
        }
        // A Dice of 1 against itself says nothing.
        Picture::CleanSegmentation if frame.case.reference == Reference::CleanPrediction => {
            vec!["the reference: no label".to_owned()]
        }
        Picture::CleanSegmentation => overlap(&frame.clean, None),
        Picture::AdversarialSegmentation => overlap(&frame.adversarial_measure, Some(&frame.clean)),
        Picture::Difference => vec![format!(
            "Wrong {:.1} → {:.1} %",
            frame.clean.error.wrong * 100.0,
            frame.adversarial_measure.error.wrong * 100.0
        )],
    }
}

/// The class that a model chooses, with its probability.
fn decision(state: &State, probabilities: &[f32]) -> String {
    let class = bars::decided(probabilities);
    let probability = probabilities.get(class).map_or(0.0, |&p| f64::from(p));
    format!("{} {}", state.class_title(class), percent(probability))
}

/// What there is to say of the image itself.
pub fn image_numbers(case: &CaseInfo) -> Vec<String> {
    let mut all = Vec::new();
    let [channels, height, width] = case.shape;
    let colour = if channels == 3 { " RGB" } else { "" };
    if case.slices > 1 {
        all.push(format!("{} {} of 0–{}", case.slice_word(), case.slice, case.slices - 1));
    }
    all.push(format!("{width} × {height}, {}{colour}", case.stored_text()));
    all
}

/// Overlap and wrong pixels, with what changed against `clean`.
pub fn overlap(measure: &Measure, clean: Option<&Measure>) -> Vec<String> {
    let change = |now: f64, before: Option<f64>| {
        before.map_or_else(String::new, |before| format!(" ({}{:.3})", sign(now - before), (now - before).abs()))
    };
    vec![
        format!("Dice {:.3}{}", measure.overlap.dice, change(measure.overlap.dice, clean.map(|c| c.overlap.dice))),
        format!("wrong {:.1} %", measure.error.wrong * 100.0),
        format!("IoU {:.3}", measure.overlap.iou),
    ]
}

fn sign(difference: f64) -> &'static str {
    if difference < 0.0 { "−" } else { "+" }
}

/// What a colour in a picture means.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The colour.
    pub colour: Rgb,
    /// How it is drawn, since nothing is told by colour alone.
    pub kind: KeyKind,
    /// What it means.
    pub name: String,
}

/// How a thing is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A plain area.
    Area,
    /// A hatched area.
    Hatched,
    /// A dashed line.
    Dashed,
}

/// The legend of a picture; empty where its title says all.
pub fn legend(picture: Picture, state: &State, dark: bool) -> Vec<Key> {
    let positive = state.positive_class_name();
    let key = |colour, kind, name: &str| Key { colour, kind, name: name.to_owned() };
    let view = &state.view;
    let [shown, ..] = state.class_colours();
    let scheme = if dark { crate::view::Theme::Dark } else { crate::view::Theme::Light };
    let alone = if shown == palette::POSITIVE { palette::positive_alone(scheme) } else { shown };
    let several = state.frame.as_ref().is_some_and(|frame| frame.classes.is_some());
    let segmentation = |second: Option<&str>| match view.mask_style {
        MaskStyle::Mask | MaskStyle::Overlay | MaskStyle::Contour if several => {
            let second = second.filter(|_| view.mask_style != MaskStyle::Mask);
            let second = second.map(|name| key(palette::SECOND, KeyKind::Dashed, name));
            second.into_iter().chain(classes(state)).collect()
        }
        MaskStyle::Mask => vec![
            key(alone, KeyKind::Area, &positive),
            key(palette::negative(scheme), KeyKind::Area, &probe::negative_name(state)),
        ],
        MaskStyle::Probability => vec![key([255; 3], KeyKind::Area, &format!("P({positive}) = 1"))],
        MaskStyle::Overlay | MaskStyle::Contour => {
            // The dashed line needs an explanation more than the class does.
            let second = second.map(|name| key(palette::SECOND, KeyKind::Dashed, name));
            second.into_iter().chain([key(shown, KeyKind::Area, &positive)]).collect()
        }
    };
    match picture {
        Picture::Original | Picture::Adversarial => Vec::new(),
        Picture::Noise if seen::map::chosen(picture, state).is_some() => Vec::new(),
        Picture::Noise => vec![
            key(palette::diverging(scheme, -1.0), KeyKind::Area, "darker"),
            key(palette::diverging(scheme, 1.0), KeyKind::Area, "brighter"),
        ],
        Picture::CleanSegmentation => segmentation(view.show_reference.then_some("reference")),
        Picture::AdversarialSegmentation => segmentation(if view.mark_difference {
            Some("before the attack")
        } else {
            view.show_reference.then_some("reference")
        }),
        Picture::Difference => {
            let (appeared, vanished) = match view.difference_from {
                DifferenceFrom::CleanPrediction => ("appeared", "vanished"),
                DifferenceFrom::Reference => ("invented", "missed"),
            };
            vec![
                key(palette::appeared(scheme), KeyKind::Area, appeared),
                key(palette::vanished(scheme), KeyKind::Hatched, vanished),
                key(palette::AGREED, KeyKind::Area, "same"),
            ]
        }
    }
}

/// The colours of all classes but the background.
fn classes(state: &State) -> Vec<Key> {
    let count = state.model.as_ref().map_or(0, |model| model.classes.len());
    let key = |class: usize| Key {
        colour: state.class_colour(class),
        kind: KeyKind::Area,
        name: state.class_name(u8::try_from(class).unwrap_or(u8::MAX)),
    };
    (1..count).map(key).collect()
}

fn colour_of([red, green, blue]: Rgb) -> Color32 {
    Color32::from_rgb(red, green, blue)
}

/// Draws the line under a picture: numbers from the left, the legend at the right, as many of each as have room, the first
/// ones first. What has none is in the tooltip. The `outdated` first numbers are faint: they are of the picture before.
pub fn caption_ui(ui: &Ui, rect: Rect, numbers: &[String], outdated: usize, legend: &[Key], response: &Response) {
    let font = FontId::proportional(TextStyle::Small.resolve(ui.style()).size);
    let palette = theme::of(ui);
    let painter = ui.painter().with_clip_rect(rect);
    let mut right = rect.right() - 2.0;
    let mut hidden = Vec::new();
    let first_width = numbers.first().map_or(0.0, |n| width(&painter, n, &font)) + 16.0;
    let needed: Vec<f32> = legend.iter().map(|key| width(&painter, &key.name, &font) + 22.0).collect();
    // The first one has nothing to its left to be kept apart from.
    let room = right - rect.left() - first_width + 9.0;
    let fits = (0..=legend.len()).rev().find(|&n| needed[..n].iter().sum::<f32>() <= room).unwrap_or(0);
    hidden.extend(legend[fits..].iter().map(|key| key.name.clone()));
    for (key, needed) in legend[..fits].iter().zip(&needed).rev() {
        right -= needed - 9.0;
        swatch(&painter, Rect::from_center_size(pos2(right + 4.0, rect.center().y), vec2(8.0, 8.0)), key);
        let galley = painter.layout_no_wrap(key.name.clone(), font.clone(), palette.weak);
        painter.galley(pos2(right + 12.0, rect.center().y - galley.size().y * 0.5), galley, palette.weak);
        right -= 9.0;
    }
    let mut x = rect.left() + 2.0;
    for (i, number) in numbers.iter().enumerate() {
        let colour = match i {
            _ if i < outdated => palette.weak.gamma_multiply(0.5),
            0 => palette.text,
            _ => palette.weak,
        };
        let galley = painter.layout_no_wrap(number.clone(), font.clone(), colour);
        if i > 0 && x + galley.size().x > right {
            hidden.push(number.clone());
            continue;
        }
        let advance = galley.size().x + 12.0;
        painter.galley(pos2(x, rect.center().y - galley.size().y * 0.5), galley, colour);
        x += advance;
    }
    if !hidden.is_empty() {
        response.clone().on_hover_text(hidden.join(", "));
    }
}

/// Draws a legend as a line of its own, which wraps.
pub fn keys_ui(ui: &mut Ui, keys: &[Key]) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for key in keys {
            let height = ui.text_style_height(&TextStyle::Small);
            let (rect, _) = ui.allocate_exact_size(vec2(10.0, height), Sense::hover());
            swatch(ui.painter(), Rect::from_center_size(rect.center(), vec2(8.0, 8.0)), key);
            ui.label(theme::weak(ui, &key.name).small());
            ui.add_space(8.0);
        }
    });
}

fn swatch(painter: &Painter, rect: Rect, key: &Key) {
    let colour = colour_of(key.colour);
    match key.kind {
        KeyKind::Area => {
            painter.rect_filled(rect, 2.0, colour);
            painter.rect_stroke(rect, 2.0, (1.0, Color32::from_gray(120)), StrokeKind::Outside);
        }
        KeyKind::Hatched => {
            for i in 0..4 {
                let x = rect.left() + 2.0 * i as f32 + 1.0;
                painter.line_segment([pos2(x, rect.bottom()), pos2(x + 2.0, rect.top())], (1.2, colour));
            }
            painter.rect_stroke(rect, 2.0, (1.0, colour), StrokeKind::Outside);
        }
        KeyKind::Dashed => {
            painter.line_segment([rect.left_center(), rect.left_center() + vec2(3.0, 0.0)], (2.0, colour));
            painter.line_segment([rect.right_center() - vec2(3.0, 0.0), rect.right_center()], (2.0, colour));
        }
    }
}

fn width(painter: &Painter, text: &str, font: &FontId) -> f32 {
    painter.layout_no_wrap(text.to_owned(), font.clone(), Color32::WHITE).size().x
}
