//! A campaign in figures: over the images and seeds of a data set, for each attack, pair of models and ε.

use super::Row;
use crate::study::masking::{ZERO_SHARE, one_step_note, random_note, zeros_note};
use crate::study::report::epsilon;
use std::collections::{BTreeSet, HashMap};

/// All results of an attack at one ε, made on one model and judged on one.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The data set.
    pub data: String,
    /// The attack's name.
    pub attack: String,
    /// Its parameters without the seed: `steps=10 step=0`.
    pub parameters: String,
    /// The model that the attack saw.
    pub made_on: String,
    /// The model that was to be fooled.
    pub judged_on: String,
    /// ε; none where the attack finds its own.
    pub epsilon: Option<f64>,
    /// Results: images × seeds.
    pub results: usize,
    /// Those whose clean image passes the criterion.
    pub passing: usize,
    /// Of those, the share that fails under the attack (for classes the fooling rate among what was right).
    pub fooled: f64,
    /// Of those, the share that fails under random signs of the same L∞ norm.
    pub control_fooled: f64,
    /// Of those, the share that the attack breaks and random signs do not.
    pub broken: f64,
    /// Mean score (Dice, P(true class)) of the originals.
    pub clean_score: f64,
    /// Mean score under the attack.
    pub score: f64,
    /// Its standard deviation over the results (n − 1).
    pub deviation: f64,
    /// Mean score under random signs.
    pub control_score: f64,
    /// Mean L∞ and L2 norm of the perturbation.
    pub norms: [f64; 2],
    /// Of an attack with a target, the mean share that is as wished.
    pub wished: Option<f64>,
    /// Mean share of zeros in the first gradient.
    pub zero_share: Option<f64>,
}

/// The smallest measured ε at which each image is broken, of an attack on its own model.
#[derive(Clone, Debug, PartialEq)]
pub struct Least {
    /// The data set.
    pub data: String,
    /// The attack's name.
    pub attack: String,
    /// Its parameters.
    pub parameters: String,
    /// The model.
    pub model: String,
    /// First quartile, median and third quartile over the images that are broken at some ε (nearest rank).
    pub quartiles: Option<[f64; 3]>,
    /// Images that are broken at some ε.
    pub broken: usize,
    /// Images that are broken at none although their clean image passes.
    pub never: usize,
}

/// A campaign in figures.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// In the order of the table.
    pub cells: Vec<Cell>,
    /// In the order of the table.
    pub least: Vec<Least>,
    /// Signs of gradient masking, for people.
    pub notes: Vec<String>,
}

impl Summary {
    /// Of rows in the order of the table.
    pub fn new(rows: &[&Row]) -> Self {
        let cells: Vec<Cell> = grouped(rows, &["data", "attack", "parameters", "made_on", "judged_on", "epsilon"])
            .iter()
            .map(|g| cell(g))
            .collect();
        let white: Vec<&Row> = rows.iter().copied().filter(|row| is_white(row)).collect();
        let least = grouped(&white, &["data", "attack", "parameters", "made_on"]).iter().map(|g| least(g)).collect();
        let notes = masking(&cells);
        Self { cells, least, notes }
    }

    /// The names in a column of the cells, in order.
    pub fn names(&self, of: impl Fn(&Cell) -> &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.cells.iter().map(of).filter(|name| seen.insert((*name).to_owned())).map(str::to_owned).collect()
    }

    /// All ε, ascending.
    pub fn epsilons(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.cells.iter().filter_map(|cell| cell.epsilon).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    }
}

pub(super) fn is_white(row: &Row) -> bool {
    row.get("made_on_id") == row.get("judged_on_id") && row.get("made_on") == row.get("judged_on")
}

/// Rows that agree in `columns`, in the order of their first.
pub(super) fn grouped<'a>(rows: &[&'a Row], columns: &[&str]) -> Vec<Vec<&'a Row>> {
    let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut groups: Vec<Vec<&'a Row>> = Vec::new();
    for row in rows {
        let key: Vec<&str> = columns.iter().map(|c| row.get(c)).collect();
        let at = *places.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(row);
    }
    groups
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn cell(rows: &[&Row]) -> Cell {
    let text = |column: &str| rows.first().map_or_else(String::new, |row| row.get(column).to_owned());
    let of = |column: &str| mean(rows.iter().filter_map(|row| row.number(column)));
    let passing: Vec<&&Row> = rows.iter().filter(|row| row.get("clean_passes") == "1").collect();
    let share = |column: &str| mean(passing.iter().filter_map(|row| row.number(column))).unwrap_or(0.0);
    let score = of("score").unwrap_or(0.0);
    let squares: f64 = rows.iter().filter_map(|row| row.number("score")).map(|v| (v - score).powi(2)).sum();
    Cell {
        data: text("data"),
        attack: text("attack"),
        parameters: text("parameters"),
        made_on: text("made_on"),
        judged_on: text("judged_on"),
        epsilon: text("epsilon").parse().ok(),
        results: rows.len(),
        passing: passing.len(),
        fooled: share("fails"),
        control_fooled: share("control_fails"),
        broken: share("broken"),
        clean_score: of("clean_score").unwrap_or(0.0),
        score,
        deviation: if rows.len() > 1 { (squares / (rows.len() - 1) as f64).sqrt() } else { 0.0 },
        control_score: of("control_score").unwrap_or(0.0),
        norms: [of("linf").unwrap_or(0.0), of("l2").unwrap_or(0.0)],
        wished: of("as_wished"),
        zero_share: of("zero_share"),
    }
}

fn least(rows: &[&Row]) -> Least {
    let text = |column: &str| rows.first().map_or_else(String::new, |row| row.get(column).to_owned());
    let (mut found, mut never) = (Vec::new(), 0);
    for of_image in grouped(rows, &["image", "image_id", "seed"]) {
        if of_image.iter().any(|row| row.get("clean_passes") != "1") {
            continue;
        }
        // An attack that finds its own ε is broken at the L∞ norm that it found.
        let at = |row: &&Row| row.number("epsilon").or_else(|| row.number("linf"));
        let broken = of_image.iter().filter(|row| row.get("broken") == "1").filter_map(at);
        match broken.min_by(f64::total_cmp) {
            Some(epsilon) => found.push(epsilon),
            None => never += 1,
        }
    }
    found.sort_by(f64::total_cmp);
    let quantile = |q: f64| found[((q * found.len() as f64).ceil() as usize).clamp(1, found.len()) - 1];
    Least {
        data: text("data"),
        attack: text("attack"),
        parameters: text("parameters"),
        model: text("made_on"),
        quartiles: (!found.is_empty()).then(|| [0.25, 0.5, 0.75].map(quantile)),
        broken: found.len(),
        never,
    }
}

/// Signs of gradient masking, of attacks on their own model.
fn masking(cells: &[Cell]) -> Vec<String> {
    let mut notes: Vec<(String, String)> = Vec::new();
    let white: Vec<&Cell> = cells.iter().filter(|c| c.made_on == c.judged_on && c.wished.is_none()).collect();
    let mut said = BTreeSet::new();
    for cell in &white {
        let Some(entry) = crate::attack::find(&cell.attack) else { continue };
        if !entry.gradient || entry.lowers_the_loss {
            continue;
        }
        let who = format!("{} on {}, {} {}", entry.title, cell.made_on, cell.data, cell.parameters);
        if !said.insert(who.clone()) {
            continue;
        }
        let same: Vec<&&Cell> = white
            .iter()
            .filter(|c| {
                (&c.attack, &c.parameters, &c.made_on, &c.data)
                    == (&cell.attack, &cell.parameters, &cell.made_on, &cell.data)
            })
            .collect();
        let at = |worse: &dyn Fn(&Cell) -> bool| {
            let list = same.iter().filter(|c| worse(c)).filter_map(|c| c.epsilon).map(epsilon::short);
            list.collect::<Vec<_>>().join(", ")
        };
        if let Some(note) = cell.zero_share.filter(|share| *share > ZERO_SHARE).and_then(zeros_note) {
            notes.push((who.clone(), note));
        }
        // Signs of the L∞ norm of another attack are far longer than it: that they do more is no sign.
        let comparable = cell.epsilon.is_some() && !cell.parameters.contains("norm=l2");
        let random = at(&|c| comparable && c.control_score < c.score - 0.01);
        if !random.is_empty() {
            notes.push((who.clone(), random_note(&random)));
        }
        let Some(one) = crate::attack::Attack::named(&cell.attack).ok().and_then(|attack| attack.one_step()) else {
            continue;
        };
        let first = |c: &Cell| {
            white.iter().find(|f| {
                f.attack == one.name() && (&f.made_on, &f.data) == (&c.made_on, &c.data) && f.epsilon == c.epsilon
            })
        };
        let beaten = at(&|c| one.name() != c.attack && first(c).is_some_and(|f| f.score < c.score - 0.01));
        if !beaten.is_empty() {
            notes.push((who, one_step_note(one.title(), &beaten)));
        }
    }
    notes.into_iter().map(|(who, note)| format!("{who}: {note}")).collect()
}

/// A cell of CSV.
pub(super) fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// The cells as CSV.
pub fn summary_csv(summary: &Summary) -> String {
    let mut text =
        "data,attack,parameters,made_on,judged_on,epsilon,results,clean_passing,fooled,control_fooled,broken,\
                    clean_score,score,score_deviation,control_score,linf,l2,as_wished,zero_share\n"
            .to_owned();
    for c in &summary.cells {
        let names = [&c.data, &c.attack, &c.parameters, &c.made_on, &c.judged_on].map(|name| quoted(name)).join(",");
        let option = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        text += &format!(
            "{names},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
            option(c.epsilon),
            c.results,
            c.passing,
            c.fooled,
            c.control_fooled,
            c.broken,
            c.clean_score,
            c.score,
            c.deviation,
            c.control_score,
            c.norms[0],
            c.norms[1],
            option(c.wished),
            option(c.zero_share)
        );
    }
    text
}
