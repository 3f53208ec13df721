//! `epsiloscope attack --batch`: many cases, each attacked inside its own ball or box, and judged on what was kept.

use super::attack::as_it_is;
use super::images::{Images, InputOptions};
use super::options::print;
use super::progress::note;
use super::targets::Targets;
use crate::attack::{Attack, DEFAULT_BUDGET_BYTES, Norm, Reference};
use crate::data::{Bounds, read_npy, write_bytes_atomic, write_npy};
use crate::model::{Model, Task};
use crate::study::{BatchCase, BatchResult, MASK_SHARE, ZERO_SHARE, attack_cases_within, measured_norm};
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Cases that are attacked together, where they are of one shape.
const AT_ONCE: usize = 32;

/// Bounds that change nothing.
const UNIT: Bounds = Bounds { lower: 0.0, upper: 1.0 };

/// Arguments of the batch.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BatchOptions {
    /// Attack many cases: a table with the columns input, label and epsilon (with --raw in the units of the array), and, for a
    /// box, lower and upper (arrays of the input's shape that bound each pixel). Paths are relative to the table; a row may leave
    /// epsilon or the box empty. Written is a row for each: whether the array that was kept succeeds inside its ball, box and
    /// bounds (an original that is wrong already does, with norm 0; of a mask at least half of the pixels that count must be wrong, or
    /// the attack's own share), norm, loss, seconds, and what tells of masked gradients: the share of zeros in the first one, and
    /// whether random signs of the same norm and one step succeed. Pixels outside the bounds stay as they
    /// are. All rows are read before the first is attacked.
    #[arg(long, value_name = "CASES.csv")]
    pub batch: Option<PathBuf>,
    /// With --batch: write each adversarial array into this folder, one .npy a row, named by the row's number from 0.
    #[arg(long, value_name = "DIR", requires = "batch")]
    pub save: Option<PathBuf>,
}

/// One row of the table.
struct Row {
    input: PathBuf,
    label: String,
    epsilon: Option<f64>,
    limits: Option<(PathBuf, PathBuf)>,
}

/// A case that waits to be attacked with others of its kind.
struct Waiting {
    case: BatchCase,
    /// The axes that its array is written with.
    axes: Vec<usize>,
    /// With --raw: ε in the units of the array, if it has one.
    raw: Option<Option<f64>>,
}

/// A batch under way.
pub(super) struct Batch<'a> {
    options: &'a InputOptions,
    label_map: Option<&'a str>,
    save: Option<&'a Path>,
    model: Arc<dyn Model>,
    attack: Attack,
    waiting: Vec<Waiting>,
    /// Rows that are done, how many of them succeeded, and how many of those were wrong before.
    done: usize,
    successes: usize,
    wrong_before: usize,
    masked: Masked,
    table: csv::Writer<Vec<u8>>,
}

impl<'a> Batch<'a> {
    /// Opens the model.
    pub fn new(
        options: &'a InputOptions,
        label_map: Option<&'a str>,
        save: Option<&'a Path>,
        attack: Attack,
    ) -> anyhow::Result<Self> {
        attack.check_reference(Reference::Label)?;
        let table = csv::Writer::from_writer(Vec::new());
        let model = options.open_model()?;
        Ok(Self {
            options,
            label_map,
            save,
            model,
            attack,
            waiting: Vec::new(),
            done: 0,
            successes: 0,
            wrong_before: 0,
            masked: Masked::default(),
            table,
        })
    }

    /// Attacks every case of `cases` and prints a row each, or writes them to `out`.
    pub fn run(mut self, cases: &Path, out: Option<&Path>) -> anyhow::Result<()> {
        let rows = read_rows(cases)?;
        // A folder that is missing is told before anything is computed.
        if let Some(folder) = out.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()) {
            ensure!(folder.is_dir(), "--out: the folder {} does not exist", folder.display());
        }
        self.table.write_record([
            "row",
            "success",
            "norm",
            "loss",
            "seconds",
            "zero_share",
            "random_success",
            "one_step_success",
        ])?;
        let at = |number: usize, row: &Row| format!("{}: row {number} ({})", cases.display(), row.input.display());
        for (number, row) in rows.iter().enumerate() {
            self.open(row).with_context(|| at(number, row))?;
        }
        for (number, row) in rows.iter().enumerate() {
            let next = self.read(row).with_context(|| at(number, row))?;
            let together = self.waiting.iter().all(|waiting| waiting.goes_with(&next));
            if !together || self.waiting.len() == AT_ONCE {
                self.attack_waiting()?;
            }
            self.waiting.push(next);
        }
        self.attack_waiting()?;
        note(&self.masked.words(rows.len()));
        if self.model.card().task == Task::Segmentation {
            let share = self.attack.get("share").unwrap_or(f64::from(MASK_SHARE));
            note(&format!("success on a mask: at least {:.0} % of the pixels that count are wrong\n", 100.0 * share));
        }
        let table = self.table.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
        match out {
            Some(path) => {
                write_bytes_atomic(path, &table)?;
                let before = match self.wrong_before {
                    0 => String::new(),
                    n => format!(" ({n} of these were wrong before the attack)"),
                };
                print(&format!("{} of {} succeeded{before}: {}\n", self.successes, rows.len(), path.display()))
            }
            None => print(&String::from_utf8(table)?),
        }
    }

    fn attack_waiting(&mut self) -> anyhow::Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        share_bounds(&mut waiting);
        let Some(first) = waiting.first() else { return Ok(()) };
        let ([_, height, width], bounds) = (first.case.shape, first.case.bounds);
        let model =
            if self.options.raw { as_it_is(self.model.as_ref(), bounds, [height, width])? } else { self.model.clone() };
        // What is kept is judged as it is, without a way through bounds and back.
        let as_kept = self.options.raw.then(|| as_it_is(self.model.as_ref(), UNIT, [height, width])).transpose()?;
        let cases: Vec<BatchCase> = waiting.iter().map(|w| w.case.clone()).collect();
        let budget = self.options.memory.unwrap_or(DEFAULT_BUDGET_BYTES);
        let results = attack_cases_within(model.as_ref(), as_kept.as_deref(), self.attack, &cases, budget)?;
        for (result, Waiting { axes, raw, case }) in results.into_iter().zip(waiting) {
            self.masked.add(&result);
            let unit = if raw.is_some() { f64::from(case.bounds.width()) } else { 1.0 };
            if let Some(folder) = self.save {
                // Not before there is something to keep.
                std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
                write_npy(&folder.join(format!("{}.npy", self.done)), &axes, &result.adversarial)?;
            }
            self.successes += usize::from(result.success);
            self.wrong_before += usize::from(result.success && result.wrong_before);
            self.table.write_record([
                self.done.to_string(),
                u8::from(result.success).to_string(),
                (result.norm * unit).to_string(),
                result.loss.to_string(),
                format!("{:.4}", result.seconds),
                result.zero_share.map(|share| share.to_string()).unwrap_or_default(),
                flag(result.random_succeeds),
                flag(result.one_step_succeeds),
            ])?;
            self.done += 1;
        }
        note(&format!("{} cases attacked, {} succeeded\n", self.done, self.successes));
        Ok(())
    }

    fn is_linf(&self) -> bool {
        measured_norm(self.attack) == Norm::Linf
    }

    /// What a row names, read.
    fn open(&self, row: &Row) -> anyhow::Result<(Images, Targets, Option<Limits>)> {
        if let Some(beyond) = row.epsilon.filter(|e| *e > 1.0 && !self.options.raw && self.is_linf()) {
            bail!(
                "ε = {beyond} is beyond 1: for {} it is a fraction of the bounds’ width. Write four grey levels of 8 bits as 4/255; \
                 only an L2 norm may be larger",
                self.attack.title()
            );
        }
        let mut images = Images::read(&row.input, self.options, self.model.as_ref())?;
        ensure!(images.shape[0] == 1, "holds {} images; give one a row", images.shape[0]);
        let mut limits = match &row.limits {
            Some((lower, upper)) => {
                let (least, most) = (limit(lower, &images.axes)?, limit(upper, &images.axes)?);
                let crossed = least.iter().zip(&most).filter(|(least, most)| least > most).count();
                ensure!(
                    crossed == 0,
                    "{}: is above {} at {crossed} values, so that the box is empty",
                    lower.display(),
                    upper.display()
                );
                Some((least, most))
            }
            None => None,
        };
        if self.options.raw {
            // Numbers as they are have no bounds of their own: everything fits, and --bounds hold as a box does.
            if let Some(allowed) = self.options.bounds {
                limits = Some(within_bounds(&images, allowed, limits));
            }
            images.bounds = around(&images.values, limits.as_ref(), row.epsilon.unwrap_or(0.0));
            ensure!(images.bounds.width().is_finite(), "its values, box and ε are too large for numbers of 32 bits");
        }
        let targets = Targets::read(Some(&row.label), self.label_map, self.options.slice, &images)?;
        Ok((images, targets, limits))
    }

    /// The case of a row.
    fn read(&self, row: &Row) -> anyhow::Result<Waiting> {
        let (images, targets, limits) = self.open(row)?;
        let x = images.unit_tensor(0, 1, &self.model.device());
        let [_, channels, height, width] = images.shape;
        // A mask's values are guessed by what the model predicts.
        let truth = match (self.options.raw, &targets) {
            (true, Targets::Mask { .. }) => {
                targets.truth(as_it_is(self.model.as_ref(), images.bounds, [height, width])?.as_ref(), &x)?
            }
            _ => targets.truth(self.model.as_ref(), &x)?,
        };
        let case = BatchCase {
            shape: [channels, height, width],
            values: images.values,
            bounds: images.bounds,
            truth,
            epsilon: row.epsilon.filter(|_| !self.options.raw),
            limits,
        };
        Ok(Waiting { case, axes: images.axes, raw: self.options.raw.then_some(row.epsilon) })
    }
}

fn flag(yes: Option<bool>) -> String {
    yes.map(|yes| u8::from(yes).to_string()).unwrap_or_default()
}

/// Cases with signs of gradient masking, of those that were right before.
#[derive(Clone, Copy, Debug, Default)]
struct Masked {
    zeros: usize,
    blind: usize,
    random: usize,
    one_step: usize,
}

impl Masked {
    fn add(&mut self, result: &BatchResult) {
        if result.wrong_before {
            return;
        }
        let zeros = result.zero_share.unwrap_or(0.0);
        self.zeros += usize::from(f64::from(zeros) > ZERO_SHARE);
        self.blind += usize::from(zeros >= 1.0);
        self.random += usize::from(!result.success && result.random_succeeds == Some(true));
        self.one_step += usize::from(!result.success && result.one_step_succeeds == Some(true));
    }

    fn words(self, of: usize) -> String {
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

impl Waiting {
    /// Whether both can be attacked together: they are of one shape, and numbers as they are also of about one range, or the
    /// precision of the narrower would be lost.
    fn goes_with(&self, other: &Self) -> bool {
        let (a, b) = (self.case.bounds, other.case.bounds);
        let narrow = 2.0 * a.width().min(b.width());
        self.case.shape == other.case.shape && (self.raw.is_none() || joined(a, b).width() <= narrow)
    }
}

/// Bounds that hold both.
fn joined(a: Bounds, b: Bounds) -> Bounds {
    Bounds { lower: a.lower.min(b.lower), upper: a.upper.max(b.upper) }
}

/// Gives numbers as they are one range, of which their ε is a fraction.
fn share_bounds(waiting: &mut [Waiting]) {
    let all = waiting.iter().filter(|w| w.raw.is_some()).map(|w| w.case.bounds).reduce(joined);
    for Waiting { case, raw, .. } in waiting {
        let (Some(bounds), Some(epsilon)) = (all, *raw) else { continue };
        (case.bounds, case.epsilon) = (bounds, epsilon.map(|epsilon| epsilon / f64::from(bounds.width())));
    }
}

/// The smallest and the largest value of each pixel.
type Limits = (Vec<f32>, Vec<f32>);

/// `limits`, and the bounds `allowed`, for the pixels of one image. Those that lie outside the bounds stay as they are, unless
/// `limits` leave them out.
fn within_bounds(images: &Images, allowed: Bounds, limits: Option<Limits>) -> Limits {
    let (count, plane) = (images.values.len(), (images.shape[2] * images.shape[3]).max(1));
    let (mut least, mut most) = limits.unwrap_or_else(|| (vec![f32::NEG_INFINITY; count], vec![f32::INFINITY; count]));
    let (mut outside, mut boxed) = (vec![false; plane], vec![true; plane]);
    for (i, v) in images.values.iter().enumerate() {
        outside[i % plane] |= !(allowed.lower..=allowed.upper).contains(v);
        boxed[i % plane] &= (least[i]..=most[i]).contains(v);
    }
    for (i, &v) in images.values.iter().enumerate() {
        let frozen = outside[i % plane] && boxed[i % plane];
        let ends = if frozen { [v, v] } else { [allowed.lower, allowed.upper] };
        (least[i], most[i]) = (least[i].max(ends[0]), most[i].min(ends[1]));
    }
    (least, most)
}

/// One side of a box for an input of these axes.
fn limit(path: &Path, axes: &[usize]) -> anyhow::Result<Vec<f32>> {
    let array = read_npy(path)?;
    // An axis of one image or one channel may be left away.
    let counted = |axes: &[usize]| axes.iter().copied().skip_while(|&n| n == 1).collect::<Vec<_>>();
    ensure!(
        counted(&array.shape) == counted(axes),
        "{}: has the axes {:?}, and its input {axes:?}",
        path.display(),
        array.shape
    );
    let broken = array.values.iter().filter(|v| !v.is_finite()).count();
    ensure!(broken == 0, "{}: {broken} of its values are not finite (NaN or infinite)", path.display());
    Ok(array.values)
}

fn read_rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let unreadable = || format!("{}: cannot be read as a table", path.display());
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(unreadable)?;
    let headers = reader.headers().with_context(unreadable)?.clone();
    let column = |name: &str| headers.iter().position(|h| h == name);
    let needed = |name: &str| {
        column(name).with_context(|| format!("{}: has no column {name}; give input, label and epsilon", path.display()))
    };
    let (input, label, epsilon) = (needed("input")?, needed("label")?, needed("epsilon")?);
    let limits = match (column("lower"), column("upper")) {
        (Some(lower), Some(upper)) => Some((lower, upper)),
        (None, None) => None,
        _ => bail!("{}: has one of the columns lower and upper; give both, or none", path.display()),
    };
    let mut rows = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.with_context(unreadable)?;
        let cell = |i: usize| record.get(i).filter(|c| !c.is_empty());
        let at = |cause: &str| format!("{}: row {number} {cause}", path.display());
        let limits = match limits.map(|(lower, upper)| (cell(lower), cell(upper))) {
            Some((Some(lower), Some(upper))) => Some((folder.join(lower), folder.join(upper))),
            None | Some((None, None)) => None,
            Some(_) => bail!(at("has one of lower and upper; give both, or none")),
        };
        let epsilon = match cell(epsilon) {
            Some(text) => Some(parse_epsilon(text).with_context(|| at("has a bad epsilon"))?),
            None => None,
        };
        ensure!(epsilon.is_some() || limits.is_some(), at("has neither an epsilon nor a box; give one of them"));
        let label = cell(label).with_context(|| at("has no label"))?;
        rows.push(Row {
            input: folder.join(cell(input).with_context(|| at("has no input"))?),
            // A class by its number, or a file beside the table.
            label: match label.parse::<usize>() {
                Ok(class) => format!("class:{class}"),
                Err(_) if label.starts_with("class:") => label.to_owned(),
                Err(_) => folder.join(label).to_string_lossy().into_owned(),
            },
            epsilon,
            limits,
        });
    }
    ensure!(!rows.is_empty(), "{}: has no rows", path.display());
    Ok(rows)
}

/// `4/255` or `0.0157`; an L2 radius may be larger than 1.
pub(super) fn parse_epsilon(text: &str) -> anyhow::Result<f64> {
    let number = |t: &str| t.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
        None => number(text),
    };
    value
        .filter(|v| v.is_finite() && *v >= 0.0)
        .with_context(|| format!("‘{text}’ is no ε; write a fraction of the bounds’ width, e.g. 4/255 or 0.0157"))
}

/// Bounds that hold the values, the box and the ball.
fn around(values: &[f32], limits: Option<&Limits>, epsilon: f64) -> Bounds {
    let ends = |values: &[f32]| {
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(lower, upper), &v| (lower.min(v), upper.max(v)))
    };
    let (lower, upper) = ends(values);
    // A little more than ε, so that rounding takes nothing from the ball.
    let room = (epsilon as f32).max(1e-6) * 1.01;
    let (mut lower, mut upper) = (lower - room, upper + room);
    if let Some((least, most)) = limits {
        (lower, upper) = (lower.min(ends(least).0), upper.max(ends(most).1));
    }
    Bounds { lower, upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilons_are_fractions_or_decimals() {
        assert_eq!(parse_epsilon("4/255").unwrap(), 4.0 / 255.0);
        assert_eq!(parse_epsilon(" 2.5 ").unwrap(), 2.5);
        for bad in ["", "-1", "x", "1/0", "nan"] {
            assert!(parse_epsilon(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_of_raw_numbers_hold_all_that_is_allowed() {
        let limits = (vec![-3.0, 0.0], vec![0.5, 9.0]);
        assert_eq!(around(&[0.0, 1.0], Some(&limits), 0.25), Bounds { lower: -3.0, upper: 9.0 });
        let ball = around(&[0.0, 1.0], None, 0.25);
        assert!(ball.lower < -0.25 && ball.upper > 1.25 && ball.width() < 1.6);
    }

    #[test]
    fn tables_are_read_and_their_faults_named_with_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_rows(&path)
        };
        let rows =
            read("input, label, epsilon, lower, upper\na.npy, 3, 4/255,,\nb.npy, m.npy,, l.npy, u.npy\n").unwrap();
        assert_eq!((rows[0].label.as_str(), rows[0].epsilon), ("class:3", Some(4.0 / 255.0)));
        assert!(rows[0].limits.is_none() && rows[1].epsilon.is_none());
        assert_eq!(rows[1].limits.as_ref().unwrap().1, folder.path().join("u.npy"));
        assert_eq!(Path::new(&rows[1].label), folder.path().join("m.npy"));
        for (text, said) in [
            ("input,label\na,1\n", "no column epsilon"),
            ("input,label,epsilon\n", "no rows"),
            ("input,label,epsilon\na,1,x\n", "row 0 has a bad epsilon"),
            ("input,label,epsilon\na,1,\n", "row 0 has neither"),
            ("input,label,epsilon,lower,upper\na,1,0.1,l,\n", "row 0 has one of lower and upper"),
            ("input,label,epsilon,lower\na,1,0.1,l\n", "one of the columns lower and upper"),
            ("input,label,epsilon\na,1,0.1,2\n", "cannot be read as a table"),
            ("", "no column input"),
        ] {
            let error = format!("{:#}", read(text).err().unwrap());
            assert!(error.contains(said) && error.contains("cases.csv"), "{error}");
        }
    }
}
