//! Serial-section electron microscopy of neural tissue, as far as a membrane segmenter is concerned: cells of
//! irregular shape packed against each other, membranes of varying thickness, contrast and sharpness, and organelles,
//! stains, light and noise that mislead. The masks are exact: they follow from the geometry, not from the pixels.
//!
//! Sizes are in pixels at about 4 nm each, grey levels a fraction of the full range, before contrast and gamma.

use super::camera::Camera;
use super::noise::Draw;
use super::tissue::Tissue;
use crate::data::{Bounds, Case, Image, Provenance, StoredType};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The value of cell interior in a label, as in the ISBI 2012 challenge.
pub const CELL: u8 = 255;
/// The value of membrane in a label, as in the ISBI 2012 challenge.
pub const MEMBRANE: u8 = 0;

/// What is varied. A pair is a range from which each section draws uniformly (or as said), so that a data set of
/// many seeds covers it. The defaults bracket the statistics of real sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MembranesConfig {
    /// Height and width in pixels, 16…8192.
    pub size: usize,
    /// Slices of the stack, 1…1024; neighbours continue each other.
    pub slices: usize,
    /// Magnification of everything in the plane: 1 is 4 nm a pixel. Above 0.2.
    pub scale: [f32; 2],
    /// Radii of the packed cell profiles in pixels, drawn with many small ones.
    pub cell_radius: [f32; 2],
    /// Largest ratio of a profile's axes; 1 is round.
    pub elongation: [f32; 2],
    /// How far, in pixels, coarse and fine warping move a boundary.
    pub warp: [f32; 2],
    /// Half the thickness of a membrane in pixels, drawn for each boundary.
    pub half_thickness: [f32; 2],
    /// Share of the tissue where membranes are cut obliquely: wider, fainter, more blurred.
    pub oblique: [f32; 2],
    /// Grey level of the membrane.
    pub membrane_level: [f32; 2],
    /// Grey level of the cytoplasm.
    pub cell_level: [f32; 2],
    /// Spread of the cytoplasm's level between cells.
    pub cell_level_spread: [f32; 2],
    /// Amplitude of the cytoplasm's texture.
    pub texture: [f32; 2],
    /// Probability that a cell wide enough holds a mitochondrion.
    pub mitochondria: [f32; 2],
    /// Vesicles per 1000 square pixels in the cells that have them.
    pub vesicles: [f32; 2],
    /// Dark stains per 10 000 square pixels that lie over everything.
    pub stains: [f32; 2],
    /// Relative amplitude of uneven light.
    pub light: [f32; 2],
    /// Blur: how often the image is passed through a 3×3 binomial filter, a fraction being a mixture.
    pub blur: [f32; 2],
    /// Standard deviation of the noise at mid-grey (Gaussian, growing with the square root of the signal).
    pub noise: [f32; 2],
    /// Share of that noise that is correlated between neighbouring pixels.
    pub noise_correlation: [f32; 2],
    /// Contrast about mid-grey.
    pub contrast: [f32; 2],
    /// Brightness added after contrast.
    pub brightness: [f32; 2],
    /// Curvature of the tone curve, −1…1: above 0 brightens mid-tones as a gamma below 1 does.
    pub gamma: [f32; 2],
}

impl Default for MembranesConfig {
    fn default() -> Self {
        Self {
            size: 256,
            slices: 1,
            scale: [0.85, 1.35],
            cell_radius: [7.0, 75.0],
            elongation: [1.0, 2.6],
            warp: [2.0, 9.0],
            half_thickness: [2.1, 3.4],
            oblique: [0.04, 0.25],
            membrane_level: [0.2, 0.34],
            cell_level: [0.5, 0.62],
            cell_level_spread: [0.02, 0.06],
            texture: [0.09, 0.22],
            mitochondria: [0.15, 0.6],
            vesicles: [1.0, 8.0],
            stains: [0.2, 2.0],
            light: [0.0, 0.12],
            blur: [0.5, 1.5],
            noise: [0.03, 0.085],
            noise_correlation: [0.3, 1.0],
            contrast: [0.9, 1.4],
            brightness: [-0.05, 0.06],
            gamma: [-0.2, 0.25],
        }
    }
}

/// One generated slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Height and width.
    pub size: usize,
    /// Grey levels, row-major.
    pub image: Vec<u8>,
    /// [`CELL`] or [`MEMBRANE`], row-major.
    pub label: Vec<u8>,
}

impl MembranesConfig {
    /// The defaults at another size.
    pub fn sized(size: usize) -> Self {
        Self { size, ..Self::default() }
    }

    /// All slices that follow from `seed`. Sizes outside their documented range are brought into it.
    pub fn stack(&self, seed: u64) -> Vec<Section> {
        let config = Self { size: self.size.clamp(16, 8192), slices: self.slices.clamp(1, 1024), ..self.clone() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let scale = rng.within(config.scale).max(0.2);
        let tissue = Tissue::new(&config, scale, &mut rng);
        let camera = Camera::new(&config, &mut rng);
        (0..config.slices).map(|z| camera.photograph(tissue.cut(z), z)).collect()
    }

    /// The first slice that follows from `seed`.
    pub fn section(&self, seed: u64) -> Section {
        let mut slices = Self { slices: 1, ..self.clone() }.stack(seed);
        slices.swap_remove(0)
    }
}

impl Section {
    /// As a case with the membrane as class 1 and cells as class 0, as the bundled model's card has them.
    pub fn case(&self, name: impl Into<String>) -> Case {
        let pixels: Vec<f32> = self.image.iter().map(|&v| f32::from(v)).collect();
        let classes: Vec<u8> = self.label.iter().map(|&v| u8::from(v == MEMBRANE)).collect();
        Case {
            name: name.into(),
            image: Image { channels: 1, height: self.size, width: self.size, pixels: pixels.into() },
            bounds: Bounds::EIGHT_BIT,
            shown: Bounds::EIGHT_BIT,
            stored: StoredType::U8,
            label: Some(crate::data::Mask { height: self.size, width: self.size, classes: classes.into() }),
            class: None,
            about: Arc::default(),
            provenance: Provenance { slices: 1, ..Provenance::default() },
        }
    }

    /// Share of membrane pixels.
    pub fn membrane_share(&self) -> f64 {
        self.label.iter().filter(|&&v| v == MEMBRANE).count() as f64 / self.label.len().max(1) as f64
    }
}
