//! What the values of a label file mean: written by a person, or guessed by agreement with a prediction.

use super::{IGNORE, Mask};
use serde::{Deserialize, Serialize};

/// The name of no class: pixels that count nowhere.
const IGNORE_NAME: &str = "ignore";

/// Which stored value of a label file means which class of the model card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMap {
    /// Pairs of stored value and class index; a value that is not listed is ignored.
    pub entries: Vec<(u32, u8)>,
}

/// Why a label map could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelMapError {
    /// Not of the form `value=class`.
    #[error("‘{0}’ is not of the form value=class. Write for example 0=membrane,255=cell")]
    NotAPair(String),
    /// The part before `=` is not a label value.
    #[error("‘{0}’ is not a label value: a whole number from 0 to 4294967295. Write for example 0=membrane,255=cell")]
    NotAValue(String),
    /// The model has no such class.
    #[error("there is no class ‘{name}’. The model knows: {known}; and ignore for pixels that shall not count")]
    UnknownClass {
        /// As written.
        name: String,
        /// The model's classes, separated by commas.
        known: String,
    },
    /// A value was given two classes.
    #[error("the label value {0} is given twice. Give each value one class")]
    Twice(u32),
}

impl LabelMap {
    /// Reads `0=membrane,255=cell`, where `classes` are the model card's class names by index. `ignore` (or a
    /// value that is not listed) means that such pixels count nowhere. Spaces around names do not matter.
    ///
    /// # Errors
    /// If the text is not of this form, a value is given twice, or a class is unknown (the error lists the known ones).
    pub fn parse(text: &str, classes: &[&str]) -> Result<Self, LabelMapError> {
        let mut entries: Vec<(u32, u8)> = Vec::new();
        for pair in text.split(',') {
            let (value, name) = pair.split_once('=').ok_or_else(|| LabelMapError::NotAPair(pair.trim().to_owned()))?;
            let [value, name] = [value.trim(), name.trim()];
            let value = value.parse().map_err(|_| LabelMapError::NotAValue(value.to_owned()))?;
            if entries.iter().any(|&(listed, _)| listed == value) {
                return Err(LabelMapError::Twice(value));
            }
            let index = classes.iter().position(|&class| class == name).and_then(|i| u8::try_from(i).ok());
            let class = match index {
                Some(index) => index,
                None if name == IGNORE_NAME => IGNORE,
                None => {
                    return Err(LabelMapError::UnknownClass { name: name.to_owned(), known: classes.join(", ") });
                }
            };
            entries.push((value, class));
        }
        Ok(Self { entries })
    }

    /// The text that [`Self::parse`] reads back with the same `classes`. A class without a name is shown as its
    /// number.
    pub fn to_text(&self, classes: &[&str]) -> String {
        let pair = |&(value, class): &(u32, u8)| match classes.get(usize::from(class)) {
            Some(name) => format!("{value}={name}"),
            None if class == IGNORE => format!("{value}={IGNORE_NAME}"),
            None => format!("{value}={class}"),
        };
        self.entries.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    /// The class of `value`; [`IGNORE`] if it is not listed.
    pub fn class_of(&self, value: u32) -> u8 {
        self.entries.iter().find(|&&(listed, _)| listed == value).map_or(IGNORE, |&(_, class)| class)
    }

    /// Classes for `height × width` stored values, or `None` if their number does not fit.
    pub fn apply(&self, values: &[u32], height: usize, width: usize) -> Option<Mask> {
        let classes = values.iter().map(|&value| self.class_of(value)).collect();
        (values.len() == height * width).then_some(Mask { height, width, classes })
    }

    /// Guesses what the values of a label mean: the assignment of values to classes, no class twice, with the
    /// most pixels on which the label then agrees with `prediction`, the model's own. As many values as there are classes
    /// (or all, if fewer) are assigned, even where nothing agrees; the others are ignored. Among equals, lower values
    /// get lower classes. Exact for up to 12 classes; beyond, the largest agreement is taken first.
    ///
    /// `values` are the label's pixels; pixels that one of the two lacks do not count.
    pub fn guess(values: &[u32], classes: usize, prediction: &Mask) -> Self {
        let mut distinct: Vec<u32> = values.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut agreement = vec![vec![0; classes]; distinct.len()];
        for (value, &class) in values.iter().zip(prediction.classes.iter()) {
            let row = distinct.binary_search(value).ok();
            if let Some(count) = row.and_then(|row| agreement[row].get_mut(usize::from(class))) {
                *count += 1;
            }
        }
        assign(&distinct, &agreement)
    }
}

/// As [`LabelMap::guess`], where `agreement[i][c]` counts the pixels of `values[i]` predicted as class `c`.
pub(super) fn assign(values: &[u32], agreement: &[Vec<u64>]) -> LabelMap {
    const MOST_EXACT: usize = 12;
    let classes = agreement.first().map_or(0, Vec::len).min(usize::from(IGNORE));
    let mut pairs = if classes <= MOST_EXACT { assign_exactly(agreement, classes) } else { assign_greedily(agreement) };
    pairs.sort_unstable();
    LabelMap { entries: pairs.into_iter().map(|(value, class)| (values[value], class as u8)).collect() }
}

/// Dynamic programming over the sets of classes that are taken: values × 2^classes states.
fn assign_exactly(agreement: &[Vec<u64>], classes: usize) -> Vec<(usize, usize)> {
    let sets = 1usize << classes;
    // Best (pairs, agreeing pixels) of the values so far for each set of classes, and how each value came by it.
    let mut best: Vec<Option<(usize, u64)>> = vec![None; sets];
    best[0] = Some((0, 0));
    let mut choices: Vec<Vec<Option<usize>>> = Vec::with_capacity(agreement.len());
    for counts in agreement {
        let mut next = best.clone();
        let mut choice = vec![None; sets];
        for set in 1..sets {
            // Descending, so that among equals the later value gets the higher class.
            for class in (0..classes).rev().filter(|class| set >> class & 1 == 1) {
                let Some((pairs, agreeing)) = best[set & !(1 << class)] else { continue };
                let candidate = Some((pairs + 1, agreeing + counts[class]));
                if candidate > next[set] {
                    next[set] = candidate;
                    choice[set] = Some(class);
                }
            }
        }
        best = next;
        choices.push(choice);
    }
    let mut set = 0;
    for candidate in 1..sets {
        if best[candidate] > best[set] {
            set = candidate;
        }
    }
    let mut pairs = Vec::new();
    for (value, choice) in choices.iter().enumerate().rev() {
        if let Some(class) = choice[set] {
            pairs.push((value, class));
            set &= !(1 << class);
        }
    }
    pairs
}

fn assign_greedily(agreement: &[Vec<u64>]) -> Vec<(usize, usize)> {
    let mut cells: Vec<(u64, usize, usize)> = Vec::new();
    for (value, counts) in agreement.iter().enumerate() {
        cells.extend(counts.iter().enumerate().map(|(class, &count)| (count, value, class)));
    }
    cells.sort_unstable_by_key(|&(count, value, class)| (std::cmp::Reverse(count), value, class));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, value, class) in cells {
        if class < usize::from(IGNORE) && pairs.iter().all(|&(v, c)| v != value && c != class) {
            pairs.push((value, class));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ISBI: [&str; 2] = ["cell", "membrane"];

    #[test]
    fn text_is_read_and_written() {
        let map = LabelMap::parse(" 0 = membrane, 255=cell,7=ignore", &ISBI).unwrap();
        assert_eq!(map.entries, [(0, 1), (255, 0), (7, IGNORE)]);
        assert_eq!(map.to_text(&ISBI), "0=membrane,255=cell,7=ignore");
        assert_eq!((map.class_of(0), map.class_of(7), map.class_of(9)), (1, IGNORE, IGNORE));
        let mask = map.apply(&[255, 0, 3, 7], 2, 2).unwrap();
        assert_eq!(&mask.classes[..], [0, 1, IGNORE, IGNORE]);
        assert_eq!(map.apply(&[255], 2, 2), None);
    }

    #[test]
    fn bad_text_says_what_would_work() {
        let error = |text| LabelMap::parse(text, &ISBI).unwrap_err();
        assert_eq!(error(""), LabelMapError::NotAPair(String::new()));
        assert_eq!(error("0=cell,"), LabelMapError::NotAPair(String::new()));
        assert_eq!(error("cell"), LabelMapError::NotAPair("cell".to_owned()));
        assert_eq!(error("-1=cell"), LabelMapError::NotAValue("-1".to_owned()));
        assert_eq!(error("4294967296=cell"), LabelMapError::NotAValue("4294967296".to_owned()));
        assert_eq!(error("0=cell,0=membrane"), LabelMapError::Twice(0));
        let message = error("0=Cell").to_string();
        assert!(message.contains("‘Cell’") && message.contains("cell, membrane"), "{message}");
    }

    fn mask(classes: &[u8]) -> Mask {
        Mask { height: 1, width: classes.len(), classes: classes.into() }
    }

    #[test]
    fn the_most_agreeing_map_is_guessed() {
        let guess = |values: &[u32], prediction: &[u8]| LabelMap::guess(values, 2, &mask(prediction)).entries;
        assert_eq!(guess(&[0, 0, 255, 255], &[1, 1, 0, 1]), [(0, 1), (255, 0)]);
        // Both values are mostly class 0: the better one takes it.
        assert_eq!(guess(&[0, 0, 0, 255, 255], &[0, 0, 1, 0, 0]), [(0, 1), (255, 0)]);
        // A third value is ignored; a single one still gets a class.
        assert_eq!(guess(&[0, 0, 9, 255, 255], &[0, 0, 1, 1, 1]), [(0, 0), (255, 1)]);
        assert_eq!(guess(&[3, 3], &[1, 1]), [(3, 1)]);
        // No preference: ascending.
        assert_eq!(guess(&[0, 255], &[IGNORE, IGNORE]), [(0, 0), (255, 1)]);
        assert_eq!(guess(&[], &[]), []);
    }

    proptest! {
        #[test]
        fn printed_maps_are_read_back(pairs in proptest::collection::btree_map(any::<u32>(), 0u8..4, 1..20)) {
            let names = ["background", "cell", "cell wall"];
            let class = |c| if c == 3 { IGNORE } else { c };
            let map = LabelMap { entries: pairs.into_iter().map(|(value, c)| (value, class(c))).collect() };
            prop_assert_eq!(LabelMap::parse(&map.to_text(&names), &names), Ok(map));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9=, a-z]{0,40}") {
            let _ = LabelMap::parse(&text, &ISBI);
        }

        #[test]
        fn guesses_are_the_best_of_all(counts in proptest::collection::vec(proptest::collection::vec(0u64..50, 3), 1..5)) {
            let values: Vec<u32> = (0..counts.len() as u32).collect();
            let map = assign(&values, &counts);
            prop_assert_eq!(map.entries.len(), counts.len().min(3));
            let sum = |entries: &[(u32, u8)]| -> u64 {
                entries.iter().map(|&(v, c)| counts[v as usize][usize::from(c)]).sum()
            };
            // Every injective assignment, as numbers in base 4 with digit 3 for none.
            let mut best = 0;
            for code in 0..4usize.pow(counts.len() as u32) {
                let digits: Vec<usize> = (0..counts.len()).map(|i| code / 4usize.pow(i as u32) % 4).collect();
                let used: Vec<usize> = digits.iter().copied().filter(|&d| d < 3).collect();
                let injective = (0..3).all(|c| used.iter().filter(|&&d| d == c).count() <= 1);
                if injective && used.len() == counts.len().min(3) {
                    best = best.max(digits.iter().enumerate().filter(|(_, d)| **d < 3).map(|(v, &d)| counts[v][d]).sum());
                }
            }
            prop_assert_eq!(sum(&map.entries), best);
        }

        #[test]
        fn many_classes_are_assigned_once(counts in proptest::collection::vec(proptest::collection::vec(0u64..50, 20), 1..30)) {
            let values: Vec<u32> = (0..counts.len() as u32).collect();
            let map = assign(&values, &counts);
            prop_assert_eq!(map.entries.len(), counts.len().min(20));
            let mut classes: Vec<u8> = map.entries.iter().map(|e| e.1).collect();
            classes.sort_unstable();
            classes.dedup();
            prop_assert_eq!(classes.len(), map.entries.len());
        }
    }
}
