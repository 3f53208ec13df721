//! The methods, one idea a file. Each writes its own steps; what they share (bounds, balls, restarts, batches, judging) is
//! done by `run.rs` one folder up.

mod adam;
mod apgd;
mod best;
mod carlini_wagner;
mod corruption;
mod deepfool;
mod descent;
mod noise;
mod st_adv;

pub(super) use apgd::Apgd;
pub(super) use carlini_wagner::CarliniWagner;
pub(super) use corruption::{Corruption, blur};
pub(super) use deepfool::DeepFool;
pub(super) use descent::Descent;
pub(super) use noise::Noise;
pub(super) use st_adv::StAdv;
