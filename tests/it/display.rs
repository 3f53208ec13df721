//! Pictures: the shader's texture equals the CPU renderer's picture, for every content, position and kind of plane.

use burn::tensor::{Tensor, TensorData};
use eframe::egui_wgpu::{self, RenderState, RendererOptions, wgpu};
use epsiloscope::engine::Plane;
use epsiloscope::gpu::{Compute, DeviceChoice, Display, GpuError, Planes, Slot, wgpu_setup};
use epsiloscope::view::{
    Content, Layers, MaskKind, PlaneView, Sampling, Theme, Transform, ViewSpec, Window, palette, render,
};
use image::RgbaImage;
use std::sync::OnceLock;

/// What a window would have, without one. Fails where no adapter is: install lavapipe.
pub fn render_state() -> &'static RenderState {
    static STATE: OnceLock<RenderState> = OnceLock::new();
    STATE.get_or_init(new_render_state)
}

/// Another window's, with an instance and a device of its own.
fn new_render_state() -> RenderState {
    let setup = wgpu_setup();
    let instance = wait(setup.new_instance());
    let configuration = egui_wgpu::WgpuConfiguration { wgpu_setup: setup, ..Default::default() };
    wait(RenderState::create(&configuration, &instance, None, RendererOptions::default())).unwrap()
}

/// Waits for a future of wgpu's.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// The texture's pixels.
pub fn read(state: &RenderState, texture: &wgpu::Texture) -> RgbaImage {
    let (width, height) = (texture.width(), texture.height());
    let row = (width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = state.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = state.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None },
        },
        wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
    );
    state.queue.submit([encoder.finish()]);
    buffer.slice(..).map_async(wgpu::MapMode::Read, |mapped| mapped.unwrap());
    state.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = buffer.slice(..).get_mapped_range().unwrap();
    let pixels = bytes.chunks_exact(row as usize).flat_map(|r| r[..width as usize * 4].to_vec()).collect();
    RgbaImage::from_raw(width, height, pixels).unwrap()
}

/// Equal up to rounding: at most 1/255 per channel on at least 99.9 % of the pixels.
pub fn assert_same(found: &RgbaImage, wanted: &RgbaImage, what: &str) {
    assert_eq!(found.dimensions(), wanted.dimensions(), "{what}");
    let far = |a: &image::Rgba<u8>, b: &image::Rgba<u8>| a.0.iter().zip(b.0).any(|(&a, b)| a.abs_diff(b) > 1);
    let differing = found.pixels().zip(wanted.pixels()).filter(|(a, b)| far(a, b)).count();
    let most = (found.width() * found.height()) as usize / 1000;
    if differing > most {
        let folder = std::env::temp_dir();
        found.save(folder.join("epsiloscope-found.png")).unwrap();
        wanted.save(folder.join("epsiloscope-wanted.png")).unwrap();
        panic!("{what}: {differing} pixels differ, {most} may; see epsiloscope-{{found,wanted}}.png in {folder:?}");
    }
}

pub const WIDTH: usize = 61;
pub const HEIGHT: usize = 47;

/// Planes of an odd size with edges, ramps, noise and values outside of [0, 1].
pub struct Scene {
    pub grey: Vec<f32>,
    rgb: Vec<f32>,
    pub noise: Vec<f32>,
    noise_rgb: Vec<f32>,
    probability: Vec<f32>,
    other: Vec<f32>,
    reference: Vec<f32>,
    /// Classes 0…9, and −1 below a line: more than there are colours.
    classes: Vec<f32>,
    other_classes: Vec<f32>,
}

impl Scene {
    pub fn new() -> Self {
        // A small generator, so that a failure can be seen again.
        let mut state = 12345_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        let mut plane = |value: &mut dyn FnMut(f32, f32, f32) -> f32| -> Vec<f32> {
            (0..WIDTH * HEIGHT).map(|i| value((i % WIDTH) as f32, (i / WIDTH) as f32, random())).collect()
        };
        let grey = plane(&mut |x, y, r| 0.5 + 0.5 * (x * 0.2).sin() * (y * 0.13).cos() + 0.2 * (r - 0.5));
        let green = plane(&mut |x, _, r| x / WIDTH as f32 + 0.1 * r);
        let blue = plane(&mut |_, y, r| y / HEIGHT as f32 + 0.1 * r);
        let noise = plane(&mut |_, _, r| if r < 0.5 { -4.0 / 255.0 } else { 4.0 / 255.0 });
        let circle =
            |x: f32, y: f32, cx: f32, cy: f32, radius: f32| radius - ((x - cx).powi(2) + (y - cy).powi(2)).sqrt();
        let probability = plane(&mut |x, y, _| {
            let inside = circle(x, y, 20.0, 20.0, 12.3).max(circle(x, y, 45.0, 30.0, 7.1));
            1.0 / (1.0 + (-2.0 * inside).exp())
        });
        let other = plane(&mut |x, y, _| {
            let inside = circle(x, y, 25.0, 22.0, 11.0).max(circle(x, y, 50.0, 10.0, 5.0));
            1.0 / (1.0 + (-1.5 * inside).exp())
        });
        let reference = plane(&mut |x, y, _| {
            if y > 40.0 {
                -1.0
            } else if circle(x, y, 24.0, 18.0, 13.0) > 0.0 {
                1.0
            } else {
                0.0
            }
        });
        let mut classes = |shift: f32| {
            plane(&mut |x, y, _| {
                if y > 42.0 {
                    return -1.0;
                }
                (0..9)
                    .rev()
                    .find(|&k| circle(x, y, 6.0 * k as f32 + shift, 20.0, 11.0) > 0.0)
                    .map_or(0.0, |k| k as f32 + 1.0)
            })
        };
        let (first_classes, other_classes) = (classes(4.0), classes(6.5));
        Self {
            classes: first_classes,
            other_classes,
            rgb: [grey.clone(), green.clone(), blue].concat(),
            noise_rgb: [noise.clone(), green.iter().map(|v| v * 0.02).collect(), noise.clone()].concat(),
            grey,
            noise,
            probability,
            other,
            reference,
        }
    }
}

pub fn plane(values: &[f32]) -> Plane {
    Plane::from_host(values.len() / (WIDTH * HEIGHT), HEIGHT, WIDTH, values.to_vec())
}

pub fn view(values: &[f32]) -> PlaneView<'_> {
    PlaneView { channels: values.len() / (WIDTH * HEIGHT), height: HEIGHT, width: WIDTH, values }
}

/// Every content with the planes that it needs.
struct Case<'a> {
    name: &'static str,
    content: Content,
    image: Option<&'a [f32]>,
    mask: Option<(&'a [f32], MaskKind)>,
    second: Option<(&'a [f32], MaskKind)>,
}

fn cases(scene: &Scene) -> Vec<Case<'_>> {
    use MaskKind::{Classes, Probability, Reference};
    let window = Window { lower: 0.2, upper: 0.7 };
    let full = Window::FULL;
    let case = |name, content, image, mask, second| Case { name, content, image, mask, second };
    let probability = (&scene.probability[..], Probability);
    let other = (&scene.other[..], Probability);
    let reference = (&scene.reference[..], Reference);
    let grey = Some(&scene.grey[..]);
    let classes = (&scene.classes[..], Classes);
    let other_classes = (&scene.other_classes[..], Classes);
    let overlay = |fill, contour| Content::Overlay { window: full, fill, contour };
    vec![
        case("grey", Content::Image { window: full }, grey, None, None),
        case("grey, windowed", Content::Image { window }, grey, None, None),
        case("RGB, windowed", Content::Image { window }, Some(&scene.rgb), None, None),
        case("noise", Content::Noise { gain: 30.0 }, Some(&scene.noise), None, None),
        case("noise, saturated", Content::Noise { gain: 500.0 }, Some(&scene.noise), None, None),
        case("noise of three channels", Content::Noise { gain: 40.0 }, Some(&scene.noise_rgb), None, None),
        case("mask", Content::Mask, None, Some(probability), None),
        case("reference", Content::Mask, None, Some(reference), None),
        case("overlay", overlay(0.4, true), grey, Some(probability), None),
        case("overlay, contour only", overlay(0.0, true), grey, Some(probability), None),
        case("overlay, fill only", overlay(0.7, false), Some(&scene.rgb), Some(reference), None),
        case("overlay of two masks", overlay(0.3, true), grey, Some(probability), Some(reference)),
        case("difference", Content::Difference { window: full }, grey, Some(probability), Some(other)),
        case("classes", Content::Mask, None, Some(classes), None),
        case("overlay of classes", overlay(0.5, true), grey, Some(classes), Some(other_classes)),
        case("overlay of classes, fill only", overlay(0.6, false), grey, Some(classes), None),
        case("difference of classes", Content::Difference { window }, grey, Some(classes), Some(other_classes)),
        case("difference to a reference", Content::Difference { window }, grey, Some(probability), Some(reference)),
    ]
}

fn positions() -> Vec<(&'static str, Transform, [usize; 2])> {
    let image = [WIDTH, HEIGHT];
    vec![
        ("1:1", Transform::IDENTITY, [WIDTH, HEIGHT]),
        ("fitted, 2.6 times", Transform::fit(image, [161, 133]), [161, 133]),
        ("magnified 14.3 times and moved", Transform::new(1.0 / 14.3, [13.27, 9.81]), [127, 251]),
        ("minified 1.3 times", Transform::with_zoom(image, [70, 50], 1.0 / 1.3), [70, 50]),
        ("minified 3.7 times", Transform::with_zoom(image, [33, 29], 1.0 / 3.7), [33, 29]),
        ("minified 9.1 times", Transform::new(9.1, [-11.3, -4.7]), [17, 17]),
        ("one pixel", Transform::new(0.5, [20.0, 20.0]), [1, 1]),
        ("flipped", Transform { scale: [-0.3, 0.3], offset: [WIDTH as f32, 0.0], transposed: false }, [203, 157]),
        ("pixels twice as high", Transform { scale: [0.6, 0.3], offset: [0.0, 0.0], transposed: false }, [107, 160]),
        ("wide pixels, one axis averaged", Transform { scale: [0.7, 1.4], ..Transform::IDENTITY }, [91, 40]),
        ("turned", Transform { scale: [0.31, -0.31], offset: [0.0, 48.0], transposed: true }, [155, 207]),
        ("turned, minified", Transform { scale: [-2.3, 2.9], offset: [64.0, -3.0], transposed: true }, [25, 31]),
        ("turned, minified much", Transform { scale: [2.3, -7.9], offset: [0.0, 48.0], transposed: true }, [11, 31]),
        ("outside", Transform::new(0.5, [500.0, 0.0]), [40, 3]),
    ]
}

#[test]
fn textures_equal_the_cpu_renderer() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let scene = Scene::new();
    for case in cases(&scene) {
        let planes = Planes {
            image: case.image.map(plane),
            mask: case.mask.map(|(values, kind)| (plane(values), kind)),
            second: case.second.map(|(values, kind)| (plane(values), kind)),
        };
        let layers = Layers {
            image: case.image.map(view),
            mask: case.mask.map(|(values, kind)| (view(values), kind)),
            second: case.second.map(|(values, kind)| (view(values), kind)),
        };
        for (position, transform, size) in positions() {
            for (theme, sampling) in [(Theme::Dark, Sampling::Nearest), (Theme::Light, Sampling::Linear)] {
                let mut spec = ViewSpec::new(case.content, transform).themed(theme);
                spec.sampling = sampling;
                spec.grid = theme == Theme::Light;
                display.show(Slot(1), &spec, &planes, size).unwrap();
                let found = read(state, display.texture(Slot(1)).unwrap());
                let wanted = render(&spec, &layers, size).unwrap();
                assert_same(&found, &wanted, &format!("{}, {position}, {theme:?}, {sampling:?}", case.name));
            }
        }
    }
}

#[test]
fn values_that_are_not_finite_are_marked_not_shown_as_grey() {
    let state = render_state();
    let mut display = Display::new(state).unwrap();
    let mut grey = Scene::new().grey;
    grey[20 * WIDTH + 30] = f32::NAN;
    grey[21 * WIDTH + 40] = f32::INFINITY;
    let spec = ViewSpec::new(Content::Image { window: Window::FULL }, Transform::IDENTITY);
    let planes = Planes { image: Some(plane(&grey)), ..Planes::default() };
    display.show(Slot(0), &spec, &planes, [WIDTH, HEIGHT]).unwrap();
    let found = read(state, display.texture(Slot(0)).unwrap());
    let layers = Layers { image: Some(view(&grey)), ..Layers::default() };
    let wanted = render(&spec, &layers, [WIDTH, HEIGHT]).unwrap();
    let [r, g, b] = palette::NOT_FINITE;
    assert_eq!(wanted.get_pixel(30, 20).0, [r, g, b, 255]);
    assert_eq!(wanted.get_pixel(40, 21).0, [r, g, b, 255]);
    assert_same(&found, &wanted, "not finite");
}

#[test]
fn tensors_on_the_shared_device_are_shown_without_an_upload() {
    let state = render_state();
    let compute = Compute::for_window(state, DeviceChoice::Gpu).unwrap();
    let mut display = Display::new(state).unwrap();
    let scene = Scene::new();
    let tensor = |values: &[f32], shape: [usize; 4]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &compute.device)
    };
    let shape = [1, 1, HEIGHT, WIDTH];
    let rgb = tensor(&scene.rgb, [1, 3, HEIGHT, WIDTH]);
    // The second image of a batch begins at an offset that no alignment divides.
    let batch = Tensor::cat(vec![tensor(&scene.other, shape), tensor(&scene.probability, shape)], 0);
    // Columns first, so that the values lie in another order than the shape says.
    let turned = tensor(&scene.reference, shape).swap_dims(2, 3) * 1.0;
    let planes = Planes {
        image: Some((compute.publish)(rgb.clone()).unwrap()),
        mask: Some(((compute.publish)(batch.narrow(0, 1, 1)).unwrap(), MaskKind::Probability)),
        second: Some(((compute.publish)(turned.swap_dims(2, 3)).unwrap(), MaskKind::Reference)),
    };
    // Would be computed in place if the plane did not hold the tensor.
    let darker = rgb * 0.01;
    let spec = ViewSpec::new(
        Content::Overlay { window: Window::FULL, fill: 0.3, contour: true },
        Transform::fit([WIDTH, HEIGHT], [183, 141]),
    );
    display.show(Slot(7), &spec, &planes, [183, 141]).unwrap();
    let found = read(state, display.texture(Slot(7)).unwrap());
    let layers = Layers {
        image: Some(view(&scene.rgb)),
        mask: Some((view(&scene.probability), MaskKind::Probability)),
        second: Some((view(&scene.reference), MaskKind::Reference)),
    };
    assert_same(&found, &render(&spec, &layers, [183, 141]).unwrap(), "shared tensors");
    assert_eq!(display.uploaded_bytes(), 0);
    assert!(darker.max().try_into_vec_as::<f32>().unwrap()[0] < 0.1);
}

/// wgpu takes the devices of two windows for equal, since each is the first of its instance.
#[test]
fn two_windows_share_a_device_each_and_never_each_others() {
    let other = new_render_state();
    let here = Compute::for_window(render_state(), DeviceChoice::Gpu).unwrap();
    let there = Compute::for_window(&other, DeviceChoice::Gpu).unwrap();
    assert_ne!(here.device, there.device);
    let scene = Scene::new();
    let tensor = Tensor::<4>::from_data(TensorData::new(scene.grey.clone(), [1, 1, HEIGHT, WIDTH]), &there.device);
    let planes = Planes { image: Some((there.publish)(tensor).unwrap()), ..Planes::default() };
    let spec = ViewSpec::new(Content::Image { window: Window::FULL }, Transform::IDENTITY);
    let foreign = Display::new(render_state()).unwrap().show(Slot(1), &spec, &planes, [WIDTH, HEIGHT]);
    assert!(matches!(foreign, Err(GpuError::ForeignPlane)), "{foreign:?}");
    let mut display = Display::new(&other).unwrap();
    display.show(Slot(1), &spec, &planes, [WIDTH, HEIGHT]).unwrap();
    let layers = Layers { image: Some(view(&scene.grey)), ..Layers::default() };
    let wanted = render(&spec, &layers, [WIDTH, HEIGHT]).unwrap();
    assert_same(&read(&other, display.texture(Slot(1)).unwrap()), &wanted, "the other window");
}
