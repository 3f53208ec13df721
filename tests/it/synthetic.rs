//! Generated membranes: exact masks, the same bytes for the same seed, and statistics like those of real sections.

use crate::command_line::{program, text};
use epsiloscope::data::synthetic::membranes::{CELL, MEMBRANE};
use epsiloscope::data::synthetic::{MembranesConfig, Section, chest_xray, lumbar_ct, lumbar_mr};
use epsiloscope::data::{Bounds, LabelStack, Stack, Unit};
use epsiloscope::metric::components;
use std::path::Path;

fn sections(count: u64) -> Vec<Section> {
    (0..count).map(|seed| MembranesConfig::sized(128).section(500 + seed)).collect()
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    let section = MembranesConfig::sized(96).section(42);
    assert_eq!(section, MembranesConfig::sized(96).section(42));
    assert_ne!(section.image, MembranesConfig::sized(96).section(43).image);
    // Only integer hashes and basic IEEE operations are used, so these hold everywhere. A change of the synthesis
    // changes them, and the sample data and the bundled model then no longer follow from the code.
    assert_eq!((fnv(&section.image), fnv(&section.label)), FINGERPRINT, "the synthesis has changed");
}

const FINGERPRINT: (u64, u64) = (0xf8b0_adc5_54bc_8488, 0xf63c_eee6_b0da_fd1b);

#[test]
fn labels_hold_cell_and_membrane_in_the_share_of_real_sections() {
    let mut shares = Vec::new();
    for section in sections(40) {
        assert!(section.label.iter().all(|&v| v == CELL || v == MEMBRANE));
        assert_eq!((section.image.len(), section.label.len()), (128 * 128, 128 * 128));
        shares.push(section.membrane_share());
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    // ISBI 2012: 17 to 27 %, on average 22 %.
    assert!((0.18..0.28).contains(&mean), "mean share {mean}");
    assert!(shares.iter().all(|s| (0.08..0.45).contains(s)), "{shares:?}");
}

#[test]
fn membranes_are_darker_than_cells_and_cells_are_closed() {
    for section in sections(12) {
        let mean = |class: u8| {
            let of: Vec<f64> = section
                .image
                .iter()
                .zip(&section.label)
                .filter(|(_, l)| **l == class)
                .map(|(v, _)| f64::from(*v))
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(CELL) - mean(MEMBRANE) > 15.0, "cell {}, membrane {}", mean(CELL), mean(MEMBRANE));
        let cells: Vec<bool> = section.label.iter().map(|&l| l == CELL).collect();
        let labels = components(&cells, section.size);
        let mut areas = vec![0usize; 1 + labels.iter().copied().max().unwrap_or(0) as usize];
        labels.iter().for_each(|&l| areas[l as usize] += 1);
        let large = areas[1..].iter().filter(|a| **a > 20).count();
        // One leak would join nearly everything into one component.
        assert!(large >= 4, "{large} cells");
        assert!(areas[1..].iter().all(|&a| a < 128 * 128 * 3 / 4));
    }
}

#[test]
fn organelles_do_not_touch_the_mask() {
    let plain = MembranesConfig {
        mitochondria: [0.0, 0.0],
        vesicles: [0.0, 0.0],
        stains: [0.0, 0.0],
        noise: [0.0, 0.0],
        blur: [0.0, 0.0],
        ..MembranesConfig::sized(128)
    };
    let full = MembranesConfig { vesicles: [8.0, 8.0], ..plain.clone() };
    let (a, b) = (plain.section(9), full.section(9));
    assert_eq!(a.label, b.label);
    assert_ne!(a.image, b.image);
}

#[test]
fn slices_of_a_stack_continue_each_other() {
    let stack = MembranesConfig { slices: 4, ..MembranesConfig::sized(128) }.stack(11);
    assert_eq!(stack.len(), 4);
    let differ = |a: &Section, b: &Section| {
        a.label.iter().zip(&b.label).filter(|(x, y)| x != y).count() as f64 / a.label.len() as f64
    };
    let stranger = MembranesConfig::sized(128).section(12);
    for pair in stack.windows(2) {
        let near = differ(&pair[0], &pair[1]);
        assert!(
            near > 0.0 && near < 0.6 * differ(&pair[0], &stranger),
            "{near} against {}",
            differ(&pair[0], &stranger)
        );
    }
}

#[test]
fn any_size_and_absurd_ranges_give_an_image() {
    for size in [0, 16, 17, 63, 200] {
        let section = MembranesConfig::sized(size).section(1);
        assert_eq!(section.image.len(), section.size * section.size);
    }
    let absurd = MembranesConfig {
        scale: [0.0, 0.0],
        elongation: [0.0, 50.0],
        half_thickness: [0.0, 30.0],
        noise: [-1.0, 5.0],
        blur: [-3.0, 9.0],
        gamma: [-9.0, 9.0],
        ..MembranesConfig::sized(48)
    };
    for seed in 0..4 {
        assert_eq!(absurd.section(seed).image.len(), 48 * 48);
    }
}

#[test]
fn the_sample_data_follow_from_their_seeds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data");
    let never = std::sync::atomic::AtomicBool::new(false);
    let read = |name: &str, slice: usize| -> Vec<u8> {
        let stack = epsiloscope::data::open(&folder.join(name), &never).unwrap();
        stack.slice(slice).unwrap().pixels.iter().map(|&v| v as u8).collect()
    };
    for (name, seed) in [("membranes", 801), ("membranes-2", 709), ("membranes-3", 710)] {
        let section = MembranesConfig::sized(256).section(seed);
        assert_eq!(section.image, read(&format!("{name}.png"), 0), "{name}");
        assert_eq!(section.label, read(&format!("{name}-mask.png"), 0), "{name}");
    }
    let stack = MembranesConfig { slices: 4, ..MembranesConfig::sized(192) }.stack(724);
    for (slice, section) in stack.iter().enumerate() {
        assert_eq!(section.image, read("membranes-stack.tif", slice));
        assert_eq!(section.label, read("membranes-stack-mask.tif", slice));
    }
}

#[test]
fn the_samples_of_bodies_follow_from_their_seed_and_keep_their_geometry() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data");
    let never = std::sync::atomic::AtomicBool::new(false);
    let values = |stack: &Stack| -> Vec<f32> {
        (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
    };
    let same = |name: &str, made: &Stack| {
        let read = epsiloscope::data::open(&folder.join(name), &never).unwrap();
        assert!(values(&read) == values(made), "{name}");
        assert_eq!(read.about.axes(), made.about.axes(), "{name}");
        assert_eq!(read.about.spacing, made.about.spacing, "{name}");
        read
    };
    let made = tempfile::tempdir().unwrap();
    let words = ["synth", "--kind", "lumbar-ct", "--count", "1", "--seed", "1", "--out", "."];
    let output = program(made.path()).args(words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for slice in 0..24 {
        let name = format!("slice-{slice:04}.dcm");
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(read(&made.path().join("images/lumbar-ct-1")) == read(&folder.join("lumbar-ct")), "{name}");
    }
    let ct = lumbar_ct(1, 144, 24).unwrap();
    let read = same("lumbar-ct", &ct);
    assert_eq!((read.about.unit, read.about.axes()), (Unit::Hounsfield, Some(['L', 'P', 'S'])));
    assert_eq!(read.shown, Bounds { lower: -160.0, upper: 240.0 });
    let [mr, vertebrae] = lumbar_mr(1, 144, 16).unwrap();
    assert_eq!(same("lumbar-mr.nii.gz", &mr).about.axes(), Some(['P', 'I', 'L']));
    same("lumbar-mr-mask.nii.gz", &vertebrae);
    let [chest, opacity] = chest_xray(1, 320, true).unwrap();
    same("chest-xray.png", &chest);
    same("chest-xray-mask.png", &opacity);
}

#[test]
fn a_made_up_body_has_the_values_of_tissue() {
    let ct = lumbar_ct(3, 96, 8).unwrap();
    let values: Vec<f32> = (0..8).flat_map(|slice| ct.slice(slice).unwrap().pixels.to_vec()).collect();
    let share = |least: f32, most: f32| {
        values.iter().filter(|v| (least..most).contains(*v)).count() as f64 / values.len() as f64
    };
    let shares = [share(-1024.0, -900.0), share(-140.0, -60.0), share(10.0, 100.0), share(200.0, 1400.0)];
    let plausible = [0.2..0.8, 0.1..0.5, 0.05..0.5, 0.003..0.05];
    assert!(shares.iter().zip(&plausible).all(|(share, range)| range.contains(share)), "{shares:?}");
    let [mr, mask] = lumbar_mr(3, 64, 9).unwrap();
    let label = LabelStack::from_stack(&mask).unwrap();
    assert_eq!(label.values, [0, 1, 2, 3, 4, 5]);
    assert!(label.check_fits(&mr).is_ok());
    // The opacity absorbs: it is brighter than the same place without it.
    let ([with, mask], [without, empty]) = (chest_xray(5, 96, true).unwrap(), chest_xray(5, 96, false).unwrap());
    let [with, without, mask] = [with, without, mask].map(|stack| stack.slice(0).unwrap().pixels);
    let inside: Vec<f32> = (0..mask.len()).filter(|&i| mask[i] > 0.0).map(|i| with[i] - without[i]).collect();
    assert!(inside.len() > 50 && inside.iter().sum::<f32>() / inside.len() as f32 > 100.0);
    assert!(empty.slice(0).unwrap().pixels.iter().all(|&v| v == 0.0));
}
