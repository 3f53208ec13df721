//! Runs a campaign: images of one size are attacked together, at all ε in one batch, and judged on every model.

use super::chunk::Chunk;
use super::images::{Opened, Reader};
use super::{CampaignModel, CampaignPlan, Table, TableError};
use crate::data::LabelMap;
use crate::study::report::ReportError;

/// Images that are attacked together at most: what a run that is cut off may lose.
const MOST_TOGETHER: u64 = 64;

/// Why a campaign ended before it was done.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An attack, a model, the device.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// An image that a model cannot take.
    #[error("{image}: {cause}")]
    Image {
        /// Its name.
        image: String,
        /// Why.
        cause: String,
    },
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headway {
    /// Pairs of an image and an attack on a model: done, and in all.
    pub pairs: [usize; 2],
    /// While an attack runs: on how many images together, its steps done, and in all.
    pub running: Option<[usize; 3]>,
}

/// An image that was left out, and why.
pub type LeftOut = String;

/// Measures what `plan` asks for and `table` does not know yet. `told` hears the steps done and in all. Images that cannot be
/// read are left out and returned.
///
/// # Errors
/// If a model cannot take an image, an attack is not defined for a model, the table cannot be written, or the device fails.
pub fn run(
    plan: &CampaignPlan,
    table: &mut Table,
    mut told: impl FnMut(usize, usize),
) -> Result<Vec<LeftOut>, CampaignError> {
    run_watched(plan, table, &mut |Headway { pairs: [done, total], running }| {
        if running.is_none() {
            told(done, total);
        }
    })
}

/// [`run`]; `told` hears the steps of the attacks too.
///
/// # Errors
/// As there.
pub fn run_watched(
    plan: &CampaignPlan,
    table: &mut Table,
    told: &mut dyn FnMut(Headway),
) -> Result<Vec<LeftOut>, CampaignError> {
    let total = plan.steps()?;
    let (mut done, mut left_out) = (0, Vec::new());
    let each = plan.attacks().map_err(ReportError::from)?.len() * plan.models.len();
    for set in &plan.sets {
        let mut reader = Reader::default();
        let mut maps = vec![None; plan.models.len()];
        let mut chunk: Vec<Opened> = Vec::new();
        let mut entries = set.entries.iter().peekable();
        while let Some(&entry) = entries.next() {
            match reader.open(set, entry) {
                Ok(opened) => {
                    let shape = |o: &Opened| (o.case.image.channels, o.case.size());
                    if chunk.first().is_some_and(|first| shape(first) != shape(&opened)) {
                        let chunk = Chunk::new(plan, set, std::mem::take(&mut chunk))?;
                        done = attack_chunk(&chunk, table, &mut maps, [done, total], told)?;
                    }
                    chunk.push(opened);
                }
                Err(error) => {
                    left_out.push(error.to_string());
                    done += each;
                }
            }
            let full = chunk.first().is_some_and(|first| chunk.len() as u64 >= together(plan, first));
            if !chunk.is_empty() && (full || entries.peek().is_none()) {
                let chunk = Chunk::new(plan, set, std::mem::take(&mut chunk))?;
                done = attack_chunk(&chunk, table, &mut maps, [done, total], told)?;
            }
        }
    }
    table.finish()?;
    Ok(left_out)
}

/// Attacks the images of `chunk` and tells how far that is, of `done` pairs before it; the pairs that are done then.
fn attack_chunk(
    chunk: &Chunk<'_>,
    table: &mut Table,
    maps: &mut [Option<LabelMap>],
    [done, total]: [usize; 2],
    told: &mut dyn FnMut(Headway),
) -> Result<usize, CampaignError> {
    let images = chunk.images.len();
    let units = chunk.run(table, maps, &mut |units, steps| {
        let running = steps.map(|[step, of]| [images, step, of]);
        told(Headway { pairs: [done + units * images, total], running });
    })?;
    let pairs = [done + units * images, total];
    told(Headway { pairs, running: None });
    Ok(pairs[0])
}

/// How many images like `first` fit into the budget.
fn together(plan: &CampaignPlan, first: &Opened) -> u64 {
    let [height, width] = first.case.size();
    let largest = plan.models.iter().map(|m| m.model.working_bytes(height, width)).max().unwrap_or(1);
    (plan.budget_bytes / largest.max(1)).clamp(1, MOST_TOGETHER)
}

/// Models that answer alike: all of one task.
pub fn one_task(models: &[CampaignModel]) -> bool {
    let task = |m: &CampaignModel| m.model.card().task;
    models.windows(2).all(|pair| task(&pair[0]) == task(&pair[1]))
}
