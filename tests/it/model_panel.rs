//! The window with models of other people: what was guessed is shown, a card is tried, undone and saved; a model that
//! classifies shows its decision.

use super::app::{open, wait, wait_current};
use super::classes::{classifier, grey};
use super::models::segmenter;
use burn::tensor::Device;
use eframe::egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::engine::{Request, TruthChoice};
use epsiloscope::model::ModelCard;
use epsiloscope::workbench::{App, Command, Options};

fn says(harness: &Harness<'static, App>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

#[test]
fn window_shows_what_was_guessed_tries_a_card_and_saves_it_on_wish() {
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "grey.onnx", 1);
    let mut harness = open(Options { model: Some(path.clone()), ..Options::default() }, None);
    let of = path.clone();
    wait(&mut harness, "the model", move |app| app.state.card.file.as_ref() == Some(&of));
    wait_current(&mut harness);
    harness.run_steps(3);
    assert!(says(&harness, "No card lies beside this model"), "the panel has come to the front");
    assert!(says(&harness, "Conv\u{a0}×1") && says(&harness, "MFLOP"));
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    let mut card = (*harness.state().state.model.clone().unwrap()).clone();
    card.input.range = [0.0, 2.0];
    harness.state().send(Command::Card(Box::new(card)));
    let range = |app: &App| app.state.model.as_ref().unwrap().input.range;
    wait(&mut harness, "the wished card", move |app| range(app) == [0.0, 2.0]);
    harness.run_steps(2);
    assert!(says(&harness, "In use, not saved; would be grey.toml"));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    wait(&mut harness, "the card before", move |app| range(app) == [0.0, 1.0]);
    assert!(!path.with_extension("toml").exists());
    harness.run_steps(2);
    harness.get_by_label("Confirm and save").scroll_to_me();
    harness.run_steps(4);
    harness.get_by_label("Confirm and save").click();
    let toml = path.with_extension("toml");
    wait(&mut harness, "the file", move |_| toml.exists());
    wait(&mut harness, "the news of it", |app| app.state.card.saved.is_some());
    harness.run_steps(2);
    assert!(says(&harness, "Saved in grey.toml") && !says(&harness, "No card lies beside this model"));
    wait_current(&mut harness);
}

#[test]
fn window_opens_a_model_whose_card_is_wrong_and_says_why_it_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "grey.onnx", 1);
    let guessed = epsiloscope::model::open(&path, &Device::flex()).unwrap().card().clone();
    let toml = path.with_extension("toml");
    epsiloscope::model::write_card(&toml, &ModelCard { channels: 3, ..guessed }).unwrap();
    let mut harness = open(Options { model: Some(path.clone()), ..Options::default() }, None);
    let of = path.clone();
    wait(&mut harness, "the model", move |app| app.state.card.file.as_ref() == Some(&of));
    wait_current(&mut harness);
    harness.run_steps(3);
    assert!(says(&harness, "The card beside this model is not used"));
    assert!(says(&harness, "grey.toml: the model card cannot be used: it says 3 channels"));
    harness.get_by_label("Confirm and save").scroll_to_me();
    harness.run_steps(4);
    harness.get_by_label("Confirm and save").click();
    wait(&mut harness, "the file", |app| app.state.card.saved.is_some());
    assert_eq!(epsiloscope::model::read_card(&toml).unwrap().channels, 1);
}

#[test]
fn window_of_a_classifier_shows_its_decision_in_place_of_masks() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { model: Some(classifier(folder.path())), image: Some(grey(folder.path())), ..Options::default() };
    let mut harness = open(options, None);
    wait(&mut harness, "a decision", |app| app.state.frame.as_ref().is_some_and(|frame| frame.scores.is_some()));
    harness.state().send(Command::Epsilon(0.1));
    wait_current(&mut harness);
    harness.run_steps(3);
    assert!(says(&harness, "Decision class 0 → class 1. True class class 0, which is the model’s own clean decision"));
    assert!(says(&harness, "class 1: P 25") || says(&harness, "class 1: P 26"));
    assert!(!says(&harness, "Segmentation of the original"));
    assert_eq!(harness.unnamed_widgets(), Vec::<String>::new());
    harness.state().send(Command::Engine(Request::Truth(TruthChoice::Chosen(1))));
    wait(&mut harness, "the chosen class", |app| {
        app.state.case.as_ref().is_some_and(|case| case.truth_by == TruthChoice::Chosen(1))
    });
    wait_current(&mut harness);
    harness.run_steps(3);
    assert!(says(&harness, "True class class 1, as chosen"));
}
