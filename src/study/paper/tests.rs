//! Whole studies at a tiny size, each number of the report that is looked at computed again from the checkpoints by other means.

use super::folds::Setup;
use super::work::train;
use super::{Changes, Scale, StudyFile, StudyOptions, run_study};
use crate::data::synthetic::MembranesConfig;
use crate::data::{Case, Image, StoredType, write_png};
use crate::model::unet::UNetConfig;
use crate::model::{BuiltIn, Logits, Model};
use crate::tensor::image_to_unit;
use crate::train::{
    Augmentation, Control, DataTable, Fingerprint, OptimizerSettings, Recipe, Schedule, Source, Trainer, TrainingData,
    Unit, validate,
};
use burn::tensor::activation::{log_softmax, sigmoid, softplus};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;

/// Sections of 64² with their masks, in a folder.
fn written(folder: &Path, count: u64) {
    for i in 0..count {
        let section = MembranesConfig::sized(64).section(i);
        for (name, bytes) in [(format!("s{i}.png"), &section.image), (format!("s{i}_mask.png"), &section.label)] {
            let pixels: Vec<f32> = bytes.iter().map(|&v| f32::from(v)).collect();
            write_png(&folder.join(name), &Image::new(1, 64, 64, pixels).unwrap(), StoredType::U8).unwrap();
        }
    }
}

pub(super) fn options(data: &Path, out: &Path) -> StudyOptions {
    std::fs::create_dir_all(out.join("work")).unwrap();
    StudyOptions {
        data: vec![DataTable { path: Some(data.to_owned()), ..DataTable::default() }],
        by: vec![Unit::Slice],
        out: out.to_owned(),
        scale: Scale::Quick,
        epochs: None,
        seeds: None,
        unseen: None,
        resume: false,
        device: Device::flex(),
        device_name: "the CPU".to_owned(),
        command: "epsiloscope study".to_owned(),
        control: Control::default(),
    }
}

fn tiny(name: &str, changes: Changes) -> StudyFile {
    let mut study = StudyFile::named(name).unwrap();
    study.scales.quick =
        Changes { base: Some(2), resize: Some(32), crop: Some(32), batch: Some(2), images: None, ..changes };
    study
}

/// The network of a checkpoint after its last epoch.
fn network(path: &Path, data: TrainingData) -> BuiltIn {
    let trainer = Trainer::resume(path, data, &Device::flex()).unwrap();
    assert!(trainer.finished(), "{}", path.display());
    BuiltIn::new(trainer.card("again", ""), trainer.current(), &Device::flex()).unwrap()
}

fn dense(model: &BuiltIn, x: Tensor<4>) -> Tensor<4> {
    match model.logits(x).unwrap() {
        Logits::Dense(z) => z,
        Logits::Class(_) => panic!("a mask is wanted"),
    }
}

/// Classes of a label as a tensor `[1, 1, height, width]`.
fn truth(case: &Case) -> Tensor<4> {
    let label = case.label.as_ref().unwrap();
    let values: Vec<f32> = label.classes.iter().map(|&c| f32::from(c)).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, label.height, label.width]), &Device::flex())
}

/// x + ε·sign ∇J, clipped; J is the cross-entropy of one output or of two, written out.
fn fgsm(model: &BuiltIn, case: &Case, epsilon: f64) -> Tensor<4> {
    let x = image_to_unit(&case.image, case.bounds, &Device::flex());
    let tracked = x.clone().autodiff().require_grad();
    let (z, y) = (dense(model, tracked.clone()), truth(case).autodiff());
    let loss = if z.dims()[1] == 1 {
        (softplus(z.clone(), 1.0) - y * z).sum()
    } else {
        let log = log_softmax(z, 1);
        let [off, on] = [0, 1].map(|class| log.clone().narrow(1, class, 1));
        -(on * y.clone() + off * (y.neg() + 1.0)).sum()
    };
    let gradient = tracked.grad(&loss.backward()).unwrap();
    (x + gradient.sign() * epsilon).clamp(0.0, 1.0)
}

fn values(x: Tensor<4>) -> Vec<f32> {
    crate::tensor::to_host(x).unwrap()
}

/// ‖y − p‖₂ of one output.
fn soft_error(model: &BuiltIn, case: &Case, x: Tensor<4>) -> f64 {
    let difference = values(truth(case) - sigmoid(dense(model, x)));
    difference.iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt()
}

/// The lines of a table of the report, each as its cells.
fn table(out: &Path, name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(out.join(name)).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Points that a table of a report takes at least, at 13.5 px: cells of words wrap between these, all others do not.
fn width(table: &str) -> f64 {
    let mut columns: Vec<f64> = Vec::new();
    for row in table.split("<tr>").skip(1) {
        for (place, cell) in row.split("<t").filter(|part| part.starts_with("d") || part.starts_with("h")).enumerate() {
            let (head, text) = cell.split_once('>').unwrap();
            let text = text.split('<').next().unwrap();
            let wraps = head.contains("word") || row.contains("</th><th");
            let letters = |text: &str| 7.0 * text.chars().count() as f64 + 16.0;
            let wide = if wraps { text.split(' ').map(letters).fold(0.0, f64::max) } else { letters(text) };
            columns.resize(columns.len().max(place + 1), 0.0);
            columns[place] = columns[place].max(wide);
        }
    }
    columns.iter().sum()
}

/// Every table of a report fits into a page of 1280 px.
fn tables_fit(page: &str) {
    let mut count = 0;
    for table in page.split("<table>").skip(1).map(|part| part.split("</table>").next().unwrap()) {
        // What is folded away or is text alone has other widths.
        if !table.contains("<thead>") {
            continue;
        }
        count += 1;
        assert!(width(table) < 1232.0, "{}: {table}", width(table));
    }
    assert!(count > 3, "{count}");
}

#[test]
fn folds_hold_out_every_image_once_and_train_on_none_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 7);
    let study = StudyFile { folds: 3, ..tiny("advu-net", Changes { seeds: Some(2), ..Changes::default() }) };
    let setup = Setup::new(&study, &options(folder.path(), &folder.path().join("out"))).unwrap();
    assert_eq!(setup.networks().collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    // What is kept of the first seed has the names that it had before there were more.
    assert_eq!([setup.name(1, 0), setup.name(2, 2)], ["fold 1 of 3", "seed 2, fold 3 of 3"]);
    let print = |case: &Case| Fingerprint::of(std::slice::from_ref(case)).images;
    let mut all = Vec::new();
    for fold in 0..3 {
        let data = setup.data(fold).unwrap().data;
        let Source::Cases(train) = &data.train else { panic!("cases are wanted") };
        let train: Vec<String> = train.iter().map(print).collect();
        let held: Vec<String> = data.validate.iter().map(print).collect();
        assert_eq!(train.len() + held.len(), 7);
        assert!(held.iter().all(|image| !train.contains(image)), "fold {fold}");
        all.extend(held);
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 7, "every image is held out once");
}

#[test]
fn the_network_of_the_last_epoch_is_judged_and_not_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let case = |seed| MembranesConfig::sized(32).section(seed).case("section");
    let data = TrainingData { train: Source::Cases(vec![case(1)].into()), validate: vec![case(2)].into() };
    for seed in 0..20 {
        let out = folder.path().join(seed.to_string());
        let options = options(folder.path(), &out);
        let recipe = Recipe {
            batch: 2,
            crop: 16,
            learning_rate: 0.05,
            seed,
            augmentation: Augmentation::NONE,
            schedule: Schedule::Constant,
            ..Recipe::new(UNetConfig::new(2, 2), 4)
        };
        let trained = train("fold", &recipe, data.clone(), &options, &mut |_, _| ()).unwrap();
        let last = trained.history.last().unwrap();
        if last.improved {
            continue;
        }
        let best = trained.history.iter().filter_map(|r| Some(r.validation.as_ref()?.dice)).fold(0.0, f64::max);
        let judged = validate(&trained.model, &data.validate, 0).unwrap().0;
        assert_eq!(Some(&judged), last.validation.as_ref());
        assert!(judged.dice < best, "{} and {best}", judged.dice);
        return;
    }
    panic!("every training was best in its last epoch: nothing was tested");
}

#[test]
fn ratio_and_ceiling_are_those_of_the_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    std::fs::create_dir(&data).unwrap();
    written(&data, 5);
    let changes = Changes { folds: Some(2), seeds: Some(2), epochs: Some(3), ..Changes::default() };
    let study = StudyFile { folds: 2, epsilons: vec![0.1, 0.3], ..tiny("advu-net", changes) };
    let options = options(&data, &out);
    let mut lines = Vec::new();
    run_study(&study, &options, &mut |line, _| lines.push(line.to_owned())).unwrap();
    // Progress counts the trainings that the cost does.
    assert!(lines[0].starts_with("cost: 4 trainings"), "{lines:?}");
    for said in ["training 1 of 4 (fold 1, seed 1): epoch 1 of 3", "training 4 of 4 (fold 2, seed 2): "] {
        assert!(lines.iter().any(|line| line.starts_with(said)), "{said} in {lines:?}");
    }
    let setup = Setup::new(&study, &options).unwrap();
    let networks = table(&out, "networks.csv");
    let column = |name: &str| networks[0].iter().position(|c| c == name).unwrap();
    let (mut clean, mut attacked, mut pixels) = (0.0, 0.0, 0.0);
    for (row, (seed, fold)) in networks[1..].iter().zip(setup.networks()) {
        let data = setup.data(fold).unwrap().data;
        let name = setup.name(seed, fold).replace([' ', ','], "_");
        let model = network(&out.join("work").join(format!("{name}.checkpoint")), data.clone());
        let (mut a, mut c) = (0.0, 0.0);
        for case in data.validate.iter() {
            c += soft_error(&model, case, image_to_unit(&case.image, case.bounds, &Device::flex()));
            a += soft_error(&model, case, fgsm(&model, case, 0.3));
            pixels += (case.image.height as f64 * case.image.width as f64).sqrt();
        }
        assert_eq!(row[..3], [seed.to_string(), (fold + 1).to_string(), data.validate.len().to_string()]);
        let told: f64 = row[column("soft L2: ratio")].parse().unwrap();
        assert!((told - a / c).abs() < 0.01 * told, "seed {seed}, fold {fold}: {told}, again {}", a / c);
        clean += c;
        attacked += a;
    }
    let ratio = table(&out, "ratio.csv");
    let cell = |name: &str| &ratio[1][ratio[0].iter().position(|c| c == name).unwrap()];
    let of = |name: &str| -> f64 { cell(name).parse().unwrap() };
    let found = of("FGSM") / of("clean");
    assert!((found - attacked / clean).abs() < 0.01 * found, "{ratio:?}, again {}", attacked / clean);
    // Of networks of which one learned nothing no ratio is told.
    let learned = networks[1..].iter().all(|row| row[column("learned")] == "yes");
    assert!(networks[1..].iter().all(|row| ["yes", "no"].contains(&row[column("learned")].as_str())), "{networks:?}");
    for name in ["ratio", "its interval", "ratio on training images"] {
        assert_eq!(cell(name) == "not told", !learned, "{name}: {ratio:?}");
    }
    assert!(!learned || (of("ratio") - found).abs() < 0.01 * found, "{ratio:?}");
    assert!((of("its ceiling") - pixels / clean).abs() < 0.006, "{ratio:?}, again {}", pixels / clean);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["not asked: no observer was measured", "a limit of ours", "seeds of 2 folds", "the paper says 23.6"] {
        assert!(page.contains(part), "{part}");
    }
    tables_fit(&page);
    assert_eq!(page.contains("The interval of a ratio counts networks"), learned, "a note on what is there alone");
    assert!(!page.contains("hard to see"), "no adjective of ours or of the paper’s decides what is seen");
}

#[test]
fn rows_of_table_2_are_those_of_their_networks() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("cells"), folder.path().join("out"));
    std::fs::create_dir(&data).unwrap();
    written(&data, 5);
    let mut study = tiny("inverse-fgsm", Changes { seeds: Some(1), epochs: Some(60), ..Changes::default() });
    // A hundred steps are to be enough for networks that tell something, and not the same.
    study.recipe.optimizer = OptimizerSettings::default();
    study.recipe.training.learning_rate = Some(0.01);
    study.rows.retain(|row| ["U-Net", "U-Net + FGSM"].contains(&row.name.as_str()));
    study.epsilons = vec![0.0118, 0.05, 0.1176];
    let options = options(&data, &out);
    run_study(&study, &options, &mut |_, _| ()).unwrap();
    let set = super::inverse_fgsm::sets(&study, &options).unwrap().remove(0);
    let rows = table(&out, "table-2.csv");
    let mut found = Vec::new();
    for row in ["U-Net", "U-Net + FGSM"] {
        let name = format!("cells, {row}, seed 1").replace([' ', ',', '+'], "_");
        let model = network(&out.join("work").join(format!("{name}.checkpoint")), set.read.data.clone());
        let each = set.read.data.validate.iter().map(|case| {
            let z = values(dense(&model, fgsm(&model, case, 0.0118)));
            let (off, on) = z.split_at(z.len() / 2);
            let label = &case.label.as_ref().unwrap().classes;
            let iou = [0, 1].map(|class| {
                let pairs = off
                    .iter()
                    .zip(on)
                    .zip(label.iter())
                    .map(|((off, on), y)| (u8::from(on > off) == class, *y == class));
                let (mut both, mut either) = (0, 0);
                for (found, truth) in pairs {
                    both += usize::from(found && truth);
                    either += usize::from(found || truth);
                }
                if either == 0 { 1.0 } else { both as f64 / either as f64 }
            });
            (iou[0] + iou[1]) / 2.0
        });
        let each: Vec<f64> = each.collect();
        let again = each.iter().sum::<f64>() / each.len() as f64;
        let line = rows.iter().find(|line| line[..3] == ["cells", "fgsm", row]).unwrap();
        let told: f64 = line[3].split(' ').next().unwrap().parse().unwrap();
        // Rounding may turn a sign or two where the gradient is next to nothing, and with it a pixel.
        assert!((told - again).abs() < 4e-3, "{row}: {told}, again {again}");
        found.push(told);
    }
    assert!((found[0] - found[1]).abs() > 8e-3, "both networks would do as well: {found:?}");
    tables_fit(&std::fs::read_to_string(out.join("report.html")).unwrap());
}

#[test]
fn data_that_are_refused_leave_no_study_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("cells"), folder.path().join("out"));
    std::fs::create_dir(&data).unwrap();
    written(&data, 1);
    let options = options(&data, &out);
    let refused = |name| super::run(name, &options, &mut |_, _| ()).unwrap_err().to_string();
    // An empty folder of work, as made beside the options here, is no study.
    for name in super::names() {
        assert!(!refused(name).contains("holds a study"), "{}", refused(name));
    }
    // In words of the study, as its folds are not asked for.
    assert_eq!(refused("advu-net"), "advu-net needs at least 5 images; cells has 1");
    std::fs::remove_dir(out.join("work")).unwrap();
    for name in super::names() {
        refused(name);
        assert!(!out.join("work").exists(), "{name}");
    }
    std::fs::create_dir(out.join("work")).unwrap();
    std::fs::write(out.join("work/a.json"), "{}").unwrap();
    assert!(refused("advu-net").contains("holds a study already"));
}

#[test]
fn the_files_are_right_at_every_scale() {
    let folder = tempfile::tempdir().unwrap();
    for name in super::names() {
        let study = StudyFile::named(name).unwrap();
        for scale in [Scale::Quick, Scale::Cpu, Scale::Paper] {
            let options = StudyOptions { scale, ..options(folder.path(), &folder.path().join("out")) };
            let (_, recipe) = study.recipe(&options).unwrap();
            assert!(scale == Scale::Quick || recipe.epochs >= 30, "{name}");
            assert!(scale != Scale::Cpu || study.seeds(&options).len() >= 3, "{name}");
            assert_eq!(study.seeds(&StudyOptions { seeds: Some(5), ..options.clone() }), [1, 2, 3, 4, 5]);
            if (name, scale) == ("advu-net", Scale::Paper) {
                assert_eq!(recipe.network, crate::model::unet::UNetConfig::advu_net());
                assert_eq!((recipe.crop, recipe.batch, recipe.learning_rate), (224, 4, 1e-3));
            }
        }
        assert!(crate::attack::find(&study.attack).is_some());
    }
    assert!(StudyFile::named("magic").unwrap_err().to_string().contains("advu-net or inverse-fgsm"));
}

#[test]
fn spread_by_hand() {
    assert_eq!(super::spread(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
    assert_eq!(super::spread(&[5.0]), (5.0, 0.0));
}
