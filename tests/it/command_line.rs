//! The program as people start it: what it writes, what it says, and what it does with bad input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join(name)
}

/// The program without a display, in `folder`.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epsiloscope"));
    command.current_dir(folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line that a failing run says.
pub fn complaint(output: &Output) -> String {
    let said = text(&output.stderr);
    assert!(!output.status.success(), "it should have failed: {said}");
    assert!(output.status.code().is_some(), "it was killed: {said}");
    for word in ["panicked", "backtrace", "internal error", "RUST_BACKTRACE"] {
        assert!(!said.contains(word), "{said}");
    }
    // Without a session, the C library of Wayland complains in the same words while adapters are listed.
    let ours = |line: &&str| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR");
    let errors: Vec<&str> = said.lines().filter(ours).collect();
    assert_eq!(errors.len(), 1, "{said}");
    errors[0].to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_sweep_leaves_table_figure_panels_and_report() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path())
        .arg("sweep")
        .arg(sample("membranes.png"))
        .arg("--label")
        .arg(sample("membranes-mask.png"))
        .args(["--label-map", "0=membrane,255=cell", "--epsilons", "4/255, 0.1", "--device", "cpu", "--out", "here"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = folder.path().join("here");
    assert!(text(&output.stdout).contains("report.html"));
    let expected = [
        "conditions.toml",
        "curve.csv",
        "curve.png",
        "curve.svg",
        "panel-00-epsilon-0.png",
        "panel-01-epsilon-0.0157.png",
        "panel-02-epsilon-0.1.png",
        "report.html",
    ];
    assert_eq!(names(&out), expected);
    assert_eq!(names(folder.path()), ["here"], "nothing beside the folder");
    let csv = std::fs::read_to_string(out.join("curve.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let columns = "attack,epsilon,pixel_error_l2,rmse,wrong_pixels,dice,iou,linf,l2,seconds,shown_psnr,shown_ssim,\
                   shown_gmsd,shown_haarpsi,shown_ms_ssim,shown_vif,shown_flip,shown_butteraugli,shown_ciede2000,shown_same,true_class,chosen_class,\
                   true_probability,margin,flipped,as_wished,clipped,displacement,l0,l1,stored_psnr,stored_ssim,stored_gmsd,stored_haarpsi,\
                   stored_ms_ssim,stored_vif,stored_flip,stored_butteraugli,stored_ciede2000,stored_same";
    assert_eq!(rows[0].join(","), columns);
    let keys: Vec<(&str, f64)> = rows[1..].iter().map(|r| (r[0], r[1].parse().unwrap())).collect();
    let grid = [0.0, 4.0 / 255.0, 0.1];
    let expected: Vec<(&str, f64)> = ["fgsm", "random-sign"].iter().flat_map(|n| grid.map(|e| (*n, e))).collect();
    assert_eq!(keys, expected);
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    assert_eq!((number(1, 7), number(1, 8)), (0.0, 0.0), "ε 0 changes nothing");
    for row in 1..rows.len() {
        assert!((number(row, 7) - number(row, 1)).abs() < 1e-6, "L∞ is ε");
        let (dice, iou) = (number(row, 5), number(row, 6));
        assert!((iou - dice / (2.0 - dice)).abs() < 1e-9, "Dice and IoU agree");
        assert!(number(row, 9) >= 0.0);
    }
    // What is predicted otherwise than in the original is at least what became wrong of it.
    let flipped: Vec<f64> = (1..4).map(|row| number(row, 24)).collect();
    assert!(flipped[0] == 0.0 && flipped[1] >= number(2, 4) - number(1, 4) - 1e-9, "{flipped:?}");
    assert!(flipped[1] > 0.05 && number(5, 24) < 0.02, "random signs flip next to nothing");
    assert!(number(2, 5) < number(5, 5) - 0.1, "4/255 of FGSM does more harm than of random sign");
    let html = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "the report is self-contained");
    for fact in ["0=membrane,255=cell (as given)", "membranes.png", "CPU (Flex)", env!("CARGO_PKG_VERSION")] {
        assert!(html.contains(fact), "{fact} is not in the report");
    }
    for name in names(&out).iter().filter(|n| n.ends_with(".png")) {
        image::open(out.join(name)).unwrap();
    }
}

#[test]
fn slices_of_a_stack_and_guessed_maps() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path())
        .arg("sweep")
        .arg(sample("membranes-stack.tif"))
        .arg("--label")
        .arg(sample("membranes-stack-mask.tif"))
        .args(["--slice", "1", "--epsilons", "0.01", "--attack", "random-sign", "--seed", "7", "--out", "here"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let html = std::fs::read_to_string(folder.path().join("here/report.html")).unwrap();
    for fact in ["slice 1 of", "0=membrane,255=cell (guessed", "random signs of the same ε, seed 7"] {
        assert!(html.contains(fact), "{fact} is not in the report");
    }
    let csv = std::fs::read_to_string(folder.path().join("here/curve.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.starts_with("random-sign,")).count(), 2);
}

#[test]
fn without_a_display_the_sample_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path()).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no display") && said.contains("epsiloscope-report"), "{said}");
    assert!(names(&folder.path().join("epsiloscope-report")).contains(&"report.html".to_owned()));
    let picture = program(folder.path()).args(["--screenshot", "window.png"]).output().unwrap();
    assert!(complaint(&picture).contains("window.png"));
}

/// A PNG header that promises `width`×`height` grey pixels, and no pixels.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
        bytes.extend([kind, data].concat());
        bytes.extend(crc32(&[kind, data].concat()).to_be_bytes());
        bytes
    };
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 0, 0, 0, 0]);
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[]), chunk(b"IEND", &[])].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

fn write_nan(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
    let pixels = [0.0f32, 1.0, f32::NAN, 0.5];
    encoder.write_image::<tiff::encoder::colortype::Gray32Float>(2, 2, &pixels).unwrap();
}

#[test]
fn bad_images_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let stack = std::fs::read(sample("membranes-stack.tif")).unwrap();
    write("truncated.tif", &stack[..stack.len() / 3]);
    write("no-pixels.png", &png_of(0, 0));
    write("huge.png", &png_of(100_000, 100_000));
    write("text.png", b"patient,age\nA,3\n");
    write_nan(&folder.path().join("nan.tif"));
    for name in ["truncated.tif", "no-pixels.png", "huge.png", "text.png", "nan.tif", "missing.png", "."] {
        let output = program(folder.path()).args(["sweep", name, "--out", "out"]).output().unwrap();
        let said = complaint(&output);
        assert!(said.contains(name), "{said}");
        assert!(said.len() < 400, "{said}");
        assert!(!folder.path().join("out").exists(), "{name} left something");
    }
    // Without a display, the window's own arguments end the same way.
    let window = program(folder.path()).arg("text.png").output().unwrap();
    assert!(complaint(&window).contains("text.png"));
    if cfg!(target_os = "linux") {
        // A display that does not answer is no display.
        let output = program(folder.path()).env("DISPLAY", ":59999").arg("text.png").output().unwrap();
        assert!(text(&output.stderr).contains("the window cannot be opened"), "{}", text(&output.stderr));
        assert!(complaint(&output).contains("text.png"));
    }
}

#[test]
fn bad_labels_maps_and_slices_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mask) = (sample("membranes.png"), sample("membranes-mask.png"));
    let stack_mask = sample("membranes-stack-mask.tif");
    let small = folder.path().join("small.png");
    image::GrayImage::new(10, 12).save(&small).unwrap();
    let refused = |arguments: &[&str], label: &Path, words: &[&str]| {
        let mut command = program(folder.path());
        command.arg("sweep").arg(&image).arg("--label").arg(label).args(arguments);
        let said = complaint(&command.args(["--out", "out"]).output().unwrap());
        for word in words {
            assert!(said.contains(word), "‘{word}’ is not in: {said}");
        }
        assert!(!folder.path().join("out").exists());
    };
    refused(&[], &small, &["small.png", "10", "12"]);
    refused(&[], &stack_mask, &["membranes-stack-mask.tif"]);
    refused(&[], &image, &["membranes.png", "mask"]);
    refused(&["--label-map", "0=liver"], &mask, &["--label-map", "liver", "membrane"]);
    refused(&["--label-map", "7=cell"], &mask, &["7=cell"]);
    refused(&["--slice", "5"], &mask, &["membranes.png", "slice 5"]);
}

#[test]
fn bad_models_epsilons_and_folders_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let image = sample("membranes.png");
    let said = |arguments: &[&str]| {
        complaint(&program(folder.path()).arg("sweep").arg(&image).args(arguments).output().unwrap())
    };
    // The weights of one network under the card of another.
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::copy(assets.join("valid.safetensors"), folder.path().join("other.safetensors")).unwrap();
    let card = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/membranes-unet.toml");
    std::fs::copy(card, folder.path().join("other.toml")).unwrap();
    let other = said(&["--model", "other.safetensors", "--out", "out"]);
    assert!(other.contains("other.safetensors") && other.contains("another network"), "{other}");
    std::fs::write(folder.path().join("text.safetensors"), "hello").unwrap();
    assert!(said(&["--model", "text.safetensors", "--out", "out"]).contains("text.safetensors: is no model"));
    assert!(said(&["--model", "none.safetensors", "--out", "out"]).contains("none.safetensors"));

    assert!(said(&["--epsilons", "0..1", "--out", "out"]).contains("0..0.9:0.1"));
    assert!(said(&["--epsilons", "3", "--out", "out"]).contains("4/255"));

    // A file where a folder should be; /proc takes no folders, whoever asks.
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(said(&["--out", "file"]).contains("file"));
    assert!(said(&["--out", "file/below"]).contains("file"));
    if cfg!(target_os = "linux") {
        assert!(said(&["--out", "/proc/epsiloscope"]).contains("/proc/epsiloscope"));
    }
    assert!(!folder.path().join("out").exists());
    let mut left = names(folder.path());
    left.retain(|n| !["file", "other.safetensors", "other.toml", "text.safetensors"].contains(&n.as_str()));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_image_in_colour_on_a_grey_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8, y as u8, 9]))
        .save(folder.path().join("rgb.png"))
        .unwrap();
    let said = complaint(&program(folder.path()).args(["sweep", "rgb.png", "--out", "out"]).output().unwrap());
    assert!(said.contains("rgb.png") && said.contains("3 channels"), "{said}");
}

#[test]
fn lists_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let attacks = text(&program(folder.path()).arg("attacks").output().unwrap().stdout);
    assert!(attacks.contains("fgsm\n") && attacks.contains("source: Goodfellow"), "{attacks}");
    let devices = program(folder.path()).arg("devices").output().unwrap();
    assert!(devices.status.success());
    let devices = text(&devices.stdout);
    assert!(devices.lines().any(|line| line.contains("CPU") && line.contains("--device")), "{devices}");
    let usage = program(folder.path()).args(["sweep", "a.png", "--attack", "magic", "--out", "b"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(text(&usage.stderr).contains("fgsm"));
}

#[test]
fn a_sweep_tells_sizes_in_the_unit_of_the_attack() {
    let folder = tempfile::tempdir().unwrap();
    let image = sample("membranes.png");
    let sweep = |arguments: &[&str]| {
        let mut command = program(folder.path());
        command.arg("sweep").arg(&image).args(["--device", "cpu", "--out", "out"]).args(arguments);
        command.output().unwrap()
    };
    let said = |arguments: &[&str]| {
        let output = sweep(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let report = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
        (text(&output.stdout), report)
    };
    let (words, report) = said(&["--attack", "stadv", "--set", "steps=12"]);
    assert!(words.contains("stAdv") && !words.contains("at ε"), "{words}");
    assert!(!words.contains("breaks it") || words.contains("by moving pixels by up to"), "{words}");
    assert!(report.contains("px") && !report.contains("Smallest ε that breaks it"));
    let (words, _) = said(&["--attack", "deepfool", "--set", "steps=12"]);
    assert!(
        words.contains("breaks it with an L2 norm of") && words.contains("random signs of the same L2 norm"),
        "{words}"
    );
    // Of an L2 norm the default grid is that of L∞ times √(number of values), and ε may be above 1.
    said(&["--attack", "pgd", "--set", "norm=l2,steps=1,step=1"]);
    let largest = |folder: &Path| {
        let mut reader = csv::Reader::from_path(folder.join("out/curve.csv")).unwrap();
        let at = reader.headers().unwrap().iter().position(|c| c == "epsilon").unwrap();
        reader.records().map(|r| r.unwrap()[at].parse::<f64>().unwrap()).fold(0.0, f64::max)
    };
    assert!((largest(folder.path()) - 32.0 / 255.0 * 256.0).abs() < 1e-6, "256² values");
    said(&["--attack", "pgd", "--set", "norm=l2,steps=1,step=1", "--epsilons", "2,3.5"]);
    assert_eq!(largest(folder.path()), 3.5);
    let refused = complaint(&sweep(&["--attack", "pgd", "--set", "norm=l2", "--epsilons", "300"]));
    assert!(refused.contains("300 is beyond 256"), "{refused}");
    assert!(complaint(&sweep(&["--attack", "fgsm", "--epsilons", "2"])).contains("outside [0, 1]"));
}
