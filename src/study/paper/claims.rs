//! What the inverse-FGSM paper claims, each claim beside what was found here.

use super::counted;
use super::interval::{Mean, Units, paired};
use super::inverse_fgsm::{FGSM, INVERSE, Outcome, PLAIN, RANDOM};
use super::learned::{LEARNED, learned};

/// One side of a comparison: a row, clean or under an attack at an ε.
type Side<'a> = (&'static str, Option<(&'a str, f64)>);

/// A claim: that the second side has another mean IoU than the first.
struct Claim<'a> {
    text: String,
    /// The paper's differences on its colon and its lumbar data; none where the comparison is ours.
    paper: Option<[f64; 2]>,
    sides: [Side<'a>; 2],
}

/// The claim that the headline is about: one comparison, chosen before anything is measured.
const FIRST: &str = "Inverse FGSM as augmentation raises mean IoU";

/// Of the paper's tables 1 to 3, with the controls that it lacks. `epsilon` is the largest.
fn claims<'a>(epsilon: f64) -> Vec<Claim<'a>> {
    let clean = |text: &str, paper, before, after| Claim {
        text: text.to_owned(),
        paper,
        sides: [(before, None), (after, None)],
    };
    let mut all = vec![
        clean(FIRST, Some([0.0902, -0.0055]), PLAIN, INVERSE),
        clean("FGSM as augmentation raises mean IoU", Some([0.0310, -0.0442]), PLAIN, FGSM),
        clean("Inverse FGSM gives more than FGSM", Some([0.0592, 0.0387]), FGSM, INVERSE),
        clean("Inverse FGSM gives more than random signs", None, RANDOM, INVERSE),
        clean("FGSM gives more than random signs", None, RANDOM, FGSM),
        clean("Inverse FGSM gives more than flipping", Some([0.0859, 0.1719]), "U-Net + flipping", INVERSE),
        clean("Inverse FGSM gives more than rotating", Some([0.0851, 0.1643]), "U-Net + rotating", INVERSE),
        clean("Inverse FGSM gives more than cropping", Some([0.0771, 0.1021]), "U-Net + cropping", INVERSE),
        clean("Inverse FGSM gives more than colour jitter", Some([0.0997, 0.1705]), "U-Net + colour jitter", INVERSE),
    ];
    let attacked = |text: &str, paper, sides| Claim { text: format!("{text} at ε {epsilon}"), paper, sides };
    let under = |row, attack| (row, Some((attack, epsilon)));
    all.extend([
        attacked(
            "FGSM lowers mean IoU of the plain U-Net",
            Some([-0.2056, -0.4885]),
            [(PLAIN, None), under(PLAIN, "fgsm")],
        ),
        attacked(
            "Inverse FGSM lowers mean IoU of the plain U-Net",
            Some([-0.2617, -0.4876]),
            [(PLAIN, None), under(PLAIN, "inverse-fgsm")],
        ),
        attacked("Random signs lower mean IoU of the plain U-Net", None, [(PLAIN, None), under(PLAIN, "random-sign")]),
        attacked(
            "Augmentation by FGSM raises mean IoU under FGSM",
            Some([0.1692, 0.4206]),
            [under(PLAIN, "fgsm"), under(FGSM, "fgsm")],
        ),
        attacked("Augmentation by FGSM raises mean IoU under PGD", None, [under(PLAIN, "pgd"), under(FGSM, "pgd")]),
        attacked(
            "Augmentation by random signs raises mean IoU under FGSM",
            None,
            [under(PLAIN, "fgsm"), under(RANDOM, "fgsm")],
        ),
        attacked(
            "Augmentation by inverse FGSM raises mean IoU under inverse FGSM",
            Some([0.8477 - 0.5467, 0.4216]),
            [under(PLAIN, "inverse-fgsm"), under(INVERSE, "inverse-fgsm")],
        ),
        attacked(
            "Augmentation by inverse FGSM raises mean IoU under FGSM",
            None,
            [under(PLAIN, "fgsm"), under(INVERSE, "fgsm")],
        ),
    ]);
    all
}

/// What was found of one comparison.
enum Finding {
    /// The difference, its interval, and what it is over.
    Difference(Mean, String),
    /// It cannot be told, and why.
    Untold(String),
}

impl Finding {
    fn text(&self) -> String {
        match self {
            Self::Difference(Mean { mean, interval: [low, high] }, _) => {
                format!("{mean:+.3} ({low:+.3} to {high:+.3})")
            }
            Self::Untold(why) => why.clone(),
        }
    }

    /// Above 0, below 0, or neither shown.
    fn sign(&self) -> Option<f64> {
        match self {
            Self::Difference(Mean { interval: [low, _], .. }, _) if *low > 0.0 => Some(1.0),
            Self::Difference(Mean { interval: [_, high], .. }, _) if *high < 0.0 => Some(-1.0),
            _ => None,
        }
    }
}

/// The outcomes on one data set, judged.
pub(super) struct Judged<'a> {
    /// The data set's name.
    pub data: &'a str,
    pub outcomes: Vec<&'a Outcome>,
    /// The mean IoU of the best constant mask.
    pub constant: f64,
    /// Of the only claim that is not beside others: 95 % over all data sets.
    pub level: f64,
}

impl<'a> Judged<'a> {
    fn of(&self, row: &str) -> Vec<&'a Outcome> {
        self.outcomes.iter().copied().filter(|o| o.row == row).collect()
    }

    fn learned(&self, outcome: &Outcome) -> bool {
        learned(outcome.images.iter().sum::<f64>() / outcome.images.len().max(1) as f64, self.constant)
    }

    fn compare(&self, [before, after]: [Side<'_>; 2], level: f64) -> Finding {
        for row in [before.0, after.0] {
            let all = self.of(row);
            let failed = all.iter().filter(|outcome| !self.learned(outcome)).count();
            if failed > 0 {
                return Finding::Untold(format!(
                    "not told: {failed} of {} trainings of {row} learned nothing",
                    all.len()
                ));
            }
        }
        let first = self.of(before.0);
        let difference = |o: &&Outcome| -> Option<Vec<f64>> {
            let same = first.iter().find(|b| b.seed == o.seed)?;
            let pairs = o.judged(after.1)?.iter().zip(same.judged(before.1)?);
            Some(pairs.map(|(after, before)| after - before).collect())
        };
        let found: Vec<Vec<f64>> = self.of(after.0).iter().filter_map(difference).collect();
        let images = found.iter().map(Vec::len).min().unwrap_or(0);
        let units = Units::new(images, first.first().map_or(&[], |outcome| &outcome.groups));
        let seeds = |count| counted(count, "seed", "seeds");
        match paired(&found, &units, level) {
            Some(mean) => {
                Finding::Difference(mean, format!("{} and {} {}", seeds(found.len()), units.len(), units.name))
            }
            None => Finding::Untold(format!("not told: {}, {} {}", seeds(found.len()), units.len(), units.name)),
        }
    }

    /// A sentence on the first claim.
    pub fn verdict(&self) -> String {
        let data = self.data;
        let found = self.compare([(PLAIN, None), (INVERSE, None)], self.level);
        let over = match &found {
            Finding::Difference(_, over) => over.as_str(),
            Finding::Untold(why) => return format!("{data}: whether inverse FGSM raises mean IoU is {why}"),
        };
        let numbers = format!("{}, over {over}", found.text());
        let colon = "as on the paper’s colon data and not as on its lumbar data";
        let lumbar = "as on the paper’s lumbar data and against what it concludes";
        match found.sign() {
            Some(sign) if sign > 0.0 => format!("{data}: inverse FGSM raises mean IoU by {numbers}, {colon}"),
            Some(_) => format!("{data}: inverse FGSM lowers mean IoU by {numbers}, {lumbar}"),
            None => format!(
                "{data}: that inverse FGSM changes mean IoU is not shown ({numbers}); the paper concludes that it raises it"
            ),
        }
    }

    /// Every claim: the claim, the paper's two differences, ours, and whether they agree.
    pub fn table(&self, epsilon: f64) -> Vec<Vec<String>> {
        let row = |claim: Claim<'_>| {
            let found = self.compare(claim.sides, 0.95);
            let agrees = match (&found, claim.paper) {
                (Finding::Untold(_), _) => "–".to_owned(),
                (_, None) => "the paper has none".to_owned(),
                (found, Some(paper)) => match found.sign() {
                    None => "not shown".to_owned(),
                    Some(sign) => {
                        let same = paper.map(|p| p * sign > 0.0);
                        match same {
                            [true, true] => "as the paper".to_owned(),
                            [true, false] => "as its colon, not as its lumbar data".to_owned(),
                            [false, true] => "as its lumbar, not as its colon data".to_owned(),
                            [false, false] => "the opposite of the paper".to_owned(),
                        }
                    }
                },
            };
            let paper = claim.paper.map_or(["–".to_owned(), "–".to_owned()], |p| p.map(|p| format!("{p:+.4}")));
            let [colon, lumbar] = paper;
            vec![self.data.to_owned(), claim.text, colon, lumbar, found.text(), agrees]
        };
        claims(epsilon).into_iter().map(row).collect()
    }

    /// Says so where networks have not learned to find anything: their numbers compare nothing.
    pub fn unlearned(&self) -> Option<String> {
        let failed = self.outcomes.iter().filter(|outcome| !self.learned(outcome)).count();
        (failed > 0).then(|| {
            format!(
                "{}: {failed} of {} trainings have learned nothing (mean IoU on held-out images not more than {LEARNED} above that of a constant mask, {:.3}): what compares their rows is not told. More epochs are needed.",
                self.data,
                self.outcomes.len(),
                self.constant
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::inverse_fgsm::Attacked;
    use super::*;

    fn outcome(row: &str, seed: u64, images: Vec<f64>) -> Outcome {
        let groups = (0..images.len()).map(|i| format!("patient {}", i / 5)).collect();
        let attacked = vec![Attacked {
            attack: "fgsm".to_owned(),
            epsilon: 0.1,
            images: images.iter().map(|v| v * 0.5).collect(),
        }];
        let (data, row) = ("cells".to_owned(), row.to_owned());
        Outcome { data, row, seed, before: None, history: Vec::new(), images, groups, attacked }
    }

    fn judged(all: &[Outcome]) -> Judged<'_> {
        Judged { data: "cells", outcomes: all.iter().collect(), constant: 0.45, level: 0.95 }
    }

    fn images(shift: f64) -> Vec<f64> {
        (0..40).map(|i| 0.6 + f64::from(i) / 200.0 + shift * (1.0 + 0.1 * f64::from(i % 3))).collect()
    }

    #[test]
    fn a_difference_is_judged_patient_by_patient_and_over_the_seeds() {
        // Images differ by far more than rows do, and seeds agree: the shift shows.
        let all = [
            outcome(PLAIN, 1, images(0.0)),
            outcome(PLAIN, 2, images(0.01)),
            outcome(PLAIN, 3, images(0.02)),
            outcome(INVERSE, 1, images(0.05)),
            outcome(INVERSE, 2, images(0.062)),
            outcome(INVERSE, 3, images(0.071)),
            // Up with two seeds, down with the third: a bootstrap of means would not know how far.
            outcome(FGSM, 1, images(0.05)),
            outcome(FGSM, 2, images(0.06)),
            outcome(FGSM, 3, images(-0.05)),
        ];
        let text = judged(&all).verdict();
        assert!(text.contains("cells: inverse FGSM raises mean IoU by +0.05"), "{text}");
        assert!(text.contains("over 3 seeds and 8 patients or volumes"), "{text}");
        let table = judged(&all).table(0.1);
        let of = |claim: &str| table.iter().find(|row| row[1] == claim).unwrap();
        assert_eq!(of(FIRST)[5], "as its colon, not as its lumbar data");
        assert_eq!(of("FGSM as augmentation raises mean IoU")[5], "not shown");
        assert_eq!(of("FGSM lowers mean IoU of the plain U-Net at ε 0.1")[5], "as the paper");
        // What was not measured is not told: no row of random signs, no PGD.
        assert!(of("FGSM gives more than random signs")[4].starts_with("not told: 0 seeds"));
        assert!(of("Augmentation by FGSM raises mean IoU under PGD at ε 0.1")[4].starts_with("not told: 0 seeds"));
        // Three seeds that agree in sign, and by chance: not enough.
        let chance = [(1, 0.001), (2, 0.02), (3, 0.06)]
            .map(|(seed, shift)| outcome(INVERSE, seed, images(0.01 * seed as f64 - 0.01 + shift)));
        let all: Vec<Outcome> = all[..3].iter().cloned().chain(chance).collect();
        let text = judged(&all).verdict();
        assert!(text.contains("that inverse FGSM changes mean IoU is not shown (+0.0"), "{text}");
    }

    #[test]
    fn networks_that_found_nothing_are_not_compared() {
        let mut all = vec![outcome(PLAIN, 1, images(0.0)), outcome(PLAIN, 2, vec![0.46; 40])];
        all.extend([1, 2].map(|seed| outcome(INVERSE, seed, images(0.05))));
        let judged = judged(&all);
        assert!(
            judged.verdict().contains("not told: 1 of 2 trainings of U-Net learned nothing"),
            "{}",
            judged.verdict()
        );
        assert!(judged.unlearned().unwrap().contains("1 of 4 trainings have learned nothing"));
        assert_eq!(judged.table(0.1)[0][5], "–");
    }
}
