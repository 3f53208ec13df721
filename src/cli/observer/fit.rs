//! `epsiloscope observer fit`.

use crate::cli::options::print;
use crate::cli::sweep::quoted;
use crate::observer::{Estimate, ONE_DRAW, Row, SOONEST_SECS, Task, Thresholds, read_csv, thresholds};
use crate::study::report::epsilon;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};

/// Thresholds from a table of trials.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct FitTrials {
    /// A table with the columns observer, image, attack, epsilon (a fraction of the bounds' width), and correct (1 or 0) or, in
    /// yes/no, answer (altered or unaltered; ε = 0 in catch trials). `epsiloscope observer export` writes one.
    table: PathBuf,
    /// Smallest and largest ε that the study could show; without it, what the table says, else the tested ones.
    #[arg(long, value_name = "MIN,MAX", value_parser = parse_range)]
    range: Option<[f64; 2]>,
    /// Fit the ε that was asked for, even where the table says which ε the screen showed (epsilon_shown).
    #[arg(long)]
    nominal: bool,
    /// Leave out answers that the table marks as too soon to be to the images (too_soon: within 150 ms). Without this they count; how many
    /// there are is told in both cases.
    #[arg(long)]
    leave_out_too_soon: bool,
    /// The threshold of the most probable ψ, with its interval of 95 % by the parametric bootstrap with so many resamples (2000 are usual).
    /// Without it, median and interval of the posterior, which holds the threshold more often after few trials.
    #[arg(long, value_name = "RESAMPLES", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    bootstrap: Option<u32>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0, requires = "bootstrap")]
    seed: u64,
    /// The folder for thresholds.csv, answers.csv (share and d′ at each ε), a psychometric-….svg and .png for each threshold, and report.html. Made if it does not
    /// exist.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn parse_range(text: &str) -> Result<[f64; 2], String> {
    let fault = || "write two ε above 0 with a comma between them, e.g. 0.1/255,64/255".to_owned();
    let (low, high) = text.split_once(',').ok_or_else(fault)?;
    let [low, high] = [epsilon::number(low), epsilon::number(high)].map(|e| e.map_err(|e| e.to_string()));
    match [low?, high?] {
        range if 0.0 < range[0] && range[0] < range[1] => Ok(range),
        _ => Err(fault()),
    }
}

impl FitTrials {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut rows = read_csv(&self.table)?;
        if self.nominal {
            rows.iter_mut().for_each(|row| row.epsilon_shown = None);
        }
        let too_soon = too_soon_words(&rows, self.leave_out_too_soon);
        if self.leave_out_too_soon {
            rows.retain(|row| !row.too_soon);
            ensure!(!rows.is_empty(), "{}: {too_soon}; no trial is left", self.table.display());
        }
        let mut found = thresholds(&rows, self.range).with_context(|| self.table.display().to_string())?;
        if let Some(resamples) = self.bootstrap {
            found = found.into_iter().map(|t| t.bootstrapped(resamples as usize, self.seed)).collect();
        }
        let mut said = table(&found);
        if !too_soon.is_empty() {
            said += &format!("{too_soon}\n");
        }
        let Some(out) = &self.out else { return print(&said) };
        super::fit_report::write(
            out,
            [&self.table.display().to_string(), &too_soon],
            &rows,
            &found,
            self.command(out),
        )?;
        print(&(said + &format!("report: {}\n", out.join("report.html").display())))
    }

    /// The command that does the same again.
    fn command(&self, out: &Path) -> String {
        let path = |path: &Path| quoted(&path.display().to_string());
        let range = self.range.map_or(String::new(), |[low, high]| format!(" --range {low},{high}"));
        let nominal = if self.nominal { " --nominal" } else { "" };
        let too_soon = if self.leave_out_too_soon { " --leave-out-too-soon" } else { "" };
        let bootstrap = match (self.bootstrap, self.seed) {
            (None, _) => String::new(),
            (Some(resamples), 0) => format!(" --bootstrap {resamples}"),
            (Some(resamples), seed) => format!(" --bootstrap {resamples} --seed {seed}"),
        };
        format!(
            "epsiloscope observer fit {}{range}{nominal}{too_soon}{bootstrap} --out {}",
            path(&self.table),
            path(out)
        )
    }
}

/// How many answers of `rows` came too soon, of whom, and what becomes of them; empty if there are none and none were to be left out.
fn too_soon_words(rows: &[Row], left_out: bool) -> String {
    // By observer, image and attack: those that came too soon, and all.
    let mut counts: Vec<(String, [usize; 2])> = Vec::new();
    for row in rows {
        let name = format!("{}, {}, {}", row.observer, row.image, row.attack);
        let at = counts.iter().position(|(known, _)| *known == name).unwrap_or(counts.len());
        if at == counts.len() {
            counts.push((name, [0, 0]));
        }
        counts[at].1[0] += usize::from(row.too_soon);
        counts[at].1[1] += 1;
    }
    counts.retain(|(_, [early, _])| *early > 0);
    let early: usize = counts.iter().map(|(_, [early, _])| early).sum();
    match (early, left_out) {
        (0, false) => return String::new(),
        (0, true) => return "too soon: no answer is marked so in the table (column too_soon)".to_owned(),
        _ => {}
    }
    let of: Vec<String> = counts.iter().map(|(name, [early, all])| format!("{name}: {early} of {all}")).collect();
    format!(
        "too soon: {early} of {} answers came within {:.0} ms after the images, which is no time to see them ({}); {}",
        rows.len(),
        1000.0 * SOONEST_SECS,
        of.join("; "),
        if left_out { "they are left out" } else { "they count all the same, --leave-out-too-soon leaves them out" }
    )
}

fn table(found: &[Thresholds]) -> String {
    let header = [
        "observer",
        "image",
        "attack",
        "task",
        "trials",
        "distinct ε",
        "threshold ε",
        "95 % interval",
        "slope",
        "lapse",
    ];
    let mut lines = vec![header.map(str::to_owned)];
    for t in found {
        let Estimate { median, interval: [low, high] } = t.fit.threshold;
        lines.push([
            t.observer.clone(),
            t.image.clone(),
            t.attack.clone(),
            t.task.name().to_owned(),
            t.fit.trials.to_string(),
            t.answers.iter().filter(|a| a.block.epsilon > 0.0).count().to_string(),
            if t.is_reached() { epsilon::levels(median) } else { "none".to_owned() },
            format!("{} to {}", end(t, low), end(t, high)),
            format!("{:.1}", t.fit.mode.beta),
            format!("{:.2}", t.fit.lapse.median),
        ]);
    }
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[String; 10]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text: String = lines.iter().map(line).collect();
    text +=
        "threshold: the ε at which ψ, lapses included, is half-way from guessing to certainty (¾ in a forced choice); ";
    text += &found
        .first()
        .map_or_else(String::new, |t| format!("{}; its interval of 95 %: {}\n", t.threshold_of(), t.interval_of()));
    if found.iter().all(|t| t.as_shown) {
        text += "ε: as the screen showed them\n";
    } else {
        text += "ε: as they were asked for; what the screen’s levels made of them is not told, or left out\n";
    }
    for t in found.iter().filter(|t| found.iter().any(|o| o.setting != t.setting)) {
        text += &format!("{}, {}, {}: {}\n", t.observer, t.image, t.attack, t.setting.words());
    }
    for said in found.iter().flat_map(cautions) {
        text += &format!("{said}\n");
    }
    if found.iter().any(Thresholds::is_of_random_signs) {
        text += &format!("{ONE_DRAW}\n");
    }
    let without_catches = |t: &&Thresholds| t.task == Task::YesNo && t.answers.iter().all(|a| a.block.epsilon > 0.0);
    if found.iter().any(|t| without_catches(&t)) {
        text += "there are no catch trials (ε = 0): false alarms are guessed from the smallest ε, and d′ is unknown\n";
    }
    text
}

/// What must be known of the threshold of `of`: that it was not measured, or that there is none.
pub(super) fn cautions(of: &Thresholds) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(smallest) = of.setting.number("epsilon_min").filter(|smallest| of.fit.threshold.median < *smallest) {
        said.push(format!(
            "the threshold lies below the smallest ε that was shown, {}: it was not measured but follows from the fitted ψ",
            epsilon::levels(smallest)
        ));
    }
    if !of.is_reached() {
        said.push(format!(
            "no threshold was reached within the ε shown, the largest of which is {}: more trials or a larger ε may find one",
            epsilon::levels(of.range[1])
        ));
    }
    said.into_iter().map(|said| format!("{}, {}, {}: {said}", of.observer, of.image, of.attack)).collect()
}

/// An end of the interval of `of`: what lies beyond the ε of the study was not measured.
pub(super) fn end(of: &Thresholds, value: f64) -> String {
    let largest = of.range[1];
    if value <= largest { epsilon::levels(value) } else { format!("beyond {}", epsilon::levels(largest)) }
}
