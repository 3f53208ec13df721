//! What `epsiloscope sweep` prints at the end of a campaign.

use crate::study::campaign::{AttackAlong, Cell, NormAlong, OneStep, Summary, counted, without_interval};
use crate::study::report::epsilon;

/// How wide the names of attacks and of their controls are.
const NAME: usize = 20;

/// The share fooled by each attack along its ε on its own model, beside its control, and the matrix of models.
pub(super) fn words(summary: &Summary) -> String {
    let mut text = String::new();
    for data in summary.names(|c| &c.data) {
        for model in summary.names(|c| &c.made_on) {
            let along = summary.along(&data, &model);
            let Some(first) = along.first().and_then(|n| n.attacks.first()).and_then(|a| a.cells.first()) else {
                continue;
            };
            text += &format!(
                "{data} on {model}: {} of {} {}, mean clean score {:.3}; % of them fooled at ε, {}\n",
                first.passing,
                counted(first.results, "clean image"),
                if first.results == 1 { "passes" } else { "pass" },
                first.clean_score,
                interval_words(first)
            );
            along.iter().for_each(|norm| text += &of_norm(norm));
        }
        text += &matrices(summary, &data);
    }
    summary.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    text
}

/// What the intervals are over, or why there are none.
fn interval_words(cell: &Cell) -> String {
    match without_interval(cell.units) {
        Some(why) => format!("without intervals: {why}"),
        None => format!("with intervals of 95 % over {} patients, volumes or images", cell.units),
    }
}

/// The attacks of one kind of ε, a line for each and one for its control.
fn of_norm(norm: &NormAlong<'_>) -> String {
    let epsilons: Vec<Option<f64>> =
        if norm.found { vec![None] } else { norm.epsilons().into_iter().map(Some).collect() };
    let mut text = format!("{:<NAME$}", norm.epsilon_words());
    if !norm.found {
        epsilons.iter().flatten().for_each(|e| text += &format!("{:>9}", epsilon::short(*e)));
    }
    text += "\n";
    for attack in &norm.attacks {
        let row = |name: &str, cell_text: &dyn Fn(&Cell) -> String| {
            let at = |e: &Option<f64>| attack.cells.iter().find(|c| c.epsilon == *e);
            let cells = epsilons.iter().map(|e| format!("{:>9}", at(e).map_or("–".to_owned(), |c| cell_text(c))));
            format!("{name:<NAME$}{}", cells.collect::<String>()).trim_end().to_owned() + "\n"
        };
        text += &row(attack.name, &|c| format!("{:.1}", 100.0 * c.fooled));
        if attack.cells.iter().any(|c| c.fooled_interval.is_some()) {
            text += &row("", &between);
        }
        text +=
            &row(&format!("  {}", AttackAlong::control_name(attack)), &|c| format!("{:.1}", 100.0 * c.control_fooled));
        if let Some(name) = attack.one_step_name() {
            text += &row(&format!("  one step, {name}"), &|c| match &c.one_step {
                OneStep::Known { fooled, .. } => format!("{:.1}", 100.0 * fooled),
                _ => "–".to_owned(),
            });
        }
    }
    text
}

/// The ends of a share's interval in percent: `25–50`.
fn between(cell: &Cell) -> String {
    cell.fooled_interval.map_or_else(String::new, |[lower, upper]| format!("{:.0}–{:.0}", 100.0 * lower, 100.0 * upper))
}

/// For each attack the matrix of made on (rows) and judged on (columns), at the ε where white box is nearest to one half.
fn matrices(summary: &Summary, data: &str) -> String {
    let models = summary.names(|c| &c.made_on);
    let mut text = String::new();
    if models.len() < 2 {
        return text;
    }
    let widest = models.iter().map(|m| m.chars().count()).max().unwrap_or(0).max(12) + 2;
    for attack in summary.names(|c| &c.attack) {
        let of: Vec<&Cell> = summary.cells.iter().filter(|c| c.data == data && c.attack == attack).collect();
        let half = |c: &&&Cell| (c.fooled - 0.5).abs();
        let white = of.iter().filter(|c| c.made_on == c.judged_on);
        let Some(at) = white.min_by(|a, b| half(a).total_cmp(&half(b))).map(|c| c.epsilon) else { continue };
        let shown = at.map_or("as found".to_owned(), epsilon::short);
        text +=
            &format!("{attack}, ε {shown}: % fooled; made on the row’s model, judged on the column’s\n{:widest$}", "");
        models.iter().for_each(|m| text += &format!("{m:>widest$}"));
        text += "\n";
        for made in &models {
            text += &format!("{made:<widest$}");
            for judge in &models {
                let cell = of.iter().find(|c| c.made_on == *made && c.judged_on == *judge && c.epsilon == at);
                text += &format!("{:>widest$}", cell.map_or("–".to_owned(), |c| format!("{:.1}", 100.0 * c.fooled)));
            }
            text += "\n";
        }
    }
    text
}
