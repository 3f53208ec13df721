//! The control of an attack: independent of the attack's own random numbers, and of the norm that the attack is bounded or
//! measured in.

use crate::campaign_cells;
use crate::campaigns::{cases, cnn, folder, plan};
use crate::fixture::host;
use crate::toys::Plain;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Objective, Options};
use epsiloscope::data::Mask;
use epsiloscope::model::Head;
use epsiloscope::study::campaign::{Row, Table, run};
use epsiloscope::study::{Adversary, Subject, SweepPlan, sweep};
use std::sync::Arc;

const SIDE: usize = 128;

/// A segmenter without a gradient: what an attack returns on it is where it started.
fn flat(side: usize) -> (Plain, Tensor<4>, Objective) {
    let device = Device::flex();
    let mask = Mask { height: side, width: side, classes: vec![1; side * side].into() };
    let objective = Objective::segmentation(Head::Sigmoid, 1, &mask, &device);
    (Plain::masks(vec![vec![0.0]], vec![1.0], &device), Tensor::full([1, 1, side, side], 0.5, &device), objective)
}

#[test]
fn signs_of_the_control_are_not_those_of_an_attacks_start() {
    let (model, x, objective) = flat(SIDE);
    let signs = |name: &str, settings: &[&str]| -> Vec<f64> {
        let attack = Attack::parse(name, settings).unwrap();
        let outcome = attack.run_through(&model, &x, &objective, &[0.1], &Options::default()).unwrap();
        host(outcome.adversarial - x.clone()).into_iter().map(|d| f64::from(d.signum())).collect()
    };
    for seed in ["seed=0", "seed=5"] {
        let control = signs("random-sign", &[seed]);
        assert_eq!(control, signs("random-sign", &[seed]));
        for (name, setting) in [
            ("r-fgsm", "alpha=1"),
            ("pgd", "steps=1"),
            ("pgd", "norm=l2"),
            ("pgdnm", "steps=1"),
            ("segpgd", "steps=1"),
            ("apgd-ce", "steps=1"),
            ("gaussian-noise", seed),
        ] {
            let start = signs(name, &[setting, seed]);
            assert!(start.iter().all(|s| s.abs() == 1.0), "{name} starts elsewhere");
            let together = control.iter().zip(&start).map(|(a, b)| a * b).sum::<f64>() / control.len() as f64;
            assert!(together.abs() < 0.02, "{name}, {seed}: correlation {together}");
        }
    }
}

#[test]
fn starts_of_l2_attacks_fill_the_ball_of_their_region() {
    let (model, x, objective) = flat(16);
    let region: Vec<f32> = (0..256).map(|i| if i < 8 { 1.0 } else { 0.0 }).collect();
    let region = Some(Tensor::<4>::from_data(TensorData::new(region, [1, 1, 16, 16]), &Device::flex()));
    let options = Options { region, ..Options::default() };
    let size = |name: &str| {
        let attack = Attack::parse(name, &["norm=l2", "steps=1"]).unwrap();
        let outcome = attack.run_through(&model, &x, &objective, &[0.2], &options).unwrap();
        let change = host(outcome.adversarial - x.clone());
        assert!(change[8..].iter().all(|&d| d == 0.0), "{name} leaves its region");
        change.iter().map(|&d| f64::from(d).powi(2)).sum::<f64>().sqrt()
    };
    let (sphere, ball) = (size("apgd-ce"), size("pgd"));
    assert!((sphere - 0.2).abs() < 1e-5, "APGD starts on the sphere: {sphere}");
    // Of 8 dimensions, all but a share of 0.4⁸ of the ball is beyond 0.4 of its radius.
    assert!((0.08..=0.2).contains(&ball), "PGD starts in the ball: {ball}");
}

#[test]
fn a_sweep_compares_with_signs_of_the_norm_that_the_attack_has() {
    let subject = Arc::new(Subject::all(cases(1), &cnn(&Device::flex())).unwrap().remove(0));
    let attacks: [(&str, &[&str], f64, &str); 5] = [
        ("deepfool", &[], 0.1, "the same L2 norm"),
        ("carlini-wagner", &["steps=50", "searches=2", "c=1"], 0.1, "the same L2 norm"),
        ("pgd", &["norm=l2", "steps=5"], 0.5, "the same L2 norm"),
        ("fgnm", &[], 0.05, "the same L2 norm"),
        ("pgd", &["steps=5"], 0.05, "the same ε"),
    ];
    for (name, settings, epsilon, words) in attacks {
        let attack = Attack::parse(name, settings).unwrap();
        let adversary = Arc::new(Adversary::new(subject.clone(), attack).unwrap());
        let curve = sweep(adversary, &SweepPlan::exactly(vec![epsilon]), |_, _| ()).unwrap();
        let (point, control) = (curve.points.last().unwrap().measure, curve.control.last().unwrap().measure);
        let (own, other) = (point.distortion, control.distortion);
        println!("{attack}: L∞ {} L2 {}, control L∞ {} L2 {}", own.linf, own.l2, other.linf, other.l2);
        assert!(attack.control_words().contains(words), "{attack}");
        if words.contains("L2") {
            assert!(own.l2 > 0.0 && (own.l2 - other.l2).abs() < 1e-4 * own.l2, "{attack}: {} and {}", own.l2, other.l2);
        } else {
            assert!((other.linf - epsilon).abs() < 1e-6, "{attack}: {}", other.linf);
        }
    }
}

#[test]
fn a_campaign_compares_with_signs_of_the_norm_that_the_attack_has() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let mut plan = plan(&images, &Device::flex());
    plan.models.truncate(1);
    plan.attacks = vec![Attack::named("deepfool").unwrap(), Attack::parse("pgd", &["norm=l2", "steps=5"]).unwrap()];
    (plan.seeds, plan.epsilons) = (vec![0], vec![0.5]);
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let model = cnn(&Device::flex());
    for (name, x, class) in campaign_cells::images(&images) {
        let signs = campaign_cells::signs(&x, 0);
        let at = |length: f64| -> Vec<f32> {
            x.iter().zip(&signs).map(|(&x, &s)| (x + s * length as f32).clamp(0.0, 1.0)).collect()
        };
        let norm = |length: f64| at(length).iter().zip(&x).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        for attack in ["deepfool", "pgd"] {
            let is = |row: &&&Row| row.get("attack") == attack && row.get("image").contains(name.as_str());
            let rows = table.rows();
            let row = rows.iter().find(is).unwrap();
            let wanted = row.number("l2").unwrap();
            let (mut least, mut most) = (0.0, 1.0);
            for _ in 0..50 {
                let middle = f64::midpoint(least, most);
                *(if norm(middle) < wanted { &mut least } else { &mut most }) = middle;
            }
            let (found, expected) =
                (row.number("control_score").unwrap(), campaign_cells::judged(model.as_ref(), &at(least), class).0);
            assert!((found - expected).abs() < 1e-4, "{attack}, {name}: {found}, recomputed {expected}");
        }
    }
}
