//! The table of a campaign on disk: rows are appended as they are found, and read again when it goes on.

use super::row::{KEY, Row, RowKey, columns, may_lack};
use crate::data::write_bytes_atomic;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", .path.display())]
pub struct TableError {
    path: PathBuf,
    cause: String,
}

/// The rows that are known.
pub struct Table {
    path: PathBuf,
    file: File,
    known: HashMap<RowKey, Row>,
    /// The keys in the order in which they were found in the file.
    found: Vec<RowKey>,
    /// The keys that were asked for, in that order.
    asked: Vec<RowKey>,
    /// Rows that were there before.
    before: usize,
}

impl Table {
    /// Opens the table at `path`, or begins it. What a run that was cut off left of its last line is dropped. Of an older version it is
    /// read where what its rows lack may be empty.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is another table.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let failed = |cause: String| TableError { path: path.to_owned(), cause };
        let unusable = |error: io::Error| failed(format!("cannot be used ({error}). Choose another folder"));
        let header = line(columns().iter().map(|c| (*c).to_owned()));
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(error)),
        };
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let (mut known, mut found) = (HashMap::new(), Vec::new());
        // A header that was cut off is begun again; anything else belongs to somebody.
        let begun = header.as_bytes().starts_with(&bytes);
        let places = if begun { None } else { Some(places(&bytes).map_err(failed)?) };
        let is_old = places.is_some() && !bytes.starts_with(header.as_bytes());
        for record in csv::Reader::from_reader(&bytes[..whole]).records() {
            let record = record.map_err(|error| failed(format!("is damaged ({error}). Choose another folder")))?;
            let cell = |at: &Option<usize>| at.and_then(|at| record.get(at)).unwrap_or("").to_owned();
            let mut cells: Vec<String> = places.iter().flatten().map(cell).collect();
            let rest = cells.split_off(KEY.len());
            let key = RowKey(cells);
            if known.insert(key.clone(), Row { key: key.clone(), found: rest }).is_none() {
                found.push(key);
            }
        }
        let mut kept = whole;
        if is_old {
            // Rows of today are to stand under the columns of today.
            let text =
                header.clone() + &found.iter().filter_map(|key| known.get(key)).map(row_line).collect::<String>();
            write_bytes_atomic(path, text.as_bytes()).map_err(|error| failed(error.to_string()))?;
            kept = text.len();
        }
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(path).map_err(unusable)?;
        file.set_len(kept as u64).map_err(unusable)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(unusable)?;
        if kept == 0 {
            file.write_all(header.as_bytes()).map_err(unusable)?;
        }
        Ok(Self { path: path.to_owned(), file, before: known.len(), known, found, asked: Vec::new() })
    }

    /// Whether the rows of all `keys` are known. They are asked for.
    pub fn has(&mut self, keys: &[RowKey]) -> bool {
        self.asked.extend(keys.iter().cloned());
        keys.iter().all(|key| self.known.contains_key(key))
    }

    /// How many rows were there when it was opened.
    pub fn before(&self) -> usize {
        self.before
    }

    /// Adds rows, in one write.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, rows: Vec<Row>) -> Result<(), TableError> {
        let text: String = rows.iter().map(row_line).collect();
        let failed = |error: io::Error| TableError {
            path: self.path.clone(),
            cause: format!("cannot be written to ({error}). What it holds stays; run the same command to go on"),
        };
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush()).map_err(failed)?;
        for row in rows {
            if self.known.insert(row.key.clone(), row.clone()).is_none() {
                self.found.push(row.key);
            }
        }
        Ok(())
    }

    /// The rows that were asked for, in that order.
    pub fn rows(&self) -> Vec<&Row> {
        self.asked.iter().filter_map(|key| self.known.get(key)).collect()
    }

    /// Writes the file anew: what was asked for, in order, so that a campaign that was cut off leaves the same file as one that
    /// was not; then whatever else it held.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&self) -> Result<(), TableError> {
        let asked: std::collections::HashSet<&RowKey> = self.asked.iter().collect();
        let others = self.found.iter().filter(|key| !asked.contains(key));
        let rows = self.asked.iter().chain(others).filter_map(|key| self.known.get(key)).map(row_line);
        let text = line(columns().iter().map(|c| (*c).to_owned())) + &rows.collect::<String>();
        write_bytes_atomic(&self.path, text.as_bytes())
            .map_err(|error| TableError { path: self.path.clone(), cause: error.to_string() })
    }
}

/// Where each of today's columns stands in the table `bytes`; none where it lacks one that may be empty.
fn places(bytes: &[u8]) -> Result<Vec<Option<usize>>, String> {
    let advice = "Choose a new folder for --out, or move it away";
    let mut reader = csv::Reader::from_reader(bytes);
    let there: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(str::to_owned).collect(),
        Err(error) => return Err(format!("is damaged ({error}). {advice}")),
    };
    let all = columns();
    if !["image", "attack", "made_on", "judged_on"].iter().all(|needed| there.iter().any(|column| column == needed)) {
        return Err(format!("is another table. {advice}"));
    }
    let places: Vec<Option<usize>> = all.iter().map(|c| there.iter().position(|column| column == c)).collect();
    let lacking: Vec<&str> =
        all.iter().zip(&places).filter(|(c, at)| at.is_none() && !may_lack(c)).map(|(c, _)| *c).collect();
    if !lacking.is_empty() {
        return Err(format!(
            "is of an older version, without what rows of this one depend on ({}): its rows cannot go on here. {advice}",
            lacking.join(", ")
        ));
    }
    if let Some(unknown) = there.iter().find(|column| !all.contains(&column.as_str())) {
        return Err(format!(
            "is of another version, with the column {unknown}, which this one does not know. {advice}"
        ));
    }
    Ok(places)
}

fn row_line(row: &Row) -> String {
    line(row.key.0.iter().chain(&row.found).cloned())
}

/// One line of CSV; cells with commas, quotes or line breaks are quoted.
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| {
        // A line break would end the row for a run that is cut off within it.
        let cell = cell.replace(['\n', '\r'], " ");
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}
