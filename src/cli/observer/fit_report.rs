//! What `epsiloscope observer fit --out` writes: thresholds as a table, a figure for each, and a report that can be mailed.

use crate::data::write_bytes_atomic;
use crate::observer::{Block, Row, Shown, Task, Thresholds, wilson};
use crate::study::report::{AnsweredShare, Provenance, PsychometricFigure, check_writable, epsilon, page, utc_now};
use maud::{Markup, html};
use std::path::Path;

/// Points of a drawn function.
const POINTS: usize = 200;

/// Writes `thresholds.csv`, `psychometric-NN.svg` and `.png` for each of `found`, and `report.html`.
///
/// # Errors
/// If the folder cannot be written to, or a figure cannot be drawn.
pub(super) fn write(
    out: &Path,
    table: &Path,
    rows: &[Row],
    found: &[Thresholds],
    shown: &[Shown],
    command: String,
) -> anyhow::Result<()> {
    check_writable(out)?;
    std::fs::create_dir_all(out)?;
    write_bytes_atomic(&out.join("thresholds.csv"), csv(found).as_bytes())?;
    let mut figures = Vec::new();
    for (number, one) in found.iter().enumerate() {
        let figure = figure(one, rows, shown);
        let name = format!("psychometric-{:02}", number + 1);
        write_bytes_atomic(&out.join(format!("{name}.svg")), figure.svg().as_bytes())?;
        write_bytes_atomic(&out.join(format!("{name}.png")), &figure.png()?)?;
        figures.push(figure);
    }
    let mut facts = Provenance { command, ..Provenance::default() };
    facts.add("trials", format!("{}, {} that count", table.display(), rows.len()));
    facts.add(
        "fit",
        "ψ(ε) = γ + (1 − γ − λ)·(1 − exp(−(ε/α)^β)), λ free, γ = ½ in a forced choice; Bayesian, on a grid",
    );
    facts.add(
        "threshold",
        "the ε at which ψ, guesses and lapses included, is ¾: median, 2.5 and 97.5 percentile of the posterior",
    );
    facts.add("ε", "a fraction of the width of the image’s bounds, and grey levels of 8 bits (/255)");
    facts.add("made by", format!("Epsiloscope {}, {}", env!("CARGO_PKG_VERSION"), utc_now()));
    let page = page("Thresholds of what people see", &body(found, &figures, shown, &facts));
    write_bytes_atomic(&out.join("report.html"), page.as_bytes())?;
    Ok(())
}

fn csv(found: &[Thresholds]) -> String {
    let mut text =
        "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,alpha,beta,gamma,lambda,\
                    lambda_lower,lambda_upper,deviance,d_prime\n"
            .to_owned();
    let quoted = |cell: &str| {
        if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
    };
    for t in found {
        let fit = &t.fit;
        let names = [&t.observer, &t.image, &t.attack].map(|name| quoted(name)).join(",");
        let numbers = [
            fit.threshold.median,
            fit.threshold.interval[0],
            fit.threshold.interval[1],
            fit.mode.alpha,
            fit.mode.beta,
            fit.mode.gamma,
            fit.mode.lambda,
            fit.lapse.interval[0],
            fit.lapse.interval[1],
            fit.deviance,
        ];
        let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
        let d_prime = t.d_prime.map(|d| d.to_string()).unwrap_or_default();
        text += &format!("{names},{},{},{},{d_prime}\n", t.task.name(), fit.trials, numbers.join(","));
    }
    text
}

/// The trials of one threshold.
fn blocks(of: &Thresholds, rows: &[Row]) -> Vec<Block> {
    let mine = |r: &&Row| r.observer == of.observer && r.image == of.image && r.attack == of.attack;
    Block::gather(rows.iter().filter(mine).map(|r| (r.epsilon, r.positive)))
}

fn figure(of: &Thresholds, rows: &[Row], shown: &[Shown]) -> PsychometricFigure {
    let blocks = blocks(of, rows);
    let positive = || blocks.iter().map(|b| b.epsilon).filter(|e| *e > 0.0);
    let [first, last] = [positive().fold(1.0, f64::min), positive().fold(0.0, f64::max)];
    let curve = (0..=POINTS).map(|i| {
        let epsilon = first * (last / first).powf(i as f64 / POINTS as f64);
        [epsilon, of.fit.mode.probability(epsilon)]
    });
    let answers = blocks.iter().map(|b| AnsweredShare {
        epsilon: b.epsilon,
        trials: b.total,
        share: f64::from(b.positive) / f64::from(b.total.max(1)),
        interval: wilson(b.positive.into(), b.total.into()),
    });
    let conditions =
        shown.iter().find(|s| s.observer == of.observer).map_or(String::new(), |s| format!("; {}", s.words()));
    PsychometricFigure {
        title: format!("{}: {}, {}", of.observer, of.image, of.attack),
        subtitle: format!("{} trials, {}{conditions}", of.fit.trials, of.task.name()),
        side: if of.task == Task::TwoAlternative { "correct" } else { "“altered”" },
        chance: of.fit.mode.gamma,
        answers: answers.collect(),
        curve: curve.collect(),
        threshold: Some(of.fit.threshold.median).filter(|t| t.is_finite() && *t <= 1.0),
        interval: of.fit.threshold.interval,
    }
}

fn body(found: &[Thresholds], figures: &[PsychometricFigure], shown: &[Shown], facts: &Provenance) -> Markup {
    let ends = |e: f64| if e.is_finite() && e <= 1.0 { epsilon::levels(e) } else { "none".to_owned() };
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
                    th.word { "observer" } th.word { "image" } th.word { "attack" } th.word { "task" } th { "trials" } th { "threshold ε" }
                    th { "lower" } th { "upper" } th { "slope β" } th { "lapse rate" } th { "d′" }
                } }
                tbody {
                    @for t in found {
                        tr {
                            td.word { (t.observer) } td.word { (t.image) } td.word { (t.attack) } td.word { (t.task.name()) } td { (t.fit.trials) }
                            th scope="row" { (ends(t.fit.threshold.median)) } td { (ends(t.fit.threshold.interval[0])) } td { (ends(t.fit.threshold.interval[1])) }
                            td { (format!("{:.1}", t.fit.mode.beta)) } td { (format!("{:.2}", t.fit.lapse.median)) }
                            td { (t.d_prime.map_or("–".to_owned(), |d| format!("{d:.2}"))) }
                        }
                    }
                }
            } }
        }
        section {
            h2 { "Answers" }
            @for figure in figures { .figure { (figure.inline()) } }
        }
        section {
            h2 { "How it was shown" }
            @if shown.is_empty() { p { "The table does not say. Without zoom, window, screen and distance a threshold holds for nobody else." } }
            @for s in shown {
                h3 { (s.observer) }
                dl { @for (name, value) in &s.facts { dt { (name) } dd { (value) } } }
            }
        }
        section {
            h2 { "Where this comes from" }
            dl { @for (name, text) in &facts.facts { dt { (name) } dd { (text) } } }
            p { "To make it again" } pre { code { (facts.command) } }
        }
    }
}
