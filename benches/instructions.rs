//! A guard against slower code that is not a timing, which a busy machine would spoil: how many instructions the hot kernels, and
//! what is made of them, take on one thread, counted by callgrind and compared with those recorded in `benches/instructions.toml`.
//!
//!     cargo bench --bench instructions [-- --record]
//!
//! Callgrind knows no AVX-512 and hides it, so that the kernels take their AVX2 path. Fails where a count is larger than the recorded
//! one by more than [`TOLERANCE`], or [`TOLERANCE_OF_COMPILERS`] if another compiler made it; where it is as much smaller it asks to
//! be recorded anew. Where valgrind is not installed, or the processor has no AVX2, it says so and counts nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "peers/cnn.rs"]
#[allow(dead_code)]
mod cnn;
#[path = "instructions/items.rs"]
mod items;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What a count may grow by, and nobody need know.
const TOLERANCE: f64 = 0.02;
/// The same where another compiler is in use than the one that the counts are recorded with.
const TOLERANCE_OF_COMPILERS: f64 = 0.10;
/// What tells the process that it is the one that callgrind watches.
const WATCHED: &str = "EPSILOSCOPE_COUNTED";

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Does all items, in the process that callgrind watches, on the first thread.
fn work() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    for (name, mut item) in items::all() {
        // The first time fills caches and pools.
        callgrind::name(None);
        item();
        callgrind::name(Some(name));
        item();
    }
}

/// How many instructions each item takes.
fn count() -> Result<BTreeMap<String, u64>, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--instr-atstart=no"])
        .arg(format!("--callgrind-out-file={}", folder.path().join("counts").display()))
        .arg(program)
        .env(WATCHED, "1")
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path()).map_err(|e| e.to_string())? {
        let text = std::fs::read_to_string(entry.map_err(|e| e.to_string())?.path()).map_err(|e| e.to_string())?;
        let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim);
        // What is left at the end is of no item.
        if let (Some(name), Some(total)) = (after("desc: Trigger: Client Request:"), after("totals:")) {
            found.insert(name.to_owned(), total.parse().map_err(|_| format!("{name}: {total}"))?);
        }
    }
    if !output.status.success() || found.is_empty() {
        return Err(format!("callgrind counted nothing\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(found)
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
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let found = count()?;
    if std::env::args().any(|word| word == "--record") {
        let recorded = Recorded { compiler: compiler(), instructions: found };
        let text = toml::to_string(&recorded).map_err(|e| e.to_string())?;
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        println!("{}: recorded", file.display());
        return Ok(true);
    }
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let recorded: Recorded = toml::from_str(&text).map_err(|e| e.to_string())?;
    let other = recorded.compiler != compiler();
    if other {
        println!("recorded with {}, counted with {}", recorded.compiler, compiler());
    }
    let tolerance = if other { TOLERANCE_OF_COMPILERS } else { TOLERANCE };
    let mut fits = true;
    for (item, now) in &found {
        let Some(&before) = recorded.instructions.get(item) else {
            println!("{item}: {now} instructions; none are recorded: record them with --record");
            fits = false;
            continue;
        };
        let ratio = *now as f64 / before as f64;
        let verdict = match ratio {
            r if r > 1.0 + tolerance => "SLOWER",
            r if r < 1.0 - tolerance => "faster: record it with --record",
            _ => "as recorded",
        };
        fits &= ratio <= 1.0 + tolerance;
        println!("{item}: {now} instructions, {:+.1} %: {verdict}", 100.0 * (ratio - 1.0));
    }
    for item in recorded.instructions.keys().filter(|&item| !found.contains_key(item)) {
        println!("{item}: recorded, but no longer counted");
        fits = false;
    }
    Ok(fits)
}

fn main() -> ExitCode {
    if std::env::var_os(WATCHED).is_some() {
        work();
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
            eprintln!("not as recorded: find out why, or record the new counts with --record");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
