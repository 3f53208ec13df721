//! What an operator sees of its node: inputs, settings, device.

use crate::model::onnx::host::HostTensor;
use crate::model::onnx::program::Node;
use crate::model::onnx::value::Value;
use burn::backend::DispatchTensor;
use burn::tensor::Device;

/// One run of a node.
pub struct Call<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its inputs; taken by the operator.
    pub inputs: Vec<Option<Value>>,
    /// Where to compute.
    pub device: &'a Device,
}

impl Call<'_> {
    /// Whether input `i` is given and not taken yet.
    pub fn has(&self, i: usize) -> bool {
        self.inputs.get(i).is_some_and(Option::is_some)
    }

    /// Input `i`.
    pub fn input(&self, i: usize) -> Result<&Value, String> {
        self.inputs.get(i).and_then(Option::as_ref).ok_or_else(|| format!("its input {i} is missing"))
    }

    /// Takes input `i`.
    pub fn take(&mut self, i: usize) -> Result<Value, String> {
        self.inputs.get_mut(i).and_then(Option::take).ok_or_else(|| format!("its input {i} is missing"))
    }

    /// Takes input `i` as floats on the device.
    pub fn float(&mut self, i: usize) -> Result<DispatchTensor, String> {
        Ok(self.take(i)?.into_float(self.device))
    }

    /// Takes input `i` as floats on the device, if it is given.
    pub fn optional_float(&mut self, i: usize) -> Result<Option<DispatchTensor>, String> {
        if self.has(i) { self.float(i).map(Some) } else { Ok(None) }
    }

    /// Takes input `i` to the host.
    pub fn host(&mut self, i: usize) -> Result<HostTensor, String> {
        self.take(i)?.into_host()
    }

    /// Takes input `i` as whole numbers.
    pub fn ints(&mut self, i: usize) -> Result<Vec<i64>, String> {
        Ok(self.host(i)?.to_ints())
    }

    /// Takes input `i` as a single float of the host, if it is given.
    pub fn optional_scalar(&mut self, i: usize) -> Result<Option<f32>, String> {
        if !self.has(i) {
            return Ok(None);
        }
        match self.host(i)?.to_floats()[..] {
            [value] => Ok(Some(value)),
            _ => Err(format!("its input {i} must be a single value")),
        }
    }

    /// Whole numbers that are an attribute in older and input `i` in newer versions of the operator.
    pub fn ints_of(&mut self, name: &str, i: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(values) = self.node.attributes.ints(name) {
            return Ok(Some(values.to_vec()));
        }
        if self.has(i) { self.ints(i).map(Some) } else { Ok(None) }
    }

    /// Dimensions of input `i`.
    pub fn shape(&self, i: usize) -> Result<Vec<usize>, String> {
        Ok(self.input(i)?.shape())
    }

    /// Dimensions of input `i`, which must have `N`.
    pub fn dims<const N: usize>(&self, i: usize) -> Result<[usize; N], String> {
        let shape = self.shape(i)?;
        shape.clone().try_into().map_err(|_| format!("its input {i} has shape {shape:?} and needs {N} dimensions"))
    }

    /// Whether all inputs that are given are on the host.
    pub fn on_host(&self) -> bool {
        self.inputs.iter().flatten().all(|v| matches!(v, Value::Host(_)))
    }

    /// A whole number among the settings.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attributes.int(name).unwrap_or(default)
    }

    /// A float among the settings.
    pub fn attribute(&self, name: &str, default: f32) -> f32 {
        self.node.attributes.float(name).unwrap_or(default)
    }
}

/// `axis` of a tensor of `rank` dimensions, counted from the end if negative.
pub fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| format!("axis {axis} is not one of {rank} dimensions"))
}
