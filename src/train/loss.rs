//! The training loss: binary cross-entropy on the logit plus a soft Dice loss.

use burn::tensor::{Tensor, activation::sigmoid};

/// Mean binary cross-entropy plus `dice_weight`·(1 − soft Dice), over the pixels of the whole batch where `weight` is
/// 1 (0 where the label is to be ignored). All of shape `[batch, 1, height, width]`.
pub fn bce_dice(logits: Tensor<4>, target: Tensor<4>, weight: Tensor<4>, dice_weight: f64) -> Tensor<1> {
    // −[y·log σ(z) + (1−y)·log(1−σ(z))] = max(z, 0) − y·z + log(1 + e^(−|z|))
    let softplus = logits.clone().clamp_min(0.0) + logits.clone().abs().neg().exp().log1p();
    let entropy = (softplus - logits.clone() * target.clone()) * weight.clone();
    let entropy = entropy.sum() / weight.clone().sum().clamp_min(1.0);
    if dice_weight == 0.0 {
        return entropy;
    }
    let dice = soft_dice(sigmoid(logits), target, weight);
    entropy + (dice.neg() + 1.0) * dice_weight
}

/// (2·Σp·y + 1) / (Σp + Σy + 1) over weighted pixels (Milletari, Navab and Ahmadi 2016, without the squares).
pub fn soft_dice(probability: Tensor<4>, target: Tensor<4>, weight: Tensor<4>) -> Tensor<1> {
    let p = probability * weight.clone();
    let y = target * weight;
    let both = (p.clone() * y.clone()).sum();
    (both * 2.0 + 1.0) / (p.sum() + y.sum() + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor(values: &[f32]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex())
    }

    #[test]
    fn values_by_hand() {
        let (z, y, w) = (tensor(&[0.0, 2.0, -1.0, 50.0]), tensor(&[1.0, 1.0, 0.0, 0.0]), tensor(&[1.0, 1.0, 1.0, 0.0]));
        let s = |z: f64| 1.0 / (1.0 + (-z).exp());
        let entropy = (-(0.5f64).ln() - s(2.0).ln() - (1.0 - s(-1.0)).ln()) / 3.0;
        let got = bce_dice(z.clone(), y.clone(), w.clone(), 0.0).into_scalar::<f32>();
        assert!((f64::from(got) - entropy).abs() < 1e-6, "{got} {entropy}");
        let dice = (2.0 * (0.5 + s(2.0)) + 1.0) / (0.5 + s(2.0) + s(-1.0) + 2.0 + 1.0);
        let got = bce_dice(z, y, w, 0.5).into_scalar::<f32>();
        assert!((f64::from(got) - entropy - 0.5 * (1.0 - dice)).abs() < 1e-6);
    }

    #[test]
    fn large_logits_stay_finite() {
        let loss = bce_dice(tensor(&[1e4, -1e4]), tensor(&[0.0, 1.0]), tensor(&[1.0, 1.0]), 1.0);
        let loss = loss.into_scalar::<f32>();
        assert!((loss - 1e4 - 1.0).abs() < 1.0, "{loss}");
    }
}
