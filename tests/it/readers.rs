//! Files in, the right pixels out; images out, the same pixels back.

use epsiloscope::data::{
    self, Bounds, Case, DataError, Image, LabelMap, LabelStack, Mask, Pixels, Stack, StoredType, open, open_bytes,
    quantise, write_image,
};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tiff::encoder::{Compression, TiffEncoder, colortype};

static GO: AtomicBool = AtomicBool::new(false);

/// A file of others that lies beside the checkout, or `None` with a printed reason.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}

fn bytes(stack: &Stack) -> Vec<u8> {
    match &stack.pixels {
        Pixels::U8(p) => p.to_vec(),
        Pixels::U16(p) => p.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Pixels::I16(p) => p.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Pixels::F32(p) => p.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// Shape and hash as `formats.tsv` prints them.
fn summary(stack: &Stack) -> String {
    let hash =
        bytes(stack).iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let kind = match stack.stored() {
        StoredType::U8 => "uint8",
        StoredType::U16 => "uint16",
        StoredType::I16 => "int16",
        StoredType::F32 => "float32",
    };
    format!("{}\t{}\t{}\t{}\t{kind}\t{hash:016x}", stack.slices, stack.channels, stack.height, stack.width)
}

#[test]
fn isbi_stacks_open_with_known_pixels() {
    let Some(volume) = shared("isbi2012/train-volume.tif") else { return };
    let image = open(&volume, &GO).unwrap();
    assert_eq!([image.slices, image.channels, image.height, image.width], [30, 1, 512, 512]);
    assert_eq!((image.stored(), image.bounds), (StoredType::U8, Bounds::EIGHT_BIT));
    // Values and sums printed by tifffile.
    let Pixels::U8(pixels) = &image.pixels else { panic!("8-bit") };
    for (slice, row, column, value) in
        [(0, 0, 0, 126), (0, 0, 511, 177), (0, 511, 0, 151), (7, 100, 200, 53), (15, 256, 255, 108), (29, 3, 77, 79)]
    {
        assert_eq!(pixels[(slice * 512 + row) * 512 + column], value);
    }
    assert_eq!(pixels.iter().map(|&v| u64::from(v)).sum::<u64>(), 992_187_925);

    let label = LabelStack::open(&volume.with_file_name("train-labels.tif"), &GO).unwrap();
    label.check_fits(&image).unwrap();
    assert_eq!(label.values, [0, 255]);
    let map = LabelMap::parse("0=membrane,255=cell", &["cell", "membrane"]).unwrap();
    let mask = label.mask(29, &map).unwrap();
    assert_eq!(mask.classes.iter().filter(|&&c| c == 1).count(), 43_922);
    // A dark pixel is a membrane to a poor model; agreement finds the map all the same.
    let slice = image.slice(29).unwrap();
    let classes = slice.pixels.iter().map(|&v| u8::from(v < 100.0)).collect();
    assert_eq!(label.guess(29, 2, &Mask { height: 512, width: 512, classes }), Some(map.clone()));
    assert_eq!(label.slice_values(29).and_then(|values| map.apply(&values, 512, 512)), Some(mask));

    let case = Case::from_slice(&image, 29, image.name()).unwrap();
    assert_eq!((case.name.as_str(), case.provenance.slice, case.size()), ("train-volume", 29, [512, 512]));
    assert_eq!(case.image.pixels.iter().map(|&v| f64::from(v)).sum::<f64>(), 34_950_447.0);
    assert!(Case::from_slice(&image, 30, "").is_err());
}

/// PngSuite and a TIFF suite: every file opens to the pixels that other programs see, or is refused with a reason.
#[test]
fn format_suites_decode_as_in_other_programs() {
    let Some(folder) = shared("formats/pngsuite") else { return };
    let folder = folder.parent().unwrap();
    let mut problems = Vec::new();
    let mut read = 0;
    for line in include_str!("formats.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (name, expected) = line.split_once('\t').unwrap();
        match open(&folder.join(name), &GO) {
            Ok(stack) if summary(&stack) == expected => read += 1,
            Ok(stack) if expected.strip_suffix("lossy").is_some_and(|shape| summary(&stack).starts_with(shape)) => {
                read += 1
            }
            Ok(stack) => problems.push(format!("{name}: {} instead of {expected}", summary(&stack))),
            Err(error) if expected == "refused" => check_message(&error, name),
            Err(error) => problems.push(error.to_string()),
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(read > 200, "{read}");
}

fn check_message(error: &DataError, name: &str) {
    let message = error.to_string();
    assert!(message.contains(name.rsplit('/').next().unwrap()) && error.cause.len() > 8, "{message}");
}

fn image(channels: usize, height: usize, width: usize, value: impl Fn(usize) -> f32) -> Image {
    Image::new(channels, height, width, (0..channels * height * width).map(value).collect::<Vec<_>>()).unwrap()
}

#[test]
fn lossy_formats_open_near_the_original() {
    let original = image(3, 24, 40, |i| 60.0 + (i % 40) as f32 * 3.0 + (i / 960) as f32 * 20.0);
    let mut rgb = Vec::new();
    for i in 0..960 {
        rgb.extend((0..3).map(|c| original.pixels[c * 960 + i] as u8));
    }
    let rgb = image::RgbImage::from_raw(40, 24, rgb).unwrap();
    for (format, tolerance) in
        [(image::ImageFormat::Jpeg, 12.0), (image::ImageFormat::Bmp, 0.0), (image::ImageFormat::WebP, 0.0)]
    {
        let mut file = std::io::Cursor::new(Vec::new());
        rgb.write_to(&mut file, format).unwrap();
        let stack = open_bytes("picture", file.get_ref()).unwrap();
        assert_eq!([stack.channels, stack.height, stack.width], [3, 24, 40], "{format:?}");
        let read = stack.slice(0).unwrap();
        let worst = read.pixels.iter().zip(original.pixels.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{format:?}: {worst}");
    }
}

/// A stack of two slices, written page by page.
fn two_pages(compression: Compression, big: bool) -> Vec<u8> {
    fn pages<K: tiff::encoder::TiffKind>(mut tiff: TiffEncoder<&mut std::io::Cursor<Vec<u8>>, K>) {
        for page in 0..2u16 {
            let values: Vec<u16> = (0..35u16).map(|i| i / 3 * 1000 + page).collect();
            tiff.write_image::<colortype::Gray16>(7, 5, &values).unwrap();
        }
    }
    let mut file = std::io::Cursor::new(Vec::new());
    if big {
        pages(TiffEncoder::new_big(&mut file).unwrap().with_compression(compression));
    } else {
        pages(TiffEncoder::new(&mut file).unwrap().with_compression(compression));
    }
    file.into_inner()
}

#[test]
fn pages_of_every_compression_are_slices() {
    let deflate = Compression::Deflate(tiff::encoder::DeflateLevel::Balanced);
    for compression in [Compression::Uncompressed, Compression::Lzw, deflate, Compression::Packbits] {
        for big in [false, true] {
            let stack = open_bytes("stack.tif", &two_pages(compression, big)).unwrap();
            assert_eq!([stack.slices, stack.channels, stack.height, stack.width], [2, 1, 5, 7]);
            assert_eq!(stack.stored(), StoredType::U16);
            for page in 0..2 {
                let expected: Vec<f32> = (0..35).map(|i| (i / 3 * 1000 + page) as f32).collect();
                assert_eq!(&stack.slice(page).unwrap().pixels[..], expected);
            }
        }
    }
}

#[test]
fn reading_can_be_cancelled_and_watched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    std::fs::write(&path, two_pages(Compression::Lzw, false)).unwrap();
    let mut shares = Vec::new();
    data::open_with_progress(&path, &GO, &mut |share| shares.push(share)).unwrap();
    assert_eq!(shares, [0.5, 1.0, 1.0]);
    let cancel = AtomicBool::new(false);
    let stop = &mut |_| cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = data::open_with_progress(&path, &cancel, stop).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

fn any_image() -> impl Strategy<Value = Image> {
    (prop_oneof![Just(1usize), Just(3)], 1usize..12, 1usize..12).prop_flat_map(|(channels, height, width)| {
        let count = channels * height * width;
        let value = prop_oneof![4 => -70.0f32..400.0, 1 => -1e6f32..1e6];
        proptest::collection::vec(value, count)
            .prop_map(move |pixels| Image::new(channels, height, width, pixels).unwrap())
    })
}

fn any_stored() -> impl Strategy<Value = StoredType> {
    prop_oneof![Just(StoredType::U8), Just(StoredType::U16), Just(StoredType::I16), Just(StoredType::F32)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(image in any_image(), stored in any_stored(), ending in 0usize..3) {
        let ending = ["png", "tif", "TIFF"][ending];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image").with_extension(ending);
        let written = write_image(&path, &image, stored);
        if matches!(stored, StoredType::I16 | StoredType::F32) && ending == "png" {
            prop_assert!(written.unwrap_err().to_string().contains(".tif"));
            prop_assert!(!path.exists());
            return Ok(());
        }
        written.unwrap();
        let stack = open(&path, &GO).unwrap();
        prop_assert_eq!(stack.stored(), match stored {
            StoredType::I16 if image.channels == 3 => StoredType::F32,
            // Signed integers without a negative one are unsigned.
            StoredType::I16 if stack.bounds.lower >= 0.0 => StoredType::U16,
            stored => stored,
        });
        let quantised = quantise(&image, stored);
        let read = stack.slice(0).unwrap();
        // Equal channels come back as one.
        let plane = image.height * image.width;
        prop_assert_eq!(&read.pixels[..], &quantised.pixels[..read.channels * plane]);
        if read.channels < image.channels {
            prop_assert!(quantised.pixels.chunks(plane).all(|channel| channel == &read.pixels[..]));
        }
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn quantising_is_idempotent_and_near(image in any_image(), stored in any_stored()) {
        let once = quantise(&image, stored);
        prop_assert_eq!(&quantise(&once, stored), &once);
        if let Some(step) = stored.step() {
            let [least, most] = match stored {
                StoredType::U8 => [0.0, 255.0],
                StoredType::I16 => [-32_768.0, 32_767.0],
                _ => [0.0, 65_535.0],
            };
            for (&a, &b) in image.pixels.iter().zip(once.pixels.iter()) {
                prop_assert!((least..=most).contains(&b) && b.fract() == 0.0);
                prop_assert!((a.clamp(least, most) - b).abs() <= step / 2.0);
            }
        } else {
            prop_assert_eq!(&once, &image);
        }
    }
}
