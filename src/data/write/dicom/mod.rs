//! DICOM that is derived from an image (PS3.3, PS3.10): a file for each slice, explicit little endian, greys as whole numbers
//! with the rescale of the original. Identifiers are new, `ImageType` is DERIVED\SECONDARY, and nothing tells who the patient
//! is unless a person asked for it.
//!
//! CT and MR that know where they lie stay CT and MR, which viewers can reformat; everything else becomes a secondary
//! capture, with what is known of its geometry.

mod elements;

use super::{Made, grid_of, printed, write_atomic};
use crate::data::{Bounds, DataError, Grid, Stack, StoredType, Unit};
use elements::{Elements, decimal};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const CT_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// This program, as the writer of files: made once from random bits (PS3.5, B.2).
const IMPLEMENTATION: &str = "2.25.99582416217074565842453676792694092846";

/// Identifiers made of random bits (PS3.5, B.2; a UUID of version 4).
struct Identifiers(ChaCha8Rng);

impl Identifiers {
    fn new(seed: Option<u64>) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed.unwrap_or_else(rand::random)))
    }

    fn next(&mut self) -> String {
        let bits = u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64());
        let version = bits & !(0xf << 76) | 4 << 76;
        format!("2.25.{}", version & !(3 << 62) | 2 << 62)
    }
}

/// What the files of one series share.
struct Series<'a> {
    stack: &'a Stack,
    made: &'a Made,
    /// The numbers of greys; `None` for colours.
    grid: Option<Grid>,
    class: &'static str,
    /// Whether values are known to be in Hounsfield units: a guess is not written down as a fact.
    hounsfield: bool,
    study: String,
    series: String,
    frame_of_reference: String,
}

/// Writes a stack of one slice as one file.
pub(super) fn write(path: &Path, stack: &Stack, made: &Made) -> Result<(), DataError> {
    let mut identifiers = Identifiers::new(made.seed);
    let series = Series::new(path, stack, made, &mut identifiers)?;
    let file = series.file(path, 0, &identifiers.next())?;
    write_atomic(path, |to| to.write_all(&file))
}

/// Writes a folder with a file for each slice: the whole folder or nothing.
pub(super) fn write_series(path: &Path, stack: &Stack, made: &Made) -> Result<(), DataError> {
    let failed = |error: io::Error| DataError::new(path, format!("could not be written: {error}"), "");
    let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || path.is_file() {
        let cause = if occupied { "is a folder with files in it" } else { "is a file" };
        return Err(DataError::new(path, cause, "A series gets a folder of its own: choose a new name"));
    }
    let mut identifiers = Identifiers::new(made.seed);
    let series = Series::new(path, stack, made, &mut identifiers)?;
    // Without the slash at its end, of which the parent would be the folder itself.
    let folder: std::path::PathBuf = path.components().collect();
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let temporary = builder.tempdir_in(parent).map_err(|error| {
        let hint = "Choose a folder that exists and that you may write to";
        DataError::new(path, format!("cannot be made in {}: {error}", parent.display()), hint)
    })?;
    for slice in 0..stack.slices {
        let file = series.file(path, slice, &identifiers.next())?;
        fs::write(temporary.path().join(format!("slice-{slice:04}.dcm")), file).map_err(failed)?;
    }
    if folder.is_dir() {
        fs::remove_dir(&folder).map_err(failed)?;
    }
    fs::rename(temporary.path(), &folder).map_err(failed)?;
    // It has another name now, under which it stays.
    let _ = temporary.keep();
    Ok(())
}

impl<'a> Series<'a> {
    fn new(path: &Path, stack: &'a Stack, made: &'a Made, identifiers: &mut Identifiers) -> Result<Self, DataError> {
        if stack.channels > 1 && stack.stored() != StoredType::U8 {
            return Err(DataError::new(path, "cannot hold colours of more than 8 bits", "Save it as TIFF"));
        }
        if [stack.width, stack.height].iter().any(|&n| n > 65_535) {
            return Err(DataError::new(path, "cannot hold more than 65 535 rows or columns", "Save it as TIFF"));
        }
        let grid = (stack.channels == 1).then(|| grid(stack));
        let placed = stack.about.affine.is_some() && stack.about.spacing.is_some() && grid.is_some();
        let at_right_angles = stack.about.affine.is_none_or(|affine| {
            let column = |axis: usize| affine.map(|row| f64::from(row[axis]));
            let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
            let (across, down) = (column(0), column(1));
            dot(across, down).abs() <= 1e-3 * (dot(across, across) * dot(down, down)).sqrt()
        });
        if !at_right_angles {
            let cause = "cannot hold slices whose rows and columns are not at right angles";
            return Err(DataError::new(path, cause, "Save it as NIfTI"));
        }
        let hounsfield = stack.about.unit == Unit::Hounsfield && !stack.about.unit_guessed;
        let class = match stack.about.modality.as_deref() {
            Some("CT") if placed && hounsfield => CT_IMAGE,
            Some("MR") if placed => MR_IMAGE,
            _ => SECONDARY_CAPTURE,
        };
        let [study, series, frame_of_reference] = [(); 3].map(|()| identifiers.next());
        Ok(Self { stack, made, grid, class, hounsfield, study, series, frame_of_reference })
    }

    /// The file of slice `slice`.
    fn file(&self, path: &Path, slice: usize, instance: &str) -> Result<Vec<u8>, DataError> {
        let image = self.stack.slice(slice).ok_or_else(|| DataError::new(path, "has no such slice", ""))?;
        let mut set = Elements::default();
        self.describe(&mut set, slice, instance);
        self.place(&mut set, slice);
        set.short(0x0028_0010, image.height as u16);
        set.short(0x0028_0011, image.width as u16);
        let pixels = match self.grid {
            None => {
                set.short(0x0028_0002, 3);
                set.text(0x0028_0004, "CS", "RGB");
                set.short(0x0028_0006, 0);
                bits(&mut set, 8, 8, false);
                super::raster::interleave(&image, |v| v as u8)
            }
            Some(grid) => {
                set.short(0x0028_0002, 1);
                set.text(0x0028_0004, "CS", "MONOCHROME2");
                set.text(0x0028_1052, "DS", &decimal(grid.intercept));
                set.text(0x0028_1053, "DS", &decimal(grid.slope));
                set.text(0x0028_1054, "LO", if self.hounsfield { "HU" } else { "US" });
                self.window(&mut set);
                let signed = grid.least < 0.0;
                let stored = bits_for(grid);
                let allocated = if stored <= 8 { 8 } else { 16 };
                bits(&mut set, allocated, stored, signed);
                let numbers = image.pixels.iter().map(|&v| grid.number(v) as i32);
                if allocated == 8 {
                    numbers.map(|n| n as u8).collect()
                } else {
                    numbers.flat_map(|n| (n as u16).to_le_bytes()).collect()
                }
            }
        };
        let words = set.allocated_words();
        let compressed = self.made.compressed && words && self.grid.is_some_and(|grid| grid.least >= 0.0);
        let syntax = if compressed {
            let failed = |error: jpegls::CodecError| DataError::new(path, format!("does not compress: {error}"), "");
            let numbers: Vec<u16> = pixels.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect();
            let mut options = jpegls::EncodeOptions::default();
            options.precision = self.grid.map(|grid| bits_for(grid) as u8);
            let mut stream = Vec::new();
            let (width, height) = (image.width as u32, image.height as u32);
            jpegls::encode_with_options(&numbers, width, height, &options, &mut stream).map_err(failed)?;
            set.fragments(0x7fe0_0010, stream);
            jpegls::TRANSFER_SYNTAX_UID
        } else {
            set.bytes(0x7fe0_0010, if words { "OW" } else { "OB" }, pixels);
            EXPLICIT_LITTLE_ENDIAN
        };
        let mut meta = Elements::default();
        meta.bytes(0x0002_0001, "OB", vec![0, 1]);
        meta.text(0x0002_0002, "UI", self.class);
        meta.text(0x0002_0003, "UI", instance);
        meta.text(0x0002_0010, "UI", syntax);
        meta.text(0x0002_0012, "UI", IMPLEMENTATION);
        meta.text(0x0002_0013, "SH", concat!("EPSILOSCOPE_", env!("CARGO_PKG_VERSION_MAJOR")));
        let meta = meta.encoded();
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        let mut length = Elements::default();
        length.long(0x0002_0000, meta.len() as u32);
        file.extend(length.encoded());
        file.extend(meta);
        file.extend(set.encoded());
        Ok(file)
    }

    /// What it is, and whose it is not.
    fn describe(&self, set: &mut Elements, slice: usize, instance: &str) {
        let Made { title, description, synthetic, .. } = self.made;
        let about = &self.stack.about;
        let image_type = match self.class {
            CT_IMAGE => "DERIVED\\SECONDARY\\AXIAL",
            MR_IMAGE => "DERIVED\\SECONDARY\\OTHER",
            _ => "DERIVED\\SECONDARY",
        };
        set.text(0x0008_0008, "CS", image_type);
        set.text(0x0008_0016, "UI", self.class);
        set.text(0x0008_0018, "UI", instance);
        // Type 2: must be there, may be empty. When and where it was taken would tell of the patient.
        for (tag, kind) in [
            (0x0008_0020, "DA"),
            (0x0008_0030, "TM"),
            (0x0008_0050, "SH"),
            (0x0008_0090, "PN"),
            (0x0010_0030, "DA"),
            (0x0010_0040, "CS"),
            (0x0020_0010, "SH"),
            (0x0020_0020, "CS"),
        ] {
            set.text(tag, kind, "");
        }
        let modality = about.modality.as_deref().filter(|m| m.len() <= 16 && !about.unit_guessed).unwrap_or("OT");
        set.text(0x0008_0060, "CS", modality);
        if self.class == SECONDARY_CAPTURE {
            set.text(0x0008_0064, "CS", "WSD");
        }
        set.text(0x0008_0070, "LO", "Epsiloscope");
        let marked = if *synthetic { format!("SYNTHETIC {title}") } else { format!("DERIVED {title}") };
        set.text(0x0008_103e, "LO", &marked);
        set.text(0x0008_2111, "ST", description);
        let anonymous = self.made.identifying.is_empty();
        set.text(0x0010_0010, "PN", if anonymous { "ANONYMOUS" } else { "" });
        set.text(0x0010_0020, "LO", if anonymous { "ANONYMOUS" } else { "" });
        set.text(0x0012_0062, "CS", if anonymous { "YES" } else { "NO" });
        if anonymous {
            set.text(0x0012_0063, "LO", "Only pixels and their geometry were kept");
        }
        match self.class {
            CT_IMAGE => {
                set.text(0x0018_0060, "DS", "");
                set.text(0x0020_0012, "IS", "");
            }
            MR_IMAGE => {
                for (tag, value) in [(0x0018_0020, "RM"), (0x0018_0021, "NONE"), (0x0018_0022, "")] {
                    set.text(tag, "CS", value);
                }
                set.text(0x0018_0023, "CS", "");
                for tag in [0x0018_0080, 0x0018_0081] {
                    set.text(tag, "DS", "");
                }
                set.text(0x0018_0091, "IS", "");
            }
            _ => {}
        }
        set.text(0x0018_5100, "CS", "");
        set.text(0x0020_000d, "UI", &self.study);
        set.text(0x0020_000e, "UI", &self.series);
        set.text(0x0020_0011, "IS", "1");
        set.text(0x0020_0013, "IS", &(slice + 1).to_string());
        if let Some(slices) = about.volume {
            set.text(0x0020_0100, "IS", &(slice / slices.max(1) + 1).to_string());
        }
        let warning = if *synthetic { "SYNTHETIC, not a measurement, not for diagnosis. " } else { "" };
        set.text(0x0020_4000, "LT", &format!("{warning}{description}"));
        set.text(0x0028_0301, "CS", "NO");
        set.text(0x0028_2110, "CS", "00");
        for element in &self.made.identifying {
            element.put(|tag, kind, value| set.bytes(tag, kind, value));
        }
    }

    /// Where it lies: the affine's columns, from NIfTI's axes to DICOM's.
    fn place(&self, set: &mut Elements, slice: usize) {
        let about = &self.stack.about;
        let Some([between, rows, columns]) = about.spacing else { return };
        set.text(0x0028_0030, "DS", &format!("{}\\{}", decimal(printed(rows)), decimal(printed(columns))));
        if between > 0.0 {
            set.text(0x0018_0050, "DS", &decimal(printed(between)));
            set.text(0x0018_0088, "DS", &decimal(printed(between)));
        } else {
            set.text(0x0018_0050, "DS", "");
        }
        let Some(affine) = about.of_slice(slice).affine else { return };
        let column = |axis: usize| [-affine[0][axis], -affine[1][axis], affine[2][axis]].map(printed);
        let unit = |v: [f64; 3]| {
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            v.map(|x| x / length)
        };
        let list = |values: &[f64]| values.iter().map(|&v| decimal(v)).collect::<Vec<_>>().join("\\");
        set.text(0x0020_0032, "DS", &list(&column(3)));
        set.text(0x0020_0037, "DS", &list(&[unit(column(0)), unit(column(1))].concat()));
        set.text(0x0020_0052, "UI", &self.frame_of_reference);
        set.text(0x0020_1040, "LO", "");
    }

    /// The window as centre and width: PS3.3, C.11.2.1.2, turned round.
    fn window(&self, set: &mut Elements) {
        let Bounds { lower, upper } = self.stack.shown;
        let (lower, upper) = (printed(lower), printed(upper));
        let width = upper - lower + 1.0;
        if width >= 1.0 {
            set.text(0x0028_1050, "DS", &decimal((lower + upper) / 2.0 + 0.5));
            set.text(0x0028_1051, "DS", &decimal(width));
        }
    }
}

/// The numbers that greys are stored as: the original's, or 16 bits over the range of all values.
fn grid(stack: &Stack) -> Grid {
    // What is printed must be what is meant.
    let kept = |v: f64| decimal(v).parse().unwrap_or(v);
    let known = grid_of(stack.stored(), &stack.about).map(|grid| Grid {
        slope: kept(grid.slope),
        intercept: kept(grid.intercept),
        ..grid
    });
    known.unwrap_or_else(|| {
        let ranges = (0..stack.slices).filter_map(|slice| stack.slice(slice)?.range());
        let Bounds { lower, upper } = ranges.reduce(Bounds::union).unwrap_or(stack.bounds).with_width();
        let intercept = kept(lower.into());
        let slope = kept((f64::from(upper) - intercept) / 65_535.0);
        Grid { slope, intercept, least: 0.0, most: 65_535.0 }
    })
}

/// Bits that hold every number of the grid.
fn bits_for(grid: Grid) -> u16 {
    let magnitude = grid.most.max(-1.0 - grid.least);
    let bits = (magnitude + 1.0).log2().ceil() as u16 + u16::from(grid.least < 0.0);
    bits.clamp(1, 16)
}

fn bits(set: &mut Elements, allocated: u16, stored: u16, signed: bool) {
    set.short(0x0028_0100, allocated);
    set.short(0x0028_0101, stored);
    set.short(0x0028_0102, stored - 1);
    set.short(0x0028_0103, signed.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_uuids_and_follow_from_a_seed() {
        let two = |seed| {
            let mut identifiers = Identifiers::new(seed);
            [identifiers.next(), identifiers.next()]
        };
        assert_eq!(two(Some(1)), two(Some(1)));
        assert_ne!(two(None)[0], two(None)[0]);
        for uid in two(None) {
            assert!(uid.len() <= 64 && uid.starts_with("2.25."), "{uid}");
            let bits: u128 = uid[5..].parse().unwrap();
            assert_eq!((bits >> 76 & 0xf, bits >> 62 & 3), (4, 2));
        }
    }

    #[test]
    fn bits_hold_the_numbers() {
        let grid = |least, most| Grid { slope: 1.0, intercept: 0.0, least, most };
        let bits = [(0.0, 255.0), (0.0, 4095.0), (-2048.0, 2047.0), (-32_768.0, 32_767.0), (0.0, 1.0)]
            .map(|(least, most)| bits_for(grid(least, most)));
        assert_eq!(bits, [8, 12, 12, 16, 1]);
    }
}
