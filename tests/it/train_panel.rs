//! Training in the window, by its accessible labels: the curve grows, ε answers, a training is paused, cancelled and gone on
//! with, and its model is opened.

use super::app::{open, wait, wait_current};
use super::stage::{FGSM, FOUR, Panel, picture_rect, settle, shows, stage, state};
use super::train_engine::{tiny, weights};
use eframe::egui::{Role, ViewportEvent, ViewportId};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use epsiloscope::engine::{Plane, Preview, PreviewPicture, Problem, TrainNews, TrainSample, TrainStart, TrainSteps};
use epsiloscope::train::{Ending, EpochRecord, PreviewKind, Validation};
use epsiloscope::workbench::train::{StudyDraft, TrainCommand, TrainDraft, TrainPage, TrainPanel, TrainPhase};
use epsiloscope::workbench::{App, Command, Options, State};
use std::path::Path;

fn says(harness: &Harness<'static, App>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

fn click(harness: &mut Harness<'static, App>, label: &str) {
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::Button, label).scroll_to_me();
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, label).click();
    harness.run_steps(2);
}

/// Points of the plot of the loss, as its name says.
fn points(harness: &Harness<'static, App>) -> usize {
    let node = harness.query_all_by_label_contains("Loss over epochs, ").next();
    let label = node.and_then(|n| n.accesskit_node().label()).unwrap_or_default();
    label.split(' ').nth(3).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn draft(harness: &mut Harness<'static, App>, epochs: usize, out: &Path) {
    let draft = TrainDraft { recipe: tiny(epochs), out: out.to_owned(), ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(draft))));
    harness.state().send(Command::Train(TrainCommand::Show(TrainPage::Training)));
    harness.run_steps(3);
}

fn phase(app: &App) -> Option<TrainPhase> {
    app.state.training.live.as_ref().map(|live| live.phase.clone())
}

#[test]
fn a_model_is_trained_paused_cancelled_gone_on_with_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parted) = (folder.path().join("whole.safetensors"), folder.path().join("parted.safetensors"));
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    draft(&mut harness, 10, &whole);
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    click(&mut harness, "Start training");
    wait(&mut harness, "the end", |app| phase(app) == Some(TrainPhase::Ended(Ending::Finished)));

    draft(&mut harness, 10, &parted);
    click(&mut harness, "Start training");
    let epoch = |app: &App, n: usize| app.state.training.live.as_ref().is_some_and(|live| live.records.len() >= n);
    wait(&mut harness, "an epoch", |app| phase(app) == Some(TrainPhase::Running) && epoch(app, 1));
    harness.run_steps(2);
    let first = points(&harness);
    assert!(first > 0 && says(&harness, "Prediction of synthetic"));
    wait(&mut harness, "another epoch", |app| epoch(app, 2));
    harness.run_steps(2);
    assert!(points(&harness) > first, "the curve grows: {first} points at first");
    click(&mut harness, "Pause training");
    wait(&mut harness, "the pause", |app| phase(app) == Some(TrainPhase::Paused));
    assert!(says(&harness, "Paused: epoch"));
    click(&mut harness, "Continue training");
    wait(&mut harness, "it going on", |app| phase(app) != Some(TrainPhase::Paused));
    // ε answers while it trains.
    harness.state().send(Command::Epsilon(0.02));
    wait_current(&mut harness);
    assert!(phase(harness.state()) == Some(TrainPhase::Running), "{:?}", phase(harness.state()));
    // Closing asks.
    let close = |harness: &mut Harness<'static, App>| {
        let root = harness.input_mut().viewports.entry(ViewportId::ROOT).or_default();
        root.events.push(ViewportEvent::Close);
        harness.step();
        harness.input_mut().viewports.entry(ViewportId::ROOT).or_default().events.clear();
        harness.run_steps(2);
    };
    close(&mut harness);
    assert!(says(&harness, "Keep the checkpoint and quit"));
    click(&mut harness, "Keep training");
    assert!(!says(&harness, "Keep the checkpoint and quit"));
    click(&mut harness, "Cancel training");
    wait(&mut harness, "the end", |app| phase(app) == Some(TrainPhase::Ended(Ending::Cancelled)));
    // As if the window had been opened anew: it is found where its weights are to be.
    harness.state_mut().state.training.live = None;
    wait(&mut harness, "what can be gone on with", |app| !app.state.training.unfinished.is_empty());
    click(&mut harness, "Resume parted.safetensors");
    wait(&mut harness, "the end", |app| phase(app) == Some(TrainPhase::Ended(Ending::Finished)));
    assert!(weights(&whole) == weights(&parted), "the weights differ from those of an uninterrupted training");
    click(&mut harness, "Open this model");
    wait(&mut harness, "the model", |app| app.state.model.as_ref().is_some_and(|model| model.name == "parted"));
    wait_current(&mut harness);
}

#[test]
fn what_is_wrong_is_said_and_a_form_can_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    let mut recipe = tiny(2);
    recipe.training.crop = Some(33);
    let wrong = TrainDraft { recipe, out: folder.path().join("a.safetensors"), ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(wrong))));
    harness.state().send(Command::Train(TrainCommand::Show(TrainPage::Training)));
    harness.run_steps(3);
    assert!(says(&harness, "a crop of 33 pixels is not a multiple of 4"));
    click(&mut harness, "Reset crop");
    wait(&mut harness, "the default", |app| app.state.training.draft.recipe.training.crop.is_none());
    harness.run_steps(2);
    assert!(!says(&harness, "is not a multiple"));
    // One crop fits into a MiB.
    let mut recipe = tiny(2);
    recipe.network.batch_norm = Some(true);
    (recipe.training.batch, recipe.training.memory_mib) = (Some(8), Some(1));
    let budget = TrainDraft { recipe, out: folder.path().join("a.safetensors"), ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(budget))));
    harness.run_steps(3);
    assert!(says(&harness, "The memory budget parts each batch of 8 into pieces of at most 1"));
    // A folder without masks.
    let mut recipe = tiny(2);
    recipe.data.synthetic = None;
    recipe.data.path = Some(folder.path().to_owned());
    std::fs::copy(super::app::sample_file("membranes.png"), folder.path().join("a.png")).unwrap();
    let draft = TrainDraft { recipe, out: folder.path().join("a.safetensors"), ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(draft))));
    click(&mut harness, "Preview crops");
    wait(&mut harness, "the refusal", |app| app.state.training.refused.is_some());
    harness.run_steps(2);
    assert!(says(&harness, "none has a mask"));
    click(&mut harness, "Start training");
    wait(&mut harness, "the failure", |app| matches!(phase(app), Some(TrainPhase::Failed(_))));
    harness.run_steps(2);
    assert!(says(&harness, "Failed"));
}

#[test]
fn a_study_states_its_cost_is_cancelled_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for seed in 1..=6 {
        let section = epsiloscope::data::synthetic::MembranesConfig::sized(64).section(seed);
        for (name, bytes) in [("", &section.image), ("_mask", &section.label)] {
            let pixels = bytes.iter().map(|&v| f32::from(v)).collect::<Vec<f32>>();
            let image = epsiloscope::data::Image::new(1, 64, 64, pixels).unwrap();
            let path = data.join(format!("s{seed}{name}.png"));
            epsiloscope::data::write_png(&path, &image, epsiloscope::data::StoredType::U8).unwrap();
        }
    }
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    let unseen = folder.path().join("thresholds.csv");
    let head = "observer,image,attack,task,trials,threshold,threshold_lower,threshold_upper";
    std::fs::write(&unseen, format!("{head}\nAda,s1,fgsm,2afc,120,0.02,0.015,0.03\n")).unwrap();
    let epochs = Some(2);
    let study = StudyDraft { data, out: folder.path().join("report"), unseen, epochs, ..StudyDraft::default() };
    let draft = TrainDraft { study, ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(draft))));
    harness.state().send(Command::Train(TrainCommand::Show(TrainPage::Study)));
    harness.run_steps(3);
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    click(&mut harness, "Find the cost");
    wait(&mut harness, "the cost", |app| app.state.training.price.is_some());
    harness.run_steps(2);
    assert!(says(&harness, "Cost: 4 trainings of") && says(&harness, "FLOP in all"));
    click(&mut harness, "Start study");
    let lines = |app: &App| app.state.training.study.as_ref().map_or(0, |study| study.lines.len());
    wait(&mut harness, "an epoch", |app| lines(app) >= 3);
    click(&mut harness, "Cancel study");
    let ended = |app: &App| app.state.training.study.as_ref().is_some_and(|study| study.ended.is_some());
    wait(&mut harness, "the end", ended);
    harness.run_steps(2);
    if says(&harness, "cancelled. What is done stays") {
        click(&mut harness, "Resume study");
        wait(&mut harness, "it going on", |app| !ended(app));
        wait(&mut harness, "the end", ended);
        harness.run_steps(2);
    }
    assert!(says(&harness, "Open the report"), "{:?}", harness.state().state.training.study);
    let report = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(report.contains("Ada, 120 trials on s1 under fgsm: threshold ε = "), "what the observer saw is told");
    assert!(report.contains("--quick --epochs 2 "), "the command that does the same says the epochs");
}

#[test]
fn a_study_of_several_data_sets_has_a_line_for_each() {
    let mut harness = open(Options::default(), None);
    wait_current(&mut harness);
    let study = StudyDraft { name: "inverse-fgsm".to_owned(), data: "cells".into(), ..StudyDraft::default() };
    let draft = TrainDraft { study, ..TrainDraft::default() };
    harness.state().send(Command::Train(TrainCommand::Draft(Box::new(draft))));
    harness.state().send(Command::Train(TrainCommand::Show(TrainPage::Study)));
    harness.run_steps(3);
    let unset = harness.query_all_by_label("as the study says").count();
    assert!(unset >= 2, "epochs and seeds are left out, and not off: {unset}");
    click(&mut harness, "Add a data set");
    harness.run_steps(3);
    let study = |harness: &Harness<'_, App>| harness.state().state.training.draft.study.clone();
    assert_eq!(study(&harness).more.len(), 1);
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    // A path that is browsed for goes where it was asked for.
    let wanted = epsiloscope::workbench::train::TrainPath::StudyData(1);
    let given = TrainCommand::Given(wanted, "ct".into());
    harness.state().send(Command::Train(given));
    harness.run_steps(2);
    assert_eq!((study(&harness).data, study(&harness).more[0].data.clone()), ("cells".into(), "ct".into()));
    // What was refused of other data is no longer said.
    let why = "inverse-fgsm needs at least 2 patients or volumes; ct has 1".to_owned();
    let problem = Problem { what: "Study".to_owned(), why };
    harness.state_mut().state.training.hear(TrainNews::Refused(problem));
    harness.run_steps(2);
    assert!(says(&harness, "needs at least 2 patients"));
    click(&mut harness, "Drop data set 2");
    harness.run_steps(2);
    assert!(!says(&harness, "needs at least 2 patients"));
    harness.run_steps(2);
    assert!(study(&harness).more.is_empty());
}

#[test]
fn a_preview_stands_above_what_runs_with_clean_sample_and_target_apart() {
    let mut state = trained();
    let side = 48;
    let plane = |value: f32| Plane::from_host(1, side, side, vec![value; side * side]);
    let crop = |crop, kind, clean: Option<f32>| PreviewPicture {
        kind,
        crop,
        clean: clean.map(plane),
        image: plane(0.6),
        target: plane(1.0),
    };
    state.training.hear(TrainNews::Preview(Box::new(Preview {
        recipe: state.training.draft.recipe.clone(),
        data: "synthetic membranes".to_owned(),
        note: None,
        held_out: 8,
        steps_per_epoch: 16,
        cost: "12.0 TFLOP".to_owned(),
        parameters: 1_900_000,
        crops: vec![crop(0, PreviewKind::Appended, Some(0.5)), crop(1, PreviewKind::Crop, None)],
    })));
    let mut harness = stage([1000.0, 900.0], state, Panel::Pane(Box::new(TrainPanel::default())));
    let [clean, sample, target] =
        ["Crop 1", "Sample of crop 1", "Target of crop 1"].map(|name| picture_rect(&harness, name));
    assert!(clean.right() <= sample.left() && sample.right() <= target.left(), "{clean} {sample} {target}");
    assert!(clean.top() == sample.top() && sample.top() == target.top());
    // 48 pixels are shown twice as large, and the second crop, which has no sample, has its target at once beside it.
    assert_eq!(clean.width(), 96.0);
    assert!(picture_rect(&harness, "Target of crop 2").left() < picture_rect(&harness, "Crop 2").right() + 8.0);
    assert!(target.bottom() < picture_rect(&harness, "Loss over epochs").top(), "the preview is above the curves");
    assert!(shows(&harness, "Next weights"), "the file of the training above is another one");
    // The colours of the predictions are explained beside them, which fill their row.
    for words in ["predicted, not in the label", "in the label, not predicted"] {
        assert!(shows(&harness, words), "{words}");
    }
    assert!(picture_rect(&harness, "Prediction of synthetic 0").width() > 125.0);
    harness.get_by_role_and_label(Role::Button, "Close the preview").click();
    settle(&mut harness);
    let closes = |command: &Command| matches!(command, Command::Train(TrainCommand::ClosePreview));
    assert!(harness.state().log.iter().any(closes));
}

#[test]
fn nothing_is_changed_on_a_first_start() {
    let mut harness = stage([1000.0, 900.0], state(FGSM, FOUR), Panel::Pane(Box::new(TrainPanel::default())));
    harness.step();
    let active = harness.query_all_by_role(Role::Button).filter(|node| {
        let node = node.accesskit_node();
        node.label().is_some_and(|label| label.starts_with("Reset")) && !node.is_disabled()
    });
    let names: Vec<String> = active.filter_map(|node| node.accesskit_node().label()).collect();
    assert_eq!(names, Vec::<String>::new(), "ways back to a default that is there already");
}

/// A training in its seventh epoch, made up.
pub fn trained() -> State {
    let mut state = state(FGSM, FOUR);
    let training = &mut state.training;
    let recipe = training.draft.recipe.clone();
    training.hear(TrainNews::Preparing { out: "trained.safetensors".into() });
    training.hear(TrainNews::Started(Box::new(TrainStart {
        out: "trained.safetensors".into(),
        recipe,
        data: "synthetic membranes, 128 fresh sections an epoch from seed 1".to_owned(),
        note: None,
        held_out: 8,
        steps: (0, 160),
        epochs: 10,
        cost: "12.0 TFLOP".to_owned(),
        history: Vec::new(),
    })));
    let losses: Vec<(usize, f32)> = (1..=100)
        .map(|step| (step, 0.3 + 0.9 * (-(step as f32) / 30.0).exp() + 0.05 * ((step * 7 % 13) as f32 / 13.0 - 0.5)))
        .collect();
    training.hear(TrainNews::Steps(TrainSteps {
        losses,
        epoch: 7,
        learning_rate: 4.2e-4,
        crops_per_second: 34.2,
        remaining_secs: 84.0,
    }));
    for epoch in 1..=6 {
        let x = epoch as f64;
        let dice = 0.86 - 0.5 * (-x / 2.0).exp();
        let (miou_image, miou_dataset) = (0.8, 0.8);
        let iou = dice / (2.0 - dice);
        let validation = Validation { images: 8, dice, iou, miou_image, miou_dataset, wrong: 0.1, empty: 0.0 };
        let loss = 0.3 + 0.9 * (-x * 16.0 / 30.0).exp();
        let record = EpochRecord { epoch, loss, learning_rate: 1e-3, validation: Some(validation), improved: true };
        let plane = |value: &dyn Fn(usize, usize) -> f32| {
            let values: Vec<f32> = (0..64 * 64).map(|i| value(i % 64, i / 64)).collect();
            Plane::from_host(1, 64, 64, values)
        };
        let ring = |x: usize, y: usize, r: f32| {
            let d = (x as f32 - 32.0).hypot(y as f32 - 32.0);
            f32::from(u8::from((d - r).abs() < 3.0))
        };
        let samples = (0..4)
            .map(|i| TrainSample {
                name: format!("synthetic {i}"),
                image: plane(&|x, y| 0.7 - 0.5 * ring(x, y, 14.0 + i as f32)),
                label: plane(&|x, y| ring(x, y, 14.0 + i as f32)),
                predicted: plane(&|x, y| ring(x, y, 15.5 + i as f32)),
            })
            .collect();
        training.hear(TrainNews::Epoch { record, samples });
    }
    state
}

/// The panel over it.
pub fn panel(size: [f32; 2]) -> Harness<'static, super::stage::Stage> {
    stage(size, trained(), Panel::Pane(Box::new(TrainPanel::default())))
}
