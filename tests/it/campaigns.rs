//! Models that classify, swept along ε; campaigns over images, attacks, models and seeds, whole or cut off.

use crate::toys::{Attacks, Cnn, Plain};
use burn::tensor::Device;
use epsiloscope::attack::{Attack, Objective, Options, Reference};
use epsiloscope::data::{Bounds, Case, ClassLabel, Dataset, Image, Pixels, Stack, StoredType, write_image};
use epsiloscope::model::{Head, Model, classify};
use epsiloscope::study::campaign::{
    CampaignModel, CampaignPlan, CampaignSet, Summary, Table, Wish, campaign_html, run, summary_csv, windows,
};
use epsiloscope::study::report::{Criterion, Provenance, Settings, Verdict, build_report, verdicts};
use epsiloscope::study::{Adversary, Limit, SeenMetric, SeenWanted, Subject, SweepPlan, Truth, sweep};
use epsiloscope::tensor::to_host;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub fn cases(count: usize) -> Vec<Arc<Case>> {
    let attacks = Attacks::open();
    let labels = attacks.labels(count);
    let values = &attacks.values("x")[..count * 144];
    let case = |(values, &label): (&[f32], &usize)| {
        let stack = Stack::new([1, 1, 12, 12], Pixels::F32(values.into())).unwrap();
        let stack = stack.with_bounds(Bounds { lower: 0.0, upper: 1.0 }).unwrap();
        let mut case = Case::from_slice(&stack, 0, "bar").unwrap();
        case.class = Some(ClassLabel { index: label as u16, name: None });
        Arc::new(case)
    };
    values.chunks(144).zip(&labels).map(case).collect()
}

pub fn cnn(device: &Device) -> Arc<dyn Model> {
    Arc::new(Cnn::new(&Attacks::open(), device))
}

#[test]
fn a_classifier_is_swept_and_its_decision_flips() {
    let device = Device::flex();
    let subjects = Subject::all(cases(6), &cnn(&device)).unwrap();
    for (one, case) in subjects.iter().zip(cases(6)) {
        let alone = Subject::new(case, one.model.clone()).unwrap();
        assert_eq!(alone.clean.measure.decision.unwrap().predicted, one.clean.measure.decision.unwrap().predicted);
        assert!((alone.clean.measure.score() - one.clean.measure.score()).abs() < 1e-6, "batches change nothing");
    }
    let subject = Arc::new(subjects.into_iter().next().unwrap());
    let clean = subject.clean.measure.decision.unwrap();
    assert!(clean.is_right() && clean.margin > 0.0 && !clean.flipped && subject.reference_kind == Reference::Label);
    let adversary = Arc::new(Adversary::new(subject.clone(), Attack::named("pgd").unwrap()).unwrap());
    let curve = sweep(adversary.clone(), &SweepPlan::exactly(vec![0.0, 0.005, 0.3]), |_, _| ()).unwrap();
    let last = curve.points.last().unwrap().measure.decision.unwrap();
    assert!(!last.is_right() && last.flipped && last.margin < 0.0 && last.probability < clean.probability);
    // The decision is that of the model on the very image.
    let image = adversary.at_last(0.3).unwrap();
    let found = classify(subject.model.as_ref(), image.clone()).unwrap().remove(0);
    assert_eq!(found.predicted, last.predicted);
    let loss =
        Objective::classes(Head::Softmax, 1, &[clean.truth], &device).judge(subject.model.as_ref(), image).unwrap();
    assert!((f64::from(loss[0].loss) - last.cross_entropy()).abs() < 1e-4, "the loss that the attack raised");
    let criterion = Criterion::default().for_task(subject.model.card().task);
    assert_eq!(criterion, Criterion::Misclassified);
    let verdicts = verdicts(&curve, criterion);
    assert!(
        verdicts[0] == Verdict::Holds && matches!(verdicts[2], Verdict::Broken | Verdict::NoiseToo),
        "{verdicts:?}"
    );
    let settings = Settings { criterion, ..Settings::default() };
    let report = build_report(&adversary, &curve, settings, |_, _| ()).unwrap();
    let html = String::from_utf8(report.files.last().unwrap().1.clone()).unwrap();
    for part in ["P(true class)", "Margin in logits", "first flips at", "Probability of each class", "class 3"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("Dice") && !html.contains("NaN"));
    let panel = image::load_from_memory(&report.files[2].1).unwrap();
    assert!(panel.width() > 1000 && panel.height() > 700, "three pictures and the bars");
    let table = String::from_utf8(report.files[3].1.clone()).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let at = reader.headers().unwrap().iter().position(|c| c == "true_probability").unwrap();
    let row = reader.records().nth(2).unwrap().unwrap();
    assert_eq!((row[at].parse(), &row[5]), (Ok(last.probability), ""), "no Dice of a class");
}

#[test]
fn without_a_class_the_models_own_is_the_reference_and_names_win_over_numbers() {
    let device = Device::flex();
    let mut case = (*cases(1)[0]).clone();
    case.class = None;
    let subject = Subject::new(Arc::new(case.clone()), cnn(&device)).unwrap();
    assert_eq!(subject.reference_kind, Reference::CleanPrediction);
    assert_eq!(subject.class, Some(subject.clean.classified.as_ref().unwrap().predicted));
    let class = |index, name: Option<&str>| Some(ClassLabel { index, name: name.map(Arc::from) });
    assert_eq!(subject.reclass(class(0, Some("Class 2"))).unwrap().class, Some(2));
    assert_eq!(subject.reclass(class(1, Some("nevus"))).unwrap().class, Some(1));
    let error = subject.reclass(class(4, None)).err().unwrap().to_string();
    assert!(error.contains("is 4") && error.contains("knows 4"), "{error}");
}

#[test]
fn targets_are_reached_and_erased_classes_named() {
    let device = Device::flex();
    let subject = Subject::new(cases(1).remove(0), cnn(&device)).unwrap();
    let truth = subject.class.unwrap();
    let nearest = Wish::Nearest.target(&subject).unwrap();
    assert_ne!(nearest, Truth::Class(truth));
    let subject = Arc::new(subject.with_target(Some(nearest)).unwrap());
    assert_eq!(subject.clean.measure.wished, Some(0.0));
    let adversary = Adversary::new(subject.clone(), Attack::named("pgd").unwrap()).unwrap();
    let reached = subject.judge(&adversary.at_last(0.4).unwrap()).unwrap().measure;
    assert_eq!(reached.wished, Some(1.0));
    assert!(Criterion::Target(1.0).fails(&subject.clean.measure, &reached));
    let plain = Subject::new(cases(1).remove(0), cnn(&device)).unwrap();
    assert!(plain.with_target(Some(Truth::Class(9))).is_err());
    // A 1×1 segmenter: what was of class 1 is to be 0, and only that counts.
    let model: Arc<dyn Model> = Arc::new(Plain::masks(vec![vec![8.0]], vec![-4.0], &device));
    let values: Vec<f32> = (0..64).map(|i| if i % 4 == 0 { 0.55 } else { 0.2 }).collect();
    let stack = Stack::new([1, 1, 8, 8], Pixels::F32(values.into())).unwrap();
    let stack = stack.with_bounds(Bounds { lower: 0.0, upper: 1.0 }).unwrap();
    let subject = Subject::new(Arc::new(Case::from_slice(&stack, 0, "dots").unwrap()), model).unwrap();
    let target = Wish::Erase(1).target(&subject).unwrap();
    let subject = Arc::new(subject.with_target(Some(target)).unwrap());
    assert_eq!(subject.clean.measure.wished, Some(0.0));
    let fgsm = Adversary::new(subject.clone(), Attack::FGSM).unwrap();
    assert_eq!(subject.judge(&fgsm.at_last(0.06).unwrap()).unwrap().measure.wished, Some(1.0));
    assert_eq!(subject.judge(&fgsm.at_last(0.01).unwrap()).unwrap().measure.wished, Some(0.0));
}

#[test]
fn a_window_in_hounsfield_units_needs_its_bounds() {
    let device = Device::flex();
    let model = Plain::masks(vec![vec![1.0]], vec![0.0], &device);
    let mut card = model.card().clone();
    card.input.window = Some([-160.0, 240.0]);
    let model: Arc<dyn Model> = Arc::new(model.with_other_card(card));
    let stack =
        Stack::new([1, 1, 4, 4], Pixels::I16((0..16).map(|v| v * 100 - 900).collect::<Vec<i16>>().into())).unwrap();
    let case = |lower, upper| {
        Arc::new(Case::from_slice(&stack.with_bounds(Bounds { lower, upper }).unwrap(), 0, "ct").unwrap())
    };
    assert!(Subject::new(case(-1024.0, 3071.0), model.clone()).is_ok());
    let error = Subject::new(case(-900.0, 600.0), model).err().unwrap().to_string();
    assert!(error.contains("-1024 to 3071") && error.contains("-900 to 600"), "{error}");
}

/// Folders of two classes with images of two sizes.
pub fn folder(path: &Path) {
    let attacks = Attacks::open();
    let labels = attacks.labels(8);
    for (i, (values, label)) in attacks.values("x").chunks(144).zip(labels).enumerate() {
        let folder = path.join(format!("class {label}"));
        std::fs::create_dir_all(&folder).unwrap();
        let pixels: Vec<f32> = values.iter().map(|v| (v * 255.0).round()).collect();
        let image = Image::new(1, 12, 12, pixels).unwrap();
        write_image(&folder.join(format!("image-{i}.png")), &image, StoredType::U8).unwrap();
    }
}

pub fn plan(path: &Path, device: &Device) -> CampaignPlan {
    let set = Dataset::find(path, &AtomicBool::new(false), &|_| {}).unwrap();
    let other = Plain::classes(vec![vec![4.0], vec![-3.0], vec![0.5], vec![0.1]], vec![0.1, 0.9, -0.1, 0.0], device);
    let models = [("cnn", cnn(device)), ("plain", Arc::new(other) as Arc<dyn Model>)];
    CampaignPlan {
        sets: vec![CampaignSet {
            name: set.name.clone(),
            entries: (0..set.entries.len()).collect(),
            set,
            bounds: None,
            label_map: None,
        }],
        models: models
            .map(|(name, model)| CampaignModel { name: name.to_owned(), id: format!("id of {name}"), model })
            .to_vec(),
        attacks: vec![
            Attack::FGSM,
            Attack::parse("pgd", &["steps=4"]).unwrap(),
            Attack::parse("deepfool", &["steps=10"]).unwrap(),
        ],
        seeds: vec![0, 7],
        epsilons: vec![0.02, 0.1],
        relative: false,
        criterion: Criterion::Misclassified,
        seen: None,
        wish: Wish::Untargeted,
        region: None,
        stop_early: false,
        // Three images of 12² at once.
        budget_bytes: 3 * 144 * 64,
        device: "a device, of a test".to_owned(),
    }
}

#[test]
fn a_campaign_that_was_cut_off_ends_as_one_that_was_not() {
    let device = Device::flex();
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let plan = plan(&images, &device);
    let path = temporary.path().join("rows.csv");
    let mut told = Vec::new();
    let mut table = Table::open(&path).unwrap();
    assert!(run(&plan, &mut table, |done, total| told.push((done, total))).unwrap().is_empty());
    // Eight images × (FGSM, DeepFool, PGD of two seeds) × two models.
    assert_eq!(told.last(), Some(&(64, 64)));
    let whole = std::fs::read(&path).unwrap();
    let rows = table.rows();
    assert_eq!(rows.len(), 8 * 2 * 2 * (2 + 1 + 2 * 2), "images × made on × judged on × (FGSM, DeepFool, PGD × seeds)");
    let lines = whole.split(|&b| b == b'\n').count() - 2;
    assert_eq!(lines, rows.len());
    // White box FGSM of the table is FGSM.
    let row =
        rows.iter().find(|r| r.get("attack") == "fgsm" && r.get("epsilon") == "0.1" && r.get("judged_on") == "cnn");
    let row = row.unwrap();
    let opened = plan.sets[0].set.open_entry(0, &AtomicBool::new(false)).unwrap();
    assert_eq!(row.get("image"), opened.name);
    let subject = Subject::new(Arc::new(Case::from_slice(&opened.stack, 0, "x").unwrap()), cnn(&device)).unwrap();
    let adversary = Adversary::new(Arc::new(subject), Attack::FGSM).unwrap();
    let score = adversary.subject().judge(&adversary.at_last(0.1).unwrap()).unwrap().measure.score();
    assert!((row.number("score").unwrap() - score).abs() < 1e-5);
    // Cut off anywhere: within the header, within a row, within a unit, at its end.
    for share in [0.001, 0.2, 0.4331, 0.8, 0.999] {
        let cut = (whole.len() as f64 * share) as usize;
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut again = Table::open(&path).unwrap();
        run(&plan, &mut again, |_, _| ()).unwrap();
        assert!(std::fs::read(&path).unwrap() == whole, "cut at {cut} of {}", whole.len());
    }
    // Another attack is added to what is there; other weights are not taken for these.
    let mut more = plan;
    more.attacks = vec![Attack::named("bim").unwrap()];
    let mut table = Table::open(&path).unwrap();
    run(&more, &mut table, |_, _| ()).unwrap();
    assert_eq!((table.before(), table.rows().len()), (lines, 8 * 2 * 2 * 2));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1 + lines + 8 * 2 * 2 * 2, "what was there stays");
    std::fs::write(&path, "epsilon,score\n0.1,1\n").unwrap();
    let error = Table::open(&path).err().unwrap().to_string();
    assert!(error.contains("rows.csv") && error.contains("another table"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "epsilon,score\n0.1,1\n", "and left alone");
}

#[test]
fn a_campaign_sums_up_to_a_matrix() {
    let device = Device::flex();
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    std::fs::write(images.join("class 0").join("broken.png"), b"not a picture").unwrap();
    let plan = plan(&images, &device);
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    let left_out = run(&plan, &mut table, |_, _| ()).unwrap();
    assert!(left_out.iter().all(|error| error.contains("broken.png")), "{left_out:?}");
    let summary = Summary::new(&table.rows());
    assert_eq!(summary.cells.len(), 4 * (2 + 2 + 1), "pairs of models × (FGSM, PGD at two ε, DeepFool)");
    for cell in &summary.cells {
        assert!((0.0..=1.0).contains(&cell.fooled) && cell.broken <= cell.fooled && cell.passing <= cell.results);
        assert_eq!(cell.results, if cell.attack == "pgd" { 16 } else { 8 }, "{}", cell.attack);
    }
    let at = |made: &str, judged: &str| {
        let of = |c: &&epsiloscope::study::campaign::Cell| {
            c.attack == "pgd" && c.made_on == made && c.judged_on == judged && c.epsilon == Some(0.1)
        };
        summary.cells.iter().find(of).unwrap()
    };
    println!("PGD on the CNN: {:?}", at("cnn", "cnn"));
    assert!(at("cnn", "cnn").fooled > at("plain", "cnn").fooled, "white box is stronger than transfer");
    assert!(at("cnn", "cnn").score < at("cnn", "cnn").control_score);
    let table = summary_csv(&summary);
    assert_eq!(table.lines().count(), 1 + summary.cells.len());
    let page = campaign_html(&summary, None, &Provenance::default(), "the decision is wrong", "P(true class)");
    for part in ["made on ↓", "Share fooled: cnn", "DeepFool", "The smallest ε that breaks an image"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("http://") && !page.contains("<script"));
}

#[test]
fn windows_of_a_campaign_follow_from_its_rows() {
    let device = Device::flex();
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let metrics = vec![SeenMetric::Psnr, SeenMetric::Ssim];
    let seen = SeenWanted { metrics, window: None, inverted: false, bits: 8, pixels_per_degree: 67.0 };
    let narrow = SeenWanted { window: Some(Bounds { lower: 0.0, upper: 128.0 }), ..seen.clone() };
    let plan = CampaignPlan { attacks: vec![Attack::FGSM], seeds: vec![0], seen: Some(seen), ..plan(&images, &device) };
    let path = temporary.path().join("rows.csv");
    let mut table = Table::open(&path).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let rows = table.rows();
    for row in &rows {
        // Almost all pixels are changed by all of ε: PSNR is 20·log10(1/ε) or a little more.
        let (epsilon, psnr) = (row.number("epsilon").unwrap(), row.number("shown_psnr").unwrap());
        let bound = -20.0 * epsilon.log10();
        assert!((bound - 0.3..bound + 6.0).contains(&psnr), "{epsilon}: {psnr}");
        assert_eq!((row.get("shown_same"), row.get("shown_flip")), ("0", ""));
        assert!(row.get("shown").contains("psnr ssim; the bounds, 8 bits"));
    }
    // Between the two ε of the plan: 34 dB and 20 dB.
    let limit: Limit = "psnr:30".parse().unwrap();
    let found = windows(&rows, plan.criterion, &|_| Some(limit));
    assert_eq!(found.len(), 2, "one for each model");
    for set in &found {
        assert_eq!(set.failing + set.windows.len(), 8);
        let broken = |at: &str| {
            let on = |r: &&&epsiloscope::study::campaign::Row| {
                r.get("made_on") == set.model && r.get("judged_on") == set.model && r.get("epsilon") == at
            };
            rows.iter().filter(on).filter(|r| r.get("broken") == "1").count()
        };
        assert_eq!(set.summary.cases - set.summary.empty, broken("0.02"), "{}", set.model);
        for share in &set.along {
            assert_eq!(share.unseen, if share.epsilon < 0.05 { 1.0 } else { 0.0 }, "{share:?}");
        }
    }
    let page = campaign_html(
        &Summary::new(&rows),
        Some((&found, &limit.to_string())),
        &Provenance::default(),
        "wrong",
        "Dice",
    );
    for part in ["Broken and not seen", "PSNR in dB at least 30", "in most windows", "Each image"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(found.iter().any(|set| set.summary.cases > 0));
    // Under another window they are other rows.
    let before = rows.len();
    let wide: Vec<Option<f64>> = rows.iter().map(|r| r.number("shown_psnr")).collect();
    let plan = CampaignPlan { seen: Some(narrow), ..plan };
    let mut table = Table::open(&path).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    assert_eq!((table.before(), table.rows().len()), (before, before));
    let psnr =
        |rows: &[&epsiloscope::study::campaign::Row]| rows.iter().map(|r| r.number("shown_psnr")).collect::<Vec<_>>();
    assert!(table.rows().iter().all(|r| r.get("shown").contains("0 to 128")));
    assert_ne!(psnr(&table.rows()), wide, "measured anew");
}

#[test]
fn one_step_that_beats_many_is_told() {
    // PGD of one tiny step from a random place goes nowhere; of forty it goes farther than FGSM.
    let device = Device::flex();
    let subject = Arc::new(Subject::new(cases(1).remove(0), cnn(&device)).unwrap());
    let weak = Attack::parse("pgd", &["steps=1", "step=0.01"]).unwrap();
    let adversary = Arc::new(Adversary::new(subject.clone(), weak).unwrap());
    let curve = sweep(adversary.clone(), &SweepPlan::exactly(vec![0.0, 0.05]), |_, _| ()).unwrap();
    let notes = epsiloscope::study::masking_notes(&adversary, &curve).unwrap();
    assert!(notes.iter().any(|note| note.contains("One step (fgsm)")), "{notes:?}");
    let strong = Arc::new(Adversary::new(subject, Attack::named("pgd").unwrap()).unwrap());
    let curve = sweep(strong.clone(), &SweepPlan::exactly(vec![0.0, 0.05]), |_, _| ()).unwrap();
    let notes = epsiloscope::study::masking_notes(&strong, &curve).unwrap();
    assert!(!notes.iter().any(|note| note.contains("One step")), "{notes:?}");
}

#[test]
fn an_objective_of_classes_is_the_subjects() {
    let device = Device::flex();
    let subject = Subject::new(cases(1).remove(0), cnn(&device)).unwrap();
    let attack = Attack::FGSM;
    let direct = attack
        .run_through(subject.model.as_ref(), &subject.x, &subject.objective(), &[0.1], &Options::default())
        .unwrap();
    let adversary = Adversary::new(Arc::new(subject), attack).unwrap();
    let through = to_host(adversary.at_last(0.1).unwrap()).unwrap();
    let direct = to_host(direct.adversarial).unwrap();
    assert!(through.iter().zip(&direct).all(|(a, b)| (a - b).abs() < 1e-6));
}
