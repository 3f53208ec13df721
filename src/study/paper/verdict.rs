//! What the inverse-FGSM study says was found.

use super::interval::{Units, paired};
use super::inverse_fgsm::{Outcome, PLAIN};
use super::spread;

/// Below this Dice a network has not learned its task.
const LEARNED: f64 = 0.2;

/// The differences `after` less `before` for each seed that both have, image by image.
fn differences(before: &[&Outcome], after: &[&Outcome]) -> Vec<Vec<f64>> {
    let of_seed = |o: &&Outcome| {
        let same = before.iter().find(|b| b.seed == o.seed)?;
        Some(o.images.iter().zip(&same.images).map(|(after, before)| after - before).collect())
    };
    after.iter().filter_map(of_seed).collect()
}

/// Whether the paper's finding is found: a difference is shown if its paired interval leaves 0 out.
pub(super) fn verdict<'a>(data: &str, of: &dyn Fn(&str) -> Vec<&'a Outcome>) -> String {
    let plain = of(PLAIN);
    let compared = |name: &str, row: &str| {
        let found = differences(&plain, &of(row));
        let mean = spread(&found.concat()).0;
        let images = found.iter().map(Vec::len).min().unwrap_or(0);
        let units = Units::new(images, plain.first().map_or(&[], |outcome| &outcome.groups));
        let Some([low, high]) = paired(&found, &units) else {
            return format!("{name}: too few images to tell a difference ({mean:+.3})");
        };
        let of = format!("{} {}", units.len(), units.name);
        let numbers = format!("{mean:+.3}, 95 % interval {low:+.3} to {high:+.3} over {of}");
        match (low > 0.0, high < 0.0) {
            (true, _) => format!("{name} raises mean IoU ({numbers})"),
            (_, true) => format!("{name} lowers mean IoU ({numbers})"),
            _ => format!("no difference shown between {name} and the plain U-Net ({numbers})"),
        }
    };
    format!("{data}: {}; {}.", compared("inverse FGSM", "U-Net + inverse FGSM"), compared("FGSM", "U-Net + FGSM"))
}

/// Says so where networks have not learned to find the positive class at all: their numbers compare nothing.
pub(super) fn unlearned(data: &str, outcomes: &[&Outcome]) -> Option<String> {
    let dice = |o: &Outcome| o.history.last().and_then(|r| r.validation.as_ref()).map(|v| v.dice);
    let failed = outcomes.iter().filter(|o| dice(o).is_some_and(|d| d < LEARNED)).count();
    (failed > 0).then(|| {
        format!(
            "{data}: {failed} of {} trainings have not learned the positive class (Dice below {LEARNED} on held-out images): their rows compare nothing. More epochs are needed.",
            outcomes.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EpochRecord, Validation};

    fn outcome(row: &str, seed: u64, images: Vec<f64>, dice: f64) -> Outcome {
        let validation = Validation {
            images: images.len(),
            dice,
            iou: dice / (2.0 - dice),
            miou_image: spread(&images).0,
            miou_dataset: 0.5,
            wrong: 0.1,
        };
        let record =
            EpochRecord { epoch: 1, loss: 0.1, learning_rate: 0.1, validation: Some(validation), improved: true };
        let (data, row) = ("cells".to_owned(), row.to_owned());
        let groups = (0..images.len()).map(|i| format!("patient {}", i / 5)).collect();
        Outcome { data, row, seed, before: None, history: vec![record], images, groups, attacked: Vec::new() }
    }

    #[test]
    fn a_difference_is_judged_image_by_image_and_over_the_seeds() {
        // Images differ by far more than rows do, and seeds agree: the shift shows.
        let images =
            |shift: f64| (0..20).map(|i| f64::from(i) / 25.0 + shift * (1.0 + 0.1 * f64::from(i % 3))).collect();
        let all = [
            outcome(PLAIN, 1, images(0.0), 0.7),
            outcome(PLAIN, 2, images(0.01), 0.7),
            outcome("U-Net + inverse FGSM", 1, images(0.02), 0.7),
            outcome("U-Net + inverse FGSM", 2, images(0.03), 0.7),
            // Up with one seed, down with the other.
            outcome("U-Net + FGSM", 1, images(0.05), 0.7),
            outcome("U-Net + FGSM", 2, images(-0.05), 0.7),
        ];
        let of = |row: &str| all.iter().filter(|o| o.row == row).collect::<Vec<_>>();
        let text = verdict("cells", &of);
        assert!(text.contains("inverse FGSM raises mean IoU (+0.02"), "{text}");
        assert!(text.contains("over 4 patients or volumes)"), "{text}");
        assert!(text.contains("no difference shown between FGSM and the plain U-Net"), "{text}");
        let swapped = |row: &str| of(if row == PLAIN { "U-Net + inverse FGSM" } else { PLAIN });
        assert!(verdict("cells", &swapped).contains("inverse FGSM lowers mean IoU (-0.02"));
    }

    #[test]
    fn a_network_that_found_nothing_is_said() {
        let (learned, failed) = (outcome(PLAIN, 1, vec![0.8], 0.7), outcome(PLAIN, 2, vec![0.46], 0.0));
        assert_eq!(unlearned("cells", &[&learned]), None);
        let text = unlearned("cells", &[&learned, &failed]).unwrap();
        assert!(text.contains("1 of 2 trainings have not learned"), "{text}");
    }
}
