//! What the report says of a model that classifies whole images.

use super::bars::Bars;
use super::class_panel;
use super::criterion::{BrokenInterval, Verdict};
use super::html::{Finding, HtmlReport};
use super::parts::{badge, describe, three, view};
use super::{epsilon, figure, raster};
use crate::study::{Decision, SeenMetric};
use maud::{Markup, html};

const WIDTH: f64 = 860.0;

impl HtmlReport<'_> {
    fn class_name(&self, class: usize) -> String {
        let names = self.classes.as_ref().map(|(names, _)| names);
        names.and_then(|names| names.get(class)).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// `nevus with P = 0.981`.
    fn chosen(&self, decision: &Decision) -> String {
        format!("{} with P = {:.3}", self.class_name(decision.predicted), decision.confidence)
    }

    pub(super) fn class_explanation(&self, intervals: &[BrokenInterval]) -> String {
        let Some(clean) = self.curve.clean.decision else { return String::new() };
        let mut text = format!(
            "The {} is {}. The model says {} of the original",
            if self.reference == "label" {
                "true class"
            } else {
                "class chosen for the original, taken for the truth,"
            },
            self.class,
            self.chosen(&clean)
        );
        let flip = self.findings.iter().find(|f| f.measure.decision.is_some_and(|d| d.flipped));
        match flip.and_then(|f| Some((f, f.measure.decision?))) {
            Some((finding, decision)) => {
                text += &format!(
                    "; the decision first flips {}, to {}",
                    figure::size_words(self.curve, finding.epsilon, epsilon::short),
                    self.chosen(&decision)
                );
                if let Some(control) = finding.control.and_then(|c| c.decision) {
                    text += &format!("; with {} it is {}", self.control, self.chosen(&control));
                }
                text += ". ";
            }
            None if figure::finds(self.curve) => text += ", and what was found does not flip the decision. ",
            None => text += ", and the decision flips at none of the measured ε. ",
        }
        let spans: Vec<String> = intervals.iter().map(describe).collect();
        if spans.is_empty() || figure::finds(self.curve) {
            text
        } else {
            text + &format!("Broken at {}.", spans.join(", and "))
        }
    }

    fn bars<'a>(&'a self, finding: &'a Finding) -> Option<Bars<'a>> {
        let (names, clean) = self.classes.as_ref()?;
        let truth = finding.measure.decision?.truth;
        Some(Bars { names, clean, attacked: &finding.probabilities, truth })
    }

    pub(super) fn class_pictures(&self) -> Markup {
        let last = self.findings.len().saturating_sub(1);
        let opening = self.findings.iter().position(|f| f.verdict == Verdict::Broken).unwrap_or(last / 2);
        html! {
            section #pictures {
                h2 { "What it looks like" }
                .slider hidden {
                    label for="epsilon" { "ε" }
                    input #epsilon type="range" min="0" max=(last) step="1" value=(opening);
                    output for="epsilon" {}
                }
                @for finding in &self.findings {
                    article.epsilon data-epsilon={ "ε = " (epsilon::both(finding.epsilon)) } {
                        h3 { "ε = " (epsilon::both(finding.epsilon)) " " (badge(finding.verdict)) }
                        @let titles = class_panel::titles(finding.gain);
                        @if let ([original, ..], [noise, adversarial, ..]) = (&self.originals[..], &finding.pictures[..]) {
                            .panel {
                                (view(original, &titles[0], &self.curve.clean.decision.map_or(String::new(), |d| self.chosen(&d)), "original"))
                                (view(noise, &titles[1], &format!("L∞ {}, L2 {:.3}", epsilon::short(finding.measure.distortion.linf), finding.measure.distortion.l2), ""))
                                (view(adversarial, &titles[2], &finding.measure.decision.map_or(String::new(), |d| self.chosen(&d)), ""))
                            }
                        }
                        @if let Some(bars) = self.bars(finding) {
                            .figure.bars {
                                svg class="fig" viewBox={ "0 -8 " (WIDTH) " " (bars.height() + 12.0) } role="img"
                                    aria-label="Probability of each class, before and after" font-family=(raster::FONT_FAMILY) {
                                    rect class="fig-back" x="0" y="-8" width=(WIDTH) height=(bars.height() + 12.0) {}
                                    (bars.draw(WIDTH))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    pub(super) fn class_table(&self) -> Markup {
        let wished = self.curve.clean.wished.is_some();
        html! {
            section {
                h2 { "Numbers" }
                .scroll {
                    table {
                        thead {
                            tr {
                                th colspan="3" {} th.word colspan="2" { "Decision" } th colspan="2" { "P(true class)" }
                                th colspan="2" { "Margin in logits" } @if wished { th { "Target" } }
                                th colspan="2" { "Perturbation" } th colspan="2" { "As shown" }
                                th colspan="3" { "After saving" } th {}
                            }
                            tr {
                                th { "ε" } th { "fraction" } th.word { "verdict" }
                                th.word { "attack" } th.word { "random" } th { "attack" } th { "random" } th { "attack" } th { "random" }
                                @if wished { th { "reached" } }
                                th { "L∞" } th { "L2" } th { "PSNR" } th { "SSIM" }
                                th { "P(true)" } th { "kept" } th.word { "alone" } th { "seconds" }
                            }
                        }
                        tbody {
                            @for f in &self.findings {
                                @let m = &f.measure;
                                @let (attack, random) = (m.decision, f.control.and_then(|c| c.decision));
                                @let name = |d: Option<Decision>| d.map_or("–".to_owned(), |d| self.class_name(d.predicted));
                                @let p = |d: Option<Decision>| d.map_or("–".to_owned(), |d| three(d.probability));
                                @let margin = |d: Option<Decision>| d.map_or("–".to_owned(), |d| format!("{:.2}", d.margin));
                                tr.broken[f.verdict == Verdict::Broken] {
                                    th scope="row" { (epsilon::levels(f.epsilon)) }
                                    td { (epsilon::fraction(f.epsilon)) }
                                    td.word { (badge(f.verdict)) }
                                    td.word { (name(attack)) } td.word.soft { (name(random)) }
                                    td { (p(attack)) } td.soft { (p(random)) }
                                    td { (margin(attack)) } td.soft { (margin(random)) }
                                    @if wished { td { (m.wished.map_or("–", |w| if w >= 1.0 { "yes" } else { "no" })) } }
                                    td { (epsilon::fraction(m.distortion.linf)) } td { (three(m.distortion.l2)) }
                                    td { (m.seen.get(SeenMetric::Psnr).map_or("–".into(), |v| format!("{v:.1}"))) }
                                    td { (m.seen.get(SeenMetric::Ssim).map_or("–".into(), |v| format!("{v:.4}"))) }
                                    @if let Some(saved) = &f.saved {
                                        td { (three(saved.after.score())) }
                                        td { (saved.kept().map_or("–".into(), |k| format!("{:.0} %", k * 100.0))) }
                                        td.word { (if self.criterion.fails(&self.curve.clean, &saved.after) { "fails" } else { "passes" }) }
                                    } @else {
                                        td { "–" } td { "–" } td.word { "–" }
                                    }
                                    td.soft { (format!("{:.3}", f.seconds)) }
                                }
                            }
                        }
                    }
                }
                p.caption { "Files beside this report: curve.csv holds the same numbers in full, with a row of random sign noise for every ε; curve.svg and curve.png the figure; panel-….png the pictures of each ε." }
            }
        }
    }

    pub(super) fn class_definitions(&self) -> Markup {
        html! {
            section.definitions {
                h2 { "What the numbers mean" }
                dl {
                    dt { "ε" } dd { "The largest change of a pixel, as a fraction of the width of the image’s bounds. 4/255 is four grey levels of an 8-bit image. Adversarial images are clipped to the bounds." }
                    dt { "decision" } dd { "The class with the largest logit. It flips where another class is chosen than for the original." }
                    dt { "P(true class)" } dd { "Softmax of the logits (for one logit its sigmoid) at the true class. It says how sure the network is of itself, not how often it is right." }
                    dt { "margin" } dd { "The logit of the true class less the largest of the others; below 0 the decision is wrong." }
                    dt { "perturbation" } dd { "L∞ and L2 norm of adversarial image − original, as fractions of the bounds’ width, after clipping." }
                    dt { "as shown" } dd { "PSNR in dB and SSIM of the original and the adversarial image as a screen shows them. A dash: they are shown the same, or the image is too small. These stand for what a person sees; nobody was asked." }
                    dt { "random sign" } dd { (self.control_meaning()) }
                    dt { "after saving" } dd { "The adversarial image is saved at the depth that the original is stored in (floating point: 8 bits), read back and judged again. Kept is the share of its effect on P(true class) that is still there. Alone: whether the saved image itself fails." }
                    dt { "measured intervals" } dd { "Only the listed ε were measured. Nothing says that a decision that is wrong at one ε is wrong at all larger ones." }
                }
            }
        }
    }
}
