//! Trainings in the engine: they are paused, cancelled and gone on with, they give way to ε, and what is wrong is told.

use super::engine::{LIMIT, engine, frame_at, wait};
use super::trainings::largest_difference;
use epsiloscope::data::synthetic::MembranesConfig;
use epsiloscope::data::{Image, StoredType, write_png};
use epsiloscope::engine::{DeviceChoice, Engine, Event, Request, TrainNews, TrainRequest};
use epsiloscope::train::{
    DataTable, Ending, Loss, NetworkTable, PreviewKind, RecipeFile, Split, SyntheticTable, TrainingTable, Unit,
};
use std::path::Path;
use std::time::{Duration, Instant};

/// A training of seconds.
pub fn tiny(epochs: usize) -> RecipeFile {
    let synthetic = SyntheticTable { seed: 3, sections: 16, validate: 2, size: 64 };
    RecipeFile {
        data: DataTable { synthetic: Some(synthetic), ..DataTable::default() },
        network: NetworkTable { base: Some(4), depth: Some(2), ..NetworkTable::default() },
        training: TrainingTable {
            epochs: Some(epochs),
            batch: Some(4),
            crop: Some(32),
            learning_rate: Some(0.01),
            ..TrainingTable::default()
        },
        ..RecipeFile::default()
    }
}

/// The values of a file of weights, in the order of their names.
pub fn weights(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all = file.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let value = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
    all.iter().flat_map(|(_, view)| view.data().chunks(4).map(value).collect::<Vec<f32>>()).collect()
}

fn send(engine: &Engine, request: TrainRequest) {
    engine.send(Request::Train(request));
}

fn start(engine: &Engine, recipe: RecipeFile, out: &Path) {
    send(engine, TrainRequest::Start { recipe: Box::new(recipe), out: out.to_owned(), device: DeviceChoice::Cpu });
}

/// The first news that `wanted` accepts.
fn news<T>(engine: &Engine, mut wanted: impl FnMut(TrainNews) -> Option<T>) -> T {
    wait(engine, |event| match event {
        Event::Train(news) => wanted(*news),
        _ => None,
    })
}

fn ended(engine: &Engine) -> Ending {
    news(engine, |news| match news {
        TrainNews::Ended { ending, .. } => Some(ending),
        TrainNews::Failed(problem) | TrainNews::Refused(problem) => panic!("{problem:?}"),
        _ => None,
    })
}

fn epoch(engine: &Engine, wanted: usize) {
    news(engine, |news| match news {
        TrainNews::Epoch { record, samples } => {
            assert_eq!(samples.len(), 2, "the same two held-out images each epoch");
            assert!(samples.iter().all(|s| s.predicted.values().unwrap().len() == 64 * 64));
            (record.epoch >= wanted).then_some(())
        }
        TrainNews::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
}

fn refusal(engine: &Engine) -> String {
    news(engine, |news| match news {
        TrainNews::Failed(problem) | TrainNews::Refused(problem) => Some(problem.why),
        TrainNews::Ended { .. } => panic!("it worked"),
        _ => None,
    })
}

/// So many that a training is not done in the moment between two messages, however fast the machine is.
const EPOCHS: usize = 80;
/// So many that it is never done.
const ENDLESS: usize = 100_000;

#[test]
fn a_training_is_paused_cancelled_and_gone_on_with_while_epsilon_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parted) = (folder.path().join("whole.safetensors"), folder.path().join("parted.safetensors"));
    let engine = engine();
    frame_at(&engine, 4.0 / 255.0);
    start(&engine, tiny(EPOCHS), &whole);
    assert_eq!(ended(&engine), Ending::Finished);

    // ε is answered while something trains, which on a busy machine a short training would not outlive.
    let apart = tempfile::tempdir().unwrap();
    start(&engine, tiny(ENDLESS), &apart.path().join("long.safetensors"));
    epoch(&engine, 1);
    let mut slowest = Duration::ZERO;
    for level in 1..=3 {
        let (from, epsilon) = (Instant::now(), f64::from(level) / 100.0);
        engine.send(Request::Epsilon(epsilon));
        frame_at(&engine, epsilon);
        slowest = slowest.max(from.elapsed());
    }
    println!("the slowest of three ticks beside the training: {slowest:?}");
    send(&engine, TrainRequest::Cancel);
    assert_eq!(ended(&engine), Ending::Cancelled);

    start(&engine, tiny(EPOCHS), &parted);
    epoch(&engine, 2);
    send(&engine, TrainRequest::Pause(true));
    news(&engine, |news| matches!(news, TrainNews::Paused(true)).then_some(()));
    // While it is paused another one cannot begin.
    start(&engine, tiny(1), &folder.path().join("other.safetensors"));
    assert!(refusal(&engine).contains("is running"));
    send(&engine, TrainRequest::Pause(false));
    news(&engine, |news| matches!(news, TrainNews::Paused(false)).then_some(()));
    send(&engine, TrainRequest::Cancel);
    assert_eq!(ended(&engine), Ending::Cancelled);
    send(&engine, TrainRequest::Find(folder.path().to_owned()));
    let found = news(&engine, |news| match news {
        TrainNews::Found { unfinished, .. } => Some(unfinished),
        _ => None,
    });
    assert_eq!(found.len(), 1, "the finished one is not among them");
    assert_eq!((found[0].out.clone(), found[0].epochs.1), (parted.clone(), EPOCHS));
    assert!((2..EPOCHS).contains(&found[0].epochs.0));
    // The engine is closed in the middle, and the next one goes on.
    send(&engine, TrainRequest::Resume { out: parted.clone(), device: DeviceChoice::Cpu });
    epoch(&engine, found[0].epochs.0 + 1);
    drop(engine);
    let engine = super::engine::engine();
    send(&engine, TrainRequest::Resume { out: parted.clone(), device: DeviceChoice::Cpu });
    assert_eq!(ended(&engine), Ending::Finished);
    assert_eq!(largest_difference(&weights(&whole), &weights(&parted)), 0.0);
    engine.send(Request::OpenModel(parted));
    let name = wait(&engine, |event| match event {
        Event::Failed(problem) => panic!("{problem:?}"),
        Event::Model(card, _) if card.name == "parted" => Some(card.name.clone()),
        _ => None,
    });
    assert_eq!(name, "parted");
}

#[test]
fn a_training_gives_way_to_a_slider_that_is_dragged() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine();
    frame_at(&engine, 4.0 / 255.0);
    start(&engine, tiny(ENDLESS), &folder.path().join("long.safetensors"));
    epoch(&engine, 1);
    // Whoever drags sends the next wish with each frame: hardly a step is taken meanwhile, but a tick that takes seconds
    // does not stop it altogether.
    let (mut steps, mut ticks) = (0, 0);
    let begun = Instant::now();
    engine.send(Request::Epsilon(0.001));
    while ticks < 6 && begun.elapsed() < LIMIT {
        match engine.wait(Duration::from_millis(50)) {
            Some(Event::Frame(_)) => {
                ticks += 1;
                engine.send(Request::Epsilon(0.001 + f64::from(ticks) * 1e-4));
            }
            Some(Event::Train(news)) => {
                if let TrainNews::Steps(found) = *news {
                    steps += found.losses.len();
                }
            }
            _ => {}
        }
    }
    println!("{ticks} ticks in {:?}, {steps} steps of the training meanwhile", begun.elapsed());
    assert!(ticks == 6 && steps <= 20, "{ticks} ticks, {steps} steps");
    send(&engine, TrainRequest::Cancel);
    assert_eq!(ended(&engine), Ending::Cancelled);
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn what_is_wrong_with_a_training_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let section = MembranesConfig::sized(64).section(1);
    let pixels = |bytes: &[u8]| bytes.iter().map(|&v| f32::from(v)).collect::<Vec<f32>>();
    let write = |name: &str, bytes: &[u8]| {
        let image = Image::new(1, 64, 64, pixels(bytes)).unwrap();
        write_png(&images.join(name), &image, StoredType::U8).unwrap();
    };
    write("a.png", &section.image);
    let engine = engine();
    let out = |name: &str| folder.path().join(name);
    let split = Some(Split::HoldOut { share: 0.25, seed: 0, by: Unit::Group });
    let data = DataTable { path: Some(images.clone()), split, ..DataTable::default() };
    start(&engine, RecipeFile { data: data.clone(), ..tiny(2) }, &out("a.safetensors"));
    let why = refusal(&engine);
    assert!(why.contains("none has a mask"), "{why}");
    assert!(!out("a.checkpoint").exists());
    write("a_mask.png", &section.label);
    start(&engine, RecipeFile { data: data.clone(), ..tiny(2) }, &out("a.safetensors"));
    let why = refusal(&engine);
    assert!(why.contains("have 1 group (") && why.contains("2 are needed"), "{why}");
    // Too large for 32 bits.
    let loss = Some(Loss::BceDice { dice_weight: 1e39 });
    let wild = RecipeFile { training: TrainingTable { loss, ..tiny(1).training }, ..tiny(1) };
    start(&engine, wild, &out("nan.safetensors"));
    let why = refusal(&engine);
    assert!(why.contains("the loss became") && why.contains("lower learning rate"), "{why}");
    assert!(!out("nan.checkpoint").exists(), "the name is free for another try");
    start(&engine, tiny(0), &out("b.safetensors"));
    let why = refusal(&engine);
    assert!(why.contains("training.epochs"), "{why}");
    start(&engine, tiny(1), &out("b.png"));
    assert!(refusal(&engine).contains(".safetensors"));
    // And what works still does, once; a second time nothing is overwritten.
    start(&engine, tiny(1), &out("b.safetensors"));
    assert_eq!(ended(&engine), Ending::Finished);
    start(&engine, tiny(1), &out("b.safetensors"));
    assert!(refusal(&engine).contains("another name"));
}

#[test]
fn recipes_are_written_read_and_previewed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine();
    let path = folder.path().join("recipe.toml");
    let mut recipe = tiny(3);
    recipe.adversarial =
        RecipeFile::parse("adversarial = [{ attack = { method = 'fgsm' }, epsilon = 0.1 }]").unwrap().adversarial;
    send(&engine, TrainRequest::Save(Box::new(recipe.clone()), path.clone()));
    news(&engine, |news| matches!(news, TrainNews::Saved(_)).then_some(()));
    send(&engine, TrainRequest::Load(path));
    let read = news(&engine, |news| match news {
        TrainNews::Loaded(recipe, _) => Some(*recipe),
        _ => None,
    });
    assert_eq!(read, recipe);
    send(&engine, TrainRequest::Preview(Box::new(read)));
    let seen = news(&engine, |news| match news {
        TrainNews::Preview(preview) => Some(*preview),
        TrainNews::Refused(problem) => panic!("{problem:?}"),
        _ => None,
    });
    // Each of the four crops beside its sample, and none of them twice.
    assert_eq!((seen.crops.len(), seen.held_out, seen.steps_per_epoch), (4, 2, 4));
    for (place, crop) in seen.crops.iter().enumerate() {
        assert_eq!((crop.crop, crop.kind), (place, PreviewKind::Appended));
        let most = largest_difference(crop.clean.as_ref().unwrap().values().unwrap(), crop.image.values().unwrap());
        assert!((most - 0.1).abs() < 1e-4, "sample {place} differs from its crop by ε: {most}");
    }
    // In place of half of the crops: the others stand alone, after them.
    let half =
        "adversarial = [{ attack = { method = 'fgsm' }, epsilon = 0.1, share = 0.5, role = { kind = 'replace' } }]";
    let adversarial = RecipeFile::parse(half).unwrap().adversarial;
    send(&engine, TrainRequest::Preview(Box::new(RecipeFile { adversarial, ..tiny(3) })));
    let seen = news(&engine, |news| match news {
        TrainNews::Preview(preview) => Some(*preview),
        TrainNews::Refused(problem) => panic!("{problem:?}"),
        _ => None,
    });
    let found: Vec<_> = seen.crops.iter().map(|crop| (crop.crop, crop.kind, crop.clean.is_some())).collect();
    let (replaced, plain) = (PreviewKind::Replaced, PreviewKind::Crop);
    assert_eq!(found, [(0, replaced, true), (1, replaced, true), (2, plain, false), (3, plain, false)]);
}

#[test]
fn a_preview_says_who_is_held_out_where_the_data_set_names_no_validation_images() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = "file,split,patient\n".to_owned();
    for i in 0..10 {
        let part = if i < 8 { "train" } else { "test" };
        let section = MembranesConfig::sized(64).section(i);
        let case = section.case("a");
        write_png(&folder.path().join(format!("s{i}.png")), &case.image, StoredType::U8).unwrap();
        let mask = case.label.unwrap();
        let mask =
            Image::new(1, 64, 64, mask.classes.iter().map(|&c| 255.0 * f32::from(c)).collect::<Vec<_>>()).unwrap();
        write_png(&folder.path().join(format!("s{i}_mask.png")), &mask, StoredType::U8).unwrap();
        index += &format!("s{i}.png,{part},patient{}\n", i / 2);
    }
    std::fs::write(folder.path().join("index.csv"), index).unwrap();
    let path = Some(folder.path().to_owned());
    let data = DataTable { path, split: Some(Split::Given), ..DataTable::default() };
    let engine = engine();
    send(&engine, TrainRequest::Preview(Box::new(RecipeFile { data, ..tiny(1) })));
    let seen = news(&engine, |news| match news {
        TrainNews::Preview(preview) => Some(*preview),
        TrainNews::Refused(problem) => panic!("{problem:?}"),
        _ => None,
    });
    let note = seen.note.clone().unwrap();
    assert!(note.contains("names no val images") && note.contains("test images are left"), "{note}");
    assert_eq!(seen.held_out, 2, "one of four patients, with both images");
}
