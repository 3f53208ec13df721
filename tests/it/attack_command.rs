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
fn what_is_for_batches_is_refused_of_one_image() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    for option in [&["--mask-share", "0.3"][..], &["--save", "kept"], &["--resume"]] {
        let mut command = program(folder.path());
        command.args(["attack", "x.npy", "--epsilon", "4/255", "--device", "cpu", "--out", "a.npy", "--model"]);
        let said = complaint(&command.arg(path("mateuszbuda.pth")).args(option).output().unwrap());
        assert!(said.contains(option[0]) && said.contains("only with --batch"), "{said}");
    }
    assert!(!folder.path().join("a.npy").exists());
}

#[test]
fn moved_pixels_are_judged_as_a_sweep_judges_them() {
    let folder = tempfile::tempdir().unwrap();
    let attack = ["--attack", "stadv", "--set", "steps=6", "--set", "rate=0.2", "--set", "share=1", "--device", "cpu"];
    let run = |command: &str, out: &str| {
        let output = program(folder.path())
            .args([command, "--label-map", "0=membrane,255=cell", "--out", out, "--model"])
            .arg(bundled())
            .arg("--label")
            .arg(sample("membranes-mask.png"))
            .arg(sample("membranes.png"))
            .args(attack)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run("sweep", "out");
    let said = run("attack", "a.npy");
    assert!(said.contains("the mask moved along"), "{said}");
    let mut reader = csv::Reader::from_path(folder.path().join("out/curve.csv")).unwrap();
    let at = reader.headers().unwrap().iter().position(|c| c == "wrong_pixels").unwrap();
    let wrong: Vec<f64> = reader.records().map(|r| r.unwrap()[at].parse().unwrap()).collect();
    // The original, the attack, the original, its control: displaced by more than half a pixel, so that the label moves.
    let percent = |line: &str| -> f64 {
        let line = said.lines().find(|l| l.starts_with(line)).unwrap_or_else(|| panic!("{line}: {said}"));
        line.trim_end_matches(" %").rsplit(' ').next().unwrap().parse().unwrap()
    };
    let near = |found: f64, share: f64| (found - 100.0 * share).abs() < 0.012;
    assert!(near(percent("loss"), wrong[1]), "{said}, {wrong:?}");
    // Another draw: flows are drawn by the image's values, which the two commands round otherwise. Of ten draws none did so much.
    assert!((percent("beside it, random flows") - 100.0 * wrong[3]).abs() < 1.0, "{said}, {wrong:?}");
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
fn a_mask_of_which_nothing_counts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let one = vec![255.0; 256];
    write_npy(&folder.path().join("left-out.npy"), &[16, 16], &one).unwrap();
    let twice = read_npy(&folder.path().join("x.npy")).unwrap().values.repeat(2);
    write_npy(&folder.path().join("two.npy"), &[2, 3, 16, 16], &twice).unwrap();
    write_npy(&folder.path().join("half.npy"), &[2, 16, 16], &[vec![0.0; 256], one].concat()).unwrap();
    for (images, label) in [("x.npy", "left-out.npy"), ("two.npy", "half.npy")] {
        let output = program(folder.path())
            .args(["attack", images, "--label", label, "--epsilon", "0.1"])
            .args(["--out", "a.npy", "--device", "cpu", "--model"])
            .arg(path("mateuszbuda.pth"))
            .output();
        let said = complaint(&output.unwrap());
        assert!(said.contains("no pixel of the mask counts"), "{label}: {said}");
    }
    assert!(!folder.path().join("a.npy").exists());
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

/// A table of one case a row, of [`input`] against class 0 everywhere, and what became of it: rows of success and norm, and the
/// arrays that were kept.
fn batch(folder: &Path, rows: &[&str], arguments: &[&str]) -> Vec<(bool, f64, Vec<f32>)> {
    let table = format!("input,label,epsilon,lower,upper\n{}\n", rows.join("\n"));
    std::fs::write(folder.join("cases.csv"), table).unwrap();
    let output = program(folder)
        .args(["attack", "--batch", "cases.csv", "--save", "kept", "--device", "cpu", "--model"])
        .arg(path("mateuszbuda.pth"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let mut reader = csv::Reader::from_reader(said.as_bytes());
    let record = |(number, row): (usize, Result<csv::StringRecord, csv::Error>)| {
        let row = row.unwrap();
        assert_eq!(row[0], number.to_string());
        let kept = read_npy(&folder.join(format!("kept/{number}.npy"))).unwrap();
        assert_eq!(kept.shape, [3, 16, 16]);
        (&row[1] == "1", row[2].parse().unwrap(), kept.values)
    };
    reader.records().enumerate().map(record).collect()
}

#[test]
fn a_batch_leaves_pixels_outside_the_bounds_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let x = read_npy(&folder.path().join("x.npy")).unwrap().values;
    let outside = |v: f32| !(0.1..=0.9).contains(&v);
    let frozen = |i: usize| (0..3).any(|c| outside(x[i % 256 + c * 256]));
    assert!((0..256).any(&frozen) && (0..256).any(|i| !frozen(i)));
    for (attack, raw) in [("bim", false), ("bim", true), ("deepfool", false), ("pgd", true)] {
        let mut arguments = vec!["--attack", attack, "--set", "steps=4", "--bounds", "0.1,0.9"];
        arguments.extend(raw.then_some("--raw"));
        arguments.extend(if attack == "pgd" { &["--set", "restarts=2"][..] } else { &[] });
        // ε is a fraction of the bounds' width, or, of raw numbers, in their unit.
        let radius = if raw { 0.05 } else { 0.05 * f64::from(0.9f32 - 0.1) };
        let found = batch(folder.path(), &["x.npy,0,0.05,,", "x.npy,1,0.05,,"], &arguments);
        assert_eq!(found.len(), 2);
        for (_, norm, kept) in found {
            let mut furthest = 0.0f64;
            for (i, (&a, &b)) in kept.iter().zip(&x).enumerate() {
                assert!(!frozen(i) || a.to_bits() == b.to_bits(), "{attack}: {b} outside the bounds became {a}");
                assert!(frozen(i) || !outside(a), "{attack}: {a} is outside the bounds");
                furthest = furthest.max((f64::from(a) - f64::from(b)).abs());
            }
            assert!(furthest <= radius && norm <= 0.05, "{attack}: {furthest} beyond {radius}; norm {norm}");
        }
    }
}

#[test]
fn a_batch_keeps_to_boxes_and_refuses_odd_ones_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    input(folder.path());
    let x = read_npy(&at("x.npy")).unwrap().values;
    let side = |by: f32| x.iter().map(|v| (v + by).clamp(0.0, 1.0)).collect::<Vec<f32>>();
    let (lower, upper) = (side(-0.03), side(0.01));
    write_npy(&at("l.npy"), &[3, 16, 16], &lower).unwrap();
    write_npy(&at("u.npy"), &[3, 16, 16], &upper).unwrap();
    for raw in [&[][..], &["--raw"]] {
        let found = batch(folder.path(), &["x.npy,1,,l.npy,u.npy", "x.npy,0,0.02,l.npy,u.npy"], raw);
        for (number, (_, norm, kept)) in found.iter().enumerate() {
            let inside = |(i, v): (usize, &f32)| {
                let near = number == 0 || (f64::from(*v) - f64::from(x[i])).abs() <= 0.02;
                near && (lower[i]..=upper[i]).contains(v)
            };
            assert!(kept.iter().enumerate().all(inside), "row {number}");
            assert!(*norm <= [0.03 + 1e-6, 0.02][number]);
        }
    }
    // The same count, other axes.
    write_npy(&at("turned.npy"), &[16, 16, 3], &lower).unwrap();
    write_npy(&at("few.npy"), &[3, 16, 15], &lower[..720]).unwrap();
    write_npy(&at("nan.npy"), &[3, 16, 16], &[f32::NAN; 768]).unwrap();
    let refused = |row: &str, arguments: &[&str]| {
        std::fs::remove_dir_all(at("kept")).ok();
        // After enough good rows for some to be attacked, if the bad one were not found before.
        let rows = vec!["x.npy,0,0.1,,"; 33].join("\n");
        std::fs::write(at("cases.csv"), format!("input,label,epsilon,lower,upper\n{rows}\n{row}\n")).unwrap();
        let output = program(folder.path())
            .args(["attack", "--batch", "cases.csv", "--save", "kept", "--device", "cpu", "--model"])
            .arg(path("mateuszbuda.pth"))
            .args(arguments)
            .output();
        let said = complaint(&output.unwrap());
        assert!((said.contains("row 33") || arguments.contains(&"--out")) && !at("kept").exists(), "{row}: {said}");
        said
    };
    for (row, cause) in [
        ("x.npy,0,,turned.npy,u.npy", "turned.npy: has the axes [16, 16, 3]"),
        ("x.npy,0,,l.npy,few.npy", "few.npy: has the axes"),
        ("x.npy,0,,nan.npy,u.npy", "nan.npy: 768 of its values are not finite"),
        ("x.npy,0,,u.npy,l.npy", "is above"),
        ("nan.npy,0,0.1,,", "nan.npy: 768 of its values"),
        ("x.npy,0,nan,,", "bad epsilon"),
        ("x.npy,,0.1,,", "has no label"),
        ("x.npy,missing.png,0.1,,", "missing.png"),
    ] {
        let said = refused(row, &[]);
        assert!(said.contains(cause), "{row}: {said}");
    }
    assert!(refused("x.npy,0,1e39,,", &["--raw"]).contains("too large"));
    let said = refused("x.npy,0,0.1,,", &["--out", "missing/t.csv"]);
    assert!(said.contains("missing does not exist"), "{said}");
}

#[test]
fn an_array_of_images_has_its_own_pixels_outside_the_bounds_in_each() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..2 * 3 * 256).map(|i| ((i * 37) % 101) as f32 / 101.0).collect();
    write_npy(&folder.path().join("two.npy"), &[2, 3, 16, 16], &values).unwrap();
    for attack in [&["pgd", "--set", "restarts=3"][..], &["deepfool"], &["carlini-wagner", "--set", "searches=2"]] {
        let output = program(folder.path())
            .args([
                "attack",
                "two.npy",
                "--bounds",
                "0.1,0.9",
                "--epsilon",
                "0.05",
                "--set",
                "steps=3",
                "--out",
                "a.npy",
            ])
            .args(["--device", "cpu", "--model"])
            .arg(path("mateuszbuda.pth"))
            .arg("--attack")
            .args(attack)
            .output()
            .unwrap();
        assert!(output.status.success(), "{attack:?}: {}", text(&output.stderr));
        let found = read_npy(&folder.path().join("a.npy")).unwrap().values;
        let outside = |v: &f32| !(0.1..=0.9).contains(v);
        let kept = values.iter().zip(&found).filter(|(x, _)| outside(x)).all(|(x, a)| x.to_bits() == a.to_bits());
        assert!(kept && found != values, "{attack:?}");
        let count = values.iter().filter(|v| outside(v)).count();
        assert!(text(&output.stdout).contains(&format!("{count} of 1536 values lie beyond the bounds")));
    }
}

#[test]
fn a_step_along_the_gradient_of_raw_numbers_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let output = program(folder.path())
        .args(["attack", "x.npy", "--raw", "--attack", "fgnm", "--epsilon", "0.05", "--out", "a.npy"])
        .args(["--device", "cpu", "--model"])
        .arg(path("mateuszbuda.pth"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let [x, a] = ["x.npy", "a.npy"].map(|name| read_npy(&folder.path().join(name)).unwrap().values);
    let moved: Vec<f64> = x.iter().zip(&a).map(|(x, a)| f64::from(a - x)).collect();
    let norm = moved.iter().map(|d| d * d).sum::<f64>().sqrt();
    // As long as the signs, of which those of a gradient of exactly 0 are 0.
    let expected = 0.05 * (moved.iter().filter(|d| **d != 0.0).count() as f64).sqrt();
    assert!((norm - expected).abs() < 1e-3 * expected, "{norm}, should be {expected}");
    assert!(moved.iter().any(|d| d.abs() > 0.051), "single values move by more than ε");
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

#[test]
fn what_is_written_is_within_epsilon_in_exact_arithmetic() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..3 * 16 * 16).map(|i| ((i * 37) % 101) as f32 * 31.7 - 1000.3).collect();
    write_npy(&folder.path().join("x.npy"), &[3, 16, 16], &values).unwrap();
    for (arguments, radius) in
        [(&["--bounds", "-1024,3071", "--epsilon", "0.01"][..], 0.01 * 4095.0), (&["--raw", "--epsilon", "3.3"], 3.3)]
    {
        let output = program(folder.path())
            .args(["attack", "x.npy", "--attack", "bim", "--set", "steps=3", "--out", "a.npy", "--device", "cpu"])
            .arg("--model")
            .arg(path("mateuszbuda.pth"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("no longer as the model predicts"));
        let found = read_npy(&folder.path().join("a.npy")).unwrap().values;
        let furthest =
            values.iter().zip(&found).map(|(x, a)| (f64::from(*a) - f64::from(*x)).abs()).fold(0.0, f64::max);
        assert!(furthest <= radius * (1.0 + 1e-12) && furthest > 0.9 * radius, "{furthest} of {radius}");
    }
}

#[test]
fn options_of_a_sweep_stand_under_their_own_heading() {
    let folder = tempfile::tempdir().unwrap();
    let help = text(&program(folder.path()).args(["sweep", "--help"]).output().unwrap().stdout);
    let many = help.find("Many images, attacks, models or seeds").unwrap();
    for option in ["--set <", "--seed <", "--out <"] {
        assert!(help.find(option).unwrap() < many, "{option}");
    }
}

#[test]
fn the_slice_of_a_stack_that_was_taken_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], image: &str| {
        let mut command = program(folder.path());
        command
            .args(arguments)
            .arg(sample(image))
            .args(["--out", "o.npy", "--device", "cpu", "--model"])
            .arg(bundled());
        command.output().unwrap()
    };
    let said = |arguments: &[&str], image: &str| {
        let output = run(arguments, image);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let stack = "membranes-stack.tif";
    let count = slices_of(stack);
    let last = count - 1;
    let plain = said(&["predict"], stack);
    assert!(plain.contains(&format!("slice 0 of the {count}, which count from 0 to {last}; another with --slice N")));
    let first = read_npy(&folder.path().join("o.npy")).unwrap().values;
    let other = said(&["predict", "--slice", "1"], stack);
    assert!(other.contains("slice 1 of the") && read_npy(&folder.path().join("o.npy")).unwrap().values != first);
    let attacked = said(&["attack", "--epsilon", "1/255", "--slice", "1"], stack);
    assert!(attacked.contains("slice 1 of the"), "{attacked}");
    assert!(!said(&["predict"], "membranes.png").contains("slice"), "of one image there is nothing to choose");
    let refused = complaint(&run(&["predict", "--slice", &count.to_string()], stack));
    assert!(refused.contains(&format!("{count} slices")) && refused.contains(&format!("--slice {last}")), "{refused}");
    let refused = complaint(&run(&["predict", "--slice", "1"], "membranes.png"));
    assert!(refused.contains("is one image") && refused.contains("leave --slice away"), "{refused}");
}

/// How many slices a sample has.
fn slices_of(name: &str) -> usize {
    epsiloscope::data::open(&sample(name), &std::sync::atomic::AtomicBool::new(false)).unwrap().slices
}
