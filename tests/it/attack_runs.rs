//! What all attacks share: regions, limits, early stop, batches, restarts, observers; and the norms of minimum-norm attacks
//! beside the known optimum.

use crate::fixture::{Fixture, host, max_difference};
use crate::toys::{Attacks, Cnn, Plain};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Norm, Objective, Options, moved_label};
use epsiloscope::data::{IGNORE, Mask};
use epsiloscope::model::{Head, Logits, Model};
use std::ops::ControlFlow;

fn cnn(count: usize) -> (Cnn, Tensor<4>, Objective) {
    let (device, attacks) = (Device::flex(), Attacks::open());
    let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(count), &device);
    (Cnn::new(&attacks, &device), attacks.tensor("x", &device).narrow(0, 0, count), objective)
}

fn norms(a: &Tensor<4>, b: &Tensor<4>) -> Vec<f32> {
    host(Norm::L2.of(a.clone() - b.clone()))
}

#[test]
fn batches_and_budgets_change_nothing() {
    let (model, x, objective) = cnn(6);
    let attack = Attack::parse("pgd", &["steps=5", "restarts=3", "seed=4"]).unwrap();
    let epsilons = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|l| l / 255.0);
    let run = |budget_bytes| {
        let options = Options { budget_bytes, ..Options::default() };
        attack.run_through(&model, &x, &objective, &epsilons, &options).unwrap()
    };
    let (whole, single) = (run(1 << 30), run(1));
    assert!(max_difference(&host(whole.adversarial.clone()), &host(single.adversarial)) < 1e-5);
    let largest = host(Norm::Linf.of(whole.adversarial - x));
    for (largest, epsilon) in largest.iter().zip(epsilons) {
        assert!((f64::from(*largest) - epsilon).abs() < 1e-6, "each image has its own ε");
    }
    let once = Attack::parse("pgd", &["steps=5", "seed=4"]).unwrap();
    let once = once.run_through(&model, &single_image(&model), &objective, &epsilons, &Options::default());
    assert!(once.is_err(), "six ε for another number of images");
}

fn single_image(model: &Cnn) -> Tensor<4> {
    Tensor::full([1, 1, 12, 12], 0.5, &model.device())
}

#[test]
fn regions_limits_and_starts_are_kept() {
    let (model, x, objective) = cnn(3);
    let device = Device::flex();
    let left: Vec<f32> = (0..144).map(|i| f32::from(u8::from(i % 12 < 6))).collect();
    let region = Tensor::<4>::from_data(TensorData::new(left.clone(), [1, 1, 12, 12]), &device);
    let (lower, upper) = ((x.clone() - 0.01).clamp(0.0, 1.0), (x.clone() + 0.002).clamp(0.0, 1.0));
    for name in ["fgsm", "pgd", "pgdnm", "random-sign", "apgd-ce", "deepfool", "mi-fgsm"] {
        let attack = Attack::named(name).unwrap();
        let options = Options {
            region: Some(region.clone()),
            limits: Some((lower.clone(), upper.clone())),
            ..Options::default()
        };
        let outcome = attack.run_through(&model, &x, &objective, &[0.05; 3], &options).unwrap();
        let delta = host(outcome.adversarial - x.clone());
        for (i, d) in delta.iter().enumerate() {
            assert!(left[i % 144] == 1.0 || *d == 0.0, "{name}: outside the region");
            assert!((-0.01 - 1e-6..=0.002 + 1e-6).contains(d), "{name}: {d} beyond the limits");
        }
        assert!(delta.iter().any(|d| *d != 0.0), "{name} did nothing");
    }
    let start = (x.clone() + 0.5).clamp(0.0, 1.0);
    let options = Options { start: Some(start), ..Options::default() };
    let once = Attack::parse("bim", &["steps=1", "step=0.001"]).unwrap();
    let outcome = once.run_through(&model, &x, &objective, &[0.1; 3], &options).unwrap();
    assert!(host(Norm::Linf.of(outcome.adversarial - x)).iter().all(|&d| d > 0.09), "from the start, projected");
}

#[test]
fn a_loss_looks_where_it_is_told() {
    let device = Device::flex();
    let fixture = Fixture::open("same");
    let (model, x) = (fixture.model(&device), fixture.tensor("x", 0, &device));
    let whole = fixture.target(0);
    let mut cut = whole.classes.to_vec();
    let inside: Vec<bool> = (0..cut.len()).map(|i| i % whole.width < 10).collect();
    cut.iter_mut().zip(&inside).filter(|(_, inside)| !**inside).for_each(|(c, _)| *c = IGNORE);
    let ignored = Objective::segmentation(Head::Sigmoid, 1, &Mask { classes: cut.into(), ..whole.clone() }, &device);
    let region: Vec<f32> = inside.iter().map(|&i| f32::from(u8::from(i))).collect();
    let region = Tensor::<4>::from_data(TensorData::new(region, [1, 1, whole.height, whole.width]), &device);
    let within = Objective::segmentation(Head::Sigmoid, 1, &whole, &device).within(region);
    let judge = |objective: &Objective| objective.judge(&model, x.clone()).unwrap()[0];
    let (a, b) = (judge(&ignored), judge(&within));
    assert!((a.loss - b.loss).abs() < 1e-5 && (a.hits - b.hits).abs() < 1e-5, "{a:?}, {b:?}");
}

#[test]
fn early_stop_and_observers() {
    let (model, x, objective) = cnn(10);
    let attack = Attack::parse("bim", &["steps=20", "step=0.1"]).unwrap();
    let (mut rows, mut steps) = (Vec::new(), 0);
    let stopping = Options { stop_at: Some(1.0), ..Options::default() };
    let outcome = attack
        .run(&model, &x, &objective, &[0.1; 10], &stopping, &mut |step| {
            rows.push(step.judged.len());
            assert_eq!(step.adversarial.dims()[0], step.judged.len());
            ControlFlow::Continue(())
        })
        .unwrap();
    println!("rows still attacked at each step: {rows:?}");
    assert!(outcome.judged.iter().all(|j| j.hits == 1.0), "all succeed at this ε");
    assert!(rows.windows(2).all(|w| w[1] <= w[0]) && rows.last() < rows.first(), "{rows:?}");
    let through = attack.run_through(&model, &x, &objective, &[0.1; 10], &Options::default()).unwrap();
    let mean = |d: Vec<f32>| d.iter().sum::<f32>() / d.len() as f32;
    assert!(mean(norms(&outcome.adversarial, &x)) < mean(norms(&through.adversarial, &x)), "stopped nearer");
    let outcome = attack
        .run(&model, &x, &objective, &[0.1; 10], &Options::default(), &mut |step| {
            steps = step.index;
            if step.index == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert!(outcome.stopped && steps == 3 && outcome.gradients == 3);
    let clean = objective.judge(&model, x).unwrap();
    assert!(outcome.judged.iter().zip(&clean).all(|(a, b)| a.loss > b.loss), "what was found is kept");
}

/// ‖δ‖₂ of the nearest boundary of `weights`, of the mean of `pixels` pixels.
fn nearest(z: &[f32], weights: &[Vec<f32>], label: usize, pixels: f64) -> f64 {
    let to = |k: usize| {
        let w = weights[label].iter().zip(&weights[k]).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        f64::from(z[label] - z[k]) / w * pixels.sqrt()
    };
    (0..z.len()).filter(|&k| k != label).map(to).fold(f64::INFINITY, f64::min)
}

#[test]
fn minimum_norms_of_linear_classifiers_are_near_the_optimum() {
    let device = Device::flex();
    let weights = vec![vec![4.0, -1.0, 2.0], vec![-3.0, 2.0, 0.5], vec![0.5, 0.25, -4.0]];
    let model = Plain::classes(weights.clone(), vec![0.1, 0.0, -0.1], &device);
    let values: Vec<f32> = (0..8 * 3 * 16).map(|i| 0.35 + 0.3 * ((i * 37 % 101) as f32 / 101.0)).collect();
    let shift: Vec<f32> = (0..8 * 3).map(|i| 0.15 * ((i * 29 % 7) as f32 / 7.0 - 0.5)).collect();
    let values: Vec<f32> = values.iter().enumerate().map(|(i, v)| v + shift[i / 16]).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values, [8, 3, 4, 4]), &device);
    let epsiloscope::model::Logits::Class(z) = model.logits(x.clone()).unwrap() else { panic!("classes") };
    let z = epsiloscope::tensor::to_host(z).unwrap();
    let labels: Vec<usize> = z.chunks(3).map(|z| (0..3).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap()).collect();
    let objective = Objective::classes(Head::Softmax, 1, &labels, &device);
    let optimum: Vec<f64> = z.chunks(3).zip(&labels).map(|(z, &y)| nearest(z, &weights, y, 16.0)).collect();
    for (name, settings) in [("deepfool", vec![]), ("carlini-wagner", vec!["steps=200"])] {
        let attack = Attack::parse(name, &settings).unwrap();
        let outcome = attack.run_through(&model, &x, &objective, &[0.0; 8], &Options::default()).unwrap();
        assert!(outcome.judged.iter().all(|j| j.hits == 1.0), "{name} succeeds everywhere");
        let ratio: Vec<f64> =
            norms(&outcome.adversarial, &x).iter().zip(&optimum).map(|(n, o)| f64::from(*n) / o).collect();
        println!("{name}: norm / optimum {ratio:.4?}");
        assert!(ratio.iter().all(|r| (0.9999..=1.05).contains(r)), "{name}: {ratio:?}");
    }
}

/// The nearest point of the box at which `w`·x ≤ `value`, or its distance: x is moved against w, clipped, by as much as is needed.
fn nearest_in_box(x: &[f32], w: &[f64], value: f64) -> f64 {
    let moved = |by: f64| x.iter().zip(w).map(|(&x, w)| (f64::from(x) - by * w).clamp(0.0, 1.0)).collect::<Vec<_>>();
    let reached = |at: &[f64]| at.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() <= value;
    let (mut near, mut far) = (0.0, 1e3);
    if !reached(&moved(far)) {
        return f64::INFINITY;
    }
    for _ in 0..80 {
        let middle = 0.5 * (near + far);
        if reached(&moved(middle)) { far = middle } else { near = middle }
    }
    moved(far).iter().zip(x).map(|(a, &x)| (a - f64::from(x)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn minimum_norms_at_the_bounds_are_near_the_optimum() {
    let device = Device::flex();
    // Most values lie on a bound, as those of a digit, and half of the ways to the nearest boundary lead beyond it.
    let weight = |class: usize, i: usize| ((i * (31 + 18 * class) + 7 * class) % 97) as f32 / 97.0 - 0.5;
    let weights: Vec<Vec<f32>> = (0..4).map(|class| (0..32).map(|i| weight(class, i)).collect()).collect();
    let model = Plain::classes(weights.clone(), vec![0.0; 4], &device);
    let values: Vec<f32> = (0..6 * 32)
        .map(|i| match i * 53 % 7 {
            0..=2 => 0.0,
            3 | 4 => 1.0,
            _ => (i * 37 % 101) as f32 / 101.0,
        })
        .collect();
    let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [6, 32, 1, 1]), &device);
    let epsiloscope::model::Logits::Class(z) = model.logits(x.clone()).unwrap() else { panic!("classes") };
    let z = epsiloscope::tensor::to_host(z).unwrap();
    let labels: Vec<usize> = z.chunks(4).map(|z| (0..4).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap()).collect();
    let objective = Objective::classes(Head::Softmax, 1, &labels, &device);
    let optimum = |image: usize| {
        let x = &values[image * 32..(image + 1) * 32];
        let label = labels[image];
        let to = |k: usize| {
            let w: Vec<f64> = weights[label].iter().zip(&weights[k]).map(|(a, b)| f64::from(a - b)).collect();
            nearest_in_box(x, &w, 0.0)
        };
        (0..4).filter(|&k| k != label).map(to).fold(f64::INFINITY, f64::min)
    };
    // A rate that falls needs all steps: values that begin on a bound hardly move at first.
    for settings in [&["steps=400"][..], &["steps=1000", "fall-classes=0.01"]] {
        let attack = Attack::parse("carlini-wagner", settings).unwrap();
        let outcome = attack.run_through(&model, &x, &objective, &[0.0; 6], &Options::default()).unwrap();
        assert!(outcome.judged.iter().all(|j| j.hits == 1.0));
        let norms = norms(&outcome.adversarial, &x);
        let ratio: Vec<f64> = norms.iter().enumerate().map(|(i, n)| f64::from(*n) / optimum(i)).collect();
        println!("{settings:?}: norm / optimum {ratio:.4?}");
        let most = if settings.len() > 1 { 1.005 } else { 1.05 };
        assert!(ratio.iter().all(|r| (0.9999..=most).contains(r)), "{settings:?}: {ratio:?}");
    }
}

#[test]
fn minimum_norms_of_a_1x1_segmenter_are_near_the_optimum() {
    let device = Device::flex();
    let weight: [f32; 2] = [6.0, -4.0];
    let model = Plain::masks(vec![weight.to_vec()], vec![-0.9], &device);
    let values: Vec<f32> = (0..2 * 16).map(|i| 0.35 + 0.3 * ((i * 37 % 53) as f32 / 53.0)).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 2, 4, 4]), &device);
    let z: Vec<f32> = (0..16).map(|i| weight[0] * values[i] + weight[1] * values[16 + i] - 0.9).collect();
    let mask = Mask { height: 4, width: 4, classes: z.iter().map(|&z| u8::from(z >= 0.0)).collect() };
    let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
    // A pixel costs its margin over ‖w‖; the cheapest are flipped first.
    let mut margins: Vec<f64> = z.iter().map(|z| f64::from(z.abs())).collect();
    margins.sort_by(f64::total_cmp);
    let length = f64::from(weight.iter().map(|w| w * w).sum::<f32>()).sqrt();
    for share in [1.0, 0.5, 0.25] {
        let flipped = (share * 16.0) as usize;
        let optimum = margins[..flipped].iter().map(|m| m * m).sum::<f64>().sqrt() / length;
        for name in ["carlini-wagner", "deepfool"] {
            let attack = Attack::named(name).unwrap().with("share", share).unwrap();
            let outcome = attack.run_through(&model, &x, &objective, &[0.0], &Options::default()).unwrap();
            let ratio = f64::from(norms(&outcome.adversarial, &x)[0]) / optimum;
            println!("{name}, share {share}: {:.2} flipped, norm / optimum {ratio:.4}", outcome.judged[0].hits);
            assert!(f64::from(outcome.judged[0].hits) >= share, "{name} flips what was wished");
            assert!(ratio > 0.9999, "nothing beats the optimum");
            assert!(ratio <= 1.05, "{name}, share {share}: {ratio}");
        }
    }
}

#[test]
fn moving_pixels_breaks_the_classifier_and_labels_move_along() {
    let (model, x, objective) = cnn(6);
    let attack = Attack::named("stadv").unwrap();
    let outcome = attack.run_through(&model, &x, &objective, &[0.0; 6], &Options::default()).unwrap();
    let displaced = outcome.largest_displacement().unwrap().unwrap();
    let broken = outcome.judged.iter().filter(|j| j.hits == 1.0).count();
    println!("stAdv: {broken} of 6 broken, largest displacements {displaced:.2?} px");
    assert!(broken >= 4 && displaced.iter().all(|d| d.is_finite() && *d > 0.0));
    let label = Mask { height: 12, width: 12, classes: (0..144).map(|i| (i % 12) as u8).collect() };
    let flow = outcome.flow.unwrap().narrow(0, 0, 1);
    let moved = moved_label(&flow, &label).unwrap();
    assert_eq!(moved.classes.len(), 144);
    let off = moved.classes.iter().zip(label.classes.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(f32::from(off) <= displaced[0] + 0.5, "a label moves as far as its pixels");
}

#[test]
fn corruptions_grow_with_their_strength() {
    let (model, x, objective) = cnn(2);
    for name in ["gaussian-noise", "salt-and-pepper", "blur", "jpeg", "contrast"] {
        let attack = Attack::named(name).unwrap();
        let far = |strength: f64| {
            let outcome = attack.run_through(&model, &x, &objective, &[strength; 2], &Options::default()).unwrap();
            norms(&outcome.adversarial, &x)[0]
        };
        let found = [0.0, 0.1, 0.5, 1.0].map(far);
        println!("{name}: {found:?}");
        assert_eq!(found[0], 0.0, "{name}: nothing at 0");
        assert!(found.windows(2).all(|w| w[1] > w[0]), "{name}: {found:?}");
    }
}

/// The attacks that take steps, quick.
const STEPPED: [(&str, &[&str]); 9] = [
    ("bim", &["steps=6"]),
    ("pgd", &["steps=6", "restarts=2", "step=0.3"]),
    ("pgdnm", &["steps=6"]),
    ("mi-fgsm", &["steps=6"]),
    ("apgd-ce", &["steps=8"]),
    ("deepfool", &["steps=6"]),
    ("carlini-wagner", &["steps=12", "searches=2", "c=1"]),
    ("stadv", &["steps=8"]),
    ("r-fgsm", &[]),
];

#[test]
fn listening_changes_nothing_and_tells_what_the_model_makes_of_each_image() {
    let (model, x, objective) = cnn(4);
    let epsilons = [8.0 / 255.0; 4];
    for (name, settings) in STEPPED {
        let attack = Attack::parse(name, settings).unwrap();
        // A budget of one row at a time: the steps of all batches are counted through.
        for budget_bytes in [1 << 30, 1] {
            let options = Options { budget_bytes, ..Options::default() };
            let alone = attack.run_through(&model, &x, &objective, &epsilons, &options).unwrap();
            let (mut last, mut losses) = (0, Vec::new());
            let heard = attack
                .run(&model, &x, &objective, &epsilons, &options, &mut |step| {
                    assert!(step.index > last && step.index <= step.of, "{name}: {} of {}", step.index, step.of);
                    last = step.index;
                    let read = host(step.seen.clone());
                    assert_eq!(read.len(), 144 * step.judged.len(), "{name}");
                    let Logits::Class(z) = step.logits else { panic!("{name}: a map") };
                    let Logits::Class(again) = model.logits(step.seen.clone()).unwrap() else { panic!("a map") };
                    let difference = (z.clone() - again).abs().max().into_scalar::<f32>();
                    assert!(difference < 1e-4, "{name}: the logits are not of these images, {difference}");
                    losses.push(step.judged[0].loss);
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(host(alone.adversarial), host(heard.adversarial), "{name}: listening changed the result");
            assert!(!losses.is_empty() && losses.iter().all(|l| l.is_finite()), "{name}");
        }
    }
}

#[test]
fn what_is_stopped_keeps_the_best_that_it_met() {
    let (model, x, objective) = cnn(5);
    let epsilons = [0.1; 5];
    for (name, settings) in [("pgd", "step=1.7"), ("bim", "step=2"), ("apgd-ce", "steps=30"), ("pgdnm", "step=3")] {
        let attack = Attack::parse(name, &[settings, "steps=30"]).unwrap();
        let (mut met, mut count) = (vec![(0.0f32, f32::MIN); 5], 0);
        let stopped = attack
            .run(&model, &x, &objective, &epsilons, &Options::default(), &mut |step| {
                for (best, j) in met.iter_mut().zip(step.judged) {
                    if (j.hits, j.loss) > *best {
                        *best = (j.hits, j.loss);
                    }
                }
                count = step.index;
                if step.index == 11 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        assert!(stopped.stopped && count == 11, "{name}");
        for (found, best) in stopped.judged.iter().zip(met) {
            // What APGD keeps is its best loss, whatever it hits.
            let kept =
                if name == "apgd-ce" { found.loss >= best.1 - 1e-4 } else { (found.hits, found.loss + 1e-4) >= best };
            assert!(kept, "{name}: kept {found:?}, met {best:?}");
        }
    }
}
