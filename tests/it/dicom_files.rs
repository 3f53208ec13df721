//! DICOM in all its variants: the same pixels whatever the syntax and compression, and what a file says of them.

use crate::damage_samples::{
    big_endian, colour_dicom, colour_of_codecs, encapsulated, grey_dicom, grey_of_codecs, implicit, samples,
};
use crate::volume_files::{Dicom, bytes, element};
use epsiloscope::data::{Stack, StoredType, Unit, open, open_bytes};
use std::sync::atomic::AtomicBool;

fn values(file: &[u8]) -> Vec<f32> {
    let stack = open_bytes("a.dcm", file).unwrap();
    (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
}

fn notes(stack: &Stack) -> String {
    stack.about.notes.join("; ")
}

/// A sequence of items, each of elements.
fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    let item =
        |item: &Vec<u8>| [b"\xfe\xff\x00\xe0".to_vec(), (item.len() as u32).to_le_bytes().to_vec(), item.clone()];
    items.iter().flat_map(|elements| item(elements).concat()).collect()
}

#[test]
fn every_lossless_syntax_gives_the_same_greys() {
    let expected: Vec<f32> = (0..24 * 17).map(|i| f32::from(grey_of_codecs(i % 24, i / 24))).collect();
    let mut count = 0;
    for sample in samples() {
        let lossless =
            ["explicit", "no-meta", "implicit", "big-endian", "deflated", "rle", "lossless", "jpeg-ls", "jpeg-2000"];
        if lossless.iter().any(|name| sample.name == format!("{name}.dcm")) {
            assert_eq!(values(&(sample.wrap)(&sample.inner)), expected, "{}", sample.name);
            count += 1;
        }
    }
    assert_eq!(count, 9);
}

#[test]
fn colours_come_as_planes() {
    let expected: Vec<f32> =
        (0..3).flat_map(|c| (0..24 * 17).map(move |i| f32::from(colour_of_codecs(i % 24, i / 24)[c]))).collect();
    let rgb = colour_dicom("RGB");
    let planes: Vec<u8> = expected.iter().map(|&v| v as u8).collect();
    let planar = rgb.clone().with(0x0028_0006, "US", &1u16.to_le_bytes()).with(0x7fe0_0010, "OB", &planes);
    let jls = include_bytes!("../fixtures/codecs/colour.jls");
    let j2k = include_bytes!("../fixtures/codecs/colour.j2k");
    for file in [
        rgb.file(),
        planar.file(),
        implicit(&planar),
        big_endian(&rgb),
        big_endian(&planar),
        encapsulated(&rgb, ".4.80", jls),
        encapsulated(&colour_dicom("YBR_RCT"), ".4.90", j2k),
    ] {
        assert_eq!(values(&file), expected);
    }
    // Luminance and differences: PS3.3, C.7.6.3.1.2.
    let ybr: Vec<u8> = [90, 160, 100].repeat(24 * 17);
    let full = values(&colour_dicom("YBR_FULL").with(0x7fe0_0010, "OB", &ybr).file());
    assert_eq!([full[0], full[408], full[816]], [51.0, 99.0, 147.0]);
    let shared = colour_dicom("YBR_FULL_422").with(0x7fe0_0010, "OB", &[90, 90, 160, 100].repeat(12 * 17));
    assert_eq!(values(&shared.file()), full);
}

#[test]
fn lossy_jpeg_of_twelve_bits_is_near() {
    let jpeg = include_bytes!("../fixtures/codecs/smooth-12bit.jpeg");
    for (i, value) in values(&encapsulated(&grey_dicom(), ".4.51", jpeg)).into_iter().enumerate() {
        assert!((value - (100 * (i % 24) + 80 * (i / 24)) as f32).abs() < 16.0, "{i}: {value}");
    }
}

#[test]
fn bits_that_do_not_count_are_dropped_and_signs_extended() {
    // The uppermost bits hold an overlay, as old files have it.
    let samples = bytes(false, [0xf801u16, 0x17ff, 0x8000, 0x0fff, 0x4800, 7].map(u16::to_le_bytes));
    let file = Dicom::ct()
        .with(0x0028_0101, "US", &12u16.to_le_bytes())
        .with(0x0028_0102, "US", &11u16.to_le_bytes())
        .with(0x0028_1052, "DS", b"0")
        .with(0x0028_1053, "DS", b"1")
        .with(0x7fe0_0010, "OW", &samples);
    assert_eq!(values(&file.file()), [-2047.0, 2047.0, 0.0, -1.0, -2048.0, 7.0]);
    assert_eq!(values(&big_endian(&file)), values(&file.file()));
    assert_eq!(open_bytes("a.dcm", &file.file()).unwrap().stored(), StoredType::I16);
    let wide = bytes(false, [-100_000i32, 0, 1, 2, 3, 16_000_000].map(i32::to_le_bytes));
    let wide = file
        .with(0x0028_0100, "US", &32u16.to_le_bytes())
        .with(0x0028_0101, "US", &32u16.to_le_bytes())
        .with(0x0028_0102, "US", &31u16.to_le_bytes())
        .with(0x7fe0_0010, "OW", &wide);
    assert_eq!(values(&wide.file()), [-100_000.0, 0.0, 1.0, 2.0, 3.0, 16_000_000.0]);
}

#[test]
fn look_up_tables_say_what_values_mean() {
    let table = [
        element(0x0028_3002, "US", &bytes(false, [4u16, 10, 16].map(u16::to_le_bytes))),
        element(0x0028_3006, "US", &bytes(false, [500u16, 600, 800, 1200].map(u16::to_le_bytes))),
    ]
    .concat();
    let samples = bytes(false, [0u16, 10, 11, 12, 13, 99].map(u16::to_le_bytes));
    let file = Dicom::ct()
        .with(0x0028_0103, "US", &0u16.to_le_bytes())
        .with(0x0028_3000, "SQ", &sequence(&[table]))
        .with(0x7fe0_0010, "OW", &samples);
    let stack = open_bytes("a.dcm", &file.file()).unwrap();
    assert_eq!(values(&file.file()), [500.0, 500.0, 600.0, 800.0, 1200.0, 1200.0]);
    assert!(notes(&stack).contains("look-up table in the file"), "{}", notes(&stack));
    let shown = Dicom::ct().with(0x0028_3010, "SQ", &sequence(&[Vec::new()]));
    let stack = open_bytes("a.dcm", &shown.file()).unwrap();
    assert!(notes(&stack).contains("for display is not applied"), "{}", notes(&stack));
}

/// Two frames with a rescale and a position of their own, and a spacing that they share.
#[test]
fn frames_have_their_own_groups() {
    let group = |place: &str, slope: &str| {
        let position = element(0x0020_0032, "DS", place.as_bytes());
        let rescale = [element(0x0028_1052, "DS", b"-1000"), element(0x0028_1053, "DS", slope.as_bytes())].concat();
        let sequences =
            [element(0x0020_9113, "SQ", &sequence(&[position])), element(0x0028_9145, "SQ", &sequence(&[rescale]))];
        sequences.concat()
    };
    let measures = element(0x0028_0030, "DS", b"0.7\\0.8");
    let shared = element(0x0028_9110, "SQ", &sequence(&[measures]));
    let samples: Vec<u8> = (0..12u16).flat_map(u16::to_le_bytes).collect();
    let file = Dicom::ct()
        .without(0x0020_0032)
        .without(0x0028_0030)
        .without(0x0028_1052)
        .without(0x0028_1053)
        .with(0x0028_0008, "IS", b"2")
        .with(0x5200_9229, "SQ", &sequence(&[shared]))
        .with(0x5200_9230, "SQ", &sequence(&[group("0\\0\\5", "1"), group("0\\0\\7.5", "2")]))
        .with(0x7fe0_0010, "OW", &samples);
    let stack = open_bytes("a.dcm", &file.file()).unwrap();
    assert_eq!(values(&file.file())[..2], [-1000.0, -999.0]);
    assert_eq!(values(&file.file())[6..8], [-988.0, -986.0]);
    assert_eq!(stack.about.spacing, Some([2.5, 0.7, 0.8]));
    // More frames than the file holds, and a number that is none.
    for (count, words) in [("3", "cut short"), ("999999999", "frames"), ("a few", "number of frames")] {
        let file = Dicom::ct().with(0x0028_0008, "IS", count.as_bytes()).file();
        let error = open_bytes("a.dcm", &file).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Frames of one file with groups that say where each lies, and what they are rescaled to.
fn frames_at(places: &[f64], kind: &str) -> Dicom {
    let group = |z: &f64| {
        let position = element(0x0020_0032, "DS", format!("0\\0\\{z}").as_bytes());
        let rescale = [
            element(0x0028_1052, "DS", b"0"),
            element(0x0028_1053, "DS", b"1"),
            element(0x0028_1054, "LO", kind.as_bytes()),
        ];
        let rescale = element(0x0028_9145, "SQ", &sequence(&[rescale.concat()]));
        [element(0x0020_9113, "SQ", &sequence(&[position])), rescale].concat()
    };
    let groups: Vec<Vec<u8>> = places.iter().map(group).collect();
    let samples: Vec<u8> = (0..places.len() * 6).flat_map(|i| ((i / 6) as u16).to_le_bytes()).collect();
    Dicom::ct()
        .without(0x0020_0032)
        .without(0x0028_1052)
        .without(0x0028_1053)
        .with(0x0028_0008, "IS", places.len().to_string().as_bytes())
        .with(0x5200_9230, "SQ", &sequence(&groups))
        .with(0x7fe0_0010, "OW", &samples)
}

#[test]
fn frames_are_sorted_by_their_places() {
    let file = frames_at(&[0.0, 6.0, 3.0, 9.0], "HU").file();
    let stack = open_bytes("a.dcm", &file).unwrap();
    assert_eq!(values(&file).chunks(6).map(|frame| frame[0]).collect::<Vec<_>>(), [0.0, 2.0, 1.0, 3.0]);
    assert_eq!((stack.about.spacing, stack.about.unit), (Some([3.0, 0.5, 0.25]), Unit::Hounsfield));
    assert!(notes(&stack).contains("sorted by their places") && !notes(&stack).contains("evenly"), "{}", notes(&stack));
    // What frames say of their unit counts: atomic numbers are no Hounsfield units.
    let stack = open_bytes("a.dcm", &frames_at(&[0.0, 3.0], "Z_EFF").file()).unwrap();
    assert_eq!(stack.about.unit, Unit::Unknown);
    // Two times of two slices.
    let stack = open_bytes("a.dcm", &frames_at(&[0.0, 3.0, 0.0, 3.0], "HU").file()).unwrap();
    assert_eq!((stack.slices, stack.about.volume, stack.about.spacing), (4, Some(2), Some([3.0, 0.5, 0.25])));
}

#[test]
fn pixels_that_are_not_square_are_noted() {
    let file = Dicom::ct().without(0x0028_0030).with(0x0028_0034, "IS", b"2\\1");
    let stack = open_bytes("a.dcm", &file.file()).unwrap();
    assert!(notes(&stack).contains("2 : 1 (height to width)"), "{}", notes(&stack));
    assert_eq!(stack.about.spacing, None);
}

#[test]
fn slices_that_are_shifted_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    for slice in 0..4 {
        let position = format!("0\\{}\\{}", slice, slice * 5);
        let file = Dicom::ct().with(0x0020_0032, "DS", position.as_bytes());
        std::fs::write(folder.path().join(slice.to_string()), file.file()).unwrap();
    }
    let stack = open(folder.path(), &AtomicBool::new(false)).unwrap();
    // atan(1/5) = 11.3°
    assert!(notes(&stack).contains("tilted by 11.3°"), "{}", notes(&stack));
}
