//! `epsiloscope synth`: writes generated images with exact masks.

use crate::data::synthetic::{MembranesConfig, Section};
use crate::data::{Image, StoredType, write_atomic, write_png};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use tiff::encoder::{TiffEncoder, colortype::Gray8};

/// What can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Serial-section electron micrographs of cells; masks hold 255 in cells and 0 in membranes.
    Membranes,
}

/// Write synthetic images with exact masks: PNG pairs in images/ and masks/, or a TIFF stack with its label stack.
#[derive(Clone, Debug, clap::Args)]
pub struct Synth {
    /// What to generate.
    #[arg(long, value_enum, default_value = "membranes")]
    pub kind: Kind,
    /// Height and width in pixels.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=8192))]
    pub size: u32,
    /// Number of images; image i follows from seed + i.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Slices of each: with more than one, multi-page TIFFs whose slices continue each other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slices: u32,
    /// Seed: the same gives the same files on every machine.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder to write into; created if it is missing.
    #[arg(long)]
    pub out: PathBuf,
}

impl Synth {
    /// Writes the files.
    ///
    /// # Errors
    /// If the folder cannot be written to, or a stack would be larger than 1 GiB.
    pub fn run(self) -> anyhow::Result<()> {
        let pixels = u64::from(self.size) * u64::from(self.size) * u64::from(self.slices);
        if pixels > 1 << 30 {
            bail!(
                "a stack of {0}×{0}×{1} pixels is larger than 1 GiB. Use a smaller --size or fewer --slices",
                self.size,
                self.slices
            );
        }
        let (images, masks) = (self.out.join("images"), self.out.join("masks"));
        for folder in [&images, &masks] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{}: the folder cannot be made", folder.display()))?;
        }
        let Kind::Membranes = self.kind;
        let config = MembranesConfig { slices: self.slices as usize, ..MembranesConfig::sized(self.size as usize) };
        let mut share = 0.0;
        for i in 0..u64::from(self.count) {
            let stack = config.stack(self.seed.wrapping_add(i));
            share += stack.iter().map(Section::membrane_share).sum::<f64>() / stack.len() as f64;
            let name = format!("membranes-{}", self.seed.wrapping_add(i));
            if let [section] = stack.as_slice() {
                write_grey(&images.join(format!("{name}.png")), section.size, &section.image)?;
                write_grey(&masks.join(format!("{name}.png")), section.size, &section.label)?;
            } else {
                write_stack(&images.join(format!("{name}.tif")), &stack, |s| &s.image)?;
                write_stack(&masks.join(format!("{name}.tif")), &stack, |s| &s.label)?;
            }
        }
        let share = 100.0 * share / f64::from(self.count);
        println!("{} pairs in {}; {share:.1} % of the pixels are membrane", self.count, self.out.display());
        Ok(())
    }
}

fn write_grey(path: &Path, size: usize, bytes: &[u8]) -> anyhow::Result<()> {
    let pixels: Vec<f32> = bytes.iter().map(|&v| f32::from(v)).collect();
    let image = Image { channels: 1, height: size, width: size, pixels: pixels.into() };
    Ok(write_png(path, &image, StoredType::U8)?)
}

fn write_stack(path: &Path, stack: &[Section], plane: impl Fn(&Section) -> &[u8]) -> anyhow::Result<()> {
    write_atomic(path, |file| {
        let mut encoder = TiffEncoder::new(file).map_err(std::io::Error::other)?;
        for section in stack {
            let size = section.size as u32;
            encoder.write_image::<Gray8>(size, size, plane(section)).map_err(std::io::Error::other)?;
        }
        Ok(())
    })?;
    Ok(())
}
