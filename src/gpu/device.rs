//! Which device computes.

use serde::{Deserialize, Serialize};

/// What a person asks for with `--device` or the selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// The GPU that draws the window if it is a real one, else the CPU.
    #[default]
    Auto,
    /// burn's CPU backend, Flex.
    Cpu,
    /// The GPU that draws the window (in the window) or the default adapter (on the command line), even a software one.
    Gpu,
}
