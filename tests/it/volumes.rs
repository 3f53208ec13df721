//! Volumes and data sets: the values, places and units that other programs read.

use crate::readers::shared;
use crate::volume_files::{Dicom, Nifti, bytes, cifar, element, gzip, idx, npy, zip};
use epsiloscope::data::{Bounds, Case, LabelStack, Stack, StoredType, Unit, open, open_bytes};
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

fn values(stack: &Stack) -> Vec<f32> {
    (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
}

fn shape(stack: &Stack) -> [usize; 4] {
    [stack.slices, stack.channels, stack.height, stack.width]
}

/// What `tests/reference/volumes.py` prints of a file.
fn line(stack: &Stack) -> Vec<String> {
    let sum =
        |value: &dyn Fn(usize, f32) -> f64| values(stack).iter().enumerate().map(|(i, &v)| value(i, v)).sum::<f64>();
    let range = values(stack).iter().fold([f32::MAX, f32::MIN], |[lo, hi], &v| [lo.min(v), hi.max(v)]);
    let mut line: Vec<String> = shape(stack).map(|n| n.to_string()).into();
    line.extend(range.map(|v| v.to_string()));
    line.push(sum(&|_, v| f64::from(v)).to_string());
    line.push(sum(&|i, v| f64::from(v) * (i % 251 + 1) as f64).to_string());
    let spacing = stack.about.spacing.map(|s| s.map(|v| v.to_string()).join(","));
    line.push(spacing.unwrap_or_else(|| "-".to_owned()));
    line.push(stack.about.axes().map_or_else(|| "-".to_owned(), |axes| axes.iter().collect()));
    line
}

/// Whether two lines say the same; numbers up to the order in which they were summed or, if `lossy`, roughly.
fn same(found: &[String], expected: &[&str]) -> bool {
    let lossy = expected.last() == Some(&"lossy");
    let parse = |text: &str| text.split(',').map(str::parse::<f64>).collect::<Result<Vec<_>, _>>().ok();
    let near = |(a, b): (&f64, &f64)| {
        let (absolute, relative) = if lossy { (8.0, 0.01) } else { (1e-3, 1e-8) };
        (a - b).abs() <= absolute + b.abs() * relative
    };
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, &expected)| match (parse(found), parse(expected)) {
            _ if matches!(expected, "?" | "lossy") => true,
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(near),
            _ => found == expected,
        })
}

#[test]
fn volumes_of_others_hold_what_other_programs_read() {
    let Some(readme) = shared("README.md") else { return };
    let root = readme.parent().unwrap();
    let mut problems = Vec::new();
    let mut read = 0;
    for line_of_file in include_str!("volumes.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (name, expected) = line_of_file.split_once('\t').unwrap();
        match open(&root.join(name), &GO) {
            Ok(stack) => {
                read += 1;
                let found = line(&stack);
                if !same(&found, &expected.split('\t').collect::<Vec<_>>()) {
                    problems.push(format!("{name}:\n  {}\n  {}", found.join(" "), expected.replace('\t', " ")));
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    println!("{read} files read");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(read > 50, "{read}");
}

#[test]
fn data_sets_of_others_have_classes() {
    let classes = |name: &str| shared(name).map(|path| open(&path, &GO).unwrap().about.classes.clone().unwrap());
    if let Some(mnist) = classes("mnist/t10k-images-idx3-ubyte.gz") {
        // Printed by numpy.
        assert_eq!((mnist.len(), &mnist[..8]), (10_000, &[7, 2, 1, 0, 4, 1, 4, 9][..]));
    }
    if let Some(cifar) = classes("cifar10/test_first1000.bin") {
        assert_eq!((cifar.len(), &cifar[..8]), (1000, &[3, 8, 8, 0, 6, 6, 1, 6][..]));
    }
    if let Some(pneumonia) = classes("medmnist/pneumoniamnist.npz/test_images") {
        assert_eq!(pneumonia.iter().map(|&class| usize::from(class)).sum::<usize>(), 390);
    }
}

#[test]
fn every_number_of_nifti_is_read_in_both_orders() {
    let numbers = 0..24u8;
    for big in [false, true] {
        for two in [false, true] {
            macro_rules! typed {
                ($code:literal, $kind:ty) => {
                    ($code, stringify!($kind), bytes(big, numbers.clone().map(|v| <$kind>::from(v).to_le_bytes())))
                };
            }
            let i8s = numbers.clone().collect();
            let types = [
                typed!(2, u8),
                typed!(4, i16),
                typed!(8, i32),
                typed!(16, f32),
                typed!(64, f64),
                (256, "i8", i8s),
                typed!(512, u16),
                typed!(768, u32),
                typed!(1024, i64),
                typed!(1280, u64),
            ];
            for (code, name, voxels) in types {
                let file = Nifti { two, big, ..Nifti::new(code, voxels) };
                let stack = open_bytes("a.nii", &file.file()).unwrap();
                assert_eq!(shape(&stack), [2, 1, 3, 4]);
                assert_eq!(values(&stack), numbers.clone().map(f32::from).collect::<Vec<_>>(), "{name}");
                assert_eq!(stack.about.spacing, Some([2.0, 0.5, 0.5]));
                let stored = match name {
                    "u8" => StoredType::U8,
                    "i8" | "i16" | "u16" => StoredType::U16,
                    _ => StoredType::F32,
                };
                assert_eq!(stack.stored(), stored, "{name}");
                let zipped = open_bytes("a.nii.gz", &gzip(&file.file())).unwrap();
                assert_eq!(values(&zipped), values(&stack));
                let scaled = Nifti { scale: [0.5, -3.0], ..file.clone() };
                let scaled = open_bytes("a.nii", &scaled.file()).unwrap();
                assert_eq!(values(&scaled), numbers.clone().map(|v| f32::from(v) * 0.5 - 3.0).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn nifti_says_where_and_how_to_show() {
    let plain = Nifti::new(2, (0..24).collect());
    let about = |file: &Nifti| open_bytes("a.nii", &file.file()).unwrap().about;
    assert_eq!(about(&plain).axes(), None);
    let placed = Nifti { sform: Some([10.0, -20.0, 30.0]), window: [3.0, 17.0], ..plain.clone() };
    for two in [false, true] {
        let stack = open_bytes("a.nii", &Nifti { two, ..placed.clone() }.file()).unwrap();
        assert_eq!(stack.about.axes(), Some(['L', 'A', 'S']));
        assert_eq!(stack.about.affine.unwrap()[2], [0.0, 0.0, 2.0, 30.0]);
        assert_eq!(stack.shown, Bounds { lower: 3.0, upper: 17.0 });
        assert_eq!((stack.bounds, stack.about.unit), (Bounds::EIGHT_BIT, Unit::Unknown));
        assert_eq!(Case::from_slice(&stack, 1, "a").unwrap().spacing(), Some([0.5, 0.5]));
    }
    // Metres and micrometres; and 1 × 1 × 1 without a unit, which says nothing.
    assert_eq!(about(&Nifti { units: 1, ..plain.clone() }).spacing, Some([2000.0, 500.0, 500.0]));
    assert_eq!(about(&Nifti { units: 3, ..placed }).affine.unwrap()[2], [0.0, 0.0, 0.002, 0.03]);
    assert_eq!(about(&Nifti { units: 0, pixdim: [1.0; 8], ..plain.clone() }).spacing, None);
    assert_eq!(about(&Nifti { units: 0, ..plain.clone() }).spacing, Some([2.0, 0.5, 0.5]));
    // Volumes of a fourth axis follow one another.
    let series = Nifti { dim: [4, 4, 3, 1, 2, 1, 1, 1], ..plain };
    assert_eq!(shape(&open_bytes("a.nii", &series.file()).unwrap()), [2, 1, 3, 4]);
    assert!(about(&series).notes[0].contains("2 volumes of 1 slices"), "{:?}", about(&series).notes);
}

#[test]
fn colours_and_holes_of_nifti() {
    let rgb: Vec<u8> = (0..72).collect();
    let stack = open_bytes("a.nii", &Nifti::new(128, rgb.clone()).file()).unwrap();
    assert_eq!(shape(&stack), [2, 3, 3, 4]);
    let planes = |slice: usize| (0..3).flat_map(move |c| (0..12).map(move |i| (slice * 36 + i * 3 + c) as f32));
    assert_eq!(values(&stack), (0..2).flat_map(planes).collect::<Vec<_>>());
    let rgba = rgb.chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 9]).collect();
    assert_eq!(values(&open_bytes("a.nii", &Nifti::new(2304, rgba).file()).unwrap()), values(&stack));

    let mut floats = [2.5f32; 24];
    floats[3] = f32::NAN;
    floats[20] = f32::NEG_INFINITY;
    let stack =
        open_bytes("a.nii", &Nifti::new(16, bytes(false, floats.iter().map(|v| v.to_le_bytes()))).file()).unwrap();
    assert_eq!((values(&stack)[3], values(&stack)[20], values(&stack)[4]), (0.0, 0.0, 2.5));
    assert!(stack.about.notes[0].starts_with("2 of its 24 values"), "{:?}", stack.about.notes);
}

#[test]
fn a_pair_is_opened_by_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let [header, image] = Nifti::new(2, (0..24).collect()).pair();
    let path = folder.path().join("brain.hdr");
    std::fs::write(&path, header).unwrap();
    let error = open(&path, &GO).unwrap_err().to_string();
    assert!(error.contains("header of a pair") && error.contains("brain.img"), "{error}");
    std::fs::write(folder.path().join("brain.img.gz"), gzip(&image)).unwrap();
    assert_eq!(values(&open(&path, &GO).unwrap())[23], 23.0);
    std::fs::write(folder.path().join("brain.img"), image).unwrap();
    assert_eq!(values(&open(&path, &GO).unwrap())[23], 23.0);
}

#[test]
fn arrays_are_images_and_stacks() {
    let open = |file: Vec<u8>| open_bytes("a.npy", &file).unwrap();
    let pixels: Vec<u8> = (0..60).collect();
    assert_eq!(shape(&open(npy("'|u1'", false, "6, 10", &pixels))), [1, 1, 6, 10]);
    assert_eq!(shape(&open(npy("'|u1'", false, "3, 4, 5", &pixels))), [3, 1, 4, 5]);
    assert_eq!(shape(&open(npy("'|u1'", false, "3, 1, 4, 5", &pixels))), [3, 1, 4, 5]);
    let colour = open(npy("'|u1'", false, "2, 2, 5, 3", &pixels));
    assert_eq!(shape(&colour), [2, 3, 2, 5]);
    assert_eq!(values(&colour)[10..14], [1.0, 4.0, 7.0, 10.0]);
    let fortran = open(npy("'|u1'", true, "2, 5, 6", &pixels));
    // numpy.arange(60).reshape(2, 5, 6, order="F")[1, 0]
    assert_eq!(values(&fortran)[30..36], [1.0, 11.0, 21.0, 31.0, 41.0, 51.0]);
    let mask = open(npy("'|b1'", false, "2, 3", &[0, 1, 1, 0, 1, 0]));
    assert_eq!(
        (mask.shown, LabelStack::from_stack(&mask).unwrap().values),
        (Bounds { lower: 0.0, upper: 1.0 }, vec![0, 1])
    );
    let shorts = open(npy("'>i2'", false, "1, 3", &[0, 1, 255, 255, 2, 0]));
    assert_eq!(values(&shorts), [1.0, -1.0, 512.0]);
    let doubles = open(npy("'<f8'", false, "1, 2", &bytes(false, [0.1f64.to_le_bytes(), 2f64.to_le_bytes()])));
    assert_eq!(values(&doubles), [0.1, 2.0]);
    assert!(doubles.about.notes[0].contains("float64"), "{:?}", doubles.about.notes);
    assert_eq!(values(&open(npy("'<f2'", false, "1, 1", &[0, 0x3e]))), [1.5]);
}

#[test]
fn archives_of_arrays_open_by_name() {
    let pixels: Vec<u8> = (0..60).collect();
    let archive = zip(&[
        ("train_labels.npy", npy("'|u1'", false, "3, 1", &[1, 0, 2])),
        ("train_images.npy", npy("'|u1'", false, "3, 4, 5", &pixels)),
        ("val_images.npy", npy("'|u1'", false, "1, 6, 10", &pixels)),
    ]);
    let stack = open_bytes("a.npz", &archive).unwrap();
    assert_eq!((shape(&stack), stack.about.classes.as_deref()), ([3, 1, 4, 5], Some(&[1, 0, 2][..])));
    assert!(stack.about.notes[0].contains("train_images of the arrays"), "{:?}", stack.about.notes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    std::fs::write(&path, archive).unwrap();
    let stack = open(&path.join("val_images"), &GO).unwrap();
    assert_eq!(
        (shape(&stack), stack.name().as_str(), stack.about.classes.is_none()),
        ([1, 1, 6, 10], "val_images", true)
    );
    let error = open(&path.join("test_images"), &GO).unwrap_err().to_string();
    assert!(error.contains("no array test_images") && error.contains("val_images"), "{error}");
    let error = open_bytes("a.npz", &zip(&[("notes.txt", vec![1])])).unwrap_err().to_string();
    assert!(error.contains("without NumPy arrays"), "{error}");
}

#[test]
fn data_sets_are_stacks_with_classes() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..60).collect();
    let path = folder.path().join("t10k-images-idx3-ubyte");
    std::fs::write(&path, idx(8, &[3, 4, 5], &pixels)).unwrap();
    assert_eq!(open(&path, &GO).unwrap().about.classes, None);
    let labels = folder.path().join("t10k-labels-idx1-ubyte.gz");
    std::fs::write(&labels, gzip(&idx(8, &[3], &[5, 0, 4]))).unwrap();
    let stack = open(&path, &GO).unwrap();
    assert_eq!((shape(&stack), stack.about.classes.as_deref()), ([3, 1, 4, 5], Some(&[5, 0, 4][..])));
    assert_eq!(values(&stack), pixels.iter().map(|&v| f32::from(v)).collect::<Vec<_>>());
    let error = open(&labels, &GO).unwrap_err().to_string();
    assert!(error.contains("class labels, not images"), "{error}");
    // Labels of other images are not taken.
    std::fs::write(&labels, gzip(&idx(8, &[2], &[5, 0]))).unwrap();
    assert_eq!(open(&path, &GO).unwrap().about.classes, None);

    let stack = open_bytes("batch.bin", &cifar(&[3, 9])).unwrap();
    assert_eq!((shape(&stack), stack.about.classes.as_deref()), ([2, 3, 32, 32], Some(&[3, 9][..])));
    assert_eq!((values(&stack)[12], values(&stack)[3072]), (2.0, 9.0));
    assert!(open_bytes("batch.bin", &cifar(&[3, 10])).unwrap_err().to_string().contains("not an image"));
}

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
fn a_large_slice_is_read_in_pieces() {
    let count = 1100 * 1000;
    let voxels = bytes(false, (0..count).map(|i| f64::from(i).to_le_bytes()));
    let file = Nifti { dim: [2, 1100, 1000, 1, 1, 1, 1, 1], ..Nifti::new(64, voxels) };
    let found = values(&open_bytes("a.nii", &file.file()).unwrap());
    assert!(found.len() == count as usize && found.iter().enumerate().all(|(i, &v)| v == i as f32));
}

#[test]
fn geometry_of_nifti_is_that_of_its_affine() {
    let plain = Nifti::new(2, (0..24).collect());
    // Lengths have no sign: nibabel takes −0.5 for 0.5. A qform of no rotation.
    let mut file = Nifti { pixdim: [1.0, -0.5, 0.5, 2.0, 0.0, 0.0, 0.0, 0.0], ..plain.clone() }.file();
    file[252..254].copy_from_slice(&1i16.to_le_bytes());
    let about = open_bytes("a.nii", &file).unwrap().about;
    assert_eq!((about.axes(), about.spacing), (Some(['R', 'A', 'S']), Some([2.0, 0.5, 0.5])));
    let mut file = Nifti { sform: Some([0.0; 3]), ..plain }.file();
    file[80..92].copy_from_slice(&[1f32, 1.0, 1.0].map(f32::to_le_bytes).concat());
    let about = open_bytes("a.nii", &file).unwrap().about;
    assert_eq!(about.spacing, Some([2.0, 0.5, 0.5]));
    assert!(about.notes[0].contains("1 × 1 × 1 mm as well"), "{:?}", about.notes);
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
