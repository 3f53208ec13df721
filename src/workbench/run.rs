//! Opens the window.

use super::{App, icons, screenshot, settings};
use crate::data::Bounds;
use crate::gpu::{self, DeviceChoice};
use eframe::egui::{self, ViewportBuilder};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the window opens with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The image; the bundled sample where `None`.
    pub image: Option<PathBuf>,
    /// Its label.
    pub label: Option<PathBuf>,
    /// What the label's values mean, as `0=membrane,255=cell`; guessed where `None`.
    pub label_map: Option<String>,
    /// The bounds of the image in pixel units; those of the stack where `None`.
    pub bounds: Option<Bounds>,
    /// The slice of a stack, from 0; `None` is the middle of one without a label, else the first.
    pub slice: Option<usize>,
    /// The model; the bundled one where `None`.
    pub model: Option<PathBuf>,
    /// Where to compute. `Auto` also means: as in the last session.
    pub device: DeviceChoice,
    /// Write a picture of the window here once everything is shown, and quit.
    pub screenshot: Option<PathBuf>,
}

/// What the window stands on.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Where settings are kept; nowhere if `None`.
    pub config_folder: Option<PathBuf>,
    /// Open the system's own file dialogs beside the prompt for a path.
    pub native_dialogs: bool,
    /// No animations.
    pub still: bool,
}

/// The window's inner size at the very first start, in points.
const FIRST_SIZE: [f32; 2] = [1440.0, 900.0];

/// The window was there, and then something failed.
#[derive(Debug, thiserror::Error)]
#[error("the window failed: {0}. Settings and exports are on disk")]
pub struct Broke(String);

/// Opens the window and runs until it is closed.
///
/// # Errors
/// If no window can be opened, a picture of it could not be taken, or, as [`Broke`], it failed later.
pub fn run(options: Options) -> anyhow::Result<()> {
    let config_folder = settings::folder();
    let (size, maximized) = match (&options.screenshot, &config_folder) {
        (None, Some(folder)) => {
            let settings = settings::peek(folder);
            (settings.window_size.unwrap_or(FIRST_SIZE), settings.maximized)
        }
        (None, None) => (FIRST_SIZE, false),
        (Some(_), _) => (screenshot::SIZE, false),
    };
    let viewport = ViewportBuilder::default()
        .with_title("Epsiloscope")
        .with_app_id("epsiloscope")
        .with_icon(Arc::new(icons::window_icon()))
        .with_inner_size(egui::Vec2::from(size))
        .with_maximized(maximized)
        .with_min_inner_size([880.0, 560.0]);
    let native = eframe::NativeOptions {
        viewport,
        wgpu_options: eframe::egui_wgpu::WgpuConfiguration {
            wgpu_setup: gpu::wgpu_setup(),
            ..eframe::egui_wgpu::WgpuConfiguration::default()
        },
        ..eframe::NativeOptions::default()
    };
    // A picture of the window shows the first settings, whoever takes it.
    let pictured = options.screenshot.is_some();
    let setup =
        Setup { config_folder: config_folder.filter(|_| !pictured), native_dialogs: !pictured, still: pictured };
    let outcome = Arc::new(Mutex::new(None));
    let kept = outcome.clone();
    let drawn = Arc::new(AtomicBool::new(false));
    let seen = drawn.clone();
    eframe::run_native(
        "epsiloscope",
        native,
        Box::new(move |creation| {
            let mut app = App::new(creation, options, setup)?;
            app.drawn = Some(seen);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = app.picture_outcome();
            Ok(Box::new(app))
        }),
    )
    .map_err(|e| if drawn.load(Ordering::Relaxed) { Broke(e.to_string()).into() } else { anyhow::anyhow!("{e}") })?;
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    match outcome {
        Some(outcome) => outcome.take().map_err(|why| anyhow::anyhow!("no picture of the window: {why}")),
        None => Ok(()),
    }
}
