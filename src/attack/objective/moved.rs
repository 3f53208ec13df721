//! Masks that have moved along with their pixels: anatomy that has moved is no error of a model that follows it.

use super::{Aim, Judgement, Objective};
use crate::attack::flow::places;
use crate::model::{Logits, Model, ModelError, Task};
use crate::tensor::to_host;
use burn::tensor::{Tensor, TensorData};

impl Objective {
    /// [`Objective::judge`] of images whose pixels `flow`, `[batch, 2, height, width]`, has moved, if there is one: against the masks
    /// as they are, and against the masks moved along; of each image that counts by which fewer pixels are wrong, whatever their class.
    /// A class does not move, and what a target asks for is asked for where it is.
    ///
    /// # Errors
    /// As there.
    pub fn judge_moved(
        &self,
        model: &dyn Model,
        x: Tensor<4>,
        flow: Option<&Tensor<4>>,
    ) -> Result<Vec<Judgement>, ModelError> {
        self.judge_moved_logits(model.logits(x)?, flow)
    }

    /// [`Objective::judge_moved`] of what a model has put out.
    ///
    /// # Errors
    /// As there.
    pub(in crate::attack) fn judge_moved_logits(
        &self,
        logits: Logits,
        flow: Option<&Tensor<4>>,
    ) -> Result<Vec<Judgement>, ModelError> {
        let stays = self.task == Task::Classification || self.aim == Aim::Targeted;
        let still = self.judge_logits(logits.clone())?;
        let Some(flow) = flow.filter(|_| !stays) else { return Ok(still) };
        let moved = self.moved(flow)?.judge_logits(logits)?;
        let better = |(still, moved): (Judgement, Judgement)| if moved.hits < still.hits { moved } else { still };
        Ok(still.into_iter().zip(moved).map(better).collect())
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
