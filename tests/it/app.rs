//! The whole window, driven as a person drives it: what several modules need.

use eframe::egui::Vec2;
use egui_kittest::Harness;
use epsiloscope::gpu::wgpu_setup;
use epsiloscope::workbench::{App, Options, Setup};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take: generous, since a test says what comes, not how fast.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The window with its engine, with settings in `folder`.
pub fn open_sized(options: Options, folder: Option<&Path>, size: impl Into<Vec2>) -> Harness<'static, App> {
    let setup = Setup { config_folder: folder.map(Path::to_owned), native_dialogs: false, still: true };
    Harness::builder()
        .with_size(size)
        .wgpu_setup(wgpu_setup())
        .build_eframe(move |creation| App::new(creation, options, setup).unwrap())
}

/// The same in the usual size.
pub fn open(options: Options, folder: Option<&Path>) -> Harness<'static, App> {
    open_sized(options, folder, [1280.0, 800.0])
}

/// Steps until `there`; fails after a limit.
pub fn wait(harness: &mut Harness<'static, App>, what: &str, there: impl Fn(&App) -> bool) {
    let start = Instant::now();
    harness.step();
    while !there(harness.state()) {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}; problem {:?}", harness.state().state.problem);
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
}

/// Whether the pictures are those that are wished for.
pub fn current(app: &App) -> bool {
    app.state.is_current() && !app.state.computing
}

/// Steps until they are.
pub fn wait_current(harness: &mut Harness<'static, App>) {
    wait(harness, "a picture of the wished ε and attack", current);
}

/// A file in `sample-data`.
pub fn sample_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join(name)
}

/// A file or folder of the shared data; says that a test is skipped where it is not there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
