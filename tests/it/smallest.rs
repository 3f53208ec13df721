//! What seeks the smallest perturbation reaches its goal, with a smaller one than attacks that do not seek it.

use crate::fixture::{Fixture, dense, host};
use burn::tensor::{Device, Tensor};
use epsiloscope::attack::{Attack, Norm, Objective, Options};
use epsiloscope::data::Mask;
use epsiloscope::model::{Head, Logits, Model, ModelCard, ModelError, predict};
use std::sync::Arc;

/// The U-Net of the fixtures with another bias of its last layer.
struct Shifted(Box<dyn Model>, f32);

impl Model for Shifted {
    fn card(&self) -> &ModelCard {
        self.0.card()
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        Ok(Logits::Dense(dense(self.0.logits(x)?) + self.1))
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        self.0.working_bytes(height, width)
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn to_device(&self, _: &Device) -> Arc<dyn Model> {
        panic!("it stays where it is")
    }
}

#[test]
fn what_seeks_the_smallest_perturbation_of_a_u_net_reaches_its_goal() {
    let device = Device::flex();
    let fixture = Fixture::open("same");
    let model = Shifted(Box::new(fixture.model(&device)), 2.0);
    let x = Tensor::cat([0, 1].map(|i| fixture.tensor("x", i, &device)).to_vec(), 0);
    // What it says itself: nothing is wrong before, and success is the promised share of wrong pixels.
    let truths: Vec<Mask> = (0..2).map(|i| predict(&model, x.clone().narrow(0, i, 1)).unwrap().predicted).collect();
    let objective = Objective::masks(Head::Sigmoid, 1, &truths, &device);
    let share = 0.25;
    let run = |attack: Attack, epsilon: f64| {
        let outcome = attack.run_through(&model, &x, &objective, &[epsilon; 2], &Options::default()).unwrap();
        let norms = host(Norm::L2.of(outcome.adversarial - x.clone()));
        (norms, outcome.judged.iter().map(|j| f64::from(j.hits)).collect::<Vec<_>>())
    };
    let share_text = format!("share={share}");
    let found = [
        ("deepfool", vec![share_text.clone()]),
        ("carlini-wagner", vec![share_text, "steps=300".into(), "searches=5".into(), "c=1000".into()]),
    ]
    .map(|(name, settings)| (name, run(Attack::parse(name, &settings).unwrap(), 0.0)));
    // FGSM of the L2 norm that each came to, and random signs of it, turn fewer pixels.
    for (name, (norms, hits)) in &found {
        println!("{name}: L2 {norms:.3?}, wrong {hits:.3?}");
        for (image, (norm, hits)) in norms.iter().zip(hits).enumerate() {
            assert!(*hits >= share, "{name}, image {image}: {hits} of {share}");
            let epsilon = f64::from(*norm) / (40.0f64 * 48.0).sqrt();
            for other in [Attack::FGSM, Attack::random_sign(1).unwrap()] {
                let others = run(other, epsilon).1[image];
                assert!(others < *hits, "{name}, image {image}: {hits}, {other} of that norm {others}");
            }
        }
    }
    let [(_, (deepfool, _)), (_, (carlini_wagner, _))] = &found;
    assert!(carlini_wagner.iter().zip(deepfool).all(|(c, d)| *c <= 1.05 * d), "{carlini_wagner:?}, {deepfool:?}");
}
