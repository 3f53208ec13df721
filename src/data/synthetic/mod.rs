//! Images that the project generates itself, with exact labels: what `sample-data/` and the bundled model are made of.
//!
//! Pure host code. Everything follows from a seed through integer hashes and the basic operations of IEEE 754, so
//! that a seed gives the same bytes on every machine.

mod camera;
mod cells;
pub mod membranes;
mod noise;
mod organelles;
mod tissue;

pub use membranes::{MembranesConfig, Section};
