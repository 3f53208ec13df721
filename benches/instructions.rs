//! A guard against slower code that is not a timing, which a busy machine would spoil: how many instructions the hot paths take on one
//! thread, counted by callgrind and compared with those recorded in `benches/instructions.toml`.
//!
//!     cargo bench --bench instructions [-- --record]
//!
//! Callgrind knows no AVX-512 and hides it, so that the kernels take their AVX2 path. Fails where a count is larger than the recorded
//! one by more than [`TOLERANCE`]; where it is as much smaller, or another compiler is in use, it says that it should be recorded anew.
//! Where valgrind is not installed, or the processor has no AVX2, it says so and counts nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Direction, Objective, Options, input_gradient};
use epsiloscope::data::Mask;
use epsiloscope::model::{BuiltIn, Head, Model, prediction};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What a count may grow by, and nobody need know.
const TOLERANCE: f64 = 0.03;
const ITEMS: [&str; 4] = ["forward", "gradient", "tick", "pgd"];
const SIDE: usize = 96;

/// The bundled model and an image.
struct Work {
    model: BuiltIn,
    x: Tensor<4>,
    objective: Objective,
    direction: Direction,
}

impl Work {
    fn new() -> Self {
        let device = Device::flex();
        let model = BuiltIn::bundled(&device).unwrap();
        let value = |i: usize| ((i * 2_654_435_761) >> 9) % 256;
        let pixels: Vec<f32> = (0..SIDE * SIDE).map(|i| value(i) as f32 / 255.0).collect();
        let x = Tensor::<4>::from_data(TensorData::new(pixels, [1, 1, SIDE, SIDE]), &device);
        let classes = (0..SIDE * SIDE).map(|i| u8::from(value(i) < 64)).collect();
        let objective =
            Objective::segmentation(Head::Sigmoid, 1, &Mask { height: SIDE, width: SIDE, classes }, &device);
        let direction = Attack::FGSM.direction(&model, &x, &objective, &Options::default()).unwrap().unwrap();
        Self { model, x, objective, direction }
    }

    /// What is counted; callgrind knows it by its name.
    #[inline(never)]
    fn counted(&self, item: &str) {
        match item {
            "forward" => drop(black_box(self.model.logits(self.x.clone()).unwrap())),
            "gradient" => drop(black_box(input_gradient(&self.model, &self.x, &self.objective).unwrap())),
            "tick" => {
                let image = self.direction.adversarial(&self.x, 4.0 / 255.0);
                drop(black_box(prediction(self.model.card(), self.model.logits(image).unwrap()).unwrap()));
            }
            _ => {
                let attack = Attack::named("pgd").unwrap().with("steps", 3.0).unwrap();
                let found =
                    attack.run_through(&self.model, &self.x, &self.objective, &[4.0 / 255.0], &Options::default());
                drop(black_box(found.unwrap()));
            }
        }
    }
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Does one item, in the process that callgrind watches, all of it on the first thread.
fn work(item: &str) {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    let work = Work::new();
    // The first time fills caches and pools.
    work.counted(item);
    work.counted(item);
}

/// How many instructions two rounds of an item take.
fn count(item: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*Work*counted*"])
        .arg(program)
        .env("EPSILOSCOPE_COUNTED", item)
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected
        .filter(|&n| n > 0 && output.status.success())
        .ok_or_else(|| format!("{item}: callgrind counted nothing\n{said}"))
}

/// Counts and the compiler that they are of.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Recorded {
    compiler: String,
    instructions: BTreeMap<String, u64>,
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn guard() -> Result<bool, String> {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let recorded: Recorded = toml::from_str(&text).map_err(|e| e.to_string())?;
    let found: BTreeMap<String, u64> =
        ITEMS.iter().map(|item| Ok(((*item).to_owned(), count(item)?))).collect::<Result<_, String>>()?;
    if std::env::args().any(|word| word == "--record") {
        let recorded = Recorded { compiler: compiler(), instructions: found };
        let text = toml::to_string(&recorded).map_err(|e| e.to_string())?;
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        println!("{}: recorded", file.display());
        return Ok(true);
    }
    let mut fits = true;
    for (item, now) in &found {
        let Some(&before) = recorded.instructions.get(item) else {
            println!("{item}: {now} instructions; none are recorded");
            continue;
        };
        let ratio = *now as f64 / before as f64;
        let verdict = match ratio {
            r if r > 1.0 + TOLERANCE => "slower",
            r if r < 1.0 - TOLERANCE => "faster: record it with --record",
            _ => "as recorded",
        };
        fits &= ratio <= 1.0 + TOLERANCE;
        println!("{item}: {now} instructions, {:+.1} %: {verdict}", 100.0 * (ratio - 1.0));
    }
    if recorded.compiler != compiler() {
        println!(
            "recorded with {}, counted with {}: if nothing else changed, record anew",
            recorded.compiler,
            compiler()
        );
    }
    Ok(fits)
}

fn main() -> ExitCode {
    if let Ok(item) = std::env::var("EPSILOSCOPE_COUNTED") {
        work(&item);
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed, so that no instructions are counted");
        return ExitCode::SUCCESS;
    }
    if !has_avx2() {
        println!("skipped: the recorded counts are of AVX2, which this processor lacks");
        return ExitCode::SUCCESS;
    }
    match guard() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("more instructions than recorded: find out why, or record the new counts with --record");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
