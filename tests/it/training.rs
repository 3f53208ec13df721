//! Training learns, goes on exactly where it stopped, and leaves a frozen network behind.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::data::Case;
use epsiloscope::data::synthetic::MembranesConfig;
use epsiloscope::model::unet::{UNet, UNetConfig};
use epsiloscope::model::{BuiltIn, SizeRule};
use epsiloscope::train::{Augmentation, Recipe, Source, Trainer, TrainingData, evaluate};
use std::collections::BTreeMap;
use std::process::Command;

fn clean(size: usize, seed: u64) -> Case {
    let config = MembranesConfig {
        noise: [0.0, 0.0],
        stains: [0.0, 0.0],
        mitochondria: [0.0, 0.0],
        ..MembranesConfig::sized(size)
    };
    config.section(seed).case(format!("section {seed}"))
}

fn recipe(epochs: usize) -> Recipe {
    Recipe {
        batch: 4,
        crop: 32,
        learning_rate: 1e-2,
        seed: 5,
        augmentation: Augmentation::NONE,
        ..Recipe::new(UNetConfig::new(4, 2), epochs)
    }
}

/// All weights and running statistics by name, exactly.
fn weights(network: &UNet) -> BTreeMap<String, Vec<u32>> {
    use burn_store::{ModuleSnapshot, SafetensorsStore};
    let mut store = SafetensorsStore::from_bytes(None);
    network.valid().save_into(&mut store).unwrap();
    let bytes = store.get_bytes().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.data().chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()))
        .collect()
}

/// The names of what differs; short, unlike the values.
fn differing(a: &UNet, b: &UNet) -> Vec<String> {
    let (a, b) = (weights(a), weights(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    a.into_iter().filter(|(name, values)| b[name] != *values).map(|(name, _)| name).collect()
}

#[test]
fn one_image_is_learned_by_heart() {
    let case = clean(32, 3);
    let data = TrainingData { train: Source::Cases(vec![case.clone()].into()), validate: vec![case.clone()].into() };
    let device = Device::flex();
    let mut trainer = Trainer::new(Recipe { batch: 5, ..recipe(120) }, data, &device).unwrap();
    let first = trainer.step().unwrap();
    let mut last = first.clone();
    while !trainer.finished() {
        last = trainer.step().unwrap();
    }
    let validation = last.validation.unwrap();
    println!("loss {:.3} → {:.3}, Dice {:.3}", first.loss, last.loss, validation.dice);
    assert!(last.loss < 0.5 * first.loss, "{} → {}", first.loss, last.loss);
    assert!(trainer.best_dice().unwrap() > 0.93, "Dice {}", validation.dice);
    assert_eq!(last.remaining.as_secs(), 0);
    // The network that is handed out is the one that was validated.
    let model = BuiltIn::new(trainer.card("m", ""), &trainer.network(), &device).unwrap();
    let again = evaluate(&model, &[case], &mut |_| true).unwrap();
    assert!((again.dice - trainer.best_dice().unwrap()).abs() < 1e-6);
}

/// Dropout draws from Flex's generator, of which a process has one: this test has a process to itself.
#[test]
fn a_resumed_training_is_the_uninterrupted_one() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "training::child_resumes", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    let data = || TrainingData {
        train: Source::Synthetic { config: Box::default(), seed: 7, count: 8 },
        validate: vec![clean(32, 1)].into(),
    };
    let recipe = Recipe { augmentation: Augmentation::default(), ..recipe(3) };
    let recipe = Recipe { network: UNetConfig { dropout: 0.5, ..recipe.network.clone() }, ..recipe };
    let mut whole = Trainer::new(recipe, data(), &device).unwrap();
    for _ in 0..3 {
        whole.step().unwrap();
    }
    whole.save_checkpoint(&path).unwrap();
    let mut resumed = Trainer::resume(&path, data(), &device).unwrap();
    assert_eq!(differing(whole.current(), resumed.current()), Vec::<String>::new());
    while !whole.finished() {
        let (a, b) = (whole.step().unwrap(), resumed.step().unwrap());
        assert_eq!((a.step, a.loss.to_bits()), (b.step, b.loss.to_bits()));
    }
    assert!(resumed.finished());
    assert_eq!(differing(whole.current(), resumed.current()), Vec::<String>::new());
    assert_eq!(whole.best_dice(), resumed.best_dice());
    assert_eq!(differing(&whole.network(), &resumed.network()), Vec::<String>::new());
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let train = |seed: u64| {
        let case = clean(48, 2);
        let data = TrainingData { train: Source::Cases(vec![case].into()), validate: Vec::new().into() };
        let mut trainer = Trainer::new(Recipe { seed, ..recipe(2) }, data, &Device::flex()).unwrap();
        while !trainer.finished() {
            trainer.step().unwrap();
        }
        trainer.network()
    };
    let one = train(1);
    assert_eq!(differing(&one, &train(1)), Vec::<String>::new());
    assert!(differing(&one, &train(2)).len() > 20);
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    let data = |seed| TrainingData {
        train: Source::Synthetic { config: Box::default(), seed, count: 4 },
        validate: Vec::new().into(),
    };
    let refuse = |seed: u64, says: &str| {
        let error = Trainer::resume(&path, data(seed), &device).err().expect("must be refused").to_string();
        assert!(error.contains("a.checkpoint") && error.contains(says), "{error}");
    };
    refuse(7, "cannot be read");
    let mut trainer = Trainer::new(recipe(1), data(7), &device).unwrap();
    trainer.step().unwrap();
    trainer.save_checkpoint(&path).unwrap();
    refuse(8, "from seed 7");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refuse(7, "checkpoint");
    std::fs::write(&path, b"not a checkpoint").unwrap();
    refuse(7, "no checkpoint");
    // Cut inside a record whose container is whole.
    let whole = {
        std::fs::write(&path, &bytes).unwrap();
        epsiloscope::train::Checkpoint::read(&path).unwrap()
    };
    let cut = epsiloscope::train::Checkpoint { network: whole.network[..100].to_vec(), ..whole };
    cut.write(&path).unwrap();
    refuse(7, "not a whole safetensors file");
}

#[test]
fn a_card_has_the_size_rule_of_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    let data = || TrainingData { train: Source::Cases(vec![clean(64, 1)].into()), validate: Vec::new().into() };
    let advu = Recipe { crop: 224, ..Recipe::new(UNetConfig::advu_net(), 1) };
    for (recipe, rule) in [(advu, SizeRule::tile(224)), (recipe(1), SizeRule::MultipleOf(4))] {
        let trainer = Trainer::new(recipe, data(), &device).unwrap();
        assert_eq!(trainer.card("new", "").size_rule, rule);
        trainer.save_checkpoint(&path).unwrap();
        assert_eq!(Trainer::resume(&path, data(), &device).unwrap().card("resumed", "").size_rule, rule);
    }
}

#[test]
fn impossible_trainings_are_refused() {
    let device = Device::flex();
    let cases = |cases: Vec<Case>| TrainingData { train: Source::Cases(cases.into()), validate: Vec::new().into() };
    let refuse = |recipe: Recipe, data: TrainingData, says: &str| {
        let error = Trainer::new(recipe, data, &device).err().expect("must be refused").to_string();
        assert!(error.contains(says), "{error}");
    };
    refuse(recipe(1), cases(Vec::new()), "no images");
    refuse(recipe(1), cases(vec![Case { label: None, ..clean(32, 1) }]), "has no label");
    refuse(Recipe { crop: 33, ..recipe(1) }, cases(vec![clean(48, 1)]), "multiple of 4");
    refuse(Recipe { learning_rate: 0.0, ..recipe(1) }, cases(vec![clean(48, 1)]), "learning rate");
}

#[test]
fn a_frozen_network_has_no_dropout_and_fixed_statistics() {
    let device = Device::flex();
    let network = UNetConfig { dropout: 0.5, ..UNetConfig::new(4, 2) };
    let case = clean(32, 3);
    let data = TrainingData { train: Source::Cases(vec![case].into()), validate: Vec::new().into() };
    let mut trainer = Trainer::new(Recipe { network, ..recipe(2) }, data, &device).unwrap();
    trainer.step().unwrap();
    let frozen = trainer.network();
    let before = weights(&frozen);
    let unchanged = || weights(&frozen) == before;
    let values: Vec<f32> = (0..2 * 32 * 32).map(|i| (i * 37 % 101) as f32 / 100.0).collect();
    let x = || Tensor::<4>::from_data(TensorData::new(values.clone(), [2, 1, 32, 32]), &device);
    let host = |t: Tensor<4>| t.without_autodiff().try_into_vec_as::<f32>().unwrap();
    // Plain and tracked inputs give the same, twice.
    let a = host(frozen.forward(x()));
    let b = host(frozen.forward(x().autodiff().require_grad()));
    assert!(a == host(frozen.forward(x())));
    let largest = a.iter().zip(&b).map(|(p, q)| (p - q).abs()).fold(0f32, f32::max);
    assert!(largest < 1e-5, "{largest}");
    // An image does not depend on its neighbour in the batch, as it does in training.
    let alone = host(frozen.forward(x().narrow(0, 0, 1)));
    let difference = alone.iter().zip(&a).map(|(p, q)| (p - q).abs()).fold(0f32, f32::max);
    assert!(difference < 1e-5, "{difference}");
    assert!(unchanged());
    // Training goes on without touching what was handed out.
    trainer.step().unwrap();
    assert!(unchanged());
    assert!(!differing(&frozen, trainer.current()).is_empty());
    // The network in training does change with the neighbour and with every pass.
    let train = |t: Tensor<4>| host(trainer.current().forward(t.autodiff()));
    assert!(train(x()) != train(x()));
}

#[test]
fn published_presets_take_a_step() {
    for (network, crop) in [
        (UNetConfig { base: 2, depth: 2, ..UNetConfig::ronneberger() }, 40),
        (UNetConfig { base: 2, depth: 2, ..UNetConfig::advu_net() }, 32),
    ] {
        let recipe = Recipe { network, crop, batch: 2, learning_rate: 1e-3, ..Recipe::new(UNetConfig::new(1, 1), 1) };
        let data =
            TrainingData { train: Source::Cases(vec![clean(64, 1)].into()), validate: vec![clean(50, 2)].into() };
        let mut trainer = Trainer::new(recipe, data, &Device::flex()).unwrap();
        let mut report = trainer.step().unwrap();
        while !trainer.finished() {
            report = trainer.step().unwrap();
        }
        assert!(report.loss.is_finite() && report.validation.unwrap().images == 1);
    }
}

/// The program's own arguments, without the program.
fn run(arguments: &[&str]) -> anyhow::Result<()> {
    use clap::Parser;
    #[derive(Parser)]
    enum Command {
        Synth(epsiloscope::cli::synth::Synth),
        Train(Box<epsiloscope::cli::train::Train>),
    }
    match Command::try_parse_from(std::iter::once("epsiloscope").chain(arguments.iter().copied()))? {
        Command::Synth(synth) => synth.run(),
        Command::Train(train) => train.run(),
    }
}

#[test]
fn the_command_line_makes_data_trains_resumes_and_evaluates() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, stack, out) = (at("data"), at("stack"), at("model.safetensors"));
    run(&["synth", "--size", "48", "--count", "3", "--seed", "5", "--out", &data]).unwrap();
    run(&["synth", "--size", "48", "--count", "1", "--slices", "3", "--seed", "5", "--out", &stack]).unwrap();
    let size = ["--base", "2", "--depth", "1", "--crop", "32", "--batch", "2", "--epochs", "1"];
    let train = |more: &[&str]| run(&[&["train"], &size[..], more].concat());
    train(&["--data", &data, "--slices", "0-1", "--validate", "2", "--out", &out]).unwrap();
    let model = BuiltIn::load(out.as_ref(), &Device::flex()).unwrap();
    use epsiloscope::model::Model;
    let card = model.card();
    assert_eq!((card.name.as_str(), card.class_index("membrane"), card.positive_class), ("model", Some(1), 1));
    assert!(card.description.contains("2 labelled images (membranes-5 … membranes-6)"), "{}", card.description);
    assert!(!card.description.to_lowercase().contains("held"), "{}", card.description);
    assert!(card.description.contains("Validation (chose the epoch): membrane Dice 0."), "{}", card.description);
    // The checkpoint knows that it is finished, and what it was trained on.
    train(&["--data", &data, "--slices", "0-1", "--validate", "2", "--resume", "--out", &out]).unwrap();
    let other = train(&["--data", &data, "--slices", "0", "--resume", "--out", &out]).unwrap_err().to_string();
    assert!(other.contains("model.checkpoint") && other.contains("membranes-6"), "{other}");
    // So are the options, of which those that are given must be those of then, and the validation.
    let resume = |more: &[&str]| {
        run(&[&["train", "--data", &data, "--slices", "0-1", "--resume", "--out", &out], more].concat())
    };
    resume(&["--validate", "2", "--seed", "0"]).unwrap();
    let other = resume(&["--validate", "2", "--base", "4", "--epochs", "2"]).unwrap_err().to_string();
    let differ = "model.checkpoint: was begun with other options: --base 4 (it was 2), --epochs 2 (it was 1). More";
    assert!(other.contains(differ), "{other}");
    let other = resume(&[]).unwrap_err().to_string();
    assert!(other.contains("validated on 1 labelled image (membranes-7), not on no images"), "{other}");
    let (image, label) = (format!("{stack}/images/membranes-5.tif"), format!("{stack}/masks/membranes-5.tif"));
    run(&["train", "--evaluate", &out, "--image", &image, "--label", &label, "--slices", "1-2"]).unwrap();
    run(&["train", "--evaluate", &out, "--data", "synthetic:3:1"]).unwrap();

    let refuse = |more: &[&str], says: &str| {
        let error = format!("{:#}", train(more).unwrap_err());
        assert!(error.contains(says), "{error}");
    };
    refuse(&["--data", &data, "--slices", "0-3", "--out", &out], "has images 0 to 2");
    refuse(&["--data", &data, "--slices", "0-1", "--validate", "1-2", "--out", &out], "also trained on");
    refuse(&["--data", &at("nowhere"), "--out", &out], "nowhere");
    refuse(&["--data", &data, "--label-map", "0=membrane,255=sell", "--out", &out], "no class ‘sell’");
    refuse(&["--data", &data, "--label-map", "1=membrane,255=cell", "--out", &out], "its values are 0, 255");
    refuse(&["--image", &image, "--label", &format!("{data}/masks/membranes-5.png"), "--out", &out], "does not fit");
    refuse(&["--data", &data, "--out", &at("model.onnx")], ".safetensors");
    refuse(&["--data", &data, "--out", &at("missing/model.safetensors")], "missing");
    refuse(&["--data", "synthetic:x", "--out", &out], "synthetic:SEED");
    // What could not be trained has not touched what was there.
    assert!(BuiltIn::load(out.as_ref(), &Device::flex()).is_ok());
}
