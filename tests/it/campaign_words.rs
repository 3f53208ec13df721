//! What a campaign says at its end and in its page: each attack beside its own control, on an axis of its own norm.

use crate::campaigns::{folder, plan};
use crate::command_line::{complaint, program, sample, text};
use burn::tensor::Device;
use epsiloscope::attack::Attack;
use epsiloscope::study::campaign::{Summary, Table, campaign_html, run};
use epsiloscope::study::report::{Provenance, epsilon};
use std::path::Path;

/// Crops of the sample, `count` of them, without masks.
fn crops(path: &Path, count: u32) {
    std::fs::create_dir_all(path).unwrap();
    let whole = image::open(sample("membranes.png")).unwrap().into_luma8();
    for i in 0..count {
        let crop = image::imageops::crop_imm(&whole, 40 * i, 30 + 20 * i, 32, 32).to_image();
        crop.save(path.join(format!("crop-{i}.png"))).unwrap();
    }
}

#[test]
fn attacks_of_two_norms_have_their_own_epsilons_and_controls() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let mut plan = plan(&images, &Device::flex());
    plan.models.truncate(1);
    plan.attacks = vec![Attack::FGSM, Attack::parse("pgd", &["norm=l2", "steps=4"]).unwrap()];
    (plan.seeds, plan.relative) = (vec![0], true);
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let rows = table.rows();
    for row in &rows {
        // 12² values.
        let unit = if row.get("norm") == "l2" { 12.0 } else { 1.0 };
        let (epsilon, grid) = (row.number("epsilon").unwrap(), row.number("grid").unwrap());
        assert!((epsilon - unit * grid).abs() < 1e-12 && [0.02, 0.1].contains(&grid), "{epsilon}, {grid}");
        let l2 = row.number("l2").unwrap();
        assert!(row.get("norm") != "l2" || (l2 <= epsilon + 1e-6 && l2 > 0.5 * epsilon), "{l2} of {epsilon}");
    }
    let summary = Summary::new(&rows);
    let data = summary.names(|c| &c.data).remove(0);
    let along = summary.along(&data, "cnn");
    let [linf, l2] = along.as_slice() else { panic!("two norms") };
    assert_eq!((linf.epsilons(), linf.norm, l2.norm), (vec![0.02, 0.1], "linf", "l2"));
    assert!(l2.epsilons().iter().zip([0.24, 1.2]).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", l2.epsilons());
    assert_eq!(linf.attacks[0].control_name(), "random signs, ε");
    assert_eq!(l2.attacks[0].control_name(), "random signs, L2");
    let page = campaign_html(&summary, None, &Provenance::default(), "the decision is wrong", "P(true class)");
    assert_eq!(page.matches("<svg class=\"fig\"").count(), 2, "a figure for each norm");
    assert!(page.contains("Share fooled: cnn") && page.contains("ε of L2") && page.contains("1.2 (L2)"));
    // Of equals the smallest leads, wherever it stands, and the others are named.
    let page = |broken: f64| {
        let mut equal = summary.clone();
        equal.cells.reverse();
        equal.cells.iter_mut().for_each(|c| c.broken = broken);
        campaign_html(&equal, None, &Provenance::default(), "the decision is wrong", "P(true class)")
    };
    let tied = page(0.5);
    let lead = tied.split("The most is broken by ").nth(1).unwrap().split("To fail").next().unwrap();
    assert!(lead.starts_with("FGSM on cnn: 50.0 %"), "{lead}");
    assert!(lead.contains(&format!("at ε = {};", epsilon::short(0.02))), "{lead}");
    let others = lead.split("As many are broken by ").nth(1).unwrap();
    assert!(others.contains("itself at larger ε") && others.contains("PGD (") && others.contains("norm=l2"), "{lead}");
    let none = page(0.0);
    assert!(none.contains("Nothing is broken: of the ") && !none.contains("The most is broken"));
}

#[test]
fn the_console_has_a_line_of_noise_for_each_attack() {
    let temporary = tempfile::tempdir().unwrap();
    crops(&temporary.path().join("images"), 2);
    let sweep = |arguments: &[&str]| {
        let mut command = program(temporary.path());
        command.args(["sweep", "images", "--device", "cpu", "--out", "out"]).args(arguments).output().unwrap()
    };
    let several = ["--attack", "fgsm,pgd,deepfool", "--set", "pgd.norm=l2,pgd.steps=2,deepfool.steps=2"];
    let output = sweep(&several);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let after = |name: &str| {
        let at = lines.iter().position(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {said}"));
        lines[at + 1..].iter().find(|line| line.starts_with("  ") && line.contains("random")).copied().unwrap_or("")
    };
    assert!(after("fgsm").starts_with("  random signs, ε") && after("pgd").starts_with("  random signs, L2"), "{said}");
    assert!(after("deepfool").starts_with("  random signs, L2"), "{said}");
    // FGSM is one step itself, and DeepFool repeats none.
    let one_step: Vec<&&str> = lines.iter().filter(|l| l.starts_with("  one step")).collect();
    assert!(one_step.len() == 1 && one_step[0].starts_with("  one step, pgd") && !one_step[0].contains('–'), "{said}");
    assert!(lines.iter().any(|l| l.starts_with("note: DeepFool repeats no single step")), "{said}");
    // 32² values: the grid of L2 is 32 times that of L∞.
    assert!(lines.iter().any(|l| l.starts_with("ε, L∞") && l.contains("32/255")), "{said}");
    assert!(lines.iter().any(|l| l.starts_with("ε, L2") && l.contains("4.02")), "{said}");
    let asked = [&several[..], &["--epsilons", "0.1,2"]].concat();
    let refused = complaint(&sweep(&asked));
    assert!(refused.contains("2 is beyond 1") && refused.contains("FGSM"), "{refused}");
}

#[test]
fn a_batch_refuses_an_epsilon_beyond_the_bounds_width() {
    let temporary = tempfile::tempdir().unwrap();
    crops(temporary.path(), 1);
    std::fs::write(temporary.path().join("cases.csv"), "input,label,epsilon\ncrop-0.png,class:0,1.5\n").unwrap();
    let batch = |attack: &[&str]| {
        let mut command = program(temporary.path());
        command.args(["attack", "--batch", "cases.csv", "--device", "cpu", "--model"]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/membranes-unet.safetensors"));
        command.args(attack).output().unwrap()
    };
    let said = complaint(&batch(&["--attack", "fgsm"]));
    assert!(said.contains("1.5 is beyond 1") && said.contains("row 0"), "{said}");
    let output = batch(&["--attack", "pgd", "--set", "norm=l2", "--set", "steps=2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn images_of_one_file_that_have_classes_are_drawn_by_themselves() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    std::fs::create_dir_all(&images).unwrap();
    let attacks = crate::toys::Attacks::open();
    let head = |kind: u8, axes: &[u32]| {
        let axes = axes.iter().flat_map(|n| n.to_be_bytes());
        [0, 0, 8, kind].into_iter().chain(axes).collect::<Vec<u8>>()
    };
    let pixels = attacks.values("x")[..8 * 144].iter().map(|v| (v * 255.0).round() as u8);
    let labels = attacks.labels(8).into_iter().map(|label| label as u8);
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(images.join(name), bytes).unwrap();
    write("t10k-images-idx3-ubyte", head(3, &[8, 12, 12]).into_iter().chain(pixels).collect());
    write("t10k-labels-idx1-ubyte", head(1, &[8]).into_iter().chain(labels).collect());
    let mut plan = plan(&images, &Device::flex());
    (plan.attacks, plan.seeds) = (vec![Attack::FGSM], vec![0]);
    plan.models.truncate(1);
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let summary = Summary::new(&table.rows());
    let cell = &summary.cells[0];
    assert_eq!((cell.results, cell.units), (8, cell.passing));
    assert!(cell.passing > 1 && cell.fooled_interval.is_some());
}

#[test]
fn images_with_no_gradient_at_all_are_counted() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let device = Device::flex();
    let mut plan = plan(&images, &device);
    let flat = crate::toys::Plain::classes(vec![vec![0.0]; 4], vec![0.1, 0.9, -0.1, 0.0], &device);
    plan.models.truncate(1);
    plan.models[0].model = std::sync::Arc::new(flat);
    (plan.attacks, plan.seeds) = (vec![Attack::FGSM], vec![0]);
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let summary = Summary::new(&table.rows());
    assert_eq!(summary.cells[0].blind, 8);
    assert!(summary.notes.iter().any(|n| n.contains("zero everywhere for 8 of 8")), "{:?}", summary.notes);
}

#[test]
fn of_one_image_the_page_says_why_shares_have_no_interval() {
    let temporary = tempfile::tempdir().unwrap();
    for (count, expected) in [(1, true), (2, false)] {
        let folder = temporary.path().join(count.to_string());
        crops(&folder.join("images"), count);
        let mut command = program(&folder);
        command.args([
            "sweep",
            "images",
            "--device",
            "cpu",
            "--out",
            "out",
            "--attack",
            "fgsm,bim",
            "--set",
            "bim.steps=2",
        ]);
        let output = command.output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
        let page = std::fs::read_to_string(folder.join("out/campaign.html")).unwrap();
        let why = "all that pass are of one patient, volume or image";
        assert_eq!(page.contains("Shares have no interval: all that pass"), expected, "{count}");
        assert_eq!(page.contains(&format!("Without an interval: {why}")), expected, "{count}");
        assert_eq!(said.contains(&format!("without intervals: {why}")), expected, "{said}");
        let (one, all) = (["1 of 1 clean image passes", "The image has no label"], "2 of 2 clean images pass,");
        assert_eq!(one.iter().all(|part| said.contains(part)), expected, "{said}");
        assert_eq!(said.contains(all) && said.contains("The images have no label"), !expected, "{said}");
        assert_eq!(page.contains("the 1 clean image that passes"), expected);
    }
}

#[test]
fn what_models_were_made_for_is_said_once_by_their_own_names() {
    let temporary = tempfile::tempdir().unwrap();
    crops(&temporary.path().join("images"), 1);
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    for ending in ["safetensors", "toml"] {
        let copied = temporary.path().join(format!("x.{ending}"));
        std::fs::copy(assets.join(format!("membranes-unet.{ending}")), copied).unwrap();
    }
    let bundled = assets.join("membranes-unet.safetensors");
    let mut command = program(temporary.path());
    command.args(["sweep", "images", "--attack", "fgsm", "--epsilons", "2/255", "--device", "cpu", "--out", "out"]);
    let output = command.args(["--model", "x.safetensors", "--model"]).arg(bundled).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let notes: Vec<&str> = said.lines().filter(|line| line.contains("made for")).collect();
    assert!(notes.len() == 1 && notes[0].contains("x and membranes-unet were made for"), "{said}");
}
