//! Convolutions of frozen networks on the CPU, direct and fused: no im2col matrix, bias, summand and activation applied
//! while the sums are still in registers, skip connections read from where they are, weights read where they lie. On
//! every other device the same layers are burn's own operations.
//!
//! [`Convolution`], [`UpConvolution`] and the rest are differentiable with respect to their input, never to their weights.
//! `lanes` names the instructions (AVX-512, AVX2, portable, chosen at run time), `rows` is the loop that takes the time,
//! `winograd` does 3×3 convolutions without stride with fewer multiplications, `team` is the threads,
//! `source` brings the input into the order that the loop reads, `cut` makes jobs, `direct` drives the loop over tiles and
//! threads, forward and transposed, `place` writes what it computes, `plan` says what a layer is, `extension` makes burn operations of all,
//! `backward` their gradients. `linear` multiplies with matrices by the same loop, `step` is what attacks do between two gradients. `strided` is for GPUs, `train` for networks that learn.

mod backward;
mod cut;
#[cfg(test)]
mod definition;
mod direct;
mod extension;
mod geometry;
mod lanes;
mod linear;
mod mix;
mod place;
mod plan;
mod pool;
mod rows;
mod scale;
mod source;
mod step;
mod strided;
mod team;
pub mod train;
mod winograd;

mod layer;

pub use geometry::Activation;
pub use layer::{Convolution, Linear, UpConvolution, UpOptions, max_pool_2x2, scaled};
pub use mix::{Axis, Mix};
pub use plan::Pool;
pub use step::signed_step;
