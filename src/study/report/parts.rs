//! Pieces of the HTML report.

use super::criterion::{BrokenInterval, Verdict};
use super::html::Picture;
use super::{Saved, epsilon};
use crate::study::Measure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

/// `every measured ε from 2/255 to 8/255 (not at 1/255)`.
pub(super) fn describe(interval: &BrokenInterval) -> String {
    let span = match interval.points {
        1 => epsilon::short(interval.first),
        n => {
            format!("all {n} measured ε from {} to {}", epsilon::short(interval.first), epsilon::short(interval.last))
        }
    };
    let outside: Vec<String> = [interval.below, interval.above].into_iter().flatten().map(epsilon::short).collect();
    if outside.is_empty() { span } else { format!("{span} (not at {})", outside.join(" or ")) }
}

/// One word on whether an attack outlived being saved, and the numbers.
pub(super) fn survival(saved: &Saved) -> (&'static str, String) {
    let (name, score) = (saved.after.score_name(), saved.after.score());
    let mut detail = match saved.kept() {
        None => format!("{name} {score:.3} in the file"),
        Some(kept) => format!("{:.0} % of the effect kept, {name} {score:.3} in the file", kept * 100.0),
    };
    if saved.grew() {
        detail += &format!("; rounding enlarged it to L∞ {}", epsilon::short(saved.after.distortion.linf));
    }
    (saved.survival().name(), detail)
}

pub(super) fn overlap(measure: &Measure) -> String {
    let Measure { overlap, error, .. } = measure;
    format!("Dice {:.3}, IoU {:.3}, {:.1} % wrong", overlap.dice, overlap.iou, error.wrong * 100.0)
}

pub(super) fn three(value: f64) -> String {
    format!("{value:.3}")
}

pub(super) fn tile(name: &str, value: &str, detail: &str) -> Markup {
    html! { .tile { p.name { (name) } p.value { (value) } p.detail { (detail) } } }
}

pub(super) fn badge(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Broken => "badge bad",
        Verdict::Holds => "badge good",
        _ => "badge",
    };
    html! { span class=(class) { (verdict.name()) } }
}

/// A picture with its captions. The originals are the same at every ε: a style holds them once, under the class `same`.
pub(super) fn view(picture: &Picture, title: &str, note: &str, same: &str) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            @if same.is_empty() {
                img src={ "data:image/png;base64," (STANDARD.encode(&picture.png)) } width=(picture.width)
                    height=(picture.height) alt={ (title) ". " (note) };
            } @else {
                div class={ "same " (same) } role="img" aria-label=(title)
                    style={ "aspect-ratio:" (picture.width) "/" (picture.height) } {}
            }
            p.note { (note) }
        }
    }
}
