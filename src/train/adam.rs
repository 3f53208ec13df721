//! Adam over a whole network. The update is burn's; its moments are kept here by the parameter's name, because burn's
//! own record of a network's optimiser is restored on the default device, which must not be touched (the window owns
//! the GPU, and a machine may have none).

use super::TrainError;
use crate::model::ModelError;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{Adam, AdamConfig, AdamState, AdaptiveMomentumState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};

/// Kingma and Ba, ICLR 2015, with β₁ .9, β₂ .999, ε 1e-8.
pub(super) struct NetworkAdam {
    rule: Adam,
    moments: BTreeMap<String, AdamState<1>>,
}

impl NetworkAdam {
    pub fn new() -> Self {
        Self { rule: AdamConfig::new().with_epsilon(1e-8).build(), moments: BTreeMap::new() }
    }

    /// The module after a step against `gradients`.
    pub fn step<M: Module>(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        module.map(&mut Step { adam: self, rate, gradients, path: Vec::new() })
    }

    /// The moments as safetensors: `first.NAME` and `second.NAME`, and in the metadata the number of steps.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let mut values: Vec<(String, Vec<u8>)> = Vec::new();
        let mut time = 0;
        for (name, AdamState { momentum }) in &self.moments {
            time = momentum.time;
            for (which, moment) in [("first", &momentum.moment_1), ("second", &momentum.moment_2)] {
                let host = moment.clone().try_into_vec_as::<f32>().map_err(ModelError::device)?;
                values.push((format!("{which}.{name}"), host.iter().flat_map(|v| v.to_le_bytes()).collect()));
            }
        }
        let encode = |e: &dyn std::fmt::Display| TrainError::Recipe(format!("the optimiser cannot be encoded ({e})"));
        let views = values
            .iter()
            .map(|(name, bytes)| Ok((name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| encode(&e))?;
        let metadata = HashMap::from([("time".to_owned(), time.to_string())]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| encode(&e))
    }

    /// Reads what [`Self::to_bytes`] wrote for a network whose parameters have these names and sizes, or says what is
    /// wrong with it.
    pub fn from_bytes(bytes: &[u8], network: &impl Module, device: &Device) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let time = header.metadata().as_ref().and_then(|m| m.get("time")).and_then(|t| t.parse().ok());
        let time: usize = time.ok_or("the optimiser's step is missing")?;
        let mut sizes = Sizes::default();
        network.visit(&mut sizes);
        let mut adam = Self::new();
        for (name, view) in tensors.tensors().iter().filter(|(name, _)| name.starts_with("first.")) {
            let name = &name["first.".len()..];
            let second = tensors.tensor(&format!("second.{name}")).map_err(|e| e.to_string())?;
            let Some(&size) = sizes.known.get(name) else { return Err(format!("{name} is not part of the network")) };
            let moment = |view: &TensorView<'_>| {
                if view.dtype() != Dtype::F32 || view.data().len() != 4 * size {
                    return Err(format!("the moments of {name} have another size"));
                }
                let values: Vec<f32> =
                    view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                Ok(Tensor::from_data(TensorData::new(values, [size]), device))
            };
            let momentum = AdaptiveMomentumState::new(time, moment(view)?, moment(&second)?);
            adam.moments.insert(name.to_owned(), AdamState::new(momentum));
        }
        Ok(adam)
    }
}

struct Step<'a> {
    adam: &'a mut NetworkAdam,
    rate: f64,
    gradients: GradientsParams,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let name = self.path.join(".");
        param.map(|value| {
            let tracked = value.is_require_grad();
            let shape = value.dims();
            let state = self.adam.moments.remove(&name);
            let (value, state) =
                self.adam.rule.step(self.rate, value.inner().flatten(0, D - 1), gradient.flatten(0, D - 1), state);
            if let Some(state) = state {
                self.adam.moments.insert(name, state);
            }
            let value = Tensor::from_inner(value.reshape(shape));
            if tracked { value.require_grad() } else { value }
        })
    }
}

/// Names and numbers of elements of a module's parameters.
#[derive(Default)]
struct Sizes {
    path: Vec<String>,
    known: BTreeMap<String, usize>,
}

impl burn::module::ModuleVisitor for Sizes {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.known.insert(self.path.join("."), param.lazy_shape().num_elements());
    }
}
