//! The cells of a campaign, recomputed here from the image files and the models' logits alone: the signs of a seed, the step of
//! FGSM, what is fooled, and the intervals of that.

use crate::campaigns::{cnn, folder, plan};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::Attack;
use epsiloscope::model::{Logits, Model};
use epsiloscope::study::campaign::{
    CampaignPlan, Cell, OneStep, Row, Summary, Table, Wish, campaign_html, run, share_interval, summary_csv,
};
use epsiloscope::study::report::{Criterion, Provenance};
use epsiloscope::tensor::to_host;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

const SIZE: usize = 144;

/// Images of a folder for each class, in the order of their names: name, values in [0, 1], class.
pub fn images(path: &Path) -> Vec<(String, Vec<f32>, usize)> {
    let mut all = Vec::new();
    for class in 0..4 {
        let Ok(files) = std::fs::read_dir(path.join(format!("class {class}"))) else { continue };
        for file in files.map(|file| file.unwrap().path()) {
            let grey = image::open(&file).unwrap().into_luma8();
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            all.push((name, grey.pixels().map(|p| f32::from(p.0[0]) * (1.0 / 255.0)).collect(), class));
        }
    }
    all
}

fn tensor(values: &[f32]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 12, 12]), &Device::flex())
}

/// P(class) and whether another class is chosen.
pub fn judged(model: &dyn Model, x: &[f32], class: usize) -> (f64, bool) {
    let Logits::Class(z) = model.logits(tensor(x)).unwrap() else { panic!("a map") };
    let z: Vec<f64> = to_host(z).unwrap().iter().map(|&z| f64::from(z)).collect();
    let sum: f64 = z.iter().map(|v| (v - z[class]).exp()).sum();
    (1.0 / sum, z.iter().enumerate().any(|(k, v)| k != class && *v > z[class]))
}

/// Signs from ChaCha8 of `seed`, of the stream that belongs to the image: a hash of its values.
pub fn signs(x: &[f32], seed: u64) -> Vec<f32> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    x.iter().for_each(|v| hash = (hash ^ u64::from(v.to_bits())).wrapping_mul(0x0100_0000_01b3));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream((hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x.iter().map(|_| if random.random::<bool>() { 1.0 } else { -1.0 }).collect()
}

/// The sign of the gradient of the cross-entropy by what a small step in each pixel changes.
fn gradient_signs(model: &dyn Model, x: &[f32], class: usize) -> Vec<f32> {
    let step = 1e-3;
    let at = |i: usize, by: f32| {
        let mut moved = x.to_vec();
        moved[i] += by;
        let Logits::Class(z) = model.logits(tensor(&moved)).unwrap() else { panic!("a map") };
        let z: Vec<f64> = to_host(z).unwrap().iter().map(|&z| f64::from(z)).collect();
        z.iter().map(|v| (v - z[class]).exp()).sum::<f64>().ln()
    };
    (0..SIZE).map(|i| (at(i, step) - at(i, -step)) as f32).map(|d| if d == 0.0 { 0.0 } else { d.signum() }).collect()
}

fn moved(x: &[f32], direction: &[f32], epsilon: f32, inside: &dyn Fn(usize) -> bool) -> Vec<f32> {
    let step = |(i, (&x, &d)): (usize, (&f32, &f32))| if inside(i) { (x + epsilon * d).clamp(0.0, 1.0) } else { x };
    x.iter().zip(direction).enumerate().map(step).collect()
}

fn measured(temporary: &Path, change: impl FnOnce(&mut CampaignPlan)) -> (CampaignPlan, Table) {
    let mut plan = plan(&temporary.join("images"), &Device::flex());
    change(&mut plan);
    let mut table = Table::open(&temporary.join("rows.csv")).unwrap();
    assert!(run(&plan, &mut table, |_, _| ()).unwrap().is_empty());
    (plan, table)
}

/// Rows and cells of FGSM on the network, white box, at `epsilon`, against this file's own FGSM and signs of seed 0.
fn compare(plan: &CampaignPlan, table: &Table, path: &Path, epsilon: f64, inside: &dyn Fn(usize) -> bool) {
    let model = cnn(&Device::flex());
    let rows: Vec<&Row> = table.rows().into_iter().filter(|r| r.number("epsilon") == Some(epsilon)).collect();
    let is = |row: &Row, attack: &str| {
        row.get("attack") == attack && row.get("made_on") == "cnn" && row.get("judged_on") == "cnn"
    };
    let (mut fooled, mut noise_fooled, mut broken, mut passing) = (0, 0, 0, 0);
    let (mut score, mut noise_score) = (0.0, 0.0);
    let images = images(path);
    for (name, x, class) in &images {
        let attacked = judged(
            model.as_ref(),
            &moved(x, &gradient_signs(model.as_ref(), x, *class), epsilon as f32, inside),
            *class,
        );
        let of = |seed: u64| judged(model.as_ref(), &moved(x, &signs(x, seed), epsilon as f32, inside), *class);
        let noise = of(0);
        let row = rows.iter().find(|r| is(r, "fgsm") && r.get("image").contains(name.as_str())).unwrap();
        let near = |column: &str, value: f64| {
            let found = row.number(column).unwrap();
            assert!((found - value).abs() < 2e-3, "{name}: {column} {found}, recomputed {value}");
        };
        near("score", attacked.0);
        assert!((row.number("control_score").unwrap() - noise.0).abs() < 1e-5, "{name}: the control of FGSM");
        let clean = judged(model.as_ref(), x, *class);
        near("clean_score", clean.0);
        for (column, value) in [("fails", attacked.1), ("control_fails", noise.1), ("clean_passes", !clean.1)] {
            assert_eq!(row.get(column), u8::from(value).to_string(), "{name}: {column}");
        }
        // The control of a row of PGD is of its seed.
        for seed in &plan.seeds {
            let of_seed =
                |r: &&&Row| is(r, "pgd") && r.get("image").contains(name.as_str()) && r.get("seed") == seed.to_string();
            let Some(row) = rows.iter().find(of_seed) else { continue };
            let found = row.number("control_score").unwrap();
            assert!((found - of(*seed).0).abs() < 1e-5, "{name}, seed {seed}: {found}, recomputed {}", of(*seed).0);
        }
        score += attacked.0 / images.len() as f64;
        noise_score += noise.0 / images.len() as f64;
        if !clean.1 {
            passing += 1;
            fooled += usize::from(attacked.1);
            noise_fooled += usize::from(noise.1);
            broken += usize::from(attacked.1 && !noise.1);
        }
    }
    let summary = Summary::new(&table.rows());
    let cell =
        |c: &&Cell| c.attack == "fgsm" && c.made_on == "cnn" && c.judged_on == "cnn" && c.epsilon == Some(epsilon);
    let cell = summary.cells.iter().find(cell).unwrap();
    let share = |count: usize| count as f64 / passing as f64;
    println!("ε {epsilon}: {fooled} fooled, {noise_fooled} by signs, of {passing}; score {score:.4}, {noise_score:.4}");
    assert_eq!((cell.results, cell.passing, cell.units), (images.len(), passing, passing));
    assert!((cell.fooled, cell.control_fooled, cell.broken) == (share(fooled), share(noise_fooled), share(broken)));
    assert!((cell.score - score).abs() < 1e-3 && (cell.control_score - noise_score).abs() < 1e-5);
}

#[test]
fn cells_are_what_the_files_and_the_model_say() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let (plan, table) = measured(temporary.path(), |_| ());
    for epsilon in [0.02, 0.1] {
        compare(&plan, &table, &images, epsilon, &|_| true);
    }
}

#[test]
fn attack_and_control_stay_in_the_region() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let mask = temporary.path().join("mask.png");
    let inside = |i: usize| (2..9).contains(&(i % 12)) && (1..11).contains(&(i / 12));
    let mut grey = image::GrayImage::new(12, 12);
    grey.pixels_mut().enumerate().filter(|(i, _)| inside(*i)).for_each(|(_, p)| p.0 = [255]);
    grey.save(&mask).unwrap();
    let mut keys = Vec::new();
    for region in ["2,1,7,10".to_owned(), mask.display().to_string()] {
        let (plan, table) = measured(temporary.path(), |plan| {
            plan.region = Some(region.clone());
            plan.epsilons = vec![0.1];
            plan.models.truncate(1);
        });
        compare(&plan, &table, &images, 0.1, &inside);
        let row = table.rows()[0];
        keys.push(row.get("region").to_owned());
        assert!(row.get("region").starts_with(&region), "{}", row.get("region"));
    }
    assert_ne!(keys[0], keys[1], "each is a campaign of its own, in one table");
    let mut plan = plan(&images, &Device::flex());
    plan.region = Some("20,20,4,4".to_owned());
    let error = run(&plan, &mut Table::open(&temporary.path().join("other.csv")).unwrap(), |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("no pixel"), "{error}");
}

#[test]
fn intervals_are_over_patients_with_their_images_and_seeds() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let table = "file,patient\n".to_owned()
        + &(0..8).map(|i| format!("image-{i}.png,{}\n", ["anna", "bela", "cem"][i % 3])).collect::<String>();
    std::fs::write(images.join("index.csv"), table).unwrap();
    let (_, table) = measured(temporary.path(), |plan| {
        plan.attacks = vec![Attack::parse("pgd", &["steps=10"]).unwrap()];
        plan.models.truncate(1);
        plan.epsilons = vec![0.12];
    });
    let rows = table.rows();
    let summary = Summary::new(&rows);
    let [cell] = summary.cells.as_slice() else { panic!("one cell") };
    assert_eq!((cell.results, cell.units), (16, 3));
    let count = |patient: &str| {
        let of: Vec<&&Row> =
            rows.iter().filter(|r| r.get("group") == patient && r.get("clean_passes") == "1").collect();
        [of.iter().filter(|r| r.get("fails") == "1").count(), of.len()]
    };
    let units = ["anna", "bela", "cem"].map(count);
    println!("{units:?}: {:.3} in {:?}", cell.fooled, cell.fooled_interval);
    assert!(units.iter().all(|[_, of]| *of >= 2));
    // The order of patients is that of the table.
    let mut order: Vec<&str> = rows.iter().map(|r| r.get("group")).collect();
    let mut seen = std::collections::HashSet::new();
    order.retain(|group| seen.insert(*group));
    let expected: Vec<[usize; 2]> = order.iter().map(|patient| count(patient)).collect();
    assert_eq!(cell.fooled_interval, share_interval(&expected));
    let [lower, upper] = cell.fooled_interval.unwrap();
    assert!(lower <= cell.fooled && cell.fooled <= upper);
    let csv = summary_csv(&summary);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let record = reader.records().next().unwrap().unwrap();
    let number = |name: &str| record[header.iter().position(|c| c == name).unwrap()].parse::<f64>().unwrap();
    assert_eq!([number("units"), number("fooled_lower"), number("fooled_upper")], [3.0, lower, upper]);
}

#[test]
fn one_step_stands_beside_the_attacks_that_repeat_it() {
    let temporary = tempfile::tempdir().unwrap();
    folder(&temporary.path().join("images"));
    // FGSM is no attack of this campaign.
    let attacks = [("bim", "steps=3"), ("mi-fgsm", "steps=3"), ("deepfool", "steps=3"), ("random-sign", "")];
    let parsed = attacks.map(|(name, set)| Attack::parse(name, &set.split_whitespace().collect::<Vec<_>>()).unwrap());
    let (_, table) = measured(temporary.path(), |plan| {
        plan.attacks = parsed.to_vec();
        plan.wish = Wish::Nearest;
        plan.criterion = Criterion::Target(1.0);
    });
    let other = tempfile::tempdir().unwrap();
    folder(&other.path().join("images"));
    let (_, fgsm) = measured(other.path(), |plan| {
        plan.attacks = vec![Attack::FGSM];
        plan.wish = Wish::Nearest;
        plan.criterion = Criterion::Target(1.0);
    });
    let place = |r: &Row| ["image", "epsilon", "made_on", "judged_on"].map(|c| r.get(c).to_owned());
    for row in table.rows() {
        let cells = ["one_step", "one_step_fails", "one_step_score", "one_step_as_wished"].map(|c| row.get(c));
        let own = row.get("made_on") == row.get("judged_on");
        match row.get("attack") {
            "bim" | "mi-fgsm" if own => {
                let step = fgsm.rows().into_iter().find(|r| place(r) == place(row)).unwrap();
                assert_eq!(cells, ["fgsm", step.get("fails"), step.get("score"), step.get("as_wished")]);
            }
            "deepfool" => assert_eq!(cells, ["none", "", "", ""]),
            _ => assert_eq!(cells, [""; 4], "another judge, or no gradient"),
        }
    }
    let summary = Summary::new(&table.rows());
    let steps = Summary::new(&fgsm.rows());
    for cell in summary.cells.iter().filter(|c| c.made_on == c.judged_on) {
        let step = |c: &&Cell| c.made_on == cell.made_on && c.judged_on == cell.judged_on && c.epsilon == cell.epsilon;
        let of = steps.cells.iter().find(step);
        match (cell.attack.as_str(), &cell.one_step) {
            ("bim" | "mi-fgsm", OneStep::Known { name, fooled, score, wished }) => {
                let of = of.unwrap();
                assert_eq!((name.as_str(), *fooled, *score, *wished), ("fgsm", of.fooled, of.score, of.wished));
            }
            ("deepfool", OneStep::None) | ("random-sign", OneStep::Unasked) => {}
            other => panic!("{other:?}"),
        }
    }
    let page = campaign_html(&summary, None, &Provenance::default(), "the target is not reached", "P(true class)");
    assert!(page.contains("one step: BIM, MI-FGSM"), "a line for those that share it");
    let csv = summary_csv(&summary);
    assert!(csv.lines().next().unwrap().ends_with("one_step,one_step_fooled,one_step_score,one_step_as_wished"));
    assert!(csv.lines().any(|l| l.contains(",deepfool,") && l.ends_with(",none,,,")), "{csv}");
    // Rows that do not tell, of an older version: that is said, in place of silence.
    let old: Vec<Row> = table.rows().into_iter().cloned().map(without_one_step).collect();
    let old = Summary::new(&old.iter().collect::<Vec<_>>());
    let white = |c: &&Cell| c.attack == "bim" && c.made_on == c.judged_on;
    assert!(old.cells.iter().filter(white).all(|c| c.one_step == OneStep::Unknown));
    assert!(old.notes.iter().any(|n| n.starts_with("BIM") && n.contains("not known at ε")), "{:?}", old.notes);
}

fn without_one_step(mut row: Row) -> Row {
    let last = row.found.len() - 4;
    row.found[last..].fill(String::new());
    row
}
