//! stAdv is that of its paper's equations, run in PyTorch; `tests/fixtures/st_adv.py` computed the values.

use crate::fixture::{Reference, host};
use crate::toys::{Attacks, Cnn, Plain};
use burn::tensor::{Device, Tensor};
use epsiloscope::attack::{Attack, Objective, Options, flow_loss};
use epsiloscope::data::Mask;
use epsiloscope::model::{Head, Logits, Model};
use std::ops::ControlFlow;

/// As the script has them.
const STEPS: usize = 40;
const FLOW_STEPS: usize = 6;
const TAU: f32 = 0.05;

fn reference() -> Reference {
    Reference::open("st_adv.safetensors")
}

#[test]
fn the_flow_loss_and_its_gradient_are_equation_4() {
    let (reference, device) = (reference(), Device::flex());
    let flow = reference.tensor("flow", &device).autodiff().require_grad();
    let loss = flow_loss(&flow);
    for (ours, theirs) in host(loss.clone().inner()).iter().zip(reference.values("flow.loss")) {
        assert!((ours - theirs).abs() < 1e-5 * theirs, "{ours}, PyTorch has {theirs}");
    }
    let gradient = host(flow.grad(&loss.sum().backward()).unwrap());
    let apart = gradient.iter().zip(reference.values("flow.gradient")).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("gradient of the flow loss: within {apart:.1e}");
    assert!(apart < 1e-5, "{apart}");
}

/// The hinge of each image.
type Hinge<'a> = dyn Fn(&Logits) -> Vec<f32> + 'a;

/// Runs stAdv without roughness and compares its hinges before each step, and the flow after some; then with roughness, the whole
/// loss before the first two steps. (After those the pulls of neighbours cancel in places to nothing but rounding, of which Adam
/// makes a step as long as any.)
fn compare(name: &str, model: &dyn Model, x: &Tensor<4>, objective: &Objective, hinge: &Hinge<'_>) {
    let reference = reference();
    let (losses, flow) = (reference.values(&format!("{name}.losses")), reference.values(&format!("{name}.flow")));
    let rough = reference.values(&format!("{name}.rough"));
    let count = x.dims()[0];
    for (tau, steps, losses) in [(0.0, STEPS, losses), (TAU, 2, rough)] {
        let settings = [format!("steps={steps}"), "rate=0.02".into(), format!("tau={tau}")];
        let attack = Attack::parse("stadv", &settings).unwrap();
        let (mut largest, mut heard) = (0.0f32, 0);
        attack
            .run(model, x, objective, &vec![0.0; count], &Options::default(), &mut |step| {
                let at = step.index - 1;
                let moved = step.flow.unwrap();
                let found = hinge(step.logits).into_iter().zip(host(flow_loss(moved))).map(|(h, r)| h + tau * r);
                // Rounding grows with the steps of Adam, which have the same length however small a gradient is.
                let tolerance = if at < 10 { 2e-4 } else { 1e-2 };
                for (i, (ours, theirs)) in found.zip(&losses[at * count..]).enumerate() {
                    let apart = (ours - theirs).abs() / theirs.max(0.1);
                    largest = largest.max(apart);
                    assert!(apart < tolerance, "{name}, τ {tau}, step {at}, image {i}: {ours}, PyTorch has {theirs}");
                }
                if at == FLOW_STEPS {
                    let apart = host(moved.clone()).iter().zip(flow).filter(|(a, b)| (**a - **b).abs() > 1e-3).count();
                    println!("{name}: {apart} of {} displacements apart after {FLOW_STEPS} steps", flow.len());
                    assert!(apart as f64 <= 0.005 * flow.len() as f64, "{name}: {apart} of {}", flow.len());
                }
                heard += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        println!("{name}: losses of {heard} steps with τ {tau} within {largest:.1e}");
        assert_eq!(heard, steps);
    }
    let mean = |at: usize| losses[at * count..(at + 1) * count].iter().sum::<f32>() / count as f32;
    assert!(mean(STEPS - 1) < 0.7 * mean(0), "{name}: the attack of PyTorch lowers its loss");
}

#[test]
fn classes_are_moved_as_by_the_equations_in_pytorch() {
    let (attacks, device) = (Attacks::open(), Device::flex());
    let count = 10;
    let labels = attacks.labels(count);
    let model = Cnn::new(&attacks, &device);
    let x = attacks.tensor("x", &device).narrow(0, 0, count);
    let objective = Objective::classes(Head::Softmax, 1, &labels, &device);
    let hinge = |logits: &Logits| {
        let Logits::Class(z) = logits else { panic!("classes") };
        let z = epsiloscope::tensor::to_host(z.clone()).unwrap();
        let others = |z: &[f32], y: usize| (0..4).filter(|&k| k != y).map(|k| z[k]).fold(f32::MIN, f32::max);
        z.chunks(4).zip(&labels).map(|(z, &y)| (z[y] - others(z, y)).max(0.0)).collect()
    };
    compare("cnn", &model, &x, &objective, &hinge);
}

#[test]
fn masks_are_moved_as_by_the_equations_in_pytorch() {
    let (reference, device) = (reference(), Device::flex());
    let x = reference.tensor("mask.x", &device);
    let [_, _, height, width] = x.dims();
    let truth = reference.values("mask.y");
    let mask = |y: &[f32]| Mask { height, width, classes: y.iter().map(|&y| y as u8).collect() };
    let masks: Vec<Mask> = truth.chunks(height * width).map(mask).collect();
    let model =
        Plain::masks(vec![reference.values("mask.weight").to_vec()], reference.values("mask.bias").to_vec(), &device);
    let objective = Objective::masks(Head::Sigmoid, 1, &masks, &device);
    let hinge = |logits: &Logits| {
        let z = host(crate::fixture::dense(logits.clone()));
        let of = |(z, y): (&[f32], &[f32])| z.iter().zip(y).map(|(z, y)| (z * (2.0 * y - 1.0)).max(0.0)).sum();
        z.chunks(height * width).zip(truth.chunks(height * width)).map(of).collect()
    };
    compare("mask", &model, &x, &objective, &hinge);
}

#[test]
fn a_flow_succeeds_by_the_mask_moved_along() {
    let (reference, device) = (reference(), Device::flex());
    let x = reference.tensor("mask.x", &device).narrow(0, 0, 1);
    let [_, _, height, width] = x.dims();
    let classes = reference.values("mask.y")[..height * width].iter().map(|&y| y as u8).collect();
    let model =
        Plain::masks(vec![reference.values("mask.weight").to_vec()], reference.values("mask.bias").to_vec(), &device);
    let objective = Objective::masks(Head::Sigmoid, 1, &[Mask { height, width, classes }], &device);
    let run = |share: f32| {
        let (mut most, mut still) = (0.0f32, 0.0f32);
        let settings = [format!("steps={STEPS}"), "rate=0.1".into(), format!("share={share}")];
        let attack = Attack::parse("stadv", &settings).unwrap();
        let found = attack
            .run(&model, &x, &objective, &[0.0], &Options::default(), &mut |step| {
                let moved = objective.judge_moved(&model, step.seen.clone(), step.flow).unwrap();
                let told = step.judged[0];
                assert_eq!(told.hits, moved[0].hits, "step {}", step.index);
                assert!((told.loss - moved[0].loss).abs() < 1e-5, "step {}: {told:?}, {moved:?}", step.index);
                most = most.max(moved[0].hits);
                still = still.max(objective.judge(&model, step.seen.clone()).unwrap()[0].hits);
                ControlFlow::Continue(())
            })
            .unwrap();
        let kept = objective.judge_moved(&model, found.adversarial, found.flow.as_ref()).unwrap()[0].hits;
        (most, still, kept)
    };
    let (share, still, _) = run(1.0);
    println!("up to {share} of the moved mask fails, and {still} of the mask as it is");
    assert!(share > 0.0 && run(share).2 >= share - 1e-6, "the flow that reaches {share} is kept");
}
