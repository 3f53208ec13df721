//! The foreground-restricted Rand score of the ISBI 2012 challenge: do the same pixels belong together?
//!
//! Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Front.
//! Neuroanat. 2015. With p_ij the share of pixels in predicted segment i and reference segment j, over the pixels of the
//! reference's foreground: V = Σ p_ij² / (½ Σ_i (Σ_j p_ij)² + ½ Σ_j (Σ_i p_ij)²). Here pairs of different pixels are counted, as
//! scikit-image's `adapted_rand_error` (1 − V) does; the challenge also pairs each pixel with itself, a
//! difference of the order of one over the number of pixels.

use crate::data::{IGNORE, Mask};
use std::collections::{HashMap, VecDeque};

/// The Rand F-score of two segmentations and what it is made of. All in [0, 1], 1 is best.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RandScore {
    /// V_rand, the harmonic mean of the other two; 1 if neither segmentation joins any two pixels.
    pub score: f64,
    /// Of the pairs joined in the prediction, the share joined in the reference: low where cells are merged.
    pub merge: f64,
    /// Of the pairs joined in the reference, the share joined in the prediction: low where cells are split.
    pub split: f64,
}

/// Compares two segmentations, arrays of one length whose values name segments. Pixels of reference segment 0 are not
/// looked at; pixels of predicted segment 0 belong to no segment and count as segments of one pixel each.
pub fn rand_score(reference: &[u32], predicted: &[u32]) -> RandScore {
    let mut joint: HashMap<(u32, u32), u64> = HashMap::new();
    let (mut rows, mut columns): (HashMap<u32, u64>, HashMap<u32, u64>) = Default::default();
    for (&r, &p) in reference.iter().zip(predicted).filter(|(r, _)| **r != 0) {
        *rows.entry(r).or_default() += 1;
        if p != 0 {
            *columns.entry(p).or_default() += 1;
            *joint.entry((r, p)).or_default() += 1;
        }
    }
    // Ordered pairs of different pixels; single pixels make none.
    let pairs = |n: &u64| (*n as f64) * (*n as f64 - 1.0);
    let both: f64 = joint.values().map(pairs).sum();
    let (in_reference, in_prediction): (f64, f64) = (rows.values().map(pairs).sum(), columns.values().map(pairs).sum());
    let share = |of: f64| if of == 0.0 { 1.0 } else { both / of };
    let score = if in_reference + in_prediction == 0.0 { 1.0 } else { 2.0 * both / (in_reference + in_prediction) };
    RandScore { score, merge: share(in_prediction), split: share(in_reference) }
}

/// The 4-connected components of the pixels where `inside` holds, numbered from 1 in reading order; 0 elsewhere.
pub fn components(inside: &[bool], width: usize) -> Vec<u32> {
    let mut labels = vec![0u32; inside.len()];
    let mut next = 0;
    let mut queue = VecDeque::new();
    for start in 0..inside.len() {
        if !inside[start] || labels[start] != 0 {
            continue;
        }
        next += 1;
        labels[start] = next;
        queue.push_back(start);
        while let Some(at) = queue.pop_front() {
            for to in neighbours(at, width, inside.len()) {
                if inside[to] && labels[to] == 0 {
                    labels[to] = next;
                    queue.push_back(to);
                }
            }
        }
    }
    labels
}

/// Thins the border (label 0) between segments: segments grow into it ring by ring, and only those border pixels remain
/// that touch two different segments, so that no segments merge.
pub fn thin_borders(labels: &mut [u32], width: usize) {
    let mut ring: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == 0).collect();
    while !ring.is_empty() {
        let mut grown = Vec::new();
        let mut rest = Vec::new();
        for &at in &ring {
            let mut touching = neighbours(at, width, labels.len()).map(|n| labels[n]).filter(|&l| l != 0);
            match touching.next() {
                None => rest.push(at),
                Some(first) if touching.all(|l| l == first) => grown.push((at, first)),
                Some(_) => {}
            }
        }
        if grown.is_empty() {
            return;
        }
        for (at, label) in grown {
            // Two pixels of one ring may grow from different sides: the second of them stays border.
            if neighbours(at, width, labels.len()).all(|n| labels[n] == 0 || labels[n] == label) {
                labels[at] = label;
            }
        }
        ring = rest;
    }
}

/// V_rand of a probability map of the membrane at one threshold: a pixel is membrane where its probability is at least
/// `threshold`. Segments are the 4-connected components of the rest; the prediction's borders are
/// thinned first. The reference's foreground is every class but `membrane`; ignored pixels are left out.
pub fn membrane_rand_score(reference: &Mask, membrane: u8, probability: &[f32], threshold: f32) -> RandScore {
    let width = reference.width.max(1);
    let cells: Vec<bool> = reference.classes.iter().map(|&c| c != membrane && c != IGNORE).collect();
    let open: Vec<bool> = probability.iter().map(|&p| p < threshold).collect();
    let mut predicted = components(&open, width);
    thin_borders(&mut predicted, width);
    rand_score(&components(&cells, width), &predicted)
}

fn neighbours(at: usize, width: usize, len: usize) -> impl Iterator<Item = usize> {
    let column = at % width;
    [
        (at >= width).then(|| at - width),
        (column > 0).then(|| at - 1),
        (column + 1 < width && at + 1 < len).then_some(at + 1),
        (at + width < len).then_some(at + width),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_segmentations_score_one_whatever_their_names() {
        let a = [1, 1, 2, 2, 0, 3];
        let b = [7, 7, 5, 5, 9, 1];
        assert_eq!(rand_score(&a, &b), RandScore { score: 1.0, merge: 1.0, split: 1.0 });
    }

    #[test]
    fn a_merge_of_two_halves_by_hand() {
        // Reference: two segments of 4 pixels, 2·(4·3) = 24 pairs. Prediction: one of 8, 56 pairs. Joined in both: 24.
        let s = rand_score(&[1, 1, 1, 1, 2, 2, 2, 2], &[1; 8]);
        assert!((s.score - 48.0 / 80.0).abs() < 1e-12 && (s.merge - 24.0 / 56.0).abs() < 1e-12 && s.split == 1.0);
    }

    #[test]
    fn pixels_without_a_segment_are_segments_of_one_pixel() {
        // Reference: one segment of 3 pixels, 6 pairs; prediction joins two of them, 2 pairs.
        let s = rand_score(&[1, 1, 1], &[4, 4, 0]);
        assert!((s.score - 4.0 / 8.0).abs() < 1e-12 && s.merge == 1.0 && (s.split - 2.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn agrees_with_scikit_image() {
        // import numpy as np; from skimage.metrics import adapted_rand_error
        // i = np.arange(400); a = (i * 7919 // 13) % 5; b = (i * 104729 // 29) % 7 + 1; a[i < 100] = 1; b[i < 60] = 3
        // are, split, merge = adapted_rand_error(a, b); print(1 - are, split, merge)
        // (scikit-image 0.26 calls the share of the first argument's pairs its precision.)
        let a: Vec<u32> = (0..400u32).map(|i| if i < 100 { 1 } else { i * 7919 / 13 % 5 }).collect();
        let b: Vec<u32> = (0..400u32).map(|i| if i < 60 { 3 } else { i * 104_729 / 29 % 7 + 1 }).collect();
        let s = rand_score(&a, &b);
        let (score, split, merge) = (0.291588243810627, 0.22413889043458907, 0.41710676193434815);
        assert!((s.score - score).abs() < 1e-12, "{s:?}");
        assert!((s.merge - merge).abs() < 1e-12 && (s.split - split).abs() < 1e-12, "{s:?}");
    }

    #[test]
    fn thinning_leaves_a_line_and_merges_nothing() {
        // Two cells with a border of five columns between them.
        let width = 11;
        let mut labels: Vec<u32> = (0..4 * width)
            .map(|i| {
                if i % width < 3 {
                    1
                } else if i % width > 7 {
                    2
                } else {
                    0
                }
            })
            .collect();
        thin_borders(&mut labels, width);
        for row in labels.chunks(width) {
            assert_eq!(row, [1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2]);
        }
        // A hole in a membrane within one cell closes entirely.
        let mut labels = vec![1u32; 25];
        for i in [11, 12, 13] {
            labels[i] = 0;
        }
        thin_borders(&mut labels, 5);
        assert_eq!(labels, vec![1; 25]);
    }

    #[test]
    fn a_gap_in_a_membrane_merges_cells() {
        // 9×9: a vertical membrane in column 4.
        let classes: Vec<u8> = (0..81).map(|i| u8::from(i % 9 == 4)).collect();
        let mask = Mask { height: 9, width: 9, classes: classes.clone().into() };
        let mut p: Vec<f32> = classes.iter().map(|&c| f32::from(c) * 0.9).collect();
        assert_eq!(membrane_rand_score(&mask, 1, &p, 0.5).score, 1.0);
        p[40] = 0.2;
        // 72 pixels in two cells of 36 (2·36·35 pairs) against one segment of at least 72.
        let s = membrane_rand_score(&mask, 1, &p, 0.5);
        assert!((s.score - 2.0 * 2520.0 / (2520.0 + 72.0 * 71.0)).abs() < 1e-12 && s.split == 1.0, "{s:?}");
    }
}
