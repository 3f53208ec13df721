//! Attacks are numerically those of Foolbox, torchattacks and ART where these agree, and those of the papers' formulas run
//! in PyTorch where no library has them; `tests/fixtures/attacks.py` computed the values.

use crate::fixture::{Fixture, devices, host};
use crate::toys::{Attacks, Cnn};
use burn::tensor::{Device, Tensor};
use epsiloscope::attack::{Attack, Objective, Options};
use epsiloscope::model::{Head, Model};

const EPSILON: f64 = 8.0 / 255.0;
pub const L2_EPSILON: f64 = 0.5;
const COMPARED: usize = 10;

/// Steps along a sign differ by rounding only, or by a whole step where |g| is so near 0 that rounding decides its sign.
pub const SIGN: f32 = 1e-6;
/// Steps along the gradient itself carry its rounding: 1 − p of a confident softmax has few digits left.
pub const GRADIENT: f32 = 2e-5;

/// The same, on a device that sums in an order of its own.
fn gradient_tolerance(device_name: &str) -> f32 {
    if device_name == "Flex" { GRADIENT } else { 5.0 * GRADIENT }
}

/// The share of values that may differ by more.
const MOST_APART: f64 = 0.002;

/// Compares all values with those of a library, and prints what was found.
#[track_caller]
pub fn compare(what: &str, ours: &Tensor<4>, theirs: &[f32], tolerance: f32) {
    let ours = host(ours.clone());
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let (near, apart): (Vec<f32>, Vec<f32>) =
        // Relative where an image that is not clipped leaves [0, 1].
        ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).partition(|d| *d <= tolerance);
    let largest = near.iter().copied().fold(0.0, f32::max);
    println!("{what}: {} of {} apart, the others within {largest:.1e}", apart.len(), ours.len());
    assert!(apart.len() as f64 <= MOST_APART * ours.len() as f64, "{what}: {} apart, {apart:?}", apart.len());
}

fn run(attack: Attack, model: &dyn Model, x: &Tensor<4>, objective: &Objective, epsilon: f64) -> Tensor<4> {
    let epsilons = vec![epsilon; x.dims()[0]];
    attack.run_through(model, x, objective, &epsilons, &Options::default()).unwrap().adversarial
}

#[test]
fn classifiers_are_attacked_as_by_foolbox_torchattacks_and_art() {
    let attacks = Attacks::open();
    for (device_name, device) in devices() {
        let model = Cnn::new(&attacks, &device);
        let x = attacks.tensor("x", &device).narrow(0, 0, COMPARED);
        let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(COMPARED), &device);
        let pgd = ["steps=10", "step=0.25", "random-start=no"];
        let rows: [(&str, &[&str], f64, &[&str]); 5] = [
            ("fgsm", &[], EPSILON, &["foolbox.fgsm", "torchattacks.fgsm", "art.fgsm"]),
            ("bim", &["step=0.25"], EPSILON, &["foolbox.bim", "torchattacks.bim", "art.bim"]),
            ("pgd", &pgd, EPSILON, &["foolbox.pgd", "torchattacks.pgd", "art.pgd"]),
            ("pgd", &[pgd[0], pgd[1], pgd[2], "norm=l2"], L2_EPSILON, &["foolbox.pgd-l2", "torchattacks.pgd-l2"]),
            ("mi-fgsm", &["step=0.25"], EPSILON, &["torchattacks.mi-fgsm", "art.mi-fgsm"]),
        ];
        for (name, settings, epsilon, keys) in rows {
            let attack = Attack::parse(name, settings).unwrap();
            let ours = run(attack, &model, &x, &objective, epsilon);
            for key in keys {
                let tolerance = if key.ends_with("l2") { gradient_tolerance(device_name) } else { SIGN };
                compare(&format!("{device_name}, {attack}, {key}"), &ours, attacks.values(key), tolerance);
            }
        }
        let wished: Vec<usize> = attacks.labels(COMPARED).iter().map(|y| (y + 1) % 4).collect();
        let ours = run(
            Attack::parse("pgd", &pgd).unwrap(),
            &model,
            &x,
            &Objective::classes(Head::Softmax, 1, &wished, &device).targeted(),
            EPSILON,
        );
        compare(&format!("{device_name}, targeted PGD"), &ours, attacks.values("torchattacks.pgd-targeted"), SIGN);
    }
}

#[test]
fn without_the_sign_as_cheng_et_al() {
    let attacks = Attacks::open();
    for (device_name, device) in devices() {
        let model = Cnn::new(&attacks, &device);
        let x = attacks.tensor("x", &device).narrow(0, 0, COMPARED);
        let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(COMPARED), &device);
        for clip in ["none", "box"] {
            let clipped = format!("clip={clip}");
            for (name, settings) in
                [("fgnm", vec![clipped.clone()]), ("binm", vec![clipped.clone(), "step=0.25".into()])]
            {
                let attack = Attack::parse(name, &settings).unwrap();
                let key = format!("formula.{name}-{clip}");
                let ours = run(attack, &model, &x, &objective, EPSILON);
                compare(&format!("{device_name}, {key}"), &ours, attacks.values(&key), gradient_tolerance(device_name));
                if let Some(direction) = attack.direction(&model, &x, &objective, &Options::default()).unwrap() {
                    compare(
                        &format!("{device_name}, {key} by its direction"),
                        &direction.adversarial(&x, EPSILON),
                        attacks.values(&key),
                        gradient_tolerance(device_name),
                    );
                }
            }
        }
    }
}

#[test]
fn masks_are_attacked_by_the_formulas_of_segpgd_and_cospgd() {
    let attacks = Attacks::open();
    let device = Device::flex();
    for name in ["same", "softmax"] {
        let fixture = Fixture::open(name);
        let model = fixture.model(&device);
        for method in ["segpgd", "cospgd"] {
            let attack = Attack::parse(method, &["steps=10", "step=0.25", "random-start=no"]).unwrap();
            let masks = [0, 1].map(|index| fixture.target(index));
            let x = Tensor::cat([0, 1].map(|index| fixture.tensor("x", index, &device)).to_vec(), 0);
            let objective = Objective::masks(fixture.card.head, 1, &masks, &device);
            for (suffix, objective) in [("", objective.clone()), ("-targeted", objective.targeted())] {
                let key = format!("{name}.{method}{suffix}");
                compare(&key, &run(attack, &model, &x, &objective, EPSILON), attacks.values(&key), SIGN);
            }
        }
    }
}

#[test]
fn apgd_is_the_authors_from_the_same_start() {
    let attacks = Attacks::open();
    let device = Device::flex();
    let model = Cnn::new(&attacks, &device);
    let x = attacks.tensor("x", &device).narrow(0, 0, COMPARED);
    let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(COMPARED), &device);
    for (norm, epsilon) in [("linf", EPSILON), ("l2", L2_EPSILON)] {
        let attack = Attack::parse("apgd-ce", &["steps=20".to_owned(), format!("norm={norm}")]).unwrap();
        let start = attacks.tensor(&format!("start.apgd-{norm}"), &device);
        let options = Options { start: Some(start), ..Options::default() };
        let ours = attack.run_through(&model, &x, &objective, &[epsilon; COMPARED], &options).unwrap();
        // Twenty steps along the gradient itself: the frozen kernels sum in another order than PyTorch.
        let tolerance = if norm == "l2" { 5.0 * GRADIENT } else { SIGN };
        let theirs = attacks.values(&format!("torchattacks.apgd-{norm}"));
        compare(&format!("APGD-CE {norm}"), &ours.adversarial, theirs, tolerance);
    }
}

#[test]
fn deepfool_is_foolboxs() {
    // Both add a small number so that the boundary is crossed: Foolbox 1e-4 to the distance, we to the margin. Nothing else differs.
    let attacks = Attacks::open();
    for (device_name, device) in devices() {
        let model = Cnn::new(&attacks, &device);
        let x = attacks.tensor("x", &device).narrow(0, 0, COMPARED);
        let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(COMPARED), &device);
        let ours = run(Attack::named("deepfool").unwrap(), &model, &x, &objective, 0.0);
        let (ours, theirs) = (host(ours), attacks.values("foolbox.deepfool"));
        let largest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let original = host(x.clone());
        let moved = theirs.iter().zip(&original).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{device_name}, DeepFool and Foolbox: within {largest:.1e}, moved by up to {moved:.3}");
        assert!(largest <= 1e-4 && moved > 0.05, "{device_name}: {largest}");
    }
}
