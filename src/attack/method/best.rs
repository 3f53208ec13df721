//! The best images that a run has met, for when it is stopped before its end.

use crate::attack::Objective;
use crate::attack::live::{chosen, kept};
use crate::attack::objective::Judgement;
use crate::attack::run::better;
use burn::tensor::{Tensor, TensorData};

/// The best image of each row so far. Only what stops early is given from it: a run that ends gives its last image, as the
/// papers do.
#[derive(Default)]
pub(super) struct BestSoFar(Option<(Vec<Judgement>, Tensor<4>)>);

impl BestSoFar {
    /// Takes those of `images` that are better than what was met before.
    pub fn offer(&mut self, judged: &[Judgement], images: &Tensor<4>, objective: &Objective, stop_at: Option<f32>) {
        let Some((known, before)) = self.0.take() else {
            self.0 = Some((judged.to_vec(), images.clone()));
            return;
        };
        let risen: Vec<bool> =
            judged.iter().zip(&known).map(|(new, old)| better(new, old, objective, stop_at)).collect();
        let images = if risen.iter().all(|&r| r) {
            images.clone()
        } else if risen.contains(&true) {
            let values: Vec<f32> = risen.iter().map(|&r| f32::from(u8::from(r))).collect();
            let rows = Tensor::<4>::from_data(TensorData::new(values, [risen.len(), 1, 1, 1]), &images.device());
            before.mask_where(rows.expand(images.dims()).greater_elem(0.5), images.clone())
        } else {
            before
        };
        let merged = judged.iter().zip(&known).zip(&risen).map(|((new, old), &r)| if r { *new } else { *old });
        self.0 = Some((merged.collect(), images));
    }

    /// Goes on with the rows `left` only.
    pub fn select(&mut self, left: &[usize]) {
        if let Some((judged, images)) = self.0.take() {
            self.0 = Some((kept(&judged, left), chosen(&images, left)));
        }
    }

    /// What was best.
    pub fn take(&mut self) -> Option<Tensor<4>> {
        self.0.take().map(|(_, images)| images)
    }
}
