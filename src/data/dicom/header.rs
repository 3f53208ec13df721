//! What a DICOM file says of its pixels, checked.

use super::codec::{self, Codec};
use super::parse::{Broken, DataSet, Parser};
use super::place::Planes;
use super::tag::{self, Tag};
use crate::data::Bounds;
use crate::data::open::LARGEST_DECODED_BYTES;
use flate2::read::DeflateDecoder;
use std::io::Read;

/// How the samples of a pixel make a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    Grey,
    /// The least value is white.
    Inverted,
    Rgb,
    Ybr,
    /// Uncompressed, two pixels share their colour differences.
    Ybr422,
    Palette,
}

/// The layout of stored samples, alike for all frames, and in a series for all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub rows: usize,
    pub columns: usize,
    pub samples: usize,
    /// Bits that a sample occupies: 1, 8, 16, 32 or, of floats, 64.
    pub allocated: u16,
    /// Bits that count, and the highest of them.
    pub stored: u16,
    pub high: u16,
    pub signed: bool,
    pub float: bool,
    /// Whether each colour has a plane of its own.
    pub planar: bool,
    pub photometric: Photometric,
    /// Whether a table says what stored greys mean.
    pub table: bool,
    /// The most that a value of that table can be.
    pub table_most: u16,
}

/// What holds for one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plane {
    pub position: Option<[f64; 3]>,
    /// The directions in which columns and rows run on.
    pub orientation: Option<[f64; 6]>,
    /// Between rows, between columns, in mm.
    pub spacing: Option<[f64; 2]>,
    pub thickness: Option<f64>,
    pub step: Option<f64>,
    /// Slope and intercept, if they are given.
    pub scale: Option<[f64; 2]>,
    /// Whether the rescale leads to Hounsfield units, or to something that is not named.
    pub hounsfield: bool,
    pub window: Option<Bounds>,
}

/// A file, without its pixels.
pub(super) struct Header {
    pub syntax: &'static str,
    pub codec: Codec,
    pub big_endian: bool,
    pub layout: Layout,
    pub modality: Option<String>,
    pub planes: Planes,
    /// The stored frame of each place, where frames are not stored in the order of their positions.
    pub order: Option<Vec<usize>>,
    pub in_hounsfield: bool,
    pub at_detector: bool,
    /// Height and width of a pixel, of images that know no lengths, if they differ.
    pub aspect: Option<[u32; 2]>,
    /// What pixels outside of the image are stored as.
    pub padding: Option<f64>,
    /// Whether a table says how greys are to be shown.
    pub shown_by_table: bool,
    /// Tells series in a folder apart. Never kept longer than that.
    pub series: String,
    pub number: i64,
    /// What tells images in the same place apart: echo, time, acquisition and the like.
    pub kinds: [String; KINDS],
}

/// The cause and the hint of an error.
pub(super) type Fault = (String, &'static str);

/// What would work instead of a compression that is not read.
pub(super) const CONVERT: &str = "Convert it to an uncompressed DICOM file, for example with dcmdjpeg or gdcmconv";

fn fault<T>(cause: impl Into<String>) -> Result<T, Fault> {
    Err((cause.into(), ""))
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::CutShort => {
                ("is cut short: its header promises more than the file holds".to_owned(), "Copy or export it again")
            }
            Broken::Malformed => {
                ("is a malformed DICOM file".to_owned(), "Open it in another program and save it again")
            }
        }
    }
}

/// Whether a file begins as DICOM does, with or without its preamble and meta group.
pub(in crate::data) fn is_dicom(head: &[u8]) -> bool {
    if head.get(128..132) == Some(b"DICM") {
        return true;
    }
    // A file of the early days: the first element is of group 2 or 8 and has a kind, or a length that is plausible.
    match head {
        [2, 0, 0..=2, 0, b'U' | b'O', b'L' | b'B' | b'I', ..] => true,
        [8, 0, element, 0, a, b, c, d, ..] if *element <= 0x60 => {
            a.is_ascii_uppercase() && b.is_ascii_uppercase() || (*a <= 64 && [*b, *c, *d] == [0; 3])
        }
        [0, 8, 0, element, a, b, ..] if *element <= 0x18 => a.is_ascii_uppercase() && b.is_ascii_uppercase(),
        _ => false,
    }
}

/// Splits a file into its syntax and its data set. `inflated` keeps a deflated data set.
pub(super) fn open<'a>(bytes: &'a [u8], inflated: &'a mut Vec<u8>) -> Result<(Option<String>, DataSet<'a>), Fault> {
    open_keeping(bytes, inflated, tag::is_kept, 0)
}

/// As [`open`], of the beginning of a file of which `missing` bytes are left out: its pixels may be cut.
pub(super) fn open_beginning<'a>(
    bytes: &'a [u8],
    inflated: &'a mut Vec<u8>,
    missing: u64,
) -> Result<(Option<String>, DataSet<'a>), Fault> {
    open_keeping(bytes, inflated, tag::is_kept, missing)
}

/// As [`open`], with the elements that `keep` wants in place of those that say what pixels are.
pub(super) fn open_keeping<'a>(
    bytes: &'a [u8],
    inflated: &'a mut Vec<u8>,
    keep: fn(Tag) -> bool,
    missing: u64,
) -> Result<(Option<String>, DataSet<'a>), Fault> {
    let bytes = if bytes.get(128..132) == Some(b"DICM") { &bytes[132..] } else { bytes };
    let mut parser = Parser::new(bytes, true, false);
    let meta = parser.meta()?;
    let uid = meta.text(tag::TRANSFER_SYNTAX).map(str::to_owned);
    let mut body = parser.rest();
    if uid.as_deref().and_then(codec::syntax).is_some_and(|syntax| syntax.deflated) {
        let limit = LARGEST_DECODED_BYTES;
        let inflating = DeflateDecoder::new(body).take(limit).read_to_end(inflated);
        if inflating.is_err() {
            return Err(Broken::CutShort.into());
        }
        body = inflated;
    }
    // Files lie about their syntax; a kind in the first element does not.
    let explicit = matches!(body, [_, _, _, _, a, b, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase());
    let big_endian = match uid.as_deref() {
        Some(uid) => uid == "1.2.840.10008.1.2.2",
        None => body.first() == Some(&0),
    };
    let set = Parser::new(body, explicit, big_endian).keeping(keep).without(missing).data_set()?;
    Ok((uid, set))
}

impl Header {
    /// Reads and checks.
    pub fn new(uid: Option<&str>, set: &DataSet) -> Result<Self, Fault> {
        let modality = set.text(tag::MODALITY).map(str::to_owned);
        if !set.has_pixels() {
            let what = modality.map_or_else(String::new, |modality| format!(" ({modality})"));
            return Err((format!("is a DICOM file without an image{what}"), "Open one with pixels"));
        }
        let syntax = match uid {
            None => codec::Syntax { name: "without a named syntax", codec: Some(Codec::Native), deflated: false },
            Some(uid) => codec::syntax(uid)
                .ok_or_else(|| (format!("has the transfer syntax {uid}, which is not known"), CONVERT))?,
        };
        let codec =
            syntax.codec.ok_or_else(|| (format!("is compressed as {}, which is not read", syntax.name), CONVERT))?;
        let layout = layout(set)?;
        let frames = match set.text(tag::FRAMES) {
            None => 1,
            Some(text) => match text.parse::<u32>() {
                Ok(frames) => frames.max(1),
                Err(_) => return fault(format!("has a number of frames that is none: {text}")),
            },
        };
        let groups = set.items(tag::FRAME_GROUPS);
        let shared = set.item(tag::SHARED_GROUPS);
        // One for each frame only where they differ; as many as a lying header promises are never made.
        let (planes, order) = if groups.len() == frames as usize && !groups.is_empty() {
            super::place::in_order(groups.iter().map(|group| plane(set, shared, Some(group), layout)).collect())
        } else {
            let plane = plane(set, shared, None, layout);
            let room = usize::try_from(frames).unwrap_or(usize::MAX);
            if room > 1 << 20 {
                return fault(format!("promises {frames} frames"));
            }
            (Planes::alike(plane, room), None)
        };
        let in_hounsfield = modality.as_deref() == Some("CT")
            && planes.iter().all(|plane| plane.scale.is_some() && plane.hounsfield)
            && !layout.table;
        let aspect = array_of::<2>(set, tag::ASPECT_RATIO).map(|ratio| ratio.map(|v| v as u32));
        let padding =
            set.short(tag::PADDING).map(|v| if layout.signed { v.cast_signed().into() } else { f64::from(v) });
        Ok(Self {
            syntax: syntax.name,
            codec,
            big_endian: set.is_big_endian(),
            layout,
            at_detector: set.bytes(tag::PIXEL_SPACING).is_none()
                && planes.iter().any(|plane| plane.spacing.is_some())
                && set.bytes(tag::IMAGER_PIXEL_SPACING).is_some(),
            modality,
            aspect: aspect.filter(|[height, width]| height != width && planes.iter().all(|p| p.spacing.is_none())),
            padding: padding.filter(|_| layout.allocated <= 16 && !layout.table),
            planes,
            order,
            in_hounsfield,
            shown_by_table: !set.items(tag::VOI_LUT).is_empty(),
            series: set.text(tag::SERIES).unwrap_or_default().to_owned(),
            number: set.decimal(tag::INSTANCE_NUMBER).map_or(0, |number| number as i64),
            kinds: KIND_TAGS.map(|tag| kind(set, tag)),
        })
    }
}

/// How many elements tell images in the same place apart.
pub(super) const KINDS: usize = 7;

/// Those elements, and what they are called.
const KIND_TAGS: [Tag; KINDS] = [
    tag::ECHO_NUMBER,
    tag::ECHO_TIME,
    tag::TEMPORAL_POSITION,
    tag::ACQUISITION,
    tag::B_VALUE,
    tag::TRIGGER_TIME,
    tag::IMAGE_TYPE,
];
pub(super) const KIND_NAMES: [&str; KINDS] =
    ["echoes", "echo times", "times", "acquisitions", "b-values", "trigger times", "types"];

/// The text of an element, so that numbers are sorted by their size.
fn kind(set: &DataSet, tag: Tag) -> String {
    match set.decimal(tag).or_else(|| set.double(tag)) {
        Some(number) => format!("{number:020.6}"),
        None => set.text(tag).unwrap_or_default().to_owned(),
    }
}

fn layout(set: &DataSet) -> Result<Layout, Fault> {
    let need = |tag, name: &str| set.short(tag).ok_or_else(|| (format!("does not say its {name}"), ""));
    let rows = usize::from(need(tag::ROWS, "number of rows")?);
    let columns = usize::from(need(tag::COLUMNS, "number of columns")?);
    let float = set.bytes(tag::FLOAT_PIXELS).or(set.bytes(tag::DOUBLE_PIXELS)).is_some();
    let allocated = if set.bytes(tag::FLOAT_PIXELS).is_some() {
        32
    } else if float {
        64
    } else {
        need(tag::BITS_ALLOCATED, "number of bits")?
    };
    if !matches!(allocated, 1 | 8 | 16 | 32) && !float {
        return fault(format!("stores {allocated}-bit samples, which are not read"));
    }
    let samples = set.short(tag::SAMPLES).unwrap_or(1);
    let photometric = match (set.text(tag::PHOTOMETRIC).unwrap_or("MONOCHROME2"), samples) {
        ("MONOCHROME2", 1) => Photometric::Grey,
        ("MONOCHROME1", 1) => Photometric::Inverted,
        ("PALETTE COLOR", 1) => Photometric::Palette,
        ("RGB", 3) => Photometric::Rgb,
        // The decoder of JPEG 2000 has undone these.
        ("YBR_RCT" | "YBR_ICT", 3) => Photometric::Rgb,
        ("YBR_FULL", 3) => Photometric::Ybr,
        ("YBR_FULL_422", 3) => Photometric::Ybr422,
        (other, samples) => return fault(format!("stores {other} colours with {samples} samples, which are not read")),
    };
    if photometric == Photometric::Ybr422 && allocated != 8 {
        return fault(format!("stores YBR_FULL_422 colours with {allocated} bits, which are not read"));
    }
    let stored = set.short(tag::BITS_STORED).filter(|bits| (1..=allocated).contains(bits)).unwrap_or(allocated);
    let high = set.short(tag::HIGH_BIT).filter(|&high| high < allocated && high + 1 >= stored).unwrap_or(stored - 1);
    let signed = set.short(tag::SIGNED) == Some(1);
    let planar = samples > 1 && set.short(tag::PLANAR) == Some(1);
    let table = samples == 1 && !float && set.item(tag::MODALITY_LUT).is_some();
    let samples = samples.into();
    let descriptor = set.item(tag::MODALITY_LUT).filter(|_| table).and_then(|item| item.shorts(tag::LUT_DESCRIPTOR));
    let table_bits = descriptor.and_then(|d| d.get(2).copied()).filter(|bits| (1..=16).contains(bits));
    let table_most = table_bits.map_or(0, |bits| (u32::from(u16::MAX) >> (16 - bits)) as u16);
    Ok(Layout {
        rows,
        columns,
        samples,
        allocated,
        stored,
        high,
        signed,
        float,
        planar,
        photometric,
        table,
        table_most,
    })
}

/// What holds for a frame: its own functional group before the shared ones before the file's elements.
fn plane(set: &DataSet, shared: Option<&DataSet>, own: Option<&DataSet>, layout: Layout) -> Plane {
    let place = |sequence| {
        let group = |group: Option<&'_ DataSet<'_>>| group.is_some_and(|group| group.item(sequence).is_some());
        let from = if group(own) { own } else { shared };
        from.and_then(|group| group.item(sequence)).unwrap_or(set)
    };
    let measures = place(tag::PIXEL_MEASURES);
    let length = |tag| measures.decimal(tag).filter(|&length| length > 0.0);
    let spacing = array_of(measures, tag::PIXEL_SPACING).or(array_of(set, tag::IMAGER_PIXEL_SPACING));
    let values = place(tag::PIXEL_TRANSFORMATION);
    let scale = values.decimal(tag::SLOPE).zip(values.decimal(tag::INTERCEPT)).map(|(slope, icept)| [slope, icept]);
    Plane {
        position: array_of(place(tag::PLANE_POSITION), tag::POSITION),
        orientation: array_of(place(tag::PLANE_ORIENTATION), tag::ORIENTATION),
        spacing: spacing.filter(|spacing: &[f64; 2]| spacing.iter().all(|&length| length > 0.0)),
        thickness: length(tag::SLICE_THICKNESS),
        step: length(tag::SPACING_BETWEEN_SLICES),
        scale: scale.filter(|&[slope, _]| slope != 0.0),
        hounsfield: matches!(values.text(tag::RESCALE_TYPE), None | Some("HU")),
        window: window(place(tag::FRAME_WINDOW)).map(|window| mirrored(window, layout, scale)),
    }
}

fn array_of<const N: usize>(set: &DataSet, tag: Tag) -> Option<[f64; N]> {
    set.decimals(tag)?.try_into().ok()
}

/// The first window: PS3.3, C.11.2.1.2.
fn window(set: &DataSet) -> Option<Bounds> {
    let [center, width] = [set.decimal(tag::WINDOW_CENTER)?, set.decimal(tag::WINDOW_WIDTH)?];
    let (center, width) = match set.text(tag::WINDOW_FUNCTION) {
        Some("LINEAR_EXACT") => (center, width),
        _ => (center - 0.5, width - 1.0),
    };
    let [lower, upper] = [center - width / 2.0, center + width / 2.0].map(|v| v as f32);
    (lower < upper && (upper - lower).is_finite()).then_some(Bounds { lower, upper })
}

/// The window of values that are turned round.
fn mirrored(window: Bounds, layout: Layout, scale: Option<[f64; 2]>) -> Bounds {
    let Some(sum) = layout.turned(scale).map(|sum| sum as f32) else { return window };
    Bounds { lower: sum - window.upper, upper: sum - window.lower }
}

impl Layout {
    /// The least and the most that a sample can be.
    pub fn least_and_most(self) -> [f64; 2] {
        let half = 2f64.powi(i32::from(self.stored) - 1);
        if self.signed { [-half, half - 1.0] } else { [0.0, 2.0 * half - 1.0] }
    }

    /// What a value and the value that the file stores for it sum up to, where greys are turned round. Numbers that floats
    /// would not hold once they are turned round stay as they are.
    pub fn turned(self, scale: Option<[f64; 2]>) -> Option<f64> {
        if self.photometric != Photometric::Inverted || self.float || self.stored > 24 {
            return None;
        }
        if self.table {
            return Some(self.table_most.into());
        }
        let [slope, intercept] = scale.unwrap_or([1.0, 0.0]);
        let [least, most] = self.least_and_most();
        Some(slope * (least + most) + 2.0 * intercept)
    }

    /// Bytes of an uncompressed frame.
    pub fn frame_bytes(self) -> u64 {
        let values = self.rows as u64 * self.columns as u64 * self.samples as u64;
        match (self.allocated, self.photometric) {
            (1, _) => values.div_ceil(8),
            (bits, Photometric::Ybr422) => values / 3 * 2 * u64::from(bits / 8),
            (bits, _) => values * u64::from(bits / 8),
        }
    }
}
