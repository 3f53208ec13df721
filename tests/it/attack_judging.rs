//! How what attacks make is judged: moved anatomy is no error, its control is moved as far, and a batch refuses what its ball
//! cannot hold.

use crate::toys::Plain;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Attack, largest_displacement, random_flow, warped};
use epsiloscope::data::{Bounds, Case, Pixels, Stack};
use epsiloscope::study::{Adversary, BatchCase, Subject, SweepPlan, Truth, attack_cases, sweep};
use std::sync::Arc;

const SIDE: usize = 16;

/// A bright disc, and the model that finds what is brighter than ½: it follows whatever is moved.
fn disc() -> Arc<Subject> {
    let pixels: Vec<f32> = (0..SIDE * SIDE)
        .map(|i| {
            let (row, column) = ((i / SIDE) as f32 - 7.3, (i % SIDE) as f32 - 8.1);
            255.0 * (0.5 + 0.45 * ((4.2 - row.hypot(column)) / 3.0).clamp(-1.0, 1.0))
        })
        .collect();
    let stack = Stack::new([1, 1, SIDE, SIDE], Pixels::F32(pixels.into())).unwrap();
    let stack = stack.with_bounds(Bounds::EIGHT_BIT).unwrap();
    let model = Plain::masks(vec![vec![20.0]], vec![-10.0], &Device::flex());
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
