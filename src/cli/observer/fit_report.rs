//! What `epsiloscope observer fit --out` writes: thresholds as a table, a figure for each, and a report that can be mailed.

use super::fit::{cautions, end};
use crate::data::write_bytes_atomic;
use crate::observer::{AtEpsilon, Block, ONE_DRAW, Row, Task, Thresholds, thresholds_csv, wilson};
use crate::study::report::{AnsweredShare, Provenance, PsychometricFigure, check_writable, epsilon, page, utc_now};
use maud::{Markup, html};
use std::path::Path;

/// Points of a drawn function.
const POINTS: usize = 200;

/// Writes of the trials of `table` (its name, and what is to be said of answers that came too soon) `thresholds.csv`, `answers.csv`, `psychometric-NN.svg` and `.png` for each of `found`, and `report.html`.
///
/// # Errors
/// If the folder cannot be written to, or a figure cannot be drawn.
pub(super) fn write(
    out: &Path,
    [table, too_soon]: [&str; 2],
    rows: &[Row],
    found: &[Thresholds],
    command: String,
) -> anyhow::Result<()> {
    check_writable(out)?;
    std::fs::create_dir_all(out)?;
    write_bytes_atomic(&out.join("thresholds.csv"), thresholds_csv(found)?.as_bytes())?;
    write_bytes_atomic(&out.join("answers.csv"), answers_csv(found)?.as_bytes())?;
    let mut figures = Vec::new();
    for (number, one) in found.iter().enumerate() {
        let figure = figure(one);
        let name = format!("psychometric-{:02}", number + 1);
        write_bytes_atomic(&out.join(format!("{name}.svg")), figure.svg().as_bytes())?;
        write_bytes_atomic(&out.join(format!("{name}.png")), &figure.png()?)?;
        figures.push(figure);
    }
    let mut facts = Provenance { command, ..Provenance::default() };
    facts.add("trials", format!("{table}, {} that count", rows.len()));
    facts.add(
        "fit",
        "ψ(ε) = γ + (1 − γ − λ)·(1 − exp(−(ε/α)^β)), λ free, γ = ½ in a forced choice; Bayesian, on a grid",
    );
    let bootstrapped = found.iter().find(|t| t.resamples.is_some());
    let posterior = if bootstrapped.is_some() { "" } else { "; median, 2.5 and 97.5 percentile of the posterior" };
    facts.add(
        "threshold",
        format!(
            "the ε at which ψ, lapses included, is half-way between guessing and certainty, (ψ − γ)/(1 − γ) = ½, so ¾ in a forced choice: the perturbation \
         is detected in half of all looks, by this observer, who knows the image and has seen the perturbation often{posterior}"
        ),
    );
    if let Some((of, resamples)) = bootstrapped.and_then(|t| Some((t.threshold_of(), t.resamples?))) {
        facts.add(
            "interval",
            format!(
                "the threshold is {of}; its interval in place of the posterior’s: 2.5 and 97.5 percentile of the parametric bootstrap, {resamples} times answers drawn from the most \
                 probable ψ at the same ε and fitted again"
            ),
        );
    }
    facts.add("ε", "a fraction of the width of the image’s bounds, and grey levels of 8 bits (/255)");
    facts.add("prior", "of psignifit, but for the width of ψ: log-normal about a decade of ε with a spread of e; λ and γ in yes/no Beta(1, 10)");
    if bootstrapped.is_none() {
        facts.add(
            "figures",
            "the line is the most probable ψ, the threshold the median of the posterior: after few trials they differ",
        );
    }
    facts.add(
        "not measured",
        "luminance and gamma of the screen, and the light in the room: a threshold in grey levels holds for screens like this one",
    );
    facts.add(
        "as shown",
        "the ε that was asked for, times the root mean square of the change on the screen, under its window and rounded to its levels, \
         over that without rounding; trials of ε that were shown the same are trials of one ε, and of none where nothing was shown",
    );
    facts.add(
        "d′",
        "of the trials at one ε alone, rates as (count + ½)/(total + 1): √2·z(share correct) in a forced choice of two, z(hits) − z(false \
         alarms) in yes/no, false alarms over all trials without a perturbation. A pooled d′ would describe the ε that were placed, \
         not the observer",
    );
    if found.iter().any(Thresholds::is_of_random_signs) {
        facts.add("control", ONE_DRAW);
    }
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    let page = page("Thresholds of what people see", &body(found, &figures, &facts, too_soon));
    write_bytes_atomic(&out.join("report.html"), page.as_bytes())?;
    Ok(())
}

/// A row for each ε of each threshold.
fn answers_csv(found: &[Thresholds]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "number",
        "observer",
        "image",
        "attack",
        "task",
        "epsilon",
        "trials",
        "positive",
        "share",
        "share_lower",
        "share_upper",
        "fitted",
        "d_prime",
    ])?;
    for (number, t) in found.iter().enumerate() {
        for AtEpsilon { block, d_prime } in &t.answers {
            let [low, high] = wilson(block.positive.into(), block.total.into());
            writer.write_record([
                (number + 1).to_string(),
                t.observer.clone(),
                t.image.clone(),
                t.attack.clone(),
                t.task.name().to_owned(),
                block.epsilon.to_string(),
                block.total.to_string(),
                block.positive.to_string(),
                share(block).to_string(),
                low.to_string(),
                high.to_string(),
                t.fit.mode.probability(block.epsilon).to_string(),
                d_prime.map(|d| d.to_string()).unwrap_or_default(),
            ])?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn share(block: &Block) -> f64 {
    f64::from(block.positive) / f64::from(block.total.max(1))
}

fn figure(of: &Thresholds) -> PsychometricFigure {
    let blocks: Vec<Block> = of.answers.iter().map(|a| a.block).collect();
    let positive = || blocks.iter().map(|b| b.epsilon).filter(|e| *e > 0.0);
    let threshold = of.is_reached().then_some(of.fit.threshold.median);
    // To the threshold, where that lies below what was shown.
    let [first, last] = [positive().chain(threshold).fold(1.0, f64::min), positive().fold(0.0, f64::max)];
    let curve = (0..=POINTS).map(|i| {
        let epsilon = first * (last / first).powf(i as f64 / POINTS as f64);
        [epsilon, of.fit.mode.probability(epsilon)]
    });
    let answers = blocks.iter().map(|b| AnsweredShare {
        epsilon: b.epsilon,
        trials: b.total,
        share: share(b),
        interval: wilson(b.positive.into(), b.total.into()),
    });
    PsychometricFigure {
        title: format!("{}: {}, {}", of.observer, of.image, of.attack),
        subtitle: format!("{} trials, {}; {}", of.fit.trials, of.task.name(), of.setting.words()),
        side: if of.task == Task::TwoAlternative { "correct" } else { "“altered”" },
        chance: of.fit.mode.gamma,
        answers: answers.collect(),
        curve: curve.collect(),
        threshold,
        interval: of.fit.threshold.interval,
    }
}

fn body(found: &[Thresholds], figures: &[PsychometricFigure], facts: &Provenance, too_soon: &str) -> Markup {
    let threshold =
        |t: &Thresholds| if t.is_reached() { epsilon::levels(t.fit.threshold.median) } else { "none".to_owned() };
    html! {
        header {
            p.kicker { "Epsiloscope reader study" }
            h1 { "Thresholds of what people see" }
            p.lead { "From which ε on an observer sees a perturbation, of each image and attack, with its interval of 95 %." }
        }
        section {
            h2 { "Thresholds" }
            .scroll { table {
                thead { tr {
                    th.word { "observer" } th.word { "image" } th.word { "attack" } th.word { "task" } th { "trials" } th { "distinct ε" } th { "threshold ε" }
                    th { "lower" } th { "upper" } th { "slope β" } th { "lapse rate" } th { "catch trials right" } th.word { "ε are" }
                } }
                tbody {
                    @for t in found {
                        tr {
                            td.word { (t.observer) } td.word { (t.image) } td.word { (t.attack) } td.word { (t.task.name()) } td { (t.fit.trials) } td { (distinct(t)) }
                            th scope="row" { (threshold(t)) } td { (end(t, t.fit.threshold.interval[0])) } td { (end(t, t.fit.threshold.interval[1])) }
                            td { (format!("{:.1}", t.fit.mode.beta)) } td { (format!("{:.2}", t.fit.lapse.median)) } td { (t.catches[0]) " of " (t.catches[1]) }
                            td.word { (if t.as_shown { "as shown" } else { "as asked for" }) }
                        }
                    }
                }
            } }
        }
        section {
            h2 { "What to keep in mind" }
            @for said in found.iter().flat_map(cautions) { p { (said) "." } }
            @if !too_soon.is_empty() { p { (too_soon) "." } }
            p {
                "Catch trials are of the largest ε in a forced choice, and unaltered in yes/no: few right ones mean that the observer no longer looked, or \
                 that the threshold holds for somebody who says “altered” easily. The deviance in thresholds.csv is no test of the fit here: with one to three trials \
                 at an ε it does not follow χ² (Wichmann & Hill, “The psychometric function: I”, Perception & Psychophysics 63, 2001). Luminance and gamma of the screen \
                 and the light in the room were not measured."
            }
        }
        section {
            h2 { "Answers" }
            @for (figure, t) in figures.iter().zip(found) { .figure { (figure.inline()) } (answers(t)) }
        }
        section {
            h2 { "How it was shown" }
            @for t in found {
                h3 { (t.observer) ": " (t.image) ", " (t.attack) }
                @if t.setting.is_empty() { p { "The table does not say. Without zoom, window, screen and distance a threshold holds for nobody else." } }
                dl {
                    @for (name, value) in t.setting.facts() { dt { (name) } dd { (value) } }
                    @if !t.seeds.is_empty() { dt { "seed of order and sides" } dd { (t.seeds.join(", ")) } }
                }
            }
        }
        section {
            h2 { "Where this comes from" }
            dl { @for (name, text) in &facts.facts { dt { (name) } dd { (text) } } }
            p { "To make it again" } pre { code { (facts.command) } }
        }
    }
}

fn distinct(t: &Thresholds) -> usize {
    t.answers.iter().filter(|a| a.block.epsilon > 0.0).count()
}

/// Share and d′ at each ε.
fn answers(t: &Thresholds) -> Markup {
    let positive = if t.task == Task::TwoAlternative { "correct" } else { "“altered”" };
    html! {
        details {
            summary { "Numbers at each ε: " (distinct(t)) " different ones" }
            .scroll { table {
                thead { tr { th { "ε" } th { "trials" } th { (positive) } th { "share" } th { "lower" } th { "upper" } th { "fitted ψ" } th { "d′" } } }
                tbody {
                    @for AtEpsilon { block, d_prime } in &t.answers {
                        @let [low, high] = wilson(block.positive.into(), block.total.into());
                        tr {
                            th scope="row" { (epsilon::levels(block.epsilon)) } td { (block.total) } td { (block.positive) }
                            td { (format!("{:.2}", share(block))) } td { (format!("{low:.2}")) } td { (format!("{high:.2}")) }
                            td { (format!("{:.2}", t.fit.mode.probability(block.epsilon))) }
                            td { (d_prime.map_or("–".to_owned(), |d| format!("{d:.2}"))) }
                        }
                    }
                }
            } }
        }
    }
}
