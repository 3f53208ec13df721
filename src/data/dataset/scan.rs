//! Walks a folder: which files may be images, and what their headers say.

use super::names::{self, natural};
use crate::data::open::{check_cancelled, read_error};
use crate::data::peek::{Peek, peek};
use crate::data::{DataError, LARGEST_DECODED_BYTES};
use rayon::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Folders in folders in folders …: no deeper.
const MOST_DEPTH: usize = 8;
/// A folder with more files is no data set.
const MOST_FILES: usize = 500_000;
/// Endings of files that are no images; files of these are not looked into.
const OTHER_ENDINGS: [&str; 35] = [
    "txt",
    "md",
    "json",
    "csv",
    "tsv",
    "xml",
    "html",
    "pdf",
    "doc",
    "docx",
    "xls",
    "xlsx",
    "log",
    "toml",
    "yaml",
    "yml",
    "py",
    "ipynb",
    "m",
    "sh",
    "zip",
    "tar",
    "rar",
    "7z",
    "pkl",
    "pt",
    "pth",
    "h5",
    "hdf5",
    "onnx",
    "safetensors",
    "mat",
    "db",
    "ini",
    "mp4",
];
/// Endings of files that are images, or at least mean to be.
const IMAGE_ENDINGS: [&str; 13] =
    ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "nii", "dcm", "npy", "npz", "hdr", "ima"];

/// A file, or an array of an archive, that may be an image.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// What opens it.
    pub path: PathBuf,
    /// The names of the folders between the data set's and the file's, in lower case.
    pub folders: Vec<String>,
    /// The same as they are written.
    pub folder_names: Vec<String>,
    /// The name without its ending.
    pub stem: String,
    /// What its header says; `None` if nothing: opening it will tell why.
    pub peek: Option<Peek>,
}

impl Found {
    /// `[slices, height, width]`, if known: what an image and its mask agree in.
    pub fn size(&self) -> Option<[usize; 3]> {
        self.peek.as_ref().map(|peek| [peek.shape[0], peek.shape[2], peek.shape[3]])
    }
}

/// What a walk through a folder found.
#[derive(Default)]
pub(super) struct Scan {
    /// In natural order of their paths.
    pub files: Vec<Found>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Everything below `root` that may be an image; `progress` is told the share of headers that are read.
pub(super) fn scan(root: &Path, cancel: &AtomicBool, progress: &(dyn Fn(f32) + Sync)) -> Result<Scan, DataError> {
    let mut paths = Vec::new();
    let mut seen = HashSet::new();
    let mut too_deep = 0;
    walk(root, 0, &mut seen, &mut paths, &mut too_deep, cancel)?;
    paths.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    let done = AtomicUsize::new(0);
    let all = paths.len().max(1);
    let look = |path: PathBuf| {
        let looked = if cancel.load(Ordering::Relaxed) { Vec::new() } else { look_into(root, path, cancel) };
        progress(done.fetch_add(1, Ordering::Relaxed) as f32 / all as f32);
        looked
    };
    let files: Vec<Found> = paths.into_par_iter().flat_map_iter(look).collect();
    check_cancelled(root, cancel)?;
    let mut notes = Vec::new();
    if too_deep > 0 {
        notes.push(format!("{too_deep} folders lie more than {MOST_DEPTH} deep and were not looked into"));
    }
    let unknown: Vec<&Found> = files.iter().filter(|file| file.peek.is_none()).collect();
    if !unknown.is_empty() {
        let names = some_of(unknown.iter().map(|file| file.path.as_path()));
        notes.push(format!("{} without a header that can be read: {names}", count(unknown.len(), "file")));
    }
    Ok(Scan { files, notes })
}

fn walk(
    folder: &Path,
    depth: usize,
    seen: &mut HashSet<PathBuf>,
    files: &mut Vec<PathBuf>,
    too_deep: &mut usize,
    cancel: &AtomicBool,
) -> Result<(), DataError> {
    check_cancelled(folder, cancel)?;
    // A link to a folder above would lead round for ever.
    let Ok(real) = folder.canonicalize() else { return Ok(()) };
    if !seen.insert(real) {
        return Ok(());
    }
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if depth == 0 => return Err(read_error(folder, &error)),
        Err(_) => return Ok(()),
    };
    for entry in listing.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        let path = entry.path();
        let Ok(kind) = fs::metadata(&path) else { continue };
        if kind.is_dir() && depth == MOST_DEPTH {
            *too_deep += 1;
        } else if kind.is_dir() {
            walk(&path, depth + 1, seen, files, too_deep, cancel)?;
        } else if kind.is_file() && may_be_image(&path) {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            let cause = format!("holds more than {MOST_FILES} files");
            return Err(DataError::new(folder, cause, "Open one of the folders in it"));
        }
    }
    Ok(())
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn may_be_image(path: &Path) -> bool {
    !OTHER_ENDINGS.contains(&ending(path).as_str())
}

/// Whether the name of a file says that it is an image: one that cannot be read is then worth showing with the reason.
fn means_to_be_image(path: &Path) -> bool {
    let plain = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    IMAGE_ENDINGS.contains(&ending(path).as_str()) || plain.ends_with(".nii.gz")
}

fn look_into(root: &Path, path: PathBuf, cancel: &AtomicBool) -> Vec<Found> {
    let relative = path.strip_prefix(root).unwrap_or(&path);
    let folder_names: Vec<String> = relative
        .parent()
        .map(|folder| folder.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let folders: Vec<String> = folder_names.iter().map(|name| name.to_lowercase()).collect();
    let found = |path: PathBuf, stem: String, peek: Option<Peek>| Found {
        path,
        folders: folders.clone(),
        folder_names: folder_names.clone(),
        stem,
        peek,
    };
    match peek(&path, cancel) {
        Ok(peeks) => {
            let several = peeks.len() > 1;
            let one = |peek: Peek| {
                let stem = if several { names::stem(&peek.path) } else { names::stem(&path) };
                found(peek.path.clone(), stem, Some(peek))
            };
            // The voxels of a pair are opened by their header.
            peeks.into_iter().map(one).collect()
        }
        Err(_) if means_to_be_image(&path) => {
            let stem = names::stem(&path);
            vec![found(path, stem, None)]
        }
        Err(_) => Vec::new(),
    }
}

/// `3 masks`, `1 mask`.
pub(super) fn count(n: usize, what: &str) -> String {
    match (n, what) {
        (1, what) => format!("1 {what}"),
        (n, "class") => format!("{n} classes"),
        (n, what) if what.ends_with('y') => format!("{n} {}ies", &what[..what.len() - 1]),
        (n, what) => format!("{n} {what}s"),
    }
}

/// The names of the first few files.
pub(super) fn some_of<'a>(files: impl ExactSizeIterator<Item = &'a Path>) -> String {
    const SHOWN: usize = 3;
    let all = files.len();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = files.take(SHOWN).map(name).collect();
    let more = if all > SHOWN { format!(" and {} more", all - SHOWN) } else { String::new() };
    names.join(", ") + &more
}

/// No more slices than these are listed of one file: what cannot be opened makes no entries.
pub(super) fn slices_of(found: &Found) -> usize {
    let most = usize::try_from(LARGEST_DECODED_BYTES).unwrap_or(usize::MAX);
    found.peek.as_ref().map_or(1, |peek| peek.shape[0].min(most))
}
