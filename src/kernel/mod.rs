//! Convolutions of frozen networks on the CPU, direct and fused: no im2col matrix, bias and ReLU applied while the
//! sums are still in registers, skip connections read from where they are. On every other device the same layers are
//! burn's own operations.
//!
//! [`Convolution`], [`UpConvolution`] and [`max_pool_2x2`] are differentiable with respect to their input, never to
//! their weights. `lanes` names the instructions (AVX-512, AVX2, portable, chosen at run time), `rows` is the loop that
//! takes the time, `source` brings the input into the order that the loop reads, `direct` drives both over tiles and
//! threads, `plan` holds packed weights, `extension` makes burn operations of them.

mod direct;
mod extension;
mod lanes;
mod plan;
mod pool;
mod rows;
mod source;

mod layer;

pub use layer::{Convolution, UpConvolution, max_pool_2x2};
