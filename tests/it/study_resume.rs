//! A study goes on with what it kept only where that was made from the same data, labels, recipe and ε.

use std::process::Command;

fn said(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_epsiloscope")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn kept_results_of_other_data_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, seed) in [("a/cells", "5"), ("b/cells", "6")] {
        std::fs::create_dir_all(at(name)).unwrap();
        assert!(said(&["synth", "--size", "64", "--count", "4", "--seed", seed, "--out", &at(name)]).0);
    }
    let study = |data: &str, more: &[&str]| {
        let base = ["study", "inverse-fgsm", "--quick", "--by", "slice", "--data", &at(data), "--out", &at("out")];
        said(&[&base[..], more].concat())
    };
    let (fine, text) = study("a/cells", &["--epochs", "1"]);
    assert!(fine, "{text}");
    let report = std::fs::read_to_string(at("out/report.html")).unwrap();
    assert!(report.contains("What the paper claims, and what was found"));
    // After one epoch nothing is learned, and then nothing is compared.
    let claims = std::fs::read_to_string(at("out/claims.csv")).unwrap();
    let first = claims.lines().nth(1).unwrap();
    assert!(first.contains("Inverse FGSM as augmentation raises mean IoU,+0.0902,-0.0055,"), "{first}");
    assert_eq!(claims.lines().count(), 1 + 17, "{claims}");
    let told = claims.lines().skip(1).all(|line| line.contains("not told: ") || line.contains(" to "));
    assert!(told, "each claim has an interval, or why it has none: {claims}");
    // All is kept: nothing is trained again.
    let (fine, text) = study("a/cells", &["--epochs", "1", "--resume"]);
    assert!(fine && !text.contains("epoch 1 of 1"), "{text}");
    for (data, more, says) in [
        ("b/cells", &["--epochs", "1"][..], "held-out images, held-out labels, training images, training labels"),
        (
            "a/cells",
            &["--epochs", "1", "--label-map", "0=foreground,255=background"],
            "another held-out labels, training labels",
        ),
        ("a/cells", &["--epochs", "2"], "another recipe"),
    ] {
        let (fine, text) = study(data, &[more, &["--resume"]].concat());
        assert!(!fine && text.contains(says), "{says}: {text}");
    }
}
