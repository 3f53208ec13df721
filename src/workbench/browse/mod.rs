//! The data set that is open: which of its entries are shown in which order, which one is chosen, and its thumbnails.
//! `filter` chooses and sorts, `thumbnails` keeps textures, `apply` is what commands and events change.

mod apply;
mod filter;
mod thumbnails;

pub use filter::{Filter, Sort};
pub use thumbnails::{MOST_TEXTURE_BYTES, Slot, Thumbnails};

use crate::data::{Axis, Dataset};
use crate::engine::CaseInfo;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The least and the greatest side of a thumbnail, in points.
pub const SIDES: std::ops::RangeInclusive<f32> = 40.0..=160.0;

/// What the library shows of a data set.
pub struct Browse {
    /// The data set.
    pub set: Option<Arc<Dataset>>,
    /// What is shown of it.
    pub filter: Filter,
    /// The entries that the filter leaves, in order.
    pub shown: Vec<usize>,
    /// The chosen entry; the case follows.
    pub chosen: Option<usize>,
    /// The case of the chosen entry has not come yet.
    pub(super) pending: bool,
    /// What was made so far.
    pub thumbnails: Thumbnails,
    /// The side of a thumbnail, in points.
    pub side: f32,
    /// The library takes half of the window, beside the pictures.
    pub enlarged: bool,
}

impl Default for Browse {
    fn default() -> Self {
        Self {
            set: None,
            filter: Filter::default(),
            shown: Vec::new(),
            chosen: None,
            pending: false,
            thumbnails: Thumbnails::default(),
            side: 72.0,
            enlarged: false,
        }
    }
}

impl Browse {
    /// All entries of a data set, none chosen.
    pub fn new(set: Arc<Dataset>) -> Self {
        let mut browse = Self { set: Some(set), ..Self::default() };
        browse.refilter();
        browse
    }

    /// Where the chosen entry is among the shown ones, from 0.
    pub fn place(&self) -> Option<usize> {
        let chosen = self.chosen?;
        self.shown.iter().position(|&index| index == chosen)
    }

    /// The entry that many steps from the chosen one among the shown ones, stopping at the ends; from an entry that the
    /// filter hides, the first.
    pub fn stepped(&self, steps: isize) -> Option<usize> {
        let last = self.shown.len().checked_sub(1)?;
        let place = self.place().map_or(0, |place| place.saturating_add_signed(steps).min(last));
        Some(self.shown[place]).filter(|&index| Some(index) != self.chosen)
    }

    /// Whether the slices of an image, as it is looked at, are entries.
    pub fn has_slices_of(&self, case: &CaseInfo) -> bool {
        let set = self.set.as_ref().filter(|_| case.axis == Axis::Slices);
        set.zip(case.path.as_deref()).is_some_and(|(set, path)| set.position(path, case.slice).is_some())
    }

    /// `12 of 362`, with all entries where a filter hides some; of the slices of files their numbers, from 0 as slices count
    /// everywhere: `11 of 0–361`.
    pub fn count_text(&self) -> String {
        let all = self.set.as_ref().map_or(0, |set| set.entries.len());
        if all > 1
            && self.shown.len() == all
            && self.set.as_ref().is_some_and(|set| set.entries.iter().any(|entry| entry.image.slice > 0))
        {
            let entry = self.chosen.map_or_else(|| "–".to_owned(), |entry| entry.to_string());
            return format!("{entry} of 0–{}", all - 1);
        }
        let place = self.place().map_or_else(|| "–".to_owned(), |place| (place + 1).to_string());
        let shown = self.shown.len();
        if shown == all { format!("{place} of {all}") } else { format!("{place} of {shown}, {all} in all") }
    }

    /// Chooses and sorts anew.
    pub fn refilter(&mut self) {
        self.shown = self.set.as_ref().map_or_else(Vec::new, |set| self.filter.apply(set));
    }
}

/// The data set of the last session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// Its folder.
    pub path: PathBuf,
    /// What was shown of it.
    pub filter: Filter,
    /// The chosen entry, from 0.
    pub entry: usize,
}
