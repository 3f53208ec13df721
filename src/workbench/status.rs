//! The line at the bottom: times, memory, the job.

use super::command::{Command, CommandSender};
use super::icons::{Icon, icon_button};
use super::state::State;
use super::theme;
use super::train::TrainCommand;
use crate::engine::{JobState, Request};
use eframe::egui::{Align, Button, Layout, ProgressBar, Ui};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Draws the line.
pub fn status_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    if let Some(again) = state.first_run.again() {
        ui.ctx().request_repaint_after(again);
    }
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let tick = state.frame.as_ref().map_or_else(|| "–".to_owned(), |f| secs_text(f.tick_secs));
        entry(ui, format!("tick {tick}"), "From a change of ε to its pictures and numbers.");
        let p99 = state.frame_times.p99_secs().map_or_else(|| "–".to_owned(), |s| format!("{:.1} ms", s * 1e3));
        entry(
            ui,
            format!("frame p99 {p99}"),
            "99 of 100 frames of the window were drawn within this while ε was dragged. Frames wait for no tensor.",
        );
        if let Some(bytes) = state.memory_bytes {
            entry(ui, bytes_text(bytes), "Memory of the process (resident).");
        }
        if let Some(tiles) = state.case.as_ref().and_then(|case| case.tiles) {
            let [rows, columns] = tiles.count;
            entry(ui, format!("{} tiles", rows * columns), &format!("The image is {tiles}."));
        }
        if let Some(run) = state.run.as_ref().filter(|run| run.is_active()) {
            let text = format!("{} {}", run.news.method.title(), run.text());
            entry(ui, text, "The attack takes its steps. Esc stops it and keeps the best so far.");
            if icon_button(ui, Icon::Close, "Stop the attack", "The best so far is kept. Esc", true).clicked() {
                commands.request(Request::StopAttack);
            }
        } else if let Some(text) = state.first_run.text(Instant::now()) {
            entry(
                ui,
                text,
                "Variants of each kernel are tried once in a session. How many there are is not known before.",
            );
        } else if state.computing {
            entry(ui, "computing…".to_owned(), "The model looks at the image. The last pictures stay until then.");
        }
        training_ui(ui, state, commands);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 8.0;
            job_ui(ui, state, commands);
        });
    });
}

/// What trains, and the way to its panel.
fn training_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some((text, page)) = state.training.brief() else { return };
    let button = ui.add(Button::new(theme::weak(ui, text)).frame(false));
    if button.on_hover_text("Shows the panel Train.").clicked() {
        commands.send(Command::Train(TrainCommand::Show(page)));
    }
}

fn entry(ui: &mut Ui, text: String, tip: &str) {
    ui.label(theme::weak(ui, text)).on_hover_text(tip);
}

fn job_ui(ui: &mut Ui, state: &State, commands: &CommandSender) {
    let Some(job) = &state.job else { return };
    let text = format!("{} {} of {}", job.name, job.done, job.total);
    let progress = if job.total == 0 { 0.0 } else { job.done as f32 / job.total as f32 };
    match job.state {
        JobState::Running | JobState::Paused => {
            let paused = job.state == JobState::Paused;
            if icon_button(ui, Icon::Close, "Cancel job", "What it found stays", true).clicked() {
                commands.request(Request::CancelJob);
            }
            let (icon, name) = if paused { (Icon::Play, "Go on") } else { (Icon::Pause, "Pause job") };
            if icon_button(ui, icon, name, "", true).clicked() {
                commands.request(Request::PauseJob(!paused));
            }
            ui.add(ProgressBar::new(progress).desired_width(120.0).desired_height(6.0).fill(theme::of(ui).accent));
            let left = match job.remaining_secs {
                _ if paused => ", paused".to_owned(),
                // The first steps say little of the others: some are a hundred times as long.
                Some(_) if job.done < 3 => String::new(),
                Some(secs) => format!(", {} left", secs_text(secs.max(0.1))),
                None => String::new(),
            };
            ui.label(format!("{text}{left}"));
        }
        JobState::Finished => {
            ui.label(theme::weak(ui, format!("{text}, done")));
        }
        JobState::Cancelled => {
            ui.label(theme::weak(ui, format!("{text}, cancelled; what was found stays")));
        }
        JobState::Failed => {
            ui.label(theme::weak(ui, format!("{text}, failed; what was found stays")));
        }
    }
}

/// Seconds as people read them.
pub fn secs_text(secs: f64) -> String {
    if secs < 0.0995 {
        format!("{:.0} ms", secs * 1e3)
    } else if secs < 9.95 {
        format!("{secs:.1} s")
    } else if secs < 120.0 {
        format!("{secs:.0} s")
    } else {
        format!("{:.0} min", secs / 60.0)
    }
}

/// Bytes as people read them.
pub fn bytes_text(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1000.0 { format!("{mebibytes:.0} MB") } else { format!("{:.2} GB", mebibytes / 1024.0) }
}

/// Reads the process's memory now and then, on a thread of its own.
pub struct MemoryWatch {
    bytes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl MemoryWatch {
    /// Starts the thread where the system tells (Linux).
    pub fn start() -> Self {
        let (bytes, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (cell, ends) = (bytes.clone(), stop.clone());
        let watch = move || {
            while !ends.load(Ordering::Relaxed) {
                let Some(resident) = resident_bytes() else { return };
                cell.store(resident, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_secs(1));
            }
        };
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(watch).ok();
        Self { bytes, stop, thread }
    }

    /// Resident bytes, once known.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.bytes.load(Ordering::Relaxed)).filter(|&b| b > 0)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Resident memory of this process; `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        for (secs, text) in [(0.0231, "23 ms"), (0.1, "0.1 s"), (4.04, "4.0 s"), (61.2, "61 s"), (600.0, "10 min")] {
            assert_eq!(secs_text(secs), text);
        }
        assert_eq!(bytes_text(412 << 20), "412 MB");
        assert_eq!(bytes_text(1229 << 20), "1.20 GB");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().is_some_and(|b| (1 << 20..1 << 40).contains(&b)));
    }
}
