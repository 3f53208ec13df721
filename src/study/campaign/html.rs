//! The report of a campaign: one HTML file that needs nothing else.

use super::along::{AttackAlong, NormAlong, method};
use super::summary::{Cell, Summary};
use super::windows::SetWindows;
use super::windows_html;
use super::{OneStep, without_interval};
use crate::attack;
use crate::study::report::{NamedLine, Provenance, campaign_chart, epsilon, page};
use maud::{Markup, html};

/// The document. `windows` are those of what counts as not seen; `score` names what scores are: `Dice`, `P(true class)`.
pub fn campaign_html(
    summary: &Summary,
    windows: Option<(&[SetWindows], &str)>,
    provenance: &Provenance,
    criterion: &str,
    score: &str,
) -> String {
    let data = summary.names(|c| &c.data);
    let attacks = summary.names(|c| &c.attack);
    let models = summary.names(|c| &c.made_on);
    let headline = format!(
        "{} on {}, {}",
        counted(attacks.len(), "attack"),
        counted(models.len(), "model"),
        counted(data.len(), "data set")
    );
    let body = html! {
        header {
            p.kicker { "Epsiloscope campaign" }
            h1 { (headline) }
            p.lead { (lead(summary, criterion)) }
        }
        @if !summary.notes.is_empty() {
            section.notes aria-label="Notes" {
                h2 { "Read this first" }
                ul { @for note in &summary.notes { li { (note) } } }
            }
        }
        @for set in &data {
            section {
                h2 { "Along ε: " (set) }
                @for model in &models { (charts(summary, set, model)) }
            }
            @if models.len() > 1 { (matrices(summary, set, &models)) }
        }
        (least(summary))
        @if let Some((sets, limit)) = windows { (windows_html::section(sets, limit)) }
        (table(summary, score))
        section {
            h2 { "Where this comes from" }
            dl { @for (name, text) in &provenance.facts { dt { (name) } dd { (text) } } }
            @if !provenance.command.is_empty() { p { "To make it again, or to go on" } pre { code { (provenance.command) } } }
        }
        (definitions(criterion, score))
    };
    page(&headline, &body)
}

/// `1 image`, `2 images`.
pub fn counted(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

fn title(name: &str) -> String {
    attack::find(name).map_or(name, |entry| entry.title).to_owned()
}

/// The attack with those of its parameters that are not the defaults.
fn attack_name(cell: &Cell) -> String {
    let Some(entry) = attack::find(&cell.attack) else { return cell.attack.clone() };
    let default = |setting: &&str| {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        entry.parameters.iter().any(|p| p.name == name && p.text(p.default) == value)
    };
    let set: Vec<&str> = cell.parameters.split(' ').filter(|s| !s.is_empty() && !default(s)).collect();
    if set.is_empty() { entry.title.to_owned() } else { format!("{} ({})", entry.title, set.join(", ")) }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A share with its interval, if it has one: `12.5 % (3.1 to 25.0)`.
fn with_interval(share: f64, interval: Option<[f64; 2]>) -> String {
    let [lower, upper] = interval.unwrap_or_default().map(|end| 100.0 * end);
    match interval {
        Some(_) => format!("{} ({lower:.1} to {upper:.1})", percent(share)),
        None => percent(share),
    }
}

fn lead(summary: &Summary, criterion: &str) -> String {
    let white = || summary.cells.iter().filter(|c| c.made_on == c.judged_on);
    let most = white().map(|c| c.broken).fold(0.0, f64::max);
    // Of those that break as many the smallest: by ε, or by the L∞ norm where ε bounds another or nothing.
    let size = |c: &Cell| c.epsilon.filter(|_| c.norm == "linf").unwrap_or(c.norms[0]);
    let mut tied: Vec<&Cell> = white().filter(|c| c.broken >= most).collect();
    tied.sort_by(|a, b| size(a).total_cmp(&size(b)));
    let Some((cell, others)) = tied.split_first() else { return "Nothing was measured.".to_owned() };
    let passing = match cell.passing {
        1 => "1 clean image that passes".to_owned(),
        count => format!("{count} clean images that pass"),
    };
    let why = without_interval(cell.units).map_or_else(String::new, |why| format!("Without an interval: {why}. "));
    if most <= 0.0 {
        return format!(
            "Nothing is broken: of the {passing} no attack makes one fail that its control, random noise of the same size, does not. \
             {why}To fail: {criterion}."
        );
    }
    format!(
        "The most is broken by {} on {}: {} of the {passing}, {}; its control, random noise of the same size, fails {}. {}{why}To fail: \
         {criterion}.",
        title(&cell.attack),
        cell.made_on,
        with_interval(cell.broken, cell.broken_interval),
        lead_epsilon(cell),
        percent(cell.control_fooled),
        tied_words(cell, others),
    )
}

fn lead_epsilon(cell: &Cell) -> String {
    cell.epsilon.map_or_else(|| "at the ε that it finds".to_owned(), |e| format!("at ε = {}", epsilon::short(e)))
}

/// Which `others` break as many as `cell`, each attack at its smallest ε; empty if none does.
fn tied_words(cell: &Cell, others: &[&Cell]) -> String {
    const NAMED: usize = 3;
    fn key(c: &Cell) -> [String; 6] {
        [&c.data, &c.attack, &c.parameters, &c.made_on, &c.target, &c.region].map(String::clone)
    }
    let mut seen = std::collections::BTreeSet::new();
    let name = |c: &Cell| {
        if key(c) == key(cell) {
            return "itself at larger ε".to_owned();
        }
        let data = if c.data == cell.data { String::new() } else { format!(", {}", c.data) };
        format!("{} on {}{data} {}", attack_name(c), c.made_on, lead_epsilon(c))
    };
    let names: Vec<String> = others.iter().filter(|c| seen.insert(key(c))).map(|c| name(c)).collect();
    if names.is_empty() {
        return String::new();
    }
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("As many are broken by {}{more}. ", names[..names.len().min(NAMED)].join("; "))
}

/// The share fooled along ε, a line for each attack on its own model, and those of their controls: a figure for each kind of ε.
fn charts(summary: &Summary, set: &str, model: &str) -> Markup {
    let all = summary.along(set, model);
    let drawn = all.iter().filter(|norm| norm.attacks.iter().any(|a| a.cells.len() > 1) && !norm.found);
    let title = format!("Share fooled: {model} on {set}");
    html! {
        @for norm in drawn {
            @let is_l2 = norm.norm == "l2";
            @let title = if is_l2 { format!("{title}, ε of L2") } else { title.clone() };
            .figure { (campaign_chart(&title, is_l2, &lines(norm), &controls(norm))) }
        }
    }
}

fn line(attack: &AttackAlong<'_>, of: fn(&Cell) -> f64) -> Vec<(f64, f64)> {
    attack.cells.iter().map(|cell| (cell.epsilon.unwrap_or(0.0), of(cell))).collect()
}

fn lines(norm: &NormAlong<'_>) -> Vec<NamedLine> {
    let named =
        |a: &AttackAlong<'_>| (a.cells.first().map_or_else(String::new, |c| attack_name(c)), line(a, |c| c.fooled));
    norm.attacks.iter().map(named).collect()
}

/// The control of each attack, and the one step that it repeats; one line for those that are the same.
fn controls(norm: &NormAlong<'_>) -> Vec<NamedLine> {
    let mut all: Vec<NamedLine> = Vec::new();
    for attack in &norm.attacks {
        let points = line(attack, |c| c.control_fooled);
        match all.iter_mut().find(|(_, known)| *known == points) {
            Some((name, _)) => *name += &format!(", {}", attack.title()),
            None => all.push((format!("random: {}", attack.title()), points)),
        }
    }
    if let [(name, _)] = all.as_mut_slice() {
        *name = "random signs".to_owned();
    }
    all.extend(first_steps(norm));
    all
}

/// The one step of each attack that repeats one; one line for those that repeat the same, and none where that is drawn as an attack.
fn first_steps(norm: &NormAlong<'_>) -> Vec<NamedLine> {
    let drawn: Vec<_> = norm.attacks.iter().filter_map(|a| method(a.cells.first()?)).collect();
    let mut all: Vec<NamedLine> = Vec::new();
    for attack in &norm.attacks {
        let known = |c: &&Cell| match &c.one_step {
            OneStep::Known { fooled, .. } => Some((c.epsilon.unwrap_or(0.0), *fooled)),
            _ => None,
        };
        let points: Vec<(f64, f64)> = attack.cells.iter().filter_map(known).collect();
        let one = attack.cells.first().and_then(|c| method(c)?.beside_it());
        if points.is_empty() || one.is_some_and(|one| drawn.contains(&one)) {
            continue;
        }
        match all.iter_mut().find(|(_, known)| *known == points) {
            Some((name, _)) => *name += &format!(", {}", attack.title()),
            None => all.push((format!("one step: {}", attack.title()), points)),
        }
    }
    all
}

/// For each attack and ε: made on the rows' model, judged on the columns'.
fn matrices(summary: &Summary, set: &str, models: &[String]) -> Markup {
    let of: Vec<&Cell> = summary.cells.iter().filter(|c| c.data == *set).collect();
    let mut kinds: Vec<(String, Option<f64>)> = Vec::new();
    for cell in &of {
        let kind = (attack_name(cell), cell.epsilon);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    html! {
        section {
            h2 { "Transfer: " (set) }
            p.caption { "Share fooled of the clean images that pass. A row’s attack was made on its model and judged on the column’s: the diagonal is white box, the rest black box." }
            .matrices {
                @for (name, at) in &kinds {
                    figure {
                        figcaption { (name) ", " (at.map_or_else(|| "ε as found".to_owned(), |e| format!("ε = {}", epsilon::short(e)))) }
                        .scroll { table.matrix {
                            thead { tr { th.word { "made on ↓, judged on →" } @for judge in models { th { (judge) } } } }
                            tbody {
                                @for made in models {
                                    tr {
                                        th.word scope="row" { (made) }
                                        @for judge in models {
                                            @let cell = of.iter().find(|c| c.made_on == *made && c.judged_on == *judge && c.epsilon == *at && attack_name(c) == *name);
                                            @match cell {
                                                Some(cell) => td.white[made == judge] style={ "--heat:" (format!("{:.0}%", 60.0 * cell.fooled)) } { (percent(cell.fooled)) },
                                                None => td { "–" },
                                            }
                                        }
                                    }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// A quartile of the smallest ε, of an attack whose largest measured ε is `largest`.
fn reach(epsilon: f64, largest: Option<f64>) -> String {
    match largest {
        _ if epsilon.is_finite() => epsilon::short(epsilon),
        Some(largest) => format!("> {}", epsilon::short(largest)),
        None => "not broken".to_owned(),
    }
}

fn least(summary: &Summary) -> Markup {
    html! {
        section {
            h2 { "The smallest ε that breaks an image" }
            .scroll { table {
                thead { tr {
                    th.word { "data" } th.word { "attack" } th.word { "model" } th { "broken" } th { "never" }
                    th { "first quartile" } th { "median" } th { "third quartile" }
                } }
                tbody {
                    @for l in &summary.least {
                        tr {
                            td.word { (l.data) } td.word { (title(&l.attack)) } td.word { (l.model) } td { (l.broken) } td { (l.never) }
                            @match l.quartiles {
                                Some(quartiles) => { @for q in quartiles { td { (reach(q, l.largest)) } } },
                                None => { td { "–" } td { "–" } td { "–" } },
                            }
                        }
                    }
                }
            } }
            p.caption { "Of measured ε only, over all images and seeds whose clean image passes. Those that no measured ε breaks count as broken beyond the largest: a quartile among them is written as more than that. An attack that finds its own ε counts by the L∞ norm that it found." }
        }
    }
}

/// The ε of a cell, and that it is an L2 norm where it is one.
fn at(cell: &Cell) -> String {
    match cell.epsilon {
        None => "found".to_owned(),
        Some(epsilon) if cell.norm == "l2" => format!("{} (L2)", epsilon::fraction(epsilon)),
        Some(epsilon) => epsilon::levels(epsilon),
    }
}

fn table(summary: &Summary, score: &str) -> Markup {
    let wished = summary.cells.iter().any(|c| c.wished.is_some());
    html! {
        section {
            h2 { "Numbers" }
            .scroll.wide { table {
                thead { tr {
                    th.word.fixed.first { "data" } th.word.fixed.second { "attack" } th.word { "made on" } th.word { "judged on" } th { "ε" } th { "results" } th { "pass" } th { "of" }
                    th { "fooled" } th { "random" } th { "one step" } th { "broken" } th { (score) " clean" } th { "attack" } th { "± sd" } th { "random" }
                    th { "L∞" } th { "L2" } @if wished { th { "as wished" } }
                } }
                tbody {
                    @for c in &summary.cells {
                        tr {
                            td.word.fixed.first title=(c.data) { (c.data) } td.word.fixed.second title=(attack_name(c)) { (attack_name(c)) } td.word { (c.made_on) } td.word { (c.judged_on) }
                            th scope="row" { (at(c)) }
                            td { (c.results) } td { (c.passing) } td.soft { (c.units) }
                            td { (with_interval(c.fooled, c.fooled_interval)) }
                            td.soft { (with_interval(c.control_fooled, c.control_interval)) }
                            @match &c.one_step {
                                OneStep::Known { name, fooled, .. } => td.soft title=(name) { (percent(*fooled)) },
                                OneStep::Unasked => td.soft { "–" },
                                other => td.soft { (other.word()) },
                            }
                            td { (with_interval(c.broken, c.broken_interval)) } td { (format!("{:.3}", c.clean_score)) } td { (format!("{:.3}", c.score)) }
                            td.soft { (format!("{:.3}", c.deviation)) } td.soft { (format!("{:.3}", c.control_score)) }
                            td { (epsilon::fraction(c.norms[0])) } td { (format!("{:.3}", c.norms[1])) }
                            @if wished { td { (c.wished.map_or_else(|| "–".to_owned(), percent)) } }
                        }
                    }
                }
            } }
            @if let Some(why) = summary.cells.iter().find_map(|c| without_interval(c.units)) {
                @let all = summary.cells.iter().all(|c| without_interval(c.units).is_some());
                p.caption { @if all { "Shares have no interval" } @else { "Some shares have no interval" } ": " (why) "." }
            }
            p.caption { "Files beside this report: rows.csv has a row for each image, attack, seed, ε and pair of models; summary.csv this table." }
        }
    }
}

fn definitions(criterion: &str, score: &str) -> Markup {
    html! {
        section.definitions {
            h2 { "What the numbers mean" }
            dl {
                dt { "results" } dd { "Images times seeds. Pass: those whose original passes the criterion; all shares are of these." }
                dt { "of" } dd { "How many patients those that pass are of; volumes where the data set tells no patients, else images." }
                dt { "(… to …)" } dd { "The interval of 95 % of a share, in percent: the bootstrap over those patients, volumes or images, each drawn with all its images and seeds. Of few it is too narrow; of fewer than two there is none." }
                dt { "fooled" } dd { "The adversarial image fails: " (criterion) "." }
                dt { "random" } dd { "The control: random signs on the same image, on the judging model, of the same ε where that bounds the L∞ norm of the attack, else of the L2 norm that it came to." }
                dt { "one step" } dd { "What the one step that the attack repeats fools alone (FGSM of BIM, PGD and their kin; the step of their own norm of others), on the model that both were made on. Where it does more than all steps, gradients are masked or steps too large or too few. “None”: an attack of many steps that repeats none; “–”: an attack of one step, one that follows no gradient, or another judge." }
                dt { "broken" } dd { "The original passes, the adversarial image fails, and random signs do not." }
                dt { (score) } dd { "Its mean over all results, and the standard deviation over them." }
                dt { "white box, black box" } dd { "Judged on the model that the attack saw, or on another one." }
            }
        }
    }
}
