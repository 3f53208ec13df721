//! Adversarial samples and the step that is taken on them are PyTorch's: `tests/fixtures/adversarial.py`. So are steps with
//! batch normalisation: `tests/fixtures/training_step.py`.

use super::*;
use crate::attack::Attack;
use crate::data::synthetic::MembranesConfig;
use crate::model::unet::UNetConfig;
use crate::tensor::to_host;
use crate::train::adversarial::{Part, diverging, frozen, strengths};
use crate::train::{Adversarial, Augmentation, Loss, OptimizerSettings, Role};
use burn::tensor::{Tensor, TensorData};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use safetensors::SafeTensors;

const SHAPE: [usize; 4] = [3, 1, 16, 16];

/// The fixture's tensors by name, and the network in training.
struct Fixture {
    bytes: Vec<u8>,
    device: Device,
}

impl Fixture {
    fn open() -> Self {
        Self::named("adversarial")
    }

    fn named(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
        Self { bytes: std::fs::read(path).unwrap(), device: Device::flex() }
    }

    fn values(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn tensor(&self, name: &str) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values(name), SHAPE), &self.device)
    }

    fn recipe(&self, adversarial: Adversarial) -> Recipe {
        Recipe {
            batch: 3,
            crop: 16,
            loss: Loss::Bce,
            optimizer: OptimizerSettings::Sgd { momentum: 0.0, weight_decay: 0.0 },
            augmentation: Augmentation::NONE,
            adversarial: vec![adversarial],
            ..Recipe::new(UNetConfig { batch_norm: false, ..UNetConfig::new(3, 1) }, 1)
        }
    }

    /// A trainer whose network has the fixture's weights.
    fn trainer(&self, recipe: Recipe) -> Trainer {
        let case = MembranesConfig::sized(32).section(1).case("any");
        let data = TrainingData { train: Source::Cases(vec![case].into()), validate: Vec::new().into() };
        let mut trainer = Trainer::new(recipe, data, &self.device).unwrap();
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensors = file.tensors();
        let weights = tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix("network.")?, view)));
        let weights = safetensors::serialize(weights, None).unwrap();
        let card = trainer.card("fixture", "");
        trainer.network = read_network(Path::new("fixture"), &card, weights, &self.device).unwrap().train();
        trainer
    }

    fn batch(&self) -> Batch {
        Batch {
            count: 3,
            channels: 1,
            input: 16,
            output: 16,
            images: self.values("x"),
            targets: self.values("target"),
            weights: self.values("weight"),
        }
    }
}

fn entry(attack: Attack, role: Role) -> Adversarial {
    Adversarial { attack, epsilon: 0.1, draw: false, share: 1.0, role }
}

#[test]
fn samples_are_the_image_and_a_signed_step() {
    let fixture = Fixture::open();
    let (x, gradient) = (fixture.values("x"), fixture.values("gradient"));
    for (name, expected, sign) in [("fgsm", "fgsm", 1.0), ("inverse-fgsm", "inverse", -1.0)] {
        let made = |draw: bool| {
            let recipe = fixture.recipe(Adversarial { draw, ..entry(Attack::named(name).unwrap(), Role::Append) });
            let trainer = fixture.trainer(recipe.clone());
            let card = trainer.card("fixture", "");
            let parts = parts(&recipe, &card, &trainer.network, fixture.batch(), 0, &fixture.device).unwrap();
            assert_eq!(parts[0].x.dims(), [6, 1, 16, 16]);
            to_host(parts[0].x.clone().narrow(0, 3, 3)).unwrap()
        };
        let (found, expected) = (made(false), fixture.values(expected));
        let wrong = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() > 1e-6).count();
        assert_eq!(wrong, 0, "{name}: {wrong} pixels are not PyTorch's");
        // Each image with its own σ.
        let drawn = made(true);
        let of = Adversarial { draw: true, ..entry(Attack::named(name).unwrap(), Role::Append) };
        let sigmas = strengths(&of, 3, 0, 0);
        for (i, found) in drawn.iter().enumerate() {
            let step = if gradient[i] == 0.0 { 0.0 } else { sign * gradient[i].signum() };
            let expected = (x[i] + sigmas[i / 256] as f32 * step).clamp(0.0, 1.0);
            assert!((found - expected).abs() < 1e-6, "{name}, pixel {i}: {found}, {expected}");
        }
    }
}

#[test]
fn a_recipe_knows_the_parts_of_its_steps() {
    let fixture = Fixture::open();
    for role in Role::KINDS {
        let pgd = Attack::named("pgd").unwrap().with("steps", 1.0).unwrap();
        let recipe = fixture.recipe(Adversarial { share: 0.67, ..entry(pgd, role) });
        let trainer = fixture.trainer(recipe.clone());
        let card = trainer.card("fixture", "");
        let parts = parts(&recipe, &card, &trainer.network, fixture.batch(), 0, &fixture.device).unwrap();
        let made: Vec<_> = parts.iter().map(|part| (part.x.dims()[0], part.clean.is_some())).collect();
        assert_eq!(recipe.part_rows(), made, "{role:?}");
    }
}

#[test]
fn trades_is_pytorchs_in_sample_loss_and_step() {
    let fixture = Fixture::open();
    let pgd = Attack::named("pgd").unwrap().with("steps", 4.0).unwrap().with("step", 0.4).unwrap();
    let recipe = fixture.recipe(entry(pgd, Role::Trades { beta: 6.0 }));
    let mut trainer = fixture.trainer(recipe.clone());
    let model = frozen(&trainer.card("fixture", ""), &trainer.network, &fixture.device).unwrap();
    let epsilons: Vec<f64> = fixture.values("epsilon").into_iter().map(f64::from).collect();
    let (x, weight) = (fixture.tensor("x"), fixture.tensor("weight"));
    let found = diverging(&model, &recipe.adversarial[0], &x, fixture.tensor("noise"), &weight, &epsilons).unwrap();
    let found = to_host(found).unwrap();
    let expected = fixture.values("trades");
    let wrong = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() > 1e-5).count();
    assert_eq!(wrong, 0, "{wrong} pixels of the samples are not PyTorch's");
    let part = |x: Tensor<4>, coefficient, clean| Part {
        x,
        target: fixture.tensor("target"),
        weight: weight.clone(),
        coefficient,
        crops: vec![0, 1, 2],
        clean,
    };
    let parts = [part(x.clone(), 1.0, None), part(fixture.tensor("trades"), 6.0, Some(x.clone()))];
    let (loss, gradients) = trainer.gradients(&parts).unwrap();
    let expected = fixture.values("loss")[0];
    assert!((loss - expected).abs() < 1e-5 * expected, "{loss}, PyTorch {expected}");
    trainer.network = trainer.optimizer.step(0.1, trainer.network.clone(), gradients);
    for (name, values) in weights(&trainer) {
        let expected = fixture.values(&format!("stepped.{name}"));
        let before = fixture.values(&format!("network.{name}"));
        assert_eq!(values.len(), expected.len(), "{name}");
        for ((value, expected), before) in values.iter().zip(&expected).zip(&before) {
            let tolerance = 1e-6 + 1e-4 * (expected - before).abs();
            assert!((value - expected).abs() < tolerance, "{name}: {value}, PyTorch {expected}, from {before}");
        }
    }
}

/// The network's weights and running statistics.
fn weights(trainer: &Trainer) -> Vec<(String, Vec<f32>)> {
    let mut store = SafetensorsStore::from_bytes(None);
    trainer.network.valid().save_into(&mut store).unwrap();
    let bytes = store.get_bytes().unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    all.tensors().into_iter().map(|(name, view)| (name, values(view.data()))).collect()
}

#[test]
fn steps_with_batch_normalisation_are_pytorchs() {
    let fixture = Fixture::named("training_step");
    let recipe = Recipe {
        batch: 3,
        crop: 16,
        loss: Loss::Bce,
        optimizer: OptimizerSettings::Sgd { momentum: 0.9, weight_decay: 0.0 },
        augmentation: Augmentation::NONE,
        ..Recipe::new(UNetConfig::new(3, 2), 1)
    };
    let mut trainer = fixture.trainer(recipe);
    for expected in fixture.values("losses") {
        let (x, target, weight) = (fixture.tensor("x"), fixture.tensor("target"), fixture.tensor("weight"));
        let (loss, gradients) = trainer
            .gradients(&[Part { x, target, weight, coefficient: 1.0, crops: vec![0, 1, 2], clean: None }])
            .unwrap();
        assert!((loss - expected).abs() < 1e-5 * expected, "{loss}, PyTorch {expected}");
        trainer.network = trainer.optimizer.step(0.1, trainer.network.clone(), gradients);
    }
    let mut means = 0;
    for (name, values) in weights(&trainer) {
        // Of the running variances PyTorch takes the unbiased ones, burn the biased.
        let expected = match name.rsplit('.').next().unwrap() {
            "running_var" => continue,
            "running_mean" => fixture.values(&format!("mean.{name}")),
            _ => fixture.values(&format!("stepped.{name}")),
        };
        means += usize::from(name.ends_with("running_mean"));
        assert_eq!(values.len(), expected.len(), "{name}");
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() < 2e-5, "{name}: {value}, PyTorch {expected}");
        }
    }
    assert_eq!(means, 10);
}
