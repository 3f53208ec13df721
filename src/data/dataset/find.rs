//! Puts together what a folder or a file holds as a data set.

use super::names;
use super::pair::{Masks, pair};
use super::scan::{self, Found, count};
use super::table::{self, Row, Table};
use super::{Dataset, Entry, MOST_ENTRIES, MaskSource, Place};
use crate::data::DataError;
use crate::data::open::read_error;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Files that name classes, one a line.
const CLASS_NAMES: [&str; 4] = ["batches.meta.txt", "classes.txt", "class_names.txt", "labels.txt"];

impl Dataset {
    /// The data set in a folder, or the slices of a file. No pixel is decoded. `progress` is told the share done.
    ///
    /// # Errors
    /// If there is no image, more than [`MOST_ENTRIES`], the path cannot be read, or `cancel` was set.
    pub fn find(path: &Path, cancel: &AtomicBool, progress: &(dyn Fn(f32) + Sync)) -> Result<Self, DataError> {
        let metadata = fs::metadata(path).map_err(|error| read_error(path, &error))?;
        let (root, only) = if metadata.is_dir() { (path, None) } else { (path.parent().unwrap_or(path), Some(path)) };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let scan = scan::scan(root, cancel, progress)?;
        let mut notes = scan.notes;
        let files = series_of_folders(scan.files, &mut notes);
        let pairs = pair(&files);
        notes.extend(pairs.notes);
        let mut images = pairs.images;
        if let Some(only) = only {
            images.retain(|(index, _)| files[*index].path.starts_with(only));
            notes.clear();
        }
        if images.is_empty() {
            let hint = "Choose a folder of PNG, JPEG, TIFF, NIfTI, DICOM, NumPy, idx or CIFAR-10 files";
            return Err(DataError::new(path, "holds no images", hint));
        }
        let total: usize = images.iter().map(|(index, _)| scan::slices_of(&files[*index])).sum();
        if total > MOST_ENTRIES {
            return Err(DataError::new(path, format!("holds more than {MOST_ENTRIES} images"), "Open a part of it"));
        }
        let mut rules = pairs.rules;
        let table = table::read(root)?;
        let labels = Labels::new(root, &files, &images, pairs.together, table, &mut rules, &mut notes);
        let mut entries = Vec::with_capacity(total);
        for (index, masks) in &images {
            push_entries(&mut entries, &files, *index, masks.as_ref(), &labels);
        }
        let mut set = Self::new(path.to_owned(), entries);
        (set.classes, set.rules, set.notes) = (labels.names.into(), rules, notes);
        Ok(set)
    }
}

/// DICOM files of one series in a folder become one volume, which the folder opens.
fn series_of_folders(files: Vec<Found>, notes: &mut Vec<String>) -> Vec<Found> {
    let mut folders: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if file.peek.as_ref().is_some_and(|peek| peek.series.is_some())
            && let Some(folder) = file.path.parent()
        {
            folders.entry(folder.to_owned()).or_default().push(index);
        }
    }
    let series = |index: &usize| files[*index].peek.as_ref().and_then(|peek| peek.series.as_deref());
    let mut first_of = BTreeMap::new();
    let mut members = BTreeSet::new();
    for (folder, indices) in &folders {
        let different: BTreeSet<_> = indices.iter().filter_map(series).collect();
        if different.len() == 1 && indices.len() > 1 {
            members.extend(indices.iter().copied());
            first_of.insert(indices[0], (folder.clone(), indices.len()));
        } else if different.len() > 1 {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!("{name} holds {} DICOM series: each file is an image of its own", different.len()));
        }
    }
    let mut kept = Vec::with_capacity(files.len());
    for (index, mut file) in files.into_iter().enumerate() {
        if let Some((folder, count)) = first_of.remove(&index) {
            if let Some(peek) = &mut file.peek {
                peek.shape[0] *= count;
                peek.path.clone_from(&folder);
            }
            file.stem = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            file.path = folder;
            kept.push(file);
        } else if !members.contains(&index) {
            kept.push(file);
        }
    }
    kept
}

fn push_entries(entries: &mut Vec<Entry>, files: &[Found], index: usize, masks: Option<&Masks>, labels: &Labels) {
    let file = &files[index];
    let path: Arc<Path> = file.path.as_path().into();
    let mask: Option<MaskSource> = masks.map(|masks| match masks {
        Masks::One(mask) => MaskSource::File(Place { file: files[*mask].path.as_path().into(), slice: 0 }),
        Masks::Instances(all) => MaskSource::Instances(all.iter().map(|&i| files[i].path.as_path().into()).collect()),
    });
    let slices = scan::slices_of(file);
    let digits = slices.to_string().len();
    let known = labels.of(file);
    for slice in 0..slices {
        let mask = mask.clone().map(|mask| match mask {
            MaskSource::File(place) => MaskSource::File(Place { slice, ..place }),
            instances @ MaskSource::Instances(_) => instances,
        });
        let own = file.peek.as_ref().and_then(|peek| peek.classes.as_ref()?.get(slice).copied());
        entries.push(Entry {
            name: names::slice_name(&file.stem, slice, slices, digits).into(),
            image: Place { file: path.clone(), slice },
            mask,
            class: known.class.or_else(|| own.and_then(|class| labels.numbered(class))),
            split: known.split.clone(),
            group: known.group.clone(),
            shape: file.peek.as_ref().map(|peek| [peek.shape[1], peek.shape[2], peek.shape[3]]),
        });
    }
}

/// What is known of all slices of a file.
#[derive(Default)]
struct Known {
    class: Option<u16>,
    split: Option<Arc<str>>,
    group: Option<Arc<str>>,
}

/// What folders' and files' names and a table say.
struct Labels {
    table: Option<Table>,
    /// How many folders from the end the one that names the class, or the patient, is; `None` if folders name neither.
    folders: Option<Folders>,
    names: Vec<Arc<str>>,
    indices: HashMap<Arc<str>, u16>,
    /// Classes that files number, by number.
    numbers: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Folders {
    Classes,
    Groups,
}

/// The last folder on the way to a file that says neither its role nor its split.
fn telling_folder(file: &Found) -> Option<&str> {
    let says_else =
        |name: &str| names::is_image_folder(name) || names::is_mask_folder(name) || names::split_of(name).is_some();
    let last = file.folders.iter().rposition(|name| !says_else(name))?;
    Some(&file.folder_names[last])
}

impl Labels {
    fn new(
        root: &Path,
        files: &[Found],
        images: &[(usize, Option<Masks>)],
        together: bool,
        table: Option<Table>,
        rules: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Self {
        let images = || images.iter().map(|(index, _)| &files[*index]);
        let rows: Vec<Option<&Row>> = images().map(|image| table.as_ref()?.row(&image.path)).collect();
        let mut classes: BTreeSet<String> = rows.iter().filter_map(|row| row.as_ref()?.class.clone()).collect();
        let folders = folders_mean(images(), together);
        if !classes.is_empty() {
            note_table(table.as_ref(), &rows, rules, notes);
        } else if folders == Some(Folders::Classes) {
            classes = images().filter_map(telling_folder).map(str::to_owned).collect();
            rules.push("Classes: the names of the folders".to_owned());
        }
        let numbers: BTreeSet<u16> =
            images().filter_map(|image| image.peek.as_ref()?.classes.clone()).flat_map(|c| c.to_vec()).collect();
        let mut names: Vec<Arc<str>> = classes.into_iter().map(Arc::from).collect();
        names.sort_by(|a, b| names::natural(a, b));
        if let (true, Some(last)) = (names.is_empty(), numbers.last()) {
            let beside = class_names_beside(root, usize::from(*last) + 1);
            rules.push(match &beside {
                Some((file, _)) => format!("Classes: numbers in the files, with names from {file}"),
                None => "Classes: numbers in the files".to_owned(),
            });
            names = match beside {
                Some((_, beside)) => beside,
                None => (0..=*last).map(|class| class.to_string().into()).collect(),
            };
        }
        let folders = folders.filter(|folders| *folders == Folders::Groups || table.is_none() || !names.is_empty());
        let indices = names.iter().cloned().zip(0..=u16::MAX).collect();
        Self { table, folders, names, indices, numbers: numbers.into_iter().collect() }
    }

    fn of(&self, file: &Found) -> Known {
        let row = self.table.as_ref().and_then(|table| table.row(&file.path));
        let folder = telling_folder(file);
        let class = row.and_then(|row| row.class.as_deref());
        let class = class.or(folder.filter(|_| self.folders == Some(Folders::Classes)));
        let index = class.and_then(|class| self.indices.get(class).copied());
        let by_name = || {
            let words = names::words(&file.stem);
            let of_folder = file.folders.iter().rev().find_map(|name| names::split_of(name));
            // Files of many images are called after their split; an image of a train is not.
            of_folder.or_else(|| {
                let word = words.iter().find_map(|word| names::split_of(word));
                word.filter(|_| scan::slices_of(file) > 1)
            })
        };
        let split = row.and_then(|row| row.split.as_deref()).or_else(by_name);
        let group = row.and_then(|row| row.group.as_deref());
        let group = group.or(folder.filter(|_| self.folders == Some(Folders::Groups)));
        // A volume is a patient as far as is known: its slices belong together.
        let volume = (scan::slices_of(file) > 1 && file.peek.as_ref().is_some_and(|peek| peek.classes.is_none()))
            .then_some(file.stem.as_str());
        Known { class: index, split: split.map(Arc::from), group: group.or(volume).map(Arc::from) }
    }

    /// The index of a class that a file numbers.
    fn numbered(&self, class: u16) -> Option<u16> {
        (usize::from(class) < self.names.len() && self.numbers.binary_search(&class).is_ok()).then_some(class)
    }
}

/// What the folders of images name.
fn folders_mean<'a>(images: impl Iterator<Item = &'a Found> + Clone, together: bool) -> Option<Folders> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for image in images.clone() {
        // An image that lies outside of all of them: they name parts, not classes.
        *sizes.entry(telling_folder(image)?).or_default() += 1;
    }
    if sizes.len() < 2 {
        return None;
    }
    let names: Vec<&str> = sizes.keys().copied().collect();
    let mean = sizes.values().sum::<usize>() as f64 / sizes.len() as f64;
    // The folders of a disk of DICOM files are its studies and series.
    let dicom = images.clone().any(|image| image.peek.as_ref().is_some_and(|peek| peek.series.is_some()));
    let few = !dicom && mean >= 2.0 && names.len() <= usize::from(u16::MAX);
    Some(if !together && few && !names::are_identifiers(&names) { Folders::Classes } else { Folders::Groups })
}

fn note_table(table: Option<&Table>, rows: &[Option<&Row>], rules: &mut Vec<String>, notes: &mut Vec<String>) {
    let Some(table) = table else { return };
    let name = table.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let columns =
        [("classes", &table.class_column), ("splits", &table.split_column), ("patients", &table.group_column)];
    let said: Vec<String> =
        columns.iter().filter_map(|(what, column)| column.as_ref().map(|c| format!("{what} by column {c}"))).collect();
    rules.push(format!("Table {name}: {}", said.join(", ")));
    let used = rows.iter().flatten().count();
    if used < rows.len() {
        notes.push(format!("{} without a row in {name}", count(rows.len() - used, "image")));
    }
    if used < table.len() {
        notes.push(format!(
            "{} of the {} rows of {name} name images that are not here",
            table.len() - used,
            table.len()
        ));
    }
}

/// The names of at least `wanted` classes in a file of the folder, and its name.
fn class_names_beside(root: &Path, wanted: usize) -> Option<(&'static str, Vec<Arc<str>>)> {
    CLASS_NAMES.iter().find_map(|file| {
        let path = root.join(file);
        let small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() < 1 << 20);
        let text = small.then(|| fs::read_to_string(path).ok()).flatten()?;
        let names: Vec<Arc<str>> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Arc::from).collect();
        (names.len() >= wanted).then_some((*file, names))
    })
}
