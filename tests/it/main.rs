//! One binary, one module a promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod devices;
mod display;
mod engine;
mod readers;
mod shaders;
mod synthetic;
mod training;
