//! The classes of a model that classifies whole images, before and after: a bar each for the original and for the adversarial
//! image, the true class and the target marked.

use crate::engine::{ClassScores, TruthChoice};
use crate::workbench::decision::percent;
use crate::workbench::{State, theme};
use eframe::egui::{
    self, Align2, FontId, Painter, Rect, Role, Sense, Stroke, StrokeKind, TextStyle, Ui, Vec2, WidgetInfo, pos2, vec2,
};

/// The height of a class's row at its smallest and at its largest, in points of normal type.
const ROW: std::ops::RangeInclusive<f32> = 19.0..=30.0;
/// The height of the line above the bars.
const TITLE: f32 = 26.0;

/// Divides the place of the pictures of a model that classifies: what is left for the pictures, and the place of the bars.
/// `pictures` of an image of `aspect` (width over height) stand in a row where there is room.
pub fn divide(area: Rect, classes: usize, pictures: usize, aspect: f32, large: f32) -> [Rect; 2] {
    let rows = classes.clamp(2, 10) as f32;
    let least = (TITLE + rows * 23.0 + 8.0) * large;
    let most = (TITLE + classes.clamp(2, 24) as f32 * ROW.end() + 12.0) * large;
    // What three square pictures over the whole width leave free is the bars'.
    let row = area.width() / pictures.max(1) as f32 / aspect.clamp(0.2, 5.0) + 50.0 * large;
    let wished = (area.height() - row).clamp(least, most.max(least));
    if area.width() > 2.4 * area.height() {
        // Low and wide: beside each other.
        let (left, right) = area.split_left_right_at_fraction(0.6);
        return [left, right.with_min_x(right.left() + 12.0)];
    }
    let height = wished.min(area.height() * if wished > least { 0.7 } else { 0.52 });
    let (top, bottom) = area.split_top_bottom_at_y(area.bottom() - height);
    [top, bottom.with_min_y(bottom.top() + 6.0)]
}

/// The classes that are shown where there is room for `most`: all, or those that are likely before or after the attack, with
/// the true class and the target in any case. In the order of the model, so that bars stay where they are.
pub fn shown(scores: &ClassScores, most: usize) -> Vec<usize> {
    let count = scores.clean.len().min(scores.adversarial.len());
    if count <= most {
        return (0..count).collect();
    }
    let needed = |class: usize| class == scores.truth || Some(class) == scores.target;
    let weight = |class: usize| scores.clean[class].max(scores.adversarial[class]);
    let mut all: Vec<usize> = (0..count).collect();
    all.sort_by(|&a, &b| needed(b).cmp(&needed(a)).then(weight(b).total_cmp(&weight(a))).then(a.cmp(&b)));
    all.truncate(most.max(1));
    all.sort_unstable();
    all
}

/// The most probable class, the first of several.
pub fn decided(probabilities: &[f32]) -> usize {
    let best = |best: usize, (i, p): (usize, &f32)| if *p > probabilities[best] { i } else { best };
    probabilities.iter().enumerate().fold(0, best)
}

/// Draws title and bars into `rect`.
pub fn bars_ui(ui: &mut Ui, rect: Rect, state: &State, scores: &ClassScores) {
    let large = theme::type_size(&state.look);
    let palette = theme::of(ui);
    ui.painter().rect_filled(rect, 4.0, palette.panel);
    let inner = rect.shrink2(vec2(10.0, 6.0));
    let (title, rows) = inner.split_top_bottom_at_y(inner.top() + TITLE * large - 6.0);
    title_ui(ui, title, state, scores);
    let (least, tallest) = (ROW.start() * large, ROW.end() * large);
    let most = (rows.height() / least).floor().max(1.0) as usize;
    let classes = shown(scores, most);
    let hidden = scores.clean.len().saturating_sub(classes.len());
    let height = (rows.height() / classes.len().max(1) as f32).clamp(least, tallest);
    let font = FontId::proportional(TextStyle::Body.resolve(ui.style()).size);
    let widest = classes.iter().map(|&c| width(ui.painter(), &state.class_title(c), &font)).fold(0.0, f32::max);
    let columns = Columns {
        name: (widest + 62.0 * large).min(rows.width() * 0.42),
        numbers: width(ui.painter(), "100.0 → 100.0 %", &font) + 8.0,
        font,
    };
    for (i, &class) in classes.iter().enumerate() {
        let top = rows.top() + i as f32 * height;
        let row = Rect::from_min_size(pos2(rows.left(), top), vec2(rows.width(), height));
        row_ui(ui, row, &columns, state, scores, class);
    }
    if hidden > 0 {
        let at = pos2(title.right(), title.center().y);
        let text = format!("{} of {} classes", classes.len(), classes.len() + hidden);
        ui.painter().text(at, Align2::RIGHT_CENTER, text, small(ui), palette.weak);
    }
}

/// Where things stand in a row.
struct Columns {
    name: f32,
    numbers: f32,
    font: FontId,
}

fn title_ui(ui: &mut Ui, rect: Rect, state: &State, scores: &ClassScores) {
    let palette = theme::of(ui);
    let (before, after) = (decided(&scores.clean), decided(&scores.adversarial));
    let name = |class: usize| state.class_title(class);
    let words = match (before == after, after == scores.truth) {
        (true, _) => format!("Decision stays {}", name(before)),
        (false, _) => format!("Decision {} → {}", name(before), name(after)),
    };
    let colour = match (before == after, scores.target == Some(after)) {
        (true, _) => palette.text,
        (false, true) => palette.bad,
        (false, false) if after == scores.truth => palette.good,
        (false, false) => palette.bad,
    };
    let font = FontId::new(TextStyle::Body.resolve(ui.style()).size, theme::semibold_family());
    let painter = ui.painter().with_clip_rect(rect);
    let galley = painter.layout_no_wrap(words.clone(), font, colour);
    let mut x = rect.left();
    let y = rect.center().y;
    let advance = galley.size().x + 16.0;
    painter.galley(pos2(x, y - galley.size().y * 0.5), galley, colour);
    x += advance;
    for (filled, name) in [(false, "original"), (true, "adversarial")] {
        let swatch = Rect::from_center_size(pos2(x + 7.0, y), vec2(14.0, 7.0));
        bar(&painter, swatch, filled, ui);
        let galley = painter.layout_no_wrap(name.to_owned(), small(ui), palette.weak);
        let advance = galley.size().x + 32.0;
        painter.galley(pos2(x + 19.0, y - galley.size().y * 0.5), galley, palette.weak);
        x += advance;
    }
    let response = ui.interact(rect, ui.scope_id().with("decision"), Sense::hover());
    let source = match state.case.as_ref().map(|case| case.truth_by) {
        Some(TruthChoice::Given) => ", says the data set",
        Some(TruthChoice::Chosen(_)) => ", as chosen",
        _ => ", which is the model’s own clean decision",
    };
    let all = format!("{words}. True class {}{source}", name(scores.truth));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &all));
    response.on_hover_text(all.as_str());
}

fn row_ui(ui: &mut Ui, row: Rect, columns: &Columns, state: &State, scores: &ClassScores, class: usize) {
    let palette = theme::of(ui);
    let painter = ui.painter().with_clip_rect(row);
    let (clean, adversarial) = (f64::from(scores.clean[class]), f64::from(scores.adversarial[class]));
    let (before, after) = (decided(&scores.clean) == class, decided(&scores.adversarial) == class);
    let y = row.center().y;
    let own = state.case.as_ref().is_some_and(|case| case.truth_by == TruthChoice::CleanDecision);
    let mark = if class == scores.truth {
        Some(if own { ("clean", palette.weak) } else { ("true", palette.good) })
    } else if scores.target == Some(class) {
        Some(("target", palette.accent))
    } else {
        None
    };
    // The name from the right, so that it stands at its bars; its mark before it.
    let bars_left = row.left() + columns.name;
    let family = if before || after { theme::semibold_family() } else { egui::FontFamily::Proportional };
    let colour = if before || after { palette.text } else { palette.weak };
    let name = state.class_title(class);
    let galley = painter.layout_no_wrap(name.clone(), FontId::new(columns.font.size, family), colour);
    let name_left = (bars_left - 8.0 - galley.size().x).max(row.left() + 52.0);
    painter.galley(pos2(name_left, y - galley.size().y * 0.5), galley, colour);
    if let Some((text, colour)) = mark {
        let galley = painter.layout_no_wrap(text.to_owned(), small(ui), colour);
        let chip = Rect::from_min_size(pos2(row.left(), y - 8.0), galley.size() + vec2(8.0, 2.0));
        painter.rect_stroke(chip, 3.0, Stroke::new(1.0, colour), StrokeKind::Inside);
        painter.galley(chip.min + vec2(4.0, 1.0), galley, colour);
    }
    let track = Rect::from_min_max(pos2(bars_left, row.top()), pos2(row.right() - columns.numbers, row.bottom()));
    painter.line_segment([track.left_top(), track.left_bottom()], Stroke::new(1.0, palette.line));
    let thick = (row.height() * 0.32).floor().clamp(4.0, 9.0);
    for (filled, share, middle) in [(false, clean, y - thick * 0.5 - 1.0), (true, adversarial, y + thick * 0.5 + 1.0)] {
        let length = (track.width() * share as f32).max(1.0);
        bar(&painter, Rect::from_min_size(pos2(track.left(), middle - thick * 0.5), vec2(length, thick)), filled, ui);
    }
    let numbers = format!("{:.1} → {}", clean * 100.0, percent(adversarial));
    let colour = if before || after { palette.text } else { palette.weak };
    painter.text(pos2(row.right(), y), Align2::RIGHT_CENTER, &numbers, columns.font.clone(), colour);
    let response = ui.interact(row, ui.scope_id().with(("class", class)), Sense::hover());
    let mark = mark.map_or_else(String::new, |(text, _)| format!(", {text} class"));
    let all = format!("{name}: P {numbers}{mark}");
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &all));
    response.on_hover_text(all.as_str());
}

/// A bar: an outline for the original, filled for the adversarial image.
fn bar(painter: &Painter, rect: Rect, filled: bool, ui: &Ui) {
    let palette = theme::of(ui);
    if filled {
        painter.rect_filled(rect, 1.0, palette.attack);
    } else {
        painter.rect(
            rect,
            1.0,
            palette.baseline.gamma_multiply(0.35),
            Stroke::new(1.0, palette.baseline),
            StrokeKind::Inside,
        );
    }
}

fn small(ui: &Ui) -> FontId {
    FontId::proportional(TextStyle::Small.resolve(ui.style()).size)
}

fn width(painter: &Painter, text: &str, font: &FontId) -> f32 {
    let size: Vec2 = painter.layout_no_wrap(text.to_owned(), font.clone(), egui::Color32::PLACEHOLDER).size();
    size.x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(clean: &[f32], adversarial: &[f32], truth: usize, target: Option<usize>) -> ClassScores {
        ClassScores { clean: clean.into(), adversarial: adversarial.into(), truth, target }
    }

    #[test]
    fn the_telling_classes_are_shown_in_the_models_order() {
        let scores = scores(&[0.7, 0.2, 0.1, 0.0, 0.0], &[0.1, 0.1, 0.1, 0.7, 0.0], 1, Some(4));
        assert_eq!(shown(&scores, 5), [0, 1, 2, 3, 4]);
        assert_eq!(shown(&scores, 4), [0, 1, 3, 4]);
        assert_eq!(shown(&scores, 2), [1, 4], "truth and target stay");
        assert_eq!(decided(&scores.clean), 0);
        assert_eq!(decided(&[0.5, 0.5]), 0, "the first of several");
    }

    #[test]
    fn pictures_and_bars_share_the_place() {
        for (size, classes) in
            [(vec2(700.0, 560.0), 10), (vec2(1200.0, 300.0), 1000), (vec2(240.0, 200.0), 2), (vec2(900.0, 800.0), 1000)]
        {
            let area = Rect::from_min_size(pos2(5.0, 7.0), size);
            let [pictures, bars] = divide(area, classes, 3, 1.0, 1.0);
            assert!(area.contains_rect(pictures) && area.contains_rect(bars) && !pictures.shrink(0.5).intersects(bars));
            // Two bars need less than ninety points.
            let needed = (TITLE + classes as f32 * ROW.start()).min(90.0);
            assert!(pictures.height() >= 90.0 && bars.height() >= needed, "{pictures} {bars}");
        }
    }
}
