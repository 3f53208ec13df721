//! One result: what it depends on, and what was found.

use crate::attack::Attack;
use crate::study::Measure;
use crate::study::report::{Criterion, MEASURE_COLUMNS, measure_cells};

/// The columns that a row is keyed by: all that it depends on.
pub const KEY: [&str; 21] = [
    "data",
    "image",
    "image_id",
    "attack",
    "parameters",
    "norm",
    "epsilon",
    "seed",
    "target",
    "region",
    "made_on",
    "made_on_id",
    "judged_on",
    "judged_on_id",
    "label_map",
    "criterion",
    "shown",
    "stop_early",
    "memory_bytes",
    "device",
    "version",
];

/// The columns of what was found, before those of the measure.
const FOUND: [&str; 11] = [
    "grid",
    "group",
    "reference",
    "clean_passes",
    "fails",
    "control_fails",
    "broken",
    "clean_score",
    "score",
    "control_score",
    "control_as_wished",
];

/// The columns after those of the measure: of gradients, then of the one step that the attack repeats, judged on the model that both
/// were made on. `one_step` names it; [`NO_STEP`] of an attack of many steps that repeats none.
const LAST: [&str; 6] =
    ["gradients", "zero_share", "one_step", "one_step_fails", "one_step_score", "one_step_as_wished"];

/// What `one_step` says of an attack of many steps that repeats no single one.
pub(super) const NO_STEP: &str = "none";

/// All columns of the table.
pub fn columns() -> Vec<&'static str> {
    [&KEY[..], &FOUND, &MEASURE_COLUMNS, &LAST].concat()
}

/// Columns that rows of an older version may lack: empty in many rows anyway, or told to be unknown where they are.
pub fn may_lack(column: &str) -> bool {
    let may = |prefix: &str| column.starts_with(prefix);
    ["control_as_wished", "as_wished", "clipped", "displacement", "flipped"].contains(&column)
        || LAST.contains(&column)
        || may("shown_")
}

/// What a row depends on, the cells of [`KEY`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey(pub Vec<String>);

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it depends on.
    pub key: RowKey,
    /// The other cells.
    pub found: Vec<String>,
}

/// What was found, as it goes into a row.
pub(super) struct Found<'a> {
    /// The ε of the plan's grid, of which the row's own ε is a multiple where that bounds an L2 norm; empty where the attack finds its
    /// own.
    pub grid: &'a str,
    /// What the image must not be parted from in statistics: its patient, or its volume; empty for an image by itself.
    pub group: &'a str,
    pub reference: &'static str,
    pub clean: &'a Measure,
    pub measure: Measure,
    pub control: &'a Measure,
    pub clean_passes: bool,
    pub fails: bool,
    pub control_fails: bool,
    pub gradients: usize,
    pub zero_share: Option<f32>,
    /// The cells of the one step; empty where none belongs to the row.
    pub one_step: [String; 4],
}

impl Found<'_> {
    /// With what the one step of `attack` comes to, if it was judged on this row's model.
    pub fn beside_one_step(mut self, attack: Attack, one: Option<(Attack, &Measure)>, criterion: Criterion) -> Self {
        self.one_step = match one {
            Some((one, measure)) => [
                one.to_string(),
                u8::from(criterion.fails(self.clean, measure)).to_string(),
                measure.score().to_string(),
                measure.wished.map(|share| share.to_string()).unwrap_or_default(),
            ],
            None if attack.repeats_no_step() => [NO_STEP.to_owned(), String::new(), String::new(), String::new()],
            None => Default::default(),
        };
        self
    }

    pub fn row(&self, key: RowKey) -> Row {
        let flag = |yes: bool| u8::from(yes).to_string();
        let mut found = vec![
            self.grid.to_owned(),
            self.group.to_owned(),
            self.reference.to_owned(),
            flag(self.clean_passes),
            flag(self.fails),
            flag(self.control_fails),
            flag(self.clean_passes && self.fails && !self.control_fails),
            self.clean.score().to_string(),
            self.measure.score().to_string(),
            self.control.score().to_string(),
            self.control.wished.map(|share| share.to_string()).unwrap_or_default(),
        ];
        found.extend(measure_cells(&self.measure));
        found.push(self.gradients.to_string());
        found.push(self.zero_share.map(|share| share.to_string()).unwrap_or_default());
        found.extend(self.one_step.iter().cloned());
        Row { key, found }
    }
}

impl Row {
    /// The cell of a column.
    pub fn get(&self, column: &str) -> &str {
        let at = columns().iter().position(|c| *c == column);
        let cell = at.and_then(|at| if at < KEY.len() { self.key.0.get(at) } else { self.found.get(at - KEY.len()) });
        cell.map_or("", String::as_str)
    }

    /// The number in a column, if it is one.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.get(column).parse().ok()
    }
}
