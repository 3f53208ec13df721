//! How well a model segments a set of labelled cases.

use crate::data::Case;
use crate::metric::{Confusion, RandScore, membrane_rand_score, segmentation};
use crate::model::{Model, ModelError, Prediction, predict};
use crate::tensor;

/// Thresholds at which V_rand is tried, as the ISBI 2012 challenge did.
const THRESHOLDS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Measures over a set. Counts are summed over all pixels; Rand scores are means over images.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evaluation {
    /// Number of images.
    pub images: usize,
    /// Dice of the positive class over all pixels of the set.
    pub dice: f64,
    /// Intersection over union, likewise.
    pub iou: f64,
    /// Dice of each image.
    pub dice_of_images: Vec<f64>,
    /// Share of pixels whose predicted class is not the label's.
    pub wrong: f64,
    /// ‖y − p‖₂ / √N of the soft prediction, over all pixels.
    pub rmse: f64,
    /// Foreground-restricted V_rand at threshold ½, borders thinned.
    pub rand: RandScore,
    /// V_rand at the best of the thresholds .1, .2, … .9, as ISBI 2012 reports it.
    pub best_rand: RandScore,
    /// That threshold.
    pub best_threshold: f32,
}

/// Runs `model` on labelled cases; cases without a label are left out. `progress` is called after each with its
/// index and may return false to stop early.
///
/// # Errors
/// If a case does not fit the model, a probability is not finite, or the device fails.
pub fn evaluate(
    model: &dyn Model,
    cases: &[Case],
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Evaluation, ModelError> {
    let card = model.card();
    let mut total = Confusion::default();
    let (mut squares, mut pixels, mut wrong, mut images) = (0f64, 0u64, 0f64, 0usize);
    let mut dice_of_images = Vec::new();
    let mut rand = [RandScore { score: 0.0, merge: 0.0, split: 0.0 }; THRESHOLDS.len()];
    for (index, case) in cases.iter().enumerate() {
        let Some(label) = &case.label else { continue };
        if case.image.channels != 1 && case.image.channels != card.channels {
            return Err(ModelError::Channels { image: case.image.channels, model: card.channels });
        }
        let x = tensor::image_to_unit(&case.image, case.bounds, &model.device());
        let Prediction { on_host: probability, predicted, .. } = predict(model, x)?;
        let positive = card.positive_class;
        let (error, confusion) = segmentation(label, positive, &probability, &predicted.classes);
        squares += error.l2 * error.l2;
        pixels += error.pixels;
        wrong += error.wrong * error.pixels as f64;
        dice_of_images.push(confusion.overlap().dice);
        total.true_positive += confusion.true_positive;
        total.false_positive += confusion.false_positive;
        total.false_negative += confusion.false_negative;
        total.true_negative += confusion.true_negative;
        for (sum, threshold) in rand.iter_mut().zip(THRESHOLDS) {
            let one = membrane_rand_score(label, positive, &probability, threshold);
            sum.score += one.score;
            sum.merge += one.merge;
            sum.split += one.split;
        }
        images += 1;
        if !progress(index) {
            break;
        }
    }
    let n = images.max(1) as f64;
    for sum in &mut rand {
        *sum = RandScore { score: sum.score / n, merge: sum.merge / n, split: sum.split / n };
    }
    let best = (0..rand.len()).max_by(|&a, &b| rand[a].score.total_cmp(&rand[b].score)).unwrap_or_default();
    let overlap = total.overlap();
    let count = pixels.max(1) as f64;
    Ok(Evaluation {
        images,
        dice: overlap.dice,
        iou: overlap.iou,
        dice_of_images,
        wrong: wrong / count,
        rmse: (squares / count).sqrt(),
        rand: rand[THRESHOLDS.len() / 2],
        best_rand: rand[best],
        best_threshold: THRESHOLDS[best],
    })
}
