//! Damaged files of every format and codec: an error or a sound image, never a panic, and never more memory than is stated.
//!
//! Three ways: cut at each hundredth of the length and with random bytes changed, in a process whose address space is limited;
//! and changed with an eye to what formats are made of, one test a reader. `EPSILOSCOPE_FUZZ_CASES` sets how many changes each
//! of those tries.

use crate::damage_samples::{Sample, samples};
use crate::volume_files::Dicom;
use epsiloscope::data::{Stack, open_bytes};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::AtomicBool;

/// What a process may take in all while it opens damaged files of at most 8 KiB, in MiB of address space, the program itself,
/// its threads and its allocator's reserve included. A header that is believed would ask for up to 2 GiB.
const MOST_MEMORY_MB: usize = 1024;

fn same_pixels(a: &Stack, b: &Stack) -> bool {
    a.slices == b.slices && (0..a.slices).all(|slice| a.slice(slice) == b.slice(slice))
}

/// Opens; whether that worked. What opened must be whole, what did not must say why.
fn check(name: &str, bytes: &[u8]) -> Option<Stack> {
    match open_bytes(name, bytes) {
        Ok(stack) => {
            let len = stack.slices * stack.channels * stack.height * stack.width;
            assert!(len > 0 && stack.pixels.len() == len && matches!(stack.channels, 1 | 3), "{name}");
            assert!(stack.slice(stack.slices - 1).unwrap().pixels.iter().all(|v| v.is_finite()), "{name}");
            assert!(stack.bounds.width() > 0.0 && stack.shown.width() > 0.0, "{name}: {:?}", stack.bounds);
            Some(stack)
        }
        Err(error) => {
            assert!(!error.cause.is_empty() && error.to_string().starts_with(name), "{error}");
            None
        }
    }
}

#[test]
fn every_sample_opens() {
    for sample in samples() {
        assert!(sample.inner.len() <= 1 << 15, "{} has {} bytes", sample.name, sample.inner.len());
        let file = (sample.wrap)(&sample.inner);
        open_bytes(&sample.name, &file).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The work of the limited process.
fn cut_and_change() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (mut opened, mut refused) = (0, 0);
    for Sample { reader, name, inner, wrap } in samples() {
        let file = wrap(&inner);
        let whole = open_bytes(&name, &file).unwrap();
        for percent in 0..100 {
            // What was cut off may have held no pixels: the end marker of a PNG.
            match check(&name, &file[..file.len() * percent / 100]) {
                Some(stack) => {
                    // A file without a header is whole wherever a record ends.
                    assert!(same_pixels(&stack, &whole) || reader == "cifar", "{name} cut at {percent} %");
                }
                None => refused += 1,
            }
        }
        for _ in 0..60 {
            let mut broken = inner.clone();
            for _ in 0..random.random_range(1..4) {
                // Headers are short: aim at them half of the time.
                let end = if random.random() { broken.len().min(64) } else { broken.len() };
                let place = random.random_range(0..end);
                broken[place] ^= random.random_range(1..=255u8);
            }
            match check(&name, &wrap(&broken)) {
                Some(_) => opened += 1,
                None => refused += 1,
            }
        }
    }
    a_lying_series();
    println!("{opened} opened, {refused} refused");
    assert!(opened > 500 && refused > 3000, "{opened} opened, {refused} refused");
}

/// Small files that promise a million frames each.
fn a_lying_series() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..12u8 {
        let file = Dicom::ct()
            .with(0x0020_0013, "IS", index.to_string().as_bytes())
            .with(0x0028_0008, "IS", b"1048576")
            .with(0x0028_0010, "US", &2u16.to_le_bytes())
            .with(0x0028_0011, "US", &2u16.to_le_bytes())
            .with(0x7fe0_0010, "OW", &[0; 8]);
        std::fs::write(folder.path().join(index.to_string()), file.file()).unwrap();
    }
    let error = epsiloscope::data::open(folder.path(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");
}

const CHILD: &str = "EPSILOSCOPE_LIMITED";

/// Does its work in the process that [`damaged_files_take_no_more_memory_than_stated`] starts.
#[test]
fn in_the_limited_process() {
    if std::env::var_os(CHILD).is_some() {
        cut_and_change();
    }
}

#[test]
fn damaged_files_take_no_more_memory_than_stated() {
    if !cfg!(target_os = "linux") {
        return cut_and_change();
    }
    let command = format!("ulimit -v {}; exec \"$0\" \"$@\"", MOST_MEMORY_MB << 10);
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "damage::in_the_limited_process", "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        // Address space that is only reserved does not count as memory taken.
        .env("MIMALLOC_ARENA_RESERVE", "32768")
        .output()
        .unwrap();
    let [said, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let end = &errors[errors.len().saturating_sub(3000)..];
    assert!(output.status.success() && said.contains("refused"), "{:?}\n{said}\n{end}", output.status);
}

/// One change of a file.
#[derive(Clone, Debug)]
pub enum Change {
    /// Bits of a byte, counted from the beginning, or from the end.
    Bits(u16, u8, bool),
    /// A number of 1, 2, 4 or 8 bytes that is special to many formats, in either order.
    Number(u16, u8, u64, bool),
    /// A few bytes less.
    Remove(u16, u8),
    /// A few bytes twice.
    Repeat(u16, u8),
    /// Bytes from elsewhere in the file.
    Copy(u16, u16, u8),
    /// The end.
    Cut(u16),
}

pub fn any_change() -> impl Strategy<Value = Change> {
    let special = prop_oneof![
        Just(0u64),
        Just(1),
        Just(0x7f),
        Just(0x80),
        Just(0xff),
        Just(0x7fff),
        Just(0x8000),
        Just(0xffff),
        Just(0x10000),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(0xffff_ffff),
        Just(u64::MAX),
        0u64..64,
        any::<u64>(),
    ];
    // Headers are short: most changes go there.
    let place = || prop_oneof![3 => 0u16..64, 3 => 0u16..700, 2 => any::<u16>()];
    prop_oneof![
        4 => (place(), 1u8..=255, any::<bool>()).prop_map(|(at, bits, end)| Change::Bits(at, bits, end)),
        6 => (place(), 0u8..4, special, any::<bool>()).prop_map(|(at, size, n, big)| Change::Number(at, size, n, big)),
        1 => (place(), 1u8..9).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (place(), 1u8..65).prop_map(|(at, len)| Change::Repeat(at, len)),
        1 => (place(), place(), 1u8..33).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
        1 => any::<u16>().prop_map(Change::Cut),
    ]
}

impl Change {
    pub fn apply(&self, file: &mut Vec<u8>) {
        let len = file.len();
        if len == 0 {
            return;
        }
        let place = |at: u16| usize::from(at) % len;
        match *self {
            Self::Bits(at, bits, from_end) => {
                let at = place(at);
                file[if from_end { len - 1 - at } else { at }] ^= bits;
            }
            Self::Number(at, size, number, big) => {
                let size = 1usize << size;
                let mut bytes = number.to_le_bytes()[..size].to_vec();
                if big {
                    bytes.reverse();
                }
                // Numbers mostly stand at multiples of two.
                let at = place(at) & !1;
                file.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = from);
            }
            Self::Remove(at, count) => drop(file.drain(place(at)..(place(at) + usize::from(count)).min(len))),
            Self::Repeat(at, count) => {
                let part = file[place(at)..(place(at) + usize::from(count)).min(len)].to_vec();
                file.splice(place(at)..place(at), part);
            }
            Self::Copy(from, to, count) => {
                let part = file[place(from)..(place(from) + usize::from(count)).min(len)].to_vec();
                file.iter_mut().skip(place(to)).zip(part).for_each(|(to, from)| *to = from);
            }
            Self::Cut(at) => file.truncate(place(at)),
        }
    }
}

/// Changes the samples of a reader. Failures are shrunk to the fewest changes.
fn fuzz(reader: &str) {
    let cases = std::env::var("EPSILOSCOPE_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let samples: Vec<Sample> = samples().into_iter().filter(|sample| sample.reader == reader).collect();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let strategy = (0..samples.len(), proptest::collection::vec(any_change(), 1..6));
    TestRunner::new(config)
        .run(&strategy, |(index, changes)| {
            let Sample { name, inner, wrap, .. } = &samples[index];
            let mut broken = inner.clone();
            changes.iter().for_each(|change| change.apply(&mut broken));
            check(name, &wrap(&broken));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

macro_rules! fuzz {
    ($($test:ident: $reader:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            fuzz($reader);
        })+
    };
}

fuzz! {
    changed_png: "png",
    changed_jpeg: "jpeg",
    changed_bmp: "bmp",
    changed_webp: "webp",
    changed_tiff: "tiff",
    changed_dicom: "dicom",
    changed_nifti: "nifti",
    changed_numpy: "numpy",
    changed_idx: "idx",
    changed_cifar: "cifar",
}
