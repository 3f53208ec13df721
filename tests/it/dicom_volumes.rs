//! CT and MR in DICOM: units, greys that are turned round, padding, and what makes a series a volume.

use crate::volume_files::{Dicom, bytes, element};
use crate::volumes::{shape, values};
use epsiloscope::data::{Bounds, Case, Stack, StoredType, Unit, open, open_bytes};
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

#[test]
fn ct_is_in_hounsfield_units_and_forgets_the_patient() {
    for file in [Dicom::ct().file(), Dicom::ct().data_set()] {
        let stack = open_bytes("a.dcm", &file).unwrap();
        assert_eq!(values(&stack), [-1200.0, -1000.0, -800.0, -600.0, -400.0, -200.0]);
        assert_eq!((stack.about.unit, stack.about.modality.as_deref()), (Unit::Hounsfield, Some("CT")));
        // Wider than usual, so that no value lies outside.
        assert_eq!(stack.bounds, Bounds { lower: -1200.0, upper: 3071.0 });
        assert!(stack.about.notes[0].contains("-1200 to 3071"), "{:?}", stack.about.notes);
        assert_eq!(stack.shown, Bounds { lower: -160.5, upper: 239.5 });
        assert_eq!((stack.about.spacing, stack.about.axes()), (Some([4.0, 0.5, 0.25]), Some(['L', 'P', 'S'])));
        assert!(!format!("{stack:?}").contains("SECRET"));
        // Nothing is clipped, which would be further than an attack may go.
        assert_eq!(Case::from_slice(&stack, 0, "a").unwrap().image.pixels[..], values(&stack));
    }
}

#[test]
fn greys_that_are_stored_turned_round_are_turned_back() {
    let file = Dicom::ct()
        .with(0x0008_0060, "CS", b"CR")
        .with(0x0028_0004, "CS", b"MONOCHROME1")
        .with(0x0028_0101, "US", &12u16.to_le_bytes())
        .with(0x0028_0102, "US", &11u16.to_le_bytes())
        .with(0x0028_0103, "US", &0u16.to_le_bytes())
        .with(0x7fe0_0010, "OW", &[0, 0, 1, 0, 0xff, 0x0f, 2, 0xf0, 3, 0, 4, 0]);
    let raw = file.clone().without(0x0028_1052).without(0x0028_1053);
    let stack = open_bytes("a.dcm", &raw.file()).unwrap();
    assert_eq!(values(&stack), [4095.0, 4094.0, 0.0, 4093.0, 4092.0, 4091.0]);
    assert_eq!(stack.stored(), StoredType::U16);
    assert_eq!(stack.shown, Bounds { lower: 4095.0 - 239.5, upper: 4095.0 + 160.5 });
    let rescaled = open_bytes("a.dcm", &file.file()).unwrap();
    assert_eq!(values(&rescaled)[..2], [7190.0, 7188.0]);
    assert_eq!(rescaled.about.unit, Unit::Unknown);
}

#[test]
fn metal_and_padding_lie_within_the_bounds() {
    let samples = bytes(false, [-2000i16, 0, 40, 20_000, 900, 7].map(i16::to_le_bytes));
    let file = Dicom::ct()
        .with(0x0028_0120, "US", &(-2000i16).to_le_bytes())
        .with(0x0028_1052, "DS", b"0")
        .with(0x0028_1053, "DS", b"1")
        .with(0x7fe0_0010, "OW", &samples);
    let stack = open_bytes("a.dcm", &file.file()).unwrap();
    assert_eq!(stack.bounds, Bounds { lower: -2000.0, upper: 20_000.0 });
    assert!(stack.about.notes[0].contains("-2000 to 20000; -2000 is padding"), "{:?}", stack.about.notes);
}

#[test]
fn white_as_the_least_value_is_undone_in_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let stored = |stack: &Stack| {
        let path = folder.path().join("a.npy");
        epsiloscope::data::write_stack(&path, stack, &epsiloscope::data::Made::default()).unwrap();
        let bytes = std::fs::read(path).unwrap();
        bytes[128..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect::<Vec<_>>()
    };
    let white = Dicom::ct()
        .with(0x0008_0060, "CS", b"PT")
        .with(0x0028_0004, "CS", b"MONOCHROME1")
        .with(0x0028_0101, "US", &12u16.to_le_bytes())
        .with(0x0028_0102, "US", &11u16.to_le_bytes())
        .with(0x0028_0103, "US", &0u16.to_le_bytes())
        .with(0x7fe0_0010, "OW", &[0, 0, 1, 0, 0xff, 0x0f, 2, 0, 3, 0, 4, 0]);
    // A slope for each slice.
    let series = folder.path().join("series");
    std::fs::create_dir(&series).unwrap();
    for slice in 0..3u8 {
        let file = white
            .clone()
            .with(0x0020_0032, "DS", format!("0\\0\\{slice}").as_bytes())
            .with(0x0028_1052, "DS", b"0")
            .with(0x0028_1053, "DS", format!("{}", slice + 1).as_bytes());
        std::fs::write(series.join(slice.to_string()), file.file()).unwrap();
    }
    let stack = open(&series, &GO).unwrap();
    assert_eq!(values(&stack)[..3], [4095.0, 4094.0, 0.0]);
    assert_eq!(values(&stack)[12..15], [12_285.0, 12_282.0, 0.0]);
    let found = stored(&stack);
    assert_eq!((&found[..3], &found[12..15]), (&[0.0, 1.0, 4095.0][..], &[0.0, 3.0, 12_285.0][..]));
    // A table of values.
    let table = [
        element(0x0028_3002, "US", &bytes(false, [4u16, 0, 12].map(u16::to_le_bytes))),
        element(0x0028_3006, "US", &bytes(false, [5u16, 6, 8, 1200].map(u16::to_le_bytes))),
    ]
    .concat();
    let item = [b"\xfe\xff\x00\xe0".to_vec(), (table.len() as u32).to_le_bytes().to_vec(), table].concat();
    let table = white.clone().with(0x0028_3000, "SQ", &item).without(0x0028_1052).without(0x0028_1053);
    let stack = open_bytes("a.dcm", &table.file()).unwrap();
    assert_eq!(values(&stack)[..3], [4090.0, 4089.0, 2895.0]);
    assert_eq!(stored(&stack)[..4], [5.0, 6.0, 1200.0, 8.0]);
    // Numbers of 32 bits would lose digits: they stay as they are, and that is said.
    let wide = white
        .with(0x0028_0100, "US", &32u16.to_le_bytes())
        .with(0x0028_0101, "US", &32u16.to_le_bytes())
        .with(0x0028_0102, "US", &31u16.to_le_bytes())
        .with(0x7fe0_0010, "OW", &bytes(false, [0u32, 1, 999_999, 3, 4, 5].map(u32::to_le_bytes)))
        .without(0x0028_1052)
        .without(0x0028_1053);
    let stack = open_bytes("a.dcm", &wide.file()).unwrap();
    assert_eq!((values(&stack)[2], stored(&stack)[2]), (999_999.0, 999_999.0));
    assert!(stack.about.notes[0].contains("as they are stored"), "{:?}", stack.about.notes);
}

#[test]
fn images_of_one_series_that_make_no_volume_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let series = |files: &[Dicom]| {
        let _ = std::fs::remove_dir_all(folder.path().join("s"));
        std::fs::create_dir(folder.path().join("s")).unwrap();
        for (index, file) in files.iter().enumerate() {
            let file = file.clone().with(0x0020_0013, "IS", index.to_string().as_bytes());
            std::fs::write(folder.path().join("s").join(index.to_string()), file.file()).unwrap();
        }
        open(&folder.path().join("s"), &GO)
    };
    let at = |z: usize| Dicom::ct().with(0x0020_0032, "DS", format!("0\\0\\{z}").as_bytes());
    let error = |files: &[Dicom]| series(files).unwrap_err().to_string();
    // Three planes of a localiser.
    let turned = at(1).with(0x0020_0037, "DS", b"0\\1\\0\\0\\0\\-1");
    let said = error(&[at(0), turned]);
    assert!(said.contains("2 orientations") && said.contains("1 as 0, 1 as 1"), "{said}");
    let said = error(&[at(0), at(1).with(0x0028_0030, "DS", b"1.5\\1.5")]);
    assert!(said.contains("0 has pixels of 0.5 × 0.25 mm, 1 has pixels of 1.5 × 1.5 mm"), "{said}");
    let said = error(&[at(0), at(1).without(0x0028_1052)]);
    assert!(said.contains("different units") && said.contains("1 is not"), "{said}");
    // Two echoes of five slices, interleaved.
    let echo = |z: usize, echo: usize| {
        at(z).with(0x0018_0086, "IS", echo.to_string().as_bytes()).with(
            0x0028_1052,
            "DS",
            format!("{}", 100 * echo).as_bytes(),
        )
    };
    let files: Vec<Dicom> = (0..10).map(|i| echo(i / 2 * 5, 2 - i % 2)).collect();
    let stack = series(&files).unwrap();
    assert_eq!((stack.slices, stack.about.spacing), (5, Some([5.0, 0.5, 0.25])));
    assert!(values(&stack).chunks(6).all(|slice| slice[1] == 100.0));
    assert!(stack.about.notes.iter().any(|note| note.contains("2 volumes (echoes)")), "{:?}", stack.about.notes);
    // The same without a word of echoes: by number.
    let files: Vec<Dicom> = (0..10).map(|i| echo(i % 5 * 5, i / 5).without(0x0018_0086)).collect();
    let stack = series(&files).unwrap();
    assert!(stack.slices == 5 && values(&stack).chunks(6).all(|slice| slice[1] == 0.0));
    assert!(stack.about.notes.iter().any(|note| note.contains("5 of its 10 images")), "{:?}", stack.about.notes);
    // One without a place: by number, and without an affine.
    let mut files: Vec<Dicom> = (0..6).map(|i| at(5 - i).with(0x0028_1052, "DS", i.to_string().as_bytes())).collect();
    files[3] = files[3].clone().without(0x0020_0032);
    let stack = series(&files).unwrap();
    assert_eq!(values(&stack).chunks(6).map(|slice| slice[1]).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(stack.about.affine, None);
    assert!(stack.about.notes.iter().any(|note| note.contains("1 of its 6 files")), "{:?}", stack.about.notes);
}

#[test]
fn a_folder_is_a_series_sorted_by_position() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, file: &Dicom| std::fs::write(folder.path().join(name), file.file()).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "nothing").unwrap();
    // The names and numbers run the other way; each slice has an intercept of its own.
    for (name, place) in [("c", 0), ("b", 1), ("a", 2)] {
        let position = format!("-10\\-20\\{}", 30 + 3 * place);
        let intercept = format!("{}", place * 10);
        let file = Dicom::ct().with(0x0020_0032, "DS", position.as_bytes());
        write(name, &file.with(0x0028_1052, "DS", intercept.as_bytes()));
    }
    let stack = open(folder.path(), &GO).unwrap();
    assert_eq!(shape(&stack), [3, 1, 2, 3]);
    assert_eq!(values(&stack).chunks(6).map(|slice| slice[1]).collect::<Vec<_>>(), [0.0, 10.0, 20.0]);
    assert_eq!((stack.about.spacing, stack.about.axes()), (Some([3.0, 0.5, 0.25]), Some(['L', 'P', 'S'])));
    assert_eq!(stack.about.affine.unwrap()[0], [-0.25, 0.0, 0.0, 10.0]);
    assert!(stack.about.notes.is_empty(), "{:?}", stack.about.notes);
    write("d", &Dicom::ct().with(0x0020_0032, "DS", b"-10\\-20\\99"));
    let notes = open(folder.path(), &GO).unwrap().about.notes.join("; ");
    assert!(notes.contains("20 slices seem to be missing") && notes.contains("1 of 3 steps differ"), "{notes}");
    write("d", &Dicom::ct().with(0x0020_0032, "DS", b"-10\\-20\\36"));
    let first = open(folder.path(), &GO).unwrap();
    let notes = first.about.notes.join("; ");
    assert!(notes.contains("1 of its 4 images lie where another one lies"), "{notes}");
    assert_eq!((first.slices, first.about.spacing), (3, Some([3.0, 0.5, 0.25])));
    write("d", &Dicom::ct().with(0x0028_0010, "US", &1u16.to_le_bytes()));
    let error = open(folder.path(), &GO).unwrap_err().to_string();
    assert!(error.contains("a has 3 × 2 pixels") && error.contains("d has 3 × 1 pixels"), "{error}");
    write("d", &Dicom::ct().with(0x0020_000e, "UI", b"1.2.4"));
    let error = open(folder.path(), &GO).unwrap_err().to_string();
    assert!(error.contains("holds 2 series (3 from a, 1 from d)"), "{error}");
}
