//! Bad input gets a clear error: which file, what is wrong, what would work. Never a panic.

use crate::volume_files::{self, Dicom, Nifti};
use burn::tensor::{Device, Tensor};
use epsiloscope::data::{Case, Image, LabelStack, StoredType, bundled_sample, open, open_bytes, write_image};
use epsiloscope::model::{BuiltIn, Logits, Model, ModelCard, ModelError};
use epsiloscope::study::Subject;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tiff::encoder::{TiffEncoder, colortype};

static GO: AtomicBool = AtomicBool::new(false);

/// The message of the error that `bytes` must give.
fn refused(name: &str, bytes: &[u8]) -> String {
    match open_bytes(name, bytes) {
        Ok(stack) => panic!("{name} opened: {stack:?}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with(name) && !message.contains("decoder failed"), "{message}");
            message
        }
    }
}

pub fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "‘{word}’ is not in: {message}");
    }
}

#[test]
fn other_files_are_named() {
    assert_says(&refused("notes.png", b"name,age\nA,3\n"), &["text file", "PNG", "TIFF"]);
    assert_says(&refused("empty.tif", b""), &["is empty"]);
    assert_says(&refused("noise.jpg", &[7, 0, 1, 255, 9]), &["not an image"]);
    assert_says(&refused("film.gif", b"GIF89a\x01\0\x01\0\0\0\0"), &["GIF"]);
    let mut dicom = vec![0; 128];
    dicom.extend(b"DICM\x02\0");
    assert_says(&refused("slice.dcm", &dicom), &["cut short"]);
}

#[test]
fn paths_that_are_no_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| open(path, &GO).unwrap_err().to_string();
    assert_says(&error(&folder.path().join("none.png")), &["none.png", "does not exist"]);
    assert_says(&error(folder.path()), &["is a folder"]);
    if Path::new("/dev/zero").exists() {
        assert_says(&error(Path::new("/dev/zero")), &["not a regular file"]);
    }
    // The content decides, not the name.
    let path = folder.path().join("stack.tif");
    let image = Image::new(1, 1, 2, vec![3.0, 4.0]).unwrap();
    write_image(&folder.path().join("a.png"), &image, StoredType::U8).unwrap();
    std::fs::rename(folder.path().join("a.png"), &path).unwrap();
    assert_eq!(open(&path, &GO).unwrap().slice(0).unwrap(), image);
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let crc = !header.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(header);
    file.extend(crc.to_be_bytes());
    file.extend(b"\0\0\0\x04IDAT\x78\x9c\0\0");
    file
}

fn bmp(width: i32, height: i32, bits: u16) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    file.extend([70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]);
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend([1, 0]);
    file.extend(bits.to_le_bytes());
    file.resize(70, 0);
    file
}

/// A little-endian TIFF of one page with 4-byte tags, over a body of 16 bytes at offset 8.
fn tiff(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut file = b"II*\0\x18\0\0\0".to_vec();
    file.extend([7; 16]);
    file.extend((entries.len() as u16).to_le_bytes());
    for &(tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

/// The tags of a grey page in one strip.
fn grey(width: u32, height: u32, bits: u32, compression: u32) -> Vec<(u16, u16, u32)> {
    vec![
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height.max(1)),
        (279, 4, 16),
        (339, 3, if bits == 32 { 3 } else { 1 }),
    ]
}

fn with(mut entries: Vec<(u16, u16, u32)>, tag: u16, value: u32) -> Vec<(u16, u16, u32)> {
    match entries.iter_mut().find(|entry| entry.0 == tag) {
        Some(entry) => entry.2 = value,
        None => entries.push((tag, 4, value)),
    }
    entries.sort_unstable();
    entries
}

#[test]
fn images_without_pixels_are_refused() {
    assert_says(&refused("a.png", &png(0, 0)), &["a.png"]);
    assert_says(&refused("a.bmp", &bmp(0, 0, 24)), &["a.bmp"]);
    assert_says(&refused("a.tif", &tiff(&grey(0, 0, 8, 1))), &["no pixels", "0 × 0"]);
}

#[test]
fn huge_images_are_refused_before_they_are_allocated() {
    let start = std::time::Instant::now();
    assert_says(&refused("a.png", &png(100_000, 100_000)), &["too large", "2 GiB"]);
    assert_says(&refused("a.bmp", &bmp(100_000, 100_000, 24)), &["a.bmp"]);
    for compression in [1, 5, 8, 32_773] {
        let message = refused("a.tif", &tiff(&grey(100_000, 100_000, 8, compression)));
        assert_says(&message, &["too large", "100000 × 100000", "2 GiB"]);
    }
    // Below the limit, but not to be found in a body of 16 bytes.
    assert_says(&refused("a.png", &png(40_000, 40_000)), &["cut short"]);
    assert_says(&refused("a.tif", &tiff(&grey(40_000, 40_000, 8, 1))), &["cut short"]);
    assert_says(&refused("a.tif", &tiff(&grey(40_000, 40_000, 8, 8))), &["cut short"]);
    let tile = |width| [(322, 4, width), (323, 4, 16), (324, 4, 8), (325, 4, 16)];
    let mut tiled = grey(4, 4, 8, 5);
    tiled.retain(|entry| !matches!(entry.0, 273 | 278 | 279));
    tiled.extend(tile(u32::MAX));
    tiled.sort_unstable();
    assert_says(&refused("a.tif", &tiff(&tiled)), &["too large", "tiles"]);
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}

#[test]
fn depths_and_colours_that_are_not_read_are_named() {
    let good = grey(4, 4, 8, 1);
    assert_eq!(open_bytes("a.tif", &tiff(&good)).unwrap().slice(0).unwrap().pixels[..], [7.0; 16]);
    let says = |entries: Vec<(u16, u16, u32)>, words: &[&str]| {
        let message = refused("a.tif", &tiff(&entries));
        assert_says(&message, words);
        assert_says(&message, &["16-bit"]);
    };
    says(with(grey(1, 1, 64, 1), 339, 6), &["64-bit complex numbers"]);
    says(with(grey(2, 2, 12, 1), 339, 3), &["12-bit floats"]);
    says(with(good.clone(), 259, 50_000), &["ZSTD"]);
    says(with(good.clone(), 259, 3), &["fax of group 3"]);
    says(with(grey(2, 2, 8, 1), 262, 8), &["L*a*b*"]);
    says(with(with(grey(2, 2, 8, 1), 277, 4), 262, 5), &["CMYK"]);
    says(with(grey(2, 2, 8, 1), 277, 4), &["4 channels"]);
}

#[test]
fn volumes_that_promise_too_much_are_refused_before_they_are_allocated() {
    let start = std::time::Instant::now();
    let plain = Nifti::new(4, vec![0; 48]);
    let says = |file: &Nifti, words: &[&str]| {
        for two in [false, true] {
            let file = Nifti { two, ..file.clone() }.file();
            assert_says(&refused("a.nii", &file), words);
            assert_says(&refused("a.nii.gz", &volume_files::gzip(&file)), words);
        }
    };
    says(
        &Nifti { dim: [7, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000], ..plain.clone() },
        &["too large", "2 GiB"],
    );
    says(&Nifti { dim: [3, 3000, 3000, 100, 1, 1, 1, 1], ..plain.clone() }, &["cut short"]);
    says(&Nifti { dim: [3, 4, 0, 2, 1, 1, 1, 1], ..plain.clone() }, &["no pixels", "4 × 0"]);
    says(&Nifti { dim: [9, 4, 3, 2, 1, 1, 1, 1], ..plain.clone() }, &["malformed NIfTI", "9 axes"]);
    says(&Nifti { datatype: 32, ..plain.clone() }, &["complex numbers", "integers"]);
    says(&Nifti { datatype: 1536, ..plain.clone() }, &["128-bit floats"]);
    says(&Nifti { datatype: 77, ..plain.clone() }, &["(77)"]);
    says(&Nifti { voxels: vec![0; 47], ..plain }, &["cut short"]);
    let array = |descr: &str, shape: &str| refused("a.npy", &volume_files::npy(descr, false, shape, &[0; 16]));
    assert_says(&array("'<f4'", "100000, 100000, 100000"), &["too large", "2 GiB"]);
    assert_says(&array("'<f4'", "99999999999999999999999, 2"), &["malformed NumPy"]);
    assert_says(&array("'<f4'", "30000, 3000"), &["cut short"]);
    assert_says(&array("'<f4'", "4"), &["array of 4 values", "rows, columns"]);
    assert_says(&array("'<c8'", "1, 2"), &["type <c8"]);
    assert_says(&array("[('a', '<f4')]", "1, 2"), &["records"]);
    let idx = |kind, dims: &[u32]| refused("a.idx", &volume_files::idx(kind, dims, &[0; 16]));
    assert_says(&idx(8, &[u32::MAX, u32::MAX, u32::MAX]), &["too large"]);
    assert_says(&idx(8, &[100_000, 28, 28]), &["cut short"]);
    assert_says(&idx(8, &[2, 2, 2, 2]), &["4 axes"]);
    assert_says(&refused("a.gz", &volume_files::gzip(b"\x89PNG\r\n\x1a\n")), &["gzip", "Decompress"]);
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}

#[test]
fn dicom_files_that_are_not_read_are_named() {
    let says = |file: Dicom, words: &[&str]| assert_says(&refused("a.dcm", &file.file()), words);
    let ct = Dicom::ct;
    says(Dicom { syntax: ".4.102", ..ct() }, &["compressed as a video", "Convert it"]);
    says(Dicom { syntax: ".4.201", ..ct() }, &["high-throughput JPEG 2000"]);
    says(Dicom { syntax: ".9.9", ..ct() }, &["1.2.840.10008.1.2.9.9", "not known"]);
    says(ct().without(0x7fe0_0010), &["without an image (CT)"]);
    says(ct().without(0x0028_0010), &["number of rows"]);
    says(ct().with(0x0028_0010, "US", &0u16.to_le_bytes()), &["no pixels", "3 × 0"]);
    says(ct().with(0x0028_0010, "US", &9u16.to_le_bytes()), &["cut short"]);
    says(ct().with(0x0028_0008, "IS", b"99999"), &["cut short"]);
    says(ct().with(0x0028_0008, "IS", b"1A"), &["number of frames", "1A"]);
    let huge = ct().with(0x0028_0010, "US", &[255; 2]).with(0x0028_0011, "US", &[255; 2]);
    says(huge, &["too large", "65535 × 65535", "2 GiB"]);
    says(ct().with(0x0028_0100, "US", &12u16.to_le_bytes()), &["12-bit samples"]);
    says(ct().with(0x0028_0004, "CS", b"CMYK"), &["CMYK colours"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plan"), ct().without(0x7fe0_0010).file()).unwrap();
    assert_says(&open(folder.path(), &GO).unwrap_err().to_string(), &["none with an image"]);
}

#[test]
fn damage_to_a_compressed_volume_is_found() {
    let mut file = volume_files::gzip(&Nifti::new(2, (0..24).collect()).file());
    let end = file.len() - 6;
    file[end] ^= 1;
    assert_says(&refused("a.nii.gz", &file), &["damaged"]);
}

#[test]
fn pages_that_differ_are_named() {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    encoder.write_image::<colortype::Gray8>(4, 2, &[0; 8]).unwrap();
    encoder.write_image::<colortype::Gray16>(2, 4, &[0; 8]).unwrap();
    let message = refused("a.tif", &file.into_inner());
    assert_says(&message, &["page 1 has 4 × 2 pixels of 8-bit grey", "page 2 has 2 × 4 pixels of 16-bit grey"]);
}

#[test]
fn a_loop_of_pages_ends() {
    let mut file = tiff(&grey(4, 4, 8, 1));
    let end = file.len() - 4;
    file[end..].copy_from_slice(&24u32.to_le_bytes());
    assert_says(&refused("a.tif", &file), &["malformed", "circle"]);
}

#[test]
fn values_that_are_no_numbers_are_counted() {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    encoder.write_image::<colortype::Gray32Float>(3, 2, &[0.0; 6]).unwrap();
    let broken = [0.0, 1.0, 2.0, 3.0, f32::NAN, f32::NEG_INFINITY];
    encoder.write_image::<colortype::Gray32Float>(3, 2, &broken).unwrap();
    let message = refused("a.tif", &file.into_inner());
    assert_says(&message, &["2 of its 12 values", "NaN", "row 1, column 1 of slice 1"]);
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, channels: usize, height: usize, width: usize| {
        let pixels: Vec<f32> = (0..channels * height * width).map(|i| (i % 256) as f32).collect();
        let path = folder.path().join(name);
        write_image(&path, &Image::new(channels, height, width, pixels).unwrap(), StoredType::U8).unwrap();
        path
    };
    let image = open(&write("image.png", 1, 20, 30), &GO).unwrap();
    let label = LabelStack::open(&write("small.png", 1, 5, 6), &GO).unwrap();
    let message = label.check_fits(&image).unwrap_err().to_string();
    assert_says(&message, &["small.png", "6 × 5 pixels in 1 slice", "30 × 20 pixels in 1 slice"]);
    let error = |path: &Path| LabelStack::open(path, &GO).unwrap_err().to_string();
    assert_says(&error(&write("photo.png", 1, 20, 30)), &["photo.png", "different values", "not a mask"]);
    assert_says(&error(&write("colour.png", 3, 5, 5)), &["colour.png", "colour image"]);
}

/// The bundled model, if it needed a tebibyte for each pixel.
struct Hungry(BuiltIn);

impl Model for Hungry {
    fn card(&self) -> &ModelCard {
        self.0.card()
    }

    fn logits(&self, _: Tensor<4>) -> Result<Logits, ModelError> {
        panic!("an image that needs more memory than there is was computed with");
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        ((height * width) as u64) << 40
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn to_device(&self, _: &Device) -> Arc<dyn Model> {
        unreachable!()
    }
}

#[test]
fn an_image_that_needs_more_memory_than_there_is_is_refused_before_anything_is_computed() {
    let (stack, _) = bundled_sample().unwrap();
    let case = Case::from_slice(&stack, 0, "sample").unwrap();
    let model = BuiltIn::bundled(&Device::flex()).unwrap();
    let of_megapixel = model.working_bytes(1024, 1024);
    assert!((700_000_000..1 << 30).contains(&of_megapixel), "{of_megapixel} bytes; 0.7 GB were measured");
    let error = Subject::new(Arc::new(case), Arc::new(Hungry(model))).err().unwrap().to_string();
    assert!(error.contains("256×256") && error.contains("GiB") && error.contains("Crop the image"), "{error}");
}
