//! Layers of networks in training on the CPU: the kernels of the frozen ones with gradients of their weights too, and batch
//! normalisation fused with its ReLU. On every other device, and for shapes that no network here has, the same layers are
//! burn's own operations.
//!
//! `products` is the loop that takes the time of a weight gradient, `weights` drives it over tiles and threads, `norm` is
//! batch normalisation, `operation` makes burn operations of all, `gradient` their gradients, `layer` what networks call. No
//! result depends on the number of threads: a training that goes on elsewhere goes on the same.

mod gradient;
mod layer;
mod norm;
mod operation;
mod products;
mod weights;

pub use layer::{convolution, normalisation, up_convolution};

#[cfg(test)]
mod tests;
