//! Weights of any rank as parameters of a module, so that a graph moves between devices, is trained and saved like any
//! other network.

use super::host::HostTensor;
use super::program::{Constant, Node, Program};
use super::value::Value;
use burn::backend::{DispatchTensor, TensorMetadata};
use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor};

/// A weight, of the rank of its name. A scalar has one dimension here.
#[derive(Module, Debug)]
#[allow(missing_docs)]
pub enum Weight {
    Rank1(Param<Tensor<1>>),
    Rank2(Param<Tensor<2>>),
    Rank3(Param<Tensor<3>>),
    Rank4(Param<Tensor<4>>),
    Rank5(Param<Tensor<5>>),
    Rank6(Param<Tensor<6>>),
}

impl Weight {
    /// Of a tensor of 1 to 6 dimensions; `None` for others.
    pub fn new(tensor: DispatchTensor) -> Option<Self> {
        fn parameter<const D: usize>(tensor: DispatchTensor) -> Param<Tensor<D>> {
            Param::initialized(ParamId::new(), Tensor::from_dispatch(tensor))
        }
        Some(match tensor.shape().num_dims() {
            1 => Self::Rank1(parameter(tensor)),
            2 => Self::Rank2(parameter(tensor)),
            3 => Self::Rank3(parameter(tensor)),
            4 => Self::Rank4(parameter(tensor)),
            5 => Self::Rank5(parameter(tensor)),
            6 => Self::Rank6(parameter(tensor)),
            _ => return None,
        })
    }

    /// Its value.
    pub fn value(&self) -> DispatchTensor {
        match self {
            Self::Rank1(p) => p.val().into_dispatch(),
            Self::Rank2(p) => p.val().into_dispatch(),
            Self::Rank3(p) => p.val().into_dispatch(),
            Self::Rank4(p) => p.val().into_dispatch(),
            Self::Rank5(p) => p.val().into_dispatch(),
            Self::Rank6(p) => p.val().into_dispatch(),
        }
    }
}

/// The weights of a graph. One that was folded away is gone.
#[derive(Module, Debug)]
pub struct Weights {
    /// In the order of the file, those made by folding last.
    pub tensors: Vec<Weight>,
}

/// Moves the float constants that are computed with to the device as parameters. Scalars of arithmetic and what
/// operators read as settings stay on the host.
pub(super) fn upload_weights(program: &mut Program, device: &Device) -> Weights {
    /// The fewest elements of each slot that are worth a parameter, `None` where it is a setting.
    fn mark(nodes: &[Node], least: &mut [Option<usize>]) {
        for node in nodes {
            let linear = matches!(node.op_type.as_str(), "Conv" | "ConvTranspose" | "DeformConv" | "Gemm" | "MatMul");
            let enough = if linear || node.op_type.ends_with("Normalization") { 1 } else { 2 };
            for (i, slot) in node.inputs.iter().enumerate() {
                if let Some(slot) = slot
                    && !node.operator.settings.contains(&i)
                {
                    least[*slot] = Some(least[*slot].map_or(enough, |l| l.min(enough)));
                }
            }
            node.branches.iter().for_each(|block| mark(&block.nodes, least));
        }
    }
    let mut least = vec![None; program.names.len()];
    mark(&program.nodes, &mut least);
    let mut tensors = Vec::new();
    for (constant, least) in program.constants.iter_mut().zip(least) {
        let (Some(Constant::Host(host)), Some(least)) = (&mut *constant, least) else { continue };
        if !host.element.is_float() || host.len() < least || !(1..=6).contains(&host.shape.len()) {
            continue;
        }
        // Taken out, so that it is held once.
        let host = std::mem::replace(host, HostTensor::floats([0], Vec::new()));
        if let Some(weight) = Weight::new(Value::Host(host).into_float(device)) {
            *constant = Some(Constant::Weight(tensors.len()));
            tensors.push(weight);
        }
    }
    Weights { tensors }
}
