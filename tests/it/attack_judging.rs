//! How what attacks make is judged: moved anatomy is no error, its control is moved as far, and a batch refuses what its ball
//! cannot hold.

use crate::fixture::{host, max_difference};
use crate::toys::Plain;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, Objective, largest_displacement, random_flow, warped};
use epsiloscope::data::{Bounds, Case, LabelMap, Mask, Pixels, Stack, bundled_sample};
use epsiloscope::model::{BuiltIn, Head, Model};
use epsiloscope::study::report::{curve_csv, save_and_judge};
use epsiloscope::study::{
    Adversary, BatchCase, BatchLimits, Subject, SweepPlan, Truth, attack_cases, attack_cases_within, sweep,
};
use std::ops::ControlFlow;
use std::sync::Arc;

const SIDE: usize = 16;

/// A bright disc, and the model that finds what is brighter than ½: it follows whatever is moved.
fn disc() -> Arc<Subject> {
    disc_for(Plain::masks(vec![vec![20.0]], vec![-10.0], &Device::flex()))
}

fn disc_for(model: Plain) -> Arc<Subject> {
    let pixels: Vec<f32> = (0..SIDE * SIDE)
        .map(|i| {
            let (row, column) = ((i / SIDE) as f32 - 7.3, (i % SIDE) as f32 - 8.1);
            255.0 * (0.5 + 0.45 * ((4.2 - row.hypot(column)) / 3.0).clamp(-1.0, 1.0))
        })
        .collect();
    let stack = Stack::new([1, 1, SIDE, SIDE], Pixels::F32(pixels.into())).unwrap();
    let stack = stack.with_bounds(Bounds::EIGHT_BIT).unwrap();
    Arc::new(Subject::new(Arc::new(Case::from_slice(&stack, 0, "disc").unwrap()), Arc::new(model)).unwrap())
}

/// `[1, 2, SIDE, SIDE]` of one displacement.
fn shift(down: f32, right: f32) -> Tensor<4> {
    let values = [vec![down; SIDE * SIDE], vec![right; SIDE * SIDE]].concat();
    Tensor::from_data(TensorData::new(values, [1, 2, SIDE, SIDE]), &Device::flex())
}

#[test]
fn a_model_that_follows_moved_anatomy_is_not_wrong() {
    let subject = disc();
    let flow = shift(2.0, -1.0);
    let image = warped(&subject.x, flow.clone());
    let still = subject.judge(&image).unwrap().measure.score();
    let moved = subject.judge_moved(&image, Some(&flow)).unwrap().measure.score();
    assert!(still < 0.9, "against the label where it was: Dice {still}");
    assert_eq!(moved, 1.0, "against the label moved along");
    // The better of the two: an image that has not moved is judged against the label as it is.
    assert_eq!(subject.judge_moved(&subject.x, Some(&flow)).unwrap().measure.score(), 1.0);
    assert_eq!(subject.judge_moved(&image, None).unwrap().measure.score(), still);
}

#[test]
fn an_objective_judges_by_the_masks_that_have_moved_along_too() {
    let subject = disc();
    let (model, objective) = (subject.model.as_ref(), subject.objective());
    let flow = shift(2.0, -1.0);
    let image = warped(&subject.x, flow.clone());
    let still = objective.judge(model, image.clone()).unwrap()[0];
    let moved = objective.judge_moved(model, image.clone(), Some(&flow)).unwrap()[0];
    assert!(still.hits > 0.05 && moved.hits == 0.0 && moved.loss < still.loss, "{still:?}, {moved:?}");
    let error = subject.judge_moved(&image, Some(&flow)).unwrap().measure.error;
    assert_eq!(f64::from(moved.hits), error.wrong, "as studies judge");
    // Of several images each by its own flow; the better of both for the model, and without a flow the masks as they are.
    let two = Tensor::cat(vec![image.clone(), subject.x.clone()], 0);
    let flows = Tensor::cat(vec![flow.clone(), flow.clone()], 0);
    let judged = objective.judge_moved(model, two, Some(&flows)).unwrap();
    assert_eq!((judged[0].hits, judged[1].hits), (0.0, 0.0));
    assert_eq!(objective.judge_moved(model, image.clone(), None).unwrap()[0], still);
    // What a target asks for is asked for where it is.
    let wished = objective.targeted();
    let there = wished.judge(model, image.clone()).unwrap();
    assert_eq!(wished.judge_moved(model, image, Some(&flow)).unwrap(), there);
}

#[test]
fn anatomy_of_any_class_may_move() {
    // The disc is of class 2, and nothing of the positive class: that tells nothing.
    let weight = vec![vec![0.0], vec![0.0], vec![20.0]];
    let subject = disc_for(Plain::masks(weight, vec![0.0, -30.0, -10.0], &Device::flex()));
    assert_eq!(subject.model.card().positive_class, 1);
    assert!(!subject.reference.classes.contains(&1) && subject.reference.classes.contains(&2));
    let flow = shift(2.0, -1.0);
    let image = warped(&subject.x, flow.clone());
    let still = subject.judge(&image).unwrap().measure;
    assert!(still.score() == 1.0 && still.error.wrong > 0.05, "{still:?}");
    assert_eq!(subject.judge_moved(&image, Some(&flow)).unwrap().measure.error.wrong, 0.0);
    let (model, objective) = (subject.model.as_ref(), subject.objective());
    let moved = objective.judge_moved(model, image.clone(), Some(&flow)).unwrap()[0];
    assert!(moved.hits == 0.0 && objective.judge(model, image).unwrap()[0].hits > 0.05, "{moved:?}");
}

#[test]
fn moved_pixels_are_compared_with_pixels_that_are_moved_as_far() {
    let subject = disc();
    let attack = Attack::parse("stadv", &["steps=30", "rate=0.05", "share=0.05"]).unwrap();
    let adversary = Arc::new(Adversary::new(subject.clone(), attack).unwrap());
    let plan = SweepPlan { control_seed: 3, ..SweepPlan::default() };
    let curve = sweep(adversary.clone(), &plan, |_, _| ()).unwrap();
    let found = adversary.attempt_last(0.0).unwrap();
    let pixels = found.displacement.unwrap();
    let flow = found.flow.unwrap();
    assert_eq!(largest_displacement(&flow).unwrap(), [pixels]);
    let (point, control) = (curve.points.last().unwrap(), curve.control.last().unwrap());
    let judged = subject.judge_moved(&found.image, Some(&flow)).unwrap().measure;
    assert_eq!(point.measure.score(), judged.score());
    let random = random_flow(&subject.x, &[pixels], 3, None).unwrap();
    let image = warped(&subject.x, random.clone());
    let expected = subject.judge_moved(&image, Some(&random)).unwrap().measure;
    println!("moved by {pixels:.2} px: Dice {}, at random {}", judged.score(), expected.score());
    assert_eq!(control.measure.score(), expected.score());
    assert_eq!(control.measure.distortion, expected.distortion);
    assert!(expected.distortion.linf > 0.0 && control.epsilon == point.epsilon);
}

#[test]
fn steps_and_saved_files_of_moved_pixels_are_judged_by_the_moved_label_too() {
    let subject = disc();
    let attack = Attack::parse("stadv", &["steps=12", "rate=0.1"]).unwrap();
    let (model, objective, mut heard) = (subject.model.clone(), subject.objective(), 0);
    attack
        .run(model.as_ref(), &subject.x, &objective, &[0.0], &subject.options(), &mut |step| {
            let flow = step.flow.expect("it moves pixels");
            let again = host(warped(&subject.x, flow.clone()));
            assert!(max_difference(&again, &host(step.seen.clone())) < 1e-6, "the flow is that of the image");
            let logits = step.logits.clone();
            let told = subject.judge_moved_logits(step.seen, logits, Some(flow)).unwrap().measure.score();
            assert_eq!(told, subject.judge_moved(step.seen, Some(flow)).unwrap().measure.score());
            heard += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(heard > 0);
    let folder = tempfile::tempdir().unwrap();
    let flow = shift(2.0, -1.0);
    let image = warped(&subject.x, flow.clone());
    let before = subject.judge_moved(&image, Some(&flow)).unwrap().measure;
    let saved = |flow, name: &str| save_and_judge(&subject, &image, flow, before, &folder.path().join(name)).unwrap();
    let (moved, still) = (saved(Some(&flow), "moved.png").after.score(), saved(None, "still.png").after.score());
    assert!(moved == 1.0 && still < 0.9, "{moved}, {still}");
}

#[test]
fn a_curve_tells_what_was_cut_and_how_far_pixels_were_moved() {
    let subject = disc();
    for (name, settings) in [("fgnm", "clip=none"), ("fgnm", "clip=box"), ("binm", "steps=3")] {
        let attack = Attack::parse(name, &[settings]).unwrap();
        let (model, objective) = (subject.model.clone(), subject.objective());
        let outcome = attack.run_through(model.as_ref(), &subject.x, &objective, &[0.2], &subject.options()).unwrap();
        let expected = f64::from(outcome.clipped.unwrap()[0]);
        let adversary = Arc::new(Adversary::new(subject.clone(), attack).unwrap());
        let curve = sweep(adversary, &SweepPlan::exactly(vec![0.0, 0.2]), |_, _| ()).unwrap();
        let found = curve.points.last().unwrap().measure.clipped.unwrap();
        println!("{name}, {settings}: {found:.3} cut");
        assert!((found - expected).abs() < 1e-6 && found > 0.0, "{name}, {settings}: {found}, {expected}");
        let table = curve_csv(&curve);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let at = reader.headers().unwrap().iter().position(|c| c == "clipped").unwrap();
        let cells: Vec<String> = reader.records().map(|row| row.unwrap()[at].to_owned()).collect();
        assert_eq!(cells, ["", &found.to_string(), "", ""], "the attack's, not the original's or the control's");
    }
    let fgsm = Arc::new(Adversary::new(subject.clone(), Attack::FGSM).unwrap());
    let curve = sweep(fgsm, &SweepPlan::exactly(vec![0.2]), |_, _| ()).unwrap();
    assert_eq!(curve.points[0].measure.clipped, None);
    let moving = Attack::parse("stadv", &["steps=10", "rate=0.05"]).unwrap();
    let moving = Arc::new(Adversary::new(subject.clone(), moving).unwrap());
    let curve = sweep(moving.clone(), &SweepPlan::default(), |_, _| ()).unwrap();
    let found = curve.points.last().unwrap().measure.displacement.unwrap();
    assert_eq!(found, f64::from(moving.attempt_last(0.0).unwrap().displacement.unwrap()));
    let figure = epsiloscope::study::report::Figure::of(&curve).svg();
    assert!(figure.contains("L∞ of what stAdv found") && figure.contains(" px,"), "the axis is no displacement");
}

#[test]
fn twenty_steps_of_moving_pixels_break_the_bundled_sample() {
    let model = Arc::new(BuiltIn::bundled(&Device::flex()).unwrap());
    let (stack, label) = bundled_sample().unwrap();
    let names: Vec<&str> = model.card().classes.iter().map(|class| class.name.as_str()).collect();
    let map = LabelMap::parse("0=membrane,255=cell", &names).unwrap();
    let label = label.mask(0, &map);
    let case = Case { label, ..Case::from_slice(&stack, 0, "sample").unwrap() };
    let subject = Arc::new(Subject::new(Arc::new(case), model).unwrap());
    // A mean of hinges over 65 536 pixels would weigh nothing beside a sum of roughness.
    let adversary = Adversary::new(subject.clone(), Attack::parse("stadv", &["steps=20"]).unwrap()).unwrap();
    let found = adversary.attempt_last(0.0).unwrap();
    let dice = subject.judge_moved(&found.image, found.flow.as_ref()).unwrap().measure.score();
    let (clean, pixels) = (subject.clean.measure.score(), found.displacement.unwrap());
    println!("stAdv of 20 steps: Dice {clean:.3} became {dice:.3}, moved by up to {pixels:.2} px");
    assert!(dice < clean - 0.1 && pixels < 1.0, "{clean}, {dice}, {pixels}");
}

fn cases(epsilon: Option<f64>) -> Vec<BatchCase> {
    let values: Vec<f32> = (0..2 * 4).map(|i| 60.0 + 10.0 * (i % 5) as f32).collect();
    let case = |truth: usize| BatchCase {
        shape: [2, 2, 2],
        values: values.clone(),
        bounds: Bounds::EIGHT_BIT,
        truth: Truth::Class(truth),
        epsilon,
        limits: Some((values.iter().map(|v| v - 40.0).collect(), values.iter().map(|v| v + 40.0).collect())),
    };
    vec![case(0), case(1)]
}

#[test]
fn a_batch_refuses_what_its_ball_cannot_hold() {
    let model = Plain::classes(vec![vec![4.0, -2.0], vec![-3.0, 2.5]], vec![0.1, 0.0], &Device::flex());
    for name in ["fgnm", "binm", "pgdnm", "gaussian-noise", "blur"] {
        let attack = Attack::named(name).unwrap();
        let said = attack_cases(&model, None, attack, &cases(Some(0.1))).unwrap_err().to_string();
        assert!(said.contains("clip=box"), "{name}: {said}");
        assert!(attack_cases(&model, None, attack, &cases(None)).is_ok(), "{name} in a box");
    }
    let boxed = Attack::parse("fgnm", &["clip=box"]).unwrap();
    assert!(attack_cases(&model, None, boxed, &cases(Some(0.1))).is_ok());
}

#[test]
fn a_share_of_a_mask_is_reached_by_the_last_pixel_that_it_needs() {
    let model = Plain::masks(vec![vec![20.0]], vec![-10.0], &Device::flex());
    let attack = Attack::named("fgsm").unwrap();
    for side in 2..=30 {
        let pixels = side * side;
        // Bright, and so of class 1: of the label none is, all but one is, half is.
        let of = |right: usize| {
            let classes = (0..pixels).map(|i| u8::from(i < right)).collect();
            Mask { height: side, width: side, classes }
        };
        let hits = |right: usize| {
            let x = Tensor::<4>::full([1, 1, side, side], 0.9, &Device::flex());
            let objective = Objective::masks(Head::Sigmoid, 1, &[of(right)], &Device::flex());
            objective.judge(&model, x).unwrap()[0].hits
        };
        assert_eq!((hits(0), hits(pixels)), (1.0, 0.0), "{side}²");
        assert!(hits(1) < 1.0, "{side}²");
        let succeeds = |right: usize, mask_share: f32| {
            let case = BatchCase {
                shape: [1, side, side],
                values: vec![230.0; pixels],
                bounds: Bounds::EIGHT_BIT,
                truth: Truth::Mask(of(right)),
                epsilon: Some(0.0),
                limits: None,
            };
            let limits = BatchLimits { mask_share, ..BatchLimits::of(attack) };
            attack_cases_within(&model, None, attack, &[case], limits).unwrap()[0].success
        };
        assert!(succeeds(0, 1.0) && !succeeds(1, 1.0), "{side}²");
        if side % 2 == 0 {
            assert_eq!(hits(pixels / 2), 0.5, "{side}²");
            assert!(succeeds(pixels / 2, 0.5) && !succeeds(pixels / 2 + 1, 0.5), "{side}²");
        }
    }
}

#[test]
fn a_batch_says_which_originals_were_wrong_before() {
    let model = Plain::classes(vec![vec![4.0, -2.0], vec![-3.0, 2.5]], vec![0.1, 0.0], &Device::flex());
    let found = attack_cases(&model, None, Attack::named("bim").unwrap(), &cases(Some(0.2))).unwrap();
    let before: Vec<bool> = found.iter().map(|r| r.wrong_before).collect();
    assert_eq!(before.iter().filter(|b| **b).count(), 1, "{before:?}");
    for result in &found {
        assert!(result.success);
        assert_eq!(result.norm == 0.0, result.wrong_before, "nothing is done to what is wrong already");
    }
}

#[test]
fn the_default_grid_of_an_l2_norm_ends_where_that_of_linf_does() {
    let subject = disc();
    for (settings, unit) in [("norm=linf", 1.0), ("norm=l2", SIDE as f64)] {
        let attack = Attack::parse("pgd", &[settings, "steps=1", "step=1"]).unwrap();
        assert_eq!(attack.axis_unit(&subject.x), unit);
        let adversary = Arc::new(Adversary::new(subject.clone(), attack).unwrap());
        let plan = SweepPlan { epsilons: vec![0.0, 16.0 / 255.0], most_points: 2, ..SweepPlan::default() };
        let curve = sweep(adversary.clone(), &plan, |_, _| ()).unwrap();
        assert!((curve.points[1].epsilon - 16.0 / 255.0 * unit).abs() < 1e-12);
        let l2 = curve.points[1].measure.distortion.l2;
        assert!(settings != "norm=l2" || l2 <= curve.points[1].epsilon, "the radius is an L2 norm: {l2}");
        let curve = sweep(adversary, &SweepPlan::exactly(vec![0.25]), |_, _| ()).unwrap();
        assert_eq!(curve.points[0].epsilon, 0.25, "what was asked for is taken as it is");
    }
}

#[test]
fn a_batch_tells_of_gradients_that_are_zero_and_of_signs_that_do_more() {
    let flat = Plain::classes(vec![vec![0.0, 0.0], vec![0.0, 0.0]], vec![0.1, 0.0], &Device::flex());
    let found = attack_cases(&flat, None, Attack::named("bim").unwrap(), &cases(Some(0.2))).unwrap();
    assert_eq!(
        (found[0].zero_share, found[0].random_succeeds, found[0].one_step_succeeds),
        (Some(1.0), Some(false), Some(false))
    );
    assert!(!found[0].success && found[1].wrong_before && found[1].zero_share.is_none());
    let steep = Plain::classes(vec![vec![4.0, -2.0], vec![-3.0, 2.5]], vec![0.1, 0.0], &Device::flex());
    let found = attack_cases(&steep, None, Attack::named("bim").unwrap(), &cases(Some(0.2))).unwrap();
    let right = found.iter().find(|r| !r.wrong_before).unwrap();
    assert_eq!((right.zero_share, right.one_step_succeeds), (Some(0.0), Some(true)));
    let deepfool = attack_cases(&steep, None, Attack::named("deepfool").unwrap(), &cases(None)).unwrap();
    assert!(deepfool.iter().all(|r| r.random_succeeds.is_some() && r.one_step_succeeds.is_none()));
}

#[test]
fn memory_counts_every_class_that_deepfool_looks_at_and_parts_a_batch() {
    let model = Plain::classes(vec![vec![4.0, -2.0], vec![-3.0, 2.5]], vec![0.1, 0.0], &Device::flex());
    let objective = Objective::classes(Head::Softmax, 1, &[0, 1], &Device::flex());
    let budget = 100 * model.working_bytes(2, 2);
    let at_once = |name: &str| Attack::named(name).unwrap().at_once(&model, &objective, [2, 2], budget);
    assert_eq!((at_once("fgsm"), at_once("deepfool")), (100, 50));
    let bim = Attack::named("bim").unwrap();
    let whole = attack_cases(&model, None, bim, &cases(Some(0.2))).unwrap();
    let parted = attack_cases_within(
        &model,
        None,
        bim,
        &cases(Some(0.2)),
        BatchLimits { budget_bytes: 1, ..BatchLimits::of(bim) },
    )
    .unwrap();
    assert_eq!(parted.len(), 2);
    assert!(whole.iter().zip(&parted).all(|(a, b)| a.adversarial == b.adversarial && a.success == b.success));
}

#[test]
fn a_batch_has_no_ball_for_moved_pixels() {
    let model = Plain::classes(vec![vec![4.0, -2.0], vec![-3.0, 2.5]], vec![0.1, 0.0], &Device::flex());
    let said = attack_cases(&model, None, Attack::named("stadv").unwrap(), &cases(None)).unwrap_err().to_string();
    assert!(said.contains("displacement in pixels"), "{said}");
}
