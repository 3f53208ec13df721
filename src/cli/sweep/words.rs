//! What a sweep says at its end, and where its numbers are from.

use super::SweepOptions;
use super::opened::LabelUse;
use crate::attack::{self, Attack, Reference};
use crate::data;
use crate::model::ModelCard;
use crate::study::report::{Criterion, Provenance, broken_intervals, epsilon, finds, size_words, utc_now};
use crate::study::{Curve, CurvePoint, Subject, Truth};
use std::path::PathBuf;

pub(super) fn provenance(
    options: &SweepOptions,
    attack: Attack,
    subject: &Subject,
    label: &LabelUse,
    device: &str,
) -> Provenance {
    let case = &subject.case;
    let image = &case.image;
    let card: &ModelCard = subject.model.card();
    let shown = |path: &Option<PathBuf>, bundled: &str| {
        path.as_ref().map_or(bundled.to_owned(), |path| path.display().to_string())
    };
    let mut facts = Provenance { command: options.command(), ..Provenance::default() };
    facts.add(
        "image",
        shown(&options.image().cloned(), &format!("{} (bundled with the program)", data::BUNDLED_SAMPLE_NAME)),
    );
    let stored = if case.provenance.slices > 1 {
        format!("slice {} of {} (from 0), ", case.provenance.slice, case.provenance.slices)
    } else {
        String::new()
    };
    let channels = if image.channels == 1 { "grey".to_owned() } else { format!("{} channels", image.channels) };
    facts.add(
        "pixels",
        format!(
            "{stored}{}×{} {channels}, {}; bounds {} to {}",
            image.width,
            image.height,
            case.stored.name(),
            case.bounds.lower,
            case.bounds.upper
        ),
    );
    if let Some(map) = &label.map {
        facts.add("label", shown(&options.case.label, "bundled with the sample"));
        let how = if label.guessed { "guessed by agreement with the clean prediction" } else { "as given" };
        facts.add("label values", format!("{map} ({how})"));
    }
    facts.add(
        "reference",
        match subject.reference_kind {
            Reference::Label => "the label: the attack raises the loss against it, and all measures compare with it",
            Reference::CleanPrediction => "the model’s own prediction on the original, since there is no label",
        },
    );
    if let Some(class) = subject.class {
        facts.add("class", format!("{class}, {}", card.class_name(class)));
    }
    if let Some(target) = &subject.target {
        facts.add(
            "target",
            match target {
                Truth::Class(class) => format!("class {class}, {}", card.class_name(*class)),
                Truth::Mask(_) => options.target.clone().unwrap_or_else(|| "the positive class is gone".to_owned()),
            },
        );
    }
    facts.add("model", format!("{}: {}", card.name, card.description));
    facts.add("weights", shown(&options.models.first().cloned(), "bundled with the program"));
    facts.add("device", device);
    if let Ok(Some(tiles)) = subject.model.tiles(image.height, image.width) {
        facts.add("tiles", tiles.to_string());
    }
    facts.add("attack", attack.summary());
    if let Some(region) = &subject.region {
        facts.add("confined to", format!("{}; attack and control change nothing outside of it", region.describe()));
    }
    facts.add("ε", options.epsilons.clone());
    facts.add("control", format!("{}, seed {}", attack.control_words(), options.seed()));
    facts.add("shown", options.seen.shown());
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    facts
}

/// What is said at the end, on the standard output.
pub(super) fn summary(
    curve: &Curve,
    method: Attack,
    options: &SweepOptions,
    criterion: Criterion,
    subject: &Subject,
) -> String {
    let title = attack::find(&curve.attack).map_or(curve.attack.as_str(), |e| e.title);
    let (clean, name) = (curve.clean.score(), curve.clean.score_name());
    let control = method.control_words();
    let intervals = broken_intervals(curve, criterion);
    let verdict = match intervals.first() {
        Some(first) => {
            let at = |points: &[CurvePoint]| points.iter().find(|p| p.epsilon == first.first).map(|p| p.measure);
            let score = |points: &[CurvePoint]| at(points).map_or(f64::NAN, |m| m.score());
            let decision = at(&curve.points).and_then(|m| m.decision).map_or(String::new(), |d| {
                let card = subject.model.card();
                format!("{} becomes {}; ", card.class_name(d.truth), card.class_name(d.predicted))
            });
            format!(
                "{title} breaks it {}: {decision}{name} {clean:.3} → {:.3}, {control} {:.3}",
                size_words(curve, first.first, epsilon::both),
                score(&curve.points),
                score(&curve.control)
            )
        }
        None if criterion.clean_fails(&curve.clean) => match curve.clean.decision {
            Some(d) => format!(
                "the model is wrong on this image before any attack: it says {} of {}",
                subject.model.card().class_name(d.predicted),
                subject.model.card().class_name(d.truth)
            ),
            None => format!(
                "the model fails on this image before any attack (clean Dice {clean:.3}); if the label's values were mixed \
                 up, say what they mean with --label-map"
            ),
        },
        None if finds(curve) => {
            let reached = curve.points.last().map_or(clean, |p| p.measure.score());
            format!("what {title} found does not break it ({name} {clean:.3} → {reached:.3})")
        }
        None => format!("{title} breaks it at none of the measured ε (clean {name} {clean:.3})"),
    };
    format!("{verdict}\nbroken: {criterion}\nreport: {}\n", options.out.join("report.html").display())
}
