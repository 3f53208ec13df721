//! Input gradients are right: against PyTorch on U-Nets, against directional finite differences where the function is
//! smooth, on every device.

use crate::fixture::{Bare, Fixture, NETWORKS, cosine, dense, devices, host, max_difference};
use burn::tensor::activation::{softplus, tanh};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::attack::{Objective, input_gradient};
use epsiloscope::data::{IGNORE, Mask};
use epsiloscope::model::unet::{Downsampling, UNetConfig};
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Logits, Model, ModelCard, ModelError, SizeRule};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Largest absolute difference of a logit from PyTorch's. The logits are of order 1.
const LOGIT_TOLERANCE: f32 = 1e-4;
/// Smallest cosine of a gradient with PyTorch's.
const COSINE: f64 = 0.9999;

#[test]
fn logits_loss_and_gradient_are_pytorchs() {
    for (device_name, device) in devices() {
        for name in NETWORKS {
            let fixture = Fixture::open(name);
            let bare: [(&str, Box<dyn Model>); 2] = [
                ("as trained", Box::new(Bare::new(&fixture, &device))),
                ("folded", Box::new(Bare::new(&fixture, &device).folded())),
            ];
            for (variant, model) in bare {
                // Kernels are compiled for each shape and batch normalisation: one image is enough on a GPU.
                for index in 0..if device_name == "Flex" { 2 } else { 1 } {
                    let x = fixture.tensor("x", index, &device);
                    let objective = Objective::segmentation(fixture.card.head, 1, &fixture.target(index), &device);
                    let logits = host(dense(model.logits(x.clone()).unwrap()));
                    let (loss, gradient) = input_gradient(model.as_ref(), &x, &objective).unwrap();
                    let gradient = host(gradient);
                    let off = max_difference(&logits, fixture.values("logits", index));
                    let cosine = cosine(&gradient, fixture.values("gradient", index));
                    println!("{device_name}, {name}, {variant}: logits off by {off:.1e}, gradient cosine {cosine:.8}");
                    assert!(off <= LOGIT_TOLERANCE, "{device_name}, {name}, {variant}: logits off by {off}");
                    assert!(cosine >= COSINE, "{device_name}, {name}, {variant}: cosine {cosine}");
                    assert!((loss - fixture.values("loss", index)[0]).abs() <= 1e-4);
                }
            }
        }
    }
}

/// conv → tanh → conv → softplus: differentiable everywhere, so that finite differences mean something.
struct Smooth {
    card: ModelCard,
    first: Tensor<4>,
    second: Tensor<4>,
    device: Device,
}

impl Smooth {
    fn new(head: Head, channels: usize, device: &Device) -> Self {
        let outputs = if head == Head::Sigmoid { 1 } else { 3 };
        let mut random = ChaCha8Rng::seed_from_u64(5);
        Self {
            card: card(head, SizeRule::MultipleOf(1), UNetConfig { channels, outputs, ..UNetConfig::new(4, 1) }),
            first: uniform([6, channels, 3, 3], &mut random, device),
            second: uniform([outputs, 6, 3, 3], &mut random, device),
            device: device.clone(),
        }
    }
}

impl Model for Smooth {
    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 64) as u64
    }

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let hidden = tanh(conv2d(x, self.first.clone(), None, options.clone()));
        Ok(Logits::Dense(softplus(conv2d(hidden, self.second.clone(), None, options), 1.0) - 1.0))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self {
            card: self.card.clone(),
            first: self.first.clone().to_device(device),
            second: self.second.clone().to_device(device),
            device: device.clone(),
        })
    }
}

fn card(head: Head, size_rule: SizeRule, network: UNetConfig) -> ModelCard {
    let classes = if head == Head::Sigmoid { 2 } else { network.outputs };
    ModelCard {
        name: "test".into(),
        description: "For a test.".into(),
        channels: network.channels,
        head,
        size_rule,
        positive_class: 1,
        classes: (0..classes).map(|i| ClassInfo::new(format!("class {i}"))).collect(),
        network: Some(network),
        ..ModelCard::default()
    }
}

/// Entries uniform in [−1, 1].
fn uniform(shape: [usize; 4], random: &mut impl Rng, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Random classes, every `ignore`th pixel ignored.
fn random_mask(height: usize, width: usize, classes: u8, ignore: usize, random: &mut impl Rng) -> Mask {
    let classes =
        (0..height * width).map(|i| if i % ignore == 1 { IGNORE } else { random.random_range(0..classes) }).collect();
    Mask { height, width, classes }
}

/// J by its definition in `methods`, in f64 on the host, from the model's logits: independent of [`Objective`].
fn loss(model: &dyn Model, x: &Tensor<4>, mask: &Mask) -> f64 {
    let logits = dense(model.logits(x.clone()).unwrap());
    let outputs = logits.dims()[1];
    let pixels = mask.classes.len();
    let z: Vec<f64> = host(logits).into_iter().map(f64::from).collect();
    let (mut sum, mut counted) = (0.0, 0.0);
    for (pixel, &class) in mask.classes.iter().enumerate() {
        if class == IGNORE {
            continue;
        }
        counted += 1.0;
        sum += if outputs == 1 {
            let p = 1.0 / (1.0 + (-z[pixel]).exp());
            -(if class == 1 { p } else { 1.0 - p }).ln()
        } else {
            let total: f64 = (0..outputs).map(|k| z[k * pixels + pixel].exp()).sum();
            total.ln() - z[usize::from(class) * pixels + pixel]
        };
    }
    sum / counted
}

/// Central differences of J along the gradient and along random directions agree with ⟨∇J, d⟩ to 0.1 % of ‖∇J‖·‖d‖
/// at one step size, and to 2 % at all of them: large steps suffer from curvature and small ones from rounding.
fn check_differences(what: &str, model: &dyn Model, x: &Tensor<4>, mask: &Mask) {
    let device = x.device();
    // A software GPU takes a second for what Flex does in a millisecond.
    let (random_directions, steps): (usize, &[f64]) =
        if device == Device::flex() { (3, &[0.1, 0.05, 0.025]) } else { (1, &[0.05]) };
    let head = model.card().head;
    let objective = Objective::segmentation(head, 1, mask, &device);
    let (reported, gradient) = input_gradient(model, x, &objective).unwrap();
    let exact = loss(model, x, mask);
    assert!((f64::from(reported) - exact).abs() < 1e-4 * exact.abs().max(1.0), "{what}: J {reported}, not {exact}");
    let values: Vec<f64> = host(gradient.clone()).into_iter().map(f64::from).collect();
    let norm = values.iter().map(|g| g * g).sum::<f64>().sqrt();
    assert!(norm > 0.0, "{what}: no gradient");
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let along = gradient / norm;
    let mut directions = vec![along.clone()];
    // A random direction is nearly orthogonal to the gradient: half of each keeps the derivative above rounding.
    directions.extend((0..random_directions).map(|_| {
        let noise = uniform(x.dims(), &mut random, &device);
        let length = f64::from(noise.clone().powf_scalar(2.0).sum().into_scalar::<f32>()).sqrt();
        along.clone() + noise / length
    }));
    let mut all = Vec::new();
    for (number, d) in directions.into_iter().enumerate() {
        let d64: Vec<f64> = host(d.clone()).into_iter().map(f64::from).collect();
        let expected: f64 = values.iter().zip(&d64).map(|(g, d)| g * d).sum();
        let scale = norm * d64.iter().map(|d| d * d).sum::<f64>().sqrt();
        let errors: Vec<f64> = steps
            .iter()
            .map(|&h| {
                let ahead = loss(model, &(x.clone() + d.clone() * h), mask);
                let behind = loss(model, &(x.clone() - d.clone() * h), mask);
                ((ahead - behind) / (2.0 * h) - expected).abs() / scale
            })
            .collect();
        let (least, most) = errors.iter().fold((f64::MAX, 0.0f64), |(l, m), &e| (l.min(e), m.max(e)));
        assert!(least < 1e-3 && most < 2e-2, "{what}, direction {number}: relative errors {errors:?} at {steps:?}");
        all.extend(errors);
    }
    let largest = all.iter().fold(0.0f64, |m, &e| m.max(e));
    println!("{what}: largest relative error {largest:.1e} over {} differences", all.len());
}

#[test]
fn a_smooth_model_agrees_with_finite_differences() {
    for (device_name, device) in devices() {
        let mut cases = vec![(Head::Softmax, 3), (Head::Sigmoid, 1), (Head::Softmax, 1), (Head::Sigmoid, 3)];
        cases.truncate(if device_name == "Flex" { 4 } else { 2 });
        for (head, channels) in cases {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            let model = Smooth::new(head, channels, &device);
            let x = (uniform([1, channels, 13, 18], &mut random, &device) + 1.0) / 2.0;
            let classes = if head == Head::Sigmoid { 2 } else { 3 };
            let whole = random_mask(13, 18, classes, usize::MAX, &mut random);
            let what = format!("{device_name}, {head:?}, {channels} channels");
            check_differences(&what, &model, &x, &whole);
            let partly = random_mask(13, 18, classes, 3, &mut random);
            check_differences(&format!("{what}, a third ignored"), &model, &x, &partly);
        }
    }
}

/// A U-Net whose ReLUs never close, because its biases are large: smooth, so that finite differences test everything
/// around the network, too: reflection, tiles, the cut, and a grey image fed to three channels.
fn open_unet(head: Head, channels: usize, rule: SizeRule, device: &Device) -> BuiltIn {
    let network = UNetConfig {
        channels,
        outputs: if head == Head::Sigmoid { 1 } else { 3 },
        batch_norm: false,
        downsampling: Downsampling::Strided,
        ..UNetConfig::new(4, 2)
    };
    let unet = network.init(device);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let parameters = crate::fixture::parameters(&unet);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
        .into_iter()
        .map(|(name, (shape, _))| {
            let fan_in = shape.iter().skip(1).product::<usize>() as f32;
            let size = 1.5 / fan_in.sqrt();
            let values = (0..shape.iter().product()).map(|_| match name.as_str() {
                "head.bias" => 0.0,
                n if n.ends_with("conv.bias") => 4.0,
                n if n.ends_with("bias") => 0.1,
                _ => random.random_range(-size..size),
            });
            let bytes = values.flat_map(|v: f32| v.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    let card = card(head, rule, network);
    let unet = epsiloscope::model::read_network("open".as_ref(), &card, bytes, device).unwrap();
    BuiltIn::new(card, &unet, device).unwrap()
}

#[test]
fn gradients_flow_through_padding_tiles_and_channels() {
    for (device_name, device) in devices() {
        let mut cases = vec![
            (Head::Sigmoid, 3, SizeRule::MultipleOf(4), [1, 1, 17, 9]),
            (Head::Sigmoid, 1, SizeRule::tile(16), [1, 1, 5, 27]),
            (Head::Sigmoid, 1, SizeRule::MultipleOf(4), [1, 1, 13, 22]),
            (Head::Softmax, 3, SizeRule::MultipleOf(4), [1, 3, 10, 11]),
            (Head::Softmax, 3, SizeRule::tile(16), [1, 1, 21, 30]),
        ];
        cases.truncate(if device_name == "Flex" { 5 } else { 2 });
        for (head, channels, rule, shape) in cases {
            let mut random = ChaCha8Rng::seed_from_u64(13);
            let model = open_unet(head, channels, rule, &device);
            let x = (uniform(shape, &mut random, &device) + 1.0) / 2.0;
            let classes = if head == Head::Sigmoid { 2 } else { 3 };
            let mask = random_mask(shape[2], shape[3], classes, 4, &mut random);
            let what = format!("{device_name}, U-Net of {channels} channels, {head:?}, {rule:?}, {shape:?}");
            check_differences(&what, &model, &x, &mask);
        }
    }
}

#[test]
fn a_grey_image_has_the_summed_gradient_of_its_three_channels() {
    let device = Device::flex();
    let fixture = Fixture::open("strided");
    let model = fixture.model(&device);
    let grey = fixture.tensor("x", 0, &device).narrow(1, 0, 1);
    let objective = Objective::segmentation(Head::Sigmoid, 1, &fixture.target(0), &device);
    let (loss, gradient) = input_gradient(&model, &grey, &objective).unwrap();
    let (loss_of_three, gradient_of_three) = input_gradient(&model, &grey.repeat_dim(1, 3), &objective).unwrap();
    assert_eq!(loss, loss_of_three);
    assert_eq!(gradient.dims()[1], 1);
    let summed = host(gradient_of_three.sum_dim(1));
    let largest = summed.iter().fold(0f32, |m, g| m.max(g.abs()));
    assert!(max_difference(&host(gradient), &summed) <= 1e-5 * largest);
}

#[test]
fn ignored_pixels_have_no_say() {
    let device = Device::flex();
    let model = Smooth::new(Head::Sigmoid, 1, &device);
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let x = (uniform([1, 1, 12, 16], &mut random, &device) + 1.0) / 2.0;
    let mut classes = random_mask(12, 16, 2, usize::MAX, &mut random).classes.to_vec();
    for (i, class) in classes.iter_mut().enumerate() {
        if i % 16 >= 8 {
            *class = IGNORE;
        }
    }
    let mask = Mask { height: 12, width: 16, classes: classes.into() };
    let (_, gradient) = input_gradient(&model, &x, &Objective::segmentation(Head::Sigmoid, 1, &mask, &device)).unwrap();
    let gradient = host(gradient);
    for (i, g) in gradient.iter().enumerate() {
        // Two 3×3 convolutions: a pixel is seen two pixels away and no further.
        let seen = i % 16 < 10;
        assert_eq!(*g != 0.0, seen, "pixel {}, {}: {g}", i / 16, i % 16);
    }
    // All ignored: no loss and no gradient, not NaN.
    let nothing = Mask { height: 12, width: 16, classes: vec![IGNORE; 192].into() };
    let (loss, gradient) =
        input_gradient(&model, &x, &Objective::segmentation(Head::Sigmoid, 1, &nothing, &device)).unwrap();
    assert_eq!(loss, 0.0);
    assert!(host(gradient).iter().all(|&g| g == 0.0));
}
