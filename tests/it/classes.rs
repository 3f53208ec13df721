//! Models that classify whole images, in the engine and in the window: a network whose decisions are known at every ε.
//! Its three logits are 10·m, 9 − 10·m and 13 − 30·m of the image's mean m in [0, 1]: the first wins above m = 0.45, the third
//! below 0.2. FGSM moves every pixel the same way, so that m = m₀ − ε; random signs leave the mean of 64² pixels alone.

use super::engine::{engine, failure, frame_at, wait};
use super::onnx_file::Model;
use super::stage::{FGSM, FOUR, compare, shows, state};
use egui_kittest::SnapshotOptions;
use epsiloscope::attack::Reference;
use epsiloscope::engine::{
    CaseInfo, ClassScores, Engine, Event, Export, Frame, JobState, Request, Series, TargetWish, TruthChoice,
};
use epsiloscope::model::{ClassInfo, ModelCard, Task};
use epsiloscope::study::{CurvePoint, Measure};
use epsiloscope::workbench::decision::flips;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SLOPES: [f32; 3] = [10.0, -10.0, -30.0];
const OFFSETS: [f32; 3] = [0.0, 9.0, 13.0];
/// The mean of the image.
const MEAN: f64 = 128.0 / 255.0;
/// Where the decisions change.
const FLIPS: [f64; 2] = [MEAN - 0.45, MEAN - 0.2];

pub fn classifier(folder: &Path) -> PathBuf {
    let model = Model::new(17)
        .input("x", &[0, 1, 0, 0])
        .weight("w", &[3, 1, 1, 1], &SLOPES)
        .weight("b", &[3], &OFFSETS)
        .node("GlobalAveragePool", &["x"], &["m"])
        .node("Conv", &["m", "w", "b"], &["z"])
        .node("Flatten", &["z"], &["logits"])
        .output("logits");
    let path = folder.join("means.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    path
}

pub fn grey(folder: &Path) -> PathBuf {
    let path = folder.join("grey.png");
    image::GrayImage::from_pixel(64, 64, image::Luma([128])).save(&path).unwrap();
    path
}

/// The probabilities at a mean.
fn probabilities(mean: f64) -> [f64; 3] {
    let parts: [f64; 3] = std::array::from_fn(|i| (f64::from(SLOPES[i]) * mean + f64::from(OFFSETS[i])).exp());
    parts.map(|part| part / parts.iter().sum::<f64>())
}

/// The engine with that model and image, and its first frame.
fn opened(folder: &Path) -> (Engine, Arc<CaseInfo>, Arc<Frame>) {
    let engine = engine();
    engine.send(Request::OpenModel(classifier(folder)));
    engine.send(Request::Open { image: grey(folder), label: None, slice: Some(0) });
    let (case, frame) = next(&engine, |case, _| case.name == "grey");
    (engine, case, frame)
}

/// The next frame of a model that classifies whose case is as wanted, with that case.
fn next(engine: &Engine, wanted: impl Fn(&CaseInfo, &Frame) -> bool) -> (Arc<CaseInfo>, Arc<Frame>) {
    let mut last = None;
    wait(engine, |event| match event {
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Case(case) => {
            last = Some(case);
            None
        }
        Event::Frame(frame) if frame.scores.is_some() => {
            last.clone().filter(|case| wanted(case, &frame)).map(|case| (case, frame))
        }
        _ => None,
    })
}

#[test]
fn a_frame_carries_the_scores_of_every_class() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, case, frame) = opened(folder.path());
    assert_eq!((case.reference, case.truth_by), (Reference::CleanPrediction, TruthChoice::CleanDecision));
    let near = |found: &[f32], mean: f64| {
        let expected = probabilities(mean);
        assert_eq!(found.len(), 3);
        for (p, q) in found.iter().zip(expected) {
            assert!((f64::from(*p) - q).abs() < 1e-4, "{found:?}, not {expected:?}");
        }
    };
    let scores = frame.scores.clone().unwrap();
    assert_eq!((scores.truth, scores.target), (0, None));
    near(&scores.clean, MEAN);
    near(&scores.adversarial, MEAN - FOUR);
    assert!(frame.class_dice.is_none());
    for (epsilon, decided) in [(0.04, 0), (0.06, 1), (0.29, 1), (0.32, 2)] {
        engine.send(Request::Epsilon(epsilon));
        let frame = frame_at(&engine, epsilon);
        let decision = frame.adversarial_measure.decision.unwrap();
        assert_eq!((decision.predicted, decision.truth), (decided, 0), "at {epsilon}");
        near(&frame.scores.as_ref().unwrap().adversarial, MEAN - epsilon);
    }
}

#[test]
fn all_flips_are_found_on_the_axis_and_random_signs_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, ..) = opened(folder.path());
    let (mut clean, mut points, mut control): (Option<Measure>, Vec<CurvePoint>, Vec<CurvePoint>) =
        (None, Vec::new(), Vec::new());
    wait(&engine, |event| match event {
        Event::CurveStarted { clean: measure, .. } => {
            (clean, points, control) = (Some(measure), Vec::new(), Vec::new());
            None
        }
        Event::CurvePoint { series: Series::Attack, point, .. } => {
            points.push(point);
            None
        }
        Event::CurvePoint { series: Series::Control, point, .. } => {
            control.push(point);
            None
        }
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Job(status) if status.state == JobState::Finished => clean?.decision.map(|_| ()),
        _ => None,
    });
    let clean = clean.unwrap();
    points.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
    control.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
    let found = flips(&clean, &points);
    assert_eq!(found.iter().map(|f| (f.from, f.to)).collect::<Vec<_>>(), [(0, 1), (1, 2)], "{found:?}");
    for (flip, at) in found.iter().zip(FLIPS) {
        assert!(flip.after < at && at <= flip.at, "{flip:?} should hold {at}");
    }
    assert_eq!(flips(&clean, &control), []);
    // A decision that comes back is two flips.
    let mut back = points.clone();
    back.last_mut().unwrap().measure = points[0].measure;
    assert_eq!(flips(&clean, &back).last().map(|f| f.to), Some(0));
}

#[test]
fn the_true_class_and_the_target_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, ..) = opened(folder.path());
    engine.send(Request::Epsilon(0.1));
    frame_at(&engine, 0.1);
    engine.send(Request::Truth(TruthChoice::Chosen(1)));
    let (case, frame) = next(&engine, |case, _| case.truth_by == TruthChoice::Chosen(1));
    assert_eq!(case.reference, Reference::Label);
    assert!(!frame.clean.decision.unwrap().is_right(), "the model says the first class");
    assert_eq!(frame.scores.as_ref().unwrap().truth, 1);
    // Raising the loss of the second class makes the image brighter.
    assert!(frame.adversarial_measure.decision.unwrap().probability < frame.clean.decision.unwrap().probability);
    engine.send(Request::Truth(TruthChoice::CleanDecision));
    next(&engine, |case, _| case.truth_by == TruthChoice::CleanDecision);
    engine.send(Request::Target(Some(TargetWish::Class(2))));
    let (case, frame) = next(&engine, |case, _| case.target.is_some());
    assert_eq!((case.target.clone(), frame.scores.as_ref().unwrap().target), (Some(TargetWish::Class(2)), Some(2)));
    assert_eq!(frame.adversarial_measure.wished, Some(0.0));
    engine.send(Request::Epsilon(0.35));
    assert_eq!(frame_at(&engine, 0.35).adversarial_measure.wished, Some(1.0));
    // What the model does not know cannot be true, and nothing changes.
    engine.send(Request::Truth(TruthChoice::Chosen(3)));
    assert!(failure(&engine).contains("the model knows 3"));
    engine.send(Request::Epsilon(0.3));
    assert_eq!(frame_at(&engine, 0.3).scores.as_ref().unwrap().truth, 0);
}

/// MNIST's format: three images of 8², of the classes 1, 7 and 0.
fn idx(folder: &Path) -> PathBuf {
    let head = |kind: u8, dims: &[u32]| {
        let mut bytes = vec![0, 0, 8, kind];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes
    };
    let images = [head(3, &[3, 8, 8]), vec![60; 64], vec![128; 64], vec![200; 64]].concat();
    std::fs::write(folder.join("t-labels-idx1-ubyte"), [head(1, &[3]), vec![1, 7, 0]].concat()).unwrap();
    let path = folder.join("t-images-idx3-ubyte");
    std::fs::write(&path, images).unwrap();
    path
}

#[test]
fn the_data_set_says_what_is_true_where_the_model_knows_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, ..) = opened(folder.path());
    engine.send(Request::Open { image: idx(folder.path()), label: None, slice: Some(0) });
    let (case, frame) = next(&engine, |case, _| case.slices == 3);
    assert_eq!((case.truth_by, frame.scores.as_ref().unwrap().truth), (TruthChoice::Given, 1));
    assert!(frame.clean.decision.unwrap().is_right());
    engine.send(Request::Truth(TruthChoice::Chosen(2)));
    next(&engine, |case, _| case.truth_by == TruthChoice::Chosen(2));
    engine.send(Request::Slice(1));
    let (case, frame) = next(&engine, |case, _| case.slice == 1);
    assert_eq!(case.class.as_ref().map(|class| class.index), Some(7));
    assert_eq!((case.truth_by, frame.scores.as_ref().unwrap().truth), (TruthChoice::CleanDecision, 0));
    engine.send(Request::Slice(2));
    let (case, frame) = next(&engine, |case, _| case.slice == 2);
    assert_eq!((case.truth_by, frame.scores.as_ref().unwrap().truth), (TruthChoice::Given, 0));
}

#[test]
fn exports_of_a_classifier_are_written_or_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, ..) = opened(folder.path());
    wait(&engine, |event| matches!(event, Event::Job(s) if s.state == JobState::Finished).then_some(()));
    let file = |name: &str| folder.path().join(name);
    for wish in [
        Export::CurveCsv(file("curve.csv")),
        Export::CurveFigure(file("curve.svg"), Box::default()),
        Export::Adversarial(file("adversarial.png")),
        Export::Views(file("views.png")),
    ] {
        engine.send(Request::Export(wish.clone()));
        let report = wait(&engine, |event| match event {
            Event::Exported(report) => Some(report),
            Event::Failed(problem) => panic!("{wish:?}: {problem:?}"),
            _ => None,
        });
        assert!(report.path.metadata().unwrap().len() > 100, "{wish:?}");
    }
    let csv = std::fs::read_to_string(file("curve.csv")).unwrap();
    assert!(csv.lines().count() > 20 && csv.lines().next().unwrap().contains("chosen_class"), "{csv}");
    engine.send(Request::Export(Export::PredictedMask(file("mask.png"))));
    assert!(failure(&engine).contains("predicts no mask"));
    assert!(!file("mask.png").exists());
}

#[test]
fn several_classes_have_their_own_dice_and_one_of_them_can_be_erased() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new(17)
        .input("x", &[1, 1, 0, 0])
        .weight("w", &[3, 1, 1, 1], &SLOPES)
        .weight("b", &[3], &OFFSETS)
        .node("Conv", &["x", "w", "b"], &["z"])
        .output("z");
    let path = folder.path().join("levels.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    // Three bands: of class 2, 1 and 0.
    let bands = folder.path().join("bands.png");
    image::GrayImage::from_fn(96, 32, |x, _| image::Luma([[20, 80, 180][x as usize / 32]])).save(&bands).unwrap();
    engine.send(Request::OpenModel(path));
    engine.send(Request::Open { image: bands, label: None, slice: Some(0) });
    let dice = |frame: &Frame| frame.class_dice.clone();
    let frame = wait(&engine, |event| match event {
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Frame(frame) => dice(&frame).is_some().then_some(frame),
        _ => None,
    });
    assert_eq!(&*dice(&frame).unwrap().clean, [Some(1.0); 3], "the clean prediction agrees with itself");
    engine.send(Request::Target(Some(TargetWish::Erase(1))));
    engine.send(Request::Epsilon(0.15));
    let frame = wait(&engine, |event| match event {
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Frame(frame) => (frame.epsilon == 0.15 && frame.adversarial_measure.wished.is_some()).then_some(frame),
        _ => None,
    });
    // 80/255 is 0.31: 0.14 brighter it would be of class 0, the one that takes the erased one's place.
    assert_eq!(frame.adversarial_measure.wished, Some(1.0));
    assert_eq!(dice(&frame).unwrap().adversarial[1], Some(0.0));
}

/// A frame of ten classes.
fn ten_classes() -> epsiloscope::workbench::State {
    let mut state = state(FGSM, FOUR);
    let names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    let card = ModelCard {
        name: "resnet20".to_owned(),
        task: Task::Classification,
        classes: names.map(ClassInfo::new).to_vec(),
        ..ModelCard::default()
    };
    let clean = [0.004, 0.002, 0.03, 0.91, 0.012, 0.03, 0.006, 0.004, 0.001, 0.001];
    let adversarial = [0.004, 0.001, 0.06, 0.12, 0.015, 0.77, 0.02, 0.006, 0.002, 0.002];
    let scores = ClassScores { clean: clean.into(), adversarial: adversarial.into(), truth: 3, target: Some(5) };
    let frame = (**state.frame.as_ref().unwrap()).clone();
    state.frame = Some(Arc::new(Frame { scores: Some(scores), ..frame }));
    state.model = Some(Arc::new(card));
    state
}

#[test]
fn the_bars_of_ten_classes_look_as_they_did() {
    let options = SnapshotOptions::new().threshold(0.8).max_failed_pixels(8_usize);
    compare([760.0, 520.0], ten_classes()).snapshot_options("classes", &options);
}

#[test]
fn bars_are_told_to_those_who_do_not_see_them() {
    let harness = compare([760.0, 520.0], ten_classes());
    assert!(shows(&harness, "Decision cat → dog. True class cat"));
    assert!(
        shows(&harness, "cat: P 91.0 → 12.0 %, true class") && shows(&harness, "dog: P 3.0 → 77.0 %, target class")
    );
    assert!(!shows(&harness, "Segmentation"), "there are no masks");
    assert!(shows(&harness, "Original: cat 91.0 %") && shows(&harness, "Adversarial: dog 77.0 %"));
}
