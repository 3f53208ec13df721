//! Butteraugli against values of libjxl's own program, `butteraugli_main` (libjxl d2c7032e, white at 80 cd/m²).
//!
//! They were published with the crate `butteraugli` 0.9.3 as `reference_data`, with the images that its tests make: made here
//! anew, so that what is compared is what this project feeds the crate with.

use epsiloscope::metric::{ImagePair, MetricError, butteraugli};

/// In parts of the distance.
const TOLERANCE: f64 = 1e-4;

/// Interleaved RGB of 8 bits.
type Pixels = Vec<u8>;

fn each(width: usize, height: usize, value: impl Fn(usize, usize) -> [u8; 3]) -> Pixels {
    (0..width * height).flat_map(|i| value(i % width, i / width)).collect()
}

/// The crate's random bytes.
fn random(mut state: u64) -> impl FnMut() -> u8 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) & 0xFF) as u8
    }
}

/// Both images in channels of fractions, one channel where all pixels are grey.
fn planar(pixels: &[u8], channels: usize) -> Vec<f32> {
    let of = |c: usize| pixels.iter().skip(c).step_by(3).map(|&v| f32::from(v) / 255.0);
    (0..channels).flat_map(of).collect()
}

fn score([a, b]: [&Pixels; 2], [width, height]: [usize; 2], channels: usize) -> f64 {
    let [a, b] = [a, b].map(|image| planar(image, channels));
    let found = butteraugli(&ImagePair::new(&a, &b, [channels, height, width]).unwrap()).unwrap();
    assert_eq!((found.width, found.height, found.map.len()), (width, height, width * height));
    let largest = found.map.iter().copied().fold(0.0, f32::max);
    assert!((f64::from(largest) - found.value).abs() <= 1e-5 * found.value, "the value is the map's largest");
    found.value
}

#[test]
fn distances_are_those_of_libjxl() {
    for (size, expected) in [
        (
            [64, 64],
            [2.1478462219, 42.0760231018, 12.352768898, 12.9360523224, 4.5464110374, 9.8841400146, 2.0607528687],
        ),
        (
            [47, 33],
            [2.1477694511, 42.0752372742, 12.3526325226, 11.2287359238, 5.6899909973, 9.8831195831, 2.0467324257],
        ),
    ] {
        let [width, height] = size;
        let uniform = |colour: [u8; 3]| each(width, height, |_, _| colour);
        let edge = each(width, height, |x, _| [if x < width / 2 { 50 } else { 200 }; 3]);
        let brighter = edge.iter().map(|v| v.saturating_add(10)).collect();
        let at = |image: &Pixels, x: usize, y: usize, c: usize| u32::from(image[(y * width + x) * 3 + c]);
        // The mean of 3×3 pixels, of those that there are.
        let blurred = each(width, height, |x, y| {
            [0, 1, 2].map(|c| {
                let rows = y.saturating_sub(1)..=(y + 1).min(height - 1);
                let all = rows.flat_map(|y| (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |x| (x, y)));
                let (sum, count) = all.fold((0, 0), |(sum, count), (x, y)| (sum + at(&edge, x, y, c), count + 1));
                (sum / count) as u8
            })
        });
        let board = |odd: usize| each(width, height, |x, y| [if (x / 2 + y / 2) % 2 == odd { 200 } else { 50 }; 3]);
        let seed = 0x1234_5678_9ABC_DEF0;
        let (mut bytes, mut noise) = (random(seed), random(seed + 1));
        let colours: Pixels = (0..width * height * 3).map(|_| bytes()).collect();
        let noisy = colours.iter().map(|&v| (i16::from(v) + (i16::from(noise()) - 128) * 20 / 128).clamp(0, 255) as u8);
        let noisy: Pixels = noisy.collect();
        let pairs = [
            ("grey, one level", uniform([128; 3]), uniform([129; 3]), 1),
            ("grey, 20 levels", uniform([128; 3]), uniform([148; 3]), 1),
            ("blue, 20 levels", uniform([64, 64, 128]), uniform([64, 64, 148]), 3),
            ("an edge, 10 levels", edge.clone(), brighter, 1),
            ("an edge, blurred", edge, blurred, 1),
            ("a board and its inverse", board(0), board(1), 1),
            ("colours and noise", colours, noisy, 3),
        ];
        for ((name, a, b, channels), expected) in pairs.into_iter().zip(expected) {
            let found = score([&a, &b], size, channels);
            println!("{width}×{height}, {name}: {found:.6}, libjxl {expected:.6}, {:+.1e}", found / expected - 1.0);
            assert!((found / expected - 1.0).abs() < TOLERANCE, "{width}×{height}, {name}: {found}, not {expected}");
            assert_eq!(score([&a, &a], size, channels), 0.0, "{name}");
        }
    }
}

#[test]
fn more_noise_is_farther_away() {
    let (width, height) = (96, 80);
    let original: Vec<f32> = (0..width * height)
        .map(|i| 0.5 + 0.2 * ((i % width) as f32 * 0.2).sin() * ((i / width) as f32 * 0.13).cos())
        .collect();
    let mut bytes = random(3);
    let signs: Vec<f32> = original.iter().map(|_| if bytes() < 128 { 1.0 } else { -1.0 }).collect();
    let at = |levels: f32| {
        let changed: Vec<f32> = original.iter().zip(&signs).map(|(v, s)| v + s * levels / 255.0).collect();
        butteraugli(&ImagePair::new(&original, &changed, [1, height, width]).unwrap()).unwrap().value
    };
    let found = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0].map(at);
    println!("{found:?}");
    assert!(found[0] == 0.0 && found.windows(2).all(|w| w[1] > w[0]), "{found:?}");
}

#[test]
fn what_it_is_not_defined_for() {
    let image = [0.3f32; 2 * 80];
    let refused = |shape: [usize; 3]| {
        let image = &image[..shape.iter().product()];
        butteraugli(&ImagePair::new(image, image, shape).unwrap()).err()
    };
    assert_eq!(refused([1, 8, 10]), None);
    assert!(matches!(refused([1, 7, 10]), Some(MetricError::TooSmall { least: 8, .. })));
    assert!(matches!(refused([2, 8, 10]), Some(MetricError::Channels { channels: 2, .. })));
}
