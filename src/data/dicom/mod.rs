//! DICOM: single files, files of several frames, and folders that hold a series (PS3.3, PS3.5, PS3.10).
//!
//! Greys are rescaled (CT to Hounsfield units), and turned round where the least value is white; colours become RGB.
//! Overlays and look-up tables for greys are not applied.

mod codec;
mod frames;
mod header;
mod identity;
mod parse;
mod series;

pub(super) use header::is_dicom;
pub use identity::{IdentifyingElement, read_identifying};
pub(super) use series::{decode_series, find_series};

use super::about::{About, Unit};
use super::numbers::{Filler, Numbers};
use super::open::{
    Decoded, LARGEST_DECODED_BYTES, Source, check_cancelled, check_size, rounded_note, stream_error, too_large,
};
use super::{Bounds, DataError};
use codec::Codec;
use frames::Frames;
use header::{Fault, Header, Photometric, Plane};
use std::io::Read;
use std::path::Path;

/// Bounds of CT, in Hounsfield units: 12 bits above air and what lies outside of the circle.
const HOUNSFIELD: Bounds = Bounds { lower: -1024.0, upper: 3071.0 };

fn to_error(path: &Path) -> impl Fn(Fault) -> DataError {
    move |(cause, hint)| DataError::new(path, cause, hint)
}

/// Decodes one file.
pub(super) fn decode(source: Source) -> Result<Decoded, DataError> {
    let Source { path, reader, length, cancel, progress } = source;
    if length > LARGEST_DECODED_BYTES {
        return Err(too_large(path, format!("the file has {length} bytes")));
    }
    let mut bytes = Vec::new();
    reader.take(LARGEST_DECODED_BYTES).read_to_end(&mut bytes).map_err(|error| stream_error(path, &error))?;
    let failed = to_error(path);
    let mut inflated = Vec::new();
    let (uid, set) = header::open(&bytes, &mut inflated).map_err(&failed)?;
    let header = Header::new(uid.as_deref(), &set).map_err(&failed)?;
    let mut volume = Volume::new(path, &[&header])?;
    let frames = Frames::new(&header, &set).map_err(&failed)?;
    let count = header.planes.len();
    for index in 0..count {
        check_cancelled(path, cancel)?;
        volume.push(&header, &frames, index).map_err(&failed)?;
        progress((index + 1) as f32 / count as f32);
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
    let bytes = series::read_file(path)?;
    let mut inflated = Vec::new();
    let failed = to_error(path);
    let (uid, set) = header::open(&bytes, &mut inflated).map_err(&failed)?;
    if !set.has_pixels() {
        return Ok(None);
    }
    let header = Header::new(uid.as_deref(), &set).map_err(&failed)?;
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
        let scaled = layout.channels() == 1 && !headers.iter().all(|header| header.planes.iter().all(plain));
        let bytes = if scaled { 4 } else { u64::from(layout.allocated.clamp(8, 32) / 8) };
        let shape = [frames, layout.channels(), layout.rows, layout.columns];
        let len = check_size(path, shape.map(|n| n as u64), bytes)?;
        Ok(Self { len, filler: None, scaled, shape })
    }

    fn push(&mut self, header: &Header, frames: &Frames, index: usize) -> Result<(), Fault> {
        let numbers = frames.numbers();
        let scale = self.scaled.then(|| header.planes[index].scale.unwrap_or([1.0, 0.0]));
        let mut frame = Filler::new(self.len / self.shape[0], Numbers { scale, ..numbers });
        match &mut self.filler {
            Some(filler) => {
                filler.set_scale(scale);
                frames.push(index, filler)
            }
            None => {
                // Decoded twice, but only the first, and only where a header may lie.
                if header.codec != Codec::Native {
                    frames.push(index, &mut frame)?;
                }
                let filler = self.filler.insert(Filler::new(self.len, Numbers { scale, ..numbers }));
                frames.push(index, filler)
            }
        }
    }

    /// The stack, whose slices lie at `planes`.
    fn finish(self, header: &Header, planes: &[Plane]) -> Result<Decoded, DataError> {
        let missing = || DataError::new("image", "has no frames", "");
        let (pixels, rounded) = self.filler.ok_or_else(missing)?.finish();
        let layout = header.layout;
        let kind = layout.kind(None);
        let mut notes = Vec::new();
        if rounded {
            notes.push(rounded_note(kind.name()));
        }
        if layout.photometric == Photometric::Inverted {
            notes.push("Its greys are turned round: the file stores white as the least value".to_owned());
        }
        if header.at_detector {
            notes.push("Its spacing was measured at the detector, not in the patient".to_owned());
        }
        let (spacing, affine) = geometry(planes, &mut notes);
        let colour = frames::is_deep_colour(&pixels, self.shape[1]).then_some(Bounds { lower: 0.0, upper: 65_535.0 });
        let unit = if header.in_hounsfield { Unit::Hounsfield } else { Unit::Unknown };
        let about = About {
            grid: frames::grid(layout, planes),
            turned: layout.photometric == Photometric::Inverted,
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
        let window = planes.get(planes.len() / 2).and_then(|plane| plane.window).filter(|_| self.shape[1] == 1);
        Ok(Decoded {
            shape: self.shape,
            pixels,
            about,
            bounds: header.in_hounsfield.then_some(HOUNSFIELD).or(colour),
            shown: window.or(single_bits).or(colour),
        })
    }
}

/// Spacing of slices, rows and columns, and the affine, of slices at `planes`.
#[allow(clippy::type_complexity)]
fn geometry(planes: &[Plane], notes: &mut Vec<String>) -> (Option<[f32; 3]>, Option<[[f32; 4]; 3]>) {
    let (Some(first), Some(last)) = (planes.first(), planes.last()) else { return (None, None) };
    let Some([rows, columns]) = first.spacing else { return (None, None) };
    let travel = match (first.position, last.position) {
        (Some(a), Some(b)) if planes.len() > 1 && a != b => {
            let steps = (planes.len() - 1) as f64;
            Some([0, 1, 2].map(|i| (b[i] - a[i]) / steps))
        }
        _ => None,
    };
    let norm = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if let Some(travel) = travel {
        let step = norm(travel);
        let uneven = planes.windows(2).filter(|pair| match (pair[0].position, pair[1].position) {
            (Some(a), Some(b)) => (norm([0, 1, 2].map(|i| b[i] - a[i])) - step).abs() > 0.01 * step + 1e-3,
            _ => true,
        });
        let uneven = uneven.count();
        if uneven > 0 {
            notes.push(format!("Its slices are not evenly spaced: {uneven} of {} steps differ", planes.len() - 1));
        }
    }
    let known = travel.map(norm).or(first.step).or(first.thickness).unwrap_or(0.0);
    let spacing = [known, rows, columns].map(|v| v as f32);
    let affine = first.position.zip(first.orientation).map(|(position, o)| {
        let [across, down] = [[o[0], o[1], o[2]], [o[3], o[4], o[5]]];
        let normal = [
            across[1] * down[2] - across[2] * down[1],
            across[2] * down[0] - across[0] * down[2],
            across[0] * down[1] - across[1] * down[0],
        ];
        let step = travel.unwrap_or(normal.map(|v| v * if known > 0.0 { known } else { 1.0 }));
        // DICOM's axes run to the left and to the back, NIfTI's to the right and to the front.
        [0, 1, 2].map(|i| {
            let sign = if i < 2 { -1.0 } else { 1.0 };
            [across[i] * columns, down[i] * rows, step[i], position[i]].map(|v| (sign * v) as f32)
        })
    });
    (Some(spacing), affine)
}
