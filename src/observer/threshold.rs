//! What trials say: a threshold for each observer, image, attack and setting.

use super::table::{Reader, Row, read_csv, truth};
use super::{Block, Estimate, Fit, FitError, Setting, Task, bootstrap, d_prime_two_alternatives, d_prime_yes_no, fit};
use crate::data::DataError;
use crate::study::report::ThresholdLine;
use std::path::Path;

/// The control's name in the catalogue.
const CONTROL: &str = "random-sign";

/// Why a table holds no thresholds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TableError {
    /// The trials of an observer, image and attack that cannot be fitted.
    #[error("{observer}, {image}, {attack}: {cause}")]
    Fit {
        /// Who.
        observer: String,
        /// Which image.
        image: String,
        /// Which attack.
        attack: String,
        /// Why.
        cause: FitError,
    },
    /// Two questions in one.
    #[error("{0}: trials of two questions, 2afc and yes-no, cannot be fitted together")]
    MixedTasks(String),
}

/// All answers at one ε.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtEpsilon {
    /// The answers.
    pub block: Block,
    /// d′ of these trials alone; in yes/no against all trials without a perturbation, none if there are none.
    pub d_prime: Option<f64>,
}

/// What the trials of one observer, image, attack and setting say.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Who.
    pub observer: String,
    /// Which image.
    pub image: String,
    /// Which attack.
    pub attack: String,
    /// What was attacked, and how it was shown.
    pub setting: Setting,
    /// The question.
    pub task: Task,
    /// Whether ε are those that the screen showed, at all trials; else they are those that were asked for.
    pub as_shown: bool,
    /// Seeds of order and sides, if the table tells.
    pub seeds: Vec<String>,
    /// ψ and its threshold.
    pub fit: Fit,
    /// Right answers to catch trials, and catch trials; the latter is 0 where the table does not tell them apart.
    pub catches: [usize; 2],
    /// The answers by ε, ascending.
    pub answers: Vec<AtEpsilon>,
    /// Smallest and largest ε that the study could have shown.
    pub range: [f64; 2],
    /// Resamples of the bootstrap that the threshold's interval is of; none where it is the posterior's.
    pub resamples: Option<usize>,
}

/// What a threshold of random signs holds for.
pub const ONE_DRAW: &str = "Random signs: one draw, the same at every ε and in every trial, as the pattern of an attack is. Another draw may have another threshold.";

impl Thresholds {
    /// Whether it is of the control: noise that knows nothing of the model.
    pub fn is_of_random_signs(&self) -> bool {
        crate::attack::find(&self.attack).is_some_and(|entry| entry.name == CONTROL)
    }

    /// The same with the threshold of the most probable ψ and its interval by the parametric bootstrap, in place of the posterior's median and
    /// interval: what is fitted again and again is that ψ. An interval that does not reach its threshold is widened to it: the prior draws what
    /// is fitted again the same way once more.
    #[must_use]
    pub fn bootstrapped(mut self, resamples: usize, seed: u64) -> Self {
        let blocks: Vec<Block> = self.answers.iter().map(|a| a.block).collect();
        let [low, high] = bootstrap(&self.fit, &blocks, self.task, self.range, resamples, seed);
        let threshold = self.fit.mode.threshold().unwrap_or(f64::INFINITY);
        self.fit.threshold = Estimate { median: threshold, interval: [low.min(threshold), high.max(threshold)] };
        self.resamples = Some(resamples);
        self
    }

    /// Which threshold it is.
    pub fn threshold_of(&self) -> &'static str {
        if self.resamples.is_some() { "that of the most probable ψ" } else { "median of its posterior" }
    }

    /// What the threshold's interval of 95 % is of.
    pub fn interval_of(&self) -> String {
        self.resamples.map_or_else(|| "posterior".to_owned(), |n| format!("bootstrap of {n}"))
    }

    /// Whether there is a threshold: within the ε that the study could show, and with an upper end.
    pub fn is_reached(&self) -> bool {
        self.fit.threshold.median <= self.range[1] && self.fit.threshold.interval[1].is_finite()
    }

    /// The threshold alone.
    pub fn measured(&self) -> Measured {
        Measured {
            observer: self.observer.clone(),
            image: self.image.clone(),
            attack: self.attack.clone(),
            setting: self.setting.clone(),
            task: self.task,
            trials: self.fit.trials,
            epsilon: self.fit.threshold.median,
            interval: self.fit.threshold.interval,
            reached: self.is_reached(),
        }
    }
}

/// A threshold as a table holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Who.
    pub observer: String,
    /// Which image.
    pub image: String,
    /// Which attack.
    pub attack: String,
    /// What was attacked, and how it was shown.
    pub setting: Setting,
    /// The question.
    pub task: Task,
    /// Trials.
    pub trials: u32,
    /// The ε at which ψ is ¾; infinite if it never is.
    pub epsilon: f64,
    /// Its interval of 95 %.
    pub interval: [f64; 2],
    /// There is a threshold: within the ε that the study could show, and with an upper end.
    reached: bool,
}

impl Measured {
    /// As it is drawn over ε.
    pub fn line(&self) -> ThresholdLine {
        ThresholdLine { name: self.observer.clone(), epsilon: self.epsilon, interval: self.interval }
    }

    /// Whether there is a threshold: within the ε that the study could show, and with an upper end.
    pub fn is_reached(&self) -> bool {
        self.reached
    }
}

/// Fits the trials of every observer, image, attack and setting, in the order in which they first come. `range` overrules the
/// smallest and largest ε that the table names, which are widened by those of its trials; without either they are those of all its trials.
///
/// # Errors
/// [`TableError`].
pub fn thresholds(rows: &[Row], range: Option<[f64; 2]>) -> Result<Vec<Thresholds>, TableError> {
    let tested = || {
        let shown = || rows.iter().map(Row::seen).filter(|&e| e > 0.0);
        [shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max)]
    };
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group[0].is_of_one_fit_with(row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let of = |group: Vec<&Row>| {
        let Row { observer, image, attack, task, setting, .. } = group[0].clone();
        if group.iter().any(|r| r.task != task) {
            return Err(TableError::MixedTasks(format!("{observer}, {image}, {attack}")));
        }
        let blocks = Block::gather(group.iter().map(|r| (r.seen(), r.positive)));
        // What was shown could be shown: another attack than ±ε at every value may come a little beyond.
        let named = group[0].range.map(|[low, high]| {
            let shown = || group.iter().map(|row| row.seen()).filter(|e| *e > 0.0);
            [shown().fold(low, f64::min), shown().fold(high, f64::max)]
        });
        let range = range.or(named).unwrap_or_else(tested);
        let mut seeds: Vec<String> = group.iter().filter_map(|r| r.seed.clone()).collect();
        seeds.dedup();
        let as_shown = group.iter().all(|r| r.epsilon_shown.is_some());
        let catches = group.iter().filter(|r| r.catch);
        let catches = [catches.clone().filter(|r| r.correct).count(), catches.count()];
        match fit(&blocks, task, range) {
            Ok(fit) => {
                let (answers, resamples) = (by_epsilon(&blocks, task), None);
                Ok(Thresholds {
                    observer,
                    image,
                    attack,
                    setting,
                    task,
                    as_shown,
                    seeds,
                    fit,
                    catches,
                    answers,
                    range,
                    resamples,
                })
            }
            Err(cause) => Err(TableError::Fit { observer, image, attack, cause }),
        }
    };
    groups.into_iter().map(of).collect()
}

fn by_epsilon(blocks: &[Block], task: Task) -> Vec<AtEpsilon> {
    let originals = blocks.iter().find(|b| b.epsilon == 0.0 && b.total > 0);
    let d_prime = |b: &Block| {
        let (positive, total) = (u64::from(b.positive), u64::from(b.total));
        match (task, originals) {
            _ if b.epsilon == 0.0 => None,
            (Task::TwoAlternative, _) => Some(d_prime_two_alternatives(positive, total)),
            (Task::YesNo, Some(o)) => Some(d_prime_yes_no(positive, total, o.positive.into(), o.total.into())),
            (Task::YesNo, None) => None,
        }
    };
    blocks.iter().map(|b| AtEpsilon { block: *b, d_prime: d_prime(b) }).collect()
}

/// The columns of a table of thresholds before those of the setting.
const COLUMNS: [&str; 25] = [
    "observer",
    "image",
    "attack",
    "task",
    "trials",
    "threshold",
    "threshold_lower",
    "threshold_upper",
    "middle",
    "middle_lower",
    "middle_upper",
    "alpha",
    "beta",
    "gamma",
    "lambda",
    "lambda_lower",
    "lambda_upper",
    "deviance",
    "epsilon_is",
    "seeds",
    "distinct_epsilons",
    "catches_right",
    "catches",
    "interval_of",
    "reached",
];

/// Thresholds as a table. ε are fractions of the bounds' width: as shown, or as asked for (`epsilon_is`).
///
/// # Errors
/// If a row cannot be put into text.
pub fn thresholds_csv(found: &[Thresholds]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.into_iter().chain(Setting::columns()))?;
    for t in found {
        let fit = &t.fit;
        let mut cells = vec![t.observer.clone(), t.image.clone(), t.attack.clone(), t.task.name().to_owned()];
        cells.push(fit.trials.to_string());
        let [low, high] = fit.threshold.interval;
        let [middle_low, middle_high] = fit.middle.interval;
        let mode = &fit.mode;
        let [lapse_low, lapse_high] = fit.lapse.interval;
        let numbers = [fit.threshold.median, low, high, fit.middle.median, middle_low, middle_high]
            .into_iter()
            .chain([mode.alpha, mode.beta, mode.gamma, mode.lambda, lapse_low, lapse_high, fit.deviance]);
        cells.extend(numbers.map(|n| n.to_string()));
        cells.push(if t.as_shown { "shown" } else { "asked" }.to_owned());
        cells.push(t.seeds.join(" "));
        cells.push(t.answers.iter().filter(|a| a.block.epsilon > 0.0).count().to_string());
        cells.extend(t.catches.map(|n| n.to_string()));
        cells.push(t.interval_of());
        cells.push(if t.is_reached() { "1" } else { "0" }.to_owned());
        cells.extend(Setting::columns().map(|column| t.setting.get(column).unwrap_or_default().to_owned()));
        writer.write_record(cells)?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The thresholds of a table that [`thresholds_csv`] wrote, or of a table of trials ([`read_csv`]), which are fitted.
///
/// # Errors
/// If the file cannot be read, is neither, or its trials cannot be fitted.
pub fn read_thresholds(path: &Path) -> Result<Vec<Measured>, DataError> {
    const HINT: &str = "Give thresholds.csv as observer fit --out writes it, or a table of trials";
    let mut table = Reader::open(path, HINT)?;
    if table.column("threshold").is_none() {
        let found = thresholds(&read_csv(path)?, None).map_err(|e| DataError::new(path, e.to_string(), HINT))?;
        return Ok(found.iter().map(Thresholds::measured).collect());
    }
    let mut found = Vec::new();
    while let Some(row) = table.next_row()? {
        let number = |column: &str| {
            let value = row.get(column).parse::<f64>().ok().filter(|v| *v >= 0.0);
            value.ok_or_else(|| row.bad(column))
        };
        let (epsilon, interval) = (number("threshold")?, [number("threshold_lower")?, number("threshold_upper")?]);
        let setting = row.setting();
        let reached = match row.get("reached") {
            // Older tables do not tell.
            "" => epsilon <= setting.number("epsilon_max").unwrap_or(1.0) && interval[1].is_finite(),
            told => truth(told).ok_or_else(|| row.bad("reached"))?,
        };
        found.push(Measured {
            observer: row.get("observer").to_owned(),
            image: row.get("image").to_owned(),
            attack: row.get("attack").to_owned(),
            setting,
            task: if row.get("task") == Task::YesNo.name() { Task::YesNo } else { Task::TwoAlternative },
            trials: number("trials")? as u32,
            epsilon,
            interval,
            reached,
        });
    }
    if found.is_empty() {
        return Err(DataError::new(path, "has no thresholds", HINT));
    }
    Ok(found)
}
