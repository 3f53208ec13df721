//! DICOM: single files, files of several frames, and folders that hold a series (PS3.3, PS3.5, PS3.10).
//!
//! Greys are rescaled (CT to Hounsfield units), and turned round where the least value is white; colours become RGB.
//! Look-up tables say what stored values mean; overlays and tables for display are not applied.

mod codec;
mod extended;
mod frames;
mod group;
mod header;
mod identity;
mod jpeg_ls;
mod parse;
mod place;
mod series;
mod tag;

pub(super) use header::is_dicom;
pub use identity::{IdentifyingElement, read_identifying};
pub(super) use series::{decode_series, find_series, folders_with_files};

use super::about::{About, Unit};
use super::numbers::{Filler, Numbers};
use super::open::{
    Decoded, LARGEST_DECODED_BYTES, Source, check_cancelled, check_size, rounded_note, stream_error, too_large,
};
use super::{Bounds, DataError};
use frames::Frames;
use header::{Fault, Header, Layout, Photometric, Plane};
use place::{Geometry, Planes};
use rayon::prelude::*;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes of frames that are decoded at once, one frame at least.
const BATCH: usize = 8 << 20;

fn to_error(path: &Path) -> impl Fn(Fault) -> DataError {
    move |(cause, hint)| DataError::new(path, cause, hint)
}

/// Decodes one file.
pub(super) fn decode(source: Source) -> Result<Decoded, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    if length > LARGEST_DECODED_BYTES {
        return Err(too_large(path, format!("the file has {length} bytes")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    reader.take(LARGEST_DECODED_BYTES).read_to_end(&mut bytes).map_err(|error| stream_error(path, &error))?;
    let failed = to_error(path);
    let mut inflated = Vec::new();
    let (uid, set) = header::open(&bytes, &mut inflated).map_err(&failed)?;
    let header = Header::new(uid.as_deref(), &set).map_err(&failed)?;
    let mut volume = Volume::new(path, &[&header])?;
    let frames = Frames::new(&header, &set).map_err(&failed)?;
    let count = header.planes.len();
    let batch = (BATCH / header.layout.frame_bytes().max(1) as usize).clamp(1, 64);
    for start in (0..count).step_by(batch) {
        check_cancelled(path, cancel)?;
        let end = (start + batch).min(count);
        volume.push(&header, &frames, start..end).map_err(&failed)?;
        progress(end as f32 / count as f32);
    }
    volume.finish(&header, &header.planes)
}

/// A file without its pixels, to tell which files make one series.
pub(super) struct Peeked {
    /// Files of one series agree in it. Never kept longer than it takes to compare.
    pub series: String,
    /// `[frames, channels, rows, columns]`.
    pub shape: [u64; 4],
}

/// What a file is, or `None` if it has no image: a directory of the disk, a report, a plan.
pub(super) fn peek(path: &Path) -> Result<Option<Peeked>, DataError> {
    let Some(header) = series::read_header(path)? else { return Ok(None) };
    let layout = header.layout;
    let shape = [header.planes.len(), layout.channels(), layout.rows, layout.columns].map(|n| n as u64);
    // What decode_series asks of files that it takes together.
    let series = format!("{} {layout:?}", header.series);
    Ok(Some(Peeked { series, shape }))
}

/// Pixels on their way into a stack.
struct Volume {
    len: usize,
    /// Made when the first frame has been decoded: a header may promise what its frames do not hold.
    filler: Option<Filler>,
    scaled: bool,
    shape: [usize; 4],
}

impl Volume {
    /// Room for the frames of files of one layout.
    fn new(path: &Path, headers: &[&Header]) -> Result<Self, DataError> {
        let Some(first) = headers.first() else { return Err(DataError::new(path, "has no images", "")) };
        let layout = first.layout;
        let frames: usize = headers.iter().map(|header| header.planes.len()).sum();
        let plain = |plane: &Plane| plane.scale.is_none_or(|scale| scale == [1.0, 0.0]);
        let scaled =
            layout.channels() == 1 && !layout.table && !headers.iter().all(|header| header.planes.iter().all(plain));
        let bytes = if scaled { 4 } else { u64::from(layout.allocated.clamp(8, 32) / 8) };
        let shape = [frames, layout.channels(), layout.rows, layout.columns];
        let len = check_size(path, shape.map(|n| n as u64), bytes)?;
        Ok(Self { len, filler: None, scaled, shape })
    }

    /// Decodes frames on all cores and takes them in their order. Room is made for them when the first have been decoded: a
    /// header may promise what its frames do not hold.
    fn push(&mut self, header: &Header, frames: &Frames, indices: std::ops::Range<usize>) -> Result<(), Fault> {
        let decoded: Vec<_> = indices.clone().into_par_iter().map(|index| frames.decode(index)).collect();
        for (index, bytes) in indices.zip(decoded) {
            self.push_decoded(header, frames.numbers(), index, &bytes?);
        }
        Ok(())
    }

    /// Takes the next frame, of which `index` is the place in its file.
    fn push_decoded(&mut self, header: &Header, numbers: Numbers, index: usize, bytes: &[u8]) {
        let scale = header.planes.at(index).and_then(|plane| plane.scale).unwrap_or([1.0, 0.0]);
        let scale = self.scaled.then_some(scale);
        let filler = self.filler.get_or_insert_with(|| Filler::new(self.len, Numbers { scale, ..numbers }));
        filler.set_scale(scale);
        filler.push(bytes);
    }

    /// The stack, whose slices lie at `planes`.
    fn finish(self, header: &Header, planes: &Planes) -> Result<Decoded, DataError> {
        let missing = || DataError::new("image", "has no frames", "");
        let (pixels, rounded) = self.filler.ok_or_else(missing)?.finish();
        let layout = header.layout;
        let kind = layout.kind(None);
        let mut notes = Vec::new();
        if rounded {
            notes.push(rounded_note(kind.name()));
        }
        let turned = turned(layout, planes);
        if layout.photometric == Photometric::Inverted {
            let which = if turned.is_some() { "greys are turned round" } else { "values are as they are stored" };
            notes.push(format!("Its {which}: the file stores white as the least value"));
        }
        if layout.table {
            notes.push("A look-up table in the file says what its values mean".to_owned());
        }
        if header.shown_by_table {
            notes.push("Its look-up table for display is not applied".to_owned());
        }
        if header.at_detector {
            notes.push("Its spacing was measured at the detector, not in the patient".to_owned());
        }
        if header.order.is_some() {
            notes.push("Its frames are sorted by their places".to_owned());
        }
        if let Some([height, width]) = header.aspect {
            notes.push(format!("Its pixels are {height} : {width} (height to width), and of no known size"));
        }
        let Geometry { spacing, affine, volume } = place::geometry(planes, &mut notes);
        let colour = frames::is_deep_colour(&pixels, self.shape[1]).then_some(Bounds { lower: 0.0, upper: 65_535.0 });
        let unit = if header.in_hounsfield { Unit::Hounsfield } else { Unit::Unknown };
        let about = About {
            grid: frames::grid(layout, planes),
            turned,
            padding: header.padding.filter(|_| header.in_hounsfield).map(|stored| padding(stored, planes)),
            volume,
            format: format!("DICOM, {}", header.syntax),
            numbers: kind.name(),
            modality: header.modality.clone(),
            unit,
            spacing,
            affine,
            notes,
            ..About::default()
        };
        let single_bits = (layout.allocated == 1).then_some(Bounds { lower: 0.0, upper: 1.0 });
        let window = planes.at(planes.len() / 2).and_then(|plane| plane.window).filter(|_| self.shape[1] == 1);
        Ok(Decoded { shape: self.shape, pixels, about, bounds: colour, shown: window.or(single_bits).or(colour) })
    }
}

/// What the values of each frame and those that the file stores for them sum up to, where greys are turned round.
fn turned(layout: Layout, planes: &Planes) -> Option<Arc<[f64]>> {
    let sums: Option<Vec<f64>> = planes.iter().map(|plane| layout.turned(plane.scale)).collect();
    let sums = sums?;
    let first = *sums.first()?;
    Some(if sums.iter().all(|sum| *sum == first) {
        [first].into()
    } else {
        (0..planes.len()).filter_map(|i| layout.turned(planes.at(i)?.scale)).collect()
    })
}

/// What pixels outside of the image mean, in Hounsfield units.
fn padding(stored: f64, planes: &Planes) -> f32 {
    let [slope, intercept] = planes.first().and_then(|plane| plane.scale).unwrap_or([1.0, 0.0]);
    (slope * stored + intercept) as f32
}
