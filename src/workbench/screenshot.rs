//! A picture of the window: waits until everything is shown, takes it, writes it, quits.

use super::state::State;
use crate::engine::JobState;
use eframe::egui::{self, ColorImage, ScreenshotCallback, ViewportCommand};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The size of the picture, in points.
pub const SIZE: [f32; 2] = [1600.0, 1000.0];
/// After this long the picture is given up.
const PATIENCE: Duration = Duration::from_secs(180);

/// How it ended, for the program's exit.
#[derive(Clone, Default)]
pub struct Outcome(Arc<Mutex<Option<Result<(), String>>>>);

impl Outcome {
    fn set(&self, result: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What came of it; an error if nothing did.
    pub fn take(&self) -> Result<(), String> {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.unwrap_or_else(|| Err("the window was closed before its picture was taken".to_owned()))
    }
}

/// A picture that is waited for.
pub struct Shot {
    path: PathBuf,
    since: Instant,
    /// Frames since everything was shown.
    still: usize,
    asked: bool,
    /// How it ended.
    pub outcome: Outcome,
}

impl Shot {
    /// To be written to `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, since: Instant::now(), still: 0, asked: false, outcome: Outcome::default() }
    }

    /// One frame more.
    pub fn step(&mut self, context: &egui::Context, state: &State) {
        if self.outcome.is_set() {
            context.send_viewport_cmd(ViewportCommand::Close);
            return;
        }
        context.request_repaint_after(Duration::from_millis(30));
        if let Some(problem) = &state.problem {
            self.outcome.set(Err(format!("{}: {}", problem.what, problem.why)));
        } else if self.since.elapsed() > PATIENCE {
            self.outcome.set(Err(format!("the picture was not complete within {} s", PATIENCE.as_secs())));
        }
        let measured = state.job.as_ref().is_some_and(|j| j.state == JobState::Finished)
            && state.curve.as_ref().is_some_and(|c| !c.points.is_empty());
        let complete = state.is_current()
            && !state.computing
            && state.opening.is_none()
            && state.opening_model.is_none()
            && measured;
        self.still = if complete { self.still + 1 } else { 0 };
        if self.still < 5 || self.asked {
            return;
        }
        self.asked = true;
        let (path, outcome, waker) = (self.path.clone(), self.outcome.clone(), context.clone());
        let write = move |image: Arc<ColorImage>| {
            let result =
                png(&image).and_then(|bytes| crate::data::write_bytes_atomic(&path, &bytes).map_err(|e| e.to_string()));
            outcome.set(result);
            waker.request_repaint();
        };
        context.send_viewport_cmd(ViewportCommand::Screenshot(ScreenshotCallback::new(write)));
    }
}

fn png(image: &ColorImage) -> Result<Vec<u8>, String> {
    let [width, height] = image.size.map(|s| u32::try_from(s).unwrap_or(0));
    let rgb: Vec<u8> = image.pixels.iter().flat_map(|p| [p.r(), p.g(), p.b()]).collect();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_raw(width, height, rgb).ok_or("the picture has no pixels")?;
    image.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}
