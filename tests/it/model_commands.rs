//! `model`, `predict` and `attack` on the command line: arrays in, arrays out, equal to what PyTorch computes, whole or not at all.

use crate::command_line::{complaint, program};
use crate::fixture::{max_difference, path, tensors};
use epsiloscope::data::{read_npy, write_npy};
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The reference's image and logits, with the image as an array in `folder`.
fn reference(name: &str, folder: &Path) -> (PathBuf, Vec<usize>, Vec<f32>, Vec<f32>) {
    let mut stored = tensors(&std::fs::read(path(&format!("{name}.logits.safetensors"))).unwrap());
    let (shape, x) = stored.remove("x").unwrap();
    let file = folder.join("x.npy");
    write_npy(&file, &shape, &x).unwrap();
    (file, shape, x, stored.remove("logits").unwrap().1)
}

#[test]
fn predicted_logits_are_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    for (name, outputs) in [("milesial", 2), ("mateuszbuda", 1)] {
        let (input, shape, _, expected) = reference(name, folder.path());
        let model = path(&format!("{name}.pth"));
        run(program(folder.path())
            .arg("predict")
            .arg(&input)
            .arg("--model")
            .arg(model)
            .args(["--out", "z.npy", "--device", "cpu"]));
        let written = read_npy(&folder.path().join("z.npy")).unwrap();
        assert_eq!(written.shape, [1, outputs, shape[2], shape[3]]);
        let spread = expected.iter().fold(1f32, |most, v| most.max(v.abs()));
        assert!(max_difference(&written.values, &expected) <= 1e-5 * spread, "{name}");
    }
}

#[test]
fn numbers_given_raw_reach_the_network_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (input, shape, x, expected) = reference("milesial", folder.path());
    // The same image in other units.
    let shifted = folder.path().join("shifted.npy");
    write_npy(&shifted, &shape, &x.iter().map(|v| v * 510.0 - 255.0).collect::<Vec<_>>()).unwrap();
    for (input, extra) in [(&input, &["--raw"][..]), (&shifted, &["--bounds=-255,255"][..])] {
        run(program(folder.path())
            .arg("predict")
            .arg(input)
            .arg("--model")
            .arg(path("milesial.pth"))
            .args(["--out", "z.npy", "--device", "cpu"])
            .args(extra));
        let written = read_npy(&folder.path().join("z.npy")).unwrap();
        let off = max_difference(&written.values, &expected);
        assert!(off <= 2e-4, "{extra:?}: off by {off}");
    }
}

#[test]
fn a_model_is_described_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(program(folder.path())
        .args(["model", "inspect", "--write-card", "card.toml"])
        .arg(path("milesial-bilinear.pth")));
    for part in ["PyTorch, milesial", "base 2, depth 4", "bilinear", "parameters", "GFLOP", "guessed", "[0, 1]"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(epsiloscope::model::read_card(&folder.path().join("card.toml")).is_ok());
    for name in ["out.safetensors", "out.bpk"] {
        run(program(folder.path()).args(["model", "convert", "--out", name]).arg(path("milesial-bilinear.pth")));
        let said = run(program(folder.path()).args(["model", "inspect", name]));
        assert!(said.contains("read from beside the model") && said.contains("Epsiloscope’s U-Net"), "{said}");
    }
    let said = complaint(
        &program(folder.path())
            .args(["model", "convert", "--out", "x.onnx"])
            .arg(path("milesial.pth"))
            .output()
            .unwrap(),
    );
    assert!(said.contains("x.onnx") && said.contains(".bpk"), "{said}");
}

#[test]
fn what_does_not_fit_is_said_in_one_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (input, _, x, _) = reference("milesial", folder.path());
    let array = |name: &str, shape: &[usize], scale: f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| scale * x[i % x.len()]).collect();
        write_npy(&folder.path().join(name), shape, &values).unwrap();
    };
    array("two.npy", &[2, 32, 48], 1.0);
    array("flat.npy", &[32, 48], 1.0);
    array("far.npy", &[3, 32, 48], -2000.0);
    std::fs::write(folder.path().join("cut.npy"), &std::fs::read(&input).unwrap()[..200]).unwrap();
    let said = |input: &str, extra: &[&str]| {
        let model = path("milesial.pth");
        let mut command = program(folder.path());
        command.args(["predict", input, "--out", "z.npy", "--device", "cpu"]).arg("--model").arg(model).args(extra);
        complaint(&command.output().unwrap())
    };
    assert!(said("two.npy", &[]).contains("two.npy: has 2 channels, and the model takes 3"));
    assert!(said("flat.npy", &[]).contains("(channels, rows, columns)"));
    assert!(said("far.npy", &[]).contains("--bounds LOWER,UPPER"));
    assert!(said("cut.npy", &[]).contains("cut.npy"));
    assert!(said("none.npy", &[]).contains("none.npy: does not exist"));
    assert!(said("x.npy", &["--bounds", "3,3"]).contains("have no width"));
    assert!(said("x.npy", &["--card", "none.toml"]).contains("none.toml"));
    assert!(!folder.path().join("z.npy").exists());
}
