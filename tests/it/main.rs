//! One binary, one module a promise.

mod devices;
mod display;
mod shaders;
