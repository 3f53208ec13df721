//! `epsiloscope attack` and `predict` on the command line: what they ask for, and what they refuse in one line.

use crate::command_line::{complaint, program, sample, text};
use crate::fixture::path;
use epsiloscope::data::{read_npy, write_npy};
use std::path::{Path, PathBuf};

/// The model of the sample, which has one channel.
fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/membranes-unet.safetensors")
}

/// Numbers in [0, 1] for a model of three channels.
fn input(folder: &Path) {
    let values: Vec<f32> = (0..3 * 16 * 16).map(|i| ((i * 37) % 101) as f32 / 101.0).collect();
    write_npy(&folder.join("x.npy"), &[3, 16, 16], &values).unwrap();
}

#[test]
fn an_epsilon_is_asked_for_where_the_attack_has_one() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let attack = |arguments: &[&str]| {
        let mut command = program(folder.path());
        command.args(["attack", "x.npy", "--device", "cpu", "--out", "a.npy", "--model"]);
        command.arg(path("mateuszbuda.pth")).args(arguments).output().unwrap()
    };
    let said = complaint(&attack(&["--epsilon", "-1"]));
    assert!(said.contains("--epsilon") && said.contains("-1") && said.contains("4/255"), "{said}");
    let said = complaint(&attack(&["--epsilon", "-1/255", "--attack", "pgd", "--set", "norm=l2"]));
    assert!(said.contains("-1/255") && said.contains("is no ε"), "{said}");
    let said = complaint(&attack(&["--attack", "bim"]));
    assert!(said.contains("BIM") && said.contains("--epsilon"), "{said}");
    assert!(!folder.path().join("a.npy").exists());
    for name in ["deepfool", "carlini-wagner", "stadv"] {
        let output = attack(&["--attack", name, "--set", "steps=2"]);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let said = text(&output.stdout);
        let control = if name == "stadv" { "random" } else { "random signs of the same L2 norm" };
        assert!(said.contains(&format!("beside it, {control}")), "{said}");
        assert_eq!(read_npy(&folder.path().join("a.npy")).unwrap().shape, [3, 16, 16]);
    }
    let said = complaint(&attack(&["--attack", "deepfool", "--raw"]));
    assert!(said.contains("--bounds"), "{said}");
}

#[test]
fn a_wished_mask_is_counted_where_it_changes_the_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path())
        .arg("attack")
        .arg(sample("membranes.png"))
        .arg("--model")
        .arg(bundled())
        .args(["--attack", "bim", "--set", "steps=2", "--epsilon", "2/255", "--target", "class:0"])
        .args(["--device", "cpu", "--out", "a.npy"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("of what the target changes: 0.00 % →"), "{said}");
}

#[test]
fn arrays_are_written_under_names_of_arrays_only() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let model = path("mateuszbuda.pth");
    for arguments in [
        &["attack", "x.npy", "--epsilon", "0.1", "--out", "a.png"][..],
        &["attack", "x.npy", "--epsilon", "0.1", "--out", "a.npy", "--save-gradient", "g"],
        &["predict", "x.npy", "--out", "o.txt"],
    ] {
        let output =
            program(folder.path()).args(arguments).arg("--model").arg(&model).args(["--device", "cpu"]).output();
        let said = complaint(&output.unwrap());
        assert!(said.contains("ends in .npy"), "{said}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cases.csv"), "input,label,epsilon\nmissing.npy,0,0.1\n").unwrap();
    let output = program(folder.path())
        .args(["attack", "--batch", "cases.csv", "--save", "kept", "--device", "cpu", "--model"])
        .arg(path("mateuszbuda.pth"))
        .output()
        .unwrap();
    assert!(complaint(&output).contains("missing.npy"));
    assert!(!folder.path().join("kept").exists());
}

#[test]
fn channels_that_do_not_fit_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    write_npy(&folder.path().join("two.npy"), &[2, 16, 16], &[0.5; 512]).unwrap();
    let said = complaint(
        &program(folder.path())
            .arg("attack")
            .arg("--model")
            .arg(bundled())
            .args(["two.npy", "--epsilon", "0.1", "--out", "a.npy", "--device", "cpu"])
            .output()
            .unwrap(),
    );
    assert!(said.ends_with("Give an image or an array with 1 channel"), "{said}");
}
