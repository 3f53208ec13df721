//! Trials as a table (CSV).

use super::session::Header;
use super::{Answered, Kind, Setting, Task};
use crate::data::DataError;
use std::path::{Path, PathBuf};

/// The columns that are written before those of the setting. ε are fractions of the bounds' width: `epsilon` was asked for,
/// `epsilon_shown` is what the screen's levels made of it.
const COLUMNS: [&str; 18] = [
    "observer",
    "image",
    "attack",
    "task",
    "trial",
    "kind",
    "epsilon",
    "epsilon_shown",
    "side",
    "answer",
    "correct",
    "seconds",
    "seed",
    "started",
    "shown_ms",
    "frames",
    "dropped_frames",
    "too_soon",
];

/// A table with every trial of `sessions`. An observer without a name is called by number: `observer 1`.
///
/// # Errors
/// If a row cannot be put into text.
pub fn export_csv(sessions: &[(Header, Vec<Answered>)]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.into_iter().chain(Setting::columns()))?;
    for (number, (header, answered)) in sessions.iter().enumerate() {
        let plan = &header.plan;
        let name = header.observer.clone().unwrap_or_else(|| format!("observer {}", number + 1));
        let settings: Vec<Setting> = (0..plan.conditions.len()).map(|c| Setting::of(header, c)).collect();
        for given @ Answered { trial, answer, correct, seconds, presented } in answered {
            let Some((condition, setting)) = plan.conditions.get(trial.condition).zip(settings.get(trial.condition))
            else {
                continue;
            };
            let side = trial.side.map_or("", |side| match side {
                super::Side::Left => "left",
                super::Side::Right => "right",
            });
            let own = [
                name.clone(),
                condition.image.clone(),
                condition.attack.clone(),
                plan.task.name().to_owned(),
                trial.index.to_string(),
                trial.kind.name().to_owned(),
                trial.epsilon.to_string(),
                presented.and_then(|p| p.epsilon).map(|e| e.to_string()).unwrap_or_default(),
                side.to_owned(),
                answer.name().to_owned(),
                if *correct { "1" } else { "0" }.to_owned(),
                format!("{seconds:.3}"),
                plan.seed.to_string(),
                header.started.clone(),
                presented.map(|p| format!("{:.1}", p.shown_ms)).unwrap_or_default(),
                presented.map(|p| p.frames.to_string()).unwrap_or_default(),
                presented.map(|p| p.dropped.to_string()).unwrap_or_default(),
                if given.is_too_soon() { "1" } else { "0" }.to_owned(),
            ];
            let of_setting = Setting::columns().map(|column| setting.get(column).unwrap_or_default().to_owned());
            writer.write_record(own.into_iter().chain(of_setting))?;
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
            setting: Setting::of(header, a.trial.condition),
            task: plan.task,
            epsilon: a.trial.epsilon,
            epsilon_shown: a.presented.and_then(|p| p.epsilon),
            positive: a.positive(),
            catch: a.trial.kind == Kind::Catch,
            correct: a.correct,
            too_soon: a.is_too_soon(),
            range: Some(plan.shown_range()),
            seed: Some(plan.seed.to_string()),
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
    /// What was attacked, and how it was shown.
    pub setting: Setting,
    /// The question.
    pub task: Task,
    /// The ε that was asked for, a fraction of the bounds' width.
    pub epsilon: f64,
    /// The ε that the screen showed, if the table says so.
    pub epsilon_shown: Option<f64>,
    /// Correct in a forced choice, "altered" in yes/no.
    pub positive: bool,
    /// Whether it is a catch trial, by the table.
    pub catch: bool,
    /// Whether the answer is right.
    pub correct: bool,
    /// Whether the answer came too soon to be one to the images ([`Answered::is_too_soon`]), by the table.
    pub too_soon: bool,
    /// Smallest and largest ε of the study, if the table says so.
    pub range: Option<[f64; 2]>,
    /// Seed of order and sides, if the table says so.
    pub seed: Option<String>,
}

impl Row {
    /// The ε that was seen: as shown, where the table says so.
    pub fn seen(&self) -> f64 {
        self.epsilon_shown.unwrap_or(self.epsilon)
    }

    /// Whether both belong to one observer, image, attack and setting.
    pub(super) fn is_of_one_fit_with(&self, other: &Self) -> bool {
        let key = |r: &Self| (r.observer.clone(), r.image.clone(), r.attack.clone());
        self.setting == other.setting && key(self) == key(other)
    }
}

/// Most trials that are read.
const MOST_ROWS: usize = 1_000_000;

/// Reads the trials of a table: with columns `observer`, `image`, `attack`, `epsilon`, and `correct` (forced choice) or `answer`
/// (`altered` or `unaltered`, yes/no), in any order; `epsilon_shown`, `task`, `kind` (practice is left out), `too_soon`, `seed` and the columns of a
/// [`Setting`] are used if there, others ignored. Without a column `task` the question is yes/no where there is no column
/// `correct`.
///
/// # Errors
/// If the file cannot be read, a column is missing, or a value is none.
pub fn read_csv(path: &Path) -> Result<Vec<Row>, DataError> {
    const HINT: &str = "Give a table with the columns observer, image, attack, epsilon and correct (or answer)";
    let mut table = Reader::open(path, HINT)?;
    for name in ["observer", "image", "attack", "epsilon"] {
        table.column(name).ok_or_else(|| table.fault(format!("has no column {name}")))?;
    }
    let [correct, answer, ranged] = ["correct", "answer", "epsilon_min"].map(|name| table.column(name).is_some());
    if !correct && !answer {
        return Err(table.fault("has neither a column correct nor a column answer".to_owned()));
    }
    let mut rows = Vec::new();
    while let Some(row) = table.next_row()? {
        if row.get("kind") == Kind::Practice.name() {
            continue;
        }
        let task = match row.get("task") {
            name if name == Task::TwoAlternative.name() => Task::TwoAlternative,
            name if name == Task::YesNo.name() => Task::YesNo,
            "" if correct => Task::TwoAlternative,
            "" => Task::YesNo,
            _ => return Err(row.bad("task")),
        };
        let number = |column: &str| {
            row.get(column).parse::<f64>().ok().filter(|v| (0.0..=1.0).contains(v)).ok_or_else(|| row.bad(column))
        };
        let told = |column: &str| truth(row.get(column)).ok_or_else(|| row.bad(column));
        let epsilon = number("epsilon")?;
        let positive = match task {
            Task::TwoAlternative if correct => told("correct")?,
            Task::TwoAlternative => return Err(row.fault("a forced choice needs a column correct")),
            Task::YesNo if answer => told("answer")?,
            Task::YesNo => (epsilon > 0.0) == told("correct")?,
        };
        let text = |column: &str| row.get(column).to_owned();
        let shown = !row.get("epsilon_shown").is_empty();
        rows.push(Row {
            observer: text("observer"),
            image: text("image"),
            attack: text("attack"),
            setting: row.setting(),
            task,
            epsilon,
            epsilon_shown: if shown { Some(number("epsilon_shown")?) } else { None },
            positive,
            catch: row.get("kind") == Kind::Catch.name(),
            correct: if task == Task::YesNo { positive == (epsilon > 0.0) } else { positive },
            too_soon: !row.get("too_soon").is_empty() && told("too_soon")?,
            range: if ranged { Some([number("epsilon_min")?, number("epsilon_max")?]) } else { None },
            seed: Some(text("seed")).filter(|s| !s.is_empty()),
        });
        if rows.len() > MOST_ROWS {
            return Err(row.fault(&format!("the table has more than {MOST_ROWS} trials")));
        }
    }
    if rows.is_empty() {
        return Err(DataError::new(path, "has no trials", HINT));
    }
    Ok(rows)
}

/// A table with named columns.
pub(super) struct Reader {
    path: PathBuf,
    hint: &'static str,
    reader: csv::Reader<std::fs::File>,
    names: Vec<String>,
    line: usize,
}

impl Reader {
    /// Reads the names of the columns.
    pub fn open(path: &Path, hint: &'static str) -> Result<Self, DataError> {
        let fault = |e: &csv::Error| DataError::new(path, said(e), hint);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| fault(&e))?;
        let names = reader.headers().map_err(|e| fault(&e))?.iter();
        let names = names.map(|n| n.trim_start_matches('\u{feff}').to_owned()).collect();
        Ok(Self { path: path.to_owned(), hint, reader, names, line: 1 })
    }

    /// Where a column is.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    fn fault(&self, cause: String) -> DataError {
        DataError::new(&self.path, cause, self.hint)
    }

    /// The next row; none after the last.
    pub fn next_row(&mut self) -> Result<Option<TableRow<'_>>, DataError> {
        let mut record = csv::StringRecord::new();
        self.line += 1;
        match self.reader.read_record(&mut record) {
            Ok(true) => Ok(Some(TableRow { table: self, record })),
            Ok(false) => Ok(None),
            Err(error) => Err(self.fault(said(&error))),
        }
    }
}

/// A row of a table.
pub(super) struct TableRow<'a> {
    table: &'a Reader,
    record: csv::StringRecord,
}

impl TableRow<'_> {
    /// The text of a column, empty where there is no such column.
    pub fn get(&self, column: &str) -> &str {
        self.table.column(column).and_then(|at| self.record.get(at)).unwrap_or_default()
    }

    /// What was attacked, and how it was shown.
    pub fn setting(&self) -> Setting {
        Setting::read(|column| self.table.column(column).and_then(|at| self.record.get(at)))
    }

    fn fault(&self, cause: &str) -> DataError {
        self.table.fault(format!("line {}: {cause}", self.table.line))
    }

    /// What is in a column cannot be.
    pub fn bad(&self, column: &str) -> DataError {
        self.fault(&format!("{column} cannot be “{}”", self.get(column)))
    }
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

/// Yes or no, as tables have it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "altered" => Some(true),
        "0" | "false" | "no" | "unaltered" => Some(false),
        _ => None,
    }
}
