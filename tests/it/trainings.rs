//! Recipes: adversarial samples stay in their balls and leave the weights alone, parts of a batch add up, jobs pause and end.

use crate::display::render_state;
use burn::tensor::Device;
use epsiloscope::attack::Attack;
use epsiloscope::data::Case;
use epsiloscope::data::synthetic::MembranesConfig;
use epsiloscope::gpu::{Compute, DeviceChoice};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::train::{
    Adversarial, Augmentation, Control, Ending, Loss, OptimizerSettings, Recipe, Role, Schedule, Source, TrainEvent,
    Trainer, TrainingData, TrainingJob,
};
use std::time::{Duration, Instant};

fn case(size: usize, seed: u64) -> Case {
    MembranesConfig::sized(size).section(seed).case(format!("section {seed}"))
}

fn recipe(epochs: usize) -> Recipe {
    Recipe {
        batch: 4,
        crop: 16,
        learning_rate: 1e-2,
        seed: 5,
        augmentation: Augmentation::NONE,
        schedule: Schedule::Constant,
        ..Recipe::new(UNetConfig { batch_norm: false, ..UNetConfig::new(3, 2) }, epochs)
    }
}

fn data() -> TrainingData {
    TrainingData { train: Source::Cases(vec![case(32, 1), case(32, 2)].into()), validate: vec![case(32, 3)].into() }
}

/// The weights after `steps`.
fn trained(recipe: Recipe, steps: usize) -> Vec<f32> {
    let mut trainer = Trainer::new(recipe, data(), &Device::flex()).unwrap();
    for _ in 0..steps {
        assert!(trainer.step().unwrap().loss.is_finite());
    }
    weights(&trainer)
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    use burn::module::Module;
    use burn_store::{ModuleSnapshot, SafetensorsStore};
    let mut store = SafetensorsStore::from_bytes(None);
    trainer.current().valid().save_into(&mut store).unwrap();
    let bytes = store.get_bytes().unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = tensors.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let values = |data: &[u8]| data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>();
    all.iter().flat_map(|(_, view)| values(view.data())).collect()
}

pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn parts_of_a_batch_are_the_batch_for_every_loss() {
    // Pieces hold unequal numbers of counted pixels.
    let mut cases = vec![case(32, 1), case(32, 2)];
    if let Some(label) = &mut cases[0].label {
        let ignored = label.classes.iter().enumerate().map(|(i, &class)| if i < 700 { 255 } else { class });
        label.classes = ignored.collect();
    }
    let data = TrainingData { train: Source::Cases(cases.into()), validate: Vec::new().into() };
    let device = Device::flex();
    let step = |recipe: &Recipe| {
        let mut trainer = Trainer::new(recipe.clone(), data.clone(), &device).unwrap();
        let before = weights(&trainer);
        let loss = trainer.step().unwrap().loss;
        let moved: Vec<f32> = weights(&trainer).iter().zip(&before).map(|(a, b)| a - b).collect();
        (loss, moved)
    };
    let sgd = OptimizerSettings::Sgd { momentum: 0.0, weight_decay: 0.0 };
    let entries = [("fgsm", Role::Append), ("fgsm", Role::Mix { alpha: 0.3 }), ("pgd", Role::Trades { beta: 3.0 })];
    for (outputs, loss) in [
        (1, Loss::Bce),
        (1, Loss::Dice),
        (1, Loss::default()),
        (1, Loss::Focal { gamma: 2.0, alpha: Some(0.25) }),
        (1, Loss::Tversky { alpha: 0.3, beta: 0.7 }),
        (3, Loss::CrossEntropy),
        (3, Loss::Dice),
        (3, Loss::BceDice { dice_weight: 2.0 }),
        (3, Loss::Focal { gamma: 2.0, alpha: None }),
        (3, Loss::Tversky { alpha: 0.6, beta: 0.2 }),
    ] {
        let with = |adversarial: Vec<Adversarial>| {
            let plain = recipe(4);
            let network = UNetConfig { outputs, ..plain.network.clone() };
            let classes = ["a", "b", "c"][..outputs.max(2)].iter().map(|name| (*name).to_owned()).collect();
            Recipe { loss, network, classes, batch: 24, optimizer: sgd, learning_rate: 0.5, adversarial, ..plain }
        };
        let mut recipes = vec![with(Vec::new())];
        if loss == Loss::default() {
            recipes.extend(entries.map(|(name, role)| with(vec![fgsm(name, role)])));
        }
        for whole in recipes {
            // A budget below a MiB cannot be said: at this size one part is several crops.
            let parts = Recipe { memory_mib: Some(1), ..whole.clone() };
            assert!(parts.micro_batch() < 12, "{}", parts.micro_batch());
            let ((one, moved), (many, moved_in_parts)) = (step(&whole), step(&parts));
            assert!((one - many).abs() < 1e-5 * one.abs().max(1.0), "{outputs}, {loss:?}: {one}, in parts {many}");
            let largest = moved.iter().fold(0f32, |most, v| most.max(v.abs()));
            let difference = largest_difference(&moved, &moved_in_parts);
            assert!(largest > 1e-3 && difference < 1e-4 * largest, "{outputs}, {loss:?}: {difference} of {largest}");
        }
    }
}

#[test]
fn a_checkpoint_belongs_to_its_pixels_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    let mut trainer = Trainer::new(recipe(4), data(), &device).unwrap();
    trainer.step().unwrap();
    trainer.save_checkpoint(&path).unwrap();
    assert!(Trainer::resume(&path, data(), &device).is_ok());
    let inverted = |mut case: Case| {
        if let Some(label) = &mut case.label {
            label.classes = label.classes.iter().map(|class| 1 - class).collect();
        }
        case
    };
    let named = |name: &str, case: Case| Case { name: name.to_owned(), ..case };
    // Names and numbers are the same in each.
    let (first, second, held) = (case(32, 1), case(32, 2), case(32, 3));
    for (train, validate, says) in [
        (
            vec![inverted(first.clone()), inverted(second.clone())],
            held.clone(),
            "trained on other data: these are the same images with other labels",
        ),
        (
            vec![first.clone(), named("section 2", case(32, 9))],
            held.clone(),
            "trained on other data: these are other images",
        ),
        (vec![first.clone(), second.clone()], inverted(held), "validated on other data"),
    ] {
        let other = TrainingData { train: Source::Cases(train.into()), validate: vec![validate].into() };
        let error = Trainer::resume(&path, other, &device).err().expect("must be refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn optimisers_take_their_steps() {
    let plain = |optimizer| Recipe { optimizer, learning_rate: 0.01, ..recipe(3) };
    let start = trained(plain(OptimizerSettings::default()), 0);
    let sgd = |momentum, steps| trained(plain(OptimizerSettings::Sgd { momentum, weight_decay: 0.0 }), steps);
    // The first step does not know momentum; the second does.
    assert_eq!(sgd(0.99, 1), sgd(0.0, 1));
    assert!(sgd(0.99, 2) != sgd(0.0, 2));
    // Adam's first step is the rate, wherever the gradient is not tiny.
    let adam = trained(plain(OptimizerSettings::default()), 1);
    let moved: Vec<f32> = adam.iter().zip(&start).map(|(a, b)| (a - b).abs()).collect();
    assert!(moved.iter().all(|&m| m < 0.010_01) && moved.iter().filter(|&&m| m > 0.009_9).count() > moved.len() / 2);
    // Decoupled decay: the weights shrink by rate × decay before the same step.
    let decayed = trained(plain(OptimizerSettings::AdamW { beta_1: 0.9, beta_2: 0.999, weight_decay: 0.5 }), 1);
    let expected: Vec<f32> = adam.iter().zip(&start).map(|(a, b)| a - b * 0.01 * 0.5).collect();
    assert!(largest_difference(&decayed, &expected) < 1e-6);
}

#[test]
fn state_of_every_optimiser_survives_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    for optimizer in [
        OptimizerSettings::Sgd { momentum: 0.9, weight_decay: 1e-4 },
        OptimizerSettings::AdamW { beta_1: 0.9, beta_2: 0.99, weight_decay: 0.01 },
    ] {
        let adversarial = vec![fgsm("inverse-fgsm", Role::Append)];
        let recipe =
            Recipe { optimizer, adversarial, schedule: Schedule::Step { epochs: 1, factor: 0.5 }, ..recipe(4) };
        let mut whole = Trainer::new(recipe, data(), &device).unwrap();
        (0..3).for_each(|_| drop(whole.step().unwrap()));
        whole.save_checkpoint(&path).unwrap();
        let mut resumed = Trainer::resume(&path, data(), &device).unwrap();
        while !whole.finished() {
            let (a, b) = (whole.step().unwrap(), resumed.step().unwrap());
            assert_eq!((a.loss.to_bits(), a.learning_rate.to_bits()), (b.loss.to_bits(), b.learning_rate.to_bits()));
        }
        assert_eq!(weights(&whole), weights(&resumed));
        assert_eq!(whole.history(), resumed.history());
        assert_eq!(whole.history().len(), 4);
    }
}

fn fgsm(name: &str, role: Role) -> Adversarial {
    Adversarial { attack: Attack::named(name).unwrap(), epsilon: 0.1, draw: true, share: 0.5, role }
}

/// `preview` shows the very parts that a step learns from: originals and samples as PNG files.
fn pictures(recipe: &Recipe) -> Vec<(String, Vec<u8>, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let trainer = Trainer::new(recipe.clone(), data(), &device).unwrap();
    let before = weights(&trainer);
    let files = epsiloscope::train::write_preview(&trainer, recipe, &data().train, &device, folder.path()).unwrap();
    assert_eq!(weights(&trainer), before, "making samples has changed the weights");
    files
        .iter()
        .map(|path| {
            let picture = image::open(path).unwrap().to_luma8();
            let side = picture.height() as usize;
            let crop = image::imageops::crop_imm(&picture, 0, 0, side as u32, side as u32).to_image();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), crop.into_raw(), side)
        })
        .collect()
}

#[test]
fn samples_are_in_their_ball_and_leave_the_weights_alone() {
    let clean = pictures(&recipe(1));
    assert_eq!(clean.len(), 4);
    let change =
        |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs()).max().unwrap();
    for (name, role, rows) in [
        ("fgsm", Role::Append, 6),
        ("inverse-fgsm", Role::Replace, 4),
        ("r-fgsm", Role::Mix { alpha: 0.5 }, 6),
        ("pgd", Role::Trades { beta: 6.0 }, 6),
    ] {
        let entry = Adversarial { epsilon: 0.5, ..fgsm(name, role) };
        let made = pictures(&Recipe { adversarial: vec![entry], ..recipe(1) });
        assert_eq!(made.len(), rows, "{name}");
        // Half of the batch, from its first crop on.
        let samples: Vec<&Vec<u8>> = match role {
            Role::Replace => vec![&made[0].1, &made[1].1],
            _ => vec![&made[4].1, &made[5].1],
        };
        let moved: Vec<i32> = samples.iter().zip(&clean).map(|(s, c)| change(s, &c.1)).collect();
        assert!(moved.iter().all(|&m| (1..=128).contains(&m)), "{name}: {moved:?}");
        assert!(moved[0] != moved[1] || name == "pgd", "each has its own σ: {moved:?}");
        if role == Role::Replace {
            assert_eq!((&made[2].1, &made[3].1), (&clean[2].1, &clean[3].1));
        }
    }
}

#[test]
fn inverse_samples_lower_the_loss_and_roles_weigh_it() {
    let device = Device::flex();
    let first_loss = |adversarial: Vec<Adversarial>| {
        let recipe = Recipe { adversarial, loss: Loss::Bce, ..recipe(1) };
        f64::from(Trainer::new(recipe, data(), &device).unwrap().step().unwrap().loss)
    };
    let with = |name: &str, role| Adversarial { draw: false, share: 1.0, epsilon: 0.02, ..fgsm(name, role) };
    let clean = first_loss(Vec::new());
    let raised = first_loss(vec![with("fgsm", Role::Replace)]);
    let lowered = first_loss(vec![with("inverse-fgsm", Role::Replace)]);
    assert!(lowered < clean && clean < raised, "{lowered} {clean} {raised}");
    // α·J(x) + (1 − α)·J(x′), and the mean over a batch twice as large.
    let mixed = first_loss(vec![with("fgsm", Role::Mix { alpha: 0.3 })]);
    assert!((mixed - (0.3 * clean + 0.7 * raised)).abs() < 1e-5, "{mixed}");
    let appended = first_loss(vec![with("fgsm", Role::Append)]);
    assert!((appended - 0.5 * (clean + raised)).abs() < 1e-5, "{appended}");
    // The divergence is not negative, and grows with β.
    let trades = |beta| first_loss(vec![with("pgd", Role::Trades { beta })]);
    let (one, three) = (trades(1.0), trades(3.0));
    assert!(one > clean && ((three - clean) - 3.0 * (one - clean)).abs() < 1e-5, "{clean} {one} {three}");
}

#[test]
fn a_step_on_the_gpu_is_the_step_on_the_cpu() {
    // In software too, where there is no GPU: a network of a few weights, and one step.
    let gpu = Compute::for_window(render_state(), DeviceChoice::Gpu).unwrap();
    let small = || Recipe {
        batch: 2,
        optimizer: OptimizerSettings::Sgd { momentum: 0.0, weight_decay: 0.0 },
        learning_rate: 0.5,
        ..Recipe { network: UNetConfig::new(2, 1), ..recipe(1) }
    };
    let step = |device: &Device| {
        let data = TrainingData { validate: Vec::new().into(), ..data() };
        let mut trainer = Trainer::new(small(), data, device).unwrap();
        let before = weights(&trainer);
        let loss = trainer.step().unwrap().loss;
        let moved: Vec<f32> = weights(&trainer).iter().zip(&before).map(|(a, b)| a - b).collect();
        (loss, moved)
    };
    let ((on_cpu, expected), (on_gpu, moved)) = (step(&Device::flex()), step(&gpu.device));
    let largest = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
    let difference = largest_difference(&expected, &moved);
    println!("loss {on_cpu} and {on_gpu}; weights move by {largest} at most, and differ by {difference}");
    assert!((on_cpu - on_gpu).abs() < 1e-4 * on_cpu, "{on_cpu}, on the GPU {on_gpu}");
    assert!(largest > 1e-3 && difference < 1e-2 * largest, "{difference} of {largest}");
}

#[test]
fn what_lies_between_two_steps_is_no_part_of_the_speed() {
    let mut trainer = Trainer::new(recipe(20), data(), &Device::flex()).unwrap();
    let mut longest = Duration::ZERO;
    let mut step = |trainer: &mut Trainer| {
        let began = Instant::now();
        let report = trainer.step().unwrap();
        longest = longest.max(began.elapsed());
        (report, longest)
    };
    (0..3).for_each(|_| drop(step(&mut trainer)));
    // A pause as long as forty steps; the mean over all time would be ten times a step.
    std::thread::sleep(step(&mut trainer).1 * 40);
    let (report, longest) = step(&mut trainer);
    let secs = 4.0 / report.crops_per_second;
    // A step, and its part of a validation that was within one.
    assert!(secs <= 2.0 * longest.as_secs_f64(), "{secs} s a step, the longest took {longest:?}");
    let left = (report.steps - report.step) as f64;
    assert!((report.remaining.as_secs_f64() - secs * left).abs() < 1e-3 * secs * left + 1e-6, "{report:?}");
}

#[test]
fn identical_trainings_write_identical_files() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str| {
        let mut trainer = Trainer::new(recipe(1), data(), &Device::flex()).unwrap();
        while !trainer.finished() {
            trainer.step().unwrap();
        }
        let (weights, checkpoint) = (folder.path().join(name), folder.path().join("a.checkpoint"));
        epsiloscope::train::save_weights(&trainer, &weights).unwrap();
        trainer.save_checkpoint(&checkpoint).unwrap();
        (std::fs::read(weights).unwrap(), std::fs::read(checkpoint).unwrap())
    };
    let first = written("one.safetensors");
    // A hash has another order in every table: once might be chance.
    for again in 0..4 {
        let (weights, checkpoint) = written("two.safetensors");
        assert!(weights == first.0, "the weights of repetition {again} are other bytes");
        assert!(checkpoint == first.1, "the checkpoint of repetition {again} is of other bytes");
    }
}

#[test]
fn a_job_pauses_cancels_and_stops_early() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.checkpoint");
    let device = Device::flex();
    let recipe = Recipe { learning_rate: 1e-6, patience: Some(2), ..recipe(50) };
    let mut trainer = Trainer::new(recipe.clone(), data(), &device).unwrap();
    trainer.keep_samples(1);
    let mut job = TrainingJob::new(trainer, &path);
    let control = Control::default();
    control.pause(true);
    let other = control.clone();
    let (mut paused, mut samples) = (Vec::new(), 0);
    let ending = job
        .run(&control, &mut |_, event| {
            match event {
                TrainEvent::Paused(is) => {
                    paused.push(is);
                    other.pause(false);
                }
                TrainEvent::Step(report) if report.step == 3 => other.cancel(),
                TrainEvent::Epoch { samples: kept, .. } => samples += kept.len(),
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    assert_eq!((ending, paused, samples), (Ending::Cancelled, vec![true, false], 1));
    let trainer = Trainer::resume(&path, data(), &device).unwrap();
    assert_eq!(trainer.progress().0, 3);
    // Next to no learning: the first epochs are the best there will be.
    let mut job = TrainingJob::new(trainer, &path);
    assert_eq!(job.run(&Control::default(), &mut |_, _| Ok(())).unwrap(), Ending::StoppedEarly);
    assert!(job.trainer().history().len() < 50);
    assert!(Trainer::resume(&path, data(), &device).unwrap().finished());
}

#[test]
fn warped_crops_keep_image_and_target_together() {
    // The image is its own label: bilinear values and nearest classes must agree away from edges.
    let mut section = MembranesConfig::sized(96).section(3);
    section.image = section.label.clone();
    let case = section.case("self");
    let augmentation = Augmentation { rotation: 40.0, zoom: 0.6, elastic: 8.0, ..Augmentation::NONE };
    let recipe = Recipe { batch: 8, crop: 64, augmentation, ..recipe(1) };
    let batch = epsiloscope::train::Batch::assemble(&recipe, &Source::Cases(vec![case].into()), 0);
    let same = batch.images.iter().zip(&batch.targets).filter(|(v, t)| (**v < 0.5) == (**t > 0.5)).count();
    let share = same as f64 / batch.images.len() as f64;
    assert!(share > 0.97, "{share}");
    let flat = Recipe { augmentation: Augmentation::NONE, ..recipe };
    let plain = epsiloscope::train::Batch::assemble(&flat, &Source::Cases(vec![section_case()].into()), 0);
    assert!(plain.images != batch.images);
}

fn section_case() -> Case {
    let mut section = MembranesConfig::sized(96).section(3);
    section.image = section.label.clone();
    section.case("self")
}
