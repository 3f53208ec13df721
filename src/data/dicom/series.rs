//! A folder of DICOM files as one volume.

use super::frames::Frames;
use super::header::{self, Header};
use super::place::Planes;
use super::{BATCH, Volume, group, to_error};
use crate::data::numbers::Numbers;
use crate::data::open::{Decoded, LARGEST_DECODED_BYTES, check_cancelled, read_error, too_large};
use crate::data::{DataError, FirstWish};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A folder with more files is none of one series.
const MOST_FILES: usize = 20_000;

/// A file of the series.
pub(super) struct Member {
    pub path: PathBuf,
    pub header: Header,
}

/// The DICOM files in `folder`, by name; none if it holds none.
///
/// # Errors
/// If it cannot be read.
pub(in crate::data) fn find_series(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |error| read_error(folder, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && begins_as_dicom(&path) {
            files.push(path);
        }
        if files.len() > MOST_FILES {
            return Err(too_large(folder, format!("it holds more than {MOST_FILES} DICOM files")));
        }
    }
    files.sort();
    Ok(files)
}

/// The folders in `folder`, at any depth, that hold DICOM files, by name: those found by looking at the first so many files and
/// folders.
pub(in crate::data) fn folders_with_files(folder: &Path) -> Vec<PathBuf> {
    const MOST_LOOKED_AT: usize = 4000;
    let (mut found, mut waiting, mut looked_at) = (Vec::new(), vec![folder.to_owned()], 0);
    while let Some(next) = waiting.pop() {
        let mut holds = false;
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MOST_LOOKED_AT {
                waiting.clear();
                break;
            }
            // Links may lead round in circles.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_file() && !holds => holds = begins_as_dicom(&entry.path()),
                _ => {}
            }
        }
        if holds {
            found.push(next);
        }
    }
    found.sort();
    found
}

pub(super) fn begins_as_dicom(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(132).read_to_end(&mut head));
    read.is_ok() && header::is_dicom(&head)
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |error| read_error(path, &error);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_DECODED_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Bytes at the beginning of a file that mostly hold all but its pixels.
const BEGINNING: u64 = 1 << 16;

/// What the file at `path` says of its pixels, from its beginning where that is enough; `None` if it has no image: a
/// directory of the disk, a report, a plan.
pub(super) fn read_header(path: &Path) -> Result<Option<Header>, DataError> {
    let failed = |error| read_error(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut bytes = Vec::new();
    file.by_ref().take(BEGINNING).read_to_end(&mut bytes).map_err(failed)?;
    let missing = length.saturating_sub(bytes.len() as u64);
    let mut inflated = Vec::new();
    // Pixels that are compressed, and long tables, end later.
    if let Ok((uid, set)) = header::open_beginning(&bytes, &mut inflated, missing)
        && set.has_pixels()
    {
        return Header::new(uid.as_deref(), &set).map(Some).map_err(to_error(path));
    }
    file.take(LARGEST_DECODED_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let mut inflated = Vec::new();
    let (uid, set) = header::open(&bytes, &mut inflated).map_err(to_error(path))?;
    if !set.has_pixels() {
        return Ok(None);
    }
    Header::new(uid.as_deref(), &set).map(Some).map_err(to_error(path))
}

/// Decodes the series that `files` of `folder` make, sorted by position.
///
/// # Errors
/// If they are of several series or of several shapes, or one of them cannot be read.
pub(in crate::data) fn decode_series(
    folder: &Path,
    files: &[PathBuf],
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
    first: Option<FirstWish<'_>>,
) -> Result<Decoded, DataError> {
    let read_header = |path: &PathBuf| -> Result<Option<Member>, DataError> {
        check_cancelled(folder, cancel)?;
        Ok(read_header(path)?.map(|header| Member { path: path.clone(), header }))
    };
    let members: Result<Vec<Option<Member>>, DataError> = files.par_iter().map(read_header).collect();
    let members: Vec<Member> = members?.into_iter().flatten().collect();
    check_one_series(folder, &members)?;
    let (mut members, notes) = group::arrange(folder, members)?;
    // A unit is that of all.
    let in_hounsfield = members.iter().all(|member| member.header.in_hounsfield);
    members.iter_mut().for_each(|member| member.header.in_hounsfield = in_hounsfield);
    let headers: Vec<&Header> = members.iter().map(|member| &member.header).collect();
    let mut volume = Volume::new(folder, &headers)?;
    if let Some(first) = first {
        tell_first(folder, &members, first);
    }
    let frame_bytes = headers.iter().map(|header| header.planes.len() as u64 * header.layout.frame_bytes()).max();
    let batch = (BATCH as u64 / frame_bytes.unwrap_or(1).max(1)).clamp(1, 64) as usize;
    let mut done = 0;
    for members_of_batch in members.chunks(batch) {
        check_cancelled(folder, cancel)?;
        let decoded: Vec<_> = members_of_batch.par_iter().map(decode_member).collect();
        for (member, decoded) in members_of_batch.iter().zip(decoded) {
            let (numbers, frames) = decoded?;
            for (index, frame) in frames.iter().enumerate() {
                volume.push_decoded(&member.header, numbers, index, frame);
            }
            done += 1;
            progress(done as f32 / members.len() as f32);
        }
    }
    let planes = Planes::joined(members.iter().map(|member| &member.header.planes));
    let Some(first) = members.first() else { return Err(DataError::new(folder, "has no images", "")) };
    let mut decoded = volume.finish(&first.header, &planes)?;
    decoded.about.notes.extend(notes);
    Ok(decoded)
}

/// Shows the slice that one file of a sorted series is.
fn tell_first(folder: &Path, members: &[Member], mut first: FirstWish<'_>) {
    let [Member { header, .. }, ..] = members else { return };
    let Some(slice) = first.place(members.len() as u64, header.layout.frame_bytes()) else { return };
    let member = &members[slice];
    // In files of several frames it is not the slice that is asked for.
    if members.iter().any(|member| member.header.planes.len() != 1) {
        return;
    }
    let decode = || {
        let mut volume = Volume::new(folder, &[&member.header])?;
        let (numbers, frames) = decode_member(member)?;
        volume.push_decoded(&member.header, numbers, 0, frames.first().map(Vec::as_slice).unwrap_or_default());
        volume.finish(&member.header, &member.header.planes)
    };
    first.tell(folder, decode(), slice, members.len());
}

/// All frames of a file.
fn decode_member(Member { path, header }: &Member) -> Result<(Numbers, Vec<Vec<u8>>), DataError> {
    let bytes = read_file(path)?;
    let mut inflated = Vec::new();
    let failed = to_error(path);
    let (_, set) = header::open(&bytes, &mut inflated).map_err(&failed)?;
    let frames = Frames::new(header, &set).map_err(&failed)?;
    let decoded: Result<Vec<_>, _> =
        (0..header.planes.len()).map(|index| frames.decode(index).map(Cow::into_owned)).collect();
    Ok((frames.numbers(), decoded.map_err(&failed)?))
}

fn check_one_series(folder: &Path, members: &[Member]) -> Result<(), DataError> {
    let Some(first) = members.first() else {
        return Err(DataError::new(folder, "holds DICOM files, but none with an image", "Choose another folder"));
    };
    let name = |member: &Member| member.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut series: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members {
        series.entry(&member.header.series).or_default().push(member);
    }
    if series.len() > 1 {
        let of = |members: &Vec<&Member>| format!("{} from {}", members.len(), name(members[0]));
        let all = series.values().map(of).collect::<Vec<_>>().join(", ");
        let cause = format!("holds {} series ({all})", series.len());
        return Err(DataError::new(folder, cause, "Put each series into a folder of its own, or open one file"));
    }
    if let Some(other) = members.iter().find(|member| member.header.layout != first.header.layout) {
        let size = |member: &Member| {
            let layout = member.header.layout;
            format!("{} has {} × {} pixels of {} bits", name(member), layout.columns, layout.rows, layout.stored)
        };
        let cause = format!("holds images that differ: {}, {}", size(first), size(other));
        return Err(DataError::new(folder, cause, "Put images of one kind into one folder"));
    }
    Ok(())
}
