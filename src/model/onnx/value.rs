//! What flows along the edges of a graph.

use super::budget;
use super::host::{ElementType, HostTensor, Values};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{Bool, Device, Int, Shape, Tensor, TensorData};

/// The most elements that a tensor made on the host may have: half a gigabyte of floats.
const MOST_HOST_ELEMENTS: usize = 1 << 27;

/// A value on an edge. Floats live on the device and may be tracked by autodiff; so do masks made from them.
/// All else is on the host.
#[derive(Clone, Debug)]
pub enum Value {
    /// Floats of 32 bits, of any rank.
    Float(DispatchTensor),
    /// Truth values on the device.
    Mask(DispatchTensor),
    /// On the host.
    Host(HostTensor),
}

impl Value {
    /// Its dimensions.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Float(t) | Self::Mask(t) => t.shape().iter().copied().collect(),
            Self::Host(h) => h.shape.clone(),
        }
    }

    /// Whether its elements are floats.
    pub fn is_float(&self) -> bool {
        match self {
            Self::Float(_) => true,
            Self::Mask(_) => false,
            Self::Host(h) => h.element.is_float(),
        }
    }

    /// Bytes that it holds on the device or host.
    pub fn bytes(&self) -> u64 {
        let per_element = match self {
            Self::Float(_) => 4,
            Self::Mask(_) => 1,
            Self::Host(h) => h.element.bytes(),
        };
        self.shape().iter().map(|&d| d as u64).product::<u64>() * per_element as u64
    }

    /// As floats on the device.
    pub fn into_float(self, device: &Device) -> DispatchTensor {
        match self {
            Self::Float(t) => t,
            Self::Mask(t) => {
                let shape = t.shape();
                let flat = Tensor::<1, Bool>::from_dispatch(flatten_mask(t));
                reshape(flat.float().into_dispatch(), shape)
            }
            Self::Host(mut h) => {
                let shape = std::mem::take(&mut h.shape);
                upload(h.into_floats(), &shape, device)
            }
        }
    }

    /// As truth values on the device.
    pub fn into_mask(self, device: &Device) -> DispatchTensor {
        match self {
            Self::Mask(t) => t,
            Self::Float(t) => {
                let shape = t.shape();
                let count = shape.num_elements();
                let flat = Tensor::<1>::from_dispatch(reshape(t, [count].into()));
                reshape_mask(flat.not_equal_elem(0.0).into_dispatch(), shape)
            }
            Self::Host(h) => {
                let flat = Tensor::<1, Bool>::from_data(TensorData::new(h.to_bools(), [h.len()]), device);
                reshape_mask(flat.into_dispatch(), h.shape.as_slice().into())
            }
        }
    }

    /// On the host; reads the device if need be.
    ///
    /// # Errors
    /// If the device fails.
    pub fn into_host(self) -> Result<HostTensor, String> {
        let shape = self.shape();
        Ok(match self {
            Self::Host(h) => h,
            Self::Float(t) => {
                let flat = Tensor::<1>::from_dispatch(reshape(t, [shape.iter().product::<usize>()].into()));
                let values = flat.without_autodiff().try_into_vec_as::<f32>().map_err(|e| e.to_string())?;
                HostTensor::floats(shape, values)
            }
            Self::Mask(t) => {
                let flat = Tensor::<1, Bool>::from_dispatch(flatten_mask(t));
                let values = flat.int().try_into_vec_as::<i64>().map_err(|e| e.to_string())?;
                HostTensor::bools(shape, values.into_iter().map(|v| v != 0).collect())
            }
        })
    }

    /// A float that the host knows, if it is a single one there.
    pub fn scalar(&self) -> Option<f32> {
        match self {
            Self::Host(HostTensor { values: Values::Float(v), .. }) if v.len() == 1 => v.first().copied(),
            _ => None,
        }
    }

    /// What the graph would call its element type.
    pub fn element(&self) -> ElementType {
        match self {
            Self::Float(_) => ElementType::F32,
            Self::Mask(_) => ElementType::Bool,
            Self::Host(h) => h.element,
        }
    }
}

/// Floats to the device.
pub fn upload(values: Vec<f32>, shape: &[usize], device: &Device) -> DispatchTensor {
    let count = values.len();
    let flat = Tensor::<1>::from_data(TensorData::new(values, [count]), device).into_dispatch();
    if shape.len() == 1 { flat } else { reshape(flat, shape.into()) }
}

/// Indices to the device.
pub fn upload_index(index: Vec<i64>, device: &Device) -> DispatchTensor {
    let count = index.len();
    Tensor::<1, Int>::from_data(TensorData::new(index, [count]), device).into_dispatch()
}

/// The same floats in another shape of as many elements.
pub fn reshape(t: DispatchTensor, shape: Shape) -> DispatchTensor {
    if t.shape() == shape { t } else { Dispatch::float_reshape(t, shape) }
}

/// The same mask in another shape of as many elements.
pub fn reshape_mask(t: DispatchTensor, shape: Shape) -> DispatchTensor {
    use burn::backend::ops::BoolTensorOps;
    if t.shape() == shape { t } else { Dispatch::bool_reshape(t, shape) }
}

fn flatten_mask(t: DispatchTensor) -> DispatchTensor {
    let count = t.shape().num_elements();
    reshape_mask(t, [count].into())
}

/// As [`check_size`], for what is made on the host of settings alone: such a tensor has no reason to be large.
///
/// # Errors
/// If the tensor would have more than 2²⁷ elements, or take more memory than may be used.
pub fn check_host_size(shape: &[usize]) -> Result<usize, String> {
    let count = count(shape)
        .ok()
        .filter(|&n| n <= MOST_HOST_ELEMENTS)
        .ok_or_else(|| format!("a constant of shape {shape:?} would have more than {MOST_HOST_ELEMENTS} elements"))?;
    // Whole numbers have 64 bits there.
    budget::check(shape, 8 * count as u64)?;
    Ok(count)
}

/// The number of elements of `shape`, of which a tensor of floats is to be made.
///
/// # Errors
/// If it would take more memory than may be used.
pub fn check_size(shape: &[usize]) -> Result<usize, String> {
    let count = count(shape)?;
    budget::check(shape, 4 * count as u64)?;
    Ok(count)
}

/// The number of elements of `shape`.
///
/// # Errors
/// If no tensor can be so large.
pub fn count(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= usize::MAX / 8)
        .ok_or_else(|| format!("no tensor can have the shape {shape:?}"))
}
