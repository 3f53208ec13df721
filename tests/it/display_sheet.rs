//! A sheet of real sections for a look with one's own eyes, and how long pictures take.

use super::display::{read, render_state};
use eframe::egui_wgpu::{RenderState, wgpu};
use epsiloscope::engine::{Plane, Storage};
use epsiloscope::gpu::{Display, Planes, Slot};
use epsiloscope::view::{Content, Layers, MaskKind, PlaneView, Theme, Transform, ViewSpec, Window, palette, render};
use image::RgbaImage;
use std::time::Instant;

/// Real serial sections, every content side by side, saved for a look: `cargo test contact_sheet -- --nocapture` prints
/// where. Also measures the compute pass.
#[test]
fn contact_sheet_of_real_sections() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/isbi2012");
    let (Some(section), Some(label)) =
        (first_slice(&folder, "train-volume.tif"), first_slice(&folder, "train-labels.tif"))
    else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let side = 512;
    let reference: Vec<f32> = label.iter().map(|&v| if v < 0.5 { 1.0 } else { 0.0 }).collect();
    // Two predictions as a model would make them: dark and smooth is membrane; the second one is misled in a part.
    let predict = |threshold: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        let smooth = blurred(&section, side, 2);
        let at = |i: usize| threshold(i % side, i / side) - smooth[i];
        (0..side * side).map(|i| 1.0 / (1.0 + (-30.0 * at(i)).exp())).collect()
    };
    let clean = predict(&|_, _| 0.42);
    let broken = predict(&|x, y| 0.42 + 0.12 * ((x as f32 / 70.0).sin() * (y as f32 / 90.0).cos()));
    let noise: Vec<f32> = clean
        .iter()
        .zip(&section)
        .map(|(&p, &v)| if (p * 37.0 + v * 91.0) as i32 % 2 == 0 { 4.0 / 255.0 } else { -4.0 / 255.0 })
        .collect();
    let ignored: Vec<f32> = reference.iter().enumerate().map(|(i, &v)| if i / side > 420 { -1.0 } else { v }).collect();
    let image_plane = Plane::from_host(1, side, side, section.clone());
    let mask = |values: &[f32], kind| Some((Plane::from_host(1, side, side, values.to_vec()), kind));
    use MaskKind::{Probability, Reference};
    let (full, window) = (Window::FULL, Window { lower: 0.15, upper: 0.85 });
    let image_only = || Planes { image: Some(image_plane.clone()), ..Planes::default() };
    let with = |mask, second| Planes { image: Some(image_plane.clone()), mask, second };
    let overlay = |fill, contour| Content::Overlay { window: full, fill, contour };
    let rows = [
        (Content::Image { window }, image_only()),
        (
            Content::Noise { gain: 30.0 },
            Planes { image: Some(Plane::from_host(1, side, side, noise)), ..Planes::default() },
        ),
        (Content::Mask, Planes { image: None, mask: mask(&clean, Probability), second: None }),
        (overlay(0.35, true), with(mask(&clean, Probability), None)),
        (overlay(0.0, true), with(mask(&clean, Probability), mask(&reference, Reference))),
        (Content::Difference { window: full }, with(mask(&broken, Probability), mask(&clean, Probability))),
        (Content::Difference { window: full }, with(mask(&broken, Probability), mask(&ignored, Reference))),
        (Content::Mask, Planes { image: None, mask: mask(&ignored, Reference), second: None }),
    ];
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let tile = [360, 360];
    let positions = [
        Transform::fit([side, side], tile),
        Transform::with_zoom([side, side], tile, 3.0),
        Transform::new(1.0 / 14.0, [200.0, 220.0]),
    ];
    let (across, down) = (rows.len() as u32, 2 * positions.len() as u32);
    let mut sheet = RgbaImage::from_pixel(across * 364 + 4, down * 364 + 4, image::Rgba([60, 60, 64, 255]));
    for (t, theme) in [Theme::Dark, Theme::Light].into_iter().enumerate() {
        for (j, &transform) in positions.iter().enumerate() {
            for (i, (content, planes)) in rows.iter().enumerate() {
                let spec = ViewSpec { grid: true, ..ViewSpec::new(*content, transform).themed(theme) };
                display.show(Slot(i as u64), &spec, planes, tile).unwrap();
                let picture = read(state, display.texture(Slot(i as u64)).unwrap());
                let (x, y) = (i as i64 * 364 + 4, (t * positions.len() + j) as i64 * 364 + 4);
                image::imageops::replace(&mut sheet, &picture, x, y);
            }
        }
    }
    let path = std::env::temp_dir().join("epsiloscope-contact-sheet.png");
    sheet.save(&path).unwrap();
    println!("saved {}", path.display());
    let has = |colour: [u8; 3]| sheet.pixels().any(|p| p.0[..3] == colour);
    assert!(has(palette::POSITIVE) && has(palette::SECOND), "no contour is to be seen");
    measure(state, &mut display, &rows);
}

/// Prints the seconds from a changed view to a finished texture, and those of the CPU renderer.
fn measure(state: &RenderState, display: &mut Display, rows: &[(Content, Planes)]) {
    let host = |plane: &Plane| match &plane.storage {
        Storage::Host(values) => values.clone(),
        Storage::Shared(_) => panic!("on the host, all of them"),
    };
    fn square(values: &[f32]) -> PlaneView<'_> {
        PlaneView { channels: 1, height: 512, width: 512, values }
    }
    for (content, planes) in rows {
        let mut seconds = Vec::new();
        for run in 0..9 {
            let transform = Transform::new(512.0 / 400.0, [run as f32 * 0.01, 0.0]);
            let spec = ViewSpec::new(*content, transform);
            let start = Instant::now();
            display.show(Slot(99), &spec, planes, [400, 400]).unwrap();
            let submitted = start.elapsed();
            state.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            seconds.push((start.elapsed(), submitted));
        }
        seconds.sort();
        let image = planes.image.as_ref().map(host);
        let mask = planes.mask.as_ref().map(|(plane, kind)| (host(plane), *kind));
        let second = planes.second.as_ref().map(|(plane, kind)| (host(plane), *kind));
        let layers = Layers {
            image: image.as_deref().map(square),
            mask: mask.as_ref().map(|(values, kind)| (square(values), *kind)),
            second: second.as_ref().map(|(values, kind)| (square(values), *kind)),
        };
        let spec = ViewSpec::new(*content, Transform::new(512.0 / 400.0, [0.0, 0.0]));
        let mut on_cpu = Vec::new();
        for _ in 0..9 {
            let start = Instant::now();
            render(&spec, &layers, [400, 400]).unwrap();
            on_cpu.push(start.elapsed());
        }
        on_cpu.sort();
        let (whole, submitted) = seconds[4];
        println!("{content:?}: 512² to 400² in {whole:.1?} (submitted after {submitted:.1?}); CPU {:.1?}", on_cpu[4]);
    }
}

fn first_slice(folder: &std::path::Path, name: &str) -> Option<Vec<f32>> {
    let file = std::fs::File::open(folder.join(name)).ok()?;
    let mut decoder = tiff::decoder::Decoder::new(std::io::BufReader::new(file)).unwrap();
    match decoder.read_image().unwrap() {
        tiff::decoder::DecodingResult::U8(values) => Some(values.iter().map(|&v| f32::from(v) / 255.0).collect()),
        _ => panic!("{name} is not of 8 bits"),
    }
}

/// A box blur of the given radius, twice.
fn blurred(values: &[f32], side: usize, radius: usize) -> Vec<f32> {
    let once = |values: &[f32], step: usize, across: &dyn Fn(usize) -> usize| -> Vec<f32> {
        let place = |i: usize, k: usize| {
            let at = across(i) as i64 + k as i64 - radius as i64;
            (i as i64 + (at.clamp(0, side as i64 - 1) - across(i) as i64) * step as i64) as usize
        };
        (0..values.len())
            .map(|i| (0..=2 * radius).map(|k| values[place(i, k)]).sum::<f32>() / (2 * radius + 1) as f32)
            .collect()
    };
    let mut values = values.to_vec();
    for _ in 0..2 {
        values = once(&values, 1, &|i| i % side);
        values = once(&values, side, &|i| i / side);
    }
    values
}
