//! The ε that break the model unseen follow how the image is shown.

use crate::command_line::{complaint, program, sample, text};
use std::path::Path;
use std::process::Output;

fn sweep(folder: &Path, arguments: &[&str]) -> Output {
    program(folder)
        .arg("sweep")
        .arg(sample("membranes.png"))
        .arg("--label")
        .arg(sample("membranes-mask.png"))
        .args(["--label-map", "0=membrane,255=cell", "--epsilons", "2/255,4/255,8/255", "--device", "cpu"])
        .args(["--broken-below", "0.7", "--out", "here"])
        .args(arguments)
        .output()
        .unwrap()
}

/// The column `name` of the attack's rows of the table.
fn column(folder: &Path, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_path(folder.join("here/curve.csv")).unwrap();
    let at = reader.headers().unwrap().iter().position(|n| n == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    rows.iter().filter(|r| &r[0] == "fgsm").map(|r| r[at].to_owned()).collect()
}

#[test]
fn the_window_of_epsilon_follows_how_the_image_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let output = sweep(folder.path(), &["--unseen", "psnr:33", "--metrics", "gmsd,butteraugli"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    // ±ε at almost every pixel: 20·log10(1/ε) dB, 36.1 at 4/255 and 30.1 at 8/255.
    assert!(said.contains("unseen at ε = 4/255 (0.0157). Suggested"), "{said}");
    assert!(said.contains("PSNR in dB at least 33") && said.contains("nor at 8/255 above"), "{said}");
    // SSIM is the laxest of those that were measured, and says so beside the others.
    assert!(said.contains("SSIM at least 0.98: 4/255; GMSD") && said.contains("Butteraugli at most 1: none"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    assert!(report.contains("Suggested: ε = 4/255") && report.contains("--unseen psnr:33"));
    let stored = column(folder.path(), "stored_psnr");
    assert_eq!(stored[0], "", "the original is itself");
    let norms = |name: &str| -> Vec<f64> { column(folder.path(), name).iter().map(|v| v.parse().unwrap()).collect() };
    let (l0, l1, linf) = (norms("l0"), norms("l1"), norms("linf"));
    assert_eq!([l0[0], l1[0]], [0.0; 2]);
    // Signs: nearly every value changes, by ε unless the bounds cut it.
    for i in 1..l0.len() {
        assert!(l0[i] > 50_000.0 && l1[i] <= l0[i] * linf[i] * 1.001 && l1[i] > 0.8 * l0[i] * linf[i], "{l0:?} {l1:?}");
    }
    // One at each ε, the original's own among them, with the scale of its colours.
    assert_eq!(
        report.matches("Where it is seen: Butteraugli").count(),
        2 * 4,
        "caption and name for readers of screens"
    );
    assert_eq!(report.matches("linear-gradient(to right,#").count(), 4);
    assert!(report.contains("As stored") && report.contains("<th>L0</th>"));
    let full: Vec<f64> = column(folder.path(), "shown_psnr")[1..].iter().map(|v| v.parse().unwrap()).collect();
    assert!((full[1] - 36.1).abs() < 0.2, "{full:?}");
    assert!(column(folder.path(), "shown_gmsd").iter().all(|v| !v.is_empty()));
    let distance: Vec<f64> = column(folder.path(), "shown_butteraugli").iter().map(|v| v.parse().unwrap()).collect();
    assert!(distance[0] == 0.0 && distance.windows(2).all(|w| w[1] > w[0]), "{distance:?}");
    assert!(column(folder.path(), "shown_flip").iter().all(String::is_empty), "not asked for");
    let ssim: Vec<f64> = column(folder.path(), "shown_ssim").iter().map(|v| v.parse().unwrap()).collect();
    assert!(ssim[0] == 1.0 && ssim.windows(2).all(|w| w[1] < w[0]), "{ssim:?}");

    let svg = std::fs::read_to_string(folder.path().join("here/curve.svg")).unwrap();
    for part in [
        "Not seen (PSNR in dB at least 33): ε = 2/255 (0.00784) or less to 4/255",
        "class=\"fig-stripboth\"",
        "GMSD",
        "seed",
    ] {
        assert!(svg.contains(part) && report.contains(part), "{part}: {svg}");
    }

    let narrow = sweep(folder.path(), &["--unseen", "psnr:33", "--shown-window", "64,192", "--shown-inverted"]);
    let said = text(&narrow.stdout);
    assert!(said.contains("There is no ε that breaks the model and is not seen"), "{said}");
    let told = std::fs::read_to_string(folder.path().join("here/conditions.toml")).unwrap();
    for part in
        ["window_lower = 64.0", "window_upper = 192.0", "inverted = true", "bits = 8", "pixels_per_degree = 67.0"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let shown: Vec<f64> = column(folder.path(), "shown_psnr")[1..].iter().map(|v| v.parse().unwrap()).collect();
    let again: Vec<String> = column(folder.path(), "stored_psnr");
    assert_eq!(again, stored, "a window changes what is shown, not what is stored");
    assert!(stored[1..].iter().zip(&full).all(|(s, f)| (s.parse::<f64>().unwrap() - f).abs() < 0.01), "{stored:?}");
    // Twice the contrast takes 6 dB; what the window cuts off gives some of it back.
    assert!(full.iter().zip(&shown).all(|(full, shown)| (1.0..6.3).contains(&(full - shown))), "{full:?} {shown:?}");
}

#[test]
fn thresholds_of_observers_are_drawn_with_their_conditions() {
    let folder = tempfile::tempdir().unwrap();
    let columns = "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,zoom,bit_depth,window_lower,\
                   window_upper,pixels_per_degree,duration_ms\n";
    let level = |l: f64| l / 255.0;
    let text = columns.to_owned()
        + &format!("Ada,membranes,fgsm,2afc,157,{},{},{},3,8,0,1,21.5,200\n", level(6.0), level(5.0), level(7.5))
        + &format!("Ben,membranes,fgsm,2afc,157,{},{},{},3,8,0.2,0.4,21.5,200\n", level(1.0), level(0.5), level(2.0));
    let name = |text: &str| text.replace("membranes,", &format!("{},", case_name(folder.path())));
    std::fs::write(folder.path().join("thresholds.csv"), name(&text)).unwrap();
    let output = sweep(folder.path(), &["--unseen", "thresholds.csv"]);
    assert!(output.status.success(), "{}", text_of(&output));
    let said = text_of(&output);
    // Not seen is what lies below the whole interval: 2 and 4, not 8; 4/255 breaks it.
    assert!(said.contains("unseen at ε = 4/255 (0.0157).") && said.contains("below 5/255"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    for part in [
        "Ada’s threshold 6/255 (95 %: 5/255 to 7.5/255)",
        "What people see",
        "21.5",
        "200 ms",
        "Ben: measured under another window",
        "fig-seenline",
        "--unseen thresholds.csv",
    ] {
        assert!(report.contains(part), "{part}");
    }
    let svg = std::fs::read_to_string(folder.path().join("here/curve.svg")).unwrap();
    assert!(svg.contains("class=\"fig-seenband\""));
    // An image of the same name is another one if its pixels are.
    let of_pixels = |line: (usize, &str)| format!("{},{}\n", line.1, ["pixels", "", "0123456789abcdef"][line.0]);
    let elsewhere: String = name(&text).replace(",0.2,0.4,", ",0,1,").lines().enumerate().map(of_pixels).collect();
    std::fs::write(folder.path().join("elsewhere.csv"), elsewhere).unwrap();
    let output = sweep(folder.path(), &["--unseen", "elsewhere.csv"]);
    let report = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    assert!(report.contains("Ben: measured under another image"), "{}", text_of(&output));
    assert!(text_of(&output).contains("below 5/255"), "the threshold of the image itself counts");
    // A table of trials is fitted first.
    let trials = std::fs::read_to_string(crate::fixture::path("observer-trials.csv")).unwrap();
    std::fs::write(folder.path().join("trials.csv"), trials).unwrap();
    let output = sweep(folder.path(), &["--unseen", "trials.csv"]);
    let report = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    assert!(
        report.contains("doubting’s threshold") && report.contains("measured under another image"),
        "{}",
        text_of(&output)
    );
    std::fs::write(folder.path().join("other.csv"), text.replace("fgsm", "pgd")).unwrap();
    assert!(complaint(&sweep(folder.path(), &["--unseen", "other.csv"])).contains("no threshold of fgsm, but of pgd"));
    // What was shown to all of them ended below their thresholds.
    let short = format!("Ada,membranes,fgsm,2afc,157,{},{},inf,3,8,0,1,21.5,200\n", level(60.0), level(50.0));
    std::fs::write(folder.path().join("short.csv"), columns.to_owned() + &short).unwrap();
    let said = complaint(&sweep(folder.path(), &["--unseen", "short.csv"]));
    assert!(said.contains("no threshold of fgsm was reached within the ε shown. More trials"), "{said}");
}

#[test]
fn a_campaign_takes_the_thresholds_of_each_image() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for (from, to) in [("membranes", "a"), ("membranes", "b")] {
        std::fs::copy(sample(&format!("{from}.png")), images.join(format!("{to}.png"))).unwrap();
        std::fs::copy(sample(&format!("{from}-mask.png")), images.join(format!("{to}_mask.png"))).unwrap();
    }
    let row = |image: &str, attack: &str, bits: u8, level: f64| {
        let [threshold, low, high] = [level, level - 1.0, level + 2.0].map(|l| l / 255.0);
        format!("Ada,{image},{attack},2afc,157,{threshold},{low},{high},0,1,{bits}\n")
    };
    let table = "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper,window_lower,window_upper,bit_depth\n"
        .to_owned()
        + &row("a", "fgsm", 8, 6.0)
        + &row("b", "fgsm", 10, 9.0)
        + &row("b", "pgd", 8, 9.0);
    std::fs::write(folder.path().join("thresholds.csv"), table).unwrap();
    let many = |unseen: &str, out: &str| {
        program(folder.path())
            .args(["sweep", "images", "--epsilons", "2/255,4/255,8/255", "--broken", "0.8", "--device", "cpu"])
            .args(["--unseen", unseen, "--out", out])
            .output()
            .unwrap()
    };
    let output = many("thresholds.csv", "many");
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("the others were not measured"), "{}", text_of(&output));
    let mut reader = csv::Reader::from_path(folder.path().join("many/windows.csv")).unwrap();
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: &csv::StringRecord, name: &str| row[columns.iter().position(|c| c == name).unwrap()].to_owned();
    assert_eq!(rows.len(), 2);
    // Below 5/255 image a is not seen; of b, whose threshold is of another screen or attack, nothing is known.
    assert_eq!(cell(&rows[0], "not_measured"), "0");
    let upper: f64 = cell(&rows[0], "upper").parse().unwrap();
    assert!((upper * 255.0 - 4.0).abs() < 1e-6, "{:?}", rows[0]);
    assert_eq!((cell(&rows[1], "not_measured"), cell(&rows[1], "upper")), ("3".to_owned(), String::new()));
    assert!(cell(&rows[1], "explanation").contains("no observer was measured"), "{:?}", rows[1]);
    let none = folder.path().join("none.csv");
    let other = std::fs::read_to_string(folder.path().join("thresholds.csv")).unwrap().replace("fgsm", "bim");
    std::fs::write(&none, other).unwrap();
    assert!(complaint(&many("none.csv", "none")).contains("holds no threshold of these attacks"));
}

/// What a sweep calls the sample.
fn case_name(folder: &Path) -> String {
    let output = sweep(folder, &[]);
    assert!(output.status.success(), "{}", text_of(&output));
    let report = std::fs::read_to_string(folder.join("here/report.html")).unwrap();
    let title = report.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    title.split(": ").next().unwrap().to_owned()
}

fn text_of(output: &Output) -> String {
    text(&output.stdout).to_string() + &text(&output.stderr)
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in
        [(["--shown-window", "3,3"], "--shown-window"), (["--pixels-per-degree", "0"], "--pixels-per-degree")]
    {
        let error = complaint(&sweep(folder.path(), &arguments));
        assert!(error.contains(said), "{error}");
    }
    for arguments in [["--unseen", "beauty:1"], ["--unseen", "ssim"], ["--metrics", "beauty"], ["--shown-bits", "0"]] {
        assert!(!sweep(folder.path(), &arguments).status.success(), "{arguments:?}");
    }
    assert!(!folder.path().join("here").exists());
}
