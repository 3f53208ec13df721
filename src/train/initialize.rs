//! Random weights that depend on a seed alone, not on a device's generator.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Draws every convolution's weights from a Gaussian of variance 2/N, N being the inputs of one output value (He et
/// al. 2015, as Ronneberger et al. 2015 ask), and sets their biases to 0. Batch normalisation keeps 1 and 0.
pub fn he_normal<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut HeNormal { rng: ChaCha8Rng::seed_from_u64(seed), path: Vec::new() })
}

struct HeNormal {
    rng: ChaCha8Rng,
    path: Vec<String>,
}

impl HeNormal {
    /// Two independent uniforms in (0, 1] make a Gaussian (Box and Muller 1958).
    fn gaussian(&mut self) -> f32 {
        let mut unit = || ((self.rng.next_u32() >> 8) as f64 + 1.0) / 16_777_216.0;
        let (a, b) = (unit(), unit());
        ((-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()) as f32
    }
}

impl ModuleMapper for HeNormal {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.last().map(String::as_str).unwrap_or_default();
        if D == 4 && name == "weight" {
            let transposed = self.path.iter().any(|p| p == "transpose");
            return param.map(|weight| {
                let dims: [usize; D] = weight.dims();
                // A 2×2 transposed convolution with stride 2 reaches each output once: N is its input channels.
                let inputs = if transposed { dims[0] } else { dims[1..].iter().product() };
                let deviation = (2.0 / inputs as f32).sqrt();
                let count = dims.iter().product();
                let values: Vec<f32> = (0..count).map(|_| deviation * self.gaussian()).collect();
                Tensor::from_data(TensorData::new(values, dims), &weight.device())
            });
        }
        if D == 1 && name == "bias" { param.map(|bias| bias.zeros_like()) } else { param }
    }
}
