//! TIFF and BigTIFF of one or more pages.
//!
//! Read: unsigned integers of 1 to 32 and of 64 bits, signed ones of 8 to 64, floats of 16, 32 and 64; grey, RGB, palettes,
//! with or without alpha; strips and tiles, chunky and planar; uncompressed, LZW, Deflate, PackBits, fax of group 4 and
//! JPEG, with prediction; both byte orders. Pages that are marked as thumbnails or transparency, or that are smaller than
//! the first, are left out. The headers of all pages are checked before pixels are allocated; then several pages
//! are decoded at once, and no more of them are held than are being decoded.

mod chunk;
mod describe;
mod directory;
mod page;

use super::about::About;
use super::numbers::{Filler, Numbers};
use super::open::{Decoded, check_cancelled, check_size, rounded_note, too_large};
use super::raster::cut_short;
use super::{DataError, FirstWish};
use directory::{Broken, File};
use page::{Compression, Page, Place};
use rayon::prelude::*;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// No file has more pages: 65 536.
const MOST_PAGES: usize = 1 << 16;

/// Decoded bytes of the pages that are decoded at once, one page at least.
const BATCH: usize = 8 << 20;

/// Decodes a TIFF of `length` bytes, of which `path` is the name.
pub(super) fn decode(
    path: &Path,
    source: impl Read + Seek,
    length: u64,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
    first_wish: Option<FirstWish<'_>>,
) -> Result<Decoded, DataError> {
    let failed = |broken| page::error(path, broken);
    let (mut file, first) = File::open(source, length).map_err(failed)?;
    let (pages, description) = read_headers(path, &mut file, first, cancel)?;
    let Some(first) = pages.first() else {
        return Err(DataError::new(path, "has thumbnails only, and no image", page::READABLE));
    };
    // Pages may share bytes, but not without measure.
    let stored = pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.count).sum::<u64>();
    if stored > length.saturating_mul(4) {
        return Err(failed(Broken::Malformed("its pages overlap".to_owned())));
    }
    if let Some(mut wish) = first_wish
        && let Some(slice) = wish.place(pages.len() as u64, first.decoded_bytes() as u64)
    {
        let page = &pages[slice..=slice];
        wish.tell(path, decode_pages(path, &mut file, page, &description, cancel, &mut |_| {}), slice, pages.len());
    }
    decode_pages(path, &mut file, &pages, &description, cancel, progress)
}

/// Decodes these pages, at least one, of one kind.
fn decode_pages<R: Read + Seek>(
    path: &Path,
    file: &mut File<R>,
    pages: &[Page],
    description: &describe::Description,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(f32),
) -> Result<Decoded, DataError> {
    let failed = |broken| page::error(path, broken);
    let Some(first) = pages.first() else { return Err(cut_short(path)) };
    let mut notes = description.notes.clone();
    let shape = [pages.len(), first.channels, first.height, first.width];
    let plain = first.channels == 1 && first.photometric == page::Photometric::BlackIsZero && first.table.is_none();
    let scale = description.scale.filter(|_| plain);
    let numbers = Numbers { scale, ..Numbers::plain(first.decoded_kind(), false) };
    if let Some([slope, intercept]) = description.scale {
        let what = if plain { "was applied" } else { "was not applied" };
        notes.push(format!("ImageJ’s calibration {what}: {slope} × stored + {intercept}"));
    }
    let turned = first.turned();
    if first.photometric == page::Photometric::WhiteIsZero {
        let which = if turned.is_some() { "greys are turned round" } else { "values are as they are stored" };
        notes.push(format!("Its {which}: the file stores white as the least value"));
    }
    let len = check_size(path, shape.map(|n| n as u64), numbers.decoded_bytes())?;
    // Room is made when the first pages have been decoded: a header may promise what its pages do not hold.
    let mut filler: Option<Filler> = None;
    let mut done = 0;
    let batch = (BATCH / first.decoded_bytes().max(1)).clamp(1, 256);
    for pages_of_batch in pages.chunks(batch) {
        check_cancelled(path, cancel)?;
        let mut raw = Vec::with_capacity(pages_of_batch.len());
        for page in pages_of_batch {
            raw.push(read_chunks(file, page).map_err(failed)?);
        }
        let decoded: Result<Vec<Vec<u8>>, DataError> = pages_of_batch
            .par_iter()
            .zip(&raw)
            .map(|(page, raw)| decode_page(page, raw, cancel).map_err(|what| chunk_error(path, cancel, &what)))
            .collect();
        let filler = filler.get_or_insert_with(|| Filler::new(len, numbers));
        for planes in decoded? {
            filler.push(&planes);
            done += 1;
            progress(done as f32 / pages.len() as f32);
        }
    }
    let Some(filler) = filler else { return Err(cut_short(path)) };
    let (pixels, rounded) = filler.finish();
    if rounded {
        notes.push(rounded_note(first.kind.name()));
    }
    let format = if description.format.is_empty() { "TIFF" } else { description.format };
    let about = About {
        format: format.to_owned(),
        numbers: first.decoded_kind().name(),
        grid: numbers.grid().filter(|_| first.channels == 1 && first.table.is_none()),
        turned: turned.map(|sum| [sum].into()),
        volume: description.volume.filter(|&slices| pages.len() > slices && pages.len().is_multiple_of(slices)),
        spacing: description.spacing,
        notes,
        ..About::default()
    };
    Ok(Decoded { shape, pixels, about, bounds: None, shown: None })
}

/// `[slices, channels, height, width]` of a TIFF, from the headers of its pages.
pub(super) fn peek(
    path: &Path,
    source: impl Read + Seek,
    length: u64,
    cancel: &AtomicBool,
) -> Result<[u64; 4], DataError> {
    let (mut file, first) = File::open(source, length).map_err(|broken| page::error(path, broken))?;
    let (pages, _) = read_headers(path, &mut file, first, cancel)?;
    let Some(first) = pages.first() else {
        return Err(DataError::new(path, "has thumbnails only, and no image", page::READABLE));
    };
    Ok([pages.len(), first.channels, first.height, first.width].map(|n| n as u64))
}

fn chunk_error(path: &Path, cancel: &AtomicBool, what: &str) -> DataError {
    match check_cancelled(path, cancel) {
        Err(cancelled) => cancelled,
        Ok(()) => page::error(path, Broken::Malformed(what.to_owned())),
    }
}

/// The pages that are slices, and what the file says of all.
fn read_headers<R: Read + Seek>(
    path: &Path,
    file: &mut File<R>,
    first: u64,
    cancel: &AtomicBool,
) -> Result<(Vec<Page>, describe::Description), DataError> {
    let failed = |broken| page::error(path, broken);
    if first == 0 {
        return Err(DataError::new(path, "is a TIFF without an image", ""));
    }
    let mut pages: Vec<Page> = Vec::new();
    let mut description = describe::Description::default();
    let mut seen = std::collections::HashSet::new();
    let mut next = first;
    let mut left_out = 0;
    let mut count = 0;
    while next != 0 {
        if !seen.insert(next) {
            return Err(failed(Broken::Malformed("its pages run in a circle".to_owned())));
        }
        check_cancelled(path, cancel)?;
        count += 1;
        if count > MOST_PAGES {
            return Err(too_large(path, format!("it has more than {MOST_PAGES} pages")));
        }
        let directory = file.directory(next).map_err(failed)?;
        next = directory.next;
        if page::is_marked_as_copy(file, &directory).map_err(failed)? {
            continue;
        }
        let page = Page::new(path, file, &directory)?;
        let Some(common) = pages.first() else {
            description = describe::read(file, &directory);
            pages.push(page);
            continue;
        };
        if common.is_like(&page) {
            pages.push(page);
        } else if page.width <= common.width
            && page.height <= common.height
            && page.width + page.height < common.width + common.height
        {
            left_out += 1;
        } else {
            let cause =
                format!("its pages differ: page 1 has {}, page {count} has {}", common.describe(), page.describe());
            return Err(DataError::new(path, cause, "Save pages of one size and type in one file"));
        }
    }
    if left_out > 0 {
        description.notes.push(format!("{left_out} of its {count} pages are smaller than the first and were left out"));
    }
    add_imagej_pages(path, file, &mut pages, description.images)?;
    Ok((pages, description))
}

/// ImageJ writes one header for many pages, whose pixels follow one another. Reading the first alone would pass for all.
fn add_imagej_pages<R: Read + Seek>(
    path: &Path,
    file: &File<R>,
    pages: &mut Vec<Page>,
    images: usize,
) -> Result<(), DataError> {
    let [only] = &mut pages[..] else { return Ok(()) };
    if images < 2 {
        return Ok(());
    }
    if images > MOST_PAGES {
        return Err(too_large(path, format!("it has more than {MOST_PAGES} pages")));
    }
    let [Place { offset, count }] = only.chunks[..] else {
        let cause = format!("is an ImageJ stack of {images} images with one header for all, which is not read");
        return Err(DataError::new(path, cause, "Save it as an image sequence, or as OME-TIFF"));
    };
    if only.compression != Compression::None || count.saturating_mul(images as u64) > file.length.saturating_sub(offset)
    {
        return Err(cut_short(path));
    }
    let more: Vec<Page> = (1..images as u64)
        .map(|index| {
            let chunks = vec![Place { offset: offset + index * count, count }];
            Page { chunks, palette: only.palette.clone(), jpeg_tables: Vec::new(), table: only.table.clone(), ..*only }
        })
        .collect();
    pages.extend(more);
    Ok(())
}

/// The compressed bytes of a page's chunks.
fn read_chunks<R: Read + Seek>(file: &mut File<R>, page: &Page) -> Result<Vec<Vec<u8>>, Broken> {
    let mut chunks = Vec::with_capacity(page.chunks.len());
    for &Place { offset, count } in &page.chunks {
        let mut bytes = vec![0; count as usize];
        file.reader.seek(SeekFrom::Start(offset))?;
        file.reader.read_exact(&mut bytes)?;
        chunks.push(bytes);
    }
    Ok(chunks)
}

/// A page as planes of little-endian numbers.
fn decode_page(page: &Page, raw: &[Vec<u8>], cancel: &AtomicBool) -> Result<Vec<u8>, String> {
    let samples = page.chunk_samples();
    let [across, down] = page.grid();
    let rows_of = |index: usize| {
        let top = index / across % down * page.chunk_height;
        if page.chunk_width == page.width { page.chunk_height.min(page.height - top) } else { page.chunk_height }
    };
    // A few chunks at a time, so that a page is not held twice.
    let mut planes = Vec::new();
    for (piece, raw) in raw.chunks(64).enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Err(String::new());
        }
        let decode = |(index, raw)| chunk::decode(page, raw, rows_of(piece * 64 + index), samples);
        let raw: Vec<(usize, &[u8])> = raw.iter().map(Vec::as_slice).enumerate().collect();
        let chunks: Result<Vec<_>, String> = raw.into_par_iter().map(decode).collect();
        let chunks = chunks?;
        if planes.is_empty() {
            planes = vec![0; page.decoded_bytes()];
        }
        for (index, chunk) in chunks.iter().enumerate() {
            place(page, piece * 64 + index, chunk, samples, &mut planes);
        }
    }
    Ok(planes)
}

/// Copies a chunk to its place among the planes.
fn place(page: &Page, index: usize, chunk: &[u8], samples: usize, planes: &mut [u8]) {
    let bytes = page.kind.bytes();
    let [across, down] = page.grid();
    let plane = index / (across * down);
    let [left, top] = [index % across * page.chunk_width, index / across % down * page.chunk_height];
    let columns = page.chunk_width.min(page.width - left);
    let rows = page.chunk_height.min(page.height - top);
    let row_bytes = page.chunk_width * samples * bytes;
    for (row, from) in chunk.chunks_exact(row_bytes).take(rows).enumerate() {
        let at = |channel: usize| (channel * page.height + top + row) * page.width + left;
        if !page.palette.is_empty() {
            let number = |sample: &[u8]| sample.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
            for (x, sample) in from.chunks_exact(bytes).take(columns).enumerate() {
                for channel in 0..3 {
                    planes[at(channel) + x] = page.palette[3 * number(sample) + channel];
                }
            }
        } else if samples == 1 {
            if plane < page.channels {
                let at = at(plane) * bytes;
                planes[at..at + columns * bytes].copy_from_slice(&from[..columns * bytes]);
            }
        } else {
            for channel in 0..page.channels {
                let to = planes[at(channel) * bytes..].chunks_exact_mut(bytes).take(columns);
                for (to, pixel) in to.zip(from.chunks_exact(samples * bytes)) {
                    to.copy_from_slice(&pixel[channel * bytes..(channel + 1) * bytes]);
                }
            }
        }
    }
}
