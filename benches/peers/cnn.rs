//! The MNIST classifier of Wong and Kolter 2018 with weights that come from a formula, the same on both sides.

use burn::tensor::activation::relu;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::kernel::{Activation, Convolution, Linear};
use epsiloscope::model::{ClassInfo, Head, Logits, Model, ModelCard, ModelError, SizeRule, Task};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Name and shape of each tensor, as PyTorch lays them out.
const WEIGHTS: [(&str, &[usize]); 8] = [
    ("first.weight", &[16, 1, 4, 4]),
    ("first.bias", &[16]),
    ("second.weight", &[32, 16, 4, 4]),
    ("second.bias", &[32]),
    ("third.weight", &[100, 1568]),
    ("third.bias", &[100]),
    ("fourth.weight", &[10, 100]),
    ("fourth.bias", &[10]),
];

/// Two 4×4 convolutions of stride 2 and two linear layers, by the kernels that run models opened from files.
pub struct Cnn {
    card: ModelCard,
    convolutions: [Convolution; 2],
    linear: [Linear; 2],
    device: Device,
}

/// Uniform in [−1, 1), the same on every machine.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

fn values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let inputs: usize = shape[1..].iter().product();
    let scale = if name.ends_with("bias") { 0.1 } else { (6.0 / inputs as f32).sqrt() };
    noise(shape.iter().product(), seed).into_iter().map(|v| v * scale).collect()
}

/// 100 images of 28×28 in [0, 1], and their classes.
pub fn images() -> (Vec<f32>, Vec<usize>) {
    (noise(100 * 784, 99).into_iter().map(|v| v.mul_add(0.5, 0.5)).collect(), (0..100).map(|i| i % 10).collect())
}

/// Writes weights, images and labels for the other side.
pub fn write_for_the_other_side(folder: &Path) {
    let bytes = |values: Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (x, y) = images();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = WEIGHTS
        .iter()
        .zip(1..)
        .map(|((name, shape), seed)| ((*name).to_owned(), shape.to_vec(), bytes(values(name, shape, seed))))
        .collect();
    tensors.push(("x".to_owned(), vec![100, 1, 28, 28], bytes(x)));
    tensors.push(("y".to_owned(), vec![100], bytes(y.iter().map(|&y| y as f32).collect())));
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.clone(), safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, &folder.join("cnn.safetensors")).unwrap();
}

impl Cnn {
    pub fn new(device: &Device) -> Self {
        let weights = WEIGHTS.iter().zip(1..).map(|((name, shape), seed)| {
            let values = values(name, shape, seed);
            let count = values.len();
            (*name, Tensor::from_data(TensorData::new(values, [count]), device))
        });
        let weights: BTreeMap<&'static str, Tensor<1>> = weights.collect();
        let convolution = |name: &str, [outputs, inputs]: [usize; 2]| {
            let weight = weights[&*format!("{name}.weight")].clone().reshape([outputs, inputs, 4, 4]);
            let bias = weights[&*format!("{name}.bias")].clone();
            let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
            Convolution::new(weight, Some(bias), options, &[inputs], Activation::Relu)
        };
        let convolutions = [convolution("first", [16, 1]), convolution("second", [32, 16])];
        let linear = |name: &str, shape: [usize; 2]| {
            let weight = weights[&*format!("{name}.weight")].clone().reshape(shape);
            Linear::new(weight, true, Some(weights[&*format!("{name}.bias")].clone())).expect("on the CPU")
        };
        let linear = [linear("third", [100, 1568]), linear("fourth", [10, 100])];
        let card = ModelCard {
            name: "cnn".into(),
            channels: 1,
            task: Task::Classification,
            head: Head::Softmax,
            size_rule: SizeRule::Any,
            classes: (0..10).map(|i| ClassInfo::new(i.to_string())).collect(),
            ..ModelCard::default()
        };
        Self { card, convolutions, linear, device: device.clone() }
    }
}

impl Model for Cnn {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let [first, second] = &self.convolutions;
        let x = second.forward(first.forward(x));
        let [batch, ..] = x.dims();
        let [third, fourth] = &self.linear;
        Ok(Logits::Class(fourth.forward(relu(third.forward(x.reshape([batch, 1568]))))))
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 256) as u64
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self::new(device))
    }
}
