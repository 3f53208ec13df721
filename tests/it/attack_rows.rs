//! What becomes of an image under attack depends on it alone: not on its batch, the memory or the images beside it. It is
//! done when it has succeeded, and a success that was found is never given away.

use crate::attack_table::attacks;
use crate::fixture::{host, max_difference};
use crate::toys::{Attacks, Cnn, Plain};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Norm, Objective, Options};
use epsiloscope::data::Mask;
use epsiloscope::model::{Head, Model, Task};
use std::ops::ControlFlow;

fn tensor(values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The objective of a choice of images.
type ObjectiveOf = Box<dyn Fn(&[usize]) -> Objective>;

/// A model, images, and the objective of a choice of them.
struct Toy {
    model: Box<dyn Model>,
    x: Tensor<4>,
    objective: ObjectiveOf,
}

const IMAGES: usize = 5;

fn toys() -> Vec<(Task, Toy)> {
    let device = Device::flex();
    let attacks = Attacks::open();
    let labels = attacks.labels(IMAGES);
    let x = attacks.tensor("x", &device).narrow(0, 0, IMAGES);
    let model = Box::new(Cnn::new(&attacks, &device));
    let objective = move |index: &[usize]| {
        let labels: Vec<usize> = index.iter().map(|&i| labels[i]).collect();
        Objective::classes(Head::Softmax, 1, &labels, &Device::flex())
    };
    let cnn = Toy { model, x, objective: Box::new(objective) };
    let weight = vec![vec![4.0, -1.0], vec![-3.0, 2.0], vec![0.5, 0.25]];
    let values: Vec<f32> = (0..IMAGES * 2 * 30).map(|i| 0.2 + 0.6 * ((i * 37 % 101) as f32 / 101.0)).collect();
    let mask = |i: usize| Mask { height: 6, width: 5, classes: (0..30).map(|p| ((p * 7 + i) % 3) as u8).collect() };
    let objective = move |index: &[usize]| {
        let masks: Vec<Mask> = index.iter().map(|&i| mask(i)).collect();
        Objective::masks(Head::Softmax, 1, &masks, &Device::flex())
    };
    let pixels = Toy {
        model: Box::new(Plain::masks(weight, vec![0.1, 0.0, -0.1], &device)),
        x: tensor(values, [IMAGES, 2, 6, 5]),
        objective: Box::new(objective),
    };
    vec![(Task::Classification, cnn), (Task::Segmentation, pixels)]
}

#[test]
fn no_attack_looks_at_the_batch() {
    let epsilons = [2.0, 4.0, 8.0, 16.0, 32.0].map(|l| l / 255.0);
    for (task, toy) in toys() {
        for attack in attacks() {
            let defined = if task == Task::Segmentation { attack.entry().masks } else { attack.entry().classes };
            // JPEG knows one and three channels.
            if !defined || (attack.name() == "jpeg" && task == Task::Segmentation) {
                continue;
            }
            for stop_at in [None, Some(0.5)] {
                let run = |index: &[usize], budget_bytes: u64| {
                    let options = Options { stop_at, budget_bytes, ..Options::default() };
                    let parts = index.iter().map(|&i| toy.x.clone().narrow(0, i, 1)).collect();
                    let epsilons: Vec<f64> = index.iter().map(|&i| epsilons[i]).collect();
                    let objective = (toy.objective)(index);
                    attack
                        .run_through(toy.model.as_ref(), &Tensor::cat(parts, 0), &objective, &epsilons, &options)
                        .unwrap()
                        .adversarial
                };
                let whole = host(run(&[0, 1, 2, 3, 4], 1 << 30));
                let size = whole.len() / IMAGES;
                let small = host(run(&[0, 1, 2, 3, 4], 1));
                let turned = host(run(&[4, 2, 0], 1 << 30));
                let what = format!("{attack}, {task:?}, stop at {stop_at:?}");
                assert!(max_difference(&whole, &small) < 1e-5, "{what}: by the memory");
                for (place, image) in [4, 2, 0].into_iter().enumerate() {
                    let (a, b) = (&whole[image * size..(image + 1) * size], &turned[place * size..(place + 1) * size]);
                    assert!(max_difference(a, b) < 1e-5, "{what}: by the images beside it");
                }
            }
        }
    }
}

#[test]
fn random_starts_do_not_change_with_epsilon() {
    let (_, toy) = toys().remove(0);
    let objective = (toy.objective)(&[0, 1, 2, 3, 4]);
    let attack = Attack::parse("pgd", &["steps=1", "step=1e-6", "seed=3"]).unwrap();
    let way = |epsilon: f64| {
        let outcome =
            attack.run_through(toy.model.as_ref(), &toy.x, &objective, &[epsilon; IMAGES], &Options::default());
        host((outcome.unwrap().adversarial - toy.x.clone()) / epsilon)
    };
    let (near, far) = (way(0.001), way(0.002));
    let clear = host(toy.x.clone()).into_iter().map(|v| v > 0.01 && v < 0.99).collect::<Vec<_>>();
    let apart = near.iter().zip(&far).zip(clear).filter(|((a, b), clear)| *clear && (*a - *b).abs() > 1e-3).count();
    assert_eq!(apart, 0, "the same place of a larger ball");
}

#[test]
fn images_that_have_succeeded_leave_the_batch() {
    let (_, toy) = toys().remove(0);
    let index = [0, 1, 2, 3, 4];
    for (name, settings) in
        [("apgd-ce", vec!["steps=30"]), ("bim", vec!["steps=30"]), ("deepfool", vec![]), ("stadv", vec!["steps=300"])]
    {
        let attack = Attack::parse(name, &settings).unwrap();
        let mut rows = Vec::new();
        let options = Options { stop_at: Some(1.0), ..Options::default() };
        let outcome = attack
            .run(
                toy.model.as_ref(),
                &toy.x,
                &(toy.objective)(&index),
                &[0.2, 0.2, 0.02, 0.02, 0.025],
                &options,
                &mut |step| {
                    assert_eq!(step.adversarial.dims()[0], step.judged.len());
                    rows.push(step.judged.len());
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
        println!("{name}: rows at each step {rows:?}");
        let succeeded = outcome.judged.iter().filter(|j| j.hits == 1.0).count();
        assert!(succeeded >= 2, "{name}: {succeeded} succeed");
        assert!(rows.iter().any(|&r| r < IMAGES), "{name}: none left before the others: {rows:?}");
    }
}

/// Three classes of one pixel with two channels, z = (0.8, 4·(x₁ − ½), 4·(x₂ − ½)).
fn corner() -> (Plain, Objective) {
    let device = Device::flex();
    let weight = vec![vec![0.0, 0.0], vec![4.0, 0.0], vec![0.0, 4.0]];
    let model = Plain::classes(weight, vec![0.8, -2.0, -2.0], &device);
    (model, Objective::classes(Head::Softmax, 1, &[0], &device))
}

/// In an L2 ball of ¼, x₁ alone breaks class 0 (4·¼ = 1 > .8); the largest loss, of both, does not (.707 < .8).
#[test]
fn apgd_keeps_the_adversarial_image_that_it_has_found() {
    let (model, objective) = corner();
    let x = tensor(vec![0.5, 0.5], [1, 2, 1, 1]);
    let start = Some(tensor(vec![0.749, 0.5], [1, 2, 1, 1]));
    let attack = Attack::parse("apgd-ce", &["steps=40", "norm=l2"]).unwrap();
    let options = Options { start, ..Options::default() };
    let mut largest = 0.0f32;
    let outcome = attack
        .run(&model, &x, &objective, &[0.25], &options, &mut |step| {
            largest = largest.max(step.judged[0].loss);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(largest > outcome.judged[0].loss, "a place of larger loss was met");
    assert_eq!(outcome.judged[0].hits, 1.0, "and the success was kept");
}

/// z₀ = −4u, z₁ = 4u + .1, z₂ = 5u − .2 with u = x − .3: on the way from class 0 to class 2 class 1 leads.
#[test]
fn deepfool_reaches_its_target_past_a_third_class() {
    let device = Device::flex();
    let model = Plain::classes(vec![vec![-4.0], vec![4.0], vec![5.0]], vec![1.2, -1.1, -1.7], &device);
    let x = tensor(vec![0.25, 0.2], [2, 1, 1, 1]);
    let objective = Objective::classes(Head::Softmax, 1, &[2, 2], &device).targeted();
    let attack = Attack::named("deepfool").unwrap();
    let outcome = attack.run_through(&model, &x, &objective, &[0.0; 2], &Options::default()).unwrap();
    assert!(outcome.judged.iter().all(|j| j.hits == 1.0), "{:?}", outcome.judged);
    let found = host(outcome.adversarial);
    assert!(found.iter().all(|v| (0.6..0.63).contains(v)), "class 2 leads from .6 on: {found:?}");
}

/// A run with more restarts has those of fewer among them: what they have found it must not lose.
#[test]
fn a_restart_that_succeeds_is_kept() {
    let device = Device::flex();
    let weight = [30.0, 2.0, 1.0, 0.5, 8.0];
    // The mean grey is on the boundary.
    let bias = -0.5 * weight.iter().sum::<f32>();
    let model = Plain::masks(vec![weight.to_vec()], vec![bias], &device);
    // Each pixel has a channel of its own, so that losses and hits are of many sizes.
    let images = 12;
    let values: Vec<f32> = (0..images * 5 * 6).map(|i| 0.5 + 0.002 * ((i * 37 % 101) as f32 / 101.0 - 0.5)).collect();
    let x = tensor(values, [images, 5, 2, 3]);
    let mask = Mask { height: 2, width: 3, classes: vec![1, 0, 1, 0, 1, 1].into() };
    let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
    let options = Options { stop_at: Some(0.6), ..Options::default() };
    let mut lost = 0;
    let mut before = vec![false; images];
    for restarts in 1..=8 {
        let attack = Attack::parse("pgd", &["steps=1", "step=1e-6", "seed=2"]).unwrap();
        let attack = attack.with("restarts", f64::from(restarts)).unwrap();
        let outcome = attack.run_through(&model, &x, &objective, &vec![0.05; images], &options).unwrap();
        let now: Vec<bool> = outcome.judged.iter().map(|j| j.hits >= 0.6).collect();
        lost += before.iter().zip(&now).filter(|(before, now)| **before && !**now).count();
        before = now;
    }
    let succeeded = before.iter().filter(|b| **b).count();
    assert!(lost == 0, "{lost} successes were given away for a larger loss");
    assert!(succeeded > images / 2, "{succeeded} of {images}: too few for a test");
}

/// The direction's images are within ε in exact arithmetic, as those of a run are.
#[test]
fn directions_are_rounded_inwards() {
    let (_, toy) = toys().remove(1);
    let objective = (toy.objective)(&[0, 1, 2, 3, 4]);
    let values = host(toy.x.clone());
    for name in ["fgsm", "random-sign", "inverse-fgsm", "fgnm"] {
        let settings: &[&str] = if name == "fgnm" { &["clip=box"] } else { &[] };
        let attack = Attack::parse(name, settings).unwrap();
        let direction = attack.direction(toy.model.as_ref(), &toy.x, &objective, &Options::default()).unwrap().unwrap();
        for k in 1..200 {
            let epsilon = f64::from(k) * 0.377 / 255.0;
            let found = host(direction.adversarial(&toy.x, epsilon));
            for (a, b) in found.iter().zip(&values) {
                let change = (f64::from(*a) - f64::from(*b)).abs();
                assert!(change <= epsilon, "{name}: {change} is beyond {epsilon}");
            }
            let moved = host(Norm::Linf.of(direction.adversarial(&toy.x, epsilon) - toy.x.clone()));
            assert!(moved.iter().all(|&m| f64::from(m) > epsilon - 1e-6), "{name}: {moved:?} of {epsilon}");
        }
    }
}
