//! The papers' studies from the command line.

use std::process::{Command, Stdio};

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
}
