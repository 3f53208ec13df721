//! A campaign in figures: over the images and seeds of a data set, for each attack, pair of models and ε.

use super::Row;
use super::interval::share_interval;
use super::notes::{masking, references};
use super::one_step::OneStep;
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
    /// The norm that ε bounds; empty where it bounds none.
    pub norm: String,
    /// What it wishes; `none` without a target.
    pub target: String,
    /// What it may change; empty for the whole image.
    pub region: String,
    /// The model that the attack saw.
    pub made_on: String,
    /// The model that was to be fooled.
    pub judged_on: String,
    /// ε, of images of several sizes the mean of theirs; none where the attack finds its own.
    pub epsilon: Option<f64>,
    /// The ε of the plan's grid: the same, or that divided by √(number of values) where ε is a multiple of it.
    pub grid: Option<f64>,
    /// Results: images × seeds.
    pub results: usize,
    /// Those whose clean image passes the criterion.
    pub passing: usize,
    /// How many patients, volumes or images by themselves those are of: what the intervals are over.
    pub units: usize,
    /// Of those that pass, the share that fails under the attack (for classes the fooling rate among what was right).
    pub fooled: f64,
    /// Its interval of 95 %, see [`share_interval`]; none for fewer than two units.
    pub fooled_interval: Option<[f64; 2]>,
    /// Of those that pass, the share that fails under random signs of the same norm.
    pub control_fooled: f64,
    /// Its interval of 95 %.
    pub control_interval: Option<[f64; 2]>,
    /// Of those that pass, the share that the attack breaks and random signs do not.
    pub broken: f64,
    /// Its interval of 95 %.
    pub broken_interval: Option<[f64; 2]>,
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
    /// The same under random signs.
    pub control_wished: Option<f64>,
    /// Of steps along the gradient itself, the mean share of values that ε or the bounds cut.
    pub clipped: Option<f64>,
    /// Mean share of zeros in the first gradient.
    pub zero_share: Option<f64>,
    /// Results whose first gradient is zero everywhere: the mean alone would hide them.
    pub blind: usize,
    /// What the one step that the attack repeats does on the model that it was made on.
    pub one_step: OneStep,
    /// Attacks of many steps went no further than success, which their controls and one step know nothing of.
    pub stopped_early: bool,
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
    /// First quartile, median and third quartile (nearest rank) over the images whose clean image passes. One that is broken at none
    /// counts as broken beyond all: a quartile among those is infinite. None without images.
    pub quartiles: Option<[f64; 3]>,
    /// The largest ε that was measured; none where the attack finds its own.
    pub largest: Option<f64>,
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
    /// What is to be known first: what stood in for labels, and signs of gradient masking.
    pub notes: Vec<String>,
}

impl Summary {
    /// Of rows in the order of the table.
    pub fn new(rows: &[&Row]) -> Self {
        let of = ["data", "attack", "parameters", "target", "region", "made_on", "judged_on", "grid"];
        let cells: Vec<Cell> = grouped(rows, &of).iter().map(|g| cell(g)).collect();
        let white: Vec<&Row> = rows.iter().copied().filter(|row| is_white(row)).collect();
        let least = grouped(&white, &["data", "attack", "parameters", "made_on"]).iter().map(|g| least(g)).collect();
        let notes = references(&white).into_iter().chain(masking(&cells)).collect();
        Self { cells, least, notes }
    }

    /// The names in a column of the cells, in order.
    pub fn names(&self, of: impl Fn(&Cell) -> &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        self.cells.iter().map(of).filter(|name| seen.insert((*name).to_owned())).map(str::to_owned).collect()
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

pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn cell(rows: &[&Row]) -> Cell {
    let text = |column: &str| rows.first().map_or_else(String::new, |row| row.get(column).to_owned());
    let of = |column: &str| mean(rows.iter().filter_map(|row| row.number(column)));
    let passing: Vec<&&Row> = rows.iter().filter(|row| row.get("clean_passes") == "1").collect();
    let share = |column: &str| mean(passing.iter().filter_map(|row| row.number(column))).unwrap_or(0.0);
    let units = units(&passing);
    let interval = |column: &str| {
        let yes = |unit: &Vec<&Row>| unit.iter().filter(|row| row.get(column) == "1").count();
        share_interval(&units.iter().map(|unit| [yes(unit), unit.len()]).collect::<Vec<_>>())
    };
    let score = of("score").unwrap_or(0.0);
    let squares: f64 = rows.iter().filter_map(|row| row.number("score")).map(|v| (v - score).powi(2)).sum();
    Cell {
        data: text("data"),
        attack: text("attack"),
        parameters: text("parameters"),
        norm: text("norm"),
        target: text("target"),
        region: text("region"),
        made_on: text("made_on"),
        judged_on: text("judged_on"),
        epsilon: epsilon_of(rows),
        grid: text("grid").parse().ok(),
        results: rows.len(),
        passing: passing.len(),
        units: units.len(),
        fooled: share("fails"),
        fooled_interval: interval("fails"),
        control_fooled: share("control_fails"),
        control_interval: interval("control_fails"),
        broken: share("broken"),
        broken_interval: interval("broken"),
        clean_score: of("clean_score").unwrap_or(0.0),
        score,
        deviation: if rows.len() > 1 { (squares / (rows.len() - 1) as f64).sqrt() } else { 0.0 },
        control_score: of("control_score").unwrap_or(0.0),
        norms: [of("linf").unwrap_or(0.0), of("l2").unwrap_or(0.0)],
        wished: of("as_wished"),
        control_wished: of("control_as_wished"),
        clipped: of("clipped"),
        zero_share: of("zero_share"),
        blind: rows.iter().filter(|row| row.number("zero_share") == Some(1.0)).count(),
        one_step: OneStep::of(rows, &passing),
        stopped_early: rows.iter().any(|row| row.get("stop_early") == "1"),
    }
}

/// ε of rows that have one in common; of images of several sizes, for which an L2 norm differs, the mean.
pub(super) fn epsilon_of(rows: &[&Row]) -> Option<f64> {
    let first = rows.first()?;
    let same = rows.iter().all(|row| row.get("epsilon") == first.get("epsilon"));
    if same { first.number("epsilon") } else { mean(rows.iter().filter_map(|row| row.number("epsilon"))) }
}

/// Rows by what was drawn by itself: by patient or volume where that is known, else by image. Seeds stay with their image.
fn units<'a>(rows: &[&&'a Row]) -> Vec<Vec<&'a Row>> {
    let mut places: HashMap<[&str; 3], usize> = HashMap::new();
    let mut units: Vec<Vec<&'a Row>> = Vec::new();
    for row in rows {
        let key = match row.get("group") {
            "" => [row.get("image"), row.get("image_id"), ""],
            group => ["", "", group],
        };
        let at = *places.entry(key).or_insert(units.len());
        if at == units.len() {
            units.push(Vec::new());
        }
        units[at].push(row);
    }
    units
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
    let all = found.len() + never;
    let rank = |q: f64| ((q * all as f64).ceil() as usize).clamp(1, all.max(1)) - 1;
    let quantile = |q: f64| found.get(rank(q)).copied().unwrap_or(f64::INFINITY);
    Least {
        data: text("data"),
        attack: text("attack"),
        parameters: text("parameters"),
        model: text("made_on"),
        quartiles: (all > 0).then(|| [0.25, 0.5, 0.75].map(quantile)),
        largest: rows.iter().filter_map(|row| row.number("epsilon")).reduce(f64::max),
        broken: found.len(),
        never,
    }
}

impl Cell {
    /// How far the attack has got: see [`Measure::gain`](crate::study::Measure::gain). Of attacks that stop at success the share that
    /// fails: by means what goes on after it would always have got farther.
    pub(super) fn gain(&self) -> f64 {
        if self.stopped_early { self.fooled } else { self.wished.unwrap_or(1.0 - self.score) }
    }

    /// The same of random signs.
    pub(super) fn control_gain(&self) -> f64 {
        if self.stopped_early { self.control_fooled } else { self.control_wished.unwrap_or(1.0 - self.control_score) }
    }

    /// The same of the one step that it repeats, where that is known.
    pub(super) fn one_step_gain(&self) -> Option<f64> {
        match &self.one_step {
            OneStep::Known { fooled, .. } if self.stopped_early => Some(*fooled),
            OneStep::Known { score, wished, .. } => Some(wished.unwrap_or(1.0 - score)),
            _ => None,
        }
    }

    /// Whether both are of one data set, model, target and region.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let key = |c: &Self| [&c.data, &c.made_on, &c.judged_on, &c.target, &c.region].map(String::clone);
        key(self) == key(other)
    }
}

/// A cell of CSV.
pub(super) fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// The cells as CSV. `units` are what the intervals of 95 % are over: patients, volumes or images.
pub fn summary_csv(summary: &Summary) -> String {
    let mut text =
        "data,attack,parameters,norm,target,region,made_on,judged_on,epsilon,grid,results,clean_passing,units,\
                    fooled,fooled_lower,fooled_upper,control_fooled,control_fooled_lower,control_fooled_upper,\
                    broken,broken_lower,broken_upper,clean_score,score,score_deviation,control_score,linf,l2,\
                    as_wished,control_as_wished,clipped,zero_share,one_step,one_step_fooled,one_step_score,\
                    one_step_as_wished\n"
            .to_owned();
    for c in &summary.cells {
        let names = [&c.data, &c.attack, &c.parameters, &c.norm, &c.target, &c.region, &c.made_on, &c.judged_on];
        let mut row: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let option = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        row.extend([c.epsilon, c.grid].map(option));
        row.extend([c.results, c.passing, c.units].map(|n| n.to_string()));
        let shares =
            [(c.fooled, c.fooled_interval), (c.control_fooled, c.control_interval), (c.broken, c.broken_interval)];
        for (share, interval) in shares {
            row.extend([Some(share), interval.map(|i| i[0]), interval.map(|i| i[1])].map(option));
        }
        row.extend(
            [c.clean_score, c.score, c.deviation, c.control_score, c.norms[0], c.norms[1]].map(|v| v.to_string()),
        );
        row.extend([c.wished, c.control_wished, c.clipped, c.zero_share].map(option));
        row.extend(match &c.one_step {
            OneStep::Known { name, fooled, score, wished } => {
                [quoted(name), fooled.to_string(), score.to_string(), option(*wished)]
            }
            other => [other.word().to_owned(), String::new(), String::new(), String::new()],
        });
        text += &(row.join(",") + "\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::row::{KEY, RowKey, columns};
    use super::*;

    #[test]
    fn images_that_nothing_breaks_count_beyond_every_measured_epsilon() {
        let row = |image: &str, level: f64, broken: bool| {
            let cells = [
                ("image", image.to_owned()),
                ("epsilon", (level / 255.0).to_string()),
                ("clean_passes", "1".to_owned()),
                ("broken", u8::from(broken).to_string()),
            ];
            let of =
                |column: &&str| cells.iter().find(|(name, _)| name == column).map_or_else(String::new, |c| c.1.clone());
            let all: Vec<String> = columns().iter().map(of).collect();
            Row { key: RowKey(all[..KEY.len()].to_vec()), found: all[KEY.len()..].to_vec() }
        };
        // Broken from 1 on; at 2 and again not at 4; never, three times.
        let mut rows = Vec::new();
        let cases: [(&str, &[f64]); 5] = [("a", &[1.0, 2.0, 4.0]), ("b", &[2.0]), ("c", &[]), ("d", &[]), ("e", &[])];
        for (image, at) in cases {
            rows.extend([1.0, 2.0, 4.0].map(|level| row(image, level, at.contains(&level))));
        }
        let found = least(&rows.iter().collect::<Vec<_>>());
        assert_eq!((found.broken, found.never, found.largest), (2, 3, Some(4.0 / 255.0)));
        assert_eq!(found.quartiles, Some([2.0 / 255.0, f64::INFINITY, f64::INFINITY]));
        let most = least(&rows[..9].iter().collect::<Vec<_>>());
        assert_eq!(most.quartiles, Some([1.0 / 255.0, 2.0 / 255.0, f64::INFINITY]));
        assert_eq!(least(&[]).quartiles, None);
    }
}
