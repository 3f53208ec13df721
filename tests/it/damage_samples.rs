//! One small file of each format and codec, to be damaged.

use crate::volume_files::{Dicom, Nifti, bytes, cifar, element, gzip, idx, npy, small_volumes, zip};
use flate2::Compression as Level;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use std::io::{Cursor, Write};
use tiff::encoder::{Compression, TiffEncoder, colortype};

/// A sample that opens. What is damaged is `inner`; `wrap` makes the file of it, so that a checksum or a compression does
/// not hide the damage from what lies behind.
pub struct Sample {
    pub reader: &'static str,
    pub name: String,
    pub inner: Vec<u8>,
    pub wrap: fn(&[u8]) -> Vec<u8>,
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Puts right the checksum of every chunk of a PNG.
fn png_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    let mut at = 8;
    while let Some(length) = file.get(at..at + 4).map(|b| u32::from_be_bytes(b.try_into().unwrap()) as usize) {
        let end = at.saturating_add(8).saturating_add(length);
        let Some(chunk) = file.get(at + 4..end) else { break };
        let crc = !chunk.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        let Some(place) = file.get_mut(end..end + 4) else { break };
        place.copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
    file
}

fn archive(bytes: &[u8]) -> Vec<u8> {
    zip(&[("labels.npy", npy("'|u1'", false, "3,", &[1, 0, 2])), ("images.npy", bytes.to_vec())])
}

/// The preamble and the meta group of `1.2.840.10008.1.2` with this ending.
fn meta(syntax: &str) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    file.extend(element(0x0002_0010, "UI", format!("1.2.840.10008.1.2{syntax}").as_bytes()));
    file
}

fn deflated_dicom(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(meta(".1.99"), Level::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `value(x, y)` of the files in `fixtures/codecs`.
pub fn grey_of_codecs(x: usize, y: usize) -> u16 {
    ((150 * x + 7 * y * y) & 4095) as u16
}

/// Red, green and blue of the files in `fixtures/codecs`.
pub fn colour_of_codecs(x: usize, y: usize) -> [u8; 3] {
    [9 * x, 11 * y, 3 * x + 5 * y].map(|v| v as u8)
}

/// 24 × 17 pixels of unsigned 12-bit MR.
pub fn grey_dicom() -> Dicom {
    let values: Vec<u16> = (0..24 * 17).map(|i| grey_of_codecs(i % 24, i / 24)).collect();
    Dicom::ct()
        .with(0x0008_0060, "CS", b"MR")
        .with(0x0028_0010, "US", &17u16.to_le_bytes())
        .with(0x0028_0011, "US", &24u16.to_le_bytes())
        .with(0x0028_0101, "US", &12u16.to_le_bytes())
        .with(0x0028_0102, "US", &11u16.to_le_bytes())
        .with(0x0028_0103, "US", &0u16.to_le_bytes())
        .without(0x0028_1052)
        .without(0x0028_1053)
        .with(0x7fe0_0010, "OW", &bytes(false, values.iter().map(|v| v.to_le_bytes())))
}

/// 24 × 17 pixels of 8-bit colour.
pub fn colour_dicom(photometric: &str) -> Dicom {
    let pixels: Vec<u8> = (0..24 * 17).flat_map(|i| colour_of_codecs(i % 24, i / 24)).collect();
    grey_dicom()
        .with(0x0028_0002, "US", &3u16.to_le_bytes())
        .with(0x0028_0004, "CS", photometric.as_bytes())
        .with(0x0028_0006, "US", &0u16.to_le_bytes())
        .with(0x0028_0100, "US", &8u16.to_le_bytes())
        .with(0x0028_0101, "US", &8u16.to_le_bytes())
        .with(0x0028_0102, "US", &7u16.to_le_bytes())
        .with(0x7fe0_0010, "OB", &pixels)
}

/// The file with one compressed frame.
pub fn encapsulated(file: &Dicom, syntax: &str, frame: &[u8]) -> Vec<u8> {
    let mut bytes = meta(syntax);
    bytes.extend(file.clone().without(0x7fe0_0010).data_set());
    bytes.extend(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0");
    bytes.extend((frame.len().next_multiple_of(2) as u32).to_le_bytes());
    bytes.extend(frame);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    bytes
}

/// The file in implicit little endian.
pub fn implicit(file: &Dicom) -> Vec<u8> {
    let mut bytes = meta("");
    for (&tag, (_, value)) in &file.elements {
        bytes.extend([(tag >> 16) as u16, tag as u16].map(u16::to_le_bytes).concat());
        let mut value = value.clone();
        value.resize(value.len().next_multiple_of(2), b' ');
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

/// The file in explicit big endian.
pub fn big_endian(file: &Dicom) -> Vec<u8> {
    let mut bytes = meta(".2");
    for (&tag, (kind, value)) in &file.elements {
        let mut value = value.clone();
        if matches!(*kind, "US" | "OW") {
            value.chunks_exact_mut(2).for_each(<[u8]>::reverse);
        }
        value.resize(value.len().next_multiple_of(2), b' ');
        bytes.extend([(tag >> 16) as u16, tag as u16].map(u16::to_be_bytes).concat());
        bytes.extend(kind.as_bytes());
        if matches!(*kind, "OB" | "OW") {
            bytes.extend([0, 0]);
            bytes.extend((value.len() as u32).to_be_bytes());
        } else {
            bytes.extend((value.len() as u16).to_be_bytes());
        }
        bytes.extend(value);
    }
    bytes
}

/// One frame of grey in DICOM's RLE: two planes of bytes as they are.
fn rle() -> Vec<u8> {
    let values: Vec<u16> = (0..24 * 17).map(|i| grey_of_codecs(i % 24, i / 24)).collect();
    let planes = [8, 0].map(|shift| {
        let plane: Vec<u8> = values.iter().map(|v| (v >> shift) as u8).collect();
        plane.chunks(100).flat_map(|part| [&[part.len() as u8 - 1], part].concat()).collect::<Vec<_>>()
    });
    let mut frame = [2u32, 64, 64 + planes[0].len() as u32].map(u32::to_le_bytes).concat();
    frame.resize(64, 0);
    frame.extend(planes.concat());
    frame
}

fn rasters(samples: &mut Vec<Sample>) {
    use image::ImageFormat as F;
    let grey = image::GrayImage::from_fn(24, 17, |x, y| image::Luma([(x * 9 + y * y) as u8]));
    let rgb = image::RgbImage::from_fn(24, 17, |x, y| image::Rgb([(x * 9) as u8, (y * 11) as u8, 90]));
    let alpha = image::RgbaImage::from_fn(24, 17, |x, y| image::Rgba([(x * 9) as u8, (y * 11) as u8, 90, x as u8]));
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(24, 17, |x, y| image::Luma([(x * y * 150) as u16]));
    for (image, name) in [
        (image::DynamicImage::from(grey), "grey"),
        (image::DynamicImage::from(rgb), "rgb"),
        (image::DynamicImage::from(alpha), "rgba"),
        (image::DynamicImage::from(deep), "deep"),
    ] {
        for (format, reader) in [(F::Png, "png"), (F::Jpeg, "jpeg"), (F::Bmp, "bmp"), (F::WebP, "webp")] {
            let mut file = Cursor::new(Vec::new());
            if image.write_to(&mut file, format).is_ok() {
                let wrap = if reader == "png" { png_checksums } else { plain };
                samples.push(Sample { reader, name: format!("{name}.{reader}"), inner: file.into_inner(), wrap });
            }
        }
    }
    // Depths and a palette, which the encoder above does not write.
    for (bits, kind) in [(1u8, 0u8), (2, 0), (4, 0), (2, 3), (16, 2)] {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut chunk = |name: &[u8], data: &[u8]| {
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(name);
            file.extend(data);
            file.extend([0; 4]);
        };
        chunk(b"IHDR", &[0, 0, 0, 24, 0, 0, 0, 17, bits, kind, 0, 0, 0]);
        if kind == 3 {
            chunk(b"PLTE", &[0, 0, 0, 9, 80, 7, 200, 10, 10, 255, 255, 255]);
        }
        let row = 24 * usize::from(bits) * if kind == 2 { 3 } else { 1 } / 8;
        let rows: Vec<u8> = (0..17 * (row + 1)).map(|i| if i % (row + 1) == 0 { 0 } else { (i * 37) as u8 }).collect();
        let mut packed = ZlibEncoder::new(Vec::new(), Level::default());
        packed.write_all(&rows).unwrap();
        chunk(b"IDAT", &packed.finish().unwrap());
        chunk(b"IEND", &[]);
        let inner = png_checksums(&file);
        samples.push(Sample { reader: "png", name: format!("{bits}-bit-{kind}.png"), inner, wrap: png_checksums });
    }
}

/// A TIFF of one strip or of tiles of 16 × 16, 24 × 17 pixels, with these tags besides the size.
fn own_tiff(tags: &[(u16, u16, &[u32])], pixels: &[u8]) -> Vec<u8> {
    let mut file = b"II*\0\0\0\0\0".to_vec();
    file.extend(pixels);
    let mut entries: Vec<(u16, u16, Vec<u32>)> = tags.iter().map(|&(tag, kind, v)| (tag, kind, v.to_vec())).collect();
    entries.push((256, 3, vec![24]));
    entries.push((257, 3, vec![17]));
    if !tags.iter().any(|(tag, ..)| *tag == 322) {
        entries.extend([(273, 4, vec![8]), (278, 3, vec![17]), (279, 4, vec![pixels.len() as u32])]);
    }
    entries.sort();
    let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, values) in entries {
        let mut bytes: Vec<u8> = match kind {
            3 => values.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        if bytes.len() > 4 {
            let offset = file.len() as u32;
            file.extend(&bytes);
            bytes = offset.to_le_bytes().to_vec();
        }
        bytes.resize(4, 0);
        directory.extend([tag, kind].map(u16::to_le_bytes).concat());
        directory.extend((values.len() as u32).to_le_bytes());
        directory.extend(bytes);
    }
    let start = file.len() as u32;
    file[4..8].copy_from_slice(&start.to_le_bytes());
    file.extend(directory);
    file.extend([0; 4]);
    file
}

fn tiffs(samples: &mut Vec<Sample>) {
    let mut add =
        |name: &str, inner| samples.push(Sample { reader: "tiff", name: name.to_owned(), inner, wrap: plain });
    let deflate = Compression::Deflate(tiff::encoder::DeflateLevel::Balanced);
    for (compression, name) in [
        (Compression::Uncompressed, "plain"),
        (Compression::Lzw, "lzw"),
        (deflate, "deflate"),
        (Compression::Packbits, "packbits"),
    ] {
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut file).unwrap().with_compression(compression);
        for page in 0..3u16 {
            let values: Vec<u16> = (0..24 * 17).map(|i| i / 5 * 7 + page).collect();
            encoder.write_image::<colortype::Gray16>(24, 17, &values).unwrap();
        }
        add(&format!("{name}.tif"), file.into_inner());
        let mut file = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new_big(&mut file).unwrap().with_compression(compression);
        let values: Vec<f32> = (0..24 * 17 * 3).map(|i| (i / 5) as f32 * 0.1).collect();
        encoder.write_image::<colortype::RGB32Float>(24, 17, &values).unwrap();
        add(&format!("{name}-float-rgb-big.tif"), file.into_inner());
    }
    let pixels = |len: usize| (0..len).map(|i| (i * 37 % 251) as u8).collect::<Vec<_>>();
    add("bits.tif", own_tiff(&[(258, 3, &[1]), (262, 3, &[0])], &pixels(3 * 17)));
    add("12-bit.tif", own_tiff(&[(258, 3, &[12]), (262, 3, &[1])], &pixels(36 * 17)));
    add("half.tif", own_tiff(&[(258, 3, &[16]), (262, 3, &[1]), (339, 3, &[3])], &[0, 0x3c].repeat(24 * 17)));
    let palette: Vec<u32> = (0..48).map(|i| i * 1365).collect();
    add("palette.tif", own_tiff(&[(258, 3, &[4]), (262, 3, &[3]), (320, 3, &palette)], &pixels(12 * 17)));
    let tiles: [(u16, u16, &[u32]); 6] = [
        (258, 3, &[8]),
        (262, 3, &[1]),
        (322, 3, &[16]),
        (323, 3, &[16]),
        (324, 4, &[8, 264, 520, 776]),
        (325, 4, &[256; 4]),
    ];
    add("tiles.tif", own_tiff(&tiles, &pixels(1024)));
    let mut file = Cursor::new(Vec::new());
    let grey = image::GrayImage::from_fn(24, 17, |x, y| image::Luma([(x * 9 + y * y) as u8]));
    grey.write_to(&mut file, image::ImageFormat::Jpeg).unwrap();
    add("jpeg.tif", own_tiff(&[(258, 3, &[8]), (259, 3, &[7]), (262, 3, &[1])], file.get_ref()));
    // All white: one bit a row says that it is like the one above.
    add("fax.tif", own_tiff(&[(258, 3, &[1]), (259, 3, &[4]), (262, 3, &[0])], &[0xff, 0xff, 0x80, 0x08, 0x00, 0x80]));
}

fn dicoms(samples: &mut Vec<Sample>) {
    let mut add =
        |name: &str, inner, wrap| samples.push(Sample { reader: "dicom", name: name.to_owned(), inner, wrap });
    let (grey, rgb) = (grey_dicom(), colour_dicom("RGB"));
    add("ct.dcm", Dicom::ct().file(), plain as fn(&[u8]) -> Vec<u8>);
    add("explicit.dcm", grey.file(), plain);
    add("no-meta.dcm", grey.data_set(), plain);
    add("implicit.dcm", implicit(&grey), plain);
    add("big-endian.dcm", big_endian(&grey), plain);
    add("deflated.dcm", grey.data_set(), deflated_dicom);
    add("rgb.dcm", rgb.file(), plain);
    add("422.dcm", colour_dicom("YBR_FULL_422").with(0x7fe0_0010, "OB", &[90; 24 * 17 * 2]).file(), plain);
    add("rle.dcm", encapsulated(&grey, ".5", &rle()), plain);
    for (name, syntax, frame) in [
        ("lossless.dcm", ".4.70", &include_bytes!("../fixtures/codecs/grey.ljpeg")[..]),
        ("extended.dcm", ".4.51", include_bytes!("../fixtures/codecs/smooth-12bit.jpeg")),
        ("jpeg-ls.dcm", ".4.80", include_bytes!("../fixtures/codecs/grey.jls")),
        ("jpeg-2000.dcm", ".4.90", include_bytes!("../fixtures/codecs/grey.j2k")),
    ] {
        add(name, encapsulated(&grey, syntax, frame), plain);
    }
    for (name, syntax, photometric, frame) in [
        ("baseline-rgb.dcm", ".4.50", "YBR_FULL_422", &include_bytes!("../fixtures/codecs/colour.jpeg")[..]),
        ("jpeg-ls-rgb.dcm", ".4.80", "RGB", include_bytes!("../fixtures/codecs/colour.jls")),
        ("jpeg-2000-rgb.dcm", ".4.90", "YBR_RCT", include_bytes!("../fixtures/codecs/colour.j2k")),
    ] {
        add(name, encapsulated(&colour_dicom(photometric), syntax, frame), plain);
    }
}

/// All samples; every one opens.
pub fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    rasters(&mut samples);
    tiffs(&mut samples);
    dicoms(&mut samples);
    for (name, inner) in small_volumes() {
        let reader = match name.rsplit('.').next() {
            _ if name.starts_with("set") => "idx",
            Some("nii" | "gz") => "nifti",
            Some("npy" | "npz") => "numpy",
            Some("dcm") => continue,
            _ => "cifar",
        };
        samples.push(Sample { reader, name, inner, wrap: plain });
    }
    let shorts = || bytes(false, (0..24i16).map(|v| (v * 100 - 700).to_le_bytes()));
    let pixels: Vec<u8> = (0..60).collect();
    for (reader, name, inner, wrap) in [
        ("nifti", "inside.nii.gz", Nifti::new(4, shorts()).file(), gzip as fn(&[u8]) -> Vec<u8>),
        ("nifti", "inside-two.nii.gz", Nifti { two: true, ..Nifti::new(512, shorts()) }.file(), gzip),
        ("numpy", "inside.npz", npy("'|u1'", false, "3, 4, 5", &pixels), archive),
        ("idx", "inside-idx.gz", idx(8, &[3, 4, 5], &pixels), gzip),
        ("cifar", "ten.bin", cifar(&[0, 1, 2]), plain),
    ] {
        samples.push(Sample { reader, name: name.to_owned(), inner, wrap });
    }
    samples
}
