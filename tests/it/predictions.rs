//! What a model's logits become is the same for everyone who judges it, and its numbers are the ones made by hand.

use crate::fixture::{Fixture, dense, host, max_difference};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::data::{Bounds, Case, IGNORE, Image, Mask, Provenance, StoredType};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Logits, Model, ModelCard, ModelError, SizeRule};
use epsiloscope::study::Subject;
use epsiloscope::train::{evaluate, he_normal};
use std::sync::Arc;

/// Says the same of every image.
struct Fixed {
    card: ModelCard,
    logits: Tensor<4>,
}

impl Fixed {
    /// `values` are logits `[outputs, height, width]`; several are softmax logits.
    fn new(values: Vec<f32>, outputs: usize, size: [usize; 2], positive_class: u8) -> Arc<Self> {
        let head = if outputs == 1 { Head::Sigmoid } else { Head::Softmax };
        let card = ModelCard {
            name: "fixed".into(),
            description: String::new(),
            channels: 1,
            head,
            size_rule: SizeRule::MultipleOf(1),
            positive_class,
            classes: (0..outputs.max(2)).map(|i| ClassInfo::new(format!("class {i}"))).collect(),
            ..ModelCard::default()
        };
        let data = TensorData::new(values, [1, outputs, size[0], size[1]]);
        Arc::new(Self { card, logits: Tensor::from_data(data, &Device::flex()) })
    }
}

impl Model for Fixed {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, _: Tensor<4>) -> Result<Logits, ModelError> {
        Ok(Logits::Dense(self.logits.clone()))
    }

    fn working_bytes(&self, _: usize, _: usize) -> u64 {
        0
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { card: self.card.clone(), logits: self.logits.clone().to_device(device) })
    }
}

fn case(pixels: Vec<f32>, [height, width]: [usize; 2], classes: Option<Vec<u8>>) -> Case {
    let image = Image::new(1, height, width, pixels).unwrap();
    let label = classes.map(|classes| Mask { height, width, classes: classes.into() });
    Case {
        name: "case".into(),
        image,
        bounds: Bounds { lower: 0.0, upper: 1.0 },
        shown: Bounds { lower: 0.0, upper: 1.0 },
        stored: StoredType::F32,
        label,
        class: None,
        about: Arc::default(),
        provenance: Provenance::default(),
    }
}

#[test]
fn three_classes_are_judged_as_counted_by_hand() {
    let fixture = Fixture::open("softmax");
    let device = Device::flex();
    // Of random weights, these tell all three classes apart on the fixture's image.
    let network = UNetConfig { outputs: 3, ..UNetConfig::new(4, 1) };
    let unet = he_normal(network.init(&device), 15);
    let card = ModelCard { network: Some(network), size_rule: SizeRule::MultipleOf(2), ..fixture.card.clone() };
    let model = Arc::new(BuiltIn::new(card, &unet, &device).unwrap());
    let (height, width) = (fixture.target(0).height, fixture.target(0).width);
    let pixels = height * width;
    // The last rows count nowhere.
    let mut classes = fixture.target(0).classes.to_vec();
    classes[pixels - 2 * width..].fill(IGNORE);
    let x = fixture.values("x", 0).to_vec();
    let subject = Subject::new(Arc::new(case(x, [height, width], Some(classes.clone()))), model.clone()).unwrap();
    let z = host(dense(model.logits(fixture.tensor("x", 0, &device)).unwrap()));
    let logits = |pixel: usize| [z[pixel], z[pixels + pixel], z[2 * pixels + pixel]];
    // Where no feature is active all logits are 0; then it is the first class.
    let argmax = |z: [f32; 3]| {
        (0..3u8).rev().max_by(|&a, &b| z[usize::from(a)].partial_cmp(&z[usize::from(b)]).unwrap()).unwrap()
    };
    let predicted: Vec<u8> = (0..pixels).map(|pixel| argmax(logits(pixel))).collect();
    assert_eq!(subject.clean.predicted.classes[..], predicted[..]);
    for class in 0..3 {
        assert!(predicted.iter().filter(|&&c| c == class).count() > pixels / 50, "class {class} is hardly predicted");
    }
    let probability: Vec<f32> = (0..pixels)
        .map(|pixel| {
            let e = logits(pixel).map(|z| f64::from(z).exp());
            (e[1] / e.iter().sum::<f64>()) as f32
        })
        .collect();
    assert!(max_difference(&host(subject.clean.probability.clone()), &probability) < 1e-5);
    // A threshold of ½ would decide otherwise.
    assert!((0..pixels).filter(|&i| predicted[i] == 1 && probability[i] < 0.5).count() > pixels / 50);
    let counted = || (0..pixels - 2 * width).map(|i| (classes[i], predicted[i], f64::from(probability[i])));
    let n = counted().count() as f64;
    let both = counted().filter(|&(y, c, _)| y == 1 && c == 1).count() as f64;
    let sizes = counted().map(|(y, c, _)| f64::from(u8::from(y == 1)) + f64::from(u8::from(c == 1))).sum::<f64>();
    let squares = counted().map(|(y, _, p)| (f64::from(u8::from(y == 1)) - p).powi(2)).sum::<f64>();
    let wrong = counted().filter(|&(y, c, _)| y != c).count() as f64;
    let measure = subject.clean.measure;
    for (what, value, expected) in [
        ("Dice", measure.overlap.dice, 2.0 * both / sizes),
        ("IoU", measure.overlap.iou, both / (sizes - both)),
        ("L2", measure.error.l2, squares.sqrt()),
        ("RMSE", measure.error.rmse, (squares / n).sqrt()),
        ("wrong", measure.error.wrong, wrong / n),
        ("N", measure.error.pixels as f64, n),
        ("L∞", measure.distortion.linf, 0.0),
    ] {
        assert!((value - expected).abs() < 1e-4, "{what} {value}, by hand {expected}");
    }
}

#[test]
fn the_most_probable_of_three_classes_wins_below_one_half() {
    // Pixel by pixel: .45/.30/.25 in turn, so that no class reaches ½ anywhere.
    let p = [[0.45f32, 0.30, 0.25], [0.25, 0.45, 0.30], [0.30, 0.25, 0.45], [0.45, 0.25, 0.30]];
    let logits: Vec<f32> = (0..3).flat_map(|class| p.map(|p| p[class].ln())).collect();
    let expected = [0, 1, 2, 0];
    for positive in 0..3 {
        let model = Fixed::new(logits.clone(), 3, [2, 2], positive);
        let case = case(vec![0.5; 4], [2, 2], Some(vec![0, 1, 2, 1]));
        let evaluation = evaluate(model.as_ref(), std::slice::from_ref(&case), &mut |_| true).unwrap();
        let subject = Subject::new(Arc::new(case), model).unwrap();
        assert_eq!(subject.clean.predicted.classes[..], expected);
        let measure = subject.clean.measure;
        // One pixel of four is taken for class 0 instead of 1.
        assert_eq!(measure.error.wrong, 0.25);
        let dice = [2.0 / 3.0, 2.0 / 3.0, 1.0][usize::from(positive)];
        assert!((measure.overlap.dice - dice).abs() < 1e-9, "{positive}: {}", measure.overlap.dice);
        assert_eq!(evaluation.dice, measure.overlap.dice, "{positive}");
        assert_eq!(evaluation.iou, measure.overlap.iou, "{positive}");
        assert_eq!(evaluation.wrong, measure.error.wrong, "{positive}");
        assert!((evaluation.rmse - measure.error.rmse).abs() < 1e-12, "{positive}");
    }
}

#[test]
fn a_probability_of_one_half_is_positive() {
    for positive in [0, 1] {
        let model = Fixed::new(vec![0.0, -0.1, 0.1, 5.0], 1, [1, 4], positive);
        let subject = Subject::new(Arc::new(case(vec![0.5; 4], [1, 4], None)), model).unwrap();
        let negative = 1 - positive;
        assert_eq!(subject.clean.predicted.classes[..], [positive, negative, positive, positive]);
    }
}

#[test]
fn predictions_that_are_no_numbers_are_refused() {
    let nan = f32::NAN;
    for (values, outputs, broken) in [
        (vec![0.0, nan, 1.0, nan], 1, 2),
        // NaN, or an infinite logit, in a class that is not the positive one.
        (vec![0.0, 1.0, 0.0, 0.0, nan, 0.0], 3, 1),
        (vec![0.0, 1.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY], 3, 2),
    ] {
        let size = [1, values.len() / outputs];
        let model = Fixed::new(values, outputs, size, 1);
        let case = case(vec![0.5; size[1]], size, Some(vec![0; size[1]]));
        let evaluation = evaluate(model.as_ref(), std::slice::from_ref(&case), &mut |_| true).unwrap_err();
        let subject = Subject::new(Arc::new(case), model).err().expect("must be refused");
        for error in [subject, evaluation] {
            assert!(matches!(error, ModelError::NotFinite { pixels, .. } if pixels == broken), "{error}");
            assert!(error.to_string().contains(&format!("not numbers at {broken} of {} pixels", size[1])), "{error}");
        }
    }
}
