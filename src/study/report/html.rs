//! The report as one HTML file: pictures and figure inside it, nothing fetched, readable on light and dark screens, on
//! paper and without scripts.

use super::conditions::Conditions;
use super::criterion::{BrokenInterval, Criterion, Verdict, broken_intervals};
use super::figure::{self, Figure};
use super::observed::Observed;
use super::parts::{badge, describe, overlap, survival, three, tile, view};
use super::{Provenance, Saved, epsilon, panel};
use crate::attack;
use crate::study::{Curve, Measure, SeenMetric};
use crate::view::Rgb;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const CSS: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// A picture of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// PNG bytes.
    pub png: Vec<u8>,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What was found at one ε.
#[derive(Clone, Debug)]
pub struct Finding {
    /// ε as a fraction of the bounds' width.
    pub epsilon: f64,
    /// Measures of the adversarial image.
    pub measure: Measure,
    /// Measures of the control at the same ε.
    pub control: Option<Measure>,
    /// Whether it broke.
    pub verdict: Verdict,
    /// The adversarial image, saved, read back and judged again.
    pub saved: Option<Saved>,
    /// Noise, adversarial image, its segmentation, what changed; of a model that classifies the first two.
    pub pictures: Vec<Picture>,
    /// The probability of each class, of a model that classifies.
    pub probabilities: Vec<f32>,
    /// What the noise is multiplied by before it is shown.
    pub gain: f64,
    /// Seconds that the point took.
    pub seconds: f64,
}

/// All that the report says.
#[derive(Debug)]
pub struct HtmlReport<'a> {
    /// The image's name, for people.
    pub subject: String,
    /// The model's name.
    pub model: String,
    /// What is segmented, in lower case: `membrane`; of a model that classifies, the true class.
    pub class: String,
    /// The names of the classes of a model that classifies, and their probabilities on the original.
    pub classes: Option<(Vec<String>, Vec<f32>)>,
    /// Colour and name of each class of a mask where there are more than two; else none.
    pub colours: Vec<(Rgb, String)>,
    /// `label` or `clean prediction`.
    pub reference: &'static str,
    /// The curve.
    pub curve: &'a Curve,
    /// What the control is: `random signs of the same ε`.
    pub control: &'static str,
    /// What counts as broken.
    pub criterion: Criterion,
    /// Under what the curve was measured.
    pub conditions: &'a Conditions,
    /// One for each of the curve's points, in order.
    pub findings: Vec<Finding>,
    /// The original and its segmentation; of a model that classifies the first.
    pub originals: Vec<Picture>,
    /// Thresholds of observers, the one that is drawn first.
    pub observed: Vec<Observed>,
    /// What a reader must know before trusting the numbers, a sentence or two each.
    pub notes: Vec<String>,
    /// Where it comes from.
    pub provenance: Provenance,
}

impl HtmlReport<'_> {
    /// The document.
    pub fn html(&self) -> String {
        let attack = attack::find(&self.curve.attack);
        let title = format!("{}: {} on {}", self.subject, figure::title(&self.curve.attack), self.model);
        let figure = Figure {
            subtitle: format!("{} on {}", self.model, self.subject),
            threshold: self.observed.first().map(|o| o.line.clone()),
            inline: true,
            ..Figure::of(self.curve).under(self.conditions)
        };
        let intervals = broken_intervals(self.curve, self.criterion);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // Nothing is fetched: a browser holds the report to it.
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
                    title { (title) }
                    style { (PreEscaped(CSS)) (PreEscaped(self.shared_pictures())) }
                }
                body {
                    main {
                        header {
                            p.kicker { "Epsiloscope report" }
                            h1 { (self.headline(&intervals)) }
                            p.lead { (self.explanation(&intervals)) }
                        }
                        (self.summary(&intervals))
                        @if !self.notes.is_empty() {
                            section.notes aria-label="Notes" {
                                h2 { "Read this first" }
                                ul { @for note in &self.notes { li { (note) } } }
                            }
                        }
                        section {
                            h2 { "Along ε" }
                            .figure { (PreEscaped(figure.svg())) }
                        }
                        (super::observed::section(&self.observed))
                        @if self.classes.is_some() {
                            (self.class_pictures())
                            (self.class_table())
                            (self.origin(attack))
                            (self.class_definitions())
                        } @else {
                            (self.pictures())
                            (self.table())
                            (super::visibility::section(&self.findings))
                            (self.origin(attack))
                            (self.definitions())
                        }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn shared_pictures(&self) -> String {
        let style = |(class, picture): (&&str, &Picture)| {
            format!(".{class}{{background-image:url(data:image/png;base64,{})}}\n", STANDARD.encode(&picture.png))
        };
        ["original", "segmentation"].iter().zip(&self.originals).map(style).collect()
    }

    fn name(&self) -> &str {
        attack::find(&self.curve.attack).map_or(self.curve.attack.as_str(), |entry| entry.title)
    }

    pub(super) fn at(&self, epsilon: f64) -> Option<&Finding> {
        self.findings.iter().find(|f| f.epsilon == epsilon)
    }

    fn headline(&self, intervals: &[BrokenInterval]) -> String {
        let name = self.name();
        match intervals.first() {
            Some(first) => {
                format!("{name} breaks {} {}", self.model, figure::size_words(self.curve, first.first, epsilon::short))
            }
            None if self.criterion.clean_fails(&self.curve.clean) => {
                format!("{} fails on this image before any attack", self.model)
            }
            None if self.any(Verdict::NoiseToo) => {
                format!("Where {name} breaks {}, {} break it too", self.model, self.control)
            }
            None if figure::finds(self.curve) => format!("What {name} found does not break {}", self.model),
            None => format!("{name} does not break {} at any measured ε", self.model),
        }
    }

    fn any(&self, verdict: Verdict) -> bool {
        self.findings.iter().any(|f| f.verdict == verdict)
    }

    fn explanation(&self, intervals: &[BrokenInterval]) -> String {
        if self.classes.is_some() {
            return self.class_explanation(intervals);
        }
        let clean = self.curve.clean.overlap.dice;
        let reference = self.reference;
        let Some(finding) = intervals.first().and_then(|i| self.at(i.first)) else {
            let worst = self.findings.iter().map(|f| f.measure.overlap.dice).fold(clean, f64::min);
            return format!(
                "Dice of {} against the {reference} is {clean:.3} on the original and {worst:.3} at worst.",
                self.class
            );
        };
        let mut text = format!(
            "Dice of {} against the {reference} falls from {clean:.3} to {:.3}",
            self.class, finding.measure.overlap.dice
        );
        if let Some(control) = finding.control {
            text += &format!("; {} leave {:.3}", self.control, control.overlap.dice);
        }
        text += ". ";
        if figure::finds(self.curve) {
            return text;
        }
        let spans: Vec<String> = intervals.iter().map(describe).collect();
        text + &format!("Broken at {}.", spans.join(", and "))
    }

    /// What the control is, in full.
    pub(super) fn control_meaning(&self) -> String {
        format!(
            "The control, {}: it knows nothing of the model. Signs are the toss of a coin in every pixel, clipped to the bounds; where ε \
             bounds the largest change of a pixel they are as long as ε, else as long as it takes to have the L2 norm of the \
             attack’s perturbation.",
            self.control
        )
    }

    /// The few numbers that a reader looks for.
    fn summary(&self, intervals: &[BrokenInterval]) -> Markup {
        let clean = &self.curve.clean;
        let first = intervals.first().and_then(|i| self.at(i.first));
        let shown =
            first.or_else(|| self.findings.iter().min_by(|a, b| a.measure.score().total_cmp(&b.measure.score())));
        html! {
            section.tiles aria-label="Summary" {
                @match first {
                    Some(finding) if figure::finds(self.curve) => (tile("What breaks it", &match finding.measure.displacement {
                        Some(pixels) => format!("{pixels:.2} px"),
                        None => format!("L2 {:.3}", finding.measure.distortion.l2),
                    }, &format!("found by {}; L∞ {}", self.name(), epsilon::both(finding.epsilon)))),
                    Some(finding) => (tile("Smallest ε that breaks it", &epsilon::short(finding.epsilon),
                        &format!("{}, smallest measured", epsilon::both(finding.epsilon)))),
                    None if figure::finds(self.curve) => (tile("What breaks it", "nothing", &format!("that {} found", self.name()))),
                    None => (tile("Smallest ε that breaks it", "none", &format!("of {} measured", self.findings.len()))),
                }
                @if let Some(finding) = shown {
                    @let at = figure::size_words(self.curve, finding.epsilon, epsilon::short);
                    @let name = clean.score_name();
                    (tile(name, &format!("{:.3} → {:.3}", clean.score(), finding.measure.score()), &at))
                    @if let Some(control) = finding.control {
                        (tile(&format!("{name} under the control"), &format!("{:.3}", control.score()), &at))
                    }
                    @if let Some(saved) = &finding.saved {
                        @let (word, detail) = survival(saved);
                        (tile(&format!("After saving as {}", saved.stored.name()), word, &detail))
                    }
                }
            }
        }
    }

    fn pictures(&self) -> Markup {
        let last = self.findings.len().saturating_sub(1);
        // Opens where it gets interesting: the first broken ε, else the middle.
        let opening = self.findings.iter().position(|f| f.verdict == Verdict::Broken).unwrap_or(last / 2);
        html! {
            section #pictures {
                h2 { "What it looks like" }
                @if !self.colours.is_empty() {
                    p.colours {
                        @for (colour, name) in &self.colours {
                            span.key { span.swatch style={ "background:" (panel::hex(*colour)) } {} (name) }
                        }
                    }
                }
                .slider hidden {
                    label for="epsilon" { "ε" }
                    input #epsilon type="range" min="0" max=(last) step="1" value=(opening);
                    output for="epsilon" {}
                }
                @for finding in &self.findings {
                    @let clean = &self.curve.clean;
                    @let titles = panel::titles(&self.class, finding.gain, !self.colours.is_empty());
                    @if let ([original, segmentation], [noise, adversarial, attacked, changed]) = (&self.originals[..], &finding.pictures[..]) {
                    article.epsilon data-epsilon={ "ε = " (epsilon::both(finding.epsilon)) } {
                        h3 { "ε = " (epsilon::both(finding.epsilon)) " " (badge(finding.verdict)) }
                        .panel {
                            (view(original, &titles[0], "", "original"))
                            (view(noise, &titles[1], &format!("L∞ {}, L2 {:.3}", epsilon::short(finding.measure.distortion.linf), finding.measure.distortion.l2), ""))
                            (view(adversarial, &titles[2], "", ""))
                            (view(segmentation, &titles[3], &overlap(clean), "segmentation"))
                            (view(attacked, &titles[4], &overlap(&finding.measure), ""))
                            (view(changed, &titles[5], if self.colours.is_empty() { "plain orange: appeared; hatched blue: vanished" } else { "the colour is that of the new class; hatched: no class any more" }, ""))
                        }
                    }
                    }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            section {
                h2 { "Numbers" }
                .scroll {
                    table {
                        thead {
                            tr {
                                th colspan="3" {} th colspan="2" { "Dice" } th colspan="2" { "IoU" }
                                th colspan="3" { "Pixel error" } th colspan="3" { "Perturbation" }
                                th colspan="2" { "As shown" } th colspan="4" { "After saving" } th {}
                            }
                            tr {
                                th { "ε" } th { "fraction" } th.word { "verdict" }
                                th { "attack" } th { "random" } th { "attack" } th { "random" }
                                th { "L2" } th { "RMSE" } th { "wrong" } th { "L∞" } th { "L2" } th { "random L2" }
                                th { "PSNR" } th { "SSIM" }
                                th { "Dice" } th { "kept" } th { "L∞" } th.word { "alone" } th { "seconds" }
                            }
                        }
                        tbody {
                            @for f in &self.findings {
                                @let m = &f.measure;
                                tr.broken[f.verdict == Verdict::Broken] {
                                    th scope="row" { (epsilon::levels(f.epsilon)) }
                                    td { (epsilon::fraction(f.epsilon)) }
                                    td.word { (badge(f.verdict)) }
                                    td { (three(m.overlap.dice)) } td.soft { (f.control.map_or("–".into(), |c| three(c.overlap.dice))) }
                                    td { (three(m.overlap.iou)) } td.soft { (f.control.map_or("–".into(), |c| three(c.overlap.iou))) }
                                    td { (format!("{:.2}", m.error.l2)) } td { (three(m.error.rmse)) }
                                    td { (format!("{:.2} %", m.error.wrong * 100.0)) }
                                    td { (epsilon::fraction(m.distortion.linf)) } td { (three(m.distortion.l2)) }
                                    td.soft { (f.control.map_or("–".into(), |c| three(c.distortion.l2))) }
                                    td { (m.seen.get(SeenMetric::Psnr).map_or("–".into(), |v| format!("{v:.1}"))) }
                                    td { (m.seen.get(SeenMetric::Ssim).map_or("–".into(), |v| format!("{v:.4}"))) }
                                    @if let Some(saved) = &f.saved {
                                        td { (three(saved.after.overlap.dice)) }
                                        td { (saved.kept().map_or("–".into(), |k| format!("{:.0} %", k * 100.0))) }
                                        td { (epsilon::fraction(saved.after.distortion.linf)) }
                                        td.word { (if self.criterion.fails(&self.curve.clean, &saved.after) { "fails" } else { "passes" }) }
                                    } @else {
                                        td { "–" } td { "–" } td { "–" } td.word { "–" }
                                    }
                                    td.soft { (format!("{:.3}", f.seconds)) }
                                }
                            }
                        }
                    }
                }
                p.caption { "Files beside this report: curve.csv holds the same numbers in full, with a row of random sign noise for every ε; conditions.toml under what they were measured; curve.svg and curve.png the figure; panel-….png the pictures of each ε." }
            }
        }
    }

    fn origin(&self, attack: Option<&attack::Entry>) -> Markup {
        html! {
            section {
                h2 { "Where this comes from" }
                dl {
                    @for (name, text) in &self.provenance.facts { dt { (name) } dd { (text) } }
                    @if let Some(entry) = attack {
                        dt { "what the attack does" } dd { (entry.description) }
                        dt { "source of the attack" } dd { (entry.source) }
                    }
                    dt { "broken means" } dd {
                        "The original passes, the adversarial image fails, and with " (self.control) " it does not fail. "
                        "To fail: " (self.criterion)
                        @if let (None, Some(dice)) = (&self.classes, self.criterion.dice(&self.curve.clean)) { " (here " (three(dice)) ")" } "."
                        @if let Some(floor) = self.criterion.clean_floor() {
                            " The original passes if its own Dice is at least " (floor) ": a model that misses more than that has nothing to lose."
                        }
                    }
                }
                @if !self.provenance.command.is_empty() {
                    p { "To make it again" }
                    pre { code { (self.provenance.command) } }
                }
            }
        }
    }

    fn definitions(&self) -> Markup {
        html! {
            section.definitions {
                h2 { "What the numbers mean" }
                dl {
                    dt { "ε" } dd { "The largest change of a pixel, as a fraction of the width of the image’s bounds. 4/255 is four grey levels of an 8-bit image. Adversarial images are clipped to the bounds." }
                    dt { "Dice, IoU" } dd { "Overlap of predicted and reference " (self.class) ": 2·TP / (2·TP + FP + FN) and TP / (TP + FP + FN). Two empty masks overlap fully." }
                    dt { "pixel error" } dd { "L2 is ‖y − p‖₂ with y = 1 on " (self.class) " and p its predicted probability; RMSE is L2 / √N over the N pixels that count; wrong is the share of pixels whose predicted class is not the reference’s." }
                    dt { "perturbation" } dd { "L∞ and L2 norm of adversarial image − original, as fractions of the bounds’ width, after clipping." }
                    dt { "as shown" } dd { "PSNR in dB and SSIM of the original and the adversarial image as a screen shows them: in the grey levels that its window and bits leave. A dash: they are shown the same. These stand for what a person sees; nobody was asked." }
                    dt { "random sign" } dd { (self.control_meaning()) }
                    dt { "after saving" } dd { "The adversarial image is saved at the depth that the original is stored in (floating point: 8 bits), read back and judged again. Kept is the share of its effect on Dice that is still there: survives from 50 %, weakened from 10 %, else gone. A dash: there was no effect worth the name (0.01). Rounding moves every pixel to a whole step: L∞ in the file can be smaller than ε, or larger. Alone: whether the saved image itself fails." }
                    dt { "measured intervals" } dd { "Only the listed ε were measured. Nothing says that a model broken at one ε is broken at all larger ones." }
                }
            }
        }
    }
}
