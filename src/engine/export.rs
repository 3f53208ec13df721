//! Writing what is shown to disk, each file whole or not at all, and judging again what was written.

use super::{Export, ExportReport};
use crate::attack::{Attack, Reference};
use crate::data::{self, FileFormat, Made};
use crate::study::report::{
    Bars, Conditions, PanelCaption, PanelLook, PanelPictures, class_panel, class_values, encode_png, panel, save_and_judge,
    write_comparison_csv, write_curve_csv, write_figure,
};
use crate::study::{Curve, Judged, Subject, SweepPlan};
use crate::tensor;
use burn::tensor::Tensor;
use std::path::Path;

/// What is on the screen.
pub(super) struct Shown<'a> {
    pub subject: &'a Subject,
    pub method: Attack,
    pub epsilon: f64,
    pub adversarial: &'a Tensor<4>,
    /// What moved its pixels, if anything has.
    pub flow: Option<&'a Tensor<4>>,
    pub judged: &'a Judged,
    pub curve: Option<Curve>,
    /// What the curve is measured with.
    pub plan: &'a SweepPlan,
}

pub(super) fn write(wish: &Export, shown: &Shown<'_>) -> Result<ExportReport, String> {
    let (path, saved) = match wish {
        Export::Adversarial(path) => {
            let Shown { subject, adversarial, flow, judged, .. } = shown;
            let saved = save_and_judge(subject, adversarial, *flow, judged.measure, path).map_err(text)?;
            (path, Some(saved))
        }
        // A job of its own.
        Export::AdversarialVolume(path) => (path, None),
        Export::PredictedMask(_) if shown.subject.class.is_some() => {
            return Err("this model classifies whole images: it predicts no mask".to_owned());
        }
        Export::PredictedMask(path) => {
            mask(path, shown)?;
            (path, None)
        }
        Export::CurveCsv(path) => {
            write_curve_csv(curve(shown)?, path).map_err(text)?;
            (path, None)
        }
        Export::CurveFigure(path, wish) => {
            let subject = shown.subject;
            let confined = match &subject.region {
                Some(region) => format!(", confined to a {}", region.describe()),
                None => String::new(),
            };
            let subtitle = format!("{} on {}{confined}", subject.model.card().name, name(&subject.case));
            let conditions = Conditions {
                image: name(&subject.case) + &confined,
                criterion: wish.criterion.for_task(subject.model.card().task),
                limit: wish.limit,
                distance_mm: wish.distance_mm,
                ..Conditions::of(subject, shown.method, shown.plan.control_seed, shown.plan.seen.clone())
            };
            write_figure(curve(shown)?, &subtitle, &conditions, wish.threshold.clone(), path).map_err(text)?;
            (path, None)
        }
        Export::ComparisonCsv(path, table) => {
            write_comparison_csv(table, path).map_err(text)?;
            (path, None)
        }
        Export::Views(path) => {
            views(path, shown)?;
            (path, None)
        }
    };
    Ok(ExportReport { path: path.clone(), saved, volume: None })
}

/// The classes that the model predicts for what is shown, where the image lies.
fn mask(path: &Path, shown: &Shown<'_>) -> Result<(), String> {
    let case = &shown.subject.case;
    let format = FileFormat::of(path).map_err(text)?;
    let spread = matches!(format, FileFormat::Png | FileFormat::Tiff);
    let place = case.as_stack(&case.image).map_err(text)?;
    let stack = place.with_masks(std::slice::from_ref(&shown.judged.predicted), spread).map_err(text)?;
    let card = shown.subject.model.card();
    let classes: Vec<String> = card.classes.iter().enumerate().map(|(i, c)| format!("{i} {}", c.name)).collect();
    let made = Made {
        title: "predicted mask".to_owned(),
        description: format!("Classes that {} predicts: {}", card.name, classes.join(", ")),
        synthetic: true,
        ..Made::default()
    };
    data::write_stack(path, &stack, &made).map_err(text)
}

/// The image's name with its slice, counted from 0.
fn name(case: &data::Case) -> String {
    match case.provenance.slices {
        0 | 1 => case.name.clone(),
        slices => format!("{}, slice {} of 0–{}", case.name, case.provenance.slice, slices - 1),
    }
}

fn curve<'a>(shown: &'a Shown<'_>) -> Result<&'a Curve, String> {
    shown.curve.as_ref().ok_or_else(|| "the curve has no point yet. Let it fill in first".to_owned())
}

/// The six views with captions, as a panel of the report.
fn views(path: &Path, shown: &Shown<'_>) -> Result<(), String> {
    let subject = shown.subject;
    let card = subject.model.card();
    let image = &subject.case.image;
    let host = |tensor: &Tensor<4>| tensor::to_host(tensor.clone()).map_err(text);
    let original = host(&subject.x)?;
    let adversarial = host(shown.adversarial)?;
    let clean_probability = host(&subject.clean.probability)?;
    let adversarial_probability = host(&shown.judged.probability)?;
    let look = PanelLook::of(subject);
    let classes = [&subject.clean, shown.judged].map(|judged| class_values(&judged.predicted));
    let pictures = PanelPictures {
        channels: image.channels,
        height: image.height,
        width: image.width,
        original: &original,
        adversarial: &adversarial,
        clean_probability: &clean_probability,
        adversarial_probability: &adversarial_probability,
        classes: (!look.classes.is_empty()).then_some([&classes[0], &classes[1]]),
        look: &look,
    };
    let control = shown
        .curve
        .as_ref()
        .and_then(|curve| curve.control.iter().find(|p| (p.epsilon - shown.epsilon).abs() < 1e-9).map(|p| p.measure));
    let caption = PanelCaption {
        attack: shown.method.title().to_owned(),
        epsilon: shown.epsilon,
        subject: match &subject.region {
            Some(region) => format!("{} on {}, confined to a {}", card.name, name(&subject.case), region.describe()),
            None => format!("{} on {}", card.name, name(&subject.case)),
        },
        class: card.class_name(subject.class.unwrap_or_else(|| card.positive_class.into())).into_owned(),
        reference: match subject.reference_kind {
            Reference::Label => "label",
            Reference::CleanPrediction => "clean prediction",
        },
        clean: subject.clean.measure,
        adversarial: shown.judged.measure,
        control,
        control_words: shown.method.control_words(),
    };
    let picture = match (&subject.clean.classified, &shown.judged.classified) {
        (Some(clean), Some(found)) => {
            let (tiles, gain) = pictures.image_tiles(shown.epsilon).map_err(text)?;
            let names: Vec<String> = card.classes.iter().map(|class| class.name.clone()).collect();
            let bars = Bars {
                names: &names,
                clean: &clean.probabilities,
                attacked: &found.probabilities,
                truth: subject.class.unwrap_or(clean.predicted),
            };
            class_panel(&tiles, gain, &bars, &caption).map_err(text)?
        }
        _ => panel(&pictures.tiles(shown.epsilon).map_err(text)?, &caption).map_err(text)?,
    };
    let bytes = encode_png(&picture).map_err(text)?;
    data::write_bytes_atomic(path, &bytes).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
