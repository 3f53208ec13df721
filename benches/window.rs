//! What a person waits for: the start to the first picture, the frames while ε is dragged and a curve is computed, and
//! the memory that all of it takes. The whole program with its engine, without a screen: a frame here is the work of
//! the interface's thread (events, layout, panels, tessellation), not the time that the GPU takes to draw it.
//!
//! `cargo bench --bench window`

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use eframe::egui::{self, Role, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::JobState;
use epsiloscope::gpu::wgpu_setup;
use epsiloscope::workbench::epsilon_bar::SLIDER_LABEL;
use epsiloscope::workbench::{App, Command, Options, Setup};
use std::path::Path;
use std::time::{Duration, Instant};

/// As fast as a common screen asks for frames.
const FRAME: Duration = Duration::from_micros(16_667);
const FRAMES: usize = 600;

fn main() {
    // Cargo asks every bench for its list when it only tests.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let start = Instant::now();
    let setup = Setup { config_folder: None, native_dialogs: false, still: true };
    let mut harness = Harness::builder()
        .with_size([1440.0, 900.0])
        .wgpu_setup(wgpu_setup())
        .build_eframe(|creation| App::new(creation, Options::default(), setup).unwrap());
    harness.step();
    while !harness.state().state.is_current() {
        std::thread::sleep(Duration::from_millis(1));
        harness.step();
    }
    harness.render().unwrap();
    let first_picture = start.elapsed();
    let device = harness.state().state.device.as_ref().map(|d| d.description.clone()).unwrap_or_default();

    let rect = harness.get_by_role_and_label(Role::Slider, SLIDER_LABEL).rect();
    let at = |share: f32| pos2(rect.left() + share * rect.width(), rect.top() + 15.0);
    harness.hover_at(at(0.5));
    harness.drag_at(at(0.5));
    harness.step();
    let (mut times, mut beside_a_job, mut pictures) = (Vec::new(), 0, 0);
    let mut shown = None;
    for i in 0..FRAMES {
        let share = 0.5 + 0.35 * (i as f32 * 0.05).sin();
        let frame = Instant::now();
        harness.hover_at(at(share));
        harness.step();
        times.push(frame.elapsed());
        let state = &harness.state().state;
        beside_a_job += usize::from(state.job.as_ref().is_some_and(|job| job.state == JobState::Running));
        let epsilon = state.frame.as_ref().map(|f| f.epsilon.to_bits());
        pictures += usize::from(epsilon != shown);
        shown = epsilon;
        std::thread::sleep(FRAME.saturating_sub(frame.elapsed()));
    }
    times.sort();
    let ms = |share: f64| times[((FRAMES - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!("device: {device}");
    println!("start to first picture: {:.2} s", first_picture.as_secs_f64());
    println!(
        "frame while dragging: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms ({FRAMES} frames, {beside_a_job} of them \
         beside a running curve, {pictures} new pictures)",
        ms(0.5),
        ms(0.99),
        ms(1.0)
    );
    for name in ["cifar10", "mnist"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
        if folder.exists() {
            scroll(&mut harness, &folder);
        } else {
            println!("skipped: {} is not there", folder.display());
        }
    }
    match peak_memory_bytes() {
        Some(bytes) => println!("peak memory: {:.0} MB", bytes as f64 / 1e6),
        None => println!("peak memory: unknown on this system"),
    }
}

/// Scrolls through the thumbnails of a data set: a page every frame, then by keys.
fn scroll(harness: &mut Harness<'static, App>, folder: &Path) {
    harness.state().send(Command::OpenFiles(vec![folder.to_owned()]));
    let opened = Instant::now();
    let is_open = |app: &App| app.state.browse.set.as_ref().is_some_and(|set| set.path == folder);
    while !(is_open(harness.state()) && harness.state().state.is_current()) {
        std::thread::sleep(Duration::from_millis(1));
        harness.step();
    }
    let opened = opened.elapsed();
    harness.state().send(Command::EnlargeLibrary(true));
    harness.run_steps(3);
    let entries = harness.state().state.browse.shown.len();
    let chosen = |harness: &Harness<'static, App>| harness.state().state.browse.chosen;
    let mut times = Vec::new();
    for i in 0..FRAMES {
        let frame = Instant::now();
        if i % 2 == 0 {
            harness.hover_at(pos2(200.0, 500.0));
            harness.event(egui::Event::MouseWheel {
                unit: egui::MouseWheelUnit::Point,
                delta: egui::vec2(0.0, if i % 200 < 150 { -700.0 } else { 500.0 }),
                phase: egui::TouchPhase::Move,
                source: egui::MouseWheelSource::Unknown,
                modifiers: egui::Modifiers::NONE,
            });
        }
        harness.step();
        times.push(frame.elapsed());
        std::thread::sleep(FRAME.saturating_sub(frame.elapsed()));
    }
    times.sort();
    let ms = |share: f64| times[((FRAMES - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    let made = harness.state().state.browse.thumbnails.len();
    let (median, p99, longest) = (ms(0.5), ms(0.99), ms(1.0));
    println!(
        "{}: {entries} entries, first picture after {:.2} s; frame while scrolling: median {median:.1} ms, p99 {p99:.1} ms, \
         longest {longest:.1} ms ({FRAMES} frames, {made} thumbnails, chosen {:?})",
        folder.file_name().unwrap().display(),
        opened.as_secs_f64(),
        chosen(harness),
    );
}

/// The largest resident set so far, where the system tells (Linux).
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
