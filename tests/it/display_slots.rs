//! What the display keeps from frame to frame, gives back and refuses; colours and contours of the CPU renderer.

use super::display::{HEIGHT, Scene, WIDTH, assert_same, plane, read, render_state, view};
use epsiloscope::engine::Plane;
use epsiloscope::gpu::{Display, GpuError, Planes, Slot};
use epsiloscope::view::{
    Content, Layers, MaskKind, PlaneView, Theme, Transform, ViewError, ViewSpec, Window, palette, render,
};
use std::sync::Arc;

#[test]
fn a_picture_is_drawn_only_when_something_changed_and_a_plane_uploaded_once() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let scene = Scene::new();
    let planes = Planes { image: Some(plane(&scene.noise)), ..Planes::default() };
    let spec = |gain| ViewSpec::new(Content::Noise { gain }, Transform::IDENTITY);
    let first = display.show(Slot(1), &spec(1.0), &planes, [40, 40]).unwrap();
    for _ in 0..5 {
        display.end_frame();
        assert_eq!(display.show(Slot(1), &spec(1.0), &planes, [40, 40]).unwrap(), first);
    }
    assert_eq!(display.passes(), 1);
    let uploaded = display.uploaded_bytes();
    assert_eq!(uploaded, (WIDTH * HEIGHT * 4) as u64);
    // Another gain, another size, another slot: a pass each, the same texture id for the same slot, no upload.
    assert_eq!(display.show(Slot(1), &spec(2.0), &planes, [40, 40]).unwrap(), first);
    assert_eq!(display.show(Slot(1), &spec(2.0), &planes, [50, 40]).unwrap(), first);
    assert_ne!(display.show(Slot(2), &spec(2.0), &planes, [50, 40]).unwrap(), first);
    assert_eq!(display.passes(), 4);
    assert_eq!(display.uploaded_bytes(), uploaded);
    // What is not shown any more gives its memory back.
    for _ in 0..1000 {
        display.end_frame();
    }
    assert_eq!(display.held_bytes(), 0);
}

#[test]
fn what_cannot_be_drawn_is_an_error_and_the_next_picture_is_right() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let scene = Scene::new();
    let spec = ViewSpec::new(Content::Image { window: Window::FULL }, Transform::IDENTITY);
    let good = Planes { image: Some(plane(&scene.grey)), ..Planes::default() };
    let missing = display.show(Slot(1), &spec, &Planes::default(), [30, 30]);
    assert!(matches!(missing, Err(GpuError::View(ViewError::Missing(_)))), "{missing:?}");
    let foreign = Plane::from_shared(1, HEIGHT, WIDTH, Arc::new(()));
    let foreign = display.show(Slot(1), &spec, &Planes { image: Some(foreign), ..Planes::default() }, [30, 30]);
    assert!(matches!(foreign, Err(GpuError::ForeignPlane)), "{foreign:?}");
    let short = Plane::from_host(1, HEIGHT, WIDTH, vec![0.0; 7]);
    assert!(display.show(Slot(1), &spec, &Planes { image: Some(short), ..Planes::default() }, [30, 30]).is_err());
    assert!(display.show(Slot(1), &spec, &good, [0, 30]).is_err());
    assert!(display.show(Slot(1), &spec, &good, [100_000, 30]).is_err());
    let small = Planes { mask: Some((Plane::from_host(1, 2, 2, vec![0.0; 4]), MaskKind::Probability)), ..good.clone() };
    let overlay = Content::Overlay { window: Window::FULL, fill: 0.5, contour: true };
    let mismatch = display.show(Slot(1), &ViewSpec { content: overlay, ..spec }, &small, [30, 30]);
    assert!(matches!(mismatch, Err(GpuError::View(ViewError::Mismatch { .. }))), "{mismatch:?}");
    display.show(Slot(1), &spec, &good, [30, 30]).unwrap();
    let found = read(state, display.texture(Slot(1)).unwrap());
    let layers = Layers { image: Some(view(&scene.grey)), ..Layers::default() };
    assert_same(&found, &render(&spec, &layers, [30, 30]).unwrap(), "after errors");
}

#[test]
fn window_flips_and_zoom_upload_nothing() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let planes = Planes { image: Some(plane(&Scene::new().grey)), ..Planes::default() };
    let spec = |window, transform| ViewSpec::new(Content::Image { window }, transform);
    display.show(Slot(1), &spec(Window::FULL, Transform::IDENTITY), &planes, [WIDTH, HEIGHT]).unwrap();
    let uploaded = display.uploaded_bytes();
    assert_eq!(uploaded, (WIDTH * HEIGHT * 4) as u64);
    let first = read(state, display.texture(Slot(1)).unwrap());
    for step in 1..=20 {
        let window = Window { lower: 0.02 * step as f32, upper: 1.0 - 0.01 * step as f32 };
        display.show(Slot(1), &spec(window, Transform::IDENTITY), &planes, [WIDTH, HEIGHT]).unwrap();
        display.end_frame();
    }
    assert_eq!((display.uploaded_bytes(), display.passes()), (uploaded, 21), "a window is a parameter of the shader");
    assert_ne!(read(state, display.texture(Slot(1)).unwrap()), first);
    let flipped = Transform { scale: [-1.0, 1.0], offset: [WIDTH as f32, 0.0], transposed: false };
    display.show(Slot(1), &spec(Window::FULL, flipped), &planes, [WIDTH, HEIGHT]).unwrap();
    let flipped = read(state, display.texture(Slot(1)).unwrap());
    assert_same(&image::imageops::flip_horizontal(&first), &flipped, "flipped");
    assert_eq!(display.uploaded_bytes(), uploaded);
}

#[test]
fn a_picture_is_read_back_as_it_is_shown() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let planes = Planes { image: Some(plane(&Scene::new().grey)), ..Planes::default() };
    let spec = ViewSpec::new(Content::Image { window: Window::FULL }, Transform::IDENTITY);
    display.show(Slot(1), &spec, &planes, [WIDTH, HEIGHT]).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = sender.clone();
    display.read_back(Slot(1), move |picture| sender.send(picture).unwrap());
    let picture = receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap().unwrap();
    let shown = read(state, display.texture(Slot(1)).unwrap());
    assert_eq!(picture.size, [WIDTH, HEIGHT]);
    assert!(picture.pixels.iter().zip(shown.pixels()).all(|(a, b)| a.to_array() == b.0));
    display.read_back(Slot(2), move |picture| other.send(picture).unwrap());
    assert!(receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap().is_err());
}

/// The gain's map is that of the legend: zero in the theme's colour, the ends in blue and orange.
#[test]
fn the_noise_map_is_the_legends() {
    let values: Vec<f32> = (0..11).map(|i| (i as f32 - 5.0) / 5.0 / 20.0).collect();
    let image = Some(PlaneView { channels: 1, height: 1, width: 11, values: &values });
    for theme in [Theme::Dark, Theme::Light] {
        let spec = ViewSpec::new(Content::Noise { gain: 20.0 }, Transform::IDENTITY).themed(theme);
        let picture = render(&spec, &Layers { image, ..Layers::default() }, [11, 1]).unwrap();
        for (i, pixel) in picture.pixels().enumerate() {
            let wanted = palette::diverging(theme, (i as f32 - 5.0) / 5.0);
            assert!(pixel.0.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 1), "{theme:?} {i} {pixel:?} {wanted:?}");
        }
    }
}

/// A straight border's contour is two output pixels wide at any zoom, with a dark edge on both sides.
#[test]
fn contours_are_two_output_pixels_wide_at_any_zoom() {
    let values: Vec<f32> = (0..64 * 64).map(|i| if i % 64 < 32 { 0.0 } else { 1.0 }).collect();
    let bright = vec![0.9; 64 * 64];
    let layer = |values| PlaneView { channels: 1, height: 64, width: 64, values };
    for zoom in [0.5, 1.0, 2.0, 5.0, 16.0] {
        let size = (64.0 * zoom) as usize;
        let spec = ViewSpec::new(
            Content::Overlay { window: Window::FULL, fill: 0.0, contour: true },
            Transform::with_zoom([64, 64], [size, size], zoom),
        );
        let layers =
            Layers { image: Some(layer(&bright)), mask: Some((layer(&values), MaskKind::Probability)), second: None };
        let picture = render(&spec, &layers, [size, size]).unwrap();
        let row: Vec<[u8; 4]> = (0..size as u32).map(|x| picture.get_pixel(x, size as u32 / 2).0).collect();
        let [r, g, b] = palette::POSITIVE;
        let lit = row.iter().filter(|&&pixel| pixel == [r, g, b, 255]).count();
        let dark = row.iter().filter(|pixel| pixel[0] < 90).count();
        assert_eq!((lit, dark), (2, 2), "zoom {zoom}: {row:?}");
    }
}
