//! `epsiloscope dataset`: what a folder or a file holds as a data set.

use super::options::print;
use crate::data::Dataset;
use crate::data::dataset::{Entry, MaskSource};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Say what a folder holds as a data set: images with masks, a folder for each class, stacks with their label stacks,
/// MNIST's idx, CIFAR-10's binary or NumPy archives, DICOM series, and what index.csv says of them.
#[derive(Clone, Debug, clap::Args)]
pub struct Inspect {
    /// The folder, or a file of several images.
    path: PathBuf,
    /// Print one line for each entry as CSV: name, image, slice (from 0), mask, class, split, group, width, height.
    #[arg(long)]
    list: bool,
}

impl Inspect {
    /// Prints it.
    ///
    /// # Errors
    /// If there is no image.
    pub fn run(&self) -> anyhow::Result<()> {
        let set = Dataset::find(&self.path, &AtomicBool::new(false), &|_| {})?;
        print(&if self.list { list(&set)? } else { summary(&set) })
    }
}

fn summary(set: &Dataset) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10}{value}");
    };
    let (entries, files) = (set.entries.len(), set.files());
    let of =
        if files == entries { String::new() } else { format!(" in {files} file{}", if files == 1 { "" } else { "s" }) };
    line("data set", set.path.display().to_string());
    let some = match set.masks() {
        masks if masks == 0 || masks == entries => None,
        1 => Some("1 of them with a mask".to_owned()),
        masks => Some(format!("{masks} of them with masks")),
    };
    line(
        "holds",
        match some {
            Some(some) => {
                let what = if files < entries { "slices" } else { "images" };
                let classes = if set.entries.iter().any(|e| e.class.is_some()) { " with classes" } else { "" };
                format!("{entries} {what}{classes}{of}, {some}")
            }
            None => format!("{entries} {}{of}", set.kind()),
        },
    );
    let counts = set.class_counts();
    for (index, (name, count)) in set.classes.iter().zip(counts).enumerate() {
        line(if index == 0 { "classes" } else { "" }, format!("{index}  {name}  {count}"));
    }
    let unclassed = set.entries.iter().filter(|entry| entry.class.is_none()).count();
    if !set.classes.is_empty() && unclassed > 0 {
        line("", format!("{unclassed} without a class"));
    }
    for (index, (name, count)) in set.splits().into_iter().enumerate() {
        line(if index == 0 { "splits" } else { "" }, format!("{name}  {count}"));
    }
    if set.groups() > 0 {
        line("groups", format!("{} (patients, lesions or volumes)", set.groups()));
    }
    let shapes = set.shapes();
    for (index, ([channels, height, width], count)) in shapes.iter().take(8).enumerate() {
        let colour = if *channels == 1 { "grey" } else { "colour" };
        line(if index == 0 { "sizes" } else { "" }, format!("{width} × {height} {colour}  {count}"));
    }
    if shapes.len() > 8 {
        line("", format!("and {} other sizes", shapes.len() - 8));
    }
    for (index, rule) in set.rules.iter().enumerate() {
        line(if index == 0 { "rules" } else { "" }, rule.clone());
    }
    for (index, note) in set.notes.iter().enumerate() {
        line(if index == 0 { "notes" } else { "" }, note.clone());
    }
    text
}

fn list(set: &Dataset) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["name", "image", "slice", "mask", "class", "split", "group", "width", "height"])?;
    for entry in &set.entries {
        writer.write_record(row(set, entry))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn row(set: &Dataset, entry: &Entry) -> [String; 9] {
    let relative = |path: &Path| path.strip_prefix(&set.path).unwrap_or(path).display().to_string();
    let mask = match &entry.mask {
        Some(MaskSource::File(place)) => relative(&place.file),
        Some(MaskSource::Instances(files)) => files.iter().map(|file| relative(file)).collect::<Vec<_>>().join(";"),
        None => String::new(),
    };
    let size = |axis: usize| entry.shape.map_or_else(String::new, |shape| shape[axis].to_string());
    let text = |text: Option<&std::sync::Arc<str>>| text.map_or_else(String::new, |text| text.to_string());
    [
        entry.name.to_string(),
        relative(&entry.image.file),
        entry.image.slice.to_string(),
        mask,
        text(entry.class.and_then(|class| set.class_name(class))),
        text(entry.split.as_ref()),
        text(entry.group.as_ref()),
        size(2),
        size(1),
    ]
}
