//! burn's optimisers over a whole network. Their state is kept here by the parameter's name, because burn's own record of a
//! network's optimiser is restored on the default device, which must not be touched (the window owns the GPU, and a
//! machine may have none).

use super::TrainError;
use crate::model::ModelError;
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::decay::{WeightDecay, WeightDecayConfig};
use burn::optim::momentum::{Momentum, MomentumConfig, MomentumState};
use burn::optim::{
    Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer,
};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum OptimizerSettings {
    /// Kingma and Ba, ICLR 2015.
    Adam {
        /// Decay of the mean of gradients.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the mean of their squares.
        #[serde(default = "beta_2")]
        beta_2: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).
    #[serde(rename = "adamw")]
    AdamW {
        /// Decay of the mean of gradients.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// Decay of the mean of their squares.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// Weights shrink by this times the learning rate a step.
        #[serde(default = "hundredth")]
        weight_decay: f64,
    },
    /// Gradient descent with momentum: v ← μ·v + g, w ← w − rate·v.
    Sgd {
        /// μ; 0 for none.
        #[serde(default = "beta_1")]
        momentum: f64,
        /// This times the weight is added to its gradient.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn hundredth() -> f64 {
    0.01
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self::Adam { beta_1: 0.9, beta_2: 0.999 }
    }
}

impl OptimizerSettings {
    /// One of each kind, with its defaults.
    pub const KINDS: [Self; 3] = [
        Self::Adam { beta_1: 0.9, beta_2: 0.999 },
        Self::AdamW { beta_1: 0.9, beta_2: 0.999, weight_decay: 0.01 },
        Self::Sgd { momentum: 0.9, weight_decay: 0.0 },
    ];

    /// Says what is out of range.
    ///
    /// # Errors
    /// If a number is.
    pub fn check(&self) -> Result<(), TrainError> {
        let decays = match *self {
            Self::Adam { beta_1, beta_2 } => vec![("beta-1", beta_1), ("beta-2", beta_2)],
            Self::AdamW { beta_1, beta_2, .. } => vec![("beta-1", beta_1), ("beta-2", beta_2)],
            Self::Sgd { momentum, .. } => vec![("momentum", momentum)],
        };
        if let Some((name, value)) = decays.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(TrainError::field(format!("optimizer.{name}"), format!("{value}: use 0 or more, below 1")));
        }
        match *self {
            Self::AdamW { weight_decay, .. } | Self::Sgd { weight_decay, .. }
                if !(0.0..=1.0).contains(&weight_decay) =>
            {
                Err(TrainError::field("optimizer.weight-decay", format!("{weight_decay}: use 0 to 1")))
            }
            _ => Ok(()),
        }
    }

    /// In a few words, for cards and reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Adam { beta_1, beta_2 } => format!("Adam, β {beta_1} and {beta_2}"),
            Self::AdamW { beta_1, beta_2, weight_decay } => {
                format!("AdamW, β {beta_1} and {beta_2}, weight decay {weight_decay}")
            }
            Self::Sgd { momentum, weight_decay } => format!("SGD, momentum {momentum}, weight decay {weight_decay}"),
        }
    }
}

/// The rule of one parameter.
enum Rule {
    Adam(Adam),
    AdamW(AdamW),
    Sgd { momentum: Option<Momentum>, decay: Option<WeightDecay> },
}

/// What a rule remembers of a parameter, flattened.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "all of a network are of one kind")]
enum State {
    Moments(AdaptiveMomentumState<1>),
    Velocity(Tensor<1>),
}

/// An optimiser under way.
pub(super) struct NetworkOptimizer {
    rule: Rule,
    state: BTreeMap<String, State>,
}

impl NetworkOptimizer {
    pub fn new(settings: &OptimizerSettings) -> Self {
        let rule = match *settings {
            OptimizerSettings::Adam { beta_1, beta_2 } => Rule::Adam(
                AdamConfig::new().with_beta_1(beta_1 as f32).with_beta_2(beta_2 as f32).with_epsilon(1e-8).build(),
            ),
            OptimizerSettings::AdamW { beta_1, beta_2, weight_decay } => Rule::AdamW(
                AdamWConfig::new()
                    .with_beta_1(beta_1 as f32)
                    .with_beta_2(beta_2 as f32)
                    .with_epsilon(1e-8)
                    .with_weight_decay(weight_decay as f32)
                    .build(),
            ),
            OptimizerSettings::Sgd { momentum, weight_decay } => Rule::Sgd {
                momentum: (momentum > 0.0)
                    .then(|| Momentum::new(&MomentumConfig::new().with_momentum(momentum).with_dampening(0.0))),
                decay: (weight_decay > 0.0)
                    .then(|| WeightDecay::new(&WeightDecayConfig { penalty: weight_decay as f32 })),
            },
        };
        Self { rule, state: BTreeMap::new() }
    }

    /// The module after a step against `gradients`.
    pub fn step<M: Module>(&mut self, rate: f64, module: M, gradients: GradientsParams) -> M {
        module.map(&mut Step { optimizer: self, rate, gradients, path: Vec::new() })
    }

    fn update(&mut self, name: &str, rate: f64, value: Tensor<1>, gradient: Tensor<1>) -> Tensor<1> {
        let known = self.state.remove(name);
        let moments = |known: Option<State>| match known {
            Some(State::Moments(moments)) => Some(moments),
            _ => None,
        };
        let (value, state) = match &self.rule {
            Rule::Adam(rule) => {
                let (value, state) = rule.step(rate, value, gradient, moments(known).map(AdamState::new));
                (value, state.map(|s| State::Moments(s.momentum)))
            }
            Rule::AdamW(rule) => {
                let (value, state) = rule.step(rate, value, gradient, moments(known).map(AdamWState::new));
                (value, state.map(|s| State::Moments(s.momentum)))
            }
            Rule::Sgd { momentum, decay } => {
                let gradient = match decay {
                    Some(decay) => decay.transform(gradient, value.clone()),
                    None => gradient,
                };
                match momentum {
                    Some(momentum) => {
                        let velocity = match known {
                            Some(State::Velocity(velocity)) => Some(MomentumState::new(velocity)),
                            _ => None,
                        };
                        // Without Nesterov the direction is the velocity itself, which burn's state keeps to itself.
                        let (velocity, _) = momentum.transform(gradient, velocity);
                        (value - velocity.clone() * rate, Some(State::Velocity(velocity)))
                    }
                    None => (value - gradient * rate, None),
                }
            }
        };
        if let Some(state) = state {
            self.state.insert(name.to_owned(), state);
        }
        value
    }

    /// The state as safetensors: `first.NAME` and `second.NAME`, or `velocity.NAME`, and in the metadata the number of steps.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let mut values: Vec<(String, Vec<u8>)> = Vec::new();
        let mut time = 0;
        for (name, state) in &self.state {
            let tensors = match state {
                State::Moments(moments) => {
                    time = moments.time;
                    vec![("first", &moments.moment_1), ("second", &moments.moment_2)]
                }
                State::Velocity(velocity) => vec![("velocity", velocity)],
            };
            for (which, tensor) in tensors {
                let host = tensor.clone().try_into_vec_as::<f32>().map_err(ModelError::device)?;
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
    pub fn from_bytes(
        settings: &OptimizerSettings,
        bytes: &[u8],
        network: &impl Module,
        device: &Device,
    ) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let time = header.metadata().as_ref().and_then(|m| m.get("time")).and_then(|t| t.parse().ok());
        let time: usize = time.ok_or("the optimiser's step is missing")?;
        let mut sizes = Sizes::default();
        network.visit(&mut sizes);
        let mut optimizer = Self::new(settings);
        for (full, view) in &tensors.tensors() {
            let Some((which, name)) = full.split_once('.') else { continue };
            let Some(&size) = sizes.known.get(name) else { return Err(format!("{name} is not part of the network")) };
            let read = |view: &TensorView<'_>| {
                if view.dtype() != Dtype::F32 || view.data().len() != 4 * size {
                    return Err(format!("the optimiser's state of {name} has another size"));
                }
                let values: Vec<f32> =
                    view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                Ok(Tensor::from_data(TensorData::new(values, [size]), device))
            };
            let state = match which {
                "first" => {
                    let second = tensors.tensor(&format!("second.{name}")).map_err(|e| e.to_string())?;
                    State::Moments(AdaptiveMomentumState::new(time, read(view)?, read(&second)?))
                }
                "velocity" => State::Velocity(read(view)?),
                _ => continue,
            };
            optimizer.state.insert(name.to_owned(), state);
        }
        Ok(optimizer)
    }
}

struct Step<'a> {
    optimizer: &'a mut NetworkOptimizer,
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
            let (value, gradient) = (value.inner().flatten(0, D - 1), gradient.flatten(0, D - 1));
            let value = self.optimizer.update(&name, self.rate, value, gradient);
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
