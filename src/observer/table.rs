//! Trials as a table (CSV), and what they say: a threshold for each observer, image and attack.

use super::session::Header;
use super::{Answered, Block, Fit, FitError, Kind, Task, d_prime_two_alternatives, d_prime_yes_no, fit};
use crate::data::DataError;
use std::path::Path;

/// The columns that are written. ε are fractions of the bounds' width; the display's are the same in all rows of a session.
const COLUMNS: [&str; 24] = [
    "observer",
    "image",
    "attack",
    "task",
    "trial",
    "kind",
    "epsilon",
    "side",
    "answer",
    "correct",
    "seconds",
    "epsilon_min",
    "epsilon_max",
    "seed",
    "started",
    "zoom",
    "window_lower",
    "window_upper",
    "inverted",
    "bit_depth",
    "pixels_per_degree",
    "shown_ms",
    "frames",
    "dropped_frames",
];

/// A table with every trial of `sessions`. An observer without a name is called by number: `observer 1`.
///
/// # Errors
/// If a row cannot be put into text.
pub fn export_csv(sessions: &[(Header, Vec<Answered>)]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (number, (header, answered)) in sessions.iter().enumerate() {
        let (plan, display) = (&header.plan, &header.display);
        let shown = &display.presentation;
        let name = header.observer.clone().unwrap_or_else(|| format!("observer {}", number + 1));
        for Answered { trial, answer, correct, seconds, presented } in answered {
            let Some(condition) = plan.conditions.get(trial.condition) else { continue };
            let side = trial.side.map_or("", |side| match side {
                super::Side::Left => "left",
                super::Side::Right => "right",
            });
            writer.write_record([
                name.as_str(),
                &condition.image,
                &condition.attack,
                plan.task.name(),
                &trial.index.to_string(),
                trial.kind.name(),
                &trial.epsilon.to_string(),
                side,
                answer.name(),
                if *correct { "1" } else { "0" },
                &format!("{seconds:.3}"),
                &plan.range[0].to_string(),
                &plan.range[1].to_string(),
                &plan.seed.to_string(),
                &header.started,
                &display.zoom.to_string(),
                &shown.window.lower.to_string(),
                &shown.window.upper.to_string(),
                &shown.inverted.to_string(),
                &shown.bits.to_string(),
                &display.pixels_per_degree().map(|v| format!("{v:.3}")).unwrap_or_default(),
                &presented.map(|p| format!("{:.1}", p.shown_ms)).unwrap_or_default(),
                &presented.map(|p| p.frames.to_string()).unwrap_or_default(),
                &presented.map(|p| p.dropped.to_string()).unwrap_or_default(),
            ])?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The trials of a session that count, as [`read_csv`] would read them from its table.
pub fn rows_of(header: &Header, answered: &[Answered]) -> Vec<Row> {
    let plan = &header.plan;
    let observer = header.observer.clone().unwrap_or_else(|| "observer 1".to_owned());
    let row = |a: &Answered| {
        let condition = plan.conditions.get(a.trial.condition).filter(|_| a.trial.kind != Kind::Practice)?;
        Some(Row {
            observer: observer.clone(),
            image: condition.image.clone(),
            attack: condition.attack.clone(),
            task: plan.task,
            epsilon: a.trial.epsilon,
            positive: a.positive(),
            range: Some(plan.range),
        })
    };
    answered.iter().filter_map(row).collect()
}

/// One trial of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Who.
    pub observer: String,
    /// Which image.
    pub image: String,
    /// Altered by which attack.
    pub attack: String,
    /// The question.
    pub task: Task,
    /// ε as a fraction of the bounds' width.
    pub epsilon: f64,
    /// Correct in a forced choice, "altered" in yes/no.
    pub positive: bool,
    /// Smallest and largest ε of the study, if the table says so.
    pub range: Option<[f64; 2]>,
}

/// Most trials that are read.
const MOST_ROWS: usize = 1_000_000;

/// Reads the trials of a table: with columns `observer`, `image`, `attack`, `epsilon`, and `correct` (forced choice) or `answer`
/// (`altered` or `unaltered`, yes/no), in any order; `task`, `kind` (practice is left out), `epsilon_min` and
/// `epsilon_max` are used if there, others ignored. Without a column `task` the question is yes/no where there is no column
/// `correct`.
///
/// # Errors
/// If the file cannot be read, a column is missing, or a value is none.
pub fn read_csv(path: &Path) -> Result<Vec<Row>, DataError> {
    const HINT: &str = "Give a table with the columns observer, image, attack, epsilon and correct (or answer)";
    let fault = |cause: String| DataError::new(path, cause, HINT);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| fault(said(&e)))?;
    let names = reader.headers().map_err(|e| fault(said(&e)))?.clone();
    let column = |name: &str| names.iter().position(|n| n.trim_start_matches('\u{feff}') == name);
    let needed = |name: &str| column(name).ok_or_else(|| fault(format!("has no column {name}")));
    let [observer, image, attack, epsilon] =
        [needed("observer")?, needed("image")?, needed("attack")?, needed("epsilon")?];
    let (correct, answer, task, kind) = (column("correct"), column("answer"), column("task"), column("kind"));
    let range = column("epsilon_min").zip(column("epsilon_max"));
    if correct.is_none() && answer.is_none() {
        return Err(fault("has neither a column correct nor a column answer".to_owned()));
    }
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| fault(said(&e)))?;
        let bad = |what: &str, value: &str| fault(format!("line {}: {what} cannot be “{value}”", at + 2));
        let get = |column: usize| record.get(column).unwrap_or("");
        if kind.is_some_and(|kind| get(kind) == Kind::Practice.name()) {
            continue;
        }
        let task = match task.map(get) {
            Some(name) if name == Task::TwoAlternative.name() => Task::TwoAlternative,
            Some(name) if name == Task::YesNo.name() => Task::YesNo,
            Some(other) => return Err(bad("task", other)),
            None if correct.is_some() => Task::TwoAlternative,
            None => Task::YesNo,
        };
        let number = |column: usize, what: &str| {
            let value = get(column).parse::<f64>().ok().filter(|v| (0.0..=1.0).contains(v));
            value.ok_or_else(|| bad(what, get(column)))
        };
        let value = number(epsilon, "epsilon")?;
        let positive = match (task, correct, answer) {
            (Task::TwoAlternative, Some(correct), _) => {
                truth(get(correct)).ok_or_else(|| bad("correct", get(correct)))?
            }
            (Task::YesNo, _, Some(answer)) => truth(get(answer)).ok_or_else(|| bad("answer", get(answer)))?,
            (Task::YesNo, Some(correct), _) => {
                (value > 0.0) == truth(get(correct)).ok_or_else(|| bad("correct", get(correct)))?
            }
            _ => return Err(fault("a forced choice needs a column correct".to_owned())),
        };
        let range = match range {
            Some((low, high)) => Some([number(low, "epsilon_min")?, number(high, "epsilon_max")?]),
            None => None,
        };
        let text = |column: usize| get(column).to_owned();
        let row = Row {
            observer: text(observer),
            image: text(image),
            attack: text(attack),
            task,
            epsilon: value,
            positive,
            range,
        };
        rows.push(row);
        if rows.len() > MOST_ROWS {
            return Err(fault(format!("has more than {MOST_ROWS} trials")));
        }
    }
    if rows.is_empty() {
        return Err(fault("has no trials".to_owned()));
    }
    Ok(rows)
}

/// An error without what the reader's own name for it is.
fn said(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => format!("cannot be read ({error})"),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} columns, the first has {expected_len}")
        }
        _ => error.to_string(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "altered" => Some(true),
        "0" | "false" | "no" | "unaltered" => Some(false),
        _ => None,
    }
}

/// Why a table has no thresholds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TableError {
    /// Trials of one observer, image and attack that cannot be fitted.
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

/// What the trials of one observer, image and attack say.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Who.
    pub observer: String,
    /// Which image.
    pub image: String,
    /// Which attack.
    pub attack: String,
    /// The question.
    pub task: Task,
    /// ψ and its threshold.
    pub fit: Fit,
    /// d′ over all trials with a perturbation; none in yes/no without catch trials.
    pub d_prime: Option<f64>,
}

/// Fits the trials of every observer, image and attack, in the order in which they first come. `range` overrules the
/// smallest and largest ε that the table names; without either they are those of all its trials.
///
/// # Errors
/// [`TableError`].
pub fn thresholds(rows: &[Row], range: Option<[f64; 2]>) -> Result<Vec<Thresholds>, TableError> {
    let tested = || {
        let shown = || rows.iter().map(|r| r.epsilon).filter(|&e| e > 0.0);
        [shown().fold(f64::INFINITY, f64::min), shown().fold(0.0, f64::max)]
    };
    let mut keys: Vec<[&str; 3]> = Vec::new();
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let key = [row.observer.as_str(), &row.image, &row.attack];
        match keys.iter().position(|k| *k == key) {
            Some(at) => groups[at].push(row),
            None => {
                keys.push(key);
                groups.push(vec![row]);
            }
        }
    }
    let of = |([observer, image, attack], group): ([&str; 3], Vec<&Row>)| {
        let task = group[0].task;
        if group.iter().any(|r| r.task != task) {
            return Err(TableError::MixedTasks(format!("{observer}, {image}, {attack}")));
        }
        let blocks = Block::gather(group.iter().map(|r| (r.epsilon, r.positive)));
        let range = range.or(group[0].range).unwrap_or_else(tested);
        let [observer, image, attack] = [observer, image, attack].map(str::to_owned);
        match fit(&blocks, task, range) {
            Ok(fit) => Ok(Thresholds { d_prime: d_prime(&blocks, task), observer, image, attack, task, fit }),
            Err(cause) => Err(TableError::Fit { observer, image, attack, cause }),
        }
    };
    keys.into_iter().zip(groups).map(of).collect()
}

fn d_prime(blocks: &[Block], task: Task) -> Option<f64> {
    let count = |of: &dyn Fn(&&Block) -> bool| {
        let sum = |f: fn(&Block) -> u32| blocks.iter().filter(of).map(|b| u64::from(f(b))).sum::<u64>();
        (sum(|b| b.positive), sum(|b| b.total))
    };
    let (hits, altered) = count(&|b| b.epsilon > 0.0);
    match task {
        Task::TwoAlternative => Some(d_prime_two_alternatives(hits, altered)),
        Task::YesNo => match count(&|b| b.epsilon == 0.0) {
            (_, 0) => None,
            (false_alarms, originals) => Some(d_prime_yes_no(hits, altered, false_alarms, originals)),
        },
    }
}
