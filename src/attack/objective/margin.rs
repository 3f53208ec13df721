//! How far each pixel or class is from being as an attack wants it.

use super::{Aim, Objective};
use crate::model::{Head, Logits, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// Below any logit that a finite network gives.
const LOWEST: f32 = -1e30;

impl Objective {
    /// The margin of every element, `[batch, 1, height, width]` (1×1 for classes): untargeted z_y − max over j ≠ y of z_j,
    /// targeted max over j ≠ t of z_j − z_t; below 0 where the element is as the attack wants it. One logit z counts as the
    /// two classes (0, z).
    ///
    /// # Errors
    /// If the logits are those of another task.
    pub fn margins(&self, logits: Logits) -> Result<Tensor<4>, ModelError> {
        let z = self.dense(logits)?;
        Ok(match self.aim {
            Aim::Untargeted => self.lead(z),
            Aim::Targeted => self.lead(z).neg(),
        })
    }

    /// z of the target less the largest of the others.
    fn lead(&self, z: Tensor<4>) -> Tensor<4> {
        match self.head {
            Head::Sigmoid => z * (self.target.clone() * 2.0 - 1.0),
            Head::Softmax => {
                let at_target = z.clone().gather(1, self.index(&z));
                let here = self.one_hot(&z);
                at_target - z.mask_fill(here, LOWEST).max_dim(1)
            }
        }
    }

    /// True at the target's channel, of the shape of `z`.
    fn one_hot(&self, z: &Tensor<4>) -> Tensor<4, Bool> {
        let [batch, classes, height, width] = z.dims();
        let channel = Tensor::<1, Int>::arange(0..classes as i64, &z.device()).float().reshape([1, classes, 1, 1]);
        let shape = [batch, classes, height, width];
        channel.expand(shape).equal(self.target.clone().expand(shape))
    }

    /// Where the prediction is the target. An element whose two best classes tie is still the target's.
    pub(super) fn is_target(&self, z: Tensor<4>) -> Tensor<4, Bool> {
        match self.head {
            // As predictions do: positive where z ≥ 0.
            Head::Sigmoid => {
                let shape = z.dims();
                z.greater_equal_elem(0.0).equal(self.target.clone().greater_elem(0.5).expand(shape))
            }
            Head::Softmax => self.lead(z).greater_equal_elem(0.0),
        }
    }

    /// The share of each image's elements that are as the attack wants them, `[batch]`: of all that count, or, with a target, of
    /// those that it is to change (1 where there are none). Under softmax a tie counts for the model, whichever way the attack
    /// goes.
    ///
    /// # Errors
    /// If the logits are those of another task.
    pub fn hits(&self, logits: Logits) -> Result<Tensor<1>, ModelError> {
        let z = self.dense(logits)?;
        let hit = match (self.aim, self.head) {
            // A NaN is no success.
            (Aim::Untargeted, Head::Sigmoid) => self.is_target(z.clone()).bool_or(z.is_nan()).bool_not(),
            (Aim::Untargeted, Head::Softmax) => self.lead(z).lower_elem(0.0),
            (Aim::Targeted, Head::Sigmoid) => self.is_target(z.clone()).bool_and(z.is_nan().bool_not()),
            (Aim::Targeted, Head::Softmax) => self.lead(z).greater_elem(0.0),
        };
        Ok(self.share_of(hit.float()))
    }

    /// The share of what success is counted on at which `hit` is 1, `[batch]`: a ratio of whole numbers, so that what is reached by the
    /// last pixel that it needs is reached.
    fn share_of(&self, hit: Tensor<4>) -> Tensor<1> {
        let batch = hit.dims()[0];
        let counted = self.asked.clone().greater_elem(0.0).float();
        let hit = (hit * counted.clone()).sum_dims(&[1, 2, 3]);
        let all = counted.sum_dims(&[1, 2, 3]).expand([batch, 1, 1, 1]);
        let none = all.clone().lower_equal_elem(0.0);
        let all = all.mask_fill(none.clone(), 1.0);
        let (whole, half) = (hit.clone().equal(all.clone()), (hit.clone() * 2.0).equal(all.clone()));
        // A division on a GPU may be off by a little, also where what comes out has an exact number.
        let share = (hit / all).mask_fill(whole, 1.0).mask_fill(half, 0.5);
        let share = match self.aim {
            Aim::Untargeted => share,
            // A target that changes nothing is reached.
            Aim::Targeted => share.mask_fill(none, 1.0),
        };
        share.reshape([batch])
    }

    /// [`Objective::hits`] by a margin: the share of each image's elements whose margin is −`kappa` or less, `[batch]`.
    ///
    /// # Errors
    /// If the logits are those of another task.
    pub(in crate::attack) fn hits_by(&self, logits: Logits, kappa: f64) -> Result<Tensor<1>, ModelError> {
        if kappa <= 0.0 {
            return self.hits(logits);
        }
        Ok(self.share_of(self.margins(logits)?.lower_equal_elem(-kappa).float()))
    }

    /// 1 at the share `share` of each image's elements that success is counted on, those nearest to being as the attack wants them, 0
    /// elsewhere, of the shape of `margins` (`[batch, 1, height, width]`). `hits` is the share of each image that is so already: while it is
    /// too small, at least one element more is wanted.
    ///
    /// # Errors
    /// If the device fails.
    pub(in crate::attack) fn nearest(
        &self,
        margins: Tensor<4>,
        hits: Tensor<1>,
        share: f32,
    ) -> Result<Tensor<4>, ModelError> {
        let shape = margins.dims();
        let weight = self.asked.clone().expand(shape);
        if share >= 1.0 || self.task == Task::Classification {
            return Ok(weight.greater_elem(0.0).float());
        }
        let device = margins.device();
        let (margins, weight, hits) = (to_host(margins)?, to_host(weight)?, to_host(hits)?);
        let size = shape[2] * shape[3];
        let mut wanted = vec![0.0; margins.len()];
        for (image, hits) in hits.into_iter().enumerate() {
            let from = image * size;
            let mut counted: Vec<usize> = (from..from + size).filter(|&i| weight[i] > 0.0).collect();
            let done = (f64::from(hits) * counted.len() as f64).round() as usize;
            let least = (f64::from(share) * counted.len() as f64 - 1e-3).ceil().max(1.0) as usize;
            let many = if hits < share { least.max(done + 1) } else { least };
            if many < counted.len() {
                let nearer = |a: &usize, b: &usize| margins[*a].total_cmp(&margins[*b]).then(a.cmp(b));
                counted.select_nth_unstable_by(many, nearer);
                counted.truncate(many);
            }
            counted.into_iter().for_each(|i| wanted[i] = 1.0);
        }
        Ok(Tensor::from_data(TensorData::new(wanted, shape), &device))
    }
}
