//! The folder that a sweep leaves behind: table, figure, panels, report. Everything is made in memory first, so that an
//! interrupted run leaves nothing half-written.

use super::bars::Bars;
use super::class_panel::class_panel;
use super::conditions::Conditions;
use super::criterion::{Criterion, Verdict, control_at, verdicts};
use super::figure::Figure;
use super::html::{Finding, HtmlReport, Picture};
use super::look::{PanelLook, class_values};
use super::observed::Observed;
use super::panel::{PanelCaption, PanelPictures, panel};
use super::seen_map::{self, SeenMaps};
use super::{Provenance, ReportError, curve_csv, encode_png, epsilon, round_and_judge};
use crate::attack::{self, AttackError, Reference};
use crate::data::{DataError, write_bytes_atomic};
use crate::metric::MetricMap;
use crate::model::ImageKind;
use crate::study::{Adversary, Curve, Limit, SeenPlan, Subject, masking_notes};
use crate::tensor;
use image::RgbaImage;
use rayon::prelude::*;
use std::fs;
use std::path::Path;

/// What a report needs beyond the curve.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What counts as broken.
    pub criterion: Criterion,
    /// Where the run comes from.
    pub provenance: Provenance,
    /// Up to where the perturbation is not seen, if that was said.
    pub limit: Option<Limit>,
    /// What the curve was measured with: how the image is shown.
    pub seen: SeenPlan,
    /// The control's seed.
    pub seed: u64,
    /// Thresholds of observers, the one that is drawn first.
    pub observed: Vec<Observed>,
    /// What a reader must know, beyond what the numbers themselves give reason to say.
    pub notes: Vec<String>,
}

/// Files of a report, by name.
#[derive(Debug)]
pub struct ReportFolder {
    /// Name and content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Makes every file of the report on `curve`, a sweep of `adversary`. `told` hears the panels done and in all.
///
/// # Errors
/// If the device fails or a picture cannot be drawn.
pub fn build_report(
    adversary: &Adversary,
    curve: &Curve,
    settings: Settings,
    mut told: impl FnMut(usize, usize),
) -> Result<ReportFolder, ReportError> {
    let subject = adversary.subject().as_ref();
    let card = subject.model.card();
    let class = card.class_name(subject.class.unwrap_or(usize::from(card.positive_class)));
    let class = class.as_ref();
    let painter = Painter {
        subject,
        curve,
        class,
        adversary,
        original: tensor::to_host(subject.x.clone())?,
        clean_probability: tensor::to_host(subject.clean.probability.clone())?,
        look: PanelLook::of(subject),
        seen: &settings.seen,
    };
    let (mut files, mut findings, mut originals) = (Vec::new(), Vec::new(), Vec::new());
    let mut maps = Vec::new();
    for (i, verdict) in verdicts(curve, settings.criterion).into_iter().enumerate() {
        let painted = painter.paint(i, verdict)?;
        files.push((panel_name(i, painted.finding.epsilon), painted.panel));
        findings.push(painted.finding);
        maps.push(painted.map);
        originals.extend(painted.originals);
        told(i + 1, curve.points.len());
    }
    if originals.is_empty() {
        return Err(ReportError::Figure("the curve has no points".to_owned()));
    }
    let mapped = seen_map::metric(&settings.seen);
    let seen_maps = SeenMaps::draw(mapped, seen_map::limit(mapped, settings.limit), &maps, &painter.look)?;
    let mut notes = settings.notes;
    notes.extend(observations(adversary, curve)?);
    let reference = reference_name(subject.reference_kind);
    let name = &subject.case.name;
    let conditions = Conditions {
        criterion: settings.criterion,
        limit: settings.limit,
        ..Conditions::of(subject, adversary.attack(), settings.seed, settings.seen.clone())
    };
    let figure = Figure {
        subtitle: match subject.class {
            Some(_) => format!("{} on {name}; {class} by the {reference}", card.name),
            None => format!("{} on {name}; overlap of {class} with the {reference}", card.name),
        },
        threshold: settings.observed.first().map(|o| o.line.clone()),
        ..Figure::of(curve).under(&conditions)
    };
    let report = HtmlReport {
        subject: name.clone(),
        model: card.name.clone(),
        class: class.to_owned(),
        classes: subject.clean.classified.as_ref().map(|found| (painter.names(), found.probabilities.to_vec())),
        colours: painter.look.classes.clone(),
        reference,
        curve,
        control: adversary.attack().control_words(),
        criterion: settings.criterion,
        conditions: &conditions,
        findings,
        seen_maps,
        originals,
        observed: settings.observed,
        notes,
        provenance: settings.provenance,
    };
    files.push(("curve.csv".to_owned(), curve_csv(curve).into_bytes()));
    files.push(("conditions.toml".to_owned(), conditions.toml().into_bytes()));
    files.push(("curve.svg".to_owned(), figure.svg().into_bytes()));
    files.push(("curve.png".to_owned(), figure.png()?));
    files.push(("report.html".to_owned(), report.html().into_bytes()));
    Ok(ReportFolder { files })
}

/// `label` or `clean prediction`.
fn reference_name(reference: Reference) -> &'static str {
    match reference {
        Reference::Label => "label",
        Reference::CleanPrediction => "clean prediction",
    }
}

const PANEL_PREFIX: &str = "panel-";

/// `panel-03-epsilon-0.0157.png`: sorts by ε.
fn panel_name(index: usize, epsilon: f64) -> String {
    format!("{PANEL_PREFIX}{index:02}-epsilon-{}.png", epsilon::fraction(epsilon))
}

/// Makes the pictures and numbers of one ε.
struct Painter<'a> {
    subject: &'a Subject,
    curve: &'a Curve,
    class: &'a str,
    adversary: &'a Adversary,
    original: Vec<f32>,
    clean_probability: Vec<f32>,
    look: PanelLook,
    seen: &'a SeenPlan,
}

struct Painted {
    finding: Finding,
    /// The pictures that are the same at every ε, with the first of them only.
    originals: Vec<Picture>,
    /// As a PNG.
    panel: Vec<u8>,
    /// Where the perturbation is seen.
    map: Option<MetricMap>,
}

impl Painter<'_> {
    fn paint(&self, index: usize, verdict: Verdict) -> Result<Painted, ReportError> {
        let point = &self.curve.points[index];
        let subject = self.subject;
        let attempt = self.adversary.attempt_last(point.epsilon)?;
        let adversarial = attempt.image;
        let judged = match point.epsilon {
            0.0 => subject.clean.clone(),
            _ => subject.judge_moved(&adversarial, attempt.flow.as_ref())?,
        };
        let (changed, probability) = (judged.image.clone(), judged.on_host.clone());
        let image = &subject.case.image;
        let classes = [&subject.clean, &judged].map(|judged| class_values(&judged.predicted));
        let pictures = PanelPictures {
            channels: image.channels,
            height: image.height,
            width: image.width,
            original: &self.original,
            adversarial: &changed,
            clean_probability: &self.clean_probability,
            adversarial_probability: &probability,
            classes: (!self.look.classes.is_empty()).then_some([&classes[0], &classes[1]]),
            look: &self.look,
        };
        let control = control_at(self.curve, point.epsilon).map(|p| p.measure);
        let attack = attack::find(&self.curve.attack).map_or(self.curve.attack.as_str(), |entry| entry.title);
        let caption = PanelCaption {
            attack: attack.to_owned(),
            epsilon: point.epsilon,
            subject: format!("{} on {}", subject.model.card().name, subject.case.name),
            class: self.class.to_owned(),
            reference: reference_name(subject.reference_kind),
            clean: self.curve.clean,
            adversarial: point.measure,
            control,
            control_words: self.adversary.attack().control_words(),
        };
        let once = usize::from(index == 0);
        let (originals, shown, probabilities, gain, panel) = match &judged.classified {
            Some(found) => {
                let (tiles, gain) = pictures.image_tiles(point.epsilon)?;
                let clean = subject.clean.classified.as_ref().unwrap_or(found);
                let bars = Bars {
                    names: &self.names(),
                    clean: &clean.probabilities,
                    attacked: &found.probabilities,
                    truth: subject.class.unwrap_or(found.predicted),
                };
                let [original, noise, image] = &tiles;
                let panel = || encode_png(&class_panel(&tiles, gain, &bars, &caption)?);
                let (originals, shown, panel) = encoded(&[original][..once], &[noise, image], panel)?;
                (originals, shown, found.probabilities.to_vec(), gain, panel)
            }
            None => {
                let tiles = pictures.tiles(point.epsilon)?;
                let [original, noise, image, clean, attacked, difference] = &tiles.pictures;
                let panel = || encode_png(&panel(&tiles, &caption)?);
                let (originals, shown, panel) =
                    encoded(&[original, clean][..2 * once], &[noise, image, attacked, difference], panel)?;
                (originals, shown, Vec::new(), tiles.gain, panel)
            }
        };
        let finding = Finding {
            epsilon: point.epsilon,
            measure: point.measure,
            control,
            verdict,
            saved: if point.epsilon > 0.0 {
                Some(round_and_judge(subject, &adversarial, attempt.flow.as_ref(), point.measure)?)
            } else {
                None
            },
            pictures: shown,
            probabilities,
            gain,
            seconds: point.seconds,
        };
        // The report of a model that classifies has no place for it.
        let map = if judged.classified.is_none() {
            seen_map::map(self.seen, &self.original, &changed, [image.channels, image.height, image.width])
        } else {
            None
        };
        Ok(Painted { finding, originals, panel, map })
    }

    /// The names of the model's classes.
    fn names(&self) -> Vec<String> {
        self.subject.model.card().classes.iter().map(|class| class.name.clone()).collect()
    }
}

fn pictures(of: &[&RgbaImage]) -> Result<Vec<Picture>, ReportError> {
    let picture = |picture: &&RgbaImage| {
        Ok(Picture { png: encode_png(picture)?, width: picture.width(), height: picture.height() })
    };
    of.par_iter().map(picture).collect()
}

/// Originals, what is shown, and a panel.
type Encoded = (Vec<Picture>, Vec<Picture>, Vec<u8>);

/// Both lists as PNGs, and what `panel` makes, on all threads: compressing takes most of a report's time.
fn encoded(
    originals: &[&RgbaImage],
    shown: &[&RgbaImage],
    panel: impl FnOnce() -> Result<Vec<u8>, ReportError> + Send,
) -> Result<Encoded, ReportError> {
    let both = || rayon::join(|| pictures(originals), || pictures(shown));
    let (panel, (originals, shown)) = rayon::join(panel, both);
    Ok((originals?, shown?, panel?))
}

/// What the run itself gives reason to say.
fn observations(adversary: &Adversary, curve: &Curve) -> Result<Vec<String>, AttackError> {
    let (subject, attack) = (adversary.subject(), adversary.attack());
    let mut notes = Vec::new();
    if subject.reference_kind == Reference::CleanPrediction {
        notes.push(
            "There is no label: the model’s own prediction on the original is the reference. All numbers say how far \
             the prediction moves, not how good it is."
                .to_owned(),
        );
    }
    let case = &subject.case;
    let kind = ImageKind { modality: case.about.modality.as_deref(), of_patient: case.about.axes().is_some() };
    if let Some(doubt) = subject.model.card().doubt(kind).filter(|_| case.provenance.path.is_some()) {
        notes.push(format!("{doubt}. What it finds in images of another kind means little."));
    }
    if attack.entry().lowers_the_loss {
        let reference = reference_name(subject.reference_kind);
        notes.push(format!(
            "Inverse FGSM lowers the loss against the {reference}. It reads the answer, so it is meant for augmentation \
             on training folds only; on an image held out for testing its scores say nothing about the model. (The \
             paper’s table 2 lists it as an attack that lowers mIoU to .55, and its table 1 has lumbar .9829 plain \
             above .9774 with it: both contradict its text. It is computed here as written.)"
        ));
    }
    notes.extend(masking_notes(adversary, curve)?);
    Ok(notes)
}

impl ReportFolder {
    /// Writes all files into `folder`, which is made if it does not exist. Each file is written whole or not at all,
    /// the report last; panels of an earlier report in the same folder are removed.
    ///
    /// # Errors
    /// If the folder cannot be made or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))?;
        self.remove_old_panels(folder);
        for (name, bytes) in &self.files {
            write_bytes_atomic(&folder.join(name), bytes)?;
        }
        Ok(())
    }

    fn remove_old_panels(&self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name.starts_with(PANEL_PREFIX) && name.contains("-epsilon-") && name.ends_with(".png");
            if ours && !self.files.iter().any(|(new, _)| *new == name) {
                // If it cannot be removed it is merely out of date, and the report does not mention it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Finds out whether files can be written into `folder` before hours are spent on what goes into it. Leaves nothing.
///
/// # Errors
/// If they cannot.
pub fn check_writable(folder: &Path) -> Result<(), DataError> {
    // The nearest ancestor that exists is where the first folder would be made.
    let existing = folder.ancestors().find(|a| a.as_os_str().is_empty() || a.exists());
    let existing = existing.filter(|a| !a.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err(DataError::new(folder, format!("{} is not a folder", existing.display()), HINT));
    }
    tempfile::Builder::new().prefix(".writing-").tempfile_in(existing).map_err(|e| unwritable(folder, &e))?;
    Ok(())
}

const HINT: &str = "Choose a folder that you may write to";

fn unwritable(folder: &Path, error: &std::io::Error) -> DataError {
    // The text of the error names a file that was only tried.
    DataError::new(folder, format!("cannot be written to ({})", error.kind()), HINT)
}
