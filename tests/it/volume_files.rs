//! Small volumes and data sets, written byte by byte as their formats say, by nothing that reads them.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

/// Bytes of numbers in either order.
pub fn bytes<const N: usize>(big: bool, numbers: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    numbers
        .into_iter()
        .flat_map(|mut bytes| {
            if big {
                bytes.reverse();
            }
            bytes
        })
        .collect()
}

/// A NIfTI file to be.
#[derive(Clone)]
pub struct Nifti {
    pub two: bool,
    pub big: bool,
    /// Number of axes, then voxels along each.
    pub dim: [u16; 8],
    pub datatype: i16,
    pub pixdim: [f32; 8],
    pub scale: [f32; 2],
    pub window: [f32; 2],
    pub units: u8,
    /// Offset of the sform; its rotation is the identity times `pixdim`, with the first axis flipped. None: no sform.
    pub sform: Option<[f32; 3]>,
    pub voxels: Vec<u8>,
}

impl Nifti {
    /// A little-endian NIfTI-1 of 4 × 3 × 2 voxels of `datatype`, 0.5 × 0.5 × 2 mm, with `voxels`.
    pub fn new(datatype: i16, voxels: Vec<u8>) -> Self {
        Self {
            two: false,
            big: false,
            dim: [3, 4, 3, 2, 1, 1, 1, 1],
            datatype,
            pixdim: [1.0, 0.5, 0.5, 2.0, 0.0, 0.0, 0.0, 0.0],
            scale: [0.0, 0.0],
            window: [0.0, 0.0],
            units: 2,
            sform: None,
            voxels,
        }
    }

    fn sform(&self) -> [[f32; 4]; 3] {
        let [x, y, z] = self.sform.unwrap_or_default();
        let [_, i, j, k, ..] = self.pixdim;
        [[-i, 0.0, 0.0, x], [0.0, j, 0.0, y], [0.0, 0.0, k, z]]
    }

    fn header(&self, pair: bool) -> Vec<u8> {
        let mut head = vec![0; if self.two { 544 } else { 352 }];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        let big = self.big;
        let i16 = |v: i16| bytes(big, [v.to_le_bytes()]);
        let i32 = |v: i32| bytes(big, [v.to_le_bytes()]);
        let f32s = |v: &[f32]| bytes(big, v.iter().map(|v| v.to_le_bytes()));
        let f64s = |v: &[f32]| bytes(big, v.iter().map(|&v| f64::from(v).to_le_bytes()));
        let dim: Vec<[u8; 8]> = self.dim.iter().map(|&n| i64::from(n).to_le_bytes()).collect();
        let code = i32::from(self.sform.is_some());
        let magic: &[u8; 4] = match (self.two, pair) {
            (false, false) => b"n+1\0",
            (false, true) => b"ni1\0",
            (true, false) => b"n+2\0",
            (true, true) => b"ni2\0",
        };
        let sform = self.sform();
        if self.two {
            put(0, &i32(540));
            put(4, magic);
            put(8, b"\r\n\x1a\n");
            put(12, &i16(self.datatype));
            put(16, &bytes(big, dim));
            put(104, &f64s(&self.pixdim));
            put(168, &bytes(big, [(if pair { 0i64 } else { 544 }).to_le_bytes()]));
            put(176, &f64s(&self.scale));
            put(192, &f64s(&[self.window[1], self.window[0]]));
            put(348, &i32(code));
            put(400, &f64s(sform.as_flattened()));
            put(500, &i32(self.units.into()));
        } else {
            put(0, &i32(348));
            put(40, &bytes(big, self.dim.map(|n| n.to_le_bytes())));
            put(70, &i16(self.datatype));
            put(76, &f32s(&self.pixdim));
            put(108, &f32s(&[if pair { 0.0 } else { 352.0 }]));
            put(112, &f32s(&self.scale));
            put(123, &[self.units]);
            put(124, &f32s(&[self.window[1], self.window[0]]));
            put(254, &i16(code as i16));
            put(280, &f32s(sform.as_flattened()));
            put(344, magic);
        }
        head
    }

    pub fn file(&self) -> Vec<u8> {
        [self.header(false), self.voxels.clone()].concat()
    }

    /// `.hdr` and `.img`.
    pub fn pair(&self) -> [Vec<u8>; 2] {
        [self.header(true), self.voxels.clone()]
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A `.npy` file of version 1.
pub fn npy(descr: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': ({shape}), }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(numbers);
    file
}

/// A ZIP archive as numpy writes it; every second file is deflated.
pub fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (index, (name, bytes)) in files.iter().enumerate() {
        let mut body = bytes.clone();
        let deflated = index % 2 == 1;
        if deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            body = encoder.finish().unwrap();
        }
        let offset = archive.len() as u32;
        let mut common = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend((body.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(body);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, len) = (archive.len() as u32, directory.len() as u32);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend((files.len() as u16).to_le_bytes().repeat(2));
    archive.extend(len.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// An idx file of `kind` with its axes.
pub fn idx(kind: u8, dims: &[u32], numbers: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, dims.len() as u8];
    file.extend(dims.iter().flat_map(|n| n.to_be_bytes()));
    file.extend(numbers);
    file
}

/// Records of CIFAR-10 with these classes.
pub fn cifar(classes: &[u8]) -> Vec<u8> {
    classes
        .iter()
        .flat_map(|&class| std::iter::once(class).chain((0..3072).map(move |i| (i / 12) as u8 ^ class)))
        .collect()
}

/// One file of each format, with its name.
pub fn small_volumes() -> Vec<(String, Vec<u8>)> {
    let shorts: Vec<i16> = (0..24).map(|i| i * 100 - 700).collect();
    let shorts = |big| bytes(big, shorts.iter().map(|v| v.to_le_bytes()));
    let one = Nifti { scale: [0.5, -3.0], sform: Some([1.0, 2.0, 3.0]), ..Nifti::new(4, shorts(false)) };
    let two = Nifti { two: true, big: true, ..Nifti::new(4, shorts(true)) };
    let colour = Nifti::new(128, (0..72).collect());
    let floats = bytes(false, (0..60u8).map(|i| (f64::from(i) * 0.3).to_le_bytes()));
    let pixels: Vec<u8> = (0..60).collect();
    let archive = zip(&[
        ("labels.npy", npy("'|u1'", false, "3,", &[1, 0, 2])),
        ("images.npy", npy("'|u1'", false, "3, 4, 5", &pixels)),
    ]);
    [
        ("one.nii", one.file()),
        ("two.nii", two.file()),
        ("colour.nii", colour.file()),
        ("one.nii.gz", gzip(&one.file())),
        ("array.npy", npy("'<f8'", false, "3, 4, 5", &floats)),
        ("fortran.npy", npy("'>i4'", true, "3, 5", &[0, 1, 2, 3].repeat(15))),
        ("colour.npy", npy("'|u1'", false, "4, 5, 3", &pixels)),
        ("archive.npz", archive),
        ("set-images-idx3-ubyte", idx(8, &[3, 4, 5], &pixels)),
        ("set.gz", gzip(&idx(0x0b, &[3, 2, 5], &pixels))),
        ("batch.bin", cifar(&[3, 9])),
        ("slice.dcm", Dicom::ct().file()),
    ]
    .map(|(name, file)| (name.to_owned(), file))
    .into()
}

/// An element in explicit little endian.
pub fn element(tag: u32, kind: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [(tag >> 16) as u16, tag as u16].map(u16::to_le_bytes).concat();
    bytes.extend(kind.as_bytes());
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if matches!(kind, "OB" | "UI") { 0 } else { b' ' });
    }
    if matches!(kind, "OB" | "OW" | "SQ") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

/// A DICOM file to be, in explicit little endian unless the syntax says more.
#[derive(Clone)]
pub struct Dicom {
    /// What follows `1.2.840.10008.1.2`.
    pub syntax: &'static str,
    pub elements: std::collections::BTreeMap<u32, (&'static str, Vec<u8>)>,
}

impl Dicom {
    /// 2 rows and 3 columns of signed 16-bit CT, −100 to 400 stored, rescaled by 2 and −1000.
    pub fn ct() -> Self {
        let values: Vec<u8> = (-1..5i16).flat_map(|v| (v * 100).to_le_bytes()).collect();
        let plain = Self { syntax: ".1", elements: Default::default() };
        plain
            .with(0x0008_0060, "CS", b"CT")
            .with(0x0010_0010, "PN", b"SECRET^NAME")
            .with(0x0018_0050, "DS", b"4")
            .with(0x0020_000e, "UI", b"1.2.3")
            .with(0x0020_0013, "IS", b"7")
            .with(0x0020_0032, "DS", b"-10\\-20\\30")
            .with(0x0020_0037, "DS", b"1\\0\\0\\0\\1\\0")
            .with(0x0028_0002, "US", &1u16.to_le_bytes())
            .with(0x0028_0004, "CS", b"MONOCHROME2")
            .with(0x0028_0010, "US", &2u16.to_le_bytes())
            .with(0x0028_0011, "US", &3u16.to_le_bytes())
            .with(0x0028_0030, "DS", b"0.5\\0.25")
            .with(0x0028_0100, "US", &16u16.to_le_bytes())
            .with(0x0028_0101, "US", &16u16.to_le_bytes())
            .with(0x0028_0102, "US", &15u16.to_le_bytes())
            .with(0x0028_0103, "US", &1u16.to_le_bytes())
            .with(0x0028_1050, "DS", b"40")
            .with(0x0028_1051, "DS", b"401")
            .with(0x0028_1052, "DS", b"-1000")
            .with(0x0028_1053, "DS", b"2")
            .with(0x7fe0_0010, "OW", &values)
    }

    pub fn with(mut self, tag: u32, kind: &'static str, value: &[u8]) -> Self {
        self.elements.insert(tag, (kind, value.to_vec()));
        self
    }

    pub fn without(mut self, tag: u32) -> Self {
        self.elements.remove(&tag);
        self
    }

    pub fn file(&self) -> Vec<u8> {
        let uid = format!("1.2.840.10008.1.2{}", self.syntax);
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        file.extend(element(0x0002_0010, "UI", uid.as_bytes()));
        file.extend(self.data_set());
        file
    }

    /// The file without preamble and meta group.
    pub fn data_set(&self) -> Vec<u8> {
        self.elements.iter().flat_map(|(&tag, (kind, value))| element(tag, kind, value)).collect()
    }
}
