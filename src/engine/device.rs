//! Where a person wants tensors to be computed.

use serde::{Deserialize, Serialize};

/// What a person asks for with `--device` or the selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// The GPU that draws the window if it is a real one, else the CPU.
    #[default]
    Auto,
    /// burn's CPU backend, Flex.
    Cpu,
    /// The GPU that draws the window (in the window) or the best adapter (on the command line), even a software one.
    Gpu,
}

impl DeviceChoice {
    /// All of them, for a selector.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Gpu];

    /// As typed: `auto`, `cpu`, `gpu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| format!("no device is called {text:?}; auto, cpu and gpu are"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_as_they_are_printed() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "cuda".parse::<DeviceChoice>().unwrap_err();
        assert!(error.contains("auto, cpu and gpu"), "{error}");
    }
}
