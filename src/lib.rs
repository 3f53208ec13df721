//! Epsiloscope: how small a change ε breaks a medical-image model, and whether a person can see it.
//!
//! Imports point one way: [`data`], [`tensor`] ← [`model`], [`metric`] ← [`attack`] ← [`train`], [`study`] ←
//! [`engine`] ← [`gpu`] display, [`workbench`], [`cli`]. [`view`] says what a picture shows and is used by [`study`]
//! (reports, rendered on the CPU) and [`gpu`] (the window, rendered by a compute shader).
//! No tensor in [`workbench`] or [`data`], no egui below [`engine`].

/// Keeps the memory of one tick for the next: with the system's allocator a tenth of a gradient is spent on asking for
/// pages and giving them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod attack;
pub mod cli;
pub mod data;
pub mod engine;
pub mod gpu;
pub mod kernel;
pub mod metric;
pub mod model;
pub mod observer;
pub mod study;
pub mod tensor;
pub mod train;
pub mod view;
pub mod workbench;
