//! `epsiloscope attack --batch`: many cases, each attacked inside its own ball or box, and judged on what was kept.

mod cases;
mod limits;
mod own_files;
mod results;

pub(super) use cases::parse_epsilon;

use super::attack::as_it_is;
use super::images::{Images, InputOptions};
use super::options::print;
use super::progress::{Progress, note};
use super::targets::Targets;
use crate::attack::{Attack, DEFAULT_BUDGET_BYTES, Norm, Reference, Step};
use crate::data::{Bounds, read_npy, write_npy};
use crate::model::{Model, Task};
use crate::study::campaign::Fingerprint;
use crate::study::{BatchCase, BatchLimits, Truth, attack_cases_watched, cases_at_once, measured_norm};
use anyhow::{Context, bail, ensure};
use cases::{Row, read_rows};
use limits::{Limits, around, limit, within_bounds};
use own_files::{check_apart, read_by};
use results::{Of, Results, print_of};
use std::ops::ControlFlow;
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
    /// bounds (an original that is wrong already does, which wrong_before tells; of a mask, see --mask-share), norm, loss, seconds, and
    /// what tells of masked gradients: the share of zeros in the first one, and whether random signs of the same norm and one step
    /// succeed; then what it is of: attack, model and case, device and version, and a fingerprint of the array. Pixels outside the bounds stay as they are. All rows are read before the first is attacked, and each is written as soon as it is known.
    #[arg(long, value_name = "CASES.csv")]
    pub batch: Option<PathBuf>,
    /// With --batch: write each adversarial array into this folder, one .npy a row, named by the row's number from 0.
    #[arg(long, value_name = "DIR", requires = "batch")]
    pub save: Option<PathBuf>,
    /// With --batch: go on with the table at --out. Rows that it has of the same attack, model, case, device and version are not
    /// attacked again (with --save only if the folder holds the very array of the row); if one of them is of others, it is refused.
    /// Without this, a table at --out is begun anew.
    #[arg(long, requires_all = ["batch", "out"])]
    pub resume: bool,
    /// With --batch: the share of a mask's pixels (those that count) that must be wrong for a success, above 0 and up to 1. Without it
    /// 0.5, or the attack's own share (--set share=0.3), which this sets too where it has one.
    #[arg(long, value_name = "SHARE", requires = "batch", value_parser = parse_share)]
    pub mask_share: Option<f64>,
}

impl BatchOptions {
    /// The first option that was given although it is for batches alone.
    pub fn needless(&self) -> Option<&'static str> {
        let given =
            [("--save", self.save.is_some()), ("--resume", self.resume), ("--mask-share", self.mask_share.is_some())];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "write a share above 0 and up to 1, e.g. 0.25".to_owned())
}

/// A case that waits to be attacked with others of its kind.
struct Waiting {
    number: usize,
    case: BatchCase,
    of: Of,
    /// The axes that its array is written with.
    axes: Vec<usize>,
    /// With --raw: ε in the units of the array, if it has one.
    raw: Option<Option<f64>>,
    /// Its row is there already; those beside it stand as if it was not.
    is_done: bool,
}

/// A batch under way.
pub(super) struct Batch<'a> {
    input: &'a InputOptions,
    options: &'a BatchOptions,
    label_map: Option<&'a str>,
    model: Arc<dyn Model>,
    /// A fingerprint of model and card.
    model_id: String,
    /// What computes.
    device: String,
    attack: Attack,
    limits: BatchLimits,
    waiting: Vec<Waiting>,
}

impl<'a> Batch<'a> {
    /// Opens the model.
    pub fn new(
        input: &'a InputOptions,
        label_map: Option<&'a str>,
        options: &'a BatchOptions,
        mut attack: Attack,
    ) -> anyhow::Result<Self> {
        attack.check_reference(Reference::Label)?;
        if let Some(share) = options.mask_share.filter(|_| attack.get("share").is_some()) {
            attack = attack.with("share", share)?;
        }
        let (model, device) = input.open_on_device()?;
        let model_id = Fingerprint::of_model(model.as_ref())?;
        let mut limits = BatchLimits::of(attack);
        limits.mask_share = options.mask_share.map_or(limits.mask_share, |share| share as f32);
        limits.budget_bytes = input.memory.unwrap_or(DEFAULT_BUDGET_BYTES);
        Ok(Self { input, options, label_map, model, model_id, device, attack, limits, waiting: Vec::new() })
    }

    /// Attacks every case of `cases` and prints a row each, or writes them to `out`.
    pub fn run(mut self, cases: &Path, out: Option<&Path>) -> anyhow::Result<()> {
        let rows = read_rows(cases)?;
        // A folder that is missing is told before anything is computed.
        if let Some(folder) = out.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()) {
            ensure!(folder.is_dir(), "--out: the folder {} does not exist", folder.display());
        }
        let arrays = (0..rows.len()).filter_map(|row| Some(("--save", self.kept_at(row)?)));
        let written = out.map(|out| ("--out", out.to_owned())).into_iter().chain(arrays);
        check_apart(&read_by(cases, &rows, self.input, &self.model.facts().beside), written)?;
        let at = |number: usize, row: &Row| format!("{}: row {number} ({})", cases.display(), row.input.display());
        for (number, row) in rows.iter().enumerate() {
            self.open(row).with_context(|| at(number, row))?;
        }
        // The array of this row, not that of another batch in the same folder.
        let is_kept = |row: usize, print: &str| {
            let is_its = |path: PathBuf| read_npy(&path).is_ok_and(|array| print_of(&array.values) == print);
            self.kept_at(row).is_none_or(is_its)
        };
        let mut results = Results::open(out, self.options.resume, rows.len(), is_kept)?;
        // All that is there is of this batch, or nothing is added to it.
        for (number, row) in rows.iter().enumerate().filter(|(number, _)| results.knows(*number)) {
            let Waiting { of, .. } = self.read(number, row).with_context(|| at(number, row))?;
            results.has(number, &of)?;
        }
        if results.before() > 0 {
            note(&format!("{} of {} rows are there already; going on\n", results.before(), rows.len()));
        }
        for (number, row) in rows.iter().enumerate() {
            let mut next = self.read(number, row).with_context(|| at(number, row))?;
            next.is_done = results.has(number, &next.of)?;
            let together = self.waiting.iter().all(|waiting| waiting.goes_with(&next));
            if !together || self.waiting.len() == AT_ONCE {
                self.attack_waiting(&mut results, rows.len())?;
            }
            self.waiting.push(next);
        }
        self.attack_waiting(&mut results, rows.len())?;
        results.finish()?;
        note(&results.masked.words(rows.len()));
        if self.model.card().task == Task::Segmentation {
            let share = 100.0 * self.limits.mask_share;
            let share = format!("{share:.2}");
            let share = share.trim_end_matches('0').trim_end_matches('.');
            note(&format!("success on a mask: at least {share} % of the pixels that count are wrong (--mask-share)\n"));
        }
        let Some(path) = out else { return Ok(()) };
        let before = match results.wrong_before {
            0 => String::new(),
            n => format!(" ({n} of these were wrong before the attack)"),
        };
        print(&format!("{} of {} succeeded{before}: {}\n", results.successes, rows.len(), path.display()))
    }

    /// Where the array of a row is kept, if arrays are kept.
    fn kept_at(&self, row: usize) -> Option<PathBuf> {
        self.options.save.as_ref().map(|folder| folder.join(format!("{row}.npy")))
    }

    fn attack_waiting(&mut self, results: &mut Results, all: usize) -> anyhow::Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        share_bounds(&mut waiting);
        waiting.retain(|w| !w.is_done);
        let Some(first) = waiting.first() else { return Ok(()) };
        let ([_, height, width], bounds) = (first.case.shape, first.case.bounds);
        let raw = self.input.raw;
        let model = if raw { as_it_is(self.model.as_ref(), bounds, [height, width])? } else { self.model.clone() };
        // What is kept is judged as it is, without a way through bounds and back.
        let as_kept = raw.then(|| as_it_is(self.model.as_ref(), UNIT, [height, width])).transpose()?;
        let cases: Vec<BatchCase> = waiting.iter().map(|w| w.case.clone()).collect();
        // What memory parts is written part by part.
        let at_once = cases_at_once(model.as_ref(), self.attack, &cases, self.limits)?;
        let mut progress = Progress::new("step");
        for (cases, waiting) in cases.chunks(at_once).zip(waiting.chunks(at_once)) {
            let mut observer = |step: &Step<'_>| {
                progress.long_step(step.index, step.of);
                ControlFlow::Continue(())
            };
            let judge = as_kept.as_deref();
            let found = attack_cases_watched(model.as_ref(), judge, self.attack, cases, self.limits, &mut observer)?;
            progress = progress.again();
            for (result, Waiting { number, axes, raw, case, of, .. }) in found.iter().zip(waiting) {
                if let (Some(folder), Some(path)) = (&self.options.save, self.kept_at(*number)) {
                    // Not before there is something to keep.
                    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
                    write_npy(&path, axes, &result.adversarial)?;
                }
                let unit = if raw.is_some() { f64::from(case.bounds.width()) } else { 1.0 };
                results.add(*number, result, result.norm * unit, of)?;
            }
            note(&format!("{} of {all} cases attacked, {} succeeded\n", results.done(), results.successes));
        }
        Ok(())
    }

    fn is_linf(&self) -> bool {
        measured_norm(self.attack) == Norm::Linf
    }

    /// What a row names, read.
    fn open(&self, row: &Row) -> anyhow::Result<(Images, Targets, Option<Limits>)> {
        if let Some(beyond) = row.epsilon.filter(|e| *e > 1.0 && !self.input.raw && self.is_linf()) {
            bail!(
                "ε = {beyond} is beyond 1: for {} it is a fraction of the bounds’ width. Write four grey levels of 8 bits as 4/255; \
                 only an L2 norm may be larger",
                self.attack.title()
            );
        }
        let mut images = Images::read(&row.input, self.input, self.model.as_ref())?;
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
        if self.input.raw {
            // Numbers as they are have no bounds of their own: everything fits, and --bounds hold as a box does.
            if let Some(allowed) = self.input.bounds {
                limits = Some(within_bounds(&images, allowed, limits));
            }
            images.bounds = around(&images.values, limits.as_ref(), row.epsilon.unwrap_or(0.0));
            ensure!(images.bounds.width().is_finite(), "its values, box and ε are too large for numbers of 32 bits");
        }
        let targets = Targets::read(Some(&row.label), self.label_map, self.input.slice, &images)?;
        targets.check_counted(self.model.card()).with_context(|| row.label.clone())?;
        Ok((images, targets, limits))
    }

    /// The case of a row.
    fn read(&self, number: usize, row: &Row) -> anyhow::Result<Waiting> {
        let (images, targets, limits) = self.open(row)?;
        let x = images.unit_tensor(0, 1, &self.model.device());
        let [_, channels, height, width] = images.shape;
        // A mask's values are guessed by what the model predicts.
        let truth = match (self.input.raw, &targets) {
            (true, Targets::Mask { .. }) => {
                targets.truth(as_it_is(self.model.as_ref(), images.bounds, [height, width])?.as_ref(), &x)
            }
            _ => targets.truth(self.model.as_ref(), &x),
        };
        let truth = truth.with_context(|| format!("its label {}", row.label))?;
        let case = BatchCase {
            shape: [channels, height, width],
            values: images.values,
            bounds: images.bounds,
            truth,
            epsilon: row.epsilon.filter(|_| !self.input.raw),
            limits,
        };
        let of = [
            self.attack_words(),
            self.model_id.clone(),
            self.case_id(&case, row.epsilon),
            self.device.clone(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ];
        let raw = self.input.raw.then_some(row.epsilon);
        Ok(Waiting { number, case, of, axes: images.axes, raw, is_done: false })
    }

    /// The attack with all of its parameters, and what of a mask is a success.
    fn attack_words(&self) -> String {
        let parameters = self.attack.parameters().map(|(p, v)| format!(" {}={}", p.name, p.text(v)));
        let words = self.attack.name().to_owned() + &parameters.collect::<String>();
        match self.model.card().task {
            Task::Segmentation => format!("{words} mask-share={}", self.limits.mask_share),
            Task::Classification => words,
        }
    }

    /// A fingerprint of all that a case is, with its `epsilon` as the table has it.
    fn case_id(&self, case: &BatchCase, epsilon: Option<f64>) -> String {
        let mut id = Fingerprint::default();
        let mut floats = |values: &[f32]| values.iter().for_each(|v| id.add(&v.to_le_bytes()));
        floats(&case.values);
        floats(&[case.bounds.lower, case.bounds.upper]);
        if let Some((least, most)) = &case.limits {
            floats(least);
            floats(most);
        }
        match &case.truth {
            Truth::Class(class) => id.add(&class.to_le_bytes()),
            Truth::Mask(mask) => id.add(&mask.classes),
        }
        id.add(format!("{:?} {epsilon:?} {}", case.shape, self.input.raw).as_bytes());
        id.text()
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

/// Gives numbers as they are one range, of which their ε is a fraction. What an attack does depends on it (its random numbers are
/// drawn by the scaled values), so that it is that of all rows here, also of those that are done.
fn share_bounds(waiting: &mut [Waiting]) {
    let all = waiting.iter().filter(|w| w.raw.is_some()).map(|w| w.case.bounds).reduce(joined);
    for Waiting { case, raw, .. } in waiting {
        let (Some(bounds), Some(epsilon)) = (all, *raw) else { continue };
        (case.bounds, case.epsilon) = (bounds, epsilon.map(|epsilon| epsilon / f64::from(bounds.width())));
    }
}
