//! `epsiloscope image`: what a file holds, and its pixels in another format, to compare with other programs.

use super::options::print;
use crate::data::{self, About, Bounds, FileFormat, Made, Stack, StoredType, Unit};
use anyhow::bail;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Arguments of `epsiloscope image`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ImageOptions {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum ImageCommand {
    /// Say what a file holds: format, shape, type, range, spacing, window, slices and more, one `key: value` a line.
    Inspect {
        /// The image: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy, idx, CIFAR-10.
        file: PathBuf,
        /// One JSON object instead of lines.
        #[arg(long)]
        json: bool,
        /// Also what tells who the patient is, and when and where the image was taken (DICOM).
        #[arg(long)]
        identifying: bool,
    },
    /// Write a file's pixels in another format.
    Export {
        /// The image: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy, idx, CIFAR-10.
        file: PathBuf,
        /// The file to write; its ending decides. `.npy`: the stored values after rescale, as 32-bit floats, [H,W] or [C,H,W]
        /// for a slice, [N,…] for all. `.png`: one slice in the greys of its first display, rows and columns as stored, 8 bits.
        /// `.tif`, `.nii`, `.nii.gz`, `.dcm`: the values with spacing and orientation; a name that ends in `/` becomes a
        /// folder with a DICOM series.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Only this slice, counted from 0. Without it, all.
        #[arg(long, value_name = "N")]
        slice: Option<usize>,
        /// The values are in Hounsfield units, where the file does not tell: DICOM is then written as CT. A guess never is.
        #[arg(long)]
        hounsfield: bool,
        /// Keep in DICOM what tells who the patient is, and when and where the image was taken.
        #[arg(long)]
        identifying: bool,
    },
}

/// Runs it.
pub(super) fn run(options: &ImageOptions) -> anyhow::Result<()> {
    match &options.command {
        ImageCommand::Inspect { file, json, identifying } => inspect(file, *json, *identifying),
        ImageCommand::Export { file, out, slice, hounsfield, identifying } => {
            export(file, out, *slice, *hounsfield, *identifying)
        }
    }
}

fn open(file: &Path) -> anyhow::Result<Stack> {
    Ok(data::open(file, &AtomicBool::new(false))?)
}

fn inspect(file: &Path, as_json: bool, identifying: bool) -> anyhow::Result<()> {
    let stack = open(file)?;
    let elements = if identifying { data::read_identifying(file)? } else { Vec::new() };
    let mut facts = facts(&stack);
    for element in &elements {
        facts.push((element.name, element.text(), Value::from(element.text())));
    }
    if as_json {
        let object: Map<String, Value> =
            facts.into_iter().map(|(key, _, value)| (key.replace(' ', "_"), value)).collect();
        return print(&(serde_json::to_string_pretty(&object)? + "\n"));
    }
    let lines = facts.into_iter().map(|(key, text, _)| format!("{key}: {}\n", text.replace(['\n', '\r'], " ")));
    print(&lines.collect::<String>())
}

/// What is known of a stack: key, text, JSON.
fn facts(stack: &Stack) -> Vec<(&'static str, String, Value)> {
    let about: &About = &stack.about;
    let unknown = || "unknown".to_owned();
    let pair = |b: Bounds| (format!("{} to {}", b.lower, b.upper), json!([b.lower, b.upper]));
    let mut facts: Vec<(&'static str, String, Value)> = Vec::new();
    let mut add = |key, text: String, value: Value| facts.push((key, text, value));
    add("format", about.format.clone(), about.format.clone().into());
    if let Some(modality) = &about.modality {
        add("modality", modality.clone(), modality.clone().into());
    }
    let shape = [stack.slices, stack.channels, stack.height, stack.width];
    let [slices, channels, height, width] = shape;
    add("shape", format!("{slices} × {channels} × {height} × {width} (slices, channels, rows, columns)"), json!(shape));
    add("slices", slices.to_string(), slices.into());
    let numbers = match (about.numbers, stack.stored()) {
        ("", StoredType::U8) => "uint8",
        ("", StoredType::U16) => "uint16",
        ("", StoredType::I16) => "int16",
        ("", _) => "float32",
        (numbers, _) => numbers,
    };
    add("type", numbers.to_owned(), numbers.into());
    if let Some(grid) = about.grid.filter(|grid| [grid.slope, grid.intercept] != [1.0, 0.0]) {
        let text = format!("{} × stored + {}", grid.slope, grid.intercept);
        add("rescale", text, json!({"slope": grid.slope, "intercept": grid.intercept}));
    }
    let ranges = (0..slices).filter_map(|slice| stack.slice(slice)?.range());
    if let Some(range) = ranges.reduce(Bounds::union) {
        let (text, value) = pair(range);
        add("range", text, value);
    }
    let unit = if about.unit == Unit::Unknown { unknown() } else { about.unit.symbol().to_owned() };
    add("unit", unit, if about.unit == Unit::Unknown { Value::Null } else { about.unit.symbol().into() });
    let (text, value) = pair(stack.bounds);
    add("bounds", text, value);
    let (text, value) = pair(stack.shown);
    add("window", text, value);
    match about.spacing {
        Some([between, rows, columns]) => {
            let text = format!("{between} × {rows} × {columns} mm (slices, rows, columns)");
            add("spacing", text, json!([between, rows, columns]));
        }
        None => add("spacing", unknown(), Value::Null),
    }
    match about.axes() {
        Some(axes) => {
            let letters: String = axes.iter().collect();
            add("orientation", format!("{letters} (columns, rows, slices run towards)"), letters.into());
        }
        None => add("orientation", unknown(), Value::Null),
    }
    if let Some(affine) = about.affine {
        let rows = affine.map(|row| format!("[{}]", row.map(|v| v.to_string()).join(", ")));
        add("affine", format!("[{}]", rows.join(", ")), json!(affine));
    }
    if let Some(classes) = &about.classes {
        let mut counts = std::collections::BTreeMap::<u16, usize>::new();
        classes.iter().for_each(|&class| *counts.entry(class).or_default() += 1);
        let text: Vec<String> = counts.iter().map(|(class, count)| format!("{class} ({count} slices)")).collect();
        add("classes", text.join(", "), json!(classes.to_vec()));
    }
    if about.notes.is_empty() {
        return facts;
    }
    add("notes", about.notes.join("; "), json!(about.notes));
    facts
}

fn export(file: &Path, out: &Path, slice: Option<usize>, hounsfield: bool, identifying: bool) -> anyhow::Result<()> {
    let format = FileFormat::of(out)?;
    let same = matches!((file.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        bail!("{}: this is the file that is read. Choose another name", out.display());
    }
    let stack = open(file)?;
    let stack = if hounsfield { stack.with_unit(Unit::Hounsfield) } else { stack };
    let chosen = match slice {
        None => stack.clone(),
        Some(index) => match stack.only(index) {
            Some(one) => one,
            None => bail!(
                "{}: has no slice {index}. Choose one from 0 to {}; slices count from 0",
                file.display(),
                stack.slices - 1
            ),
        },
    };
    if format == FileFormat::Png {
        let Some(shown) = chosen.displayed(0).filter(|_| chosen.slices == 1) else {
            bail!(
                "{}: a PNG holds one slice, and there are {}. Choose it with --slice N",
                out.display(),
                chosen.slices
            );
        };
        data::write_png(out, &shown, StoredType::U8)?;
    } else {
        let of = if identifying { data::read_identifying(file)? } else { Vec::new() };
        let description = "The pixels of another file, exported by Epsiloscope".to_owned();
        let made = Made { title: "Export".to_owned(), description, identifying: of, ..Made::default() };
        data::write_stack(out, &chosen, &made)?;
    }
    print(&format!("{}\n", out.display()))
}
