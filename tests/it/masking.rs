//! Signs of gradient masking: told where they are, in the direction that the attack has, and not where there are none.

use crate::campaigns::{folder, plan};
use crate::toys::Plain;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Objective, Options, zero_share};
use epsiloscope::data::{Bounds, Case, IGNORE, Mask, Pixels, Region, Stack};
use epsiloscope::model::{Head, Model};
use epsiloscope::study::campaign::{Summary, Table, Wish, run};
use epsiloscope::study::{Adversary, Subject, SweepPlan, masking_notes, sweep};
use std::path::Path;
use std::sync::Arc;

const SIDE: usize = 8;

/// A 1×1 segmenter of 8² pixels of which each is 0.05 from being flipped; the loss looks at the left half alone.
fn half_blind(target: bool) -> Subject {
    let model: Arc<dyn Model> = Arc::new(Plain::masks(vec![vec![8.0]], vec![-4.0], &Device::flex()));
    let class = |i: usize| u8::from((i + i / SIDE).is_multiple_of(2));
    let values: Vec<f32> = (0..SIDE * SIDE).map(|i| if class(i) == 1 { 0.55 } else { 0.45 }).collect();
    let stack = Stack::new([1, 1, SIDE, SIDE], Pixels::F32(values.into())).unwrap();
    let stack = stack.with_bounds(Bounds { lower: 0.0, upper: 1.0 }).unwrap();
    let classes = (0..SIDE * SIDE).map(|i| if i % SIDE < SIDE / 2 { class(i) } else { IGNORE }).collect();
    let label = Some(Mask { height: SIDE, width: SIDE, classes });
    let subject = Subject::new(Arc::new(Case { label, ..Case::from_slice(&stack, 0, "board").unwrap() }), model);
    let subject = subject.unwrap();
    let erased = target.then(|| subject.erasing(1, None));
    subject.with_target(erased).unwrap()
}

fn columns(from: usize, to: usize) -> Region {
    Region::new(SIDE, SIDE, |x, _| (from..to).contains(&x))
}

fn notes(subject: Subject, attack: &str, settings: &[&str], epsilons: &[f64]) -> Vec<String> {
    let adversary = Adversary::new(Arc::new(subject), Attack::parse(attack, settings).unwrap()).unwrap();
    let adversary = Arc::new(adversary);
    let curve = sweep(adversary.clone(), &SweepPlan::exactly(epsilons.to_vec()), |_, _| ()).unwrap();
    masking_notes(&adversary, &curve).unwrap()
}

#[test]
fn zeros_are_counted_where_pixels_may_be_changed() {
    let quick: [(&str, &[&str]); 7] = [
        ("fgsm", &[]),
        ("pgd", &["steps=2"]),
        ("pgdnm", &["steps=2"]),
        ("apgd-ce", &["steps=5"]),
        ("deepfool", &["steps=2"]),
        ("carlini-wagner", &["steps=2", "searches=1"]),
        ("stadv", &["steps=2"]),
    ];
    for (region, expected) in
        [(None, 0.5), (Some(columns(0, 4)), 0.0), (Some(columns(2, 6)), 0.5), (Some(columns(4, 8)), 1.0)]
    {
        for (name, settings) in quick {
            let subject = half_blind(false).confined(region.clone());
            let attack = Attack::parse(name, settings).unwrap();
            let (model, objective) = (subject.model.clone(), subject.objective());
            let outcome =
                attack.run_through(model.as_ref(), &subject.x, &objective, &[0.1], &subject.options()).unwrap();
            assert_eq!(outcome.zero_share.unwrap(), [expected], "{name}, {region:?}");
            let told = notes(subject, name, settings, &[0.1]);
            let told: Vec<&String> = told.iter().filter(|note| note.contains("exactly zero")).collect();
            let percent = format!("at {:.0} %", 100.0 * expected);
            assert_eq!(told.len(), usize::from(expected > 0.0), "{name}, {region:?}: {told:?}");
            assert!(told.iter().all(|note| note.contains(&percent)), "{name}, {region:?}: {told:?}");
        }
    }
    // Limits that leave no room count as little.
    let subject = half_blind(false);
    let room: Vec<f32> = (0..SIDE * SIDE).map(|i| if i % SIDE < 4 { 0.1 } else { 0.0 }).collect();
    let room = Tensor::<4>::from_data(TensorData::new(room, [1, 1, SIDE, SIDE]), &Device::flex());
    let limits = Some((subject.x.clone() - room.clone(), subject.x.clone() + room));
    let attack = Attack::parse("pgd", &["steps=2"]).unwrap();
    let options = Options { limits, ..Options::default() };
    let outcome = attack.run_through(subject.model.as_ref(), &subject.x, &subject.objective(), &[0.1], &options);
    assert_eq!(outcome.unwrap().zero_share.unwrap(), [0.0]);
}

#[test]
fn weights_of_zero_are_no_zeros_of_the_model() {
    let device = Device::flex();
    let model = Plain::masks(vec![vec![8.0]], vec![-4.0], &device);
    let class = |i: usize| u8::from((i + i / SIDE).is_multiple_of(2));
    let values: Vec<f32> = (0..SIDE * SIDE).map(|i| if class(i) == 1 { 0.55 } else { 0.45 }).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, SIDE, SIDE]), &device);
    // The left half is wrong already: SegPGD's first step leaves it alone.
    let truth = |i: usize| if i % SIDE < SIDE / 2 { 1 - class(i) } else { class(i) };
    let mask = Mask { height: SIDE, width: SIDE, classes: (0..SIDE * SIDE).map(truth).collect() };
    let objective = Objective::masks(Head::Sigmoid, 1, &[mask], &device);
    for name in ["segpgd", "cospgd"] {
        for (steps, start) in [(1, "no"), (2, "no"), (2, "yes")] {
            let settings = [format!("steps={steps}"), format!("random-start={start}")];
            let attack = Attack::parse(name, &settings).unwrap();
            let outcome = attack.run_through(&model, &x, &objective, &[0.01], &Options::default()).unwrap();
            assert_eq!(outcome.zero_share.unwrap(), [0.0], "{name} {settings:?}");
        }
        let attack = Attack::parse(name, &["steps=1", "random-start=no"]).unwrap();
        let direction = attack.direction(&model, &x, &objective, &Options::default()).unwrap().unwrap();
        assert_eq!(zero_share(&direction.gradient.unwrap(), None).unwrap(), [0.0], "{name}");
        let still = zero_share(&direction.direction, None).unwrap()[0];
        assert_eq!(still, if name == "segpgd" { 0.5 } else { 0.0 });
    }
}

#[test]
fn random_signs_and_one_step_that_do_more_are_told_in_the_direction_of_the_attack() {
    // Steps that go nowhere: random signs flip half of the pixels, one step all.
    let weak: &[&str] = &["steps=2", "step=0.001"];
    for (target, does) in [(false, "does more harm"), (true, "reaches more of the target")] {
        let told = notes(half_blind(target), "bim", weak, &[4.0 / 255.0, 16.0 / 255.0]);
        let told: Vec<&String> = told.iter().filter(|note| !note.contains("exactly zero")).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("Random sign noise") && told[1].starts_with("One step (fgsm)"), "{told:?}");
        for note in told {
            assert!(note.contains(does) && note.contains("16/255") && !note.contains("4/255"), "{note}");
        }
        let told = notes(half_blind(target), "bim", &["steps=4"], &[4.0 / 255.0, 16.0 / 255.0]);
        assert!(told.iter().all(|note| note.contains("exactly zero")), "{told:?}");
        // Signs as long as ε are far longer than what an L2 norm of ε allows: those of the same L2 norm flip nothing.
        let told = notes(half_blind(target), "pgd", &["norm=l2", "steps=4"], &[0.06]);
        assert!(told.iter().all(|note| !note.contains("Random sign")), "{told:?}");
    }
}

#[test]
fn an_attack_in_l2_is_compared_with_random_signs_of_its_l2_norm() {
    // A random place in the ball and steps that go nowhere. Signs share the norm out evenly, 0.056 a pixel, and flip half of them; of the
    // ball's places few have so much at a pixel.
    let lost = ["norm=l2", "steps=2", "step=0.0001"];
    let random = |notes: Vec<String>| notes.into_iter().filter(|n| n.starts_with("Random sign")).collect::<Vec<_>>();
    let told = random(notes(half_blind(false), "pgd", &lost, &[0.06, 0.45]));
    assert!(told.len() == 1 && told[0].starts_with("Random sign noise of the same L2 norm does more harm"), "{told:?}");
    assert!(told[0].contains("0.45") && !told[0].contains("0.06"), "{told:?}");
    assert!(random(notes(half_blind(false), "pgd", &["norm=l2", "steps=40"], &[0.06, 0.45])).is_empty());
    assert!(random(notes(half_blind(false), "deepfool", &[], &[0.1])).is_empty());
}

fn summary(path: &Path, wish: Wish, attacks: &[(&str, &[&str])], epsilons: Vec<f64>) -> Summary {
    let images = path.join("images");
    folder(&images);
    let mut plan = plan(&images, &Device::flex());
    plan.models.truncate(1);
    plan.attacks = attacks.iter().map(|(name, settings)| Attack::parse(name, settings).unwrap()).collect();
    (plan.seeds, plan.epsilons, plan.wish) = (vec![0], epsilons, wish);
    let mut table = Table::open(&path.join("rows.csv")).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    Summary::new(&table.rows())
}

#[test]
fn a_campaign_compares_with_the_one_step_of_the_same_norm_and_target() {
    let weak = ["steps=3", "step=0.001", "random-start=no"];
    let weak_l2 = ["norm=l2", "steps=3", "step=0.001", "random-start=no"];
    let one_l2 = ["norm=l2", "steps=1", "step=1", "random-start=no"];
    for (wish, does) in [(Wish::Untargeted, "does more harm"), (Wish::Nearest, "reaches more of the target")] {
        let temporary = tempfile::tempdir().unwrap();
        let attacks: [(&str, &[&str]); 3] = [("fgsm", &[]), ("pgd", &weak), ("pgd", &weak_l2)];
        let told = summary(temporary.path(), wish.clone(), &attacks, vec![0.3]).notes;
        assert!(
            told.iter().any(|n| n.contains(&format!("One step (FGSM) {does}")) && n.contains("norm=linf")),
            "{told:?}"
        );
        let means = told.iter().find(|n| n.contains("One step (FGSM)")).unwrap();
        let (first, rest) = means.split_once(" against ").unwrap();
        let number = |text: &str| text.trim_matches(['(', ')']).parse::<f64>().unwrap();
        let one = number(first.rsplit('(').next().unwrap());
        let all = number(rest.split(')').next().unwrap());
        // More of the target, or less of the true class.
        assert!(if wish == Wish::Nearest { one > all + 0.009 } else { one < all - 0.009 }, "{means}");
        assert!(means.contains("In brackets: the mean s"), "{means}");
        // FGSM at an L∞ norm of ε is another threat than an L2 norm of ε: that has a step of its own beside it.
        let of_l2: Vec<&String> = told.iter().filter(|n| n.contains("norm=l2")).collect();
        assert!(of_l2.iter().all(|n| n.contains("One step (PGD)")), "{told:?}");
        // So small an L2 norm brings no pixel to a wished class, by one step or many.
        assert_eq!(of_l2.len(), usize::from(wish == Wish::Untargeted), "{told:?}");
        let temporary = tempfile::tempdir().unwrap();
        let attacks: [(&str, &[&str]); 2] = [("pgd", &one_l2), ("pgd", &weak_l2)];
        let told = summary(temporary.path(), wish, &attacks, vec![1.0]).notes;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!("One step (PGD) {does}")) && told[0].contains("step=0.001"), "{told:?}");
    }
}

#[test]
fn an_attack_that_reaches_its_target_is_no_sign() {
    // Of one logit the gradient of the wished class points the other way: nothing is masked.
    let subject = half_blind(true);
    let (model, objective) = (subject.model.clone(), subject.objective());
    let judged = objective.judge(model.as_ref(), subject.x.clone()).unwrap();
    let plain = Objective::segmentation(Head::Sigmoid, 1, &subject.reference, &Device::flex());
    assert!(judged[0].loss > plain.judge(model.as_ref(), subject.x.clone()).unwrap()[0].loss);
    let told = notes(subject.confined(Some(columns(0, 4))), "pgd", &["steps=30"], &[0.02, 0.06]);
    assert!(told.is_empty(), "{told:?}");
}
