//! One binary, one module a promise.

mod bad_input;
mod devices;
mod display;
mod engine;
mod readers;
mod shaders;
