//! Every promise of the program, one module each, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod bad_input;
mod command_line;
mod datasets;
mod devices;
mod display;
mod engine;
mod fixture;
mod frozen;
mod gradients;
mod kernel;
mod metrics;
mod model_files;
mod observer;
mod onnx;
mod onnx_file;
mod panels;
mod predictions;
mod readers;
mod report;
mod saving;
mod seen;
mod shaders;
mod snapshots;
mod stage;
mod synthetic;
mod training;
mod unet;
mod viewing;
mod volume_files;
mod volumes;
mod window;
