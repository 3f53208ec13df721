//! Volumes and data sets: the values, places and units that other programs read.

use crate::readers::shared;
use crate::volume_files::{Nifti, bytes, cifar, gzip, idx, npy, zip};
use epsiloscope::data::{Bounds, Case, LabelStack, Stack, StoredType, Unit, open, open_bytes};
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

pub fn values(stack: &Stack) -> Vec<f32> {
    (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
}

pub fn shape(stack: &Stack) -> [usize; 4] {
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
