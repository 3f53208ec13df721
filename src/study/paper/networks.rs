//! The AdvU-Net study network by network, each of a seed and a fold: their errors, their ratios, and how sure the ratio of all is.

use super::advu_net::{MEASURES, Network, Of};
use super::counted;
use super::dots::{Dots, Mark, dots};
use super::interval::{Basis, Mean, ceiling, ratio_over_networks};
use super::learned::learned;
use super::page::{Section, Table};
use crate::study::Curve;
use std::collections::{BTreeMap, BTreeSet};

/// The measures of [`MEASURES`] that have a ratio: soft L2, hard L2 and the share of wrong pixels.
pub(super) const ERRORS: usize = 3;

/// Sums over images of a measure, clean and attacked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub clean: f64,
    pub attacked: f64,
    pub images: usize,
}

impl Sums {
    /// Of `curves` at `epsilon`.
    pub fn new<'a>(curves: impl Iterator<Item = &'a Curve>, epsilon: f64, of: Of) -> Self {
        let mut sums = Self::default();
        for curve in curves {
            let Some(point) = curve.points.iter().find(|p| p.epsilon == epsilon) else { continue };
            sums.clean += of(&curve.clean);
            sums.attacked += of(&point.measure);
            sums.images += 1;
        }
        sums
    }

    pub fn ratio(self) -> f64 {
        self.attacked / self.clean
    }
}

/// All networks at one ε.
pub(super) struct Networks<'a> {
    pub all: &'a [Network],
    pub epsilon: f64,
    /// The mean IoU of the best constant mask on the held-out images of each fold.
    pub constants: &'a BTreeMap<usize, f64>,
}

impl Networks<'_> {
    /// Whether a network has learned anything, by the validation after its last epoch.
    fn has_learned(&self, network: &Network) -> bool {
        let constant = self.constants.get(&network.fold).copied().unwrap_or(0.0);
        let last = network.history.last().and_then(|record| record.validation.as_ref());
        last.is_some_and(|validation| learned(validation.miou_image, constant))
    }

    /// How many have learned nothing.
    pub fn unlearned(&self) -> usize {
        self.all.iter().filter(|network| !self.has_learned(network)).count()
    }

    /// What an interval over them counts.
    pub fn basis(&self) -> Basis {
        let seeds: BTreeSet<u64> = self.all.iter().map(|network| network.seed).collect();
        let folds: BTreeSet<usize> = self.all.iter().map(|network| network.fold).collect();
        Basis { seeds: seeds.len(), folds: folds.len() }
    }

    fn held(&self, network: &Network, of: Of) -> Sums {
        Sums::new(network.held.iter().map(|found| &found.curve), self.epsilon, of)
    }

    fn trained_on(&self, network: &Network, of: Of) -> Sums {
        Sums::new(network.trained_on.iter().map(|found| &found.curve), self.epsilon, of)
    }

    /// The ratio of a measure over all networks, with its interval of 95 %: `[seed][fold]` of sums.
    pub fn ratio(&self, of: Of) -> Option<Mean> {
        let mut seeds: Vec<u64> = self.all.iter().map(|network| network.seed).collect();
        seeds.dedup();
        let table = |get: fn(Sums) -> f64| -> Vec<Vec<f64>> {
            let of_seed = |seed: &u64| {
                let networks = self.all.iter().filter(move |network| network.seed == *seed);
                networks.map(|network| get(self.held(network, of))).collect()
            };
            seeds.iter().map(of_seed).collect()
        };
        ratio_over_networks(&table(|s| s.attacked), &table(|s| s.clean), 0.95)
    }

    /// The ratio on images that the networks were trained on, and how many looks that is.
    pub fn ratio_trained_on(&self, of: Of) -> (f64, usize) {
        let sums = self.all.iter().map(|network| self.trained_on(network, of));
        let all = sums.fold(Sums::default(), |a, b| Sums {
            clean: a.clean + b.clean,
            attacked: a.attacked + b.attacked,
            images: a.images + b.images,
        });
        (all.ratio(), all.images)
    }

    /// A row for each network, error after error.
    pub fn table(&self) -> Section {
        const WHO: [&str; 4] = ["seed", "fold", "images", "learned"];
        const OF: [&str; 5] = ["clean", "FGSM", "ratio", "ceiling", "ratio, trained on"];
        let mut columns = WHO.map(str::to_owned).to_vec();
        let mut parts = Vec::new();
        for (name, _) in &MEASURES[..ERRORS] {
            let first = columns.len();
            columns.extend(OF.map(|what| format!("{name}: {what}")));
            let shown = (0..WHO.len()).chain(first..columns.len()).chain([WHO.len() + ERRORS * OF.len()]);
            let title = name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect();
            parts.push((title, shown.collect()));
        }
        columns.push("training images".to_owned());
        let row = |network: &Network| {
            let mut row =
                vec![network.seed.to_string(), (network.fold + 1).to_string(), network.held.len().to_string()];
            row.push(if self.has_learned(network) { "yes" } else { "no" }.to_owned());
            for (index, (_, of)) in MEASURES[..ERRORS].iter().enumerate() {
                let (sums, seen) = (self.held(network, *of), self.trained_on(network, *of));
                let sizes: Vec<f64> = network.held.iter().map(|f| f.curve.clean.error.pixels as f64).collect();
                let clean: Vec<f64> = network.held.iter().map(|f| of(&f.curve.clean)).collect();
                let n = sums.images.max(1) as f64;
                row.extend([sums.clean / n, sums.attacked / n].map(|v| format!("{v:.4}")));
                row.extend([sums.ratio(), ceiling(&sizes, &clean, index < 2), seen.ratio()].map(|v| format!("{v:.2}")));
            }
            row.push(network.trained_on.len().to_string());
            row
        };
        let table = Table {
            title: format!("Each network at ε {}", self.epsilon),
            file: "networks.csv",
            caption: format!(
                "A network of each seed and fold: means over its held-out images, and the ratio on {} images that it was trained on. The folds are the same for every seed.{}",
                self.all.iter().map(|network| network.trained_on.len()).max().unwrap_or(0),
                if self.unlearned() > 0 { " The errors of networks that learned nothing compare nothing." } else { "" }
            ),
            columns,
            rows: self.all.iter().map(row).collect(),
        };
        Section::Parts { table, parts }
    }

    /// The ratio of soft errors of each network as a point; `all` is that of all, if it is told, and `ceiling` what it cannot
    /// exceed.
    pub fn figure(&self, paper: f64, all: Option<Mean>, ceiling: f64) -> Section {
        let of = MEASURES[0].1;
        let mut seeds: Vec<u64> = self.all.iter().map(|network| network.seed).collect();
        seeds.dedup();
        let row = |seed: &u64| {
            let networks = || self.all.iter().filter(|network| network.seed == *seed);
            Dots {
                name: format!("seed {seed}"),
                filled: networks().map(|network| self.held(network, of).ratio()).collect(),
                rings: networks().map(|network| self.trained_on(network, of).ratio()).collect(),
            }
        };
        let rows: Vec<Dots> = seeds.iter().map(row).collect();
        let mut marks: Vec<Mark> = Vec::new();
        if let Some(Mean { mean, interval }) = all {
            marks.push(Mark { name: format!("all: {mean:.2}"), value: mean, interval: Some(interval) });
        }
        marks.push(Mark { name: format!("the paper’s {paper:.1}"), value: paper, interval: None });
        Section::Chart {
            title: format!("Adversarial over clean soft error of each network at ε {}", self.epsilon),
            svg: dots(&rows, &marks, ["held-out images", "images trained on"], "ratio of ‖y − p‖₂"),
            caption: match all {
                Some(Mean { interval: [_, high], .. }) if high.is_finite() => format!(
                    "A point for each fold. The band is the interval of 95 % over {}; the ceiling, above which nothing can be, is {ceiling:.2}.",
                    self.basis().words()
                ),
                Some(_) => "A point for the one network, which tells no interval.".to_owned(),
                None if self.unlearned() > 0 => format!(
                    "A point for each fold. {} of {} learned nothing: no ratio of all is told.",
                    self.unlearned(),
                    counted(self.all.len(), "network", "networks")
                ),
                None => "A point for each fold. No ratio of all is told.".to_owned(),
            },
        }
    }
}
