//! A model that is attacked is frozen: batch normalisation and dropout are in evaluation mode and stay as they were.

use crate::fixture::{Bare, Fixture, NETWORKS, cosine, dense, devices, host, max_difference, parameters};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use epsiloscope::attack::{Attack, Objective, input_gradient};
use epsiloscope::data::{Case, LabelMap, bundled_sample};
use epsiloscope::model::{BuiltIn, Model};
use epsiloscope::study::{Adversary, Subject};
use std::sync::Arc;

/// Batch normalisation is in the first of these; on a GPU, which compiles a kernel for each shape, it is enough.
fn some_networks(device_name: &str) -> &'static [&'static str] {
    if device_name == "Flex" { &["same", "strided", "softmax"] } else { &["same"] }
}

/// The same values, bit for bit.
#[track_caller]
fn assert_same(what: &str, a: &Tensor<4>, b: &Tensor<4>) {
    assert!(host(a.clone()) == host(b.clone()), "{what}");
}

#[test]
fn training_mode_would_show() {
    // The tests below mean something only if a network in training mode fails them.
    let device = Device::flex().autodiff();
    let x = |fixture: &Fixture| fixture.tensor("x", 0, &device);
    let dropping = Fixture::open("strided");
    let network = dropping.network(&device).train();
    let twice = [network.forward(x(&dropping)), network.forward(x(&dropping))].map(host);
    assert!(twice[0] != twice[1], "dropout is on in training");
    let normed = Fixture::open("same");
    let network = normed.network(&device).train();
    let before = parameters(&network.valid());
    let in_training = host(network.forward(x(&normed)));
    assert!(max_difference(&in_training, normed.values("logits", 0)) > 1e-2, "batch statistics are used in training");
    assert!(parameters(&network.valid()) != before, "running statistics move in training");
}

#[test]
fn the_same_image_gives_the_same_logits_and_gradient() {
    for (device_name, device) in devices() {
        for &name in some_networks(device_name) {
            let fixture = Fixture::open(name);
            // As it comes out of a training loop, on the training device.
            let trained = fixture.network(&device.clone().autodiff()).train();
            let before = parameters(&trained.valid());
            let model = BuiltIn::new(fixture.card.clone(), &trained, &device).unwrap();
            let x = fixture.tensor("x", 0, &device);
            let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(0), &device);
            let logits = [dense(model.logits(x.clone()).unwrap()), dense(model.logits(x.clone()).unwrap())];
            let gradients =
                [input_gradient(&model, &x, &objective).unwrap().1, input_gradient(&model, &x, &objective).unwrap().1];
            let after = dense(model.logits(x.clone()).unwrap());
            let what = format!("{device_name}, {name}");
            assert_same(&what, &logits[0], &logits[1]);
            assert_same(&what, &logits[0], &after);
            assert_same(&what, &gradients[0], &gradients[1]);
            assert!(parameters(&trained.valid()) == before, "{what}: the network that it was made from changed");
            assert!(!model.device().is_autodiff(), "{what}: weights are tracked");
        }
    }
}

#[test]
fn an_attack_leaves_running_statistics_alone() {
    for (device_name, device) in devices() {
        let fixture = Fixture::open("same");
        let network = fixture.network(&device).valid();
        let before = parameters(&network);
        let running = before.keys().filter(|name| name.contains("running_")).count();
        assert_eq!(running, 2 * 10, "two per 3×3 convolution");
        let x = fixture.tensor("x", 0, &device).autodiff().require_grad();
        let gradients = network.forward(x.clone()).sum().backward();
        assert!(x.grad(&gradients).is_some());
        // A validation snapshot has waited for pending updates of the statistics.
        assert!(parameters(&network.valid()) == before, "{device_name}");
    }
}

#[test]
fn other_images_of_the_batch_do_not_matter() {
    for (device_name, device) in devices() {
        for &name in some_networks(device_name) {
            let fixture = Fixture::open(name);
            let bare = Bare::new(&fixture, &device);
            let built_in = fixture.model(&device);
            let models: [(&str, &dyn Model); 2] = [("unfolded", &bare), ("folded", &built_in)];
            for (variant, model) in models {
                let [a, b] = [0, 1].map(|index| fixture.tensor("x", index, &device));
                let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(0), &device);
                let alone = host(dense(model.logits(a.clone()).unwrap()));
                let (_, gradient_alone) = input_gradient(model, &a, &objective).unwrap();
                let gradient_alone = host(gradient_alone);
                let scale = gradient_alone.iter().fold(0f32, |m, g| m.max(g.abs()));
                // The other image is unlike any.
                let batch = Tensor::cat(vec![a.clone(), b * 5.0 - 2.0], 0);
                let together = host(dense(model.logits(batch.clone()).unwrap()).narrow(0, 0, 1));
                let (_, gradient) = input_gradient(model, &batch, &objective).unwrap();
                let gradient = host(gradient.narrow(0, 0, 1));
                let what = format!("{device_name}, {name}, {variant}");
                assert!(max_difference(&alone, &together) <= 1e-5, "{what}");
                assert!(max_difference(&gradient_alone, &gradient) <= 1e-5 * scale, "{what}: gradient");
            }
        }
    }
}

#[test]
fn folding_changes_rounding_only() {
    for (device_name, device) in devices() {
        for name in NETWORKS {
            let fixture = Fixture::open(name);
            let (plain, folded) = (Bare::new(&fixture, &device), Bare::new(&fixture, &device).folded());
            let x = fixture.tensor("x", 0, &device);
            let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(0), &device);
            let off = max_difference(
                &host(dense(plain.logits(x.clone()).unwrap())),
                &host(dense(folded.logits(x.clone()).unwrap())),
            );
            let [a, b] = [&plain, &folded].map(|model| host(input_gradient(model, &x, &objective).unwrap().1));
            let cosine = cosine(&a, &b);
            println!("{device_name}, {name}: folded logits off by {off:.1e}, gradient cosine {cosine:.9}");
            assert!(off <= 2e-5, "{device_name}, {name}: {off}");
            assert!(cosine >= 0.999_999, "{device_name}, {name}: {cosine}");
        }
    }
}

/// 3×3 layers of the bundled model are computed with fewer multiplications than their definition has, and other rounding: on the
/// sample no pixel is decided otherwise for it, clean or attacked along the gradient of either, and these are nearly the same.
#[test]
fn winograd_changes_no_decision() {
    let model = BuiltIn::bundled(&Device::flex()).unwrap();
    let direct: Arc<dyn Model> = Arc::new(model.without_winograd());
    let model: Arc<dyn Model> = Arc::new(model);
    let (stack, label) = bundled_sample().unwrap();
    let map = LabelMap::parse("0=membrane,255=cell", &["cell", "membrane"]).unwrap();
    let case = Case { label: label.mask(0, &map), ..Case::from_slice(&stack, 0, "sample").unwrap() };
    let case = Arc::new(case);
    let on = |model: &Arc<dyn Model>| Arc::new(Subject::new(case.clone(), model.clone()).unwrap());
    let subjects = [on(&model), on(&direct)];
    let adversaries = subjects.clone().map(|subject| Adversary::new(subject, Attack::FGSM).unwrap());
    let signs = adversaries.each_ref().map(|adversary| host(adversary.direction().unwrap().direction.clone()));
    let other_way = signs[0].iter().zip(&signs[1]).filter(|(a, b)| a != b).count();
    println!("{other_way} of {} signs differ", signs[0].len());
    // Where rounding turns a ReLU the gradient around it is another.
    assert!(other_way * 1000 <= signs[0].len(), "{other_way} of {} signs", signs[0].len());
    for epsilon in [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0].map(|levels| levels / 255.0) {
        for adversary in &adversaries {
            let image = adversary.at_last(epsilon).unwrap();
            let logits = [&model, &direct].map(|model| host(dense(model.logits(image.clone()).unwrap())));
            let largest = logits[1].iter().fold(0f32, |most, z| most.max(z.abs()));
            let off = max_difference(&logits[0], &logits[1]) / largest;
            println!("ε {:.1}/255: off by {off:.1e} of the largest logit", epsilon * 255.0);
            assert!(off > 0.0, "the same kernel computed both");
            assert!(off <= 1e-5, "{off:e}");
            // A logit of 0 but for rounding decides nothing.
            let other = logits[0].iter().zip(&logits[1]).filter(|(a, b)| (**a >= 0.0) != (**b >= 0.0));
            assert!(other.clone().all(|(a, b)| a.abs().max(b.abs()) <= 1e-6 * largest), "{other:?}");
        }
    }
}
