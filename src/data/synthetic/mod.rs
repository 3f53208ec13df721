//! Images that the project generates itself, with exact labels: what `sample-data/` and the bundled model are made of.
//! Membranes in electron micrographs, a lumbar spine in CT and MR, a chest radiograph.
//!
//! Pure host code. Everything follows from a seed through integer hashes and the basic operations of IEEE 754, so
//! that a seed gives the same bytes on every machine.

mod camera;
mod cells;
mod chest;
mod lumbar;
pub mod membranes;
mod noise;
mod organelles;
mod tissue;
mod torso;

pub use chest::chest_xray;
pub use lumbar::{lumbar_ct, lumbar_ct_mask, lumbar_mr};
pub use membranes::{MembranesConfig, Section};
