//! Which images are trained on and which tell how well: seeded, and never one group (a patient, a volume) in both.

use super::TrainError;
use super::random::{permutation, stream};
use serde::{Deserialize, Serialize};

/// Use of the seed.
const SPLIT: u64 = 0x5EED_0000_0000_0004;

/// What data sets call their parts.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
/// The share of the training groups that is held out where a data set names no validation images.
const FROM_TRAIN: f64 = 0.2;

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
    /// As the data set says: `train` is trained on, `val` or `validation` is held out. Held-out images choose the epoch and the end
    /// of a training, so `test` never is: a data set that names no `val` has a fifth of the groups of its `train` held out.
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

impl Unit {
    /// So many of them: `1 image`, `3 groups (patients or volumes)`.
    pub fn counted(self, count: usize) -> String {
        let name = match (self, count) {
            (Self::Group, 1) => "group (patient or volume)",
            (Self::Group, _) => "groups (patients or volumes)",
            (Self::Slice, 1) => "image",
            (Self::Slice, _) => "images",
        };
        format!("{count} {name}")
    }
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

    /// In words: `25 % of the patients or volumes held out, seed 0`.
    pub fn describe(&self) -> String {
        let what = |by: Unit| match by {
            Unit::Group => ["patients or volumes", ""],
            Unit::Slice => ["images", " (slices of one volume may be parted)"],
        };
        match *self {
            Self::HoldOut { share, seed, by } => {
                let [units, note] = what(by);
                format!("{:.0} % of the {units} held out{note}, seed {seed}", 100.0 * share)
            }
            Self::KFold { folds, seed, by, .. } => {
                let [units, note] = what(by);
                format!("{folds} folds of the {units}{note}, seed {seed}")
            }
            Self::Given => "as the data set says".to_owned(),
        }
    }

    /// What people should know of how `members` are divided.
    pub fn note(&self, members: &[Member]) -> Option<String> {
        let named = |m: &Member| m.split.as_ref().is_some_and(|s| VALIDATION.contains(&s.to_lowercase().as_str()));
        (*self == Self::Given && !members.iter().any(named)).then(|| {
            format!(
                "the data set names no val images: {:.0} % of the groups of its train images are held out in their place, to choose the epoch; test images are left for the end",
                100.0 * FROM_TRAIN
            )
        })
    }

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
                let all =
                    |names: &[&str]| (0..members.len()).filter(|&i| is(&members[i], names)).collect::<Vec<usize>>();
                let (train, held) = (all(&TRAIN), all(&VALIDATION));
                if train.is_empty() {
                    let cause = "the data set does not say which images are train. Use hold-out or k-fold";
                    return Err(TrainError::field("data.split", cause));
                }
                if held.is_empty() {
                    let inner: Vec<Member> = train.iter().map(|&i| members[i].clone()).collect();
                    let part = Self::HoldOut { share: FROM_TRAIN, seed: 0, by: Unit::Group };
                    let (inner_train, inner_held) = part.divide(&inner).map_err(|_| {
                        let cause = "the data set names no val images, its train images are of one group and cannot be parted, and test images must not choose the epoch. Use hold-out or k-fold";
                        TrainError::field("data.split", cause)
                    })?;
                    let of = |chosen: Vec<usize>| chosen.into_iter().map(|i| train[i]).collect();
                    return Ok((of(inner_train), of(inner_held)));
                }
                return Ok((train, held));
            }
        };
        Ok((0..members.len()).partition(|&i| !held[i]))
    }
}

fn too_few(field: &str, found: usize, needed: usize, by: Unit) -> TrainError {
    TrainError::TooFew { field: format!("data.split.{field}"), found, needed, by }
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
        assert!(
            refused.to_string().contains("have 1 group (patient or volume) and 5 are needed")
                && refused.to_string().contains("slice"),
            "{refused}"
        );
        assert!(refused.to_string().contains("Use fewer folds"), "{refused}");
        let few =
            Split::KFold { folds: 5, fold: 0, seed: 0, by: Unit::Group }.divide(&self::members(3, 2)).unwrap_err();
        assert!(few.to_string().contains("have 3 groups (patients or volumes) and 5 are needed"), "{few}");
        let share = Split::HoldOut { share: 0.5, seed: 0, by: Unit::Slice }.divide(&self::members(1, 1)).unwrap_err();
        assert!(share.to_string().ends_with("have 1 image and 2 are needed. Use more"), "{share}");
    }

    #[test]
    fn a_share_is_of_groups_and_names_are_taken_at_their_word() {
        let (train, held) = Split::HoldOut { share: 0.25, seed: 3, by: Unit::Group }.divide(&members(8, 3)).unwrap();
        assert_eq!((train.len(), held.len()), (18, 6));
        let named =
            ["train", "val", "test", "train"].map(|s| Member { group: String::new(), split: Some(s.to_owned()) });
        assert_eq!(Split::Given.divide(&named).unwrap(), (vec![0, 3], vec![1]));
        assert!(Split::Given.divide(&members(2, 2)).is_err() && Split::Given.note(&named).is_none());
        assert!(Split::HoldOut { share: 1.0, seed: 0, by: Unit::Slice }.divide(&members(2, 2)).is_err());
    }
    #[test]
    fn test_images_never_choose_the_epoch() {
        let of = |i: usize| Member { group: format!("patient {}", i / 2), split: Some("train".to_owned()) };
        let mut given: Vec<Member> = (0..20).map(of).collect();
        given.extend((20..30).map(|i| Member { split: Some("Test".to_owned()), ..of(i) }));
        let (train, held) = Split::Given.divide(&given).unwrap();
        assert_eq!((train.len(), held.len()), (16, 4));
        assert!(train.iter().chain(&held).all(|&i| i < 20), "test images in {train:?} or {held:?}");
        assert!(held.iter().all(|&h| train.iter().all(|&t| given[t].group != given[h].group)));
        assert!(Split::Given.note(&given).unwrap().contains("no val images"));
        // One patient to train on: nothing can be held out.
        let one = [of(0), of(1), Member { split: Some("test".to_owned()), ..of(2) }];
        assert!(Split::Given.divide(&one).unwrap_err().to_string().contains("test images must not choose"));
    }
}
