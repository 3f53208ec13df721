//! Metrics of a perturbation equal those of scikit-image, piq and NVIDIA's FLIP (`tests/fixtures/metrics.py`).

use crate::fixture;
use epsiloscope::metric::{
    ImagePair, MetricError, MetricMap, ciede2000, distortion, flip, gmsd, haarpsi, ms_ssim, pixels_per_degree, ssim,
    vif,
};
use std::collections::BTreeMap;

/// Largest difference to a reference.
const TOLERANCE: f64 = 1e-4;

/// The images `name` and `name.change`.
const PAIRS: [&str; 8] = [
    "grey.noise",
    "grey.contrast",
    "grey.blurred",
    "grey.flat",
    "grey.inverted",
    "colour.noise",
    "colour.contrast",
    "colour.blurred",
];

/// Calls `check` on both images and whether there is a map to compare, and compares the references that it names.
fn each_pair(check: impl Fn(&ImagePair<'_>) -> Vec<(&'static str, f64, Option<MetricMap>)>) {
    let file = fixture::tensors(&std::fs::read(fixture::path("metrics.safetensors")).unwrap());
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    let mut compare = |what: String, key: String, found: f64, expected: f32| {
        let difference = (found - f64::from(expected)).abs();
        // Sums such as L1 are stored in single precision.
        let allowed = TOLERANCE.max(f64::from(expected).abs() * 1e-7);
        assert!(difference <= allowed, "{key}: {found}, not {expected}");
        let entry = largest.entry(what).or_default();
        *entry = entry.max(difference);
    };
    for key in PAIRS {
        let image = |key: &str| {
            let (shape, values) = &file[key];
            let values: Vec<f32> = values.iter().map(|v| v / 255.0).collect();
            ([shape[0], shape[1], shape[2]], values)
        };
        let (shape, original) = image(key.split('.').next().unwrap());
        let (_, adversarial) = image(key);
        for (metric, value, map) in check(&ImagePair::new(&original, &adversarial, shape).unwrap()) {
            compare(metric.to_owned(), format!("{key}.{metric}"), value, file[&format!("{key}.{metric}")].1[0]);
            let map_key = format!("{key}.{metric}_map");
            let (Some(map), Some((shape, expected))) = (map, file.get(&map_key)) else { continue };
            assert_eq!(*shape, [map.height, map.width], "{map_key}");
            for (&found, &expected) in map.map.iter().zip(expected) {
                compare(format!("{metric} map"), map_key.clone(), found.into(), expected);
            }
        }
    }
    for (what, difference) in largest {
        println!("{what}: largest difference {difference:.1e}");
    }
}

/// The image four times down and across.
fn tiled(image: &[f32], [channels, height, width]: [usize; 3]) -> (Vec<f32>, [usize; 3]) {
    let shape = [channels, 4 * height, 4 * width];
    let pixel = |i: usize| {
        let (channel, y, x) = (i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]);
        image[(channel * height + y % height) * width + x % width]
    };
    ((0..shape.iter().product()).map(pixel).collect(), shape)
}

#[test]
fn norms_and_psnr() {
    each_pair(|pair| {
        let norms = distortion(pair.original(), pair.adversarial());
        vec![
            ("l0", norms.l0 as f64, None),
            ("l1", norms.l1, None),
            ("l2", norms.l2, None),
            ("linf", norms.linf, None),
            ("psnr", pair.psnr(), None),
        ]
    });
}

#[test]
fn structural_similarity() {
    each_pair(|pair| {
        let (original, shape) = tiled(pair.original(), pair.shape());
        let (adversarial, _) = tiled(pair.adversarial(), pair.shape());
        let tiled = ImagePair::new(&original, &adversarial, shape).unwrap();
        let one = ssim(pair).unwrap();
        vec![("ms_ssim", ms_ssim(&tiled).unwrap(), None), ("ssim", one.value, Some(one))]
    });
}

#[test]
fn information_gradients_and_wavelets() {
    each_pair(|pair| {
        vec![
            ("vif", vif(pair).unwrap().value, None),
            ("gmsd", gmsd(pair).unwrap().value, None),
            ("haarpsi", haarpsi(pair).unwrap().value, None),
        ]
    });
}

#[test]
fn the_map_of_haarpsi_is_low_where_the_image_was_changed() {
    let size = 64;
    let original: Vec<f32> = (0..size * size).map(|i| 0.5 + 0.2 * (i as f32 * 0.7).sin()).collect();
    let mut changed = original.clone();
    let inside = |i: usize| (16..32).contains(&(i % size)) && (16..32).contains(&(i / size));
    for i in (0..size * size).filter(|&i| inside(i)) {
        changed[i] += if (i / size).is_multiple_of(2) { 0.1 } else { -0.1 };
    }
    let pair = ImagePair::new(&original, &changed, [1, size, size]).unwrap();
    let found = haarpsi(&pair).unwrap();
    let at = |y: usize, x: usize| found.map[y * size + x];
    assert!(at(24, 24) < 0.95, "{}", at(24, 24));
    // The coarsest wavelet reaches 4 pixels.
    assert!((at(40, 24) - 1.0).abs() < 1e-6 && (at(24, 50) - 1.0).abs() < 1e-6);
    assert!(found.map.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "of the value's range");
}

#[test]
fn the_map_of_vif_holds_the_parts_of_the_value() {
    let (height, width) = (96, 112);
    let original: Vec<f32> =
        (0..height * width).map(|i| 0.5 + 0.2 * (i as f32 * 0.7).sin() * (i as f32 * 0.11).cos()).collect();
    let noisy: Vec<f32> =
        original.iter().enumerate().map(|(i, v)| v + if i * 7919 % 13 < 6 { 0.02 } else { -0.02 }).collect();
    let shape = [1, height, width];
    let found = vif(&ImagePair::new(&original, &noisy, shape).unwrap()).unwrap();
    let mean = found.map.iter().map(|&v| f64::from(v)).sum::<f64>() / found.map.len() as f64;
    assert!((mean - found.value).abs() < 0.02 && found.value < 0.9, "alike everywhere: {mean} {}", found.value);
    // Changed in one corner: that is where information is lost, as far as the coarsest window reaches.
    let mut changed = original.clone();
    for i in (0..height * width).filter(|i| i % width < 16 && i / width < 16) {
        changed[i] = noisy[i];
    }
    let found = vif(&ImagePair::new(&original, &changed, shape).unwrap()).unwrap();
    let at = |y: usize, x: usize| found.map[y * width + x];
    assert!(at(4, 4) < 0.9, "{}", at(4, 4));
    assert!((at(80, 90) - 1.0).abs() < 1e-6 && (at(8, 90) - 1.0).abs() < 1e-6 && (at(80, 8) - 1.0).abs() < 1e-6);
}

#[test]
fn differences_of_colours() {
    each_pair(|pair| {
        let found = ciede2000(pair).unwrap();
        vec![("ciede2000", found.value, Some(found))]
    });
    let image = [0.3f32; 2 * 9];
    let two_channels = ImagePair::new(&image, &image, [2, 3, 3]).unwrap();
    assert!(matches!(ciede2000(&two_channels), Err(MetricError::Channels { channels: 2, .. })));
    let same = ciede2000(&ImagePair::new(&image, &image, [1, 6, 3]).unwrap()).unwrap();
    assert_eq!((same.value, same.map), (0.0, vec![0.0; 18]));
}

#[test]
fn alternating_images() {
    each_pair(|pair| {
        let found = flip(pair, 40.0).unwrap();
        vec![("flip", found.value, Some(found))]
    });
    let image: Vec<f32> = (0..54).map(|i| (i * 37 % 54) as f32 / 53.0).collect();
    let pair = |shape| ImagePair::new(&image, &image, shape).unwrap();
    // An image smaller than the window is seen beside its own edge.
    for shape in [[1, 6, 9], [3, 1, 18]] {
        let same = flip(&pair(shape), 67.0).unwrap();
        assert_eq!((same.value, same.map), (0.0, vec![0.0; shape[1] * shape[2]]));
    }
    assert!(matches!(flip(&pair([2, 3, 9]), 67.0), Err(MetricError::Channels { channels: 2, .. })));
    for ppd in [0.0, -67.0, 1e9, f64::NAN] {
        assert_eq!(flip(&pair([1, 6, 9]), ppd).err(), Some(MetricError::PixelsPerDegree));
    }
    // The evaluator's default: 0.7 m from a display 0.7 m and 3840 pixels wide.
    assert!((pixels_per_degree(0.7, 3840.0, 0.7) - 67.02).abs() < 0.01);
}

#[test]
fn what_is_seen_from_afar_is_less() {
    // Noise of ±8/255 between neighbours, from ever further away; last, windows wider than the image.
    let original = vec![0.5f32; 64 * 64];
    let noisy: Vec<f32> = (0..64 * 64).map(|i| 0.5 + if i * 7919 % 13 < 6 { 8.0 } else { -8.0 } / 255.0).collect();
    let pair = ImagePair::new(&original, &noisy, [1, 64, 64]).unwrap();
    // NVIDIA's evaluator 1.7 of the same images. At 500 what is left is the pattern's mean, which is not 0.
    for (pixels_per_degree, expected) in
        [(10.0, 0.182428), (40.0, 0.122187), (67.0, 0.068809), (200.0, 0.013986), (500.0, 0.018011)]
    {
        let found = flip(&pair, pixels_per_degree).unwrap().value;
        assert!((found - expected).abs() < TOLERANCE, "{pixels_per_degree}: {found}, not {expected}");
    }
}

/// A metric that is 1 for identical images, and its smallest side in pixels.
type Similarity = (fn(&ImagePair<'_>) -> Result<f64, MetricError>, usize);
const SIMILARITIES: [Similarity; 5] = [
    (|pair| ssim(pair).map(|found| found.value), 11),
    (ms_ssim, 161),
    (|pair| vif(pair).map(|found| found.value), 41),
    (|pair| gmsd(pair).map(|found| 1.0 - found.value), 3),
    (|pair| haarpsi(pair).map(|found| found.value), 16),
];

#[test]
fn identical_images_are_alike_and_small_ones_are_refused() {
    for (metric, least) in SIMILARITIES {
        for value in [Some(0.0), Some(0.7), Some(1.0), None] {
            for channels in [1, 2, 3] {
                let shape = [channels, least, least + 1];
                let image: Vec<f32> =
                    (0..shape.iter().product()).map(|i| value.unwrap_or((i * 7919 % 101) as f32 / 100.0)).collect();
                let found = metric(&ImagePair::new(&image, &image, shape).unwrap()).unwrap();
                assert!((found - 1.0).abs() < 1e-6, "{shape:?} {value:?}: {found}");
                for shape in [[channels, least - 1, least + 1], [channels, least + 1, least - 1]] {
                    let image = vec![0.5; shape.iter().product()];
                    let refused = metric(&ImagePair::new(&image, &image, shape).unwrap());
                    assert!(matches!(refused, Err(MetricError::TooSmall { .. })), "{shape:?}: {refused:?}");
                }
            }
        }
    }
}

#[test]
fn the_map_of_gradients_is_that_of_the_value() {
    each_pair(|pair| {
        if pair.shape()[0] != 1 {
            return Vec::new();
        }
        let found = gmsd(pair).unwrap();
        let n = found.map.len() as f64;
        let mean = found.map.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = found.map.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        vec![("gmsd", variance.sqrt(), None)]
    });
}
