//! The command line. Thin: it reads arguments, calls the library and prints. With no subcommand it opens the window.
//!
//! Whatever fails becomes one line on the error stream that names the file, the cause and what would work, and an exit
//! code that is not 0.

mod attack;
mod attack_batch;
mod attack_beside;
mod attacks;
mod dataset;
mod devices;
mod image;
mod images;
mod model;
mod observer;
mod options;
mod perceptibility;
mod predict;
mod progress;
pub mod study;
mod sweep;
mod sweep_many;
mod sweep_words;
pub mod synth;
mod targets;
pub mod train;

use crate::workbench;
use anyhow::Context;
use clap::{Parser, Subcommand};
use options::{CaseOptions, DeviceOptions, ModelOptions};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use sweep::SweepOptions;

/// Where the headless run leaves its report when nothing else is asked for.
const DEFAULT_REPORT: &str = "epsiloscope-report";

/// How small a change ε breaks a medical-image segmentation model, and whether a person can see it.
#[derive(Debug, Parser)]
#[command(name = "epsiloscope", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    window: WindowOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure an image along ε without a window: table, figure, pictures and a report, into a folder.
    Sweep(Box<SweepOptions>),
    /// Say what an image file holds, or write its pixels in another format.
    Image(image::ImageOptions),
    /// Write synthetic images with exact masks.
    Synth(synth::Synth),
    /// Train a U-Net on images and masks.
    Train(Box<train::Train>),
    /// Run a paper's experiment: trainings, attacks, tables and figures in one report.
    Study(Box<study::Study>),
    /// Say what a folder holds as a data set: classes, masks, splits, sizes, what is unpaired.
    Dataset(dataset::Inspect),
    /// Say what a model's file holds, or convert the weights of a U-Net.
    Model(model::ModelCommand),
    /// Write a model's logits of an image, or of an array of images, as a NumPy array.
    Predict(predict::Predict),
    /// Write adversarial examples of an image, or of an array of images, as a NumPy array.
    Attack(Box<attack::AttackCommand>),
    /// List the devices that can compute.
    Devices,
    /// List the attacks: names, definitions, sources.
    Attacks,
    /// Reader studies: can a person see it?
    #[command(subcommand)]
    Observer(observer::Observer),
}

/// Without a subcommand: what the window opens with.
#[derive(Clone, Debug, clap::Args)]
struct WindowOptions {
    /// An image to open: PNG, JPEG, BMP, WebP, TIFF, DICOM (a file, or a folder with a series), NIfTI, NumPy,
    /// idx or CIFAR-10; or a folder as a data set. Without it, the data set of the last session, or the bundled sample.
    image: Option<PathBuf>,
    #[command(flatten)]
    case: CaseOptions,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Memory in GiB that a gradient may take; an image that needs more is computed in tiles. Without it, three quarters of what is
    /// free.
    #[arg(long, value_name = "GIB", value_parser = options::parse_memory)]
    memory: Option<u64>,
    /// Write a picture of the window to this PNG file once everything is shown, and quit.
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One line instead of a backtrace: a panic is a mistake of the program, and workers recover from theirs.
    panic::set_hook(Box::new(|panic| eprintln!("internal error: {}", one_line(&panic.to_string()))));
    match panic::catch_unwind(|| run(arguments)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {}", one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Some(Command::Sweep(options)) => sweep::run(&options),
        Some(Command::Image(options)) => image::run(&options),
        Some(Command::Synth(synth)) => synth.run(),
        Some(Command::Train(train)) => train.run(),
        Some(Command::Study(study)) => study.run(),
        Some(Command::Dataset(inspect)) => inspect.run(),
        Some(Command::Model(model)) => model.run(),
        Some(Command::Predict(predict)) => predict.run(),
        Some(Command::Attack(attack)) => attack.run(),
        Some(Command::Devices) => devices::run(),
        Some(Command::Attacks) => attacks::run(),
        Some(Command::Observer(observer)) => observer.run(),
        None => window(arguments.window),
    }
}

/// Opens the window or, where there can be none, says so and does its main job without it.
fn window(options: WindowOptions) -> anyhow::Result<()> {
    if let Some(bytes) = options.memory {
        crate::model::set_usual_memory(bytes);
    }
    let problem = if display_exists() {
        match open_window(options.clone()) {
            Ok(()) => return Ok(()),
            // A window that was there and broke is no reason to start another work.
            Err(error) if error.downcast_ref::<workbench::Broke>().is_some() => return Err(error),
            Err(error) => format!("the window cannot be opened ({})", system_reason(&one_line(&error.to_string()))),
        }
    } else {
        "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)".to_owned()
    };
    if let Some(path) = options.screenshot {
        anyhow::bail!("{}: {problem}. A picture of the window needs a display, for example `xvfb-run`", path.display());
    }
    // A mistyped command is taken for the name of an image.
    if let Some(image) = options.image.as_ref().filter(|image| !image.exists()) {
        anyhow::bail!(
            "{}: there is no such file or folder, and no such command. `epsiloscope --help` lists them",
            image.display()
        );
    }
    let what = options.image.as_ref().map_or("the bundled sample".to_owned(), |path| path.display().to_string());
    eprintln!("{problem}: measuring {what} without a window, into the folder {DEFAULT_REPORT}");
    let WindowOptions { image, case, model, device, .. } = options;
    sweep::run(&SweepOptions::new(image, case, model, device, Path::new(DEFAULT_REPORT)))
        .context("the run without a window failed")
}

/// What the system said, without the place in a library's source that winit puts before it:
/// `os error at FILE:LINE: Failed to open connection to X server`.
fn system_reason(text: &str) -> &str {
    let place = text.split_once("os error at ").and_then(|(_, rest)| rest.split_once(": "));
    place.map_or(text, |(_, reason)| reason)
}

fn open_window(options: WindowOptions) -> anyhow::Result<()> {
    let WindowOptions { image, case, model, device, screenshot, .. } = options;
    workbench::run(workbench::Options {
        image,
        label: case.label,
        label_map: case.label_map,
        bounds: case.bounds,
        slice: case.slice,
        model: model.model,
        device: device.device,
        screenshot,
    })
}

/// Whether a window has somewhere to be.
fn display_exists() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(all(unix, not(target_os = "macos"))) || set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WAYLAND_SOCKET")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn reasons_name_no_source_files() {
        let said = "winit EventLoopError: os error at src/linux/mod.rs:788: Failed to open connection to X server";
        assert_eq!(system_reason(said), "Failed to open connection to X server");
        assert_eq!(system_reason("no adapter: none found"), "no adapter: none found");
    }

    #[test]
    fn an_image_or_a_subcommand() {
        let window = Arguments::parse_from(["epsiloscope", "cells.tif", "--slice", "3", "--device", "cpu"]);
        assert_eq!(window.window.image.as_deref(), Some(Path::new("cells.tif")));
        assert_eq!(window.window.case.slice, Some(3));
        assert!(window.command.is_none());
        let sweep = Arguments::parse_from(["epsiloscope", "sweep", "cells.tif", "--out", "there"]);
        assert!(matches!(sweep.command, Some(Command::Sweep(_))));
        assert!(Arguments::try_parse_from(["epsiloscope", "sweep", "cells.tif"]).is_err(), "--out is needed");
        let no_such_attack = ["epsiloscope", "sweep", "a.png", "--out", "b", "--attack", "magic"];
        assert!(Arguments::try_parse_from(no_such_attack).is_err());
    }
}
