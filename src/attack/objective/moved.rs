//! Masks that have moved along with their pixels: anatomy that has moved is no error of a model that follows it.

use super::{Aim, Judgement, Objective};
use crate::attack::flow::places;
use crate::metric::Confusion;
use crate::model::{Head, Logits, Model, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};

impl Objective {
    /// [`Objective::judge`] of images whose pixels `flow`, `[batch, 2, height, width]`, has moved, if there is one: against the masks
    /// as they are, and against the masks moved along; of each image that counts by which the Dice of the positive class is higher. A
    /// class does not move, and what a target asks for is asked for where it is.
    ///
    /// # Errors
    /// As there.
    pub fn judge_moved(
        &self,
        model: &dyn Model,
        x: Tensor<4>,
        flow: Option<&Tensor<4>>,
    ) -> Result<Vec<Judgement>, ModelError> {
        self.judge_moved_logits(model.card().positive_class, model.logits(x)?, flow)
    }

    /// [`Objective::judge_moved`] of what a model of the class `positive` has put out.
    ///
    /// # Errors
    /// As there.
    pub(in crate::attack) fn judge_moved_logits(
        &self,
        positive: u8,
        logits: Logits,
        flow: Option<&Tensor<4>>,
    ) -> Result<Vec<Judgement>, ModelError> {
        let stays = self.task == Task::Classification || self.aim == Aim::Targeted;
        let Some(flow) = flow.filter(|_| !stays) else { return self.judge_logits(logits) };
        let judged = |of: &Self| -> Result<Vec<(f64, Judgement)>, ModelError> {
            Ok(of.dice(logits.clone(), positive)?.into_iter().zip(of.judge_logits(logits.clone())?).collect())
        };
        let (still, moved) = (judged(self)?, judged(&self.moved(flow)?)?);
        let better = |(still, moved): ((f64, Judgement), (f64, Judgement))| {
            if moved.0 > still.0 { moved.1 } else { still.1 }
        };
        Ok(still.into_iter().zip(moved).map(better).collect())
    }

    /// The Dice of class `positive` of each image, over the pixels that count; 1 where there is none in both.
    fn dice(&self, logits: Logits, positive: u8) -> Result<Vec<f64>, ModelError> {
        let z = self.dense(logits)?;
        let [_, outputs, height, width] = z.dims();
        let area = (height * width).max(1);
        let (z, target, weight) = (to_host(z)?, to_host(self.target.clone())?, to_host(self.weight.clone())?);
        let masks = (target.len() / area).max(1);
        let of_image = |(image, z): (usize, &[f32])| {
            let first = image.min(masks - 1) * area;
            let mut confusion = Confusion::default();
            for i in (0..area).filter(|i| weight[first + i] > 0.0) {
                let (found, is) = match self.head {
                    Head::Sigmoid => (z[i] >= 0.0, target[first + i] > 0.5),
                    Head::Softmax => {
                        let at = |class: usize| z[class * area + i];
                        let best = (0..outputs).fold(0, |best, class| if at(class) > at(best) { class } else { best });
                        (best == usize::from(positive), target[first + i] == f32::from(positive))
                    }
                };
                *match (is, found) {
                    (true, true) => &mut confusion.true_positive,
                    (false, true) => &mut confusion.false_positive,
                    (true, false) => &mut confusion.false_negative,
                    (false, false) => &mut confusion.true_negative,
                } += 1;
            }
            confusion.overlap().dice
        };
        Ok(z.chunks((outputs * area).max(1)).enumerate().map(of_image).collect())
    }

    /// The same against the masks moved along by `flow`: each pixel is of the class of that which is nearest to where it is taken
    /// from, and counts as that does.
    fn moved(&self, flow: &Tensor<4>) -> Result<Self, ModelError> {
        let [count, _, height, width] = flow.dims();
        let (area, flows) = (height * width, to_host(flow.clone())?);
        let places: Vec<Vec<usize>> = flows.chunks((2 * area).max(1)).map(|f| places(f, [height, width])).collect();
        let along = |of: &Tensor<4>| -> Result<Vec<f32>, ModelError> {
            // One mask may serve all images.
            let masks = of.dims()[0].max(1);
            let values = to_host(of.clone())?;
            let image = |(i, places): (usize, &Vec<usize>)| {
                let values = &values[i.min(masks - 1) * area..];
                places.iter().map(|&place| values[place]).collect::<Vec<f32>>()
            };
            Ok(places.iter().enumerate().flat_map(image).collect())
        };
        let tensor = |values| Tensor::from_data(TensorData::new(values, [count, 1, height, width]), &flow.device());
        // As many pixels count as have come to lie there: their shares sum up to 1 again.
        let shares = |of: &Tensor<4>| -> Result<Tensor<4>, ModelError> {
            let mut shares = along(of)?;
            for image in shares.chunks_mut(area.max(1)) {
                let sum: f64 = image.iter().map(|&share| f64::from(share)).sum();
                if sum > 0.0 {
                    image.iter_mut().for_each(|share| *share = (f64::from(*share) / sum) as f32);
                }
            }
            Ok(tensor(shares))
        };
        Ok(Self {
            target: tensor(along(&self.target)?),
            weight: shares(&self.weight)?,
            asked: shares(&self.asked)?,
            ..self.clone()
        })
    }
}
