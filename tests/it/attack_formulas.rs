//! Attacks and corruptions that no library has are those of their formulas, run in PyTorch, SciPy and Pillow, and bright images
//! are attacked as by the libraries; `tests/fixtures/attack_formulas.py` computed the values.

use crate::attack_libraries::{GRADIENT, L2_EPSILON, SIGN, compare};
use crate::fixture::{Reference, host};
use crate::toys::{Attacks, Cnn};
use burn::tensor::{Device, Tensor};
use epsiloscope::attack::{Attack, Norm, Objective, Options, warped};
use epsiloscope::model::{Head, Logits, Model};

const EPSILON: f64 = 8.0 / 255.0;
const COMPARED: usize = 10;

fn formulas() -> Reference {
    Reference::open("attack_formulas.safetensors")
}

fn cnn() -> (Cnn, Tensor<4>, Objective, Reference) {
    let (device, attacks) = (Device::flex(), Attacks::open());
    let objective = Objective::classes(Head::Softmax, 1, &attacks.labels(COMPARED), &device);
    let x = attacks.tensor("x", &device).narrow(0, 0, COMPARED);
    (Cnn::new(&attacks, &device), x, objective, formulas())
}

#[test]
fn r_fgsm_and_pgdnm_are_their_formulas_from_the_same_start() {
    let (model, x, objective, formulas) = cnn();
    let rows: [(&str, &[&str], &str, &str, f32); 3] = [
        ("r-fgsm", &["alpha=0.5"], "start.r-fgsm", "r-fgsm", SIGN),
        ("pgdnm", &["steps=10", "step=0.25", "clip=none"], "start.pgdnm", "pgdnm-none", GRADIENT),
        ("pgdnm", &["steps=10", "step=0.25", "clip=box"], "start.pgdnm", "pgdnm-box", GRADIENT),
    ];
    for (name, settings, start, key, tolerance) in rows {
        let attack = Attack::parse(name, settings).unwrap();
        let options = Options { start: Some(formulas.tensor(start, &Device::flex())), ..Options::default() };
        let ours = attack.run_through(&model, &x, &objective, &[EPSILON; COMPARED], &options).unwrap();
        compare(key, &ours.adversarial, formulas.values(key), tolerance);
    }
}

#[test]
fn bright_images_are_attacked_as_by_foolbox_and_torchattacks() {
    let (model, _, objective, formulas) = cnn();
    let x = formulas.tensor("bright", &Device::flex());
    let rows: [(&str, &[&str], f64, &str, f32); 5] = [
        ("fgsm", &[], EPSILON, "bright.foolbox.fgsm", SIGN),
        ("pgd", &["steps=10", "step=0.25", "random-start=no"], EPSILON, "bright.foolbox.pgd", SIGN),
        (
            "pgd",
            &["steps=10", "step=0.25", "random-start=no", "norm=l2"],
            L2_EPSILON,
            "bright.foolbox.pgd-l2",
            GRADIENT,
        ),
        ("mi-fgsm", &["steps=10", "step=0.25"], EPSILON, "bright.torchattacks.mi-fgsm", SIGN),
        ("fgnm", &["clip=none"], EPSILON, "bright.formula.fgnm-none", GRADIENT),
    ];
    for (name, settings, epsilon, key, tolerance) in rows {
        let attack = Attack::parse(name, settings).unwrap();
        let ours = attack.run_through(&model, &x, &objective, &[epsilon; COMPARED], &Options::default()).unwrap();
        let at_the_end = host(ours.adversarial.clone()).iter().filter(|v| **v == 1.0).count();
        assert!(at_the_end > 144, "{key}: the upper bound does not bind");
        compare(key, &ours.adversarial, formulas.values(key), tolerance);
    }
}

#[test]
fn the_clipped_share_is_what_bounds_and_box_cut() {
    let (model, _, objective, formulas) = cnn();
    let x = formulas.tensor("bright", &Device::flex());
    let values = host(x.clone());
    let run = |settings: &[&str]| {
        let attack = Attack::parse("fgnm", settings).unwrap();
        attack.run_through(&model, &x, &objective, &[EPSILON; COMPARED], &Options::default()).unwrap().clipped.unwrap()
    };
    let direction = Attack::parse("fgnm", &["clip=none"]).unwrap();
    let direction = direction.direction(&model, &x, &objective, &Options::default()).unwrap().unwrap();
    let way = host(direction.direction);
    for (settings, boxed) in [(["clip=none"], false), (["clip=box"], true)] {
        let found = run(&settings);
        for (image, found) in found.into_iter().enumerate() {
            let cut = (image * 144..(image + 1) * 144).filter(|&i| {
                let moved = values[i] + way[i] * EPSILON as f32;
                !(0.0..=1.0).contains(&moved) || (boxed && way[i].abs() > 1.0)
            });
            let share = cut.count() as f32 / 144.0;
            assert!((found - share).abs() < 0.02, "{settings:?}, image {image}: {found}, should be {share}");
            assert!(share > 0.1);
        }
    }
    let plain = Attack::FGSM.run_through(&model, &x, &objective, &[EPSILON; COMPARED], &Options::default()).unwrap();
    assert!(plain.clipped.is_none(), "a step along the sign is as long as ε says");
}

#[test]
fn flows_move_pixels_as_grid_sample_does() {
    let formulas = formulas();
    let device = Device::flex();
    let moved = warped(&formulas.tensor("warp.x", &device), formulas.tensor("warp.flow", &device));
    compare("warp", &moved, formulas.values("warp.moved"), 1e-5);
}

#[test]
fn corruptions_are_scipys_and_pillows() {
    let (model, x, objective, formulas) = cnn();
    let run = |attack: Attack, strength: f64| {
        attack.run_through(&model, &x, &objective, &[strength; COMPARED], &Options::default()).unwrap().adversarial
    };
    for sigma in [0.6, 3.0] {
        let ours = run(Attack::named("blur").unwrap(), sigma / 6.0);
        compare(&format!("blur {sigma}"), &ours, formulas.values(&format!("blur.{sigma:.1}")), 1e-6);
    }
    compare("contrast", &run(Attack::named("contrast").unwrap(), 0.5), formulas.values("contrast"), 1e-6);
    for quality in [30, 80] {
        let ours = host(run(Attack::named("jpeg").unwrap(), 1.0 - f64::from(quality) / 100.0));
        let levels: Vec<f32> =
            ours.iter().zip(formulas.values(&format!("jpeg.{quality}"))).map(|(a, b)| (a - b).abs() * 255.0).collect();
        let (most, mean) = (levels.iter().copied().fold(0.0, f32::max), levels.iter().sum::<f32>() / 1440.0);
        println!("JPEG {quality}: at most {most:.1} levels from Pillow’s, {mean:.3} in the mean");
        // Encoders round their cosine transforms in their own ways, which may move a coefficient by one step of its table.
        assert!(mean < 1.0 && most < 10.0, "quality {quality}: {mean} levels from Pillow’s");
    }
}

/// The margins of each image: z of its label less the largest of the others.
fn margins(model: &Cnn, x: Tensor<4>, labels: &[usize]) -> Vec<f32> {
    let Logits::Class(z) = model.logits(x).unwrap() else { panic!("classes") };
    let z = epsiloscope::tensor::to_host(z).unwrap();
    let others = |z: &[f32], y: usize| (0..4).filter(|&k| k != y).map(|k| z[k]).fold(f32::MIN, f32::max);
    z.chunks(4).zip(labels).map(|(z, &y)| z[y] - others(z, y)).collect()
}

#[test]
fn carlini_and_wagners_margin_is_kept_at_foolboxs_norms() {
    let (model, x, objective, formulas) = cnn();
    let labels = Attacks::open().labels(COMPARED);
    for kappa in [0.0, 2.0] {
        let attack = Attack::parse("carlini-wagner", &["steps=300", "searches=6", "c=0.01"]).unwrap();
        let attack = attack.with("kappa", kappa).unwrap();
        let ours =
            attack.run_through(&model, &x, &objective, &[0.0; COMPARED], &Options::default()).unwrap().adversarial;
        let margin = margins(&model, ours.clone(), &labels);
        assert!(margin.iter().all(|m| f64::from(*m) <= 1e-4 - kappa), "κ {kappa}: margins {margin:?}");
        let theirs = formulas.tensor(&format!("foolbox.cw-{kappa}"), &Device::flex());
        let norms = |image: Tensor<4>| host(Norm::L2.of(image - x.clone()));
        let ratio: Vec<f32> = norms(ours).iter().zip(norms(theirs)).map(|(a, b)| a / b).collect();
        println!("κ {kappa}: norm / Foolbox’s {ratio:.3?}");
        assert!(ratio.iter().all(|r| (0.8..1.05).contains(r)), "κ {kappa}: {ratio:?}");
    }
}
