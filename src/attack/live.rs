//! Rows that are retired from a batch once nothing is left to do for them.

use burn::tensor::Tensor;

/// Which rows of a batch are still attacked, and what became of those that are not.
pub(super) struct Live {
    /// The rows that are left, by their places in the whole batch.
    pub index: Vec<usize>,
    done: Vec<(Vec<usize>, Tensor<4>)>,
}

impl Live {
    /// All of `count` rows.
    pub fn new(count: usize) -> Self {
        Self { index: (0..count).collect(), done: Vec::new() }
    }

    /// Retires the rows for which `done` (one for each that is left) says so; of `images` (a row for each that is left) theirs
    /// are kept. The others, by their places among those that were left, or `None` if nothing has changed.
    pub fn retire(&mut self, done: &[bool], images: &Tensor<4>) -> Option<Vec<usize>> {
        let (gone, left): (Vec<usize>, Vec<usize>) = (0..done.len()).partition(|&i| done[i]);
        if gone.is_empty() {
            return None;
        }
        let of = |places: &[usize]| kept(&self.index, places);
        self.done.push((of(&gone), chosen(images, &gone)));
        self.index = of(&left);
        Some(left)
    }

    /// The whole batch in its order, with `rest` for the rows that are left.
    pub fn whole(mut self, rest: Tensor<4>) -> Tensor<4> {
        if self.done.is_empty() {
            return rest;
        }
        if !self.index.is_empty() {
            self.done.push((self.index, rest));
        }
        let order: Vec<usize> = self.done.iter().flat_map(|(index, _)| index.iter().copied()).collect();
        let mut place = vec![0; order.len()];
        for (at, row) in order.into_iter().enumerate() {
            place[row] = at;
        }
        chosen(&Tensor::cat(self.done.into_iter().map(|(_, images)| images).collect(), 0), &place)
    }
}

/// The rows `places` of `images`.
pub(super) fn chosen(images: &Tensor<4>, places: &[usize]) -> Tensor<4> {
    crate::tensor::rows(images.clone(), places)
}

/// The entries `places` of `values`.
pub(super) fn kept<T: Clone>(values: &[T], places: &[usize]) -> Vec<T> {
    places.iter().map(|&i| values[i].clone()).collect()
}
