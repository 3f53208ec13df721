//! The elements that are kept, by their names in PS3.6.

/// Group and element.
pub(super) type Tag = u32;

pub const TRANSFER_SYNTAX: Tag = 0x0002_0010;
pub const IMAGE_TYPE: Tag = 0x0008_0008;
pub const MODALITY: Tag = 0x0008_0060;
pub const SLICE_THICKNESS: Tag = 0x0018_0050;
pub const ECHO_TIME: Tag = 0x0018_0081;
pub const ECHO_NUMBER: Tag = 0x0018_0086;
pub const SPACING_BETWEEN_SLICES: Tag = 0x0018_0088;
pub const TRIGGER_TIME: Tag = 0x0018_1060;
pub const IMAGER_PIXEL_SPACING: Tag = 0x0018_1164;
pub const B_VALUE: Tag = 0x0018_9087;
pub const SERIES: Tag = 0x0020_000e;
pub const ACQUISITION: Tag = 0x0020_0012;
pub const INSTANCE_NUMBER: Tag = 0x0020_0013;
pub const POSITION: Tag = 0x0020_0032;
pub const ORIENTATION: Tag = 0x0020_0037;
pub const TEMPORAL_POSITION: Tag = 0x0020_0100;
pub const PLANE_POSITION: Tag = 0x0020_9113;
pub const PLANE_ORIENTATION: Tag = 0x0020_9116;
pub const SAMPLES: Tag = 0x0028_0002;
pub const PHOTOMETRIC: Tag = 0x0028_0004;
pub const PLANAR: Tag = 0x0028_0006;
pub const FRAMES: Tag = 0x0028_0008;
pub const ROWS: Tag = 0x0028_0010;
pub const COLUMNS: Tag = 0x0028_0011;
pub const PIXEL_SPACING: Tag = 0x0028_0030;
pub const ASPECT_RATIO: Tag = 0x0028_0034;
pub const BITS_ALLOCATED: Tag = 0x0028_0100;
pub const BITS_STORED: Tag = 0x0028_0101;
pub const HIGH_BIT: Tag = 0x0028_0102;
pub const SIGNED: Tag = 0x0028_0103;
pub const PADDING: Tag = 0x0028_0120;
pub const WINDOW_CENTER: Tag = 0x0028_1050;
pub const WINDOW_WIDTH: Tag = 0x0028_1051;
pub const INTERCEPT: Tag = 0x0028_1052;
pub const SLOPE: Tag = 0x0028_1053;
pub const RESCALE_TYPE: Tag = 0x0028_1054;
pub const WINDOW_FUNCTION: Tag = 0x0028_1056;
/// Of red; green and blue follow.
pub const PALETTE_DESCRIPTOR: Tag = 0x0028_1101;
pub const PALETTE_DATA: Tag = 0x0028_1201;
/// A table from stored values to values, and what it holds.
pub const MODALITY_LUT: Tag = 0x0028_3000;
pub const LUT_DESCRIPTOR: Tag = 0x0028_3002;
pub const LUT_DATA: Tag = 0x0028_3006;
/// A table from values to what is shown.
pub const VOI_LUT: Tag = 0x0028_3010;
pub const PIXEL_MEASURES: Tag = 0x0028_9110;
pub const FRAME_WINDOW: Tag = 0x0028_9132;
pub const PIXEL_TRANSFORMATION: Tag = 0x0028_9145;
pub const SHARED_GROUPS: Tag = 0x5200_9229;
pub const FRAME_GROUPS: Tag = 0x5200_9230;
pub const FLOAT_PIXELS: Tag = 0x7fe0_0008;
pub const DOUBLE_PIXELS: Tag = 0x7fe0_0009;
pub const PIXELS: Tag = 0x7fe0_0010;

/// Whether an element is one of these.
pub fn is_kept(tag: Tag) -> bool {
    matches!(
        tag,
        TRANSFER_SYNTAX
            | IMAGE_TYPE
            | MODALITY
            | SLICE_THICKNESS
            | ECHO_TIME
            | ECHO_NUMBER
            | SPACING_BETWEEN_SLICES
            | TRIGGER_TIME
            | IMAGER_PIXEL_SPACING
            | B_VALUE
            | SERIES
            | ACQUISITION
            | INSTANCE_NUMBER
            | POSITION
            | ORIENTATION
            | TEMPORAL_POSITION
            | PLANE_POSITION
            | PLANE_ORIENTATION
            | SAMPLES..=PIXEL_SPACING
            | ASPECT_RATIO
            | BITS_ALLOCATED..=SIGNED
            | PADDING
            | WINDOW_CENTER..=WINDOW_FUNCTION
            | PALETTE_DESCRIPTOR..=0x0028_1103
            | PALETTE_DATA..=0x0028_1203
            | MODALITY_LUT
            | LUT_DESCRIPTOR
            | LUT_DATA
            | VOI_LUT
            | PIXEL_MEASURES
            | FRAME_WINDOW
            | PIXEL_TRANSFORMATION
            | SHARED_GROUPS
            | FRAME_GROUPS
            | FLOAT_PIXELS
            | DOUBLE_PIXELS
            | PIXELS
    )
}
