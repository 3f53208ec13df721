//! Stacks that are written keep pixels, spacing and orientation, and say nothing of the patient.

use crate::command_line::{complaint, program, text};
use crate::volume_files::Dicom;
use epsiloscope::data::{About, Bounds, Grid, Made, Pixels, Stack, StoredType, Unit, open, write_stack};
use std::path::Path;
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

pub fn values(stack: &Stack) -> Vec<f32> {
    (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
}

pub fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

/// 5 × 4 pixels in 3 slices, CT, tilted by 30° about the first axis.
pub fn ct() -> Stack {
    let pixels: Vec<i16> = (0..60).map(|i| i * 37 - 1024).collect();
    let stack = Stack::new([3, 1, 4, 5], Pixels::I16(pixels.into())).unwrap();
    let (sine, cosine) = (0.5, 0.75f32.sqrt());
    let about = About {
        modality: Some("CT".to_owned()),
        unit: Unit::Hounsfield,
        grid: Some(Grid { slope: 1.0, intercept: -1024.0, least: 0.0, most: 4095.0 }),
        spacing: Some([2.5, 0.75, 0.5]),
        window: Some(Bounds { lower: -160.0, upper: 240.0 }),
        affine: Some([
            [-0.5, 0.0, 0.0, 10.0],
            [0.0, -0.75 * cosine, 2.5 * -sine, 20.0],
            [0.0, -0.75 * sine, 2.5 * cosine, 30.0],
        ]),
        ..About::default()
    };
    let shown = Bounds { lower: -160.0, upper: 240.0 };
    let bounds = Bounds { lower: -1024.0, upper: 3071.0 };
    Stack { about: about.into(), shown, bounds, ..stack }
}

pub fn made() -> Made {
    Made {
        title: "Test".to_owned(),
        description: "A test".to_owned(),
        synthetic: true,
        seed: Some(1),
        ..Made::default()
    }
}

#[test]
fn geometry_outlives_every_format_that_has_room_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let ct = ct();
    for name in ["a.nii", "a.nii.gz", "series/", "a.tif", "a.npy"] {
        let path = folder.path().join(name);
        write_stack(&path, &ct, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        assert_eq!(values(&read), values(&ct), "{name}");
        assert_eq!(read.slices, 3, "{name}");
        if name.ends_with(".npy") {
            continue;
        }
        assert!(near(&read.about.spacing.unwrap(), &[2.5, 0.75, 0.5], 1e-5), "{name}: {:?}", read.about.spacing);
        if name.ends_with(".tif") {
            continue;
        }
        let affine = |stack: &Stack| stack.about.affine.unwrap().as_flattened().to_vec();
        assert!(near(&affine(&read), &affine(&ct), 1e-4), "{name}: {:?}", read.about.affine);
        assert_eq!(read.about.axes(), ct.about.axes());
        assert!(near(&[read.shown.lower, read.shown.upper], &[-160.0, 240.0], 1e-3), "{name}: {:?}", read.shown);
    }
    let series = open(&folder.path().join("series"), &GO).unwrap();
    assert_eq!((series.bounds, series.about.unit, series.about.grid), (ct.bounds, Unit::Hounsfield, ct.about.grid));
    assert!(series.about.notes.is_empty(), "{:?}", series.about.notes);
}

#[test]
fn volumes_that_follow_one_another_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let spacing = Some([3.0, 0.75, 0.5]);
    let affine = Some([[0.5, 0.0, 0.0, 1.0], [0.0, 0.75, 0.0, 2.0], [0.0, 0.0, 3.0, 3.0]]);
    let about = About { volume: Some(4), spacing, affine, ..About::default() };
    let film = Stack::new([12, 1, 30, 31], Pixels::U16((0..12 * 930).map(|i| i as u16).collect())).unwrap();
    let film = Stack { about: about.into(), ..film };
    assert!(!film.is_volume(), "planes through all of them make no sense");
    // The second slice of the second volume.
    let place = |stack: &Stack| stack.about.affine.unwrap()[2][3];
    assert_eq!(place(&film.only(5).unwrap()), 6.0);
    for name in ["a.nii", "a.tif"] {
        let path = folder.path().join(name);
        write_stack(&path, &film, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        assert_eq!((read.slices, read.about.volume), (12, Some(4)), "{name}");
        assert!(near(&values(&read), &values(&film), 0.0), "{name}");
        if name == "a.nii" {
            assert_eq!(place(&read.only(5).unwrap()), 6.0);
            let head = std::fs::read(&path).unwrap();
            assert_eq!(head[40..50], [4, 0, 31, 0, 30, 0, 4, 0, 3, 0]);
        }
    }
    // A series of DICOM: the first volume is opened, and the others are told of.
    let path = folder.path().join("series/");
    write_stack(&path, &film, &made()).unwrap();
    let read = open(&path, &GO).unwrap();
    assert_eq!((read.slices, values(&read)), (4, values(&film)[..4 * 930].to_vec()));
    assert!(read.about.notes.iter().any(|note| note.contains("3 volumes (times)")), "{:?}", read.about.notes);
}

#[test]
fn shears_that_dicom_cannot_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let affine = Some([[1.0, 0.3, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]);
    let sheared = ct();
    let about = About { affine, ..(*sheared.about).clone() };
    let sheared = Stack { about: about.into(), ..sheared };
    let error = write_stack(&folder.path().join("series/"), &sheared, &made()).unwrap_err().to_string();
    assert!(error.contains("right angles") && error.contains("NIfTI"), "{error}");
    write_stack(&folder.path().join("a.nii"), &sheared, &made()).unwrap();
}

#[test]
fn a_slice_stays_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let one = ct().only(2).unwrap();
    for name in ["a.dcm", "a.nii"] {
        let path = folder.path().join(name);
        write_stack(&path, &one, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        assert_eq!(values(&read), values(&ct())[40..], "{name}");
        let origin = read.about.affine.unwrap().map(|row| row[3]);
        let there = [10.0, 20.0 - 2.5, 30.0 + 5.0 * 0.75f32.sqrt()];
        assert!(near(&origin, &there, 1e-4), "{name}: {origin:?}");
    }
    let error = write_stack(&folder.path().join("b.dcm"), &ct(), &made()).unwrap_err().to_string();
    assert!(error.contains("there are 3") && error.contains("series"), "{error}");
    let error = write_stack(&folder.path().join("b.png"), &ct().only(0).unwrap(), &made()).unwrap_err().to_string();
    assert!(error.contains("PNG"), "{error}");
    let error = write_stack(folder.path(), &ct(), &made()).unwrap_err().to_string();
    assert!(error.contains("files in it"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written is left");
}

#[test]
fn derived_dicom_says_what_it_is_and_is_new_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dcm");
    let write = |seed| {
        write_stack(&path, &ct().only(0).unwrap(), &Made { seed, ..made() }).unwrap();
        std::fs::read(&path).unwrap()
    };
    let holds = |file: &[u8], words: &str| file.windows(words.len()).any(|bytes| bytes == words.as_bytes());
    let file = write(Some(4));
    for words in
        ["DERIVED\\SECONDARY\\AXIAL", "SYNTHETIC Test", "ANONYMOUS", "not for diagnosis", "1.2.840.10008.5.1.4.1.1.2"]
    {
        assert!(holds(&file, words), "{words}");
    }
    assert_eq!(file, write(Some(4)));
    assert_ne!(write(None), write(None));
    // Compressed without loss, it holds the same.
    write_stack(&path, &ct().only(0).unwrap(), &Made { compressed: true, ..made() }).unwrap();
    let read = open(&path, &GO).unwrap();
    assert_eq!(read.about.format, "DICOM, JPEG-LS");
    assert_eq!(values(&read), values(&ct())[..20]);
}

/// A volume of which only the values tell that it is CT.
#[test]
fn what_a_person_says_to_be_hounsfield_units_becomes_ct_and_so_does_its_attacked_slice() {
    let folder = tempfile::tempdir().unwrap();
    let nifti = folder.path().join("ct.nii.gz");
    let unsaid = ct();
    // A fifth air, the rest tissue and bone.
    let tissue = (0..60i16).map(|i| if i % 5 == 0 { -1000 - i % 3 } else { i * 9 - 180 });
    let unsaid = Stack { pixels: Pixels::I16(tissue.collect()), ..unsaid };
    // Shifted by half the grid, as NIfTI holds them: no unit, no window.
    let about = About { window: None, grid: None, ..(*unsaid.about).clone() };
    write_stack(&nifti, &Stack { about: about.into(), ..unsaid }, &Made::default()).unwrap();
    let guessed = open(&nifti, &GO).unwrap();
    assert_eq!((guessed.about.unit, guessed.about.unit_guessed), (Unit::Hounsfield, true));
    // A guess is not written down as a fact.
    let path = folder.path().join("guessed.dcm");
    write_stack(&path, &guessed.only(2).unwrap(), &made()).unwrap();
    let read = open(&path, &GO).unwrap();
    assert_eq!((read.about.modality.as_deref(), read.about.unit), (Some("OT"), Unit::Unknown));
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(26).any(|found| found == b"1.2.840.10008.5.1.4.1.1.2\0"), "no CT image");
    assert_eq!(values(&read), values(&guessed)[40..]);
    let volume = guessed.with_unit(Unit::Hounsfield);
    assert_eq!(volume.shown, Bounds { lower: -160.0, upper: 240.0 }, "soft tissue");
    let case = epsiloscope::data::Case::from_slice(&volume, 2, "ct").unwrap();
    // 65.4 HU are stored as 65.
    let pixels: Vec<f32> = case.image.pixels.iter().map(|v| v + 65.4).collect();
    let attacked = case.as_stack(&epsiloscope::data::Image { pixels: pixels.into(), ..case.image.clone() }).unwrap();
    for (stack, name) in [(volume.only(2).unwrap(), "plain.dcm"), (attacked, "attacked.dcm")] {
        let path = folder.path().join(name);
        write_stack(&path, &stack, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        assert_eq!((read.about.modality.as_deref(), read.about.unit), (Some("CT"), Unit::Hounsfield), "{name}");
        assert_eq!(read.about.spacing, volume.about.spacing, "{name}");
        assert_eq!((read.about.axes(), read.shown), (volume.about.axes(), volume.shown), "{name}");
        let origin = |stack: &Stack| stack.about.affine.unwrap().map(|row| row[3]);
        assert!(near(&origin(&read), &origin(&volume.only(2).unwrap()), 1e-3), "{name}");
        let added = if name == "attacked.dcm" { 65.0 } else { 0.0 };
        let wanted: Vec<f32> = case.image.pixels.iter().map(|v| v + added).collect();
        assert_eq!(values(&read), wanted, "{name}");
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.windows(25).any(|found| found == b"1.2.840.10008.5.1.4.1.1.2"), "{name} is no CT image");
    }
}

#[test]
fn floats_and_colours_are_written_as_each_format_can() {
    let folder = tempfile::tempdir().unwrap();
    let floats: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
    let grey = Stack::new([2, 1, 2, 6], Pixels::F32(floats.clone().into())).unwrap();
    let colour = Stack::new([2, 3, 2, 2], Pixels::U8((0..24).map(|i| i * 10).collect())).unwrap();
    for name in ["a.nii.gz", "a.tif", "a.npy", "series/"] {
        let path = folder.path().join(name);
        write_stack(&path, &grey, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        // Series are rounded to 16 bits over the range.
        let step = if name == "series/" { 6.0 / 65_535.0 } else { 0.0 };
        assert!(near(&values(&read), &floats, step), "{name}");
        if name == "a.npy" {
            // [2, 3, 2, 2]: channels first, as the other values are; arrays are read with channels last.
            continue;
        }
        let path = folder.path().join(format!("colour-{name}"));
        write_stack(&path, &colour, &made()).unwrap();
        let read = open(&path, &GO).unwrap();
        assert_eq!(values(&read), values(&colour), "{name}");
    }
    let deep = Stack::new([1, 3, 1, 2], Pixels::U16([1, 2, 3, 4, 5, 600].into())).unwrap();
    let error = write_stack(&folder.path().join("deep.nii"), &deep, &made()).unwrap_err().to_string();
    assert!(error.contains("more than 8 bits") && error.contains("TIFF"), "{error}");
}

#[test]
fn changed_values_are_rounded_to_what_the_file_stores() {
    let ct = ct();
    let changed = ct.with_values(values(&ct).iter().map(|v| v + 0.4).collect()).unwrap();
    assert_eq!(values(&changed), values(&ct));
    assert_eq!(changed.stored(), StoredType::I16);
    let beyond = ct.with_values(vec![5000.0; 60]).unwrap();
    assert_eq!(values(&beyond)[0], 3071.0);
    assert!(ct.with_values(vec![0.0; 59]).is_err());
}

fn export(folder: &Path, words: &[&str]) -> std::process::Output {
    program(folder).args(["image", "export"]).args(words).output().unwrap()
}

#[test]
fn files_are_inspected_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // White is the least of 12 bits.
    let inverted = Dicom::ct()
        .with(0x0028_0004, "CS", b"MONOCHROME1")
        .with(0x0028_0101, "US", &12u16.to_le_bytes())
        .with(0x0028_0102, "US", &11u16.to_le_bytes())
        .with(0x0028_0103, "US", &0u16.to_le_bytes())
        .with(0x7fe0_0010, "OW", &[0, 0, 1, 0, 0xff, 0x0f, 2, 0, 3, 0, 4, 0])
        .without(0x0028_1050);
    std::fs::write(here.join("ct.dcm"), Dicom::ct().file()).unwrap();
    std::fs::write(here.join("inverted.dcm"), inverted.file()).unwrap();

    let said = |words: &[&str]| {
        let output = program(here).args(["image", "inspect"]).args(words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let plain = said(&["ct.dcm"]);
    for line in [
        "format: DICOM, explicit little endian",
        "slices: 1",
        "type: int16",
        "range: -1200 to -200",
        "unit: HU",
        "bounds: -1200 to 3071",
        "window: -160.5 to 239.5",
        "rescale: 2 × stored + -1000",
    ] {
        assert!(plain.lines().any(|said| said == line), "{line}\n{plain}");
    }
    assert!(plain.contains("spacing: 4 × 0.5 × 0.25 mm") && plain.contains("orientation: LPS"), "{plain}");
    assert!(!plain.contains("SECRET"));
    assert!(said(&["ct.dcm", "--identifying"]).contains("patient name: SECRET^NAME"));
    let json: serde_json::Value = serde_json::from_str(&said(&["ct.dcm", "--json"])).unwrap();
    assert_eq!((&json["shape"], &json["orientation"]), (&serde_json::json!([1, 1, 2, 3]), &"LPS".into()));

    for (file, first) in [("ct.dcm", [-1200.0, -1000.0]), ("inverted.dcm", [-1000.0, -998.0])] {
        assert!(export(here, &[file, "--out", "a.npy"]).status.success());
        let bytes = std::fs::read(here.join("a.npy")).unwrap();
        let numbers: Vec<f32> = bytes[128..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        assert!(bytes.starts_with(b"\x93NUMPY") && text(&bytes[10..90]).contains("'<f4'"), "{file}");
        assert!(text(&bytes[10..90]).contains("(2, 3)"), "{file}");
        assert_eq!((numbers.len(), &numbers[..2]), (6, &first[..]), "{file}");
    }
    // As displayed: the darkest number stored is white.
    assert!(export(here, &["inverted.dcm", "--out", "a.png", "--slice", "0"]).status.success());
    let shown = open(&here.join("a.png"), &GO).unwrap();
    assert_eq!((values(&shown)[0], values(&shown)[2]), (255.0, 0.0));

    for (words, identified) in
        [(&["ct.dcm", "--out", "b.dcm"][..], false), (&["ct.dcm", "--out", "b.dcm", "--identifying"], true)]
    {
        assert!(export(here, words).status.success());
        let file = std::fs::read(here.join("b.dcm")).unwrap();
        assert_eq!(file.windows(6).any(|bytes| bytes == b"SECRET"), identified);
    }

    let complain = |words: &[&str]| complaint(&export(here, words));
    assert!(complain(&["ct.dcm", "--out", "c.npy", "--slice", "1"]).contains("no slice 1"));
    assert!(complain(&["ct.dcm", "--out", "c.jpg"]).contains(".nii.gz"));
    assert!(complain(&["ct.dcm", "--out", "ct.dcm"]).contains("is read"));
    assert!(complain(&["ct.dcm", "--out", "nowhere/c.npy"]).contains("does not exist"));
    assert!(complain(&["none.dcm", "--out", "c.npy"]).contains("does not exist"));
    assert!(!here.join("c.npy").exists());
}
