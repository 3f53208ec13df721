//! Targets on masks: attack and study count success on the pixels that the target is to change, so that a class of few pixels is
//! not erased before the first step.

use crate::fixture::host;
use crate::toys::Plain;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Objective, Options};
use epsiloscope::data::{Bounds, Case, IGNORE, Mask, Pixels, Stack};
use epsiloscope::model::{Head, Model};
use epsiloscope::study::{Adversary, Subject, SweepPlan, Truth, masking_notes, sweep};
use std::sync::Arc;

const SIDE: usize = 12;

/// A segmenter that finds what is brighter than ½, and a dark image in which one pixel of nine is a little brighter than that.
fn dots() -> Subject {
    let values: Vec<f32> = (0..SIDE * SIDE)
        .map(|i| if (i / SIDE).is_multiple_of(3) && (i % SIDE).is_multiple_of(3) { 0.52 } else { 0.3 })
        .collect();
    let stack = Stack::new([1, 1, SIDE, SIDE], Pixels::F32(values.into())).unwrap();
    let stack = stack.with_bounds(Bounds { lower: 0.0, upper: 1.0 }).unwrap();
    let model: Arc<dyn Model> = Arc::new(Plain::masks(vec![vec![20.0]], vec![-10.0], &Device::flex()));
    Subject::new(Arc::new(Case::from_slice(&stack, 0, "dots").unwrap()), model).unwrap()
}

fn erased(subject: Subject) -> Subject {
    let target = subject.erasing(1, None);
    subject.with_target(Some(target)).unwrap()
}

const ATTACKS: [(&str, &[&str]); 9] = [
    ("fgsm", &[]),
    ("bim", &[]),
    ("mi-fgsm", &[]),
    ("pgd", &["steps=10"]),
    ("pgd", &["steps=10", "norm=l2"]),
    ("apgd-ce", &["steps=10"]),
    ("segpgd", &["steps=10"]),
    ("deepfool", &[]),
    ("carlini-wagner", &["steps=60", "searches=4", "c=0.1"]),
];

#[test]
fn a_class_of_few_pixels_is_erased_and_judged_alike_by_attack_and_study() {
    let subject = erased(dots());
    let objective = subject.objective();
    let clean = objective.judge(subject.model.as_ref(), subject.x.clone()).unwrap()[0];
    assert_eq!(
        (f64::from(clean.hits), subject.clean.measure.wished),
        (0.0, Some(0.0)),
        "8 of 9 pixels are dark anyway"
    );
    for (name, settings) in ATTACKS {
        let attack = Attack::parse(name, settings).unwrap();
        let epsilon = if attack.get("norm") == Some(1.0) { 0.2 } else { 0.04 };
        for stop_at in [None, Some(0.5)] {
            let options = Options { stop_at, ..subject.options() };
            let outcome =
                attack.run_through(subject.model.as_ref(), &subject.x, &objective, &[epsilon], &options).unwrap();
            let judged = subject.judge(&outcome.adversarial).unwrap().measure;
            let (hits, wished) = (f64::from(outcome.judged[0].hits), judged.wished.unwrap());
            assert!((hits - wished).abs() < 1e-6, "{attack}: the attack counts {hits}, the study {wished}");
            assert!(wished >= 0.5 && judged.distortion.linf > 0.0, "{attack}, stop at {stop_at:?}: {wished}");
            assert!(outcome.judged[0].loss < clean.loss, "{attack}");
        }
    }
    // Pixels are moved in from the dark round about.
    let attack = Attack::parse("stadv", &["tau=0.001", "rate=0.1"]).unwrap();
    let options = subject.options();
    let outcome = attack.run_through(subject.model.as_ref(), &subject.x, &objective, &[0.0], &options).unwrap();
    assert!(outcome.judged[0].hits >= 0.5, "stAdv reaches {}", outcome.judged[0].hits);
}

#[test]
fn an_attack_that_has_nothing_to_do_is_no_sign_of_masking() {
    let adversary = |subject: Subject, name: &str| {
        Arc::new(Adversary::new(Arc::new(subject), Attack::named(name).unwrap()).unwrap())
    };
    for name in ["bim", "deepfool"] {
        let adversary = adversary(erased(dots()), name);
        let curve = sweep(adversary.clone(), &SweepPlan::exactly(vec![0.04]), |_, _| ()).unwrap();
        let told = masking_notes(&adversary, &curve).unwrap();
        assert!(told.iter().all(|note| !note.contains("exactly zero")), "{name}: {told:?}");
    }
    // What is so from the start has no share of zeros to tell.
    let subject = dots();
    let wish: Vec<u8> = subject.reference.classes.iter().map(|&c| if c == 1 { 1 } else { IGNORE }).collect();
    let wish = Mask { classes: wish.into(), ..subject.reference.clone() };
    let subject = subject.with_target(Some(Truth::Mask(wish))).unwrap();
    let objective = subject.objective();
    let judged = objective.judge(subject.model.as_ref(), subject.x.clone()).unwrap()[0];
    assert_eq!((judged.hits, subject.clean.measure.wished), (1.0, Some(1.0)), "nothing is to change");
    for (name, settings) in ATTACKS.into_iter().filter(|(name, _)| *name != "fgsm") {
        let attack = Attack::parse(name, settings).unwrap();
        let options = Options { stop_at: Some(0.5), ..Options::default() };
        let outcome = attack.run_through(subject.model.as_ref(), &subject.x, &objective, &[0.04], &options).unwrap();
        assert!(outcome.zero_share.unwrap()[0].is_nan(), "{attack}");
    }
}

#[test]
fn a_region_of_the_loss_cuts_what_success_is_counted_on_too() {
    let subject = erased(dots());
    let left: Vec<f32> = (0..SIDE * SIDE).map(|i| if i % SIDE < 2 { 1.0 } else { 0.0 }).collect();
    let left = Tensor::<4>::from_data(TensorData::new(left, [1, 1, SIDE, SIDE]), &Device::flex());
    let darker = subject.x.clone() - left.clone() * 0.1;
    let within = subject.objective().within(left);
    let hits = |objective: &Objective| objective.judge(subject.model.as_ref(), darker.clone()).unwrap()[0].hits;
    assert!((hits(&within) - 1.0).abs() < 1e-6, "the first column of dots is all that is looked at");
    assert!((hits(&subject.objective()) - 0.25).abs() < 1e-6, "one column of four");
}

#[test]
fn what_counts_is_where_the_wish_is_neither_ignored_nor_true_already() {
    let device = Device::flex();
    let model = Plain::masks(vec![vec![20.0]], vec![-10.0], &device);
    let mask = |classes: [u8; 4]| Mask { height: 1, width: 4, classes: classes.into() };
    let objective =
        Objective::targeted_masks(Head::Sigmoid, 1, &[mask([0, 0, IGNORE, 1])], &[mask([1, 0, 0, 0])], &device);
    let x = |values: [f32; 4]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 4]), &device);
    for (values, expected) in [([0.9, 0.1, 0.1, 0.1], 0.0), ([0.1, 0.9, 0.9, 0.1], 0.5), ([0.1, 0.1, 0.1, 0.9], 1.0)] {
        let judged = objective.judge(&model, x(values)).unwrap()[0];
        assert_eq!(judged.hits, expected, "{:?}", host(x(values)));
    }
}
