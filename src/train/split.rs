//! Which images are trained on and which tell how well: seeded, and never one group (a patient, a volume) in both.

use super::TrainError;
use super::random::{permutation, stream};
use serde::{Deserialize, Serialize};

/// Use of the seed.
const SPLIT: u64 = 0x5EED_0000_0000_0004;

/// How images are divided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Split {
    /// A share is held out.
    HoldOut {
        /// Of the groups, in (0, 1).
        share: f64,
        /// Which.
        #[serde(default)]
        seed: u64,
        /// What is never parted.
        #[serde(default)]
        by: Unit,
    },
    /// One of several equal parts is held out.
    KFold {
        /// How many, at least 2.
        folds: usize,
        /// Which is held out, from 0.
        #[serde(default)]
        fold: usize,
        /// Who is in which.
        #[serde(default)]
        seed: u64,
        /// What is never parted.
        #[serde(default)]
        by: Unit,
    },
    /// As the data set says: `val` or `validation` is held out, or else `test`; `train` is trained on.
    Given,
}

/// What a split never parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A patient, where the data set names one; else a file: the slices of a volume belong together.
    #[default]
    Group,
    /// Single slices. Neighbours in a volume are alike: what is found is too good for new volumes.
    Slice,
}

/// What is known of an image for a split.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its patient or volume.
    pub group: String,
    /// The part of the data set that it belongs to.
    pub split: Option<String>,
}

impl Split {
    /// One of each kind, with its defaults.
    pub const KINDS: [Self; 3] = [
        Self::HoldOut { share: 0.25, seed: 0, by: Unit::Group },
        Self::KFold { folds: 5, fold: 0, seed: 0, by: Unit::Group },
        Self::Given,
    ];

    /// Indices of `members` to train on, and those that are held out, each ascending.
    ///
    /// # Errors
    /// If a number is out of range, or there are too few groups.
    pub fn divide(&self, members: &[Member]) -> Result<(Vec<usize>, Vec<usize>), TrainError> {
        let held = match *self {
            Self::HoldOut { share, seed, by } => {
                if !(share > 0.0 && share < 1.0) {
                    return Err(TrainError::field("data.split.share", format!("{share}: use one between 0 and 1")));
                }
                let (units, count) = units(members, by);
                let most = count.saturating_sub(1);
                if most == 0 {
                    return Err(too_few("share", count, 2, by));
                }
                let held = ((share * count as f64).round() as usize).clamp(1, most);
                let order = permutation(count, &mut stream(seed, SPLIT, 0));
                let chosen: Vec<usize> = order.into_iter().take(held).collect();
                units.iter().map(|unit| chosen.contains(unit)).collect::<Vec<bool>>()
            }
            Self::KFold { folds, fold, seed, by } => {
                if folds < 2 || fold >= folds {
                    let cause = format!("fold {fold} of {folds}: use at least 2 folds, counted from 0");
                    return Err(TrainError::field("data.split.fold", cause));
                }
                let (units, count) = units(members, by);
                if count < folds {
                    return Err(too_few("folds", count, folds, by));
                }
                let order = permutation(count, &mut stream(seed, SPLIT, 0));
                let mut fold_of = vec![0; count];
                for (place, unit) in order.into_iter().enumerate() {
                    fold_of[unit] = place % folds;
                }
                units.iter().map(|&unit| fold_of[unit] == fold).collect()
            }
            Self::Given => {
                let is = |member: &Member, names: &[&str]| {
                    member.split.as_ref().is_some_and(|s| names.contains(&s.to_lowercase().as_str()))
                };
                let validation = ["val", "valid", "validation"];
                let names: &[&str] = if members.iter().any(|m| is(m, &validation)) { &validation } else { &["test"] };
                let held: Vec<usize> = (0..members.len()).filter(|&i| is(&members[i], names)).collect();
                let train: Vec<usize> =
                    (0..members.len()).filter(|&i| is(&members[i], &["train", "training"])).collect();
                if held.is_empty() || train.is_empty() {
                    let cause = "the data set does not say which images are train and which val or test. Use hold-out or k-fold";
                    return Err(TrainError::field("data.split", cause));
                }
                return Ok((train, held));
            }
        };
        Ok((0..members.len()).partition(|&i| !held[i]))
    }
}

fn too_few(field: &str, found: usize, needed: usize, by: Unit) -> TrainError {
    let advice = match by {
        Unit::Group => "Use fewer, or by = \"slice\" if slices of one volume may be parted",
        Unit::Slice => "Use fewer",
    };
    let what = if by == Unit::Group { "groups (patients or volumes)" } else { "images" };
    TrainError::field(
        format!("data.split.{field}"),
        format!("the data have {found} {what} and {needed} are needed. {advice}"),
    )
}

/// The unit of each member, and how many there are.
fn units(members: &[Member], by: Unit) -> (Vec<usize>, usize) {
    if by == Unit::Slice {
        return ((0..members.len()).collect(), members.len());
    }
    let mut names: Vec<&str> = Vec::new();
    let units = members
        .iter()
        .map(|member| {
            names.iter().position(|name| *name == member.group).unwrap_or_else(|| {
                names.push(&member.group);
                names.len() - 1
            })
        })
        .collect();
    (units, names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(groups: usize, each: usize) -> Vec<Member> {
        let group = |i: usize| Member { group: format!("patient {}", i / each), split: None };
        (0..groups * each).map(group).collect()
    }

    #[test]
    fn folds_hold_out_everything_once_and_part_no_group() {
        let members = members(7, 4);
        let mut seen = vec![0; members.len()];
        for fold in 0..3 {
            let split = Split::KFold { folds: 3, fold, seed: 9, by: Unit::Group };
            let (train, held) = split.divide(&members).unwrap();
            assert_eq!(train.len() + held.len(), members.len());
            for &i in &held {
                seen[i] += 1;
                assert!(train.iter().all(|&t| members[t].group != members[i].group));
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
        // Six of thirty slices in each of five folds.
        let slices = self::members(1, 30);
        let split = |seed| Split::KFold { folds: 5, fold: 2, seed, by: Unit::Slice };
        let held = split(1).divide(&slices).unwrap().1;
        assert_eq!((held.len(), held != split(2).divide(&slices).unwrap().1), (6, true));
        assert_eq!(held, split(1).divide(&slices).unwrap().1);
        let refused = Split::KFold { folds: 5, fold: 0, seed: 0, by: Unit::Group }.divide(&slices).unwrap_err();
        assert!(refused.to_string().contains("1 groups") && refused.to_string().contains("slice"), "{refused}");
    }

    #[test]
    fn a_share_is_of_groups_and_names_are_taken_at_their_word() {
        let (train, held) = Split::HoldOut { share: 0.25, seed: 3, by: Unit::Group }.divide(&members(8, 3)).unwrap();
        assert_eq!((train.len(), held.len()), (18, 6));
        let named =
            ["train", "val", "test", "train"].map(|s| Member { group: String::new(), split: Some(s.to_owned()) });
        assert_eq!(Split::Given.divide(&named).unwrap(), (vec![0, 3], vec![1]));
        assert!(Split::Given.divide(&members(2, 2)).is_err());
        assert!(Split::HoldOut { share: 1.0, seed: 0, by: Unit::Slice }.divide(&members(2, 2)).is_err());
    }
}
