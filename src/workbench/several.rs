//! Several attacks over one grid of ε: which are chosen, and what was measured of them.

use super::curves::Quantity;
use super::tuning::Tuned;
use crate::attack::{Attack, CATALOG, Entry, EpsilonMeaning, find};
use crate::engine::{ComparedWhat, ComparisonNews, ComparisonStart};
use crate::study::report::ComparisonTable;
use crate::study::{Curve, CurvePoint};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// At most so many ε in a grid.
const MOST_EPSILONS: usize = 64;

/// What is compared. Remembered from one start to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Several {
    /// The panel of the curves compares attacks, in place of showing the present one.
    pub on: bool,
    /// The attacks, by name, in the order of the catalogue.
    pub attacks: Vec<String>,
    /// The grid, fractions of the bounds' width, ascending.
    pub epsilons: Vec<f64>,
    /// What is compared of them.
    pub quantity: Quantity,
    /// The values as a table in place of the plot.
    pub table: bool,
}

impl Default for Several {
    fn default() -> Self {
        Self {
            on: false,
            attacks: ["fgsm", "bim", "mi-fgsm"].map(str::to_owned).to_vec(),
            epsilons: levels(&[0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
            quantity: Quantity::Dice,
            table: false,
        }
    }
}

fn levels(levels: &[f64]) -> Vec<f64> {
    levels.iter().map(|level| level / 255.0).collect()
}

impl Several {
    /// The chosen attacks with their parameters as last set.
    pub fn attacks(&self, tuned: &Tuned) -> Vec<Attack> {
        self.attacks.iter().filter_map(|name| tuned.named(name)).collect()
    }

    /// Adds or removes an attack; the order is always that of the catalogue.
    pub fn choose(&mut self, entry: &Entry, chosen: bool) {
        let keep = |other: &Entry| {
            if other.name == entry.name { chosen } else { self.attacks.iter().any(|name| name == other.name) }
        };
        self.attacks = CATALOG.iter().filter(|e| keep(e)).map(|e| e.name.to_owned()).collect();
    }

    /// Mends values that a settings file of another hand may hold.
    pub fn sanitised(mut self) -> Self {
        self.attacks.retain(|name| find(name).is_some());
        self.epsilons.retain(|e| (0.0..=1.0).contains(e));
        self.epsilons.sort_by(f64::total_cmp);
        self.epsilons.dedup();
        self.epsilons.truncate(MOST_EPSILONS);
        if self.epsilons.is_empty() {
            self.epsilons = Self::default().epsilons;
        }
        self
    }
}

/// The grids that are offered: those of this program, and those of the papers in the catalogue.
pub fn grids() -> Vec<(String, Vec<f64>)> {
    let mut all = vec![
        ("0.5…16 /255".to_owned(), Several::default().epsilons),
        ("0.25…32 /255".to_owned(), levels(&[0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])),
        ("1, 4, 16 /255".to_owned(), levels(&[1.0, 4.0, 16.0])),
    ];
    for preset in CATALOG.iter().flat_map(|entry| entry.presets) {
        if preset.epsilons.len() > 1 && !all.iter().any(|(name, _)| name == preset.name) {
            all.push((preset.name.to_owned(), preset.epsilons.to_vec()));
        }
    }
    all
}

/// What was measured of several attacks. Points are only ever added.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What it is of.
    pub start: Arc<ComparisonStart>,
    /// Each attack, in the order of `start`.
    pub curves: Vec<ComparedCurve>,
    /// Random signs, ascending in ε.
    pub control: Vec<CurvePoint>,
}

/// What was measured of one attack.
#[derive(Clone, Debug)]
pub struct ComparedCurve {
    /// The attack.
    pub attack: Attack,
    /// Its points, ascending in ε.
    pub points: Vec<CurvePoint>,
    /// Why it cannot be measured.
    pub refused: Option<String>,
}

impl ComparedCurve {
    /// Whether the attack finds its own ε, so that it has a point and no curve.
    pub fn is_point(&self) -> bool {
        self.attack.entry().epsilon == EpsilonMeaning::Found
    }
}

impl Compared {
    /// Nothing is measured yet.
    pub fn new(start: Arc<ComparisonStart>) -> Self {
        let curve = |&attack: &Attack| ComparedCurve { attack, points: Vec::new(), refused: None };
        Self { curves: start.attacks.iter().map(curve).collect(), control: Vec::new(), start }
    }

    /// Takes news of it.
    pub fn hear(&mut self, news: ComparisonNews) {
        if news.number != self.start.number {
            return;
        }
        let Some(curve) = self.curves.get_mut(news.attack) else { return };
        match news.what {
            ComparedWhat::Point(point, control) => {
                // An attack that finds its own ε has no point at 0.
                if !(curve.is_point() && point.epsilon == 0.0) {
                    Curve::insert(&mut curve.points, point);
                }
                if let Some(control) = control {
                    Curve::insert(&mut self.control, control);
                }
            }
            ComparedWhat::Refused(why) => curve.refused = Some(why),
        }
    }

    /// What is written of it.
    pub fn table(&self) -> ComparisonTable {
        let case = &self.start.case;
        let slice = if case.slices > 1 { format!(", slice {}", case.slice) } else { String::new() };
        ComparisonTable {
            image: format!("{}{slice}", case.name),
            model: self.start.model.clone(),
            device: self.start.device.clone(),
            clean: self.start.clean,
            attacks: self.curves.iter().map(|c| (c.attack, c.points.clone())).collect(),
            control: self.control.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_keep_the_order_of_the_catalogue_and_their_parameters() {
        let mut several = Several { attacks: vec!["pgd".to_owned()], ..Several::default() };
        several.choose(&CATALOG[0], true);
        assert_eq!(several.attacks, ["fgsm", "pgd"]);
        let pgd = Attack::parse("pgd", &["steps=3"]).unwrap();
        let mut tuned = Tuned::default();
        tuned.remember(pgd);
        assert_eq!(several.attacks(&tuned), [Attack::FGSM, pgd]);
        several.choose(&CATALOG[0], false);
        assert_eq!(several.attacks, ["pgd"]);
    }

    #[test]
    fn wild_choices_are_mended_and_grids_are_usable() {
        let wild = Several { attacks: vec!["magic".to_owned()], epsilons: vec![7.0, f64::NAN], ..Several::default() };
        let mended = wild.sanitised();
        assert!(mended.attacks.is_empty() && mended.epsilons == Several::default().epsilons);
        for (name, epsilons) in grids() {
            let several = Several { epsilons: epsilons.clone(), ..Several::default() };
            assert_eq!(several.sanitised().epsilons, epsilons, "{name}");
        }
        assert!(grids().len() > 5);
    }
}
