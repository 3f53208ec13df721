//! What stands beside an attack: its control, random signs of its norm, which know nothing of the model; and its one-step form.

use super::{Attack, AttackError, Direction, Norm, Objective, Options};
use crate::model::{Model, ModelError};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};

/// The attack that moves pixels; its control is a random flow ([`random_flow`](super::random_flow)).
const MOVES_PIXELS: &str = "stadv";

impl Attack {
    /// The norm that its control has in common with it: L∞ where that is what ε bounds, else L2. An L∞ norm that nothing bounds
    /// is that of one pixel, and signs of that length in every pixel are no perturbation of the same size.
    pub fn control_norm(&self) -> Norm {
        if self.norm() == Some(Norm::Linf) { Norm::Linf } else { Norm::L2 }
    }

    /// The ε of a perturbation that changes every value of one image of `x` by the bounds' whole width: where axes of ε end, and what
    /// grids of ε are multiples of. 1 for L∞, √(number of values) where ε bounds an L2 norm.
    pub fn axis_unit(&self, x: &Tensor<4>) -> f64 {
        self.axis_unit_of(x.dims()[1..].iter().product())
    }

    /// [`Attack::axis_unit`] of an image of so many values.
    pub fn axis_unit_of(&self, values: usize) -> f64 {
        if self.norm() == Some(Norm::L2) { (values as f64).sqrt() } else { 1.0 }
    }

    /// Whether it moves pixels in place of changing them.
    pub fn moves_pixels(&self) -> bool {
        self.name() == MOVES_PIXELS
    }

    /// The short name of its control.
    pub fn control_title(&self) -> &'static str {
        match self.control_norm() {
            _ if self.moves_pixels() => "Random flow (control)",
            Norm::Linf => "Random sign (control)",
            Norm::L2 => "Random sign of the same L2 (control)",
        }
    }

    /// The same as the beginning of a sentence.
    pub fn control_noise(&self) -> &'static str {
        match self.control_norm() {
            _ if self.moves_pixels() => "A random flow of the same displacement",
            Norm::Linf => "Random sign noise",
            Norm::L2 => "Random sign noise of the same L2 norm",
        }
    }

    /// What its control is, for people: `random signs of the same ε`.
    pub fn control_words(&self) -> &'static str {
        match self.control_norm() {
            _ if self.moves_pixels() => "random flows of the same displacement",
            Norm::Linf => "random signs of the same ε",
            Norm::L2 => "random signs of the same L2 norm",
        }
    }
}

/// Random signs beside the images of a batch.
#[derive(Clone, Debug)]
pub struct Control(Direction);

impl Control {
    /// The signs of `seed` for the images `x`, 0 where nothing may be touched.
    ///
    /// # Errors
    /// If the seed does not fit into 32 bits, or the device fails.
    pub fn new(
        model: &dyn Model,
        x: &Tensor<4>,
        objective: &Objective,
        seed: u64,
        options: &Options,
    ) -> Result<Self, AttackError> {
        let direction = Attack::random_sign(seed)?.direction(model, x, objective, options)?;
        direction.map(Self).ok_or_else(|| AttackError::Unknown("random sign noise without a direction".to_owned()))
    }

    /// The control of the images `found` that `attack` has made of `x` at `epsilon`: where ε bounds its L∞ norm, signs of ε; else
    /// signs that have, within the bounds, the L2 norm of what was found.
    ///
    /// # Errors
    /// If the device fails.
    pub fn beside(
        &self,
        attack: Attack,
        x: &Tensor<4>,
        epsilon: f64,
        found: &Tensor<4>,
    ) -> Result<Tensor<4>, ModelError> {
        if attack.control_norm() == Norm::Linf {
            return Ok(self.0.adversarial(x, epsilon));
        }
        let count = x.dims()[0];
        let (images, signs) = (to_host(x.clone())?, to_host(self.0.direction.clone())?);
        let size = (images.len() / count.max(1)).max(1);
        let norms = to_host(Norm::L2.of(found.clone() - x.clone()))?;
        let pairs = images.chunks(size).zip(signs.chunks(size));
        let lengths: Vec<f32> = pairs.zip(norms).map(|((x, s), norm)| length(x, s, f64::from(norm)) as f32).collect();
        let lengths = Tensor::<4>::from_data(TensorData::new(lengths, [count, 1, 1, 1]), &x.device());
        Ok((x.clone() + self.0.direction.clone() * lengths).clamp(0.0, 1.0))
    }
}

/// The length of steps along `signs` that take the image `x`, clipped to [0, 1], to the distance `norm` in L2; the whole way if it
/// is out of reach.
fn length(x: &[f32], signs: &[f32], norm: f64) -> f64 {
    let room = |(&x, &sign): (&f32, &f32)| match sign {
        s if s > 0.0 => Some(1.0 - f64::from(x)),
        s if s < 0.0 => Some(f64::from(x)),
        _ => None,
    };
    // How far each value can go. Those with the least room are at their end first; the others share what is left.
    let mut rooms: Vec<f64> = x.iter().zip(signs).filter_map(room).collect();
    rooms.sort_by(f64::total_cmp);
    let (mut left, many) = (norm * norm, rooms.len());
    for (done, &room) in rooms.iter().enumerate() {
        let others = (many - done) as f64;
        if room * room * others >= left {
            return (left.max(0.0) / others).sqrt();
        }
        left -= room * room;
    }
    rooms.last().copied().unwrap_or(0.0)
}

impl Attack {
    /// How many gradients it takes of one image at one ε, at most.
    pub fn most_gradients(&self) -> f64 {
        let of = |name| self.get(name).unwrap_or(1.0);
        of("steps") * of("searches") * of("restarts")
    }

    /// The attack of one step, without a random start, that this one repeats; `None` if it repeats none. Many steps that do less
    /// harm than this are a sign of gradient masking.
    pub fn one_step(&self) -> Option<Self> {
        let single = |name: &str, values: &[(&str, f64)]| {
            let first = Self::named(name).ok()?;
            values.iter().try_fold(first, |first, &(name, value)| first.with(name, value).ok())
        };
        match self.name() {
            "pgd" | "apgd-ce" if self.get("norm") == Some(1.0) => {
                single("pgd", &[("norm", 1.0), ("steps", 1.0), ("step", 1.0), ("random-start", 0.0)])
            }
            "bim" | "mi-fgsm" | "segpgd" | "cospgd" | "pgd" | "apgd-ce" => single("fgsm", &[]),
            "binm" | "pgdnm" => single("fgnm", &[("clip", self.get("clip")?)]),
            _ => None,
        }
    }

    /// [`Attack::one_step`], where that is another attack than this one and both are to do harm.
    pub fn beside_it(&self) -> Option<Self> {
        self.one_step().filter(|one| one != self && !self.entry().lowers_the_loss)
    }

    /// Whether it follows gradients over many steps and repeats no single one, so that nothing of one step can be put beside it.
    pub fn repeats_no_step(&self) -> bool {
        let entry = self.entry();
        entry.gradient && !entry.lowers_the_loss && self.one_step().is_none() && self.most_gradients() > 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_have_the_norm_that_is_asked_for_within_the_bounds() {
        let x = [0.0, 0.1, 0.5, 0.9, 1.0, 0.3];
        let signs = [-1.0, -1.0, 1.0, 1.0, 1.0, 0.0];
        let norm = |s: f64| {
            let moved = |(&x, &sign): (&f32, &f32)| {
                let x = f64::from(x);
                ((x + f64::from(sign) * s).clamp(0.0, 1.0) - x).powi(2)
            };
            x.iter().zip(&signs).map(moved).sum::<f64>().sqrt()
        };
        for wanted in [0.0, 0.01, 0.1, 0.2, 0.5] {
            let found = norm(length(&x, &signs, wanted));
            assert!((found - wanted).abs() < 1e-9, "{wanted}: {found}");
        }
        assert!((norm(length(&x, &signs, 9.0)) - norm(1.0)).abs() < 1e-9, "as far as the bounds let it");
        assert_eq!(length(&x, &[0.0; 6], 1.0), 0.0);
    }
}
