//! From which ε on the AdvU-Net study's perturbations are noticed: by each metric with its limit, and by people, if some were asked.
//! What metrics say is told of each by itself, and where they disagree.

use super::interval::shown_at;
use super::page::Table;
use super::{StudyError, StudyFile};
use crate::observer::{Measured, read_thresholds};
use crate::study::SeenMetric;
use crate::study::report::epsilon::both;
use std::path::{Path, PathBuf};

/// A metric with the value on whose other side a change counts as noticed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NoticedBy {
    pub metric: SeenMetric,
    pub limit: f64,
}

impl NoticedBy {
    /// Those of a study.
    pub fn all(study: &StudyFile) -> [Self; 3] {
        let of = |metric, limit| Self { metric, limit };
        [
            of(SeenMetric::Ssim, study.unseen.ssim),
            of(SeenMetric::Vif, study.unseen.vif),
            of(SeenMetric::Butteraugli, study.unseen.butteraugli),
        ]
    }

    pub fn passes(self, value: f64) -> bool {
        if self.metric.grows_with_visibility() { value > self.limit } else { value < self.limit }
    }

    /// Who set the limit.
    pub fn source(self) -> &'static str {
        if self.metric == SeenMetric::Butteraugli && self.limit == 1.0 {
            "what its authors call just noticeable"
        } else {
            "a limit of ours"
        }
    }

    /// `SSIM below 0.98`.
    pub fn words(self) -> String {
        let side = if self.metric.grows_with_visibility() { "above" } else { "below" };
        format!("{} {side} {}", self.metric.title(), self.limit)
    }
}

/// Of how many images a metric is past its limit, at each ε.
pub(super) struct Shares {
    pub by: NoticedBy,
    /// ε, images past the limit, images that were measured.
    pub at: Vec<(f64, usize, usize)>,
}

impl Shares {
    /// `values` are those of the images at an ε.
    pub fn new(by: NoticedBy, epsilons: &[f64], values: impl Fn(f64) -> Vec<f64>) -> Self {
        let count = |&epsilon: &f64| {
            let values = values(epsilon);
            (epsilon, values.iter().filter(|&&v| by.passes(v)).count(), values.len())
        };
        Self { by, at: epsilons.iter().map(count).collect() }
    }

    fn most(&(epsilon, past, of): &(f64, usize, usize)) -> (f64, bool) {
        (epsilon, 2 * past > of)
    }

    /// At which ε it is past its limit on more than half of the images.
    pub fn statement(&self) -> String {
        let (words, seen) = (self.by.words(), shown_at(self.at.iter().map(Self::most)));
        format!("{words} ({}) on more than half of the images {seen}", self.by.source())
    }

    /// `30 of 30`.
    pub fn share(&self, epsilon: f64) -> String {
        let found = self.at.iter().find(|(e, ..)| *e == epsilon);
        found.filter(|(_, _, of)| *of > 0).map_or("–".to_owned(), |(_, past, of)| format!("{past} of {of}"))
    }
}

/// Where the metrics do not say the same of more than half of the images.
pub(super) fn disagreement(all: &[Shares]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let differs = |(place, point): (usize, &(f64, usize, usize))| {
        let votes: Vec<bool> = all.iter().filter_map(|s| s.at.get(place).map(|at| Shares::most(at).1)).collect();
        (point.0, votes.iter().any(|v| *v != votes[0]))
    };
    let apart = shown_at(first.at.iter().enumerate().map(differs));
    if apart == "at no measured ε" {
        return "The metrics agree at every measured ε.".to_owned();
    }
    let each = all.iter().map(|s| format!("{} {}", s.by.metric.title(), shown_at(s.at.iter().map(Shares::most))));
    format!("The metrics disagree {apart} (past their limits: {}).", each.collect::<Vec<_>>().join("; "))
}

/// What observers told, from a table that was given.
pub(super) struct Asked {
    path: PathBuf,
    thresholds: Vec<Measured>,
}

impl Asked {
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        Ok(Self { path: path.to_owned(), thresholds: read_thresholds(path)? })
    }

    /// A sentence for each observer, on `epsilon` of `attack`.
    pub fn statements(&self, attack: &str, epsilon: f64) -> Vec<String> {
        self.thresholds.iter().map(|found| told(found, attack, epsilon)).collect()
    }

    /// The thresholds with their conditions.
    pub fn table(&self) -> Table {
        let row = |t: &Measured| {
            let numbers = [t.epsilon, t.interval[0], t.interval[1]].map(number);
            [t.observer.clone(), t.image.clone(), t.attack.clone(), t.task.name().to_owned(), t.trials.to_string()]
                .into_iter()
                .chain(numbers)
                .chain([conditions(t)])
                .collect()
        };
        Table {
            title: "What people see".to_owned(),
            file: "observers.csv",
            caption: format!(
                "From {}. At the threshold an observer detects the perturbation in half of all looks; intervals of 95 %. A threshold holds for its image, its attack and how it was shown.",
                self.path.display()
            ),
            columns: [
                "observer",
                "image",
                "attack",
                "question",
                "trials",
                "threshold ε",
                "lower",
                "upper",
                "how it was shown",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: self.thresholds.iter().map(row).collect(),
        }
    }
}

fn number(epsilon: f64) -> String {
    if epsilon.is_finite() { both(epsilon) } else { "none".to_owned() }
}

fn conditions(found: &Measured) -> String {
    let facts = found.setting.facts();
    if facts.is_empty() {
        return "the table does not say".to_owned();
    }
    facts.into_iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn told(found: &Measured, attack: &str, epsilon: f64) -> String {
    let Measured { observer, image, trials, interval: [low, high], .. } = found;
    let [threshold, lower, upper] = [found.epsilon, *low, *high].map(number);
    let of = format!("{observer}, {trials} trials on {image} under {}", found.attack);
    if found.attack != attack {
        return format!("{of}: another attack than {attack}, which says nothing of it.");
    }
    if !found.is_reached() {
        return format!("{of}: no threshold was reached among the ε that were shown.");
    }
    let place = match epsilon {
        e if e > *high => "above the whole interval: detected in more than half of all looks",
        e if e < *low => "below the whole interval: detected in less than half of all looks",
        _ => "within the interval: whether it is detected in more than half of all looks is not told",
    };
    format!("{of}: threshold ε = {threshold} (95 %: {lower} to {upper}); ε {epsilon} is {place}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(metric: SeenMetric, limit: f64, values: [[f64; 3]; 3]) -> Shares {
        let by = NoticedBy { metric, limit };
        Shares::new(by, &[0.1, 0.2, 0.3], |e| values[(e * 10.0).round() as usize - 1].to_vec())
    }

    #[test]
    fn each_metric_is_told_by_itself_and_disagreement_is_said() {
        // SSIM passes for two of three images from 0.2 on, Butteraugli (more is worse) for all at 0.3.
        let ssim = shares(SeenMetric::Ssim, 0.98, [[0.99, 0.99, 0.97], [0.99, 0.9, 0.9], [0.8; 3]]);
        let butteraugli = shares(SeenMetric::Butteraugli, 1.0, [[0.2; 3], [0.5, 0.5, 2.0], [3.0; 3]]);
        assert_eq!(
            ssim.statement(),
            "SSIM below 0.98 (a limit of ours) on more than half of the images at the measured ε 0.2000 (51.000/255) to 0.3000 (76.500/255)"
        );
        assert_eq!(["1 of 3", "2 of 3", "3 of 3"], [0.1, 0.2, 0.3].map(|e| ssim.share(e)));
        assert!(butteraugli.statement().starts_with("Butteraugli above 1 (what its authors call just noticeable)"));
        assert_eq!(NoticedBy { metric: SeenMetric::Butteraugli, limit: 1.5 }.source(), "a limit of ours");
        let text = disagreement(&[ssim, butteraugli]);
        assert!(text.starts_with("The metrics disagree at the measured ε 0.2000"), "{text}");
        assert!(
            text.contains("SSIM at the measured ε 0.2000") && text.contains("Butteraugli at the measured ε 0.3000")
        );
        let same = || shares(SeenMetric::Vif, 0.9, [[0.5; 3]; 3]);
        assert_eq!(disagreement(&[same(), same()]), "The metrics agree at every measured ε.");
        let none = shares(SeenMetric::Vif, 0.9, [[1.0; 3]; 3]);
        assert!(none.statement().ends_with("at no measured ε"));
    }

    #[test]
    fn people_are_told_with_interval_and_conditions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thresholds.csv");
        let text = "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,epsilon_max,bit_depth\n\
                    Ada,slice 3,fgsm,2afc,120,0.02,0.015,0.03,0.5,8\n\
                    Ben,slice 3,fgsm,2afc,80,0.3,0.2,0.4,0.5,8\n\
                    Cleo,slice 3,fgsm,2afc,80,inf,0.4,inf,0.5,8\n\
                    Dan,slice 3,pgd,2afc,80,0.02,0.015,0.03,0.5,8\n";
        std::fs::write(&path, text).unwrap();
        let asked = Asked::read(&path).unwrap();
        let said = asked.statements("fgsm", 0.3);
        assert!(said[0].starts_with("Ada, 120 trials on slice 3 under fgsm: threshold ε = "), "{said:?}");
        assert!(said[0].contains("ε 0.3 is above the whole interval") && said[1].contains("within the interval"));
        assert!(
            said[2].contains("no threshold was reached") && said[3].contains("another attack than fgsm"),
            "{said:?}"
        );
        assert!(asked.statements("fgsm", 0.01)[0].contains("below the whole interval"));
        let table = asked.table();
        assert_eq!((table.rows.len(), table.rows[2][5].as_str()), (4, "none"));
        assert!(table.rows[0][8].contains('8'), "{:?}", table.rows[0]);
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(Asked::read(&path).is_err());
    }
}
