//! Recipes as files, from the command line: a killed training goes on as if nothing had been, and what is refused is named by line.

use std::process::Command;
use std::time::{Duration, Instant};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epsiloscope"));
    command.args(arguments);
    command
}

fn said(arguments: &[&str]) -> (bool, String) {
    let output = program(arguments).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

const RECIPE: &str = r#"
[data]
path = "data"
label-map = "0=membrane,255=cell"
split = { kind = "hold-out", share = 0.34, seed = 1 }

[network]
base = 3
depth = 2
dropout = 0.3

[training]
epochs = 12
batch = 2
crop = 32
loss = { kind = "focal" }

[optimizer]
kind = "sgd"

[augmentation]
flips = true
rotation = 15
zoom = 0.7
elastic = 3
noise = 0.02

[[adversarial]]
attack = { method = "r-fgsm" }
epsilon = 0.05
draw = true
share = 0.5
"#;

#[test]
fn a_killed_training_goes_on_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(said(&["synth", "--size", "96", "--count", "3", "--seed", "5", "--out", &at("data")]).0);
    std::fs::write(at("recipe.toml"), RECIPE).unwrap();
    let train = |out: &str, more: &[&str]| {
        program(&[&["train", "--recipe", &at("recipe.toml"), "--out", &at(out)], more].concat())
    };
    assert!(train("whole.safetensors", &[]).output().unwrap().status.success());
    // Killed once its first checkpoint is there, and again somewhat later.
    let checkpoint = folder.path().join("killed.checkpoint");
    for (round, more) in [&[][..], &["--resume"]].iter().enumerate() {
        let mut child = train("killed.safetensors", more).stderr(std::process::Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !checkpoint.exists() && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(150 * (round as u64 + 1)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let step = epsiloscope::train::Checkpoint::read(&checkpoint).unwrap().header.step;
    println!("killed at step {step} of its checkpoint");
    let resumed = train("killed.safetensors", &["--resume"]).output().unwrap();
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    // The order of tensors in a file is not promised.
    let of_bytes = |bytes: &[u8]| {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let mut all: Vec<(String, Vec<u8>)> =
            file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
        all.sort();
        all
    };
    let tensors = |name: &str| of_bytes(&std::fs::read(at(name)).unwrap());
    assert!(tensors("whole.safetensors") == tensors("killed.safetensors"), "the weights differ");
    let state = |name: &str| {
        let checkpoint = epsiloscope::train::Checkpoint::read(&folder.path().join(name)).unwrap();
        (checkpoint.header, of_bytes(&checkpoint.network))
    };
    let (whole, killed) = (state("whole.checkpoint"), state("killed.checkpoint"));
    assert_eq!(whole.0, killed.0);
    assert!(whole.1 == killed.1, "the networks of the checkpoints differ");
    // No half-written file is left behind.
    let left = std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name().into_string().unwrap());
    assert!(
        left.filter(|name| name.starts_with(".writing")).count() <= 2,
        "temporary files of the killed processes only"
    );
}

#[test]
fn recipes_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    assert!(said(&["synth", "--size", "64", "--count", "3", "--seed", "5", "--out", &at("data")]).0);
    std::fs::write(at("recipe.toml"), RECIPE).unwrap();
    let train = |more: &[&str]| said(&[&["train", "--recipe", &at("recipe.toml")], more].concat());
    // Flags replace what the file says; a preview shows crops and samples.
    let (fine, text) = train(&["--batch", "3", "--preview", &at("seen")]);
    assert!(fine, "{text}");
    let names = |start: &str| {
        let all = std::fs::read_dir(at("seen")).unwrap().flatten();
        all.filter(|e| e.file_name().to_string_lossy().starts_with(start)).count()
    };
    assert_eq!((names("crop"), names("appended")), (3, 2));
    let (fine, text) = train(&["--epochs", "1", "--out", &at("m.safetensors")]);
    assert!(fine && text.contains("epoch 1/1"), "{text}");
    let (fine, text) = train(&["--epochs", "1", "--out", &at("recipe.safetensors")]);
    assert!(!fine && text.contains("overwrite the recipe"), "{text}");
    let (fine, text) = train(&["--out", &at("m.safetensors"), "--resume"]);
    assert!(!fine && text.contains("--epochs 12 (it was 1)"), "{text}");
    let (fine, text) = train(&["--epochs", "1", "--slices", "0-1", "--out", &at("n.safetensors")]);
    assert!(!fine && text.contains("split"), "{text}");
    for (from, to, says) in [
        ("batch = 2", "batch = 0", "recipe.toml: line 14: training.batch: a batch of 0"),
        ("share = 0.34", "share = 34", "data.split.share"),
        ("hold-out\", share = 0.34", "k-fold\", folds = 9", "has 3 groups"),
        ("path = \"data\"", "path = \"nowhere\"", "nowhere"),
        ("zoom = 0.7", "zoom = 7", "line 24: augmentation.zoom"),
    ] {
        std::fs::write(at("recipe.toml"), RECIPE.replace(from, to)).unwrap();
        let (fine, text) = train(&["--epochs", "1", "--out", &at("n.safetensors")]);
        let says = says.replace("has 3 groups", "the data have 3 groups");
        assert!(!fine && text.contains(&says) && text.trim().lines().count() == 1, "{to}: {text}");
    }
}
