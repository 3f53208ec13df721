//! Which entries of a data set are shown, and in which order.

use crate::data::Dataset;
use crate::data::dataset::Entry;
use serde::{Deserialize, Serialize};

/// The order of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// By path, numbers by their value.
    #[default]
    Name,
    /// By class, then by name.
    Class,
    /// The largest first, then by name.
    Size,
    /// By split, then by name.
    Split,
}

impl Sort {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Name, "Name"), (Self::Class, "Class"), (Self::Size, "Size"), (Self::Split, "Split")];
}

/// Which entries of a data set are shown, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Words that names have, all of them, in any case.
    pub text: String,
    /// Only entries of this class.
    pub class: Option<String>,
    /// Only entries of this split.
    pub split: Option<String>,
    /// The order.
    pub sort: Sort,
}

impl Filter {
    /// Whether it hides anything.
    pub fn is_on(&self) -> bool {
        !self.text.trim().is_empty() || self.class.is_some() || self.split.is_some()
    }

    /// The same order, with nothing hidden.
    #[must_use]
    pub fn cleared(&self) -> Self {
        Self { sort: self.sort, ..Self::default() }
    }

    /// The entries of `set` that it leaves, in its order.
    pub fn apply(&self, set: &Dataset) -> Vec<usize> {
        let words: Vec<String> = self.text.split_whitespace().map(str::to_lowercase).collect();
        let class = self.class.as_ref().map(|class| set.classes.iter().position(|name| **name == **class));
        let matches = |entry: &Entry| {
            class.is_none_or(|class| class.is_some() && entry.class.map(usize::from) == class)
                && self.split.as_ref().is_none_or(|split| entry.split.as_deref() == Some(split))
                && (words.is_empty() || {
                    let name = entry.name.to_lowercase();
                    words.iter().all(|word| name.contains(word))
                })
        };
        let mut shown: Vec<usize> = (0..set.entries.len()).filter(|&index| matches(&set.entries[index])).collect();
        let entry = |index: &usize| &set.entries[*index];
        // Entries lie in the order of their names, and sorting is stable.
        match self.sort {
            Sort::Name => {}
            Sort::Class => shown.sort_by_key(|index| entry(index).class.map_or(u32::MAX, u32::from)),
            Sort::Size => shown.sort_by_key(|index| {
                std::cmp::Reverse(entry(index).shape.map_or(0, |[_, height, width]| height * width))
            }),
            Sort::Split => shown.sort_by(|a, b| entry(a).split.cmp(&entry(b).split)),
        }
        shown
    }
}
