//! A batch that is cut off: its rows are there, it goes on after them, and never with rows of something else.

use crate::command_line::{complaint, program, text};
use crate::fixture::path;
use crate::onnx_file::Model as File;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::data::{read_npy, write_npy};
use epsiloscope::model::{open, predict};
use epsiloscope::study::campaign::Fingerprint;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Three images of 16 × 16 and three of 16 × 24, in turn, so that each row is attacked by itself.
fn cases(folder: &Path) {
    let mut table = "input,label,epsilon\n".to_owned();
    for i in 0..6 {
        let width = [16, 24][i % 2];
        let values: Vec<f32> = (0..3 * 16 * width).map(|v| ((v * 37 + 11 * i) % 101) as f32 / 101.0).collect();
        write_npy(&folder.join(format!("x{i}.npy")), &[3, 16, width], &values).unwrap();
        table += &format!("x{i}.npy,{},0.05\n", i % 2);
    }
    std::fs::write(folder.join("cases.csv"), table).unwrap();
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["attack", "--batch", "cases.csv", "--out", "t.csv", "--device", "cpu", "--model"]);
    command.arg(path("mateuszbuda.pth")).args(arguments);
    command
}

fn batch(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// The cells of all rows but the seconds.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let row = |row: csv::StringRecord| {
        row.iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, cell)| cell.to_owned()).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn a_batch_that_was_cut_off_goes_on_after_its_rows() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    cases(folder);
    let table = folder.join("t.csv");
    let bim = ["--attack", "bim", "--set", "steps=3", "--save", "kept"];
    let again = [&bim[..], &["--resume"]].concat();
    // With nothing to go on with it begins.
    let output = batch(folder, &again);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let whole = std::fs::read_to_string(&table).unwrap();
    assert_eq!(rows(&whole).len(), 6);
    let array = |i: usize| std::fs::read(folder.join(format!("kept/{i}.npy"))).unwrap();
    let arrays: Vec<Vec<u8>> = (0..6).map(array).collect();
    // Cut off within its fourth row, before the array of the fifth.
    let three: usize = whole.split_inclusive('\n').take(4).map(str::len).sum();
    std::fs::write(&table, &whole[..three + 9]).unwrap();
    std::fs::remove_file(folder.join("kept/4.npy")).unwrap();
    let output = batch(folder, &again);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("3 of 6 rows are there already"), "{said}");
    let found = std::fs::read_to_string(&table).unwrap();
    assert_eq!(found[..three], whole[..three], "rows that were there stay, their seconds too");
    assert_eq!(rows(&found), rows(&whole));
    assert_eq!((0..6).map(array).collect::<Vec<_>>(), arrays);
    // A row whose array is gone is attacked again, and stands in its place.
    std::fs::remove_file(folder.join("kept/1.npy")).unwrap();
    let output = batch(folder, &again);
    assert!(text(&output.stderr).contains("5 of 6 rows"), "{}", text(&output.stderr));
    assert_eq!(rows(&std::fs::read_to_string(&table).unwrap()), rows(&whole));
    assert_eq!(array(1), arrays[1]);
    // As is one whose array was overwritten by another batch.
    std::fs::write(folder.join("kept/2.npy"), &arrays[4]).unwrap();
    let output = batch(folder, &again);
    assert!(text(&output.stderr).contains("5 of 6 rows"), "{}", text(&output.stderr));
    assert_eq!(array(2), arrays[2]);
    // What is counted at the end is of all rows.
    let one = |output: Output| text(&output.stdout).lines().last().unwrap_or("").to_owned();
    assert_eq!(one(output), one(batch(folder, &again)));
    // Rows of something else are not mixed with these, and stay.
    let kept = std::fs::read_to_string(&table).unwrap();
    for (arguments, cause) in [
        (&["--attack", "bim", "--set", "steps=4", "--resume"][..], "steps=3"),
        (&["--attack", "bim", "--set", "steps=3", "--mask-share", "0.25", "--resume"], "mask-share=0.25"),
    ] {
        let said = complaint(&batch(folder, arguments));
        assert!(said.contains("row 0 of t.csv was attacked by bim") && said.contains(cause), "{said}");
        assert!(said.contains("another --out"), "{said}");
    }
    let list = std::fs::read_to_string(folder.join("cases.csv")).unwrap();
    let short: Vec<&str> = list.lines().take(6).collect();
    std::fs::write(folder.join("cases.csv"), short.join("\n")).unwrap();
    let said = complaint(&batch(folder, &again));
    assert!(said.contains("t.csv has a row 5, and the table of cases has 5"), "{said}");
    std::fs::write(folder.join("cases.csv"), list.replace("x2.npy,0,0.05", "x2.npy,0,0.06")).unwrap();
    let said = complaint(&batch(folder, &again));
    assert!(said.contains("row 2 of t.csv is of another case"), "{said}");
    assert_eq!(std::fs::read_to_string(&table).unwrap(), kept);
    std::fs::write(folder.join("cases.csv"), &list).unwrap();
    // A batch that comes to nothing leaves what is there.
    let said = complaint(&batch(folder, &["--attack", "stadv"]));
    assert!(said.contains("moves pixels"), "{said}");
    assert_eq!(std::fs::read_to_string(&table).unwrap(), kept);
    // Rows of another device or another version do not stand beside those of this one.
    let record = csv::Reader::from_reader(kept.as_bytes()).records().next().unwrap().unwrap();
    let [device, version] = [12, 13].map(|column| record[column].to_owned());
    assert!(device.contains("CPU") && version == env!("CARGO_PKG_VERSION"), "{device}, {version}");
    for (there, other, cause) in [
        (device, "a GPU", "was computed on a GPU, and this is CPU"),
        (format!(",{version},"), ",0.0.1,", "was made by version 0.0.1, and this is "),
    ] {
        let others = kept.replace(&there, other);
        std::fs::write(&table, &others).unwrap();
        let said = complaint(&batch(folder, &again));
        assert!(said.contains("row 0 of t.csv") && said.contains(cause), "{said}");
        assert_eq!(std::fs::read_to_string(&table).unwrap(), others);
    }
    // Another table is nobody's to go on with.
    std::fs::write(&table, "a,b\n1,2\n").unwrap();
    assert!(complaint(&batch(folder, &again)).contains("is another table"));
    assert_eq!(std::fs::read_to_string(&table).unwrap(), "a,b\n1,2\n");
}

#[test]
fn a_row_of_something_else_is_refused_before_any_is_attacked() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    cases(folder);
    let table = folder.join("t.csv");
    assert!(batch(folder, &["--attack", "fgsm"]).status.success());
    // The last row alone, of another ε than the table of cases has by now.
    let whole = std::fs::read_to_string(&table).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let last = [lines[0], lines[6]].concat();
    std::fs::write(&table, &last).unwrap();
    let list = std::fs::read_to_string(folder.join("cases.csv")).unwrap();
    std::fs::write(folder.join("cases.csv"), list.replace("x5.npy,1,0.05", "x5.npy,1,0.06")).unwrap();
    let said = complaint(&batch(folder, &["--attack", "fgsm", "--resume"]));
    assert!(said.contains("row 5 of t.csv is of another case"), "{said}");
    assert_eq!(std::fs::read_to_string(&table).unwrap(), last, "nothing is added to it");
}

#[test]
fn a_batch_writes_over_nothing_that_it_reads() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for (name, planes, value) in [("1.npy", 1, 1.0), ("y.npy", 1, 1.0), ("least.npy", 3, 0.0), ("most.npy", 3, 1.0)] {
        let axes = [planes, 16, 16];
        write_npy(&folder.join(name), &axes[usize::from(planes == 1)..], &vec![value; planes * 256]).unwrap();
    }
    let image: Vec<f32> = (0..768).map(|v| ((v * 37) % 101) as f32 / 101.0).collect();
    write_npy(&folder.join("x.npy"), &[3, 16, 16], &image).unwrap();
    write_npy(&folder.join("0.npy"), &[3, 16, 16], &image).unwrap();
    std::fs::copy(path("mateuszbuda.pth"), folder.join("net.pth")).unwrap();
    std::fs::create_dir(folder.join("below")).unwrap();
    let run = |input: &str, label: &str, arguments: &[&str]| {
        let table = format!(
            "input,label,epsilon,lower,upper\n{input},class:0,0.05,,\n{input},{label},0.05,least.npy,most.npy\n"
        );
        std::fs::write(folder.join("cases.csv"), table).unwrap();
        let mut command = program(folder);
        command.args(["attack", "--batch", "cases.csv", "--attack", "fgsm", "--device", "cpu", "--model", "net.pth"]);
        command.args(arguments).output().unwrap()
    };
    let files = || {
        let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        all.sort();
        all.into_iter()
            .filter(|path| path.is_file())
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .collect::<Vec<_>>()
    };
    for (input, label, arguments, [option, file]) in [
        ("0.npy", "y.npy", &["--out", "t.csv", "--save", "."][..], ["--save", "0.npy"]),
        ("0.npy", "y.npy", &["--save", "below/.."], ["--save", "0.npy"]),
        ("x.npy", "1.npy", &["--save", "."], ["--save", "1.npy"]),
        ("x.npy", "y.npy", &["--out", "x.npy"], ["--out", "x.npy"]),
        ("x.npy", "y.npy", &["--out", "below/../y.npy"], ["--out", "y.npy"]),
        ("x.npy", "y.npy", &["--out", "cases.csv"], ["--out", "cases.csv"]),
        ("x.npy", "y.npy", &["--out", "most.npy"], ["--out", "most.npy"]),
        ("x.npy", "y.npy", &["--out", "net.pth"], ["--out", "net.pth"]),
    ] {
        run(input, label, &["--out", "none/t.csv"]);
        let before = files();
        let said = complaint(&run(input, label, arguments));
        let named = said.contains(&format!("{option}: ")) && said.contains(file);
        assert!(named && said.contains("would be overwritten"), "{said}");
        assert!(files() == before, "{option} {file}: nothing has changed");
    }
    // The same names in another folder are others.
    let output = run("0.npy", "1.npy", &["--out", "below/cases.csv", "--save", "below"]);
    assert!(output.status.success() && folder.join("below/1.npy").is_file(), "{}", text(&output.stderr));
}

#[test]
fn weights_in_another_file_are_part_of_the_model() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let values: Vec<f32> = (0..3 * 256).map(|v| ((v * 37) % 101) as f32 / 101.0).collect();
    write_npy(&folder.join("x.npy"), &[3, 16, 16], &values).unwrap();
    std::fs::write(folder.join("cases.csv"), "input,label,epsilon\nx.npy,class:0,0.05\n").unwrap();
    let file = File::new(17).input("x", &[1, 3, 16, 16]).external("w", &[2, 3, 1, 1], "net.bin", 0);
    let file = file.node("Conv", &["x", "w"], &["c"]).node("GlobalAveragePool", &["c"], &["p"]);
    std::fs::write(folder.join("net.onnx"), file.node("Flatten", &["p"], &["y"]).output("y").bytes()).unwrap();
    let weights = |scale: f32| {
        let values = [0.3f32, -0.2, 0.5, -0.4, 0.1, 0.6].map(|v| (v * scale).to_le_bytes());
        std::fs::write(folder.join("net.bin"), values.concat()).unwrap();
    };
    let run = || {
        let mut command = program(folder);
        command.args(["attack", "--batch", "cases.csv", "--out", "t.csv", "--device", "cpu", "--model", "net.onnx"]);
        command.args(["--attack", "fgsm", "--resume"]).output().unwrap()
    };
    weights(1.0);
    for there in [false, true] {
        let output = run();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains("1 of 1 rows are there already") == there, "{said}");
    }
    weights(-1.0);
    let said = complaint(&run());
    assert!(said.contains("row 0 of t.csv") && said.contains("another --out"), "{said}");
    // And of what a campaign takes for another model.
    let print = || Fingerprint::of_model(open(&folder.join("net.onnx"), &Device::flex()).unwrap().as_ref()).unwrap();
    let before = print();
    assert_eq!(before, print());
    weights(1.0);
    assert_ne!(before, print());
}

#[test]
fn rows_of_raw_numbers_do_not_depend_on_where_the_batch_was_cut_off() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let mut table = "input,label,epsilon\n".to_owned();
    for i in 0..4 {
        // The first has the widest range.
        let scale = if i == 0 { 1.0 / 70.0 } else { 1.0 / 101.0 };
        let values: Vec<f32> = (0..3 * 16 * 16).map(|v| ((v * 37 + 11 * i) % 101) as f32 * scale).collect();
        write_npy(&folder.join(format!("x{i}.npy")), &[3, 16, 16], &values).unwrap();
        table += &format!("x{i}.npy,{},0.05\n", i % 2);
    }
    std::fs::write(folder.join("cases.csv"), table).unwrap();
    let pgd = ["--attack", "pgd", "--set", "steps=2", "--mask-share", "1", "--raw", "--save", "kept"];
    assert!(batch(folder, &pgd).status.success());
    let array = |i: usize| std::fs::read(folder.join(format!("kept/{i}.npy"))).unwrap();
    let arrays: Vec<Vec<u8>> = (0..4).map(array).collect();
    let whole = std::fs::read_to_string(folder.join("t.csv")).unwrap();
    let one: String = whole.split_inclusive('\n').take(2).collect();
    std::fs::write(folder.join("t.csv"), one).unwrap();
    let output = batch(folder, &[&pgd[..], &["--resume"]].concat());
    assert!(text(&output.stderr).contains("1 of 4 rows are there already"), "{}", text(&output.stderr));
    assert!((0..4).map(array).collect::<Vec<_>>() == arrays, "arrays are those of a batch that ran through");
    assert_eq!(rows(&std::fs::read_to_string(folder.join("t.csv")).unwrap()), rows(&whole));
}

#[test]
fn rows_are_there_while_the_batch_still_runs() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    cases(folder);
    // More than half of the first is wrong before the attack, less of the second, which takes all of its steps.
    std::fs::write(folder.join("cases.csv"), "input,label,epsilon\nx0.npy,0,1e-6\nx1.npy,1,1e-6\n").unwrap();
    let mut child = command(folder, &["--attack", "pgd", "--set", "steps=100000", "--save", "kept"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let table = || std::fs::read_to_string(folder.join("t.csv")).unwrap_or_default();
    while table().lines().count() < 2 && start.elapsed() < Duration::from_secs(120) {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    let found = rows(&table());
    assert!(running && found.len() == 1, "{found:?}");
    // Without the seconds: row, success, and that it was wrong before.
    assert_eq!([&found[0][0], &found[0][1], &found[0][7]], ["0", "1", "1"]);
    assert!(folder.join("kept/0.npy").is_file());
}

#[test]
fn what_of_a_mask_is_a_success_can_be_said() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    cases(folder);
    let model = open(&path("mateuszbuda.pth"), &Device::flex()).unwrap();
    let succeeded = |share: &str| {
        let output = batch(folder, &["--attack", "fgsm", "--mask-share", share, "--save", "kept"]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let table = std::fs::read_to_string(folder.join("t.csv")).unwrap();
        let share: f64 = share.parse().unwrap();
        assert!(said.contains(&format!("at least {} % of the pixels", 100.0 * share)), "{said}");
        let found = rows(&table);
        // Counted again, in what was kept.
        for (i, row) in found.iter().enumerate() {
            let kept = read_npy(&folder.join(format!("kept/{i}.npy"))).unwrap();
            let shape = [1, 3, 16, [16, 24][i % 2]];
            let kept = Tensor::<4>::from_data(TensorData::new(kept.values, shape), &Device::flex());
            let classes = predict(model.as_ref(), kept).unwrap().predicted.classes;
            let wrong = classes.iter().filter(|&&class| usize::from(class) != i % 2).count();
            let expected = wrong as f64 >= share * classes.len() as f64;
            assert_eq!(row[1], if expected { "1" } else { "0" }, "row {i}: {wrong} of {}", classes.len());
        }
        found.iter().filter(|row| row[1] == "1").count()
    };
    // Between a third and two thirds are wrong before.
    let counts = ["0.0001", "0.5", "1"].map(succeeded);
    println!("{counts:?} succeed");
    assert!(counts[0] == 6 && (1..6).contains(&counts[1]) && counts[2] <= counts[1], "{counts:?}");
    for bad in ["0", "1.5", "half"] {
        let output = batch(folder, &["--attack", "fgsm", "--mask-share", bad]);
        assert!(!output.status.success() && text(&output.stderr).contains("above 0 and up to 1"), "{bad}");
    }
    // Nor as a parameter of an attack, here and anywhere else.
    for attack in ["deepfool", "carlini-wagner"] {
        let said = complaint(&batch(folder, &["--attack", attack, "--set", "share=0"]));
        assert!(said.contains("share = 0 is not a number from 0.000001 to 1"), "{said}");
    }
}

#[test]
fn a_mask_of_which_nothing_counts_is_refused_with_its_file_and_row() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    cases(folder);
    write_npy(&folder.join("left-out.npy"), &[16, 16], &[255.0; 256]).unwrap();
    let grey = image::GrayImage::from_pixel(16, 16, image::Luma([7]));
    grey.save(folder.join("left-out.png")).unwrap();
    for (label, map) in [("left-out.npy", &[][..]), ("left-out.png", &["--label-map", "7=ignore"])] {
        let table = format!("input,label,epsilon\nx0.npy,0,0.05\nx2.npy,{label},0.05\n");
        std::fs::write(folder.join("cases.csv"), table).unwrap();
        let said = complaint(&batch(folder, &[&["--attack", "fgsm"], map].concat()));
        assert!(
            said.contains("row 1") && said.contains(label) && said.contains("no pixel of the mask counts"),
            "{said}"
        );
        assert!(!folder.join("t.csv").exists(), "before anything is attacked");
    }
}
