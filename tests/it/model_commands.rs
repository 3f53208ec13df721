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
    for part in ["PyTorch, milesial", "base 2, depth 4", "bilinear", "parameters", "FLOP forward", "guessed", "[0, 1]"]
    {
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
    let graph = super::models::segmenter(folder.path(), "graph.onnx", 1);
    let mut command = program(folder.path());
    let said = complaint(&command.args(["model", "convert", "--out", "x.bpk"]).arg(graph).output().unwrap());
    assert!(said.contains("opens as it is"), "{said}");
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
    array("last.npy", &[32, 48, 3], 1.0);
    array("far.npy", &[3, 32, 48], -2000.0);
    std::fs::write(folder.path().join("cut.npy"), &std::fs::read(&input).unwrap()[..200]).unwrap();
    let said = |input: &str, extra: &[&str]| {
        let model = path("milesial.pth");
        let mut command = program(folder.path());
        command.args(["predict", input, "--out", "z.npy", "--device", "cpu"]).arg("--model").arg(model).args(extra);
        complaint(&command.output().unwrap())
    };
    assert!(said("two.npy", &[]).contains("two.npy: has 2 channels, and the model takes 3"));
    for raw in [&[][..], &["--raw"]] {
        let said = said("last.npy", raw);
        assert!(said.contains("has 32 channels") && said.contains("come before its rows and columns"), "{said}");
    }
    assert!(said("flat.npy", &[]).contains("(channels, rows, columns)"));
    assert!(said("far.npy", &[]).contains("--bounds LOWER,UPPER"));
    assert!(said("cut.npy", &[]).contains("cut.npy"));
    assert!(said("none.npy", &[]).contains("none.npy: does not exist"));
    assert!(said("x.npy", &["--bounds", "3,3"]).contains("have no width"));
    assert!(said("x.npy", &["--card", "none.toml"]).contains("none.toml"));
    assert!(!folder.path().join("z.npy").exists());
}

#[test]
fn a_card_that_is_named_stands_in_place_of_the_one_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let graph = super::models::segmenter(folder.path(), "graph.onnx", 1);
    run(program(folder.path()).args(["model", "inspect", "graph.onnx", "--write-card", "good.toml"]));
    let good = std::fs::read_to_string(folder.path().join("good.toml")).unwrap();
    let wrong = good.replace("channels = 1", "channels = 3");
    assert_ne!(good, wrong);
    write_npy(&folder.path().join("x.npy"), &[1, 8, 9], &[0.5; 72]).unwrap();
    let predict = |extra: &[&str]| {
        let mut command = program(folder.path());
        command.args(["predict", "x.npy", "--out", "z.npy", "--device", "cpu", "--model"]).arg(&graph).args(extra);
        command.output().unwrap()
    };
    for (beside, words) in [(wrong.as_str(), "3 channels"), ("name = [", "understood")] {
        std::fs::write(folder.path().join("graph.toml"), beside).unwrap();
        let said = complaint(&predict(&[]));
        assert!(said.contains("graph.toml") && said.contains(words) && said.contains("remove it"), "{said}");
        let output = predict(&["--card", "good.toml"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_file(folder.path().join("graph.toml")).unwrap();
    std::fs::write(folder.path().join("wrong.toml"), &wrong).unwrap();
    let said = complaint(&predict(&["--card", "wrong.toml"]));
    assert!(said.contains("wrong.toml") && said.contains("3 channels"), "{said}");
}

#[test]
fn an_attack_goes_by_the_gradient_that_it_saves() {
    let folder = tempfile::tempdir().unwrap();
    let (input, shape, x, _) = reference("milesial-bilinear", folder.path());
    let model = path("milesial-bilinear.pth");
    let attack = |extra: &[&str]| {
        let mut command = program(folder.path());
        command.arg("attack").arg(&input).arg("--model").arg(&model).args(["--epsilon", "8/255", "--device", "cpu"]);
        command.args(["--out", "adv.npy", "--save-gradient", "g.npy"]).args(extra);
        let said = run(&mut command);
        let array = |name: &str| read_npy(&folder.path().join(name)).unwrap();
        let (adversarial, gradient) = (array("adv.npy"), array("g.npy"));
        assert_eq!((&adversarial.shape, &gradient.shape), (&shape, &shape), "{said}");
        (adversarial.values, gradient.values)
    };
    let mask: Vec<f32> = (0..shape[2] * shape[3]).map(|i| (i / 7 % 2) as f32).collect();
    write_npy(&folder.path().join("y.npy"), &[1, shape[2], shape[3]], &mask).unwrap();
    for (label, sign) in [(&["--label", "y.npy"][..], 1.0), (&["--target", "class:1"][..], -1.0), (&[][..], 1.0)] {
        let (adversarial, gradient) = attack(label);
        assert!(gradient.iter().any(|&g| g != 0.0));
        for ((&x, &adversarial), &g) in x.iter().zip(&adversarial).zip(&gradient) {
            let step = if g == 0.0 { 0.0 } else { sign * g.signum() * 8.0 / 255.0 };
            let expected = (x + step).clamp(0.0, 1.0);
            assert!(
                (adversarial - expected).abs() <= 1e-6,
                "{label:?}: {adversarial} for {expected} at a gradient of {g}"
            );
        }
    }
    // In the array's own units, without a box.
    let (raw, gradient) = attack(&["--raw"]);
    let moved = x.iter().zip(&raw).zip(&gradient).filter(|&(_, &g)| g != 0.0);
    for ((&x, &raw), _) in moved {
        assert!(((raw - x).abs() - 8.0 / 255.0).abs() <= 1e-5, "{x} became {raw}");
    }
    // The same seed, the same signs.
    let random = |seed: &str| attack(&["--attack", "random-sign", "--seed", seed]).0;
    assert_eq!(random("3"), random("3"));
    assert_ne!(random("3"), random("4"));
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (input, _, _, _) = reference("milesial", folder.path());
    write_npy(&folder.path().join("y.npy"), &[3], &[0.0, 1.0, 2.0]).unwrap();
    for (label, expected) in [
        ("class:7", "there is no class 7"),
        ("class:x", "class:N"),
        ("y.npy", "a class for each of the 1 images"),
        ("none.png", "none.png"),
    ] {
        let mut command = program(folder.path());
        command.arg("attack").arg(&input).arg("--model").arg(path("milesial.pth"));
        command.args(["--epsilon", "0.1", "--out", "adv.npy", "--device", "cpu", "--label", label]);
        let said = complaint(&command.output().unwrap());
        assert!(said.contains(expected), "{said} should contain {expected}");
    }
    assert!(!folder.path().join("adv.npy").exists());
}

#[test]
fn a_table_of_cases_is_attacked_and_each_success_holds_for_the_array_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, shape, x, logits) = reference("milesial-bilinear", folder.path());
    let at = |name: &str| folder.path().join(name);
    let save = |name: &str, axes: &[usize], values: &[f32]| write_npy(&at(name), axes, values).unwrap();
    // What the model says is true, so that only the attack can make it wrong.
    let truth: Vec<f32> = logits.iter().map(|&z| f32::from(u8::from(z >= 0.0))).collect();
    save("y.npy", &shape[2..], &truth);
    save("lower.npy", &shape, &x.iter().map(|v| (v - 0.3).max(0.0)).collect::<Vec<_>>());
    save("upper.npy", &shape, &x.iter().map(|v| (v + 0.001).min(1.0)).collect::<Vec<_>>());
    let table =
        "input,label,epsilon,lower,upper\nx.npy,y.npy,0.5,,\nx.npy,y.npy,0,,\nx.npy,y.npy,,lower.npy,upper.npy\n";
    std::fs::write(at("cases.csv"), table).unwrap();
    for extra in [&[][..], &["--raw"]] {
        let mut command = program(folder.path());
        command.args(["attack", "--batch", "cases.csv", "--save", "kept", "--device", "cpu", "--attack", "bim"]);
        run(command.arg("--model").arg(path("milesial-bilinear.pth")).args(["--out", "results.csv"]).args(extra));
        let text = std::fs::read_to_string(at("results.csv")).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').take(5).map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(text.starts_with("row,success,norm,loss,seconds,zero_share,") && rows.len() == 3, "{text}");
        for (number, row) in rows.iter().enumerate() {
            let name = format!("kept/{number}.npy");
            let kept = read_npy(&at(&name)).unwrap();
            assert_eq!(kept.shape, shape);
            let changes = x.iter().zip(&kept.values).map(|(x, v)| f64::from(*v) - f64::from(*x));
            let largest = changes.clone().map(f64::abs).fold(0.0, f64::max);
            assert!((largest - row[2]).abs() <= 1e-6, "{extra:?}, row {number}: norm {} is {largest}", row[2]);
            match number {
                0 => assert!(largest <= 0.5 && largest > 0.4),
                1 => assert!(largest == 0.0),
                _ => assert!(changes.clone().all(|d| (-0.3 - 1e-7..=0.001 + 1e-7).contains(&d))),
            }
            // The model itself, on the array as it was written.
            let mut predict = program(folder.path());
            predict.args(["predict", &name, "--out", "z.npy", "--device", "cpu", "--bounds", "0,1"]);
            if extra.contains(&"--raw") {
                predict.arg("--raw");
            }
            run(predict.arg("--model").arg(path("milesial-bilinear.pth")));
            let z = read_npy(&at("z.npy")).unwrap().values;
            let wrong = z.iter().zip(&truth).filter(|&(z, y)| (*z >= 0.0) != (*y == 1.0)).count();
            assert_eq!(row[1] == 1.0, 2 * wrong >= truth.len(), "{extra:?}, row {number}: {wrong} of {}", truth.len());
        }
        assert_eq!(rows[1][1], 0.0, "nothing succeeds without a change");
    }
    std::fs::write(at("cases.csv"), "input,label,epsilon\nnone.npy,y.npy,0.1\n").unwrap();
    let mut command = program(folder.path());
    command.args(["attack", "--batch", "cases.csv", "--device", "cpu", "--model"]).arg(path("milesial-bilinear.pth"));
    let said = complaint(&command.output().unwrap());
    assert!(said.contains("cases.csv") && said.contains("row 0") && said.contains("none.npy"), "{said}");
}
