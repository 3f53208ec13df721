//! Measures of a predicted mask against a reference mask (`methods`: measures).

use crate::data::{IGNORE, Mask};
use serde::{Deserialize, Serialize};

/// Counts of pixels by reference and prediction, for one positive class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Positive in both.
    pub true_positive: u64,
    /// Positive only in the prediction.
    pub false_positive: u64,
    /// Positive only in the reference.
    pub false_negative: u64,
    /// Positive in neither.
    pub true_negative: u64,
}

/// How much two masks of one class overlap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// 2·TP / (2·TP + FP + FN); 1 if both masks are empty.
    pub dice: f64,
    /// TP / (TP + FP + FN); 1 if both masks are empty.
    pub iou: f64,
}

/// AdvU-Net's pixel error, soft: y is 1 on the positive class, p its probability, over N unignored pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelError {
    /// ‖y − p‖₂ (soft; the hard one is √(wrong·N)).
    pub l2: f64,
    /// ‖y − p‖₂ / √N.
    pub rmse: f64,
    /// Share of pixels whose predicted class is not the reference's, in [0, 1].
    pub wrong: f64,
    /// N.
    pub pixels: u64,
}

impl Confusion {
    /// Dice and IoU.
    pub fn overlap(&self) -> Overlap {
        let (tp, wrong) = (self.true_positive as f64, (self.false_positive + self.false_negative) as f64);
        if tp + wrong == 0.0 {
            return Overlap { dice: 1.0, iou: 1.0 };
        }
        Overlap { dice: 2.0 * tp / (2.0 * tp + wrong), iou: tp / (tp + wrong) }
    }
}

/// Compares a prediction with a reference mask.
///
/// `probability` is P(positive class) per pixel, `predicted` the predicted class index per pixel; both have the
/// reference's pixels. Ignored pixels count nowhere.
pub fn segmentation(reference: &Mask, positive: u8, probability: &[f32], predicted: &[u8]) -> (PixelError, Confusion) {
    let (mut squares, mut wrong, mut pixels) = (0f64, 0u64, 0u64);
    let mut confusion = Confusion::default();
    for ((&y, &p), &c) in reference.classes.iter().zip(probability).zip(predicted) {
        if y == IGNORE {
            continue;
        }
        pixels += 1;
        wrong += u64::from(c != y);
        let truth = if y == positive { 1.0 } else { 0.0 };
        squares += (truth - f64::from(p)).powi(2);
        match (y == positive, c == positive) {
            (true, true) => confusion.true_positive += 1,
            (false, true) => confusion.false_positive += 1,
            (true, false) => confusion.false_negative += 1,
            (false, false) => confusion.true_negative += 1,
        }
    }
    let n = pixels.max(1) as f64;
    let error = PixelError { l2: squares.sqrt(), rmse: (squares / n).sqrt(), wrong: wrong as f64 / n, pixels };
    (error, confusion)
}

/// Dice of each class of `predicted` against `reference`, of one size; `None` for a class that is in neither. Ignored pixels
/// count nowhere.
pub fn dice_of_classes(reference: &Mask, predicted: &Mask, classes: usize) -> Vec<Option<f64>> {
    let (mut both, mut either) = ([0u64; 256], [0u64; 256]);
    for (&y, &c) in reference.classes.iter().zip(&*predicted.classes) {
        if y == IGNORE {
            continue;
        }
        either[usize::from(y)] += 1;
        either[usize::from(c)] += 1;
        both[usize::from(y)] += u64::from(y == c);
    }
    let dice = |class: usize| (either[class] > 0).then(|| 2.0 * both[class] as f64 / either[class] as f64);
    (0..classes.min(256)).map(dice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: u8 = IGNORE;
    /// With class 1 positive: 2 true and 2 false positives, 1 false negative, 3 true negatives, one ignored.
    const REFERENCE: [u8; 9] = [1, 1, 0, 0, I, 0, 0, 1, 0];
    const PREDICTED: [u8; 9] = [1, 0, 0, 1, 1, 0, 0, 1, 1];
    const PROBABILITY: [f32; 9] = [0.9, 0.4, 0.1, 0.6, 0.8, 0.2, 0.0, 0.5, 0.7];

    fn mask(classes: [u8; 9]) -> Mask {
        Mask { height: 3, width: 3, classes: classes.into() }
    }

    fn hard(predicted: [u8; 9], positive: u8) -> [f32; 9] {
        predicted.map(|c| f32::from(u8::from(c == positive)))
    }

    #[track_caller]
    fn assert_near(what: &str, value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{what} {value}, not {expected}");
    }

    #[track_caller]
    fn assert_overlap(confusion: Confusion, dice: f64, iou: f64) {
        assert_near("Dice", confusion.overlap().dice, dice);
        assert_near("IoU", confusion.overlap().iou, iou);
    }

    #[test]
    fn values_by_hand() {
        let (error, confusion) = segmentation(&mask(REFERENCE), 1, &PROBABILITY, &PREDICTED);
        let expected = Confusion { true_positive: 2, false_positive: 2, false_negative: 1, true_negative: 3 };
        assert_eq!((confusion, error.pixels), (expected, 8));
        assert_overlap(confusion, 4.0 / 7.0, 2.0 / 5.0);
        assert_near("wrong", error.wrong, 3.0 / 8.0);
        // (y − p)²: .01, .36, .01, .36, ignored, .04, 0, .25, .49.
        assert_near("L2", error.l2, 1.52f64.sqrt());
        assert_near("RMSE", error.rmse, 0.19f64.sqrt());
        let (error, _) = segmentation(&mask(REFERENCE), 1, &hard(PREDICTED, 1), &PREDICTED);
        assert_near("hard L2", error.l2, 3f64.sqrt());
        assert_near("hard L2 from the share", error.l2, (error.wrong * error.pixels as f64).sqrt());
    }

    #[test]
    fn the_positive_class_and_the_order_of_masks_matter() {
        let background = PROBABILITY.map(|p| 1.0 - p);
        let (error, confusion) = segmentation(&mask(REFERENCE), 0, &background, &PREDICTED);
        let expected = Confusion { true_positive: 3, false_positive: 1, false_negative: 2, true_negative: 2 };
        assert_eq!(confusion, expected);
        assert_overlap(confusion, 6.0 / 9.0, 3.0 / 6.0);
        // Both classes share their errors, and so does the soft one of complementary probabilities.
        assert_near("wrong", error.wrong, 3.0 / 8.0);
        assert_near("L2", error.l2, 1.52f64.sqrt());
        // The probability of the other class is a large error.
        let (error, _) = segmentation(&mask(REFERENCE), 0, &PROBABILITY, &PREDICTED);
        assert_near("L2", error.l2, 3.92f64.sqrt());
        // A prediction of the one class for the other has nothing right.
        let swapped = REFERENCE.map(|c| if c == I { 0 } else { 1 - c });
        let (error, confusion) = segmentation(&mask(REFERENCE), 1, &hard(swapped, 1), &swapped);
        assert_overlap(confusion, 0.0, 0.0);
        assert_near("wrong", error.wrong, 1.0);
        // Reference and prediction change places: what was too much is now missing.
        let mut predicted = REFERENCE;
        predicted[4] = 0;
        let mut reference = PREDICTED;
        reference[4] = I;
        let (_, back) = segmentation(&mask(reference), 1, &hard(predicted, 1), &predicted);
        assert_eq!((back.false_positive, back.false_negative), (1, 2));
    }

    #[test]
    fn empty_masks() {
        let (empty, none) = ([0; 9], [0.0; 9]);
        let (error, confusion) = segmentation(&mask(empty), 1, &none, &empty);
        assert_overlap(confusion, 1.0, 1.0);
        assert_eq!((error.l2, error.rmse, error.wrong, error.pixels), (0.0, 0.0, 0.0, 9));
        // Something where there is nothing, and nothing where there is something.
        let one = [0, 0, 1, 0, 0, 0, 0, 0, 0];
        for (reference, predicted) in [(empty, one), (one, empty)] {
            let (error, confusion) = segmentation(&mask(reference), 1, &hard(predicted, 1), &predicted);
            assert_overlap(confusion, 0.0, 0.0);
            assert_near("wrong", error.wrong, 1.0 / 9.0);
            assert_near("RMSE", error.rmse, 1.0 / 3.0);
        }
        // Positive pixels that are ignored leave an empty mask.
        let (_, confusion) = segmentation(&mask([I, 0, 0, 0, 0, 0, 0, 0, 0]), 1, &none, &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_overlap(confusion, 1.0, 1.0);
        let (error, confusion) = segmentation(&mask([I; 9]), 1, &PROBABILITY, &PREDICTED);
        assert_overlap(confusion, 1.0, 1.0);
        assert_eq!((error.l2, error.rmse, error.wrong, error.pixels), (0.0, 0.0, 0.0, 0));
    }

    #[test]
    fn every_class_has_its_own_dice() {
        let mask = |classes: [u8; 6]| Mask { height: 2, width: 3, classes: classes.into() };
        let dice = dice_of_classes(&mask([0, 1, 1, 2, 2, I]), &mask([0, 1, 2, 2, 2, 0]), 4);
        assert_eq!(dice, [Some(1.0), Some(2.0 / 3.0), Some(4.0 / 5.0), None]);
        // That of two classes is the one that `segmentation` gives.
        let reference = mask([0, 1, 1, 0, I, 1]);
        let predicted = mask([1, 1, 0, 0, 1, 1]);
        let (_, confusion) = segmentation(&reference, 1, &[0.0; 6], &predicted.classes);
        assert_eq!(dice_of_classes(&reference, &predicted, 2)[1], Some(confusion.overlap().dice));
    }

    #[test]
    fn of_three_classes_every_confusion_is_wrong() {
        // Class 2 for class 0 is an error, though both are negative.
        let reference = [0, 0, 2, 2, 1, 1, I, 0, 0];
        let predicted = [0, 2, 2, 0, 1, 2, 1, 0, 1];
        let (error, confusion) = segmentation(&mask(reference), 1, &hard(predicted, 1), &predicted);
        let expected = Confusion { true_positive: 1, false_positive: 1, false_negative: 1, true_negative: 5 };
        assert_eq!(confusion, expected);
        assert_overlap(confusion, 2.0 / 4.0, 1.0 / 3.0);
        assert_near("wrong", error.wrong, 4.0 / 8.0);
    }
}
