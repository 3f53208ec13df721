//! What `tests/fixtures/make.py` wrote: small networks, and what PyTorch and its attack libraries make of them.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use epsiloscope::data::Mask;
use epsiloscope::gpu::{Compute, DeviceChoice};
use epsiloscope::model::unet::UNet;
use epsiloscope::model::{BuiltIn, Logits, Model, ModelCard, ModelError, read_network};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Every network of the fixtures.
pub const NETWORKS: [&str; 4] = ["same", "strided", "valid", "softmax"];

pub struct Fixture {
    pub name: &'static str,
    pub card: ModelCard,
    reference: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)
}

impl Fixture {
    pub fn open(name: &'static str) -> Self {
        let card = toml::from_str(&std::fs::read_to_string(path(&format!("{name}.toml"))).unwrap()).unwrap();
        let reference = tensors(&std::fs::read(path(&format!("{name}.reference.safetensors"))).unwrap());
        Self { name, card, reference }
    }

    /// The network with batch normalisation as it is, and its training flags set, as a training loop holds it.
    pub fn network(&self, device: &Device) -> UNet {
        let file = path(&format!("{}.safetensors", self.name));
        let bytes = std::fs::read(&file).unwrap();
        read_network(&file, &self.card, bytes, device).unwrap()
    }

    /// The network as the program runs it.
    pub fn model(&self, device: &Device) -> BuiltIn {
        BuiltIn::load(&path(&format!("{}.safetensors", self.name)), device).unwrap()
    }

    /// Image `index` of the stored tensor `key`, `[1, channels, h, w]`.
    pub fn tensor(&self, key: &str, index: usize, device: &Device) -> Tensor<4> {
        let (shape, values) = &self.reference[key];
        let len = values.len() / shape[0];
        let data = TensorData::new(values[index * len..(index + 1) * len].to_vec(), [1, shape[1], shape[2], shape[3]]);
        Tensor::from_data(data, device)
    }

    /// The values of image `index` of the stored tensor `key`.
    pub fn values(&self, key: &str, index: usize) -> &[f32] {
        let (shape, values) = &self.reference[key];
        let len = values.len() / shape[0];
        &values[index * len..(index + 1) * len]
    }

    /// The class of every pixel of image `index`.
    pub fn target(&self, index: usize) -> Mask {
        let shape = &self.reference["target"].0;
        let classes: Arc<[u8]> = self.values("target", index).iter().map(|&c| c as u8).collect();
        Mask { height: shape[2], width: shape[3], classes }
    }
}

/// The tensors of a safetensors file of 32-bit floats and bytes, as floats.
pub fn tensors(bytes: &[u8]) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    file.iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                safetensors::Dtype::F32 => {
                    view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
                }
                safetensors::Dtype::U8 => view.data().iter().map(|&b| f32::from(b)).collect(),
                other => panic!("{name}: {other:?}"),
            };
            (name.to_owned(), (view.shape().to_vec(), values))
        })
        .collect()
}

/// What a script of `tests/fixtures` computed, by name.
pub struct Reference(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Reference {
    pub fn open(file: &str) -> Self {
        Self(tensors(&std::fs::read(path(file)).unwrap()))
    }

    pub fn values(&self, key: &str) -> &[f32] {
        &self.0[key].1
    }

    pub fn tensor(&self, key: &str, device: &Device) -> Tensor<4> {
        let (shape, values) = &self.0[key];
        let shape: [usize; 4] = shape.clone().try_into().unwrap();
        Tensor::from_data(TensorData::new(values.clone(), shape), device)
    }
}

/// All tensors of a module by name.
pub fn parameters<M: Module>(module: &M) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut store = SafetensorsStore::from_bytes(None);
    module.save_into(&mut store).unwrap();
    tensors(&store.get_bytes().unwrap())
}

/// A bare network as a [`Model`], in evaluation mode, neither folded nor fitted to image sizes.
pub struct Bare {
    card: ModelCard,
    network: UNet,
    device: Device,
}

impl Bare {
    pub fn new(fixture: &Fixture, device: &Device) -> Self {
        Self { card: fixture.card.clone(), network: fixture.network(device).valid(), device: device.clone() }
    }

    pub fn folded(self) -> Self {
        Self { network: self.network.folded(), ..self }
    }
}

impl Model for Bare {
    fn working_bytes(&self, height: usize, width: usize) -> u64 {
        (height * width * 64) as u64
    }

    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn logits(&self, x: Tensor<4>) -> Result<Logits, ModelError> {
        Ok(Logits::Dense(self.network.forward(x)))
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn Model> {
        Arc::new(Self { card: self.card.clone(), network: self.network.clone().fork(device), device: device.clone() })
    }
}

/// Dense logits, or a panic.
pub fn dense(logits: Logits) -> Tensor<4> {
    match logits {
        Logits::Dense(z) => z,
        Logits::Class(_) => panic!("expected dense logits"),
    }
}

/// A tensor's values on the host.
pub fn host(x: Tensor<4>) -> Vec<f32> {
    epsiloscope::tensor::to_host(x).unwrap()
}

/// Largest absolute difference.
pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// ⟨a, b⟩ / (‖a‖·‖b‖).
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The tests' wgpu device (lavapipe where there is no GPU), or `None`, with the reason printed, without any adapter.
pub fn wgpu() -> Option<Device> {
    Compute::headless(DeviceChoice::Gpu).map_err(|error| println!("skipped on wgpu: {error}")).ok().map(|c| c.device)
}

/// Flex, and wgpu where there is an adapter.
pub fn devices() -> Vec<(&'static str, Device)> {
    let mut devices = vec![("Flex", Device::flex())];
    devices.extend(wgpu().map(|d| ("wgpu", d)));
    devices
}
