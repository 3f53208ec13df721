//! One binary, one module a promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod devices;
mod display;
mod shaders;
