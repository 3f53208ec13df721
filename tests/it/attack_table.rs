//! Every attack of the catalogue on every toy model, in one table: within its ball and the bounds, stronger than its own
//! first step and than random signs, the same under the same seed, and no number lost where there is no gradient.

use crate::fixture::{Fixture, host};
use crate::toys::{Attacks, Cnn, Plain};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{
    Attack, CATALOG, Control, EpsilonMeaning, Judgement, Norm, Objective, Options, Outcome, Weighting,
};
use epsiloscope::data::Mask;
use epsiloscope::model::{Head, Model, Task, classify, predict};

const EPSILON: f64 = 4.0 / 255.0;
const IMAGES: usize = 24;

/// A model with images and what is true of them.
struct Toy {
    name: &'static str,
    model: Box<dyn Model>,
    x: Tensor<4>,
    objective: Objective,
    task: Task,
    /// One image's number of values.
    size: usize,
}

/// Values in [0, 1] that look like nothing, a few of them on the bounds.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 24) as f32 * 1.1 - 0.05).clamp(0.0, 1.0)
        })
        .collect()
}

fn images(shape: [usize; 4], seed: u64, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values(shape.iter().product(), seed), shape), device)
}

fn toys(device: &Device) -> Vec<Toy> {
    let attacks = Attacks::open();
    let labels = attacks.labels(IMAGES);
    let cnn = Toy {
        name: "cnn",
        model: Box::new(Cnn::new(&attacks, device)),
        x: attacks.tensor("x", device),
        objective: Objective::classes(Head::Softmax, 1, &labels, device),
        task: Task::Classification,
        size: 144,
    };
    let weight = vec![vec![4.0, -1.0, 2.0], vec![-3.0, 2.0, 0.5], vec![0.5, 0.25, -4.0]];
    let classes: Vec<usize> = (0..IMAGES).map(|i| i % 3).collect();
    let pooled = Toy {
        name: "mean pooling",
        model: Box::new(Plain::classes(weight.clone(), vec![0.1, 0.0, -0.1], device)),
        x: images([IMAGES, 3, 6, 5], 3, device),
        objective: Objective::classes(Head::Softmax, 1, &classes, device),
        task: Task::Classification,
        size: 90,
    };
    let masks = |classes: u8, height: usize, width: usize| -> Vec<Mask> {
        (0..IMAGES)
            .map(|i| Mask {
                height,
                width,
                classes: (0..height * width).map(|p| ((p * 7 + i * 3) % 5) as u8 % classes).collect(),
            })
            .collect()
    };
    let sigmoid = Toy {
        name: "1×1, sigmoid",
        model: Box::new(Plain::masks(vec![vec![3.0, -2.0, 1.0]], vec![-0.8], device)),
        x: images([IMAGES, 3, 6, 5], 5, device),
        objective: Objective::masks(Head::Sigmoid, 1, &masks(2, 6, 5), device),
        task: Task::Segmentation,
        size: 90,
    };
    let softmax = Toy {
        name: "1×1, softmax",
        model: Box::new(Plain::masks(weight, vec![0.1, 0.0, -0.1], device)),
        x: images([IMAGES, 3, 6, 5], 7, device),
        objective: Objective::masks(Head::Softmax, 1, &masks(3, 6, 5), device),
        task: Task::Segmentation,
        size: 90,
    };
    let fixture = Fixture::open("same");
    let two = Tensor::cat([0, 1].map(|i| fixture.tensor("x", i, device)).to_vec(), 0);
    let many: Vec<Tensor<4>> = (0..IMAGES / 2).map(|i| two.clone().roll_dim(3i64 * i as i64, 2)).collect();
    let x = Tensor::cat(many, 0);
    let unet = Toy {
        name: "U-Net",
        model: Box::new(fixture.model(device)),
        x,
        objective: Objective::masks(Head::Sigmoid, 1, &masks(2, 40, 48), device),
        task: Task::Segmentation,
        size: 40 * 48,
    };
    vec![cnn, pooled, sigmoid, softmax, unet]
}

/// The rows of the table: every attack with settings that take no longer than a test may, in each of its norms.
pub fn attacks() -> Vec<Attack> {
    let mut rows = Vec::new();
    for entry in CATALOG {
        let mut attack = Attack::new(entry);
        for (name, value) in [("steps", 20.0), ("step", 0.25), ("searches", 2.0), ("restarts", 2.0), ("seed", 11.0)] {
            if attack.get(name).is_some() {
                attack = attack.with(name, value).unwrap();
            }
        }
        rows.push(attack);
        for choice in ["norm", "clip"] {
            if attack.get(choice).is_some() {
                rows.push(attack.with(choice, 1.0).unwrap());
            }
        }
    }
    rows
}

/// ε in the attack's norm: an L2 ball has the volume of the L∞ ball, about.
fn epsilon(attack: Attack, toy: &Toy) -> f64 {
    if attack.get("norm") == Some(1.0) { EPSILON * (toy.size as f64).sqrt() } else { EPSILON }
}

/// CosPGD weighs pixels, those that are wrong already least, so that it does not raise the plain cross-entropy as FGSM, `fgsm`, does (in
/// PyTorch its formula reaches .9988 on the toy U-Net and FGSM 1.0066, as here). What its steps raise is the weighted loss: there it gets
/// at least as far as FGSM, and it turns at least as many pixels. Gives its own first step, in full, as its one-step form.
fn weighed(toy: &Toy, attack: Attack, fgsm: Attack, outcome: &Outcome, run: &dyn Fn(Attack) -> Outcome) -> Attack {
    let own = ["steps", "step", "restarts"].iter().fold(attack, |a, name| a.with(name, 1.0).unwrap());
    let of = |outcome: &Outcome| {
        let logits = toy.model.logits(outcome.adversarial.clone()).unwrap();
        let losses = toy.objective.losses(logits, Weighting::CosPgd).unwrap();
        let hits = outcome.judged.iter().map(|j| f64::from(j.hits)).sum::<f64>() / IMAGES as f64;
        (f64::from(losses.mean().into_scalar::<f32>()), hits)
    };
    let (all, first, fgsm) = (of(outcome), of(&run(own)), of(&run(fgsm)));
    println!(
        "{attack} on {}: weighted loss and wrong pixels {all:.4?}, FGSM {fgsm:.4?}, one step {first:.4?}",
        toy.name
    );
    // The weights are constants of each step, so that this is no function that its steps climb: against its first step the plain loss
    // is compared, as of all attacks.
    assert!(all.0 >= fgsm.0 - 1e-3 * fgsm.0.abs(), "{}: FGSM raises what CosPGD raises more", toy.name);
    assert!(all.1 >= first.1.max(fgsm.1) - 2e-3, "{}: one step turns more pixels", toy.name);
    own
}

fn mean(judged: &[Judgement]) -> f64 {
    judged.iter().map(|j| f64::from(j.loss)).sum::<f64>() / judged.len() as f64
}

#[test]
fn every_attack_keeps_its_promises() {
    let device = Device::flex();
    for toy in toys(&device) {
        let clean = mean(&toy.objective.judge(toy.model.as_ref(), toy.x.clone()).unwrap());
        let run = |attack: Attack, epsilon: f64| {
            let epsilons = vec![epsilon; IMAGES];
            attack.run_through(toy.model.as_ref(), &toy.x, &toy.objective, &epsilons, &Options::default())
        };
        // The most that random signs of any of these seeds change, for better or worse.
        let random = |seed| mean(&run(Attack::random_sign(seed).unwrap(), EPSILON).unwrap().judged);
        let chance = (0..5).map(|seed| (random(seed) - clean).abs()).fold(0.0, f64::max);
        assert!(chance > 0.0, "{}: random signs do nothing", toy.name);
        let originals = host(toy.x.clone());
        for attack in attacks() {
            let (entry, what) = (attack.entry(), format!("{attack} on {}", toy.name));
            let epsilon = epsilon(attack, &toy);
            let defined = if toy.task == Task::Segmentation { entry.masks } else { entry.classes };
            // JPEG knows one and three channels; every toy has those.
            let outcome = match run(attack, epsilon) {
                Ok(outcome) => outcome,
                Err(error) => {
                    assert!(!defined && error.to_string().contains("not defined"), "{what}: {error}");
                    continue;
                }
            };
            assert!(defined, "{what} should be refused");
            let found = host(outcome.adversarial.clone());
            assert!(found.iter().all(|v| (0.0..=1.0).contains(v)), "{what}: out of bounds");
            for (image, original) in found.chunks(toy.size).zip(originals.chunks(toy.size)) {
                let differences = image.iter().zip(original).map(|(a, b)| f64::from(*a) - f64::from(*b));
                let size = match attack.norm() {
                    Some(Norm::Linf) => differences.fold(0.0, |m, d| d.abs().max(m)),
                    Some(Norm::L2) => differences.map(|d| d * d).sum::<f64>().sqrt(),
                    None => continue,
                };
                assert!(size <= epsilon, "{what}: {size} is beyond {epsilon}");
            }
            let again = run(attack, epsilon).unwrap();
            assert!(host(again.adversarial) == found, "{what}: another result under the same seed");
            let reached = mean(&outcome.judged);
            assert!(reached.is_finite(), "{what}");
            if entry.lowers_the_loss {
                assert!(reached < clean, "{what}: {clean} became {reached}");
            } else if entry.gradient && entry.epsilon == EpsilonMeaning::Radius {
                assert!(reached - clean > 3.0 * chance, "{what}: {clean}, by chance {chance}, reached {reached}");
            }
            if let Some(first) = attack.one_step() {
                let first = match attack.name() {
                    "cospgd" => weighed(&toy, attack, first, &outcome, &|attack| run(attack, epsilon).unwrap()),
                    _ => first,
                };
                let first = mean(&run(first, epsilon).unwrap().judged);
                println!("{what}: {clean:.4}, by chance {chance:.4}, one step {first:.4}, reached {reached:.4}");
                // A random start in an L2 ball is forgotten by halves, not at once.
                assert!(reached >= first - 1e-3 * first.abs(), "{what}: one step reaches {first}, all {reached}");
            }
        }
    }
}

/// What each image is to become: its class another one; of its mask the class with the fewest pixels of what the model predicts is
/// erased. Masks are told with what the model predicts.
fn wishes(toy: &Toy, device: &Device) -> (Objective, Vec<(Mask, Mask)>) {
    let model = toy.model.as_ref();
    let card = model.card();
    if toy.task == Task::Classification {
        let found = classify(model, toy.x.clone()).unwrap();
        let wished: Vec<usize> = found.iter().map(|f| (f.predicted + 1) % card.classes.len()).collect();
        return (Objective::classes(card.head, 1, &wished, device).targeted(), Vec::new());
    }
    let of_image = |i: usize| {
        let truth = predict(model, toy.x.clone().narrow(0, i, 1)).unwrap().predicted;
        let count = |class: u8| truth.classes.iter().filter(|&&c| c == class).count();
        let classes = card.classes.len() as u8;
        let fewest = (0..classes).filter(|&c| count(c) > 0).min_by_key(|&c| count(c)).unwrap();
        let instead = (0..classes).find(|&c| c != fewest).unwrap();
        let wished = truth.classes.iter().map(|&c| if c == fewest { instead } else { c }).collect();
        (Mask { classes: wished, ..truth.clone() }, truth)
    };
    let pairs: Vec<(Mask, Mask)> = (0..IMAGES).map(of_image).collect();
    let (wished, truths): (Vec<Mask>, Vec<Mask>) = pairs.iter().cloned().unzip();
    (Objective::targeted_masks(card.head, 1, &wished, &truths, device), pairs)
}

#[test]
fn every_attack_that_may_have_a_target_goes_towards_it() {
    let device = Device::flex();
    for toy in toys(&device) {
        let model = toy.model.as_ref();
        let (objective, pairs) = wishes(&toy, &device);
        let clean = objective.judge(model, toy.x.clone()).unwrap();
        assert!(clean.iter().all(|j| j.hits == 0.0), "{}: what is to change is not so yet", toy.name);
        let run = |attack: Attack, epsilon: f64| {
            attack.run_through(model, &toy.x, &objective, &[epsilon; IMAGES], &Options::default())
        };
        for attack in attacks() {
            let (entry, what) = (attack.entry(), format!("{attack} on {}, with a target", toy.name));
            if !(if toy.task == Task::Segmentation { entry.masks } else { entry.classes }) {
                continue;
            }
            // The smallest perturbation takes more than 20 steps of this size to find.
            let attack = match attack.name() {
                "carlini-wagner" => attack.with("c", 1e3).unwrap().with("rate", 0.1).unwrap(),
                "stadv" => attack.with("rate", 0.2).unwrap().with("tau", 1e-3).unwrap(),
                _ => attack,
            };
            let epsilon = epsilon(attack, &toy);
            let outcome = match run(attack, epsilon) {
                Ok(outcome) => outcome,
                Err(error) => {
                    assert!(!entry.targeted && error.to_string().contains("no target"), "{what}: {error}");
                    continue;
                }
            };
            assert!(entry.targeted, "{what} should be refused");
            // As a study judges: by the classes of the adversarial images, where the target changes them.
            for (i, (wished, truth)) in pairs.iter().enumerate() {
                let found = predict(model, outcome.adversarial.clone().narrow(0, i, 1)).unwrap().predicted;
                let changed = (0..truth.classes.len()).filter(|&p| wished.classes[p] != truth.classes[p]);
                let reached = changed.clone().filter(|&p| found.classes[p] == wished.classes[p]).count();
                let share = reached as f64 / changed.count() as f64;
                let hits = f64::from(outcome.judged[i].hits);
                assert!((hits - share).abs() < 1e-5, "{what}: image {i}, {hits} of the attack, {share} of the study");
            }
            if !entry.gradient {
                continue;
            }
            let control = Control::new(model, &toy.x, &objective, 3, &Options::default()).unwrap();
            let control = control.beside(attack, &toy.x, epsilon, &outcome.adversarial).unwrap();
            let random = objective.judge(model, control).unwrap();
            let hits = |judged: &[Judgement]| judged.iter().map(|j| f64::from(j.hits)).sum::<f64>() / IMAGES as f64;
            let (reached, by_chance) = (mean(&outcome.judged), mean(&random));
            println!(
                "{what}: loss {:.4}, by chance {by_chance:.4}, reached {reached:.4}; hits {:.3}, by chance {:.3}",
                mean(&clean),
                hits(&outcome.judged),
                hits(&random)
            );
            let moved = Norm::Linf.of(outcome.adversarial.clone() - toy.x.clone());
            assert!(host(moved).iter().all(|&d| d > 0.0), "{what}: an image is left as it was");
            if entry.epsilon == EpsilonMeaning::Found && toy.name == "U-Net" {
                // Its logit is below −.09 for every image: no perturbation turns a pixel, so that none is the smallest.
                // [`what_seeks_the_smallest_perturbation_of_a_u_net_reaches_its_goal`] asks them of one that can be turned.
                continue;
            }
            if attack.name() == "stadv" && toy.name == "mean pooling" {
                // Moving pixels hardly changes a mean: the target is not reached, only nearer.
                assert!(reached < mean(&clean), "{what}: {reached}");
            } else if entry.epsilon == EpsilonMeaning::Found {
                assert!(hits(&outcome.judged) > hits(&random) + 0.2, "{what}: {} of the target", hits(&outcome.judged));
            } else {
                assert!(reached < mean(&clean) && reached < by_chance, "{what}: {reached}, by chance {by_chance}");
            }
        }
    }
}

#[test]
fn no_attack_loses_its_numbers_where_there_is_no_gradient() {
    let device = Device::flex();
    let x = images([2, 1, 6, 5], 9, &device);
    let mask = Mask { height: 6, width: 5, classes: vec![1; 30].into() };
    let flat: [(Box<dyn Model>, Objective, Task); 2] = [
        (
            Box::new(Plain::classes(vec![vec![0.0], vec![0.0]], vec![1.0, 0.0], &device)),
            Objective::classes(Head::Softmax, 1, &[0, 0], &device),
            Task::Classification,
        ),
        (
            Box::new(Plain::masks(vec![vec![0.0]], vec![1.0], &device)),
            Objective::segmentation(Head::Sigmoid, 1, &mask, &device),
            Task::Segmentation,
        ),
    ];
    for (model, objective, task) in flat {
        for attack in attacks() {
            let defined = if task == Task::Segmentation { attack.entry().masks } else { attack.entry().classes };
            if !defined {
                continue;
            }
            let outcome = attack.run_through(model.as_ref(), &x, &objective, &[0.1; 2], &Options::default()).unwrap();
            let found = host(outcome.adversarial);
            assert!(found.iter().all(|v| (0.0..=1.0).contains(v)), "{attack}");
            if attack.entry().gradient && attack.get("seed").is_none() {
                let moved = found.iter().zip(host(x.clone())).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(moved <= 1e-5, "{attack} moved by {moved} without a gradient");
                // The share of zeros says why: this is gradient masking, or a model that does not look.
                if attack.get("tau").is_none() && attack.name() != "carlini-wagner" {
                    assert_eq!(outcome.zero_share, Some(vec![1.0; 2]), "{attack}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_defined_is_refused_with_its_reason() {
    let device = Device::flex();
    let attacks = Attacks::open();
    let (model, x) = (Cnn::new(&attacks, &device), attacks.tensor("x", &device).narrow(0, 0, 1));
    let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(1), &device);
    let said = |name: &str, objective: &Objective, x: &Tensor<4>, epsilon: f64| {
        let attack = Attack::named(name).unwrap();
        attack.run_through(&model, x, objective, &[epsilon], &Options::default()).unwrap_err().to_string()
    };
    assert!(said("segpgd", &objective, &x, 0.1).contains("loss over pixels"));
    assert!(said("inverse-fgsm", &objective.clone().targeted(), &x, 0.1).contains("no target"));
    assert!(said("pgd", &objective, &x, f64::NAN).contains("finite"));
    assert!(said("pgd", &objective, &(x.clone() * 2.0 + 0.5), 0.1).contains("bounds"));
    let mask = Mask { height: 12, width: 12, classes: vec![0; 144].into() };
    let of_masks = Objective::segmentation(Head::Softmax, 1, &mask, &device);
    assert!(said("pgd", &of_masks, &x, 0.1).contains("segmentation"));
    let reference = epsiloscope::attack::Reference::Label;
    assert!(Attack::INVERSE_FGSM.check_reference(reference).unwrap_err().to_string().contains("augmenting"));
    assert!(Attack::FGSM.check_reference(reference).is_ok());
}
