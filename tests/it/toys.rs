//! Small models whose weights are written down: a classifier that PyTorch trained, and linear models whose optimum is
//! known.

use crate::fixture::{path, tensors};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::kernel::{Activation, Convolution};
use epsiloscope::model::{ClassInfo, Head, Logits, Model, ModelCard, ModelError, SizeRule, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

type Stored = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub fn card(name: &str, channels: usize, head: Head, classes: usize) -> ModelCard {
    ModelCard {
        name: name.into(),
        description: "For a test.".into(),
        channels,
        head,
        size_rule: SizeRule::MultipleOf(1),
        positive_class: 1,
        classes: (0..classes).map(|i| ClassInfo::new(format!("class {i}"))).collect(),
        ..ModelCard::default()
    }
}

/// What `tests/fixtures/attacks.py` wrote.
pub struct Attacks(Stored);

impl Attacks {
    pub fn open() -> Self {
        Self(tensors(&std::fs::read(path("attacks.safetensors")).unwrap()))
    }

    pub fn tensor(&self, key: &str, device: &Device) -> Tensor<4> {
        let (shape, values) = &self.0[key];
        Tensor::from_data(TensorData::new(values.clone(), [shape[0], shape[1], shape[2], shape[3]]), device)
    }

    pub fn values(&self, key: &str) -> &[f32] {
        &self.0[key].1
    }

    /// The classes of the first `count` images.
    pub fn labels(&self, count: usize) -> Vec<usize> {
        self.0["y"].1[..count].iter().map(|&y| y as usize).collect()
    }
}

/// The classifier of the fixtures: two 3×3 convolutions of stride 2 with ReLU, then a linear layer.
pub struct Cnn {
    card: ModelCard,
    stored: Stored,
    device: Device,
}

impl Cnn {
    pub fn new(attacks: &Attacks, device: &Device) -> Self {
        let stored = attacks.0.iter().filter(|(k, _)| k.starts_with("cnn.")).map(|(k, v)| (k.clone(), v.clone()));
        let card = ModelCard { task: Task::Classification, ..card("cnn", 1, Head::Softmax, 4) };
        Self { card, stored: stored.collect(), device: device.clone() }
    }

    fn weight<const D: usize>(&self, key: &str) -> Tensor<D> {
        let (shape, values) = &self.stored[&format!("cnn.{key}")];
        let shape: [usize; D] = shape.clone().try_into().unwrap();
        Tensor::from_data(TensorData::new(values.clone(), shape), &self.device)
    }

    fn layer(&self, x: Tensor<4>, name: &str) -> Tensor<4> {
        let (weight, bias) = (self.weight::<4>(&format!("{name}.weight")), self.weight::<1>(&format!("{name}.bias")));
        let [_, channels, ..] = weight.dims();
        let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
        Convolution::new(weight, Some(bias), options, &[channels], Activation::Relu).forward(x)
    }
}

impl Model for Cnn {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let x = self.layer(self.layer(x, "first"), "second");
        let [batch, c, h, w] = x.dims();
        let x: Tensor<2> = x.reshape([batch, c * h * w]);
        let bias: Tensor<2> = self.weight::<1>("linear.bias").unsqueeze();
        Ok(Logits::Class(x.matmul(self.weight::<2>("linear.weight").transpose()) + bias))
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 64) as u64
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { card: self.card.clone(), stored: self.stored.clone(), device: device.clone() })
    }
}

/// The mean of each image as the logit of class 0, and half less it of class 1: no gradient but a constant one.
pub struct Plain {
    card: ModelCard,
    /// `[classes, channels]`: weights of the image's mean (classes), or of each pixel (masks).
    pub weight: Vec<Vec<f32>>,
    pub bias: Vec<f32>,
    masks: bool,
    device: Device,
}

impl Plain {
    /// z_k = Σ_c w_kc·mean(x_c) + b_k for the whole image.
    pub fn classes(weight: Vec<Vec<f32>>, bias: Vec<f32>, device: &Device) -> Self {
        let task = Task::Classification;
        let card = ModelCard { task, ..card("linear classes", weight[0].len(), Head::Softmax, weight.len()) };
        Self { card, weight, bias, masks: false, device: device.clone() }
    }

    /// The same with another card.
    pub fn with_other_card(self, card: ModelCard) -> Self {
        Self { card, ..self }
    }

    /// z_k = Σ_c w_kc·x_c + b_k at each pixel: a 1×1 convolution.
    pub fn masks(weight: Vec<Vec<f32>>, bias: Vec<f32>, device: &Device) -> Self {
        let head = if weight.len() == 1 { Head::Sigmoid } else { Head::Softmax };
        let card = card("1×1 convolution", weight[0].len(), head, weight.len().max(2));
        Self { card, weight, bias, masks: true, device: device.clone() }
    }
}

impl Model for Plain {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        let (outputs, channels) = (self.weight.len(), self.weight[0].len());
        let weight = TensorData::new(self.weight.concat(), [outputs, channels, 1, 1]);
        let weight = Tensor::<4>::from_data(weight, &self.device);
        let bias = Tensor::<1>::from_data(TensorData::new(self.bias.clone(), [outputs]), &self.device);
        let z = conv2d(x, weight, Some(bias), ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
        let [batch, ..] = z.dims();
        Ok(if self.masks { Logits::Dense(z) } else { Logits::Class(z.mean_dims(&[2, 3]).reshape([batch, outputs])) })
    }

    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 64) as u64
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self {
            card: self.card.clone(),
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            masks: self.masks,
            device: device.clone(),
        })
    }
}
