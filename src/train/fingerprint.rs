//! What data are, not what they are called: a checkpoint or a result belongs to the pixels and labels that it was made from.

use super::Source;
use crate::data::{Case, Fnv};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Of images and their labels, in their order. Equal if and, but for chance, only if these are: the labels as classes, after the
/// label map; the pixels after any change of size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Of sizes, bounds and pixels.
    pub images: String,
    /// Of the classes of all pixels.
    pub labels: String,
}

impl Fingerprint {
    /// What `other` has in place of this, if it differs: for errors.
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        match (self.images == other.images, self.labels == other.labels) {
            (true, true) => None,
            (true, false) => Some("the same images with other labels"),
            (false, true) => Some("other images"),
            (false, false) => Some("other images and labels"),
        }
    }

    /// Of cases.
    pub fn of(cases: &[Case]) -> Self {
        let each: Vec<[u128; 2]> = cases.par_iter().map(|case| [image(case), label(case)]).collect();
        let all = |which: usize| {
            let mut hash = Fnv::default();
            each.iter().for_each(|of| hash.add(&of[which].to_le_bytes()));
            hash.text()
        };
        Self { images: all(0), labels: all(1) }
    }
}

impl Source {
    /// Of its cases; of synthetic sections, of all that they are made from.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Cases(cases) => Fingerprint::of(cases),
            Self::Synthetic { config, seed, count } => {
                let mut hash = Fnv::default();
                hash.add(format!("{config:?} {seed} {count}").as_bytes());
                Fingerprint { images: hash.text(), labels: hash.text() }
            }
        }
    }
}

fn image(case: &Case) -> u128 {
    let mut hash = Fnv::default();
    for side in [case.image.channels, case.image.height, case.image.width] {
        hash.add(&(side as u64).to_le_bytes());
    }
    for bound in [case.bounds.lower, case.bounds.upper] {
        hash.add(&bound.to_le_bytes());
    }
    case.image.pixels.iter().for_each(|v| hash.add(&v.to_le_bytes()));
    hash.value()
}

fn label(case: &Case) -> u128 {
    let mut hash = Fnv::default();
    if let Some(label) = &case.label {
        hash.add(&(label.height as u64).to_le_bytes());
        hash.add(&(label.width as u64).to_le_bytes());
        hash.add(&label.classes);
    }
    hash.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::MembranesConfig;

    #[test]
    fn a_pixel_a_label_or_the_order_makes_another() {
        let cases: Vec<Case> = (0..3).map(|i| MembranesConfig::sized(32).section(i).case("same name")).collect();
        let first = Fingerprint::of(&cases);
        assert_eq!(first.differs(&Fingerprint::of(&cases.clone())), None);
        let changed = |change: &dyn Fn(&mut Vec<Case>)| {
            let mut other = cases.clone();
            change(&mut other);
            first.differs(&Fingerprint::of(&other))
        };
        let pixel = |cases: &mut Vec<Case>| {
            let mut pixels = cases[1].image.pixels.to_vec();
            pixels[500] += 1.0;
            cases[1].image.pixels = pixels.into();
        };
        assert_eq!(changed(&pixel), Some("other images"));
        let inverted = |cases: &mut Vec<Case>| {
            for label in cases.iter_mut().filter_map(|case| case.label.as_mut()) {
                label.classes = label.classes.iter().map(|class| 1 - class).collect();
            }
        };
        assert_eq!(changed(&inverted), Some("the same images with other labels"));
        assert_eq!(changed(&|cases| cases.swap(0, 2)), Some("other images and labels"));
        assert_eq!(changed(&|cases| cases.truncate(2)), Some("other images and labels"));
        let synthetic = |seed| Source::Synthetic { config: Box::default(), seed, count: 4 }.fingerprint();
        assert!(synthetic(1) == synthetic(1) && synthetic(1).differs(&synthetic(2)).is_some());
    }
}
