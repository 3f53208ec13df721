//! `epsiloscope model`: what a model's file holds, and built-in networks in other formats.

use super::options::print;
use crate::model::{self, BuiltIn, Model, SizeRule, UNetFile};
use anyhow::{Context, bail};
use burn::tensor::Device;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of `epsiloscope model`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ModelCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Say what a model takes, gives and costs, and what its card says or is guessed to say.
    Inspect(Inspect),
    /// Write the weights of a U-Net in another format, with a card.
    Convert(Convert),
}

#[derive(Clone, Debug, clap::Args)]
struct Inspect {
    /// The model: .onnx, .safetensors, .bpk, .pt or .pth.
    file: PathBuf,
    /// Height and width of the image that operations and memory are told for; without it, the size that the network takes,
    /// or 512 × 512.
    #[arg(long, value_name = "HEIGHT,WIDTH", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// Write the card, read or guessed, to this file: to correct it, and to lay it beside the model.
    #[arg(long, value_name = "CARD.toml")]
    write_card: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Args)]
struct Convert {
    /// The weights: .safetensors, .bpk, .pt or .pth.
    file: PathBuf,
    /// Where they go: .safetensors or .bpk. The card is written beside it, as .toml.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let sides: Vec<usize> = text.split([',', 'x', '×']).filter_map(|side| side.trim().parse().ok()).collect();
    match sides[..] {
        [height, width] if (1..=32_768).contains(&height) && (1..=32_768).contains(&width) => Ok([height, width]),
        _ => Err("write height and width from 1 to 32768 with a comma between them, e.g. 512,512".to_owned()),
    }
}

impl ModelCommand {
    /// Does what was asked.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.action {
            Action::Inspect(inspect) => inspect.run(),
            Action::Convert(convert) => convert.run(),
        }
    }
}

impl Inspect {
    fn run(&self) -> anyhow::Result<()> {
        let model = model::open(&self.file, &Device::flex())?;
        let size = self.size.unwrap_or(match model.card().size_rule {
            SizeRule::Tile(size) | SizeRule::Resize(size) => size,
            SizeRule::Any | SizeRule::MultipleOf(_) => [512, 512],
        });
        if let Some(path) = &self.write_card {
            model::write_card(path, model.card())?;
        }
        print(&described(&self.file, model.as_ref(), size))
    }
}

impl Convert {
    fn run(&self) -> anyhow::Result<()> {
        let ending = self.out.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if !["safetensors", "bpk"].contains(&ending.as_str()) {
            bail!("{}: let the name end in .safetensors or .bpk", self.out.display());
        }
        if self.file.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
            let file = self.file.display();
            bail!(
                "{file}: an ONNX graph holds its own network and opens as it is. Only the weights of a U-Net can be converted"
            );
        }
        let file = UNetFile::read(&self.file, &Device::flex())
            .with_context(|| "only the weights of a U-Net known here can be converted")?;
        BuiltIn::save(&self.out, &file.card, &file.network)?;
        let mut text = format!("{}: {}\n", self.out.display(), file.card.network_words());
        for line in file.guessed() {
            writeln!(text, "guessed: {line}")?;
        }
        print(&text)
    }
}

fn described(path: &Path, model: &dyn Model, size: [usize; 2]) -> String {
    let about = model.about(size);
    let mut text = format!("{}\n", path.display());
    let mut line = |name: &str, value: &str| text += &format!("{name:<13}{value}\n");
    for (name, value) in about.description().iter().chain(&model.card().description_lines()) {
        line(name, value);
    }
    about.facts.notes.iter().for_each(|note| line("note", note));
    if about.facts.guessed.is_empty() {
        line("card", "read from beside the model");
    } else {
        line(
            "card",
            "guessed, as none lies beside the model; confirm it, or write one to correct (--write-card FILE.toml):",
        );
        about.facts.guessed.iter().for_each(|guess| line("  guessed", guess));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("224, 320"), Ok([224, 320]));
        assert!(parse_size("0,5").is_err() && parse_size("5").is_err());
    }
}
