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
