//! Attacks that move pixels are judged against the label and against the label moved along, and that by which fewer pixels are wrong
//! counts, whatever their class: anatomy that has moved is no error of a model that follows it.

use super::{Judged, Subject};
use crate::attack::moved_label;
use crate::model::{Logits, ModelError};
use burn::tensor::Tensor;

impl Subject {
    /// [`Subject::judge`] of an image whose pixels `flow`, `[1, 2, height, width]`, has moved, if there is one. A class does not
    /// move.
    ///
    /// # Errors
    /// As there.
    pub fn judge_moved(&self, image: &Tensor<4>, flow: Option<&Tensor<4>>) -> Result<Judged, ModelError> {
        self.judge_moved_logits(image, self.model.logits(image.clone())?, flow)
    }

    /// [`Subject::judge_moved`] of an image whose logits are known already.
    ///
    /// # Errors
    /// As there.
    pub fn judge_moved_logits(
        &self,
        image: &Tensor<4>,
        logits: Logits,
        flow: Option<&Tensor<4>>,
    ) -> Result<Judged, ModelError> {
        let Some(flow) = flow.filter(|_| self.class.is_none()) else { return self.judge_logits(image, logits) };
        let still = self.judge_logits(image, logits.clone())?;
        let mut moved = self.judge_against(image, logits, &moved_label(flow, &self.reference)?)?;
        moved.measure.wished = still.measure.wished;
        Ok(if moved.measure.error.wrong < still.measure.error.wrong { moved } else { still })
    }

    /// [`Subject::judge_moved`] of several subjects of one model and size, each with its image of `images` and its flow.
    ///
    /// # Errors
    /// As there.
    pub fn judge_all_moved(
        subjects: &[Self],
        images: &Tensor<4>,
        flow: Option<&Tensor<4>>,
    ) -> Result<Vec<Judged>, ModelError> {
        let Some(flow) = flow else { return Self::judge_all(subjects, images) };
        let one = |t: &Tensor<4>, i: usize| t.clone().narrow(0, i, 1);
        subjects.iter().enumerate().map(|(i, s)| s.judge_moved(&one(images, i), Some(&one(flow, i)))).collect()
    }
}
