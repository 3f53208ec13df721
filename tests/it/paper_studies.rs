//! The papers' studies from the command line.

use std::process::{Command, Stdio};

fn headline(report: &str) -> &str {
    report.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or("none")
}

#[test]
fn a_study_outlives_a_closed_error_stream_and_tells_small_costs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epsiloscope"));
        command.args(arguments);
        command
    };
    let made = program(&["synth", "--size", "64", "--count", "6", "--seed", "5", "--out", &at("data")]).output();
    assert!(made.unwrap().status.success());
    let study = ["study", "advu-net", "--quick", "--epochs", "1", "--data", &at("data"), "--out", &at("report")];
    let mut child = program(&study).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // Whoever read along has gone.
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    let report = std::fs::read_to_string(at("report/report.html")).unwrap();
    assert!(report.contains("FLOP in all") && !report.contains("0.000 PFLOP"));
    // After one epoch nothing is learned, and then no ratio is told.
    assert!(report.contains("is not told: 4 of 4 networks learned nothing"), "{}", headline(&report));
    assert!(report.contains("has, after 1 epoch, a mean IoU") && !report.contains("The interval of a ratio counts"));
    let rows = |name: &str| -> Vec<csv::StringRecord> {
        csv::Reader::from_path(at(name)).unwrap().into_records().map(Result::unwrap).collect()
    };
    // Neither in the tables: those of all networks have none, those of each say that it learned nothing.
    for row in rows("report/ratio.csv") {
        assert_eq!([&row[4], &row[5], &row[8]], ["not told"; 3], "{row:?}");
    }
    assert!(rows("report/networks.csv").iter().all(|row| &row[3] == "no"));
    assert!(report.contains("(what its authors call just noticeable)") && !report.contains(" 1 images"));
}

#[test]
fn data_sets_are_split_each_in_its_way_and_a_synthetic_ct_is_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_epsiloscope")).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(said(&["synth", "--size", "64", "--count", "4", "--slices", "2", "--out", &at("stacks")]).0);
    let study = |more: &[&str], out: &str| {
        let base = ["study", "inverse-fgsm", "--quick", "--epochs", "1", "--seeds", "1", "--out", out];
        said(&[&base[..], more].concat())
    };
    let ct = "synthetic:lumbar-ct:4:1";
    let (fine, text) = study(&["--data", &at("stacks"), "--by", "slice", "--data", ct, "--by", "group"], &at("out"));
    assert!(fine, "{text}");
    let report = std::fs::read_to_string(at("out/report.html")).unwrap();
    for part in [
        // Two of eight slices, of any stacks; one of four volumes with its four slices.
        "trained on: 6 images of ",
        "held out: 2 images of ",
        "25 % of the images held out (slices of one volume may be parted), seed 0",
        "trained on: 12 images of 3 patients or volumes; held out: 4 images of 1 patient or volume;",
        "25 % of the patients or volumes held out, seed 0",
        "labels 0=background,255=foreground (guessed",
        "its bounds -1024 to 3071",
    ] {
        assert!(report.contains(part), "{part}");
    }
    assert!(folder.path().join("out/data/lumbar-ct 4 from 1/masks/lumbar-ct-4.nii.gz").is_file());
    for (more, says) in [
        (&["--data", ct, "--by", "slice", "--by", "group"][..], "--by is given 2 times for 1 data sets"),
        (&["--data", "synthetic:brain"], "write synthetic:lumbar-ct"),
        (&["--data", ct, "--unseen", "nobody.csv"], "does not ask what is seen"),
    ] {
        let (fine, text) = study(more, &at("refused"));
        assert!(!fine && text.contains(says), "{says}: {text}");
    }
}
