//! Models and their cards in the engine: read beside the ticks, waited for by images, used as a card says, saved on wish.

use super::engine::{engine, failure, frame_at, wait};
use super::onnx_file::Model;
use epsiloscope::attack::Attack;
use epsiloscope::engine::{Engine, Event, Request};
use epsiloscope::model::{About, ModelCard, SizeRule, read_card};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

const FOUR: f64 = 4.0 / 255.0;

/// A segmenter of `channels`: one logit, 20·(mean of the channels) − 10.
pub fn segmenter(folder: &Path, name: &str, channels: i64) -> PathBuf {
    let weight = vec![20.0 / channels as f32; channels as usize];
    let model = Model::new(17)
        .input("x", &[1, channels, 0, 0])
        .weight("w", &[1, channels, 1, 1], &weight)
        .weight("b", &[1], &[-10.0])
        .node("Conv", &["x", "w", "b"], &["z"])
        .output("z");
    let path = folder.join(name);
    std::fs::write(&path, model.bytes()).unwrap();
    path
}

fn model(engine: &Engine) -> (Arc<ModelCard>, Arc<About>) {
    wait(engine, |event| match event {
        Event::Model(card, about) => Some((card, about)),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    })
}

#[test]
fn a_model_is_read_beside_the_ticks_and_can_be_cancelled() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "grey.onnx", 1);
    model(&engine);
    frame_at(&engine, FOUR);
    engine.send(Request::OpenModel(path.clone()));
    engine.send(Request::CancelModel);
    engine.send(Request::Epsilon(0.02));
    let mut models = 0;
    wait(&engine, |event| match event {
        Event::Model(..) => {
            models += 1;
            None
        }
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Frame(frame) => (frame.epsilon == 0.02).then_some(()),
        _ => None,
    });
    assert_eq!(models, 0, "a cancelled model does not come");
    engine.send(Request::OpenModel(path.clone()));
    let (card, about) = model(&engine);
    assert_eq!((card.channels, about.facts.path.as_deref()), (1, Some(&*path)));
    assert!(about.facts.guessed.len() >= 2 && about.operators == [("Conv".to_owned(), 1)], "{about:?}");
    let frame = frame_at(&engine, 0.02);
    assert!(frame.clean.overlap.dice < 0.9, "another model sees something else");
}

#[test]
fn the_present_pictures_stay_until_another_model_has_looked() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    model(&engine);
    let before = frame_at(&engine, FOUR).clean.overlap.dice;
    let bad = folder.path().join("bad.onnx");
    std::fs::write(&bad, "no graph").unwrap();
    engine.send(Request::OpenModel(bad));
    let why = wait(&engine, |event| match event {
        Event::Early(_) | Event::Case(_) | Event::Model(..) => {
            panic!("something else is shown for a model that is none")
        }
        Event::Failed(problem) => Some(problem.why),
        _ => None,
    });
    assert!(why.contains("bad.onnx"), "{why}");
    engine.send(Request::Epsilon(0.02));
    assert_eq!(frame_at(&engine, 0.02).clean.overlap.dice, before, "the model before is still there");
    engine.send(Request::OpenModel(segmenter(folder.path(), "grey.onnx", 1)));
    let frame = wait(&engine, |event| match event {
        Event::Early(_) => panic!("the pictures are taken away before the new model's are there"),
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Frame(frame) => Some(frame),
        _ => None,
    });
    assert_ne!(frame.clean.overlap.dice, before, "another model sees something else");
}

#[test]
fn a_model_without_gradient_is_shown_with_random_signs_and_says_why() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = super::onnx_gradients::thresholded(folder.path());
    model(&engine);
    frame_at(&engine, FOUR);
    engine.send(Request::OpenModel(path));
    let (mut method, mut why, mut tried) = (None, None, false);
    let about = wait(&engine, |event| match event {
        Event::TryingModel => {
            tried = true;
            None
        }
        Event::Model(_, about) => Some(about),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert!(tried && about.facts.notes.iter().any(|note| note.contains("Greater (node the Greater)")), "{about:?}");
    let frame = wait(&engine, |event| match event {
        Event::Attack(changed) => {
            method = Some(changed);
            None
        }
        Event::Failed(problem) => {
            why = Some(problem);
            None
        }
        Event::Frame(frame) => (Some(frame.method) == method).then_some(frame),
        _ => None,
    });
    assert!(!frame.method.entry().gradient, "{:?}", frame.method);
    let why = why.unwrap();
    assert!(why.what == "FGSM" && why.why.contains("gradient does not") && why.why.contains("Random signs"), "{why:?}");
    // Who chooses it again hears why not, and what was shown stays.
    engine.send(Request::Attack(Attack::FGSM));
    assert!(failure(&engine).contains("the Greater"));
    // With a model that has a gradient it is back.
    engine.send(Request::OpenModel(segmenter(folder.path(), "grey.onnx", 1)));
    assert_eq!(chosen(&engine), Attack::FGSM);
    assert_eq!(frame_at(&engine, FOUR).method, Attack::FGSM);
}

/// The next attack that the engine chooses on its own.
fn chosen(engine: &Engine) -> Attack {
    wait(engine, |event| match event {
        Event::Attack(method) => Some(method),
        _ => None,
    })
}

#[test]
fn the_attack_that_a_model_without_gradient_put_aside_comes_back_unless_another_was_chosen() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let without = super::onnx_gradients::thresholded(folder.path());
    let grey = segmenter(folder.path(), "grey.onnx", 1);
    let of = |name: &str| Attack::named(name).unwrap();
    let bim = of("bim");
    engine.send(Request::Attack(bim));
    frame_at(&engine, FOUR);
    engine.send(Request::OpenModel(without.clone()));
    let signs = chosen(&engine);
    assert!(!signs.entry().gradient);
    wait(&engine, |event| matches!(event, Event::Frame(frame) if frame.method == signs).then_some(()));
    engine.send(Request::OpenModel(grey.clone()));
    assert_eq!(chosen(&engine), bim);
    wait(&engine, |event| matches!(event, Event::Frame(frame) if frame.method == bim).then_some(()));
    // What is chosen by hand meanwhile stays.
    engine.send(Request::OpenModel(without));
    chosen(&engine);
    let noise = of("gaussian-noise");
    engine.send(Request::Attack(noise));
    wait(&engine, |event| matches!(event, Event::Frame(frame) if frame.method == noise).then_some(()));
    engine.send(Request::OpenModel(grey));
    let frame = wait(&engine, |event| match event {
        Event::Attack(method) => panic!("{method:?}"),
        Event::Frame(frame) => Some(frame),
        _ => None,
    });
    assert_eq!(frame.method, noise);
}

/// A segmenter of many layers: its first prediction takes a while.
fn deep(folder: &Path) -> PathBuf {
    const LAYERS: usize = 60;
    let (wide, kernel) = (16, vec![0.01; 16 * 16 * 9]);
    let mut model = Model::new(17)
        .input("x", &[1, 1, 0, 0])
        .weight("first", &[wide, 1, 1, 1], &[0.1; 16])
        .weight("last", &[1, wide, 1, 1], &[0.1; 16])
        .weight("w", &[wide, wide, 3, 3], &kernel)
        .node("Conv", &["x", "first"], &["y0"]);
    for i in 0..LAYERS {
        let names = [format!("y{i}"), format!("y{}", i + 1)];
        model = model.node_with("Conv", &[&names[0], "w"], &[&names[1]], &[("pads", &[1, 1, 1, 1])]);
    }
    let path = folder.join("deep.onnx");
    let model = model.node("Conv", &[&format!("y{LAYERS}"), "last"], &["z"]).output("z");
    std::fs::write(&path, model.bytes()).unwrap();
    path
}

#[test]
fn a_first_prediction_is_given_up_at_its_next_node() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = deep(folder.path());
    let (bundled, _) = model(&engine);
    frame_at(&engine, FOUR);
    let trying = || {
        wait(&engine, |event| match event {
            Event::Failed(problem) => panic!("{problem:?}"),
            event => matches!(event, Event::TryingModel).then(Instant::now),
        })
    };
    engine.send(Request::OpenModel(path.clone()));
    let start = trying();
    engine.send(Request::CancelModel);
    engine.send(Request::Epsilon(0.02));
    let frame = wait(&engine, |event| match event {
        Event::Model(card, _) => panic!("{} came all the same", card.name),
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Frame(frame) => (frame.epsilon == 0.02).then_some(frame),
        _ => None,
    });
    let given_up = start.elapsed();
    assert!(frame.clean.overlap.dice > 0.8, "the bundled model’s");
    engine.send(Request::OpenModel(path));
    let start = trying();
    let (card, _) = model(&engine);
    let whole = start.elapsed();
    assert!(card.name != bundled.name);
    println!("given up after {given_up:?}, a whole first prediction takes {whole:?}");
    assert!(given_up < whole / 2, "{given_up:?} of {whole:?}");
}

#[test]
fn an_image_waits_for_the_model_that_is_meant_for_it() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "colour.onnx", 3);
    let colours = folder.path().join("colours.png");
    image::RgbImage::from_fn(32, 24, |x, y| image::Rgb([(x * 8) as u8, (y * 10) as u8, 90])).save(&colours).unwrap();
    model(&engine);
    frame_at(&engine, FOUR);
    // Alone, it does not fit the bundled model, which is grey.
    engine.send(Request::Open { image: colours.clone(), label: None, slice: Some(0) });
    assert!(failure(&engine).contains("3 channels"));
    engine.send(Request::OpenModel(path));
    engine.send(Request::Open { image: colours, label: None, slice: Some(0) });
    let mut case = None;
    let frame = wait(&engine, |event| match event {
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Case(info) => {
            case = Some(info);
            None
        }
        Event::Frame(frame) => (frame.original.channels == 3).then_some(frame),
        _ => None,
    });
    assert_eq!((case.unwrap().name.as_str(), frame.original.width), ("colours", 32));
}

#[test]
fn a_card_is_used_before_it_is_saved_and_only_for_its_model() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "grey.onnx", 1);
    model(&engine);
    frame_at(&engine, FOUR);
    engine.send(Request::OpenModel(path.clone()));
    let (card, _) = model(&engine);
    let before = frame_at(&engine, FOUR);
    let mut wished = (*card).clone();
    wished.input.range = [0.0, 2.0];
    wished.size_rule = SizeRule::Any;
    let of = Some(path.clone());
    engine.send(Request::Card { of: Some("another.onnx".into()), card: Box::new(ModelCard::default()) });
    engine.send(Request::Card { of: of.clone(), card: Box::new(wished.clone()) });
    let (used, about) = model(&engine);
    assert_eq!(*used, wished);
    assert!(about.parameters == 2, "{about:?}");
    let frame = frame_at(&engine, FOUR);
    let pixels = |frame: &epsiloscope::engine::Frame| frame.clean_probability.values().unwrap().to_vec();
    // Twice the range: what was seen of half as bright a pixel is seen of it now.
    let brighter = pixels(&before).iter().zip(pixels(&frame)).filter(|(b, f)| **b < *f).count();
    assert!(brighter > 10_000, "{brighter} pixels are seen otherwise");
    assert!(!path.with_extension("toml").exists(), "nothing is written before it is asked for");
    engine.send(Request::SaveCard);
    let saved = wait(&engine, |event| match event {
        Event::CardSaved(path) => Some(path),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert_eq!(saved, path.with_extension("toml"));
    assert_eq!(read_card(&saved).unwrap(), wished);
    // A card that the network contradicts is refused, and the one in use stays.
    let wrong = ModelCard { channels: 3, ..wished.clone() };
    engine.send(Request::Card { of, card: Box::new(wrong) });
    assert!(failure(&engine).contains("3 channels and the graph takes 1"));
    engine.send(Request::Epsilon(0.03));
    let frame = frame_at(&engine, 0.03);
    assert_eq!(frame.clean.overlap, frame_at_zero(&engine).clean.overlap);
}

fn frame_at_zero(engine: &Engine) -> Arc<epsiloscope::engine::Frame> {
    engine.send(Request::Epsilon(0.0));
    frame_at(engine, 0.0)
}

#[test]
fn a_card_where_nothing_can_be_written_stays_in_use() {
    let engine = engine();
    model(&engine);
    engine.send(Request::SaveCard);
    assert!(failure(&engine).contains("came from no file"));
    let folder = tempfile::tempdir().unwrap();
    let path = segmenter(folder.path(), "grey.onnx", 1);
    engine.send(Request::OpenModel(path.clone()));
    model(&engine);
    // A folder in the place of the card.
    std::fs::create_dir_all(path.with_extension("toml").join("x")).unwrap();
    engine.send(Request::SaveCard);
    assert!(failure(&engine).contains("grey.toml"));
}
