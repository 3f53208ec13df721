//! `index.csv`: what a table beside the images says of them.

use crate::data::DataError;
use crate::data::open::read_error;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The names of a table, the first that is there.
const TABLES: [&str; 4] = ["index.csv", "labels.csv", "metadata.csv", "dataset.csv"];
/// No table is larger, in bytes.
const MOST_BYTES: u64 = 256 << 20;
/// Columns by what they say, most telling first.
const FILES: [&str; 12] = [
    "file",
    "path",
    "filename",
    "file_name",
    "image",
    "image_path",
    "image_file",
    "image_id",
    "image_name",
    "name",
    "img",
    "id",
];
const CLASSES: [&str; 8] = ["class", "label", "dx", "category", "diagnosis", "target", "class_name", "y"];
const SPLITS: [&str; 6] = ["split", "set", "fold", "subset", "partition", "usage"];
const GROUPS: [&str; 8] =
    ["patient", "patient_id", "patientid", "subject", "subject_id", "lesion_id", "case_id", "group"];

/// What a row says of an image.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub class: Option<String>,
    pub split: Option<String>,
    pub group: Option<String>,
}

/// A table.
pub(super) struct Table {
    /// Its file.
    pub path: PathBuf,
    /// By file: with slashes, in lower case, as it is written.
    rows: HashMap<String, Row>,
    /// The columns that say what, for people.
    pub class_column: Option<String>,
    pub split_column: Option<String>,
    pub group_column: Option<String>,
}

/// The table of `folder`, if there is one that names images.
///
/// # Errors
/// If there is one that cannot be read.
pub(super) fn read(folder: &Path) -> Result<Option<Table>, DataError> {
    let Some(path) = TABLES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else { return Ok(None) };
    let file = File::open(&path).map_err(|error| read_error(&path, &error))?;
    let failed =
        |error: csv::Error| DataError::new(&path, format!("is a malformed table: {error}"), "Save it again as CSV");
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file.take(MOST_BYTES));
    let header = reader.byte_headers().map_err(failed)?.clone();
    let names: Vec<String> = header
        .iter()
        .map(|name| {
            String::from_utf8_lossy(name).trim_start_matches('\u{feff}').to_lowercase().replace([' ', '-'], "_")
        })
        .collect();
    let column = |wanted: &[&str]| wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
    let Some(file_column) = column(&FILES) else { return Ok(None) };
    let [class, split, group] = [&CLASSES[..], &SPLITS, &GROUPS].map(column);
    if class.or(split).or(group).is_none() {
        return Ok(None);
    }
    let mut rows = HashMap::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(failed)? {
        let field = |index: Option<usize>| {
            let text = String::from_utf8_lossy(record.get(index?)?).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        if let Some(file) = field(Some(file_column)) {
            let row = Row { class: field(class), split: field(split), group: field(group) };
            rows.insert(file.replace('\\', "/").to_lowercase(), row);
        }
    }
    let name = |index: Option<usize>| index.map(|index| names[index].clone());
    Ok(Some(Table {
        path: path.clone(),
        rows,
        class_column: name(class),
        split_column: name(split),
        group_column: name(group),
    }))
}

impl Table {
    /// The row of an image: by its path from the table's folder, else by its name with or without the ending.
    pub fn row(&self, image: &Path) -> Option<&Row> {
        let folder = self.path.parent()?;
        let relative = image.strip_prefix(folder).unwrap_or(image).to_string_lossy().replace('\\', "/").to_lowercase();
        let name = relative.rsplit('/').next()?;
        let stem = super::names::stem(Path::new(name));
        [relative.as_str(), name, &stem].iter().find_map(|key| self.rows.get(*key))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}
