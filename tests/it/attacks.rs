//! One-step attacks do what their papers say, and what Foolbox and torchattacks do.

use crate::fixture::{Bare, Fixture, NETWORKS, dense, devices, host, max_difference};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Direction, Objective, Options, input_gradient};
use epsiloscope::data::synthetic::MembranesConfig;
use epsiloscope::data::{Case, IGNORE, LabelMap, Mask, bundled_sample};
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Logits, Model, ModelCard, ModelError, SizeRule};
use epsiloscope::study::{Adversary, Subject};
use std::sync::Arc;

const FGSM: Attack = Attack::FGSM;
const INVERSE: Attack = Attack::INVERSE_FGSM;

/// The direction of an attack that has one for all ε.
fn direction(attack: Attack, model: &dyn Model, x: &Tensor<4>, objective: &Objective) -> Direction {
    attack.direction(model, x, objective, &Options::default()).unwrap().unwrap()
}

/// A gradient smaller than this share of the mean |g| may change its sign by rounding.
const NEAR_ZERO: f32 = 1e-4;
/// At most this share of pixels may be left out of a comparison for that reason.
const MOST_NEAR_ZERO: f64 = 0.01;

#[test]
fn fgsm_is_foolboxs_and_torchattacks() {
    for (device_name, device) in devices() {
        for name in NETWORKS {
            let fixture = Fixture::open(name);
            let model = Bare::new(&fixture, &device).folded();
            for index in 0..2 {
                let x = fixture.tensor("x", index, &device);
                let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(index), &device);
                let direction = direction(FGSM, &model, &x, &objective);
                let gradient = fixture.values("gradient", index);
                let mean = gradient.iter().map(|g| g.abs()).sum::<f32>() / gradient.len() as f32;
                let clear: Vec<bool> = gradient.iter().map(|g| g.abs() >= NEAR_ZERO * mean).collect();
                let unclear = clear.iter().filter(|&&c| !c).count();
                println!("{device_name}, {name}: {unclear} of {} pixels near zero, left out", clear.len());
                assert!((unclear as f64) < MOST_NEAR_ZERO * clear.len() as f64);
                for levels in [1, 4, 8] {
                    let ours = host(direction.adversarial(&x, f64::from(levels) / 255.0));
                    for peer in ["foolbox", "torchattacks"] {
                        let theirs = fixture.values(&format!("{peer}.{levels}"), index);
                        for (pixel, (a, b)) in ours.iter().zip(theirs).enumerate() {
                            let off = (a - b).abs();
                            assert!(
                                off <= 1e-6 || !clear[pixel],
                                "{device_name}, {name}, {levels}/255, pixel {pixel}: {a}, {peer} has {b}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn fgsm_raises_the_loss_and_its_inverse_lowers_it() {
    let device = Device::flex();
    for name in ["same", "strided", "softmax"] {
        let fixture = Fixture::open(name);
        let model = fixture.model(&device);
        for index in 0..2 {
            let x = fixture.tensor("x", index, &device);
            let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(index), &device);
            let loss = |x: Tensor<4>| objective.loss(model.logits(x).unwrap()).unwrap().into_scalar::<f32>();
            let clean = loss(x.clone());
            let (up, down) = (direction(FGSM, &model, &x, &objective), direction(INVERSE, &model, &x, &objective));
            assert_eq!(up.loss, Some(clean));
            assert_eq!(host(up.direction.clone().neg()), host(down.direction.clone()));
            for levels in [0.25, 0.5, 1.0] {
                let raised = loss(up.adversarial(&x, levels / 255.0));
                let lowered = loss(down.adversarial(&x, levels / 255.0));
                println!("{name}, {levels}/255: J {lowered} < {clean} < {raised}");
                assert!(raised > clean && lowered < clean, "{name}, {levels}/255: {lowered}, {clean}, {raised}");
            }
        }
    }
}

#[test]
fn a_zero_gradient_has_sign_zero() {
    for (device_name, device) in devices() {
        let model = Bare::new(&Fixture::open("strided"), &device);
        let x = Fixture::open("strided").tensor("x", 0, &device);
        let [_, _, height, width] = x.dims();
        // Nothing is counted, so that the gradient is zero everywhere.
        let mask = Mask { height, width, classes: vec![IGNORE; height * width].into() };
        let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
        for method in [FGSM, INVERSE] {
            let direction = direction(method, &model, &x, &objective);
            assert!(host(direction.direction.clone()).iter().all(|&d| d == 0.0), "{device_name}");
            assert_eq!(host(direction.adversarial(&x, 0.3)), host(x.clone()), "{device_name}");
        }
    }
}

#[test]
fn adversarial_images_stay_within_epsilon_and_bounds() {
    for (device_name, device) in devices() {
        let fixture = Fixture::open("same");
        let model = fixture.model(&device);
        let x = fixture.tensor("x", 0, &device);
        let objective = Objective::segmentation(Head::Sigmoid, 1, &fixture.target(0), &device);
        let original = fixture.values("x", 0);
        for attack in [FGSM, INVERSE, Attack::random_sign(0).unwrap()] {
            let direction = direction(attack, &model, &x, &objective);
            let signs = host(direction.direction.clone());
            assert_eq!(host(direction.adversarial(&x, 0.0)), original, "{device_name}, {}: ε 0", attack.name());
            for epsilon in [0.1 / 255.0, 4.0 / 255.0, 0.3, 1.0] {
                let changed = host(direction.adversarial(&x, epsilon));
                let expected: Vec<f32> =
                    original.iter().zip(&signs).map(|(x, s)| (x + s * epsilon as f32).clamp(0.0, 1.0)).collect();
                assert!(max_difference(&changed, &expected) <= 1e-6, "{device_name}, {}, ε {epsilon}", attack.name());
                assert!(changed.iter().all(|v| (0.0..=1.0).contains(v)), "{device_name}, {}", attack.name());
            }
            // At ε 1 every pixel with a sign has reached a bound.
            let far = host(direction.adversarial(&x, 1.0));
            assert!(far.iter().zip(&signs).all(|(v, s)| *s == 0.0 || *v == 0.0 || *v == 1.0));
        }
    }
}

#[test]
fn random_signs_are_fair_and_come_from_their_seed() {
    for (device_name, device) in devices() {
        let fixture = Fixture::open("same");
        let model = fixture.model(&device);
        let x = Tensor::<4>::full([1, 1, 200, 300], 0.5, &device);
        let mask = Mask { height: 200, width: 300, classes: vec![0; 60_000].into() };
        let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
        let signs = |seed| host(direction(Attack::random_sign(seed).unwrap(), &model, &x, &objective).direction);
        let first = signs(1);
        assert!(first.iter().all(|&s| s == 1.0 || s == -1.0), "{device_name}");
        assert_eq!(first, signs(1), "{device_name}");
        // Of 60 000 fair signs the mean has standard deviation 0.0041; so has the correlation of two such sets, and
        // of one with itself moved by a pixel or a row.
        let mean = |v: &mut dyn Iterator<Item = f32>| v.sum::<f32>() / 60_000.0;
        assert!(mean(&mut first.iter().copied()).abs() < 0.02, "{device_name}");
        let second = signs(2);
        assert!(mean(&mut first.iter().zip(&second).map(|(a, b)| a * b)).abs() < 0.02, "{device_name}");
        for shift in [1, 300] {
            assert!(mean(&mut first.iter().zip(&first[shift..]).map(|(a, b)| a * b)).abs() < 0.02, "{device_name}");
        }
        let control = direction(Attack::random_sign(1).unwrap(), &model, &x, &objective);
        assert!(control.gradient.is_none() && control.loss.is_none());
    }
}

/// z = w·x + b at each pixel: the strongest δ with ‖δ‖∞ ≤ ε is known.
struct Linear {
    card: ModelCard,
    weight: [f32; 3],
    bias: f32,
    device: Device,
}

impl Linear {
    fn new(weight: [f32; 3], bias: f32, device: &Device) -> Self {
        let card = ModelCard {
            name: "linear".into(),
            description: "One 1×1 convolution.".into(),
            channels: 3,
            head: Head::Sigmoid,
            size_rule: SizeRule::MultipleOf(1),
            positive_class: 1,
            classes: ["no", "yes"].map(ClassInfo::new).into(),
            ..ModelCard::default()
        };
        Self { card, weight, bias, device: device.clone() }
    }
}

impl Model for Linear {
    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 64) as u64
    }

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let weight = Tensor::<1>::from_data(TensorData::from(self.weight), &self.device).reshape([1, 3, 1, 1]);
        Ok(Logits::Dense((x * weight).sum_dim(1) + self.bias))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self::new(self.weight, self.bias, device))
    }
}

#[test]
fn fgsm_reaches_the_known_optimum_of_a_linear_model() {
    for (device_name, device) in devices() {
        let (weight, bias) = ([1.5f32, -0.75, 0.25], -0.4f32);
        let model = Linear::new(weight, bias, &device);
        // Far enough from the bounds that nothing is clipped.
        let values: Vec<f32> = (0..3 * 8 * 8).map(|i| 0.3 + 0.4 * ((i * 37 % 101) as f32 / 101.0)).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 3, 8, 8]), &device);
        let classes: Vec<u8> = (0..64).map(|i| (i * 7 % 3 == 0).into()).collect();
        let mask = Mask { height: 8, width: 8, classes: classes.clone().into() };
        let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
        let (_, gradient) = input_gradient(&model, &x, &objective).unwrap();
        for (epsilon, method, sign) in [(0.02, FGSM, 1.0), (0.1, FGSM, 1.0), (0.1, INVERSE, -1.0)] {
            let adversarial = direction(method, &model, &x, &objective).adversarial(&x, epsilon);
            let reached = f64::from(objective.loss(model.logits(adversarial).unwrap()).unwrap().into_scalar::<f32>());
            // A pixel's logit can be moved by ε·‖w‖₁, and its loss is log(1 + e^(−margin)).
            let reach = f64::from(weight.iter().map(|w| w.abs()).sum::<f32>()) * epsilon;
            let optimum = (0..64)
                .map(|pixel| {
                    let z =
                        (0..3).map(|c| f64::from(weight[c] * values[c * 64 + pixel])).sum::<f64>() + f64::from(bias);
                    let margin = if classes[pixel] == 1 { z } else { -z };
                    (1.0 + (-(margin - sign * reach)).exp()).ln() / 64.0
                })
                .sum::<f64>();
            assert!((reached - optimum).abs() < 1e-5, "{device_name}, ε {epsilon}: {reached}, best is {optimum}");
        }
        // ∂J/∂x_c = w_c·(σ(z) − y)/N: also known.
        let z = host(dense(model.logits(x.clone()).unwrap()));
        let expected: Vec<f32> = (0..192)
            .map(|i| {
                let (c, pixel) = (i / 64, i % 64);
                weight[c] * (1.0 / (1.0 + (-z[pixel]).exp()) - f32::from(classes[pixel])) / 64.0
            })
            .collect();
        assert!(max_difference(&host(gradient), &expected) < 1e-7, "{device_name}");
    }
}

/// On sections that nobody chose and the model never saw, FGSM at 4/255 harms and random signs of the same ε do not.
#[test]
fn fgsm_harms_the_bundled_model_on_unchosen_sections() {
    let model = Arc::new(BuiltIn::bundled(&Device::flex()).unwrap());
    let (mut clean, mut fgsm, mut random) = (0.0, 0.0, 0.0);
    const SECTIONS: u64 = 6;
    for seed in 0..SECTIONS {
        let case = MembranesConfig::sized(192).section(880 + seed).case("unchosen");
        let subject = Subject::new(Arc::new(case), model.clone()).unwrap();
        let subject = Arc::new(subject);
        let dice = |method: Attack| {
            let image = Adversary::new(subject.clone(), method).unwrap().at_last(4.0 / 255.0).unwrap();
            subject.judge(&image).unwrap().measure.overlap.dice / SECTIONS as f64
        };
        clean += subject.clean.measure.overlap.dice / SECTIONS as f64;
        fgsm += dice(FGSM);
        random += dice(Attack::random_sign(seed).unwrap());
    }
    println!(
        "mean membrane Dice of {SECTIONS} sections: clean {clean:.3}; at 4/255 FGSM {fgsm:.3}, random signs {random:.3}"
    );
    assert!(clean - fgsm > 0.08, "{clean} became {fgsm}");
    assert!((clean - random).abs() < (clean - fgsm) / 20.0, "{clean} became {random}");
}

/// On the bundled model and sample, which was chosen for it among 40, FGSM breaks the membranes far below what random
/// sign noise of the same size does.
#[test]
fn fgsm_breaks_the_bundled_model_and_random_signs_do_not() {
    let model = Arc::new(BuiltIn::bundled(&Device::flex()).unwrap());
    let (stack, label) = bundled_sample().unwrap();
    let names: Vec<&str> = model.card().classes.iter().map(|class| class.name.as_str()).collect();
    let map = LabelMap::parse("0=membrane,255=cell", &names).unwrap();
    let mut case = Case::from_slice(&stack, 0, "sample").unwrap();
    case.label = label.mask(0, &map);
    let subject = Subject::new(Arc::new(case), model).unwrap();
    let subject = Arc::new(subject);
    let dice = |method: Attack| {
        let image = Adversary::new(subject.clone(), method).unwrap().at_last(4.0 / 255.0).unwrap();
        subject.judge(&image).unwrap().measure.overlap.dice
    };
    let clean = subject.clean.measure.overlap.dice;
    let (fgsm, inverse) = (dice(FGSM), dice(INVERSE));
    let random: Vec<f64> = (0..3).map(|seed| dice(Attack::random_sign(seed).unwrap())).collect();
    println!(
        "membrane Dice: clean {clean:.3}; at 4/255 FGSM {fgsm:.3}, random signs {random:.3?}, inverse FGSM {inverse:.3}"
    );
    assert!(clean > 0.7, "the bundled model does not serve on its own sample: Dice {clean}");
    assert!(inverse > clean, "inverse FGSM should help: {clean} became {inverse}");
    for random in random {
        let harm = clean - fgsm;
        assert!((random - clean).abs() < harm / 20.0, "random signs should do little: {clean} became {random}");
        assert!(harm > 0.18, "FGSM {fgsm}, random signs {random}");
    }
}
