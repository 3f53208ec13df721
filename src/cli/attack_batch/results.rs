//! The table of results: a row is kept as soon as it is known, so that a batch that was cut off goes on after it.

use crate::cli::options::print;
use crate::data::write_bytes_atomic;
use crate::study::campaign::Fingerprint;
use crate::study::{BatchResult, ZERO_SHARE};
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The columns. Those before the last say what a row is of: the attack with its parameters, the model and the case, and what computed
/// it: the device and the version of the program; the last is a fingerprint of the array.
const COLUMNS: [&str; 15] = [
    "row",
    "success",
    "norm",
    "loss",
    "seconds",
    "zero_share",
    "random_success",
    "one_step_success",
    "wrong_before",
    "attack",
    "model",
    "case",
    "device",
    "version",
    "array",
];
/// How many of them say what was found.
const FOUND: usize = 9;

/// What a row is of, the cells of the columns after these.
pub(super) type Of = [String; 5];

/// Rows that are done.
pub(super) struct Results {
    /// Where they go; to the standard output without it.
    out: Option<PathBuf>,
    /// The same, from the first row on: a batch that comes to none leaves what is there.
    file: Option<File>,
    rows: BTreeMap<usize, Vec<String>>,
    /// Rows that were there before.
    before: usize,
    /// Rows stand in the file in their order.
    in_order: bool,
    /// Those that succeeded, and those of them that were wrong before.
    pub successes: usize,
    pub wrong_before: usize,
    pub masked: Masked,
}

impl Results {
    /// Begins the table at `path`; to go on with `resume`, with the rows that are whole there and of which `is_kept` says, by the
    /// fingerprint of their array, that this is kept. The table is of `count` cases.
    pub fn open(
        path: Option<&Path>,
        resume: bool,
        count: usize,
        is_kept: impl Fn(usize, &str) -> bool,
    ) -> anyhow::Result<Self> {
        let mut rows = BTreeMap::new();
        match path {
            Some(path) => {
                if resume {
                    rows = read(path)?;
                    if let Some(beyond) = rows.keys().find(|&&row| row >= count) {
                        bail!(
                            "--resume: {} has a row {beyond}, and the table of cases has {count}, from row 0. Give another --out, \
                             or begin this one anew without --resume",
                            path.display()
                        );
                    }
                    rows.retain(|&row, cells| cells.last().is_some_and(|array| is_kept(row, array)));
                }
                check_writable(path)?;
            }
            None => print(&line(&COLUMNS))?,
        }
        let mut results = Self {
            out: path.map(Path::to_owned),
            file: None,
            before: rows.len(),
            rows,
            in_order: true,
            successes: 0,
            wrong_before: 0,
            masked: Masked::default(),
        };
        let known: Vec<Done> = results.rows.values().map(|row| Done::read(row)).collect();
        known.iter().for_each(|done| results.count(done));
        Ok(results)
    }

    /// How many rows were there before.
    pub fn before(&self) -> usize {
        self.before
    }

    /// How many rows there are.
    pub fn done(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is a row `number`, of whatever.
    pub fn knows(&self, number: usize) -> bool {
        self.rows.contains_key(&number)
    }

    /// Whether row `number` is done, and is of what it is to be of.
    ///
    /// # Errors
    /// If it is of something else.
    pub fn has(&self, number: usize, of: &Of) -> anyhow::Result<bool> {
        let Some(row) = self.rows.get(&number) else { return Ok(false) };
        let path = self.out.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let mut cells = COLUMNS[FOUND..].iter().zip(&row[FOUND..]).zip(of);
        let other = cells.find(|((_, there), now)| there != now);
        let Some(((what, there), now)) = other else { return Ok(true) };
        let cause = match *what {
            "attack" => format!("was attacked by {there}, and this is {now}"),
            "model" => format!("is of another model or card ({there}, and this is {now})"),
            "device" => format!("was computed on {there}, and this is {now}"),
            "version" => format!("was made by version {there}, and this is {now}"),
            _ => "is of another case: image, label, ε, box or bounds were others".to_owned(),
        };
        bail!("--resume: row {number} of {path} {cause}. Give another --out, or begin this one anew without --resume")
    }

    /// Keeps what was found for row `number`.
    pub fn add(&mut self, number: usize, result: &BatchResult, norm: f64, of: &Of) -> anyhow::Result<()> {
        let done = Done::of(result);
        let flag = |yes: Option<bool>| yes.map(|yes| u8::from(yes).to_string()).unwrap_or_default();
        let mut row = vec![
            number.to_string(),
            u8::from(done.success).to_string(),
            norm.to_string(),
            result.loss.to_string(),
            format!("{:.4}", result.seconds),
            done.zero_share.map(|share| share.to_string()).unwrap_or_default(),
            flag(done.random),
            flag(done.one_step),
            flag(Some(done.wrong_before)),
        ];
        row.extend(of.iter().cloned());
        row.push(print_of(&result.adversarial));
        let text = line(&row);
        match &self.out {
            Some(path) => {
                let failed = || format!("{}: cannot be written to; what it holds stays", path.display());
                let mut file = match self.file.take() {
                    Some(file) => file,
                    None => self.begin(path)?,
                };
                file.write_all(text.as_bytes()).and_then(|()| file.flush()).with_context(failed)?;
                self.file = Some(file);
            }
            None => print(&text)?,
        }
        self.in_order &= self.rows.last_key_value().is_none_or(|(last, _)| *last < number);
        self.rows.insert(number, row);
        self.count(&done);
        Ok(())
    }

    /// Puts the rows into their order, where a gap was filled, and takes away what was cut off.
    pub fn finish(&self) -> anyhow::Result<()> {
        if let (Some(path), true) = (&self.out, self.file.is_none() || !self.in_order) {
            write_bytes_atomic(path, self.whole().as_bytes())?;
        }
        Ok(())
    }

    /// The file, with the rows that were there before.
    fn begin(&self, path: &Path) -> anyhow::Result<File> {
        let failed = || format!("{}: cannot be written", path.display());
        if self.rows.is_empty() {
            let mut file = File::create(path).with_context(failed)?;
            file.write_all(self.whole().as_bytes()).with_context(failed)?;
            return Ok(file);
        }
        // What is there is never lost, and what was cut off within a line is.
        write_bytes_atomic(path, self.whole().as_bytes())?;
        File::options().append(true).open(path).with_context(failed)
    }

    /// The table with all rows.
    fn whole(&self) -> String {
        std::iter::once(line(&COLUMNS)).chain(self.rows.values().map(|row| line(row))).collect()
    }

    fn count(&mut self, done: &Done) {
        self.masked.add(done);
        self.successes += usize::from(done.success);
        self.wrong_before += usize::from(done.success && done.wrong_before);
    }
}

/// That `path` can be written, before anything is computed for it; leaves it as it is.
fn check_writable(path: &Path) -> anyhow::Result<()> {
    let about = path.symlink_metadata().ok();
    // A pipe would end with the first that closes it.
    if about.as_ref().is_some_and(|about| !about.is_file()) {
        return Ok(());
    }
    let opened = File::options().append(true).create(true).open(path).map(drop);
    opened.with_context(|| format!("{}: cannot be written", path.display()))?;
    if about.is_none() {
        std::fs::remove_file(path).with_context(|| format!("{}: cannot be removed", path.display()))?;
    }
    Ok(())
}

/// The whole rows of the table at `path`; none where there is no file.
fn read(path: &Path) -> anyhow::Result<BTreeMap<usize, Vec<String>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
    };
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let header = line(&COLUMNS);
    ensure!(
        bytes.starts_with(header.as_bytes()) || header.as_bytes().starts_with(&bytes),
        "--resume: {} is another table, or one of another version. Give another --out, or begin anew without --resume",
        path.display()
    );
    let mut rows = BTreeMap::new();
    for record in csv::Reader::from_reader(&bytes[..whole]).records() {
        let record = record.with_context(|| format!("--resume: {} is damaged; give another --out", path.display()))?;
        let row: Vec<String> = record.iter().map(str::to_owned).collect();
        let number = row[0].parse().with_context(|| {
            format!("--resume: {} is damaged: ‘{}’ is no row; give another --out", path.display(), row[0])
        })?;
        rows.insert(number, row);
    }
    Ok(rows)
}

/// A fingerprint of an array's values.
pub(super) fn print_of(values: &[f32]) -> String {
    let mut print = Fingerprint::default();
    values.iter().for_each(|v| print.add(&v.to_le_bytes()));
    print.text()
}

/// One line of CSV.
fn line<T: AsRef<str>>(cells: &[T]) -> String {
    let quoted = |cell: &T| {
        let cell = cell.as_ref().replace(['\n', '\r'], " ");
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

/// What is counted of a row.
struct Done {
    success: bool,
    wrong_before: bool,
    zero_share: Option<f32>,
    random: Option<bool>,
    one_step: Option<bool>,
}

impl Done {
    fn of(result: &BatchResult) -> Self {
        Self {
            success: result.success,
            wrong_before: result.wrong_before,
            zero_share: result.zero_share,
            random: result.random_succeeds,
            one_step: result.one_step_succeeds,
        }
    }

    /// As a row has it.
    fn read(row: &[String]) -> Self {
        let flag = |i: usize| row.get(i).filter(|cell| !cell.is_empty()).map(|cell| cell == "1");
        let number = |i: usize| row.get(i).and_then(|cell| cell.parse::<f32>().ok());
        Self {
            success: flag(1) == Some(true),
            wrong_before: flag(8) == Some(true),
            zero_share: number(5),
            random: flag(6),
            one_step: flag(7),
        }
    }
}

/// Cases with signs of gradient masking, of those that were right before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masked {
    zeros: usize,
    blind: usize,
    random: usize,
    one_step: usize,
}

impl Masked {
    fn add(&mut self, result: &Done) {
        if result.wrong_before {
            return;
        }
        let zeros = result.zero_share.unwrap_or(0.0);
        self.zeros += usize::from(f64::from(zeros) > ZERO_SHARE);
        self.blind += usize::from(zeros >= 1.0);
        self.random += usize::from(!result.success && result.random == Some(true));
        self.one_step += usize::from(!result.success && result.one_step == Some(true));
    }

    pub fn words(self, of: usize) -> String {
        let Self { zeros, blind, random, one_step } = self;
        let mut text = String::new();
        if zeros > 0 {
            text += &format!(
                "note: of {zeros} of {of} cases more than {:.0} % of the gradient is exactly zero, of {blind} all: a sign of gradient \
                 masking or of a saturated model\n",
                100.0 * ZERO_SHARE
            );
        }
        if random > 0 {
            text += &format!(
                "note: random signs of the same norm succeed on {random} of {of} cases on which the attack does not\n"
            );
        }
        if one_step > 0 {
            text += &format!(
                "note: one step succeeds on {one_step} of {of} cases on which all steps do not: a sign of gradient masking\n"
            );
        }
        text
    }
}
